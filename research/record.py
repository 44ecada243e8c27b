"""What the scripts of this folder share: how a finding is printed and, with ``--json``, kept.

A finding is printed as soon as it is made, since the next may be minutes away, and the JSON file is written anew each
time, so a script that is stopped leaves what it found.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import undiffuse as ud
from undiffuse.support.arrays import Floats
from undiffuse.support.files import check_output, write_json
from undiffuse.support.results import plain
from undiffuse.support.stats import stderr


@dataclass(frozen=True)
class Mean:
    """Mean of a number over seeds.

    Attributes
    ----------
    mean : float
    stderr : float or None
        Standard error; None of a single seed, where it is not known.
    seeds : int
    """

    mean: float
    stderr: float | None
    seeds: int

    @staticmethod
    def of(values: Sequence[float] | Floats) -> Mean:
        """Take the mean of one value for each seed."""
        return Mean(float(np.mean(values)), stderr(values) if len(values) > 1 else None, len(values))

    def text(self, digits: int) -> str:
        """Write it with so many decimals, and with its standard error where that is known."""
        return f"{self.mean:.{digits}f}" + ("" if self.stderr is None else f" +- {self.stderr:.{digits}f}")


class Record:
    """Prints findings and keeps their numbers, under the command line and the version of the package.

    Parameters
    ----------
    parser : ArgumentParser
        Gives the name of the script.
    argv : sequence of str, optional
        Arguments of the script; those of this process by default.
    path : path, optional
        JSON file to keep the numbers in.
    overwrite : bool
        Replace a file that is there.

    Raises
    ------
    UserError
        If the file cannot be written, which is known before anything is computed.
    """

    def __init__(
        self,
        parser: argparse.ArgumentParser,
        argv: Sequence[str] | None,
        path: Path | None = None,
        overwrite: bool = False,
    ) -> None:
        self._path = None if path is None else check_output(path, overwrite, ".json")
        command = shlex.join([parser.prog, *(sys.argv[1:] if argv is None else argv)])
        self._content: dict[str, Any] = {"command": command, "version": ud.__version__}

    def say(self, line: str) -> None:
        """Print a line that holds no numbers of its own: a heading."""
        print(line, flush=True)

    def add(self, line: str, table: str, **numbers: Any) -> None:
        """Print a line and add its numbers to a table, as a row."""
        self.say(line)
        self._content.setdefault(table, []).append(plain(numbers))
        if self._path is not None:
            write_json(self._path, self._content, overwrite=True)


def json_options() -> argparse.ArgumentParser:
    """Return the options of the JSON file, as a parent of a script's own parser."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument(
        "--json",
        type=Path,
        metavar="FILE",
        help="also write the numbers here, with the command line and the version of the package",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace FILE if it is there")
    return parser


def count(text: str) -> int:
    """Read a number that is at least 1, as an argument."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number}: wanted at least 1")
    return number


def positive(text: str) -> float:
    """Read a positive number, as an argument."""
    number = float(text)
    if not 0 < number < np.inf:
        raise argparse.ArgumentTypeError(f"{number}: wanted a positive number")
    return number
