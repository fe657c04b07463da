"""`DataGymClient`: the facade. Options in, a session and the resources made from it."""

from __future__ import annotations

import os
import warnings
from typing import TYPE_CHECKING, Self

import attrs

from datagym_async._limits import LimiterState, Limits, LimitsConfig
from datagym_async._retry import RetryPolicy
from datagym_async._session import Session, SessionStatistics
from datagym_async._transport import AiohttpTransport, Timeout, check_base_url, check_token
from datagym_async._wire._messages import Lane
from datagym_async.data import Loaders
from datagym_async.data._needs import Library
from datagym_async.exceptions import ClientClosedError
from datagym_async.resources import (
    AiSegmentationResource,
    DatasetsResource,
    LabelConfigsResource,
    LabelsResource,
    MediaResource,
    ProjectsResource,
    TasksResource,
    ValuesResource,
)
from datagym_async.transfer import Downloader, DryRun, Uploader
from datagym_async.transfer._advice import Meters
from datagym_async.transfer._bitmap_jobs import BitmapSource
from datagym_async.transfer._bitmap_methods import BitmapMethods
from datagym_async.transfer._download_methods import DownloadMethods
from datagym_async.transfer._download_needs import DownloadSources
from datagym_async.transfer._download_state import DownloadJob
from datagym_async.transfer._export_methods import ExportMethods
from datagym_async.transfer._upload_methods import UploadMethods

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager

    import aiohttp

    from datagym_async.resources import Dialect
    from datagym_async.transfer import DownloadConfig, Source, UploadConfig
    from datagym_async.transfer._export_jobs import ExportSource, SizeSource

DEFAULT_BASE_URL = "https://app.datagym.ai"
TOKEN_VARIABLE = "DATAGYM_TOKEN"  # noqa: S105 -- the name of a variable, not a secret
BASE_URL_VARIABLE = "DATAGYM_BASE_URL"


@attrs.frozen
class _Open:
    """What exists while a client is open."""

    session: Session
    limits: Limits
    projects: ProjectsResource
    datasets: DatasetsResource
    media: MediaResource
    labels: LabelsResource
    label_configs: LabelConfigsResource
    tasks: TasksResource
    values: ValuesResource
    ai_segmentation: AiSegmentationResource

    @classmethod
    def of(cls, session: Session, limits: Limits, dialect: Dialect) -> _Open:
        return cls(
            session=session,
            limits=limits,
            projects=ProjectsResource(session),
            datasets=DatasetsResource(session),
            media=MediaResource(session, dialect=dialect),
            labels=LabelsResource(session),
            label_configs=LabelConfigsResource(session),
            tasks=TasksResource(session),
            values=ValuesResource(session),
            ai_segmentation=AiSegmentationResource(session),
        )


@attrs.frozen
class _LaneOf:
    """The client's bound on uploads or downloads, as a run of them sees it."""

    limits: Limits
    lane: Lane

    @property
    def most(self) -> int:
        """Return how many may ever be in flight at once."""
        return self.limits.state(self.lane).maximum

    def pin(self, places: int) -> AbstractContextManager[None]:
        """Fix how many may be in flight while the block runs."""
        return self.limits.pin(self.lane, places)


class DataGymClient(UploadMethods, DownloadMethods, BitmapMethods, ExportMethods):
    """Talk to DataGym from async code; use as ``async with DataGymClient(...) as client``.

    Args:
        token: API token; None takes it from ``DATAGYM_TOKEN``. It is sent in the Authorization
            header to the origin of `base_url` and appears nowhere else.
        base_url: Address of the service, without ``/api/v1``; None takes it from
            ``DATAGYM_BASE_URL``, else ``https://app.datagym.ai``.
        timeout: Time limits of one attempt, in seconds by phase.
        retry: How failed requests are tried again; `RetryPolicy.none()` turns it off.
        rate_limit: Requests a second, evenly spaced; None for no limit.
        concurrency: File uploads in flight at once, pinned; None to have the best number found out.
        max_calls: Small requests in flight at once.
        max_uploads: File uploads in flight at once, at most; how many are best is found out.
            More than 8 can starve the service of its 10 database connections (observed).
        max_downloads: Downloads and exports in flight at once, at most; found out likewise.
        max_upload_rate: Bytes of file uploads a second, evenly spread; None for no limit.
        dialect: ``"media"`` for the routes of today's servers, ``"image"`` for those of the public
            documentation, ``"auto"`` to find out on the first media call.
        trust_env: Whether to take proxies from the environment and credentials from ~/.netrc.
        session: An aiohttp session to use; it is never closed here.

    A client belongs to the process and the event loop that it is opened in; anywhere else, as in a
    forked worker, its calls raise `ClientClosedError`. It is safe to share between tasks and to
    cancel at any call; nothing stays open.

    Raises:
        ConfigurationError: An option cannot be used as it is.
    """

    def __init__(
        self,
        token: str | None = None,
        base_url: str | None = None,
        *,
        timeout: Timeout = Timeout(),  # noqa: B008 -- a frozen value
        retry: RetryPolicy = RetryPolicy(),  # noqa: B008 -- a frozen value
        rate_limit: float | None = 200.0,
        concurrency: int | None = None,
        max_calls: int = 16,
        max_uploads: int = 8,
        max_downloads: int = 16,
        max_upload_rate: float | None = None,
        dialect: Dialect = "auto",
        trust_env: bool = False,
        session: aiohttp.ClientSession | None = None,
    ) -> None:
        self._token = check_token(token or os.environ.get(TOKEN_VARIABLE, ""))
        self._base_url = check_base_url(
            base_url or os.environ.get(BASE_URL_VARIABLE) or DEFAULT_BASE_URL
        )
        self._timeout = timeout.for_pace(max_upload_rate)
        self._retry = retry
        self._limits = LimitsConfig(
            calls=max_calls,
            uploads=max_uploads,
            downloads=max_downloads,
            rate=rate_limit,
            upload_rate=max_upload_rate,
            concurrency=concurrency,
        )
        self._dialect = dialect
        self._trust_env = trust_env
        self._http = session
        self._open: _Open | None = None
        self._closed = False

    def __repr__(self) -> str:
        """Return address and state, without the token."""
        state = "open" if self._open else "closed" if self._closed else "not opened"
        return f"<DataGymClient {self._base_url} {state}>"

    def __del__(self, _warn: type[ResourceWarning] = ResourceWarning) -> None:
        """Warn of a client that was opened and never closed."""
        if getattr(self, "_open", None) is not None:
            warnings.warn(f"Unclosed {self!r}; use `async with` or aclose()", _warn, stacklevel=2)

    async def __aenter__(self) -> Self:
        return await self.open()

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def open(self) -> Self:
        """Open the client for use without ``async with``; close it with `aclose`.

        Raises:
            ClientClosedError: It is open already, or was closed: clients are opened once.
        """
        if self._open is not None or self._closed:
            msg = f"{self!r} can be opened once; make a new client"
            raise ClientClosedError(msg)
        transport = AiohttpTransport(
            base_url=self._base_url,
            token=self._token,
            timeout=self._timeout,
            trust_env=self._trust_env,
            session=self._http,
        )
        limits = Limits(self._limits)
        session = Session(
            transport,
            limits=limits,
            retry=self._retry,
            timeout=self._timeout,
            base_url=self._base_url,
        )
        self._open = _Open.of(session, limits, self._dialect)
        return self

    async def aclose(self) -> None:
        """Close the client and its connections; may be called again."""
        opened, self._open, self._closed = self._open, None, True
        if opened is not None:
            await opened.session.aclose()

    async def ping(self) -> None:
        """Ask the service whether the token is good (HEAD project).

        Raises:
            AuthenticationError: No token arrived at the service.
            PermissionDeniedError: The token is not, or no longer, valid.
            APIError: The service cannot be asked.
        """
        await self.projects.ping()

    def statistics(self) -> SessionStatistics:
        """Return what this client has sent and received since it was opened."""
        return self._opened.session.statistics()

    @property
    def limiter(self) -> LimiterState:
        """Return how many uploads may be in flight, how many are, and why."""
        return self._opened.session.limiter(Lane.UPLOAD)

    @property
    def download_limiter(self) -> LimiterState:
        """Return how many downloads and exports may be in flight, how many are, and why."""
        return self._opened.session.limiter(Lane.DOWNLOAD)

    @property
    def base_url(self) -> str:
        """Return the address of the service, with a slash at its end."""
        return self._base_url

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
        """Return labels, in and out."""
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

    def _uploader(self, dataset_id: str, sources: Source, config: UploadConfig | None) -> Uploader:
        return Uploader(
            self.media,
            self.datasets,
            dataset_id,
            sources,
            config=config,
            projects=self.projects,
            meters=self._meters,
            lane=_LaneOf(self._opened.limits, Lane.UPLOAD),
        )

    @property
    def _meters(self) -> Meters:
        session = self._opened.session
        return Meters(
            statistics=session.statistics,
            limiter=lambda: session.limiter(Lane.UPLOAD),
            on_pause=self._opened.limits.on_pause,
            rate_limit=self._limits.rate,
            max_upload_rate=self._limits.upload_rate,
        )

    def _dry_run(self, dataset_id: str, sources: Source, config: UploadConfig | None) -> DryRun:
        return DryRun(self.datasets, dataset_id, sources, config=config)

    def _bitmap_source(self, project_id: str, keys: Sequence[str] | None) -> BitmapSource:
        return BitmapSource(self.labels, self.tasks, project_id, keys)

    @property
    def _export_sources(self) -> tuple[ExportSource, SizeSource]:
        return self.labels, self.tasks

    @property
    def _download_sources(self) -> DownloadSources:
        return DownloadSources(self.media, self.datasets, self.projects, self.tasks, self.labels)

    def _downloader(
        self,
        kind: str,
        found_by: str,
        folder: str | os.PathLike[str],
        config: DownloadConfig | None,
    ) -> Downloader:
        return Downloader(
            self._download_sources,
            DownloadJob(self._base_url, kind, found_by.lower()),
            folder,
            config=config,
            retry=self._retry,
            lane=_LaneOf(self._opened.limits, Lane.DOWNLOAD),
        )

    @property
    def loader(self) -> Loaders:
        """Return what makes data loaders: ``async for sample in client.loader(dataset_id)``.

        See `Loaders.__call__` for the options and `DatasetLoader` for what comes back.
        """
        lane = _LaneOf(self._opened.limits, Lane.DOWNLOAD)
        return Loaders(Library(self.media, self.datasets, self.projects, self.labels, lane))

    @property
    def _opened(self) -> _Open:
        if self._open is None:
            msg = f"{self!r} cannot be used; open it with `async with DataGymClient(...) as client`"
            raise ClientClosedError(msg)
        return self._open
