"""The files of images that are put beside exported labels: those of a download, or any others."""

from __future__ import annotations

import json
import os
import unicodedata
from collections import Counter
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final

from datagym_async._file_names import safe_name
from datagym_async._files import telling
from datagym_async._runs._disk import path_in
from datagym_async.exceptions import ConfigurationError

if TYPE_CHECKING:
    from datagym_async.labels import LabeledImage

MANIFEST: Final = "manifest.jsonl"  # in the folder of a download: a line a media


def files_in(folder: Path) -> Callable[[LabeledImage], Path | None]:
    """Return what gives the file of an image in a folder, or None. It blocks, as what it returns.

    A folder that `download` has filled says by its manifest which file each media has. In others
    files are found by the names of media: with their folders, as `download` writes them, or by the
    last part alone where one file has it. Composed and decomposed letters are the same.

    Raises:
        ConfigurationError: There is no such folder, or its manifest is damaged.
        FileWriteError: It cannot be read.
    """
    if not folder.is_dir():
        raise ConfigurationError(f"{folder} is no folder; name one with the files of the images.")
    with telling(folder):
        if (folder / MANIFEST).is_file() and (folder / ".datagym").is_dir():
            by_id = _downloaded(folder)
            return lambda image: by_id.get(image.media_id)
        found: dict[str, Path] = {}
        last: dict[str, Path] = {}
        for parent, _, names in os.walk(folder):
            for name in names:
                path = Path(parent, name)
                found[_composed(path.relative_to(folder).as_posix())] = path
                last[_composed(name)] = path
    counts = Counter(PurePosixPath(each).name for each in found)

    def file_of(image: LabeledImage) -> Path | None:
        name = _composed(image.media_name)
        for each in (name, name.replace("\\", "/"), _composed(safe_name(image.media_name))):
            if each in found:
                return found[each]
        own = PurePosixPath(name.replace("\\", "/")).name
        return last[own] if counts[own] == 1 else None

    return file_of


def _downloaded(folder: Path) -> dict[str, Path]:
    found = {}
    with (folder / MANIFEST).open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            try:
                row = json.loads(line)
                outcome, media_id, file = row["outcome"], row["media_id"], row["file"]
            except (ValueError, KeyError, TypeError):
                raise ConfigurationError(
                    f"{folder / MANIFEST}, line {number}: it is not what a download has written; "
                    "the same download again writes it anew."
                ) from None
            if outcome == "downloaded":
                found[media_id] = path_in(folder, file)
    return found


def _composed(name: str) -> str:
    return unicodedata.normalize("NFC", name)
