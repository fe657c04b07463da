"""`DatasetsResource`: datasets, and the listings of their media in parts of a bounded size."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from itertools import chain
from typing import TYPE_CHECKING, TypeVar

import attrs

from datagym_async._checks import checked
from datagym_async._wire import _routes as routes
from datagym_async._wire._codec import decode_items, decode_value, read_json, unreadable
from datagym_async._wire._cutting import ListingCutter, Portion
from datagym_async._wire._messages import Request, Response
from datagym_async.exceptions import AlreadyExistsError
from datagym_async.models import Dataset, DatasetId, DatasetMedia
from datagym_async.models._names import fold_name
from datagym_async.resources._base import ApiSession, Resource, find_by_name

if TYPE_CHECKING:
    from datagym_async._transport import StreamedResponse

T = TypeVar("T")


@checked
class DatasetsResource(Resource):
    """The datasets of the token's organisation.

    Ids are UUIDs. A call raises `NotFoundError` if an id is unknown or deleted, and another
    `APIError` if the service cannot be reached or refuses.
    """

    def __init__(self, session: ApiSession) -> None:
        super().__init__(session)
        # The service's check of names has a race: two creations at once both succeed.
        self._creating = asyncio.Lock()

    async def list(self) -> list[Dataset]:
        """Return all datasets with all their media, in no particular order.

        The service has no smaller listing of datasets: 160 bytes for each media of each dataset.
        More than 256 MiB raise `APIResponseValidationError`; `iter_parts` has no such limit.
        """
        return [*await self._fetch(routes.list_datasets(), tuple[Dataset, ...])]

    async def get(self, dataset_id: DatasetId) -> Dataset:
        """Return a dataset with its media; for more than 256 MiB see `list`."""
        return await self._fetch(routes.get_dataset(dataset_id), Dataset)

    async def iter_parts(
        self, dataset_id: DatasetId | None = None
    ) -> AsyncGenerator[Dataset, None]:
        """Yield a dataset in parts as it arrives, in constant memory.

        Each part is a `Dataset` with some thousand of its media; a dataset without media has one
        part too. The parts of a dataset follow one another. Without an id it yields all datasets.
        If the service sends attributes of a dataset after its media (none does), only its last part
        has them.

        The connection is closed when the iteration ends; if you leave it early, use
        ``contextlib.aclosing``. An answer that is cut off raises an `APIError` and is not retried:
        see `read_parts`.
        """
        request = _listing_of(dataset_id)
        async with (
            self._session.stream(request) as answer,
            aclosing(iter_parts(request, answer, many=dataset_id is None)) as parts,
        ):
            async for part in parts:
                yield part

    async def read_parts(
        self,
        reading: Callable[[AsyncIterator[Dataset]], Awaitable[T]],
        dataset_id: DatasetId | None = None,
    ) -> T:
        """Call `reading` with the parts (see `iter_parts`), and return its result.

        If the answer is cut off, it is retried like any other read: `reading` is then called again,
        and must start again.
        """
        request = _listing_of(dataset_id)

        async def read_answer(answer: StreamedResponse) -> T:
            async with aclosing(iter_parts(request, answer, many=dataset_id is None)) as parts:
                return await reading(parts)

        return await self._session.read(request, read_answer)

    async def find(self, name: str) -> Dataset | None:
        """Return the dataset with a name, with its media, or None. It lists all datasets.

        Names are compared as the service does it, without case and trailing blanks. An exact match
        is preferred, then the oldest.
        """
        folded = fold_name(name)

        async def pick(parts: AsyncIterator[Dataset]) -> Dataset | None:
            found: dict[str, list[Dataset]] = {}  # a race can double a name
            async for part in parts:
                if fold_name(part.name) == folded:
                    found.setdefault(part.id, []).append(part)
            joined = (
                attrs.evolve(each[-1], media=tuple(chain.from_iterable(p.media for p in each)))
                for each in found.values()
            )
            return find_by_name(joined, name)

        return await self.read_parts(pick)

    async def create(
        self, name: str, *, short_description: str = "", exist_ok: bool = False
    ) -> Dataset:
        """Create an image dataset. It lists all datasets first.

        Creations of one client wait for each other; other clients may still create the same name
        twice.

        Args:
            name: 1 to 128 letters, digits, blanks and underscores; unique without regard to case.
            short_description: At most 128 letters, digits, blanks, underscores and dashes.
            exist_ok: True to return the dataset that already has the name.

        Raises:
            AlreadyExistsError: A dataset has the name, and `exist_ok` is False.
            BadRequestError: The name or description breaks a rule; the text says which.
            RequestRefusedError: The name is a reserved word of the service.
        """
        async with self._creating:
            existing = await self.find(name)
            if existing is not None and exist_ok:
                return existing
            request = routes.create_dataset(name, short_description)
            # Once a race has doubled a name, the service says ex_system instead of this (observed).
            if existing is not None:
                raise AlreadyExistsError(
                    f"A dataset named {name!r} already exists (names are compared without case);"
                    " use another name, or exist_ok=True to use that dataset",
                    status=412,
                    key="ex_alreadyexists",
                    params=("Dataset", "name", name),
                    method="POST",
                    path=request.path,
                )
            return await self._create(request, name, exist_ok=exist_ok)

    async def ensure(self, name: str) -> Dataset:
        """Return the dataset with a name, created if it does not exist.

        Unlike `create` with `exist_ok`, it lists the datasets only if the service refuses the name.
        Use it if the name is probably free, since a listing contains all media.
        `AlreadyExistsError` then means that the service lists no dataset with the name.
        """
        async with self._creating:
            return await self._create(routes.create_dataset(name, ""), name, exist_ok=True)

    async def _create(self, request: Request, name: str, *, exist_ok: bool) -> Dataset:
        try:
            return await self._fetch_or_settle(request, Dataset, lambda: self.find(name))
        except AlreadyExistsError:
            if not exist_ok or (existing := await self.find(name)) is None:
                raise
            return existing


def _listing_of(dataset_id: DatasetId | None) -> Request:
    return routes.list_datasets() if dataset_id is None else routes.get_dataset(dataset_id)


PART = 4096  # media of one part at most, if the answer had to be read as a whole

_DECODED_ON_THE_LOOP = 64 * 1024  # bytes: about 2 ms of work


async def iter_parts(
    request: Request, answer: StreamedResponse, *, many: bool
) -> AsyncGenerator[Dataset, None]:
    """Yield the datasets of an answer in parts, at least one each, with some of its media."""
    cutter, status = ListingCutter(many=many), answer.status

    def decoded(portion: Portion) -> Dataset:
        at = f"[{portion.dataset}]" if many else ""
        dataset = decode_value(request, portion.fields, Dataset, status=status, at=at)
        at, first = f"{at}.media".lstrip("."), portion.first
        media = decode_items(
            request, portion.media, DatasetMedia, status=status, at=at, first=first
        )
        return attrs.evolve(dataset, media=media)

    def cut_off(cut: Callable[[], list[Portion]]) -> list[Dataset]:
        try:
            return [decoded(portion) for portion in cut()]
        except Exception as error:
            failure = unreadable(request, status, error)
        raise failure

    async def parts(cut: Callable[[], list[Portion]]) -> list[Dataset]:
        """Return what is cut off now; much of it is decoded in a thread."""
        if cutter.size <= _DECODED_ON_THE_LOOP:
            return cut_off(cut)
        return await asyncio.to_thread(cut_off, cut)

    def whole(first: int, body: bytes) -> list[Dataset]:
        value = read_json(request, Response(status, answer.headers, body))
        if not many:
            return [decode_value(request, value, Dataset, status=status)]
        return [*decode_items(request, value, Dataset, status=status, at="", first=first)]

    async for chunk in answer.chunks:
        if cutter.add(chunk):
            for part in await parts(cutter.cut):
                yield part
    for part in await parts(cutter.close):
        yield part
    if cutter.uncut is not None:  # it is decoded as a whole, and split
        for dataset in await asyncio.to_thread(whole, *cutter.uncut):
            for start in range(0, max(1, len(dataset.media)), PART):
                yield attrs.evolve(dataset, media=dataset.media[start : start + PART])
