"""Checks of the kinds of JSON values, and the error that says where one is wrong."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final, NoReturn

from datagym_async._printable import printable
from datagym_async.exceptions import ConfigurationError

LARGEST: Final = 2**53 - 1
"""The largest whole number that every reader of JSON reads exactly (RFC 8259 section 6)."""


class ShapeError(ConfigurationError):
    """A JSON value is not of the expected kind; its path is like ``.labels.car[2]``."""

    def __init__(self, text: str, *, path: str = "") -> None:
        super().__init__(text)
        self.text = text
        self.path = path

    def __str__(self) -> str:
        at = f"at {self.path.removeprefix('.')}, " if self.path else ""
        return printable(f"{at}{self.text}")

    def below(self, path: str) -> ShapeError:
        self.path = path + self.path
        return self


def kind_of(value: object) -> str:
    """Return the kind of a JSON value in a few words, without the value: it may be private."""
    return next((words for kind, words in _KINDS.items() if isinstance(value, kind)), "null")


_KINDS: Mapping[type, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a text",
    list: "a list",
    dict: "an object",
}


# Return a JSON value of a kind, or raise `ShapeError`.


def as_object(value: object, *, path: str = "") -> dict[str, Any]:
    return value if isinstance(value, dict) else _refuse(value, dict, path)


def as_list(value: object, *, path: str = "") -> list[Any]:
    return value if isinstance(value, list) else _refuse(value, list, path)


def as_text(value: object, *, path: str = "") -> str:
    return value if isinstance(value, str) else _refuse(value, str, path)


def _refuse(value: object, kind: type, path: str) -> NoReturn:
    raise ShapeError(f"{_KINDS[kind]} was expected, not {kind_of(value)}", path=path)


def as_whole_number(value: object, *, path: str = "") -> int:
    """Return a whole number, also one that is written as a text."""
    if isinstance(value, str) and value.isdecimal() and value.isascii() and len(value) < 20:
        value = int(value)  # video exports write numbers as texts
    if isinstance(value, int) and not isinstance(value, bool):
        if -LARGEST <= value <= LARGEST:
            return value
        raise ShapeError("a whole number was expected, but not such a large one", path=path)
    raise ShapeError(f"a whole number was expected, not {kind_of(value)}", path=path)


def as_number(value: object, *, path: str = "") -> float:
    """Return a number, also one that is written as a text."""
    if isinstance(value, int | float | str) and not isinstance(value, bool):
        try:
            number = float(value)  # video exports write numbers as texts
        except (ValueError, OverflowError):
            number = math.nan
        if math.isfinite(number):
            return number
    raise ShapeError(f"a number was expected, not {kind_of(value)}", path=path)
