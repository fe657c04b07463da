"""Label files of YOLO, DOTA and KITTI: an object a line, as a class and numbers.

Numbers of YOLO are fractions of the width and height of the image as trainers see it. KITTI has the
name of an object and 14 or 15 numbers; its boxes are in pixels.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, TypeAlias

import attrs

from datagym_async.formats._losses import BrokenError, Losses, LossKind
from datagym_async.formats._raw import Category, Pair, RawDataset, RawImage, RawObject
from datagym_async.formats._reading import (
    NO_LABELS,
    Options,
    Pictures,
    ReadClasses,
    below,
    digits_tolerance,
    files_below,
    first_words,
    gathered,
    is_number,
    is_there,
    lines_of,
    may_be_labels,
    measure,
    number_of,
    of_part,
    snapped,
    stem_of,
    upright_size,
)
from datagym_async.models._names import IMAGE_SUFFIXES

_Size: TypeAlias = "tuple[int, int] | None"
_DOTA_HEADS: Final = ("imagesource", "gsd", "'imagesource", "'gsd")  # lines before objects
_TRACKED: Final = 6  # numbers of a box, its score and its track
_FARTHEST: Final = 2  # larger numbers are pixels, not fractions


@attrs.frozen
class Yolo:
    """The content of a data.yaml or a list of names."""

    categories: Mapping[int, Category]
    keypoints: int = 0
    dimensions: int = 3  # of a keypoint: x, y and maybe its visibility
    is_tracked: bool = False  # whether lines are boxes with a score and the number of a track

    @property
    def pose(self) -> int:
        """Return how many numbers of a line are keypoints."""
        return self.keypoints * self.dimensions


@attrs.frozen
class Labelled:
    """An image and its label file, as far as they exist."""

    name: str
    image: Path | None
    labels: Path


def is_dota(words: Sequence[str]) -> bool:
    """Return whether a line has four corners and then the name of a class."""
    return len(words) > 8 and all(map(is_number, words[:8])) and not is_number(words[8])


def dota_marks(words: Sequence[str]) -> tuple[str, str]:
    """Return the class of a line of DOTA, which may have blanks, and the mark behind it."""
    mark = words[-1] if is_number(words[-1]) else ""
    return " ".join(words[8 : -1 if mark else None]), mark


def has_labels(each: Labelled) -> bool:
    return is_there(each.labels) and each.labels.stat().st_size > 0


def says_something(each: Labelled) -> bool:
    """Return whether there is an image, or at least its name or some of its labels."""
    is_named = each.image is not None or Path(each.name).suffix.lower() in IMAGE_SUFFIXES
    return is_named or has_labels(each)


def read_labels(each: Labelled, yolo: Yolo, in_shares: bool, losses: Losses) -> Iterator[RawImage]:
    """Yield an image with its labels.

    Nothing, if its labels are lost because its size is not known, or if only its label file tells
    its name.
    """
    lines, is_lost = list[tuple[int, list[str]]](), True
    with losses.counting(each.labels):
        every = lines_of(each.labels) if is_there(each.labels) else ()
        lines = [line for line in every if not line[1][0].startswith(_DOTA_HEADS)]
        is_lost = False
    image = RawImage(name=each.name, where=str(each.labels), is_labelled=is_lost or bool(lines))
    reason = "there is no such image; name its folder with images=..."
    try:
        if each.image is not None:
            image.width, image.height, orientation = upright_size(each.image)
            if orientation > 1:
                losses.add(LossKind.TURNED, each.name)
    except (BrokenError, OSError) as error:
        reason = str(error)
    size = (image.width, image.height) if image.width and image.height else None
    in_pixels = any(is_dota(words) for _, words in lines)
    image.in_shares = in_shares and size is None and not in_pixels
    if size is None and not lines and Path(each.name).suffix.lower() not in IMAGE_SUFFIXES:
        return
    if size is None and lines and not (in_shares or in_pixels):
        losses.add(LossKind.MISSING_IMAGE, f"{each.name}: {reason}", count=len(lines))
        return
    for number, words in lines:
        where = f"{each.labels}, line {number}"
        try:
            if size is None and in_pixels and not is_dota(words):
                raise BrokenError("its numbers are shares, and its image is not there")
            image.objects.append(_object(words, yolo, size, where))
        except BrokenError as error:
            losses.add(LossKind.BROKEN, f"{where}: {error}")
        except LookupError as error:
            losses.add(LossKind.UNKNOWN_CATEGORY, f"{where}: class {error}")
    yield image


def _object(words: Sequence[str], yolo: Yolo, size: _Size, where: str) -> RawObject:
    """Return the object of a line, by the number of its numbers; `LookupError` for its class.

    In pixels of an image of this size, or in shares of it if it is unknown.
    4: middle, width and height of a box. Those and the keypoints of ``kpt_shape``. 6 and more, an
    even number: the corners of an outline; 8 may also be a turned box. One more is a score, or the
    number of a track, which may also stand behind the score of a box (`Yolo.is_tracked`).
    """
    if len(words) > 8 and not is_number(words[8]):
        return _of_dota(words, yolo, size, where)
    number = number_of(words[0], "a class")
    category = yolo.categories.get(int(number)) if number == int(number) else None
    if category is None:
        raise LookupError(words[0])
    rest, score, extra = words[1:], None, {}
    if yolo.is_tracked and len(rest) == _TRACKED:
        *rest, extra["track"] = rest
    if len(rest) in (5, 5 + yolo.pose) or (len(rest) > 6 and len(rest) % 2 and not yolo.pose):
        *rest, last = rest
        score = number_of(last, "a score")
        if score > 1 and last.isdigit():
            score, extra["track"] = None, last
        elif not 0 <= score <= 1:
            raise BrokenError(f"its last number, {last}, is not a score from 0 to 1")
    shares = [number_of(each) for each in rest]
    is_box = len(shares) in (4, 4 + yolo.pose)
    if not is_box and (len(shares) < 6 or yolo.pose):
        wanted = f"4 or {4 + yolo.pose}" if yolo.pose else "4, 6 or more"
        raise BrokenError(f"{len(rest)} numbers behind the class, where {wanted} were expected")
    if any(abs(each) > _FARTHEST for each in (shares[:4] if is_box else shares)):
        raise BrokenError("its numbers are not shares of a width and height, from 0 to 1")
    across, down = size or (1, 1)
    noise = [digits_tolerance(rest, each) for each in (across, down)]

    def pixel(x: float, y: float) -> Pair:
        return snapped(x * across, across, noise[0]), snapped(y * down, down, noise[1])

    found = RawObject(category=category, where=where, score=score, extra=extra)
    if is_box:
        x, y, width, height = shares[:4]
        if width < 0 or height < 0:
            raise BrokenError("its width or height is negative")
        left, top = pixel(x - width / 2, y - height / 2)
        right, bottom = pixel(x + width / 2, y + height / 2)
        found.box = (left, top, right - left, bottom - top)
        starts, step = range(4, len(shares), yolo.dimensions), yolo.dimensions
        found.keypoints = [_keypoint(shares[at : at + step], pixel) for at in starts]
    else:
        found.parts = [[[pixel(x, y) for x, y in zip(shares[::2], shares[1::2], strict=True)]]]
    return found


def _of_dota(words: Sequence[str], yolo: Yolo, size: _Size, where: str) -> RawObject:
    """Return a turned box of DOTA: four corners in pixels; `LookupError` for its class."""
    name, mark = dota_marks(words)
    category = {each.name: each for each in yolo.categories.values()}[name]
    numbers, (across, down) = [*map(number_of, words[:8])], size or (math.inf, math.inf)
    pairs = zip(numbers[::2], numbers[1::2], strict=True)
    ring = [(snapped(x, across), snapped(y, down)) for x, y in pairs]
    extra = {"difficult": mark} if mark not in ("", "0") else {}
    return RawObject(category=category, where=where, parts=[[ring]], extra=extra)


def _keypoint(
    numbers: Sequence[float], pixel: Callable[[float, float], Pair]
) -> tuple[float, float, int] | None:
    """Return a keypoint; one of two numbers exists unless it is 0 0, or negative."""
    x, y, *rest = numbers
    seen = rest[0] if rest else 2 * (x > 0 or y > 0) * (x >= 0 and y >= 0)
    seen = 2 if 0 < seen < 1 else min(int(seen), 2)  # a fraction is a score, as predictions have it
    return (*pixel(x, y), seen) if seen > 0 else None


def is_yolo(path: Path) -> bool:
    """Return whether the first line of a file is one of YOLO or DOTA, or there is none."""
    if not (words := first_words(path)):
        return path.stem.lower() not in NO_LABELS
    of_dota = words[0].startswith(_DOTA_HEADS) or is_dota(words)
    return of_dota or (len(words) > 4 and all(map(is_number, words)))


KITTI_MARKS: Final = {
    "truncated": -1, "occluded": -1, "alpha": -10, "left": 0, "top": 0, "right": 0, "bottom": 0,
    "height": -1, "width": -1, "length": -1, "x": -1000, "y": -1000, "z": -1000,
    "rotation_y": -10, "score": 0,
}  # fmt: skip
"""The numbers behind the class, the last of which may be missing, and what each is if unknown.

The box is in pixels from 0, the rest in metres and radians (readme of the development kit).
"""
_KITTI_NUMBERS: Final = 14
_IN_A_NAME: Final = 2  # numbers among the words of a name; more are those of another object


def open_kitti(path: Path, options: Options) -> RawDataset:
    """Open a folder of KITTI's label files, or one that holds ``label_2``."""
    inside = [*filter(Path.is_dir, (path / "label_2", path / "labels"))]
    # Training alone, or several parts, as others publish theirs: names of images repeat in them.
    parts = {each.parent for name in ("label_2", "image_2") for each in path.glob(f"*/{name}")}
    of_one = [each / "label_2" for each in parts if len(parts) == 1 and (each / "label_2").is_dir()]
    folder = next(iter(inside or of_one), path)
    pictures = Pictures.of_labels(folder, options, folder.parent)

    def has_labels(file: Path) -> bool:
        has_image = pictures.of(stem_of(file, folder)) is not None
        return has_image or may_be_labels(file) or is_kitti(file)

    files = [*filter(has_labels, files_below(folder, {".txt"}))]
    # Further down there may be calibrations and other texts beside label_2.
    files = [each for each in files if "label_2" in each.relative_to(folder).parts] or files
    root = path if folder == path and parts else folder.parent
    root = root.parent if root.name == "training" else root
    files = of_part(files, folder, root / "ImageSets" / f"{options.split}.txt", options)

    def read(file: Path, classes: ReadClasses, losses: Losses) -> Iterator[RawImage]:
        stem, lines = stem_of(file, folder), list(lines_of(file))
        picture = pictures.of(stem)
        own = f"{file.stem}{picture.suffix if picture else ''}"
        image = RawImage(name=below(folder, file, own, pictures), where=str(file))
        measure(image, picture, losses)
        image.is_labelled = any(words[0] != "DontCare" for _, words in lines)
        for number, words in lines:
            where = f"{file}, line {number}"
            with losses.counting(where):
                image.objects += _kitti(words, where, classes, losses)
        yield image

    return gathered(path, files, read, "a .txt of labels for each, 15 numbers a line")


def _kitti(
    words: Sequence[str], where: str, classes: ReadClasses, losses: Losses
) -> Iterator[RawObject]:
    # A name may have blanks. After it come 14 numbers, and maybe a score.
    count = next((at for at, word in enumerate(reversed(words)) if not is_number(word)), len(words))
    if count < _KITTI_NUMBERS or len(words) <= _KITTI_NUMBERS:
        raise BrokenError(f"it has no class and {_KITTI_NUMBERS} numbers behind it")
    count = min(count, _KITTI_NUMBERS + 1, len(words) - 1)
    if len(words) - count > 2 and all(map(is_number, words[:2])):
        raise BrokenError("it begins with a frame and a track: KITTI's tracking is not read")
    if sum(map(is_number, words[:-count])) > _IN_A_NAME:
        raise BrokenError("it has the numbers of several objects")
    name, numbers = " ".join(words[:-count]), [number_of(each) for each in words[-count:]]
    if name == "DontCare":
        losses.add(LossKind.IGNORED, where)
        return
    marks = dict(zip(KITTI_MARKS, numbers, strict=False))
    left, top, right, bottom = (marks.pop(side) for side in ("left", "top", "right", "bottom"))
    if right < left or bottom < top:
        raise BrokenError("its box ends before it begins")
    yield RawObject(
        category=classes.of(name),
        where=where,
        box=(left, top, right - left, bottom - top),
        score=marks.pop("score", None),
        extra={mark: value for mark, value in marks.items() if value != KITTI_MARKS[mark]},
    )


def is_kitti(path: Path) -> bool:
    """Return whether the first line of a file is one of KITTI."""
    words = first_words(path)
    has_name = len(words) > _KITTI_NUMBERS and not is_number(words[0])
    return has_name and all(map(is_number, words[-_KITTI_NUMBERS:]))
