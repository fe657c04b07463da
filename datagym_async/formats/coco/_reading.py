"""COCO files as label values, and the label configuration that these need.

What files hold is joined by image first, and then converted.

The same objects may be in several files: those of keypoints repeat instances under their number.
They are joined.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import attrs
import orjson

from datagym_async._json import BOM, loads
from datagym_async._regular_files import regular_only
from datagym_async.formats._losses import Conversion, FormatError, Losses, LossKind
from datagym_async.formats._mapping import LabelMapping, config_of, images_of
from datagym_async.formats._raw import Category, RawDataset, RawImage, RawObject
from datagym_async.formats.coco._mapping import are_numbers

if TYPE_CHECKING:
    from datagym_async.labels import LabelConfig

Source: TypeAlias = str | Path | Mapping[str, Any]
"""A COCO file, or what it holds."""


@attrs.define
class _Joined:
    """An image and all that the files say of it."""

    name: str
    width: int | None
    height: int | None
    media_id: str
    objects: dict[object, tuple[Category, dict[str, Any]]] = attrs.field(factory=dict)
    captions: list[str] = attrs.field(factory=list)


def _gather(sources: Iterable[Source], losses: Losses) -> RawDataset:
    """Read COCO files and join them by image."""
    joined: dict[tuple[str, str], _Joined] = {}
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

    def read_images(losses: Losses) -> Iterator[RawImage]:
        for each in joined.values():
            where = [f"annotation {fields['id']}" for _, fields in each.objects.values()]
            objects = [
                _object(known[category.names], fields, at, each.name, losses)
                for (category, fields), at in zip(each.objects.values(), where, strict=True)
            ]
            yield RawImage(
                name=each.name,
                width=each.width,
                height=each.height,
                media_id=each.media_id,
                objects=objects,
                captions=each.captions,
            )

    return RawDataset(where="COCO", categories=tuple(known.values()), images=read_images)


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
    joined: dict[tuple[str, str], _Joined],
    losses: Losses,
) -> dict[object, _Joined]:
    """Return the images of one file by their numbers there."""
    if "images" not in document:
        raise FormatError(f"{where} is no COCO file: it has no member images")
    by_number: dict[object, _Joined] = {}
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
        by_number[number] = joined.setdefault(key, _Joined(name, width, height, media_id))
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
    {
        *("id", "image_id", "category_id", "bbox", "segmentation", "area", "iscrowd"),
        *("keypoints", "num_keypoints"),
    }
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
    dataset = _gather(sources, losses)
    images = [*images_of(dataset, mapping, losses)]
    return Conversion(images, losses.report())


def _object(
    category: Category, raw: Mapping[str, Any], where: str, image: str, losses: Losses
) -> RawObject:
    """Return an object with all of its parts that can be read; the others are counted."""
    found = RawObject(
        category=category,
        where=where,
        number=_number(raw.get("id")),
        crowd=bool(raw.get("iscrowd")),
        extra={name: value for name, value in raw.items() if name not in _TAKEN_OVER},
    )
    broken = []
    bbox, segmentation = raw.get("bbox"), raw.get("segmentation")
    if are_numbers(bbox) and len(bbox) == 4:
        found.box = (bbox[0], bbox[1], bbox[2], bbox[3])
    elif bbox is not None:
        broken.append("bbox must be four numbers")
    if isinstance(segmentation, Mapping):
        found.mask = segmentation
    elif not isinstance(segmentation, list | None):
        broken.append("segmentation must be a list of polygons, or a mask")
    else:
        parts = []
        for part in segmentation or []:
            if are_numbers(part) and len(part) >= 6 and len(part) % 2 == 0:
                parts.append([list(zip(part[::2], part[1::2], strict=True))])
            else:
                broken.append("a polygon must be pairs of x and y of three points at least")
        found.parts = parts
    numbers = raw.get("keypoints") or []
    if are_numbers(numbers) and len(numbers) in (0, 3 * len(category.keypoints)):
        triples = zip(numbers[::3], numbers[1::3], numbers[2::3], strict=True)
        found.keypoints = [(x, y, int(v)) if v else None for x, y, v in triples]
    else:
        broken.append(f"keypoints must be {3 * len(category.keypoints)} numbers")
    has_some = found.box or found.parts or found.mask is not None or any(found.keypoints)
    for each in broken if has_some else ():  # else the whole object is lost, once
        losses.add(LossKind.PART, f"{image}: {where}: {each}")
    return found


# --- The label configuration that the labels of files need ----------------------------------------


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
    return config_of(_gather(sources, Losses()), mapping or LabelMapping())
