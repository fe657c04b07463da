"""From label values to COCO."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import orjson

from datagym_async.formats._classes import places_of_answers
from datagym_async.formats._errors import FormatError
from datagym_async.formats._files import write_file
from datagym_async.formats._losses import Losses, LossKind, LossReport
from datagym_async.formats.coco._document import Source, categories_of
from datagym_async.formats.coco._mapping import CocoCategory, CocoMapping, Places
from datagym_async.formats.coco._objects import Described, describe
from datagym_async.labels import LabeledTask

if TYPE_CHECKING:
    from datagym_async.labels import LabeledImage


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
    mapping: CocoMapping | None = None,
    categories: Source | Iterable[CocoCategory] = (),
    compressed: bool = True,
) -> CocoDocument:
    """Return label values as COCO.

    Boxes become boxes, polygons and segments without holes become polygons, segments with holes
    and crowds become masks (extra ``formats``), which need the image's width and height. Nested
    points become keypoints, free texts named after `CocoMapping.caption` captions.

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
    losses = Losses()
    mapping = mapping or CocoMapping()
    known = (
        categories_of(categories)
        if isinstance(categories, str | Path | Mapping)
        else list(categories)
    )
    writer = _Writer(mapping, Places(known, mapping, losses), losses, compressed)
    for image in images:
        writer.add(image)
    return writer.document(known)


def write(
    images: Iterable[LabeledImage],
    path: str | Path,
    *,
    captions: str | Path | None = None,
    mapping: CocoMapping | None = None,
    categories: Source | Iterable[CocoCategory] = (),
    compressed: bool = True,
) -> LossReport:
    """Write label values as a COCO file, and return what it cannot hold.

    A file that is there already stays whole until the new one is complete. It blocks: call it with
    `asyncio.to_thread` where an event loop runs.

    Args:
        images: Images, or tasks of an export.
        path: The file of instances and keypoints.
        captions: The file of captions; None to leave them out.
        mapping: As for `to_document`.
        categories: As for `to_document`.
        compressed: As for `to_document`.

    Raises:
        FormatError: The file of categories is no COCO file, or there are masks and the extra
            ``formats`` is not installed.
        FileWriteError: It cannot be written.
    """
    document = to_document(images, mapping=mapping, categories=categories, compressed=compressed)
    losses = document.losses
    _save(document.instances, Path(path))
    if captions is not None:
        _save(document.captions, Path(captions))
    elif left_out := document.captions["annotations"]:
        dropped = Losses()
        dropped.add(LossKind.CAPTION, count=len(left_out))
        losses = losses + dropped.report()
    return losses


def _save(document: Mapping[str, Any], path: Path) -> None:
    try:
        text = orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY)
    except orjson.JSONEncodeError as error:  # halves of characters, numbers above 64 bits
        raise FormatError(f"{path} cannot be written, since JSON cannot hold it: {error}") from None
    write_file(path, text)


@attrs.define
class _Writer:
    """Collects images and what is on them."""

    _mapping: CocoMapping
    _places: Places
    _losses: Losses
    _compressed: bool
    _images: list[dict[str, Any]] = attrs.field(factory=list, init=False)
    _objects: list[tuple[int, Described]] = attrs.field(factory=list, init=False)
    _captions: list[dict[str, Any]] = attrs.field(factory=list, init=False)

    def add(self, image: LabeledImage) -> None:
        if isinstance(image, LabeledTask) and image.task_export_url is not None:
            self._losses.add(LossKind.VIDEO, image.media_name)
            return
        number = len(self._images) + 1
        self._images.append(self._image(image, number))
        self._add_captions(image, number)
        for each in describe(image, self._places, self._mapping, self._losses, self._compressed):
            self._objects.append((number, each))

    def _image(self, image: LabeledImage, number: int) -> dict[str, Any]:
        known: dict[str, Any] = {"id": number, "file_name": image.media_name}
        if image.width and image.height:
            known |= {"width": image.width, "height": image.height}
        else:
            self._losses.add(LossKind.SIZE, image.media_name)
        return {**known, "media_id": image.media_id} if image.media_id else known

    def _add_captions(self, image: LabeledImage, number: int) -> None:
        longest = len(image.classifications)
        keys = {self._mapping.caption_key(each) for each in range(1, longest + 1)}
        for each in image.classifications:
            text = each.value if each.key in keys else None
            if text is not None:
                caption = {"id": len(self._captions) + 1, "image_id": number, "caption": text}
                self._captions.append(caption)
            said = "" if text is None else each.key
            for lost in places_of_answers(f"{image.media_name}: ", [each], but=said):
                self._losses.add(LossKind.CLASSIFICATION, lost)

    def document(self, known: Iterable[CocoCategory]) -> CocoDocument:
        categories = self._categories(known)
        numbers = self._numbers()
        annotations = [
            each.annotation(number, image, categories[each.category.names])
            for number, (image, each) in zip(numbers, self._objects, strict=True)
        ]
        instances = {
            "images": self._images,
            "annotations": annotations,
            "categories": [each.document() for each in categories.values()],
        }
        captions = {"images": self._images, "annotations": self._captions}
        return CocoDocument(instances, captions, self._losses.report())

    def _categories(self, known: Iterable[CocoCategory]) -> dict[tuple[str, str], CocoCategory]:
        """Return all categories by name: the known ones, then the others with new numbers."""
        found = {each.names: each for each in known}
        free = count(max((each.id for each in found.values()), default=0) + 1)
        points: dict[tuple[str, str], dict[str, None]] = {}
        for _, each in self._objects:
            points.setdefault(each.category.names, {}).update(dict.fromkeys(each.keypoints))
        for name, supercategory in sorted(points.keys() - found.keys()):
            names = (name, supercategory)
            found[names] = CocoCategory(next(free), name, supercategory)
        return {
            names: attrs.evolve(
                each,
                keypoints=tuple(dict.fromkeys((*each.keypoints, *points.get(names, ())))),
            )
            for names, each in found.items()
        }

    def _numbers(self) -> list[int]:
        """Return a number for each object: its own from the file it comes from, or a new one."""
        given: dict[int, None] = {}
        own = []
        for _, each in self._objects:
            fresh = each.number is not None and each.number not in given
            own.append(each.number if fresh else None)
            if each.number is not None:
                given[each.number] = None
        free = count(max(given, default=0) + 1)
        return [number if number is not None else next(free) for number in own]
