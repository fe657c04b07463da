"""Find out what was stored: uploads with lost answers by a listing, sent bytes by comparison.

**Lost answers.** `SharedListing` does so within a run, for all uploads that wait when a listing
begins: a hundred lost answers cost one or two listings. `Settler` does so at its beginning and its
end.

**Verification** compares stored images with the sent ones, byte for byte: some images of a run, or
all. The service returns uploaded files unchanged (observed), so equal hashes prove an upload. Links
are left out: the service fetches and re-encodes them at each request, and a failed request marks
them invalid and skips their tasks (observed).
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import random
import sqlite3
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Collection, Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import TypeAlias

import attrs

from datagym_async._files import regular_only
from datagym_async._printable import logger, printable
from datagym_async._runs._disk import refusal
from datagym_async._runs._engine import MediaUploads
from datagym_async._runs._images import Steps
from datagym_async._runs._stores import RANGE, Stores, is_stored
from datagym_async._threads import in_thread
from datagym_async.exceptions import APIError, DataGymError
from datagym_async.models import DatasetMedia
from datagym_async.models._names import fold_written
from datagym_async.resources._base import for_each
from datagym_async.uploads._reading import Workers, why_unread
from datagym_async.uploads._screening import LEFT_ALONE
from datagym_async.uploads._tally import Tally
from datagym_async.uploads._target import Target
from datagym_async.uploads._values import MEMBER, Double, Mismatch, UploadResult
from datagym_async.uploads.plan._plan import Plan
from datagym_async.uploads.plan._rows import text
from datagym_async.uploads.plan._tables import stated
from datagym_async.uploads.sources._archives import Archives

_log = logger(__name__)

Search: TypeAlias = Callable[[Collection[str]], Awaitable[dict[str, DatasetMedia]]]
"""Gives the media of names as they are stored, folded."""

PORTION = 500  # items settled in one thread call


class SharedListing:
    """Look names up, many with one listing."""

    def __init__(self, search: Search, settle_after: Callable[[], float]) -> None:
        self._search = search
        self._settle_after = settle_after  # seconds before a lost upload is looked up
        self._wanted: Counter[str] = Counter()
        self._begun = 0
        self._found: dict[str, DatasetMedia] | APIError | None = None
        self._listing = asyncio.Lock()

    @property
    def was_used(self) -> bool:
        return self._begun > 0

    async def find(self, name: str) -> DatasetMedia | None:
        """Return the media of an unencoded name, by a listing that begins after this call, or None.

        If a listing fails, all calls that wait for it get its `APIError`.
        """
        wanted = fold_written(name)
        before = self._begun
        self._wanted[wanted] += 1
        try:
            async with self._listing:
                if self._begun == before or self._found is None:
                    await self._list()
                found = self._found
        finally:
            self._wanted -= Counter((wanted,))
        if isinstance(found, APIError):
            raise found
        return found.get(wanted) if found else None

    async def _list(self) -> None:
        # Uploads that lost their answers together call this one after the other: wait for them.
        await asyncio.sleep(min(1.0, self._settle_after() / 4))
        self._begun += 1
        self._found = None  # after a cancellation in between, the next caller that waits does it
        wanted = frozenset(self._wanted)
        try:
            self._found = await self._search(wanted)
        except APIError as error:
            self._found = error


@attrs.define
class Settler:
    """Settle at the beginning and the end of a run the items that were not settled within a run."""

    _plan: Plan
    _media: MediaUploads  # knows how long a lost upload may take; compares and deletes doubles
    _target: Target
    _tally: Tally
    _give_out: Callable[[int, UploadResult], Awaitable[None]]
    _removes_doubles: bool
    _had_lost: bool = attrs.field(default=False, init=False)

    async def at_start(self) -> None:
        """Settle what earlier runs left in `SENDING`; what is not listed is sent again."""
        outcomes = self._plan.outcomes
        if not await in_thread(outcomes.lost_count, earlier=True):
            return
        self._had_lost = True
        wait = await in_thread(outcomes.seconds_to_settle, self._media.settle_after())
        if wait > 0:  # the last run was alive a moment ago: this run's first listing is too early
            await asyncio.sleep(wait)
            await self._target.list_again(self._plan.listed)
        while left := await in_thread(outcomes.settle_lost, PORTION, listed=True, earlier=True):
            for seq, result in left:
                if result.item.content:
                    self._tally.unsettled -= 1
                    await self._give_out(seq, result)
                else:  # its bytes are gone; it counts when the sources yield it again
                    outcomes.note(seq, result)
        self._tally.unsettled -= await in_thread(outcomes.send_again)

    async def at_end(self, *, any_lost: bool) -> None:
        """Settle what this run lost; if any answer was lost, confirm all uploads by one listing.

        If the target cannot be listed (`APIError`), these items stay unsettled, as do those of
        earlier runs if this one was stopped before its start was over.
        """
        outcomes = self._plan.outcomes
        lost = await in_thread(outcomes.lost_count)
        if not (lost or any_lost or self._had_lost):
            return
        if lost:
            await asyncio.sleep(self._media.settle_after())
        await self._target.list_again(self._plan.listed)
        # Items in the listing are uploaded; for the rest, the lost answer is the result.
        for listed in (True, False):
            while left := await in_thread(outcomes.settle_lost, PORTION, listed=listed):
                for seq, result in left:
                    self._tally.unsettled -= 1
                    await self._give_out(seq, result)
        await in_thread(outcomes.flush)
        any_removed = False
        for double in await in_thread(outcomes.doubles):
            removed = await self._remove(double) if self._removes_doubles else ()
            self._tally.doubles.append(attrs.evolve(double, removed=removed))
            any_removed = any_removed or bool(removed)
        if any_removed:
            # Another run at the same time may have removed our copies as extras of its own.
            await self._target.list_again(self._plan.listed)
        # The listing also decides about uploads that were answered.
        while left := await in_thread(outcomes.vanished, PORTION):
            for seq, result in left:
                gone = attrs.evolve(result, reason=_VANISHED)
                self._tally.vanished(gone)
                outcomes.note(seq, gone)
            await in_thread(outcomes.flush)

    async def _remove(self, double: Double) -> tuple[str, ...]:
        """Delete the extra copies and return their ids; images with other bytes are not copies."""
        removed: list[str] = []
        try:
            kept = await media_digest(self._media.stream, double.kept)
            for extra in double.extras:
                if await media_digest(self._media.stream, extra) == kept:
                    await self._media.delete(extra)
                    removed.append(extra)
        except APIError as error:
            _log.warning("An extra copy of '%s' could not be removed: %s", double.name, error)
        return tuple(removed)


_VANISHED = (
    "It was uploaded, but the dataset did not list it at the end of the run: somebody deleted it, "
    "or the service lost it. The same upload again sends it."
)


WORKERS = 8  # comparisons at once; the client's limit of downloads counts as well
PAGE = 200  # images looked up in one thread call

MediaStream: TypeAlias = Callable[[str], AbstractAsyncContextManager[AsyncIterator[bytes]]]
"""Gives the bytes of an image in pieces, by its id: ``MediaResource.stream``."""


@attrs.frozen
class Stored:
    """One stored image, and what it should be."""

    name: str
    dataset_id: str
    media_id: str  # empty where it is not known, which cannot be compared
    path: str | None = None  # the file that it was sent from
    sha256: bytes | None = None  # of the bytes that it was sent from, where there is no file
    is_prepared: bool = False  # whether that is the hash of the prepared image
    data: bytes | None = None  # the content of the path, if that is a member of an archive
    problem: str = ""  # why that could not be read


async def verify(
    stream: MediaStream,
    images: AsyncIterator[Stored],
    tally: Tally,
    steps: Steps | None = None,
    stores: Stores | None = None,
) -> None:
    """Download images, a few at a time, and count in `tally` which are equal.

    An image or a file that cannot be read is a mismatch, not an error. Files are prepared again, if
    images are; then images that were in memory in an earlier run are left out.
    """
    workers = None if steps is None else Workers(steps)

    async def compare(image: Stored) -> None:
        if workers is not None and image.path is None and not image.is_prepared:
            return
        try:
            reason = await _difference(stream, image, workers, stores or Stores())
        except APIError as error:
            reason = f"It could not be downloaded for the comparison: {error}"
        except OSError as error:
            is_said = isinstance(error, DataGymError)
            reason = str(error) if is_said else refusal(image.path or image.name, error)
        mismatch = Mismatch(
            name=printable(image.name),
            source=printable(image.path or ""),
            dataset_id=image.dataset_id,
            media_id=image.media_id,
            reason=reason,
        )
        tally.verified(mismatch if reason else None)

    try:
        await for_each(images, compare, concurrency=WORKERS)
    finally:
        if workers is not None:
            await in_thread(workers.close)


async def _difference(
    stream: MediaStream, image: Stored, workers: Workers | None, stores: Stores
) -> str:
    if image.problem:
        return image.problem
    if not image.media_id:
        return "The dataset does not list it."
    expected, size = image.sha256, None
    if image.path is not None:
        given, expected, size = await _given(image, stores, whole=workers is not None)
        made = None if workers is None else await in_thread(workers.prepare, given)
        if made is not None and made.reason:
            return made.reason
        if made is not None and made.data is not None:
            expected, size = hashlib.sha256(made.data).digest(), len(made.data)
    if expected is None:
        return "Its bytes were in memory and are no longer available for the comparison."
    held, held_size = await media_digest(stream, image.media_id)
    if held == expected:
        return ""
    sizes = f" ({held_size:,} bytes against {size:,})" if size not in {None, held_size} else ""
    what = "the file" if image.path is not None else "what was sent"
    return f"The dataset holds other bytes than {what}{sizes}."


async def media_digest(stream: MediaStream, media_id: str) -> tuple[bytes, int]:
    """Return the SHA-256 of a stored image, and its size in bytes."""
    digest, size = hashlib.sha256(), 0
    async with stream(media_id) as chunks:
        async for chunk in chunks:
            digest.update(chunk)
            size += len(chunk)
    return digest.digest(), size


async def _given(image: Stored, stores: Stores, *, whole: bool) -> tuple[bytes | str, bytes, int]:
    """Return the source of an image, its hash and size; with `whole`, objects as bytes."""
    path = image.path or ""
    if image.data is not None:
        return image.data, hashlib.sha256(image.data).digest(), len(image.data)
    if not is_stored(path):
        return path, *await in_thread(_digest_of_file, path)
    found, digest, size, kept = stores.at(path), hashlib.sha256(), 0, []
    meta = await in_thread(stores.head, found.at)
    found = attrs.evolve(found, etag=meta["e_tag"])
    while size < meta["size"]:
        data, _ = await found.read(size, RANGE)
        digest.update(data)
        size += len(data)
        kept += [data] if whole else []
    return b"".join(kept), digest.digest(), size


def _with_member(image: Stored, archives: Archives) -> Stored:
    """Return an image with the bytes of the member that it was sent from."""
    try:
        with (member := archives.member(image.path or "")).open() as file:
            return attrs.evolve(image, data=file.read(member.size))
    except Exception as error:  # any error of a foreign archive
        return attrs.evolve(image, problem=why_unread(image.path or "", error))


def _digest_of_file(path: str) -> tuple[bytes, int]:
    with open(path, "rb", opener=regular_only) as file:
        digest = hashlib.file_digest(file, "sha256").digest()
        return digest, os.fstat(file.fileno()).st_size


# A journal also has items whose files earlier runs had, and this one has not.
_OF_THIS_RUN = "(seq > ? OR EXISTS (SELECT 1 FROM seen WHERE seen.seq = item.seq))"
_SEQS = stated(f"""SELECT seq FROM item
WHERE state = $UPLOADED AND link_key IS NULL AND {_OF_THIS_RUN} ORDER BY seq""")  # noqa: S608 -- our own text
# One that was uploaded knows its image; one that was skipped is found by its name.
_IMAGES = """
SELECT item.name, item.content, coalesce(sent.sha, item.sha), sent.seq IS NOT NULL,
       coalesce(item.media_id, listed.media_id, ''),
       coalesce(item.dataset_id, listed.dataset_id, '')
FROM item LEFT JOIN sent USING (seq)
LEFT JOIN listed ON listed.key = name_key AND item.media_id IS NULL AND NOT is_link
WHERE item.seq IN ({}) GROUP BY item.seq ORDER BY item.seq
"""
# Without items left out as equal to another one: nothing has their names, or something else has.
_PAGE = stated(f"""
SELECT seq FROM item WHERE seq > ? AND {_OF_THIS_RUN}
AND link_key IS NULL AND state IN ($UPLOADED, $SKIPPED) AND reason IS NOT ?
AND NOT EXISTS (SELECT 1 FROM claimed JOIN item AS holder USING (seq)
    WHERE claimed.key = item.name_key AND holder.seq <> item.seq
    AND (holder.link_key IS NOT NULL OR holder.sha <> item.sha))
AND NOT (state = $SKIPPED AND sha IN (SELECT sha FROM content)
         AND NOT EXISTS (SELECT 1 FROM listed WHERE listed.key = name_key))
ORDER BY seq LIMIT ?
""")  # noqa: S608 -- our own text


async def images_of(
    using: Callable[[], AbstractContextManager[sqlite3.Connection]],
    sample: int | None,
    seed: str,
    stores: Stores | None = None,
    earlier: int = 0,
) -> AsyncGenerator[Stored, None]:
    """Yield images of a run by its plan, all outcomes of which must be written.

    They are a sample of the uploaded images, the same for the same seed, or all of these and the
    skipped ones. The last item that earlier runs wrote has the number `earlier`. Members of
    archives are read here, in their order.
    """
    archives = Archives(stores or Stores())
    pages = _pages(using, sample, seed, earlier)
    try:
        while images := await in_thread(next, pages, list[Stored]()):
            for image in images:
                if image.path is not None and MEMBER in image.path:
                    image = await in_thread(_with_member, image, archives)  # noqa: PLW2901
                yield image
    finally:
        await in_thread(archives.close)


def _pages(
    using: Callable[[], AbstractContextManager[sqlite3.Connection]],
    sample: int | None,
    seed: str,
    earlier: int,
) -> Iterator[list[Stored]]:
    chosen: list[int] | None = None
    if sample is not None:
        with using() as database:
            count = sum(1 for _ in database.execute(_SEQS, (earlier,)))  # only chosen ones are kept
            at = set(random.Random(seed).sample(range(count), min(sample, count)))
            chosen = [
                seq for n, (seq,) in enumerate(database.execute(_SEQS, (earlier,))) if n in at
            ]
    start = last = 0
    while True:
        with using() as database:
            if chosen is None:
                page = [
                    seq for (seq,) in database.execute(_PAGE, (last, earlier, LEFT_ALONE, PAGE))
                ]
            else:
                page = chosen[start : start + PAGE]
            if not page:
                return
            start, last = start + PAGE, page[-1]
            rows = database.execute(_IMAGES.format(",".join("?" * len(page))), page).fetchall()
        yield [
            Stored(
                *(text(name), dataset_id, media_id, None if path is None else text(path)),
                *(sha, bool(is_prepared)),
            )
            for name, path, sha, is_prepared, media_id, dataset_id in rows
        ]
