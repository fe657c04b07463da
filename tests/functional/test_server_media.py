"""Reading media from the embedded server: files, links as they are now, videos."""

from __future__ import annotations

import asyncio
import functools
import io
from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from PIL import Image

from datagym_async.server import Plan, SeedDataset, SeedMedia, SeedProject, SeedVideo, Server
from tests.helpers.photos import jpeg, png
from tests.helpers.service import Service, service


@pytest.fixture
async def client() -> AsyncIterator[Service]:
    async with Server() as server, service(server) as opened:
        yield opened


@functools.cache
def _huge() -> bytes:
    """A PNG of 13,000 x 13,000 black pixels, in about 20 kB."""
    target = io.BytesIO()
    Image.new("1", (13_000, 13_000)).save(target, "PNG")
    return target.getvalue()


async def _image(request: web.Request) -> web.Response:
    name = request.match_info["name"]
    bodies = {"a.jpg": jpeg(5000), "b.png": png(5000), "text.jpg": b"no image"}
    bodies["cut.png"] = png(5000)[:3000]
    targets = {"moved": "/a.jpg", "private": "http://192.168.0.1:1/a.jpg", "loop": "/loop.jpg"}
    targets |= {"file": "file:///a.jpg", "ftp": "ftp://127.0.0.1/a.jpg", "odd": "http://[x/a.jpg"}
    if name == "huge.png":
        return web.Response(body=await asyncio.to_thread(_huge))
    if (target := targets.get(name.removesuffix(".jpg"))) is not None:
        return web.Response(status=302, headers={"Location": target})
    if name == "down.jpg":
        raise web.HTTPServiceUnavailable
    if name not in bodies:
        raise web.HTTPNotFound
    return web.Response(body=bodies[name])


@pytest.fixture
async def pictures() -> AsyncIterator[str]:
    """A web server with pictures; its address."""
    app = web.Application()
    app.router.add_get("/{name}", _image)
    async with TestServer(app) as server:
        yield str(server.make_url("/"))


async def _link(client: Service, url: str) -> tuple[str, str]:
    """Make a project with one link whose task is waiting; return the ids of project and media."""
    dataset = SeedDataset("d", [SeedMedia("x.jpg", url=url, state="WAITING")])
    (project,) = await client.server.seed(SeedProject("p", [dataset]))
    return project.id, project.datasets[0].media_ids["x.jpg"]


@pytest.mark.parametrize(
    ("name", "kind"), [("a.jpg", "JPEG"), ("b.png", "PNG"), ("moved.jpg", "JPEG")]
)
async def test_a_link_is_fetched_and_encoded_anew(
    client: Service, pictures: str, name: str, kind: str
) -> None:
    """The picture is the link's, the bytes are not; sent in chunks, without a length."""
    _, media_id = await _link(client, pictures + name)
    reply = await client.ask("GET", f"/media/{media_id}")
    assert reply.status == 200
    assert reply.headers["Content-Type"] == f"image/{kind.lower()}"
    assert "Content-Length" not in reply.headers
    original = png(5000) if kind == "PNG" else jpeg(5000)
    assert reply.body != original
    with Image.open(io.BytesIO(reply.body)) as got, Image.open(io.BytesIO(original)) as sent:
        assert (got.format, got.size) == (kind, sent.size)


@pytest.mark.parametrize(
    ("name", "status", "detail", "state"),
    [
        ("404.jpg", 400, "Invalid image url", "SKIPPED"),
        ("text.jpg", 400, "ex_val_bin_mime", "SKIPPED"),
        ("file.jpg", 400, "Invalid image url", "SKIPPED"),
        ("odd.jpg", 400, "Invalid image url", "SKIPPED"),
        ("ftp.jpg", 500, "ex_gen_file_stream", "WAITING"),
        ("loop.jpg", 500, "ex_gen_file_stream", "WAITING"),
        ("cut.png", 500, "ex_gen_file_stream", "WAITING"),
        ("down.jpg", 500, "ex_gen_file_stream", "WAITING"),
    ],
)
async def test_a_wrong_link_skips_its_tasks(
    client: Service, pictures: str, name: str, status: int, detail: str, state: str
) -> None:
    """Looking at a wrong link is not harmless; one that only fails stays as it is."""
    project, media_id = await _link(client, pictures + name)
    reply = await client.ask("GET", f"/media/{media_id}")
    assert reply.status == status
    assert detail in reply.body.decode()
    tasks = (await client.ask("GET", f"/task/{project}/list?state={state}")).items
    assert len(tasks) == 1


async def test_a_large_link_fails(
    client: Service, pictures: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A picture of more bytes than the server keeps in memory is left."""
    monkeypatch.setattr("datagym_async.server._links._LARGEST", 4000)
    _, media_id = await _link(client, pictures + "a.jpg")
    reply = await client.ask("GET", f"/media/{media_id}")
    assert (reply.status, reply.key) == (500, "ex_gen_file_stream")


async def test_links_can_be_kept_on_this_machine(pictures: str) -> None:
    """With `local` only this machine's addresses are asked; with `never` not even they."""
    outcomes = []
    for policy, url in (
        ("local", pictures + "a.jpg"),
        ("local", "http://192.0.2.1.example/a.jpg"),
        ("never", pictures + "a.jpg"),
    ):
        async with Server(fetch_links=policy) as server, service(server) as client:  # type: ignore[arg-type]  # a literal
            _, media_id = await _link(client, url)
            outcomes.append((await client.ask("GET", f"/media/{media_id}")).status)
    assert outcomes == [200, 400, 400]


async def test_by_default_private_networks_are_not_asked(pictures: str) -> None:
    """`public` asks loopback and the internet; private and odd addresses are unknown hosts."""
    outcomes = {}
    async with Server() as server, service(server) as client:
        for url in (
            pictures + "a.jpg",
            pictures.replace("127.0.0.1", "localhost") + "a.jpg",
            "http://10.0.0.1:1/a.jpg",
            "http://169.254.169.254/latest/a.jpg",
            "http://[fd00::1]:1/a.jpg",
            "http://[::ffff:192.168.0.1]:1/a.jpg",
            "http://167772161:1/a.jpg",
            "http://127.1:1/a.jpg",
            "http://0.0.0.0:1/a.jpg",
            pictures + "private.jpg",
        ):
            _, media_id = await _link(client, url)
            outcomes[url] = (await client.ask("GET", f"/media/{media_id}")).status
    assert list(outcomes.values()) == [200, 200] + [400] * 8


async def test_too_many_pixels_are_not_decoded(client: Service, pictures: str) -> None:
    """A small file of very many pixels fails as a link, before any pixel takes memory."""
    _, media_id = await _link(client, pictures + "huge.png")
    reply = await client.ask("GET", f"/media/{media_id}")
    assert (reply.status, reply.key) == (500, "ex_gen_file_stream")


async def test_a_bitmap_of_too_many_pixels_is_refused(client: Service) -> None:
    """The size of an uploaded image is its header's word; a bitmap of any size is not drawn."""
    (project,) = await client.server.seed(
        SeedProject("p", [SeedDataset("d", [SeedMedia("x.png", _huge(), state="COMPLETED")])])
    )
    entry = {"entryKey": "sky", "entryValue": "sky", "type": "image_segmentation"}
    await client.ask("PUT", f"/config/{project.label_configuration_id}", value=[entry])
    await client.server.set_task_state(project.task_ids["x.png"], "COMPLETED")
    reply = await client.ask("GET", f"/export/bitmap/{project.task_ids['x.png']}/sky")
    assert (reply.status, reply.key) == (500, "ex_system")


async def test_a_file_comes_back_as_it_is(client: Service) -> None:
    """Exact bytes, the type of the content, a length; large ones stream; HEAD has no body."""
    dataset = await client.create_dataset("d")
    for name, content in (("small ä~*'.jpg", png(5000)), ("large.jpg", jpeg(2_500_000))):
        quoted = name.encode().decode("latin-1")
        (seeded,) = await client.server.seed_datasets(
            SeedDataset("x", [SeedMedia(quoted, content)])
        )
        path = f"/media/{seeded.media_ids[quoted]}"
        reply = await client.ask("GET", path, headers={"Range": "bytes=0-9"})
        assert (reply.status, reply.body) == (200, content)
        assert reply.headers["Content-Length"] == str(len(content))
        assert "attachment; filename=" in reply.headers["Content-Disposition"]
        assert "Content-Disposition" not in (await client.ask("GET", f"{path}?dl=false")).headers
        head = await client.ask("HEAD", path)
        assert (head.headers["Content-Length"], head.body) == (str(len(content)), b"")
        assert (await client.ask("GET", f"{path}?dl=zzz")).status == 400
    assert await client.names(dataset) == []


async def test_a_video_is_read_without_the_token(client: Service) -> None:
    """The body is an address that needs no token, and takes none; without AWS it is 500."""
    name = "cam 1/a\\b/clip.mp4"  # no part of the address, in which a folder is refused
    media = [
        SeedMedia(name, b"moving pictures", video=SeedVideo()),
        SeedMedia("old.mp4", video=SeedVideo(presigned=False)),
    ]
    (dataset,) = await client.server.seed_datasets(SeedDataset("v", media, media_type="VIDEO"))
    reply = await client.ask("GET", f"/media/{dataset.media_ids[name]}")
    url = reply.body.decode()
    async with aiohttp.ClientSession() as stranger, stranger.get(url) as response:
        assert await response.read() == b"moving pictures"
    async with aiohttp.ClientSession() as stranger, stranger.get(url + "0") as response:
        assert response.status == 403
    async with client.session.get(url) as response:
        assert response.status == 400
    without = await client.ask("GET", f"/media/{dataset.media_ids['old.mp4']}")
    assert (without.status, without.key) == (500, "ex_gen_file_stream")


async def test_links_are_stored_all_or_none(client: Service) -> None:
    """One name that is too long undoes the whole request; repeated links count once."""
    dataset = await client.create_dataset("d")
    good, bad = "http://x/a.jpg", "http://x/" + "n" * 252 + ".jpg"
    path = f"/media/{dataset}/url"
    assert (await client.ask("POST", path, value=[good, bad])).key == "ex_system"
    assert await client.names(dataset) == []
    answers = (await client.ask("POST", path, value=[good, good, "http://x/b.gif"])).items
    assert {str(item["imageUrl"]): item["mediaUploadStatus"] for item in answers} == {
        good: "SUCCESS",
        "http://x/b.gif": "UNSUPPORTED_MIME_TYPE",
    }
    (again,) = (await client.ask("POST", path, value=["HTTP://X/A.JPG"])).items
    assert again["mediaUploadStatus"] == "DUPLICATE"


async def test_the_free_plan_takes_no_links(client: Service) -> None:
    """FREE_DEVELOPER refuses URL uploads."""
    dataset = await client.create_dataset("d")
    client.server.set_plan(Plan(name="FREE_DEVELOPER"))
    reply = await client.ask("POST", f"/media/{dataset}/url", value=["http://x/a.jpg"])
    assert (reply.status, reply.key) == (500, "ex_gen_public_urls_upload_not_allowed")
