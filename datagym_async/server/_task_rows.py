"""Tasks as rows: a media of an attached dataset has one task in each project."""

from ._store import Writer, new_id

__all__ = ["add_tasks", "add_tasks_of_media", "drop_tasks"]


async def add_tasks(db: Writer, project_id: str, dataset_id: str) -> None:
    """Make a BACKLOG task of each media of a dataset, deleted ones included."""
    media = await db.rows("SELECT id FROM media WHERE dataset_id = ? ORDER BY seq", dataset_id)
    await db.run_many(
        "INSERT INTO task (id, project_id, media_id) VALUES (?, ?, ?)",
        [(new_id(), project_id, row["id"]) for row in media],
    )


async def add_tasks_of_media(db: Writer, dataset_id: str, media_ids: list[str]) -> None:
    """Make BACKLOG tasks of new media in every project that the dataset is attached to."""
    projects = await db.rows(
        "SELECT project_id FROM project_dataset WHERE dataset_id = ?", dataset_id
    )
    if projects:
        await db.run_many(
            "INSERT INTO task (id, project_id, media_id) VALUES (?, ?, ?)",
            [(new_id(), row["project_id"], media_id) for media_id in media_ids for row in projects],
        )


async def drop_tasks(db: Writer, project_id: str, dataset_id: str) -> None:
    """Delete the tasks of a dataset in a project; their label values go with them."""
    await db.run(
        "DELETE FROM task WHERE project_id = ?"
        " AND media_id IN (SELECT id FROM media WHERE dataset_id = ?)",
        project_id,
        dataset_id,
    )
