"""The result of a conversion: values and a report of losses, or an error.

A conversion does not stop at parts that the target cannot express. It leaves them out or
approximates them, and counts them in a `LossReport`. A `FormatError` stops it. Below is what all
conversions ask of a name and of an annotation.
"""

from __future__ import annotations

import contextlib
import enum
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, Self

import attrs

from datagym_async._printable import printable
from datagym_async.exceptions import ConfigurationError
from datagym_async.labels import (
    Annotation,
    Classification,
    LabeledImage,
    Point,
    Polygon,
    Rectangle,
    Segmentation,
)
from datagym_async.models import EntryType
from datagym_async.models._basics import count

_EXAMPLES: Final = 5
_CLASSES: Final = 25


class LossKind(enum.StrEnum):
    """The kind of a loss; `text` describes it.

    `is_loss` says whether labels or images of the file were lost. Otherwise they arrived in another
    form, or without a mark that the target cannot hold.
    """

    text: str
    is_loss: bool

    def __new__(cls, value: str, text: str, is_loss: bool = False) -> Self:
        kind = str.__new__(cls, value)
        kind._value_, kind.text, kind.is_loss = value, text, is_loss
        return kind

    AMBIGUOUS = "ambiguous", "annotations of one of two images or classes, left out", True
    AROUND = "around", "objects that have only keypoints, now with the box around these"
    BITMAP = "bitmap", "segments that an export has only as bitmaps, left out", True
    BOX = "box", "boxes without an outline, written as their four corners"
    BROKEN = "broken", "annotations that cannot be read, left out", True
    CAPTION = "caption", "captions, left out", True
    CHANGED = "changed", "tasks changed or deleted while they were exported, now in whole pixels"
    CHARACTERS = "characters", "names with characters that a file cannot hold, now with _"
    CLASH = "clash", "images that share a number or a name with another one, left out", True
    CLIPPED = "clipped", "shapes cut off at the edges of their image"
    CLASS_PART = "class_part", "names of keypoints and skeletons of classes that cannot be read"
    CLASSIFICATION = "classification", "answers to selects, checklists and texts, left out", True
    COLLISION = "collision", "names that result in the same key, now told apart"
    CUBOID = "cuboid", "cuboids, left out", True
    CURVE = "curve", "circles and ellipses, now outlines with many corners"
    CROWD = "crowd", "marks of a crowd: the service stores the shape as one object"
    DOUBLED = "doubled", "images listed more than once with the same name, merged"
    DOUBLED_CLASS = "doubled_class", "classes listed more than once, merged"
    EMPTY = "empty", "shapes entirely outside their image, left out", True
    EMPTY_PART = "empty_part", "parts of the dataset without any image"
    EXIF = "exif", "images that EXIF rotates: trainers rotate them, but not their labels"
    EXTRA = "extra", "annotations with attributes that the service does not know"
    FLAT = "flat", "boxes without a width or height in whole pixels, which trainers leave out"
    FLIP = "flip", "keypoints whose names do not say left and right: images cannot be mirrored"
    GROUP = "group", "supercategories without a select in the label configuration"
    HOLES = "holes", "outlines with holes, now filled"
    IGNORED = "ignored", "regions that belong to no class (DontCare), left out"
    INCOMPLETE = "incomplete", "shapes without all of their coordinates, left out", True
    KEYPOINTS = "keypoints", "keypoints without a shape to be nested in, now separate points"
    LINE = "line", "lines, left out", True
    LONG_NAME = "long_name", "names of images too long for their label files, shortened"
    LONG_TEXT = "long_text", "texts that are too long for the service, which refuses them", True
    LOW_SCORE = "low_score", "objects below the minimum score, left out"
    MISSING_IMAGE = "missing_image", "labels of missing images of unknown size, left out", True
    NESTING = "nesting", "nested shapes, now separate shapes"
    NO_ENTRY = "no_entry", "annotations of classes without an entry, left out", True
    NO_FILE = "no_file", "images without a file: only their labels are written"
    NO_POINT = "no_point", "keypoints without a point in the label configuration, left out", True
    NO_SIZE = "no_size", "images of unknown width and height, left out", True
    ORDER = "order", "classes whose keypoints have no order in the configuration: sorted by name"
    OUTLINE = "outline", "outlines reduced to the box around them"
    OUTSIDE = "outside", "shapes that extend beyond their image, which trainers may ignore"
    PART = "part", "parts of objects that cannot be read, left out", True
    PARTS = "parts", "objects with several parts, each now a separate shape"
    POINT = "point", "points, left out", True
    RECORD = "record", "images and classes of a file that cannot be read, left out", True
    RESIZED = "resized", "images whose files have another size than their labels"
    SAME_FILE = "same_file", "images whose label file would overwrite another's, left out", True
    SAME_NAME = "same_name", "images with the same name, which readers treat as one"
    SAME_NUMBER = "same_number", "annotations with the same number, kept as separate objects"
    RENAMED = "renamed", "images whose files have other names than their labels say"
    SCOPE = "scope", "names that several classes have, now with the group in front"
    SCORE = "score", "scores of results, which the service does not store"
    SHARED_ENTRY = "shared_entry", "annotations of classes that match one entry, left out", True
    SIZE = "size", "images of unknown width and height"
    SKELETON = "skeleton", "orders and skeletons of keypoints, which the service does not store"
    SPELLED = "spelled", "names in letters that an entry cannot have, now in other letters"
    TRACK = "track", "objects followed through frames, now a separate object in each"
    TURNED = "turned", "images that EXIF rotates: their labels belong to the upright image"
    UNKNOWN_CATEGORY = "unknown_category", "annotations of an unknown category, left out", True
    UNNAMED = "unnamed", "classes whose keypoints have no names, named by their numbers"
    UNKNOWN_IMAGE = "unknown_image", "annotations of an unknown image, left out", True
    VIDEO = "video", "videos, left out", True
    VISIBILITY = "visibility", "marks that a keypoint is hidden"
    ZERO_BASED = "zero_based", "boxes at 0, which Pascal VOC does not have, moved to the edge"


_NAMED: Final = {LossKind.NO_ENTRY, LossKind.SHARED_ENTRY}
"""Losses of whole classes: their examples are the names of these."""


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
        is_more = self.count > len(self.examples)
        if self.kind in _NAMED:  # each class is listed once, however often it occurs
            is_more = len(self.examples) >= _CLASSES
        more = ", ..." if is_more else ""
        where = f" ({', '.join(self.examples)}{more})" if self.examples else ""
        return printable(f"{self.count:,} x {self.kind.text}{where}")


@attrs.frozen
class LossReport:
    """All losses of a conversion, each kind at most once.

    Args:
        items: The losses, in the order of their first occurrence; empty if nothing was lost.
    """

    items: tuple[Loss, ...] = attrs.field(default=(), converter=tuple[Loss, ...])

    def __bool__(self) -> bool:
        return bool(self.items)

    @property
    def is_loss(self) -> bool:
        """Return whether labels or images of the file were lost (`LossKind.is_loss`)."""
        return any(item.kind.is_loss for item in self.items)

    def __add__(self, other: LossReport) -> LossReport:
        losses = Losses()
        for item in (*self.items, *other.items):
            losses.add(item.kind, *item.examples, count=item.count)
        return losses.report()

    def __str__(self) -> str:
        return "\n".join(map(str, self.items)) or "Nothing was lost."

    def count(self, kind: LossKind) -> int:
        """Return how often this kind of loss occurred."""
        return sum(item.count for item in self.items if item.kind is kind)


@attrs.define
class Losses:
    """Counts the losses of a running conversion."""

    _found: dict[LossKind, Loss] = attrs.field(factory=dict, init=False)

    def add(self, kind: LossKind, *where: str, count: int = 1) -> None:
        """Count a loss, and keep its place if there are few so far."""
        known = self._found.get(kind, Loss(kind, 0))
        most = _CLASSES if kind in _NAMED else _EXAMPLES
        examples = (*known.examples, *where)
        if len(known.examples) < most:
            examples = tuple(filter(None, dict.fromkeys(examples)))
        self._found[kind] = Loss(kind, known.count + count, examples[:most])

    @contextlib.contextmanager
    def counting(
        self, where: object, kind: LossKind = LossKind.BROKEN, *, count: int = 1
    ) -> Iterator[None]:
        """Count a record that cannot be read in a block as a loss, and continue after the block."""
        try:
            yield
        except (BrokenError, OSError) as error:
            self.add(kind, f"{where}: {error}", count=count)

    def report(self) -> LossReport:
        return LossReport(self._found.values())


class FormatError(ConfigurationError):
    """A file does not have the expected format, or cannot be written as requested."""


class BrokenError(Exception):
    """One annotation of a file cannot be read; the others can. It ends as a loss."""


CARRIED: Final = "coco"
"""Member of `Annotation.extra` for what COCO knows and the service does not."""


@attrs.frozen
class Conversion:
    """Label values made from a file, and what was lost.

    Args:
        images: The images in the order of the file, also those without labels.
        losses: What the service cannot hold, even if `Annotation.extra` keeps it for the way back.
    """

    images: tuple[LabeledImage, ...] = attrs.field(converter=tuple[LabeledImage, ...], repr=count)
    losses: LossReport


# --- Names made valid for a target ----------------------------------------------------------------


# Characters that XML 1.0 cannot contain, or that end a line of text: controls of both sets, line
# separators, surrogates, and the two codes that are not characters.
_UNWRITABLE: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufffe\uffff]")


def writable(name: str) -> str:
    """Return a name with ``_`` for each character that some format cannot contain."""
    return _UNWRITABLE.sub("_", name)


# --- The class, the outlines and the answers of an annotation -------------------------------------

_NO_CLASSES: Final = {EntryType.CHECKLIST, EntryType.FREETEXT}


def outlines_of(annotation: Annotation) -> list[Sequence[Point]]:
    """Return the outline of a shape, then its holes; nothing if it covers nothing."""
    match annotation.shape:
        case Rectangle() as box:
            return [box.bounds.corners]
        case Polygon(points) if len(points) > 2:
            return [points]
        case Segmentation((outline, *holes)) if len(outline) > 2:
            return [outline, *(ring for ring in holes if len(ring) > 2)]
    return []


def class_answer(annotation: Annotation, key: str) -> Classification | None:
    """Return the answer that is the class of an object: that to a select with this key."""
    return next(
        (
            each
            for each in annotation.classifications
            if each.key == key and each.type not in _NO_CLASSES and len(each.values) < 2
        ),
        None,
    )


def answers_set(
    where: str, answers: Iterable[Classification], *, but: Classification | None = None
) -> Iterator[tuple[str, Classification]]:
    """Yield each answer that is set, also nested ones, with its path after `where`.

    The answer `but` is left out; those nested in it are not.
    """
    for each in answers:
        if each.is_set and each is not but:
            yield f"{where}{each.key}", each
        yield from answers_set(f"{where}{each.key}.", each.children)
