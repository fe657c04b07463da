"""The token is in one header, and nowhere else that anybody could look."""

from __future__ import annotations

import io
import logging
import traceback
from typing import TYPE_CHECKING

import pytest

from datagym_async import DataGymClient, RetryPolicy
from datagym_async.exceptions import APIError, DataGymError
from datagym_async.server import SeedDataset, SeedProject, Server
from datagym_async.testing import Action, Drop, FaultPlan, Html, Redirect, Status, WrongShape
from tests.helpers.photos import jpeg
from tests.helpers.sentinel import TOKEN, contains_sentinel

if TYPE_CHECKING:
    from datagym_async._transport import Auth

FAULTS: dict[str, Action | None] = {
    "none": None,
    "drop": Drop(),
    "html": Html(502),
    "another shape": WrongShape(),
    "redirect": Redirect(f"https://elsewhere.test/?token={TOKEN}"),
    "echo": Status(400, f'{{"key": "ex_validation", "msg": "token={TOKEN}"}}'.encode()),
    "echo in html": Status(500, f"<p>Authorization: Token {TOKEN}</p>".encode(), "text/html"),
}


@pytest.mark.parametrize("auth", ["header", "parameter"])
@pytest.mark.parametrize("fault", list(FAULTS.values()), ids=list(FAULTS))
@pytest.mark.usefixtures("both_ways")
async def test_the_token_is_nowhere(
    fault: Action | None, auth: Auth, caplog: pytest.LogCaptureFixture
) -> None:
    """No log line, repr, error, cause, context or printed traceback holds the token."""
    caplog.set_level(logging.DEBUG)
    plan = FaultPlan()
    raised: list[DataGymError] = []
    async with Server(token=TOKEN, middlewares=[plan.middleware]) as server:
        (project,) = await server.seed(SeedProject("P", datasets=(SeedDataset("D"),)))
        dataset_id = project.datasets[0].id
        if fault is not None:
            plan.add(fault)
        async with DataGymClient(
            TOKEN, server.base_url, auth=auth, retry=RetryPolicy.none()
        ) as client:
            for call in (
                client.ping,
                client.projects.list,
                lambda: client.datasets.get(dataset_id),
                lambda: client.media.upload_file(dataset_id, jpeg(2000), name="a.jpg"),
                lambda: client.media.download(dataset_id),
                lambda: client.labels.export(project.id),
            ):
                try:
                    await call()
                except DataGymError as error:
                    raised.append(error)
            shown = [repr(client), repr(client.media), repr(client.statistics()), repr(server)]

    printed = io.StringIO()
    for each in raised:
        traceback.print_exception(each, file=printed)
    assert TOKEN not in printed.getvalue() + caplog.text + "".join(shown)
    assert not any(contains_sentinel(each) for each in raised)
    assert bool(raised) or fault is None


async def test_no_request_carries_the_token_in_its_url() -> None:
    """The service sees the token in the header of each request, and in no URL."""
    plan = FaultPlan()
    async with (
        Server(token=TOKEN, middlewares=[plan.middleware]) as server,
        DataGymClient(TOKEN, server.base_url) as client,
    ):
        await client.ping()
        await client.projects.list()
        await client.datasets.create("Winter")

    assert len(plan.requests) >= 3
    assert all(TOKEN not in seen.path for seen in plan.requests)


async def test_a_refused_token_is_not_repeated_to_the_reader() -> None:
    """The error of a bad token names both causes and not the token."""
    async with (
        Server(token="another-token") as server,
        DataGymClient(TOKEN, server.base_url) as client,
    ):
        with pytest.raises(APIError) as raised:
            await client.projects.list()

    assert TOKEN not in str(raised.value)
    assert "token" in str(raised.value)
