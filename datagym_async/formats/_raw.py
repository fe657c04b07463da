"""The content of label files, as readers return it: categories, images and their objects.

A reader of any format makes these values; one place (`_mapping`) turns them into label values and
label configurations. Numbers are checked here already: finite, in pixels of the image, counted from
the left upper corner of the first pixel.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, TypeAlias

import attrs

from datagym_async._checks import by_annotation, listed, pairs_of
from datagym_async.exceptions import MOVE_TEMPORARY
from datagym_async.formats._classes import Names, composed
from datagym_async.formats._losses import FormatError, Losses

Pair: TypeAlias = tuple[float, float]
"""x and y."""
Ring: TypeAlias = Sequence[Pair]
"""The corners of an outline or of a hole; the first one may be repeated at the end."""


def _keypoints(given: Iterable[str]) -> tuple[str, ...]:
    return listed("keypoints", given, str)


def _skeleton(given: Iterable[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    return pairs_of("skeleton", given)


@attrs.frozen(field_transformer=by_annotation)
class Category:
    """A class of objects in a file.

    Args:
        id: Its number in the file.
        name: Its name.
        supercategory: The group it belongs to; empty if it belongs to none.
        keypoints: Names of its keypoints, in order.
        skeleton: Pairs of keypoints that are joined, counted from 1.
    """

    id: int
    name: str
    supercategory: str = ""
    keypoints: tuple[str, ...] = attrs.field(default=(), converter=_keypoints)
    skeleton: tuple[tuple[int, int], ...] = attrs.field(default=(), converter=_skeleton)

    @cached_property
    def names(self) -> Names:
        """Return name and supercategory, which identify it, in the form for comparison."""
        return composed(self.name), composed(self.supercategory)

    def document(self) -> dict[str, Any]:
        """Return it as in a COCO file."""
        whole: dict[str, Any] = {"id": self.id, "name": self.name}
        if self.supercategory:
            whole["supercategory"] = self.supercategory
        if self.keypoints:
            whole["keypoints"] = list(self.keypoints)
            whole["skeleton"] = [list(pair) for pair in self.skeleton]
        return whole


@attrs.define(kw_only=True)
class RawObject:
    """An object on an image. Its parts are independent: broken ones are not here."""

    category: Category
    where: str  # its place, for people: file and line, or ``annotations[12]``
    box: tuple[float, float, float, float] | None = None  # left, top, width, height
    parts: Sequence[Sequence[Ring]] = ()  # for each its outline, and then the holes in it
    mask: Mapping[str, Any] | None = None  # of COCO (RLE), instead of `parts`; decoded if needed
    line: Ring = ()  # the points of an object that is an open line
    point: Pair | None = None  # the place of an object that is a point
    keypoints: Sequence[tuple[float, float, int] | None] = ()
    """x, y and visibility (1: hidden, 2: seen) for each of the category's; None if not labelled."""
    number: int | str | None = None  # the same in several files; None if it has none
    crowd: bool = False
    score: float | None = None  # from 0 to 1, of results of a model
    extra: Mapping[str, Any] = attrs.field(factory=dict)
    """Members of the file that the service does not know, which writers write again."""


@attrs.define(kw_only=True)
class RawImage:
    """An image and all its data in the files."""

    name: str  # in the file, with folders
    where: str = ""  # the file, and the place in it
    width: int | None = None
    height: int | None = None
    media_id: str = ""
    objects: list[RawObject] = attrs.field(factory=list)
    captions: list[str] = attrs.field(factory=list)
    is_labelled: bool = False  # whether the file has labels for it, readable or not
    in_shares: bool = False  # of an unknown width and height, as in YOLO


@attrs.frozen(kw_only=True)
class RawDataset:
    """An opened file or folder of labels."""

    where: str  # the file or folder, for people
    categories: tuple[Category, ...]  # in the order of the file, also unused ones
    images: Callable[[Losses], Iterator[RawImage]]
    """Reads the images one by one, each time it is called, and counts losses."""
    outlines: bool = False  # whether boxes would lose outlines


@contextlib.contextmanager
def room_on_disk() -> Iterator[None]:
    """Report a disk that has no room for the temporary database of a label file."""
    try:
        yield
    except sqlite3.OperationalError as error:
        raise FormatError(
            f"the temporary database for label files cannot be written: {error}; {MOVE_TEMPORARY}"
        ) from None
