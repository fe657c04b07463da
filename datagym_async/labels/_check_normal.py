"""A prediction in the form that an import takes best, and a prediction without some of its parts.

An export writes every nested answer, unset ones too, each in an object of its own; an import takes
one a level. What is unset says nothing, so leaving it out loses nothing and lets most exports in.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from datagym_async.labels._check_findings import Path

_SENT = ("internal_media_ID", "global_classifications", "labels")
_OLD_ID = "internal_image_ID"


def normal(prediction: object) -> object:
    """Return a prediction with keys in lower case and without nested answers that are unset.

    The service compares keys of classifications with its own, which are in lower case. Keys that
    differ in case alone stay as they are, so that a check finds them.
    """
    if not isinstance(prediction, Mapping):
        return prediction
    renamed = dict(prediction)
    if _OLD_ID in renamed and "internal_media_ID" not in renamed:
        renamed["internal_media_ID"] = renamed.pop(_OLD_ID)
    if "global_classifications" in renamed:
        renamed["global_classifications"] = _answers(renamed["global_classifications"])
    if "labels" in renamed:
        renamed["labels"] = _geometries(renamed["labels"])
    return renamed


def sendable(prediction: object) -> dict[str, object]:
    """Return the members of a prediction that the service reads."""
    if not isinstance(prediction, Mapping):
        return {}
    return {name: prediction[name] for name in _SENT if name in prediction}


def without(value: Any, parts: Collection[Path], at: Path = ()) -> Any:
    """Return JSON without some of its parts; what is untouched is shared, not copied."""
    if not any(part[: len(at)] == at for part in parts):
        return value
    if isinstance(value, Mapping):
        return {
            name: without(each, parts, (*at, name))
            for name, each in value.items()
            if (*at, name) not in parts
        }
    if isinstance(value, list | tuple):
        return [
            without(each, parts, (*at, index))
            for index, each in enumerate(value)
            if (*at, index) not in parts
        ]
    return value


def _geometries(value: object) -> object:
    return _lowered(value, lambda drawn: _each(drawn, _geometry))


def _each(value: object, change: Callable[[object], object]) -> object:
    return [change(each) for each in value] if isinstance(value, list | tuple) else value


def _geometry(value: object) -> object:
    if not isinstance(value, Mapping):
        return value
    changed = dict(value)
    if "classifications" in changed:
        changed["classifications"] = _answers(changed["classifications"])
    if "nested_geometries" in changed:
        changed["nested_geometries"] = _geometries(changed["nested_geometries"])
    return changed


def _answers(value: object) -> object:
    return _lowered(value, _pruned)


def _pruned(answers: object) -> object:
    if not isinstance(answers, list | tuple):
        return answers
    return [
        _child(each) if isinstance(each, Mapping) else each
        for each in answers
        if not (isinstance(each, Mapping) and each and all(map(_says_nothing, each.values())))
    ]


def _child(child: Mapping[str, object]) -> object:
    return _answers({key: each for key, each in child.items() if not _says_nothing(each)})


def _says_nothing(answers: object) -> bool:
    """Tell whether a nested answer is unset, and all that is nested in it."""
    return isinstance(answers, list | tuple) and all(
        each is None or (isinstance(each, Mapping) and all(map(_says_nothing, each.values())))
        for each in answers
    )


def _lowered(value: object, change: Callable[[object], object]) -> object:
    if not isinstance(value, Mapping):
        return value
    clashes = len({str(key).lower() for key in value}) < len(value)
    return {
        key if clashes or not isinstance(key, str) else key.lower(): change(each)
        for key, each in value.items()
    }
