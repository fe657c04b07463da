"""Every public call that a service answers, and what the service was recorded to answer to it.

Tests of hostile answers draw on it: they change an answer, or put another in its place, and make a
call. What a call gives is looked at by `touch`, for a value that raises later is no value.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable  # attrs may want them at run time
from contextlib import aclosing
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import orjson

from datagym_async import DataGymClient, DownloadConfig
from datagym_async.labels import Annotation, LabeledImage, LabelExport, Point, Rectangle, to_payload
from tests.conformance._recordings import WIRE
from tests.helpers.photos import jpeg

if TYPE_CHECKING:
    from datagym_async._wire import Request

ID = "b2a4fde8-a81d-4ada-a1e4-6e77332bce15"
PHOTO = jpeg(2000)
BOX = Annotation("car", Rectangle(1, 1, 5, 5))
ENTRIES = [{"entryKey": "car", "entryValue": "Car", "type": "RECTANGLE"}]
_SHOWN = 20
"""Elements of a list that are looked at."""

Call = Callable[[DataGymClient, Path], Awaitable[object]]


# --- what was recorded ---------------------------------------------------------------------------


@attrs.frozen
class Recorded:
    """One recorded answer: JSON is a value, anything else its bytes."""

    status: int
    headers: dict[str, str]
    value: object = None
    data: bytes = b""

    @property
    def body(self) -> bytes:
        """Return the bytes of the body."""
        return self.data if self.value is None else orjson.dumps(self.value)


_ROUTES = {
    "HEAD project": "HEAD_project",
    "GET project": "GET_project",
    "POST project/ID/dataset/ID": "POST_project_dataset",
    "DELETE project/ID/dataset/ID/remove": "DELETE_project_dataset",
    "GET dataset": "GET_dataset",
    "GET dataset/ID": "GET_dataset_id",
    "POST dataset": "POST_dataset",
    "POST media/ID/file": "POST_media_dataset_file",
    "POST media/ID/url": "POST_media_dataset_url",
    "GET media/ID": "GET_media",
    "DELETE media/ID": "DELETE_media",
    "POST project/ID/prediction": "POST_prediction",
    "GET export/ID": "GET_export",
    "GET exportVideoTask/ID": "GET_exportVideoTask",
    "GET export/bitmap/ID/ID": "GET_export_bitmap",
    "DELETE config/ID": "DELETE_config",
    "PUT config/ID": "PUT_config",
    "GET task/ID/list": "GET_task_list",
    "GET task/ID": "GET_task",
    "PUT task/ID/skipTask": "PUT_task_skipTask",
    "PUT task/ID/completeTask": "PUT_task_completeTask",
    "POST lcValue/ID": "POST_lcValue",
    "PUT lcValue/ID": "PUT_lcValue",
    "DELETE lcValue/ID": "DELETE_lcValue",
    "PUT lcValue/ID/changeType": "PUT_lcValue_changeType",
    "POST aiseg/ID/prepare": "aiseg",
    "POST aiseg/calculate": "aiseg",
    "DELETE aiseg/ID/finish": "aiseg",
}
_WORDS = frozenset(re.findall(r"[A-Za-z]+", " ".join(_ROUTES))) - {"ID"}
_MADE: dict[str, list[object]] = {
    "aiseg": [{"mediaId": ID, "result": [{"x": 1.5, "y": 2}, {"x": 3, "y": 4}, {"x": 5, "y": 6}]}],
    "GET_media": [PHOTO, b"https://store.test/video.mp4?signature=x"],
    "GET_export_bitmap": [PHOTO],
}
"""Good answers that were not recorded, or not whole."""


def route_of(request: Request) -> str:
    """Return the recordings that a request is answered with."""
    parts = [part if part in _WORDS else "ID" for part in request.path.split("/")]
    return _ROUTES[f"{request.method} {'/'.join(parts)}"]


def recorded(route: str) -> list[Recorded]:
    """Return the answers of a route that were recorded whole, the good ones first."""
    return _all_recorded()[route]


@cache
def _all_recorded() -> dict[str, list[Recorded]]:
    return {route: _recorded(route) for route in set(_ROUTES.values())}


def _recorded(route: str) -> list[Recorded]:
    made = [_made(each) for each in _MADE.get(route, [])]
    file = WIRE / f"{route}.json"
    entries = json.loads(file.read_bytes()) if file.exists() or not made else []
    found = [_of(entry["response"]) for entry in entries if _is_whole(entry.get("response"))]
    different = {(each.status, each.body): each for each in found}
    return made + sorted(different.values(), key=_usual_first)


def _usual_first(answer: Recorded) -> tuple[bool, int, bytes]:
    return answer.status != 200, -len(answer.body), answer.body


def _made(body: object) -> Recorded:
    if not isinstance(body, bytes):
        return Recorded(200, _headers("application/json"), body)
    kind = "image/jpeg" if body == PHOTO else "text/plain"
    return Recorded(200, _headers(kind), None, body)


def _headers(content_type: str) -> dict[str, str]:
    return {"content-type": content_type, "date": "Mon, 23 Nov 2026 12:00:30 GMT"}


def _is_whole(response: dict[str, Any] | None) -> bool:
    if not isinstance(response, dict) or not response.get("status"):
        return False
    body = json.dumps(response["body"])
    return "<trimmed" not in body and not body.startswith('"<')


def _of(response: dict[str, Any]) -> Recorded:
    headers = {name.lower(): value for name, value in (response.get("headers") or {}).items()}
    headers.pop("content-length", None)
    body = response["body"]
    if isinstance(body, str) or body is None:
        return Recorded(response["status"], headers, None, (body or "").encode())
    return Recorded(response["status"], headers, _short(body))


def _short(value: Any) -> Any:
    """Return a JSON value without the greater part of its long lists."""
    if isinstance(value, list):
        return [_short(item) for item in value[:4]]
    if isinstance(value, dict):
        return {name: _short(item) for name, item in value.items()}
    return value


_all_recorded()  # read here, not in an event loop


# --- the calls -----------------------------------------------------------------------------------


async def _gone_through(items: AsyncIterator[object]) -> list[object]:
    async with aclosing(items) as found:  # type: ignore[type-var]  # all of them are generators
        return [each async for each in found]


async def _stream(client: DataGymClient, _: Path) -> object:
    async with client.media.stream(ID) as chunks:
        return [chunk async for chunk in chunks]


async def _bitmaps(client: DataGymClient, _: Path) -> object:
    async with client.bitmaps(ID) as stream:
        return [bitmap async for bitmap, _ in stream]


async def _loader(client: DataGymClient, _: Path) -> object:
    async with client.loader(ID, prefetch=2) as samples:
        return [sample async for sample in samples]


async def _read_parts(client: DataGymClient, _: Path) -> object:
    return await client.datasets.read_parts(_gone_through)


CALLS: dict[str, Call] = {
    "ping": lambda client, _: client.ping(),
    "projects.list": lambda client, _: client.projects.list(),
    "projects.find": lambda client, _: client.projects.find("Street scenes"),
    "projects.add_dataset": lambda client, _: client.projects.add_dataset(ID, ID),
    "projects.remove_dataset": lambda client, _: client.projects.remove_dataset(ID, ID),
    "datasets.list": lambda client, _: client.datasets.list(),
    "datasets.get": lambda client, _: client.datasets.get(ID),
    "datasets.iter_parts": lambda client, _: _gone_through(client.datasets.iter_parts(ID)),
    "datasets.read_parts": _read_parts,
    "datasets.find": lambda client, _: client.datasets.find("Photos"),
    "datasets.create": lambda client, _: client.datasets.create("Photos of today"),
    "datasets.ensure": lambda client, _: client.datasets.ensure("Photos of today"),
    "media.upload_file": lambda client, _: client.media.upload_file(ID, PHOTO, name="a.jpg"),
    "media.upload_urls": lambda client, _: client.media.upload_urls(ID, ["https://a.test/a.jpg"]),
    "media.download": lambda client, _: client.media.download(ID),
    "media.download_to": lambda client, folder: client.media.download_to(ID, folder / "a.jpg"),
    "media.stream": _stream,
    "media.delete": lambda client, _: client.media.delete(ID),
    "labels.export": lambda client, _: client.labels.export(ID),
    "labels.iter_export": lambda client, _: _gone_through(client.labels.iter_export(ID)),
    "labels.export_to": lambda client, folder: client.labels.export_to(ID, folder / "labels.json"),
    "labels.export_video": lambda client, _: client.labels.export_video(ID, with_classes=False),
    "labels.export_videos": lambda client, _: _gone_through(client.labels.export_videos(ID)),
    "labels.bitmap": lambda client, _: client.labels.bitmap(ID, "seg"),
    "labels.import_predictions": lambda client, _: client.labels.import_predictions(
        ID, [LabeledImage(media_id=ID, media_name="a.jpg", annotations=[BOX])], keep_data=False
    ),
    "label_configs.read": lambda client, _: client.label_configs.read(ID),
    "label_configs.clear": lambda client, _: client.label_configs.clear(ID),
    "label_configs.upload": lambda client, _: client.label_configs.upload(ID, ENTRIES),
    "label_configs.replace": lambda client, folder: client.label_configs.upload(
        ID, ENTRIES, replace=True, backup=folder
    ),
    "label_configs.backup": lambda client, folder: client.label_configs.backup(ID, folder),
    "label_configs.at_stake": lambda client, _: client.label_configs.at_stake(ID),
    "tasks.list": lambda client, _: client.tasks.list(ID, state="all"),
    "tasks.iter": lambda client, _: _gone_through(client.tasks.iter(ID)),
    "tasks.get": lambda client, _: client.tasks.get(ID),
    "tasks.skip": lambda client, _: client.tasks.skip(ID),
    "tasks.complete": lambda client, _: client.tasks.complete(ID),
    "tasks.complete_many": lambda client, _: client.tasks.complete_many([ID]),
    "tasks.skip_many": lambda client, _: client.tasks.skip_many([ID]),
    "values.create": lambda client, _: client.values.create(
        ID, iteration_id=ID, media_id=ID, task_id=ID
    ),
    "values.update": lambda client, _: client.values.update(ID, entry_id=ID, task_id=ID, x=1, y=2),
    "values.read": lambda client, _: client.values.read(ID),
    "values.write": lambda client, _: client.values.write(ID, [BOX]),
    "values.delete": lambda client, _: client.values.delete(ID),
    "values.change_type": lambda client, _: client.values.change_type(ID, ID),
    "ai_segmentation.prepare": lambda client, _: client.ai_segmentation.prepare(ID),
    "ai_segmentation.calculate": lambda client, _: client.ai_segmentation.calculate(
        ID, positive_points=[Point(1, 1)]
    ),
    "ai_segmentation.finish": lambda client, _: client.ai_segmentation.finish(ID),
}
"""Every method that asks the service, resource by resource."""

JOBS: dict[str, Call] = {
    "export_labels": lambda client, folder: client.export_labels(ID, folder / "labels.json"),
    "export_labels.jsonl": lambda client, folder: client.export_labels(
        ID, folder / "labels.jsonl", "jsonl"
    ),
    "export_labels.coco": lambda client, folder: client.export_labels(
        ID, folder / "coco.json", "coco", sizes=False
    ),
    "bitmaps": _bitmaps,
    "download_bitmaps": lambda client, folder: client.download_bitmaps(ID, folder),
    "download_dataset": lambda client, folder: client.download_dataset(ID, folder / "out"),
    "download_project": lambda client, folder: client.download_project(
        ID, folder / "out", config=DownloadConfig(labels="jsonl", bitmaps=True)
    ),
    "upload": lambda client, folder: client.upload(ID, [str(_photo(folder))]),
    "loader": _loader,
}
"""Whole jobs, which write to a folder."""


def _photo(folder: Path) -> Path:
    path = folder / "photo.jpg"
    path.write_bytes(PHOTO)
    return path


# --- what came of it -----------------------------------------------------------------------------


def touch(value: object) -> None:
    """Look at a value as a caller would: its words, its properties, what it writes to a file.

    Raises:
        AssertionError: A text in it holds half a character.
        Exception: The value was none: it raises where it is looked at.
    """
    repr(value)
    if isinstance(value, LabelExport):
        orjson.dumps(value.to_payload())
    if isinstance(value, LabeledImage):
        orjson.dumps(to_payload(value))
    for part in _parts(value):
        if isinstance(part, str):
            assert part == part.encode("utf-8", "replace").decode(), f"half a character: {part!a}"
        else:
            touch(part)


def _parts(value: object) -> list[object]:
    if isinstance(value, dict):
        return [*itertools.islice(itertools.chain(value.keys(), value.values()), _SHOWN)]
    if isinstance(value, list | tuple):
        return [*value[:_SHOWN]]
    kind: Any = type(value)
    if not attrs.has(kind):
        return []
    properties = [name for name in dir(kind) if isinstance(getattr(kind, name), property)]
    fields = [each.name for each in attrs.fields(kind) if not each.name.startswith("_")]
    return [getattr(value, name) for name in (*fields, *properties) if name[0] != "_"]
