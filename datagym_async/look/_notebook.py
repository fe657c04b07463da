"""How notebooks show values (`Shown`): pictures and short tables, limited in size."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Sequence
from functools import singledispatch
from html import escape
from typing import TYPE_CHECKING, Final

import attrs

from datagym_async._extras import missing_extra
from datagym_async._printable import printable
from datagym_async._runs._text import BulkReport, counted
from datagym_async.data import Sample
from datagym_async.labels import LabeledImage
from datagym_async.look._marks import answers_of, caption_of, draw, in_colors, marks_of, opened, svg
from datagym_async.look._stats import LabelStatistics
from datagym_async.models import Dataset

if TYPE_CHECKING:
    from PIL.Image import Image

_PIXELS: Final = 640  # the longer side of a picture
_MARKS: Final = 500
_ROWS: Final = 20


@singledispatch
def html_of(value: object) -> str | None:
    """Return the HTML that a notebook shows for a value; None for its ``repr``."""
    first, *others = str(value).splitlines()
    return _titled(first, [f"<p>{escape(printable(each))}</p>" for each in others])


def png_of(value: object) -> bytes | None:
    """Return the picture of a sample as PNG; None for other values, and if it is no image."""
    image = _picture(value) if isinstance(value, Sample) else None
    if image is None:
        return None
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


@html_of.register
def _(value: LabeledImage) -> str:
    few = attrs.evolve(value, annotations=value.annotations[:_MARKS])
    parts = []
    if value.width or any(marks_of(few)):
        parts.append(f'<div style="max-width:{_PIXELS}px;background:#8884">{svg(few)}</div>')
    named = [(caption_of(each), each.shape.type or "") for each in value.annotations]
    answers = list(answers_of(value.classifications))
    head = f"{value.media_name or value.media_id}: {counted(len(named), 'object')}"
    if len(named) > _MARKS:
        head += f", of which {_MARKS} are drawn"
    return _titled(head, [*parts, _table(("object", "shape"), named), _table(("", ""), answers)])


@html_of.register
def _(value: Sample) -> str | None:
    png = png_of(value)
    if png is None:
        return None if value.labels is None else html_of(value.labels)
    address = f"data:image/png;base64,{base64.b64encode(png).decode()}"
    return _titled(value.media.name, [f'<img src="{address}" alt="">'])


@html_of.register
def _(value: BulkReport) -> str:
    whole = value.to_dict()
    shown = [name for name in value.COLUMNS if name in {"outcome", "name", "status", "reason"}]
    rows = [[row[name] for name in shown] for row in whole["problems"]]
    counts = [(name, f"{count:,}") for name, count in whole.items() if type(count) is int and count]
    return _titled(whole["summary"], [_table(("", ""), counts), _table(shown, rows)])


@html_of.register
def _(value: LabelStatistics) -> str:
    classes = [(each.key, f"{each.images:,}", f"{each.objects:,}") for each in value.classes]
    found = [(each.text, f"{each.count:,}") for each in value.findings if each.count]
    table = _table(("class", "images", "objects"), classes)
    return _titled(str(value), [table, _table(("", ""), found)])


@html_of.register
def _(value: Dataset) -> str:
    rows = [(each.name, each.source_type.value, each.id) for each in value.media[: _ROWS + 1]]
    head = f"{value.name}: {len(value.media):,} media"
    return _titled(head, [_table(("name", "source", "id"), rows, of=len(value.media))])


def _picture(sample: Sample) -> Image | None:
    try:
        image = in_colors(opened(sample.data).copy())
    except ModuleNotFoundError as error:
        if missing_extra(error) is None:
            raise
        return None
    except Exception:  # whatever a hostile file provokes, or what a transform has made
        return None
    scale = min(1.0, _PIXELS / max(image.size))
    image.thumbnail((_PIXELS, _PIXELS))
    return image if sample.labels is None else draw(image, sample.labels, scale=scale)


def _titled(title: str, parts: Iterable[str]) -> str:
    return f"<div><p><b>{escape(printable(title))}</b></p>{''.join(parts)}</div>"


def _table(columns: Sequence[str], rows: Sequence[Sequence[object]], of: int | None = None) -> str:
    if not rows:
        return ""
    lines = [
        "".join(f"<td>{escape(printable(str(cell)))}</td>" for cell in row) for row in rows[:_ROWS]
    ]
    if (more := (of or len(rows)) - _ROWS) > 0:
        lines.append(f'<td colspan="{len(columns)}">... and {more:,} more</td>')
    head = "".join(f"<th>{escape(each)}</th>" for each in columns)
    body = "".join(f"<tr>{line}</tr>" for line in lines)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
