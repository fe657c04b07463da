"""Whatever sequence of runs, stops, cuts and copies of the journal: each good name once, all told.

A cut ends a run as a kill does: what the journal's file holds at that moment is what the next run
finds. It is made by copying the file with its write-ahead log while the run goes on.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from datagym_async.exceptions import AlreadyExistsError, APIConnectionError
from datagym_async.models import DatasetMedia, MediaSourceType
from datagym_async.uploads import UploadConfig, Uploader
from datagym_async.uploads.plan import show_job
from tests.helpers.fake_service import DATASET_ID, FakeService
from tests.helpers.killed import copy, restore

if TYPE_CHECKING:
    from datagym_async._wire import Body

JPEG = b"\xff\xd8\xff\xe0"
COUNT = 24


@attrs.define
class Stubborn(FakeService):
    """Stores every upload that arrives whole, told or not, and never refuses a name.

    So that the uploader alone keeps a name from being held twice.
    """

    uploads: Counter[str] = attrs.Factory(Counter)
    lose: frozenset[int] = frozenset()
    _arrived: int = 0

    async def upload_body(
        self,
        dataset_id: str,
        name: str,
        body: Body,
        *,
        settle: Callable[[], Awaitable[DatasetMedia | None]],
    ) -> DatasetMedia:
        """Store an image; every now and then its answer is lost for good."""
        del dataset_id
        await asyncio.sleep(0)
        if self.holds(name):
            raise AlreadyExistsError("There is one", status=412, key="ex_alreadyexists")
        self.hold(name, data=body.data or b"")
        self.uploads[name] += 1
        self._arrived += 1
        number = self._arrived
        await asyncio.sleep(0)
        if number in self.lose:
            found = await settle() if number % 2 else None
            if found is None:
                raise APIConnectionError("No answer", request_sent=True, unknown=True)
            return found
        return DatasetMedia(f"m-{name}", 0, MediaSourceType.LOCAL, name)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of images, one clash and one text."""
    folder = tmp_path_factory.mktemp("photos")
    for number in range(COUNT):
        (folder / f"{number:02}.jpg").write_bytes(JPEG + bytes([number]))
    (folder / "sub").mkdir()
    (folder / "sub" / "03.JPG").write_bytes(JPEG)
    (folder / "notes.txt").write_bytes(b"Not an image.")
    return folder


@attrs.frozen
class End:
    """How a run ends: stopped, cancelled or cut off after some results."""

    how: str
    after: int


ENDS = st.lists(
    st.builds(End, st.sampled_from(["stop", "cancel", "cut"]), st.integers(0, COUNT)), max_size=4
)


async def run_once(service: Stubborn, photos: Path, journal: Path, end: End) -> None:
    """Run until its end comes."""
    config = UploadConfig(journal=journal, concurrency=3, check="signature")
    async with Uploader(service, service, DATASET_ID, photos, config=config) as run:
        count = 0
        async for _ in run:
            count += 1
            if count == end.after:
                break
        if end.how == "cut":
            await asyncio.to_thread(copy, journal, ".cut")
        if end.how == "cancel":
            raise _Left
        run.stop()
        async for _ in run:
            pass
    if end.how == "cut":
        await asyncio.to_thread(restore, journal, ".cut")


class _Left(Exception):  # noqa: N818 -- it is no error
    """Leaves the block of a run as an error of its user does."""


@pytest.mark.slow
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(ends=ENDS, lose=st.frozensets(st.integers(1, COUNT), max_size=4))
async def test_every_good_name_once_and_every_item_accounted_for(
    photos: Path, tmp_path_factory: pytest.TempPathFactory, ends: list[End], lose: frozenset[int]
) -> None:
    """In any order of runs that end early; the journal reads after each of them."""
    journal = tmp_path_factory.mktemp("state") / "a.journal"
    service = Stubborn(lose=lose)
    for end in ends:
        with contextlib.suppress(_Left):
            await run_once(service, photos, journal, end)
        summary = await asyncio.to_thread(show_job, journal)
        assert summary.problem == ""

    config = UploadConfig(journal=journal, check="signature")
    async with Uploader(service, service, DATASET_ID, photos, config=config) as run:
        report = await run.finish()

    assert service.uploads == Counter(f"{number:02}.jpg" for number in range(COUNT))
    assert (report.planned, report.rejected, report.failed) == (COUNT + 2, 2, 0)
    assert report.uploaded + report.skipped == COUNT
    assert (report.complete, report.pending, report.unsettled) == (True, 0, 0)
