// The Curie-Weiss model in closed form, as in undiffuse/physics/curie_weiss.py and magnetisation.py: theta = e^-tau is
// what is left of the spins at time tau, D = 1 - theta^2 the noise, mu = sum_i x_i/sqrt(N) the coordinate that walks.

const RARE = 45; // sums below e^-45 of the most likely one are left out
const SMALL = 37; // terms below e^-37 of the largest
const COARSE = 2.2; // states to a standard deviation of the law, where all are not needed
const FINE = 4; // points of a quadrature for each standard deviation of the noise

class SpinLaw {
  constructor(N, beta, h) {
    Object.assign(this, { N, beta, h });
    const entropy = logFactorials(N), logs = [], sums = [];
    for (let up = 0; up <= N; up++) {
      const sum = 2 * up - N;
      sums.push(sum);
      logs.push(entropy[N] - entropy[up] - entropy[N - up] + beta / (2 * N) * sum * sum + h / N * sum);
    }
    const top = logs.reduce((a, b) => Math.max(a, b)), total = logs.reduce((all, log) => all + Math.exp(log - top), 0);
    const kept = sums.map((_, k) => k).filter((k) => logs[k] - top > -RARE);
    this.first = kept[0];
    const last = kept.at(-1);
    this.logLaw = Float64Array.from(logs.slice(this.first, last + 1), (log) => log - top - Math.log(total));
    this.states = Float64Array.from(sums.slice(this.first, last + 1), (sum) => sum / Math.sqrt(N)); // of mu at tau = 0
    this.exponents = new Float64Array(this.states.length);
    this.mStar = beta > 1 ? magnetisation(beta) : 0;
    const rest = 1 - this.mStar ** 2;
    this.chi = rest / (1 - beta * rest); // without end at beta = 1
    this.moments = [0, 2, 4, 6, 8].map((order) => this.average((mu) => mu ** order));
    this.mean = this.average((mu) => mu);
    this.variance = this.moments[1] - this.mean ** 2;
  }

  average(f) { return this.states.reduce((all, mu, k) => all + Math.exp(this.logLaw[k]) * f(mu), 0); }

  /** Exact moment <mu_tau^order>, of an even order up to 8. */
  moment(order, tau) {
    const theta2 = Math.exp(-2 * tau);
    let sum = 0;
    for (let k = 0; k <= order; k += 2) {
      sum += choose(order, k) * oddProduct(order - k) * (theta2 ** (k / 2)) * ((1 - theta2) ** ((order - k) / 2)) * this.moments[k / 2];
    }
    return sum;
  }

  /** Binder cumulant of mu_tau, for N spins. */
  binderExact(tau) { return 1 - this.moment(4, tau) / (3 * this.moment(2, tau) ** 2); }

  /** Standard error of a Binder cumulant from one draw; divide by the root of their number. */
  binderScatter(tau) {
    const [m2, m4, m6, m8] = [2, 4, 6, 8].map((order) => this.moment(order, tau));
    const by4 = -1 / (3 * m2 ** 2), by2 = 2 * m4 / (3 * m2 ** 3);
    return Math.sqrt(by4 ** 2 * (m8 - m4 ** 2) + by2 ** 2 * (m4 - m2 ** 2) + 2 * by4 * by2 * (m6 - m4 * m2));
  }

  /** r and Gamma of the infinite system: squared distance of the states from 0, and the variance of each. */
  separation(tau) {
    const theta2 = Math.exp(-2 * tau);
    return [this.N * this.mStar ** 2 * theta2, 1 - theta2 + this.chi * theta2];
  }

  binder(tau) {
    const [r, Gamma] = this.separation(tau);
    return 2 / 3 * (r / (r + Gamma)) ** 2;
  }

  get weights() {
    const plus = 1 / (1 + Math.exp(-2 * this.h * this.mStar));
    return [plus, 1 - plus];
  }

  /** Cloning probability of the infinite system. */
  cloning(tau) {
    const [r, Gamma] = this.separation(tau), ratio = Math.sqrt(r / Gamma), [plus, minus] = this.weights, step = 0.02;
    if (ratio > 20) return 1;
    let sum = 0;
    for (let y = -ratio - 9; y <= ratio + 9; y += step) {
      const up = plus * Math.exp(-((y - ratio) ** 2) / 2), down = minus * Math.exp(-((y + ratio) ** 2) / 2);
      if (up + down > 0) sum += (up * up + down * down) / (up + down);
    }
    return sum * step / Math.sqrt(2 * Math.PI);
  }

  /** Places of the states whose Gaussians at mu are not negligible: [from, to). */
  reach(mu, tau) {
    const theta = Math.exp(-tau), D = -Math.expm1(-2 * tau), { states } = this;
    const wide = Math.sqrt(2 * (SMALL + RARE) * D) / theta, gap = states.length > 1 ? states[1] - states[0] : 1;
    const from = Math.floor((mu / theta - wide - states[0]) / gap), to = Math.ceil((mu / theta + wide - states[0]) / gap) + 1;
    const last = states.length;
    // Far outside, the nearest state takes all.
    return [Math.max(0, Math.min(from, last - 1)), Math.min(last, Math.max(to, 1))];
  }

  /**
   * Every how many-th state is enough at tau: the sum over them is the trapezoidal rule for a law that is this smooth. The
   * probability of a positive sum, which has a jump, wants all.
   */
  stride(tau) {
    const curvature = Math.exp(-2 * tau) / -Math.expm1(-2 * tau) + 1 / (1 - this.mStar ** 2);
    return Math.max(1, Math.floor(Math.sqrt(this.N / curvature) / 2 / COARSE));
  }

  /** The sum of all Gaussians at mu: [log of it, mean of mu_0 given mu, probability of a positive sum given mu]. */
  evaluate(mu, tau, stride = 1) {
    const theta = Math.exp(-tau), D = -Math.expm1(-2 * tau), { states, logLaw, exponents, N, first } = this;
    const [least, to] = this.reach(mu, tau), from = least - least % stride, half = 1 / (2 * D);
    let top = -Infinity;
    for (let k = from; k < to; k += stride) {
      const away = mu - theta * states[k], exponent = logLaw[k] - away * away * half;
      exponents[k] = exponent;
      if (exponent > top) top = exponent;
    }
    let total = 0, mean = 0, plus = 0;
    for (let k = from; k < to; k += stride) {
      const exponent = exponents[k] - top;
      if (exponent < -SMALL) continue;
      const weight = Math.exp(exponent), sum = 2 * (first + k) - N;
      total += weight;
      mean += weight * states[k];
      if (sum > 0) plus += weight;
      else if (sum === 0) plus += weight / 2;
    }
    return [top + Math.log(total * stride) - Math.log(2 * Math.PI * D) / 2, mean / total, plus / total];
  }

  logDensity(mu, tau) { return this.evaluate(mu, tau, this.stride(tau))[0]; }

  /** Mean of mu_0 given each mu. */
  means(x, tau) {
    const stride = this.stride(tau);
    return x.map((mu) => this.evaluate(mu, tau, stride)[1]);
  }

  /** Potential of the reverse drift mu + 2 F, F the exact score: -mu^2/2 - 2 log P_tau(mu). */
  potential(mu, tau) { return -mu * mu / 2 - 2 * this.logDensity(mu, tau); }

  /** The same with (27) as the score, for large times; zero where there is no ferromagnet. */
  potentialLargeTime(mu, tau) {
    const D = -Math.expm1(-2 * tau);
    const argument = Math.abs(this.mStar * (this.h + Math.sqrt(this.N) * mu * Math.exp(-tau) / D));
    return mu * mu / (2 * Math.tanh(tau)) - 2 * (argument + Math.log1p(Math.exp(-2 * argument)) - Math.LN2);
  }

  /** Probability that two ways back from one mu_tau end with the same sign, for N spins. */
  cloningExact(tau) {
    const theta = Math.exp(-tau), D = -Math.expm1(-2 * tau), step = Math.sqrt(D) / FINE;
    let sum = 0;
    const end = theta * this.states.at(-1) + 8 * Math.sqrt(D);
    for (let mu = theta * this.states[0] - 8 * Math.sqrt(D); mu <= end; mu += step) {
      const [log, , plus] = this.evaluate(mu, tau);
      sum += Math.exp(log) * (plus * plus + (1 - plus) ** 2);
    }
    return sum * step;
  }

  /** Times of the transition by each criterion that is defined, by name. */
  critical() {
    const a = this.N * this.mStar ** 2, found = {};
    if (this.h === 0 && a > 0) {
      if (a + 1 - this.chi > 1) found.marginal = Math.log(a + 1 - this.chi) / 2;
      found.potential = Math.log(a + Math.sqrt(a * a + 1)) / 2;
    }
    if (this.variance > 1) found.covariance = Math.log(this.variance) / 2;
    return found;
  }

  /** Times of the walk, increasing: even steps through the transition, and ever smaller ones towards the data. */
  times() {
    const top = Math.log(Math.max(1, this.moments[1])) / 2 + 3, near = 24, steps = Math.ceil((top - 0.3) / 0.03);
    const early = Array.from({ length: near }, (_, i) => 0.01 * 30 ** (i / (near - 1)));
    return early.concat(Array.from({ length: steps }, (_, i) => 0.3 + (top - 0.3) * (i + 1) / steps));
  }
}

/** log n! for 0..N. */
function logFactorials(N) {
  const logs = new Float64Array(N + 1);
  for (let n = 2; n <= N; n++) logs[n] = logs[n - 1] + Math.log(n);
  return logs;
}

/** The positive solution of m = tanh(beta m). */
function magnetisation(beta) {
  let low = 1e-12, high = 1;
  for (let i = 0; i < 200 && low < high; i++) {
    const middle = (low + high) / 2;
    if (middle === low || middle === high) break;
    if (Math.tanh(beta * middle) > middle) low = middle;
    else high = middle;
  }
  return (low + high) / 2;
}

function choose(n, k) {
  let value = 1;
  for (let i = 0; i < k; i++) value = value * (n - i) / (i + 1);
  return Math.round(value);
}

/** <z^n> of a normal number, n even: 1 3 5 ... (n - 1). */
function oddProduct(n) {
  let value = 1;
  for (let i = 1; i < n; i += 2) value *= i;
  return value;
}
