// Canvases with as many pixels as the screen, and the page's colours for them.

/** Context of a canvas that has as many pixels as the screen; coordinates are those of the page. */
function fitted(canvas) {
  const { width, height } = canvas.getBoundingClientRect(), ratio = Math.min(2, window.devicePixelRatio || 1);
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  return context;
}

function colours() {
  const style = getComputedStyle(document.documentElement);
  const names = "paper ink faint data particle learned exact difference kink contour hot path".split(" ");
  return Object.fromEntries(names.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
}

function niceStep(rough) {
  const power = 10 ** Math.floor(Math.log10(rough));
  return [1, 2, 5, 10].map((factor) => factor * power).find((step) => step >= rough);
}
