"""What large jobs need: limits of a run, events, comparison, advice, repetition."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
import pytest

from datagym_async import (
    DataGymClient,
    DatasetCreated,
    ItemSettled,
    LimitChanged,
    Paused,
    RetryPolicy,
    RunEnded,
    RunStarted,
    TransferError,
    UploadConfig,
    UploadItem,
    failed_items,
)
from datagym_async.server import Server
from datagym_async.testing import Delay, FaultPlan, RetryAfter, ServiceError, Status
from tests.helpers.leaks import open_descriptors
from tests.helpers.photos import gif, jpeg
from tests.helpers.sentinel import TOKEN

if TYPE_CHECKING:
    from aiohttp import web
    from aiohttp.typedefs import Handler

    from datagym_async import UploadEvent
    from datagym_async.uploads import Source

QUICK = RetryPolicy(initial_delay=0.001, max_retries=2, settle_after=0.001)
FILES = r"/file$"


@attrs.frozen
class World:
    """A service, a client of it, and an empty dataset."""

    plan: FaultPlan
    client: DataGymClient
    dataset_id: str

    async def held(self) -> list[str]:
        """Return the names that the dataset holds, sorted."""
        dataset = await self.client.datasets.get(self.dataset_id)
        return sorted(media.name for media in dataset.media)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    """Return a service with one empty dataset."""
    plan = FaultPlan()
    async with (
        Server(token=TOKEN, middlewares=[plan.middleware]) as server,
        DataGymClient(TOKEN, server.base_url, rate_limit=None, retry=QUICK) as client,
    ):
        dataset = await client.datasets.create("Photos")
        yield World(plan, client, dataset.id)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder of 30 photographs of 2 kB."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(30):
        (folder / f"{number:02}.jpg").write_bytes(jpeg(2000, seed=number))
    return folder


# Limits of a run.


@pytest.mark.parametrize(
    ("option", "value", "sent", "reason"),
    [
        ("max_files", 7, 7, "max_files: 7 were sent"),
        ("max_bytes_total", 9_000, 5, "max_bytes_total: 10,000 bytes were sent"),
    ],
)
async def test_a_limit_of_files_or_bytes_is_exact(
    world: World, folder: Path, option: str, value: int, sent: int, reason: str
) -> None:
    """However many workers there are; it is no error, and the same upload resumes."""
    config = UploadConfig(concurrency=4, **{option: value})  # type: ignore[arg-type]  # a table

    report = await world.client.upload(world.dataset_id, folder, config=config)

    assert world.plan.count("POST", FILES) == sent
    assert (report.uploaded, report.pending) == (sent, 30 - sent)
    assert (report.complete, report.ok, report.stopped_by) == (False, False, reason)
    assert report.summary().endswith(f"It stopped at {reason}.")

    again = await world.client.upload(world.dataset_id, folder)
    assert (again.uploaded, again.skipped, again.stopped_by) == (30 - sent, sent, "")


@pytest.mark.parametrize("count", [30, 21])
async def test_links_count_one_by_one(world: World, count: int) -> None:
    """A batch is cut where the limit is, also the last one."""
    links = [f"http://127.0.0.1:9/{number}.jpg" for number in range(count)]
    config = UploadConfig(batch_size=8, max_files=20)

    report = await world.client.upload(world.dataset_id, links, config=config)

    assert (report.uploaded, report.pending, len(await world.held())) == (20, count - 20, 20)
    assert report.stopped_by == "max_files: 20 were sent"


async def test_so_many_failures_end_a_run(world: World, folder: Path) -> None:
    """Rejected items do not count; what is in flight at the last failure still ends."""
    (folder / "no.gif").write_bytes(gif())
    world.plan.add(ServiceError(500, "ex_gen_dummy"), path=FILES)
    config = UploadConfig(concurrency=2, max_failures=3)

    report = await world.client.upload(world.dataset_id, folder, config=config)

    assert report.failed in {3, 4}
    assert report.stopped_by == "max_failures: 3 failed"
    assert not report.complete


@pytest.mark.looptime
async def test_a_silent_source_does_not_outlast_the_duration(world: World) -> None:
    """The clock of the run does not wait for the next item."""

    async def silent() -> AsyncIterator[UploadItem]:
        yield UploadItem("a.jpg", jpeg(2000))
        await asyncio.sleep(10_000)
        yield UploadItem("b.jpg", jpeg(2000))

    began = asyncio.get_running_loop().time()
    config = UploadConfig(max_duration=60)
    report = await world.client.upload(world.dataset_id, silent(), config=config)

    assert (report.uploaded, report.stopped_by) == (1, "max_duration: 60 s have passed")
    assert asyncio.get_running_loop().time() - began < 100


async def test_without_reaching_a_limit_a_run_is_complete(world: World, folder: Path) -> None:
    """The last item may be the one that reaches it: then nothing was stopped."""
    config = UploadConfig(max_files=30, max_failures=1, max_duration=600, max_bytes_total=10**9)

    report = await world.client.upload(world.dataset_id, folder, config=config)

    assert (report.ok, report.uploaded, report.stopped_by) == (True, 30, "")


# Bytes in flight and open files.


async def test_bytes_in_flight_are_bounded(world: World, tmp_path: Path) -> None:
    """Three bodies of 2 MB do not fit into 5 MB; one of 6 MB goes alone."""
    for number in range(6):
        (tmp_path / f"{number}.jpg").write_bytes(jpeg(2_000_000, seed=number))
    (tmp_path / "large.jpg").write_bytes(jpeg(6_000_000))
    world.plan.add(Delay(0.05), path=FILES)
    config = UploadConfig(concurrency=6, max_bytes_in_flight=5_000_000)
    free = attrs.evolve(config, max_bytes_in_flight=None)

    async with DataGymClient(TOKEN, world.client.base_url, concurrency=6) as client:
        report = await client.upload(world.dataset_id, tmp_path, config=config)
        bounded = world.plan.peak_in_flight
        other = await client.datasets.create("Other")
        await client.upload(other.id, tmp_path, config=free)

    assert report.uploaded == 7
    assert bounded <= 2
    assert world.plan.peak_in_flight > 2


async def test_open_files_are_bounded(world: World, tmp_path: Path) -> None:
    """A worker has one file open at most, and so has whoever reads ahead."""
    for number in range(12):
        (tmp_path / f"{number:02}.jpg").write_bytes(jpeg(4_500_000, seed=number))
    peak = 0

    class Look:
        async def apply(self, request: web.Request, handler: Handler) -> web.StreamResponse:
            nonlocal peak
            opened = (await asyncio.to_thread(open_descriptors)).values()
            peak = max(peak, sum(name.startswith(str(tmp_path)) for name in opened))
            return await handler(request)

    world.plan.add(Look(), path=FILES)
    report = await world.client.upload(
        world.dataset_id, tmp_path, config=UploadConfig(concurrency=3)
    )

    assert report.uploaded == 12
    assert 1 <= peak <= 3 + 1


# Events.


async def test_events_come_in_order(world: World, folder: Path) -> None:
    """One at the beginning, one for each result, one at the end; creations in between."""
    told: list[UploadEvent] = []
    config = UploadConfig(max_per_dataset=20, concurrency=2, on_event=told.append)

    async with world.client.uploader(world.dataset_id, folder, config=config) as run:
        results = [result async for result in run]

    first, *between, last = told
    assert first == RunStarted(world.dataset_id, "Photos", ("Photos",), 0)
    assert last == RunEnded(run.report)
    assert [each.result for each in between if isinstance(each, ItemSettled)] == results
    created = [each for each in between if isinstance(each, DatasetCreated)]
    assert [(each.name, each.number) for each in created] == [("Photos 2", 2)]
    assert run.report.datasets[1].dataset_id == created[0].dataset_id


async def test_a_run_that_breaks_off_ends_too(world: World, folder: Path) -> None:
    """The last event has the report of what was done."""
    told: list[UploadEvent] = []
    world.plan.add(Status(403), path=FILES)

    with pytest.raises(TransferError) as caught:
        await world.client.upload(
            world.dataset_id, folder, config=UploadConfig(on_event=told.append)
        )

    assert isinstance(told[-1], RunEnded)
    assert told[-1].report == caught.value.report
    assert sum(isinstance(each, RunEnded) for each in told) == 1


async def test_leaving_early_is_an_end_too(world: World, folder: Path) -> None:
    """Once, with the report as it is after the block."""
    told: list[UploadEvent] = []
    config = UploadConfig(concurrency=1, on_event=told.append)

    async with world.client.uploader(world.dataset_id, folder, config=config) as run:
        await anext(run)

    assert [each for each in told if isinstance(each, RunEnded)] == [RunEnded(run.report)]


@pytest.mark.looptime
async def test_a_pause_is_told(world: World, folder: Path) -> None:
    """Once for each time that the service asks for one."""
    told: list[UploadEvent] = []
    world.plan.add(RetryAfter(429, 30), path=FILES, nth=3)
    config = UploadConfig(concurrency=1, on_event=told.append)

    report = await world.client.upload(world.dataset_id, folder, config=config)

    assert report.uploaded == 30
    assert [each.seconds for each in told if isinstance(each, Paused)] == [30.0]


@pytest.mark.looptime
async def test_another_limit_is_told(world: World, folder: Path) -> None:
    """A sign of overload halves it; the run shows what it is and why."""
    told: list[UploadEvent] = []
    world.plan.add(RetryAfter(429, 1), path=FILES, nth=3)
    config = UploadConfig(on_event=told.append)

    async with world.client.uploader(world.dataset_id, folder, config=config) as run:
        assert run.limiter is not None
        assert run.limiter.limit == 2
        await run.finish()

    changes = [each.state for each in told if isinstance(each, LimitChanged)]
    assert (changes[0].limit, changes[0].reason) == (1, "halved after 429")
    assert run.limiter.limit == changes[-1].limit


# Comparison.


async def test_verifying_finds_a_file_that_changed(world: World, folder: Path) -> None:
    """All: also what was skipped, because an earlier run uploaded it."""
    await world.client.upload(world.dataset_id, folder)
    (folder / "07.jpg").write_bytes(jpeg(2000, seed=99))
    (folder / "30.jpg").write_bytes(jpeg(2000, seed=30))

    report = await world.client.upload(world.dataset_id, folder, config=UploadConfig(verify="all"))

    assert (report.uploaded, report.skipped, report.verified) == (1, 30, 31)
    assert [(each.name, each.source) for each in report.mismatches] == [
        ("07.jpg", str(folder / "07.jpg"))
    ]
    assert (report.mismatched, report.complete, report.ok) == (1, True, False)
    assert report.summary().endswith("31 were compared with the dataset: 1 differ.")


async def test_a_sample_is_of_what_was_uploaded(world: World, folder: Path) -> None:
    """So many are downloaded, and no more."""
    config = UploadConfig(verify="sample", verify_sample=9)

    report = await world.client.upload(world.dataset_id, folder, config=config)

    assert (report.verified, report.mismatches, report.ok) == (9, (), True)
    # One GET of a media is the question which generation of routes there is.
    assert world.plan.count("GET", r"/media/") in {9, 10}


async def test_items_in_memory_are_compared_and_links_are_not(world: World) -> None:
    """Bytes are known by their hash; to look at a link could mark it invalid."""
    sources: list[Source] = [UploadItem("m.jpg", jpeg(2000)), "http://127.0.0.1:9/a.jpg"]

    report = await world.client.upload(world.dataset_id, sources, config=UploadConfig(verify="all"))

    assert (report.uploaded, report.verified, report.mismatched) == (2, 1, 0)


async def test_what_is_equal_to_another_is_not_compared_with_who_has_its_name(
    world: World, tmp_path: Path
) -> None:
    """It was skipped for its bytes, which the dataset holds under the name of the other."""
    for number, name in ((1, "a/x.jpg"), (2, "b/x.jpg"), (2, "c/y.jpg")):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_bytes(jpeg(2000, seed=number))
    config = UploadConfig(dedupe="skip", verify="all")

    for uploaded in (2, 0):
        report = await world.client.upload(world.dataset_id, tmp_path, config=config)

        assert (report.uploaded, report.verified, report.ok) == (uploaded, 2, True)


async def test_a_run_that_was_stopped_verifies_what_it_did(world: World, folder: Path) -> None:
    """A limit is no error."""
    config = UploadConfig(max_files=4, verify="sample")

    report = await world.client.upload(world.dataset_id, folder, config=config)

    assert (report.uploaded, report.verified, report.mismatched) == (4, 4, 0)


# What failed, and what limited.


async def test_failed_items_are_sent_again(world: World, folder: Path, tmp_path: Path) -> None:
    """From the report's file: exactly those, under their names."""
    world.plan.add(ServiceError(500, "ex_gen_dummy"), path=FILES, first=5)
    config = UploadConfig(name="relative")
    report = await world.client.upload(world.dataset_id, folder, config=config)
    path = tmp_path / "report.json"
    await asyncio.to_thread(report.to_json, path)
    requests = world.plan.count("POST", FILES)

    again = await world.client.upload(world.dataset_id, failed_items(path))

    assert (report.uploaded, report.failed) == (25, 5)
    assert (again.planned, again.uploaded) == (5, 5)
    assert world.plan.count("POST", FILES) == requests + 5
    assert await world.held() == [f"{number:02}.jpg" for number in range(30)]


async def test_a_report_says_what_limited_the_run(world: World, folder: Path) -> None:
    """One sentence; of a short run that nobody can tell."""
    report = await world.client.upload(world.dataset_id, folder)

    assert report.advice == ""


async def test_a_number_asked_for_is_kept_while_the_run_lasts(world: World, folder: Path) -> None:
    """`concurrency` pins the lane of the client for the run, beyond its maximum too."""
    before = world.client.limiter
    config = UploadConfig(concurrency=12)
    async with world.client.uploader(world.dataset_id, folder, config=config) as run:
        during = world.client.limiter
        report = await run.finish()

    assert (during.limit, during.is_pinned) == (12, True)
    assert not before.is_pinned
    assert not world.client.limiter.is_pinned
    assert report.uploaded == 30


async def test_a_journal_among_the_sources_is_no_image(world: World, folder: Path) -> None:
    """A journal that lies in the uploaded folder is left out of it, with its side files."""
    config = UploadConfig(journal=folder / "upload.journal")

    first = await world.client.upload(world.dataset_id, folder, config=config)
    second = await world.client.upload(world.dataset_id, folder, config=config)

    assert (first.planned, first.uploaded) == (30, 30)
    assert (second.planned, second.skipped) == (30, 30)


async def test_a_rejected_file_is_looked_at_again_in_another_way(
    world: World, folder: Path
) -> None:
    """What a journal says is rejected is judged anew where the options of the check differ."""
    (folder / "large.jpg").write_bytes(jpeg(9000))
    journal = folder.parent / "journal"

    strict = UploadConfig(journal=journal, max_bytes=5000)
    first = await world.client.upload(world.dataset_id, folder, config=strict)
    again = await world.client.upload(world.dataset_id, folder, config=strict)
    lenient = UploadConfig(journal=journal)
    last = await world.client.upload(world.dataset_id, folder, config=lenient)

    assert (first.uploaded, first.rejected) == (30, 1)
    assert (again.uploaded, again.rejected) == (0, 1)
    assert (last.uploaded, last.rejected) == (1, 0)
    assert "large.jpg" in await world.held()
