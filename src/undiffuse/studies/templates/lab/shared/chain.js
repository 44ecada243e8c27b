// States on the walk of times, and what moves them; what data are, a chain of its own says in `data`.

class Chain {
  /** `walk` goes from the last time down to 0; `model` is { bank, schedule, ... }; a state has `dim` numbers. */
  constructor(model, walk, dim, count, seed) {
    Object.assign(this, { model, walk, dim });
    this.sampler = { name: "ancestral", eta: 0 };
    this.noise = new Noise(seed);
    this.resize(count);
  }

  get t() { return this.walk[this.index]; }

  get count() { return this.x.length / this.dim; }

  /** Start again with this number of states, from pure noise N(0, s^2). */
  resize(count) {
    this.x = new Float64Array(this.dim * count);
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

  /** Data diffused to the time of the walk nearest to t, each state from data and with noise of its own. */
  diffuseTo(t) {
    const { schedule } = this.model;
    this.origin ??= { x0: this.data(), xi: this.noise.fill(new Float64Array(this.x.length)) };
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
}
