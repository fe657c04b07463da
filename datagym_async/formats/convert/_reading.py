"""From what labelformat reads to label values."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from datagym_async.formats._keys import Keys
from datagym_async.formats._losses import Conversion, FormatError, Losses, LossKind
from datagym_async.formats.convert._formats import FormatInfo, FormatName, format_info
from datagym_async.labels import Annotation, LabeledImage, Polygon, Rectangle
from datagym_async.labels._config_rules import RESERVED


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
        FormatError: It is no such file or folder, there is no such format, or the extra
            ``formats`` is not installed.
    """
    info = format_info(format)
    if bad := [each for each in classes if "," in each]:
        raise FormatError(f"The class {bad[0]!r} holds a comma, which labelformat cannot read")
    try:
        return _conversion(info.open(Path(path), classes, split), info)
    except FormatError:
        raise
    except Exception as error:  # labelformat has no errors of its own for files of another kind
        kind = type(error).__name__
        raise FormatError(f"{path} cannot be read as {info.name}: {error} ({kind})") from error


class _Complaints(logging.Handler):
    """Counts what a reader leaves out with a message in the log alone."""

    def __init__(self, losses: Losses) -> None:
        super().__init__(logging.WARNING)
        self._losses = losses
        self._thread = threading.get_ident()

    def emit(self, record: logging.LogRecord) -> None:
        if record.thread == self._thread:  # not what another conversion leaves out meanwhile
            self._losses.add(LossKind.BROKEN, record.getMessage())


def _conversion(reader: Any, info: FormatInfo) -> Conversion:
    losses = Losses()
    keys = Keys(losses, reserved=RESERVED)
    logger, handler = logging.getLogger("labelformat"), _Complaints(losses)
    logger.addHandler(handler)
    try:
        labels = {label.image.filename: label for label in _labels(reader, info)}
    finally:
        logger.removeHandler(handler)
    images = {each.filename: each for each in reader.get_images()}
    images |= {name: label.image for name, label in labels.items()}
    return Conversion(
        [
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
        ],
        losses.report(),
    )


def _labels(reader: Any, info: FormatInfo) -> Iterable[Any]:
    """Give the labels of images that have a label file; some readers fail at the others."""
    if info.label_folder:
        found = getattr(reader, info.label_folder)
        folder = Path(found() if callable(found) else found)
        all_images = reader.get_images

        def is_labelled(image: Any) -> bool:
            return Path(folder, image.filename).with_suffix(info.suffix).is_file()

        reader.get_images = lambda: filter(is_labelled, all_images())
        try:
            return list(reader.get_labels())
        finally:
            reader.get_images = all_images
    return reader.get_labels()  # type: ignore[no-any-return]


def _annotations(found: Any, keys: Keys, losses: Losses, image: str) -> list[Annotation]:
    key = keys.of(found.category.name)
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
