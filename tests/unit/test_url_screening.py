"""Which URLs are refused before they are sent, as a real service was seen to treat them."""

from __future__ import annotations

import pytest

from datagym_async.resources._links import foreign_scheme, screen_for_batch, screen_url

HOST = "http://photos.example"
LONG_NAME = "n" * 251 + ".jpg"


@pytest.mark.parametrize(
    "url",
    [
        f"{HOST}/a1.jpg",
        f"{HOST}/A1.JPG",
        f"{HOST}/f.jpeg",
        f"{HOST}/d.png",
        f"{HOST}/img?name=c2.jpg",
        f"{HOST}/a b.jpg",
        f"{HOST}/a%20b%C3%A4.jpg",
        f"{HOST}/日本.jpg",
        f"{HOST}/.jpg",
        f"{HOST}:1/x.jpg",
        "https://[2001:db8::1]:8443/x.jpg",
        "HTTPS://user@photos.example/x.png",
        f"{HOST}/{LONG_NAME}",
        f"{HOST}/" + "d/" * 610 + "x" * 10 + ".jpg",
    ],
)
def test_what_the_service_takes_is_never_refused(url: str) -> None:
    """Odd as they look, each was stored."""
    assert screen_url(url) is None


@pytest.mark.parametrize(
    ("url", "words"),
    [
        (f"{HOST}/c.jpg?x=1&y=2", "does not end in .jpg, .jpeg or .png"),
        (f"{HOST}/fr.jpg#x", "does not end in .jpg"),
        (f"{HOST}/e.gif", "does not end in .jpg"),
        (f"{HOST}/noext", "does not end in .jpg"),
        ("gopher://x/x.jpg", "scheme is gopher"),
        ("ftp://127.0.0.1/x.jpg", "only by http and https"),
        (f"{HOST}:port/x.jpg", "host or port is invalid"),
        (f"{HOST}:99999/x.jpg", "host or port is invalid"),
        ("http:///x.jpg", "host or port is invalid"),
        ("http://[::1/x.jpg", "host or port is invalid"),
        (f"{HOST}/n{LONG_NAME}", "last part has 256 characters"),
        (f"{HOST}/" + "d/" * 630 + "x.jpg", "at most 1256"),
        (f"{HOST}/\ud800.jpg", "invalid Unicode"),
        ("", "host or port is invalid"),
    ],
)
def test_what_the_service_refuses_or_cannot_fetch_is_refused(url: str, words: str) -> None:
    """The reason names the rule."""
    assert words in (screen_url(url) or "")


def test_only_what_fails_its_batch_is_kept_from_the_route() -> None:
    """A single call leaves the rest to the service's own word."""
    assert screen_for_batch(f"{HOST}/e.gif") is None
    assert screen_for_batch(f"{HOST}/n{LONG_NAME}") is not None


@pytest.mark.parametrize(
    ("text", "scheme"),
    [("s3://bucket/a.jpg", "s3"), ("HTTP://h/a.jpg", ""), ("C:/a.jpg", ""), ("a.jpg", "")],
)
def test_a_foreign_scheme_is_told_from_a_path(text: str, scheme: str) -> None:
    """A path is no address, whatever colons it holds."""
    assert scheme == foreign_scheme(text)
