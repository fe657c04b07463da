"""COCO files as they lie: read, joined by image, and checked as far as all files must be right.

The same objects may be in several files: those of keypoints repeat instances under their number.
They are joined.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import attrs
import orjson

from datagym_async._json import loads
from datagym_async._regular_files import regular_only
from datagym_async.formats._errors import FormatError
from datagym_async.formats._losses import Losses, LossKind
from datagym_async.formats.coco._mapping import CocoCategory

Source: TypeAlias = str | Path | Mapping[str, Any]
"""A COCO file, or what it holds."""


@attrs.define
class RawImage:
    """An image and all that the files say of it."""

    name: str
    width: int | None
    height: int | None
    media_id: str
    objects: dict[object, tuple[CocoCategory, dict[str, Any]]] = attrs.field(factory=dict)
    captions: list[str] = attrs.field(factory=list)


@attrs.define
class Gathered:
    """What several files hold together."""

    images: dict[tuple[str, str], RawImage] = attrs.field(factory=dict)
    categories: dict[tuple[str, str], CocoCategory] = attrs.field(factory=dict)


def gather(sources: Iterable[Source], losses: Losses) -> Gathered:
    """Read COCO files and join them by image.

    Raises:
        FormatError: One of them is no COCO file.
        OSError: One cannot be read.
    """
    gathered = Gathered()
    for source in sources:
        document, said = _loaded(source)
        images = _images(document, said, gathered, losses)
        categories = _categories(document, said)
        for category in categories.values():
            known = gathered.categories.get(category.names)
            if known is None or not known.keypoints:
                gathered.categories[category.names] = category
        placed = _Placing(said, images, categories, losses)
        for index, raw in enumerate(_objects(document, "annotations", said)):
            placed.place(raw, f"annotations[{index}]")
    return gathered


def categories_of(source: Source) -> list[CocoCategory]:
    """Return the categories of a file, in its order.

    Raises:
        FormatError: It is no COCO file.
        OSError: It cannot be read.
    """
    return list(_categories(*_loaded(source)).values())


def _loaded(source: Source) -> tuple[Mapping[str, Any], str]:
    if isinstance(source, Mapping):
        return source, "the COCO document"
    path = Path(source)
    try:
        with open(path, "rb", opener=regular_only) as file:
            document = loads(file.read())
    except orjson.JSONDecodeError as error:
        raise FormatError(f"{path} is no JSON: {error}") from None
    if not isinstance(document, dict):
        raise FormatError(f"{path} is no COCO file: an object was expected at its root")
    return document, str(path)


def _objects(document: Mapping[str, Any], member: str, said: str) -> list[Mapping[str, Any]]:
    found = document.get(member, [])
    if not isinstance(found, list) or not all(isinstance(each, Mapping) for each in found):
        raise FormatError(f"{said}: the member {member} must be a list of objects")
    return found


def _images(
    document: Mapping[str, Any], said: str, gathered: Gathered, losses: Losses
) -> dict[object, RawImage]:
    """Return the images of one file by their numbers there."""
    if "images" not in document:
        raise FormatError(f"{said} is no COCO file: it has no member images")
    by_number: dict[object, RawImage] = {}
    names = set()
    for index, raw in enumerate(_objects(document, "images", said)):
        image = _image(raw, f"{said}: images[{index}]")
        key = (image.name, image.media_id)
        if key in names:
            losses.add(LossKind.DOUBLED, image.name)
        names.add(key)
        by_number[raw["id"]] = gathered.images.setdefault(key, image)
    return by_number


def _image(raw: Mapping[str, Any], said: str) -> RawImage:
    name, number = raw.get("file_name"), _number(raw.get("id"))
    if not isinstance(name, str) or not name or number is None:
        raise FormatError(f"{said} needs id and file_name")
    width, height = (n if type(n := raw.get(side)) is int else None for side in ("width", "height"))
    media_id = raw.get("media_id")
    return RawImage(name, width, height, media_id if isinstance(media_id, str) else "")


def _categories(document: Mapping[str, Any], said: str) -> dict[object, CocoCategory]:
    return {
        raw.get("id"): _category(raw, f"{said}: categories[{index}]")
        for index, raw in enumerate(_objects(document, "categories", said))
    }


def _category(raw: Mapping[str, Any], said: str) -> CocoCategory:
    name, number = raw.get("name"), raw.get("id")
    if not isinstance(name, str) or not name or type(number) is not int:
        raise FormatError(f"{said} needs id and name")
    keypoints = raw.get("keypoints") or []
    if not isinstance(keypoints, list) or not all(isinstance(each, str) for each in keypoints):
        raise FormatError(f"{said}: keypoints must be a list of names")
    skeleton = tuple(tuple(pair) for pair in raw.get("skeleton") or [])
    return CocoCategory(number, name, str(raw.get("supercategory") or ""), keypoints, skeleton)


@attrs.define
class _Placing:
    """Puts the annotations of one file where they belong."""

    _file: str
    _images: Mapping[object, RawImage]
    _categories: Mapping[object, CocoCategory]
    _losses: Losses
    _seen: set[object] = attrs.field(factory=set, init=False)

    def place(self, raw: Mapping[str, Any], said: str) -> None:
        image = self._images.get(_number(raw.get("image_id")))
        if image is None:
            self._losses.add(LossKind.UNKNOWN_IMAGE, said)
        elif isinstance(caption := raw.get("caption"), str):
            image.captions.append(caption)
        elif (category := self._categories.get(_number(raw.get("category_id")))) is None:
            self._losses.add(LossKind.UNKNOWN_CATEGORY, said)
        else:
            own = self._own_number(raw, category, image)
            number = f"{self._file}: {said}" if own is None else own
            key = (category.names, number)
            known = image.objects.get(key)
            joined = {**(known[1] if known else {}), **raw, "id": number}
            image.objects[key] = (category, joined)

    def _own_number(
        self, raw: Mapping[str, Any], category: CocoCategory, image: RawImage
    ) -> int | str | None:
        """Return the number that an object has in all files; one doubled in a file is none."""
        number = _number(raw.get("id"))
        key = (image.name, category.names, number)
        if number is None or key in self._seen:
            return None
        self._seen.add(key)
        return number


def _number(value: object) -> int | str | None:
    return value if isinstance(value, int | str) else None
