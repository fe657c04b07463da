"""Read files before they are sent, several small ones at once; blocking, to be called in a thread.

A small file is in memory before its request begins, so that a slow disk never blocks one of the
service's few database connections: in ours, or as pages of the system in a pipe (`Pipes`). A larger
one is only checked here, and streamed later. If a file is not an image, only its first bytes are
read.

**Preparing.** Foreign images are decoded in separate processes, several at once, because each
decoding takes a core, and because an image that crashes two of them fails without harm to the run.
They are plain subprocesses, not `multiprocessing`, which would run a script without a main guard
again in each of them. They end with their standard input, however the run has ended.
"""

from __future__ import annotations

import hashlib
import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from time import monotonic
from typing import Final

import attrs

from datagym_async._files import READ_FLAGS, TOO_MANY_OPEN, changed_at, check_regular
from datagym_async._printable import printable, words_of
from datagym_async._runs._disk import refusal
from datagym_async._runs._images import JPEG, Prepared, Steps, decode
from datagym_async._runs._stores import Stores, identity_of, is_stored
from datagym_async._threads import in_thread
from datagym_async._wire._messages import Body
from datagym_async._wire._pages import LEAST, MOST, Pages
from datagym_async.exceptions import DataGymError, StoreError
from datagym_async.resources._media import file_body
from datagym_async.uploads._screening import (
    HEAD_SIZE,
    IMAGE_ENDINGS,
    LEFT_ALONE,
    SMALL,
    WARN_BYTES,
    Screening,
    warnings_of,
)
from datagym_async.uploads._values import MEMBER, Outcome, Readable, is_readable, is_url
from datagym_async.uploads.plan._plan import Planned
from datagym_async.uploads.sources._archives import Archives, is_archive
from datagym_async.uploads.sources._open_files import (
    ByteSource,
    Spool,
    UnreadableFileError,
    as_stream,
    body_of,
    body_of_open,
    is_async,
    position_of,
    position_of_awaited,
    read_open,
    size_of_open,
    spooled,
)

PORTION_ITEMS = 128
PORTION_BYTES = 2 << 20
"""With less, the event loop waits for each thread call; with more, the first bytes would have left
the processor's cache before they are sent."""
PORTION_SECONDS = 0.02
"""Time after which a slow disk's portion is handed out as it is: nobody waits for the rest."""
LONG_HEAD = 4096
"""First bytes that are read of a larger one: they contain its EXIF orientation."""
LONGER_HEAD = 64 << 10  # with a small picture in its EXIF, and a profile of its colours
DECODERS = min(8, os.cpu_count() or 1)
"""Images decoded at once, where they are; also the items of a portion then."""
USUAL = Screening()


def next_portion(
    waiting: list[Planned],
    screening: Screening = USUAL,
    most: tuple[int, int] = (PORTION_ITEMS, PORTION_BYTES),
    archives: Archives | None = None,
) -> list[Planned]:
    """Take the next portion of the waiting items, and read it; it takes about `PORTION_SECONDS`.

    `most` are its items, and about how many bytes. The caller keeps `archives` between calls.
    """
    is_decoding = screening.check == "decode"
    portion: list[Planned] = []
    weight, until = 0, monotonic() + PORTION_SECONDS
    for planned in waiting[: DECODERS if is_decoding else most[0]]:
        portion.append(read(planned, screening, archives))
        body = planned.body
        if body is not None and body.is_at_hand:
            weight += body.size
        if weight >= most[1] or monotonic() > until:
            break
    del waiting[: len(portion)]
    if is_decoding and any(each.body for each in portion):
        with ThreadPoolExecutor(DECODERS) as pool:
            return list(pool.map(decoded, portion))
    return portion


def decoded(planned: Planned) -> Planned:
    """Return an item, rejected if its body cannot be decoded; blocks."""
    if (body := planned.body) is None:
        return planned
    if planned.source is not None:
        found = decode(as_stream(planned.source, body.size))
    else:
        found = decode(str(planned.item.content) if body.data is None else body.data)
    planned.warnings += found.warnings
    return planned.reject(found.reason) if found.reason else planned


def read(
    planned: Planned, screening: Screening = USUAL, archives: Archives | None = None
) -> Planned:
    """Return a planned item with its body, or with the reason why it has none.

    An object of a store, and an open file that has to be awaited, are only marked.
    """
    content, verdict, size = planned.item.content, planned.verdict, planned.size
    if verdict is not None and not verdict.is_clash:
        return planned
    if isinstance(content, str):
        is_path = content.startswith("/")  # at once, as nearly all are: no address
        if not is_path and is_url(content):
            return planned
        if MEMBER in content:
            _read_member(planned, content, screening, archives or Archives(Stores()))
        elif not is_path and is_stored(content):
            planned.is_stored = True
        else:
            _read_file(planned, content, screening)
    elif is_readable(planned.item.file):
        _read_open_file(planned, planned.item.file, screening)
    else:
        _screen(planned, len(content), content, content, screening)
    if verdict is not None:
        # It was read only to see whether it is an image, which gives a better reason.
        planned.body = planned.source = None
        planned.is_awaited = planned.is_stored = False
        planned.size = size
        planned.verdict = planned.verdict or verdict
    return _judged(planned, screening) if screening.ignore_others else planned


def _judged(planned: Planned, screening: Screening) -> Planned:
    """Return an item, skipped instead of rejected if it is not an image and those are ignored."""
    if planned.verdict is not None and screening.leaves_alone(planned.verdict.reason):
        planned.reject(LEFT_ALONE, Outcome.SKIPPED)
    return planned


def _read_open_file(planned: Planned, file: Readable, screening: Screening) -> None:
    if is_async(file):
        planned.is_awaited = True
        return
    start = 0
    try:
        start = position_of(file)
        size = size_of_open(file)
        head = read_open(file, SMALL + 1)
        if len(head) <= SMALL:
            _screen(planned, len(head), head, head, screening)
        else:
            _screen(planned, size, head, lambda: body_of_open(file, head, size), screening)
    except Exception as error:  # the caller's own file may raise anything; its item is at fault
        _reject_open_file(planned, error)
    _note_start(planned, start)


def _note_start(planned: Planned, start: int) -> None:
    """Say where an open file was read from if not its start: often a seek(0) was forgotten."""
    if start <= 0:
        return
    remark = (
        f"It was read from byte {start:,} on, the position of the open file (seek(0) rewinds it)."
    )
    if planned.verdict is not None and not planned.verdict.is_clash:
        planned.reject(f"{planned.verdict.reason} {remark}")
    else:
        planned.warnings += (remark,)


def _read_member(planned: Planned, address: str, screening: Screening, archives: Archives) -> None:
    try:
        member = archives.member(address)
        if planned.mtime is not None and planned.mtime != member.identity:
            planned.reject(f"{printable(address)} has changed since it was listed.")
            return
        with member.open() as file:
            head = read_open(file, SMALL + 1)
            if len(head) <= SMALL:
                _screen(planned, member.size, head, head, screening)
            elif (raw := member.raw) is not None:
                body = body_of(raw, member.size)
                _screen(planned, member.size, head, lambda: (body, raw), screening)
            else:
                unpacked = partial(body_of_open, file, head, None)
                _screen(planned, member.size, head, unpacked, screening)
        archives.stores.noted(None)
    except Exception as error:  # any error of a foreign archive is a verdict on its member
        _not_read(planned, address, error, archives.stores)


async def read_stored(planned: Planned, stores: Stores, screening: Screening = USUAL) -> Planned:
    """Return an item of `read` that is in a store, with its body or a reason against it.

    A small one that is likely an image is read in one request. Each answer must have the ETag that
    was listed. A store that fails again and again raises a `StoreError`.
    """
    address, planned.is_stored = str(planned.item.content), False
    size = planned.size or 0
    try:
        found, head, data = stores.at(address), b"", b""
        if size:
            is_likely = address.lower().endswith(IMAGE_ENDINGS) and size <= SMALL
            first = size if is_likely else HEAD_SIZE if size <= SMALL else LONG_HEAD
            head, meta = await found.read(0, first)
            known = {identity_of(meta), identity_of(meta, by_time=True)}  # as listings have it
            if planned.mtime not in known or meta["size"] != size:
                changed = f"{address}: it has changed since it was listed."
                raise StoreError(changed, trouble="changed")
            found, data = attrs.evolve(found, etag=meta["e_tag"]), head
        reason = screening.of_head(size, head)
        if not reason and len(head) < size <= SMALL:
            data, _ = await found.read(0, size)
        stores.noted(None)
        if reason:
            planned.reject(reason)
        elif size > SMALL:
            _screen(planned, size, head, lambda: (found.body(size), found), screening)
        else:
            _screen(planned, size, data, data, screening)
    except StoreError as error:
        _not_read(planned, address, error, stores)
    _judged(planned, screening)
    return await in_thread(decoded, planned) if screening.check == "decode" else planned


def _not_read(planned: Planned, address: str, error: Exception, stores: Stores) -> None:
    """Record why an object or member was not read; an error that may pass is not a verdict."""
    if isinstance(error, StoreError):
        stores.noted(error)
        if error.trouble == "passing":
            planned.reject(str(error), Outcome.FAILED)
            return
    planned.reject(why_unread(address, error))


def why_unread(address: str, error: Exception) -> str:
    """Return why an object or member cannot be read, as a sentence."""
    words = words_of(error)
    said = isinstance(error, DataGymError)
    return words if said else f"{printable(address)} cannot be read: {words.rstrip('.')}."


async def read_awaited(planned: Planned, screening: Screening = USUAL) -> Planned:
    """Return an item of `read` whose file has to be awaited, with its body or a reason."""
    file, planned.is_awaited = planned.item.file, False
    if not is_readable(file):
        return planned
    try:
        start = await position_of_awaited(file)
        found = await spooled(file, SMALL)
        if isinstance(found, Spool):
            head = await in_thread(found.read_at, 0, LONG_HEAD)
            opened = body_of(found, found.size), found
            _screen(planned, found.size, head, lambda: opened, screening)
        else:
            _screen(planned, len(found), found, found, screening)
    except Exception as error:  # as above
        return _reject_open_file(planned, error)
    _note_start(planned, start)
    _judged(planned, screening)
    return await in_thread(decoded, planned) if screening.check == "decode" else planned


def _reject_open_file(planned: Planned, error: Exception) -> Planned:
    words = words_of(error)
    if not isinstance(error, UnreadableFileError):
        words = f"cannot be read: {words.rstrip('.')}."
    planned.size = None
    return planned.reject(f"{planned.item.source or planned.item.name} {words}")


def _read_file(planned: Planned, path: str, screening: Screening) -> None:
    # Without a file object: each of its calls releases the interpreter lock and has to get it back.
    # The size of a regular file that its folder had, if nobody keeps its time.
    listed = None if planned.mtime is None or screening.keeps_times else planned.size
    size, head, whole, mtime, pages = listed or 0, b"", None, planned.mtime, None
    is_likely = path.lower().endswith(IMAGE_ENDINGS)
    try:
        file = os.open(path, READ_FLAGS)
        try:
            if listed is not None and is_likely and listed <= screening.small:
                pages = _in_pages(planned, file, listed, mtime, screening)
                if pages is None:
                    head = whole = _read_whole(file, listed)  # one call less than below
            if pages is None and (whole is None or len(whole) != listed):
                found = os.fstat(file)
                # A file may have become a pipe since it was planned.
                check_regular(path, found.st_mode)
                if whole is not None:
                    os.lseek(file, 0, os.SEEK_SET)
                size, whole, mtime = found.st_size, None, changed_at(found)
                if size <= screening.small and is_likely:
                    pages = _in_pages(planned, file, size, mtime, screening)
                    if pages is None:
                        # Read as a whole before its first bytes are checked.
                        head = whole = _read_whole(file, size)
                else:
                    head = os.read(file, HEAD_SIZE if size <= screening.small else LONG_HEAD)
                    if size <= screening.small and not screening.of_head(size, head):
                        # From the start, with the head: joining two parts would copy the file.
                        os.lseek(file, 0, os.SEEK_SET)
                        whole = _read_whole(file, size)
        finally:
            os.close(file)
    except (OSError, ValueError) as error:
        is_of_file = getattr(error, "errno", None) not in TOO_MANY_OPEN
        outcome = Outcome.REJECTED if is_of_file else Outcome.FAILED
        planned.reject(refusal(path, error), outcome)
        return
    if pages is not None:
        planned.body = file_body(path, size, pages)
        planned.is_changed, planned.size = planned.size != size, size
    else:
        content = whole if whole is not None else lambda: (file_body(path, size), None)
        _screen(planned, size, head, content, screening)
    if planned.verdict is not None and is_archive(path):
        planned.reject(
            f"{planned.verdict.reason} Its members are uploaded if it is named as a source."
        )
    if planned.verdict is None and planned.mtime != mtime:
        planned.is_changed, planned.mtime = True, mtime


def _in_pages(
    planned: Planned, file: int, size: int, mtime: int | None, screening: Screening
) -> Pages | None:
    """Return the bytes of an open JPEG that is sent without being read, or None.

    A PNG is checked to its end, so it is read.
    """
    pipes = screening.pipes
    if pipes is None or not pipes.are_possible or not LEAST <= size <= MOST:
        return None
    if mtime is None or planned.verdict is not None or screening.of_size(size):
        return None
    with suppress(OSError):  # it may have become something else; whoever reads it will say so
        for length in (LONG_HEAD, LONGER_HEAD):
            head = os.pread(file, length, 0)
            if not head.startswith(JPEG):
                break
            reason, planned.is_turned = screening.look(head)
            if not reason:
                return pipes.filled(file, size, str(planned.item.content), mtime)
    return None


def _read_whole(file: int, size: int) -> bytes:
    # One byte more than there should be shows a file that grows.
    return os.read(file, size + 1)


def _screen(
    planned: Planned,
    size: int | None,
    head: bytes,
    whole: bytes | Callable[[], tuple[Body, ByteSource | None]],
    screening: Screening,
) -> None:
    """Set the body of an item, or the reason against it; `whole` is a function for large ones."""
    planned.is_changed, planned.size = planned.size != size, size
    # A stream has one byte at least; how many there are is known once it is read to its end.
    if reason := screening.of_head(1 if size is None else size, head):
        planned.reject(reason)
        return
    if not isinstance(whole, bytes):
        body, planned.source = whole()
        planned.body, planned.size = body, body.size
        planned.is_turned = screening.look(head[:LONG_HEAD])[1]
        reason = screening.of_size(body.size)
    elif len(whole) != size:
        change = "grew" if len(whole) > (size or 0) else "shrank"
        planned.reject(f"{planned.item.source} {change} while it was read.")
        return
    else:
        planned.body = body = Body.of_bytes(whole)
        reason, planned.is_turned = screening.look(whole)
    if reason:
        planned.reject(reason)
    elif body.size > WARN_BYTES:
        planned.warnings += warnings_of(body.size)


PORTION: Final = (4 * DECODERS, 32 << 20)
"""Items and bytes prepared at a time: the more, the less often all wait for the slowest."""
_COMMAND: Final = "from datagym_async._runs._images import serve; serve()"


class Workers:
    """Processes that prepare images, one for each calling thread; started when they are needed."""

    def __init__(self, steps: Steps) -> None:
        self._steps = steps
        self._lock = threading.Lock()
        self._all: list[subprocess.Popen[bytes]] = []
        self._idle: list[subprocess.Popen[bytes]] = []
        self._is_open = True

    def prepare(self, source: bytes | str) -> Prepared:
        """Return what `prepare` does, from another process; blocks."""
        for _ in range(2):  # a process may be ended by somebody else
            try:
                worker = self._take()
            except OSError as error:
                reason = f"No process could be started to prepare the image: {error}."
                return Prepared(reason=reason, may_pass=True)
            if worker is None or worker.stdin is None or worker.stdout is None:
                reason = "The upload ended before the image was prepared."
                return Prepared(reason=reason, may_pass=True)
            try:
                pickle.dump((source, self._steps), worker.stdin)
                worker.stdin.flush()
                found: Prepared = pickle.load(worker.stdout)  # noqa: S301 -- our own process answers
            except (OSError, ValueError, EOFError, pickle.UnpicklingError):
                with self._lock:
                    if worker in self._all:
                        self._all.remove(worker)
                _end(worker)
                continue
            with self._lock:
                self._idle.append(worker)
            return found
        # Too little memory is not a fault of the image.
        reason = "The image cannot be prepared: two processes that decoded it crashed."
        return Prepared(reason=reason, may_pass=True)

    def _take(self) -> subprocess.Popen[bytes] | None:
        with self._lock:
            if not self._is_open:
                return None
            if self._idle:
                return self._idle.pop()
            # In a separate session: Ctrl-C is for the run.
            worker = subprocess.Popen(  # noqa: S603 -- our own interpreter
                [sys.executable, "-P", "-c", _COMMAND],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=_environment(),
                start_new_session=True,
            )
            self._all.append(worker)
            return worker

    def close(self) -> None:
        """End the processes at once, busy or not; closing twice is fine."""
        with self._lock:
            self._is_open = False
            ending, self._all = self._all, []
        for worker in ending:
            worker.kill()
        for worker in ending:
            _end(worker)


def _environment() -> dict[str, str]:
    """Return the environment of a worker: the same import path, and no token."""
    found = {name: value for name, value in os.environ.items() if name != "DATAGYM_TOKEN"}
    return found | {"PYTHONPATH": os.pathsep.join(each or os.getcwd() for each in sys.path)}  # noqa: PTH109 -- a text is wanted


def _end(worker: subprocess.Popen[bytes]) -> None:
    worker.kill()
    worker.wait()
    for pipe in (worker.stdin, worker.stdout):
        if pipe is not None:
            with suppress(OSError):  # data that was not written yet is dropped
                pipe.close()


class Preparer:
    """Prepare the images of a run; `rough` checks them before, because their sizes will change."""

    def __init__(self, steps: Steps, screening: Screening) -> None:
        self.workers = Workers(steps)
        self._screening = screening
        check = "structure" if screening.check == "decode" else screening.check
        self.rough: Screening = attrs.evolve(screening, max_bytes=None, check=check)

    def prepare(self, portion: Iterable[Planned]) -> list[tuple[int, bytes]]:
        """Prepare items that have a body; return number and new hash of those in memory; blocks."""
        ready = [each for each in portion if each.body is not None]
        if not ready:
            return []
        with ThreadPoolExecutor(DECODERS) as threads:
            found = list(threads.map(self._prepare, ready))
        return [
            (each.seq, sha)
            for each, sha in zip(ready, found, strict=True)
            if sha is not None and not isinstance(each.item.content, str)
        ]

    def _prepare(self, planned: Planned) -> bytes | None:
        body, source = planned.body, planned.source
        if body is None:
            return None
        if body.data is None and source is not None:
            given: bytes | str = as_stream(source, body.size).read()
        else:
            given = str(planned.item.content) if body.data is None else body.data
        found = self.workers.prepare(given)
        if found.reason:
            outcome = Outcome.FAILED if found.may_pass else Outcome.REJECTED
            planned.reject(found.reason, outcome)
            return None
        data, size = found.data, body.size
        if data is not None:
            size, planned.is_turned = len(data), False
            if size <= self._screening.small:
                planned.body, planned.source = Body.of_bytes(data), None
            else:
                spool = Spool()
                spool.write(data)
                planned.body, planned.source = body_of(spool, spool.size), spool
        if reason := self._screening.of_size(size):
            planned.reject(reason)
            return None
        if self._screening.check == "decode":
            decoded(planned)
        before = warnings_of(body.size)
        planned.warnings = tuple(each for each in planned.warnings if each not in before)
        planned.warnings += (*found.warnings, *warnings_of(size))
        planned.size = size
        sent = given if data is None else data
        return hashlib.sha256(sent).digest() if isinstance(sent, bytes) else None
