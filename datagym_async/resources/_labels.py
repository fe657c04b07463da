"""`LabelsResource`: labels, in and out."""

from __future__ import annotations

from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING

from datagym_async._files import replaced_file
from datagym_async._threads import in_thread
from datagym_async._wire import _routes as routes
from datagym_async._wire._codec import check_image
from datagym_async.labels import VideoLabels, with_keys
from datagym_async.models import TaskDetail
from datagym_async.resources._base import read_with
from datagym_async.resources._exports import iter_tasks, read_export, whole_chunks
from datagym_async.resources._label_imports import LabelImports
from datagym_async.resources._videos import DEFAULT_CONCURRENCY, iter_videos

if TYPE_CHECKING:
    import os
    from collections.abc import AsyncGenerator, Callable

    from datagym_async.labels import LabeledTask, LabelExport


class LabelsResource(LabelImports):
    """The labels of projects."""

    async def export(self, project_id: str) -> LabelExport:
        """Return the labels of all tasks that are completed, skipped or reviewed.

        Args:
            project_id: UUID of the project.

        Raises:
            NotFoundError: The project is unknown.
            APIError: The service cannot be asked, or refuses.
        """
        request = routes.export_labels(project_id)
        response = await self._session.request(request)
        return await read_with(lambda: read_export(request, response), response)

    async def iter_export(self, project_id: str) -> AsyncGenerator[LabeledTask, None]:
        """Give the labels of each task as they arrive, in memory that does not grow with them.

        The answer is closed when the iteration ends; one that is left early is best wrapped in
        ``contextlib.aclosing``.

        Args:
            project_id: UUID of the project.

        Raises:
            APIError: See `export`; also when the answer breaks off.
        """
        request = routes.export_labels(project_id)
        async with (
            self._session.stream(request) as answer,
            aclosing(iter_tasks(request, answer)) as tasks,
        ):
            async for task in tasks:
                yield task

    async def export_to(
        self,
        project_id: str,
        path: str | os.PathLike[str],
        *,
        on_bytes: Callable[[int], None] | None = None,
    ) -> int:
        """Write an export to a file as the service sends it, and return its size in bytes.

        It is written beside the file first, so that a failure or cancellation leaves what was there
        before.

        Args:
            project_id: UUID of the project.
            path: The file; an existing one is replaced. Its folder must exist.
            on_bytes: Called with the number of bytes written so far; must not raise.

        Raises:
            FileWriteError: The file cannot be written.
            APIError: See `export`; also when the answer breaks off.
        """
        written = 0
        request = routes.export_labels(project_id)
        async with (
            self._session.stream(request) as answer,
            aclosing(whole_chunks(request, answer)) as chunks,
            replaced_file(Path(path)) as file,
        ):
            async for chunk in chunks:
                written += await in_thread(file.write, chunk)
                if on_bytes is not None:
                    on_bytes(written)
        return written

    async def export_video(self, task_id: str, *, with_classes: bool = True) -> VideoLabels:
        """Return the labels of one video.

        Args:
            task_id: UUID of the task, in any state: `LabeledTask.task_id` of an exported one.
            with_classes: Whether the task is read as well, to know the key of each object and the
                types of answers, which the export does not say. The service then creates the empty
                answers of a task that nobody has opened yet. False leaves each `VideoObject.key`
                None.

        Raises:
            NotFoundError: The task is unknown.
            RequestRefusedError: The task is of an image project.
            APIError: The service cannot be asked, or refuses.
        """
        labels = await self._fetch(routes.export_video(task_id), VideoLabels)
        if not with_classes:
            return labels
        task = await self._fetch(routes.get_task(task_id), TaskDetail)
        return with_keys(labels, task.label_iteration.values)

    async def export_videos(
        self,
        project_id: str,
        *,
        with_classes: bool = True,
        concurrency: int = DEFAULT_CONCURRENCY,
    ) -> AsyncGenerator[tuple[LabeledTask, VideoLabels], None]:
        """Give each finished task of a video project with the labels of its video.

        Each is asked for at this client's own address, whatever address the export names, a few at
        a time, and given in the export's order.

        Args:
            project_id: UUID of a project of videos.
            with_classes: See `export_video`.
            concurrency: Videos asked for at once.

        Raises:
            ConfigurationError: The project is of images, or `concurrency` is less than 1.
            APIError: See `export` and `export_video`.
        """

        async def fetch(task_id: str) -> VideoLabels:
            return await self.export_video(task_id, with_classes=with_classes)

        tasks = (await self.export(project_id)).tasks
        async with aclosing(iter_videos(tasks, fetch, concurrency=concurrency)) as videos:
            async for video in videos:
                yield video

    async def bitmap(self, task_id: str, export_key: str) -> bytes:
        """Return the segmentation of a task under one key as a bitmap (``image/bmp``).

        It is as large as the image: 8 bits a pixel, 255 where the segments are, else 0. A key
        without segments, or of another type, gives an all-black image.

        Args:
            task_id: UUID of a task that is completed, skipped or reviewed.
            export_key: Key of the entry.

        Raises:
            NotFoundError: The task or the key is unknown.
            RequestRefusedError: The task is in another state.
            APIError: The service cannot be asked, or refuses.
        """
        request = routes.export_bitmap(task_id, export_key)
        response = await self._session.request(request)
        check_image(request, response)
        return response.body
