"""How much at once and how often: bounded lanes, rates, pauses, and what they observe.

`Limits` gives out slots. A slot is a place in a lane (`_lane`: a `ResizableSemaphore` whose size a
`Gradient` finds out, unless it is pinned), then a moment that neither the pause of the client
(`_pause`) nor the request rate forbids. Bodies of uploads go out at a pace (`_pacer`).
`_statistics` holds what all of this took, and `_advisor` says what it means.
"""

from datagym_async._limits._adaptive import Gradient, LimiterState
from datagym_async._limits._lanes import ResizableSemaphore
from datagym_async._limits._limits import Limits, LimitsConfig, Slot
from datagym_async._limits._pause import pause_asked
from datagym_async._limits._statistics import RunFacts, SessionStatistics, advise

__all__ = [
    "Gradient",
    "LimiterState",
    "Limits",
    "LimitsConfig",
    "ResizableSemaphore",
    "RunFacts",
    "SessionStatistics",
    "Slot",
    "advise",
    "pause_asked",
]
