"""COCO files as label values, and the label configuration that these need.

What files hold is joined by image first, and then converted.

The same objects may be in several files: those of keypoints repeat instances under their number.
They are joined.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import attrs
import orjson

from datagym_async._json import BOM, loads
from datagym_async._regular_files import regular_only
from datagym_async.formats import _sdk
from datagym_async.formats._classes import composed, entry_texts
from datagym_async.formats._losses import (
    CARRIED,
    BrokenError,
    Conversion,
    FormatError,
    Losses,
    LossKind,
)
from datagym_async.formats._mapping import LabelMapping
from datagym_async.formats._masks import decode, trace
from datagym_async.formats._raw import Category
from datagym_async.formats.coco._mapping import (
    CategoryKeys,
    EntryKeys,
    are_numbers,
    box_of,
)
from datagym_async.labels import (
    Annotation,
    Classification,
    ConfigEntry,
    LabelConfig,
    LabeledImage,
    Point,
    Polygon,
    Rectangle,
    Segmentation,
)
from datagym_async.labels._config_rules import LONGEST_TEXT, grouped
from datagym_async.models import EntryType

if TYPE_CHECKING:
    from datagym_async.labels import Shape

Source: TypeAlias = str | Path | Mapping[str, Any]
"""A COCO file, or what it holds."""


@attrs.define
class RawImage:
    """An image and all that the files say of it."""

    name: str
    width: int | None
    height: int | None
    media_id: str
    objects: dict[object, tuple[Category, dict[str, Any]]] = attrs.field(factory=dict)
    captions: list[str] = attrs.field(factory=list)


def _gather(
    sources: Iterable[Source], mapping: LabelMapping, losses: Losses
) -> tuple[list[RawImage], CategoryKeys]:
    """Read COCO files and join them by image; return the images, and the keys of categories."""
    joined: dict[tuple[str, str], RawImage] = {}
    known: dict[tuple[str, str], Category] = {}
    for source in sources:
        document, where = _loaded(source)
        images = _images(document, where, joined, losses)
        categories = _categories(document, where)
        for category in categories.values():
            if category.names not in known or not known[category.names].keypoints:
                known[category.names] = category
        # Join the annotations with the images, and with what other files say of them.
        seen: set[object] = set()
        for index, raw in enumerate(_objects(document, "annotations", where)):
            at = f"annotations[{index}]"
            image = images.get(_number(raw.get("image_id")))
            if image is None:
                losses.add(LossKind.UNKNOWN_IMAGE, at)
            elif isinstance(caption := raw.get("caption"), str):
                image.captions.append(caption)
            elif (found := categories.get(_number(raw.get("category_id")))) is None:
                losses.add(LossKind.UNKNOWN_CATEGORY, at)
            else:
                # An object has its number in all files; one that is doubled in a file has none.
                number = _number(raw.get("id"))
                own = (image.name, found.names, number)
                if number is None or own in seen:
                    number = f"{where}: {at}"
                seen.add(own)
                key = (found.names, number)
                _, fields = image.objects.get(key, (found, {}))
                image.objects[key] = (found, {**fields, **raw, "id": number})
    return [*joined.values()], CategoryKeys(known.values(), mapping, losses)


def categories_of(given: Source | Iterable[Category]) -> list[Category]:
    """Return categories, those of a file in its order; errors are as for `read`."""
    if isinstance(given, str | Path | Mapping):
        return list(_categories(*_loaded(given)).values())
    return list(given)


def _loaded(source: Source) -> tuple[Mapping[str, Any], str]:
    if isinstance(source, Mapping):
        return source, "the COCO document"
    path = Path(source)
    try:
        with open(path, "rb", opener=regular_only) as file:
            document = loads(file.read().removeprefix(BOM))
    except orjson.JSONDecodeError as error:
        raise FormatError(f"{path} is no JSON: {error}") from None
    if not isinstance(document, dict):
        raise FormatError(f"{path} is no COCO file: an object was expected at its root")
    return document, str(path)


def _objects(document: Mapping[str, Any], member: str, where: str) -> list[Mapping[str, Any]]:
    found = document.get(member, [])
    if not isinstance(found, list) or not all(isinstance(each, Mapping) for each in found):
        raise FormatError(f"{where}: the member {member} must be a list of objects")
    return found


def _images(
    document: Mapping[str, Any],
    where: str,
    joined: dict[tuple[str, str], RawImage],
    losses: Losses,
) -> dict[object, RawImage]:
    """Return the images of one file by their numbers there."""
    if "images" not in document:
        raise FormatError(f"{where} is no COCO file: it has no member images")
    by_number: dict[object, RawImage] = {}
    names = set()
    for index, raw in enumerate(_objects(document, "images", where)):
        name, number = raw.get("file_name"), _number(raw.get("id"))
        if not isinstance(name, str) or not name or number is None:
            raise FormatError(f"{where}: images[{index}] needs id and file_name")
        width, height = (n if type(n := raw.get(it)) is int else None for it in ("width", "height"))
        media_id = found if isinstance(found := raw.get("media_id"), str) else ""
        key = (name, media_id)
        if key in names:
            losses.add(LossKind.DOUBLED, name)
        names.add(key)
        by_number[number] = joined.setdefault(key, RawImage(name, width, height, media_id))
    return by_number


def _categories(document: Mapping[str, Any], where: str) -> dict[object, Category]:
    found: dict[object, Category] = {}
    for index, raw in enumerate(_objects(document, "categories", where)):
        at = f"{where}: categories[{index}]"
        name, number = raw.get("name"), raw.get("id")
        if not isinstance(name, str) or not name or type(number) is not int:
            raise FormatError(f"{at} needs id and name")
        keypoints = raw.get("keypoints") or []
        if not isinstance(keypoints, list) or not all(isinstance(each, str) for each in keypoints):
            raise FormatError(f"{at}: keypoints must be a list of names")
        skeleton = raw.get("skeleton") or []
        if not isinstance(skeleton, list) or not all(are_numbers(pair) for pair in skeleton):
            raise FormatError(f"{at}: skeleton must be a list of pairs of numbers")
        pairs: Any = tuple(map(tuple, skeleton))
        group = str(raw.get("supercategory") or "")
        found[number] = Category(number, name, group, keypoints, pairs)
    return found


def _number(value: object) -> int | str | None:
    return value if isinstance(value, int | str) else None


# --- From COCO to label values --------------------------------------------------------------------

_TAKEN_OVER: Final = frozenset(
    {"image_id", "category_id", "bbox", "segmentation", "area", "keypoints", "num_keypoints"}
)


def read(*sources: Source, mapping: LabelMapping | None = None) -> Conversion:
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
    losses, mapping = Losses(), mapping or LabelMapping()
    images, table = _gather(sources, mapping, losses)
    reader = _Reader(mapping, table, losses)
    return Conversion([*map(reader.image, images)], losses.report())


@attrs.define
class _Reader:
    """Makes values of what files hold."""

    _mapping: LabelMapping
    _table: CategoryKeys
    _losses: Losses

    def image(self, raw: RawImage) -> LabeledImage:
        found: list[Annotation] = []
        for category, fields in raw.objects.values():
            where = f"{raw.name}: annotation {fields.get('id', '')}".rstrip()
            try:
                found.extend(self._annotations(fields, self._table.of(category), where))
            except BrokenError as error:
                self._losses.add(LossKind.BROKEN, f"{where}: {error}")
        # As the official SDK does it, the last caption remains.
        captions = raw.captions[-1:] if self._mapping.sdk else raw.captions
        if long := sum(len(each) > LONGEST_TEXT for each in captions):
            self._losses.add(LossKind.LONG_TEXT, raw.name, count=long)
        if len(captions) < len(raw.captions):
            self._losses.add(LossKind.CAPTION, raw.name, count=len(raw.captions) - 1)
        return LabeledImage(
            media_id=raw.media_id,
            media_name=raw.name,
            annotations=found,
            classifications=[
                Classification.freetext(self._mapping.caption_key(number), caption)
                for number, caption in enumerate(captions, 1)
            ],
            width=raw.width,
            height=raw.height,
        )

    def _annotations(self, raw: Mapping[str, Any], keys: EntryKeys, where: str) -> list[Annotation]:
        """Return the annotations that an object becomes: one for each of its parts."""
        shapes = self._shapes(raw, where)
        points = [] if self._mapping.sdk else self._keypoints(raw, keys, where)
        carried = {name: value for name, value in raw.items() if name not in _TAKEN_OVER}
        answers = []
        if keys.option is not None:  # what says the category besides the key
            answers.append(Classification.select(self._mapping.select_key, keys.option))
        whole = [Annotation(keys.key, shape, answers, extra={CARRIED: carried}) for shape in shapes]
        if not points:
            return whole
        if not whole or isinstance(whole[0].shape, Segmentation):
            self._losses.add(LossKind.KEYPOINTS, where, count=len(points))
            return [*whole, *points]
        return [attrs.evolve(whole[0], nested=points), *whole[1:]]

    def _shapes(self, raw: Mapping[str, Any], where: str) -> list[Shape]:
        if self._mapping.sdk:
            return _sdk.shapes(raw, self._mapping.shape, self._losses, where)
        if raw.get("iscrowd"):
            self._losses.add(LossKind.CROWD, where)
        if self._mapping.shape == "rectangle":
            if raw.get("segmentation"):
                self._losses.add(LossKind.OUTLINE, where)
            if "bbox" in raw:
                return [box_of(raw["bbox"])]
            corners = [point for ring in self._outlines(raw, where) for point in ring[0]]
            bounds = Polygon(corners).bounds
            return [Rectangle(bounds.left, bounds.top, bounds.width, bounds.height)]
        rings = self._outlines(raw, where)
        if len(rings) > 1:
            self._losses.add(LossKind.PARTS, where)
        if self._mapping.shape == "segmentation":
            return [Segmentation(each) for each in rings]
        if holed := sum(len(each) > 1 for each in rings):
            self._losses.add(LossKind.HOLES, where, count=holed)
        return [Polygon(outline) for outline, *_ in rings]

    def _outlines(self, raw: Mapping[str, Any], where: str) -> list[list[list[Point]]]:
        """Return for each part of an object its outline and the holes in it.

        Raises:
            BrokenError: It has none that can be read, nor a box.
        """
        segmentation = raw.get("segmentation")
        if isinstance(segmentation, Mapping):
            rings = [
                [[Point(*pair) for pair in ring] for ring in (segment.outline, *segment.holes)]
                for segment in trace(decode(segmentation))
            ]
        else:
            if not isinstance(segmentation, list | None):
                raise BrokenError("segmentation must be a list of polygons, or a mask")
            rings = []
            for part in segmentation or []:
                if are_numbers(part) and len(part) >= 6 and len(part) % 2 == 0:
                    rings.append([[*map(Point, part[::2], part[1::2])]])
                else:
                    self._losses.add(LossKind.BROKEN, f"{where}: a polygon of fewer than 3 points")
        if rings:
            return rings
        box = box_of(raw.get("bbox"))
        self._losses.add(LossKind.BOX, where)
        return [[[*box.bounds.corners]]]

    def _keypoints(self, raw: Mapping[str, Any], keys: EntryKeys, where: str) -> list[Annotation]:
        """Return the keypoints that are labelled."""
        numbers = raw.get("keypoints") or []
        if not are_numbers(numbers) or len(numbers) not in (0, 3 * len(keys.keypoints)):
            raise BrokenError(f"keypoints must be {3 * len(keys.keypoints)} numbers")
        triples = zip(numbers[::3], numbers[1::3], numbers[2::3], strict=True)
        found = []
        for key, (x, y, visibility) in zip(keys.keypoints, triples, strict=False):
            if visibility == 1:
                self._losses.add(LossKind.VISIBILITY, f"{where}: {key}")
            if visibility:
                found.append(Annotation(key, Point(x, y), extra={CARRIED: {"v": visibility}}))
        return found


# --- The label configuration that the labels of files need ----------------------------------------

_TYPES: Final = {
    "rectangle": EntryType.RECTANGLE,
    "polygon": EntryType.POLYGON,
    "segmentation": EntryType.IMAGE_SEGMENTATION,
}


def label_config(*sources: Source, mapping: LabelMapping | None = None) -> LabelConfig:
    """Return a label configuration that takes all labels of COCO files.

    It has an entry for each supercategory or category (`LabelMapping.by`) with a select of what is
    below, points for keypoints, and a free text for each caption that an image has at most.

    Args:
        sources, mapping: As for `read`.

    Raises:
        FormatError: One of them is no COCO file.
        OSError: One cannot be read.
    """
    mapping = mapping or LabelMapping()
    images, table = _gather(sources, mapping, Losses())
    # An entry for each key, with options and points of all categories that share it.
    shared = grouped((keys.key, (category, keys)) for category, keys in table.items())
    entries = [_entry(key, members, mapping) for key, members in shared.items()]
    # Nothing can be nested in a segmentation: its keypoints are entries of their own.
    if mapping.shape == "segmentation" and not mapping.sdk:
        points = dict(
            pair
            for category, keys in table.items()
            for pair in zip(keys.keypoints, category.keypoints, strict=True)
            if pair[0] not in shared
        )
        entries += _points(points)
    # As many free texts as an image has captions at most.
    most = max((len(each.captions) for each in images), default=0)
    for number in range(1, (min(most, 1) if mapping.sdk else most) + 1):
        key, longest = mapping.caption_key(number), LONGEST_TEXT
        entries.append(ConfigEntry(key, _value(key), EntryType.FREETEXT, max_length=longest))
    return LabelConfig(entries)


def _entry(
    key: str, members: Iterable[tuple[Category, EntryKeys]], mapping: LabelMapping
) -> ConfigEntry:
    options: dict[str, str] = {}
    points: dict[str, str] = {}
    name = key
    for category, keys in members:
        name, asked = category.names
        if keys.option is not None:
            if mapping.by == "supercategory":
                name, asked = asked, name
            options[keys.option] = asked
        if not mapping.sdk and mapping.shape != "segmentation":
            points |= dict(zip(keys.keypoints, category.keypoints, strict=True))
    children = _points(points)
    if options:
        select = mapping.select_key
        children.insert(0, ConfigEntry(select, _value(select), EntryType.SELECT, options=options))
    return ConfigEntry(key, _value(name), _TYPES[mapping.shape], children=children)


def _points(points: dict[str, str]) -> list[ConfigEntry]:
    return [ConfigEntry(key, _value(name), EntryType.POINT) for key, name in points.items()]


def _value(name: str) -> str:
    """Return what people read, in letters that the service takes."""
    return entry_texts([name])[composed(name)]
