"""The journal's file: one job, one process, and a clear word where it cannot be used."""

from __future__ import annotations

import errno
import gc
import os
import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from datagym_async._locks import LockFile, lock
from datagym_async._runs import _disk, lock_path
from datagym_async.exceptions import ClientClosedError, ConfigurationError
from datagym_async.uploads import UploadItem
from datagym_async.uploads.plan import (
    SCHEMA,
    Job,
    Plan,
    State,
    clean_jobs,
    jobs_folder,
    journal,
    journal_path,
    list_jobs,
    show_job,
    stated,
)
from datagym_async.uploads.plan._journal import unusable
from datagym_async.uploads.sources import Candidate

if TYPE_CHECKING:
    from datagym_async._runs import Database

TABLES = re.findall(r"CREATE TABLE (\w+)", SCHEMA)
JOB = Job("https://a.example", "d-1", "photos", "digest-1")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "a.journal"


def opened(path: Path, job: Job = JOB, *, fresh: bool = False) -> Database:
    """Return the open journal."""
    return journal(path, job, fresh=fresh)


def make(path: Path, job: Job = JOB) -> None:
    """Make a journal and close it."""
    opened(path, job).close()


def refusal(path: Path, job: Job = JOB, *, fresh: bool = False) -> str:
    """Return why a journal cannot be opened; nothing stays locked."""
    with pytest.raises(ConfigurationError) as caught:
        opened(path, job, fresh=fresh)
    return str(caught.value).replace(str(path), "PATH")


def cannot_open() -> sqlite3.Error:
    """Return what SQLite raises where it may not open a file, for whatever reason."""
    with pytest.raises(sqlite3.OperationalError) as caught:
        sqlite3.connect(Path("/no/such/folder/a.journal"))
    return caught.value


def test_a_journal_is_made_with_its_folder_and_counts_its_runs(path: Path) -> None:
    """Each opening is a run of its own."""
    make(path)

    store = opened(path)

    assert store.run == 2
    store.close()
    assert (show_job(path).runs, show_job(path).in_use) == (2, False)


def test_a_plan_may_be_closed_twice(path: Path) -> None:
    """What is complete stays so, also where there was nothing to upload."""
    plan = Plan()
    plan.open(opened(path))

    plan.close(complete=True)
    plan.close()

    assert (show_job(path).complete, show_job(path).in_use) == (True, False)


def test_a_journal_whose_items_cannot_be_counted_is_kept(path: Path) -> None:
    """They may be there: a disk fails for a moment, and the next run resumes."""
    plan = Plan()
    plan.open(opened(path))
    plan.add([(0, Candidate(UploadItem(None, "a.jpg")))])
    plan.close()
    plan, database = Plan(), opened(path)
    with database.using() as connection:
        connection.set_authorizer(lambda *_: sqlite3.SQLITE_DENY)

    with pytest.raises(sqlite3.DatabaseError):
        plan.open(database)
    plan.close()

    assert sum(show_job(path).counts.values()) == 1


def test_the_second_one_on_a_journal_is_told_and_stops(path: Path) -> None:
    """Also within one process; the lock goes with its holder."""
    store = opened(path)

    assert show_job(path).in_use
    assert refusal(path) == (
        "Another upload is using the journal PATH; wait for it to end, or give this "
        "upload a journal of its own."
    )
    store.close()
    make(path)


def test_the_lock_ends_with_its_process(path: Path) -> None:
    """A process that holds the lock is killed: the next one gets it at once."""
    path.parent.mkdir()
    script = (
        "import sys, time; from pathlib import Path;"
        "from datagym_async._runs._disk import JournalLock;"
        "lock = JournalLock.take(Path(sys.argv[1])); print('held', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", script, path], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        assert refusal(path).startswith("Another upload is using")
        holder.kill()
        holder.wait()
        make(path)


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_the_lock_ends_with_what_is_left_of_a_run(path: Path) -> None:
    """A run whose event loop was closed in its midst closes nothing: it is deleted, in the end."""
    store = opened(path)
    del store
    gc.collect()

    make(path)


def test_a_journal_may_be_deleted_while_its_lock_is_taken(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of two commands that clean a folder sees a file that is gone a moment later."""
    make(path)
    look = Path.stat

    def looked(self: Path, **options: bool) -> os.stat_result:
        found = look(self, **options)
        if self == path:
            path.unlink()
        return found

    monkeypatch.setattr(Path, "stat", looked)
    taken = _disk.JournalLock.take(path)

    assert taken is not None
    taken.release()


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (Job("https://b.example", "d-1", "photos", "digest-1"), "the service https://a.example"),
        (Job("https://a.example", "d-2", "photos", "digest-1"), "the dataset d-1"),
        (Job("https://a.example", "d-1", "more", "digest-2"), "the sources photos"),
    ],
)
def test_a_journal_is_of_one_job(path: Path, other: Job, words: str) -> None:
    """Whose it is, and both ways out, are said."""
    make(path)

    assert refusal(path, other) == (
        f"The journal PATH belongs to another job ({words}); give this upload another path, or "
        "start "
        "again with fresh=True."
    )
    opened(path, other, fresh=True).close()


def test_a_damaged_journal(path: Path) -> None:
    """What is no journal any more is never deleted by us; fresh drops what still is one."""
    make(path)
    whole = path.read_bytes()
    path.write_bytes(b"nonsense" * 1000)

    assert (
        refusal(path)
        == refusal(path, fresh=True)
        == (
            "PATH is damaged, or no journal of an upload, and was not changed; give another path, "
            "or delete it yourself: what the dataset holds is skipped anyway."
        )
    )
    assert show_job(path).problem == "It is not a journal."

    path.write_bytes(whole[:4096] + b"nonsense" * 2000)
    assert refusal(path).startswith("The journal PATH is damaged (")
    assert show_job(path).problem.startswith("It is damaged: ")
    opened(path, fresh=True).close()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("UPDATE item SET name = X'ff'", "a text in it was changed"),
        ("UPDATE item SET content = X'6263'", "a row in it was changed"),
        ("UPDATE item SET state = 9", "a row in it was changed"),
        ("UPDATE item SET state = 2.5", "a row in it was changed"),
        ("UPDATE item SET state = 2", "a row in it was changed"),
        ("UPDATE item SET name = 'a.jpg'", "a row in it was changed"),
        ("UPDATE item SET content = 'a.jpg'", "a row in it was changed"),
        ("UPDATE item SET origin = 'a'", "a row in it was changed"),
        ("UPDATE item SET size = 'many'", "a row in it was changed"),
        ("UPDATE item SET mtime = 'late'", "a row in it was changed"),
        ("UPDATE item SET reason = X'ff'", "a row in it was changed"),
        ("UPDATE item SET mark = mark + 1", "a row in it was changed"),
        ("UPDATE claimed SET key = X'6e7a'", "a row in it was changed"),
        ("DELETE FROM item", "a row in it was changed"),
    ],
)
def test_a_journal_whose_rows_were_changed(path: Path, change: str, words: str) -> None:
    """After a kill there is no seal: each row, and what refers to it, is looked at."""
    plan = Plan()
    plan.open(opened(path))
    plan.add([(0, Candidate(UploadItem(None, "a.jpg")))])
    plan.settle()
    with plan.using() as database:
        database.execute(change)
    plan.close()
    lock_path(path).unlink()

    assert refusal(path).startswith(f"The journal PATH is damaged ({words})")


_META = "UPDATE meta SET value = {} WHERE name = '{}'"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_META.format("X'ff'", "base_url"), "a value in it was changed"),
        (_META.format(f"'{'[' * 10_000}'", "words"), "it is nested deeper than 64 levels"),
        (_META.format("'[1]'", "words"), "a value in it was changed"),
        (_META.format("'\"a\"'", "words"), "a value in it was changed"),
        (_META.format("'[\"\"]'", "words"), "a value in it was changed"),
        (_META.format("'[\"\\ud800\"]'", "words"), "can't encode character"),
        (_META.format("'[\"--log-file=/a\"]'", "words"), "a value in it was changed"),
        (_META.format("'[1]'", "options"), "a value in it was changed"),
        (_META.format("'null'", "options"), "a value in it was changed"),
        ("CREATE VIEW more AS SELECT 1", "it holds more than tables"),
        ("CREATE TRIGGER t AFTER INSERT ON run BEGIN SELECT 1; END", "it holds more than tables"),
    ],
)
def test_a_journal_of_somebody_else_is_listed_with_its_problem(
    path: Path, change: str, words: str
) -> None:
    """Whatever its values are, it hides no other one, and no word of it is an option."""
    make(path, attrs.evolve(JOB, words=("-", "/photos"), count=2))
    assert show_job(path).words == ("-", "/photos")
    with closing(sqlite3.connect(path)) as database, database:
        database.execute(change)

    (job,) = list_jobs(path.parent)
    assert job.problem.startswith("It is damaged: ")
    assert words in job.problem


def test_a_view_in_place_of_a_table_is_not_read(path: Path) -> None:
    """It could go on for ever; a journal with one is refused, also by the next run."""
    make(path)
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("ALTER TABLE meta RENAME TO other")
        database.execute("CREATE VIEW meta AS SELECT * FROM no_such_table")

    assert show_job(path).problem == "It is damaged: it holds more than tables."
    assert refusal(path).startswith("The journal PATH is damaged (it holds more than tables)")


@pytest.mark.parametrize("known", ["media_id = 'm'", "dataset_id = 'd'", "attempts = 1"])
def test_a_journal_of_files_and_links_is_whole_after_a_kill(path: Path, known: str) -> None:
    """A link claims its address and its name; what was uploaded says at least one thing of it."""
    plan = Plan()
    plan.open(opened(path))
    items = [UploadItem(None, "a.jpg"), UploadItem(None, "http://h/b.jpg")]
    plan.add([(0, Candidate(each)) for each in items])
    plan.settle()
    with plan.using() as database:
        database.execute(f"UPDATE item SET state = 2, {known}")
    plan.close()
    lock_path(path).unlink()

    make(path)

    assert show_job(path).counts["uploaded"] == 2


def test_a_folder_is_no_journal(path: Path) -> None:
    """It is said what is there, and nothing is left beside it."""
    path.mkdir(parents=True)

    assert refusal(path) == "PATH is a folder, and not a file; give another path."
    assert [*path.parent.iterdir()] == [path]


def test_another_database_is_left_alone(path: Path) -> None:
    """A path given by mistake loses nothing."""
    path.parent.mkdir()
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE photos (name)")
    database.close()
    before = path.read_bytes()

    assert "is damaged, or no journal of an upload" in refusal(path)
    assert "was not changed" in refusal(path, fresh=True)
    assert path.read_bytes() == before


@pytest.mark.parametrize(("version", "word"), [(99, "a newer"), (1, "an older")])
def test_a_journal_of_another_version(path: Path, version: int, word: str) -> None:
    """It is not touched."""
    make(path)
    with sqlite3.connect(path) as database:
        database.execute(f"PRAGMA user_version = {version}")
    database.close()

    assert refusal(path).startswith(
        f"The journal PATH was written by {word} version of datagym-async; use that one"
    )
    assert show_job(path).problem == "It has another version."


def test_an_error_undoes_its_own_transaction_alone(path: Path) -> None:
    """What is written later is kept: else it would end in the one that was left open."""

    def write(name: str, *, fails: bool) -> None:
        with database.writing() as connection:
            connection.execute("INSERT INTO meta VALUES (?, 'x')", (name,))
            if fails:
                raise RuntimeError(name)

    database = opened(path)
    with pytest.raises(RuntimeError, match="lost"):
        write("lost", fails=True)
    write("kept", fails=False)
    database.close()

    with pytest.raises(ClientClosedError, match=r"^The plan of this upload is closed\.$"):
        write("late", fails=False)
    with closing(sqlite3.connect(path)) as found:
        names = {name for (name,) in found.execute("SELECT name FROM meta WHERE value = 'x'")}
    assert names == {"kept"}
    assert sorted(each.name for each in path.parent.iterdir()) == ["a.journal", "a.journal.lock"]


def test_a_place_where_nothing_may_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More space would not help there, as in a home that is read only."""

    def denied(self: Path, *_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(self))

    monkeypatch.setattr(Path, "mkdir", denied)

    assert refusal(tmp_path / "state" / "a.journal") == (
        "The journal PATH cannot be written (Permission denied); change its permissions, or choose "
        "another path with journal=..., on a local disk."
    )


@pytest.mark.parametrize("at", ["connect", "executescript"])
def test_a_journal_that_cannot_be_made_leaves_nothing(
    path: Path, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    """As on a full disk: half of a journal would be listed as a job that nobody can resume."""

    class Full(sqlite3.Connection):
        def executescript(self, script: str, /) -> sqlite3.Cursor:
            if at == "executescript":
                raise sqlite3.OperationalError("database or disk is full")
            return super().executescript(script)

    connect = sqlite3.connect

    def failing(*args: Any, **options: Any) -> sqlite3.Connection:
        if at == "connect":
            raise sqlite3.OperationalError("unable to open database file")
        return connect(*args, factory=Full, **options)

    monkeypatch.setattr(sqlite3, "connect", failing)
    with pytest.raises(ConfigurationError):
        opened(path)
    assert [*path.parent.iterdir()] == []


@pytest.mark.parametrize(
    ("error", "way_out"),
    [
        (
            OSError(errno.EMFILE, "Too many open files"),
            "raise the limit of open files (`ulimit -n`), ",
        ),
        (OSError(errno.ENOSPC, "No space left on device"), "free some space there, "),
        (
            cannot_open(),
            "check the permissions of its folder, and the limit of open files (`ulimit",
        ),
    ],
    ids=["files", "space", "sqlite"],
)
def test_the_way_out_fits_the_trouble(error: Exception, way_out: str) -> None:
    """More space does not help against a limit of open files."""
    assert f"{error.args[-1]}); {way_out}" in unusable(Path("a.journal"), error)


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    """Here a file is where the folder should be."""
    (tmp_path / "state").write_bytes(b"")

    found = refusal(tmp_path / "state" / "a.journal")

    assert found.startswith("The journal PATH cannot be written (")
    assert found.endswith(
        "move the file that is in the way of its folder, or choose another path with journal=..., "
        "on a local disk."
    )


def test_an_empty_file_becomes_a_journal(path: Path) -> None:
    """A run that was killed at its very beginning leaves one."""
    path.parent.mkdir()
    path.write_bytes(b"")

    make(path)

    assert show_job(path).counts == dict.fromkeys([state.name.lower() for state in State], 0)


def test_a_job_is_its_service_dataset_and_sources(tmp_path: Path) -> None:
    """A slash more or less is the same; another order, place or list is another job."""
    here = Job.of("https://a.example/", "D-1", tmp_path)

    assert here == Job.of("https://a.example", "d-1", str(tmp_path))
    assert here.sources == str(tmp_path)
    jobs = [
        here,
        Job.of("https://b.example", "d-1", tmp_path),
        Job.of("https://a.example", "d-2", tmp_path),
        Job.of("https://a.example", "d-1", [tmp_path, "-"]),
        Job.of("https://a.example", "d-1", ["-", tmp_path]),
        Job.of("https://a.example", "d-1", iter([tmp_path])),
        Job.of("https://a.example", "d-1", [UploadItem("a.jpg", b"1")]),
        Job.of("https://a.example", "d-1", [UploadItem("b.jpg", b"1")]),
    ]
    assert len({job.digest for job in jobs}) == len(jobs)
    many = Job.of("https://a.example", "d-1", [f"http://h/{number}.jpg" for number in range(9)])
    assert many.sources.endswith("http://h/2.jpg, and 6 more")


def test_a_job_is_the_same_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By whichever links and spellings."""
    monkeypatch.setenv("DATAGYM_STATE_DIR", str(tmp_path / "state"))
    (tmp_path / "home" / "photos").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "home")
    monkeypatch.chdir(tmp_path / "home")
    spellings = ["photos", "./photos/", "photos/../photos", tmp_path / "link" / "photos"]
    jobs = [Job.of("u", "d", each) for each in spellings]
    by_item = [Job.of("u", "d", [UploadItem("a", f"{each}/a.jpg")]) for each in spellings]

    assert len({job.digest for job in jobs}) == len({job.digest for job in by_item}) == 1
    assert len({journal_path(True, job) for job in jobs}) == 1
    links = [Job.of("u", "d", f"{tmp_path}/link{end}") for end in ("", "/", "//")]
    assert len({job.digest for job in links}) == 1


def test_a_set_of_sources_is_one_job_in_any_order() -> None:
    """Sets come in another order in each process."""
    assert Job.of("u", "d", {"http://h/a", "http://h/b"}) == Job.of(
        "u", "d", frozenset(["http://h/b", "http://h/a"])
    )


def test_where_journals_lie(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The state folder can be set; a path of one's own is taken as it is."""
    monkeypatch.delenv("DATAGYM_STATE_DIR", raising=False)
    if sys.platform != "win32":
        monkeypatch.setenv("HOME", str(tmp_path / "home"))
        monkeypatch.delenv("XDG_STATE_HOME", raising=False)
        assert jobs_folder() == tmp_path / "home" / ".local" / "state" / "datagym-async"
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "xdg"))
    assert jobs_folder() == tmp_path / "xdg" / "datagym-async"
    monkeypatch.setenv("DATAGYM_STATE_DIR", str(tmp_path / "own"))
    assert jobs_folder() == tmp_path / "own"
    assert journal_path(True, JOB) == tmp_path / "own" / "digest-1.journal"
    assert journal_path(tmp_path / "x.db", JOB) == tmp_path / "x.db"


def test_jobs_are_listed_and_cleaned(tmp_path: Path) -> None:
    """Complete ones go; unfinished ones when asked for; those in use and strangers never."""
    for name in ("done", "open", "used"):
        make(tmp_path / f"{name}.journal")
    with sqlite3.connect(tmp_path / "done.journal") as database:
        database.execute("UPDATE run SET complete = 1")
    database.close()
    (tmp_path / "stranger.journal").write_bytes(b"Dear diary")
    using = opened(tmp_path / "used.journal")

    assert len(list_jobs(tmp_path)) == 4
    assert clean_jobs(tmp_path, older_than=timedelta(hours=1)) == []
    assert [job.path.stem for job in clean_jobs(tmp_path)] == ["done"]
    assert [job.path.stem for job in clean_jobs(tmp_path, unfinished=True)] == ["open"]
    using.close()
    left = sorted(each.name for each in tmp_path.iterdir())
    assert left == ["stranger.journal", "used.journal", "used.journal.lock"]
    assert list_jobs(tmp_path / "nowhere") == []


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes")
def test_what_lies_among_journals_hides_none(tmp_path: Path) -> None:
    """A folder or pipe with such a name is listed with its problem; a dead link is nothing.

    What has them in place of its files, as if these were of another user, keeps none from cleaning.
    """
    for name in "abc":
        make(tmp_path / f"{name}.journal")
        lock_path(tmp_path / f"{name}.journal").unlink()
    lock_path(tmp_path / "b.journal").mkdir()
    with closing(sqlite3.connect(tmp_path / "c.journal")) as database:
        database.execute("PRAGMA journal_mode = WAL")
    (tmp_path / "c.journal-wal").mkdir()
    (tmp_path / "folder.journal").mkdir()
    os.mkfifo(tmp_path / "pipe.journal")
    (tmp_path / "link.journal").symlink_to("nowhere")
    (tmp_path / "loop.journal").symlink_to("loop.journal")

    found = {job.path.stem: job.problem for job in list_jobs(tmp_path)}

    assert set(found) == {"a", "b", "c", "folder", "loop", "pipe"}
    assert (found["a"], found["c"]) == ("", "It cannot be read: unable to open database file.")
    assert not lock_path(tmp_path / "a.journal").exists(), "to look leaves nothing"
    assert found["loop"] == f"It cannot be read: {os.strerror(errno.ELOOP)}."
    assert found["folder"].startswith(f"It cannot be read: {tmp_path}/folder.journal is a folder")
    assert found["pipe"].startswith(f"It cannot be read: {tmp_path}/pipe.journal is a pipe")
    (tmp_path / "c.journal").unlink()
    assert [job.path.stem for job in clean_jobs(tmp_path, unfinished=True)] == ["a"]
    with pytest.raises(ConfigurationError, match=r"pipe\.journal cannot be read \(Not a dir"):
        list_jobs(tmp_path / "pipe.journal")


def test_a_journal_that_was_away_is_still_sealed(path: Path) -> None:
    """Another file lay in its place: when it is back, what was changed in it is damage as ever."""
    make(path)
    whole = path.read_bytes()
    path.write_bytes(b"Dear diary")
    assert "no journal of an upload" in refusal(path)

    path.write_bytes(whole[:-1] + b"x")

    assert "is damaged (it was changed after the last run)" in refusal(path)


def test_who_only_looks_at_a_journal_keeps_nobody_from_it(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`jobs list` has the lock for a moment; an upload that begins just then waits that long."""
    others = [False]
    monkeypatch.setattr(
        LockFile, "lock", lambda file: others.pop() if others else lock(file.fileno())
    )

    opened(path).close()

    assert others == []


def test_a_journal_that_is_open_elsewhere(tmp_path: Path) -> None:
    """That is said, and not that the disk is full."""
    make(path := tmp_path / "a.journal")
    with (
        closing(sqlite3.connect(path, isolation_level=None)) as other,
        closing(sqlite3.connect(path, timeout=0)) as ours,
    ):
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(sqlite3.OperationalError) as locked:
            ours.execute("BEGIN IMMEDIATE")

    assert "close it in the other program" in unusable(path, locked.value)


def test_what_a_kill_at_the_very_beginning_leaves_is_listed_and_cleaned(path: Path) -> None:
    """Without tables, or without a run; the same upload makes a whole one of it."""
    make(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.executescript(f"DROP TABLE {'; DROP TABLE '.join(TABLES)}")
        database.execute("PRAGMA user_version = 0")
    lock_path(path).unlink()
    assert show_job(path).problem == "It is empty."

    make(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("DELETE FROM run")
        database.execute("DELETE FROM meta WHERE name IN ('words', 'count', 'options')")
    job = show_job(path)
    assert (job.problem, job.sources, job.runs, job.complete) == ("", "photos", 0, False)
    assert (job.started, job.last_active, job.words, job.count, job.options) == (
        *(None, None, None),
        *(0, {}),
    )
    assert clean_jobs(path.parent) == []
    assert clean_jobs(path.parent, older_than=timedelta(days=9), unfinished=True) == [job]
    assert [*path.parent.iterdir()] == []


def test_a_job_that_is_not_there(tmp_path: Path) -> None:
    """The path is named."""
    with pytest.raises(ConfigurationError, match=r"^There is no journal .*/x\.journal \(No such"):
        show_job(tmp_path / "x.journal")


def test_a_lock_whose_file_was_deleted_holds_nobody(path: Path) -> None:
    """Cleaning deletes it; who opens the path next gets a new file and its lock."""
    make(path)
    lock_path(path).unlink()

    store = opened(path)

    assert refusal(path).startswith("Another upload")
    store.close()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes")
def test_a_link_or_pipe_in_place_of_a_lock_is_refused(path: Path) -> None:
    """What a link leads to stays as it is, and nobody waits for either."""
    make(path)
    (other := path.with_name("other")).write_text("mine")
    lock_path(path).unlink()
    lock_path(path).symlink_to(other)
    assert "cannot be written" in refusal(path)
    assert (len(list_jobs(path.parent)), other.read_text()) == (1, "mine")
    lock_path(path).unlink()
    os.mkfifo(lock_path(path))
    assert "cannot be written (it is no regular file)" in refusal(path)


def test_states_stand_in_statements_by_name() -> None:
    """No number is written twice."""
    assert stated("state IN ($PLANNED, $FAILED)") == "state IN (0, 5)"


@pytest.mark.skipif(os.name == "nt", reason="modes are of another kind there")
def test_only_the_user_may_read_a_journal(path: Path) -> None:
    """File names may be private."""
    make(path)

    assert [each.stat().st_mode & 0o077 for each in (path, lock_path(path))] == [0, 0]
