"""What an annotation shows, in formats that know one list of class names."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from datagym_async.labels import Annotation, Classification

SELECT = "subcategory"
"""Key of the select whose answer is the class, as COCO labels have it by default."""


def class_of(annotation: Annotation, select: str) -> str:
    """Return the class of an annotation: the answer to a select, else its key."""
    found = (each.value for each in annotation.classifications if each.key == select)
    return next(filter(None, found), annotation.key)


def places_of_answers(
    where: str, answers: Iterable[Classification], *, but: str = ""
) -> Iterator[str]:
    """Give the place of each answer that is set, nested ones included.

    Args:
        where: What stands before the keys.
        answers: The answers.
        but: Key of one that is said in another way; those nested in it are not.
    """
    for each in answers:
        if each.is_set and each.key != but:
            yield f"{where}{each.key}"
        yield from places_of_answers(f"{where}{each.key}.", each.children)
