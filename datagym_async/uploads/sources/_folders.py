"""Walk folders and match globs: blocking, streamed, to be called in a thread.

Every regular file counts, whatever its suffix: its bytes decide later. Hidden files and folders (a
leading dot) count only if `include_hidden` is set. Links to files are followed; links to folders
are rejected unless they are wanted, and then each folder is read once, also if links form a circle.
Entries come in sorted runs, with their paths for sorting, because sorting a folder of a million
here would need too much memory.
"""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Callable, Iterator
from operator import attrgetter
from pathlib import Path
from typing import NamedTuple

import attrs

from datagym_async._printable import printable
from datagym_async._regular_files import kind_of
from datagym_async._runs._disk import refusal
from datagym_async.uploads.sources._candidates import Candidate, Rules, matcher, refused_source

_RUN = 4096  # entries of a folder
MAGIC = frozenset("*?[")


class _Folder(NamedTuple):
    path: str
    relative: str = ""
    level: int = 1
    is_link: bool = False


def in_folder(folder: str, rules: Rules) -> Iterator[Candidate]:
    """Yield every file below a folder that counts."""
    but = "" if rules.include_hidden else " (hidden ones do not count)"
    nothing = f"The folder {printable(folder)} holds no files{left_by(rules) or but}."
    return walk(os.path.realpath(folder), rules, nothing=refused_source(folder, nothing))


def is_glob(text: str) -> bool:
    """Return whether a text that is not a path on disk is a pattern."""
    return not MAGIC.isdisjoint(text)


def in_glob(pattern: str, rules: Rules) -> Iterator[Candidate]:
    """Yield the files that match a pattern: ``*``, ``?``, ``[...]``, and ``**`` over folders.

    Parts that exist under exactly this name are used literally: names of folders may contain
    brackets.
    """
    parts = Path(pattern).parts
    magic = [at for at, part in enumerate(parts) if is_glob(part)]
    fixed = next((at for at in magic if not os.path.lexists(Path(*parts[: at + 1]))), magic[0])
    segments = parts[fixed:]
    if any(part.startswith(".") for part in segments):
        rules = attrs.evolve(rules, include_hidden=True)
    return walk(
        os.path.realpath(Path(*parts[:fixed])),
        rules,
        depth=None if "**" in segments else len(segments),
        matches=matcher(("/".join(segments),), any_case=os.name == "nt"),
        nothing=refused_source(pattern, f"No file matches {printable(pattern)}{left_by(rules)}."),
    )


def left_by(rules: Rules) -> str:
    """Return which options may have left nothing of a source, as text; empty without patterns."""
    has_patterns = rules.filters.include or rules.filters.exclude
    return " that the patterns of include and exclude leave" if has_patterns else ""


def walk(
    folder: str,
    rules: Rules,
    *,
    below: str = "",
    depth: int | None = None,
    matches: Callable[[str], object] | None = None,
    nothing: Candidate | None = None,
) -> Iterator[Candidate]:
    """Yield every file below a folder that counts, and every entry that cannot be a file.

    The folder is a full path, which is not a link. `below` is its own path below its source, parts
    joined by ``/``. It goes down `depth` levels; 1 means only the folder's own files. `matches`
    says whether a file's path counts; if the folder cannot be read, nothing matches. `nothing` is
    yielded if there is nothing else.
    """
    rules = attrs.evolve(rules, left_out=frozenset(map(rules.full, rules.left_out)))
    waiting = [_Folder(folder, below)]
    links: list[_Folder] = []
    read: set[tuple[int, int]] = set()
    while waiting or links:
        if not waiting:
            # Links last and in order: files that can be reached without a link keep their own path.
            links.sort(key=lambda link: link.relative, reverse=True)
            waiting.append(links.pop())
        here = waiting.pop()
        if here.is_link:
            here = here._replace(path=os.path.realpath(here.path))
        try:
            if rules.symlinks == "follow":  # only links can lead to a folder twice
                status = os.stat(here.path)  # noqa: PTH116 -- as in `_disk.look`
                if (status.st_dev, status.st_ino) in read:
                    continue
                read.add((status.st_dev, status.st_ino))
            with os.scandir(here.path) as entries:
                for entry in _in_order(entries):
                    one = _met(entry, here, rules, depth, matches)
                    if isinstance(one, Candidate):
                        nothing = None
                        yield one
                    elif one is not None:
                        (links if one.is_link else waiting).append(one)
        except OSError as error:
            reason = f"The folder {refusal(here.path, error)}"
            if here.relative:
                nothing = None
                yield rules.file(here.path, here.relative, 0, reason)
            elif matches is None:
                nothing = None
                yield refused_source(here.path, reason)
    if nothing is not None:
        yield nothing


def _met(
    entry: os.DirEntry[str],
    here: _Folder,
    rules: Rules,
    depth: int | None,
    matches: Callable[[str], object] | None,
) -> _Folder | Candidate | None:
    """Return what an entry is, or None if it does not count."""
    filters, name = rules.filters, entry.name
    if name.startswith(".") and not rules.include_hidden:
        return None
    if rules.symlinks == "skip" and entry.is_symlink():
        return None
    if entry.path in rules.left_out:
        return None
    relative = f"{here.relative}/{name}" if here.relative else name
    is_link = False
    is_folder = entry.is_dir(follow_symlinks=False)
    if not is_folder and rules.symlinks == "follow" and entry.is_symlink():
        with contextlib.suppress(OSError):  # a link in a circle
            is_folder = is_link = entry.is_dir()
    if is_folder:
        if depth is not None and here.level >= depth:
            return None
        if filters.prunes(relative):
            filters.left_out += 1
            return None
        return _Folder(entry.path, relative, here.level + 1, is_link)
    if matches is not None and not matches(relative):
        return None
    if (filters.include or filters.exclude) and not filters.takes(relative):
        filters.left_out += 1
        return None
    try:
        if entry.is_file():
            status = entry.stat()
            return rules.file(entry.path, relative, status.st_size, "", status.st_mtime_ns)
        words = f"{kind_of(entry.stat().st_mode)}, not a regular file."
        if entry.is_dir():
            words = "a link to a folder, which is not followed; name it as a source, or upload with"
            words += ' symlinks="follow".'
        reason = f"{printable(entry.path)} is {words}"
    except FileNotFoundError as error:
        dead = f"{printable(entry.path)} is a broken link."
        reason = dead if entry.is_symlink() else refusal(entry.path, error)
    except OSError as error:
        reason = refusal(entry.path, error)
    return rules.file(entry.path, relative, 0, reason)


def _in_order(entries: Iterator[os.DirEntry[str]]) -> Iterator[os.DirEntry[str]]:
    """Yield entries in sorted runs.

    The plan yields items in the order of their paths. If they were written in the order of the
    disk, each would be on another page, which has to be read, changed and written separately.
    """
    while run := sorted(itertools.islice(entries, _RUN), key=attrgetter("name")):
        yield from run
