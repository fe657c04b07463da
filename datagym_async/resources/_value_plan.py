"""What label values become on the label-value routes, checked before anything is sent; pure.

Those routes check nothing themselves (observed): what a task cannot be completed with would only
be found out there.
"""

from __future__ import annotations

from collections.abc import Mapping  # attrs may want it at run time
from typing import TYPE_CHECKING, Any

import attrs

from datagym_async.exceptions import ConfigurationError
from datagym_async.labels import Incomplete, Line, Point, Polygon, Rectangle, Segmentation
from datagym_async.models import EntryType, LabelEntry
from datagym_async.resources._points import points_body

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from datagym_async.labels import Annotation, Classification, LabeledImage, Shape

_QUESTIONS = frozenset({EntryType.SELECT, EntryType.CHECKLIST, EntryType.FREETEXT})
_SHOWN = 5
_LONGEST_TEXT = 255


@attrs.frozen
class PlannedAnswer:
    """What a classification's value will say.

    Args:
        entry: Its entry.
        fields: The members of the request that say it; None leaves the value as it is.
        children: The answers below it.
    """

    entry: LabelEntry
    fields: Mapping[str, Any] | None
    children: tuple[PlannedAnswer, ...] = ()


@attrs.frozen
class PlannedGeometry:
    """A value to be created.

    Args:
        entry: Its entry.
        fields: The members of the request that say what is drawn.
        answers: The answers about it.
        nested: The geometries in it.
    """

    entry: LabelEntry
    fields: Mapping[str, Any]
    answers: tuple[PlannedAnswer, ...] = ()
    nested: tuple[PlannedGeometry, ...] = ()


@attrs.frozen
class Plan:
    """All that is to be written to one task.

    Args:
        geometries: One for each annotation, in order.
        answers: One for each answer about the whole image.
    """

    geometries: tuple[PlannedGeometry, ...]
    answers: tuple[PlannedAnswer, ...]


def plan_values(labels: LabeledImage, entries: Sequence[LabelEntry]) -> Plan:
    """Return what is to be written.

    Raises:
        ConfigurationError: The labels do not fit the configuration; it names the first few misfits.
    """
    planner = _Planner()
    plan = Plan(
        tuple(planner.geometries(labels.annotations, entries, "")),
        tuple(planner.answers(labels.classifications, entries, "")),
    )
    if planner.problems:
        more = len(planner.problems) - _SHOWN
        rest = f"; and {more} more" if more > 0 else ""
        listed = "; ".join(planner.problems[:_SHOWN])
        raise ConfigurationError(
            f"The labels do not fit the label configuration, nothing was written: {listed}{rest}."
        )
    return plan


def shape_fields(shape: Shape) -> dict[str, Any]:
    """Return the members of a request that draw a shape; none for an incomplete one."""
    match shape:
        case Point(x, y):
            return {"x": x, "y": y}
        case Rectangle(x, y, width, height):
            return {"x": x, "y": y, "width": width, "height": height}
        case Line(points) | Polygon(points):
            return {"points": points_body(points)}
        case Segmentation(rings):
            return {"pointsCollection": [{"points": points_body(ring)} for ring in rings]}
    return {}


@attrs.define
class _Planner:
    """Find the entries of labels, and collect what does not fit."""

    problems: list[str] = attrs.field(factory=list)

    def geometries(
        self, annotations: Iterable[Annotation], entries: Iterable[LabelEntry], at: str
    ) -> Iterable[PlannedGeometry]:
        known = {entry.key.lower(): entry for entry in entries if entry.type not in _QUESTIONS}
        for index, each in enumerate(annotations):
            where = f"{at}annotation {index} ({each.key!r})"
            entry = known.get(each.key.lower())
            if entry is None:
                self.problems.append(f"{where} has the key of no geometry there")
            elif self._fits(each.shape, entry, where):
                yield PlannedGeometry(
                    entry,
                    shape_fields(each.shape),
                    tuple(self.answers(each.classifications, entry.children, f"{where}, ")),
                    tuple(self.geometries(each.nested, entry.children, f"{where}, nested ")),
                )

    def _fits(self, shape: Shape, entry: LabelEntry, where: str) -> bool:
        if isinstance(shape, Incomplete):
            self.problems.append(f"{where} is not complete")
        elif shape.type is not entry.type:
            kind = entry.type.value.lower()
            self.problems.append(f"{where} is a {shape.type.value.lower()}, its key is a {kind}'s")
        else:
            return True
        return False

    def answers(
        self, given: Iterable[Classification], entries: Iterable[LabelEntry], at: str
    ) -> Iterable[PlannedAnswer]:
        known = {entry.key.lower(): entry for entry in entries if entry.type in _QUESTIONS}
        for each in given:
            where = f"{at}answer {each.key!r}"
            entry = known.get(each.key.lower())
            if entry is None:
                self.problems.append(f"{where} has the key of no question there")
                continue
            self._check_answer(each, entry, where)
            children = tuple(self.answers(each.children, entry.children, f"{where}, "))
            yield PlannedAnswer(entry, _answer_fields(each, entry), children)

    def _check_answer(self, given: Classification, entry: LabelEntry, where: str) -> None:
        if entry.type is not EntryType.CHECKLIST and len(given.values) > 1:
            self.problems.append(f"{where} has {len(given.values)} values where one is allowed")
        longest = entry.max_length or _LONGEST_TEXT
        for value in given.options:
            if entry.type is EntryType.FREETEXT and len(value) > longest:
                self.problems.append(f"{where} is longer than {longest} characters")
            if entry.type is not EntryType.FREETEXT and value not in entry.options:
                self.problems.append(f"{where} has no option {value!r}")


def _answer_fields(given: Classification, entry: LabelEntry) -> dict[str, Any] | None:
    """Return what answers, or takes the answer back; None where nothing is said at all."""
    if not given.values:
        return None
    if entry.type is EntryType.CHECKLIST:
        return {"checkedValues": list(given.options)}
    name = "selectKey" if entry.type is EntryType.SELECT else "text"
    return {name: given.value}
