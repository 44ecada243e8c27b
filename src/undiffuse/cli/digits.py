"""Commands about digits that need no run: data fetch, perceptron."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from undiffuse import datasets, workflow
from undiffuse.cli.options import Flag, Json, answer, app
from undiffuse.support import files
from undiffuse.support.errors import one_of

data = App(name="data", help="Data sets.")
app.command(data)


@data.command
def fetch(name: str = "mnist", *, out: Path | None = None, json: Json = False) -> None:
    """Download a data set: mnist, all ten digits, about 11 MB. Digits 0, 1 and 3 need no download.

    Parameters
    ----------
    name
        The only one is mnist.
    out
        Folder to put it in; the user's cache by default, where presets look for it.
    """
    one_of("data set", name, ["mnist"])
    came_from: dict[str, str] = {}
    folder = datasets.fetch(out, on_file=came_from.__setitem__)
    lines = [f"{file}: {source}" for file, source in came_from.items()]
    answer(json, {"folder": str(folder), "files": came_from}, [*lines, f"in {folder}"])


@app.command
def perceptron(
    *,
    digits: Annotated[tuple[int, int], Parameter(help="Two digits; the second is the one of output +1.")] = (0, 1),
    data: Annotated[Path | None, Parameter(help="Folder of IDX files, if not the digits in the package.")] = None,
    orders: Annotated[int, Parameter(help="Random orders of the training data to try as well.")] = 20,
    bias: Annotated[bool, Parameter(help="Learn a threshold.")] = True,
    max_passes: int = 100,
    figure: Annotated[Path | None, Parameter(help="PNG file to draw the weights in.")] = None,
    overwrite: Flag = False,
    seed: int = 0,
    json: Json = False,
) -> None:
    """Train a perceptron to tell two digits apart, Annex II: passes, errors, and the picture of its weights.

    Parameters
    ----------
    max_passes
        Passes over the data after which to give up.
    overwrite
        Replace a figure that is there.
    seed
        Seed of the random orders.
    """
    if figure is not None:
        files.check_output(figure, overwrite)
    summary = workflow.perceptron_study(digits, data, orders, bias, max_passes, seed, figure)
    spread = summary["random_orders"]
    lines = [
        f"{digits[0]} against {digits[1]}: {summary['training_images']} training, {summary['test_images']} test images",
        f"files' own order: {summary['passes']} passes, mistakes in each {summary['mistakes']}, "
        f"{summary['test_errors']} test errors",
    ]
    if spread["passes"]:
        lines.append(
            f"{orders} random orders: {min(spread['passes'])}..{max(spread['passes'])} passes, "
            f"{min(spread['test_errors'])}..{max(spread['test_errors'])} test errors"
        )
    answer(json, summary, lines)
