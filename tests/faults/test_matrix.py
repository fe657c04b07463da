"""The fault matrix: whatever goes wrong, every run ends in the same state, and resuming completes.

`tests.helpers.matrix` says what that state is. The report's outcomes add up to the items, the
journal says the same, nothing is left open, the service holds no name twice and nothing that was
not sent; and the same upload again, faults taken away, ends complete with each good image held
once, byte for byte.
"""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from datagym_async import UploadConfig
from datagym_async.testing import (
    Action,
    CommitThenDelay,
    CommitThenDrop,
    Delay,
    Drop,
    DropMidBody,
    Hang,
    Html,
    RetryAfter,
    ServiceError,
    Status,
    Truncate,
    WrongShape,
    chance,
)
from tests.helpers.matrix import (
    COUNT,
    check_report,
    check_resumed,
    check_stored,
    job,
    name_of,
    named,
)
from tests.helpers.photos import jpeg
from tests.helpers.world import UPLOADS, world

pytestmark = pytest.mark.looptime


def soon() -> datetime.datetime:
    """Return a moment that a Retry-After may name."""
    return datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=3)


PASSING: dict[str, Callable[[], Action]] = {
    "dropped before headers": Drop,
    "dropped in mid-body": lambda: Drop(after_bytes=1_000),
    "dropped in mid-answer": DropMidBody,
    "dropped after it was stored": CommitThenDrop,
    "no answer": Hang,
    "no answer though it was stored": lambda: CommitThenDelay(60),
    "stored when nobody waits any more": lambda: Delay(45),
    "truncated answer": Truncate,
    "HTML of a proxy": lambda: Html(502),
    "429, seconds": lambda: RetryAfter(429, 2),
    "429, date": lambda: RetryAfter(429, soon()),
    "429, nonsense": lambda: RetryAfter(429, "soon"),
    "503, seconds": lambda: RetryAfter(503, 2),
    "503, date": lambda: RetryAfter(503, soon()),
    "503, nonsense": lambda: RetryAfter(503, "-"),
    "500 without a key": lambda: Status(500),
    "500 answered early": lambda: Status(500, early=True),
}


@pytest.mark.parametrize("fault", PASSING)
async def test_passing_trouble_costs_nothing(fault: str, tmp_path: Path) -> None:
    """One exchange in four goes wrong: every image is uploaded, and held once, all the same."""
    async with job(tmp_path) as found:
        found.here.plan.add(
            PASSING[fault](), method="POST", path=UPLOADS, when=chance(0.25, seed=7)
        )

        report = await found.run()

        assert (report.uploaded, report.complete, report.doubles) == (COUNT, True, ())
        await check_report(found, report)
        await check_stored(found, report)
        again = await check_resumed(found)
        assert (again.resumed, again.uploaded) == (COUNT, 0)


LINKS = [
    f"http://h/{odd}{number}.jpg"
    for number in range(6)
    for odd in ("", "a%20b", "\xfc", "u\u0308", "M%C3%BCller", "\u65e5")
]


@pytest.mark.parametrize("fault", PASSING)
async def test_passing_trouble_costs_no_link(fault: str, tmp_path: Path) -> None:
    """One batch in four goes wrong: every link is stored once, whatever it is called."""
    async with world() as here:
        here.plan.add(PASSING[fault](), method="POST", path=r"/url$", when=chance(0.25, seed=5))
        config = UploadConfig(journal=tmp_path / "a.journal", batch_size=5)

        runs = [await here.client.upload(here.dataset_id, LINKS, config=config) for _ in range(3)]

        assert here.plan.count("POST", r"/url$") > len(LINKS) / config.batch_size
        assert (runs[0].uploaded, runs[0].ok) == (len(LINKS), True)
        assert {(each.skipped, each.resumed) for each in runs[1:]} == {(len(LINKS), len(LINKS))}
        stored = Counter(media.stored_name for media in await here.media())
        assert stored == Counter(url.rpartition("/")[2] for url in LINKS)


LASTING: dict[str, tuple[Action, str]] = {
    "500 ex_system": (ServiceError(500, "ex_system"), "ex_system"),
    "500 ex_gen": (ServiceError(500, "ex_gen_dummy_dataset_limit"), "ex_gen_dummy_dataset_limit"),
    "503 not installed": (ServiceError(503, "ex_service_unavailable"), "ex_service_unavailable"),
    "400": (ServiceError(400, "ex_validation"), "ex_validation"),
    "413": (Status(413), ""),
    "another shape": (WrongShape(), ""),
    "HTML with 200": (Html(200), ""),
}


@pytest.mark.parametrize("fault", LASTING)
async def test_lasting_trouble_of_one_image_is_its_own(fault: str, tmp_path: Path) -> None:
    """The image fails with the service's word, the others do not, and a resumed run sends it."""
    action, key = LASTING[fault]
    async with job(tmp_path) as found:
        found.here.plan.add(action, when=named(name_of(7)))

        report = await found.run()

        assert [(each.name, each.key) for each in report.failures] == [(name_of(7), key)]
        assert (report.uploaded, report.complete) == (COUNT - 1, True)
        await check_report(found, report)
        await check_stored(found, report)
        again = await check_resumed(found)
        assert (again.resumed, again.uploaded) == (COUNT - 1, 1)


def with_a_large_one() -> dict[str, bytes]:
    """Return a few images, and one of 20 MB."""
    images = {name_of(number): jpeg(2_000, seed=number) for number in range(3)}
    return images | {"large.jpg": jpeg(2_000) + bytes(20_000_000)}


async def test_an_early_answer_under_a_large_body_passes(tmp_path: Path) -> None:
    """The service says 503 and closes under 20 MB that are still on their way: once is nothing."""
    async with job(tmp_path, images=with_a_large_one()) as found:
        found.here.plan.add(Status(503, early=True), when=named("large.jpg"), nth=1)

        report = await found.run()

        assert (report.uploaded, report.complete) == (4, True)
        await check_report(found, report)
        await check_stored(found, report)
        await check_resumed(found)


async def test_an_early_refusal_of_a_large_body_is_its_own(tmp_path: Path) -> None:
    """413 under 20 MB fails that image, whether its answer outlives the connection or not."""
    async with job(tmp_path, images=with_a_large_one()) as found:
        found.here.plan.add(Status(413, early=True), when=named("large.jpg"))

        report = await found.run()

        assert [each.name for each in report.failures] == ["large.jpg"]
        assert (report.uploaded, report.complete) == (3, True)
        await check_report(found, report)
        await check_stored(found, report)
        await check_resumed(found)
