"""`ProjectsResource`: projects and the datasets attached to them."""

from __future__ import annotations

from collections.abc import Iterable

from datagym_async._checks import checked
from datagym_async._wire import _routes as routes
from datagym_async._wire._errors import no_such
from datagym_async.exceptions import NotFoundError
from datagym_async.models import DatasetId, Project, ProjectId
from datagym_async.resources._base import Resource, find_by_name


@checked
class ProjectsResource(Resource):
    """The projects of the token's organisation. The service's API cannot create or delete any.

    Ids are UUIDs. A call raises `NotFoundError` for an id that is unknown, and another `APIError`
    if the service cannot be reached or refuses.
    """

    async def ping(self) -> None:
        """Ask the service whether the token is good.

        Raises:
            AuthenticationError: No token reached the service.
            PermissionDeniedError: The token is not, or no longer, valid.
        """
        await self._do(routes.check_token())

    async def list(self) -> list[Project]:
        """Return all projects, in no particular order."""
        return [*await self._fetch(routes.list_projects(), tuple[Project, ...])]

    async def find(self, name: str) -> Project | None:
        """Return the project of a name, or None.

        Names are compared as the service does, without case. An exact match goes first, and the
        oldest of several.
        """
        return find_by_name(await self.list(), name)

    async def add_dataset(self, project_id: ProjectId, dataset_id: DatasetId) -> None:
        """Attach a dataset to a project; nothing happens where it is attached already.

        The service creates one task in state BACKLOG for each media. It refuses a dataset of
        another media type than the project's (`RequestRefusedError`).
        """
        await self._do(routes.add_dataset(project_id, dataset_id), "ex_already_contains")

    async def remove_dataset(self, project_id: ProjectId, dataset_id: DatasetId) -> None:
        """Detach a dataset from a project; nothing happens where it is not attached.

        The service deletes the tasks of its media **and all their labels** in this project.
        """
        await self._do(routes.remove_dataset(project_id, dataset_id), "ex_gen_does_not_contain")


def chosen(projects: Iterable[Project], project_id: str) -> Project:
    """Return the one of some projects that has an id, or raise `NotFoundError`."""
    found = next((each for each in projects if each.id == project_id.lower()), None)
    if found is None:
        raise NotFoundError(no_such("project", project_id), status=404, key="ex_notfound")
    return found
