"""What the benchmarks share: the seconds of a piece of work, the JSON file of a result, and those of earlier runs."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import undiffuse as ud
from undiffuse.support.errors import UserError
from undiffuse.support.files import check_output, write_json

T = TypeVar("T")


def seconds(work: Callable[[], object]) -> float:
    """Seconds of wall-clock time that ``work()`` takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def drawing_options() -> argparse.ArgumentParser:
    """Return ``--figure`` and ``--beside``, as a parent of a benchmark's own parser."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--figure", type=Path, metavar="FILE", help="also draw the curves here, as PNG")
    parser.add_argument(
        "--beside", nargs="+", type=Path, default=[], metavar="FILE", help="JSON files whose curves are drawn too"
    )
    return parser


def earlier(options: argparse.Namespace, key: str, made: Callable[[Any], T]) -> list[T]:
    """Read what the files of ``--beside`` hold under ``key``; UserError if one is no such file, or nothing is drawn."""
    if options.beside and options.figure is None:
        raise UserError("--beside is of what is drawn: give --figure FILE")
    found: list[T] = []
    for path in options.beside:
        try:
            found += [made(each) for each in json.loads(path.read_text())[key]]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(f"{path}: wanted the JSON file of an earlier run ({error})") from error
    return found


class JsonFile:
    """The file that ``--json`` names, if it is given.

    Parameters
    ----------
    parser : ArgumentParser
        Gives the name of the benchmark.
    argv : sequence of str, optional
        Arguments of the benchmark; those of this process by default.
    options : Namespace
        Arguments as they were read.

    Raises
    ------
    UserError
        If the file cannot be written, which is known before anything is measured.
    """

    def __init__(
        self, parser: argparse.ArgumentParser, argv: Sequence[str] | None, options: argparse.Namespace
    ) -> None:
        self._path = None if options.json is None else check_output(options.json, options.overwrite, ".json")
        self._command = shlex.join([parser.prog, *(sys.argv[1:] if argv is None else argv)])

    @staticmethod
    def options() -> argparse.ArgumentParser:
        """Return the options of the file, as a parent of a benchmark's own parser."""
        parser = argparse.ArgumentParser(add_help=False)
        parser.add_argument(
            "--json",
            type=Path,
            metavar="FILE",
            help="also write the numbers here, with the command line and the version of the package",
        )
        parser.add_argument("--overwrite", action="store_true", help="replace FILE if it is there")
        return parser

    def write(self, numbers: dict[str, Any]) -> None:
        """Write the numbers, under the command line and the version of the package."""
        if self._path is not None:
            about = {"command": self._command, "version": ud.__version__}
            write_json(self._path, about | numbers, overwrite=True)
