"""Names that a target takes, made of names that it does not, and the class of an annotation.

A key of the service has lower-case letters, digits, ``_`` and ``-``, 30 at most: what both the
service and its editor take. Its reserved words are refused. The name of a class in another format
has no control characters.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, count
from typing import TYPE_CHECKING, Final

import attrs

from datagym_async.formats._losses import Losses, LossKind
from datagym_async.labels import Polygon, Rectangle, Segmentation

if TYPE_CHECKING:
    from datagym_async.labels import Annotation, Classification, Point

MAX_KEY_LENGTH: Final = 30
_STRANGE: Final = re.compile(r"[^a-z0-9_-]+")
_NOTHING_LEFT: Final = "unnamed"


def service_key(name: str, reserved: Iterable[str] = ()) -> str:
    """Return a key for a name, the same for the same name.

    Args:
        name: Any text: ``"Traffic Light"`` gives ``"traffic_light"``.
        reserved: Keys that must not come out.
    """
    letters = bare_letters(name).casefold()
    key = _STRANGE.sub("_", letters).strip("_")[:MAX_KEY_LENGTH] or _NOTHING_LEFT
    return f"{key[: MAX_KEY_LENGTH - 1]}_" if key in frozenset(reserved) else key


def bare_letters(name: str) -> str:
    """Return a name without accents, its letters written in the simplest way."""
    plain = unicodedata.normalize("NFKD", name)
    return "".join(each for each in plain if not unicodedata.combining(each))


@attrs.define
class Keys:
    """Gives each name of a scope a key of its own: numbers tell apart what would be one."""

    _losses: Losses
    _verbatim: bool = False
    """Whether names are keys already, whatever the service says to them."""
    _reserved: frozenset[str] = frozenset()
    """Keys that are never given."""
    _given: dict[str, str] = attrs.field(factory=dict, init=False)
    _taken: dict[str, str] = attrs.field(factory=dict, init=False)

    def of(self, name: str) -> str:
        """Return the key of a name, the same each time."""
        if name not in self._given:
            wanted = self._wanted(name)
            tried = (self._numbered(wanted, number) for number in count(2))
            key = next(each for each in chain([wanted], tried) if each not in self._taken)
            if key != wanted:
                both = f"{self._taken[wanted]!r} is {wanted}, {name!r} is {key}"
                self._losses.add(LossKind.COLLISION, both)
            self._given[name], self._taken[key] = key, name
        return self._given[name]

    def _wanted(self, name: str) -> str:
        return name if self._verbatim else service_key(name, self._reserved)

    def _numbered(self, key: str, number: int) -> str:
        return f"{key[: MAX_KEY_LENGTH - len(str(number)) - 1]}_{number}"


class ClassNames(Keys):
    """Gives each class of a dataset a name of its own that each format can hold."""

    def _wanted(self, name: str) -> str:
        written = writable(name)
        if written != name:
            self._losses.add(LossKind.CHARACTERS, f"the class {name!r}")
        return written

    def _numbered(self, key: str, number: int) -> str:
        return f"{key}_{number}"


# What XML 1.0 cannot hold, and what ends a line of text: controls of both sets, line separators,
# halves of pairs (surrogates), and the two codes that are no characters.
_UNWRITABLE: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufffe\uffff]")


def writable(name: str) -> str:
    """Return a name with ``_`` for each character that some format cannot hold."""
    return _UNWRITABLE.sub("_", name)


SELECT = "subcategory"
"""Key of the select whose answer is the class, as COCO labels have it by default."""


def class_of(annotation: Annotation, select: str) -> str:
    """Return the class of an annotation: the answer to a select, else its key."""
    found = (each.value for each in annotation.classifications if each.key == select)
    return next(filter(None, found), annotation.key)


def outlines_of(annotation: Annotation) -> list[Sequence[Point]]:
    """Return the outline of a shape, then its holes; nothing if it covers nothing."""
    match annotation.shape:
        case Rectangle() as box:
            return [box.bounds.corners]
        case Polygon(points) if len(points) > 2:
            return [points]
        case Segmentation((outline, *holes)) if len(outline) > 2:
            return [outline, *(ring for ring in holes if len(ring) > 2)]
    return []


def paths_of_answers(
    where: str, answers: Iterable[Classification], *, but: str = ""
) -> Iterator[str]:
    """Give the path of each answer that is set, behind `where`, nested ones included.

    The answer with the key `but` is kept; those nested in it are not.
    """
    for each in answers:
        if each.is_set and each.key != but:
            yield f"{where}{each.key}"
        yield from paths_of_answers(f"{where}{each.key}.", each.children)
