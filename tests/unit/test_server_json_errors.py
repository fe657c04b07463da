"""What the embedded server says about documents that are no JSON."""

import pytest

from datagym_async.server._json_errors import syntax_error

VALUES = "(JSON String, Number, Array, Object or token 'null', 'true' or 'false')"

COLON = (
    "Unexpected character ('x' (code 120)): was expecting a colon to separate field name and value"
)


@pytest.mark.parametrize(
    ("body", "place", "words"),
    [
        (b'[{"internal', "line: 1, column: 12", "Unexpected end-of-input in field name"),
        (
            b'[{"a":1,}]',
            "line: 1, column: 10",
            "Unexpected character ('}' (code 125)): was expecting double-quote to start field name",
        ),
        (b"hello", "line: 1, column: 6", f"Unrecognized token 'hello': was expecting {VALUES}"),
        (
            b'[\n {"a": 1\n  "b": 2}]',
            "line: 3, column: 4",
            "Unexpected character ('\"' (code 34)): was expecting comma to separate Object entries",
        ),
        (
            b'[{"a" x}]',
            "line: 1, column: 8",
            COLON,
        ),
        (
            b"[1, ?]",
            "line: 1, column: 6",
            f"Unexpected character ('?' (code 63)): expected a valid value {VALUES}",
        ),
        (
            b'["abc',
            "line: 1, column: 6",
            "Unexpected end-of-input: was expecting closing quote for a string value",
        ),
        (
            b'[{"a": [true, null, -1.5e3], "b": {}}',
            "line: 1, column: 38",
            "Unexpected end-of-input: expected close marker for Array",
        ),
        (
            b"[[1,2",
            "line: 1, column: 6",
            "Unexpected end-of-input: expected close marker for Array",
        ),
        (b"[1,", "line: 1, column: 4", "Unexpected end-of-input"),
        (
            b'[{"a"',
            "line: 1, column: 6",
            "Unexpected end-of-input within/between Object entries",
        ),
        (b"[{", "line: 1, column: 3", "Unexpected end-of-input: expected close marker for Object"),
    ],
)
def test_syntax_errors(body: bytes, place: str, words: str) -> None:
    """The place is that after the last character read, and the words are the parser's."""
    assert syntax_error(body) == f"{place}\n{words}"


@pytest.mark.parametrize("body", [b"[NaN,]", b"[" * 100_000, b"[1] x", b'["\\x"]', b"\xff"])
def test_everything_gets_a_text(body: bytes) -> None:
    """Whatever is refused has a place and some words, however deep or odd it is."""
    place, words = syntax_error(body).split("\n")
    assert place.startswith("line: 1, column: ")
    assert words
