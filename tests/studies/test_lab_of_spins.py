"""The page of spins: what it computes in Chromium beside the closed forms, and what its sliders do."""

import json

import numpy as np
import pytest

import browser
import undiffuse as ud
from browser import until
from helpers import answer, complaint
from undiffuse.cli import main
from undiffuse.physics import CurieWeiss, Magnetisation
from undiffuse.physics.corrected import Corrected
from undiffuse.studies import lab

pytestmark = browser.needed
MODELS = [(200, 1.5, 0.0), (7, 1.2, 0.5), (50, 0.8, -0.3), (2000, 2.0, 0.2)]


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    out = tmp_path_factory.mktemp("spins") / "cw.html"
    lab.run(lab.Settings("curie-weiss", out=out, particles=400))
    return out


@pytest.fixture
def visit(chromium, path):
    with browser.visits(chromium, lambda: path) as visit:
        yield visit


def test_the_command_writes_a_page_that_asks_nothing_of_any_network(capsys, tmp_path, visit):
    found = answer(capsys, "lab", "curie-weiss", "--out", tmp_path / "cw.html", "--particles", 500)
    assert (found["kind"], found["N"], found["beta"], found["h"], found["walkers"]) == ("spins", 200, 1.5, 0.0, 500)
    assert found["bytes"] == (tmp_path / "cw.html").stat().st_size < 200_000
    page = visit(moving=True)
    page.wait_for_timeout(300)
    for key in ("1", "2", "c", "d", "r"):
        page.keyboard.press(key)
    assert [url for url in page.requests if not url.startswith(("file:", "data:"))] == []


def test_a_run_on_spins_begins_at_its_model(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    small = ["data.spins=9", "data.beta=1.7", "data.field=0.5", "data.n=100", "data.held_out=50", "diffusion.T=4"]
    small += ["diffusion.beta_T=0.9", "training.epochs=1", "network.hidden=4"]
    assert main(["train", "curie-weiss", "--out", "run", *[w for s in small for w in ("--set", s)]]) == 0
    capsys.readouterr()
    found = answer(capsys, "lab", "run", "--out", "cw.html")
    assert (found["N"], found["beta"], found["h"]) == (9, 1.7, 0.5)


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["--steps", "5"], "without networks"),
        (["--points", "5"], "without networks"),
        (["--particles", "9000"], "wanted 1..3,000"),
        (["--out", "cw.pdf"], "ends in .html"),
    ],
)
def test_mistakes_are_answered_in_a_line(capsys, tmp_path, monkeypatch, words, named):
    monkeypatch.chdir(tmp_path)
    assert named in complaint(capsys, "lab", "curie-weiss", *words)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("N", "beta", "h"), MODELS)
def test_every_closed_form_is_pythons(N, beta, h, visit):
    page, model = visit(), CurieWeiss(N, beta, h)
    page.evaluate("([N, beta, h]) => lab.model(N, beta, h)", [N, beta, h])
    law = Magnetisation(model)
    for tau in (0.02, 0.4, 1.5, 4.0):
        mu = np.linspace(-1.1, 1.1, 9) * (np.sqrt(N) * np.exp(-tau) + 2)
        found = np.array(page.evaluate("([mu, tau]) => mu.map(m => lab.law.evaluate(m, tau))", [mu.tolist(), tau]))
        likely = law.log_density(mu, tau) > -25  # further out the page leaves rare sums out
        coarse = page.evaluate(
            "([mu, tau]) => mu.map(m => [lab.law.logDensity(m, tau), ...lab.law.means([m], tau)])", [mu.tolist(), tau]
        )
        np.testing.assert_allclose(np.array(coarse)[likely, :2], found[likely, :2], rtol=1e-7, atol=1e-7)
        np.testing.assert_allclose(found[likely, 0], law.log_density(mu, tau)[likely], rtol=1e-8, atol=1e-8)
        np.testing.assert_allclose(found[likely, 2], law.plus(mu, tau)[likely], atol=1e-8)
        potential = page.evaluate("([mu, tau]) => mu.map(m => lab.law.potential(m, tau))", [mu.tolist(), tau])
        np.testing.assert_allclose(np.array(potential)[likely], law.potential(mu, tau)[likely], rtol=1e-8, atol=1e-7)
        numbers = page.evaluate(
            "tau => [lab.law.binderExact(tau), lab.law.binderScatter(tau), lab.law.cloningExact(tau)]", tau
        )
        expected = [float(model.binder_exact(tau)), float(model.binder_scatter(tau)), law.cloning(tau)]
        np.testing.assert_allclose(numbers, expected, atol=1e-6)
        if beta > 1:
            infinite = page.evaluate("tau => [lab.law.binder(tau), lab.law.cloning(tau)]", tau)
            np.testing.assert_allclose(infinite, [float(model.binder(tau)), float(model.cloning(tau))], atol=1e-6)
            large = page.evaluate("([mu, tau]) => mu.map(m => lab.law.potentialLargeTime(m, tau))", [mu.tolist(), tau])
            np.testing.assert_allclose(large, model.potential(mu, tau), rtol=1e-9, atol=1e-9)


def test_critical_times_are_pythons_and_are_shown(visit):
    page, model = visit(), CurieWeiss(200, beta=1.5)
    found = page.evaluate("lab.law.critical()")
    expected = {name: model.critical_time(name) for name in ("marginal", "potential", "covariance")}
    assert found == pytest.approx(expected, rel=1e-9)
    for name, tau in expected.items():
        assert f"{name} {tau:.2f}" in page.inner_text("#critical")
    assert page.inner_text("#magnetisation") == f"m* = {model.m_star:.4f}"


@pytest.mark.parametrize(("N", "beta", "h"), MODELS[:3])
def test_walkers_move_as_pythons_do_under_the_same_noise(N, beta, h, visit, rng):
    """Python's: the exact denoiser of the N + 1 values of mu at the data, and the stochastic Heun rule."""
    page, model = visit(), CurieWeiss(N, beta, h)
    page.evaluate("([N, beta, h]) => lab.model(N, beta, h)", [N, beta, h])
    forward = ud.ForwardProcess(ud.NoiseSchedule.at_ou_times(page.evaluate("lab.ouTimes")[1:]))
    atoms = (model.sums / np.sqrt(N))[:, None]
    exact = ud.MixtureDenoiser(forward, np.exp(model.log_law), atoms, np.zeros((N + 1, 1, 1)))
    start, noises = rng.standard_normal((40, 1)), rng.standard_normal((forward.T, 40, 1))
    page.evaluate("([x, t]) => lab.put(x, t)", [start.ravel().tolist(), forward.T])
    page.evaluate("arrays => lab.give(arrays)", [z.ravel().tolist() for z in noises])
    walk = ud.reverse_trajectory(exact, start, sampler=Corrected(), noise=iter(noises).__next__)
    next(walk)
    steps = page.evaluate("T => Array.from({ length: T }, () => (lab.step(1), [lab.t, ...lab.walkers]))", forward.T)
    for (found_t, *found), (t, expected) in zip(steps, walk, strict=True):
        assert found_t == t
        np.testing.assert_allclose(found, expected[:, 0], atol=1e-5)


def test_what_is_measured_on_the_walk_agrees_with_the_exact_curves(visit):
    """3,000 walkers and 300 clones of them at each of ten times: within four standard errors of the exact curves."""
    page = visit()
    page.evaluate("lab.player.resizeCloud(3000)")
    page.evaluate("lab.step(500)")
    assert page.evaluate("lab.t") == 0
    law, model = Magnetisation(CurieWeiss(200, beta=1.5)), CurieWeiss(200, beta=1.5)
    measured = page.evaluate("lab.binder")[:-1]
    assert len(measured) == page.evaluate("lab.about.T")
    taus = np.array([each["tau"] for each in measured])
    away = np.array([each["binder"] for each in measured]) - model.binder_exact(taus)
    assert np.abs(away / model.binder_scatter(taus) * np.sqrt(3000)).max() < 4
    shares = page.evaluate("lab.cloning")
    assert len(shares) == 10
    for tau, share, n in shares:
        phi = law.cloning(tau)
        assert n == 300
        assert abs(share - phi) < 4 * np.sqrt(max(phi * (1 - phi), 1 / n) / n)


def test_data_diffused_by_the_slider_have_the_exact_law(visit):
    """3,000 walkers: variance within four standard errors, at a time the slider is dragged to."""
    page, model = visit(), CurieWeiss(200, beta=1.5)
    page.evaluate("lab.player.resizeCloud(3000)")
    box = page.locator("#time").bounding_box()
    page.mouse.move(box["x"] + box["width"] - 8, box["y"] + 20)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 3, box["y"] + 20, steps=4)
    page.mouse.up()
    tau, x = page.evaluate("lab.tau"), np.array(page.evaluate("lab.walkers"))
    second, fourth = (float(model.moment(k, tau)) for k in (2, 4))
    assert 0.3 < tau < 3
    assert abs((x**2).mean() - second) < 4 * np.sqrt((fourth - second**2) / 3000)


def test_sliders_change_the_model_by_mouse_and_by_key(visit):
    page = visit()
    for slider, name in (("spins", "N"), ("beta", "beta"), ("field", "h")):
        before = page.evaluate(f"lab.law.{name}")
        box = page.locator(f"#{slider}").bounding_box()
        page.mouse.click(box["x"] + 0.8 * box["width"], box["y"] + box["height"] / 2)
        between = page.evaluate(f"lab.law.{name}")
        page.focus(f"#{slider}")
        page.keyboard.press("ArrowLeft")
        assert before < page.evaluate(f"lab.law.{name}") < between
    assert page.evaluate("lab.t") == page.evaluate("lab.about.T")  # walkers are back at noise
    assert page.evaluate("document.getElementById('time').max") == str(page.evaluate("lab.about.T"))


def test_without_a_ferromagnet_the_page_says_so(visit):
    page = visit()
    page.evaluate("lab.model(100, 0.8, 0)")
    until(page, "document.getElementById('magnetisation').textContent.includes('no ferromagnet')")
    page.evaluate("lab.step(500)")
    assert page.evaluate("lab.t") == 0


def test_measurements_of_other_sizes_stay_and_fall_together(visit):
    page = visit()
    for N in (50, 500):
        page.evaluate("N => lab.model(N, 1.5, 0)", N)
        page.evaluate("lab.step(500)")
    page.evaluate("lab.model(200, 1.5, 0)")
    assert page.evaluate("lab.player.earlier.map(old => old.N)") == [50, 500]
    before = page.evaluate("document.getElementById('binder-canvas').toDataURL()")
    page.keyboard.press("c")
    until(page, "document.getElementById('collapse').checked")
    assert page.evaluate("document.getElementById('binder-canvas').toDataURL()") != before
    page.evaluate("lab.model(200, 1.6, 0)")
    assert page.evaluate("lab.player.earlier") == []


@pytest.mark.parametrize("key", ["1", "2", "3"])
def test_every_layer_changes_the_picture_and_comes_back(key, visit):
    page = visit()
    page.evaluate("lab.player.goTo(60)")
    names = "['potential', 'law'].map(name => document.getElementById(`${name}-canvas`).toDataURL())"
    picture = f"() => new Promise(done => setTimeout(() => done({names}), 150))"
    before = page.evaluate(picture)
    page.keyboard.press(key)
    assert page.evaluate(picture) != before
    page.keyboard.press(key)
    assert page.evaluate(picture) == before


def test_the_page_moves_when_it_is_opened_and_space_stops_it(visit, record_property):
    page = visit(moving=True)
    until(page, "lab.player.fps > 0 && lab.t < lab.about.T - 5")
    page.keyboard.press(" ")
    stopped = page.evaluate("lab.walkers")
    page.wait_for_timeout(150)
    assert page.evaluate("lab.walkers") == stopped
    record_property("frames a second", page.evaluate("lab.fps"))


@pytest.mark.parametrize("width", [360, 390, 768])
def test_nothing_is_cut_off_on_a_phone(width, visit):
    assert browser.nothing_is_cut_off(visit(viewport={"width": width, "height": 740}), width)


def test_everything_that_can_be_used_has_a_name(visit):
    assert browser.unnamed(visit()) == []


def test_the_page_holds_nothing_but_its_model(path):
    text = path.read_text()
    about = json.loads(text.split('id="about">')[1].split("</script>")[0])
    assert set(about) == {"name", "N", "beta", "h", "T", "particles", "seed"}
