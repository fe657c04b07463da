"""A task with what belongs to it: project, media, configuration, values."""

import attrs

from ._entries import EntryTree, Reader
from ._errors import refuse
from ._store import Row, Writer
from ._value_tree import Context, Value, empty_values, insert_values, load_values

__all__ = ["LabelTask", "find_label_task", "with_globals"]


@attrs.frozen
class LabelTask:
    """A task with its project and its media, deleted or not."""

    task: Row
    project: Row
    media: Row

    @property
    def id(self) -> str:
        """The task's id as it is stored."""
        return str(self.task["id"])

    @property
    def context(self) -> Context:
        """What every value of the task shows."""
        return Context(self.project["config_id"], self.project["iteration_id"], self.media["id"])


async def find_label_task(db: Reader, task_id: str, *, what: str = "Label Task") -> LabelTask:
    """Return a task by its id.

    Raises:
        Refusal: 404, which calls the task `what`: the service has three words for it.
    """
    task = await db.row("SELECT * FROM task WHERE id = ?", task_id)
    if task is None:
        raise refuse("ex_notfound", what, "id", task_id)
    project = await db.row("SELECT * FROM project WHERE id = ?", task["project_id"])
    media = await db.row("SELECT * FROM media WHERE id = ?", task["media_id"])
    if project is None or media is None:
        raise refuse("ex_system")
    return LabelTask(task, project, media)


async def with_globals(db: Writer, task_id: str, tree: EntryTree) -> tuple[Value, ...]:
    """Return the values of a task, after making the empty global classifications it lacks."""
    values = await load_values(db, task_id, tree)
    there = {value.entry.id for value in values}
    lacking = [entry for entry in tree.root_classifications() if entry.id not in there]
    made = tuple(empty_values(entry) for entry in lacking)
    await insert_values(db, task_id, made)
    return (*values, *made)
