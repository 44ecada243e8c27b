// Drawing: images as tiles of grey, a mask over one of them, and weights in two colours.

/** Red, green and blue of a colour of the page, #rgb or #rrggbb. */
function channels(colour) {
  const text = colour.length === 4 ? colour.replace(/[0-9a-f]/gi, "$&$&") : colour;
  return [1, 3, 5].map((i) => parseInt(text.slice(i, i + 2), 16));
}

/** Images in a picture of their own number of pixels: `tint(value)` gives red, green and blue. */
function picture(pixels, rows, columns, tint) {
  const canvas = document.createElement("canvas");
  Object.assign(canvas, { width: columns, height: rows });
  const context = canvas.getContext("2d"), data = context.createImageData(columns, rows);
  for (let p = 0; p < rows * columns; p++) {
    data.data.set(tint(pixels[p], p), 4 * p);
    data.data[4 * p + 3] = 255;
  }
  context.putImageData(data, 0, 0);
  return canvas;
}

/** From the paper (low) to the ink (high). */
function greys(colour, low, high) {
  const paper = channels(colour.paper), ink = channels(colour.ink);
  return (value) => {
    const share = Math.max(0, Math.min(1, (value - low) / (high - low)));
    return paper.map((from, i) => from + share * (ink[i] - from));
  };
}

/** From one colour (below zero) through the paper to another (above), up to +-top. */
function signs(colour, top) {
  const paper = channels(colour.paper), below = channels(colour.kink), above = channels(colour.particle);
  return (value) => {
    const share = Math.max(-1, Math.min(1, value / top)), end = share < 0 ? below : above;
    return paper.map((from, i) => from + Math.abs(share) * (end[i] - from));
  };
}

/** Where the tiles lie in a square of `size` pixels: [x, y, side] of each. */
function tiles(count, size) {
  const across = Math.ceil(Math.sqrt(count)), side = size / across;
  return Array.from({ length: count }, (_, i) => [(i % across) * side + 2, Math.floor(i / across) * side + 2, side - 4]);
}

/** Draw a picture as large as fits in a square. */
function putTile(context, image, [x, y, side], frame) {
  const pixel = side / Math.max(image.width, image.height);
  context.imageSmoothingEnabled = false;
  context.drawImage(image, x, y, image.width * pixel, image.height * pixel);
  if (!frame) return;
  Object.assign(context, { strokeStyle: frame.colour, lineWidth: 3 });
  context.strokeRect(x, y, image.width * pixel, image.height * pixel);
  Object.assign(context, { font: "12px system-ui, sans-serif", fillStyle: frame.paper });
  context.fillRect(x, y, context.measureText(frame.name).width + 10, 18);
  context.fillStyle = frame.colour;
  context.fillText(frame.name, x + 5, y + 13);
}

/** The held-out image that is chosen, with what is destroyed of it hatched. */
function drawChosen(context, { width }, colour, about, image, destroyed) {
  const grey = greys(colour, about.low, about.high), hidden = channels(colour.learned);
  const tint = (value, p) => (destroyed[p] ? grey(about.low).map((c, i) => ((p % about.columns + Math.floor(p / about.columns)) % 2 ? hidden[i] : (c + hidden[i]) / 2)) : grey(value));
  context.clearRect(0, 0, width, width);
  putTile(context, picture(image, about.rows, about.columns, tint), [0, 0, width]);
}

const UNITS_ACROSS = 6;

/** Encoder's (above) and decoder's pictures of some units, each with a scale of its own. */
function drawUnits(context, { width, height }, colour, about, axes, net, units) {
  const side = width / UNITS_ACROSS;
  context.clearRect(0, 0, width, height);
  units.forEach((unit, i) => {
    [net.w, net.a].forEach((rows, k) => {
      const pixels = axes.pixels(rows.subarray(unit * net.width, (unit + 1) * net.width), net.width);
      const top = pixels.reduce((most, value) => Math.max(most, Math.abs(value)), 1e-12);
      putTile(context, picture(pixels, about.rows, about.columns, signs(colour, top)), [i * side + 1, k * (side + 14) + 14, side - 3]);
    });
  });
  Object.assign(context, { font: "11px system-ui, sans-serif", fillStyle: colour.faint });
  context.fillText("encoder w", 1, 10);
  context.fillText("decoder a", 1, side + 24);
}
