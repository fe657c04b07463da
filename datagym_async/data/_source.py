"""What a dataset or a project has to load."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from datagym_async._threads import in_thread
from datagym_async.data._listing import Listing, pack
from datagym_async.exceptions import ConfigurationError, NotFoundError
from datagym_async.models import MediaSourceType

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from datagym_async.data._config import Links
    from datagym_async.data._needs import Library
    from datagym_async.models import Dataset


async def list_media(
    library: Library, dataset_id: str | None, project_id: str | None, *, links: Links
) -> Listing:
    """Return the media of a dataset, or of all datasets of a project.

    Raises:
        NotFoundError: The dataset or the project is unknown.
        ConfigurationError: There are link images, which nobody has decided about.
        APIError: They cannot be listed.
    """
    dataset_ids = [dataset_id] if dataset_id else await _datasets_of(library, project_id or "")
    gathered = _Gathered(with_links=links == "service")
    for each in dataset_ids:
        await library.datasets.read_parts(gathered.reader(), each)
    if links == "refuse":
        gathered.refuse_links()
    return await in_thread(Listing, gathered.rows)


async def _datasets_of(library: Library, project_id: str) -> list[str]:
    for project in await library.projects.list():
        if project.id == project_id.lower():
            return [dataset.id for dataset in project.datasets]
    raise NotFoundError(f"There is no project {project_id}", status=404)


@attrs.define
class _Gathered:
    """Media as they arrive, packed: as objects they would take several times the memory.

    Args:
        with_links: Whether link images are kept.

    Attributes:
        rows: The media.
        links: Link images that were listed.
    """

    with_links: bool
    rows: list[bytes] = attrs.field(factory=list, init=False)
    links: int = attrs.field(default=0, init=False)

    def reader(self) -> Callable[[AsyncIterator[Dataset]], Awaitable[None]]:
        """Return what gathers one dataset, and begins anew when it is called again."""
        rows, links = len(self.rows), self.links

        async def read(parts: AsyncIterator[Dataset]) -> None:
            del self.rows[rows:]
            self.links = links
            async for part in parts:
                await in_thread(self._add, part)

        return read

    def _add(self, part: Dataset) -> None:
        for media in part.media:
            is_link = media.source_type is MediaSourceType.SHAREABLE_LINK
            self.links += is_link
            if self.with_links or not is_link:
                self.rows.append(pack(media))

    def refuse_links(self) -> None:
        """Raise a `ConfigurationError` if there are link images, which nobody has decided about."""
        if self.links:
            raise ConfigurationError(
                f"{self.links} of {len(self.rows) + self.links} media are links, which the service "
                "fetches anew for each download, and whose tasks it skips where it cannot; choose "
                'links="skip" to leave them out or links="service" to ask for them'
            )
