"""How many requests at once and how often, in reading order.

- `_limits`: `Limits` gives out slots for attempts; its options are `LimitsConfig`. A lane has as
  many slots as its limit: a fixed number, a pin, or an adaptive number. Requests and bytes a second
  are paced, and it is counted how long requests waited for all of this.
- `_adaptive`: the controller of an adaptive number.
"""

# ruff: noqa: F401 -- what a package of ours alone imports is what it exports

from __future__ import annotations

from datagym_async._limits._adaptive import Gradient, LimiterState
from datagym_async._limits._limits import (
    Admission,
    BoundedLane,
    Limits,
    LimitsConfig,
    SessionStatistics,
    Slot,
)
