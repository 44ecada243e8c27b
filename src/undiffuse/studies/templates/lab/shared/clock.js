// What every player does: it holds a chain, moves and draws it once a frame, and rests when nothing changes.

const SPEEDS = [1, 3, 10, 30, 60, 120, 250, 500, 1000]; // steps a second
const MOVING = 14; // milliseconds of a frame that steps may take
const PAUSE = 1.5; // seconds at t = 0 before the walk starts again

class Clock {
  constructor(about, chain) {
    Object.assign(this, { about, chain, playing: false, again: true, speed: 5, due: 0, ended: null, last: null, fps: null });
    Object.assign(this, { asked: false, stale: true, attached: false });
    this.onChange = () => {};
    this.say = () => {};
  }

  // -- what a player adds --------------------------------------------------------------------------------------------

  /** Draw all that is seen. */
  draw() {}

  /** Fit the canvases to their places on the page. */
  fit() {}

  /** Forget what belongs to the state before. */
  clear() {}

  /** What is said of the present time, and of a new start. */
  get here() { return `t = ${this.chain.t}`; }

  get beginning() { return `Pure noise at ${this.here}.`; }

  /** Go on with work that takes more than a frame; true when there is something new to draw. */
  advance() { return false; }

  /** Whether that work is unfinished. */
  get busy() { return false; }

  // -- what the controls do ------------------------------------------------------------------------------------------

  /** Begin to draw, on these canvases. */
  attach(canvases) {
    Object.assign(this, { canvases, colour: colours(), attached: true });
    const watch = new ResizeObserver(() => this.resize());
    for (const canvas of Object.values(canvases)) watch.observe(canvas);
    this.resize();
  }

  resize() {
    this.fit();
    this.refresh();
  }

  recolour() {
    this.colour = colours();
    this.refresh();
  }

  play() {
    if (this.chain.t === 0) this.chain.restart();
    Object.assign(this, { playing: true, due: 0, last: null, ended: null });
    this.refresh();
  }

  pause() {
    this.playing = false;
    this.say(`Paused at ${this.here}.`);
    this.refresh();
  }

  restart() {
    this.chain.restart();
    this.forget();
    this.say(this.beginning);
  }

  step(steps) {
    this.playing = false;
    for (let i = 0; i < Math.abs(steps); i++) steps > 0 ? this.chain.step() : this.chain.stepBack();
    this.say(this.here);
    this.refresh();
  }

  goTo(t) {
    this.playing = false;
    this.chain.diffuseTo(t);
    this.forget();
  }

  faster(by) {
    this.speed = Math.max(0, Math.min(SPEEDS.length - 1, this.speed + by));
    this.say(`${SPEEDS[this.speed]} steps a second`);
    this.refresh();
  }

  forget() {
    this.ended = null;
    this.clear();
    this.refresh();
  }

  // -- frames --------------------------------------------------------------------------------------------------------

  refresh() {
    this.stale = true;
    this.ask();
  }

  ask() {
    if (this.asked || !this.attached) return;
    this.asked = true;
    requestAnimationFrame((now) => this.frame(now));
  }

  frame(now) {
    this.asked = false;
    if (this.playing) this.move(now);
    const fresh = this.advance();
    if (this.stale || fresh || this.playing) {
      this.draw(now);
      this.onChange();
    }
    this.stale = false;
    if (this.playing || this.busy) this.ask();
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
    this.moving();
    this.due += Math.min(passed, 0.1) * SPEEDS[this.speed];
    const end = performance.now() + MOVING;
    while (this.due >= 1 && this.chain.step()) {
      this.due--;
      if (performance.now() > end) this.due = 0;
    }
  }

  /** What is undone by going on. */
  moving() {}
}
