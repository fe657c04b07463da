"""Media: shown, read and deleted."""

import hashlib
import hmac
from collections.abc import Mapping
from typing import Final
from urllib.parse import quote, quote_plus

import aiofiles
import orjson
from aiohttp import web

from datagym_async._threads import in_thread
from datagym_async.server._answers import EmptyAnswer, Json, Refusal, refuse
from datagym_async.server._service import Call, Route, Service
from datagym_async.server._store import Queries, Row, now

_TRUE: Final = frozenset({"", "true", "on", "yes", "1"})
_FALSE: Final = frozenset({"false", "off", "no", "0"})
_PIECE: Final = 1 << 20


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
    name = quote(row["name"], safe="")
    return f"{service.base_url}/presigned/{row['id']}/{name}?signature={_signature(service, row)}"


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
    """GET /presigned/{media_id}/{name}: a video, as S3 serves it to anybody with the address."""
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


ROUTES: Final = (
    Route("GET", "/media/{media_id}", get_media),
    Route("DELETE", "/media/{media_id}", delete_media),
    Route("GET", "/presigned/{media_id}/{name}", get_presigned, anonymous="allow", prefix=""),
)
