// The exact answer for the training points in the page.

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
