"""Convert the results of all readers to label values.

The entry of a class decides the shape of its objects (`_mapping`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import attrs

from datagym_async.formats._classes import Names, group_of
from datagym_async.formats._losses import CARRIED, BrokenError, Losses, LossKind
from datagym_async.formats._mapping import (
    LabelMapping,
    NoPlace,
    Place,
    Places,
    family_of,
    keypoint_names,
    places_of,
    said,
)
from datagym_async.formats._masks import decode, sdk_shapes, trace
from datagym_async.formats._raw import Pair, RawDataset, RawImage, RawObject, Ring
from datagym_async.labels import (
    Annotation,
    Classification,
    LabelConfig,
    LabeledImage,
    Line,
    Point,
    Polygon,
    Rectangle,
    Segmentation,
)
from datagym_async.labels import Shape as AnyShape
from datagym_async.labels._config import LONGEST_TEXT
from datagym_async.labels._geometry import InShares
from datagym_async.models import EntryType


def images_of(
    dataset: RawDataset,
    mapping: LabelMapping,
    losses: Losses,
    config: LabelConfig | None = None,
    *,
    emptied: bool = False,
) -> Iterator[LabeledImage]:
    """Yield the labels of a file as label values, one image after the other.

    An existing label configuration decides the shapes: an entry of the type polygon gets outlines,
    a rectangle boxes. Classes without an entry are left out and counted by name. Without one it is
    that of `config_of`. Images whose labels are all lost, which look like images without labels,
    are given only if they are wanted (`emptied`). Errors are those of `formats.read`.
    """
    texts: dict[str, int] | None = None
    mapping = mapping.settled(dataset)
    if config is not None:
        frees = (each for each in config.entries if each.type is EntryType.FREETEXT)
        texts = {each.key: each.max_length or LONGEST_TEXT for each in frees}
    places = places_of(dataset.categories, mapping, config, losses)
    mapper = _Mapper(mapping, losses, places, texts)
    for image in dataset.images(losses):
        made = mapper.image(image)
        if made.annotations or made.classifications or emptied or not image.is_labelled:
            yield made


@attrs.define
class _Mapper:
    _mapping: LabelMapping
    _losses: Losses
    _places: Places
    _texts: Mapping[str, int] | None
    """Longest answer of each free text by its key; None if every key exists."""
    _told: set[Names] = attrs.field(factory=set, init=False)

    def image(self, raw: RawImage) -> LabeledImage:
        annotations = [made for found in raw.objects for made in self._annotations(found, raw)]
        # As the official SDK does it, the last caption remains.
        captions = raw.captions[-1:] if self._mapping.sdk else raw.captions
        answers = []
        for number, caption in enumerate(captions, 1):
            key = self._mapping.caption_key(number)
            if self._texts is not None and key not in self._texts:
                self._losses.add(LossKind.CAPTION, f"{raw.name}: {key}")
                continue
            if len(caption) > (self._texts or {}).get(key, LONGEST_TEXT):
                self._losses.add(LossKind.LONG_TEXT, raw.name)
                if self._texts is not None:  # else the service refuses all labels of the image
                    continue
            answers.append(Classification.freetext(key, caption))
        if left_out := len(raw.captions) - len(captions):
            self._losses.add(LossKind.CAPTION, raw.name, count=left_out)
        return (InShares if raw.in_shares else LabeledImage)(
            media_id=raw.media_id,
            media_name=raw.name,
            annotations=annotations,
            classifications=answers,
            width=raw.width,
            height=raw.height,
        )

    def _annotations(self, found: RawObject, raw: RawImage) -> list[Annotation]:
        """Return the annotations for an object: one for each of its parts."""
        names, where = found.category.names, f"{raw.name}: {found.where}"
        place = self._places[names, family_of(found)]
        if isinstance(place, NoPlace):
            self._losses.add(place.kind, place.why)
            return []
        try:
            if self._mapping.sdk:
                shapes = sdk_shapes(found, self._mapping.shape or "rectangle", self._losses, where)
            else:
                shapes = self._shapes(found, raw, place, where)
        except BrokenError as error:
            self._losses.add(LossKind.BROKEN, f"{where}: {error}")
            return []
        self._tell(found, names, place, where)
        carried = dict(found.extra)
        if found.number is not None or len(shapes) > 1:  # it joins the parts to one object again
            carried["id"] = where if found.number is None else found.number
        carried |= {"iscrowd": 1} if found.crowd else {}
        carried |= {} if found.score is None else {"score": found.score}
        answers = []
        if place.option is not None:
            answers.append(Classification.select(place.select, place.option))
        extra = {CARRIED: carried} if carried else {}
        whole = [Annotation(place.key, shape, answers, extra=extra) for shape in shapes]
        points = self._keypoints(found, place, where)
        if not points:
            return whole
        if isinstance(whole[0].shape, Segmentation):
            self._losses.add(LossKind.KEYPOINTS, where, count=len(points))
            return [*whole, *points]
        return [attrs.evolve(whole[0], nested=points), *whole[1:]]

    def _tell(self, found: RawObject, names: Names, place: Place, where: str) -> None:
        """Count the losses of an object, and once those of its class."""
        if found.extra:
            self._losses.add(LossKind.EXTRA, where)
        if found.score is not None:
            self._losses.add(LossKind.SCORE, where)
        if names not in self._told and not self._mapping.sdk:
            self._told.add(names)
            if group_of(names) and not place.select:
                self._losses.add(LossKind.GROUP, said(names))
            if found.category.keypoints:
                self._losses.add(LossKind.SKELETON, said(names))

    def _shapes(self, found: RawObject, raw: RawImage, place: Place, where: str) -> list[AnyShape]:
        if found.line:
            return [Line(found.line)]
        if found.point is not None:
            return [Point(*found.point)]
        if found.crowd:
            self._losses.add(LossKind.CROWD, where)
        wants_box = place.type is EntryType.RECTANGLE
        if wants_box and found.box is not None:
            if found.parts or found.mask is not None:
                self._losses.add(LossKind.OUTLINE, where)
            return [Rectangle(*found.box)]
        parts = self._parts(found, raw, where)
        if wants_box and parts:
            self._losses.add(LossKind.OUTLINE, where)
            return [_around([point for outline, *_ in parts for point in outline])]
        if not parts:
            box = Rectangle(*found.box) if found.box is not None else None
            self._losses.add(LossKind.BOX if box else LossKind.AROUND, where)
            if box is None:
                box = _around([(x, y) for x, y, seen in filter(None, found.keypoints) if seen])
            if wants_box:
                return [box]
            parts = [[[*map(attrs.astuple, box.bounds.corners)]]]
        if len(parts) > 1:
            self._losses.add(LossKind.PARTS, where)
        if place.type is EntryType.IMAGE_SEGMENTATION:
            return [Segmentation(rings) for rings in parts]
        if holed := sum(len(rings) > 1 for rings in parts):
            self._losses.add(LossKind.HOLES, where, count=holed)
        return [Polygon(outline) for outline, *_ in parts]

    def _parts(self, found: RawObject, raw: RawImage, where: str) -> Sequence[Sequence[Ring]]:
        """Return for each part its outline and the holes in it; none if there is only a box."""
        has_more = found.box is not None or any(each and each[2] for each in found.keypoints)
        parts: Sequence[Sequence[Ring]] = [[*map(_opened, rings)] for rings in found.parts]
        if found.mask is not None:
            try:
                mask = decode(found.mask, raw.width, raw.height)
                parts = [(each.outline, *each.holes) for each in trace(mask)]
            except BrokenError as error:
                if not has_more:
                    raise
                self._losses.add(LossKind.PART, f"{where}: {error}")
        if not parts and not has_more:
            raise BrokenError("it has no box, no outline and no keypoint")
        return parts

    def _keypoints(self, found: RawObject, place: Place, where: str) -> list[Annotation]:
        points: list[Annotation] = []
        if not found.keypoints or self._mapping.sdk:
            return points
        for name, each in zip(keypoint_names(found.category), found.keypoints, strict=False):
            if each is None or not each[2]:
                continue
            if (key := place.points.get(name)) is None:
                self._losses.add(LossKind.NO_POINT, f"{where}: {name}")
                continue
            x, y, seen = each
            if seen == 1:
                self._losses.add(LossKind.VISIBILITY, f"{where}: {key}")
            points.append(Annotation(key, Point(x, y), extra={CARRIED: {"v": seen}}))
        return points


def _opened(ring: Ring) -> Ring:
    """Return an outline without its first corner at the end, where many tools repeat it."""
    return ring[:-1] if len(ring) > 3 and ring[0] == ring[-1] else ring


def _around(points: Sequence[Pair]) -> Rectangle:
    bounds = Polygon(points).bounds
    return Rectangle.from_corners(*bounds)
