"""What a dataset or a project has to load."""

from __future__ import annotations

from typing import TYPE_CHECKING

from datagym_async.data._listing import Listing
from datagym_async.exceptions import ConfigurationError, NotFoundError
from datagym_async.models import DatasetMedia, MediaSourceType
from datagym_async.transfer._threads import in_thread

if TYPE_CHECKING:
    from datagym_async.data._config import Links
    from datagym_async.data._needs import Library


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
    media: list[DatasetMedia] = []
    for each in dataset_ids:
        media += (await library.datasets.get(each)).media
    return await in_thread(_listing, media, links)


async def _datasets_of(library: Library, project_id: str) -> list[str]:
    for project in await library.projects.list():
        if project.id == project_id.lower():
            return [dataset.id for dataset in project.datasets]
    raise NotFoundError(f"There is no project {project_id}", status=404)


def _listing(media: list[DatasetMedia], links: Links) -> Listing:
    if links != "service":
        kept = [each for each in media if each.source_type is not MediaSourceType.SHAREABLE_LINK]
        if links == "refuse" and len(kept) < len(media):
            raise ConfigurationError(
                f"{len(media) - len(kept)} of {len(media)} media are links, which the service "
                "fetches anew for each download, and whose tasks it skips where it cannot; choose "
                'links="skip" to leave them out or links="service" to ask for them'
            )
        media = kept
    return Listing(media)
