"""What a source yields: an item that may be uploaded, or the reason against it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from datagym_async.transfer._config import Clashes, Symlinks
from datagym_async.transfer._filters import Filters
from datagym_async.transfer._items import UploadItem
from datagym_async.transfer._journal_lock import journal_files
from datagym_async.transfer._naming import Naming, UnnamableError
from datagym_async.transfer._screening import Screening

if TYPE_CHECKING:
    from datagym_async.transfer._config import UploadConfig


@attrs.frozen
class Candidate:
    """One thing that a source names.

    Args:
        item: The item; where there is none (a bad line), an empty one with the line as origin.
        size: Bytes, where they are known without reading.
        refusal: Why it cannot be uploaded; empty if nothing is known against it.
        whole_source: Whether the refusal is about a source as a whole (no such folder).
        place: Its place among the others of its source where these come in no order of their own.
        mtime: When its file was changed, in nanoseconds, where that is known without another look.
    """

    item: UploadItem
    size: int | None = None
    refusal: str = ""
    whole_source: bool = False
    place: str = ""
    mtime: int | None = None


@attrs.frozen
class Rules:
    """How sources are read.

    Args:
        naming: How files are named.
        include_hidden: Whether names that begin with a dot count in folders and globs.
        symlinks: Which links count there (see `UploadConfig`).
        filters: Which files count there.
        screening: How closely images are looked at.
        on_clash: What becomes of a file whose name another one has.
        left_out: Absolute paths of files that never count: those that the run itself keeps.
    """

    naming: Naming = attrs.field(factory=Naming)
    include_hidden: bool = False
    symlinks: Symlinks = "files"
    filters: Filters = attrs.field(factory=Filters)
    screening: Screening = attrs.field(factory=Screening)
    on_clash: Clashes = "skip"
    left_out: frozenset[str] = frozenset()

    @classmethod
    def of(cls, config: UploadConfig) -> Rules:
        """Return the rules that the options of an upload ask for."""
        return cls(
            Naming(config.name, config.name_separator),
            config.include_hidden,
            config.symlinks,
            Filters(config.include, config.exclude),
            Screening(config.check, config.max_bytes),
            config.on_clash,
            journal_files(config.journal),
        )

    def file(
        self,
        path: str,
        relative: str,
        size: int | None = None,
        *,
        refusal: str = "",
        mtime: int | None = None,
    ) -> Candidate:
        """Return a file as a candidate, named; with a reason against it where it has no name.

        Args:
            path: Where it lies.
            relative: Its path below the source that named it, parts joined by ``/``.
            size: Its bytes.
            refusal: Why it cannot be uploaded in any case; then it is named by its last part.
            mtime: When it was changed, in nanoseconds, where that is known.
        """
        name = relative.rpartition("/")[2]
        if not refusal:
            try:
                name = self.naming.of(path, relative)
            except UnnamableError as error:
                refusal = str(error)
        return Candidate(UploadItem(name, path), size, refusal, place=relative, mtime=mtime)


def refused_source(name: str, reason: str) -> Candidate:
    """Return the candidate that stands for a source which names no image at all."""
    return Candidate(UploadItem(name, b"", origin=name), refusal=reason, whole_source=True)
