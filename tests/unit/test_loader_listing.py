"""The listing of a loader: gathered part by part, and the same whatever the order."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

import attrs
import pytest

from datagym_async.data._listing import Listing, list_media, pack
from datagym_async.exceptions import APIConnectionError, ConfigurationError
from datagym_async.models import Dataset, DatasetMedia, MediaSourceType
from tests.helpers.fake_library import FakeLibrary, media_id
from tests.helpers.parts import parts_of

T = TypeVar("T")
LINK, LOCAL = MediaSourceType.SHAREABLE_LINK, MediaSourceType.LOCAL


@attrs.frozen
class Datasets:
    """One dataset, whose first answer breaks off."""

    media: tuple[DatasetMedia, ...]

    async def read_parts(
        self,
        reading: Callable[[AsyncIterator[Dataset]], Awaitable[T]],
        dataset_id: str | None = None,
    ) -> T:
        whole = Dataset(str(dataset_id), "Photos", 0, media=self.media)
        with pytest.raises(APIConnectionError):
            await reading(self._broken(attrs.evolve(whole, media=self.media[::-1])))
        return await reading(parts_of(whole))

    async def _broken(self, whole: Dataset) -> AsyncIterator[Dataset]:
        async for part in parts_of(whole):
            yield part
            raise APIConnectionError("It broke off.")


def some(*kinds: MediaSourceType) -> tuple[DatasetMedia, ...]:
    """Return media of these kinds, in the order of their ids."""
    return tuple(
        DatasetMedia(media_id(at), at, kind, f"ä{at}.jpg", stored_name=f"%C3%A4{at}.jpg")
        for at, kind in enumerate(kinds)
    )


async def listed(media: tuple[DatasetMedia, ...], links: str) -> tuple[DatasetMedia, ...]:
    """Return what a loader lists."""
    library = attrs.evolve(FakeLibrary(0).library, datasets=Datasets(media))
    return tuple(await list_media(library, "d", None, links=links))  # type: ignore[arg-type]  # a table of options


async def test_an_answer_that_breaks_off_is_forgotten() -> None:
    """Nothing of it is listed or counted twice."""
    media = some(LOCAL, LINK, LOCAL, LINK, LOCAL)

    assert await listed(media, "service") == media
    assert await listed(media, "skip") == media[::2]
    with pytest.raises(ConfigurationError, match=r"^2 of 5 media are links"):
        await listed(media, "refuse")


def test_the_order_is_that_of_the_ids() -> None:
    """Also of ids that begin alike; of one given twice, one is kept."""
    ids = ["b", "a", "ab", "a-", "b"]
    listing = Listing(pack(DatasetMedia(each, 0, LOCAL, f"{each}\x00.jpg")) for each in ids)

    assert [each.id for each in listing] == ["a", "a-", "ab", "b"]
    assert [each.name for each in listing] == ["a\x00.jpg", "a-\x00.jpg", "ab\x00.jpg", "b\x00.jpg"]
    again = Listing(pack(DatasetMedia(each, 7, LINK, "x")) for each in sorted(ids))
    assert again.fingerprint == listing.fingerprint
    other = Listing(pack(DatasetMedia(each, 0, LOCAL, "x")) for each in ["b", "a", "ac", "a-"])
    assert (len(other), other.fingerprint == listing.fingerprint) == (4, False)
