"""Datasets, the media in them, and what became of uploaded URLs."""

from __future__ import annotations

import attrs

from datagym_async._printable import Shown, without_secrets
from datagym_async.models._basics import (
    Dated,
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
