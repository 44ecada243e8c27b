// Images on their way: sampled, rebuilt where a mask has destroyed them, or taken to t and back.

class ImageChain extends Chain {
  constructor(model, count, seed) {
    super(model, [...model.bank.times].reverse().concat(0), model.axes.dim, count, seed);
    this.task = { name: "sample" };
    this.sampler = { name: "ddim", eta: 1 }; // Algorithm 2 with the posterior variance: few steps leave little noise
  }

  /** Held-out images drawn at random. */
  data() {
    const { images, axes } = this.model, x0 = new Float64Array(this.x.length);
    for (let i = 0; i < this.count; i++) x0.set(axes.along(images[Math.floor(this.noise.uniform() * images.length)]), i * this.dim);
    return x0;
  }

  /** Begin again with what is being done. */
  restart() {
    if (this.task?.name === "rebuild") this.rebuild(this.task.image, this.task.destroyed);
    else if (this.task?.name === "turn") this.turn(this.task.image, this.task.t, this.count);
    else super.restart();
  }

  sample() {
    this.task = { name: "sample" };
    this.restart();
  }

  /** Fill in what a mask has destroyed of an image, in as many ways as there are states; the thesis's method. */
  rebuild(image, destroyed) {
    this.task = { name: "rebuild", image, destroyed };
    Object.assign(this, { index: 0, origin: null });
    const noise = this.noise.fill(new Float64Array(this.x.length)), { noiseScale } = this.model.schedule;
    this.paste((i) => noise.subarray(i * this.dim, (i + 1) * this.dim).map((z) => noiseScale * z));
  }

  /** Put the known part, freshly diffused to the present time, beside the pixels that `part` gives of each state. */
  paste(part) {
    const { schedule, axes } = this.model, { image, destroyed } = this.task;
    const signal = schedule.signal(this.t), size = schedule.noise(this.t);
    const noise = this.t ? this.noise.fill(new Float64Array(this.x.length)) : null;
    this.seen = [];
    for (let i = 0; i < this.count; i++) {
      const pixels = part(i), from = i * this.dim;
      for (let p = 0; p < this.dim; p++) if (!destroyed[p]) pixels[p] = signal * image[p] + (noise ? size * noise[from + p] : 0);
      this.x.set(axes.along(pixels), from);
      this.seen.push(pixels);
    }
  }

  /** Diffuse one image to the time of the walk nearest to t, in as many copies as are to come back. */
  turn(image, t, repeats) {
    const { schedule, axes } = this.model;
    this.index = this.nearest(t);
    const signal = schedule.signal(this.t), size = schedule.noise(this.t);
    const z = this.noise.fill(new Float64Array(this.dim)), diffused = axes.along(image).map((value, j) => signal * value + size * z[j]);
    this.task = { name: "turn", image, t: this.t, diffused };
    this.origin = null;
    this.x = new Float64Array(repeats * this.dim);
    for (let i = 0; i < repeats; i++) this.x.set(diffused, i * this.dim);
  }

  step() {
    if (!super.step()) return false;
    if (this.task.name === "rebuild") this.paste((i) => this.pixels(i));
    return true;
  }

  stepBack() {
    if (this.task.name !== "sample") this.task = { name: "sample" };
    return super.stepBack();
  }

  diffuseTo(t) {
    if (this.task.name !== "sample") [this.task, this.origin] = [{ name: "sample" }, null];
    super.diffuseTo(t);
  }

  /** Pixels of one state, for drawing: those that it was made from, where there are such. */
  look(i) { return this.task.name === "rebuild" && this.seen[i] ? this.seen[i] : this.pixels(i); }

  pixels(i) { return this.model.axes.pixels(this.x.subarray(i * this.dim, (i + 1) * this.dim)); }

  /** What the networks expect at the data, of all states. */
  expected() {
    const t = this.t, { schedule, bank } = this.model;
    if (t === 0) return this.x;
    const xi = bank.xiHat(this.x, t, new Float64Array(this.x.length)), signal = schedule.signal(t), size = schedule.noise(t);
    return this.x.map((value, i) => (value - size * xi[i]) / signal);
  }
}
