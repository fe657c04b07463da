"""Projects: the list, and which datasets belong to them."""

from collections.abc import Sequence
from typing import Final

from aiohttp import web

from ._call import Call, Route, empty
from ._errors import refuse
from ._render import Json
from ._store import Row, Store, Writer
from ._task_rows import add_tasks, drop_tasks

__all__ = ["ROUTES", "find_project"]


async def list_projects(call: Call) -> web.StreamResponse:
    """GET /project."""
    store = call.service.store
    projects = await store.rows("SELECT * FROM project WHERE deleted_at IS NULL ORDER BY seq DESC")
    return call.answer([_project(row, await _summaries(store, row["id"])) for row in projects])


async def attach(call: Call) -> web.StreamResponse:
    """POST /project/{project_id}/dataset/{dataset_id}: also makes a BACKLOG task of each media."""
    async with call.service.store.writing() as db:
        project, dataset = await _both(db, call)
        # A dataset that was deleted in the web interface can still be attached: so it was observed.
        if await _is_attached(db, project, dataset):
            raise refuse("ex_already_contains", "Project", "Dataset")
        if project["media_type"] != dataset["media_type"]:
            raise refuse("ex_gen_mediatype_missmatch")
        await db.run("INSERT INTO project_dataset VALUES (?, ?)", project["id"], dataset["id"])
        await add_tasks(db, project["id"], dataset["id"])
    return empty()


async def detach(call: Call) -> web.StreamResponse:
    """DELETE /project/{project_id}/dataset/{dataset_id}/remove: tasks and labels go."""
    async with call.service.store.writing() as db:
        project, dataset = await _both(db, call)
        if not await _is_attached(db, project, dataset):
            raise refuse("ex_gen_does_not_contain", "Project", "Dataset")
        await drop_tasks(db, project["id"], dataset["id"])
        await db.run(
            "DELETE FROM project_dataset WHERE project_id = ? AND dataset_id = ?",
            project["id"],
            dataset["id"],
        )
    return empty()


async def find_project(db: Store | Writer, project_id: str) -> Row:
    """Return the row of a project.

    Raises:
        Refusal: 404.
    """
    row = await db.row("SELECT * FROM project WHERE id = ? AND deleted_at IS NULL", project_id)
    if row is None:
        raise refuse("ex_notfound", "Project", "id", project_id)
    return row


async def _both(db: Writer, call: Call) -> tuple[Row, Row]:
    project = await find_project(db, call.ids["project_id"])
    dataset_id = call.ids["dataset_id"]
    dataset = await db.row("SELECT * FROM dataset WHERE id = ?", dataset_id)
    if dataset is None:
        raise refuse("ex_notfound", "Dataset", "id", dataset_id)
    return project, dataset


async def _is_attached(db: Writer, project: Row, dataset: Row) -> bool:
    found = await db.row(
        "SELECT 1 FROM project_dataset WHERE project_id = ? AND dataset_id = ?",
        project["id"],
        dataset["id"],
    )
    return found is not None


async def _summaries(store: Store, project_id: str) -> list[Json]:
    rows = await store.rows(
        "SELECT d.*,"
        " (SELECT count(*) FROM media m"
        "   WHERE m.dataset_id = d.id AND m.deleted_at IS NULL) AS media_count,"
        " (SELECT count(*) FROM project_dataset p WHERE p.dataset_id = d.id) AS project_count"
        " FROM project_dataset pd JOIN dataset d ON d.id = pd.dataset_id"
        " WHERE pd.project_id = ? AND d.deleted_at IS NULL ORDER BY d.seq",
        project_id,
    )
    return [_summary(row) for row in rows]


def _summary(row: Row) -> Json:
    return {
        "id": row["id"],
        "name": row["name"],
        "shortDescription": row["short_description"],
        "timestamp": row["timestamp"],
        "owner": row["owner"],
        "mediaCount": row["media_count"],
        "projectCount": row["project_count"],
        "mediaType": row["media_type"],
    }


def _project(row: Row, datasets: Sequence[Json]) -> Json:
    return {
        "id": row["id"],
        "name": row["name"],
        "shortDescription": row["short_description"],
        "description": row["description"],
        "timestamp": row["timestamp"],
        "labelConfigurationId": row["config_id"],
        "labelIterationId": row["iteration_id"],
        "owner": row["owner"],
        "mediaType": row["media_type"],
        "datasets": datasets,
    }


ROUTES: Final = (
    Route("GET", "/project", list_projects),
    Route("POST", "/project/{project_id}/dataset/{dataset_id}", attach),
    Route("DELETE", "/project/{project_id}/dataset/{dataset_id}/remove", detach),
)
