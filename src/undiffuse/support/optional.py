"""Libraries of the package's extras, imported where they are used."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from undiffuse.support.errors import UserError


def optional(module: str, extra: str, otherwise: str) -> Any:
    """Import a library of one of the package's extras.

    Parameters
    ----------
    module : str
    extra : str
        Name of the extra.
    otherwise : str
        What is said if it is not installed.

    Raises
    ------
    UserError
        If it is not installed.
    """
    try:
        return import_module(module)
    except ImportError:
        raise UserError(f"{otherwise}: pip install 'undiffuse[{extra}]'") from None
