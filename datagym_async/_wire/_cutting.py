"""Large answers, cut into values as they arrive: exports, lists of tasks, listings of media.

None of them is ever in memory as a whole: an export may have a gigabyte, a listing a million media.
The text of a list is cut where two elements seem to meet, and what is cut off is parsed at once by
the fastest parser.

A guess is checked: if the beginning of a list's text parses as a list of its own, it contains whole
elements, because there is no other way to read it. If a guess is wrong (a name may contain
``},{``), the text is scanned string by string and bracket by bracket, which takes four times as
long and is always right.

* `ElementCutter` yields the elements of an array. In an export they begin with the id of their
  media, so the guess is the last place where one begins.
* `ListingCutter` returns the media of datasets in portions. The service has no paging: a dataset is
  one answer, ``{"id":..,"name":..,"media":[{..},{..}]}`` with 160 bytes for each media, and all
  datasets are an array of such objects.
* `MemberCutter` yields the values of some members of an object: of files (COCO) in which lists of
  any length are in any order.

A parser needs memory for each level. So the depth is checked before it reads, and the size of an
element is limited.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Iterable, Iterator
from typing import Any, Final, cast

import attrs
import orjson

from datagym_async._json import DepthGuard, NestedTooDeepError
from datagym_async._wire._messages import MAX_VALUE

LONGEST_ELEMENT: Final = 16 * 1024 * 1024
"""Maximum bytes of one element; the service has none as long as this."""

# Everything up to the next bracket outside of strings; no match within a string without an end.
_BRACKET: Final = re.compile(rb'(?:[^"\[\]{}]++|"(?:[^"\\]++|\\.)*+")*+[\[\]{}]', re.DOTALL)
_BLANKS: Final = re.compile(rb"[ \t\r\n]+")
_COMMA: Final = re.compile(rb"[ \t\r\n]*,")
_BETWEEN: Final = re.compile(rb"\}\s*,\s*\{")
_SCANNED: Final = 256 * 1024  # bytes without a guess that are then scanned
_WINDOW: Final = 4096  # bytes from the end in which two elements are looked for


class BrokenTextError(ValueError):
    """Says in a few words why a text is not JSON."""


@attrs.frozen
class _Cut:
    """A place where a list is cut."""

    end: int  # of the text of elements
    following: int  # where the next element begins
    is_last: bool = False  # whether the list ends here


def _last_meeting(text: bytes | bytearray, at: int) -> _Cut | None:
    meetings = list(_BETWEEN.finditer(text, max(at, len(text) - _WINDOW)))
    return _Cut(meetings[-1].start() + 1, meetings[-1].end() - 1) if meetings else None


def _scanned(text: bytes | bytearray, at: int) -> _Cut | None:
    """Return where a list ends, or else the last place after an object or a list in it."""
    last = None
    for depth, end in _brackets(text, at):
        if depth < 0:
            return _Cut(end - 1, end - 1, is_last=True)
        if depth == 0 and (comma := _COMMA.match(text, end)):
            last = _Cut(end, comma.end())
    return last


def _brackets(text: bytes | bytearray, at: int) -> Iterator[tuple[int, int]]:
    """Yield the depth that each bracket outside of strings leads to, and the end of the bracket."""
    depth = 0
    while found := _BRACKET.match(text, at):
        at = found.end()
        depth += 1 if text[at - 1] in b"[{" else -1
        yield depth, at


def _loads(text: bytes | bytearray) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise BrokenTextError(error.msg) from None


def _look_at_depth(guard: DepthGuard, piece: bytes) -> None:
    try:
        guard.feed(piece)
    except NestedTooDeepError as error:
        raise BrokenTextError(str(error)) from None


# --- the elements of an array --------------------------------------------------------------------

TASK: Final = b'"internal_'
"""The beginning of an exported task: ``internal_media_ID``, or the older ``internal_image_ID``."""

_BEFORE: Final = re.compile(rb"\}(\s*,\s*)\{\s*\Z")  # between two elements and their members
_LONGEST_GAP: Final = 256  # bytes that are searched for it
_PART: Final = 8 * 1024  # bytes parsed at once: their values stay in the processor's cache


class ElementCutter:
    """Takes an array piece by piece and yields its elements.

    Elements begin with `beginning`; if that is empty, the place where two objects meet is guessed.
    What is not JSON, nested too deep, or too long is a `BrokenTextError`.
    """

    def __init__(self, beginning: bytes = b"") -> None:
        self._beginning = beginning
        self._guesses = True
        self._text = bytearray()
        self._has_begun = False
        self._due = 0
        self._depth = DepthGuard()

    def feed(self, piece: bytes) -> Iterator[Any]:
        for start in range(0, len(piece), _PART):
            yield from self._feed(piece[start : start + _PART])

    def _feed(self, piece: bytes) -> list[Any]:
        _look_at_depth(self._depth, piece)
        self._text += piece
        is_long = len(self._text) > LONGEST_ELEMENT
        # Text without a complete element is checked again when it is twice as long.
        if len(self._text) < self._due and not is_long:
            return []
        found: list[Any] = []
        if self._has_begun or self._begin():
            found = self._cut(is_long or len(self._text) >= _SCANNED)
        self._due = 0 if found else 2 * len(self._text)
        if len(self._text) > LONGEST_ELEMENT:
            raise BrokenTextError(f"one element has more than {LONGEST_ELEMENT >> 20} MiB")
        return found

    def close(self) -> list[Any]:
        """Return the last elements at the end of the text."""
        if not self._has_begun and not self._begin():
            raise BrokenTextError("it is empty")
        return cast("list[Any]", _loads(b"[" + self._text))

    def elements(self, pieces: Iterable[bytes]) -> Iterator[Any]:
        """Yield all elements of a text in pieces."""
        for piece in pieces:
            yield from self.feed(piece)
        yield from self.close()

    def _begin(self) -> bool:
        blanks = _BLANKS.match(self._text)
        start = blanks.end() if blanks else 0
        if start == len(self._text):
            return False
        if self._text[start] != ord("["):
            raise BrokenTextError("it does not begin with a bracket")
        del self._text[: start + 1]
        self._has_begun = True
        return True

    def _cut(self, is_due: bool) -> list[Any]:
        """Cut off complete elements, by a guess or else by a scan."""
        if self._guesses:
            cut = self._last_beginning() if self._beginning else _last_meeting(self._text, 0)
            if cut is None and not is_due:
                return []
            if cut is not None:
                try:
                    elements: list[Any] = orjson.loads(b"[" + self._text[: cut.end] + b"]")
                except orjson.JSONDecodeError:
                    pass
                else:
                    del self._text[: cut.following]
                    return elements
        cut = _scanned(self._text, 0)
        if cut is None or cut.is_last:
            return []
        self._guesses = False  # they do not work for this text
        elements = _loads(b"[" + self._text[: cut.end] + b"]")
        del self._text[: cut.following]
        return elements

    def _last_beginning(self) -> _Cut | None:
        found = len(self._text)
        while (found := self._text.rfind(self._beginning, 0, found)) > 0:
            before = max(0, found - _LONGEST_GAP)
            if between := _BEFORE.search(self._text[before:found]):
                return _Cut(before + between.start(1), before + between.end(1))
        return None


# --- the members of an object ---------------------------------------------------------------------

_SCALAR: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+"|[^\s,:"\[\]{}]++', re.DOTALL)


class MemberCutter:
    """Takes an object piece by piece, and yields the values of some of its members.

    `loads` parses what is cut, and raises a `ValueError` if it is not JSON.
    """

    def __init__(
        self, pieces: Iterable[bytes], loads: Callable[[bytes], Any] = orjson.loads
    ) -> None:
        self._pieces = iter(pieces)
        self._loads = loads
        self._text = bytearray()
        self._at = 0
        self._depth = DepthGuard()

    def members(self, wanted: Container[str]) -> Iterator[tuple[str, Any]]:
        """Yield name and value of each member that is wanted.

        A list comes in several parts, the first one empty, and an object as an empty one. If the
        text is a list itself, the name is empty. What is not JSON, nested too deep, or has an
        element that is too long is a `BrokenTextError`.
        """
        sign = self._next()
        if not sign:
            raise BrokenTextError("it is empty")
        if sign == b"[":
            yield from (("", part) for part in self._list())
        else:
            self._take(b"{")
            sign = self._take(b"}") if self._next() == b"}" else b""
            while sign != b"}":
                if self._next() != b'"':
                    raise BrokenTextError("the name of a member is missing")
                name = _loads(self._scalar())
                self._take(b":")
                sign = self._next()
                if name in wanted and sign == b"[":
                    yield from ((name, part) for part in self._list())
                elif name in wanted and sign != b"{":
                    yield name, self._parsed(self._scalar())
                else:
                    self._skip()
                    if name in wanted:
                        yield name, {}
                sign = self._take(b",}")
        if self._next():
            raise BrokenTextError("there is more text after its end")

    def _list(self) -> Iterator[list[Any]]:
        self._take(b"[")
        yield []
        guesses, is_last = True, False
        while not is_last:
            cut = _last_meeting(self._text, self._at) if guesses else None
            elements = None if cut is None else self._guessed(cut)
            if cut is None or elements is None:
                guess, cut = cut, _scanned(self._text, self._at)
                if cut is None:
                    self._more()
                    continue
                # The guess was wrong, or the list has ended before it.
                guesses = guesses and (guess is None or cut.is_last)
                elements = self._parsed(b"[" + self._text[self._at : cut.end] + b"]")
            self._at, is_last = cut.following, cut.is_last
            yield elements
        self._take(b"]")

    def _guessed(self, cut: _Cut) -> list[Any] | None:
        try:
            return cast("list[Any]", self._loads(b"[" + self._text[self._at : cut.end] + b"]"))
        except ValueError:
            return None

    def _skip(self) -> None:
        """Skip a value of any length."""
        if self._next() not in {b"[", b"{"}:
            self._scalar()
            return
        depth = 0
        while True:
            step = 0
            for step, end in _brackets(self._text, self._at):
                self._at = end
                if depth + step == 0:
                    return
            depth += step
            self._more()

    def _scalar(self) -> bytes:
        """Return the JSON of a text, a number or a word, and skip it."""
        while True:
            found = _SCALAR.match(self._text, self._at)
            if found is not None and found.end() < len(self._text):
                self._at = found.end()
                return found.group()
            self._more()

    def _next(self) -> bytes:
        """Skip blanks and return the next byte; empty at the end."""
        while True:
            if blank := _BLANKS.match(self._text, self._at):
                self._at = blank.end()
            if self._at < len(self._text) or not self._grow():
                return bytes(self._text[self._at : self._at + 1])

    def _take(self, signs: bytes) -> bytes:
        """Skip the next byte, which must be one of these, and return it."""
        sign = self._next()
        if not sign or sign not in signs:
            wanted, found = " or ".join(signs.decode()), sign.decode(errors="replace")
            raise BrokenTextError(f"{wanted} is missing before {found or 'its end'}")
        self._at += 1
        return sign

    def _more(self) -> None:
        if not self._grow():
            raise BrokenTextError("it is cut off")

    def _grow(self) -> bool:
        """Take as much text again as is left, and return whether there was any."""
        del self._text[: self._at]
        self._at, size = 0, len(self._text)
        if size > LONGEST_ELEMENT:
            raise BrokenTextError(f"one element has more than {LONGEST_ELEMENT >> 20} MiB")
        for piece in self._pieces:
            _look_at_depth(self._depth, piece)
            self._text += piece
            if len(self._text) > 2 * size:
                break
        return len(self._text) > size

    def _parsed(self, text: bytes) -> Any:
        try:
            return self._loads(text)
        except ValueError as error:
            raise BrokenTextError(getattr(error, "msg", str(error))) from None


# --- the media of datasets -----------------------------------------------------------------------

PORTION: Final = 512 * 1024
"""Bytes of media that are cut off at once: 3,300 media, or 2 MB as objects."""

_LONGEST_HEAD: Final = 64 * 1024
_LISTS: Final = ("media", "images")  # current services, and older ones
_MEDIA: Final = re.compile(rb'"(?:media|images)"\s*:\s*\[')


@attrs.frozen
class Portion:
    """Some media of one dataset as JSON, and the dataset's other fields."""

    dataset: int  # index in the listing
    fields: dict[str, Any]  # those after the media are in the last portion only
    first: int  # index of the first of the media in the dataset
    media: list[Any]


@attrs.define
class _Reading:
    """The text that was not cut off yet, and the cutter's position in it."""

    text: bytes = b""
    at: int = 0
    # Up to here guesses were wrong, and are not made again: for many datasets that would take the
    # square of their number.
    sure_from: int = 0

    def next(self) -> bytes:
        """Skip blanks and return the next byte; empty at the end."""
        if blank := _BLANKS.match(self.text, self.at):
            self.at = blank.end()
        return self.text[self.at : self.at + 1]

    def list_end(self) -> _Cut | None:
        if self.next() == b"]":
            return _Cut(self.at, self.at, is_last=True)
        end = self.text.find(b"}]", self.at) + 1
        return _Cut(end, end, is_last=True) if end else None

    def media(self, cut: _Cut) -> list[Any] | None:
        """Return the media up to a place, or None if it is not the end of one."""
        try:
            return cast("list[Any]", orjson.loads(b"[%b]" % self.text[self.at : cut.end]))
        except orjson.JSONDecodeError:
            return None


class ListingCutter:
    """Takes a listing piece by piece, and returns portions of it; each dataset has at least one.

    It is one dataset, or an array of `many`; `portion` is the bytes of media that are cut at once.
    What is not JSON, nested too deep, or too long is a `BrokenTextError`.
    """

    def __init__(self, *, many: bool = False, portion: int = PORTION) -> None:
        self._many = many
        self._portion = portion
        self._pieces: list[bytes] = []
        self._due = portion
        self._reading = _Reading()
        self._has_ended = False
        self._is_open = False
        self._step: Callable[[], bool] = self._begin
        self._ready: list[Portion] = []
        self._dataset = 0
        self._fields: dict[str, Any] = {}
        self._first = 0
        self._last_media: list[Any] = []
        self._depth = DepthGuard()
        self._since_last = 0
        self.size = 0

    def add(self, piece: bytes) -> bool:
        """Take a piece, and return whether there is enough for a portion."""
        self._pieces.append(piece)
        self.size += len(piece)
        # What is read as a whole is only checked for its length.
        return self.size >= (MAX_VALUE if self._is_uncut else self._due)

    def cut(self) -> list[Portion]:
        """Return what can be cut off now."""
        self._join()
        while self._step():
            pass
        ready, self._ready = self._ready, []
        # Endless text without media, also blanks, is refused.
        self._since_last = 0 if ready else self._since_last
        longest = MAX_VALUE if self._is_uncut else LONGEST_ELEMENT
        if self._since_last > longest:
            raise BrokenTextError(f"more than {longest >> 20} MiB of it are not a list of media")
        self._reading = _Reading(self._reading.text[self._reading.at :])
        self.size = len(self._reading.text)
        # Text without a complete media is checked again when it is twice as long.
        self._due = max(self._portion, 2 * self.size)
        return ready

    def close(self) -> list[Portion]:
        """Return the rest at the end of the text, except what is `uncut`."""
        self._has_ended = True
        ready = self.cut()
        if not self._is_uncut and self._step != self._end:
            raise BrokenTextError("it is cut off")
        return ready

    @property
    def uncut(self) -> tuple[int, bytes] | None:
        """Return what has to be read as a whole, because its beginning is different, or None.

        It is the index of its first dataset, and JSON of the same kind as the whole text.
        """
        if not self._is_uncut:
            return None
        self._join()
        text = self._reading.text
        return self._dataset, b"[" + text if self._is_open else text

    @property
    def _is_uncut(self) -> bool:
        return self._step == self._leave

    def _join(self) -> None:
        new = b"".join(self._pieces)
        self._pieces.clear()
        _look_at_depth(self._depth, new)
        self._since_last += len(new)
        self._reading.text += new

    # The steps: each returns whether the next one can follow; False waits for more text.

    def _begin(self) -> bool:
        if not (sign := self._reading.next()):
            return self._go(self._leave) if self._has_ended else False
        if not self._many:
            return self._go(self._head)
        if sign != b"[":
            return self._go(self._leave)
        self._reading.at += 1
        self._is_open = True
        return self._go(self._between)

    def _between(self) -> bool:
        """Go to the next dataset, or to the end of the array."""
        sign = self._reading.next()
        if not sign:
            return False
        if sign != b"]" and not self._dataset:
            return self._go(self._head)
        if sign not in {b"]", b","}:
            raise BrokenTextError("a comma is missing between two datasets")
        self._reading.at += 1
        return self._go(self._end if sign == b"]" else self._head)

    def _head(self) -> bool:
        here = self._reading
        if not here.next():
            return False
        found = _MEDIA.search(here.text, here.at)
        if found is None:
            is_long = len(here.text) - here.at > _LONGEST_HEAD
            return self._go(self._leave) if is_long or self._has_ended else False
        try:
            fields = orjson.loads(here.text[here.at : found.end()] + b"]}")
        except orjson.JSONDecodeError:  # the list belongs to another object
            return self._go(self._leave)
        self._fields, self._first = _without_media(fields), 0
        here.at = found.end()
        return self._go(self._media)

    def _media(self) -> bool:
        here = self._reading
        is_due = self._has_ended or len(here.text) >= self._portion
        if here.at >= here.sure_from:
            # The end of the list is searched for in short texts, too: most datasets are small.
            guess = here.list_end() or (_last_meeting(here.text, here.at) if is_due else None)
            if guess is not None and (media := here.media(guess)) is not None:
                return self._take(guess, media)
            if guess is None and not is_due:
                return False
            here.sure_from = len(here.text) if guess is None else guess.end
        if (found := _scanned(here.text, here.at)) is None:
            return False
        return self._take(found, _loads(b"[%b]" % here.text[here.at : found.end]))

    def _take(self, cut: _Cut, media: list[Any]) -> bool:
        self._reading.at = cut.following
        if not cut.is_last:
            self._give(media)
            return True
        self._last_media = media
        return self._go(self._tail)

    def _tail(self) -> bool:
        here = self._reading
        # It ends where the brackets close the list and the dataset.
        if not (end := next((at for depth, at in _brackets(here.text, here.at) if depth == -2), 0)):
            return False
        tail = _loads(b'{"media":[' + here.text[here.at : end])
        if tail["media"]:
            raise BrokenTextError("the media of a dataset are listed twice")
        self._fields |= _without_media(tail)
        self._give(self._last_media)
        self._last_media = []
        here.at = end
        self._dataset += 1
        return self._go(self._between if self._many else self._end)

    def _end(self) -> bool:
        if self._reading.next():
            raise BrokenTextError("there is more text after its end")
        return False

    def _leave(self) -> bool:
        """Stop here: the rest is read as a whole."""
        return False

    def _go(self, step: Callable[[], bool]) -> bool:
        self._step = step
        return True

    def _give(self, media: list[Any]) -> None:
        self._ready.append(Portion(self._dataset, dict(self._fields), self._first, media))
        self._first += len(media)


def _without_media(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if name not in _LISTS}
