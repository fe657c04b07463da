"""Labels as they are stored and shown: configurations, tasks, values.

A configuration is a tree of entries, each a geometry to draw or a question to answer. A task has
values, each of one entry, with the values of nested entries below it.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, Literal, Protocol, TypeAlias, TypeVar, get_args

import attrs
import orjson

from datagym_async.server._answers import Json
from datagym_async.server._store import Queries, Row, Transaction, new_id, now

SEGMENTATION: Final = "IMAGE_SEGMENTATION"
GEOMETRIES: Final = frozenset({"POINT", "LINE", "POLYGON", "RECTANGLE"})
CLASSIFICATIONS: Final = frozenset({"SELECT", "CHECKLIST", "FREETEXT"})


TaskState = Literal[
    "BACKLOG",
    "WAITING",
    "WAITING_CHANGED",
    "IN_PROGRESS",
    "SKIPPED",
    "COMPLETED",
    "REVIEWED",
    "REVIEWED_SKIP",
]
TASK_STATES: Final[tuple[TaskState, ...]] = get_args(TaskState)
FINISHED: Final = ("COMPLETED", "SKIPPED", "REVIEWED")

# The user that the service sees behind every token.
LABELER: Final = "token_user"

# An empty value, by the type of its entry, in the order in which an export lists the types.
EMPTY: Final[Mapping[str, Mapping[str, Json]]] = {
    "POINT": {"x": None, "y": None},
    "LINE": {"points": []},
    "POLYGON": {"points": []},
    SEGMENTATION: {"pointsCollection": []},
    "RECTANGLE": {"x": None, "y": None, "width": None, "height": None},
    "SELECT": {"selectKey": None},
    "CHECKLIST": {"checkedValues": []},
    "FREETEXT": {"text": None},
}

T = TypeVar("T")


class _Branch(Protocol):
    @property
    def children(self: "B") -> "Iterable[B]": ...


B = TypeVar("B", bound=_Branch)


@attrs.frozen
class Entry:
    """One entry of a label configuration, with those below it."""

    id: str
    parent_id: str | None
    key: str  # what the export calls it, in lower case
    value: str  # what people read
    type: str  # one of `GEOMETRIES`, `CLASSIFICATIONS` or `SEGMENTATION`
    timestamp: int
    color: str | None = None
    shortcut: str | None = None
    max_length: int | None = None
    required: bool = False
    options: Mapping[str, str] = attrs.field(factory=dict)
    children: tuple["Entry", ...] = ()

    @property
    def is_classification(self) -> bool:
        """Whether it is a question."""
        return self.type in CLASSIFICATIONS

    @property
    def is_geometry(self) -> bool:
        """Whether it is drawn; a segmentation is, too."""
        return not self.is_classification

    def view(self) -> dict[str, Json]:
        return {
            "id": self.id,
            "lcEntryParentId": self.parent_id,
            "entryKey": self.key,
            "entryValue": self.value,
            "type": self.type,
            "color": self.color,
            "shortcut": self.shortcut,
            "timestamp": self.timestamp,
            "maxLength": self.max_length,
            "children": [child.view() for child in self.children],
            "options": dict(self.options),
            "required": self.required,
        }


Entries: TypeAlias = tuple[Entry, ...]  # the roots of a configuration


def walk(roots: Iterable[B]) -> Iterator[B]:
    for root in roots:
        yield root
        yield from walk(root.children)


def entries_of(project: Row) -> Entries:
    def entry(fields: dict[str, Any]) -> Entry:
        return Entry(**fields | {"children": tuple(map(entry, fields["children"]))})

    return tuple(map(entry, orjson.loads(project["entries_json"])))


def questions_of(entries: Iterable[Entry]) -> list[Entry]:
    """Return the questions among entries; those at the root are about the whole image."""
    return [entry for entry in entries if entry.is_classification]


async def store_entries(db: Transaction, project: Row, entries: Entries) -> None:
    text = orjson.dumps([attrs.asdict(entry) for entry in entries]).decode()
    await db.run("UPDATE project SET entries_json = ? WHERE id = ?", text, project["id"])


@attrs.frozen
class LabelTask:
    """A task with its project and its media, deleted or not."""

    task: Row
    project: Row
    media: Row

    @property
    def id(self) -> str:
        return str(self.task["id"])


async def find_label_task(db: Queries, task_id: str, *, what: str = "Label Task") -> LabelTask:
    """Return a task by its id, or refuse with 404, for which the service has three words."""
    task = await db.find(what, "SELECT * FROM task WHERE id = ?", task_id)
    # Both exist, by the constraints of the database.
    (project,) = await db.rows("SELECT * FROM project WHERE id = ?", task["project_id"])
    (media,) = await db.rows("SELECT * FROM media WHERE id = ?", task["media_id"])
    return LabelTask(task, project, media)


async def add_tasks(db: Transaction, project_ids: Sequence[str], media_ids: Sequence[str]) -> None:
    await db.run_many(
        "INSERT INTO task (id, project_id, media_id) VALUES (?, ?, ?)",
        [(new_id(), project, media) for media in media_ids for project in project_ids],
    )


@attrs.frozen
class Value:
    """One label value, with those below it."""

    id: str
    parent_id: str | None
    entry: Entry
    payload: Mapping[str, Json]
    """The members of its type, as the lcValue routes name them; in a video also `change`, its
    keyframes."""
    timestamp: int
    labeler: str | None = LABELER
    valid: bool = False
    comment: str | None = None
    children: tuple["Value", ...] = ()


def empty_values(entry: Entry, parent_id: str | None = None) -> Value:
    """Make a new value of an entry and of the questions below it, but not of nested geometries."""
    value_id = new_id()
    return Value(
        id=value_id,
        parent_id=parent_id,
        entry=entry,
        payload=EMPTY[entry.type],
        timestamp=now(),
        children=tuple(empty_values(child, value_id) for child in questions_of(entry.children)),
    )


async def load_values(db: Queries, task_id: str, entries: Entries) -> tuple[Value, ...]:
    """Read the values of a task, oldest first."""
    by_id = {entry.id: entry for entry in walk(entries)}
    rows: dict[str | None, list[Row]] = {}
    for row in await db.rows("SELECT * FROM lc_value WHERE task_id = ? ORDER BY seq", task_id):
        rows.setdefault(row["parent_id"], []).append(row)

    def below(parent_id: str | None) -> tuple[Value, ...]:
        return tuple(
            Value(
                id=row["id"],
                parent_id=row["parent_id"],
                entry=by_id[row["entry_id"]],
                payload=orjson.loads(row["payload_json"]),
                timestamp=row["timestamp"],
                labeler=row["labeler"],
                valid=bool(row["valid"]),
                comment=row["comment"],
                children=below(row["id"]),
            )
            for row in rows.get(parent_id, ())
        )

    return below(None)


async def insert_values(db: Transaction, task_id: str, roots: Iterable[Value]) -> None:
    await db.run_many(
        "INSERT INTO lc_value (id, task_id, entry_id, parent_id, timestamp, labeler, valid,"
        " comment, payload_json) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
            (
                *(value.id, task_id, value.entry.id, value.parent_id, value.timestamp),
                *(value.labeler, int(value.valid), value.comment, dump(value.payload)),
            )
            for value in walk(roots)
        ],
    )


def dump(payload: Mapping[str, Json]) -> str:
    return orjson.dumps(dict(payload)).decode()


async def with_globals(db: Transaction, task_id: str, entries: Entries) -> tuple[Value, ...]:
    """Return the values of a task, after making its missing empty global classifications."""
    values = await load_values(db, task_id, entries)
    there = {value.entry.id for value in values}
    made = tuple(empty_values(each) for each in questions_of(entries) if each.id not in there)
    await insert_values(db, task_id, made)
    return (*values, *made)


def value_view(value: Value, found: LabelTask) -> dict[str, Json]:
    """Return a value as the service shows it; a single point has the value's own id."""
    entry = value.entry
    view: dict[str, Json] = {
        "id": value.id,
        "lcEntryValueParentId": value.parent_id,
        "labelIterationId": found.project["iteration_id"],
        "mediaId": found.media["id"],
        "lcEntryId": entry.id,
        "timestamp": value.timestamp,
        "labeler": value.labeler,
        "valid": value.valid,
        "configurationId": found.project["config_id"],
        "entryTypeLcEntry": entry.type,
        "entryKeyLcEntry": entry.key,
        "entryValueLcEntry": entry.value,
        "comment": value.comment,
        "change": [],
        "children": [value_view(child, found) for child in value.children],
    }
    payload = dict(value.payload)
    if entry.type in ("POINT", "RECTANGLE"):
        view["point"] = {"id": value.id, "x": payload.pop("x"), "y": payload.pop("y")}
    view.update(payload)
    if entry.is_classification:
        view["required"] = entry.required
    else:
        view.update(color=entry.color, shortcut=entry.shortcut)
    return view


def points_view(points: Iterable[tuple[Json, Json]]) -> list[Json]:
    """Return points as they are stored and shown, each with its own id."""
    return [{"id": new_id(), "x": x, "y": y} for x, y in points]
