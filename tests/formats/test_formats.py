"""Banks of every kind in other programs' files, read by those programs."""

import io
from itertools import product
from types import SimpleNamespace

import numpy as np
import pytest

import undiffuse as ud
from undiffuse.formats import hdf5, onnx, torch_state
from undiffuse.formats.arrays import BankArrays
from undiffuse.networks.activations import ACTIVATIONS
from undiffuse.networks.bank import MemoryBlock

FORWARD = ud.ForwardProcess(ud.NoiseSchedule.linear(6, 0.02, 0.7), noise_scale=0.6)
DIM = 7


def bank_of(rng, *, hidden=(9, 9), components=(None, None), **options):
    """A bank of random weights, its first three times and its last three with sizes of their own."""
    x = rng.standard_normal((60, DIM)) * np.geomspace(2, 0.05, DIM) + 1
    blocks = []
    for first, units, k in zip((1, 4), hidden, components, strict=True):
        architecture = ud.Architecture(DIM, units, components=k, **options)
        shapes = [array.shape for array in ud.Weights.zeros(architecture).arrays().values()]
        each = [
            ud.Weights(*((rng.standard_normal(shape) / np.sqrt(units)).astype(np.float32) for shape in shapes))
            for _ in range(3)
        ]
        blocks.append(MemoryBlock(first, architecture, ud.Weights.stack(each)))
    return ud.Bank(FORWARD, blocks, ud.GaussianDenoiser.from_data(FORWARD, x)), x


def by_the_formula(arrays, x_t, t):
    """The formula of the README, from named arrays."""
    a, i = SimpleNamespace(**arrays), t - int(arrays["times"][0])
    width = a.W.shape[2]
    z = (x_t - a.shift[i] * a.mean) @ a.axes
    y = (z[:, :width] if a.on_components else x_t).astype(np.float32)
    r = ACTIVATIONS["relu"](y @ a.W[i].T + a.b_h[i]) @ a.A[i].T + a.b_r[i]
    added = a.scale[i] * r @ a.axes[:, :width].T if a.on_components else a.scale[i] * r
    return (a.gain[i] * z) @ a.axes.T + added


def close(found, wanted, share):
    return np.abs(found - wanted).max() < share * max(1.0, np.abs(wanted).max())


KINDS = [
    *({"skip": skip, "prediction": kind} for skip, kind in product(("none", "scalar", "gaussian"), ("xi", "x0", "v"))),
    {"skip": "gaussian", "components": (4, 4)},
    {"skip": "gaussian", "components": (4, 2), "hidden": (5, 9), "prediction": "x0"},
    {"skip": "none", "hidden": (12, 3)},
]


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_the_formula_of_the_readme_gives_the_banks_noise(rng, kind):
    bank, x = bank_of(rng, **kind)
    arrays = BankArrays.of(bank, 2).arrays()
    for t in range(2, 7):
        assert close(by_the_formula(arrays, x, t), bank.xi_hat(x, t), 1e-6)


@pytest.mark.parametrize("kind", [*KINDS, {"activation": "sigmoid"}, {"activation": "linear"}], ids=str)
def test_onnxruntime_gives_the_banks_noise(rng, kind):
    pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    bank, x = bank_of(rng, **kind)
    session = runtime.InferenceSession(onnx.to_bytes(BankArrays.of(bank, 2, 6)))
    x_t = x.astype(np.float32)
    for t in range(2, 7):
        (found,) = session.run(None, {"x_t": x_t, "t": np.array(t)})
        assert found.shape == x.shape
        assert close(found, bank.xi_hat(x_t.astype(np.float64), t), 1e-5)


@pytest.mark.parametrize("t", [1, 7])
def test_a_graph_refuses_times_it_does_not_hold(rng, t):
    pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    bank, x = bank_of(rng)
    session = runtime.InferenceSession(onnx.to_bytes(BankArrays.of(bank, 2, 6)), _silent(runtime))
    with pytest.raises(Exception, match="(?i)out of bounds|out of data bounds"):
        session.run(None, {"x_t": x.astype(np.float32), "t": np.array(t)})


def _silent(runtime):
    options = runtime.SessionOptions()
    options.log_severity_level = 4
    return options


@pytest.mark.parametrize("activation", sorted(ACTIVATIONS))
def test_a_network_as_a_torch_module_gives_the_same_outputs(rng, activation):
    import torch

    bank, x = bank_of(rng, activation=activation)
    module = bank[3].to_torch()
    found = module(torch.from_numpy(x.astype(np.float32)))
    assert found.dtype == torch.float32
    assert np.abs(found.detach().numpy() - bank[3](x)).max() < 1e-6 * max(1.0, np.abs(bank[3](x)).max())
    found.sum().backward()  # it can be trained on
    assert module.encoder.weight.grad.shape == (9, DIM)


def test_a_torch_module_shares_no_weights_with_its_network(rng):
    import torch

    bank, _ = bank_of(rng)
    net = bank[3]
    before = net.W.copy()
    with torch.no_grad():
        net.to_torch().encoder.weight.zero_()
    assert np.array_equal(net.W, before)


def test_a_torch_state_is_that_of_the_modules(rng):
    import torch

    bank, _ = bank_of(rng, skip="gaussian", hidden=(5, 9))
    state = torch.load(io.BytesIO(torch_state.to_bytes(bank, BankArrays.of(bank))), weights_only=True)
    module = bank[5].to_torch()
    module.load_state_dict({key.removeprefix("5."): value for key, value in state.items() if key.startswith("5.")})
    assert state["1.encoder.weight"].shape == (5, DIM)
    assert np.array_equal(state["linear.axes"].numpy(), bank.reference.axes)


def test_a_bank_partly_on_components_is_exported_in_two_parts(rng):
    bank, x = bank_of(rng, components=(None, 3), skip="gaussian")
    with pytest.raises(ud.UserError, match=r"export times 1\.\.3 and 4\.\.6 apart"):
        BankArrays.of(bank)
    for first, last in ((1, 3), (4, 6)):
        arrays = BankArrays.of(bank, first, last).arrays()
        assert close(by_the_formula(arrays, x, last), bank.xi_hat(x, last), 1e-6)


@pytest.mark.parametrize(("first", "last"), [(0, 3), (4, 3), (1, 7)])
def test_times_outside_the_bank_are_refused(rng, first, last):
    with pytest.raises(ud.UserError, match=r"wanted a range inside 1\.\.6"):
        BankArrays.of(bank_of(rng)[0], first, last)


# -- HDF5 -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("labels", [None, np.arange(40) % 3])
def test_rbms_reads_the_samples_and_labels_that_are_written(rng, tmp_path, labels):
    pytest.importorskip("h5py")
    rbms = pytest.importorskip("rbms.dataset.load_h5")
    spins = np.where(rng.random((40, 5)) < 0.5, -1, 1).astype(np.int8)
    (tmp_path / "spins.h5").write_bytes(hdf5.to_bytes(spins, labels, {"bank": {"W": np.eye(3)}}))
    found, their_labels = rbms.load_HDF5(tmp_path / "spins.h5", binarize=False)
    assert np.array_equal(found, spins)
    assert (their_labels is None) if labels is None else np.array_equal(their_labels, labels)
    assert np.array_equal(rbms.load_HDF5(tmp_path / "spins.h5")[0], (spins + 1) / 2)


@pytest.mark.parametrize("labels", [None, np.arange(12) % 3])
def test_what_rbms_writes_is_read(rng, tmp_path, labels):
    """As its split_data does: ``f["samples"]`` and ``f["labels"]``, integers."""
    h5py = pytest.importorskip("h5py")
    spins = rng.integers(0, 2, (12, 4)).astype(np.int32)
    with h5py.File(tmp_path / "d.h5", "w") as file:
        file["samples"] = spins
        if labels is not None:
            file["labels"] = labels
    found, their_labels = hdf5.read(tmp_path / "d.h5")
    assert found.dtype == np.float64
    assert np.array_equal(found, spins)
    assert (their_labels is None) if labels is None else np.array_equal(their_labels, labels)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({}, r"no data set 'samples' \(it has: \[\]\)"),
        ({"x": np.eye(2)}, r"no data set 'samples' \(it has: \['x'\]\)"),
        ({"samples/x": np.eye(2)}, "no data set 'samples'"),
        ({"samples": np.zeros(4)}, "shape"),
        ({"samples": np.full((2, 2), np.nan)}, "NaN"),
        ({"samples": np.eye(2), "labels": np.arange(3)}, "2 samples and 3 labels"),
        ({"samples": np.eye(2), "labels": np.eye(2)}, "labels in .* have shape"),
    ],
)
def test_files_that_are_no_samples_are_refused_in_a_line(tmp_path, content, words):
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "d.h5", "w") as file:
        for name, array in content.items():
            file[name] = array
    with pytest.raises(ud.UserError, match=words) as said:
        hdf5.read(tmp_path / "d.h5")
    assert len(str(said.value).splitlines()) == 1


@pytest.mark.parametrize("content", [b"", b"no HDF5", b"\x89HDF\r\n\x1a\n" + bytes(40)])
def test_bytes_that_are_no_hdf5_are_refused(tmp_path, content):
    pytest.importorskip("h5py")
    (tmp_path / "d.h5").write_bytes(content)
    with pytest.raises(ud.UserError, match="is not an HDF5 file"):
        hdf5.read(tmp_path / "d.h5")


def test_labels_of_another_number_are_not_written():
    pytest.importorskip("h5py")
    with pytest.raises(ud.UserError, match="wanted one for each sample"):
        hdf5.to_bytes(np.eye(3), np.arange(2))
