"""The calls about one label configuration, and nothing but them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from datagym_async._wire import _routes as routes
from datagym_async._wire._codec import ClearedConfig
from datagym_async.exceptions import RequestRefusedError
from datagym_async.models import LabelConfiguration
from datagym_async.resources._base import Resource, nothing_to_look_at, read
from datagym_async.resources._config_tasks import read_config

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from datagym_async._wire._messages import Request
    from datagym_async.labels import LabelConfig
    from datagym_async.resources._ports import Door

NOT_CLEARED = "ex_gen_config_not_cleared"


class ConfigCalls(Resource):
    """The calls about one label configuration.

    Args:
        session: The door to the network.
        config_id: UUID of the configuration.
        project_id: UUID of its project, to read it.
    """

    def __init__(self, session: Door, config_id: str, project_id: str = "") -> None:
        super().__init__(session)
        self._config_id = config_id
        self._project_id = project_id

    async def clear(self) -> None:
        """Empty it."""
        await self._fetch(routes.clear_config(self._config_id), ClearedConfig)

    async def read(self) -> LabelConfiguration | None:
        """Return it as it is, or None if no task shows it."""
        return await read_config(self._session, self._project_id)

    async def fill_empty(self, wanted: LabelConfig) -> LabelConfiguration:
        """Fill it, if nobody has."""
        try:
            return await self._put(routes.upload_config(self._config_id, wanted.to_payload()))
        except RequestRefusedError as error:
            if error.key == NOT_CLEARED:
                error.unknown = error.attempts > 1
            raise

    async def fill(self, entries: Sequence[Mapping[str, object]]) -> LabelConfiguration:
        """Fill it after it was cleared just now."""
        request = routes.upload_config(self._config_id, entries)
        try:
            return await self._put(request)
        except RequestRefusedError as error:
            if error.key != NOT_CLEARED:
                raise
        # It was empty, so a lost attempt of ours has filled it. `attempts` may well say 1: aiohttp
        # sends a PUT once more by itself when the connection drops.
        await self.clear()
        return await self._put(request)

    def settle_after(self) -> float:
        """Return the seconds within which the service may still carry a lost request out."""
        return self._session.settle_after()

    async def _put(self, request: Request) -> LabelConfiguration:
        answer = await self._session.request_or_settle(request, nothing_to_look_at)
        return await read(request, answer, LabelConfiguration)
