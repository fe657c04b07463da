"""Labels of a project into a file or folder, in one of the formats there are.

JSON and JSON Lines are written as the labels arrive; the others take all labels at once, and are
written in a thread.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import aclosing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final, Literal, TypeAlias, cast, get_args

import attrs
import orjson

from datagym_async._file_names import safe_name
from datagym_async._files import replaced_file, telling
from datagym_async._threads import in_thread
from datagym_async.exceptions import ConfigurationError, NotFoundError
from datagym_async.formats import LabelMapping, LossKind, LossReport, coco, convert
from datagym_async.formats.convert import check_target
from datagym_async.labels import LabeledTask, to_payload
from datagym_async.resources._tasks import FINISHED
from datagym_async.resources._work import for_each, in_batches

if TYPE_CHECKING:
    from datagym_async.resources import LabelsResource, TasksResource


ExportFormat: TypeAlias = Literal[
    "json", "jsonl", "coco", "yolo", "yolo-seg", "voc", "kitti", "cvat"
]
"""What an export is written as."""

EXPORT_FORMATS: Final[tuple[ExportFormat, ...]] = get_args(ExportFormat)


@attrs.frozen(kw_only=True)
class ExportProgress:
    """How far an export is."""

    phase: Literal["export", "sizes", "write"]
    """Labels arrive, widths and heights of images are read, the format is written."""
    done: int = 0
    total: int | None = None
    """Of how much; None where nobody knows."""
    unit: Literal["bytes", "tasks"] = "tasks"
    """``"bytes"`` for ``"json"``, which is not read."""


@attrs.frozen(kw_only=True)
class ExportedLabels:
    """What came of an export: the numbers are None for ``"json"``, which is written as it comes."""

    path: Path
    """The file or folder that was written."""
    format: ExportFormat
    size: int | None = None
    """Bytes, of ``"json"`` and ``"jsonl"`` alone."""
    tasks: int | None = None
    annotations: int | None = None
    """Shapes, the nested ones too."""
    losses: LossReport = attrs.field(factory=LossReport)
    """What the format cannot hold."""

    @property
    def left_out(self) -> int:
        """Return the number of tasks of which nothing was written."""
        kinds = (LossKind.VIDEO, LossKind.SAME_FILE, LossKind.NO_SIZE)
        return sum(self.losses.count(kind) for kind in kinds)


_LINES = 256
"""Tasks written in one hop to a thread."""
_SIZES = 8
"""Tasks read at once, to know the sizes of their images."""


@attrs.frozen(kw_only=True)
class ExportOptions:
    """What is asked for besides project, path and format."""

    mapping: LabelMapping  # which select tells the category of COCO, and the class of other formats
    sizes: bool = True  # whether widths and heights of images are read from the service
    overwrite: bool = False  # whether what a folder holds is deleted, once the new one is complete
    on_progress: Callable[[ExportProgress], None]


async def export_labels(
    labels: LabelsResource,
    tasks: TasksResource,
    project_id: str,
    path: Path,
    wanted: ExportFormat,
    options: ExportOptions,
) -> ExportedLabels:
    """Write the labels of a project to a file or folder.

    Raises:
        APIError: They cannot be read.
        ConfigurationError: There is no such format, or the path cannot be used.
        FileWriteError: They cannot be written.
    """
    if wanted not in EXPORT_FORMATS:
        known = ", ".join(EXPORT_FORMATS)
        raise ConfigurationError(f"There is no export format {wanted!r}; use one of {known}")
    path = await in_thread(_prepared, path, wanted, options)
    if wanted == "json":

        def tell(written: int) -> None:
            options.on_progress(ExportProgress(phase="export", done=written, unit="bytes"))

        size = await labels.export_to(project_id, path, on_bytes=tell)
        return ExportedLabels(path=path, format=wanted, size=size)
    if wanted == "jsonl":
        return await _lines(labels, project_id, path, options)
    return await _converted(labels, tasks, project_id, path, wanted, options)


def _prepared(path: Path, wanted: ExportFormat, options: ExportOptions) -> Path:
    """Return where to write, once it is sure that something can be written there."""
    if path.is_symlink():
        path = path.resolve()  # what it leads to is replaced, never the link (think of /dev/stdout)
    if wanted in ("json", "jsonl", "coco"):
        if path.is_dir():
            raise ConfigurationError(
                f"{path} is a folder, and a file is to be written; name a file"
            )
        if path.exists() and not path.is_file():
            raise ConfigurationError(f"{path} is no file that could be replaced; name a file")
    else:
        check_target(path, wanted, overwrite=options.overwrite)
    with telling(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    return path


async def _lines(
    labels: LabelsResource, project_id: str, path: Path, options: ExportOptions
) -> ExportedLabels:
    """Write a line a task, in memory that does not grow with them."""

    def write(file: BinaryIO, batch: Iterable[LabeledTask]) -> int:
        return file.write(b"".join(orjson.dumps(to_payload(task)) + b"\n" for task in batch))

    counted = size = annotations = 0
    async with (
        replaced_file(path) as file,
        aclosing(labels.iter_export(project_id)) as tasks,
        aclosing(in_batches(tasks, _LINES)) as batches,
    ):
        async for batch in batches:
            size += await in_thread(write, file, batch)
            counted += len(batch)
            annotations += sum(1 for task in batch for _ in task.walk())
            options.on_progress(ExportProgress(phase="export", done=counted))
    return ExportedLabels(
        path=path, format="jsonl", size=size, tasks=counted, annotations=annotations
    )


async def _converted(
    labels: LabelsResource,
    tasks: TasksResource,
    project_id: str,
    path: Path,
    wanted: ExportFormat,
    options: ExportOptions,
) -> ExportedLabels:
    """Write a format that takes all labels at once."""
    found: list[LabeledTask] = []
    async with aclosing(labels.iter_export(project_id)) as exported:
        async for task in exported:
            found.append(task)
            options.on_progress(ExportProgress(phase="export", done=len(found)))
    if options.sizes:
        sizes = await _sizes(tasks, project_id, {task.media_id for task in found}, options)
        for at, task in enumerate(found):
            width, height = sizes.get(task.media_id, (task.width, task.height))
            found[at] = attrs.evolve(task, width=width, height=height)
    options.on_progress(ExportProgress(phase="write", done=len(found), total=len(found)))
    losses = await in_thread(_write, found, path, wanted, options)
    return ExportedLabels(
        path=path,
        format=wanted,
        tasks=len(found),
        annotations=sum(1 for task in found for _ in task.walk()),
        losses=losses,
    )


def _write(
    found: list[LabeledTask], path: Path, wanted: ExportFormat, options: ExportOptions
) -> LossReport:
    if wanted == "coco":
        captions = None
        if any(task.classification(options.mapping.caption) for task in found):
            captions = path.with_name(f"{path.stem}.captions.json")
        return coco.write(found, path, captions=captions, mapping=options.mapping)
    names_class = options.mapping.by == "supercategory"
    return convert.write(
        found,
        path,
        cast("convert.FormatName", wanted),
        select=options.mapping.select_key if names_class else "",
        overwrite=options.overwrite,
        file_name=safe_name,
    )


async def _sizes(
    tasks: TasksResource, project_id: str, media_ids: set[str], options: ExportOptions
) -> dict[str, tuple[int, int]]:
    """Return width and height of images, which the service says in the details of tasks alone.

    An image whose task cannot be read has none.
    """
    listed = await tasks.list(project_id, state=FINISHED)
    wanted = {task.id: task.media_id for task in listed if task.media_id in media_ids}
    sizes: dict[str, tuple[int, int]] = {}

    async def read(task_id: str) -> None:
        with suppress(NotFoundError):  # deleted in the meantime
            media = (await tasks.get(task_id)).media
            if media.width and media.height:
                sizes[wanted[task_id]] = (media.width, media.height)
        options.on_progress(ExportProgress(phase="sizes", done=len(sizes), total=len(wanted)))

    await for_each(wanted, read, concurrency=_SIZES)
    return sizes
