"""`DatasetsResource`: datasets, and the listings of their media in parts of a bounded size."""

from __future__ import annotations

import asyncio
import itertools
from contextlib import aclosing
from typing import TYPE_CHECKING, TypeVar

import attrs

from datagym_async._wire import _routes as routes
from datagym_async._wire._codec import decode_items, decode_value, read_json, unreadable
from datagym_async._wire._cutting import PORTION, ListingCutter
from datagym_async._wire._messages import Request, Response
from datagym_async.exceptions import AlreadyExistsError
from datagym_async.models import Dataset, DatasetMedia
from datagym_async.models._names import fold_name
from datagym_async.resources._base import OpenAnswer, Resource, find_by_name, read

if TYPE_CHECKING:
    from collections.abc import (
        AsyncGenerator,
        AsyncIterator,
        Awaitable,
        Callable,
        Collection,
        Iterable,
        Iterator,
        Sequence,
    )

    from datagym_async._wire._cutting import Portion
    from datagym_async.resources._base import Door


T = TypeVar("T")


class DatasetsResource(Resource):
    """The datasets of the token's organisation.

    Args:
        session: The door to the network; it is not closed here.
    """

    def __init__(self, session: Door) -> None:
        super().__init__(session)
        # The service's check for a name races with itself: two creations at once both succeed.
        self._creating = asyncio.Lock()

    async def list(self) -> list[Dataset]:
        """Return all datasets with all their media, in no particular order.

        The service has no smaller listing of datasets: 160 bytes for each media of each dataset.

        Raises:
            APIResponseValidationError: They are more than 256 MiB; `iter_parts` takes any.
            APIError: The service cannot be asked, or refuses.
        """
        return [*await self._fetch(routes.list_datasets(), tuple[Dataset, ...])]

    async def get(self, dataset_id: str) -> Dataset:
        """Return a dataset with its media.

        Args:
            dataset_id: UUID of the dataset.

        Raises:
            NotFoundError: It is unknown or deleted.
            APIResponseValidationError: It has more than 256 MiB; `iter_parts` takes any.
            APIError: The service cannot be asked, or refuses.
        """
        return await self._fetch(routes.get_dataset(dataset_id), Dataset)

    async def iter_parts(self, dataset_id: str | None = None) -> AsyncGenerator[Dataset, None]:
        """Give a dataset part by part as it arrives, in memory that does not grow with it.

        Each part is a `Dataset` with some thousand of its media; a dataset without any has one part
        all the same. The parts of a dataset come one after the other. Where the service says
        something of a dataset behind its media (none does), its last part alone has it.

        The answer is closed when the iteration ends; one that is left early is best wrapped in
        ``contextlib.aclosing``. An answer that breaks off is not asked for again: see `read_parts`.

        Args:
            dataset_id: UUID of the dataset; None for all datasets.

        Raises:
            NotFoundError: It is unknown or deleted.
            APIError: The service cannot be asked, or refuses; also when the answer breaks off.
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
        dataset_id: str | None = None,
    ) -> T:
        """Return what a function makes of the parts of a dataset (see `iter_parts`).

        Args:
            reading: Awaited with the parts. Where the answer breaks off it is retried like any
                other read: this is then called again, and has to begin again.
            dataset_id: UUID of the dataset; None for all datasets.

        Raises:
            NotFoundError: It is unknown or deleted.
            APIError: The service cannot be asked, or refuses.
        """
        request = _listing_of(dataset_id)

        async def read_answer(answer: OpenAnswer) -> T:
            async with aclosing(iter_parts(request, answer, many=dataset_id is None)) as parts:
                return await reading(parts)

        return await self._session.read(request, read_answer)

    async def find(self, name: str) -> Dataset | None:
        """Return the dataset of a name with its media, or None. It lists all datasets.

        Args:
            name: Compared as the service does: without case and trailing blanks. An exact match
                goes first, and the oldest of several.

        Raises:
            APIError: The service cannot be asked, or refuses.
        """
        return find_by_name(await self._find_all(name), name)

    async def create(
        self, name: str, *, short_description: str = "", exist_ok: bool = False
    ) -> Dataset:
        """Create an image dataset. It lists all datasets before.

        Creations of one client wait for each other; other clients' may still double a name.

        Args:
            name: 1 to 128 letters, digits, blanks and underscores; unique without regard to case.
            short_description: At most 128 letters, digits, blanks, underscores and dashes.
            exist_ok: True to return the dataset that has the name already.

        Raises:
            AlreadyExistsError: A dataset has the name, and `exist_ok` is False.
            BadRequestError: The name or description breaks a rule; the text says which.
            RequestRefusedError: The name is a word reserved by the service.
            APIError: The service cannot be asked, or refuses.
        """
        async with self._creating:
            before = await self._find_all(name)
            if exist_ok and (existing := find_by_name(before, name)) is not None:
                return existing
            try:
                return await self._create(name, short_description, before)
            except AlreadyExistsError:
                if not exist_ok or (existing := await self.find(name)) is None:
                    raise
                return existing

    async def ensure(self, name: str) -> Dataset:
        """Return the dataset of a name, created if there is none.

        Unlike `create` with `exist_ok`, it lists the datasets only once the service refuses the
        name, for one who knows that it is most likely free: a listing holds all media there are.

        Args:
            name: See `create`.

        Raises:
            AlreadyExistsError: The service refuses the name, and lists no dataset of it.
            APIError: See `create`.
        """
        request = routes.create_dataset(name, "")
        async with self._creating:
            try:
                answer = await self._session.request_or_settle(request, lambda: self.find(name))
            except AlreadyExistsError:
                if (existing := await self.find(name)) is None:
                    raise
                return existing
        return await read(request, answer, Dataset) if isinstance(answer, Response) else answer

    async def _create(
        self, name: str, short_description: str, before: Collection[Dataset]
    ) -> Dataset:
        request = routes.create_dataset(name, short_description)
        known = {dataset.id for dataset in before}
        # Once a race has doubled a name, the service says ex_system instead of this (observed).
        if before:
            raise _name_is_taken(name, request.path)

        async def settle() -> Dataset | None:
            found = await self._find_all(name)
            return find_by_name((each for each in found if each.id not in known), name)

        answer = await self._session.request_or_settle(request, settle)
        return await read(request, answer, Dataset) if isinstance(answer, Response) else answer

    async def _find_all(self, name: str) -> Sequence[Dataset]:
        """Return the datasets of a name, for a race can double it; others leave no trace."""
        folded = fold_name(name)

        async def pick(parts: AsyncIterator[Dataset]) -> Sequence[Dataset]:
            found: dict[str, tuple[Dataset, ...]] = {}
            async for part in parts:
                if fold_name(part.name) == folded:
                    found[part.id] = (*found.get(part.id, ()), part)
            return [_joined(each) for each in found.values()]

        return await self.read_parts(pick)


def _listing_of(dataset_id: str | None) -> Request:
    return routes.list_datasets() if dataset_id is None else routes.get_dataset(dataset_id)


def _joined(parts: Sequence[Dataset]) -> Dataset:
    media = tuple(itertools.chain.from_iterable(part.media for part in parts))
    return attrs.evolve(parts[-1], media=media)


def _name_is_taken(name: str, path: str) -> AlreadyExistsError:
    return AlreadyExistsError(
        f"A dataset named {name!r} exists already (names are compared without case); use another"
        " name, or exist_ok=True to use that dataset",
        status=412,
        key="ex_alreadyexists",
        params=("Dataset", "name", name),
        method="POST",
        path=path,
    )


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
