"""Images by URL: what the service would refuse is told before, the rest is sent in batches."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Sequence
from urllib.parse import urlsplit

from datagym_async.exceptions import APIError, ConfigurationError, InternalServerError
from datagym_async.models import UrlResult, UrlStatus

DEFAULT_BATCH = 50
MAX_BATCH = 500  # URLs in one request: 500 were observed to be stored, in 0.74 s
MAX_URL_LENGTH = 1256
MAX_URL_NAME_LENGTH = 255
"""Longer URLs, and longer last parts, make the service refuse the whole batch (observed)."""
_SUFFIXES = frozenset({"jpg", "jpeg", "png"})  # what follows the last dot (observed)
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")


async def upload_in_batches(
    urls: Iterable[str],
    batch_size: int,
    send: Callable[[Sequence[str]], Awaitable[tuple[UrlResult, ...]]],
) -> list[UrlResult]:
    """Send those URLs that can be stored; return a result for each given one, in order."""
    if not 1 <= batch_size <= MAX_BATCH:
        raise ConfigurationError(
            f"batch_size is {batch_size}; the service takes 1 to {MAX_BATCH} URLs at once"
        )
    if isinstance(urls, str):
        raise ConfigurationError("urls is a single text; pass a list of URLs")
    given = list(urls)
    for index, url in enumerate(given):
        if not isinstance(url, str):
            raise ConfigurationError(f"urls[{index}] is not a text; pass a list of URLs")

    # A URL that would make its whole batch fail is not sent.
    results = {
        url: UrlResult(url, UrlStatus.FAILED, reason=reason)
        for url in dict.fromkeys(given)
        if (reason := screen_for_batch(url))
    }
    todo = [url for url in dict.fromkeys(given) if url not in results]
    waiting = [todo[start : start + batch_size] for start in range(0, len(todo), batch_size)]
    waiting.reverse()
    while waiting:
        batch = waiting.pop()
        try:
            answer = {result.url: result for result in await send(batch)}
        except APIError as error:
            if not (isinstance(error, InternalServerError) and error.key == "ex_system"):
                done = f"{len(results)} of {len(set(given))} URLs"
                error.add_note(f"{done} were done before")
                raise  # else the service has rolled all of it back
            if len(batch) == 1:
                results[batch[0]] = UrlResult(batch[0], UrlStatus.FAILED, reason=str(error))
            else:  # it is halved until the bad URL is alone
                middle = len(batch) // 2
                waiting += [batch[middle:], batch[:middle]]
            continue
        for url in batch:
            missing = UrlResult(
                url, UrlStatus.UNKNOWN, reason="The service's answer does not mention it"
            )
            results[url] = answer.get(url, missing)
    return [results[url] for url in given]


def screen_url(url: str) -> str | None:
    """Return why the service would refuse a URL, or could never fetch it, or None."""
    if reason := screen_for_batch(url):
        return reason
    if scheme := foreign_scheme(url):
        return f"Its scheme is {scheme}; the service fetches images only by http and https"
    try:
        parts = urlsplit(url)
        has_host = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        has_host = False
    if not has_host:
        return "Its host or port is invalid"
    if url.rpartition(".")[2].lower() not in _SUFFIXES:
        return (
            "It does not end in .jpg, .jpeg or .png, which is all that the service accepts"
            " (no query or fragment may follow)"
        )
    return None


def foreign_scheme(text: str) -> str:
    """Return the scheme of an address that is neither http nor https, or an empty text."""
    found = _SCHEME.match(text)
    scheme = found[1].lower() if found else ""
    return "" if scheme in {"http", "https"} else scheme


def screen_for_batch(url: str) -> str | None:
    """Return why a URL would make its whole batch fail, or None."""
    if any("\ud800" <= character <= "\udfff" for character in url):
        return "It contains invalid Unicode"
    if len(url) > MAX_URL_LENGTH:
        return f"It has {len(url)} characters; the service stores at most {MAX_URL_LENGTH}"
    name = url.partition("?")[0].rpartition("/")[2]
    if len(name) > MAX_URL_NAME_LENGTH:
        return (
            f"Its last part has {len(name)} characters; the service stores at most"
            f" {MAX_URL_NAME_LENGTH}"
        )
    return None
