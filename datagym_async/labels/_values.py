"""Labels as values.

A `LabeledImage` is a prediction to import, a `LabeledTask` a task of an export. Both have
`Annotation` values (a shape under the key of a label entry, with its classifications and nested
annotations) and the `Classification` values of the whole image.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from numbers import Real
from types import NoneType
from typing import TYPE_CHECKING, Any, ClassVar, Final, NamedTuple, TypeAlias, TypeVar, get_args

import attrs

from datagym_async._checks import (
    SEVERAL,
    by_annotation,
    check,
    check_is,
    is_number,
    listed,
    plain,
    shown,
)
from datagym_async._extras import extra_module
from datagym_async._json import LARGEST
from datagym_async._printable import Shown
from datagym_async.exceptions import ConfigurationError
from datagym_async.models import EntryType, MediaId, TaskState
from datagym_async.models._ids import id_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

V = TypeVar("V")

# --- Shapes on an image: pixels, origin top left, x to the right and y down -----------------------

# Each has the `type` of its label entries, its `bounds` and its `area` in square pixels. A shape is
# always complete; one that a service wrote without all of its coordinates is an `Incomplete` shape.


class Bounds(NamedTuple):
    """The smallest upright rectangle around a shape, in pixels."""

    left: float
    top: float
    right: float
    bottom: float

    @property
    def width(self) -> float:
        """Return the distance from left to right."""
        return self.right - self.left

    @property
    def height(self) -> float:
        """Return the distance from top to bottom."""
        return self.bottom - self.top

    @property
    def corners(self) -> tuple[Point, ...]:
        """Return its four corners, clockwise from the upper left one."""
        left, top, right, bottom = self
        return Point(left, top), Point(right, top), Point(right, bottom), Point(left, bottom)


@attrs.frozen
class Point:
    """A point; also one corner of the other shapes.

    Args:
        x: Pixels from the left edge, fractions allowed.
        y: Pixels from the top edge, fractions allowed.
    """

    x: float
    y: float
    type: ClassVar[EntryType] = EntryType.POINT
    area: ClassVar[float] = 0.0

    def __attrs_post_init__(self) -> None:
        if type(self.x) not in NUMBERS or type(self.y) not in NUMBERS:
            _check_numbers(self)

    @property
    def bounds(self) -> Bounds:
        """Return the point twice."""
        return Bounds(self.x, self.y, self.x, self.y)

    def to_numpy(self) -> NDArray[np.float64]:
        """Return x and y, shape (2,). Needs numpy."""
        return _array([self.x, self.y])


NUMBERS = frozenset({int, float})  # what nearly all coordinates are: files have millions


def _check_numbers(shape: Point | Rectangle) -> None:
    for name, value in attrs.asdict(shape).items():
        if isinstance(value, bool) or not isinstance(value, Real):
            kind = type(shape).__name__
            raise ConfigurationError(f"{name} of a {kind} is {shown(value)}; it must be a number.")
        object.__setattr__(shape, name, plain(value))  # those of numpy overflow, and are no JSON


Pair: TypeAlias = "Point | Sequence[float]"  # a point, or its x and y

_ONLY_POINTS = {Point}


def _points(given: Iterable[Pair]) -> tuple[Point, ...]:
    if type(given) is tuple and set(map(type, given)) == _ONLY_POINTS:
        return given  # a file of 200 MB has millions
    try:
        return tuple(each if isinstance(each, Point) else Point(*each) for each in given)
    except TypeError as error:
        msg = f"the points of a shape are given as Point or (x, y), one after the other ({error})"
        raise TypeError(msg) from None


def _rings(given: Iterable[Iterable[Pair]]) -> tuple[tuple[Point, ...], ...]:
    check(SEVERAL, rings=given)
    return tuple(_points(ring) for ring in given)


@attrs.frozen
class _Points:
    points: tuple[Point, ...] = attrs.field(converter=_points)

    @property
    def bounds(self) -> Bounds:
        """Return the smallest rectangle around it; `ValueError` without points."""
        return _bounds(self.points)

    def to_numpy(self) -> NDArray[np.float64]:
        """Return x and y of each point, shape (points, 2). Needs numpy."""
        return _array([(each.x, each.y) for each in self.points], width=2)


@attrs.frozen
class Line(_Points):
    """An open line through points.

    Args:
        points: Its points, as `Point` or (x, y); at least two for the service.
    """

    type: ClassVar[EntryType] = EntryType.LINE
    area: ClassVar[float] = 0.0


@attrs.frozen
class Polygon(_Points):
    """A filled outline, not closed: the last point is joined to the first.

    Args:
        points: Its points, as `Point` or (x, y); at least three for the service.
    """

    type: ClassVar[EntryType] = EntryType.POLYGON

    @property
    def area(self) -> float:
        """Return its area in square pixels."""
        return _area(self.points)


@attrs.frozen
class Rectangle:
    """An upright rectangle.

    Args:
        x: Pixels from the left edge of the image to its left edge.
        y: Pixels from the top edge of the image to its top edge.
        width: Pixels.
        height: Pixels.
    """

    x: float
    y: float
    width: float
    height: float
    type: ClassVar[EntryType] = EntryType.RECTANGLE

    def __attrs_post_init__(self) -> None:
        if not {type(self.x), type(self.y), type(self.width), type(self.height)} <= NUMBERS:
            _check_numbers(self)

    @classmethod
    def from_corners(cls, left: float, top: float, right: float, bottom: float) -> Rectangle:
        """Return the rectangle between two corners: most models give boxes like this (xyxy)."""
        first, other = Point(left, top), Point(right, bottom)
        return cls(first.x, first.y, other.x - first.x, other.y - first.y)

    @property
    def bounds(self) -> Bounds:
        """Return its four edges."""
        return Bounds(self.x, self.y, self.x + self.width, self.y + self.height)

    @property
    def area(self) -> float:
        """Return its area in square pixels."""
        return self.width * self.height

    def to_numpy(self) -> NDArray[np.float64]:
        """Return x, y, width and height, shape (4,). Needs numpy."""
        return _array([self.x, self.y, self.width, self.height])


@attrs.frozen
class Segmentation:
    """A segment of an image: an outline, and holes in it.

    Args:
        rings: The outline first, then each hole, not closed, each of `Point` or (x, y). The
            service paints the first ring white and the following ones black.
    """

    rings: tuple[tuple[Point, ...], ...] = attrs.field(converter=_rings)
    type: ClassVar[EntryType] = EntryType.IMAGE_SEGMENTATION

    @property
    def bounds(self) -> Bounds:
        """Return the smallest rectangle around the outline; `ValueError` without points."""
        return _bounds(self.rings[0] if self.rings else ())

    @property
    def area(self) -> float:
        """Return the area of the outline less that of the holes, in square pixels."""
        outline, *holes = [_area(ring) for ring in self.rings] or [0.0]
        return max(0.0, outline - sum(holes))

    def to_numpy(self) -> list[NDArray[np.float64]]:
        """Return x and y of each point, an array of shape (points, 2) a ring. Needs numpy."""
        return [_array([(each.x, each.y) for each in ring], width=2) for ring in self.rings]


@attrs.frozen(field_transformer=by_annotation)
class Incomplete:
    """A shape with missing coordinates, as the service wrote it.

    The service writes null for all coordinates of a shape if one was never set or is negative.

    Args:
        type: Type of the shape, or None if it is not in the file (member ``geometry``).
        payload: The content of the file, as JSON values.
    """

    type: EntryType | None
    payload: Any


Shape: TypeAlias = Point | Line | Polygon | Rectangle | Segmentation | Incomplete
"""What an annotation outlines."""
SHAPES: Final = get_args(Shape)
_KINDS: Final = (EntryType, NoneType)
FEWEST: Final = {EntryType.LINE: 2, EntryType.POLYGON: 3, EntryType.IMAGE_SEGMENTATION: 3}
"""The fewest points of a shape, or of each of its rings."""


def _bounds(points: Sequence[Point]) -> Bounds:
    if not points:
        raise ValueError("a shape without points has no bounds; check its points first")
    return Bounds(*edges_of(points))


def edges_of(points: Sequence[Point]) -> tuple[float, float, float, float]:
    """Return left, top, right and bottom of at least one point."""
    # A loop takes a third of the time of `min` and `max`, and exports have millions of corners.
    left, top = right, bottom = points[0].x, points[0].y
    for each in points:
        x, y = each.x, each.y
        if x < left:
            left = x
        elif x > right:
            right = x
        if y < top:
            top = y
        elif y > bottom:
            bottom = y
    return left, top, right, bottom


def _area(points: Sequence[Point]) -> float:
    """Return the area within a closed outline (the shoelace formula)."""
    following = (*points[1:], *points[:1])
    twice = sum(a.x * b.y - b.x * a.y for a, b in zip(points, following, strict=True))
    return abs(twice) / 2


def _array(values: Sequence[object], *, width: int | None = None) -> NDArray[np.float64]:
    numpy = extra_module("numpy")  # here, so that only those who ask for arrays need it
    array: NDArray[np.float64] = numpy.asarray(values, dtype=numpy.float64)
    return array if width is None else array.reshape(-1, width)


# --- Labels of an image, and of a task ------------------------------------------------------------


@attrs.frozen
class Form:
    """How a file wrote a value, so that the same file can be written again."""

    members: tuple[str, ...] | None = None  # in order; None if it is of no file
    keys: tuple[str, ...] = ()
    """The keys below ``labels`` or ``nested_geometries`` in order, also empty ones."""
    raw: Mapping[str, tuple[Any, Any]] = attrs.field(factory=dict)
    """For members that a value cannot restore: the content of the file, and the value read."""

    def written(self, member: str, value: V, write: Callable[[V], Any]) -> Any:
        """Return the content of a member: that of the file if the value is unchanged."""
        raw, read = self.raw.get(member, (None, self))
        return raw if read == value else write(value)

    def ordered(self, values: Mapping[str, Any], *, usual: Iterable[str]) -> dict[str, Any]:
        """Return members in the order of the file, then new ones.

        Without a file, the usual ones are written even if they are empty.
        """
        always = set(usual if self.members is None else self.members)
        order = [*(name for name in self.members or () if name in values), *values]
        return {name: values[name] for name in order if name in always or values[name]}

    def has(self, member: str) -> bool:
        return member in (self.members or ())


def to_answers(given: Iterable[Classification]) -> tuple[Classification, ...]:
    return listed("classifications", given, Classification)


def _annotations(given: Iterable[Annotation]) -> tuple[Annotation, ...]:
    return listed("annotations", given, Annotation)


def _values(given: Iterable[str | None]) -> tuple[str | None, ...]:
    return listed("values", given, str, NoneType)


@attrs.frozen
class Classification:
    """An answer to a select, checklist or free text, with the answers nested in it.

    Two are equal if key, values and children are, because exports do not always have the type.

    Args:
        key: Key of the entry.
        values: Keys of the chosen options, or the text. ``(None,)`` if it is unset, as the service
            writes it; ``()`` is sent as an empty list.
        children: The answers nested in it, in order.
        type: SELECT, CHECKLIST or FREETEXT (or RADIO in old exports), or None if unknown.
    """

    key: str
    values: tuple[str | None, ...] = attrs.field(default=(None,), converter=_values)
    children: tuple[Classification, ...] = attrs.field(default=(), converter=to_answers)
    type: EntryType | None = attrs.field(default=None, eq=False)

    def __attrs_post_init__(self) -> None:
        if type(self.key) is not str or type(self.type) not in _KINDS:
            check_is("key", self.key, str)
            check_is("type", self.type, *_KINDS)

    @classmethod
    def select(cls, key: str, option: str | None, *children: Classification) -> Classification:
        """Return the answer to a select: the key of one option, or None for unset."""
        return cls(key, (option,), children, EntryType.SELECT)

    @classmethod
    def checklist(
        cls, key: str, options: Iterable[str], *children: Classification
    ) -> Classification:
        """Return the answer to a checklist: the keys of the ticked options, or none for unset."""
        return cls(key, _values(options) or (None,), children, EntryType.CHECKLIST)

    @classmethod
    def freetext(cls, key: str, text: str | None, *children: Classification) -> Classification:
        """Return the answer to a free text, or None for unset."""
        return cls(key, (text,), children, EntryType.FREETEXT)

    @property
    def is_set(self) -> bool:
        """Return whether there is an answer."""
        return any(value is not None for value in self.values)

    @property
    def value(self) -> str | None:
        """Return the first value: the option of a select, or the text; None if unset."""
        return self.values[0] if self.values else None

    @property
    def options(self) -> tuple[str, ...]:
        """Return the values that are set: the ticked options of a checklist."""
        return tuple(value for value in self.values if value is not None)


def _answer(given: Iterable[Classification], key: str) -> Classification | None:
    return next((each for each in given if each.key == key), None)


@attrs.frozen
class Annotation:
    """A shape under the key of a geometry entry.

    Args:
        key: Key of the entry.
        shape: Its shape.
        classifications: The answers about it.
        nested: The annotations nested in it, one level deep.
        extra: Members of the file that this package does not know, which are written again.
        form: How the file wrote it, or None; ignored in comparisons.
    """

    key: str
    shape: Shape
    classifications: tuple[Classification, ...] = attrs.field(default=(), converter=to_answers)
    nested: tuple[Annotation, ...] = attrs.field(default=(), converter=_annotations)
    extra: Mapping[str, Any] = attrs.field(factory=dict, kw_only=True, repr=False)
    form: Form | None = attrs.field(default=None, kw_only=True, eq=False, repr=False)

    def __attrs_post_init__(self) -> None:
        if type(self.key) is not str or type(self.shape) not in SHAPES:
            check_is("key", self.key, str)
            check_is("shape", self.shape, *SHAPES)

    def classification(self, key: str) -> Classification | None:
        """Return the answer about this object under one key, or None."""
        return _answer(self.classifications, key)


def _media_id(value: MediaId) -> str:
    return id_of(value, "media id")


@attrs.frozen(kw_only=True)
class LabeledImage(Shown):
    """The labels of one image, to be imported or converted.

    Args:
        media_id: UUID of the media, or the media; empty if unknown (files have only names).
        media_name: Name of the media, decoded; not unique across datasets.
        annotations: Its annotations, in order.
        classifications: The answers about the whole image.
        width: Pixels, or None.
        height: Pixels, or None.
    """

    media_id: str = attrs.field(default="", converter=_media_id)
    media_name: str = ""
    annotations: tuple[Annotation, ...] = attrs.field(default=(), converter=_annotations)
    classifications: tuple[Classification, ...] = attrs.field(default=(), converter=to_answers)
    width: int | None = None
    height: int | None = None

    def __attrs_post_init__(self) -> None:
        check_is("media_name", self.media_name, str)
        for name in ("width", "height"):
            value: Any = getattr(self, name)
            if not (value is None or (type(value) is int and -LARGEST <= value <= LARGEST)):
                if not is_number(value) or float(value) % 1:
                    rule = "it must be a whole number or None."
                    raise ConfigurationError(f"{name} is {shown(value)}; {rule}")
                object.__setattr__(self, name, int(value))

    def annotations_of(self, key: str) -> tuple[Annotation, ...]:
        """Return the annotations under one key, in order."""
        return tuple(each for each in self.annotations if each.key == key)

    def classification(self, key: str) -> Classification | None:
        """Return the answer about the whole image under one key, or None."""
        return _answer(self.classifications, key)

    def walk(self) -> Iterator[Annotation]:
        """Yield all annotations, each before those nested in it."""
        for each in self.annotations:
            yield each
            yield from each.nested


@attrs.frozen(kw_only=True)
class LabeledTask(LabeledImage):
    """The labels of one task, as exported.

    Args:
        stored_media_name: Name of the media as the service stores it.
        labeler: User id of the labeler, or None.
        state: COMPLETED, SKIPPED or REVIEWED.
        task_id: UUID of the task, if a URL of a bitmap or video in the file has it.
        segmentations: URLs of the segmentation bitmaps as the service writes them; their host may
            be wrong. `LabelsResource.bitmap` downloads one.
        task_export_url: URL of the labels of a video; None for images.
        video_height: Pixels, or None.
        video_width: Pixels, or None.
        video_total_frames: Number of frames, or None.
        video_frame_rate: Frames a second as a fraction, for example ``"30/1"``, or None.
        video_duration: Seconds, or None.
        extra: As for `Annotation`.
        form: As for `Annotation`.
    """

    stored_media_name: str = attrs.Factory(lambda self: self.media_name, takes_self=True)
    labeler: str | None = None
    state: TaskState
    task_id: str | None = None
    segmentations: tuple[str, ...] = ()
    task_export_url: str | None = None
    video_height: int | None = None
    video_width: int | None = None
    video_total_frames: int | None = None
    video_frame_rate: str | None = None
    video_duration: float | None = None
    extra: Mapping[str, Any] = attrs.field(factory=dict, repr=False)
    form: Form | None = attrs.field(default=None, eq=False, repr=False)
