"""`bitmaps`: the segmentations of a project as images."""

from pathlib import Path
from typing import Annotated, Literal

from datagym_async.cli._command import Invocation, command, group
from datagym_async.cli._connect import client_for, waiting
from datagym_async.cli._errors import SOME_FAILED, WELL, sentence_of
from datagym_async.cli._lookup import project_of
from datagym_async.cli._options import ProjectArgument, argument, flag
from datagym_async.cli._signals import run_in_loop
from datagym_async.exports import BitmapReport, BitmapResult

app = group("bitmaps")


@command(app, "bitmaps")
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
