"""Files and folders that are there whole or not at all: written beside their place, then moved."""

from __future__ import annotations

import contextlib
import secrets
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from datagym_async.formats._errors import FormatError

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def replaced_file(path: Path) -> Iterator[Path]:
    """Give the path of a file to write; it takes the place of `path` when the block ends well."""
    path.parent.mkdir(parents=True, exist_ok=True)
    written = path.with_name(f".datagym-{secrets.token_hex(8)}.part")
    try:
        written.open("xb").close()
        yield written
        written.replace(path)
    finally:
        written.unlink(missing_ok=True)


@contextlib.contextmanager
def new_folder(path: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """Give the path of a folder to fill; it becomes `path` when the block ends well.

    Args:
        path: A folder that is not there, or empty.
        overwrite: Whether one that holds something is deleted, once the new one is complete.

    Raises:
        FormatError: It holds something.
    """
    check_free(path, overwrite=overwrite)
    path.parent.mkdir(parents=True, exist_ok=True)
    outer = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name[:100]}.", suffix=".part"))
    try:
        filled = outer / path.name  # of the final name: formats write it into their files
        filled.mkdir()
        yield filled
        if path.exists():
            path.rename(outer / "old")
        filled.rename(path)
    finally:
        shutil.rmtree(outer, ignore_errors=True)


def check_free(path: Path, *, overwrite: bool) -> None:
    """Make sure that a folder can be made.

    Raises:
        FormatError: There is a file, or a folder that holds something and must not be deleted.
    """
    if path.exists() and not path.is_dir():
        raise FormatError(f"{path} is a file, and a folder is to be written; name another path")
    if not overwrite and path.is_dir() and any(path.iterdir()):
        raise FormatError(
            f"The folder {path} is not empty; name another one, or add overwrite=True"
        )
