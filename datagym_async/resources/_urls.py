"""Images by URL: screened, each sent once, in batches, answers matched by URL."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, TypeAlias
from urllib.parse import urlsplit

import attrs

from datagym_async._wire import _routes as routes
from datagym_async._wire._messages import Request
from datagym_async.exceptions import APIError, ConfigurationError, InternalServerError
from datagym_async.models import UrlResult, UrlStatus

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


DEFAULT_BATCH = 50
MAX_BATCH = 500
"""URLs in one request: 500 were observed to be stored, in 0.74 s."""
MAX_URL_LENGTH = 1256
MAX_URL_NAME_LENGTH = 255
"""Longer URLs, and longer last parts, make the service refuse the whole batch (observed)."""
_SUFFIXES = frozenset({"jpg", "jpeg", "png"})
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")


Send: TypeAlias = Callable[[Request], Awaitable[tuple[UrlResult, ...]]]
"""Sends the request of one batch, and returns what the service says of its URLs."""


@attrs.define
class UrlBatches:
    """The URLs of one call and what is known of each.

    Args:
        urls: All URLs in the order given, repetitions included.
        batch_size: URLs in one request.
        results: What is known of each URL.
    """

    urls: Sequence[str]
    batch_size: int
    results: dict[str, UrlResult]

    @classmethod
    def of(cls, urls: Iterable[str], batch_size: int) -> UrlBatches:
        """Return the URLs, screened.

        Raises:
            ConfigurationError: `batch_size` is out of range, or `urls` is no list of texts.
        """
        if not 1 <= batch_size <= MAX_BATCH:
            raise ConfigurationError(
                f"batch_size is {batch_size}; the service takes 1 to {MAX_BATCH} URLs at once"
            )
        if isinstance(urls, str):
            raise ConfigurationError("urls is a single text; pass a list of URLs")
        given = list(urls)
        for index, url in enumerate(given):
            if not isinstance(url, str):
                raise ConfigurationError(f"urls[{index}] is no text; pass a list of URLs")
        screened = ((url, screen_for_batch(url)) for url in dict.fromkeys(given))
        refused = {
            url: UrlResult(url, UrlStatus.FAILED, reason=reason)
            for url, reason in screened
            if reason
        }
        return cls(given, batch_size, refused)

    def __len__(self) -> int:
        """Return how many URLs are still to be sent."""
        return len(set(self.urls) - self.results.keys())

    async def send(
        self, send: Send, dataset_id: str, *, dialect: routes.Dialect
    ) -> list[UrlResult]:
        """Send what is not refused; return one result for each URL, in the order given.

        Raises:
            APIError: A batch failed; a note says how many URLs were answered before.
        """
        for batch in self._batches():
            done = len(self.results)
            try:
                await self._send(send, dataset_id, batch, dialect)
            except APIError as error:
                error.add_note(f"{done} of {len(set(self.urls))} URLs had been dealt with before")
                raise
        return [self.results[url] for url in self.urls]

    async def _send(
        self, send: Send, dataset_id: str, batch: Sequence[str], dialect: routes.Dialect
    ) -> None:
        """Send a batch; one that the service rolls back is halved until the culprit is alone."""
        request = routes.upload_urls(dataset_id, batch, dialect=dialect)
        try:
            answer = await send(request)
        except InternalServerError as error:
            if error.key != "ex_system":
                raise
            if len(batch) == 1:
                self.results[batch[0]] = UrlResult(batch[0], UrlStatus.FAILED, reason=str(error))
                return
            middle = len(batch) // 2
            await self._send(send, dataset_id, batch[:middle], dialect)
            await self._send(send, dataset_id, batch[middle:], dialect)
        else:
            self.results.update(_matched(batch, answer))

    def _batches(self) -> Iterator[list[str]]:
        todo = [url for url in dict.fromkeys(self.urls) if url not in self.results]
        for start in range(0, len(todo), self.batch_size):
            yield todo[start : start + self.batch_size]


def screen(url: str) -> str | None:
    """Return why the service would refuse a URL, or could never fetch it, or None.

    It stores links without a look at what they lead to, by their text alone: what stands behind the
    last dot must be jpg, jpeg or png, to the very end (observed).
    """
    if reason := screen_for_batch(url):
        return reason
    if scheme := foreign_scheme(url):
        return f"Its scheme is {scheme}; the service fetches images by http and https alone"
    try:
        parts = urlsplit(url)
        has_host = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        has_host = False
    if not has_host:
        return "It names no host, or no port, that can be asked"
    if url.rpartition(".")[2].lower() not in _SUFFIXES:
        return (
            "It does not end in .jpg, .jpeg or .png, which is all that the service looks at"
            " (nothing may follow, neither a query nor a fragment)"
        )
    return None


def foreign_scheme(text: str) -> str:
    """Return the scheme of an address that is neither http nor https, or an empty text."""
    found = _SCHEME.match(text)
    scheme = found[1].lower() if found else ""
    return "" if scheme in {"http", "https"} else scheme


def screen_for_batch(url: str) -> str | None:
    """Return why the service could not store a URL, which would fail its whole batch, or None."""
    if any("\ud800" <= character <= "\udfff" for character in url):
        return "It holds characters that are no text"
    if len(url) > MAX_URL_LENGTH:
        return f"It has {len(url)} characters; the service stores at most {MAX_URL_LENGTH}"
    name = url.partition("?")[0].rpartition("/")[2]
    if len(name) > MAX_URL_NAME_LENGTH:
        return (
            f"Its last part has {len(name)} characters; the service stores at most"
            f" {MAX_URL_NAME_LENGTH}"
        )
    return None


def _matched(batch: Sequence[str], answer: Iterable[UrlResult]) -> Iterator[tuple[str, UrlResult]]:
    """Give each URL its result: the service answers a set, in any order."""
    by_url = {result.url: result for result in answer}
    for url in batch:
        missing = UrlResult(url, UrlStatus.UNKNOWN, reason="The service's answer leaves it out")
        yield url, by_url.get(url, missing)
