"""Read what datasets hold: part by part, so that none of them is ever in memory as a whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from datagym_async._wire._names import fold_name
from datagym_async.models import Dataset, DatasetMedia, MediaSourceType
from datagym_async.transfer._listed import Listed
from datagym_async.transfer._needs import DatasetLookup
from datagym_async.transfer._threads import in_thread

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Collection, Iterable

_SMALL = 1000  # media whose names are compared without a thread: about 2 ms


@attrs.define
class Holding:
    """What a dataset holds, in numbers.

    Args:
        dataset: What it says of itself, without its media.

    Attributes:
        count: Its media.
        links: Names of those that are links, folded, if they are wanted.
    """

    dataset: Dataset
    count: int = 0
    links: set[str] = attrs.field(factory=set)

    def add(self, part: Dataset, *, with_links: bool) -> None:
        """Count some of its media."""
        self.dataset = attrs.evolve(part, media=())
        self.count += len(part.media)
        if with_links:
            self.links.update(
                fold_name(each.stored_name)
                for each in part.media
                if each.source_type is MediaSourceType.SHAREABLE_LINK
            )


@attrs.frozen
class Holdings:
    """Enter what datasets hold into a listing.

    Args:
        datasets: Lists them.
        listed: Takes what they hold; the caller begins and ends the listing.
        with_links: Whether the names of links are kept.
    """

    _datasets: DatasetLookup
    _listed: Listed
    _with_links: bool = False

    async def enter(self, dataset_id: str) -> Holding:
        """Enter a dataset.

        Raises:
            APIError: It cannot be listed.
        """
        (found,) = await self._enter(dataset_id, lambda _: True)
        return found

    async def enter_all(self, is_wanted: Callable[[Dataset], bool]) -> list[Holding]:
        """Enter some of all the datasets there are.

        Args:
            is_wanted: Says which, by what a dataset says of itself.

        Raises:
            APIError: They cannot be listed.
        """
        return await self._enter(None, is_wanted)

    async def drop(self, dataset_id: str) -> None:
        """Take a dataset back."""
        await in_thread(self._listed.drop, dataset_id)

    async def _enter(
        self, dataset_id: str | None, is_wanted: Callable[[Dataset], bool]
    ) -> list[Holding]:
        found: dict[str, Holding] = {}

        async def enter(parts: AsyncIterator[Dataset]) -> list[Holding]:
            for each in found:  # of an answer that broke off
                await self.drop(each)
            found.clear()
            async for part in parts:
                if is_wanted(part):
                    held = found.setdefault(part.id, Holding(part))
                    held.add(part, with_links=self._with_links)
                    await in_thread(self._listed.add, part)
            return list(found.values())

        return await self._datasets.read_parts(enter, dataset_id)


async def find_media(
    datasets: DatasetLookup, dataset_ids: Iterable[str], wanted: Collection[str]
) -> dict[str, DatasetMedia]:
    """Return the oldest media of each wanted name, but for links.

    Args:
        datasets: Lists the datasets.
        dataset_ids: Where to look.
        wanted: The names as they are stored, folded.

    Raises:
        APIError: A dataset cannot be listed.
    """
    found: dict[str, DatasetMedia] = {}

    async def look(parts: AsyncIterator[Dataset]) -> None:
        # What an answer held that broke off was there all the same: it needs no beginning anew.
        async for part in parts:
            if len(part.media) > _SMALL:
                await in_thread(_pick, part, wanted, found)
            else:
                _pick(part, wanted, found)

    for each in dataset_ids:
        await datasets.read_parts(look, each)
    return found


def _pick(part: Dataset, wanted: Collection[str], found: dict[str, DatasetMedia]) -> None:
    for media in part.media:
        key = fold_name(media.stored_name)
        if key in wanted and media.source_type != MediaSourceType.SHAREABLE_LINK:
            known = found.get(key)
            if known is None or media.timestamp < known.timestamp:
                found[key] = media
