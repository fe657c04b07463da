"""A disk that has no locks for files, as some network drives: said as it is, or done without."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path

import pytest

from datagym_async import ConfigurationError, UploadConfig
from datagym_async.server import SeedMedia, Server, StoreError
from tests.helpers.photos import jpeg
from tests.helpers.world import world

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="its locks are others")


def without_locks(patch: pytest.MonkeyPatch) -> None:
    """Let the system refuse all locks."""
    import fcntl

    def refused(*_: object) -> None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    patch.setattr(fcntl, "flock", refused)


async def test_no_other_process_is_said_to_use_what_cannot_be_locked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Waiting for it to end would not help. Nothing is sent, and no journal is left."""
    (tmp_path / "a.jpg").write_bytes(jpeg(2_000))
    journal = tmp_path / "state" / "a.journal"
    config = UploadConfig(journal=journal)
    async with world() as here:
        without_locks(monkeypatch)
        with pytest.raises(ConfigurationError) as upload:
            await here.client.upload(here.dataset_id, tmp_path / "a.jpg", config=config)
        with pytest.raises(ConfigurationError) as download:
            await here.client.download_dataset(here.dataset_id, tmp_path / "out")
        with pytest.raises(StoreError) as server:
            await Server(tmp_path / "service").start()
        monkeypatch.undo()
        assert await here.names() == []

    why = "its disk has no locks for files"
    assert str(upload.value) == (
        f"The journal {journal} cannot be written ({why}); mount it with locks, or choose another "
        "path with journal=..., on a local disk."
    )
    out = tmp_path / "out"
    assert str(download.value) == (f"The folder {out} cannot be written ({why}); use another path.")
    assert str(server.value) == f"The data folder {tmp_path / 'service'} cannot be used: {why}."
    assert [each.name for each in journal.parent.iterdir()] == ["a.journal.lock"]


async def test_what_needs_no_lock_is_done_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files are put in place as a whole, and uploads without a journal work."""
    (tmp_path / "b.jpg").write_bytes(jpeg(2_000))
    async with world(SeedMedia("a.jpg", jpeg(1_800))) as here:
        without_locks(monkeypatch)
        report = await here.client.upload(here.dataset_id, tmp_path / "b.jpg")
        (media_id,) = (each.id for each in await here.media() if each.name == "a.jpg")
        await here.client.media.download_to(media_id, tmp_path / "a.jpg")
        await here.client.labels.export_to(here.project_id, tmp_path / "labels.json")

    assert (report.complete, report.uploaded) == (True, 1)
    assert (tmp_path / "a.jpg").read_bytes() == jpeg(1_800)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a.jpg", "b.jpg", "labels.json"]
