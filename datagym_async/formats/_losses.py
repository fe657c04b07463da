"""Loss reports: what the target of a conversion cannot hold, counted and named.

A conversion does not stop at what cannot be converted. It leaves that out, or makes the nearest
thing of it, and says so here.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Final

import attrs

from datagym_async._printable import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_EXAMPLES: Final = 5


class LossKind(enum.StrEnum):
    """Say what was lost."""

    BOX = "box"
    BROKEN = "broken"
    CAPTION = "caption"
    CHARACTERS = "characters"
    CLASSIFICATION = "classification"
    COLLISION = "collision"
    CROWD = "crowd"
    DOUBLED = "doubled"
    HOLES = "holes"
    INCOMPLETE = "incomplete"
    KEYPOINTS = "keypoints"
    LINE = "line"
    LONG_NAME = "long_name"
    LONG_TEXT = "long_text"
    NESTING = "nesting"
    OUTLINE = "outline"
    PARTS = "parts"
    POINT = "point"
    SAME_FILE = "same_file"
    SIZE = "size"
    UNKNOWN_CATEGORY = "unknown_category"
    UNKNOWN_IMAGE = "unknown_image"
    VIDEO = "video"
    VISIBILITY = "visibility"

    @property
    def text(self) -> str:
        """Return what it means, for people."""
        return _TEXTS[self]


_TEXTS: Final[Mapping[LossKind, str]] = {
    LossKind.BOX: "boxes without an outline, written as their four corners",
    LossKind.BROKEN: "annotations that cannot be read, left out",
    LossKind.CAPTION: "captions, left out",
    LossKind.CHARACTERS: "names with control characters or halves of characters, _ in their place",
    LossKind.CLASSIFICATION: "answers to selects, checklists and free texts, left out",
    LossKind.COLLISION: "names that give one key, told apart by numbers",
    LossKind.CROWD: "marks of a crowd: the service keeps the shape as that of one object",
    LossKind.DOUBLED: "images listed more than once under one name, taken together",
    LossKind.HOLES: "outlines with holes, which are filled now",
    LossKind.INCOMPLETE: "shapes without all of their coordinates, left out",
    LossKind.KEYPOINTS: "keypoints that can hang on no shape, now points of their own",
    LossKind.LINE: "lines, left out",
    LossKind.LONG_NAME: "names of images too long for their label files, shortened",
    LossKind.LONG_TEXT: "texts of more than 255 characters, which the service refuses",
    LossKind.NESTING: "nested shapes, now shapes of their own",
    LossKind.OUTLINE: "outlines reduced to the box around them",
    LossKind.PARTS: "objects of several parts, each of which is a shape of its own now",
    LossKind.POINT: "points, left out",
    LossKind.SAME_FILE: "images whose label file would overwrite another's, left out",
    LossKind.SIZE: "images of unknown width and height",
    LossKind.UNKNOWN_CATEGORY: "annotations of an unknown category, left out",
    LossKind.UNKNOWN_IMAGE: "annotations of an unknown image, left out",
    LossKind.VIDEO: "videos, left out",
    LossKind.VISIBILITY: "marks that a keypoint is hidden",
}


@attrs.frozen
class Loss:
    """One kind of loss.

    Args:
        kind: What was lost.
        count: How often.
        examples: Where, a few of them.
    """

    kind: LossKind
    count: int
    examples: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Return it as one line."""
        more = ", ..." if self.count > len(self.examples) else ""
        where = f" ({', '.join(self.examples)}{more})" if self.examples else ""
        return printable(f"{self.count:,} x {self.kind.text}{where}")


@attrs.frozen
class LossReport:
    """All losses of a conversion, a kind at most once.

    Args:
        items: The losses, in the order of their first occurrence; none if nothing was lost.
    """

    items: tuple[Loss, ...] = attrs.field(default=(), converter=tuple[Loss, ...])

    def __bool__(self) -> bool:
        """Return whether anything was lost."""
        return bool(self.items)

    def __add__(self, other: LossReport) -> LossReport:
        """Return the losses of two conversions, one after the other."""
        losses = Losses()
        for item in (*self.items, *other.items):
            losses.add(item.kind, *item.examples, count=item.count)
        return losses.report()

    def __str__(self) -> str:
        """Return a line for each kind."""
        return "\n".join(str(item) for item in self.items) or "Nothing was lost."

    def count(self, kind: LossKind) -> int:
        """Return how often this kind of loss occurred."""
        return sum(item.count for item in self.items if item.kind is kind)


@attrs.define
class Losses:
    """Counts losses while a conversion goes on."""

    _counts: dict[LossKind, int] = attrs.field(factory=dict, init=False)
    _examples: dict[LossKind, list[str]] = attrs.field(factory=dict, init=False)

    def add(self, kind: LossKind, *where: str, count: int = 1) -> None:
        """Count a loss, and keep where it was if few are known."""
        self._counts[kind] = self._counts.get(kind, 0) + count
        kept = self._examples.setdefault(kind, [])
        kept.extend(_new(where, kept)[: _EXAMPLES - len(kept)])

    def report(self) -> LossReport:
        """Return what was counted so far."""
        return LossReport(
            tuple(Loss(kind, n, tuple(self._examples[kind])) for kind, n in self._counts.items())
        )


def _new(where: Iterable[str], kept: list[str]) -> list[str]:
    return [each for each in dict.fromkeys(where) if each and each not in kept]
