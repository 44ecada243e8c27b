"""Public names of a folder that are loaded when they are first asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def later(module: str, name: str) -> Callable[..., Any]:
    """Return a function of one of the package's modules that is loaded when it is first called.

    For what a class low in the package shows of itself: drawing stands above it and is slow to load.
    """

    def call(*args: Any, **kwargs: Any) -> Any:
        return getattr(import_module(f"undiffuse.{module}"), name)(*args, **kwargs)

    return call


def lazy_names(package: str, homes: Mapping[str, str]) -> tuple[Callable[[str], Any], list[str]]:
    """``__getattr__`` and ``__all__`` of a package whose public names live in modules that are slow to load.

    Parameters
    ----------
    package : str
        The package's ``__name__``.
    homes : dict
        Name of the module, inside the package, of each public name; a module is its own home.
    """

    def get(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        home = import_module(f"{package}.{homes[name]}")
        return home if homes[name].rpartition(".")[2] == name else getattr(home, name)

    return get, sorted(homes)
