"""One single-hidden-layer autoencoder and its architecture: r(x) = A h(W x + b_h) + b_r."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from undiffuse.diffusion.forward import PREDICTIONS, Prediction
from undiffuse.kernels import LARGEST_DIM
from undiffuse.networks.activations import ACTIVATIONS, Activation
from undiffuse.support import html
from undiffuse.support.arrays import Float32, Floats, as_samples
from undiffuse.support.errors import one_of, require

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from undiffuse.networks.torch_module import TorchAutoencoder

Tying = Literal["untied", "tied", "signed"]
Skip = Literal["none", "scalar", "gaussian"]
Start = Literal["uniform", "data"]
TYINGS, SKIPS, STARTS = (get_args(kind) for kind in (Tying, Skip, Start))


@dataclass(frozen=True)
class Architecture:
    """What the autoencoder of one time is made of.

    Attributes
    ----------
    dim, hidden : int
        Number of variables N and of hidden units M.
    prediction : {"xi", "x0", "v"}
        What the network predicts; the thesis predicts the noise xi (eps-prediction).
    skip : {"none", "scalar", "gaussian"}
        What the network is added to: nothing (thesis), the best scalar multiple of ``x_t - sqrt(alpha_bar) mu`` (the
        preconditioning of EDM, with its c_skip and c_out), or the full Wiener filter. With a skip the network learns
        only what that linear theory misses, in units of its error; see
        :class:`~undiffuse.networks.parametrisation.Parametrisation`.
    activation : str
        A name in :data:`~undiffuse.networks.activations.ACTIVATIONS`: "relu" (thesis), "linear", "sigmoid".
    tying : {"untied", "tied", "signed"}
        ``A`` free (thesis), ``A = W^T``, or ``A = W^T diag(+1 .. -1)`` with half the signs negative.
    start : {"uniform", "data"}
        Initialisation of the weights: uniform in +-1/sqrt(inputs) (the usual default), or hidden units whose kinks
        pass through noised data points, with directions uniform on the sphere.
    decoder_scale : float
        Factor on the initial ``A``; untied only.
    components : int, optional
        Number of leading principal components of the data that the network works in, instead of all variables; the
        other components are left to the Gaussian skip.

    Examples
    --------
    >>> import undiffuse as ud
    >>> net = ud.Architecture(dim=784, hidden=300, skip="gaussian", components=50)
    >>> net.width, net.h.title
    (50, 'ReLU')

    See Also
    --------
    undiffuse.Autoencoder : the network.
    undiffuse.Weights : its arrays.
    """

    dim: int
    hidden: int
    prediction: Prediction = "xi"
    skip: Skip = "none"
    activation: str = "relu"
    tying: Tying = "untied"
    start: Start = "uniform"
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
                f"components = {self.components} needs skip = 'gaussian': the other components are left to the skip",
            )

    @property
    def h(self) -> Activation:
        """The activation of the hidden units."""
        return ACTIVATIONS[self.activation]

    @property
    def width(self) -> int:
        """Number of inputs and outputs of the network: its components, or all variables."""
        return self.components or self.dim

    @property
    def size(self) -> int:
        """Number of weights and biases that are kept: ``2 width hidden + width + hidden``."""
        return 2 * self.width * self.hidden + self.width + self.hidden

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

    Examples
    --------
    >>> import undiffuse as ud
    >>> weights = ud.Weights.zeros(ud.Architecture(dim=2, hidden=8))
    >>> {name: array.shape for name, array in weights.arrays().items()}
    {'W': (8, 2), 'b_h': (8,), 'A': (2, 8), 'b_r': (2,)}

    See Also
    --------
    undiffuse.networks.network.start_weights : initialisation.
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
    """Initialise the weights of a network whose inputs look like ``x_t``, shape ``(n, dim)``, n at least ``hidden``.

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
    """The network of one diffusion time, ``r(x) = A h(W x + b_h) + b_r``, with its weights as attributes.

    Whether ``r`` is the noise, the data, or a correction to a skip, and whether ``x`` are variables or their leading
    principal components, is decided by :class:`~undiffuse.networks.parametrisation.Parametrisation`.

    Parameters
    ----------
    weights : Weights
    architecture : Architecture

    Attributes
    ----------
    W, b_h, A, b_r : arrays
        See :class:`~undiffuse.Weights`.
    axes : (dim, width) array or None
        Principal axes of the data that its inputs lie along, where a bank has made it and it works on components; for
        its pictures.

    Examples
    --------
    One linear hidden unit with tied weights, a projection on the diagonal:

    >>> import numpy as np, undiffuse as ud
    >>> W = np.sqrt(np.float32([[0.5, 0.5]]))
    >>> weights = ud.Weights(W, np.zeros(1, np.float32), W.T, np.zeros(2, np.float32))
    >>> net = ud.Autoencoder(weights, ud.Architecture(dim=2, hidden=1, activation="linear", tying="tied"))
    >>> net.jacobian(np.zeros((1, 2))).round(3)
    array([[[0.5, 0.5],
            [0.5, 0.5]]])
    >>> net.energy(np.array([[1.0, 1.0], [1.0, -1.0]])).round(3) + 0.0
    array([ 0., -1.])

    See Also
    --------
    undiffuse.Bank : one for each time.
    """

    def __init__(self, weights: Weights, architecture: Architecture, axes: Floats | None = None) -> None:
        self.weights = weights
        self.architecture = architecture
        self.axes = axes
        self.W, self.b_h, self.A, self.b_r = weights.W, weights.b_h, weights.A, weights.b_r

    def __repr__(self) -> str:
        a = self.architecture
        what = f"{a.components} of {a.dim} components" if a.components else f"{a.dim}"
        return f"Autoencoder({what} -> {a.hidden} {a.activation} -> {a.width}, predicts {a.prediction})"

    def _repr_html_(self) -> str:
        a, norms = (
            self.architecture,
            {f"|{name}|": float(np.linalg.norm(M)) for name, M in self.weights.arrays().items()},
        )
        inputs = f"{a.components} of {a.dim} principal components" if a.components else f"{a.dim} variables"
        what = {"inputs": inputs, "hidden units": f"{a.hidden}, {a.h.title}", "weights": a.tying}
        return html.card("Autoencoder", {**what, "predicts": a.prediction, "skip": a.skip, **norms})

    def plot(self, x: ArrayLike | None = None) -> Figure:
        """Draw the network: in the plane its units' kinks and its output, on images its strongest units.

        A kink is the line ``w_k . x + b_k = 0`` beyond which a hidden unit is active; its strength is ``|w_k| |a_k|``.
        Beside images, and for other data, stand the singular values of ``W``, ``A`` and ``A W``, and the cosines of
        each ``w_k`` with its ``a_k``.

        Parameters
        ----------
        x : array_like, shape (n, width), optional
            Inputs of the network, such as ``x_t``, to be drawn beneath; they also say how far to look.
        """
        from undiffuse.networks.portrait import Portrait, draw

        states = None if x is None else as_samples(x, self.architecture.width, "x")
        return draw(Portrait.of(self.weights.arrays()), self, states, self.axes)

    def __call__(self, x: NDArray[np.floating]) -> Floats:
        """Output ``r(x)``, shape ``(n, dim)``; computed in float32."""
        return self.apply(np.ascontiguousarray(x, dtype=np.float32)).astype(np.float64)

    def apply(self, x: Float32) -> Float32:
        """Output ``r(x)``, shape ``(n, dim)``, in float32 throughout."""
        floor = self.architecture.h.floor
        if floor is not None and self.architecture.width <= LARGEST_DIM:
            from undiffuse.kernels import autoencoder as kernel

            return kernel.apply(kernel.pack(self.W, self.b_h, self.A), self.b_r, floor, x)
        u = x @ self.W.T
        if floor is None:
            u += self.b_h
            h = self.architecture.h(u)
        else:
            from undiffuse.kernels import dense

            dense.raise_to(u, self.b_h, np.float32(floor))
            h = u
        out = np.asarray(h @ self.A.T, np.float32)
        out += self.b_r
        return out

    def to_torch(self) -> TorchAutoencoder:
        """Return the same network as a torch module, float32, with weights of its own.

        Its inputs and outputs are this network's: see :class:`~undiffuse.networks.parametrisation.Parametrisation`.
        """
        from undiffuse.networks.torch_module import TorchAutoencoder  # torch is slow to load

        return TorchAutoencoder(self.weights.arrays(), self.architecture.h)

    def hidden(self, x: NDArray[np.floating]) -> Floats:
        """Hidden activities ``h(W x + b_h)``, shape ``(n, hidden)``, in float64."""
        return self.architecture.h(self._preactivation(x))

    def jacobian(self, x: NDArray[np.floating]) -> Floats:
        """``J = A diag(h'(u)) W`` at each point, shape ``(n, dim, dim)`` with ``J[n, i, j] = d r_i/d x_j``."""
        h = self.hidden(x)
        slope = self.architecture.h.slope(h)
        slope = np.ones_like(h) if slope is None else np.asarray(slope, np.float64)
        return np.einsum("im,nm,mj->nij", self.A.astype(np.float64), slope, self.W.astype(np.float64), optimize=True)

    def mean_jacobian(self, x: NDArray[np.floating]) -> Floats:
        """Mean of :meth:`jacobian` over points, ``A diag(<h'(u)>) W``, shape ``(dim, dim)``."""
        slope = self.architecture.h.slope(self.hidden(x))
        mean = 1.0 if slope is None else np.mean(slope, axis=0, dtype=np.float64)
        return np.asarray((self.A.astype(np.float64) * mean) @ self.W.astype(np.float64))

    def trace(self, x: NDArray[np.floating]) -> Floats:
        """Trace of :meth:`jacobian` at each point, ``sum_m h'(u_m) (W A)_mm``, shape ``(n,)``."""
        h = self.hidden(x)
        slope = self.architecture.h.slope(h)
        diagonal = np.einsum("im,mi->m", self.A.astype(np.float64), self.W.astype(np.float64))
        return np.full(len(h), diagonal.sum()) if slope is None else np.asarray(slope, np.float64) @ diagonal

    def energy(self, x: NDArray[np.floating]) -> Floats:
        r"""Energy of tied weights, ``E(x) = sum_k s_k H(u_k) - |x - b_r|^2/2``, equation (29), shape ``(n,)``.

        ``H`` is the integral of the activation: ``u^2/2`` (linear), ``log(1 + e^u)`` (sigmoid), ``max(u, 0)^2/2``
        (ReLU, which needs no switch to a linear activation). ``s_k`` are the signs of the decoder. Its gradient is
        ``r(x) - x``, so E is minus a physical potential; the thesis's second term should read ``-|x - b_r|^2/2``
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
        heights = self.architecture.h.integral(self._preactivation(x))
        return heights @ self.architecture.signs.astype(np.float64) - 0.5 * np.sum(rest**2, axis=1)

    def line_integral(self, start: NDArray[np.floating], ends: NDArray[np.floating]) -> Floats:
        """Integral of ``r`` along the line from ``start`` ``(dim,)`` to each of ``ends``, in closed form, ``(n,)``.

        Unit k contributes ``(a_k . d) [H(u_k(end)) - H(u_k(start))]/(w_k . d)`` with ``d = end - start``.
        """
        d = np.asarray(ends, np.float64) - start
        first, last = self._preactivation(np.asarray(start)[None]), self._preactivation(ends)
        rise = last - first
        h = self.architecture.h
        flat = np.abs(rise) < 1e-7 * (1 + np.abs(first))
        mean = (h.integral(last) - h.integral(first)) / np.where(flat, 1.0, rise)
        mean = np.where(flat, h(np.broadcast_to(first, last.shape).copy()), mean)
        return np.sum(mean * (d @ self.A.astype(np.float64)), axis=1) + d @ self.b_r.astype(np.float64)

    def _preactivation(self, x: NDArray[np.floating]) -> Floats:
        return np.asarray(x, dtype=np.float64) @ self.W.T.astype(np.float64) + self.b_h.astype(np.float64)
