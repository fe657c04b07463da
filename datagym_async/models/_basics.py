"""The service's closed lists of words, each open to words of newer services."""

from __future__ import annotations

import enum
from collections.abc import Sized
from datetime import UTC, datetime, timedelta
from typing import Self


class OpenEnum(enum.StrEnum):
    """Let a word that this package does not know become ``UNKNOWN`` instead of an error.

    A newer service may use words that did not exist when this package was written. Words are
    compared without case, since label exports write in lower case what is upper case elsewhere.
    """

    @classmethod
    def _missing_(cls, value: object) -> Self | None:
        if not isinstance(value, str):
            return None
        members = cls.__members__
        return members.get(value.upper(), members["UNKNOWN"])


class MediaType(OpenEnum):
    """Say what a project or dataset holds."""

    IMAGE = "IMAGE"
    VIDEO = "VIDEO"
    UNKNOWN = "UNKNOWN"


class MediaSourceType(OpenEnum):
    """Say where the bytes of a media lie."""

    LOCAL = "LOCAL"
    """Uploaded to the service; a download gives the uploaded bytes."""
    SHAREABLE_LINK = "SHAREABLE_LINK"
    """A link; the service fetches, decodes and re-encodes the image at each download."""
    AWS_S3 = "AWS_S3"
    """In S3 storage, as all videos are."""
    UNKNOWN = "UNKNOWN"


class MediaInvalidReason(OpenEnum):
    """Say why the service holds a media for unusable."""

    INVALID_MIME_TYPE = "INVALID_MIME_TYPE"
    INVALID_URL = "INVALID_URL"
    AWS_ERROR = "AWS_ERROR"
    UNSUPPORTED_AWS_S3_STORAGE_CLASS = "UNSUPPORTED_AWS_S3_STORAGE_CLASS"
    AWS_VIDEO_PARSE_FAIL = "AWS_VIDEO_PARSE_FAIL"
    UNKNOWN = "UNKNOWN"


class UrlStatus(OpenEnum):
    """What happened to one URL."""

    SUCCESS = "SUCCESS"
    DUPLICATE = "DUPLICATE"
    """The dataset holds a media of this URL already (compared without case)."""
    UNSUPPORTED_MIME_TYPE = "UNSUPPORTED_MIME_TYPE"
    """The URL does not end in .jpg, .jpeg or .png; the service does not look further."""
    FAILED = "FAILED"
    DELETED = "DELETED"
    UNKNOWN = "UNKNOWN"


class TaskState(OpenEnum):
    """Say where a labelling task stands."""

    BACKLOG = "BACKLOG"
    WAITING = "WAITING"
    WAITING_CHANGED = "WAITING_CHANGED"
    IN_PROGRESS = "IN_PROGRESS"
    SKIPPED = "SKIPPED"
    COMPLETED = "COMPLETED"
    REVIEWED = "REVIEWED"
    REVIEWED_SKIP = "REVIEWED_SKIP"
    UNKNOWN = "UNKNOWN"


class TaskType(OpenEnum):
    """Say whether a task is an ordinary one or part of a benchmark."""

    DEFAULT = "DEFAULT"
    BENCHMARK_MASTER = "BENCHMARK_MASTER"
    BENCHMARK_SLAVE = "BENCHMARK_SLAVE"
    UNKNOWN = "UNKNOWN"


class PreLabelState(OpenEnum):
    """Say how far automatic pre-labelling of a task has come."""

    WAITING = "WAITING"
    IN_PROGRESS = "IN_PROGRESS"
    FINISHED = "FINISHED"
    FAILED = "FAILED"
    UNKNOWN = "UNKNOWN"


class EntryType(OpenEnum):
    """Say what kind of label an entry of a label configuration asks for."""

    POINT = "POINT"
    LINE = "LINE"
    POLYGON = "POLYGON"
    RECTANGLE = "RECTANGLE"
    IMAGE_SEGMENTATION = "IMAGE_SEGMENTATION"
    SELECT = "SELECT"
    CHECKLIST = "CHECKLIST"
    FREETEXT = "FREETEXT"
    RADIO = "RADIO"
    """Only in exports of older services; today's write SELECT."""
    UNKNOWN = "UNKNOWN"


class FrameType(OpenEnum):
    """Say what a keyframe of a video does to the visibility of its object."""

    START = "START"
    CHANGE = "CHANGE"
    END = "END"
    START_END = "START_END"
    UNKNOWN = "UNKNOWN"


# --- The service's instants: integer milliseconds since 1970, UTC ---------------------------------

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST = datetime.min.replace(tzinfo=UTC)
_LAST = datetime.max.replace(tzinfo=UTC)


class Dated:
    """A value of the service with a timestamp, in milliseconds since 1970."""

    __slots__ = ()
    timestamp: int

    @property
    def created_at(self) -> datetime:
        """Return when it was created or stored (UTC); beyond the calendar, its end."""
        try:
            return _EPOCH + timedelta(milliseconds=self.timestamp)
        except OverflowError:
            return _LAST if self.timestamp > 0 else _FIRST


# --- What long or secret fields look like in a ``repr`` -------------------------------------------


def count(items: Sized) -> str:
    """Return how many items there are instead of the items: a dataset may hold 20,000 media."""
    return f"<{len(items)}>"
