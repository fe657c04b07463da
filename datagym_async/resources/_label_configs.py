"""`LabelConfigsResource`: the label configurations of projects."""

from __future__ import annotations

from typing import TYPE_CHECKING

from datagym_async._wire import _routes as routes
from datagym_async._wire._documents import ClearedConfig
from datagym_async.exceptions import RequestRefusedError
from datagym_async.models import LabelConfiguration
from datagym_async.resources._base import Resource, nothing_to_look_at, read

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from datagym_async._wire._messages import Request


class LabelConfigsResource(Resource):
    """The label configurations of projects; `Project.label_configuration_id` names them.

    The service has no call to read one; `TasksResource.get` shows that of its project.
    """

    async def clear(self, config_id: str) -> None:
        """Empty a label configuration. **It deletes every label of the project.**

        Completed and reviewed tasks go back to WAITING_CHANGED.

        Args:
            config_id: UUID of the configuration.

        Raises:
            NotFoundError: It is unknown.
            APIError: The service cannot be asked, or refuses.
        """
        await self._fetch(routes.clear_config(config_id), ClearedConfig)

    async def upload(
        self, config_id: str, entries: Sequence[Mapping[str, object]], *, replace: bool = False
    ) -> LabelConfiguration:
        """Store the entries of an empty label configuration and return it.

        Only one writer at a time: configurations stored at once are stored twice (observed).

        Args:
            config_id: UUID of the configuration.
            entries: The root entries as the service takes them: ``entryKey``, ``entryValue``,
                ``type``, and what the type asks for.
            replace: True to clear the configuration before. **That deletes every label of the
                project**, also if the new entries are refused then.

        Raises:
            RequestRefusedError: It is not empty, or an entry breaks a rule. Its `unknown` is True
                if an earlier attempt whose answer was lost may have stored the entries.
            AlreadyExistsError: Two entries share a key or a shortcut.
            BadRequestError: An entry has a field that is missing, wrong or unknown.
            ConfigurationError: The entries cannot be written as JSON; nothing was sent.
            APIError: The service cannot be asked, or refuses.
        """
        request = routes.upload_config(config_id, entries)
        if replace:
            await self.clear(config_id)
        try:
            return await self._put(request)
        except RequestRefusedError as error:
            if error.key != "ex_gen_config_not_cleared":
                raise
            if not replace:
                error.unknown = error.attempts > 1
                raise
        # It was empty, so a lost attempt of ours has filled it. `attempts` may well say 1: aiohttp
        # sends a PUT once more by itself when the connection drops.
        await self.clear(config_id)
        return await self._put(request)

    async def _put(self, request: Request) -> LabelConfiguration:
        answer = await self._session.request_or_settle(request, nothing_to_look_at)
        return await read(request, answer, LabelConfiguration)
