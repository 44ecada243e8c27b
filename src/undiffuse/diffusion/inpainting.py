"""Inpainting: fill in a destroyed part of each sample, given the rest.

``thesis`` and ``repaint`` run the reverse process on the destroyed part and put the known part, freshly diffused to the
level of each time, beside it; they end with the known part as it was. ``thesis`` visits each time once. ``repaint``
(Lugmayr et al. 2022) diffuses the state back up by ``jump`` steps and denoises it again, so that each stretch of
``jump`` steps but the last is made ``repeats`` times and the two parts can become consistent. Neither draws from the
conditional law of the reverse process. ``smc`` does as ``particles`` grow: :mod:`undiffuse.diffusion.particles`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from undiffuse.diffusion.denoiser import Denoiser
from undiffuse.diffusion.particles import clouds
from undiffuse.diffusion.reverse import State
from undiffuse.diffusion.samplers import Ancestral, Sampler, Step, left_the_numbers
from undiffuse.support.arrays import Floats, as_samples
from undiffuse.support.errors import one_of, require
from undiffuse.support.streams import Purpose, Streams

Mask = NDArray[np.bool_]
Method = Literal["thesis", "repaint", "smc"]
METHODS: tuple[str, ...] = get_args(Method)


@dataclass(frozen=True)
class Inpainting:
    """Method of inpainting.

    Attributes
    ----------
    method : {"thesis", "repaint", "smc"}
    jump : int
        Steps of a jump back up; ``repaint`` only.
    repeats : int
        How often each stretch of ``jump`` steps but the last is made; ``repaint`` only.
    particles : int
        Particles of each sample, of which one is returned; ``smc`` only.

    Examples
    --------
    >>> import undiffuse as ud
    >>> ud.Inpainting("repaint", jump=2, repeats=2).path([4, 3, 2, 1, 0])
    [4, 3, 2, 4, 3, 2, 1, 0]

    See Also
    --------
    undiffuse.inpaint
    """

    method: Method = "thesis"
    jump: int = 10
    repeats: int = 10
    particles: int = 64

    def __post_init__(self) -> None:
        one_of("method", self.method, METHODS)
        require(self.jump >= 1, f"jump = {self.jump}: wanted at least one step")
        require(self.repeats >= 1, f"repeats = {self.repeats}: wanted at least one")
        require(self.particles >= 1, f"particles = {self.particles}: wanted at least one")

    def path(self, times: list[int]) -> list[int]:
        """List the times visited, from T down to 0 with the jumps back up; ``times`` are those of the sampler.

        Raises
        ------
        UserError
            If a jump is longer than the way down.
        """
        if self.method != "repaint" or self.repeats == 1:
            return times
        steps = len(times) - 1
        require(self.jump <= steps, f"jump = {self.jump}: wanted at most the {steps} steps of the way down")
        path = [times[0]]
        for start in range(0, len(times) - 1, self.jump):
            stretch = times[start : start + self.jump + 1]
            for again in range(self.repeats):
                path += stretch[1:]
                # The last stretch ends at the data, from which there is no jump back.
                if again < self.repeats - 1 and stretch[-1] > 0:
                    path.append(stretch[0])
                elif stretch[-1] == 0:
                    break
        return path


def inpaint(
    denoiser: Denoiser,
    x0: ArrayLike,
    destroyed: ArrayLike,
    *,
    how: Inpainting | None = None,
    sampler: Sampler | None = None,
    seed: int = 0,
) -> Floats:
    """Fill in the destroyed part of each sample, shape ``(n, dim)``.

    Parameters
    ----------
    denoiser : Denoiser
    x0 : array_like, shape (n, dim)
        Samples; the values of destroyed entries are not used.
    destroyed : array_like of bool, shape (dim,) or (n, dim)
        **True where the sample is destroyed** and to be filled in, False where it is known.
    how : Inpainting
        Method ``thesis`` by default.
    sampler : Sampler
        Of the reverse steps; :class:`~undiffuse.Ancestral` by default.
    seed : int
        Sample i has its own streams, the known part's noise independent of the rest's.

    Raises
    ------
    UserError
        If shapes disagree, the mask is not made of truth values, or method ``smc`` is to take steps without noise or
        more particles than fit into the memory.

    Examples
    --------
    >>> import numpy as np, undiffuse as ud
    >>> forward = ud.ForwardProcess(ud.NoiseSchedule.linear(100, 1e-3, 0.2))
    >>> corners = ud.EmpiricalDenoiser(forward, [[-1.0, -1.0], [1.0, 1.0]])
    >>> ud.inpaint(corners, [[1.0, np.pi]], [False, True], seed=1).round(3)
    array([[1., 1.]])
    >>> ud.inpaint(corners, [[1.0, np.pi]], [False, True], how=ud.Inpainting("smc", particles=8), seed=1).round(3)
    array([[1., 1.]])

    See Also
    --------
    undiffuse.diffusion.inpainting.inpaint_trajectory : the same, every state on the way.
    undiffuse.diffusion.particles.clouds : all particles of method ``smc`` with their weights.
    """
    *_, last = inpaint_trajectory(denoiser, x0, destroyed, how=how, sampler=sampler, seed=seed)
    return last.x


def inpaint_trajectory(
    denoiser: Denoiser,
    x0: ArrayLike,
    destroyed: ArrayLike,
    *,
    how: Inpainting | None = None,
    sampler: Sampler | None = None,
    seed: int = 0,
) -> Iterator[State]:
    """Yield every state on the way to what :func:`inpaint` returns, jumps back up included.

    Parameters
    ----------
    denoiser, x0, destroyed, how, sampler, seed
        See :func:`inpaint`.
    """
    x = as_samples(x0, denoiser.dim, "x0")
    mask = as_mask(destroyed, *x.shape)
    how, sampler = how or Inpainting(), sampler or Ancestral()
    sampler.refuse_start()
    if how.method == "smc":
        for cloud in clouds(denoiser, x, mask, how.particles, sampler, seed):
            yield State(cloud.t, cloud.x)
        return
    forward = denoiser.forward
    path = how.path(sampler.times(denoiser, forward.T))
    noise, of_known, of_jump = (
        Streams(seed, purpose).noise(*x.shape) for purpose in (Purpose.SAMPLE, Purpose.KNOWN_PART, Purpose.JUMP_UP)
    )

    def known(t: int) -> Floats:
        return x if t == 0 else forward.jump(x, t, of_known())

    state, memory = np.where(mask, forward.noise_scale * noise(), known(path[0])), None
    yield State(path[0], state)
    for t, following in pairwise(path):
        if following > t:
            state, memory = forward.diffuse(state, t, following, of_jump()), None
        else:
            moved, memory = sampler.move(denoiser, state, Step(t, following), noise, memory)
            state = np.where(mask, moved, known(following))
        if not np.isfinite(state).all():
            raise left_the_numbers(Step(t, following))
        yield State(following, state)


# -- masks ------------------------------------------------------------------------------------------------------------


def as_mask(destroyed: ArrayLike, n: int, dim: int) -> Mask:
    """Check a mask, True where destroyed, and give it the shape ``(n, dim)``.

    Raises
    ------
    UserError
        If it has another shape, holds anything but truth values, or destroys nothing or everything.
    """
    mask = np.asarray(destroyed)
    if mask.dtype != np.bool_:
        require(np.isin(mask, (0, 1)).all(), "a mask holds True (or 1) where the sample is destroyed and False (or 0)")
        mask = mask.astype(bool)
    if mask.ndim == 2 and mask.shape != (n, dim) and mask.size == dim:
        mask = mask.reshape(dim)  # one mask in the shape of the image
    require(mask.shape in {(dim,), (n, dim)}, f"the mask has shape {mask.shape}, wanted ({dim},) or ({n}, {dim})")
    require(mask.any(), "the mask destroys nothing")
    require(not mask.all(axis=-1).any(), "the mask leaves nothing known: that is sampling")
    return np.broadcast_to(mask, (n, dim))
