"""What was observed of a real service's races, limits and connections, and what the client does.

Each test names the observation it answers; the recordings themselves hold counts, not exchanges
that could be replayed.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING

import pytest

from datagym_async import RetryPolicy
from datagym_async.exceptions import (
    AlreadyExistsError,
    APIError,
    BadRequestError,
    DataGymError,
    LimitReachedError,
    NotFoundError,
)
from datagym_async.server import Plan, SeedMedia
from datagym_async.testing import Drop, Hang, ServiceError
from tests.helpers.photos import gif, jpeg
from tests.helpers.service import until
from tests.helpers.world import world as any_world

if TYPE_CHECKING:
    from tests.helpers.world import World


QUICK = RetryPolicy(initial_delay=0.01, max_delay=0.05, settle_after=0.01)


def world(*media: SeedMedia) -> AbstractAsyncContextManager[World]:
    """Give a world in real time, which a retry does not slow down."""
    return any_world(*media, retry=QUICK, concurrency=8)


async def at_once(count: int, call: Callable[[], Awaitable[object]]) -> list[object]:
    """Call so many times at once, and return each outcome, errors of ours included."""

    async def one() -> object:
        try:
            return await call()
        except DataGymError as error:
            return error

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one()) for _ in range(count)]
    return [task.result() for task in tasks]


# --- races ---------------------------------------------------------------------------------------


async def test_twenty_attaches_at_once_are_one_attached_dataset() -> None:
    """Observed: 1 x 200, 17 x 412, 2 x 500 ex_system. Attached is attached, for each caller."""
    async with world(SeedMedia("a.jpg", content=jpeg(2000))) as here:
        dataset = await here.client.datasets.create("Winter")
        await here.client.media.upload_file(dataset.id, jpeg(2000), name="b.jpg")
        path = rf"/project/{here.project.id}/dataset/"
        here.plan.add(ServiceError(500, "ex_system"), method="POST", path=path, nth=2)
        here.plan.add(ServiceError(500, "ex_system"), method="POST", path=path, nth=3)

        outcomes = await at_once(
            20, lambda: here.client.projects.add_dataset(here.project.id, dataset.id)
        )

        tasks = await here.client.tasks.list(here.project.id, state="BACKLOG")
        assert not [each for each in outcomes if isinstance(each, DataGymError)]
        assert [task.media_name for task in tasks].count("b.jpg") == 1


async def test_twenty_removes_at_once_are_all_done() -> None:
    """Observed: 1 x 200, 19 x 500 ex_gen_does_not_contain."""
    async with world() as here:
        outcomes = await at_once(
            20, lambda: here.client.projects.remove_dataset(here.project.id, here.dataset_id)
        )

        (project,) = await here.client.projects.list()
        assert not [each for each in outcomes if isinstance(each, DataGymError)]
        assert project.datasets == ()


async def test_of_twenty_deletes_at_once_one_deleted() -> None:
    """Observed: 1 x 200, 19 x 500 ex_gen_image_delete."""
    async with world() as here:
        media = await here.client.media.upload_file(here.dataset_id, jpeg(2000), name="a.jpg")

        outcomes = await at_once(20, lambda: here.client.media.delete(media.id))

        assert sorted(map(bool, outcomes)) == [False] * 19 + [True]
        assert await here.names() == []


async def test_twenty_creations_of_one_name_make_one_dataset() -> None:
    """Observed: 5 datasets of one name. One client makes one, and refuses the others."""
    async with world() as here:
        outcomes = await at_once(20, lambda: here.client.datasets.create("Winter"))

        names = [each.name for each in await here.client.datasets.list()]
        assert names.count("Winter") == 1
        assert sum(isinstance(each, AlreadyExistsError) for each in outcomes) == 19


async def test_twenty_creations_where_existing_is_fine_return_one_dataset() -> None:
    """With exist_ok every caller is given the same dataset."""
    async with world() as here:
        outcomes = await at_once(20, lambda: here.client.datasets.create("Winter", exist_ok=True))

        assert len({getattr(each, "id", each) for each in outcomes}) == 1


async def test_a_configuration_has_one_writer_at_a_time() -> None:
    """Observed: of 10 PUTs at once 2 or 3 succeed, and every key is there 2 or 3 times."""
    async with world() as here:
        (project,) = await here.client.projects.list()
        entries = [{"entryKey": "car", "entryValue": "Car", "type": "RECTANGLE"}]

        await at_once(
            10,
            lambda: here.client.label_configs.upload(
                project.label_configuration_id, entries, replace=True
            ),
        )

        await here.client.media.upload_file(here.dataset_id, jpeg(2000), name="a.jpg")
        (task,) = await here.client.tasks.list(here.project.id, state="BACKLOG")
        config = (await here.client.tasks.get(task.id)).label_config
        assert [entry.key for entry in config.entries] == ["car"]


async def test_a_url_given_ten_times_is_added_once() -> None:
    """Observed: 10 adds of one URL at once leave 3 to 5 media. One call sends it once."""
    async with world() as here:
        url = "http://127.0.0.1:9/same.jpg"

        results = await here.client.media.upload_urls(here.dataset_id, [url] * 10)

        assert len(results) == 10
        assert len({each.media_id for each in results}) == 1
        assert await here.names() == ["same.jpg"]


async def test_a_dead_link_is_asked_for_once() -> None:
    """Observed: asking for a broken link image skips its tasks, so that a retry would too."""
    async with world(SeedMedia("gone.jpg", url="http://127.0.0.1:9/gone.jpg")) as here:
        (media,) = (await here.client.datasets.get(here.dataset_id)).media

        with pytest.raises(APIError):
            await here.client.media.download(media.id, link=True)

        assert here.plan.count("GET", r"/media/") == 1


async def test_predictions_are_sent_one_batch_at_a_time() -> None:
    """Observed: batches at once deadlock in the service's database, also on distinct media."""
    names = [f"{number}.jpg" for number in range(6)]
    async with world(*(SeedMedia(name, content=jpeg(2000)) for name in names)) as here:
        media = (await here.client.datasets.get(here.dataset_id)).media
        before = here.plan.peak_in_flight
        here.plan.peak_in_flight = 0

        result = await here.client.labels.import_predictions(
            here.project.id,
            [{"internal_media_ID": each.id} for each in media],
            keep_data=False,
            batch_size=2,
        )

        assert before >= 1
        assert result.ok
        assert here.plan.count("POST", r"/prediction$") == 3
        assert here.plan.peak_in_flight == 1


# --- refusals while the body is on its way -------------------------------------------------------

SIZES = [100_000, 1_500_000, 3_000_000, 15_000_000]


@pytest.mark.parametrize("size", SIZES)
async def test_a_refusal_is_read_whatever_was_left_to_send(size: int) -> None:
    """Observed: 412, 404 and 400 come before the body is read; beyond 2 MB the connection ends."""
    photo = jpeg(2000) + b"\0" * size
    async with world(SeedMedia("a.jpg", content=jpeg(2000))) as here:
        upload = here.client.media.upload_file

        with pytest.raises(AlreadyExistsError):
            await upload(here.dataset_id, photo, name="a.jpg")
        with pytest.raises(NotFoundError):
            await upload("6a7d5d4c-5a0f-4f5e-8d3f-0b1c2d3e4f50", photo, name="b.jpg")
        with pytest.raises(BadRequestError, match="gif"):
            await upload(here.dataset_id, gif() + b"\0" * size, name="c.jpg")

        assert await here.names() == ["a.jpg"]


async def test_an_upload_dropped_half_way_is_sent_again_and_stored_once() -> None:
    """Observed: a body that is cut leaves no row, no file and no blob."""
    async with world() as here:
        here.plan.add(Drop(after_bytes=500_000), method="POST", path=r"/file$", nth=1)

        await here.client.media.upload_file(here.dataset_id, jpeg(15_000_000), name="a.jpg")

        assert here.plan.count("POST", r"/file$") == 2
        assert here.plan.count("GET", r"/dataset/") == 0, (
            "nothing can be stored: nothing to look up"
        )
        assert await here.names() == ["a.jpg"]


# --- limits --------------------------------------------------------------------------------------


async def test_a_full_plan_is_said_and_not_tried_again() -> None:
    """Observed: 402 ex_limit with what is needed and what there is; a delete frees storage."""
    async with world() as here:
        here.server.set_plan(Plan(storage_limit_kb=60))
        upload = here.client.media.upload_file
        first = await upload(here.dataset_id, jpeg(21_000), name="1.jpg")
        await upload(here.dataset_id, jpeg(21_000), name="2.jpg")
        sent = here.plan.count("POST", r"/file$")

        with pytest.raises(LimitReachedError, match="60"):
            await upload(here.dataset_id, jpeg(21_000), name="3.jpg")
        refused = here.plan.count("POST", r"/file$") - sent
        await here.client.media.delete(first.id)
        await upload(here.dataset_id, jpeg(21_000), name="4.jpg")

        assert refused == 1
        assert await here.names() == ["2.jpg", "4.jpg"]


# --- connections ---------------------------------------------------------------------------------


async def test_a_connection_of_a_hundred_requests_ends_without_a_retry() -> None:
    """Observed: the 100th answer closes the connection."""
    async with world() as here:
        for _ in range(250):
            await here.client.ping()

        assert here.plan.connections == 3
        assert here.client.statistics().retries == 0


@pytest.mark.usefixtures("both_ways")
async def test_an_idle_connection_is_given_up_before_the_service_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Observed: the service closes after 54 to 60 idle seconds."""
    async with world() as here:
        await here.client.ping()

        def later(seconds: float) -> None:
            # The time of both pools is taken from here, not from the event loop.
            for module in ("aiohttp.connector", "datagym_async._transport._connections"):
                monkeypatch.setattr(f"{module}.monotonic", lambda: time.monotonic() + seconds)

        later(25)
        await here.client.ping()
        kept = here.plan.connections
        later(75)
        await here.client.ping()

        assert (kept, here.plan.connections) == (1, 2)
        assert here.client.statistics().retries == 0


async def test_uploads_leave_the_service_connections_for_others() -> None:
    """Observed: 12 stalled uploads hold all 10 database connections, and nobody is answered."""
    async with world() as here:
        here.plan.add(Hang(), method="POST", path=r"/file$")

        async def upload(number: int) -> None:
            name = f"{number}.jpg"
            await here.client.media.upload_file(here.dataset_id, jpeg(2000), name=name)

        async with asyncio.TaskGroup() as group:
            uploads = [group.create_task(upload(number)) for number in range(12)]
            await until(lambda: here.plan.in_flight == 8)
            await here.client.ping()
            for each in uploads:
                each.cancel()

        assert here.plan.peak_in_flight == 9
        assert here.client.statistics().in_flight == 0


async def test_six_hundred_calls_at_once_are_all_answered() -> None:
    """Observed: 600 connections are served, 200 at a time. The client opens 16."""
    async with world() as here:
        outcomes = await at_once(600, here.client.ping)

        assert outcomes == [None] * 600
        assert here.plan.peak_in_flight <= 16


async def test_a_name_of_full_length_fits_into_the_header() -> None:
    """Observed: names have 255 characters, all headers together 8,192 bytes."""
    name = "ä" * 41 + "x" * 5 + ".jpg"
    async with world() as here:
        media = await here.client.media.upload_file(here.dataset_id, jpeg(2000), name=name)

        assert len(media.stored_name) == 255
        assert await here.names() == [name]
