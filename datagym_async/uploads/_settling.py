"""Find out by a listing whether uploads with lost answers were stored.

`SharedListing` does so within a run, for all uploads that wait when a listing begins: a hundred
lost answers cost one or two listings. `Settler` does so at its beginning and its end.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Collection
from typing import TypeAlias

import attrs

from datagym_async._printable import logger
from datagym_async._runs._needs import MediaUploads
from datagym_async._threads import in_thread
from datagym_async.exceptions import APIError
from datagym_async.models import DatasetMedia
from datagym_async.models._names import fold_written
from datagym_async.uploads._tally import Tally
from datagym_async.uploads._target import Target
from datagym_async.uploads._values import Double, UploadResult
from datagym_async.uploads._verification import media_digest
from datagym_async.uploads.plan._plan import Plan

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
        outcomes, unsettled = self._plan.outcomes, self._tally.unsettled
        if not await in_thread(outcomes.lost_count):
            return
        self._had_lost = True
        wait = await in_thread(outcomes.seconds_to_settle, self._media.settle_after())
        if wait > 0:  # the last run was alive a moment ago: this run's first listing is too early
            await asyncio.sleep(wait)
            await self._target.list_again(self._plan.listed)
        while left := await in_thread(outcomes.settle_lost, PORTION, listed=True):
            for seq, result in left:
                if result.item.content:
                    await self._give_out(seq, result)
                else:  # its bytes are gone; it counts when the sources yield it again
                    outcomes.note(seq, result)
        await in_thread(outcomes.flush)
        await in_thread(outcomes.send_again)
        self._tally.unsettled -= unsettled

    async def at_end(self, *, any_lost: bool) -> None:
        """Settle the remaining items; if any answer was lost, confirm all uploads by one listing.

        If the target cannot be listed (`APIError`), the remaining items stay unsettled.
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
