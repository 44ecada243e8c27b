// The player of spins: a model that its sliders change, walkers of mu, and what is measured on them.

const REMEMBERED = 3; // models before this one whose measurements stay in the charts

class SpinPlayer extends Clock {
  constructor(about) {
    const law = new SpinLaw(about.N, about.beta, about.h);
    super(about, new SpinChain(law, about.particles, about.seed));
    this.layers = new Set(["potential", "large", "law"]);
    Object.assign(this, { speed: 4, collapsed: false, earlier: [], looked: null });
    this.take(law);
  }

  get law() { return this.chain.model.law; }

  get here() { return `τ = ${this.chain.tau.toFixed(2)}`; }

  get beginning() { return `${this.chain.count} walkers of pure noise at ${this.here}.`; }

  /** Curves, times and marks of a law. */
  take(law) {
    this.curves = new Curves(law);
    const { ouTime } = this.chain.model.schedule, critical = law.critical();
    const placed = Object.entries(critical).map(([name, tau]) => [name, placeOf(ouTime, tau)]);
    Object.assign(this.about, { T: ouTime.length - 1, critical: Object.fromEntries(placed), criticalTau: critical });
    // Behind the slider: the Binder cumulant of N spins.
    this.about.errors = ouTime.slice(1).map((tau, i) => [i + 1, Math.max(0, law.binderExact(tau)), null]);
    this.looked = null;
  }

  /** Another model: walkers start again from noise; what was measured on the last one stays, faintly. */
  setModel(N, beta, h) {
    const { chain } = this, { N: oldN, beta: oldBeta } = this.law;
    if (chain.t === 0 && chain.measured.length) {
      this.earlier.push({ N: oldN, measured: chain.measured, shares: chain.shares });
      this.earlier = this.earlier.slice(-REMEMBERED);
    }
    if (beta !== oldBeta || h !== this.law.h) this.earlier = []; // other curves than these
    const next = new SpinChain(new SpinLaw(N, beta, h), chain.count, 0);
    Object.assign(next, { noise: chain.noise, cloning: chain.cloning });
    next.restart();
    this.chain = next;
    this.take(next.model.law);
    this.forget();
    showTimebar(this);
  }

  resizeCloud(count) {
    this.chain.resize(count);
    this.forget();
  }

  toggle(layer) {
    this.layers.has(layer) ? this.layers.delete(layer) : this.layers.add(layer);
    this.refresh();
  }

  collapse() {
    this.collapsed = !this.collapsed;
    this.refresh();
  }

  clear() { this.earlier = this.chain.whole && this.chain.index === 0 ? this.earlier : []; }

  fit() {
    this.on = Object.fromEntries(Object.entries(this.canvases).map(([name, canvas]) => [name, fitted(canvas)]));
    this.box = Object.fromEntries(Object.entries(this.canvases).map(([name, canvas]) => [name, canvas.getBoundingClientRect()]));
  }

  get busy() { return !this.curves.complete; }

  advance() { return this.curves.advance(this.playing ? 4 : 12); }

  /** Potential and law of the time shown; at the data those of the first time after. */
  get seen() {
    const tau = this.chain.model.schedule.ouTime[Math.max(1, this.chain.t)];
    if (this.looked?.tau !== tau || this.looked.law !== this.law) this.looked = new Seen(this.law, tau);
    return this.looked;
  }

  draw() {
    const { on, box, colour, layers, seen, chain } = this, walkers = chain.x.subarray(0, chain.count);
    drawPotential(on.potential, box.potential, colour, seen, layers, walkers);
    drawLaw(on.law, box.law, colour, seen, layers, walkers);
    this.drawCharts();
  }

  drawCharts() {
    const { on, box, colour, curves, chain, law } = this, end = curves.tau[0];
    const along = (N) => (tau) => (this.collapsed ? Math.log(N) - 2 * tau : tau), here = along(law.N);
    const frame = {
      from: this.collapsed ? here(end) : 0, to: this.collapsed ? here(0) : end, axis: this.collapsed ? "log(N e^−2τ)" : "τ",
    };
    const xs = curves.tau.map(here), root = Math.sqrt(chain.count);
    const binder = new Chart(on.binder, box.binder, colour, { ...frame, levels: [-0.2, 0, 0.2, 0.4, 0.6, 0.8], title: "Binder cumulant of μ" });
    if (curves.binderInfinite) binder.curve(xs, curves.binderInfinite, colour.difference, [6, 4]);
    const edges = [-2, 2].map((by) => curves.binder.map((value, i) => value + by * curves.scatter[i] / root));
    binder.band(xs, ...edges, colour.exact);
    binder.curve(xs, curves.binder, colour.exact);
    for (const old of this.earlier) binder.points(thinned(old.measured, 6).map((m) => along(old.N)(m.tau)), thinned(old.measured, 6).map((m) => m.binder), colour.data, 1.8);
    const measured = thinned(chain.measured, 3);
    binder.points(measured.map((m) => here(m.tau)), measured.map((m) => m.binder), colour.particle, 2.2);
    binder.now(here(chain.tau), colour.ink);

    const cloning = new Chart(on.cloning, box.cloning, colour, { ...frame, levels: [0.5, 0.6, 0.7, 0.8, 0.9, 1], title: "clones that end with the same sign" });
    if (curves.cloningInfinite) cloning.curve(xs, curves.cloningInfinite, colour.difference, [6, 4]);
    const n = Math.min(CLONES, chain.count), error = (phi) => 2 * Math.sqrt(Math.max(0, phi * (1 - phi)) / n);
    cloning.band(xs.slice(0, curves.cloning.length), curves.cloning.map((phi) => phi - error(phi)), curves.cloning.map((phi) => phi + error(phi)), colour.exact);
    cloning.curve(xs, curves.cloning, colour.exact);
    for (const old of this.earlier) cloning.points(old.shares.map(([tau]) => along(old.N)(tau)), old.shares.map(([, share]) => share), colour.data, 2.4);
    cloning.points(chain.shares.map(([tau]) => here(tau)), chain.shares.map(([, share]) => share), colour.particle, 3.4);
    cloning.now(here(chain.tau), colour.ink);
  }
}

function thinned(list, every) { return list.filter((_, i) => i % every === 0 || i === list.length - 1); }

/** Place of a time between those of the walk. */
function placeOf(ouTime, tau) {
  const t = ouTime.findIndex((each) => each >= tau);
  return t < 1 ? ouTime.length - 1 : t - (ouTime[t] - tau) / (ouTime[t] - ouTime[t - 1]);
}
