"""Media as rows, and how the service shows one."""

import hashlib
import hmac
from collections.abc import Mapping
from urllib.parse import quote

import orjson

from ._errors import refuse
from ._render import Json
from ._service import Service
from ._store import Row, Store, Writer, now

__all__ = [
    "find_dataset_to_fill",
    "find_media",
    "invalidate",
    "media_view",
    "presigned_url",
    "signature",
]


async def find_dataset_to_fill(store: Store, dataset_id: str) -> Row:
    """Return a dataset that files or links may be added to, a softly deleted one included.

    Raises:
        Refusal: 404, or 500 for one of the two dummy datasets.
    """
    row = await store.row("SELECT * FROM dataset WHERE id = ?", dataset_id)
    if row is None:
        raise refuse("ex_notfound", "dataset", "id", dataset_id)
    if row["name"] in ("Dummy_Dataset_One", "Dummy_Dataset_Two"):
        raise refuse("ex_gen_dummy_dataset_limit")
    return row


async def find_media(db: Store | Writer, media_id: str, *, deleted: bool = False) -> Row:
    """Return a media; with `deleted` also one that was deleted.

    Raises:
        Refusal: 404.
    """
    row = await db.row("SELECT * FROM media WHERE id = ?", media_id)
    if row is None or (row["deleted_at"] is not None and not deleted):
        raise refuse("ex_notfound", "media", "id", media_id)
    return row


async def invalidate(store: Store, media_id: str, reason: str) -> None:
    """Mark a media as broken, and move all its tasks to SKIPPED, whatever their state."""
    async with store.writing() as db:
        await db.run("UPDATE media SET valid = 0, reason = ? WHERE id = ?", reason, media_id)
        await db.run("UPDATE task SET state = 'SKIPPED' WHERE media_id = ?", media_id)


def media_view(service: Service, row: Row) -> Mapping[str, Json]:
    """Return a media as an upload's answer and a task's detail show it."""
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
        view |= _video(service, row)
    return view


def _video(service: Service, row: Row) -> dict[str, Json]:
    video = orjson.loads(row["video_json"])
    return {
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


def presigned_url(service: Service, row: Row) -> str | None:
    """Return the address where a video can be read without a token; None on a service without
    AWS."""
    if not orjson.loads(row["video_json"])["presigned"]:
        return None
    name = quote(row["name"], safe="")
    return f"{service.base_url}/presigned/{row['id']}/{name}?signature={signature(service, row)}"


def signature(service: Service, row: Row) -> str:
    """Return what proves that a pre-signed address was made by this server."""
    return hmac.new(service.signing_key, row["id"].encode(), hashlib.sha256).hexdigest()
