// Where it begins. `window.lab` is for whoever wants to drive the page by a script, as the tests do.

const about = JSON.parse($("about").textContent);
const player = new Player(about, $("units").textContent, $("points").textContent);
followSystem();
connect(player);
player.attach({ back: $("back-canvas"), front: $("front") });
player.onChange();

window.lab = {
  about,
  player,
  get t() { return player.chain.t; },
  get times() { return player.chain.walk; },
  get particles() { return Array.from(player.chain.x); },
  get fps() { return player.fps; },
  /** Put the particles at these numbers, x1 y1 x2 y2 ..., at the time of the walk nearest to t. */
  put(numbers, t) {
    player.playing = false;
    Object.assign(player.chain, { x: Float64Array.from(numbers), index: player.chain.nearest(t), origin: null });
    player.forget();
  },
  /** Arrays of normal numbers for the next draws, instead of the page's own. */
  give(arrays) { player.chain.noise.given = arrays; },
  sampler(name, eta = 0) { setSampler(player, name, eta); },
  step(steps) { player.step(steps); },
  /** log density of a bank of tied weights, up to a constant. */
  own(x, y, t) { return player.model.bank.logDensity(x, y, t, player.model.schedule.noise(t)); },
  exact(x, y, t) { return player.empirical.evaluate(x, y, t); },
};

begin(player);
window.lab.readyAfter = performance.now();
