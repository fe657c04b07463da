"""The main job over real sockets: a folder of photographs into the embedded service."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import os
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pytest

from datagym_async import DataGymClient, RetryPolicy
from datagym_async._wire import Pages
from datagym_async.exceptions import (
    APIConnectionError,
    NotFoundError,
    PermissionDeniedError,
)
from datagym_async.server import Server
from datagym_async.testing import FaultPlan
from datagym_async.uploads import UploadConfig, UploadItem
from tests.helpers.photos import SOUND_JPEG, jpeg, png, write_photos
from tests.helpers.sentinel import TOKEN

if TYPE_CHECKING:
    from datagym_async.uploads import Source


# A corrupt image, where it is sent, is answered like a server in trouble, and hence tried again.
QUICK = RetryPolicy(initial_delay=0.001, settle_after=0.001)


@pytest.fixture
def plan() -> FaultPlan:
    """Return a plan without faults: it counts."""
    return FaultPlan()


@pytest.fixture(params=["current", "legacy"])
async def client(request: pytest.FixtureRequest, plan: FaultPlan) -> AsyncIterator[DataGymClient]:
    """Return a client of an embedded service of either generation."""
    async with (
        Server(token=TOKEN, dialect=request.param, middlewares=[plan.middleware]) as server,
        DataGymClient(server.token, server.base_url, rate_limit=None, retry=QUICK) as client,
    ):
        yield client


@pytest.fixture
async def dataset_id(client: DataGymClient) -> str:
    """Return a new dataset."""
    return (await client.datasets.create("Photos")).id


async def stored(client: DataGymClient, dataset_id: str) -> dict[str, str]:
    """Return the SHA-1 of what the dataset holds, by name; a name held twice fails."""
    dataset = await client.datasets.get(dataset_id)
    names = Counter(media.name for media in dataset.media)
    assert set(names.values()) <= {1}, names.most_common(3)
    return {
        media.name: hashlib.sha1(await client.media.download(media.id)).hexdigest()
        for media in dataset.media
    }


async def test_runs_of_one_client_store_no_name_twice(
    client: DataGymClient, dataset_id: str
) -> None:
    """At once, into one dataset, in any case; what the other has stored is skipped."""
    upper = [UploadItem(f"{number:02}.JPG", jpeg(2000, seed=number)) for number in range(20)]
    lower = [UploadItem(f"{number:02}.jpg", jpeg(2000, seed=number)) for number in range(20)]

    reports = await asyncio.gather(
        client.upload(dataset_id.upper(), upper), client.upload(dataset_id, lower)
    )

    assert [report.complete for report in reports] == [True, True]
    assert sum(report.uploaded for report in reports) == 20
    assert sum(report.skipped for report in reports) == 20
    names = [media.name.lower() for media in (await client.datasets.get(dataset_id)).media]
    assert sorted(names) == [item.name for item in lower]


async def test_of_calls_with_one_name_each_has_its_turn(
    client: DataGymClient, dataset_id: str
) -> None:
    """However many wait for the first: it stores the image, and the others are told so."""
    calls = (client.media.upload_file(dataset_id, SOUND_JPEG, name="a.jpg") for _ in range(4))
    async with asyncio.timeout(30):
        results = await asyncio.gather(*calls, return_exceptions=True)

    assert [type(each).__name__ for each in results].count("AlreadyExistsError") == 3
    assert [media.name for media in (await client.datasets.get(dataset_id)).media] == ["a.jpg"]


async def test_calls_of_one_client_send_no_link_at_the_same_time(
    client: DataGymClient, dataset_id: str, plan: FaultPlan
) -> None:
    """The service stores a link twice if two requests with it run at once."""
    await client.media.upload_urls(dataset_id, ["http://127.0.0.1:9/other.jpg"])
    plan.peak_in_flight = 0
    batches = (
        ["http://127.0.0.1:9/a.jpg"],
        ["http://127.0.0.1:9/b.jpg", "http://127.0.0.1:9/A.jpg"],
    )

    await asyncio.gather(
        client.media.upload_urls(dataset_id.upper(), batches[0]),
        client.media.upload_urls(dataset_id, batches[1]),
    )

    assert plan.peak_in_flight == 1
    assert len((await client.datasets.get(dataset_id)).media) == 3


class ClosedEarly(io.BytesIO):
    """A file that is closed after it was read for the first time, before it is sent."""

    reads = 0

    def read(self, size: int | None = -1) -> bytes:
        self.reads += 1
        if self.reads > 1:
            self.close()
        return super().read(size)


async def test_a_large_open_file_that_is_closed_too_early_is_its_items_fault(
    client: DataGymClient, dataset_id: str
) -> None:
    """The others are stored."""
    large = jpeg(4_500_000)
    files = {"a.jpg": io.BytesIO(large), "b.jpg": ClosedEarly(large), "c.jpg": io.BytesIO(large)}

    report = await client.upload(dataset_id, [UploadItem(*each) for each in files.items()])

    assert (report.uploaded, report.rejected, report.complete) == (2, 1, True)
    (problem,) = report.problems
    assert problem.item.name == "b.jpg"
    reason = "The open file cannot be read any more: I/O operation on closed file."
    assert problem.reason == reason
    assert set(await stored(client, dataset_id)) == {"a.jpg", "c.jpg"}


async def test_a_folder_with_every_oddity(
    client: DataGymClient, dataset_id: str, plan: FaultPlan, tmp_path: Path
) -> None:
    """Every file is accounted for, the service holds exactly the good ones, byte for byte."""
    photos = await asyncio.to_thread(write_photos, tmp_path / "photos", count=60, largest=2_500_000)

    report = await client.upload(dataset_id, photos.root, config=UploadConfig(concurrency=4))

    counted = (report.planned, report.uploaded, report.rejected, report.failed)
    assert counted == (60, len(photos.stored), len(photos.rejected), 0)
    assert await stored(client, dataset_id) == photos.stored
    refused = {os.path.relpath(each.source, photos.root) for each in report.problems}
    assert refused == set(photos.rejected)
    assert report.bytes == sum(
        (photos.root / path).stat().st_size for path in _files(photos.root) if path not in refused
    )
    assert plan.peak_in_flight <= 4 + 1

    again = await client.upload(dataset_id, photos.root)

    assert (again.uploaded, again.skipped) == (0, len(photos.stored))
    assert again.complete


async def test_what_our_check_of_the_structure_refuses_the_service_refuses(
    client: DataGymClient, dataset_id: str, tmp_path: Path
) -> None:
    """Without the check, the same files fail, each after its whole body was sent twice."""
    photos = await asyncio.to_thread(write_photos, tmp_path / "photos", count=60, largest=90_000)
    corrupt = {path for path, reason in photos.rejected.items() if reason == "corrupt"}

    config = UploadConfig(check="signature")
    report = await client.upload(dataset_id, photos.root, config=config)

    failed = {os.path.relpath(each.source, photos.root): each.key for each in report.failures}
    assert failed == dict.fromkeys(corrupt, "ex_system")
    assert report.uploaded == len(photos.stored)


def _files(root: Path) -> list[str]:
    return [str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()]


async def test_links_and_bytes_and_streams(
    client: DataGymClient, dataset_id: str, tmp_path: Path
) -> None:
    """A manifest of links, items in memory and an async iterable go in one run."""
    links = [f"http://127.0.0.1:9/{number}.jpg" for number in range(120)]
    manifest = tmp_path / "links.txt"
    manifest.write_text("\n".join([*links, "http://127.0.0.1:9/no.gif", links[3].upper()]))

    async def arriving() -> AsyncIterator[UploadItem]:
        for number in range(5):
            yield UploadItem(f"größe {number}%.jpg", jpeg(3000, seed=number))

    sources: list[Source] = [manifest, arriving(), UploadItem("large.png", png(5_000_000))]
    report = await client.upload(dataset_id, sources)

    assert (report.uploaded, report.rejected, report.failed) == (126, 2, 0)
    dataset = await client.datasets.get(dataset_id)
    assert len(dataset.media) == 126
    assert {"größe 0%.jpg", "large.png", "7.jpg"} <= {media.name for media in dataset.media}

    again = await client.upload(dataset_id, manifest)

    assert (again.uploaded, again.skipped) == (0, 120)


async def test_names_that_are_no_text_are_uploaded(
    client: DataGymClient, dataset_id: str, tmp_path: Path
) -> None:
    """A Latin-1 name from an old disk travels by its bytes, is skipped again, and is reported."""
    (tmp_path / os.fsdecode(b"caf\xe9.jpg")).write_bytes(jpeg(2000))
    (tmp_path / os.fsdecode(b"no\xe9.jpg")).write_bytes(b"text")

    report = await client.upload(dataset_id, tmp_path)
    again = await client.upload(dataset_id, tmp_path)

    assert (report.uploaded, report.rejected) == (1, 1)
    assert (again.uploaded, again.skipped) == (0, 1)
    dataset = await client.datasets.get(dataset_id)
    assert [media.stored_name for media in dataset.media] == ["caf%E9.jpg"]
    assert json.loads(report.to_json())["problems"][0]["name"] == r"no\xe9.jpg"


async def test_results_come_one_by_one(client: DataGymClient, dataset_id: str) -> None:
    """The iteration gives each result with the id that the service gave the image."""
    items = [UploadItem(f"{number}.jpg", jpeg(2000, seed=number)) for number in range(12)]

    async with client.uploader(dataset_id, items) as run:
        ids = {result.name: result.media_id async for result in run}

    dataset = await client.datasets.get(dataset_id)
    assert ids == {media.name: media.id for media in dataset.media}


async def test_leaving_early_leaves_nothing_open(
    client: DataGymClient, dataset_id: str, plan: FaultPlan, tmp_path: Path
) -> None:
    """After the block no request is in flight, and the same upload goes on where it stopped."""
    for number in range(40):
        (tmp_path / f"{number}.jpg").write_bytes(jpeg(20_000, seed=number))

    async with client.uploader(dataset_id, tmp_path) as run:
        for _ in range(5):
            await anext(run)
    assert client.statistics().in_flight == 0

    report = await client.upload(dataset_id, tmp_path)

    assert report.uploaded + report.skipped == 40
    assert report.skipped >= 5
    assert len(await stored(client, dataset_id)) == 40
    assert plan.in_flight <= 1


@pytest.mark.parametrize("client", ["current"], indirect=True)
async def test_an_unknown_dataset_is_the_plain_error(client: DataGymClient) -> None:
    """Nothing is sent before the dataset is known."""
    with pytest.raises(NotFoundError):
        await client.upload("0d8f8d2e-0000-4000-8000-000000000001", [UploadItem("a", b"x")])


@pytest.mark.parametrize("client", ["current"], indirect=True)
async def test_a_refused_token_is_the_plain_error(client: DataGymClient, dataset_id: str) -> None:
    """The token is found out by the look-up of the dataset."""
    wrong = "another-token-than-the-right-one"
    async with DataGymClient(wrong, client.base_url) as stranger:
        with pytest.raises(PermissionDeniedError):
            await stranger.upload(dataset_id, [UploadItem("a", b"x")])


async def test_an_unreachable_service_is_the_plain_error() -> None:
    """No report of a thousand failures when there is nobody to talk to."""
    async with Server(token=TOKEN) as server:
        address = server.base_url
    async with DataGymClient(TOKEN, address, retry=RetryPolicy.none()) as client:
        with pytest.raises(APIConnectionError):
            await client.upload("d", [UploadItem("a", b"x")])


@pytest.mark.parametrize("check", ["structure", "decode"])
@pytest.mark.parametrize("journalled", [False, True])
async def test_photos_in_pages_arrive_as_they_are(
    client: DataGymClient,
    dataset_id: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    journalled: bool,
    check: Literal["structure", "decode"],
) -> None:
    """From 32 kB on they are not read, if nobody else wants their bytes; the server has them all.

    More of them than there are pipes, sent by many workers.
    """
    sizes = [20_000, 40_000, 200_000, 300_000, 970_000, 1_200_000]
    contents = {
        f"{number:03}.jpg": jpeg(2_000, seed=number) + bytes(sizes[number % len(sizes)])
        for number in range(100)
    }
    (tmp_path / "photos").mkdir()
    for name, content in contents.items():
        (tmp_path / "photos" / name).write_bytes(content)
    moved: list[int] = []
    move = Pages.move

    def count_and_move(pages: Pages, under: int) -> None:
        moved.append(pages.left)
        move(pages, under)

    monkeypatch.setattr(Pages, "move", count_and_move)
    config = UploadConfig(
        journal=tmp_path / "a.journal" if journalled else None, check=check, concurrency=24
    )

    report = await client.upload(dataset_id, tmp_path / "photos", config=config)

    assert (report.uploaded, report.planned) == (100, 100)
    assert bool(moved) is (check == "structure" and hasattr(os, "splice"))
    assert report.bytes == sum(map(len, contents.values()))
    assert await stored(client, dataset_id) == {
        name: hashlib.sha1(content).hexdigest() for name, content in contents.items()
    }
