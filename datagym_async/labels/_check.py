"""Check whether the service would store a prediction as meant.

The service checks little (observed): it ignores what it does not know, stores it broken or rolls a
whole request back. `check_prediction` reports that beforehand; `prepare_prediction` also converts a
prediction to the form for import, and leaves out what cannot be imported, if requested.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any

import attrs

from datagym_async._checks import SEVERAL, check
from datagym_async.exceptions import ConfigurationError
from datagym_async.labels._check_parts import (
    Finding,
    Frame,
    PartPath,
    Severity,
    check_answers,
    check_geometries,
    error,
    not_a,
    unanswered,
    warning,
)
from datagym_async.labels._config import grouped
from datagym_async.labels._config_entries import EntryLike
from datagym_async.labels._payload import (
    GLOBALS,
    ID,
    LABELS,
    MEMBERS,
    OF_DOWNLOADS,
    OLD_NAMES,
    VIDEO_MEMBERS,
    to_prediction,
)
from datagym_async.labels._payload_annotations import CLASSIFICATIONS, NESTED
from datagym_async.labels._values import LabeledImage, LabeledTask

_SENT = (ID, GLOBALS, LABELS)
_ROUNDS = 3  # leaving out one part can make another one wrong, so the rest is checked again


@attrs.frozen
class Prepared:
    """A prediction in the form for import.

    Args:
        prediction: The item to send, without `keepData`.
        errors: Why it cannot be sent; empty if it can.
        left_out: The parts that were left out so that the rest can be sent.
        warnings: Parts that the service stores, but somebody should look at.
    """

    prediction: Mapping[str, object]
    errors: tuple[Finding, ...] = ()
    left_out: tuple[Finding, ...] = ()
    warnings: tuple[Finding, ...] = ()

    @property
    def ok(self) -> bool:
        """Return whether it can be sent."""
        return not self.errors


def check_prediction(
    prediction: LabeledImage | Mapping[str, object],
    entries: Iterable[EntryLike] | None = None,
    *,
    keep_data: bool | None = None,
) -> tuple[Finding, ...]:
    """Return what is wrong with a prediction if it is sent unchanged.

    Args:
        prediction: One item of an import, as values or as JSON.
        entries: The root entries of the label configuration; None to check without one.
        keep_data: Whether the call appends labels; None if unknown.
    """
    try:
        return tuple(_check(prediction, entries, keep_data)(_as_json(prediction)))
    except ConfigurationError as problem:
        return (Finding((), str(problem)),)


def prepare_prediction(
    prediction: LabeledImage | Mapping[str, object],
    entries: Iterable[EntryLike] | None = None,
    *,
    keep_data: bool | None = None,
    partial: bool = False,
    beyond: bool = True,
) -> Prepared:
    """Return a prediction in the form for import, and what cannot be imported.

    Keys are converted to lower case. Nested answers that are unset, and members that the service
    does not read, are left out, which loses nothing.

    Args:
        prediction: One item of an import, or an exported task, as values or as JSON.
        entries: As for `check_prediction`.
        keep_data: As for `check_prediction`.
        partial: Whether to leave out parts that cannot be imported, if the rest can.
        beyond: Whether to leave out shapes beyond the left or upper edge of their image, which the
            service refuses, even without `partial`.
    """
    check = _check(prediction, entries, keep_data)
    try:
        present = _normal(_as_json(prediction))
    except ConfigurationError as problem:
        return Prepared({}, (Finding((), str(problem)),))
    found = [*check(present)]
    left_out: list[Finding] = []
    for _ in range(_ROUNDS):
        if not (wrong := _errors(found)) or any(each.part is None for each in wrong):
            break
        if not partial and not (beyond and all(each.alone for each in wrong)):
            break
        left_out += wrong
        present = _without(present, {each.part for each in wrong if each.part is not None})
        found = [*check(present)]
    warnings = tuple(each for each in found if each.severity is Severity.WARNING)
    members = present if isinstance(present, Mapping) else {}
    sent = {name: members[name] for name in _SENT if name in members}
    return Prepared(sent, _errors(found), tuple(left_out), warnings)


def _check(
    prediction: object, entries: Iterable[EntryLike] | None, keep_data: bool | None
) -> Callable[[object], Iterator[Finding]]:
    """Return the check of a prediction as JSON, also without some of its parts."""
    check(SEVERAL, entries=() if entries is None else entries)
    size: Frame = (None, None)
    if isinstance(prediction, LabeledImage):
        size = (prediction.width, prediction.height)
    return partial(_findings, None if entries is None else tuple(entries), keep_data, size)


def _as_json(prediction: object) -> object:
    """Return values as the item of an import, and anything else unchanged."""
    if not isinstance(prediction, LabeledImage):
        return prediction
    item = to_prediction(prediction)
    if isinstance(prediction, LabeledTask):
        item["task_export_url"] = prediction.task_export_url
    return item


def _errors(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    return tuple(each for each in findings if each.severity is Severity.ERROR)


def _findings(
    entries: tuple[EntryLike, ...] | None, keep_data: bool | None, frame: Frame, prediction: object
) -> Iterator[Finding]:
    if not isinstance(prediction, Mapping):
        yield Finding((), not_a("an object", prediction, "it"))
        return
    media_id = prediction.get(ID)
    if "label_classes" in prediction and media_id is None:
        yield Finding((), "it is the list of classes of an export and has no labels")
    elif media_id is not None and not isinstance(media_id, str):
        yield Finding((ID,), "a text was expected; the service refuses it")
    elif not media_id:
        yield Finding(
            (),
            "it has no internal_media_ID, and the service ignores it without an error; set it to "
            "the id of a media",
        )
    for name in prediction:
        if name in VIDEO_MEMBERS and prediction[name] is not None:
            yield Finding((name,), "it is of a video, whose labels cannot be imported")
        elif name not in MEMBERS | {"keepData", "label_classes", OF_DOWNLOADS}:
            yield warning((name,), "the service ignores it")
    flag = prediction.get("keepData", keep_data)
    if "keepData" in prediction and not isinstance(flag, bool):
        yield error(("keepData",), "true or false was expected; the service refuses it")
    elif keep_data is not None and flag is not keep_data:
        yield Finding(
            ("keepData",),
            f"it is {str(flag).lower()}, and the call says keep_data={keep_data}; make two calls,"
            " one for each",
        )
    at, answers = (GLOBALS,), prediction.get(GLOBALS)
    if GLOBALS in prediction:
        yield from check_answers(answers, at, entries)
    if flag is not True:
        yield from unanswered(answers, at, entries)
    if LABELS in prediction:
        yield from check_geometries(prediction[LABELS], (LABELS,), entries, frame)


# --- The form for import --------------------------------------------------------------------------

# An export has every nested answer, unset ones too, each in a separate object; an import accepts
# one for each level. Unset answers say nothing: without them nothing is lost, and most exports can
# be imported.


def _normal(prediction: object) -> object:
    """Return a prediction with keys in lower case and without nested answers that are unset.

    The service compares keys of classifications with its own, which are in lower case. Keys that
    differ only in case stay as they are, so that a check finds them.
    """
    if not isinstance(prediction, Mapping):
        return prediction
    renamed = dict(prediction)
    if OLD_NAMES[ID] in renamed and ID not in renamed:
        renamed[ID] = renamed.pop(OLD_NAMES[ID])
    return _with(renamed, {GLOBALS: _pruned, LABELS: _geometries})


def _with(
    members: Mapping[str, object], changes: Mapping[str, Callable[[object], object]]
) -> dict[str, object]:
    return {
        name: _lowered(each, changes[name]) if name in changes else each
        for name, each in members.items()
    }


def _lowered(value: object, change: Callable[[object], object]) -> object:
    """Return an object with its keys in lower case and its values changed."""
    if not isinstance(value, Mapping):
        return value
    clashes = len({str(key).lower() for key in value}) < len(value)
    return {
        key if clashes or not isinstance(key, str) else key.lower(): change(each)
        for key, each in value.items()
    }


def _geometries(value: object) -> object:
    """Return the geometries of one key with their answers, and those nested in them, changed."""
    if not isinstance(value, list | tuple):
        return value
    changes = {CLASSIFICATIONS: _pruned, NESTED: _geometries}
    return [_with(each, changes) if isinstance(each, Mapping) else each for each in value]


def _pruned(answers: object) -> object:
    """Return the answers of one key without nested ones that are unset."""
    if not isinstance(answers, list | tuple):
        return answers
    kept: list[object] = []
    for each in answers:
        if not isinstance(each, Mapping) or not each:
            kept.append(each)
        elif child := {key: inner for key, inner in each.items() if not _says_nothing(inner)}:
            kept.append(_lowered(child, _pruned))
    return kept


def _says_nothing(answers: object) -> bool:
    """Return whether a nested answer, and everything nested in it, is unset."""
    return isinstance(answers, list | tuple) and all(
        each is None or (isinstance(each, Mapping) and all(map(_says_nothing, each.values())))
        for each in answers
    )


def _without(value: Any, parts: Iterable[PartPath]) -> Any:
    """Return an object or list without some of its parts; unchanged ones are shared, not copied."""
    below = grouped((each[0], each[1:]) for each in parts)

    def kept(steps: Iterable[tuple[Any, object]]) -> Iterator[tuple[Any, Any]]:
        for step, each in steps:
            inner = below.get(step, ())
            if () not in inner:  # else all of it goes
                yield step, _without(each, inner) if inner else each

    if isinstance(value, Mapping):
        return dict(kept(value.items()))
    return [each for _, each in kept(enumerate(value))]
