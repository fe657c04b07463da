"""What the service says about a document that is no JSON: where, and in its parser's words. Pure.

Three of the sentences were observed; the others are of the same parser (Jackson), whose words for
them are known. The column is that of the character after the last one read, counted from 1.
"""

import re
from collections.abc import Mapping
from typing import Final

__all__ = ["syntax_error"]

_BLANK: Final = re.compile(r"[ \t\r\n]*")
_STRING: Final = re.compile(r'"(?:[^"\\\x00-\x1f]|\\.)*"')
_NUMBER: Final = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?")
_WORD: Final = re.compile(r"[A-Za-z_$][\w$]*")
_VALUES: Final = "(JSON String, Number, Array, Object or token 'null', 'true' or 'false')"
_KINDS: Final[Mapping[str, str]] = {"[": "Array", "{": "Object"}
_LIMIT: Final = 200


class _Stopped(Exception):  # noqa: N818 -- it carries an answer, it is no error of this program
    """The parser stopped: after so many characters, for this reason."""

    def __init__(self, at: int, words: str) -> None:
        self.at = at
        self.words = words
        super().__init__(words)


def syntax_error(body: bytes) -> str:
    """Return the text that tells what is wrong with a document that is no JSON."""
    text = body.decode("utf-8", "replace")
    try:
        _value(text, _blank(text, 0), depth=0)
    except _Stopped as stop:
        line = text.count("\n", 0, stop.at) + 1
        column = stop.at - (text.rfind("\n", 0, stop.at) + 1) + 1
        return f"line: {line}, column: {column}\n{stop.words}"
    return "line: 1, column: 1\nThe document is no JSON"


def _blank(text: str, at: int) -> int:
    found = _BLANK.match(text, at)
    return found.end() if found else at


def _value(text: str, at: int, *, depth: int) -> int:
    """Return where a value ends."""
    if at >= len(text) or depth > _LIMIT:
        raise _Stopped(len(text), "Unexpected end-of-input")
    if text[at] in _KINDS:
        return _members(text, at, depth=depth)
    if text[at] == '"':
        return _string(text, at, "was expecting closing quote for a string value")
    if number := _NUMBER.match(text, at):
        return number.end()
    word = _WORD.match(text, at)
    if word is None:
        raise _unexpected(text, at, f"expected a valid value {_VALUES}")
    if word[0] not in ("true", "false", "null"):
        words = f"Unrecognized token '{word[0]}': was expecting {_VALUES}"
        raise _Stopped(word.end(), words)
    return word.end()


def _string(text: str, at: int, lacking: str) -> int:
    found = _STRING.match(text, at)
    if found is None:
        raise _Stopped(len(text), f"Unexpected end-of-input: {lacking}")
    return found.end()


def _members(text: str, at: int, *, depth: int) -> int:
    """Return where an array or an object ends."""
    kind = _KINDS[text[at]]
    close = "]" if kind == "Array" else "}"
    at = _blank(text, at + 1)
    if text[at : at + 1] == close:
        return at + 1
    while True:
        at = _name(text, at) if kind == "Object" else at
        at = _blank(text, _value(text, at, depth=depth + 1))
        if at >= len(text):
            raise _Stopped(at, f"Unexpected end-of-input: expected close marker for {kind}")
        if text[at] == close:
            return at + 1
        if text[at] != ",":
            raise _unexpected(text, at, f"was expecting comma to separate {kind} entries")
        at = _blank(text, at + 1)


def _name(text: str, at: int) -> int:
    """Return where the value begins whose name is here."""
    if at >= len(text):
        raise _Stopped(at, "Unexpected end-of-input: expected close marker for Object")
    if text[at] != '"':
        raise _unexpected(text, at, "was expecting double-quote to start field name")
    found = _STRING.match(text, at)
    if found is None:
        raise _Stopped(len(text), "Unexpected end-of-input in field name")
    at = _blank(text, found.end())
    if at >= len(text):
        raise _Stopped(at, "Unexpected end-of-input within/between Object entries")
    if text[at] != ":":
        raise _unexpected(text, at, "was expecting a colon to separate field name and value")
    return _blank(text, at + 1)


def _unexpected(text: str, at: int, words: str) -> _Stopped:
    """The character was read, so that the place is the one after it."""
    sign = text[at]
    return _Stopped(at + 1, f"Unexpected character ('{sign}' (code {ord(sign)})): {words}")
