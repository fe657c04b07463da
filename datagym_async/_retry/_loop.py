"""What follows the first failure of a request: retries until it succeeds or is given up.

tenacity drives it. Its strategies are methods of `RetryLoop`: *retry* asks the table, *stop* checks
counts, Retry-After and the client's retry budget, *wait* says how long. What is repeated is a turn:
look up what became of a lost request, then send it again.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

import attrs
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception

from datagym_async._printable import logger
from datagym_async._retry._delays import RetryPolicy
from datagym_async._retry._table import Action, Trouble, classify, decide, is_outage
from datagym_async._wire._messages import Replay
from datagym_async.exceptions import (
    AlreadyExistsError,
    APIError,
    APIStatusError,
    APITimeoutError,
    ClientClosedError,
)

# As in the AWS SDKs' standard retry mode: a budget of 500 is enough for 100 retries, or 50 after
# timeouts, without a success between them. That is for up to 8 requests which are retried at once:
# an outage hits all that are in flight, so the retries of more are cheaper in proportion.
_COST = 5.0
_COST_OF_TIMEOUT = 10.0
_REWARD = 1.0
_AT_ONCE = 8
# Seconds between attempts in an outage, at most: a service that is back should not be left idle.
_LONGEST_IN_OUTAGE = 5.0

SEEMS_DOWN = (
    "The service seems to be down: nearly everything has failed lately, so nothing is tried again"
    " until something succeeds; see that it runs, then start again."
)


@attrs.define
class RetryQuota:
    """Allows retries while enough requests succeed.

    A retry costs 5 tokens, after a timeout 10; if more than 8 requests have been retried at once
    since the last success, 8 times that, divided by their number. A success gives back what its own
    retries cost, or 1 if it needed none; there are never more than at the start.
    """

    capacity: float
    tokens: float = attrs.field(init=False)
    at_once: int = attrs.field(default=0, init=False)  # requests that are being retried now
    successes: int = attrs.field(default=0, init=False)  # while it was not full
    in_outage: int = attrs.field(default=0, init=False)  # of those, the ones that outlast an outage
    _most: int = attrs.field(default=0, init=False)  # at once, since the last success

    def __attrs_post_init__(self) -> None:
        self.tokens = self.capacity

    def take(self, failure: APIError) -> float | None:
        """Pay for the retry after a failure and return its cost; None if it is not allowed."""
        cost = _COST_OF_TIMEOUT if isinstance(failure, APITimeoutError) else _COST
        self._most = max(self._most, self.at_once)
        cost *= _AT_ONCE / max(_AT_ONCE, self._most)
        if cost > self.tokens:
            return None
        self.tokens -= cost
        return cost

    def succeeded(self, paid: float) -> None:
        self._most = 0
        self.successes += 1
        if self.tokens < self.capacity:
            self.tokens = min(self.capacity, self.tokens + (paid or _REWARD))


_log = logger(__name__)
T = TypeVar("T")

_LOOKS = frozenset({Action.SETTLE, Action.SETTLE_ONCE})
# After these the service may still be at work; after its own answers it is not.
_MAY_STILL_RUN = frozenset({Trouble.ANSWER_LOST, Trouble.BROKEN})
_ONCE = frozenset({Action.RETRY_ONCE, Action.SETTLE_ONCE})


@attrs.define
class RetryLoop(Generic[T]):
    failure: APIError  # the last one; at first, that of the first attempt
    policy: RetryPolicy
    replay: Replay
    send: Callable[[], Awaitable[T]]
    settle_after: Callable[[], float]
    """Returns the seconds before a look-up, in which the service could still carry it out."""
    quota: RetryQuota | None = None
    look: Callable[[], Awaitable[T | None]] | None = None
    """Looks up a request whose answer was lost: its outcome, or None if it was not carried out.
    Needed if the table says so (`Replay.SETTLE`)."""
    on_retry: Callable[[], None] | None = None  # called before each retry
    what: str = "The request"  # method and path, for texts
    chance: Callable[[], float] = random.random
    is_of_job: bool = False  # and so outlasts an outage of the service
    sent: int = attrs.field(default=0, init=False)
    _action: Action = attrs.field(default=Action.FAIL, init=False)
    _looks: bool = attrs.field(default=False, init=False)
    _paid: float = attrs.field(default=0.0, init=False)
    _sent_once_more: bool = attrs.field(default=False, init=False)
    _was_lost: bool = attrs.field(default=False, init=False)
    _has_ended: bool = attrs.field(default=False, init=False)
    _is_outage: bool = attrs.field(default=False, init=False)
    _successes: int = attrs.field(default=0, init=False)  # of the client, at the last failure

    async def run(self) -> T:
        """Return the answer, or what the look-up found.

        The last failure is raised with the number of attempts; its `unknown` says whether the
        service may have carried the request out.
        """
        retrying = AsyncRetrying(
            retry=retry_if_exception(self._may_be_repeated),
            stop=self._has_to_stop,
            wait=lambda _: self._delay(_retry_after(self.failure)),
            before_sleep=self._before_sleep,
            sleep=asyncio.sleep,
            retry_error_callback=self._last_look,
        )
        if self.quota is not None:
            self.quota.at_once += 1
        try:
            return await retrying(self._turn)
        except APIError as error:
            error.attempts = self.sent
            raise
        finally:
            if self.quota is not None:
                self.quota.at_once -= 1
                self.quota.in_outage -= self._is_outage

    @property
    def is_doubtful(self) -> bool:
        """Return whether the service may have carried the request out."""
        return self.failure.unknown or self._was_lost

    async def _turn(self) -> T:
        if not self.sent:  # the first attempt was made before there was a loop
            self.sent = 1
            raise self.failure
        if self._looks and (found := await self._found()) is not None:
            return found
        self.sent += 1
        try:
            answer = await self.send()
        except asyncio.CancelledError:  # the budget has ended while it was under way
            self._was_lost = True
            raise
        except AlreadyExistsError as refusal:
            self.failure = refusal
            # After a lost answer it may be what that request has created.
            if self._was_lost and (found := await self._found()) is not None:
                return found
            raise
        if self.quota is not None:
            self.quota.succeeded(self._paid)
        return answer

    async def _found(self) -> T | None:
        """Look up a lost request; if that fails, its outcome stays unknown."""
        if self.look is None:
            return None
        try:
            found = await self.look()
        except (APIError, ClientClosedError) as failure:
            _log.debug("%s: its outcome could not be looked up: %s", self.what, failure)
            self.failure.unknown = self._has_ended = True
            raise self.failure from failure
        self.failure.unknown = False
        return found

    def _may_be_repeated(self, error: BaseException) -> bool:
        """Ask the table (tenacity's *retry*)."""
        if not isinstance(error, APIError) or self._has_ended:
            return False
        self.failure = error
        self._action = decide(error, self.replay)
        self._looks = self._action in _LOOKS
        self._was_lost |= self._looks
        error.unknown = self._action is Action.UNKNOWN
        return self._action not in {Action.FAIL, Action.UNKNOWN}

    def _has_to_stop(self, _: RetryCallState) -> bool:
        """Return whether it is not retried although the table allows it (*stop*)."""
        if (beyond := self.sent - self.policy.max_retries) > 0:
            if not (self.is_of_job and self._outlasts(beyond)):
                return True
            if self.quota is not None:
                self.quota.in_outage += not self._is_outage
            self._is_outage = True
        if self._action in _ONCE and self._sent_once_more:
            return True
        asked, longest = _retry_after(self.failure), self.policy.max_retry_after
        if asked is not None and asked > longest:
            self.failure.remark = (
                f"The service asks to wait {asked:.0f} seconds, longer than the "
                f"{longest:.0f} that this client waits; try again later."
            )
            return True
        # Last, because it costs something; in an outage, the number of attempts is limit enough.
        if self.quota is not None and not self._is_outage:
            if (paid := self.quota.take(self.failure)) is None:
                self.failure.remark = SEEMS_DOWN
                return True
            self._paid += paid
        self._sent_once_more |= self._action in _ONCE
        return False

    def _outlasts(self, number: int) -> bool:
        """Return whether it is tried further: the service is down for all, or wants fewer."""
        if not self.policy.max_retries or number > self.policy.max_outage_retries:
            return False
        if isinstance(self.failure, APIStatusError) and self.failure.status == 429:
            return True
        is_of_all = self.quota is None or self.quota.successes == self._successes
        return is_of_all and is_outage(self.failure)

    def _delay(self, asked: float | None) -> float:
        """Return the seconds before the next turn, at least those that the service asks for."""
        delay = self.policy.delay(self.sent, retry_after=asked, chance=self.chance())
        if self.sent > self.policy.max_retries and asked is None:
            delay = min(delay, _LONGEST_IN_OUTAGE * (1 + self.chance()) / 2)
        if self._looks and classify(self.failure) in _MAY_STILL_RUN:
            return max(delay, self.settle_after())
        return delay

    def _before_sleep(self, state: RetryCallState) -> None:
        if self.quota is not None:
            self._successes = self.quota.successes
        self._tell(state.upcoming_sleep)
        if self.on_retry is not None:
            self.on_retry()

    def _tell(self, delay: float) -> None:
        next_ = "looking up what became of it" if self._looks else "trying again"
        _log.info("%s failed (%s); %s in %.1f s", self.what, self.failure, next_, delay)

    async def _last_look(self, _: RetryCallState) -> T:
        """Raise the failure, unless its answer was lost and it was carried out."""
        if self._looks:
            self.failure.unknown = True
            self._tell(delay := self._delay(None))
            await asyncio.sleep(delay)
            if (found := await self._found()) is not None:
                return found
        raise self.failure


def _retry_after(error: APIError) -> float | None:
    return error.retry_after if isinstance(error, APIStatusError) else None
