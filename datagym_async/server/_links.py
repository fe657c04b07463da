"""Link images: fetched on each request, decoded, and encoded again, as the service does.

A link that is wrong (unknown host, not found, not an image) is the caller's matter to mark as
such; a link that only fails (refused, TLS, cut off, too large) is not.

Links come from whoever has a token, and are fetched from inside this machine's network. So by
default only public and loopback addresses are asked: each address that a name resolves to is looked
at before it is connected to, on each hop of a redirect anew. Size and pixels are bounded before
anything is decoded: a PNG of half a megabyte can hold a gigabyte of pixels.
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
from datagym_async.server._errors import refuse, refuse_data
from datagym_async.server._images import ACCEPTED, sniff

FetchLinks = Literal["public", "any", "local", "never"]

# 64 million pixels, the largest of today's cameras; 256 MB when they are decoded.
MAX_PIXELS: Final = 64_000_000

_TIMEOUT: Final = aiohttp.ClientTimeout(total=30, connect=10)
_REDIRECTS: Final = 5
# Bytes of a link image; beyond it a link counts as failing.
_LARGEST: Final = 64 * 1024 * 1024
# Link images in memory at once.
_AT_ONCE: Final = 4
# What a Java service writes when it is asked for nothing better.
_JPEG_QUALITY: Final = 75

_UNICAST: Final = ipaddress.IPv6Network("2000::/3")
_EXAMPLES: Final = ipaddress.IPv6Network("3fff::/20")
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@attrs.frozen
class LinkImages:
    """Fetches link images; made by `LinkImages.open`. Which addresses are asked says `Server`."""

    policy: FetchLinks
    _session: aiohttp.ClientSession
    _gate: asyncio.Semaphore = attrs.field(factory=lambda: asyncio.Semaphore(_AT_ONCE))
    # Decoding takes a processor for itself and up to 256 MB: one image after the other.
    _decoder: asyncio.Lock = attrs.field(factory=asyncio.Lock)

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls, policy: FetchLinks) -> AsyncIterator[Self]:
        """Open the connections for the length of the block."""
        resolver = _GuardedResolver(policy, aiohttp.DefaultResolver())
        async with aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(resolver=resolver),
            cookie_jar=aiohttp.DummyCookieJar(),
            # A compressed body is no image, and never grows in memory.
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
            # ValueError: what is no address, be it the link's own or that of a redirect.
            raise _wrong(url) from None
        except (aiohttp.ClientError, TimeoutError, OSError):
            pass
        raise refuse("ex_gen_file_stream")

    def _check(self, target: URL, url: str) -> None:
        """Refuse a scheme that is not fetched, and an address that the policy leaves out."""
        if target.scheme == "file":
            # Files of this machine are not served.
            raise _wrong(url)
        if target.scheme not in ("http", "https"):
            raise refuse("ex_gen_file_stream")
        host = target.host or ""
        address: Address | None = None
        # The HTTP library connects to such a host without asking a resolver. ValueError: a number
        # that only some systems take for an address, 2130706433 or 127.1.
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
    """Resolves names to addresses that the policy allows; a name with any other is unknown."""

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
    """Return whether an address belongs to the public internet, and to one host there."""
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
    # By its class: `Image.open` warns of many pixels, and cannot be told how many are too many.
    kind = JpegImageFile if mime == "image/jpeg" else PngImageFile
    try:
        with kind(io.BytesIO(content)) as image:
            if image.width * image.height > MAX_PIXELS:
                raise refuse("ex_gen_file_stream")
            # A PNG has no quality, and is not asked for any.
            image.save(target, image.format, quality=_JPEG_QUALITY)
    except (OSError, ValueError, SyntaxError):
        raise refuse("ex_gen_file_stream") from None
    return target.getvalue()
