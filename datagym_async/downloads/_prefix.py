"""A prefix in an object store as the target of a download.

Each file is written, hashed and checked in our folder on this machine, and then put into the store
as a whole: in one request, or in parts of `PART` bytes, which count once the last one is there. The
manifest is in that folder. A copy of it is put beside the files when all have their names, and at
the end of a run. If a run finds a copy that is not its own last one, it uses that copy. So another
machine continues where this one has ended.
"""

from __future__ import annotations

import contextlib
import hashlib
import shutil
import sqlite3
from pathlib import Path
from typing import Final, Self

import attrs

from datagym_async._files import PRIVATE, private_folder, sweep, write_private
from datagym_async._runs._disk import PARTS, SIDES, Database, JournalLock, state_folder
from datagym_async._runs._stores import RANGE, StoreLocation, Stores, etag_of, store_errors
from datagym_async._threads import in_thread
from datagym_async.exceptions import ConfigurationError, StoreError

STATE_FOLDER: Final = ".datagym"
"""Folder of the manifest; no media can have its name, since no safe name begins with a dot."""
MANIFEST: Final = f"{STATE_FOLDER}/manifest.sqlite3"
PART: Final = 8 << 20


@attrs.define
class Prefix:
    stores: Stores
    at: StoreLocation
    root: Path  # the folder of ours
    _held: sqlite3.Connection | None = attrs.field(default=None, init=False)

    @classmethod
    def of(cls, address: str, options: tuple[str, ...], *job: str) -> Self:
        """Return the place for an address and a job; without a request yet."""
        at = StoreLocation.of(address)
        known = "\0".join((*job, at.address))
        name = hashlib.sha256(known.encode()).hexdigest()[:24]
        return cls(Stores(options), at, state_folder() / "downloads" / name)

    def _at(self, path: str) -> StoreLocation:
        return attrs.evolve(self.at, key=f"{self.at.key}/{path}".strip("/"))

    async def put(self, file: Path, path: str) -> None:
        """Put a file of this machine in its place, completely or not at all."""
        at, store = self._at(path), await in_thread(self.stores.open, self.at.root)
        with store_errors(at.address):
            await store.put_async(at.key, file, chunk_size=PART, max_concurrency=4)

    def delete(self, path: str) -> None:
        """Delete a file that `holds` was called for, if it exists and may be deleted; blocks."""
        at, sql = self._at(path), "SELECT 1 FROM held WHERE path = ?"
        if self._held is None or self._held.execute(sql, (path,)).fetchone() is None:
            return
        with contextlib.suppress(StoreError), store_errors(at.address):
            self.stores.open(at.root).delete(at.key)

    async def put_rest(self) -> None:
        """Put the other files, labels and lists, and delete them here."""
        for file in await in_thread(self._rest):
            await self.put(file, file.relative_to(self.root).as_posix())
        await in_thread(self._clear)

    def _rest(self) -> list[Path]:
        sweep(self.root)  # parts that killed runs left
        found = (path for path in self.root.rglob("*") if path.is_file())
        return [path for path in found if path.relative_to(self.root).parts[0] != STATE_FOLDER]

    def _clear(self) -> None:
        for path in self.root.iterdir():
            if path.is_dir() and path.name != STATE_FOLDER:
                shutil.rmtree(path)
            elif not path.is_dir():
                path.unlink()

    def holds(self, path: str, size: int | None, sha256: str) -> bool:
        """Return whether a file has this size, and hash if any; lists the prefix once; blocks."""
        if self._held is None:
            self._held = sqlite3.connect("", check_same_thread=False)
            self._held.execute("CREATE TABLE held (path PRIMARY KEY, size) WITHOUT ROWID")
            start = len(self.at.key) + 1 if self.at.key else 0
            found = ((each["path"][start:], each["size"]) for each in self.stores.list(self.at))
            self._held.executemany("INSERT OR REPLACE INTO held VALUES (?, ?)", found)
        known = self._held.execute("SELECT size FROM held WHERE path = ?", (path,)).fetchone()
        if known is None or known[0] != size or not sha256:
            return known is not None and known[0] == size
        digest = hashlib.sha256()
        source = self.stores.at(self._at(path).address)
        for start in range(0, size or 0, RANGE):
            digest.update(source.read_at(start, RANGE))
        return digest.hexdigest() == sha256

    @property
    def has_begun(self) -> bool:
        """Whether there is a copy of the manifest that this machine knows; blocks."""
        return begun_mark(self.root).exists()

    def take_state(self) -> None:
        """Fetch the manifest's copy if newer than ours; refuse objects without one; blocks."""
        target, at = self.root / MANIFEST, self._at(MANIFEST)
        try:
            meta = self.stores.head(at)
        except StoreError as error:
            if error.trouble != "gone":
                raise
            if not target.exists() and next(iter(self.stores.list(self.at)), None) is not None:
                raise ConfigurationError(
                    f"There are objects at {self.at.address}, and no download to resume; give an "
                    "empty prefix."
                ) from None
            return
        private_folder(target.parent)
        mark, etag = begun_mark(self.root), etag_of(meta)
        if target.exists() and mark.exists() and mark.read_text("utf-8") == etag:
            return
        if (lock := JournalLock.take(target)) is None:  # in use: opening it says so
            return
        try:
            source, fresh = self.stores.at(at.address), target.with_name("fetched")
            fresh.touch(mode=PRIVATE)
            with fresh.open("wb") as file:
                for start in range(0, meta["size"], RANGE):
                    file.write(source.read_at(start, RANGE))
            for side in SIDES:
                target.with_name(target.name + side).unlink(missing_ok=True)
            fresh.replace(target)
            lock.write("")  # it has no seal
            write_private(mark, etag.encode())
        finally:
            lock.release()

    def begin_state(self, database: Database) -> None:
        """Put a first copy of the open manifest if there is none; blocks."""
        if self.has_begun:
            return
        source = self.root / STATE_FOLDER / PARTS / "manifest"
        with contextlib.closing(sqlite3.connect(source)) as copy, database.using() as connection:
            connection.backup(copy)
        try:
            self.keep_state(source)
        finally:
            source.unlink()

    def keep_state(self, source: Path | None = None) -> None:
        """Put a copy of the closed manifest beside the files; blocks."""
        source, at = source or self.root / MANIFEST, self._at(MANIFEST)
        store = self.stores.open(at.root)
        with store_errors(at.address):
            put = store.put(at.key, source, chunk_size=PART)
        write_private(begun_mark(self.root), etag_of(put).encode())

    def close(self) -> None:
        if self._held is not None:
            self._held.close()


def begun_mark(root: Path) -> Path:
    """Return the file that records this machine's copy of the manifest at a prefix."""
    return root / STATE_FOLDER / "copy"
