"""What of COCO becomes what, and the keys of its categories in a label configuration."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, TypeGuard

import attrs

from datagym_async.formats._losses import BrokenError, Keys
from datagym_async.formats._raw import Category
from datagym_async.labels import Annotation, Rectangle
from datagym_async.labels._config_rules import RESERVED
from datagym_async.labels._json import LARGEST

if TYPE_CHECKING:
    from datagym_async.formats._losses import Losses
    from datagym_async.formats._mapping import LabelMapping


@attrs.frozen
class EntryKeys:
    """How a category is found in a label configuration."""

    key: str
    """Key of the entry."""
    option: str | None
    """Key of the option of the nested select; None where there is no such select."""
    keypoints: tuple[str, ...] = ()
    """Key of the nested point for each keypoint, in order."""


class CategoryKeys:
    """The keys of each category, and the category that keys mean."""

    def __init__(
        self, categories: Iterable[Category], mapping: LabelMapping, losses: Losses
    ) -> None:
        self._mapping = mapping
        self._table: dict[tuple[str, str], tuple[Category, EntryKeys]] = {}
        self._categories: dict[tuple[str, str | None], Category] = {}
        # Keys of entries; below each of them those of its options and of its keypoints.
        keys_of = partial(Keys, losses, mapping.sdk)
        roots = keys_of(RESERVED)
        grouped: dict[str, str] = {}
        options: dict[str, Keys] = {}
        points: dict[str, Keys] = {}
        for category in categories:
            name, group = category.names
            if mapping.shape == "segmentation" and not mapping.sdk:
                first = grouped.setdefault(name, group)
                root, answer = (name if first == group else f"{name} {group}"), ""
            elif mapping.by == "supercategory" and group:
                root, answer = group, name
            else:
                root, answer = name, group
            key = roots.of(root)
            asked = options.setdefault(key, keys_of())
            nested = points.setdefault(key, keys_of(RESERVED | {key, mapping.select_key}))
            option = asked.of(answer) if answer else None
            keys = EntryKeys(key, option, tuple(map(nested.of, category.keypoints)))
            self._table[category.names] = (category, keys)
            self._categories.setdefault((key, option), category)

    def of(self, category: Category) -> EntryKeys:
        return self._table[category.names][1]

    def items(self) -> Iterable[tuple[Category, EntryKeys]]:
        """Return all categories with their keys, in order."""
        return self._table.values()

    def category_of(self, annotation: Annotation) -> Category:
        """Return the category of an annotation; a new one without a number (0) if there is none."""
        select = self._mapping.select_key
        answers = (each.value for each in annotation.classifications if each.key == select)
        option = next(answers, None)
        if known := self._categories.get((annotation.key, option)):
            return known
        if option is None:
            return Category(0, annotation.key)
        names = (option, annotation.key)
        return Category(0, *(names if self._mapping.by == "supercategory" else names[::-1]))

    def keypoint_names(self, category: Category) -> dict[str, str]:
        """Return the name of each keypoint of a category by its key."""
        known = self._table.get(category.names)
        return dict(zip(known[1].keypoints, known[0].keypoints, strict=True)) if known else {}


# --- Numbers of a file ----------------------------------------------------------------------------


def are_numbers(values: object) -> TypeGuard[list[float]]:
    """Return whether a JSON value is a list of finite numbers."""
    return isinstance(values, list) and all(
        isinstance(each, int | float) and not isinstance(each, bool) and -LARGEST <= each <= LARGEST
        for each in values
    )


def box_of(bbox: object) -> Rectangle:
    """Return the box of an object, or raise `BrokenError` where it has none."""
    if not are_numbers(bbox) or len(bbox) != 4:
        raise BrokenError("it has no box of four numbers")
    return Rectangle(*bbox)
