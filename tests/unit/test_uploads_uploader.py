"""The uploader over a dataset in memory: every item accounted for, bounded, stoppable."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import threading
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from datagym_async.exceptions import (
    APIConnectionError,
    AuthenticationError,
    ClientClosedError,
    ConfigurationError,
    InternalServerError,
    NotFoundError,
    TransferError,
)
from datagym_async.uploads import DryRun, ItemSettled, UploadConfig, Uploader, UploadItem
from datagym_async.uploads.plan import Plan
from tests.helpers.fake_service import DATASET_ID, FakeService
from tests.helpers.photos import SOUND_JPEG

if TYPE_CHECKING:
    from datagym_async.uploads import Source, UploadEvent, UploadResult

JPEG = SOUND_JPEG + b"x" * 60


def images(count: int, *, start: int = 0) -> list[UploadItem]:
    """Return images in memory."""
    return [UploadItem(f"{number:05}.jpg", JPEG) for number in range(start, start + count)]


def uploader(service: FakeService, sources: Source, **options: object) -> Uploader:
    """Return an uploader into the fake dataset."""
    config = UploadConfig(**options)  # type: ignore[arg-type]  # a table of options
    return Uploader(service, service, DATASET_ID, sources, config=config)


async def results(service: FakeService, sources: Source, **options: object) -> list[UploadResult]:
    """Return all results of a run."""
    async with uploader(service, sources, **options) as run:
        return [result async for result in run]


def counts(found: list[UploadResult]) -> dict[str, int]:
    """Return how many results each outcome has."""
    return dict(Counter(result.outcome.value for result in found))


@pytest.fixture
def service() -> FakeService:
    return FakeService()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder of good, bad and clashing files, one of them large."""
    for path, data in {
        "a.jpg": JPEG,
        "big.png": b"\x89PNG\r\n\x1a\n" + b"y" * 5_000_000,
        "empty.jpg": b"",
        "notes.txt": b"Not an image.",
        "sub/A.JPG": JPEG,
        "sub/held.jpg": JPEG,
        "sub/größe 100%.jpg": JPEG,
    }.items():
        file = tmp_path / "photos" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
    return tmp_path / "photos"


async def test_every_file_of_a_folder_is_accounted_for(service: FakeService, folder: Path) -> None:
    """Each file has one result, and the service holds exactly the good ones, byte for byte."""
    service.hold("HELD.jpg")

    found = await results(service, folder)

    assert {each.name: each.outcome.value for each in found} == {
        "a.jpg": "uploaded",
        "big.png": "uploaded",
        "empty.jpg": "rejected",
        "notes.txt": "rejected",
        "A.JPG": "rejected",
        "held.jpg": "skipped",
        "größe 100%.jpg": "uploaded",
    }
    assert service.stored == {
        "HELD.jpg": b"",
        "a.jpg": JPEG,
        "big.png": (folder / "big.png").read_bytes(),
        "gr%C3%B6%C3%9Fe 100%25.jpg": JPEG,
    }


async def test_a_second_run_uploads_nothing(service: FakeService, folder: Path) -> None:
    """What the first run stored is skipped by one listing."""
    await results(service, folder)
    stored = dict(service.stored)

    again = await results(service, folder)

    assert counts(again) == {"skipped": 4, "rejected": 3}
    assert (service.stored, service.listings) == (stored, 2)


async def test_relative_names_resolve_a_clash(service: FakeService, folder: Path) -> None:
    """The way out that a clash's reason names is one."""
    found = await results(service, folder, name="relative")

    assert counts(found) == {"uploaded": 5, "rejected": 2}
    assert "sub/A.JPG" in service.stored


async def test_every_kind_of_source_in_one_run(
    service: FakeService, folder: Path, tmp_path: Path
) -> None:
    """Finite sources and streams, nested in one another, end in one report."""
    (tmp_path / "list.txt").write_text(f"{folder}/a.jpg\nhttp://h/x.jpg\nhttp://h/y.gif\n")

    async def arriving() -> AsyncIterator[Source]:
        yield images(3)
        yield iter(late)

    late: list[Source] = [folder / "sub", "http://h/X.jpg"]
    sources: list[Source] = [tmp_path / "list.txt", arriving(), iter(images(2, start=2))]
    async with uploader(service, sources) as run:
        report = await run.finish()

    assert (report.planned, report.uploaded, report.rejected, report.failed) == (12, 8, 4, 0)
    assert (report.complete, report.pending) == (True, 0)
    assert service.urls == ["http://h/x.jpg"]


async def test_concurrency_is_reached_and_never_exceeded(service: FakeService) -> None:
    """N requests at most are in flight, and N are where there is work for them."""
    service.delay = 0.001

    await results(service, images(100), concurrency=5)

    assert (service.peak, len(service.stored)) == (5, 100)


async def test_tasks_do_not_grow_with_the_files(service: FakeService) -> None:
    """One task a worker, one for the feeder, one for a stream, one for the run."""
    peak = 0

    async def count(_: str) -> None:
        nonlocal peak
        peak = max(peak, len(asyncio.all_tasks()))

    service.before = count
    await results(service, iter(images(500)), concurrency=4)

    assert peak <= 4 + 4


async def test_a_source_is_read_no_further_than_the_run_needs(service: FakeService) -> None:
    """A slow reader of results holds the whole run back, up to the source."""
    pulled = 0

    async def endless() -> AsyncIterator[UploadItem]:
        nonlocal pulled
        while True:
            pulled += 1
            yield UploadItem(f"{pulled}.jpg", JPEG)

    async with uploader(service, endless(), concurrency=2) as run:
        for _ in range(10):
            await anext(run)
        for _ in range(200):
            await asyncio.sleep(0)
        assert len(service.stored) <= 10 + 2 * 2 + 2

    assert pulled <= 3 * 256


async def test_what_a_slow_iterator_has_given_is_sent_at_once(service: FakeService) -> None:
    """Its next item may be long in coming: here it comes once the others are stored."""
    stored = threading.Event()

    async def note(_: str) -> None:
        if len(service.stored) == 2:
            stored.set()

    def slow() -> Iterator[UploadItem]:
        yield from images(3)
        assert stored.wait(30), "an item was held back"
        yield from images(1, start=3)

    service.before = note
    assert counts(await results(service, slow(), concurrency=1)) == {"uploaded": 4}


async def test_links_go_in_batches(service: FakeService) -> None:
    """Links are gathered up to `batch_size`, each with its own result."""
    urls = [f"http://h/{number}.jpg" for number in range(107)] + ["http://h/z.gif"]

    found = await results(service, [urls, "http://h/5.jpg"], batch_size=50)

    assert counts(found) == {"uploaded": 107, "rejected": 1}
    assert sorted(service.batches) == [7, 50, 50]


async def test_a_pausing_stream_does_not_hold_its_links_back(service: FakeService) -> None:
    """What has arrived is sent before the stream goes on."""
    go_on = asyncio.Event()

    async def pausing() -> AsyncIterator[str]:
        yield "http://h/1.jpg"
        await go_on.wait()
        yield "http://h/2.jpg"

    async with uploader(service, pausing()) as run:
        first = await anext(run)
        go_on.set()
        rest = [result.name async for result in run]

    assert (first.name, rest) == ("1.jpg", ["2.jpg"])


async def test_a_large_set_of_links_stays_flat(service: FakeService) -> None:
    """Links are planned on disk and held in memory one batch at a time."""

    def many() -> Iterator[str]:
        return (f"http://h/{number}.jpg" for number in range(2000))

    async with uploader(service, list(many()), max_problems=0) as run:
        report = await run.finish()

    assert (report.planned, report.uploaded) == (2000, 2000)
    assert set(service.batches) == {50}


async def test_an_unknown_dataset_is_said_before_anything_is_read(
    service: FakeService, tmp_path: Path
) -> None:
    """The plain error of the look-up comes out of entering; no source is read, no journal left."""
    source = iter(images(3))
    config = UploadConfig(journal=tmp_path / "a.journal")
    run = Uploader(service, service, "nope", source, config=config)

    with pytest.raises(NotFoundError):
        async with run:
            raise AssertionError

    assert len(list(source)) == 3
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("sources", "words"),
    [
        ("gone", "Nothing to upload: gone does not exist."),
        (["gone", "gone too"], "gone does not exist. (and 1 more source like it)"),
        ("*.nothing", "No file matches *.nothing."),
        (b"bytes", "UploadItem(name, data)"),
    ],
)
async def test_sources_that_name_nothing_are_an_error(
    service: FakeService, sources: Source, words: str
) -> None:
    """A mistyped folder is an error, not an empty success."""
    async with uploader(service, sources) as run:
        with pytest.raises(ConfigurationError) as caught:
            await run.finish()

    assert words in str(caught.value)


async def test_one_bad_source_among_good_ones_is_a_result(service: FakeService) -> None:
    """The rest of the run goes on."""
    found = await results(service, ["gone", *images(2)])

    assert counts(found) == {"rejected": 1, "uploaded": 2}


async def test_a_bad_source_beside_a_stream_is_a_result(service: FakeService) -> None:
    """The stream may have images; how many is known once it has ended."""
    ends = asyncio.Event()

    async def arriving() -> AsyncIterator[UploadItem]:
        yield images(1)[0]
        await ends.wait()

    async with uploader(service, ["gone", arriving()]) as run:
        found = [await anext(run), await anext(run)]
        assert not run.progress.total_known
        ends.set()
        found += [result async for result in run]

    assert counts(found) == {"rejected": 1, "uploaded": 1}
    assert (run.report.complete, run.progress.total_known) == (True, True)


async def test_nothing_to_do_is_fine(service: FakeService) -> None:
    """An empty list is a complete run of nothing."""
    async with uploader(service, []) as run:
        report = await run.finish()

    assert (report.planned, report.complete, report.ok) == (0, True, True)


async def test_an_items_own_failure_does_not_stop_the_run(service: FakeService) -> None:
    """What the service refuses of one file is that file's result."""

    async def refuse(name: str) -> None:
        if name in {"00003.jpg", "00007.jpg"}:
            raise InternalServerError("It broke.", status=500, key="ex_system", attempts=2)

    service.before = refuse
    found = await results(service, images(10))

    failed = sorted((each.name, each.key, each.attempts) for each in found if each.is_problem)
    assert failed == [("00003.jpg", "ex_system", 2), ("00007.jpg", "ex_system", 2)]
    assert counts(found) == {"uploaded": 8, "failed": 2}


async def test_an_exit_in_a_callback_ends_who_iterates_and_is_raised_at_the_end(
    service: FakeService,
) -> None:
    """Also where the task that opened the run is over, and nobody else can be interrupted."""

    def leave(event: UploadEvent) -> None:
        if isinstance(event, ItemSettled):
            raise SystemExit(3)

    run = uploader(service, images(100), on_event=leave)
    await asyncio.create_task(run.__aenter__())

    report = await run.finish()

    with pytest.raises(SystemExit):
        await run.__aexit__(None, None, None)
    assert report.uploaded < 100
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_refused_token_stops_the_run_and_nothing_is_half_done(service: FakeService) -> None:
    """What was in flight ends in its own way, nothing new is begun, and the report says both."""
    service.delay = 0.001

    async def revoke(name: str) -> None:
        if name >= "00050":
            raise AuthenticationError("The token is refused.", status=401)

    service.before = revoke
    async with uploader(service, images(1000), concurrency=4) as run:
        with pytest.raises(
            TransferError, match="The upload stopped: The token is refused"
        ) as caught:
            await run.finish()

    report = caught.value.report
    assert report == run.report
    assert (run.report.uploaded, run.report.complete) == (len(service.stored), False)
    assert 1 <= run.report.failed <= 4
    assert run.report.pending == 1000 - run.report.uploaded - run.report.failed
    assert isinstance(caught.value.__cause__, AuthenticationError)


@pytest.mark.parametrize(("concurrency", "enough"), [(2, 8), (12, 12)])
async def test_a_service_that_stops_answering_ends_the_run(
    service: FakeService, concurrency: int, enough: int
) -> None:
    """Some items in a row without any answer are enough to know: 8, or as many as are in flight."""

    async def vanish(name: str) -> None:
        if name >= "00020":
            raise APIConnectionError("Cannot reach it.", attempts=6)

    service.before = vanish
    async with uploader(service, images(1000), concurrency=concurrency) as run:
        with pytest.raises(TransferError, match="Cannot reach it"):
            await run.finish()

    assert run.report.uploaded == 20
    assert enough <= run.report.failed < enough + concurrency  # those of others were on their way


@pytest.mark.parametrize("kind", ["images", "links"])
async def test_a_few_lost_connections_do_not_end_the_run(service: FakeService, kind: str) -> None:
    """Each answer in between shows that the service is there."""
    links = [f"http://h/{number:05}.jpg" for number in range(80)]

    async def flaky(what: str) -> None:
        if int(what.removeprefix("http://h/")[:5]) % 4:
            raise APIConnectionError("Cannot reach it.")

    service.before = flaky
    sources = images(80) if kind == "images" else links
    found = await results(service, sources, concurrency=1, batch_size=1)

    assert counts(found) == {"uploaded": 20, "failed": 60}


@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_what_a_source_raises_comes_out_unchanged(service: FakeService, kind: str) -> None:
    """What it gave before that is uploaded."""

    def broken() -> Iterator[UploadItem]:
        yield from images(3)
        raise LookupError("mine")

    async def broken_async() -> AsyncIterator[UploadItem]:
        for image in images(3):
            yield image
        raise LookupError("mine")

    async with uploader(service, broken() if kind == "sync" else broken_async()) as run:
        with pytest.raises(LookupError, match="mine"):
            await run.finish()

    assert (run.report.uploaded, run.report.complete) == (3, False)


async def test_a_source_that_awaits_something_cancelled_ends_the_run(service: FakeService) -> None:
    """It is an error like others; the run would wait for ever for the end of the source."""
    gone = asyncio.get_running_loop().create_future()
    gone.cancel()

    async def broken() -> AsyncIterator[UploadItem]:
        for image in images(3):
            yield image
        await gone

    async with uploader(service, broken()) as run:
        with pytest.raises(RuntimeError, match="not cancelled") as caught:
            await run.finish()

    assert isinstance(caught.value.__cause__, asyncio.CancelledError)
    assert (run.report.uploaded, run.report.complete) == (3, False)


@pytest.mark.parametrize("where", ["source", "on_event"])
async def test_code_of_the_caller_that_cancels_a_task_of_the_run_ends_it(
    service: FakeService, where: str
) -> None:
    """It may be the feeder, for whose end the run would wait, or the only one that has an image."""

    def cancel() -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()

    def on_event(event: UploadEvent) -> None:
        if where == "on_event" and isinstance(event, ItemSettled):
            cancel()

    async def source() -> AsyncIterator[UploadItem]:
        for image in images(3):
            yield image
            if where == "source":
                cancel()
            await asyncio.sleep(0)

    async with uploader(service, source(), on_event=on_event) as run:
        with pytest.raises(RuntimeError, match="cancelled by other code") as caught:
            await run.finish()

    assert isinstance(caught.value.__cause__, asyncio.CancelledError)
    assert not run.report.complete


@pytest.mark.parametrize("depth", [1, 2, 3])
async def test_a_group_of_errors_of_a_source_comes_out_whole(
    service: FakeService, depth: int
) -> None:
    """A source that downloads with tasks of its own raises one, also as an item of another."""
    errors = ExceptionGroup("mine", [LookupError("one"), LookupError("two")])

    async def broken() -> AsyncIterator[UploadItem]:
        for image in images(3):
            yield image
        raise errors

    async def within(inner: AsyncIterator[Any]) -> AsyncIterator[Any]:
        yield inner

    def source() -> AsyncIterator[Any]:
        found: AsyncIterator[Any] = broken()
        for _ in range(depth - 1):
            found = within(found)
        return found

    for run in (uploader(service, source()), DryRun(service, DATASET_ID, source())):
        async with run:
            with pytest.raises(ExceptionGroup) as caught:
                await run.finish()

        assert caught.value is errors


@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_what_is_no_exception_comes_out_unchanged(service: FakeService, kind: str) -> None:
    """`pytest.fail` in a source, for example: a test that uploads has failed then."""

    def source() -> Iterator[UploadItem]:
        yield from images(3)
        pytest.fail("mine")

    async def asynchronous() -> AsyncIterator[UploadItem]:
        for image in source():
            yield image

    items = source() if kind == "sync" else asynchronous()
    with pytest.raises(pytest.fail.Exception, match="mine"):
        async with uploader(service, items) as run:
            await run.finish()
    assert not run.report.complete


async def test_an_error_while_images_are_read_keeps_its_cause(
    service: FakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It comes out of a group of tasks."""

    def slip(*_: object) -> None:
        raise ZeroDivisionError("slip") from LookupError("why")

    monkeypatch.setattr(Plan, "take", slip)
    async with uploader(service, images(3)) as run:
        with pytest.raises(ZeroDivisionError, match="slip") as caught:
            await run.finish()

    assert isinstance(caught.value.__cause__, LookupError)


async def test_a_slip_of_the_media_given_to_us_comes_out_unchanged(service: FakeService) -> None:
    """No exception group, and no waiting for ever."""

    async def slip(_: str) -> None:
        raise ZeroDivisionError("slip") from LookupError("why")

    service.before = slip
    async with uploader(service, images(100)) as run:
        with pytest.raises(ZeroDivisionError, match="slip") as caught:
            await run.finish()

    assert isinstance(caught.value.__cause__, LookupError)  # not itself, which never ends


@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_leaving_early_cancels_and_closes_the_source(service: FakeService, kind: str) -> None:
    """Tasks, requests and the user's generators end with the block."""
    closed = False
    service.delay = 0.001

    def endless() -> Iterator[UploadItem]:
        nonlocal closed
        try:
            number = 0
            while number := number + 1:
                yield UploadItem(f"{number}.jpg", JPEG)
        finally:
            closed = True

    async def endless_async() -> AsyncIterator[UploadItem]:
        nonlocal closed
        try:
            number = 0
            while number := number + 1:
                yield UploadItem(f"{number}.jpg", JPEG)
        finally:
            closed = True

    async with uploader(service, endless() if kind == "sync" else endless_async()) as run:
        async for result in run:
            assert result.outcome == "uploaded"
            break

    assert (closed, service.in_flight) == (True, 0)
    assert len(asyncio.all_tasks()) == 1


async def test_leaving_early_lets_requests_in_flight_end(service: FakeService) -> None:
    """A request that is cut off may be carried out all the same, and double its image later."""
    service.delay = 0.001

    async with uploader(service, images(500), concurrency=4) as run:
        await anext(run)

    assert run.report.uploaded == len(service.stored)
    assert run.report.uploaded <= 1 + 4 + 8 + 2 * 4
    assert service.in_flight == 0


async def test_a_source_that_never_comes_back_does_not_hold_the_run(
    service: FakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Standard input may be silent for ever: its thread is left behind, and tidies up at last."""
    monkeypatch.setattr("datagym_async._threads.PATIENCE", 0.0)
    is_silent, require_consent, closed = (threading.Event() for _ in range(3))

    def silent() -> Iterator[UploadItem]:
        try:
            yield UploadItem("1.jpg", JPEG)
            is_silent.set()
            require_consent.wait(30)
            yield UploadItem("2.jpg", JPEG)
        finally:
            closed.set()

    async with uploader(service, silent()) as run:
        first = await anext(run)  # at once
        await asyncio.to_thread(is_silent.wait, 30)
    was_closed = closed.is_set()
    require_consent.set()
    await asyncio.to_thread(closed.wait, 30)

    assert (first.name, was_closed, closed.is_set()) == ("1.jpg", False, True)
    assert list(service.stored) == ["1.jpg"]


@pytest.mark.looptime
async def test_leaving_early_does_not_wait_for_ever(service: FakeService) -> None:
    """A request that hangs is cut off after a while."""

    async def hang(name: str) -> None:
        if name != "00000.jpg":
            await asyncio.Event().wait()

    service.before = hang
    began = asyncio.get_running_loop().time()
    async with uploader(service, images(500)) as run:
        await anext(run)

    assert asyncio.get_running_loop().time() - began == pytest.approx(30, abs=0.1)
    assert (service.in_flight, len(asyncio.all_tasks())) == (0, 1)


@pytest.mark.parametrize("where", [(Plan, "settle"), (FakeService, "read_parts")])
async def test_a_full_disk_under_the_plan_is_said(
    service: FakeService, monkeypatch: pytest.MonkeyPatch, where: tuple[type, str]
) -> None:
    """The plan's temporary file may fail like any other, also while the dataset is listed."""

    def full(*_: object, **_options: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(*where, full)
    run = uploader(service, images(5))
    with pytest.raises(TransferError, match="temporary file failed: database or disk is full"):
        async with run:
            await run.finish()
    assert run.report.pending == run.report.planned


async def test_entering_that_is_cancelled_closes_the_plan(
    service: FakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What `__aenter__` opened is closed when it does not get to its end."""
    run = uploader(service, images(5))
    closed: list[Plan] = []
    close = Plan.close

    def noting_close(plan: Plan, **options: Any) -> None:
        closed.append(plan)
        close(plan, **options)

    monkeypatch.setattr(Plan, "close", noting_close)
    async with asyncio.TaskGroup() as group:
        entering = group.create_task(run.__aenter__())
        for _ in range(3):
            await asyncio.sleep(0)
        entering.cancel()

    assert len(closed) == 1


async def test_the_bodys_own_error_comes_out_unchanged(service: FakeService) -> None:
    """An error in the user's block is not wrapped in a group."""

    async def use() -> None:
        async with uploader(service, images(50)) as run:
            await anext(run)
            raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        await use()


async def test_a_timeout_around_the_run_is_a_timeout(service: FakeService) -> None:
    """Cancellation from outside goes through, and leaves nothing behind."""

    async def hang(_: str) -> None:
        await asyncio.Event().wait()

    service.before = hang
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01), uploader(service, images(50)) as run:
            await run.finish()

    assert (service.in_flight, len(asyncio.all_tasks())) == (0, 1)


async def test_an_uploader_runs_once_and_only_while_it_is_open(service: FakeService) -> None:
    """Misuse is said in a sentence; before it begins, there is a report of nothing."""
    run = uploader(service, images(1))
    assert (run.report.planned, run.report.seconds, run.report.journal) == (0, 0.0, "")
    with pytest.raises(ClientClosedError, match="async with"):
        await anext(run)

    async with run:
        await run.finish()
        with pytest.raises(StopAsyncIteration):
            await anext(run)

    with pytest.raises(ClientClosedError, match="runs once"):
        await run.__aenter__()


async def test_results_left_unread_end_the_iteration(service: FakeService) -> None:
    """After the block there is nothing more to come."""
    async with uploader(service, images(50)) as run:
        await anext(run)

    with contextlib.suppress(StopAsyncIteration):
        await anext(run)
        raise AssertionError("a result after the end")


async def test_progress_grows_to_the_report(service: FakeService) -> None:
    """Snapshots never go back, and the last one agrees with the report."""
    done = []
    async with uploader(service, images(40), concurrency=3) as run:
        assert run.progress.phase == "planning"
        async for _ in run:
            done.append(run.progress.items_done)
            assert run.progress.in_flight <= 3
            assert run.progress.total_known
        last = run.progress

    assert done == sorted(done)
    assert (last.phase, last.items_done, last.items_total, last.total_known) == (
        "done",
        40,
        40,
        True,
    )
    assert (last.uploaded, last.bytes_done, last.bytes_total) == (
        40,
        40 * len(JPEG),
        40 * len(JPEG),
    )
    assert last.seconds == run.report.seconds
    assert repr(run) == "<Uploader 40 of 40 items done, 0 in flight>"


async def test_a_file_that_vanishes_while_it_waits_is_rejected(
    service: FakeService, folder: Path
) -> None:
    """Between plan and turn a file may go, small or large; the run goes on."""

    async def remove(_: str) -> None:
        await asyncio.to_thread((folder / "big.png").unlink, missing_ok=True)

    service.before = remove
    async with uploader(service, [images(40), folder], concurrency=1) as run:
        found = [result async for result in run]

    (big,) = [each for each in found if each.name == "big.png"]
    assert (big.outcome, "big.png" in big.reason) == ("rejected", True)
    assert counts(found) == {"uploaded": 40 + 3, "rejected": 4}


async def test_a_large_file_that_grows_after_it_was_looked_at_is_rejected(
    service: FakeService, folder: Path
) -> None:
    """What is streamed must be what was announced; the service is not sent a part."""

    def grow() -> None:
        with (folder / "big.png").open("ab") as file:
            file.write(b"more")

    async def grow_once(name: str) -> None:
        if name == "big.png":
            await asyncio.to_thread(grow)

    service.before = grow_once
    found = await results(service, folder)

    (big,) = [each for each in found if each.name == "big.png"]
    assert big.outcome == "rejected"
    assert "5000008 bytes long when it was looked at and is 5000012 bytes now" in big.reason
