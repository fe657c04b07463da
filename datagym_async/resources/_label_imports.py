"""`LabelImports`: predictions into a project, the part of `LabelsResource` that writes."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias

from datagym_async._wire import _routes as routes
from datagym_async._wire._codec import ImportAnswer
from datagym_async.exceptions import ConfigurationError
from datagym_async.models import MediaType
from datagym_async.resources._base import Resource
from datagym_async.resources._config_tasks import read_task
from datagym_async.resources._import_report import ImportReport
from datagym_async.resources._media_names import MediaNames
from datagym_async.resources._prediction_batches import DEFAULT_BATCH, check_batch_size
from datagym_async.resources._prediction_screening import Screening
from datagym_async.resources._prediction_sending import Importer

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterable, Iterable, Mapping, Sequence

    from datagym_async.labels import EntryLike
    from datagym_async.resources._import_report import ImportResult
    from datagym_async.resources._prediction_screening import PredictionLike


class HasEntries(Protocol):
    """A label configuration: `LabelConfiguration` and `LabelConfig` are such."""

    @property
    def entries(self) -> Sequence[EntryLike]:
        """Its root entries."""


ConfigSource: TypeAlias = "HasEntries | Literal['read'] | None"
"""A label configuration; ``"read"`` for that of the project; None to check without one."""


class LabelImports(Resource):
    """Predictions into a project."""

    async def import_predictions(
        self,
        project_id: str,
        predictions: Iterable[PredictionLike] | AsyncIterable[PredictionLike],
        *,
        keep_data: bool,
        config: ConfigSource = "read",
        check: bool = True,
        partial: bool = False,
        strict: bool = False,
        by_name: bool = False,
        dry_run: bool = False,
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
                all labels of each media, those too that cannot be imported.
            config: What the labels are checked against: a configuration, ``"read"`` for that of the
                project (it is read from one of its tasks), or None for the rules of the format
                alone.
            check: False to send labels as they are. Only predictions that name no media, or a media
                a second time where labels are replaced, are then held back.
            partial: True to leave out the parts that cannot be imported and send the rest; the
                result says what was left out. A prediction of which nothing is left is held back.
            strict: True to hold back predictions with warnings as well.
            by_name: True to find the media of predictions without an id by their names, as the
                service compares names. The names of all media of the project are read for that.
            dry_run: True to send nothing and only say what would be done: what can be imported is
                ``checked``. Whether the project has a task for each media is not looked at, unless
                they are found by name.
            batch_size: Predictions in one request, 1 to 500; more than 50 take longer each.

        Returns:
            One result a prediction, in their order.

        Raises:
            ConfigurationError: `batch_size` is out of range, `predictions` is no collection, or the
                project, where its configuration is read, is of videos.
            NotFoundError: The project is unknown.
            APIError: The service cannot be asked any more; a note says how many were stored.
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
            batch_size=batch_size,
        )
        async with aclosing(results):
            return ImportReport(tuple([each async for each in results]))

    async def iter_import_predictions(
        self,
        project_id: str,
        predictions: Iterable[PredictionLike] | AsyncIterable[PredictionLike],
        *,
        keep_data: bool,
        config: ConfigSource = "read",
        check: bool = True,
        partial: bool = False,
        strict: bool = False,
        by_name: bool = False,
        dry_run: bool = False,
        batch_size: int = DEFAULT_BATCH,
    ) -> AsyncGenerator[ImportResult, None]:
        """Import labels and give the result of each prediction as its batch is done.

        Memory holds one batch and, where labels are replaced, about 100 bytes for each media seen.
        Arguments and errors are those of `import_predictions`; before an error, the results of the
        batch that it came up in are given. Left early, it sends nothing more.
        """
        routes.import_predictions(project_id, (), keep_data=keep_data)  # is the id usable at all?
        check_batch_size(batch_size)

        async def send(batch: Sequence[Mapping[str, object]]) -> str:
            return await self._import(project_id, batch, keep_data=keep_data)

        screening = Screening(
            keep_data,
            await self._entries(project_id, config) if check else None,
            await MediaNames.of_project(self._session, project_id) if by_name else None,
            partial=partial,
            strict=strict,
            check=check,
        )
        importer = Importer(screening, None if dry_run else send, batch_size)
        async with aclosing(importer.run(predictions)) as results:
            async for result in results:
                yield result

    async def _entries(self, project_id: str, config: ConfigSource) -> Sequence[EntryLike] | None:
        if config is None:
            return None
        if not isinstance(config, str):
            return tuple(config.entries)
        task = await read_task(self._session, project_id)
        if task is not None and task.project_type is MediaType.VIDEO:
            raise ConfigurationError(
                f"The project {project_id} is of videos, of which no label can be imported: the"
                " service would store some that neither its editor nor an export shows"
            )
        return None if task is None else task.label_config.entries

    async def _import(
        self, project_id: str, batch: Sequence[Mapping[str, object]], *, keep_data: bool
    ) -> str:
        """Send one batch and return why it was refused, or an empty text."""
        request = await asyncio.to_thread(
            routes.import_predictions, project_id, batch, keep_data=keep_data
        )
        return (await self._fetch(request, ImportAnswer)).messages
