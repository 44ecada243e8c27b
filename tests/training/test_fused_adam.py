"""Steps of Adam whose gradients are never written out, by Triton's interpreter, which needs no GPU.

On a GPU ``TRITON_INTERPRET=0 pytest tests/training/test_fused_adam.py`` has the kernel compiled.
"""

import os
import subprocess
import sys

import numpy as np
import pytest
import torch

import undiffuse as ud
from side_by_side import RATES, fresh, problem, tiny
from undiffuse import Architecture, datasets
from undiffuse.networks.network import Weights
from undiffuse.runs.sections import TrainingSection
from undiffuse.training import train_bank, train_run
from undiffuse.training.engines import choose
from undiffuse.training.torch_engine import TorchEngine, Way

pytest.importorskip("triton", reason="Triton is not installed")


COMPILES = os.environ["TRITON_INTERPRET"] == "0"
DEVICE = torch.device("cuda" if COMPILES else "cpu")
interpreted = pytest.mark.skipif(COMPILES, reason="a compiled kernel has no float64 and no processor's tensors")
PARTS = ("weights", "first", "second", "average")


def both(rng, a, whole, products="float32"):
    """The same pass of three networks, written out by torch and fused; the states where each ends."""
    states, (x, y), weights = fresh(rng, a, averaged=True), problem(rng, a.dim), [0.7, 1.0, 3.0]
    ways = [Way(DEVICE, products, whole, recorded=True, fused=fused) for fused in (False, True)]
    engines = [TorchEngine(a, states, way, 0.9) for way in ways]
    errors = [engine.run_pass(x, y, 25, RATES, weights) for engine in engines]
    return errors, [engine.states() for engine in engines]


@interpreted
@pytest.mark.parametrize("tying", ["untied", "tied", "signed"])
@pytest.mark.parametrize(("dim", "hidden"), [(2, 9), (6, 64), (70, 131)], ids=["part of a tile", "one", "several"])
def test_steps_without_gradients_are_those_with_them_in_float64(rng, tying, dim, hidden):
    errors, states = both(rng, Architecture(dim, hidden, tying=tying), torch.float64)
    np.testing.assert_allclose(*errors, rtol=1e-12)
    for one, other in zip(*states, strict=True):
        for part in PARTS:
            for name in Weights.NAMES:
                mine, its = (getattr(getattr(state, part), name) for state in (one, other))
                np.testing.assert_allclose(mine, its, atol=1e-11, err_msg=f"{part} {name}")


@pytest.mark.parametrize(("products", "rounding"), [("float32", 3e-5), ("bfloat16", 4e-2)])
def test_in_float32_and_bfloat16_they_end_where_torch_does_to_rounding(rng, products, rounding):
    """Steps of 0.01 to 0.002: weights that went the other way would end 0.06 apart, and 0.03 on the average."""
    _, states = both(rng, Architecture(20, 40), torch.float32, products)
    for one, other in zip(*states, strict=True):
        for part in PARTS:
            for name in Weights.NAMES:
                gap = np.abs(getattr(getattr(one, part), name) - getattr(getattr(other, part), name))
                assert gap.max() < rounding, f"{part} {name}"
                assert gap.mean() < rounding / 20, f"{part} {name}"


@pytest.mark.skipif(not COMPILES, reason="a processor records nothing")
@pytest.mark.parametrize("products", ["float32", "tf32", "bfloat16"])
def test_recorded_launches_of_the_kernel_end_where_plain_ones_do(rng, products):
    """Sixteen passes, in the last of which the rarest kind of step is recorded."""
    a = Architecture(20, 40)
    states, (x, y) = fresh(rng, a, averaged=True), problem(rng, 20)
    engines = [TorchEngine(a, states, Way(DEVICE, products, recorded=r, fused=True), 0.9) for r in (False, True)]
    for _ in range(16):
        errors = [engine.run_pass(x, y, 25, RATES, [1.0] * 3) for engine in engines]
        np.testing.assert_allclose(*errors, rtol=1e-5)
    for one, other in zip(*(engine.states() for engine in engines), strict=True):
        np.testing.assert_allclose(one.weights.W, other.weights.W, atol=1e-5)
        np.testing.assert_allclose(one.average.W, other.average.W, atol=1e-5)


@interpreted
def test_a_network_is_the_same_to_rounding_whatever_is_trained_beside_it(rng):
    a, ends = Architecture(20, 40), []
    states, (x, y) = fresh(rng, a), problem(rng, 20)
    for part in (slice(0, 3), slice(1, 2)):
        engine = TorchEngine(a, states[part], Way(whole=torch.float64, recorded=True, fused=True))
        engine.run_pass(x[part], y[part], 25, RATES, [1.0] * (part.stop - part.start))
        ends.append(engine.states())
    np.testing.assert_allclose(ends[0][1].weights.W, ends[1][0].weights.W, atol=1e-13)


@interpreted
def test_a_training_by_triton_is_that_by_torch_and_the_manifest_says_which(as_on_gpu, tmp_path):
    settings = tiny("training.epochs=2", "training.engine=triton", "data.n=200")
    plain = tiny("training.epochs=2", "training.engine=torch", "data.n=200")
    data = datasets.load(settings)
    banks = [train_bank(some, data, as_on_gpu)[0] for some in (settings, plain)]
    for t in range(1, 13):
        np.testing.assert_allclose(banks[0][t].W, banks[1][t].W, atol=1e-4)
    run = train_run(settings, data, tmp_path / "run", execution=as_on_gpu)
    assert (run.manifest.device, run.manifest.engine) == ("cuda", "triton")


def test_precisions_by_triton_are_engines_of_their_own():
    a = Architecture(2, 8)
    names = [choose(TrainingSection(engine="triton", precision=p), a, "cuda") for p in ("float32", "tf32", "bfloat16")]
    assert names == ["triton", "triton-tf32", "triton-bfloat16"]


@pytest.mark.parametrize(
    ("settings", "device", "message"),
    [
        ({}, "cpu", "engine 'triton' does not do device cpu, but Adam with --device cuda; use 'torch' or 'auto'"),
        ({"optimiser": "sgd"}, "cuda", "engine 'triton' does not do optimiser 'sgd'"),
    ],
)
def test_triton_is_refused_in_a_line_where_it_cannot_train(settings, device, message):
    with pytest.raises(ud.UserError, match=message) as caught:
        choose(TrainingSection(engine="triton", **settings), Architecture(2, 8), device)
    assert "\n" not in str(caught.value)


def test_without_triton_a_line_says_what_to_install(monkeypatch):
    from undiffuse.training import fused_adam

    monkeypatch.setitem(sys.modules, "triton", None)
    with pytest.raises(ud.UserError, match=r"needs Triton.*pip install 'undiffuse\[triton\]'"):
        fused_adam.kernel()


COMPILED = """
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from undiffuse.kernels import products

POINTERS = ("left", "right", "other_left", "other_right", "copy")
for kind, precision, unit in (("*fp32", "ieee", "fma"), ("*fp32", "tf32", "tf32"), ("*bf16", "ieee", "bf16")):
    fixed = dict(two=True, copies=True, averages=True, precision=precision, whole=False, high=products._HIGH)
    fixed |= dict(of_rows=4, of_columns=4, wide=products._WIDE, depth=products._DEPTH)
    fixed |= dict(decay_1=0.9, decay_2=0.999, epsilon=1e-8)
    types = {}
    for name in products._moved.arg_names:
        types[name] = "constexpr" if name in fixed else kind if name in POINTERS else "*fp32"
    types |= dict(n="i32", rows="i32", columns="i32", share="fp32")
    aligned = [i for i, name in enumerate(products._moved.arg_names) if types[name].startswith("*")]
    attributes = {(i,): [["tt.divisibility", 16]] for i in aligned}  # as memory that torch gives
    source = ASTSource(products._moved, types, constexprs=fixed, attrs=attributes)
    made = triton.compile(source, target=GPUTarget("cuda", 90, 32), options={"num_warps": products._WARPS})
    assert len(made.asm["cubin"]) > 0
    assert unit in made.asm["ptx"]
    assert made.asm["ptx"].count("st.global.v4") >= 5  # weights, moments, copy, average
    print(precision, kind)
"""


def test_the_kernel_compiles_for_a_gpu_of_2022_in_all_three_precisions(tmp_path):
    """For compute capability 9.0 (H100), in a process that does not interpret: TF32 and bfloat16 by tensor units, and
    numbers moved by fours where rows and columns are multiples of four."""
    around = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    job = subprocess.run(
        [sys.executable, "-c", COMPILED],
        env=around | {"TRITON_CACHE_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert job.stdout.splitlines() == ["ieee *fp32", "tf32 *fp32", "ieee *bf16"], job.stderr
