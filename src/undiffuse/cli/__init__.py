"""The command line: parse, call, print."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence

from cyclopts import CycloptsError

from undiffuse.cli import analysis, digits, images, physics, runs  # noqa: F401  each adds its commands to the app
from undiffuse.cli.options import app
from undiffuse.support.errors import UserError
from undiffuse.training import WorkerError

__all__ = ["app", "main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code: 0, 1 for a failed job, 2 for a bad argument."""
    tokens = sys.argv[1:] if argv is None else list(argv)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("always", UserWarning)
            warnings.showwarning = _show_warning
            app(tokens, exit_on_error=False, print_error=False, result_action="return_value")
    except (UserError, CycloptsError) as error:
        return _complain(str(error), 2)
    except WorkerError as error:
        return _complain(str(error), 1)
    except (OSError, MemoryError) as error:
        return _complain(f"{type(error).__name__}: {error}", 1)
    except KeyboardInterrupt:
        return _complain("stopped; what was trained is kept, and --resume goes on from there", 130)
    return 0


def _complain(message: str, code: int) -> int:
    print(f"undiffuse: {message}", file=sys.stderr)  # noqa: T201
    return code


def _show_warning(message: Warning | str, *_: object, **__: object) -> None:
    print(f"undiffuse: warning: {message}", file=sys.stderr)  # noqa: T201
