"""The retry table, row by row, and the arithmetic of waiting."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datagym_async._retry import Action, RetryPolicy, decide, parse_retry_after
from datagym_async._wire import Replay
from datagym_async.exceptions import (
    APIConnectionError,
    APIError,
    APIResponseValidationError,
    APIStatusError,
    APITimeoutError,
    ConfigurationError,
)

NOW = datetime(2026, 11, 23, 12, 0, 0, tzinfo=UTC)


def status(code: int, key: str = "") -> APIStatusError:
    return APIStatusError("x", status=code, key=key)


ROWS = [
    pytest.param(
        APIConnectionError("x", request_sent=False),
        (Action.RETRY, Action.RETRY, Action.RETRY),
        id="nothing sent or body cut",
    ),
    pytest.param(
        APIConnectionError("x"),
        (Action.RETRY, Action.SETTLE, Action.UNKNOWN),
        id="answer lost",
    ),
    pytest.param(
        APITimeoutError("x"),
        (Action.RETRY, Action.SETTLE, Action.UNKNOWN),
        id="answer timed out",
    ),
    pytest.param(
        APIConnectionError("x", request_sent=False, lasting=True),
        (Action.FAIL, Action.FAIL, Action.FAIL),
        id="a certificate that is not accepted",
    ),
    pytest.param(status(429), (Action.RETRY, Action.SETTLE, Action.RETRY), id="429"),
    pytest.param(status(503), (Action.RETRY, Action.SETTLE, Action.RETRY), id="503"),
    pytest.param(status(502), (Action.RETRY, Action.SETTLE, Action.UNKNOWN), id="502"),
    pytest.param(status(504), (Action.RETRY, Action.SETTLE, Action.UNKNOWN), id="504"),
    pytest.param(
        status(500), (Action.RETRY, Action.SETTLE, Action.UNKNOWN), id="500 without a key"
    ),
    pytest.param(
        status(500, "ex_system"),
        (Action.RETRY_ONCE, Action.SETTLE_ONCE, Action.FAIL),
        id="500 ex_system",
    ),
    pytest.param(
        status(500, "ex_gen_aiseg_gpu_busy"),
        (Action.RETRY, Action.SETTLE, Action.RETRY),
        id="the one ex_gen that passes",
    ),
    *[
        pytest.param(status(code, key), (Action.FAIL,) * 3, id=f"{code} {key}")
        for code, key in [
            (400, "ex_validation"),
            (400, ""),
            (401, "ex_unauthorized"),
            (402, "ex_limit"),
            (403, "ex_forbidden"),
            (404, "ex_notfound"),
            (405, ""),
            (412, "ex_alreadyexists"),
            (413, ""),
            (415, ""),
            (500, "ex_gen_config_not_cleared"),
            (500, "ex_gen_file_stream"),
            (503, "ex_service_unavailable"),
            (503, "ex_feature_not_for_open_core"),
        ]
    ],
    pytest.param(APIResponseValidationError("x"), (Action.FAIL,) * 3, id="another shape"),
]


@pytest.mark.parametrize(("error", "actions"), ROWS)
def test_each_row_of_the_table(error: APIError, actions: tuple[Action, Action, Action]) -> None:
    """A failure leads to what design's table says, by the kind of request."""
    decided = tuple(decide(error, kind) for kind in (Replay.SAFE, Replay.SETTLE, Replay.NEVER))

    assert decided == actions


@pytest.mark.parametrize(
    ("field", "seconds"),
    [
        (None, None),
        ("", None),
        ("2", 2.0),
        (" 2.5 ", 2.5),
        ("-3", 0.0),
        ("nan", None),
        ("inf", None),
        ("soon", None),
        ("Mon, 23 Nov 2026 12:00:30 GMT", 30.0),
        ("Mon, 23 Nov 2026 11:00:00 GMT", 0.0),
        ("Mon, 23 Nov 2026 13:00:30 +0100", 30.0),
        ("Mon, 23 Nov 2026 12:00:30", 30.0),
        ("Mon, 99 Nov 2026 12:00:30 GMT", None),
        ("Fri, 31 Dec 10000 12:00:30 GMT", None),
        ("Fri, 31 Dec 99999999999999999999 12:00:30 GMT", None),
        ("Mon, 23 Nov 2026 12:00:30 +9999999999999", None),
        ("Mon, 01 Jan 0001 00:00:00 +2359", 0.0),
        ("1" * 5000, None),
    ],
)
def test_retry_after_in_every_form(field: str | None, seconds: float | None) -> None:
    """Retry-After is read as seconds and as a date; nonsense counts as absent."""
    assert parse_retry_after(field, now=NOW) == seconds


@given(attempt=st.integers(1, 10_000), chance=st.floats(0, 1, exclude_max=True))
def test_waits_stay_inside_their_bounds(attempt: int, chance: float) -> None:
    """A wait is between half of a bound and the bound, which doubles up to the largest one."""
    policy = RetryPolicy(initial_delay=0.5, max_delay=20.0)

    wait = policy.delay(attempt, retry_after=None, chance=chance)

    bound = min(20.0, 0.5 * 2.0 ** min(attempt - 1, 60))
    assert bound / 2 <= wait <= bound


@given(asked=st.floats(0, 1e6), chance=st.floats(0, 1, exclude_max=True))
def test_never_sooner_than_the_service_asks(asked: float, chance: float) -> None:
    """With Retry-After the wait is at least as long, and at most half a second longer."""
    wait = RetryPolicy().delay(3, retry_after=asked, chance=chance)

    assert asked <= wait <= asked + 0.5


@pytest.mark.parametrize("option", ["max_retries", "initial_delay", "max_delay", "budget"])
def test_negative_numbers_are_refused_by_name(option: str) -> None:
    """A policy names the option that makes no sense."""
    with pytest.raises(ConfigurationError, match=option):
        RetryPolicy(**{option: -1})
