"""How many requests at once and how often, in reading order.

- `_limits`: `Limits` gives out slots for attempts; its options are `LimitsConfig`.
- `_lanes`: who waits for room; a lane has as many slots as its limit: a fixed number, a pin, or an
  adaptive number.
- `_adaptive`: the controller of that number.
- `_pacer`: requests and bytes a second.
- `_statistics`: how long requests waited for all of this.
"""

# ruff: noqa: F401 -- what a package of ours alone imports is what it exports

from __future__ import annotations

from datagym_async._limits._adaptive import Gradient, LimiterState
from datagym_async._limits._lanes import Admission, BoundedLane
from datagym_async._limits._limits import Limits, LimitsConfig, Slot
from datagym_async._limits._statistics import SessionStatistics
