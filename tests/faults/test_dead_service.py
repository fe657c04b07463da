"""A service that fails everything ends a run soon, in one sentence, and the run can go on later."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path

import attrs
import pytest

from datagym_async import APIConnectionError, TransferError, UploadConfig, UploadItem
from datagym_async.server import SeedMedia
from datagym_async.testing import Status, outage
from tests.helpers.matrix import Meanwhile
from tests.helpers.photos import SOUND_JPEG
from tests.helpers.world import SETTLING, UPLOADS, World, world


@pytest.mark.looptime
async def test_the_retry_budget_ends_a_run_against_a_dead_service(tmp_path: Path) -> None:
    """All uploads answer 503: the run stops with one sentence, and later ends complete."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(100):
        (folder / f"{number:03}.jpg").write_bytes(SOUND_JPEG)
    config = UploadConfig(journal=tmp_path / "journal")
    async with world(retry=attrs.evolve(SETTLING, quota=100.0)) as here:
        here.plan.add(Status(503), method="POST", path=UPLOADS)

        with pytest.raises(TransferError, match="The service seems to be down") as raised:
            await here.client.upload(here.dataset_id, folder, config=config)
        seen = here.plan.count("POST", UPLOADS)
        here.plan.clear()
        report = await here.client.upload(here.dataset_id, folder, config=config)

        stopped = raised.value.report
        assert seen < 60, "100 tokens pay for 20 retries; without a budget there were 600 requests"
        assert getattr(stopped, "pending", 0) > 50
        assert (report.uploaded, report.complete) == (100, True)
        assert len(await here.names()) == 100


async def test_a_spent_budget_ends_a_run_with_the_first_that_fails(tmp_path: Path) -> None:
    """Nearly everything has failed by then, so the other images are not sent to fail as well."""
    photos = [UploadItem(f"{number}.jpg", SOUND_JPEG) for number in range(20)]
    async with world(retry=attrs.evolve(SETTLING, quota=1.0)) as here:
        here.plan.add(Status(500), method="POST", path=UPLOADS)

        with pytest.raises(TransferError, match="The service seems to be down") as raised:
            await here.client.upload(here.dataset_id, photos, config=UploadConfig(concurrency=1))

        assert here.plan.count("POST", UPLOADS) == 1
        assert getattr(raised.value.report, "pending", 0) == 19


COUNT = 12
MEDIA = r"/media/[^/]+$"
"""Pattern of the path of downloads."""


async def _downloaded(here: World, folder: Path) -> int:
    report = await here.client.download_dataset(here.dataset_id, folder / "out")
    assert report.complete
    return len(list((folder / "out").glob("*.jpg")))


async def _loaded(here: World, _: Path) -> int:
    loader = here.client.loader(here.dataset_id, decode="bytes")
    return len([sample.media.id async for sample in loader])


async def _fetched(here: World, _: Path) -> int:
    held = (await here.client.datasets.get(here.dataset_id)).media
    return len([await here.client.media.download(each.id) for each in held])


@pytest.mark.looptime
@pytest.mark.parametrize(
    ("job", "is_outlasted"),
    [
        pytest.param(_downloaded, True, id="download"),
        pytest.param(_loaded, True, id="loader"),
        pytest.param(_fetched, False, id="single calls"),
    ],
)
async def test_jobs_outlast_an_outage_and_single_calls_fail_soon(
    tmp_path: Path, job: Callable[[World, Path], Awaitable[int]], is_outlasted: bool
) -> None:
    """For 40 seconds connections are refused: a job ends complete, a call fails after 16 s."""
    reached = asyncio.Event()

    async def reach() -> None:
        reached.set()

    async def restart(here: World) -> None:
        await reached.wait()
        async with outage(here.server):
            await asyncio.sleep(40)

    clock = asyncio.get_running_loop().time
    media = [SeedMedia(f"{number:02}.jpg", SOUND_JPEG) for number in range(COUNT)]
    async with world(*media, data=tmp_path / "service") as here, asyncio.TaskGroup() as group:
        here.plan.add(Meanwhile(reach), method="GET", path=MEDIA, nth=5)
        restarting, began = group.create_task(restart(here)), clock()
        if is_outlasted:
            assert await job(here, tmp_path) == COUNT
            assert clock() - began > 40
        else:
            with pytest.raises(APIConnectionError):
                await job(here, tmp_path)
            assert clock() - began < 16
        await restarting


@pytest.mark.looptime
@pytest.mark.parametrize("way", ["up", "down"])
async def test_a_limit_of_five_requests_a_second_fails_no_item(tmp_path: Path, way: str) -> None:
    """429 without Retry-After: the client slows down as a whole, and no item uses up its tries."""
    clock = asyncio.get_running_loop().time
    seen: Counter[int] = Counter()

    def is_too_much(_: object) -> bool:
        seen[int(clock())] += 1
        return seen[int(clock())] > 5

    many = 60
    names = [f"{number:03}.jpg" for number in range(many)]
    held = [SeedMedia(name, SOUND_JPEG) for name in names] if way == "down" else []
    async with world(*held) as here:
        here.plan.add(Status(429), when=is_too_much)

        if way == "up":
            items = [UploadItem(name, SOUND_JPEG) for name in names]
            report = await here.client.upload(here.dataset_id, items)
            done = report.uploaded
        else:
            done = (await here.client.download_dataset(here.dataset_id, tmp_path / "o")).downloaded

        assert done == many
        refused = sum(max(0, count - 5) for count in seen.values())
        assert refused < many
