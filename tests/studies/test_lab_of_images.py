"""The page of images: what it computes in Chromium beside Python, and what mouse, finger and keys do."""

import json
import re
import shutil
import warnings

import numpy as np
import pytest

import browser
import undiffuse as ud
from browser import until
from helpers import answer, complaint
from undiffuse import datasets
from undiffuse.diffusion.inpainting import inpaint_trajectory
from undiffuse.formats.browser_axes import AxisBank
from undiffuse.networks.bank import MemoryBlock
from undiffuse.runs import config
from undiffuse.studies import lab, report
from undiffuse.studies.lab_images import image_page
from undiffuse.studies.lab_page import Asked
from undiffuse.studies.open_run import OpenRun
from undiffuse.support.errors import UserError
from undiffuse.support.streams import Purpose, Streams
from undiffuse.training import Execution, train_run

pytestmark = browser.needed
SAMPLERS = [("ancestral", 0.0), ("ddim", 0.0), ("ddim", 1.0), ("ode", 0.0)]


@pytest.fixture(scope="module")
def paths(tmp_path_factory, digits_run_path):
    folder, opened = tmp_path_factory.mktemp("images"), OpenRun.of(digits_run_path)
    lab.run(lab.Settings(digits_run_path, out=folder / "16.html", particles=4))
    whole = (folder / "16.html").stat().st_size
    page, result = image_page(opened, Asked(folder / "8.html", particles=4), whole + 100_000)  # room for 8 bits
    assert result.bits == 8
    (folder / "8.html").write_bytes(page)
    return {bits: folder / f"{bits}.html" for bits in (8, 16)}


@pytest.fixture
def visit(chromium, paths):
    with browser.visits(chromium, lambda bits=16: paths[bits]) as visit:
        yield visit


PLAIN = """
[data]
name = "mnist"
digits = [0, 1]
n = 300
held_out = 60
[diffusion]
T = 12
beta_1 = 0.001
beta_T = 0.9
[network]
hidden = 24
activation = "sigmoid"
[training]
epochs = 2
batch = 50
block = 6
"""


@pytest.mark.parametrize("skip", ["none", "scalar"])
def test_networks_on_all_pixels_move_images_as_python_does(skip, chromium, tmp_path, rng):
    """Sigmoids, with and without a skip: states to 1e-3 of their size, weights of 16 bits against all digits."""
    settings = config.loads(PLAIN.replace("hidden = 24", f'hidden = 24\nskip = "{skip}"'), "plain")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that two passes are few
        train_run(settings, datasets.load(settings), tmp_path / "run", execution=Execution(workers=1))
    found = lab.run(lab.Settings(tmp_path / "run", out=tmp_path / "page.html"))
    assert (found.steps, found.components) == (12, 784)
    opened = OpenRun.of(tmp_path / "run")
    axes = opened.reference.axes
    start, noises = rng.standard_normal((2, 784)), rng.standard_normal((12, 2, 784))
    with browser.visits(chromium, lambda: tmp_path / "page.html") as visit:
        page = visit()
        page.evaluate("([z, T]) => lab.put(z, T)", [(start @ axes).ravel().tolist(), 12])
        page.evaluate("arrays => lab.give(arrays)", [(z @ axes).ravel().tolist() for z in noises])
        page.evaluate("lab.sampler('ancestral')")
        steps = page.evaluate("Array.from({ length: 12 }, () => (lab.step(1), lab.states))")
    _, *expected = [state.x @ axes for state in ud.reverse_trajectory(opened.model, start, noise=iter(noises).__next__)]
    for states, x in zip(steps, expected, strict=True):
        assert np.abs(np.reshape(states, (2, 784)) - x).max() < 1e-3 * max(1, np.abs(x).max())


def rounded(model, bits):
    """The bank with the weights that the page has."""
    bank = model.bank
    times = range(1, len(bank) + 1)
    weights = [net.weights for net in AxisBank.of(bank, times, bits, bank.reference).networks]
    blocks = [
        MemoryBlock(t, bank.architecture(t), ud.Weights.stack([each])) for t, each in zip(times, weights, strict=True)
    ]
    return ud.Bank(bank.forward, blocks, bank.reference)


def test_the_command_writes_a_page_of_every_network_of_a_small_bank(capsys, digits_run_path, tmp_path, paths):
    found = answer(capsys, "lab", digits_run_path, "--out", tmp_path / "d.html")
    assert (found["kind"], found["T"], found["steps"], found["hidden"]) == ("images", 12, 12, 64)
    assert (found["bits"], found["components"], found["held_out"]) == (16, 60, 40)
    assert found["bytes"] == (tmp_path / "d.html").stat().st_size < 25_000_000
    text = (tmp_path / "d.html").read_text()
    assert re.findall(r"""(?:src|href)=(?!"data:)\S+|https?://|@import|fetch\(|import\(""", text) == []


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["--points", "5"], "not training points"),
        (["--particles", "40"], "wanted 1..36"),
        (["--steps", "13"], "13 steps do not fit"),
        (["--out", "d.pdf"], "ends in .html"),
    ],
)
def test_mistakes_are_answered_in_a_line(capsys, digits_run_path, tmp_path, monkeypatch, words, named):
    monkeypatch.chdir(tmp_path)
    assert named in complaint(capsys, "lab", digits_run_path, *words)
    assert list(tmp_path.iterdir()) == []


def test_networks_that_do_not_fit_are_counted_in_the_answer(digits_run_path):
    with pytest.raises(UserError, match=r"in 8 bits, and there is room for .*: fewer --steps"):
        image_page(OpenRun.of(digits_run_path), Asked("d.html", steps=12), 1_950_000)


def test_axes_that_do_not_fit_are_named(digits_run_path):
    with pytest.raises(UserError, match="axes of images of 784 pixels alone"):
        image_page(OpenRun.of(digits_run_path), Asked("d.html"), 1_000_000)


@pytest.mark.parametrize("bits", [8, 16])
def test_every_sampler_moves_images_as_python_does_under_the_same_noise(bits, visit, digits_run_path, rng):
    """With the rounded weights to 1e-4, and of 16 bits with all digits to 1e-3 of the states' size."""
    page, model = visit(bits), ud.Diffusion.load(digits_run_path)
    compared = [(rounded(model, bits), 1e-4)] + ([(model.bank, 1e-3)] if bits == 16 else [])
    _, axes = model.bank.along_axes()
    start, noises = model.forward.noise_scale * rng.standard_normal((3, 784)), rng.standard_normal((12, 3, 784))
    for name, eta in SAMPLERS:
        page.evaluate("([z, T]) => lab.put(z, T)", [(start @ axes).ravel().tolist(), 12])
        page.evaluate("arrays => lab.give(arrays)", [(z @ axes).ravel().tolist() for z in noises])
        page.evaluate("([name, eta]) => lab.sampler(name, eta)", [name, eta])
        steps = page.evaluate("Array.from({ length: 12 }, () => (lab.step(1), lab.states))")
        found = [np.reshape(states, (-1, 784)) for states in steps]
        for bank, allowed in compared:
            sampler = ud.Sampler.named(name, **({"eta": eta} if name == "ddim" else {}))
            walk = ud.reverse_trajectory(bank, start, sampler=sampler, noise=iter(noises).__next__)
            _, *expected = [state.x @ axes for state in walk]
            scale = max(1.0, np.abs(expected[-1]).max())
            gap = max(np.abs(a - b).max() for a, b in zip(found, expected, strict=True))
            assert gap < allowed * scale, (name, eta)
        pixels = page.evaluate("lab.pixels(0)")
        assert np.abs(pixels - expected[-1][0] @ axes.T).max() < 2e-3 * scale  # axes have 16 bits


def test_a_mask_drawn_with_the_mouse_is_rebuilt_as_python_does(visit, digits_run_path):
    """Every state under the noise of ``undiffuse.inpaint``, to 2e-3: axes have 16 bits, and pixels go through them."""
    page, model = visit(), ud.Diffusion.load(digits_run_path)
    box = page.locator("#chosen").bounding_box()
    page.mouse.move(box["x"] + 40, box["y"] + 60)
    page.mouse.down()
    page.mouse.move(box["x"] + 110, box["y"] + 80, steps=5)
    page.mouse.up()
    destroyed = np.array(page.evaluate("Array.from(lab.player.destroyed)"), bool)
    assert 30 < destroyed.sum() < 200
    passed = (np.array([[60, 40], [80, 110]]) / box["width"] * 28).astype(int)
    assert destroyed.reshape(28, 28)[tuple(passed.T)].all()
    x0 = OpenRun.of(digits_run_path).images[1].x[:1].repeat(4, axis=0)
    draw, known = (Streams(3, purpose).noise(4, 784) for purpose in (Purpose.SAMPLE, Purpose.KNOWN_PART))
    _, axes = model.bank.along_axes()
    given = [draw(), known()]
    for _ in range(11):
        given += [draw() @ axes, known()]
    page.evaluate("arrays => lab.give(arrays)", [z.ravel().tolist() for z in given])
    page.evaluate("lab.sampler('ancestral')")
    page.evaluate("lab.player.rebuild() || lab.player.pause()")
    expected = list(inpaint_trajectory(rounded(model, 16), x0, destroyed, seed=3))
    for state in expected:
        assert page.evaluate("lab.t") == state.t
        found = np.array([page.evaluate("i => lab.pixels(i)", i) for i in range(4)])
        assert np.abs(found - state.x).max() < 2e-3 * max(1, np.abs(state.x).max())
        if state.t:
            page.evaluate("lab.step(1)")
    assert np.abs(found[:, ~destroyed] - x0[:, ~destroyed]).max() < 2e-3


def test_a_finger_draws_a_mask_on_a_phone(visit):
    page = visit(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    page.locator("#chosen").scroll_into_view_if_needed()
    box = page.locator("#chosen").bounding_box()
    page.touchscreen.tap(box["x"] + 50, box["y"] + 70)
    until(page, "lab.player.destroyed.some(one => one)")
    page.tap("#clear-mask")
    until(page, "!lab.player.destroyed.some(one => one)")


def test_without_a_mask_rebuilding_says_what_to_do_first(visit):
    page = visit()
    page.click("#rebuild")
    assert "Draw on the image" in page.inner_text("#status")
    assert page.evaluate("lab.task") == "sample"


def test_masks_by_key_go_through_halves_and_the_middle(visit):
    page = visit()
    shares = []
    for _ in range(6):
        page.keyboard.press("m")
        shares.append(page.evaluate("lab.player.destroyed.reduce((a, b) => a + b, 0)") / 784)
    assert shares == [0.5, 0.5, 0.5, 0.5, 0.25, 0.0]


def test_a_digit_goes_to_t_and_back_ten_times(visit, digits_run_path):
    page, model = visit(), ud.Diffusion.load(digits_run_path)
    page.keyboard.press("n")
    page.evaluate("lab.player.goTo(5)")
    page.keyboard.press("u")
    until(page, "lab.t < 5")
    assert "comes back 10 times" in page.inner_text("#status")
    page.evaluate("lab.player.pause()")
    diffused = np.array(page.evaluate("Array.from(lab.player.chain.task.diffused)"))
    x0 = OpenRun.of(digits_run_path).images[1].x[1]
    xi = (diffused - model.forward.signal(5) * x0 @ model.bank.along_axes()[1]) / model.forward.noise(5)
    assert abs(xi.mean()) < 4 / 28
    assert abs((xi**2).mean() - 1) < 4 * np.sqrt(2) / 28  # four standard errors of 784 normal numbers
    page.evaluate("lab.step(20)")
    states = np.reshape(page.evaluate("lab.states"), (10, 784))
    assert np.abs(states - states[0]).max(axis=1)[1:].min() > 1e-3  # ten different returns
    page.keyboard.press("Escape")
    assert page.evaluate("[lab.task, lab.states.length / 784]") == ["sample", 4]


def test_at_the_data_nothing_goes_back(visit):
    page = visit()
    page.evaluate("lab.player.goTo(0)")
    page.click("#turn")
    assert "move the slider" in page.inner_text("#status")


def test_the_slider_diffuses_held_out_digits(visit, digits_run_path):
    page = visit()
    page.evaluate("lab.player.goTo(0)")
    held_out = OpenRun.of(digits_run_path).images[1].x[:40]
    for i in range(4):
        pixels = np.array(page.evaluate("i => lab.pixels(i)", i))
        assert np.abs(held_out - pixels).max(axis=1).min() < 2e-3


def test_units_are_the_encoders_and_decoders_pictures(visit, digits_run_path):
    page, model = visit(), ud.Diffusion.load(digits_run_path)
    page.evaluate("lab.player.goTo(2)")
    units = page.evaluate("lab.player.units")
    net, (_, axes) = model.bank[2], model.bank.along_axes()
    size = np.linalg.norm(net.W, axis=1) * np.linalg.norm(net.A, axis=0)
    np.testing.assert_allclose(size[units], np.sort(size)[::-1][:6], rtol=1e-3)
    call = """([unit, name]) => { const { bank, axes } = lab.player.model, net = bank.network(2);
        return Array.from(axes.pixels(net[name].subarray(unit * net.width, (unit + 1) * net.width), net.width)); }"""
    for name, rows in (("w", net.W), ("a", net.A.T)):
        found = page.evaluate(call, [units[0], name])
        np.testing.assert_allclose(found, axes[:, : rows.shape[1]] @ rows[units[0]], atol=2e-3)
    page.keyboard.press("]")
    assert page.evaluate("lab.player.firstUnit") == 6
    until(page, "document.getElementById('units-now').textContent.startsWith('7 to 12 of 64, t = 2')")


def test_what_the_networks_expect_is_pythons(visit, digits_run_path, rng):
    page, model = visit(), ud.Diffusion.load(digits_run_path)
    _, axes = model.bank.along_axes()
    x = rng.standard_normal((2, 784))
    page.evaluate("([z, t]) => lab.put(z, t)", [(x @ axes).ravel().tolist(), 6])
    found = np.reshape(page.evaluate("Array.from(lab.player.chain.expected())"), (2, 784))
    np.testing.assert_allclose(found, rounded(model, 16).x0_hat(x, 6) @ axes, atol=1e-4)
    before = page.evaluate("document.getElementById('tiles').toDataURL()")
    page.keyboard.press("1")
    until(page, "document.getElementById('layer-expects').checked")
    assert page.evaluate("document.getElementById('tiles').toDataURL()") != before


def test_the_page_moves_when_it_is_opened_and_asks_nothing_of_any_network(visit):
    page = visit(moving=True)
    until(page, "lab.t < 12")
    for key in ("m", "i", "d", "u", "s", "]", "n", "x"):
        page.keyboard.press(key)
    page.wait_for_timeout(200)
    assert [url for url in page.requests if not url.startswith(("file:", "data:"))] == []


@pytest.mark.parametrize("width", [360, 390, 768])
def test_nothing_is_cut_off_on_a_phone(width, visit):
    assert browser.nothing_is_cut_off(visit(viewport={"width": width, "height": 740}), width)


def test_everything_that_can_be_used_has_a_name(visit):
    assert browser.unnamed(visit()) == []


def test_the_report_of_a_run_of_images_has_the_page_in_a_frame(chromium, digits_run_path, tmp_path):
    opened = OpenRun.of(shutil.copytree(digits_run_path, tmp_path / "run"))
    path = report.write(opened, {}, lab.player(opened))
    with browser.visits(chromium, lambda: path) as visit:
        page = visit(inside=True)
        until(page.frames[1], "lab.t < 12")
        assert [url for url in page.requests if not url.startswith(("file:", "data:", "about:"))] == []
        assert json.loads(page.frames[1].text_content("#about"))["particles"] == 16
