"""Damaged manifests and journals, and full disks under them: a plain error or a right result."""

from __future__ import annotations

import asyncio
import contextlib
import random
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import pytest

from datagym_async import DataGymError, TransferError, UploadConfig
from datagym_async._runs import lock_path
from datagym_async.downloads import _manifest as manifests
from datagym_async.server import SeedMedia
from datagym_async.uploads import Uploader
from datagym_async.uploads.plan import show_job
from tests.helpers.fake_service import DATASET_ID, FakeService
from tests.helpers.photos import jpeg
from tests.helpers.world import world

if TYPE_CHECKING:
    from tests.helpers.world import World

COUNT = 24
IMAGES = {f"{number:02}.jpg": jpeg(1_500, seed=number) for number in range(COUNT)}
KINDS = 60
"""So many ways of damage in CI; 10 times as many were run by hand."""


Damage: TypeAlias = "Callable[[bytes], bytes]"


def damages(kinds: int) -> Iterator[tuple[str, Damage]]:
    """Give ways to damage a file: flipped bits, cut ends, runs of zeros, emptied."""
    yield "emptied", lambda _: b""
    for number in range(kinds):
        chance = random.Random(number)
        how = ("flip", "flip", "flip", "cut", "zeros")[number % 5]

        def damage(content: bytes, how: str = how, chance: random.Random = chance) -> bytes:
            at = chance.randrange(len(content))
            if how == "cut":
                return content[:at]
            length = 1 if how == "flip" else chance.choice([16, 512, 4096])
            part = content[at : at + length]
            if how == "flip":
                part = bytes([part[0] ^ 1 << chance.randrange(8)])
            return (
                content[:at]
                + (part if how == "flip" else bytes(len(part)))
                + content[at + length :]
            )

        yield f"{how} {number}", damage


def refused_with(error: DataGymError, word: str) -> bool:
    """Check that an error names what is damaged; return that the run did not go well."""
    assert word in str(error)
    return False


async def download(here: World, out: Path) -> bool:
    """Download; return whether it says to be complete, with each image once. Or a plain error."""
    try:
        report = await here.client.download_dataset(here.dataset_id, out)
    except DataGymError as error:
        return refused_with(error, "manifest")
    assert await asyncio.to_thread(images_in, out) == IMAGES
    assert (report.complete, report.planned, report.failed) == (True, COUNT, 0)
    return True


@pytest.mark.slow
@pytest.mark.parametrize("sealed", [True, False], ids=["closed", "killed"])
async def test_a_damaged_manifest_gives_a_plain_error_or_a_right_result(
    tmp_path: Path, sealed: bool
) -> None:
    """Never a run that says complete and is not, nor the same images under other names."""
    whole, out = tmp_path / "whole", tmp_path / "out"
    refused = 0
    async with world(*[SeedMedia(name, content) for name, content in IMAGES.items()]) as here:
        assert await download(here, whole)
        for name, damage in damages(KINDS):
            await asyncio.to_thread(copy_damaged, whole, out, damage, sealed=sealed)
            try:
                refused += not await download(here, out)
            except AssertionError as error:
                raise AssertionError(name) from error
            await asyncio.to_thread(shutil.rmtree, out)

    assert refused > KINDS // 4


def copy_damaged(whole: Path, out: Path, damage: Damage, *, sealed: bool) -> None:
    """Copy a download, and damage its manifest."""
    shutil.copytree(whole, out)
    path = manifests.manifest_path(out)
    path.write_bytes(damage(path.read_bytes()))
    if not sealed:
        path.with_name(f"{path.name}.lock").write_bytes(b"")


def images_in(out: Path) -> dict[str, bytes]:
    """Return the images of a folder."""
    return {path.name: path.read_bytes() for path in out.glob("*.jpg")}


async def test_a_manifest_that_lost_a_media_is_never_complete(tmp_path: Path) -> None:
    """What is taken from it is counted, and compared with what is listed."""
    async with world(*[SeedMedia(name, content) for name, content in IMAGES.items()]) as here:
        await download(here, tmp_path)
        take = manifests.Manifest.take

        def lossy(
            self: manifests.Manifest, *args: int, verify: bool
        ) -> tuple[int, int, list[manifests.Wanted]]:
            last, present, wanted = take(self, *args, verify=verify)
            return last, max(present - 1, 0), wanted

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(manifests.Manifest, "take", lossy)
            with pytest.raises(TransferError, match="holds 23 of the 24 media") as caught:
                await here.client.download_dataset(here.dataset_id, tmp_path)

    assert not caught.value.report.complete


@pytest.mark.parametrize("table", ["meta", "dataset", "media", "kept", "numbered"])
async def test_a_manifest_without_a_table_is_damaged(tmp_path: Path, table: str) -> None:
    """Also where the table was taken out in good form."""
    async with world(*[SeedMedia(name, content) for name, content in IMAGES.items()]) as here:
        await download(here, tmp_path)
        path = manifests.manifest_path(tmp_path)
        with contextlib.closing(sqlite3.connect(path)) as database:
            database.execute(f"DROP TABLE {table}")

        with pytest.raises(DataGymError, match="is damaged and cannot be used"):
            await here.client.download_dataset(here.dataset_id, tmp_path)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("path = 'other.jpg'", "a row in it was changed"),
        ("path = X'612e6a7067'", "a row in it was changed"),
        ("path = '../01.jpg'", "not in its folder"),
        ("claim = claim + 1", "a row in it was changed"),
        ("media_id = X'00'", "a row in it was changed"),
        ("dataset_id = X'00'", "a row in it was changed"),
        ("name = NULL", "a row in it was changed"),
        ("stored_name = X'ff'", "a row in it was changed"),
        ("source = 'x'", "a row in it was changed"),
        ("task_id = X'ff'", "a row in it was changed"),
        ("outcome = 'lost'", "a row in it was changed"),
        ("size = 'many'", "a row in it was changed"),
        ("sha256 = X'ff'", "a row in it was changed"),
        ("reason = X'ff'", "a row in it was changed"),
    ],
)
async def test_a_manifest_whose_rows_were_changed(tmp_path: Path, change: str, words: str) -> None:
    """Nothing is fetched by it, and what it has fetched stays."""
    async with world(*[SeedMedia(name, content) for name, content in IMAGES.items()]) as here:
        await download(here, tmp_path)
        (tmp_path / "05.jpg").unlink()
        path = manifests.manifest_path(tmp_path)
        with contextlib.closing(sqlite3.connect(path)) as database, database:
            database.execute(f"UPDATE media SET {change} WHERE seq = 3")

        with pytest.raises(DataGymError, match=words):
            await here.client.download_dataset(here.dataset_id, tmp_path)

    left = {path.name for path in tmp_path.iterdir()} - {".datagym"}
    assert left == {*IMAGES, "manifest.csv", "manifest.jsonl"} - {"05.jpg"}
    with contextlib.closing(sqlite3.connect(path)) as database:
        assert database.execute("SELECT count(*) FROM media").fetchone() == (COUNT,)


@pytest.mark.parametrize("runs", [1, 2])
async def test_a_byte_that_sqlite_does_not_check(tmp_path: Path, runs: int) -> None:
    """The seal finds it, after each number of runs; without a seal nobody can tell."""
    async with world(*[SeedMedia(name, content) for name, content in IMAGES.items()]) as here:
        for _ in range(runs):
            assert await download(here, tmp_path)
        path = manifests.manifest_path(tmp_path)
        content = bytearray(path.read_bytes())
        content[80] ^= 1  # of the header, reserved
        path.write_bytes(content)

        with pytest.raises(DataGymError, match="it was changed after the last run"):
            await here.client.download_dataset(here.dataset_id, tmp_path)
        lock_path(path).write_bytes(b"\xff" * 90)  # no seal of ours
        assert await download(here, tmp_path)


async def test_a_manifest_of_another_version(tmp_path: Path) -> None:
    """It is left as it is."""
    async with world(*[SeedMedia(name, content) for name, content in IMAGES.items()]) as here:
        await download(here, tmp_path)
        with contextlib.closing(sqlite3.connect(manifests.manifest_path(tmp_path))) as database:
            database.execute("PRAGMA user_version = 99")

        with pytest.raises(DataGymError, match="was begun by another version of datagym-async"):
            await here.client.download_dataset(here.dataset_id, tmp_path)


@pytest.mark.parametrize("after", [0, 1, 3], ids=["open", "listing", "noting"])
async def test_a_full_disk_under_the_manifest_is_told_with_its_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    """And how to go on: with room, the same download ends well."""
    using, entered = manifests.Manifest.using, 0

    @contextlib.contextmanager
    def full(self: manifests.Manifest) -> Iterator[sqlite3.Connection]:
        nonlocal entered
        entered += 1
        with using(self) as database:
            if entered > after:
                database.execute("PRAGMA max_page_count = 1")
                database.execute("CREATE TABLE filler (x)")
            yield database

    async with world(*[SeedMedia(name, content) for name, content in IMAGES.items()]) as here:
        with monkeypatch.context() as patch:
            patch.setattr(manifests.Manifest, "using", full)
            with pytest.raises(TransferError, match="free some space") as caught:
                await here.client.download_dataset(here.dataset_id, tmp_path)

        assert str(manifests.manifest_path(tmp_path)) in str(caught.value)
        assert await download(here, tmp_path)


# --- journals ------------------------------------------------------------------------------------


async def upload(service: FakeService, photos: Path, journal: Path) -> bool:
    """Upload; return whether all went well, each image once. Or a plain error."""
    config = UploadConfig(journal=journal, check="signature")
    try:
        async with Uploader(service, service, DATASET_ID, photos, config=config) as run:
            report = await run.finish()
    except DataGymError as error:
        return refused_with(error, "journal")
    assert (report.complete, report.failed, report.pending) == (True, 0, 0)
    assert service.stored == IMAGES
    return True


def put_damaged(kept: Path, journal: Path, damage: Damage, *, sealed: bool) -> None:
    """Copy a journal with its lock, and damage it."""
    shutil.copytree(kept, journal.parent)
    journal.write_bytes(damage(journal.read_bytes()))
    if not sealed:
        lock_path(journal).write_bytes(b"")
    show_job(journal)  # says what it is, and raises nothing


@pytest.mark.slow
@pytest.mark.parametrize("sealed", [True, False], ids=["closed", "killed"])
async def test_a_damaged_journal_gives_a_plain_error_or_a_right_result(
    tmp_path: Path, sealed: bool
) -> None:
    """Of an upload of which half is done: no image is taken for stored that is not.

    After a kill there is no seal: then what each row says of name and path has a checksum.
    """
    photos, journal = tmp_path / "photos", tmp_path / "state" / "a.journal"
    photos.mkdir()
    for name, content in IMAGES.items():
        (photos / name).write_bytes(content)
    service = FakeService()
    config = UploadConfig(journal=journal, check="signature", concurrency=1, max_files=COUNT // 2)
    async with Uploader(service, service, DATASET_ID, photos, config=config) as run:
        await run.finish()
    held, kept = dict(service.stored), tmp_path / "kept"
    await asyncio.to_thread(journal.parent.rename, kept)
    refused = 0
    for name, damage in damages(KINDS):
        await asyncio.to_thread(put_damaged, kept, journal, damage, sealed=sealed)
        service = FakeService(stored=dict(held))
        try:
            refused += not await upload(service, photos, journal)
        except AssertionError as error:
            raise AssertionError(name) from error
        await asyncio.to_thread(shutil.rmtree, journal.parent)

    assert refused > KINDS // 4


@pytest.mark.parametrize("table", ["meta", "run", "item", "claimed", "held", "renamed"])
async def test_a_journal_without_a_table_is_damaged(tmp_path: Path, table: str) -> None:
    """Nobody is told to make room for it."""
    photos, journal = tmp_path / "photos", tmp_path / "a.journal"
    photos.mkdir()
    for name, content in IMAGES.items():
        (photos / name).write_bytes(content)
    service = FakeService()
    assert await upload(service, photos, journal)
    with contextlib.closing(sqlite3.connect(journal)) as database:
        database.execute(f"DROP TABLE {table}")

    with pytest.raises(DataGymError, match="is damaged") as caught:
        async with Uploader(
            service, service, DATASET_ID, photos, config=UploadConfig(journal=journal)
        ) as run:
            await run.finish()

    assert "free some space" not in str(caught.value)


@pytest.mark.parametrize("column", ["name", "content"])
async def test_a_journal_with_another_name_or_path_is_damaged(tmp_path: Path, column: str) -> None:
    """Also where it is one that could have been written: in another case, of another folder."""
    photos, journal = tmp_path / "photos", tmp_path / "a.journal"
    photos.mkdir()
    for name, content in IMAGES.items():
        (photos / name).write_bytes(content)
    service = FakeService()
    assert await upload(service, photos, journal)
    with contextlib.closing(sqlite3.connect(journal)) as database:
        database.execute(
            f"UPDATE item SET {column} = CAST(replace({column}, '.jpg', '.Jpg') AS BLOB)"
            " WHERE seq = 3"
        )
        database.commit()
    lock_path(journal).write_bytes(b"")

    with pytest.raises(DataGymError, match="is damaged"):
        async with Uploader(
            service, service, DATASET_ID, photos, config=UploadConfig(journal=journal)
        ) as run:
            await run.finish()


@pytest.mark.parametrize("column", ["name", "content", "origin"])
async def test_a_journal_with_a_broken_text_is_damaged(tmp_path: Path, column: str) -> None:
    """After a kill there is no seal, and SQLite does not look into what it keeps as bytes."""
    photos, journal = tmp_path / "photos", tmp_path / "a.journal"
    photos.mkdir()
    for name, content in IMAGES.items():
        (photos / name).write_bytes(content)
    service = FakeService()
    config = UploadConfig(journal=journal, check="signature", concurrency=1, max_files=1)
    async with Uploader(service, service, DATASET_ID, photos, config=config) as run:
        await run.finish()
    with contextlib.closing(sqlite3.connect(journal)) as database, database:
        database.execute(f"UPDATE item SET {column} = x'ad'")
    lock_path(journal).write_bytes(b"")

    with pytest.raises(DataGymError, match=r"is damaged \(a text in it"):
        async with Uploader(
            service, service, DATASET_ID, photos, config=UploadConfig(journal=journal)
        ) as run:
            await run.finish()


@pytest.mark.parametrize("table", ["meta", "item"])
async def test_a_journal_with_a_broken_schema_is_damaged(tmp_path: Path, table: str) -> None:
    """SQLite quotes what it cannot read, and that may be no text."""
    photos, journal = tmp_path / "photos", tmp_path / "a.journal"
    photos.mkdir()
    for name, content in IMAGES.items():
        (photos / name).write_bytes(content)
    service = FakeService()
    assert await upload(service, photos, journal)
    whole, schema = journal.read_bytes(), f"CREATE TABLE {table}".encode()
    assert whole.count(schema) == 1
    journal.write_bytes(whole.replace(schema, b"CREATE TABL\xd2" + schema[12:]))
    lock_path(journal).write_bytes(b"")

    with pytest.raises(DataGymError, match="is damaged"):
        async with Uploader(
            service, service, DATASET_ID, photos, config=UploadConfig(journal=journal)
        ) as run:
            await run.finish()


async def test_a_seal_is_off_while_a_journal_is_in_use(tmp_path: Path) -> None:
    """What a kill leaves is no damage: SQLite's own check has to do then."""
    photos, journal = tmp_path / "photos", tmp_path / "a.journal"
    photos.mkdir()
    (photos / "a.jpg").write_bytes(IMAGES["00.jpg"])
    service = FakeService()
    lock = lock_path(journal)
    config = UploadConfig(journal=journal, check="signature")
    async with Uploader(service, service, DATASET_ID, photos, config=config) as run:
        assert lock.read_bytes() == b""
        await run.finish()

    assert len(lock.read_bytes()) > 64
    assert sorted(each.name for each in tmp_path.iterdir()) == [
        "a.journal",
        "a.journal.lock",
        "photos",
    ]
