// The player of images: tiles on their way, a held-out image with its mask, and the units of the present network.

const RETURNS = 10; // of an image taken to t and back
const UNITS_EVERY = 500; // milliseconds between pictures of units while images move

class ImagePlayer extends Clock {
  constructor(about, texts) {
    const schedule = new Schedule(about.ouTime, about.noiseScale), axes = new Axes(about, texts.axes);
    const bank = new AxisBank(about, schedule, axes, texts), bytes = new Uint8Array(bytesOf(texts.images)), dim = axes.dim;
    const images = Array.from({ length: bytes.length / dim }, (_, i) =>
      Float64Array.from(bytes.subarray(i * dim, (i + 1) * dim), (byte) => about.low + (about.high - about.low) * byte / 255));
    super(about, new ImageChain({ schedule, bank, axes, images }, about.particles, about.seed));
    Object.assign(this, { tileCount: about.particles, chosen: 0, destroyed: new Uint8Array(dim), expects: false, firstUnit: 0 });
    Object.assign(this, { speed: 3, ranked: new Map(), unitsDrawn: "", unitsAt: 0, unitsTime: 1 });
  }

  get model() { return this.chain.model; }

  get image() { return this.model.images[this.chosen]; }

  get shownTime() { return this.chain.t || this.model.bank.times[0]; }

  get beginning() {
    const { task, count } = this.chain;
    if (task.name === "rebuild") return `${count} ways to fill in what the mask has destroyed, from pure noise.`;
    if (task.name === "turn") return `Image ${this.chosen + 1} diffused to t = ${task.t}; it comes back ${count} times.`;
    return `${count} images of pure noise at ${this.here}.`;
  }

  fit() {
    this.on = Object.fromEntries(Object.entries(this.canvases).map(([name, canvas]) => [name, fitted(canvas)]));
    this.box = Object.fromEntries(Object.entries(this.canvases).map(([name, canvas]) => [name, canvas.getBoundingClientRect()]));
    this.unitsDrawn = "";
  }

  /** Back to samples. */
  clear() {
    if (this.chain.task.name !== "sample") this.sample();
  }

  // -- what is done ------------------------------------------------------------------------------------------------

  restart() {
    this.chain.restart();
    Object.assign(this, { ended: null });
    this.say(this.beginning);
    this.refresh();
  }

  sample() {
    this.chain.task = { name: "sample" };
    this.chain.resize(this.tileCount);
    this.say(this.beginning);
    this.refresh();
  }

  resizeTiles(count) {
    this.tileCount = count;
    if (this.chain.task.name === "rebuild") {
      this.chain.x = new Float64Array(count * this.chain.dim);
      this.rebuild();
    } else this.sample();
  }

  choose(by) {
    this.chosen = (this.chosen + by + this.model.images.length) % this.model.images.length;
    this.refresh();
  }

  /** Destroy the pixels around a place of the chosen image, in pixels of the image. */
  brush(column, row, radius = 2) {
    const { rows, columns } = this.about;
    for (let p = 0; p < rows * columns; p++) {
      if (Math.hypot(p % columns + 0.5 - column, Math.floor(p / columns) + 0.5 - row) < radius) this.destroyed[p] = 1;
    }
    this.refresh();
  }

  /** Nothing, then the upper, lower, left, right half and the middle destroyed, one after another. */
  nextMask() {
    const { rows, columns } = this.about;
    this.maskNumber = ((this.maskNumber ?? 0) + 1) % 6;
    const inside = [
      () => false, (r) => r < rows / 2, (r) => r >= rows / 2, (_, c) => c < columns / 2, (_, c) => c >= columns / 2,
      (r, c) => Math.abs(r + 0.5 - rows / 2) < rows / 4 && Math.abs(c + 0.5 - columns / 2) < columns / 4,
    ][this.maskNumber];
    this.destroyed = this.destroyed.map((_, p) => inside(Math.floor(p / columns), p % columns));
    this.refresh();
  }

  clearMask() {
    this.destroyed = new Uint8Array(this.destroyed.length);
    this.refresh();
  }

  rebuild() {
    const count = this.destroyed.reduce((sum, one) => sum + one, 0);
    if (count === 0 || count === this.destroyed.length) {
      this.say(count ? "The mask leaves nothing known: that is sampling." : "Draw on the image what is to be destroyed, then rebuild.");
      return;
    }
    if (this.chain.task.name !== "rebuild") this.chain.x = new Float64Array(this.tileCount * this.chain.dim);
    this.chain.rebuild(this.image, this.destroyed.slice());
    this.say(this.beginning);
    this.play();
  }

  turn() {
    if (this.chain.t === 0 && this.chain.task.name !== "turn") {
      this.say("At t = 0 nothing is diffused: move the slider towards noise first.");
      return;
    }
    this.chain.turn(this.image, this.chain.task.name === "turn" ? this.chain.task.t : this.chain.t, RETURNS);
    this.say(this.beginning);
    this.play();
  }

  play() {
    if (this.chain.t === 0) this.chain.restart();
    super.play();
  }

  get busy() { return this.model.bank.kept.size < this.model.bank.times.length; }

  /** Read the networks that have not been used yet, a few milliseconds at a time; nothing new is to be drawn then. */
  advance() {
    const { bank } = this.model, end = performance.now() + 6;
    while (this.busy && performance.now() < end) bank.network(this.chain.walk.find((t) => t > 0 && !bank.kept.has(t)));
    return false;
  }

  // -- drawing -----------------------------------------------------------------------------------------------------

  draw() {
    this.drawTiles();
    drawChosen(this.on.chosen, this.box.chosen, this.colour, this.about, this.image, this.destroyed);
    this.drawUnits();
  }

  drawTiles() {
    const { on: { tiles: on }, box: { tiles: box }, about, chain, colour } = this, { schedule, axes } = this.model, { task } = chain;
    const t = this.expects ? 0 : chain.t, signal = schedule.signal(t), spread = 1.2 * schedule.noise(t);
    const grey = greys(colour, signal * about.low - spread, signal * about.high + spread);
    const expected = this.expects ? chain.expected() : null, drawn = (pixels, tint) => picture(pixels, about.rows, about.columns, tint);
    const state = (i) => (expected ? axes.pixels(expected.subarray(i * chain.dim, (i + 1) * chain.dim)) : chain.look(i));
    const extra = task.name === "turn" ? 2 : 0, places = tiles(chain.count + extra, box.width);
    on.clearRect(0, 0, box.width, box.width);
    if (extra) {
      const then = 1.2 * schedule.noise(task.t), kept = schedule.signal(task.t);
      putTile(on, drawn(task.image, greys(colour, about.low, about.high)), places[0], { colour: colour.exact, paper: colour.paper, name: "image" });
      const blurred = greys(colour, kept * about.low - then, kept * about.high + then);
      putTile(on, drawn(axes.pixels(task.diffused), blurred), places[1], { colour: colour.kink, paper: colour.paper, name: `at t = ${task.t}` });
    }
    for (let i = 0; i < chain.count; i++) putTile(on, drawn(state(i), grey), places[i + extra]);
  }

  /** Units of the present network, those with the largest |w| |a| first. */
  get units() {
    const t = this.shownTime;
    if (!this.ranked.has(t)) {
      const { hidden, width, w, a } = this.model.bank.network(t), size = new Float64Array(hidden);
      const norm = (rows, u) => Math.hypot(...rows.subarray(u * width, (u + 1) * width));
      for (let u = 0; u < hidden; u++) size[u] = norm(w, u) * norm(a, u);
      this.ranked.set(t, Array.from(size.keys()).sort((u, v) => size[v] - size[u]));
    }
    return this.ranked.get(t).slice(this.firstUnit, this.firstUnit + UNITS_ACROSS);
  }

  moreUnits(by) {
    const { hidden } = this.model.bank.network(this.shownTime);
    this.firstUnit = Math.max(0, Math.min(hidden - 1, this.firstUnit + by * UNITS_ACROSS));
    this.refresh();
  }

  drawUnits() {
    if (this.playing && performance.now() - this.unitsAt < UNITS_EVERY) return; // too fast to be looked at
    const what = `${this.shownTime} ${this.firstUnit} ${this.colour.paper}`;
    if (this.unitsDrawn === what) return;
    Object.assign(this, { unitsDrawn: what, unitsAt: performance.now(), unitsTime: this.shownTime });
    drawUnits(this.on.units, this.box.units, this.colour, this.about, this.model.axes, this.model.bank.network(this.shownTime), this.units);
  }
}
