"""Files and folders of formats: there whole or not at all (see `_files` of the package)."""

from __future__ import annotations

import contextlib
from functools import partial
from typing import TYPE_CHECKING

from datagym_async._files import FolderPart, Part, placed, telling
from datagym_async.formats._losses import FormatError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def write_file(path: Path, content: bytes) -> None:
    """Write a file in one go; it takes the place of `path` when it is whole.

    Raises:
        FileWriteError: It cannot be written.
    """
    with telling(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    with placed(partial(Part.beside, path), path) as part:
        part.file.write(content)


@contextlib.contextmanager
def new_folder(path: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """Give the path of a folder to fill; it becomes `path` when the block ends well.

    Args:
        path: A folder that is not there, or empty.
        overwrite: Whether one that holds something is deleted, once the new one is complete.

    Raises:
        FormatError: It holds something.
        FileWriteError: It cannot be written.
    """
    check_free(path, overwrite=overwrite)
    with telling(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    with placed(partial(FolderPart.beside, path), path) as part:
        yield part.filled


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
