"""The retry loop by itself: what is sent, looked up and paid for, and what a failure says."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import attrs
import pytest

from datagym_async._retry import SEEMS_DOWN, RetryLoop, RetryPolicy, RetryQuota
from datagym_async._wire import Replay
from datagym_async.exceptions import (
    APIConnectionError,
    APIError,
    APIStatusError,
    APITimeoutError,
)

pytestmark = pytest.mark.looptime


def lost() -> APIError:
    return APIConnectionError("x", request_sent=True)


def status(code: int, retry_after: float | None = None) -> APIStatusError:
    return APIStatusError("x", status=code, retry_after=retry_after)


@attrs.define
class Service:
    """Answers, and finds, what it is told to, one after the other."""

    answers: list[str | APIError] = attrs.Factory(list)
    found: list[str | APIError | None] = attrs.Factory(list)
    sent: int = 0
    looked: int = 0

    async def send(self) -> str:
        """Answer."""
        self.sent += 1
        return _given(self.answers.pop(0)) or ""

    async def look(self) -> str | None:
        """What happened to it."""
        self.looked += 1
        return _given(self.found.pop(0))


def _given(value: str | APIError | None) -> str | None:
    if isinstance(value, APIError):
        raise value
    return value


def loop_of(
    service: Service,
    first: APIError,
    *,
    replay: Replay = Replay.SETTLE,
    policy: RetryPolicy | None = None,
    quota: RetryQuota | None = None,
    look: Callable[[], Awaitable[str | None]] | None = None,
    is_of_job: bool = False,
) -> RetryLoop[str]:
    """Return the loop of a request whose first attempt has failed."""
    return RetryLoop(
        first,
        policy or RetryPolicy(initial_delay=0.5),
        replay,
        service.send,
        lambda: 0.0,
        quota=quota,
        look=look or service.look,
        chance=lambda: 0.5,
        is_of_job=is_of_job,
    )


@pytest.mark.parametrize(("failure", "granted"), [(status(500), 100), (APITimeoutError("x"), 50)])
def test_a_quota_lets_so_many_go_by(failure: APIError, granted: int) -> None:
    """A repetition costs 5 tokens of 500, after a timeout 10; then none is granted."""
    quota = RetryQuota(500)

    assert [quota.take(failure) is not None for _ in range(granted + 1)] == [True] * granted + [
        False
    ]
    assert quota.tokens == 0


@pytest.mark.parametrize(("paid", "tokens"), [(0, 91), (5, 95), (10, 100), (40, 100)])
def test_a_success_gives_back(paid: float, tokens: float) -> None:
    """What its repetitions cost, or 1 for none; never more than there were at the start."""
    quota = RetryQuota(100)
    quota.take(APITimeoutError("x"))
    quota.succeeded(paid)

    assert quota.tokens == tokens


def test_many_retries_at_once_cost_less_until_something_succeeds() -> None:
    """In an outage; after a success they are what they were before, however many are waiting."""
    quota = RetryQuota(500)
    quota.at_once = 80
    assert [quota.take(status(503)), quota.take(APITimeoutError("x"))] == [0.5, 1.0]
    quota.at_once = 1
    assert quota.take(status(503)) == 0.5
    quota.succeeded(0.0)
    assert quota.take(status(503)) == 5


async def test_what_succeeds_at_last_has_cost_nothing() -> None:
    """Each repetition is paid for, and all of them are given back."""
    quota, service = RetryQuota(500), Service([status(503), APITimeoutError("x"), "done"])
    seen: list[float] = []
    loop = loop_of(service, status(503), replay=Replay.SAFE, quota=quota)
    loop.on_retry = lambda: seen.append(quota.tokens)

    assert await loop.run() == "done"
    assert (seen, quota.tokens, service.looked) == ([495, 490, 480], 500, 0)


async def test_without_tokens_nothing_is_sent_and_the_error_says_why() -> None:
    """The failure itself is raised, with the number of attempts."""
    service = Service()
    with pytest.raises(APIStatusError, match=SEEMS_DOWN.partition(":")[0]) as raised:
        await loop_of(service, status(503), replay=Replay.SAFE, quota=RetryQuota(4)).run()

    assert (service.sent, raised.value.attempts) == (0, 1)


@pytest.mark.parametrize(("asked", "sent"), [(120.0, 1), (120.5, 0)])
async def test_so_long_a_wait_is_granted_and_no_longer(asked: float, sent: int) -> None:
    """Up to `max_retry_after` itself."""
    service = Service(["done"])
    loop = loop_of(service, status(503, asked), replay=Replay.SAFE)
    if sent:
        assert await loop.run() == "done"
    else:
        with pytest.raises(APIStatusError, match="longer than the 120 that this client waits"):
            await loop.run()

    assert service.sent == sent


@pytest.mark.parametrize(
    ("answers", "found", "unknown"),
    [
        pytest.param([lost()], [None, None], False, id="looked up, and not there"),
        pytest.param([lost()], [None, status(500)], True, id="the last look fails"),
        pytest.param([lost()], [status(500)], True, id="a look fails"),
        pytest.param([status(400)], [None], False, id="refused in the end"),
    ],
)
async def test_what_a_failure_says_of_the_outcome(
    answers: Sequence[str | APIError], found: Sequence[str | APIError | None], unknown: bool
) -> None:
    """Unknown is what could not be looked up, and nothing else."""
    service = Service([*answers], [*found])
    loop = loop_of(service, lost(), policy=RetryPolicy(max_retries=1))
    with pytest.raises(APIError) as raised:
        await loop.run()

    assert raised.value.unknown is unknown
    assert (service.answers, service.found) == ([] if found[0] is None else [*answers], [])
    assert loop.is_doubtful


@pytest.mark.parametrize("replay", [Replay.SAFE, Replay.SETTLE])
async def test_what_was_never_lost_is_not_doubtful(replay: Replay) -> None:
    """Nothing was sent: there is nothing that the service may have done."""
    loop = loop_of(Service(["done"]), APIConnectionError("x", request_sent=False), replay=replay)

    assert not loop.is_doubtful
    assert await loop.run() == "done"
    assert not loop.is_doubtful


@pytest.mark.parametrize(
    ("attempt", "asked", "seconds"),
    [
        (1, None, 0.375),
        (2, None, 0.75),
        (3, None, 1.5),
        (20, None, 15.0),
        (1, 7.0, 7.25),
        (9, 7, 7.25),
    ],
)
def test_waits_double_up_to_the_longest(attempt: int, asked: float | None, seconds: float) -> None:
    """Jitter between half and all of 0.5, 1, 2, ... 20 s; what is asked for is added."""
    assert RetryPolicy().delay(attempt, retry_after=asked, chance=0.5) == seconds


@pytest.mark.parametrize(("is_of_job", "seconds"), [(False, 7.5), (True, 45.0)])
async def test_an_outage_of_so_many_seconds_uses_up_no_request(
    is_of_job: bool, seconds: float
) -> None:
    """Even if each wait is the shortest: 7.75 s of a call, and 15 times 2.5 s more of a job."""
    clock = asyncio.get_running_loop().time
    over = clock() + seconds

    quota, outlasting = RetryQuota(500), set[int]()

    async def send() -> str:
        outlasting.add(quota.in_outage)
        if clock() < over:
            raise APIConnectionError("gone", request_sent=False)
        return "done"

    failure = APIConnectionError("gone", request_sent=False)
    loop = loop_of(Service(), failure, quota=quota, is_of_job=is_of_job)
    loop.send, loop.chance = send, lambda: 0.0
    assert await loop.run() == "done"
    assert (quota.tokens, loop.is_doubtful) == (500, False)
    assert (max(outlasting), quota.in_outage) == (is_of_job, 0)


def gone() -> APIError:
    return APIConnectionError("gone", request_sent=False)


@pytest.mark.parametrize(
    ("failure", "policy", "sent"),
    [
        pytest.param(gone(), RetryPolicy(), 21, id="not reached"),
        pytest.param(status(502), RetryPolicy(), 21, id="a proxy says so"),
        pytest.param(status(503), RetryPolicy(), 21, id="503"),
        pytest.param(status(504), RetryPolicy(), 21, id="504"),
        pytest.param(status(500), RetryPolicy(), 6, id="an answer of the service"),
        pytest.param(
            APIStatusError("x", status=502, key="ex_x"),
            RetryPolicy(),
            6,
            id="another of its answers",
        ),
        pytest.param(status(429), RetryPolicy(), 21, id="too many requests"),
        pytest.param(gone(), RetryPolicy(max_outage_retries=0), 6, id="not wanted"),
        pytest.param(gone(), RetryPolicy(max_retries=0), 1, id="no retries at all"),
    ],
)
async def test_a_job_goes_on_trying_while_the_service_is_down(
    failure: APIError, policy: RetryPolicy, sent: int
) -> None:
    """15 times more than a call, for nothing; then the failure is raised as ever."""
    quota, service = RetryQuota(500), Service([failure] * 30)
    loop = loop_of(service, failure, replay=Replay.SAFE, policy=policy, quota=quota, is_of_job=True)
    with pytest.raises(type(failure)) as raised:
        await loop.run()

    assert raised.value.attempts == sent
    assert quota.tokens == 500 - 5 * min(5, sent - 1)


async def test_in_an_outage_no_wait_is_longer_than_five_seconds() -> None:
    """The limit of the first five doubles up to 8; so a service that is back is not left idle."""
    service, waits = Service([gone()] * 30), list[float]()
    loop = loop_of(service, gone(), policy=RetryPolicy(), is_of_job=True)
    loop.chance = lambda: 1.0
    send, clock = loop.send, asyncio.get_running_loop().time
    last = clock()

    async def noting() -> str:
        nonlocal last
        waits.append(clock() - last)
        last = clock()
        return await send()

    loop.send = noting
    with pytest.raises(APIConnectionError):
        await loop.run()
    assert waits == pytest.approx([0.5, 1, 2, 4, 8] + [5] * 15)


@pytest.mark.parametrize(
    ("failure", "replay", "seconds"),
    [
        pytest.param(lost(), Replay.SETTLE, 60, id="it may still be at work"),
        pytest.param(status(504), Replay.SETTLE, 60, id="behind a proxy, too"),
        pytest.param(status(503), Replay.SETTLE, 0.5, id="its own answer ends it"),
        pytest.param(gone(), Replay.SETTLE, 0.5, id="it has nothing"),
        pytest.param(lost(), Replay.SAFE, 0.5, id="nobody looks"),
        pytest.param(status(503, 30), Replay.SAFE, 30.5, id="as long as it asks for"),
    ],
)
async def test_the_wait_before_a_turn(failure: APIError, replay: Replay, seconds: float) -> None:
    """A look waits for what the service may still be doing."""
    loop = loop_of(Service(["done"], [None]), failure, replay=replay)
    loop.chance, loop.settle_after = lambda: 1.0, lambda: 60.0
    clock = asyncio.get_running_loop().time
    begun = clock()
    assert await loop.run() == "done"
    assert clock() - begun == seconds


async def test_also_in_an_outage_the_service_says_how_long_to_wait() -> None:
    """Five seconds are the most where it says nothing."""
    service = Service([status(503, 30)] * 30)
    loop = loop_of(service, status(503, 30), replay=Replay.SAFE, is_of_job=True)
    clock = asyncio.get_running_loop().time
    begun = clock()
    with pytest.raises(APIStatusError) as raised:
        await loop.run()
    assert clock() - begun >= 30 * (raised.value.attempts - 1) == 30 * 20


async def test_a_failure_after_the_one_that_is_retried_once_is_retried_as_ever() -> None:
    """Only another one of that kind is the service's last word."""
    system = APIStatusError("x", status=500, key="ex_system")
    service = Service([status(503), status(503), "done"])
    assert await loop_of(service, system, replay=Replay.SAFE).run() == "done"
    with pytest.raises(APIStatusError, match="x") as raised:
        await loop_of(Service([status(503), system]), system, replay=Replay.SAFE).run()
    assert (raised.value.key, raised.value.attempts) == ("ex_system", 3)


async def test_a_job_gives_up_early_what_fails_alone() -> None:
    """Others succeed meanwhile, so the service is not down: five retries, as for a call."""
    quota = RetryQuota(500)
    sent = 1

    async def send() -> str:
        nonlocal sent
        sent += 1
        quota.succeeded(0.0)  # of another request
        raise gone()

    loop = loop_of(Service(), gone(), quota=quota, is_of_job=True)
    loop.send = send
    with pytest.raises(APIConnectionError):
        await loop.run()

    assert sent == 6


def test_the_usual_policy_is_the_documented_one() -> None:
    """Its numbers are promises: they decide how long a call may take."""
    assert attrs.asdict(RetryPolicy()) == {
        "max_retries": 5,
        "initial_delay": 0.5,
        "max_delay": 20.0,
        "max_retry_after": 120.0,
        "budget": 600.0,
        "settle_after": None,
        "quota": 500.0,
        "max_first_retries": None,
        "max_outage_retries": 15,
    }


async def test_a_policy_of_none_repeats_nothing() -> None:
    """Not even once."""
    service = Service(["done"])
    loop = loop_of(service, status(503), replay=Replay.SAFE, policy=RetryPolicy.none())
    with pytest.raises(APIStatusError):
        await loop.run()

    assert service.sent == 0
