"""One upload over several datasets of the embedded service: as if they were one."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
import pytest

from datagym_async import DataGymClient, RetryPolicy, UploadConfig, UploadItem
from datagym_async.exceptions import APIError, ConfigurationError, NotFoundError, TransferError
from datagym_async.server import SeedDataset, SeedProject, Server
from datagym_async.testing import CommitThenDrop, FaultPlan, ServiceError
from datagym_async.uploads.plan import show_job
from tests.helpers.cancelling import cancelled_when
from tests.helpers.photos import jpeg
from tests.helpers.sentinel import TOKEN

if TYPE_CHECKING:
    from aiohttp import web
    from aiohttp.typedefs import Handler

QUICK = RetryPolicy(initial_delay=0.001, max_retries=2, settle_after=0.001)
SMALL = UploadConfig(max_per_dataset=20, concurrency=6)


@attrs.frozen
class World:
    """A service, a client of it, and a dataset in a project."""

    server: Server
    plan: FaultPlan
    client: DataGymClient
    dataset_id: str
    project_id: str

    async def held(self) -> dict[str, list[str]]:
        """Return the names that each dataset holds, sorted."""
        datasets = await self.client.datasets.list()
        return {each.name: sorted(media.name for media in each.media) for each in datasets}

    async def counts(self) -> dict[str, int]:
        """Return how many media each dataset holds; a name held twice anywhere fails."""
        held = await self.held()
        names = Counter(name for names in held.values() for name in names)
        assert set(names.values()) <= {1}, names.most_common(3)
        return {name: len(held[name]) for name in sorted(held)}


def images(numbers: Iterable[int]) -> list[UploadItem]:
    """Return images in memory."""
    return [UploadItem(f"{number:03}.jpg", jpeg(2000, seed=number)) for number in numbers]


@pytest.fixture
async def world() -> AsyncIterator[World]:
    """Return a service with one empty dataset, and a project that it is not attached to."""
    plan = FaultPlan()
    async with (
        Server(token=TOKEN, middlewares=[plan.middleware]) as server,
        DataGymClient(TOKEN, server.base_url, rate_limit=None, retry=QUICK) as client,
    ):
        (project,) = await server.seed(SeedProject("Streets"))
        dataset = await client.datasets.create("Photos")
        yield World(server, plan, client, dataset.id, project.id)


async def test_fifty_images_over_datasets_of_twenty(world: World) -> None:
    """None is above the bound, each result and the report name the dataset."""
    async with world.client.uploader(world.dataset_id, images(range(50)), config=SMALL) as run:
        results = [result async for result in run]

    assert await world.counts() == {"Photos": 20, "Photos 2": 20, "Photos 3": 10}
    ids = {each.name: each.id for each in await world.client.datasets.list()}
    by_dataset = Counter(result.dataset_id for result in results)
    assert by_dataset == {ids["Photos"]: 20, ids["Photos 2"]: 20, ids["Photos 3"]: 10}
    assert [(s.name, s.held, s.uploaded, s.created) for s in run.report.datasets] == [
        ("Photos", 0, 20, False),
        ("Photos 2", 0, 20, True),
        ("Photos 3", 0, 10, True),
    ]
    assert "'Photos' and 2 more datasets" in run.report.summary()
    assert run.report.ok


async def test_a_second_run_uploads_none(world: World) -> None:
    """What any of the datasets holds is skipped, or refused; more go on where there is room."""
    await world.client.upload(world.dataset_id, images(range(50)), config=SMALL)
    listings = world.plan.count("GET", r"/dataset$")

    async with world.client.uploader(world.dataset_id, images(range(50)), config=SMALL) as run:
        found = {each.media_id: each.dataset_id async for each in run}
    assert (run.report.uploaded, run.report.skipped) == (0, 50)
    assert world.plan.count("GET", r"/dataset$") == listings + 1
    datasets = await world.client.datasets.list()
    assert found == {media.id: each.id for each in datasets for media in each.media}

    sent = attrs.evolve(SMALL, skip_existing=False)
    refused = await world.client.upload(world.dataset_id, images(range(50)), config=sent)
    assert (refused.uploaded, refused.failed) == (0, 50)

    more = await world.client.upload(world.dataset_id, images(range(40, 65)), config=SMALL)
    assert (more.uploaded, more.skipped) == (15, 10)
    assert await world.counts() == {"Photos": 20, "Photos 2": 20, "Photos 3": 20, "Photos 4": 5}


async def test_a_dry_run_skips_what_any_dataset_holds(world: World) -> None:
    """And makes and attaches none."""
    await world.client.upload(world.dataset_id, images(range(30)), config=SMALL)
    config = attrs.evolve(SMALL, attach_to=(world.project_id,))

    async with world.client.plan(world.dataset_id, images(range(60)), config=config) as plan:
        records = [record async for record in plan]

    actions = Counter(record.action for record in records)
    assert actions == {"skip": 30, "send": 30}
    assert await world.counts() == {"Photos": 20, "Photos 2": 10}
    (project,) = await world.client.projects.list()
    assert project.datasets == ()


async def test_every_dataset_is_attached_to_the_projects(world: World) -> None:
    """The labellers of the project have a task for each image."""
    config = attrs.evolve(SMALL, attach_to=(world.project_id,))

    await world.client.upload(world.dataset_id, images(range(45)), config=config)

    (project,) = await world.client.projects.list()
    assert {each.name: each.media_count for each in project.datasets} == {
        "Photos": 20,
        "Photos 2": 20,
        "Photos 3": 5,
    }


async def test_an_unknown_project_is_the_plain_error(world: World) -> None:
    """Before anything is sent."""
    config = attrs.evolve(SMALL, attach_to=("0d8f8d2e-0000-4000-8000-000000000001",))

    with pytest.raises(NotFoundError):
        await world.client.upload(world.dataset_id, images(range(3)), config=config)
    assert await world.counts() == {"Photos": 0}


async def test_names_clash_over_all_datasets(world: World) -> None:
    """A name that another dataset holds is skipped; two of one run clash, wherever they go."""
    await world.client.upload(world.dataset_id, images(range(30)), config=SMALL)
    twice = [UploadItem("NEW.jpg", jpeg(2000)), UploadItem("new.JPG", jpeg(3000))]
    sources = [UploadItem("005.JPG", jpeg(2000)), UploadItem("025.Jpg", jpeg(2000)), *twice]

    report = await world.client.upload(world.dataset_id, sources, config=SMALL)

    assert (report.uploaded, report.skipped, report.rejected) == (1, 2, 1)
    assert await world.counts() == {"Photos": 20, "Photos 2": 11}


@pytest.mark.parametrize("kind", ["images", "links"])
async def test_what_has_failed_gives_its_place_back(world: World, kind: str) -> None:
    """A dataset is filled up to the bound with what is stored."""
    fault = world.plan.add(ServiceError(500, "ex_gen_dummy"), path=r"/(file|url)$", first=7)
    links = [f"http://127.0.0.1:9/{number}.jpg" for number in range(27)]
    sources = images(range(27)) if kind == "images" else links
    config = attrs.evolve(SMALL, concurrency=1, batch_size=1)

    report = await world.client.upload(world.dataset_id, sources, config=config)

    assert (report.uploaded, report.failed, fault.taken) == (20, 7, 7)
    assert await world.counts() == {"Photos": 20}


async def test_what_is_or_may_be_there_keeps_its_place(world: World) -> None:
    """One that somebody else has stored meanwhile; one whose answer is lost, and not found yet."""
    world.plan.add(CommitThenDrop(), method="POST", path=r"/file$", nth=3)
    sent = partial(world.plan.count, "POST", r"/file$")
    refused = ServiceError(500, "ex_gen_dummy")
    world.plan.add(refused, method="GET", path=r"/dataset/", when=lambda _: 0 < sent() < 7)
    config = attrs.evolve(SMALL, max_per_dataset=2, concurrency=1)

    async def sources() -> AsyncIterator[UploadItem]:
        await world.client.media.upload_file(world.dataset_id, jpeg(2000), name="000.jpg")
        for item in images(range(6)):
            yield item

    report = await world.client.upload(world.dataset_id, sources(), config=config)

    assert await world.counts() == {"Photos": 2, "Photos 2": 2, "Photos 3": 2}
    assert (report.uploaded, report.skipped, report.unsettled) == (5, 1, 0)
    assert [each.uploaded for each in report.datasets] == [1, 2, 2], "the found one, too"


async def test_links_are_spread_and_not_doubled(world: World) -> None:
    """A batch goes over the border of two datasets; again, each address is known where it is."""
    links = [f"http://127.0.0.1:9/{number}.jpg" for number in range(33)]
    config = attrs.evolve(SMALL, batch_size=14, concurrency=1)

    report = await world.client.upload(world.dataset_id, links, config=config)
    again = await world.client.upload(world.dataset_id, links, config=config)

    assert (report.uploaded, again.uploaded, again.skipped) == (33, 0, 33)
    assert await world.counts() == {"Photos": 20, "Photos 2": 13}


async def test_a_journal_goes_on_in_the_same_family(world: World, tmp_path: Path) -> None:
    """The datasets are found again; what is done is not sent again, and the bound is kept."""
    for item in images(range(45)):
        (tmp_path / item.name).write_bytes(item.data or b"")
    config = attrs.evolve(SMALL, journal=tmp_path / "job.journal", include="*.jpg")

    first = await world.client.upload(
        world.dataset_id, tmp_path, config=attrs.evolve(config, max_files=25)
    )
    again = await world.client.upload(world.dataset_id, tmp_path, config=config)

    assert (first.uploaded, first.pending) == (25, 20)
    assert (again.uploaded, again.skipped, again.resumed) == (20, 25, 25)
    assert await world.counts() == {"Photos": 20, "Photos 2": 20, "Photos 3": 5}


async def test_a_journal_knows_links_of_one_name(world: World, tmp_path: Path) -> None:
    """Which addresses were sent stands in the journal, so that several homes do not matter."""
    links = tmp_path / "links.txt"
    links.write_text("".join(f"http://127.0.0.1:9/{number}/image.jpg\n" for number in range(50)))
    config = attrs.evolve(SMALL, journal=tmp_path / "job.journal")

    first = await world.client.upload(
        world.dataset_id, links, config=attrs.evolve(config, max_files=30)
    )
    again = await world.client.upload(world.dataset_id, links, config=config)
    without = await world.client.upload(world.dataset_id, links, config=SMALL)

    assert (first.uploaded, again.uploaded, again.rejected) == (30, 20, 0)
    assert (without.uploaded, without.rejected) == (0, 50)
    assert "journal" in without.problems[0].reason
    held = await world.held()
    assert {name: len(each) for name, each in held.items()} == {
        "Photos": 20,
        "Photos 2": 20,
        "Photos 3": 10,
    }


async def test_a_link_that_was_cut_off_is_sent_to_the_same_dataset(
    world: World, tmp_path: Path
) -> None:
    """It may be there, and is not listed: elsewhere it would be stored a second time."""
    links = [f"http://127.0.0.1:9/{number}.jpg" for number in range(4)]
    journal = tmp_path / "job.journal"
    config = attrs.evolve(SMALL, max_per_dataset=2, concurrency=1, batch_size=1, journal=journal)
    stored = asyncio.Event()

    class NeverAnswered:
        async def apply(self, request: web.Request, handler: Handler) -> web.StreamResponse:
            await handler(request)
            stored.set()
            return await asyncio.Future()

    world.plan.add(NeverAnswered(), method="POST", path=r"/url$", nth=2)
    upload = partial(world.client.upload, world.dataset_id, links, config=config)
    await cancelled_when(stored, upload())
    again = await upload()

    assert (again.uploaded, again.resumed, again.complete) == (3, 1, True)
    assert await world.counts() == {"Photos": 2, "Photos 2": 2}


async def test_a_lost_answer_is_looked_for_where_it_was_sent(world: World) -> None:
    """Stored and dropped: it is found in its dataset and not sent to the next."""
    for number in (3, 21, 22, 30):
        world.plan.add(CommitThenDrop(), path=r"/file$", nth=number)

    report = await world.client.upload(world.dataset_id, images(range(35)), config=SMALL)

    assert (report.uploaded, report.failed) == (35, 0)
    assert await world.counts() == {"Photos": 20, "Photos 2": 15}


async def test_a_lost_answer_of_a_creation_makes_no_second_dataset(world: World) -> None:
    """It is looked up like the answer of an upload."""
    world.plan.add(CommitThenDrop(), method="POST", path=r"/dataset$", first=1)

    report = await world.client.upload(world.dataset_id, images(range(30)), config=SMALL)

    assert (report.uploaded, report.failed) == (30, 0)
    assert await world.counts() == {"Photos": 20, "Photos 2": 10}


@pytest.mark.parametrize("kind", ["images", "links"])
async def test_a_dataset_that_cannot_be_made_ends_the_run(
    world: World, tmp_path: Path, kind: str
) -> None:
    """What fits is stored, the rest is pending and not begun; the same upload resumes."""
    fault = world.plan.add(ServiceError(500, "ex_gen_dummy"), method="POST", path=r"/dataset$")
    config = attrs.evolve(SMALL, journal=tmp_path / "job.journal")
    links = [f"http://127.0.0.1:9/{number}.jpg" for number in range(30)]
    sources = images(range(30)) if kind == "images" else links

    with pytest.raises(TransferError, match="The next dataset after 'Photos' cannot be made") as e:
        await world.client.upload(world.dataset_id, sources, config=config)

    assert await world.counts() == {"Photos": 20}
    report = e.value.report
    assert (report.uploaded, report.failed, report.pending) == (20, 0, 10)
    assert fault.taken == 1
    counts = (await asyncio.to_thread(show_job, tmp_path / "job.journal")).counts
    assert (counts["uploaded"], counts["planned"], counts["sending"]) == (20, 10, 0)
    world.plan.clear()
    again = await world.client.upload(world.dataset_id, sources, config=config)
    assert (again.uploaded, again.skipped) == (10, 20)


async def test_two_runs_of_one_client_share_the_datasets(world: World) -> None:
    """Both need the next one at the same moment; it is made once, and nothing is lost."""
    config = attrs.evolve(SMALL, max_per_dataset=5)

    async with asyncio.TaskGroup() as group:
        for start in (0, 100):
            sources = images(range(start, start + 12))
            group.create_task(world.client.upload(world.dataset_id, sources, config=config))

    datasets = await world.client.datasets.list()
    assert len({each.name for each in datasets}) == len(datasets) > 2
    assert sum((await world.counts()).values()) == 24


async def test_two_clients_racing_for_a_dataset_lose_nothing(world: World) -> None:
    """Their creations may double a name; a later run counts both as members."""
    config = attrs.evolve(SMALL, max_per_dataset=3)
    address = world.client.base_url
    async with (
        DataGymClient(TOKEN, address, rate_limit=None, retry=QUICK) as other,
        asyncio.TaskGroup() as group,
    ):
        for client, start in ((world.client, 0), (other, 100)):
            sources = images(range(start, start + 8))
            group.create_task(client.upload(world.dataset_id, sources, config=config))

    datasets = await world.client.datasets.list()
    names = Counter(media.name for each in datasets for media in each.media)
    assert (len(names), set(names.values())) == (16, {1})
    everything = images([*range(8), *range(100, 108)])
    again = await world.client.upload(world.dataset_id, everything, config=config)
    assert (again.uploaded, again.skipped) == (0, 16)


async def test_a_doubled_name_is_two_members(world: World) -> None:
    """As a race leaves it: the service refuses the name from then on, and both are looked at."""
    await world.server.seed_datasets(SeedDataset("Photos 2"), SeedDataset("PHOTOS 2"))
    config = attrs.evolve(SMALL, max_per_dataset=4)

    report = await world.client.upload(world.dataset_id, images(range(14)), config=config)

    assert report.uploaded == 14
    assert [each.uploaded for each in report.datasets] == [4, 4, 4, 2]
    assert [each.name for each in report.datasets][-1] == "Photos 3"


async def test_a_name_that_leaves_no_room_is_refused_at_once(world: World) -> None:
    """A number would not fit behind it."""
    dataset = await world.client.datasets.create("x" * 125)

    with pytest.raises(ConfigurationError, match="cannot be spread"):
        await world.client.upload(dataset.id, images(range(1)), config=SMALL)


async def test_the_service_down_at_the_listing_is_the_plain_error(world: World) -> None:
    """Nothing is sent before the family is known."""
    world.plan.add(ServiceError(500, "ex_system"), method="GET", path=r"/dataset$")

    with pytest.raises(APIError):
        await world.client.upload(world.dataset_id, images(range(3)), config=SMALL)
    assert world.plan.count("POST", r"/file$") == 0
