"""The values of an upload: an item and its result; progress, report and events of a run."""

from __future__ import annotations

import enum
import os
from collections.abc import Awaitable
from pathlib import Path
from typing import Any, ClassVar, Final, Literal, Protocol, TypeAlias, TypeGuard, cast
from urllib.parse import quote_from_bytes, unquote_to_bytes

import attrs

from datagym_async._checks import check_is, shown
from datagym_async._limits import LimiterState
from datagym_async._printable import printable, quoted, told, without_secrets
from datagym_async._runs._stores import is_stored
from datagym_async._runs._text import (
    RESUMED,
    BulkReport,
    BulkResult,
    counted,
    problem_row,
    said_counts,
    said_pace,
)
from datagym_async.exceptions import ConfigurationError, ErrorDetail
from datagym_async.uploads._pictures import Picture, kind_of


def _told(source: str) -> str:
    return without_secrets(source) if is_url(source) else source


def is_url(text: str) -> bool:
    """Return whether a text given as a source is a URL rather than a path."""
    return text[:8].lower().startswith(("http://", "https://"))


MEMBER: Final = "!//"
"""Between an archive and one of its members: ``/data/a.zip!//cam 1/x.jpg``."""


def is_elsewhere(content: str) -> bool:
    """Return whether the bytes of an item are in a store or an archive, not in a file."""
    return MEMBER in content or is_stored(content)


def last_part(path: str) -> str:
    return path.replace(os.sep, "/").rstrip("/").rpartition("/")[2]


def url_name(url: str) -> str:
    """Return the service's name of a link image: the last part of its path (observed)."""
    return url.partition("?")[0].rpartition("/")[2]


class Readable(Protocol):
    """A binary file object: its ``read(size)`` gives bytes, at once or when awaited."""

    def read(self, size: int, /) -> bytes | Awaitable[bytes]:
        """Return the next bytes, at most `size`; none at the end."""
        ...


Dedupe: TypeAlias = Literal["report", "skip"] | None
"""What becomes of an item that another one is equal to, byte for byte."""


class Outcome(enum.StrEnum):
    """What happened to one item: one of four."""

    UPLOADED = "uploaded"
    """The dataset holds it now, and did not before this run."""
    SKIPPED = "skipped"
    """The dataset holds its name already, or it is no image and such are ignored; nothing was sent
    or stored."""
    REJECTED = "rejected"
    """Our own screening refused it before it was sent; the reason says why."""
    FAILED = "failed"
    """The service refused it, or could not be reached for it; the reason says why."""


class Pixels(Protocol):
    """An array of numpy or an image of Pillow, as far as both are alike."""

    @property
    def __array_interface__(self) -> dict[str, Any]:
        """Return what describes the pixels."""
        ...


def is_readable(value: object) -> TypeGuard[Readable]:
    """Return whether a value is an open file rather than a path or bytes."""
    return callable(getattr(value, "read", None))


@attrs.frozen(init=False)
class UploadItem:
    """One image: its name, and where its bytes come from.

    Args:
        name: Name in the dataset, any text; None takes the last part of the path or URL. The
            service always names link images by their URL.
        content: A path, the bytes themselves, or a URL that begins with ``http://`` or ``https://``
            (a link image: the service stores the link, not the bytes). Or the address of an object
            in a store (``s3://bucket/key``, ``gs://``, ``az://``), or of a member of an archive
            (``/data/a.zip!//inside/b.jpg``). Or an open binary file, whose ``read`` may be a
            coroutine function: it is read from its current position, must stay open until its
            result is known, and is not closed. If it cannot be rewound, it goes into a temporary
            file first, unless it is small. Or pixels: a numpy array of uint8 (height x width, or
            height x width x 3 or 4 for RGB and RGBA), which is copied, or a PIL image, which must
            not change until its result is known. They are sent as a JPEG of quality 95 if the name
            ends in ``.jpg`` or ``.jpeg``, else as a PNG, and need ``datagym-async[images]``. If the
            format cannot hold them (transparency in a JPEG), they are refused.
        origin: Where the item was named, for reports (for example ``"list.txt, line 7"``).

    Raises:
        ConfigurationError: Bytes have no name, or name or content have a wrong type.
    """

    name: str
    content: str | bytes = attrs.field(
        repr=lambda it: f"<{len(it)} bytes>" if isinstance(it, bytes) else repr(_told(it))
    )
    origin: str = attrs.field(default="", kw_only=True)
    file: Readable | Picture | None = attrs.field(default=None, kw_only=True, eq=False, repr=False)

    def __init__(
        self,
        name: str | None,
        content: str | bytes | bytearray | memoryview | os.PathLike[str] | Readable | Pixels,
        *,
        origin: str = "",
        file: Readable | None = None,
    ) -> None:
        picture: Picture | None = None
        if not isinstance(cast("object", name), str | None):
            example = "UploadItem('photo.jpg', data)"
            msg = (
                f"The name of an UploadItem is a text, as in {example}, not {type(name).__name__}."
            )
            raise ConfigurationError(msg)
        if isinstance(content, str | bytes):
            pass
        elif is_readable(content):
            known = getattr(content, "name", None)
            known = last_part(known) if isinstance(known, str) else None
            name, origin = name or known, origin or known or "an open file"
            file, content = content, b""
        elif isinstance(content, bytearray | memoryview):
            content = bytes(content)
        elif isinstance(content, os.PathLike):
            content = os.fsdecode(content)
        elif what := kind_of(content):
            name = name or last_part(getattr(content, "filename", "")) or None
            if name is not None:
                picture = Picture.of(content, name)
            content, origin = b"", origin or f"an {what}"
        else:
            kind = type(content).__name__
            msg = (
                "An UploadItem takes a path, bytes, an open file, a numpy array, a PIL image or a "
                f"URL, not {kind}."
            )
            raise ConfigurationError(msg)
        if name is None and isinstance(content, str):
            name = url_name(content) if is_url(content) else last_part(content)
        elif name is None:
            raise ConfigurationError(
                "An UploadItem of bytes, pixels or an open file without a path needs a name, for "
                "example UploadItem('photo.jpg', data)."
            )
        check_is("origin", origin, str)
        if file is not None and not is_readable(file):
            raise ConfigurationError(f"file is {shown(file)}; it must be an open file.")
        self.__attrs_init__(name, content, origin=origin, file=picture or file)

    @property
    def path(self) -> Path | None:
        """Return the file, or None for bytes, a link, or an object in a store or an archive."""
        if not isinstance(self.content, str) or self.url or is_elsewhere(self.content):
            return None
        return Path(self.content)

    @property
    def url(self) -> str | None:
        """Return the address of a link image, or None."""
        return self.content if isinstance(self.content, str) and is_url(self.content) else None

    @property
    def data(self) -> bytes | None:
        """Return the bytes, or None if the item is a file or a link."""
        return self.content if isinstance(self.content, bytes) and self.file is None else None

    @property
    def source(self) -> str:
        """Return the path or URL, or where the bytes were named, safe to print."""
        return printable(self.content if isinstance(self.content, str) else self.origin)

    def without_data(self) -> UploadItem:
        """Return the item without its bytes or open file: what a report keeps of it."""
        if self.data or self.file is not None:
            return UploadItem(self.name, b"", origin=self.origin)
        return self


@attrs.frozen(kw_only=True, slots=False)
class UploadResult(BulkResult):
    """What happened to one item.

    Attributes:
        item: The item, as the sources named it.
        outcome: One of four.
        dataset_id: The dataset for which the item was meant.
        media_id: Id of the stored image; None unless it was uploaded, or skipped and known.
        size: Bytes of the image; None if they were not counted (links, unread files).
        seconds: Time from the start of the item to its outcome, with all attempts and waits.
        attempts: How often it was sent at least; 0 if never.
        reason: A sentence for every outcome except ``uploaded``.
        status: HTTP status of the service's refusal, or None.
        key: The service's error key, or empty.
        details: The service's messages about single fields.
        warnings: Warnings about the image, whatever its outcome, as sentences.
    """

    item: UploadItem
    outcome: Outcome
    dataset_id: str
    media_id: str | None = None
    details: tuple[ErrorDetail, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Return the item's name, safe to print."""
        return printable(self.item.name)

    @property
    def source(self) -> str:
        """Return where the item came from, safe to print."""
        return self.item.source

    @property
    def is_problem(self) -> bool:
        """Return whether the item was rejected or failed."""
        return self.outcome in {Outcome.REJECTED, Outcome.FAILED}

    def __str__(self) -> str:
        return told(self.outcome, _told(self.source) or self.name, self.reason)


@attrs.frozen(kw_only=True)
class UploadProgress:
    """The progress of a run at one moment.

    Attributes:
        phase: ``"planning"`` while finite sources are read, then ``"sending"``, then ``"done"``, or
            ``"stopped"`` if it ended early.
        items_done: Items with an outcome.
        items_total: Items known so far; final if `total_known`.
        bytes_done: Bytes of the uploaded images.
        bytes_total: Bytes of the files found so far, without those that will not be sent.
        total_known: Whether all sources have been read.
        uploaded: Items uploaded.
        skipped: Items that the dataset already held, or that an earlier run has done.
        rejected: Items refused by our checks.
        failed: Items refused by the service.
        in_flight: Items being sent at this moment.
        seconds: Time since the run began.
        items_per_second: Uploaded items a second of sending, averaged over the run.
        bytes_per_second: The same in bytes.
        seconds_left: Estimated time left; None if it cannot be estimated yet.
        resumed: Skipped items that an earlier run of the journal has done.
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
    resumed: int = 0


SCHEMA = "datagym_async.upload_report/1"
_COLUMNS = ("outcome", "name", "source", "size", "status", "key", "attempts", "seconds", "reason")


@attrs.frozen
class DatasetShare:
    """What a run did in one of its datasets.

    Attributes:
        dataset_id: UUID of the dataset.
        name: Its name.
        held: Media that it held before, as far as this run has seen.
        uploaded: Images that this run stored in it.
        created: Whether this run created it.
    """

    dataset_id: str
    name: str
    held: int
    uploaded: int
    created: bool = False


@attrs.frozen(kw_only=True)
class Mismatch:
    """An image in the dataset that differs from its file, or could not be compared.

    Attributes:
        name: Its name, safe to print.
        source: The file, safe to print.
        dataset_id: The dataset.
        media_id: Its id, or empty if unknown.
        reason: What was found, as a sentence.
    """

    name: str
    source: str
    dataset_id: str
    media_id: str
    reason: str


@attrs.frozen(kw_only=True)
class Double:
    """A name that the dataset holds more than once because an answer was lost.

    Attributes:
        name: The name.
        kept: Id of the copy that stays: the one whose upload was answered, else the oldest.
        extras: Ids of the other copies.
        removed: Those of them that were deleted (``UploadConfig.remove_doubles``).
    """

    name: str
    kept: str
    extras: tuple[str, ...]
    removed: tuple[str, ...] = ()


def said_remarks(left_out: int, repeated: int, turned: int) -> str:
    """Return a sentence for each count of items that is not 0."""
    remarks = f" Left out by include and exclude: {left_out:,}." if left_out else ""
    if repeated:
        remarks += f" Named more than once, and taken once: {repeated:,}."
    if turned:
        have = counted(turned, "image has", "images have")
        remarks += (
            f" {have} an EXIF orientation, which the service ignores: it shows pixels as they are "
            'stored (prepare="orientation" applies it).'
        )
    return remarks


@attrs.frozen(kw_only=True)
class UploadReport(BulkReport):
    """The report of a run, which counts every item.

    In a complete run ``planned == uploaded + skipped + rejected + failed``; in an interrupted one
    ``pending`` and ``unsettled`` are the rest.

    Attributes:
        dataset_id: The dataset of the upload.
        dataset_name: Its name.
        planned: Items in the sources, as far as they were read.
        uploaded: Items stored by this run.
        skipped: Items whose name the dataset already held.
        rejected: Items refused by our checks.
        failed: Items refused by the service.
        bytes: Bytes of the uploaded images.
        seconds: Length of the run.
        complete: Whether all sources were read and each item has an outcome.
        unsettled: Items that were being sent when the run was interrupted, or whose lost answers
            could not be looked up: the dataset may hold them. The same upload with the journal
            looks them up.
        resumed: Items that an earlier run of the journal has done, and that were not read again;
            they are part of `skipped`.
        doubles: Names that the dataset holds more than once, found at the end of a run with lost
            answers.
        journal: Path of the journal, or empty.
        warned: Items with a warning, whatever their outcome.
        turned: Images that were sent with an EXIF orientation other than upright, as far as they
            were checked (``UploadConfig.check``). The service ignores it (observed).
        duplicates: Items that equal others byte for byte, as far as they were compared
            (``UploadConfig.dedupe``).
        left_out: Files that ``UploadConfig.include`` and ``exclude`` left out; they are not part of
            `planned`. A folder that was not read counts as one; files of a watched folder are not
            counted.
        repeated: How often the sources named an item again, by any path or in any list; it is one
            item, and the repetitions are not part of `planned`.
        stopped_by: The limit that ended the run early (``"max_files: 100 were sent"``), or empty.
            Such a run is not `complete`, but this is not an error.
        datasets: What was done in each dataset of the job, the first one first.
        verified: Images that were downloaded and compared (``UploadConfig.verify``).
        mismatched: Those of them that differ, or could not be compared.
        mismatches: Which ones, at most ``UploadConfig.max_problems``.
        advice: What limited the run and what would help, in one sentence; empty until its end.
        problems: The rejected and failed results in the order in which they ended, at most
            ``UploadConfig.max_problems``; without the bytes of in-memory items.
    """

    COLUMNS: ClassVar[tuple[str, ...]] = _COLUMNS

    dataset_id: str
    dataset_name: str
    planned: int
    uploaded: int
    skipped: int
    rejected: int
    failed: int
    bytes: int
    seconds: float
    complete: bool
    warned: int = 0
    turned: int = 0
    duplicates: int = 0
    left_out: int = 0
    repeated: int = 0
    unsettled: int = 0
    resumed: int = 0
    doubles: tuple[Double, ...] = ()
    journal: str = ""
    stopped_by: str = ""
    datasets: tuple[DatasetShare, ...] = attrs.field(default=(), repr=False)
    verified: int = 0
    mismatched: int = 0
    mismatches: tuple[Mismatch, ...] = attrs.field(default=(), repr=False)
    advice: str = ""
    problems: tuple[UploadResult, ...] = attrs.field(default=(), repr=False)

    @property
    def pending(self) -> int:
        """Return the number of items that were not started: 0 in a complete run."""
        settled = self.uploaded + self.skipped + self.rejected + self.failed
        return self.planned - settled - self.unsettled

    @property
    def failures(self) -> tuple[UploadResult, ...]:
        """Return the failed results among `problems`."""
        return tuple(each for each in self.problems if each.outcome is Outcome.FAILED)

    @property
    def problems_omitted(self) -> int:
        """Return how many rejected and failed results were counted but are not in `problems`."""
        return self.rejected + self.failed - len(self.problems)

    @property
    def items_per_second(self) -> float:
        """Return the uploaded items a second."""
        return self.uploaded / self.seconds if self.seconds > 0 else 0.0

    @property
    def ok(self) -> bool:
        """Return whether the run is complete, and nothing was rejected, failed or mismatched."""
        return self.complete and not (self.rejected or self.failed or self.mismatched)

    def summary(self) -> str:
        """Return the report as one sentence."""
        counts = said_counts(
            ("uploaded", self.uploaded),
            ("skipped", self.skipped - self.resumed),
            (RESUMED, self.resumed),
            ("rejected", self.rejected),
            ("failed", self.failed),
            ("pending", self.pending),
            ("unsettled", self.unsettled),
        )
        more = len(self.datasets) - 1
        others = f" and {counted(more, 'more dataset')}" if more > 0 else ""
        remarks = f" It stopped at {self.stopped_by}." if self.stopped_by else ""
        remarks += said_remarks(self.left_out, self.repeated, self.turned)
        if self.duplicates:
            remarks += f" Equal to others, byte for byte: {self.duplicates:,}."
        if self.verified:
            outcome = f"{self.mismatched:,} differ" if self.mismatched else "all are equal"
            remarks += f" {self.verified:,} were compared with the dataset: {outcome}."
        return (
            f"{counted(self.planned, 'item')} for {quoted(self.dataset_name)}{others}: {counts} "
            f"{said_pace(self.bytes, self.seconds, self.items_per_second, 'images')}."
            f"{remarks}"
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain values, in the schema of `to_json`."""
        value = attrs.asdict(self, filter=lambda field, _: field.name != "problems")
        return {
            "schema": SCHEMA,
            **value,
            "seconds": round(self.seconds, 3),
            "journal": printable(self.journal),
            "pending": self.pending,
            "items_per_second": round(self.items_per_second, 3),
            "summary": self.summary(),
            "problems": [_row(each) for each in self.problems],
            "problems_omitted": self.problems_omitted,
        }


def raw_encoded(text: str) -> str:
    """Return an exact form of any text that every screen and JSON reader can handle."""
    return quote_from_bytes(text.encode("utf-8", "surrogatepass"))


def raw_decoded(raw: str) -> str:
    """Return the text of a form that `raw_encoded` made."""
    return unquote_to_bytes(raw).decode("utf-8", "surrogatepass")


def _row(result: UploadResult) -> dict[str, Any]:
    name, content = result.item.name, result.item.content
    exact: dict[str, Any] = {"in_memory": True} if isinstance(content, bytes) else {}
    if name != result.name:
        exact["name_raw"] = raw_encoded(name)
    if isinstance(content, str) and content != result.source:
        exact["source_raw"] = raw_encoded(content)
    row = problem_row(result, name=result.name, source=result.source, size=result.size)
    return exact | row


# Events, handed to one callable.


@attrs.frozen
class RunStarted:
    """The dataset is known, and the sources are about to be read.

    `datasets` are the names of all datasets of the job so far; together they hold `held` media.
    """

    dataset_id: str
    dataset_name: str
    datasets: tuple[str, ...] = ()
    held: int = 0


@attrs.frozen
class ItemSettled:
    """An item has its outcome: the same result that the iteration yields."""

    result: UploadResult


@attrs.frozen
class DatasetCreated:
    """A dataset was added to the job, attached to its projects; it has a number in its family."""

    dataset_id: str
    name: str
    number: int  # from 2


@attrs.frozen
class LimitChanged:
    """The limit of uploads in flight has changed; the state has the reason."""

    state: LimiterState


@attrs.frozen
class Paused:
    """The service asked for a pause: nothing is sent for this many seconds."""

    seconds: float
    why: str  # the reason


@attrs.frozen
class RunEnded:
    """The run has ended: complete, stopped, left early or with an error."""

    report: UploadReport


UploadEvent: TypeAlias = (
    RunStarted | ItemSettled | DatasetCreated | LimitChanged | Paused | RunEnded
)
"""What `UploadConfig.on_event` is called with; later versions may add to it."""
