"""What the service calls the fields of our models: current names first, then older ones.

A field that is not listed is called by its own name in camel case (``label_iteration_id`` is
``labelIterationId``). Answers may mix both generations (observed in the public documentation).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from datagym_async.models import (
    AiSegResult,
    CompleteResult,
    Dataset,
    DatasetMedia,
    LabelConfiguration,
    LabelEntry,
    LabelIteration,
    LabelValue,
    Media,
    ProjectDataset,
    Task,
    TaskDetail,
    UrlResult,
    ValueChange,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

_MEDIA: Mapping[str, tuple[str, ...]] = {
    "source_type": ("mediaSourceType", "imageType"),
    "stored_name": ("mediaName", "imageName"),
}

_FIELDS: Mapping[type[Any], Mapping[str, tuple[str, ...]]] = {
    ProjectDataset: {"media_count": ("mediaCount", "imagesCount")},
    Dataset: {"media": ("media", "images")},
    DatasetMedia: _MEDIA,
    Media: {
        **_MEDIA,
        "last_error_timestamp": ("lastErrorTimeStamp",),
        "frame_rate": ("rFrameRate",),
    },
    UrlResult: {
        "url": ("imageUrl",),
        "status": ("mediaUploadStatus", "imageUploadStatus"),
        "media_id": ("internal_media_ID", "internal_image_ID"),
        "name": ("external_media_ID", "external_image_ID"),
    },
    LabelEntry: {
        "key": ("entryKey",),
        "value": ("entryValue",),
        "parent_id": ("lcEntryParentId",),
    },
    LabelConfiguration: {
        "completed_tasks": ("numberOfCompletedTasks",),
        "reviewed_tasks": ("numberOfReviewedTasks",),
    },
    Task: {
        "id": ("taskId",),
        "state": ("labelTaskState",),
        "type": ("labelTaskType",),
        "media_id": ("mediaId", "imageId"),
        "stored_media_name": ("mediaName", "imageName"),
    },
    TaskDetail: {
        "id": ("taskId",),
        "state": ("labelTaskState",),
        "media": ("media", "image"),
    },
    LabelIteration: {"values": ("entryValues",)},
    LabelValue: {
        "entry_id": ("lcEntryId",),
        "entry_type": ("entryTypeLcEntry",),
        "entry_key": ("entryKeyLcEntry",),
        "entry_value": ("entryValueLcEntry",),
        "parent_id": ("lcEntryValueParentId",),
        "iteration_id": ("labelIterationId",),
        "media_id": ("mediaId", "imageId"),
        "rings": ("pointsCollection",),
        "changes": ("change",),
    },
    ValueChange: {"frame_type": ("type",)},
    CompleteResult: {
        "label_config_changed": ("hasLabelConfigChanged",),
        "task_id": ("currentTaskId",),
    },
    AiSegResult: {"media_id": ("imageId", "mediaId"), "points": ("result",)},
}

DECODED_NAMES: Mapping[str, str] = {"name": "stored_name", "media_name": "stored_media_name"}
"""Fields that no answer holds: each is decoded from the stored name beside it."""


def wire_names(cls: type[Any], field: str) -> tuple[str, ...]:
    """Return what the service calls a model's field, the current name first."""
    fields = _FIELDS.get(cls, {})
    stored = DECODED_NAMES.get(field)
    if stored is not None and stored in fields:
        return fields[stored]
    return fields.get(field) or (_camel(field),)


def _camel(field: str) -> str:
    first, *rest = field.split("_")
    return first + "".join(word.capitalize() for word in rest)
