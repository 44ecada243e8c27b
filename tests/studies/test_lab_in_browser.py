"""The page in the system's Chromium: what it computes, and what buttons, keys and the pointer do."""

import re
import shutil
import warnings

import numpy as np
import pytest

import browser
import undiffuse as ud
from browser import until
from helpers import TINY
from undiffuse import datasets
from undiffuse.networks.bank import MemoryBlock
from undiffuse.runs import config
from undiffuse.studies import lab, report
from undiffuse.studies.open_run import OpenRun
from undiffuse.training import Execution, train_run

pytestmark = browser.needed

# What is replaced in the tiny run, for banks of other kinds.
KINDS = {
    "relu": {},
    "skip": {"[network]": '[network]\nskip = "gaussian"\nprediction = "x0"'},
    "sigmoid": {"[network]": '[network]\nactivation = "sigmoid"\nprediction = "v"'},
    "tied": {"[network]": '[network]\ntying = "tied"\nprediction = "x0"'},
    "signed": {"[network]": '[network]\ntying = "signed"\nactivation = "sigmoid"'},
    "component": {"[network]": '[network]\nskip = "gaussian"\ncomponents = 1'},
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory, tiny_run_path):
    found = {"relu": tiny_run_path}
    for kind, changes in KINDS.items():
        text = TINY
        for old, new in changes.items():
            text = text.replace(old, new)
        if changes:
            settings = config.loads(text, kind)
            found[kind] = tmp_path_factory.mktemp("runs") / kind
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # that three passes are few
                train_run(settings, datasets.load(settings), found[kind], execution=Execution(workers=1))
    return found


@pytest.fixture(scope="module")
def pages(runs, tmp_path_factory):
    folder = tmp_path_factory.mktemp("pages")
    for kind, path in runs.items():
        lab.run(lab.Settings(path, out=folder / f"{kind}.html", particles=600))
    return {kind: folder / f"{kind}.html" for kind in runs}


@pytest.fixture
def visit(chromium, pages):
    with browser.visits(chromium, lambda kind="relu": pages[kind]) as visit:
        yield visit


def rounded(model):
    """The bank with the weights that the page has: 16 bits each, but the decoder's bias."""
    bank = model.bank
    blocks = []
    for t in range(1, len(bank) + 1):
        net = bank[t]
        W, b_h, A = (array.astype(np.float16).astype(np.float32) for array in (net.W, net.b_h, net.A))
        blocks.append(MemoryBlock(t, net.architecture, ud.Weights.stack([ud.Weights(W, b_h, A, net.b_r)])))
    return ud.Bank(bank.forward, blocks, bank.reference)


def walked(page, sampler, eta, start, noises):
    """States of the page's particles from T on, at every time, with given noise."""
    page.evaluate("([x, T]) => lab.put(x, T)", [start.ravel().tolist(), 12])
    page.evaluate("arrays => lab.give(arrays)", [z.ravel().tolist() for z in noises])
    page.evaluate("([name, eta]) => lab.sampler(name, eta)", [sampler, eta])
    states = []
    for _ in range(12):
        page.evaluate("lab.step(1)")
        states.append(np.reshape(page.evaluate("lab.particles"), (-1, 2)))
    assert page.evaluate("lab.t") == 0
    return states


SAMPLERS = [("ancestral", 0.0), ("ddim", 0.0), ("ddim", 0.7), ("ode", 0.0)]


@pytest.mark.parametrize("kind", KINDS)
def test_every_sampler_moves_particles_as_python_does_under_the_same_noise(kind, visit, runs, rng):
    page, model = visit(kind), ud.Diffusion.load(runs[kind])
    start = model.forward.noise_scale * rng.standard_normal((51, 2))  # an odd number: the page takes two at a time
    noises = rng.standard_normal((12, 51, 2))
    for name, eta in SAMPLERS:
        options = {"eta": eta} if name == "ddim" else {}
        found = walked(page, name, eta, start, noises)
        for bank, allowed in ((model, 1e-3), (rounded(model), 2e-6)):
            if kind == "component" and allowed < 1e-3:
                continue  # there the page rounds weights after they are turned
            sampler = ud.Sampler.named(name, **options)
            walk = ud.reverse_trajectory(bank, start, sampler=sampler, noise=iter(noises).__next__)
            _, *expected = [state.x for state in walk]
            scale = np.abs(expected[-1]).max()
            assert max(np.abs(a - b).max() for a, b in zip(found, expected, strict=True)) < allowed * max(1, scale), (
                name
            )


@pytest.mark.parametrize("kind", ["tied", "signed"])
def test_the_learned_potential_is_that_of_the_energy(kind, visit, runs, rng):
    """Against ``Bank.log_density`` of the rounded bank; its constant is free, so differences from the first point."""
    page, bank = visit(kind), rounded(ud.Diffusion.load(runs[kind]))
    for t in (1, 6, 12):
        x = rng.uniform(-1.5, 1.5, (20, 2))
        found = np.array([page.evaluate("([x, y, t]) => lab.own(x, y, t)", [*row.tolist(), t]) for row in x])
        expected = bank.log_density(x, t)
        np.testing.assert_allclose(found - found[0], expected - expected[0], rtol=1e-4, atol=1e-4)


def test_contours_of_the_learned_potential_count_from_the_best_training_point(visit):
    page = visit("tied")
    page.evaluate("lab.player.goTo(8)")
    levels = page.evaluate("lab.player.ownContours")
    signal = page.evaluate("lab.player.model.schedule.signal(8)")
    points = signal * np.reshape(page.evaluate("Array.from(lab.player.model.points)"), (-1, 2))[::2]
    top = max(page.evaluate("points => points.map(([x, y]) => lab.own(x, y, 8))", points.tolist()))
    assert [each["level"] for each in levels][:2] == [1, 2]
    for each in levels[:3]:
        for x, y, *_ in each["segments"][::7]:
            below = top - page.evaluate("([x, y]) => lab.own(x, y, 8)", [x, y])
            assert abs(below - each["level"]) < 0.1 * each["level"] + 0.05  # linear between nodes


def test_the_learned_potential_is_offered_where_weights_are_tied(visit):
    tied, untied = visit("tied"), visit("relu")
    assert untied.query_selector("#layer-own") is None
    tied.evaluate("lab.player.goTo(6)")
    picture = "document.getElementById('back-canvas').toDataURL()"
    tied.wait_for_timeout(150)
    before = tied.evaluate(picture)
    tied.keyboard.press("7")
    until(tied, "document.getElementById('layer-own').checked")
    assert tied.evaluate(picture) != before


def test_the_exact_score_and_density_are_those_of_the_points_in_the_page(visit, runs, rng):
    page, model = visit(), ud.Diffusion.load(runs["relu"])
    points = np.reshape(page.evaluate("Array.from(lab.player.model.points)"), (-1, 2))
    exact = ud.EmpiricalDenoiser(model.forward, points)
    for t in (1, 6, 12):
        x = rng.uniform(-1.5, 1.5, (20, 2))
        found = np.array([page.evaluate("([x, y, t]) => lab.exact(x, y, t)", [*row.tolist(), t]) for row in x])
        np.testing.assert_allclose(found[:, :2], exact.score(x, t), rtol=1e-6, atol=1e-6)
        np.testing.assert_allclose(found[:, 2], exact.log_density(x, t), rtol=1e-8, atol=1e-8)


def test_nothing_is_asked_of_any_network_whatever_is_done(visit):
    page = visit(moving=True)
    page.wait_for_timeout(300)
    for key in ("1", "2", "3", "4", "5", "u", "]", "d", "r"):
        page.keyboard.press(key)
    page.wait_for_timeout(300)
    assert [url for url in page.requests if not url.startswith(("file:", "data:"))] == []
    assert len(page.requests) == 1


def test_the_page_moves_when_it_is_opened_and_space_stops_it(visit, record_property):
    page = visit(moving=True)
    until(page, "lab.t === 0")  # twelve steps at 120 a second
    until(page, "lab.t > 0")  # after a pause it begins again
    until(page, "lab.player.fps > 0")
    page.keyboard.press(" ")
    stopped = page.evaluate("lab.particles")
    page.wait_for_timeout(200)
    assert page.evaluate("lab.particles") == stopped
    assert page.get_attribute("#play", "aria-label") == "play"
    record_property("frames a second", page.evaluate("lab.fps"))


def test_who_wants_little_motion_gets_a_page_at_rest(visit):
    page = visit(moving=True, reduced_motion="reduce")
    page.wait_for_timeout(200)
    assert page.evaluate("[lab.t, lab.player.playing]") == [12, False]


def test_arrow_keys_step_to_the_data_and_back(visit):
    page = visit()
    page.focus("#time")
    for key, t in (("ArrowLeft", 11), ("ArrowLeft", 10), ("ArrowRight", 11), ("Shift+ArrowLeft", 1), ("r", 12)):
        page.keyboard.press(key)
        until(page, f"document.getElementById('now').textContent === '{t}'")
        assert page.evaluate("lab.t") == t


def test_the_slider_diffuses_the_data_to_its_time(visit, runs):
    page, forward = visit(), ud.Diffusion.load(runs["relu"]).forward
    box = page.locator("#time").bounding_box()
    page.mouse.move(box["x"] + box["width"] - 8, box["y"] + 20)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 20, steps=4)
    page.mouse.up()
    t = page.evaluate("lab.t")
    x_t = np.reshape(page.evaluate("lab.particles"), (-1, 2))
    page.evaluate("lab.player.goTo(0)")  # the same particles, where they come from
    x_0 = np.reshape(page.evaluate("lab.particles"), (-1, 2))
    assert t == 6
    # 600 particles: four standard errors of mean, variance and correlation with the data.
    xi = (x_t - forward.signal(t) * x_0) / forward.noise(t)
    assert (np.abs(xi.mean(axis=0)) < 4 / np.sqrt(600)).all()
    assert (np.abs(xi.var(axis=0) - 1) < 4 * np.sqrt(2 / 600)).all()
    assert all(abs(np.corrcoef(xi[:, axis], x_0[:, axis])[0, 1]) < 4 / np.sqrt(600) for axis in (0, 1))


def test_at_the_left_end_of_the_slider_particles_are_training_points(visit):
    page = visit()
    page.focus("#time")
    page.keyboard.press("Home")
    x = np.reshape(page.evaluate("lab.particles"), (-1, 2))
    data = np.reshape(page.evaluate("Array.from(lab.player.model.points)"), (-1, 2))
    assert page.evaluate("lab.t") == 0
    assert np.abs(x[:, None] - data[None]).max(axis=2).min(axis=1).max() == 0


def test_a_click_takes_a_point_to_the_time_and_back_ten_times(visit):
    page = visit()
    page.evaluate("lab.player.goTo(4)")
    page.click("#front", position={"x": 200, "y": 260})
    turn = page.evaluate(
        "({...lab.player.turn, ends: Array.from(lab.player.turn.ends), paths: lab.player.turn.paths.length})"
    )
    assert (turn["t"], len(turn["ends"]), turn["paths"]) == (4, 20, 5)
    plane, pixel = page.evaluate("[lab.player.view.plane(200, 260), 1 / lab.player.view.scale]")
    np.testing.assert_allclose(turn["point"], plane, atol=1.01 * pixel)
    said = page.inner_text("#status")
    assert len(re.findall(r"\(-?[\d.e-]+, -?[\d.e-]+\)", said)) == 12  # the point, where it went, ten ends
    page.keyboard.press("Escape")
    assert page.evaluate("lab.player.turn") is None


def test_a_click_at_the_data_says_what_to_do_first(visit):
    page = visit()
    page.evaluate("lab.player.goTo(0)")
    page.click("#front", position={"x": 200, "y": 260})
    assert "move the slider" in page.inner_text("#status")


def test_the_pointer_finds_the_unit_whose_kink_it_is_on(visit, runs):
    page, net = visit(), ud.Diffusion.load(runs["relu"]).bank[12]
    page.click("label:has(#layer-kinks)")
    side = page.evaluate("lab.player.view.pixels")
    grid = np.array([(x, y) for x in np.linspace(20, side - 20, 60) for y in np.linspace(20, side - 20, 60)])
    low, scale = page.evaluate("[lab.player.view.low, lab.player.view.scale]")
    x = np.column_stack([low[0] + grid[:, 0] / scale, low[1] + (side - grid[:, 1]) / scale])
    distance = scale * np.abs(x @ net.W.T + net.b_h) / np.linalg.norm(net.W, axis=1)
    nearest = np.sort(distance, axis=1)
    clear = np.flatnonzero((nearest[:, 0] < 2) & (nearest[:, 1] > 5))[0]  # on one kink, and away from all others
    unit = int(distance[clear].argmin())
    page.hover("#front", position={"x": float(grid[clear, 0]), "y": float(grid[clear, 1])})
    shown = page.inner_text("#unit")
    page.keyboard.press("u")
    assert shown.startswith(f"unit {unit + 1}:")
    numbers = [float(number) for number in re.findall(r"-?\d[\d.e-]*", shown.split(":")[1])]
    np.testing.assert_allclose(numbers, [*net.W[unit], net.b_h[unit], *net.A[:, unit]], rtol=0.006, atol=1e-4)


@pytest.mark.parametrize("layer", ["learned", "exact", "difference", "contours", "kinks", "data"])
def test_every_layer_changes_the_picture_and_goes_again(layer, visit):
    page = visit()
    page.evaluate("lab.player.goTo(5)")
    key = {"learned": "1", "exact": "2", "difference": "3", "contours": "4", "kinks": "5", "data": "6"}[layer]
    picture = (
        "() => new Promise(done => setTimeout(() => done(document.getElementById('back-canvas').toDataURL()), 250))"
    )
    before = page.evaluate(picture)
    page.keyboard.press(key)
    between = page.evaluate(picture)
    assert between != before
    assert page.is_checked(f"#layer-{layer}") == (layer != "data")
    page.click(f"label:has(#layer-{layer})")
    assert page.evaluate(picture) == before


def test_the_contours_lie_where_the_potential_has_their_level(visit):
    page = visit()
    page.evaluate("lab.player.goTo(8)")
    page.keyboard.press("4")
    until(page, "!!lab.player.exact?.complete")
    levels = page.evaluate("lab.player.exact.contours")
    top = page.evaluate("Math.max(...lab.player.exact.logDensity)")
    assert [each["level"] for each in levels][:3] == [1, 2, 4]
    for each in levels[:4]:
        for x, y, *_ in each["segments"][::7]:
            log_density = page.evaluate("([x, y]) => lab.exact(x, y, 8)[2]", [x, y])
            assert abs(top - log_density - each["level"]) < 0.1 * each["level"] + 0.05  # linear between nodes


@pytest.mark.parametrize("width", [360, 390, 768])
def test_nothing_is_cut_off_on_a_phone(width, visit):
    page = visit(viewport={"width": width, "height": 740})
    assert browser.nothing_is_cut_off(page, width)


def test_light_and_dark_follow_the_system_and_the_button(visit):
    def paper(page):
        return page.evaluate("getComputedStyle(document.body).backgroundColor")

    light, dark = visit(color_scheme="light"), visit(color_scheme="dark")
    assert paper(light) == "rgb(255, 255, 255)" != paper(dark)
    dark.click("#theme")
    assert paper(dark) == paper(light)


def test_everything_that_can_be_used_has_a_name(visit):
    assert browser.unnamed(visit()) == []


def test_the_same_seed_gives_the_same_particles(visit):
    assert visit().evaluate("lab.particles") == visit().evaluate("lab.particles")


def test_the_pages_own_noise_is_standard_normal(visit):
    """20,000 numbers: four standard errors of mean, variance and fourth moment, and no correlation of neighbours."""
    z = np.array(visit().evaluate("Array.from(lab.player.chain.noise.fill(new Float64Array(20000)))"))
    error = 4 / np.sqrt(len(z))
    assert abs(z.mean()) < error
    assert abs((z**2).mean() - 1) < error * np.sqrt(2)
    assert abs((z**4).mean() - 3) < error * np.sqrt(96)
    assert abs((z[:-1] * z[1:]).mean()) < error


def test_the_report_of_a_run_in_the_plane_has_the_page_in_a_frame(visit, pages, runs, tmp_path):
    opened = OpenRun.of(shutil.copytree(runs["relu"], tmp_path / "run"))
    pages["report"] = report.write(opened, {}, lab.player(opened))
    page = visit("report", inside=True)
    assert [url for url in page.requests if not url.startswith(("file:", "data:", "about:"))] == []
    frame = page.frames[1]
    until(frame, "lab.player.playing && lab.t < 12")
    frame.focus("#play")
    page.keyboard.press("ArrowLeft")
    assert frame.evaluate("lab.player.playing") is False


def test_keys_go_through_the_units_whose_kinks_cross_the_view(visit, runs):
    page, net = visit(), ud.Diffusion.load(runs["relu"]).bank[12]
    page.evaluate("Object.assign(lab.player.view, { low: [-0.1, -0.2], size: 0.3 })")  # so small that some do not
    corners = np.array([-0.1, -0.2]) + 0.3 * np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    sides = corners @ net.W.T + net.b_h
    expected = np.flatnonzero((sides.min(axis=0) < 0) & (sides.max(axis=0) > 0)).tolist()
    assert 1 < len(expected) < 20
    seen = []
    for _ in expected:
        page.keyboard.press("]")
        seen.append(page.evaluate("lab.player.unit"))
        assert page.inner_text("#status").startswith(f"unit {seen[-1] + 1}:")
    assert seen == expected
    page.keyboard.press("[")
    assert page.evaluate("lab.player.unit") == expected[-2]
