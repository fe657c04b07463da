"""The objects on an image as COCO has them: a category, an outline or a box, keypoints."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import attrs

from datagym_async.formats._classes import places_of_answers
from datagym_async.formats._conversion import CARRIED
from datagym_async.formats._losses import Losses, LossKind
from datagym_async.formats.coco._mapping import CocoCategory, CocoMapping, Places
from datagym_async.formats.coco._masks import encode
from datagym_async.labels import (
    Annotation,
    Incomplete,
    LabeledImage,
    Line,
    Point,
    Polygon,
    Rectangle,
    Segmentation,
)

if TYPE_CHECKING:
    from datagym_async.labels import Classification

_Complete: TypeAlias = Point | Line | Polygon | Rectangle | Segmentation
_OWN: Final = frozenset({"id", "iscrowd"})


@attrs.frozen
class Described:
    """An object as COCO has it, but for the numbers that are not known yet.

    Args:
        category: Its category; one numbered 0 is new.
        number: Its number in the COCO file it comes from, or None.
        fields: Its members.
        keypoints: Name of a keypoint to its x, y and visibility.
    """

    category: CocoCategory
    number: int | None
    fields: Mapping[str, Any]
    keypoints: Mapping[str, tuple[float, float, int]]

    def annotation(self, number: int, image: int, category: CocoCategory) -> dict[str, Any]:
        """Return it as a file has it."""
        whole = {"id": number, "image_id": image, "category_id": category.id, **self.fields}
        if not category.keypoints:
            return whole
        triples = [self.keypoints.get(name, (0, 0, 0)) for name in category.keypoints]
        flat = [value for triple in triples for value in triple]
        return {**whole, "keypoints": flat, "num_keypoints": len(self.keypoints)}


def describe(
    image: LabeledImage,
    places: Places,
    mapping: CocoMapping,
    losses: Losses,
    compressed: bool,
) -> Iterator[Described]:
    """Give the objects on an image; parts that were one object in COCO are one again."""
    describer = _Describer(image, places, mapping, losses, compressed)
    for parts in _grouped(describer.outlined()):
        yield describer.described(parts)


def _grouped(annotations: Iterable[Annotation]) -> list[list[Annotation]]:
    groups: dict[object, list[Annotation]] = {}
    for at, each in enumerate(annotations):
        number = carried(each).get("id")
        answers = tuple((answer.key, answer.values) for answer in each.classifications)
        key = at if number is None else (each.key, answers, number)
        groups.setdefault(key, []).append(each)
    return list(groups.values())


def carried(annotation: Annotation) -> Mapping[str, Any]:
    """Return what an annotation carries of the COCO file it comes from."""
    found = annotation.extra.get(CARRIED)
    return found if isinstance(found, Mapping) else {}


@attrs.define
class _Describer:
    """Describes the objects on one image."""

    _image: LabeledImage
    _places: Places
    _mapping: CocoMapping
    _losses: Losses
    _compressed: bool

    def outlined(self) -> Iterator[Annotation]:
        """Give the annotations that cover something, also the nested ones; count the others."""
        for each in self._image.annotations:
            if self._can_hold(each):
                yield each
            for inner in each.nested:
                if not isinstance(inner.shape, Point) and self._can_hold(inner):
                    self._lose(LossKind.NESTING, inner.key)
                    yield inner

    def _can_hold(self, annotation: Annotation) -> bool:
        if outlines(annotation):
            return True
        kinds = {Point: LossKind.POINT, Line: LossKind.LINE}
        points = [each for each in annotation.nested if isinstance(each.shape, Point)]
        for each in (annotation, *points):
            self._lose(kinds.get(type(each.shape), LossKind.INCOMPLETE), each.key)
        return False

    def described(self, parts: Sequence[Annotation]) -> Described:
        category = self._places.category_of(parts[0])
        own = carried(parts[0])
        for each in parts:
            self._count_answers(each.key, each.classifications, category)
        number = own.get("id")
        return Described(
            category,
            number if isinstance(number, int) else None,
            {**self._extent(parts), **{k: v for k, v in own.items() if k not in _OWN}},
            self._keypoints(parts, category),
        )

    def _extent(self, parts: Sequence[Annotation]) -> dict[str, Any]:
        """Return outline, box and area."""
        shapes = [each.shape for each in parts if not isinstance(each.shape, Incomplete)]
        crowd = 1 if carried(parts[0]).get("iscrowd") else 0
        return {
            "bbox": _box(shapes),
            "area": sum(each.area for each in shapes),
            **self._segmentation(parts, crowd),
        }

    def _segmentation(self, parts: Sequence[Annotation], crowd: int) -> dict[str, Any]:
        if all(isinstance(each.shape, Rectangle) for each in parts):
            return {"segmentation": [], "iscrowd": crowd}
        rings = [outlines(each) for each in parts]
        holes = sum(len(each) > 1 for each in rings)
        width, height = self._image.width, self._image.height
        if (holes or crowd) and width and height:
            mask = encode(rings, height, width, compressed=self._compressed)
            return {"segmentation": mask, "iscrowd": crowd}
        if holes:
            self._lose(LossKind.HOLES, parts[0].key)
        if crowd:
            self._lose(LossKind.CROWD, parts[0].key)
        flat = [[number for point in each[0] for number in (point.x, point.y)] for each in rings]
        return {"segmentation": flat, "iscrowd": 0}

    def _keypoints(
        self, parts: Sequence[Annotation], category: CocoCategory
    ) -> dict[str, tuple[float, float, int]]:
        names = self._places.keypoint_names(category)
        found: dict[str, tuple[float, float, int]] = {}
        for each in (inner for part in parts for inner in part.nested):
            if not isinstance(each.shape, Point):
                continue
            name = names.get(each.key, each.key)
            self._count_answers(each.key, each.classifications, None)
            if name in found:
                self._lose(LossKind.POINT, each.key)
            else:
                found[name] = (each.shape.x, each.shape.y, carried(each).get("v", 2))
        return found

    def _count_answers(
        self, key: str, answers: Iterable[Classification], category: CocoCategory | None
    ) -> None:
        said = "" if category is None else self._mapping.select_key
        for lost in places_of_answers(f"{key}.", answers, but=said):
            self._lose(LossKind.CLASSIFICATION, lost)

    def _lose(self, kind: LossKind, what: str) -> None:
        self._losses.add(kind, f"{self._image.media_name}: {what}")


def outlines(annotation: Annotation) -> list[Sequence[Point]]:
    """Return the outline of a shape, then its holes; nothing if it covers nothing."""
    shape = annotation.shape
    if isinstance(shape, Rectangle):
        left, top, right, bottom = shape.bounds
        return [[Point(left, top), Point(right, top), Point(right, bottom), Point(left, bottom)]]
    if isinstance(shape, Polygon):
        return [shape.points] if len(shape.points) > 2 else []
    if isinstance(shape, Segmentation) and shape.rings and len(shape.rings[0]) > 2:
        return [shape.rings[0], *(ring for ring in shape.rings[1:] if len(ring) > 2)]
    return []


def _box(shapes: Sequence[_Complete]) -> list[float]:
    """Return the box around shapes: left, top, width and height."""
    if len(shapes) == 1 and isinstance(shapes[0], Rectangle):
        box = shapes[0]  # as it is: width and height from edges would be rounded
        return [box.x, box.y, box.width, box.height]
    left, top, right, bottom = zip(*(each.bounds for each in shapes), strict=True)
    return [min(left), min(top), max(right) - min(left), max(bottom) - min(top)]
