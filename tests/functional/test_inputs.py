"""What comes in at the door: ids, names, options, sessions and images, and the slips among them."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import aiofiles
import aiohttp
import attrs
import numpy as np
import pytest
from PIL import Image

from datagym_async import DataGymClient, RetryPolicy, Timeout, UploadConfig, UploadItem
from datagym_async.data import LoaderConfig
from datagym_async.downloads import DownloadConfig
from datagym_async.exceptions import ClientClosedError, ConfigurationError, NotFoundError
from datagym_async.labels import Annotation, LabeledImage, Rectangle
from datagym_async.models import (
    Dataset,
    DatasetMedia,
    LabelConfiguration,
    MediaSourceType,
    Project,
    Task,
)
from datagym_async.server import SeedDataset, SeedMedia, SeedProject, Server
from tests.helpers.photos import jpeg
from tests.helpers.sentinel import TOKEN

BOX = Annotation("car", Rectangle(1, 1, 2, 2))
ENTRIES = [
    {"entryKey": "car", "entryValue": "Car", "type": "RECTANGLE"},
    {"entryKey": "road", "entryValue": "Road", "type": "IMAGE_SEGMENTATION"},
]


@attrs.frozen
class World:
    client: DataGymClient
    project: Project
    dataset: Dataset
    media: DatasetMedia
    task: Task
    config: LabelConfiguration


@pytest.fixture
async def here() -> AsyncIterator[World]:
    async with Server(token=TOKEN) as server:
        seed = SeedDataset("Day", media=(SeedMedia("a.jpg", jpeg(3000)),))
        await server.seed(SeedProject("Streets", datasets=(seed,)))
        async with DataGymClient(TOKEN, server.base_url) as client:
            (project,) = await client.projects.list()
            await client.label_configs.upload(project.label_configuration_id, ENTRIES)
            (dataset,) = await client.datasets.list()
            (task,) = await client.tasks.list(project, state="all")
            config = await client.label_configs.read(project)
            assert config is not None
            yield World(client, project, dataset, dataset.media[0], task, config)


Call = Callable[[World, Callable[[Any], Any], Path], Awaitable[object]]


async def one_sample(here: World, of: Callable[[Any], Any]) -> object:
    async with here.client.loader(of(here.dataset), project_id=of(here.project)) as loader:
        return [sample.media.id async for sample in loader]


async def value_of(here: World, of: Callable[[Any], Any]) -> object:
    detail = await here.client.tasks.get(of(here.task))
    entry = next(each for each in detail.label_config.entries if each.key == "car")
    values = here.client.values
    value = await values.create(
        of(entry),
        iteration_id=UUID(detail.label_iteration.id),
        media_id=of(here.media),
        task_id=of(here.task),
    )
    task_id = of(here.task)
    await values.update(of(value), entry_id=of(entry), task_id=task_id, x=1, y=1, width=2, height=2)
    report = await values.write(of(here.task), [])
    return report.task_id, await values.delete(of(value))


CALLS: dict[str, Call] = {
    "datasets.get": lambda here, of, _: here.client.datasets.get(of(here.dataset)),
    "projects.add_dataset": lambda here, of, _: here.client.projects.add_dataset(
        of(here.project), of(here.dataset)
    ),
    "media.upload_file": lambda here, of, _: here.client.media.upload_file(
        of(here.dataset), bytearray(jpeg(3000)), name="b.jpg"
    ),
    "media.upload_urls": lambda here, of, _: here.client.media.upload_urls(
        of(here.dataset), ["http://127.0.0.1:9/x.jpg"]
    ),
    "media.download_to": lambda here, of, path: here.client.media.download_to(
        of(here.media), path / "a.jpg"
    ),
    "media.delete": lambda here, of, _: here.client.media.delete(of(here.media)),
    "labels.export": lambda here, of, _: here.client.labels.export(of(here.project)),
    "labels.import_predictions": lambda here, of, _: here.client.labels.import_predictions(
        of(here.project), [], keep_data=False, by_name=True
    ),
    "labels.import_predictions, of": lambda here, of, _: here.client.labels.import_predictions(
        of(here.project), [LabeledImage(media_id=of(here.media), annotations=[BOX])], keep_data=True
    ),
    "label_configs.at_stake": lambda here, of, _: here.client.label_configs.at_stake(
        of(here.project)
    ),
    "label_configs.backup": lambda here, of, path: here.client.label_configs.backup(
        of(here.project), path
    ),
    "label_configs.upload": lambda here, of, path: here.client.label_configs.upload(
        of(here.config), ENTRIES[:1], replace=True, backup=path
    ),
    "label_configs.clear": lambda here, of, _: here.client.label_configs.clear(of(here.config)),
    "tasks.complete": lambda here, of, _: here.client.tasks.complete(of(here.task)),
    "tasks.skip_many": lambda here, of, _: here.client.tasks.skip_many([of(here.task)]),
    "values": lambda here, of, _: value_of(here, of),
    "upload": lambda here, of, _: here.client.upload(
        of(here.dataset),
        UploadItem("c.jpg", jpeg(2000)),
        config=UploadConfig(attach_to=of(here.project)),
    ),
    "download_dataset": lambda here, of, path: here.client.download_dataset(
        of(here.dataset),
        path / "out",
        config=DownloadConfig(project_id=of(here.project), labels=("json",)),
    ),
    "download_project": lambda here, of, path: here.client.download_project(
        of(here.project), path / "out"
    ),
    "download_bitmaps": lambda here, of, path: here.client.download_bitmaps(
        of(here.project), path / "bitmaps"
    ),
    "export_labels": lambda here, of, path: here.client.export_labels(
        of(here.project), path / "labels.json"
    ),
    "loader": lambda here, of, _: one_sample(here, of),
}


def as_uuid(value: Any) -> object:
    """Return the id of a value as a UUID."""
    return UUID(value.id)


def as_it_is(value: object) -> object:
    """Return the value itself."""
    return value


@pytest.mark.parametrize("of", [as_uuid, as_it_is])
@pytest.mark.parametrize("name", CALLS)
async def test_ids_are_texts_uuids_or_what_has_them(
    here: World, name: str, of: Callable[[Any], Any], tmp_path: Path
) -> None:
    """A call goes through with each of them, and does the same."""
    result: Any = await CALLS[name](here, of, tmp_path)

    assert getattr(result, "ok", True)
    if name == "labels.import_predictions, of":
        assert (result.stored, result.results[0].media_id) == (1, here.media.id)
    if name == "values":
        assert result == (here.task.id, True)
    if name == "tasks.skip_many":
        assert [each.task_id for each in result.outcomes] == [here.task.id]


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda client: client.datasets.get(None), "The dataset id is None; pass the id"),
        (lambda client: client.datasets.get(7), "The dataset id is of the type int; pass the id"),
        (lambda client: client.datasets.get(""), "The dataset id is empty"),
        (lambda client: client.media.delete(None), "The media id is None.*, or a Media"),
        (lambda client: client.upload(None, "x.jpg"), "The dataset id is None"),
        (lambda client: client.downloader(None, "x"), "The dataset id is None.*, or a Dataset"),
        (lambda client: client.project_downloader(3, "x"), "The project id is of the type int"),
        (
            lambda client: client.tasks.skip_many(uuid4()),
            r"task_ids is UUID.*must be a list",
        ),
        (lambda client: client.datasets.create(None), "name is None; it must be a text"),
        (lambda client: client.datasets.ensure(b"x"), "name is b'x'; it must be a text"),
        (lambda client: client.datasets.find(3), "name is 3; it must be a text"),
        (lambda client: client.projects.find(None), "name is None; it must be a text"),
        (lambda client: client.media.upload_file("d", 5), "takes a path or bytes, not int"),
        (
            lambda client: client.media.upload_file("d", b"x", name=3),
            "name is 3; it must be a text or None",
        ),
        (
            lambda client: client.upload("d", "x.jpg", config={"check": "none"}),
            r"config is of the type dict, not UploadConfig; write config=UploadConfig\(\*\*options",
        ),
        (lambda client: client.plan("d", "x.jpg", config=4), "config is of the type int, not Upl"),
        (lambda client: client.downloader("d", "x", config=UploadConfig()), "not DownloadConfig"),
        (lambda client: client.loader("d", config={}), "config is of the type dict, not LoaderC"),
        (lambda client: client.upload("d", {"a": b"x"}), "cannot be of the type dict"),
        (lambda client: client.upload("d", None), "cannot be of the type NoneType"),
        (lambda client: client.with_options(timeout=9), "timeout is of the type int, not Timeout"),
        (lambda client: client.plan("d", np.zeros((9, 9), np.uint8)), "an array of pixels needs"),
    ],
)
async def test_a_slip_is_one_sentence(call: Callable[[Any], Any], words: str) -> None:
    """It is said before anything is sent: there is no service here."""
    async with DataGymClient(TOKEN, "http://127.0.0.1:9", dialect="media") as client:
        with pytest.raises(ConfigurationError, match=words):
            await call(client)

        assert client.statistics().requests == 0


async def test_the_value_of_another_noun_is_refused(here: World) -> None:
    """A project has an id, too, but not that of a dataset."""
    slip: Any = here.project

    with pytest.raises(ConfigurationError, match=r"of the type Project; pass .*, or a Dataset"):
        await here.client.upload(slip, "x.jpg")
    with pytest.raises(ConfigurationError, match="dataset id is of the type Project"):
        here.client.loader(slip)


async def test_a_media_that_is_a_link_is_asked_for_once(here: World) -> None:
    """The service changes its tasks when it cannot be fetched: it is known by what it says."""
    await here.client.media.upload_urls(here.dataset, ["http://127.0.0.1:9/x.jpg"])
    dataset = await here.client.datasets.get(here.dataset)
    (link,) = [m for m in dataset.media if m.source_type is MediaSourceType.SHAREABLE_LINK]
    before = here.client.statistics().requests

    with pytest.raises(Exception, match=r"."):
        await here.client.media.download(link)

    assert here.client.statistics().requests == before + 1


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"timeout": 30}, r"timeout is of the type int, not Timeout; write timeout=Timeout\("),
        ({"timeout": None}, "timeout is of the type NoneType, not Timeout"),
        ({"retry": 3}, "retry is of the type int, not RetryPolicy"),
        ({"session": "x"}, "session is of the type str, not ClientSession"),
        ({"base_url": 5}, "base_url is of the type int, not str"),
        ({"token": TOKEN.encode()}, "The API token is of the type bytes; pass it as a text"),
        ({"concurrency": "4"}, "concurrency is '4'; it must be a whole number, 1 or more"),
        ({"max_uploads": "4"}, "max_uploads is '4'"),
        ({"rate_limit": "4"}, "rate_limit is '4'"),
    ],
)
def test_options_of_a_client_are_checked_when_it_is_made(
    options: dict[str, Any], words: str
) -> None:
    """One sentence, which does not hold the token."""
    with pytest.raises(ConfigurationError, match=words) as caught:
        DataGymClient(**{"token": TOKEN, **options})

    assert TOKEN not in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "options", "words"),
    [
        (UploadConfig, {"concurrency": "4"}, "concurrency is '4'; it must be a whole number"),
        (UploadConfig, {"concurrency": 1.5}, "concurrency is 1.5; it must be a whole number"),
        (UploadConfig, {"skip_existing": "false"}, "skip_existing is 'false'; it must be True or"),
        (UploadConfig, {"fresh": None}, "fresh is None"),
        (DownloadConfig, {"verify": "no"}, "verify is 'no'"),
        (LoaderConfig, {"ordered": []}, r"ordered is \[\]"),
        (UploadConfig, {"max_files": "4"}, "max_files is '4'"),
        (UploadConfig, {"max_duration": "4"}, "max_duration is '4'"),
        (UploadConfig, {"include": 5}, "include holds 5"),
        (UploadConfig, {"attach_to": [None]}, "The project id is None"),
        (DownloadConfig, {"concurrency": "4"}, "concurrency is '4'"),
        (DownloadConfig, {"project_id": 4}, "The project id is of the type int"),
        (LoaderConfig, {"prefetch": "4"}, "prefetch is '4'"),
        (Timeout, {"read": "4"}, "Timeout read is '4'"),
        (RetryPolicy, {"max_retries": "4"}, "RetryPolicy max_retries is '4'"),
    ],
)
def test_numbers_are_numbers(kind: Callable[..., object], options: Any, words: str) -> None:
    """A number in quotes, as from a file of settings, is said and not compared."""
    with pytest.raises(ConfigurationError, match=words):
        kind(**options)


def test_no_patterns_may_be_none() -> None:
    """As everywhere, None means that there are none; numbers of numpy are numbers."""
    config = UploadConfig(
        include=None,
        attach_to=None,
        concurrency=np.int64(4),  # type: ignore[arg-type]  # on purpose
        fresh=np.bool_(1),  # type: ignore[arg-type]  # on purpose
    )

    assert (config.include, config.attach_to, config.concurrency) == ((), (), 4)
    assert config.fresh


async def test_a_session_that_raises_changes_nothing(here: World) -> None:
    """A 404 is what it is without it: an error of ours, with the service's reason."""
    async with (
        aiohttp.ClientSession(raise_for_status=True) as http,
        DataGymClient(TOKEN, here.client.base_url, session=http) as client,
    ):
        with pytest.raises(NotFoundError) as caught:
            await client.datasets.get(uuid4())
        assert await client.datasets.get(here.dataset) == await here.client.datasets.get(
            here.dataset
        )

    assert (caught.value.status, caught.value.key) == (404, "ex_notfound")


async def test_a_closed_session_is_said() -> None:
    """When the client is made, or at the call that finds it closed; nothing is tried again."""
    http = aiohttp.ClientSession()
    async with DataGymClient(TOKEN, "http://127.0.0.1:9", session=http) as client:
        await http.close()
        with pytest.raises(ClientClosedError, match=r"aiohttp session .* is closed"):
            await client.ping()
        assert client.statistics().retries == 0

    with pytest.raises(ConfigurationError, match="The aiohttp session is closed"):
        DataGymClient(TOKEN, session=http)


@pytest.mark.parametrize("journal", [None, True])
async def test_lists_that_have_no_end(here: World, tmp_path: Path, journal: bool | None) -> None:
    """A list in itself, or in thousands of others, is refused; what stands beside it is sent."""
    (tmp_path / "endless.jpg").write_bytes(jpeg(2000, seed=1))
    own, deep = list[object](), list[object]()
    own.append(own)
    for _ in range(5000):
        deep = [deep]
    config = UploadConfig(journal=journal and tmp_path / "journal.sqlite3")
    sources: Any = [own, str(tmp_path / "endless.jpg"), deep]

    report = await here.client.upload(here.dataset.id, sources, config=config)

    assert (report.uploaded, report.rejected) == (1, 2)
    assert {each.reason for each in report.problems} == {
        "A source contains itself, or is nested too deeply."
    }
    held = (await here.client.datasets.get(here.dataset.id)).media
    assert "endless.jpg" in [each.name for each in held]


async def test_pixels_and_files_of_all_kinds_go_in_one_run(here: World, tmp_path: Path) -> None:
    """The service holds the pixels that were given; with a journal the same run finds them done."""
    pixels = np.random.default_rng(7).integers(0, 255, (40, 60, 3), np.uint8)
    large = np.random.default_rng(8).integers(0, 255, (1300, 1300, 3), np.uint8)
    photo = jpeg(3000)
    (tmp_path / "disk.jpg").write_bytes(photo)
    config = UploadConfig(journal=tmp_path / "run.journal", verify="all")

    async def run(pixels: np.ndarray[Any, np.dtype[np.uint8]]) -> Any:
        async with aiofiles.open(tmp_path / "disk.jpg", "rb") as awaited:
            items = [
                UploadItem("array.png", pixels),
                UploadItem("large.png", large),
                UploadItem("grey.jpg", pixels[..., 0]),
                UploadItem("image.png", Image.fromarray(pixels)),
                UploadItem("bytes.jpg", photo),
                UploadItem("view.jpg", memoryview(photo)),
                UploadItem("open.jpg", io.BytesIO(photo)),
                UploadItem("awaited.jpg", awaited),
            ]
            return await here.client.upload(here.dataset, items, config=config)

    first, second = await run(pixels), await run(pixels)
    third = await run(pixels[::-1])

    assert (first.uploaded, first.problems) == (8, ())
    # Of open files nothing is left to be compared; pixels are, as they were encoded.
    assert {each.name for each in first.mismatches} == {"open.jpg", "awaited.jpg"}
    assert (second.uploaded, second.skipped, second.resumed) == (0, 8, 8)
    assert (third.uploaded, third.skipped, third.resumed) == (0, 8, 5)  # three were found changed
    stored = {m.name: m for m in (await here.client.datasets.get(here.dataset)).media}
    for name, expected in [("array.png", pixels), ("image.png", pixels), ("large.png", large)]:
        data = await here.client.media.download(stored[name])
        assert np.array_equal(np.asarray(Image.open(io.BytesIO(data))), expected)
    for name in ("bytes.jpg", "view.jpg", "open.jpg", "awaited.jpg"):
        assert await here.client.media.download(stored[name]) == photo
