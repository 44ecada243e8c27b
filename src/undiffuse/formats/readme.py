"""The README beside an exported bank: what the file holds, in which shapes, and how it is read."""

from __future__ import annotations

from undiffuse.formats.arrays import BankArrays

_FORMULA = """With row `i = t - {first}` of the arrays that have one row a time, and h the {activation} activation:

```
z = (x_t - shift[i] * mean) @ axes
y = {inputs}
r = h(y @ W[i].T + b_h[i]) @ A[i].T + b_r[i]        in float32
xi_hat = (gain[i] * z) @ axes.T + {added}
```
"""

_READ = {
    "npz": """```python
import numpy as np

bank = np.load("bank.npz", allow_pickle=False)
W = bank["W"]  # (times, hidden, width)
```
""",
    "hdf5": """```python
import h5py

with h5py.File("bank.h5") as file:
    W = file["bank/W"][()]  # (times, hidden, width)
    samples = file["samples"][()] if "samples" in file else None
```

`samples` at the root is what rbms reads (its values must be 0 and 1, or -1 and 1, unless the path has "cont" in it).
""",
    "torch-state": """```python
import torch

state = torch.load("bank.pt", weights_only=True)
encoder = torch.nn.Linear(*state["{first}.encoder.weight"].shape[::-1])
encoder.load_state_dict({{"weight": state["{first}.encoder.weight"], "bias": state["{first}.encoder.bias"]}})
```

The weights of time t are `t.encoder.weight` (W), `t.encoder.bias` (b_h), `t.decoder.weight` (A), `t.decoder.bias`
(b_r), not filled up with zeros; the other arrays are `linear.NAME`.
""",
    "onnx": """```python
import numpy as np
import onnxruntime

session = onnxruntime.InferenceSession("bank.onnx")
x_t = np.zeros((5, {dim}), np.float32)
(xi_hat,) = session.run(None, {{"x_t": x_t, "t": np.array({first})}})  # (5, {dim})
```

Inputs: `x_t` float32 (n, {dim}), `t` int64 (), in {first}..{last}; other times are refused.
Output: `xi_hat` float32 (n, {dim}). The weights of all times are inside, `W` and `A` transposed.
""",
}


def readme(bank: BankArrays, name: str, to: str) -> str:
    """Text of the README of a bank of this name, exported in the format ``to``.

    Parameters
    ----------
    bank : BankArrays
    name : str
        Of the run's configuration.
    to : {"onnx", "hdf5", "npz", "torch-state"}
    """
    last, dim = bank.times[-1], bank.dim
    hidden, width = bank.weights.W.shape[1:]
    inputs = f"z[:, :{width}]" if bank.on_components else "x_t"
    added = f"scale[i] * r @ axes[:, :{width}].T" if bank.on_components else "scale[i] * r"
    rows = [f"| `{key}` | {array.dtype} | {array.shape} |" for key, array in bank.arrays().items()]
    return "\n".join(
        [
            f"# Bank {name!r}",
            "",
            f"{len(bank.times)} autoencoders, of the diffusion times {bank.first}..{last} of T = {bank.T}, for {dim} "
            f"variables; {hidden} hidden units, {width} inputs and outputs.",
            "`xi_hat` is the noise expected in `x_t = signal[i] * x_0 + noise[i] * xi`,",
            f"with xi standard normal; the noise scale is {bank.noise_scale:g}.",
            "",
            _READ[to].format(first=bank.first, last=last, dim=dim),
            _FORMULA.format(first=bank.first, activation=bank.activation, inputs=inputs, added=added),
            "| array | type | shape |",
            "|---|---|---|",
            *rows,
            "",
        ]
    )
