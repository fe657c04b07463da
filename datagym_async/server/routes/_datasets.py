"""Datasets: the list, one with its media, and how one is made."""

from collections.abc import Iterable
from typing import Final

from aiohttp import web

from datagym_async.server._answers import (
    NOT_EMPTY,
    NOT_NULL,
    WORDS,
    Json,
    is_reserved,
    pattern,
    read_text,
    refuse,
    require,
    size,
)
from datagym_async.server._service import OWNER, Call, Route
from datagym_async.server._store import Row, columns, fold, new_id, now

_NAME: Final = pattern("^[a-zA-Z0-9_ ]{1,128}$")

_DATASETS: Final = (
    "SELECT d.*,"
    " (SELECT count(*) FROM project_dataset p WHERE p.dataset_id = d.id) AS project_count"
    " FROM dataset d WHERE d.deleted_at IS NULL"
)
_MEDIA: Final = (
    "SELECT id, dataset_id, timestamp, source AS media_source_type, name AS media_name FROM media"
    " WHERE deleted_at IS NULL"
)


async def list_datasets(call: Call) -> web.StreamResponse:
    """GET /dataset: all datasets with all their media."""
    store = call.service.store
    media: dict[str, list[Json]] = {}
    for row in await store.rows(f"{_MEDIA} ORDER BY seq"):
        media.setdefault(row["dataset_id"], []).append(_media(row))
    datasets = await store.rows(f"{_DATASETS} ORDER BY d.seq DESC")
    return call.answer([_dataset(row, row["id"], media.get(row["id"], ())) for row in datasets])


async def get_dataset(call: Call) -> web.StreamResponse:
    """GET /dataset/{dataset_id}; the answer repeats the id in the case that was asked for."""
    store, dataset_id = call.service.store, call.ids["dataset_id"]
    dataset = await store.find("dataset", f"{_DATASETS} AND d.id = ?", dataset_id)
    media = await store.rows(f"{_MEDIA} AND dataset_id = ? ORDER BY seq", dataset_id)
    return call.answer(_dataset(dataset, dataset_id, map(_media, media)))


async def create_dataset(call: Call) -> web.StreamResponse:
    """POST /dataset: always for images, whatever one asks for."""
    body = await call.json_object("name", "shortDescription")
    name, text = read_text(body.get("name")), read_text(body.get("shortDescription"))
    require(
        [
            ("Short Description", text, pattern(WORDS), size(0, 128, key="ex_length")),
            ("Name", name, NOT_NULL, _NAME, size(1, 128), NOT_EMPTY),
        ]
    )
    assert name is not None, "not_null has passed"  # noqa: S101 -- tells the type checker
    async with call.service.store.writing() as db:
        if is_reserved(name):
            raise refuse("ex_gen_forbidden_keyword", name)
        sql = "SELECT 1 FROM dataset WHERE folded = ? AND deleted_at IS NULL"
        same = await db.rows(sql, fold(name))
        if len(same) > 1:
            # Its "find one by name" fails where a race has left several.
            raise refuse("ex_system")
        if same:
            raise refuse("ex_alreadyexists", "Dataset", "name", name)
        dataset_id = new_id()
        await db.run(
            "INSERT INTO dataset"
            " (id, name, folded, short_description, timestamp, owner, media_type)"
            " VALUES (?, ?, ?, ?, ?, ?, 'IMAGE')",
            *(dataset_id, name, fold(name), text, now(), OWNER),
        )
        row = await db.find("dataset", f"{_DATASETS} AND d.id = ?", dataset_id)
    return call.answer(_dataset(row, dataset_id, ()))


def _dataset(row: Row, dataset_id: str, media: Iterable[Json]) -> Json:
    view = columns(row, "id name shortDescription timestamp owner projectCount mediaType")
    return {**view, "id": dataset_id, "media": list(media)}


def _media(row: Row) -> Json:
    return columns(row, "id timestamp mediaSourceType mediaName")


ROUTES: Final = (
    Route("GET", "/dataset", list_datasets),
    Route("POST", "/dataset", create_dataset),
    Route("GET", "/dataset/{dataset_id}", get_dataset),
)
