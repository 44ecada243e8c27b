// Curves of one model over all times: of N spins, and of infinitely many. Cloning takes quadratures, and goes on between
// frames.

const TIMES = 70;

class Curves {
  constructor(law) {
    this.law = law;
    const times = law.times(), end = times.at(-1);
    this.tau = Array.from({ length: TIMES }, (_, i) => end - (end - 0.02) * i / (TIMES - 1)); // from noise on
    this.binder = this.tau.map((tau) => law.binderExact(tau));
    this.scatter = this.tau.map((tau) => law.binderScatter(tau));
    const infinite = law.mStar > 0;
    this.binderInfinite = infinite ? this.tau.map((tau) => law.binder(tau)) : null;
    this.cloningInfinite = infinite ? this.tau.map((tau) => law.cloning(tau)) : null;
    this.cloning = [];
  }

  get complete() { return this.cloning.length === TIMES; }

  /** Go on for some milliseconds; true when something was done. */
  advance(milliseconds) {
    if (this.complete) return false;
    const end = performance.now() + milliseconds;
    do this.cloning.push(this.law.cloningExact(this.tau[this.cloning.length]));
    while (!this.complete && performance.now() < end);
    return true;
  }
}
