"""Each fault of `datagym_async.testing` does on the wire what its name says."""

from __future__ import annotations

import asyncio
import datetime
import io
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp
import pytest

from datagym_async.server import SeedDataset, SeedMedia, Server
from datagym_async.testing import (
    CommitThenDelay,
    CommitThenDrop,
    Delay,
    Drop,
    DropMidBody,
    FaultPlan,
    Hang,
    Html,
    Redirect,
    RefuseToken,
    RetryAfter,
    ServiceError,
    Status,
    Truncate,
    WrongShape,
    outage,
)
from tests.helpers.photos import jpeg
from tests.helpers.sentinel import TOKEN

if TYPE_CHECKING:
    from datagym_async.testing import Action

DATASETS = "/api/v1/dataset"
MOMENT = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)


@pytest.fixture
def plan() -> FaultPlan:
    return FaultPlan()


@pytest.fixture
async def server(plan: FaultPlan) -> AsyncIterator[Server]:
    async with Server(token=TOKEN, middlewares=[plan.middleware]) as server:
        yield server


@pytest.fixture
async def session(server: Server) -> AsyncIterator[aiohttp.ClientSession]:
    headers = {"Authorization": f"Token {server.token}"}
    async with aiohttp.ClientSession(server.base_url, headers=headers) as session:
        yield session


async def create(session: aiohttp.ClientSession, name: str) -> int:
    """Create a dataset and return the status."""
    async with session.post(DATASETS, json={"name": name}) as response:
        await response.read()
        return response.status


async def names(session: aiohttp.ClientSession) -> list[str]:
    """Return the names of the datasets that the service holds."""
    async with session.get(DATASETS) as response:
        return [dataset["name"] for dataset in await response.json()]


@pytest.mark.parametrize(
    ("action", "status", "headers", "body"),
    [
        pytest.param(Status(418), 418, {}, b"", id="status"),
        pytest.param(Status(500, b"oh", "text/plain"), 500, {}, b"oh", id="status-body"),
        pytest.param(Status.of_json(502, {"a": [1]}), 502, {}, b'{"a": [1]}', id="status-json"),
        pytest.param(RetryAfter(429, 2), 429, {"Retry-After": "2"}, b"", id="retry-seconds"),
        pytest.param(RetryAfter(503, "soon!"), 503, {"Retry-After": "soon!"}, b"", id="retry-text"),
        pytest.param(
            RetryAfter(503, MOMENT),
            503,
            {"Retry-After": "Fri, 02 Jan 2026 03:04:05 GMT"},
            b"",
            id="retry-date",
        ),
        pytest.param(
            WrongShape(), 200, {"Content-Type": "application/json"}, b'{"unexpected": true}'
        ),
        pytest.param(WrongShape([1, None]), 200, {}, b"[1, null]", id="wrong-list"),
        pytest.param(Html(page="<p>{status}"), 502, {"Content-Type": "text/html"}, b"<p>502"),
        pytest.param(
            Redirect("http://127.0.0.1:9/x"), 302, {"Location": "http://127.0.0.1:9/x"}, b""
        ),
    ],
)
async def test_an_answer_replaces_the_services(
    plan: FaultPlan,
    session: aiohttp.ClientSession,
    action: Action,
    status: int,
    headers: dict[str, str],
    body: bytes,
) -> None:
    """An answering fault says exactly this, and the service did nothing."""
    fault = plan.add(action, method="POST")
    async with session.post(DATASETS, json={"name": "lost"}, allow_redirects=False) as response:
        got = await response.read()

        assert (response.status, got) == (status, body)
        assert headers.items() <= response.headers.items()
    assert fault.taken == 1
    assert await names(session) == []


@pytest.mark.parametrize(
    ("action", "status", "key"),
    [
        (
            ServiceError(500, "ex_gen_forbidden_keyword", ("image",)),
            500,
            "ex_gen_forbidden_keyword",
        ),
        (RefuseToken(), 403, "ex_forbidden"),
        (RefuseToken(401), 401, "ex_unauthorized"),
    ],
    ids=["error", "bad-token", "no-token"],
)
async def test_an_error_speaks_as_the_service_does(
    plan: FaultPlan, session: aiohttp.ClientSession, action: Action, status: int, key: str
) -> None:
    """A service error has the service's shape, and closes the connection where the service does."""
    plan.add(action)
    async with session.get(DATASETS) as response:
        value = await response.json()

        assert (response.status, value["key"], value["code"]) == (status, key, status)
        assert ("close" in response.headers.get("Connection", "")) == (status == 500)


async def test_an_early_answer_closes_under_the_body(
    plan: FaultPlan, session: aiohttp.ClientSession
) -> None:
    """An early answer does not wait for the request's body."""
    plan.add(Status(503, early=True))
    async with session.post(DATASETS, data=io.BytesIO(b"x" * 20_000_000)) as response:
        assert response.status == 503
    assert plan.count("POST") == 1


@pytest.mark.parametrize(
    ("action", "stored"),
    [
        pytest.param(Drop(), [], id="drop"),
        pytest.param(Drop(after_bytes=0), [], id="drop-early"),
        pytest.param(CommitThenDrop(), ["one"], id="commit-then-drop"),
    ],
)
async def test_a_dropped_connection_gives_no_answer(
    plan: FaultPlan, session: aiohttp.ClientSession, action: Action, stored: list[str]
) -> None:
    """A drop ends the exchange without an answer; only the committing one stored anything."""
    plan.add(action, method="POST", first=1)
    with pytest.raises(aiohttp.ClientConnectionError):
        await create(session, "one")

    assert await names(session) == stored
    assert await create(session, "two") == 200


@pytest.mark.parametrize("action", [DropMidBody(), DropMidBody(0), Truncate(), Truncate(20)])
async def test_a_cut_answer_has_a_status_and_no_end(
    plan: FaultPlan, session: aiohttp.ClientSession, action: Action
) -> None:
    """A cut answer arrives with its status, was committed, and cannot be read to its end."""
    plan.add(action, method="POST")
    async with session.post(DATASETS, json={"name": "one"}) as response:
        assert response.status == 200
        with pytest.raises(aiohttp.ClientPayloadError):
            await response.read()

    assert await names(session) == ["one"]


@pytest.mark.parametrize(
    ("action", "size"),
    [(DropMidBody(100_000), 100_000), (Truncate(), 299_999), (Truncate(200_000), 100_000)],
)
async def test_a_streamed_answer_is_cut(
    plan: FaultPlan, server: Server, session: aiohttp.ClientSession, action: Action, size: int
) -> None:
    """A download begins, gives so many bytes, and ends too early."""
    image = jpeg(300_000)
    photos = SeedDataset("Photos", media=(SeedMedia("a.jpg", content=image),))
    (dataset,) = await server.seed_datasets(photos)
    plan.add(action, path="/media/")
    got = bytearray()
    async with session.get(f"/api/v1/media/{dataset.media_ids['a.jpg']}") as response:
        with pytest.raises(aiohttp.ClientPayloadError):
            await read_into(got, response)

    assert got == image[:size]


async def read_into(got: bytearray, response: aiohttp.ClientResponse) -> None:
    """Keep what has come of an answer, however it ends."""
    async for chunk in response.content.iter_any():
        got += chunk


@pytest.mark.looptime
async def test_a_delay_comes_before_or_after_the_work(
    plan: FaultPlan, session: aiohttp.ClientSession
) -> None:
    """Delay holds the request back; CommitThenDelay holds the answer back."""
    loop = asyncio.get_running_loop()
    plan.add(Delay(100), method="POST", nth=1)
    plan.add(CommitThenDelay(1000), method="POST", nth=2)

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(create(session, "held back"), 50)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(create(session, "done at once"), 30)
    assert "done at once" in await names(session)
    assert 80 <= loop.time() <= 90


@pytest.mark.looptime
async def test_a_hanging_request_ends_when_the_client_goes(
    plan: FaultPlan, session: aiohttp.ClientSession
) -> None:
    """A hang outlasts any patience, and holds nothing once the client has gone."""
    plan.add(Hang(), first=1)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(create(session, "never"), 5_000)
    await asyncio.sleep(1)

    assert (plan.in_flight, plan.peak_in_flight) == (0, 1)
    assert await names(session) == []


@pytest.mark.looptime
async def test_a_hanging_request_does_not_hold_up_the_end(plan: FaultPlan) -> None:
    """A server closes in spite of a request that hangs."""
    plan.add(Hang())
    server = Server(token=TOKEN, middlewares=[plan.middleware])
    await server.start()
    async with asyncio.TaskGroup() as group:
        group.create_task(expect_disconnect(server.base_url + DATASETS))
        await asyncio.sleep(1)
        assert plan.in_flight == 1
        await server.aclose()
    assert plan.in_flight == 0


async def expect_disconnect(url: str) -> None:
    """Send a request that gets no answer."""
    async with aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.ClientConnectionError):
            await session.get(url)


async def test_an_outage_refuses_connections_and_forgets_nothing(tmp_path: Path) -> None:
    """During an outage nobody listens; afterwards address, token and data are the same."""
    async with Server(tmp_path / "data") as server:
        headers = {"Authorization": f"Token {server.token}"}
        async with aiohttp.ClientSession(server.base_url, headers=headers) as session:
            assert await create(session, "kept") == 200
            async with outage(server):
                with pytest.raises(aiohttp.ClientConnectionError):
                    await names(session)
            assert await names(session) == ["kept"]
