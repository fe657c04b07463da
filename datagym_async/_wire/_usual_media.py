"""Media as current services write them, decoded without a detour.

A listing has a million of them and nothing else, and each upload is answered with one. Whatever is
odd goes the general way, which also says what is odd about it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from datagym_async._wire._names import decode_name
from datagym_async.models import DatasetMedia, Media, MediaSourceType

if TYPE_CHECKING:
    from cattrs import Converter

_SOURCES: Final = {each.value: each for each in MediaSourceType}
_UPLOADED: Final = {
    *("id", "timestamp", "mediaSourceType", "mediaName"),
    *("valid", "reason", "url", "width", "height"),
}


def register_media(converter: Converter) -> None:
    """Teach a converter the way of current services."""
    listed, whole = (converter.get_structure_hook(kind) for kind in (DatasetMedia, Media))
    converter.register_structure_hook(
        DatasetMedia,
        lambda value, kind: _listed(value) if _is_listed(value) else listed(value, kind),
    )
    converter.register_structure_hook(
        Media,
        lambda value, kind: _uploaded(value) if _is_uploaded(value) else whole(value, kind),
    )


def _is_listed(value: Any) -> bool:
    return (
        type(value) is dict
        and type(value.get("id")) is type(value.get("mediaName")) is str
        and type(value.get("timestamp")) is int
        and type(source := value.get("mediaSourceType")) is str
        and source in _SOURCES
    )


def _listed(value: dict[str, Any]) -> DatasetMedia:
    stored = value["mediaName"]
    source = _SOURCES[value["mediaSourceType"]]
    return DatasetMedia(
        value["id"], value["timestamp"], source, decode_name(stored), stored_name=stored
    )


def _is_uploaded(value: Any) -> bool:
    """Return whether it is an uploaded image that the service could read."""
    return (
        _is_listed(value)
        and value.keys() == _UPLOADED
        and value["valid"] is True
        and value["reason"] is value["url"] is None
        and type(value["width"]) is type(value["height"]) is int
    )


def _uploaded(value: dict[str, Any]) -> Media:
    stored = value["mediaName"]
    return Media(
        id=value["id"],
        timestamp=value["timestamp"],
        source_type=_SOURCES[value["mediaSourceType"]],
        name=decode_name(stored),
        stored_name=stored,
        width=value["width"],
        height=value["height"],
    )
