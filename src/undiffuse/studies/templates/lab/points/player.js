// The player of the plane: particles, and the layers beneath them.

const BACK_SHARE = 4; // frames go without new layers for as many times what these took to draw
const REACH = 9; // pixels from a kink within which the pointer finds it

class Player extends Clock {
  constructor(about, units, points) {
    const schedule = new Schedule(about.ouTime, about.noiseScale), bank = new Bank(about, units);
    const model = { schedule, bank, points: Float64Array.from(new Float32Array(bytesOf(points))) };
    super(about, new PlaneChain(model, [...bank.times].reverse().concat(0), 2, about.particles, about.seed));
    this.model = model;
    this.view = new View(model.points, about.noiseScale);
    this.empirical = new Empirical(schedule, model.points);
    this.arrows = arrowPlaces(this.view);
    this.layers = new Set(["data"]);
    Object.assign(this, { turn: null, unit: null, making: null, exact: null, backDrawn: 0, backCost: 0 });
  }

  /** Time whose network and law are shown: at t = 0 those of the first time there is. */
  get shownTime() { return this.chain.t || this.model.bank.times[0]; }

  get beginning() { return `${this.chain.count} particles of pure noise at ${this.here}.`; }

  fit() {
    this.onBack = fitted(this.canvases.back);
    this.onFront = fitted(this.canvases.front);
    this.view.pixels = this.canvases.front.getBoundingClientRect().width;
  }

  clear() { Object.assign(this, { turn: null, unit: null }); }

  moving() { this.turn = null; }

  resizeCloud(count) {
    this.chain.resize(count);
    this.forget();
  }

  toggle(layer) {
    this.layers.has(layer) ? this.layers.delete(layer) : this.layers.add(layer);
    this.unit = null;
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

  // -- frames --------------------------------------------------------------------------------------------------------

  get busy() { return this.making !== null; }

  /** Go on with the exact law of the time shown, if a layer needs it; true when a new one is there. */
  advance() {
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

  draw(now) {
    const still = !this.stale && now - this.backDrawn < BACK_SHARE * this.backCost;
    if (!still) this.drawBack(now);
    this.drawFront();
  }

  /** Contours of the learned potential of the time shown. */
  get ownContours() {
    if (this.own?.t !== this.shownTime) {
      this.own = { t: this.shownTime, contours: ownContours(this.model, this.view, this.shownTime) };
    }
    return this.own.contours;
  }

  drawBack(now) {
    const begun = performance.now();
    const { onBack: on, view, colour, layers, exact } = this;
    on.clearRect(0, 0, view.pixels, view.pixels);
    if (layers.has("data")) drawData(on, view, colour, this.model.points);
    if (layers.has("contours") && exact) drawContours(on, view, { colour: colour.contour, width: 1 }, exact.contours);
    if (layers.has("own")) drawContours(on, view, { colour: colour.learned, width: 2 }, this.ownContours);
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
