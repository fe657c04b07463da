"""The values of a bulk upload: an item, what became of it, and how far the run is."""

from __future__ import annotations

import enum
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

import attrs

from datagym_async._printable import printable
from datagym_async.exceptions import ConfigurationError, ErrorDetail

if TYPE_CHECKING:
    from collections.abc import Awaitable


def is_url(text: str) -> bool:
    """Return whether a text given as a source is an address rather than a path."""
    return text[:8].lower().startswith(("http://", "https://"))


def last_part(path: str) -> str:
    """Return a file's own name."""
    return path.replace(os.sep, "/").rstrip("/").rpartition("/")[2]


def url_name(url: str) -> str:
    """Return the name under which the service keeps a link image.

    It is the last part of the path, the text between the last ``/`` and the first ``?`` (observed).
    """
    return url.partition("?")[0].rpartition("/")[2]


class Readable(Protocol):
    """A binary file object: its ``read(size)`` gives bytes, at once or when awaited."""

    def read(self, size: int, /) -> bytes | Awaitable[bytes]:
        """Return the next bytes, at most so many; none at the end."""
        ...


class Outcome(enum.StrEnum):
    """Say what became of one item; there is no fifth."""

    UPLOADED = "uploaded"
    """The dataset holds it now, and did not before this run."""
    SKIPPED = "skipped"
    """The dataset holds its name already; nothing was sent or stored."""
    REJECTED = "rejected"
    """Our own screening refused it before it was sent; the reason says why."""
    FAILED = "failed"
    """The service refused it, or could not be reached for it; the reason says why."""


def is_readable(value: object) -> bool:
    """Return whether a value is an open file rather than a path or bytes."""
    return callable(getattr(value, "read", None))


def _content(value: Any) -> str | bytes:
    if isinstance(value, str | bytes):
        return value
    if isinstance(value, bytearray | memoryview):
        return bytes(value)
    if isinstance(value, os.PathLike):
        return str(os.fspath(value))
    msg = f"An UploadItem takes a path, bytes, an open file or a URL, not {type(value).__name__}."
    raise ConfigurationError(msg)


def _default_name(content: str | bytes) -> str:
    if isinstance(content, bytes):
        msg = (
            "An UploadItem of bytes or of an open file without a path needs a name, for example "
            "UploadItem('photo.jpg', data)."
        )
        raise ConfigurationError(msg)
    return url_name(content) if is_url(content) else last_part(content)


def _brief(content: str | bytes) -> str:
    return repr(content) if isinstance(content, str) else f"<{len(content)} bytes>"


@attrs.frozen(init=False)
class UploadItem:
    """Name one image, and say where its bytes come from.

    Args:
        name: Name in the dataset, any text; None takes the last part of the path or URL. A link
            image is always named by the service, after its URL.
        content: A path, the bytes themselves, or an address that begins with ``http://`` or
            ``https://`` (a link image: the service keeps the link and not the bytes). Or an open
            binary file, whose ``read`` may be a coroutine function: it is read from where it
            stands when its turn comes, so it must stay open until its result is there, and it is
            the caller who closes it. One that cannot be rewound goes into a temporary file first,
            unless it is small.
        origin: Where the item was named, for reports (for example ``"list.txt, line 7"``).

    Raises:
        ConfigurationError: If bytes come without a name, or the content is of no such kind.
    """

    name: str
    content: str | bytes = attrs.field(repr=_brief)
    origin: str = attrs.field(default="", kw_only=True)
    file: Readable | None = attrs.field(default=None, kw_only=True, eq=False, repr=False)

    def __init__(
        self,
        name: str | None,
        content: str | bytes | bytearray | memoryview | os.PathLike[str] | Readable,
        *,
        origin: str = "",
        file: Readable | None = None,
    ) -> None:
        if is_readable(content):
            content, file = b"", cast(Readable, content)
            known = getattr(file, "name", None)
            known = last_part(known) if isinstance(known, str) else None
            name, origin = name or known, origin or known or "an open file"
        content = _content(content)
        self.__attrs_init__(
            _default_name(content) if name is None else name, content, origin=origin, file=file
        )

    @property
    def path(self) -> Path | None:
        """Return the file, or None where the item is bytes or a link."""
        return Path(self.content) if isinstance(self.content, str) and not self.url else None

    @property
    def url(self) -> str | None:
        """Return the address of a link image, or None."""
        return self.content if isinstance(self.content, str) and is_url(self.content) else None

    @property
    def data(self) -> bytes | None:
        """Return the bytes, or None where the item is a file or a link."""
        return self.content if isinstance(self.content, bytes) and self.file is None else None

    @property
    def source(self) -> str:
        """Return the path or URL, or where the bytes were named, fit for any screen."""
        return printable(self.content if isinstance(self.content, str) else self.origin)

    def without_data(self) -> UploadItem:
        """Return the item without its bytes or open file: what a report keeps of it."""
        if self.data or self.file is not None:
            return UploadItem(self.name, b"", origin=self.origin)
        return self


@attrs.frozen(kw_only=True)
class UploadResult:
    """Say what became of one item.

    Attributes:
        item: The item, as the sources named it.
        outcome: One of four.
        dataset_id: The dataset that the item was meant for.
        media_id: Id of the stored image; None unless it was uploaded, or skipped and known.
        size: Bytes of the image; None where they were not counted (links, unread files).
        seconds: Time from the item's turn to its outcome, all attempts and waits included.
        attempts: How often it was sent at least; 0 if it never was.
        reason: A sentence for every outcome but ``uploaded``.
        status: HTTP status of the service's refusal, or None.
        key: The service's error key, or empty.
        details: The service's word on single fields.
        warnings: What should be known of the image whatever became of it, in sentences.
    """

    item: UploadItem
    outcome: Outcome
    dataset_id: str
    media_id: str | None = None
    size: int | None = None
    seconds: float = 0.0
    attempts: int = 0
    reason: str = ""
    status: int | None = None
    key: str = ""
    details: tuple[ErrorDetail, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Return the item's name, fit for any screen."""
        return printable(self.item.name)

    @property
    def source(self) -> str:
        """Return where the item came from, fit for any screen."""
        return self.item.source

    @property
    def is_problem(self) -> bool:
        """Return whether somebody should look at it: rejected or failed."""
        return self.outcome in {Outcome.REJECTED, Outcome.FAILED}


@attrs.frozen(kw_only=True)
class UploadProgress:
    """Say how far a run is: a snapshot.

    Attributes:
        phase: ``"planning"`` while finite sources are read, then ``"sending"``, then ``"done"``.
        items_done: Items with an outcome.
        items_total: Items known so far; final once `total_known`.
        bytes_done: Bytes of the uploaded images.
        bytes_total: Bytes of the files found so far, less those that turned out not to be sent.
        total_known: Whether all sources are read to their end.
        uploaded: Items uploaded.
        skipped: Items the dataset held already.
        rejected: Items refused by our screening.
        failed: Items refused by the service.
        in_flight: Items being sent at this moment.
        seconds: Time since the run began.
        items_per_second: Uploaded items a second of sending, averaged over the run.
        bytes_per_second: Likewise, bytes.
        seconds_left: Estimate of the time left; None while nothing supports one.
    """

    phase: str
    items_done: int
    items_total: int
    bytes_done: int
    bytes_total: int
    total_known: bool
    uploaded: int
    skipped: int
    rejected: int
    failed: int
    in_flight: int
    seconds: float
    items_per_second: float
    bytes_per_second: float
    seconds_left: float | None
