"""One prediction of a project: a model gets its images in chunks, its answers are imported.

Chunks go to the workers: a thread of this process, worker processes or a cluster. The answers go
through one queue to the import, which sends one request at a time, because the service deadlocks if
several import into one project (observed). So memory holds the chunks in work and two batches of
predictions, whatever the size of the project.

What happened to each image is kept for the next run in an SQLite database. Predictions are noted
before they are sent: after a kill it is known which may have been stored.
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
import os
import pickle
import sqlite3
from collections import Counter
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from concurrent.futures import BrokenExecutor, ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, aclosing
from contextvars import copy_context
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias
from uuid import uuid4

import attrs

from datagym_async._checks import by_annotation, within
from datagym_async._files import from_home
from datagym_async._printable import Shown, printable
from datagym_async._runs._disk import (
    DamagedError,
    Database,
    check_database,
    is_of_the_disk,
    opened_database,
    remedy,
)
from datagym_async._runs._text import counted, said_counts
from datagym_async._threads import in_thread, together
from datagym_async.data import LoaderConfig, Sample
from datagym_async.data._listing import Library, Listing, list_media, pack
from datagym_async.exceptions import (
    ConfigurationError,
    DataGymError,
    FileWriteError,
    TransferError,
)
from datagym_async.labels import LabeledImage
from datagym_async.models import DatasetMedia, TaskState
from datagym_async.predict._models import (
    Job,
    LoadedModel,
    Loading,
    ModelError,
    Predicted,
    predict_chunk,
    run_chunk,
)
from datagym_async.resources import LabelsResource, TasksResource

if TYPE_CHECKING:
    from datagym_async._processes import WorkerProcesses


OPEN: Final = (
    TaskState.BACKLOG,
    TaskState.WAITING,
    TaskState.WAITING_CHANGED,
    TaskState.IN_PROGRESS,
)
"""States of tasks that people have not finished."""
OpenStates: TypeAlias = "TaskState | str | Iterable[TaskState | str]"
"""A state, several states, ``"open"`` for those of unfinished tasks, or ``"all"``."""
Runner: TypeAlias = Callable[[Sequence[DatasetMedia]], Awaitable[list[Predicted]]]
"""Gives a chunk to a worker and returns the answers."""
Workers: TypeAlias = AbstractAsyncContextManager[tuple[Runner, int]]
"""Gives a runner and the number of its workers."""

_CHUNK: Final = 32  # images that a worker gets at once, at least
_BATCH: Final = 50  # predictions in one request
_MOST_PROBLEMS: Final = 1000
_PATIENCE: Final = 64  # images without any success after which a model counts as unfit
_LIVES: Final = 2  # workers that a chunk may kill before it is halved


class PredictOutcome(enum.StrEnum):
    """What happened to an image."""

    STORED = "stored"
    """Its prediction is in the service."""
    EMPTY = "empty"
    """The model returned None; the labels at the service stay as they are."""
    REJECTED = "rejected"
    """The prediction does not fit the label configuration, and was not sent."""
    FAILED = "failed"
    """The image cannot be loaded, the model failed at it, or the service refused the prediction."""
    UNKNOWN = "unknown"
    """The answer was lost, and adding it again could double it: check the project."""


@attrs.frozen
class PredictProblem:
    """An image without a prediction, and the reason."""

    media_id: str
    name: str
    outcome: PredictOutcome
    reason: str


@attrs.frozen(kw_only=True)
class PredictProgress:
    """The progress of a prediction, in images."""

    planned: int
    settled: int
    """Images with an outcome, from an earlier run too."""
    problems: int


@attrs.frozen(kw_only=True)
class PredictReport(Shown):
    """The report of a prediction, which counts every image.

    Args:
        planned: Images whose tasks have the requested states.
        skipped: How many of them an earlier run with this journal has done.
        counts: Number of images by outcome, of this run.
        problems: The first thousand images without a prediction, and the reasons.
        complete: Whether each planned image has an outcome.
    """

    planned: int = 0
    skipped: int = 0
    counts: dict[PredictOutcome, int] = attrs.field(factory=dict)
    problems: tuple[PredictProblem, ...] = attrs.field(default=(), repr=False)
    complete: bool = False

    @property
    def stored(self) -> int:
        """Return how many predictions this run has stored."""
        return self.counts.get(PredictOutcome.STORED, 0)

    @property
    def ok(self) -> bool:
        """Return whether each image has its prediction, or the model returned None for it."""
        fine = {PredictOutcome.STORED, PredictOutcome.EMPTY}
        return self.complete and all(not n or each in fine for each, n in self.counts.items())

    def __str__(self) -> str:
        """Return it as a sentence."""
        counts = [(each.value, self.counts.get(each, 0)) for each in PredictOutcome]
        counts.append(("done before", self.skipped))
        left = self.planned - self.skipped - sum(self.counts.values())
        counts.append(("left", left))
        return f"{counted(self.planned, 'image')}: {said_counts(*counts)}."

    def to_dict(self) -> dict[str, Any]:
        """Return it as values that JSON takes."""
        counts = {each.value: self.counts.get(each, 0) for each in PredictOutcome}
        problems = [attrs.asdict(each) for each in self.problems]
        whole = {"planned": self.planned, "skipped": self.skipped, **counts}
        return {**whole, "ok": self.ok, "complete": self.complete, "problems": problems}


class WorkerLostError(Exception):
    """A worker ended before it answered for a chunk."""


@attrs.frozen(kw_only=True, field_transformer=by_annotation)
class PredictOptions:
    """The options of ``DataGymClient.predict``, which explains them."""

    model: Callable[..., Sequence[object]]
    setup: Callable[[], object] | None = None
    states: OpenStates = "open"
    keep_data: bool = False
    batch_size: int = attrs.field(default=16, validator=within(1, 10_000))
    processes: int = attrs.field(default=0, validator=within(0, 1000))
    connect: Callable[[], AbstractAsyncContextManager[Loading]]
    journal: str | os.PathLike[str] | None = None
    partial: bool = False
    strict: bool = False
    on_progress: Callable[[PredictProgress], object] | None = None
    loader: dict[str, Any] = attrs.field(factory=dict)


# Workers.


@contextlib.asynccontextmanager
async def in_this_process(client: Loading, job: Job) -> AsyncIterator[tuple[Runner, int]]:
    """Give a runner whose model runs in a thread of this process."""
    model, executor = LoadedModel(job.model, job.setup), ThreadPoolExecutor(1, "datagym-model")
    context = copy_context()  # for all batches: the model sees what the caller and `setup` have set

    def answers_of(samples: Sequence[Sample]) -> list[Predicted]:
        return context.run(model.predict, samples)

    async def run(media: Sequence[DatasetMedia]) -> list[Predicted]:
        return await predict_chunk(client, media, job, answers_of, executor)

    try:
        yield run, 1
    finally:
        await in_thread(executor.shutdown)  # the current batch ends first


@contextlib.asynccontextmanager
async def in_processes(job: Job, processes: int) -> AsyncIterator[tuple[Runner, int]]:
    """Give a runner with worker processes, each with its own model and client."""
    try:
        await in_thread(pickle.dumps, job)
    except Exception as error:
        raise ConfigurationError(
            f"model, setup and client go to other processes, and one of them cannot be pickled "
            f"({error}); define them at the top of a module, or use processes=0"
        ) from error
    # Each has one process: one that dies of an image takes no images of the others with it.
    pools: set[WorkerProcesses] = set()
    idle: list[WorkerProcesses] = []
    places = asyncio.Semaphore(processes)

    def begin() -> WorkerProcesses:
        from datagym_async._processes import GUARD, WorkerProcesses  # in a thread, see there

        pools.add(pool := WorkerProcesses(1))  # known at once: a cancelled caller does not get it
        try:
            pool.submit(int).result()  # no image is to blame for a worker that ends as it starts
        except BrokenExecutor as error:
            raise ConfigurationError(
                f"The worker processes end as they start. {GUARD}; or use processes=0"
            ) from error
        return pool

    def end() -> None:
        for pool in pools:
            pool.end()

    async def run(media: Sequence[DatasetMedia]) -> list[Predicted]:
        async with places:
            pool = idle.pop() if idle else await in_thread(begin)
            try:
                future = await in_thread(pool.submit, run_chunk, job, media)
                found = await asyncio.wrap_future(future)
            except BrokenExecutor as error:
                pools.discard(pool)
                await in_thread(pool.end)
                raise WorkerLostError("the process ended while it had this image") from error
            idle.append(pool)
            return found

    try:
        yield run, processes
    finally:
        await in_thread(end)


# --- The run --------------------------------------------------------------------------------------


async def predict(
    client: Loading,
    library: Library,
    tasks: TasksResource,
    labels: LabelsResource,
    project_id: str,
    options: PredictOptions,
    elsewhere: Callable[[Job], Workers] | None = None,
) -> PredictReport:
    """Predict the images of a project, on this machine if there are no workers elsewhere."""
    loader = {**options.loader, "batch_size": options.batch_size}
    usual = LoaderConfig()
    config = attrs.evolve(usual, **loader)  # refuses what a loader would refuse
    for name in ("shard", "even", "drop_last"):
        if getattr(config, name) != getattr(usual, name):
            raise ConfigurationError(
                f"{name} drops images, and a prediction is for all of them; leave it out"
            )
    job = Job(
        key=uuid4().hex,
        base_url=client.base_url,
        model=options.model,
        setup=options.setup,
        connect=options.connect,
        loader=loader,
    )
    if elsewhere is not None:
        workers = elsewhere(job)
    elif options.processes:
        workers = in_processes(job, options.processes)
    else:
        workers = in_this_process(client, job)
    # The images of tasks in these states.
    states: Any = [*OPEN] if options.states == "open" else options.states
    async with aclosing(tasks.iter(project_id, state=states)) as found:
        wanted = {task.media_id async for task in found}
    listing = await list_media(library, None, project_id, links="service")
    listing = await in_thread(lambda: Listing([pack(it) for it in listing if it.id in wanted]))
    about = {
        "base_url": client.base_url,
        "project": project_id.lower(),
        "keep_data": str(options.keep_data),
    }
    journal = PredictJournal(options.journal, about)
    run = _Run(labels, project_id, options, journal, len(listing))
    try:
        await in_thread(journal.open)
        async with workers as (runner, count):
            try:
                async with together() as group:
                    # One chunk more than there are workers is loaded while these are busy.
                    group.create_task(run.ask(runner, listing, count + 1))
                    await run.bring_in()
            except (DataGymError, OSError, sqlite3.Error) as error:
                words = journal.failure_text(error) if isinstance(error, sqlite3.Error) else error
                text = f"The prediction stopped: {words}"
                raise TransferError(text, report=run.report(complete=False)) from error
    finally:
        await in_thread(journal.close)
    return run.report(complete=True)


@attrs.define
class _Run:
    _labels: LabelsResource
    _project_id: str
    _options: PredictOptions
    _journal: PredictJournal
    _planned: int
    _skipped: int = 0
    _counts: Counter[PredictOutcome] = attrs.field(factory=Counter)
    _problems: list[PredictProblem] = attrs.field(factory=list)
    _answered: int = 0  # images for which the model gave an answer, also None
    _failed: int = 0  # images at which it failed, in this run for the first time
    _out: asyncio.Queue[Predicted | None] = attrs.field(factory=lambda: asyncio.Queue(_BATCH))
    _names: dict[str, str] = attrs.field(factory=dict)  # of the media that are being imported

    def report(self, *, complete: bool) -> PredictReport:
        return PredictReport(
            planned=self._planned,
            skipped=self._skipped,
            counts=dict(self._counts),
            problems=tuple(self._problems),
            complete=complete,
        )

    async def ask(self, runner: Runner, listing: Listing, at_once: int) -> None:
        """Show all images to the model, and put its answers into the queue."""
        # Whole batches, so that only the last is short.
        size = -(-_CHUNK // self._options.batch_size) * self._options.batch_size
        chunks = (
            [listing[at] for at in range(start, min(start + size, len(listing)))]
            for start in range(0, len(listing), size)
        )
        async with together() as group:
            for _ in range(at_once):
                group.create_task(self._work(runner, chunks))
        await self._out.put(None)

    async def _work(self, runner: Runner, chunks: Iterator[Sequence[DatasetMedia]]) -> None:
        for chunk in chunks:  # all workers share this iterator
            # What no earlier run has done.
            known = await in_thread(self._journal.outcomes, [media.id for media in chunk])
            left = []
            for media in chunk:
                before = known.get(media.id, "")
                if before in (PredictOutcome.STORED, PredictOutcome.EMPTY):
                    self._skipped += 1
                elif self._options.keep_data and before in (SENDING, PredictOutcome.UNKNOWN):
                    reason = "an earlier run may have stored it; check the project"
                    self._settle(media.id, media.name, PredictOutcome.UNKNOWN, reason)
                else:
                    left.append(media)
            ready, noted = [], list[tuple[str, str]]()
            for each in await _answers(runner, left) if left else ():
                self._answered += not each.error
                self._failed += bool(each.error) and each.media_id not in known
                if each.labels is not None:
                    ready.append(each)
                    noted.append((each.media_id, SENDING))  # from now on it may have been sent
                    continue
                outcome = PredictOutcome.FAILED if each.error else PredictOutcome.EMPTY
                self._settle(each.media_id, each.name, outcome, each.error)
                noted.append((each.media_id, outcome.value))
            await in_thread(self._journal.note, noted)
            if not self._answered and self._failed >= _PATIENCE:
                raise ModelError(
                    f"there is no prediction for any of the first {_PATIENCE} images; of "
                    f"{self._problems[-1].name}: {self._problems[-1].reason}"
                )
            for each in ready:
                await self._out.put(each)

    async def bring_in(self) -> None:
        """Import the predictions in the queue until its end."""
        options, settled = self._options, []

        async def predictions() -> AsyncGenerator[LabeledImage, None]:
            while (each := await self._out.get()) is not None:
                if each.labels is not None:
                    self._names[each.media_id] = each.name
                    yield each.labels

        results = self._labels.iter_import_predictions(
            self._project_id,
            predictions(),
            keep_data=options.keep_data,
            partial=options.partial,
            strict=options.strict,
            sizes=False,  # they are those of the images that the model was shown
            batch_size=_BATCH,
        )
        try:
            async with aclosing(results):
                async for result in results:
                    outcome = PredictOutcome(result.outcome)  # never that of a dry run
                    name = self._names.pop(result.media_id, "")
                    self._settle(result.media_id, name, outcome, "; ".join(result.reasons))
                    settled.append((result.media_id, outcome.value))
                    if len(settled) >= _BATCH:
                        await in_thread(self._journal.note, settled)
                        settled = []
        finally:
            await in_thread(self._journal.note, settled)

    def _settle(self, media_id: str, name: str, outcome: PredictOutcome, reason: str) -> None:
        self._counts[outcome] += 1
        is_fine = outcome in (PredictOutcome.STORED, PredictOutcome.EMPTY)
        if not is_fine and len(self._problems) < _MOST_PROBLEMS:
            self._problems.append(PredictProblem(media_id, name, outcome, reason))
        if self._options.on_progress is not None:
            fine = self._counts[PredictOutcome.STORED] + self._counts[PredictOutcome.EMPTY]
            settled = self._counts.total()
            progress = PredictProgress(
                planned=self._planned, settled=self._skipped + settled, problems=settled - fine
            )
            self._options.on_progress(progress)


async def _answers(runner: Runner, media: Sequence[DatasetMedia]) -> list[Predicted]:
    """Return the model's answer for each media; an image that kills workers is searched for."""
    reason = ""
    for _ in range(_LIVES):
        try:
            return await runner(media)
        except WorkerLostError as error:
            reason = str(error)
    if len(media) == 1:
        return [Predicted(media[0].id, media[0].name, error=reason)]
    middle = len(media) // 2
    return await _answers(runner, media[:middle]) + await _answers(runner, media[middle:])


SENDING: Final = "sending"
_VERSION: Final = 1
_SCHEMA: Final = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID;
CREATE TABLE media (media_id TEXT PRIMARY KEY, outcome TEXT NOT NULL) WITHOUT ROWID;
"""
_SETTINGS: Final = "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;"
_WHAT: Final = "The journal of this prediction"


@attrs.define
class PredictJournal:
    """The journal: opened once, closed in any case."""

    _given: str | os.PathLike[str] | None  # its file; without one it knows and keeps nothing
    _job: Mapping[str, str]  # what it belongs to; that of another job is refused
    _database: Database = attrs.field(factory=lambda: Database(None, _WHAT), init=False)

    def open(self) -> None:
        """Open it, made if it does not exist; `ConfigurationError` if it cannot be used."""
        if self._given is None:
            return
        path = from_home(self._given).absolute()
        in_use = (
            f"Another run is using the journal {printable(str(path))}; wait for it to end, or "
            "give another one."
        )
        begin = partial(self._begin, path)
        self._database = opened_database(path, _WHAT, begin, trouble=_trouble, in_use=in_use)

    def _begin(self, path: Path, connection: sqlite3.Connection, is_whole: bool) -> int:
        connection.executescript(_SETTINGS)
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version == 0 and not connection.execute("SELECT * FROM sqlite_master").fetchone():
            connection.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version = {_VERSION};")
            connection.executemany("INSERT INTO meta VALUES (?, ?)", self._job.items())
            connection.execute("COMMIT")
        elif version != _VERSION:
            raise sqlite3.DatabaseError("it has another version")
        elif not is_whole:
            check_database(connection, _SCHEMA)
            # SQLite does not look into texts; an unknown word would count as not predicted.
            outcomes = connection.execute("SELECT DISTINCT outcome FROM media")
            if not {word for (word,) in outcomes} <= {SENDING, *PredictOutcome}:
                raise DamagedError("an outcome in it was changed")
        known = dict(connection.execute("SELECT name, value FROM meta"))
        if known != self._job:
            raise ConfigurationError(
                f"The journal {printable(str(path))} belongs to another prediction (project "
                f"{known.get('project')} of {known.get('base_url')}, keep_data "
                f"{known.get('keep_data')}); give another path."
            )
        return 1

    def failure_text(self, error: sqlite3.Error) -> str:
        """Return what to say when the database fails during a run."""
        return _trouble(self._database.path or Path(), error)

    def outcomes(self, media_ids: Iterable[str]) -> dict[str, str]:
        """Return the known outcomes of these media by id; a few hundred at most."""
        if self._given is None:
            return {}
        ids = [*media_ids]
        marks = ",".join("?" * len(ids))
        with self._database.using() as connection:
            query = f"SELECT media_id, outcome FROM media WHERE media_id IN ({marks})"  # noqa: S608
            return dict(connection.execute(query, ids))

    def note(self, outcomes: Iterable[tuple[str, str]]) -> None:
        if self._given is not None:
            with self._database.writing() as connection:
                connection.executemany("INSERT OR REPLACE INTO media VALUES (?, ?)", outcomes)

    def close(self) -> None:
        """Close it; may be called again."""
        with contextlib.suppress(sqlite3.Error):
            self._database.close()


def _trouble(path: Path, error: sqlite3.Error | OSError) -> str:
    if isinstance(error, OSError):
        return f"The journal {printable(str(FileWriteError.of(path, error)))}."
    shown = printable(str(path))
    if is_of_the_disk(error):
        return (
            f"The journal {shown} cannot be written ({error}); {remedy(error)}, then "
            "the same prediction again resumes."
        )
    return (
        f"The file {shown} is not the journal of a prediction, or is damaged ({error}); give "
        "another path."
    )
