// Walkers of mu, and clones of them. The sum of N Ornstein-Uhlenbeck processes is one, so mu walks alone, and exactly.

const CLONINGS = 10; // times at which walkers are cloned
const CLONES = 300; // walkers that are cloned at each

class SpinChain extends Chain {
  constructor(law, count, seed) {
    const ouTime = [0, ...law.times()];
    const walk = ouTime.map((_, t) => ouTime.length - 1 - t);
    super({ schedule: new Schedule(ouTime, 1), law }, walk, 1, count, seed);
    this.cloning = true;
  }

  get tau() { return this.model.schedule.ouTime[this.t]; }

  /** Number of walkers; clones come after them in x. */
  get count() { return this.walkers ?? this.x.length; }

  resize(count) {
    this.walkers = count;
    super.resize(count);
  }

  restart() {
    this.x = new Float64Array(this.walkers);
    super.restart();
    this.unmeasure();
    this.whole = true; // a walk from noise, with all its times
    this.measure();
  }

  /** Forget measurements and clones. */
  unmeasure() {
    Object.assign(this, { memory: null, groups: [], measured: [], whole: false, x: this.x.slice(0, this.walkers) });
  }

  /** Times of the walk at which walkers are cloned. */
  get clonings() {
    const { law, schedule } = this.model, middle = Math.log(Math.max(1, law.moments[1])) / 2;
    return Array.from({ length: CLONINGS }, (_, i) => {
      const tau = Math.max(0.3, middle - 1.5) + (middle + 1.5 - Math.max(0.3, middle - 1.5)) * i / (CLONINGS - 1);
      return schedule.ouTime.findIndex((each) => each >= tau);
    });
  }

  /** Mean of mu_0 given each mu. */
  means(x, t) {
    const { law, schedule } = this.model;
    return law.means(x, schedule.ouTime[t]);
  }

  /** The ancestral step with the posterior variance, corrected at its end: undiffuse.physics.corrected. */
  step() {
    const t = this.t, to = this.walk[this.index + 1], { schedule } = this.model;
    if (t === 0) return false;
    if (to === 0) {
      this.x = this.means(this.x, t);
      this.memory = null;
    } else {
      const [alpha, beta, posterior] = schedule.between(t, to), before = schedule.Delta(t);
      const share = schedule.signal(to) * beta / before, keep = Math.sqrt(alpha) * schedule.Delta(to) / before;
      const x0 = this.memory ?? this.means(this.x, t), z = this.noise.fill(new Float64Array(this.x.length));
      const y = this.x.map((mu, i) => keep * mu + share * x0[i] + Math.sqrt(posterior) * z[i]);
      const ahead = this.means(y, to);
      this.x = y.map((mu, i) => mu + share / 2 * (ahead[i] - x0[i]));
      this.memory = ahead;
    }
    this.index++;
    this.origin = null;
    this.measure();
    return true;
  }

  /** The cumulant of the walkers now; and clones of them, at the times for that. */
  measure() {
    if (!this.whole) return;
    this.measured.push({ tau: this.tau, binder: cumulant(this.x, this.walkers) });
    if (!this.cloning || !this.clonings.includes(this.t)) return;
    const n = Math.min(CLONES, this.walkers), first = this.x.length;
    const grown = (array) => { const out = new Float64Array(first + n); out.set(array); out.set(array.subarray(0, n), first); return out; };
    this.x = grown(this.x);
    if (this.memory) this.memory = grown(this.memory);
    this.groups.push({ tau: this.tau, first, n });
  }

  /** Share of clones that have the sign of their walker: [tau, share, number] for each time of cloning so far. */
  get shares() {
    return this.groups.map(({ tau, first, n }) => {
      let same = 0;
      for (let i = 0; i < n; i++) if (this.x[i] > 0 === this.x[first + i] > 0) same++;
      return [tau, same / n, n];
    });
  }

  stepBack() {
    this.unmeasure();
    return super.stepBack();
  }

  diffuseTo(t) {
    this.unmeasure();
    super.diffuseTo(t);
  }

  /** Exact draws of mu at tau = 0. */
  data() {
    const { law } = this.model, cumulative = [];
    law.logLaw.reduce((all, log, k) => (cumulative[k] = all + Math.exp(log)), 0);
    return Float64Array.from(this.x, () => {
      const level = this.noise.uniform() * cumulative.at(-1);
      let low = 0, high = cumulative.length - 1;
      while (low < high) {
        const middle = (low + high) >> 1;
        if (cumulative[middle] > level) high = middle;
        else low = middle + 1;
      }
      return law.states[low];
    });
  }
}

/** Binder cumulant 1 - <mu^4>/(3 <mu^2>^2) of the first n. */
function cumulant(x, n) {
  let second = 0, fourth = 0;
  for (let i = 0; i < n; i++) {
    second += x[i] ** 2;
    fourth += x[i] ** 4;
  }
  return 1 - n * fourth / (3 * second * second);
}
