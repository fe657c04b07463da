"""The values of a bulk download: what became of one media, and how far the run is."""

from __future__ import annotations

import enum

import attrs

from datagym_async._printable import printable


class DownloadOutcome(enum.StrEnum):
    """Say what became of one media; there is no fifth."""

    DOWNLOADED = "downloaded"
    """It is on the disk now, verified, and was not before this run."""
    PRESENT = "present"
    """An earlier run of the same folder has downloaded it; it is still there."""
    SKIPPED = "skipped"
    """It is a link image, and those were not asked for."""
    FAILED = "failed"
    """It is not on the disk; the reason says why. The next run tries again."""


@attrs.frozen(kw_only=True)
class DownloadResult:
    """Say what became of one media.

    Attributes:
        media_id: Its id.
        name: Its name at the service, unencoded: any text. `printable_name` fits every screen.
        path: Its file, relative to the folder, with ``/`` between parts; it lies there only if the
            outcome says so.
        outcome: One of four; those that an earlier run has downloaded have no single results.
        size: Bytes of the file, or None.
        sha256: Hash of the file, in hexadecimal, or empty.
        seconds: Time from its turn to its outcome, all attempts and waits included.
        attempts: How often it was asked for; 0 if it never was.
        reason: A sentence for every outcome but ``downloaded``.
        status: HTTP status of the service's refusal, or None.
        key: The service's error key, or empty.
    """

    media_id: str
    name: str
    path: str
    outcome: DownloadOutcome
    size: int | None = None
    sha256: str = ""
    seconds: float = 0.0
    attempts: int = 0
    reason: str = ""
    status: int | None = None
    key: str = ""

    @property
    def printable_name(self) -> str:
        """Return its name, fit for any screen."""
        return printable(self.name)

    @property
    def is_problem(self) -> bool:
        """Return whether somebody should look at it."""
        return self.outcome is DownloadOutcome.FAILED


@attrs.frozen(kw_only=True)
class DownloadProgress:
    """Say how far a run is: a snapshot.

    Attributes:
        phase: ``"listing"``, then ``"fetching"``, then ``"labels"`` while labels and bitmaps are
            written, then ``"done"``.
        items_done: Media with an outcome.
        items_total: Media of the dataset or project.
        bytes_done: Bytes downloaded by this run, those on their way included.
        downloaded: Media downloaded by this run.
        present: Media that earlier runs have downloaded.
        skipped: Link images that were left alone.
        failed: Media that could not be downloaded.
        in_flight: Media being fetched at this moment.
        seconds: Time since the run began.
        items_per_second: Downloaded media a second of fetching, averaged over the run.
        bytes_per_second: Likewise, bytes.
        seconds_left: Estimate of the time left; None while nothing supports one.
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
