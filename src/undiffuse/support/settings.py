"""Sections of a configuration: their base class, and the message for the first mistake in one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from undiffuse.support import html
from undiffuse.support.errors import UserError, shown, unknown

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]


class Section(BaseModel):
    """Frozen settings; an unknown key is an error, and so is a value of another type, ``5.0`` or ``true`` for 5."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    def _repr_html_(self) -> str:
        """What a notebook shows: every setting, section by section."""
        return html.card(type(self).__name__, {}, html.record(self.model_dump(mode="json", exclude_none=True)))


def first_mistake(error: ValidationError, sections: Mapping[str, type[BaseModel]], path: str = "") -> str:
    """Describe the first mistake in settings in one line.

    Parameters
    ----------
    error : ValidationError
    sections : dict
        Sections by their names in the path of a key; their fields are the keys allowed.
    path : str
        Path of the settings in the whole configuration, such as ``"data"``.
    """
    first = error.errors()[0]
    cause: Any = first.get("ctx", {}).get("error")
    if isinstance(cause, UserError):
        return str(cause)
    place = [*filter(None, [path]), *(str(part) for part in first["loc"])]
    if first["type"] == "extra_forbidden":
        model = next((sections[part] for part in reversed(place[:-1]) if part in sections), sections[""])
        what = f"key in [{place[0]}]" if len(place) > 1 else "key"
        return str(unknown(what, place[-1], model.model_fields))
    message = first["msg"].removeprefix("Value error, ")
    got = first.get("input")
    value = f" = {shown(got)}" if isinstance(got, (int, float, str, bool)) else ""
    return f"{'.'.join(place)}{value}: {message}" if place else message
