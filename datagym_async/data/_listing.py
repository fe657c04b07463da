"""The media to load, listed once and stored compactly: media in one block, labels packed.

A media takes about 100 bytes. Its labels stay compressed until its sample is made, because most of
them wait for a whole epoch.
"""

from __future__ import annotations

import hashlib
import pickle
import zlib
from array import array
from bisect import bisect_left
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import aclosing
from typing import Protocol, cast

import attrs

from datagym_async._runs._engine import DatasetLookup, LabelExports, ProjectLookup, RunLane
from datagym_async._threads import in_thread
from datagym_async._wire._messages import MAX_IN_MEMORY
from datagym_async.data._config import Links
from datagym_async.exceptions import ConfigurationError
from datagym_async.labels import LabeledTask
from datagym_async.models import Dataset, DatasetMedia, MediaSourceType
from datagym_async.resources._base import in_batches
from datagym_async.resources._projects import chosen

_BETWEEN = "\0"
_ID_END = _BETWEEN.encode()
_SOURCE_TYPES = {each.value: each for each in MediaSourceType}
_TASKS_AT_ONCE = 256  # tasks of an export that are packed in one thread call


class Media(Protocol):
    """Yield the bytes of media; `MediaResource` does."""

    async def download(
        self, media_id: str, *, link: bool = False, max_bytes: int = MAX_IN_MEMORY
    ) -> bytes: ...


@attrs.frozen
class Library:
    """The parts of a client that a loader needs; `lane` limits its downloads."""

    media: Media
    datasets: DatasetLookup
    projects: ProjectLookup
    labels: LabelExports
    lane: RunLane


class Listing:
    """Packed media (`pack`) in the order of their ids, as one block of bytes; each once.

    The service lists them in an order that changes from call to call; the order of their ids is
    always the same.
    """

    def __init__(self, rows: Iterable[bytes]) -> None:
        packed = bytearray()
        self._ends = array("Q", [0])
        digest = hashlib.blake2b(digest_size=8)
        before = None
        for row in sorted(rows):  # the id comes first, and its end sorts below all its characters
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
        packed = self._packed[self._ends[index] : self._ends[index + 1]]
        fields = packed.decode("utf-8", "surrogatepass").split(_BETWEEN, 4)
        media_id, timestamp, source_type, stored, name = fields
        source = _SOURCE_TYPES.get(source_type, MediaSourceType.UNKNOWN)
        return DatasetMedia(media_id, int(timestamp), source, name, stored_name=stored or name)

    def __iter__(self) -> Iterator[DatasetMedia]:
        return (self[index] for index in range(len(self)))

    def find(self, media_id: str) -> int | None:
        index = bisect_left(range(len(self)), media_id, key=lambda at: self[at].id)
        return index if index < len(self) and self[index].id == media_id else None


def pack(media: DatasetMedia) -> bytes:
    stored = "" if media.stored_name == media.name else media.stored_name
    fields = (media.id, str(media.timestamp), media.source_type.value, stored, media.name)
    return _BETWEEN.join(fields).encode("utf-8", "surrogatepass")


async def list_media(
    library: Library, dataset_id: str | None, project_id: str | None, *, links: Links
) -> Listing:
    """Return the media of a dataset, or of all of a project; for `links` see `LoaderConfig`."""
    dataset_ids = [dataset_id] if dataset_id else []
    if project_id and not dataset_id:
        project = chosen(await library.projects.list(), project_id)
        dataset_ids = [dataset.id for dataset in project.datasets]
    rows: list[bytes] = []
    link_rows: list[bytes] = []
    for each in dataset_ids:
        found = await library.datasets.read_parts(_read_rows, each)
        rows += found[0]
        link_rows += found[1]
    if links == "service":
        rows += link_rows
    elif links == "refuse" and link_rows:
        raise ConfigurationError(
            f"{len(link_rows)} of {len(rows) + len(link_rows)} media are links, which the service "
            "fetches again for each download (if it cannot, it skips their tasks); choose "
            'links="skip" to leave them out or links="service" to request them'
        )
    return await in_thread(Listing, rows)


async def _read_rows(parts: AsyncIterator[Dataset]) -> tuple[list[bytes], list[bytes]]:
    """Return a dataset's files and links, packed; called again if an answer breaks off."""
    rows: list[bytes] = []
    link_rows: list[bytes] = []

    def add(part: Dataset) -> None:
        for media in part.media:
            is_link = media.source_type is MediaSourceType.SHAREABLE_LINK
            (link_rows if is_link else rows).append(pack(media))

    async for part in parts:
        await in_thread(add, part)
    return rows, link_rows


class PackedLabels:
    def __init__(self, listing: Listing) -> None:
        self._listing = listing
        self._packed: list[bytes | None] = [None] * len(listing)

    @property
    def is_empty(self) -> bool:
        return not any(self._packed)

    def __getitem__(self, index: int) -> LabeledTask | None:
        if (packed := self._packed[index]) is None:
            return None
        # Only data that this process packed itself gets here.
        return cast("LabeledTask", pickle.loads(zlib.decompress(packed)))  # noqa: S301 -- see above

    def add(self, tasks: Iterable[LabeledTask]) -> None:
        """Pack the labels of those tasks whose media are listed. Blocking; run in a thread."""
        for task in tasks:
            if (index := self._listing.find(task.media_id)) is not None:
                self._packed[index] = zlib.compress(pickle.dumps(task), level=1)


async def export_labels(labels: LabelExports, project_id: str, listing: Listing) -> PackedLabels:
    """Return the labels of a project's export for the media of a listing."""
    packed = PackedLabels(listing)
    async with (
        aclosing(labels.iter_export(project_id)) as tasks,
        aclosing(in_batches(tasks, _TASKS_AT_ONCE)) as batches,
    ):
        async for batch in batches:
            await in_thread(packed.add, batch)
    return packed
