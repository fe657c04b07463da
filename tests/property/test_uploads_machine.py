"""The uploader as a state machine: whatever happens in whatever order, a dictionary says the end.

Files come, go, change and are renamed; media are deleted at the service; answers are lost, before
an image is stored and behind it; runs are killed, cancelled and go on. What the dataset must hold
after the next run in peace is the model.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import attrs
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from datagym_async.exceptions import APIConnectionError
from datagym_async.uploads import Outcome, UploadConfig, Uploader, UploadReport
from datagym_async.uploads.plan import show_job
from tests.helpers.fake_service import DATASET_ID, FakeService
from tests.helpers.killed import copy, restore

if TYPE_CHECKING:
    from datagym_async._wire import Body
    from datagym_async.models import DatasetMedia

JPEG = b"\xff\xd8\xff\xe0"
NAMES = st.sampled_from([f"{letter}.jpg" for letter in "abcdef"] + ["Größe 1.jpg", "100%.jpg"])
CONTENTS = st.integers(0, 3).map(lambda number: JPEG + b"x" * number)
LOST = st.lists(st.sampled_from(["", "", "before", "behind"]), max_size=8)


@attrs.define
class Lossy(FakeService):
    """Loses answers as it is told, one word an upload: before the image is stored, or behind it."""

    lost: list[str] = attrs.Factory(list)
    sent: int = 0

    async def upload_body(
        self,
        dataset_id: str,
        name: str,
        body: Body,
        *,
        settle: Callable[[], Awaitable[DatasetMedia | None]],
    ) -> DatasetMedia:
        """Store an image, perhaps, and answer, perhaps."""
        self.sent += 1
        how = self.lost.pop(0) if self.lost else ""
        found = None
        if how != "before":
            found = await FakeService.upload_body(self, dataset_id, name, body, settle=settle)
        if found is None or how:
            found = await settle()
            if found is None:
                raise APIConnectionError("No answer", request_sent=True, unknown=True)
        return found


class _Left(Exception):  # noqa: N818 -- it is no error
    """Leaves the block of a run as an error of its user does."""


class UploadMachine(RuleBasedStateMachine):
    """A folder, a dataset, a journal, and what each of them has to hold."""

    def __init__(self) -> None:
        super().__init__()
        self.scratch = tempfile.TemporaryDirectory()
        self.folder = Path(self.scratch.name) / "photos"
        self.folder.mkdir()
        self.journal = Path(self.scratch.name) / "a.journal"
        self.service = Lossy()
        self.files: dict[str, bytes] = {}
        self.held: dict[str, bytes] = {}
        """What runs in peace have stored, and nobody deleted."""
        self.edited = 0

    def teardown(self) -> None:
        """Take the folder away."""
        self.scratch.cleanup()

    def _write(self, name: str, content: bytes) -> None:
        """Write a file whose time tells it from all that were there before it."""
        path = self.folder / name
        path.write_bytes(content)
        self.edited += 1
        stamp = 1_700_000_000 + self.edited
        os.utime(path, (stamp, stamp))
        self.files[name] = content

    @rule(name=NAMES, content=CONTENTS)
    def write(self, name: str, content: bytes) -> None:
        """A file comes, or changes."""
        self._write(name, content)

    @precondition(lambda self: self.files)
    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        """A file goes."""
        name = data.draw(st.sampled_from(sorted(self.files)))
        (self.folder / name).unlink()
        del self.files[name]

    @precondition(lambda self: self.files)
    @rule(data=st.data(), new=NAMES)
    def rename(self, data: st.DataObject, new: str) -> None:
        """A file is renamed, perhaps over another one."""
        name = data.draw(st.sampled_from(sorted(self.files)))
        (self.folder / name).replace(self.folder / new)
        self.files[new] = self.files.pop(name)

    @precondition(lambda self: self.service.stored)
    @rule(data=st.data())
    def delete_media(self, data: st.DataObject) -> None:
        """Somebody deletes a media at the service."""
        name = data.draw(st.sampled_from(sorted(self.service.stored)))
        self.service.drop(name)

    @rule()
    def forget(self) -> None:
        """The journal is deleted."""
        self.journal.unlink(missing_ok=True)

    @precondition(lambda self: self.files)  # an empty folder is an error of its own
    @rule(lost=LOST, how=st.sampled_from(["kill", "cancel", "stop"]), after=st.integers(0, 5))
    def trouble(self, lost: list[str], how: str, after: int) -> None:
        """A run loses answers, and does not come to its end, or does."""
        before = dict(self.service.stored)
        self.service.lost = lost
        with contextlib.suppress(_Left):
            asyncio.run(self._run(how, after))
        self.service.lost = []
        self._check_nothing_else(before)

    @precondition(lambda self: self.files)
    @rule(lost=LOST)
    def lossy(self, lost: list[str]) -> None:
        """A run loses answers and comes to its end: what it says is so."""
        before = dict(self.service.stored)
        self.service.lost = lost
        report = asyncio.run(self._run("", 0))
        self.service.lost = []
        self._check_nothing_else(before)
        assert report.complete
        failed = {each.item.name for each in report.problems if each.outcome is Outcome.FAILED}
        assert len(failed) == report.failed
        assert self.stored().keys() >= self.files.keys() - failed

    @precondition(lambda self: self.files)
    @rule()
    def peace(self) -> None:
        """A run in peace: each file is held, once; a second one has nothing to send."""
        before = dict(self.service.stored)
        report = asyncio.run(self._run("", 0))
        self._check_nothing_else(before)
        assert (report.complete, report.failed, report.unsettled, report.pending) == (True, 0, 0, 0)
        assert report.planned == report.uploaded + report.skipped + report.rejected
        held = self.stored()
        assert held.keys() >= self.files.keys()
        sent = self.service.sent
        again = asyncio.run(self._run("", 0))
        assert (self.service.sent, again.uploaded, again.failed) == (sent, 0, 0)
        assert self.stored() == held

    def stored(self) -> dict[str, bytes]:
        """Return what the dataset holds, by names as they were given."""
        return {unquote(name): data for name, data in self.service.stored.items()}

    def _check_nothing_else(self, before: dict[str, bytes]) -> None:
        """What was there is there, as it was; what came is a file, as it is."""
        now = self.service.stored
        assert {name: now.get(name) for name in before} == before
        came = {name: data for name, data in self.stored().items() if name not in self.held}
        self.held = self.stored()
        assert came.items() <= self.files.items()

    async def _run(self, how: str, after: int) -> Any:
        config = UploadConfig(journal=self.journal, concurrency=2, check="signature")
        service = self.service
        async with Uploader(service, service, DATASET_ID, self.folder, config=config) as run:
            if not how:
                return await run.finish()
            count = 0
            async for _ in run:
                count += 1
                if count >= after:
                    break
            if how == "kill":
                await asyncio.to_thread(copy, self.journal, ".cut")
            if how == "cancel":
                raise _Left
            run.stop()
            report: UploadReport = await run.finish()
        if how == "kill":
            await asyncio.to_thread(restore, self.journal, ".cut")
        return report

    @invariant()
    def readable(self) -> None:
        """The journal reads at any time."""
        if self.journal.exists():
            assert show_job(self.journal).problem == ""


TestUploads = pytest.mark.slow(UploadMachine.TestCase)
TestUploads.settings = settings(max_examples=25, stateful_step_count=14)
