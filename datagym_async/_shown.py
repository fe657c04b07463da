"""Values that show themselves in a notebook.

`look`, which draws them, is a higher layer, so it is loaded by its name when a notebook asks. If it
cannot draw, the notebook shows the ``repr``.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_DRAWS = "datagym_async.look._notebook"


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
