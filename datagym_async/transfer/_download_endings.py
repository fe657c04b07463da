"""What follows a download once all media are settled: labels and bitmaps."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from datagym_async.transfer._decode import require_pillow
from datagym_async.transfer._download_bitmaps import require_bitmaps, write_bitmaps
from datagym_async.transfer._download_config import DownloadConfig
from datagym_async.transfer._download_formats import require_formats
from datagym_async.transfer._download_labels import write_labels
from datagym_async.transfer._download_listing import Listing
from datagym_async.transfer._download_needs import DownloadSources
from datagym_async.transfer._download_tally import DownloadTally

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from datagym_async.transfer._download_manifest import Manifest


def require_extras(config: DownloadConfig) -> None:
    """Refuse to begin what could not be ended for want of an extra.

    Raises:
        ConfigurationError: One is not installed.
    """
    if config.links != "skip":
        require_pillow(f'links="{config.links}"', 'download with links="skip"')
    if config.bitmaps:
        require_bitmaps()
    require_formats(config.labels)


@attrs.frozen
class Endings:
    """Write what was asked for besides the media.

    Args:
        sources: The client's resources.
        listing: Knows the project.
        config: The options.
        tally: Told of what was written.
    """

    _sources: DownloadSources
    _listing: Listing
    _config: DownloadConfig
    _tally: DownloadTally

    def asked(self, manifest: Manifest) -> list[Callable[[], Awaitable[None]]]:
        """Return what is to be done, in order.

        Args:
            manifest: Which file each media has.
        """

        async def labels() -> None:
            if (project := self._listing.project) is not None:
                exports, tally = self._sources.labels, self._tally
                await write_labels(exports, project, manifest, self._config, tally)

        async def bitmaps() -> None:
            if (project := self._listing.project) is not None:
                sources, tally = self._sources, self._tally
                await write_bitmaps(sources, project, manifest, self._config, tally)

        config = self._config
        return [*([labels] if config.labels else []), *([bitmaps] if config.bitmaps else [])]
