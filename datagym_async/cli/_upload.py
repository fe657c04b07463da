"""`upload`: whatever names images, into a dataset."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import attrs
import typer

from datagym_async._client import DataGymClient
from datagym_async.cli._closing import Totals, how_to_go_on, status_of, tell
from datagym_async.cli._connect import client_for
from datagym_async.cli._dry_run import plan_of, show_plan
from datagym_async.cli._errors import INTERRUPTED, WELL
from datagym_async.cli._figures import clock
from datagym_async.cli._loop import run_in_loop
from datagym_async.cli._options import Invocation, command
from datagym_async.cli._output import Output
from datagym_async.cli._progress import SAY_EVERY, showing
from datagym_async.cli._report_file import check_report_file, write_report
from datagym_async.cli._signals import STOPPING, ending_in_two_steps
from datagym_async.cli._upload_progress import Problems, Snapshot
from datagym_async.cli._upload_settings import (
    Options,
    check_together,
    client_options,
    upload_config,
)
from datagym_async.cli._upload_target import find_projects, find_target, look_for_target
from datagym_async.exceptions import TransferError
from datagym_async.models import Project
from datagym_async.transfer import (
    DatasetCreated,
    FolderWatch,
    Paused,
    RunStarted,
    Source,
    Uploader,
    UploadEvent,
    UploadReport,
    failed_items,
)


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
