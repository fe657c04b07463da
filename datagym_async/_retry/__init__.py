"""What happens after a failure; in reading order.

- `_table`: the decision, pure: failure and kind of request lead to an action.
- `_delays`: the policy and the arithmetic of waiting, pure: backoff with jitter, Retry-After,
  and the header fields that ask for a pause of the whole client.
- `_loop`: `RetryLoop` runs both on tenacity; `RetryQuota` is the retry budget of the whole client.
"""

# ruff: noqa: F401 -- what a package of ours alone imports is what it exports

from __future__ import annotations

from typing import TYPE_CHECKING

from datagym_async._public import when_asked

if TYPE_CHECKING:
    from datagym_async._retry._delays import RetryPolicy, parse_retry_after, pause_asked, said_at
    from datagym_async._retry._loop import SEEMS_DOWN, RetryLoop, RetryQuota
    from datagym_async._retry._table import Action, Trouble, classify, decide, is_outage
else:
    __getattr__, __dir__, _ = when_asked(
        __name__,
        _delays="RetryPolicy parse_retry_after pause_asked said_at",
        _loop="SEEMS_DOWN RetryLoop RetryQuota",
        _table="Action Trouble classify decide is_outage",
    )
