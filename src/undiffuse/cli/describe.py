"""The commands presets, info, check and data fetch."""

from __future__ import annotations

from itertools import groupby

from undiffuse.cli.answers import Json, answer
from undiffuse.cli.tables import Part, Table
from undiffuse.studies import check as checking
from undiffuse.studies import fetch as fetching
from undiffuse.studies import info as description
from undiffuse.studies import presets as listing
from undiffuse.support.errors import FailedJobError
from undiffuse.support.progress import duration


def presets(*, json: Json = False) -> None:
    """List the presets, by kind, with what each costs."""
    result = listing.presets()
    lines: list[Part] = []
    for group, members in groupby(result.presets, lambda preset: preset.group):
        lines += [f"{group}:", _presets_table([*members]), ""]
    lines += [
        "time: training on two cores of a server; on yours: undiffuse plan PRESET",
        "begin with: undiffuse run spiral-2pi-best",
    ]
    answer(result, json, lines)


def _presets_table(members: list[listing.Preset]) -> Table:
    rows = [
        [
            preset.name,
            preset.description,
            preset.data,
            str(preset.networks),
            "" if preset.seconds is None else duration(preset.seconds),
        ]
        for preset in members
    ]
    return Table(["preset", "what for", "data", "networks", "time"], rows, words=(0, 1))


def info(settings: description.Settings, *, json: Json = False) -> None:
    """Describe a run folder: what it is, how far it is, what its schedule does."""
    result = description.run(settings)
    schedule = result.schedule
    rows = [
        [result.preset, result.description],
        *([["changed", ", ".join(result.changes)]] if result.changes else []),
        ["state", f"{result.state}, {result.blocks_done} of {result.blocks} blocks"],
        *([] if result.progress is None else [["now", _progress_line(result.progress)]]),
        ["training", f"{result.training_seconds:.1f} s ({result.engine} engine, {result.device})"],
        [
            "schedule",
            f"T = {schedule['T']}, alpha_bar(T) = {schedule['alpha_bar_T']:.3g}, tau(T) = {schedule['ou_time_T']:.3f}, "
            f"prior KL = {schedule['prior_kl']:.3g} nats per dimension",
        ],
        ["model", f"dim = {result.dim}, seed = {result.seed}, undiffuse {result.package_version}"],
    ]
    answer(result, json, [Table(["", ""], rows, words=(0, 1))])


def _progress_line(at: description.Progress) -> str:
    so_far = f"{at.passes_done} of {at.passes} passes"
    if at.late:
        return f"training on {at.host} said nothing for {duration(at.seconds_since)}, after {so_far}: it was killed"
    left = "" if at.seconds_left is None else f", about {duration(at.seconds_left)} left"
    return f"training on {at.host}: {so_far}, {at.passes_per_second:.3g} a second{left}"


def check(settings: checking.Settings, *, json: Json = False) -> None:
    """Compare every file of a run folder with its checksum, and say how damaged ones are made again."""
    result = checking.run(settings)
    told = [each for each in result.files if each.state not in ("whole", "not checked")]
    counted = ", ".join(f"{count} {state}" for state, count in result.counts.items())
    answer(result, json, [*(f"{each.name}: {each.state}; {each.remedy}" for each in told), f"{result.run}: {counted}"])
    if not result.whole:
        raise FailedJobError(f"{result.run} has files that are damaged or missing")


def fetch(settings: fetching.Settings = fetching.Settings(), *, json: Json = False) -> None:  # noqa: B008  frozen
    """Download a data set: mnist, all ten digits, about 11 MB. Digits 0, 1 and 3 need no download."""
    result = fetching.run(settings)
    answer(result, json, [*(f"{file}: {source}" for file, source in result.files.items()), f"in {result.folder}"])
