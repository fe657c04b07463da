"""Media names as they travel."""

from __future__ import annotations

import tracemalloc

import pytest

from datagym_async.exceptions import ConfigurationError
from datagym_async.models import DatasetMedia, MediaSourceType
from datagym_async.models._names import (
    MediaIndex,
    decode_name,
    encode_name,
    fold_link,
    fold_name,
    fold_written,
    name_key,
)

TRAVELS = {
    "plain": ("ok.jpg", "ok.jpg"),
    "blank inside": ("a b.jpg", "a b.jpg"),
    "punctuation": ("q\"uo'te;,+#?&<>/\\.jpg", "q\"uo'te;,+#?&<>/\\.jpg"),
    "percent": ("100%.jpg", "100%25.jpg"),
    "looks encoded": ("a%20b.jpg", "a%2520b.jpg"),
    "umlaut": ("täst.jpg", "t%C3%A4st.jpg"),
    "cjk": ("日本.jpg", "%E6%97%A5%E6%9C%AC.jpg"),
    "emoji": ("🙂.png", "%F0%9F%99%82.png"),
    "line break": ("a\r\nb.jpg", "a%0D%0Ab.jpg"),
    "outer blanks": (" a.jpg  ", "%20a.jpg%20%20"),
    "tab and delete": ("a\tb\x7f.jpg", "a%09b%7F.jpg"),
}


@pytest.mark.parametrize(("name", "encoded"), TRAVELS.values(), ids=TRAVELS)
def test_a_name_travels_and_comes_back(name: str, encoded: str) -> None:
    """Printable ASCII travels as it is, all else percent-encoded, and comes back."""
    assert (encode_name(name), decode_name(encoded)) == (encoded, name)


COMPOSED = {
    "two characters": ("Mu\u0308ller.jpg", "M%C3%BCller.jpg"),
    "three": ("\u0438\u0306o\u0302\u0301.png", "%D0%B9%E1%BB%91.png"),
    "jamo": ("\u1112\u1161\u11ab.jpg", "%ED%95%9C.jpg"),
    "no such letter": ("q\u0308.jpg", "q%CC%88.jpg"),
    "Angstrom": ("\u212b.jpg", "%C3%85.jpg"),
}


@pytest.mark.parametrize(("name", "encoded"), COMPOSED.values(), ids=COMPOSED)
def test_a_name_travels_composed(name: str, encoded: str) -> None:
    """One name is sent for both forms of a letter."""
    assert encode_name(name) == encoded
    assert fold_written(name) == name_key(encoded)


STORED_BEFORE = {
    "decomposed": "Mu%CC%88ller.jpg",
    "lower-case hex": "mu%cc%88ller.JPG",
    "composed": "M%C3%BCller.jpg",
}


@pytest.mark.parametrize("stored", STORED_BEFORE.values(), ids=STORED_BEFORE)
def test_both_forms_are_one_name(stored: str) -> None:
    """What was stored in the other form is known, while to the service it is another name."""
    assert name_key(stored) == fold_written("Müller.jpg")
    assert fold_name("Mu%CC%88ller.jpg") != fold_name("M%C3%BCller.jpg")


@pytest.mark.parametrize("stored", ["%2C%CC%A7.jpg", "a%20b.jpg", "%E4.jpg", "u%25CC%2588.jpg"])
def test_what_is_no_letter_in_two_is_left_alone(stored: str) -> None:
    """An escape is no letter, and what is no UTF-8 is compared as it is."""
    assert name_key(stored) == fold_name(stored)


def test_an_index_finds_a_media_in_either_form() -> None:
    """Labels name an image as the system does that wrote them."""
    index = MediaIndex()
    index.add([DatasetMedia("m-1", 0, MediaSourceType.LOCAL, "Mu\u0308ller.jpg")])

    assert index.ids_of("Müller.jpg") == index.ids_of("Mu\u0308ller.jpg") == ["m-1"]


@pytest.mark.parametrize(
    ("media", "name", "found"),
    [
        (["a b.jpg"], "a%20b.jpg", ["m-1"]),
        (["a b.jpg", "a%20b.jpg"], "a%20b.jpg", ["m-2"]),
        (["a b.jpg", "a%20b.jpg"], "a b.jpg", ["m-1"]),
        (["a%20b.jpg"], "a b.jpg", ["m-1"]),
        (["a b.jpg"], "day%2Fa%20b.jpg", ["m-1"]),
        (["day/a.jpg", "a.jpg"], "day%2Fa.jpg", ["m-1"]),
        (["M\u00fcller.jpg"], "val/Mu%CC%88ller.jpg", ["m-1"]),
        (["t%c3%a4st.jpg"], "ta\u0308st.jpg", ["m-1"]),
        (["100%.jpg"], "100%.jpg", ["m-1"]),
        (["a b.jpg", "A B.jpg"], "x\\a%20b.jpg", ["m-1", "m-2"]),
        (["a b.jpg"], "a+b.jpg", []),
        (["a.jpg"], "images\\1a2b3c4d-a.jpg", ["m-1"]),  # Label Studio
        (["a.jpg"], "1a2b3c4d-a", ["m-1"]),
        (["a.jpg", "1a2b3c4d-a.jpg"], "1a2b3c4d-a.jpg", ["m-2"]),
        (["x/a.jpg", "A.jpg", "a.jpg"], "1a2b3c4d-a.jpg", ["m-2", "m-3"]),
        (["a.jpg"], "1A2B3C4D-a.jpg", []),
        (["a.jpg"], "1a2b3c4d-1a2b3c4d-a.jpg", []),
    ],
)
def test_a_name_as_other_tools_escape_it(media: list[str], name: str, found: list[str]) -> None:
    """It is looked for as it is first, and then decoded; so is a media that is named like that."""
    index = MediaIndex()
    index.add(
        DatasetMedia(f"m-{n}", 0, MediaSourceType.LOCAL, each) for n, each in enumerate(media, 1)
    )
    assert index.ids_of(name) == found


def test_names_in_many_folders_take_little_memory() -> None:
    """One image that is not found must not cost kilobytes for each of a million media."""
    folders = "/".join(f"folder_{n}" for n in range(12))
    media = [
        DatasetMedia(f"m-{n}", 0, MediaSourceType.LOCAL, f"{folders}/{n}.jpg") for n in range(1000)
    ]
    index = MediaIndex()
    index.add(media)
    tracemalloc.start()
    try:
        assert index.ids_of("folder_11/7") == index.ids_of("folder_11/7.jpg") == ["m-7"]
        assert index.ids_of("1/7.jpg") == index.ids_of("none.jpg") == []
        assert tracemalloc.get_traced_memory()[0] < 1_000 * len(media)
    finally:
        tracemalloc.stop()


FOREIGN = {
    "lower-case hex": "t%c3%a4st.jpg",
    "encoded blank": "Sequenz%2001.jpg",
    "no utf-8": "t%E4st.jpg",
    "lone percent": "100%.jpg",
    "latin-1 as stored": "täst2.jpg",
    "both": "tä%C3%A4.jpg",
    "encodes to nothing": "%",
}


@pytest.mark.parametrize("stored", FOREIGN.values(), ids=FOREIGN)
def test_a_name_of_others_is_left_alone(stored: str) -> None:
    """A stored name that this rule did not make is not decoded."""
    assert decode_name(stored) == stored


def test_undecodable_bytes_of_a_file_name_are_kept() -> None:
    """A file name that is no UTF-8 travels as its bytes."""
    assert encode_name(b"t\xe4st.jpg".decode("utf-8", "surrogateescape")) == "t%E4st.jpg"


@pytest.mark.parametrize(
    ("name", "length"),
    [("a" * 255, 255), ("ä" * 42, 252), ("a" * 251 + ".jpg", 255)],
    ids=["ascii", "encoded", "with suffix"],
)
def test_the_encoded_form_may_have_255_characters(name: str, length: int) -> None:
    """The limit is that of the encoded form."""
    assert len(encode_name(name)) == length


REFUSED = {
    "empty": ("", "empty"),
    "256": ("a" * 256, "256 characters"),
    "43 umlauts": ("ä" * 43, "258 characters"),
    "invalid Unicode": ("\ud800.jpg", "invalid Unicode"),
}


@pytest.mark.parametrize(("name", "words"), REFUSED.values(), ids=REFUSED)
def test_an_impossible_name_is_refused(name: str, words: str) -> None:
    """The refusal names the thing and the rule."""
    with pytest.raises(ConfigurationError, match=words):
        encode_name(name)


EQUAL = {
    "case": ("OK.jpg", "ok.JPG"),
    "accents": ("tast2.jpg", "täst2.jpg"),
    "trailing blanks": ("a.jpg", "a.jpg  "),
    "decomposed": ("a\u0308.jpg", "ä.jpg"),
    "hex case": ("t%C3%A4.jpg", "t%c3%a4.jpg"),
    "sharp s": ("straße.jpg", "strase.jpg"),
    "beyond the basic plane": ("🙂.jpg", "😡.jpg"),
}


@pytest.mark.parametrize(("one", "other"), EQUAL.values(), ids=EQUAL)
def test_names_fold_as_the_service_compares(one: str, other: str) -> None:
    """What the service takes for one name folds to one text."""
    assert fold_name(one) == fold_name(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("a.jpg", " a.jpg"),
        ("a.jpg", "a.png"),
        ("tast", "t%C3%A4st"),
        ("ﬁ.jpg", "fi.jpg"),
        ("ﬀ.jpg", "ff.jpg"),
        ("straße", "strasse"),
        ("æ.jpg", "ae.jpg"),
        ("ø.jpg", "o.jpg"),
    ],
)
def test_different_names_stay_different(one: str, other: str) -> None:
    """Leading blanks and encoded accents do count, and one letter is never two."""
    assert fold_name(one) != fold_name(other)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("http://h/Ü.jpg", "http://h/ü.jpg", True),
        ("http://h/\u0131.jpg", "http://h/i.jpg", True),
        ("http://h/\u017f.jpg", "http://h/S.jpg", True),
        ("http://h/\u212a.jpg", "http://h/k.jpg", True),
        ("http://h/é.jpg", "http://h/e.jpg", False),
        ("http://h/ß.jpg", "http://h/ss.jpg", False),
        ("http://h/ﬁ.jpg", "http://h/fi.jpg", False),
    ],
)
def test_links_are_compared_by_another_rule(one: str, other: str, same: bool) -> None:
    """Without case, letter by letter, and with all accents."""
    assert (fold_link(one) == fold_link(other)) is same


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        ("A.jpg", "a.JPG", True),
        ("a.jpg", "a.jpeg", False),
        ("straße.jpg", "STRASSE.jpg", False),
        ("tast.jpg", "täst.jpg", False),
        ("ä.jpg", "Ä.jpg", False),
    ],
)
def test_names_fold_as_they_travel(one: str, other: str, equal: bool) -> None:
    """Names are compared in their encoded form, where letters outside ASCII are other bytes."""
    assert equal == (fold_written(one) == fold_written(other))
