"""The target of an upload: one dataset, or a family that grows as it is filled."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import attrs
import pytest

from datagym_async.exceptions import (
    ConfigurationError,
    InternalServerError,
    NotFoundError,
)
from datagym_async.models import MediaType
from datagym_async.uploads._target import SEVERAL, Member, NoDatasetError, Room, Target
from datagym_async.uploads.plan import Plan
from tests.helpers.fake_family import PROJECT_ID, FakeFamily, FakeProjects


@pytest.fixture
def family() -> FakeFamily:
    """Return an organisation with one empty dataset."""
    family = FakeFamily()
    family.add("Photos")
    return family


async def opened(family: FakeFamily, most: int | None, *attach_to: str) -> Target:
    """Return an open target that begins at the first dataset."""
    target = Target(family, FakeProjects(family), family.datasets[0].id, most, attach_to)
    await open_target(target)
    return target


async def open_target(target: Target) -> None:
    """Open a target with a plan that takes what it holds."""
    plan = Plan()
    await asyncio.to_thread(plan.open)
    try:
        await target.open(plan.listed)
    finally:
        await asyncio.to_thread(plan.close)


@asynccontextmanager
async def room_in(target: Target, count: int = 1, home: int | None = None) -> AsyncIterator[Room]:
    """Give room in a dataset, in the next one where all are full, and leave it."""
    room = target.room(count, home) or await target.room_made(count)
    try:
        yield room
    finally:
        room.leave()


async def store(target: Target, count: int) -> None:
    """Store some images, one after the other."""
    for _ in range(count):
        async with room_in(target) as room:
            room.kept = 1


def kept(target: Target) -> dict[str, int]:
    """Return for how many images room is kept in each dataset."""
    counts = zip(target.members, target.capacity.taken, strict=True)
    return {each.name: taken - each.held for each, taken in counts}


async def test_one_dataset_takes_all_and_no_listing(family: FakeFamily) -> None:
    """Without a bound there is one look-up, and nothing is created."""
    target = await opened(family, None)

    await store(target, 30)
    async with room_in(target, 10_000) as first, room_in(target, 10_000) as second:
        assert first.dataset_id == second.dataset_id == "d-1"
        assert min(first.count, second.count) >= 10_000

    assert (family.listings, family.created) == (0, [])
    assert [(each.dataset_id, each.name, each.number) for each in target.members] == [
        ("d-1", "Photos", 1)
    ]


async def test_datasets_are_filled_in_order_and_made_as_needed(family: FakeFamily) -> None:
    """What others hold counts: full ones are left out, half-full ones filled up."""
    family.add("Photos 3", "a", "b", "c", "d")
    family.add("photos 2 ", "e", links=("f",))
    target = await opened(family, 3)

    await store(target, 7)

    assert kept(target) == {"Photos": 3, "photos 2 ": 1, "Photos 3": 0, "Photos 4": 3}
    assert [each.created for each in target.members] == [False, False, False, True]
    assert (family.listings, family.created) == (1, ["Photos 4"])


async def test_workers_together_never_send_more_than_fits(family: FakeFamily) -> None:
    """Room is reserved before sending; each dataset is made once."""
    target, peak = await opened(family, 4), Counter[str]()
    on_way = Counter[str]()

    async def worker() -> None:
        for _ in range(5):
            async with room_in(target) as room:
                on_way[room.dataset_id] += 1
                peak[room.dataset_id] = max(peak[room.dataset_id], on_way[room.dataset_id])
                await asyncio.sleep(0)
                room.kept = 1

    async with asyncio.TaskGroup() as group:
        for _ in range(8):
            group.create_task(worker())

    assert list(kept(target).values()) == [4] * 10
    assert family.created == [f"Photos {number}" for number in range(2, 11)]
    assert max(peak.values()) == 4


async def test_a_failed_item_gives_its_room_back(family: FakeFamily) -> None:
    """Whatever ends the block: only what was kept counts."""
    target = await opened(family, 2)

    async with room_in(target):
        pass
    with pytest.raises(OSError, match="gone"):
        async with room_in(target):
            raise OSError("gone")
    async with room_in(target) as room:
        room.kept = 1
    await store(target, 1)

    assert kept(target) == {"Photos": 2}
    assert target.members[0].held == 0
    await store(target, 1)
    assert kept(target) == {"Photos": 2, "Photos 2": 1}


async def test_a_batch_gets_what_room_there_is(family: FakeFamily) -> None:
    """A batch of links goes on in the next dataset."""
    target = await opened(family, 5)

    granted = []
    left = 12
    while left:
        async with room_in(target, left) as room:
            granted.append((room.dataset_id, room.count))
            room.kept = room.count
            left -= room.count

    assert granted == [("d-1", 5), ("d-2", 5), ("d-3", 2)]


async def test_every_dataset_is_attached_before_it_is_used(family: FakeFamily) -> None:
    """One that a killed run left unattached is attached at the start; others are left alone."""
    family.add("Photos 2", "a")
    family.attached[PROJECT_ID.upper()].append("d-1")
    target = await opened(family, 1, PROJECT_ID)

    assert family.attached[PROJECT_ID.upper()] == ["d-1", "d-2"]
    await store(target, 2)

    assert family.attached[PROJECT_ID.upper()] == ["d-1", "d-2", "d-3"]


async def test_a_dataset_without_bound_is_attached_too(family: FakeFamily) -> None:
    """`attach_to` does not depend on spreading."""
    await opened(family, None, PROJECT_ID)

    assert family.attached[PROJECT_ID.upper()] == ["d-1"]


async def test_created_ones_are_told(family: FakeFamily) -> None:
    """The callback is called when the dataset is ready."""
    told: list[Member] = []
    target = Target(family, None, "d-1", 1, on_created=told.append)
    await open_target(target)

    await store(target, 3)

    assert [(each.dataset_id, each.name, each.number) for each in told] == [
        ("d-2", "Photos 2", 2),
        ("d-3", "Photos 3", 3),
    ]


async def test_a_name_that_only_a_deleted_dataset_has_is_left_out(family: FakeFamily) -> None:
    """The next number is taken instead."""
    family.taken.add("Photos 2")
    target = await opened(family, 1)

    await store(target, 3)

    assert kept(target) == {"Photos": 1, "Photos 3": 1, "Photos 4": 1}


async def test_no_end_of_taken_names_is_an_error(family: FakeFamily) -> None:
    """The search for a free name ends."""
    family.taken |= {f"Photos {number}" for number in range(2, 40)}
    target = await opened(family, 1)
    await store(target, 1)

    with pytest.raises(NoDatasetError, match="'Photos 2' and the next names after it are taken"):
        await store(target, 1)


async def test_a_dataset_of_another_run_is_joined(family: FakeFamily) -> None:
    """Made meanwhile by somebody else, it counts with what it holds."""
    target = await opened(family, 2)
    family.add("Photos 2", "a")

    await store(target, 5)

    assert kept(target) == {"Photos": 2, "Photos 2": 1, "Photos 3": 2}
    assert [each.created for each in target.members] == [False, False, True]


async def test_without_a_next_dataset_all_who_wait_are_told(family: FakeFamily) -> None:
    """It is tried once; the error names its cause."""
    target = await opened(family, 1)
    await store(target, 1)
    family.refusal = InternalServerError("It failed.", status=500, key="ex_system")

    async def fail() -> str:
        with pytest.raises(NoDatasetError) as caught:
            await store(target, 1)
        assert caught.value.__cause__ is family_refusal
        return str(caught.value)

    family_refusal = family.refusal
    async with asyncio.TaskGroup() as group:
        texts = [group.create_task(fail()) for _ in range(3)]

    expected = "The next dataset after 'Photos' cannot be made: It failed."
    assert {task.result() for task in texts} == {expected}


@pytest.mark.parametrize("name", ["x" * 123, "with-dash", "käse"])
async def test_a_base_without_a_next_name_is_refused_at_once(name: str) -> None:
    """Before anything is sent."""
    family = FakeFamily()
    family.add(name)

    with pytest.raises(ConfigurationError, match="cannot be spread"):
        await opened(family, 100)
    assert (await opened(family, None)).name == name


async def test_videos_are_not_spread(family: FakeFamily) -> None:
    """A dataset of videos is no base."""
    family.datasets[0] = attrs.evolve(family.datasets[0], media_type=MediaType.VIDEO)

    with pytest.raises(ConfigurationError, match="not for images"):
        await opened(family, 100)


async def test_an_unknown_dataset_is_the_plain_error(family: FakeFamily) -> None:
    """Soft-deleted ones too: the service would still store images in them."""
    with pytest.raises(NotFoundError):
        await open_target(Target(family, None, "d-9", 5))


async def test_attach_to_needs_projects(family: FakeFamily) -> None:
    """An uploader without a client cannot attach."""
    with pytest.raises(ConfigurationError, match="attach_to"):
        await open_target(Target(family, None, "d-1", None, (PROJECT_ID,)))


async def test_a_link_goes_where_its_name_is_held(family: FakeFamily) -> None:
    """There the service can say whether it is the same address; full or not."""
    family.add("Photos 2", links=("a.jpg", "both.jpg"))
    family.add("Photos 3", links=("both.jpg", "B.jpg"))
    target = await opened(family, 1)
    names = ("A.jpg", "b.jpg", "both.jpg", "n.jpg")

    homes = [target.home_of(f"http://h/x/{name}?size=1") for name in names]

    assert homes == [1, 2, SEVERAL, None]
    async with room_in(target, 3, 1) as room:
        assert (room.dataset_id, room.count) == ("d-2", 3)


async def test_without_a_bound_links_go_to_the_one_dataset(family: FakeFamily) -> None:
    """Whatever it holds: the service says what it has."""
    family.datasets[0] = attrs.evolve(family.datasets[0], media=family.add("x", links=("a",)).media)
    target = await opened(family, None)

    assert target.home_of("http://h/a") is None
