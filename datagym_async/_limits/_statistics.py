"""Counters and times of a session; eight requests that wait one second each have waited eight."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping

import attrs

_LATENCIES_KEPT = 256


@attrs.frozen
class SessionStatistics:
    """Counts of a session so far.

    Times are sums over all requests, in seconds.

    Args:
        requests: Requests sent, including retries.
        retries: Retries among them.
        bytes: Bytes of bodies, sent and received.
        in_flight: Requests in flight now.
        waits: Requests that had to wait for a slot or for the rate limit.
        lane_seconds: Time waited for a slot.
        rate_seconds: Time waited for the rate limit of requests.
        pause_seconds: Time waited because the service asked for a pause.
        pace_seconds: Time waited for the limit of bytes a second.
        reading_seconds: Time waited for streamed bodies to be read from their source.
        sending_seconds: Time from an attempt's start to the end of its answer, including the two
            above.
        overloads: Signs of overload, by kind: ``"429"``, ``"503"``, ``"500"`` (without a key),
            ``"504"``, ``"timeout"``.
        p50: Median of the latest 256 latencies.
        p95: 95th percentile of the same.
        retry_tokens: What is left of the retry budget; None if there is none.
    """

    __module__ = "datagym_async"  # what it is imported from

    requests: int = 0
    retries: int = 0
    bytes: int = 0
    in_flight: int = 0
    waits: int = 0
    lane_seconds: float = 0.0
    rate_seconds: float = 0.0
    pause_seconds: float = 0.0
    pace_seconds: float = 0.0
    reading_seconds: float = 0.0
    sending_seconds: float = 0.0
    overloads: Mapping[str, int] = attrs.field(factory=dict)
    p50: float = 0.0
    p95: float = 0.0
    retry_tokens: float | None = None

    def since(self, earlier: SessionStatistics) -> SessionStatistics:
        """Return what was done since an earlier moment: counts and sums are differences.

        Values without a difference (requests in flight, percentiles and tokens) are those of now.

        Args:
            earlier: Earlier statistics of the same session.
        """
        names = {"requests", "retries", "bytes", "waits"}
        names |= {each for each in attrs.fields_dict(type(self)) if each.endswith("_seconds")}
        less = {name: getattr(self, name) - getattr(earlier, name) for name in names}
        overloads = Counter(self.overloads)
        overloads.subtract(earlier.overloads)
        return attrs.evolve(self, **less, overloads=dict(+overloads))


@attrs.define
class Waited:
    """Seconds that requests have waited for something; `count` of them had to wait."""

    count: int = 0
    lane: float = 0.0
    rate: float = 0.0
    pause: float = 0.0
    pace: float = 0.0
    reading: float = 0.0
    sending: float = 0.0
    overloads: Counter[str] = attrs.field(factory=Counter)
    latencies: deque[float] = attrs.field(factory=lambda: deque(maxlen=_LATENCIES_KEPT))

    def percentile(self, share: float) -> float:
        """Return a percentile of the latest latencies, 0 if there are none."""
        known = sorted(self.latencies)  # once: a thread may ask while the loop adds some
        return known[min(len(known) - 1, int(len(known) * share))] if known else 0.0
