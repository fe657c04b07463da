"""Exports: the finished tasks of a project, the keyframes of a video, segmentations as bitmaps.

In a project's export coordinates are cut to whole numbers; if one is missing or negative, all of
the point are null. A missing answer is null, followed by the nested questions as objects.

A value of a video has its keyframes as `change` in its payload, each with the frame's number, its
effect on the object's visibility, and the members of its type. The service's known mistakes are
kept: of a line or polygon only the last point is written, with a capital Y; an incomplete
rectangle, a checklist without a tick and a question whose answer did not change are the text
"null".
"""

import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, TypeAlias
from urllib.parse import quote_plus, unquote_plus

import orjson
from aiohttp import web
from PIL import Image, ImageDraw

from datagym_async._threads import in_thread
from datagym_async.server._answers import Json, items_of, members_of, objects_of, refuse
from datagym_async.server._labels import (
    EMPTY,
    FINISHED,
    GEOMETRIES,
    SEGMENTATION,
    Entries,
    Value,
    entries_of,
    find_label_task,
    load_values,
    walk,
)
from datagym_async.server._links import MAX_PIXELS
from datagym_async.server._service import Call, Route, Service
from datagym_async.server._store import Row, now
from datagym_async.server.routes._media import form_encoded
from datagym_async.server.routes._projects import PROJECT

# The members of shapes that are no lists of points, by their names in an export.
_MEMBERS: Final = {
    "POINT": {"x": "x", "y": "y"},
    "RECTANGLE": {"x": "x", "y": "y", "w": "width", "h": "height"},
}
# The text for a missing value in the export of a video.
_NULL: Final = "null"

Ring: TypeAlias = Sequence[tuple[float, float]]


async def export_project(call: Call) -> web.StreamResponse:
    """GET /export/{project_id}: from here on the service pretty-prints everything."""
    store = call.service.store
    project = await store.find("Project", PROJECT, call.ids["project_id"])
    rows = await store.rows(
        "SELECT t.*, m.name AS media_name, m.source, m.video_json, m.width, m.height"
        " FROM task t JOIN media m ON m.id = t.media_id"
        " WHERE t.project_id = ? AND t.type IN ('DEFAULT', 'BENCHMARK_MASTER')"
        " AND t.state IN (?, ?, ?) AND m.deleted_at IS NULL ORDER BY t.seq",
        project["id"],
        *FINISHED,
    )
    entries = entries_of(project)
    tasks = [await _task(call.service, project, entries, row) for row in rows]
    overview: list[Json] = [{"label_classes": label_classes(entries)}] if tasks else []
    call.service.pretty = True
    return _attachment(call, [*overview, *tasks], project["name"])


async def export_video(call: Call) -> web.StreamResponse:
    """GET /exportVideoTask/{task_id}: in any state; keyframes are seeded, no route makes them."""
    store = call.service.store
    found = await find_label_task(store, call.ids["task_id"], what="Task")
    if found.project["media_type"] != "VIDEO":
        raise refuse("ex_gen_invalid_project_mediatype")
    entries = entries_of(found.project)
    values = await load_values(store, found.id, entries)
    view: Json = {
        "frames": visible_frames(values),
        "object": {value.id: keyframes_view(value) for value in values},
    }
    response = _attachment(call, view, found.id)
    response.headers["Content-Type"] = "application/json;charset=UTF-8"
    return response


async def _task(service: Service, project: Row, entries: Entries, row: Row) -> Json:
    head: dict[str, Json] = {
        "internal_media_ID": row["media_id"],
        "external_media_ID": row["media_name"],
        "labeler": row["labeler"],
        "status": row["state"].lower(),
    }
    if project["media_type"] == "VIDEO":
        head["task_export_url"] = f"{service.base_url}/api/v1/exportVideoTask/{row['id']}/"
        if row["source"] == "AWS_S3":
            video = orjson.loads(row["video_json"])
            if None in (row["height"], row["width"], *video.values()):
                # If the parser did not find something out, the whole export fails.
                raise refuse("ex_system")
            head["video_height"], head["video_width"] = str(row["height"]), str(row["width"])
            for name in ("total_frames", "frame_rate", "duration"):
                head[f"video_{name}"] = str(video[name])
        return head
    values = await load_values(service.store, row["id"], entries)
    drawn = [value for value in values if value.entry.type == SEGMENTATION and value.valid]
    if keys := sorted({value.entry.key for value in drawn}):
        base = f"{service.base_url}/api/v1/export/bitmap/{row['id']}"
        head["segmentations"] = [f"{base}/{quote_plus(key)}" for key in keys]
    return {
        **head,
        "global_classifications": classifications_view(values),
        "labels": labels_view(values),
    }


def _attachment(call: Call, view: Json, name: str) -> web.StreamResponse:
    headers = {"Content-Type": "application/json"}
    response = web.Response(body=call.service.render(view), headers=headers)
    filename = f"datagym_export_{now()}_{form_encoded(name)}.json"
    response.headers["Content-Disposition"] = f'attachment; filename="{filename}"'
    return response


def label_classes(entries: Entries) -> Json:
    """Return the overview of all entries at the beginning of an export."""
    classes: list[Json] = []
    for entry in sorted(walk(entries), key=lambda entry: list(EMPTY).index(entry.type)):
        # The service calls a segmentation a classification here.
        kind = "geometry_type" if entry.type in GEOMETRIES else "classification_type"
        classes.append({"class_name": entry.key, kind: entry.type.lower()})
    return classes


def classifications_view(values: Iterable[Value]) -> dict[str, Json]:
    """Return the classifications among `values` by their keys."""
    return {value.entry.key: _answers(value) for value in values if value.entry.is_classification}


def _answers(value: Value) -> Json:
    below = [child for child in value.children if child.entry.is_classification]
    own = _given(value.entry.type, value.payload, None)
    return [*own, *({child.entry.key: _answers(child)} for child in below)]


def _given(kind: str, members: Mapping[str, Json], nothing: Json) -> Sequence[Json]:
    if kind == "CHECKLIST":
        return items_of(members.get("checkedValues")) or [nothing]
    return [members.get("selectKey" if kind == "SELECT" else "text")]


def labels_view(values: Iterable[Value], *, nested: bool = False) -> dict[str, Json]:
    """Return the geometries among `values` by their keys, nested ones inside."""
    found: dict[str, list[Json]] = {}
    for value in values:
        if value.entry.is_geometry:
            view: dict[str, Json] = {
                value.entry.type.lower(): _coordinates(value),
                "classifications": classifications_view(value.children),
            }
            if not nested:
                view["nested_geometries"] = labels_view(value.children, nested=True)
            found.setdefault(value.entry.key, []).append(view)
    return dict(found)


def _coordinates(value: Value) -> list[Json]:
    payload, kind = value.payload, value.entry.type
    if kind in _MEMBERS:
        return [_whole({short: payload.get(name) for short, name in _MEMBERS[kind].items()})]
    if kind == SEGMENTATION:
        return [_points(ring.get("points")) for ring in objects_of(payload.get("pointsCollection"))]
    return _points(payload.get("points"))


def _points(value: Json) -> list[Json]:
    return [_whole({"x": point.get("x"), "y": point.get("y")}) for point in objects_of(value)]


def _whole(numbers: Mapping[str, Json], *, nothing: Json = None) -> dict[str, Json]:
    cut: dict[str, Json] = {
        name: int(number)
        for name, number in numbers.items()
        if isinstance(number, int | float) and number >= 0
    }
    return cut if len(cut) == len(numbers) else dict.fromkeys(numbers, nothing)


def visible_frames(values: Iterable[Value]) -> dict[str, Json]:
    """Return the visible objects by the frame's number: from each START to its END."""
    frames: dict[str, list[Json]] = {}
    for value in values:
        if value.entry.is_geometry:
            start: int | None = None
            for change in _changes(value):
                frame, kind = _frame(change), change.get("type")
                seen = range(0)
                if kind == "START_END":
                    seen = range(frame, frame + 1)
                elif kind == "START":
                    start = frame
                elif kind == "END" and start is not None:
                    seen, start = range(start, frame + 1), None
                for each in seen:
                    frames.setdefault(str(each), []).append({"visibleObjectId": value.id})
    return dict(frames)


def keyframes_view(value: Value) -> dict[str, Json]:
    """Return the keyframes of an object by the frame's number; a question has none."""
    if value.entry.is_classification:
        return {}
    view: dict[str, dict[str, Json]] = {}
    for change in _changes(value):
        drawn = {value.entry.type.lower(): [_drawn(value.entry.type, change)]}
        view.setdefault(str(_frame(change)), {}).update(drawn)
    for child in value.children:
        for frame in _frames_below(child):
            keyframe = view.setdefault(str(frame), {})
            answers: dict[str, Json] = {child.entry.key: _answers_at(child, frame)}
            keyframe["classifications"] = {**members_of(keyframe.get("classifications")), **answers}
    return dict(view)


def _drawn(kind: str, change: Mapping[str, Json]) -> dict[str, Json]:
    if kind == "RECTANGLE":
        members = {short: change.get(name) for short, name in _MEMBERS[kind].items()}
        return _whole(members, nothing=_NULL)
    points = [change.get("point")] if kind == "POINT" else change.get("points")
    last = (objects_of(points) or [{}])[-1]
    pairs = {"x": last.get("x"), "Y": last.get("y")}
    return {name: number for name, number in pairs.items() if number is not None}


def _frames_below(value: Value) -> list[int]:
    """Return the frames at which an answer or a nested one changed, in order."""
    return sorted({_frame(change) for each in walk([value]) for change in _changes(each)})


def _answers_at(value: Value, frame: int) -> Json:
    change = next((each for each in _changes(value) if _frame(each) == frame), None)
    own = [_NULL] if change is None else _given(value.entry.type, change, _NULL)
    below = [child for child in value.children if frame in _frames_below(child)]
    return [*own, *({child.entry.key: _answers_at(child, frame)} for child in below)]


def _changes(value: Value) -> list[Mapping[str, Json]]:
    return sorted(objects_of(value.payload.get("change")), key=_frame)


def _frame(change: Mapping[str, Json]) -> int:
    number = change.get("frameNumber")
    return number if isinstance(number, int) else 0


async def export_bitmap(call: Call) -> web.StreamResponse:
    """GET /export/bitmap/{task_id}/{entry_key}: all black for a key that segments nothing."""
    store = call.service.store
    found = await find_label_task(store, call.ids["task_id"], what="task")
    if found.task["state"] not in FINISHED:
        raise refuse("ex_gen_wrong_label_task_state", found.id)
    if found.media["deleted_at"] is not None:
        raise refuse("ex_notfound", "image", "id", found.media["id"])
    # The key is decoded a second time, so that + and %2520 are blanks too.
    given = unquote_plus(call.ids["entry_key"])
    key = given.lower()
    entries = entries_of(found.project)
    if not any(entry.key == key for entry in walk(entries)):
        raise refuse("ex_notfound", "lcEntry", "entry_key", given)
    values = await load_values(store, found.id, entries)
    size = found.media["width"], found.media["height"]
    if found.media["width"] is None:
        _, content = await call.service.links.fetch(found.media["url"])
        with Image.open(io.BytesIO(content)) as image:
            size = image.size
    if size[0] * size[1] > MAX_PIXELS:
        # A header may claim any size.
        raise refuse("ex_system")
    drawn = [v for v in walk(values) if v.entry.type == SEGMENTATION and v.entry.key == key]
    bitmap = await in_thread(_draw, size, [_rings(value) for value in drawn])
    response = web.Response(body=bitmap, headers={"Content-Type": "image/bmp"})
    call.chunk(response)
    return response


def _rings(value: Value) -> list[Ring]:
    """Return the outlines of a segmentation: the first is its outside, the others are holes."""
    pairs = (
        [(point.get("x"), point.get("y")) for point in objects_of(ring.get("points"))]
        for ring in objects_of(value.payload.get("pointsCollection"))
    )
    return [
        [(x, y) for x, y in ring if isinstance(x, int | float) and isinstance(y, int | float)]
        for ring in pairs
    ]


def _draw(size: tuple[int, int], segmentations: Sequence[Sequence[Ring]]) -> bytes:
    """Paint all outlines white, then all holes black."""
    image = Image.new("L", size, 0)
    pen = ImageDraw.Draw(image)
    outsides = [rings[0] for rings in segmentations if rings]
    holes = [ring for rings in segmentations for ring in rings[1:]]
    for rings, color in ((outsides, 255), (holes, 0)):
        for ring in rings:
            if len(ring) > 2:
                pen.polygon(ring, fill=color)
    target = io.BytesIO()
    image.save(target, "BMP")
    # The service writes no resolution and no number of used colours, and an opaque palette.
    bitmap = bytearray(target.getvalue())
    bitmap[38:50] = bytes(12)
    bitmap[57 : 54 + 4 * 256 : 4] = b"\xff" * 256
    return bytes(bitmap)


ROUTES: Final = (
    Route("GET", "/export/{project_id}", export_project),
    Route("GET", "/exportVideoTask/{task_id}", export_video, anonymous="ex_forbidden"),
    Route("GET", "/export/bitmap/{task_id}/{entry_key}", export_bitmap),
)
