"""The names of the older generation of the service, which the public documentation shows."""

from collections.abc import Mapping, Sequence
from typing import Final, Literal

from ._render import Json

__all__ = ["Dialect", "to_legacy"]

Dialect = Literal["current", "legacy"]

_OLD_NAMES: Final = {
    "internal_media_ID": "internal_image_ID",
    "external_media_ID": "external_image_ID",
    "mediaUploadStatus": "imageUploadStatus",
    "mediaName": "imageName",
    "mediaSourceType": "imageType",
    "mediaCount": "imagesCount",
    "mediaId": "imageId",
}

# Did not exist then.
_UNKNOWN: Final = frozenset({"mediaType", "projectType"})


def to_legacy(value: Json) -> Json:
    """Return the same answer with the old field names."""
    if isinstance(value, Mapping):
        return {
            _old(key, member): to_legacy(member)
            for key, member in value.items()
            if key not in _UNKNOWN
        }
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [to_legacy(member) for member in value]
    return value


def _old(key: str, member: Json) -> str:
    if key == "media":
        # A list in a dataset, one object in a task.
        return "image" if isinstance(member, Mapping) else "images"
    return _OLD_NAMES.get(key, key)
