"""The one way out: nothing from outside is markup, nothing secret passes, streams stay apart."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import pytest

from datagym_async._threads import first_of
from datagym_async.cli import (
    CommandError,
    LogFileHandler,
    LogHandler,
    Output,
    choose,
    in_shell_words,
    local_time,
    sentence_of,
    status_of,
)
from datagym_async.exceptions import ConfigurationError, PermissionDeniedError, TransferError
from datagym_async.models import Dataset

SECRET = "secret-4711"


@pytest.fixture
def zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A time zone of the system."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", request.param)
        time.tzset()
        yield
    time.tzset()


@pytest.mark.parametrize(
    ("zone", "moment", "shown"),
    [
        ("UTC-2", datetime(2026, 7, 1, 23, tzinfo=UTC), "2026-07-02 01:00"),
        ("UTC-25", datetime(2026, 7, 1, 23, tzinfo=UTC), "2026-07-01 23:00"),
        ("UTC-2", datetime.max.replace(tzinfo=UTC), "9999-12-31 23:59"),
        ("UTC+2", datetime.min.replace(tzinfo=UTC), "0001-01-01 00:00"),
    ],
    indirect=["zone"],
)
@pytest.mark.usefixtures("zone")
def test_a_time_that_the_zone_cannot_show_is_shown_in_utc(moment: datetime, shown: str) -> None:
    """A zone may be a day from UTC, and a service may send any number as a time."""
    assert local_time(moment).zfill(16) == shown


@pytest.mark.parametrize(
    "say",
    [
        Output.result,
        Output.tell,
        Output.message,
        Output.warning,
        Output.error,
        Output.trace,
        Output.document,
        lambda output, text: output.table(["Name"], [[text]]),
    ],
)
def test_secrets_are_taken_out(
    say: Callable[[Output, str], None], capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever is said, and however: a known secret is not in it."""
    output = Output()
    output.secrets.learn(SECRET)
    say(output, f"before {SECRET} after")
    said = "".join(capsys.readouterr())
    assert SECRET not in said
    assert "before [redacted] after" in said


@pytest.mark.skipif(sys.platform == "win32", reason="an open file cannot be renamed there")
def test_a_log_file_that_was_renamed_is_begun_anew(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As soon as it can be: a folder that is gone costs records, which is said once."""
    folder, kept = tmp_path / "logs", tmp_path / "kept"
    folder.mkdir()

    with contextlib.closing(LogFileHandler(Output(), folder / "log")) as handler:
        for text in ("one", "two"):
            handler.handle(logging.makeLogRecord({"msg": text}))
        (folder / "log").rename(kept)
        folder.rmdir()
        for text in ("three", "four"):
            handler.handle(logging.makeLogRecord({"msg": text}))
        folder.mkdir()
        handler.handle(logging.makeLogRecord({"msg": "five"}))

    texts = [file.read_text().splitlines() for file in (kept, folder / "log")]
    assert [[line.split()[-1] for line in lines] for lines in texts] == [["one", "two"], ["five"]]
    assert capsys.readouterr().err.count("is not complete: No such file or directory.") == 1


def test_an_empty_secret_hides_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """No token is no secret."""
    output = Output()
    output.secrets.learn("")
    output.result("all of it")
    assert capsys.readouterr().out == "all of it\n"


def test_nothing_is_markup(capsys: pytest.CaptureFixture[str]) -> None:
    """File names may look like markup or emoji."""
    output = Output()
    output.result("[red]a[/] :smile:.jpg")
    output.table(["Name"], [["[b]x[/b]"]])
    said = capsys.readouterr().out
    assert "[red]a[/] :smile:.jpg" in said
    assert "[b]x[/b]" in said


def test_a_table_in_a_pipe_is_a_line_a_row(capsys: pytest.CaptureFixture[str]) -> None:
    """Names of any length stay whole, and no line ends with blanks."""
    name = "a long name " * 40 + "end"
    Output().table(["Name", "Type"], [[name, "image"], ["b", ""]])

    assert capsys.readouterr().out.split("\n") == [
        f"{'Name':{len(name)}}  Type",
        f"{name}  image",
        "b",
        "",
    ]


def test_a_narrow_terminal_shows_all_columns(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where they do not fit side by side, a row is folded as a whole, as other lines are."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "40")
    name = str(uuid4())

    Output().table(["Id!", "Name", ">Media", ">Projects"], [[name, "Photos 2026", "300", "1"]])

    words = ["Id", "Name", "Media", "Projects", name, "Photos", "2026", "300", "1"]
    assert capsys.readouterr().out.split() == words


def test_long_lines_are_not_folded_in_files(capsys: pytest.CaptureFixture[str]) -> None:
    """Outside terminals a line stays a line, for programs that read it."""
    Output().warning("word " * 100)
    assert capsys.readouterr().err.count("\n") == 1


def test_what_json_and_quiet_leave(capsys: pytest.CaptureFixture[str]) -> None:
    """--json leaves documents and errors; --quiet leaves results, warnings and errors."""
    for output, left in ((Output(as_json=True), "DE"), (Output(quiet=True), "RWDE")):
        output.result("R")
        output.tell("T")
        output.message("M")
        output.warning("W")
        output.document({"D": 1})
        output.error("E")
        said = "".join(capsys.readouterr())
        assert {each for each in "RTMWDE" if f"{each}" in said.replace("Error", "")} == set(left)


def test_documents_are_json(capsys: pytest.CaptureFixture[str]) -> None:
    """A document can be read back, however long its texts are."""
    document = {"name": "ü" * 500, "count": 3}
    Output(as_json=True).document(document)
    assert json.loads(capsys.readouterr().out) == document


def test_log_records_are_redacted(capsys: pytest.CaptureFixture[str]) -> None:
    """What --debug shows has neither secrets nor queries of URLs."""
    output = Output()
    output.secrets.learn(SECRET)
    record = logging.LogRecord("x", 10, "f", 1, "at http://h/p?q=1 with %s", (SECRET,), None)
    LogHandler(output, debug=True).handle(record)
    said = capsys.readouterr().err
    assert "at http://h/p with [redacted]" in said


def test_what_other_libraries_log_steers_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """Their warnings are said without --debug, too; further lines are indented and printable."""
    record = logging.LogRecord("x", 30, "f", 1, "a %s", ("\x1b]0;x\n[red]b",), None)
    for debug in (False, True):
        LogHandler(Output(), debug=debug).handle(record)
        first, second = capsys.readouterr().err.splitlines()
        assert first.endswith(r"a \x1b]0;x")
        assert second == "  [red]b"


def test_a_log_of_another_library_never_stops_it(capsys: pytest.CaptureFixture[str]) -> None:
    """A text that its arguments do not fit is shown with them, as far as they can be."""

    class Broken:
        def __str__(self) -> str:
            raise ValueError

    for args in (("two",), (1, 2), (Broken(),)):
        record = logging.LogRecord("other", logging.WARNING, "", 0, "%d files", args, None)
        LogHandler(Output(), debug=False).handle(record)
    first, second, third = capsys.readouterr().err.splitlines()
    assert (first, second) == ("%d files ('two',)", "%d files (1, 2)")
    assert third.startswith("%d files (<")


def test_a_question_steers_no_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It names things, too."""
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    assert Output().ask("Delete \x1b]0;x?")
    assert r"Delete \x1b]0;x?" in capsys.readouterr().err


def test_a_refused_token_in_words_of_a_shell() -> None:
    """The client's errors speak of code; the two on tokens are said in words of a shell."""
    error = PermissionDeniedError("Pass it as DataGymClient(token=...)", status=403)
    said = sentence_of(error)
    assert said.endswith("check DATAGYM_TOKEN or --token-file, and --base-url.")
    assert "DataGymClient" not in said
    page = PermissionDeniedError("Pass it. A web page answered: Login", status=403)
    assert sentence_of(page) == f"{said} A web page answered: Login."


def test_an_extra_that_is_missing_is_named() -> None:
    """By the module that cannot be imported."""
    said = sentence_of(ModuleNotFoundError("No module named 'PIL.Image'", name="PIL.Image"))
    assert said.startswith("This needs the extra 'server' (no module PIL here): ")


@pytest.mark.parametrize("encoding", ["ascii", "utf-8"])
def test_names_that_the_locale_cannot_write(monkeypatch: pytest.MonkeyPatch, encoding: str) -> None:
    """Where names of files have all characters, what cannot be encoded is another text."""
    monkeypatch.setattr(sys, "getfilesystemencoding", lambda: encoding)
    error = UnicodeEncodeError("ascii", "ö", 0, 1, "ordinal not in range(128)")
    assert ("set the variable PYTHONUTF8 to 1" in sentence_of(error)) == (encoding == "ascii")
    assert ("PYTHONUTF8" in sentence_of(ValueError("odd"))) is False


def test_only_sentences_of_a_document_are_in_words_of_a_shell() -> None:
    """Names and paths stay what they are; advice, which names no file, has more words."""
    whole = {
        "name": 'name="relative"',
        "advice": "a higher max_uploads would help",
        "problems": [{"reason": 'Give name="relative"', "path": 'name="relative"'}],
        "notes": ("max_uploads/rate_limit.jpg is empty",),
    }
    assert in_shell_words(whole) == {
        "name": 'name="relative"',
        "advice": "a higher --max-concurrency would help",
        "problems": [{"reason": "Give --name relative", "path": 'name="relative"'}],
        "notes": ["max_uploads/rate_limit.jpg is empty"],
    }


@pytest.mark.parametrize(
    ("error", "sentence", "status"),
    [
        (CommandError("So.", status=1), "So.", 1),
        (ConfigurationError("no full stop"), "no full stop.", 2),
        (
            FileNotFoundError(2, "No such file", "x.jpg"),
            "x.jpg cannot be used (No such file); choose another path.",
            2,
        ),
        (TransferError("Stopped."), "Stopped.", 2),
        (OSError("odd"), "Unexpected error (OSError: odd); add --debug for details.", 2),
        (
            ModuleNotFoundError("no nope", name="nope"),
            "Unexpected error (ModuleNotFoundError: no nope); add --debug for details.",
            2,
        ),
    ],
)
def test_sentences(error: Exception, sentence: str, status: int) -> None:
    """Each kind of error has its sentence and its status."""
    assert (sentence_of(error), status_of(error)) == (sentence, status)


def test_the_first_of_a_group() -> None:
    """Of errors that came together the first one is told."""
    group = ExceptionGroup("g", [ExceptionGroup("h", [ValueError("first")]), KeyError("second")])
    assert str(first_of(group)) == "first"


def test_choosing_by_name() -> None:
    """An id goes first, then the very name, then the name as the service compares it."""
    upper, lower = Dataset("1" * 8, "Photos", 0), Dataset("2" * 8, "photos", 0)
    assert choose("2" * 8, [upper, lower], kind="dataset") is lower
    assert choose("photos", [upper, lower], kind="dataset") is lower
    assert choose("PHÖTOS", [upper], kind="dataset") is upper
    assert choose("other", [upper], kind="dataset") is None
    with pytest.raises(CommandError, match="11111111, 22222222"):
        choose("PHOTOS", [upper, lower], kind="dataset")
