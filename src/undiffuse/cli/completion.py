"""The command completion."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from cyclopts import Parameter

from undiffuse.cli.answers import Json, answer
from undiffuse.support.results import Result

Shell = Literal["bash", "zsh", "fish"]


@dataclass(frozen=True)
class Completion(Result):
    """What completes commands in a shell.

    Attributes
    ----------
    shell : str
    script : str, optional
        The script, where it was asked for.
    path : str, optional
        File it was written into, and that the shell reads when it starts.
    """

    shell: str
    script: str | None = None
    path: str | None = None


def completion(shell: Shell, *, install: Annotated[bool, Parameter(negative=())] = False, json: Json = False) -> None:
    """Print or install what completes commands with TAB in bash, zsh or fish.

    For this shell alone: ``source <(undiffuse completion bash)``, or ``undiffuse completion fish | source``.

    Parameters
    ----------
    shell
        Whose language it is in.
    install
        Write it where this shell looks for it, and have the shell read it when it starts (~/.bashrc, ~/.zshrc).
    """
    from undiffuse.cli import app

    if install:
        path = app.install_completion(shell=shell)
        answer(Completion(shell, path=str(path)), json, [f"in {path}: open a new shell, then undiffuse TAB TAB"])
        return
    script = app.generate_completion(shell=shell)
    answer(Completion(shell, script=script), json, [script])
