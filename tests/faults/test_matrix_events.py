"""The fault matrix, continued: what happens to service, disk and process in the midst of a run.

`tests.helpers.matrix` says what the end state is.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, cast

import attrs
import pytest

from datagym_async import DataGymClient
from datagym_async.exceptions import (
    APIConnectionError,
    ConfigurationError,
    NotFoundError,
    TransferError,
)
from datagym_async.testing import CommitThenDrop, Hang, Html, outage
from tests.helpers.matrix import (
    COUNT,
    LARGE,
    WORKERS,
    Meanwhile,
    check_report,
    check_resumed,
    check_stored,
    job,
    later_than,
    name_of,
)
from tests.helpers.photos import jpeg
from tests.helpers.sentinel import TOKEN
from tests.helpers.service import until
from tests.helpers.world import SETTLING, UPLOADS

if TYPE_CHECKING:
    from datagym_async.uploads import Uploader, UploadReport
    from tests.helpers.matrix import Job

pytestmark = pytest.mark.looptime


# --- the service ---------------------------------------------------------------------------------


async def test_a_service_that_refuses_connections_is_plainly_said(tmp_path: Path) -> None:
    """Nothing is read or sent; the same upload again, later, does everything."""
    async with job(tmp_path) as found:
        async with outage(found.here.server):
            with pytest.raises(APIConnectionError):
                await found.run()

        assert found.is_open() == []
        again = await check_resumed(found)
        assert again.uploaded == COUNT


@asynccontextmanager
async def restarted(found: Job, *, seconds: float) -> AsyncIterator[None]:
    """Stop the service at the sixth upload of the block, and start it again later."""
    reached = asyncio.Event()

    async def reach() -> None:
        reached.set()

    async def restart() -> None:
        await reached.wait()
        async with outage(found.here.server):
            assert found.here.plan.count("POST", UPLOADS) < COUNT
            await asyncio.sleep(seconds)

    found.here.plan.add(Meanwhile(reach), method="POST", path=UPLOADS, nth=6)
    async with asyncio.TaskGroup() as group:
        group.create_task(restart())
        yield


@pytest.mark.parametrize("seconds", [1, 40])
async def test_a_service_restarted_in_mid_run_costs_nothing(tmp_path: Path, seconds: float) -> None:
    """Connections are refused for a while; the run waits, says so, and ends complete."""
    said = []

    async def look(client: DataGymClient) -> None:
        while True:
            said.append(client.limiter.reason)
            await asyncio.sleep(0.5)

    async with job(tmp_path) as found:
        async with restarted(found, seconds=seconds), asyncio.TaskGroup() as group:
            looking = group.create_task(look(found.here.client))
            report = await found.run()
            looking.cancel()

        waited = "waiting for the service, which is down or overloaded"
        assert (waited in said) is (seconds > 15.5)  # five retries last no longer
        assert found.here.client.limiter.reason != waited
        assert (report.uploaded, report.complete) == (COUNT, True)
        assert found.here.client.statistics().retries > 0
        await check_report(found, report)
        await check_stored(found, report)
        await check_resumed(found)


async def test_a_service_that_is_gone_for_long_stops_the_run(tmp_path: Path) -> None:
    """The run ends with an error and a report; the same upload again, later, ends complete."""
    async with job(tmp_path) as found:
        async with restarted(found, seconds=3_600):
            report = await found.run()

        assert not report.complete
        assert 0 < report.uploaded < COUNT
        await check_report(found, report)
        await check_stored(found, report)
        await check_resumed(found)


@pytest.mark.parametrize("status", [502, 503, 504])
async def test_a_proxy_before_a_dead_service_stops_the_run(tmp_path: Path, status: int) -> None:
    """Its answers are like none: after eight failures in a row the service counts as gone."""
    async with job(tmp_path) as found:
        plan = found.here.plan
        plan.add(Html(status), when=lambda _: plan.count("POST", UPLOADS) > 6)

        report = await found.run()

        assert not report.complete
        assert 0 < report.uploaded < COUNT
        assert 8 <= report.failed + report.unsettled < 8 + WORKERS  # `UNREACHABLE_AFTER`
        plan.faults.clear()
        await check_report(found, report)
        await check_resumed(found)


async def test_a_token_revoked_in_mid_run_stops_it(tmp_path: Path) -> None:
    """What was stored by then is done; with the token back the same upload ends complete."""
    async with job(tmp_path) as found:
        revoke = Meanwhile(lambda: found.here.server.delete_token(TOKEN))
        found.here.plan.add(revoke, method="POST", path=UPLOADS, nth=9)

        report = await found.run()

        assert not report.complete
        assert 8 <= report.uploaded <= 8 + WORKERS
        assert 1 <= report.failed <= WORKERS
        await check_report(found, report)
        await found.here.server.add_token(TOKEN)
        await check_stored(found, report)
        again = await check_resumed(found)
        assert again.resumed == report.uploaded


async def test_a_client_closed_in_mid_run_stops_it(tmp_path: Path) -> None:
    """The report says what was done; another client ends the upload."""
    async with job(tmp_path) as found:
        own = DataGymClient(TOKEN, found.here.server.base_url, rate_limit=None, retry=SETTLING)
        await own.open()
        run = own.uploader(found.here.dataset_id, found.folder, config=found.config)

        async def close_it() -> None:
            async with run:
                async for _ in run:
                    await own.aclose()

        with pytest.raises(TransferError, match="stopped: The client is closed") as raised:
            await close_it()

        assert raised.value.report == run.report
        assert not run.report.complete
        await check_report(found, run.report)
        await check_resumed(found)


async def test_a_dataset_deleted_in_mid_run_is_noticed_at_the_first_look(tmp_path: Path) -> None:
    """The service goes on storing into a deleted dataset; a look at it ends the run, and the next.

    Nothing can be resumed, since the dataset is gone for good.
    """
    async with job(tmp_path) as found:
        delete = Meanwhile(lambda: found.here.server.delete_dataset(found.here.dataset_id))
        found.here.plan.add(delete, method="POST", path=UPLOADS, nth=7)
        found.here.plan.add(CommitThenDrop(), method="POST", path=UPLOADS, nth=12)

        report = await found.run()

        assert not report.complete
        await check_report(found, report)
        assert report.unsettled >= 1
        sent = found.here.plan.count("POST", UPLOADS)
        with pytest.raises(NotFoundError):
            await found.run()
        assert found.here.plan.count("POST", UPLOADS) == sent
        assert found.is_open() == []


# --- the journal ---------------------------------------------------------------------------------


async def test_a_second_run_on_a_journal_says_so_and_stops(tmp_path: Path) -> None:
    """It sends nothing and spoils nothing: the first one ends as if it had been alone."""
    async with job(tmp_path) as found:
        held = found.here.plan.add(Hang(), method="POST", path=UPLOADS, nth=3)
        async with asyncio.TaskGroup() as group:
            first = group.create_task(found.run())
            await until(lambda: held.taken == 1)

            with pytest.raises(ConfigurationError, match="Another upload is using"):
                await found.run()

        report = first.result()
        assert (report.uploaded, report.complete) == (COUNT, True)
        await check_report(found, report)
        await check_stored(found, report)
        await check_resumed(found)


async def test_a_full_disk_under_the_journal_stops_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was stored and could not be written down is found by listing, once there is room."""
    images = {name_of(number): jpeg(1_500, seed=number) for number in range(150)}
    async with job(tmp_path, images=images) as found:
        opened: list[sqlite3.Connection] = []
        connect = sqlite3.connect

        def kept(name: str | Path, **options: object) -> sqlite3.Connection:
            connection: sqlite3.Connection = connect(name, **options)  # type: ignore[call-overload]
            opened.extend([connection] if str(name) == str(found.journal) else [])
            return connection

        monkeypatch.setattr(sqlite3, "connect", kept)
        full = Meanwhile(lambda: asyncio.to_thread(fill, opened[0]))
        found.here.plan.add(full, method="POST", path=UPLOADS, nth=10)

        with pytest.raises(TransferError, match="full") as raised:
            await found.here.client.upload(found.here.dataset_id, found.folder, config=found.config)

        monkeypatch.setattr(sqlite3, "connect", connect)
        report = cast("UploadReport", raised.value.report)
        counts = await found.counts()
        assert found.is_open() == []
        assert counts.total() == len(images)
        assert counts["uploaded"] <= report.uploaded <= counts["uploaded"] + counts["sending"]
        await check_resumed(found)


def fill(database: sqlite3.Connection) -> None:
    """Let a database grow no further than it is now."""
    database.execute("PRAGMA max_page_count = 1")


# --- the files -----------------------------------------------------------------------------------


def too_large_to_read_ahead() -> dict[str, bytes]:
    """Return images of which few are in memory at once, and one that is streamed."""
    images = {name_of(number): jpeg(300_000, seed=number) for number in range(18)}
    return images | {"zebra.jpg": jpeg(LARGE)}


@pytest.mark.parametrize("name", [name_of(17), "zebra.jpg"])
async def test_a_file_that_vanishes_is_rejected(name: str, tmp_path: Path) -> None:
    """Its reason names it, and all others are uploaded, also by a resumed run."""
    async with job(tmp_path, images=too_large_to_read_ahead()) as found:
        vanish = Meanwhile(lambda: asyncio.to_thread((found.folder / name).unlink))
        found.here.plan.add(vanish, method="POST", path=UPLOADS, when=later_than(1))
        del found.good[name]

        report = await found.run()

        assert [each.name for each in report.problems] == [name]
        assert "does not exist" in report.problems[0].reason
        assert (report.rejected, report.complete) == (1, True)
        await check_report(found, report)
        await check_stored(found, report)
        again = await check_resumed(found, gone=Counter(rejected=1))
        assert again.uploaded == 0


async def grown(found: Job, name: str) -> UploadReport:
    """Upload while a file is replaced by a larger one, when it is listed and not yet read."""
    found.good[name] = jpeg(LARGE + 50_000, seed=3)
    write = (found.folder / name).write_bytes
    grow = Meanwhile(lambda: asyncio.to_thread(write, found.good[name]))
    found.here.plan.add(grow, method="POST", path=UPLOADS, when=later_than(1))
    return await found.run()


@pytest.mark.parametrize("name", [name_of(17), "zebra.jpg"])
async def test_a_file_that_grows_is_stored_as_it_was_when_read(name: str, tmp_path: Path) -> None:
    """What is stored is one state of the file, whole."""
    async with job(tmp_path, images=too_large_to_read_ahead()) as found:
        report = await grown(found, name)

        assert (report.uploaded, report.complete) == (19, True)
        await check_report(found, report)
        await check_stored(found, report)
        assert await found.stored() == found.good


@pytest.mark.parametrize("name", [name_of(17), "zebra.jpg"])
async def test_a_file_that_grew_before_it_was_read_is_done(name: str, tmp_path: Path) -> None:
    """A resumed run knows it as it was when it was read, and does not say that it changed since."""
    async with job(tmp_path, images=too_large_to_read_ahead()) as found:
        await grown(found, name)

        again = await check_resumed(found)

        assert again.resumed == 19


# --- the run -------------------------------------------------------------------------------------


async def test_a_run_left_early_is_gone_on_with(tmp_path: Path) -> None:
    """Leaving the block ends what is in flight; nothing is unsettled, and the rest is pending."""
    async with job(tmp_path) as found:
        client, seen = found.here.client, 0
        async with client.uploader(found.here.dataset_id, found.folder, config=found.config) as run:
            async for _ in run:
                seen += 1
                if seen == 5:
                    break

        report = run.report
        assert report.unsettled == 0
        assert report.pending > 0
        await check_report(found, report)
        await check_stored(found, report)
        again = await check_resumed(found)
        assert again.resumed == report.uploaded


async def test_a_run_cancelled_under_lost_answers_doubles_nothing(tmp_path: Path) -> None:
    """Uploads are stored and their answers lost: the resumed run finds them, and sends the rest.

    A run in between that is left at once reports the same items as not started and unsettled.
    """
    async with job(tmp_path) as found:
        found.here.plan.add(CommitThenDrop(), method="POST", path=UPLOADS, when=later_than(6))
        client = found.here.client
        run = client.uploader(found.here.dataset_id, found.folder, config=found.config)
        async with asyncio.TaskGroup() as group:
            task = group.create_task(run_to_its_end(run))
            await until(lambda: found.here.plan.count("POST", UPLOADS) >= 6 + WORKERS)
            task.cancel()

        report = run.report
        assert report.unsettled > 0
        await check_report(found, report)
        earlier = await found.counts()
        async with client.uploader(found.here.dataset_id, found.folder, config=found.config) as run:
            pass
        assert (run.report.pending, run.report.unsettled) == (report.pending, report.unsettled)
        await check_report(found, run.report, earlier=earlier)
        again = await check_resumed(found)
        assert again.doubles == ()


async def test_a_run_whose_client_is_closed_under_lost_answers_doubles_nothing(
    tmp_path: Path,
) -> None:
    """As a web server does at its end: what may be stored is `unsettled`, not `failed`."""
    async with job(tmp_path) as found:
        plan = found.here.plan
        plan.add(CommitThenDrop(), method="POST", path=UPLOADS, when=later_than(6))
        client = DataGymClient(TOKEN, found.here.server.base_url, retry=SETTLING)
        async with (
            client,
            client.uploader(found.here.dataset_id, found.folder, config=found.config) as run,
        ):
            ending = asyncio.ensure_future(run.finish())
            await until(lambda: plan.count("POST", UPLOADS) >= 6 + WORKERS)
            await client.aclose()
            with pytest.raises(TransferError, match="The client is closed"):
                await ending

        report = run.report
        assert report.unsettled == plan.count("POST", UPLOADS) - 6
        await check_report(found, report)
        again = await check_resumed(found)
        assert again.doubles == ()


@pytest.mark.parametrize("end", [SystemExit, KeyboardInterrupt])
async def test_a_run_whose_caller_ends_the_program_is_gone_on_with(
    tmp_path: Path, end: type[BaseException]
) -> None:
    """`sys.exit()` in a callback is raised where the run is awaited, and closes all of it."""
    async with job(tmp_path) as found:
        seen: list[object] = []

        def leave(event: object) -> None:
            seen.append(event)
            if len(seen) == 8:
                raise end(3)

        config = attrs.evolve(found.config, on_event=leave)
        run = found.here.client.uploader(found.here.dataset_id, found.folder, config=config)
        with pytest.raises(end):
            await run_to_its_end(run)

        assert 0 < run.report.uploaded < COUNT
        await check_report(found, run.report)
        await check_resumed(found)


async def run_to_its_end(run: Uploader) -> None:
    """Iterate over a run."""
    async with run:
        async for _ in run:
            pass
