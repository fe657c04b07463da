"""Segmentations as bitmaps: white where something was segmented, black elsewhere."""

import io
from collections.abc import Iterable, Sequence
from typing import Final
from urllib.parse import unquote_plus

from aiohttp import web
from PIL import Image, ImageDraw

from ._call import Call, Route
from ._entries import SEGMENTATION, load_entries
from ._errors import refuse
from ._export import EXPORTED
from ._json_parts import objects_of
from ._label_tasks import LabelTask, find_label_task
from ._links import MAX_PIXELS
from ._render import Json
from ._service import Service
from ._threads import in_thread
from ._value_tree import Value, load_values

__all__ = ["ROUTES"]

Ring = Sequence[tuple[float, float]]


async def export_bitmap(call: Call) -> web.StreamResponse:
    """GET /export/bitmap/{task_id}/{entry_key}: all black for a key that segments nothing."""
    store = call.service.store
    found = await find_label_task(store, call.ids["task_id"], what="task")
    if found.task["state"] not in EXPORTED:
        raise refuse("ex_gen_wrong_label_task_state", found.id)
    if found.media["deleted_at"] is not None:
        raise refuse("ex_notfound", "image", "id", found.media["id"])
    # The key is decoded a second time, so that + and %2520 are blanks too.
    key = unquote_plus(call.ids["entry_key"])
    tree = await load_entries(store, found.project["config_id"])
    if not any(entry.key == key.lower() for entry in tree.walk()):
        raise refuse("ex_notfound", "lcEntry", "entry_key", key)
    values = await load_values(store, found.id, tree)
    width, height = await _size(call.service, found)
    if width * height > MAX_PIXELS:
        # A header may claim any size; nothing has counted its pixels yet.
        raise refuse("ex_system")
    rings = [_rings(value) for value in _segments(values, key)]
    bitmap = await in_thread(_draw, (width, height), rings)
    response = web.Response(body=bitmap, headers={"Content-Type": "image/bmp"})
    call.chunk(response)
    return response


def _segments(values: Iterable[Value], key: str) -> list[Value]:
    drawn = (value for root in values for value in root.walk())
    return [v for v in drawn if v.entry.type == SEGMENTATION and v.entry.key == key.lower()]


async def _size(service: Service, found: LabelTask) -> tuple[int, int]:
    """Return the pixels of the image; a link image has to be looked at."""
    media = found.media
    if media["width"] is not None:
        return media["width"], media["height"]
    _, content = await service.links.fetch(media["url"])
    return await in_thread(_size_of, content)


def _size_of(content: bytes) -> tuple[int, int]:
    with Image.open(io.BytesIO(content)) as image:
        return image.size


def _rings(value: Value) -> list[Ring]:
    """Return the outlines of a segmentation: the first is its outside, the others are holes."""
    return [
        _points(ring.get("points")) for ring in objects_of(value.payload.get("pointsCollection"))
    ]


def _points(value: Json) -> Ring:
    pairs = ((point.get("x"), point.get("y")) for point in objects_of(value))
    return [
        (float(x), float(y))
        for x, y in pairs
        if isinstance(x, int | float) and isinstance(y, int | float)
    ]


def _draw(size: tuple[int, int], segmentations: Sequence[Sequence[Ring]]) -> bytes:
    """Paint all outsides white, then all holes black, so that a hole wins over what it is in."""
    image = Image.new("L", size, 0)
    pen = ImageDraw.Draw(image)
    for outside in (rings[0] for rings in segmentations if rings):
        _fill(pen, outside, 255)
    for hole in (ring for rings in segmentations for ring in rings[1:]):
        _fill(pen, hole, 0)
    target = io.BytesIO()
    image.save(target, "BMP")
    return _as_the_service_writes(bytearray(target.getvalue()))


def _as_the_service_writes(bitmap: bytearray) -> bytes:
    """Name no resolution and no count of used colours, and mark the palette as opaque."""
    bitmap[38:50] = bytes(12)
    bitmap[57 : 54 + 4 * 256 : 4] = b"\xff" * 256
    return bytes(bitmap)


def _fill(pen: ImageDraw.ImageDraw, ring: Ring, color: int) -> None:
    if len(ring) > 2:
        pen.polygon(ring, fill=color)


ROUTES: Final = (Route("GET", "/export/bitmap/{task_id}/{entry_key}", export_bitmap),)
