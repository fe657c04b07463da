"""Label values as files that trainers take: YOLO, Pascal VOC, KITTI, CVAT, COCO and others."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias, cast

from datagym_async._file_names import safe_name
from datagym_async.formats import coco, convert
from datagym_async.formats._mapping import LabelMapping

if TYPE_CHECKING:
    from datagym_async.formats._losses import LossReport
    from datagym_async.formats._raw import Category
    from datagym_async.labels import LabeledImage
    from datagym_async.labels._config import Entries

WrittenFormat: TypeAlias = Literal[
    "coco",
    "yolo",
    "yolo-seg",
    "yolo-pose",
    "yolo-obb",
    "voc",
    "kitti",
    "cvat",
    "imagefolder",
    "lightly",
]
"""What `write` writes."""

Placing: TypeAlias = Literal["link", "copy"]
"""How images come beside their labels: by a link where there can be one, or as a copy."""


def write(
    images: Iterable[LabeledImage],
    path: str | Path,
    format: WrittenFormat,  # noqa: A002 - the word people look for, as in `json.dumps(indent=...)`
    *,
    mapping: LabelMapping | None = None,
    config: Entries = (),
    classes: str | Path | Iterable[str | Category] = (),
    clip: bool = False,
    zero_based: bool = False,
    images_from: Mapping[str, Path] | Callable[[LabeledImage], Path | None] | None = None,
    placing: Placing = "link",
    split: Mapping[str, float] | str | None = None,
    group: str | None = None,
    overwrite: bool = False,
    file_name: Callable[[str], str] = safe_name,
) -> LossReport:
    """Write label values as files of a format, and return what these cannot hold.

    Args:
        images: Images, or tasks of an export.
        path: A folder that is not there, or empty; for ``"coco"`` without images and split a file.
        format: One of `WrittenFormat`.
        mapping: What was made of what when they were read; which select tells the class.
        config: The label configuration, whose order and texts the classes have, also those that are
            not used; without it classes are those found, by name.
        classes: Names of classes, or a file of them (`classes_from`), whose numbers are kept.
            Others come after them.
        clip: Whether shapes are cut off at the edges of their image.
        zero_based: Of ``"voc"``: whether the first pixel is 0, where the format has 1.
        images_from: Where the files of the images are: by the id or name of the media, or a
            function. They are put beside their labels.
        placing: ``"link"``: by a hard link, else by a symbolic one, else as a copy. ``"copy"``.
        split: Shares of ``train``, ``val`` and ``test``; None for one part.
        group: What stays in one part: ``"folder"``, or a regular expression for names.
        overwrite: Whether a folder that holds something is deleted, once the new one is complete.
        file_name: Gives the name of an image's file, of which the label file takes the stem.

    Raises:
        FormatError: The folder holds something or is a file, there is no such format, or an
            argument is wrong.
        FileWriteError: It cannot be written.
    """
    mapping = mapping or LabelMapping()
    if format == "coco":
        return coco.write(images, path, mapping=mapping)
    select = mapping.select_key if mapping.by == "supercategory" else ""
    name = cast("convert.FormatName", format)
    return convert.write(
        images, path, name, select=select, overwrite=overwrite, file_name=file_name
    )
