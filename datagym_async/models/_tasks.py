"""Labelling tasks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from datagym_async.models._enums import MediaType, PreLabelState, TaskState, TaskType
from datagym_async.models._label_configs import LabelConfiguration
from datagym_async.models._media import Media
from datagym_async.models._time import instant
from datagym_async.models._values import LabelValue, StoredPoint

if TYPE_CHECKING:
    from datetime import datetime


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

    @property
    def config_changed_at(self) -> datetime:
        """Return when the label configuration was last changed (UTC)."""
        return instant(self.last_changed_config)


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
