"""The bulk downloader: a whole dataset or project into a folder, iterated or run to its end.

Entering locks the folder, and lists the media of the service into the manifest. The engine passes
them to N workers, which fetch them (`_fetching`). Labels and bitmaps follow once all media are
settled, unless the run was stopped.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections import deque
from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any

import attrs

from datagym_async._files import from_home
from datagym_async._printable import quoted
from datagym_async._retry import RetryPolicy
from datagym_async._runs._disk import DamagedError
from datagym_async._runs._engine import BulkRun, DownloadSources, RunLane
from datagym_async._runs._options import Listener
from datagym_async._runs._stores import is_stored
from datagym_async._threads import in_thread
from datagym_async.downloads._fetching import Fetcher, Shards
from datagym_async.downloads._labels import require_extras, write_bitmaps, write_labels
from datagym_async.downloads._manifest import (
    DownloadJob,
    Manifest,
    Wanted,
    export_manifest,
    manifest_path,
    trouble,
)
from datagym_async.downloads._prefix import Prefix
from datagym_async.downloads._values import (
    DownloadConfig,
    DownloadEnded,
    DownloadOutcome,
    DownloadProgress,
    DownloadReport,
    DownloadResult,
    DownloadStarted,
    DownloadTally,
    MediaSettled,
    bound_of,
)
from datagym_async.exceptions import (
    APIError,
    ClientClosedError,
    ConfigurationError,
    DataGymError,
    FileWriteError,
    NotFoundError,
    StoreError,
    TransferError,
)
from datagym_async.models import Dataset, Project
from datagym_async.resources._base import in_batches

LISTED = 1000  # media, or tasks, that are added at once
PORTION = 100  # media that are looked for on the disk at once
HASHED_PORTION = 8  # media whose files are hashed at once: a cancellation waits for the end


class Downloader(BulkRun[Wanted, DownloadResult, DownloadReport]):
    """Download a dataset or a project into a folder: an async context manager and iterator.

    ::

        async with client.downloader(dataset_id, "out/") as run:
            async for result in run:
                print(result.outcome, result.path)
        print(run.report.summary())

    Every media that the service lists has one outcome; all except those that an earlier run has
    downloaded have a result. The iteration ends early with a `TransferError` (with the report so
    far) if no other media could be downloaded either: the token is refused, the disk is full, the
    service stops answering. The same download resumes.

    Leaving the block early stops the downloads in flight; no partial file is left.

    Args:
        sources: The resources of a client.
        job: What is downloaded.
        folder: Folder to download into: new, empty, or that of the same download. Or a prefix in an
            object store, such as ``s3://bucket/out/``.
        config: The options.
        retry: How often, and after which waits, an answer that was cut off is requested again.
        lane: The queue of the client's downloads; without it only the number of workers limits
            them.
        only: The ids of those media that are downloaded; None for all.
    """

    def __init__(
        self,
        sources: DownloadSources,
        job: DownloadJob,
        folder: str | os.PathLike[str],
        *,
        config: DownloadConfig | None = None,
        retry: RetryPolicy | None = None,
        lane: RunLane | None = None,
        only: Collection[str] | None = None,
    ) -> None:
        self._config = config = config or DownloadConfig()
        super().__init__(lane, config.concurrency, config)
        shards = f"shards {'with' if config.labels else 'without'} labels"
        self._job = job = attrs.evolve(job, shards=shards if config.shards else "")
        self._sources, address = sources, str(os.fspath(folder))
        self._prefix: Prefix | None = None
        if is_stored(address):
            self._prefix = Prefix.of(address, config.store_options, *attrs.astuple(job))
            self._root, place = self._prefix.root, self._prefix.at.address
        else:
            self._root = from_home(folder).absolute()
            place = str(self._root)
        self.place: str = place  # the full path of the folder, or the address of the prefix
        self._tally = DownloadTally(config.max_problems)
        self._only = only
        self._name = ""  # of the dataset or project, once known
        self._project: Project | None = None  # whose labels are joined
        policy = retry or RetryPolicy()
        self._fetcher = Fetcher(
            self._root, sources, config, policy, self._tally, self._patience, self._prefix
        )
        self._fetch = self._fetcher.fetch
        self._manifest: Manifest | None = None
        self._listener = Listener(config.on_event, "download")
        self._unwritten: deque[DownloadResult] = deque()

    def __repr__(self) -> str:
        return f"<Downloader {self._tally.done} of {self._tally.planned} media done>"

    def fetch_by(self, fetch: Callable[[Wanted], Coroutine[Any, Any, DownloadResult]]) -> None:
        """Set a function that fetches each media into the folder, instead of `Fetcher.fetch`."""
        if self._config.shards is not None:
            raise ConfigurationError("Shards are written by one process and cannot use a cluster.")

        async def counted(wanted: Wanted) -> DownloadResult:
            result = await fetch(wanted)
            self._tally.bytes_arrived += result.size or 0
            return result

        self._fetch = counted

    async def _open(self) -> None:
        await in_thread(require_extras, self._config)
        await in_thread(self._open_manifest)
        manifest, config = self._opened_manifest, self._config
        await self._list(manifest)
        if config.shards is not None:
            parts = bound_of(config.shards), manifest, self._prefix, self._tally
            self._fetcher.shards = shards = await in_thread(Shards, *parts, bool(config.labels))
            if config.labels and (project := self._project) is not None:
                async with aclosing(self._sources.labels.iter_export(project.id)) as tasks:
                    await shards.take_labels(tasks)
        if self._prefix is not None:
            await in_thread(self._prefix.begin_state, manifest.database)
        self._listener.tell(DownloadStarted(self._name, self.place, self._tally.planned))

    async def _list(self, manifest: Manifest) -> None:
        """Add all media to the manifest, and links' tasks; refuse an unknown or unclear project."""
        is_project = self._job.kind == "project"
        if is_project or self._config.needs_project:  # first: if it is not clear, nothing is added
            self._project = self._chosen(await self._sources.projects.list())
        if is_project and self._project is not None:
            for each in sorted(self._project.datasets, key=lambda one: (one.timestamp, one.id)):
                try:
                    await self._enter(manifest, each.id, subfolder=True)
                except NotFoundError:
                    note = f"The dataset {quoted(each.name)} of the project is gone."
                    self._tally.notes.append(note)
            self._name = self._project.name
        else:
            self._name = await self._enter(manifest, self._job.id, subfolder=False)
        while await in_thread(manifest.allot, LISTED):
            pass
        self._tally.planned = await in_thread(manifest.count)
        if self._config.links != "source" or self._project is None:
            return
        if await in_thread(manifest.has_links):
            # Add the task of each media: only a task has the address of a link image.
            async with (
                aclosing(self._sources.tasks.iter(self._project.id, state="all")) as tasks,
                aclosing(in_batches(tasks, LISTED)) as batches,
            ):
                async for batch in batches:
                    rows = [(task.id, task.media_id) for task in batch]
                    await in_thread(manifest.enter_tasks, rows)

    def _chosen(self, projects: Sequence[Project]) -> Project | None:
        """Return the project of the job, or the one joined with a dataset, if one is needed."""
        wanted = self._job.id if self._job.kind == "project" else self._config.project_id
        if wanted is not None:
            found = [one for one in projects if one.id == wanted.lower()]
            if not found:
                raise ConfigurationError(
                    f"There is no project with the id {wanted!r}; client.projects.list() lists all."
                )
            of_project = self._job.kind == "project"
            if not of_project and all(self._job.id.lower() != one.id for one in found[0].datasets):
                raise ConfigurationError(
                    f"The dataset is not attached to the project {quoted(found[0].name)}."
                )
            return found[0]
        dataset_id = self._job.id.lower()
        found = [one for one in projects if any(dataset_id == each.id for each in one.datasets)]
        if len(found) == 1 or not (self._config.labels or self._config.bitmaps):
            return found[0] if found else None
        names = ", ".join(f"{quoted(each.name)} ({each.id})" for each in found)
        which = f"is attached to several projects ({names})" if found else "is in no project"
        raise ConfigurationError(
            f"The dataset {which}; name the project of the labels with project_id=...."
        )

    async def _enter(self, manifest: Manifest, dataset_id: str, *, subfolder: bool) -> str:
        """Add a dataset part by part; return its name."""

        async def enter(parts: AsyncIterator[Dataset]) -> str:
            name = ""
            async for part in parts:
                name, tree, kept = part.name, self._config.tree, part
                if self._only is not None:
                    own = [each for each in part.media if each.id in self._only]
                    kept = attrs.evolve(part, media=tuple(own))
                await in_thread(manifest.enter, kept, subfolder=subfolder, tree=tree)
            return name

        return await self._sources.datasets.read_parts(enter, dataset_id)

    def _open_manifest(self) -> None:
        if self._prefix is not None:
            self._prefix.take_state()
        self._manifest = Manifest.open(self._root, self._job, self._prefix)

    @property
    def _opened_manifest(self) -> Manifest:
        if self._manifest is None:
            raise ClientClosedError("The Downloader is not open; use it in an `async with` block.")
        return self._manifest

    async def _close(self, *, complete: bool) -> None:
        try:
            await self._fetcher.aclose()
        finally:
            await in_thread(self._close_manifest)

    def _close_manifest(self) -> None:
        if self._fetcher.shards is not None:
            self._fetcher.shards.close()
        if self._manifest is not None:
            with contextlib.closing(self._manifest), contextlib.suppress(sqlite3.Error):
                self._write_down()  # media without a recorded outcome are fetched again
            # A download that was refused before its media were listed leaves nothing behind.
            if self._prefix is not None and self._prefix.has_begun:
                with contextlib.suppress(StoreError, OSError):  # the next run here has its own
                    self._prefix.keep_state()
        if self._prefix is not None:
            self._prefix.close()

    # Called by the engine.

    async def _feed(self) -> None:
        self._tally.phase = "fetching"
        last, taken, verify = 0, 0, self._config.verify
        count = HASHED_PORTION if verify else PORTION
        while True:
            await self._room()
            take = self._opened_manifest.take
            last, present, wanted = await in_thread(take, last, count, verify=verify)
            if not last:
                break
            taken += present + len(wanted)
            self._tally.outcomes[DownloadOutcome.PRESENT] += present
            for each in wanted:
                self._hand_over(each)
        if taken != self._tally.planned:
            listed = self._tally.planned
            raise DamagedError(f"it holds {taken:,} of the {listed:,} media that are listed")

    async def _do(self, work: Wanted) -> None:
        self.begun += 1
        self._tally.in_flight += 1
        try:
            result = await self._fetch(work)
        finally:
            self._tally.in_flight -= 1
        self._begun_bytes = self._tally.bytes_arrived
        self.failed += result.outcome is DownloadOutcome.FAILED
        if self._fetcher.shards is None or result.outcome is not DownloadOutcome.DOWNLOADED:
            self._unwritten.append(result)  # otherwise it is recorded with its shard
        self._tally.settled(result)
        if self._listener.is_wanted:
            self._listener.tell(MediaSettled(result))
        self._give_out(result)

    def _write_down(self) -> None:
        noted = [self._unwritten.popleft() for _ in range(len(self._unwritten))]
        if noted:
            self._opened_manifest.note(noted)

    async def _finish(self) -> None:
        if self._fetcher.shards is not None:  # for any reason of the stop: files that arrived stay
            await self._fetcher.shards.end()
        await in_thread(export_manifest, self._opened_manifest)  # whatever becomes of the labels
        if self.error is None and not self.stopped:
            self._tally.phase = "labels"
            config, manifest, tally = self._config, self._opened_manifest, self._tally
            if (project := self._project) is not None and self._fetcher.shards is None:
                if config.labels:
                    await write_labels(self._sources, project, manifest, config, tally)
                if config.bitmaps:
                    await write_bitmaps(self._sources, project, manifest, config, tally)
            self._tally.phase = "done"
        if self._prefix is not None:
            await self._prefix.put_rest()

    def _outcome_of(self, error: Exception) -> Exception:
        if not isinstance(error, APIError | OSError | ClientClosedError | sqlite3.Error):
            return error
        words = str(error)
        if isinstance(error, sqlite3.Error):
            words = trouble(manifest_path(self._root), error)
        elif not isinstance(error, DataGymError):
            # Nobody knows the names of parts, but those of what they were to replace.
            words = str(FileWriteError.of(Path(error.filename2 or self._root), error))
        text = f"The download stopped: {words.rstrip('.')}. {self.report.summary()}"
        return TransferError(text, report=self.report)

    def _tell_end(self) -> None:
        self._listener.tell(DownloadEnded(self.report))

    # Progress and report.

    @property
    def progress(self) -> DownloadProgress:
        """Return the progress at this moment; cheap enough for every frame of a display."""
        now, since, tally = self._now(), self.working_since, self._tally
        downloaded = tally.outcomes[DownloadOutcome.DOWNLOADED]
        return DownloadProgress(
            phase=tally.phase if self._ended is None or tally.phase == "done" else "stopped",
            **tally.counts(*DownloadOutcome),
            **tally.pace(
                stored=downloaded,
                size=tally.bytes_arrived,
                tried=downloaded + tally.outcomes[DownloadOutcome.FAILED],
                seconds=now - self._began,
                working=0.0 if since is None else now - since,
            ),
            tasks_read=tally.tasks_read[0],
            tasks_total=tally.tasks_read[1],
        )

    @property
    def report(self) -> DownloadReport:
        """Return the report of the run so far; final once the iteration has ended."""
        tally, has_ended = self._tally, self._running is not None and self.error is None
        counts, size = tally.counts(*DownloadOutcome), tally.bytes_downloaded
        if self._fetcher.shards is not None:
            media, open_bytes = self._fetcher.shards.open
            counts["downloaded"] = max(0, counts["downloaded"] - media)
            size = max(0, size - open_bytes)
        return DownloadReport(
            name=self._name,
            folder=self.place,
            planned=tally.planned,
            **counts,
            bytes=size,
            seconds=self._now() - self._began,
            complete=has_ended and tally.phase == "done" and tally.done == tally.planned,
            labelled=tally.labelled,
            left_out=tally.left_out,
            bitmaps=tally.bitmaps,
            bitmaps_failed=tally.bitmaps_failed,
            written=tuple(tally.written),
            notes=tuple(tally.notes),
            stopped_by=self.stopped_by,
            problems=tuple(tally.problems),
        )
