// The mathematics: schedule, networks, samplers and the exact score, as in undiffuse/diffusion and undiffuse/networks.
// States are Float64Array, two numbers a particle; weights are Float32Array, decoded from 16 bits when a time is used.

/** sfc32 seeded by one number, and normal numbers from it by the polar method. */
class Noise {
  constructor(seed) {
    this.given = [];
    this.reseed(seed);
  }

  reseed(seed) {
    this.state = [seed | 0, 0x9e3779b9 | 0, 0x243f6a88 | 0, 1];
    this.spare = null;
    for (let i = 0; i < 16; i++) this.uniform();
  }

  uniform() {
    const s = this.state;
    const sum = (s[0] + s[1] + s[3]) | 0;
    s[3] = (s[3] + 1) | 0;
    s[0] = s[1] ^ (s[1] >>> 9);
    s[1] = (s[2] + (s[2] << 3)) | 0;
    s[2] = ((s[2] << 21) | (s[2] >>> 11)) + sum | 0;
    return (sum >>> 0) / 4294967296;
  }

  normal() {
    if (this.spare !== null) {
      const kept = this.spare;
      this.spare = null;
      return kept;
    }
    for (;;) {
      const u = 2 * this.uniform() - 1, v = 2 * this.uniform() - 1, r = u * u + v * v;
      if (r > 0 && r < 1) {
        const factor = Math.sqrt(-2 * Math.log(r) / r);
        this.spare = v * factor;
        return u * factor;
      }
    }
  }

  /** Fill an array: with the next of the arrays that were given, if there are any. */
  fill(out) {
    const given = this.given.shift();
    if (given) out.set(given);
    else for (let i = 0; i < out.length; i++) out[i] = this.normal();
    return out;
  }
}

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

function bytesOf(base64) {
  const text = atob(base64), bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes.buffer;
}

/** The float of each of the 65536 patterns of 16 bits. */
function tableOfHalves() {
  const table = new Float32Array(65536);
  for (let i = 0; i < 65536; i++) {
    const sign = i & 0x8000 ? -1 : 1, exponent = (i >> 10) & 31, fraction = i & 1023;
    if (exponent === 31) table[i] = fraction ? NaN : sign * Infinity;
    else table[i] = sign * (exponent ? 2 ** (exponent - 15) * (1 + fraction / 1024) : 2 ** -24 * fraction);
  }
  return table;
}

const UNIT = 5; // w (2), b, a (2)
const MAP = 7; // scale, M (4), k (2)
const NETWORKS_KEPT = 64;
const FORMS = { relu: [0.5, 0.5], linear: [1, 0] }; // h(u) = p u + q |u|

class Bank {
  constructor(about, units) {
    Object.assign(this, { times: about.times, hidden: about.hidden, maps: about.maps });
    this.form = FORMS[about.activation]; // none for the sigmoid
    this.halves = new Uint16Array(bytesOf(units));
    this.table = tableOfHalves();
    this.place = new Map(this.times.map((t, i) => [t, i]));
    this.first = [0];
    for (const count of this.hidden) this.first.push(this.first.at(-1) + UNIT * count);
    this.kept = new Map();
  }

  /** Network of one of the times: `units` is (hidden, 5), `map` the rest of the formula. */
  network(t) {
    let found = this.kept.get(t);
    if (found) return found;
    const i = this.place.get(t), first = this.first[i], units = new Float32Array(this.first[i + 1] - first);
    for (let j = 0; j < units.length; j++) units[j] = this.table[this.halves[first + j]];
    found = { units, hidden: this.hidden[i], map: this.maps.slice(MAP * i, MAP * (i + 1)) };
    if (this.kept.size >= NETWORKS_KEPT) this.kept.delete(this.kept.keys().next().value);
    this.kept.set(t, found);
    return found;
  }

  /** xi_hat = scale sum_u a_u h(w_u x + b_u) + x M + k, for all particles. */
  xiHat(x, t, out) {
    const { units, map } = this.network(t), [scale, m00, m01, m10, m11, k0, k1] = map;
    if (this.form) bentSums(units, ...this.form, x, out);
    else sigmoidSums(units, x, out);
    for (let i = 0; i < x.length; i += 2) {
      const x0 = x[i], x1 = x[i + 1];
      out[i] = scale * out[i] + x0 * m00 + x1 * m10 + k0;
      out[i + 1] = scale * out[i + 1] + x0 * m01 + x1 * m11 + k1;
    }
    return out;
  }
}

/** Sums of a h for h(u) = p u + q |u|. Without a branch, and for two particles at a time: a fifth of the time. */
function bentSums(units, p, q, x, out) {
  for (let i = 0; i < x.length; i += 4) {
    const k = i + 2 < x.length ? i + 2 : i; // the last of an odd number is its own partner
    const x0 = x[i], x1 = x[i + 1], y0 = x[k], y1 = x[k + 1];
    let r0 = 0, r1 = 0, s0 = 0, s1 = 0;
    for (let j = 0; j < units.length; j += UNIT) {
      const w0 = units[j], w1 = units[j + 1], b = units[j + 2], a0 = units[j + 3], a1 = units[j + 4];
      const u = w0 * x0 + w1 * x1 + b, v = w0 * y0 + w1 * y1 + b;
      const g = p * u + q * Math.abs(u), h = p * v + q * Math.abs(v);
      r0 += a0 * g;
      r1 += a1 * g;
      s0 += a0 * h;
      s1 += a1 * h;
    }
    out[i] = r0;
    out[i + 1] = r1;
    out[k] = s0;
    out[k + 1] = s1;
  }
}

function sigmoidSums(units, x, out) {
  for (let i = 0; i < x.length; i += 2) {
    let r0 = 0, r1 = 0;
    for (let j = 0; j < units.length; j += UNIT) {
      const h = 1 / (1 + Math.exp(-units[j] * x[i] - units[j + 1] * x[i + 1] - units[j + 2]));
      r0 += units[j + 3] * h;
      r1 += units[j + 4] * h;
    }
    out[i] = r0;
    out[i + 1] = r1;
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

const NEGLIGIBLE = 36; // kernels below e^-36 of the largest

/** The law of the training points diffused to t: a Gaussian around each. */
class Empirical {
  constructor(schedule, points) {
    this.schedule = schedule;
    this.points = points;
    this.distances = new Float64Array(points.length / 2);
    this.centres = new Float64Array(points.length);
    this.at = -1;
  }

  /** [score_1, score_2, log density] of one point, in closed form. */
  evaluate(x0, x1, t) {
    const { centres, distances } = this, count = distances.length;
    if (this.at !== t) {
      const signal = this.schedule.signal(t);
      for (let i = 0; i < centres.length; i++) centres[i] = signal * this.points[i];
      this.at = t;
    }
    const variance = this.schedule.noise(t) ** 2;
    let least = Infinity;
    for (let i = 0; i < count; i++) {
      const d0 = centres[2 * i] - x0, d1 = centres[2 * i + 1] - x1, d = d0 * d0 + d1 * d1;
      distances[i] = d;
      if (d < least) least = d;
    }
    const farthest = least + 2 * variance * NEGLIGIBLE;
    let total = 0, m0 = 0, m1 = 0;
    for (let i = 0; i < count; i++) {
      if (distances[i] > farthest) continue;
      const weight = Math.exp((least - distances[i]) / (2 * variance));
      total += weight;
      m0 += weight * centres[2 * i];
      m1 += weight * centres[2 * i + 1];
    }
    const logDensity = Math.log(total / count) - least / (2 * variance) - Math.log(2 * Math.PI * variance);
    return [(m0 / total - x0) / variance, (m1 / total - x1) / variance, logDensity];
  }
}
