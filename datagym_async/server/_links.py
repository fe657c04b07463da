"""Link images: fetched on each request, decoded, and encoded again, as the service does.

A wrong link (unknown host, not found, not an image) has another error than one that only fails
(refused, TLS, cut off, too large).

Links come from anybody who has a token, and are fetched from inside this machine's network. So by
default only public and loopback addresses are allowed: each address of a name is checked before
connecting, for each hop of a redirect. Size and pixels are limited before decoding: a PNG of half a
megabyte can contain a gigabyte of pixels.
"""

import asyncio
import contextlib
import io
import ipaddress
import socket
from collections.abc import AsyncIterator
from typing import Final, Literal, Self

import aiohttp
import attrs
from aiohttp.abc import AbstractResolver, ResolveResult
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from yarl import URL

from datagym_async._threads import in_thread
from datagym_async.server._answers import refuse, refuse_data
from datagym_async.server._files import ACCEPTED, sniff

FetchLinks = Literal["public", "any", "local", "never"]

# 64 million pixels, the largest of today's cameras; 256 MB when they are decoded.
MAX_PIXELS: Final = 64_000_000

_TIMEOUT: Final = aiohttp.ClientTimeout(total=30, connect=10)
_REDIRECTS: Final = 5
# Bytes of a link image; a larger one fails.
_LARGEST: Final = 64 * 1024 * 1024
# Link images in memory at once.
_AT_ONCE: Final = 4
# The default of Java.
_JPEG_QUALITY: Final = 75

_UNICAST: Final = ipaddress.IPv6Network("2000::/3")
_EXAMPLES: Final = ipaddress.IPv6Network("3fff::/20")
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@attrs.frozen
class LinkImages:
    """Fetches link images; made by `LinkImages.open`. `Server` explains the policies."""

    policy: FetchLinks
    _session: aiohttp.ClientSession
    _gate: asyncio.Semaphore = attrs.field(factory=lambda: asyncio.Semaphore(_AT_ONCE))
    # Decoding takes a whole processor and up to 256 MB: one image at a time.
    _decoder: asyncio.Lock = attrs.field(factory=asyncio.Lock)

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls, policy: FetchLinks) -> AsyncIterator[Self]:
        resolver = _GuardedResolver(policy, aiohttp.DefaultResolver())
        async with aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(resolver=resolver),
            cookie_jar=aiohttp.DummyCookieJar(),
            # A compressed body is no image, and must not grow in memory.
            headers={"Accept-Encoding": "identity"},
            auto_decompress=False,
        ) as session:
            yield cls(policy, session)

    async def fetch(self, url: str) -> tuple[str, bytes]:
        """Return the MIME type and the newly encoded bytes of a link image.

        A link that is wrong is refused with 400, one that fails with 500 `ex_gen_file_stream`.
        """
        async with self._gate:
            content = await self._get(url)
            mime = sniff(content[:512])
            if mime not in ("image/jpeg", "image/png"):
                raise refuse_data("ex_val_bin_mime", mime, ACCEPTED)
            async with self._decoder:
                return mime, await in_thread(_encode_anew, content, mime)

    async def _get(self, url: str) -> bytes:
        try:
            target = URL(url.strip())
            for _ in range(_REDIRECTS + 1):
                self._check(target, url)
                async with self._session.get(
                    target, timeout=_TIMEOUT, allow_redirects=False
                ) as response:
                    if response.status in (404, 410):
                        raise _wrong(url)
                    if response.status >= 400:
                        break
                    if response.status < 300:
                        content = bytearray()
                        async for piece in response.content.iter_any():
                            content += piece
                            if len(content) > _LARGEST:
                                raise refuse("ex_gen_file_stream")
                        return bytes(content)
                    target = target.join(URL(response.headers.get("Location", "")))
        except (aiohttp.ClientConnectorDNSError, ValueError):
            # ValueError: the link, or the target of a redirect, is no address.
            raise _wrong(url) from None
        except (aiohttp.ClientError, TimeoutError, OSError):
            pass
        raise refuse("ex_gen_file_stream")

    def _check(self, target: URL, url: str) -> None:
        """Refuse a scheme or an address that is not allowed."""
        if target.scheme == "file":
            raise _wrong(url)
        if target.scheme not in ("http", "https"):
            raise refuse("ex_gen_file_stream")
        host = target.host or ""
        address: Address | None = None
        # The HTTP library does not resolve such a host. ValueError: a number that only some systems
        # read as an address, such as 2130706433 or 127.1.
        if ":" in host or host.replace(".", "").isdigit():
            address = ipaddress.ip_address(host.partition("%")[0])
        is_local = host == "localhost" or (address is not None and address.is_private)
        if (
            self.policy == "never"
            or (self.policy == "local" and not is_local)
            or (address is not None and not _may_ask(self.policy, address))
        ):
            raise _wrong(url)


@attrs.frozen
class _GuardedResolver(AbstractResolver):
    """Resolves names whose addresses are all allowed by the policy."""

    _policy: FetchLinks
    _inner: AbstractResolver

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await self._inner.resolve(host, port, family)
        for result in found:
            if not _may_ask(self._policy, ipaddress.ip_address(result["host"].partition("%")[0])):
                raise OSError("The host has an address that is not asked.")
        return found

    async def close(self) -> None:
        await self._inner.close()


def _may_ask(policy: FetchLinks, address: Address) -> bool:
    return policy != "public" or address.is_loopback or is_public(address)


def is_public(address: Address) -> bool:
    """Return whether an address belongs to one host of the public internet."""
    if isinstance(address, ipaddress.IPv4Address):
        return address.is_global and not address.is_multicast
    inside = address.ipv4_mapped or address.sixtofour
    if address in _NAT64:
        inside = ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    if inside is not None:
        return is_public(inside)
    return address.is_global and address in _UNICAST and address not in _EXAMPLES


def _wrong(url: str) -> Exception:
    return refuse_data("Invalid image url", url)


def _encode_anew(content: bytes, mime: str) -> bytes:
    target = io.BytesIO()
    # Not by `Image.open`, whose limit of pixels cannot be set.
    kind = JpegImageFile if mime == "image/jpeg" else PngImageFile
    try:
        with kind(io.BytesIO(content)) as image:
            if image.width * image.height > MAX_PIXELS:
                raise refuse("ex_gen_file_stream")
            image.save(target, image.format, quality=_JPEG_QUALITY)
    except (OSError, ValueError, SyntaxError):
        raise refuse("ex_gen_file_stream") from None
    return target.getvalue()
