"""Label values: what is drawn or answered for one entry, with what hangs below it."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

import attrs
import orjson

from ._entries import SEGMENTATION, Entry, EntryTree, Reader
from ._render import Json
from ._store import Row, Writer, new_id, now

__all__ = [
    "LABELER",
    "Context",
    "Value",
    "empty_payload",
    "empty_values",
    "insert_values",
    "load_values",
    "points_view",
    "value_view",
]

# The user that the service sees behind every token.
LABELER: Final = "token_user"

_EMPTY: Final[Mapping[str, Mapping[str, Json]]] = {
    "POINT": {"x": None, "y": None},
    "RECTANGLE": {"x": None, "y": None, "width": None, "height": None},
    "LINE": {"points": []},
    "POLYGON": {"points": []},
    SEGMENTATION: {"pointsCollection": []},
    "SELECT": {"selectKey": None},
    "CHECKLIST": {"checkedValues": []},
    "FREETEXT": {"text": None},
}


@attrs.frozen
class Value:
    """One label value with everything below it.

    Attributes:
        payload: The members of its type, as the lcValue routes name them; in a video also its
            keyframes, as `change`.
    """

    id: str
    parent_id: str | None
    entry: Entry
    payload: Mapping[str, Json]
    timestamp: int
    labeler: str | None = LABELER
    valid: bool = False
    comment: str | None = None
    children: tuple["Value", ...] = ()

    def walk(self) -> Iterator["Value"]:
        """Yield the value and everything below it, parents first."""
        yield self
        for child in self.children:
            yield from child.walk()


@attrs.frozen
class Context:
    """The ids that every value of a task shows."""

    config_id: str
    iteration_id: str
    media_id: str


def empty_payload(kind: str) -> Mapping[str, Json]:
    """Return the payload of a value in which nothing has been drawn or answered."""
    return _EMPTY[kind]


def empty_values(
    entry: Entry, parent_id: str | None = None, *, payload: Mapping[str, Json] | None = None
) -> Value:
    """Make a new value of an entry and, below it, of the questions asked about it.

    Nested geometries are drawn on their own; they get no value.
    """
    value_id = new_id()
    questions = (child for child in entry.children if child.is_classification)
    return Value(
        id=value_id,
        parent_id=parent_id,
        entry=entry,
        payload=empty_payload(entry.type) if payload is None else payload,
        timestamp=now(),
        children=tuple(empty_values(child, value_id) for child in questions),
    )


async def load_values(db: Reader, task_id: str, tree: EntryTree) -> tuple[Value, ...]:
    """Read the values of a task, oldest first."""
    entries = tree.by_id()
    rows = await db.rows("SELECT * FROM lc_value WHERE task_id = ? ORDER BY seq", task_id)
    below: dict[str | None, list[Row]] = {}
    for row in rows:
        below.setdefault(row["parent_id"], []).append(row)
    return _values_below(None, below, entries)


def _values_below(
    parent: str | None, rows: Mapping[str | None, Sequence[Row]], entries: Mapping[str, Entry]
) -> tuple[Value, ...]:
    return tuple(
        _value(row, entries, _values_below(row["id"], rows, entries))
        for row in rows.get(parent, ())
    )


def _value(row: Row, entries: Mapping[str, Entry], children: tuple[Value, ...]) -> Value:
    return Value(
        id=row["id"],
        parent_id=row["parent_id"],
        entry=entries[row["entry_id"].lower()],
        payload=orjson.loads(row["payload_json"]),
        timestamp=row["timestamp"],
        labeler=row["labeler"],
        valid=bool(row["valid"]),
        comment=row["comment"],
        children=children,
    )


async def insert_values(db: Writer, task_id: str, roots: Iterable[Value]) -> None:
    """Store new values of a task."""
    await db.run_many(
        "INSERT INTO lc_value (id, task_id, entry_id, parent_id, timestamp, labeler, valid,"
        " comment, payload_json) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [_columns(task_id, value) for root in roots for value in root.walk()],
    )


def _columns(task_id: str, value: Value) -> tuple[str | int | None, ...]:
    return (
        value.id,
        task_id,
        value.entry.id,
        value.parent_id,
        value.timestamp,
        value.labeler,
        int(value.valid),
        value.comment,
        orjson.dumps(dict(value.payload)).decode(),
    )


def value_view(value: Value, context: Context) -> dict[str, Json]:
    """Return a value as the service shows it."""
    entry = value.entry
    view: dict[str, Json] = {
        "id": value.id,
        "lcEntryValueParentId": value.parent_id,
        "labelIterationId": context.iteration_id,
        "mediaId": context.media_id,
        "lcEntryId": entry.id,
        "timestamp": value.timestamp,
        "labeler": value.labeler,
        "valid": value.valid,
        "configurationId": context.config_id,
        "entryTypeLcEntry": entry.type,
        "entryKeyLcEntry": entry.key,
        "entryValueLcEntry": entry.value,
        "comment": value.comment,
        "change": [],
        "children": [value_view(child, context) for child in value.children],
    }
    view.update(_payload_view(value))
    if entry.is_classification:
        view["required"] = entry.required
    else:
        view.update(color=entry.color, shortcut=entry.shortcut)
    return view


def _payload_view(value: Value) -> dict[str, Json]:
    """Return the members of the value's type; a single point carries the value's own id."""
    payload = dict(value.payload)
    if value.entry.type not in ("POINT", "RECTANGLE"):
        return payload
    point: Json = {"id": value.id, "x": payload.pop("x"), "y": payload.pop("y")}
    return {"point": point, **payload}


def points_view(points: Iterable[tuple[Json, Json]]) -> list[Json]:
    """Return points as they are stored and shown: each with an id of its own."""
    return [{"id": new_id(), "x": x, "y": y} for x, y in points]
