"""Pure decisions of the embedded server: names, JSON, images by their headers, addresses."""

from __future__ import annotations

import io
import ipaddress
import math
import unicodedata
from collections import defaultdict
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datagym_async.models._names import fold_link as our_fold_link
from datagym_async.models._names import fold_name
from datagym_async.server._answers import (
    EmptyAnswer,
    is_reserved,
    pretty,
    read_number,
    read_text,
    syntax_error,
)
from datagym_async.server._files import UnreadableImageError, size_of, sniff
from datagym_async.server._links import is_public
from datagym_async.server._store import fold, fold_link
from tests.helpers.photos import jpeg, png

VALUES = "(JSON String, Number, Array, Object or token 'null', 'true' or 'false')"
NAME_WANTED = "was expecting double-quote to start field name"


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("OK.jpg", "ok.jpg", True),
        ("täst", "TAST", True),
        ("a ", "a", True),
        (" a", "a", False),
        ("straß", "stras", True),
        ("straß", "strass", False),
        ("\U0001f600", "\U0001f601", True),
        ("æ", "ae", False),
        ("\ufb01", "fi", False),
    ],
)
def test_equal_names(one: str, other: str, *, same: bool) -> None:
    """Names are compared as utf8mb4_general_ci compares them."""
    assert (fold(one) == fold(other)) == same


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("http://x/ä%C3.jpg", "HTTP://X/Ä%c3.JPG", True),
        ("\u0131\u017f\u212a", "isk", True),
        ("\u0130", "i", True),
        ("é", "e", False),
        ("ß", "ss", False),
        ("\ufb01", "fi", False),
        ("a%20b", "a b", False),
        ("x/a.jpg ", "x/a.jpg", False),
    ],
)
def test_equal_links(one: str, other: str, *, same: bool) -> None:
    """Links are compared as Java compares texts without case: letter by letter."""
    assert (fold_link(one) == fold_link(other)) == same


OBSERVED: list[tuple[str, str, bool | None, bool | None]] = [
    ("a.jpg", "A.jpg", True, True),
    ("Ä.jpg", "ä.jpg", True, True),
    ("%C3%BC.jpg", "%c3%bc.jpg", True, True),
    ("é.jpg", "e.jpg", True, False),
    ("Å.jpg", "a.jpg", True, None),
    ("ÿ.jpg", "y.jpg", True, None),
    ("ß.jpg", "s.jpg", True, None),
    ("straße.jpg", "strasse.jpg", False, False),
    ("æ.jpg", "ae.jpg", False, None),
    ("ø.jpg", "o.jpg", False, None),
    ("ð.jpg", "d.jpg", False, None),
    ("a.jpg", "a.jpg ", True, None),
    ("\u0131.jpg", "i.jpg", None, True),
    ("\u0130.jpg", "i.jpg", None, True),
    ("\u017f.jpg", "s.jpg", None, True),
    ("\u212a.jpg", "K.jpg", None, True),
    ("\ufb01.jpg", "fi.jpg", None, False),
    ("\xe9.jpg", "e\u0301.jpg", None, False),
    ("a%20b.jpg", "a b.jpg", False, False),
]
"""Two names, whether the service holds them for one as files, and as links: on a real server with
MariaDB 10.11, 2026-11-28; None where it was not tried."""


@pytest.mark.parametrize(("one", "other", "as_files", "as_links"), OBSERVED)
def test_names_are_compared_by_two_rules(
    one: str, other: str, as_files: bool | None, as_links: bool | None
) -> None:
    """Client and embedded server follow both, as they were observed."""
    if as_files is not None:
        assert {rule(one) == rule(other) for rule in (fold, fold_name)} == {as_files}
    if as_links is not None:
        urls = f"http://h/{one}", f"http://h/{other}"
        rules = fold_link, our_fold_link
        assert {rule(urls[0]) == rule(urls[1]) for rule in rules} == {as_links}


@given(st.text(max_size=40))
def test_folding_twice_changes_nothing(name: str) -> None:
    """What is folded is its own fold."""
    assert fold(fold(name)) == fold(name)


def test_the_pretty_layout() -> None:
    """Blanks around the colon, arrays on one line, empty ones with a blank inside."""
    written = pretty({"a": [1, {"b": None}], "c": [], "d": {}, "e": "ä"}).decode()
    expected = (
        '{\n  "a" : [ 1, {\n    "b" : null\n  } ],\n  "c" : [ ],\n  "d" : { },\n  "e" : "ä"\n}'
    )
    assert written == expected


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'[{"internal', "column: 12\nUnexpected end-of-input in field name"),
        (
            b'[{"a":1,}]',
            f"column: 10\nUnexpected character ('}}' (code 125)): {NAME_WANTED}",
        ),
        (
            b"hello",
            f"column: 6\nUnrecognized token 'hello': was expecting {VALUES}",
        ),
    ],
)
def test_syntax_errors_that_were_recorded(body: bytes, said: str) -> None:
    """The place is that after the last character read, and the words are the parser's."""
    assert syntax_error(body) == f"line: 1, {said}"


@pytest.mark.parametrize(
    ("body", "place"),
    [
        (b'[\n {"a": 1\n  "b": 2}]', "line: 3, column: 4"),
        (b'[{"a" x}]', "line: 1, column: 8"),
        (b'[{"a":1,\n }]', "line: 2, column: 3"),
        (b"[1,  ]", "line: 1, column: 7"),
        (b"[1, ?]", "line: 1, column: 6"),
        (b'["abc', "line: 1, column: 6"),
        (b"[[1,2", "line: 1, column: 6"),
        (b"[1,", "line: 1, column: 4"),
        (b'[{"a"', "line: 1, column: 6"),
        (b"[{", "line: 1, column: 3"),
        (b"[NaN,]", "line: 1, column: "),
        (b"[NaN]", "line: 1, column: "),
        (b"[" * 100_000, "line: 1, column: "),
        (b"[" * 90 + b"]" * 90, "line: 1, column: "),
        (b"[1] x", "line: 1, column: "),
        (b'["\\x"]', "line: 1, column: "),
        (b"\xff", "line: 1, column: "),
    ],
)
def test_every_syntax_error_gets_a_text(body: bytes, place: str) -> None:
    """Whatever is refused has its place and some words, however deep or odd it is."""
    found, words = syntax_error(body).split("\n")
    assert found.startswith(place)
    assert words


@pytest.mark.parametrize(
    ("head", "mime"),
    [
        (jpeg(2000)[:512], "image/jpeg"),
        (png(2000)[:512], "image/png"),
        (b"GIF89a...", "image/gif"),
        (b"RIFF\0\0\0\0WEBPVP8 ", "image/webp"),
        (b"RIFF\0\0\0\0AVI LIST", "application/octet-stream"),
        (b"XXXX\0\0\0\0WEBPVP8 ", "application/octet-stream"),
        (b"\0\0\0\x20ftypisom", "video/quicktime"),
        (b"plain words\n", "text/plain"),
        ("ä".encode() * 255 + b"a\xc3", "text/plain"),
        (b"words and \x00 more", "application/octet-stream"),
        (b"\xff\xfe\xfd", "application/octet-stream"),
        (b"", "application/octet-stream"),
    ],
)
def test_the_type_of_some_bytes(head: bytes, mime: str) -> None:
    """The type is the one that the service reports in its refusal."""
    assert sniff(head) == mime


@pytest.mark.parametrize(
    ("segments", "found"),
    [
        ("ffc0000b080002000301 112233 ffda0002", (3, 2)),
        ("fffffe0003 00 ffc2000b080002000301 112233 ffda0002", (3, 2)),
        ("ffc4000b080002000301 112233 ffc0000b080004000501 112233 ffda0002", (5, 4)),
        ("ffc0000b080000000301 112233 ffda0002", "it has no size"),
        ("ffc0000608000200 ffda0002", "its frame header is cut off"),
        ("ffc0000b08000200", "a segment of its header is cut off"),
        ("ffc00001 ffda0002", "a segment of its header is cut off"),
        ("ffda0002", "its scan comes before its size"),
        ("00", "a segment does not begin where the one before it ends"),
        ("", "a segment does not begin where the one before it ends"),
    ],
)
def test_the_size_of_a_jpeg(segments: str, found: tuple[int, int] | str) -> None:
    """It is that of the frame before the scan; a header without one is refused with the reason."""
    file = io.BytesIO(b"\xff\xd8" + bytes.fromhex(segments))
    if isinstance(found, tuple):
        assert size_of(file) == found
    else:
        with pytest.raises(UnreadableImageError, match=f"^{found}$"):
            size_of(file)


@pytest.mark.parametrize("whole", [jpeg(3000), png(3000)], ids=["jpeg", "png"])
def test_no_cut_or_flip_is_a_crash(whole: bytes) -> None:
    """Whatever is broken, the answer is a size or `UnreadableImageError`, nothing else."""
    assert _is_readable(whole)
    verdicts = set()
    for position in range(0, len(whole), 7):
        flipped = bytearray(whole)
        flipped[position] ^= 0xFF
        for content in (whole[:position], bytes(flipped)):
            verdicts.add(_is_readable(content))
    assert False in verdicts


def _is_readable(content: bytes) -> bool:
    try:
        size_of(io.BytesIO(content))
    except UnreadableImageError:
        return False
    return True


@pytest.mark.parametrize(
    ("value", "text", "number"),
    [
        (None, None, None),
        ("", "", None),
        ("12", "12", 12),
        (5, "5", 5),
        (1.5, "1.5", 1),
        (True, "true", EmptyAnswer),
        (False, "false", EmptyAnswer),
        ("x", "x", EmptyAnswer),
        (math.inf, "inf", EmptyAnswer),
        ([], EmptyAnswer, EmptyAnswer),
        ({}, EmptyAnswer, EmptyAnswer),
    ],
)
def test_fields_of_other_types(value: Any, text: Any, number: Any) -> None:
    """A number or flag is a text, a text may be a number, and all else is refused."""
    for read, wanted in ((read_text, text), (partial(read_number, kind=int), number)):
        if wanted is EmptyAnswer:
            with pytest.raises(EmptyAnswer) as refused:
                read(value)
            assert refused.value.status == 400
        else:
            assert read(value) == wanted


def test_reserved_words_have_three_stray_commas() -> None:
    """`freetext` is allowed because the service's list says `freetext,`."""
    assert [is_reserved(word) for word in ("image", "Image", "freetext", "freetext,")] == [
        True,
        False,
        False,
        True,
    ]


def test_letters_are_one_where_they_are_one_to_the_server() -> None:
    """Client and embedded server hold the same letters for one: of Europe, of Korea, of all."""
    groups: list[defaultdict[str, set[str]]] = [defaultdict(set), defaultdict(set)]
    for code in range(0x20, 0xD800):
        # But for one of Sinhala, which the client takes for another one.
        if not unicodedata.combining(letter := chr(code)) and code not in {0xDDC, 0xDDD}:
            for group, rule in zip(groups, (fold_name, fold), strict=True):
                group[rule(f"{letter}.jpg")].add(letter)
    ours, theirs = ({frozenset(each) for each in group.values()} for group in groups)
    assert ours == theirs
    assert frozenset("\uac1c") in theirs


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("93.184.216.34", True),
        ("2606:2800:220:1::1", True),
        ("64:ff9b::5db8:d822", True),
        ("64:ff9b::a00:1", False),
        ("64:ff9b:1::1", False),
        ("::ffff:10.0.0.1", False),
        ("::10.0.0.1", False),
        ("::ffff:0:10.0.0.1", False),
        ("2002:a00:1::1", False),
        ("2001::1", False),
        ("3fff::1", False),
        ("fec0::1", False),
        ("fd00::1", False),
        ("fe80::1", False),
        ("ff02::1", False),
        ("224.0.0.1", False),
        ("100.64.0.1", False),
        ("192.168.1.1", False),
        ("169.254.169.254", False),
        ("0.0.0.0", False),
    ],
)
def test_which_addresses_are_public(address: str, *, public: bool) -> None:
    """Public is what one host of the internet has, whatever an address is wrapped in."""
    assert is_public(ipaddress.ip_address(address)) == public
