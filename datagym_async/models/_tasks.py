"""Label values as the label-value routes and the task detail show them."""

from __future__ import annotations

import attrs

from datagym_async.models._basics import (
    EntryType,
    FrameType,
    MediaType,
    PreLabelState,
    TaskState,
    TaskType,
)
from datagym_async.models._media import LabelConfiguration, Media


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


# --- Labelling tasks ------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class Task:
    """A labelling task as its project lists it.

    Args:
        id: UUID of the task.
        project_id: UUID of its project.
        project_name: Name of its project.
        state: Where it stands.
        type: Whether it is an ordinary task or part of a benchmark.
        media_id: UUID of its media.
        media_name: Name of its media, decoded where this package encoded it.
        stored_media_name: Name of its media as the service stores it.
        pre_label_state: How far automatic pre-labelling has come, or None.
        labeler: Who labels it, or None.
        iteration_id: UUID of the labelling iteration.
        iteration_run: Number of that iteration.
        review_comment: The reviewer's remark, or None.
        has_json_upload: True if labels were imported.
        benchmark: True if it is part of a benchmark.
    """

    id: str
    project_id: str
    state: TaskState
    media_id: str
    media_name: str
    stored_media_name: str = attrs.Factory(lambda self: self.media_name, takes_self=True)
    project_name: str = ""
    type: TaskType = TaskType.DEFAULT
    pre_label_state: PreLabelState | None = None
    labeler: str | None = None
    iteration_id: str | None = None
    iteration_run: int = 1
    review_comment: str | None = None
    has_json_upload: bool = False
    benchmark: bool = False


@attrs.frozen(kw_only=True)
class LabelIteration:
    """One pass of labelling over a project, with the values of one task.

    Args:
        id: UUID of the iteration.
        project_id: UUID of the project.
        run: Its number, counted from 1.
        values: The root label values of the task, in no particular order.
    """

    id: str
    project_id: str
    run: int = 1
    values: tuple[LabelValue, ...] = ()


@attrs.frozen(kw_only=True)
class TaskDetail:
    """A labelling task with its label configuration, its values and its media.

    Args:
        id: UUID of the task.
        state: Where it stands.
        label_config: The project's label configuration.
        label_iteration: The iteration, with this task's label values.
        media: The media.
        project_name: Name of the project.
        project_type: What the project labels.
        dataset_id: UUID of the dataset the media is in, or None.
        dataset_name: Name of that dataset, or None.
        last_changed_config: When the label configuration was last changed, in milliseconds since
            1970; `TasksResource.complete` asks for it.
        review_comment: The reviewer's remark, or None.
        review_activated: True if completed tasks are reviewed.
        ai_seg_limit_reached: True if the plan allows no more assisted segmentation.
    """

    id: str
    state: TaskState
    label_config: LabelConfiguration
    label_iteration: LabelIteration
    media: Media
    project_name: str = ""
    project_type: MediaType = MediaType.IMAGE
    dataset_id: str | None = None
    dataset_name: str | None = None
    last_changed_config: int
    review_comment: str | None = None
    review_activated: bool = False
    ai_seg_limit_reached: bool = False


@attrs.frozen
class CompleteResult:
    """The answer to completing a task.

    Args:
        label_config_changed: True if the label configuration is newer than the caller's view of it;
            the task was then NOT completed.
        task_id: UUID of the task.
    """

    label_config_changed: bool
    task_id: str | None = None

    @property
    def completed(self) -> bool:
        """Return whether the task was completed."""
        return not self.label_config_changed


@attrs.frozen
class AiSegResult:
    """The outline that assisted segmentation proposes.

    Args:
        media_id: UUID of the media.
        points: The outline, not closed.
    """

    media_id: str
    points: tuple[StoredPoint, ...] = ()
