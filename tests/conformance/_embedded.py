"""The embedded server as the subject."""

import contextlib
from collections.abc import AsyncIterator, Mapping
from typing import get_args
from urllib.parse import urlsplit

from attrs import field, frozen

from datagym_async.server import (
    SeedDataset,
    SeedMedia,
    SeedProject,
    SeedVideo,
    Server,
    TaskState,
)
from tests.conformance._subject import ProjectIds


@frozen
class EmbeddedSubject:
    """A fresh embedded server with the two projects of the recordings."""

    _server: Server
    _projects: Mapping[str, ProjectIds] = field(repr=False)

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        parts = urlsplit(self._server.base_url)
        assert parts.hostname is not None
        assert parts.port is not None
        return parts.hostname, parts.port

    @property
    def token(self) -> str:
        """The server's own token."""
        return self._server.token

    async def projects(self) -> Mapping[str, ProjectIds]:
        """Return the ids of the two projects."""
        return self._projects

    async def add_video_dataset(self, name: str, *, video: str) -> tuple[str, str]:
        """Seed it, as the recorder inserted it by hand."""
        media = SeedMedia(video, video=SeedVideo(presigned=False))
        (made,) = await self._server.seed_datasets(
            SeedDataset(name, media=[media], media_type="VIDEO")
        )
        return made.id, made.media_ids[video]

    async def add_dataset_twin(self, name: str) -> None:
        """Seed it."""
        await self._server.seed_datasets(SeedDataset(name))

    async def soft_delete_dataset(self, dataset_id: str) -> None:
        """Delete it."""
        await self._server.delete_dataset(dataset_id)

    async def set_task_state(self, task_id: str, state: str) -> None:
        """Move it."""
        known = next(name for name in get_args(TaskState) if name == state)
        await self._server.set_task_state(task_id, known)


@contextlib.asynccontextmanager
async def embedded() -> AsyncIterator[EmbeddedSubject]:
    """Run a fresh server with the recorded projects."""
    async with Server() as server:
        seeded = await server.seed(
            SeedProject("Img Project", short_description="d"),
            SeedProject("Vid Project", short_description="d", media_type="VIDEO"),
        )
        projects = {
            project.name: ProjectIds(
                project.id, project.label_configuration_id, project.label_iteration_id
            )
            for project in seeded
        }
        yield EmbeddedSubject(server, projects)
