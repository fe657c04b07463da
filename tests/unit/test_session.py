"""The session over a scripted transport, in virtual time: what each failure leads to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datagym_async._limits import Limits, LimitsConfig
from datagym_async._retry import RetryPolicy
from datagym_async._session import Session
from datagym_async._transport import StreamedResponse, Timeout
from datagym_async._wire import Body, Lane, Replay, Request, Response
from datagym_async.exceptions import (
    AlreadyExistsError,
    APIConnectionError,
    APIError,
    APIResponseValidationError,
    APITimeoutError,
    ClientClosedError,
    InternalServerError,
    RateLimitError,
    RequestRefusedError,
    ServiceUnavailableError,
)
from tests.helpers.fake_transport import FakeTransport, Step, answer

READ = Request("GET", "dataset")
UPLOAD = Request(
    "POST",
    "media/1/file",
    body=Body.of_bytes(b"x" * 10),
    replay=Replay.SETTLE,
    lane=Lane.UPLOAD,
)
APPEND = Request("POST", "project/1/prediction", body=Body.of_bytes(b"[]"), replay=Replay.NEVER)


def error(status: int, key: str = "", **headers: str) -> StreamedResponse:
    body = f'{{"key": "{key}", "params": [], "code": {status}, "details": []}}' if key else ""
    return answer(
        status, body.encode(), headers={k.replace("_", "-"): v for k, v in headers.items()}
    )


def html(status: int) -> StreamedResponse:
    return answer(status, b"<html>Bad gateway</html>", headers={"content-type": "text/html"})


async def hang(_: Request) -> StreamedResponse:
    await asyncio.sleep(10_000)
    raise AssertionError


def lost() -> APIConnectionError:
    return APIConnectionError("gone", request_sent=True)


def cut() -> APIConnectionError:
    return APIConnectionError("cut", request_sent=False)


def make_session(transport: FakeTransport, **policy: float) -> Session:
    return Session(
        transport,
        limits=Limits(LimitsConfig(rate=None)),
        retry=RetryPolicy(**policy),  # type: ignore[arg-type]  # counts and seconds, by name
        timeout=Timeout(),
        base_url="https://service.test/",
    )


def seconds() -> float:
    return asyncio.get_running_loop().time()


@attrs.define
class Looker:
    """A look that finds what the script says, and counts."""

    finds: list[str | None]
    looks: int = 0

    async def __call__(self) -> str | None:
        self.looks += 1
        return self.finds.pop(0)


RETRIED: dict[str, Callable[[], Step]] = {
    "503": lambda: error(503),
    "502 html": lambda: html(502),
    "504": lambda: error(504),
    "500 without key": lambda: error(500),
    "500 ex_system": lambda: error(500, "ex_system"),
    "refused": cut,
    "dropped": lost,
    "timed out": lambda: APITimeoutError("slow"),
}


@pytest.mark.looptime
async def test_where_nobody_answers_it_shows_soon() -> None:
    """Until the service has answered once, another number of retries counts, if one is given."""
    transport = FakeTransport([*[cut()] * 3, error(503), *[cut()] * 2, answer(200, b"[]")])
    session = make_session(transport, max_first_retries=1)

    for sent in (2, 4):
        with pytest.raises(APIError) as caught:
            await session.request(READ)
        assert caught.value.attempts == 2
        assert len(transport.requests) == sent
    assert (await session.request(READ)).status == 200


@pytest.mark.looptime
@pytest.mark.parametrize("failure", list(RETRIED.values()), ids=list(RETRIED))
async def test_reads_are_tried_again(failure: Callable[[], Step]) -> None:
    """A read that meets a passing failure is sent again and succeeds."""
    transport = FakeTransport([failure(), answer(200, b"[]")])
    session = make_session(transport)

    response = await session.request(READ)

    assert response.body == b"[]"
    assert len(transport.requests) == 2
    assert session.statistics().retries == 1
    assert transport.open_now == 0


@pytest.mark.looptime
async def test_retry_after_is_obeyed() -> None:
    """429 with Retry-After 2 waits two seconds, and at most half a second more."""
    transport = FakeTransport([error(429, retry_after="2"), answer()])

    await make_session(transport).request(READ)

    assert 2 <= seconds() <= 2.5


@pytest.mark.looptime
async def test_retry_after_beyond_the_limit_is_given_up_with_a_word() -> None:
    """A Retry-After longer than the policy's limit fails at once and says so."""
    transport = FakeTransport([error(429, retry_after="500")])

    with pytest.raises(RateLimitError, match="asks to wait 500 seconds") as raised:
        await make_session(transport).request(READ)

    assert seconds() == 0
    assert raised.value.retry_after == 500


FINAL = [
    pytest.param(500, "ex_gen_config_not_cleared", RequestRefusedError, id="ex_gen"),
    pytest.param(503, "ex_service_unavailable", ServiceUnavailableError, id="not installed"),
    pytest.param(412, "ex_alreadyexists", AlreadyExistsError, id="412"),
]


@pytest.mark.looptime
@pytest.mark.parametrize(("status", "key", "expected"), FINAL)
@pytest.mark.parametrize("request_", [READ, UPLOAD, APPEND], ids=["safe", "settle", "never"])
async def test_final_answers_are_never_repeated(
    status: int, key: str, expected: type[APIError], request_: Request
) -> None:
    """A rule of the service, or what is not installed, is raised at once."""
    transport = FakeTransport([error(status, key)])
    look = Looker([])

    with pytest.raises(expected):
        await make_session(transport).request_or_settle(request_, look)

    assert len(transport.requests) == 1
    assert look.looks == 0
    assert seconds() == 0


@pytest.mark.looptime
async def test_a_lost_upload_that_was_stored_is_found() -> None:
    """An upload whose answer was lost is looked up, found, and not sent again."""
    transport = FakeTransport([lost()])
    look = Looker(["found"])

    outcome = await make_session(transport).request_or_settle(UPLOAD, look)

    assert outcome == "found"
    assert len(transport.requests) == 1
    assert seconds() >= 2, "the service is given time to store what it received"


@pytest.mark.looptime
async def test_a_lost_upload_that_was_not_stored_is_sent_again() -> None:
    """An upload that the look does not find is sent again."""
    transport = FakeTransport([lost(), answer(200, b"stored")])
    look = Looker([None])

    outcome = await make_session(transport).request_or_settle(UPLOAD, look)

    assert isinstance(outcome, Response)
    assert outcome.body == b"stored"
    assert look.looks == 1


@pytest.mark.looptime
async def test_a_cut_upload_is_sent_again_without_a_look() -> None:
    """A body that was cut leaves nothing behind, so nothing is looked up."""
    transport = FakeTransport([cut(), answer(200, b"stored")])
    look = Looker([])

    await make_session(transport).request_or_settle(UPLOAD, look)

    assert look.looks == 0
    assert len(transport.requests) == 2


@pytest.mark.looptime
async def test_name_taken_after_a_lost_answer_is_our_own() -> None:
    """412 on a repetition means that the first one landed, if the look finds it then."""
    transport = FakeTransport([lost(), error(412, "ex_alreadyexists")])
    look = Looker([None, "found late"])

    outcome = await make_session(transport).request_or_settle(UPLOAD, look)

    assert outcome == "found late"


@pytest.mark.looptime
async def test_name_taken_by_somebody_else_stays_refused() -> None:
    """412 on a repetition that the look cannot find is raised."""
    transport = FakeTransport([lost(), error(412, "ex_alreadyexists")])

    with pytest.raises(AlreadyExistsError):
        await make_session(transport).request_or_settle(UPLOAD, Looker([None, None]))


@pytest.mark.looptime
async def test_ex_system_on_an_upload_is_tried_once_more_then_looked_at_and_failed() -> None:
    """A corrupt image answers ex_system each time: look, once more, look, failed."""
    transport = FakeTransport([error(500, "ex_system"), error(500, "ex_system")])
    look = Looker([None, None])

    with pytest.raises(InternalServerError) as raised:
        await make_session(transport).request_or_settle(UPLOAD, look)

    assert len(transport.requests) == 2
    assert raised.value.attempts == 2
    assert not raised.value.unknown
    assert seconds() < 2, "what the service answered is over: nothing is waited for"


@pytest.mark.looptime
async def test_the_last_lost_answer_is_still_looked_up() -> None:
    """An upload out of retries, whose last answer was lost, is found if it was stored."""
    transport = FakeTransport([lost(), lost()])
    look = Looker([None, "found"])

    outcome = await make_session(transport, max_retries=1).request_or_settle(UPLOAD, look)

    assert outcome == "found"


@pytest.mark.looptime
async def test_a_look_that_fails_leaves_the_outcome_unknown_and_says_so() -> None:
    """When the service cannot be asked, the error says that the upload may have happened."""
    transport = FakeTransport([lost()])

    async def look() -> str | None:
        msg = "still away"
        raise APIConnectionError(msg)

    with pytest.raises(APIConnectionError, match="may have carried out the request") as raised:
        await make_session(transport).request_or_settle(UPLOAD, look)

    assert raised.value.unknown


UNKNOWN: dict[str, Callable[[], Step]] = {
    "lost": lost,
    "502": lambda: html(502),
    "500 bare": lambda: error(500),
}


@pytest.mark.looptime
@pytest.mark.parametrize("failure", list(UNKNOWN.values()), ids=list(UNKNOWN))
async def test_an_append_with_a_lost_answer_is_unknown_and_never_repeated(
    failure: Callable[[], Step],
) -> None:
    """A request that must not be repeated says that its outcome is unknown."""
    transport = FakeTransport([failure()])

    with pytest.raises(APIError, match="not retried") as raised:
        await make_session(transport).request(APPEND)

    assert raised.value.unknown
    assert len(transport.requests) == 1


@pytest.mark.looptime
@pytest.mark.parametrize("status", [429, 503])
async def test_an_append_that_was_turned_away_is_sent_again(status: int) -> None:
    """429 and 503 say that nothing was done, so even an append is repeated."""
    transport = FakeTransport([error(status), answer()])

    await make_session(transport).request(APPEND)

    assert len(transport.requests) == 2


@pytest.mark.looptime
async def test_retries_end_and_leave_nothing_open() -> None:
    """After all retries the last failure is raised, with its count and no slot taken."""
    transport = FakeTransport([error(503) for _ in range(6)])
    session = make_session(transport)

    with pytest.raises(ServiceUnavailableError, match=r"tried 6 times") as raised:
        await session.request(READ)

    assert raised.value.attempts == 6
    assert session.statistics().in_flight == 0
    assert transport.open_now == 0


@pytest.mark.looptime
async def test_the_budget_ends_a_request_that_never_answers() -> None:
    """A request with all its waits ends with the budget, by name."""
    transport = FakeTransport([hang])
    session = make_session(transport, budget=100)

    with pytest.raises(APITimeoutError, match="stopped after 100 seconds") as raised:
        await session.request(READ)

    assert (raised.value.attempts, raised.value.unknown) == (1, True)
    assert session.statistics().in_flight == 0


@pytest.mark.looptime
@pytest.mark.parametrize(
    ("wait", "attempts", "is_unknown"), [("1", 2, True), ("100", 1, False)], ids=["sent", "waits"]
)
async def test_what_the_budget_ended_may_be_carried_out_if_it_was_sent(
    wait: str, attempts: int, is_unknown: bool
) -> None:
    """An attempt under way is unknown, also after one that was turned away; a wait is not."""
    transport = FakeTransport([error(503, retry_after=wait), hang])
    session = make_session(transport, budget=90)

    with pytest.raises(APITimeoutError) as raised:
        await session.request(APPEND)

    assert (raised.value.attempts, raised.value.unknown) == (attempts, is_unknown)
    assert len(transport.requests) == attempts


@pytest.mark.looptime
@pytest.mark.parametrize("lane", [Lane.UPLOAD, Lane.DOWNLOAD])
async def test_a_transfer_that_goes_on_has_no_budget(lane: Lane) -> None:
    """The transport ends it if no more bytes arrive."""

    async def slow(_: Request) -> StreamedResponse:
        await asyncio.sleep(10_000)
        return answer(200, b"all")

    session = make_session(FakeTransport([slow]), budget=1)

    assert (await session.request(attrs.evolve(READ, lane=lane))).body == b"all"


@pytest.mark.parametrize("lane", [Lane.CALL, Lane.DOWNLOAD])
async def test_a_readers_own_timeout_is_its_own(lane: Lane) -> None:
    """A disk over a network may raise one: it is not the service's, and nothing is repeated."""
    transport = FakeTransport([answer()])
    disk = TimeoutError(110, "Connection timed out")

    async def write(_: StreamedResponse) -> None:
        raise disk

    with pytest.raises(TimeoutError) as raised:
        await make_session(transport).read(attrs.evolve(READ, lane=lane), write)

    assert raised.value is disk
    assert transport.open_now == 0


async def test_other_options_are_for_some_requests() -> None:
    """A session with one option more keeps the others, the listener too, and shares the counts."""
    seen: list[str] = []
    transport = FakeTransport([answer(), answer()])
    session = make_session(transport)
    heard = session.with_options(on_answer=lambda request, _: seen.append(request.path))
    timeout = Timeout(upload=500)

    await heard.with_options(timeout=timeout).request(UPLOAD)
    assert (seen, transport.timeouts) == (["media/1/file"], [timeout])
    await session.request(READ)
    assert seen == ["media/1/file"]

    assert session.statistics().requests == heard.statistics().requests == 2
    assert session.statistics().bytes == 10 + 2 + 2  # both ways


@pytest.mark.looptime
async def test_the_budget_grows_with_the_time_for_a_body() -> None:
    """A body that may take long to send has twice that time with all its retries."""
    body = attrs.evolve(APPEND, body=Body.of_bytes(b"x" * 1000))
    session = make_session(FakeTransport([hang]), budget=1)

    with pytest.raises(APITimeoutError, match="stopped after 220 seconds"):
        await session.with_options(timeout=Timeout(upload=100, upload_rate=100)).request(body)


async def test_a_redirect_is_not_followed() -> None:
    """The token is not carried elsewhere; the error names the address to set."""
    transport = FakeTransport([answer(301, b"", headers={"location": "https://new.test/x?y=z"})])

    with pytest.raises(APIResponseValidationError, match=r"https://new\.test,.*base_url"):
        await make_session(transport).request(READ)


@pytest.mark.parametrize(
    "location", ["", "//", "http://[::1", "http://a b/", "http://\udcff/", f"http://{'a' * 300}/"]
)
async def test_a_redirect_to_nowhere_is_one_error(location: str) -> None:
    """A Location that names no host is an error like any other, and is not shown."""
    transport = FakeTransport([answer(302, b"", headers={"location": location})])

    with pytest.raises(APIResponseValidationError, match="redirected to another path") as raised:
        await make_session(transport).request(READ)

    assert raised.value.status == 302


class _Broken(dict[str, str]):
    """Header fields that cannot be asked for: stands for whatever an answer's handling meets."""

    def get(self, *_: object) -> str:
        raise LookupError("no such field; token=abcdefgh")


@pytest.mark.parametrize("status", [200, 302, 404, 503])
@pytest.mark.parametrize("stream", [False, True])
async def test_whatever_the_handling_of_an_answer_raises_is_its_fault(
    status: int, stream: bool
) -> None:
    """There is one guard: what is raised becomes an error that names call, status and cause."""

    async def broken(_: Request) -> StreamedResponse:
        return attrs.evolve(answer(status), headers=_Broken())

    session = make_session(FakeTransport([broken]))

    async def opened() -> None:
        async with session.stream(READ):
            pass

    with pytest.raises(APIResponseValidationError) as raised:
        await (opened() if stream else session.request(READ))

    error = raised.value
    assert (error.method, error.path, error.status) == ("GET", "dataset", status)
    assert "LookupError: no such field" in str(error)
    assert "abcdefgh" not in str(error)
    assert error.__cause__ is error.__context__ is None


async def test_a_closed_session_says_so() -> None:
    """Using a closed session raises ClientClosedError, and closing twice is fine."""
    transport = FakeTransport([])
    session = make_session(transport)
    await session.aclose()
    await session.aclose()

    with pytest.raises(ClientClosedError):
        await session.request(READ)

    assert transport.closed


async def test_a_streamed_answer_holds_its_slot_until_it_is_left() -> None:
    """A stream counts as in flight while it is read, also when it is left early."""
    transport = FakeTransport([answer(200, b"a" * 2500)])
    session = make_session(transport)

    async with session.stream(attrs.evolve(READ, lane=Lane.DOWNLOAD)) as streamed:
        first = await anext(streamed.chunks)
        inside = session.statistics()

    assert first == b"a" * 1000
    assert inside.in_flight == 1
    assert inside.bytes == 1000
    assert session.statistics().in_flight == 0
    assert transport.open_now == 0


@pytest.mark.looptime
async def test_a_stream_is_retried_until_its_headers_are_here() -> None:
    """A failing status of a stream is decoded and retried like any other."""
    transport = FakeTransport([error(503), html(502), answer(200, b"abc")])
    session = make_session(transport)

    async with session.stream(READ) as streamed:
        body = (await streamed.whole(READ)).body

    assert body == b"abc"
    assert session.statistics().retries == 2


async def test_lanes_bound_what_is_in_flight() -> None:
    """No more uploads than the lane holds are in flight; the others wait and are counted."""
    release = asyncio.Event()
    peak = 0

    async def hold(_: Request) -> StreamedResponse:
        nonlocal peak
        peak = max(peak, transport.open_now)
        await release.wait()
        return answer()

    transport = FakeTransport([hold] * 20)
    session = make_session(transport)
    with session._limits.lanes[Lane.UPLOAD].pin(8):
        async with asyncio.TaskGroup() as group:
            for _ in range(20):
                group.create_task(session.request(UPLOAD))
            for _ in range(5):
                await asyncio.sleep(0)
            release.set()

    assert peak == 8
    assert session.statistics().waits == 12
    assert session.statistics().in_flight == 0


@pytest.mark.looptime
async def test_requests_are_spaced_by_the_rate_from_the_first_on() -> None:
    """The rate holds exactly, without a burst at the start."""
    transport = FakeTransport([answer() for _ in range(9)])
    session = Session(
        transport,
        limits=Limits(LimitsConfig(rate=4.0)),
        retry=RetryPolicy.none(),
        timeout=Timeout(),
        base_url="https://service.test/",
    )

    async with asyncio.TaskGroup() as group:
        for _ in range(9):
            group.create_task(session.request(READ))

    assert seconds() == pytest.approx(2.0)


@given(ticks=st.integers(0, 40))
def test_cancelling_at_any_moment_leaves_nothing_behind(ticks: int) -> None:
    """A request cancelled at whatever await gives its slot back and closes its answer."""

    async def slow(request: Request) -> StreamedResponse:
        for _ in range(5):
            await asyncio.sleep(0)
        return error(503)

    async def scenario() -> tuple[int, int]:
        transport = FakeTransport([slow] * 6)
        session = make_session(transport, initial_delay=0, settle_after=0)
        task = asyncio.create_task(session.request_or_settle(UPLOAD, Looker([None] * 6)))
        for _ in range(ticks):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        return transport.open_now, session.statistics().in_flight

    assert asyncio.run(scenario()) == (0, 0)
