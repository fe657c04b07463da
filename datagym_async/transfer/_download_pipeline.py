"""Fetch what the manifest plans: N workers on one bounded queue, results through another.

The first error that every other media would meet as well (token revoked, disk full, service out of
reach) stops the run: nothing new is begun, what is in flight ends in its own way, and the error is
kept for the downloader to raise.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections import deque
from typing import TYPE_CHECKING

import attrs

from datagym_async._groups import first_of
from datagym_async.exceptions import APIError
from datagym_async.transfer._download_config import DownloadConfig
from datagym_async.transfer._download_fetch import Fetcher
from datagym_async.transfer._download_items import DownloadResult
from datagym_async.transfer._download_manifest import Manifest, Wanted
from datagym_async.transfer._download_manifest_files import export_manifest
from datagym_async.transfer._download_tally import DownloadTally
from datagym_async.transfer._threads import in_thread

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence


PORTION = 100
"""Media that are looked for on the disk in one go."""
HASHED_PORTION = 8
"""Media whose files are hashed in one go: a cancellation waits for its end."""
WRITE_EVERY = 0.1
"""Seconds after which an outcome is in the manifest at the latest."""


@attrs.define
class DownloadPipeline:
    """Run the workers of one download.

    Args:
        manifest: What is to be fetched; told of what became of it.
        fetcher: Fetches it.
        config: The options.
        tally: Told of what is settled.
        workers: How many fetch at once.
    """

    _manifest: Manifest
    _fetcher: Fetcher
    _config: DownloadConfig
    _tally: DownloadTally
    _workers: int
    error: Exception | None = attrs.field(default=None, init=False)
    stopped: bool = attrs.field(default=False, init=False)
    fetching_since: float | None = attrs.field(default=None, init=False)
    _began: float = attrs.field(default=0.0, init=False)
    _feeding: asyncio.Task[None] | None = attrs.field(default=None, init=False)
    _noted: deque[DownloadResult] = attrs.field(factory=deque, init=False)
    _work: asyncio.Queue[Wanted | None] = attrs.field(init=False)
    _results: asyncio.Queue[DownloadResult | None] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._work = asyncio.Queue(self._workers)
        self._results = asyncio.Queue(2 * self._workers)

    async def run(self, endings: Sequence[Callable[[], Awaitable[None]]] = ()) -> None:
        """Fetch everything to the end, or until an error stops it; then end the results.

        Args:
            endings: What follows once all media are settled, and if nothing has stopped the run.
        """
        self._began = asyncio.get_running_loop().time()
        try:
            async with asyncio.TaskGroup() as group:
                writing = group.create_task(self._write_outcomes())
                await self._fetch_everything()
                await self._finish(endings)
                writing.cancel()
        except ExceptionGroup as errors:  # a slip of ours, or of what was given to us
            self.error = self.error or first_of(errors)
        finally:
            await self._fetcher.aclose()
        await self._results.put(None)

    async def next_result(self) -> DownloadResult | None:
        """Return the next result as it is known, or None at the end."""
        return await self._results.get()

    def stop(self) -> None:
        """Begin nothing new; what is in flight ends in its own way, and then the results do."""
        self.stopped = True
        if self._feeding is not None:
            self._feeding.cancel()

    def flush(self) -> None:
        """Write down what is not yet written; blocks."""
        noted = [self._noted.popleft() for _ in range(len(self._noted))]
        if noted:
            self._manifest.note(noted)

    async def _fetch_everything(self) -> None:
        async with asyncio.TaskGroup() as group:
            self._feeding = group.create_task(self._feed())
            for _ in range(self._workers):
                group.create_task(self._fetch_all())

    async def _finish(self, endings: Sequence[Callable[[], Awaitable[None]]]) -> None:
        try:
            await in_thread(self.flush)
            if self.error is None and not self.stopped:
                self._tally.phase = "labels"
                for ending in endings:
                    await ending()
                self._tally.phase = "done"
            await in_thread(export_manifest, self._manifest)
        except (APIError, OSError, sqlite3.Error) as error:
            self.error = self.error or error

    async def _write_outcomes(self) -> None:
        while True:
            await asyncio.sleep(WRITE_EVERY)
            try:
                await in_thread(self.flush)
            except sqlite3.Error as error:
                self._stop(error)
                return

    def _stop(self, error: Exception) -> None:
        self.error = self.error or error
        self.stop()

    async def _feed(self) -> None:
        try:
            await self._feed_all()
        except asyncio.CancelledError:
            if not self.stopped:  # else we cancelled it ourselves
                raise
        except Exception as error:
            self.error = self.error or error
        self._feeding = None  # from here on it must not be cancelled, or the workers would wait
        for _ in range(self._workers):
            await self._work.put(None)

    async def _feed_all(self) -> None:
        self._tally.phase = "fetching"
        last, verify = 0, self._config.verify
        count = HASHED_PORTION if verify else PORTION
        while True:
            portion = await in_thread(self._manifest.take, last, count, verify=verify)
            if not portion.last:
                return
            last = portion.last
            self._tally.present(portion.present)
            for wanted in portion.wanted:
                await self._work.put(wanted)

    async def _fetch_all(self) -> None:
        clock = asyncio.get_running_loop().time
        while (wanted := await self._work.get()) is not None:
            if self.stopped or self._has_reached_a_limit(clock()):
                continue
            self.fetching_since = self.fetching_since or clock()
            self._tally.begun += 1
            self._tally.in_flight += 1
            try:
                result = await self._fetcher.fetch(wanted)
            except (APIError, OSError) as error:
                self._stop(error)
                continue
            finally:
                self._tally.in_flight -= 1
            await self._give_out(result)

    def _has_reached_a_limit(self, now: float) -> bool:
        tally = self._tally
        tally.stopped_by = self._config.stops.reason(
            begun=tally.begun,
            begun_bytes=tally.bytes_arrived,
            failed=tally.failed,
            seconds=now - self._began,
        )
        if tally.stopped_by:
            self.stop()
        return bool(tally.stopped_by)

    async def _give_out(self, result: DownloadResult) -> None:
        self._noted.append(result)
        self._tally.settled(result)
        await self._results.put(result)
