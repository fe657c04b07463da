"""The limit of bytes a second, over a real socket to the embedded server, in virtual time."""

from __future__ import annotations

import asyncio

import pytest

from datagym_async import DataGymClient, RetryPolicy, Timeout
from datagym_async.server import SeedDataset, SeedProject, Server
from tests.helpers.photos import jpeg
from tests.helpers.sentinel import TOKEN

pytestmark = pytest.mark.looptime


async def test_uploads_keep_the_pace_and_run_into_no_time_limit() -> None:
    """Four images of 50 kB at 2 kB/s take their time together, longer than a read may take."""
    image = jpeg(50_000)
    async with Server(token=TOKEN) as server:
        (project,) = await server.seed(SeedProject("P", datasets=(SeedDataset("D"),)))
        dataset_id = project.datasets[0].id
        async with DataGymClient(
            TOKEN,
            server.base_url,
            concurrency=4,
            rate_limit=None,
            max_upload_rate=2_000,
            timeout=Timeout(read=5, upload=5),
            retry=RetryPolicy.none(),
            dialect="media",
        ) as client:
            before = asyncio.get_running_loop().time()
            async with asyncio.TaskGroup() as group:
                for number in range(4):
                    group.create_task(
                        client.media.upload_file(dataset_id, image, name=f"{number}.jpg")
                    )
            took = asyncio.get_running_loop().time() - before
            statistics = client.statistics()

        expected = 4 * len(image) / 2_000
        assert expected <= took <= expected * 1.1
        assert statistics.pace_seconds >= expected
