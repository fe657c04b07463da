"""Media: stored, shown, read and deleted.

New media are files as raw bytes, or links, which are fetched when they are read. A file is checked
in the service's order: header, token, dataset, name, and only then the body. So two uploads of one
name at once are both stored, as by the service.
"""

import hashlib
import hmac
import re
import zlib
from collections.abc import Mapping
from typing import Final
from urllib.parse import quote_plus

import aiofiles
import orjson
from aiohttp import web

from datagym_async._threads import in_thread
from datagym_async.server._answers import (
    BadRequestPage,
    EmptyAnswer,
    Json,
    Refusal,
    read_text,
    refuse,
    refuse_data,
)
from datagym_async.server._files import ACCEPTED, UnreadableImageError, receive, sniff
from datagym_async.server._labels import add_tasks
from datagym_async.server._service import Call, Plan, Route, Service
from datagym_async.server._store import Queries, Row, Transaction, fold, fold_link, new_id, now

_TRUE: Final = frozenset({"", "true", "on", "yes", "1"})
_FALSE: Final = frozenset({"false", "off", "no", "0"})
_PIECE: Final = 1 << 20
_LONGEST_NAME: Final = 255
_LONGEST_URL: Final = 1256
_CONTROL: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_SUFFIXES: Final = frozenset({"jpg", "jpeg", "png"})
# The service's URL parser needs a known scheme, and a number as the port.
_URL: Final = re.compile(
    r"(?:https?|ftp|file):(?://(?:[^/?#]*@)?(?:\[[^\]]*\]|[^/?#:]*)(?::\d*)?(?:[/?#].*)?|(?!//).*)",
    re.IGNORECASE | re.DOTALL,
)


async def find_media(db: Queries, media_id: str, *, deleted: bool = False) -> Row:
    sql = "SELECT * FROM media WHERE id = ?"
    return await db.find("media", sql if deleted else f"{sql} AND deleted_at IS NULL", media_id)


def media_view(service: Service, row: Row) -> Mapping[str, Json]:
    """Return a media as in the answer to an upload and in a task."""
    view: dict[str, Json] = {
        "id": row["id"],
        "timestamp": row["timestamp"],
        "mediaSourceType": row["source"],
        "mediaName": row["name"],
        "valid": bool(row["valid"]),
        "reason": row["reason"],
        "url": row["url"],
    }
    if row["source"] == "LOCAL":
        view |= {"width": row["width"], "height": row["height"]}
    elif row["source"] == "AWS_S3":
        video = orjson.loads(row["video_json"])
        view |= {
            "url": presigned_url(service, row),
            "awsKey": row["id"],
            "lastError": None,
            "lastErrorTimeStamp": now() if row["reason"] else None,
            "height": row["height"],
            "width": row["width"],
            "totalFrames": video["total_frames"],
            "duration": video["duration"],
            "codecName": video["codec_name"],
            "rFrameRate": video["frame_rate"],
            "formatName": video["format_name"],
            "size": row["size"],
        }
    return view


def presigned_url(service: Service, row: Row) -> str | None:
    """Return the address at which a video needs no token; None without AWS."""
    if not orjson.loads(row["video_json"])["presigned"]:
        return None
    return f"{service.base_url}/presigned/{row['id']}?signature={_signature(service, row)}"


def _signature(service: Service, row: Row) -> str:
    return hmac.new(service.signing_key, row["id"].encode(), hashlib.sha256).hexdigest()


async def get_media(call: Call) -> web.StreamResponse:
    """GET /media/{media_id}: bytes of a file, a link image as it is now, or a video's address."""
    as_attachment = call.request.query.get("dl", "true").lower()
    if as_attachment not in _TRUE | _FALSE:
        raise EmptyAnswer(400)
    row = await find_media(call.service.store, call.ids["media_id"])
    if row["source"] == "SHAREABLE_LINK":
        return await _link(call, row)
    if row["source"] == "AWS_S3":
        url = presigned_url(call.service, row)
        if url is None:
            raise refuse("ex_gen_file_stream")
        headers = {"Content-Type": "text/plain;charset=UTF-8"}
        return web.Response(body=url.encode(), headers=headers)
    headers = {"Content-Type": row["mime"]}
    if as_attachment in _TRUE:
        headers["Content-Disposition"] = f'attachment; filename="{form_encoded(row["name"])}"'
    return await _file(call, row, headers)


async def delete_media(call: Call) -> web.StreamResponse:
    """DELETE /media/{media_id}: softly; the name is free again, tasks go on answering by id."""
    media_id = call.ids["media_id"]
    async with call.service.store.writing() as db:
        row = await find_media(db, media_id, deleted=True)
        if row["deleted_at"] is not None:
            raise refuse("ex_gen_image_delete", media_id)
        await db.run("UPDATE media SET deleted_at = ? WHERE id = ?", now(), media_id)
    return web.Response()


async def get_presigned(call: Call) -> web.StreamResponse:
    """GET /presigned/{media_id}: a video, as S3 serves it to anybody with the address."""
    if "Authorization" in call.request.headers:
        # As with S3, two credentials are an error; this also finds a client that leaks its token.
        raise EmptyAnswer(400)
    row = await find_media(call.service.store, call.ids["media_id"])
    if call.request.query.get("signature") != _signature(call.service, row):
        raise EmptyAnswer(403)
    return await _file(call, row, {"Content-Type": row["mime"] or "application/octet-stream"})


def form_encoded(name: str) -> str:
    """Return a name as in the service's Content-Disposition: form-urlencoded UTF-8."""
    return quote_plus(name, safe="*").replace("~", "%7E")


async def _link(call: Call, row: Row) -> web.StreamResponse:
    try:
        mime, content = await call.service.links.fetch(row["url"])
    except Refusal as refusal:
        # A wrong link (400) is marked; one that only failed (500) is not.
        if refusal.details:
            is_url = refusal.details[0].key == "Invalid image url"
            reason = "INVALID_URL" if is_url else "INVALID_MIME_TYPE"
            async with call.service.store.writing() as db:
                sql = "UPDATE media SET valid = 0, reason = ? WHERE id = ?"
                await db.run(sql, reason, row["id"])
                await db.run("UPDATE task SET state = 'SKIPPED' WHERE media_id = ?", row["id"])
        raise
    response = web.Response(body=content, headers={"Content-Type": mime})
    call.chunk(response)
    return response


async def _file(call: Call, row: Row, headers: Mapping[str, str]) -> web.StreamResponse:
    path = call.service.folder.media(row["id"])
    if row["size"] <= _PIECE:
        return web.Response(body=await in_thread(path.read_bytes), headers=headers)
    # Not aiohttp's file answer, since the service ignores ranges and conditions.
    response = web.StreamResponse(headers=headers)
    response.content_length = row["size"]
    await response.prepare(call.request)
    if call.request.method != "HEAD":
        async with aiofiles.open(path, "rb") as file:
            while piece := await file.read(_PIECE):
                await response.write(piece)
    await response.write_eof()
    return response


async def upload_file(call: Call) -> web.StreamResponse:
    """POST /media/{dataset_id}/file: if it breaks off before its end, nothing is stored."""
    # The first X-filename in ISO-8859-1, as the service reads it.
    headers = call.request.raw_headers
    values = (value for header, value in headers if header.lower() == b"x-filename")
    name = next(values, b"").decode("latin-1").strip(" \t")
    if not name:
        raise refuse_data("ex_val_empty", name="Header: X-filename")
    if _CONTROL.search(name):
        raise BadRequestPage
    call.authenticate()
    service = call.service
    dataset = await _find_dataset(call)
    taken = await service.store.row(
        "SELECT 1 FROM media WHERE dataset_id = ? AND folded = ? AND deleted_at IS NULL",
        dataset["id"],
        fold(name),
    )
    if taken is not None:
        raise refuse("ex_alreadyexists", "Image", "name", name)
    limit = service.max_allowed_packet
    async with receive(call.request.content, service.folder, limit) as incoming:
        mime = sniff(incoming.head)
        if mime not in ("image/jpeg", "image/png"):
            raise refuse_data("ex_val_bin_mime", mime, ACCEPTED)
        if incoming.size >= limit or len(name) > _LONGEST_NAME:
            raise refuse("ex_system")
        try:
            size = await incoming.image_size()
        except UnreadableImageError:
            raise refuse("ex_system") from None
        # The file first: every row has its file, and files without a row are swept.
        media_id = new_id()
        await incoming.keep(media_id)
        try:
            async with service.store.writing() as db:
                await _check_plan(db, service.plan, incoming.size)
                await db.run(
                    "INSERT INTO media"
                    " (id, dataset_id, name, folded, timestamp, source, mime, size, width, height)"
                    " VALUES (?, ?, ?, ?, ?, 'LOCAL', ?, ?, ?, ?)",
                    *(media_id, dataset["id"], name, fold(name), now(), mime, incoming.size, *size),
                )
                await _add_tasks(db, dataset["id"], [media_id])
                row = await find_media(db, media_id)
        except Exception:
            await in_thread(service.folder.media(media_id).unlink, missing_ok=True)
            raise
    return call.answer(media_view(service, row))


async def _find_dataset(call: Call) -> Row:
    """Return the dataset for new media, which may be softly deleted."""
    dataset_id = call.ids["dataset_id"]
    row = await call.service.store.find("dataset", "SELECT * FROM dataset WHERE id = ?", dataset_id)
    if row["name"] in ("Dummy_Dataset_One", "Dummy_Dataset_Two"):
        raise refuse("ex_gen_dummy_dataset_limit")
    return row


async def _check_plan(db: Transaction, plan: Plan, size: int) -> None:
    if plan.storage_limit_kb is None:
        return
    sql = "SELECT coalesce(sum((size + 999) / 1000), 0) FROM media WHERE deleted_at IS NULL"
    ((used,),) = await db.rows(sql)
    needed = used + (size + 999) // 1000
    if needed > plan.storage_limit_kb:
        raise refuse("ex_limit", "Storage", str(needed), str(plan.storage_limit_kb))


async def _add_tasks(db: Transaction, dataset_id: str, media_ids: list[str]) -> None:
    """Make BACKLOG tasks of new media in every project that the dataset is attached to."""
    sql = "SELECT project_id FROM project_dataset WHERE dataset_id = ?"
    projects = [str(row["project_id"]) for row in await db.rows(sql, dataset_id)]
    if projects:
        await add_tasks(db, projects, media_ids)


async def upload_urls(call: Call) -> web.StreamResponse:
    """POST /media/{dataset_id}/url: one that cannot be stored makes the whole request fail."""
    body = await call.json()
    if not isinstance(body, list):
        raise EmptyAnswer(400)
    texts = set()
    for item in body:
        text = read_text(item)
        if text is None:
            raise refuse("ex_system")
        texts.add(text)
    # The service has a set: repeated URLs vanish, and the order is arbitrary.
    urls = sorted(texts, key=lambda url: (zlib.crc32(url.encode("utf-8", "replace")), url))
    service = call.service
    dataset = await _find_dataset(call)
    if dataset["media_type"] == "VIDEO":
        raise refuse("ex_gen_url_not_allowed_mediatype")
    if service.plan.name == "FREE_DEVELOPER":
        raise refuse("ex_gen_public_urls_upload_not_allowed")
    sql = "SELECT 1 FROM media WHERE dataset_id = ? AND url_folded = ? AND deleted_at IS NULL"
    results = []
    rows: list[tuple[str | int, ...]] = []
    async with service.store.writing() as db:
        for url in urls:
            # The link is parsed, but not requested.
            if _URL.fullmatch(url.strip()) is None:
                status = "FAILED"
            elif url.rpartition(".")[2].lower() not in _SUFFIXES:
                status = "UNSUPPORTED_MIME_TYPE"
            else:
                held = await db.row(sql, dataset["id"], fold_link(url))
                status = "SUCCESS" if held is None else "DUPLICATE"
            # The last segment before the query.
            media_id, name = None, url.partition("?")[0].rpartition("/")[2]
            if status == "SUCCESS":
                if len(name) > _LONGEST_NAME or len(url) > _LONGEST_URL:
                    raise refuse("ex_system")
                media_id = new_id()
                row = (media_id, dataset["id"], name, fold(name), now(), url, fold_link(url))
                rows.append(row)
            results.append(
                {
                    "internal_media_ID": media_id,
                    "external_media_ID": None if media_id is None else name,
                    "imageUrl": url,
                    "mediaUploadStatus": status,
                }
            )
        await db.run_many(
            "INSERT INTO media (id, dataset_id, name, folded, timestamp, source, url, url_folded)"
            " VALUES (?, ?, ?, ?, ?, 'SHAREABLE_LINK', ?, ?)",
            rows,
        )
        await _add_tasks(db, dataset["id"], [str(row[0]) for row in rows])
    return call.answer(results)


ROUTES: Final = (
    Route("POST", "/media/{dataset_id}/file", upload_file, anonymous="allow"),
    Route("POST", "/media/{dataset_id}/url", upload_urls),
    Route("GET", "/media/{media_id}", get_media),
    Route("DELETE", "/media/{media_id}", delete_media),
    Route("GET", "/presigned/{media_id}", get_presigned, anonymous="allow", prefix=""),
)
