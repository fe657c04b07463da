"""Read the sources and hand out items that are ready, in order and with backpressure.

Finite sources are planned to their end before the first image is sent, so that clashes are known by
then. Streams are planned as they arrive, in portions of what has arrived. Links are collected into
batches; a pause of a stream does not delay a batch.
"""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
from collections import deque
from collections.abc import AsyncIterable, Awaitable, Callable, Generator, Iterable, Iterator
from contextlib import closing, nullcontext
from typing import TypeAlias

import attrs

from datagym_async._limits import Admission
from datagym_async._threads import (
    OnlyCancelledByUs,
    TaskGroup,
    in_thread,
    in_thread_left_behind,
    together,
)
from datagym_async.uploads._reading import (
    DECODERS,
    PORTION,
    PORTION_BYTES,
    PORTION_ITEMS,
    Preparer,
    next_portion,
    read_awaited,
    read_stored,
)
from datagym_async.uploads._screening import SMALL, Screening
from datagym_async.uploads._tally import Tally
from datagym_async.uploads.plan._plan import Plan, Planned
from datagym_async.uploads.sources._archives import Archives
from datagym_async.uploads.sources._candidates import Candidate, Rules
from datagym_async.uploads.sources._folders import looked_up
from datagym_async.uploads.sources._leaves import Stream, leaves, nothing_to_upload

STEP = 256  # candidates in one thread call of planning, elements of a stream in one portion
TAKEN_AT_ONCE = 256
"""Items of the plan in one transaction; with a journal they count as being sent from then on."""
READERS = 32  # objects of stores that are read at once
READ_AHEAD = 32 << 20  # bytes of them that wait for a worker, besides the last few
STEP_SECONDS = 0.05  # after which the portion of a slow iterator is planned as it is

Work: TypeAlias = "Planned | tuple[Planned, ...]"
"""An item with its bytes, ready for one request; or a batch of links, for one request likewise."""


@attrs.frozen
class _End:
    """The end of a stream, behind its elements."""

    error: Exception | None = None  # of a user's iterable


@attrs.define
class Feeder:
    _plan: Plan
    _rules: Rules
    _batch_size: int  # links in one batch
    _tally: Tally
    _hand_out: Callable[[list[Work]], Awaitable[None]]
    """Awaited with each portion that is ready, also items with a verdict, and each batch of links;
    returns when the next one may be read."""
    _settle_lost: Callable[[], Awaitable[None]] | None = None
    """Awaited once the items that earlier runs have left are handed out: settles lost answers."""
    _waiting: list[Planned] = attrs.Factory(list)
    _links: list[Planned] = attrs.Factory(list)
    _parts: Iterator[int] = attrs.Factory(itertools.count)
    _preparer: Preparer | None = attrs.field(default=None, init=False)
    _screening: Screening = attrs.field(init=False)
    _archives: Archives = attrs.field(init=False)
    _ahead: Admission = attrs.field(factory=lambda: Admission(READ_AHEAD), init=False)
    _looking: asyncio.Semaphore = attrs.field(
        factory=lambda: asyncio.Semaphore(DECODERS), init=False
    )

    def __attrs_post_init__(self) -> None:
        self._archives = Archives(self._rules.stores)
        self._screening = self._rules.screening
        if (steps := self._rules.steps) is not None:
            self._preparer = Preparer(steps, self._screening)
            self._screening = self._preparer.rough

    async def feed(self, source: object) -> None:
        """Hand out all items of the sources; a `ConfigurationError` if none of them is usable."""
        try:
            await self._feed(source)
        finally:
            await in_thread(self._close)  # in one call: a second cancellation would skip another

    def _close(self) -> None:
        if self._preparer is not None:
            self._preparer.workers.close()
        self._archives.close()

    async def _feed(self, source: object) -> None:
        # Items left by earlier runs come first, before a million files are walked again; but not if
        # a clash is an error, before which nothing is sent.
        is_strict = self._rules.on_clash == "error"
        if not is_strict:
            await self._hand_out_taken()
        if self._settle_lost is not None:
            await self._settle_lost()
            if not is_strict:
                await self._hand_out_taken()
        await self._flush_links()
        streams, wrong = await self._take_in((source,))
        if wrong and len(wrong) == self._tally.planned and not streams:
            await in_thread(self._plan.forget_run)
            raise nothing_to_upload(wrong)
        if is_strict:
            await in_thread(self._plan.refuse_clashes, self._rules.screening)
        self._tally.streamed = bool(streams)
        self._tally.total_known = not streams
        await self._hand_out_taken()
        for stream in streams:
            await self._feed_stream(stream)
        await self._flush_links()
        self._tally.total_known = True

    async def _take_in(self, elements: Iterable[object]) -> tuple[list[Stream], list[Candidate]]:
        """Plan the finite part of sources; return the rest, and sources that failed as a whole."""
        streams: list[Stream] = []
        wrong: list[Candidate] = []
        found = _entries(elements, self._rules, self._parts)
        with closing(found), closing(looked_up(found, self._rules)) as entries:
            while step := await in_thread(self._plan_step, entries):
                for entry in step:
                    if isinstance(entry, Stream):
                        streams.append(entry)
                    elif entry.whole_source:
                        wrong.append(entry)
        self._tally.left_out = self._rules.filters.left_out
        renames = self._rules.on_clash == "rename"
        goes_on = bool(streams) or self._tally.streamed
        self._tally.added(await in_thread(self._plan.settle, renames=renames, goes_on=goes_on))
        return streams, wrong

    def _plan_step(self, entries: Iterator[_Entry]) -> list[Stream | Candidate]:
        step = list(itertools.islice(entries, STEP))
        found = [entry for entry in step if not isinstance(entry, Stream)]
        self._tally.added(self._plan.add(found))
        return [entry if isinstance(entry, Stream) else entry[1] for entry in step]

    async def _hand_out_taken(self) -> None:
        """Read settled items in portions, and hand them out; tasks read objects of stores ahead."""
        stored: asyncio.Queue[Planned | None] = asyncio.Queue(READERS)
        readers: list[asyncio.Task[None]] = []
        async with together() as group:
            await self._hand_out_read(stored, readers, group)
            for _ in readers:
                await stored.put(None)

    async def _read_ahead(self, stored: asyncio.Queue[Planned | None]) -> None:
        """Read objects of stores on demand, and hand them out one by one."""
        clock, screening = asyncio.get_running_loop().time, self._screening
        while (planned := await stored.get()) is not None:
            weight = min(planned.size or 0, SMALL)
            await self._ahead.acquire(weight)
            began = clock()
            try:
                async with self._looking if screening.check == "decode" else nullcontext():
                    await read_stored(planned, self._rules.stores, screening)
                self._tally.reading_seconds += (clock() - began) / READERS  # they overlap
                if planned.is_changed:
                    await in_thread(self._plan.note_read, [planned])
                if self._preparer is not None:
                    async with self._looking:
                        await self._prepare([planned])
                self._tally.turned += planned.is_turned and planned.verdict is None
                await self._hand_out([planned])
            finally:
                self._ahead.release(weight)

    async def _hand_out_read(
        self,
        stored: asyncio.Queue[Planned | None],
        readers: list[asyncio.Task[None]],
        group: TaskGroup,
    ) -> None:
        clock = asyncio.get_running_loop().time
        while True:
            began = clock()
            portion = await in_thread(self._next_portion)
            self._tally.reading_seconds += clock() - began
            await self._prepare(portion)
            self._tally.duplicates = self._plan.duplicates
            if not portion:
                return
            ready: list[Work] = []
            for planned in portion:
                if planned.is_stored:
                    if len(readers) < READERS:
                        readers.append(group.create_task(self._read_ahead(stored)))
                    if stored.full() and ready:
                        await self._hand_out(ready)
                        ready = []
                    await stored.put(planned)
                    continue
                if planned.is_awaited:
                    await self._hand_out(ready)
                    ready = []
                    await read_awaited(planned, self._screening)
                    await self._prepare([planned])
                if planned.is_turned and planned.verdict is None:
                    self._tally.turned += 1
                if planned.verdict is not None or planned.body is not None:
                    ready.append(planned)
                    continue
                self._links.append(planned)
                if len(self._links) >= self._batch_size:
                    ready.append(tuple(self._links))
                    self._links.clear()
            await self._hand_out(ready)

    async def _prepare(self, portion: list[Planned]) -> None:
        if (preparer := self._preparer) is None:
            return
        clock = asyncio.get_running_loop().time
        before, began = sum(each.size or 0 for each in portion), clock()
        # A cancelled run closes the preparer, which ends the calls that are left behind.
        sent = await in_thread_left_behind(preparer.prepare, portion)
        self._tally.preparing_seconds += clock() - began
        self._tally.bytes_found += sum(each.size or 0 for each in portion) - before
        await in_thread(self._plan.note_prepared, sent)

    def _next_portion(self) -> list[Planned]:
        self._waiting = self._waiting or self._plan.take(TAKEN_AT_ONCE)
        most = (PORTION_ITEMS, PORTION_BYTES) if self._preparer is None else PORTION
        portion = next_portion(self._waiting, self._screening, most, self._archives)
        self._plan.note_read(portion)
        return portion

    async def _flush_links(self) -> None:
        if self._links:
            batch, self._links = tuple(self._links), []
            await self._hand_out([batch])

    async def _feed_stream(self, stream: Stream) -> None:
        arrivals: asyncio.Queue[object] = asyncio.Queue(STEP)
        end: object = None
        async with together() as group:
            group.create_task(_pump(stream, arrivals))
            while not isinstance(end, _End):
                # All that has arrived, at least one element; the end comes last.
                elements = [await arrivals.get()]
                while len(elements) < STEP and not arrivals.empty():
                    elements.append(arrivals.get_nowait())
                end = elements.pop() if isinstance(elements[-1], _End) else None
                streams, _ = await self._take_in(elements)
                await self._hand_out_taken()
                for each in streams:
                    await self._feed_stream(each)
                if arrivals.empty():
                    await self._flush_links()
        if end.error is not None:
            raise end.error


_Entry = tuple[int, "Candidate"] | Stream


def _entries(
    elements: Iterable[object], rules: Rules, parts: Iterator[int]
) -> Generator[_Entry, None, None]:
    for element in elements:
        for leaf in leaves(element, rules):
            if isinstance(leaf, Stream):
                yield leaf
                continue
            part = next(parts)
            for candidate in leaf:
                yield part, candidate


async def _pump(stream: Stream, arrivals: asyncio.Queue[object]) -> None:
    source, end = stream.source, _End()
    try:
        if isinstance(source, AsyncIterable):
            try:
                with OnlyCancelledByUs():
                    async for element in source:
                        await arrivals.put(element)
            finally:
                # A generator left half-way would keep its files open until it is collected.
                if aclose := getattr(source, "aclose", None):
                    await aclose()
        else:
            with closing(_Puller(source, arrivals)) as puller:
                while await in_thread_left_behind(puller.pull):
                    while puller.elements:
                        await arrivals.put(puller.elements.popleft())
    except Exception as error:
        end = _End(error)
    await arrivals.put(end)


class _Puller:
    """Advance a user's iterator in a thread, and close it once it is neither needed nor running.

    A thread cannot be stopped, and standard input may stay silent forever. So a call that is left
    behind closes the iterator itself if it ever returns.
    """

    def __init__(self, source: Iterator[object], arrivals: asyncio.Queue[object]) -> None:
        self._source, self._arrivals = source, arrivals
        self._loop = asyncio.get_running_loop()
        self.elements: deque[object] = deque()  # that have not arrived yet
        self._is_told = False  # whether the loop is about to take them
        self._running = threading.Lock()
        self._is_wanted = True
        self._error: Exception | None = None  # raised after the elements before it

    def pull(self) -> bool:
        """Take the elements of the next moment, at least one; return False at the end."""
        if self._error is not None:
            raise self._error
        with self._running:
            until = time.monotonic() + STEP_SECONDS
            count = 0
            try:
                for element in self._source if self._is_wanted else ():
                    self.elements.append(element)
                    count += 1
                    if not self._is_told:  # at once: the next one may be long in coming
                        self._is_told = True
                        self._loop.call_soon_threadsafe(self._hand_over)
                    if count >= STEP or time.monotonic() > until:
                        break
            except Exception as error:
                self._error = error
        if not self._is_wanted:  # checked after the release, or a close in between would be missed
            self.close()
        if self._error is not None and not count:
            raise self._error
        return bool(count)

    def _hand_over(self) -> None:
        self._is_told = False
        while self.elements and not self._arrivals.full():
            self._arrivals.put_nowait(self.elements.popleft())

    def close(self) -> None:
        """Close the iterator now, or leave that to the running call."""
        self._is_wanted = False
        if self._running.acquire(blocking=False):
            try:
                if close := getattr(self._source, "close", None):
                    close()
            finally:
                self._running.release()
