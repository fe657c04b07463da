"""The controller's promises, whatever it is told."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from datagym_async._limits import Gradient

_SECONDS = st.floats(0, 1_000, allow_nan=False)
_ANSWER = st.tuples(st.just("answer"), st.integers(0, 10**9), _SECONDS, st.integers(0, 5))
_OVERLOAD = st.tuples(st.just("overload"), st.just(0), st.just(0.0), st.integers(0, 5))


@given(
    most=st.integers(1, 200),
    told=st.lists(st.tuples(st.one_of(_ANSWER, _OVERLOAD), st.integers(1, 40)), max_size=60),
)
def test_the_limit_stays_between_one_and_the_maximum(
    most: int, told: list[tuple[tuple[str, int, float, int], int]]
) -> None:
    """Sizes, latencies and epochs of any kind never take the limit out of its bounds."""
    gradient = Gradient(most)
    for (what, size, seconds, age), times in told:
        for _ in range(times):
            epoch = max(0, gradient.epoch - age)
            if what == "overload":
                gradient.overloaded("503", epoch=epoch)
            else:
                gradient.succeeded(
                    size=size, seconds=seconds, in_flight=gradient.limit, epoch=epoch
                )
            assert 1 <= gradient.limit <= most
            assert gradient.reason


@given(before=st.integers(0, 400), signs=st.integers(1, 100))
def test_signs_of_one_epoch_halve_once(before: int, signs: int) -> None:
    """However many requests fail together, the limit is halved by them once."""
    gradient = Gradient(128)
    for _ in range(before):
        gradient.succeeded(size=1, seconds=0.1, in_flight=gradient.limit, epoch=gradient.epoch)
    limit, epoch = gradient.limit, gradient.epoch

    for _ in range(signs):
        gradient.overloaded("503", epoch=epoch)

    assert gradient.limit >= max(1, limit // 2)
    assert gradient.limit <= max(1, (limit + 1) // 2)
