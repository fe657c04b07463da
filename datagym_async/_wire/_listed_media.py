"""Listed media, decoded without a detour: a listing has a million of them, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from datagym_async._wire._names import decode_name
from datagym_async.models import DatasetMedia, MediaSourceType

if TYPE_CHECKING:
    from cattrs import Converter

_SOURCES: Final = {each.value: each for each in MediaSourceType}


def register_media(converter: Converter) -> None:
    """Teach a converter the way of current services; whatever is odd goes the general way."""
    general = converter.get_structure_hook(DatasetMedia)

    def structure(value: Any, kind: type[DatasetMedia]) -> DatasetMedia:
        if type(value) is dict:
            stored, source = value.get("mediaName"), value.get("mediaSourceType")
            media_id, at = value.get("id"), value.get("timestamp")
            if (
                type(stored) is type(source) is type(media_id) is str
                and type(at) is int
                and (known := _SOURCES.get(source)) is not None
            ):
                return DatasetMedia(media_id, at, known, decode_name(stored), stored_name=stored)
        media: DatasetMedia = general(value, kind)
        return media

    converter.register_structure_hook(DatasetMedia, structure)
