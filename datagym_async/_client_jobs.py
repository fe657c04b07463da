"""The nouns of a client, and its jobs that read or write files: images and labels, in and out.

`_client_reading` has the jobs that look at images and labels, and learn from them. The modules of a
job are loaded when it is asked for.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

from datagym_async._checks import checked, listed, to_tuple
from datagym_async._transport import check_base_url, check_kind
from datagym_async._wire._messages import Lane
from datagym_async.exceptions import ClientClosedError, ConfigurationError

if TYPE_CHECKING:
    from datagym_async._opened import Opened, RemoteJobs, Settings
    from datagym_async.downloads import DownloadConfig, Downloader, DownloadReport
    from datagym_async.exports import (
        BitmapReport,
        BitmapResult,
        BitmapStream,
        ExportedLabels,
        ExportFormat,
        ExportProgress,
    )
    from datagym_async.exports._bitmaps import BitmapFormat, BitmapSource
    from datagym_async.exports._label_files import ImagesWay
    from datagym_async.formats import LabelMapping
    from datagym_async.formats._written import Fixed
    from datagym_async.imports import ImportedLabels
    from datagym_async.models import DatasetId, ProjectId
    from datagym_async.resources import (
        AiSegmentationResource,
        DatasetsResource,
        ImportResult,
        LabelConfigsResource,
        LabelsResource,
        MediaResource,
        ProjectsResource,
        TasksResource,
        ValuesResource,
    )
    from datagym_async.resources._labels import ImportOptions
    from datagym_async.resources._tasks import States
    from datagym_async.uploads import DryRun, Source, UploadConfig, Uploader, UploadReport

DEFAULT_BASE_URL = "https://app.datagym.ai"
TOKEN_VARIABLE = "DATAGYM_TOKEN"  # noqa: S105 -- the name of a variable, not a secret
BASE_URL_VARIABLE = "DATAGYM_BASE_URL"
BITMAPS_AT_ONCE = 16


def checked_address(base_url: str | None = None) -> str:
    """Return the checked address of the service: given, of the environment, or the usual one."""
    if not base_url and (base_url := os.environ.get(BASE_URL_VARIABLE)):
        return check_base_url(base_url, BASE_URL_VARIABLE)
    return check_base_url(base_url or DEFAULT_BASE_URL)


@checked
class ClientJobs:
    """The bulk jobs and resources of `DataGymClient`, once it is open."""

    _settings: Settings
    _open: Opened | None
    _others: RemoteJobs | None

    @property
    def base_url(self) -> str:
        """Return the address of the service, with a slash at its end."""
        return self._settings.base_url

    @property
    def projects(self) -> ProjectsResource:
        """Return the projects of the token's organisation."""
        return self._opened.projects

    @property
    def datasets(self) -> DatasetsResource:
        """Return the datasets of the token's organisation."""
        return self._opened.datasets

    @property
    def media(self) -> MediaResource:
        """Return the images and videos."""
        return self._opened.media

    @property
    def labels(self) -> LabelsResource:
        """Return the labels: exports, imports and bitmaps."""
        return self._opened.labels

    @property
    def label_configs(self) -> LabelConfigsResource:
        """Return the label configurations of projects."""
        return self._opened.label_configs

    @property
    def tasks(self) -> TasksResource:
        """Return the labelling tasks (undocumented routes of today's servers)."""
        return self._opened.tasks

    @property
    def values(self) -> ValuesResource:
        """Return single label values (undocumented routes of today's servers)."""
        return self._opened.values

    @property
    def ai_segmentation(self) -> AiSegmentationResource:
        """Return the AI segmentation (undocumented routes; not installed everywhere)."""
        return self._opened.ai_segmentation

    def uploader(
        self, dataset_id: DatasetId, sources: Source, *, config: UploadConfig | None = None
    ) -> Uploader:
        """Return a bulk upload to iterate over: ``async with client.uploader(...) as run``.

        Args:
            dataset_id: The dataset to upload into.
            sources: What to upload: a file, a folder, a glob, a list, an archive, any of these in
                an object store (``s3://``), a URL, an `UploadItem`, or an iterable or async
                iterable of any of these.
            config: Options of the upload.
        """
        from datagym_async.models._ids import id_of
        from datagym_async.uploads import UploadConfig, Uploader
        from datagym_async.uploads._tally import Meters
        from datagym_async.uploads.sources import check_sources

        check_kind("config", config, UploadConfig)
        check_sources(sources)
        parts = self._for_jobs
        return Uploader(
            parts.media,
            parts.datasets,
            id_of(dataset_id, "dataset id"),
            sources,
            config=config,
            projects=parts.projects,
            meters=Meters(self._opened.session.statistics, self._opened.limits),
            sent_elsewhere=self._others is not None,
        )

    def plan(
        self, dataset_id: DatasetId, sources: Source, *, config: UploadConfig | None = None
    ) -> DryRun:
        """Return what an upload would do, to iterate over: ``async with client.plan(...)``.

        The dataset is listed and the sources are read, but nothing is sent. See `uploader`.
        """
        from datagym_async.models._ids import id_of
        from datagym_async.uploads import DryRun, UploadConfig
        from datagym_async.uploads.sources import check_sources

        check_kind("config", config, UploadConfig)
        check_sources(sources)
        return DryRun(
            self._for_jobs.datasets, id_of(dataset_id, "dataset id"), sources, config=config
        )

    async def upload(
        self, dataset_id: DatasetId, sources: Source, *, config: UploadConfig | None = None
    ) -> UploadReport:
        """Upload all images of `sources` and return the report; see `uploader`.

        Raises:
            APIError: The dataset cannot be listed: unknown, not permitted, unreachable.
            TransferError: The run had to stop early; its `report` says what was done.
        """
        async with self.uploader(dataset_id, sources, config=config) as run:
            await run.finish()
        return run.report

    def downloader(
        self,
        dataset_id: DatasetId,
        folder: str | os.PathLike[str],
        *,
        config: DownloadConfig | None = None,
    ) -> Downloader:
        """Return a download of a dataset to iterate over: ``async with client.downloader(...)``.

        Args:
            dataset_id: The dataset to download.
            folder: Folder to download into: a new or empty one, or that of an earlier run of the
                same download.
            config: Options of the download.
        """
        return self._downloader("dataset", dataset_id, folder, config)

    def project_downloader(
        self,
        project_id: ProjectId,
        folder: str | os.PathLike[str],
        *,
        config: DownloadConfig | None = None,
    ) -> Downloader:
        """Return a download of all datasets of a project, each into its own folder.

        `folder` and `config` are those of `downloader`.
        """
        return self._downloader("project", project_id, folder, config)

    async def download_dataset(
        self,
        dataset_id: DatasetId,
        folder: str | os.PathLike[str],
        *,
        config: DownloadConfig | None = None,
    ) -> DownloadReport:
        """Download all media of a dataset and return the report; the same call resumes.

        Arguments are those of `downloader`.

        Raises:
            APIError: The dataset cannot be listed: unknown, not permitted, unreachable.
            ConfigurationError: The folder cannot be used.
            TransferError: The run had to stop early; its `report` says what was done.
        """
        async with self.downloader(dataset_id, folder, config=config) as run:
            return await run.finish()

    async def download_project(
        self,
        project_id: ProjectId,
        folder: str | os.PathLike[str],
        *,
        config: DownloadConfig | None = None,
    ) -> DownloadReport:
        """Download all media of a project, each dataset into its own folder.

        Arguments are those of `project_downloader`.

        Raises:
            ConfigurationError: There is no such project, or the folder cannot be used.
            APIError: The datasets cannot be listed.
            TransferError: The run had to stop early; its `report` says what was done.
        """
        async with self.project_downloader(project_id, folder, config=config) as run:
            return await run.finish()

    def _downloader(
        self,
        kind: str,
        found_by: DatasetId | ProjectId,
        folder: str | os.PathLike[str],
        config: DownloadConfig | None,
        only: Collection[str] | None = None,
    ) -> Downloader:
        from datagym_async._runs._engine import DownloadSources
        from datagym_async._wire._routes import segment
        from datagym_async.downloads import DownloadConfig, Downloader
        from datagym_async.downloads._manifest import DownloadJob
        from datagym_async.models._ids import id_of

        check_kind("config", config, DownloadConfig)
        of = id_of(found_by, f"{kind} id").lower()
        segment(of, f"{kind} id")  # what can be no id is said before a folder is made
        parts = self._for_jobs
        run = Downloader(
            DownloadSources(parts.media, parts.datasets, parts.projects, parts.tasks, parts.labels),
            DownloadJob(self._settings.base_url, kind, of),
            folder,
            config=config,
            retry=self._settings.retry,
            lane=self._opened.limits.lanes[Lane.DOWNLOAD],
            only=only,
        )
        if self._others is not None:
            run.fetch_by(self._others.fetch(run.place, config or DownloadConfig()))
        return run

    async def download_bitmaps(
        self,
        project_id: ProjectId,
        folder: str | os.PathLike[str],
        *,
        keys: str | Sequence[str] | None = None,
        format: BitmapFormat = "png",  # noqa: A002 -- what it is called everywhere
        resume: bool = True,
        concurrency: int = BITMAPS_AT_ONCE,
        on_result: Callable[[BitmapResult], None] | None = None,
    ) -> BitmapReport:
        """Download the segmentation bitmaps of a project's finished tasks and return the report.

        Each is saved as ``folder/KEY/NAME.png``, with the name of its image made safe for the disk;
        if two have the same name, the beginning of the task's id is added. A bitmap that cannot be
        downloaded does not stop the others. A task that is no longer finished has no bitmap, which
        its result says. If the call is cancelled, no partial file is left, and the same call
        resumes.

        Args:
            project_id: UUID of an image project.
            folder: Folder to save to; created if needed.
            keys: One or several keys of image segmentations, for a bitmap of each finished task,
                all black if nothing is segmented. None for only those bitmaps that the export
                lists, in which something is segmented.
            format: ``"png"`` (needs ``datagym-async[images]``) or ``"bmp"``, as the service sends
                it: 8 bits a pixel, 255 in the segment, 0 elsewhere.
            resume: Whether to skip bitmaps whose file exists. False downloads all again, since
                labels may have changed.
            concurrency: Bitmaps in flight, 1 to 64; the client's `max_downloads` is also a limit.
            on_result: Called with each result; must not raise.

        Raises:
            ConfigurationError: A key is not that of an image segmentation, or an option cannot be
                used.
            APIError: The project cannot be read, the token is no longer valid, or the service does
                not answer any more.
            TransferError: The folder cannot be written to; its `report` says what was done.
        """
        from datagym_async._files import from_home
        from datagym_async.exports._bitmaps import save_bitmaps

        return await save_bitmaps(
            self._bitmap_source(project_id, keys, concurrency=concurrency),
            from_home(folder, what="folder"),
            wanted=format,
            resume=resume,
            concurrency=concurrency,
            on_result=on_result,
        )

    def bitmaps(
        self,
        project_id: ProjectId,
        *,
        keys: str | Sequence[str] | None = None,
        ahead: int = BITMAPS_AT_ONCE,
    ) -> BitmapStream:
        """Return the bitmaps of a project as arrays: ``async with client.bitmaps(...) as stream``.

        Needs numpy and ``datagym-async[images]``.

        Args:
            project_id: UUID of an image project.
            keys: See `download_bitmaps`.
            ahead: Number of bitmaps to load in advance, 1 to 64.
        """
        from datagym_async.exports import BitmapStream

        return BitmapStream(self._bitmap_source(project_id, keys, ahead=ahead), ahead=ahead)

    def _bitmap_source(
        self, project_id: ProjectId, keys: str | Sequence[str] | None, **at_once: int
    ) -> BitmapSource:
        from datagym_async.exports._bitmaps import BitmapSource
        from datagym_async.models._ids import id_of
        from datagym_async.resources._base import check_concurrency

        check_concurrency(**at_once)
        several = None if keys is None else listed("keys", to_tuple(keys), str)
        if several == ():
            raise ConfigurationError(
                "No key is given; name at least one, or None for what is there"
            )
        parts = self._for_jobs
        return BitmapSource(parts.labels, parts.tasks, id_of(project_id, "project id"), several)

    async def export_labels(
        self,
        project_id: ProjectId,
        path: str | os.PathLike[str],
        format: ExportFormat = "json",  # noqa: A002 -- what it is called everywhere
        *,
        mapping: LabelMapping | None = None,
        exact: bool | None = None,
        sizes: bool = True,
        states: States = None,
        datasets: str | Iterable[DatasetId] = (),
        only_labelled: bool = False,
        captions: bool = True,
        classes: Fixed = (),
        clip: bool = False,
        zero_based: bool = False,
        images: ImagesWay | None = None,
        images_from: str | os.PathLike[str] | None = None,
        split: str | Mapping[str, float] | None = None,
        group: str | None = None,
        overwrite: bool = False,
        on_progress: Callable[[ExportProgress], None] | None = None,
    ) -> ExportedLabels:
        """Write the labels of a project's tasks to a file or folder.

        ``"json"`` is what the service sends, byte for byte, and ``"jsonl"`` has one task in each
        line; both are written as they arrive. The other formats hold all labels in memory and need
        the extra ``formats`` (COCO only for masks). The file or folder is written completely or not
        at all.

        The service exports finished tasks, with coordinates cut to whole pixels and without the
        sizes of images (observed). For all formats except the first two, each task is read for its
        size and its exact coordinates.

        Args:
            project_id: UUID of the project.
            path: The file for ``"json"``, ``"jsonl"`` and ``"coco"``, replaced if it exists; else a
                new or empty folder. Captions are written beside the COCO file, as
                ``NAME.captions.json``.
            format: ``"json"``, ``"jsonl"``, or a format of `formats.write`: ``"coco"``, ``"yolo"``,
                ``"yolo-seg"``, ``"yolo-pose"``, ``"yolo-obb"``, ``"voc"``, ``"kitti"``, ``"cvat"``
                or ``"imagefolder"``.
            mapping: For COCO as in `formats.coco.to_document`; for other formats it says which
                select is the class of an object.
            exact: Whether to read exact coordinates, with one request for each task (the service
                then creates empty answers in tasks that nobody has opened). None for the formats
                that need the sizes of images, unless `sizes` is False; False for whole pixels, as
                in an export.
            sizes: Whether to read widths and heights from the service, with one request for each
                task. Without them, all formats except ``"json"`` and ``"jsonl"`` leave out what
                needs a size.
            states: The states of the tasks, or ``"all"``; None for finished ones (completed,
                skipped, reviewed). Tasks in other states are in no export, so all tasks are then
                read one by one.
            datasets: UUIDs of the datasets whose tasks are exported; none for all datasets of the
                project.
            only_labelled: Whether to leave out tasks without any shape and answer.
            captions: Whether to write captions to a file beside the COCO file; else they are left
                out.
            classes: Names of classes, or a file with them (a ``data.yaml``, a COCO file, or one
                name a line): these come first and keep their numbers. The others follow with the
                order and the texts of the label configuration, also unused ones.
            clip: Whether to cut shapes off at the edges of their image.
            zero_based: For ``"voc"``: whether the first pixel is 0, not 1 as in the format.
            images: Whether to put images beside their labels, as trainers expect: as a ``"link"``
                to or a ``"copy"`` of a file in `images_from`, or after a ``"download"``. COCO is
                then a folder.
            images_from: The folder of the files: that of a download, or any folder with files named
                like the media. For ``"download"``, the folder to download into (default: `path`
                with ``.media`` added); existing files are not downloaded again. It can be deleted
                afterwards, except for files that could not be hard-linked.
            split: Shares of the parts of the dataset, ``"train=0.8,val=0.1,test=0.1"``. A hash of
                its media's id decides where an image goes, so it stays there as the dataset grows.
            group: What to keep in one part: ``"folder"``, or a regular expression for names.
            overwrite: Whether to replace a folder that is not empty, once the new one is complete.
            on_progress: Called now and then, in the event loop; must not raise.

        Raises:
            ConfigurationError: There is no such format, the path cannot be used, an extra is
                missing, or options contradict each other.
            NotFoundError: The project or a dataset is unknown.
            APIError: The labels cannot be read.
            OSError: They cannot be written.
        """
        from datagym_async._files import from_home, to_path
        from datagym_async.exports._label_files import ExportOptions, export_labels
        from datagym_async.exports._tasks import TaskSource, states_of
        from datagym_async.formats import LabelMapping
        from datagym_async.models._ids import id_of

        parts = self._for_jobs
        source = TaskSource(
            parts.labels,
            parts.tasks,
            parts.datasets,
            id_of(project_id, "project id"),
            states_of(states),
            tuple(id_of(each, "dataset id") for each in to_tuple(datasets)),
            only_labelled,
        )

        async def download(
            folder: Path, media_ids: Collection[str], tell: Callable[[int, int], None]
        ) -> None:
            async with self._downloader("project", project_id, folder, None, media_ids) as run:
                async for _ in run:
                    tell(run.progress.items_done, run.progress.items_total)
                tell(run.progress.items_done, run.progress.items_total)

        options = ExportOptions(
            mapping=LabelMapping() if mapping is None else mapping,
            exact=exact,
            sizes=sizes,
            captions=captions,
            classes=classes,
            clip=clip,
            zero_based=zero_based,
            images=images,
            images_from=to_path("images_from", images_from),
            split=split,
            group=group,
            overwrite=overwrite,
            download=download,
            on_progress=on_progress or (lambda _: None),
        )
        return await export_labels(source, from_home(path), format, options)

    async def import_labels(
        self,
        project_id: ProjectId,
        path: str | os.PathLike[str],
        format: str | None = None,  # noqa: A002 -- what it is called everywhere
        *,
        keep_data: bool,
        create_config: bool = False,
        mapping: LabelMapping | None = None,
        classes: Fixed = (),
        split: str | None = None,
        min_score: float | None = None,
        zero_based: bool = False,
        images: str | os.PathLike[str] | None = None,
        unannotated: bool = False,
        on_result: Callable[[ImportResult], None] | None = None,
        **how: Unpack[ImportOptions],
    ) -> ImportedLabels:
        """Import the labels of a file or folder, in any format that `formats.read` reads.

        Images are found by name, and classes by name in the label configuration of the project. The
        report has a result for each image; everything else that could not be imported is in the
        losses.

        Args:
            project_id: UUID of the project; the datasets of the images must be attached to it.
            path: The file or folder.
            format: As for `formats.read`; also ``"json"`` (items of an import, or an export of the
                service) and ``"jsonl"`` (one such item a line). None to detect it.
            keep_data: False to replace all labels of each image in the file, True to append to
                them; see `LabelsResource.import_predictions`.
            create_config: Whether to make a label configuration from the file if that of the
                project is empty; otherwise an empty one is an error.
            mapping: How classes and shapes are mapped.
            classes: Names of the classes by number, or a file with them (see
                `formats.classes_from`), if the labels have only numbers.
            split: See `formats.read`.
            min_score: See `formats.read`.
            zero_based: See `formats.read`.
            images: See `formats.read`.
            unannotated: Whether to import images without labels too; with `keep_data` False this
                deletes the labels that they have.
            on_result: Called with each result, in the event loop; must not raise.
            **how: Further options of `LabelsResource.import_predictions`: `partial`, `strict`,
                `dry_run`, `sizes`, `rescale`, `clip`, `batch_size`; and `by_name`, for JSON.

        Raises:
            FormatError: The file does not have this format, or has no image.
            ConfigurationError: The label configuration is empty, or an option cannot be used.
            NotFoundError: The project is unknown.
            APIError: The service cannot be reached any more; a note says how many were stored.
            OSError: The file cannot be read.
        """
        from datagym_async._files import from_home, to_path
        from datagym_async.formats import LabelMapping, PredictionFile
        from datagym_async.imports import LabelImport
        from datagym_async.models._ids import id_of
        from datagym_async.resources._projects import chosen

        project = chosen(await self.projects.list(), id_of(project_id, "project id"))
        source = PredictionFile(
            from_home(path),
            format=format,
            mapping=LabelMapping() if mapping is None else mapping,
            classes=classes,
            split=split,
            min_score=min_score,
            zero_based=zero_based,
            images=to_path("images", images),
            unannotated=unannotated,
        )
        run = LabelImport(
            self._for_jobs.labels,
            self._for_jobs.label_configs,
            project,
            source,
            keep_data=keep_data,
            how=how,
            create_config=create_config,
        )
        return await run.finish(on_result)

    @property
    def _for_jobs(self) -> Opened:
        return self._opened.for_jobs

    @property
    def _opened(self) -> Opened:
        if self._open is None or self._open.session.is_closed:
            raise ClientClosedError(
                f"{self!r} cannot be used; open it with `async with DataGymClient(...) as client`"
            )
        return self._open
