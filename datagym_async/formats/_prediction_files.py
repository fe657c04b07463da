"""Files of predictions: what an import takes, as JSON, JSON lines, an export, or COCO.

Files of the service's own format are read piece by piece; a COCO file is read whole, because its
annotations may stand anywhere in it.
"""

from __future__ import annotations

import asyncio
import enum
from collections.abc import AsyncGenerator, Generator, Mapping
from contextlib import closing, suppress
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import attrs
import orjson

from datagym_async._json import loads
from datagym_async._regular_files import regular_only
from datagym_async._wire import _routes as routes
from datagym_async._wire._codec import decode_value
from datagym_async._wire._cutting import BrokenTextError, ElementCutter
from datagym_async.exceptions import APIResponseValidationError
from datagym_async.formats import coco
from datagym_async.formats._losses import FormatError, LossReport
from datagym_async.formats.coco import CocoMapping
from datagym_async.models import TaskDetail
from datagym_async.resources._value_reading import labels_of

if TYPE_CHECKING:
    from datagym_async.labels import LabeledImage

    Item: TypeAlias = LabeledImage | Mapping[str, Any]

_PIECE = 64 * 1024
_AT_ONCE = 50
"""Items read in one step in a thread: as many as go into one request."""


class PredictionFormat(enum.StrEnum):
    """Say how a file holds predictions."""

    JSON = "json"
    """An array of items of an import, or an export of the service."""
    JSONL = "jsonl"
    """Such an item a line, or a task as the service shows it: the unfinished ones of a backup."""
    COCO = "coco"
    """COCO instances, captions or keypoints; images go by their names."""


@attrs.define
class PredictionFile:
    """A file of predictions that can be iterated, once or more often.

    Args:
        path: The file.
        format: How it holds them; None to find out by its suffix and first character.
        mapping: What of COCO becomes what.
        unannotated: Whether images of a COCO file without any label are given. Where labels are
            replaced, that deletes those that the images have.
        losses: What of a COCO file the service cannot hold; known when its iteration began.
    """

    path: Path = attrs.field(converter=Path)
    format: PredictionFormat | None = attrs.field(
        default=None, converter=attrs.converters.optional(PredictionFormat)
    )
    mapping: CocoMapping | None = None
    unannotated: bool = False
    losses: LossReport = attrs.field(factory=LossReport, init=False)

    @property
    def found_format(self) -> PredictionFormat:
        """Return the format as given, else as the file looks. Blocks for a moment.

        Raises:
            OSError: The file cannot be read.
            FormatError: It begins like no such file.
        """
        if self.format:
            return self.format
        if self.path.suffix.lower() in {".jsonl", ".ndjson"}:
            return PredictionFormat.JSONL
        with open(self.path, "rb", opener=regular_only) as file:
            start = file.read(_PIECE).removeprefix(b"\xef\xbb\xbf").lstrip()[:1]
        if start == b"[":
            return PredictionFormat.JSON
        if start == b"{":
            return PredictionFormat.COCO
        raise FormatError(
            f"{self.path} is no JSON: predictions begin with a bracket, COCO with a brace"
        )

    async def __aiter__(self) -> AsyncGenerator[Item, None]:
        """Give the items, read in a thread.

        Raises:
            FormatError: The file is broken; the text says where.
            OSError: It cannot be read.
        """
        items = self._items()
        try:
            while batch := await asyncio.to_thread(list, islice(items, _AT_ONCE)):
                for item in batch:
                    yield item
        finally:
            # Cancelled, its thread may still be in it; the file is then closed when that ends.
            with suppress(ValueError):
                items.close()

    def _items(self) -> Generator[Item, None, None]:
        kind = self.found_format
        if kind is PredictionFormat.COCO:
            try:
                read = coco.read(self.path, mapping=self.mapping)
            except FormatError as error:
                raise FormatError(f"{error}; predictions in JSON are an array of items") from None
            self.losses = read.losses
            for image in read.images:
                if self.unannotated or image.annotations or image.classifications:
                    yield image
        else:
            parts = _lines if kind is PredictionFormat.JSONL else _elements
            with closing(parts(self.path)) as found:
                for each in found:
                    # The first element of an export lists the classes, and holds no labels.
                    if not (isinstance(each, dict) and each.keys() == {"label_classes"}):
                        yield self._item(each)

    def _item(self, found: Any) -> Any:
        """Return what an import takes; a task as the service shows it becomes its labels."""
        if not isinstance(found, dict) or "labelIteration" not in found:
            return found
        try:
            return labels_of(decode_value(routes.get_task("-"), found, TaskDetail))
        except APIResponseValidationError as error:
            raise FormatError(
                f"{self.path} holds a task that the service does not show like this"
                f" ({error.field_path})"
            ) from None


def _elements(path: Path) -> Generator[Any, None, None]:
    cutter, started = ElementCutter(), False
    try:
        with open(path, "rb", opener=regular_only) as file:
            while piece := file.read(_PIECE):
                if not started and (text := piece.removeprefix(b"\xef\xbb\xbf").lstrip()):
                    if not text.startswith(b"["):
                        raise FormatError(
                            f"{path} holds no JSON array; an import is an array of items"
                        )
                    piece, started = text, True
                yield from cutter.feed(piece)
        yield from cutter.close()
    except BrokenTextError as error:
        raise FormatError(f"{path} is no JSON: {error}") from None


def _lines(path: Path) -> Generator[Any, None, None]:
    with open(path, "rb", opener=regular_only) as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                yield loads(line)
            except orjson.JSONDecodeError as error:
                raise FormatError(f"{path}, line {number}, is no JSON: {error.msg}") from None
