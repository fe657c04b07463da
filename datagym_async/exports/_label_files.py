"""Labels of a project written to a file or folder, in any format, with images if wanted.

JSON and JSON Lines are written as the labels arrive; other formats need all labels at once, and are
written in a thread.
"""

from __future__ import annotations

import json
import os
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from contextlib import aclosing
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Final, Literal, TypeAlias, cast, get_args

import attrs
import orjson

from datagym_async._checks import by_annotation, check_is, one_of
from datagym_async._files import followed, replaced_file, safe_name, telling
from datagym_async._json import as_text
from datagym_async._printable import Shown, counted, printable
from datagym_async._runs._disk import path_in
from datagym_async._runs._text import size
from datagym_async._threads import in_thread
from datagym_async.exceptions import ConfigurationError
from datagym_async.exports._tasks import TaskSource
from datagym_async.formats import (
    Category,
    LabelMapping,
    LossKind,
    LossReport,
    WrittenFormat,
    classes_from,
    write,
)
from datagym_async.formats._classes import composed
from datagym_async.formats._splits import parts_of
from datagym_async.formats._table import MANIFEST, is_download
from datagym_async.formats._writing import check_target
from datagym_async.formats._written import Fixed, given_classes
from datagym_async.labels import LabeledImage, LabeledTask, to_payload
from datagym_async.resources._base import in_batches

ExportFormat: TypeAlias = Literal["json", "jsonl", WrittenFormat]
"""The format of an export."""

EXPORT_FORMATS: Final[tuple[ExportFormat, ...]] = get_args(ExportFormat)
ONE_FILE: Final = frozenset({"json", "jsonl", "coco"})
"""Formats that are a file; the others are folders, and so is COCO with images or parts."""

ImagesWay: TypeAlias = Literal["link", "copy", "download"]
"""How images get beside their labels: from existing files, or downloaded and then linked."""


@attrs.frozen(kw_only=True)
class ExportProgress:
    """The progress of an export."""

    phase: Literal["export", "sizes", "images", "write"]
    """Labels arrive; tasks are read for sizes of images and exact coordinates; images are
    downloaded; the format is written."""
    done: int = 0
    total: int | None = None
    """None if it is not known."""
    unit: Literal["bytes", "tasks"] = "tasks"
    """``"bytes"`` for ``"json"``, which is not read."""


@attrs.frozen(kw_only=True)
class ExportedLabels(Shown):
    """The result of an export; its counts are None for ``"json"``, which is not parsed."""

    path: Path
    """The file or folder that was written."""
    format: ExportFormat
    size: int | None = None
    """Bytes, only of ``"json"`` and ``"jsonl"``."""
    tasks: int | None = None
    annotations: int | None = None
    """Shapes, also nested ones."""
    exact: bool = False
    """Whether coordinates are exact; else they are whole pixels, as the service exports them."""
    losses: LossReport = attrs.field(factory=LossReport)
    """What the format cannot hold."""
    downloaded_to: Path | None = None
    """The folder of ``images="download"``. It stays, and may be deleted."""

    @property
    def left_out(self) -> int:
        """Return the number of tasks that are not in the output at all."""
        kinds = (LossKind.VIDEO, LossKind.SAME_FILE, LossKind.NO_SIZE)
        return sum(self.losses.count(kind) for kind in kinds)

    @property
    def ok(self) -> bool:
        """Return whether all labels are written, and all images that were wanted exist."""
        return not (self.losses.is_loss or self.losses.count(LossKind.NO_FILE))

    def summary(self) -> str:
        """Return what was written as one sentence; `str` adds a line for each loss."""
        what = size(self.size or 0)
        if self.tasks is not None:
            shapes = counted(self.annotations or 0, "shape")
            what = f"{counted(self.tasks, 'task')} with {shapes}"
        return printable(f"Wrote {what} to {self.path}.")

    def __str__(self) -> str:
        return "\n".join((self.summary(), *map(str, self.losses.items)))


_LINES: Final = 256  # tasks written in one thread call


@attrs.frozen(kw_only=True, field_transformer=by_annotation)
class ExportOptions:
    """The options of ``client.export_labels``, which explains them."""

    mapping: LabelMapping = attrs.field(factory=LabelMapping)
    exact: bool | None = None
    sizes: bool = True
    captions: bool = True
    classes: Fixed = attrs.field(default=(), converter=given_classes)
    clip: bool = False
    zero_based: bool = False
    images: ImagesWay | None = attrs.field(
        default=None, validator=one_of(*get_args(ImagesWay), None)
    )
    images_from: Path | None = None
    split: str | Mapping[str, float] | None = None
    group: str | None = None
    overwrite: bool = False
    # Downloads media, by their ids, into a folder; reports how many of how many exist.
    download: Callable[[Path, Collection[str], Callable[[int, int], None]], Awaitable[None]]
    on_progress: Callable[[ExportProgress], None]

    @property
    def is_dataset(self) -> bool:
        """Return whether the output is a folder, whatever the format is."""
        return self.images is not None or self.split is not None

    def on_read(self, done: int, total: int) -> None:
        self.on_progress(ExportProgress(phase="sizes", done=done, total=total))


async def export_labels(
    source: TaskSource, path: Path, wanted: ExportFormat, options: ExportOptions
) -> ExportedLabels:
    """Write the labels of a project to a file or folder; for errors `client.export_labels`."""
    check_is("format", wanted, str)
    if wanted not in EXPORT_FORMATS:
        known = ", ".join(EXPORT_FORMATS)
        raise ConfigurationError(f"There is no export format {wanted!r}; use one of {known}")
    _check_choice(source, wanted, options)
    path, classes = await in_thread(_prepared, path, wanted, options)
    options = attrs.evolve(options, classes=classes)
    if wanted == "json":

        def tell(written: int) -> None:
            options.on_progress(ExportProgress(phase="export", done=written, unit="bytes"))

        size = await source.labels.export_to(source.project_id, path, on_bytes=tell)
        return ExportedLabels(path=path, format=wanted, size=size)
    if wanted == "jsonl":
        return await _lines(source, path, options)
    return await _converted(source, path, wanted, options)


def _check_choice(source: TaskSource, wanted: ExportFormat, options: ExportOptions) -> None:
    if wanted == "json" and (options.exact or not source.is_all):
        raise ConfigurationError(
            "The format json is what the service sends: all finished tasks, in whole pixels; use "
            "jsonl to choose tasks, or for exact coordinates."
        )
    if options.exact is False and source.needs_details:
        raise ConfigurationError(
            "The service exports only finished tasks (completed, skipped, reviewed); tasks in "
            "other states are read one by one, exactly: leave out exact=False."
        )
    is_own = wanted in ("json", "jsonl")
    if is_own and options.is_dataset:
        raise ConfigurationError(f"The format {wanted} can hold neither images nor parts.")
    idle = ["zero_based"] if options.zero_based and wanted != "voc" else []
    if is_own:
        idle += [name for name in ("classes", "clip", "group") if getattr(options, name)]
        idle += ["mapping"] if options.mapping != LabelMapping() else []
    if idle:
        raise ConfigurationError(f"{idle[0]} has no effect on the format {wanted}; leave it out.")
    if options.images in ("link", "copy") and options.images_from is None:
        raise ConfigurationError(
            f"Where are the images to {options.images}? Name their folder with images_from=..., or "
            'use images="download".'
        )
    if options.images_from is not None and options.images is None:
        raise ConfigurationError('images_from=... needs images=..., "link", "copy" or "download".')
    parts_of(options.split, options.group)  # refuses invalid ones before anything is fetched


def _prepared(
    path: Path, wanted: ExportFormat, options: ExportOptions
) -> tuple[Path, tuple[Category, ...]]:
    """Return the path and the fixed classes, after a check that both can be used."""
    path = followed(path)
    if wanted in ONE_FILE and not options.is_dataset:
        if path.is_dir():
            raise ConfigurationError(f"{path} is a folder, but the format is a file; name a file")
        if path.exists() and not path.is_file():
            raise ConfigurationError(f"{path} is not a regular file; use another path")
    else:
        check_target(path, overwrite=options.overwrite)
    if (images := options.images_from) is not None:
        if images.resolve().is_relative_to(path.resolve()):
            raise ConfigurationError(
                f"The images in {images} would be deleted with what is in {path}, which is written "
                "as a whole; use another path"
            )
        if options.images != "download":
            files_in(images, path)
    classes = classes_from(options.classes)
    with telling(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    return path, classes


async def _lines(source: TaskSource, path: Path, options: ExportOptions) -> ExportedLabels:
    """Write a line for each task, in constant memory."""

    def write(file: BinaryIO, batch: Iterable[LabeledTask]) -> int:
        return file.write(b"".join(orjson.dumps(to_payload(task)) + b"\n" for task in batch))

    counted = size = annotations = 0
    exact = bool(options.exact) or source.needs_details
    async with (
        replaced_file(path) as file,
        aclosing(source.exact(options.on_read) if exact else source.exported()) as tasks,
        aclosing(in_batches(tasks, _LINES)) as batches,
    ):
        async for batch in batches:
            size += await in_thread(write, file, batch)
            counted += len(batch)
            annotations += sum(1 for task in batch for _ in task.walk())
            if not exact:
                options.on_progress(ExportProgress(phase="export", done=counted))
    return ExportedLabels(
        path=path, format="jsonl", size=size, tasks=counted, annotations=annotations, exact=exact
    )


async def _converted(
    source: TaskSource, path: Path, wanted: ExportFormat, options: ExportOptions
) -> ExportedLabels:
    """Write a format that needs all labels at once."""
    found: list[LabeledTask] = []
    losses, exact = LossReport(), options.exact
    if source.needs_details:
        exact = True
        async with aclosing(source.exact(options.on_read)) as tasks:
            found += [task async for task in tasks]
    else:
        async with aclosing(source.exported()) as tasks:
            async for task in tasks:
                found.append(task)
                options.on_progress(ExportProgress(phase="export", done=len(found)))
        exact = options.sizes if exact is None else exact
        if options.sizes or exact:
            losses = await source.read(found, options.on_read, exact=exact)
    config = await source.config()
    folder = options.images_from
    if options.images == "download":
        folder = folder or path.with_name(f"{path.name}.media")

        def tell(done: int, total: int) -> None:
            options.on_progress(ExportProgress(phase="images", done=done, total=total))

        pictured = {task.media_id for task in found if task.task_export_url is None}
        await options.download(folder, pictured, tell)
    options.on_progress(ExportProgress(phase="write", done=len(found), total=len(found)))

    def write_all() -> LossReport:
        return write(
            found,
            path,
            cast("WrittenFormat", wanted),
            mapping=options.mapping,
            config=config or (),
            classes=options.classes,
            clip=options.clip,
            zero_based=options.zero_based,
            images_from=None if folder is None else files_in(folder, path),
            placing="copy" if options.images == "copy" else "link",
            split=options.split,
            group=options.group,
            captions=options.captions,
            overwrite=options.overwrite,
        )

    losses += await in_thread(write_all)
    return ExportedLabels(
        path=path,
        format=wanted,
        tasks=len(found),
        annotations=sum(1 for task in found for _ in task.walk()),
        exact=exact,
        losses=losses,
        downloaded_to=folder if options.images == "download" else None,
    )


def files_in(folder: Path, output: Path) -> Callable[[LabeledImage], Path | None]:
    """Return a function that finds the file of an image in a folder; both block.

    The folder of a `download` has a manifest. In others files are found by the names of media: with
    their folders, as `download` writes them, or by the last part if only one file has it. Composed
    and decomposed letters are the same.
    """
    if not folder.is_dir():
        raise ConfigurationError(
            f"{folder} is not a folder; name one with the files of the images."
        )
    with telling(folder):
        if is_download(folder):
            by_id = _downloaded(folder)
            return lambda image: by_id.get(image.media_id)
        found, last, earlier = dict[str, Path](), dict[str, list[Path]](), output.resolve()
        for parent, folders, names in os.walk(folder):
            if Path(parent).resolve() == earlier:
                folders.clear()  # it has the images a second time
                continue
            for name in names:
                path = Path(parent, name)
                found[composed(path.relative_to(folder).as_posix())] = path
                last.setdefault(composed(name), []).append(path)

    def file_of(image: LabeledImage) -> Path | None:
        name = composed(image.media_name)
        for each in (name, name.replace("\\", "/"), composed(safe_name(image.media_name))):
            if each in found:
                return found[each]
        own = last.get(PurePosixPath(name.replace("\\", "/")).name, [])
        return own[0] if len(own) == 1 else None

    return file_of


def _downloaded(folder: Path) -> dict[str, Path]:
    found = {}
    with (folder / MANIFEST).open("rb") as lines:
        for number, line in enumerate(lines, 1):
            try:
                row = json.loads(line)
                outcome, media_id, file = map(
                    as_text, map(row.get, ("outcome", "media_id", "file"))
                )
            except (ValueError, AttributeError, RecursionError):
                raise ConfigurationError(
                    f"{folder / MANIFEST}, line {number}: it is not what a download has written; "
                    "the same download writes it again."
                ) from None
            if outcome == "downloaded":
                found[media_id] = path_in(folder, file)
    return found
