"""`LabelsResource`: exports, labels of videos, bitmaps, and imports."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Iterable, Mapping, Sequence
from contextlib import aclosing
from typing import Literal, TypeAlias, TypedDict

from datagym_async._checks import check_one_or_more, checked
from datagym_async._files import from_home, replaced_file
from datagym_async._threads import in_thread
from datagym_async._wire import _routes as routes
from datagym_async._wire._codec import ImportAnswer, check_image
from datagym_async.exceptions import ConfigurationError
from datagym_async.labels import (
    EntryLike,
    ExportReader,
    LabelConfig,
    LabeledTask,
    LabelExport,
    VideoLabels,
    with_keys,
)
from datagym_async.labels._config import entries_of
from datagym_async.models import LabelConfiguration, MediaType, ProjectId, TaskDetail, TaskId
from datagym_async.models._ids import id_of
from datagym_async.resources._base import (
    DECODED_ON_THE_LOOP,
    DEFAULT_CONCURRENCY,
    MOST,
    Resource,
    for_each,
    iter_tasks,
    read_export,
    whole_chunks,
)
from datagym_async.resources._predictions import (
    DEFAULT_BATCH,
    MAX_BATCH,
    Importer,
    ImportReport,
    ImportResult,
    MediaNames,
    MediaSizes,
    PredictionLike,
    PredictionScreening,
)
from datagym_async.resources._tasks import TasksResource, read_task

ConfigSource: TypeAlias = "LabelConfiguration | LabelConfig | Literal['read'] | None"
"""A label configuration; ``"read"`` for that of the project; None to check without one."""


def of_videos(project: str) -> ConfigurationError:
    return ConfigurationError(
        f"The project {project} is of videos, whose labels cannot be imported: neither the editor "
        "of the service nor an export would show them"
    )


class ImportOptions(TypedDict, total=False):
    """Options of `LabelsResource.import_predictions`, as `client.import_labels` passes them."""

    partial: bool
    strict: bool
    by_name: bool
    dry_run: bool
    sizes: bool
    rescale: bool
    clip: bool
    batch_size: int


@checked
class LabelsResource(Resource):
    """The labels of projects.

    Ids are UUIDs. A call raises `NotFoundError` if an id is unknown, and another `APIError` if the
    service cannot be reached or refuses.
    """

    async def export(self, project_id: ProjectId) -> LabelExport:
        """Return the labels of all tasks that are completed, skipped or reviewed.

        More than 256 MiB raise `APIResponseValidationError`; `iter_export` has no such limit.
        """
        request = routes.export_labels(project_id)
        response = await self._session.request(request)
        if len(response.body) <= DECODED_ON_THE_LOOP:
            return read_export(request, response)
        return await asyncio.to_thread(read_export, request, response)

    def iter_export(
        self, project_id: ProjectId, *, reader: ExportReader | None = None
    ) -> AsyncGenerator[LabeledTask, None]:
        """Yield the labels of each task as they arrive, in constant memory.

        The connection is closed when the iteration ends; if you leave it early, use
        ``contextlib.aclosing``. An answer that is cut off raises an `APIError`.

        Args:
            reader: Has the classes at the beginning of the export, once a task was yielded.
        """
        return iter_tasks(self._session, routes.export_labels(project_id), reader)

    async def export_to(
        self,
        project_id: ProjectId,
        path: str | os.PathLike[str],
        *,
        on_bytes: Callable[[int], None] | None = None,
    ) -> int:
        """Write an export to a file as the service sends it, and return its size in bytes.

        It is first written to a temporary file, so a failure or cancellation leaves the old file.

        Args:
            path: The file; an existing one is replaced. Its folder must exist.
            on_bytes: Called with the number of bytes written so far; must not raise.

        Raises:
            FileWriteError: The file cannot be written.
            APIError: Also if the answer is cut off.
        """
        written = 0
        async with (
            aclosing(whole_chunks(self._session, routes.export_labels(project_id))) as chunks,
            replaced_file(from_home(path)) as file,
        ):
            async for chunk in chunks:
                written += await in_thread(file.write, chunk)
                if on_bytes is not None:
                    on_bytes(written)
        return written

    async def export_video(self, task_id: TaskId, *, with_classes: bool = True) -> VideoLabels:
        """Return the labels of one video.

        Args:
            task_id: UUID of the task, in any state: `LabeledTask.task_id` of an exported one.
            with_classes: Whether to read the task too, for the keys of objects and the types of
                answers, which the export does not contain. The service then creates empty answers
                in a task that nobody has opened yet. With False each `VideoObject.key` is None.

        Raises:
            RequestRefusedError: The task is of an image project.
        """
        labels = await self._fetch(routes.export_video(task_id), VideoLabels)
        if not with_classes:
            return labels
        task = await self._fetch(routes.get_task(task_id), TaskDetail)
        return with_keys(labels, task.label_iteration.values)

    async def export_videos(
        self,
        project_id: ProjectId,
        *,
        with_classes: bool = True,
        concurrency: int = DEFAULT_CONCURRENCY,
    ) -> AsyncGenerator[tuple[LabeledTask, VideoLabels], None]:
        """Yield each finished task of a video project with the labels of its video.

        Videos are requested from this client's own address, whatever address the export names, a
        few at a time, and yielded in the order of the export.

        Args:
            project_id: UUID of a video project.
            with_classes: See `export_video`.
            concurrency: Number of videos requested at once.

        Raises:
            ConfigurationError: The project is for images, or `concurrency` is less than 1.
        """
        tasks = []
        for task in (await self.export(project_id)).tasks:
            if not (task.task_export_url and task.task_id):
                raise ConfigurationError(
                    f"The task of {task.media_name!r} is not of a video; use labels.export for "
                    "image projects"
                )
            tasks.append((task, task.task_id))
        check_one_or_more("concurrency", concurrency)
        found: dict[str, VideoLabels] = {}

        async def fetch(task_id: str) -> None:
            found[task_id] = await self.export_video(task_id, with_classes=with_classes)

        # A window is requested together and yielded before the next begins, so no request is in
        # flight if the caller leaves early.
        for first in range(0, len(tasks), concurrency):
            window = tasks[first : first + concurrency]
            ids = (task_id for _, task_id in window)
            await for_each(ids, fetch, concurrency=min(concurrency, MOST))
            for task, task_id in window:
                yield task, found.pop(task_id)

    async def bitmap(self, task_id: TaskId, export_key: str) -> bytes:
        """Return the segmentation of a task for one key as a bitmap (``image/bmp``).

        It has the size of the image: 8 bits a pixel, 255 in the segments, else 0. For a key without
        segments, or of another type, it is all black.

        Args:
            task_id: UUID of a task that is completed, skipped or reviewed.
            export_key: Key of the entry.

        Raises:
            NotFoundError: The task or the key is unknown.
            RequestRefusedError: The task is in another state.
        """
        request = routes.export_bitmap(task_id, export_key)
        response = await self._session.request(request)
        check_image(request, response)
        return response.body

    async def import_predictions(
        self,
        project_id: ProjectId,
        predictions: Iterable[PredictionLike] | AsyncIterable[PredictionLike],
        *,
        keep_data: bool,
        config: ConfigSource = "read",
        check: bool = True,
        partial: bool = False,
        strict: bool = False,
        by_name: bool = False,
        dry_run: bool = False,
        sizes: bool = True,
        rescale: bool = False,
        clip: bool = False,
        batch_size: int = DEFAULT_BATCH,
    ) -> ImportReport:
        """Import labels: each prediction is checked, sent in a batch, and has one result.

        A prediction that the service would drop, break or refuse is held back (``rejected``), with
        the reasons. A batch that the service refuses is halved until the bad prediction is alone,
        so that all others are stored. One batch is sent at a time: the service's database locks
        itself up when several replace labels at once (observed).

        Args:
            project_id: UUID of the project; the datasets of the media must be attached to it.
            predictions: One for each media: `LabeledImage` values, items of an import as JSON, or
                tasks as exported. An iterable is asked in the event loop, an async one awaited.
            keep_data: True to append to the labels of each media: importing twice doubles them, and
                a batch whose answer is lost is not sent again, but ``unknown``. False to replace
                all labels of each media, also those that cannot be imported.
            config: What the labels are checked against: a configuration, ``"read"`` for that of the
                project (it is read from one of its tasks), or None for only the rules of the
                format.
            check: False to send labels as they are. Only predictions that name no media, or a media
                a second time where labels are replaced, are then held back.
            partial: True to leave out the parts that cannot be imported and send the rest; the
                result says what was left out. A prediction of which nothing is left is held back.
            strict: True to hold back predictions with warnings as well.
            by_name: True to find the media of predictions without an id, or with one of another
                project, by their names, as the service compares names. The names of all media of
                the project are read for that.
            dry_run: True to send nothing and only say what would be done: what can be imported is
                ``checked``. Whether the project has a task for each media is not looked at, unless
                they are found by name.
            sizes: Whether the width and height of a value are compared with those of its media:
                labels of an image of another size are held back. The service has sizes only in the
                details of tasks, so this takes a listing of the tasks and one request for each
                image with a size (with `clip`, for each image), 8 at once. The service then
                creates empty answers in tasks that nobody has opened.
            rescale: True to scale labels whose image has another size of exactly the same ratio.
            clip: True to cut shapes off at the edges of their image, and to leave out those that
                are entirely outside. Otherwise a shape beyond the right or lower edge is stored,
                with a warning. One beyond the left or upper edge, which the service refuses, is
                left out.
            batch_size: Predictions in one request, 1 to 500; more than 50 take longer each.

        Returns:
            One result for each prediction, in their order.

        Raises:
            ConfigurationError: `batch_size` is out of range, `predictions` is no collection, or the
                project, where its configuration is read, is of videos.
            APIError: The service cannot be reached any more; a note says how many were stored.
                `iter_import_predictions` also gives their results.
        """
        results = self.iter_import_predictions(
            project_id,
            predictions,
            keep_data=keep_data,
            config=config,
            check=check,
            partial=partial,
            strict=strict,
            by_name=by_name,
            dry_run=dry_run,
            sizes=sizes,
            rescale=rescale,
            clip=clip,
            batch_size=batch_size,
        )
        async with aclosing(results):
            return ImportReport(tuple([each async for each in results]))

    async def iter_import_predictions(
        self,
        project_id: ProjectId,
        predictions: Iterable[PredictionLike] | AsyncIterable[PredictionLike],
        *,
        keep_data: bool,
        config: ConfigSource = "read",
        check: bool = True,
        partial: bool = False,
        strict: bool = False,
        by_name: bool = False,
        dry_run: bool = False,
        sizes: bool = True,
        rescale: bool = False,
        clip: bool = False,
        batch_size: int = DEFAULT_BATCH,
    ) -> AsyncGenerator[ImportResult, None]:
        """Import labels and yield the result of each prediction when its batch is done.

        Memory holds one batch and, if labels are replaced, about 100 bytes for each media.
        Arguments and errors are those of `import_predictions`; before an error, the results of its
        batch are yielded. If you leave it early, nothing more is sent.
        """
        project_id = id_of(project_id, "project id")
        routes.import_predictions(project_id, (), keep_data=keep_data)  # is the id usable at all?
        if not 1 <= batch_size <= MAX_BATCH:
            raise ConfigurationError(f"batch_size is {batch_size}; use 1 to {MAX_BATCH}")

        async def send(batch: Sequence[Mapping[str, object]]) -> str:
            request = await asyncio.to_thread(
                routes.import_predictions, project_id, batch, keep_data=keep_data
            )
            return (await self._fetch(request, ImportAnswer)).messages

        entries: Sequence[EntryLike] | None = None
        if check and config is not None and not isinstance(config, str):
            entries = entries_of(config)
        elif check and config is not None:
            task = await read_task(self._session, project_id)
            if task is not None and task.project_type is MediaType.VIDEO:
                raise of_videos(project_id)
            entries = None if task is None else task.label_config.entries
        screening = PredictionScreening(
            keep_data,
            entries,
            await MediaNames.of_project(self._session, project_id) if by_name else None,
            partial=partial,
            strict=strict,
            check=check,
            rescale=rescale,
            clip=clip,
        )
        compared = None
        if sizes and (check or rescale or clip):
            compared = MediaSizes(TasksResource(self._session), project_id.lower(), always=clip)
        importer = Importer(screening, None if dry_run else send, batch_size, compared)
        async with aclosing(importer.run(predictions)) as results:
            async for result in results:
                yield result
