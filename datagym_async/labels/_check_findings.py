"""What a check of a prediction finds, and where."""

from __future__ import annotations

import enum
from typing import TypeAlias

import attrs

Path: TypeAlias = tuple[str | int, ...]
"""The way from a prediction to one of its parts: names of members and indexes of items."""


class Severity(enum.StrEnum):
    """Say how bad a finding is."""

    ERROR = "error"
    """The service refuses it, drops it in silence or stores something broken."""
    WARNING = "warning"
    """The service stores it; somebody should look at it all the same."""


@attrs.frozen
class Finding:
    """One thing that is wrong with a prediction.

    Args:
        path: Where it is.
        message: What is wrong there, and what the service makes of it.
        severity: How bad it is.
        part: The smallest part whose leaving out heals it, or None if only the whole prediction can
            be left out.
    """

    path: Path
    message: str
    severity: Severity = Severity.ERROR
    part: Path | None = attrs.field(default=None, repr=False)

    @property
    def where(self) -> str:
        """Return the path as text, for example ``labels.car[0].rectangle[0].x``."""
        return place(self.path)

    def __str__(self) -> str:
        return f"{self.where}: {self.message}" if self.path else self.message


def place(path: Path) -> str:
    """Return a path as people read it."""
    steps = (f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return "".join(steps).removeprefix(".")


def error(path: Path, message: str, *, part: Path | None = None) -> Finding:
    """Return an error that leaving `part` out heals; by default what lies at the path."""
    return Finding(path, message, Severity.ERROR, path if part is None else part)


def fatal(path: Path, message: str) -> Finding:
    """Return an error that nothing but leaving out the whole prediction heals."""
    return Finding(path, message)


def warning(path: Path, message: str) -> Finding:
    """Return a warning."""
    return Finding(path, message, Severity.WARNING)
