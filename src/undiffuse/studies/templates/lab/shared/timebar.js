// Behind the slider of times: the error of every network, and the critical times.

const THUMB = 8; // half its width: where the ends of the slider are

function drawTimebar(canvas, colour, about) {
  const context = fitted(canvas), { width, height } = canvas.getBoundingClientRect();
  const at = (t) => THUMB + (width - 2 * THUMB) * t / about.T;
  const held = about.errors.filter((row) => row[2] !== null || row[1] !== null).map((row) => [row[0], row[2] ?? row[1]]);
  const top = Math.max(...held.map((row) => row[1])) || 1;
  const level = (error) => height - 4 - (height - 10) * error / top;
  context.clearRect(0, 0, width, height);
  context.beginPath();
  held.forEach(([t, error], i) => (i ? context.lineTo(at(t), level(error)) : context.moveTo(at(t), level(error))));
  context.strokeStyle = colour.faint;
  context.lineWidth = 1;
  context.stroke();
  context.lineTo(at(about.T), height);
  context.lineTo(at(1), height);
  context.fillStyle = colour.faint;
  context.globalAlpha = 0.18;
  context.fill();
  context.globalAlpha = 1;
  context.strokeStyle = colour.kink;
  context.lineWidth = 2;
  for (const t of Object.values(about.critical)) {
    context.beginPath();
    context.moveTo(at(t), 0);
    context.lineTo(at(t), height);
    context.stroke();
  }
}
