"""How much at once and how often: bounded lanes and the request rate.

`ResizableSemaphore` bounds what is in flight; its size is fixed for now and can be changed while
it is in use. `Limits` holds one for each lane and the rate limit, and gives out slots.
"""

from datagym_async._limits._adaptive import Gradient, LimiterState
from datagym_async._limits._limits import Limits, LimitsConfig
from datagym_async._limits._semaphore import ResizableSemaphore

__all__ = ["Gradient", "LimiterState", "Limits", "LimitsConfig", "ResizableSemaphore"]
