"""Keys that the service takes, made of names that it does not.

A key has lower-case letters, digits, ``_`` and ``-``, 30 at most: what both the service and its
editor take. Its reserved words are refused.
"""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING, Final

import attrs

from datagym_async.formats._losses import Losses, LossKind

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_KEY_LENGTH: Final = 30
_STRANGE: Final = re.compile(r"[^a-z0-9_-]+")
_NOTHING_LEFT: Final = "unnamed"


def service_key(name: str, reserved: Iterable[str] = ()) -> str:
    """Return a key for a name, the same for the same name.

    Args:
        name: Any text: ``"Traffic Light"`` gives ``"traffic_light"``.
        reserved: Keys that must not come out.
    """
    plain = unicodedata.normalize("NFKD", name).casefold()
    letters = "".join(each for each in plain if not unicodedata.combining(each))
    key = _STRANGE.sub("_", letters).strip("_")[:MAX_KEY_LENGTH] or _NOTHING_LEFT
    return f"{key[: MAX_KEY_LENGTH - 1]}_" if key in frozenset(reserved) else key


@attrs.define
class Keys:
    """Gives each name of a scope a key of its own: numbers tell apart what would be one.

    Args:
        losses: Where collisions are said.
        verbatim: Whether names are keys already, whatever the service says to them.
        reserved: Keys that are never given.
    """

    _losses: Losses
    _verbatim: bool = False
    _reserved: frozenset[str] = frozenset()
    _given: dict[str, str] = attrs.field(factory=dict, init=False)
    _taken: dict[str, str] = attrs.field(factory=dict, init=False)

    def of(self, name: str) -> str:
        """Return the key of a name, the same each time."""
        if name not in self._given:
            self._give(name, name if self._verbatim else service_key(name, self._reserved))
        return self._given[name]

    def _give(self, name: str, key: str) -> None:
        wanted, number = key, 1
        while key in self._taken:
            number += 1
            key = f"{wanted[: MAX_KEY_LENGTH - len(str(number)) - 1]}_{number}"
        if key != wanted:
            said = f"{self._taken[wanted]!r} is {wanted}, {name!r} is {key}"
            self._losses.add(LossKind.COLLISION, said)
        self._given[name], self._taken[key] = key, name
