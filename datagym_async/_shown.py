"""Values that show themselves: as a sentence when they are printed, and in a notebook.

`look`, which draws them, is a higher layer, so it is loaded by its name when a notebook asks. If it
cannot draw, the notebook shows the ``repr``.
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from typing import Any

from datagym_async._printable import printable

_DRAWS = "datagym_async.look._notebook"


def counted(count: int, one: str, many: str = "") -> str:
    """Return a number with its word, for example ``"1 retry"`` or ``"1,200 files"``."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def tally(one: str, counts: Iterable[tuple[str, int]], total: int) -> str:
    """Return a total and its parts that are not 0: ``"3 tasks: 2 completed, 1 failed."``."""
    parts = ", ".join(f"{count:,} {word}" for word, count in counts if count)
    return f"{counted(total, one)}: {parts or 'none'}."


def told(outcome: str, name: str, *reasons: str) -> str:
    """Return the outcome of one item: ``"failed: a.jpg: The name is taken."``."""
    return printable(": ".join(filter(None, (outcome, name, " ".join(reasons)))))


class Shown:
    """A value that a notebook shows as a picture or a table, bounded in size."""

    __slots__ = ()

    def _repr_html_(self) -> str | None:
        drawn: Any = import_module(_DRAWS)
        found: str | None = drawn.html_of(self)
        return found

    def _repr_png_(self) -> bytes | None:
        drawn: Any = import_module(_DRAWS)
        found: bytes | None = drawn.png_of(self)
        return found
