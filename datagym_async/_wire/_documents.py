"""The answers that are no plain objects: exports, a video's labels, the answer to an import."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from datagym_async._wire._structure import each
from datagym_async.labels import LabelExport, VideoLabels, parse_export, parse_video
from datagym_async.labels._json import as_object, as_text

if TYPE_CHECKING:
    from cattrs import Converter


@attrs.frozen
class ImportAnswer:
    """The answer to an import: why nothing was stored, or an empty text if all was."""

    messages: str = ""


@attrs.frozen
class ClearedConfig:
    """The answer to clearing a label configuration: its id."""

    config_id: str


def register_documents(converter: Converter) -> None:
    """Teach a converter the whole documents."""
    converter.register_structure_hook(LabelExport, lambda value, _: parse_export(value))
    converter.register_structure_hook(VideoLabels, lambda value, _: parse_video(value))
    converter.register_structure_hook(ImportAnswer, lambda value, _: _import_answer(value))


def _import_answer(value: object) -> ImportAnswer:
    if isinstance(value, list):  # older services: one object for each error
        return ImportAnswer("; ".join(each(value, _old_error)))
    messages = as_object(value).get("errorMessages", False)
    if messages is None:
        return ImportAnswer()
    return ImportAnswer(as_text(messages, path=".errorMessages"))


def _old_error(value: object) -> str:
    error = as_object(value)
    named = (error.get(name) for name in ("internal_media_ID", "internal_image_ID", "lcEntryKey"))
    where = " ".join(word for word in named if isinstance(word, str))
    return f"{where}: {error.get('message') or 'it does not say why'}"
