"""The values of a download: its options, results, progress, report and events, and their tally."""

from __future__ import annotations

import enum
import math
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, Final, Literal, TypeAlias, get_args

import attrs

from datagym_async._checks import (
    above_zero_in,
    by_annotation,
    is_whole,
    one_of,
    shown,
    to_tuple,
    within,
)
from datagym_async._files import to_path
from datagym_async._printable import printable, quoted, told
from datagym_async._runs._options import Stops
from datagym_async._runs._stores import check_store_options, store_options
from datagym_async._runs._text import (
    BulkReport,
    BulkResult,
    BulkTally,
    counted,
    problem_row,
    said_counts,
    said_pace,
)
from datagym_async._wire._messages import MAX_IN_PIECES
from datagym_async.exceptions import ConfigurationError
from datagym_async.exports import ExportFormat
from datagym_async.formats._splits import parts_of
from datagym_async.models import ProjectId
from datagym_async.models._ids import id_or_none

Links: TypeAlias = Literal["skip", "source", "service"]
MAX_CONCURRENCY = 64


def _classes(value: str | os.PathLike[str] | None) -> Path | None:
    return to_path("classes", value)


def _project(value: ProjectId | None) -> str | None:
    return id_or_none(value, "project id")


_SIZE: Final = re.compile(r"(\d+(?:\.\d+)?)([kMGT])(i?)B?")


def bound_of(value: object) -> tuple[int, int]:
    """Return the maximum media and bytes of a shard, one of them 0 for no limit."""
    text = str(value).strip() if isinstance(value, str) or is_whole(value) else ""
    if count := above_zero_in(text):
        return count, 0
    if found := _SIZE.fullmatch(text):
        step = 1024 if found[3] else 1000
        size = float(found[1]) * step ** ("kMGT".index(found[2]) + 1)
        if 1 <= size < math.inf:
            return 0, int(size)
    raise ConfigurationError(
        f"shards is {shown(value)}; give the number of media in a shard, such as "
        "1000, or its size, such as '500M'."
    )


@attrs.frozen(kw_only=True, field_transformer=by_annotation)
class DownloadConfig(Stops):
    """The options of a bulk download.

    Args:
        links: What to do with link images, whose bytes the service does not store: leave them out
            (``"skip"``, the default); download them from their own address, without credentials
            (``"source"``); or through the service (``"service"``), which encodes them again, and,
            if it cannot fetch one, marks it invalid and moves its tasks to SKIPPED. The last two
            decode each downloaded image and need ``datagym-async[images]``. ``"source"`` gets the
            addresses from the tasks of a project; the service fills their details with empty values
            when they are first read.
        allow_private_links: Whether ``links="source"`` may request private, loopback and other
            special addresses.
        labels: Labels to write beside the media: ``"json"``, ``"jsonl"``, or formats of
            `formats.write`, one or several. Empty for none. All except the first two and ``"coco"``
            are folders for training, with links to the images.
        exact: Whether these formats have exact coordinates, with one request for each task;
            otherwise whole pixels, as the service exports them.
        classes: A file of classes that come first and keep their numbers, as in
            `formats.classes_from`.
        clip: Whether to cut shapes off at the edges of their image, in these formats.
        zero_based: For ``"voc"``: whether the first pixel is 0, not 1 as in the format.
        split: Shares of the parts of these formats, such as ``"train=0.8,val=0.1,test=0.1"``; COCO
            is then a folder.
        group: What to keep in one part: ``"folder"``, or a regular expression for names of files.
        bitmaps: Whether to download the segmentation bitmaps of finished tasks too.
        shards: Write WebDataset shards instead of files: tar files with so many media (``1000``),
            or of about so many bytes (``"500M"``). With ``labels="json"`` each image has its labels
            beside it; other labels and bitmaps are not possible.
        store_options: Options for the object store of the folder (``s3://bucket/out/``), as in
            `UploadConfig`.
        project_id: The project whose labels and tasks belong to the dataset; None takes the only
            project to which it is attached.
        tree: Whether to turn folders in names into folders again, as an upload with
            ``name="relative"`` wrote them. Files of an earlier run keep their names.
        verify: Whether to hash the files of an earlier run, and download them again if they differ
            from the manifest; otherwise only their sizes are compared.
        concurrency: Fixed number of downloads in flight; None to adapt it during the run.
        max_bytes: Maximum size of one media, by default 16 GiB; a larger one fails. For
            ``links="source"`` it is 256 MiB.
        max_files: Stop after this many media were requested, whatever their outcome.
        max_bytes_total: Stop with the media that brings the downloaded bytes to this number.
        max_failures: Stop after this many media failed.
        max_duration: Stop after this number of seconds. After any of these four limits, downloads
            in flight finish; ``report.stopped_by`` names it, and the same download resumes.
        on_event: A plain function that is called with each `DownloadEvent` in the event loop and
            returns quickly. Its errors are logged and do not affect the download.
        max_problems: How many failed results the report keeps in full; the counts are exact.

    Raises:
        ConfigurationError: If an option is out of its range.
    """

    verb = "fetched"

    links: Links = attrs.field(default="skip", validator=one_of(*get_args(Links)))
    allow_private_links: bool = False
    labels: tuple[str, ...] = attrs.field(
        default=(), converter=to_tuple, validator=one_of(*get_args(ExportFormat))
    )
    exact: bool = True
    classes: Path | None = attrs.field(default=None, converter=_classes)
    clip: bool = False
    zero_based: bool = False
    split: str | None = None
    group: str | None = None
    bitmaps: bool = False
    shards: int | str | None = None
    store_options: tuple[str, ...] = attrs.field(
        default=(), converter=store_options, validator=check_store_options, repr=False
    )
    project_id: str | None = attrs.field(default=None, converter=_project)
    tree: bool = False
    verify: bool = False
    concurrency: int | None = attrs.field(default=None, validator=within(1, MAX_CONCURRENCY))
    max_bytes: int = attrs.field(default=MAX_IN_PIECES, validator=within(1, 1 << 60))
    on_event: Callable[[DownloadEvent], object] | None = None
    max_problems: int = attrs.field(default=10_000, validator=within(0, 10_000_000))

    def __attrs_post_init__(self) -> None:
        parts_of(self.split, self.group)  # without a split there is no group
        converted = set(self.labels) - {"json", "jsonl"}
        idle = set() if "voc" in converted else {"zero_based"}
        idle |= set() if converted else {"exact", "classes", "clip", "split"}
        for field in attrs.fields(DownloadConfig):
            if field.name in idle and getattr(self, field.name) != field.default:
                needed = '"voc"' if field.name == "zero_based" else "... other than json and jsonl"
                raise ConfigurationError(f"{field.name} has no effect without labels={needed}.")
        if self.shards is not None:
            bound_of(self.shards)
        if self.shards is not None and (self.bitmaps or set(self.labels) - {"json"}):
            raise ConfigurationError(
                'Shards hold images and labels="json"; download bitmaps and other labels into a '
                "folder."
            )

    @property
    def needs_project(self) -> bool:
        """Return whether the run needs a project."""
        return bool(self.labels) or self.bitmaps or self.links == "source"


class DownloadOutcome(enum.StrEnum):
    """What happened to one media: one of four."""

    DOWNLOADED = "downloaded"
    """It is on the disk now, verified, and was not before this run."""
    PRESENT = "present"
    """An earlier run of the same folder has downloaded it; it is still there."""
    SKIPPED = "skipped"
    """It is a link image, and those were not asked for."""
    FAILED = "failed"
    """It is not on the disk; the reason says why. The next run tries again."""


@attrs.frozen(kw_only=True, slots=False)
class DownloadResult(BulkResult):
    """What happened to one media.

    Attributes:
        media_id: Its id.
        name: Its name at the service, decoded: any text. `printable_name` is safe to print.
        path: Its file, relative to the folder, with ``/`` between parts. It exists only if the
            outcome says so. With shards there is no such file: its key is made of this name, and
            the manifest says where it is.
        outcome: One of four; media that an earlier run has downloaded have no results.
        size: Bytes of the file, or None.
        sha256: Hash of the file, in hexadecimal, or empty.
        seconds: Time from its start to its outcome, with all attempts and waits.
        attempts: How often it was requested; 0 if never.
        reason: A sentence for every outcome except ``downloaded``.
        status: HTTP status of the service's refusal, or None.
        key: The service's error key, or empty.
    """

    media_id: str
    name: str
    path: str
    outcome: DownloadOutcome
    sha256: str = ""

    @property
    def printable_name(self) -> str:
        """Return its name, safe to print."""
        return printable(self.name)

    @property
    def is_problem(self) -> bool:
        """Return whether it failed."""
        return self.outcome is DownloadOutcome.FAILED

    def __str__(self) -> str:
        return told(self.outcome, self.name, self.reason)


@attrs.frozen(kw_only=True)
class DownloadProgress:
    """The progress of a run at one moment. The counts by outcome are those of `DownloadReport`.

    Attributes:
        phase: ``"listing"``, then ``"fetching"``, then ``"labels"`` while labels and bitmaps are
            written, then ``"done"``, or ``"stopped"`` if it ended early.
        items_done: Media with an outcome, of `items_total` that the service listed.
        bytes_done: Bytes downloaded by this run, including those in flight.
        in_flight: Media being downloaded at this moment.
        seconds: Time since the run began.
        items_per_second: Downloaded media a second of downloading, averaged over the run.
        bytes_per_second: The same in bytes.
        seconds_left: Estimated time left; None if it cannot be estimated yet.
        tasks_read: Tasks whose exact labels were read, for formats that need them.
        tasks_total: How many there are; 0 if none are read, or it is not known yet.
    """

    phase: str
    items_done: int
    items_total: int
    bytes_done: int
    downloaded: int
    present: int
    skipped: int
    failed: int
    in_flight: int
    seconds: float
    items_per_second: float
    bytes_per_second: float
    seconds_left: float | None
    tasks_read: int = 0
    tasks_total: int = 0


SCHEMA = "datagym_async.download_report/1"
_COLUMNS = ("outcome", "name", "path", "media_id", "status", "key", "attempts", "seconds", "reason")


@attrs.frozen(kw_only=True)
class DownloadReport(BulkReport):
    """The report of a run, which counts every media.

    ``planned == downloaded + present + skipped + failed + pending``, and nothing is pending in a
    complete run.

    Attributes:
        name: Name of the dataset or project.
        folder: The folder.
        planned: Media that the service listed.
        downloaded: Media that this run has downloaded.
        present: Media that earlier runs have downloaded, and that still exist.
        skipped: Link images that were left out (``DownloadConfig.links``).
        failed: Media that could not be downloaded.
        bytes: Bytes downloaded by this run.
        seconds: Length of the run.
        complete: Whether each media has an outcome, and the requested labels and bitmaps are
            written.
        labelled: Media whose labels were written, or 0.
        left_out: Labels that the formats cannot hold, or 0; `notes` has their kinds.
        bitmaps: Bitmaps in the folder, or 0.
        bitmaps_failed: Bitmaps that could not be downloaded, or 0.
        written: Files with labels, relative to the folder.
        notes: Remarks on the labels and bitmaps, as sentences.
        stopped_by: The limit that ended the run early, or empty.
        problems: The failed results, at most ``DownloadConfig.max_problems``.
    """

    COLUMNS: ClassVar[tuple[str, ...]] = _COLUMNS

    name: str
    folder: str
    planned: int
    downloaded: int
    present: int
    skipped: int
    failed: int
    bytes: int
    seconds: float
    complete: bool
    labelled: int = 0
    left_out: int = 0
    bitmaps: int = 0
    bitmaps_failed: int = 0
    written: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    stopped_by: str = ""
    problems: tuple[DownloadResult, ...] = attrs.field(default=(), repr=False)

    @property
    def pending(self) -> int:
        """Return the number of media not started or not finished: 0 in a complete run."""
        return self.planned - self.downloaded - self.present - self.skipped - self.failed

    @property
    def items_per_second(self) -> float:
        """Return the downloaded media a second."""
        return self.downloaded / self.seconds if self.seconds > 0 else 0.0

    @property
    def ok(self) -> bool:
        """Return whether the run is complete and nothing failed."""
        return self.complete and not (self.failed or self.bitmaps_failed)

    def summary(self) -> str:
        """Return the report as one sentence, and a second one if links were left out."""
        words = ("downloaded", "present", "skipped", "failed", "pending")
        counts = said_counts(*((word, getattr(self, word)) for word in words))
        remarks = (
            (f" It stopped at {self.stopped_by}.", self.stopped_by),
            (f" Labels of {self.labelled:,} media were written.", self.written),
            (f" {counted(self.bitmaps, 'bitmap is', 'bitmaps are')} there.", self.bitmaps),
            (f" {counted(self.bitmaps_failed, 'bitmap')} failed.", self.bitmaps_failed),
            (' Link images are skipped; links="source" fetches them.', self.skipped),
        )
        name = f" of {quoted(self.name)}" if self.name else ""  # of a run that began with an error
        return (
            f"{self.planned:,} media{name}: {counts} "
            f"{said_pace(self.bytes, self.seconds, self.items_per_second, 'media')}."
            + "".join(sentence for sentence, is_said in remarks if is_said)
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain values, in the schema of `to_json`."""
        value = attrs.asdict(self, filter=lambda field, _: field.name != "problems")
        return {
            "schema": SCHEMA,
            **value,
            "folder": printable(self.folder),
            "seconds": round(self.seconds, 3),
            "pending": self.pending,
            "items_per_second": round(self.items_per_second, 3),
            "summary": self.summary(),
            "problems": [
                problem_row(each, name=each.printable_name, path=each.path, media_id=each.media_id)
                for each in self.problems
            ],
            "problems_omitted": self.failed - len(self.problems),
        }


# Events, handed to one callable.


@attrs.frozen
class DownloadStarted:
    """The media are listed, and the downloads begin."""

    name: str  # of the dataset or the project
    folder: str
    planned: int  # media, including those that exist already


@attrs.frozen
class MediaSettled:
    """A media has its outcome: the same result that the iteration yields."""

    result: DownloadResult


@attrs.frozen
class DownloadEnded:
    """The run has ended: complete, stopped, left early or with an error."""

    report: DownloadReport


DownloadEvent: TypeAlias = DownloadStarted | MediaSettled | DownloadEnded
"""What `DownloadConfig.on_event` is called with; later versions may add to it."""


@attrs.define
class DownloadTally(BulkTally[DownloadResult]):
    phase: str = "listing"
    bytes_arrived: int = 0
    bytes_downloaded: int = 0
    tasks_read: tuple[int, int] = (0, 0)  # how many of how many were read, for exact labels
    labelled: int = 0
    left_out: int = 0
    bitmaps: int = 0
    bitmaps_failed: int = 0
    written: list[str] = attrs.Factory(list)
    notes: list[str] = attrs.Factory(list)

    def settled(self, result: DownloadResult) -> None:
        self.outcomes[result.outcome] += 1
        if result.outcome is DownloadOutcome.DOWNLOADED:
            self.bytes_downloaded += result.size or 0
        elif result.is_problem and len(self.problems) < self.max_problems:
            self.problems.append(result)
