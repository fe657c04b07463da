"""Listings of media, cut into portions as they arrive: a million media never are in memory at once.

The service has no paging. A dataset is one answer, ``{"id":..,"name":..,"media":[{..},{..}]}`` with
160 bytes a media, and all datasets are an array of such objects. So the head is read up to the list
of media; then the text is cut between two media wherever it looks like that, and what is cut off is
parsed in one go by the fastest parser there is.

A guess is never believed: a beginning of a list's text which parses as a list of its own holds
whole elements, for JSON leaves no second way to read it. Where a guess is wrong (a name may hold
``},{``), the text is scanned string by string and bracket by bracket, which costs some four times
as much and is always right.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import attrs
import orjson

from datagym_async._wire._elements import BrokenTextError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PORTION: Final = 512 * 1024
"""Bytes of media that are cut off at once: some 3,300 media, and 2 MB as objects."""

_LONGEST_HEAD: Final = 64 * 1024
_WINDOW: Final = 4096  # bytes from the end in which two media meet, however long their names
_LISTS: Final = ("media", "images")  # current services, and older ones
_MEDIA: Final = re.compile(rb'"(?:media|images)"\s*:\s*\[')
_BETWEEN: Final = re.compile(rb"\}\s*,\s*\{")
_TOKEN: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+("?)|[\[\]{},]', re.DOTALL)
_BLANK: Final = b" \t\r\n"


@attrs.frozen
class Portion:
    """Some media of one dataset.

    Args:
        dataset: Index of the dataset in the listing.
        fields: What the dataset says of itself but its media, as far as it was read: what stands
            behind the media is in the last portion alone.
        first: Index of the first of the media in the dataset.
        media: The media, as JSON has them.
    """

    dataset: int
    fields: dict[str, Any]
    first: int
    media: list[Any]


@attrs.frozen
class _Cut:
    """Where media were cut off: where their text ends, where it goes on, whether the list ended."""

    end: int
    following: int
    is_last: bool = False


class ListingCutter:
    """Take a listing piece by piece, and give portions of it; each dataset has at least one.

    Args:
        many: Whether the text is an array of datasets, not one dataset.
        portion: Bytes of media that are cut off at once.
    """

    def __init__(self, *, many: bool = False, portion: int = PORTION) -> None:
        self._many = many
        self._portion = portion
        self._pieces: list[bytes] = []
        self._due = portion
        self._text = b""
        self._at = 0
        self._has_ended = False
        self._is_open = False
        self._step: Callable[[], bool] = self._begin
        self._ready: list[Portion] = []
        self._dataset = 0
        self._fields: dict[str, Any] = {}
        self._first = 0
        self._last_media: list[Any] = []
        self.size = 0

    def add(self, piece: bytes) -> bool:
        """Take a piece, and return whether there is enough for a portion."""
        self._pieces.append(piece)
        self.size += len(piece)
        return self.size >= self._due and not self._is_uncut

    def cut(self) -> list[Portion]:
        """Return what can be cut off now.

        Raises:
            BrokenTextError: The text is no JSON.
        """
        self._join()
        while self._step():
            pass
        ready, self._ready = self._ready, []
        self._text, self._at = self._text[self._at :], 0
        self.size = len(self._text)
        # What holds no whole media is looked at again once it is twice as long.
        self._due = max(self._portion, 2 * self.size)
        return ready

    def close(self) -> list[Portion]:
        """Return the rest, once the text is at its end; but for what is left `uncut`.

        Raises:
            BrokenTextError: The text ended too early, or is no JSON.
        """
        self._has_ended = True
        ready = self.cut()
        if not self._is_uncut and self._step != self._end:
            raise BrokenTextError("it ends too early")
        return ready

    @property
    def uncut(self) -> tuple[int, bytes] | None:
        """Return what is to be read as a whole, since its beginning is of another kind, or None.

        Returns:
            The index of its first dataset, and JSON of the kind that the whole text has.
        """
        if not self._is_uncut:
            return None
        self._join()
        return self._dataset, b"[" + self._text if self._is_open else self._text

    @property
    def _is_uncut(self) -> bool:
        return self._step == self._leave

    def _join(self) -> None:
        self._text = b"".join((self._text, *self._pieces))
        self._pieces.clear()

    # The steps: each returns whether the next one can be taken, False to wait for more text.

    def _begin(self) -> bool:
        if not self._skip_blanks():
            return self._go(self._leave) if self._has_ended else False
        if not self._many:
            return self._go(self._head)
        if self._next() != b"[":
            return self._go(self._leave)
        self._at += 1
        self._is_open = True
        return self._go(self._object)

    def _object(self) -> bool:
        """Come to the next dataset, or to the end of their array."""
        if not self._skip_blanks():
            return False
        if self._next() == b"]":
            self._at += 1
            return self._go(self._end)
        if self._dataset:
            if self._next() != b",":
                raise BrokenTextError("a comma is missing between two datasets")
            self._at += 1
        return self._go(self._head)

    def _head(self) -> bool:
        if not self._skip_blanks():
            return False
        found = _MEDIA.search(self._text, self._at)
        if found is None:
            is_long = len(self._text) - self._at > _LONGEST_HEAD
            return self._go(self._leave) if is_long or self._has_ended else False
        try:
            fields = orjson.loads(self._text[self._at : found.end()] + b"]}")
        except orjson.JSONDecodeError:  # the list is another object's
            return self._go(self._leave)
        self._fields = _without_media(fields)
        self._first, self._at = 0, found.end()
        return self._go(self._media)

    def _media(self) -> bool:
        is_due = self._has_ended or len(self._text) >= self._portion
        guess = self._guess(is_due=is_due)
        if guess is not None and (media := self._parsed(guess)) is not None:
            return self._take(guess, media)
        if guess is None and not is_due:
            return False
        found = self._scan()
        return found is not None and self._take(found, _loads(self._list(found)))

    def _take(self, cut: _Cut, media: list[Any]) -> bool:
        self._at = cut.following
        if not cut.is_last:
            self._give(media)
            return True
        self._last_media = media
        return self._go(self._tail)

    def _tail(self) -> bool:
        for depth, token in _brackets(self._text, self._at):
            if depth == -2:  # out of the list, and out of the dataset
                tail = _loads(b'{"media":[' + self._text[self._at : token.end()])
                if tail["media"]:
                    raise BrokenTextError("the media of a dataset are listed twice")
                self._fields |= _without_media(tail)
                self._give(self._last_media)
                self._at = token.end()
                self._dataset += 1
                return self._go(self._object if self._many else self._end)
        return False

    def _end(self) -> bool:
        if self._skip_blanks():
            raise BrokenTextError("there is more behind its end")
        return False

    def _leave(self) -> bool:
        """Take nothing: the rest is read as a whole."""
        return False

    # What the steps are made of.

    def _go(self, step: Callable[[], bool]) -> bool:
        self._step = step
        return True

    def _give(self, media: list[Any]) -> None:
        self._ready.append(Portion(self._dataset, dict(self._fields), self._first, media))
        self._first += len(media)

    def _next(self) -> bytes:
        return self._text[self._at : self._at + 1]

    def _skip_blanks(self) -> bool:
        """Go on to what is no blank, and return whether there is anything."""
        while self._next() and self._next() in _BLANK:
            self._at += 1
        return self._at < len(self._text)

    def _guess(self, *, is_due: bool) -> _Cut | None:
        """Return where the list seems to end, or else the last place where two media seem to meet.

        The list's end is looked for even where the text is short: many datasets are.
        """
        if (end := self._text.find(b"}]", self._at)) >= 0:
            return _Cut(end + 1, end + 1, is_last=True)
        if not is_due:
            return None
        start = max(self._at, len(self._text) - _WINDOW)
        meetings = list(_BETWEEN.finditer(self._text, start))
        return _Cut(meetings[-1].start() + 1, meetings[-1].end() - 1) if meetings else None

    def _list(self, cut: _Cut) -> bytes:
        return b"[%b]" % self._text[self._at : cut.end]

    def _parsed(self, cut: _Cut) -> list[Any] | None:
        try:
            media: list[Any] = orjson.loads(self._list(cut))
        except orjson.JSONDecodeError:
            return None
        return media

    def _scan(self) -> _Cut | None:
        """Return where the list ends, or else the last place where two of its elements meet."""
        last = None
        for depth, token in _brackets(self._text, self._at):
            if depth < 0:
                return _Cut(token.start(), token.start(), is_last=True)
            if depth == 0 and token.group() == b",":
                last = _Cut(token.start(), token.end())
        return last


def _brackets(text: bytes, at: int) -> Iterator[tuple[int, re.Match[bytes]]]:
    """Yield brackets and commas outside of strings, each with the depth that it leads to."""
    depth = 0
    for token in _TOKEN.finditer(text, at):
        sign = text[token.start()]
        if sign == ord('"'):
            if not token.group(1):  # its end has not come yet
                return
            continue
        if sign in b"[{":
            depth += 1
        elif sign in b"]}":
            depth -= 1
        yield depth, token


def _without_media(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if name not in _LISTS}


def _loads(text: bytes) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise BrokenTextError(error.msg) from None
