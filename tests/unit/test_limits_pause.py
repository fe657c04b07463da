"""The header fields that ask for a pause, and the pause itself, in virtual time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datagym_async._limits import Limits, LimitsConfig
from datagym_async._retry import pause_asked
from datagym_async._wire import Lane

NOW = 1_795_000_000.0


def _now() -> float:
    return NOW


ROWS = [
    ({}, None),
    ({"ratelimit": '"default";r=0;t=30'}, 30),
    ({"ratelimit": '"default";r=12;t=30'}, None),
    ({"ratelimit": '"default";t=30;r=0'}, 30),
    ({"ratelimit": "default;r=0;t=30"}, 30),
    ({"ratelimit": '"default"; r=0 ; t=30'}, 30),
    ({"ratelimit": '"a";r=0;t=5, "b";r=0;t=60, "c";r=7;t=600'}, 60),
    ({"ratelimit": '"a, b; r=0";r=3;t=9'}, None),
    ({"ratelimit": '"a";r=0;t=9;pk=:cHsdsRa894==:'}, 9),
    ({"ratelimit": '"default";r=0'}, None),
    ({"ratelimit": '"default";r=0;t=soon'}, None),
    ({"ratelimit": '"default";r=0;t=0'}, None),
    ({"ratelimit": '"default'}, None),
    ({"ratelimit": ""}, None),
    ({"ratelimit": "limit=100, remaining=0, reset=20"}, 20),
    ({"ratelimit": "limit=100, remaining=1, reset=20"}, None),
    ({"ratelimit-remaining": "0", "ratelimit-reset": "15"}, 15),
    ({"ratelimit-remaining": "1", "ratelimit-reset": "15"}, None),
    ({"ratelimit-remaining": "0"}, None),
    ({"ratelimit-remaining": "none", "ratelimit-reset": "15"}, None),
    ({"ratelimit-remaining": "0", "ratelimit-reset": "nan"}, None),
    ({"ratelimit-remaining": "0", "ratelimit-reset": "-5"}, None),
    ({"ratelimit-remaining": "0, 0", "ratelimit-reset": "1, 60"}, 1),
    ({"ratelimit-remaining": "0;w=60", "ratelimit-reset": "9;w=60"}, 9),
    ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "7"}, 7),
    ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": str(int(NOW) + 40)}, 40),
    ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": str(int(NOW * 1000) + 2500)}, 2.5),
    ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": str(int(NOW) - 40)}, None),
]


@pytest.mark.parametrize(("headers", "seconds"), ROWS)
def test_rate_limit_fields_in_every_generation(
    headers: dict[str, str], seconds: float | None
) -> None:
    """Nothing remaining asks to wait for the reset; whatever makes no sense asks for nothing."""
    assert pause_asked(headers, now=_now) == seconds


@given(field=st.text(max_size=300))
def test_no_field_is_an_error(field: str) -> None:
    """Nonsense from the service never raises, and never asks for less than nothing."""
    for name in ("ratelimit", "ratelimit-remaining", "x-ratelimit-remaining"):
        asked = pause_asked({name: field, "ratelimit-reset": field}, now=_now)
        assert asked is None or asked > 0


def test_a_very_long_field_is_read_in_no_time() -> None:
    """A field made to be slow to read is cut first."""
    assert pause_asked({"ratelimit": '"' * 100_000}, now=_now) is None
    assert pause_asked({"ratelimit": '"a";r=0;t=3' + ', "\\\\' * 50_000}, now=_now) == 3


@pytest.mark.looptime
async def test_a_longer_pause_stays() -> None:
    """A shorter pause that is asked for later does not end the one that is on."""
    limits = Limits(LimitsConfig(rate=None))
    clock = limits.clock
    began = clock()
    limits.pause(30)
    limits.pause(5)

    (await limits.slot(Lane.CALL)).__exit__()

    assert clock() - began == 30


@pytest.mark.looptime
async def test_a_step_of_the_clock_is_no_pause() -> None:
    """A timer that fired a step early ends the wait: who looks again must not sleep for nothing."""
    limits = Limits(LimitsConfig(rate=None))
    limits.pause(1e-5)

    (await limits.slot(Lane.CALL)).__exit__()

    assert limits.waited.pause == 0
