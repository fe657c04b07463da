"""A bulk upload over a failing service: the outcomes add up, and each name is held once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from datagym_async.exceptions import APIConnectionError, NotFoundError, TransferError
from datagym_async.testing import (
    CommitThenDrop,
    Drop,
    DropMidBody,
    Html,
    RefuseToken,
    RetryAfter,
    ServiceError,
    Status,
    Truncate,
    WrongShape,
    chance,
)
from datagym_async.uploads import UploadConfig, UploadItem, UploadReport
from tests.helpers.photos import jpeg
from tests.helpers.world import UPLOADS, World, world

if TYPE_CHECKING:
    from aiohttp import web

    from datagym_async.testing import Action

pytestmark = pytest.mark.looptime

COUNT = 40
CONFIG = UploadConfig(concurrency=4)


async def upload(w: World) -> UploadReport:
    """Upload the same images as ever, without a journal."""
    return await w.client.upload(w.dataset_id, images(), config=CONFIG)


def images() -> list[UploadItem]:
    """Return some images, of two sizes."""
    return [
        UploadItem(f"{number:03}.jpg", jpeg(2000 if number % 5 else 90_000, seed=number))
        for number in range(COUNT)
    ]


EVERY_NAME = Counter(item.name for item in images())


PASSING: dict[str, Action] = {
    "429 with Retry-After": RetryAfter(429, 2),
    "503 with Retry-After": RetryAfter(503, 2),
    "502 page of a proxy": Html(502),
    "500 without a key": Status(500),
    "early answer": Status(503, early=True),
    "drop before headers": Drop(),
    "drop in mid-body": DropMidBody(),
    "drop after it was stored": CommitThenDrop(),
    "truncated answer": Truncate(),
}


@pytest.mark.parametrize("fault", PASSING)
async def test_passing_trouble_costs_nothing(fault: str) -> None:
    """One exchange in four goes wrong, and every image is held exactly once all the same."""
    async with world() as w:
        w.plan.add(PASSING[fault], method="POST", path=UPLOADS, when=chance(0.25, seed=7))

        report = await upload(w)

        assert (report.uploaded, report.complete, report.ok) == (COUNT, True, True)
        assert await w.held() == EVERY_NAME


LASTING: dict[str, tuple[Action, str]] = {
    "a rule of the service": (ServiceError(500, "ex_gen_dummy_dataset_limit"), "ex_gen"),
    "a corrupt image": (ServiceError(500, "ex_system"), "ex_system"),
    "400": (ServiceError(400, "ex_validation"), "ex_validation"),
    "413": (Status(413), ""),
}


@pytest.mark.parametrize("fault", LASTING)
async def test_lasting_trouble_of_one_image_is_its_own(fault: str) -> None:
    """The others are uploaded, and the failure carries the service's word."""
    action, key = LASTING[fault]
    async with world() as w:
        w.plan.add(action, when=lambda request: request.headers.get("X-filename") == "007.jpg")

        report = await upload(w)

        (failure,) = report.failures
        assert (failure.name, failure.key[: len(key)]) == ("007.jpg", key)
        assert (report.planned, report.uploaded, report.failed) == (COUNT, COUNT - 1, 1)
        assert await w.held() == EVERY_NAME - Counter(["007.jpg"])


async def test_an_answer_of_another_shape_fails_its_image() -> None:
    """A 200 that is no answer of the service is not taken for a stored image."""
    async with world() as w:
        w.plan.add(WrongShape(), method="POST", path=UPLOADS, nth=3)

        report = await upload(w)

        assert (report.uploaded, report.failed) == (COUNT - 1, 1)


async def test_a_token_revoked_in_mid_run_stops_it_and_a_second_run_ends_it() -> None:
    """The report says what was done, and the same upload goes on from there."""
    async with world() as w:
        w.plan.add(RefuseToken(), method="POST", path=UPLOADS, when=later_than(15))

        with pytest.raises(TransferError) as caught:
            await upload(w)

        report = caught.value.report
        assert isinstance(report, UploadReport)
        assert (report.uploaded, report.complete) == (15, False)
        assert 1 <= report.failed <= 4
        assert sum((await w.held()).values()) == 15

        again = await upload(w)

        assert (again.skipped, again.uploaded, again.complete) == (15, COUNT - 15, True)
        assert await w.held() == EVERY_NAME


async def test_a_dataset_deleted_in_mid_run_stops_it() -> None:
    """Nothing more is sent into the void, and the error says what is gone."""
    async with world() as w:
        gone = ServiceError(404, "ex_notfound", ("dataset", "id", w.dataset_id))
        w.plan.add(gone, method="POST", path=UPLOADS, when=later_than(10))

        with pytest.raises(TransferError) as caught:
            await upload(w)

        assert isinstance(caught.value.__cause__, NotFoundError)
        assert w.plan.count("POST", UPLOADS) <= 10 + 4


async def test_a_service_that_goes_away_ends_the_run() -> None:
    """Not every one of the images is tried to the end of its patience."""
    async with world() as w:
        w.plan.add(Drop(), method="POST", path=UPLOADS, when=later_than(12))
        w.plan.add(Drop(), method="GET", when=later_than(1))

        with pytest.raises(TransferError) as caught:
            await upload(w)

        assert isinstance(caught.value.__cause__, APIConnectionError)
        report = caught.value.report
        assert isinstance(report, UploadReport)
        assert (report.uploaded, report.complete) == (12, False)
        assert 8 <= report.unsettled <= 11  # nobody can say whether they were stored
        assert report.failed == 0

        w.plan.clear()
        again = await upload(w)

        assert (again.skipped, again.complete) == (12, True)
        assert await w.held() == EVERY_NAME


def later_than(count: int) -> Callable[[web.Request], bool]:
    """Return a predicate that takes all requests but the first so many."""
    seen = 0

    def is_later(_: web.Request) -> bool:
        nonlocal seen
        seen += 1
        return seen > count

    return is_later


async def test_two_uploaders_of_one_folder_double_nothing_they_can_see() -> None:
    """A name that somebody else stored meanwhile is skipped, not failed."""
    async with world() as w:
        async with w.client.uploader(w.dataset_id, images(), config=CONFIG) as run:
            await w.client.media.upload_file(w.dataset_id, jpeg(2000), name="039.jpg")
            found = {result.name: result.outcome.value async for result in run}

        assert found.pop("039.jpg") == "skipped"
        assert set(found.values()) == {"uploaded"}
        assert await w.held() == EVERY_NAME
