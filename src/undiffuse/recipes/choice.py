"""A chosen setting with its reason, and settings with the choices that led to them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from undiffuse.datasets import Dataset
from undiffuse.runs.config import Config
from undiffuse.support.results import Result
from undiffuse.training.plan import PassCost

_LONGEST = 60  # characters of a value that are shown


@dataclass(frozen=True)
class Choice(Result):
    """A setting with its reason.

    Attributes
    ----------
    setting : str
        As ``section.key``.
    value : str
    reason : str
    """

    setting: str
    value: str
    reason: str

    def line(self) -> str:
        """Return it as ``setting = value: reason``."""
        return f"{self.setting} = {self.value}: {self.reason}"


@dataclass(frozen=True)
class Recipe:
    """A configuration chosen for some data.

    Attributes
    ----------
    config : Config
    data : Dataset
        In the model's units.
    choices : tuple of Choice
    notes : tuple of str
        What is said of the data beside the choices.
    costs : tuple of PassCost
        Of the passes timed, if any were.
    """

    config: Config
    data: Dataset
    choices: tuple[Choice, ...]
    notes: tuple[str, ...]
    costs: tuple[PassCost, ...] = ()

    def lines(self) -> list[str]:
        """Return the notes, then the choices."""
        return [*self.notes, *(choice.line() for choice in self.choices)]

    def to_toml(self) -> str:
        """Return the configuration as TOML, with its reasons as comments."""
        return "".join(f"# {line}\n" for line in self.lines()) + "\n" + self.config.to_toml()


@dataclass
class Draft:
    """Settings on their way to a configuration, with their reasons; those given by the user stand.

    Attributes
    ----------
    given : mapping
        What the user has set, by section.
    settings : dict
        Settings by section.
    choices : list of Choice
    """

    given: Mapping[str, Any]
    settings: dict[str, Any] = field(default_factory=dict)
    choices: list[Choice] = field(default_factory=list)

    def choose(self, setting: str, value: Any, reason: str) -> Any:
        """Enter a setting, unless the user has given another value; return the one that stands."""
        section, key = setting.split(".")
        given = self.given.get(section, {})
        if isinstance(given, Mapping) and key in given:
            value, reason = given[key], "as given"
        self.settings.setdefault(section, {})[key] = value
        shown = str(value)
        self.choices.append(
            Choice(setting, shown if len(shown) <= _LONGEST else f"{shown[: _LONGEST - 4]} ...", reason)
        )
        return value

    def add(self, section: str, **values: Any) -> None:
        """Enter settings that are no choices of their own, but follow from others."""
        given = self.given.get(section, {})
        stands = {key: given[key] for key in values if key in given} if isinstance(given, Mapping) else {}
        self.settings.setdefault(section, {}).update({**values, **stands})
