// The particles of the plane.

class PlaneChain extends Chain {
  /** Training points drawn at random, one for each particle. */
  data() {
    const { points } = this.model, x0 = new Float64Array(this.x.length);
    for (let i = 0; i < this.count; i++) {
      const from = 2 * Math.floor(this.noise.uniform() * points.length / 2);
      x0[2 * i] = points[from];
      x0[2 * i + 1] = points[from + 1];
    }
    return x0;
  }

  /** Diffuse a point to the present time and bring it back `repeats` times: where it went, and every path back. */
  uturn(point, repeats) {
    const { schedule } = this.model, signal = schedule.signal(this.t), size = schedule.noise(this.t);
    const z = this.noise.fill(new Float64Array(2));
    const diffused = [signal * point[0] + size * z[0], signal * point[1] + size * z[1]];
    const x = new Float64Array(2 * repeats).map((_, i) => diffused[i % 2]);
    const paths = [Float64Array.from(x)];
    for (let i = this.index; this.walk[i] > 0; i++) {
      reverseStep(this.model, this.sampler, x, this.walk[i], this.walk[i + 1], this.noise);
      paths.push(Float64Array.from(x));
    }
    return { point, diffused, t: this.t, paths, ends: x };
  }
}
