"""Values of COCO's JSON as categories and objects: broken parts are named, and the rest is kept.

The parts of an object are independent: keypoints that cannot be read do not affect the box.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from datagym_async._extras import extra_module
from datagym_async._json import LARGEST
from datagym_async.formats._losses import BrokenError, FormatError
from datagym_async.formats._masks import MOST_PIXELS, check_mask, compress
from datagym_async.formats._raw import Category, RawObject, Ring
from datagym_async.formats._reading import OF_IMAGES, is_there, number_in, snapped, turned_box
from datagym_async.labels._values import NUMBERS

_READ: Final = frozenset((
    "id", "image_id", "category_id", "bbox", "segmentation", "iscrowd", "area", "keypoints",
    "num_keypoints", "score", "bbox_mode",
))  # fmt: skip
"""Members of an annotation that are read, or can be computed from others."""
_WHOLE: Final = re.compile(r"-?(?:0|[1-9]\d{0,30})(?:\.0+)?", re.ASCII)
_HIDDEN, _SEEN = 1, 2
_CORNERS, _CORNER_AND_SIZE = 0, 1  # how the numbers of a box are meant, in Detectron2's files


# --- Numbers: also as texts, and whole ones with a point ------------------------------------------


def _whole(value: object) -> int | None:
    found = number_in(value)
    return int(found) if found is not None and found == int(found) else None


def identifier(value: object) -> int | str | None:
    """Return an id: a whole number, or a text that is not one."""
    if type(value) is int and value.bit_length() < 64:  # as nearly all are
        return value
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, str) and _WHOLE.fullmatch(value):
        value = int(value.partition(".")[0])
    if isinstance(value, int) and not isinstance(value, bool):
        return value if value.bit_length() < 64 else str(value)  # as databases can store it
    return text(value)


def text(value: object) -> str | None:
    """Return a text that is not empty."""
    return value if isinstance(value, str) and value else None


def numbers(values: object) -> Sequence[float] | None:
    """Return the numbers of a list; None if it is not a list of numbers."""
    if not isinstance(values, list | tuple):
        return None
    for each in values:  # nearly all are numbers; NaN and infinity are not between two others
        if not (type(each) in NUMBERS and -LARGEST <= each <= LARGEST):
            break
    else:
        return values
    found = [*map(number_in, values)]
    return None if None in found else [each for each in found if each is not None]


# --- Categories -----------------------------------------------------------------------------------


def category_of(raw: Mapping[str, Any], index: int, faults: list[str]) -> Category:
    """Return a category, and note its faults; `BrokenError` if it has no name or no id.

    The number of one whose id is a text is that of its place in the list, from 1.
    """
    name, own = _name(raw.get("name")), identifier(raw.get("id"))
    if not isinstance(name, str) or not name or own is None:
        raise BrokenError("it needs id and name")
    keypoints = raw.get("keypoints") or []
    if isinstance(keypoints, list):
        keypoints = [*map(_name, keypoints)]
    if not isinstance(keypoints, list) or not all(isinstance(each, str) for each in keypoints):
        faults.append("keypoints must be a list of names")
        keypoints = []
    kept = _skeleton(raw.get("skeleton") or [], len(keypoints), faults)
    group = _name(raw.get("supercategory"))
    number = own if isinstance(own, int) else index + 1
    return Category(number, name, group if isinstance(group, str) else "", keypoints, kept)


def _name(value: object) -> object:
    """Return a name without blanks around it, also one that is a whole number; others unchanged."""
    if isinstance(value, str):
        return value.strip()
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _is_list(value: object) -> bool:
    return isinstance(value, list | tuple)


def _skeleton(skeleton: object, count: int, faults: list[str]) -> tuple[tuple[int, int], ...]:
    """Return the pairs of joined keypoints, counted from 1; many files count from 0."""
    listed = skeleton if isinstance(skeleton, list | tuple) else [skeleton]
    pairs = [[*map(_whole, each)] if isinstance(each, list | tuple) else [] for each in listed]
    first = 0 if any(0 in each for each in pairs) else 1
    known: set[int | None] = {*range(first, first + count)}
    kept = [each for each in pairs if len(each) == 2 and known.issuperset(each)]
    if len(kept) < len(pairs):
        faults.append(f"skeleton must be pairs of numbers of its {count} keypoints")
    return tuple((1 - first + (a or 0), 1 - first + (b or 0)) for a, b in kept)


# --- Objects --------------------------------------------------------------------------------------


def object_of(
    raw: Mapping[str, Any],
    category: Category,
    where: str,
    faults: list[str],
    *,
    is_result: bool = False,
) -> RawObject:
    """Return the object of an annotation; `BrokenError` if nothing of it can be read.

    Parts of it that cannot be read are added to the faults. Keypoints of a result of a model have
    no marks of visibility (https://cocodataset.org/#format-results).
    """
    score, crowd = number_in(raw.get("score")), raw.get("iscrowd")
    found = RawObject(
        category=category,
        where=where,
        crowd=crowd is True or bool(number_in(crowd)),
        score=score,
        extra={} if _READ.issuperset(raw) else {n: v for n, v in raw.items() if n not in _READ},
    )
    if score is None and "score" in raw:
        found.extra = {**found.extra, "score": raw["score"]}
    if (bbox := raw.get("bbox")) is not None and bbox != []:
        mode = raw.get("bbox_mode")
        box, mode = numbers(bbox), _CORNER_AND_SIZE if mode is None else number_in(mode)
        if mode == _CORNERS and box is not None and len(box) == 4:
            box = [*box[:2], box[2] - box[0], box[3] - box[1]]
        if box is None or len(box) != 4:
            faults.append("it has no box of four numbers")
        elif mode not in {_CORNERS, _CORNER_AND_SIZE}:
            faults.append("its bbox_mode is neither 0 (two corners) nor 1 (corner and size)")
        elif box[2] < 0 or box[3] < 0:
            faults.append("its box has a width or height below 0")
        else:
            left, top = snapped(box[0], math.inf), snapped(box[1], math.inf)
            width, height = box[2] + (box[0] - left), box[3] + (box[1] - top)
            found.box = (left, top, max(width, 0), max(height, 0))
    segmentation = raw.get("segmentation") or ()
    if isinstance(segmentation, list) and len(segmentation) == 1:
        inner = segmentation[0]  # a mask in a list, as pycocotools encodes a stack of one
        segmentation = inner if isinstance(inner, Mapping) else segmentation
    if isinstance(segmentation, Mapping):
        try:
            check_mask(segmentation)
            found.mask = segmentation
        except BrokenError as error:
            faults.append(str(error))
    else:
        found.parts = [[ring] for ring in _outlines(segmentation, faults)]
    about: Any = raw.get("attributes")  # of CVAT, also the rotation of a box
    turn = (number_in(about.get("rotation")) or 0) % 360 if isinstance(about, Mapping) else 0
    if turn and found.box and not found.parts and found.mask is None:
        left, top, width, height = found.box
        found.parts = [[turned_box(left, top, left + width, top + height, turn)]]
        found.box = None
        found.extra = {**found.extra, "attributes": {**about, "rotation": 0}}
    if raw.get("keypoints"):
        found.keypoints = _keypoints(raw["keypoints"], category, faults, is_result)
    if found.box is None and found.mask is None and not found.parts and not any(found.keypoints):
        raise BrokenError("; ".join(faults) or "it has neither a box nor an outline nor keypoints")
    return found


def _outlines(parts: object, faults: list[str]) -> Iterator[Ring]:
    """Yield the outline of each part; a list of numbers or of pairs is also one."""
    if not isinstance(parts, list | tuple):
        faults.append("segmentation must be a list of polygons, or a mask")
        return
    if not any(map(_is_list, parts)) or _are_pairs(parts):
        parts = [parts]
    for part in parts:
        has_pairs = _is_list(part) and _are_pairs(part)
        flat = numbers([each for pair in part for each in pair] if has_pairs else part)
        if flat is None:
            faults.append("a polygon must be a list of numbers")
        elif len(flat) % 2:
            faults.append(f"a polygon of {len(flat)} numbers, which are not pairs of x and y")
        elif 0 < len(flat) < 6:
            faults.append("a polygon of fewer than 3 points")
        elif flat:
            flat = [snapped(each, math.inf) for each in flat] if min(flat) < 0 else flat
            yield [*zip(flat[::2], flat[1::2], strict=True)]


def _are_pairs(part: Sequence[object]) -> bool:
    """Return whether a list has the points of one polygon as pairs."""
    return len(part) > 2 and all(
        isinstance(each, list | tuple) and len(each) == 2 and not any(map(_is_list, each))
        for each in part
    )


def _keypoints(
    values: object, category: Category, faults: list[str], is_result: bool
) -> list[tuple[float, float, int] | None]:
    if isinstance(values, list) and all(_is_list(each) and len(each) == 3 for each in values):
        values = [number for each in values for number in each]
    flat, count = numbers(values), len(category.keypoints)
    if flat is None and isinstance(values, list):
        flat = [*map(_number_or_none, values)]
    if flat is not None and all(each == 0 or each != each for each in flat):
        return []  # none is labelled, however many zeros there are
    if flat is None or len(flat) != 3 * count:
        names = f"its category has {count} names of keypoints"
        faults.append(f"keypoints must be {3 * count} numbers, since {names}")
        return []
    found: list[tuple[float, float, int] | None] = []
    for x, y, visibility in zip(flat[::3], flat[1::3], flat[2::3], strict=True):
        has_place = math.isfinite(x) and math.isfinite(y)
        mark = 0 if visibility != visibility else visibility
        if is_result:
            mark = _SEEN if has_place and (x or y) else 0
        elif 0 < mark < 1:  # a score, as predictions have it
            mark = _SEEN
        if mark not in {0, _HIDDEN, _SEEN}:
            faults.append(f"a keypoint's visibility must be 0, 1 or 2, not {mark:g}")
        elif mark and not has_place:
            faults.append("a keypoint has no x and y that are numbers")
        is_there = has_place and mark in {_HIDDEN, _SEEN}
        found.append((x, y, int(mark)) if is_there else None)
    return found


def _number_or_none(value: object) -> float:
    """Return a number, NaN for null, and infinity for what is no number."""
    if (number := number_in(value)) is not None:
        return number
    return math.nan if value is None else math.inf


# --- Panoptic segments ----------------------------------------------------------------------------

# For each image there is a PNG whose colours are the numbers of segments. The number is
# ``R + 256 G + 256² B``; 0 is no segment (https://cocodataset.org/#format-data).


def folder_of_pngs(path: Path, example: str) -> Path:
    """Return the folder of PNGs beside a file, by the name of one of them; or `FormatError`."""
    tried = [path.with_suffix(""), path.parent, path.parent.parent / path.stem]
    others = sorted(each for each in path.parent.iterdir() if each.name.lower() not in OF_IMAGES)
    every = (*tried, *others) if example else ()
    folders = [each for each in every if is_there(each / example, as_file=True)]
    folders += [each for each in (tried[0], tried[2]) if each.is_dir()]
    if not folders:
        places = ", ".join(map(str, (*tried, path.parent / "*")))
        raise FormatError(f"{path} is panoptic, and {example} was found in none of {places}")
    return folders[0]


def segments_of(
    folder: Path, raw: Mapping[str, Any], width: int | None, height: int | None
) -> Iterator[tuple[dict[str, Any], str]]:
    """Yield each segment as an annotation with a mask, and its fault; unlisted: no category."""
    listed, name = raw["segments_info"], raw.get("file_name")
    if not isinstance(listed, list) or not all(isinstance(each, dict) for each in listed):
        raise BrokenError("segments_info must be a list of objects")
    if not isinstance(name, str) or not name:
        raise BrokenError("it names no PNG (file_name)")
    pillow = extra_module("PIL.Image", FormatError)
    extra_module("numpy", FormatError)
    import numpy as np

    try:
        with pillow.open(folder / name) as image:
            wide, high = image.size
            if (wide, high) != (width or wide, height or high) or wide * high > MOST_PIXELS:
                raise BrokenError(f"{name} has {wide} by {high} pixels, and not those it is of")
            colours = np.asarray(image.convert("RGB"), np.uint32)
    except (OSError, ValueError, SyntaxError) as error:
        raise BrokenError(f"{name} cannot be read: {error}") from None
    numbers = colours[..., 0] + 256 * colours[..., 1] + 65536 * colours[..., 2]
    left = numbers != 0
    for each in listed:
        mask = numbers == identifier(each.get("id"))
        left &= ~mask
        fault = "" if mask.any() else f"its segment {each.get('id')} has no pixel in {name}"
        yield {**each, "segmentation": None if fault else compress(mask)}, fault
    for number in np.unique(numbers[left]).tolist():
        yield {"id": number}, ""
