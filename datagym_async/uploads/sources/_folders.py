"""Walk folders and match globs: blocking, streamed, to be called in a thread.

Every regular file counts, whatever its suffix: its bytes decide later. Hidden files and folders
(a leading dot) do not count unless asked for. Links to files are followed; links to folders are
refused by name unless asked for, and then each folder is read once, so that none leads in a circle.
Entries come in the order of the disk, with their place for sorting, because sorting a folder of a
million here would hold it in memory; only where names are numbered each folder is sorted here.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from datagym_async._printable import printable
from datagym_async._regular_files import kind_of
from datagym_async._runs._disk import refusal
from datagym_async.uploads.sources._candidates import (
    Candidate,
    Rules,
    compiled,
    matches,
    refused_source,
)

if TYPE_CHECKING:
    from collections.abc import Iterator


MAGIC = frozenset("*?[")


@attrs.frozen
class Found:
    """One entry below a folder: a file with its size and time, or a reason against it."""

    path: str
    relative: str
    size: int = 0
    refusal: str = ""
    is_folder: bool = False
    mtime: int | None = None

    def candidate(self, rules: Rules) -> Candidate:
        """Return the entry as a candidate."""
        return rules.file(
            self.path, self.relative, self.size, refusal=self.refusal, mtime=self.mtime
        )


@attrs.frozen
class _Folder:
    """A folder that is still to be read."""

    path: str
    relative: str = ""
    level: int = 1


def in_folder(folder: str, rules: Rules) -> Iterator[Candidate]:
    """Yield every file below a folder that counts."""
    empty = True
    for found in walk(folder, rules):
        empty = False
        if not found.relative:
            yield refused_source(folder, found.refusal)
        else:
            yield found.candidate(rules)
    if empty:
        yield refused_source(folder, f"The folder {printable(folder)} holds no files{_but(rules)}.")


def _but(rules: Rules) -> str:
    if rules.filters.include or rules.filters.exclude:
        return " that the patterns of include and exclude leave"
    return "" if rules.include_hidden else " (hidden ones do not count)"


def walk(
    folder: str, rules: Rules, *, depth: int | None = None, below: str = ""
) -> Iterator[Found]:
    """Yield every file below a folder that counts, and every entry that can be none.

    Args:
        folder: The folder; it may itself be a link.
        rules: What counts.
        depth: How many levels to go down; None for all, 1 for the folder's own files.
        below: The folder's own path below its source, parts joined by ``/``.
    """
    return _Walk(rules, depth).run(folder, below)


@attrs.define
class _Walk:
    """One walk: what is still to be read, and which folders links led to already."""

    _rules: Rules
    _depth: int | None
    _waiting: list[_Folder | Found] = attrs.Factory(list)
    _links: list[_Folder] = attrs.Factory(list)
    _read: set[tuple[int, int]] = attrs.Factory(set)

    def run(self, root: str, below: str) -> Iterator[Found]:
        self._waiting.append(_Folder(root, below))
        while (here := self._next()) is not None:
            if isinstance(here, Found):
                yield here
                continue
            try:
                if self._is_new(here):
                    yield from self._entries(here)
            except OSError as error:
                reason = f"The folder {refusal(here.path, error)}"
                yield Found(here.path, here.relative, refusal=reason, is_folder=True)

    def _next(self) -> _Folder | Found | None:
        # Links last and in order: what can be reached without one keeps its own path.
        if not self._waiting and self._links:
            self._links.sort(key=lambda folder: folder.relative, reverse=True)
            self._waiting.append(self._links.pop())
        return self._waiting.pop() if self._waiting else None

    def _is_new(self, here: _Folder) -> bool:
        """Return whether the folder was not read yet: only links can lead to one twice."""
        if self._rules.symlinks != "follow":
            return True
        status = os.stat(here.path)  # noqa: PTH116 -- as in `_disk.look`
        key = (status.st_dev, status.st_ino)
        is_new = key not in self._read
        self._read.add(key)
        return is_new

    def _entries(self, here: _Folder) -> Iterator[Found]:
        with os.scandir(here.path) as entries:
            if self._rules.naming.needs_order:
                met = [self._met(entry, here) for entry in sorted(entries, key=_place)]
                self._waiting.extend(one for one in reversed(met) if one is not None)
                return
            for entry in entries:
                one = self._met(entry, here)
                if isinstance(one, Found):
                    yield one
                elif one is not None:
                    self._waiting.append(one)

    def _met(self, entry: os.DirEntry[str], here: _Folder) -> Found | _Folder | None:
        """Return what an entry is, or None where it does not count."""
        rules = self._rules
        if entry.name.startswith(".") and not rules.include_hidden:
            return None
        if rules.symlinks == "skip" and entry.is_symlink():
            return None
        if rules.left_out and str(Path(entry.path).absolute()) in rules.left_out:
            return None
        below = f"{here.relative}/{entry.name}" if here.relative else entry.name
        if entry.is_dir(follow_symlinks=False):
            folder = _Folder(entry.path, below, here.level + 1)
            return folder if self._enters(folder) else None
        if rules.symlinks == "follow" and entry.is_symlink() and _is_folder(entry):
            folder = _Folder(entry.path, below, here.level + 1)
            if self._enters(folder):
                self._links.append(folder)
            return None
        return _look_at(entry, below) if rules.filters.takes(below) else None

    def _enters(self, folder: _Folder) -> bool:
        is_within = self._depth is None or folder.level <= self._depth
        return is_within and not self._rules.filters.prunes(folder.relative)


def _place(entry: os.DirEntry[str]) -> str:
    """Return what sorts the entries of a folder as the plan sorts their paths."""
    return entry.name + "/" if entry.is_dir(follow_symlinks=False) else entry.name


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link in a circle
        return False


def _look_at(entry: os.DirEntry[str], relative: str) -> Found:
    shown = printable(entry.path)
    try:
        if entry.is_file():
            found = entry.stat()
            return Found(entry.path, relative, found.st_size, mtime=found.st_mtime_ns)
        if entry.is_dir():
            reason = (
                f"{shown} is a link to a folder, which is not followed; name it as a source, or "
                'upload with symlinks="follow".'
            )
        else:
            reason = f"{shown} is {kind_of(entry.stat().st_mode)}, not a regular file."
    except FileNotFoundError as error:
        is_link = entry.is_symlink()
        reason = f"{shown} is a link that leads nowhere." if is_link else refusal(entry.path, error)
    except OSError as error:
        reason = refusal(entry.path, error)
    return Found(entry.path, relative, refusal=reason)


def is_glob(text: str) -> bool:
    """Return whether a text that names nothing on disk is a pattern."""
    return not MAGIC.isdisjoint(text)


def in_glob(pattern: str, rules: Rules) -> Iterator[Candidate]:
    """Yield the files that match a pattern: ``*``, ``?``, ``[...]``, and ``**`` over folders."""
    parts = Path(pattern).parts
    fixed = next(at for at, part in enumerate(parts) if is_glob(part))
    root, segments = str(Path(*parts[:fixed])), parts[fixed:]
    if any(part.startswith(".") for part in segments):
        rules = attrs.evolve(rules, include_hidden=True)
    depth = None if "**" in segments else len(segments)
    matcher = compiled("/".join(segments))
    empty = True
    for found in walk(root, rules, depth=depth):
        if not found.relative:
            break  # the folder in front of the pattern cannot be read: nothing matches
        if found.is_folder or matches(tuple(found.relative.split("/")), matcher):
            empty = False
            yield found.candidate(rules)
    if empty:
        yield refused_source(pattern, f"No file matches {printable(pattern)}{_but_of(rules)}.")


def _but_of(rules: Rules) -> str:
    return _but(rules) if rules.filters.include or rules.filters.exclude else ""
