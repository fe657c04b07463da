"""Label values as the label-value routes and the task detail show them."""

from __future__ import annotations

import attrs

from datagym_async.models._enums import EntryType, FrameType


@attrs.frozen
class StoredPoint:
    """A point in pixels, origin top left; None where a coordinate was never set.

    Args:
        x: Pixels from the left edge, fractions allowed.
        y: Pixels from the top edge, fractions allowed.
        id: UUID of the stored point, or None.
    """

    x: float | None = None
    y: float | None = None
    id: str | None = attrs.field(default=None, repr=False)


@attrs.frozen
class PointRing:
    """One ring of an image segmentation: the first is the outline, the following are holes.

    Args:
        points: Its points, not closed.
        id: UUID of the stored ring, or None.
    """

    points: tuple[StoredPoint, ...] = ()
    id: str | None = attrs.field(default=None, repr=False)


@attrs.frozen(kw_only=True)
class ValueChange:
    """One keyframe of a label value in a video.

    Args:
        id: UUID of the keyframe.
        frame_number: Number of the frame, counted from 0.
        frame_type: What it does to the visibility of its object.
        kind: The service's name for the kind of value, or None.
        x: Left edge of a rectangle or the point, in pixels, or None.
        y: Top edge of a rectangle or the point, in pixels, or None.
        width: Width of a rectangle in pixels, or None.
        height: Height of a rectangle in pixels, or None.
        point: The point, or None.
        points: Points of a line or polygon.
        select_key: Key of the option of a select, or None.
        checked_values: Keys of the ticked options of a checklist.
        text: A free text, or None.
    """

    id: str | None = None
    frame_number: int | None = None
    frame_type: FrameType | None = None
    kind: str | None = None
    x: float | None = None
    y: float | None = None
    width: float | None = None
    height: float | None = None
    point: StoredPoint | None = None
    points: tuple[StoredPoint, ...] = ()
    select_key: str | None = None
    checked_values: tuple[str, ...] = ()
    text: str | None = None


@attrs.frozen(kw_only=True)
class LabelValue:
    """One label value of a task, with the values nested in it.

    What does not apply to its type is None or empty.

    Args:
        id: UUID of the value.
        entry_id: UUID of the entry of the label configuration it answers.
        entry_type: Type of that entry.
        entry_key: Key of that entry.
        entry_value: The text labellers see for that entry.
        parent_id: UUID of the value it is nested in, or None.
        iteration_id: UUID of the labelling iteration.
        media_id: UUID of the labelled media.
        configuration_id: UUID of the label configuration.
        timestamp: When it was written, in milliseconds since 1970, or None.
        labeler: Who wrote it (``"token_user"`` for API calls), or None.
        valid: True once the service has checked it, which it does when the task is completed.
        comment: A remark of at most 128 characters, or None.
        point: The point, or the upper left corner of a rectangle; None for other types.
        width: Width of a rectangle in pixels, or None.
        height: Height of a rectangle in pixels, or None.
        points: Points of a line or polygon.
        rings: Rings of an image segmentation.
        color: Colour of a geometry, or None.
        shortcut: Digit of a geometry, or None.
        select_key: Key of the chosen option of a select, or None.
        checked_values: Keys of the ticked options of a checklist.
        text: A free text, or None.
        required: True if a classification must be answered.
        children: The values nested in it.
        changes: Its keyframes, in videos.
    """

    id: str
    entry_id: str
    entry_type: EntryType
    entry_key: str
    entry_value: str = ""
    parent_id: str | None = None
    iteration_id: str | None = None
    media_id: str | None = None
    configuration_id: str | None = None
    timestamp: int | None = None
    labeler: str | None = None
    valid: bool = False
    comment: str | None = None
    point: StoredPoint | None = None
    width: float | None = None
    height: float | None = None
    points: tuple[StoredPoint, ...] = ()
    rings: tuple[PointRing, ...] = ()
    color: str | None = None
    shortcut: str | None = None
    select_key: str | None = None
    checked_values: tuple[str, ...] = ()
    text: str | None = None
    required: bool = False
    children: tuple[LabelValue, ...] = ()
    changes: tuple[ValueChange, ...] = ()
