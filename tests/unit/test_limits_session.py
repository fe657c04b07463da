"""What a session learns from attempts: lanes, pauses and the retry budget, in virtual time."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import attrs
import pytest

from datagym_async._limits import Limits, LimitsConfig
from datagym_async._retry import SEEMS_DOWN, RetryPolicy
from datagym_async._session import Session
from datagym_async._transport import StreamedResponse, Timeout
from datagym_async._wire import Body, Lane, Replay, Request
from datagym_async.exceptions import (
    AlreadyExistsError,
    APIConnectionError,
    APIError,
    APITimeoutError,
    RateLimitError,
    ServiceUnavailableError,
)
from tests.helpers.fake_transport import FakeTransport, Step, answer

pytestmark = pytest.mark.looptime

READ = Request("GET", "dataset")
UPLOAD = Request(
    "POST",
    "media/1/file",
    body=Body.of_bytes(b"x" * 10),
    replay=Replay.SAFE,
    lane=Lane.UPLOAD,
)
DOWNLOAD = Request("GET", "media/1", lane=Lane.DOWNLOAD)
NOW = datetime(2026, 11, 23, 12, 0, 0, tzinfo=UTC)


def error(status: int, key: str = "", **headers: str) -> StreamedResponse:
    body = f'{{"key": "{key}", "params": [], "code": {status}, "details": []}}' if key else ""
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    return answer(status, body.encode(), headers=fields)


def session_of(transport: FakeTransport, *, uploads: int = 8, **policy: Any) -> Session:
    return Session(
        transport,
        limits=Limits(LimitsConfig(rate=None, uploads=uploads)),
        retry=RetryPolicy(**{"initial_delay": 0, "settle_after": 0, **policy}),
        timeout=Timeout(),
        base_url="https://service.test/",
        now=lambda: NOW,
    )


def seconds() -> float:
    return asyncio.get_running_loop().time()


class Busy:
    """A service that works on so many requests at once, each for so long."""

    def __init__(self, places: int, latency: float) -> None:
        self._places = asyncio.Semaphore(places)
        self._latency = latency
        self.count = 0

    async def __call__(self, _: Request) -> StreamedResponse:
        async with self._places:
            await asyncio.sleep(self._latency)
        self.count += 1
        return answer()


async def crowd(session: Session, *, workers: int, until: float) -> None:
    """Upload with so many workers until a moment."""

    async def work() -> None:
        while seconds() < until:
            await session.request(UPLOAD)

    async with asyncio.TaskGroup() as group:
        for _ in range(workers):
            group.create_task(work())


@pytest.mark.parametrize(("places", "latency"), [(4, 0.05), (16, 0.05), (16, 0.2)])
async def test_uploads_find_what_the_service_can_do(places: int, latency: float) -> None:
    """With 64 workers: 0.9 of what the places allow within 10 seconds, and few that wait there."""
    service = Busy(places, latency)
    transport = FakeTransport([])
    transport.script = Endless(service)  # type: ignore[assignment]  # pops for ever
    session = session_of(transport, uploads=64)

    await crowd(session, workers=64, until=10)
    before = service.count
    await crowd(session, workers=64, until=15)

    assert (service.count - before) / 5 >= 0.9 * places / latency
    assert session.statistics().p95 <= 2.01 * latency
    assert session.limiter(Lane.UPLOAD).limit <= 2 * places
    assert session.limiter(Lane.UPLOAD).in_flight == 0


@attrs.frozen
class Endless:
    """A script that never ends."""

    step: Step

    def pop(self, _: int) -> Step:
        return self.step


async def grown(*then: Step, **policy: Any) -> tuple[FakeTransport, Session]:
    """Return a session whose upload lane has grown to 8, and whose transport goes on as told."""
    transport = FakeTransport([])
    service = Busy(8, 0.1)
    transport.script = Endless(service)  # type: ignore[assignment]  # pops for ever
    session = session_of(transport, **policy)
    await crowd(session, workers=8, until=5)
    assert session.limiter(Lane.UPLOAD).limit == 8
    transport.script = list(then)
    return transport, session


SIGNS = [
    pytest.param(error(429), "429", id="429"),
    pytest.param(error(503), "503", id="503"),
    pytest.param(error(504), "504", id="504"),
    pytest.param(error(500), "500", id="the pool of connections is used up"),
    pytest.param(APITimeoutError("slow"), "timeout", id="timeout"),
]


@pytest.mark.parametrize(("failure", "sign"), SIGNS)
async def test_signs_of_overload_halve_the_lane(failure: Step, sign: str) -> None:
    """Whatever says that the service has too much to do halves the lane, and is counted."""
    failure = attrs.evolve(failure) if isinstance(failure, StreamedResponse) else failure
    _, session = await grown(failure, max_retries=0)

    with pytest.raises(APIError):
        await session.request(UPLOAD)

    assert session.limiter(Lane.UPLOAD).limit == 4
    assert session.limiter(Lane.UPLOAD).reason == f"halved after {sign}"
    assert session.statistics().overloads == {sign: 1}


NO_SIGNS = [
    pytest.param(lambda: error(412, "ex_alreadyexists"), id="412"),
    pytest.param(lambda: error(400, "ex_validation"), id="400"),
    pytest.param(lambda: error(500, "ex_system"), id="500 with a key"),
    pytest.param(lambda: error(503, "ex_service_unavailable", retry_after="9"), id="503 with one"),
    pytest.param(lambda: error(502), id="502"),
    pytest.param(lambda: APIConnectionError("gone"), id="lost"),
]


@pytest.mark.parametrize("failure", NO_SIGNS)
async def test_other_failures_leave_the_lane_alone(failure: Any) -> None:
    """What the service decided, or the way broke, is no sign of overload and no pause."""
    _, session = await grown(failure(), answer(), max_retries=0)
    before = seconds()

    with pytest.raises(APIError):
        await session.request(UPLOAD)
    await session.request(UPLOAD)

    assert session.limiter(Lane.UPLOAD).limit == 8
    assert session.statistics().overloads == {}
    assert seconds() == before


async def test_many_refusals_let_the_lane_grow_and_distort_nothing() -> None:
    """A run of quick 412s has its own measure: the uploads after it are not slow for it."""

    async def refuse(_: Request) -> StreamedResponse:
        await asyncio.sleep(0.01)
        return error(412, "ex_alreadyexists")

    transport = FakeTransport([])
    transport.script = Endless(refuse)  # type: ignore[assignment]  # pops for ever
    session = session_of(transport)

    async def work() -> None:
        while seconds() < 3:
            with pytest.raises(AlreadyExistsError):
                await session.request(UPLOAD)

    async with asyncio.TaskGroup() as group:
        for _ in range(8):
            group.create_task(work())
    after_refusals = session.limiter(Lane.UPLOAD).limit
    transport.script = Endless(Busy(8, 0.1))  # type: ignore[assignment]  # pops for ever
    await crowd(session, workers=8, until=20)

    assert after_refusals == 8
    assert session.limiter(Lane.UPLOAD).limit == 8


ASKING = [
    ({"retry-after": "7"}, 7.0),
    ({"retry-after": "Mon, 23 Nov 2026 12:00:09 GMT"}, 9.0),
    # By the clock of the service, whatever ours says.
    (
        {"retry-after": "Tue, 24 Nov 2026 12:00:09 GMT", "date": "Tue, 24 Nov 2026 12:00:00 GMT"},
        9.0,
    ),
    (
        {"retry-after": "Sun, 22 Nov 2026 12:00:09 GMT", "date": "Sun, 22 Nov 2026 12:00:00 GMT"},
        9.0,
    ),
    ({"retry-after": "Mon, 23 Nov 2026 12:00:09 GMT", "date": "now"}, 9.0),
    (
        {
            "ratelimit-remaining": "0",
            "ratelimit-reset": "1795614411",
            "date": "Wed, 25 Nov 2026 13:46:40 GMT",
        },
        11.0,
    ),
    ({"retry-after": "soon"}, 0.0),
    ({"retry-after": "-5"}, 0.0),
    ({"ratelimit": '"default";r=0;t=30'}, 30.0),
    ({"ratelimit-remaining": "0", "ratelimit-reset": "11"}, 11.0),
    ({"ratelimit": '"default";r=0;t=9000'}, 120.0),
]


@pytest.mark.parametrize(("headers", "pause"), ASKING)
@pytest.mark.parametrize("status", [429, 503])
async def test_what_one_request_is_told_holds_for_the_client(
    status: int, headers: dict[str, str], pause: float
) -> None:
    """Other requests, of other lanes, wait as well; what makes no sense is ignored."""
    transport = FakeTransport([answer(status, b"", headers=headers), answer(), answer()])
    session = session_of(transport, max_retries=0)
    with pytest.raises((RateLimitError, ServiceUnavailableError)):
        await session.request(UPLOAD)

    await session.request(READ)
    async with session.stream(DOWNLOAD) as streamed:
        await streamed.whole(DOWNLOAD)

    assert seconds() == pause
    assert session.statistics().pause_seconds == pause


async def test_a_good_answer_that_was_the_last_allowed_pauses() -> None:
    """A 200 with nothing remaining: the next request waits for the reset, and meets no 429."""
    last = answer(headers={"ratelimit": '"default";r=0;t=4'})
    session = session_of(FakeTransport([last, answer()]))

    await session.request(READ)
    assert seconds() == 0
    await session.request(READ)

    assert seconds() == 4


async def test_the_same_fields_again_ask_for_a_pause_again() -> None:
    """The transport gives equal fields as one object; those that ask are heeded each time."""
    last = answer(headers={"ratelimit": '"default";r=0;t=4'})
    again = attrs.evolve(answer(), headers=last.headers)
    session = session_of(FakeTransport([last, again, answer()]))

    for _ in range(3):
        await session.request(READ)

    assert seconds() == 8


async def test_a_retry_after_beyond_the_limit_does_not_hold_others_up() -> None:
    """It ends the request that met it, in words; the others learn it for themselves, at once."""
    transport = FakeTransport([error(503, retry_after="500"), answer()])
    session = session_of(transport)
    with pytest.raises(ServiceUnavailableError, match="asks to wait 500 seconds"):
        await session.request(READ)

    await session.request(READ)

    assert seconds() == 0


async def test_a_pause_is_not_waited_for_twice() -> None:
    """The repetition's own wait and the pause run at the same time."""
    transport = FakeTransport([error(429, retry_after="5"), answer()])

    await session_of(transport).request(READ)

    assert seconds() == 5


async def test_streams_are_observed_at_their_end() -> None:
    """A download read whole counts with its latency, without the time its reader took."""
    transport = FakeTransport([answer(200, b"a" * 2500)])
    session = session_of(transport)

    async with session.stream(DOWNLOAD) as streamed:
        async for _ in streamed.chunks:
            await asyncio.sleep(3)
            assert session.limiter(Lane.DOWNLOAD).in_flight == 1

    assert session.statistics().sending_seconds == 0
    assert session.limiter(Lane.DOWNLOAD).in_flight == 0


async def test_downloads_find_their_limit_too() -> None:
    """Streams that take as long as ever let their lane grow."""
    transport = FakeTransport([])
    transport.script = Endless(Busy(16, 0.1))  # type: ignore[assignment]  # pops for ever
    session = session_of(transport)

    async def work() -> None:
        while seconds() < 5:
            async with session.stream(DOWNLOAD) as streamed:
                await streamed.whole(DOWNLOAD)

    async with asyncio.TaskGroup() as group:
        for _ in range(16):
            group.create_task(work())

    assert session.limiter(Lane.DOWNLOAD).limit == 16
    assert session.limiter(Lane.UPLOAD).limit == 2


async def test_a_stream_left_early_is_not_observed() -> None:
    """Nobody knows how long it would have taken."""
    transport = FakeTransport([answer(200, b"a" * 2500)])
    session = session_of(transport)

    async with session.stream(DOWNLOAD) as streamed:
        await anext(streamed.chunks)
        await asyncio.sleep(3)

    assert session.statistics().p95 == 0


async def test_a_stream_that_times_out_is_a_sign_of_overload() -> None:
    """Also when its headers had come."""

    async def stall(_: Request) -> StreamedResponse:
        async def pieces() -> Any:
            yield b"a"
            raise APITimeoutError("slow")

        return StreamedResponse(status=200, headers={}, chunks=pieces())

    session = session_of(FakeTransport([stall]))

    with pytest.raises(APITimeoutError):
        async with session.stream(DOWNLOAD) as streamed:
            await streamed.whole(DOWNLOAD)

    assert session.statistics().overloads == {"timeout": 1}
    assert session.limiter(Lane.DOWNLOAD).limit == 1


async def until_spent(session: Session) -> list[APIError]:
    """Send requests that all fail until one is not tried again; return their errors."""
    errors: list[APIError] = []
    while not errors or errors[-1].remark != SEEMS_DOWN:
        with pytest.raises(APIError) as raised:
            await session.request(READ)
        errors.append(raised.value)
    return errors


@pytest.mark.parametrize(("failure", "retries"), [(APIConnectionError, 100), (APITimeoutError, 50)])
async def test_a_dead_service_is_let_go(failure: type[APIConnectionError], retries: int) -> None:
    """After 100 repetitions without a success, 50 of timeouts, there are no more, in words."""
    transport = FakeTransport([])
    transport.script = Endless(failure("gone"))  # type: ignore[assignment]  # pops for ever
    session = session_of(transport)

    errors = await until_spent(session)

    assert session.statistics().retries == retries
    assert session.statistics().retry_tokens == 0
    assert errors[-1].attempts == 1
    assert str(errors[-1]).startswith("gone. The service seems to be down:")


class Down:
    """A service that refuses connections until a moment; it counts them."""

    def __init__(self, until: float) -> None:
        self.until = until
        self.refused = 0

    async def __call__(self, _: Request) -> StreamedResponse:
        await asyncio.sleep(0.01)
        if seconds() < self.until:
            self.refused += 1
            raise APIConnectionError("refused")
        return answer()


@pytest.mark.parametrize("lane", [READ, UPLOAD, DOWNLOAD], ids=["read", "upload", "download"])
@pytest.mark.parametrize("many", [1, 20, 50, 200, 2_000])
async def test_a_service_that_restarts_ends_nothing(many: int, lane: Request) -> None:
    """However many requests were in flight, all of them outlast an outage of 7 seconds."""
    service, transport = Down(seconds() + 7), FakeTransport([])
    transport.script = Endless(service)  # type: ignore[assignment]  # pops for ever
    session = session_of(transport, uploads=many, initial_delay=0.5)

    async with asyncio.TaskGroup() as group:
        for _ in range(many):
            group.create_task(session.request(lane))

    assert service.refused >= min(3 * many, 600)  # without a lane's limit, 3 to 5 of each
    assert session.statistics().retry_tokens == pytest.approx(500)


@pytest.mark.parametrize(("many", "most"), [(1, 100), (8, 100), (20, 250), (200, 2_500)])
async def test_retries_of_a_dead_service_are_bounded_for_each_in_flight(
    many: int, most: int
) -> None:
    """At most 100 retries, or 12.5 for each request in flight; all end within a minute or so."""
    transport = FakeTransport([])
    transport.script = Endless(Down(10**9))  # type: ignore[assignment]  # pops for ever
    session = session_of(transport, uploads=many, initial_delay=0.5)

    async with asyncio.TaskGroup() as group:
        for _ in range(many):
            group.create_task(until_spent(session))

    assert most / 2 < session.statistics().retries <= most
    if many >= 8:
        assert seconds() < 60


async def test_a_success_allows_repetitions_again() -> None:
    """Five successes pay for one repetition; one that needed repetitions gives theirs back."""
    transport = FakeTransport([])
    session = session_of(transport, quota=10)
    transport.script = [error(503), error(503), answer()]
    await session.request(READ)
    after_two_paid_back = session.statistics().retry_tokens
    transport.script = [error(503)] * 3  # one answer, read three times: it has no body
    with pytest.raises(ServiceUnavailableError, match="seems to be down"):
        await session.request(READ)
    spent = session.statistics().retry_tokens
    transport.script = [answer() for _ in range(5)]
    for _ in range(5):
        await session.request(READ)

    assert after_two_paid_back == 10
    assert spent == 0
    assert session.statistics().retry_tokens == 5


async def test_no_retry_budget() -> None:
    """With None there is no budget over all requests, only that of each."""
    transport = FakeTransport([])
    transport.script = Endless(APITimeoutError("slow"))  # type: ignore[assignment]  # for ever
    session = session_of(transport, quota=None)

    for _ in range(30):
        with pytest.raises(APITimeoutError):
            await session.request(READ)

    assert session.statistics().retries == 150
    assert session.statistics().retry_tokens is None
    assert session.limiter(Lane.CALL).reason == "fixed"
    transport.script = [answer()]
    assert (await session.request(READ)).status == 200


async def test_a_lost_upload_is_still_looked_up_with_the_budget_spent() -> None:
    """The budget bounds repetitions; what became of a lost upload is found out all the same."""
    transport = FakeTransport([APIConnectionError("gone")])
    session = session_of(transport, quota=0)

    async def look() -> str:
        return "found"

    settled = attrs.evolve(UPLOAD, replay=Replay.SETTLE)
    assert await session.request_or_settle(settled, look) == "found"


class Growing(deque[float]):
    """Latencies to which an answer adds one whenever they have been read."""

    def __iter__(self) -> Iterator[float]:
        yield from tuple(super().__iter__())
        self.append(9.0)


@pytest.mark.parametrize("count", [0, 1, 2, 19, 20])
async def test_a_percentile_while_answers_arrive(count: int) -> None:
    """A thread that writes outcomes asks for it: once in a while that ended an upload."""
    latencies = Growing(map(float, range(count)))
    waited = Limits(LimitsConfig()).waited
    waited.latencies = latencies

    assert waited.percentile(0.95) == (
        0.0 if not count else float(min(count - 1, count * 19 // 20))
    )


async def test_a_slot_that_is_free_counts_for_the_rate() -> None:
    """A second one at the same moment has to wait; what was answered is added up."""
    limits = Limits(LimitsConfig(rate=4.0))
    first = limits.free_slot(Lane.UPLOAD)
    assert first is not None
    assert limits.free_slot(Lane.UPLOAD) is None
    await asyncio.sleep(0.25)
    second = limits.free_slot(Lane.UPLOAD)
    assert second is not None
    for slot, seconds in ((first, 0.5), (second, 0.25)):
        with slot:
            slot.answered("media", size=10, seconds=seconds)

    assert limits.waited.sending == 0.75
    assert [*limits.waited.latencies] == [0.5, 0.25]
