"""`export`: the labels of a project, into a file or folder of a format."""

import asyncio
import time
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Literal

import attrs
from rich.console import RenderableType

from datagym_async._runs._text import counted, size
from datagym_async.cli._command import Invocation, command, group
from datagym_async.cli._connect import client_for, waiting
from datagym_async.cli._errors import INTERRUPTED, SOME_FAILED, WELL, CommandError
from datagym_async.cli._lookup import dataset_of, project_of
from datagym_async.cli._options import ProjectArgument, flag
from datagym_async.cli._progress import first_row, showing
from datagym_async.cli._screen import Output, bar, plain
from datagym_async.cli._signals import on_stop_signals, run_in_loop
from datagym_async.exports import ExportedLabels, ExportFormat, ExportProgress
from datagym_async.exports._label_files import ONE_FILE, ImagesWay
from datagym_async.formats import LabelMapping, LossKind

_VERBS = {
    "export": "Exporting",
    "sizes": "Reading sizes",
    "images": "Downloading",
    "write": "Writing",
}

_EMPTY = 4  # bytes of an array without anything, as the service writes it

app = group("export")


@command(app, "export")
def export(
    invocation: Invocation,
    project: ProjectArgument,
    output: Annotated[
        Path,
        flag(
            "--output -o PATH",
            "File for json, jsonl and coco (replaced if it exists), or - for standard output; "
            "folder for the other formats.",
            show_default=False,
        ),
    ],
    format: Annotated[  # noqa: A002 -- the option's name
        ExportFormat,
        flag("--format -f", "json: what the service sends; jsonl: one task a line."),
    ] = "json",
    by: Annotated[
        Literal["supercategory", "category"],
        flag(
            "--by",
            "What an entry of the configuration becomes in COCO; its nested select becomes the "
            "other.",
        ),
    ] = "supercategory",
    select: Annotated[
        str | None,
        flag(
            "--select KEY",
            "Key of the nested select that names the class (default: subcategory, or "
            "supercategory with --by category).",
        ),
    ] = None,
    exact: Annotated[
        bool | None,
        flag(
            "--exact/--no-exact",
            "Read exact coordinates from each task, one request for each, instead of the whole "
            "pixels of the service's export. Default: yes if sizes are read, which takes the same "
            "request.",
            show_default=False,
        ),
    ] = None,
    sizes: Annotated[
        bool,
        flag(
            "--sizes/--no-sizes",
            "Read the width and height of each image from the service, one request for each. All "
            "formats but json and jsonl need them.",
        ),
    ] = True,
    state: Annotated[
        list[str] | None,
        flag(
            "--state STATE",
            "Only tasks in this state, or `all`. May be repeated. Default: completed, skipped and "
            "reviewed. The service exports only these; tasks in other states are read one by one.",
            show_default=False,
        ),
    ] = None,
    dataset: Annotated[
        list[str] | None,
        flag(
            "--dataset NAME|ID",
            "Only tasks of this dataset. May be repeated.",
            show_default=False,
        ),
    ] = None,
    only_labelled: Annotated[
        bool, flag("--only-labelled", "Leave out tasks that have no shape and no answer.")
    ] = False,
    classes: Annotated[
        Path | None,
        flag(
            "--classes --categories FILE",
            "A data.yaml, a COCO file, or a file with one name a line: these classes come first "
            "and keep their numbers. The others follow in the order of the label configuration. "
            "--categories is another name of this option.",
            show_default=False,
        ),
    ] = None,
    clip: Annotated[bool, flag("--clip", "Cut shapes off at the edges of their image.")] = False,
    zero_based: Annotated[
        bool, flag("--zero-based", "For voc: the first pixel is 0, not 1.")
    ] = False,
    images: Annotated[
        ImagesWay | None,
        flag(
            "--images",
            "Put the images beside their labels, for training: links to the files in "
            "--images-from, copies of them, or downloaded images.",
            show_default=False,
        ),
    ] = None,
    images_from: Annotated[
        Path | None,
        flag(
            "--images-from FOLDER",
            "The folder of an earlier download, or any folder with files named like the images. "
            "With --images download: the folder to download to (default: PATH.media), which "
            "stays.",
            show_default=False,
        ),
    ] = None,
    split: Annotated[
        str | None,
        flag(
            "--split SHARES",
            "Split the dataset into parts, such as train=0.8,val=0.1,test=0.1. A hash of its id "
            "decides where an image goes, so it stays in its part as the dataset grows.",
            show_default=False,
        ),
    ] = None,
    group: Annotated[
        str | None,
        flag(
            "--group HOW",
            "Keep images together in one part if they share a folder (folder), or the match of a "
            "regular expression in their names.",
            show_default=False,
        ),
    ] = None,
    overwrite: Annotated[
        bool, flag("--overwrite", "Replace the folder if it is not empty.")
    ] = False,
    lossy_ok: Annotated[
        bool, flag("--lossy-ok", "Exit with 0 even if the format could not hold everything.")
    ] = False,
) -> int:
    """Export the labels of a project's finished tasks.

    What the format cannot hold is counted and named at the end; the exit status is 1 if something
    was left out, unless --lossy-ok is given. A file or folder is there whole or not at all.
    """
    to_stdout = output == Path("-")
    if to_stdout and (format not in ONE_FILE or images or split):
        raise CommandError("This export is a folder of files; name the folder with --output.")
    if to_stdout and invocation.output.as_json:
        raise CommandError(
            "Standard output can take the export (-o -) or the summary (--json), not both."
        )
    client, shown = client_for(invocation), invocation.output
    progress, began = ExportProgress(phase="export"), time.monotonic()

    def note(now: ExportProgress) -> None:
        nonlocal progress
        progress = now

    def look() -> _Snapshot:
        return _Snapshot(progress, time.monotonic() - began)

    async def run(target: Path) -> ExportedLabels:
        task = asyncio.current_task()
        with on_stop_signals(lambda: task and task.cancel()):
            async with client, waiting(invocation, client), showing(shown, look):
                found = await project_of(client, project)
                chosen = [await dataset_of(client, each) for each in dataset or ()]
                return await client.export_labels(
                    found.id,
                    target,
                    format,
                    mapping=LabelMapping(by=by, select=select),
                    exact=exact,
                    sizes=sizes,
                    states=states,
                    datasets=chosen,
                    only_labelled=only_labelled,
                    captions=not to_stdout,
                    classes=classes or (),
                    clip=clip,
                    zero_based=zero_based,
                    images=images,
                    images_from=images_from,
                    split=split,
                    group=group,
                    overwrite=overwrite,
                    on_progress=note,
                )

    states = "all" if state == ["all"] else state or None
    try:
        with ExitStack() as stack:
            if to_stdout:  # whole or not at all, there too
                folder = stack.enter_context(TemporaryDirectory(prefix="datagym-async-"))
                exported = run_in_loop(run(Path(folder, "export")))
                shown.file(exported.path)
            else:
                exported = run_in_loop(run(output))
    except (KeyboardInterrupt, asyncio.CancelledError):
        shown.warning("Interrupted; no partial file is left.")
        return INTERRUPTED
    if (exported.size or 0) <= _EMPTY and not exported.tasks:
        shown.warning(_why_empty(exported, chooses=bool(state or dataset or only_labelled)))
    _close(shown, exported, to_stdout=to_stdout)
    return WELL if exported.ok or lossy_ok else SOME_FAILED


def _why_empty(exported: ExportedLabels, *, chooses: bool) -> str:
    if chooses:
        return "No task matches the given states, datasets and labels."
    way = " with another --format" if exported.format == "json" else ""
    return f"No task of the project is finished; --state all{way} exports the others, too."


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


def _close(output: Output, exported: ExportedLabels, *, to_stdout: bool) -> None:
    """Say what came of an export."""
    if output.as_json:
        names = ("format", "size", "tasks", "annotations", "left_out")
        document = {"path": str(exported.path)} | {name: getattr(exported, name) for name in names}
        losses = [plain(each) | {"text": each.kind.text} for each in exported.losses.items]
        output.document(document | {"losses": losses})
    for loss in exported.losses.items:
        is_gone = loss.kind.is_loss or loss.kind is LossKind.NO_FILE
        output.warning(f"{'lost' if is_gone else 'changed'}: {loss}")
    if not output.quiet:
        what = size(exported.size or 0)
        if exported.tasks is not None:
            shapes = counted(exported.annotations or 0, "shape")
            what = f"{counted(exported.tasks, 'task')} with {shapes}"
        if to_stdout:
            output.message(f"Wrote {what}.")
        else:
            output.result(f"Wrote {what} to {exported.path}.")
        if (folder := exported.downloaded_to) is not None:
            output.message(
                f"The images were downloaded to {folder}, where the next export finds them; "
                "it may be deleted."
            )
