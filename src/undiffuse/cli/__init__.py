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

from cyclopts import App, CycloptsError, Parameter, Token, convert

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
physics = App(name="physics", help="Exact scores, Langevin dynamics and critical times; no training needed.")
data = App(name="data", help="Data sets.")

# Where each command is, and what --help says of it.
_COMMANDS = {
    "run": ("runs:run", "Train, sample, evaluate and report: the main job."),
    "train": ("training:train", "Train a bank into a run folder."),
    "sweep": ("runs:sweep", "Train a run for every combination of some settings, with one table and one figure."),
    "sample": ("training:sample", "Generate samples from a trained run into a .npy file of shape (n, dim)."),
    "evaluate": ("runs:evaluate", "Judge a run's samples by their distances to fresh data, each beside its floor."),
    "figures": ("pictures:figures", "Make the figures of runs, or Figures 1 to 11 of the thesis, as PNG files."),
    "presets": ("describe:presets", "List the presets."),
    "info": ("describe:info", "Describe a run folder: what it is, how far it is, what its schedule does."),
    "check": ("describe:check", "Compare every file of a run folder with its checksum."),
    "reconstruct": ("images:reconstruct", "Diffuse held-out images to time t and bring each back several times."),
    "inpaint": ("images:inpaint", "Destroy a part of held-out images and fill it in again."),
    "uturn": ("images:uturn", "Class kept on the way to t and back, beside the exact denoisers."),
    "perceptron": ("images:perceptron", "Train a perceptron to tell two digits apart, Annex II."),
    "analyse": ("banks:analyse", "Follow a run's weights along diffusion time, beside its critical times."),
    "memorise": ("banks:memorise", "Train pairs of banks on disjoint halves and compare what they draw."),
    "export": (
        "exports:export",
        "Write a run's bank as ONNX, HDF5, arrays or torch's state, with a README of its shapes.",
    ),
    "plan": ("clusters:plan", "Say what a training will cost on 1, 2, 10, ... workers, from a few passes."),
    "slurm": ("clusters:slurm", "Write a batch script that trains a run on the nodes of a SLURM cluster."),
    "linear": ("physics:linear", "Sample with the linear model of Annex II: a Gaussian, whatever the data."),
}
_PHYSICS = {
    "curie-weiss": ("physics:curie_weiss", "Break the symmetry of the Curie-Weiss model with its exact score."),
    "langevin": ("physics:langevin", "Walk from two points to noise and back by (24) and (25)."),
    "critical-times": ("physics:critical_times", "When diffusion decides between classes, and when it memorises."),
}
_DATA = {"fetch": ("describe:fetch", "Download a data set: mnist, all ten digits, about 11 MB.")}
for _group, _commands in ((app, _COMMANDS), (physics, _PHYSICS), (data, _DATA)):
    for _name, (_place, _words) in _commands.items():
        _group.command(f"undiffuse.cli.{_place}", name=_name, help=_words)
app.command(physics)
app.command(data)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code: 0, 1 for a failed job, 2 for a bad argument."""
    tokens = sys.argv[1:] if argv is None else list(argv)
    os.environ["MPLBACKEND"] = "agg"  # figures are only written to files here
    for printed in (sys.stdout, sys.stderr):
        if isinstance(printed, io.TextIOWrapper):
            printed.reconfigure(errors="backslashreplace")  # names that the terminal's encoding does not have
    try:
        require(
            os.environ.get("NUMBA_DISABLE_JIT", "0") in ("", "0"),
            "NUMBA_DISABLE_JIT is set: the kernels have to be compiled, so unset it",
        )
        with stopped_by_signals(), warnings.catch_warnings():
            warnings.simplefilter("always", UserWarning)
            warnings.showwarning = _show_warning
            app(tokens, exit_on_error=False, print_error=False, result_action="return_value")
    except UserError as error:
        return _complain(str(error), 2)
    except CycloptsError as error:  # it shows words as they were given
        return _complain(shorten(str(error), 500), 2)
    except FailedJobError as error:
        return _complain(str(error), 1)
    except OSError as error:
        found = trouble(f"cannot use {shown(str(error.filename or 'a file'))}", error)
        return _complain(str(found), 2 if isinstance(found, UserError) else 1)
    except MemoryError as error:
        return _complain(f"out of memory: {error}", 1)
    except KeyboardInterrupt as error:
        code = error.args[0] if error.args else 130
        return _complain(f"stopped; {KEPT}", code)
    return 0


def _complain(message: str, code: int) -> int:
    one_line = message.replace("\n", "\\n")  # as in the name of a file
    print(f"undiffuse: {one_line}", file=sys.stderr)  # noqa: T201
    return code


def _show_warning(message: Warning | str, *_: object, **__: object) -> None:
    print(f"undiffuse: warning: {message}", file=sys.stderr)  # noqa: T201
