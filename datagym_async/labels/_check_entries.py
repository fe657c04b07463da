"""The entries of a label configuration, as far as a check needs them."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from datagym_async.models import EntryType

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from datagym_async.labels._config_entries import EntryLike

GEOMETRIES = frozenset(
    {
        EntryType.POINT,
        EntryType.LINE,
        EntryType.POLYGON,
        EntryType.RECTANGLE,
        EntryType.IMAGE_SEGMENTATION,
    }
)


def geometries(entries: Iterable[EntryLike] | None) -> dict[str, EntryLike] | None:
    """Return the geometry entries by key; None where the configuration is not known."""
    if entries is None:
        return None
    return {each.key.lower(): each for each in entries if each.type in GEOMETRIES}


def questions(entries: Iterable[EntryLike] | None) -> dict[str, EntryLike] | None:
    """Return the classification entries by key; None where the configuration is not known."""
    if entries is None:
        return None
    return {each.key.lower(): each for each in entries if each.type not in GEOMETRIES}


def below(entry: EntryLike | None) -> Iterable[EntryLike] | None:
    """Return what is nested in an entry; None where it is not known."""
    return None if entry is None else entry.children


def unknown_key(key: str, known: Mapping[str, EntryLike], what: str) -> str:
    """Return the sentence about a key that the configuration does not have there."""
    near = difflib.get_close_matches(key.lower(), known, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return (
        f"the label configuration has no {what} {key!r} here, and the service refuses the whole"
        f" request for it{hint}"
    )
