"""Datasets read part by part: the same as read whole, and nothing is left open however it ends."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import attrs
import orjson
import pytest

from datagym_async import DataGymClient
from datagym_async._retry import RetryPolicy
from datagym_async.exceptions import (
    APIConnectionError,
    APIResponseValidationError,
    NotFoundError,
)
from datagym_async.resources import DatasetsResource
from datagym_async.server import SeedDataset, SeedMedia, SeedProject, Server
from datagym_async.testing import DropMidBody, FaultPlan
from tests.helpers.fake_session import FakeSession, answer
from tests.helpers.photos import jpeg
from tests.helpers.raw_server import raw_server, read_head

if TYPE_CHECKING:
    from datagym_async.models import Dataset

TOKEN = "a-token-of-the-tests-1234"
QUICK = RetryPolicy(initial_delay=0.001, max_delay=0.002)
NAMES = tuple(f"{number:04} {'},{ä' * 40}.jpg" for number in range(4000))
"""Of some hundred bytes each, so that a part is full soon."""


def listing(names: Iterable[str] = NAMES, **changed: Any) -> dict[str, Any]:
    """Return a dataset as the service lists it."""
    media = [
        {"id": f"m-{at}", "timestamp": at, "mediaSourceType": "LOCAL", "mediaName": name}
        for at, name in enumerate(names)
    ]
    fields = {"id": "d", "name": "Photos", "timestamp": 1, "owner": "o", "projectCount": 2}
    return {**fields, "mediaType": "IMAGE", "media": media, **changed}


def older(dataset: dict[str, Any]) -> dict[str, Any]:
    """Return a dataset as older services list it."""
    new = {"mediaSourceType": "imageType", "mediaName": "imageName"}
    images = [{new.get(name, name): each[name] for name in each} for each in dataset["media"]]
    kept = {name: dataset[name] for name in dataset if name not in {"media", "mediaType"}}
    return {**kept, "images": images}


def older_listing(names: Iterable[str]) -> dict[str, Any]:
    """Return a dataset as older services list it."""
    return older(listing(names))


def joined(parts: Iterable[Dataset]) -> list[Dataset]:
    """Return the datasets that parts are of."""
    found: dict[str, Dataset] = {}
    for part in parts:
        before = found.get(part.id)
        media = (*before.media, *part.media) if before else part.media
        found[part.id] = attrs.evolve(part, media=media)
    return list(found.values())


async def parts_of(value: object, *, many: bool = False, piece: int = 65536) -> list[Dataset]:
    """Return the parts of an answer; its pieces are this large."""
    session = FakeSession([answer(value)], piece=piece)
    parts = [part async for part in DatasetsResource(session).iter_parts(None if many else "d")]
    assert session.streams_open == 0
    return parts


@pytest.mark.parametrize("shape", [listing, older_listing])
@pytest.mark.parametrize("count", [0, 1, len(NAMES)])
async def test_parts_are_the_dataset(shape: Callable[..., dict[str, Any]], count: int) -> None:
    """Both generations, decoded as `get` does; there is at least one part."""
    value = shape(NAMES[:count])
    whole = await DatasetsResource(FakeSession([answer(value)])).get("d")

    parts = await parts_of(value)

    assert joined(parts) == [whole]
    assert len(parts) == 1 if count < 2 else len(parts) > 2
    assert max(len(part.media) for part in parts) < 2500


async def test_parts_of_all_datasets() -> None:
    """Each dataset has a part, and its parts come one after the other."""
    value = [listing(NAMES[:count], id=f"d-{count}") for count in (0, 3000, 3, 0)]
    value[3]["id"] = "last"
    whole = await DatasetsResource(FakeSession([answer(value)])).list()

    assert joined(await parts_of(value, many=True)) == whole


async def test_an_unknown_form_is_read_whole() -> None:
    """A dataset without a list of media is decoded all the same; its parts are bounded, too."""
    value = {"extra": [{"media": [1]}], **listing()}
    whole = await DatasetsResource(FakeSession([answer(value)])).get("d")

    parts = await parts_of(value)

    assert joined(parts) == [whole]


@pytest.mark.parametrize(
    ("change", "path"),
    [
        (lambda value: value["media"][7].pop("id"), "media[7].id"),
        (lambda value: value["media"][3003].update(timestamp="x"), "media[3003].timestamp"),
        (lambda value: value["media"].append(None), "media[4000]"),
        (lambda value: value.pop("name"), "name"),
    ],
)
@pytest.mark.parametrize("many", [False, True])
async def test_another_shape_is_said_with_its_place(
    change: Callable[[dict[str, Any]], object], path: str, *, many: bool
) -> None:
    """The path is that of the whole answer, whatever the part."""
    value = listing()
    change(value)

    with pytest.raises(APIResponseValidationError) as caught:
        await parts_of([listing(["a"]), value] if many else value, many=many)

    assert caught.value.field_path == (f"[1].{path}" if many else path)


@pytest.mark.parametrize("many", [False, True])
@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"<html>Sign in</html>", "A web page"),
        (b"", "is empty"),
        (b'{"id":', "is not JSON"),
        (orjson.dumps(listing(NAMES[:99]))[:-50], "is not JSON"),
        (b"7", "was expected"),
    ],
)
async def test_what_is_no_listing(body: bytes, words: str, *, many: bool) -> None:
    """One error that says so, as of `get` and `list`; half a listing is none."""
    body = b"[" + body if many and body.startswith(b"{") else body

    with pytest.raises(APIResponseValidationError, match=words):
        await parts_of(body, many=many)


async def test_a_dataset_of_a_name_is_found_with_all_its_media() -> None:
    """Out of a listing in parts; those of other names are passed over."""
    value = [listing(id="other", name="Other"), listing(id="mine"), listing(["a"], id="more")]

    found = await DatasetsResource(FakeSession([answer(value)], piece=65536)).find("PHOTOS ")

    assert found is not None
    assert (found.id, len(found.media)) == ("mine", len(NAMES))


# --- over a connection ---------------------------------------------------------------------------


@pytest.fixture
async def served() -> AsyncIterator[tuple[DataGymClient, str, FaultPlan]]:
    """Give a client of the embedded service, a dataset of 40 media, and the service's faults."""
    plan = FaultPlan()
    async with Server(token=TOKEN, middlewares=[plan.middleware]) as server:
        media = tuple(SeedMedia(name, content=jpeg(2000)) for name in NAMES[:40])
        seed = SeedProject("Streets", datasets=(SeedDataset("Day", media=media),))
        (project,) = await server.seed(seed)
        async with DataGymClient(TOKEN, server.base_url, retry=QUICK) as client:
            yield client, project.datasets[0].id, plan


Served = tuple[DataGymClient, str, FaultPlan]


async def collected(parts: AsyncIterator[Dataset]) -> list[Dataset]:
    """Return the datasets that parts are of."""
    return joined([part async for part in parts])


async def test_the_embedded_service_in_parts(served: Served) -> None:
    """Its datasets, one and all, are what they are when read whole."""
    client, dataset_id, _ = served
    whole = await client.datasets.get(dataset_id)

    assert await collected(client.datasets.iter_parts(dataset_id)) == [whole]
    assert await client.datasets.read_parts(collected, dataset_id) == [whole]
    assert await client.datasets.read_parts(collected) == await client.datasets.list()
    with pytest.raises(NotFoundError):
        await client.datasets.read_parts(collected, "00000000-0000-4000-8000-000000000000")


async def test_a_reading_that_breaks_off_begins_anew(served: Served) -> None:
    """By the retry table: as often as any other read, and then it is the plain error."""
    client, dataset_id, plan = served
    whole = await client.datasets.get(dataset_id)
    plan.add(DropMidBody(500), path="/dataset/", first=2)
    begun = 0

    async def read(parts: AsyncIterator[Dataset]) -> list[Dataset]:
        nonlocal begun
        begun += 1
        return await collected(parts)

    assert await client.datasets.read_parts(read, dataset_id) == [whole]
    assert begun == 3

    plan.add(DropMidBody(500), path="/dataset/")
    with pytest.raises(APIConnectionError):
        await client.datasets.read_parts(read, dataset_id)
    assert client.statistics().in_flight == 0


async def test_a_failure_of_the_reader_is_its_own(served: Served) -> None:
    """Nothing is asked again for it, and the answer is closed."""
    client, dataset_id, plan = served

    async def read(parts: AsyncIterator[Dataset]) -> None:
        async for _ in parts:
            raise LookupError("No such thing")

    with pytest.raises(LookupError):
        await client.datasets.read_parts(read, dataset_id)

    assert plan.count("GET", "/dataset/") == 1
    assert client.statistics().in_flight == 0


def sent(body: bytes, *fields: str) -> bytes:
    """Return an answer as it is sent."""
    head = ["HTTP/1.1 200 OK", "Content-Type: application/json", *fields]
    head.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*head, "", ""]).encode() + body


class Speaker:
    """Says the same to everybody, waits where it is told to, and notices who leaves."""

    def __init__(self, text: bytes, *, hangs: bool = False) -> None:
        self._text = text
        self._hangs = hangs
        self.left = asyncio.Event()

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_head(reader)
        try:
            writer.write(self._text)
            await writer.drain()
            if self._hangs:
                await reader.read()
        finally:  # who leaves before all is sent resets the connection
            self.left.set()


async def test_a_compressed_answer() -> None:
    """It is cut after it is unpacked."""
    body = sent(gzip.compress(orjson.dumps(listing())), "Content-Encoding: gzip")

    async with (
        raw_server(Speaker(body).talk) as base_url,
        DataGymClient(TOKEN, base_url) as client,
    ):
        (found,) = await collected(client.datasets.iter_parts("d"))

    assert [media.name for media in found.media] == list(NAMES)


async def test_an_answer_that_breaks_off_in_the_midst() -> None:
    """What has come is given; then the error says that it is not all."""
    text = sent(orjson.dumps(listing()))[:-100]
    held: list[str] = []

    async def read(client: DataGymClient) -> None:
        async for part in client.datasets.iter_parts("d"):
            held.extend(media.name for media in part.media)

    async with (
        raw_server(Speaker(text).talk) as base_url,
        DataGymClient(TOKEN, base_url) as client,
    ):
        with pytest.raises(APIConnectionError):
            await read(client)
        in_flight = client.statistics().in_flight

    assert 1000 < len(held) < len(NAMES)
    assert tuple(held) == NAMES[: len(held)]
    assert in_flight == 0


@pytest.mark.parametrize("cancels", [False, True])
async def test_one_that_is_left_closes_the_answer(*, cancels: bool) -> None:
    """By a break or a cancellation: the connection is gone at once, not with the client."""
    speaker = Speaker(sent(orjson.dumps(listing()))[:-100], hangs=True)
    reading = asyncio.Event()

    async def read(client: DataGymClient) -> None:
        async with aclosing(client.datasets.iter_parts("d")) as parts:
            async for _ in parts:
                reading.set()
                if not cancels:
                    break

    async with raw_server(speaker.talk) as base_url, DataGymClient(TOKEN, base_url) as client:
        async with asyncio.TaskGroup() as group:
            task = group.create_task(read(client))
            await reading.wait()
            if cancels:
                task.cancel()
        async with asyncio.timeout(30):
            await speaker.left.wait()
        assert client.statistics().in_flight == 0
