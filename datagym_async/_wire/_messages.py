"""Requests and answers as values, without I/O."""

from __future__ import annotations

import enum
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

import attrs

if TYPE_CHECKING:
    from datagym_async._wire._pages import Pages  # noqa: TC004 -- nobody asks attrs for the type

JSON_TYPE = "application/json"
# Explicit, because a form type would make the service's login filter swallow the body.
BINARY_TYPE = "application/octet-stream"
MAX_ERROR: Final = 1 << 20  # bytes of an answer with an error (unpacked, as all of these)
MAX_VALUE: Final = 64 << 20  # bytes of an answer that is read whole, by default
MAX_DOCUMENT: Final = 256 << 20  # bytes of a whole export or listing; read in parts it has no bound
MAX_IN_MEMORY: Final = 1 << 30  # bytes of a media in memory, by default
MAX_BITMAP: Final = 1_000_000_000  # bytes of a bitmap, and about as many pixels
MAX_IN_PIECES: Final = 16 << 30  # bytes of a media in pieces, or of an export into a file
NONE: Final[Mapping[str, str]] = MappingProxyType({})


class Replay(enum.Enum):
    """What may be done after a lost answer: the columns of the retry table (see `_retry`)."""

    SAFE = "safe"
    """Reads, and writes that are safe to repeat."""
    SETTLE = "settle"
    """File upload and dataset creation: look up whether it was done before sending it again."""
    NEVER = "never"
    """Appended predictions, created values: the outcome stays unknown."""


class Lane(enum.StrEnum):
    """The limit of requests in flight that a request counts for (see `_limits`)."""

    CALL = "call"
    UPLOAD = "upload"
    DOWNLOAD = "download"


@attrs.define  # never changed; making a frozen one takes three times as long
class Body:
    """A recipe for a request body: opened again for each attempt, never an open stream."""

    size: int  # in bytes; sent as Content-Length
    content_type: str = BINARY_TYPE  # never a form type
    open: Callable[[], AbstractAsyncContextManager[AsyncIterator[bytes]]] | None = None
    """Returns a context manager over the chunks of one attempt."""
    data: bytes | None = attrs.field(default=None, repr=False)
    """The whole body if it is in memory; `open` is then not used."""
    again: Callable[[], Body] | None = attrs.field(default=None, eq=False)
    """Makes the same body in another process, and can be pickled; None if it is in memory."""
    pages: Pages | None = attrs.field(default=None, repr=False)
    """The whole body for one attempt, as long as there are `left`; after that `open` is used."""

    @property
    def is_at_hand(self) -> bool:
        """Return whether it can be sent at once, without waiting for its source."""
        return self.open is None or (self.pages is not None and self.pages.left > 0)

    @classmethod
    def of_bytes(cls, data: bytes, *, content_type: str = BINARY_TYPE) -> Body:
        # By position, since this is called for each file: a name makes a dict for the call.
        return cls(len(data), content_type, None, data)


@attrs.define  # as above
class Request:
    """One call to the service, without host, token and attempt."""

    method: str
    path: str  # below ``api/v1/``, quoted, without query
    query: Mapping[str, str] = NONE  # unquoted
    headers: Mapping[str, str] = NONE  # of this call alone
    body: Body | None = None
    replay: Replay = Replay.SAFE
    lane: Lane = Lane.CALL
    max_bytes: int = MAX_VALUE  # of an answer that is read whole, unpacked
    gives_bytes: bool = False  # whether a good answer is an image or a video, byte for byte


@attrs.define
class Response:
    """A whole answer; never changed."""

    status: int
    headers: Mapping[str, str]  # by names in lower case
    body: bytes = attrs.field(repr=False)

    @property
    def content_type(self) -> str:
        """Return the MIME type without its parameters, in lower case; empty if none was sent."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()
