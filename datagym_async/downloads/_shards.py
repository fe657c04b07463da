"""WebDataset shards as the target of a download: tars of samples, in a folder or in a store.

A sample is the files of one key, one after the other: the image, and its labels as ``KEY.json`` if
requested. WebDataset uses a name up to its first dot as the key, so dots before the suffix become
underscores. If a key exists already, the beginning of the media's id is appended.

Media come in the order in which they arrive. A shard is written under a temporary name, and moved
to its place when it is full; only then are its media recorded as downloaded. After a kill, media of
an unfinished shard are fetched again.
"""

from __future__ import annotations

import asyncio
import io
import json
import sqlite3
import tarfile
from collections.abc import AsyncIterable
from pathlib import PurePosixPath
from typing import Any, Final, cast

import attrs

from datagym_async._runs._disk import PARTS, HashedPart
from datagym_async._threads import in_thread
from datagym_async.downloads._manifest import Manifest, Wanted
from datagym_async.downloads._prefix import STATE_FOLDER, Prefix
from datagym_async.downloads._report import DownloadTally
from datagym_async.exceptions import FileWriteError, StoreError
from datagym_async.labels import LabeledTask, to_payload
from datagym_async.resources._base import in_batches

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
        part.file.close()
        if self._tar is None:
            parts = self._manifest.root / STATE_FOLDER / PARTS
            name = self._manifest.next_shard()
            self._part = HashedPart.within(parts, self._manifest.root / name)
            stream = cast("Any", _Writing(self._part))
            # Not as a stream ("w|"), which writes when it is dropped, too.
            self._tar = tarfile.open(fileobj=stream, mode="w")  # noqa: SIM115 -- over several calls
        path = PurePosixPath(wanted.path)
        key = str(path.with_name(path.stem.replace(".", "_")))
        key = self._manifest.claim_key(key, wanted.media_id)
        member = key + path.suffix.lower()
        with part.path.open("rb") as file:
            self._tar.addfile(_header(member, part.size), file)
        if self._has_labels:
            sql = "SELECT text FROM label WHERE media_id = ?"
            found = self._texts.execute(sql, (wanted.media_id,)).fetchone()
            about = {"media_id": wanted.media_id, "name": wanted.name}
            labels = json.loads(found[0]) if found else None
            text = json.dumps(about | {"labels": labels}).encode()
            self._tar.addfile(_header(f"{key}.json", len(text)), io.BytesIO(text))
            self._labelled += found is not None
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
