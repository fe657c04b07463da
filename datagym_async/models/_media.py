"""Datasets and their media, projects and their label configurations.

Also here: what became of uploaded URLs, and what a project says of the datasets attached to it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import attrs

from datagym_async._printable import Shown, counted, without_secrets
from datagym_async.models._basics import (
    Dated,
    EntryType,
    MediaInvalidReason,
    MediaSourceType,
    MediaType,
    UrlStatus,
    count,
)


@attrs.frozen
class DatasetMedia(Dated):
    """A media as its dataset lists it.

    Args:
        id: UUID of the media.
        timestamp: When it was stored, in milliseconds since 1970.
        source_type: Where its bytes lie.
        name: Its name, decoded where this package encoded it (see `stored_name`).
        stored_name: Its name as the service stores it: names with characters that a header cannot
            carry are percent-encoded. The service compares this form, without case.
    """

    id: str
    timestamp: int
    source_type: MediaSourceType
    name: str
    stored_name: str = attrs.field(
        default=attrs.Factory(lambda self: self.name, takes_self=True), kw_only=True
    )


@attrs.frozen
class Dataset(Shown, Dated):
    """A dataset and its media.

    Args:
        id: UUID of the dataset.
        name: Its name, unique in the organisation without regard to case.
        timestamp: When it was created, in milliseconds since 1970.
        short_description: A line on it, or None.
        owner: UUID of the organisation.
        project_count: Number of projects it is attached to.
        media_type: What it holds; older services do not say, and hold images.
        media: The media that are not deleted, in no particular order.
    """

    id: str
    name: str
    timestamp: int
    short_description: str | None = None
    owner: str | None = None
    project_count: int = 0
    media_type: MediaType = MediaType.IMAGE
    media: tuple[DatasetMedia, ...] = attrs.field(default=(), repr=count)


@attrs.frozen(kw_only=True)
class Media(Dated):
    """A media with all that the service says of it.

    What does not apply to its kind is None: only videos have frames, only links have a URL.

    Args:
        id: UUID of the media.
        timestamp: When it was stored, in milliseconds since 1970.
        source_type: Where its bytes lie.
        name: Its name, decoded where this package encoded it (see `stored_name`).
        stored_name: Its name as the service stores and compares it.
        valid: False once the service could not read it.
        reason: Why it is not valid, or None.
        url: The link, or a video's pre-signed URL: a secret, not shown by ``repr``.
        width: Pixels, as stored (an EXIF rotation is not applied), or None.
        height: Pixels, or None.
        aws_key: Its key in S3, or None.
        last_error: The last trouble with S3, or None.
        last_error_timestamp: When that was, in milliseconds since 1970, or None.
        total_frames: Number of frames of a video, or None.
        duration: Length of a video in seconds, or None.
        codec_name: Codec of a video, or None.
        frame_rate: Frames a second of a video as a fraction, for example ``"30/1"``, or None.
        format_name: Container formats of a video, or None.
        size: Size of a video in bytes, or None.
    """

    id: str
    timestamp: int
    source_type: MediaSourceType
    name: str
    stored_name: str = attrs.Factory(lambda self: self.name, takes_self=True)
    valid: bool = True
    reason: MediaInvalidReason | None = None
    url: str | None = attrs.field(default=None, repr=False)
    width: int | None = None
    height: int | None = None
    aws_key: str | None = None
    last_error: str | None = None
    last_error_timestamp: int | None = None
    total_frames: int | None = None
    duration: float | None = None
    codec_name: str | None = None
    frame_rate: str | None = None
    format_name: str | None = None
    size: int | None = None


@attrs.frozen
class UrlResult:
    """What happened to one URL that was to be added to a dataset.

    Args:
        url: The URL, as it was given.
        status: What became of it.
        media_id: UUID of the new media; None unless the status is SUCCESS.
        name: Name of the new media (the last part of the URL's path), or None.
        reason: Why this package did not send it, or could not learn its fate; None otherwise.
    """

    url: str = attrs.field(repr=lambda url: repr(without_secrets(url)))
    status: UrlStatus
    media_id: str | None = None
    name: str | None = None
    reason: str | None = None


@attrs.frozen
class ProjectDataset(Dated):
    """A dataset as its project lists it: counts, no media.

    Args:
        id: UUID of the dataset.
        name: Its name, unique in the organisation without regard to case.
        timestamp: When it was created, in milliseconds since 1970.
        short_description: A line on it, or None.
        owner: UUID of the organisation.
        media_count: Number of media that are not deleted.
        project_count: Number of projects it is attached to.
        media_type: What it holds; older services do not say, and hold images.
    """

    id: str
    name: str
    timestamp: int
    short_description: str | None = None
    owner: str | None = None
    media_count: int = 0
    project_count: int = 0
    media_type: MediaType = MediaType.IMAGE


@attrs.frozen
class Project(Dated):
    """A labelling project.

    Args:
        id: UUID of the project.
        name: Its name.
        timestamp: When it was created, in milliseconds since 1970.
        label_configuration_id: UUID of its label configuration.
        label_iteration_id: UUID of its current labelling iteration.
        short_description: A line on it, or None.
        description: More on it, or None.
        owner: UUID of the organisation.
        media_type: What it labels; older services do not say, and label images.
        datasets: The datasets attached to it, in no particular order.
    """

    id: str
    name: str
    timestamp: int
    label_configuration_id: str
    label_iteration_id: str
    short_description: str | None = None
    description: str | None = None
    owner: str | None = None
    media_type: MediaType = MediaType.IMAGE
    datasets: tuple[ProjectDataset, ...] = ()


# --- Label configurations as the service shows them -----------------------------------------------


@attrs.frozen(kw_only=True)
class LabelEntry:
    """One entry of a label configuration, with the entries nested in it.

    Args:
        id: UUID of the entry.
        key: Its key in imports and exports, in lower case.
        value: The text that labellers see.
        type: What kind of label it asks for.
        parent_id: UUID of the entry it is nested in, or None.
        color: Colour of a geometry, for example ``"#3333FF"``, or None.
        shortcut: The digit that selects a geometry, or None.
        timestamp: When it was created, in milliseconds since 1970, or None.
        max_length: Longest text, in characters, of a free text; None for other types.
        required: True if a classification must be answered before a task can be completed.
        options: Key to text of each option of a select or checklist; the order is not kept.
        children: The entries nested in it, in no particular order.
    """

    id: str
    key: str
    value: str
    type: EntryType
    parent_id: str | None = None
    color: str | None = None
    shortcut: str | None = None
    timestamp: int | None = None
    max_length: int | None = None
    required: bool = False
    options: Mapping[str, str] = attrs.field(factory=dict)
    children: tuple[LabelEntry, ...] = ()


@attrs.frozen(kw_only=True)
class LabelConfiguration:
    """The label configuration of a project.

    Args:
        id: UUID of the configuration.
        project_id: UUID of the project.
        entries: The root entries, in no particular order.
        completed_tasks: Number of completed tasks of the project.
        reviewed_tasks: Number of reviewed tasks of the project.
    """

    id: str
    project_id: str
    entries: tuple[LabelEntry, ...] = ()
    completed_tasks: int = 0
    reviewed_tasks: int = 0


@attrs.frozen(kw_only=True)
class ConfigBackup:
    """A label configuration and its labels on disk, in the forms that other calls take.

    Args:
        folder: The folder that holds all of it.
        config: The configuration as JSON, as `LabelConfig.from_json` reads it.
        labels: The label export of the project, as the service wrote it. It holds the finished
            tasks alone.
        unfinished: A task a line, with its label values, as the service shows it: those that
            somebody began or labels were imported to, and that no export holds.
        videos: The labels of each video of a video project; empty for images.
    """

    folder: Path
    config: Path
    labels: Path
    unfinished: Path
    videos: tuple[Path, ...] = ()


@attrs.frozen(kw_only=True)
class ConfigStakes:
    """What clearing a label configuration would delete.

    Args:
        tasks: Number of tasks of the project, in any state.
        finished: Number of those that are completed, skipped or reviewed.
        labels: Number of labels of finished tasks: shapes, and answers that are given. Those of a
            video are not counted.
        unfinished: Number of other tasks that somebody began, or labels were imported to.
    """

    tasks: int
    finished: int
    labels: int
    unfinished: int

    def __str__(self) -> str:
        finished = f"{counted(self.finished, 'finished task')} with {counted(self.labels, 'label')}"
        begun = f", {counted(self.unfinished, 'begun task')}" if self.unfinished else ""
        return (
            f"This affects {finished}{begun}, of {counted(self.tasks, 'task')} in all. All labels "
            "are deleted at the service, and finished tasks go back to waiting."
        )
