"""The method of a client that exports: kept apart, since a client has many others."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING

from datagym_async.formats.coco import CocoMapping
from datagym_async.transfer._export_jobs import (
    ExportOptions,
    ExportSource,
    SizeSource,
    export_labels,
)

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

    from datagym_async.transfer._export import ExportedLabels, ExportFormat, ExportProgress


class ExportMethods(ABC):
    """Give a client its exports into files."""

    @property
    @abstractmethod
    def _export_sources(self) -> tuple[ExportSource, SizeSource]:
        """Return where labels and sizes come from."""

    async def export_labels(
        self,
        project_id: str,
        path: str | os.PathLike[str],
        format: ExportFormat = "json",  # noqa: A002 -- what it is called everywhere
        *,
        mapping: CocoMapping | None = None,
        sizes: bool = True,
        overwrite: bool = False,
        on_progress: Callable[[ExportProgress], None] | None = None,
    ) -> ExportedLabels:
        """Write the labels of a project's finished tasks to a file or folder.

        ``"json"`` is what the service sends, byte by byte, and ``"jsonl"`` a line a task; both are
        written as they arrive. The other formats take all labels at once and need the extra
        ``formats`` (COCO only where it needs masks). A file or folder is there whole or not at all.

        Args:
            project_id: UUID of the project.
            path: The file of ``"json"``, ``"jsonl"`` and ``"coco"``, replaced if it is there; else
                the folder, which must not be there, or be empty. Captions go to a file beside
                that of COCO, ``NAME.captions.json``.
            format: ``"json"``, ``"jsonl"``, ``"coco"``, ``"yolo"``, ``"yolo-seg"``, ``"voc"``,
                ``"kitti"`` or ``"cvat"``.
            mapping: For COCO as `formats.coco.to_document` takes it; other formats take the class
                of an object from its select.
            sizes: Whether widths and heights are read from the service, a request an image. All
                formats but ``"json"`` and ``"jsonl"`` leave out what needs them otherwise.
            overwrite: Whether a folder that holds something is deleted, once the new one is
                complete.
            on_progress: Called now and then, in the event loop; must not raise.

        Raises:
            ConfigurationError: There is no such format, the path cannot be used, or an extra is
                missing.
            NotFoundError: The project is unknown.
            APIError: The labels cannot be read.
            OSError: They cannot be written.
        """
        labels, tasks = self._export_sources
        options = ExportOptions(
            mapping=mapping or CocoMapping(),
            sizes=sizes,
            overwrite=overwrite,
            on_progress=on_progress or _ignore,
        )
        return await export_labels(labels, tasks, project_id, Path(path), format, options)


def _ignore(progress: ExportProgress) -> None:
    del progress
