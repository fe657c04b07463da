"""The retry budget of a whole client: a bucket of tokens, so that a dead service is let go."""

from __future__ import annotations

import attrs

from datagym_async.exceptions import APIError, APITimeoutError

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
