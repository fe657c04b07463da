"""Downloads into object stores, and into WebDataset shards in a folder or a store."""

from __future__ import annotations

import asyncio
import csv
import errno
import gc
import io
import json
import os
import shutil
import tarfile
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from datagym_async import (
    ConfigurationError,
    DataGymClient,
    DownloadConfig,
    DownloadReport,
    NotFoundError,
    StoreError,
    TransferError,
)
from datagym_async._runs import HashedPart
from datagym_async.labels import Annotation, Rectangle
from datagym_async.server import SeedMedia, Server
from datagym_async.testing import RefuseToken
from datagym_async.uploads import UploadItem
from tests.helpers.photos import jpeg, png
from tests.helpers.sentinel import TOKEN
from tests.helpers.stores import BrokenStore, make_bucket, moto_server, opened, options_of
from tests.helpers.world import world

PHOTOS = {f"{at}.jpg": jpeg(2000 + at, seed=at) for at in range(12)}


@pytest.fixture(autouse=True)
def no_open_descriptors() -> None:
    """Look for no open sockets: obstore's threads close theirs some time after its stores."""


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of what is kept of downloads into stores."""
    monkeypatch.setenv("DATAGYM_STATE_DIR", str(tmp_path / "state"))
    return tmp_path / "state"


@pytest.fixture
async def client() -> AsyncIterator[DataGymClient]:
    """Return a client of an embedded service."""
    async with (
        Server(token=TOKEN) as server,
        DataGymClient(server.token, server.base_url, rate_limit=None) as client,
    ):
        yield client


@pytest.fixture
async def dataset_id(client: DataGymClient) -> str:
    """Return a dataset of a dozen photos."""
    dataset = await client.datasets.create("Photos")
    await client.upload(dataset.id, [UploadItem(name, data) for name, data in PHOTOS.items()])
    return dataset.id


@pytest.fixture
def place(tmp_path: Path) -> str:
    """Return a prefix in a store of its own."""
    return f"memory://{tmp_path.name}{id(tmp_path)}/out"


def held(place: str, options: dict[str, str] | None = None) -> dict[str, bytes]:
    """Return what lies at a prefix, by path."""
    root, key = place.rsplit("/", 1)
    store = opened(root, options)
    found = [each["path"] for each in store.list(key).collect()]
    return {path[len(key) + 1 :]: bytes(store.get(path).bytes()) for path in found}


def samples(tars: dict[str, bytes]) -> dict[str, dict[str, bytes]]:
    """Return what shards hold as WebDataset reads them: files of one key that follow each other."""
    found: dict[str, dict[str, bytes]] = {}
    for name, data in sorted(tars.items()):
        last = ""
        with tarfile.open(fileobj=io.BytesIO(data)) as tar:
            for info in tar:
                folder, _, base = info.name.rpartition("/")
                key, _, suffix = base.partition(".")
                key = f"{name}/{folder}/{key}"
                assert key == last or key not in found, "the files of a key lie together"
                last = key
                file = tar.extractfile(info)
                assert file is not None
                found.setdefault(key, {})[suffix] = file.read()
    return found


async def test_a_dataset_goes_to_a_prefix(
    client: DataGymClient, dataset_id: str, place: str
) -> None:
    """Each file is there whole, the lists and the manifest beside them; a stopped run resumes."""
    config = DownloadConfig(max_files=5)
    first = await client.download_dataset(dataset_id, f"{place}/", config=config)
    assert (first.downloaded, first.folder) == (5, place)
    second = await client.download_dataset(dataset_id, place)
    assert (second.downloaded, second.present, second.ok) == (7, 5, True)
    files = held(place)
    assert {name: files[name] for name in PHOTOS} == PHOTOS
    assert set(files) - set(PHOTOS) == {
        ".datagym/manifest.sqlite3",
        "manifest.csv",
        "manifest.jsonl",
    }
    rows = [json.loads(line) for line in files["manifest.jsonl"].splitlines()]
    assert {row["outcome"] for row in rows} == {"downloaded"}


async def test_what_is_missing_or_changed_is_fetched_again(
    client: DataGymClient, dataset_id: str, place: str
) -> None:
    """What is missing always; what has other bytes with `verify`."""
    await client.download_dataset(dataset_id, place)
    store = opened(place.rsplit("/", 1)[0])
    store.delete("out/3.jpg")
    store.put("out/4.jpg", jpeg(2004, seed=99))
    report = await client.download_dataset(dataset_id, place)
    assert (report.downloaded, report.present) == (1, 11)
    report = await client.download_dataset(dataset_id, place, config=DownloadConfig(verify=True))
    assert (report.downloaded, report.present) == (1, 11)
    assert held(place)["4.jpg"] == PHOTOS["4.jpg"]


async def test_another_machine_goes_on(
    client: DataGymClient, dataset_id: str, place: str, state: Path
) -> None:
    """By the copy of the manifest; this machine then takes that of the other one."""
    config = DownloadConfig(max_files=5)
    await client.download_dataset(dataset_id, place, config=config)
    state.rename(state.with_name("here"))
    report = await client.download_dataset(dataset_id, place)
    assert (report.downloaded, report.present) == (7, 5)
    shutil.rmtree(state)
    state.with_name("here").rename(state)
    report = await client.download_dataset(dataset_id, place)
    assert (report.downloaded, report.present) == (0, 12)


async def test_a_second_run_into_one_prefix_says_so(
    client: DataGymClient, dataset_id: str, place: str
) -> None:
    """Also where another machine has written its copy of the manifest, which nobody takes then."""
    async with client.downloader(dataset_id, place) as first:
        with pytest.raises(ConfigurationError, match="Another download is writing into memory"):
            await client.download_dataset(dataset_id, place)
        opened(place.rsplit("/", 1)[0]).put("out/.datagym/manifest.sqlite3", b"of another one")
        with pytest.raises(ConfigurationError, match="Another download is writing into memory"):
            await client.download_dataset(dataset_id, place)
        assert (await first.finish()).ok
    report = await client.download_dataset(dataset_id, place, config=DownloadConfig(verify=True))
    assert (report.downloaded, report.present) == (0, len(PHOTOS))


async def test_a_manifest_that_cannot_be_asked_for_is_no_new_download(
    client: DataGymClient, dataset_id: str
) -> None:
    """Only a store that says it has none has none: else what is there would be fetched again."""
    store = BrokenStore()
    with store.serving():
        config = DownloadConfig(store_options=store.options)
        assert (await client.download_dataset(dataset_id, "s3://b/out", config=config)).ok
        before = dict(store.objects)
        store.fault = lambda key, _: "403" if key.endswith("manifest.sqlite3") else ""
        with pytest.raises(StoreError, match=r"s3://b/out/.*manifest.*access is denied"):
            await client.download_dataset(dataset_id, "s3://b/out", config=config)
        assert store.objects == before
        store.fault = lambda key, _: ""
        listings = store.asked[""]
        report = await client.download_dataset(dataset_id, "s3://b/out", config=config)
    assert (report.downloaded, report.present) == (0, len(PHOTOS))
    assert store.asked[""] == listings + 1, "one for all media"


async def test_a_copy_of_the_manifest_that_was_not_put_costs_nothing(
    client: DataGymClient, dataset_id: str
) -> None:
    """As after a kill: the one here knows more than the older copy, which nobody else has put."""
    store, manifest = BrokenStore(), "out/.datagym/manifest.sqlite3"
    with store.serving():
        config = DownloadConfig(store_options=store.options, max_files=5)
        await client.download_dataset(dataset_id, "s3://b/out", config=config)
        asked = store.asked[manifest] + 1  # the copy is asked for first
        store.fault = lambda key, number: "403" if key == manifest and number > asked else ""
        config = DownloadConfig(store_options=store.options)
        second = await client.download_dataset(dataset_id, "s3://b/out", config=config)
        store.fault = lambda key, _: ""
        third = await client.download_dataset(dataset_id, "s3://b/out", config=config)
    assert (second.downloaded, third.downloaded, third.present) == (7, 0, 12)


async def test_a_prefix_that_holds_something_else_is_left_alone(
    client: DataGymClient, dataset_id: str, place: str
) -> None:
    """As a folder is; so is one of another download."""
    opened(place.rsplit("/", 1)[0]).put("out/mine.txt", b"x")
    with pytest.raises(ConfigurationError, match="no download to resume; give an empty prefix"):
        await client.download_dataset(dataset_id, place)
    assert set(held(place)) == {"mine.txt"}
    other = await client.datasets.create("Other")
    await client.download_dataset(other.id, f"{place}/a")
    with pytest.raises(ConfigurationError, match=f"{place}/a holds a download of the data"):
        await client.download_dataset(dataset_id, f"{place}/a")


async def test_large_media_go_in_parts_to_a_server_of_s3(
    client: DataGymClient, dataset_id: str
) -> None:
    """Of others' make; the parts are one object, byte for byte."""
    large = jpeg(12_000_000, seed=1)
    await client.upload(dataset_id, UploadItem("large.jpg", large))
    with moto_server() as endpoint:
        make_bucket(endpoint, "bucket")
        options = options_of(endpoint)
        config = DownloadConfig(store_options=options)
        report = await client.download_dataset(dataset_id, "s3://bucket/out", config=config)
        again = await client.download_dataset(dataset_id, "s3://bucket/out", config=config)
        files = await asyncio.to_thread(held, "s3://bucket/out", options)
    assert (report.downloaded, again.present) == (13, 13)
    assert {name: files[name] for name in PHOTOS} == PHOTOS
    assert files["large.jpg"] == large


async def test_a_store_that_takes_nothing_stops_the_download(
    client: DataGymClient, dataset_id: str
) -> None:
    """Every other file would meet the same; the text has no word of the store's own."""
    store = BrokenStore(fault=lambda key, _: "403" if key.endswith(".jpg") else "")
    with store.serving():
        config = DownloadConfig(store_options=store.options)
        with pytest.raises(TransferError, match=r"s3://b/out/\d+\.jpg: access is denied"):
            await client.download_dataset(dataset_id, "s3://b/out", config=config)
        store.fault = lambda key, _: ""
        report = await client.download_dataset(dataset_id, "s3://b/out", config=config)
    assert report.ok
    assert {name: store.objects[f"out/{name}"] for name in PHOTOS} == PHOTOS


async def test_a_store_that_refuses_one_object(client: DataGymClient, dataset_id: str) -> None:
    """That one has failed, and the next run tries again; refused in a row, they stop the run."""
    store = BrokenStore(fault=lambda key, _: "400" if key == "out/3.jpg" else "")
    with store.serving():
        config = DownloadConfig(store_options=store.options)
        report = await client.download_dataset(dataset_id, "s3://b/out", config=config)
        assert (report.downloaded, report.failed) == (11, 1)
        assert "s3://b/out/3.jpg: the store answered 400" in report.problems[0].reason
        store.fault = lambda key, _: ""
        report = await client.download_dataset(dataset_id, "s3://b/out", config=config)
        assert (report.downloaded, report.present) == (1, 11)
        store.fault = lambda key, _: "400" if key.endswith(".jpg") else ""
        config = DownloadConfig(store_options=store.options, concurrency=1)
        with pytest.raises(TransferError, match="the store answered 400"):
            await client.download_dataset(dataset_id, "s3://b/other", config=config)


async def test_labels_lie_beside_the_media_in_a_store(tmp_path: Path, place: str) -> None:
    """Whatever a download writes into a folder is in the prefix in the end, and not here.

    What a killed run has left is in neither.
    """
    media = [SeedMedia(name, jpeg(2000, seed=3)) for name in ("a.jpg", "b.jpg")]
    async with world(*media) as here:
        await label(here, "a.jpg")
        await here.client.download_dataset(here.dataset_id, place)
        (folder,) = (tmp_path / "state" / "downloads").iterdir()
        (folder / "bitmaps").mkdir()
        (folder / "bitmaps" / ".datagym-0123456789ab-0.part").write_bytes(b"half")
        config = DownloadConfig(labels=("jsonl", "coco", "yolo"))
        report = await here.client.download_dataset(here.dataset_id, place, config=config)
    files = held(place)
    assert {"labels.jsonl", "labels.coco.json", "labels.yolo/labels/train/a.txt"} < set(files)
    assert set(report.written) == {"labels.jsonl", "labels.coco.json", "labels.yolo"}
    assert json.loads(files["labels.jsonl"])["file"] == "a.jpg"
    assert not [name for name in files if name.endswith(".part")]
    left = [path for path in (tmp_path / "state").rglob("*") if path.is_file()]
    assert {path.parent.name for path in left} == {".datagym"}


async def test_a_refused_download_leaves_nothing_at_the_prefix(
    client: DataGymClient, dataset_id: str, place: str
) -> None:
    """Labels without a project, or an unknown dataset: the prefix stays empty, for any download."""
    with pytest.raises(ConfigurationError, match="is in no project"):
        await client.download_dataset(dataset_id, place, config=DownloadConfig(labels="json"))
    with pytest.raises(NotFoundError):
        await client.download_dataset("00000000-0000-4000-8000-000000000000", place)
    assert held(place) == {}

    report = await client.download_dataset(dataset_id, place)

    assert (report.downloaded, report.ok) == (len(PHOTOS), True)


async def label(here: Any, name: str) -> None:
    """Label a media with a box, and complete its task."""
    project, client = here.project, here.client
    entry = {"entryKey": "box", "entryValue": "box", "type": "RECTANGLE"}
    await client.label_configs.upload(project.label_configuration_id, [entry])
    task_id = project.task_ids[name]
    await client.values.write(task_id, [Annotation("box", Rectangle(4, 6, 20, 10))])
    await client.tasks.complete(task_id)


# Shards.


@pytest.mark.parametrize("where", ["folder", "store"])
async def test_shards_are_complete_and_resumed(
    client: DataGymClient, dataset_id: str, place: str, tmp_path: Path, where: str
) -> None:
    """By number or size; each image once, whatever stopped the run before; a lost one is remade."""
    folder = place if where == "store" else str(tmp_path / "out")

    async def tars() -> dict[str, bytes]:
        if where == "store":
            return {name: data for name, data in held(place).items() if name.endswith(".tar")}
        found = await asyncio.to_thread(lambda: sorted((tmp_path / "out").glob("*.tar")))
        return {path.name: await asyncio.to_thread(path.read_bytes) for path in found}

    config = DownloadConfig(shards=5, max_files=7)
    first = await client.download_dataset(dataset_id, folder, config=config)
    assert (first.downloaded, len(await tars())) == (7, 2)
    report = await client.download_dataset(dataset_id, folder, config=DownloadConfig(shards=5))
    assert (report.downloaded, report.present, report.ok) == (5, 7, True)
    shards = await tars()
    assert sorted(shards) == [f"shard-00000{at}.tar" for at in range(3)]
    found = samples(shards)
    assert sorted(each["jpg"] for each in found.values()) == sorted(PHOTOS.values())
    if where == "store":
        opened(place.rsplit("/", 1)[0]).delete("out/shard-000000.tar")
    else:
        await asyncio.to_thread((tmp_path / "out" / "shard-000000.tar").unlink)
    again = await client.download_dataset(dataset_id, folder, config=DownloadConfig(shards="8k"))
    assert (again.downloaded, again.present) == (5, 7)
    sizes = Counter(key.partition("/")[0] for key in samples(await tars()))
    assert sorted(sizes.values()) == [1, 2, 4, 5]  # the fourth of 2 kB reaches 8k
    found = samples(await tars())
    assert sorted(each["jpg"] for each in found.values()) == sorted(PHOTOS.values())
    before, spoiled = await tars(), b"\0" + shards["shard-000001.tar"][1:]
    if where == "store":
        opened(place.rsplit("/", 1)[0]).put("out/shard-000001.tar", spoiled)
    else:
        await asyncio.to_thread((tmp_path / "out" / "shard-000001.tar").write_bytes, spoiled)
    config = DownloadConfig(shards=5, verify=True)
    mended = await client.download_dataset(dataset_id, folder, config=config)
    # The new one has its name.
    assert (mended.downloaded, sorted(await tars())) == (2, sorted(before))
    found = samples(await tars())
    assert sorted(each["jpg"] for each in found.values()) == sorted(PHOTOS.values())
    with pytest.raises(ConfigurationError, match="is one into shards"):
        await client.download_dataset(dataset_id, folder)
    assert await asyncio.to_thread(lambda: list(tmp_path.rglob("parts/*"))) == []


@pytest.mark.parametrize("where", ["folder", "store"])
async def test_a_damaged_shard_is_gone_before_its_images_are_in_another(
    client: DataGymClient, dataset_id: str, place: str, tmp_path: Path, where: str
) -> None:
    """It is found while a shard is written that has another name: no image is there twice."""
    folder = place if where == "store" else str(tmp_path / "out")
    await client.download_dataset(dataset_id, folder, config=DownloadConfig(shards=6))
    if where == "store":
        store = opened(place.rsplit("/", 1)[0])
        for at in range(2):
            store.put(f"out/shard-00000{at}.tar", b"damaged")
    else:
        for at in range(2):
            path = tmp_path / "out" / f"shard-00000{at}.tar"
            await asyncio.to_thread(path.write_bytes, b"damaged")
    report = await client.download_dataset(dataset_id, folder, config=DownloadConfig(shards=50))
    assert (report.downloaded, report.present, report.complete) == (12, 0, True)
    names = held(place) if where == "store" else {path.name for path in Path(folder).iterdir()}
    assert [name for name in names if name.endswith(".tar")] == ["shard-000000.tar"]


@pytest.mark.parametrize("may_delete", [True, False])
async def test_a_damaged_shard_is_replaced_where_nothing_may_be_deleted(
    client: DataGymClient, dataset_id: str, may_delete: bool
) -> None:
    """Who may only write gets a new one with its name."""
    store = BrokenStore(fault=lambda key, _: "" if key != "DELETE" or may_delete else "403")
    with store.serving():
        config = DownloadConfig(store_options=store.options, shards=6)
        await client.download_dataset(dataset_id, "s3://b/out", config=config)
        store.objects["out/shard-000000.tar"] = b"damaged"
        report = await client.download_dataset(dataset_id, "s3://b/out", config=config)
    assert (report.downloaded, report.present, report.ok) == (6, 6, True)
    found = samples({key: data for key, data in store.objects.items() if key.endswith(".tar")})
    assert sorted(each["jpg"] for each in found.values()) == sorted(PHOTOS.values())


@pytest.mark.filterwarnings("error")
async def test_a_shard_that_was_cut_off_leaves_its_keys_as_they_were(
    client: DataGymClient, dataset_id: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The next run has the same keys as one that nothing happened to, and nothing is written."""
    config = DownloadConfig(shards=100)
    async with client.downloader(dataset_id, tmp_path / "out", config=config) as run:
        for _ in range(5):
            await anext(run)
    gc.collect()
    assert await asyncio.to_thread(lambda: list(tmp_path.rglob("parts/*"))) == []
    report = await client.download_dataset(dataset_id, tmp_path / "out", config=config)
    assert report.downloaded == len(PHOTOS)
    with tarfile.open(tmp_path / "out" / "shard-000000.tar") as tar:
        assert sorted(tar.getnames()) == sorted(PHOTOS)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("number", "words"), [(errno.ENOSPC, "free some space on its disk"), (errno.EFBIG, "too large")]
)
async def test_nothing_goes_into_a_shard_behind_half_a_file(
    client: DataGymClient,
    dataset_id: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    number: int,
    words: str,
) -> None:
    """Any error of the disk ends the run: one that was full has room again for what follows."""
    out, write, left = tmp_path / "out", HashedPart.write, 9

    def full(part: HashedPart, chunks: Sequence[bytes]) -> None:
        nonlocal left
        is_shard = part.target.suffix == ".tar"
        left -= is_shard
        if is_shard and left == 0:
            write(part, [chunks[0][:100]])
            raise OSError(number, os.strerror(number))
        write(part, chunks)

    with monkeypatch.context() as patch:
        patch.setattr(HashedPart, "write", full)
        config = DownloadConfig(shards=5, concurrency=4)
        with pytest.raises(TransferError, match=words) as stopped:
            await client.download_dataset(dataset_id, out, config=config)
    assert isinstance(stopped.value.report, DownloadReport)
    assert (stopped.value.report.downloaded, stopped.value.report.pending) == (0, 12)
    assert not await asyncio.to_thread(lambda: list(out.glob("*.tar")))
    report = await client.download_dataset(dataset_id, out, config=DownloadConfig(shards=5))
    assert (report.downloaded, report.ok) == (12, True)


async def test_a_store_that_refuses_a_shard_stops_the_download(
    client: DataGymClient, dataset_id: str
) -> None:
    """All images in it are still to come, and those in earlier ones are there."""
    store = BrokenStore(fault=lambda key, _: "400" if key.endswith("1.tar") else "")
    with store.serving():
        config = DownloadConfig(store_options=store.options, shards=5, concurrency=1)
        with pytest.raises(TransferError, match="the store answered 400") as stopped:
            await client.download_dataset(dataset_id, "s3://b/out", config=config)
        assert isinstance(stopped.value.report, DownloadReport)
        assert (stopped.value.report.downloaded, stopped.value.report.pending) == (5, 7)
        store.fault = lambda key, _: ""
        report = await client.download_dataset(dataset_id, "s3://b/out", config=config)
    assert (report.downloaded, report.present, report.ok) == (7, 5, True)
    found = samples({key: data for key, data in store.objects.items() if key.endswith(".tar")})
    assert sorted(each["jpg"] for each in found.values()) == sorted(PHOTOS.values())


@pytest.mark.looptime
async def test_what_has_arrived_is_kept_and_counted_whatever_stops_the_run(tmp_path: Path) -> None:
    """An error puts the last shard in its place; who leaves early has what is in its place."""
    media = [SeedMedia(name, data) for name, data in PHOTOS.items()]
    config = DownloadConfig(shards=5, concurrency=1)
    async with world(*media) as here:
        here.plan.add(RefuseToken(), method="GET", path=r"/media/[0-9a-f-]{36}$", nth=9)
        with pytest.raises(TransferError) as stopped:
            await here.client.download_dataset(here.dataset_id, tmp_path / "o", config=config)
        here.plan.clear()
        assert isinstance(stopped.value.report, DownloadReport)
        assert (stopped.value.report.downloaded, stopped.value.report.pending) == (8, 4)
        report = await here.client.download_dataset(here.dataset_id, tmp_path / "o", config=config)
        assert (report.downloaded, report.present) == (4, 8)
        async with here.client.downloader(here.dataset_id, tmp_path / "p", config=config) as run:
            for _ in range(8):
                await anext(run)
        assert (run.report.downloaded, run.report.pending) == (5, 7)
        report = await here.client.download_dataset(here.dataset_id, tmp_path / "p", config=config)
        assert (report.downloaded, report.present) == (7, 5)


async def test_keys_are_one_for_each_image_and_labels_lie_beside(tmp_path: Path) -> None:
    """Dots and equal stems do not merge samples; what has no labels says so."""
    names = ("a.b.jpg", "a_b.jpg", "a_b.JPG.jpg", "c.jpg")
    async with world(
        *(SeedMedia(name, jpeg(2000, seed=at)) for at, name in enumerate(names))
    ) as here:
        await label(here, "c.jpg")
        config = DownloadConfig(shards=100, labels="json")
        report = await here.client.download_dataset(here.dataset_id, tmp_path / "o", config=config)
        rows = (tmp_path / "o" / "manifest.csv").read_text().splitlines()
    data = (tmp_path / "o" / "shard-000000.tar").read_bytes()
    found = samples({"": data})
    assert len(found) == 4
    about = [json.loads(each["json"]) for each in found.values()]
    assert {each["name"] for each in about} == set(names)
    labelled = {each["name"]: each["labels"] for each in about if each["labels"]}
    assert labelled["c.jpg"]["labels"]["box"][0]["rectangle"] == [
        {"x": 4, "y": 6, "w": 20, "h": 10}
    ]
    assert (len(labelled), report.labelled, report.written) == (1, 1, ("shard-000000.tar",))
    files = [row["file"] for row in csv.DictReader(rows)]
    with tarfile.open(tmp_path / "o" / "shard-000000.tar") as tar:
        assert {f"shard-000000.tar/{name}" for name in tar.getnames()} > set(files)


@pytest.mark.parametrize("where", ["folder", "store"])
async def test_shards_have_labels_for_all_images_or_none(
    place: str, tmp_path: Path, where: str
) -> None:
    """A run with the other option is refused: it was "complete", and no labels were written."""
    folder = place if where == "store" else str(tmp_path / "out")
    without, labelled = DownloadConfig(shards=5), DownloadConfig(shards=5, labels="json")
    async with world(SeedMedia("a.jpg", jpeg(2000))) as here:
        for first, then in ((without, labelled), (labelled, without)):
            at = f"{folder}{len(first.labels)}"
            await here.client.download_dataset(here.dataset_id, at, config=first)
            with pytest.raises(
                ConfigurationError, match=r"one into shards with(out)? labels; give"
            ):
                await here.client.download_dataset(here.dataset_id, at, config=then)
            again = await here.client.download_dataset(here.dataset_id, at, config=first)
            assert (again.present, again.ok) == (1, True)


async def test_webdataset_finds_images_whose_names_have_no_suffix_of_one(tmp_path: Path) -> None:
    """Each sample has its image under a suffix, and its labels, and any disk can hold its files."""
    images = {
        name: (png if name in {"scan.1", "b"} else jpeg)(2000, seed=at)
        for at, name in enumerate(("scan", "scan.1", "a.json", "scan.JPG", f"{'x' * 251}.jpg", "b"))
    }
    async with world(*(SeedMedia(name, data) for name, data in images.items())) as here:
        config = DownloadConfig(shards=100, labels="json")
        report = await here.client.download_dataset(here.dataset_id, tmp_path / "o", config=config)
    assert (report.downloaded, report.ok) == (6, True)
    data = (tmp_path / "o" / "shard-000000.tar").read_bytes()
    held = {}
    for sample in samples({"": data}).values():
        name = json.loads(sample.pop("json"))["name"]
        ((suffix, held[name]),) = sample.items()
        assert suffix in ({"png"} if name in {"scan.1", "b"} else {"jpg", "jpeg"})
    assert held == images
    with tarfile.open(tmp_path / "o" / "shard-000000.tar") as tar:
        assert max(map(len, tar.getnames())) <= 255


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"shards": 0}, "shards is 0; give the number of media"),
        ({"shards": "0.0009k"}, "shards is '0.0009k'"),
        ({"shards": "many"}, "shards is 'many'"),
        ({"shards": "9" * 400 + "M"}, "shards is '9999"),
        ({"shards": 5, "labels": "coco"}, "Shards hold images and"),
        ({"shards": 5, "bitmaps": True}, "Shards hold images and"),
    ],
)
def test_what_shards_cannot_be(options: dict[str, Any], words: str) -> None:
    """It is said before anything is asked for."""
    with pytest.raises(ConfigurationError, match=words):
        DownloadConfig(**options)
