"""`export`: write the labels of a project to a file or folder; `bitmaps`: its segmentations."""

import asyncio
from collections import deque
from contextlib import nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Final, Literal

import attrs

from datagym_async._runs._text import counted, size
from datagym_async.cli._command import Invocation, command, group
from datagym_async.cli._connect import client_for, waiting
from datagym_async.cli._errors import INTERRUPTED, SOME_FAILED, WELL, CommandError, sentence_of
from datagym_async.cli._job_options import OF_WRITTEN_LABELS
from datagym_async.cli._lookup import dataset_of, project_of
from datagym_async.cli._option_table import Given, Option, OptionTable
from datagym_async.cli._options import ProjectArgument, argument, flag
from datagym_async.cli._progress import Step, showing
from datagym_async.cli._screen import Output, plain
from datagym_async.cli._signals import on_stop_signals, run_in_loop
from datagym_async.exports import (
    BitmapReport,
    BitmapResult,
    ExportedLabels,
    ExportFormat,
    ExportProgress,
)
from datagym_async.exports._label_files import ONE_FILE
from datagym_async.formats import LabelMapping, LossKind

_VERBS = {
    "export": "Exporting",
    "sizes": "Reading sizes",
    "images": "Downloading",
    "write": "Writing",
}

_EMPTY = 4  # bytes of an empty array, as the service writes it

app = group("export")


_CLASSES, *_OTHERS = OF_WRITTEN_LABELS
EXPORT: Final = OptionTable(
    "datagym_async.exports._label_files:ExportOptions",
    {
        "": (
            Option(
                "--output -o PATH",
                "File for json, jsonl and coco (replaced if it exists), or - for standard output; "
                "folder for the other formats.",
            ),
            Option("--format -f", "json: what the service sends; jsonl: one task a line."),
            Option(
                "--by",
                "What an entry of the configuration becomes in COCO; its nested select becomes "
                "the other.",
            ),
            Option(
                "--select KEY",
                "Key of the nested select that names the class (default: subcategory, or "
                "supercategory with --by category).",
            ),
            Option(
                "--exact/--no-exact",
                "Read exact coordinates from each task, one request for each, instead of the "
                "whole pixels of the service's export. Default: yes if sizes are read, which "
                "takes the same request.",
            ),
            Option(
                "--sizes/--no-sizes",
                "Read the width and height of each image from the service, one request for each. "
                "All formats but json and jsonl need them.",
                type=bool,
                default=True,
            ),
            Option(
                "--state STATE",
                "Only tasks in this state, or `all`. May be repeated. Default: completed, skipped "
                "and reviewed. The service exports only these; tasks in other states are read one "
                "by one.",
            ),
            Option("--dataset -d NAME|ID", "Only tasks of this dataset. May be repeated."),
            Option("--only-labelled", "Leave out tasks that have no shape and no answer."),
            attrs.evolve(_CLASSES, type=Path | None, convert=lambda file: file or ()),
            *_OTHERS,
            Option(
                "--images",
                "Put the images beside their labels, for training: links to the files in "
                "--images-from, copies of them, or downloaded images.",
            ),
            Option(
                "--images-from FOLDER",
                "The folder of an earlier download, or any folder with files named like the "
                "images. With --images download: the folder to download to (default: PATH.media), "
                "which stays.",
            ),
            Option("--overwrite", "Replace the folder if it is not empty."),
        )
    },
)


@command(app, "export", table=EXPORT)
def export(
    invocation: Invocation,
    given: Given,
    project: ProjectArgument,
    output: Path,
    format: ExportFormat = "json",  # noqa: A002 -- the option's name
    by: Literal["supercategory", "category"] = "supercategory",
    select: str | None = None,
    state: list[str] | None = None,
    dataset: list[str] | None = None,
    only_labelled: bool = False,
    lossy_ok: bool = False,
) -> int:
    """Export the labels of a project's finished tasks.

    What the format cannot hold is counted and reported at the end; the exit status is 1 if
    something was left out, unless --lossy-ok is given. The file or folder is written completely or
    not at all.
    """
    to_stdout = output == Path("-")
    if to_stdout and (format not in ONE_FILE or given.config["images"] or given.config["split"]):
        raise CommandError("This export is a folder of files; name the folder with --output.")
    if to_stdout and invocation.output.as_json:
        raise CommandError(
            "Standard output can take the export (-o -) or the summary (--json), not both."
        )
    if format in ("json", "jsonl") and (select is not None or by != "supercategory"):
        flag = "--by" if select is None else "--select"
        raise CommandError(f"{flag} has no effect on the format {format}; leave it out.")
    client, shown = client_for(invocation), invocation.output
    latest = deque((ExportProgress(phase="export"),), maxlen=1)

    async def run(target: Path) -> ExportedLabels:
        task = asyncio.current_task()
        with on_stop_signals(lambda: task and task.cancel()):
            async with (
                client,
                waiting(invocation, client),
                showing(shown, lambda: step_of(latest[0])),
            ):
                found = await project_of(client, project)
                chosen = [await dataset_of(client, each) for each in dataset or ()]
                return await client.export_labels(
                    found.id,
                    target,
                    format,
                    mapping=LabelMapping(by=by, select=select),
                    states=states,
                    datasets=chosen,
                    only_labelled=only_labelled,
                    captions=not to_stdout,
                    **given.config,
                    on_progress=latest.append,
                )

    states = "all" if "all" in (state or ()) else state or None
    try:
        with TemporaryDirectory(prefix="datagym-async-") if to_stdout else nullcontext() as folder:
            exported = run_in_loop(run(Path(folder, "export") if folder else output))
            if folder:  # whole or not at all, there too
                shown.file(exported.path)
                exported = attrs.evolve(exported, path=Path("standard output"))
    except (KeyboardInterrupt, asyncio.CancelledError):
        shown.warning("Interrupted; no partial file is left.")
        return INTERRUPTED
    if (exported.size or 0) <= _EMPTY and not exported.tasks:
        way = " with another --format" if exported.format == "json" else ""
        why = f"No task of the project is finished; --state all{way} exports the others, too."
        if state or dataset or only_labelled:
            why = "No task matches the given states, datasets and labels."
        shown.warning(why)
    _close(shown, exported, to_stdout=to_stdout)
    return WELL if exported.ok or lossy_ok else SOME_FAILED


def step_of(progress: ExportProgress) -> Step:
    done, total = progress.done, progress.total
    figure = size(done) if progress.unit == "bytes" else counted(done, "task")
    if total is not None:
        figure = f"{done:,}/{counted(total, 'task')}"
    return Step(_VERBS[progress.phase], done, total, figure)


def _close(output: Output, exported: ExportedLabels, *, to_stdout: bool) -> None:
    if output.as_json:
        names = ("format", "size", "tasks", "annotations", "left_out")
        document = {"ok": exported.ok, "path": str(exported.path)} | {
            name: getattr(exported, name) for name in names
        }
        losses = [plain(each) | {"text": each.kind.text} for each in exported.losses.items]
        output.document(document | {"losses": losses})
    for loss in exported.losses.items:
        is_gone = loss.kind.is_loss or loss.kind is LossKind.NO_FILE
        output.warning(f"{'lost' if is_gone else 'changed'}: {loss}")
    if output.quiet and not exported.ok:
        output.warning(exported.summary())
    elif not output.quiet:
        (output.message if to_stdout else output.result)(exported.summary())
        if exported.tasks and (folder := exported.downloaded_to) is not None:
            output.message(
                f"The images were downloaded to {folder}, where the next export finds them; "
                "you may delete that folder."
            )


bitmaps_app = group("bitmaps")


@command(bitmaps_app, "bitmaps")
def bitmaps(
    invocation: Invocation,
    project: ProjectArgument,
    folder: Annotated[Path, argument("FOLDER", "Folder to write to.")],
    key: Annotated[
        list[str] | None,
        flag(
            "--key KEY",
            "Key of an image segmentation: one bitmap for each finished task, all black if "
            "nothing is segmented. May be repeated. By default only bitmaps in which something is "
            "segmented.",
        ),
    ] = None,
    format: Annotated[  # noqa: A002 -- what the option is called
        Literal["png", "bmp"],
        flag("--format -f", "Format of the files.", case_sensitive=False),
    ] = "png",
    again: Annotated[
        bool, flag("--again", "Download again what is in the folder already.")
    ] = False,
) -> int:
    """Download the segmentation bitmaps of a project's finished tasks.

    Each goes to FOLDER/KEY/NAME.png: white in the segment, black elsewhere. The same command
    resumes after an interruption.
    """
    client, output = client_for(invocation), invocation.output

    def note(result: BitmapResult) -> None:
        if result.error is not None:
            output.warning(f"{result.path}: {sentence_of(result.error)}")

    async def work() -> BitmapReport:
        async with client, waiting(invocation, client):
            found = await project_of(client, project)
            return await client.download_bitmaps(
                found.id,
                folder,
                keys=key or None,
                format=format,
                resume=not again,
                on_result=note,
            )

    report = run_in_loop(work())
    saved, skipped, failed = (report.counts[each] for each in ("saved", "skipped", "failed"))
    if output.as_json:
        failures = [
            {
                "task_id": each.bitmap.task_id,
                "key": each.bitmap.key,
                "media_name": each.bitmap.media_name,
                "reason": sentence_of(each.error) if each.error is not None else "",
            }
            for each in report.failed
        ]
        counts = {"saved": saved, "skipped": skipped, "failed": failures}
        output.document({"folder": str(report.folder), **counts})
    elif not saved + skipped + failed:
        output.message("Nothing to download: no finished task has a segmentation.")
    elif not (output.quiet and report.ok):
        output.result(str(report))
    return WELL if report.ok else SOME_FAILED
