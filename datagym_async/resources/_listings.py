"""Listings of datasets as they arrive, in parts of a bounded size."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import attrs

from datagym_async._wire._codec import decode_items, decode_value, read_json, unreadable
from datagym_async._wire._listings import PORTION, ListingCutter
from datagym_async._wire._messages import Request, Response
from datagym_async.models import Dataset, DatasetMedia
from datagym_async.resources._ports import OpenAnswer

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterable, Iterator

    from datagym_async._wire._listings import Portion

PART = 4096
"""Media of one part at most, where the answer had to be read as a whole."""

_DECODED_ON_THE_LOOP = 64 * 1024  # bytes: about 2 ms of work


async def iter_parts(
    request: Request, answer: OpenAnswer, *, many: bool, portion: int = PORTION
) -> AsyncGenerator[Dataset, None]:
    """Give the datasets of an answer in parts: each with some of its media, and at least one.

    Args:
        request: What was asked.
        answer: The answer, which is not closed here.
        many: Whether it lists all datasets.
        portion: Bytes of media that are decoded at once.

    Raises:
        APIResponseValidationError: The answer is no listing, or ends too early.
        APIConnectionError: It breaks off.
    """
    reader = _Reader(request, answer, ListingCutter(many=many, portion=portion), many)
    async for chunk in answer.iter_chunks():
        if reader.cutter.add(chunk):
            for part in await reader.parts(reader.cutter.cut):
                yield part
    for part in await reader.parts(reader.cutter.close):
        yield part
    for part in await reader.rest():
        yield part


@attrs.frozen
class _Reader:
    """Decode what is cut off, beside the event loop where it is much."""

    request: Request
    answer: OpenAnswer
    cutter: ListingCutter
    many: bool

    async def parts(self, cut: Callable[[], list[Portion]]) -> list[Dataset]:
        if self.cutter.size <= _DECODED_ON_THE_LOOP:
            return self._decoded(cut)
        return await asyncio.to_thread(self._decoded, cut)

    def _decoded(self, cut: Callable[[], list[Portion]]) -> list[Dataset]:
        try:
            return [self._part(portion) for portion in cut()]
        except Exception as error:
            failure = unreadable(self.request, self.answer.status, error)
        raise failure

    def _part(self, portion: Portion) -> Dataset:
        at, status = f"[{portion.dataset}]" if self.many else "", self.answer.status
        dataset = decode_value(self.request, portion.fields, Dataset, status=status, at=at)
        media = decode_items(
            self.request,
            portion.media,
            DatasetMedia,
            status=status,
            at=f"{at}.media" if at else "media",
            first=portion.first,
        )
        return attrs.evolve(dataset, media=media)

    async def rest(self) -> list[Dataset]:
        """Return what could not be cut, decoded as a whole."""
        if self.cutter.uncut is None:
            return []
        return await asyncio.to_thread(self._whole, *self.cutter.uncut)

    def _whole(self, first: int, body: bytes) -> list[Dataset]:
        status = self.answer.status
        value = read_json(self.request, Response(status, self.answer.headers, body))
        if not self.many:
            return list(_split([decode_value(self.request, value, Dataset, status=status)]))
        found = decode_items(self.request, value, Dataset, status=status, at="", first=first)
        return list(_split(found))


def _split(datasets: Iterable[Dataset]) -> Iterator[Dataset]:
    for dataset in datasets:
        for start in range(0, max(1, len(dataset.media)), PART):
            yield attrs.evolve(dataset, media=dataset.media[start : start + PART])
