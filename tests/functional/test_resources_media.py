"""Media: uploads settled by looking, URLs one by one, downloads whole or not at all."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

import pytest

from datagym_async._wire import Body, Request, Response
from datagym_async.exceptions import (
    APIConnectionError,
    APIResponseValidationError,
    ConfigurationError,
    DataGymError,
    FileWriteError,
    InternalServerError,
    NotFoundError,
    PermissionDeniedError,
)
from datagym_async.models import UrlStatus
from datagym_async.resources import Dialect, MediaResource
from tests.helpers.fake_session import FakeSession, LostAnswerError, answer, json_of, refusal

STORED: dict[str, Any] = {
    "id": "M",
    "timestamp": 1,
    "mediaSourceType": "LOCAL",
    "mediaName": "t%C3%A4st.jpg",
}
LISTING: dict[str, Any] = {"id": "D", "name": "n", "timestamp": 0, "media": [STORED]}
JPEG = b"\xff\xd8\xff" + bytes(range(256)) * 4


def media(session: FakeSession, dialect: Dialect = "media") -> MediaResource:
    return MediaResource(session, dialect=dialect)


# --- uploads -------------------------------------------------------------------------------------


async def test_bytes_are_uploaded_under_their_name() -> None:
    """The name travels encoded and comes back decoded."""
    session = FakeSession([answer({**STORED, "width": 3, "height": 4})])
    stored = await media(session).upload_file("D", JPEG, name="täst.jpg")
    (request,) = session.requests
    assert request.headers == {"X-filename": "t%C3%A4st.jpg"}
    assert request.body == Body.of_bytes(JPEG)
    assert (stored.name, stored.width) == ("täst.jpg", 3)


async def test_a_small_file_is_in_memory_before_its_request(tmp_path: Path) -> None:
    """A slow disk must not hold a connection of the service; the name is the file's."""
    path = tmp_path / "a.jpg"
    path.write_bytes(JPEG)
    session = FakeSession([answer(STORED)])
    await media(session).upload_file("D", path)
    (request,) = session.requests
    assert request.headers == {"X-filename": "a.jpg"}
    assert request.body == Body.of_bytes(JPEG)


async def test_a_large_file_is_streamed(tmp_path: Path) -> None:
    """A file of more than a chunk is a recipe that is opened for each attempt."""
    path = tmp_path / "a.jpg"
    path.write_bytes(bytes(1024 * 1024 + 1))
    session = FakeSession([answer(STORED)])
    await media(session).upload_file("D", str(path), name="b.jpg")
    (request,) = session.requests
    assert request.body is not None
    assert (request.body.size, request.body.data) == (1024 * 1024 + 1, None)
    assert request.headers == {"X-filename": "b.jpg"}


async def test_bytes_without_a_name_are_refused() -> None:
    """Bytes have no name that could be taken."""
    with pytest.raises(ConfigurationError, match="name="):
        await media(FakeSession()).upload_file("D", JPEG)


async def test_a_missing_file_is_the_callers_error(tmp_path: Path) -> None:
    """A path that leads nowhere is said as the system says it; nothing is sent."""
    session = FakeSession()
    with pytest.raises(FileNotFoundError):
        await media(session).upload_file("D", tmp_path / "none.jpg")
    assert session.requests == []


def some_kind(folder: Path, kind: str) -> Path:
    """Return a path that leads to something else than a regular file."""
    path = folder / "a.jpg"
    if kind == "a pipe":
        os.mkfifo(path)
    elif kind == "a socket":
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(str(path))
    elif kind == "a folder":
        path.mkdir()
    else:
        path.symlink_to("/dev/zero")
    return path


async def test_a_path_with_a_nul_is_refused_at_the_door() -> None:
    """No path holds one; nothing is sent, and the error is one of ours."""
    with pytest.raises(ConfigurationError, match="NUL"):
        await media(FakeSession()).upload_file("D", "a\0b.jpg")


@pytest.mark.parametrize("kind", ["a pipe", "a socket", "a folder", "a device"])
async def test_only_regular_files_are_uploaded(tmp_path: Path, kind: str) -> None:
    """A pipe may never end and a device has no size; neither is opened, and nothing is sent."""
    session = FakeSession()
    with pytest.raises(DataGymError, match=f"is {kind}, and only regular files are read") as caught:
        await media(session).upload_file("D", some_kind(tmp_path, kind))
    assert isinstance(caught.value, OSError)
    assert session.requests == []


LOOKED_UP = {
    "same": ("täst.jpg", "t%C3%A4st.jpg"),
    "case": ("Täst.JPG", "t%c3%a4st.jpg"),
    "trailing blanks": ("a.jpg", "A.jpg  "),
    "accents of others": ("tast.jpg", "täst.jpg"),
}


@pytest.mark.parametrize(("name", "stored_name"), LOOKED_UP.values(), ids=LOOKED_UP)
async def test_a_lost_answer_is_settled_by_looking(name: str, stored_name: str) -> None:
    """The media is found in the listing by its folded stored name and not sent again."""
    listing = {**LISTING, "media": [{**STORED, "mediaName": stored_name}]}
    session = FakeSession([LostAnswerError(), answer(listing)])
    stored = await media(session).upload_file("D", JPEG, name=name)
    assert (stored.id, stored.stored_name) == ("M", stored_name)
    assert session.sent == [("POST", "media/D/file"), ("GET", "dataset/D")]


async def test_a_lost_upload_is_sent_again() -> None:
    """What the dataset does not hold was not stored."""
    session = FakeSession([LostAnswerError(), answer({**LISTING, "media": []}), answer(STORED)])
    assert (await media(session).upload_file("D", JPEG, name="täst.jpg")).id == "M"
    assert [method for method, _ in session.sent] == ["POST", "GET", "POST"]


# --- URLs ----------------------------------------------------------------------------------------


def url_service(request: Request) -> Response:
    """Answer as the service does: a set, in another order, nothing at all with a bad one."""
    urls = json_of(request)
    assert isinstance(urls, list)
    if any("poison" in url for url in urls):
        return refusal(500, "ex_system")
    return answer(
        [
            {
                "internal_media_ID": f"id of {url}",
                "external_media_ID": url.rpartition("/")[2],
                "imageUrl": url,
                "mediaUploadStatus": "SUCCESS",
            }
            for url in reversed(urls)
        ]
    )


async def test_each_url_has_one_result_in_request_order() -> None:
    """Answers are matched by URL; a repeated URL is sent once and has its result twice."""
    session = FakeSession(handler=url_service)
    urls = [f"https://a.test/{n % 7}.jpg" for n in range(10)]
    results = await media(session).upload_urls("D", urls, batch_size=3)
    assert [result.media_id for result in results] == [f"id of {url}" for url in urls]
    batches: list[Any] = [json_of(request) for request in session.requests]
    assert [len(batch) for batch in batches] == [3, 3, 1]


SCREENED = {
    "1257 characters": "https://a.test/" + "a/" * 618 + "b.jpg1",
    "last part of 256": "https://a.test/" + "c" * 252 + ".jpg",
    "invalid Unicode": "https://a.test/\ud800.jpg",
}


@pytest.mark.parametrize("url", SCREENED.values(), ids=SCREENED)
async def test_a_url_that_would_fail_its_batch_is_not_sent(url: str) -> None:
    """It is FAILED with a reason, and the others are stored."""
    session = FakeSession(handler=url_service)
    good, bad = await media(session).upload_urls("D", ["https://a.test/a.jpg", url])
    assert (good.status, bad.status) == (UrlStatus.SUCCESS, UrlStatus.FAILED)
    assert bad.reason
    assert [json_of(request) for request in session.requests] == [["https://a.test/a.jpg"]]


async def test_long_urls_within_the_limits_are_sent() -> None:
    """1256 characters and a last part of 255 are stored, a query does not count for it."""
    longest = "https://a.test/" + "a/" * 618 + "b.jpg"
    urls = [
        longest,
        "https://a.test/" + "c" * 251 + ".jpg",
        "https://a.test/d?" + "q" * 300 + ".jpg",
    ]
    results = await media(FakeSession(handler=url_service)).upload_urls("D", urls)
    assert len(longest) == 1256
    assert {result.status for result in results} == {UrlStatus.SUCCESS}


async def test_a_batch_that_is_rolled_back_loses_only_the_culprit() -> None:
    """A URL that the service chokes on is found by halving; the others are stored."""
    session = FakeSession(handler=url_service)
    urls = [f"https://a.test/{n}.jpg" for n in range(8)]
    urls[5] = "https://a.test/poison.jpg"
    results = await media(session).upload_urls("D", urls)
    failed = [n for n, result in enumerate(results) if result.status is UrlStatus.FAILED]
    assert failed == [5]
    assert "failed" in (results[5].reason or "")


async def test_a_url_that_the_answer_leaves_out_is_unknown() -> None:
    """No URL is without a result."""
    (result,) = await media(FakeSession([answer([])])).upload_urls("D", ["https://a.test/a.jpg"])
    assert (result.status, bool(result.reason)) == (UrlStatus.UNKNOWN, True)


async def test_a_failing_batch_says_what_was_done_before() -> None:
    """The error of a later batch carries a note."""
    first = url_service(Request("POST", "", body=Body.of_bytes(b'["https://a.test/a.jpg"]')))
    session = FakeSession([first, refusal(403, "ex_forbidden")])
    urls = ["https://a.test/a.jpg", "https://a.test/b.jpg"]
    with pytest.raises(PermissionDeniedError) as caught:
        await media(session).upload_urls("D", urls, batch_size=1)
    assert caught.value.__notes__ == ["1 of 2 URLs were done before"]


async def test_a_broken_service_is_not_taken_for_bad_urls() -> None:
    """Only the one answer that a bad URL causes is looked into."""
    session = FakeSession([answer(b"", status=502)])
    with pytest.raises(InternalServerError):
        await media(session).upload_urls("D", ["https://a.test/a.jpg", "https://a.test/b.jpg"])


async def test_no_urls_ask_nothing() -> None:
    """An empty list is an empty list, without a request."""
    session = FakeSession()
    assert await media(session, "auto").upload_urls("D", []) == []
    assert session.requests == []


BAD_URLS: dict[str, tuple[Any, int, str]] = {
    "batch of 0": (["u"], 0, "batch_size"),
    "batch of 501": (["u"], 501, "500"),
    "single text": ("https://a.test/a.jpg", 50, "list"),
    "number": (["u", 5], 50, r"urls\[1\]"),
}


@pytest.mark.parametrize(("urls", "batch_size", "words"), BAD_URLS.values(), ids=BAD_URLS)
async def test_bad_arguments_are_said(urls: Any, batch_size: int, words: str) -> None:
    """The error names the argument and the rule."""
    with pytest.raises(ConfigurationError, match=words):
        await media(FakeSession()).upload_urls("D", urls, batch_size=batch_size)


# --- downloads -----------------------------------------------------------------------------------

SIGNED = "https://bucket.test/v.mp4?X-Amz-Signature=abc"


async def read_all(resource: MediaResource) -> bytes:
    async with resource.stream("M") as chunks:
        return b"".join([chunk async for chunk in chunks])


LONG = b"http://" + b"x" * 9000
TEXT = "text/plain;charset=UTF-8"
DOWNLOADS: dict[str, tuple[bytes, str, bytes, list[str]]] = {
    "image": (JPEG, "image/jpeg", JPEG, []),
    "video": (SIGNED.encode(), TEXT, b"video", [SIGNED]),
    "video without a type": (f"{SIGNED}\n".encode(), "", b"video", [SIGNED]),
    "other bytes": (JPEG, "application/octet-stream", JPEG, []),
    "long text": (LONG, TEXT, LONG, []),
    "another scheme": (b"file:///etc/passwd", TEXT, b"file:///etc/passwd", []),
    "a scheme with a host": (b"s3://bucket.test/v.mp4", TEXT, b"s3://bucket.test/v.mp4", []),
    "unprintable": (b"http://a.test/\x07.mp4", TEXT, b"http://a.test/\x07.mp4", []),
    "no host": (b"http:///x", TEXT, b"http:///x", []),
    "two urls": (b"http://a.test/ http://b.test/", TEXT, b"http://a.test/ http://b.test/", []),
    "image that looks like a url": (SIGNED.encode(), "image/png", SIGNED.encode(), []),
}


@pytest.mark.parametrize(("body", "kind", "content", "urls"), DOWNLOADS.values(), ids=DOWNLOADS)
async def test_downloads(body: bytes, kind: str, content: bytes, urls: list[str]) -> None:
    """Images come as they are; a video's URL, and nothing else, is followed."""
    response = answer(body, content_type=kind)
    elsewhere = {SIGNED: answer(b"video", content_type="video/mp4")}
    whole, streamed = (FakeSession([response], elsewhere=elsewhere) for _ in range(2))
    assert await media(whole).download("M") == content
    assert await read_all(media(streamed)) == content
    assert (whole.urls, streamed.urls, streamed.streams_open) == (urls, urls, 0)


@pytest.mark.parametrize(
    "more", [{}, {"content-length": "3", "content-encoding": "gzip"}], ids=["none", "encoded"]
)
async def test_a_length_that_says_nothing_of_the_bytes_is_not_compared(
    more: dict[str, str],
) -> None:
    """It is not announced, or is that of the compressed bytes."""
    video = Response(200, {"content-type": "video/mp4", **more}, b"video")
    for read in (lambda of: of.download("M"), read_all):
        session = FakeSession([answer(SIGNED.encode())], elsewhere={SIGNED: video})
        assert await read(media(session)) == b"video"


async def test_a_web_page_is_no_media() -> None:
    """A login page must not be saved as an image."""
    page = answer(b"<html>", content_type="text/html")
    for call in (media(FakeSession([page])).download("M"), read_all(media(FakeSession([page])))):
        with pytest.raises(APIResponseValidationError, match="base_url"):
            await call


async def test_an_empty_body_is_no_media() -> None:
    """Of the service as of a store: there are no images and videos of no bytes."""
    url = {SIGNED: answer(b"", content_type="video/mp4")}
    for response in (answer(b"", content_type="image/jpeg"), answer(b""), answer(SIGNED.encode())):
        for read in (lambda resource: resource.download("M"), read_all):
            session = FakeSession([response], elsewhere=url)
            with pytest.raises(APIResponseValidationError, match="the body is empty"):
                await read(media(session))
            assert session.streams_open == 0


async def test_a_link_is_asked_for_once() -> None:
    """A failed GET of a link changes its tasks, so that it is marked as not to be repeated."""
    session = FakeSession(handler=lambda _: answer(JPEG, content_type="image/jpeg"))
    await media(session).download("M")
    await media(session).download("M", link=True)
    assert [request.replay.value for request in session.requests] == ["safe", "never"]


async def test_download_to_replaces_the_file(tmp_path: Path) -> None:
    """The file is there whole, and nothing else is left in its folder."""
    path = tmp_path / "a.jpg"
    path.write_bytes(b"old")
    session = FakeSession([answer(JPEG, content_type="image/jpeg")])
    assert await media(session).download_to("M", path) == len(JPEG)
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == {"a.jpg": JPEG}


async def test_an_answer_cut_short_leaves_the_old_file(tmp_path: Path) -> None:
    """Fewer bytes than announced are an error, not half an image."""
    path = tmp_path / "a.jpg"
    path.write_bytes(b"old")
    cut = Response(200, {"content-type": "image/jpeg", "content-length": "99999"}, JPEG)
    with pytest.raises(APIConnectionError, match="of 99999 bytes"):
        await media(FakeSession([cut])).download_to("M", path)
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == {"a.jpg": b"old"}


async def test_a_missing_folder_is_the_callers_error(tmp_path: Path) -> None:
    """The folder of the file must exist; the answer is closed all the same."""
    session = FakeSession([answer(JPEG, content_type="image/jpeg")])
    with pytest.raises(FileWriteError, match=r"none/a\.jpg cannot be written"):
        await media(session).download_to("M", tmp_path / "none" / "a.jpg")
    assert session.streams_open == 0


# --- deleting ------------------------------------------------------------------------------------

DELETES: dict[str, tuple[Response, bool]] = {
    "deleted": (answer(None), True),
    "deleted before": (refusal(500, "ex_gen_image_delete", "M"), False),
    "unknown": (refusal(404, "ex_notfound", "media", "id", "M"), False),
}


@pytest.mark.parametrize(("response", "deleted"), DELETES.values(), ids=DELETES)
async def test_delete(response: Response, deleted: bool) -> None:
    """What is gone is gone; the result says whether this call did it."""
    assert await media(FakeSession([response])).delete("M") is deleted


async def test_an_unknown_route_is_no_deletion() -> None:
    """A 404 without a key speaks of the address, not of the media."""
    with pytest.raises(NotFoundError):
        await media(FakeSession([answer({"status": 404}, status=404)])).delete("M")


# --- dialects ------------------------------------------------------------------------------------

UNKNOWN_MEDIA = refusal(404, "ex_notfound", "media", "id", "X")
UNKNOWN_ROUTE = answer({"status": 404, "path": "/api/v1/media/X"}, status=404)


@pytest.mark.parametrize(
    ("probes", "word"),
    [([UNKNOWN_MEDIA], "media"), ([UNKNOWN_ROUTE, UNKNOWN_MEDIA], "image")],
    ids=["current", "legacy"],
)
async def test_the_dialect_is_found_out_once(probes: list[Response], word: str) -> None:
    """A random id is asked for at the first media call, and not again."""
    session = FakeSession([*probes, answer(None), answer(None)])
    resource = media(session, "auto")
    await resource.delete("M")
    await resource.delete("N")
    assert session.sent[len(probes) :] == [("DELETE", f"{word}/M"), ("DELETE", f"{word}/N")]


async def test_a_failure_to_find_out_is_not_remembered() -> None:
    """After a refused token the next call asks again."""
    session = FakeSession([refusal(403, "ex_forbidden"), UNKNOWN_MEDIA, answer(None)])
    resource = media(session, "auto")
    with pytest.raises(PermissionDeniedError):
        await resource.delete("M")
    assert await resource.delete("M") is True


async def test_a_wrong_address_is_no_old_service() -> None:
    """A host that knows neither route is said, and asked again the next time."""
    page = answer(b"<html>", status=404, content_type="text/html")
    session = FakeSession(handler=lambda _: page)
    with pytest.raises(ConfigurationError, match="base_url"):
        await media(session, "auto").download("M")


async def test_an_unknown_dialect_is_refused() -> None:
    """The three words are named."""
    with pytest.raises(ConfigurationError, match="'auto', 'media' or 'image'"):
        media(FakeSession(), "modern")  # type: ignore[arg-type]


@pytest.mark.parametrize("way", ["download", "download_to", "stream"])
async def test_what_lies_elsewhere_has_no_more_bytes_than_allowed(way: str, tmp_path: Path) -> None:
    """The error names bound and option, and no file is left."""
    url = "https://store.example/clip.mp4"
    session = FakeSession(
        [answer(url.encode(), content_type="text/plain")],
        elsewhere={url: answer(JPEG, content_type="video/mp4")},
    )
    with pytest.raises(APIResponseValidationError, match="more than 1,000 bytes; max_bytes="):
        await by(way, media(session), tmp_path / "clip.mp4", max_bytes=1_000)
    assert list(tmp_path.iterdir()) == []
    assert session.streams_open == 0


@pytest.mark.parametrize("way", ["download_to", "stream"])
async def test_what_is_announced_as_too_long_is_not_waited_for(way: str, tmp_path: Path) -> None:
    """Its length is enough: the part of it that is allowed may be gigabytes."""
    headers = {"content-type": "image/jpeg", "content-length": "1001"}
    session = FakeSession([Response(200, headers, JPEG[:10])])
    with pytest.raises(APIResponseValidationError, match="more than 1,000 bytes; max_bytes="):
        await by(way, media(session), tmp_path / "a.jpg", max_bytes=1_000)
    assert list(tmp_path.iterdir()) == []
    assert session.streams_open == 0


async def by(way: str, resource: MediaResource, path: Path, *, max_bytes: int) -> None:
    """Fetch a media in one of the ways that there are."""
    if way == "download":
        await resource.download("M", max_bytes=max_bytes)
    elif way == "download_to":
        await resource.download_to("M", path, max_bytes=max_bytes)
    else:
        async with resource.stream("M", max_bytes=max_bytes) as chunks:
            async for _ in chunks:
                pass
