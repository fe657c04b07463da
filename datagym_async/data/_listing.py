"""What there is to load, held compactly: about 100 bytes a media."""

from __future__ import annotations

import hashlib
from array import array
from typing import TYPE_CHECKING

from datagym_async.models import DatasetMedia, MediaSourceType

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_BETWEEN = "\0"
_ID_END = _BETWEEN.encode()
_SOURCE_TYPES = {each.value: each for each in MediaSourceType}


class Listing:
    """Media in the order of their ids, as one block of bytes.

    The service lists them in an order that changes from call to call; that of their ids is the
    same in every process and at every time.

    Args:
        rows: The media, packed (see `pack`); of one that is given twice, one is kept.
    """

    def __init__(self, rows: Iterable[bytes]) -> None:
        packed = bytearray()
        self._ends = array("Q", [0])
        digest = hashlib.blake2b(digest_size=8)
        before = None
        for row in sorted(rows):  # the id comes first, and its end below all that it may hold
            media_id = row.partition(_ID_END)[0]
            if media_id != before:
                packed += row
                self._ends.append(len(packed))
                digest.update(media_id + b"\n")
            before = media_id
        self._packed = bytes(packed)
        self.fingerprint = digest.hexdigest()

    def __len__(self) -> int:
        return len(self._ends) - 1

    def __getitem__(self, index: int) -> DatasetMedia:
        return _unpack(self._packed[self._ends[index] : self._ends[index + 1]])

    def __iter__(self) -> Iterator[DatasetMedia]:
        return (self[index] for index in range(len(self)))

    def find(self, media_id: str) -> int | None:
        """Return the index of a media, or None if it is not there."""
        low, high = 0, len(self)
        while low < high:
            middle = (low + high) // 2
            found = self[middle].id
            if found == media_id:
                return middle
            low, high = (middle + 1, high) if found < media_id else (low, middle)
        return None


def pack(media: DatasetMedia) -> bytes:
    """Return a media as a few bytes that begin with its id."""
    stored = "" if media.stored_name == media.name else media.stored_name
    fields = (media.id, str(media.timestamp), media.source_type.value, stored, media.name)
    return _BETWEEN.join(fields).encode("utf-8", "surrogatepass")


def _unpack(packed: bytes) -> DatasetMedia:
    fields = packed.decode("utf-8", "surrogatepass").split(_BETWEEN, 4)
    media_id, timestamp, source_type, stored, name = fields
    source = _SOURCE_TYPES.get(source_type, MediaSourceType.UNKNOWN)
    return DatasetMedia(media_id, int(timestamp), source, name, stored_name=stored or name)
