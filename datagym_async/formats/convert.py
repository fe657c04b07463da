"""YOLO, Pascal VOC and other formats as label values, by labelformat.

It needs the extra ``formats``. COCO, which knows more, has a package of its own.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

import attrs

from datagym_async._extras import extra_module
from datagym_async.formats._classes import composed, keys_of
from datagym_async.formats._losses import (
    Conversion,
    FormatError,
    Losses,
    LossKind,
)
from datagym_async.labels import (
    Annotation,
    LabeledImage,
    Polygon,
    Rectangle,
)
from datagym_async.labels._config_rules import RESERVED

__all__ = ["FORMATS", "FormatInfo", "FormatName", "read"]

# --- The table of formats -------------------------------------------------------------------------

FormatName: TypeAlias = Literal["yolo", "yolo-seg", "voc", "kitti", "cvat", "lightly", "labelbox"]
"""What a format is called here."""


@attrs.frozen(kw_only=True)
class FormatInfo:
    """A format besides COCO.

    Args:
        name: What it is called here.
        reader: Class of labelformat that reads it.
        outlines: Whether it holds outlines; else boxes.
        reads: What a reader calls its path: a file or a folder.
        splits: Whether a dataset has several parts, of which one is read.
        needs_classes: Whether a reader must be told the names of the classes.
        suffix: Suffix of the file that each image has; empty if one file holds all.
        label_folder: Where a reader that fails at images without such a file says its folder.
    """

    name: FormatName
    reader: str
    outlines: bool = False
    reads: Literal["input_file", "input_folder"] = "input_folder"
    splits: bool = False
    needs_classes: bool = False
    suffix: str = ""
    label_folder: str = ""

    def open(self, path: Path, classes: Sequence[str], split: str) -> Any:
        """Return labelformat's reader of a file or folder; `FormatError` as `read` says."""
        if self.needs_classes and not classes:
            raise FormatError(
                f"Files of the format {self.name} do not list their classes; name them"
            )
        reader = _class(self.reader)
        # A pipe or a device would keep labelformat waiting.
        is_file = self.reads == "input_file"
        if not (path.is_file() if is_file else path.is_dir()):
            what = "regular file" if is_file else "folder"
            raise FormatError(f"{path} cannot be read as {self.name}: it is no {what}")
        told = {"category_names": ",".join(classes)} if self.needs_classes else {}
        part = {"input_split": split} if self.splits else {}
        return reader(**{self.reads: path, **told, **part})


def _class(name: str) -> Any:
    # Here, because labelformat takes a moment and is an extra.
    return getattr(extra_module("labelformat.formats", FormatError), name)


_yolo = partial(
    FormatInfo, reads="input_file", splits=True, suffix=".txt", label_folder="_labels_dir"
)

FORMATS: Final = (
    _yolo(name="yolo", reader="YOLOv8ObjectDetectionInput"),
    _yolo(name="yolo-seg", reader="YOLOv8InstanceSegmentationInput", outlines=True),
    FormatInfo(
        name="voc", reader="PascalVOCObjectDetectionInput", needs_classes=True, suffix=".xml"
    ),
    FormatInfo(
        name="kitti",
        reader="KittiObjectDetectionInput",
        needs_classes=True,
        suffix=".txt",
        label_folder="_input_folder",
    ),
    FormatInfo(name="cvat", reader="CVATObjectDetectionInput", reads="input_file"),
    FormatInfo(name="lightly", reader="LightlyObjectDetectionInput", suffix=".json"),
    FormatInfo(
        name="labelbox",
        reader="LabelboxObjectDetectionInput",
        reads="input_file",
        needs_classes=True,
    ),
)
"""The formats that labelformat reads."""


def _format_info(name: str) -> FormatInfo:
    found = next((each for each in FORMATS if each.name == name), None)
    if found is None:
        known = ", ".join(each.name for each in FORMATS)
        raise FormatError(f"There is no format {name!r}; use one of {known}, or formats.coco")
    return found


# --- From what labelformat reads to label values --------------------------------------------------


def read(
    path: str | Path,
    format: FormatName,  # noqa: A002 - the word people look for, as in `json.dumps(indent=...)`
    *,
    classes: Sequence[str] = (),
    split: str = "train",
) -> Conversion:
    """Return the labels of files of another format than COCO.

    Each class becomes the key of an entry. It blocks: call it with `asyncio.to_thread` where an
    event loop runs. It needs the extra ``formats``.

    Args:
        path: YOLO: the file ``data.yaml``, with the images where it says. Pascal VOC, KITTI and
            Lightly: the folder of label files (KITTI and Lightly look for the images in
            ``../images``). CVAT and Labelbox: the file.
        format: ``"yolo"``, ``"yolo-seg"``, ``"voc"``, ``"kitti"``, ``"cvat"``, ``"lightly"`` or
            ``"labelbox"``.
        classes: Names of the classes, where the files do not list them (Pascal VOC, KITTI,
            Labelbox).
        split: Which part of a YOLO dataset.

    Returns:
        All images by name, also those without labels, without ids of media (`formats.match` finds
        these), and what was lost.

    Raises:
        FormatError: It is no such file or folder, there is no such format or nothing reads it, it
            needs the names of the classes, or the extra ``formats`` is not installed.
    """
    info, losses = _format_info(format), Losses()
    if bad := [each for each in classes if "," in each]:
        raise FormatError(f"The class {bad[0]!r} holds a comma, which labelformat cannot read")
    try:
        reader = info.open(Path(path), classes, split)
        keys = keys_of((each.name for each in reader.get_categories()), RESERVED)
        with _Complaints(losses):
            labels = {label.image.filename: label for label in _labels(reader, info)}
        images = {each.filename: each for each in reader.get_images()}
        images |= {name: label.image for name, label in labels.items()}
        found = [
            LabeledImage(
                media_name=name,
                annotations=[
                    annotation
                    for each in (labels[name].objects if name in labels else ())
                    for annotation in _annotations(each, keys, losses, name)
                ],
                width=image.width,
                height=image.height,
            )
            for name, image in sorted(images.items())
        ]
    except FormatError:
        raise
    except Exception as error:  # labelformat has no errors of its own for files of another kind
        kind = type(error).__name__
        raise FormatError(f"{path} cannot be read as {info.name}: {error} ({kind})") from error
    return Conversion(found, losses.report())


class _Complaints(logging.Handler):
    """Counts what a reader leaves out with a message in the log alone."""

    def __init__(self, losses: Losses) -> None:
        super().__init__(logging.WARNING)
        self._losses = losses
        self._thread = threading.get_ident()

    def __enter__(self) -> None:
        logging.getLogger("labelformat").addHandler(self)

    def __exit__(self, *_: object) -> None:
        logging.getLogger("labelformat").removeHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        if record.thread == self._thread:  # not what another conversion leaves out meanwhile
            self._losses.add(LossKind.BROKEN, record.getMessage())


def _labels(reader: Any, info: FormatInfo) -> Iterable[Any]:
    """Give the labels of images that have a label file; some readers fail at the others."""
    if not info.label_folder:
        return reader.get_labels()  # type: ignore[no-any-return]
    found, all_images = getattr(reader, info.label_folder), reader.get_images
    folder = Path(found() if callable(found) else found)
    reader.get_images = lambda: (
        image
        for image in all_images()
        if Path(folder, image.filename).with_suffix(info.suffix).is_file()
    )
    try:
        return list(reader.get_labels())
    finally:
        reader.get_images = all_images


def _annotations(
    found: Any, keys: Mapping[str, str], losses: Losses, image: str
) -> list[Annotation]:
    key = keys[composed(found.category.name)]
    if hasattr(found, "box"):
        box = found.box
        size = (box.xmax - box.xmin, box.ymax - box.ymin)
        return [Annotation(key, Rectangle(box.xmin, box.ymin, *size))]
    parts = found.segmentation.polygons
    if len(parts) > 1:
        losses.add(LossKind.PARTS, f"{image}: {key}")
    whole = [part for part in parts if len(part) > 2]
    if len(whole) < len(parts):
        losses.add(LossKind.BROKEN, f"{image}: an outline of fewer than 3 points")
    # YOLO closes an outline by its first point, which is left out here.
    opened = [part[:-1] if len(part) > 3 and part[0] == part[-1] else part for part in whole]
    return [Annotation(key, Polygon(part)) for part in opened]
