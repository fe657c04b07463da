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

from datagym_async._regular_files import READ_FLAGS, check_regular
from datagym_async._runs._decode import decode
from datagym_async._runs._disk import refusal
from datagym_async._threads import in_thread
from datagym_async._wire._messages import Body
from datagym_async.resources._bodies import file_body
from datagym_async.uploads._screening import HEAD_SIZE, WARN_BYTES, Sample, Screening
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
    from datagym_async.uploads._values import Readable, UploadItem
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


def next_portion(plan: Plan, waiting: list[Planned], screening: Screening = USUAL) -> list[Planned]:
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
    portion: list[Planned] = []
    weight, until = 0, monotonic() + PORTION_SECONDS
    for planned in waiting[: DECODERS if is_decoding else PORTION_ITEMS]:
        portion.append(read(planned, screening))
        body = planned.body
        if body is not None and body.data is not None:
            weight += body.size
        if weight >= PORTION_BYTES or monotonic() > until:
            break
    del waiting[: len(portion)]
    return _all_decoded(portion) if is_decoding else portion


def _all_decoded(portion: list[Planned]) -> list[Planned]:
    if not any(each.body for each in portion):
        return portion
    with ThreadPoolExecutor(DECODERS) as pool:
        return list(pool.map(_decoded, portion))


def _decoded(planned: Planned) -> Planned:
    body = planned.body
    if body is None:
        return planned
    if planned.source is not None:
        found = decode(as_stream(planned.source, body.size))
    else:
        found = decode(str(planned.item.content) if body.data is None else body.data)
    if found.reason:
        return planned.reject(found.reason)
    planned.warnings += found.warnings
    return planned


def read(planned: Planned, screening: Screening = USUAL) -> Planned:
    """Return a planned item with its body noted in it, or with the reason why it has none."""
    item, verdict, size = planned.item, planned.verdict, planned.size
    if item.url or (verdict and not verdict.is_clash):
        return planned
    if item.file is not None:
        _read_open_file(planned, item.file, screening)
    elif item.data is not None:
        sample = Sample(len(item.data), item.data[:HEAD_SIZE])
        _screen(planned, sample, item.data, screening)
    else:
        _read_file(planned, str(item.content), screening)
    if verdict:
        # It was read to find out whether it is an image at all, which is the better reason.
        planned.body = planned.source = None
        planned.is_awaited, planned.size = False, size
        if planned.verdict is None:
            planned.verdict = verdict
    return planned


def _read_open_file(planned: Planned, file: Readable, screening: Screening) -> None:
    if is_async(file):
        planned.is_awaited = True
        return
    try:
        size = size_of_open(file)
        head = read_open(file, SMALL + 1)
        if len(head) <= SMALL:
            _screen(planned, Sample(len(head), head[:HEAD_SIZE]), head, screening)
            return
        planned.size = size
        if reason := screening.of_sample(Sample(size or len(head), head[:HEAD_SIZE])):
            planned.reject(reason)
        else:
            _stream(planned, *body_of_open(file, head, size), screening)
    except Exception as error:  # the caller's own file may raise anything; its item is at fault
        planned.size = None
        planned.reject(_of_open_file(planned.item, error))


async def read_awaited(planned: Planned, screening: Screening = USUAL) -> Planned:
    """Return an item whose open file has to be awaited, with its body or a reason against it.

    Args:
        planned: What `read` gave.
        screening: How closely images are looked at.
    """
    file, planned.is_awaited = planned.item.file, False
    if file is None:
        return planned
    try:
        found = await spooled(file, SMALL)
        if isinstance(found, Spool):
            head = await in_thread(found.read_at, 0, HEAD_SIZE)
            planned.size = found.size
            if reason := screening.of_sample(Sample(found.size, head)):
                return planned.reject(reason)
            _stream(planned, body_of_spool(found), found, screening)
        else:
            _screen(planned, Sample(len(found), found[:HEAD_SIZE]), found, screening)
    except Exception as error:  # as above
        planned.size = None
        return planned.reject(_of_open_file(planned.item, error))
    return await in_thread(_decoded, planned) if screening.check == "decode" else planned


def _stream(planned: Planned, body: Body, source: ByteSource, screening: Screening) -> None:
    planned.size = body.size
    if screening.max_bytes is not None and body.size > screening.max_bytes:
        planned.reject(screening.of_sample(Sample(body.size, b"")))
        return
    planned.body, planned.source = body, source
    planned.warnings += screening.warnings(body.size)


def _of_open_file(item: UploadItem, error: Exception) -> str:
    words = str(error) if isinstance(error, UnreadableFileError) else f"cannot be read: {error}."
    return f"{item.source or item.name} {words}"


def _read_file(planned: Planned, path: str, screening: Screening) -> None:
    # Without a file object: each call of one lets go of the interpreter and has to get it back.
    try:
        file = os.open(path, READ_FLAGS)
        try:
            found = os.fstat(file)
            # What was a file when it was planned may be a pipe by now.
            check_regular(path, found.st_mode)
            size, whole = found.st_size, None
            if size <= SMALL and path.lower().endswith(_IMAGE_ENDINGS):
                # Likely an image: read whole before its first bytes have said so.
                whole = _read_whole(file, size)
                sample = Sample(size, whole[:HEAD_SIZE])
            else:
                sample = Sample(size, os.read(file, HEAD_SIZE))
                if size <= SMALL and not screening.of_sample(sample):
                    # From the start, head and all: to join two parts would copy the file.
                    os.lseek(file, 0, os.SEEK_SET)
                    whole = _read_whole(file, size)
        finally:
            os.close(file)
    except (OSError, ValueError) as error:
        planned.reject(refusal(path, error))
        return
    _screen(planned, sample, whole, screening)
    if planned.verdict is None and planned.mtime != found.st_mtime_ns:
        planned.is_changed, planned.mtime = True, found.st_mtime_ns


def _read_whole(file: int, size: int) -> bytes:
    # One byte more than there should be shows a file that grows.
    return os.read(file, size + 1)


def _screen(planned: Planned, sample: Sample, data: bytes | None, screening: Screening) -> None:
    """Note in an item what is to be sent of it, or what is against it.

    Args:
        planned: The item.
        sample: Its size and first bytes.
        data: All of it, or None where it is to be streamed from its file.
        screening: How closely images are looked at.
    """
    planned.is_changed = planned.size != sample.size
    planned.size = sample.size
    if reason := screening.of_sample(sample):
        planned.reject(reason)
        return
    if data is None:
        planned.body = file_body(str(planned.item.content), sample.size)
    elif len(data) != sample.size:
        change = "grew" if len(data) > sample.size else "shrank"
        planned.reject(f"{planned.item.source} {change} while it was read.")
        return
    elif reason := screening.of_whole(data):
        planned.reject(reason)
        return
    else:
        planned.body = Body.of_bytes(data)
    if sample.size > WARN_BYTES:
        planned.warnings += screening.warnings(sample.size)
