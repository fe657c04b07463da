"""Labels as they travel: exports, imports and a video's labels.

The payloads below an entry's key stay plain dictionaries and lists, typed here, so that an exported
task can be sent back as a prediction without loss.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NotRequired, TypeAlias, TypedDict

import attrs

from datagym_async.models._enums import EntryType, TaskState
from datagym_async.models._repr import count

Coordinate: TypeAlias = float | str | None
"""Pixels; None or the text "null" where the service has no value; digits as text in imports."""

ClassificationItem: TypeAlias = "str | dict[str, list[ClassificationItem]] | None"
"""A value of a classification (None: unset), or one nested classification under its key."""

Classifications: TypeAlias = dict[str, list[ClassificationItem]]
"""Entry key to its values, followed by one dictionary for each nested classification."""


class PointPayload(TypedDict):
    """A point in pixels, origin top left."""

    x: Coordinate
    y: Coordinate


class RectanglePayload(TypedDict):
    """A rectangle in pixels: its upper left corner, width and height."""

    x: Coordinate
    y: Coordinate
    w: Coordinate
    h: Coordinate


class GeometryPayload(TypedDict, total=False):
    """One labelled geometry: exactly one of the geometry members, and what hangs on it."""

    point: list[PointPayload]
    line: list[PointPayload]
    polygon: list[PointPayload]
    rectangle: list[RectanglePayload]
    image_segmentation: list[list[PointPayload]]
    geometry: list[PointPayload | RectanglePayload]
    classifications: Classifications
    nested_geometries: dict[str, list[GeometryPayload]]


class KeyframePayload(TypedDict, total=False):
    """What changed for one object at one frame of a video.

    A current service writes the ordinate of points with a capital letter: ``{"x": 1, "Y": 2}``.
    """

    point: list[dict[str, Coordinate]]
    line: list[dict[str, Coordinate]]
    polygon: list[dict[str, Coordinate]]
    rectangle: list[RectanglePayload]
    classifications: Classifications


Geometries: TypeAlias = dict[str, list[GeometryPayload]]
"""Entry key to the geometries of that entry."""

Keyframes: TypeAlias = dict[int, KeyframePayload]
"""Number of the frame to what changed there."""


class Prediction(TypedDict):
    """Labels of one media, to be imported."""

    internal_media_ID: str
    keepData: NotRequired[bool]
    global_classifications: NotRequired[Classifications]
    labels: NotRequired[Geometries]


@attrs.frozen
class LabelClass:
    """One entry of the label configuration as an export lists it, without its place in the tree.

    Args:
        name: Key of the entry; it repeats where a key is used in several trees.
        geometry_type: Type of a geometry, or None.
        classification_type: Type of a classification, or None. Segmentations are listed here.
    """

    name: str
    geometry_type: EntryType | None = None
    classification_type: EntryType | None = None


@attrs.frozen(kw_only=True)
class TaskLabels:
    """The labels of one task, as exported.

    Args:
        media_id: UUID of the media.
        media_name: Name of the media, decoded where this package encoded it; not unique.
        stored_media_name: Name of the media as the service stores it.
        labeler: User id of the labeller, or None.
        state: COMPLETED, SKIPPED or REVIEWED.
        segmentations: URLs of the segmentation bitmaps, as the service writes them (its own idea of
            its address). Use `LabelsResource.bitmap` to fetch one.
        global_classifications: Classifications of the whole image.
        labels: Geometries by entry key. Coordinates are cut to whole pixels by the service.
        task_export_url: Where the labels of a video are; None for images.
        video_height: Pixels, or None.
        video_width: Pixels, or None.
        video_total_frames: Number of frames, or None.
        video_frame_rate: Frames a second as a fraction, for example ``"30/1"``, or None.
        video_duration: Seconds, or None.
    """

    media_id: str
    media_name: str
    stored_media_name: str = attrs.Factory(lambda self: self.media_name, takes_self=True)
    labeler: str | None = None
    state: TaskState
    segmentations: tuple[str, ...] = ()
    global_classifications: Classifications = attrs.field(factory=dict)
    labels: Geometries = attrs.field(factory=dict)
    task_export_url: str | None = None
    video_height: int | None = None
    video_width: int | None = None
    video_total_frames: int | None = None
    video_frame_rate: str | None = None
    video_duration: float | None = None


@attrs.frozen
class LabelExport:
    """The labels of a project: every task that is completed, skipped or reviewed.

    Args:
        label_classes: The entries of the label configuration; empty if no task is exported.
        tasks: The labels of each task.
    """

    label_classes: tuple[LabelClass, ...] = ()
    tasks: tuple[TaskLabels, ...] = attrs.field(default=(), repr=count)


@attrs.frozen
class VideoLabels:
    """The labels of one video.

    Args:
        frames: Number of a frame (counted from 0) to the ids of the objects visible in it; a frame
            that is absent shows none.
        objects: Id of an object to its keyframes. The service does not say its entry key.
    """

    frames: Mapping[int, tuple[str, ...]] = attrs.field(factory=dict, repr=count)
    objects: Mapping[str, Keyframes] = attrs.field(factory=dict, repr=count)


@attrs.frozen
class ImportFailure:
    """A batch of predictions that the service refused; nothing of it was stored.

    Args:
        first: Index of the batch's first prediction, counted from 0 in the order given.
        count: Number of predictions in the batch.
        message: What the service says: a hint for people, of no fixed form.
        key: The service's error key; empty where it gave none.
    """

    first: int
    count: int
    message: str
    key: str = ""


@attrs.frozen
class ImportResult:
    """What became of imported predictions.

    Args:
        stored: Number of predictions that were stored.
        failures: The batches that were refused, in order.
    """

    stored: int = 0
    failures: tuple[ImportFailure, ...] = ()

    @property
    def ok(self) -> bool:
        """Return whether every prediction was stored."""
        return not self.failures
