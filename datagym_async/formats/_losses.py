"""The result of a conversion: values and a report of losses, or an error.

A conversion does not stop at what the target cannot hold. It leaves that out, or makes the nearest
thing of it, and counts it in a `LossReport`. A `FormatError` stops it altogether.
"""

from __future__ import annotations

import enum
from typing import Final, Self

import attrs

from datagym_async._printable import printable
from datagym_async.exceptions import ConfigurationError
from datagym_async.labels import LabeledImage
from datagym_async.models._basics import count

_EXAMPLES: Final = 5


class LossKind(enum.StrEnum):
    """Say what was lost; `text` is what it means, for people."""

    text: str

    def __new__(cls, value: str, text: str) -> Self:
        """Make a kind of its name and of what it means."""
        kind = str.__new__(cls, value)
        kind._value_, kind.text = value, text
        return kind

    BOX = "box", "boxes without an outline, written as their four corners"
    BROKEN = "broken", "annotations that cannot be read, left out"
    CAPTION = "caption", "captions, left out"
    CHARACTERS = "characters", "names with characters that a file cannot hold, now with _"
    CLASSIFICATION = "classification", "answers to selects, checklists and free texts, left out"
    COLLISION = "collision", "names that give one key, told apart by numbers"
    CROWD = "crowd", "marks of a crowd: the service keeps the shape as that of one object"
    DOUBLED = "doubled", "images listed more than once under one name, taken together"
    HOLES = "holes", "outlines with holes, which are filled now"
    INCOMPLETE = "incomplete", "shapes without all of their coordinates, left out"
    KEYPOINTS = "keypoints", "keypoints without a shape to be nested in, now points of their own"
    LINE = "line", "lines, left out"
    LONG_NAME = "long_name", "names of images too long for their label files, shortened"
    LONG_TEXT = "long_text", "texts of more than 255 characters, which the service refuses"
    NESTING = "nesting", "nested shapes, now shapes of their own"
    OUTLINE = "outline", "outlines reduced to the box around them"
    PARTS = "parts", "objects of several parts, each of which is a shape of its own now"
    POINT = "point", "points, left out"
    SAME_FILE = "same_file", "images whose label file would overwrite another's, left out"
    SIZE = "size", "images of unknown width and height"
    UNKNOWN_CATEGORY = "unknown_category", "annotations of an unknown category, left out"
    UNKNOWN_IMAGE = "unknown_image", "annotations of an unknown image, left out"
    VIDEO = "video", "videos, left out"
    VISIBILITY = "visibility", "marks that a keypoint is hidden"


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
        return "\n".join(map(str, self.items)) or "Nothing was lost."

    def count(self, kind: LossKind) -> int:
        """Return how often this kind of loss occurred."""
        return sum(item.count for item in self.items if item.kind is kind)


@attrs.define
class Losses:
    """Counts the losses of a running conversion."""

    _found: dict[LossKind, Loss] = attrs.field(factory=dict, init=False)

    def add(self, kind: LossKind, *where: str, count: int = 1) -> None:
        """Count a loss, and keep where it was if few are known."""
        known = self._found.get(kind, Loss(kind, 0))
        examples = (*known.examples, *where)
        if len(known.examples) < _EXAMPLES:
            examples = tuple(filter(None, dict.fromkeys(examples)))
        self._found[kind] = Loss(kind, known.count + count, examples[:_EXAMPLES])

    def report(self) -> LossReport:
        """Return what was counted so far."""
        return LossReport(self._found.values())


class FormatError(ConfigurationError):
    """A file is not of the format it is taken for, or cannot be written as asked."""


class BrokenError(Exception):
    """One annotation of a file cannot be read; the others can. It ends as a loss."""


CARRIED: Final = "coco"
"""Member of `Annotation.extra` for what COCO knows and the service does not."""


@attrs.frozen
class Conversion:
    """Label values made of a file, and what got lost.

    Args:
        images: The images in the order of the file, also those without labels.
        losses: What the service cannot hold, even where the values still carry it for the way back
            (`Annotation.extra`).
    """

    images: tuple[LabeledImage, ...] = attrs.field(converter=tuple[LabeledImage, ...], repr=count)
    losses: LossReport
