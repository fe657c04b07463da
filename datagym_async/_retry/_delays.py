"""How long to wait: the policy, and the header fields that ask for it.

Pure: wall clock and chance are arguments.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import attrs

from datagym_async._checks import is_number, shown
from datagym_async.exceptions import ConfigurationError

# Reset fields contain the seconds left, or, with some services, a time since 1970.
_EPOCH_SECONDS = 1e9
_EPOCH_MILLISECONDS = 1e11
_LONGEST_FIELD = 1_000
_REMAINING = ("ratelimit-remaining", "x-ratelimit-remaining")

# A string without an end ends with the field.
_STRING = re.compile(r'"(?:[^"\\]++|\\.)*+"?')
_PARAMETER = re.compile(r"(?<![\w.*-])(r|t|remaining|reset)\s*=\s*([^;,\s]*)")


def _check_not_negative(_: object, attribute: attrs.Attribute[Any], value: Any) -> None:
    if not is_number(value, 0):
        msg = f"RetryPolicy {attribute.name} is {shown(value)}; it must be 0 or more"
        raise ConfigurationError(msg)


_OR_NONE: Any = attrs.validators.optional(_check_not_negative)


@attrs.frozen
class RetryPolicy:
    """How often and how long a failed request is retried.

    Args:
        max_retries: Attempts after the first one.
        initial_delay: Upper limit of the first wait, in seconds; it doubles with each retry. The
            actual wait is a random number between half of the limit and the limit.
        max_delay: Maximum of this limit, in seconds.
        max_retry_after: Longest Retry-After that is obeyed, in seconds. If the service asks for
            more, the request fails at once and says so.
        budget: Seconds for one request with all its retries and waits; uploads get more if their
            size needs it. It does not interrupt the first attempt of an upload or download, which
            has its own limits (see `Timeout`).
        settle_after: Seconds to wait after a lost answer before looking up whether the request was
            carried out; None for 4 times the 95th percentile of the observed latencies, between 2
            and 60 seconds.
        quota: Size of the retry budget of the whole client. A retry costs 5, after a timeout 10
            (less if more than 8 requests are retried at once), and successful requests give some
            back; if too little is left, nothing is retried. None for no such budget.
        max_first_retries: Attempts after the first one for requests that begin before the service
            has answered anything, so that a wrong address is reported soon; None for `max_retries`.
        max_outage_retries: Further attempts of jobs (uploads, downloads, loaders, imports and the
            like), at most 5 seconds apart, while nothing at all succeeds because the service is
            down (it cannot be reached, or a proxy says so: 502, 503, 504), and after each 429. With
            the other defaults they take about a minute, so a restart of the service ends no job.
            Single calls have none, nor has a policy with `max_retries` 0.
    """

    __module__ = "datagym_async"  # what it is imported from

    max_retries: int = attrs.field(default=5, validator=_check_not_negative)
    initial_delay: float = attrs.field(default=0.5, validator=_check_not_negative)
    max_delay: float = attrs.field(default=20.0, validator=_check_not_negative)
    max_retry_after: float = attrs.field(default=120.0, validator=_check_not_negative)
    budget: float = attrs.field(default=600.0, validator=_check_not_negative)
    settle_after: float | None = attrs.field(default=None, validator=_OR_NONE)
    quota: float | None = attrs.field(default=500.0, validator=_OR_NONE)
    max_first_retries: int | None = attrs.field(default=None, validator=_OR_NONE)
    max_outage_retries: int = attrs.field(default=15, validator=_check_not_negative)

    @classmethod
    def none(cls) -> RetryPolicy:
        """Return a policy without retries."""
        return cls(max_retries=0)

    def delay(self, attempt: int, *, retry_after: float | None, chance: float) -> float:
        """Return the seconds to wait after attempt number `attempt`, counted from 1.

        The service has asked for `retry_after` of them; `chance` is from 0 to below 1.
        """
        bound = min(self.max_delay, self.initial_delay * 2.0 ** min(attempt - 1, 60))
        if retry_after is None:
            return bound * (1 + chance) / 2
        # Not less than asked for, and a little apart from other clients.
        return retry_after + min(bound, self.initial_delay) * chance


def parse_retry_after(value: str | None, *, now: datetime) -> float | None:
    """Return the seconds that a Retry-After field (RFC 9110 section 10.2.3) asks for, or None.

    It contains seconds (proxies send decimals, too) or an HTTP date, which is compared with `now`.
    """
    if value is None or not value.strip():
        return None
    try:
        seconds = float(value)
    except ValueError:
        if (moment := _moment(value)) is None:
            return None
        seconds = (moment - now).total_seconds()
    return max(0.0, seconds) if math.isfinite(seconds) else None


def said_at(headers: Mapping[str, str], now: Callable[[], datetime]) -> datetime:
    """Return when an answer was sent by its own clock, or else by ours.

    Times in its other fields are by the same clock; ours may be wrong by hours.
    """
    return _moment(headers.get("date", "")) or now()


def _moment(text: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text.strip())
    except (ValueError, OverflowError):  # no date, or of no calendar: a year 10000
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


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
