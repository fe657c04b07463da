"""JSON of others, read no deeper than any of it has to be.

A few thousand brackets are a small text, and more than a recursive reader's stack holds; what
keeps the path of each value needs the square of their number. So brackets are counted before any
reader sees the text: `loads` does so, `check_depth` and `DepthGuard` serve readers of another kind.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable, Iterator
from itertools import accumulate, chain
from typing import Any, Final

import orjson

MAX_DEPTH: Final = 64
"""Levels of objects and lists in JSON of others. Those of the service have some ten."""

BOM: Final = b"\xef\xbb\xbf"
"""What some editors begin a file in UTF-8 with; no reader of JSON takes it."""

_ESCAPED: Final = re.compile(rb"\\.", re.DOTALL)
_STRING: Final = re.compile(rb'"[^"]*+"')
_ALL_BUT_SIGNS: Final = bytes(set(range(256)) - set(b'[]{}"'))
_STEPS: Final = bytes.maketrans(b"[{]}", b"\x01\x01\xff\xff")  # one down, one up
_LEAF: Final = b"\x01\xff"
_LEVELS: Final = 8  # that are taken off before each step is looked at


class NestedTooDeepError(orjson.JSONDecodeError):
    """A text is nested deeper than `MAX_DEPTH`."""

    def __init__(self) -> None:
        super().__init__(f"it is nested deeper than {MAX_DEPTH} levels", "", 0)

    def __str__(self) -> str:
        """Return the sentence alone: a place in the text says nothing here."""
        return self.msg


def loads(text: bytes | bytearray) -> Any:
    """Return what JSON says.

    Half a character (a surrogate without its other half) is no text: JSON that holds one is
    refused, so that none comes to a file, a database or a terminal, which take none.

    Raises:
        orjson.JSONDecodeError: It is not JSON, or nested too deep.
    """
    check_depth(text)
    return orjson.loads(text)


# A text that does not end goes to the end of all, or each quote in it would begin one more.
_NO_NUMBER: Final = re.compile(
    rb'("(?:[^"\\]++|\\.)*+(?:"|\\?\Z))|-?\b(?:NaN|Infinity)\b', re.DOTALL
)


def loads_of_python(text: bytes) -> Any:
    """Return what JSON says, as Python's own writer has it: what is no finite number is null."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        if b"NaN" not in text and b"Infinity" not in text:
            raise
        return orjson.loads(_NO_NUMBER.sub(lambda found: found[1] or b"null", text))


def in_utf8(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Give JSON in UTF-8, without a mark before it, that comes in any encoding of Unicode.

    What seems to be UTF-16 or UTF-32 and is not is a `UnicodeDecodeError`.
    """
    import json  # here, since a start needs only the reader above

    pieces = iter(pieces)
    first = next(pieces, b"")
    if (encoding := json.detect_encoding(first)) in {"utf-8", "utf-8-sig"}:
        yield first.removeprefix(BOM)
        yield from pieces
    else:
        for text in codecs.iterdecode(chain([first], pieces), encoding):
            yield text.encode()


def check_depth(text: bytes | bytearray | str) -> None:
    """Raise `NestedTooDeepError` for a text that is, for a reader of another kind."""
    if isinstance(text, str):
        text = text.encode("utf-8", "surrogatepass")
    # What has few brackets, as most answers have, needs no further look.
    if text.count(b"[") + text.count(b"{") > MAX_DEPTH:
        DepthGuard().feed(text)


class DepthGuard:
    """Follow the depth of a text that comes piece by piece.

    What is not JSON is for the reader to refuse: up to there, the depth is right.
    """

    def __init__(self) -> None:
        self._depth = 0
        self._cut_off = b""  # stands for a string whose end has not come yet

    def feed(self, piece: bytes | bytearray) -> None:
        """Look at the next piece; `NestedTooDeepError` if it goes too deep."""
        steps = trunk = self._outside(piece).translate(_STEPS, b'"')
        # Without the pairs that have none in between, it goes one level less deep.
        for levels in range(_LEVELS):
            if self._depth + levels + trunk.count(1) <= MAX_DEPTH:
                break
            trunk = trunk.replace(_LEAF, b"")
        else:
            if max(accumulate(memoryview(steps).cast("b"), initial=self._depth)) > MAX_DEPTH:
                raise NestedTooDeepError
        self._depth += trunk.count(1) - trunk.count(255)

    def _outside(self, piece: bytes | bytearray) -> bytes:
        """Return the brackets outside of strings, and keep what the last one has begun with."""
        text, escape = self._cut_off + piece, b""
        if b"\\" in text:
            if (len(text) - len(text.rstrip(b"\\"))) % 2:  # what it escapes has not come yet
                text, escape = text[:-1], b"\\"
            text = _ESCAPED.sub(b"", text)
        signs, quote = text.translate(None, _ALL_BUT_SIGNS), b""
        if signs.count(b'"') % 2:
            signs, quote, _ = signs.rpartition(b'"')
        self._cut_off = quote + escape
        # A string without brackets, as most are, leaves two quotes side by side.
        if 2 * signs.count(b'""') < signs.count(b'"'):
            signs = _STRING.sub(b"", signs.replace(b'""', b""))
        return signs
