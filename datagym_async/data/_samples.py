"""`Sample`, how it is made (downloaded or from the cache, decoded, labelled), and made ahead.

**Ahead.** The samples of an epoch are loaded ahead of their consumer by a fixed number of workers,
with limits. Free workers take samples in order, and only while loaded and loading samples stay
within the limits. So the sample that the consumer waits for began before those behind it, and the
limits cannot block it. Workers never fail: the error of a sample is its result, also one of the
caller's own functions that is no `Exception`, so errors reach only the consumer.

Decoding blocks and needs Pillow. Its rules:

**Arrays of bytes** (``dtype="uint8"``): RGB, height x width x 3. Of 16-bit values the upper 8 bits
are used, for gray and colours; gray is repeated, a palette becomes its colours, and transparency is
put on white.

**Arrays as stored** (``dtype="keep"``): gray is height x width, of 8 or 16 bits; gray with alpha
has 2 channels, colours have 3, with alpha 4; a palette becomes its colours.

16-bit colours are an error, because Pillow keeps 8 bits. CMYK becomes RGB in both.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import sys
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import attrs

from datagym_async._printable import Shown, logger
from datagym_async._runs._engine import Patience, is_fatal
from datagym_async._runs._images import UPRIGHT, orientation_of
from datagym_async._threads import OnlyCancelledByUs, all_ended, in_thread
from datagym_async.data._cache import DiskCache
from datagym_async.data._config import LoaderConfig
from datagym_async.data._listing import Listing, Media, PackedLabels
from datagym_async.data._order import Progress
from datagym_async.exceptions import ClientClosedError, NotFoundError
from datagym_async.labels import LabeledImage, LabeledTask, Point
from datagym_async.labels._geometry import moved, with_shapes
from datagym_async.models import DatasetMedia, MediaSourceType

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image

    Array: TypeAlias = NDArray[np.uint8] | NDArray[np.uint16]

L = TypeVar("L", bound=LabeledImage)

_log = logger(__name__)

_FIRST_ESTIMATE = 1 << 20
_FORGETTING = 1 / 64  # how fast smaller samples replace the size of the largest one
# Maximum lead over the slowest sample, in multiples of `prefetch`, if order does not matter.
_WINDOW = 4


@attrs.define  # a frozen one takes three times as long to make
class Loaded:
    """What happened to a sample: a value of about `weight` bytes, nothing to yield, or an error."""

    value: object = None
    weight: int = 0
    skipped: bool = False
    error: BaseException | None = None


@attrs.define
class Prefetcher:
    """Load samples for the consumer.

    It loads the pending samples of `progress` with a number of workers. The consumer may keep a
    batch before it marks it as done.
    """

    _load: Callable[[int], Awaitable[Loaded]]
    _progress: Progress
    _config: LoaderConfig
    _workers: int
    _pending: Iterator[int] = attrs.field(
        default=attrs.Factory(lambda self: self._progress.pending(), takes_self=True), init=False
    )
    _tasks: list[asyncio.Task[None]] = attrs.field(factory=list, init=False)
    _pins: contextlib.ExitStack = attrs.field(factory=contextlib.ExitStack, init=False)
    _idle: deque[asyncio.Future[None]] = attrs.field(factory=deque, init=False)
    _arrived: asyncio.Event = attrs.field(factory=asyncio.Event, init=False)
    # The numbers of samples in the order of delivery: in the order of the epoch they are queued
    # when they are taken, otherwise when they are loaded.
    _queue: deque[int] = attrs.field(factory=deque, init=False)
    _loaded: dict[int, Loaded] = attrs.field(factory=dict, init=False)
    _next: int | None = attrs.field(default=None, init=False)
    _outstanding: int = attrs.field(default=0, init=False)
    _weight: float = attrs.field(default=0.0, init=False)
    _estimate: float = attrs.field(default=_FIRST_ESTIMATE, init=False)
    clock: Callable[[], float] = attrs.field(
        factory=lambda: asyncio.get_running_loop().time, init=False
    )

    def start(self, pin: AbstractContextManager[object] | None) -> None:
        """Begin to load; `pin` lasts until this is closed."""
        if pin is not None:
            self._pins.enter_context(pin)
        self._next = next(self._pending, None)
        # A group would hold the task of who has begun, and with its error, if it was cancelled, the
        # loader, which then is never deleted.
        self._tasks += [asyncio.create_task(self._work()) for _ in range(self._workers)]

    @property
    def has_ready(self) -> bool:
        return bool(self._queue) and self._queue[0] in self._loaded

    def take(self) -> tuple[int, Loaded]:
        """Return the next sample's number and result; it must be ready."""
        number = self._queue.popleft()
        loaded = self._loaded.pop(number)
        self._outstanding -= 1
        self._weight -= loaded.weight
        self._wake()
        return number, loaded

    async def next(self) -> tuple[int, Loaded] | None:
        """Return the next number and result, None at the end. A cancellation loses nothing."""
        while not self.has_ready:
            if not self._tasks:
                raise ClientClosedError("The loader was closed while a sample was awaited.")
            if self._next is None and not self._outstanding:
                return None
            self._wake()  # samples that the consumer marked as done may have made room, too
            self._arrived.clear()
            await self._arrived.wait()
        return self.take()

    def abandon(self) -> None:
        """Cancel all tasks soon: for a finaliser, which may run in any thread."""
        if self._tasks:
            with contextlib.suppress(RuntimeError):  # the loop is closed, with all tasks
                self._tasks[0].get_loop().call_soon_threadsafe(self.stop)

    def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        self._pins.close()

    async def aclose(self) -> None:
        """Cancel all tasks and wait for their end; may be called again."""
        self.stop()
        if tasks := self._tasks:
            self._tasks = []
            self._arrived.set()  # for a consumer in another task
            await all_ended(tasks)

    # The workers' side.

    async def _work(self) -> None:
        while True:
            while (number := self._claimed()) is None:  # until there may be room
                self._idle.append(woken := asyncio.get_running_loop().create_future())
                await woken
            reserved = self._estimate
            try:
                with OnlyCancelledByUs():
                    loaded = await self._load(number)
            except asyncio.CancelledError:
                raise
            except BaseException as error:
                loaded = Loaded(error=error)
            # It counted as much as the largest recent sample; from now on its own size counts.
            self._weight += loaded.weight - reserved
            faded = self._estimate + (loaded.weight - self._estimate) * _FORGETTING
            self._estimate = max(loaded.weight, faded)
            self._loaded[number] = loaded
            if not self._config.ordered:
                self._queue.append(number)
            self._arrived.set()

    def _claimed(self) -> int | None:
        """Return the number of the next sample if there is room for it, or None."""
        number = self._next
        if number is None or not self._has_room(number):
            return None
        if self._config.ordered:
            self._queue.append(number)
        self._outstanding += 1
        self._weight += self._estimate
        self._next = next(self._pending, None)
        self._wake()  # there may be room for more than one
        return number

    def _has_room(self, number: int) -> bool:
        if not self._outstanding:
            return True
        config, weight = self._config, self._weight + self._estimate
        if self._outstanding >= config.prefetch or weight > config.prefetch_bytes:
            return False
        # If order does not matter: the maximum lead over the slowest sample.
        window = _WINDOW * config.prefetch + (config.batch_size or 1)
        return config.ordered or number < self._progress.passed + window

    def _wake(self) -> None:
        """Wake a worker if one is idle and there is room."""
        if not self._idle or self._next is None or not self._has_room(self._next):
            return
        while self._idle:
            woken = self._idle.popleft()
            if not woken.done():
                woken.set_result(None)
                return


def _shown(data: object) -> str:
    size = getattr(data, "shape", None) or getattr(data, "size", None)
    return f"<{type(data).__name__} {size if size is not None else weigh(data)}>"


@attrs.frozen
class Sample(Shown):
    """One media with its labels.

    Args:
        index: Its number in the dataset, whatever the shuffle: media are counted from 0 in the
            order of their ids.
        epoch: Number of the epoch, from 0.
        media: The media.
        data: Its bytes, a PIL image or an array, as `decode` says.
        labels: Its labels as exported; None where there are none, or no project was given.
        mode: How a decoded image is stored, in Pillow's words: ``"RGB"``, ``"L"`` for gray,
            ``"P"`` for a palette, ``"RGBA"``; with ``";16"`` at 16 bits a value. Else None.
        orientation: EXIF orientation of a decoded image as it is stored, 1 to 8, or None; 1 is
            upright, also if it has none. The service ignores it (observed).
    """

    index: int
    epoch: int
    media: DatasetMedia
    data: Any = attrs.field(repr=_shown, eq=False)
    labels: LabeledTask | None = None
    mode: str | None = None
    orientation: int | None = None


def weigh(value: object) -> int:
    """Return about how many bytes a value takes in memory."""
    if isinstance(value, bytes | bytearray):
        return len(value)
    if isinstance(value, Sample):
        return weigh(value.data)
    nbytes = getattr(value, "nbytes", None)  # arrays, tensors and views
    if isinstance(nbytes, int):
        return nbytes
    if isinstance(value, list | tuple):
        return sum(map(weigh, value))
    if isinstance(value, dict):
        return sum(map(weigh, value.values()))
    bands, size = getattr(value, "getbands", None), getattr(value, "size", None)
    if bands is not None and isinstance(size, tuple):  # a Pillow image
        width, height = size
        return int(width) * int(height) * len(bands())
    return sys.getsizeof(value)


@attrs.define
class SampleLoader:
    _media: Media
    listing: Listing
    _labels: PackedLabels | None
    _config: LoaderConfig
    _cache: DiskCache | None
    _transform: Callable[[Sample], object] | None
    _told: set[str] = attrs.field(factory=set, init=False)
    _patience: Patience = attrs.field(factory=Patience, init=False)
    _needs_thread: bool = attrs.field(init=False)  # more than a download is needed

    def __attrs_post_init__(self) -> None:
        is_plain = self._transform is None and self._config.decode == "bytes"
        self._needs_thread = self._cache is not None or not is_plain

    async def load(self, index: int, *, epoch: int) -> Loaded:
        """Return the result of a sample; only an error of `on_error` is raised."""
        media = self.listing[index]
        try:
            loaded = None
            if self._cache is not None:
                loaded = await in_thread(self._from_cache, self._cache, media, index, epoch)
            if loaded is None:
                is_link = media.source_type is MediaSourceType.SHAREABLE_LINK
                most = self._config.max_bytes
                data = await self._media.download(media.id, link=is_link, max_bytes=most)
                if self._needs_thread:
                    loaded = await in_thread(self._keep_and_make, media, index, epoch, data)
                else:
                    loaded = self._make(media, index, epoch, data)
        except Exception as error:
            return self._judge(media, error)
        self._patience.in_a_row = 0
        return loaded

    def _from_cache(
        self, cache: DiskCache, media: DatasetMedia, index: int, epoch: int
    ) -> Loaded | None:
        data = cache.get(media.id)
        if data is None or len(data) > self._config.max_bytes:  # the download says what is wrong
            return None
        return self._make(media, index, epoch, data)

    def _keep_and_make(self, media: DatasetMedia, index: int, epoch: int, data: bytes) -> Loaded:
        if self._cache is not None:
            self._cache.put(media.id, data)
        return self._make(media, index, epoch, data)

    def _make(self, media: DatasetMedia, index: int, epoch: int, data: bytes) -> Loaded:
        labels = None if self._labels is None else self._labels[index]
        if self._config.decode == "bytes":
            sample = Sample(index, epoch, media, data, labels)
        else:
            image = decoded(data, self._config)
            if image.loss and image.loss not in self._told:
                self._told.add(image.loss)
                text = '%s of media %s (%s); dtype="keep" keeps it if Pillow can. Shown once.'
                _log.warning(text, image.loss, media.id, media.name)
            if labels is not None and self._config.orientation == "apply":
                labels = turned(labels, image.orientation, image.size)
            shown = image.data, labels, image.mode, image.orientation
            sample = Sample(index, epoch, media, *shown)
        if self._transform is None:
            return Loaded(sample, weigh(sample.data))
        value = self._transform(sample)
        return Loaded(value, weigh(value))

    def _judge(self, media: DatasetMedia, error: Exception) -> Loaded:
        """Return the result of `on_error` for an error.

        An error that every other sample would get as well is always raised: a refused token, a
        closed client, a service that is gone. Otherwise a whole epoch would be skipped.
        """
        is_of_all = is_fatal(error) and not isinstance(error, NotFoundError)
        is_of_all |= self._patience.is_over(error)
        error.add_note(f"while media {media.id} ({media.name!r}) was loaded")
        on_error = self._config.on_error
        if on_error == "raise" or is_of_all:
            return Loaded(error=error)
        if isinstance(on_error, str):
            return Loaded(skipped=True)
        value = on_error(media, error)
        if value is not None:
            return Loaded(value, weigh(value))
        if self._config.even is None:
            return Loaded(skipped=True)
        error.add_note(f'on_error returned None; even="{self._config.even}" needs a replacement')
        return Loaded(error=error)


# Images, decoded by fixed rules, and rotated with their labels.

_PNG = b"\x89PNG"
_DEPTH_AT = 24  # where a PNG has the bits of a value
_WIDE = ";16"
_GRAY = frozenset({"1", "L", "LA", "La"})


@attrs.frozen
class Decoded:
    """An image as requested, and how it is stored (see `Sample`)."""

    data: Any  # a Pillow image, or an array
    loss: str  # what an array has lost of it, as text
    mode: str
    orientation: int
    size: tuple[int, int]  # width and height as stored


def decoded(content: bytes, config: LoaderConfig) -> Decoded:
    """Return a JPEG or PNG as `decode` says; raises the error of Pillow for a bad one."""
    from PIL import Image, ImageOps

    is_wide = content.startswith(_PNG) and content[_DEPTH_AT : _DEPTH_AT + 1] == b"\x10"
    with Image.open(io.BytesIO(content), formats=("JPEG", "PNG")) as image:
        image.load()
        mode, size, orientation = image.mode, image.size, orientation_of(image)
        if is_wide:
            mode = mode.partition(";")[0] + _WIDE
        is_turned = config.orientation == "apply" and orientation != UPRIGHT
        shown = ImageOps.exif_transpose(image) if is_turned else image
        if config.decode == "pillow":
            return Decoded(shown, "", mode, orientation, size)
        data, loss = _array(shown, mode, keep=config.dtype == "keep")
        return Decoded(data, loss, mode, orientation, size)


def _array(image: Image, mode: str, *, keep: bool) -> tuple[Array, str]:
    """Return an image as an array, and what was lost, as text."""
    import numpy as np
    from PIL import Image

    loss = "The array keeps only the upper 8 of the 16 bits" if mode.endswith(_WIDE) else ""
    if mode == "I" + _WIDE:
        gray = np.asarray(image).astype(np.uint16)
        return (gray, "") if keep else (np.stack([(gray >> 8).astype(np.uint8)] * 3, -1), loss)
    if keep and loss:
        raise ValueError(
            "Its colours or its alpha have 16 bits a value, of which Pillow keeps 8; load with "
            'dtype="uint8", or with decode="bytes" and a decoder of your own'
        )
    has_alpha = image.has_transparency_data
    if keep:
        form = ("L" if image.mode in _GRAY else "RGB") + ("A" if has_alpha else "")
        return np.array(image.convert(form), dtype=np.uint8), ""
    if has_alpha:
        image = image.convert("RGBA")
        if image.getchannel("A").getextrema() != (255, 255):
            loss = loss or "The array shows the transparency on white"
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return np.array(image.convert("RGB"), dtype=np.uint8), loss


def turned(task: L, orientation: int, size: tuple[int, int]) -> L:
    """Return labels of a stored image as labels of the image rotated by its EXIF orientation.

    Bitmaps stay as they are: the labels have only their addresses. So do incomplete shapes, which
    have no coordinates. `size` is width and height of the stored image.
    """
    width, height = size
    turn: dict[int, Callable[[float, float], Point]] = {
        2: lambda x, y: Point(width - x, y),
        3: lambda x, y: Point(width - x, height - y),
        4: lambda x, y: Point(x, height - y),
        5: lambda x, y: Point(y, x),
        6: lambda x, y: Point(height - y, x),
        7: lambda x, y: Point(height - y, width - x),
        8: lambda x, y: Point(y, width - x),
    }
    if orientation not in turn:
        return task
    move = turn[orientation]
    shown = (task.width, task.height) if orientation < 5 else (task.height, task.width)
    sized = attrs.evolve(task, width=shown[0], height=shown[1])
    return with_shapes(sized, lambda it: [moved(it.shape, move)])
