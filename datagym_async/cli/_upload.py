"""`upload`: whatever names images, into a dataset.

From the options of `upload` to those of client and uploader: pure functions.

An option of the command line that has a counterpart in `UploadConfig` means the same. The
journal alone differs: it is kept unless it is refused, since whoever types a command expects it
to go on.

Where an upload goes: the dataset and the projects that the options name.
"""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Annotated, Final

import attrs
import typer

from datagym_async._json import check_depth
from datagym_async.cli._closing import (
    Totals,
    check_report_file,
    how_to_go_on,
    status_of,
    tell,
    write_report,
)
from datagym_async.cli._connect import ClientOptions, client_for
from datagym_async.cli._dry_run import Imagined, plan_of, show_plan
from datagym_async.cli._errors import INTERRUPTED, WELL, CommandError
from datagym_async.cli._lookup import dataset_of, find_dataset, project_of
from datagym_async.cli._options import Invocation, command
from datagym_async.cli._progress import SAY_EVERY, Problems, Snapshot, showing
from datagym_async.cli._screen import Output, clock
from datagym_async.cli._signals import STOPPING, ending_in_two_steps, run_in_loop
from datagym_async.cli._upload_options import Checks, Files, GoingOn, Speed, Stops, Telling, Where
from datagym_async.exceptions import TransferError
from datagym_async.models import Dataset, MediaType, Project
from datagym_async.uploads import (
    DatasetCreated,
    FolderWatch,
    Paused,
    RunStarted,
    Source,
    UploadConfig,
    Uploader,
    UploadEvent,
    UploadReport,
    failed_items,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from datagym_async._client import DataGymClient


@attrs.frozen(kw_only=True)
class Options:
    """All groups of options of `upload`."""

    where: Where = attrs.field(factory=Where)
    files: Files = attrs.field(factory=Files)
    checks: Checks = attrs.field(factory=Checks)
    speed: Speed = attrs.field(factory=Speed)
    going_on: GoingOn = attrs.field(factory=GoingOn)
    stops: Stops = attrs.field(factory=Stops)
    telling: Telling = attrs.field(factory=Telling)


def check_together(options: Options, sources: Sequence[str]) -> None:
    """Refuse options that make no sense together.

    Raises:
        CommandError: They do not, or one is missing.
    """
    where, going_on = options.where, options.going_on
    for is_wrong, sentence in (
        (not sources and going_on.retry_failed is None, _NO_SOURCE),
        (sources and going_on.retry_failed, _TWO_KINDS_OF_SOURCES),
        (where.dataset is None and going_on.retry_failed is None, _NO_DATASET),
        (going_on.no_journal and (going_on.journal or going_on.fresh), _NO_AND_YET_A_JOURNAL),
        (going_on.watch and options.telling.dry_run, _WATCHED_DRY_RUN),
        (options.telling.report and options.telling.dry_run, _NOTHING_TO_REPORT),
        (going_on.watch and len(sources) != 1, _ONE_FOLDER),
        (options.checks.allow_private_links and not options.checks.check_links, _NOTHING_TO_ALLOW),
        (options.checks.allow_private_store and not options.checks.verify, _NOTHING_FROM_STORE),
    ):
        if is_wrong:
            raise CommandError(sentence)


_NO_SOURCE: Final = (
    "Missing argument 'SOURCE...': name files, folders or URLs; see `datagym-async upload --help`."
)
_NO_DATASET: Final = "Missing option '--dataset' / '-d'; see `datagym-async upload --help`."
_TWO_KINDS_OF_SOURCES: Final = (
    "--retry-failed takes its items from the report; leave the other sources out."
)
_NO_AND_YET_A_JOURNAL: Final = "--no-journal contradicts --journal and --fresh; leave one out."
_WATCHED_DRY_RUN: Final = "--dry-run looks once and --watch for ever; leave one out."
_NOTHING_TO_REPORT: Final = "--dry-run has no --report; take its output, or leave one out."
_ONE_FOLDER: Final = "--watch takes one folder; start another command for each other folder."
_NOTHING_TO_ALLOW: Final = "--allow-private-links is for --check-links; add it, or leave both out."
_NOTHING_FROM_STORE: Final = "--allow-private-store is for --verify; add it, or leave both out."


def client_options(options: Options) -> ClientOptions:
    """Return what the client is made with."""
    speed = options.speed
    return ClientOptions(
        concurrency=speed.concurrency,
        max_uploads=speed.max_concurrency,
        rate=speed.rate or None,
        max_upload_rate=speed.max_upload_rate,
        settle_after=options.going_on.settle_after,
        allow_private_store=options.checks.allow_private_store,
    )


def upload_config(options: Options, *, attach_to: Sequence[str] = ()) -> UploadConfig:
    """Return the options of the uploader.

    Args:
        options: The options of the command.
        attach_to: Ids of the projects that they name.

    Raises:
        ConfigurationError: One is out of its range.
    """
    where, files, checks = options.where, options.files, options.checks
    speed, going_on, stops = options.speed, options.going_on, options.stops
    return UploadConfig(
        attach_to=tuple(attach_to),
        max_per_dataset=where.max_per_dataset,
        skip_existing=not where.no_skip,
        include=tuple(files.include or ()),
        exclude=tuple(files.exclude or ()),
        include_hidden=files.hidden,
        symlinks=files.symlinks,
        name=files.name,
        name_separator=files.name_separator,
        on_clash=files.on_clash,
        check=checks.check,
        max_bytes=checks.max_bytes,
        check_links=checks.check_links,
        allow_private_links=checks.allow_private_links,
        verify=checks.verify,
        remove_doubles=checks.remove_doubles,
        concurrency=speed.concurrency,
        journal=False if going_on.no_journal else going_on.journal or True,
        fresh=going_on.fresh,
        identity=going_on.identity,
        max_files=stops.max_files,
        max_bytes_total=stops.max_bytes_total,
        max_failures=stops.max_failures,
        max_duration=stops.max_duration,
    )


async def find_projects(client: DataGymClient, wanted: Iterable[str]) -> list[Project]:
    """Return the projects that a dataset is to be attached to.

    Raises:
        CommandError: One is unknown, or not for images.
    """
    return [await _image_project(client, each) for each in wanted]


async def find_target(client: DataGymClient, output: Output, options: Options) -> Dataset:
    """Return the dataset that the options name, made if they ask for it.

    Raises:
        CommandError: There is none.
    """
    found = await look_for_target(client, options)
    if isinstance(found, Dataset):
        return found
    made = await client.datasets.create(found.name, exist_ok=True)
    output.message(f"Created dataset {made.name!r} ({made.id}).")
    return made


async def look_for_target(client: DataGymClient, options: Options) -> Dataset | Imagined:
    """Return the dataset that the options name, or the one that would be made.

    Raises:
        CommandError: There is none, and it is not to be made.
    """
    wanted = options.where.dataset
    if wanted is None and options.going_on.retry_failed is not None:
        wanted = await asyncio.to_thread(_dataset_of_report, options.going_on.retry_failed)
    if wanted is None:
        raise CommandError("No dataset is named; add --dataset.")
    if not options.where.create:
        return await dataset_of(client, wanted, hint="--create makes it")
    return await find_dataset(client, wanted) or Imagined(wanted, client)


async def _image_project(client: DataGymClient, wanted: str) -> Project:
    project = await project_of(client, wanted)
    if project.media_type is MediaType.VIDEO:
        raise CommandError(f"Project {project.name!r} labels videos; name one that labels images.")
    return project


def _dataset_of_report(file: Path) -> str:
    """Return the dataset of a report; what else is wrong with it is said when it is read whole."""
    try:
        check_depth(text := file.read_bytes())
        document = json.loads(text)
    except (OSError, ValueError):
        document = None
    found = document.get("dataset_id") if isinstance(document, dict) else None
    if not isinstance(found, str) or not found:
        raise CommandError(
            f"{file} is no report of an upload (--report FILE.json writes one); give it, or name "
            "the dataset with --dataset."
        )
    return found


@attrs.define
class Account:
    """What is known of a run, kept where an interruption cannot take it away.

    Attributes:
        report: Its report, once it has ended in whatever way.
        totals: What its results add up to.
        is_stopping: Whether somebody has asked it to end.
    """

    report: UploadReport | None = None
    totals: Totals = attrs.field(factory=Totals)
    is_stopping: bool = False


def upload(
    invocation: Invocation,
    options: Options,
    sources: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="SOURCE...",
            help="Files, folders (with all below them), globs, manifests (.txt .csv .jsonl), "
            "URLs, or - for a list on standard input.",
            show_default=False,
        ),
    ] = None,
) -> int:
    """Upload images into a dataset.

    Interrupted? The same command goes on: what is done is not done again. Ctrl-C lets end what is
    in flight; a second one stops at once.
    """
    given = tuple(sources or ())
    check_together(options, given)
    if options.telling.report is not None:
        check_report_file(options.telling.report)
    upload_config(options)  # what is out of range is said before anybody is asked for a token
    source, account = source_of(given, options), Account()
    client = client_for(invocation, client_options(options))
    if options.telling.dry_run:
        return run_in_loop(_dry_run(client, invocation.output, source, options))
    try:
        run_in_loop(_upload(client, invocation.output, source, options, account))
    except (KeyboardInterrupt, asyncio.CancelledError):
        account.is_stopping = True
    except TransferError as error:
        if isinstance(error.report, UploadReport):
            account.report = error.report
        if account.report is not None:
            write_report(invocation.output, account.report, options.telling.report)
        invocation.output.warning(how_to_go_on(account.report))
        raise  # its sentence holds the summary
    return _close(invocation.output, account, options)


def register(app: typer.Typer) -> None:
    """Add the command."""
    command(app, "upload")(upload)


def source_of(sources: tuple[str, ...], options: Options) -> Source:
    """Return what names the images."""
    if options.going_on.retry_failed is not None:
        return failed_items(options.going_on.retry_failed)
    if options.going_on.watch:
        return FolderWatch(sources[0])
    return sources


async def _dry_run(client: DataGymClient, output: Output, source: Source, options: Options) -> int:
    async with client:
        await find_projects(client, options.where.project or ())
        dataset = await look_for_target(client, options)
        return await show_plan(output, plan_of(client, dataset, source, upload_config(options)))


async def _upload(
    client: DataGymClient, output: Output, source: Source, options: Options, account: Account
) -> None:
    async with client:
        # The projects first: a wrong name must not leave a dataset behind.
        projects = await find_projects(client, options.where.project or ())
        dataset = await find_target(client, output, options)
        config = attrs.evolve(
            upload_config(options, attach_to=[each.id for each in projects]),
            on_event=lambda event: _say(output, event, projects),
        )
        run = client.uploader(dataset.id, source, config=config)

        def stop() -> None:
            account.is_stopping = True
            if isinstance(source, FolderWatch):
                source.stop()
            run.stop()
            output.warning(STOPPING)

        with ending_in_two_steps(stop):
            await run_upload(client, output, run, account, every=options.telling.stats)


def _say(output: Output, event: UploadEvent, projects: Sequence[Project]) -> None:
    match event:
        case RunStarted(dataset_name=name):
            for project in projects:
                output.message(f"Dataset {name!r} is attached to project {project.name!r}.")
        case DatasetCreated(name=name):
            output.message(f"Dataset {name!r} takes what does not fit into the ones before.")
        case Paused(seconds=seconds, why=why):
            output.message(f"Nothing is sent for {clock(seconds)}: {why}")


async def run_upload(
    client: DataGymClient,
    output: Output,
    run: Uploader,
    account: Account,
    *,
    every: float = SAY_EVERY,
) -> None:
    """Upload, show how far it is, and keep the account even if it is interrupted.

    Args:
        client: The client of the run.
        output: Where to show it.
        run: The upload, not yet open.
        account: What is kept of it.
        every: Seconds between two lines where nothing can be drawn; 0 for none.
    """
    problems = Problems(output)

    def look() -> Snapshot:
        return Snapshot(
            run.progress,
            client.statistics().retries,
            limiter=client.limiter,
            last_failure=problems.last_failure,
            is_stopping=account.is_stopping,
        )

    try:
        async with run, showing(output, look, every=every):
            async for result in run:
                problems.note(result)
                account.totals.note(result)
    finally:
        account.report = run.report


def _close(output: Output, account: Account, options: Options) -> int:
    """Say how a run ended, and write it down; return the exit status."""
    report = account.report
    if report is None or not report.dataset_name:  # it ended before it began
        output.warning(f"Interrupted. {how_to_go_on(None)}")
        return INTERRUPTED
    file = options.telling.report
    write_report(output, report, file)
    status = status_of(report, watched=options.going_on.watch)
    if not output.quiet:
        tell(output, report, account.totals)
    elif status != WELL:
        output.warning(report.summary())
    is_cut_short = account.is_stopping and not _is_settled(report, options)
    words = how_to_go_on(report, written=_if_json(file)) if status != WELL else ""
    if words:
        output.warning(f"Interrupted. {words}" if is_cut_short else words)
    return INTERRUPTED if is_cut_short else status


def _is_settled(report: UploadReport, options: Options) -> bool:
    """Return whether nothing is left to be done, so that an interruption has taken nothing away."""
    if options.going_on.watch:
        return not (report.pending or report.unsettled)
    return report.complete


def _if_json(file: Path | None) -> str:
    return "" if file is None or file.suffix.lower() != ".json" else str(file)
