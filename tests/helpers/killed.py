"""The journal that a kill leaves: what its files hold at that moment, its log included."""

from __future__ import annotations

import shutil
from pathlib import Path


def copy(journal: Path, suffix: str) -> None:
    """Copy the journal as it lies on the disk now."""
    for side in ("", "-wal"):
        source = journal.with_name(journal.name + side)
        shutil.copyfile(source, source.with_name(source.name + suffix))


def restore(journal: Path, suffix: str) -> None:
    """Put the copy in its place."""
    journal.with_name(journal.name + "-shm").unlink(missing_ok=True)
    for side in ("", "-wal"):
        source = journal.with_name(journal.name + side)
        source.with_name(source.name + suffix).replace(source)
