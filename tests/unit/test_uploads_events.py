"""Events: told in order, and a callable of the user's can do no harm."""

from __future__ import annotations

import asyncio
import functools
import logging

import attrs
import pytest

from datagym_async._limits import LimiterState
from datagym_async.exceptions import ConfigurationError
from datagym_async.uploads import LimitChanged, Paused, UploadConfig, UploadEvent
from datagym_async.uploads._tally import Observer


def limiter(limit: int, in_flight: int = 0) -> LimiterState:
    """Return the state of a limiter."""
    return LimiterState(limit, in_flight, "because")


def test_only_a_change_of_the_limit_is_told() -> None:
    """What is in flight changes all the time; the first state is no change."""
    told: list[UploadEvent] = []
    events = Observer(told.append)

    for state in (limiter(2), limiter(2, 1), limiter(4), limiter(4, 3), limiter(2)):
        events.watch(state)

    assert told == [LimitChanged(limiter(4)), LimitChanged(limiter(2))]


@pytest.mark.parametrize("kind", [ValueError, StopIteration, asyncio.CancelledError])
def test_an_error_of_the_callable_is_logged_once(
    kind: type[BaseException], caplog: pytest.LogCaptureFixture
) -> None:
    """It is called again all the same, and nothing comes out."""
    calls: list[UploadEvent] = []

    def fail(event: UploadEvent) -> None:
        calls.append(event)
        raise kind("a slip")

    events = Observer(fail)
    with caplog.at_level(logging.ERROR, "datagym_async"):
        for seconds in (1, 2):
            events.tell(Paused(seconds, "429"))

    assert calls == [Paused(1, "429"), Paused(2, "429")]
    assert [record.getMessage() for record in caplog.records] == [
        "on_event failed, and the upload continues; this is logged once"
    ]


def test_without_a_callable_nothing_happens() -> None:
    """The usual case."""
    Observer().tell(Paused(1, "429"))


def test_events_are_frozen() -> None:
    """Whoever is told cannot change what others are told."""
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        Paused(1, "429").seconds = 2  # type: ignore[misc]


async def _told(event: UploadEvent) -> None:
    del event


class _Told:
    async def __call__(self, event: UploadEvent) -> None:
        del event


@pytest.mark.parametrize("wrong", [_told, functools.partial(_told), _Told(), "print", 3])
def test_only_plain_functions_are_taken(wrong: object) -> None:
    """Nobody would await a coroutine."""
    with pytest.raises(ConfigurationError, match="on_event"):
        UploadConfig(on_event=wrong)  # type: ignore[arg-type]  # wrong on purpose


def test_any_plain_callable_is_taken() -> None:
    """A method of a list, a partial: whatever can be called."""
    told: list[UploadEvent] = []
    for right in (told.append, functools.partial(told.insert, 0), print):
        assert UploadConfig(on_event=right).on_event is right
