"""The pause of a whole client, and the header fields that ask for one; parsing is pure."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping

import attrs

# Reset fields contain the seconds left, or, with some services, a time since 1970.
_EPOCH_SECONDS = 1e9
_EPOCH_MILLISECONDS = 1e11
_LONGEST_FIELD = 1_000
_REMAINING = ("ratelimit-remaining", "x-ratelimit-remaining")
# A timer may fire one step of the clock early; do not wait again for that step.
_TICK = 1e-4

# A string without an end ends with the field.
_STRING = re.compile(r'"(?:[^"\\]++|\\.)*+"?')
_PARAMETER = re.compile(r"(?<![\w.*-])(r|t|remaining|reset)\s*=\s*([^;,\s]*)")


@attrs.define
class PauseGate:
    """The time until which nothing new is sent, by the event loop's clock."""

    until: float = 0.0

    def pause(self, seconds: float, *, now: float) -> None:
        """Send nothing for so many seconds; a longer pause stays."""
        self.until = max(self.until, now + seconds)

    def left(self, now: float) -> float:
        """Return the seconds left of the pause."""
        left = self.until - now
        return left if left > _TICK else 0.0


def pause_asked(headers: Mapping[str, str], *, now: Callable[[], float]) -> float | None:
    """Return the seconds until the rate limit is reset, if no request remains; else None.

    Three generations are read: the structured field ``RateLimit: "name";r=0;t=30``
    (draft-ietf-httpapi-ratelimit-headers-09), ``RateLimit: limit=10, remaining=0, reset=30``
    (its draft 07), and ``RateLimit-Remaining`` with ``RateLimit-Reset``, with or without ``X-``.
    Names in `headers` are in lower case; `now` returns the seconds since 1970.
    """
    if (field := headers.get("ratelimit")) is not None:
        asked = [_wait(left, reset, now()) for left, reset in _members(field[:_LONGEST_FIELD])]
        return max((seconds for seconds in asked if seconds is not None), default=None)
    for name in _REMAINING:
        if (remaining := headers.get(name)) is not None:
            return _wait(remaining, headers.get(name.replace("remaining", "reset")), now())
    return None


def _members(field: str) -> Iterator[tuple[str | None, str | None]]:
    """Yield what remains and the seconds to the reset, as they are written, for each quota."""
    plain = _STRING.sub("", field)
    if "remaining" in plain:  # one quota, with commas between its parts
        members, left, reset = [plain], "remaining", "reset"
    else:
        members, left, reset = plain.split(","), "r", "t"
    for member in members:
        found = dict(_PARAMETER.findall(member))
        yield found.get(left), found.get(reset)


def _wait(remaining: str | None, reset: str | None, now: float) -> float | None:
    left, seconds = _number(remaining), _number(reset)
    if left is None or left > 0 or seconds is None:
        return None
    if seconds >= _EPOCH_MILLISECONDS:
        seconds = seconds / 1000 - now
    elif seconds >= _EPOCH_SECONDS:
        seconds -= now
    return seconds if seconds > 0 else None


def _number(text: str | None) -> float | None:
    """Return a number; older fields may contain several, of which the first counts."""
    try:
        number = float((text or "").partition(",")[0].partition(";")[0])
    except ValueError:
        return None
    return number if math.isfinite(number) else None
