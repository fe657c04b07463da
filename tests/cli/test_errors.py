"""Bad input: one sentence that names the thing and the way out, the right status, no traceback."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import datagym_async
from datagym_async._extras import how_to_install
from datagym_async.cli import sentence_of
from datagym_async.server import SeedDataset
from datagym_async.testing import Hang, RefuseToken
from datagym_async.uploads import Uploader
from tests.cli.conftest import Result
from tests.helpers.sentinel import TOKEN

if TYPE_CHECKING:
    from datagym_async.testing import FaultPlan
    from tests.cli.conftest import Cli
    from tests.helpers.server_thread import ServerThread

INSTALL = how_to_install("EXTRA")  # before another test takes modules away
LONG = "a" * 256  # no name of a file


def one_sentence(ran: Result, *words: str) -> None:
    """Assert that a command stopped with status 2 and one line that says these words."""
    assert (ran.status, ran.out) == (2, "")
    assert ran.err.startswith("Error: ")
    assert ran.err.count("\n") == 1
    assert "Traceback" not in ran.err
    for word in words:
        assert word in ran.err


@pytest.mark.skipif(sys.platform == "win32", reason="there a folder in use cannot be deleted")
def test_a_current_folder_that_was_deleted(
    at_service: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The system says only that there is no such file, and not which."""
    at_service("datasets", "create", "P")
    (gone := tmp_path / "gone").mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    one_sentence(at_service("upload", "a.jpg", "--dataset", "P"), "current folder was deleted")
    report = "upload", "http://h/a.jpg", "--dataset", "P", "--report", "r.json"
    one_sentence(at_service(*report), "current folder was deleted")


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["--nope"], ["--nope", "datagym-async --help"]),
        (["nope"], ["nope"]),
        (["auth", "login"], ["cannot be asked for; give it with --token-file"]),
        (["login"], ["'login'. Did you mean 'auth login'? See `datagym-async --help`."]),
        (["attach"], ["Did you mean 'projects attach'?"]),
        (["upload"], ["SOURCE", "datagym-async upload --help"]),
        (["upload", "x"], ["--dataset"]),
        (["upload", "x", "-d", "y", "--name", "z"], ["name is 'z'", "basename", "relative"]),
        (["upload", "x", "-d", "y", "--include"], ["'--include' requires", "upload --help"]),
        (["jobs", "clean", "--older-than"], ["jobs clean --help"]),
        (["upload", "x", "-d", "y", "--rate", "a"], ["'--rate': 'a' must be a valid number; see"]),
        (["upload", "x", "-d", "y", "--concurrency", "many"], ["--concurrency", "'many' must be"]),
        (
            ["upload", "x", "-d", "y", "--concurrency", "0"],
            ["--concurrency", "'0' must be", "to 1;"],
        ),
        (["upload", "x", "-d", "y", "--max-bytes", "much"], ["--max-bytes", "500k"]),
        (["upload", "x", "-d", "y", "--max-duration", "long"], ["--max-duration", "1h30m"]),
        (["upload", "x", "-d", "y", "--include", "/"], ["include", "*.jpg"]),
        (["upload", "-d", "y", "--retry-failed"], ["--retry-failed"]),
        (["upload", "x", "-d", "y", "--retry-failed", "r.json"], ["--retry-failed", "sources"]),
        (["upload", "x", "-d", "y", "--no-journal", "--fresh"], ["--no-journal", "--fresh"]),
        (["upload", "x", "y", "-d", "z", "--watch"], ["--watch", "one folder"]),
        (["upload", "x", "-d", "y", "--watch", "--dry-run"], ["--watch", "--dry-run"]),
        (["upload", "x", "-d", "y", "-n", "--report", "r.json"], ["--dry-run", "--report"]),
        (["upload", "r.csv", "-d", "y", "--report", "./r.csv"], ["r.csv is what is read here"]),
        (["upload", "x", "-d", "y", "--allow-private-links"], ["--check-links"]),
        (["upload", "x", "-d", "y", "--allow-private-store"], ["--verify"]),
        (["upload", "x", "-d", "y", "--rate", "-1"], ["--rate"]),
        (["export", "p", "-o", "x", "-f", "png"], ["--format' / '-f': 'png' is not one of"]),
        (["export", "p", "-o", ""], ["--output", "not empty"]),
        (["export", "p", "-o", "-", "-f", "yolo"], ["a folder of files; name the folder"]),
        (["export", "p", "-o", "-", "-f", "coco", "--images", "download"], ["a folder of files"]),
        (["export", "p", "-o", "-", "-f", "coco", "--split", "a=1"], ["a folder of files"]),
        (["import", "no.json", "-p", "x", "-n"], ["There is no file or folder no.json."]),
        (["bitmaps", "p", ""], ["FOLDER", "not empty"]),
        (["stats", "c.json", "--images", LONG], ["--images", "at most 255 bytes"]),
        (["upload", "x", "-d", "y", "--report", "r.json", "--report", LONG], ["--report", "bytes"]),
        (["jobs", "list", "--log-file", LONG], ["--log-file", "at most 255 bytes"]),
        (["jobs", "show", LONG], ["There is no job"]),
        (["projects"], ["projects --help"]),
        (["serve", "--port", "99999"], ["--port"]),
        (["serve", "--port", "0", "--host", ""], ["The host '' is unknown"]),
        (["serve", "--port", "0", "--host", "a..b"], ["The host 'a..b' is unknown"]),
        (["serve", "--port", "0", "--data", "~no one"], ["no home folder for ~no one"]),
    ],
)
def test_usage(
    cli: Cli, argv: list[str], words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wrong usage names the option or argument and where help is."""
    monkeypatch.chdir(tmp_path)
    one_sentence(cli(*argv), *words)


def test_there_is_no_option_for_the_token(cli: Cli) -> None:
    """A token given as an argument is refused, and not repeated (the `cli` fixture looks)."""
    one_sentence(cli("datasets", "list", f"--token={TOKEN}"), "--token-file")


def test_no_token(cli: Cli) -> None:
    """Where nobody can be asked, the sentence names both ways to give a token."""
    one_sentence(cli("datasets", "list"), "DATAGYM_TOKEN", "--token-file")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "No such file"),
        (b"", "one line"),
        (b"a\nb\n", "one line"),
        (b"\xff\xfe", "not in UTF-8; save it"),
    ],
)
def test_a_useless_token_file(cli: Cli, tmp_path: Path, content: bytes | None, words: str) -> None:
    """A token file that holds no token is named."""
    file = tmp_path / "token"
    if content is not None:
        file.write_bytes(content)
    one_sentence(cli("datasets", "list", "--token-file", file), str(file), words)


def test_an_endless_token_file(cli: Cli) -> None:
    """Of a device no more is read than a token can have."""
    ran = cli("datasets", "list", "--token-file", "/dev/zero")
    one_sentence(ran, "token")


def test_the_token_may_come_through_a_pipe(cli: Cli, service: ServerThread, tmp_path: Path) -> None:
    """As of `--token-file <(pass show datagym)`: it is read once."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_text, args=(f"{TOKEN}\n",))
    writer.start()
    ran = cli("datasets", "list", "--token-file", pipe, "--base-url", service.base_url)
    writer.join()
    assert ran.status == 0


@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_the_token_of_a_file(cli: Cli, service: ServerThread, tmp_path: Path, mark: str) -> None:
    """--token-file and --base-url work before the command as well as after it."""
    file = tmp_path / "token"
    file.write_text(f"{mark}{TOKEN}\n")
    options = ("--token-file", file, "--base-url", service.base_url)
    assert cli(*options, "datasets", "list").status == 0
    assert cli("datasets", "list", *options).status == 0


def test_a_refused_token(at_service: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong token: where it comes from, and not what it is."""
    monkeypatch.setenv("DATAGYM_TOKEN", "wrong-4711-wrong")
    ran = at_service("datasets", "list")
    one_sentence(ran, "DATAGYM_TOKEN", "--token-file")
    assert "4711" not in ran.err


def test_an_unknown_dataset(at_service: Cli, photos: Path) -> None:
    """An unknown dataset: its name, a similar one, and how to make it."""
    at_service("datasets", "create", "Photos 2026")
    ran = at_service("upload", photos, "-d", "Photos 2025")
    one_sentence(ran, "'Photos 2025'", "Did you mean 'Photos 2026'?", "--create")


def test_a_name_that_no_dataset_can_have(at_service: Cli, photos: Path) -> None:
    """The rule in words, not as a regular expression."""
    ran = at_service("upload", photos, "-d", "photos-2026", "--create")
    one_sentence(ran, "Name must have 1 to 128 characters: letters from a to z, digits, blanks")


def test_an_unknown_id(at_service: Cli, photos: Path) -> None:
    """An unknown id is not taken for a connection problem."""
    unknown = "00000000-0000-4000-8000-000000000000"
    one_sentence(at_service("upload", photos, "-d", unknown), unknown, "datasets list")


@pytest.mark.slow
@pytest.mark.parametrize("command", [["datasets", "list"], ["upload", "x.jpg", "-d", "P"]])
def test_an_unreachable_host(
    at_service: Cli, monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    """Nobody listens there: the address, and the option to check."""
    monkeypatch.setenv("DATAGYM_BASE_URL", "http://127.0.0.1:9")
    one_sentence(at_service(*command), "http://127.0.0.1:9", "--base-url")


@pytest.mark.slow
def test_a_tls_failure(
    at_service: Cli, service: ServerThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    """https to a port that speaks plain http says so."""
    address = service.base_url.replace("http:", "https:")
    monkeypatch.setenv("DATAGYM_BASE_URL", address)
    one_sentence(at_service("datasets", "list"), address, "secure connection")


@pytest.mark.parametrize("status", [200, 403, 404])
def test_a_wrong_base_url(at_service: Cli, monkeypatch: pytest.MonkeyPatch, status: int) -> None:
    """An HTML page answers: the sentence says that this is no DataGym service."""
    with web_site(status) as address:
        monkeypatch.setenv("DATAGYM_BASE_URL", address)
        one_sentence(
            at_service("datasets", "list"), "A web page answered", "check that --base-url is"
        )


@pytest.mark.parametrize("address", ["foo", "ftp://example.org", "http://"])
def test_no_base_url_at_all(at_service: Cli, address: str) -> None:
    """What is no address is refused before anything is asked."""
    one_sentence(at_service("datasets", "list", "--base-url", address), "--base-url")


def test_the_options_have_the_names_of_the_shell(at_service: Cli) -> None:
    """What the library calls `base_url` is `--base-url` here; no port is as little an address."""
    ran = at_service("projects", "list", "--base-url", "http://127.0.0.1:99999")
    one_sentence(ran, "--base-url 'http://127.0.0.1:99999' is not a valid address")
    ran = at_service("export", "Demo images", "-o", "-", "--zero-based")
    one_sentence(ran, "Error: --zero-based has no effect on the format json; leave it out.")


def test_the_variable_is_named_if_its_address_is_wrong(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody gave `--base-url`, so it would be looked for in vain."""
    monkeypatch.setenv("DATAGYM_BASE_URL", " ")
    one_sentence(cli("projects", "list"), "DATAGYM_BASE_URL ' ' is not a valid address")


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (
            PermissionError(13, "Denied", "out/.x.part"),
            "The folder out cannot be written to (Denied); choose another.",
        ),
        (PermissionError(13, "Denied", "out"), "out cannot be used (Denied); choose another path."),
        (OSError(28, "No space left", 7), "No space left."),
        (
            FileNotFoundError(2, "No usable temporary directory found in ['/tmp']"),
            "No usable temporary directory found in ['/tmp'].",
        ),
        (OSError(24, "Too many", "out"), "Too many; raise the limit of open files (`ulimit -n`)."),
    ],
    ids=["part", "path", "number", "no temporary folder", "too many"],
)
def test_errors_of_the_disk(error: OSError, sentence: str) -> None:
    """They name what their user knows, and never a file that is only on its way."""
    assert sentence_of(error) == sentence


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("can't start new thread"),
        BlockingIOError(11, "Resource temporarily unavailable"),
    ],
)
def test_a_small_limit_of_memory_or_threads(error: Exception) -> None:
    """As under `ulimit -v 200000` and `ulimit -u 100`; the last is of a process that cannot be."""
    assert sentence_of(error).startswith("Too little memory, or too many threads")


def test_a_locale_that_cannot_name_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is the locale that is at fault, and a variable is the way out."""
    monkeypatch.setattr(sys, "getfilesystemencoding", lambda: "ascii")

    said = sentence_of(UnicodeEncodeError("ascii", "ü", 0, 1, "ordinal not in range"))

    assert said.startswith("The locale of this system has no bytes for a name (ascii)")
    assert said.endswith("set the variable PYTHONUTF8 to 1.")


@pytest.mark.skipif(sys.platform == "win32", reason="raises POSIX signals")
@pytest.mark.parametrize("handler", [signal.default_int_handler, signal.SIG_IGN])
@pytest.mark.parametrize("name", ["projects", "tasks"])
def test_sigterm_interrupts(
    at_service: Cli, faults: FaultPlan, name: str, handler: signal.Handlers
) -> None:
    """It ends commands that have no way of their own to end as Ctrl-C does, also in background."""

    def terminate(_: object) -> bool:
        os.kill(os.getpid(), signal.SIGTERM)
        return True

    faults.add(Hang(), path=r"/project", when=terminate)
    before = signal.getsignal(signal.SIGTERM), signal.signal(signal.SIGINT, handler)
    try:
        ran = at_service(name, "list", *(["p"] if name == "tasks" else []))
        assert (ran.status, ran.out, ran.err) == (130, "", "Interrupted.\n")
        assert signal.getsignal(signal.SIGTERM) == before[0]
    finally:
        signal.signal(signal.SIGINT, before[1])


def test_a_missing_folder(at_service: Cli, tmp_path: Path) -> None:
    """A source that does not exist is named."""
    one_sentence(upload(at_service, tmp_path / "nowhere"), str(tmp_path / "nowhere"), "not exist")


def test_an_empty_folder(at_service: Cli, tmp_path: Path) -> None:
    """A folder without files is named."""
    one_sentence(upload(at_service, tmp_path), str(tmp_path), "no files")


def test_a_folder_that_cannot_be_read(at_service: Cli, tmp_path: Path) -> None:
    """A folder that cannot be read is named, with the reason."""
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    one_sentence(upload(at_service, loop), str(loop), "link to itself")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root reads all")
def test_a_forbidden_folder(at_service: Cli, tmp_path: Path) -> None:
    """A folder without permission is named, with the reason."""
    folder = tmp_path / "forbidden"
    folder.mkdir(mode=0)
    one_sentence(upload(at_service, folder), str(folder), "permission")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root writes all")
def test_a_report_that_may_not_be_written(at_service: Cli, photos: Path, tmp_path: Path) -> None:
    """It is said before anything is sent, not when all is done."""
    folder = tmp_path / "forbidden"
    folder.mkdir(mode=0o500)
    ran = at_service("upload", photos, "-d", "Photos", "--report", folder / "report.json")
    one_sentence(ran, "report.json", "permission denied")


@pytest.mark.parametrize("name", ["DATAGYM_STATE_DIR", "XDG_STATE_HOME", "DATAGYM_CONFIG_DIR"])
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has another variable")
def test_a_variable_that_is_no_path_is_named(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Nobody has typed this path."""
    monkeypatch.setenv("DATAGYM_STATE_DIR", "")
    monkeypatch.setenv(name, LONG)
    ran = cli("auth", "status") if name == "DATAGYM_CONFIG_DIR" else cli("jobs", "list")
    one_sentence(ran, f"Error: {name} is 'aaa", "; it must be a path")


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="it has no file without an end")
@pytest.mark.parametrize(
    "argv",
    [
        ("config", "validate", "/dev/zero"),
        ("upload", "-d", "P", "--retry-failed", "/dev/zero"),
    ],
)
def test_a_file_without_an_end(at_service: Cli, argv: tuple[str, ...]) -> None:
    """It is read up to a bound; it took all memory."""
    one_sentence(at_service(*argv), "/dev/zero cannot be read: File too large.")


def test_nothing_is_left_beside_an_image_that_is_no_journal(at_service: Cli, photos: Path) -> None:
    """Its lock would be taken for a rejected image by the next run."""
    before = {each: each.read_bytes() for each in photos.iterdir()}
    ran = at_service("upload", photos, "-d", "P", "--create", "--journal", photos / "a.jpg")
    one_sentence(ran, "a.jpg is damaged, or no journal of an upload, and was not changed")
    assert {each: each.read_bytes() for each in photos.iterdir()} == before


def test_the_file_that_cannot_be_read_is_named(cli: Cli, tmp_path: Path) -> None:
    """Not the file of labels, if it is the one of images."""
    content = '[{"image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4], "score": 0.5}]'
    (tmp_path / "c.json").write_text(content)
    for other, words in (
        ("c.json/x", "Not a directory"),
        (os.devnull, "only regular files are read"),
    ):
        ran = cli("stats", tmp_path / "c.json", "--images", tmp_path / other)
        one_sentence(ran, f"Error: {tmp_path / other} ", words)


def test_a_gallery_of_a_device(cli: Cli, tmp_path: Path) -> None:
    """It has no images below it."""
    ran = cli("gallery", os.devnull, "-o", tmp_path / "out")
    one_sentence(ran, f"{os.devnull} is not a folder; name a folder of images")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has names of any bytes")
def test_a_name_of_a_dataset_that_is_no_text(at_service: Cli, photos: Path) -> None:
    """It is shown, and nothing is made."""
    ran = at_service("upload", photos, "-d", "P\udcff", "--create")
    one_sentence(ran, r"'P\udcff' cannot be sent as JSON: it has half a character")
    assert at_service("datasets", "list", "--json").documents == []


def test_no_dataset_is_left_of_a_journal_that_cannot_be(
    at_service: Cli, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Requests cannot delete one; so the journal's folder is tried before the dataset is made."""
    monkeypatch.setenv("DATAGYM_STATE_DIR", str(photos / "a.jpg" / "state"))
    ran = at_service("upload", photos, "-d", "Photos", "--create")
    one_sentence(ran, "cannot be written", "move the file that is in the way", "--journal")
    assert at_service("datasets", "list", "--json").documents == []


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no users without a home")
def test_a_user_without_a_home(
    at_service: Cli, photos: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As in a container: what needs no home works, and the rest says which variable to set."""
    import pwd

    def nobody(_: int) -> None:
        raise KeyError

    for name in ("HOME", "DATAGYM_STATE_DIR", "XDG_STATE_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("DATAGYM_CONFIG_DIR", raising=False)
    monkeypatch.setattr(pwd, "getpwuid", nobody)
    upload = ("upload", photos, "-d", "Photos", "--create")
    one_sentence(at_service(*upload), "no home folder", "DATAGYM_STATE_DIR")
    one_sentence(at_service("jobs", "list"), "no home folder", "DATAGYM_STATE_DIR")
    assert at_service(*upload, "--no-journal").status == 0
    one_sentence(at_service("download", "~/out", "-d", "Photos"), "~/out", "set HOME")
    assert at_service("download", tmp_path / "out", "-d", "Photos").status == 0
    base_url = os.environ["DATAGYM_BASE_URL"]
    monkeypatch.delenv("DATAGYM_BASE_URL")  # a profile might have it
    assert at_service("datasets", "list", "--base-url", base_url).status == 0
    monkeypatch.delenv("DATAGYM_TOKEN")
    monkeypatch.setattr("sys.stdin", io.StringIO())
    one_sentence(at_service("datasets", "list", "--base-url", base_url), "set DATAGYM_TOKEN")
    (tmp_path / "token").write_text(TOKEN)
    login = at_service("auth", "login", "--base-url", base_url, "--token-file", tmp_path / "token")
    one_sentence(login, "no home folder", "DATAGYM_CONFIG_DIR")


def test_a_glob_without_matches(at_service: Cli, tmp_path: Path) -> None:
    """A pattern that matches nothing is named."""
    one_sentence(upload(at_service, tmp_path / "*.jpg"), "*.jpg")


def test_a_missing_source_does_not_stop_the_others(at_service: Cli, photos: Path) -> None:
    """Among other sources, one that does not exist is a rejected item: status 1."""
    ran = at_service("upload", photos, photos / "nowhere", "-d", "Photos", "--create")
    assert ran.status == 1
    assert "4 uploaded, 1 rejected" in ran.out
    assert "nowhere" in ran.err


def test_a_manifest_with_bad_lines(at_service: Cli, photos: Path) -> None:
    """Bad lines are rejected by number, and the rest is uploaded."""
    manifest = photos.parent / "list.jsonl"
    manifest.write_text('"photos/a.jpg"\n{not json\n{"path": "photos/gone.jpg"}\n')
    ran = upload(at_service, manifest)
    assert ran.status == 1
    assert "1 uploaded, 2 rejected" in ran.out
    assert "line 2" in ran.err
    assert "line 3" in ran.err


def test_several_datasets_of_one_name(at_service: Cli, service: ServerThread) -> None:
    """Of several datasets of one name (races make them) none is guessed: their ids are listed."""
    made = service.call(service.server.seed_datasets(SeedDataset("Twin"), SeedDataset("Twin")))
    one_sentence(at_service("datasets", "show", "twin"), *(each.id for each in made))


def test_a_token_that_is_refused_on_the_way(
    at_service: Cli, faults: FaultPlan, photos: Path, tmp_path: Path
) -> None:
    """A run that has to stop says what it did, and why it stopped; items are left, so it is 1.

    Its reports are written, and it can be resumed.
    """
    at_service("datasets", "create", "Photos")
    faults.add(RefuseToken(), method="POST", path="/file")
    report = tmp_path / "r.json"
    argv = "upload", photos, "-d", "Photos", "--concurrency", "1", "--report", report
    ran = at_service(*argv)
    assert (ran.status, ran.out) == (1, "")
    written, resume, last = ran.err.splitlines()[-3:]
    assert written == f"The report is in {report}."
    assert resume == "The same command resumes where this one stopped."
    assert last.startswith("Error: The upload stopped")
    assert "1 failed, 3 pending" in last
    found = json.loads(report.read_text())
    assert (found["failed"], found["pending"], found["complete"]) == (1, 3, False)
    assert at_service(*argv, "--json").document["pending"] == 3


def test_an_unexpected_error(
    at_service: Cli, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A defect of ours is one sentence that says how to see more; --debug shows it."""

    def broken(*_: object) -> None:
        raise ZeroDivisionError(f"with {TOKEN}")

    command = ("upload", photos, "-d", "P", "--report", tmp_path / "r.json")
    at_service("datasets", "list")
    monkeypatch.setattr(datagym_async.DataGymClient, "__aenter__", broken)
    ran = at_service(*command)
    one_sentence(ran, "ZeroDivisionError", "--debug")
    assert "Traceback" in at_service(*command, "--debug").err


def test_an_unexpected_error_in_a_run_that_began(
    at_service: Cli, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Status 1 and a report, as for any other end of it; the same command completes it."""
    file = tmp_path / "r.json"
    command = ("upload", photos, "-d", "Photos", "--create", "--report", file)
    note = Uploader._note

    def noted(run: Uploader, *result: Any) -> None:
        if run.progress.uploaded:
            raise RuntimeError("can't start new thread")
        note(run, *result)

    with monkeypatch.context() as patch:
        patch.setattr(Uploader, "_note", noted)
        ran = at_service(*command, "--concurrency", "1")
    report = json.loads(file.read_text("utf-8"))

    assert (ran.status, ran.out) == (1, "")
    assert "too many threads, for the limits of this shell" in ran.err
    assert (report["planned"], report["uploaded"], report["complete"]) == (4, 1, False)
    assert at_service(*command).status == 0
    assert len(at_service("media", "list", "Photos", "--json").documents) == 4


MISSING = [
    ("typer", "cli", ["--help"]),
    ("rich", "cli", ["--help"]),
    ("aiosqlite", "server", ["serve"]),
    ("PIL", "server", ["demo"]),
    ("skimage", "demo", ["demo"]),
    ("jinja2", "look", ["upload", "x", "-d", "y", "--report", "r.html"]),
]


@pytest.mark.slow
@pytest.mark.parametrize(("module", "extra", "argv"), MISSING)
def test_a_missing_extra(module: str, extra: str, argv: list[str]) -> None:
    """A command whose extra is not installed says which, and how to install it."""
    code = (
        f"import sys; sys.modules[{module!r}] = None\n"
        f"from datagym_async.__main__ import main; sys.exit(main({argv!r}))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert ran.returncode == 2
    assert INSTALL.replace("EXTRA", extra) in ran.stderr
    assert "Traceback" not in ran.stderr


@pytest.mark.slow
def test_a_log_file_that_cannot_be_opened(tmp_path: Path) -> None:
    """One sentence, and nothing more when Python closes its logs at the end."""
    argv = ["-m", "datagym_async", "jobs", "list", "--log-file", str(tmp_path / "no" / "x")]
    ran = subprocess.run(
        [sys.executable, *argv], capture_output=True, text=True, timeout=60, check=False
    )
    one_sentence(
        Result(ran.returncode, ran.stdout, ran.stderr), "The log file", "cannot be written"
    )


def upload(cli: Cli, source: Path) -> Result:
    """Upload a source into a dataset that is there."""
    cli("datasets", "create", "Photos")
    return cli("upload", source, "-d", "Photos")


def web_site(status: int) -> _WebSite:
    """Serve one HTML page for everything; a context manager that gives the address."""
    return _WebSite(status)


class _WebSite:
    def __init__(self, status: int) -> None:
        class Page(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(status)
                self.send_header("Content-Type", "text/html")
                self.send_header("Content-Length", "13")
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(b"<html></html>")

            do_HEAD = do_GET  # noqa: N815 -- the names that http.server looks for

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
        self._thread = threading.Thread(target=self._server.serve_forever)

    def __enter__(self) -> str:
        self._thread.start()
        return f"http://127.0.0.1:{self._server.server_port}"

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
