"""Open files as items: read when their turn comes, rewound for each attempt, closed by no one."""

from __future__ import annotations

import asyncio
import io
from pathlib import Path
from typing import Any

import pytest

from datagym_async.exceptions import ConfigurationError
from datagym_async.uploads import UploadItem
from datagym_async.uploads import _reading as reading
from datagym_async.uploads.plan import Planned
from datagym_async.uploads.sources import Rules, Screening, Spool, Stream, leaves, size_of_open
from tests.helpers.photos import SOUND_JPEG, half_jpeg, jpeg

SMALL = SOUND_JPEG + b"s" * 1000
LARGE = SOUND_JPEG + bytes(range(256)) * 20_000  # more than is kept in memory


class Pipe:
    """What cannot be rewound, in odd portions."""

    def __init__(self, data: bytes, portion: int = 7001) -> None:
        self.data = data
        self.portion = portion

    def read(self, size: int) -> bytes:
        count = min(size, self.portion)
        taken, self.data = self.data[:count], self.data[count:]
        return taken


class Awaited(Pipe):
    """What has to be awaited."""

    async def read(self, size: int) -> bytes:  # type: ignore[override]  # that is the point
        await asyncio.sleep(0)
        return super().read(size)


class Broken(Pipe):
    """What fails in the middle."""

    def read(self, size: int) -> bytes:
        if len(self.data) < 2_000_000:
            raise RuntimeError("the camera was unplugged")
        return super().read(size)


def closed() -> io.BytesIO:
    """Return a file that was closed too early."""
    (file := io.BytesIO(LARGE)).close()
    return file


async def read(file: Any, screening: Screening | None = None) -> Planned:
    """Read an item as the feeder does."""
    screening = screening or Screening()
    planned = Planned(UploadItem("a.jpg", file))
    ready = await asyncio.to_thread(reading.read, planned, screening)
    return await reading.read_awaited(ready, screening) if ready.is_awaited else ready


async def sent(ready: Planned) -> bytes:
    """Return what one attempt sends."""
    assert ready.body is not None
    if ready.body.open is None:
        return ready.body.data or b""
    async with ready.body.open() as chunks:
        data = b"".join([chunk async for chunk in chunks])
    assert len(data) == ready.body.size
    return data


@pytest.mark.parametrize("data", [SMALL, LARGE], ids=["small", "large"])
@pytest.mark.parametrize("kind", [io.BytesIO, Pipe, Awaited])
async def test_each_attempt_sends_all_of_it(kind: type[io.BytesIO | Pipe], data: bytes) -> None:
    """Whatever the file can do, and however often it is sent."""
    ready = await read(kind(data))

    assert ready.verdict is None
    assert ready.size == len(data)
    assert [await sent(ready), await sent(ready)] == [data, data]


async def test_it_is_read_from_where_it_stands() -> None:
    """Somebody may have read a header of their own."""
    file = io.BytesIO(b"header" + LARGE)
    file.seek(6)

    ready = await read(file)

    assert await sent(ready) == LARGE
    assert not file.closed


STOOD = "It was read from byte 6 on, the position of the open file (seek(0) rewinds it)."


class AwaitedAtSix(Awaited):
    """What has to be awaited, its place as well."""

    async def tell(self) -> int:
        return 6


def at_six(data: bytes) -> io.BytesIO:
    """Return a file of which six bytes were read."""
    file = io.BytesIO(b"header" + data)
    file.seek(6)
    return file


@pytest.mark.parametrize("data", [SMALL, LARGE], ids=["small", "large"])
@pytest.mark.parametrize("kind", [at_six, AwaitedAtSix])
async def test_where_it_stood_is_told(kind: type[Any], data: bytes) -> None:
    """A warning beside an image that is sent, and a part of the reason where none is found."""
    ready, refused = await read(kind(data)), await read(kind(b"no image" * 10))

    assert (ready.verdict, ready.warnings) == (None, (STOOD,))
    assert await sent(ready) == data
    assert refused.verdict is not None
    assert refused.verdict.reason.endswith(f"it looks like text. {STOOD}")


async def test_a_file_at_its_end_is_told() -> None:
    """The usual slip: written to, and not rewound. At its start, nothing is said."""
    written = io.BytesIO()
    written.write(SMALL)

    at_end, at_start = await read(written), await read(io.BytesIO(SMALL))

    assert at_end.verdict is not None
    assert at_end.verdict.reason.startswith("The file is empty. It was read from byte 1,025 on")
    assert at_start.warnings == ()


async def test_a_file_on_disk_has_a_name_and_a_size(tmp_path: Path) -> None:
    """An open file is a source by itself, where it has a name, and is not closed."""
    path = tmp_path / "photo.jpg"
    path.write_bytes(LARGE)
    with path.open("rb") as file:
        ((candidate,),) = [leaf for leaf in leaves(file, Rules()) if not isinstance(leaf, Stream)]
        assert (candidate.item.name, candidate.size) == ("photo.jpg", len(LARGE))
        assert await sent(await read(file)) == LARGE
        assert not file.closed


@pytest.mark.parametrize(
    ("file", "words"),
    [
        (io.StringIO("text"), 'gives text instead of bytes; open it in binary mode ("rb").'),
        (io.BytesIO(b""), "The file is empty."),
        (Pipe(b"no image" * 10), "Not a JPEG or PNG image: it looks like text."),
        (Awaited(b"no image" * 10), "Not a JPEG or PNG image: it looks like text."),
        (Awaited(b"no image" * 600_000), "Not a JPEG or PNG image: it looks like text."),
        (Pipe(b"no image" * 600_000), "Not a JPEG or PNG image: it looks like text."),
        (Broken(LARGE), "an open file cannot be read: the camera was unplugged."),
        (closed(), "an open file cannot be read: I/O operation on closed file."),
        (Awaited(SOUND_JPEG[:9]), "it is cut off in its header."),
    ],
)
async def test_what_cannot_be_sent_is_rejected(file: Any, words: str) -> None:
    """A bad file is its own item's fault, whatever it raises."""
    ready = await read(file)

    assert ready.body is None
    assert ready.verdict is not None
    assert words in ready.verdict.reason
    assert not ready.verdict.reason.endswith("..")


@pytest.mark.parametrize("kind", [io.BytesIO, Pipe, Awaited])
async def test_limits_and_decoding_hold_for_open_files(kind: type[io.BytesIO | Pipe]) -> None:
    """Whether a file has a path makes no difference to what is found in it."""
    whole, half = jpeg(5_000_000), half_jpeg(5_000_000)
    decoding = Screening("decode")

    async def decoded(data: bytes) -> Planned:
        ready = await read(kind(data), decoding)
        return ready if kind is Awaited else await asyncio.to_thread(reading.decoded, ready)

    too_large = await read(kind(LARGE), Screening(max_bytes=2_000_000))

    assert too_large.verdict is not None
    assert "5,120,025 bytes, more than max_bytes (2,000,000)" in too_large.verdict.reason
    assert await sent(await decoded(whole)) == whole
    verdict = (await decoded(half)).verdict
    assert verdict is not None
    assert "cannot be decoded" in verdict.reason


def test_an_open_file_without_a_path_needs_a_name() -> None:
    """As bytes do."""
    with pytest.raises(ConfigurationError, match="an open file without a path needs a name"):
        UploadItem(None, io.BytesIO(SMALL))
    (leaf,) = leaves(io.BytesIO(SMALL), Rules())
    assert not isinstance(leaf, Stream)
    assert "needs a name" in next(iter(leaf)).refusal


def test_what_a_report_keeps_holds_no_file() -> None:
    """A report outlives the files."""
    kept = UploadItem("a.jpg", io.BytesIO(SMALL), origin="camera 1").without_data()

    assert (kept.file, kept.name, kept.source) == (None, "a.jpg", "camera 1")


def test_only_what_can_be_rewound_has_a_size() -> None:
    """A pipe is measured by reading it."""
    assert (size_of_open(io.BytesIO(SMALL)), size_of_open(Pipe(SMALL))) == (len(SMALL), None)


def test_a_temporary_file_is_gone_with_its_last_holder() -> None:
    """Nobody has to close it; the watch on descriptors would tell."""
    spool = Spool()
    spool.write(b"12345")

    assert spool.read_at(2, 10) == b"345"
