"""Names, whatever people call their files."""

from __future__ import annotations

import re
import unicodedata

from hypothesis import example, given
from hypothesis import strategies as st

from datagym_async._printable import printable
from datagym_async._wire import Secrets
from datagym_async.models._names import decode_name, encode_name, fold_name, fold_written, name_key
from datagym_async.uploads._screening import screen_name
from tests.helpers.sentinel import TOKEN

NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
STORED = st.text(st.sampled_from("ab%C3A4 .é") | st.characters(), min_size=1, max_size=20)


@given(NAMES)
@example("Mu\u0308ller.jpg")
def test_names_come_back(name: str) -> None:
    """Decoding the encoded name gives the name, composed; the encoded form is a legal header."""
    encoded = encode_name(name)
    assert decode_name(encoded) == unicodedata.normalize("NFC", name)
    assert encoded == encoded.strip()
    assert all(" " <= character <= "~" for character in encoded)


@given(STORED)
def test_decoding_is_exact_or_nothing(stored: str) -> None:
    """A stored name is decoded only if encoding it again gives it back."""
    name = decode_name(stored)
    assert name == stored or encode_name(name) == stored


@given(NAMES)
def test_folding_is_stable(name: str) -> None:
    """Folding twice is folding once, and neither case nor trailing blanks count."""
    folded = fold_name(name)
    assert fold_name(folded) == folded
    assert fold_name(f"{name}  ") == folded


@given(NAMES, NAMES)
@example("\xfc", "u\u0308")
def test_equal_encoded_names_are_equal_names(one: str, other: str) -> None:
    """The encoding loses nothing but the form of a letter."""
    forms = unicodedata.normalize("NFC", one), unicodedata.normalize("NFC", other)
    assert (encode_name(one) == encode_name(other)) == (forms[0] == forms[1])


@given(NAMES)
def test_a_name_is_known_by_what_it_is_stored_as(name: str) -> None:
    """What was written is found in a listing, whichever form it was stored in before."""
    decomposed = unicodedata.normalize("NFD", name)
    earlier = re.sub(
        "^ +|(?<! ) +$|[^ -$&-~]+",
        lambda found: "".join(f"%{byte:02X}" for byte in found[0].encode()),
        decomposed,
    )

    assert fold_written(name) == name_key(encode_name(name)) == name_key(earlier)


@given(NAMES, NAMES)
def test_no_token_survives(before: str, after: str) -> None:
    """A named secret is gone from any text, wherever it stands."""
    for text in (f"{before}{TOKEN}{after}", f"https://x.test/{before}?token={TOKEN}&{after}"):
        assert TOKEN not in Secrets(TOKEN).hide(text)


@given(st.text())
def test_any_name_is_shown_and_screened(name: str) -> None:
    """No name crashes, and what is shown can be written as UTF-8 on one line."""
    shown = printable(name)

    assert shown.encode().decode().isprintable()
    assert screen_name(name) or len(encode_name(name)) <= 255
