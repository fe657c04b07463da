"""Import the labels of a file or folder into a project.

They are read, matched with images and entries, and imported piece by piece: memory holds a batch of
images, and a few numbers for each media of the project.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import TypeVar

import attrs

from datagym_async._printable import Shown, counted
from datagym_async._threads import in_thread_left_behind
from datagym_async.exceptions import ConfigurationError
from datagym_async.formats import LossReport, PredictionFile
from datagym_async.labels import LabelConfig
from datagym_async.models import MediaType, Project
from datagym_async.resources import ImportReport, ImportResult, LabelConfigsResource, LabelsResource
from datagym_async.resources._labels import ConfigSource, ImportOptions, of_videos
from datagym_async.resources._predictions import PredictionLike

T = TypeVar("T")

__all__ = ["ImportedLabels"]


@attrs.frozen(kw_only=True)
class ImportedLabels(Shown):
    """The result of an import."""

    report: ImportReport
    """A result for each image with something to import."""
    losses: LossReport
    """What of the file was lost, or has another form."""
    unannotated: int = 0
    """Images without labels that were left as they are."""
    created: LabelConfig | None = None
    """The label configuration made from the file, because that of the project was empty."""

    @property
    def ok(self) -> bool:
        """Return whether something was (or can be) imported, and nothing was left out."""
        return bool(self.report.results) and self.report.ok and not self.losses.is_loss

    def __str__(self) -> str:
        made = "" if self.created is None else "A label configuration was made of the file."
        left = f"Left as they are: {counted(self.unannotated, 'image')} without labels."
        said = (made, self.report, *self.losses.items, left if self.unannotated else "")
        return "\n".join(filter(None, map(str, said)))


@attrs.define
class LabelImport:
    """The import of a file, run by `finish` or `results`."""

    labels: LabelsResource
    configs: LabelConfigsResource
    project: Project
    source: PredictionFile
    keep_data: bool = attrs.field(kw_only=True)  # as for `LabelsResource.import_predictions`
    how: ImportOptions = attrs.field(factory=ImportOptions)  # as well
    create_config: bool = False  # whether to make a label configuration if the project has none
    created: LabelConfig | None = attrs.field(default=None, init=False)
    is_stopping: bool = attrs.field(default=False, init=False)
    is_reading: bool = attrs.field(default=False, init=False)  # whether it waits for the file

    async def finish(self, on_result: Callable[[ImportResult], None] | None) -> ImportedLabels:
        """Run it to its end; errors as for `results`."""
        results: list[ImportResult] = []
        async with aclosing(self.results()) as given:
            async for result in given:
                results.append(result)
                if on_result is not None:
                    on_result(result)
        report, source = ImportReport(tuple(results)), self.source
        return ImportedLabels(
            report=report, losses=source.losses, unannotated=source.skipped, created=self.created
        )

    async def results(self) -> AsyncGenerator[ImportResult, None]:
        """Yield the result of each image, in the order of the file.

        After `is_stopping` is set, the current batch is the last one.

        Raises:
            FormatError: The file does not have its format, or has no image.
            ConfigurationError: The label configuration is empty, and `create_config` is not set.
            APIError: The service cannot be reached any more.
        """
        if self.project.media_type is MediaType.VIDEO:
            raise of_videos(self.project.id)
        config: ConfigSource = "read"
        how = self.how.copy()
        has_classes = await self._read(lambda: self.source.has_classes)
        if self.create_config and not has_classes:
            raise ConfigurationError(
                f"{self.source.path} has keys of a label configuration and no classes, so that none"
                " can be made of it; give a file of classes, or create_config=False"
            )
        if has_classes:
            how["by_name"] = self.source.in_shares = True
            view = await self.configs.read(self.project.id)
            self.source.config = None if view is None else LabelConfig.from_entries(view)
            if self.create_config if view is None else not view.entries:
                config = self.source.config = self.created = await self._made()
        async with (
            aclosing(self._predictions()) as predictions,
            aclosing(
                self.labels.iter_import_predictions(
                    self.project.id,
                    predictions,
                    keep_data=self.keep_data,
                    config=config,
                    **how,
                )
            ) as results,
        ):
            async for result in results:
                yield result

    async def _made(self) -> LabelConfig:
        """Return the label configuration that the file needs, uploaded unless this is a dry run."""
        if not self.create_config:
            raise ConfigurationError(
                f"The label configuration of {self.project.name!r} is empty, so that no label can "
                "be stored; create_config=True makes one of the file"
            )
        made = await self._read(self.source.label_config)
        if not self.how.get("dry_run"):
            await self.configs.upload(self.project.label_configuration_id, made)
        return made

    async def _predictions(self) -> AsyncGenerator[PredictionLike, None]:
        async with aclosing(aiter(self.source)) as items:
            self.is_reading = True
            async for item in items:
                self.is_reading = False
                if self.is_stopping:
                    return
                yield item
                self.is_reading = True
            self.is_reading = False

    async def _read(self, work: Callable[[], T]) -> T:
        self.is_reading = True
        try:
            return await in_thread_left_behind(work)
        finally:
            self.is_reading = False
