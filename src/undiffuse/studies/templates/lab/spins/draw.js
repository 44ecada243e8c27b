// Drawing: the potential with its walkers, the law of mu with their histogram, and curves over time.

const GRID = 401; // points of a curve over mu
const BINS = 48;

/** The potential and the law of mu at one time, over the range of mu that is seen. */
class Seen {
  constructor(law, tau) {
    const theta = Math.exp(-tau), D = -Math.expm1(-2 * tau);
    const far = Math.max(Math.abs(law.states[0]), Math.abs(law.states.at(-1)));
    this.range = 1.04 * theta * far + 3.2 * Math.sqrt(D);
    Object.assign(this, { law, tau });
    this.mu = Array.from({ length: GRID }, (_, i) => this.range * (2 * i / (GRID - 1) - 1));
    this.log = this.mu.map((mu) => law.logDensity(mu, tau));
    this.V = this.mu.map((mu, i) => -mu * mu / 2 - 2 * this.log[i]);
    this.least = Math.min(...this.V);
    this.height = Math.max(5, 1.45 * (this.V[(GRID - 1) / 2] - this.least));
    this.largeTime = law.mStar > 0 ? this.mu.map((mu) => law.potentialLargeTime(mu, tau)) : null;
  }

  /** The potential at any mu, between the points of the grid. */
  at(mu) {
    const place = (mu / this.range + 1) / 2 * (GRID - 1), i = Math.max(0, Math.min(GRID - 2, Math.floor(place)));
    return this.V[i] + (place - i) * (this.V[i + 1] - this.V[i]);
  }
}

function line(context, xs, ys, { colour, width = 2, dash = [] }) {
  Object.assign(context, { strokeStyle: colour, lineWidth: width, lineJoin: "round" });
  context.setLineDash(dash);
  context.beginPath();
  xs.forEach((x, i) => (i ? context.lineTo(x, ys[i]) : context.moveTo(x, ys[i])));
  context.stroke();
  context.setLineDash([]);
}

function writeOn(context, colour, text, x, y, align = "left") {
  Object.assign(context, { font: "11px system-ui, sans-serif", fillStyle: colour.faint, strokeStyle: colour.paper, lineWidth: 3, textAlign: align });
  context.strokeText(text, x, y);
  context.fillText(text, x, y);
  context.textAlign = "left";
}

function drawPotential(context, { width, height }, colour, seen, layers, walkers) {
  const px = (mu) => width * (mu / seen.range + 1) / 2, py = (V) => height - 26 - (height - 46) * (V - seen.least) / seen.height;
  context.clearRect(0, 0, width, height);
  if (layers.has("potential")) line(context, seen.mu.map(px), seen.V.map(py), { colour: colour.exact, width: 2.5 });
  if (seen.largeTime && layers.has("large")) { // over the other, so that both are seen where they agree
    const least = Math.min(...seen.largeTime);
    line(context, seen.mu.map(px), seen.largeTime.map((V) => py(V - least + seen.least)), { colour: colour.difference, width: 2, dash: [7, 5] });
  }
  context.fillStyle = colour.particle;
  context.globalAlpha = 0.75;
  walkers.forEach((mu, i) => {
    const above = 3 + 2.3 * ((i * 7) % 11);
    context.fillRect(px(mu) - 1.4, py(seen.at(mu)) - above - 1.4, 2.8, 2.8);
  });
  context.globalAlpha = 1;
  muAxis(context, { width, height }, colour, seen.range);
  writeOn(context, colour, "potential of μ", 8, 16);
}

function drawLaw(context, { width, height }, colour, seen, layers, walkers) {
  const px = (mu) => width * (mu / seen.range + 1) / 2, counts = new Float64Array(BINS), bin = 2 * seen.range / BINS;
  for (const mu of walkers) {
    const place = Math.floor((mu + seen.range) / bin);
    if (place >= 0 && place < BINS) counts[place] += 1 / (walkers.length * bin);
  }
  const density = seen.log.map(Math.exp), top = Math.max(...density, ...counts);
  const py = (value) => height - 22 - (height - 42) * value / top;
  context.clearRect(0, 0, width, height);
  context.fillStyle = colour.particle;
  context.globalAlpha = 0.45;
  counts.forEach((value, i) => context.fillRect(width * i / BINS + 0.5, py(value), width / BINS - 1, height - 22 - py(value)));
  context.globalAlpha = 1;
  if (layers.has("law")) line(context, seen.mu.map(px), density.map(py), { colour: colour.exact, width: 2.5 });
  muAxis(context, { width, height }, colour, seen.range);
  writeOn(context, colour, "law of μ", 8, 16);
}

function muAxis(context, { width, height }, colour, range) {
  const step = niceStep(range / 2.5);
  for (let value = Math.ceil(-range / step) * step; value < range; value += step) {
    const x = width * (value / range + 1) / 2;
    if (x > 18 && x < width - 40) writeOn(context, colour, String(Number(value.toPrecision(6))), x, height - 6, "center");
  }
  writeOn(context, colour, "μ", width - 14, height - 6);
}

/** One observable over time: exact curves as lines, a band of two standard errors, what was measured as circles. */
class Chart {
  constructor(context, { width, height }, colour, { from, to, levels, title, axis }) {
    const bottom = Math.min(...levels), top = Math.max(...levels);
    Object.assign(this, { context, width, height, colour, from, to, bottom, top });
    context.clearRect(0, 0, width, height);
    for (const value of levels) {
      line(context, [30, width - 6], [this.y(value), this.y(value)], { colour: colour.ink, width: 0.25 });
      writeOn(context, colour, String(Number(value.toFixed(2))), 26, this.y(value) + 4, "right");
    }
    const low = Math.min(from, to), high = Math.max(from, to), step = niceStep((high - low) / 5);
    for (let value = Math.ceil(low / step) * step; value <= high; value += step) {
      const x = this.x(value);
      if (x > 34 && x < width - 50) writeOn(context, colour, String(Number(value.toPrecision(4))), x, height - 5, "center");
    }
    writeOn(context, colour, axis, width - 6, height - 5, "right");
    writeOn(context, colour, title, 34, 14);
  }

  x(value) { return 30 + (this.width - 38) * (value - this.from) / (this.to - this.from); }

  y(value) { return this.height - 22 - (this.height - 42) * (value - this.bottom) / (this.top - this.bottom); }

  curve(xs, ys, colour, dash = []) {
    line(this.context, xs.slice(0, ys.length).map((x) => this.x(x)), ys.map((y) => this.y(y)), { colour, width: 2, dash });
  }

  band(xs, low, high, colour) {
    const { context } = this;
    context.beginPath();
    xs.forEach((x, i) => (i ? context.lineTo(this.x(x), this.y(high[i])) : context.moveTo(this.x(x), this.y(high[i]))));
    for (let i = low.length - 1; i >= 0; i--) context.lineTo(this.x(xs[i]), this.y(low[i]));
    context.fillStyle = colour;
    context.globalAlpha = 0.2;
    context.fill();
    context.globalAlpha = 1;
  }

  points(xs, ys, colour, size = 3) {
    const { context } = this;
    context.fillStyle = colour;
    xs.forEach((x, i) => {
      context.beginPath();
      context.arc(this.x(x), this.y(ys[i]), size, 0, 7);
      context.fill();
    });
  }

  now(x, colour) {
    line(this.context, [this.x(x), this.x(x)], [this.y(this.top), this.height - 22], { colour, width: 1, dash: [2, 3] });
  }
}
