"""From COCO to label values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import attrs

from datagym_async.formats._conversion import CARRIED, Conversion
from datagym_async.formats._errors import BrokenError
from datagym_async.formats._losses import Losses, LossKind
from datagym_async.formats.coco import _sdk
from datagym_async.formats.coco._document import RawImage, Source, gather
from datagym_async.formats.coco._mapping import CocoMapping, Place, Places
from datagym_async.formats.coco._masks import segments_of
from datagym_async.labels import (
    Annotation,
    Classification,
    LabeledImage,
    Point,
    Polygon,
    Rectangle,
    Segmentation,
)

if TYPE_CHECKING:
    from datagym_async.labels import Shape

_LONGEST_TEXT: Final = 255
_TAKEN_OVER: Final = frozenset(
    {"image_id", "category_id", "bbox", "segmentation", "area", "keypoints", "num_keypoints"}
)


def read(*sources: Source, mapping: CocoMapping | None = None) -> Conversion:
    """Return the labels of COCO files: instances, captions and keypoints, in any order.

    Boxes and polygons need nothing besides this package; masks need the extra ``formats``. It
    blocks: call it with `asyncio.to_thread` where an event loop runs.

    Args:
        sources: Paths of files, or what they hold. Objects and images that are in several of them
            are joined, by number and by name.
        mapping: What becomes what.

    Returns:
        All images, also those without labels, without ids of media (`formats.match` finds these),
        and what was lost.

    Raises:
        FormatError: One of them is no COCO file, or there are masks and the extra ``formats`` is
            not installed.
        OSError: One cannot be read.
    """
    losses = Losses()
    mapping = mapping or CocoMapping()
    gathered = gather(sources, losses)
    reader = _Reader(mapping, Places(gathered.categories.values(), mapping, losses), losses)
    return Conversion([reader.image(raw) for raw in gathered.images.values()], losses.report())


@attrs.define
class _Reader:
    """Makes values of what files hold."""

    _mapping: CocoMapping
    _places: Places
    _losses: Losses

    def image(self, raw: RawImage) -> LabeledImage:
        found: list[Annotation] = []
        for category, fields in raw.objects.values():
            said = f"{raw.name}: annotation {fields.get('id', '')}".rstrip()
            try:
                found.extend(self._annotations(fields, self._places.of(category), said))
            except BrokenError as error:
                self._losses.add(LossKind.BROKEN, f"{said}: {error}")
        return LabeledImage(
            media_id=raw.media_id,
            media_name=raw.name,
            annotations=found,
            classifications=self._captions(raw),
            width=raw.width,
            height=raw.height,
        )

    def _captions(self, raw: RawImage) -> list[Classification]:
        captions = raw.captions[-1:] if self._mapping.sdk else raw.captions
        for caption in captions:
            if len(caption) > _LONGEST_TEXT:
                self._losses.add(LossKind.LONG_TEXT, raw.name)
        if self._mapping.sdk and len(raw.captions) > 1:
            self._losses.add(LossKind.CAPTION, raw.name, count=len(raw.captions) - 1)
        return [
            Classification.freetext(self._mapping.caption_key(number), caption)
            for number, caption in enumerate(captions, 1)
        ]

    def _annotations(self, raw: Mapping[str, Any], place: Place, said: str) -> list[Annotation]:
        """Return the annotations that an object becomes: one for each of its parts."""
        shapes = self._shapes(raw, said)
        points = [] if self._mapping.sdk else self._keypoints(raw, place, said)
        carried = {name: value for name, value in raw.items() if name not in _TAKEN_OVER}
        whole = [
            Annotation(place.key, shape, self._places.answers(place), extra={CARRIED: carried})
            for shape in shapes
        ]
        if not points:
            return whole
        if not whole or isinstance(whole[0].shape, Segmentation):
            self._losses.add(LossKind.KEYPOINTS, said, count=len(points))
            return [*whole, *points]
        return [attrs.evolve(whole[0], nested=points), *whole[1:]]

    def _shapes(self, raw: Mapping[str, Any], said: str) -> list[Shape]:
        if self._mapping.sdk:
            return _sdk.shapes(raw, self._mapping.shape, self._losses, said)
        if raw.get("iscrowd"):
            self._losses.add(LossKind.CROWD, said)
        if self._mapping.shape == "rectangle":
            return [self._box(raw, said)]
        rings = self._outlines(raw, said)
        if len(rings) > 1:
            self._losses.add(LossKind.PARTS, said)
        if self._mapping.shape == "segmentation":
            return [Segmentation(each) for each in rings]
        holed = sum(len(each) > 1 for each in rings)
        if holed:
            self._losses.add(LossKind.HOLES, said, count=holed)
        return [Polygon(outline) for outline, *_ in rings]

    def _box(self, raw: Mapping[str, Any], said: str) -> Rectangle:
        if raw.get("segmentation"):
            self._losses.add(LossKind.OUTLINE, said)
        if "bbox" in raw:
            return _rectangle(raw["bbox"])
        corners = [point for ring in self._outlines(raw, said) for point in ring[0]]
        bounds = Polygon(corners).bounds
        return Rectangle(bounds.left, bounds.top, bounds.width, bounds.height)

    def _outlines(self, raw: Mapping[str, Any], said: str) -> list[list[list[Point]]]:
        """Return for each part of an object its outline and the holes in it.

        Raises:
            BrokenError: It has none that can be read, nor a box.
        """
        segmentation = raw.get("segmentation")
        if isinstance(segmentation, Mapping):
            rings = _rings(segmentation)
        else:
            rings = [[ring] for ring in self._polygons(segmentation, said)]
        if rings:
            return rings
        box = _rectangle(raw.get("bbox"))
        self._losses.add(LossKind.BOX, said)
        return [[_corners(box)]]

    def _polygons(self, parts: object, said: str) -> list[list[Point]]:
        if not isinstance(parts, list | None):
            raise BrokenError("segmentation must be a list of polygons, or a mask")
        found = []
        for part in parts or []:
            if _numbers(part) and len(part) >= 6 and len(part) % 2 == 0:
                found.append([Point(*pair) for pair in zip(part[::2], part[1::2], strict=True)])
            else:
                self._losses.add(LossKind.BROKEN, f"{said}: a polygon of fewer than 3 points")
        return found

    def _keypoints(self, raw: Mapping[str, Any], place: Place, said: str) -> list[Annotation]:
        """Return the keypoints that are labelled."""
        numbers = raw.get("keypoints") or []
        if not _numbers(numbers) or len(numbers) not in (0, 3 * len(place.keypoints)):
            raise BrokenError(f"keypoints must be {3 * len(place.keypoints)} numbers")
        triples = zip(numbers[::3], numbers[1::3], numbers[2::3], strict=True)
        found = []
        for key, (x, y, visibility) in zip(place.keypoints, triples, strict=False):
            if visibility == 1:
                self._losses.add(LossKind.VISIBILITY, f"{said}: {key}")
            if visibility:
                found.append(Annotation(key, Point(x, y), extra={CARRIED: {"v": visibility}}))
        return found


def _rings(mask: Mapping[str, Any]) -> list[list[list[Point]]]:
    return [
        [[Point(*pair) for pair in ring] for ring in (segment.outline, *segment.holes)]
        for segment in segments_of(mask)
    ]


def _rectangle(bbox: object) -> Rectangle:
    if not isinstance(bbox, list) or not _numbers(bbox) or len(bbox) != 4:
        raise BrokenError("it has neither a box of four numbers nor an outline")
    return Rectangle(*bbox)


def _corners(box: Rectangle) -> list[Point]:
    left, top, right, bottom = box.bounds
    return [Point(left, top), Point(right, top), Point(right, bottom), Point(left, bottom)]


def _numbers(values: Sequence[Any] | object) -> bool:
    return isinstance(values, list) and all(
        isinstance(each, int | float) and not isinstance(each, bool) for each in values
    )
