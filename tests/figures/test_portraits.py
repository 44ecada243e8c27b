"""What a schedule, a network and a model show of themselves."""

import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import undiffuse as ud
from undiffuse.networks.network import Architecture, Autoencoder, Weights
from undiffuse.networks.portrait import Portrait

SMALL = ["diffusion.T=10", "diffusion.schedule=cosine", "network.hidden=16", "training.epochs=20"]


def network(dim, hidden=12, seed=0, **more):
    rng = np.random.default_rng(seed)
    shapes = {"W": (hidden, dim), "b_h": (hidden,), "A": (dim, hidden), "b_r": (dim,)}
    arrays = {name: rng.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}
    return Autoencoder(Weights(**arrays), Architecture(dim=dim, hidden=hidden, **more))


@pytest.fixture(scope="module")
def model():
    return ud.fit(ud.datasets.spiral(400), "spiral-2pi", SMALL)


@given(st.integers(0, 2**32 - 1), st.integers(1, 6))
def test_strength_is_the_norm_of_a_units_share_of_the_jacobian(seed, dim):
    net = network(dim, seed=seed)
    found = Portrait.of(net.weights.arrays())
    for k in range(net.architecture.hidden):
        share = np.outer(net.A[:, k].astype(float), net.W[k].astype(float))
        assert found.strength[k] == pytest.approx(np.linalg.norm(share), rel=1e-12)
        assert found.cosine[k] * found.strength[k] == pytest.approx(np.trace(share), rel=1e-9, abs=1e-12)


def test_the_jacobian_jumps_at_each_kink_by_that_units_share():
    net = network(2)
    found = Portrait.of(net.weights.arrays())
    for k, distance in enumerate(found.kink):
        direction = found.W[k] / np.linalg.norm(found.W[k])
        before, after = net.jacobian(np.array([[distance - 1e-5], [distance + 1e-5]]) * direction)
        assert np.allclose(after - before, np.outer(found.A[k], found.W[k]), atol=1e-12)


def test_singular_values_are_roots_of_eigenvalues():
    net = network(3)
    spectra = Portrait.of(net.weights.arrays()).spectra
    for name, M in {"W": net.W, "A": net.A.T, "AW": net.A.astype(float) @ net.W.astype(float)}.items():
        M = M.astype(float)
        assert np.allclose(spectra[name], np.sqrt(np.linalg.eigvalsh(M.T @ M)[::-1]), rtol=1e-8)


def test_units_without_weights_are_drawn_without_a_warning():
    net = Autoencoder(Weights.zeros(Architecture(dim=2, hidden=5)), Architecture(dim=2, hidden=5))
    found = Portrait.of(net.weights.arrays())
    assert found.kink.tolist() == found.cosine.tolist() == [0.0] * 5
    assert found.reach() == 1.0
    assert net.plot()._repr_png_().startswith(b"\x89PNG")


def test_a_schedules_picture_shows_its_tables():
    schedule = ud.NoiseSchedule.cosine(50)
    drawn = [line.get_xydata() for axis in schedule.plot().axes for line in axis.lines]
    t = schedule.times
    assert np.array_equal(drawn[0], np.column_stack([t, schedule.alpha_bar(t)]))
    assert any(np.array_equal(line[:, 1], schedule.ou_time(t)) for line in drawn if len(line) == 50)
    assert any(np.array_equal(line[:, 1], schedule.snr(t)) for line in drawn if len(line) == 50)


@pytest.mark.parametrize(
    ("dim", "panels"), [(1, 5), (2, 5), (3, 4), (16, 28)], ids=["line", "plane", "numbers", "image"]
)
def test_a_network_is_drawn_as_its_inputs_allow(dim, panels):
    """Axes counted with those of colour scales: 12 units as two images each, then three panels and a scale."""
    assert len(network(dim).plot().axes) == panels


def test_states_beneath_a_network_say_how_far_to_look():
    net = network(2)
    assert net.plot(np.full((50, 2), 7.0)).axes[0].get_xlim()[1] == pytest.approx(7.7)
    with pytest.raises(ud.UserError, match="wanted \\(n, 2\\)"):
        net.plot(np.zeros((50, 3)))


def test_units_on_components_are_shown_in_pixels(digits_run_path):
    model = ud.Diffusion.load(digits_run_path)
    net, t = model.bank[5], 5
    assert np.array_equal(net.axes, model.bank.parametrisation(t).axes)
    images = [image for axis in net.plot().axes for image in axis.images]
    strongest = Portrait.of(net.weights.arrays()).strongest(1)[0]
    assert np.allclose(images[0].get_array(), (net.axes @ net.W[strongest]).reshape(28, 28), atol=1e-5)


def test_a_models_picture_shows_its_errors_and_the_linear_theory(model):
    losses, data, samples = model.plot(ud.datasets.spiral(300), n=50).axes
    training, held_out, gaussian = (line.get_ydata() for line in losses.lines)
    assert np.array_equal(training, model.errors[:, 1])
    assert np.array_equal(held_out, model.errors[:, 2])
    assert gaussian == pytest.approx([model.bank.reference.error(t) for t in range(1, 11)])
    assert len(data.collections[0].get_offsets()) == 300
    assert np.array_equal(samples.collections[0].get_offsets(), model.sample(50))


def test_a_model_of_an_array_shows_its_samples_alone_and_other_columns_are_refused(model):
    assert len(model.plot(n=20).axes) == 2
    with pytest.raises(ud.UserError, match="x has 3 columns, wanted 2"):
        model.plot(np.zeros((5, 3)))


def test_a_run_shows_the_data_it_names(tiny_run_path):
    titles = [axis.get_title() for axis in ud.Diffusion.load(tiny_run_path).plot(n=20).axes]
    assert titles[1:] == ["data", "samples"]


def test_the_banks_table_joins_times_of_one_architecture(digits_run_path):
    page = ud.Diffusion.load(digits_run_path).bank._repr_html_()
    ranges = ["1 to 3", "4 to 7", "8 to 12"]
    assert all(f">{each}<" in page for each in ranges)
    assert page.count(" to ") == len(ranges)


def test_pages_of_models_load_no_matplotlib():
    code = (
        "import sys, undiffuse as ud\n"
        f"model = ud.fit(ud.datasets.spiral(400), 'spiral-2pi', {SMALL!r}, execution=ud.Execution(workers=1))\n"
        "for thing in (model, model.bank, model.bank[3], model.schedule, model.forward, model.config):\n"
        "    page = thing._repr_html_()\n"
        "    assert 'http' not in page and '<script' not in page and len(page) < 20_000, page\n"
        "print('matplotlib' in sys.modules)"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "False"


def test_every_figure_shows_itself_in_a_notebook_without_pyplot():
    code = (
        "import sys, undiffuse as ud\n"
        "from IPython.core.interactiveshell import InteractiveShell\n"
        "data, _ = InteractiveShell().display_formatter.format(ud.NoiseSchedule.linear(20).plot())\n"
        "print(data['image/png'][:4], 'matplotlib.pyplot' in sys.modules)"
    )
    out = subprocess.check_output([sys.executable, "-c", code], text=True)
    assert out.strip().endswith("b'\\x89PNG' False")


def test_titles_of_panels_do_not_run_into_one_another(model):
    figure = model.plot(ud.datasets.spiral(300), n=50)
    figure._repr_png_()
    boxes = [axis.get_tightbbox() for axis in figure.axes]
    assert all(a.x1 < b.x0 for a, b in pairwise(boxes))
