// The networks along principal axes, as in undiffuse/networks/bank.py. A state has one number for every axis; weights
// are whole numbers of 8 or 16 bits with a scale for each unit, turned into Float32Array when a time is used.

const ACTIVATE = { relu: (u) => (u > 0 ? u : 0), linear: (u) => u, sigmoid: (u) => 1 / (1 + Math.exp(-u)) };

/** Mean, variances and directions of the principal axes of the training data: pixels = axes @ state. */
class Axes {
  constructor(about, text) {
    this.dim = about.rows * about.columns;
    this.mean = Float64Array.from(about.mean);
    this.variances = Float64Array.from(about.variances);
    const halves = new Uint16Array(bytesOf(text)), table = tableOfHalves();
    this.matrix = Float32Array.from(halves, (half) => table[half]);
  }

  /** Pixels of one state: its own numbers times the axes, or those of a network's `k` leading axes. */
  pixels(z, k = this.dim) {
    const { matrix, dim } = this, out = new Float64Array(dim);
    for (let p = 0; p < dim; p++) {
      let s0 = 0, s1 = 0, s2 = 0, s3 = 0, j = 0; // four sums, since one would wait for itself
      for (let at = p * dim; j + 3 < k; j += 4) {
        s0 += matrix[at + j] * z[j];
        s1 += matrix[at + j + 1] * z[j + 1];
        s2 += matrix[at + j + 2] * z[j + 2];
        s3 += matrix[at + j + 3] * z[j + 3];
      }
      for (; j < k; j++) s0 += matrix[p * dim + j] * z[j];
      out[p] = s0 + s1 + s2 + s3;
    }
    return out;
  }

  along(pixels) {
    const { matrix, dim } = this, out = new Float64Array(dim);
    for (let p = 0; p < dim; p++) {
      const value = pixels[p];
      if (value !== 0) for (let j = 0, at = p * dim; j < dim; j++) out[j] += matrix[at + j] * value;
    }
    return out;
  }
}

class AxisBank {
  constructor(about, schedule, axes, { weights, scales, biases }) {
    Object.assign(this, { times: about.times, hidden: about.hidden, widths: about.widths, factors: about.factors, linear: about.linear });
    Object.assign(this, { schedule, axes, bits: about.bits, text: weights, activate: ACTIVATE[about.activation] });
    this.scales = new Float32Array(bytesOf(scales));
    this.biases = new Float32Array(bytesOf(biases));
    this.place = new Map(this.times.map((t, i) => [t, i]));
    const starts = [{ text: 0, unit: 0, bias: 0 }]; // of each network: in the text, among the units, among the biases
    this.times.forEach((_, i) => {
      const { text, unit, bias } = starts[i];
      const bytes = 2 * this.hidden[i] * this.widths[i] * this.bits / 8;
      starts.push({ text: text + 4 * Math.ceil(bytes / 3), unit: unit + this.hidden[i], bias: bias + this.widths[i] });
    });
    this.starts = starts;
    this.kept = new Map();
  }

  /** Network of one of the times: rows `w` and `a` of each unit, (hidden, width) both, `b` and the decoder's bias. */
  network(t) {
    let found = this.kept.get(t);
    if (found) return found;
    const i = this.place.get(t), hidden = this.hidden[i], width = this.widths[i], start = this.starts[i];
    const bytes = bytesOf(this.text.slice(start.text, this.starts[i + 1].text));
    const whole = this.bits === 8 ? new Int8Array(bytes) : new Int16Array(bytes, 0, 2 * hidden * width);
    const w = new Float32Array(hidden * width), a = new Float32Array(hidden * width), b = new Float32Array(hidden);
    for (let u = 0; u < hidden; u++) {
      const [ofW, ofB, ofA] = this.scales.subarray(3 * (start.unit + u), 3 * (start.unit + u) + 3);
      b[u] = ofB;
      for (let j = 0; j < width; j++) {
        w[u * width + j] = ofW * whole[2 * u * width + j];
        a[u * width + j] = ofA * whole[(2 * u + 1) * width + j];
      }
    }
    found = { hidden, width, w, a, b, bias: this.biases.subarray(start.bias, start.bias + width), factor: this.factors[i], linear: this.linear[i] };
    this.kept.set(t, found);
    return found;
  }

  /** xi_hat = gain (z - shift mean), and factor r(z) on the leading axes, for all states. */
  xiHat(z, t, out) {
    const { axes, schedule } = this, { dim } = axes, net = this.network(t);
    const signal = schedule.signal(t), noise = schedule.noise(t);
    const shift = net.linear ? net.linear[0] : signal; // with the Gaussian skip each axis has a gain of its own
    const y = new Float32Array(net.width), sums = new Float32Array(net.width);
    for (let from = 0; from < z.length; from += dim) {
      for (let j = 0; j < dim; j++) {
        const away = z[from + j] - shift * axes.mean[j];
        if (j < net.width) y[j] = away;
        out[from + j] = (net.linear ? net.linear[1] : noise / (signal * signal * axes.variances[j] + noise * noise)) * away;
      }
      this.output(net, y, sums);
      for (let j = 0; j < net.width; j++) out[from + j] += net.factor * (sums[j] + net.bias[j]);
    }
    return out;
  }

  output({ hidden, width, w, a, b }, y, sums) {
    const { activate } = this;
    sums.fill(0);
    for (let u = 0, at = 0; u < hidden; u++, at += width) {
      let s0 = b[u], s1 = 0, j = 0;
      for (; j + 1 < width; j += 2) {
        s0 += w[at + j] * y[j];
        s1 += w[at + j + 1] * y[j + 1];
      }
      if (j < width) s0 += w[at + j] * y[j];
      const h = activate(s0 + s1);
      if (h !== 0) for (let i = 0; i < width; i++) sums[i] += h * a[at + i];
    }
  }
}
