"""Classification trees as exports and imports write them: ``["bus", {"damage": ["dent"]}]``."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from datagym_async.exceptions import ConfigurationError
from datagym_async.labels._json import ShapeError, as_list, as_object, kind_of
from datagym_async.labels._values import Classification

if TYPE_CHECKING:
    from collections.abc import Sequence

    from datagym_async.labels._classes import ClassTypes
    from datagym_async.models import EntryType


def read_classifications(value: object, types: ClassTypes) -> tuple[Classification, ...]:
    """Return the roots of an object of classifications.

    Raises:
        ShapeError: It is something else.
    """
    if not value:
        return _nothing(value)
    trees = as_object(value)
    found = []
    for key, items in trees.items():
        try:
            found.append(_read_tree(key, items, types))
        except ShapeError as error:
            raise error.below(f".{key}") from None
    return tuple(found)


def _nothing(value: object) -> tuple[Classification, ...]:
    if value is not None:
        as_object(value)
    return ()


def _read_tree(key: str, value: object, types: ClassTypes) -> Classification:
    values: list[str | None] = []
    children: list[Classification] = []
    for index, item in enumerate(as_list(value)):
        if isinstance(item, dict) and item:
            try:
                children += read_classifications(item, types)
            except ShapeError as error:
                raise error.below(f"[{index}]") from None
        elif not children and (item is None or isinstance(item, str)):
            values.append(item)
        else:
            raise ShapeError(f"{_due(children)}, not {_words(item)}", path=f"[{index}]")
    if children:
        return Classification(key, tuple(values), tuple(children), types.get(key))
    return _leaf(key, tuple(values), types.get(key))


def _due(children: Sequence[Classification]) -> str:
    nested = "a nested classification was expected"
    return nested if children else f"a text, null or {nested}"


def _words(item: object) -> str:
    return "an empty object" if item == {} else kind_of(item)


@lru_cache(maxsize=4096)
def _leaf(key: str, values: tuple[str | None, ...], kind: EntryType | None) -> Classification:
    """Return an answer without children: most are unset, and one value serves for all of those."""
    return Classification(key, values, (), kind)


def write_classifications(roots: Sequence[Classification]) -> dict[str, list[Any]]:
    """Return answers as exports and imports have them.

    Raises:
        ConfigurationError: Two of them have one key.
    """
    written = {each.key: _write_tree(each) for each in roots}
    if len(written) != len(roots):
        keys = [each.key for each in roots]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ConfigurationError(f"There are two answers to {twice!r}; give one for each key")
    return written


def _write_tree(tree: Classification) -> list[Any]:
    return [*tree.values, *({child.key: _write_tree(child)} for child in tree.children)]
