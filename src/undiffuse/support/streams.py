"""Random streams: one independent generator for every purpose, time and pass.

Nothing in the package keeps a generator running from one unit of work to the next. Each unit asks for its own stream
by key, so cutting, resuming, reordering or moving work to another process changes no number.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from undiffuse.support.arrays import Floats
from undiffuse.support.errors import UserError, one_of, require

LARGEST_SEED = 2**64 - 1


class Purpose(Enum):
    """What a stream is for: a number, which is part of its key, and the names of the other parts of the key.

    All keys are defined here. Every use has a purpose of its own, whose key has a fixed length, so two streams are the
    same only if their seed, purpose and key are.
    """

    # data
    DATA = (0,)
    FRESH_DATA = (1, "replicate")
    SPLIT = (2, "replicate")
    # training
    START = (10, "t")
    PASS = (11, "t", "pass")
    HELD_OUT_ERROR = (12, "t")
    TRAINING_ERROR = (13, "t")
    LINEAR_FIT = (14,)
    CLASSIFIER = (15, "strict")
    PERCEPTRON_ORDER = (16, "order")
    MIXTURE_FIT = (17,)
    TWIN_SEED = (18, "replicate", "twin")
    CROSS_FIT = (19, "t", "fold")
    # samples, one at a time
    SAMPLE = (20, "sample")
    KNOWN_PART = (21, "sample")
    JUMP_UP = (22, "sample")
    DIFFUSED = (23, "sample")
    GAUSSIAN_SAMPLES = (24,)
    MIXTURE_SAMPLES = (25,)
    PARTICLE = (26, "sample")
    RESAMPLED_PARTICLE = (27, "sample")
    CONDITIONAL_SAMPLES = (28,)
    DEVICE_SAMPLES = (29,)
    # measures
    XI_ERROR = (30, "t")
    BOUND = (31, "t")
    SLICES = (32,)
    ROW_BOUND = (33, "t")
    WORK = (34, "trajectory")
    LIKELIHOOD_POINTS = (35,)
    FREE_ENERGY = (36,)
    FREE_ENERGY_END = (37,)
    FREE_ENERGY_DATA = (38,)
    ENERGY_POINTS = (39, "t")
    # figures
    FORWARD_FIGURE = (40,)
    STEP_FIGURE = (41, "t")
    HOLE_FIGURE = (42, "sample")
    LINE_FIGURE = (43, "t")
    PLANE_FIGURE = (44, "t")
    MOVIE_FORWARD = (45,)
    MOVIE_LINE = (46,)
    # physics
    CLASS_CURVE = (50, "t")
    POTENTIAL_CURVE = (51, "t")
    ENTROPY_CURVE = (52, "t")
    UTURN_CURVE = (53, "t")
    UTURN_WALK = (54, "t", "sample")
    SCORE_DIFFERENCE = (55, "t")
    WEIGHTS = (56, "t")
    CLASS_SAMPLES = (57,)
    RESAMPLED_POINTS = (58,)
    RESAMPLED_HELD_OUT = (59,)
    SPINS = (60, "spins", "t")
    SPIN_START = (61, "spins")
    SPIN_WALK = (62, "spins", "sample")
    SPIN_COPY = (63, "spins", "t", "copy", "sample")
    SPIN_SCORE = (64, "spins")
    LANGEVIN = (65,)
    SPIN_POSTERIOR = (66, "spins", "t")
    SPIN_NULL_WALKS = (67, "spins")
    SPIN_NULL_COPIES = (68, "spins")
    SPIN_DRAWS = (69, "spins")
    SPIN_NULL_COLLAPSE = (70,)
    CLASS_GAUSSIANS = (71,)
    STICKS = (72, "quantity")
    RESAMPLED_TURNS = (73,)
    UTURN_STEPS = (74, "t", "sample")
    CASCADE_SEED = (75, "replicate")
    CASCADE_START = (76,)
    CASCADE_PROBES = (77, "t")
    GAINS = (78, "t")
    LOCALITY_SEED = (82, "replicate", "reordered")
    LOCALITY_PROBES = (83, "t")
    LOCALITY_ORDER = (84,)
    LOOKS = (85, "t")
    TWO_CLUSTERS = (80, "n", "noises", "replicate")
    TWO_CLUSTER_STARTS = (81, "n", "noises", "replicate")
    CLOCK_SEED = (88, "n", "replicate")
    CLOCK_POINTS = (89, "n", "replicate")

    @property
    def number(self) -> int:
        """First part of the key."""
        return int(self.value[0])

    @property
    def names(self) -> tuple[str, ...]:
        """What the rest of the key is made of."""
        return tuple(str(name) for name in self.value[1:])


def stream(seed: int, purpose: Purpose, *key: int) -> np.random.Generator:
    """Return the generator that belongs to ``(seed, purpose, *key)``.

    Raises
    ------
    UserError
        If the seed is no integer in 0..2^64 - 1.
    """
    _check(seed, purpose, key)
    # As a spawn key, every part is mixed in after the seed; as entropy, trailing zeros would be padding.
    sequence = np.random.SeedSequence(int(seed), spawn_key=(purpose.number, *map(int, key)))
    return np.random.Generator(np.random.SFC64(sequence))


def key_words(seed: int, purpose: Purpose, *key: int) -> NDArray[np.uint32]:
    """Two words of 32 bits made from ``(seed, purpose, *key)``: the key of a counter-based generator on a device.

    Raises
    ------
    UserError
        If the seed is no integer in 0..2^64 - 1.
    """
    _check(seed, purpose, key)
    sequence = np.random.SeedSequence(int(seed), spawn_key=(purpose.number, *map(int, key)))
    return sequence.generate_state(2).astype(np.uint32)


def check_seed(seed: int) -> None:
    """Raise a :class:`UserError` unless ``seed`` is an integer in 0..2^64 - 1."""
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)):
        raise UserError(f"a seed is an integer, got {seed!r}")
    require(0 <= seed <= LARGEST_SEED, f"a seed is an integer in 0..2^64 - 1, got {seed}")


def _check(seed: int, purpose: Purpose, key: tuple[int, ...]) -> None:
    check_seed(seed)
    if len(key) != len(purpose.names) or not all(0 <= part < 2**32 for part in key):
        raise ValueError(f"the key of {purpose.name} is {purpose.names}, each in 0..2^32 - 1; got {key}")


@dataclass(frozen=True, eq=False)
class Streams:
    """Noise for samples, each from a stream of its own: ``(seed, purpose, *key, index)``.

    Attributes
    ----------
    seed : int
    purpose : Purpose
        Two kinds of noise for the same samples have different purposes.
    key : tuple of int
        What comes before the sample's index.
    axes : {"own", "data"} or (dim, dim) array
        What the numbers are coordinates along. A denoiser that works on principal components is sampled along its own
        axes, which is cheapest and the default; the same seed is then the same noise only for denoisers with the same
        axes. ``"data"``: the variables of the data (pixels), alike for every denoiser, at the price of a product with
        a ``(dim, dim)`` matrix in each step. An array: its orthonormal columns, such as the principal axes of one data
        set for the banks of several.
    first : int
        Index of the first sample; samples made in parts, here or elsewhere, are those made at once.

    Examples
    --------
    The same noise in pixels for two denoisers with axes of their own:

    >>> import numpy as np, undiffuse as ud
    >>> forward = ud.ForwardProcess(ud.NoiseSchedule.linear(100, 1e-3, 0.2))
    >>> one, other = (ud.GaussianDenoiser(forward, np.zeros(2), [[2, c], [c, 2]]) for c in (0.01, -0.01))
    >>> pixels = ud.Streams(1, axes="data")
    >>> a, b = (ud.sample(denoiser, 4, seed=pixels) for denoiser in (one, other))
    >>> bool(np.abs(a - b).max() < 0.05)
    True
    """

    seed: int
    purpose: Purpose = Purpose.SAMPLE
    key: tuple[int, ...] = ()
    axes: Literal["own", "data"] | Floats = "own"
    first: int = 0

    def noise(self, n: int, dim: int, first: int = 0) -> SampleNoise:
        """Return the noise of ``n`` samples from the ``first`` after this one's own first, along these axes."""
        from undiffuse.support import normals  # numba takes half a second to load

        start = self.first + first
        for index in (start, start + n - 1):
            _check(self.seed, self.purpose, (*self.key, index))
        key = (self.purpose.number, *map(int, self.key))
        return SampleNoise(normals.states(int(self.seed), key, start, n), dim)

    def turn(self, own: Floats | None, dim: int) -> Floats | None:
        """Matrix that takes the noise to ``own`` axes (None for the data's), or None where they are these.

        Raises
        ------
        UserError
            If the axes are not orthonormal and as many as there are variables.
        """
        if isinstance(self.axes, str):
            return own if one_of("axes", self.axes, ("own", "data")) == "data" else None
        if self.axes is own:
            return None
        require(
            self.axes.shape == (dim, dim) and np.allclose(self.axes.T @ self.axes, np.eye(dim), atol=1e-6),
            f"axes of shape {self.axes.shape}: wanted {dim} orthonormal columns, shape ({dim}, {dim})",
        )
        return self.axes.T if own is None else self.axes.T @ own


class SampleNoise:
    """Standard normal noise for some samples, each from a stream of its own.

    Sample ``i`` gets the numbers of ``stream(seed, purpose, *key, i)``, for any number of samples and any batch size.
    They are drawn ahead, since one call per sample and step would cost more than the step.

    Parameters
    ----------
    streams : (n, 4) array
        State of each sample's stream, see :func:`undiffuse.support.normals.states`.
    dim : int
        Number of variables.
    """

    _AHEAD = 1 << 20  # numbers drawn ahead, over all samples together

    def __init__(self, streams: NDArray[np.uint64], dim: int) -> None:
        self._streams, self._dim = streams, dim
        # Rows that are a power of two apart would share the same few places of the cache.
        columns = max(dim, self._AHEAD // max(1, len(streams))) // 16 * 16 + 24
        self._ahead: Floats = np.empty((len(streams), columns))
        self._used = self._ahead.shape[1]

    def __call__(self) -> Floats:
        """Return the next ``(n, dim)`` standard normal numbers."""
        return self.take(self._dim)

    def take(self, count: int) -> Floats:
        """Return the next ``count`` numbers of each sample: a view ``(n, count)`` for the moment."""
        slab, first = self.ahead(count)
        return slab[:, first : first + count]

    def ahead(self, count: int) -> tuple[Floats, int]:
        """Return what is drawn ahead, ``(n, m)``, and the column from which on the next ``count`` numbers stand there.

        Loops over whole rows are faster than over a view of some columns.
        """
        left = self._ahead.shape[1] - self._used
        if left < count:
            from undiffuse.support import normals

            rest = self._ahead[:, self._used :].copy()
            if count > self._ahead.shape[1]:
                self._ahead = np.empty((len(self._streams), count))
            self._ahead[:, :left] = rest
            normals.fill(self._streams, self._ahead, left)
            self._used = 0
        self._used += count
        return self._ahead, self._used - count
