"""Link images: left alone, from their source, or through the service."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
import pytest
from aiohttp import web
from PIL import Image

from datagym_async import ConfigurationError, DownloadConfig, DownloadOutcome, TaskState
from datagym_async.models import MediaSourceType
from datagym_async.server import SeedMedia
from datagym_async.testing import DropMidBody, Status, Truncate
from tests.helpers.photos import half_jpeg, jpeg
from tests.helpers.sentinel import TOKEN
from tests.helpers.world import World, world

if TYPE_CHECKING:
    from datagym_async.testing import Action

SOURCE = DownloadConfig(links="source", allow_private_links=True)
SERVICE = DownloadConfig(links="service")
GOOD = jpeg(30_000, seed=4)
SMALL = jpeg(2_000, seed=5)  # less than the buffer of a file


@attrs.define
class Site:
    """A web site with images, and what it was asked for.

    Args:
        url: Its address.
        requests: All requests.
        stumbles: Requests that are still answered with 503.
    """

    url: str = ""
    requests: list[web.Request] = attrs.field(factory=list)
    stumbles: int = 0

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer by the name that is asked for."""
        self.requests.append(request)
        name = request.path.lstrip("/")
        if self.stumbles:
            self.stumbles -= 1
            return web.Response(status=503)
        if name == "moved.jpg":
            return web.Response(status=302, headers={"Location": "/good.jpg"})
        if name == "loop.jpg":
            return web.Response(status=302, headers={"Location": "/loop.jpg"})
        if name == "away.jpg":
            return web.Response(status=302, headers={"Location": "file:///etc/passwd"})
        contents = {
            "good.jpg": GOOD,
            "small.jpg": SMALL,
            "half.jpg": half_jpeg(20_000),
            "text.jpg": b"no image at all",
        }
        if name not in contents:
            return web.Response(status=404)
        return web.Response(body=contents[name], content_type="image/jpeg")


@asynccontextmanager
async def site() -> AsyncIterator[Site]:
    """Run a site on this machine."""
    found = Site()
    app = web.Application()
    app.router.add_get("/{name}", found.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    place = web.TCPSite(runner, "127.0.0.1", 0)
    await place.start()
    host, port = runner.addresses[0][:2]
    found.url = f"http://{host}:{port}"
    try:
        yield found
    finally:
        await runner.cleanup()


@asynccontextmanager
async def linked(*names: str) -> AsyncIterator[tuple[World, Site]]:
    """Give a world whose dataset holds links to images of a site, and one image of its own."""
    async with site() as found:
        links = (SeedMedia(name, url=f"{found.url}/{name}") for name in names)
        async with world(SeedMedia("own.jpg", jpeg(2_000)), *links) as here:
            yield here, found


async def test_links_are_left_alone_unless_asked_for(tmp_path: Path) -> None:
    """Neither their host nor the service is asked; the report says how to have them."""
    async with linked("good.jpg", "gone.jpg") as (here, found):
        report = await here.client.download_dataset(here.dataset_id, tmp_path)

    assert (report.downloaded, report.skipped, report.ok) == (1, 2, True)
    assert found.requests == []
    assert here.plan.count("GET", r"/media/") == 1
    assert 'links="source" fetches them' in report.summary()


async def test_links_from_their_source_are_exact(tmp_path: Path) -> None:
    """They come byte for byte, over redirects, without any credentials or cookies of ours."""
    async with linked("good.jpg", "moved.jpg", "small.jpg") as (here, found):
        report = await here.client.download_dataset(here.dataset_id, tmp_path, config=SOURCE)

    assert report.ok
    assert (tmp_path / "good.jpg").read_bytes() == (tmp_path / "moved.jpg").read_bytes() == GOOD
    assert (tmp_path / "small.jpg").read_bytes() == SMALL
    assert len(found.requests) == 4
    assert not any(TOKEN in str(request.headers) for request in found.requests)
    assert not any(request.headers.keys() & {"Authorization"} for request in found.requests)
    assert here.plan.count("GET", r"/media/") == 1


async def test_what_is_wrong_with_a_source_is_said(tmp_path: Path) -> None:
    """A sentence each, no file, no task skipped; the good ones are there."""
    names = ("good.jpg", "gone.jpg", "half.jpg", "text.jpg", "loop.jpg", "away.jpg")
    async with linked(*names) as (here, _):
        report = await here.client.download_dataset(here.dataset_id, tmp_path, config=SOURCE)
        skipped = await here.client.tasks.list(here.project_id, state=TaskState.SKIPPED)

    reasons = {each.name: each.reason for each in report.problems}
    assert (report.downloaded, report.failed, report.complete) == (2, 5, True)
    assert reasons["gone.jpg"] == "The link answers with status 404."
    assert "cannot be decoded" in reasons["half.jpg"]
    assert "cannot be decoded" in reasons["text.jpg"]
    assert "redirects more than" in reasons["loop.jpg"]
    assert "only http and https" in reasons["away.jpg"]
    assert sorted(path.name for path in tmp_path.glob("*.jpg")) == ["good.jpg", "own.jpg"]
    assert skipped == []


async def test_private_addresses_are_refused(tmp_path: Path) -> None:
    """The addresses may come from anybody, and we ask from inside somebody's network."""
    async with linked("good.jpg") as (here, found):
        report = await here.client.download_dataset(
            here.dataset_id, tmp_path, config=DownloadConfig(links="source")
        )

    assert report.failed == 1
    assert "is not a public address" in report.problems[0].reason
    assert found.requests == []


@pytest.mark.looptime
async def test_a_source_that_stumbles_is_asked_again(tmp_path: Path) -> None:
    """503 of a foreign host may be over in a moment."""
    async with linked("good.jpg") as (here, found):
        found.stumbles = 2
        report = await here.client.download_dataset(here.dataset_id, tmp_path, config=SOURCE)

    assert report.ok
    assert len(found.requests) == 3


async def test_a_dataset_of_no_project_names_no_sources(tmp_path: Path) -> None:
    """A task alone knows an address; without one the link fails, and says what would help."""
    async with linked("good.jpg") as (here, _):
        await here.client.projects.remove_dataset(here.project_id, here.dataset_id)

        report = await here.client.download_dataset(here.dataset_id, tmp_path, config=SOURCE)

    assert (report.downloaded, report.failed) == (1, 1)
    assert 'links="service"' in report.problems[0].reason


async def test_links_through_the_service_are_encoded_anew(tmp_path: Path) -> None:
    """They are whole images of the same size, though not the same bytes; verified by decoding."""
    async with linked("good.jpg") as (here, _):
        report = await here.client.download_dataset(here.dataset_id, tmp_path, config=SERVICE)

    assert report.ok
    assert (tmp_path / "good.jpg").read_bytes() != GOOD
    with Image.open(tmp_path / "good.jpg") as image:
        image.load()
    (row,) = [
        json.loads(line)
        for line in (tmp_path / "manifest.jsonl").read_text().splitlines()
        if "good.jpg" in line
    ]
    assert (row["source"], row["outcome"]) == ("SHAREABLE_LINK", "downloaded")


async def test_a_broken_link_through_the_service_is_asked_for_once(tmp_path: Path) -> None:
    """The result says what asking has done: the service has skipped its task."""
    async with linked("gone.jpg") as (here, _):
        report = await here.client.download_dataset(here.dataset_id, tmp_path, config=SERVICE)
        skipped = await here.client.tasks.list(here.project_id, state=TaskState.SKIPPED)
        asked = here.plan.count("GET", r"/media/")

    (problem,) = report.problems
    assert (problem.status, problem.outcome) == (400, DownloadOutcome.FAILED)
    assert "has marked it invalid and moves its tasks to SKIPPED" in problem.reason
    assert [task.media_name for task in skipped] == ["gone.jpg"]
    assert asked == 2


@pytest.mark.parametrize("fault", [DropMidBody(100), Truncate(100), Status(502)])
async def test_no_link_is_asked_for_twice_through_the_service(
    tmp_path: Path, fault: Action
) -> None:
    """If it cannot fetch it, it moves its tasks; other media are tried again."""
    async with linked("good.jpg") as (here, _):
        (link,) = [
            each.id
            for each in (await here.client.datasets.get(here.dataset_id)).media
            if each.source_type is MediaSourceType.SHAREABLE_LINK
        ]
        here.plan.add(fault, method="GET", path=rf"/media/{link}$")
        report = await here.client.download_dataset(here.dataset_id, tmp_path, config=SERVICE)
        asked = here.plan.count("GET", rf"/media/{link}$")

    assert (report.downloaded, report.failed, report.complete) == (1, 1, True)
    assert (asked, report.problems[0].attempts) == (1, 1)
    assert sorted(path.name for path in tmp_path.glob("*.jpg")) == ["own.jpg"]


async def test_what_is_there_is_not_asked_for_again(tmp_path: Path) -> None:
    """A link that was downloaded stays present, whatever the next run does with links."""
    async with linked("good.jpg") as (here, found):
        await here.client.download_dataset(here.dataset_id, tmp_path, config=SOURCE)
        before = len(found.requests)

        report = await here.client.download_dataset(here.dataset_id, tmp_path)

    assert (report.present, report.skipped) == (2, 0)
    assert len(found.requests) == before


async def test_links_need_pillow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is said before anything is fetched, with the way out."""
    async with linked("good.jpg") as (here, _):
        monkeypatch.setattr("importlib.util.find_spec", lambda _: None)

        with pytest.raises(ConfigurationError, match='links="service" needs Pillow'):
            await here.client.download_dataset(here.dataset_id, tmp_path, config=SERVICE)
