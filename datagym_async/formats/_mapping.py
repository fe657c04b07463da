"""What of a file of labels becomes what."""

from __future__ import annotations

from typing import Literal, TypeAlias, get_args

import attrs

Shape: TypeAlias = Literal["rectangle", "polygon", "segmentation"]
By: TypeAlias = Literal["supercategory", "category"]


@attrs.frozen(kw_only=True)
class LabelMapping:
    """What of a file becomes what.

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
