// Where it begins. `window.lab` is for whoever wants to drive the page by a script, as the tests do.

const about = JSON.parse($("about").textContent);
const texts = Object.fromEntries(["axes", "weights", "scales", "biases", "images"].map((name) => [name, $(name).textContent]));
const player = new ImagePlayer(about, texts);
followSystem();
connect(player);
player.attach({ tiles: $("tiles"), chosen: $("chosen"), units: $("units-canvas") });
player.onChange();

window.lab = {
  about,
  player,
  get t() { return player.chain.t; },
  get times() { return player.chain.walk; },
  get states() { return Array.from(player.chain.x); },
  get task() { return player.chain.task.name; },
  get fps() { return player.fps; },
  /** Pixels of one of the images on their way. */
  pixels(i) { return Array.from(player.chain.pixels(i)); },
  /** Put images at these numbers along the axes, one after another, at the time of the walk nearest to t. */
  put(numbers, t) {
    player.playing = false;
    const { chain } = player;
    Object.assign(chain, { task: { name: "sample" }, x: Float64Array.from(numbers), index: chain.nearest(t), origin: null });
    player.refresh();
  },
  /** Arrays of normal numbers for the next draws, instead of the page's own. */
  give(arrays) { player.chain.noise.given = arrays; },
  sampler(name, eta = 0) { setSampler(player, name, eta); },
  step(steps) { player.step(steps); },
  /** Milliseconds of a whole walk from noise of this many images. */
  time(count) {
    const chain = new ImageChain(player.model, count, 0), begun = performance.now();
    while (chain.step());
    return performance.now() - begun;
  },
};

begin(player);
window.lab.readyAfter = performance.now();
