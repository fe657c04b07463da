"""Link images: fetched when somebody looks at them, decoded, and encoded anew, as the service does.

A link that is wrong (unknown host, not found, not an image) is the caller's matter to mark as
such; a link that only fails (refused, TLS, cut off) is not.
"""

import io
import ipaddress
from typing import Final

import aiohttp
from PIL import Image
from yarl import URL

from ._errors import refuse, refuse_data
from ._image_headers import ACCEPTED, sniff
from ._service import FetchLinks, Service
from ._threads import in_thread

__all__ = ["fetch_image"]

_TIMEOUT: Final = aiohttp.ClientTimeout(total=30, connect=10)
_REDIRECTS: Final = 5
# Beyond it a link counts as failing: one look at a link must not take all memory.
_LARGEST: Final = 64 * 1024 * 1024
_FORMATS: Final = {"image/jpeg": "JPEG", "image/png": "PNG"}
# What a Java service writes when it is asked for nothing better.
_JPEG_QUALITY: Final = 75


async def fetch_image(service: Service, url: str) -> tuple[str, bytes]:
    """Return the MIME type and the newly encoded bytes of a link image.

    Raises:
        Refusal: 400 for a link that is wrong, 500 `ex_gen_file_stream` for one that fails.
    """
    async with service.link_gate:
        content = await _fetch(service, url)
        mime = sniff(content[:512])
        if mime not in _FORMATS:
            raise refuse_data("ex_val_bin_mime", mime, ACCEPTED)
        return mime, await in_thread(_encode_anew, content, _FORMATS[mime])


async def _fetch(service: Service, url: str) -> bytes:
    try:
        return await _follow(service, url)
    except (aiohttp.ClientConnectorDNSError, aiohttp.InvalidURL):
        raise _wrong(url) from None
    except (aiohttp.ClientError, TimeoutError, OSError):
        raise refuse("ex_gen_file_stream") from None


async def _follow(service: Service, url: str) -> bytes:
    target = _parse(url)
    for _ in range(_REDIRECTS + 1):
        _check(target, url, service.settings.fetch_links)
        async with service.links.get(target, timeout=_TIMEOUT, allow_redirects=False) as response:
            if response.status in (404, 410):
                raise _wrong(url)
            if response.status >= 400:
                raise refuse("ex_gen_file_stream")
            if response.status < 300:
                return await _read(response)
            target = target.join(URL(response.headers.get("Location", "")))
    raise refuse("ex_gen_file_stream")


def _parse(url: str) -> URL:
    try:
        return URL(url.strip())
    except ValueError:
        raise _wrong(url) from None


def _check(target: URL, url: str, policy: FetchLinks) -> None:
    if target.scheme == "file":
        # The files of this machine are nobody's business.
        raise _wrong(url)
    if target.scheme not in ("http", "https"):
        raise refuse("ex_gen_file_stream")
    if policy == "never" or (policy == "local" and not _is_local(target.host or "")):
        raise _wrong(url)


def _is_local(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_private
    except ValueError:
        return False


async def _read(response: aiohttp.ClientResponse) -> bytes:
    content = bytearray()
    async for piece in response.content.iter_any():
        content += piece
        if len(content) > _LARGEST:
            raise refuse("ex_gen_file_stream")
    return bytes(content)


def _wrong(url: str) -> Exception:
    return refuse_data("Invalid image url", url)


def _encode_anew(content: bytes, kind: str) -> bytes:
    target = io.BytesIO()
    try:
        with Image.open(io.BytesIO(content), formats=[kind]) as image:
            if kind == "JPEG":
                image.save(target, kind, quality=_JPEG_QUALITY)
            else:
                image.save(target, kind)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError, Warning):
        raise refuse("ex_gen_file_stream") from None
    return target.getvalue()
