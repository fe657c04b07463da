"""Watch a folder: a source that yields each new file once nothing writes to it any more.

A file has settled when two looks at it, `settle` seconds apart, find the same size and time of
change; for a file that was there before, a change that long ago replaces the first look. Names that
programs give to half-written files do not count. The operating system reports new files
(watchfiles); a new folder is walked, because it may contain files before it is watched.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import os
import stat
import time
from collections import OrderedDict
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection, Generator, Iterator
from contextlib import aclosing, closing
from functools import partial
from itertools import islice
from pathlib import Path
from typing import NamedTuple, Self, TypeAlias

import attrs

from datagym_async._checks import PATH, by_annotation, check
from datagym_async._extras import require_modules
from datagym_async._files import changed_at
from datagym_async._printable import printable
from datagym_async._runs._disk import given_path, look
from datagym_async._threads import first_of, in_thread
from datagym_async.exceptions import ConfigurationError
from datagym_async.uploads._values import UploadItem
from datagym_async.uploads.sources._candidates import Candidate, Filters, Naming, Rules
from datagym_async.uploads.sources._folders import walk

STEP = 256
REMEMBERED = 10_000  # files yielded last whose late events are recognised
_HALF_WRITTEN = Filters(
    exclude=("*.part", "*.partial", "*.crdownload", "*.download", "*.tmp", "*~")
)

Changes: TypeAlias = Callable[[str, asyncio.Event, float], AsyncGenerator[Collection[str], None]]
"""Gives the paths that changed below a folder, at least once a tick (seconds), until stopped."""


async def _changes(
    folder: str, stop: asyncio.Event, tick: float
) -> AsyncGenerator[Collection[str], None]:
    # An extra, and slow to import.
    watchfiles = await in_thread(importlib.import_module, "watchfiles")
    watcher = watchfiles.awatch(
        folder,
        watch_filter=None,
        stop_event=stop,
        rust_timeout=max(1, int(tick * 1000)),
        yield_on_timeout=True,
        ignore_permission_denied=True,
    )
    try:
        async with aclosing(watcher):
            async for changes in watcher:
                yield {path for _, path in changes}
    except Exception as error:
        cause = first_of(error)
        if not isinstance(cause, RuntimeError):
            raise
        if str(cause).startswith("Unable to decode path"):
            yield {folder}  # of a name that is not UTF-8; another look finds what was not reported
            return
        raise ConfigurationError(
            f"{printable(folder)} cannot be watched ({cause}); raise the limits of the system "
            "(fs.inotify.max_user_instances), or set WATCHFILES_FORCE_POLLING=true."
        ) from None


def _path(value: str | os.PathLike[str]) -> str:
    check(PATH, folder=value)
    return given_path(os.fsdecode(value))


@attrs.define(eq=False, field_transformer=by_annotation)
class FolderWatch:
    """Watch a folder for files to upload, starting with those in it: a source without an end.

    Needs ``datagym-async[watch]``. Names, filters, hidden files and links are the same as for a
    folder that is uploaded once. Files that are still changing when the watch is stopped are left
    for the next time.

    ::

        incoming = FolderWatch("incoming/")
        async with client.uploader(dataset_id, incoming) as run:
            ...  # incoming.stop() from anywhere ends it once everything yielded is done

    Args:
        folder: The folder, with its subfolders.
        settle: Seconds for which a file must not have changed.
        changes: Reports changes; for tests.

    Raises:
        ConfigurationError: `settle` is not above 0, or watchfiles is not installed.
    """

    folder: str = attrs.field(converter=_path)
    settle: float = attrs.field(default=2.0, kw_only=True)
    _stopped: asyncio.Event = attrs.field(factory=asyncio.Event, init=False, repr=False)
    _changes: Changes = attrs.field(default=_changes, kw_only=True, repr=False)

    def __attrs_post_init__(self) -> None:
        if self.settle <= 0:
            raise ConfigurationError(f"settle is {self.settle}; it must be more than 0 seconds.")
        if self._changes is _changes:
            require_modules("Watching a folder", "watch", "watchfiles")

    def stop(self) -> None:
        """End the source; files that it has yielded are still uploaded."""
        self._stopped.set()

    async def __aiter__(self) -> AsyncIterator[UploadItem]:
        async with aclosing(self.arrivals(Rules())) as arrivals:
            async for candidate in arrivals:
                if not candidate.refusal:
                    yield candidate.item

    def check(self) -> None:
        """Raise a `ConfigurationError` for a path that is not a folder; blocks."""
        status = look(self.folder)
        if isinstance(status, str):
            raise ConfigurationError(f"The folder {status}")
        if not stat.S_ISDIR(status.st_mode):
            raise ConfigurationError(f"{printable(self.folder)} is not a folder.")

    async def arrivals(self, rules: Rules) -> AsyncGenerator[Candidate, None]:
        """Yield files as they settle, until stopped; raises what `check` does."""
        await in_thread(self.check)
        # By its full path: changes are reported with that, or with the spelling that was given.
        folder = await in_thread(os.path.realpath, self.folder)
        arriving = _Arriving(folder, rules, self.settle)
        while not self._stopped.is_set():
            # Exactly this folder is watched, not one that replaces it: it may be removed and made
            # again, or its disk may be mounted.
            if (watched := await in_thread(_identity, folder)) is None:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self.settle / 2):
                        await self._stopped.wait()
                continue
            with contextlib.suppress(FileNotFoundError):  # it disappeared before it was watched
                async with aclosing(self._of_one(folder, watched, arriving)) as settled:
                    async for candidate in settled:
                        yield candidate

    async def _of_one(
        self, folder: str, watched: tuple[int, int], arriving: _Arriving
    ) -> AsyncGenerator[Candidate, None]:
        """Yield files as they settle, while the folder is the one of these numbers."""
        loop = asyncio.get_running_loop()
        async with aclosing(self._changes(folder, self._stopped, self.settle / 2)) as changes:
            # Watched before it is walked, so that nothing falls in between.
            new: Collection[str] = (folder,)
            async for paths in changes:
                with closing(arriving.at({*new, *paths})) as found:
                    met = partial(arriving.met, found)
                    while (step := await in_thread(met, loop.time())) is not None:
                        for candidate in step:
                            yield candidate
                for candidate in await in_thread(arriving.settled, loop.time()):
                    yield candidate
                new = ()
                # A new one may have the number of the old one, whose end was reported.
                if folder in paths or await in_thread(_identity, folder) != watched:
                    return


def _identity(folder: str) -> tuple[int, int] | None:
    """Return the numbers that identify a folder for the system; None if there is none."""
    status = look(folder)
    if isinstance(status, str) or not stat.S_ISDIR(status.st_mode):
        return None
    return status.st_dev, status.st_ino


class _Look(NamedTuple):
    """What was seen of a file, and when."""

    path: str
    relative: str
    size: int
    changed: int
    at: float

    @classmethod
    def of(cls, path: str, relative: str, now: float) -> Self | None:
        """Return the state of a file now; None if it is gone or not a file."""
        status = look(path)
        if isinstance(status, str) or not stat.S_ISREG(status.st_mode):
            return None
        return cls(path, relative, status.st_size, changed_at(status), now)


@attrs.define
class _Arriving:
    """The files that have not settled yet, and those yielded last; all methods block."""

    _folder: str
    _rules: Rules
    _settle: float
    _unsettled: dict[str, _Look] = attrs.Factory(dict)
    _given: OrderedDict[str, tuple[int, int]] = attrs.Factory(OrderedDict)

    def at(self, paths: Collection[str]) -> Generator[Candidate, None, None]:
        """Yield the files at some paths and below them that count; not named yet."""
        # It is seen more than once, so it is not named or counted as left out here.
        filters = Filters(self._rules.filters.include, self._rules.filters.exclude)
        rules = attrs.evolve(self._rules, naming=Naming(), filters=filters)
        left_out = frozenset(map(rules.full, rules.left_out))
        for path in sorted(paths):
            relative = os.path.relpath(path, self._folder).replace(os.sep, "/")
            below = "" if relative == "." else relative
            is_folder, is_link = Path(path).is_dir(), Path(path).is_symlink()
            if below:
                if rules.hides(below):
                    continue
                is_left = rules.symlinks == "skip" or (is_folder and rules.symlinks == "files")
                if is_link and is_left:
                    continue
            if is_folder:
                yield from walk(os.path.realpath(path), rules, below=below)
            elif (not below or filters.takes(below)) and (full := rules.full(path)) not in left_out:
                yield rules.file(full, below)

    def met(self, found: Iterator[Candidate], now: float) -> list[Candidate] | None:
        """Look at the next entries; return those that are ready at once, None at the end."""
        step, given = list(islice(found, STEP)), []
        for one in step:
            path = str(one.item.content)
            if one.refusal:
                given.append(one)
            elif not _HALF_WRITTEN.takes(one.place) or not (seen := _Look.of(path, one.place, now)):
                continue
            elif self._given.get(path) == (seen.size, seen.changed):
                continue  # a late event of its last change
            elif time.time() - seen.changed / 1e9 >= self._settle:
                given.append(self._give(seen))
            else:
                self._unsettled[path] = seen
        return given if step else None

    def settled(self, now: float) -> list[Candidate]:
        """Return the files that have not changed since a look that is long enough ago."""
        due = [one for one in self._unsettled.values() if now - one.at >= self._settle]
        candidates = []
        for before in due:
            del self._unsettled[before.path]
            seen = _Look.of(before.path, before.relative, now)
            if seen is not None and (seen.size, seen.changed) == (before.size, before.changed):
                candidates.append(self._give(seen))
            elif seen is not None:
                self._unsettled[before.path] = seen
        return candidates

    def _give(self, seen: _Look) -> Candidate:
        self._unsettled.pop(seen.path, None)
        self._given[seen.path] = seen.size, seen.changed
        self._given.move_to_end(seen.path)
        if len(self._given) > REMEMBERED:
            self._given.popitem(last=False)
        return self._rules.file(seen.path, seen.relative, seen.size, "", seen.changed)
