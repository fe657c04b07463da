"""What a failing service leads to, over real sockets: outcome, requests seen, what is stored."""

from __future__ import annotations

import asyncio

import pytest

from datagym_async.exceptions import (
    APIError,
    InternalServerError,
    PermissionDeniedError,
    RateLimitError,
    RequestRefusedError,
)
from datagym_async.testing import (
    Action,
    CommitThenDrop,
    Drop,
    DropMidBody,
    Html,
    RefuseToken,
    RetryAfter,
    ServiceError,
    Status,
)
from tests.helpers.photos import jpeg
from tests.helpers.world import UPLOADS, world

pytestmark = pytest.mark.looptime

PASSING: dict[str, Action] = {
    "429 with Retry-After 2": RetryAfter(429, 2),
    "503 with Retry-After 2": RetryAfter(503, 2),
    "503": Status(503),
    "502 html": Html(502),
    "504 html": Html(504),
    "500 without a key": Status(500),
    "500 ex_system": ServiceError(500, "ex_system"),
    "dropped before headers": Drop(),
    "dropped in mid-answer": DropMidBody(),
}
passing = pytest.mark.parametrize("fault", list(PASSING.values()), ids=list(PASSING))


@passing
async def test_a_read_outlives_a_passing_failure(fault: Action) -> None:
    """A read is sent again and answers as if nothing had been."""
    async with world() as here:
        here.plan.add(fault, method="GET", path=r"/api/v1/dataset/", nth=1)
        before = asyncio.get_running_loop().time()

        dataset = await here.client.datasets.get(here.dataset_id)

        assert dataset.name == "Photos"
        assert here.plan.count("GET", "/api/v1/dataset/") >= 2
        if isinstance(fault, RetryAfter):
            assert 2 <= asyncio.get_running_loop().time() - before < 4


@passing
async def test_an_upload_outlives_a_passing_failure_and_is_stored_once(fault: Action) -> None:
    """An upload is looked up, sent again, and the service holds it once."""
    async with world() as here:
        here.plan.add(fault, method="POST", path=UPLOADS, nth=1)

        media = await here.client.media.upload_file(here.dataset_id, jpeg(2000), name="a.jpg")

        assert media.name == "a.jpg"
        assert await here.names() == ["a.jpg"]


async def test_an_upload_that_was_stored_is_not_sent_again() -> None:
    """Stored, then the answer is lost: the look finds it, and one upload was seen."""
    async with world() as here:
        here.plan.add(CommitThenDrop(), method="POST", path=UPLOADS, nth=1)

        media = await here.client.media.upload_file(here.dataset_id, jpeg(2000), name="a.jpg")

        assert here.plan.count("POST", UPLOADS) == 1
        assert await here.names() == ["a.jpg"]
        assert media.id == (await here.client.datasets.get(here.dataset_id)).media[0].id


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        pytest.param(
            ServiceError(500, "ex_gen_dummy_dataset_limit"), RequestRefusedError, id="ex_gen"
        ),
        pytest.param(RefuseToken(403), PermissionDeniedError, id="403"),
        pytest.param(RetryAfter(429, 500), RateLimitError, id="429 for 500 seconds"),
    ],
)
async def test_what_is_final_is_raised_at_once(fault: Action, expected: type[APIError]) -> None:
    """A rule, a bad token and a Retry-After beyond the limit cost one request and no wait."""
    async with world() as here:
        here.plan.add(fault, method="POST", path=UPLOADS)
        before = asyncio.get_running_loop().time()

        with pytest.raises(expected):
            await here.client.media.upload_file(here.dataset_id, jpeg(2000), name="a.jpg")

        assert asyncio.get_running_loop().time() - before < 0.5
        assert here.plan.count("POST", UPLOADS) == 1
        assert await here.names() == []


async def test_a_corrupt_image_is_tried_once_more_and_failed() -> None:
    """500 ex_system that repeats is the service's word; nothing is stored."""
    async with world() as here:
        here.plan.add(ServiceError(500, "ex_system"), method="POST", path=UPLOADS)

        with pytest.raises(InternalServerError) as raised:
            await here.client.media.upload_file(here.dataset_id, jpeg(2000), name="a.jpg")

        assert raised.value.key == "ex_system"
        assert here.plan.count("POST", UPLOADS) == 2
        assert await here.names() == []


async def test_a_dataset_created_without_an_answer_is_found() -> None:
    """Creation whose answer was lost is looked up by name; the service holds one."""
    async with world() as here:
        here.plan.add(CommitThenDrop(), method="POST", path=r"/api/v1/dataset$", nth=1)

        created = await here.client.datasets.create("Winter")

        assert here.plan.count("POST", r"/api/v1/dataset$") == 1
        names = [each.name for each in await here.client.datasets.list()]
        assert names.count("Winter") == 1
        assert created.name == "Winter"


async def test_an_append_without_an_answer_is_unknown() -> None:
    """Appended predictions whose answer was lost are not retried, and the result says so."""
    async with world() as here:
        here.plan.add(CommitThenDrop(), method="POST", path=r"/prediction$")

        report = await here.client.labels.import_predictions(
            here.project_id, [{"internal_media_ID": "x"}], keep_data=True
        )

        assert report.unknown == 1
        assert "may have carried out the request" in report.results[0].reasons[0]
        assert here.plan.count("POST", r"/prediction$") == 1
