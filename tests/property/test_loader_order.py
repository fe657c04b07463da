"""Property: an order is a permutation, whatever it orders."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from datagym_async.data._order import Order, Progress, Rest


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
