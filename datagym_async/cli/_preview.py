"""`preview`: a contact sheet of some images, or one image, with labels drawn."""

import webbrowser
from pathlib import Path
from typing import Annotated

from datagym_async._client import DataGymClient
from datagym_async._files import replaced_file
from datagym_async._runs._text import counted
from datagym_async._threads import in_thread
from datagym_async.cli._command import Invocation, command, group
from datagym_async.cli._connect import with_client
from datagym_async.cli._errors import WELL, CommandError
from datagym_async.cli._gallery import Subjects
from datagym_async.cli._lookup import lies_here, project_of
from datagym_async.cli._options import argument, flag
from datagym_async.cli._signals import run_in_loop
from datagym_async.exceptions import NotFoundError
from datagym_async.look import Choice, build_sheet
from datagym_async.look._marks import silence_size_warnings
from datagym_async.look._sheet import FORMS
from datagym_async.look._subjects import ImageSet
from datagym_async.models._ids import is_id

app = group("preview")


@command(app, "preview")
def preview(
    invocation: Invocation,
    subject: Annotated[
        str,
        argument(
            "PROJECT|DATASET|IMAGE",
            "Name or id of a project or dataset, id of a media, or a folder or image on disk. A "
            "path that exists on disk is used first.",
        ),
    ],
    output: Annotated[
        Path, flag("--output -o FILE", "The picture (.png, .jpg, .webp), or pages (.pdf).")
    ] = Path("preview.png"),
    count: Annotated[int, flag("--count -n N", "Largest number of images.", min=1, max=400)] = 24,
    seed: Annotated[int, flag("--seed N", "The same seed chooses the same images.")] = 0,
    of_class: Annotated[
        list[str] | None,
        flag("--class KEY", "Only images with this class. May be repeated."),
    ] = None,
    state: Annotated[str, flag("--state STATE", "Only images whose tasks are in this state.")] = "",
    query: Annotated[str, flag("--query TEXT", "Only images with this text in their names.")] = "",
    project: Annotated[
        str | None,
        flag(
            "--project -p NAME|ID", "For a dataset or a media: the project whose labels are drawn."
        ),
    ] = None,
    labels: Annotated[
        Path | None, flag("--labels PATH", "For a folder: the file or folder of its labels.")
    ] = None,
    text: Annotated[
        bool, flag("--text/--no-text", "Write class and answers beside each shape.")
    ] = True,
    open_it: Annotated[bool, flag("--open", "Open it in the browser.")] = False,
) -> int:
    """Draw labels on images: a contact sheet of some, or one image.

    The images are chosen at random; the same seed gives the same images.
    """
    if output.suffix.lower() not in FORMS:
        raise CommandError(f"The file {output} must end in .png, .jpg, .webp or .pdf.")
    silence_size_warnings()
    subjects = Subjects(subject, project, labels)
    choice = Choice(count=count, seed=seed, classes=of_class or (), state=state, query=query)

    notes: tuple[str, ...] = ()

    async def draw(looked: ImageSet) -> int:
        nonlocal notes
        notes = looked.notes
        return await build_sheet(looked, output, choice, text=text)

    async def local() -> int:
        return await draw(await subjects.local())

    async def at(client: DataGymClient) -> int:
        try:
            looked = await subjects.at(client)
        except CommandError:
            if not is_id(subject):
                raise
            return await _one(client, subject, project, output, text=text)
        return await draw(looked)

    shown = run_in_loop(local()) if lies_here(invocation, subject) else with_client(invocation, at)
    images = counted(shown, "image")
    for line in notes:
        invocation.output.warning(line)
    document = {"path": str(output), "images": shown, "notes": notes}
    invocation.output.outcome(document, f"{images} in {output}.")
    if open_it:
        webbrowser.open(output.resolve().as_uri())
    return WELL


async def _one(
    client: DataGymClient, media_id: str, project: str | None, output: Path, *, text: bool
) -> int:
    of = None if project is None else (await project_of(client, project)).id
    try:
        image = await client.preview(media_id, project_id=of, text=text)
    except NotFoundError as error:
        if of is not None:
            raise
        raise CommandError(
            f"There is no project, dataset or media with the id {media_id!r}."
        ) from error
    async with replaced_file(output) as file:
        await in_thread(image.save, file, FORMS[output.suffix.lower()])
    return 1
