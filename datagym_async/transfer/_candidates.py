"""What a source yields: an item that may be uploaded, or the reason against it."""

from __future__ import annotations

from typing import Literal

import attrs

from datagym_async.transfer._items import UploadItem


@attrs.frozen
class Rules:
    """How sources are read.

    Args:
        naming: Whether a file is named by its last part or by its path below its source.
        include_hidden: Whether names that begin with a dot count in folders and globs.
    """

    naming: Literal["basename", "relative"] = "basename"
    include_hidden: bool = False

    def name(self, basename: str, relative: str) -> str:
        """Return a file's name in the dataset.

        Args:
            basename: Last part of its path.
            relative: Its path below the source that named it, parts joined by ``/``.
        """
        return basename if self.naming == "basename" else relative


@attrs.frozen
class Candidate:
    """One thing that a source names.

    Args:
        item: The item; where there is none (a bad line), an empty one with the line as origin.
        size: Bytes, where they are known without reading.
        refusal: Why it cannot be uploaded; empty if nothing is known against it.
        whole_source: Whether the refusal is about a source as a whole (no such folder).
        place: Its place among the others of its source where these come in no order of their own.
    """

    item: UploadItem
    size: int | None = None
    refusal: str = ""
    whole_source: bool = False
    place: str = ""


def refused_source(name: str, reason: str) -> Candidate:
    """Return the candidate that stands for a source which names no image at all."""
    return Candidate(UploadItem(name, b"", origin=name), refusal=reason, whole_source=True)
