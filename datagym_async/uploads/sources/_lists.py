"""Read lists of paths and URLs as .txt, .csv or .jsonl; blocking, streamed.

* ``.txt``: one path or URL a line; blank lines and lines that begin with ``#`` do not count.
* ``.csv`` and ``.tsv``: with a header, the columns path or url, or others of these names (`KNOWN`,
  whatever their case, with blanks or underscores), and name; with none, the first column. Between
  columns are commas, semicolons or tabs. One with a column ``outcome`` is a report or a download's
  manifest, and the ``'`` before what a spreadsheet would take for a formula is taken off.
* ``.jsonl``: a string a line, or an object with such members.

A repeated row, as in lists of boxes, is the same item (see the plan). Paths are relative to the
folder of the list, also in a store; or they are URLs of files, or addresses of objects in stores.
Bytes that are not UTF-8 are kept, since file names may hold them. A line that names no image
becomes a refused candidate with file and line.
"""

from __future__ import annotations

import contextlib
import csv
import itertools
import json
import os
import posixpath
import re
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import IO, Any, TypeAlias

import attrs

from datagym_async._files import regular_only
from datagym_async._json import check_depth
from datagym_async._printable import printable, quoted
from datagym_async._runs._disk import ODD_BYTES, bytes_in, local_path, look, refusal
from datagym_async._runs._stores import RANGE, is_stored
from datagym_async._runs._text import plain_cell
from datagym_async.exceptions import StoreError
from datagym_async.resources._links import foreign_scheme, screen_url
from datagym_async.uploads._values import UploadItem, is_url, last_part
from datagym_async.uploads.sources._candidates import Candidate, Rules, refused_source
from datagym_async.uploads.sources._open_files import as_stream

MAX_LINE = 65_536
SUFFIXES = (".txt", ".csv", ".tsv", ".jsonl")

_PATHS = ("path", "file", "filename", "filepath", "image", "imagepath", "imagefile", "source")
_CONTENTS = (*_PATHS, "url", "imageurl", "uri", "link", "imagename", "img", "imgpath")
KNOWN = "path, file, filename, file_path, image, image_path, image_name, source, url, image_url"
"""The usual columns and members that name an image, for an error; `_CONTENTS` has their order."""
_OURS = "outcome"  # a column of reports and manifests of this package


@attrs.frozen
class Line:
    """One line: a path or URL and perhaps a name, or what is wrong with it."""

    number: int
    content: str = ""
    name: str | None = None
    wrong: str = ""
    wrong_list: bool = False  # not the line alone


Parser: TypeAlias = Callable[[Iterator[tuple[int, str]], Path], Iterator[Line]]
"""Takes the lines, and the folder of the list."""


def is_list(path: str) -> bool:
    """Return whether a file named as a source is a list and not an image, by its suffix."""
    return path.lower().endswith(SUFFIXES)


def in_list(path: str, rules: Rules) -> Iterator[Candidate]:
    try:
        if is_stored(path):
            found = rules.stores.at(path)
            meta = rules.stores.head(found.at)
            source = attrs.evolve(found, etag=meta["e_tag"])
            yield from _candidates(as_stream(source, meta["size"], buffered=RANGE), path, rules)
            return
        with open(path, "rb", opener=regular_only) as stream:
            yield from _candidates(stream, path, rules)
    except StoreError as error:
        yield refused_source(path, str(error))
    except OSError as error:
        yield refused_source(path, f"The list {refusal(path, error)}")


def in_standard_input(rules: Rules) -> Iterator[Candidate]:
    """Yield the items of standard input, as of a .txt list in the working folder."""
    # Kept here: a program cannot end while standard input is deleted and a thread reads it.
    stream = sys.stdin
    yield from _candidates(stream.buffer, "-", rules)


def _candidates(stream: IO[bytes], path: str, rules: Rules) -> Iterator[Candidate]:
    parse = _PARSERS.get(Path(path).suffix.lower(), _parse_lines)
    empty = True
    for line in parse(_lines(stream), Path(path).parent):
        empty = False
        yield _candidate(line, path, rules)
    if empty:
        yield refused_source(path, f"The list {printable(path)} contains no images.")


def _candidate(line: Line, path: str, rules: Rules) -> Candidate:
    origin, content = f"{printable(path)}, line {line.number}", local_path(line.content)
    said = f"list {origin}"  # a text beside images may not be meant as one
    if line.wrong:
        named, is_whole = path if line.wrong_list else origin, line.wrong_list
        return refused_source(named, f"{said}: {line.wrong}", whole=is_whole)
    below, folder = last_part(content), path.rpartition("/")[0]
    if is_stored(path) and not (is_stored(content) or is_url(content) or foreign_scheme(content)):
        below = content.removeprefix("./")
        root, _, key = folder.partition("://")
        content = f"{root}://{posixpath.normpath(f'{key}/{content}')}"
    if is_stored(content):
        return rules.file(content, below, place="", name=line.name, origin=origin)
    if is_url(content) or foreign_scheme(content):
        wrong = "" if is_url(content) else f"{said}: {screen_url(content)}."
        return Candidate(UploadItem(line.name, content, origin=origin), refusal=wrong)
    full = str(Path(path).parent / content)
    size = bytes_in(full)
    if isinstance(size, str):
        item = UploadItem(line.name or last_part(content), full, origin=origin)
        return Candidate(item, refusal=f"{said}: {size}")
    # Its path below the list; an absolute one counts by its last part.
    written = os.path.splitdrive(content)[1].replace(os.sep, "/")
    below = last_part(written) if written.startswith("/") else written.removeprefix("./")
    return rules.file(rules.full(full), below, size, place="", name=line.name, origin=origin)


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


# A NUL marks lines that no list can hold, so that parsers need not know the reader's limits.
_WRONG = {
    "\0UTF-16": "the file is UTF-16; save it as UTF-8.",
    "\0LONG": f"the line is longer than {MAX_LINE:,} bytes.",
}


def _unreadable(text: str) -> str:
    return (
        _WRONG.get(text, "the line holds a NUL character; a list has one path or URL in each line.")
        if "\0" in text
        else ""
    )


def _parse_lines(
    lines: Iterator[tuple[int, str]], _: Path, *, is_json: bool = False
) -> Iterator[Line]:
    for number, text in lines:
        content = text.strip()
        if wrong := _unreadable(text):
            yield Line(number, wrong=wrong)
        elif content and is_json:
            yield _json_line(number, text)
        elif content and not content.startswith("#"):
            yield Line(number, content)


def _json_line(number: int, text: str) -> Line:
    try:
        check_depth(text)
        value = json.loads(text)
    except ValueError:
        return Line(number, wrong="the line is not JSON.")
    if isinstance(value, str) and value:
        return Line(number, value)
    if isinstance(value, dict):
        return _from_members(number, {_plain(str(key)): each for key, each in value.items()})
    return Line(number, wrong='the line is neither a string nor an object with "path" or "url".')


def _plain(title: str) -> str:
    """Return the title of a column as titles are compared: ``Image Path`` is ``image_path``."""
    return re.sub(r"[\s_-]+", "", title.lower())


def _from_members(number: int, known: dict[str, Any]) -> Line:
    content = next((known[key] for key in _CONTENTS if known.get(key)), None)
    name = known.get("name")
    if not isinstance(content, str) or "\0" in content:
        return Line(number, wrong="the line has neither a path nor a URL.")
    if name is not None and not isinstance(name, str):
        return Line(number, wrong="the name is not text.")
    if name and ODD_BYTES.search(name) and not ODD_BYTES.search(content):  # no name of that file
        return Line(number, wrong="the name is not in UTF-8; save the list as UTF-8.")
    return Line(number, content.strip(), name or None)


def _delimiter(line: str) -> str:
    """Return the character between columns, by the first line that has any."""
    for each in ",;\t":
        with contextlib.suppress(csv.Error, StopIteration):
            if set(map(_plain, next(csv.reader([line], delimiter=each)))) & {*_CONTENTS}:
                return each
    return next((each for each in "\t,;" if each in line), ",")


def _parse_csv(lines: Iterator[tuple[int, str]], folder: Path) -> Iterator[Line]:
    texts, begun = (text for _, text in lines), []
    for text in texts:
        begun.append(text)
        if text.strip():
            break
    delimiter = _delimiter(begun[-1]) if begun else ","
    if begun and (found := re.fullmatch(r"\s*sep=([,;\t])\s*", begun[-1], re.IGNORECASE)):
        delimiter, begun[-1] = found[1], "\n"  # what Excel writes
    rows = csv.reader(itertools.chain(begun, texts), delimiter=delimiter)
    header: list[str] | None = None
    while True:
        try:
            row = next(rows)
        except StopIteration:
            return
        except csv.Error as error:
            yield Line(rows.line_num, wrong=f"the line is not CSV: {error}.")
            continue
        if wrong := _unreadable("".join(row)):
            yield Line(rows.line_num, wrong=wrong)
            continue
        if not any(map(str.strip, row)):
            continue
        if header is None:
            header = [_plain(cell) for cell in row]
            if set(header) & {*_CONTENTS}:
                continue
            if not _is_content(row[0].strip(), folder):
                titles = ", ".join(map(quoted, row[:5]))
                wrong = (
                    f"none of its columns ({titles}) contains images; give the column of the "
                    f"paths one of the titles {KNOWN}."
                )
                yield Line(rows.line_num, wrong=wrong, wrong_list=True)
                return
            header = ["path"]  # it has none, and this is the first line
        cells = map(plain_cell if _OURS in header else str.strip, row)
        yield _from_members(rows.line_num, dict(zip(header, cells, strict=False)))


def _is_content(cell: str, folder: Path) -> bool:
    """Return whether a cell looks like a path or URL rather than the title of a column."""
    is_path = re.search(r"[/\\]|\.[A-Za-z0-9]{1,5}$", cell) is not None
    return is_path or not isinstance(look(str(folder / cell)), str)


_PARSERS: dict[str, Parser] = {
    ".csv": _parse_csv,
    ".tsv": _parse_csv,
    ".jsonl": partial(_parse_lines, is_json=True),
}
