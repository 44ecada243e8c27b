"""How a configuration differs from the preset whose name it carries."""

from __future__ import annotations

import json
from collections.abc import Mapping

from undiffuse.runs.config import Config, load, presets

_NO_MATTER = frozenset({"name", "description", "seed", "data.folder"})  # say nothing about the recipe


def from_preset(config: Config) -> tuple[str, ...]:
    """List the settings that are not those of the preset of this name, such as ``training.epochs = 5 instead of 20``.

    A preset's description is that of its own settings: whoever shows it tells these as well. The seed and the folder
    of the data are no differences.

    Returns
    -------
    tuple of str
        Empty for a preset as it is, and for a configuration that has no preset's name.

    Examples
    --------
    >>> import undiffuse as ud
    >>> from undiffuse.runs.differences import from_preset
    >>> from_preset(ud.config.load("mnist-01-quick", ["data.digits=[1,3]"]))
    ('data.digits = [1, 3] instead of [0, 1]',)
    """
    if config.name not in presets():
        return ()
    ours, preset = _settings(config), _settings(load(config.name))
    found = []
    for key in sorted({*ours, *preset}):
        if ours.get(key) == preset.get(key):
            continue
        if key not in preset:
            found.append(f"{key} = {ours[key]}")
        elif key not in ours:
            found.append(f"no {key}")
        else:
            found.append(f"{key} = {ours[key]} instead of {preset[key]}")
    return tuple(found)


def _settings(config: Config) -> dict[str, str]:
    """Every setting by its full name, as JSON; those of a range of times as ``times[251..450].blends``."""
    content = config.model_dump(mode="json", exclude_none=True)
    parts = content.pop("times")
    content |= {f"times[{part['first']}..{part['last']}]": part for part in parts}
    out: dict[str, str] = {}
    for name, value in content.items():
        named = {f"{name}.{key}": v for key, v in value.items()} if isinstance(value, Mapping) else {name: value}
        out |= {key: json.dumps(v) for key, v in named.items() if key not in _NO_MATTER}
    return out
