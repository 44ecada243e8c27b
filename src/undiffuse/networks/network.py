"""One single-hidden-layer autoencoder and its architecture: r(x) = A h(W x + b_h) + b_r."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from undiffuse.diffusion.forward import PREDICTIONS
from undiffuse.support.arrays import Float32, Floats, Reals
from undiffuse.support.errors import one_of, require

ACTIVATIONS = ("relu", "linear", "sigmoid")
TYINGS = ("untied", "tied", "signed")
SKIPS = ("none", "scalar", "gaussian")
STARTS = ("uniform", "data")


@dataclass(frozen=True)
class Architecture:
    """What the autoencoder of one time is made of.

    Attributes
    ----------
    dim, hidden : int
        Number of variables N and of hidden units M.
    prediction : {"xi", "x0", "v"}
        What the network predicts; the thesis predicts the noise xi.
    skip : {"none", "scalar", "gaussian"}
        What the network is added to: nothing (thesis), the best scalar multiple of ``x_t``, or the full Wiener
        filter. With a skip the network learns only what that linear theory misses, in units of its error.
    activation : {"relu", "linear", "sigmoid"}
    tying : {"untied", "tied", "signed"}
        ``A`` free (thesis), ``A = W^T``, or ``A = W^T diag(+1 .. -1)`` with half the signs negative.
    start : {"uniform", "data"}
        Initial weights: uniform in +-1/sqrt(inputs) (the usual default), or hidden units whose kinks pass through
        noised data points, with directions uniform on the sphere.
    decoder_scale : float
        Factor on the initial ``A``; untied only.
    components : int, optional
        Number of leading principal components of the data that the network works in, instead of all variables; the
        Gaussian skip alone answers for the rest.
    """

    dim: int
    hidden: int
    prediction: str = "xi"
    skip: str = "none"
    activation: str = "relu"
    tying: str = "untied"
    start: str = "uniform"
    decoder_scale: float = 1.0
    components: int | None = None

    def __post_init__(self) -> None:
        require(self.dim >= 1, f"dim = {self.dim}: a network needs at least one variable")
        require(self.hidden >= 1, f"hidden = {self.hidden}: a network needs at least one hidden unit")
        one_of("prediction", self.prediction, PREDICTIONS)
        one_of("skip", self.skip, SKIPS)
        one_of("activation", self.activation, ACTIVATIONS)
        one_of("tying", self.tying, TYINGS)
        one_of("start", self.start, STARTS)
        require(
            self.tying == "untied" or self.decoder_scale == 1.0,
            f"decoder_scale = {self.decoder_scale:g} has no meaning for {self.tying} weights, whose decoder is W^T",
        )
        if self.components is not None:
            require(
                1 <= self.components <= self.dim,
                f"components = {self.components}: wanted 1..{self.dim}, the number of variables",
            )
            require(
                self.skip == "gaussian",
                f"components = {self.components} needs skip = 'gaussian', which answers for the rest",
            )

    @property
    def width(self) -> int:
        """Number of inputs and outputs of the network: its components, or all variables."""
        return self.components or self.dim

    @property
    def signs(self) -> Float32:
        """Sign of each hidden unit's decoder, shape ``(hidden,)``: all +1 unless tied with signs."""
        signs = np.ones(self.hidden, dtype=np.float32)
        if self.tying == "signed":
            signs[(self.hidden + 1) // 2 :] = -1
        return signs


@dataclass(frozen=True)
class Weights:
    """The four arrays of one autoencoder, float32; or of several times, stacked along a leading axis.

    Attributes
    ----------
    W : (hidden, dim)
        Encoder.
    b_h : (hidden,)
        Encoder bias.
    A : (dim, hidden)
        Decoder.
    b_r : (dim,)
        Decoder bias.
    """

    W: Float32
    b_h: Float32
    A: Float32
    b_r: Float32

    NAMES = ("W", "b_h", "A", "b_r")

    def arrays(self) -> dict[str, Float32]:
        """Return the arrays by name."""
        return {name: getattr(self, name) for name in self.NAMES}

    def copy(self) -> Weights:
        """Return weights that share no memory with these."""
        return Weights(**{name: array.copy() for name, array in self.arrays().items()})

    def widened(self, width: int) -> Weights:
        """Return the same network on more or fewer components: zeros for those added, the last ones left out."""
        now = self.W.shape[1]
        if width <= now:
            return Weights(
                np.ascontiguousarray(self.W[:, :width]), self.b_h, self.A[:width].copy(), self.b_r[:width].copy()
            )
        more = (0, width - now)
        return Weights(np.pad(self.W, ((0, 0), more)), self.b_h, np.pad(self.A, (more, (0, 0))), np.pad(self.b_r, more))

    def __getitem__(self, index: int) -> Weights:
        """Return one entry of stacked weights."""
        return Weights(**{name: array[index] for name, array in self.arrays().items()})

    @staticmethod
    def stack(each: list[Weights]) -> Weights:
        """Stack the weights of several times along a new leading axis."""
        return Weights(**{name: np.stack([getattr(w, name) for w in each]) for name in Weights.NAMES})

    @staticmethod
    def zeros(architecture: Architecture) -> Weights:
        """Weights that are all zero, shaped for ``architecture``."""
        N, M = architecture.width, architecture.hidden
        return Weights(
            np.zeros((M, N), np.float32),
            np.zeros(M, np.float32),
            np.zeros((N, M), np.float32),
            np.zeros(N, np.float32),
        )


def start_weights(architecture: Architecture, x_t: NDArray[np.floating], rng: np.random.Generator) -> Weights:
    """Fresh weights for a network whose inputs look like ``x_t``, shape ``(n, dim)`` with n at least ``hidden``.

    ``start = "uniform"`` ignores ``x_t``. With ``"data"``, unit k is ``w_k . (x - x^(k))`` with ``w_k`` a random
    direction over the inputs' standard deviation and ``x^(k)`` the k-th input, so every kink lies in the data.
    """
    N, M = architecture.width, architecture.hidden
    if architecture.start == "uniform":
        W = rng.uniform(-1, 1, (M, N)) / np.sqrt(N)
        b_h = rng.uniform(-1, 1, M) / np.sqrt(N)
        b_r = rng.uniform(-1, 1, N) / np.sqrt(M)
    else:
        W = rng.standard_normal((M, N))
        W /= np.linalg.norm(W, axis=1, keepdims=True) * max(float(x_t.std()), 1e-12)
        b_h = -np.sum(W * x_t[:M], axis=1)
        b_r = np.zeros(N)
    if architecture.tying == "untied":
        A = architecture.decoder_scale * rng.uniform(-1, 1, (N, M)) / np.sqrt(M)
    else:
        A = W.T * architecture.signs
    return Weights(*(np.ascontiguousarray(a, dtype=np.float32) for a in (W, b_h, A, b_r)))


class Autoencoder:
    """The network of one diffusion time, ``r(x) = A h(W x + b_h) + b_r``, with its weights in the open.

    What ``r`` stands for (the noise, the data, or a correction to a skip), and whether ``x`` are variables or their
    leading principal components, is the bank's business.
    """

    def __init__(self, weights: Weights, architecture: Architecture) -> None:
        self.weights = weights
        self.architecture = architecture
        self.W, self.b_h, self.A, self.b_r = weights.W, weights.b_h, weights.A, weights.b_r

    def __repr__(self) -> str:
        a = self.architecture
        what = f"{a.components} of {a.dim} components" if a.components else f"{a.dim}"
        return f"Autoencoder({what} -> {a.hidden} {a.activation} -> {a.width}, predicts {a.prediction})"

    def __call__(self, x: NDArray[np.floating]) -> Floats:
        """Output ``r(x)``, shape ``(n, dim)``; computed in float32."""
        x32 = np.ascontiguousarray(x, dtype=np.float32)
        if self.architecture.activation != "sigmoid" and self.architecture.width <= _KERNEL_DIM:
            from undiffuse.kernels import autoencoder as kernel

            floor = kernel.floor_of(self.architecture.activation)
            return kernel.apply(kernel.pack(self.W, self.b_h, self.A), self.b_r, floor, x32).astype(np.float64)
        u = x32 @ self.W.T
        u += self.b_h
        return (_activate(u, self.architecture.activation) @ self.A.T + self.b_r).astype(np.float64)

    def hidden(self, x: NDArray[np.floating]) -> Floats:
        """Hidden activities ``h(W x + b_h)``, shape ``(n, hidden)``, in float64."""
        return _activate(self._preactivation(x), self.architecture.activation)

    def jacobian(self, x: NDArray[np.floating]) -> Floats:
        """``J = A diag(h'(u)) W`` at each point, shape ``(n, dim, dim)`` with ``J[n, i, j] = d r_i/d x_j``."""
        u = self._preactivation(x)
        if self.architecture.activation == "relu":
            slope = (u > 0).astype(np.float64)
        elif self.architecture.activation == "linear":
            slope = np.ones_like(u)
        else:
            h = _activate(u, "sigmoid")
            slope = h * (1 - h)
        return np.einsum("im,nm,mj->nij", self.A.astype(np.float64), slope, self.W.astype(np.float64), optimize=True)

    def energy(self, x: NDArray[np.floating]) -> Floats:
        r"""Energy of tied weights, ``E(x) = sum_k s_k H(u_k) - |x - b_r|^2/2``, equation (29), shape ``(n,)``.

        ``H`` is the integral of the activation: ``u^2/2`` (linear), ``log(1 + e^u)`` (sigmoid), ``max(u, 0)^2/2``
        (ReLU, which needs no switch to a linear activation). ``s_k`` are the signs of the decoder. Its gradient is
        ``r(x) - x``, so E is minus a physical potential; the thesis's second term should read ``|x - b_r|^2``
        (Kamyshanska & Memisevic 2015).

        Raises
        ------
        UserError
            If the weights are untied: ``r(x) - x`` is then no gradient.
        """
        require(
            self.architecture.tying != "untied",
            f"{self!r} has untied weights, so no energy: train with network.tying = 'tied' or 'signed', "
            "or look at its potential along lines",
        )
        rest = np.asarray(x, np.float64) - self.b_r
        heights = integral_of(self._preactivation(x), self.architecture.activation)
        return heights @ self.architecture.signs.astype(np.float64) - 0.5 * np.sum(rest**2, axis=1)

    def line_integral(self, start: NDArray[np.floating], ends: NDArray[np.floating]) -> Floats:
        """Integral of ``r`` along the line from ``start`` ``(dim,)`` to each of ``ends``, in closed form, ``(n,)``.

        Unit k contributes ``(a_k . d) [H(u_k(end)) - H(u_k(start))]/(w_k . d)`` with ``d = end - start``.
        """
        d = np.asarray(ends, np.float64) - start
        first, last = self._preactivation(np.asarray(start)[None]), self._preactivation(ends)
        rise = last - first
        kind = self.architecture.activation
        flat = np.abs(rise) < 1e-7 * (1 + np.abs(first))
        mean = (integral_of(last, kind) - integral_of(first, kind)) / np.where(flat, 1.0, rise)
        mean = np.where(flat, _activate(np.broadcast_to(first, last.shape).copy(), kind), mean)
        return np.sum(mean * (d @ self.A.astype(np.float64)), axis=1) + d @ self.b_r.astype(np.float64)

    def _preactivation(self, x: NDArray[np.floating]) -> Floats:
        return np.asarray(x, dtype=np.float64) @ self.W.T.astype(np.float64) + self.b_h.astype(np.float64)


_KERNEL_DIM = 4  # up to here the fused kernel beats two matrix products


def integral_of(u: Floats, activation: str) -> Floats:
    """``H(u)``, the integral of an activation."""
    if activation == "relu":
        return 0.5 * np.maximum(u, 0) ** 2
    return np.logaddexp(0, u) if activation == "sigmoid" else 0.5 * u**2


def _activate(u: Reals, activation: str) -> Reals:
    """Apply the activation, in place where that is possible, keeping the precision of ``u``."""
    if activation == "relu":
        return np.maximum(u, 0, out=u)
    if activation == "sigmoid":
        from scipy.special import expit

        return expit(u)
    return u
