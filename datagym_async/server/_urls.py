"""POST /media/{dataset_id}/url: links, which nobody fetches until somebody looks at them."""

import re
import zlib
from collections.abc import Iterable
from typing import Final, Literal, TypeAlias

import attrs
from aiohttp import web

from ._call import Call, Route
from ._errors import Bare, refuse
from ._fold import fold
from ._media_rows import find_dataset_to_fill
from ._render import Json
from ._store import Writer, new_id, now
from ._task_rows import add_tasks_of_media

__all__ = ["ROUTES"]

_LONGEST_NAME: Final = 255
_LONGEST_URL: Final = 1256
_SUFFIXES: Final = frozenset({"jpg", "jpeg", "png"})
# What the service's URL parser takes for a URL: a scheme that it knows, and a port that is a
# number.
_URL: Final = re.compile(
    r"(?:https?|ftp|file):(?://(?:[^/?#]*@)?(?:\[[^\]]*\]|[^/?#:]*)(?::\d*)?(?:[/?#].*)?|(?!//).*)",
    re.IGNORECASE | re.DOTALL,
)

Status: TypeAlias = Literal["SUCCESS", "DUPLICATE", "FAILED", "UNSUPPORTED_MIME_TYPE"]


@attrs.frozen
class _Link:
    """One URL of the request, and what becomes of it."""

    url: str
    status: Status
    media_id: str | None = None

    @property
    def name(self) -> str:
        """The last segment before the query."""
        return self.url.partition("?")[0].rpartition("/")[2]

    def json(self) -> Json:
        """Return the link as it stands in the answer."""
        return {
            "internal_media_ID": self.media_id,
            "external_media_ID": None if self.media_id is None else self.name,
            "imageUrl": self.url,
            "mediaUploadStatus": self.status,
        }


async def upload_urls(call: Call) -> web.StreamResponse:
    """Add links; one that cannot be stored makes the whole request fail."""
    urls = _urls(await call.json())
    service = call.service
    dataset = await find_dataset_to_fill(service.store, call.ids["dataset_id"])
    if dataset["media_type"] == "VIDEO":
        raise refuse("ex_gen_url_not_allowed_mediatype")
    if service.plan.name == "FREE_DEVELOPER":
        raise refuse("ex_gen_public_urls_upload_not_allowed")
    async with service.store.writing() as db:
        links = [_decide(url, held=await _holds(db, dataset["id"], url)) for url in urls]
        await _insert(db, dataset["id"], [link for link in links if link.media_id is not None])
    return call.answer([link.json() for link in links])


def _urls(body: Json) -> list[str]:
    """Return the URLs of a body: a set, so repeated ones vanish and the order is the set's own."""
    if not isinstance(body, list):
        raise Bare(400)
    texts = {_text(item) for item in body}
    return sorted(texts, key=lambda url: (zlib.crc32(url.encode("utf-8", "replace")), url))


def _text(item: Json) -> str:
    if item is None:
        raise refuse("ex_system")
    if isinstance(item, bool):
        return str(item).lower()
    if isinstance(item, str | int | float):
        return str(item)
    raise Bare(400)


def _decide(url: str, *, held: bool) -> _Link:
    if _URL.fullmatch(url.strip()) is None:
        return _Link(url, "FAILED")
    if url.rpartition(".")[2].lower() not in _SUFFIXES:
        return _Link(url, "UNSUPPORTED_MIME_TYPE")
    if held:
        return _Link(url, "DUPLICATE")
    return _Link(url, "SUCCESS", new_id())


async def _holds(db: Writer, dataset_id: str, url: str) -> bool:
    found = await db.row(
        "SELECT 1 FROM media WHERE dataset_id = ? AND url_folded = ? AND deleted_at IS NULL",
        dataset_id,
        fold(url),
    )
    return found is not None


async def _insert(db: Writer, dataset_id: str, links: Iterable[_Link]) -> None:
    rows: list[tuple[str | int | None, ...]] = []
    for link in links:
        if len(link.name) > _LONGEST_NAME or len(link.url) > _LONGEST_URL:
            raise refuse("ex_system")
        row = (link.media_id, dataset_id, link.name, fold(link.name), now(), link.url)
        rows.append((*row, fold(link.url)))
    await db.run_many(
        "INSERT INTO media (id, dataset_id, name, folded, timestamp, source, url, url_folded)"
        " VALUES (?, ?, ?, ?, ?, 'SHAREABLE_LINK', ?, ?)",
        rows,
    )
    await add_tasks_of_media(db, dataset_id, [str(row[0]) for row in rows])


ROUTES: Final = (Route("POST", "/media/{dataset_id}/url", upload_urls),)
