"""A prediction in the form that an import takes best, and a prediction without some of its parts.

An export writes every nested answer, unset ones too, each in an object of its own; an import takes
one a level. What is unset says nothing, so leaving it out loses nothing and lets most exports in.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from datagym_async.labels._check_findings import Path

_SENT = ("internal_media_ID", "global_classifications", "labels")
_OLD_ID = "internal_image_ID"

_Tree: TypeAlias = "dict[str | int, _Tree | None]"
"""Steps to what goes below them; None where all of it goes."""


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


def without(value: object, parts: Iterable[Path]) -> Any:
    """Return JSON without some of its parts; what is untouched is shared, not copied."""
    tree: _Tree = {}
    for part in parts:
        _plant(tree, part)
    return _pruned_by(value, tree)


def _plant(tree: _Tree, part: Path) -> None:
    *way, last = part
    for step in way:
        below = tree.setdefault(step, {})
        if below is None:  # all of it goes already
            return
        tree = below
    tree[last] = None


def _pruned_by(value: object, tree: _Tree) -> Any:
    if isinstance(value, Mapping):
        return dict(_kept(value.items(), tree))
    if isinstance(value, list | tuple):
        return [each for _, each in _kept(enumerate(value), tree)]
    return value


def _kept(steps: Iterable[tuple[Any, object]], tree: _Tree) -> Iterator[tuple[Any, Any]]:
    for step, each in steps:
        below = tree.get(step, {})
        if below is not None:
            yield step, _pruned_by(each, below) if below else each


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
