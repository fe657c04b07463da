"""Labels beside downloaded media in the formats of others: all labels at once. It blocks."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Final

import attrs

from datagym_async.exceptions import ConfigurationError
from datagym_async.formats import coco, convert
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


def require_formats(names: Sequence[str]) -> None:
    """Refuse to begin what could not be ended.

    Raises:
        ConfigurationError: A format needs what is not installed.
    """
    if "yolo" in names and importlib.util.find_spec("labelformat") is None:
        msg = (
            'labels="yolo" needs labelformat; install it with pip install '
            '"datagym-async[formats]", or take another format.'
        )
        raise ConfigurationError(msg)


def write_format(name: str, root: Path, labelled: Sequence[Labelled]) -> Written:
    """Write labels in a format; the images in it are the files of the download.

    Args:
        name: One of `FORMATS`.
        root: The folder of the download.
        labelled: The tasks; those whose media was not downloaded are left out.

    Raises:
        FormatError: Something that the format needs is not installed.
        OSError: It cannot be written.
    """
    images = [_of_file(root, each) for each in labelled if each.file]
    if name == "coco":
        file = "labels.coco.json"
        losses = coco.write(images, root / file)
    else:
        file = "labels.yolo"
        losses = convert.write(images, root / file, "yolo", overwrite=True, file_name=str)
    return Written([file], [f"{name}: {loss}" for loss in losses.items])


def _of_file(root: Path, labelled: Labelled) -> LabeledTask:
    """Return a task that is named, and as large, as its media's file is."""
    task, size = labelled.task, size_of(place_of(root, labelled.file))
    width, height = size or (task.width, task.height)
    return attrs.evolve(task, media_name=labelled.file, width=width, height=height)
