"""What of COCO becomes what, and the keys of its categories in a label configuration."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING

import attrs

from datagym_async.formats._classes import class_names, composed, keys_of, service_key
from datagym_async.formats._losses import LossKind
from datagym_async.formats._raw import Category
from datagym_async.labels._config_rules import RESERVED, grouped

if TYPE_CHECKING:
    from datagym_async.formats._losses import Losses
    from datagym_async.formats._mapping import LabelMapping
    from datagym_async.labels import Annotation


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
        self._losses = losses
        every = {each.names: each for each in categories}
        labels = class_names(every)
        wanted: list[tuple[Category, str, str]] = []
        for category in every.values():
            name, group = category.names
            if mapping.shape == "segmentation" and not mapping.sdk:
                wanted.append((category, labels[composed(name), composed(group)], ""))
            elif mapping.by == "supercategory" and group:
                wanted.append((category, group, name))
            else:
                wanted.append((category, name, group))
        # Keys of entries; below each of them those of its options and of its keypoints.
        roots = self._keys((root for _, root, _ in wanted), RESERVED)
        below = grouped((roots[composed(root)], (own, answer)) for own, root, answer in wanted)
        for key, members in below.items():
            options = self._keys(filter(None, (answer for _, answer in members)))
            names = (name for category, _ in members for name in category.keypoints)
            points = self._keys(names, RESERVED | {key, mapping.select_key})
            for category, answer in members:
                option = options[composed(answer)] if answer else None
                keypoints = tuple(points[composed(name)] for name in category.keypoints)
                self._table[category.names] = (category, EntryKeys(key, option, keypoints))
                self._categories.setdefault((key, option), category)

    def _keys(self, names: Iterable[str], reserved: Collection[str] = ()) -> dict[str, str]:
        every = [*map(composed, names)]
        if self._mapping.sdk:
            return {name: name for name in every}
        keys = keys_of(every, reserved)
        plain = grouped((service_key(name, reserved), name) for name in keys)
        for same in plain.values():
            if len(same) > 1:
                self._losses.add(
                    LossKind.COLLISION, ", ".join(f"{name!r} is {keys[name]}" for name in same)
                )
        return keys

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
