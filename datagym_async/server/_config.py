"""Label configurations: filled while empty, cleared with every label that hangs on them."""

from typing import Final

from aiohttp import web

from ._call import Call, Route
from ._config_input import build_entries, read_entries
from ._entries import EntryTree, Reader, insert_entries, load_entries
from ._errors import refuse
from ._render import Json
from ._store import Row, Writer, now

__all__ = ["ROUTES", "config_view"]


async def fill(call: Call) -> web.StreamResponse:
    """PUT /config/{config_id}: all or nothing, and only where nothing is."""
    wanted = read_entries(await call.json())
    config_id = call.ids["config_id"]
    async with call.service.store.writing() as db:
        project = await _project_of(db, config_id)
        if await db.row("SELECT 1 FROM lc_entry WHERE config_id = ? LIMIT 1", config_id):
            raise refuse("ex_gen_config_not_cleared", config_id)
        entries = build_entries(wanted, timestamp=now())
        await insert_entries(db, project["config_id"], entries)
        if entries:
            await _reopen_tasks(db, project["id"])
        await _touch(db, config_id)
        view = await config_view(db, project, EntryTree(entries))
    return call.answer(view)


async def clear(call: Call) -> web.StreamResponse:
    """DELETE /config/{config_id}: finished tasks go back to WAITING_CHANGED."""
    config_id = call.ids["config_id"]
    async with call.service.store.writing() as db:
        project = await _project_of(db, config_id)
        # The values hang on the entries and go with them.
        await db.run("DELETE FROM lc_entry WHERE config_id = ?", config_id)
        await _reopen_tasks(db, project["id"])
        await _touch(db, config_id)
    return call.answer({"configId": config_id})


async def config_view(db: Reader, project: Row, tree: EntryTree | None = None) -> dict[str, Json]:
    """Return a project's label configuration as the service shows it."""
    tree = tree or await load_entries(db, project["config_id"])
    counts = await db.row(
        "SELECT sum(state = 'COMPLETED') AS completed, sum(state = 'REVIEWED') AS reviewed"
        " FROM task WHERE project_id = ?",
        project["id"],
    )
    return {
        "id": project["config_id"],
        "projectId": project["id"],
        "entries": [root.view() for root in tree.roots],
        "numberOfCompletedTasks": counts["completed"] or 0 if counts else 0,
        "numberOfReviewedTasks": counts["reviewed"] or 0 if counts else 0,
    }


async def _project_of(db: Writer, config_id: str) -> Row:
    row = await db.row("SELECT * FROM project WHERE config_id = ?", config_id)
    if row is None:
        raise refuse("ex_notfound", "Label Configuration", "id", config_id)
    return row


async def _reopen_tasks(db: Writer, project_id: str) -> None:
    await db.run(
        "UPDATE task SET labeler = NULL,"
        " state = CASE type WHEN 'DEFAULT' THEN 'WAITING_CHANGED' ELSE 'IN_PROGRESS' END"
        " WHERE project_id = ? AND state IN ('COMPLETED', 'REVIEWED')",
        project_id,
    )


async def _touch(db: Writer, config_id: str) -> None:
    """Note the change, and never at the time of the last one: clients compare for older."""
    await db.run(
        "UPDATE project SET config_timestamp = max(?, config_timestamp + 1) WHERE config_id = ?",
        now(),
        config_id,
    )


ROUTES: Final = (
    Route("PUT", "/config/{config_id}", fill),
    Route("DELETE", "/config/{config_id}", clear),
)
