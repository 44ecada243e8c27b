"""One setting of a recipe changed while the others stay as they are: what is compared is that setting alone."""

from __future__ import annotations

import numpy as np

from undiffuse.diffusion.schedule import NoiseSchedule
from undiffuse.runs.config import Config, validate
from undiffuse.runs.sections import DiffusionSection, TrainingSection
from undiffuse.support.errors import UserError, require
from undiffuse.training.blocks import total_passes

_LARGEST_BETA = 0.999  # as Nichol & Dhariwal 2021 cap theirs
_HALVINGS = 200  # of the interval that holds the logarithm of the betas' factor: more than doubles have digits


def evenly(config: Config) -> Config:
    """The same recipe with the same settings at all times, each network trained from fresh weights.

    Ranges of times lose the settings of their own, and an order that takes weights from one time to the next is left
    for the independent one, with what belongs to it; the number of times may then be changed.
    """
    alone = {"order": "independent", **dict.fromkeys(("warm_epochs", "warm_learning_rate", "sweep_from", "average"))}
    training = config.training.model_copy(update=alone)
    return _checked(config.model_copy(update={"training": training, "times": ()}), "the same settings at all times")


def with_hidden(config: Config, hidden: int) -> Config:
    """The same recipe with another number of hidden units at all times; UserError below one."""
    times = tuple(part.model_copy(update={"hidden": None}) for part in config.times)
    network = config.network.model_copy(update={"hidden": hidden})
    return _checked(config.model_copy(update={"network": network, "times": times}), f"hidden = {hidden}")


def with_times(config: Config, T: int) -> Config:
    r"""The same recipe with another number of times at the same total noise.

    All betas are multiplied by one factor c, so that the shape of the schedule is what it was and the last time keeps
    its signal: ``sum_{t=1..T} log(1 - c beta_t) = log alpha_bar`` of the given schedule's end. Time t of T then has
    about the noise that time ``t T_0/T`` had, and a mean over times is a mean over the same range of noise.

    Parameters
    ----------
    config : Config
    T : int
        At least 2.

    Raises
    ------
    UserError
        If a beta would pass 0.999, the schedule has no betas to scale, or ranges of times have settings of their own.
    """
    old = config.diffusion
    if old.T == T:
        return config
    require(T >= 2, f"T = {T}: wanted at least 2 times")
    require(
        not config.times and config.training.sweep_from is None,
        f"T = {T}: this recipe has settings for ranges of its {old.T} times, so their number is fixed",
    )
    require(old.schedule != "cosine", f"T = {T}: a cosine schedule has no betas to scale: total noise would change")
    end = float(config.forward().schedule.ou_time(old.T))
    largest = max(old.beta_T, old.beta_1 if old.schedule != "constant" else 0.0)

    def scaled(factor: float) -> DiffusionSection:
        # A beta_1 that is not used stays as it is.
        first = old.beta_1 if old.schedule == "constant" else factor * old.beta_1
        return old.model_copy(update={"T": T, "beta_1": first, "beta_T": factor * old.beta_T})

    def ou_time(factor: float) -> float:
        section = scaled(factor)
        schedule = NoiseSchedule.named(section.schedule, T, section.beta_1, section.beta_T)
        return float(schedule.ou_time(T))

    low, high = 0.0, _LARGEST_BETA / largest
    if ou_time(high) < end:
        raise UserError(f"T = {T}: too few times for this noise, a beta would pass {_LARGEST_BETA}; wanted more times")
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if not low < middle < high:
            break
        low, high = (middle, high) if ou_time(middle) < end else (low, middle)
    return _checked(config.model_copy(update={"diffusion": scaled(high)}), f"T = {T}")


def with_share_of_passes(config: Config, share: float) -> Config:
    """The same recipe with a share of its passes at each time, never less than one; UserError if not above zero."""
    require(0 < share <= 1e6, f"share of the passes = {share:g}: wanted a number above zero")

    def fewer(section: object) -> dict[str, int]:
        passes = {name: getattr(section, name) for name in ("epochs", "warm_epochs")}
        return {name: max(1, round(share * count)) for name, count in passes.items() if count is not None}

    training = config.training.model_copy(update=fewer(config.training))
    times = tuple(part.model_copy(update=fewer(part)) for part in config.times)
    return _checked(
        config.model_copy(update={"training": training, "times": times}), f"share of the passes = {share:g}"
    )


def with_points(config: Config, n: int, of: int) -> Config:
    """Passes and batch for ``n`` of ``of`` training points: as many steps as the recipe makes with all of them.

    Parameters
    ----------
    config : Config
    n : int
        At least 2; the batch is no larger.
    of : int
        Points that the recipe is for.

    Raises
    ------
    UserError
        If ``n`` is not in 2..of.
    """
    require(2 <= n <= of, f"n = {n}: wanted 2 to {of} training points, as many as the recipe has")
    if n == of:
        return config

    def steps(points: int, batch: int) -> int:
        return int(np.ceil(points / batch))

    def longer(section: TrainingSection) -> float:
        return steps(of, section.batch) / steps(n, min(n, section.batch))

    def passes(section: object, own: TrainingSection) -> dict[str, int]:
        given = {name: getattr(section, name) for name in ("epochs", "warm_epochs")}
        found = {name: max(1, round(longer(own) * count)) for name, count in given.items() if count is not None}
        batch = getattr(section, "batch", None)
        return found if batch is None else found | {"batch": min(n, batch)}

    training = config.training.model_copy(update=passes(config.training, config.training))
    times = tuple(part.model_copy(update=passes(part, config.training_at(part.first))) for part in config.times)
    return _checked(config.model_copy(update={"training": training, "times": times}), f"n = {n}")


def mean_passes(config: Config) -> float:
    """Passes over the data that a network is trained for, mean over times."""
    return total_passes(config) / config.diffusion.T


def _checked(config: Config, what: str) -> Config:
    """Check a configuration that was put together from checked parts."""
    return validate(config.model_dump(mode="json", exclude_none=True), what)
