"""Read what is to be sent: several small files in one go; blocking, to be called in a thread.

A small file is in memory before its request begins, so that a slow disk never holds one of the
service's few database connections. A larger one is only looked at here, and streamed when its
turn comes. Of what turns out to be no image only the first bytes are read.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from time import monotonic
from typing import TYPE_CHECKING

import attrs

from datagym_async._regular_files import READ_FLAGS, check_regular
from datagym_async._runs._decode import decode
from datagym_async._runs._disk import refusal
from datagym_async._threads import in_thread
from datagym_async._wire._messages import Body
from datagym_async.resources._bodies import file_body
from datagym_async.uploads._screening import HEAD_SIZE, Sample, Screening
from datagym_async.uploads._values import Outcome, Readable, UploadItem
from datagym_async.uploads.plan._names import Verdict
from datagym_async.uploads.sources._open_files import (
    ByteSource,
    Spool,
    UnreadableFileError,
    as_stream,
    body_of_open,
    body_of_spool,
    is_async,
    read_open,
    size_of_open,
    spooled,
)

if TYPE_CHECKING:
    from datagym_async.uploads.plan._plan import Plan, Planned


SMALL = 4 << 20
"""Bytes up to which a file is read whole: most photographs. In chunks they take twice the CPU."""
PORTION_ITEMS = 128
PORTION_BYTES = 1 << 20
"""More would lie in the processor's cache no longer when its turn to be sent comes."""
PORTION_SECONDS = 0.02
"""Time after which a slow disk's portion goes on as it is: nothing is sent for want of it."""
_IMAGE_ENDINGS = (".jpg", ".jpeg", ".png")
DECODERS = min(8, os.cpu_count() or 1)
"""Images decoded at once, where they are; also the items of a portion then."""
USUAL = Screening()


@attrs.frozen
class Ready:
    """One item as it may be handed to a worker.

    Args:
        item: The item.
        size: Its bytes, where they are known.
        body: What to send; None for a link, and where the verdict is against sending.
        verdict: What is decided against sending, or None.
        warnings: What should be known of it whatever becomes of it.
        source: What the body's bytes come from, where that is no file of its own.
        is_awaited: Whether its open file is still to be read (`read_awaited`).
        mtime: When its file was changed, in nanoseconds, as it was read; None for what is no file.
    """

    item: UploadItem
    size: int | None = None
    body: Body | None = None
    verdict: Verdict | None = None
    warnings: tuple[str, ...] = ()
    source: ByteSource | None = None
    is_awaited: bool = False
    mtime: int | None = None


def next_portion(plan: Plan, waiting: list[Planned], screening: Screening = USUAL) -> list[Ready]:
    """Return the next items of the plan, read: as many as one portion bears.

    It has at most `PORTION_ITEMS` and about `PORTION_BYTES`, and takes about `PORTION_SECONDS`.

    Args:
        plan: The plan.
        waiting: Items taken from the plan and not read yet; kept by the caller between calls.
        screening: How closely images are looked at.
    """
    if not waiting:
        waiting.extend(plan.take(PORTION_ITEMS))
    is_decoding = screening.check == "decode"
    portion: list[Ready] = []
    weight, until = 0, monotonic() + PORTION_SECONDS
    for planned in waiting[: DECODERS if is_decoding else PORTION_ITEMS]:
        ready = read(planned, screening)
        portion.append(ready)
        weight += len(ready.body.data) if ready.body and ready.body.data else 0
        if weight >= PORTION_BYTES or monotonic() > until:
            break
    del waiting[: len(portion)]
    return _all_decoded(portion) if is_decoding else portion


def _all_decoded(portion: list[Ready]) -> list[Ready]:
    if not any(ready.body for ready in portion):
        return portion
    with ThreadPoolExecutor(DECODERS) as pool:
        return list(pool.map(_decoded, portion))


def _decoded(ready: Ready) -> Ready:
    if ready.body is None:
        return ready
    data = ready.body.data
    if ready.source is not None:
        found = decode(as_stream(ready.source, ready.body.size))
    else:
        found = decode(str(ready.item.content) if data is None else data)
    if found.reason:
        return _rejected(ready.item, ready.size, found.reason)
    return attrs.evolve(ready, warnings=ready.warnings + found.warnings)


def read(planned: Planned, screening: Screening = USUAL) -> Ready:
    """Return a planned item with its body, or with the reason why it has none."""
    item, verdict = planned.item, planned.verdict
    if item.url or (verdict and not verdict.is_clash):
        return Ready(item, planned.size, verdict=verdict)
    if item.file is not None:
        ready = _read_open_file(item, item.file, screening)
    elif item.data is not None:
        ready = _screened(item, Sample(len(item.data), item.data[:HEAD_SIZE]), item.data, screening)
    else:
        ready = _read_file(item, str(item.content), planned.size, screening)
    if planned.warnings:
        ready = attrs.evolve(ready, warnings=planned.warnings + ready.warnings)
    return Ready(item, planned.size, verdict=ready.verdict or verdict) if verdict else ready


def _read_open_file(item: UploadItem, file: Readable, screening: Screening) -> Ready:
    if is_async(file):
        return Ready(item, is_awaited=True)
    try:
        size = size_of_open(file)
        head = read_open(file, SMALL + 1)
        if len(head) <= SMALL:
            return _screened(item, Sample(len(head), head[:HEAD_SIZE]), head, screening)
        sample = Sample(size or len(head), head[:HEAD_SIZE])
        if reason := screening.of_sample(sample):
            return _rejected(item, size, reason)
        return _large(item, *body_of_open(file, head, size), screening)
    except Exception as error:  # the caller's own file may raise anything; its item is at fault
        return _rejected(item, None, _of_open_file(item, error))


async def read_awaited(ready: Ready, screening: Screening = USUAL) -> Ready:
    """Return an item whose open file has to be awaited, with its body or a reason against it.

    Args:
        ready: What `read` gave.
        screening: How closely images are looked at.
    """
    item = ready.item
    if item.file is None:
        return ready
    try:
        found = await spooled(item.file, SMALL)
        if isinstance(found, Spool):
            ready = _large(item, body_of_spool(found), found, screening)
            head = await in_thread(found.read_at, 0, HEAD_SIZE)
            if reason := screening.of_sample(Sample(found.size, head)):
                return _rejected(item, found.size, reason)
        else:
            ready = _screened(item, Sample(len(found), found[:HEAD_SIZE]), found, screening)
    except Exception as error:  # as above
        return _rejected(item, None, _of_open_file(item, error))
    return await in_thread(_decoded, ready) if screening.check == "decode" else ready


def _large(item: UploadItem, body: Body, source: ByteSource, screening: Screening) -> Ready:
    if screening.max_bytes is not None and body.size > screening.max_bytes:
        return _rejected(item, body.size, screening.of_sample(Sample(body.size, b"")))
    return Ready(item, body.size, body, warnings=screening.warnings(body.size), source=source)


def _of_open_file(item: UploadItem, error: Exception) -> str:
    words = str(error) if isinstance(error, UnreadableFileError) else f"cannot be read: {error}."
    return f"{item.source or item.name} {words}"


def _read_file(
    item: UploadItem, path: str, planned_size: int | None, screening: Screening
) -> Ready:
    # Without a file object: each call of one lets go of the interpreter and has to get it back.
    try:
        file = os.open(path, READ_FLAGS)
        try:
            return _read_descriptor(item, path, file, screening)
        finally:
            os.close(file)
    except (OSError, ValueError) as error:
        return _rejected(item, planned_size, refusal(path, error))


def _read_descriptor(item: UploadItem, path: str, file: int, screening: Screening) -> Ready:
    found = os.fstat(file)
    check_regular(path, found.st_mode)  # what was a file when it was planned may be a pipe by now
    size = found.st_size
    whole = _read_whole(file, size) if _is_likely(path, size) else None
    sample = Sample(size, os.read(file, HEAD_SIZE) if whole is None else whole[:HEAD_SIZE])
    if whole is None and size <= SMALL and not screening.of_sample(sample):
        # From the start, head and all: to join two parts would copy the file.
        os.lseek(file, 0, os.SEEK_SET)
        whole = _read_whole(file, size)
    return _screened(item, sample, whole, screening, mtime=found.st_mtime_ns)


def _read_whole(file: int, size: int) -> bytes:
    # One byte more than there should be shows a file that grows.
    return os.read(file, size + 1)


def _is_likely(path: str, size: int) -> bool:
    """Return whether a file is to be read whole before its first bytes have said what it is."""
    return size <= SMALL and path.lower().endswith(_IMAGE_ENDINGS)


def _screened(
    item: UploadItem,
    sample: Sample,
    data: bytes | None,
    screening: Screening,
    *,
    mtime: int | None = None,
) -> Ready:
    if reason := screening.of_sample(sample):
        return _rejected(item, sample.size, reason)
    warnings = screening.warnings(sample.size)
    if data is None:
        body = file_body(str(item.content), sample.size)
        return Ready(item, sample.size, body, warnings=warnings, mtime=mtime)
    if len(data) != sample.size:
        change = "grew" if len(data) > sample.size else "shrank"
        return _rejected(item, sample.size, f"{item.source} {change} while it was read.")
    if reason := screening.of_whole(data):
        return _rejected(item, sample.size, reason)
    return Ready(item, sample.size, Body.of_bytes(data), warnings=warnings, mtime=mtime)


def _rejected(item: UploadItem, size: int | None, reason: str) -> Ready:
    return Ready(item, size, verdict=Verdict(Outcome.REJECTED, reason))
