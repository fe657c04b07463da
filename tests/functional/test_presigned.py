"""Pre-signed URLs of the service: fetched from public addresses alone, and without credentials."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp
import pytest

from datagym_async import (
    APIResponseValidationError,
    APIStatusError,
    DataGymClient,
    RetryPolicy,
)
from datagym_async.server import SeedMedia
from datagym_async.testing import Status
from tests.helpers.photos import jpeg
from tests.helpers.raw_server import Talk, raw_server, read_head
from tests.helpers.sentinel import TOKEN
from tests.helpers.world import world

if TYPE_CHECKING:
    import asyncio

MEDIA = "0d3a3b4e-5a2c-4a57-9f4a-1a2b3c4d5e6f"
BYTES = b"not really a video" * 100


def answer(body: bytes, *, kind: str = "text/plain", status: int = 200, more: str = "") -> bytes:
    """Return a whole answer."""
    head = f"HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
    return f"{head}{more}Connection: close\r\n\r\n".encode() + body


class Store:
    """A server with one answer a path, that keeps the heads of what it was asked."""

    def __init__(self) -> None:
        self.answers: dict[str, bytes] = {}
        self.heads: list[bytes] = []

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await read_head(reader)
        self.heads.append(head)
        path = head.split()[1].decode().partition("?")[0]
        writer.write(self.answers.get(path, answer(BYTES, kind="video/mp4")))
        await writer.drain()


def naming(url: str) -> Talk:
    """Return a service that answers each medium with a URL."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_head(reader)
        writer.write(answer(url.encode()))
        await writer.drain()

    return talk


@asynccontextmanager
async def client_of(url: str, **options: object) -> AsyncIterator[DataGymClient]:
    """Give a client of a service that answers each medium with a URL."""
    async with (
        raw_server(naming(url)) as base,
        DataGymClient(TOKEN, base, dialect="media", **options) as client,  # type: ignore[arg-type]
    ):
        yield client


async def refused(client: DataGymClient) -> str:
    """Return the sentence that both ways to a medium end with, which is one and is not retried."""
    with pytest.raises(APIResponseValidationError) as whole:
        await client.media.download(MEDIA)
    with pytest.raises(APIResponseValidationError) as streamed:
        async with client.media.stream(MEDIA):
            pass
    assert str(whole.value) == str(streamed.value)
    assert whole.value.attempts == 1
    return str(whole.value)


async def test_a_private_store_is_not_asked() -> None:
    """Nothing reaches it, and the error names the way out."""
    store = Store()
    async with raw_server(store.talk) as address, client_of(f"{address}clip?sig=secret") as client:
        sentence = await refused(client)

    assert "127.0.0.1, which is not a public address; allow_private_store=True" in sentence
    assert "secret" not in sentence
    assert store.heads == []


@pytest.mark.parametrize("url", ["http://10.0.0.8/a", "http://localhost:9/a", "http://[fec0::1]/a"])
async def test_no_private_address_is_asked(url: str) -> None:
    """However it is spelt."""
    async with client_of(url) as client:
        assert "is not a public address" in await refused(client)


async def test_a_private_store_is_asked_where_that_is_allowed() -> None:
    """The switch is for installations that keep their files so."""
    store = Store()
    async with (
        raw_server(store.talk) as address,
        client_of(f"{address}clip", allow_private_store=True) as client,
    ):
        assert await client.media.download(MEDIA) == BYTES


async def test_the_service_itself_is_asked_wherever_it_is() -> None:
    """Its host and port are asked anyway, with the token even; here without."""
    store = Store()
    async with raw_server(store.talk) as base:
        store.answers[f"/api/v1/media/{MEDIA}"] = answer(f"{base}clip?sig=1".encode())
        async with DataGymClient(TOKEN, base, dialect="media") as client:
            assert await client.media.download(MEDIA) == BYTES

    assert [TOKEN.encode() in head for head in store.heads] == [True, False]


@pytest.mark.parametrize("status", [403, 404, 503])
async def test_an_error_of_a_store_is_no_file(status: int) -> None:
    """A signature that has run out, or a store that is down: its answer is not the medium."""
    store = Store()
    store.answers["/clip"] = answer(b"<Error>", status=status)
    async with (
        raw_server(store.talk) as address,
        client_of(
            f"{address}clip?sig=secret", allow_private_store=True, retry=RetryPolicy.none()
        ) as client,
    ):
        for read in (client.media.download(MEDIA), _streamed(client)):
            with pytest.raises(APIStatusError) as raised:
                await read
            assert raised.value.status == status
            assert f"answered {status} for a pre-signed download" in str(raised.value)
            assert "secret" not in f"{raised.value} {vars(raised.value)}"


async def _streamed(client: DataGymClient) -> None:
    async with client.media.stream(MEDIA):
        pass


async def test_each_redirect_is_looked_at() -> None:
    """A store that may be asked does not lead to one that may not."""
    inside = Store()
    async with raw_server(inside.talk) as elsewhere:
        store = Store()
        store.answers["/clip"] = answer(b"", status=302, more=f"Location: {elsewhere}x\r\n")
        async with raw_server(store.talk) as base:
            store.answers[f"/api/v1/media/{MEDIA}"] = answer(f"{base}clip".encode())
            async with DataGymClient(TOKEN, base, dialect="media") as client:
                assert "is not a public address" in await refused(client)

    assert inside.heads == []


@pytest.mark.parametrize(
    ("location", "words"),
    [
        ("http://[::1", "does not lead to a valid address"),
        ("http://a..b/", "is not a host name"),
        (f"http://{'a' * 64}/", "is not a host name"),
        ("file:///etc/passwd", "only http and https are allowed"),
        ("/clip", "redirects more than 5 times"),
    ],
)
async def test_a_hostile_redirect_is_a_plain_error(location: str, words: str) -> None:
    """Not a ValueError of the HTTP library in the middle of a job."""
    store = Store()
    store.answers["/clip"] = answer(b"", status=302, more=f"Location: {location}\r\n")
    async with (
        raw_server(store.talk) as address,
        client_of(f"{address}clip", allow_private_store=True) as client,
    ):
        assert words in await refused(client)


@pytest.mark.parametrize("host", ["a..b", "a" * 64, f"{'a.' * 127}example"])
async def test_a_host_that_is_none_is_a_plain_error(host: str) -> None:
    """Python would raise UnicodeError for it."""
    async with client_of(f"http://{host}/clip", allow_private_store=True) as client:
        assert "is not a host name" in await refused(client)


async def test_no_credentials_reach_a_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the token, nor those of the URL, of ~/.netrc or of the caller's session; no proxy."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine localhost login me password secret\n")
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("NO_PROXY", "")
    store = Store()
    async with raw_server(store.talk) as address:
        store.answers["/clip"] = answer(BYTES, kind="video/mp4", more="Set-Cookie: a=b; Path=/\r\n")
        # As localhost, because a netrc entry must not be one for the service, too.
        url = address.replace("http://127.0.0.1", "http://you:hidden@localhost") + "clip"
        async with aiohttp.ClientSession(
            headers={"Authorization": "Basic bWU6c2VjcmV0"},
            cookies={"mine": "1"},
            cookie_jar=aiohttp.CookieJar(unsafe=True),
        ) as own:
            for options in ({"trust_env": True}, {"session": own}):
                async with client_of(url, allow_private_store=True, **options) as client:
                    for _ in range(2):
                        assert await client.media.download(MEDIA) == BYTES
        monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
        async with client_of(url, allow_private_store=True) as client:
            assert await client.media.download(MEDIA) == BYTES

    assert len(store.heads) == 5
    for head in store.heads:
        assert not {b"authorization", b"cookie", b"referer"} & {
            line.partition(b":")[0].lower() for line in head.split(b"\r\n")
        }


async def test_a_job_keeps_such_an_error_to_its_medium(tmp_path: Path) -> None:
    """What is in a private store is failed, with the way out; the others come."""
    names = [f"{number}.jpg" for number in range(9)]
    async with world(*[SeedMedia(name, jpeg(2_000)) for name in names]) as here:
        stored = await here.media()
        url = b"http://10.0.0.8/clip?sig=secret"
        for media in stored[:8]:
            fault = Status(200, url, content_type="text/plain")
            here.plan.add(fault, path=f"media/{media.id}$")
        report = await here.client.download_dataset(here.dataset_id, tmp_path)

    assert (report.downloaded, report.failed, report.complete) == (1, 8, True)
    assert {problem.attempts for problem in report.problems} == {1}
    assert "allow_private_store=True" in report.problems[0].reason
    assert "secret" not in report.problems[0].reason
