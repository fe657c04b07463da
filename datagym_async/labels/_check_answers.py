"""Checking classifications against what an import takes: stricter than what an export gives.

An import takes one value and then one nested answer, or several values and no nested answer. The
rules are those of the service's schema; what follows it is not checked by the service, but stored
broken or dropped in silence.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from datagym_async.labels._check_entries import below, questions, unknown_key
from datagym_async.labels._check_findings import Finding, Path, error, warning
from datagym_async.models import EntryType

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from datagym_async.labels._config_entries import EntryLike

_LONGEST = 255
"""Characters of the longest text that the service's database holds."""
_ONE_CHILD = (
    "an import takes one nested answer a level, and the service refuses the whole request for more;"
    " set the others with `client.values.write`"
)
_VALUES_AND_CHILD = (
    "an import takes no nested answer after several ticked options, and the service refuses the"
    " whole request; set it with `client.values.write`"
)


def check_answers(
    given: object, at: Path, entries: Iterable[EntryLike] | None
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
    known = questions(entries)
    for key, answers in given.items():
        here = (*at, key)
        if known is not None and key not in known:
            yield error(here, unknown_key(str(key), known, "classification"))
            continue
        yield from _check_one(answers, here, known[key] if known is not None else None)


def unanswered(given: object, at: Path, entries: Iterable[EntryLike] | None) -> Iterator[Finding]:
    """Give a warning for each required classification without an answer, however deep."""
    answers = given if isinstance(given, Mapping) else {}
    for key, entry in (questions(entries) or {}).items():
        own = items(answers.get(key))
        if entry.required and not any(isinstance(each, str) and each for each in own):
            yield warning(
                (*at, key),
                "it is required, and a task without an answer to it cannot be completed",
            )
        nested = next((each for each in own if isinstance(each, Mapping)), {})
        yield from unanswered(nested, (*at, key), entry.children)


def items(value: object) -> Sequence[object]:
    """Return the items of an array, or none."""
    return value if isinstance(value, list | tuple) else ()


def _check_one(answers: object, at: Path, entry: EntryLike | None) -> Iterator[Finding]:
    if not isinstance(answers, list | tuple):
        yield error(at, _not_a("an array of values", answers))
        return
    has_child = False
    for index, item in enumerate(answers):
        here = (*at, index)
        if isinstance(item, Mapping):
            yield from _check_child(item, here, entry, has_child=has_child)
            has_child = True
        elif not isinstance(item, str):
            yield from _check_no_text(item, here, index)
    if entry is not None:
        values = [(index, each) for index, each in enumerate(answers) if isinstance(each, str)]
        yield from _check_values(values, at, entry)


def _check_no_text(item: object, at: Path, index: int) -> Iterator[Finding]:
    if item is not None:
        yield error(at, _not_a("a text", item))
    elif index > 0:
        yield error(at, "null may only stand first; the service refuses the whole request")


def _check_child(
    child: Mapping[str, object], at: Path, entry: EntryLike | None, *, has_child: bool
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
    values: Sequence[tuple[int, str]], at: Path, entry: EntryLike
) -> Iterator[Finding]:
    if entry.type is EntryType.CHECKLIST:
        for index, value in values:
            if value not in entry.options:
                yield error(
                    (*at, index),
                    f"{value!r} is no option of the checklist; the service stores it all the same,"
                    " and the task cannot be completed",
                )
    elif len(values) > 1:
        yield error(
            at,
            f"a {entry.type.value.lower()} takes one value, and the service drops all"
            f" {len(values)} in silence",
        )
    elif values:
        yield from _check_value(values[0][1], at, entry)


def _check_value(value: str, at: Path, entry: EntryLike) -> Iterator[Finding]:
    if entry.type is EntryType.FREETEXT:
        longest = min(entry.max_length or _LONGEST, _LONGEST)
        if len(value) > longest:
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
