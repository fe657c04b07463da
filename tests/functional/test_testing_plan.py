"""Rules of a fault plan: which request meets which fault, and what is recorded."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from datagym_async.server import Server
from datagym_async.testing import Delay, FaultPlan, Status, chance
from tests.helpers.sentinel import TOKEN

if TYPE_CHECKING:
    import re


async def serve(request: web.Request) -> web.StreamResponse:
    """Answer as a service does that has no faults."""
    del request
    return web.Response(status=200)


async def ask(plan: FaultPlan, *requests: tuple[str, str]) -> list[int]:
    """Send requests through a plan, one after the other, and return the statuses."""
    return [
        (await plan.middleware(make_mocked_request(method, path), serve)).status
        for method, path in requests
    ]


GET_A, GET_B, POST_A = ("GET", "/api/a"), ("GET", "/api/b%20b?a=1"), ("POST", "/api/a")


@pytest.mark.parametrize(
    ("rule", "statuses"),
    [
        pytest.param({}, [418, 418, 418, 418], id="every"),
        pytest.param({"method": "GET"}, [418, 418, 200, 418], id="method"),
        pytest.param({"path": "a$"}, [418, 200, 418, 418], id="path-without-query"),
        pytest.param({"path": "b%20b"}, [200, 418, 200, 200], id="path-as-sent"),
        pytest.param({"path": "a$", "nth": 2}, [200, 200, 418, 200], id="nth"),
        pytest.param({"path": "a$", "first": 2}, [418, 200, 418, 200], id="first"),
        pytest.param({"when": lambda r: "a" in r.query}, [200, 418, 200, 200], id="predicate"),
    ],
)
async def test_a_rule_takes_what_it_names(
    rule: dict[str, str | int | re.Pattern[str] | Callable[[web.Request], bool]],
    statuses: list[int],
) -> None:
    """A rule takes requests by method, path, predicate and turn, and no others."""
    plan = FaultPlan()
    fault = plan.add(Status(418), **rule)  # type: ignore[arg-type]  # the table's values differ in type

    assert await ask(plan, GET_A, GET_B, POST_A, GET_A) == statuses
    assert fault.taken == statuses.count(418)


async def test_the_first_rule_whose_turn_it_is_acts() -> None:
    """Rules count side by side, and the first of those that are due acts."""
    plan = FaultPlan()
    plan.add(Status(500), nth=2)
    plan.add(Status(429), first=3)

    assert await ask(plan, *[GET_A] * 4) == [429, 500, 429, 200]
    assert [(fault.matched, fault.taken) for fault in plan.faults] == [(4, 1), (4, 2)]


async def test_a_cleared_plan_lets_everything_pass() -> None:
    """After clear() nothing goes wrong, and the record is still there."""
    plan = FaultPlan()
    plan.add(Status(500))
    before = await ask(plan, GET_A)
    plan.clear()

    assert before + await ask(plan, GET_A) == [500, 200]
    assert len(plan.requests) == 2


async def test_the_record_tells_what_was_seen() -> None:
    """Each request is recorded with the fault it met, and counted by method and path."""
    plan = FaultPlan()
    plan.add(Status(500), method="POST")
    await ask(plan, GET_A, POST_A, GET_B)

    assert [(seen.method, seen.path, seen.action) for seen in plan.requests] == [
        ("GET", "/api/a", None),
        ("POST", "/api/a", Status(500)),
        ("GET", "/api/b%20b", None),
    ]
    assert [plan.count(), plan.count("GET"), plan.count(path="/a$")] == [3, 2, 2]


@pytest.mark.parametrize("wrong", [{"nth": 0}, {"first": -1}, {"nth": 1, "first": 1}])
def test_a_turn_that_cannot_be_is_refused(wrong: dict[str, int]) -> None:
    """Turns are counted from 1, and a rule has one way of counting."""
    plan = FaultPlan()
    with pytest.raises(ValueError, match=r"nth|n-th"):
        plan.add(Status(500), **wrong)  # type: ignore[arg-type]  # the table's values are ints

    assert plan.faults == []


async def test_chance_is_seeded() -> None:
    """One seed takes the same share of requests every time."""
    statuses = []
    for _ in range(2):
        plan = FaultPlan()
        plan.add(Status(500), when=chance(0.2, seed=3))
        statuses.append(await ask(plan, *[GET_A] * 100))

    assert statuses[0] == statuses[1]
    assert 5 < statuses[0].count(500) < 40


@pytest.mark.looptime
async def test_peak_and_connections_are_measured() -> None:
    """The record knows how many requests were in flight at once, over how many connections."""
    plan = FaultPlan()
    plan.add(Delay(10), first=3)
    async with (
        Server(token=TOKEN, middlewares=[plan.middleware]) as server,
        aiohttp.ClientSession(server.base_url) as session,
    ):
        async with asyncio.TaskGroup() as group:
            for _ in range(3):
                group.create_task(head(session))
        await head(session)

    assert (plan.peak_in_flight, plan.in_flight, plan.connections) == (3, 0, 3)
    assert plan.count("HEAD", "/project$") == 4


async def head(session: aiohttp.ClientSession) -> None:
    """Ask whether the token is good."""
    async with session.head(
        "/api/v1/project", headers={"Authorization": f"Token {TOKEN}"}
    ) as answer:
        assert answer.status == 200
