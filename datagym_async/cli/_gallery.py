"""`gallery`: a folder that a browser opens from the disk."""

import asyncio
import webbrowser
from collections import deque
from pathlib import Path
from typing import Annotated

import attrs

from datagym_async._client import DataGymClient
from datagym_async._threads import in_thread
from datagym_async.cli._command import Invocation, command, group
from datagym_async.cli._connect import client_for, waiting
from datagym_async.cli._errors import INTERRUPTED, SOME_FAILED, WELL, CommandError
from datagym_async.cli._lookup import lies_here, project_of, subject_of
from datagym_async.cli._options import argument, flag
from datagym_async.cli._progress import Step, showing
from datagym_async.cli._screen import plain
from datagym_async.cli._signals import on_stop_signals, run_in_loop
from datagym_async.look import Gallery, GalleryOptions, build_gallery
from datagym_async.look._marks import silence_size_warnings
from datagym_async.look._subjects import ImageSet, of_folder, of_service
from datagym_async.models import Project

app = group("gallery")


@attrs.frozen
class Subjects:
    """The images of a command: those of a project, a dataset or a folder."""

    subject: str
    project: str | None = None
    labels: Path | None = None

    async def local(self) -> ImageSet:
        """Return the images of a folder, or a single image."""
        path = Path(self.subject)
        if not await in_thread(path.is_file):
            return await of_folder(path, self.labels)
        looked = await of_folder(path.parent, self.labels)
        only = [each for each in looked.subjects if each.path == path]
        return attrs.evolve(looked, title=path.name, subjects=only)

    async def at(self, client: DataGymClient) -> ImageSet:
        if self.labels is not None:
            raise CommandError("--labels is for folders only.")
        found = await subject_of(client, self.subject)
        sources = client._look_sources()
        if isinstance(found, Project):
            return await of_service(sources, found.id, None)
        of = None if self.project is None else (await project_of(client, self.project)).id
        return await of_service(sources, of, found.id)


@command(app, "gallery")
def gallery(
    invocation: Invocation,
    subject: Annotated[
        str,
        argument(
            "PROJECT|DATASET|FOLDER",
            "Name or id at the service, or a folder of images. A path that exists on disk is used "
            "first.",
        ),
    ],
    output: Annotated[
        Path,
        flag("--output -o FOLDER", "Folder to write to: a new one, or that of an earlier gallery."),
    ] = Path("gallery"),
    project: Annotated[
        str | None,
        flag("--project -p NAME|ID", "For a dataset: the project whose labels are shown."),
    ] = None,
    labels: Annotated[
        Path | None,
        flag(
            "--labels PATH",
            "For a folder: the file or folder of its labels, in any format that `import` takes. "
            "Default: the labels in the folder itself.",
        ),
    ] = None,
    compare: Annotated[
        Path | None,
        flag("--compare PATH", "Other labels of the same images, to show and compare by IoU."),
    ] = None,
    iou: Annotated[
        float,
        flag("--iou SHARE", "IoU from which two objects count as the same.", min=0.01, max=1.0),
    ] = 0.5,
    size: Annotated[
        int, flag("--size PIXELS", "Longer side of the thumbnails.", min=32, max=4096)
    ] = 480,
    workers: Annotated[
        int | None,
        flag("--workers N", "Processes that make thumbnails; one a core by default.", min=0),
    ] = None,
    open_it: Annotated[bool, flag("--open", "Open it in the browser.")] = False,
) -> int:
    """Make a gallery of images and labels to open in a browser.

    It needs no server and no network: thumbnails with labels, filters, sorting, and a page for each
    image. With --compare, the images that differ most come first.
    """
    silence_size_warnings()
    shown, done = invocation.output, deque((0,), maxlen=1)
    subjects, total = Subjects(subject, project, labels), 0
    options = GalleryOptions(
        size=size, compare=compare, least=iou, workers=workers, on_progress=done.append
    )

    async def build(looked: ImageSet) -> Gallery:
        nonlocal total
        total = len(looked.subjects)
        return await build_gallery(looked, output, options)

    def look() -> Step:
        figure = f"{done[0]:,}/{total:,}" if total else "listing"
        return Step("Images", done[0], total or None, figure)

    async def run() -> Gallery:
        task = asyncio.current_task()
        with on_stop_signals(lambda: task and task.cancel()):
            if client is None:
                async with showing(shown, look):
                    return await build(await subjects.local())
            async with client, waiting(invocation, client), showing(shown, look):
                return await build(await subjects.at(client))

    client = None if lies_here(invocation, subject) else client_for(invocation)
    try:
        made = run_in_loop(run())
    except (KeyboardInterrupt, asyncio.CancelledError):
        shown.warning("Interrupted; the same command makes the gallery again.")
        return INTERRUPTED
    for problem in made.problems[:10]:
        shown.warning(f"not in the gallery: {problem}")
    if (more := made.failed - 10) > 0:
        shown.warning(f"... and {more:,} more")
    for line in made.notes:
        shown.warning(line)
    shown.outcome(plain(made), str(made))
    if open_it:
        webbrowser.open(made.path.resolve().as_uri())
    return SOME_FAILED if made.failed else WELL
