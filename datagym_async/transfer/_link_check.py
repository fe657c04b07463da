"""Sort dead links out of a batch before it is sent: the service never looks, and takes them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

import attrs

from datagym_async._transport import LinkProber

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from datagym_async.transfer._config import UploadConfig

WORKERS = 16
"""Links of one batch that are asked at once; the prober bounds them over all batches."""


class Prober(Protocol):
    """Ask addresses; `LinkProber` does."""

    async def probe(self, url: str) -> str:
        """Return why no image can be had from an address, or an empty text."""
        ...

    async def aclose(self) -> None:
        """Close all connections."""
        ...


@attrs.frozen
class LinkCheck:
    """Find dead links.

    Args:
        prober: Asks them; closed with this.
    """

    _prober: Prober

    @classmethod
    def of(cls, config: UploadConfig) -> LinkCheck | None:
        """Return the check that the options ask for, or None."""
        if not config.check_links:
            return None
        return cls(LinkProber(allow_private=config.allow_private_links))

    async def dead(self, urls: Sequence[str]) -> dict[int, str]:
        """Return what is wrong with links, by their places; nothing of those that are alive."""
        reasons: dict[int, str] = {}
        waiting = iter(enumerate(urls))
        async with asyncio.TaskGroup() as group:
            for _ in range(min(WORKERS, len(urls))):
                group.create_task(self._ask(waiting, reasons))
        return reasons

    async def _ask(self, waiting: Iterator[tuple[int, str]], reasons: dict[int, str]) -> None:
        for place, url in waiting:
            if reason := await self._prober.probe(url):
                reasons[place] = reason

    async def aclose(self) -> None:
        """Close the prober."""
        await self._prober.aclose()
