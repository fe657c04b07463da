"""A watched folder gives each file once, when nothing has written to it for a while."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncGenerator, Collection
from pathlib import Path
from typing import Literal, TypeAlias

import pytest

from datagym_async._extras import how_to_install
from datagym_async.exceptions import ConfigurationError
from datagym_async.uploads import UploadConfig, Uploader, show_job
from datagym_async.uploads.sources import Filters, FolderWatch, Naming, Rules
from tests.helpers.fake_service import DATASET_ID, FakeService
from tests.helpers.photos import SOUND_JPEG

SETTLE = 4.0


class Events:
    """What the operating system would tell, at set moments of virtual time."""

    def __init__(self) -> None:
        self.paths: set[str] = set()
        self.ticks = 0
        self.watches = 0

    async def __call__(
        self, folder: str, stop: asyncio.Event, tick: float
    ) -> AsyncGenerator[Collection[str], None]:
        self.watches += 1
        yield set()
        while not stop.is_set():
            await asyncio.sleep(tick)
            self.ticks += 1
            paths, self.paths = self.paths, set()
            yield paths


@pytest.fixture
def events() -> Events:
    return Events()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with one file that has long settled."""
    (tmp_path / "in").mkdir()
    write(tmp_path / "in" / "old.jpg", age=3600)
    return tmp_path / "in"


def write(path: Path, data: bytes = SOUND_JPEG, *, age: float = 0) -> str:
    """Write a file that was last changed so many seconds ago."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    now = path.stat().st_mtime
    os.utime(path, (now - age, now - age))
    return str(path)


async def given(watched: FolderWatch, rules: Rules, into: list[str]) -> None:
    """Collect names, with the moment of each."""
    async for candidate in watched.arrivals(rules):
        moment = asyncio.get_running_loop().time()
        into.append(f"{moment:g} {candidate.item.name}")


@pytest.mark.looptime
async def test_a_file_is_given_once_it_has_settled(folder: Path, events: Events) -> None:
    """What is there comes at once, what is still written to later, and each once."""
    write(folder / "young.jpg")
    watched = FolderWatch(folder, settle=SETTLE, changes=events)
    names: list[str] = []
    async with asyncio.TaskGroup() as group:
        group.create_task(given(watched, Rules(), names))
        await asyncio.sleep(1)
        events.paths = {write(folder / "new.jpg", b"half")}
        await asyncio.sleep(3)
        events.paths = {write(folder / "new.jpg")}
        await asyncio.sleep(2)
        events.paths = {str(folder / "new.jpg")}  # told of twice
        await asyncio.sleep(10)
        events.paths = {str(folder / "old.jpg"), str(folder / "new.jpg")}  # late events
        await asyncio.sleep(10)
        watched.stop()

    assert names == ["0 old.jpg", "4 young.jpg", "10 new.jpg"]


@pytest.mark.looptime
async def test_a_file_that_grows_is_given_only_when_it_rests(folder: Path, events: Events) -> None:
    """Two looks must find the same size, even where no event tells of the growth."""
    watched = FolderWatch(folder, settle=SETTLE, changes=events)
    names: list[str] = []
    async with asyncio.TaskGroup() as group:
        group.create_task(given(watched, Rules(), names))
        await asyncio.sleep(1)
        for number in range(1, 6):
            path = write(folder / "grows.jpg", SOUND_JPEG * number)
            events.paths = {path} if number == 1 else set()
            await asyncio.sleep(3)
        await asyncio.sleep(20)
        watched.stop()

    assert names == ["0 old.jpg", "18 grows.jpg"]


@pytest.mark.looptime
async def test_a_new_folder_is_walked(folder: Path, events: Events) -> None:
    """Files may lie in a folder before anybody can watch it."""
    watched = FolderWatch(folder, settle=SETTLE, changes=events)
    names: list[str] = []
    rules = Rules(Naming("relative"))
    async with asyncio.TaskGroup() as group:
        group.create_task(given(watched, rules, names))
        await asyncio.sleep(1)
        write(folder / "day" / "one" / "a.jpg", age=60)
        events.paths = {str(folder / "day")}
        await asyncio.sleep(5)
        watched.stop()

    assert names == ["0 old.jpg", "2 day/one/a.jpg"]


@pytest.mark.looptime
async def test_a_folder_that_is_made_again_is_watched_again(folder: Path, events: Events) -> None:
    """Also where it is not there for a while, and where the new one has the number of the old."""
    watched = FolderWatch(folder, settle=SETTLE, changes=events)
    names: list[str] = []
    async with asyncio.TaskGroup() as group:
        group.create_task(given(watched, Rules(), names))
        await asyncio.sleep(1)
        folder.rename(folder.with_name("away"))
        await asyncio.sleep(8)
        write(folder / "new.jpg", age=60)
        await asyncio.sleep(4)
        events.paths = {str(folder)}  # as the end of a folder is told
        await asyncio.sleep(4)
        watched.stop()

    assert names == ["0 old.jpg", "10 new.jpg"]
    assert events.watches == 3


@pytest.mark.looptime
async def test_what_does_not_count_is_not_given(folder: Path, events: Events) -> None:
    """Hidden files, filtered ones, and the half-written ones of other programs."""
    watched = FolderWatch(folder, settle=SETTLE, changes=events)
    names: list[str] = []
    rules = Rules(filters=Filters(("*.jpg", "*.part"), ("thumbs",)))
    async with asyncio.TaskGroup() as group:
        group.create_task(given(watched, rules, names))
        await asyncio.sleep(1)
        for path in (".x.jpg", "a.gif", "thumbs/b.jpg", "c.jpg.part", ".git/d.jpg", "sub/e.jpg"):
            events.paths.add(write(folder / path, age=60))
        events.paths.add(str(folder / "gone.jpg"))
        await asyncio.sleep(5)
        watched.stop()

    assert names == ["0 old.jpg", "2 e.jpg"]


Symlinks: TypeAlias = Literal["skip", "files", "follow"]
LINKS: dict[Symlinks, list[str]] = {
    "skip": [],
    "files": ["0 links", "0 one.jpg", "2 two.jpg"],
    "follow": ["0 one.jpg", "0 links/far.jpg", "2 two.jpg"],
}


@pytest.mark.looptime
@pytest.mark.parametrize(("symlinks", "expected"), LINKS.items())
async def test_links_count_as_in_a_folder_that_is_uploaded_once(
    folder: Path, events: Events, tmp_path: Path, symlinks: Symlinks, expected: list[str]
) -> None:
    """Those that are there and those that arrive; a folder that two links lead to is read once."""
    (folder / "old.jpg").unlink()
    far = Path(write(tmp_path / "far" / "far.jpg", age=60))
    (folder / "one.jpg").symlink_to(far)
    (folder / "links").symlink_to(far.parent)
    watched = FolderWatch(folder, settle=SETTLE, changes=events)
    names: list[str] = []
    rules = Rules(Naming("relative"), symlinks=symlinks)
    async with asyncio.TaskGroup() as group:
        group.create_task(given(watched, rules, names))
        await asyncio.sleep(1)
        (folder / "two.jpg").symlink_to(far)
        (folder / "more").symlink_to(far.parent)
        events.paths = {str(folder / "two.jpg"), str(folder / "more")}
        await asyncio.sleep(5)
        watched.stop()

    assert sorted(names) == sorted(expected)


@pytest.mark.looptime
async def test_only_the_files_given_last_are_remembered(
    folder: Path, events: Events, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A watch may run for years: of an older one, a late event gives it once more."""
    monkeypatch.setattr("datagym_async.uploads.sources._watch.REMEMBERED", 2)
    watched = FolderWatch(folder, settle=SETTLE, changes=events)
    names: list[str] = []
    async with asyncio.TaskGroup() as group:
        group.create_task(given(watched, Rules(), names))
        await asyncio.sleep(1)
        events.paths = {write(folder / f"{each}.jpg", age=60) for each in "ab"}
        await asyncio.sleep(4)
        events.paths = {str(folder / f"{each}.jpg") for each in ("a", "b", "old")}
        await asyncio.sleep(4)
        watched.stop()

    assert names == ["0 old.jpg", "2 a.jpg", "2 b.jpg", "6 old.jpg"]


@pytest.mark.looptime
async def test_an_upload_of_a_watched_folder_ends_when_it_is_stopped(
    folder: Path, events: Events
) -> None:
    """The same uploader, with a source that goes on until it is told to stop."""
    service = FakeService()
    watched = FolderWatch(folder, settle=SETTLE, changes=events)
    uploaded: list[str] = []
    async with Uploader(service, service, DATASET_ID, watched) as run:
        async for result in run:
            uploaded.append(f"{result.outcome} {result.name}")
            if result.name == "old.jpg":
                events.paths = {write(folder / "new.jpg")}
            else:
                watched.stop()
        report = run.report

    assert uploaded == ["uploaded old.jpg", "uploaded new.jpg"]
    assert report.complete


@pytest.mark.looptime
@pytest.mark.parametrize("stops", [True, False])
async def test_a_watch_that_a_stop_or_a_limit_ends_is_complete(
    folder: Path, events: Events, tmp_path: Path, stops: bool
) -> None:
    """It has no other end: nothing is left to do, and the journal says so."""
    service = FakeService()
    watched = FolderWatch(folder, settle=SETTLE, changes=events)
    config = UploadConfig(
        journal=tmp_path / "journal.sqlite3", max_duration=None if stops else 3600
    )
    async with Uploader(service, service, DATASET_ID, watched, config=config) as run:
        async for _ in run:
            if stops:
                run.stop()

    assert (run.report.uploaded, run.report.complete, run.report.ok) == (1, True, True)
    assert (await asyncio.to_thread(show_job, tmp_path / "journal.sqlite3")).complete


@pytest.mark.looptime
async def test_a_watch_with_items_left_is_not_complete(folder: Path, events: Events) -> None:
    """They were found, and not sent."""
    service = FakeService()
    for number in range(40):
        write(folder / f"{number}.jpg")
    watched = FolderWatch(folder, settle=SETTLE, changes=events)
    config = UploadConfig(max_files=1)
    async with Uploader(service, service, DATASET_ID, watched, config=config) as run:
        async for _ in run:
            pass

    assert (run.report.complete, run.report.pending > 0) == (False, True)


async def test_leaving_early_ends_the_watch(folder: Path) -> None:
    """With the real watcher: no thread, no task and no descriptor stays."""
    service = FakeService()
    watched = FolderWatch(folder, settle=0.05)
    async with Uploader(service, service, DATASET_ID, watched) as run:
        first = await anext(run)

    assert first.name == "old.jpg"


@pytest.mark.parametrize("new", ["sub/new.jpg", os.fsdecode(b"caf\xe9.jpg")])
async def test_the_operating_system_tells_of_new_files(folder: Path, new: str) -> None:
    """With the real watcher, whatever their names: each is given, and stopping ends it."""
    watched = FolderWatch(folder, settle=0.05)
    names: list[str] = []
    async with asyncio.timeout(20):
        async for item in watched:
            names.append(item.name)
            if item.name == "old.jpg":
                write(folder / new)
            else:
                watched.stop()

    assert names == ["old.jpg", Path(new).name]


async def test_a_system_without_a_watch_left_is_said(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """watchfiles raises an error of its own, which says nothing of a way out."""

    async def none_left(*_: object, **_options: object) -> AsyncGenerator[set[object], None]:
        for each in set[object]():
            yield {each}
        raise RuntimeError("Too many open files (os error 24)")

    monkeypatch.setattr("watchfiles.awatch", none_left)
    service = FakeService()
    run = Uploader(service, service, DATASET_ID, FolderWatch(folder))
    with pytest.raises(ConfigurationError, match=r"cannot be watched \(Too many open files .*POLL"):
        async with run:
            await run.finish()
    assert (service.in_flight, len(asyncio.all_tasks())) == (0, 1)


@pytest.mark.parametrize(
    ("path", "words"), [("gone", "gone does not exist."), ("in/old.jpg", "is not a folder.")]
)
async def test_what_is_no_folder_cannot_be_watched(
    folder: Path, events: Events, path: str, words: str
) -> None:
    """It is said when the watch begins."""
    watched = FolderWatch(folder.parent / path, changes=events)
    with pytest.raises(ConfigurationError, match=words):
        await anext(watched.arrivals(Rules()))


def test_bad_options_are_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each says the way out."""

    def no_module(_: str) -> None:
        return None

    with pytest.raises(ConfigurationError, match="settle is 0; it must be"):
        FolderWatch(folder, settle=0)
    monkeypatch.setattr("importlib.util.find_spec", no_module)
    with pytest.raises(ConfigurationError, match=re.escape(how_to_install("watch"))):
        FolderWatch(folder)


@pytest.mark.looptime
async def test_a_touched_file_is_the_same_file(
    folder: Path, events: Events, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the folder is named from here, and changes are told of by full paths."""
    monkeypatch.chdir(folder.parent)
    service = FakeService()
    watched = FolderWatch("in", settle=SETTLE, changes=events)
    config = UploadConfig(on_clash="rename")
    uploaded: list[str] = []
    async with Uploader(service, service, DATASET_ID, watched, config=config) as run:
        async for result in run:
            uploaded.append(f"{result.outcome} {result.name}")
            if len(uploaded) == 1:
                events.paths = {write(folder / "old.jpg", age=60)}
            else:
                watched.stop()

    assert uploaded == ["uploaded old.jpg", "skipped old.jpg"]
    assert list(service.stored) == ["old.jpg"]
    assert run.report.complete


@pytest.mark.looptime
async def test_the_journal_may_lie_in_the_folder(folder: Path, events: Events) -> None:
    """It is no image that arrives, whenever it is written."""
    watched = FolderWatch(folder, settle=SETTLE, changes=events)
    journal = folder / "a.journal"
    names: list[str] = []
    async with asyncio.TaskGroup() as group:
        rules = Rules(left_out=frozenset({str(journal)}))
        group.create_task(given(watched, rules, names))
        events.paths = {write(journal, age=60), write(folder / "new.jpg", age=60)}
        await asyncio.sleep(9)
        watched.stop()

    # Both lie there when the folder is walked, which gives them by their names.
    assert [each.split()[1] for each in names] == ["new.jpg", "old.jpg"]


@pytest.mark.looptime
async def test_a_repaired_file_is_tried_again(folder: Path, events: Events) -> None:
    """What was refused is no longer the file that it was."""
    service = FakeService()
    write(folder / "old.jpg", b"half", age=3600)
    watched = FolderWatch(folder, settle=SETTLE, changes=events)
    outcomes: list[str] = []
    async with Uploader(service, service, DATASET_ID, watched) as run:
        async for result in run:
            outcomes.append(result.outcome)
            if len(outcomes) == 1:
                events.paths = {write(folder / "old.jpg", age=60)}
            else:
                watched.stop()

    assert outcomes == ["rejected", "uploaded"]
    assert service.stored == {"old.jpg": SOUND_JPEG}
