"""One request, sent until it succeeds, is settled, or is given up.

A turn is: look, if an answer was lost; then send, if the table and the counts allow it. `_judge`
decides after each failure what the next turn is; tenacity waits and takes turns; `asyncio.timeout`
bounds all of it, because tenacity's own time limit reads a clock that is not the event loop's.

The retry budget of a whole client: a bucket of tokens, so that a dead service is let go.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

import attrs
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception

from datagym_async._logs import logger
from datagym_async._retry._delays import RetryPolicy
from datagym_async._retry._table import Action, Trouble, classify, decide
from datagym_async._wire._messages import Replay
from datagym_async.exceptions import AlreadyExistsError, APIError, APIStatusError, APITimeoutError

# The costs are those of the AWS SDKs' standard retry mode: a bucket of 500 lets 100 retries, or 50
# after timeouts, go by without a success between them.
_COST = 5.0
_COST_OF_TIMEOUT = 10.0
_REWARD = 1.0

SEEMS_DOWN = (
    "The service seems to be down: nearly everything has failed of late, so nothing is tried again"
    " until something succeeds; see that it runs, then start again."
)


@attrs.define
class RetryQuota:
    """Grant repetitions while enough succeeds.

    A repetition costs 5 tokens, after a timeout 10. A success gives back what its own repetitions
    cost, or 1 where it needed none; there are never more than at the start.

    Args:
        capacity: Tokens at the start, and at most.
    """

    capacity: float
    tokens: float = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.tokens = self.capacity

    def take(self, failure: APIError) -> float | None:
        """Return what the repetition after a failure costs, paid; None if it is not granted."""
        cost = _COST_OF_TIMEOUT if isinstance(failure, APITimeoutError) else _COST
        if cost > self.tokens:
            return None
        self.tokens -= cost
        return cost

    def succeeded(self, paid: float) -> None:
        """Note a success.

        Args:
            paid: What its repetitions cost.
        """
        if self.tokens < self.capacity:
            self.tokens = min(self.capacity, self.tokens + (paid or _REWARD))


_log = logger(__name__)
T = TypeVar("T")

_LOOKS = frozenset({Action.SETTLE, Action.SETTLE_ONCE})
# What the service itself answered is over; only these leave it perhaps still at work.
_MAY_STILL_RUN = frozenset({Trouble.ANSWER_LOST, Trouble.BROKEN})
_ONCE = frozenset({Action.RETRY_ONCE, Action.SETTLE_ONCE})


@attrs.frozen
class Settling(Generic[T]):
    """How to find out what became of a request whose answer was lost.

    Args:
        look: Looks it up in the service: the request's outcome, or None if it was not carried out.
        after: Gives the seconds to wait before the look, within which the service could still be
            carrying the request out.
    """

    look: Callable[[], Awaitable[T | None]]
    after: Callable[[], float]


@attrs.frozen
class _Turn:
    """What the next turn does: wait, look, send."""

    wait: float = 0.0
    look: bool = False
    send: bool = True


@attrs.define
class RetryLoop(Generic[T]):
    """Run one request by the retry table.

    Args:
        policy: Counts, waits and the longest Retry-After.
        replay: The column of the table.
        send: Sends the request once.
        quota: The retry budget of the whole client, or None.
        settling: How to settle a lost answer; needed where the table says so (`Replay.SETTLE`).
        on_retry: Is called before each repetition.
        what: Method and path, for texts.
        chance: Source of random numbers from 0 to below 1.
    """

    policy: RetryPolicy
    replay: Replay
    send: Callable[[], Awaitable[T]]
    quota: RetryQuota | None = None
    settling: Settling[T] | None = None
    on_retry: Callable[[], None] | None = None
    what: str = "The request"
    chance: Callable[[], float] = random.random
    _sent: int = attrs.field(default=0, init=False)
    _paid: float = attrs.field(default=0.0, init=False)
    _sent_once_more: bool = attrs.field(default=False, init=False)
    _was_lost: bool = attrs.field(default=False, init=False)
    _failure: APIError | None = attrs.field(default=None, init=False)
    _made: APIError | None = attrs.field(default=None, init=False)
    _pending: APIError | None = attrs.field(default=None, init=False)
    _next: _Turn | None = attrs.field(default=_Turn(), init=False)

    async def run(self, *, budget: float, failure: APIError | None = None, spent: float = 0.0) -> T:
        """Return the answer, or what settling found.

        Args:
            budget: Seconds for everything, waits included.
            failure: What the first attempt ended with, where it was made already.
            spent: Seconds of the budget that it took.

        Raises:
            APIError: The last failure, told how often the request was sent; its `unknown` is True
                where the service may have carried the request out.
        """
        self._made = failure
        limit = asyncio.timeout(max(0.0, budget - spent))
        try:
            async with limit:
                return await self._take_turns()
        except APIError as error:
            error.attempts = max(1, self._sent)
            raise
        except TimeoutError:
            if not limit.expired():
                raise
        msg = f"{self.what} was given up after {budget:.0f} seconds in all"
        raise APITimeoutError(msg, attempts=self._sent, unknown=self._is_doubtful()) from None

    async def _take_turns(self) -> T:
        try:
            return await self._take_turn()
        except APIError as error:
            if self._next is None:
                raise
            self._pending = error
        # Only now: setting tenacity up costs as much as the rest of a small request together.
        retrying = AsyncRetrying(
            retry=retry_if_exception(self._has_next),
            wait=self._wait,
            before_sleep=self._tell,
            sleep=asyncio.sleep,
            reraise=True,
        )
        return await retrying(self._take_pending_turn)

    async def _take_pending_turn(self) -> T:
        """Give tenacity the failure of the first turn, then take the others."""
        pending, self._pending = self._pending, None
        if pending is not None:
            raise pending
        return await self._take_turn()

    async def _take_turn(self) -> T:
        turn, self._next = self._next or _Turn(), None
        if turn.look and (found := await self._look()) is not None:
            return found
        if not turn.send:
            raise self._failure or AssertionError
        self._sent += 1
        try:
            return self._succeeded(await self._attempt())
        except AlreadyExistsError as refusal:
            return await self._recognise(refusal)
        except APIError as error:
            self._failure = error
            self._next = self._judge(error)
            raise

    async def _attempt(self) -> T:
        """Send, or raise what the first attempt ended with, where it was made already."""
        made, self._made = self._made, None
        if made is not None:
            raise made
        return await self.send()

    def _succeeded(self, answer: T) -> T:
        if self.quota is not None:
            self.quota.succeeded(self._paid)
        return answer

    def _judge(self, error: APIError) -> _Turn | None:
        """Return the turn that follows a failure, or None if the failure stands."""
        action = decide(error, self.replay)
        looks = action in _LOOKS and self.settling is not None
        sends = self._may_send(action, error)
        error.unknown = action is Action.UNKNOWN or (looks and not sends)
        if not (looks or sends):
            return None
        self._sent_once_more |= action in _ONCE
        self._was_lost |= looks
        return _Turn(wait=self._delay(error, looks=looks, sends=sends), look=looks, send=sends)

    def _may_send(self, action: Action, error: APIError) -> bool:
        if action in {Action.FAIL, Action.UNKNOWN} or self._sent > self.policy.max_retries:
            return False
        if action in _ONCE and self._sent_once_more:
            return False
        asked = _retry_after(error)
        if asked is None or asked <= self.policy.max_retry_after:
            return self._is_granted(error)
        error.remark = (
            f"The service asks to wait {asked:.0f} seconds, longer than the "
            f"{self.policy.max_retry_after:.0f} that this client waits; try again later."
        )
        return False

    def _is_granted(self, error: APIError) -> bool:
        """Take the repetition from the client's budget, or say why there is none."""
        if self.quota is None:
            return True
        paid = self.quota.take(error)
        if paid is None:
            error.remark = SEEMS_DOWN
            return False
        self._paid += paid
        return True

    def _delay(self, error: APIError, *, looks: bool, sends: bool) -> float:
        asked = _retry_after(error) if sends else None
        delay = self.policy.delay(self._sent, retry_after=asked, chance=self.chance())
        if looks and self.settling is not None and classify(error) in _MAY_STILL_RUN:
            return max(delay, self.settling.after())
        return delay

    async def _look(self) -> T | None:
        """Look a lost request up; a look that fails leaves its outcome unknown."""
        if self.settling is None or self._failure is None:
            return None
        lost = self._failure
        try:
            found = await self.settling.look()
        except APIError as failure:
            _log.debug("%s: its outcome could not be looked up: %s", self.what, failure)
            lost.unknown = True
            raise lost from failure
        lost.unknown = False
        return found

    async def _recognise(self, refusal: AlreadyExistsError) -> T:
        """Take "already exists" for our own earlier success, if an answer was lost before."""
        self._failure = refusal
        if not self._was_lost:
            raise refusal
        found = await self._look()
        if found is None:
            raise refusal
        return found

    def _is_doubtful(self) -> bool:
        return self._failure is None or self._failure.unknown or self._was_lost

    def _has_next(self, _: BaseException) -> bool:
        return self._next is not None

    def _wait(self, _: RetryCallState) -> float:
        return self._next.wait if self._next is not None else 0.0

    def _tell(self, _: RetryCallState) -> None:
        turn = self._next or _Turn()
        _log.info(
            "%s failed (%s); %s in %.1f s",
            self.what,
            self._failure,
            "looking what became of it" if turn.look else "trying again",
            turn.wait,
        )
        if turn.send and self.on_retry is not None:
            self.on_retry()


def _retry_after(error: APIError) -> float | None:
    return error.retry_after if isinstance(error, APIStatusError) else None
