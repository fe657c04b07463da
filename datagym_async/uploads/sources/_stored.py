"""Object stores as sources: objects, everything below a prefix, and globs; blocking.

A listing is a stream of objects, like the files of a walk: by relative path, filtered, hidden ones
left out, with size and identity. Names with patterns are matched like paths. A single object is
looked up when it is planned, several at a time.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

import attrs

from datagym_async._printable import printable
from datagym_async._runs._stores import StoreLocation, identity_of, is_stored
from datagym_async.exceptions import ConfigurationError, StoreError
from datagym_async.uploads._screening import IMAGE_ENDINGS
from datagym_async.uploads._values import MEMBER, UploadItem, last_part
from datagym_async.uploads.sources._archives import asks_archives, in_archive, is_archive
from datagym_async.uploads.sources._candidates import Candidate, Rules, matcher, refused_source
from datagym_async.uploads.sources._folders import is_glob, left_by
from datagym_async.uploads.sources._lists import in_list, is_list

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
            # At once: called for every file.
            if not isinstance(entry, tuple) or entry[1].size is not None or not _is_unknown(entry):
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
