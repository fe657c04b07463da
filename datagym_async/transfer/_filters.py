"""Which files of a folder or glob count: patterns over their relative paths, pure."""

from __future__ import annotations

import functools
import os
import re
from fnmatch import translate
from typing import TypeAlias

import attrs

Matcher: TypeAlias = tuple[re.Pattern[str] | None, ...]
"""A pattern, folder by folder; None stands for ``**``: any number of folders, none included."""


@functools.lru_cache(maxsize=256)
def compiled(pattern: str) -> Matcher:
    """Return a pattern with ``/`` between its folders, ready to match."""
    return tuple(map(_segment, pattern.split("/")))


def _segment(text: str) -> re.Pattern[str] | None:
    if text == "**":
        return None
    return re.compile(translate(text), re.IGNORECASE if os.name == "nt" else 0)


def matches(parts: tuple[str, ...], pattern: Matcher) -> bool:
    """Return whether a path, folder by folder, matches."""
    if not pattern:
        return not parts
    first, rest = pattern[0], pattern[1:]
    if first is None:
        if not rest:
            return True
        return any(matches(parts[at:], rest) for at in range(len(parts)))
    return bool(parts) and bool(first.match(parts[0])) and matches(parts[1:], rest)


@attrs.frozen
class Filters:
    """Decide by its relative path whether a file counts.

    A pattern without ``/`` is held against each part of the path, so that ``*.jpg`` means files of
    any depth and ``thumbs`` everything below a folder of this name; one with ``/`` is held against
    the path from its beginning, and against the folders on the way to it. ``**`` stands for any
    number of folders. Exclusion wins. No pattern of inclusion includes everything.

    Args:
        include: Patterns of what counts.
        exclude: Patterns of what does not.
    """

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()

    def takes(self, relative: str) -> bool:
        """Return whether a file counts.

        Args:
            relative: Its path below the source, parts joined by ``/``.
        """
        if not self.include and not self.exclude:
            return True
        parts = tuple(relative.split("/"))
        if any(_covers(pattern, parts) for pattern in self.exclude):
            return False
        return not self.include or any(_covers(pattern, parts) for pattern in self.include)

    def prunes(self, relative: str) -> bool:
        """Return whether nothing below a folder can count, so that it need not be read."""
        parts = tuple(relative.split("/"))
        return any(_covers(pattern, parts) for pattern in self.exclude)


def _covers(pattern: str, parts: tuple[str, ...]) -> bool:
    """Return whether a pattern matches a path or a folder above it."""
    matcher = compiled(pattern.strip("/"))
    if "/" not in pattern.strip("/"):
        return any(matches((part,), matcher) for part in parts)
    return any(matches(parts[:end], matcher) for end in range(1, len(parts) + 1))
