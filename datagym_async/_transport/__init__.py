"""The aiohttp adapter: the only place of the client that touches aiohttp; in reading order.

- `_base`: what the client needs. A `Transport` sends a request once and returns the whole answer,
  or the open one, or fetches a foreign URL without credentials. Errors of aiohttp and of the system
  become ours, free of causes, because aiohttp's own errors hold the headers of the request, and so
  the token. How long the other side is waited for is watched by one timer.
- `_options`: address, token and time limits, checked before they are used.
- `_aiohttp`: `AiohttpTransport`, the real one.
- `_direct`: the fast path: a request on a connection of aiohttp, without its session around it.
- `_connections`: bodies on their way out, and connections that take one answer for each request.
- `_foreign`: which addresses links and pre-signed URLs may lead to, and how they are asked.
"""

# ruff: noqa: F401 -- what a package of ours alone imports is what it exports

from __future__ import annotations

from typing import TYPE_CHECKING

from datagym_async._public import when_asked

if TYPE_CHECKING:
    from datagym_async._transport._aiohttp import AiohttpTransport
    from datagym_async._transport._base import (
        FAILURES,
        Deadline,
        Deadlines,
        StreamedResponse,
        Transport,
        translate,
    )
    from datagym_async._transport._foreign import (
        ForbiddenAddressError,
        GuardedSession,
        LinkError,
        LinkFetcher,
        LinkProber,
        PublicResolver,
        Redirect,
        check_public,
    )
    from datagym_async._transport._options import (
        Auth,
        CallersSession,
        Timeout,
        check_base_url,
        check_kind,
        check_session,
        check_token,
        is_host,
        proxy_for,
        tls_context,
    )
else:
    __getattr__, __dir__, _ = when_asked(
        __name__,
        _aiohttp="AiohttpTransport",
        _base="Deadline Deadlines FAILURES StreamedResponse Transport translate",
        _foreign="ForbiddenAddressError GuardedSession LinkError LinkFetcher LinkProber"
        " PublicResolver Redirect check_public",
        _options="Auth CallersSession Timeout check_base_url check_kind check_session check_token"
        " is_host proxy_for tls_context",
    )
