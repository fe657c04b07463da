"""Walk folders and object stores, and match globs: blocking, streamed, to be called in a thread.

**Folders.** Every regular file counts, whatever its suffix: its bytes decide later. Hidden files
and folders (a leading dot) count only if `include_hidden` is set. Links to files are followed;
links to folders are rejected unless they are wanted, and then each folder is read once, also if
links form a circle. Entries come in sorted runs, with their paths for sorting, because sorting a
folder of a million here would need too much memory.

**Object stores**: objects, everything below a prefix, and globs. A listing is a stream of objects,
like the files of a walk: by relative path, filtered, hidden ones left out, with size and identity.
Names with patterns are matched like paths. A single object is looked up when it is planned, several
at a time.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import sys
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from heapq import heappop, heappush
from operator import attrgetter
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

import attrs

from datagym_async._files import changed_at, kind_of
from datagym_async._printable import printable
from datagym_async._runs._disk import refusal
from datagym_async._runs._stores import StoreLocation, identity_of, is_stored
from datagym_async.exceptions import ConfigurationError, StoreError
from datagym_async.uploads._screening import IMAGE_ENDINGS
from datagym_async.uploads._values import MEMBER, UploadItem, last_part
from datagym_async.uploads.sources._archives import asks_archives, in_archive, is_archive
from datagym_async.uploads.sources._candidates import Candidate, Rules, matcher, refused_source
from datagym_async.uploads.sources._lists import in_list, is_list

_RUN = 4096  # entries of a folder
MAGIC = frozenset("*?[")


class _Folder(NamedTuple):
    """A folder to read; links come last: files that are reached without one keep their own path."""

    is_link: bool
    relative: str
    path: str
    level: int


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
    return " once include and exclude are applied" if has_patterns else ""


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
    waiting = [_Folder(False, below, folder, 1)]
    read: set[str] = set()
    while waiting:
        here = heappop(waiting)
        if here.is_link:
            here = here._replace(path=os.path.realpath(here.path))
        try:
            # Only links lead to a folder twice, and junctions of Windows, which look like folders.
            if rules.symlinks == "follow" or sys.platform == "win32":
                # By its path, since some disks number no files, or anew each time.
                if (own := os.path.realpath(here.path)) in read:
                    continue
                read.add(own)
            with os.scandir(here.path) as entries:
                for entry in _in_order(entries):
                    one = _met(entry, here, rules, depth, matches)
                    if isinstance(one, Candidate):
                        nothing = None
                        yield one
                    elif one is not None:
                        heappush(waiting, one)
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
        return _Folder(is_link, relative, entry.path, here.level + 1)
    if matches is not None and not matches(relative):
        return None
    if (filters.include or filters.exclude) and not filters.takes(relative):
        filters.left_out += 1
        return None
    try:
        if entry.is_file():
            status = entry.stat()
            return rules.file(entry.path, relative, status.st_size, "", changed_at(status))
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


T = TypeVar("T")
LOOKED_UP: Final = 32  # objects that are looked up at once


def in_store(address: str, rules: Rules) -> Iterator[Candidate]:
    """Yield the candidates of an address: an object, list, archive, prefix or pattern."""
    try:
        at = StoreLocation.of(address)
    except ConfigurationError as error:
        shown = printable(address) if "@" not in address else "an address"
        yield refused_source(shown, str(error))
        return
    is_folder = not at.key or address.endswith("/")
    if not is_folder and at.key.lower().endswith(IMAGE_ENDINGS) and not is_glob(at.key):
        yield rules.file(at.address, last_part(at.key))
        return
    if not is_folder:
        try:
            meta = rules.stores.head(at)
        except StoreError as error:
            if error.trouble != "gone":
                yield refused_source(address, str(error))
                return
        else:
            if is_list(at.key) or is_archive(at.key):
                yield from (in_list if is_list(at.key) else in_archive)(at.address, rules)
            else:
                size, mark = meta["size"], identity_of(meta)
                yield rules.file(at.address, last_part(at.key), size, "", mark)
            return
    yield from _below(at, address, rules, is_folder=is_folder)


def _below(
    at: StoreLocation, address: str, rules: Rules, *, is_folder: bool
) -> Iterator[Candidate]:
    """Yield the objects below a prefix, or those that match a pattern."""
    parts = at.key.split("/")
    fixed = next((number for number, part in enumerate(parts) if is_glob(part)), len(parts))
    matches, pattern = None, "/".join(parts[fixed:])
    if pattern and not is_folder:
        at = attrs.evolve(at, key="/".join(parts[:fixed]))
        matches = matcher((pattern,), any_case=False)
        if any(part.startswith(".") for part in parts[fixed:]):
            rules = attrs.evolve(rules, include_hidden=True)
    count, filters = 0, rules.filters
    try:
        for meta in rules.stores.list(at):
            key = meta["path"]
            relative = key[len(at.key) + 1 :] if at.key else key
            if rules.hides(relative):
                continue
            if matches is not None and not matches(relative):
                continue
            if not meta["size"] and _is_marker(rules, StoreLocation(at.root, key)):
                continue
            is_packed = matches is not None and asks_archives(pattern) and is_archive(key)
            if not is_packed and not filters.takes(relative):
                filters.left_out += 1
                continue
            count += 1
            if is_packed:
                yield from in_archive(f"{at.root}/{key}", rules)
            else:
                mark = identity_of(meta)
                yield rules.file(f"{at.root}/{key}", relative, meta["size"], "", mark)
    except StoreError as error:
        after = f" The listing was cut off after {count:,} objects." if count else ""
        yield refused_source(address, f"{error}{after}", whole=not count)
        return
    if not count:
        what = "No object matches" if matches else "There is no object, and nothing below,"
        yield refused_source(address, f"{what} {printable(address)}{left_by(rules)}.")


def _is_marker(rules: Rules, at: StoreLocation) -> bool:
    """Return whether an empty object is a folder for consoles: its key ends in a slash."""
    try:
        rules.stores.head(at)
    except StoreError as error:
        return error.trouble == "gone"
    return False


def looked_up(
    entries: Iterable[T], rules: Rules
) -> Generator[T | tuple[int, Candidate], None, None]:
    """Yield entries unchanged, but single objects of stores with their sizes."""
    entries = iter(entries)
    with contextlib.ExitStack() as opened:
        pool: ThreadPoolExecutor | None = None
        for entry in entries:
            if not _is_unknown(entry):
                yield entry
                continue
            pool = pool or opened.enter_context(ThreadPoolExecutor(LOOKED_UP))
            portion = [entry, *itertools.islice(entries, 8 * LOOKED_UP - 1)]
            yield from pool.map(lambda each: _with_size(each, rules), portion)


def _is_unknown(entry: object) -> bool:
    if not isinstance(entry, tuple) or entry[1].size is not None or entry[1].refusal:
        return False
    content = entry[1].item.content
    return isinstance(content, str) and is_stored(content) and MEMBER not in content


def _with_size(entry: T, rules: Rules) -> T | tuple[int, Candidate]:
    if not isinstance(entry, tuple) or not _is_unknown(entry):
        return entry
    part, found = entry
    address, origin = str(found.item.content), found.item.origin
    before = f"{printable(origin)}: " if origin else ""
    try:
        at = StoreLocation.of(address)
    except ConfigurationError as error:  # it may hold a secret
        item = UploadItem(last_part(address), b"", origin=origin)
        return part, attrs.evolve(found, item=item, refusal=f"{before}{error}")
    try:
        meta = rules.stores.head(at)
    except StoreError as error:
        rules.stores.noted(error)
        refusal = f"{before}{error}"
        return part, attrs.evolve(found, refusal=refusal, whole_source=not origin)
    rules.stores.noted(None)
    return part, attrs.evolve(found, size=meta["size"], mtime=identity_of(meta))
