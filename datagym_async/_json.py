"""JSON from outside: a limit of its depth, and the error that says where a value is wrong.

A small text can have more brackets than the stack of a recursive parser; and a parser that keeps
the path of each value needs the square of their number. So brackets are counted first: `loads` does
so, `check_depth` and `DepthGuard` are for other parsers.
"""

from __future__ import annotations

import codecs
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import accumulate, chain
from typing import Any, Final, NoReturn

import orjson

from datagym_async._printable import printable
from datagym_async.exceptions import ConfigurationError

MAX_DEPTH: Final = 64  # levels of objects and lists; the service has about ten

BOM: Final = b"\xef\xbb\xbf"
"""Some editors begin a file in UTF-8 with it; parsers of JSON refuse it."""

_ESCAPED: Final = re.compile(rb"\\.", re.DOTALL)
_STRING: Final = re.compile(rb'"[^"]*+"')
_ALL_BUT_SIGNS: Final = bytes(set(range(256)) - set(b'[]{}"'))
_STEPS: Final = bytes.maketrans(b"[{]}", b"\x01\x01\xff\xff")  # one down, one up
_LEAF: Final = b"\x01\xff"
_LEVELS: Final = 8  # that are removed before each step is checked


class NestedTooDeepError(orjson.JSONDecodeError):
    def __init__(self) -> None:
        super().__init__(f"it is nested deeper than {MAX_DEPTH} levels", "", 0)

    def __str__(self) -> str:
        """Return the sentence without a place in the text."""
        return self.msg


def loads(text: bytes | bytearray) -> Any:
    """Parse JSON; other text, deep nesting and lone surrogates are `orjson.JSONDecodeError`s."""
    check_depth(text)
    return orjson.loads(text)


# A string without an end ends with the text.
_NO_NUMBER: Final = re.compile(
    rb'("(?:[^"\\]++|\\.)*+(?:"|\\?\Z))|-?\b(?:NaN|Infinity)\b', re.DOTALL
)


def loads_of_python(text: bytes) -> Any:
    """Parse JSON as Python writes it: NaN and infinity become null."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        if b"NaN" not in text and b"Infinity" not in text:
            raise
        return orjson.loads(_NO_NUMBER.sub(lambda found: found[1] or b"null", text))


def why_no_json(error: Exception) -> str:
    """Return the words for an error of reading JSON, those of a wrong encoding for people."""
    is_encoding = isinstance(error, UnicodeDecodeError) or "UTF-8" in str(error)
    return "it is not in UTF-8; save it as UTF-8" if is_encoding else str(error)


def in_utf8(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Convert JSON of any Unicode encoding to UTF-8 without a mark, or `UnicodeDecodeError`."""
    import json  # not needed at start-up

    pieces = iter(pieces)
    first = next(pieces, b"")
    if (encoding := json.detect_encoding(first)) in {"utf-8", "utf-8-sig"}:
        yield first.removeprefix(BOM)
        yield from pieces
    else:
        for text in codecs.iterdecode(chain([first], pieces), encoding):
            yield text.encode()


def check_depth(text: bytes | bytearray | str) -> None:
    if isinstance(text, str):
        text = text.encode("utf-8", "surrogatepass")
    # Most texts have few brackets.
    if text.count(b"[") + text.count(b"{") > MAX_DEPTH:
        DepthGuard().feed(text)


class DepthGuard:
    """Follows the depth of a text in pieces; it is right as far as the text is JSON."""

    def __init__(self) -> None:
        self._depth = 0
        self._cut_off = b""  # the beginning of a string whose end has not arrived yet

    def feed(self, piece: bytes | bytearray) -> None:
        """Check the next piece; raise `NestedTooDeepError` if it goes too deep."""
        steps = trunk = self._outside(piece).translate(_STEPS, b'"')
        # Without pairs that have nothing in between, the depth is one level less.
        for levels in range(_LEVELS):
            if self._depth + levels + trunk.count(1) <= MAX_DEPTH:
                break
            trunk = trunk.replace(_LEAF, b"")
        else:
            if max(accumulate(memoryview(steps).cast("b"), initial=self._depth)) > MAX_DEPTH:
                raise NestedTooDeepError
        self._depth += trunk.count(1) - trunk.count(255)

    def _outside(self, piece: bytes | bytearray) -> bytes:
        """Return the brackets outside of strings, and keep an unfinished string."""
        text, escape = self._cut_off + piece, b""
        if b"\\" in text:
            if (len(text) - len(text.rstrip(b"\\"))) % 2:  # the escaped character is not here yet
                text, escape = text[:-1], b"\\"
            text = _ESCAPED.sub(b"", text)
        signs, quote = text.translate(None, _ALL_BUT_SIGNS), b""
        if signs.count(b'"') % 2:
            signs, quote, _ = signs.rpartition(b'"')
        self._cut_off = quote + escape
        # Most strings have no brackets, and become two quotes side by side.
        if 2 * signs.count(b'""') < signs.count(b'"'):
            signs = _STRING.sub(b"", signs.replace(b'""', b""))
        return signs


LARGEST: Final = 2**53 - 1
"""The largest whole number that every reader of JSON reads exactly (RFC 8259 section 6)."""


class ShapeError(ConfigurationError):
    """A JSON value is not of the expected kind; its path is like ``.labels.car[2]``."""

    def __init__(self, text: str, *, path: str = "") -> None:
        super().__init__(text)
        self.text = text
        self.path = path

    def __str__(self) -> str:
        at = f"at {self.path.removeprefix('.')}, " if self.path else ""
        return printable(f"{at}{self.text}")

    def below(self, path: str) -> ShapeError:
        self.path = path + self.path
        return self


def kind_of(value: object) -> str:
    """Return the kind of a JSON value in a few words, without the value: it may be private."""
    return next((words for kind, words in _KINDS.items() if isinstance(value, kind)), "null")


_KINDS: Mapping[type, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a text",
    list: "a list",
    dict: "an object",
}


# Return a JSON value of a kind, or raise `ShapeError`.


def as_object(value: object, *, path: str = "") -> dict[str, Any]:
    return value if isinstance(value, dict) else _refuse(value, dict, path)


def as_list(value: object, *, path: str = "") -> list[Any]:
    return value if isinstance(value, list) else _refuse(value, list, path)


def as_text(value: object, *, path: str = "") -> str:
    return value if isinstance(value, str) else _refuse(value, str, path)


def _refuse(value: object, kind: type, path: str) -> NoReturn:
    raise ShapeError(f"{_KINDS[kind]} was expected, not {kind_of(value)}", path=path)


def as_whole_number(value: object, *, path: str = "") -> int:
    """Return a whole number, also one that is written as a text."""
    if isinstance(value, str) and value.isdecimal() and value.isascii() and len(value) < 20:
        value = int(value)  # video exports write numbers as texts
    if isinstance(value, int) and not isinstance(value, bool):
        if -LARGEST <= value <= LARGEST:
            return value
        raise ShapeError("a whole number was expected, but not such a large one", path=path)
    raise ShapeError(f"a whole number was expected, not {kind_of(value)}", path=path)


def as_number(value: object, *, path: str = "") -> float:
    """Return a number, also one that is written as a text."""
    if isinstance(value, int | float | str) and not isinstance(value, bool):
        try:
            number = float(value)  # video exports write numbers as texts
        except (ValueError, OverflowError):
            number = math.nan
        if math.isfinite(number):
            return number
    raise ShapeError(f"a number was expected, not {kind_of(value)}", path=path)
