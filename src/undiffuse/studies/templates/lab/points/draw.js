// Drawing: two canvases, one for what stands still while the particles move, one for the particles.

/** The square of the plane that is seen, and how it lies on the canvas. */
class View {
  constructor(points, noiseScale) {
    const low = [-3.5 * noiseScale, -3.5 * noiseScale], high = [3.5 * noiseScale, 3.5 * noiseScale];
    for (let i = 0; i < points.length; i++) {
      low[i % 2] = Math.min(low[i % 2], points[i]);
      high[i % 2] = Math.max(high[i % 2], points[i]);
    }
    this.size = 1.16 * Math.max(high[0] - low[0], high[1] - low[1]);
    this.low = [0, 1].map((axis) => (low[axis] + high[axis] - this.size) / 2);
    this.pixels = 1;
  }

  get scale() { return this.pixels / this.size; }

  px(x) { return (x - this.low[0]) * this.scale; }

  py(y) { return this.pixels - (y - this.low[1]) * this.scale; }

  /** Point of the plane at a place of the canvas, in pixels. */
  plane(px, py) { return [this.low[0] + px / this.scale, this.low[1] + (this.pixels - py) / this.scale]; }
}

function dots(context, view, x, side) {
  const { scale, pixels, low } = view, half = side / 2;
  for (let i = 0; i < x.length; i += 2) {
    context.fillRect((x[i] - low[0]) * scale - half, pixels - (x[i + 1] - low[1]) * scale - half, side, side);
  }
}

function drawData(context, view, colour, points) {
  context.fillStyle = colour.data;
  context.globalAlpha = 0.55;
  dots(context, view, points, 2);
  context.globalAlpha = 1;
}

function drawContours(context, view, { colour, width, dash = [] }, levels) {
  Object.assign(context, { strokeStyle: colour, lineWidth: width });
  context.setLineDash(dash);
  for (const { level, segments } of levels) {
    context.globalAlpha = Math.max(0.25, 0.95 - 0.09 * Math.log2(level));
    context.beginPath();
    for (const [x, y, x2, y2] of segments) {
      context.moveTo(view.px(x), view.py(y));
      context.lineTo(view.px(x2), view.py(y2));
    }
    context.stroke();
  }
  context.setLineDash([]);
  context.globalAlpha = 1;
}

/** Arrows of a score times the noise, which has no units; their length saturates at a cell, at about 3. */
function drawArrows(context, view, { colour, width }, places, vectors) {
  const cell = 0.95 * view.pixels / ARROWS;
  context.strokeStyle = colour;
  context.lineWidth = width;
  context.beginPath();
  for (let i = 0; i < places.length; i += 2) {
    const vx = vectors[i], vy = -vectors[i + 1], size = Math.hypot(vx, vy);
    const length = cell * Math.tanh(size / 1.5);
    if (!(length > 0.8)) continue;
    const ux = vx / size, uy = vy / size, x = view.px(places[i]), y = view.py(places[i + 1]);
    const ex = x + ux * length, ey = y + uy * length, head = Math.min(5, length / 2.2);
    context.moveTo(x, y);
    context.lineTo(ex, ey);
    context.lineTo(ex - head * (ux - 0.6 * uy), ey - head * (uy + 0.6 * ux));
    context.moveTo(ex, ey);
    context.lineTo(ex - head * (ux + 0.6 * uy), ey - head * (uy - 0.6 * ux));
  }
  context.stroke();
}

/** Ends of the line w x + b = 0, far outside the view; null for a unit without direction. */
function kink(view, units, j) {
  const w0 = units[j], w1 = units[j + 1], square = w0 * w0 + w1 * w1;
  if (square === 0) return null;
  const x = -units[j + 2] * w0 / square, y = -units[j + 2] * w1 / square;
  const reach = 3 * (view.size + Math.hypot(x - view.low[0], y - view.low[1])) / Math.sqrt(square);
  return [x - w1 * reach, y + w0 * reach, x + w1 * reach, y - w0 * reach];
}

/** Whether the line w x + b = 0 passes through the view: its corners are not all on one side. */
function crosses(view, units, j) {
  const sides = [0, 1, 2, 3].map((corner) => {
    const x = view.low[0] + view.size * (corner & 1), y = view.low[1] + view.size * (corner >> 1);
    return units[j] * x + units[j + 1] * y + units[j + 2] > 0;
  });
  return sides.some((side) => side !== sides[0]);
}

function drawKinks(context, view, colour, units) {
  context.strokeStyle = colour.kink;
  context.lineWidth = 1;
  context.globalAlpha = units.length > 2500 ? 0.2 : 0.4;
  context.beginPath();
  for (let j = 0; j < units.length; j += UNIT) {
    const ends = kink(view, units, j);
    if (!ends) continue;
    context.moveTo(view.px(ends[0]), view.py(ends[1]));
    context.lineTo(view.px(ends[2]), view.py(ends[3]));
  }
  context.stroke();
  context.globalAlpha = 1;
}

/** One unit: its kink, the side on which it is active, and the way its decoder pushes. */
function drawUnit(context, view, colour, units, unit) {
  const j = UNIT * unit, ends = kink(view, units, j);
  if (!ends) return;
  context.strokeStyle = colour.kink;
  context.lineWidth = 3;
  context.beginPath();
  context.moveTo(view.px(ends[0]), view.py(ends[1]));
  context.lineTo(view.px(ends[2]), view.py(ends[3]));
  context.stroke();
  const w = [units[j], units[j + 1]], size = Math.hypot(...w);
  const middle = [view.low[0] + view.size / 2, view.low[1] + view.size / 2];
  const away = (w[0] * middle[0] + w[1] * middle[1] + units[j + 2]) / size ** 2;
  const foot = [view.px(middle[0] - away * w[0]), view.py(middle[1] - away * w[1])];
  bar(context, colour.kink, foot, [w[0] / size, w[1] / size], "w");
  const a = [units[j + 3], units[j + 4]], push = Math.hypot(...a);
  if (push > 0) bar(context, colour.learned, foot, [a[0] / push, a[1] / push], "a");
}

function bar(context, colour, foot, direction, name) {
  const end = [foot[0] + 42 * direction[0], foot[1] - 42 * direction[1]];
  context.strokeStyle = context.fillStyle = colour;
  context.lineWidth = 3;
  context.beginPath();
  context.moveTo(...foot);
  context.lineTo(...end);
  context.stroke();
  context.beginPath();
  context.arc(...end, 4, 0, 7);
  context.fill();
  context.font = "italic 15px serif";
  context.fillText(name, end[0] + 7 * direction[0] - 4, end[1] - 13 * direction[1] + 5);
}

function drawParticles(context, view, colour, x) {
  context.fillStyle = colour.particle;
  context.globalAlpha = 0.8;
  dots(context, view, x, x.length > 8000 ? 2 : 2.6);
  context.globalAlpha = 1;
}

/** A U-turn: the point clicked (a square), where it was diffused to (a cross), its ten ways back and their ends. */
function drawTurn(context, view, colour, turn) {
  const every = Math.max(1, Math.floor(turn.paths.length / 120)), repeats = turn.ends.length / 2;
  context.strokeStyle = colour.path;
  context.globalAlpha = 0.55;
  context.lineWidth = 1;
  for (let r = 0; r < repeats; r++) {
    context.beginPath();
    turn.paths.forEach((x, i) => {
      if (i % every && i < turn.paths.length - 1) return;
      context.lineTo(view.px(x[2 * r]), view.py(x[2 * r + 1]));
    });
    context.stroke();
  }
  context.globalAlpha = 1;
  context.lineWidth = 1.5;
  context.strokeStyle = colour.ink;
  context.fillStyle = colour.hot;
  for (let r = 0; r < repeats; r++) {
    context.beginPath();
    context.arc(view.px(turn.ends[2 * r]), view.py(turn.ends[2 * r + 1]), 5, 0, 7);
    context.fill();
    context.stroke();
  }
  const [px, py] = [view.px(turn.point[0]), view.py(turn.point[1])];
  const [dx, dy] = [view.px(turn.diffused[0]), view.py(turn.diffused[1])];
  context.lineWidth = 2.5;
  context.strokeRect(px - 6, py - 6, 12, 12);
  context.beginPath();
  context.moveTo(dx - 7, dy - 7);
  context.lineTo(dx + 7, dy + 7);
  context.moveTo(dx - 7, dy + 7);
  context.lineTo(dx + 7, dy - 7);
  context.stroke();
}

/** Numbers of the user's units along the lower and left edge. */
function drawAxes(context, view, colour, axes) {
  context.font = "11px system-ui, sans-serif";
  Object.assign(context, { fillStyle: colour.faint, strokeStyle: colour.paper, lineWidth: 3, lineJoin: "round" });
  const write = (text, x, y) => {
    context.strokeText(text, x, y);
    context.fillText(text, x, y);
  };
  [0, 1].forEach((axis) => {
    const { centre, scale, name } = axes[axis], low = centre + scale * view.low[axis], range = scale * view.size;
    const step = niceStep(range / 5);
    for (let value = Math.ceil(low / step) * step; value < low + range; value += step) {
      const place = (value - low) / range;
      if (place < 0.09 || place > 0.88) continue;
      const text = String(Number(value.toPrecision(6)));
      if (axis === 0) write(text, place * view.pixels - 8, view.pixels - 6);
      else write(text, 6, (1 - place) * view.pixels + 4);
    }
    if (axis === 0) write(name, view.pixels - 12 - context.measureText(name).width, view.pixels - 6);
    else write(name, 6, 16);
  });
}
