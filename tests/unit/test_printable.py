"""Foreign text in texts for people: escaped by one rule, wherever it enters."""

from __future__ import annotations

import io
import json
import logging
import pickle
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import datagym_async
from datagym_async._json import ShapeError
from datagym_async._printable import (
    for_shell,
    indented_trace,
    logger,
    printable,
    printable_json,
    quoted,
    words_of,
)
from datagym_async._wire import Request, Response, decode_error
from datagym_async.exceptions import (
    ConfigurationError,
    DataGymError,
    FileChangedError,
    NotFoundError,
)
from datagym_async.formats import Loss, LossKind, LossReport
from datagym_async.labels import LabelConfig, diff

EVIL = "\x1b]0;x\x07\x9b31m\u202e\n[red]x"
SHOWN = r"\x1b]0;x\x07\x9b31m\u202e\n[red]x"

_log = logger("datagym_async.tests")

any_text = st.text(max_size=30)


@given(any_text)
def test_a_printable_text_is_one_line_and_stays_as_it_is(text: str) -> None:
    """Nothing in it steers a terminal; what was printable is untouched, also the second time."""
    shown = printable(text)
    assert shown.isprintable()
    assert printable(shown) == shown
    assert (shown == text) == text.isprintable()
    shown.encode()


@pytest.mark.parametrize(
    ("text", "expected"), [("a\nb", r"'a\nb'"), ("it's", '"it\'s"'), ("'\"", "''\"'")]
)
def test_quotes_are_set_without_escaping_twice(text: str, expected: str) -> None:
    """A name in a sentence is in quotes, its escapes as everywhere else."""
    assert quoted(text) == expected


def test_lines_stay_lines() -> None:
    """A traceback keeps its line breaks, and nothing else."""
    said = indented_trace(ValueError("a\x1b\n\tb\r\nc"))
    assert said == "  ValueError: a\\x1b\n  \\tb\\r\n  c"


@given(st.dictionaries(any_text, any_text, max_size=3), st.sampled_from([None, 2]))
def test_json_says_the_same_and_steers_nothing(value: dict[str, str], indent: int | None) -> None:
    """A document may be printed as it is, and is read back exactly."""
    said = printable_json(json.dumps(value, ensure_ascii=False, indent=indent))
    assert all(line.isprintable() for line in said.split("\n"))
    assert json.loads(said) == value


@pytest.mark.parametrize(
    "error",
    [
        DataGymError(EVIL),
        FileChangedError(EVIL),
        NotFoundError(EVIL, status=404),
        ConfigurationError(EVIL),
        ShapeError("a text was expected", path=f".{EVIL}"),
    ],
)
def test_no_error_text_holds_a_control_character(error: DataGymError) -> None:
    """Whatever class it is and whatever it quotes, also when it has travelled."""
    for each in (error, pickle.loads(pickle.dumps(error))):
        assert SHOWN in str(each)
        assert str(each).isprintable()


def test_an_answer_keeps_its_true_words_beside_the_printable_sentence() -> None:
    """Key, parameters and details are values; the sentence that quotes them is for people."""
    detail = {"name": EVIL, "key": "ex_size", "params": [EVIL]}
    body = {"key": f"ex_{EVIL}", "params": [EVIL], "details": [detail]}
    error = decode_error(Request("GET", "project"), Response(412, {}, json.dumps(body).encode()))
    assert str(error).isprintable()
    assert SHOWN in str(error)
    assert (error.key, error.params) == (f"ex_{EVIL}", (EVIL,))
    assert (error.details[0].name, error.details[0].params) == (EVIL, (EVIL,))


def test_texts_of_losses_and_differences_are_printable() -> None:
    """Each is a line, whatever the names of images and entries are."""
    losses = LossReport((Loss(next(iter(LossKind)), 1, (EVIL,)),))
    config = LabelConfig.from_json(
        json.dumps([{"entryKey": EVIL, "entryValue": EVIL, "type": "RECTANGLE"}])
    )
    problems = config.problems()
    assert len(problems) > 1
    for said in (str(losses), str(diff((), config)), *problems):
        assert said.isprintable()
        assert SHOWN in said


@given(st.text(min_size=1, max_size=30))
def test_yaml_steers_nothing_and_keeps_texts_exactly(text: str) -> None:
    """A configuration may be printed as YAML; what comes back is what there was."""
    entries = [{"entryKey": "a", "entryValue": text, "type": "RECTANGLE"}]
    config = LabelConfig.from_json(json.dumps(entries))
    said = config.to_yaml()
    assert all(line.isprintable() for line in said.split("\n"))
    assert LabelConfig.from_yaml(said) == config


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    """What a plain handler of somebody's own writes of our records."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter("LINE %(message)s"))
    _log.addHandler(handler)
    yield stream
    _log.removeHandler(handler)


def test_a_record_is_one_line(lines: io.StringIO) -> None:
    """Neither texts nor errors nor paths that fill a message in can forge a line."""
    _log.warning("%s: %s in %d of %.1f s", EVIL, ValueError(EVIL), 3, 0.5)
    assert lines.getvalue() == f"LINE {SHOWN}: {SHOWN} in 3 of 0.5 s\n"


def test_a_traceback_is_indented_and_printable(lines: io.StringIO) -> None:
    """No line of it looks like the first line of a record."""
    try:
        raise ValueError(f"{EVIL}\nLINE forged")
    except ValueError:
        _log.exception("it failed")
    first, *further = lines.getvalue().rstrip("\n").split("\n")
    assert first == "LINE it failed"
    assert all(line.startswith("  ") and line.isprintable() for line in further)
    assert any("forged" in line for line in further)


def test_every_logger_of_the_package_is_made_in_one_place() -> None:
    """A module that logs takes its logger from `_printable`, which makes its records printable."""
    sources = list(Path(datagym_async.__file__).parent.rglob("*.py"))
    makers = {each.name for each in sources if "getLogger(name" in each.read_text("utf-8")}
    made = {each.name for each in sources if "getLogger(__name__" in each.read_text("utf-8")}
    assert (makers, made) == ({"_printable.py"}, set())


def test_an_error_of_foreign_code_has_words() -> None:
    """Also one without a text, and one whose text fails."""

    class OddError(Exception):
        def __str__(self) -> str:
            raise self

    errors = (KeyError("a\nb"), TimeoutError(), OddError())
    assert [words_of(each) for each in errors] == [r"'a\nb'", "TimeoutError", "OddError"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain.jpg", "plain.jpg"),
        ("Größe 写真.jpg", "Größe 写真.jpg"),
        ("caf\udce9.jpg", r"caf\xe9.jpg"),
        ("a\nb\x1b[0m", r"a\nb\x1b[0m"),
        ("lone \ud800", r"lone \ud800"),
    ],
)
def test_odd_names_are_shown_escaped(text: str, expected: str) -> None:
    """Bytes that are no text, control characters and lone surrogates show as escapes."""
    assert expected == printable(text)


@pytest.mark.parametrize(
    ("word", "posix", "windows"),
    [
        ("photos", "photos", "photos"),
        (r"C:\Python\python.exe", r"'C:\Python\python.exe'", r"C:\Python\python.exe"),
        ("C:\\My Photos\\", "'C:\\My Photos\\'", '"C:\\My Photos\\\\"'),
        ("datagym-async[cli]", "'datagym-async[cli]'", '"datagym-async[cli]"'),
        (r"12\" & more", r"""'12\" & more'""", r'"12\\\" & more"'),
        ("it's", """'it'"'"'s'""", '"it\'s"'),
        ("", "''", '""'),
    ],
)
def test_words_of_a_command_are_quoted_for_the_shells_of_the_system(
    word: str, posix: str, windows: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On Windows single quotes are no quotes of cmd, and a quoted program none of PowerShell."""
    monkeypatch.setattr(sys, "platform", "linux")
    assert for_shell(word) == posix
    monkeypatch.setattr(sys, "platform", "win32")
    assert for_shell(word) == windows
