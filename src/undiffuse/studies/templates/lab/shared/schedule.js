// The schedule and the steps of the samplers, as in undiffuse/diffusion: for states of any dimension.

/** All from the Ornstein-Uhlenbeck times tau_t = -log(alpha_bar_t)/2, so that small variances keep their digits. */
class Schedule {
  constructor(ouTime, noiseScale) {
    this.ouTime = ouTime;
    this.T = ouTime.length - 1;
    this.noiseScale = noiseScale;
  }

  signal(t) { return Math.exp(-this.ouTime[t]); }

  Delta(t) { return -Math.expm1(-2 * this.ouTime[t]); }

  noise(t) { return this.noiseScale * Math.sqrt(this.Delta(t)); }

  /** alpha, beta and beta~ of the jump p -> t. */
  between(t, p) {
    const logAlpha = -2 * (this.ouTime[t] - this.ouTime[p]), beta = -Math.expm1(logAlpha);
    return [Math.exp(logAlpha), beta, beta * this.Delta(p) / this.Delta(t)];
  }
}

/** p, q and r of a step p x + q xi_hat + r z from t to the earlier time `to`; of Heun's rule there are none. */
function coefficients(schedule, sampler, t, to) {
  if (to === 0) return [1 / schedule.signal(t), -schedule.noise(t) / schedule.signal(t), 0];
  const [, beta, posterior] = schedule.between(t, to);
  const ancestral = sampler.name === "ancestral";
  const added = ancestral ? beta : sampler.eta ** 2 * posterior;
  const kept = schedule.Delta(to) - (ancestral ? posterior : added);
  const shrink = schedule.signal(to) / schedule.signal(t), s = schedule.noiseScale;
  return [shrink, s * Math.sqrt(kept) - shrink * schedule.noise(t), s * Math.sqrt(added)];
}

/** One reverse step of all particles, in place. */
function reverseStep(model, sampler, x, t, to, noise) {
  const { bank, schedule } = model;
  const xi = bank.xiHat(x, t, new Float64Array(x.length));
  if (sampler.name === "ode" && to > 0) {
    heun(model, x, xi, t, to);
    return;
  }
  const [p, q, r] = coefficients(schedule, sampler, t, to);
  const z = r ? noise.fill(new Float64Array(x.length)) : xi;
  for (let i = 0; i < x.length; i++) x[i] = p * x[i] + q * xi[i] + r * z[i];
}

/** Heun's rule for dy/dsigma = xi_hat with y = x/sqrt(alpha_bar), sigma = s sqrt(Delta/alpha_bar). */
function heun({ bank, schedule }, x, xi, t, to) {
  const here = schedule.signal(t), there = schedule.signal(to);
  const change = schedule.noise(to) / there - schedule.noise(t) / here;
  const predicted = new Float64Array(x.length);
  for (let i = 0; i < x.length; i++) predicted[i] = (x[i] / here + change * xi[i]) * there;
  const xiThere = bank.xiHat(predicted, to, new Float64Array(x.length));
  for (let i = 0; i < x.length; i++) x[i] = (x[i] / here + change * (xi[i] + xiThere[i]) / 2) * there;
}
