"""The fault matrix, its last row: a run is cancelled at any await, and gone on with.

`tests.helpers.matrix` says what the end state is.
"""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datagym_async.testing import CommitThenDrop, Delay
from tests.helpers.cancelling import watched
from tests.helpers.matrix import check_report, check_resumed, job, name_of
from tests.helpers.photos import jpeg
from tests.helpers.world import UPLOADS

if TYPE_CHECKING:
    from datagym_async.uploads import Uploader

pytestmark = pytest.mark.looptime

IMAGES = 14


def cancel_later(task: asyncio.Task[Any], turns: int) -> None:
    """Cancel a task so many turns of the loop from now: its helpers get further than itself."""
    if turns:
        asyncio.get_running_loop().call_soon(cancel_later, task, turns - 1)
    else:
        task.cancel()


async def run_to_its_end(run: Uploader) -> None:
    """Iterate over a run."""
    async with run:
        async for _ in run:
            pass


async def cancelled(run: Uploader, *, at: int, turns: int) -> bool:
    """Run an upload and cancel it at an await; return whether that was before its end."""
    here = asyncio.current_task()
    assert here is not None

    def reached() -> None:
        cancel_later(task, turns)

    async def watch() -> None:
        await watched(run_to_its_end(run), at, reached)

    task = asyncio.create_task(watch())
    await asyncio.wait([task])
    return task.cancelled()


@pytest.mark.slow
@settings(max_examples=30)
@given(at=st.integers(1, 45), turns=st.integers(0, 25))
@pytest.mark.uncounted
async def test_a_run_cancelled_at_any_await_is_gone_on_with(at: int, turns: int) -> None:
    """Nothing is open, report and journal agree, and the same upload again ends complete."""
    images = {name_of(number): jpeg(2_000, seed=number) for number in range(IMAGES)}
    with tempfile.TemporaryDirectory() as scratch:
        async with job(Path(scratch), images=images) as found:
            found.here.plan.add(CommitThenDrop(), method="POST", path=UPLOADS, nth=3)
            found.here.plan.add(Delay(0.01), method="POST", path=UPLOADS, nth=6)
            client = found.here.client
            run = client.uploader(found.here.dataset_id, found.folder, config=found.config)

            await cancelled(run, at=at, turns=turns)

            if found.journal.exists():
                await check_report(found, run.report)
            assert found.is_open() == []
            await check_resumed(found)
