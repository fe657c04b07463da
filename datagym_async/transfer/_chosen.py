"""Choose which images of a run are compared with the dataset: some at random, or all."""

from __future__ import annotations

import random
import sqlite3  # attrs may want it at run time
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import AbstractContextManager, aclosing

import attrs

from datagym_async.transfer._config import UploadConfig
from datagym_async.transfer._journal_schema import State
from datagym_async.transfer._threads import in_thread
from datagym_async.transfer._verify import MediaDownloads, Stored, Verification, Verifier

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


@attrs.frozen
class Comparison:
    """Compare at the end of a run what the options ask for: an ending (`_hooks`).

    Args:
        config: The options.
        using: Gives the plan's database, from any thread.
        media: Gives the bytes of images.
        found: Told of each comparison.
        seed: The same seed chooses the same sample.
    """

    config: UploadConfig
    using: Callable[[], AbstractContextManager[sqlite3.Connection]]
    media: MediaDownloads
    found: Verification
    seed: str = attrs.field(kw_only=True)

    async def __call__(self) -> None:
        """Compare, if that was asked for."""
        if self.config.verify is None:
            return
        sample = self.config.verify_sample if self.config.verify == "sample" else None
        images = Choice(self.using, sample, self.seed).images()
        async with aclosing(images):
            await Verifier(self.media, self.found).run(images)


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
        name=name.decode("utf-8", "surrogatepass"),
        path=None if content is None else content.decode("utf-8", "surrogatepass"),
        sha256=sha,
        media_id=media_id,
        dataset_id=dataset_id,
    )
