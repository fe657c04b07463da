"""`DataGymClient`: the facade. Options in, a session and the resources made from it."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Self, TypeVar

import attrs

from datagym_async._checks import check_word, checked, is_coroutine_function, shown
from datagym_async._client_jobs import TOKEN_VARIABLE, checked_address
from datagym_async._client_reading import ClientReading
from datagym_async._public import NotCopied
from datagym_async._retry import RetryPolicy
from datagym_async._transport import (
    Auth,
    Timeout,
    check_kind,
    check_session,
    check_token,
    proxy_for,
    tls_context,
)
from datagym_async._wire._messages import Lane
from datagym_async._wire._redact import Secret
from datagym_async.exceptions import ClientClosedError, ConfigurationError

if TYPE_CHECKING:
    import aiohttp

    from datagym_async._limits import LimiterState, SessionStatistics
    from datagym_async._opened import Opened, RemoteJobs, TokenSource
    from datagym_async._session import Session
    from datagym_async._wire import Request, Response
    from datagym_async.resources import Dialect

T = TypeVar("T")


@attrs.frozen
class RawAnswer:
    """An unchanged answer of the service, without secrets.

    Attributes:
        method: Method of the request.
        path: Its path below ``api/v1/``, without the query.
        status: HTTP status.
        headers: Header fields; their names are in lower case.
        content: The body.
    """

    __module__ = "datagym_async"  # what it is imported from

    method: str
    path: str
    status: int
    headers: Mapping[str, str] = attrs.field(repr=False)
    content: bytes = attrs.field(repr=False)

    @classmethod
    def of(cls, request: Request, response: Response) -> RawAnswer:
        """Return what a request was answered with."""
        headers = {name.lower(): response.headers[name] for name in response.headers}
        return cls(request.method, request.path, response.status, headers, response.body)

    def json(self) -> Any:
        """Return the parsed body.

        Raises:
            ValueError: It is not JSON, or nested too deep.
        """
        from datagym_async._json import loads

        return loads(self.content)


class DataGymClient(NotCopied, ClientReading):
    """A client for DataGym; use it as ``async with DataGymClient(...) as client``.

    Args:
        token: API token; None takes it from ``DATAGYM_TOKEN``. It is sent in the Authorization
            header to the origin of `base_url`, and nowhere else. It may also be a function (called
            in a thread) or a coroutine function that returns the token. This is called when the
            client is opened, and again when the token is refused (401, 403); if it then returns
            another token, the request is sent again.
        base_url: Address of the service, without ``/api/v1``; None takes it from
            ``DATAGYM_BASE_URL``, else ``https://app.datagym.ai``.
        timeout: Time limits of one attempt, by phase.
        retry: How failed requests are retried; `RetryPolicy.none()` turns retries off.
        rate_limit: Requests a second, evenly spaced; None for no limit.
        concurrency: Fixed number of file uploads in flight; None to adapt it during the run.
        max_calls: Maximum number of small requests in flight.
        max_uploads: Maximum number of file uploads in flight; the number adapts up to this. More
            than 8 can use up the service's 10 database connections (observed).
        max_downloads: Maximum number of downloads and exports in flight; the number adapts too.
        max_upload_rate: Bytes a second for all file uploads, evenly spread; None for no limit.
        dialect: ``"media"`` for the routes of current servers, ``"image"`` for those of the public
            documentation, ``"auto"`` to detect it with the first media call.
        auth: ``"header"`` sends the token in the Authorization header; ``"parameter"`` as the
            request parameter ``token``, for gateways that remove the header. The service documents
            both. A URL ends up in more places than a header, so use ``"parameter"`` only if you
            must.
        proxy: URL of a proxy, with user and password if needed; an empty text for none; None for
            the proxy of the environment (``HTTPS_PROXY``, ``HTTP_PROXY``, ``ALL_PROXY``,
            ``NO_PROXY``), unless the service is on this machine.
        trust_env: Whether to look for a proxy in the environment. ~/.netrc is never read.
        ca_file: Certificates (PEM) to trust in addition to the system's.
        session: An aiohttp session to use. The client never closes it, uses its proxy and
            certificates, and ignores its ``raise_for_status``. If a server sends data on an idle
            connection of this session, aiohttp returns it as the answer to the next request.
        allow_private_store: Whether pre-signed URLs of the service (used for videos) may lead to
            private, loopback and other special addresses. Otherwise they are fetched only from
            public addresses and from the host and port of `base_url`, always without cookies,
            proxies and credentials; `proxy` and `session` are not used for them.

    A client belongs to the process and the event loop in which it was opened. In another one, for
    example after a fork, its calls raise `ClientClosedError`. It may be shared between tasks, and
    any call may be cancelled; nothing stays open.

    Raises:
        ConfigurationError: An option cannot be used.
    """

    __module__ = "datagym_async"  # what it is imported from

    def __init__(
        self,
        token: str | TokenSource | None = None,
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
        auth: Auth = "header",
        proxy: str | None = None,
        trust_env: bool = True,
        ca_file: str | os.PathLike[str] | None = None,
        session: aiohttp.ClientSession | None = None,
        allow_private_store: bool = False,
    ) -> None:
        # What an open client works with is loaded here: `open` runs in the event loop.
        from datagym_async._limits import LimitsConfig
        from datagym_async._opened import Settings

        source = token if callable(token) else None
        given = Secret("" if callable(token) else token or os.environ.get(TOKEN_VARIABLE, ""))
        through = None if proxy is None else Secret(proxy)
        del token, proxy  # a traceback with locals shows the names of this frame
        check_kind("timeout", timeout, Timeout, or_none=False)
        check_kind("retry", retry, RetryPolicy, or_none=False)
        check_session(session)
        check_word("auth", auth, "header", "parameter")
        if session is not None and (through is not None or ca_file is not None):
            raise ConfigurationError(
                "session comes with a proxy and certificates of its own; give proxy and ca_file to "
                "aiohttp.ClientSession and its connector instead"
            )
        address = checked_address(base_url)
        own = session is None
        self._settings = Settings(
            token=source or check_token(given),
            base_url=address,
            limits=LimitsConfig(
                calls=max_calls,
                uploads=max_uploads,
                downloads=max_downloads,
                rate=rate_limit,
                upload_rate=max_upload_rate,
                concurrency=concurrency,
            ),
            timeout=timeout.for_pace(max_upload_rate),
            retry=retry,
            dialect=dialect,
            auth=auth,
            proxy=proxy_for(address, through, trust_env=trust_env) if own else Secret(""),
            verify=tls_context(ca_file),
            session=session,
            allow_private_store=allow_private_store,
        )
        self._open: Opened | None = None
        self._closed = self._is_view = self._is_opening = False
        self._others: RemoteJobs | None = None

    def __repr__(self) -> str:
        """Return address and state, without the token."""
        if not hasattr(self, "_closed"):
            return "<DataGymClient, not made: an option cannot be used>"
        is_open = self._open is not None and not self._open.session.is_closed
        is_closed = self._closed or self._open is not None
        state = "open" if is_open else "closed" if is_closed else "not opened"
        return f"<DataGymClient {self._settings.base_url} {state}>"

    def __del__(self, _warn: type[ResourceWarning] = ResourceWarning) -> None:
        """Warn of a client that was opened and never closed."""
        if getattr(self, "_open", None) is not None and not self._is_view:
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
        if self._open is not None or self._closed or self._is_opening:
            raise ClientClosedError(f"{self!r} can be opened once; make a new client")
        from asyncio import get_running_loop

        from datagym_async._opened import Opened, token_of

        try:
            get_running_loop()
        except RuntimeError:
            msg = "A client needs an event loop of asyncio, and this one is not (of trio, say)"
            raise ClientClosedError(msg) from None

        self._is_opening = True
        try:
            token = await token_of(self._settings.token)
            if self._closed:  # while the token was asked for
                raise ClientClosedError(f"{self!r} was closed; make a new client")
            self._open = Opened.by(self._settings, token)
        finally:
            self._is_opening = False
        return self

    async def aclose(self) -> None:
        """Close the client and its connections; may be called again.

        A client returned by `with_options` closes nothing.

        Raises:
            ClientClosedError: It was opened in another event loop; close it there.
        """
        if self._open is not None and not self._is_view:
            self._open.session.check_closing()
        opened, self._open, self._closed = self._open, None, True
        if opened is not None and not self._is_view:
            await opened.session.aclose()

    def with_options(
        self,
        *,
        timeout: Timeout | None = None,
        retry: RetryPolicy | None = None,
        on_answer: Callable[[RawAnswer], object] | None = None,
    ) -> DataGymClient:
        """Return this open client with other options, for single calls.

        ::

            await client.with_options(timeout=Timeout(read=600)).labels.export(project_id)

        Both share connections, limits, pauses and counts; closing the original client ends both.

        Args:
            timeout: Time limits; None keeps those of the client.
            retry: How failed requests are retried; None keeps that of the client.
            on_answer: Called in the event loop with each complete answer, including errors and
                retried attempts; must return quickly. Its errors do not affect the call; the first
                one is logged. It does not get answers that are read as streams (downloads,
                exports).

        Raises:
            ConfigurationError: An option has a wrong type, or `on_answer` is a coroutine function.
            ClientClosedError: The client is not open.
        """
        from datagym_async._runs._options import Listener

        listener = Listener(on_answer, "call", "on_answer")

        def hear(request: Request, response: Response) -> None:
            listener.tell(RawAnswer.of(request, response))

        given: object = on_answer  # whatever a caller gives
        if given is not None and (not callable(given) or is_coroutine_function(given)):
            raise ConfigurationError(
                f"on_answer is {shown(on_answer)}; it must be a plain function of one answer"
            )
        check_kind("timeout", timeout, Timeout)
        check_kind("retry", retry, RetryPolicy)
        opened = self._opened
        session = opened.session.with_options(
            retry=retry, timeout=timeout, on_answer=hear if listener.is_wanted else None
        )
        return self._view(session)

    def _view(self, session: Session) -> DataGymClient:
        view = object.__new__(type(self))
        view.__dict__ |= self.__dict__
        view._open, view._is_view = self._opened.over(session), True
        return view

    def _elsewhere(self, others: RemoteJobs) -> DataGymClient:
        """Return this open client with others to do its jobs."""
        view = self._view(self._opened.session.over(others.transport))
        view._others = others
        return view

    @checked
    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        json: object = None,
        safe_to_repeat: bool | None = None,
    ) -> RawAnswer:
        """Send a request to a route for which this client has no method.

        It is limited, counted and retried like any other request.

        Args:
            method: HTTP method.
            path: Path below ``api/v1/``, for example ``"project/P/statistics"``.
            query: Query parameters.
            json: Value to send as JSON; None for no body.
            safe_to_repeat: Whether it may be sent again if its answer was lost; None for GET and
                HEAD only.

        Raises:
            ConfigurationError: The path is not valid.
            APIError: As for any call.
        """
        from datagym_async._wire import raw_request

        request = raw_request(method, path, query or {}, json, safe_to_repeat)
        return RawAnswer.of(request, await self._opened.session.request(request))

    async def ping(self) -> None:
        """Check whether the service accepts the token (HEAD project).

        Raises:
            AuthenticationError: No token arrived at the service.
            PermissionDeniedError: The token is not valid, or no longer.
            APIError: The service cannot be reached.
        """
        await self.projects.ping()

    def statistics(self) -> SessionStatistics:
        """Return counts of what this client has sent and received since it was opened."""
        return self._opened.session.statistics()

    @property
    def limiter(self) -> LimiterState:
        """Return how many uploads may be in flight, how many are, and why."""
        return self._opened.session.limiter(Lane.UPLOAD)

    @property
    def download_limiter(self) -> LimiterState:
        """Return how many downloads and exports may be in flight, how many are, and why."""
        return self._opened.session.limiter(Lane.DOWNLOAD)
