"""`export`: the labels of a project, into a file or folder of a format."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any, Literal

import attrs
import typer
from rich.console import RenderableType

from datagym_async._client import DataGymClient
from datagym_async._runs._text import counted, size
from datagym_async.cli._command import Invocation, command, group
from datagym_async.cli._connect import client_for
from datagym_async.cli._errors import INTERRUPTED, SOME_FAILED, WELL
from datagym_async.cli._lookup import project_of
from datagym_async.cli._progress import first_row, showing
from datagym_async.cli._screen import Output, bar
from datagym_async.cli._signals import on_stop_signals, run_in_loop
from datagym_async.exports import ExportedLabels, ExportFormat, ExportProgress
from datagym_async.formats import LossReport
from datagym_async.formats.coco import CocoMapping

_VERBS = {"export": "Exporting", "sizes": "Reading sizes", "write": "Writing"}

app = group("export")


@command(app, "export")
def export(
    invocation: Invocation,
    project: Annotated[
        str,
        typer.Argument(metavar="PROJECT", help="Name or id of the project.", show_default=False),
    ],
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            metavar="PATH",
            help="The file of json, jsonl and coco, replaced if it is there; the folder of others.",
            show_default=False,
        ),
    ],
    format: Annotated[  # noqa: A002 -- the option's name
        ExportFormat,
        typer.Option(
            "--format", "-f", help="json is what the service sends; jsonl has a task a line."
        ),
    ] = "json",
    by: Annotated[
        Literal["supercategory", "category"],
        typer.Option(
            "--by", help="What an entry of the configuration is in COCO; its select is the other."
        ),
    ] = "supercategory",
    select: Annotated[
        str | None,
        typer.Option(
            "--select",
            metavar="KEY",
            help="Key of the nested select that names the class (default: subcategory, or "
            "supercategory with --by category).",
        ),
    ] = None,
    sizes: Annotated[
        bool,
        typer.Option(
            "--sizes/--no-sizes",
            help="Read width and height of each image from the service, a request each; coco, yolo "
            "and voc need them.",
        ),
    ] = True,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a folder that is not empty.")
    ] = False,
) -> int:
    """Export the labels of a project's finished tasks.

    What the format cannot hold is counted and named at the end; the exit status is 1 if there are
    tasks of which nothing could be written. A file or folder is there whole or not at all.
    """
    run = _Run(invocation.output)
    client = client_for(invocation)
    mapping = CocoMapping(by=by, select=select)

    async def work(opened: DataGymClient) -> ExportedLabels:
        found = await project_of(opened, project)
        return await opened.export_labels(
            found.id,
            output,
            format,
            mapping=mapping,
            sizes=sizes,
            overwrite=overwrite,
            on_progress=run.note,
        )

    try:
        exported = run_in_loop(_export(client, run, work))
    except (KeyboardInterrupt, asyncio.CancelledError):
        invocation.output.warning("Interrupted; nothing half-written is left.")
        return INTERRUPTED
    return _close(invocation.output, exported)


@attrs.frozen
class _Snapshot:
    """How far an export is, as it is shown."""

    progress: ExportProgress
    seconds: float

    def drawing(self) -> RenderableType:
        """Return it as it is drawn: a bar and a figure."""
        progress = self.progress
        drawn = bar(progress.done, progress.total or 1, pulse=progress.total is None)
        return first_row(self._verb, drawn, self._figure)

    def line(self) -> str:
        """Return it as one line."""
        return f"{self._verb}: {self._figure}"

    @property
    def _verb(self) -> str:
        return _VERBS[self.progress.phase]

    @property
    def _figure(self) -> str:
        progress = self.progress
        if progress.total is not None:
            return f"{progress.done:,}/{counted(progress.total, 'task')}"
        return size(progress.done) if progress.unit == "bytes" else counted(progress.done, "task")


@attrs.define
class _Run:
    """Knows how far the export is."""

    output: Output
    _progress: ExportProgress = attrs.field(factory=lambda: ExportProgress(phase="export"))
    _began: float = attrs.field(factory=time.monotonic)

    def note(self, progress: ExportProgress) -> None:
        """Take note of how far it is."""
        self._progress = progress

    def look(self) -> _Snapshot:
        """Return what is shown."""
        return _Snapshot(self._progress, time.monotonic() - self._began)


async def _export(
    client: DataGymClient, run: _Run, work: Callable[[DataGymClient], Awaitable[ExportedLabels]]
) -> ExportedLabels:
    task = asyncio.current_task()

    def stop() -> None:
        if task is not None:
            task.cancel()

    with on_stop_signals(stop):
        async with client, showing(run.output, run.look):
            return await work(client)


def _close(output: Output, exported: ExportedLabels) -> int:
    """Say what came of an export; return the exit status."""
    if output.as_json:
        output.document(_document(exported))
    for loss in exported.losses.items:
        output.warning(f"lost: {loss}")
    if not output.quiet:
        output.result(f"Wrote {_what(exported)} to {exported.path}.")
    return SOME_FAILED if exported.left_out else WELL


def _what(exported: ExportedLabels) -> str:
    if exported.tasks is None:
        return size(exported.size or 0)
    tasks = counted(exported.tasks, "task")
    return f"{tasks} with {counted(exported.annotations or 0, 'shape')}"


def _document(exported: ExportedLabels) -> dict[str, Any]:
    return {
        "path": str(exported.path),
        "format": exported.format,
        "size": exported.size,
        "tasks": exported.tasks,
        "annotations": exported.annotations,
        "left_out": exported.left_out,
        "losses": _losses(exported.losses),
    }


def _losses(report: LossReport) -> list[dict[str, Any]]:
    return [
        {
            "kind": each.kind.value,
            "count": each.count,
            "text": each.kind.text,
            "examples": list(each.examples),
        }
        for each in report.items
    ]
