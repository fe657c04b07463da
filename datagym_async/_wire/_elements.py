"""The elements of an export's array, cut out of its text without a look at every byte.

An element ends before the next one begins, and tasks begin with the id of their media. So the text
is searched for that, and what is cut out is parsed by the fastest parser there is. A guess is never
believed: no beginning of a JSON object is a whole JSON object, so that a piece which parses is the
element. Where a guess is wrong, or nothing is found for long, ijson goes on from there: it looks at
every byte, takes four times as long, and is always right.

What ijson keeps of each value grows with the depth, and with the depth of all around it. So the
depth is looked at before either of them reads, and what one element may take is bounded.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import ijson
import orjson

from datagym_async._json import DepthGuard, NestedTooDeepError

if TYPE_CHECKING:
    from collections.abc import Iterator

_BEGINNING: Final = b'"internal_'
"""Of the first member of a task: ``internal_media_ID``, in older exports ``internal_image_ID``."""

_BETWEEN: Final = re.compile(rb"\}(\s*,\s*)\{\s*\Z")
"""What is between two elements and their members."""

_LONGEST_GAP: Final = 256
"""Bytes that are looked at for what is between two elements."""

LONGEST_ELEMENT: Final = 16 * 1024 * 1024
"""Bytes of one element at most: what is longer is none of the service's."""


class BrokenTextError(ValueError):
    """The text is no JSON; says why in a few words."""


class ElementCutter:
    """Take an export piece by piece and give its elements.

    The text is to begin with ``[``; what is before it is not looked for.
    """

    def __init__(self) -> None:
        self._text = bytearray()
        self._searched = 0
        self._blanks = 0
        self._begun = False
        self._depth = DepthGuard()
        self._slow: AnyCutter | None = None

    def feed(self, piece: bytes) -> Iterator[Any]:
        """Give the elements that are whole now.

        Raises:
            BrokenTextError: The text is no JSON, nested too deep, or one element is too long.
        """
        if self._slow is not None:
            yield from self._slow.feed(piece)
            return
        _look_at_depth(self._depth, piece)
        self._text += piece
        if not self._begun:
            self._begin()
        yield from self._cut()
        if len(self._text) > LONGEST_ELEMENT:
            yield from self._go_slowly()

    def close(self) -> Iterator[Any]:
        """Give the last element, once the text is at its end.

        Raises:
            BrokenTextError: The text ended too early, or is no JSON.
        """
        if self._slow is not None:
            yield from self._slow.close()
            return
        try:
            yield from self._last()
        except orjson.JSONDecodeError:  # more than one element, or broken: ijson knows
            slow = AnyCutter()
            yield from slow.feed(self._rest())
            yield from slow.close()

    def _begin(self) -> None:
        text = self._text.lstrip()
        self._blanks += len(self._text) - len(text)
        if self._blanks > LONGEST_ELEMENT:
            raise _too_long()
        self._begun = text.startswith(b"[")
        self._text = text[1:] if self._begun else text

    def _cut(self) -> Iterator[Any]:
        while (found := self._text.find(_BEGINNING, self._searched)) >= 0:
            self._searched = found + 1
            before = self._text[max(0, found - _LONGEST_GAP) : found]
            between = _BETWEEN.search(before)
            if between is None:
                continue
            end, following = (found - len(before) + at for at in between.span(1))
            try:
                element = orjson.loads(self._text[:end])
            except orjson.JSONDecodeError:
                yield from self._go_slowly()
                return
            del self._text[:following]
            self._searched -= following
            yield element
        self._searched = max(self._searched, len(self._text) - len(_BEGINNING))

    def _last(self) -> list[Any]:
        rest = self._text.strip()
        if self._begun and rest == b"]":
            return []
        return [orjson.loads(rest[:-1] if self._begun and rest.endswith(b"]") else b"")]

    def _go_slowly(self) -> Iterator[Any]:
        self._slow = AnyCutter()
        text = self._rest()
        self._text.clear()
        return self._slow.feed(text)

    def _rest(self) -> bytes:
        return bytes(b"[" + self._text if self._begun else self._text)


class AnyCutter:
    """Take any array piece by piece and give its elements, with ijson."""

    def __init__(self) -> None:
        self._found: Any = ijson.sendable_list()
        self._parser = ijson.items_coro(self._found, "item", use_float=True)
        self._depth = DepthGuard()
        self._since_last = 0

    def feed(self, piece: bytes) -> Iterator[Any]:
        """Give the elements that are whole now.

        Raises:
            BrokenTextError: The text is no JSON, nested too deep, or one element is too long.
        """
        _look_at_depth(self._depth, piece)
        try:
            self._parser.send(piece)
        except ijson.JSONError as error:
            raise BrokenTextError(_words(error)) from None
        self._since_last = 0 if self._found else self._since_last + len(piece)
        if self._since_last > LONGEST_ELEMENT:
            raise _too_long()
        yield from self._found
        self._found.clear()

    def close(self) -> Iterator[Any]:
        """Give the last elements, once the text is at its end.

        Raises:
            BrokenTextError: The text ended too early.
        """
        try:
            self._parser.close()
        except ijson.JSONError as error:
            raise BrokenTextError(_words(error)) from None
        yield from self._found


def _look_at_depth(guard: DepthGuard, piece: bytes) -> None:
    try:
        guard.feed(piece)
    except NestedTooDeepError as error:
        raise BrokenTextError(str(error)) from None


def _too_long() -> BrokenTextError:
    return BrokenTextError(f"one element has more than {LONGEST_ELEMENT >> 20} MiB")


def _words(error: Exception) -> str:
    """Return a parser's first line; the following ones quote the body."""
    text = error.args[0] if error.args else ""
    text = text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text)
    return text.partition("\n")[0].strip()
