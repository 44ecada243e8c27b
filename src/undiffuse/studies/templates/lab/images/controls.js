// The held-out image, its mask and the units: each calls the player, and `show` writes back what it has become.

function connect(player) {
  connectTransport(player, {
    u: () => player.turn(), i: () => player.rebuild(), m: () => player.nextMask(), n: () => player.choose(1),
    x: () => player.clearMask(), s: () => player.sample(), 1: () => expect(player, !player.expects),
    "[": () => player.moreUnits(-1), "]": () => player.moreUnits(1),
  });
  on("sampler", "change", () => setSampler(player, $("sampler").value));
  on("eta", "input", () => setSampler(player, "ddim", Number($("eta").value)));
  on("count", "input", () => player.resizeTiles(Number($("count").value)));
  on("sample", "click", () => player.sample());
  on("rebuild", "click", () => player.rebuild());
  on("turn", "click", () => player.turn());
  on("before", "click", () => player.choose(-1));
  on("after", "click", () => player.choose(1));
  on("mask", "click", () => player.nextMask());
  on("clear-mask", "click", () => player.clearMask());
  on("units-before", "click", () => player.moreUnits(-1));
  on("units-after", "click", () => player.moreUnits(1));
  on("layer-expects", "change", () => expect(player, $("layer-expects").checked));
  connectBrush(player, $("chosen"));
  player.onChange = () => show(player);
}

function setSampler(player, name, eta = player.chain.sampler.eta) {
  player.chain.sampler = { name, eta };
  player.refresh();
}

function expect(player, on) {
  player.expects = on;
  player.refresh();
}

/** Mouse and finger: what they pass over is destroyed. */
function connectBrush(player, canvas) {
  let last = null;
  const at = (event) => {
    const box = canvas.getBoundingClientRect(), scale = Math.max(player.about.rows, player.about.columns) / box.width;
    return [(event.clientX - box.left) * scale, (event.clientY - box.top) * scale];
  };
  const draw = (event) => {
    const here = at(event), from = last ?? here, steps = Math.ceil(Math.hypot(here[0] - from[0], here[1] - from[1])) || 1;
    for (let i = 1; i <= steps; i++) player.brush(...here.map((end, axis) => from[axis] + (end - from[axis]) * i / steps));
    last = here;
  };
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    draw(event);
  });
  canvas.addEventListener("pointermove", (event) => { if (last) draw(event); });
  for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, () => { last = null; });
}

/** Write what the player has become into the page. */
function show(player) {
  const { chain, model } = player, units = player.units, hidden = model.bank.network(player.shownTime).hidden;
  showTransport(player);
  $("count-now").textContent = player.tileCount;
  $("count").value = player.tileCount;
  $("sampler").value = chain.sampler.name;
  $("eta-row").hidden = chain.sampler.name !== "ddim";
  $("eta").value = chain.sampler.eta;
  $("eta-now").textContent = chain.sampler.eta.toFixed(2);
  $("layer-expects").checked = player.expects;
  $("which").textContent = `image ${player.chosen + 1} of ${model.images.length}`;
  $("units-now").textContent = `${player.firstUnit + 1} to ${player.firstUnit + units.length} of ${hidden}, t = ${player.unitsTime}`;
}
