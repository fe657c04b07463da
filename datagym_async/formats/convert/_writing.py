"""From label values to what labelformat writes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

from datagym_async._file_names import folded_name, safe_name, with_room
from datagym_async._files import FolderPart, placed, telling
from datagym_async.formats._keys import (
    SELECT,
    ClassNames,
    class_of,
    outlines_of,
    paths_of_answers,
    writable,
)
from datagym_async.formats._losses import FormatError, Losses, LossKind, LossReport
from datagym_async.formats.convert._formats import FormatInfo, FormatName, format_info
from datagym_async.labels import (
    Annotation,
    Incomplete,
    LabeledImage,
    LabeledTask,
    Line,
    Point,
    Rectangle,
)


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
        FormatError: The folder holds something, there is no such format, or the extra
            ``formats`` is not installed.
        FileWriteError: It cannot be written.
    """
    info = format_info(format)
    writer = info.writing()
    losses = Losses()
    names = ClassNames(losses)
    numbered = [names.of(each) for each in classes]
    chosen = _chosen(images, info, file_name, losses)
    shown = {name: _shown(image, info, select, names, losses) for name, image in chosen.items()}
    labels = _Labels(info, chosen, shown, numbered)
    path = Path(folder)
    _check_free(path, overwrite=overwrite)
    with telling(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    # Filled beside its place, and moved there when it is whole.
    with placed(partial(FolderPart.beside, path), path) as part:
        try:
            writer(part.filled).save(label_input=labels)
        except OSError:
            raise
        except Exception as error:  # labelformat has no errors of its own
            kind = type(error).__name__
            raise FormatError(
                f"{path} cannot be written as {info.name}: {error} ({kind})"
            ) from error
    return losses.report()


def check_target(path: Path, format: str, *, overwrite: bool) -> None:  # noqa: A002 -- as for `write`
    """Make sure, before anything is fetched, that a folder can be written in a format.

    Raises:
        FormatError: There is a file, or a folder that holds something and must not be deleted, or
            the extra ``formats`` is not installed.
    """
    format_info(format).writing()
    _check_free(path, overwrite=overwrite)


def _check_free(path: Path, *, overwrite: bool) -> None:
    if path.exists() and not path.is_dir():
        raise FormatError(f"{path} is a file, and a folder is to be written; name another path")
    if not overwrite and path.is_dir() and any(path.iterdir()):
        raise FormatError(
            f"The folder {path} is not empty; name another one, or add overwrite=True"
        )


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
            losses.add(LossKind.SIZE, image.media_name)
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
    for each, is_nested in (
        (each, each is not root) for root in image.annotations for each in (root, *root.nested)
    ):
        corners = _corners(each, info, losses, f"{image.media_name}: {each.key}")
        if corners:
            found.append((names.of(class_of(each, select)), corners))
            if is_nested:
                losses.add(LossKind.NESTING, f"{image.media_name}: {each.key}")
        where = f"{image.media_name}: {each.key}."
        for lost in paths_of_answers(where, each.classifications, but=select):
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


class _Labels:
    """Images with their objects as labelformat asks for them."""

    def __init__(
        self,
        info: FormatInfo,
        images: dict[str, LabeledImage],
        shown: dict[str, list[_Shown]],
        classes: Sequence[str],
    ) -> None:
        from labelformat.model.category import Category

        self._outlines = info.outlines
        self._images = images
        self._shown = shown
        others = {name for objects in shown.values() for name, _ in objects} - set(classes)
        names = [*classes, *sorted(others)]
        self._categories = {name: Category(number, name) for number, name in enumerate(names)}

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
