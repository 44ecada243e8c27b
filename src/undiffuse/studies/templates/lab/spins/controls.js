// Sliders of the model, layers and charts: each calls the player, and `show` writes back what it has become.

const LAYER_KEYS = { 1: "potential", 2: "large", 3: "law" };
const SIZES = [2, 4, 6, 10, 14, 20, 30, 50, 70, 100, 140, 200, 300, 500, 700, 1000, 1400, 2000, 3000, 5000];

function connect(player) {
  const layers = Object.entries(LAYER_KEYS).map(([key, layer]) => [key, () => player.toggle(layer)]);
  connectTransport(player, { c: () => player.collapse(), ...Object.fromEntries(layers) });
  const change = () => player.setModel(SIZES[Number($("spins").value)], Number($("beta").value), Number($("field").value));
  for (const slider of ["spins", "beta", "field"]) on(slider, "input", change);
  on("count", "input", () => player.resizeCloud(Number($("count").value)));
  on("cloning-on", "change", () => {
    player.chain.cloning = $("cloning-on").checked;
    player.restart();
  });
  on("collapse", "change", () => player.collapse());
  for (const layer of Object.values(LAYER_KEYS)) on(`layer-${layer}`, "change", () => player.toggle(layer));
  player.onChange = () => show(player);
  const nearest = SIZES.reduce((best, N, i) => (Math.abs(N - player.law.N) < Math.abs(SIZES[best] - player.law.N) ? i : best), 0);
  Object.assign($("spins"), { max: SIZES.length - 1, value: nearest });
  Object.assign($("beta"), { value: player.law.beta });
  Object.assign($("field"), { value: player.law.h });
  Object.assign($("count"), { value: player.chain.count });
}

/** Write what the player has become into the page. */
function show(player) {
  const { chain, law, about } = player;
  $("time").max = about.T;
  showTransport(player);
  $("time").setAttribute("aria-valuetext", player.here);
  $("spins-now").textContent = law.N.toLocaleString("en");
  $("spins").setAttribute("aria-valuetext", `${law.N} spins`);
  $("beta-now").textContent = law.beta.toFixed(2);
  $("field-now").textContent = law.h.toFixed(1);
  $("count-now").textContent = chain.count.toLocaleString("en");
  $("cloning-on").checked = chain.cloning;
  $("collapse").checked = player.collapsed;
  $("magnetisation").textContent = law.mStar > 0 ? `m* = ${law.mStar.toFixed(4)}` : "no ferromagnet: β ≤ 1";
  const named = Object.entries(about.criticalTau).map(([name, tau]) => `${name} ${tau.toFixed(2)}`);
  $("critical").textContent = named.length ? `critical τ: ${named.join(", ")}` : "no critical time";
  for (const layer of Object.values(LAYER_KEYS)) $(`layer-${layer}`).checked = player.layers.has(layer);
}
