// Fields on grids over the view: scores for the arrows, the exact log density for the contours.

const NODES = 49; // of the exact field along each axis; arrows stand on every second one
const ARROWS = (NODES - 1) / 2;

/** The exact law of one time on a grid. It is made a few milliseconds at a time, since it looks at every point. */
class ExactField {
  constructor(empirical, view, t) {
    Object.assign(this, { empirical, view, t, done: 0, contours: null });
    this.noise = empirical.schedule.noise(t);
    this.logDensity = new Float64Array(NODES * NODES);
    this.score = new Float64Array(2 * NODES * NODES);
  }

  get complete() { return this.done === NODES * NODES; }

  /** Go on for some milliseconds; true when it is complete. */
  advance(milliseconds) {
    const end = performance.now() + milliseconds;
    while (!this.complete) {
      const [x, y] = node(this.view, this.done % NODES, Math.floor(this.done / NODES));
      const [s0, s1, log] = this.empirical.evaluate(x, y, this.t);
      this.score[2 * this.done] = s0;
      this.score[2 * this.done + 1] = s1;
      this.logDensity[this.done++] = log;
      if (performance.now() > end) break;
    }
    if (this.complete && !this.contours) this.contours = contours(this.logDensity, this.view);
    return this.complete;
  }
}

/**
 * Contours of the learned potential of one time, where weights are tied, above its least value at the training points:
 * far from them, where nothing was learned, it may be lower.
 */
function ownContours({ bank, schedule, points }, view, t) {
  const signal = schedule.signal(t), every = 2 * Math.ceil(points.length / 2 / 300);
  let top = -Infinity;
  for (let i = 0; i < points.length; i += every) {
    top = Math.max(top, bank.logDensity(signal * points[i], signal * points[i + 1], t, schedule.noise(t)));
  }
  const noise = schedule.noise(t), log = new Float64Array(NODES * NODES);
  for (let n = 0; n < log.length; n++) {
    log[n] = bank.logDensity(...node(view, n % NODES, Math.floor(n / NODES)), t, noise);
  }
  return contours(log, view, top);
}

function node(view, i, j) {
  return [view.low[0] + view.size * i / (NODES - 1), view.low[1] + view.size * j / (NODES - 1)];
}

/** Places of the arrows, (ARROWS^2, 2), and which nodes they are. */
function arrowPlaces(view) {
  const places = new Float64Array(2 * ARROWS * ARROWS), nodes = new Int32Array(ARROWS * ARROWS);
  for (let a = 0; a < ARROWS * ARROWS; a++) {
    const i = 2 * (a % ARROWS) + 1, j = 2 * Math.floor(a / ARROWS) + 1;
    places.set(node(view, i, j), 2 * a);
    nodes[a] = j * NODES + i;
  }
  return { places, nodes };
}

/** Potential -log q above its least value, -top, at levels 1, 2, 4, ... nats: segments [x, y, x, y] for each. */
function contours(logDensity, view, top = Math.max(...logDensity)) {
  const bottom = Math.min(...logDensity);
  const levels = [];
  for (let level = 1; level < top - bottom && levels.length < 16; level *= 2) {
    levels.push({ level, segments: segmentsAt(logDensity, top - level, view) });
  }
  return levels;
}

/** Marching squares: where the values cross `level` on the sides of each cell, joined in pairs. */
function segmentsAt(values, level, view) {
  const segments = [];
  const corners = [[0, 0], [1, 0], [1, 1], [0, 1]];
  for (let j = 0; j < NODES - 1; j++) {
    for (let i = 0; i < NODES - 1; i++) {
      const crossings = [];
      for (let side = 0; side < 4; side++) {
        const [a0, a1] = corners[side], [b0, b1] = corners[(side + 1) % 4];
        const a = values[(j + a1) * NODES + i + a0], b = values[(j + b1) * NODES + i + b0];
        if ((a > level) === (b > level)) continue;
        const share = (level - a) / (b - a);
        crossings.push(node(view, i + a0 + share * (b0 - a0), j + a1 + share * (b1 - a1)));
      }
      for (let c = 0; c + 1 < crossings.length; c += 2) segments.push([...crossings[c], ...crossings[c + 1]]);
    }
  }
  return segments;
}
