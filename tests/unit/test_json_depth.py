"""JSON of others is read down to a bound, and no deeper, by whatever reads it."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from datagym_async._json import MAX_DEPTH, DepthGuard, NestedTooDeepError, check_depth, loads
from datagym_async._wire import (
    TASK,
    BrokenTextError,
    ElementCutter,
    ListingCutter,
    Request,
    Response,
    decode,
    decode_error,
    read_json,
)
from datagym_async.exceptions import APIResponseValidationError, DataGymError
from datagym_async.formats import coco
from datagym_async.labels import LabelConfig, LabelExport
from datagym_async.resources._base import read_export
from datagym_async.uploads.sources import failed_items
from datagym_async.uploads.sources._lists import _json_line

READ = Request("GET", "export/1")
NESTS = {"lists": (b"[", b"]"), "objects": (b'{"a":', b"}"), "escaped": (b'{"\\"[":', b"}")}
MIXED = b'[{"a":'
PIECE = 32 * 1024


def nested(levels: int, kind: str = "lists") -> bytes:
    opening, closing = NESTS[kind]
    return opening * levels + b"1" + closing * levels


@pytest.mark.parametrize("kind", NESTS)
def test_the_bound_is_exact(kind: str) -> None:
    """As many levels as the bound are read, and one more is not."""
    assert loads(nested(MAX_DEPTH, kind)) == orjson.loads(nested(MAX_DEPTH, kind))
    with pytest.raises(NestedTooDeepError, match="nested deeper than 64 levels"):
        loads(nested(MAX_DEPTH + 1, kind))


@pytest.mark.parametrize(
    "text",
    [
        orjson.dumps([[{"x": [n]}] for n in range(500)]),
        orjson.dumps(["[" * 500, '"{[' * 300, "\\" * 301, '\\"[{' * 200]),
        orjson.dumps({"[" * 500: '"' * 301}),
    ],
    ids=["side by side", "in texts", "in names"],
)
def test_brackets_that_nest_nothing_do_not_count(text: bytes) -> None:
    """However many there are, beside each other or in texts."""
    assert loads(text) == orjson.loads(text)


def test_brackets_in_texts_close_nothing() -> None:
    """A text cannot hide the depth that is around it."""
    with pytest.raises(NestedTooDeepError):
        check_depth(b'{"}]}]":' * 65)
    with pytest.raises(NestedTooDeepError):
        check_depth('["\\"}]",' * 65)


@pytest.mark.parametrize("piece", [1, 7, 1000])
def test_pieces_make_no_difference(piece: int) -> None:
    """Texts and escapes that are cut anywhere are followed into the next piece."""
    level = b'["\\\\", "\\"[[", '
    text, last = level * (MAX_DEPTH + 1), len(level) * MAX_DEPTH
    _feed(DepthGuard(), text[:last], piece)
    with pytest.raises(NestedTooDeepError):
        _feed(DepthGuard(), text[: last + 1], piece)


def _feed(guard: DepthGuard, text: bytes, piece: int) -> None:
    for start in range(0, len(text), piece):
        guard.feed(text[start : start + piece])


def _whole_listing(text: bytes, *, many: bool) -> None:
    cutter = ListingCutter(many=many)
    for start in range(0, len(text), PIECE):
        if cutter.add(text[start : start + PIECE]):
            cutter.cut()
    cutter.close()
    if cutter.uncut is not None:
        read_json(READ, Response(200, {}, cutter.uncut[1]))


def _cut(cutter: ElementCutter, text: bytes) -> None:
    for start in range(0, len(text), PIECE):
        list(cutter.feed(text[start : start + PIECE]))
    list(cutter.close())


READERS: dict[str, Callable[[bytes], object]] = {
    "value": lambda text: decode(READ, Response(200, {}, text), LabelExport),
    "export": lambda text: read_export(READ, Response(200, {}, text)),
    "streamed export": lambda text: _cut(ElementCutter(TASK), text),
    "streamed list": lambda text: _cut(ElementCutter(), text),
    "dataset": lambda text: _whole_listing(text, many=False),
    "datasets": lambda text: _whole_listing(text, many=True),
    "media": lambda text: _whole_listing(b'{"id":"1","media":[' + text, many=False),
    "label configuration": LabelConfig.from_json,
}
DEEP = {
    "lists": b"[" * 100_000,
    "objects": b'{"a":' * 50_000,
    "mixed": MIXED * 50_000,
    "in a task": b'[{"internal_media_ID":"m","x":' + b"[" * 100_000,
    "in the second task": b'[{"internal_media_ID":"m"},{"internal_media_ID":' + MIXED * 50_000,
    "closed": nested(50_000),
}


@pytest.mark.parametrize("text", DEEP.values(), ids=DEEP)
@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
def test_depth_costs_no_memory(read: Callable[[bytes], object], text: bytes) -> None:
    """A text of 100,000 levels is refused in a few times its own size, whoever reads it."""
    tracemalloc.start()
    try:
        with pytest.raises((DataGymError, BrokenTextError)):
            read(text)
        assert tracemalloc.get_traced_memory()[1] < 10 * len(text)
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("cutter", [lambda: ElementCutter(TASK), ElementCutter, ListingCutter])
def test_depth_is_refused_in_its_first_piece(cutter: Callable[[], Any]) -> None:
    """What goes on for long is not waited for: 20 MB of brackets end with the first of them."""
    with pytest.raises(BrokenTextError, match="nested deeper than 64 levels"):
        _take_one(cutter(), b"[" * PIECE)


def _take_one(cutter: Any, piece: bytes) -> None:
    if isinstance(cutter, ListingCutter):
        cutter.add(piece)
        cutter.cut()
    else:
        list(cutter.feed(piece))


def test_an_answer_says_that_it_is_nested_too_deep() -> None:
    """The error names the call and the rule; an error body is then none."""
    with pytest.raises(APIResponseValidationError, match=r"GET export/1 .* nested deeper than 64"):
        read_json(READ, Response(200, {}, nested(65)))
    error = decode_error(READ, Response(404, {}, b'{"params":' + nested(300) + b"}"))
    assert (error.status, error.params) == (404, ())


FILES: dict[str, Callable[[Path], object]] = {
    "coco": coco.read,
    "report": lambda path: list(failed_items(path)),
}


@pytest.mark.parametrize("read", FILES.values(), ids=FILES)
def test_files_that_are_nested_too_deep_are_named(
    read: Callable[[Path], object], tmp_path: Path
) -> None:
    """A file of somebody's is refused with its name, not with an error of a parser."""
    path = tmp_path / "deep.json"
    path.write_bytes(b'{"images":' + b"[" * 2000 + b"]" * 2000 + b"}")
    with pytest.raises(DataGymError, match=r"deep\.json is not JSON"):
        read(path)


def test_a_line_that_is_nested_too_deep_is_that_line_s_own() -> None:
    """A manifest goes on behind it."""
    assert _json_line(1, '{"path":' + "[" * 2000).wrong == "the line is not JSON."
