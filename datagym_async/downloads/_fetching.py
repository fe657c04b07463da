"""Fetch one media: from where its bytes lie, into its file, verified.

What the session repeats is what fails before the first byte of a body. An answer that breaks off
later is asked for again here, with the same waits; what has arrived of it is thrown away.
"""

from __future__ import annotations

import asyncio
import random
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from datagym_async._retry import RetryPolicy
from datagym_async._runs._decode import decode
from datagym_async._runs._disk import HashedPart, is_full, place_of
from datagym_async._runs._engine import UNREACHABLE_AFTER, is_fatal
from datagym_async._runs._needs import DownloadSources
from datagym_async._threads import in_thread
from datagym_async._transport import LinkError, LinkFetcher
from datagym_async.downloads._config import DownloadConfig
from datagym_async.downloads._manifest import STATE_FOLDER
from datagym_async.downloads._report import DownloadOutcome, DownloadResult, DownloadTally
from datagym_async.exceptions import (
    APIConnectionError,
    APIError,
    APIStatusError,
    BadRequestError,
    ClientClosedError,
    DataGymError,
    NotFoundError,
)
from datagym_async.models import MediaSourceType

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from datagym_async.downloads._manifest import Wanted


_HELD = 1 << 20
"""Bytes that are kept before they are written: a smaller media is written in one go."""
_SKIPPED = "It is a link image, which the service does not hold; links=... says how to fetch it."
_NO_TASK = (
    "It is a link image, and no task names its address: its dataset is attached to no project that "
    'was looked at; name one with project_id=..., or use links="service".'
)
_NO_URL = 'Its task names no address; links="service" asks the service for the image.'
_BROKEN_LINK = (
    "The service cannot fetch the link of this image, has marked it invalid and moves its tasks to "
    "SKIPPED: {}"
)


class _BadImageError(Exception):
    """Says what is wrong with an image that has arrived."""


@attrs.define
class _Incoming:
    """The bytes of one media on their way to its file."""

    state: Path
    place: Path
    part: HashedPart | None = None
    held: list[bytes] = attrs.Factory(list)
    held_bytes: int = 0

    def take(self, chunk: bytes) -> bool:
        """Take a piece; return whether it is time to write."""
        self.held.append(chunk)
        self.held_bytes += len(chunk)
        return self.held_bytes >= _HELD

    def write(self) -> HashedPart:
        """Write what is held; blocks."""
        part = self.part = self.part or HashedPart.begin(self.state, self.place)
        part.write(self.held)
        self.held, self.held_bytes = [], 0
        return part

    def finish(self, *, is_image: bool) -> tuple[int, str]:
        """Put the file in its place; return its size and hash; blocks."""
        part = self.write()
        part.close()
        if is_image and (reason := decode(str(part.path)).reason):
            raise _BadImageError(reason)
        part.put()
        return part.size, part.sha256

    def drop(self) -> None:
        """Throw all of it away; blocks."""
        if self.part is not None:
            self.part.drop()


@attrs.define
class Fetcher:
    """Fetch media into a folder.

    Args:
        root: The folder.
        sources: The client's resources.
        config: The options.
        retry: How often, and with which waits, a broken answer is asked for again.
        tally: Told of the bytes that arrive.
        patience: Media in a row that may meet no answer before the service counts as gone.

    Owns the connections to the addresses of link images; `aclose` closes them.
    """

    _root: Path
    _sources: DownloadSources
    _config: DownloadConfig
    _retry: RetryPolicy
    _tally: DownloadTally
    _patience: int = UNREACHABLE_AFTER
    _unanswered: int = attrs.field(default=0, init=False)
    _links: LinkFetcher = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._links = LinkFetcher(allow_private=self._config.allow_private_links)

    async def aclose(self) -> None:
        """Close the connections to foreign addresses."""
        await self._links.aclose()

    async def fetch(self, wanted: Wanted) -> DownloadResult:
        """Return what became of one media.

        Raises:
            APIError: Every other media would meet it as well.
            OSError: Likewise: the disk is full.
            ConfigurationError: The manifest names a file outside the folder.
        """
        clock = asyncio.get_running_loop().time
        began, attempts = clock(), 0
        if self._is_left_alone(wanted):
            return _result(wanted, DownloadOutcome.SKIPPED, reason=_SKIPPED)
        place = place_of(self._root, wanted.path)
        while True:
            attempts += 1
            try:
                size, sha256 = await self._fetch_once(wanted, place)
            except (DataGymError, LinkError, OSError, _BadImageError) as error:
                if self._is_lasting(error, wanted, attempts):
                    self._judge(error)
                    return _failed(wanted, error, attempts=attempts, seconds=clock() - began)
            else:
                self._unanswered = 0
                return _result(
                    wanted,
                    DownloadOutcome.DOWNLOADED,
                    size=size,
                    sha256=sha256,
                    attempts=attempts,
                    seconds=clock() - began,
                )
            wait = self._retry.delay(attempts, retry_after=None, chance=random.random())
            await asyncio.sleep(wait)

    def _is_left_alone(self, wanted: Wanted) -> bool:
        return _is_link(wanted) and self._config.links == "skip"

    def _is_lasting(self, error: Exception, wanted: Wanted, attempts: int) -> bool:
        """Return whether an error is the last word on a media, or raise it if on all of them."""
        is_of_all = isinstance(error, APIError | ClientClosedError)
        if is_of_all and not isinstance(error, NotFoundError) and is_fatal(error):
            raise error
        if not isinstance(error, APIError) and isinstance(error, OSError) and is_full(error):
            raise error
        if isinstance(error, LinkError):
            may_pass = error.may_pass
        else:
            # Asking the service for a broken link does something to its tasks: once is enough.
            may_pass = isinstance(error, _BrokeOffError) and not _is_link(wanted)
        return not may_pass or attempts > self._retry.max_retries

    def _judge(self, error: Exception) -> None:
        """Raise an error once nobody answers any more."""
        is_unanswered = isinstance(error, APIConnectionError)
        self._unanswered = self._unanswered + 1 if is_unanswered else 0
        if self._unanswered >= self._patience:
            raise error

    async def _fetch_once(self, wanted: Wanted, place: Path) -> tuple[int, str]:
        """Fetch into the file; return its size and hash."""
        incoming = _Incoming(self._root / STATE_FOLDER, place)
        try:
            async with self._open(wanted) as chunks:
                async for chunk in chunks:
                    self._tally.bytes_arrived += len(chunk)
                    if incoming.take(chunk):
                        await in_thread(incoming.write)
            return await in_thread(incoming.finish, is_image=_is_link(wanted))
        except BaseException:
            await in_thread(incoming.drop)
            raise

    @asynccontextmanager
    async def _open(self, wanted: Wanted) -> AsyncIterator[AsyncIterator[bytes]]:
        if _is_link(wanted) and self._config.links == "source":
            async with self._links.open(await self._address_of(wanted)) as pieces:
                yield pieces
            return
        async with self._sources.media.stream(
            wanted.media_id, link=_is_link(wanted), max_bytes=self._config.max_bytes
        ) as chunks:
            try:
                yield chunks
            except APIConnectionError as error:
                raise _BrokeOffError.of(error) from None

    async def _address_of(self, wanted: Wanted) -> str:
        if wanted.task_id is None:
            raise LinkError(_NO_TASK)
        task = await self._sources.tasks.get(wanted.task_id)
        if not task.media.url:
            raise LinkError(_NO_URL)
        return task.media.url


class _BrokeOffError(APIConnectionError):
    """Says that an answer broke off in its body, which the session does not repeat."""

    @classmethod
    def of(cls, error: APIConnectionError) -> _BrokeOffError:
        return cls(error.args[0], method=error.method, path=error.path)


def _is_link(wanted: Wanted) -> bool:
    return wanted.source is MediaSourceType.SHAREABLE_LINK


def _failed(wanted: Wanted, error: Exception, *, attempts: int, seconds: float) -> DownloadResult:
    told = error if isinstance(error, APIStatusError) else None
    return _result(
        wanted,
        DownloadOutcome.FAILED,
        reason=_reason(error, wanted),
        attempts=max(attempts, error.attempts if isinstance(error, APIError) else 0),
        seconds=seconds,
        status=told.status if told else None,
        key=told.key if told else "",
    )


def _reason(error: Exception, wanted: Wanted) -> str:
    if isinstance(error, NotFoundError) and error.key:
        return "The media was deleted since it was listed."
    if isinstance(error, BadRequestError) and _is_link(wanted):
        return _BROKEN_LINK.format(error)
    if isinstance(error, OSError) and not isinstance(error, APIError):
        return f"Its file cannot be written ({error.strerror or error})."
    return str(error)


def _result(
    wanted: Wanted,
    outcome: DownloadOutcome,
    *,
    size: int | None = None,
    sha256: str = "",
    seconds: float = 0.0,
    attempts: int = 0,
    reason: str = "",
    status: int | None = None,
    key: str = "",
) -> DownloadResult:
    return DownloadResult(
        media_id=wanted.media_id,
        name=wanted.name,
        path=wanted.path,
        outcome=outcome,
        size=size,
        sha256=sha256,
        seconds=seconds,
        attempts=attempts,
        reason=reason,
        status=status,
        key=key,
    )
