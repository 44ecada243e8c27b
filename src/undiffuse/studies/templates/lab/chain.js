// The particles: where they are on the walk of times, and what moves them.

class Chain {
  /** `walk` goes from the last time down to 0; `model` is { bank, schedule, points }. */
  constructor(model, count, seed) {
    this.model = model;
    this.walk = [...model.bank.times].reverse().concat(0);
    this.sampler = { name: "ancestral", eta: 0 };
    this.noise = new Noise(seed);
    this.resize(count);
  }

  get t() { return this.walk[this.index]; }

  get count() { return this.x.length / 2; }

  /** Start again with this number of particles, from pure noise N(0, s^2). */
  resize(count) {
    this.x = new Float64Array(2 * count);
    this.restart();
  }

  restart() {
    this.index = 0;
    this.origin = null;
    this.noise.fill(this.x);
    for (let i = 0; i < this.x.length; i++) this.x[i] *= this.model.schedule.noiseScale;
  }

  /** One reverse step; false at t = 0. */
  step() {
    if (this.t === 0) return false;
    reverseStep(this.model, this.sampler, this.x, this.t, this.walk[this.index + 1], this.noise);
    this.index++;
    this.origin = null;
    return true;
  }

  /** One forward step (15), x -> sqrt(alpha) x + s sqrt(beta) z; false at the last time. */
  stepBack() {
    if (this.index === 0) return false;
    const { schedule } = this.model;
    const [alpha, beta] = schedule.between(this.walk[this.index - 1], this.t);
    const z = this.noise.fill(new Float64Array(this.x.length));
    const keep = Math.sqrt(alpha), add = schedule.noiseScale * Math.sqrt(beta);
    for (let i = 0; i < z.length; i++) this.x[i] = keep * this.x[i] + add * z[i];
    this.index--;
    this.origin = null;
    return true;
  }

  /** Data diffused to the time of the walk nearest to t, each particle from a training point with noise of its own. */
  diffuseTo(t) {
    const { schedule, points } = this.model;
    if (!this.origin) {
      const x0 = Float64Array.from(this.x, () => 0);
      for (let i = 0; i < this.count; i++) {
        const from = 2 * Math.floor(this.noise.uniform() * points.length / 2);
        x0[2 * i] = points[from];
        x0[2 * i + 1] = points[from + 1];
      }
      this.origin = { x0, xi: this.noise.fill(new Float64Array(this.x.length)) };
    }
    this.index = this.nearest(t);
    const signal = schedule.signal(this.t), size = schedule.noise(this.t), { x0, xi } = this.origin;
    for (let i = 0; i < xi.length; i++) this.x[i] = signal * x0[i] + size * xi[i];
  }

  /** Place on the walk of the time nearest to t. */
  nearest(t) {
    let best = 0;
    this.walk.forEach((each, i) => { if (Math.abs(each - t) < Math.abs(this.walk[best] - t)) best = i; });
    return best;
  }

  /** Diffuse a point to the present time and bring it back `repeats` times: where it went, and every path back. */
  uturn(point, repeats) {
    const { schedule } = this.model, signal = schedule.signal(this.t), size = schedule.noise(this.t);
    const z = this.noise.fill(new Float64Array(2));
    const diffused = [signal * point[0] + size * z[0], signal * point[1] + size * z[1]];
    const x = new Float64Array(2 * repeats).map((_, i) => diffused[i % 2]);
    const paths = [Float64Array.from(x)];
    for (let i = this.index; this.walk[i] > 0; i++) {
      reverseStep(this.model, this.sampler, x, this.walk[i], this.walk[i + 1], this.noise);
      paths.push(Float64Array.from(x));
    }
    return { point, diffused, t: this.t, paths, ends: x };
  }
}
