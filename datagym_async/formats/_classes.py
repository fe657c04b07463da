"""What an annotation shows, in formats that know one list of class names."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datagym_async.labels import Annotation

SELECT = "subcategory"
"""Key of the select whose answer is the class, as COCO labels have it by default."""


def class_of(annotation: Annotation, select: str) -> str:
    """Return the class of an annotation: the answer to a select, else its key."""
    found = (each.value for each in annotation.classifications if each.key == select)
    return next(filter(None, found), annotation.key)
