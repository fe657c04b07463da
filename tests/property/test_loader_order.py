"""Property: an order is a permutation, whatever it orders."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datagym_async.data._order import LoaderState, Order, Progress, Rest, State, resumption
from datagym_async.exceptions import ConfigurationError


@given(st.integers(0, 300), st.integers(-5, 2**70), st.integers(0, 9))
def test_a_shuffle_is_a_permutation(count: int, seed: int, epoch: int) -> None:
    """Each thing comes once; the same seed and epoch give the same order."""
    order = Order(count, seed, epoch)
    shuffled = [order.at(position) for position in range(count)]

    assert sorted(shuffled) == list(range(count))
    assert shuffled == [Order(count, seed, epoch).at(position) for position in range(count)]


def test_every_place_is_as_likely_as_any_other() -> None:
    """Over many seeds each of 24 orders of 4 things comes about as often (chi-squared, 99.9 %)."""
    seen: dict[tuple[int, ...], int] = {}
    for seed in range(4800):
        order = Order(4, seed)
        key = tuple(order.at(position) for position in range(4))
        seen[key] = seen.get(key, 0) + 1

    assert len(seen) == 24
    assert sum((times - 200) ** 2 / 200 for times in seen.values()) < 49.7


def test_seeds_and_epochs_differ() -> None:
    """Neighbouring seeds and epochs share no more places than chance has it."""
    orders = [Order(1000, seed, epoch) for seed in range(4) for epoch in range(4)]
    rows = [[order.at(position) for position in range(1000)] for order in orders]
    same = [
        sum(a == b for a, b in zip(one, other, strict=True))
        for number, one in enumerate(rows)
        for other in rows[:number]
    ]

    assert max(same) < 12
    assert 0.5 < sum(same) / len(same) < 1.5


def test_the_order_of_a_seed_is_the_same_in_every_version() -> None:
    """A state of today means the same samples tomorrow; another order needs another version."""
    order = Order(12, 8, epoch=1)
    expected = [1, 6, 8, 10, 2, 0, 7, 11, 3, 5, 4, 9]
    assert [order.at(position) for position in range(12)] == expected


@given(st.integers(0, 60), st.integers(0, 2**20), st.integers(1, 4), st.integers(0, 60))
def test_to_advance_is_to_mark_the_next_ones(count: int, done: int, shards: int, more: int) -> None:
    """Also where some behind them are done already."""
    marked, advanced = (Progress(Rest(count), shards - 1, shards) for _ in range(2))
    for progress in (marked, advanced):
        for number in range(len(progress)):
            if done >> number & 1:
                progress.mark(number)
    following = list(marked.pending())[:more]
    for number in following:
        marked.mark(number)
    advanced.advance(len(following))

    assert advanced == marked


def of(shard: int, shards: int, **others: Any) -> State:
    """Return the state of a shard of twelve media."""
    known = {"epoch": 3, "seed": 5, "media": 12, "listing": "abc"}
    return LoaderState(**known | others, shard=shard, shards=shards).as_dict()  # type: ignore[arg-type]  # a table


@pytest.mark.parametrize(
    "other",
    [
        {"seed": 6},
        {"listing": "abd"},
        {"base": 2},
        {"done": 1},
        {"epoch": 5},
        {"epoch": 4, "passed": 1},
        {"epoch": 4, "base": 1},
        {"epoch": 4, "done": 1},
        {"epoch": 4, "ahead": 2},
    ],
)
@pytest.mark.parametrize("shards", [1, 2, 3])
def test_states_that_do_not_belong_together_are_refused(other: dict[str, Any], shards: int) -> None:
    """Also for the shard of one of them: the others would load something else."""
    with pytest.raises(ConfigurationError, match="not those of all shards of one loader"):
        resumption([of(0, 2, passed=1), of(1, 2, **other)], shard=0, shards=shards)


@pytest.mark.parametrize(
    ("states", "left"),
    [
        ([of(0, 2, passed=1), of(1, 2, passed=2)], [2, 4, 5, 6, 7, 8, 9, 10, 11]),
        ([of(0, 2, passed=1), of(1, 2, epoch=4)], [2, 4, 6, 8, 10]),  # the other has finished
        ([of(0, 2, passed=5), of(1, 2, media=0, listing="")], [1, 3, 5, 7, 9, 10, 11]),  # or waits
        ([of(0, 1, passed=2, ahead=2)], [2, 4, 5, 6, 7, 8, 9, 10, 11]),
    ],
)
def test_what_is_left_after_all_shards_is_divided_again(
    states: list[State], left: list[int]
) -> None:
    """In order, among any number of shards."""
    found: list[int] = []
    for shard in range(3):
        state, progress = resumption(states, shard=shard, shards=3)
        assert (state.epoch, state.seed, state.media, state.listing) == (3, 5, 12, "abc")
        found += [progress.position(number) for number in progress.pending()]

    assert sorted(found) == left


def test_a_shard_among_others_of_its_own_number_resumes_by_itself() -> None:
    """As one of several trainings: what the others did, and of which epoch, is theirs."""
    states = [of(2, 4, passed=1, ahead=2), of(1, 4, epoch=7)]

    state, progress = resumption(states, shard=2, shards=4)
    assert (state.epoch, progress) == (3, Progress(Rest(12), 2, 4, passed=1, ahead=2))
