"""Read manifests: lists of paths and URLs as .txt, .csv or .jsonl; blocking, streamed.

* ``.txt``: one path or URL a line; blank lines and lines that begin with ``#`` do not count.
* ``.csv``: with a header, the columns path (or file, filename, image, source), url and name; with
  none, the first column. One with a column ``outcome`` is a report or a manifest of ours, and the
  ``'`` before what a spreadsheet would take for a formula is taken off.
* ``.jsonl``: a string a line, or an object with the members path or url, and name.

Paths are relative to the manifest's folder. Bytes that are not UTF-8 are kept, since file names
may hold them. A line that names no image becomes a refused candidate which says file and line.
"""

from __future__ import annotations

import csv
import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TypeAlias

import attrs

from datagym_async._json import check_depth
from datagym_async._printable import printable
from datagym_async._regular_files import regular_only
from datagym_async._runs._disk import refusal, size_of
from datagym_async._runs._text import plain_cell
from datagym_async.resources._urls import foreign_scheme
from datagym_async.resources._urls import screen as screen_url
from datagym_async.uploads._values import UploadItem, is_url
from datagym_async.uploads.sources._candidates import Candidate, refused_source

if TYPE_CHECKING:
    from _csv import Reader

    from datagym_async.uploads.sources._candidates import Rules


MAX_LINE = 65_536
SUFFIXES = (".txt", ".csv", ".jsonl")

_PATHS = ("path", "file", "filename", "file_name", "filepath", "file_path", "image", "source")
_URLS = ("url", "image_url", "link")
_NO_HEADER = ["path"]
_OURS = "outcome"
"""A column that reports and manifests of this package have, and lists of images have not."""


@attrs.frozen
class Line:
    """What one line says: a path or URL and perhaps a name, or what is wrong with it."""

    number: int
    content: str = ""
    name: str | None = None
    wrong: str = ""


Parser: TypeAlias = Callable[[Iterator[tuple[int, str]]], Iterator[Line]]


def is_manifest(path: str) -> bool:
    """Return whether a file named as a source is a list and not an image, by its suffix."""
    return path.lower().endswith(SUFFIXES)


def in_manifest(path: str, rules: Rules) -> Iterator[Candidate]:
    """Yield what a manifest names."""
    try:
        with open(path, "rb", opener=regular_only) as stream:
            yield from _candidates(stream, path, rules)
    except OSError as error:
        yield refused_source(path, f"The manifest {refusal(path, error)}")


def in_standard_input(rules: Rules) -> Iterator[Candidate]:
    """Yield what the lines of standard input name, as a .txt manifest in the working folder."""
    yield from _candidates(sys.stdin.buffer, "-", rules)


def _candidates(stream: IO[bytes], path: str, rules: Rules) -> Iterator[Candidate]:
    parse = _PARSERS.get(Path(path).suffix.lower(), _parse_text)
    empty = True
    for line in parse(_lines(stream)):
        empty = False
        yield _candidate(line, path, rules)
    if empty:
        yield refused_source(path, f"The manifest {printable(path)} names no image.")


def _candidate(line: Line, path: str, rules: Rules) -> Candidate:
    origin = f"{printable(path)}, line {line.number}"
    if line.wrong:
        return Candidate(UploadItem(origin, b"", origin=origin), refusal=f"{origin}: {line.wrong}")
    if is_url(line.content):
        return Candidate(UploadItem(line.name, line.content, origin=origin))
    if foreign_scheme(line.content):
        item = UploadItem(line.name, line.content, origin=origin)
        return Candidate(item, refusal=f"{origin}: {screen_url(line.content)}.")
    full = str(Path(path).parent / line.content)
    size = size_of(full)
    refusal = f"{origin}: {size}" if isinstance(size, str) else ""
    found = rules.file(
        full,
        _relative(line.content),
        None if isinstance(size, str) else size,
        refusal=refusal,
    )
    item = UploadItem(line.name or found.item.name, full, origin=origin)
    return Candidate(item, found.size, refusal or ("" if line.name else found.refusal))


def _relative(written: str) -> str:
    """Return the path below the manifest; an absolute one counts by its last part."""
    posix = written.replace(os.sep, "/")
    return posix.rpartition("/")[2] if posix.startswith("/") else posix.removeprefix("./")


def _lines(stream: IO[bytes]) -> Iterator[tuple[int, str]]:
    number = 0
    while raw := stream.readline(MAX_LINE):
        number += 1
        if number == 1:
            raw = raw.removeprefix(b"\xef\xbb\xbf")
            if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
                yield number, "\0UTF-16"
                return
        if len(raw) >= MAX_LINE and not raw.endswith(b"\n"):
            while (more := stream.readline(MAX_LINE)) and not more.endswith(b"\n"):
                pass
            yield number, "\0LONG"
            continue
        yield number, raw.decode("utf-8", "surrogateescape")


# A NUL marks what no manifest can hold, so that each parser need not know of the reader's limits.
_WRONG = {
    "\0UTF-16": "the file is UTF-16; save it as UTF-8.",
    "\0LONG": f"the line is longer than {MAX_LINE:,} bytes.",
}


def _unreadable(text: str) -> str:
    return _WRONG.get(text, "the line holds a NUL character.") if "\0" in text else ""


def _parse_text(lines: Iterator[tuple[int, str]]) -> Iterator[Line]:
    for number, text in lines:
        if wrong := _unreadable(text):
            yield Line(number, wrong=wrong)
        elif (content := text.strip()) and not content.startswith("#"):
            yield Line(number, content)


def _parse_jsonl(lines: Iterator[tuple[int, str]]) -> Iterator[Line]:
    for number, text in lines:
        if wrong := _unreadable(text):
            yield Line(number, wrong=wrong)
        elif text.strip():
            yield _json_line(number, text)


def _json_line(number: int, text: str) -> Line:
    try:
        check_depth(text)
        value = json.loads(text)
    except ValueError:
        return Line(number, wrong="the line is not JSON.")
    if isinstance(value, str) and value:
        return Line(number, value)
    if isinstance(value, dict):
        return _from_members(number, value)
    return Line(number, wrong='the line is neither a string nor an object with "path" or "url".')


def _from_members(number: int, members: dict[str, Any]) -> Line:
    known = {str(key).strip().lower(): value for key, value in members.items()}
    content = next((known[key] for key in (*_PATHS, *_URLS) if known.get(key)), None)
    name = known.get("name")
    if not isinstance(content, str) or "\0" in content:
        return Line(number, wrong="the line names neither a path nor a URL.")
    if name is not None and not isinstance(name, str):
        return Line(number, wrong="the name is not text.")
    return Line(number, content.strip(), name or None)


def _parse_csv(lines: Iterator[tuple[int, str]]) -> Iterator[Line]:
    rows = csv.reader(text for _, text in lines)
    header: list[str] | None = None
    for number, row in _rows(rows):
        if isinstance(row, str):
            yield Line(number, wrong=row)
        elif not any(map(str.strip, row)):
            continue
        elif header is None:
            header = _header(row)
            if header is _NO_HEADER:
                yield _csv_line(number, header, row)
        else:
            yield _csv_line(number, header, row)


def _rows(rows: Reader) -> Iterator[tuple[int, list[str] | str]]:
    while True:
        try:
            row = next(rows)
        except StopIteration:
            return
        except csv.Error as error:
            yield rows.line_num, f"the line is not CSV: {error}."
        else:
            yield rows.line_num, _unreadable("".join(row)) or row


def _header(row: list[str]) -> list[str]:
    columns = [cell.strip().lower() for cell in row]
    return columns if set(columns) & {*_PATHS, *_URLS} else _NO_HEADER


def _csv_line(number: int, header: list[str], row: list[str]) -> Line:
    cells = map(plain_cell if _OURS in header else str.strip, row)
    return _from_members(number, dict(zip(header, cells, strict=False)))


_PARSERS: dict[str, Parser] = {
    ".txt": _parse_text,
    ".csv": _parse_csv,
    ".jsonl": _parse_jsonl,
}
