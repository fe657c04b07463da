"""`download`: a dataset or a project, into a folder."""

import asyncio
from pathlib import Path
from typing import Annotated

import attrs
import typer

from datagym_async._client import DataGymClient
from datagym_async.cli._closing import GO_ON, check_report_file, write_report
from datagym_async.cli._connect import client_for
from datagym_async.cli._download_options import DownloadOptions, client_options, download_config
from datagym_async.cli._errors import (
    INTERRUPTED,
    SOME_FAILED,
    WELL,
    CommandError,
    hint_in_shell_words,
)
from datagym_async.cli._lookup import dataset_of, project_of
from datagym_async.cli._options import Invocation, command
from datagym_async.cli._progress import DownloadSnapshot, ProblemLines, showing
from datagym_async.cli._screen import Output
from datagym_async.cli._signals import STOPPING, ending_in_two_steps, run_in_loop
from datagym_async.downloads import Downloader, DownloadReport, DownloadResult
from datagym_async.exceptions import TransferError


@attrs.define
class _Account:
    """What is known of a run, kept where an interruption cannot take it away."""

    report: DownloadReport | None = None
    is_stopping: bool = False


def download(
    invocation: Invocation,
    options: DownloadOptions,
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="FOLDER",
            help="Where to: a new or an empty folder, or that of the same download before.",
            show_default=False,
        ),
    ],
) -> int:
    """Download the media of a dataset or a project, and their labels.

    Interrupted? The same command goes on: what is there already is not fetched again. Ctrl-C lets
    end what is in flight; a second one stops at once.
    """
    what, file = options.what, options.telling.report
    if what.dataset is None and what.project is None:
        raise CommandError("Nothing is named to download; add --dataset or --project.")
    if what.allow_private_links and what.links != "source":
        raise CommandError("--allow-private-links is for --links source; add it, or leave it out.")
    if file is not None:
        check_report_file(file)
    download_config(options)  # what is out of range is said before anybody is asked for a token
    client, account = client_for(invocation, client_options(options)), _Account()
    try:
        run_in_loop(_download(client, invocation.output, folder, options, account))
    except (KeyboardInterrupt, asyncio.CancelledError):
        account.is_stopping = True
    except TransferError as error:
        if isinstance(error.report, DownloadReport):
            write_report(invocation.output, error.report, file)
        invocation.output.warning(GO_ON)
        raise  # its sentence holds the summary
    return _close(invocation.output, account, file)


def register(app: typer.Typer) -> None:
    """Add the command."""
    command(app, "download")(download)


async def _download(
    client: DataGymClient,
    output: Output,
    folder: Path,
    options: DownloadOptions,
    account: _Account,
) -> None:
    async with client:
        run, problems = await _run_of(client, folder, options), ProblemLines(output)

        def stop() -> None:
            account.is_stopping = True
            run.stop()
            output.warning(STOPPING)

        def look() -> DownloadSnapshot:
            retries = client.statistics().retries
            return DownloadSnapshot(
                run.progress, retries, client.download_limiter, account.is_stopping
            )

        with ending_in_two_steps(stop):
            try:
                async with run, showing(output, look, every=options.telling.stats):
                    async for result in run:
                        if result.is_problem:
                            problems.say(_problem_line(result))
            finally:
                account.report = run.report


async def _run_of(client: DataGymClient, folder: Path, options: DownloadOptions) -> Downloader:
    what = options.what
    project = None if what.project is None else await project_of(client, what.project)
    if what.dataset is None and project is not None:
        return client.project_downloader(project.id, folder, config=download_config(options))
    dataset = await dataset_of(client, what.dataset or "")
    project_id = None if project is None else project.id
    config = download_config(options, project_id=project_id)
    return client.downloader(dataset.id, folder, config=config)


def _problem_line(result: DownloadResult) -> str:
    return f"failed: {result.printable_name}: {hint_in_shell_words(result.reason)}"


def _close(output: Output, account: _Account, file: Path | None) -> int:
    """Say how a run ended, and write it down; return the exit status."""
    report = account.report
    if report is None or not report.name:  # it ended before it began
        output.warning(f"Interrupted. {GO_ON}")
        return INTERRUPTED
    write_report(output, report, file)
    summary = hint_in_shell_words(report.summary())
    for note in report.notes:
        output.warning(note)
    if not output.quiet:
        output.result(summary)
    elif not report.ok:
        output.warning(summary)
    if account.is_stopping and not report.complete:
        output.warning(f"Interrupted. {GO_ON}")
        return INTERRUPTED
    if not report.ok:
        output.warning("The same command tries again what failed." if report.complete else GO_ON)
    return WELL if report.ok else SOME_FAILED
