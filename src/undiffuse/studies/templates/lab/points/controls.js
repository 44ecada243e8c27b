// Samplers, layers and the pointer: each calls the player, and `show` writes back what it has become.

const LAYER_KEYS = { 1: "learned", 2: "exact", 3: "difference", 4: "contours", 5: "kinks", 6: "data" };
if ($("layer-own")) LAYER_KEYS[7] = "own"; // where weights are tied

function connect(player) {
  const { chain } = player;
  const layers = Object.entries(LAYER_KEYS).map(([key, layer]) => [key, () => player.toggle(layer)]);
  connectTransport(player, {
    u: () => nextTurn(player),
    "]": () => nextUnit(player, 1),
    "[": () => nextUnit(player, -1),
    ...Object.fromEntries(layers),
  });
  on("sampler", "change", () => setSampler(player, $("sampler").value));
  on("eta", "input", () => setSampler(player, "ddim", Number($("eta").value)));
  on("count", "input", () => player.resizeCloud(Number($("count").value)));
  for (const layer of Object.values(LAYER_KEYS)) on(`layer-${layer}`, "change", () => player.toggle(layer));
  connectPointer(player, $("front"));
  player.onChange = () => show(player);
  Object.assign($("count"), { value: chain.count });
}

function setSampler(player, name, eta = player.chain.sampler.eta) {
  player.chain.sampler = { name, eta };
  player.refresh();
}

function connectPointer(player, canvas) {
  const at = (event) => {
    const box = canvas.getBoundingClientRect();
    return player.view.plane(event.clientX - box.left, event.clientY - box.top);
  };
  canvas.addEventListener("pointermove", (event) => {
    if (player.layers.has("kinks")) player.pick(player.unitNear(at(event)));
  });
  canvas.addEventListener("pointerleave", () => player.pick(null));
  canvas.addEventListener("click", (event) => player.uturn(at(event)));
}

/** U-turn of a training point, another one each time: what a click does, for the keyboard. */
function nextTurn(player) {
  const { points } = player.model;
  player.turns = (player.turns ?? 0) + 1;
  const i = 2 * (Math.round(player.turns * 0.618034 * points.length / 2) % (points.length / 2));
  player.uturn([points[i], points[i + 1]]);
}

/** The next unit whose kink crosses the view, or simply the next one if none does. */
function nextUnit(player, by) {
  if (!player.layers.has("kinks")) player.toggle("kinks");
  const { hidden, units } = player.model.bank.network(player.shownTime);
  const first = ((player.unit ?? (by > 0 ? -1 : 0)) + by + hidden) % hidden;
  let unit = first;
  while (!crosses(player.view, units, UNIT * unit)) {
    unit = (unit + by + hidden) % hidden;
    if (unit === first) break;
  }
  player.pick(unit);
  player.say(unitText(player));
}

function unitText(player) {
  const { units } = player.model.bank.network(player.shownTime), j = UNIT * player.unit;
  const number = (i) => Number(units[j + i].toPrecision(3));
  return `unit ${player.unit + 1}: w = (${number(0)}, ${number(1)}), b = ${number(2)}, a = (${number(3)}, ${number(4)})`;
}

/** Write what the player has become into the page. */
function show(player) {
  const { chain } = player;
  showTransport(player);
  $("count-now").textContent = chain.count.toLocaleString("en");
  $("sampler").value = chain.sampler.name;
  $("eta-row").hidden = chain.sampler.name !== "ddim";
  $("eta").value = chain.sampler.eta;
  $("eta-now").textContent = chain.sampler.eta.toFixed(2);
  for (const layer of Object.values(LAYER_KEYS)) $(`layer-${layer}`).checked = player.layers.has(layer);
  $("unit").textContent = player.unit === null ? "" : unitText(player);
  $("unit").hidden = player.unit === null;
}
