"""The jobs of a client that look at images and labels, and learn from them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeVar, Unpack, cast, overload

import attrs

from datagym_async._checks import checked
from datagym_async._client_jobs import (
    BASE_URL_VARIABLE,
    TOKEN_VARIABLE,
    ClientJobs,
    checked_address,
)
from datagym_async._public import showing
from datagym_async._transport import check_kind
from datagym_async._wire._messages import Lane
from datagym_async.exceptions import ConfigurationError

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from PIL.Image import Image

    from datagym_async.data import DatasetLoader, LoaderConfig, Sample
    from datagym_async.data._config import LoaderOptions
    from datagym_async.data._listing import Library
    from datagym_async.look import Gallery, GalleryOptions, LabelStatistics
    from datagym_async.look._subjects import LookSources
    from datagym_async.models import DatasetId, DatasetMedia, MediaId, ProjectId
    from datagym_async.predict import PredictProgress, PredictReport
    from datagym_async.predict._models import Loading, Model
    from datagym_async.predict._run import OpenStates

T = TypeVar("T")


@checked
class ClientReading(ClientJobs):
    """The jobs of `DataGymClient` that read images and labels: drawings, loading, predictions."""

    async def preview(
        self, media_id: MediaId, *, project_id: ProjectId | None = None, text: bool = True
    ) -> Image:
        """Return an image with its labels drawn on it, as an RGB Pillow image.

        The labels are those of its task, in any state, with exact coordinates; the colours are
        those of the label configuration. To find the task, the tasks of the project are listed. A
        task that nobody has opened is not read, because the service would create values in it.
        Needs ``datagym-async[look]``.

        Args:
            media_id: The image.
            project_id: The project whose labels are drawn; None for only the image.
            text: Whether to write class and answers beside each shape.

        Raises:
            NotFoundError: The media is unknown, or the project has no task for it.
            ConfigurationError: The extra is not installed.
            OSError: The image cannot be decoded.
        """
        from datagym_async._threads import in_thread
        from datagym_async.labels import LabeledImage
        from datagym_async.look import draw
        from datagym_async.look._marks import require_look
        from datagym_async.look._subjects import task_labels
        from datagym_async.models._ids import id_of

        require_look("A preview")
        media, sources = id_of(media_id, "media id"), self._look_sources()
        labels, colors = None, None
        if project_id is not None:
            project = id_of(project_id, "project id")
            labels, colors = await task_labels(sources, media, project)
        content = await self.media.download(media)
        drawn = labels or LabeledImage(media_id=media)
        return await in_thread(draw, content, drawn, colors=colors, text=text)

    async def stats(
        self,
        *,
        project_id: ProjectId | None = None,
        dataset_id: DatasetId | None = None,
        tiny: float = 4.0,
    ) -> LabelStatistics:
        """Return statistics of the labels of a project, or of a dataset in all its projects.

        The export is read as it arrives, in constant memory. Needs ``datagym-async[look]``.

        Args:
            project_id: The project; with a dataset, only the labels of that dataset in it.
            dataset_id: The dataset.
            tiny: An object is tiny if a side has fewer pixels than this.

        Raises:
            NotFoundError: There is no such project or dataset.
            ConfigurationError: Neither is given, or the extra is not installed.
        """
        from datagym_async.look._marks import require_look
        from datagym_async.look._subjects import service_statistics

        require_look("Counting labels")
        named = self._named(project_id, dataset_id)
        return await service_statistics(self._look_sources(), *named, tiny=tiny)

    async def gallery(
        self,
        folder: str | os.PathLike[str],
        *,
        project_id: ProjectId | None = None,
        dataset_id: DatasetId | None = None,
        options: GalleryOptions | None = None,
    ) -> Gallery:
        """Make a gallery: a page that a browser opens from the disk, without a server or a network.

        It shows all images with the labels of finished tasks. Each image is downloaded once. Needs
        ``datagym-async[look]``.

        Args:
            folder: Folder to write to: a new or empty one, or that of an earlier gallery.
            project_id: The project; with a dataset, only the images and labels of that dataset in
                it.
            dataset_id: The dataset. Without a project, the labels are those of its first project.
            options: How the gallery is made, and what it is compared with.

        Raises:
            NotFoundError: There is no such project or dataset.
            ConfigurationError: Neither is given, the folder cannot be used, or an extra is missing.
            APIError: The service cannot be reached any more.
            FileWriteError: The folder cannot be written to.
        """
        from datagym_async._files import from_home
        from datagym_async.look import GalleryOptions
        from datagym_async.look._gallery import build_gallery
        from datagym_async.look._marks import require_look
        from datagym_async.look._subjects import of_service

        require_look("A gallery")
        check_kind("options", options, GalleryOptions)
        named = self._named(project_id, dataset_id)
        looked = await of_service(self._look_sources(), *named)
        place = from_home(folder, what="folder")
        return await build_gallery(looked, place, options or GalleryOptions())

    def _is_of_the_environment(self) -> bool:
        return checked_address() == self.base_url and TOKEN_VARIABLE in os.environ

    def _named(
        self, project_id: ProjectId | None, dataset_id: DatasetId | None
    ) -> tuple[str | None, str | None]:
        from datagym_async.models._ids import id_or_none

        if project_id is None and dataset_id is None:
            raise ConfigurationError("Nothing is named; give project_id, dataset_id or both")
        return id_or_none(project_id, "project id"), id_or_none(dataset_id, "dataset id")

    def _library(self) -> Library:
        from datagym_async.data._listing import Library

        parts = self._for_jobs
        lane = parts.limits.lanes[Lane.DOWNLOAD]
        return Library(parts.media, parts.datasets, parts.projects, parts.labels, lane)

    def _look_sources(self) -> LookSources:
        from datagym_async.look._subjects import LookSources

        parts = self._for_jobs
        return LookSources(self.base_url, self._library(), parts.tasks, parts.label_configs)

    @overload
    def loader(
        self,
        dataset_id: DatasetId | None = None,
        *,
        project_id: ProjectId | None = None,
        media: Iterable[DatasetMedia] | None = None,
        transform: None = None,
        batch_size: None = None,
        **options: Unpack[LoaderOptions],
    ) -> DatasetLoader[Sample]: ...
    @overload
    def loader(
        self,
        dataset_id: DatasetId | None = None,
        *,
        project_id: ProjectId | None = None,
        media: Iterable[DatasetMedia] | None = None,
        transform: None = None,
        batch_size: int,
        config: LoaderConfig | None = None,
        **options: Unpack[LoaderOptions],
    ) -> DatasetLoader[tuple[Sample, ...]]: ...
    @overload
    def loader(
        self,
        dataset_id: DatasetId | None = None,
        *,
        project_id: ProjectId | None = None,
        media: Iterable[DatasetMedia] | None = None,
        transform: Callable[[Sample], T],
        batch_size: None = None,
        **options: Unpack[LoaderOptions],
    ) -> DatasetLoader[T]: ...
    @overload
    def loader(
        self,
        dataset_id: DatasetId | None = None,
        *,
        project_id: ProjectId | None = None,
        media: Iterable[DatasetMedia] | None = None,
        transform: Callable[[Sample], T],
        batch_size: int,
        config: LoaderConfig | None = None,
        **options: Unpack[LoaderOptions],
    ) -> DatasetLoader[tuple[T, ...]]: ...
    @overload
    def loader(
        self,
        dataset_id: DatasetId | None = None,
        *,
        project_id: ProjectId | None = None,
        media: Iterable[DatasetMedia] | None = None,
        transform: Callable[[Sample], object] | None = None,
        batch_size: int | None = None,
        config: LoaderConfig | None,
        **options: Unpack[LoaderOptions],
    ) -> DatasetLoader[Any]: ...  # samples or, if the config says so, batches
    @showing("datagym_async.data._config", "loader_parameters")
    def loader(
        self,
        dataset_id: DatasetId | None = None,
        *,
        project_id: ProjectId | None = None,
        media: Iterable[DatasetMedia] | None = None,
        transform: Callable[[Sample], object] | None = None,
        config: LoaderConfig | None = None,
        **options: Any,
    ) -> DatasetLoader[object]:
        """Return a loader of samples to iterate over: ``async for sample in client.loader(...)``.

        Nothing is requested before the iteration. The options are those of `LoaderConfig`.

        Args:
            dataset_id: UUID of the dataset; None for all datasets of the project.
            project_id: UUID of the project whose labels the samples have; None for no labels.
            media: Media to load, as listings return them, instead of a whole dataset: nothing is
                listed then, and link images among them are requested from the service.
            transform: Called in a thread with each sample; its result is yielded instead.
            config: The options as one value; options passed by name override it.
            **options: Options by name.

        Raises:
            ConfigurationError: An option cannot be used.
        """
        from datagym_async.data import DatasetLoader, LoaderConfig
        from datagym_async.models._ids import id_or_none

        check_kind("config", config, LoaderConfig)
        return DatasetLoader(
            self._library(),
            id_or_none(dataset_id, "dataset id"),
            project_id=id_or_none(project_id, "project id"),
            media=media,
            transform=transform,
            config=attrs.evolve(config or LoaderConfig(), **options),
        )

    async def predict(
        self,
        project_id: ProjectId,
        model: Model,
        *,
        setup: Callable[[], object] | None = None,
        states: OpenStates = "open",
        keep_data: bool = False,
        batch_size: int = 16,
        processes: int = 0,
        client: Callable[[], AbstractAsyncContextManager[Loading]] | None = None,
        journal: str | os.PathLike[str] | None = None,
        partial: bool = False,
        strict: bool = False,
        on_progress: Callable[[PredictProgress], object] | None = None,
        **options: Unpack[LoaderOptions],
    ) -> PredictReport:
        """Run a model on the images of a project, and import its predictions.

        ::

            def model(samples, network):
                found = network([sample.data for sample in samples])
                boxes = [[Rectangle.from_corners(*box) for box in each] for each in found]
                return [[Annotation("car", box) for box in each] for each in boxes]

            report = await client.predict(project_id, model, setup=load_network)

        Images are loaded in advance while the model works. Its answers are checked against the
        label configuration and imported as they arrive, one request at a time. If an image cannot
        be loaded, or the model fails at it, the report names it, and the others continue. With a
        journal, the same call resumes.

        Args:
            project_id: UUID of an image project.
            model: Called with a list of `Sample`, and with the result of `setup` if there is one.
                It returns one answer for each sample: a list of `Annotation` and `Classification`,
                a `LabeledImage`, or None to leave the labels of this image unchanged. It runs in a
                thread or in worker processes, one batch at a time in each.
            setup: Loads what the model needs, once in each process.
            states: The states of the tasks: ``"open"`` for unfinished ones, ``"all"``,
                one or several, such as ``"waiting"``.
            keep_data: Whether to add labels to the existing ones, instead of replacing them.
            batch_size: Number of samples that the model gets at once; the last batch may be
                smaller.
            processes: Number of worker processes, each with its own model; 0 for a thread of this
                process.
            client: Creates a client in a worker process; by default `DataGymClient`, which takes
                address and token from the environment.
            journal: File for the journal; None for no journal.
            partial: Whether to import an answer without the labels that do not fit.
            strict: Whether to reject answers with warnings too.
            on_progress: Called in the event loop when an image is done; must not raise.
            **options: Options of `loader`, for example ``decode="pillow"``; arrays by default.

        Raises:
            ConfigurationError: An option cannot be used, or the journal belongs to another job.
            APIError: The project cannot be listed.
            TransferError: The run had to stop early; its `report` says what was done.
        """
        from datagym_async.models._ids import id_of
        from datagym_async.predict import _run as predicting

        others = self._others
        if others is not None:
            client = client or others.connect
        elif processes and client is None and not self._is_of_the_environment():
            raise ConfigurationError(
                f"Worker processes open clients of their own, and {BASE_URL_VARIABLE} and "
                f"{TOKEN_VARIABLE} do not name this service; set them, or pass client="
            )
        return await predicting.predict(
            self,
            self._library(),
            self._for_jobs.tasks,
            self._for_jobs.labels,
            id_of(project_id, "project id"),
            predicting.PredictOptions(
                model=model,
                setup=setup,
                states=states,
                keep_data=keep_data,
                batch_size=batch_size,
                processes=processes,
                connect=client or cast("Any", type(self)),
                journal=journal,
                partial=partial,
                strict=strict,
                on_progress=on_progress,
                loader={"decode": "numpy", **options},
            ),
            None if others is None else others.workers,
        )
