"""A bank as one ONNX graph, which takes ``x_t`` and the time."""

from __future__ import annotations

from typing import Any

import numpy as np

from undiffuse.formats.arrays import BankArrays
from undiffuse.support.errors import require
from undiffuse.support.memory import in_bytes
from undiffuse.support.optional import optional

_ACTIVATIONS = {"relu": "Relu", "sigmoid": "Sigmoid", "linear": "Identity"}
_LARGEST = (1 << 31) - (1 << 20)  # bytes of a protocol buffer
_OPSET, _IR = 17, 8  # of 2022: what runtimes since then read


def to_bytes(bank: BankArrays) -> bytes:
    """Content of an ``.onnx`` file with inputs ``x_t`` (n, dim) and ``t`` (), output ``xi_hat`` (n, dim).

    ``x_t`` and ``xi_hat`` are float32, ``t`` is int64. The weights of all times are stacked, and those of ``t`` are
    gathered; a time that is not there is an error. As in the bank, networks compute in float32 and the linear part in
    float64, whose gains may be large.

    Raises
    ------
    UserError
        If onnx is not installed, the activation has no operator there, or the file would be larger than 2 GiB.
    """
    onnx = optional("onnx", "onnx", "ONNX files need onnx")
    helper = onnx.helper
    require(
        bank.activation in _ACTIVATIONS,
        f"activation {bank.activation!r} has no ONNX operator here (choices: {', '.join(_ACTIVATIONS)})",
    )
    constants = _constants(bank)
    size = sum(array.nbytes for array in constants.values())
    require(size < _LARGEST, f"{in_bytes(size)} do not fit into one ONNX file of 2 GiB: export fewer times")
    double = onnx.TensorProto.DOUBLE
    single = onnx.TensorProto.FLOAT

    nodes: list[Any] = []

    def add(operator: str, inputs: list[str], output: str, **attributes: Any) -> str:
        nodes.append(helper.make_node(operator, inputs, [output], **attributes))
        return output

    # A time before the first would count from the end; it is sent past it, which Gather refuses.
    add("Where", [add("Less", ["t", "first"], "too_early"), "outside", add("Sub", ["t", "first"], "row")], "i")
    for name in ("shift", "scale", "gain", "W_T", "b_h", "A_T", "b_r"):
        add("Gather", [name, "i"], f"{name}_i", axis=0)
    x = add("Cast", ["x_t"], "x", to=double)
    add("Mul", ["shift_i", "mean"], "centre")
    z = add("Sub", [x, "centre"], "centred")
    if "axes" in constants:
        z = add("MatMul", [z, "axes"], "z")
    linear = add("Mul", [z, "gain_i"], "along")
    if "axes" in constants:
        linear = add("MatMul", [linear, "axes_T"], "linear")
    y = add("MatMul", ["centred", "components"], "y") if bank.on_components else x
    add("Add", [add("MatMul", [add("Cast", [y], "y32", to=single), "W_T_i"], "Wy"), "b_h_i"], "u")
    add(_ACTIVATIONS[bank.activation], ["u"], "h")
    add("Cast", [add("Add", [add("MatMul", ["h", "A_T_i"], "Ah"), "b_r_i"], "r")], "r64", to=double)
    network = add("Mul", ["r64", "scale_i"], "network")
    if bank.on_components:
        network = add("MatMul", [network, "components_T"], "in_variables")
    add("Cast", [add("Add", [linear, network], "sum")], "xi_hat", to=single)

    graph = helper.make_graph(
        nodes,
        "undiffuse",
        [
            helper.make_tensor_value_info("x_t", single, ["n", bank.dim]),
            helper.make_tensor_value_info("t", onnx.TensorProto.INT64, []),
        ],
        [helper.make_tensor_value_info("xi_hat", single, ["n", bank.dim])],
        [onnx.numpy_helper.from_array(np.asarray(array, order="C"), name) for name, array in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR)
    times = bank.times
    about = {"first": times[0], "last": times[-1], "T": bank.T, "noise_scale": bank.noise_scale}
    helper.set_model_props(model, {key: str(value) for key, value in about.items()})
    onnx.checker.check_model(model)
    content: bytes = model.SerializeToString()
    return content


def _constants(bank: BankArrays) -> dict[str, Any]:
    weights, width = bank.weights, bank.weights.b_r.shape[1]
    out = {
        "first": np.array(bank.first, np.int64),
        "outside": np.array(len(bank.times), np.int64),
        "shift": bank.shift,
        "scale": bank.scale,
        "gain": bank.gain,
        "mean": bank.mean,
        "W_T": weights.W.swapaxes(1, 2),
        "b_h": weights.b_h,
        "A_T": weights.A.swapaxes(1, 2),
        "b_r": weights.b_r,
    }
    if not np.array_equal(bank.axes, np.eye(bank.dim)):
        out |= {"axes": bank.axes, "axes_T": bank.axes.T}
    if bank.on_components:
        out |= {"components": bank.axes[:, :width], "components_T": bank.axes[:, :width].T}
    return out
