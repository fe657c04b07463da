"""A body as it arrives: small ones stay in memory, larger ones go to a file in `incoming/`.

Whatever ends the block, nothing stays but what `keep` has put into its place.
"""

import contextlib
import io
import os
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import BinaryIO, Final

import attrs
from aiohttp import StreamReader

from ._blobs import Blobs
from ._image_headers import size_of
from ._threads import in_thread

__all__ = ["Spool", "receive"]

_IN_MEMORY: Final = 1 << 20
_HEAD: Final = 512


@attrs.define
class Spool:
    """What has arrived so far.

    Attributes:
        size: Bytes.
        head: The first 512 bytes.
    """

    _blobs: Blobs
    size: int = 0
    head: bytes = b""
    _buffer: bytearray = attrs.field(factory=bytearray, repr=False)
    _file: BinaryIO | None = None
    _path: Path | None = None

    async def add(self, piece: bytes) -> None:
        """Take one more piece."""
        if len(self.head) < _HEAD:
            self.head += piece[: _HEAD - len(self.head)]
        self.size += len(piece)
        self._buffer += piece
        if len(self._buffer) >= _IN_MEMORY:
            await in_thread(self._spill)

    async def image_size(self) -> tuple[int, int]:
        """Return (width, height) of the image.

        Raises:
            UnreadableImageError: It is broken.
        """
        if self._file is None and self.size <= _IN_MEMORY // 4:
            # Cheaper than a hop: a few headers, or a checksum over some kilobytes.
            return size_of(io.BytesIO(self._buffer))
        return await in_thread(self._image_size)

    async def keep(self, media_id: str) -> None:
        """Put the file into its final place, in one step."""
        await in_thread(self._keep, media_id)

    async def aclose(self) -> None:
        """Remove what was not kept."""
        self._buffer.clear()
        if self._file is not None:
            await in_thread(self._discard)

    def _spill(self) -> None:
        if self._file is None:
            descriptor, path = tempfile.mkstemp(dir=self._blobs.incoming)
            self._file, self._path = os.fdopen(descriptor, "wb"), Path(path)
        self._file.write(self._buffer)
        self._buffer.clear()

    def _image_size(self) -> tuple[int, int]:
        if self._file is None:
            return size_of(io.BytesIO(self._buffer))
        self._spill()
        self._file.flush()
        with self._incoming().open("rb") as file:
            return size_of(file)

    def _keep(self, media_id: str) -> None:
        self._spill()
        self._close()
        self._blobs.adopt(self._incoming(), media_id)
        self._file = None

    def _discard(self) -> None:
        self._close()
        self._blobs.discard(self._incoming())

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()

    def _incoming(self) -> Path:
        if self._path is None:
            raise RuntimeError("Nothing has been written yet.")
        return self._path


@contextlib.asynccontextmanager
async def receive(reader: StreamReader, blobs: Blobs, limit: int) -> AsyncIterator[Spool]:
    """Receive a body up to its end, or until it has reached `limit` bytes.

    Raises:
        ConnectionError: The client stopped before the end.
    """
    spool = Spool(blobs)
    try:
        async for piece in reader.iter_any():
            await spool.add(piece)
            if spool.size >= limit:
                break
        yield spool
    finally:
        await spool.aclose()
