"""Spreading, whatever order things happen in: no dataset above its bound, every item placed."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from datagym_async.models import Dataset, MediaType
from datagym_async.uploads._target import MAX_GAP, Capacity, family_of, name_in_family

steps = st.lists(
    st.one_of(
        st.tuples(st.just("place"), st.integers(1, 9)),
        st.tuples(st.just("store"), st.integers(0, 50)),
        st.tuples(st.just("fail"), st.integers(0, 50)),
    ),
    max_size=120,
)


@given(most=st.integers(1, 7), held=st.lists(st.integers(0, 20), min_size=1), steps=steps)
def test_no_dataset_gets_more_than_its_bound(
    most: int, held: list[int], steps: list[tuple[str, int]]
) -> None:
    """Items reserve room in batches, are stored or fail in any order; failures give it back."""
    capacity = Capacity(most)
    for count in held:
        capacity.taken.append(count)
    stored = [0] * len(held)
    on_their_way: list[tuple[int, int]] = []

    for what, number in steps:
        if what == "place":
            while (reserved := capacity.reserve(number)) is None:
                capacity.taken.append(0)
                stored.append(0)
            index, granted = reserved
            assert 1 <= granted <= number
            full = [capacity.taken[before] for before in range(index)]
            assert all(taken >= most for taken in full), "a dataset before it had room"
            on_their_way.append(reserved)
        elif on_their_way:
            index, granted = on_their_way.pop(number % len(on_their_way))
            if what == "store":
                stored[index] += granted
            else:
                capacity.give_back(index, granted)

    before = [*held, *[0] * (len(stored) - len(held))]
    on_way = [sum(n for at, n in on_their_way if at == index) for index in range(len(stored))]
    for index, count in enumerate(stored):
        assert capacity.taken[index] == before[index] + count + on_way[index]
        assert count == 0 or before[index] + count <= most


@given(st.lists(st.integers(1, 30), min_size=1, max_size=60))
def test_without_a_bound_all_goes_to_one(batches: list[int]) -> None:
    """One dataset without a bound takes everything, whole batches at a time."""
    capacity = Capacity()
    capacity.taken.append(5)

    reserved = [capacity.reserve(batch) for batch in batches]

    assert reserved == [(0, batch) for batch in batches]


def dataset(name: str, timestamp: int = 0, kind: MediaType = MediaType.IMAGE) -> Dataset:
    """Return an empty dataset, its id made of name and time."""
    return Dataset(f"{name}@{timestamp}", name, timestamp, media_type=kind)


@given(
    numbers=st.sets(st.integers(2, 60)),
    others=st.lists(st.sampled_from(["Photos 02", "Photos x", "Photos 1", "Photo 2", "Photos2"])),
)
def test_a_family_is_what_is_numbered_without_large_gaps(
    numbers: set[int], others: list[str]
) -> None:
    """Its datasets come in the order of their numbers, up to the first large gap."""
    base = dataset("Photos")
    listed = [*map(dataset, others), *(dataset(f"PHOTOS {n}") for n in numbers), base]

    family = [number for number, _ in family_of(base, listed)]

    expected = [1]
    for number in sorted(numbers):
        if number - expected[-1] > MAX_GAP:
            break
        expected.append(number)
    assert family == expected


def test_a_year_is_no_number_of_a_family() -> None:
    """A dataset that is only called alike is left alone."""
    base = dataset("Photos")
    family = family_of(base, [base, dataset("Photos 2"), dataset("Photos 2026")])

    assert [each.name for _, each in family] == ["Photos", "Photos 2"]


def test_of_a_doubled_name_both_count_and_videos_do_not() -> None:
    """A race of creations doubles names; an image may be in either."""
    base = dataset("Photos  ")
    younger, older = dataset("photos 2", 9), dataset("Photos 2", 3)
    video = dataset("Photos 3", kind=MediaType.VIDEO)

    family = family_of(base, [younger, video, older, dataset("Photos 4")])

    assert [(n, each.timestamp) for n, each in family] == [(1, 0), (2, 3), (2, 9), (4, 0)]
    assert name_in_family(base.name, 2) == "Photos 2"
