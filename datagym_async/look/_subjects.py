"""The images of a project, a dataset or a folder, and their labels, which may be in files.

The service's images are listed once and stored compactly, with their labels packed (as in a
loader); the bytes of an image are read when its turn comes.
"""

from __future__ import annotations

import os
import re
from array import array
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing, suppress
from functools import partial
from pathlib import Path
from typing import Any, Final

import attrs

from datagym_async._checks import checked
from datagym_async._files import from_home, to_path
from datagym_async._printable import quoted
from datagym_async._runs._text import counted
from datagym_async._threads import in_thread
from datagym_async.data._listing import Library, Listing, PackedLabels, export_labels, list_media
from datagym_async.downloads._plan import KEPT_NAMES
from datagym_async.exceptions import ConfigurationError, NotFoundError
from datagym_async.formats import FormatError, LabelMapping, LossKind, PredictionFile, sniff
from datagym_async.formats._prediction_files import OWN_FORMATS
from datagym_async.formats._reading import files_below
from datagym_async.formats._table import is_download, labels_of_download
from datagym_async.formats._written import Fixed
from datagym_async.labels import (
    Annotation,
    LabelConfig,
    LabeledImage,
    Polygon,
    Rectangle,
    Segmentation,
    Shape,
    parse_image,
    parse_task,
)
from datagym_async.look._marks import Colors, colors_of, require_look
from datagym_async.look._stats import LabelStatistics, StatisticsTally
from datagym_async.models import Dataset, MediaSourceType, Project
from datagym_async.models._names import IMAGE_SUFFIXES, MediaIndex
from datagym_async.resources import LabelConfigsResource, TasksResource
from datagym_async.resources._projects import chosen
from datagym_async.resources._tasks import begun, finished
from datagym_async.resources._values import labels_of

MARKER: Final = ".datagym-gallery"
"""File in the folder of a gallery, which may be replaced."""


@attrs.frozen
class LookSources:
    """The parts of a client that are needed here."""

    base_url: str
    library: Library
    tasks: TasksResource
    label_configs: LabelConfigsResource


@attrs.frozen(kw_only=True)
class Subject:
    """One image, of the service or of a folder."""

    name: str
    media_id: str = ""
    labels: LabeledImage | None = None
    state: str = ""  # of its task
    task_id: str = ""
    is_link: bool = False  # the service only has a link to it
    path: Path | None = None  # in a folder

    @property
    def id(self) -> str:
        """Return what tells it apart from the others: the id of its media, or its name."""
        return self.media_id or self.name


@attrs.frozen
class ImageSet:
    """Images with their labels."""

    title: str
    subjects: Sequence[Subject]
    load: Callable[[Subject], Awaitable[bytes | Path]]  # gives an image or its file
    config: LabelConfig | None = None
    editor: str = ""  # address of the service's editor of tasks, without the id
    notes: tuple[str, ...] = ()  # sentences for the user
    folder: Path | None = None  # that holds the images
    listing: Path | None = None  # a file of COCO that lists them
    classes: Fixed = ()  # of labels that have only numbers


async def task_labels(
    sources: LookSources, media_id: str, project_id: str
) -> tuple[LabeledImage | None, Colors]:
    """Return the labels of a media from its task, in any state, and the colours."""
    async with aclosing(sources.tasks.iter(project_id, state="all")) as tasks:
        found = [task async for task in tasks if task.media_id == media_id.lower()]
    for task in found[:1]:
        if not (finished([task]) or begun([task])):  # if read, the service would create values
            return None, {}
        detail = await sources.tasks.get(task.id)
        return labels_of(detail), colors_of(detail.label_config)
    raise NotFoundError(f"The project {project_id} has no task of the media {media_id}", status=404)


# --- Labels as they come: of a project, a dataset, a file -----------------------------------------


async def service_statistics(
    sources: LookSources, project_id: str | None, dataset_id: str | None, *, tiny: float
) -> LabelStatistics:
    """Return statistics of the labels of a project, or of a dataset in all its projects."""
    name, projects = await _found(sources, project_id, dataset_id)
    listing, tally = None, StatisticsTally(name, tiny=tiny)
    if dataset_id is not None:
        listing = await list_media(sources.library, dataset_id, None, links="service")
        of = f"labels of {counted(len(projects), 'project')}"
        of = of if projects else "the dataset is in no project, so they have no labels"
        tally.notes.append(f"{len(listing):,} media; {of}.")
    videos, any_finished = 0, False
    for project in projects:
        async with aclosing(sources.library.labels.iter_export(project.id)) as exported:
            async for task in exported:
                if listing is not None and listing.find(task.media_id) is None:
                    continue
                any_finished = True
                if task.task_export_url:
                    videos += 1
                    tally.states[task.state.value] += 1
                else:
                    tally.add(task)
        async with aclosing(sources.tasks.iter(project.id, state="all")) as tasks:
            async for each in tasks:
                is_of_it = listing is None or listing.find(each.media_id) is not None
                if is_of_it and not finished([each]):  # the others are exported
                    tally.states[each.state.value] += 1
    if tally.states and not any_finished:
        tally.notes.append("No task is finished, and the labels of other tasks are not counted.")
    if videos:
        tally.notes.append(f"{counted(videos, 'video')}: their labels are not looked at.")
    return tally.statistics()


async def _found(
    sources: LookSources, project_id: str | None, dataset_id: str | None
) -> tuple[str, list[Project]]:
    """Return the name of a project or dataset, and the projects that have its labels."""
    projects = [*await sources.library.projects.list()]
    if project_id is not None:
        projects = [chosen(projects, project_id)]
        if dataset_id is None:
            return projects[0].name, projects
    attached = [
        (project, dataset)
        for project in projects
        for dataset in project.datasets
        if dataset.id == str(dataset_id).lower()
    ]
    if project_id is not None and not attached:
        raise NotFoundError(
            f"The dataset is not attached to the project {quoted(projects[0].name)}", status=404
        )
    if not attached:
        return await sources.library.datasets.read_parts(_name_of, dataset_id), []
    return attached[0][1].name, [each for each, _ in attached]


async def _name_of(parts: AsyncIterator[Dataset]) -> str:
    return (await anext(parts)).name


@checked
async def stats(
    path: str | os.PathLike[str],
    *,
    tiny: float = 4.0,
    images: str | os.PathLike[str] | None = None,
    classes: Fixed = (),
) -> LabelStatistics:
    """Return statistics of the labels in a file or folder.

    Args:
        path: A file or folder in any format that an import takes. Those of the service (an export,
            predictions) are read as they arrive.
        tiny: An object is tiny if a side has fewer pixels than this.
        images: Where the images are, if not beside the labels: YOLO needs their sizes. For results
            of COCO, the file that lists their images and categories.
        classes: Names of the classes, or a file of them, if labels have only numbers.

    Raises:
        FormatError: It has no known format.
        ConfigurationError: An extra is not installed.
        OSError: It cannot be read.
    """
    require_look("Counting labels")
    path = from_home(path)
    tally = StatisticsTally(path.name or str(path), tiny=tiny)
    where = to_path("images", images)
    labels = labels_in(path, tally.notes, images=where, classes=classes)
    async with aclosing(labels) as labelled:
        async for image in labelled:
            tally.add(image)
    return tally.statistics()


async def labels_in(
    path: Path,
    notes: list[str],
    config: LabelConfig | None = None,
    images: Path | None = None,
    listing: Path | None = None,
    classes: Fixed = (),
    *,
    in_shares: bool = False,
) -> AsyncGenerator[LabeledImage, None]:
    """Give the labels of a file or folder in any format of an import; note what is not read.

    `images` is as for `formats.read`; for COCO, `listing` is used if there is one. `in_shares` as
    for `PredictionFile`.
    """
    # Of all shapes only segmentations can express everything in a file.
    mapping = LabelMapping(shape="segmentation")
    file = PredictionFile(
        path,
        mapping=mapping,
        config=config,
        classes=classes,
        images=images,
        unannotated=True,
        emptied=True,
        in_shares=in_shares,
    )
    try:
        if listing and await in_thread(lambda: file.found_format) == "coco":
            file.images = listing
        async with aclosing(aiter(file)) as items:
            async for item in items:
                if not isinstance(item, LabeledImage):
                    yield parse_task(item) if "status" in item else parse_image(item)
                elif config is None:
                    yield attrs.evolve(item, annotations=map(_as_drawn, item.annotations))
                else:
                    yield item
    except FormatError as error:
        # The format is an option of an import, which nothing here has.
        said, _, _ = str(error).partition("; use format=...: ")
        raise FormatError(said.replace(", or choose with format=...", "")) from None
    # Objects with several parts count as several, and labels of turned images lie elsewhere.
    other = LossKind.PARTS, LossKind.TURNED
    told = [each for each in file.losses.items if each.kind.is_loss or each.kind in other]
    notes += [f"not read: {each}" if each.kind.is_loss else str(each) for each in told]


def _as_drawn(annotation: Annotation) -> Annotation:
    """Return a box or a polygon as it was before it became a segmentation."""
    shape = annotation.shape
    if not isinstance(shape, Segmentation) or len(shape.rings) != 1:
        return annotation
    (ring,) = shape.rings
    if len(ring) == 4 and ring == (box := shape.bounds).corners:
        drawn: Shape = Rectangle.from_corners(*box)
    else:
        drawn = Polygon(ring)
    return attrs.evolve(annotation, shape=drawn)


# --- Images with their labels ---------------------------------------------------------------------


async def of_service(
    sources: LookSources, project_id: str | None, dataset_id: str | None
) -> ImageSet:
    """Return the images of a project or dataset, with their labels as exported."""
    name, projects = await _found(sources, project_id, dataset_id)
    listing = await list_media(sources.library, dataset_id, project_id, links="service")
    if not projects:
        listed = _Listed(listing)
        return ImageSet(name, listed, partial(_load, sources), notes=listed.notes)
    project, notes = projects[0], list[str]()
    if len(projects) > 1:
        others = ", ".join(each.name for each in projects[1:])
        notes.append(f"The labels are those of the project {project.name}, not of {others}.")
    labels = await export_labels(sources.library.labels, project.id, listing)
    tasks: dict[int, tuple[str, str]] = {}
    any_finished = False
    async with aclosing(sources.tasks.iter(project.id, state="all")) as found:
        async for task in found:
            if (index := listing.find(task.media_id)) is not None:
                tasks[index] = (task.id, task.state.value)
                any_finished = any_finished or bool(finished([task]))
    config = await sources.label_configs.read(project.id)
    if tasks and not any_finished:
        notes.append("No task is finished, and the labels of other tasks are not shown.")
    listed = _Listed(listing, labels, tasks)
    return ImageSet(
        name,
        listed,
        partial(_load, sources),
        None if config is None else LabelConfig.from_entries(config),
        # The route of the service's own front end (seen in its source).
        f"{sources.base_url}label-mode/task/",
        (*notes, *listed.notes),
    )


class _Listed(Sequence[Subject]):
    """The images of a listing by name, each made when it is used; videos are only counted."""

    def __init__(
        self,
        listing: Listing,
        labels: PackedLabels | None = None,
        tasks: Mapping[int, tuple[str, str]] | None = None,
    ) -> None:
        self._listing, self._labels, self._tasks = listing, labels, tasks or {}
        images = (
            (media.name, index)
            for index, media in enumerate(listing)
            if media.source_type is not MediaSourceType.AWS_S3
        )
        self._order = array("L", (index for _, index in sorted(images)))
        videos = len(listing) - len(self._order)
        self.notes = (f"{counted(videos, 'video')} not shown.",) if videos else ()

    def __len__(self) -> int:
        return len(self._order)

    def __getitem__(self, at: Any) -> Any:
        index = self._order[at]
        media = self._listing[index]
        labels = self._labels[index] if self._labels is not None else None
        task_id, state = self._tasks.get(index, ("", ""))
        return Subject(
            name=media.name,
            media_id=media.id,
            labels=labels,
            state=state,
            task_id=task_id,
            is_link=media.source_type is MediaSourceType.SHAREABLE_LINK,
        )


async def _load(sources: LookSources, subject: Subject) -> bytes:
    return await sources.library.media.download(subject.media_id, link=subject.is_link)


_NAME_IMAGES: Final = re.compile(r"; name (?:its|the) folder [^,;)]*images=\.\.\.")


async def of_folder(
    folder: Path, labels: Path | None, listing: Path | None = None, classes: Fixed = ()
) -> ImageSet:
    """Return the images of a folder, with labels in any format: `labels`, or else those in it.

    `listing` is the file of COCO that lists the images, if the labels are results; `classes` are
    the names of classes that have only numbers, or a file of them.
    """
    files = await in_thread(_images_below, folder)
    if not files:
        raise ConfigurationError(f"There is no image in {folder}; name a folder of images")
    subjects = [Subject(name=each.relative_to(folder).as_posix(), path=each) for each in files]
    path = labels if labels is not None else await in_thread(_labels_below, folder)

    async def load(subject: Subject) -> bytes | Path:
        return subject.path or b""

    place = None if labels is None else folder  # those beside labels are found without it
    looked = ImageSet(
        folder.name or str(folder),
        subjects,
        load,
        folder=place,
        listing=listing,
        classes=classes,
    )
    found, notes = await labels_by_id(path, looked, may_lack=labels is None)
    if listing is None and path.suffix.lower() == ".json":
        listing = path
    subjects = [attrs.evolve(each, labels=found.get(each.id)) for each in subjects]
    return attrs.evolve(looked, subjects=subjects, notes=notes, folder=folder, listing=listing)


async def labels_by_id(
    path: Path, looked: ImageSet, *, may_lack: bool = False, in_shares: bool = False
) -> tuple[dict[str, LabeledImage], tuple[str, ...]]:
    """Return the labels of a file or folder by the ids of their images, and notes.

    Images are found as by an import, or by the last part of their name if only one has it. With a
    label configuration, classes get its keys. `may_lack`: whether there may be no labels at all.
    `in_shares` as for `PredictionFile`.
    """
    whole, last = MediaIndex(), MediaIndex()
    for each in looked.subjects:
        whole.add([each])
        last.add([Subject(name=each.name.rpartition("/")[2], media_id=each.id)])
    found, lost, several, again, notes = dict[str, LabeledImage](), 0, 0, 0, list[str]()
    try:
        beside = looked.folder, looked.listing, looked.classes
        labels = labels_in(path, notes, looked.config, *beside, in_shares=in_shares)
        async with aclosing(labels) as images:
            async for image in images:
                name, of = image.media_name, [image.media_id]
                if image.media_id not in whole:
                    of = whole.ids_of(name) or last.ids_of(name)
                if not of:
                    lost += 1
                elif len(of) > 1:
                    several += 1
                elif of[0] in found:
                    again += 1
                else:
                    found[of[0]] = image
    except FormatError as error:
        if not may_lack:
            raise
        return {}, (f"No labels are shown: {error}.",)
    notes = [_NAME_IMAGES.sub("", note) for note in notes]  # the images are those of the gallery
    if lost:
        notes.append(f"{counted(lost, 'image')} of {path.name or path} not found here.")
    if several:
        what = f"{counted(several, 'image')} of {path.name or path}"
        notes.append(f"{what} left out: several images here have the same name.")
    if again:
        what = f"{counted(again, 'image')} of {path.name or path}"
        notes.append(f"{what} left out: another one there has the labels of the same image.")
    return found, tuple(notes)


def _labels_below(folder: Path) -> Path:
    """Return the labels of a download, the one JSON file of a folder with labels, or the folder."""
    if (path := labels_of_download(folder)) != folder:
        return path
    found = [path for pattern in ("*.json", "annotations/*.json") for path in folder.glob(pattern)]
    with suppress(FormatError):  # such as the notes.json beside YOLO of Label Studio
        if len(found) == 1:
            known = PredictionFile(found[0]).found_format
            if known in OWN_FORMATS or known == sniff(folder):  # and of no other format
                return found[0]
    return folder


def _images_below(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise ConfigurationError(f"{folder} is not a folder; name a folder of images")
    found = files_below(folder, IMAGE_SUFFIXES)
    # Thumbnails of earlier galleries are not wanted, nor what a download has laid beside the media:
    # the same images with labels, and bitmaps.
    places = {each for path in found for each in path.relative_to(folder).parents}
    others = {each for each in places if (folder / each / MARKER).is_file()}
    if is_download(folder):
        others.update(map(Path, KEPT_NAMES))
    return [path for path in found if others.isdisjoint(path.relative_to(folder).parents)]
