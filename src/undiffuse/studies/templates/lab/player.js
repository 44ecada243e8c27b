// The player: it holds the chain and what is shown, moves and draws once a frame, and rests when nothing changes.

const SPEEDS = [1, 3, 10, 30, 60, 120, 250, 500, 1000]; // steps a second
const MOVING = 14; // milliseconds of a frame that steps may take
const BACK_SHARE = 4; // frames go without new layers for as many times what these took to draw
const PAUSE = 1.5; // seconds at t = 0 before the walk starts again
const REACH = 9; // pixels from a kink within which the pointer finds it

class Player {
  constructor(about, units, points) {
    this.about = about;
    const schedule = new Schedule(about.ouTime, about.noiseScale);
    const floats = Float64Array.from(new Float32Array(bytesOf(points)));
    this.model = { schedule, bank: new Bank(about, units), points: floats };
    this.chain = new Chain(this.model, about.particles, about.seed);
    this.view = new View(this.model.points, about.noiseScale);
    this.empirical = new Empirical(schedule, this.model.points);
    this.arrows = arrowPlaces(this.view);
    this.layers = new Set(["data"]);
    Object.assign(this, { playing: false, again: true, speed: 5, due: 0, ended: null, last: null, fps: null });
    Object.assign(this, { turn: null, unit: null, making: null, exact: null, asked: false, stale: true, backDrawn: 0, backCost: 0 });
    this.onChange = () => {};
    this.say = () => {};
  }

  /** Time whose network and law are shown: at t = 0 those of the first time there is. */
  get shownTime() { return this.chain.t || this.model.bank.times[0]; }

  attach(back, front) {
    Object.assign(this, { back, front, colour: colours() });
    new ResizeObserver(() => this.resize()).observe(front);
    this.resize();
  }

  resize() {
    this.onBack = fitted(this.back);
    this.onFront = fitted(this.front);
    this.view.pixels = this.front.getBoundingClientRect().width;
    this.refresh();
  }

  recolour() {
    this.colour = colours();
    this.refresh();
  }

  // -- what the controls do ----------------------------------------------------------------------------------------

  play() {
    if (this.chain.t === 0) this.chain.restart();
    Object.assign(this, { playing: true, due: 0, last: null, ended: null });
    this.refresh();
  }

  pause() {
    this.playing = false;
    this.say(`Paused at t = ${this.chain.t}.`);
    this.refresh();
  }

  restart() {
    this.chain.restart();
    this.forget();
    this.say(`${this.chain.count} particles of pure noise at t = ${this.chain.t}.`);
  }

  step(steps) {
    this.playing = false;
    for (let i = 0; i < Math.abs(steps); i++) steps > 0 ? this.chain.step() : this.chain.stepBack();
    this.say(`t = ${this.chain.t}`);
    this.refresh();
  }

  goTo(t) {
    this.playing = false;
    this.chain.diffuseTo(t);
    this.forget();
  }

  resizeCloud(count) {
    this.chain.resize(count);
    this.forget();
  }

  toggle(layer) {
    this.layers.has(layer) ? this.layers.delete(layer) : this.layers.add(layer);
    this.unit = null;
    this.refresh();
  }

  faster(by) {
    this.speed = Math.max(0, Math.min(SPEEDS.length - 1, this.speed + by));
    this.say(`${SPEEDS[this.speed]} steps a second`);
    this.refresh();
  }

  uturn(point, repeats = 10) {
    if (this.chain.t === 0) {
      this.say("At t = 0 nothing is diffused: move the slider towards noise, then click again.");
      return null;
    }
    this.playing = false;
    this.turn = this.chain.uturn(point, repeats);
    const ends = Array.from({ length: repeats }, (_, r) => this.shown(this.turn.ends.slice(2 * r, 2 * r + 2)));
    this.say(`${this.shown(point)} diffused to t = ${this.chain.t} is ${this.shown(this.turn.diffused)}, and came back `
      + `${repeats} times, to ${ends.join(" ")}`);
    this.refresh();
    return this.turn;
  }

  /** A point in the user's units. */
  shown(point) {
    const value = (axis) => this.about.axes[axis].centre + this.about.axes[axis].scale * point[axis];
    return `(${Number(value(0).toPrecision(3))}, ${Number(value(1).toPrecision(3))})`;
  }

  pick(unit) {
    if (this.unit === unit) return;
    this.unit = unit;
    this.refresh();
  }

  /** Unit whose kink is nearest to a point of the plane, or null if none is within reach. */
  unitNear([x, y]) {
    const { units } = this.model.bank.network(this.shownTime);
    let best = null, least = REACH / this.view.scale;
    for (let j = 0; j < units.length; j += UNIT) {
      const distance = Math.abs(units[j] * x + units[j + 1] * y + units[j + 2]) / Math.hypot(units[j], units[j + 1]);
      if (distance < least) [best, least] = [j / UNIT, distance];
    }
    return best;
  }

  forget() {
    Object.assign(this, { turn: null, unit: null, ended: null });
    this.refresh();
  }

  // -- frames --------------------------------------------------------------------------------------------------------

  refresh() {
    this.stale = true;
    this.ask();
  }

  ask() {
    if (this.asked || !this.front) return;
    this.asked = true;
    requestAnimationFrame((now) => this.frame(now));
  }

  frame(now) {
    this.asked = false;
    if (this.playing) this.move(now);
    const fresh = this.advanceExact();
    if (this.stale || fresh || this.playing) {
      const still = !this.stale && now - this.backDrawn < BACK_SHARE * this.backCost;
      if (!still) this.drawBack(now);
      this.drawFront();
      this.onChange();
    }
    this.stale = false;
    if (this.playing || this.making) this.ask();
  }

  /** Take the steps that are due since the last frame, as far as there is time for them. */
  move(now) {
    const passed = this.last === null ? 0 : (now - this.last) / 1000;
    if (passed > 0) this.fps = this.fps === null ? 1 / passed : 0.95 * this.fps + 0.05 / passed;
    this.last = now;
    if (this.chain.t === 0) {
      this.ended ??= now;
      if (!this.again) this.pause();
      else if (now - this.ended > 1000 * PAUSE) this.restart();
      return;
    }
    this.turn = null;
    this.due += Math.min(passed, 0.1) * SPEEDS[this.speed];
    const end = performance.now() + MOVING;
    while (this.due >= 1 && this.chain.step()) {
      this.due--;
      if (performance.now() > end) this.due = 0;
    }
  }

  /** Go on with the exact law of the time shown, if a layer needs it; true when a new one is there. */
  advanceExact() {
    if (!["exact", "difference", "contours"].some((layer) => this.layers.has(layer))) {
      this.making = this.exact = null;
      return false;
    }
    if (!this.making && this.exact?.t !== this.shownTime) {
      this.making = new ExactField(this.empirical, this.view, this.shownTime);
    }
    if (!this.making?.advance(this.playing ? 4 : 14)) return false;
    [this.exact, this.making] = [this.making, null];
    if (this.exact.t !== this.shownTime) this.ask();
    return true;
  }

  drawBack(now) {
    const begun = performance.now();
    const { onBack: on, view, colour, layers, exact } = this;
    on.clearRect(0, 0, view.pixels, view.pixels);
    if (layers.has("data")) drawData(on, view, colour, this.model.points);
    if (layers.has("contours") && exact) drawContours(on, view, colour, exact);
    if (layers.has("kinks")) drawKinks(on, view, colour, this.model.bank.network(this.shownTime).units);
    const { places, nodes } = this.arrows;
    const learned = (t) => this.model.bank.xiHat(places, t, new Float64Array(places.length)).map((xi) => -xi);
    const width = layers.has("exact") ? 3.4 : 1.5; // so that both are seen where they agree
    if (layers.has("learned")) drawArrows(on, view, { colour: colour.learned, width }, places, learned(this.shownTime));
    if (exact && (layers.has("exact") || layers.has("difference"))) {
      const theirs = places.map((_, i) => exact.noise * exact.score[2 * nodes[i >> 1] + (i & 1)]);
      if (layers.has("exact")) drawArrows(on, view, { colour: colour.exact, width: 1.3 }, places, theirs);
      if (layers.has("difference")) {
        const less = learned(exact.t).map((value, i) => value - theirs[i]);
        drawArrows(on, view, { colour: colour.difference, width: 1.8 }, places, less);
      }
    }
    drawAxes(on, view, colour, this.about.axes);
    Object.assign(this, { backDrawn: now, backCost: performance.now() - begun });
  }

  drawFront() {
    const { onFront: on, view, colour } = this;
    on.clearRect(0, 0, view.pixels, view.pixels);
    drawParticles(on, view, colour, this.chain.x);
    if (this.unit !== null) drawUnit(on, view, colour, this.model.bank.network(this.shownTime).units, this.unit);
    if (this.turn) drawTurn(on, view, colour, this.turn);
  }
}
