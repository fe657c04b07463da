"""A dataset in memory, as the bulk uploader sees it: no network, every call countable."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import aclosing, asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, TypeVar

import attrs

from datagym_async.exceptions import AlreadyExistsError, NotFoundError
from datagym_async.models import Dataset, DatasetMedia, MediaSourceType, UrlResult, UrlStatus
from datagym_async.models._names import encode_name, fold_name
from datagym_async.uploads.plan import Plan
from tests.helpers.parts import parts_of

if TYPE_CHECKING:
    from datagym_async._wire import Body

T = TypeVar("T")

DATASET_ID = "0d8f8d2e-0000-4000-8000-000000000001"


@contextmanager
def open_plan() -> Iterator[Plan]:
    """Give an open plan without a journal."""
    plan = Plan()
    plan.open()
    try:
        yield plan
    finally:
        plan.close()


def list_held(plan: Plan, stored_names: Iterable[str], dataset: str = "Photos") -> None:
    """Let a plan know what its dataset holds, as the service lists it: encoded."""
    media = tuple(DatasetMedia("", 0, MediaSourceType.LOCAL, name) for name in stored_names)
    plan.listed.begin()
    plan.listed.add(Dataset(DATASET_ID, dataset, 0, media=media))
    plan.listed.end(dataset)


@attrs.define
class FakeService:
    """Be the media and the datasets that an uploader needs, and remember what it did.

    Args:
        delay: Virtual or real seconds that each call takes.
        before: Called with the name (or the URLs joined) before anything is stored; may raise.
        patience: Seconds that a lost upload may take.
        copies: Further media that are listed, by id: their stored name and bytes.
    """

    delay: float = 0.0
    before: Callable[[str], Awaitable[None]] | None = None
    stored: dict[str, bytes] = attrs.Factory(dict)
    urls: list[str] = attrs.Factory(list)
    batches: list[int] = attrs.Factory(list)
    in_flight: int = 0
    peak: int = 0
    listings: int = 0
    base_url: str = "https://fake.example/"
    patience: float = 0.0
    copies: dict[str, tuple[str, bytes]] = attrs.Factory(dict)
    deleted: list[str] = attrs.Factory(list)
    _folded: set[str] = attrs.Factory(set)

    async def read_parts(
        self,
        reading: Callable[[AsyncIterator[Dataset]], Awaitable[T]],
        dataset_id: str | None = None,
    ) -> T:
        """List the dataset."""
        self.listings += 1
        if dataset_id != DATASET_ID:
            raise NotFoundError(f"There is no dataset {dataset_id}.", status=404, key="ex_notfound")
        async with aclosing(parts_of(self._dataset())) as parts:
            return await reading(parts)

    def _dataset(self) -> Dataset:
        names = [(self._id(name), name) for name in self.stored]
        names += [(media_id, name) for media_id, (name, _) in self.copies.items()]
        listed = [DatasetMedia(each, 0, MediaSourceType.LOCAL, name) for each, name in names]
        listed += [
            DatasetMedia(f"u-{url}", 0, MediaSourceType.SHAREABLE_LINK, url.rpartition("/")[2])
            for url in self.urls
        ]
        return Dataset(DATASET_ID, "Photos", 0, media=tuple(listed))

    def _id(self, stored_name: str) -> str:
        return f"m-{stored_name}"

    async def delete(self, media_id: str) -> bool:
        """Delete an image."""
        self.deleted.append(media_id)
        self.stored.pop(media_id.removeprefix("m-"), None)
        return self.copies.pop(media_id, None) is not None

    @asynccontextmanager
    async def stream(self, media_id: str) -> AsyncIterator[AsyncIterator[bytes]]:
        """Give the bytes of an image."""
        known = self.copies.get(media_id)
        yield _one(known[1] if known else self.stored[media_id.removeprefix("m-")])

    def settle_after(self) -> float:
        """Return how long a lost upload may take."""
        return self.patience

    async def upload_body(
        self,
        dataset_id: str,
        name: str,
        body: Body,
        *,
        settle: Callable[[], Awaitable[DatasetMedia | None]],
    ) -> DatasetMedia:
        """Store an image under its encoded name."""
        del settle
        stored_name = encode_name(name)
        self.in_flight += 1
        self.peak = max(self.peak, self.in_flight)
        try:
            await self._arrive(name)
            data = await _whole(body)
            if self.holds(name):
                message = f"The dataset holds {name!r} already."
                raise AlreadyExistsError(message, status=412, key="ex_alreadyexists")
            self.hold(name, data=data)
        finally:
            self.in_flight -= 1
        assert dataset_id == DATASET_ID
        return DatasetMedia(self._id(stored_name), 0, MediaSourceType.LOCAL, name)

    async def upload_urls(
        self, dataset_id: str, urls: Sequence[str], *, batch_size: int
    ) -> list[UrlResult]:
        """Store links."""
        assert dataset_id == DATASET_ID
        assert len(urls) <= batch_size
        self.batches.append(len(urls))
        await self._arrive(" ".join(urls))
        return [self._url_result(url) for url in urls]

    def _url_result(self, url: str) -> UrlResult:
        if not url.lower().endswith((".jpg", ".jpeg", ".png")):
            return UrlResult(url, UrlStatus.UNSUPPORTED_MIME_TYPE)
        if url.lower() in map(str.lower, self.urls):
            return UrlResult(url, UrlStatus.DUPLICATE)
        self.urls.append(url)
        return UrlResult(url, UrlStatus.SUCCESS, media_id=f"u-{url}")

    async def _arrive(self, what: str) -> None:
        await asyncio.sleep(self.delay)
        if self.before is not None:
            await self.before(what)

    def hold(self, *names: str, data: bytes = b"") -> None:
        """Let the dataset hold images of some names."""
        for name in names:
            self.stored[encode_name(name)] = data
            self._folded.add(key_of(name))

    def drop(self, stored_name: str) -> None:
        """Let the dataset lose an image, as when somebody deletes it."""
        del self.stored[stored_name]
        self._folded.discard(fold_name(stored_name))

    def holds(self, name: str) -> bool:
        """Return whether the dataset holds an image of this name, as the service compares names."""
        return key_of(name) in self._folded


def key_of(name: str) -> str:
    """Return what the service knows an image by: names that have the same one are one to it."""
    return fold_name(encode_name(name))


async def _one(data: bytes) -> AsyncIterator[bytes]:
    yield data


async def _whole(body: Body) -> bytes:
    if body.open is None:
        return body.data or b""
    async with body.open() as chunks:
        return b"".join([chunk async for chunk in chunks])
