"""The command line: parse, call a study, print its result.

Commands are registered by name and loaded when they are called, so ``--help`` and ``--version`` load none of them.
"""

from __future__ import annotations

import io
import os
import re
import sys
import warnings
from collections.abc import Sequence
from importlib.metadata import version
from textwrap import shorten
from typing import Any, get_args

from cyclopts import App, CycloptsError, Group, Parameter, Token, convert

from undiffuse.cli.commands import GROUPS, SECTIONS
from undiffuse.cli.welcome import welcome
from undiffuse.support.errors import KEPT, FailedJobError, UserError, require, shown
from undiffuse.support.files import trouble
from undiffuse.support.interrupts import stopped_by_signals

__all__ = ["app", "main"]

_WHOLE = re.compile(r"[+-]?[0-9]{1,400}")


def _converted(kind: Any, tokens: Sequence[Token]) -> Any:
    """Convert an argument as cyclopts does, but round no number where a whole one is wanted."""
    if int in (kind, *get_args(kind)):
        for token in tokens:
            if not _WHOLE.fullmatch(token.value):
                raise CycloptsError(f"{token.keyword or 'argument'} {shown(token.value)}: wanted a whole number")
    return convert(kind, tokens)


app = App(
    name="undiffuse",
    default_parameter=Parameter(converter=_converted),
    version=version("undiffuse"),
    suppress_keyboard_interrupt=False,  # answered in main()
    help="Diffusion models that can be read all the way down: one single-hidden-layer autoencoder per diffusion time.",
    help_epilogue="Every command takes --json: one JSON object on standard output, and nothing else there.",
)


def _register() -> None:
    """Enter every command by name, in its section; its module is loaded when it is called."""
    sections = {name: Group(name, sort_key=k) for k, name in enumerate(SECTIONS)}
    for section, commands in SECTIONS.items():
        for k, (name, (place, words)) in enumerate(commands.items()):
            app.command(f"undiffuse.cli.{place}", name=name, help=words, group=sections[section], sort_key=k)
    for name, (section, words, commands) in GROUPS.items():
        below = App(name=name, help=words, group=sections[section])
        for command, (place, help_) in commands.items():
            below.command(f"undiffuse.cli.{place}", name=command, help=help_)
        app.command(below)
    flags = Group("Help", sort_key=len(sections))
    for flag in ("--help", "--version"):
        app[flag].group = flags


_register()


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code: 0, 1 for a failed job, 2 for a bad argument."""
    tokens = sys.argv[1:] if argv is None else list(argv)
    os.environ["MPLBACKEND"] = "agg"  # figures are only written to files here
    for printed in (sys.stdout, sys.stderr):
        if isinstance(printed, io.TextIOWrapper):
            printed.reconfigure(errors="backslashreplace")  # names that the terminal's encoding does not have
    if not tokens:
        print(welcome(), end="")  # noqa: T201
        return 0
    try:
        require(
            tokens[0] == "doctor"  # which says so among other things
            or os.environ.get("NUMBA_DISABLE_JIT", "0") in ("", "0"),
            "NUMBA_DISABLE_JIT is set: the kernels have to be compiled, so unset it",
        )
        with stopped_by_signals(), warnings.catch_warnings():
            warnings.simplefilter("always", UserWarning)
            warnings.showwarning = _show_warning
            app(tokens, exit_on_error=False, print_error=False, result_action="return_value")
            sys.stdout.flush()
    except UserError as error:
        return _complain(str(error), 2)
    except CycloptsError as error:  # it shows words as they were given
        return _complain(shorten(str(error), 500), 2)
    except FailedJobError as error:
        return _complain(str(error), 1)
    except UnicodeEncodeError as error:
        lost = error.object[error.start : error.end]
        return _complain(f"{lost!r} stands for bytes that are not UTF-8, which no file of text can hold: rename it", 2)
    except OSError as error:
        if isinstance(error, BrokenPipeError) and _nobody_reads():
            return 128 + 13  # as SIGPIPE ends other programs
        found = trouble(f"cannot use {shown(str(error.filename))}" if error.filename else "cannot go on", error)
        return _complain(str(found), 2 if isinstance(found, UserError) else 1)
    except MemoryError as error:
        return _complain(f"out of memory: {error}", 1)
    except KeyboardInterrupt as error:
        code = error.args[0] if error.args else 130
        return _complain(f"stopped; {KEPT}", code)
    return 0


def _nobody_reads() -> bool:
    """Tell whether the reader of standard output is gone, as ``| head`` goes; what is left for it is thrown away."""
    try:
        os.write(sys.stdout.fileno(), b"\n")  # the error that led here does not say which pipe it was
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return True
    return False


def _complain(message: str, code: int) -> int:
    print(f"undiffuse: {_on_one_line(message)}", file=sys.stderr)  # noqa: T201
    return code


def _on_one_line(message: str) -> str:
    r"""Escape what would break the line or act on a terminal, such as ``\r`` in the name of a file."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in message)


def _show_warning(message: Warning | str, *_: object, **__: object) -> None:
    print(f"undiffuse: warning: {_on_one_line(str(message))}", file=sys.stderr)  # noqa: T201
