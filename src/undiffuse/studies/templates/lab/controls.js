// Buttons, sliders, the pointer and keys: each calls the player, and `show` writes back what it has become.

const LAYER_KEYS = { 1: "learned", 2: "exact", 3: "difference", 4: "contours", 5: "kinks", 6: "data" };
const $ = (id) => document.getElementById(id);

function connect(player) {
  const { about, chain } = player;
  const on = (id, kind, then) => $(id).addEventListener(kind, then);
  on("play", "click", () => (player.playing ? player.pause() : player.play()));
  on("restart", "click", () => player.restart());
  on("step", "click", () => player.step(1));
  on("back", "click", () => player.step(-1));
  on("slower", "click", () => player.faster(-1));
  on("faster", "click", () => player.faster(1));
  on("time", "input", () => player.goTo(Number($("time").value)));
  on("again", "change", () => { player.again = $("again").checked; });
  on("sampler", "change", () => setSampler(player, $("sampler").value));
  on("eta", "input", () => setSampler(player, "ddim", Number($("eta").value)));
  on("count", "input", () => player.resizeCloud(Number($("count").value)));
  on("theme", "click", () => setTheme(player, document.documentElement.dataset.theme === "dark" ? "light" : "dark"));
  for (const layer of Object.values(LAYER_KEYS)) on(`layer-${layer}`, "change", () => player.toggle(layer));
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  dark.addEventListener("change", () => setTheme(player, dark.matches ? "dark" : "light"));
  new ResizeObserver(() => drawTimebar($("loss"), player.colour, about)).observe($("loss"));
  connectPointer(player, $("front"));
  document.addEventListener("keydown", (event) => onKey(player, event));
  player.say = (text) => { $("status").textContent = text; };
  player.onChange = () => show(player);
  Object.assign($("count"), { value: chain.count });
}

function setTheme(player, theme) {
  document.documentElement.dataset.theme = theme;
  player.recolour();
  drawTimebar($("loss"), player.colour, player.about);
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

function onKey(player, event) {
  const kind = event.target.tagName, type = event.target.type;
  if (event.ctrlKey || event.metaKey || event.altKey || kind === "SELECT") return;
  if (event.key === " " && (kind === "BUTTON" || kind === "SUMMARY" || type === "checkbox")) return;
  if (event.key.startsWith("Arrow") && type === "range" && event.target.id !== "time") return;
  const steps = event.shiftKey ? 10 : 1;
  const does = {
    " ": () => (player.playing ? player.pause() : player.play()),
    ArrowLeft: () => player.step(steps),
    ArrowRight: () => player.step(-steps),
    "+": () => player.faster(1),
    "=": () => player.faster(1),
    "-": () => player.faster(-1),
    r: () => player.restart(),
    u: () => nextTurn(player),
    "]": () => nextUnit(player, 1),
    "[": () => nextUnit(player, -1),
    d: () => $("theme").click(),
    Escape: () => player.forget(),
  }[event.key] ?? (LAYER_KEYS[event.key] && (() => player.toggle(LAYER_KEYS[event.key])));
  if (!does) return;
  event.preventDefault();
  does();
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
  const { chain, model, about } = player, t = chain.t;
  $("time").value = t;
  $("time").setAttribute("aria-valuetext", `t = ${t} of ${about.T}`);
  $("now").textContent = t;
  $("tau").textContent = model.schedule.ouTime[t].toFixed(2);
  $("signal").textContent = model.schedule.signal(t).toFixed(3);
  $("noise").textContent = model.schedule.noise(t).toPrecision(2);
  $("play").textContent = player.playing ? "❚❚" : "▶";
  $("play").setAttribute("aria-label", player.playing ? "pause" : "play");
  $("rate").textContent = `${SPEEDS[player.speed]}/s`;
  $("count-now").textContent = chain.count.toLocaleString("en");
  $("sampler").value = chain.sampler.name;
  $("eta-row").hidden = chain.sampler.name !== "ddim";
  $("eta").value = chain.sampler.eta;
  $("eta-now").textContent = chain.sampler.eta.toFixed(2);
  $("fps").textContent = player.playing && player.fps ? `${player.fps.toFixed(0)} frames a second` : "";
  for (const layer of Object.values(LAYER_KEYS)) $(`layer-${layer}`).checked = player.layers.has(layer);
  $("unit").textContent = player.unit === null ? "" : unitText(player);
  $("unit").hidden = player.unit === null;
}
