"""Findings, and the check of classifications and geometries against the rules of an import.

An export can contain more than an import accepts: for answers one value and then one nested answer,
or several values and no nested answer. Those are the rules of the service's schema. Data that
follows them the service does not check further, but stores broken or silently drops (observed).
"""

from __future__ import annotations

import difflib
import enum
import math
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from numbers import Real  # those of numpy are such
from typing import TypeAlias, cast

import attrs

from datagym_async._json import LARGEST
from datagym_async._printable import printable
from datagym_async.labels._config import LONGEST_TEXT
from datagym_async.labels._config_entries import GEOMETRIES, EntryLike
from datagym_async.labels._payload_annotations import CLASSIFICATIONS, NESTED, SHAPE_MEMBERS
from datagym_async.labels._values import FEWEST
from datagym_async.models import EntryType

PartPath: TypeAlias = tuple[str | int, ...]
"""The path to a part of a prediction: names of members and indexes of items."""

_DRAWN = GEOMETRIES | {EntryType.IMAGE_SEGMENTATION}
"""Types of entries that labellers draw; the others are questions."""

_ONE_CHILD = (
    "an import accepts one nested answer on each level, and the service refuses the whole "
    "request for more; set the others with `client.values.write`"
)
_VALUES_AND_CHILD = (
    "an import accepts no nested answer after several ticked options, and the service refuses the"
    " whole request; set it with `client.values.write`"
)


class Severity(enum.StrEnum):
    """How bad a finding is."""

    ERROR = "error"
    """The service refuses it, drops it without an error or stores something broken."""
    WARNING = "warning"
    """The service stores it, but somebody should look at it."""


@attrs.frozen
class Finding:
    """A problem of a prediction.

    Args:
        path: Its place.
        message: The problem, and what the service does with it.
        severity: How bad it is.
        part: The smallest part to leave out so that the rest can be imported; None if the whole
            prediction must be left out.
        alone: Whether the part is left out even without ``partial``: a shape beyond the edge of an
            image does not affect its other labels.
        kind: The message by which findings are counted together; by default without numbers and
            ids.
    """

    path: PartPath
    message: str
    severity: Severity = Severity.ERROR
    part: PartPath | None = attrs.field(default=None, repr=False)
    alone: bool = attrs.field(default=False, repr=False)
    kind: str = attrs.field(
        default=attrs.Factory(lambda self: kind_of(self.message), takes_self=True), repr=False
    )

    @property
    def where(self) -> str:
        """Return the path as text, for example ``labels.car[0].rectangle[0].x``."""
        steps = (f"[{step}]" if isinstance(step, int) else f".{step}" for step in self.path)
        return "".join(steps).removeprefix(".")

    def __str__(self) -> str:
        return printable(f"{self.where}: {self.message}" if self.path else self.message)


# Names in quotes stay, because they are keys. An unclosed quote ends with the text; an apostrophe
# in a word is not a quote.
_DIFFERS = re.compile(
    r"""((?<!\w)'(?:[^'\\]|\\.)*+(?:'|\\?\Z)|"(?:[^"\\]|\\.)*+(?:"|\\?\Z))|"""
    r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|-?\b\d[\d,.]*(?:e[+-]?\d+)?(?<![.,])"
)


def kind_of(message: str) -> str:
    return _DIFFERS.sub(lambda found: found[1] or "...", message)


def error(
    path: PartPath, message: str, *, part: PartPath | None = None, alone: bool = False
) -> Finding:
    """Return an error for a part to leave out; by default the one at the path."""
    return Finding(path, message, Severity.ERROR, path if part is None else part, alone)


def warning(path: PartPath, message: str) -> Finding:
    return Finding(path, message, Severity.WARNING)


def _by_key(entries: Iterable[EntryLike] | None, *, drawn: bool) -> dict[str, EntryLike] | None:
    """Return geometries or questions by key; None if the configuration is unknown."""
    if entries is None:
        return None
    return {each.key.lower(): each for each in entries if (each.type in _DRAWN) is drawn}


def _below(entry: EntryLike | None) -> Iterable[EntryLike] | None:
    """Return the entries nested in an entry; None if unknown."""
    return None if entry is None else entry.children


def _unknown_key(key: str, known: Mapping[str, EntryLike], what: str) -> str:
    """Return the sentence about a key that the configuration does not have in this place."""
    near = difflib.get_close_matches(key.lower(), known, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return (
        f"the label configuration has no {what} {key!r} here, and the service refuses the whole"
        f" request for it{hint}"
    )


def check_answers(
    given: object, at: PartPath, entries: Iterable[EntryLike] | None
) -> Iterator[Finding]:
    """Yield the problems of a value that should be an object of classifications.

    The entries may include geometries; None if they are unknown, here and below.
    """
    if not isinstance(given, Mapping):
        yield error(at, not_a("an object of classifications", given))
        return
    known = _by_key(entries, drawn=False)
    for key, answers in given.items():
        here = (*at, key)
        if known is not None and key not in known:
            yield error(here, _unknown_key(str(key), known, "classification"))
            continue
        yield from _check_question(answers, here, known[key] if known is not None else None)


def unanswered(
    given: object, at: PartPath, entries: Iterable[EntryLike] | None
) -> Iterator[Finding]:
    """Yield a warning for each required classification without an answer, at any depth."""
    answers = given if isinstance(given, Mapping) else {}
    for key, entry in (_by_key(entries, drawn=False) or {}).items():
        own = answers.get(key)
        items = own if isinstance(own, list | tuple) else ()
        if entry.required and not any(isinstance(each, str) and each for each in items):
            yield warning(
                (*at, key), "it is required, and a task without an answer to it cannot be completed"
            )
        nested = next((each for each in items if isinstance(each, Mapping)), {})
        yield from unanswered(nested, (*at, key), entry.children)


def _check_question(answers: object, at: PartPath, entry: EntryLike | None) -> Iterator[Finding]:
    if not isinstance(answers, list | tuple):
        yield error(at, not_a("an array of values", answers))
        return
    has_child = False
    for index, item in enumerate(answers):
        here = (*at, index)
        match item:
            case Mapping() if index == 0:
                yield error(
                    here,
                    "a value, or null for none, must come before a nested answer; the service"
                    " refuses the whole request",
                )
            case Mapping() if index > 1:
                yield error(here, _ONE_CHILD if has_child else _VALUES_AND_CHILD)
            case Mapping() if not item:
                yield error(here, "an empty object fails the whole request (500 ex_system)")
            case Mapping():
                first, *others = item
                for key in others:
                    message = f"the service reads {first!r} and drops this without an error"
                    yield error((*here, key), message)
                yield from check_answers({first: item[first]}, here, _below(entry))
            case None if index > 0:
                message = "null is only allowed first; the service refuses the whole request"
                yield error(here, message)
            case _ if not isinstance(item, str | None):
                yield error(here, not_a("a text", item))
        has_child = has_child or isinstance(item, Mapping)
    if entry is not None:
        values = [(index, each) for index, each in enumerate(answers) if isinstance(each, str)]
        yield from _check_values(values, at, entry)


def _check_values(
    values: Sequence[tuple[int, str]], at: PartPath, entry: EntryLike
) -> Iterator[Finding]:
    if entry.type is EntryType.CHECKLIST:
        for index, value in values:
            if value not in entry.options:
                yield error(
                    (*at, index),
                    f"{value!r} is not an option of the checklist; the service stores it "
                    "nevertheless, and the task cannot be completed",
                )
    elif len(values) > 1:
        yield error(
            at,
            f"a {entry.type.value.lower()} takes one value, and the service drops all"
            f" {len(values)} in silence",
        )
    elif values:
        value, longest = values[0][1], min(entry.max_length or LONGEST_TEXT, LONGEST_TEXT)
        if entry.type is EntryType.FREETEXT and len(value) > longest:
            yield error(
                at,
                f"the text has {len(value)} characters, and {longest} are allowed; the service"
                " stores it as invalid, and the task cannot be completed",
            )
        elif entry.type in {EntryType.SELECT, EntryType.RADIO} and value not in entry.options:
            yield error(
                at,
                f"{value!r} is not an option of the select; the service stores nothing and "
                "reports no error",
            )


def not_a(expected: str, value: object, refused: str = "the whole request") -> str:
    kind = "null" if value is None else type(value).__name__
    return f"{expected} was expected, not {kind}; the service refuses {refused}"


# --- Geometries, those nested in them, and their coordinates --------------------------------------

_MEMBERS = SHAPE_MEMBERS.keys() | {CLASSIFICATIONS, NESTED}
_COUNTS = {
    EntryType.POINT: range(1, 2),
    EntryType.RECTANGLE: range(1, 2),
    EntryType.LINE: range(FEWEST[EntryType.LINE], sys.maxsize),
    EntryType.POLYGON: range(FEWEST[EntryType.POLYGON], sys.maxsize),
}
_NO_COORDINATES = "it has no coordinates; the service stores an invalid label"
_NO_SEGMENTATION = (
    "the service cannot import segmentations: it drops the points or refuses the whole request;"
    " write it with `client.values.write`"
)

Frame: TypeAlias = tuple[int | None, int | None]
"""Width and height of the image, in pixels; None where that is not known."""


def is_beyond(edge: float, limit: float) -> bool:
    """Return whether an edge is beyond its image's, or NaN; 0.1 + 0.2 is not beyond 0.3."""
    return not (edge <= limit or math.isclose(edge, limit))


def check_geometries(
    given: object,
    at: PartPath,
    entries: Iterable[EntryLike] | None,
    frame: Frame,
    *,
    nested: bool = False,
) -> Iterator[Finding]:
    """Yield the problems of a value that should be geometries; `nested` ones are in another one."""
    if not isinstance(given, Mapping):
        yield error(at, "an object of geometries was expected; the service refuses or ignores it")
        return
    known = _by_key(entries, drawn=True)
    for key, drawn in given.items():
        here = (*at, key)
        if known is not None and str(key).lower() not in known:
            yield error(here, _unknown_key(str(key), known, "geometry"))
        elif not isinstance(drawn, list | tuple):
            yield error(here, "an array of geometries was expected; the service refuses it")
        else:
            entry = known[str(key).lower()] if known is not None else None
            for index, each in enumerate(drawn):
                yield from _check_geometry(each, (*here, index), entry, frame, nested=nested)


def _check_geometry(
    drawn: object, at: PartPath, entry: EntryLike | None, frame: Frame, *, nested: bool
) -> Iterator[Finding]:
    if not isinstance(drawn, Mapping):
        yield error(at, "an object was expected; the service refuses the whole request")
        return
    # Unknown members of a geometry: refused at the root, ignored below.
    for name in [each for each in drawn if each not in _MEMBERS]:
        if nested and name != "additionalProperties":
            yield warning((*at, name), "the service ignores it")
        else:
            message = "the service does not know this member and refuses the whole request"
            yield error((*at, name), message)
    yield from _check_shape(drawn, at, entry, frame)
    # The answers, also missing ones.
    where = (*at, CLASSIFICATIONS)
    if CLASSIFICATIONS in drawn:
        yield from check_answers(drawn[CLASSIFICATIONS], where, _below(entry))
    yield from unanswered(drawn.get(CLASSIFICATIONS), where, _below(entry))
    if inner := drawn.get(NESTED):
        where = (*at, NESTED)
        if nested:
            yield error(
                where, "geometries nest one level deep; the service drops this without an error"
            )
        else:
            yield from check_geometries(inner, where, _below(entry), frame, nested=True)


def _check_shape(
    drawn: Mapping[str, object], at: PartPath, entry: EntryLike | None, frame: Frame
) -> Iterator[Finding]:
    given = [name for name in SHAPE_MEMBERS if name in drawn]
    wanted = entry.type if entry is not None else None
    if "image_segmentation" in given or wanted is EntryType.IMAGE_SEGMENTATION:
        yield error(at, _NO_SEGMENTATION)
    elif not given:
        yield error(at, _NO_COORDINATES)
    elif len(given) > 1:
        yield error(at, f"it has {' and '.join(given)}, and the service keeps only one of them")
    elif entry is not None and SHAPE_MEMBERS[given[0]] not in {None, wanted}:
        yield error(
            (*at, given[0]),
            f"{entry.key!r} is a {entry.type.value.lower()}, not a {given[0]}; the service stores"
            " an invalid label without a word, or refuses the whole request",
            part=at,
        )
    else:
        shape = wanted if wanted in _DRAWN else SHAPE_MEMBERS[given[0]]
        yield from _check_points(drawn[given[0]], (*at, given[0]), shape, frame)


def _check_points(
    points: object, at: PartPath, shape: EntryType | None, frame: Frame
) -> Iterator[Finding]:
    """Yield the problems of coordinates, for which the whole geometry is left out."""
    part = at[:-1]
    if not isinstance(points, list | tuple):
        yield error(at, "an array of coordinates was expected; the service refuses it", part=part)
        return
    count = len(points)
    if shape not in _COUNTS and not count:
        yield error(at, _NO_COORDINATES, part=part)
        return
    if shape in _COUNTS and count not in _COUNTS[shape]:
        least = _COUNTS[shape].start
        bound = "exactly 1" if least == 1 else f"at least {least}"
        what = "rectangle" if shape is EntryType.RECTANGLE else "point"
        yield error(
            at,
            f"a {shape.value.lower()} takes {bound} {what}{'s' if least > 1 else ''}, not {count};"
            " the service refuses it, or stores an invalid label",
            part=part,
        )
        return
    # The first error is enough to leave it out.
    found = (_point_problem(point, (*at, index), shape) for index, point in enumerate(points))
    if wrong := next(filter(None, found), None):
        yield attrs.evolve(wrong, part=part)
        return
    # Points beyond the image are stored as they are, and worth a warning.
    for name, length, limit in zip("xy", "wh", frame, strict=True):
        edges = (float(point[name]) + float(point.get(length, 0)) for point in points)
        if limit is not None and is_beyond(farthest := max(edges), limit):
            yield warning(at, f"it extends to {name}={farthest:g}, but the image ends at {limit}")


def _point_problem(point: object, at: PartPath, shape: EntryType | None) -> Finding | None:
    if not isinstance(point, Mapping):
        return error(at, "an object with x and y was expected; the service refuses it")
    is_rectangle = shape is EntryType.RECTANGLE or (shape is None and "w" in point)
    names = "xywh" if is_rectangle else "xy"
    if point.keys() != set(names):
        message = f"it must have {', '.join(names)} and nothing else; the service refuses it"
        return error(at, message)
    for name, value in point.items():
        if wrong := _coordinate_problem(value):
            # Beyond the left or upper edge it is a shape like others; a width below 0 is not.
            is_beyond = name in ("x", "y") and wrong.endswith(_NEGATIVE)
            hint = "; clip=True cuts shapes off at the edges of the image" if is_beyond else ""
            return error((*at, name), wrong + hint, alone=is_beyond)
    return None


_NEGATIVE = "is negative, and the service refuses it"


def _coordinate_problem(value: object) -> str:
    if isinstance(value, str):
        fits = value.isascii() and value.isdigit()
        return "" if fits else f"{value!r} is not a number; as text, only digits are accepted"
    if value is None:
        return "it is null, which exports write for missing coordinates; the service refuses it"
    if isinstance(value, bool) or not isinstance(value, int | float | Real):
        return f"a number was expected, not {type(value).__name__}; the service refuses it"
    if not -LARGEST <= cast("float", value) <= LARGEST:  # also NaN
        return "it is too large, or no finite number, which JSON cannot represent"
    return f"{value} {_NEGATIVE}" if value < 0 else ""
