"""What of COCO becomes what, and the keys of its categories in a label configuration."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeGuard, get_args

import attrs

from datagym_async.formats._losses import BrokenError, Keys
from datagym_async.labels import Annotation, Rectangle
from datagym_async.labels._config_rules import RESERVED
from datagym_async.labels._json import LARGEST

if TYPE_CHECKING:
    from datagym_async.formats._losses import Losses

Shape: TypeAlias = Literal["rectangle", "polygon", "segmentation"]
By: TypeAlias = Literal["supercategory", "category"]


@attrs.frozen(kw_only=True)
class CocoMapping:
    """What of COCO becomes what.

    Args:
        shape: What an instance becomes. ``"rectangle"``: its box. ``"polygon"``: each of its parts
            a polygon. ``"segmentation"``: each of its parts an outline with its holes, which the
            service stores, but does not import.
        by: ``"supercategory"``: the supercategory is the entry, and the category the answer to a
            select nested in it, as the official SDK has it. ``"category"``: the category is the
            entry, and the supercategory the answer. A segmentation nests nothing in the service:
            there the category is the entry, and the supercategory is left out.
        select: Key of that select; None for the usual one (``subcategory``, ``supercategory``).
        caption: Key of the free text that takes captions; further captions of an image go to
            ``caption_2`` and so on.
        sdk: Whether to do as the official SDK does, mistakes included: names are keys as they are,
            of several parts the first remains, of several captions the last, keypoints are left
            out, outlines of crowds are simplified, and holes are objects of their own.
    """

    shape: Shape = attrs.field(default="rectangle", validator=attrs.validators.in_(get_args(Shape)))
    by: By = attrs.field(default="supercategory", validator=attrs.validators.in_(get_args(By)))
    select: str | None = None
    caption: str = "caption"
    sdk: bool = False

    @property
    def select_key(self) -> str:
        """Return the key of the nested select."""
        return self.select or ("subcategory" if self.by == "supercategory" else "supercategory")

    def caption_key(self, number: int) -> str:
        """Return the key of a caption, counted from 1."""
        return self.caption if number == 1 else f"{self.caption}_{number}"


@attrs.frozen
class CocoCategory:
    """A category of a COCO file.

    Args:
        id: Its number in the file.
        name: Its name.
        supercategory: The group it belongs to; empty if it belongs to none.
        keypoints: Names of its keypoints, in order.
        skeleton: Pairs of keypoints that are joined, counted from 1.
    """

    id: int
    name: str
    supercategory: str = ""
    keypoints: tuple[str, ...] = attrs.field(default=(), converter=tuple[str, ...])
    skeleton: tuple[tuple[int, int], ...] = ()

    @property
    def names(self) -> tuple[str, str]:
        """Return name and supercategory, by which it is the same in several files."""
        return self.name, self.supercategory

    def document(self) -> dict[str, Any]:
        """Return it as a file has it."""
        whole: dict[str, Any] = {"id": self.id, "name": self.name}
        if self.supercategory:
            whole["supercategory"] = self.supercategory
        if self.keypoints:
            whole["keypoints"] = list(self.keypoints)
            whole["skeleton"] = [list(pair) for pair in self.skeleton]
        return whole


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
        self, categories: Iterable[CocoCategory], mapping: CocoMapping, losses: Losses
    ) -> None:
        self._mapping = mapping
        self._table: dict[tuple[str, str], tuple[CocoCategory, EntryKeys]] = {}
        self._categories: dict[tuple[str, str | None], CocoCategory] = {}
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

    def of(self, category: CocoCategory) -> EntryKeys:
        return self._table[category.names][1]

    def items(self) -> Iterable[tuple[CocoCategory, EntryKeys]]:
        """Return all categories with their keys, in order."""
        return self._table.values()

    def category_of(self, annotation: Annotation) -> CocoCategory:
        """Return the category of an annotation; a new one without a number (0) if there is none."""
        select = self._mapping.select_key
        answers = (each.value for each in annotation.classifications if each.key == select)
        option = next(answers, None)
        if known := self._categories.get((annotation.key, option)):
            return known
        if option is None:
            return CocoCategory(0, annotation.key)
        names = (option, annotation.key)
        return CocoCategory(0, *(names if self._mapping.by == "supercategory" else names[::-1]))

    def keypoint_names(self, category: CocoCategory) -> dict[str, str]:
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
