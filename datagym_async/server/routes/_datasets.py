"""Datasets: the list, one with its media, and how one is made."""

from collections.abc import Iterable
from typing import Final

from aiohttp import web

from datagym_async.server._call import Call, Route
from datagym_async.server._errors import (
    WORDS,
    is_reserved,
    length,
    not_empty,
    not_null,
    pattern,
    read_text,
    refuse,
    require,
    size,
)
from datagym_async.server._json import Json
from datagym_async.server._service import OWNER
from datagym_async.server._store import Row, Transaction, fold, new_id, now

_NAME: Final = "^[a-zA-Z0-9_ ]{1,128}$"

_DATASETS: Final = (
    "SELECT d.*,"
    " (SELECT count(*) FROM project_dataset p WHERE p.dataset_id = d.id) AS project_count"
    " FROM dataset d WHERE d.deleted_at IS NULL"
)
_MEDIA: Final = "SELECT id, dataset_id, timestamp, source, name FROM media WHERE deleted_at IS NULL"


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
    dataset = await store.row(f"{_DATASETS} AND d.id = ?", dataset_id)
    if dataset is None:
        raise refuse("ex_notfound", "dataset", "id", dataset_id)
    media = await store.rows(f"{_MEDIA} AND dataset_id = ? ORDER BY seq", dataset_id)
    return call.answer(_dataset(dataset, dataset_id, map(_media, media)))


async def create_dataset(call: Call) -> web.StreamResponse:
    """POST /dataset: always for images, whatever one asks for."""
    body = await call.json_object("name", "shortDescription")
    name, text = read_text(body.get("name")), read_text(body.get("shortDescription"))
    require(
        pattern("Short Description", text, WORDS),
        length("Short Description", text, 128),
        not_null("Name", name),
        pattern("Name", name, _NAME),
        size("Name", name, 1, 128),
        not_empty("Name", name),
    )
    assert name is not None, "not_null has passed"  # noqa: S101 -- tells the type checker
    async with call.service.store.writing() as db:
        await _check_name(db, name)
        dataset_id = new_id()
        await db.run(
            "INSERT INTO dataset"
            " (id, name, folded, short_description, timestamp, owner, media_type)"
            " VALUES (?, ?, ?, ?, ?, ?, 'IMAGE')",
            *(dataset_id, name, fold(name), text, now(), OWNER),
        )
        row = await db.row(f"{_DATASETS} AND d.id = ?", dataset_id)
    assert row is not None, "just inserted"  # noqa: S101 -- tells the type checker
    return call.answer(_dataset(row, dataset_id, ()))


async def _check_name(db: Transaction, name: str) -> None:
    if is_reserved(name):
        raise refuse("ex_gen_forbidden_keyword", name)
    same = await db.rows(
        "SELECT 1 FROM dataset WHERE folded = ? AND deleted_at IS NULL", fold(name)
    )
    if len(same) > 1:
        # Its "find one by name" fails where a race has left several.
        raise refuse("ex_system")
    if same:
        raise refuse("ex_alreadyexists", "Dataset", "name", name)


def _dataset(row: Row, dataset_id: str, media: Iterable[Json]) -> Json:
    return {
        "id": dataset_id,
        "name": row["name"],
        "shortDescription": row["short_description"],
        "timestamp": row["timestamp"],
        "owner": row["owner"],
        "projectCount": row["project_count"],
        "mediaType": row["media_type"],
        "media": list(media),
    }


def _media(row: Row) -> Json:
    return {
        "id": row["id"],
        "timestamp": row["timestamp"],
        "mediaSourceType": row["source"],
        "mediaName": row["name"],
    }


ROUTES: Final = (
    Route("GET", "/dataset", list_datasets),
    Route("POST", "/dataset", create_dataset),
    Route("GET", "/dataset/{dataset_id}", get_dataset),
)
