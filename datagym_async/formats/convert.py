"""YOLO, Pascal VOC and other formats as label values, and label values as these, by labelformat.

It needs the extra ``formats``. COCO, which knows more, has a package of its own.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

import attrs

from datagym_async._extras import extra_module
from datagym_async._file_names import folded_name, safe_name, with_room
from datagym_async._files import FolderPart, placed, telling
from datagym_async.formats._classes import composed, keys_of
from datagym_async.formats._losses import (
    SELECT,
    ClassNames,
    Conversion,
    FormatError,
    Losses,
    LossKind,
    LossReport,
    class_of,
    outlines_of,
    paths_of_answers,
    writable,
)
from datagym_async.labels import (
    Annotation,
    Incomplete,
    LabeledImage,
    LabeledTask,
    Line,
    Point,
    Polygon,
    Rectangle,
)
from datagym_async.labels._config_rules import RESERVED

__all__ = ["FORMATS", "FormatInfo", "FormatName", "read", "write"]

# --- The table of formats -------------------------------------------------------------------------

FormatName: TypeAlias = Literal["yolo", "yolo-seg", "voc", "kitti", "cvat", "lightly", "labelbox"]
"""What a format is called here."""


@attrs.frozen(kw_only=True)
class FormatInfo:
    """A format besides COCO.

    Args:
        name: What it is called here.
        outlines: Whether it holds outlines; else boxes.
        reader: Class of labelformat that reads it; empty if none does.
        writer: Class of labelformat that writes it; empty if none does.
        reads: What a reader calls its path: a file or a folder.
        splits: Whether a dataset has several parts, of which one is read.
        needs_classes: Whether a reader must be told the names of the classes.
        writes: Name of the file that a writer is given; empty if it takes the folder.
        suffix: Suffix of the file that each image has; empty if one file holds all.
        own_file: The file beside those of the images whose name none of them may have.
        label_folder: Where a reader that fails at images without such a file says its folder.
    """

    name: FormatName
    outlines: bool = False
    reader: str = ""
    writer: str = ""
    reads: Literal["input_file", "input_folder"] = "input_folder"
    splits: bool = False
    needs_classes: bool = False
    writes: str = ""
    suffix: str = ""
    own_file: str = ""
    label_folder: str = ""

    def open(self, path: Path, classes: Sequence[str], split: str) -> Any:
        """Return labelformat's reader of a file or folder; `FormatError` as `read` says."""
        if not self.reader:
            raise FormatError(f"The format {self.name} can be written, not read")
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

    def writing(self) -> Callable[[Path], Any]:
        """Return what makes labelformat's writer into a folder; `FormatError` if nothing does."""
        if not self.writer:
            raise FormatError(f"The format {self.name} can be read, not written")
        writer = _class(self.writer)
        if self.writes:
            part = {"output_split": "train"} if self.splits else {}
            return lambda folder: writer(output_file=folder / self.writes, **part)
        return lambda folder: writer(output_folder=folder)


def _class(name: str) -> Any:
    # Here, because labelformat takes a moment and is an extra.
    return getattr(extra_module("labelformat.formats", FormatError), name)


def _both_ways(name: FormatName, classes: str, **others: Any) -> FormatInfo:
    return FormatInfo(name=name, reader=f"{classes}Input", writer=f"{classes}Output", **others)


_yolo = partial(
    _both_ways,
    reads="input_file",
    splits=True,
    writes="data.yaml",
    suffix=".txt",
    label_folder="_labels_dir",
)

FORMATS: Final = (
    _yolo("yolo", "YOLOv8ObjectDetection"),
    _yolo("yolo-seg", "YOLOv8InstanceSegmentation", outlines=True),
    _both_ways("voc", "PascalVOCObjectDetection", needs_classes=True, suffix=".xml"),
    _both_ways(
        "kitti",
        "KittiObjectDetection",
        needs_classes=True,
        suffix=".txt",
        label_folder="_input_folder",
    ),
    _both_ways("cvat", "CVATObjectDetection", reads="input_file"),
    _both_ways("lightly", "LightlyObjectDetection", suffix=".json", own_file="schema.json"),
    FormatInfo(
        name="labelbox",
        reader="LabelboxObjectDetectionInput",
        reads="input_file",
        needs_classes=True,
    ),
)
"""All formats besides COCO."""


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


# --- From label values to what labelformat writes -------------------------------------------------


def write(
    images: Iterable[LabeledImage],
    folder: str | Path,
    format: FormatName,  # noqa: A002 - the word people look for, as in `json.dumps(indent=...)`
    *,
    select: str = SELECT,
    classes: Sequence[str] = (),
    overwrite: bool = False,
    file_name: Callable[[str], str] = safe_name,
) -> LossReport:
    """Write label values in another format than COCO, and return what it cannot hold.

    Control characters and halves of characters in names of images and classes are written as ``_``,
    in each format: XML cannot hold them, and lines of text end at some of them.

    Only labels are written, no images. The folder is complete or not there at all. It blocks: call
    it with `asyncio.to_thread` where an event loop runs. It needs the extra ``formats``.

    Args:
        images: Images, or tasks of an export; those without labels get files, too, and those
            without width and height none.
        folder: A folder that is not there, or empty.
        format: ``"yolo"``, ``"yolo-seg"``, ``"voc"``, ``"kitti"``, ``"cvat"`` or ``"lightly"``.
        select: Key of the select whose answer is the class; the key of the entry is where there is
            no such answer.
        classes: Names of classes in the order of their numbers. Others come after them, by name.
        overwrite: Whether a folder that holds something is deleted, once the new one is complete.
        file_name: Gives the name of an image's file, of which the label file takes the stem; cut
            where the suffix of the label file would not fit behind it.

    Raises:
        FormatError: The folder holds something or is a file, there is no such format or nothing
            writes it, or the extra ``formats`` is not installed.
        FileWriteError: It cannot be written.
    """
    info, losses = _format_info(format), Losses()
    writer, names = info.writing(), ClassNames(losses)
    numbered = [names.of(each) for each in classes]
    chosen = _chosen(images, info, file_name, losses)
    shown = {name: _shown(image, info, select, names, losses) for name, image in chosen.items()}
    others = {name for objects in shown.values() for name, _ in objects} - set(numbered)
    from labelformat.model.category import Category

    every = enumerate((*numbered, *sorted(others)))
    categories = {name: Category(number, name) for number, name in every}
    labels = _Labels(info.outlines, chosen, shown, categories)
    path = Path(folder)
    check_target(path, format, overwrite=overwrite)
    with telling(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    # Filled beside its place, and moved there when it is whole.
    with placed(partial(FolderPart.beside, path), path) as part:
        try:
            writer(part.filled).save(label_input=labels)
        except OSError:
            raise
        except Exception as error:  # labelformat has no errors of its own
            text = f"{path} cannot be written as {info.name}: {error} ({type(error).__name__})"
            raise FormatError(text) from error
    return losses.report()


def check_target(path: Path, format: str, *, overwrite: bool) -> None:  # noqa: A002 -- as for `write`
    """Make sure that a folder can be written, before anything is fetched; errors are `write`'s."""
    _format_info(format).writing()
    if path.exists() and not path.is_dir():
        raise FormatError(f"{path} is a file, and a folder is to be written; name another path")
    if not overwrite and path.is_dir() and any(path.iterdir()):
        text = f"The folder {path} is not empty; name another one, or add overwrite=True"
        raise FormatError(text)


def _chosen(
    images: Iterable[LabeledImage],
    info: FormatInfo,
    file_name: Callable[[str], str],
    losses: Losses,
) -> dict[str, LabeledImage]:
    """Return the images that can be written, by the names of their files."""
    chosen: dict[str, LabeledImage] = {}
    stems: set[str] = {info.own_file}
    for image in images:
        whole = writable(file_name(image.media_name))
        name = with_room(whole, info.suffix) if info.suffix else whole
        stem = folded_name(str(Path(name).with_suffix(info.suffix))) if info.suffix else name
        if isinstance(image, LabeledTask) and image.task_export_url is not None:
            losses.add(LossKind.VIDEO, image.media_name)
        elif not image.width or not image.height:
            losses.add(LossKind.NO_SIZE, image.media_name)
        elif stem in stems:
            losses.add(LossKind.SAME_FILE, image.media_name)
        else:
            stems.add(stem)
            chosen[name] = image
            if name != whole:
                losses.add(LossKind.LONG_NAME, f"{image.media_name[:40]!r}...")
            if writable(image.media_name) != image.media_name:
                losses.add(LossKind.CHARACTERS, f"the image {image.media_name!r}")
    return chosen


_Shown: TypeAlias = tuple[str, tuple[tuple[float, float], ...]]
"""The class of an object, and the corners of its outline or of its box."""


def _shown(
    image: LabeledImage, info: FormatInfo, select: str, names: ClassNames, losses: Losses
) -> list[_Shown]:
    """Return the objects on an image, and count what is left out."""
    found = []
    for root in image.annotations:
        for each in (root, *root.nested):
            where = f"{image.media_name}: {each.key}"
            if corners := _corners(each, info, losses, where):
                found.append((names.of(class_of(each, select)), corners))
                if each is not root:
                    losses.add(LossKind.NESTING, where)
            for lost in paths_of_answers(f"{where}.", each.classifications, but=select):
                losses.add(LossKind.CLASSIFICATION, lost)
    for lost in paths_of_answers(f"{image.media_name}: ", image.classifications):
        losses.add(LossKind.CLASSIFICATION, lost)
    return found


def _corners(
    annotation: Annotation, info: FormatInfo, losses: Losses, where: str
) -> tuple[tuple[float, float], ...]:
    """Return the corners of a shape, or none if the format holds no such shape."""
    shape = annotation.shape
    if isinstance(shape, Point | Line):
        losses.add(LossKind.POINT if isinstance(shape, Point) else LossKind.LINE, where)
        return ()
    rings = outlines_of(annotation)
    if isinstance(shape, Incomplete) or not rings:
        losses.add(LossKind.INCOMPLETE, where)
        return ()
    ring = rings[0]
    if not isinstance(shape, Rectangle) and not info.outlines:
        losses.add(LossKind.OUTLINE, where)
        ring = shape.bounds.corners
    elif len(rings) > 1:
        losses.add(LossKind.HOLES, where)
    return tuple((each.x, each.y) for each in ring)


@attrs.define
class _Labels:
    """Images with their objects as labelformat asks for them."""

    _outlines: bool
    _images: Mapping[str, LabeledImage]
    _shown: Mapping[str, list[_Shown]]
    _categories: Mapping[str, Any]

    def get_categories(self) -> Iterable[Any]:
        """Return all classes."""
        return self._categories.values()

    def get_images(self) -> Iterable[Any]:
        """Give all images."""
        from labelformat.model.image import Image

        for number, (name, image) in enumerate(self._images.items()):
            yield Image(number, name, image.width or 0, image.height or 0)

    def get_labels(self) -> Iterable[Any]:
        """Give the objects of each image."""
        from labelformat.model.instance_segmentation import ImageInstanceSegmentation
        from labelformat.model.object_detection import ImageObjectDetection

        made = ImageInstanceSegmentation if self._outlines else ImageObjectDetection
        for image in self.get_images():
            yield made(image, [self._object(each) for each in self._shown[image.filename]])

    def _object(self, shown: _Shown) -> Any:
        from labelformat.model.bounding_box import BoundingBox
        from labelformat.model.instance_segmentation import SingleInstanceSegmentation
        from labelformat.model.multipolygon import MultiPolygon
        from labelformat.model.object_detection import SingleObjectDetection

        name, corners = shown
        category = self._categories[name]
        if self._outlines:
            return SingleInstanceSegmentation(category, MultiPolygon([list(corners)]))
        (left, top), _, (right, bottom), _ = corners
        return SingleObjectDetection(category, BoundingBox(left, top, right, bottom))
