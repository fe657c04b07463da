"""kill -9 in the midst of an upload: the same upload again ends with every image once.

With prepared images as well: their bytes are made anew in each run, and their processes end.

The kill comes when the server has let a drawn number of uploads through and holds the next ones, so
that each kill finds requests in flight; some of them are stored, and their answers never arrive.
"""

from __future__ import annotations

import asyncio
import io
import json
import os
import random
import subprocess
import sys
import threading
import unicodedata
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import psutil
import pytest
from aiohttp import web
from PIL import Image

from datagym_async import DataGymClient
from datagym_async.uploads.plan import show_job
from tests.helpers.photos import jpeg
from tests.helpers.sentinel import TOKEN
from tests.helpers.server_thread import ServerThread

if TYPE_CHECKING:
    from aiohttp.typedefs import Handler

pytestmark = pytest.mark.slow

IMAGES = [f"{'Müller ' if number % 5 == 2 else ''}{number:03}.jpg" for number in range(50)]
"""As they are stored; on the disk some are decomposed."""
LINKS = [f"http://h/{odd}{number}.jpg" for number in range(5) for odd in ("a%20b", "\xfc")]
COUNT = len(IMAGES) + len(LINKS)
KILLS = int(os.environ.get("TEST_KILLS", "3"))
"""25 for the long run by hand."""
IN_FLIGHT = 2
SCRIPT = """
import asyncio, json, sys
from datagym_async import DataGymClient, RetryPolicy, UploadConfig

async def main(base_url, token, dataset_id, photos, links, journal, prepare):
    verify = "all" if prepare else None
    config = UploadConfig(
        journal=journal, concurrency=4, batch_size=2, prepare=prepare, verify=verify
    )
    retry = RetryPolicy(settle_after=0.2)
    async with DataGymClient(token, base_url, rate_limit=None, retry=retry) as client:
        report = await client.upload(dataset_id, [links, photos], config=config)
    print(json.dumps(report.to_dict()))

asyncio.run(main(*sys.argv[1:]))
"""


class Holding:
    """A middleware that holds uploads after some: every other one when it is stored already."""

    def __init__(self) -> None:
        self._left: int | None = None
        self._held = 0
        self._open = asyncio.Event()
        self.reached = threading.Event()
        """Set when two are held: the lane begins with so many."""

    async def hold_after(self, count: int) -> None:
        """Let so many through from now on."""
        self._left, self._held = count, 0
        self._open.clear()
        self.reached.clear()

    async def release(self) -> None:
        """Let all go on."""
        self._left = None
        self._open.set()

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Hold or pass a request."""
        if self._left is None or not request.path.endswith(("/file", "/url")):
            return await handler(request)
        if self._left > 0:
            self._left -= 1
            return await handler(request)
        self._held += 1
        answer = await handler(request) if self._held % 2 else None
        if self._held >= IN_FLIGHT:
            self.reached.set()
        await self._open.wait()
        return answer or await handler(request)


async def prepare(base_url: str) -> str:
    """Make a dataset and return its id."""
    async with DataGymClient(TOKEN, base_url) as client:
        return (await client.datasets.create("Photos")).id


async def held(base_url: str, dataset_id: str) -> Counter[str]:
    """Return how often each name is held."""
    async with DataGymClient(TOKEN, base_url) as client:
        return Counter(media.stored_name for media in (await client.datasets.get(dataset_id)).media)


def upload(*arguments: str) -> subprocess.Popen[str]:
    """Begin an upload in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def report_of(process: subprocess.Popen[str]) -> dict[str, Any]:
    """Return the report of an upload that ended well."""
    out, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    report: dict[str, Any] = json.loads(out)
    return report


def webp(seed: int) -> bytes:
    """Return a photograph that the service does not take."""
    file = io.BytesIO()
    Image.effect_noise((60, 40 + seed), 50).convert("RGB").save(file, "WEBP")
    return file.getvalue()


@pytest.mark.parametrize("prepare_as", ["", "convert,resize=50"], ids=["as-they-are", "prepared"])
@pytest.mark.parametrize("seed", [7])
def test_killed_again_and_again_it_ends_complete(
    seed: int, prepare_as: str, tmp_path: Path
) -> None:
    """After each kill the journal reads; at the end each image is held once."""
    photos, journal = tmp_path / "photos", tmp_path / "a.journal"
    photos.mkdir()
    for number, name in enumerate(IMAGES):
        data = webp(number) if prepare_as else jpeg(2000, seed=number)
        (photos / unicodedata.normalize("NFD", name)).write_bytes(data)
    (tmp_path / "links.txt").write_text("\n".join(LINKS))
    chance = random.Random(seed)
    most = max(1, (COUNT - 10) // KILLS - 4)
    gate = Holding()
    with ServerThread(token=TOKEN, middlewares=(gate.middleware,)) as server:
        dataset_id = server.call(prepare(server.base_url))
        job = (
            server.base_url,
            TOKEN,
            dataset_id,
            str(photos),
            str(tmp_path / "links.txt"),
            str(journal),
            prepare_as,
        )
        for _ in range(KILLS):
            server.call(gate.hold_after(chance.randint(0, most)))
            with upload(*job) as process:
                assert gate.reached.wait(100)
                helpers = psutil.Process(process.pid).children()
                process.kill()
            _, left = psutil.wait_procs(helpers, timeout=30)
            assert not left
            server.call(gate.release())
            summary = show_job(journal)
            assert (summary.problem, summary.in_use, summary.complete) == ("", False, False)
            assert sum(summary.counts.values()) == COUNT

        with upload(*job) as process:
            report = report_of(process)

        assert server.call(held(server.base_url, dataset_id)) == Counter(
            [quote(name, safe=" ") for name in IMAGES] + [url[9:] for url in LINKS]
        )
    assert report["complete"]
    assert report["uploaded"] + report["skipped"] == report["planned"] == COUNT
    assert show_job(journal).counts["uploaded"] == COUNT
    compared = (len(IMAGES), 0) if prepare_as else (0, 0)
    assert (report["verified"], report["mismatched"]) == compared
