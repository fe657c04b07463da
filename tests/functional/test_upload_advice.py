"""The advice at the end of a whole upload, for services whose limit is known: in virtual time."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncIterator

import pytest

from benchmarks.growing_server import cost
from datagym_async import UploadConfig, UploadItem
from datagym_async._limits import LimitsConfig
from datagym_async._wire import Response
from datagym_async.exceptions import APIConnectionError
from tests.helpers.fake_family import FakeFamily
from tests.helpers.simulated_run import OneLine, images, simulated_run

# The long ones are not counted line by line, which takes three times as long: the others run the
# same lines.
pytestmark = pytest.mark.looptime

CHANCE = random.Random(1)


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    """Thousands of requests are logged, and nobody reads it."""
    caplog.set_level(logging.WARNING, "datagym_async")


def config(**options: object) -> UploadConfig:
    return UploadConfig(check="none", **options)  # type: ignore[arg-type]  # a table of options


async def steady(dataset_id: str, size: int) -> None:
    """Take a twentieth of a second, whatever comes at once."""
    del dataset_id, size
    await asyncio.sleep(CHANCE.uniform(0.045, 0.055))


@pytest.mark.uncounted
async def test_a_service_that_takes_longer_the_more_a_dataset_holds() -> None:
    """It is told from a slow line, and what is said of smaller datasets comes true."""
    grown = await simulated_run(OneLine(cost), images(4_000))
    spread = await simulated_run(OneLine(cost), images(4_000), config=config(max_per_dataset=1_000))

    assert grown.advice.startswith("The service limited this run: uploads took ")
    assert "times as long at the end as at the beginning" in grown.advice
    assert "max_per_dataset=1000 would have taken about a third of the time" in grown.advice
    assert "an image instead of " in grown.advice
    assert spread.seconds / grown.seconds == pytest.approx(1 / 3, abs=0.04)
    assert "max_per_dataset" not in spread.advice
    assert "line" not in spread.advice


@pytest.mark.parametrize("ends", [False, True])
async def test_a_source_that_goes_on_is_waited_for(*, ends: bool) -> None:
    """As a watched folder is, until it is stopped: before its first image there is none to find."""

    async def arriving() -> AsyncIterator[UploadItem]:
        await asyncio.sleep(15)
        for each in images(10):
            yield each
        await asyncio.sleep(0 if ends else 10_000)

    report = await simulated_run(steady, arriving(), config=config(max_duration=20))

    assert (report.uploaded, report.complete) == (10, ends)
    assert report.advice.startswith("Nothing here limited this run: for ")


@pytest.mark.uncounted
async def test_datasets_that_are_too_large() -> None:
    """It does not matter that the time falls with each new dataset."""
    report = await simulated_run(OneLine(cost), images(4_000), config=config(max_per_dataset=2_000))

    assert "times as long in a full dataset as in an empty one" in report.advice
    assert "max_per_dataset=1000" in report.advice


async def test_the_size_is_found_out() -> None:
    """With "auto" it is what the advice would be, and the next run goes on with it."""
    family, service, auto = FakeFamily(), OneLine(cost), config(max_per_dataset="auto")
    first = await simulated_run(service, images(2_500), config=auto, family=family)
    family.hold(service.held)
    later = (UploadItem(f"later {item.name}", item.content) for item in images(1_000))
    second = await simulated_run(service, later, config=auto, family=family)

    assert [each.uploaded for each in first.datasets] == [1_000, 1_000, 500]
    assert [each.uploaded for each in second.datasets] == [0, 0, 500, 500]
    assert "max_per_dataset" not in first.advice + second.advice


async def test_no_size_where_nothing_grows() -> None:
    """With "auto" there is one dataset as long as the service is as fast as ever."""
    report = await simulated_run(steady, images(2_000), config=config(max_per_dataset="auto"))

    assert [each.uploaded for each in report.datasets] == [2_000]


async def test_a_service_that_gets_slower_by_itself() -> None:
    """What happens all at once has nothing to do with what the dataset holds."""
    service = OneLine(lambda held: (0.01, 0.02) if held < 1_200 else (0.03, 0.04))
    report = await simulated_run(service, images(2_000), config=config(max_per_dataset="auto"))

    assert "max_per_dataset" not in report.advice
    assert [each.uploaded for each in report.datasets] == [2_000]


async def test_images_that_get_larger() -> None:
    """Larger images take longer; that is no growth of the service."""
    free_at = 0.0

    async def line(dataset_id: str, size: int) -> None:
        nonlocal free_at
        del dataset_id
        now = asyncio.get_running_loop().time()
        free_at = max(free_at, now) + size / 200_000
        await asyncio.sleep(free_at - now)

    report = await simulated_run(line, images(1_500, lambda number: 500 + 4 * number))

    assert "max_per_dataset" not in report.advice


@pytest.mark.uncounted
async def test_a_slow_line() -> None:
    """Larger bodies take longer in proportion, and more at once do not help."""
    free_at = 0.0

    async def line(dataset_id: str, size: int) -> None:
        nonlocal free_at
        del dataset_id
        for _ in range(0, size, 4_000):  # bodies share a line piece by piece
            now = asyncio.get_running_loop().time()
            free_at = max(free_at, now) + 4_000 / 1_000_000
            await asyncio.sleep(free_at - now)

    sizes = [CHANCE.randrange(2_000, 60_000) for _ in range(1_500)]
    report = await simulated_run(line, images(1_500, sizes.__getitem__))

    assert report.advice.startswith("The network limited this run: ")


async def test_a_service_with_few_places() -> None:
    """What it cannot do at once takes longer, however small it is: that is not the line."""
    places = asyncio.Semaphore(2)

    async def service(dataset_id: str, size: int) -> None:
        async with places:
            await steady(dataset_id, size)

    sizes = [CHANCE.randrange(2_000, 60_000) for _ in range(1_500)]
    report = await simulated_run(service, images(1_500, sizes.__getitem__))

    assert "requests at once it only answers more slowly" in report.advice


async def test_a_service_that_takes_all_that_comes() -> None:
    """Nothing but our own maximum is in the way."""
    report = await simulated_run(steady, images(2_000))

    assert report.advice.startswith("The maximum of 8 requests at once limited this run")


async def test_a_pin() -> None:
    """One at a time was asked for, and was all that ever was in flight."""
    report = await simulated_run(steady, images(100), config=config(concurrency=1))

    assert report.advice.startswith("The fixed number of 1 request at once was in use all the")


async def test_pauses() -> None:
    """A service that asks to wait says so itself."""
    count = 0

    async def service(dataset_id: str, size: int) -> Response | None:
        nonlocal count
        await steady(dataset_id, size)
        count += 1
        return Response(429, {"retry-after": "10"}, b"") if count % 100 == 50 else None

    report = await simulated_run(service, images(400))

    assert "it asked to wait for 9" in report.advice


async def test_overload() -> None:
    """A service that turns some away has said enough."""

    async def service(dataset_id: str, size: int) -> Response | None:
        await steady(dataset_id, size)
        return Response(503, {}, b"") if CHANCE.random() < 0.05 else None

    report = await simulated_run(service, images(600))

    assert "it was overloaded (" in report.advice
    assert " x 503)" in report.advice


async def test_a_rate_that_is_reached() -> None:
    """The service could do more than the client asks for."""
    report = await simulated_run(steady, images(400), limits=LimitsConfig(rate=50.0))

    assert report.advice.startswith("The rate limit of 50 requests a second limited this run")


async def test_a_rate_that_is_far_away() -> None:
    """Requests that begin together wait for the rate, at 20 images a second as well."""
    places = asyncio.Semaphore(1)

    async def service(dataset_id: str, size: int) -> None:
        async with places:
            await steady(dataset_id, size)

    report = await simulated_run(service, images(300), limits=LimitsConfig(rate=200.0))

    assert report.seconds > 10
    assert "rate" not in report.advice


async def test_a_bound_of_bytes() -> None:
    """The client's own bound, which it reaches."""
    limits = LimitsConfig(rate=None, upload_rate=50_000)
    report = await simulated_run(steady, images(100), limits=limits)

    assert report.advice.startswith("The limit of 0.05 MB/s on uploaded bytes")


async def test_lost_answers() -> None:
    """Time that goes on repetitions is neither the service's nor the rate's."""

    async def service(dataset_id: str, size: int) -> None:
        await steady(dataset_id, size)
        if CHANCE.random() < 0.3:
            raise APIConnectionError("The connection broke.", request_sent=False)

    report = await simulated_run(service, images(300), limits=LimitsConfig(rate=200.0))

    assert report.advice.startswith("Lost answers limited this run: ")
    assert "retries" in report.advice


async def test_nothing_to_do() -> None:
    """Images that come now and then: neither the rate, nor the disk, nor the line."""

    async def arriving() -> AsyncIterator[UploadItem]:
        for item in images(40):
            await asyncio.sleep(CHANCE.uniform(0, 4))
            yield item

    report = await simulated_run(steady, arriving(), limits=LimitsConfig(rate=200.0))

    assert report.advice.startswith("Nothing here limited this run: for 9")
    assert report.advice.endswith("% of the time there was nothing to send.")
