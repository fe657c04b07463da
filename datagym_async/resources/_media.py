"""`MediaResource`: images and videos, in and out.

For a video the service answers with a pre-signed URL of another origin, which is fetched without
our credentials. The first call finds out which of the two generations of media routes a service
has.
"""

from __future__ import annotations

import asyncio
import os
import uuid
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
    Coroutine,
    Iterable,
    Sequence,
)
from contextlib import aclosing, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar, cast
from urllib.parse import urlsplit

import attrs
from aiofiles.threadpool import wrap

from datagym_async._checks import PATH, check, checked, of_each_file, shown
from datagym_async._files import from_home, regular_only, replaced_file
from datagym_async._printable import logger
from datagym_async._threads import in_thread, opened_in_thread
from datagym_async._wire import _routes as routes
from datagym_async._wire._codec import decode, too_large, unexpected
from datagym_async._wire._errors import WEB_PAGE
from datagym_async._wire._messages import MAX_IN_MEMORY, MAX_IN_PIECES, Body, Request, Response
from datagym_async.exceptions import (
    APIConnectionError,
    ConfigurationError,
    FileChangedError,
    NotFoundError,
)
from datagym_async.models import Dataset, DatasetId, DatasetMedia, Media, MediaId, UrlResult
from datagym_async.models._names import fold_link, fold_name, fold_written
from datagym_async.resources._base import ApiSession, Resource
from datagym_async.resources._links import DEFAULT_BATCH, upload_in_batches

if TYPE_CHECKING:
    from aiofiles.threadpool.binary import AsyncBufferedReader

    from datagym_async._transport import StreamedResponse
    from datagym_async._wire._pages import Pages


T = TypeVar("T")

_log = logger(__name__)

Dialect: TypeAlias = Literal["auto", "image", "media"]
"""``media``: today's servers; ``image``: the public documentation; ``auto``: ask the service."""


@attrs.define(eq=False)
class _Generation:
    known: routes.Dialect | None
    asking: asyncio.Lock = attrs.Factory(asyncio.Lock)


_Turns: TypeAlias = dict[tuple[str, str], asyncio.Event | None]
"""Uploads of one name into one dataset, one after the other: the service stores two at once.

The keys are path (ids have no case) and folded name, or link, of those in flight. There is an event
only if somebody waits for the end.
"""


async def _end_of(turn: tuple[str, str], turns: _Turns) -> None:
    ended = turns[turn] = turns[turn] or asyncio.Event()
    await ended.wait()


@checked
class MediaResource(Resource):
    """The images and videos of datasets.

    Ids are UUIDs. A call raises `NotFoundError` if an id is unknown or deleted, and another
    `APIError` if the service cannot be reached or refuses.

    Args:
        session: The session to use; it is not closed here.
        dialect: First word of the service's media routes; ``"auto"`` detects it with the first
            call.
    """

    def __init__(self, session: ApiSession, *, dialect: Dialect = "auto") -> None:
        super().__init__(session)
        if dialect not in {"auto", "image", "media"}:
            raise ConfigurationError(
                f"The dialect {shown(dialect)} is unknown; use 'auto', 'media' or 'image'"
            )
        self._generation = _Generation(None if dialect == "auto" else dialect)
        self._turns: _Turns = {}

    def _over(self, session: ApiSession) -> MediaResource:
        """Return the same over another session to this service, whose generation is asked once."""
        other = MediaResource(session)
        other._generation, other._turns = self._generation, self._turns
        return other

    @property
    def base_url(self) -> str:
        """Return the address of the service."""
        return self._session.base_url

    def settle_after(self) -> float:
        """Return the seconds within which the service may still be storing a lost upload."""
        return self._session.settle_after()

    async def upload_file(
        self,
        dataset_id: DatasetId,
        source: str | os.PathLike[str] | bytes | bytearray | memoryview,
        *,
        name: str | None = None,
    ) -> Media:
        """Store one image in a dataset. An upload whose answer is lost is looked up, never doubled.

        Args:
            source: A path, or the bytes of a JPEG or PNG file.
            name: Name of the media, unique in the dataset without regard to case; None takes the
                last part of the path.

        Raises:
            AlreadyExistsError: The dataset has a media with this name.
            BadRequestError: The service does not accept this kind of file.
            LimitReachedError: The organisation's storage is full.
            FileChangedError: The file changed while it was sent.
            OSError: The file cannot be read. For a pipe, a device, a socket or a folder, which are
                never opened, it is also a `DataGymError`.
            ConfigurationError: Bytes without a name, a name that is too long, or another type of
                source.
        """
        if isinstance(source, bytes | bytearray | memoryview):
            if name is None:
                raise ConfigurationError("Bytes need a name; pass name=...")
            body = Body.of_bytes(bytes(source))
        elif not isinstance(source, str | os.PathLike):
            raise ConfigurationError(
                f"upload_file takes a path or bytes, not {type(source).__name__}; client.upload "
                "takes open files, arrays and PIL images as UploadItem(name, ...)"
            )
        else:
            check(PATH, source=source)
            path = Path(source)
            name = path.name if name is None else name
            body = await asyncio.to_thread(_body_of, path)
        look_up = partial(self._look_up, dataset_id, name)
        return await self._store(dataset_id, name, body, Media, look_up)

    @of_each_file
    def upload_body(
        self,
        dataset_id: DatasetId,
        name: str,
        body: Body,
        *,
        settle: Callable[[], Awaitable[DatasetMedia | None]],
    ) -> Coroutine[Any, Any, DatasetMedia]:
        """Store one image whose body is ready to be sent. For its errors see `upload_file`.

        Args:
            name: Name of the media, as people write it.
            body: The body's recipe; opened again for each attempt. Its errors come out as they are.
            settle: Looks an upload up whose answer was lost, and returns its media, or None if it
                is not there.
        """
        return self._store(dataset_id, name, body, DatasetMedia, settle)

    async def _store(
        self,
        dataset_id: DatasetId,
        name: str,
        body: Body,
        kind: type[T],
        settle: Callable[[], Awaitable[T | None]],
    ) -> T:
        dialect = self._generation.known or await self._dialect()
        request = routes.upload_file(dataset_id, name, body, dialect=dialect)
        turn, turns = (request.path.lower(), fold_name(request.headers["X-filename"])), self._turns
        while turn in turns:
            await _end_of(turn, turns)
        turns[turn] = None
        try:
            answer = await self._session.request_or_settle(request, settle)
        finally:
            if (ended := turns.pop(turn)) is not None:
                ended.set()
        # Always small, and called for each file: so not by `read`, which checks the size.
        return decode(request, answer, kind) if isinstance(answer, Response) else answer

    async def upload_urls(
        self, dataset_id: DatasetId, urls: Iterable[str], *, batch_size: int = DEFAULT_BATCH
    ) -> list[UrlResult]:
        """Add images by URL; the service fetches them when they are viewed, not now.

        One batch is sent at a time. URLs that the service cannot store, and that would make their
        whole batch fail, are not sent: their result is FAILED with a `reason`.

        Args:
            urls: The URLs; each is sent once, even if it is repeated.
            batch_size: URLs in one request, 1 to 500.

        Returns:
            One result for each given URL, in the given order; repeated URLs share theirs.

        Raises:
            RequestRefusedError: The dataset holds videos, or the plan does not allow URLs.
            ConfigurationError: `batch_size` is out of range, or `urls` is a single text.
            APIError: The service cannot be reached, or refuses. A note says how many were done.
        """

        async def send(batch: Sequence[str]) -> tuple[UrlResult, ...]:
            request = routes.upload_urls(dataset_id, batch, dialect=await self._dialect())
            turns = {(request.path.lower(), fold_link(url)) for url in batch}
            while others := turns & self._turns.keys():
                await _end_of(others.pop(), self._turns)
            self._turns.update(dict.fromkeys(turns))
            try:
                return await self._fetch_or_settle(request, tuple[UrlResult, ...])
            finally:
                for ended in map(self._turns.pop, turns):
                    if ended is not None:
                        ended.set()

        return await upload_in_batches(urls, batch_size, send)

    async def download(
        self, media_id: MediaId, *, link: bool = False, max_bytes: int = MAX_IN_MEMORY
    ) -> bytes:
        """Return the bytes of a media; those of a video are fetched where the service says.

        Uploaded files come back as they were. Links are fetched, decoded and encoded again by the
        service, which marks those that it cannot fetch invalid and skips their tasks.

        Args:
            link: True for a media of source SHAREABLE_LINK, so that a failed call is not repeated.
            max_bytes: Bytes of the media at most, by default 1 GiB; `download_to` and `stream` keep
                none in memory.

        Raises:
            APIResponseValidationError: It is longer than `max_bytes`.
            BadRequestError: The link of a media cannot be fetched.
            APIError: The service cannot be reached, refuses, or the answer broke off.
        """
        dialect = self._generation.known or await self._dialect()
        request = routes.download_media(media_id, dialect=dialect, link=link, max_bytes=max_bytes)
        answer = await self._session.request(request)
        url = None if _is_media(request, answer) else _as_url(answer.body)
        if url is None:
            if not answer.body:
                raise unexpected(request, answer.status, _EMPTY)
            return answer.body
        async with self._session.stream_url(url) as elsewhere:
            chunks = _counted(request, elsewhere, elsewhere.chunks)
            return b"".join([chunk async for chunk in chunks])

    async def download_to(
        self,
        media_id: MediaId,
        path: str | os.PathLike[str],
        *,
        link: bool = False,
        max_bytes: int = MAX_IN_PIECES,
    ) -> int:
        """Write the bytes of a media to a file and return how many there are.

        They are written beside the file first, so that a failure or cancellation leaves what was
        there before. Options and errors are those of `download`, and 16 GiB the default.

        Args:
            path: The file; an existing one is replaced. Its folder must exist.

        Raises:
            FileWriteError: The file cannot be written.
        """
        written = 0
        async with (
            self.stream(media_id, link=link, max_bytes=max_bytes) as chunks,
            replaced_file(from_home(path)) as file,
        ):
            async for chunk in chunks:
                written += await in_thread(file.write, chunk)
        return written

    @asynccontextmanager
    async def stream(
        self, media_id: MediaId, *, link: bool = False, max_bytes: int = MAX_IN_PIECES
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """Give the bytes of a media in pieces: ``async with media.stream(id) as chunks``.

        The answer is closed when the context is left; chunks can be iterated once. Options and
        errors are those of `download`, and 16 GiB the default.
        """
        dialect = await self._dialect()
        request = routes.download_media(media_id, dialect=dialect, link=link, max_bytes=max_bytes)
        async with self._session.stream(request) as answer:
            chunks, start = answer.chunks, b""
            if not _is_media(request, answer):  # all of it, if it is short enough to be a URL
                async for chunk in chunks:
                    start += chunk
                    if len(start) > _MAX_URL:
                        break
            url = _as_url(start)
            if url is None:
                async with aclosing(_counted(request, answer, chunks, start=start)) as counted:
                    yield counted
                return
            async with (
                self._session.stream_url(url) as elsewhere,
                aclosing(_counted(request, elsewhere, elsewhere.chunks)) as counted,
            ):
                yield counted

    async def delete(self, media_id: MediaId) -> bool:
        """Delete a media; its labels and tasks vanish from listings and exports.

        Returns:
            True if this call deleted it, False if it was gone already: unknown, deleted before, or
            deleted by an attempt of this call whose answer was lost.
        """
        request = routes.delete_media(media_id, dialect=await self._dialect())
        return await self._do(request, "ex_notfound", "ex_gen_image_delete")

    async def _look_up(self, dataset_id: DatasetId, name: str) -> Media | None:
        """Return the media of a name, as the service compares names, or None."""
        wanted = fold_written(name)
        dataset = await self._fetch(routes.get_dataset(dataset_id), Dataset)
        same = (each for each in dataset.media if fold_name(each.stored_name) == wanted)
        found = next(same, None)
        return None if found is None else Media(**attrs.asdict(found))

    async def _dialect(self) -> routes.Dialect:
        """Return the first word of the media routes; the service is asked until it has answered."""
        generation = self._generation
        known = generation.known
        if known is not None:
            return known
        async with generation.asking:
            if generation.known is not None:
                return generation.known
            # The old one is tried, too, or the page of a wrong address would pass for it.
            dialects: tuple[routes.Dialect, ...] = ("media", "image")
            for dialect in dialects:
                # For a media that cannot exist, only an existing route answers with an error key.
                probe = routes.probe_media(str(uuid.uuid4()), dialect=dialect)
                try:
                    await self._session.request(probe)
                except NotFoundError as error:
                    _log.debug("dialect %s: %s", dialect, error.key or "there is no such route")
                    if not error.key:
                        continue
                generation.known = dialect
                return dialect
            raise ConfigurationError(
                "The service answers neither to the media nor to the image routes; check that"
                " base_url is the address of a DataGym service"
            )


_MAX_URL = 8192  # bytes of the longest body that can be a URL

_EMPTY = "the body is empty, but an image or a video was expected"
_DIGITS = 20  # no announced length has so many digits


def _is_media(request: Request, answer: Response | StreamedResponse) -> bool:
    """Return whether an answer is an image or a video; else it may be the URL of one."""
    kind = answer.headers.get("content-type", "").strip().lower()
    if kind.startswith(("image/", "video/")):
        return True
    if "html" in kind.partition(";")[0]:
        raise unexpected(request, answer.status, WEB_PAGE)
    return False


def _as_url(body: bytes) -> str | None:
    """Return a body as an http or https URL, or None."""
    if len(body) > _MAX_URL:
        return None
    try:
        url = body.decode("ascii").strip().strip('"')
        parts = urlsplit(url)
    except ValueError:
        return None
    good = parts.scheme in {"http", "https"} and parts.hostname and url.isprintable()
    return url if good and " " not in url else None


async def _counted(
    request: Request, answer: StreamedResponse, chunks: AsyncIterator[bytes], *, start: bytes = b""
) -> AsyncGenerator[bytes, None]:
    """Yield the chunks, and raise if their size is not the announced one, or too large."""
    announced, arrived = answer.headers.get("content-length", ""), len(start)
    encoded = answer.headers.get("content-encoding", "identity") != "identity"
    is_number = announced.isdecimal() and len(announced) < _DIGITS
    if is_number and int(announced) > request.max_bytes:  # before the part that is allowed
        raise too_large(request, answer.status, request.max_bytes, is_media=True)
    if start:
        yield start
    async for chunk in chunks:
        arrived += len(chunk)
        if arrived > request.max_bytes:
            raise too_large(request, answer.status, request.max_bytes, is_media=True)
        yield chunk
    if is_number and int(announced) != arrived and not encoded:
        raise APIConnectionError(
            f"{request.method} {request.path} broke off after {arrived} of {announced} bytes; try"
            " again",
            method=request.method,
            path=request.path,
        )
    if not arrived:
        raise unexpected(request, answer.status, _EMPTY)


# --- bodies of local files, read without blocking the event loop ----------------------------------


CHUNK_SIZE = 1024 * 1024
"""Bytes read at once: chunks of 64 KiB in a thread cost 3 times the CPU (measured)."""


def file_body(path: str | os.PathLike[str], size: int, pages: Pages | None = None) -> Body:
    """Return the body that sends a file in chunks of about 1 MiB, opened again for each attempt.

    The first attempt sends its `pages`, if they are given.

    Sending it raises `FileChangedError` if the file is not of that size in bytes, vanishes, grows,
    shrinks or is written to meanwhile: before the last chunk, so that the service stores nothing.
    """
    again = partial(file_body, str(path), size)
    return Body(size, open=partial(_open_body, Path(path), size), again=again, pages=pages)


def _body_of(path: Path) -> Body:
    """Return the body of a file: in memory if it is of at most one chunk."""
    with open(path, "rb", opener=regular_only) as file:
        data, size = file.read(CHUNK_SIZE + 1), os.fstat(file.fileno()).st_size
    return Body.of_bytes(data) if len(data) <= CHUNK_SIZE else file_body(path, size)


@asynccontextmanager
async def _open_body(path: Path, size: int) -> AsyncIterator[AsyncIterator[bytes]]:
    try:
        # Not aiofiles.open: cancelled while its thread opens the file, it leaves the file open.
        begin = partial(open, path, "rb", opener=regular_only)
        async with opened_in_thread(begin, lambda file: file.close()) as file:
            yield _read_chunks(path, cast("AsyncBufferedReader", wrap(cast("Any", file))), size)
    except FileNotFoundError:
        raise FileChangedError(
            f"The file {str(path)!r} was deleted before it was sent; restore it, or leave it out"
        ) from None


async def _read_chunks(path: Path, file: AsyncBufferedReader, size: int) -> AsyncIterator[bytes]:
    async def look() -> int:
        """Check the file's size, and return when it was last written to."""
        found = await asyncio.to_thread(os.fstat, file.fileno())
        _check_size(path, found.st_size, size)
        return found.st_mtime_ns

    before, left = await look(), size
    while left:
        chunk = await file.read(min(CHUNK_SIZE, left))
        left -= len(chunk)
        if not chunk:
            _check_size(path, size - left, size)
        # Before the last chunk is sent, so that the service stores nothing.
        if not left and await look() != before:
            raise FileChangedError(
                f"The file {str(path)!r} was changed while it was sent; send it again"
            )
        yield chunk


def _check_size(path: Path, found: int, size: int) -> None:
    if found != size:
        raise FileChangedError(
            f"The file {str(path)!r} was {size} bytes long when it was looked at and is {found}"
            " bytes now; send it again when nothing writes to it"
        )
