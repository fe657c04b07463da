"""Names made fit for a disk: whatever the service says, a file stays in its folder."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path, PurePosixPath, PureWindowsPath

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from datagym_async._files import folded_name, numbered_file, safe_name, with_room

HOSTILE = st.lists(
    st.one_of(
        st.text(max_size=4),
        st.text(alphabet=st.characters(), max_size=300),
        st.sampled_from(
            ["..", "/", "\\", "\0", ".", " ", "C:", "CON", "nul", "com1", "~", "\u202e", "\ud800"]
        ),
        st.sampled_from(
            [".jpg", ".", "a" * 254, "é" * 130, "\U0001d538" * 70, "%2e%2e%2f", "\r\n", ":ads"]
        ),
    ),
    max_size=6,
).map("".join)
MAX_NAME = 255  # bytes, as most file systems bound them
WINDOWS_RESERVED = {"con", "prn", "aux", "nul", "com1", "com9", "lpt1", "conin$", "com²"}


def is_one_safe_part(name: str) -> bool:
    """Return whether a name is one part of a path on every system, and stays as it is there."""
    stem = name.partition(".")[0].rstrip(" ").casefold()
    return (
        PurePosixPath(name).parts == (name,)
        and PureWindowsPath(name).parts == (name,)
        and name not in {".", ".."}
        and not name.startswith((".", " "))
        and not name.endswith((".", " "))
        and not set(name) & set('<>:"/\\|?*\0')
        and not any(unicodedata.category(one) in {"Cc", "Cs"} for one in name)
        and stem not in WINDOWS_RESERVED
        and 0 < len(os.fsencode(name)) <= MAX_NAME
    )


@given(name=HOSTILE)
@example(name="../../etc/passwd")
@example(name="C:\\Windows\\win.ini")
@example(name="nul.jpg")
@example(name="x" * 256 + ".jpg")
def test_any_name_becomes_one_safe_part(name: str) -> None:
    """No separator, drive, control, reserved or over-long name is left, and nothing hidden."""
    assert is_one_safe_part(safe_name(name))


@given(name=HOSTILE)
def test_a_safe_name_stays_as_it_is(name: str) -> None:
    """Making a name safe twice changes nothing more."""
    safe = safe_name(name)

    assert safe_name(safe) == safe


@given(name=HOSTILE, number=st.integers(2, 10**7))
def test_a_numbered_name_is_safe(name: str, number: int) -> None:
    """A number goes before the suffix, and never over what a file's name may have."""
    found = numbered_file(safe_name(name), number)

    assert is_one_safe_part(found)
    assert f" ({number})" in found


@given(name=HOSTILE, suffix=st.sampled_from([".txt", ".png", "-0123abcd.bmp"]))
@example(name="x" * 254, suffix=".txt")
def test_a_suffix_is_behind_the_safe_name_whole(name: str, suffix: str) -> None:
    """However long a name is, it is cut and not its suffix."""
    found = safe_name(name, suffix=suffix)

    assert is_one_safe_part(found)
    assert found.endswith(suffix)


@given(name=HOSTILE, folder=st.sampled_from(["", "a/", "b.c/d/"]))
@example(name="x" * 254, folder="")
@example(name="x" * 252 + ".jp", folder="a/")
def test_a_label_file_fits_beside_any_image(name: str, folder: str) -> None:
    """A name is cut so that another suffix fits behind its stem, and else stays as it is."""
    safe = safe_name(name)
    found = with_room(f"{folder}{safe}", ".json")
    beside = PurePosixPath(found).with_suffix(".json")

    assert found.startswith(folder)
    assert len(beside.name.encode()) <= MAX_NAME
    assert len(found) <= len(folder + safe)
    if len(PurePosixPath(safe).with_suffix(".json").name.encode()) <= MAX_NAME:
        assert found == folder + safe


@given(name=HOSTILE)
def test_a_file_of_a_safe_name_lies_in_its_folder(name: str) -> None:
    """However it is joined and resolved, the path stays below the folder."""
    root = Path("/data/out")

    assert Path(os.path.normpath(root / safe_name(name))).parent == root


ORDINARY = r"[a-zA-Z0-9_\-äöüß写]([a-zA-Z0-9_ ()\-äöü写]{0,20}[a-z0-9])?\.jpg"


@given(name=st.from_regex(ORDINARY, fullmatch=True))
def test_an_ordinary_name_is_kept(name: str) -> None:
    """Letters of any script, blanks, dashes and brackets need no change."""
    assert safe_name(name) == name or name.partition(".")[0].casefold() in WINDOWS_RESERVED


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("../x.jpg", "_._x.jpg"),
        ("/etc/passwd", "_etc_passwd"),
        ("a\0b.jpg", "a_b.jpg"),
        ("NUL.jpg", "_NUL.jpg"),
        ("com1", "_com1"),
        (".hidden", "_hidden"),
        ("..", "_"),
        ("", "_"),
        ("day 1/a.jpg", "day 1_a.jpg"),
        ("a.jpg. ", "a.jpg"),
        ("gpj.\u202eexe", "gpj._exe"),
        ("Zürich ☃ 写真.jpg", "Zürich ☃ 写真.jpg"),
        ("a" * 300 + ".jpeg", "a" * 250 + ".jpeg"),
        ("é" * 200 + ".jpg", "é" * 125 + ".jpg"),
    ],
)
def test_what_becomes_of_a_name(name: str, safe: str) -> None:
    """The rules, one by one."""
    assert safe_name(name) == safe


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("A.jpg", "a.JPG"),
        ("ß.jpg", "SS.jpg"),
        ("e\u0301.jpg", "é.jpg"),
        ("\ufb01.jpg", "fi.jpg"),
        ("a\u200db.jpg", "ab.jpg"),
        ("\u2764\ufe0f.jpg", "\u2764.jpg"),
    ],
)
def test_names_that_some_disk_takes_for_one(one: str, other: str) -> None:
    """Case, the way accents are written and marks that nobody sees do not make two files."""
    assert folded_name(safe_name(one)) == folded_name(safe_name(other))
