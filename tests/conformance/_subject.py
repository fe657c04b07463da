"""Whom the recordings are replayed against: the embedded server, or later a live one."""

from collections.abc import Mapping
from typing import Protocol

from attrs import frozen


class CannotPrepareError(Exception):
    """The subject offers no way to make what a case needs; the case is skipped."""


@frozen
class ProjectIds:
    """The ids of one project."""

    project: str
    label_configuration: str
    label_iteration: str


class Subject(Protocol):
    """A DataGym service, and the few things that its API cannot do."""

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""

    @property
    def token(self) -> str:
        """A good token."""

    async def projects(self) -> Mapping[str, ProjectIds]:
        """Return the ids of ``Img Project`` and ``Vid Project``, by name."""

    async def add_video_dataset(self, name: str, *, video: str) -> tuple[str, str]:
        """Create a dataset of videos with one video; return the ids of both."""

    async def add_dataset_twin(self, name: str) -> None:
        """Create a dataset even if its name is taken."""

    async def soft_delete_dataset(self, dataset_id: str) -> None:
        """Delete a dataset as the web interface does."""

    async def set_task_state(self, task_id: str, state: str) -> None:
        """Move a task as people do in the web interface."""
