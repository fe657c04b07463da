"""`download`: a dataset or a project, into a folder."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import attrs

from datagym_async._client import DataGymClient
from datagym_async._runs._stores import is_stored
from datagym_async.cli._closing import RESUME, Account, check_report_files
from datagym_async.cli._command import Invocation, command, group
from datagym_async.cli._connect import Workers, client_for, waiting
from datagym_async.cli._errors import (
    INTERRUPTED,
    SOME_FAILED,
    WELL,
    CommandError,
    hint_in_shell_words,
)
from datagym_async.cli._job_options import DOWNLOAD
from datagym_async.cli._lookup import dataset_of, project_of
from datagym_async.cli._option_table import Given
from datagym_async.cli._options import argument
from datagym_async.cli._progress import SAY_EVERY, DownloadSnapshot, ProblemLines, showing
from datagym_async.cli._signals import ending_in_two_steps
from datagym_async.downloads import DownloadConfig, Downloader, DownloadReport

app = group("download")


@command(app, "download", table=DOWNLOAD)
def download(
    invocation: Invocation,
    given: Given,
    folder: Annotated[
        str,
        argument(
            "FOLDER",
            "Folder to write to: a new or empty one, or that of an earlier run of the same "
            "download; or a prefix in a store (s3://bucket/out/).",
        ),
    ],
    dataset: str | None = None,
    project: str | None = None,
    lossy_ok: bool = False,
    scheduler: str | None = None,
    workers_local: int | None = None,
    stats: float = SAY_EVERY,
    report: list[Path] | None = None,
) -> int:
    """Download the media of a dataset or a project, and their labels.

    The same command resumes: existing files are not downloaded again. After one Ctrl-C the
    downloads in flight get 30 seconds to finish; a second one stops at once.
    """
    # Invalid options are reported before asking for a token.
    _check_needs(given.config, folder, dataset, project)
    check_report_files(report or ())
    account: Account[DownloadReport] = Account(invocation.output, report or ())
    workers = Workers(scheduler, workers_local)
    config = DownloadConfig(**given.config)
    client = client_for(invocation, **given.client)

    async def start(there: DataGymClient) -> Downloader:
        async with waiting(invocation, client):
            found = None if project is None else await project_of(client, project)
            if dataset is None and found is not None:
                return there.project_downloader(found.id, folder, config=config)
            source = await dataset_of(client, dataset or "")
        joined = attrs.evolve(config, project_id=None if found is None else found.id)
        return there.downloader(source.id, folder, config=joined)

    async def work() -> None:
        async with client, workers.through(invocation, client) as there:
            run, problems = await start(there), ProblemLines(account.output)

            def look() -> DownloadSnapshot:
                if account.record is not None:
                    account.record.note(run.progress, client.download_limiter, client.statistics())
                retries = client.statistics().retries
                return DownloadSnapshot(
                    run.progress, retries, client.download_limiter, account.is_stopping
                )

            with ending_in_two_steps(lambda: account.stop(run)):
                try:
                    async with run, showing(account.output, look, every=stats):
                        async for result in run:
                            if account.record is not None:
                                account.record.took(result.seconds)
                            if result.is_problem:
                                reason = hint_in_shell_words(result.reason)
                                problems.say("failed", result.printable_name, reason)
                finally:
                    account.report = run.report
                    problems.say_rest()

    account.run(work())
    return _close(account, lossy_ok=lossy_ok)


def _check_needs(
    config: Mapping[str, Any], folder: str, dataset: str | None, project: str | None
) -> None:
    """Refuse options that have no effect without another one."""
    if dataset is None and project is None:
        raise CommandError("Name what to download: add --dataset or --project.")
    if dataset and project and not DownloadConfig(**config).needs_project:
        raise CommandError("With --dataset, --project needs --labels, --bitmaps or --links source.")
    if config["store_options"] and not is_stored(folder):
        raise CommandError("--store-option needs a folder in a store, such as s3://bucket/out/.")
    if config["allow_private_links"] and config["links"] != "source":
        raise CommandError("--allow-private-links needs --links source.")


def _close(account: Account[DownloadReport], *, lossy_ok: bool) -> int:
    report, output = account.report, account.output
    if report is None or not report.name:  # it ended before it began
        output.warning(f"Interrupted. {RESUME}")
        return INTERRUPTED
    is_written = account.write(report)
    summary = hint_in_shell_words(report.summary())
    for note in report.notes:
        output.warning(note)
    if not output.quiet:
        output.result(summary)
    elif not report.ok:
        output.warning(summary)
    if account.is_stopping and not report.complete:
        output.warning(f"Interrupted. {RESUME}")
        return INTERRUPTED
    if not report.ok:
        output.warning("The same command tries again what failed." if report.complete else RESUME)
    is_whole = report.ok and (lossy_ok or not report.left_out)
    return WELL if is_whole and is_written else SOME_FAILED
