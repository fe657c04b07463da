"""Findings, and the check of classifications against what an import takes.

An export gives more than an import takes: one value and then one nested answer, or several values
and no nested answer. Those are the rules of the service's schema. What follows them the service
does not check, but stores broken or drops in silence (observed).
"""

from __future__ import annotations

import difflib
import enum
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias

import attrs

from datagym_async._printable import printable
from datagym_async.labels._config_entries import GEOMETRIES
from datagym_async.labels._config_rules import LONGEST_TEXT
from datagym_async.models import EntryType

if TYPE_CHECKING:
    from datagym_async.labels._config_entries import EntryLike

PartPath: TypeAlias = tuple[str | int, ...]
"""The way from a prediction to one of its parts: names of members and indexes of items."""

DRAWN = GEOMETRIES | {EntryType.IMAGE_SEGMENTATION}
"""Types of entries that labellers draw; the others are questions."""

_ONE_CHILD = (
    "an import takes one nested answer a level, and the service refuses the whole request for more;"
    " set the others with `client.values.write`"
)
_VALUES_AND_CHILD = (
    "an import takes no nested answer after several ticked options, and the service refuses the"
    " whole request; set it with `client.values.write`"
)


class Severity(enum.StrEnum):
    """Say how bad a finding is."""

    ERROR = "error"
    """The service refuses it, drops it in silence or stores something broken."""
    WARNING = "warning"
    """The service stores it; somebody should look at it all the same."""


@attrs.frozen
class Finding:
    """One thing that is wrong with a prediction.

    Args:
        path: Where it is.
        message: What is wrong there, and what the service makes of it.
        severity: How bad it is.
        part: The smallest part to leave out so that the rest can go, or None if only the whole
            prediction can be left out.
    """

    path: PartPath
    message: str
    severity: Severity = Severity.ERROR
    part: PartPath | None = attrs.field(default=None, repr=False)

    @property
    def where(self) -> str:
        """Return the path as text, for example ``labels.car[0].rectangle[0].x``."""
        steps = (f"[{step}]" if isinstance(step, int) else f".{step}" for step in self.path)
        return "".join(steps).removeprefix(".")

    def __str__(self) -> str:
        return printable(f"{self.where}: {self.message}" if self.path else self.message)


def error(path: PartPath, message: str, *, part: PartPath | None = None) -> Finding:
    """Return an error that goes with a part; by default with what is at the path."""
    return Finding(path, message, Severity.ERROR, path if part is None else part)


def fatal(path: PartPath, message: str) -> Finding:
    """Return an error for which the whole prediction must be left out."""
    return Finding(path, message)


def warning(path: PartPath, message: str) -> Finding:
    """Return a warning."""
    return Finding(path, message, Severity.WARNING)


def by_key(entries: Iterable[EntryLike] | None, *, drawn: bool) -> dict[str, EntryLike] | None:
    """Return geometries or questions by key; None where the configuration is not known."""
    if entries is None:
        return None
    return {each.key.lower(): each for each in entries if (each.type in DRAWN) is drawn}


def below(entry: EntryLike | None) -> Iterable[EntryLike] | None:
    """Return what is nested in an entry; None where it is not known."""
    return None if entry is None else entry.children


def unknown_key(key: str, known: Mapping[str, EntryLike], what: str) -> str:
    """Return the sentence about a key that the configuration does not have there."""
    near = difflib.get_close_matches(key.lower(), known, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return (
        f"the label configuration has no {what} {key!r} here, and the service refuses the whole"
        f" request for it{hint}"
    )


def check_answers(
    given: object, at: PartPath, entries: Iterable[EntryLike] | None
) -> Iterator[Finding]:
    """Give what is wrong with classifications by key.

    Args:
        given: What stands where an object of classifications should be.
        at: Where it stands.
        entries: The entries that may be answered here, geometries among them or not; None where
            they are not known.
    """
    if not isinstance(given, Mapping):
        yield error(at, _not_a("an object of classifications", given))
        return
    known = by_key(entries, drawn=False)
    for key, answers in given.items():
        here = (*at, key)
        if known is not None and key not in known:
            yield error(here, unknown_key(str(key), known, "classification"))
            continue
        yield from _check_one(answers, here, known[key] if known is not None else None)


def unanswered(
    given: object, at: PartPath, entries: Iterable[EntryLike] | None
) -> Iterator[Finding]:
    """Give a warning for each required classification without an answer, however deep."""
    answers = given if isinstance(given, Mapping) else {}
    for key, entry in (by_key(entries, drawn=False) or {}).items():
        own = answers.get(key)
        items = own if isinstance(own, list | tuple) else ()
        if entry.required and not any(isinstance(each, str) and each for each in items):
            yield warning(
                (*at, key),
                "it is required, and a task without an answer to it cannot be completed",
            )
        nested = next((each for each in items if isinstance(each, Mapping)), {})
        yield from unanswered(nested, (*at, key), entry.children)


def _check_one(answers: object, at: PartPath, entry: EntryLike | None) -> Iterator[Finding]:
    if not isinstance(answers, list | tuple):
        yield error(at, _not_a("an array of values", answers))
        return
    has_child = False
    for index, item in enumerate(answers):
        if isinstance(item, Mapping):
            yield from _check_child(item, (*at, index), entry, has_child=has_child)
            has_child = True
        elif item is None:
            if index > 0:
                message = "null may only stand first; the service refuses the whole request"
                yield error((*at, index), message)
        elif not isinstance(item, str):
            yield error((*at, index), _not_a("a text", item))
    if entry is not None:
        values = [(index, each) for index, each in enumerate(answers) if isinstance(each, str)]
        yield from _check_values(values, at, entry)


def _check_child(
    child: Mapping[str, object], at: PartPath, entry: EntryLike | None, *, has_child: bool
) -> Iterator[Finding]:
    index = at[-1]
    if index == 0:
        yield error(
            at,
            "a value, or null for none, must stand before a nested answer; the service refuses"
            " the whole request",
        )
    elif index != 1:
        yield error(at, _ONE_CHILD if has_child else _VALUES_AND_CHILD)
    elif not child:
        yield error(at, "an empty object fails the whole request (500 ex_system)")
    else:
        first, *others = child
        for key in others:
            yield error((*at, key), f"the service reads {first!r} alone and drops this in silence")
        yield from check_answers({first: child[first]}, at, below(entry))


def _check_values(
    values: Sequence[tuple[int, str]], at: PartPath, entry: EntryLike
) -> Iterator[Finding]:
    if entry.type is EntryType.CHECKLIST:
        for index, value in values:
            if value not in entry.options:
                yield error(
                    (*at, index),
                    f"{value!r} is no option of the checklist; the service stores it all the same,"
                    " and the task cannot be completed",
                )
        return
    if len(values) > 1:
        yield error(
            at,
            f"a {entry.type.value.lower()} takes one value, and the service drops all"
            f" {len(values)} in silence",
        )
        return
    for _, value in values:
        longest = min(entry.max_length or LONGEST_TEXT, LONGEST_TEXT)
        if entry.type is EntryType.FREETEXT and len(value) > longest:
            yield error(
                at,
                f"the text has {len(value)} characters, and {longest} are allowed; the service"
                " stores it as invalid, and the task cannot be completed",
            )
        elif entry.type in {EntryType.SELECT, EntryType.RADIO} and value not in entry.options:
            yield error(
                at, f"{value!r} is no option of the select; the service stores nothing, in silence"
            )


def _not_a(expected: str, value: object) -> str:
    kind = "null" if value is None else type(value).__name__
    return f"{expected} was expected, not {kind}; the service refuses the whole request"
