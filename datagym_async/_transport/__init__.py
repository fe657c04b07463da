"""The aiohttp adapter: the only place of the client that touches aiohttp.

`Transport` is the seam: one method that sends a request once and returns the whole answer, one that
hands over the open one, one that fetches a foreign URL without credentials. `AiohttpTransport` is
the real one; how long it waits for the other side is bounded in `_deadlines`. `LinkProber`
asks addresses of anybody's choice whether an image is there, `LinkFetcher` fetches it; which
addresses they and pre-signed URLs may ask, and how, is said once, in `_foreign`. Errors of
aiohttp and of the system become `APIConnectionError` or `APITimeoutError` in `_failures`, and
nowhere else; they are raised free of causes, because aiohttp's own errors hold the headers of the
request, and so the token.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from datagym_async._public import when_asked

if TYPE_CHECKING:
    from datagym_async._transport._aiohttp import AiohttpTransport
    from datagym_async._transport._base import StreamedResponse, Transport
    from datagym_async._transport._deadlines import Deadline, Deadlines
    from datagym_async._transport._foreign import LinkError
    from datagym_async._transport._links import LinkFetcher, LinkProber
    from datagym_async._transport._options import Timeout, check_base_url, check_token
else:
    __getattr__, __dir__ = when_asked(
        __name__,
        _aiohttp="AiohttpTransport",
        _base="StreamedResponse Transport",
        _deadlines="Deadline Deadlines",
        _foreign="LinkError",
        _links="LinkFetcher LinkProber",
        _options="Timeout check_base_url check_token",
    )

__all__ = [
    "AiohttpTransport",
    "Deadline",
    "Deadlines",
    "LinkError",
    "LinkFetcher",
    "LinkProber",
    "StreamedResponse",
    "Timeout",
    "Transport",
    "check_base_url",
    "check_token",
]
