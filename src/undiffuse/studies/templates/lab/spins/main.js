// Where it begins. `window.lab` is for whoever wants to drive the page by a script, as the tests do.

const about = JSON.parse($("about").textContent);
const player = new SpinPlayer(about);
followSystem();
connect(player);
player.attach(Object.fromEntries(["potential", "law", "binder", "cloning"].map((name) => [name, $(`${name}-canvas`)])));
player.onChange();

window.lab = {
  about,
  player,
  get t() { return player.chain.t; },
  get tau() { return player.chain.tau; },
  get ouTimes() { return player.chain.model.schedule.ouTime; },
  get walkers() { return Array.from(player.chain.x.subarray(0, player.chain.count)); },
  get binder() { return player.chain.measured; },
  get cloning() { return player.chain.shares; },
  get law() { return player.law; },
  get fps() { return player.fps; },
  model(N, beta, h) { player.setModel(N, beta, h); },
  /** Put the walkers at these mu, at time t of the walk, without clones. */
  put(numbers, t) {
    player.playing = false;
    player.chain.resize(numbers.length);
    player.chain.unmeasure();
    Object.assign(player.chain, { x: Float64Array.from(numbers), index: player.chain.nearest(t), origin: null });
    player.forget();
  },
  /** Arrays of normal numbers for the next draws, instead of the page's own. */
  give(arrays) { player.chain.noise.given = arrays; },
  step(steps) { player.step(steps); },
};

begin(player);
window.lab.readyAfter = performance.now();
