"""The command physics locality."""

from __future__ import annotations

from collections.abc import Callable

from undiffuse.cli.answers import Json, answer, known, say
from undiffuse.cli.tables import Part, Table
from undiffuse.studies import locality as study
from undiffuse.support.progress import progress


def locality(settings: study.Settings, *, json: Json = False) -> None:
    """How far around a pixel fully connected networks look, beside the Wiener filter and exact patch denoisers."""
    with progress("locality", "%") as update:
        result = study.run(settings, update, say)
    names = list(result.beside)
    mine = [result.radius, result.reordered_radius, result.put_back_radius]
    lines: list[Part] = [
        f"{result.seeds} trainings of {result.hidden} hidden units, standard errors over trainings; "
        f"exact denoisers of {result.images} images",
        "",
        f"receptive radius in pixels; of a map that looks everywhere {result.everywhere:.1f}",
        _table(
            result,
            ["networks", "reordered", "put back", *names],
            lambda k: [
                *(_known(each, k, 2) for each in mine),
                *("-" if (r := result.beside[name].radius[k]) is None else f"{r:.2f}" for name in names),
            ],
        ),
        "",
        "correlation of sensitivity maps with the networks'; put back: of the reordered ones with Wiener's",
        _table(
            result,
            [*names, "put back"],
            lambda k: [
                _known(each, k)
                for each in (*(result.beside[name].correlation for name in names), result.put_back_correlation)
            ],
        ),
        "",
        "share r^2 of the networks' outputs explained",
        _table(
            result,
            names,
            lambda k: [_known(each, k) for each in (result.beside[name].explained for name in names)],
        ),
        "",
        "mean square error of x0_hat per pixel, in thousandths",
        _table(
            result,
            ["networks", *names],
            lambda k: [
                _known(result.error, k, 2, 1e3),
                *(f"{1e3 * result.beside[name].error[k]:.2f}" for name in names),
            ],
        ),
        "",
        f"{result.seconds:.0f} s",
        *(result.figures or ()),
    ]
    answer(result, json, lines)


def _table(result: study.Result, head: list[str], row: Callable[[int], list[str]]) -> Table:
    """A table with a line for each time."""
    return Table(["tau", *head], [[f"{tau:.3f}", *row(k)] for k, tau in enumerate(result.ou_time)])


def _known(found: study.Measured, k: int, digits: int = 3, unit: float = 1.0) -> str:
    value, error = found.value[k], found.stderr[k]
    return known(None if value is None else unit * value, None if error is None else unit * error, digits)
