"""`export`: the labels of a project, into a file or folder of a format."""

import asyncio
import time
from pathlib import Path
from typing import Annotated, Literal

import attrs
from rich.console import RenderableType

from datagym_async._runs._text import counted, size
from datagym_async.cli._command import Invocation, command, group
from datagym_async.cli._connect import client_for, waiting
from datagym_async.cli._errors import INTERRUPTED, SOME_FAILED, WELL
from datagym_async.cli._lookup import project_of
from datagym_async.cli._options import ProjectArgument, flag
from datagym_async.cli._progress import first_row, showing
from datagym_async.cli._screen import Output, bar, plain
from datagym_async.cli._signals import on_stop_signals, run_in_loop
from datagym_async.exports import ExportedLabels, ExportFormat, ExportProgress
from datagym_async.formats import LabelMapping

_VERBS = {"export": "Exporting", "sizes": "Reading sizes", "write": "Writing"}

app = group("export")


@command(app, "export")
def export(
    invocation: Invocation,
    project: ProjectArgument,
    output: Annotated[
        Path,
        flag(
            "--output -o PATH",
            "The file of json, jsonl and coco, replaced if it is there; the folder of others.",
            show_default=False,
        ),
    ],
    format: Annotated[  # noqa: A002 -- the option's name
        ExportFormat,
        flag("--format -f", "json is what the service sends; jsonl has a task a line."),
    ] = "json",
    by: Annotated[
        Literal["supercategory", "category"],
        flag("--by", "What an entry of the configuration is in COCO; its select is the other."),
    ] = "supercategory",
    select: Annotated[
        str | None,
        flag(
            "--select KEY",
            "Key of the nested select that names the class (default: subcategory, or "
            "supercategory with --by category).",
        ),
    ] = None,
    sizes: Annotated[
        bool,
        flag(
            "--sizes/--no-sizes",
            "Read width and height of each image from the service, a request each; coco, yolo "
            "and voc need them.",
        ),
    ] = True,
    overwrite: Annotated[bool, flag("--overwrite", "Replace a folder that is not empty.")] = False,
) -> int:
    """Export the labels of a project's finished tasks.

    What the format cannot hold is counted and named at the end; the exit status is 1 if there are
    tasks of which nothing could be written. A file or folder is there whole or not at all.
    """
    client, shown = client_for(invocation), invocation.output
    progress, began = ExportProgress(phase="export"), time.monotonic()

    def note(now: ExportProgress) -> None:
        nonlocal progress
        progress = now

    def look() -> _Snapshot:
        return _Snapshot(progress, time.monotonic() - began)

    async def run() -> ExportedLabels:
        task = asyncio.current_task()
        with on_stop_signals(lambda: task and task.cancel()):
            async with client, waiting(invocation, client), showing(shown, look):
                found = await project_of(client, project)
                return await client.export_labels(
                    found.id,
                    output,
                    format,
                    mapping=LabelMapping(by=by, select=select),
                    sizes=sizes,
                    overwrite=overwrite,
                    on_progress=note,
                )

    try:
        exported = run_in_loop(run())
    except (KeyboardInterrupt, asyncio.CancelledError):
        shown.warning("Interrupted; nothing half-written is left.")
        return INTERRUPTED
    return _close(shown, exported)


@attrs.frozen
class _Snapshot:
    """How far an export is, as it is shown."""

    progress: ExportProgress
    seconds: float

    def drawing(self) -> RenderableType:
        done, total = self.progress.done, self.progress.total
        drawn = bar(done, total or 1, pulse=total is None)
        return first_row(_VERBS[self.progress.phase], drawn, self._figure())

    def line(self) -> str:
        return f"{_VERBS[self.progress.phase]}: {self._figure()}"

    def _figure(self) -> str:
        done, total = self.progress.done, self.progress.total
        if total is not None:
            return f"{done:,}/{counted(total, 'task')}"
        return size(done) if self.progress.unit == "bytes" else counted(done, "task")


def _close(output: Output, exported: ExportedLabels) -> int:
    """Say what came of an export; return the exit status."""
    if output.as_json:
        names = ("format", "size", "tasks", "annotations", "left_out")
        document = {"path": str(exported.path)} | {name: getattr(exported, name) for name in names}
        losses = [plain(each) | {"text": each.kind.text} for each in exported.losses.items]
        output.document(document | {"losses": losses})
    for loss in exported.losses.items:
        output.warning(f"lost: {loss}")
    if not output.quiet:
        what = size(exported.size or 0)
        if exported.tasks is not None:
            shapes = counted(exported.annotations or 0, "shape")
            what = f"{counted(exported.tasks, 'task')} with {shapes}"
        output.result(f"Wrote {what} to {exported.path}.")
    return SOME_FAILED if exported.left_out else WELL
