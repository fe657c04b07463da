"""How much at once and how often: lanes, rates, pauses, and what they observe; in reading order.

- `_limits`: `Limits` gives out slots for attempts: let in by a lane, at a moment that neither a
  pause nor the rate of requests forbids. Their options: `LimitsConfig`.
- `_lanes`: a lane lets in as many as its limit says: a fixed number, a pin, or what is found out.
- `_adaptive`: the controller that finds the limit out, from what requests take.
- `_pacer`: requests and bytes a second.
- `_pause`: the pause of a whole client, and the header fields that ask for one.
- `_statistics`: what all of this took.
"""

# ruff: noqa: F401 -- what a package of ours alone imports is what it exports

from __future__ import annotations

from typing import TYPE_CHECKING

from datagym_async._public import when_asked

if TYPE_CHECKING:
    from datagym_async._limits._adaptive import Gradient, LimiterState
    from datagym_async._limits._limits import Limits, LimitsConfig, Slot
    from datagym_async._limits._pause import PauseGate, pause_asked
    from datagym_async._limits._statistics import SessionStatistics
else:
    __getattr__, __dir__, _ = when_asked(
        __name__,
        _adaptive="Gradient LimiterState",
        _limits="Limits LimitsConfig Slot",
        _pause="PauseGate pause_asked",
        _statistics="SessionStatistics",
    )
