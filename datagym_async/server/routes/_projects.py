"""Projects, and the datasets attached to them."""

from typing import Final

from aiohttp import web

from datagym_async.server._answers import refuse
from datagym_async.server._labels import add_tasks
from datagym_async.server._service import Call, Route
from datagym_async.server._store import Row, Transaction, columns

PROJECT: Final = "SELECT * FROM project WHERE id = ? AND deleted_at IS NULL"
_DATASETS: Final = (
    "SELECT d.*,"
    " (SELECT count(*) FROM media m"
    "   WHERE m.dataset_id = d.id AND m.deleted_at IS NULL) AS media_count,"
    " (SELECT count(*) FROM project_dataset p WHERE p.dataset_id = d.id) AS project_count"
    " FROM project_dataset pd JOIN dataset d ON d.id = pd.dataset_id"
    " WHERE pd.project_id = ? AND d.deleted_at IS NULL ORDER BY d.seq"
)


async def list_projects(call: Call) -> web.StreamResponse:
    store = call.service.store
    projects = await store.rows(
        "SELECT *, config_id AS label_configuration_id, iteration_id AS label_iteration_id"
        " FROM project WHERE deleted_at IS NULL ORDER BY seq DESC"
    )
    shown = (
        "id name shortDescription description timestamp labelConfigurationId labelIterationId"
        " owner mediaType"
    )
    parts = "id name shortDescription timestamp owner mediaCount projectCount mediaType"
    views = []
    for row in projects:
        datasets = [columns(each, parts) for each in await store.rows(_DATASETS, row["id"])]
        views.append({**columns(row, shown), "datasets": datasets})
    return call.answer(views)


async def attach(call: Call) -> web.StreamResponse:
    """POST /project/{project_id}/dataset/{dataset_id}: also makes a BACKLOG task of each media."""
    async with call.service.store.writing() as db:
        project, dataset, attached = await _find_both(db, call)
        # A dataset that was deleted in the web interface can still be attached (observed).
        if attached:
            raise refuse("ex_already_contains", "Project", "Dataset")
        if project["media_type"] != dataset["media_type"]:
            raise refuse("ex_gen_mediatype_missmatch")
        await db.run("INSERT INTO project_dataset VALUES (?, ?)", project["id"], dataset["id"])
        media = await db.rows(
            "SELECT id FROM media WHERE dataset_id = ? ORDER BY seq", dataset["id"]
        )
        await add_tasks(db, [project["id"]], [row["id"] for row in media])
    return web.Response()


async def detach(call: Call) -> web.StreamResponse:
    """DELETE /project/{project_id}/dataset/{dataset_id}/remove: tasks and labels go."""
    async with call.service.store.writing() as db:
        project, dataset, attached = await _find_both(db, call)
        if not attached:
            raise refuse("ex_gen_does_not_contain", "Project", "Dataset")
        # The label values are deleted with their tasks.
        ids = project["id"], dataset["id"]
        await db.run(
            "DELETE FROM task WHERE project_id = ?"
            " AND media_id IN (SELECT id FROM media WHERE dataset_id = ?)",
            *ids,
        )
        await db.run("DELETE FROM project_dataset WHERE project_id = ? AND dataset_id = ?", *ids)
    return web.Response()


async def _find_both(db: Transaction, call: Call) -> tuple[Row, Row, bool]:
    """Return a project, a dataset, and whether they are attached."""
    project = await db.find("Project", PROJECT, call.ids["project_id"])
    sql = "SELECT * FROM dataset WHERE id = ?"
    dataset = await db.find("Dataset", sql, call.ids["dataset_id"])
    sql = "SELECT 1 FROM project_dataset WHERE project_id = ? AND dataset_id = ?"
    return project, dataset, await db.row(sql, project["id"], dataset["id"]) is not None


ROUTES: Final = (
    Route("GET", "/project", list_projects),
    Route("POST", "/project/{project_id}/dataset/{dataset_id}", attach),
    Route("DELETE", "/project/{project_id}/dataset/{dataset_id}/remove", detach),
)
