"""Which of the two generations of media routes a service speaks, found out once."""

from __future__ import annotations

import asyncio
import uuid
from typing import TYPE_CHECKING, Literal, TypeAlias

from datagym_async._logs import logger
from datagym_async._wire import _routes as routes
from datagym_async.exceptions import ConfigurationError, NotFoundError

if TYPE_CHECKING:
    from datagym_async.resources._ports import Door

Dialect: TypeAlias = Literal["auto", "image", "media"]
"""``media``: today's servers; ``image``: the public documentation; ``auto``: ask the service."""

_log = logger(__name__)


class DialectFinder:
    """Say the first word of the media routes; ask the service at the first call and no more.

    Args:
        session: The door to the network.
        dialect: The word, or ``"auto"`` to find out.

    Attributes:
        known: The word, once it is known.

    Raises:
        ConfigurationError: `dialect` is none of the three words.
    """

    def __init__(self, session: Door, dialect: Dialect = "auto") -> None:
        if dialect not in {"auto", "image", "media"}:
            raise ConfigurationError(
                f"The dialect {dialect!r} is unknown; use 'auto', 'media' or 'image'"
            )
        self._session = session
        self.known: routes.Dialect | None = None if dialect == "auto" else dialect
        self._asking = asyncio.Lock()

    async def get(self) -> routes.Dialect:
        """Return the word; a failure to find out is raised and not remembered.

        Raises:
            APIError: The service cannot be asked.
        """
        if self.known is not None:
            return self.known
        async with self._asking:
            if self.known is None:
                self.known = await self._ask()
            return self.known

    async def _ask(self) -> routes.Dialect:
        """Ask for a media that cannot exist: only an existing route answers with an error key."""
        if await self._is_served("media"):
            return "media"
        # Asked as well, so that a page of a wrong address is not taken for an old service.
        if await self._is_served("image"):
            return "image"
        raise ConfigurationError(
            "The service answers neither to the media nor to the image routes; check that base_url"
            " is the address of a DataGym service"
        )

    async def _is_served(self, dialect: routes.Dialect) -> bool:
        try:
            await self._session.request(routes.probe_media(str(uuid.uuid4()), dialect=dialect))
        except NotFoundError as error:
            _log.debug("dialect %s: %s", dialect, error.key or "no such route")
            return bool(error.key)
        return True
