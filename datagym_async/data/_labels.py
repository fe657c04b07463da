"""The labels of a listing's media, held compactly until their sample is made."""

from __future__ import annotations

import pickle
import zlib
from contextlib import aclosing
from typing import TYPE_CHECKING, cast

import attrs

from datagym_async._threads import in_thread

if TYPE_CHECKING:
    from datagym_async.data._listing import Listing
    from datagym_async.data._needs import Labels
    from datagym_async.labels import LabeledTask

_PORTION = 256


@attrs.frozen
class JoinedLabels:
    """Labels by the index of their media: packed, since most wait for a whole epoch.

    Args:
        packed: For each media of the listing its labels, or None.
    """

    packed: list[bytes | None] = attrs.field(factory=list, repr=False)

    def of(self, index: int) -> LabeledTask | None:
        """Return the labels of a media, or None if it has none."""
        packed = self.packed[index] if self.packed else None
        if packed is None:
            return None
        # Only what this process packed itself gets here.
        return cast("LabeledTask", pickle.loads(zlib.decompress(packed)))  # noqa: S301 -- see above


async def joined_labels(labels: Labels, project_id: str, listing: Listing) -> JoinedLabels:
    """Return the labels that a project's export has for the media of a listing.

    Raises:
        APIError: The export cannot be had.
    """
    joined = JoinedLabels([None] * len(listing))
    portion: list[LabeledTask] = []
    async with aclosing(labels.iter_export(project_id)) as tasks:
        async for task in tasks:
            portion.append(task)
            if len(portion) == _PORTION:
                await in_thread(_join, joined, listing, portion)
                portion = []
    await in_thread(_join, joined, listing, portion)
    return joined


def _join(joined: JoinedLabels, listing: Listing, tasks: list[LabeledTask]) -> None:
    for task in tasks:
        index = listing.find(task.media_id)
        if index is not None:
            joined.packed[index] = zlib.compress(pickle.dumps(task), level=1)
