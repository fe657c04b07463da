"""Labels of KITTI: for each object a line with its name and 14 or 15 numbers; boxes in pixels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from datagym_async.formats._losses import BrokenError, Losses, LossKind
from datagym_async.formats._raw import RawDataset, RawImage, RawObject
from datagym_async.formats._reading import (
    Options,
    Pictures,
    ReadClasses,
    below,
    files_below,
    first_words,
    gathered,
    is_number,
    lines_of,
    may_be_labels,
    measure,
    number_of,
    of_part,
    stem_of,
)

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
    of_parts = [*path.glob("*/label_2")]  # training alone, or several, as others publish theirs
    folder = next(iter(inside or (of_parts if len(of_parts) == 1 else ())), path)
    pictures = Pictures.of_labels(folder, options, folder.parent)

    def has_labels(file: Path) -> bool:
        has_image = pictures.of(stem_of(file, folder)) is not None
        return has_image or may_be_labels(file) or is_kitti(file)

    files = [*filter(has_labels, files_below(folder, {".txt"}))]
    # Further down there may be calibrations and other texts beside label_2.
    files = [each for each in files if "label_2" in each.relative_to(folder).parts] or files
    root = path if len(of_parts) > 1 else folder.parent
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

    return gathered(path, files, read, options, "a .txt of labels for each, 15 numbers a line")


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
