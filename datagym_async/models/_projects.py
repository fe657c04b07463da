"""Projects, and what a project says of the datasets attached to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from datagym_async.models._enums import MediaType
from datagym_async.models._time import instant

if TYPE_CHECKING:
    from datetime import datetime


@attrs.frozen
class ProjectDataset:
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

    @property
    def created_at(self) -> datetime:
        """Return when the dataset was created (UTC)."""
        return instant(self.timestamp)


@attrs.frozen
class Project:
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

    @property
    def created_at(self) -> datetime:
        """Return when the project was created (UTC)."""
        return instant(self.timestamp)
