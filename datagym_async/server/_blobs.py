"""The files: `blobs/xx/<media id>`, and `incoming/` for what is still arriving.

All functions block; call them in a thread.
"""

import contextlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import attrs

__all__ = ["Blobs"]


@attrs.frozen
class Blobs:
    """Names and moves the files of a data folder."""

    root: Path

    def prepare(self) -> None:
        """Make the folders, and sweep away what an earlier run left half received."""
        shutil.rmtree(self.incoming, ignore_errors=True)
        for folder in (self.incoming, self.folder):
            folder.mkdir(0o700, parents=True, exist_ok=True)
            # One of an earlier version was open to all.
            folder.chmod(0o700)

    @property
    def folder(self) -> Path:
        """Where finished files lie."""
        return self.root / "blobs"

    @property
    def incoming(self) -> Path:
        """Where files lie while they arrive."""
        return self.root / "incoming"

    def path(self, media_id: str) -> Path:
        """Return where the file of a media lies."""
        media_id = media_id.lower()
        return self.folder / media_id[:2] / media_id

    def adopt(self, temporary: Path, media_id: str) -> None:
        """Give a received file its place, in one step that cannot be seen half done."""
        path = self.path(media_id)
        path.parent.mkdir(0o700, exist_ok=True)
        temporary.replace(path)

    def write(self, media_id: str, content: bytes) -> None:
        """Store a file that is in memory."""
        path = self.path(media_id)
        path.parent.mkdir(0o700, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)

    def discard(self, path: Path) -> None:
        """Remove a file that nobody refers to."""
        with contextlib.suppress(FileNotFoundError):
            path.unlink()

    def sweep(self, is_known: Callable[[str], bool]) -> int:
        """Remove the files that the database does not know, and return how many."""
        orphans = [path for path in self.folder.glob("??/*") if not is_known(path.name)]
        for path in orphans:
            self.discard(path)
        return len(orphans)
