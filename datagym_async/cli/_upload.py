"""`upload`: upload sources into a dataset; and `--dry-run`, which shows what that would do.

An option means the same as in `UploadConfig`. Only the journal differs: it is on unless turned off,
because on the command line people expect that a job can be resumed.
"""

import json
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Annotated, Final, TypeVar

import attrs

from datagym_async._client import DataGymClient
from datagym_async._runs._text import size
from datagym_async._threads import in_thread
from datagym_async.cli._closing import (
    UploadAccount,
    check_report_files,
    how_to_resume,
    status_of,
    tell,
)
from datagym_async.cli._command import Invocation, command, group
from datagym_async.cli._connect import Workers, client_for, waiting
from datagym_async.cli._errors import (
    INTERRUPTED,
    SOME_FAILED,
    WELL,
    CommandError,
    hint_in_shell_words,
    in_shell_words,
)
from datagym_async.cli._job_options import UPLOAD
from datagym_async.cli._lookup import dataset_of, find_dataset, project_of, refuse_to_overwrite
from datagym_async.cli._option_table import Given
from datagym_async.cli._options import argument
from datagym_async.cli._progress import SAY_EVERY, Problems, Snapshot, showing
from datagym_async.cli._screen import Output, clock
from datagym_async.cli._signals import ending_in_two_steps, run_in_loop
from datagym_async.models import Dataset, MediaType, Project
from datagym_async.uploads import (
    DatasetCreated,
    DryRun,
    FolderWatch,
    Paused,
    PlannedUpload,
    RunStarted,
    Source,
    UploadConfig,
    Uploader,
    UploadEvent,
    failed_items,
)
from datagym_async.uploads._config import rules_of
from datagym_async.uploads.plan import check_place
from datagym_async.uploads.sources import check_there, read_report

T = TypeVar("T")

PLAN_SCHEMA: Final = "datagym_async.upload_plan/1"

app = group("upload")


@attrs.frozen
class FutureDataset:
    """A dataset that the upload would create, empty, among the existing ones."""

    name: str
    client: DataGymClient

    async def read_parts(
        self,
        reading: Callable[[AsyncIterator[Dataset]], Awaitable[T]],
        dataset_id: str | None = None,
    ) -> T:
        """Read it, or all others: further datasets of its family may exist."""
        if dataset_id is None:
            return await self.client.datasets.read_parts(reading)
        return await reading(self._parts())

    async def _parts(self) -> AsyncGenerator[Dataset, None]:
        yield Dataset(id="", name=self.name, timestamp=0)

    async def ensure(self, name: str) -> Dataset:
        """Refuse, because nothing is created."""
        raise CommandError(f"Dataset {name!r} would be created by the upload.")


@command(app, "upload", table=UPLOAD)
def upload(
    invocation: Invocation,
    given: Given,
    sources: Annotated[
        list[str] | None,
        argument(
            "SOURCE",
            "Files, folders (with all below them), globs, lists (.txt .csv .jsonl), archives (.zip "
            ".tar .tar.gz .tar.zst), any of these in a store (s3:// gs:// az://), URLs, or - for a "
            "list on standard input.",
        ),
    ] = None,
    dataset: str | None = None,
    create: bool = False,
    project: list[str] | None = None,
    no_journal: bool = False,
    retry_failed: Path | None = None,
    watch: bool = False,
    settle_after: float | None = None,
    scheduler: str | None = None,
    workers_local: int | None = None,
    dry_run: bool = False,
    stats: float = SAY_EVERY,
    report: list[Path] | None = None,
) -> int:
    """Upload images into a dataset.

    The same command resumes after an interruption: what is done is not sent again. After one Ctrl-C
    the uploads in flight get 30 seconds to finish; a second one stops at once.
    """
    output, named, failed = invocation.output, tuple(sources or ()), retry_failed
    # Invalid options are reported before asking for a token.
    options = given.config
    for is_wrong, sentence in (
        (not named and failed is None, _NO_SOURCE),
        (named and failed, _TWO_KINDS_OF_SOURCES),
        (dataset is None and failed is None, _NO_DATASET),
        (no_journal and (options["journal"] is not True or options["fresh"]), _JOURNAL_OR_NOT),
        (watch and dry_run, _WATCHED_DRY_RUN),
        (report and dry_run, _NOTHING_TO_REPORT),
        (watch and len(named) != 1, _ONE_FOLDER),
        (options["allow_private_links"] and not options["check_links"], _NOTHING_TO_ALLOW),
        (given.client["allow_private_store"] and not options["verify"], _NOTHING_FROM_STORE),
    ):
        if is_wrong:
            raise CommandError(sentence)
    check_report_files(report or ())
    refuse_to_overwrite(map(Path, named), *(report or ()))
    workers = Workers(scheduler, workers_local)
    config = UploadConfig(**options | ({"journal": False} if no_journal else {}))
    source: Source = failed_items(failed) if failed else FolderWatch(named[0]) if watch else named
    client = client_for(invocation, settle_after=settle_after, **given.client)
    if failed and not output.as_json and not len(failed_items(failed)):
        output.result(f"{failed} lists no failed items, so there is nothing to upload.")
        return WELL

    async def find() -> tuple[list[Project], Dataset | FutureDataset]:
        async with waiting(invocation, client):
            return await _find(client, project or (), dataset, failed, create=create)

    async def work() -> None:
        async with client:
            projects, target = await find()
            if isinstance(target, FutureDataset):
                # A mistake must not leave a dataset behind.
                await in_thread(check_there, source, rules_of(config))
                await in_thread(check_place, config.journal)
                target = await client.datasets.create(target.name, exist_ok=True)
                output.message(f"Created dataset {target.name!r} ({target.id}).")
            whole = attrs.evolve(
                config,
                attach_to=[each.id for each in projects],
                on_event=lambda event: _say(output, event, projects),
            )
            async with workers.through(invocation, client) as there:
                run = there.uploader(target.id, source, config=whole)

                def stop() -> None:
                    if isinstance(source, FolderWatch):
                        source.stop()
                    account.stop(run)

                with ending_in_two_steps(stop):
                    await run_upload(client, run, account, every=stats)

    if dry_run:
        return run_in_loop(_dry_run(client, output, source, find, config))
    account = UploadAccount(output, report or (), is_watching=watch)
    account.run(work())
    return _close(account)


_NO_SOURCE: Final = (
    "Missing argument 'SOURCE': name files, folders or URLs; see `datagym-async upload --help`."
)
_NO_DATASET: Final = "Missing option '--dataset' / '-d'; see `datagym-async upload --help`."
_TWO_KINDS_OF_SOURCES: Final = (
    "--retry-failed takes its items from the report; give no other sources."
)
_JOURNAL_OR_NOT: Final = "--no-journal cannot be used with --journal or --fresh."
_WATCHED_DRY_RUN: Final = "Use --dry-run or --watch, not both."
_NOTHING_TO_REPORT: Final = "--dry-run writes no --report; save its output instead."
_ONE_FOLDER: Final = "--watch takes one folder; start one command for each folder."
_NOTHING_TO_ALLOW: Final = "--allow-private-links needs --check-links."
_NOTHING_FROM_STORE: Final = "--allow-private-store needs --verify."


async def run_upload(
    client: DataGymClient, run: Uploader, account: UploadAccount, *, every: float = SAY_EVERY
) -> None:
    """Upload, show the progress, and keep the data even if it is interrupted."""
    problems = Problems(account.output)

    def look() -> Snapshot:
        if account.record is not None:
            account.record.note(run.progress, client.limiter, client.statistics())
        return Snapshot(
            run.progress,
            client.statistics().retries,
            limiter=client.limiter,
            last_failure=problems.last_failure,
            is_stopping=account.is_stopping,
            is_watching=account.is_watching,
        )

    try:
        async with run, showing(account.output, look, every=every):
            async for result in run:
                problems.note(result)
                account.note(result)
                if account.record is not None:
                    account.record.took(result.seconds)
    finally:
        account.report = run.report
        problems.say_rest()


def _say(output: Output, event: UploadEvent, projects: Sequence[Project]) -> None:
    match event:
        case RunStarted(dataset_name=name):
            for project in projects:
                output.message(f"Dataset {name!r} is attached to project {project.name!r}.")
        case DatasetCreated(name=name):
            output.message(f"Dataset {name!r} is used, because the ones before it are full.")
        case Paused(seconds=seconds, why=why):
            output.message(f"Sending pauses for {clock(seconds)}: {why}")


def _close(account: UploadAccount) -> int:
    report, output = account.report, account.output
    if report is None or not report.dataset_name:  # it ended before it began
        output.warning(f"Interrupted. {how_to_resume(None)}")
        return INTERRUPTED
    is_written = account.write(report)
    status = status_of(report)
    if not output.quiet:
        tell(output, report, account.bytes)
    elif status != WELL:
        output.warning(hint_in_shell_words(report.summary()))
    # If nothing is left to do, the interruption did no harm.
    is_cut_short = account.is_stopping and not report.complete
    written = next((str(file) for file in account.files if file.suffix.lower() == ".json"), "")
    words = how_to_resume(report, written=written) if status != WELL else ""
    if words:
        output.warning(f"Interrupted. {words}" if is_cut_short else words)
    if is_cut_short:
        return INTERRUPTED
    return status if is_written else SOME_FAILED


async def _find(
    client: DataGymClient,
    projects: Sequence[str],
    dataset: str | None,
    report: Path | None,
    *,
    create: bool,
) -> tuple[list[Project], Dataset | FutureDataset]:
    """Return the projects, and the dataset of the options or else of the report."""
    # First, because a wrong name must not leave a dataset behind.
    found = [await project_of(client, each) for each in projects]
    for project in found:
        if project.media_type is MediaType.VIDEO:
            raise CommandError(
                f"Project {project.name!r} labels videos; name one that labels images."
            )
    if dataset is None and report is not None:
        dataset = (await in_thread(read_report, report)).get("dataset_id")
    if not isinstance(dataset, str) or not dataset:
        raise CommandError(_NO_DATASET)
    if not create:
        return found, await dataset_of(client, dataset, hint="--create creates it")
    return found, await find_dataset(client, dataset) or FutureDataset(dataset, client)


async def _dry_run(
    client: DataGymClient,
    output: Output,
    source: Source,
    find: Callable[[], Awaitable[tuple[list[Project], Dataset | FutureDataset]]],
    config: UploadConfig,
) -> int:
    """Print what would be done with each item, and the summary; return the exit status."""
    async with client:
        _, dataset = await find()
        if isinstance(dataset, FutureDataset):
            run = DryRun(dataset, "", source, config=config)
        else:
            run = client.plan(dataset.id, source, config=config)
        async with run as plan:
            async for record in plan:
                if output.as_json:
                    names = ("action", "name", "source", "size", "reason")
                    document = {name: getattr(record, name) for name in names}
                    document |= {"warnings": list(record.warnings)}
                    output.document(json.dumps(in_shell_words(document)))
                else:
                    output.result(output.from_here(_line_of(record)))
    summary = plan.summary
    if output.as_json:
        counts = {"planned": summary.planned} | attrs.asdict(summary)
        document = {"schema": PLAN_SCHEMA} | counts | {"summary": str(summary)}
        output.document(json.dumps(in_shell_words(document)))
    else:
        output.result(hint_in_shell_words(str(summary)))
    return SOME_FAILED if summary.reject else WELL


def _line_of(record: PlannedUpload) -> str:
    weight = "" if record.size is None else f" ({size(record.size)})"
    origin = f" from {record.source}" if record.source and record.source != record.name else ""
    warned = "".join(f" [{each}]" for each in record.warnings)
    if (why := hint_in_shell_words(record.reason)).startswith(f"{record.name}: "):
        return f"{record.action:<7}{why}{warned}"
    why = f": {why}" if why else f"{weight}{origin}"
    return f"{record.action:<7}{record.name}{why}{warned}"
