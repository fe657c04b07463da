"""`MediaResource`: images and videos, in and out."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from datagym_async._files import replaced_file
from datagym_async._regular_files import regular_only
from datagym_async._threads import in_thread
from datagym_async._wire import _routes as routes
from datagym_async._wire._messages import MAX_IN_MEMORY, MAX_IN_PIECES, Body, Response
from datagym_async._wire._names import encode_name, fold_name
from datagym_async.exceptions import ConfigurationError, NotFoundError, RequestRefusedError
from datagym_async.models import Dataset, Media
from datagym_async.resources import _downloads as downloads
from datagym_async.resources._base import Resource, nothing_to_look_at, read
from datagym_async.resources._bodies import CHUNK_SIZE, file_body
from datagym_async.resources._dialect import Dialect, DialectFinder
from datagym_async.resources._urls import DEFAULT_BATCH, UrlBatches

if TYPE_CHECKING:
    import os
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable

    from datagym_async._wire._messages import Request
    from datagym_async.models import UrlResult
    from datagym_async.resources._ports import Door

T = TypeVar("T")


class MediaResource(Resource):
    """The images and videos of datasets.

    Args:
        session: The door to the network; it is not closed here.
        dialect: First word of the service's media routes; ``"auto"`` finds out at the first call.
    """

    def __init__(self, session: Door, *, dialect: Dialect = "auto") -> None:
        super().__init__(session)
        self._dialect = DialectFinder(session, dialect)

    @property
    def base_url(self) -> str:
        """Return the address of the service."""
        return self._session.base_url

    def settle_after(self) -> float:
        """Return the seconds within which the service may still be storing a lost upload."""
        return self._session.settle_after()

    async def upload_file(
        self, dataset_id: str, source: str | os.PathLike[str] | bytes, *, name: str | None = None
    ) -> Media:
        """Store one image in a dataset. An upload whose answer is lost is looked up, never doubled.

        Args:
            dataset_id: UUID of the dataset.
            source: A path, or the bytes of a JPEG or PNG file.
            name: Name of the media, unique in the dataset without regard to case; None takes the
                last part of the path.

        Raises:
            AlreadyExistsError: The dataset has a media of this name.
            BadRequestError: The service does not take this kind of file.
            NotFoundError: The dataset is unknown.
            LimitReachedError: The organisation's storage is full.
            FileChangedError: The file changed while it was sent.
            OSError: The file cannot be read. Where the path leads to a pipe, a device, a socket or
                a folder, which are not opened, it is a `DataGymError` as well.
            ConfigurationError: Bytes without a name, or a name that is too long.
            APIError: The service cannot be asked, or refuses.
        """
        if isinstance(source, bytes):
            if name is None:
                raise ConfigurationError("Bytes have no name of their own; pass name=... as well")
            return await self.upload_body(dataset_id, name, Body.of_bytes(source))
        path = Path(source)
        body = await asyncio.to_thread(_read_small, path)
        if body is None:
            body = file_body(path, (await asyncio.to_thread(path.stat)).st_size)
        return await self.upload_body(dataset_id, path.name if name is None else name, body)

    async def upload_body(
        self,
        dataset_id: str,
        name: str,
        body: Body,
        *,
        settle: Callable[[], Awaitable[Media | None]] | None = None,
    ) -> Media:
        """Store one image whose body is ready to be sent.

        Args:
            dataset_id: UUID of the dataset.
            name: Name of the media, as people write it.
            body: The body's recipe; opened anew for each attempt.
            settle: Looks an upload up whose answer was lost, and returns its media, or None if it
                is not there; None lists the dataset for this upload alone.

        Raises:
            APIError: See `upload_file`; errors of the recipe come out as they are.
        """
        dialect = await self._dialect.get()
        request = routes.upload_file(dataset_id, name, body, dialect=dialect)

        async def look_up() -> Media | None:
            return await self._look_up(dataset_id, name)

        answer = await self._session.request_or_settle(request, settle or look_up)
        return await read(request, answer, Media) if isinstance(answer, Response) else answer

    async def upload_urls(
        self, dataset_id: str, urls: Iterable[str], *, batch_size: int = DEFAULT_BATCH
    ) -> list[UrlResult]:
        """Add images by URL; the service fetches them when they are looked at, not now.

        One batch is sent at a time. URLs that the service cannot store, and that would take their
        whole batch with them, are not sent: their result is FAILED with a `reason`.

        Args:
            dataset_id: UUID of the dataset.
            urls: The URLs; each is sent once, however often it is given.
            batch_size: URLs in one request, 1 to 500.

        Returns:
            One result for each URL given, in the order given; repeated URLs share theirs.

        Raises:
            NotFoundError: The dataset is unknown.
            RequestRefusedError: The dataset holds videos, or the plan allows no URLs.
            ConfigurationError: `batch_size` is out of range, or `urls` is a single text.
            APIError: The service cannot be asked, or refuses. A note says how many were done.
        """
        batches = UrlBatches.of(urls, batch_size)
        dialect = await self._dialect.get() if batches else "media"
        return await batches.send(self._fetch_patiently, dataset_id, dialect=dialect)

    async def download(
        self, media_id: str, *, link: bool = False, max_bytes: int = MAX_IN_MEMORY
    ) -> bytes:
        """Return the bytes of a media; those of a video are fetched where the service says.

        Uploaded files come back as they were. Links are fetched, decoded and encoded anew by the
        service, which marks those that it cannot fetch invalid and skips their tasks.

        Args:
            media_id: UUID of the media.
            link: True for a media of source SHAREABLE_LINK, so that a failed call is not repeated.
            max_bytes: Bytes of the media at most, by default 1 GiB; `download_to` and `stream` keep
                none in memory.

        Raises:
            APIResponseValidationError: It is longer than `max_bytes`.
            NotFoundError: The media is unknown or deleted.
            BadRequestError: The link of a media cannot be fetched.
            APIError: The service cannot be asked, refuses, or the answer broke off.
        """
        dialect = self._dialect.known or await self._dialect.get()
        request = routes.download_media(media_id, dialect=dialect, link=link, max_bytes=max_bytes)
        answer = await self._session.request(request)
        url = downloads.url_of(request, answer)
        return answer.body if url is None else await downloads.fetch(self._session, request, url)

    async def download_to(
        self,
        media_id: str,
        path: str | os.PathLike[str],
        *,
        link: bool = False,
        max_bytes: int = MAX_IN_PIECES,
    ) -> int:
        """Write the bytes of a media to a file and return how many there are.

        They are written beside the file first, so that a failure or cancellation leaves what was
        there before.

        Args:
            media_id: UUID of the media.
            path: The file; an existing one is replaced. Its folder must exist.
            link: See `download`.
            max_bytes: Bytes of the media at most, by default 16 GiB.

        Raises:
            FileWriteError: The file cannot be written.
            APIError: See `download`.
        """
        written = 0
        async with (
            self.stream(media_id, link=link, max_bytes=max_bytes) as chunks,
            replaced_file(Path(path)) as file,
        ):
            async for chunk in chunks:
                written += await in_thread(file.write, chunk)
        return written

    @asynccontextmanager
    async def stream(
        self, media_id: str, *, link: bool = False, max_bytes: int = MAX_IN_PIECES
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """Give the bytes of a media in pieces: ``async with media.stream(id) as chunks``.

        The answer is closed when the context is left; chunks can be iterated once.

        Args:
            media_id: UUID of the media.
            link: See `download`.
            max_bytes: Bytes of the media at most, by default 16 GiB.

        Raises:
            APIError: See `download`.
        """
        dialect = await self._dialect.get()
        request = routes.download_media(media_id, dialect=dialect, link=link, max_bytes=max_bytes)
        async with downloads.opened(self._session, request) as chunks:
            yield chunks

    async def delete(self, media_id: str) -> bool:
        """Delete a media; its labels and tasks vanish from listings and exports.

        Args:
            media_id: UUID of the media.

        Returns:
            True if this call deleted it, False if it was gone already: unknown, deleted before, or
            deleted by an attempt of this call whose answer was lost.

        Raises:
            APIError: The service cannot be asked, or refuses.
        """
        request = routes.delete_media(media_id, dialect=await self._dialect.get())
        try:
            await self._do(request)
        except NotFoundError as error:
            if not error.key:  # the route is unknown, not the media
                raise
            return False
        except RequestRefusedError as error:
            if error.key != "ex_gen_image_delete":
                raise
            return False
        return True

    async def _fetch_patiently(self, request: Request, kind: type[T]) -> T:
        """Return the answer to a request that can be repeated once the service is done with it."""
        answer = await self._session.request_or_settle(request, nothing_to_look_at)
        return await read(request, answer, kind)

    async def _look_up(self, dataset_id: str, name: str) -> Media | None:
        """Return the media of a name, as the service compares names, or None."""
        wanted = fold_name(encode_name(name))
        dataset = await self._fetch(routes.get_dataset(dataset_id), Dataset)
        for found in dataset.media:
            if fold_name(found.stored_name) == wanted:
                return Media(
                    id=found.id,
                    timestamp=found.timestamp,
                    source_type=found.source_type,
                    name=found.name,
                    stored_name=found.stored_name,
                )
        return None


def _read_small(path: Path) -> Body | None:
    """Return a body in memory for a file of at most one chunk, or None for a larger one."""
    with open(path, "rb", opener=regular_only) as file:
        data = file.read(CHUNK_SIZE + 1)
    return Body.of_bytes(data) if len(data) <= CHUNK_SIZE else None
