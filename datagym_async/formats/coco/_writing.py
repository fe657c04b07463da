"""Label values as COCO: each object with its category, an outline or a box, and keypoints."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, count
from pathlib import Path
from typing import Any, Final

import attrs
import orjson

from datagym_async._files import write_file
from datagym_async.formats._losses import (
    CARRIED,
    FormatError,
    Loss,
    Losses,
    LossKind,
    LossReport,
    outlines_of,
    paths_of_answers,
)
from datagym_async.formats._mapping import LabelMapping
from datagym_async.formats._masks import MOST_PIXELS, encode
from datagym_async.formats._raw import Category
from datagym_async.formats.coco._mapping import CategoryKeys
from datagym_async.formats.coco._reading import Source, categories_of
from datagym_async.labels import (
    Annotation,
    Classification,
    Incomplete,
    LabeledImage,
    LabeledTask,
    Line,
    Point,
    Rectangle,
)

_OWN: Final = frozenset({"id", "iscrowd"})


@attrs.frozen
class CocoDocument:
    """What COCO files hold.

    Args:
        instances: Images, annotations and categories.
        captions: Images and captions; no annotations if there are no captions.
        losses: What COCO cannot hold.
    """

    instances: dict[str, Any] = attrs.field(repr=False)
    captions: dict[str, Any] = attrs.field(repr=False)
    losses: LossReport


def to_document(
    images: Iterable[LabeledImage],
    *,
    mapping: LabelMapping | None = None,
    categories: Source | Iterable[Category] = (),
    compressed: bool = True,
) -> CocoDocument:
    """Return label values as COCO.

    Boxes become boxes, polygons and segments without holes become polygons, segments with holes
    and crowds become masks (extra ``formats``), which need the image's width and height, of 2**28
    pixels at most. Nested points become keypoints, free texts named after `LabelMapping.caption`
    captions.

    Args:
        images: Images, or tasks of an export.
        mapping: What was made of what when they were read; which select tells the category.
        categories: Categories whose numbers, names and order are kept: a COCO file, or values.
            Others are numbered after them, by name.
        compressed: Whether masks are written as text, which is shorter, or as lists.

    Raises:
        FormatError: The file of categories is no COCO file, or there are masks and the extra
            ``formats`` is not installed.
    """
    losses, mapping, known = Losses(), mapping or LabelMapping(), categories_of(categories)
    writer = _Writer(mapping, CategoryKeys(known, mapping, losses), losses, compressed)
    for image in images:
        writer.add(image)
    return writer.document(known)


def write(
    images: Iterable[LabeledImage],
    path: str | Path,
    *,
    captions: str | Path | None = None,
    mapping: LabelMapping | None = None,
    categories: Source | Iterable[Category] = (),
    compressed: bool = True,
) -> LossReport:
    """Write label values as a COCO file, and return what it cannot hold.

    A file that is there already stays whole until the new one is complete. It blocks: call it with
    `asyncio.to_thread` where an event loop runs.

    Args:
        images: Images, or tasks of an export.
        path: The file of instances and keypoints.
        captions: The file of captions; None to leave them out.
        mapping, categories, compressed: As for `to_document`.

    Raises:
        FormatError: As for `to_document`.
        FileWriteError: It cannot be written.
    """
    document = to_document(images, mapping=mapping, categories=categories, compressed=compressed)
    losses = document.losses
    files = [(path, document.instances)]
    files += [] if captions is None else [(captions, document.captions)]
    for file, content in files:
        try:
            text = orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY)
        except orjson.JSONEncodeError as error:  # halves of characters, numbers above 64 bits
            msg = f"{file} cannot be written, since JSON cannot hold it: {error}"
            raise FormatError(msg) from None
        write_file(Path(file), text)
    if captions is None and (left_out := document.captions["annotations"]):
        losses += LossReport([Loss(LossKind.CAPTION, len(left_out))])
    return losses


@attrs.frozen
class _Described:
    """An object as COCO has it, but for the numbers that are not known yet."""

    category: Category
    """Its category; one numbered 0 is new."""
    number: int | None
    """Its number in the COCO file it comes from, or None."""
    fields: Mapping[str, Any]
    keypoints: Mapping[str, tuple[float, float, int]]
    """Name of a keypoint to its x, y and visibility."""


def _carried(annotation: Annotation) -> Mapping[str, Any]:
    """Return what an annotation carries of the COCO file it comes from."""
    found = annotation.extra.get(CARRIED)
    return found if isinstance(found, Mapping) else {}


@attrs.define
class _Writer:
    """Collects images, one after the other, and what is on each."""

    _mapping: LabelMapping
    _table: CategoryKeys
    _losses: Losses
    _compressed: bool
    _image: LabeledImage = attrs.field(factory=LabeledImage, init=False)
    _images: list[dict[str, Any]] = attrs.field(factory=list, init=False)
    _objects: list[tuple[int, _Described]] = attrs.field(factory=list, init=False)
    _captions: list[dict[str, Any]] = attrs.field(factory=list, init=False)

    def add(self, image: LabeledImage) -> None:
        if isinstance(image, LabeledTask) and image.task_export_url is not None:
            self._losses.add(LossKind.VIDEO, image.media_name)
            return
        self._image, number = image, len(self._images) + 1
        known: dict[str, Any] = {"id": number, "file_name": image.media_name}
        if image.width and image.height:
            known |= {"width": image.width, "height": image.height}
        else:
            self._losses.add(LossKind.SIZE, image.media_name)
        self._images.append({**known, "media_id": image.media_id} if image.media_id else known)
        # Answers about the whole image: captions are kept, the others are lost.
        longest = len(image.classifications)
        keys = {self._mapping.caption_key(each) for each in range(1, longest + 1)}
        for answer in image.classifications:
            text = answer.value if answer.key in keys else None
            if text is not None:
                caption = {"id": len(self._captions) + 1, "image_id": number, "caption": text}
                self._captions.append(caption)
            self._count_answers("", [answer], but="" if text is None else answer.key)
        # Objects; parts that were one object in COCO are one again.
        groups: dict[object, list[Annotation]] = {}
        for at, each in enumerate(self._outlined()):
            own = _carried(each).get("id")
            answers = tuple((answer.key, answer.values) for answer in each.classifications)
            groups.setdefault(at if own is None else (each.key, answers, own), []).append(each)
        self._objects += ((number, self._described(parts)) for parts in groups.values())

    def _outlined(self) -> Iterator[Annotation]:
        """Give the annotations that cover something, also the nested ones; count the others."""
        for each in self._image.annotations:
            if self._can_hold(each):
                yield each
            for inner in each.nested:
                if not isinstance(inner.shape, Point) and self._can_hold(inner):
                    self._lose(LossKind.NESTING, inner.key)
                    yield inner

    def _can_hold(self, annotation: Annotation) -> bool:
        if outlines_of(annotation):
            return True
        kinds = {Point: LossKind.POINT, Line: LossKind.LINE}
        points = [each for each in annotation.nested if isinstance(each.shape, Point)]
        for each in (annotation, *points):
            self._lose(kinds.get(type(each.shape), LossKind.INCOMPLETE), each.key)
        return False

    def _described(self, parts: Sequence[Annotation]) -> _Described:
        category, own = self._table.category_of(parts[0]), _carried(parts[0])
        for each in parts:
            self._count_answers(f"{each.key}.", each.classifications, self._mapping.select_key)
        shapes = [each.shape for each in parts if not isinstance(each.shape, Incomplete)]
        # The box around all: left, top, width and height.
        if len(shapes) == 1 and isinstance(shapes[0], Rectangle):
            box = [*attrs.astuple(shapes[0])]  # as it is: those from edges would be rounded
        else:
            left, top, right, bottom = zip(*(each.bounds for each in shapes), strict=True)
            box = [min(left), min(top), max(right) - min(left), max(bottom) - min(top)]
        fields = {
            "bbox": box,
            "area": sum(each.area for each in shapes),
            **self._segmentation(parts, 1 if own.get("iscrowd") else 0),
            **{name: value for name, value in own.items() if name not in _OWN},
        }
        number = found if isinstance(found := own.get("id"), int) else None
        return _Described(category, number, fields, self._keypoints(parts, category))

    def _segmentation(self, parts: Sequence[Annotation], crowd: int) -> dict[str, Any]:
        if all(isinstance(each.shape, Rectangle) for each in parts):
            return {"segmentation": [], "iscrowd": crowd}
        rings = [outlines_of(each) for each in parts]
        holes = sum(len(each) > 1 for each in rings)
        width, height = self._image.width, self._image.height
        if (holes or crowd) and width and height and width * height <= MOST_PIXELS:
            mask = encode(rings, height, width, compressed=self._compressed)
            return {"segmentation": mask, "iscrowd": crowd}
        if holes:
            self._lose(LossKind.HOLES, parts[0].key)
        if crowd:
            self._lose(LossKind.CROWD, parts[0].key)
        flat = [[number for point in each[0] for number in (point.x, point.y)] for each in rings]
        return {"segmentation": flat, "iscrowd": 0}

    def _keypoints(
        self, parts: Sequence[Annotation], category: Category
    ) -> dict[str, tuple[float, float, int]]:
        names = self._table.keypoint_names(category)
        found: dict[str, tuple[float, float, int]] = {}
        for each in (inner for part in parts for inner in part.nested):
            if not isinstance(each.shape, Point):
                continue  # an object of its own
            name = names.get(each.key, each.key)
            self._count_answers(f"{each.key}.", each.classifications)
            if name in found:
                self._lose(LossKind.POINT, each.key)
            else:
                found[name] = (each.shape.x, each.shape.y, _carried(each).get("v", 2))
        return found

    def _count_answers(self, at: str, answers: Iterable[Classification], but: str = "") -> None:
        for lost in paths_of_answers(at, answers, but=but):
            self._lose(LossKind.CLASSIFICATION, lost)

    def _lose(self, kind: LossKind, what: str) -> None:
        self._losses.add(kind, f"{self._image.media_name}: {what}")

    def document(self, known: Iterable[Category]) -> CocoDocument:
        # All categories by name: the known ones, then the others with new numbers.
        categories = {each.names: each for each in known}
        free = count(max((each.id for each in categories.values()), default=0) + 1)
        points: dict[tuple[str, str], dict[str, None]] = {}
        for _, each in self._objects:
            points.setdefault(each.category.names, {}).update(dict.fromkeys(each.keypoints))
        for names in sorted(points.keys() - categories.keys()):
            categories[names] = Category(next(free), *names)
        for names, drawn in points.items():
            every = dict.fromkeys((*categories[names].keypoints, *drawn))
            categories[names] = attrs.evolve(categories[names], keypoints=every)
        # The number of each object: its own from the file it comes from, or a new one.
        free = count(max((each.number or 0 for _, each in self._objects), default=0) + 1)
        given: set[int] = set()
        annotations = []
        for image, each in self._objects:
            own, category = each.number, categories[each.category.names]
            number = own if own is not None and own not in given else next(free)
            given.add(number)
            ids = {"id": number, "image_id": image, "category_id": category.id}
            annotations.append({**ids, **each.fields})
            if category.keypoints:
                triples = (each.keypoints.get(name, (0, 0, 0)) for name in category.keypoints)
                flat = [*chain.from_iterable(triples)]
                annotations[-1] |= {"keypoints": flat, "num_keypoints": len(each.keypoints)}
        instances = {
            "images": self._images,
            "annotations": annotations,
            "categories": [each.document() for each in categories.values()],
        }
        captions = {"images": self._images, "annotations": self._captions}
        return CocoDocument(instances, captions, self._losses.report())
