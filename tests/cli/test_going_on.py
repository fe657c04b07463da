"""The same command again: limits, journals, reports and the jobs commands."""

from __future__ import annotations

import asyncio
import json
import shlex
import shutil
import sqlite3
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from datagym_async import DataGymClient, UploadConfig, UploadItem
from datagym_async.server import SeedDataset, SeedMedia
from datagym_async.testing import Status
from tests.helpers.full_device import NEEDS_FULL_DEVICE
from tests.helpers.photos import gif, jpeg

if TYPE_CHECKING:
    from datagym_async.testing import FaultPlan
    from tests.cli.conftest import Cli, Result
    from tests.helpers.server_thread import ServerThread


@pytest.fixture
def many(tmp_path: Path) -> Path:
    """A folder with thirty photos."""
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(30):
        (folder / f"{number:02}.jpg").write_bytes(jpeg(1500, seed=number))
    return folder


def upload(cli: Cli, source: object, *more: object) -> Result:
    """Upload into a dataset that is made if needed."""
    return cli("upload", source, "-d", "Photos", "--create", *more)


def names(cli: Cli, dataset: str = "Photos") -> list[str]:
    """Return the names that a dataset holds."""
    media = cli("datasets", "show", dataset, "--json").document["media"]
    assert isinstance(media, list)
    return sorted(each["name"] for each in media)


def only_job(cli: Cli) -> dict[str, object]:
    """Return the one job that there is."""
    (job,) = cli("jobs", "list", "--json").documents
    return job


def test_the_same_command_finishes(at_service: Cli, many: Path) -> None:
    """Stopped by a limit: status 1, named; the same command does the rest and nothing twice."""
    first = upload(at_service, many, "--max-files", "20")
    assert first.status == 1
    assert "It stopped at --max-files: 20 were sent" in first.out
    assert "The same command resumes" in first.err
    second = upload(at_service, many, "--json")
    counts = {name: second.document[name] for name in ("planned", "uploaded", "skipped", "resumed")}
    assert (second.status, second.document["complete"]) == (0, True)
    assert counts == {"planned": 30, "uploaded": 10, "skipped": 20, "resumed": 20}
    assert names(at_service) == [f"{number:02}.jpg" for number in range(30)]


def test_what_was_done_stands_apart(at_service: Cli, many: Path) -> None:
    """The table tells what this run has skipped from what an earlier one has done."""
    upload(at_service, many, "--max-files", "20")
    rows = [line.split() for line in upload(at_service, many).out.splitlines()]
    assert rows[1] == ["uploaded", "10", "15.0", "kB"]
    assert rows[2] == ["done", "by", "an", "earlier", "run", "20"]


def test_fresh_and_no_journal(at_service: Cli, many: Path, state: Path) -> None:
    """--fresh begins anew, and --no-journal leaves no file; both go by what the dataset holds."""
    upload(at_service, many, "--no-journal", "--max-files", "20")
    assert not list(state.iterdir())
    upload(at_service, many, "--max-files", "5")
    again = upload(at_service, many, "--fresh", "--json").document
    assert (again["uploaded"], again["skipped"], again["resumed"]) == (5, 25, 0)


def test_a_journal_of_ones_own(
    at_service: Cli, many: Path, tmp_path: Path, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """--journal names the file; another job on it is refused: status 2, one sentence."""
    journal = tmp_path / "my.journal"
    ran = upload(at_service, many, "--journal", journal, "--json")
    assert (ran.status, ran.document["journal"]) == (0, str(journal))
    assert not list(state.iterdir())
    other = upload(at_service, many / "00.jpg", "--journal", journal)
    assert (other.status, other.out, other.err.count("\n")) == (2, "", 1)
    assert "another job" in other.err
    assert "--fresh" in other.err
    monkeypatch.chdir(tmp_path)
    shown = at_service("jobs", "show", "my.journal", "--json").document
    assert (shown["complete"], shown["path"]) == (True, str(journal))
    assert str(shown["command"]).endswith(f"--journal {journal}")  # from any folder


def test_a_changed_file_is_no_longer_done(at_service: Cli, many: Path) -> None:
    """What was changed since it was uploaded is looked at again, and named."""
    upload(at_service, many)
    (many / "07.jpg").write_bytes(jpeg(1700, seed=99))
    again = upload(at_service, many, "--json").document
    assert (again["uploaded"], again["resumed"]) == (0, 29)


def test_retry_failed(at_service: Cli, many: Path, faults: FaultPlan, tmp_path: Path) -> None:
    """--retry-failed takes items and dataset from the report; what was rejected stays so."""
    report = tmp_path / "report.json"
    (many / "no.jpg").write_bytes(gif())
    faults.add(Status(400), method="POST", path="/file", first=3)
    first = upload(at_service, many, "--report", report)
    assert first.status == 1
    assert "27 uploaded, 1 rejected, 3 failed" in first.out
    assert f"upload --retry-failed {report}" in " ".join(first.err.split())
    assert at_service("jobs", "list").out.splitlines()[-1].endswith("3 failed")
    again = at_service("upload", "--retry-failed", report, "--json")
    assert (again.status, again.document["planned"], again.document["uploaded"]) == (0, 3, 3)
    assert len(names(at_service)) == 30


def test_nothing_to_retry(at_service: Cli, many: Path, tmp_path: Path) -> None:
    """It is said, and no run of nothing is; no command is named for the job of a report in JSON."""
    report = tmp_path / "report.json"
    upload(at_service, many / "00.jpg", "--report", report)
    ran = at_service("upload", "--retry-failed", report)

    assert (ran.status, ran.err) == (0, "")
    assert ran.out == f"{report} lists no failed items, so there is nothing to upload.\n"
    assert at_service("upload", "--retry-failed", report, "--json").document["planned"] == 0
    jobs = at_service("jobs", "list", "--json").documents
    assert [each["command"] for each in jobs if not each["count"]] == [None]


@pytest.mark.parametrize("text", [None, "not JSON", "{}", '{"dataset_id": "x"}'])
def test_no_report_to_retry(at_service: Cli, tmp_path: Path, text: str | None) -> None:
    """A file that is no report is named, with the way out."""
    report = tmp_path / "report.json"
    if text is not None:
        report.write_text(text)
    at_service("datasets", "create", "Photos")
    for more in ([], ["-d", "Photos"]):
        ran = at_service("upload", "--retry-failed", report, *more)
        assert (ran.status, ran.out, ran.err.count("\n")) == (2, "", 1)
        assert more or "report" in ran.err or "dataset" in ran.err


def test_spread_over_datasets(at_service: Cli, many: Path) -> None:
    """--max-per-dataset makes further datasets, attached like the first, and says what is where."""
    ran = upload(at_service, many, "--max-per-dataset", "20", "--project", "Demo images")
    assert ran.status == 0
    rows = [line.split() for line in ran.out.splitlines()]
    assert ["Photos", "2", "0", "10", "new"] in rows
    assert (len(names(at_service)), len(names(at_service, "Photos 2"))) == (20, 10)
    projects = at_service("projects", "list", "--json").documents
    attached = next(each["datasets"] for each in projects if each["name"] == "Demo images")
    assert isinstance(attached, list)
    assert sorted(each["name"] for each in attached) == ["Photos", "Photos 2"]
    assert upload(at_service, many, "--max-per-dataset", "20", "--quiet").status == 0


def test_spread_as_it_turns_out(at_service: Cli, many: Path) -> None:
    """--max-per-dataset auto makes no further dataset while nothing grows, and is kept."""
    ran = upload(at_service, many, "--max-per-dataset", "auto", "--max-files", "10")
    assert ran.status == 1
    command = str(only_job(at_service)["command"])
    assert "--max-per-dataset auto" in command
    assert at_service(*shlex.split(command)[1:]).status == 0
    assert len(names(at_service)) == 30
    for wrong in ("0", "-1", "none", "1.5", "1" * 5000):
        refused = upload(at_service, many, "--max-per-dataset", wrong)
        words = " ".join(refused.err.split())
        assert (refused.status, "neither a number above 0 nor `auto`" in words) == (2, True)
    planned = upload(at_service, many, "--max-per-dataset", "auto", "--dry-run")
    assert "30 to skip" in planned.out


def test_verify(at_service: Cli, service: ServerThread, many: Path) -> None:
    """--verify all compares what was there, too: other bytes are a mismatch and status 1."""
    kept = SeedDataset("Photos", [SeedMedia("00.jpg", jpeg(1500, seed=1000))])
    service.call(service.server.seed_datasets(kept))
    ran = upload(at_service, many, "--verify", "all")
    assert ran.status == 1
    assert "differs: 00.jpg" in ran.err
    assert "30 were compared with the dataset: 1 differ" in ran.out


def test_warnings_are_said(at_service: Cli, many: Path) -> None:
    """A warning is said, and makes no problem of the image."""
    (many / "large.jpg").write_bytes(jpeg((15 << 20) + 10, seed=1))
    ran = upload(at_service, many)
    assert ran.status == 0
    assert "warning: " in ran.err
    assert "large.jpg" in ran.err


def test_a_dataset_that_is_not_there_leaves_no_job(
    at_service: Cli, faults: FaultPlan, photos: Path, state: Path
) -> None:
    """Nor does a service that cannot be asked: a job has items."""
    assert at_service("upload", photos, "--dataset", "Nowhere").status == 2
    faults.add(Status(400), method="GET", path=r"/dataset/[^/]+$")
    assert at_service("upload", photos, "--dataset", "New", "--create").status != 0

    assert at_service("jobs", "list", "--json").documents == []
    assert list(state.iterdir()) == []


@pytest.mark.parametrize("slip", ["nowhere", "memory://bucket/x", "*.jgp", "x.csv"])
def test_a_slip_leaves_no_job_and_no_dataset(
    at_service: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, slip: str
) -> None:
    """It is refused before anything is made for it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.csv").write_text("ident;label\n1;cat\n")

    ran = at_service("upload", slip, "--dataset", "New", "--create")
    watched = at_service("upload", "nowhere", "--watch", "--dataset", "New", "--create")

    assert (ran.status, watched.status) == (2, 2)
    assert "Nothing to upload: " in ran.err
    assert at_service("jobs", "list", "--json").documents == []
    assert "New" not in at_service("datasets", "list").out


def test_a_folder_that_was_emptied_leaves_its_job_as_it_was(at_service: Cli, many: Path) -> None:
    """A run that finds nothing is none: what was complete is complete, without a further item."""
    assert upload(at_service, many).status == 0
    before = only_job(at_service)
    patterns = upload(at_service, many, "--include", "*.gif")
    for photo in many.iterdir():
        photo.unlink()
    emptied = upload(at_service, many)

    assert (patterns.status, emptied.status) == (2, 2)
    assert "holds no files once include and exclude are applied" in " ".join(patterns.err.split())
    assert "Nothing to upload: " in emptied.err
    after = only_job(at_service)
    for member in ("complete", "counts", "runs"):
        assert after[member] == before[member]


def test_a_report_has_words_of_a_shell(at_service: Cli, many: Path, tmp_path: Path) -> None:
    """Who typed the command reads its report, however it is written."""
    (many / "b.gif").write_bytes(b"GIF89a" + bytes(64))
    files = [tmp_path / f"report.{kind}" for kind in ("json", "csv", "html")]
    ran = upload(
        at_service, many, "--json", *(word for file in files for word in ("--report", file))
    )
    dry = at_service("upload", many, "-d", "Photos", "--dry-run", "--json")

    for text in (ran.out, dry.out, *(file.read_text() for file in files)):
        assert ("--prepare convert" in text, 'prepare="' in text) == (True, False)


def test_jobs_of_nobody(at_service: Cli) -> None:
    """Where no upload was, there is nothing to list, to show or to delete."""
    assert at_service("jobs", "list", "--json").documents == []
    assert "no journals" in at_service("jobs", "list").err
    assert at_service("jobs", "clean", "--yes").out == "Deleted 0 journals (0 bytes).\n"
    ran = at_service("jobs", "show", "abc")
    assert (ran.status, ran.err.count("\n")) == (2, 1)
    assert "jobs list" in ran.err


def test_jobs(at_service: Cli, many: Path) -> None:
    """`jobs show` has the counts, and a command that does go on."""
    upload(at_service, many, "--max-files", "20")
    job = only_job(at_service)
    assert (job["counts"], job["complete"], job["runs"]) == (
        {"planned": 10, "sending": 0, "uploaded": 20, "skipped": 0, "rejected": 0, "failed": 0},
        False,
        1,
    )
    listed = at_service("jobs", "list").out
    assert f"{str(job['job'])[:6]} " in listed
    assert "unfinished" in listed
    shown = at_service("jobs", "show", str(job["job"])[:6])
    assert at_service("jobs", "show", "photos").out == shown.out  # by its dataset
    assert "20 uploaded" in shown.out
    assert "10 planned" in shown.out
    assert str(job["command"]) in shown.out
    program, *argv = shlex.split(str(job["command"]))
    assert (program, at_service(*argv).status) == ("datagym-async", 0)
    again = only_job(at_service)
    assert (again["job"], again["complete"], again["runs"]) == (job["job"], True, 2)


def test_the_command_of_several_sources(at_service: Cli, many: Path) -> None:
    """Sources are quoted for a shell, and all of them are named."""
    (many / "a b.jpg").write_bytes(jpeg(1500, seed=77))
    sources = [many / "a b.jpg", *(many / f"{number:02}.jpg" for number in range(4))]
    at_service("upload", *sources[:2], "-d", "Photos", "--create")
    words = shlex.split(str(only_job(at_service)["command"]))
    assert words[2:4] == [str(each) for each in sources[:2]]
    at_service("jobs", "clean", "--yes")
    at_service("upload", *sources, "-d", "Photos")
    words = shlex.split(str(only_job(at_service)["command"]))
    assert words[2:8] == [*map(str, sources), "--dataset"]


def test_the_command_has_the_options_of_the_job(at_service: Cli, many: Path) -> None:
    """What shaped the upload is repeated; the limits of the run that stopped are not."""
    given = ["--max-per-dataset", "20", "--project", "Demo images", "--name", "{relative}"]
    given += ["--include", "*.jpg", "--exclude", "2?.jpg", "--check", "signature", "--hidden"]
    upload(at_service, many, *given, "--max-files", "5")
    job = only_job(at_service)
    _, *argv = shlex.split(str(job["command"]))

    assert argv[argv.index("--max-per-dataset") :][:2] == ["--max-per-dataset", "20"]
    assert argv[argv.index("--name") :][:2] == ["--name", "{relative}"]
    assert argv[argv.index("--exclude") :][:2] == ["--exclude", "2?.jpg"]
    assert {"--hidden", "--project", "--check"} <= set(argv)
    assert "--max-files" not in argv
    ran = at_service(*argv, "--json").document
    assert (ran["planned"], ran["uploaded"], ran["resumed"]) == (20, 15, 5)
    assert only_job(at_service)["options"] == job["options"]


def test_jobs_clean(at_service: Cli, many: Path, state: Path) -> None:
    """Complete jobs go, unfinished ones only if it is asked for, and young ones can be spared."""
    upload(at_service, many, "--max-files", "20")
    upload(at_service, many / "00.jpg")
    asked = at_service("jobs", "clean")
    assert (asked.status, asked.out) == (2, "")
    assert "--yes" in asked.err
    assert at_service("jobs", "clean", "--yes", "--older-than", "1h", "--json").documents == []
    time.sleep(0.01)  # the clock of file systems and that of journals may differ by a tick
    assert "Deleted 1 journal " in at_service("jobs", "clean", "--yes").out
    assert only_job(at_service)["complete"] is False
    assert "Deleted 1 journal " in at_service("jobs", "clean", "--yes", "--unfinished").out
    assert not list(state.glob("*.journal"))


def test_a_file_that_is_no_journal(at_service: Cli, many: Path, state: Path) -> None:
    """It is listed as unreadable, shown with the reason, and never deleted."""
    upload(at_service, many / "00.jpg")
    (path,) = state.glob("*.journal")
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA application_id = 1")
    database.close()
    assert "unreadable" in at_service("jobs", "list").out
    shown = at_service("jobs", "show", path)
    assert (shown.status, "cannot be read as a journal" in shown.err) == (2, True)
    at_service("jobs", "clean", "--yes", "--unfinished")
    assert path.exists()


def test_jobs_that_cannot_be_resumed_by_their_name(
    at_service: Cli, many: Path, state: Path, faults: FaultPlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of another service, with more sources than a journal names, or damaged: nothing is sent.

    One of the state folder goes to its own address if no other is named.
    """
    gone = [many / f"{number}.gone" for number in range(1000)]
    at_service("upload", many / "00.jpg", *gone, "-d", "Photos", "--create")
    (path,) = state.glob("*.journal")
    assert names(at_service) == ["00.jpg"]
    asked = len(faults.requests)

    elsewhere = at_service("jobs", "resume", path, "--base-url", "http://127.0.0.1:1")
    assert (elsewhere.status, "name them again: datagym-async upload" in elsewhere.err) == (2, True)
    assert "..." in elsewhere.err
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA application_id = 1")
    database.close()
    damaged = at_service("jobs", "resume", path)
    assert (damaged.status, "cannot be read as a journal" in damaged.err) == (2, True)
    path.unlink()
    assert len(faults.requests) == asked
    upload(at_service, many, "--max-files", "1")
    asked = len(faults.requests)
    elsewhere = at_service("jobs", "resume", "Photos", "--base-url", "http://127.0.0.1:1")
    assert (elsewhere.status, "choose that address with --base-url" in elsewhere.err) == (2, True)
    with monkeypatch.context() as other:
        other.setenv("DATAGYM_BASE_URL", "http://127.0.0.1:1")
        assert at_service("jobs", "resume", "Photos").err == elsewhere.err
        other.delenv("DATAGYM_BASE_URL")
        foreign = shutil.copy(next(state.glob("*.journal")), many.parent / "foreign.journal")
        refused = at_service("jobs", "resume", foreign)
        assert (refused.status, "if you trust it with your token" in refused.err) == (2, True)
        assert (len(faults.requests), only_job(at_service)["complete"]) == (asked, False)
        assert at_service("jobs", "resume", "Photos").status == 0


def test_a_job_is_resumed_with_the_options_of_this_command(
    at_service: Cli, many: Path, faults: FaultPlan, service: ServerThread, tmp_path: Path
) -> None:
    """Those of clients go with it; the address may be given if it is the same."""
    upload(at_service, many, "--max-files", "1")
    faults.add(Status(503), path=r"/file$", nth=1)
    log, same = tmp_path / "log", f"{service.base_url}/"
    given = ("--json", "--debug", "--log-file", log, "--retries", "0", "--timeout", "7.5")
    ran = at_service("jobs", "resume", "Photos", *given, "--base-url", same)

    assert (ran.status, ran.document["uploaded"], ran.document["failed"]) == (1, 28, 1)
    for text in (log.read_text(), ran.err):  # each line once, though two commands log
        assert sum("POST" in line and "-> 200" in line for line in text.splitlines()) == 28
    assert at_service("jobs", "resume", "Photos").status == 0
    assert len(names(at_service)) == 30


def test_a_job_of_a_program_is_resumed_by_it(at_service: Cli, photos: Path) -> None:
    """No command has sources that are in memory."""
    made = at_service("datasets", "create", "Photos", "--json").document

    async def send() -> None:
        async with DataGymClient() as client:
            config = UploadConfig(journal=True, max_files=1)
            items = [UploadItem(each.name, each.read_bytes()) for each in photos.iterdir()]
            await client.upload(str(made["id"]), items, config=config)

    asyncio.run(send())
    ran = at_service("jobs", "resume", "Photos")
    assert (ran.status, "does not keep all sources" in ran.err) == (2, True)
    assert "the program that started it" in ran.err


def test_jobs_in_80_columns(at_service: Cli, many: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line or two a job: the beginning of its name that no other has, and the end of paths."""
    deep = many / "holiday-photographs" / "of-the-year-2026"
    deep.mkdir(parents=True)
    (deep / "a.jpg").write_bytes(jpeg(1500, seed=1))
    upload(at_service, deep)
    upload(at_service, many / "00.jpg")
    first, second = at_service("jobs", "list", "--json").documents
    lines = at_service("jobs", "list").out.splitlines()

    assert [each.split()[0] for each in lines[1:]] == [
        str(each["job"])[:6] for each in (first, second)
    ]
    assert "…" in lines[2]
    assert lines[2].split()[2].endswith("of-the-year-2026")
    assert max(len(each.rstrip()) for each in lines) <= 80
    assert at_service("jobs", "show", str(first["job"])[:6]).status == 0


def test_a_name_that_is_the_beginning_of_another(at_service: Cli, many: Path, state: Path) -> None:
    """A whole name is never unclear, and the list says it whole."""
    upload(at_service, many / "00.jpg")
    (path,) = state.glob("*.journal")
    path.rename(state / "short.journal")
    upload(at_service, many / "00.jpg")
    (other,) = (each for each in state.glob("*.journal") if each.stem != "short")
    other.rename(state / "shorter-than-none.journal")
    names = {line.split()[0] for line in at_service("jobs", "list").out.splitlines()[1:]}

    assert names == {"short", "shorte"}
    assert {at_service("jobs", "show", each).status for each in names} == {0}


def test_several_jobs_of_one_beginning(at_service: Cli, many: Path, state: Path) -> None:
    """A beginning that several jobs have is not guessed, nor is none at all of the only job."""
    upload(at_service, many / "00.jpg")
    ran = at_service("jobs", "resume", "")  # a variable that is not set
    assert (ran.status, "There is no job ''" in ran.err) == (2, True)
    upload(at_service, many / "01.jpg")
    for number, path in enumerate(state.glob("*.journal")):
        path.rename(state / f"same{number}.journal")
    ran = at_service("jobs", "show", "same")
    assert (ran.status, "2 jobs begin with" in ran.err) == (2, True)
    ran = at_service("jobs", "resume", "Photos")
    assert (ran.status, "2 jobs belong to the dataset 'Photos'" in ran.err) == (2, True)


def test_a_state_folder_that_cannot_be_made(
    at_service: Cli, many: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Where no journal can be kept nothing is sent, and the sentence names the file."""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("DATAGYM_STATE_DIR", str(tmp_path / "file" / "state"))
    ran = upload(at_service, many)
    assert (ran.status, ran.out) == (2, "")
    assert "cannot be written" in ran.err
    assert upload(at_service, many, "--no-journal", "--max-files", "1").status == 1


@NEEDS_FULL_DEVICE
@pytest.mark.parametrize("shape", [(), ("--json",)])
def test_a_report_that_is_not_written(
    at_service: Cli, many: Path, tmp_path: Path, shape: tuple[str, ...]
) -> None:
    """What the run has done is said all the same; the other report is there."""
    for name in ("full.json", "full.csv"):
        (tmp_path / name).symlink_to("/dev/full")
    words = ["--report", tmp_path / "full.json", "--report", tmp_path / "good.json"]
    ran = upload(at_service, many, *words, *shape)
    assert (ran.status, "30 uploaded" in ran.out) == (1, True)
    assert "full.json cannot be written: No space left" in ran.err
    assert json.loads((tmp_path / "good.json").read_text())["uploaded"] == 30
    back = at_service("download", tmp_path / "out", "-d", "Photos", *words[:2], *shape)
    assert (back.status, "30 downloaded" in back.out) == (1, True)


def test_reports_are_equal(at_service: Cli, many: Path, tmp_path: Path) -> None:
    """What --json says and what --report writes is one document."""
    ran = upload(at_service, many, "--report", tmp_path / "r.json", "--json", "--max-files", "3")
    assert json.loads((tmp_path / "r.json").read_text()) == ran.document
    assert ran.document["stopped_by"] == "max_files: 3 were sent"
