"""Fetch one media from its source into its file or into a shard, verified.

The session retries requests that fail before the first byte of a body. If an answer is cut off
later, it is requested again here, with the same waits; its first part is thrown away.

**WebDataset shards** are tars of samples, in a folder or in a store. A sample is the files of one
key, one after the other: the image, and its labels as ``KEY.json`` if requested. WebDataset uses a
name up to its first dot as the key, so dots before the suffix become underscores. An image without
the suffix of one gets that of its content. If a key exists already, the beginning of the media's id
is appended. Media come in the order in which they arrive.
A shard is written under a temporary name, and moved to its place when it is full; only then are its
media recorded as downloaded. After a kill, media of an unfinished shard are fetched again.
"""

from __future__ import annotations

import asyncio
import io
import json
import random
import sqlite3
import tarfile
from collections.abc import AsyncIterable, AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, Final, cast

import attrs

from datagym_async._files import with_room
from datagym_async._retry import RetryPolicy
from datagym_async._runs._disk import PARTS, HashedPart, is_full, path_in
from datagym_async._runs._engine import DownloadSources, Patience, is_fatal
from datagym_async._runs._images import decode
from datagym_async._threads import in_thread
from datagym_async._transport import LinkError, LinkFetcher
from datagym_async.downloads._manifest import Manifest, Wanted
from datagym_async.downloads._prefix import STATE_FOLDER, Prefix
from datagym_async.downloads._values import (
    DownloadConfig,
    DownloadOutcome,
    DownloadResult,
    DownloadTally,
)
from datagym_async.exceptions import (
    APIConnectionError,
    APIError,
    APIStatusError,
    BadRequestError,
    ClientClosedError,
    DataGymError,
    FileWriteError,
    NotFoundError,
    StoreError,
)
from datagym_async.formats._reading import image_suffix
from datagym_async.labels import LabeledTask, to_payload
from datagym_async.models import MediaSourceType
from datagym_async.models._names import IMAGE_SUFFIXES
from datagym_async.resources._base import in_batches

_HELD = 1 << 20  # bytes collected before they are written: a smaller media is written at once
_SKIPPED = (
    "It is a link image, whose bytes the service does not store; links=... says how to download it."
)
_NO_TASK = (
    "It is a link image, and no task names its address: its dataset is attached to no project that "
    'was looked at; name one with project_id=..., or use links="service".'
)
_NO_URL = 'Its task names no address; links="service" asks the service for the image.'
_BROKEN_LINK = (
    "The service cannot fetch the link of this image, has marked it invalid and moves its tasks to "
    "SKIPPED: {}"
)


class _BadImageError(Exception):
    """The fault of an image that has arrived."""


@attrs.define
class _Incoming:
    """The arriving bytes of one media; writing blocks."""

    parts: Path  # the folder that it is written in
    target: Path
    part: HashedPart | None = None
    held: list[bytes] = attrs.Factory(list)
    held_bytes: int = 0

    def write(self) -> HashedPart:
        part = self.part = self.part or HashedPart.within(self.parts, self.target)
        part.write(self.held)
        self.held, self.held_bytes = [], 0
        return part

    def finish(self, *, is_link: bool, goes_on: bool) -> HashedPart:
        """Put the file in its place, unless it goes to a store or shard, and return it."""
        part = self.write()
        part.file.close()
        if is_link and (reason := decode(str(part.path)).reason):
            raise _BadImageError(reason)
        if not goes_on:
            part.put()
            self.part = None
        return part


@attrs.define
class Fetcher:
    """Fetch media into a folder; `aclose` closes the connections to foreign hosts."""

    _root: Path
    _sources: DownloadSources
    _config: DownloadConfig
    _retry: RetryPolicy  # how a broken answer is requested again
    _tally: DownloadTally
    _patience: Patience
    _prefix: Prefix | None = None  # their final place: a store
    shards: Shards | None = None  # or shards, in a folder or a store
    _links: LinkFetcher = attrs.field(init=False)
    _parts: Path = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._links = LinkFetcher(allow_private=self._config.allow_private_links)
        self._parts = self._root / STATE_FOLDER / PARTS

    async def aclose(self) -> None:
        await self._links.aclose()

    async def fetch(self, wanted: Wanted) -> DownloadResult:
        """Return the result of one media; an error that all others would get as well is raised."""
        result = partial(
            DownloadResult, media_id=wanted.media_id, name=wanted.name, path=wanted.path
        )
        is_link = wanted.source is MediaSourceType.SHAREABLE_LINK
        if is_link and self._config.links == "skip":
            return result(outcome=DownloadOutcome.SKIPPED, reason=_SKIPPED)
        target = path_in(self._root, wanted.path)
        clock = asyncio.get_running_loop().time
        began, attempts = clock(), 0
        while True:
            attempts += 1
            incoming, is_open = _Incoming(self._parts, target), False
            try:
                async with self._bytes_of(wanted, is_link=is_link) as chunks:
                    is_open = True
                    async for chunk in chunks:
                        self._tally.bytes_arrived += len(chunk)
                        incoming.held.append(chunk)
                        incoming.held_bytes += len(chunk)
                        if incoming.held_bytes >= _HELD:
                            await in_thread(incoming.write)
                goes_on = self._prefix is not None or self.shards is not None
                part = await in_thread(incoming.finish, is_link=is_link, goes_on=goes_on)
                if self.shards is not None:
                    await self.shards.add(wanted, part)
                elif self._prefix is not None:
                    await self._prefix.put(part.path, wanted.path)
            except (DataGymError, LinkError, OSError, _BadImageError) as error:
                if _is_of_all(error):
                    raise
                if isinstance(error, LinkError):
                    may_pass = error.may_pass
                else:
                    # The service moves the tasks of a link that it cannot fetch: never ask twice.
                    may_pass = is_open and not is_link and isinstance(error, APIConnectionError)
                if not may_pass or attempts > self._retry.max_retries:
                    if self._patience.is_over(error):
                        raise
                    answer = error if isinstance(error, APIStatusError) else None
                    return result(
                        outcome=DownloadOutcome.FAILED,
                        reason=_reason(error, is_link=is_link),
                        attempts=max(attempts, getattr(error, "attempts", 0)),
                        seconds=clock() - began,
                        status=answer.status if answer else None,
                        key=answer.key if answer else "",
                    )
            else:
                self._patience.in_a_row = 0
                return result(
                    outcome=DownloadOutcome.DOWNLOADED,
                    size=part.size,
                    sha256=part.hash.hexdigest(),
                    attempts=attempts,
                    seconds=clock() - began,
                )
            finally:
                if incoming.part is not None:
                    await in_thread(incoming.part.drop)
            wait = self._retry.delay(attempts, retry_after=None, chance=random.random())
            await asyncio.sleep(wait)

    def _bytes_of(
        self, wanted: Wanted, *, is_link: bool
    ) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        if is_link and self._config.links == "source":
            return self._from_source(wanted)
        return self._sources.media.stream(
            wanted.media_id, link=is_link, max_bytes=self._config.max_bytes
        )

    @asynccontextmanager
    async def _from_source(self, wanted: Wanted) -> AsyncIterator[AsyncIterator[bytes]]:
        if wanted.task_id is None:
            raise LinkError(_NO_TASK)
        task = await self._sources.tasks.get(wanted.task_id)
        if not task.media.url:
            raise LinkError(_NO_URL)
        async with self._links.open(task.media.url) as pieces:
            yield pieces


def _is_of_all(error: Exception) -> bool:
    """Return whether every other media would get the error as well."""
    if isinstance(error, APIError | ClientClosedError):
        return is_fatal(error) and not isinstance(error, NotFoundError)
    if isinstance(error, StoreError):
        return error.trouble == "denied"  # a key may be too long, while others are not
    if isinstance(error, FileWriteError):  # of a shard
        return True
    return isinstance(error, OSError) and is_full(error)


def _reason(error: Exception, *, is_link: bool) -> str:
    if isinstance(error, NotFoundError) and error.key:
        return "The media was deleted after it was listed."
    if isinstance(error, BadRequestError) and is_link:
        return _BROKEN_LINK.format(error)
    if isinstance(error, OSError) and not isinstance(error, APIError | StoreError):
        return f"Its file cannot be written ({error.strerror or error})."
    return str(error)


_BATCH: Final = 200


@attrs.define
class Shards:
    _bound: tuple[int, int]
    _manifest: Manifest
    _prefix: Prefix | None
    _tally: DownloadTally
    _has_labels: bool
    _lock: asyncio.Lock = attrs.field(factory=asyncio.Lock, init=False)
    _part: HashedPart | None = attrs.field(default=None, init=False)
    _tar: tarfile.TarFile | None = attrs.field(default=None, init=False)
    _rows: list[tuple[str, int, str, str]] = attrs.field(factory=list, init=False)  # its media
    _labelled: int = attrs.field(default=0, init=False)  # of these
    _failure: BaseException | None = attrs.field(default=None, init=False)  # of all that follow
    _texts: sqlite3.Connection = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        # On disk once it is large: the labels of a project, and the keys in use.
        self._texts = sqlite3.connect("", check_same_thread=False)
        self._texts.execute("CREATE TABLE label (media_id PRIMARY KEY, text) WITHOUT ROWID")

    async def take_labels(self, tasks: AsyncIterable[LabeledTask]) -> None:
        def keep(batch: list[LabeledTask]) -> None:
            texts = ((one.media_id, json.dumps(to_payload(one))) for one in batch)
            self._texts.executemany("INSERT OR REPLACE INTO label VALUES (?, ?)", texts)

        async for batch in in_batches(tasks, _BATCH):
            await in_thread(keep, batch)

    async def add(self, wanted: Wanted, part: HashedPart) -> None:
        """Add a media, and put away a full shard; its `FileWriteError` concerns all media in it."""
        async with self._lock:
            if self._failure is not None:
                raise self._failure
            try:
                await in_thread(self._append, wanted, part)
                media, size = self._bound
                if len(self._rows) == media or 0 < size <= (self._part.size if self._part else 0):
                    await self._seal()
            except BaseException as error:
                # It may contain half of a file, after which no other can be read.
                self._rows = [row for row in self._rows if row[0] != wanted.media_id]
                self._failure = error
                if isinstance(error, StoreError):
                    self._failure = FileWriteError(str(error))
                elif isinstance(error, OSError):
                    self._failure = FileWriteError.of(self._manifest.root, error)
                raise self._failure from None

    async def end(self) -> None:
        """Put the last shard in its place, if it is valid."""
        async with self._lock:
            if self._failure is None:
                await self._seal()

    @property
    def open(self) -> tuple[int, int]:
        """Return the number of media, and their bytes, in a shard not yet in its place."""
        return len(self._rows), sum(size for _, size, _, _ in self._rows)

    def _append(self, wanted: Wanted, part: HashedPart) -> None:
        if self._tar is None:
            self._part = self._manifest.part(self._manifest.next_shard())
            stream = cast("Any", _Writing(self._part))
            # Not as a stream ("w|"), which writes when it is dropped, too.
            self._tar = tarfile.open(fileobj=stream, mode="w")  # noqa: SIM115 -- over several calls
        path = PurePosixPath(wanted.path)
        stem, suffix = path.stem, path.suffix.lower()
        if suffix not in IMAGE_SUFFIXES and (found := image_suffix(part.path)):
            stem, suffix = path.name, found  # WebDataset leaves out files without a suffix
        key = str(path.with_name(stem.replace(".", "_")))
        key = with_room(key, f"_{wanted.media_id[:13]}.json")  # the longest that may follow
        key = self._manifest.claim_key(key, wanted.media_id)
        member = key + suffix
        with part.path.open("rb") as file:
            self._tar.addfile(_header(member, part.size), file)
        if self._has_labels:
            sql = "SELECT text FROM label WHERE media_id = ?"
            known = self._texts.execute(sql, (wanted.media_id,)).fetchone()
            about = {"media_id": wanted.media_id, "name": wanted.name}
            labels = json.loads(known[0]) if known else None
            text = json.dumps(about | {"labels": labels}).encode()
            self._tar.addfile(_header(f"{key}.json", len(text)), io.BytesIO(text))
            self._labelled += known is not None
        self._rows.append((wanted.media_id, part.size, part.hash.hexdigest(), member))

    async def _seal(self) -> None:
        part, tar = self._part, self._tar
        if part is None or tar is None:
            return
        await in_thread(tar.close)
        if self._prefix is not None:
            await in_thread(part.file.close)
            await self._prefix.put(part.path, part.target.name)
        await in_thread(self._note, part)

    def _note(self, part: HashedPart) -> None:
        """Record a shard that is in its place, or goes there now, at once: its media count."""
        name = part.target.name
        if self._prefix is None:
            part.put()
        else:
            part.drop()
        self._manifest.note_shard(name, part.size, part.hash.hexdigest(), self._rows)
        if self._has_labels:
            self._tally.written.append(name)
            self._tally.labelled += self._labelled
        self._part, self._tar, self._rows, self._labelled = None, None, [], 0

    def close(self) -> None:
        """Drop the unfinished shard; blocks."""
        self._texts.close()
        if self._part is not None:
            self._part.drop()


def _header(name: str, size: int) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size, info.mode = size, 0o644
    return info


@attrs.frozen
class _Writing:
    part: HashedPart

    def tell(self) -> int:
        return self.part.size

    def write(self, data: bytes) -> None:
        self.part.write([data])
