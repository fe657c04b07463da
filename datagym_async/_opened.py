"""What exists while a client is open: session, limits, one resource a noun, one bound a job.

`DataGymClient` loads this module when a client is made, so that importing the name alone is cheap.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import cast

import aiohttp
import attrs

from datagym_async._limits import Limits, LimitsConfig
from datagym_async._retry import RetryPolicy
from datagym_async._session import Session
from datagym_async._transport import AiohttpTransport, CallersSession, Timeout
from datagym_async._wire._messages import Lane
from datagym_async._wire._redact import Secret
from datagym_async.resources import (
    AiSegmentationResource,
    DatasetsResource,
    Dialect,
    LabelConfigsResource,
    LabelsResource,
    MediaResource,
    ProjectsResource,
    TasksResource,
    ValuesResource,
)


@attrs.frozen
class Settings:
    """The options of a client, checked; `DataGymClient` explains them."""

    base_url: str
    token: Secret
    timeout: Timeout
    retry: RetryPolicy
    limits: LimitsConfig
    dialect: Dialect
    trust_env: bool
    session: aiohttp.ClientSession | None
    allow_private_store: bool


class Opened:
    """The parts of an open client. Must be made inside the event loop that uses them."""

    def __init__(self, settings: Settings) -> None:
        transport = AiohttpTransport(
            base_url=settings.base_url,
            token=settings.token,
            timeout=settings.timeout,
            trust_env=settings.trust_env,
            session=settings.session
            and cast("aiohttp.ClientSession", CallersSession(settings.session)),
            allow_private_store=settings.allow_private_store,
        )
        self.limits = Limits(settings.limits)
        session = self.session = Session(
            transport,
            limits=self.limits,
            retry=settings.retry,
            timeout=settings.timeout,
            base_url=settings.base_url,
            secrets=transport.secrets,
        )
        self.projects = ProjectsResource(session)
        self.datasets = DatasetsResource(session)
        self.media = MediaResource(session, dialect=settings.dialect)
        self.labels = LabelsResource(session)
        self.label_configs = LabelConfigsResource(session)
        self.tasks = TasksResource(session)
        self.values = ValuesResource(session)
        self.ai_segmentation = AiSegmentationResource(session)

    def lane(self, lane: Lane) -> JobLane:
        """Return the client's bound on uploads or downloads, as a run of them sees it."""
        return JobLane(self.limits, lane)


@attrs.frozen
class JobLane:
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
