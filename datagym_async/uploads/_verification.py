"""Compare what the service holds with what was sent, byte for byte.

The service gives uploaded files back as they were (observed), so that equal hashes prove an upload.
Links are left out: the service fetches and re-encodes them at each look, and a failed look marks
them invalid and skips their tasks (observed).

Choose which images of a run are compared with the dataset: some at random, or all.
"""

from __future__ import annotations

import hashlib
import os
import random
import sqlite3
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import AbstractContextManager, aclosing
from typing import TYPE_CHECKING, Protocol

import attrs

from datagym_async._printable import printable
from datagym_async._regular_files import regular_only
from datagym_async._runs._disk import refusal
from datagym_async._threads import in_thread
from datagym_async.exceptions import APIError
from datagym_async.resources._work import for_each
from datagym_async.uploads._values import Mismatch
from datagym_async.uploads.plan._rows import text
from datagym_async.uploads.plan._tables import State

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from contextlib import AbstractAsyncContextManager


WORKERS = 8
"""Comparisons at once; the client's bound on downloads counts as well."""


class MediaDownloads(Protocol):
    """Give the bytes of images; `MediaResource` does."""

    def stream(self, media_id: str) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """Give the bytes of one image in pieces."""
        ...


@attrs.frozen(kw_only=True)
class Stored:
    """One image that the service holds, and what it should be.

    Args:
        name: Its name.
        dataset_id: The dataset that holds it.
        media_id: Its id; empty where it is not known, which cannot be compared.
        path: The file that it was sent from, or None.
        sha256: Hash of the bytes that it was sent from, where there is no file.
    """

    name: str
    dataset_id: str
    media_id: str
    path: str | None = None
    sha256: bytes | None = None


@attrs.define
class Verification:
    """What a comparison has found so far.

    Attributes:
        compared: Images that were compared, or could not be.
        mismatches: Those that differ or could not be compared, the first `keep` of them.
        mismatch_count: How many there were in all.
    """

    keep: int = 10_000
    compared: int = 0
    mismatch_count: int = 0
    mismatches: list[Mismatch] = attrs.Factory(list)

    def note(self, mismatch: Mismatch | None) -> None:
        """Count one comparison."""
        self.compared += 1
        if mismatch is not None:
            self.mismatch_count += 1
            if len(self.mismatches) < self.keep:
                self.mismatches.append(mismatch)


@attrs.define
class Verifier:
    """Download images and compare them.

    Args:
        media: Gives their bytes.
        found: Told of each comparison.
    """

    _media: MediaDownloads
    found: Verification

    async def run(self, images: AsyncIterator[Stored]) -> None:
        """Compare all images, a few at a time; whatever comes between is a mismatch."""

        async def compare(image: Stored) -> None:
            self.found.note(await self._compare(image))

        await for_each(images, compare, concurrency=WORKERS)

    async def _compare(self, image: Stored) -> Mismatch | None:
        try:
            reason = await self._difference(image)
        except APIError as error:
            reason = f"It could not be downloaded for the comparison: {error}"
        except OSError as error:
            reason = refusal(image.path or image.name, error)
        return _mismatch(image, reason) if reason else None

    async def _difference(self, image: Stored) -> str:
        if not image.media_id:
            return "The dataset does not list it."
        if image.path is None:
            expected, size = image.sha256, None
        else:
            expected, size = await in_thread(_digest_of_file, image.path)
        if expected is None:
            return "Its bytes were in memory, and are not there any more to be compared."
        held, held_size = await self._digest_of_media(image.media_id)
        if held == expected:
            return ""
        sizes = f" ({held_size:,} bytes against {size:,})" if size not in {None, held_size} else ""
        what = "the file" if image.path is not None else "what was sent"
        return f"The dataset holds other bytes than {what}{sizes}."

    async def _digest_of_media(self, media_id: str) -> tuple[bytes, int]:
        digest, size = hashlib.sha256(), 0
        async with self._media.stream(media_id) as chunks:
            async for chunk in chunks:
                digest.update(chunk)
                size += len(chunk)
        return digest.digest(), size


def _digest_of_file(path: str) -> tuple[bytes, int]:
    with open(path, "rb", opener=regular_only) as file:
        digest = hashlib.file_digest(file, "sha256").digest()
        return digest, os.fstat(file.fileno()).st_size


def _mismatch(image: Stored, reason: str) -> Mismatch:
    return Mismatch(
        name=printable(image.name),
        source=printable(image.path or ""),
        dataset_id=image.dataset_id,
        media_id=image.media_id,
        reason=reason,
    )


PAGE = 200

_SEQS = "SELECT seq FROM item WHERE state = ? AND link_key IS NULL"
# One that was uploaded knows its image; one that was skipped is found by its name.
_IMAGES = """
SELECT item.name, content, sha, coalesce(item.media_id, listed.media_id, ''),
       coalesce(item.dataset_id, listed.dataset_id, '')
FROM item LEFT JOIN listed ON listed.key = name_key AND item.media_id IS NULL AND NOT is_link
WHERE seq IN ({}) GROUP BY seq ORDER BY seq
"""
_PAGE = """
SELECT seq FROM item WHERE seq > ? AND link_key IS NULL AND state IN (?, ?) ORDER BY seq LIMIT ?
"""


@attrs.frozen
class Choice:
    """Look images up in the plan of a run. Its outcomes must all be written.

    Args:
        using: Gives the plan's database, from any thread.
        sample: How many images, of those uploaded; None for all of those and the skipped ones.
        seed: The same seed chooses the same ones.
    """

    using: Callable[[], AbstractContextManager[sqlite3.Connection]]
    sample: int | None
    seed: str

    async def images(self) -> AsyncGenerator[Stored, None]:
        """Yield the chosen images."""
        async with aclosing(self._pages()) as pages:
            async for seqs in pages:
                for image in await in_thread(self._look_up, seqs):
                    yield image

    async def _pages(self) -> AsyncGenerator[list[int], None]:
        if self.sample is not None:
            seqs = await in_thread(self._some, self.sample)
            for start in range(0, len(seqs), PAGE):
                yield seqs[start : start + PAGE]
            return
        last = 0
        while page := await in_thread(self._next, last):
            yield page
            last = page[-1]

    def _some(self, count: int) -> list[int]:
        with self.using() as database:
            seqs = (seq for (seq,) in database.execute(_SEQS, (State.UPLOADED,)))
            return sorted(some_of(seqs, count, random.Random(self.seed)))

    def _next(self, last: int) -> list[int]:
        values = (last, State.UPLOADED, State.SKIPPED, PAGE)
        with self.using() as database:
            return [seq for (seq,) in database.execute(_PAGE, values)]

    def _look_up(self, seqs: list[int]) -> list[Stored]:
        statement = _IMAGES.format(",".join("?" * len(seqs)))
        with self.using() as database:
            return [_stored(*row) for row in database.execute(statement, seqs)]


def some_of(seqs: Iterable[int], count: int, rng: random.Random) -> list[int]:
    """Return so many of the numbers at random, each as likely as any other; all if there are fewer.

    One pass, with memory for those that are returned (reservoir sampling).
    """
    chosen: list[int] = []
    for number, seq in enumerate(seqs):
        if number < count:
            chosen.append(seq)
        elif (place := rng.randrange(number + 1)) < count:
            chosen[place] = seq
    return chosen


def _stored(
    name: bytes, content: bytes | None, sha: bytes | None, media_id: str, dataset_id: str
) -> Stored:
    return Stored(
        name=text(name),
        path=None if content is None else text(content),
        sha256=sha,
        media_id=media_id,
        dataset_id=dataset_id,
    )
