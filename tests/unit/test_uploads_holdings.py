"""What datasets hold, read into the plan in parts: only a whole listing counts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

import attrs
import pytest

from datagym_async.exceptions import APIConnectionError
from datagym_async.models import Dataset, DatasetMedia, MediaSourceType
from datagym_async.uploads._target import Target, enter_held, find_media
from datagym_async.uploads.plan import Plan
from tests.helpers.fake_family import FakeFamily
from tests.helpers.parts import parts_of

T = TypeVar("T")


@attrs.define
class Breaking:
    """A family whose answers break off behind some parts, as often as it is told."""

    family: FakeFamily
    breaks: int = 1
    after: int = 1

    async def read_parts(
        self,
        reading: Callable[[AsyncIterator[Dataset]], Awaitable[T]],
        dataset_id: str | None = None,
    ) -> T:
        """Begin anew once, as the client's session does."""
        if self.breaks:
            self.breaks -= 1
            with pytest.raises(APIConnectionError):
                await reading(self._broken(dataset_id))
            if self.breaks:
                raise APIConnectionError("It broke off.")
        return await self.family.read_parts(reading, dataset_id)

    async def _broken(self, dataset_id: str | None) -> AsyncIterator[Dataset]:
        found = [each for each in self.family.datasets if dataset_id in {None, each.id}]
        count = 0
        async for part in parts_of(*found):
            yield part
            count += 1
            if count == self.after:
                raise APIConnectionError("It broke off.")


@asynccontextmanager
async def open_plan() -> AsyncIterator[Plan]:
    """Give an open plan."""
    plan = Plan()
    await asyncio.to_thread(plan.open)
    try:
        yield plan
    finally:
        await asyncio.to_thread(plan.close)


async def listed(plan: Plan) -> list[str]:
    """Return the ids of the media that the plan takes for held now."""

    def read() -> list[str]:
        with plan.using() as database:
            rows = database.execute("SELECT media_id FROM listed ORDER BY media_id").fetchall()
        return [media_id for (media_id,) in rows]

    return await asyncio.to_thread(read)


def photos(*names: str) -> FakeFamily:
    """Return an organisation with one dataset."""
    family = FakeFamily()
    family.add("Photos", *names)
    return family


async def test_a_listing_that_breaks_off_is_begun_anew() -> None:
    """Nothing of the broken answer counts twice, nor what has been deleted since."""
    family = photos("a", "b", "c")
    breaking = Breaking(family)

    async with open_plan() as plan:
        target = Target(breaking, None, "d-1")
        await target.open(plan.listed)

        assert await listed(plan) == ["m-a", "m-b", "m-c"]
        assert [each.held for each in target.members] == [3]


async def test_half_a_listing_never_counts() -> None:
    """Where listing again fails for good, what was listed before then counts on."""
    family = photos("a", "b", "c")
    breaking = Breaking(family, breaks=0)

    async with open_plan() as plan:
        target = Target(breaking, None, "d-1")
        await target.open(plan.listed)
        family.datasets[0] = attrs.evolve(family.datasets[0], media=())
        family.add("Photos 2", "z", "y")
        breaking.breaks = 2

        with pytest.raises(APIConnectionError):
            await target.list_again(plan.listed)
        assert await listed(plan) == ["m-a", "m-b", "m-c"]

        breaking.breaks = 0
        await target.list_again(plan.listed)
        assert await listed(plan) == []


async def test_only_the_first_listing_says_what_was_held_before() -> None:
    """A later one may list our own."""
    family = photos("a")

    async with open_plan() as plan:
        target = Target(family, None, "d-1")
        await target.open(plan.listed)
        family.add("More", "b")
        family.datasets[0] = attrs.evolve(family.datasets[1], id="d-1")
        await target.list_again(plan.listed)

        with plan.using() as database:
            held = [bytes(key) for (key,) in database.execute("SELECT key FROM held")]
        assert await listed(plan) == ["m-b"]
        assert held == [b"na"]


async def test_a_family_is_entered_and_nothing_else() -> None:
    """Also where one of a far number is read before it is known that it is none of it."""
    family = photos("a")
    for name in ("Photos 2026", "Photos 2", "Others 2", "Photos 02", "photos 3"):
        family.add(name, f"in {name}", links=("http",))

    async with open_plan() as plan:
        target = Target(family, None, "d-1", 100)
        await target.open(plan.listed)
        found = await listed(plan)

    assert [member.name for member in target.members] == ["Photos", "Photos 2", "photos 3"]
    assert found == ["m-a", "m-in Photos 2", "m-in photos 3", "u-http", "u-http"]
    assert family.listings == 1


async def test_links_are_remembered_for_families_alone() -> None:
    """Nobody asks where they are held if there is one dataset."""
    family = FakeFamily()
    family.add("Photos", "a", links=("b", "c"))

    async with open_plan() as plan:
        await asyncio.to_thread(plan.listed.begin)
        (plain,) = await enter_held(family, plan.listed, "d-1")
        (asked,) = await enter_held(family, plan.listed, "d-1", with_links=True)

    assert (plain.count, plain.links) == (3, set())
    assert (asked.count, asked.links) == (3, {"b", "c"})
    assert asked.dataset.media == ()


async def test_names_are_found_in_large_parts() -> None:
    """Beside the event loop; the oldest of a name counts."""
    media = tuple(
        DatasetMedia(f"m-{at}", -at, MediaSourceType.LOCAL, f"{at // 2}.JPG") for at in range(3000)
    )
    family = FakeFamily()
    family.datasets.append(Dataset("d", "Photos", 0, media=media))

    class Whole(FakeFamily):
        async def read_parts(
            self,
            reading: Callable[[AsyncIterator[Dataset]], Awaitable[T]],
            dataset_id: str | None = None,
        ) -> T:
            del dataset_id
            return await reading(parts_of(*family.datasets, size=3000))

    found = await find_media(Whole(), ["d"], {"7.jpg", "x.jpg"})

    assert {name: each.id for name, each in found.items()} == {"7.jpg": "m-15"}
