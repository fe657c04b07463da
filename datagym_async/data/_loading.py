"""One sample: from the cache or the service, decoded, joined with its labels, transformed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import attrs

from datagym_async._retry import SEEMS_DOWN
from datagym_async._threads import in_thread
from datagym_async.data._cache import DiskCache
from datagym_async.data._config import LoaderConfig
from datagym_async.data._labels import JoinedLabels
from datagym_async.data._listing import Listing
from datagym_async.data._needs import Media
from datagym_async.data._run import Loaded
from datagym_async.data._sample import Sample, decoded, weigh
from datagym_async.exceptions import (
    APIConnectionError,
    AuthenticationError,
    ClientClosedError,
    PermissionDeniedError,
)
from datagym_async.models import DatasetMedia, MediaSourceType

UNREACHABLE_AFTER = 8
"""Media in a row that met no answer after all their attempts: the service is gone."""
_LINK = MediaSourceType.SHAREABLE_LINK
_FATAL = (AuthenticationError, PermissionDeniedError, ClientClosedError)


@attrs.define
class SampleLoader:
    """Load the samples of a listing.

    Args:
        media: Gives the bytes.
        listing: The media.
        labels: Their labels.
        config: The options.
        cache: Where bytes are kept, or None.
        transform: What becomes of a sample, or None.
    """

    _media: Media
    _listing: Listing
    _labels: JoinedLabels
    _config: LoaderConfig
    _cache: DiskCache | None
    _transform: Callable[[Sample], object] | None
    _unreachable: int = attrs.field(default=0, init=False)
    _is_light: bool = attrs.field(init=False)

    @_is_light.default
    def _has_nothing_to_do(self) -> bool:
        """Return whether nothing is to be done but to download."""
        return self._cache is None and self._transform is None and self._config.decode == "bytes"

    async def load(self, index: int, *, epoch: int) -> Loaded:
        """Return what became of a sample; whatever it raises is in there."""
        media = self._listing[index]
        try:
            if self._is_light:
                loaded = self._made(media, index, epoch, await self._downloaded(media))
            else:
                loaded = await self._load_in_threads(media, index, epoch)
        except Exception as error:
            return self._judged(media, error)
        self._unreachable = 0
        return loaded

    async def _load_in_threads(self, media: DatasetMedia, index: int, epoch: int) -> Loaded:
        if self._cache is not None:
            loaded = await in_thread(self._from_cache, self._cache, media, index, epoch)
            if loaded is not None:
                return loaded
        data = await self._downloaded(media)
        return await in_thread(self._kept_and_made, media, index, epoch, data)

    def _downloaded(self, media: DatasetMedia) -> Awaitable[bytes]:
        return self._media.download(
            media.id, link=media.source_type is _LINK, max_bytes=self._config.max_bytes
        )

    # In threads.

    def _from_cache(
        self, cache: DiskCache, media: DatasetMedia, index: int, epoch: int
    ) -> Loaded | None:
        data = cache.get(media.id)
        return None if data is None else self._made(media, index, epoch, data)

    def _kept_and_made(self, media: DatasetMedia, index: int, epoch: int, data: bytes) -> Loaded:
        if self._cache is not None:
            self._cache.put(media.id, data)
        return self._made(media, index, epoch, data)

    def _made(self, media: DatasetMedia, index: int, epoch: int, data: bytes) -> Loaded:
        content = decoded(data, self._config.decode)
        sample = Sample(index, epoch, media, content, self._labels.of(index))
        if self._transform is None:
            return Loaded(sample, weigh(content))
        value = self._transform(sample)
        return Loaded(value, weigh(value))

    # When it went wrong.

    def _judged(self, media: DatasetMedia, error: Exception) -> Loaded:
        """Return what the options say of an error, unless every other sample would meet it."""
        is_lost = isinstance(error, APIConnectionError)
        self._unreachable = self._unreachable + 1 if is_lost else 0
        error.add_note(f"while media {media.id} ({media.name!r}) was loaded")
        on_error = self._config.on_error
        if on_error == "raise" or self._is_fatal(error):
            return Loaded(error=error)
        if on_error == "skip" or isinstance(on_error, str):
            return Loaded(skipped=True)
        try:
            value = on_error(media, error)
        except Exception as raised:
            return Loaded(error=raised)
        return Loaded(skipped=True) if value is None else Loaded(value, weigh(value))

    def _is_fatal(self, error: Exception) -> bool:
        return (
            isinstance(error, _FATAL)
            or getattr(error, "remark", "") == SEEMS_DOWN
            or self._unreachable >= UNREACHABLE_AFTER
        )
