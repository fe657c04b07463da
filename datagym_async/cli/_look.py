"""`preview`, `gallery` and `stats`: labels drawn on images, in a browser, and counted."""

import asyncio
import json
import webbrowser
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Final, TypeAlias, cast, get_args

import attrs

from datagym_async._client import DataGymClient
from datagym_async._files import replaced_file, write_file
from datagym_async._runs._text import counted
from datagym_async._threads import in_thread
from datagym_async.cli._command import Invocation, command, group
from datagym_async.cli._connect import client_for, waiting, with_client
from datagym_async.cli._errors import (
    INTERRUPTED,
    SOME_FAILED,
    WELL,
    CommandError,
    hint_in_shell_words,
)
from datagym_async.cli._lookup import lies_here, project_of, refuse_to_overwrite, subject_of
from datagym_async.cli._options import argument, flag
from datagym_async.cli._progress import Step, showing
from datagym_async.cli._screen import Output, plain
from datagym_async.cli._signals import on_stop_signals, run_in_loop
from datagym_async.exceptions import DataGymError, NotFoundError
from datagym_async.look import (
    Choice,
    Gallery,
    GalleryOptions,
    LabelStatistics,
    build_gallery,
    build_sheet,
)
from datagym_async.look import stats as stats_of_file
from datagym_async.look._marks import why_unreadable
from datagym_async.look._pages import few, statistics_page, statistics_svg
from datagym_async.look._sheet import FORMS
from datagym_async.look._stats import FindingKind, Histogram
from datagym_async.look._subjects import ImageSet, of_folder, of_service
from datagym_async.models import Dataset, Project
from datagym_async.models._ids import is_id

_LISTING: Final = "For COCO results: the file that lists images and categories."
_SHEET: Final = Path("preview.png")
_CLASSES: Final = "Names of the classes, if labels have only numbers; as for `import`."

_Drawn: TypeAlias = tuple[tuple[str, ...], int, tuple[str, ...]]
"""Notes, how many images are on the sheet, and which of them cannot be read."""

preview_app = group("preview")


@command(preview_app, "preview")
def preview(
    invocation: Invocation,
    subject: Annotated[
        str,
        argument(
            "PROJECT|DATASET|IMAGE",
            "Name or id of a project or dataset, id of a media, or a folder or image on disk. A "
            "path on disk is used first, but an id always belongs to the service.",
        ),
    ],
    output: Annotated[
        Path, flag("--output -o FILE", "The picture (.png, .jpg, .webp), or pages (.pdf).")
    ] = _SHEET,
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
    images: Annotated[Path | None, flag("--images FILE", _LISTING)] = None,
    classes: Annotated[Path | None, flag("--classes FILE", _CLASSES)] = None,
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
    subjects = Subjects(subject, project, labels, images, classes)
    choice = Choice(count=count, seed=seed, classes=of_class or (), state=state, query=query)

    async def draw(looked: ImageSet) -> _Drawn:
        return looked.notes, *await build_sheet(looked, output, choice, text=text)

    async def local() -> _Drawn:
        looked = await subjects.local()
        # The usual file may be that of an earlier run.
        read = [each.path for each in looked.subjects if output.name != _SHEET.name]
        await in_thread(refuse_to_overwrite, [Path(subject), *read], output)
        return await draw(looked)

    async def at(client: DataGymClient) -> _Drawn:
        try:
            found = await subject_of(client, subject)
        except CommandError:
            if not is_id(subject):
                raise
            await _one(client, subject, project, output, text=text)
            return (), 1, ()
        return await draw(await subjects.at(client, found))

    of_files = {"labels": labels, "images": images, "classes": classes}
    is_here = _is_here(invocation, subject, project, **of_files)
    notes, shown, broken = run_in_loop(local()) if is_here else with_client(invocation, at)
    _warn(invocation, [f"cannot be read: {name}" for name in broken], len(broken))
    for line in notes:
        invocation.output.warning(line)
    document = {"path": str(output), "images": shown, "broken": broken, "notes": notes}
    invocation.output.outcome(document, f"{counted(shown, 'image')} in {output}.")
    if open_it:
        webbrowser.open(output.resolve().as_uri())
    return SOME_FAILED if broken else WELL


def _warn(invocation: Invocation, problems: Sequence[str], count: int) -> None:
    for problem in problems[:10]:
        invocation.output.warning(problem)
    if (more := count - 10) > 0:
        invocation.output.warning(f"... and {more:,} more")


async def _one(
    client: DataGymClient, media_id: str, project: str | None, output: Path, *, text: bool
) -> None:
    of = None if project is None else (await project_of(client, project)).id
    try:
        image = await client.preview(media_id, project_id=of, text=text)
    except NotFoundError as error:
        if of is not None:
            raise
        raise CommandError(
            f"There is no project, dataset or media with the id {media_id!r}."
        ) from error
    except DataGymError:
        raise
    except Exception as error:  # any of Pillow's
        why = why_unreadable(error).rstrip(".")
        sentence = f"The media {media_id} cannot be drawn: {why}."
        raise CommandError(sentence, status=SOME_FAILED) from error
    async with replaced_file(output) as file:
        await in_thread(image.save, file, FORMS[output.suffix.lower()])


gallery_app = group("gallery")


@attrs.frozen
class Subjects:
    """The images of a command: those of a project, a dataset or a folder."""

    subject: str
    project: str | None = None
    labels: Path | None = None
    listing: Path | None = None  # the file that lists the images of results of COCO
    classes: Path | None = None  # of labels that have only numbers

    async def local(self) -> ImageSet:
        """Return the images of a folder, or a single image."""
        path = Path(self.subject)
        is_file = await in_thread(path.is_file)
        folder = path.parent if is_file else path
        looked = await of_folder(folder, self.labels, self.listing, self.classes or ())
        if not is_file:
            return looked
        if not (only := [each for each in looked.subjects if each.path == path]):
            raise CommandError(f"{path} is no image; name one, or a folder of images.")
        return attrs.evolve(looked, title=path.name, subjects=only)

    async def at(self, client: DataGymClient, found: Project | Dataset) -> ImageSet:
        of = None if self.project is None else (await project_of(client, self.project)).id
        if isinstance(found, Dataset):
            return await of_service(client._look_sources(), of, found.id)
        if of is not None:
            raise CommandError(
                f"--project is for datasets and media, and {found.name!r} is neither."
            )
        return await of_service(client._look_sources(), found.id, None)


def _is_here(
    invocation: Invocation, subject: str, project: str | None = None, **of_files: Path | None
) -> bool:
    """Return whether a subject is a file or folder; refuse options that have no effect on it."""
    is_here = lies_here(invocation, subject)
    what, where = ("datasets and media", "a") if is_here else ("files and folders", "not a")
    for name, value in ({"project": project} if is_here else of_files).items():
        if value is not None:
            raise CommandError(f"--{name} is for {what}, and {subject!r} is {where} path here.")
    return is_here


@command(gallery_app, "gallery")
def gallery(
    invocation: Invocation,
    subject: Annotated[
        str,
        argument(
            "PROJECT|DATASET|FOLDER",
            "Name or id at the service, or a folder of images. A path on disk is used first, but "
            "an id always belongs to the service.",
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
    images: Annotated[Path | None, flag("--images FILE", _LISTING)] = None,
    classes: Annotated[Path | None, flag("--classes FILE", _CLASSES)] = None,
    iou: Annotated[
        float | None,
        flag("--iou SHARE", "For --compare: IoU of a match (default: 0.5).", min=0.01, max=1.0),
    ] = None,
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
    if iou is not None and compare is None:
        raise CommandError("--iou needs --compare.")
    shown, done = invocation.output, deque((0,), maxlen=1)
    subjects, total = Subjects(subject, project, labels, images, classes), 0
    options = GalleryOptions(
        size=size,
        compare=compare,
        least=0.5 if iou is None else iou,
        workers=workers,
        on_progress=done.append,
        images=images,
        classes=classes or (),
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
                return await build(await subjects.at(client, await subject_of(client, subject)))

    # What is compared is in files, too.
    of_files = {"labels": labels} | ({} if compare else {"images": images, "classes": classes})
    is_here = _is_here(invocation, subject, project, **of_files)
    client = None if is_here else client_for(invocation)
    try:
        made = run_in_loop(run())
    except (KeyboardInterrupt, asyncio.CancelledError):
        shown.warning("Interrupted; the same command makes the gallery again.")
        return INTERRUPTED
    _warn(invocation, [f"cannot be shown: {each}" for each in made.problems], made.failed)
    for line in made.notes:
        shown.warning(line)
    shown.outcome(plain(made), str(made))
    if open_it:
        webbrowser.open(made.path.resolve().as_uri())
    return SOME_FAILED if made.failed else WELL


_BAR = 40  # characters of the longest bar
_FORMATS: Final[Mapping[str, Callable[[LabelStatistics], str]]] = {
    ".html": statistics_page,
    ".svg": statistics_svg,
    ".json": lambda found: json.dumps(found.to_dict(), indent=2),
}

stats_app = group("stats")


@command(stats_app, "stats")
def stats(
    invocation: Invocation,
    subject: Annotated[
        str,
        argument(
            "PROJECT|DATASET|FILE",
            "Name or id at the service, or a file or folder of labels, in any format that `import` "
            "takes. A path on disk is used first, but an id always belongs to the service.",
        ),
    ],
    output: Annotated[
        list[Path] | None,
        flag(
            "--output -o FILE",
            "Write the result as a page (.html), as charts (.svg) or as .json. May be repeated.",
        ),
    ] = None,
    tiny: Annotated[
        float,
        flag("--tiny PIXELS", "An object with a side shorter than this counts as tiny.", min=0),
    ] = 4.0,
    images: Annotated[
        Path | None,
        flag(
            "--images PATH",
            "For a file or folder: where the images are, if not beside the labels. For COCO "
            "results: the file that lists images and categories.",
        ),
    ] = None,
    classes: Annotated[Path | None, flag("--classes FILE", _CLASSES)] = None,
    fail_on: Annotated[
        str | None,
        flag(
            "--fail-on KINDS",
            "Exit with 1 if any of these are found, joined by commas: tiny, edge, double, "
            "incomplete, unlabelled, unanswered.",
        ),
    ] = None,
) -> int:
    """Count what labels hold: classes, sizes, states and problems.

    An export is read as it arrives, however large it is.
    """
    shown, files = invocation.output, output or []
    wanted = [] if fail_on is None else [word.strip() for word in fail_on.split(",")]
    if unknown := [word for word in wanted if word not in get_args(FindingKind)]:
        raise CommandError(
            f"--fail-on does not know {unknown[0]!r}; it takes {', '.join(get_args(FindingKind))}."
        )
    for file in files:
        if file.suffix.lower() not in _FORMATS:
            raise CommandError(f"The file {file} must end in .html, .svg or .json.")
    if _is_here(invocation, subject, images=images, classes=classes):
        path = Path(subject)
        refuse_to_overwrite([path, images, classes], *files)
        documents = [each for each in files if each.suffix.lower() == ".json"]  # as labels may be
        refuse_to_overwrite([], *documents, folder=path)
        found = asyncio.run(stats_of_file(path, tiny=tiny, images=images, classes=classes or ()))
    else:

        async def work(client: DataGymClient) -> LabelStatistics:
            of = await subject_of(client, subject)
            if isinstance(of, Project):
                return await client.stats(project_id=of.id, tiny=tiny)
            return await client.stats(dataset_id=of.id, tiny=tiny)

        found = with_client(invocation, work)
    for file in files:
        write_file(file, _FORMATS[file.suffix.lower()](found).encode())
    if shown.as_json:
        shown.document(found.to_dict())
    elif not shown.quiet:
        _tell(shown, found)
    for file in files:
        shown.message(f"The statistics are in {file}.")
    findings = [found.finding(cast("FindingKind", kind)) for kind in wanted]
    bad = [each for each in findings if each.count]
    for each in bad:
        shown.warning(f"--fail-on {each.kind}: {each.count:,} ({each.text}).")
    return SOME_FAILED if bad else shown.whole()


def _tell(output: Output, found: LabelStatistics) -> None:
    output.result(str(found))
    for note in found.notes:
        output.result(hint_in_shell_words(note))
    if found.classes:
        output.result("")
        columns = ("Class", ">Images", ">Objects", ">Smallest", ">Mean", ">Largest")
        output.table(
            columns,
            [
                (
                    each.key,
                    *(f"{count:,}" for count in (each.images, each.objects)),
                    *(f"{side:,.1f} px" for side in (each.smallest, each.mean, each.largest)),
                )
                for each in found.classes
            ],
        )
    states = tuple((state.lower(), count) for state, count in found.states.items())
    _bars(output, "State", states)
    _bars(output, "Objects by size", found.sizes)
    _bars(output, "Images by objects", found.per_image)
    _bars(output, "Images by size", found.image_sizes)
    if found.answers:
        output.result("")
        output.table(
            ("Question", "Answers", ">Without"),
            [
                (
                    each.key,
                    ", ".join(f"{key} {count:,}" for key, count in each.answers.items()),
                    f"{each.unanswered:,}",
                )
                for each in found.answers
            ],
        )
    output.result("")
    rows = [
        (each.kind, f"{each.count:,}", each.text, "; ".join(each.examples[:1]))
        for each in found.findings
    ]
    output.table(("Findings", ">", "", "First"), rows)


def _bars(output: Output, title: str, rows: Histogram) -> None:
    if not rows:
        return
    shown, mark = few(rows), "█" if output.can_say("█") else "#"
    most = max(count for _, count in shown)
    output.result("")
    output.table(
        (title, ">", ""),
        [(label, f"{count:,}", mark * round(_BAR * count / (most or 1))) for label, count in shown],
    )
