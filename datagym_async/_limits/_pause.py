"""The pause of a whole client, and the header fields that ask for one. Parsers are pure."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping

import attrs

# Reset fields hold seconds to go, or, with some services, seconds or milliseconds since 1970.
_EPOCH_SECONDS = 1e9
_EPOCH_MILLISECONDS = 1e11
_LONGEST_FIELD = 1_000
_REMAINING = ("ratelimit-remaining", "x-ratelimit-remaining")
# A timer may fire one step of the clock early: who waited must not wait again for that step.
_TICK = 1e-4

# One without an end goes to the end of the field, so that no quote is looked from twice.
_STRING = r'"(?:[^"\\]++|\\.)*+"?'
_PARAMETER = re.compile(rf";\s*([a-z*][\w.*-]*)\s*=\s*({_STRING}|:[^:]*:|[^;,\s\"]*)")
_MEMBER = re.compile(rf"(?:{_STRING}|[^,\"])+")
_OLD_MEMBER = re.compile(r"\b(remaining|reset)\s*=\s*([^;,\s]+)")


@attrs.define
class PauseGate:
    """Remember until when nothing new is sent, by the event loop's clock."""

    until: float = 0.0

    def pause(self, seconds: float, *, now: float) -> None:
        """Send nothing for so many seconds; a longer pause that is on already stays."""
        self.until = max(self.until, now + seconds)

    def left(self, now: float) -> float:
        """Return the seconds that are left of the pause, 0 or more."""
        left = self.until - now
        return left if left > _TICK else 0.0


def pause_asked(headers: Mapping[str, str], *, now: Callable[[], float]) -> float | None:
    """Return the seconds for which the RateLimit fields of an answer leave nothing to send.

    Three generations are read: the structured field ``RateLimit: "name";r=0;t=30``
    (draft-ietf-httpapi-ratelimit-headers-09), ``RateLimit: limit=10, remaining=0, reset=30``
    (its draft 07), and ``RateLimit-Remaining`` with ``RateLimit-Reset``, with or without ``X-``.

    Fields are asked for by names in lower case; `now` gives the seconds since 1970, for resets that
    are moments. None where something remains, nothing is said, or it makes no sense.
    """
    if (field := headers.get("ratelimit")) is not None:
        asked = [_wait(left, reset, now()) for left, reset in _members(field[:_LONGEST_FIELD])]
        return max((seconds for seconds in asked if seconds is not None), default=None)
    for name in _REMAINING:
        if (remaining := headers.get(name)) is not None:
            return _wait(remaining, headers.get(name.replace("remaining", "reset")), now())
    return None


def _members(field: str) -> Iterator[tuple[str | None, str | None]]:
    """Give what remains and the seconds to the reset, as they are written, for each quota."""
    old = dict(_OLD_MEMBER.findall(re.sub(_STRING, "", field)))
    if old:
        yield old.get("remaining"), old.get("reset")
        return
    for member in _MEMBER.findall(field):
        parameters = dict(_PARAMETER.findall(member))
        yield parameters.get("r"), parameters.get("t")


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
    """Return a number; the older fields may hold several, of which the first counts."""
    try:
        number = float((text or "").partition(",")[0].partition(";")[0])
    except ValueError:
        return None
    return number if math.isfinite(number) else None
