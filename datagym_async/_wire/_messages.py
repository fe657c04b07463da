"""The two things that travel: a request, described without I/O, and the answer to it."""

from __future__ import annotations

import enum
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from types import MappingProxyType
from typing import Final

import attrs

JSON_TYPE = "application/json"
# Explicit, because a form type would make the service's login filter swallow the body.
BINARY_TYPE = "application/octet-stream"
MAX_ERROR: Final = 1 << 20
"""Bytes of an answer with an error that are read; they count unpacked, as all of these do."""
MAX_VALUE: Final = 64 << 20
"""Bytes of an answer that is read whole, unless its request says otherwise."""
MAX_DOCUMENT: Final = 256 << 20
"""Bytes of a whole export or listing, which is large by its nature; in parts it has no bound."""
MAX_IN_MEMORY: Final = 1 << 30
"""Bytes of a media in memory, unless the caller says otherwise."""
MAX_BITMAP: Final = 1_000_000_000
"""Bytes of a bitmap, and about as many pixels."""
MAX_IN_PIECES: Final = 16 << 30
"""Bytes of a media that is read piece by piece, or of an export on its way to a file."""
_NONE: Final[Mapping[str, str]] = MappingProxyType({})


class Replay(enum.Enum):
    """Say what a lost answer to a request allows: the columns of the retry table (see `_retry`)."""

    SAFE = "safe"
    """Reads, and writes that are safe to repeat."""
    SETTLE = "settle"
    """File upload and dataset creation: look whether it was done before it is sent again."""
    NEVER = "never"
    """Appended predictions, created values: the outcome stays unknown."""


class Lane(enum.StrEnum):
    """Name the bound on concurrency that a request counts against (see `_limits`)."""

    CALL = "call"
    UPLOAD = "upload"
    DOWNLOAD = "download"


@attrs.define  # to make a frozen one takes three times as long, for each of many requests
class Body:
    """A recipe for a request body: opened again for each attempt, never an open stream.

    It is never changed once it is made.

    Args:
        size: Length in bytes; it is sent as Content-Length and must be what `open` yields.
        content_type: MIME type; never a form type.
        open: Gives an async context manager over the chunks (bytes) of one attempt.
        data: The whole body, where it is in memory; `open` is then not used.
        again: Makes the same body in another process, and can be pickled; None where it lies in
            the memory of this one.
    """

    size: int
    content_type: str = BINARY_TYPE
    open: Callable[[], AbstractAsyncContextManager[AsyncIterator[bytes]]] | None = None
    data: bytes | None = attrs.field(default=None, repr=False)
    again: Callable[[], Body] | None = attrs.field(default=None, eq=False)

    @classmethod
    def of_bytes(cls, data: bytes, *, content_type: str = BINARY_TYPE) -> Body:
        """Return a body that is in memory already."""
        return cls(size=len(data), content_type=content_type, data=data)


@attrs.define  # as above
class Request:
    """One call to the service, without host, token and attempt; never changed once it is made.

    Args:
        method: HTTP method.
        path: Path below ``api/v1/``, quoted, without query.
        query: Query parameters, unquoted.
        headers: Headers of this call alone.
        body: The body's recipe, or None.
        replay: What a lost answer allows.
        lane: The bound on concurrency it counts against.
        max_bytes: Bytes of an answer that is read whole, unpacked.
        gives_bytes: Whether a good answer is an image or a video, to be taken byte for byte.
    """

    method: str
    path: str
    query: Mapping[str, str] = _NONE
    headers: Mapping[str, str] = _NONE
    body: Body | None = None
    replay: Replay = Replay.SAFE
    lane: Lane = Lane.CALL
    max_bytes: int = MAX_VALUE
    gives_bytes: bool = False


@attrs.define
class Response:
    """A whole answer; never changed once it is made.

    Args:
        status: HTTP status.
        headers: Header fields, to be asked for by names in lower case.
        body: The body, read to its end.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes = attrs.field(repr=False)

    @property
    def content_type(self) -> str:
        """Return the MIME type without its parameters, in lower case; empty if none was sent."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()
