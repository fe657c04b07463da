"""`upload`: whatever names images, into a dataset."""

import asyncio
import contextlib
from pathlib import Path
from typing import Annotated, Literal

import attrs
import typer

from datagym_async._client import DataGymClient
from datagym_async.cli._connect import client_for
from datagym_async.cli._errors import INTERRUPTED, SOME_FAILED, WELL, CommandError
from datagym_async.cli._lookup import dataset_of, find_dataset, project_of
from datagym_async.cli._options import Invocation, command
from datagym_async.cli._output import Output
from datagym_async.cli._progress import Problems, Snapshot, showing
from datagym_async.exceptions import TransferError
from datagym_async.models import Dataset, MediaType, Project
from datagym_async.transfer import Outcome, UploadConfig, Uploader, UploadReport, UploadResult


@attrs.frozen(kw_only=True)
class Job:
    """What is to be uploaded, and where to."""

    sources: tuple[str, ...]
    dataset: str
    create: bool
    project: str | None
    config: UploadConfig


@attrs.define
class Account:
    """What is known of a run, kept where an interruption cannot take it away.

    Attributes:
        report: Its report, once it has ended in whatever way.
        uploaded: The first file that it uploaded.
    """

    report: UploadReport | None = None
    uploaded: UploadResult | None = None

    def note(self, result: UploadResult) -> None:
        """Keep the first uploaded file."""
        if self.uploaded is None and result.outcome is Outcome.UPLOADED and result.item.path:
            self.uploaded = result


def upload(
    invocation: Invocation,
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCE...",
            help="Files, folders (with all below them), globs, manifests (.txt .csv .jsonl), "
            "URLs, or - for a list on standard input.",
            show_default=False,
        ),
    ],
    dataset: Annotated[
        str,
        typer.Option("--dataset", "-d", metavar="NAME|ID", help="The dataset to upload into."),
    ],
    create: Annotated[
        bool, typer.Option("--create", help="Create the dataset unless it is there.")
    ] = False,
    project: Annotated[
        str | None,
        typer.Option("--project", metavar="NAME|ID", help="Attach the dataset to this project."),
    ] = None,
    concurrency: Annotated[
        int,
        typer.Option("--concurrency", metavar="N", help="Uploads in flight at once, 1 to 256."),
    ] = 8,
    rate: Annotated[
        float,
        typer.Option(
            "--rate",
            metavar="N",
            min=0,
            help="Requests a second; 0 for no limit.",
            show_default="200",
        ),
    ] = 200.0,
    name: Annotated[
        Literal["basename", "relative"],
        typer.Option(
            "--name",
            help="Name images by their last part, or by their path below the source: the way out "
            "where subfolders hold files of one name.",
        ),
    ] = "basename",
    report: Annotated[
        Path | None,
        typer.Option(
            "--report",
            metavar="FILE",
            help="Write the report: FILE.json with everything, FILE.csv with the problems.",
        ),
    ] = None,
    no_skip: Annotated[
        bool,
        typer.Option(
            "--no-skip",
            help="Send also what the dataset holds by name (the service will refuse it).",
        ),
    ] = False,
) -> int:
    """Upload images into a dataset.

    Interrupted? The same command goes on: what the dataset holds already is skipped.
    """
    if report is not None:
        check_report_file(report)
    job = Job(
        sources=tuple(sources),
        dataset=dataset,
        create=create,
        project=project,
        config=UploadConfig(concurrency=concurrency, name=name, skip_existing=not no_skip),
    )
    client, account = client_for(invocation, rate=rate or None), Account()
    try:
        asyncio.run(_upload(client, invocation.output, job, account))
    except KeyboardInterrupt:
        return _interrupted(invocation.output, account, report)
    except TransferError as error:
        if isinstance(error.report, UploadReport):
            account.report = error.report
        _write(invocation.output, account.report, report)  # its sentence holds the summary
        raise
    return _tell(invocation.output, account.report, report)


def register(app: typer.Typer) -> None:
    """Add the command."""
    command(app, "upload")(upload)


async def _upload(client: DataGymClient, output: Output, job: Job, account: Account) -> None:
    async with client:
        dataset = await _target(client, output, job)
        await run_upload(client, output, dataset.id, job.sources, account, config=job.config)


async def run_upload(
    client: DataGymClient,
    output: Output,
    dataset_id: str,
    sources: tuple[str, ...],
    account: Account,
    *,
    config: UploadConfig | None = None,
) -> None:
    """Upload, show how far it is, and keep the account even if it is interrupted."""
    run = client.uploader(dataset_id, sources, config=config)
    try:
        async with run, _shown(output, client, run) as problems:
            async for result in run:
                problems.note(result)
                account.note(result)
    finally:
        account.report = run.report


def _shown(
    output: Output, client: DataGymClient, run: Uploader
) -> contextlib.AbstractAsyncContextManager[Problems]:
    return showing(output, lambda: Snapshot(run.progress, client.statistics().retries))


async def _target(client: DataGymClient, output: Output, job: Job) -> Dataset:
    # The project first: a wrong name must not leave a dataset behind.
    project = await _image_project(client, job.project) if job.project else None
    dataset = await (_found_or_made(client, output, job) if job.create else _found(client, job))
    if project is not None:
        await client.projects.add_dataset(project.id, dataset.id)
        output.message(f"Dataset {dataset.name!r} is attached to project {project.name!r}.")
    return dataset


async def _image_project(client: DataGymClient, wanted: str) -> Project:
    project = await project_of(client, wanted)
    if project.media_type is MediaType.VIDEO:
        raise CommandError(f"Project {project.name!r} labels videos; name one that labels images.")
    return project


async def _found(client: DataGymClient, job: Job) -> Dataset:
    return await dataset_of(client, job.dataset, hint="--create makes it")


async def _found_or_made(client: DataGymClient, output: Output, job: Job) -> Dataset:
    if (found := await find_dataset(client, job.dataset)) is not None:
        return found
    made = await client.datasets.create(job.dataset, exist_ok=True)
    output.message(f"Created dataset {made.name!r} ({made.id}).")
    return made


def check_report_file(file: Path) -> None:
    """Raise a `CommandError` if a report could not be written there when all is done."""
    if file.suffix.lower() not in {".json", ".csv"}:
        raise CommandError(f"The report file {file} must end in .json or .csv.")
    if not file.parent.is_dir():
        raise CommandError(
            f"The report {file} cannot be written: there is no folder {file.parent}."
        )
    if file.is_dir():
        raise CommandError(f"The report {file} cannot be written: it is a folder.")


def _tell(output: Output, report: UploadReport | None, file: Path | None) -> int:
    """Say how a run ended, and write it down; return the exit status."""
    if report is None or not report.dataset_name:  # it ended before it began
        return WELL
    _write(output, report, file)
    if not output.quiet:
        output.result(report.summary())
    elif not report.ok:
        output.warning(report.summary())
    return WELL if report.ok else SOME_FAILED


def _write(output: Output, report: UploadReport | None, file: Path | None) -> None:
    """Write the report where programs find it: the report file, and standard output."""
    if report is None:
        return
    if output.as_json:
        output.document(report.to_json())
    if file is None:
        return
    try:
        if file.suffix.lower() == ".csv":
            report.to_csv(file)
        else:
            report.to_json(file)
    except OSError as error:
        raise CommandError(
            f"The report {file} cannot be written: {error.strerror}.", status=SOME_FAILED
        ) from None
    output.message(f"The report is in {file}.")


def _interrupted(output: Output, account: Account, file: Path | None) -> int:
    _tell(output, account.report, file)
    output.warning("Interrupted. The same command goes on where this one stopped.")
    return INTERRUPTED
