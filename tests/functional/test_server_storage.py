"""The embedded server's data folder: what stays, what goes, and who may use it."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import attrs
import pytest

from datagym_async.server import SeedDataset, SeedMedia, SeedProject, Server, StoreError
from tests.helpers.cancelling import cancelled_at
from tests.helpers.full_device import NEEDS_FULL_DEVICE
from tests.helpers.leaks import new_descriptors, open_descriptors
from tests.helpers.photos import jpeg
from tests.helpers.service import service


async def test_a_restart_keeps_everything(tmp_path: Path) -> None:
    """Datasets, files, tasks and the token survive a restart; ids stay."""
    photo = jpeg(3000)
    async with Server(tmp_path) as server, service(server) as first:
        (project,) = await server.seed(SeedProject("p"))
        dataset = await first.create_dataset("d")
        media_id = (await first.upload(dataset, "a.jpg", photo)).fields["id"]
        await first.ask("POST", f"/project/{project.id}/dataset/{dataset}")
        token, listing = server.token, (await first.ask("GET", f"/dataset/{dataset}")).json()

    async with Server(tmp_path) as server, service(server) as second:
        assert server.token == token
        assert (await second.ask("GET", f"/dataset/{dataset}")).json() == listing
        assert (await second.ask("GET", f"/media/{media_id}")).body == photo
        tasks = await second.ask("GET", f"/task/{project.id}/list?state=BACKLOG")
        assert [task["mediaId"] for task in tasks.items] == [media_id]


async def test_a_second_server_on_the_folder_is_refused(tmp_path: Path) -> None:
    """Two servers never share a data folder; the second one says so and leaves it alone."""
    async with Server(tmp_path) as first:
        with pytest.raises(StoreError, match="Another server already uses the data folder"):
            await Server(tmp_path).start()
        async with service(first) as client:
            assert (await client.ask("GET", "/project")).status == 200
    async with Server(tmp_path) as again:
        assert again.base_url


async def test_a_start_that_is_cancelled_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At none of its awaits: no file is open, the folder is unlocked, a temporary one is gone."""
    monkeypatch.setattr("tempfile.tempdir", str(temporary := tmp_path / "temporary"))
    temporary.mkdir()
    for data in (None, tmp_path / "data"):
        before, at = open_descriptors(), 0
        server = Server(data)
        while await cancelled_at(server.start(), at := at + 1):
            assert new_descriptors(before) == []
            assert [*temporary.iterdir()] == []
        await server.aclose()
        assert at > 4, "the moments lie within the start"


async def test_a_cancelled_write_does_not_hinder_the_next(tmp_path: Path) -> None:
    """Also if it was cancelled before its transaction had begun: only the next one is stored."""
    async with Server(tmp_path) as server, service(server) as client:
        with closing(sqlite3.connect(tmp_path / "datagym.sqlite3", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")  # so the server's transactions wait
            first = asyncio.create_task(server.seed_datasets(SeedDataset("first")))
            await asyncio.sleep(0)
            first.cancel()
            second = asyncio.create_task(server.seed_datasets(SeedDataset("second")))
            for _ in range(10):
                await asyncio.sleep(0)
            other.execute("ROLLBACK")
        await asyncio.wait([first])
        await second
        assert first.cancelled()
        assert [each["name"] for each in (await client.ask("GET", "/dataset")).items] == ["second"]


async def test_a_folder_of_another_layout_is_refused(tmp_path: Path) -> None:
    """A database that another version wrote is not touched."""
    async with Server(tmp_path):
        pass
    database = sqlite3.connect(tmp_path / "datagym.sqlite3")
    assert database.execute("PRAGMA user_version").fetchone() != (0,)
    database.execute("PRAGMA user_version = 99")
    database.close()
    with pytest.raises(StoreError, match="written by another version"):
        await Server(tmp_path).start()


async def test_a_file_where_the_database_should_be_is_named(tmp_path: Path) -> None:
    """What is no database, or that of another program, is refused with its path."""
    foreign = sqlite3.connect(tmp_path / "foreign")
    foreign.execute("CREATE TABLE media (title TEXT)")
    foreign.close()
    for content in (b"this is a text" * 1000, (tmp_path / "foreign").read_bytes()):
        (tmp_path / "datagym.sqlite3").write_bytes(content)
        with pytest.raises(StoreError, match=r"datagym\.sqlite3 is not a database"):
            await Server(tmp_path).start()


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("token", "t\u00f6k\u00e9n", "token is no token: delete it"),
        ("token", None, "cannot be used: "),
        ("lock", None, "cannot be used: "),
        ("datagym.sqlite3", None, "cannot be used: unable to open database file"),
        ("blobs", "", "cannot be used: "),
        ("blobs/ab/ab", None, "cannot be used: "),
    ],
)
async def test_a_folder_with_something_odd_is_refused_until_it_is_gone(
    tmp_path: Path, name: str, content: str | None, words: str
) -> None:
    """What cannot be used is named as such, and the folder is not locked for longer than that."""
    async with Server(tmp_path):
        pass
    odd, aside = tmp_path / name, tmp_path / "aside"
    if odd.exists():
        odd.rename(aside)
    if content is None:
        odd.mkdir(parents=True)
    else:
        odd.write_text(content, "utf-8")
    with pytest.raises(StoreError, match=words):
        await Server(tmp_path).start()
    odd.rmdir() if odd.is_dir() else odd.unlink()
    if aside.exists():
        aside.rename(odd)
    async with Server(tmp_path) as server:
        assert server.base_url


@pytest.mark.parametrize("name", ["incoming", "blobs"])
async def test_files_of_others_are_not_deleted(tmp_path: Path, name: str) -> None:
    """A folder that has one of our names is not ours if it has no database."""
    photo = tmp_path / name / "ab" / "photo.jpg"
    photo.parent.mkdir(parents=True)
    photo.touch()
    with pytest.raises(StoreError, match=f"a folder named {name} and no datagym.sqlite3"):
        async with Server(tmp_path):
            pass
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [photo]


@NEEDS_FULL_DEVICE
async def test_a_full_disk_is_named_as_such(tmp_path: Path) -> None:
    """Nothing is wrong with a database that finds no room."""
    (tmp_path / "datagym.sqlite3").symlink_to("/dev/full")
    with pytest.raises(StoreError, match=r"datagym\.sqlite3 cannot be used: .* full"):
        await Server(tmp_path).start()


async def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    """A data folder below a file is refused with the reason."""
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="cannot be used: Not a directory"):
        await Server(tmp_path / "file" / "data").start()


async def test_a_temporary_folder_goes_with_its_server() -> None:
    """Without a data folder nothing stays behind, and closing twice does no harm."""
    server = Server()
    await server.start()
    folder = server._running.folder.path
    assert folder.is_dir()
    await server.aclose()
    await server.aclose()
    assert not folder.exists()
    assert repr(server) == "<Server not started>"


async def test_the_token_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    """The token lies in the folder, readable by its owner only, and in no repr."""
    async with Server(tmp_path) as server:
        assert (tmp_path / "token").read_text().strip() == server.token
        assert (tmp_path / "token").stat().st_mode & 0o077 == 0
        assert server.token not in repr(server) + repr(server._running)


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX modes")
async def test_a_data_folder_is_for_its_owner_alone(tmp_path: Path) -> None:
    """Folders are 0700 and files 0600, uploaded and seeded, as are those of a folder found open."""
    data = tmp_path / "data"
    (data / "blobs").mkdir(parents=True, mode=0o755)
    (data / "datagym.sqlite3").touch(0o644)
    for folder in (tmp_path / "made", data):
        async with Server(folder) as server, service(server) as client:
            dataset = await client.create_dataset("d")
            await client.upload(dataset, "a.jpg", jpeg(3000))
            await client.upload(dataset, "b.jpg", jpeg(1 << 20))  # received in a file
            await server.seed_datasets(SeedDataset("s", [SeedMedia("c.jpg", jpeg(3000))]))
            found = sorted(folder.rglob("*"))
            open_to_others = [path for path in found if path.stat().st_mode & 0o077]
        assert {path.name for path in found} >= {"lock", "token", "datagym.sqlite3-wal", "blobs"}
        assert sum(path.is_file() for path in (folder / "blobs").rglob("*")) == 3
        assert open_to_others == []
    assert (tmp_path / "made").stat().st_mode & 0o077 == 0


async def test_a_given_token_replaces_the_kept_one(tmp_path: Path) -> None:
    """The server lets in the token it was started with, and not the one it had before."""
    async with Server(tmp_path) as server:
        kept = server.token
    async with Server(tmp_path, token="another") as server, service(server) as client:
        assert (await client.ask("GET", "/project")).status == 200
        refused = await client.ask("GET", "/project", headers={"Authorization": f"Token {kept}"})
        assert refused.status == 403


async def test_more_tokens_come_and_go() -> None:
    """Added tokens are good until they are deleted; one that is not named is made."""
    async with Server() as server, service(server) as client:
        await server.add_token("one")
        await server.add_token("two")
        made = await server.add_token()
        await server.delete_token("two")
        statuses = [
            (await client.ask("GET", "/project", headers={"Authorization": f"Token {x}"})).status
            for x in ("one", "two", made)
        ]
    assert statuses == [200, 403, 200]


_KILLED = """
import asyncio, sys
from datagym_async.server import Server, SeedDataset, SeedMedia
async def main():
    async with Server(sys.argv[1]) as server:
        (dataset,) = await server.seed_datasets(SeedDataset("d", [SeedMedia("l.jpg", url="http://x/l.jpg")]))
        print(server.base_url, server.token, dataset.id, flush=True)
        await asyncio.sleep(60)
asyncio.run(main())
"""


@pytest.mark.slow
async def test_a_killed_server_leaves_a_sound_folder(tmp_path: Path) -> None:
    """After kill -9 every committed row is there, and files without a row are swept away."""
    data = tmp_path / "data"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _KILLED, str(data), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    dataset = (await process.stdout.readline()).split()[2].decode()
    process.send_signal(signal.SIGKILL)
    await process.communicate()
    orphan = data / "blobs" / "ab" / "abcdef"
    orphan.parent.mkdir(exist_ok=True)
    orphan.write_bytes(b"stored, but its row was never committed")
    (data / "incoming" / "half").write_bytes(b"half a body")

    async with Server(data) as server, service(server) as client:
        assert await client.names(dataset) == ["l.jpg"]
    assert not orphan.exists()
    assert list((data / "incoming").iterdir()) == []


async def test_seeded_states_are_there() -> None:
    """Seeds make what no route can: states, labelers, deleted media and datasets, equal names."""
    photo = jpeg(2000)
    async with Server() as server, service(server) as client:
        media = [
            SeedMedia("a.jpg", photo, state="WAITING", labeler="ann"),
            SeedMedia("b.jpg", photo, deleted=True),
        ]
        (project,) = await server.seed(SeedProject("p", [SeedDataset("d", media)]))
        await server.seed_datasets(SeedDataset("twin"), SeedDataset("twin"))
        (gone,) = await server.seed_datasets(SeedDataset("gone", deleted=True))
        tasks = (await client.ask("GET", f"/task/{project.id}/list")).items
        assert [(task["mediaName"], task["labeler"]) for task in tasks] == [("a.jpg", "ann")]
        assert await client.names(project.datasets[0].id) == ["a.jpg"]
        twin = await client.ask("POST", "/dataset", value={"name": "twin"})
        assert (twin.status, twin.key) == (500, "ex_system")
        assert (await client.ask("GET", f"/dataset/{gone.id}")).status == 404
        assert (await client.upload(gone.id, "x.jpg", photo)).status == 200


@pytest.mark.parametrize(
    ("content", "words"),
    [(None, "has no content, no url and no video"), (b"text", "is not an image that the service")],
)
async def test_a_seeded_media_must_be_something(content: bytes | None, words: str) -> None:
    """An image without good bytes would fail later, where nobody looks for the cause."""
    nothing = SeedDataset("d", [SeedMedia("a.jpg", content)])
    async with Server() as server, service(server) as client:
        with pytest.raises(ValueError, match=rf"'a\.jpg' {words}"):
            await server.seed_datasets(nothing)
        assert (await client.ask("GET", "/dataset")).items == []  # nothing half-made is left


async def test_what_needs_a_running_server_says_so() -> None:
    """Before the start, after the end, and while it runs already; a second run is a good one."""
    server = Server()
    with pytest.raises(RuntimeError, match="once the server has started"):
        assert server.token
    for _ in range(2):
        with pytest.raises(RuntimeError, match="is not running"):
            assert server.base_url
        async with server:
            with pytest.raises(RuntimeError, match="already running"):
                await server.start()
            assert server.loopback_only
            async with service(server) as client:
                assert (await client.ask("GET", "/project")).status == 200


async def test_what_is_not_there_is_not_changed() -> None:
    """A wrong id is said to be one, where a test would go on as if all was prepared."""
    async with Server() as server:
        with pytest.raises(LookupError, match=r"There is no task x\."):
            await server.set_task_state("x", "COMPLETED")
        with pytest.raises(LookupError, match=r"There is no dataset x\."):
            await server.delete_dataset("x")


async def test_the_demo_is_seeded_once(tmp_path: Path) -> None:
    """Asking twice for the demo gives the same projects."""
    async with Server(tmp_path) as server, service(server) as client:
        first = await server.seed_demo()
        again = await server.seed_demo()
        projects = (await client.ask("GET", "/project")).items
    assert [attrs.evolve(project, datasets=()) for project in first] == again
    assert {str(project["mediaType"]) for project in projects} == {"IMAGE", "VIDEO"}
