"""Sets of links: dead ones are found before they are sent, where that is asked for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from datagym_async._transport import LinkProber
from datagym_async.uploads import UploadConfig, Uploader
from datagym_async.uploads._sending import dead_links
from tests.helpers.fake_service import DATASET_ID, FakeService
from tests.helpers.photos import jpeg


class Prober(LinkProber):
    """Knows by its text whether a link is dead."""

    def __init__(self) -> None:
        super().__init__()
        self.in_flight = self.peak = 0

    async def probe(self, url: str) -> str:
        self.in_flight += 1
        self.peak = max(self.peak, self.in_flight)
        await asyncio.sleep(0)
        self.in_flight -= 1
        return "It is dead." if "dead" in url else ""


async def test_dead_links_are_named_by_their_places() -> None:
    """Many at once, each with its own reason."""
    prober = Prober()
    urls = [f"http://h/{'dead' if number % 3 else 'ok'}{number}.jpg" for number in range(50)]

    dead = await dead_links(prober, urls)

    assert dead == {at: "It is dead." for at, url in enumerate(urls) if "dead" in url}
    assert prober.peak == 16


@pytest.fixture
async def site() -> AsyncIterator[str]:
    """Serve one picture at every path but those that say they are gone."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := (await reader.readline()).split():
            await reader.readuntil(b"\r\n\r\n")
            status = b"404 Not Found" if b"gone" in line[1] else b"200 OK"
            body = b"" if line[0] == b"HEAD" else picture[:64]
            writer.write(b"HTTP/1.1 " + status + b"\r\nContent-Type: image/jpeg\r\n")
            writer.write(b"Content-Length: %d\r\n\r\n" % (len(body) or 64) + body)
            if line[0] != b"HEAD":
                break
        writer.close()

    picture = jpeg(2000)
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def upload(service: FakeService, source: object, **options: object) -> Uploader:
    """Run an upload to its end."""
    config = UploadConfig(**options)  # type: ignore[arg-type]  # a table of options
    async with Uploader(service, service, DATASET_ID, source, config=config) as run:  # type: ignore[arg-type]
        await run.finish()
    return run


async def test_dead_links_are_rejected_before_they_are_sent(site: str) -> None:
    """The service would have taken them all."""
    service = FakeService()
    urls = [f"{site}/{'gone' if number % 4 == 0 else 'a'}{number}.jpg" for number in range(40)]

    run = await upload(service, urls, check_links=True, allow_private_links=True)

    assert (run.report.uploaded, run.report.rejected, run.report.complete) == (30, 10, True)
    told = {(each.reason, each.dataset_id) for each in run.report.problems}
    assert told == {("The link answers with status 404.", DATASET_ID)}
    assert sorted(service.urls) == sorted(url for url in urls if "gone" not in url)


async def test_links_into_our_own_network_are_rejected(site: str) -> None:
    """Unless they are allowed by name."""
    service = FakeService()

    run = await upload(service, [f"{site}/a.jpg"], check_links=True)

    (problem,) = run.report.problems
    assert "not a public address; allow_private_links=True" in problem.reason
    assert service.urls == []
