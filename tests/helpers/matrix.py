"""One upload with a journal, whatever happens to it, and the one end state that it must reach."""

from __future__ import annotations

import asyncio
import unicodedata
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable  # attrs may want them at run time
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, cast

import attrs

import datagym_async
from datagym_async.exceptions import TransferError
from datagym_async.uploads import UploadConfig, UploadReport
from datagym_async.uploads.plan import show_job
from tests.helpers.leaks import open_descriptors
from tests.helpers.photos import jpeg
from tests.helpers.world import World, world

if TYPE_CHECKING:
    from aiohttp import web
    from aiohttp.typedefs import Handler

_PACKAGE = Path(datagym_async.__file__).parent
COUNT = 24
"""Images of a job: a handful for each worker."""
WORKERS = 4
LARGE = 4_500_000
"""Bytes of an image that is streamed from the disk: more than is read whole."""


def name_of(number: int) -> str:
    """Return the name of the n-th image, as it is stored; on the disk some are decomposed."""
    return f"{'' if number % 6 != 3 else 'Müller '}{number:03}.jpg"


@attrs.define
class Job:
    """A folder of images, its journal, and the world that it is uploaded into.

    Args:
        here: The world.
        folder: The images.
        journal: The journal of the upload.
        good: What the dataset must hold at the end, once each: bytes by name.
    """

    here: World
    folder: Path
    journal: Path
    good: dict[str, bytes]

    @property
    def config(self) -> UploadConfig:
        """Return the options of every run."""
        return UploadConfig(concurrency=WORKERS, journal=self.journal)

    async def run(self) -> UploadReport:
        """Upload the folder; a run that has to stop gives its report all the same."""
        try:
            return await self.here.client.upload(
                self.here.dataset_id, self.folder, config=self.config
            )
        except TransferError as error:
            return cast("UploadReport", error.report)

    async def counts(self) -> Counter[str]:
        """Return how many items the journal has in which state, without the empty ones."""
        job = await asyncio.to_thread(show_job, self.journal)
        assert not job.problem
        assert not job.in_use
        return +Counter(job.counts)

    def is_open(self) -> list[str]:
        """Return what the run has left open: tasks of ours, and files of the job."""
        tasks = [repr(task) for task in asyncio.all_tasks() if _is_ours(task)]
        places = str(self.folder), str(self.journal)
        files = [path for path in open_descriptors().values() if path.startswith(places)]
        return tasks + files

    async def stored(self) -> dict[str, bytes]:
        """Return the bytes that the dataset holds by name, each name of which it has once."""
        media = await self.here.media()
        counts = Counter(each.name for each in media)
        assert set(counts.values()) <= {1}, f"doubled: {counts - Counter(dict.fromkeys(counts, 1))}"
        return {each.name: await self.here.client.media.download(each.id) for each in media}


def _is_ours(task: asyncio.Task[object]) -> bool:
    """Return whether a task runs a coroutine of the package, the embedded server's apart."""
    code = getattr(task.get_coro(), "cr_code", None)
    file = Path(code.co_filename if code is not None else "")
    return file.is_relative_to(_PACKAGE) and not file.is_relative_to(_PACKAGE / "server")


@asynccontextmanager
async def job(folder: Path, *, images: dict[str, bytes] | None = None) -> AsyncIterator[Job]:
    """Give a job of `COUNT` images that has not begun.

    Args:
        folder: An empty folder for images, journal and the service's data.
        images: The images instead.
    """
    good = images or {
        # Every fifth is sent without being read.
        name_of(number): jpeg(2_000, seed=number) + bytes(0 if number % 5 else 88_000)
        for number in range(COUNT)
    }
    photos = folder / "photos"
    photos.mkdir()
    for name, content in good.items():
        (photos / unicodedata.normalize("NFD", name)).write_bytes(content)
    async with world(data=folder / "service", max_allowed_packet=64 << 20) as here:
        yield Job(here, photos, folder / "upload.journal", good)


async def check_report(
    found: Job,
    report: UploadReport,
    *,
    earlier: Counter[str] | None = None,
    gone: Counter[str] | None = None,
) -> None:
    """Check what holds after every run: the counts add up, the journal says the same.

    Args:
        found: The job.
        report: The report of its run.
        earlier: Items by outcome that runs before this one have settled, as the journal had them.
        gone: Items by outcome that the journal remembers, and the sources name no more.
    """
    settled = report.uploaded + report.skipped + report.rejected + report.failed
    assert report.pending >= 0
    assert report.unsettled >= 0
    assert report.planned == settled + report.pending + report.unsettled
    assert not report.complete or report.pending == report.unsettled == 0
    assert found.is_open() == []
    assert found.here.client.statistics().in_flight == 0
    earlier = earlier or Counter()
    expected = Counter(
        uploaded=report.uploaded + earlier["uploaded"],
        skipped=report.skipped - report.resumed + earlier["skipped"],
        rejected=report.rejected,
        failed=report.failed,
        sending=report.unsettled,
        planned=report.pending,
    )
    assert await found.counts() == +(expected + (gone or Counter()))


async def check_stored(found: Job, report: UploadReport) -> None:
    """Check what the dataset holds after a run: nothing twice, nothing else, what was said."""
    stored = await found.stored()
    assert {name: stored[name] == found.good.get(name) for name in stored} == dict.fromkeys(
        stored, True
    )
    assert report.uploaded <= len(stored) <= report.uploaded + report.unsettled + report.failed


async def check_resumed(found: Job, *, gone: Counter[str] | None = None) -> UploadReport:
    """Check that the same upload again, faults taken away, ends complete; return its report.

    Args:
        found: The job.
        gone: Items by outcome that the journal remembers, and the sources name no more.
    """
    found.here.plan.clear()
    counts = await found.counts() if found.journal.exists() else Counter[str]()

    again = await found.run()

    assert (again.complete, again.failed, again.unsettled, again.pending) == (True, 0, 0, 0)
    await check_report(found, again, earlier=counts, gone=gone)
    assert await found.stored() == found.good
    return again


# --- what happens in between ---------------------------------------------------------------------


@attrs.define(eq=False)
class Meanwhile:
    """Do something to the service, the disk or the run, once, and then answer the request.

    Requests that come in the meantime wait until it is done, if the rule applies to them as well.

    Args:
        work: What to do; `asyncio.to_thread` for what blocks.
    """

    work: Callable[[], Awaitable[object]]
    _lock: asyncio.Lock = attrs.field(factory=asyncio.Lock, init=False)
    _is_done: bool = attrs.field(default=False, init=False)

    async def apply(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Do it, then answer."""
        async with self._lock:
            if not self._is_done:
                await self.work()
                self._is_done = True
        return await handler(request)


def named(name: str) -> Callable[[web.Request], bool]:
    """Return a predicate for uploads of one name."""

    def is_meant(request: web.Request) -> bool:
        return request.headers.get("X-filename") == name

    return is_meant


def later_than(count: int) -> Callable[[web.Request], bool]:
    """Return a predicate that takes all requests but the first so many."""
    seen = 0

    def is_later(_: web.Request) -> bool:
        nonlocal seen
        seen += 1
        return seen > count

    return is_later
