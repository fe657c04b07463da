"""Whatever is sent to the embedded server: it answers, logs no traceback, and goes on serving."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator, Iterator, Mapping

import attrs
import pytest

from datagym_async.server import SeedDataset, SeededProject, SeedMedia, SeedProject, Server
from tests.helpers.photos import jpeg
from tests.helpers.service import Service, raw_connection, service

LINKS = (
    "http://a..b/a.jpg",
    "http://.../a.jpg",
    "http://" + "a" * 70 + ".b/a.jpg",
    "http://[::1/a.jpg",
    "http://[abc]/a.jpg",
    "http://127.0.0.1:99999/a.jpg",
    "http://127.0.0.1:0/a.jpg",
    "http://127.0.0.1:-1/a.jpg",
    "http://%00/a.jpg",
    "http://\ufffd/a.jpg",
    "http://127.0.0.1:1/\r\nX: y.jpg",
    "http:///a.jpg",
    "http:a.jpg",
    "http://@/a.jpg",
    "http://xn--/a.jpg",
    "ftp://x/a.jpg",
    "file:/etc/a.jpg",
    "",
)
DEEP = b"[" * 900 + b"]" * 900
DEEP_OBJECT = b'{"name":' * 900 + b"1" + b"}" * 900


@attrs.frozen
class World:
    """A server with one task, and one link for each bad target."""

    client: Service
    project: SeededProject

    @property
    def server(self) -> Server:
        """The server."""
        return self.client.server

    def request(self, method: str, path: str, body: bytes | None = None, *fields: str) -> bytes:
        """Return a request with the token; `fields` are further header lines."""
        version = fields[0] if fields and fields[0].startswith("HTTP/") else "HTTP/1.1"
        lines = [f"{method} {path} {version}", "Host: x"]
        lines += [f"Authorization: Token {self.server.token}", "Content-Type: application/json"]
        lines += [field for field in fields if not field.startswith("HTTP/")]
        if body is not None:
            lines.append(f"Content-Length: {len(body)}")
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + (body or b"")

    async def answer(self, request: bytes) -> bytes:
        """Send bytes, close this half, and return all that comes back."""
        async with raw_connection(self.server) as (reader, writer):
            writer.write(request)
            writer.write_eof()
            return await reader.read()


@pytest.fixture
async def world() -> AsyncIterator[World]:
    media = [SeedMedia("a.jpg", jpeg(2000), state="WAITING")]
    media += [SeedMedia(f"{n}.jpg", url=url) for n, url in enumerate(LINKS)]
    async with Server() as server, service(server) as client:
        (project,) = await server.seed(SeedProject("p", [SeedDataset("d", media)]))
        yield World(client, project)


async def _demand_sound(
    world: World, requests: Mapping[str, bytes], caplog: pytest.LogCaptureFixture
) -> dict[str, int]:
    """Send each request, and a good one after it; return the statuses."""
    statuses = {}
    good = world.request("GET", "/api/v1/project", None, "Connection: close")
    with caplog.at_level(logging.INFO):
        for name, request in requests.items():
            answer = await world.answer(request)
            assert answer.startswith(b"HTTP/1."), (name, answer)
            statuses[name] = int(answer.split()[1])
            assert (await world.answer(good)).startswith(b"HTTP/1.1 200"), name
    traces = [record.getMessage() for record in caplog.records if record.exc_info]
    assert traces == []
    assert "Traceback" not in caplog.text
    return statuses


@pytest.mark.slow
async def test_request_lines(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """Unknown methods, versions and targets are refused, never failed at."""
    requests = {}
    for version in ("HTTP/2.0", "HTTP/3.0", "HTTP/1.9", "HTTP/0.9", "HTTP/11", "FOO/1.1"):
        requests[version] = world.request("GET", "/api/v1/project", None, version)
    requests["preface"] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    methods = ("FOO", "CONNECT", "TRACE", "PATCH", "PROPFIND", "QUERY", "get", "G T", "LOCK")
    dataset = world.project.datasets[0].id
    for method in methods:
        for path in ("/api/v1/project", "/nope", f"/api/v1/media/{dataset}/file"):
            for body in (None, b"[1,"):
                requests[f"{method} {path} {body!r}"] = world.request(method, path, body)
    targets = ["*", "//", "/%", "/%zz", "/%ff", "/%00", "?", "#", "x:443", "http://[::1/"]
    targets += ("http://a..b/", "http://x:99999/", "http://x:abc/api/v1/project", "/?token=%ff")
    targets += ("/api/v1/task/%ED%A0%80", "/api/v1/dataset/" + "a" * 7000)
    for target in targets:
        for method in ("GET", "CONNECT", "OPTIONS"):
            requests[f"{method} {target[:20]}"] = world.request(method, target)
    statuses = await _demand_sound(world, requests, caplog)
    assert {name: status for name, status in statuses.items() if status >= 500} == {}


@pytest.mark.slow
async def test_bodies(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """Every route that reads JSON refuses what is none, what is too deep, and wild numbers."""
    media, task = world.project.datasets[0].id, world.project.task_ids["a.jpg"]
    routes = [
        ("POST", "/dataset"),
        ("POST", f"/media/{media}/url"),
        ("PUT", f"/config/{world.project.label_configuration_id}"),
        ("PUT", f"/task/{task}/completeTask"),
        ("POST", f"/project/{world.project.id}/prediction"),
        ("POST", "/lcValue/x"),
        ("PUT", "/lcValue/x"),
        ("PUT", "/lcValue/x/changeType"),
        ("GET", "/project"),
    ]
    bodies = [b"", b"null", b"[", DEEP, DEEP_OBJECT, b"[null]", b"[[]]", b"{}", b"[{}]", b"1e999"]
    bodies += [b"9" * 500, b'"\\ud800"', b"\xff\xfe", b"\0", b"NaN", b"[1e400]", b"true"]
    bodies += [b'{"name":18446744073709551615}', b'{"lastChangedConfig":18446744073709551615}']
    bodies += [b'{"lastChangedConfig":1e300}', b'{"lastChangedConfig":"' + b"9" * 5000 + b'"}']
    bodies += [b'["http://[::1/a.jpg","http://a..b/a.jpg"]', b'{"name":"' + b"a" * 99_999 + b'"}']
    requests = {
        f"{method} {path[:9]} {n}": world.request(method, f"/api/v1{path}", body)
        for n, body in enumerate(bodies)
        for method, path in routes
    }
    await _demand_sound(world, requests, caplog)


@pytest.mark.slow
async def test_framing(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """Bad chunks, lengths, encodings and header fields end as an answer."""
    path = f"/api/v1/media/{world.project.datasets[0].id}/file"
    requests = {}
    for coding in ("chunked", "gzip", "gzip, chunked", "identity", "xchunked"):
        for body in (b"zz\r\n", b"5\r\nab", b"-1\r\n\r\n", b"f" * 20 + b"\r\n", b""):
            for target in ("/api/v1/dataset", path):
                head = world.request(
                    "POST", target, None, f"Transfer-Encoding: {coding}", "X-filename: q.jpg"
                )
                requests[f"{coding} {body!r} {target[8:12]}"] = head + body
    for field in _fields():
        for method, target in (("GET", "/api/v1/project"), ("POST", "/api/v1/dataset")):
            requests[f"{method} {field!r}"] = world.request(method, target, None, field)
    await _demand_sound(world, requests, caplog)


def _fields() -> Iterator[str]:
    yield from (f"Content-Length: {value}" for value in ("-1", "9" * 20, "abc", "10"))
    yield from ("Expect: foo", "Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings", "Host: y")
    yield from ("Accept: \xff", "Cookie: a=\xff; \x01", "X: \0", "X\x7f: 1", ": x", " folded")
    yield from ("Content-Encoding: gzip", "Range: bytes=9-1", "Authorization: Token \xff")


@pytest.mark.slow
async def test_queries_and_links(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """Limits beyond any number, searches of many words, and links to nowhere are refused."""
    listing = f"/api/v1/task/{world.project.id}/list"
    requests = {}
    for limit in (1 << 31, (1 << 63) - 1, 1 << 63, 1 << 64, -(1 << 64), "9" * 5000, "1_0", "0x10"):
        requests[f"limit {limit}"] = world.request("GET", f"{listing}?limit={limit}")
    many = "+".join(f"word{n}" for n in range(900))
    requests["search"] = world.request("GET", f"{listing}?search={many}")
    for n in range(len(LINKS)):
        media_id = world.project.datasets[0].media_ids[f"{n}.jpg"]
        requests[f"link {LINKS[n]}"] = world.request("GET", f"/api/v1/media/{media_id}")
    statuses = await _demand_sound(world, requests, caplog)
    assert {statuses[name] for name in statuses if name.startswith("limit")} == {400}
    assert statuses["search"] == 200


async def test_a_search_demands_all_of_its_words(world: World) -> None:
    """Each word must be in the name or the labeler, without case; short ones are ignored."""
    task = world.project.task_ids["a.jpg"]
    await world.server.set_task_state(task, "WAITING", labeler="Ann Smith")
    path = f"/task/{world.project.id}/list?search="
    found = {
        search: len((await world.client.ask("GET", path + search)).items)
        for search in ("ann", "smith+ANN", "smith+bob", "an+jp", "jpg+smith", "jpg+12345")
    }
    assert found == {
        "ann": 1,
        "smith+ANN": 1,
        "smith+bob": 0,
        "an+jp": 1,
        "jpg+smith": 1,
        "jpg+12345": 1,
    }


async def test_a_json_body_is_bounded(world: World) -> None:
    """More than 32 MiB of JSON are refused with 413, announced or not, and the connection ends."""
    announced = world.request("POST", "/api/v1/dataset", None, f"Content-Length: {33 << 20}")
    chunked = world.request("POST", "/api/v1/dataset", None, "Transfer-Encoding: chunked")
    for request in (announced, chunked):
        async with raw_connection(world.server) as (reader, writer):
            writer.write(request)
            if request is chunked:
                writer.write(b"%x\r\n" % (33 << 20) + bytes(33 << 20))
            head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 413")
        assert b"Connection: close" in head


@pytest.mark.parametrize(("path", "count"), [("config/{}", 10_001), ("dataset", 2_000_001)])
async def test_the_values_of_a_body_are_bounded(world: World, path: str, count: int) -> None:
    """A few bytes a value are many in memory: more than anybody needs are refused with 413."""
    path = path.format(world.project.label_configuration_id)
    method = "POST" if path == "dataset" else "PUT"
    body = b"[" + b",".join([b"{}"] * count) + b"]"
    async with raw_connection(world.server) as (reader, writer):
        writer.write(world.request(method, f"/api/v1/{path}", body))
        await writer.drain()
        answer = await reader.readuntil(b"\r\n\r\n")

    assert answer.startswith(b"HTTP/1.1 413")


async def test_a_value_hangs_on_its_own_task(world: World) -> None:
    """A parent that is none to the entry, or an entry of elsewhere, is not found."""
    entry = {"entryKey": "car", "entryValue": "car", "type": "point"}
    other = (await world.server.seed(SeedProject("other")))[0]
    entries = [
        (await world.client.ask("PUT", f"/config/{config}", value=[entry])).fields["entries"]
        for config in (world.project.label_configuration_id, other.label_configuration_id)
    ]
    own, foreign = (str(each[0]["id"]) for each in entries)  # type: ignore[index]  # JSON
    task = world.project.task_ids["a.jpg"]
    body = {
        "iterationId": world.project.label_iteration_id,
        "mediaId": world.project.datasets[0].media_ids["a.jpg"],
        "labelTaskId": task,
    }
    made = await world.client.ask("POST", f"/lcValue/{own}", value={**body, "lcEntryId": own})
    for entry_id, parent in ((own, "nope"), (own, made.fields["id"]), (foreign, None)):
        value = {**body, "lcEntryId": entry_id, "lcEntryValueParentId": parent}
        reply = await world.client.ask("POST", f"/lcValue/{entry_id}", value=value)
        assert (reply.status, reply.key) == (404, "ex_notfound")
    assert (await world.client.ask("GET", f"/task/{task}")).status == 200


async def test_a_side_that_is_no_number(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """The schema lets the sides of a loose geometry pass; the import refuses them whole."""
    entry = {"entryKey": "car", "entryValue": "car", "type": "rectangle"}
    await world.client.ask("PUT", f"/config/{world.project.label_configuration_id}", value=[entry])
    item = {
        "internal_media_ID": world.project.datasets[0].media_ids["a.jpg"],
        "labels": {"car": [{"geometry": [{"x": 1, "y": 2, "w": "wide", "h": 1}]}]},
    }
    body = json.dumps([item]).encode()
    reply = await world.client.ask("POST", f"/project/{world.project.id}/prediction", body=body)
    assert (reply.status, reply.key) == (500, "ex_system")
    assert "Traceback" not in caplog.text
