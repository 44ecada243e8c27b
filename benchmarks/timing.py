"""What the benchmarks share: the seconds of a piece of work, and the JSON file of a result."""

from __future__ import annotations

import argparse
import shlex
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import undiffuse as ud
from undiffuse.support.files import check_output, write_json


def seconds(work: Callable[[], object]) -> float:
    """Seconds of wall-clock time that ``work()`` takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


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
