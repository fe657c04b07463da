"""`datasets.ensure`: the dataset of a name, with no listing unless the service refuses the name."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from datagym_async import DataGymClient, RetryPolicy
from datagym_async.exceptions import AlreadyExistsError, BadRequestError
from datagym_async.server import SeedDataset, Server
from datagym_async.testing import CommitThenDrop, Drop, FaultPlan, ServiceError
from tests.helpers.sentinel import TOKEN

LIST = r"/dataset$"


@pytest.fixture
def plan() -> FaultPlan:
    """Return a plan without faults: it counts."""
    return FaultPlan()


@pytest.fixture
async def server(plan: FaultPlan) -> AsyncIterator[Server]:
    """Return an empty service."""
    async with Server(token=TOKEN, middlewares=[plan.middleware]) as server:
        yield server


@pytest.fixture
async def client(server: Server) -> AsyncIterator[DataGymClient]:
    """Return a client that settles at once."""
    retry = RetryPolicy(initial_delay=0.001, settle_after=0.001)
    async with DataGymClient(TOKEN, server.base_url, rate_limit=None, retry=retry) as client:
        yield client


async def test_a_free_name_costs_one_request(client: DataGymClient, plan: FaultPlan) -> None:
    """A listing would hold all media there are."""
    dataset = await client.datasets.ensure("Photos 2")

    assert (dataset.name, dataset.media) == ("Photos 2", ())
    assert len(plan.requests) == 1


async def test_a_taken_name_is_looked_up(client: DataGymClient) -> None:
    """Whoever made it, and however it is written."""
    made = await client.datasets.create("PHOTOS 2")

    assert (await client.datasets.ensure("Photos 2")).id == made.id
    assert len(await client.datasets.list()) == 1


async def test_a_doubled_name_is_the_oldest(client: DataGymClient, server: Server) -> None:
    """The service answers 500 for a name that a race has doubled (observed)."""
    first, _ = await server.seed_datasets(SeedDataset("Photos 2"), SeedDataset("photos 2"))

    assert (await client.datasets.ensure("Photos 2")).id == first.id


@pytest.mark.parametrize("fault", [CommitThenDrop(), Drop()])
async def test_a_lost_answer_makes_no_second_one(
    client: DataGymClient, plan: FaultPlan, fault: CommitThenDrop | Drop
) -> None:
    """It is looked up, and made only where it is not there."""
    plan.add(fault, method="POST", path=LIST, first=1)

    dataset = await client.datasets.ensure("Photos 2")

    assert [each.id for each in await client.datasets.list()] == [dataset.id]


async def test_many_at_once_get_one(client: DataGymClient) -> None:
    """Those of one client wait for each other."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(client.datasets.ensure("Photos 2")) for _ in range(5)]

    assert len({task.result().id for task in tasks}) == 1


async def test_a_name_that_nobody_lists_is_refused(client: DataGymClient, plan: FaultPlan) -> None:
    """A deleted dataset may keep its name from others."""
    plan.add(ServiceError(412, "ex_alreadyexists"), method="POST", path=LIST)

    with pytest.raises(AlreadyExistsError):
        await client.datasets.ensure("Photos 2")


async def test_a_bad_name_is_the_plain_error(client: DataGymClient) -> None:
    """As with `create`."""
    with pytest.raises(BadRequestError):
        await client.datasets.ensure("with-dash")
