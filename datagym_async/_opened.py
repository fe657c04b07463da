"""The parts of an open client: session, limits, one resource for each noun.

`DataGymClient` loads this module when a client is made, so that importing its name is cheap.
"""

from __future__ import annotations

import asyncio
import functools
import ssl
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, cast

import aiohttp
import attrs

from datagym_async._checks import is_coroutine_function
from datagym_async._limits import Limits, LimitsConfig
from datagym_async._retry import RetryPolicy
from datagym_async._session import Session
from datagym_async._threads import OnlyCancelledByUs, in_thread_left_behind
from datagym_async._transport import (
    AiohttpTransport,
    Auth,
    CallersSession,
    Timeout,
    Transport,
    check_token,
)
from datagym_async._wire._redact import Secret
from datagym_async.exceptions import ConfigurationError
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

if TYPE_CHECKING:
    from datagym_async.downloads import DownloadConfig, DownloadResult
    from datagym_async.downloads._manifest import Wanted
    from datagym_async.predict._models import Job, Loading
    from datagym_async.predict._run import Workers

TokenSource: TypeAlias = Callable[[], "str | Awaitable[str]"]
"""Returns the token; a plain function is called in a thread, since it may block."""


@attrs.frozen
class Settings:
    """The options of a client, checked; `DataGymClient` explains them."""

    base_url: str
    token: Secret | TokenSource
    timeout: Timeout
    retry: RetryPolicy
    limits: LimitsConfig
    dialect: Dialect
    auth: Auth
    proxy: Secret
    verify: ssl.SSLContext | bool
    session: aiohttp.ClientSession | None
    allow_private_store: bool


Fetch: TypeAlias = "Callable[[Wanted], Coroutine[Any, Any, DownloadResult]]"
"""Fetches a media into the folder of a download."""


class RemoteJobs(NamedTuple):
    """Does the jobs of a client elsewhere; made by `distributed.through`."""

    transport: Callable[[Transport], Transport]  # has others send the files of uploads
    fetch: Callable[[str, DownloadConfig], Fetch]  # by the folder and the options of a download
    workers: Callable[[Job], Workers]  # of a prediction
    connect: Callable[[], AbstractAsyncContextManager[Loading]] | None = None  # as in `through`


async def token_of(source: Secret | TokenSource) -> Secret:
    """Return the token, from its function if there is one; the function's errors pass through."""
    if isinstance(source, Secret):
        return source
    is_coroutine = is_coroutine_function(source)
    with OnlyCancelledByUs():
        given = source() if is_coroutine else await in_thread_left_behind(source)
        secret = await given if isinstance(given, Awaitable) else given
    del given
    if not isinstance(secret, str):
        raise ConfigurationError(f"token returned {type(secret).__name__}; it must return a str")
    return check_token(secret)


class Renewal:
    """Asks for another token, once for all refused requests that wait; all get the same result."""

    def __init__(self, source: TokenSource, transport: AiohttpTransport, token: Secret) -> None:
        self._source, self._transport, self._token = source, transport, token
        self._asking = asyncio.Lock()
        self._asked = 0
        self._failure: Exception | None = None

    async def __call__(self, number: int) -> bool:
        """Return whether there is a newer token than the one with this number."""
        asked = self._asked
        async with self._asking:
            if self._transport.token_number != number:
                return True
            if self._asked != asked:
                if self._failure is not None:
                    raise self._failure
                return False
            self._failure = None
            try:
                token = await token_of(self._source)
            except Exception as failure:  # a cancelled call does not count
                self._failure, self._asked = failure, self._asked + 1
                raise
            self._asked += 1
            if token.reveal() == self._token.reveal():
                return False
            self._token = token
            self._transport.use_token(token)
            return True


class Opened:
    """The parts of an open client. Must be made inside the event loop that uses them."""

    def __init__(self, session: Session, limits: Limits, dialect: Dialect) -> None:
        self.session, self.limits = session, limits
        self.projects = ProjectsResource(session)
        self.datasets = DatasetsResource(session)
        self.media = MediaResource(session, dialect=dialect)
        self.labels = LabelsResource(session)
        self.label_configs = LabelConfigsResource(session)
        self.tasks = TasksResource(session)
        self.values = ValuesResource(session)
        self.ai_segmentation = AiSegmentationResource(session)

    @classmethod
    def by(cls, settings: Settings, token: Secret) -> Opened:
        transport = AiohttpTransport(
            base_url=settings.base_url,
            token=token,
            timeout=settings.timeout,
            auth=settings.auth,
            proxy=settings.proxy,
            verify=settings.verify,
            session=settings.session
            and cast("aiohttp.ClientSession", CallersSession(settings.session)),
            allow_private_store=settings.allow_private_store,
        )
        source, limits = settings.token, Limits(settings.limits)
        session = Session(
            transport,
            limits=limits,
            retry=settings.retry,
            timeout=settings.timeout,
            base_url=settings.base_url,
            secrets=transport.secrets,
            renew=None if isinstance(source, Secret) else Renewal(source, transport, token),
        )
        return cls(session, limits, settings.dialect)

    @functools.cached_property
    def for_jobs(self) -> Opened:
        """Return the same parts for jobs, which wait until an outage of the service is over."""
        return self.over(self.session.for_jobs())

    def over(self, session: Session) -> Opened:
        """Return the same parts over a session with other options."""
        other = Opened(session, self.limits, "auto")
        other.media = self.media._over(session)
        return other
