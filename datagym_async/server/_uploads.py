"""POST /media/{dataset_id}/file: raw bytes, and the header X-filename.

The order of the checks is the service's: the header, the token, the dataset, the name, and only
then the body. So the name is free when it is asked for, and two uploads of one name at once both
land, as they do there.
"""

import re
from typing import Final

from aiohttp import web

from ._call import Call, Route
from ._errors import BadRequestPage, refuse, refuse_data
from ._fold import fold
from ._image_headers import ACCEPTED, UnreadableImageError, sniff
from ._media_rows import find_dataset_to_fill, find_media, media_view
from ._service import Plan
from ._spool import Spool, receive
from ._store import Row, Store, Writer, new_id, now
from ._task_rows import add_tasks_of_media
from ._threads import in_thread

__all__ = ["ROUTES"]

_LONGEST_NAME: Final = 255
_CONTROL: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


async def upload_file(call: Call) -> web.StreamResponse:
    """Store one image; a client that drops before its last byte leaves nothing."""
    name = _file_name(call.request)
    call.authenticate()
    service = call.service
    dataset = await find_dataset_to_fill(service.store, call.ids["dataset_id"])
    await _check_name(service.store, dataset["id"], name)
    limit = service.settings.max_allowed_packet
    async with receive(call.request.content, service.blobs, limit) as spool:
        mime, (width, height) = await _examine(spool, name, limit)
        row = await _store(call, dataset, name, spool, mime, width, height)
    return call.answer(media_view(service, row))


def _file_name(request: web.Request) -> str:
    """Return the first X-filename as the service reads it: ISO-8859-1, nothing decoded.

    Raises:
        Refusal: There is none, or it is blank.
    """
    for header, value in request.raw_headers:
        if header.lower() == b"x-filename":
            name = value.decode("latin-1").strip(" \t")
            break
    else:
        name = ""
    if not name:
        raise refuse_data("ex_val_empty", name="Header: X-filename")
    if _CONTROL.search(name):
        raise BadRequestPage
    return name


async def _check_name(store: Store, dataset_id: str, name: str) -> None:
    taken = await store.row(
        "SELECT 1 FROM media WHERE dataset_id = ? AND folded = ? AND deleted_at IS NULL",
        dataset_id,
        fold(name),
    )
    if taken is not None:
        raise refuse("ex_alreadyexists", "Image", "name", name)


async def _examine(spool: Spool, name: str, limit: int) -> tuple[str, tuple[int, int]]:
    mime = sniff(spool.head)
    if mime not in ("image/jpeg", "image/png"):
        raise refuse_data("ex_val_bin_mime", mime, ACCEPTED)
    if spool.size >= limit or len(name) > _LONGEST_NAME:
        raise refuse("ex_system")
    try:
        return mime, await spool.image_size()
    except UnreadableImageError:
        raise refuse("ex_system") from None


async def _store(
    call: Call, dataset: Row, name: str, spool: Spool, mime: str, width: int, height: int
) -> Row:
    media_id = new_id()
    blobs = call.service.blobs
    # The file goes first: a row never points at nothing, and a file without a row is swept away.
    await spool.keep(media_id)
    try:
        async with call.service.store.writing() as db:
            await _check_plan(db, call.service.plan, spool.size)
            await db.run(
                "INSERT INTO media"
                " (id, dataset_id, name, folded, timestamp, source, mime, size, width, height)"
                " VALUES (?, ?, ?, ?, ?, 'LOCAL', ?, ?, ?, ?)",
                *(media_id, dataset["id"], name, fold(name), now(), mime, spool.size),
                *(width, height),
            )
            await add_tasks_of_media(db, dataset["id"], [media_id])
            return await find_media(db, media_id)
    except Exception:
        await in_thread(blobs.discard, blobs.path(media_id))
        raise


async def _check_plan(db: Writer, plan: Plan, size: int) -> None:
    if plan.storage_limit_kb is None:
        return
    row = await db.row(
        "SELECT coalesce(sum((size + 999) / 1000), 0) AS used FROM media WHERE deleted_at IS NULL"
    )
    used = 0 if row is None else int(row["used"])
    needed = used + (size + 999) // 1000
    if needed > plan.storage_limit_kb:
        raise refuse("ex_limit", "Storage", str(needed), str(plan.storage_limit_kb))


ROUTES: Final = (Route("POST", "/media/{dataset_id}/file", upload_file, anonymous="allow"),)
