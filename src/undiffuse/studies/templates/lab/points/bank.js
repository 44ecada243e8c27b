// The networks, as in undiffuse/networks. States are Float64Array, two numbers a particle; weights are Float32Array,
// decoded from 16 bits when a time is used.

const UNIT = 5; // w (2), b, a (2)
const MAP = 7; // scale, M (4), k (2)
const NETWORKS_KEPT = 64;
const FORMS = { relu: [0.5, 0.5], linear: [1, 0] }; // h(u) = p u + q |u|

class Bank {
  constructor(about, units) {
    Object.assign(this, { times: about.times, hidden: about.hidden, maps: about.maps });
    this.form = FORMS[about.activation]; // none for the sigmoid
    this.integral = INTEGRALS[about.activation];
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

  /** log density of a bank of tied weights, up to a constant: its gradient is the learned score; equation (29). */
  logDensity(x0, x1, t, noise) {
    const { units, map } = this.network(t), [scale, m00, m01, m10, m11, k0, k1] = map;
    let heights = 0;
    for (let j = 0; j < units.length; j += UNIT) {
      const height = this.integral(units[j] * x0 + units[j + 1] * x1 + units[j + 2]);
      heights += units[j] * units[j + 3] + units[j + 1] * units[j + 4] < 0 ? -height : height; // the sign of the decoder
    }
    const quadratic = (m00 * x0 * x0 + (m01 + m10) * x0 * x1 + m11 * x1 * x1) / 2;
    return -(scale * heights + quadratic + k0 * x0 + k1 * x1) / noise;
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

// H with H' = h, for the potential of tied weights.
const INTEGRALS = {
  relu: (u) => (u > 0 ? u * u / 2 : 0),
  linear: (u) => u * u / 2,
  sigmoid: (u) => Math.max(u, 0) + Math.log1p(Math.exp(-Math.abs(u))),
};

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
