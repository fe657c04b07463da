"""Labels beside downloaded media in the formats of others: all labels at once. It blocks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import attrs

from datagym_async.formats import coco
from datagym_async.transfer._decode import size_of
from datagym_async.transfer._download_files import place_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from datagym_async.labels import LabeledTask
    from datagym_async.transfer._download_labels import Labelled

FORMATS: Final = ("coco", "yolo")


@attrs.frozen
class Written:
    """What a format has made of labels.

    Args:
        files: What was written, relative to the folder.
        notes: What the format cannot hold, in sentences.
    """

    files: list[str]
    notes: list[str]


def write_format(name: str, root: Path, labelled: Sequence[Labelled]) -> Written:
    """Write labels in a format; the images in it are the files of the download.

    Args:
        name: One of `FORMATS`.
        root: The folder of the download.
        labelled: The tasks; those whose media was not downloaded are left out.

    Raises:
        ModuleNotFoundError: The format needs the extra ``formats``.
        OSError: It cannot be written.
    """
    del name
    images = [_of_file(root, each) for each in labelled if each.file]
    losses = coco.write(images, root / "labels.coco.json")
    return Written(["labels.coco.json"], [f"coco: {loss}" for loss in losses.items])


def _of_file(root: Path, labelled: Labelled) -> LabeledTask:
    """Return a task that is named, and as large, as its media's file is."""
    task, size = labelled.task, size_of(place_of(root, labelled.file))
    width, height = size or (task.width, task.height)
    return attrs.evolve(task, media_name=labelled.file, width=width, height=height)
