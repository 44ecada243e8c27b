"""Passes from a time budget: as many as fit, at the speed that a few passes show."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from undiffuse.datasets import Dataset
from undiffuse.runs.config import Config
from undiffuse.support.progress import duration
from undiffuse.training import Execution
from undiffuse.training.cost import pass_costs, training_seconds
from undiffuse.training.plan import PassCost

_HALVINGS = 12  # of the interval in which the share of the passes lies


@dataclass(frozen=True)
class Spent:
    """A configuration whose passes fit in a time.

    Attributes
    ----------
    config : Config
    seconds : float
        That its training is expected to take.
    share : float
        Of the passes that were wanted.
    how : str
        In words.
    costs : tuple of PassCost
        Of the passes timed.
    """

    config: Config
    seconds: float
    share: float
    how: str
    costs: tuple[PassCost, ...]


def within(
    config: Config, data: Dataset, minutes: float, execution: Execution, kept: frozenset[str] = frozenset()
) -> Spent:
    """Reduce the passes of a configuration, all in one proportion, until its training fits in a time.

    Parameters
    ----------
    config : Config
        With as many passes as are worth making.
    data : Dataset
    minutes : float
    execution : Execution
    kept : set of str
        Which of ``epochs`` and ``warm_epochs`` stay as they are.
    """
    device, _ = execution.resolve(config, data.dim)
    costs = pass_costs(config, data, device)
    workers = execution.processes(len(config.blocks()), device)

    def seconds(share: float) -> float:
        return training_seconds(scaled(config, share, kept), costs, workers)

    budget, share = 60 * minutes, 1.0
    if seconds(1.0) > budget:
        share = _largest(lambda share: seconds(share) <= budget)
    chosen = scaled(config, share, kept)
    needed = seconds(share)
    on = f"{workers} worker{'s' if workers > 1 else ''}, {_speed(costs)} a pass, measured"
    if share == 1:
        how = f"as many as these data are worth, about {duration(needed)} of {duration(budget)} ({on})"
    elif needed <= budget:
        how = f"as many as fit in {duration(budget)} ({on}); {config.training.epochs} would be worth making"
    else:
        how = f"the least there can be: about {duration(needed)}, not {duration(budget)} ({on})"
    return Spent(chosen, needed, share, how, tuple(costs))


def scaled(config: Config, share: float, kept: frozenset[str] = frozenset()) -> Config:
    """Configuration with a share of the passes of each network, at least one each."""

    def fewer(section: object) -> dict[str, int]:
        values = {name: getattr(section, name) for name in ("epochs", "warm_epochs") if name not in kept}
        return {name: max(1, round(share * passes)) for name, passes in values.items() if passes is not None}

    return config.model_copy(
        update={
            "training": config.training.model_copy(update=fewer(config.training)),
            "times": tuple(part.model_copy(update=fewer(part)) for part in config.times),
        }
    )


def _largest(fits: Callable[[float], bool]) -> float:
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low


def _speed(costs: list[PassCost]) -> str:
    each = sorted(cost.seconds for cost in costs)
    return _time(each[0]) if each[-1] < 1.5 * each[0] else f"{_time(each[0])} to {_time(each[-1])}"


def _time(seconds: float) -> str:
    if seconds >= 1:
        return f"{seconds:.2g} s"
    return f"{1000 * seconds:.0f} ms" if seconds >= 0.01 else f"{1000 * seconds:.2g} ms"
