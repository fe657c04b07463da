"""Reading and deleting media."""

from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Final
from urllib.parse import quote_plus

import aiofiles
from aiohttp import web

from ._call import Call, Route, empty
from ._errors import Bare, Refusal, refuse
from ._media_rows import find_media, invalidate, presigned_url, signature
from ._store import Row, now
from ._threads import in_thread

__all__ = ["ROUTES"]

_TRUE: Final = frozenset({"", "true", "on", "yes", "1"})
_FALSE: Final = frozenset({"false", "off", "no", "0"})
_PIECE: Final = 1 << 20


async def get_media(call: Call) -> web.StreamResponse:
    """GET /media/{media_id}: the bytes of a file, a link image as it is now, or a video's
    address."""
    as_attachment = _flag(call.request.query.get("dl", "true"))
    row = await find_media(call.service.store, call.ids["media_id"])
    if row["source"] == "SHAREABLE_LINK":
        return await _link(call, row)
    if row["source"] == "AWS_S3":
        return _video(call, row)
    headers = {"Content-Type": row["mime"]}
    if as_attachment:
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
    return empty()


async def get_presigned(call: Call) -> web.StreamResponse:
    """GET /presigned/{media_id}/{name}: a video, as an S3 bucket serves it to whoever has the
    address."""
    if "Authorization" in call.request.headers:
        # So does S3: two proofs at once are an error. It also shows a client that leaks its token.
        raise Bare(400)
    row = await find_media(call.service.store, call.ids["media_id"])
    if call.request.query.get("signature") != signature(call.service, row):
        raise Bare(403)
    return await _file(call, row, {"Content-Type": row["mime"] or "application/octet-stream"})


def form_encoded(name: str) -> str:
    """Return a name as the service puts it into Content-Disposition: form-urlencoded UTF-8."""
    return quote_plus(name, safe="*").replace("~", "%7E")


def _flag(text: str) -> bool:
    if text.lower() in _TRUE:
        return True
    if text.lower() in _FALSE:
        return False
    raise Bare(400)


async def _link(call: Call, row: Row) -> web.StreamResponse:
    try:
        mime, content = await call.service.links.fetch(row["url"])
    except Refusal as refusal:
        # What is wrong with the link (400) is remembered; what only failed (500) is not.
        if refusal.details:
            is_url = refusal.details[0].key == "Invalid image url"
            reason = "INVALID_URL" if is_url else "INVALID_MIME_TYPE"
            await invalidate(call.service.store, row["id"], reason)
        raise
    response = web.Response(body=content, headers={"Content-Type": mime})
    call.chunk(response)
    return response


def _video(call: Call, row: Row) -> web.StreamResponse:
    url = presigned_url(call.service, row)
    if url is None:
        raise refuse("ex_gen_file_stream")
    return web.Response(body=url.encode(), headers={"Content-Type": "text/plain;charset=UTF-8"})


async def _file(call: Call, row: Row, headers: Mapping[str, str]) -> web.StreamResponse:
    path = call.service.blobs.path(row["id"])
    if row["size"] <= _PIECE:
        return web.Response(body=await in_thread(path.read_bytes), headers=headers)
    # Ranges and conditions are ignored, as the service does, so aiohttp's own file answer will not
    # do.
    response = web.StreamResponse(headers=headers)
    response.content_length = row["size"]
    await response.prepare(call.request)
    if call.request.method != "HEAD":
        async for piece in _pieces(path):
            await response.write(piece)
    await response.write_eof()
    return response


async def _pieces(path: Path) -> AsyncIterator[bytes]:
    async with aiofiles.open(path, "rb") as file:
        while piece := await file.read(_PIECE):
            yield piece


ROUTES: Final = (
    Route("GET", "/media/{media_id}", get_media),
    Route("DELETE", "/media/{media_id}", delete_media),
    Route("GET", "/presigned/{media_id}/{name}", get_presigned, anonymous="allow", prefix=""),
)
