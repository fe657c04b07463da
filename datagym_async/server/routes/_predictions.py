"""Importing labels: all items of a request or none; errors are one text in an answer 200.

The member of a geometry is not compared with the entry's type: the service reads polygon,
rectangle, line, point and geometry in this order, each as the configured type.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import attrs
import orjson
from aiohttp import web

from datagym_async.server._answers import (
    Json,
    items_of,
    members_of,
    objects_of,
    parse,
    refuse,
    syntax_error,
)
from datagym_async.server._labels import (
    EMPTY,
    SEGMENTATION,
    Entries,
    Entry,
    Value,
    dump,
    empty_values,
    entries_of,
    insert_values,
    points_view,
    questions_of,
    walk,
    with_globals,
)
from datagym_async.server._prediction_schema import problems_of, report
from datagym_async.server._service import Call, Route
from datagym_async.server._store import Row, Transaction
from datagym_async.server.routes._projects import PROJECT

# The words of the service's JSON library about a document that is no array.
_NO_ARRAY: Final = "A JSONArray text must start with '[' at 1 [character 2 line 1]"
_NO_BODY: Final = "Unable to parse the content. No data available?"

_MEMBERS: Final = ("polygon", "rectangle", "line", "point", "geometry")


async def import_labels(call: Call) -> web.StreamResponse:
    store = call.service.store
    project = await store.find("Project", PROJECT, call.ids["project_id"])
    body = await call.body()
    if not body.strip():
        raise refuse("ex_gen_error_messages", _NO_BODY)
    try:
        document = parse(body)
    except orjson.JSONDecodeError:
        return call.answer({"errorMessages": syntax_error(body)})
    if not isinstance(document, list):
        raise refuse("ex_gen_error_messages", _NO_ARRAY)
    if call.service.dialect == "legacy":
        for item in objects_of(document):
            if isinstance(item, dict) and "internal_image_ID" in item:
                item["internal_media_ID"] = item["internal_image_ID"]
    problems = problems_of(document)
    if not problems:
        async with store.writing() as db:
            project = await db.find("Project", PROJECT, project["id"])  # it may have changed
            entries = entries_of(project)
            for item in objects_of(document):
                await _import_item(db, project, entries, item)
    return call.answer({"errorMessages": report(problems)})


async def _import_item(
    db: Transaction, project: Row, entries: Entries, item: Mapping[str, Json]
) -> None:
    media_id = item.get("internal_media_ID")
    if media_id is None:
        return  # ignored, as by the service
    sql = "SELECT id FROM task WHERE project_id = ? AND media_id = ? AND type = 'DEFAULT'"
    task = await db.row(sql, project["id"], str(media_id))
    if task is None:
        raise refuse("ex_gen_json_upload_not_found_task")
    if item.get("keepData") is False:
        await db.run("DELETE FROM lc_value WHERE task_id = ?", task["id"])
    # A value for each geometry, and one for each global classification.
    geometries = {entry.key: entry for entry in entries if entry.is_geometry}
    await insert_values(db, task["id"], _geometries(geometries, members_of(item.get("labels"))))
    questions = {entry.key: entry for entry in questions_of(entries)}
    given = members_of(item.get("global_classifications"))
    answers = {_known(questions, key).id: items_of(each) for key, each in given.items()}
    for value in await with_globals(db, task["id"], entries):
        if value.entry.id in answers:
            answered = walk([_answered(value, answers[value.entry.id])])
            rows = [(dump(each.payload), each.id) for each in answered]
            await db.run_many("UPDATE lc_value SET payload_json = ? WHERE id = ?", rows)
    await db.run("UPDATE task SET has_json_upload = 1 WHERE id = ?", task["id"])


def _answered(value: Value, answers: Sequence[Json]) -> Value:
    """Return a classification's value with its answers and nested ones."""
    own = [answer for answer in answers if isinstance(answer, str)]
    payload, kind = value.payload, value.entry.type
    if kind == "CHECKLIST" and own:
        payload = {"checkedValues": own}
    elif kind == "SELECT" and len(own) == 1:
        payload = {"selectKey": own[0] if own[0] in value.entry.options else None}
    elif kind == "FREETEXT" and len(own) == 1:
        payload = {"text": own[0]}
    below = next((part for part in answers if isinstance(part, Mapping)), None)
    if below is not None and not below:
        raise refuse("ex_system")
    # The service reads the first key only.
    first = dict(list((below or {}).items())[:1])
    return attrs.evolve(value, payload=payload, children=_answer_children(value, first))


def _answer_children(value: Value, answers: Mapping[str, Json]) -> tuple[Value, ...]:
    entries = {child.key: child for child in questions_of(value.entry.children)}
    wanted = {_known(entries, key).id: items_of(given) for key, given in answers.items()}
    return tuple(
        _answered(child, wanted[child.entry.id]) if child.entry.id in wanted else child
        for child in value.children
    )


def _geometries(
    entries: Mapping[str, Entry], labels: Mapping[str, Json], parent_id: str | None = None
) -> Iterator[Value]:
    """Yield a value for each geometry, with its answers and, at the root, nested geometries."""
    for key, items in labels.items():
        for item in items_of(items):
            if key.lower() not in entries:
                raise refuse("ex_gen_wrong_entry_id", key)
            entry, drawn = entries[key.lower()], members_of(item)
            value = empty_values(entry, parent_id)
            value = attrs.evolve(value, payload=_payload(value, drawn))
            children = _answer_children(value, members_of(drawn.get("classifications")))
            if parent_id is None:
                inside = {child.key: child for child in entry.children if child.is_geometry}
                nested = members_of(drawn.get("nested_geometries"))
                children = (*children, *_geometries(inside, nested, value.id))
            yield attrs.evolve(value, children=children)


def _payload(value: Value, drawn: Mapping[str, Json]) -> Mapping[str, Json]:
    """Read the members of a geometry as the configured type; the last one wins."""
    kind = value.entry.type
    payload = EMPTY[kind]
    for points in (objects_of(drawn[name]) for name in _MEMBERS if name in drawn):
        if kind == SEGMENTATION:
            raise refuse("ex_gen_entry_type_not_found", kind)
        if kind == "RECTANGLE":
            for point in points[-1:]:
                if point.keys() - {"x", "y", "w", "h"}:
                    raise refuse("ex_gen_entry_type_not_found", "entry type")
                names = {"x": "x", "y": "y", "width": "w", "height": "h"}
                payload = {name: _number(point.get(short)) for name, short in names.items()}
            continue
        if any(point.keys() - {"x", "y"} for point in points):
            raise refuse("ex_gen_entry_value_validation", kind, value.id)
        pairs = [(_number(point.get("x")), _number(point.get("y"))) for point in points]
        if kind != "POINT":
            payload = {"points": points_view(pairs)}
        elif pairs:
            payload = dict(zip(("x", "y"), pairs[-1], strict=True))
    return payload


def _number(value: Json) -> float | None:
    try:
        return float(value) if isinstance(value, int | float | str) else None
    except ValueError:
        # The schema checks x and y only; this is the w of a `geometry`.
        raise refuse("ex_system") from None


def _known(entries: Mapping[str, Entry], key: str) -> Entry:
    if key not in entries:
        raise refuse("ex_gen_wrong_entry_id", key)
    return entries[key]


ROUTES: Final = (Route("POST", "/project/{project_id}/prediction", import_labels),)
