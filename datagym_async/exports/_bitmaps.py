"""Segmentation bitmaps of a project: in a folder, or one after another as arrays.

Bitmaps are found in the export of a project (or in its finished tasks), get a file in a folder for
their key (`placed`), and are fetched.
"""

from __future__ import annotations

import asyncio
import io
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import aclosing
from itertools import count
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, Self, TypeAlias
from urllib.parse import unquote_plus

import attrs

from datagym_async._checks import check_word
from datagym_async._extras import require_modules
from datagym_async._files import folded_name, numbered_file, safe_name, sweep, write_file
from datagym_async._printable import Shown, printable, tally, told
from datagym_async._runs._engine import Patience, check_reachable
from datagym_async._threads import in_thread
from datagym_async.exceptions import (
    APIError,
    APIResponseValidationError,
    ConfigurationError,
    DataGymError,
    FileWriteError,
    TransferError,
)
from datagym_async.models import EntryType
from datagym_async.models._names import IMAGE_SUFFIXES
from datagym_async.resources._base import for_each
from datagym_async.resources._labels import LabelsResource
from datagym_async.resources._tasks import FINISHED, TasksResource

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image


BitmapFormat: TypeAlias = Literal["png", "bmp"]
BitmapOutcome: TypeAlias = Literal["saved", "skipped", "failed"]
_URL: Final = re.compile(r"/export/bitmap/([^/?#]+)/([^/?#]+)")


@attrs.frozen
class Bitmap:
    """A bitmap of the service; the ids are UUIDs."""

    task_id: str
    key: str
    """Of the segmentation's entry."""
    media_id: str
    media_name: str
    """Decoded; not unique."""


@attrs.frozen
class BitmapResult:
    """What happened to one bitmap."""

    bitmap: Bitmap
    outcome: BitmapOutcome
    """``"skipped"`` if its file existed."""
    path: Path
    """Its file, whether it exists or not."""
    error: DataGymError | None = attrs.field(default=None, eq=False)
    """Why it failed."""

    def __str__(self) -> str:
        return told(self.outcome, str(self.path), str(self.error or ""))


@attrs.frozen(kw_only=True)
class BitmapReport(Shown):
    """The report on all bitmaps of a project."""

    folder: Path
    results: tuple[BitmapResult, ...] = attrs.field(default=(), repr=False)
    """One for each bitmap, in the order in which they finished."""
    complete: bool = True
    """Whether each bitmap has a result."""

    @property
    def counts(self) -> Counter[BitmapOutcome]:
        """Return the number of bitmaps by outcome."""
        return Counter(result.outcome for result in self.results)

    @property
    def failed(self) -> tuple[BitmapResult, ...]:
        """Return the results of bitmaps that could not be downloaded."""
        return tuple(result for result in self.results if result.outcome == "failed")

    @property
    def ok(self) -> bool:
        """Return whether all bitmaps are in the folder."""
        return self.complete and not self.failed

    def __str__(self) -> str:
        said = tally("bitmap", self.counts.items(), len(self.results))
        return printable(f"{said.rstrip('.')}; the folder is {self.folder}.")


def _named_by(url: str) -> tuple[str, str]:
    """Return the task and the key in a bitmap's URL."""
    if not (found := _URL.search(url)):
        raise APIResponseValidationError("The export contains an invalid URL of a bitmap.")
    return found[1], unquote_plus(found[2])


def placed(bitmaps: Sequence[Bitmap], suffix: str) -> Iterator[tuple[Bitmap, Path]]:
    """Give each bitmap its own file: a folder for its key, and the name of its media.

    Names do not depend on the order; if two of one key are equal, each gets the beginning of its
    task's id.
    """
    bare = Counter(folded_name(str(_path(each, suffix))) for each in bitmaps)
    taken: set[str] = set()
    for each in bitmaps:
        path = _path(each, suffix)
        if bare[folded_name(str(path))] > 1:
            path = _path(each, suffix, mark=f"-{each.task_id[:8]}")
        first, numbers = path, count(2)
        while folded_name(str(path)) in taken:
            path = first.with_name(numbered_file(first.name, next(numbers)))
        taken.add(folded_name(str(path)))
        yield each, path


def _path(bitmap: Bitmap, suffix: str, *, mark: str = "") -> Path:
    path = PurePosixPath(bitmap.media_name)
    stem = path.with_suffix("") if path.suffix.lower() in IMAGE_SUFFIXES else path
    name = safe_name(str(stem), suffix=f"{mark}.{suffix}")
    return Path(safe_name(bitmap.key)) / name


def check_format(wanted: str) -> None:
    """Refuse an unknown format, or one that needs Pillow without it."""
    check_word("format", wanted, "png", "bmp")
    if wanted == "png":
        require_modules("Writing PNG files", "images", "PIL", instead='use format="bmp"')


def save(content: bytes, path: Path, wanted: BitmapFormat) -> None:
    """Write a bitmap, if the service sent a complete one; no half of a file is ever visible."""
    if wanted == "png":
        target = io.BytesIO()
        _decoded(content).save(target, "PNG")
        content = target.getvalue()
    elif content[:2] != b"BM" or int.from_bytes(content[2:6], "little") != len(content):
        raise _broken()  # its header says how long it is
    write_file(path, content)


def to_array(content: bytes) -> NDArray[np.uint8]:
    """Return a bitmap as numbers, shape (height, width): 255 in the segment, 0 elsewhere."""
    import numpy as np  # here, so that only arrays need it

    return np.array(_decoded(content))


def _decoded(content: bytes) -> Image.Image:
    """Return a greyscale image; `PIL.Image.open` would try all formats, and warn of size."""
    from PIL import BmpImagePlugin, Image

    try:
        with BmpImagePlugin.BmpImageFile(io.BytesIO(content)) as image:
            limit, pixels = Image.MAX_IMAGE_PIXELS, image.width * image.height
            if limit is None or pixels <= 2 * limit:
                return image.convert("L")
    except Exception:  # any error of a hostile file
        raise _broken() from None
    raise APIResponseValidationError(
        f"The service sent a bitmap of {pixels:,} pixels, which Pillow refuses as a possible"
        f" attack ({2 * limit:,})."
    )


def _broken() -> APIResponseValidationError:
    return APIResponseValidationError("The service sent an incomplete bitmap; download it again.")


CONCURRENCY = 16
"""Bitmaps in flight at most; the client's limit of downloads counts as well."""


class BitmapSample(NamedTuple):
    """One bitmap as an array; can be unpacked: ``async for bitmap, array in stream``."""

    bitmap: Bitmap
    array: NDArray[np.uint8]
    """Shape (height, width), 255 in the segment, 0 elsewhere."""


@attrs.frozen
class BitmapSource:
    labels: LabelsResource
    tasks: TasksResource
    project_id: str
    keys: Sequence[str] | None = None  # of segmentations; None for what is segmented

    async def find(self) -> list[Bitmap]:
        """Return the bitmaps of finished tasks: segmented ones, or with keys also black ones."""
        if self.keys is None:
            async with aclosing(self.labels.iter_export(self.project_id)) as exported:
                return [
                    Bitmap(*_named_by(url), each.media_id, each.media_name)
                    async for each in exported
                    for url in each.segmentations
                ]
        found, wanted = [], list[str]()
        async with aclosing(self.tasks.iter(self.project_id, state=FINISHED)) as finished:
            async for task in finished:
                if not wanted:
                    entries = (await self.tasks.get(task.id)).label_config.entries
                    there = [
                        each.key for each in entries if each.type is EntryType.IMAGE_SEGMENTATION
                    ]
                    wanted = list(dict.fromkeys(key.lower() for key in self.keys))
                    if unknown := [key for key in wanted if key not in there]:
                        raise ConfigurationError(
                            f"The key {unknown[0]!r} is not that of an image segmentation of the"
                            f" project; it has {', '.join(map(repr, there)) or 'none'}."
                        )
                found += [Bitmap(task.id, key, task.media_id, task.media_name) for key in wanted]
        return found

    async def fetch(self, bitmap: Bitmap) -> bytes:
        return await self.labels.bitmap(bitmap.task_id, bitmap.key)


async def save_bitmaps(
    source: BitmapSource,
    target: Path,
    *,
    wanted: BitmapFormat,
    resume: bool,
    concurrency: int,
    on_result: Callable[[BitmapResult], None] | None,
) -> BitmapReport:
    check_format(wanted)
    results: list[BitmapResult] = []
    patience = Patience()

    async def settle(bitmap_and_file: tuple[Bitmap, Path]) -> None:
        bitmap, file = bitmap_and_file
        path = target / file
        if resume and await in_thread(path.is_file):  # only complete files have their names
            result = BitmapResult(bitmap, "skipped", path)
        else:
            try:
                await in_thread(save, await source.fetch(bitmap), path, wanted)
                result = BitmapResult(bitmap, "saved", path)
            except FileWriteError:
                raise
            except DataGymError as error:  # also of ids that cannot be part of a path
                check_reachable(error, patience)
                result = BitmapResult(bitmap, "failed", path, error)
            else:
                patience.in_a_row = 0
        results.append(result)
        if on_result is not None:
            on_result(result)

    try:
        await in_thread(sweep, target)
        found = await source.find()
        await for_each(placed(found, wanted), settle, concurrency=concurrency)
    except OSError as error:
        if isinstance(error, APIError):  # the service does not answer
            raise
        report = BitmapReport(folder=target, results=tuple(results), complete=False)
        words = FileWriteError.of(target, error)
        raise TransferError(f"The bitmaps stopped: {words}.", report=report) from error
    return BitmapReport(folder=target, results=tuple(results))


class BitmapStream:
    """The bitmaps of a project as arrays, loaded in advance.

    Use as ``async with client.bitmaps(project_id) as stream: async for sample in stream: ...``. The
    samples come in the order in which they arrive; an error of the service ends the iteration. At
    most `ahead` bitmaps are in flight, and as many wait.
    """

    def __init__(self, source: BitmapSource, *, ahead: int) -> None:
        self._source = source
        self._ahead = ahead
        self._queue: asyncio.Queue[BitmapSample | Exception | None] = asyncio.Queue(ahead)
        self._fetching: asyncio.Task[None] | None = None
        self._ended = False

    async def __aenter__(self) -> Self:
        way_out = 'use download_bitmaps(..., format="bmp")'
        what = "Making arrays of bitmaps"
        require_modules(what, "images,formats", "PIL", "numpy", instead=way_out)
        self._fetching = asyncio.create_task(self._fetch_all())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._ended = True
        if self._fetching is not None:
            self._fetching.cancel()
            await asyncio.wait([self._fetching])
        if self._queue.empty():  # another task may wait for the next one
            self._queue.put_nowait(None)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> BitmapSample:
        """Return the next sample.

        Raises:
            APIError: The service could not be reached, or refused a bitmap.
            ConfigurationError: The stream was not entered, or a key is unknown.
        """
        if self._ended:
            raise StopAsyncIteration
        if self._fetching is None:
            raise ConfigurationError("Open the stream first: `async with client.bitmaps(...)`.")
        found = await self._queue.get()
        if isinstance(found, BitmapSample):
            return found
        self._queue.put_nowait(None)  # for whoever asks again
        raise StopAsyncIteration if found is None else found

    async def _fetch_all(self) -> None:
        async def fetch(bitmap: Bitmap) -> None:
            content = await self._source.fetch(bitmap)
            await self._queue.put(BitmapSample(bitmap, await in_thread(to_array, content)))

        end: Exception | None = None
        try:
            await for_each(await self._source.find(), fetch, concurrency=self._ahead)
        except Exception as error:
            end = error  # raised where the stream is iterated
        await self._queue.put(end)
