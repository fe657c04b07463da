"""Label values written as COCO, and the body of an import as the official SDK sends it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import chain, count
from pathlib import Path
from typing import Any, Final

import attrs
import orjson

from datagym_async._checks import checked
from datagym_async._files import write_file
from datagym_async.formats._losses import FormatError, Loss, Losses, LossKind, LossReport
from datagym_async.formats._mapping import USUAL_CAPTIONS, LabelMapping
from datagym_async.formats._masks import MOST_PIXELS, encode
from datagym_async.formats._raw import Category
from datagym_async.formats._written import (
    Classes,
    Shown,
    carried,
    classes_of,
    count_answers,
    finite,
    shown_on,
    within_edges,
)
from datagym_async.formats.coco._reading import Source, categories_of
from datagym_async.labels import (
    Annotation,
    Incomplete,
    LabeledImage,
    LabeledTask,
    Polygon,
    Rectangle,
)
from datagym_async.labels._config import Entries
from datagym_async.labels._payload_annotations import write_shape

_OWN: Final = frozenset({"id", "iscrowd"})


@attrs.frozen
class CocoDocument:
    """The content of COCO files.

    Args:
        instances: Images, annotations and categories.
        captions: Images and captions; no annotations if there are no captions.
        losses: What COCO cannot hold.
    """

    instances: dict[str, Any] = attrs.field(repr=False)
    captions: dict[str, Any] = attrs.field(repr=False)
    losses: LossReport


@checked
def to_document(
    images: Iterable[LabeledImage],
    *,
    mapping: LabelMapping | None = None,
    categories: Source | Iterable[Category] = (),
    config: Entries = (),
    compressed: bool = True,
) -> CocoDocument:
    """Return label values as COCO.

    Boxes stay boxes; polygons and segments without holes become polygons. Segments with holes and
    crowds become masks (extra ``formats``), which need the image's width and height, 2**28 pixels
    at most. Nested points become keypoints, and free texts named after `LabelMapping.caption`
    become captions.

    Args:
        images: Images, or tasks of an export.
        mapping: How classes were mapped when the labels were read: which select is the category.
        categories: Categories whose numbers, names and order are kept, with the order and skeleton
            of their keypoints: a COCO file, or values. Others are numbered after them.
        config: The label configuration. Other categories have its order and texts, also those that
            are not used. Without it they are sorted by name.
        compressed: Whether masks are written as text, which is shorter, or as lists.

    Raises:
        FormatError: The file of categories is not a COCO file, or there are masks and the extra
            ``formats`` is not installed.
    """
    losses, mapping, every = Losses(), mapping or LabelMapping(), [*map(finite, images)]
    classes = classes_of(every, mapping, config, categories_of(categories), losses)
    return document_of(every, classes, mapping, losses, compressed=compressed)


def document_of(
    images: Iterable[LabeledImage],
    classes: Classes,
    mapping: LabelMapping,
    losses: Losses,
    *,
    compressed: bool = True,
) -> CocoDocument:
    """Return label values as COCO with given classes; losses are counted as well."""
    writer = _Writer(mapping, classes, losses, compressed)
    for image in images:
        writer.add(image)
    return writer.document()


@checked
def write(
    images: Iterable[LabeledImage],
    path: str | Path,
    *,
    captions: str | Path | None = None,
    mapping: LabelMapping | None = None,
    categories: Source | Iterable[Category] = (),
    config: Entries = (),
    compressed: bool = True,
) -> LossReport:
    """Write label values as a COCO file, and return what it cannot hold.

    An existing file stays unchanged until the new one is complete. It blocks: in an event loop,
    call it with `asyncio.to_thread`.

    Args:
        images: Images, or tasks of an export.
        path: The file of instances and keypoints.
        captions: The file of captions; None to leave them out.
        mapping: As for `to_document`.
        categories: As for `to_document`.
        config: As for `to_document`.
        compressed: As for `to_document`.

    Raises:
        FormatError: As for `to_document`.
        FileWriteError: It cannot be written.
    """
    document = to_document(
        images, mapping=mapping, categories=categories, config=config, compressed=compressed
    )
    losses = document.losses
    save(document.instances, Path(path))
    if captions is not None:
        save(document.captions, Path(captions))
    elif left_out := document.captions["annotations"]:
        losses += LossReport([Loss(LossKind.CAPTION, len(left_out))])
    return losses


def save(document: Mapping[str, Any], path: Path) -> None:
    """Write the content of a COCO file; errors as for `write`."""
    try:
        text = orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY)
    except orjson.JSONEncodeError as error:  # half characters, numbers above 64 bits
        why = f"since JSON cannot hold it: {error}"
        raise FormatError(f"{path} cannot be written, {why}") from None
    write_file(path, text)


@attrs.define
class _Writer:
    _mapping: LabelMapping
    _classes: Classes
    _losses: Losses
    _compressed: bool
    _names: set[str] = attrs.field(factory=set, init=False)
    _images: list[dict[str, Any]] = attrs.field(factory=list, init=False)
    _objects: list[tuple[int | None, dict[str, Any]]] = attrs.field(factory=list, init=False)
    """Each with its number in its original COCO file, or None."""
    _captions: list[dict[str, Any]] = attrs.field(factory=list, init=False)

    def add(self, image: LabeledImage) -> None:
        if isinstance(image, LabeledTask) and image.task_export_url is not None:
            self._losses.add(LossKind.VIDEO, image.media_name)
            return
        number = len(self._images) + 1
        known: dict[str, Any] = {"id": number, "file_name": image.media_name}
        if image.width and image.height:
            known |= {"width": image.width, "height": image.height}
        else:
            self._losses.add(LossKind.SIZE, image.media_name)
        if image.media_name in self._names:
            self._losses.add(LossKind.SAME_NAME, image.media_name)
        self._names.add(image.media_name)
        self._images.append({**known, "media_id": image.media_id} if image.media_id else known)
        # Answers about the whole image: captions are kept, the others are lost.
        most = max(USUAL_CAPTIONS, len(image.classifications))  # the first ones may be missing
        keys = {self._mapping.caption_key(1 + each) for each in range(most)}
        captions = [one for one in image.classifications if one.key in keys and one.is_set]
        for answer in captions:
            at = len(self._captions) + 1
            self._captions.append({"id": at, "image_id": number, "caption": answer.value})
        kept = {answer.key for answer in captions}
        count_answers(image, self._mapping.select_key, self._losses, kept)
        within_edges(image, self._losses, clip=False)  # counts shapes beyond; COCO keeps them
        for shown in shown_on(image, self._classes, self._losses):
            own = carried(shown.parts[0])
            box = shown.bounds
            if shown.is_box:  # unchanged: computed from its edges it would be rounded
                corner_and_size = [*attrs.astuple(shown.parts[0].shape)]
            else:
                corner_and_size = [box.left, box.top, box.width, box.height]
            shapes = [each.shape for each in shown.parts if not isinstance(each.shape, Incomplete)]
            fields = {
                "image_id": number,
                "category_id": shown.kind.category.id,
                "bbox": corner_and_size,
                "area": sum(each.area for each in shapes),
                **self._segmentation(shown, image, 1 if own.get("iscrowd") else 0),
                **{name: value for name, value in own.items() if name not in _OWN},
                **self._keypoints(shown),
            }
            given = own.get("id")
            self._objects.append((given if isinstance(given, int) else None, fields))

    def _segmentation(self, shown: Shown, image: LabeledImage, crowd: int) -> dict[str, Any]:
        if all(isinstance(each.shape, Rectangle) for each in shown.parts):
            return {"segmentation": [], "iscrowd": crowd}
        rings, (width, height) = shown.rings, (image.width, image.height)
        holes = sum(len(each) > 1 for each in rings)
        if (holes or crowd) and width and height and width * height <= MOST_PIXELS:
            mask = encode(rings, height, width, compressed=self._compressed)
            return {"segmentation": mask, "iscrowd": crowd}
        if holes:
            self._losses.add(LossKind.HOLES, shown.where)
        if crowd:
            self._losses.add(LossKind.CROWD, shown.where)
        flat = [[number for point in each[0] for number in (point.x, point.y)] for each in rings]
        return {"segmentation": flat, "iscrowd": 0}

    def _keypoints(self, shown: Shown) -> dict[str, Any]:
        names = shown.kind.keypoints
        drawn = shown.joints(self._losses)
        if not names:
            return {}
        triples = (drawn.get(name, (0, 0, 0)) for name in names)
        return {"keypoints": [*chain.from_iterable(triples)], "num_keypoints": len(drawn)}

    def document(self) -> CocoDocument:
        # The number of each object: from its original file, or a new one.
        free = count(max((number or 0 for number, _ in self._objects), default=0) + 1)
        given: set[int] = set()
        annotations = []
        for own, fields in self._objects:
            number = own if own is not None and own not in given else next(free)
            given.add(number)
            annotations.append({"id": number, **fields})
        instances = {
            "images": self._images,
            "annotations": annotations,
            "categories": [each.category.document() for each in self._classes.all],
        }
        captions = {"images": self._images, "annotations": self._captions}
        return CocoDocument(instances, captions, self._losses.report())


# --- The body of the official SDK -----------------------------------------------------------------


@checked
def sdk_items(images: Iterable[LabeledImage]) -> list[dict[str, Any]]:
    """Return the body of an import as the official SDK sends it for images.

    With ``LabelMapping(sdk=True)`` this is the result of its `Coco` class for the same files,
    except some corners of simplified outlines that do not consist of straight lines.

    Args:
        images: Images from `read`, with ids of media (`formats.match`).
    """
    items = []
    for image in images:
        labels: dict[str, list[dict[str, Any]]] = {}
        for each in image.annotations:
            is_made = isinstance(each.shape, Rectangle | Polygon)
            geometry = write_shape(each.shape) if is_made else []
            item = {"geometry": geometry, "classifications": _answers(each)}
            labels.setdefault(each.key, []).append(item)
        whole = {"internal_media_ID": image.media_id, "keepData": False}
        items.append({**whole, "global_classifications": _answers(image), "labels": labels})
    return items


def _answers(of: Annotation | LabeledImage) -> dict[str, list[str | None]]:
    return {each.key: [*each.values] for each in of.classifications}
