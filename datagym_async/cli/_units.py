"""Sizes and lengths of time as people type them. Pure functions."""

import math
import re
from typing import Final

import typer

_SIZE: Final = re.compile(r"([0-9.]+) ?([kmgt]?)(i?)(?:b(?:ytes)?(?:/s)?)?", re.IGNORECASE)
_POWERS: Final = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}
_TIME: Final = re.compile(r"(?:[0-9.]+[smhd])+", re.IGNORECASE)
_TIME_PART: Final = re.compile(r"([0-9.]+)([smhd])", re.IGNORECASE)
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def parse_bytes(text: str | int) -> int:
    """Return a number of bytes: ``"500k"`` is 500,000, ``"500Ki"`` is 512,000.

    A number is given back: defaults come through here as well.

    Raises:
        typer.BadParameter: The text is no such number.
    """
    found = _SIZE.fullmatch(str(text).strip())
    number = None if found is None else _number(found[1])
    if found is None or number is None:
        raise typer.BadParameter(f"{text!r} is no size; write for example 500k, 10M, 1.5G or 64Mi.")
    step = 1024 if found[3] else 1000
    return round(number * math.pow(step, _POWERS[found[2].lower()]))


def parse_seconds(text: str | float) -> float:
    """Return a length of time in seconds: ``"90"``, ``"90s"`` and ``"1m30s"`` are the same.

    A number is given back: defaults come through here as well.

    Raises:
        typer.BadParameter: The text is no length of time.
    """
    given = str(text).strip()
    if (plain := _number(given)) is not None:
        return plain
    parts = [_number(part[1]) for part in _TIME_PART.finditer(given)]
    if not _TIME.fullmatch(given) or None in parts:
        raise typer.BadParameter(
            f"{text!r} is no length of time; write for example 90 (seconds), 30m, 2h or 1h30m."
        )
    units = [_SECONDS[part[2].lower()] for part in _TIME_PART.finditer(given)]
    return sum((number or 0.0) * unit for number, unit in zip(parts, units, strict=True))


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) and number >= 0 else None
