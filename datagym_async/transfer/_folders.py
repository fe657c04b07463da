"""Walk folders and match globs: blocking, streamed, to be called in a thread.

Every regular file counts, whatever its suffix: its bytes decide later. Hidden files and folders
(a leading dot) do not count unless asked for. Links to files are followed, links to folders are
not (they may lead in a circle) and are refused by name. Entries come in the order of the disk,
with their place for sorting, because sorting a folder of a million here would hold it in memory.
"""

from __future__ import annotations

import os
import re
from fnmatch import translate
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from datagym_async.transfer._candidates import Candidate, refused_source
from datagym_async.transfer._disk import refusal
from datagym_async.transfer._items import UploadItem, printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from datagym_async.transfer._candidates import Rules

MAGIC = frozenset("*?[")


@attrs.frozen
class Found:
    """One entry below a folder: a file with its size, or a reason against it."""

    path: str
    relative: str
    size: int = 0
    refusal: str = ""
    is_folder: bool = False

    def candidate(self, rules: Rules) -> Candidate:
        """Return the entry as a candidate."""
        name = rules.name(self.relative.rpartition("/")[2], self.relative)
        item = UploadItem(name, self.path)
        return Candidate(item, self.size, self.refusal, place=self.relative)


def in_folder(folder: str, rules: Rules) -> Iterator[Candidate]:
    """Yield every file below a folder."""
    empty = True
    for found in walk(folder, include_hidden=rules.include_hidden):
        empty = False
        if not found.relative:
            yield refused_source(folder, found.refusal)
        else:
            yield found.candidate(rules)
    if empty:
        hidden = "" if rules.include_hidden else " (hidden ones do not count)"
        yield refused_source(folder, f"The folder {printable(folder)} holds no files{hidden}.")


def walk(folder: str, *, include_hidden: bool, depth: int | None = None) -> Iterator[Found]:
    """Yield every file below a folder, and every entry that can be none.

    Args:
        folder: The folder; it may itself be a link.
        include_hidden: Whether names that begin with a dot count.
        depth: How many levels to go down; None for all, 1 for the folder's own files.
    """
    waiting = [(folder, "", 1)]
    while waiting:
        path, relative, level = waiting.pop()
        try:
            with os.scandir(path) as entries:
                for entry in entries:
                    if entry.name.startswith(".") and not include_hidden:
                        continue
                    below = f"{relative}/{entry.name}" if relative else entry.name
                    if not entry.is_dir(follow_symlinks=False):
                        yield _look_at(entry, below)
                    elif depth is None or level < depth:
                        waiting.append((entry.path, below, level + 1))
        except OSError as error:
            yield Found(
                path, relative, refusal=f"The folder {refusal(path, error)}", is_folder=True
            )


def _look_at(entry: os.DirEntry[str], relative: str) -> Found:
    shown = printable(entry.path)
    try:
        if entry.is_file():
            return Found(entry.path, relative, entry.stat().st_size)
        if entry.is_dir():
            reason = f"{shown} is a link to a folder, which is not followed; name it as a source."
        elif entry.is_symlink():
            reason = f"{shown} is a link that leads nowhere."
        else:
            reason = f"{shown} is not a regular file."
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
    hidden = rules.include_hidden or any(part.startswith(".") for part in segments)
    depth = None if "**" in segments else len(segments)
    matcher = tuple(map(_compiled, segments))
    empty = True
    for found in walk(root, include_hidden=hidden, depth=depth):
        if not found.relative:
            break  # the folder in front of the pattern cannot be read: nothing matches
        if found.is_folder or matches(tuple(found.relative.split("/")), matcher):
            empty = False
            yield found.candidate(rules)
    if empty:
        yield refused_source(pattern, f"No file matches {printable(pattern)}.")


def _compiled(segment: str) -> re.Pattern[str] | None:
    if segment == "**":
        return None
    return re.compile(translate(segment), re.IGNORECASE if os.name == "nt" else 0)


def matches(parts: tuple[str, ...], pattern: tuple[re.Pattern[str] | None, ...]) -> bool:
    """Return whether a path matches; None in the pattern stands for any number of folders."""
    if not pattern:
        return not parts
    first, rest = pattern[0], pattern[1:]
    if first is None:
        return any(matches(parts[at:], rest) for at in range(len(parts) + 1))
    return bool(parts) and bool(first.match(parts[0])) and matches(parts[1:], rest)
