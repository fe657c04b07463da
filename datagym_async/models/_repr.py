"""What long or secret fields look like in a ``repr``."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sized


def count(items: Sized) -> str:
    """Return how many items there are instead of the items: a dataset may hold 20,000 media."""
    return f"<{len(items)}>"


def without_query(url: str) -> str:
    """Return a URL as far as it holds no secret: signatures and tokens are in the query."""
    return repr(url.partition("?")[0])
