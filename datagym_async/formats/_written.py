"""What all writers need from label values: classes with their numbers, and objects of an image.

A class is identified by its name. Its number is its place in the label configuration, which further
labels do not change. First come given classes, with their numbers; then all classes of the
configuration, used or not; then a class for each entry whose select is not always answered; then
classes that are not in the configuration, by name.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any, Final, TypeAlias

import attrs

from datagym_async._checks import PATH, check, listed
from datagym_async.formats._classes import (
    Names,
    class_names,
    composed,
    keyed_name,
    service_key,
)
from datagym_async.formats._losses import (
    CARRIED,
    BrokenError,
    FormatError,
    Losses,
    LossKind,
    answers_set,
    class_answer,
    outlines_of,
)
from datagym_async.formats._mapping import LabelMapping, Place, keypoint_names, places_of
from datagym_async.formats._raw import Category
from datagym_async.formats._reading import names_of, snapped
from datagym_async.formats._reading_yolo import classes_of_yaml
from datagym_async.formats.coco._reading import categories_of
from datagym_async.labels import (
    Annotation,
    Bounds,
    ConfigEntry,
    Incomplete,
    LabelConfig,
    LabeledImage,
    Line,
    Point,
    Rectangle,
    Shape,
)
from datagym_async.labels._config import Entries as GivenEntries
from datagym_async.labels._config import entries_of, grouped
from datagym_async.labels._geometry import clipped, is_finite, moved, sticks_out, with_shapes
from datagym_async.models import EntryType

Fixed: TypeAlias = str | Path | Iterable[str | Category]
"""Classes whose numbers are fixed: a file of them, their names, or categories."""

COVERING: Final = frozenset({EntryType.RECTANGLE, EntryType.POLYGON, EntryType.IMAGE_SEGMENTATION})
_LAST_NUMBER: Final = 100_000
_Place: TypeAlias = tuple[str, str, str]
"""A class in a configuration: keys of the entry around its entry, of its entry, of its option."""


# --- Given classes --------------------------------------------------------------------------------


def given_classes(given: Fixed) -> Fixed:
    """Return given classes unchanged if they are a file, else as a tuple, checked."""
    return given if isinstance(given, str | Path) else listed("classes", given, str, Category)


def classes_from(given: Fixed) -> tuple[Category, ...]:
    """Return the classes of a file in the order of their numbers.

    Args:
        given: A ``data.yaml`` of YOLO (`names`, `kpt_names`), a COCO file (`categories`), or any
            other file with one name a line. Or names, counted from 0, or categories.

    Raises:
        FormatError: It cannot be read, has no classes, or has one of them twice.
    """
    given = given_classes(given)
    if not isinstance(given, str | Path):
        every = enumerate(given)
        found = [each if isinstance(each, Category) else Category(n, each) for n, each in every]
        return _distinct(found, "the classes given")
    check(PATH, classes=given)
    path = Path(given)
    try:
        if (suffix := path.suffix.lower()) == ".json":
            found = categories_of(path)
        else:
            if suffix in {".yaml", ".yml"}:
                numbered = classes_of_yaml(path)
            else:
                numbered = {at: Category(at, name) for at, name in names_of(path).items()}
            if (last := max(numbered, default=-1)) > _LAST_NUMBER:
                raise BrokenError(f"it counts to {last}")
            # A number without a name keeps its place: trainers need numbers without gaps.
            numbers = range(last + 1)
            found = [numbered.get(at) or Category(at, f"unused {at}") for at in numbers]
    except FormatError:
        raise
    except OSError as error:
        raise FormatError(f"{path} cannot be read: {error.strerror or error}") from error
    except Exception as error:  # each of the three kinds of file has errors of its own
        raise FormatError(f"{path} lists no classes that can be read: {error}") from error
    if not found:
        raise FormatError(
            f"{path} lists no classes; what is read of it are the names of a data.yaml, "
            "the categories of a COCO file, or a name a line"
        )
    return _distinct(found, str(path))


def _distinct(found: Iterable[Category], where: str) -> tuple[Category, ...]:
    seen: set[object] = set()
    kept = tuple(found)
    for each in kept:
        for what in (each.id, each.names):
            if what in seen:
                raise FormatError(f"{where}: the class {each.name!r} or its number is there twice")
            seen.add(what)
    return kept


# --- All classes of a dataset ---------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class WrittenClass:
    at: int  # its place among all classes, from 0: its number in YOLO
    category: Category  # as COCO has it
    text: str  # for files with names alone: with the group before it if needed
    keypoints: tuple[str, ...]  # their names, each once
    points: Mapping[str, int]  # keys of keypoints, to their places among these

    def point(self, key: str) -> str:
        return self.keypoints[self.points[key]]


@attrs.define
class _Known:
    """A class of the configuration, or one found in images."""

    names: Names
    points: dict[str, str]  # key to name of its keypoints, in order
    around: str = ""  # the text of the entry that its own is nested in
    is_rest: bool = False  # of objects whose entry has a select that is not answered
    shared: str = ""  # its name without its keys, if other entries have the same one


@attrs.frozen
class Classes:
    """The classes of a dataset, with their numbers."""

    all: tuple[WrittenClass, ...]
    _mapping: LabelMapping
    _of: Mapping[_Place, WrittenClass]
    _known: Mapping[_Place, _Known]

    def of(self, annotation: Annotation, parent: Annotation | None) -> WrittenClass:
        return self._of[_place_of(annotation, parent, self._mapping, self._known)]


def classes_of(
    images: Iterable[LabeledImage],
    mapping: LabelMapping,
    config: GivenEntries,
    fixed: Fixed,
    losses: Losses,
    types: frozenset[EntryType] = COVERING,
    written: Callable[[str], str] | None = None,
    *,
    has_list: bool = True,
) -> Classes:
    """Return the classes of a dataset; names that had to be changed for it are counted.

    Those that are `fixed` come first; errors as for `classes_from`. Entries of these types are
    classes. `written` gives a name in the characters that a format can hold; it is None for COCO,
    where a name has its group beside it. Names of unused classes count if the format lists them.
    """
    known: dict[_Place, _Known] = {}
    for entry in entries_of(config):
        _enter(known, entry, None, mapping, types)
    # Classes and keypoints that only images have.
    found: dict[_Place, set[str]] = {}
    for image in images:
        for each, parent in with_parents(image):
            drawn = {inner.key for inner in each.nested if isinstance(inner.shape, Point)}
            is_drawn = isinstance(each.shape, Line) or (
                not parent and isinstance(each.shape, Point)
            )
            # Where points are drawn, keypoints are, too, even if the shape around them is not.
            holds = drawn and EntryType.POINT in types
            if outlines_of(each) or holds or (is_drawn and each.shape.type in types):
                at = _place_of(each, parent, mapping, known)
                found.setdefault(at, set()).update(drawn)
    strangers = {}
    for at in found.keys() - known.keys():
        _, key, option = at
        pair = (key, option) if mapping.by == "category" or not option else (option, key)
        strangers[at] = _Known(pair, {})
    known |= sorted(strangers.items(), key=lambda each: (each[1].names, each[0]))
    _tell_apart(known)
    # Given classes with their places, and then all others in order.
    given = classes_from(fixed)
    listed = _placed(given, known, mapping, LabelConfig(entries_of(config)))
    orders_points = any(each.keypoints for each in given)
    free = count(max((each.id for each in given), default=0) + 1)
    placed = {at for _, at, _ in listed}
    needs_rest = any(known[at].is_rest for at in found.keys() - placed)
    others = [at for at in known if at not in placed and (needs_rest or not known[at].is_rest)]
    for at in sorted(others, key=lambda at: (at in strangers, known[at].is_rest)):
        listed.append((Category(next(free), *known[at].names), at, {}))
        if known[at].shared and (has_list or at in found):
            losses.add(LossKind.COLLISION, f"{known[at].shared!r} is {known[at].names[0]!r}")
    told = [losses if has_list or at in found else None for _, at, _ in listed]
    texts = _texts([each for each, *_ in listed], told, written)
    every: list[WrittenClass] = []
    of: dict[_Place, WrittenClass] = {}
    for (category, place, sure), text in zip(listed, texts, strict=True):
        points = known[place].points if place else {}
        drawn = found.get(place, set()) if place else set()
        new = {key: key for key in sorted(drawn - points.keys(), key=_numbered)}
        if orders_points and len(every) < len(given):  # of others only those that are drawn
            points = {key: name for key, name in points.items() if key in drawn}
        names, numbers = _keypoints(category, {**points, **new}, sure)
        if sum(numbers[key] >= len(category.keypoints) for key in new) > 1:
            losses.add(LossKind.ORDER, category.name)
        whole = attrs.evolve(category, keypoints=names)
        one = WrittenClass(
            at=len(every),
            category=whole,
            text=text,
            keypoints=keypoint_names(whole),
            points=numbers,
        )
        every.append(one)
        if place:
            of[place] = one
    return Classes(tuple(every), mapping, of, known)


def _numbered(key: str) -> list[str | int]:
    """Return the parts of a key by which `keypoint_2` comes before `keypoint_10`."""
    return [int(each) if each.isdecimal() else each for each in re.split(r"(\d+)", key)]


def _enter(
    known: dict[_Place, _Known],
    entry: ConfigEntry,
    parent: ConfigEntry | None,
    mapping: LabelMapping,
    types: frozenset[EntryType],
) -> None:
    """Add the classes of an entry, and of those nested in it."""
    if entry.type in types and not (parent and entry.type is EntryType.POINT):
        drawn = [each for each in entry.children if each.type is EntryType.POINT]
        points = {each.key: each.value or each.key for each in drawn}
        inner, own = parent.key if parent else "", composed(entry.value or entry.key)
        around = composed(parent.value or parent.key) if parent else ""
        selects = (each for each in entry.children if each.type is EntryType.SELECT)
        options = next((each.options for each in selects if each.key == mapping.select_key), {})
        for key, text in options.items():
            answer = composed(text or key)
            pair = (own, answer) if mapping.by == "category" else (answer, own)
            known[inner, entry.key, key] = _Known(pair, points, around)
        # If the group is the answer and there is only one, shapes without an answer have it.
        if mapping.by == "supercategory" or len(options) != 1:
            known[inner, entry.key, ""] = _Known((own, ""), points, around, is_rest=bool(options))
    for child in entry.children:
        _enter(known, child, entry, mapping, types)


def _place_of(
    annotation: Annotation,
    parent: Annotation | None,
    mapping: LabelMapping,
    known: Mapping[_Place, _Known],
) -> _Place:
    inner, key = parent.key if parent else "", annotation.key
    answer = class_answer(annotation, mapping.select_key)
    option = (answer and answer.value) or ""
    if not option and (inner, key, "") not in known:
        option = next((at[2] for at in known if at[:2] == (inner, key)), "")
    return inner, key, option


def _tell_apart(known: Mapping[_Place, _Known]) -> None:
    """Give different names to classes of several entries with one name and one group.

    The group of a nested entry is the entry around it. If that is not enough, keys are appended.
    """
    for is_last in (False, True):
        for names, places in grouped((each.names, at) for at, each in known.items()).items():
            for at in places if len(places) > 1 else ():
                name, group = names
                if is_last:
                    known[at].names = (keyed_name(name, *at), group)
                    known[at].shared = name
                elif not group:
                    known[at].names = (name, known[at].around)


def _placed(
    fixed: Sequence[Category],
    known: Mapping[_Place, _Known],
    mapping: LabelMapping,
    config: LabelConfig,
) -> list[tuple[Category, _Place | None, dict[str, int]]]:
    """Return each given class with its place, if there is one, and the keys of its keypoints.

    The surest ways come first: the name with its group, the text that files have, the result of an
    import (`places_of`), and the name alone. A class that could mean several places gets none. The
    keys are those of an import, each with its place in the category.
    """
    texts = class_names(each.names for each in known.values())
    pairs = [each.names for each in fixed]
    found = places_of(fixed, mapping, config if len(config) else None) if fixed else {}
    imported = [found.get((pair, EntryType.RECTANGLE)) for pair in pairs]
    ways: list[tuple[Sequence[object], Mapping[_Place, object]]] = [
        (pairs, {at: each.names for at, each in known.items()}),
        ([name for name, _ in pairs], {at: texts[each.names] for at, each in known.items()}),
        (
            [(e.key, e.option or "") if isinstance(e, Place) else None for e in imported],
            {at: at[1:] for at in known if not at[0]},
        ),
        ([name for name, _ in pairs], {at: each.names[0] for at, each in known.items()}),
    ]
    means: dict[int, _Place] = {}
    for theirs, ours in ways:
        taken = {*means.values()}
        left = grouped((value, n) for n, value in enumerate(theirs) if n not in means)
        free = grouped((value, at) for at, value in ours.items() if at not in taken)
        for value, places in free.items():
            if len(places) == len(left.get(value, ())) == 1:
                means[left[value][0]] = places[0]
    placed = []
    for number, (category, each) in enumerate(zip(fixed, imported, strict=True)):
        keys = each.points if isinstance(each, Place) else {}
        names = enumerate(keypoint_names(category))
        points = {keys[name]: at for at, name in names if name in keys}
        placed.append((category, means.get(number), points))
    return placed


def _texts(
    listed: Sequence[Category],
    told: Sequence[Losses | None],
    written: Callable[[str], str] | None,
) -> list[str]:
    """Return the unique name of each class for files with names only.

    Changed names are counted in its losses, unless it has none.
    """
    pairs = [each.names for each in listed]
    if written is None:
        return [name for name, _ in pairs]
    texts, found = class_names(pairs), dict[str, None]()
    for pair, own in zip(pairs, told, strict=True):
        losses = Losses() if own is None else own
        text, fit = texts[pair], written(texts[pair])
        if text != pair[0]:
            losses.add(LossKind.SCOPE, f"{pair[0]!r} is {text!r}")
        if fit != text:
            losses.add(LossKind.CHARACTERS, f"the class {text!r}")
        tried = (fit if number == 1 else f"{fit}_{number}" for number in count(1))
        found[one := next(each for each in tried if each not in found)] = None
        if one != fit:
            losses.add(LossKind.COLLISION, f"{text!r} is {one!r}")
    return [*found]


def _keypoints(
    category: Category, drawn: Mapping[str, str], by_key: Mapping[str, int]
) -> tuple[tuple[str, ...], dict[str, int]]:
    """Return the names of all keypoints of a class, and the place of each key among them.

    Those of the category come first. Others are drawn, or in the configuration: `drawn` has their
    names by key. `by_key` has the places that are sure.
    """
    names = [*category.keypoints]
    by_name = {name: number for number, name in enumerate(keypoint_names(category))}
    likely = {service_key(name): number for name, number in by_name.items()}
    numbers = dict[str, int]()
    for key, name in drawn.items():
        number = by_key.get(key, by_name.get(composed(name), likely.get(key)))
        if number is None or number in numbers.values():  # two points may have one text
            number = len(names)
            names.append(name)
        numbers[key] = number
    return tuple(names), numbers


# --- Objects of an image --------------------------------------------------------------------------


def with_parents(image: LabeledImage) -> Iterator[tuple[Annotation, Annotation | None]]:
    for each in image.annotations:
        yield each, None
        for inner in each.nested:
            yield inner, each


@attrs.frozen(kw_only=True)
class Shown:
    """An object that covers something: its parts, of which there may be several."""

    parts: Sequence[Annotation]
    kind: WrittenClass
    where: str  # for people: the image and the key

    @property
    def is_box(self) -> bool:
        """Return whether it is only an upright rectangle."""
        return len(self.parts) == 1 and isinstance(self.parts[0].shape, Rectangle)

    @property
    def rings(self) -> list[list[Sequence[Point]]]:
        """Return the outline of each part, and then the holes in it."""
        return [outlines_of(each) for each in self.parts]

    @property
    def bounds(self) -> Bounds:
        """Return the edges of the box around all parts."""
        found = [each.shape for each in self.parts if not isinstance(each.shape, Incomplete)]
        left, top, right, bottom = zip(*(each.bounds for each in found), strict=True)
        return Bounds(min(left), min(top), max(right), max(bottom))

    def joints(self, losses: Losses) -> dict[str, tuple[float, float, int]]:
        """Return x, y and visibility of its keypoints by their names; repeated ones are counted."""
        found: dict[str, tuple[float, float, int]] = {}
        for each in (inner for part in self.parts for inner in part.nested):
            if isinstance(each.shape, Point):
                name = self.kind.point(each.key)
                if name in found:
                    losses.add(LossKind.POINT, f"{self.where}.{each.key}")
                else:
                    found[name] = (each.shape.x, each.shape.y, carried(each).get("v", 2))
        return found


def carried(annotation: Annotation) -> Mapping[str, Any]:
    """Return the data of an annotation from its COCO file."""
    found = annotation.extra.get(CARRIED)
    return found if isinstance(found, Mapping) else {}


def shown_on(image: LabeledImage, classes: Classes, losses: Losses) -> list[Shown]:
    """Return the objects that cover something, joined as they were in COCO; count the others."""
    kinds = {Point: LossKind.POINT, Line: LossKind.LINE}
    groups: dict[object, tuple[list[Annotation], Annotation | None]] = {}
    for at, (each, parent) in enumerate(with_parents(image)):
        if parent and isinstance(each.shape, Point):
            if not outlines_of(parent):
                losses.add(LossKind.POINT, f"{image.media_name}: {each.key}")
            continue  # else a keypoint
        if not outlines_of(each):
            kind = kinds.get(type(each.shape), LossKind.INCOMPLETE)
            losses.add(kind, f"{image.media_name}: {each.key}")
            continue
        if parent:
            losses.add(LossKind.NESTING, f"{image.media_name}: {each.key}")
        own = None if parent else carried(each).get("id")
        answers = tuple((answer.key, answer.values) for answer in each.classifications)
        name = at if own is None else (each.key, answers, own)
        groups.setdefault(name, ([], parent))[0].append(each)
    return [
        Shown(
            parts=parts,
            kind=classes.of(parts[0], parent),
            where=f"{image.media_name}: {parts[0].key}",
        )
        for parts, parent in groups.values()
    ]


def count_answers(
    image: LabeledImage, select: str, losses: Losses, kept: Collection[str] = ()
) -> None:
    """Count the answers that a file cannot express: all but the class, and some about the image."""
    for each, _ in with_parents(image):
        where = f"{image.media_name}: {each.key}."
        for lost, _ in answers_set(where, each.classifications, but=class_answer(each, select)):
            losses.add(LossKind.CLASSIFICATION, lost)
    for answer in image.classifications:
        but = answer if answer.key in kept else None
        for lost, _ in answers_set(f"{image.media_name}: ", [answer], but=but):
            losses.add(LossKind.CLASSIFICATION, lost)


def finite(image: LabeledImage) -> LabeledImage:
    """Return an image in which shapes with NaN, infinity or absurd coordinates are incomplete."""

    def checked(annotation: Annotation) -> list[Shape]:
        shape = annotation.shape
        return [shape if is_finite(shape) else Incomplete(shape.type, None)]

    if all(is_finite(each.shape) for each in image.walk()):
        return image
    return with_shapes(image, checked)


def within_edges(image: LabeledImage, losses: Losses, *, clip: bool) -> LabeledImage:
    """Return an image whose shapes end at its edges, if its size is known.

    Shapes that extend beyond it by rounding errors (`TOLERANCE`) are moved to the edge. Others are
    cut off on request, and counted in any case.
    """
    width, height = image.width, image.height
    if not width or not height:
        return image
    if not any(sticks_out(each.shape, width, height) for each in image.walk()):
        return image

    def snap(x: float, y: float) -> Point:
        return Point(snapped(x, width), snapped(y, height))

    def fit(annotation: Annotation) -> list[Shape]:
        shape, where = annotation.shape, f"{image.media_name}: {annotation.key}"
        kept = [shape]
        if sticks_out(shape, width, height):
            kept = [shape := moved(shape, snap)]
        if sticks_out(shape, width, height):
            kept = clipped(shape, width, height) if clip else kept
            kind = LossKind.OUTSIDE if not clip else LossKind.CLIPPED if kept else LossKind.EMPTY
            losses.add(kind, where)
        for inner in annotation.nested if not kept else ():
            losses.add(LossKind.EMPTY, f"{where}.{inner.key}")
        return kept

    return with_shapes(image, fit)
