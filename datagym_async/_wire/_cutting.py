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
from collections.abc import Callable, Container, Generator, Iterable, Iterator
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


def _loads(text: bytes, loads: Callable[[bytes], Any] = orjson.loads) -> Any:
    try:
        return loads(text)
    except ValueError as error:
        raise BrokenTextError(getattr(error, "msg", str(error))) from None


def _cut_off(
    text: bytes | bytearray,
    at: int,
    guess: _Cut | None,
    loads: Callable[[bytes], Any] = orjson.loads,
) -> tuple[_Cut, list[Any]] | None:
    """Return where elements of a list end, and the elements; None if none is complete.

    If the guess is wrong, or there is none, the text is scanned.
    """
    if guess is not None:
        try:
            return guess, loads(b"".join((b"[", text[at : guess.end], b"]")))
        except ValueError:
            pass
    cut = _scanned(text, at)
    if cut is None:
        return None
    return cut, _loads(b"".join((b"[", text[at : cut.end], b"]")), loads)


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
        guess = None
        if self._guesses:
            guess = self._last_beginning() if self._beginning else _last_meeting(self._text, 0)
            if guess is None and not is_due:
                return []
        if (found := _cut_off(self._text, 0, guess)) is None:
            return []
        cut, elements = found
        self._guesses = cut is guess  # else they do not work for this text
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
    """Takes an object piece by piece, and yields the values of some members, parsed by `loads`."""

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
                    yield name, _loads(self._scalar(), self._loads)
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
            guess = _last_meeting(self._text, self._at) if guesses else None
            found = _cut_off(self._text, self._at, guess, self._loads)
            if found is None:
                self._more()
                continue
            cut, elements = found
            # If it is another cut, the guess was wrong, or the list has ended before it.
            guesses = guesses and (guess is None or cut is guess or cut.is_last)
            self._at, is_last = cut.following, cut.is_last
            yield elements
        self._take(b"]")

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
        self._text, self._at = b"", 0  # what was not cut off yet, and the position in it
        # Up to here guesses were wrong, and are not made again: for many datasets that would take
        # the square of their number.
        self._sure_from = 0
        self._reading = self._read()
        self._has_ended = False
        self._is_open = False  # whether the array has begun
        self._is_uncut = False  # whether the rest is read as a whole
        self._is_complete = False
        self._ready: list[Portion] = []
        self._dataset = 0
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
        next(self._reading, None)
        ready, self._ready = self._ready, []
        # Endless text without media, also blanks, is refused.
        self._since_last = 0 if ready else self._since_last
        longest = MAX_VALUE if self._is_uncut else LONGEST_ELEMENT
        if self._since_last > longest:
            raise BrokenTextError(f"more than {longest >> 20} MiB of it are not a list of media")
        self._text = self._text[self._at :]
        self._at = self._sure_from = 0
        self.size = len(self._text)
        # Text without a complete media is checked again when it is twice as long.
        self._due = max(self._portion, 2 * self.size)
        return ready

    def close(self) -> list[Portion]:
        """Return the rest at the end of the text, except what is `uncut`."""
        self._has_ended = True
        ready = self.cut()
        if not (self._is_uncut or self._is_complete):
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
        return self._dataset, b"[" + self._text if self._is_open else self._text

    def _join(self) -> None:
        new = b"".join(self._pieces)
        self._pieces.clear()
        _look_at_depth(self._depth, new)
        self._since_last += len(new)
        self._text += new

    def _read(self) -> Iterator[None]:
        """Read the text as far as it can be cut; yield to wait for more of it."""
        while not (sign := self._next()):
            if self._has_ended:
                self._is_uncut = True
                return
            yield
        if self._many:
            if sign != b"[":
                self._is_uncut = True
                return
            self._at += 1
            self._is_open = True
        while not self._many or (yield from self._is_another()):
            fields = yield from self._head()
            if fields is None:
                self._is_uncut = True
                return
            yield from self._rest_of_dataset(fields)
            if not self._many:
                break
        self._is_complete = True
        while not self._next():
            yield
        raise BrokenTextError("there is more text after its end")

    def _is_another(self) -> Generator[None, None, bool]:
        """Go to the next dataset of the array, and return whether there is one."""
        while not (sign := self._next()):
            yield
        if sign != b"]" and not self._dataset:
            return True
        if sign not in {b"]", b","}:
            raise BrokenTextError("a comma is missing between two datasets")
        self._at += 1
        return sign == b","

    def _head(self) -> Generator[None, None, dict[str, Any] | None]:
        """Read a dataset up to its media; None if that is impossible."""
        while not (self._next() and (found := _MEDIA.search(self._text, self._at))):
            is_long = len(self._text) - self._at > _LONGEST_HEAD
            if is_long or (self._has_ended and self._next()):
                return None
            yield
        try:
            fields = orjson.loads(self._text[self._at : found.end()] + b"]}")
        except orjson.JSONDecodeError:  # the list belongs to another object
            return None
        self._at = found.end()
        return _without_media(fields)

    def _rest_of_dataset(self, fields: dict[str, Any]) -> Iterator[None]:
        first = 0
        while True:
            found = self._media()
            if found is None:
                yield
                continue
            cut, media = found
            self._at = cut.following
            if cut.is_last:
                break
            self._ready.append(Portion(self._dataset, fields, first, media))
            first += len(media)
        # It ends where the brackets close the list and the dataset.
        while not (
            end := next((at for depth, at in _brackets(self._text, self._at) if depth == -2), 0)
        ):
            yield
        tail = _loads(b'{"media":[' + self._text[self._at : end])
        if tail["media"]:
            raise BrokenTextError("the media of a dataset are listed twice")
        self._ready.append(Portion(self._dataset, fields | _without_media(tail), first, media))
        self._at = end
        self._dataset += 1

    def _media(self) -> tuple[_Cut, list[Any]] | None:
        """Return the next media and their end, by a guess or else by a scan, or None to wait."""
        if self._at < self._sure_from:
            return _cut_off(self._text, self._at, None)
        is_due = self._has_ended or len(self._text) >= self._portion
        # The end of the list is searched for in short texts, too: most datasets are small.
        guess = self._list_end() or (_last_meeting(self._text, self._at) if is_due else None)
        if guess is None and not is_due:
            return None
        found = _cut_off(self._text, self._at, guess)
        if found is None or found[0] is not guess:
            self._sure_from = len(self._text) if guess is None else guess.end
        return found

    def _list_end(self) -> _Cut | None:
        if self._next() == b"]":
            return _Cut(self._at, self._at, is_last=True)
        end = self._text.find(b"}]", self._at) + 1
        return _Cut(end, end, is_last=True) if end else None

    def _next(self) -> bytes:
        """Skip blanks and return the next byte; empty at the end."""
        if blank := _BLANKS.match(self._text, self._at):
            self._at = blank.end()
        return self._text[self._at : self._at + 1]


def _without_media(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if name not in _LISTS}
