// Buttons, the slider of time and keys that every page has: each calls the player, and `showTransport` writes back
// what it has become.

const $ = (id) => document.getElementById(id);

function on(id, kind, then) { $(id).addEventListener(kind, then); }

/** `keys` are those of one page, by name: functions, called without arguments. */
function connectTransport(player, keys) {
  on("play", "click", () => (player.playing ? player.pause() : player.play()));
  on("restart", "click", () => player.restart());
  on("step", "click", () => player.step(1));
  on("back", "click", () => player.step(-1));
  on("slower", "click", () => player.faster(-1));
  on("faster", "click", () => player.faster(1));
  on("time", "input", () => player.goTo(Number($("time").value)));
  on("again", "change", () => { player.again = $("again").checked; });
  on("theme", "click", () => setTheme(player, document.documentElement.dataset.theme === "dark" ? "light" : "dark"));
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  dark.addEventListener("change", () => setTheme(player, dark.matches ? "dark" : "light"));
  new ResizeObserver(() => showTimebar(player)).observe($("loss"));
  document.addEventListener("keydown", (event) => onKey(player, keys, event));
  player.say = (text) => { $("status").textContent = text; };
}

function setTheme(player, theme) {
  document.documentElement.dataset.theme = theme;
  player.recolour();
  showTimebar(player);
}

function showTimebar(player) { drawTimebar($("loss"), player.colour, player.about); }

function onKey(player, keys, event) {
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
    d: () => $("theme").click(),
    Escape: () => player.forget(),
    ...keys,
  }[event.key];
  if (!does) return;
  event.preventDefault();
  does();
}

function showTransport(player) {
  const { chain, about } = player, { schedule } = chain.model, t = chain.t;
  $("time").value = t;
  $("time").setAttribute("aria-valuetext", `t = ${t} of ${about.T}`);
  $("now").textContent = t;
  $("tau").textContent = schedule.ouTime[t].toFixed(2);
  $("signal").textContent = schedule.signal(t).toFixed(3);
  $("noise").textContent = schedule.noise(t).toPrecision(2);
  $("play").textContent = player.playing ? "❚❚" : "▶";
  $("play").setAttribute("aria-label", player.playing ? "pause" : "play");
  $("rate").textContent = `${SPEEDS[player.speed]}/s`;
  $("fps").textContent = player.playing && player.fps ? `${player.fps.toFixed(0)} frames a second` : "";
}

/** Light or dark as the system is, and in motion unless that, or the address, says otherwise. */
function begin(player) {
  if (!window.matchMedia("(prefers-reduced-motion: reduce)").matches && location.hash !== "#still") player.play();
}

function followSystem() {
  document.documentElement.dataset.theme = window.matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
}
