"""Sources, split into leaves: the one place that decides what a source may be.

Finite sources (paths, globs, lists, items, and collections of these) give leaves: iterators of
candidates, blocking, to be advanced in a thread. Sources that may never end (iterators, async
iterables, standard input) become a `Stream`, which is read as it arrives. The failed items of an
earlier run are a source as well (`failed_items`).
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
from collections.abc import AsyncIterable, Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeAlias, Union, cast

import attrs

from datagym_async._checks import checked
from datagym_async._files import from_home, read_whole, regular_only
from datagym_async._json import check_depth
from datagym_async._printable import printable
from datagym_async._runs._disk import bytes_in, given_path, look
from datagym_async._runs._images import JPEG
from datagym_async._runs._stores import is_stored
from datagym_async._runs._text import counted
from datagym_async.exceptions import ConfigurationError
from datagym_async.resources._links import foreign_scheme, screen_url
from datagym_async.uploads._pictures import Picture, kind_of, why_no_source
from datagym_async.uploads._screening import PNG
from datagym_async.uploads._values import (
    MEMBER,
    SCHEMA,
    Outcome,
    Pixels,
    Readable,
    UploadItem,
    UploadReport,
    is_readable,
    is_url,
    last_part,
    raw_decoded,
)
from datagym_async.uploads.sources._archives import asks_archives, in_archive, is_archive
from datagym_async.uploads.sources._candidates import (
    Candidate,
    Filters,
    Naming,
    Rules,
    refused_source,
)
from datagym_async.uploads.sources._folders import in_folder, in_glob, in_store, is_glob
from datagym_async.uploads.sources._lists import in_list, in_standard_input, is_list
from datagym_async.uploads.sources._open_files import size_of_open
from datagym_async.uploads.sources._watch import FolderWatch

Source: TypeAlias = Union[  # noqa: UP007 -- a string cannot be joined by | at run time
    str, os.PathLike[str], UploadItem, Readable, Pixels, Iterable["Source"], AsyncIterable["Source"]
]


@attrs.frozen
class Stream:
    """A source that is read as it arrives; its elements are sources again."""

    source: Iterator[object] | AsyncIterable[object]


_DEEPEST = 32  # collections in each other
_PIPED = " To pipe a list of images, use the source - (standard input)."

Leaf: TypeAlias = Iterable[Candidate] | Stream


def is_endless(source: object, outer: tuple[object, ...]) -> bool:
    """Return whether a collection contains itself, or is nested as if it did."""
    return len(outer) > _DEEPEST or any(each is source for each in outer)


def leaves(source: object, rules: Rules, outer: tuple[object, ...] = ()) -> Iterator[Leaf]:
    """Yield the leaves of a source, in order; what is no source becomes a refused candidate."""
    if isinstance(source, Candidate):
        yield (source,)
    elif isinstance(source, UploadItem):
        yield (_of_item(source, rules),)
    elif isinstance(source, str):
        yield _of_text(source, rules)
    elif isinstance(source, os.PathLike):
        yield _of_path(given_path(os.fsdecode(source)), rules)
    elif isinstance(source, FolderWatch):
        yield Stream(source.arrivals(rules))
    elif is_readable(source) or kind_of(source) == "image":
        # Before the iterators: a file is an iterator of lines.
        try:
            yield (_of_item(UploadItem(None, cast("Readable | Pixels", source)), rules),)
        except ConfigurationError as error:
            yield (refused_source("an open file", str(error)),)
    elif reason := why_no_source(source):  # it may be in the middle of a long list
        yield (refused_source(type(source).__name__, reason),)
    elif isinstance(source, AsyncIterable | Iterator):
        yield Stream(source)
    elif is_endless(source, outer):
        yield (refused_source("a list", "A source contains itself, or is nested too deeply."),)
    elif isinstance(source, Collection):
        outer = (*outer, source)
        for each in source:
            yield from leaves(each, rules, outer)
    else:
        yield Stream(iter(cast("Iterable[object]", source)))


def check_sources(source: object) -> None:
    """Refuse at once values that cannot be a source; elements of a collection are checked later."""
    given = isinstance(source, str | os.PathLike | UploadItem | FolderWatch | Candidate)
    if not given and not is_readable(source) and (reason := why_no_source(source)):
        raise ConfigurationError(reason)


def check_there(source: object, rules: Rules) -> None:
    """Raise a `ConfigurationError` for sources that are all empty, before anything is created.

    Blocks, and reads each source up to its first element.
    """
    if isinstance(source, FolderWatch):
        source.check()
    # What it leaves out is counted when the sources are read.
    rules = attrs.evolve(rules, naming=Naming(), filters=attrs.evolve(rules.filters))
    wrong = []
    for leaf in leaves(source, rules):
        first = None if isinstance(leaf, Stream) else next(iter(leaf), None)
        if first is None or not first.whole_source:
            return
        wrong.append(first)
    if wrong:
        raise nothing_to_upload(wrong)


def nothing_to_upload(wrong: Sequence[Candidate]) -> ConfigurationError:
    """Return the error if all sources are refused as a whole."""
    more = counted(len(wrong) - 1, "more source")
    others = f" (and {more} like it)" if wrong[1:] else ""
    return ConfigurationError(f"Nothing to upload: {wrong[0].refusal}{others}")


def _of_item(item: UploadItem, rules: Rules) -> Candidate:
    if isinstance(item.file, Picture):
        try:
            data = item.file.encoded()
        except Exception as error:  # an image that is closed, or has a broken file
            return Candidate(
                item.without_data(), refusal=f"{item.name} cannot be encoded: {error}."
            )
        return Candidate(UploadItem(item.name, data, origin=item.origin), len(data))
    if item.file is not None:
        return Candidate(item, size_of_open(item.file))
    if isinstance(item.content, bytes):
        return Candidate(item, len(item.content))
    if is_url(item.content) or is_stored(item.content) or MEMBER in item.content:
        return Candidate(item)
    size = bytes_in(path := given_path(item.content))
    if isinstance(size, str):
        return Candidate(item, refusal=size)
    full = rules.full(path)
    return Candidate(item if full == item.content else attrs.evolve(item, content=full), size)


def _of_text(text: str, rules: Rules) -> Leaf:
    if text == "-":
        return Stream(in_standard_input(rules))
    if is_url(text):
        return (Candidate(UploadItem(None, text)),)
    if is_stored(text):
        return in_store(text, rules)
    if not text.strip():
        return (refused_source(text, "A source is empty; name a file or folder."),)
    path = given_path(text)
    missing = isinstance(look(path), str)
    if missing and foreign_scheme(text):
        return (refused_source(text, f"{printable(text)}: {screen_url(text)}."),)
    if not (missing and is_glob(path)):
        return _of_path(path, rules)
    return _in_archives(path, rules) if asks_archives(path) else in_glob(path, rules)


def _in_archives(pattern: str, rules: Rules) -> Iterator[Candidate]:
    """Yield the members of archives that match a pattern; other patterns are for the members."""
    for found in in_glob(pattern, attrs.evolve(rules, naming=Naming(), filters=Filters())):
        path = str(found.item.content)
        if found.refusal:
            yield found
        elif is_archive(path):
            yield from in_archive(path, rules)
        elif rules.filters.takes(found.place):
            yield rules.file(path, found.place, found.size, mtime=found.mtime)
        else:
            rules.filters.left_out += 1


def _of_path(path: str, rules: Rules) -> Leaf:
    found = look(path)
    if not isinstance(found, str) and stat.S_ISDIR(found.st_mode):
        return in_folder(path, rules)
    size = bytes_in(path)
    if isinstance(size, str):
        is_pipe = not isinstance(found, str) and stat.S_ISFIFO(found.st_mode)
        return (refused_source(path, size + (_PIPED if is_pipe else "")),)
    if is_list(path):
        return in_list(path, rules)
    if is_archive(path):
        return in_archive(rules.full(path), rules)
    if path.lower().endswith((".xlsx", ".xls", ".ods")) and not _is_image(path):
        reason = f"{printable(path)} is a spreadsheet; save it as a .csv file, in UTF-8."
        return (refused_source(path, reason),)
    return (rules.file(rules.full(path), last_part(path), size),)


def _is_image(path: str) -> bool:
    with contextlib.suppress(OSError), open(path, "rb", opener=regular_only) as file:
        return file.read(len(PNG)).startswith((JPEG, PNG))
    return False


@checked
def failed_items(
    report: UploadReport | str | os.PathLike[str], *, rejected: bool = False
) -> Collection[Source]:
    """Return the failed items of a report as a source: ``client.upload(id, failed_items(report))``.

    Each item has its original name, and path or URL. Items whose bytes were in memory are
    ``rejected``. A file is read when the upload reads its sources.

    Args:
        report: A report, or the file that `UploadReport.to_json` wrote.
        rejected: Whether to include the rejected items, for example if their files were repaired.

    Raises:
        ConfigurationError: On reading: the file is not such a report, or cannot be read.
    """
    return _FailedItems(report, {"failed", "rejected"} if rejected else {"failed"})


@attrs.frozen
class _FailedItems(Collection["Source"]):
    """The items, read again each time: in a thread, like every source."""

    report: UploadReport | str | os.PathLike[str]
    outcomes: set[str]

    def __iter__(self) -> Iterator[Source]:
        # An item that cannot be repeated is a candidate with the reason, which counts as a source
        # internally.
        rows: list[tuple[str, Any]]
        if isinstance(self.report, UploadReport):
            rows = [(each.outcome.value, _as_before(each.item)) for each in self.report.problems]
            omitted = self.report.problems_omitted
        else:
            document = read_report(from_home(self.report, what="report"))
            try:
                rows = [(Outcome(row["outcome"]), _of_row(row)) for row in document["problems"]]
                omitted = int(document.get("problems_omitted", 0))
            except Exception as error:  # it may be changed or cut in any way
                raise ConfigurationError(
                    f"The report {printable(str(self.report))} is damaged: it lists its problems "
                    "in another way than `UploadReport.to_json` does."
                ) from error
        yield from (item for outcome, item in rows if outcome in self.outcomes)
        if omitted:
            reason = (
                f"The report leaves out {omitted:,} rejected or failed items (max_problems); upload"
                " the sources again instead, and what is there is skipped."
            )
            yield cast("Source", refused_source("the report", reason, whole=False))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __contains__(self, item: object) -> bool:
        return any(each == item for each in self)


def _of_row(row: dict[str, Any]) -> UploadItem | Candidate:
    name, source = (
        str(row[member]) if (raw := row.get(f"{member}_raw")) is None else raw_decoded(raw)
        for member in ("name", "source")
    )
    return _as_before(UploadItem(name, b"" if row.get("in_memory") else source))


def _as_before(item: UploadItem) -> UploadItem | Candidate:
    if isinstance(item.content, str):
        return item
    shown = printable(item.name)
    reason = f"The bytes of {shown} were in memory and are gone; pass them again."
    return refused_source(shown, reason, whole=False)


def read_report(path: Path) -> dict[str, Any]:
    """Return the document of a report; `ConfigurationError` if the file is none."""
    shown = printable(str(path))
    try:
        check_depth(text := read_whole(path))
        document = json.loads(text)
    except OSError as error:
        msg = f"The report {shown} cannot be read: {error.strerror or error}."
        raise ConfigurationError(msg) from error
    except ValueError as error:
        msg = f"{shown} is not JSON; give the report that `UploadReport.to_json` wrote."
        raise ConfigurationError(msg) from error
    if not isinstance(document, dict) or document.get("schema") != SCHEMA:
        msg = f"{shown} is not a report of an upload: it lacks the schema {SCHEMA!r}."
        raise ConfigurationError(msg)
    return document
