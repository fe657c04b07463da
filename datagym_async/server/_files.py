"""The data folder, bodies that arrive in it, and which of them are images.

The folder contains `datagym.sqlite3`, the media as `blobs/xx/<media id>`, `incoming/` for files
that are arriving, `token`, and `lock`, which keeps a second server out. All files are private
(0600), and so is the folder if it is made here (0700); an existing one keeps its mode.

The service decodes images. What it accepts was observed, and can be found out without decoding a
pixel: a JPEG needs valid segments up to its scan, and may end anywhere after that; a PNG needs all
of its chunks, with their checksums.
"""

import codecs
import contextlib
import io
import os
import secrets
import shutil
import struct
import tempfile
from collections.abc import AsyncIterator, Container, Iterator
from pathlib import Path
from typing import BinaryIO, Final, Self

import attrs
from aiohttp import StreamReader
from PIL.PngImagePlugin import PngImageFile

from datagym_async._locks import LockFile
from datagym_async._threads import in_thread
from datagym_async.server._store import StoreError

_DATABASE: Final = "datagym.sqlite3"
_FOLDERS: Final = ("incoming", "blobs")
# Bytes of a body that stay in memory, and those that show its type.
_IN_MEMORY: Final = 1 << 20
_HEAD: Final = 512


@attrs.define
class DataFolder:
    """A data folder, locked while it is open. All methods block; call them in a thread."""

    path: Path
    _lock: LockFile = attrs.field(repr=False)
    temporary: bool = False  # whether it is deleted when it is closed

    @classmethod
    def open(cls, path: Path | None) -> Self:
        """Make the folder if needed (None: a temporary one), and lock it.

        Half received files of an earlier run are deleted. A folder that cannot be used is a
        `StoreError`.
        """
        if is_temporary := path is None:
            try:
                path = Path(tempfile.mkdtemp(prefix="datagym-temporary-"))
            except OSError as error:
                raise StoreError(f"There is no folder for temporary files: {error}.") from None
        opened = cls(path, _locked(path), is_temporary)
        try:
            with _using(path):
                # The database is private before SQLite opens it; its logs get the same mode.
                with contextlib.suppress(OSError):  # opening it gives a better error
                    os.close(os.open(opened.database, os.O_RDWR | os.O_CREAT, 0o600))
                    for file in path.glob(f"{opened.database.name}*"):
                        if file.is_file():  # a link may lead to a device
                            file.chmod(0o600)
                shutil.rmtree(opened.incoming, ignore_errors=True)
                for folder in (path / name for name in _FOLDERS):
                    folder.mkdir(0o700, exist_ok=True)
                    folder.chmod(0o700)
        except StoreError:
            opened.close()
            raise
        return opened

    @property
    def database(self) -> Path:
        return self.path / _DATABASE

    @property
    def incoming(self) -> Path:
        return self.path / "incoming"

    def token(self) -> str:
        """Return the token of the folder; the first call makes a random one."""
        path = self.path / "token"
        with _using(self.path):
            if path.exists() and (kept := path.read_bytes().strip()):
                if kept.isascii():
                    return kept.decode()
                raise StoreError(f"The file {path} is no token: delete it to get a new one.")
            token = secrets.token_hex(16)
            _write_private(path, f"{token}\n".encode())
        return token

    def media(self, media_id: str) -> Path:
        media_id = media_id.lower()
        return self.path / "blobs" / media_id[:2] / media_id

    def adopt(self, temporary: Path, media_id: str) -> None:
        """Move a received file to its place."""
        path = self.media(media_id)
        path.parent.mkdir(0o700, exist_ok=True)
        temporary.replace(path)

    def write(self, media_id: str, content: bytes) -> None:
        path = self.incoming / media_id
        _write_private(path, content)
        self.adopt(path, media_id)

    def sweep(self, known: Container[str]) -> None:
        """Remove the files that the database does not know, which a crash leaves behind."""
        with _using(self.path):
            for path in (self.path / "blobs").glob("??/*"):
                if path.name not in known:
                    path.unlink(missing_ok=True)

    def close(self) -> None:
        """Unlock the folder, and remove a temporary one."""
        # The file of the lock stays, or two servers could lock two files of one name.
        self._lock.close()
        if self.temporary:
            shutil.rmtree(self.path, ignore_errors=True)


@contextlib.contextmanager
def _using(folder: Path) -> Iterator[None]:
    """Make an error of the disk a `StoreError`."""
    try:
        yield
    except OSError as error:
        raise StoreError(f"The data folder {folder} cannot be used: {error.strerror}.") from None


def _locked(folder: Path) -> LockFile:
    with _using(folder):
        folder.mkdir(0o700, parents=True, exist_ok=True)
        # The database is made first. What is in our folders without it is not ours to delete.
        found = [name for name in _FOLDERS if (folder / name).exists()]
        if found and not (folder / _DATABASE).exists():
            raise StoreError(
                f"The folder {folder} has a folder named {found[0]} and no {_DATABASE}, so it is"
                " not a data folder of this service: use another one."
            )
        file = LockFile(folder / "lock")
        if file.lock():
            return file
    file.close()
    raise StoreError(
        f"Another server already uses the data folder {folder}:"
        " stop it, or give this one its own folder."
    )


def _write_private(path: Path, content: bytes | bytearray, how: int = os.O_TRUNC) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | how, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)


@attrs.define
class IncomingFile:
    """A body as it arrives: a small one stays in memory, a larger one goes to a file."""

    _folder: DataFolder
    _path: Path
    size: int = 0
    head: bytes = b""  # the first 512 bytes
    _buffer: bytearray = attrs.field(factory=bytearray, repr=False)
    _is_in_file: bool = False

    async def add(self, piece: bytes) -> None:
        if len(self.head) < _HEAD:
            self.head += piece[: _HEAD - len(self.head)]
        self.size += len(piece)
        self._buffer += piece
        if len(self._buffer) >= _IN_MEMORY:
            await in_thread(self._spill)

    async def image_size(self) -> tuple[int, int]:
        """Return (width, height) of the image, or raise `UnreadableImageError`."""

        def look() -> tuple[int, int]:
            if not self._is_in_file:
                return size_of(io.BytesIO(self._buffer))
            self._spill()
            with self._path.open("rb") as file:
                return size_of(file)

        # For a small one a thread call takes longer: a few headers, or a checksum over kilobytes.
        is_small = self.size <= _IN_MEMORY // 4
        return look() if is_small else await in_thread(look)

    async def keep(self, media_id: str) -> None:
        """Put the file into its final place, in one step."""

        def move() -> None:
            self._spill()
            self._folder.adopt(self._path, media_id)
            self._is_in_file = False

        await in_thread(move)

    async def aclose(self) -> None:
        if self._is_in_file:
            await in_thread(self._path.unlink, missing_ok=True)

    def _spill(self) -> None:
        """Append the bytes in memory to the file."""
        self._is_in_file = True
        _write_private(self._path, self._buffer, os.O_APPEND)
        self._buffer.clear()


@contextlib.asynccontextmanager
async def receive(
    reader: StreamReader, folder: DataFolder, limit: int
) -> AsyncIterator[IncomingFile]:
    """Receive a body up to its end, or until it has reached `limit` bytes.

    After the block, only what `keep` has put into its place is left. If the client stops before the
    end, that is a `ConnectionError`.
    """
    incoming = IncomingFile(folder, folder.incoming / secrets.token_hex(8))
    try:
        async for piece in reader.iter_any():
            await incoming.add(piece)
            if incoming.size >= limit:
                break
        yield incoming
    finally:
        await incoming.aclose()


# A parameter of the service's messages.
ACCEPTED: Final = "[image/jpeg, image/jpg, image/png]"

_SIGNATURES: Final = (
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"BM", "image/bmp"),
    (b"II*\0", "image/tiff"),
    (b"MM\0*", "image/tiff"),
    (b"\x1f\x8b", "application/gzip"),
    (b"PK\x03\x04", "application/zip"),
    (b"%PDF-", "application/pdf"),
)
_CONTROL: Final = frozenset(range(32)) - frozenset(b"\t\n\f\r\x1b")
_START_OF_SCAN: Final = 0xDA
# Frame headers: C0 to CF but for the tables DHT, JPG and DAC.
_FRAMES: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


class UnreadableImageError(ValueError):
    """Says why the service would answer an image with 500."""


def sniff(head: bytes) -> str:
    """Return the MIME type that the first 512 bytes show; name and header are ignored."""
    for signature, mime in _SIGNATURES:
        if head.startswith(signature):
            return mime
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "image/webp"
    if head[4:8] == b"ftyp":
        # Observed for an MP4 of brand isom.
        return "video/quicktime"
    if not head or not _CONTROL.isdisjoint(head):
        return "application/octet-stream"
    try:
        # Incrementally, because the end of the head may cut a character in two.
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return "application/octet-stream"
    return "text/plain"


def size_of(file: BinaryIO) -> tuple[int, int]:
    """Return (width, height) of a JPEG or PNG, without EXIF rotation, or `UnreadableImageError`."""
    start = file.read(2)
    size = _jpeg_size(file) if start == b"\xff\xd8" else _png_size(file)
    if not all(size):
        raise UnreadableImageError("it has no size")
    return size


def _jpeg_size(file: BinaryIO) -> tuple[int, int]:
    """Read the segments up to the scan, which Pillow checks less than the service does."""
    size: tuple[int, int] | None = None
    marker = 0
    while marker != _START_OF_SCAN:
        if file.read(1) != b"\xff":
            raise UnreadableImageError("a segment does not begin where the one before it ends")
        marker = 0xFF
        while marker == 0xFF:
            marker = int.from_bytes(file.read(1), "big")
        length = int.from_bytes(file.read(2), "big")
        body = file.read(max(length - 2, 0))
        if length < 2 or len(body) < length - 2:
            raise UnreadableImageError("a segment of its header is cut off")
        if marker in _FRAMES:
            if len(body) < 6:
                raise UnreadableImageError("its frame header is cut off")
            size = int.from_bytes(body[3:5], "big"), int.from_bytes(body[1:3], "big")
    if size is None:
        raise UnreadableImageError("its scan comes before its size")
    return size


def _png_size(file: BinaryIO) -> tuple[int, int]:
    file.seek(0)
    try:
        # Not by `Image.open`, which warns of large images.
        with PngImageFile(file) as image:
            size = image.size
            image.verify()
    except (OSError, ValueError, SyntaxError, LookupError, EOFError, struct.error) as error:
        raise UnreadableImageError(f"it is no sound PNG: {error}") from None
    return size
