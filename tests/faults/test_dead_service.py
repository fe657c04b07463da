"""A service that fails everything ends a run soon, in one sentence, and the run can go on later."""

from __future__ import annotations

from pathlib import Path

import attrs
import pytest

from datagym_async import TransferError, UploadConfig
from datagym_async.testing import Status
from tests.helpers.photos import SOUND_JPEG
from tests.helpers.world import SETTLING, UPLOADS, world


@pytest.mark.looptime
async def test_the_retry_budget_ends_a_run_against_a_dead_service(tmp_path: Path) -> None:
    """All uploads answer 503: the run stops with one sentence, and later ends complete."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(100):
        (folder / f"{number:03}.jpg").write_bytes(SOUND_JPEG)
    config = UploadConfig(journal=tmp_path / "journal")
    async with world(retry=attrs.evolve(SETTLING, quota=100.0)) as here:
        here.plan.add(Status(503), method="POST", path=UPLOADS)

        with pytest.raises(TransferError, match="The service seems to be down") as raised:
            await here.client.upload(here.dataset_id, folder, config=config)
        seen = here.plan.count("POST", UPLOADS)
        here.plan.clear()
        report = await here.client.upload(here.dataset_id, folder, config=config)

        stopped = raised.value.report
        assert seen < 60, "100 tokens pay for 20 retries; without a budget there were 600 requests"
        assert getattr(stopped, "pending", 0) > 50
        assert (report.uploaded, report.complete) == (100, True)
        assert len(await here.names()) == 100
