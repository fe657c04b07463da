"""The plan: which request gets which fault, and a record of all requests."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

import attrs
from aiohttp import web

if TYPE_CHECKING:
    from aiohttp.typedefs import Handler


class Action(Protocol):
    """Replaces or wraps the service's own handler for a request."""

    async def apply(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answer the request, or make sure that it gets no answer."""
        ...


@attrs.frozen
class SeenRequest:
    """One request as it arrived."""

    method: str
    path: str
    """Without query, quoted as it was sent."""
    action: Action | None
    """The fault it got."""


@attrs.define
class Fault:
    """One rule of a plan, made by `FaultPlan.add`."""

    action: Action
    """What happens to the requests that it takes."""
    method: str | None = None
    """HTTP method it matches; None for any."""
    path: re.Pattern[str] | None = None
    """Pattern searched in the path (without query); None for any."""
    when: Callable[[web.Request], bool] | None = None
    """A predicate on the request, asked last; None for always."""
    nth: int | None = None
    """Take only the n-th matching request, counted from 1."""
    first: int | None = None
    """Take only the first so many matching requests."""
    matched: int = 0
    """How many requests have matched, taken or not."""
    taken: int = 0
    """How many it has taken."""

    def count(self, request: web.Request) -> bool:
        """Count a request if it matches, and return whether its turn has come."""
        if (
            self.method not in (None, request.method)
            or (self.path is not None and not self.path.search(request.rel_url.raw_path))
            or (self.when is not None and not self.when(request))
        ):
            return False
        self.matched += 1
        return (
            self.matched == self.nth if self.nth else self.matched <= (self.first or self.matched)
        )


@attrs.define
class FaultPlan:
    """Ordered rules that decide which request gets which fault, and a record of all requests.

    Pass `middleware` to a `Server`. A plan may be changed while it runs. Every rule counts every
    request that it matches; of the rules that apply, the first one acts.
    """

    faults: list[Fault] = attrs.field(factory=list)
    requests: list[SeenRequest] = attrs.field(factory=list, init=False)
    """All requests seen, in order of arrival."""
    in_flight: int = attrs.field(default=0, init=False)
    """Requests that are being answered, or kept waiting, now."""
    peak_in_flight: int = attrs.field(default=0, init=False)
    """The most there were at once."""
    _peers: set[object] = attrs.field(factory=set, init=False, repr=False)

    def add(
        self,
        action: Action,
        *,
        method: str | None = None,
        path: str | re.Pattern[str] | None = None,
        when: Callable[[web.Request], bool] | None = None,
        nth: int | None = None,
        first: int | None = None,
    ) -> Fault:
        """Append a rule: without `nth` and `first` it applies to every request that matches.

        Returns:
            The rule, which counts how often it matched and acted; its class describes the
            arguments. `path` may be the text of a regular expression.

        Raises:
            ValueError: `nth` and `first` are both given, or below 1.
        """
        if nth is not None and first is not None:
            raise ValueError("A fault takes the n-th request or the first few: give one of them.")
        if any(count is not None and count < 1 for count in (nth, first)):
            raise ValueError("Requests are counted from 1: nth and first must be 1 or more.")
        pattern = re.compile(path) if path is not None else None
        fault = Fault(action, method, pattern, when, nth, first)
        self.faults.append(fault)
        return fault

    @property
    def connections(self) -> int:
        """Return the number of connections over which the requests came, by the client's port."""
        return len(self._peers)

    def clear(self) -> None:
        """Remove all rules: the service works again. The record stays."""
        self.faults.clear()

    def count(self, method: str | None = None, path: str = "") -> int:
        """Return the number of requests with a method whose path matches a pattern."""
        pattern = re.compile(path)
        return sum(
            method in (None, seen.method) and pattern.search(seen.path) is not None
            for seen in self.requests
        )

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Pass a request to the fault that applies, or to the service."""
        due = [fault for fault in self.faults if fault.count(request)]
        for fault in due[:1]:
            fault.taken += 1
        action = due[0].action if due else None
        self.requests.append(SeenRequest(request.method, request.rel_url.raw_path, action))
        if request.transport is not None:
            self._peers.add(request.transport.get_extra_info("peername"))
        self.in_flight += 1
        self.peak_in_flight = max(self.peak_in_flight, self.in_flight)
        try:
            return await (action.apply(request, handler) if action else handler(request))
        finally:
            self.in_flight -= 1


def chance(rate: float, *, seed: int) -> Callable[[web.Request], bool]:
    """Return a predicate for `FaultPlan.add` that selects a share of requests (0 to 1) at random.

    The same seed selects the same requests, by their order.
    """
    rng = random.Random(seed)

    return lambda _: rng.random() < rate
