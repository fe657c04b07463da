"""One label configuration in the place of another, and what is done when that fails.

The service can only clear a configuration, with every label, and fill it again: two calls, between
which the project has none. Whatever ends the exchange in that time, a cancellation included, the
service is asked what holds now, and the old configuration is put back where neither holds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from datagym_async._logs import logger
from datagym_async._wire import _routes as routes
from datagym_async._wire._codec import ClearedConfig
from datagym_async.exceptions import (
    APIStatusError,
    LabelConfigError,
    RequestRefusedError,
)
from datagym_async.labels import LabelConfig, diff
from datagym_async.labels._config_rules import RESERVED
from datagym_async.models import ConfigBackup, LabelConfiguration
from datagym_async.resources._base import Resource
from datagym_async.resources._tasks import read_task
from datagym_async.resources._work import to_its_answer, to_its_end

if TYPE_CHECKING:
    from datagym_async.resources._base import Door


_log = logger(__name__)

Left: TypeAlias = Literal["untouched", "old", "new", "unknown"]
_Settled: TypeAlias = "tuple[Left, LabelConfiguration | None]"
"""How a failed replacement has ended, and the configuration as it was seen last."""

ANSWER = 30.0
"""Seconds for the answer to a call when its sender is cancelled: it is carried out all the same."""
PUTTING_BACK = 60.0
"""Seconds for putting the old configuration back, on top of the wait for lost requests."""

_TURNS = 3
NOT_CLEARED = "ex_gen_config_not_cleared"
_TAKEN = {key: key.upper() for key in RESERVED}


class ConfigWriter(Resource):
    """The calls that change one label configuration; its project is needed to replace it."""

    def __init__(self, session: Door, config_id: str, project_id: str = "") -> None:
        super().__init__(session)
        self._config_id = config_id
        self._project_id = project_id

    async def clear(self) -> None:
        """Empty it."""
        await self._fetch(routes.clear_config(self._config_id), ClearedConfig)

    async def fill_empty(self, wanted: LabelConfig) -> LabelConfiguration:
        """Fill it if it is empty."""
        request = routes.upload_config(self._config_id, wanted.to_payload())
        try:
            return await self._fetch_or_settle(request, LabelConfiguration)
        except RequestRefusedError as error:
            if error.key == NOT_CLEARED:
                error.unknown = error.attempts > 1
            raise

    async def replace(
        self, old: LabelConfig | None, wanted: LabelConfig, backup: ConfigBackup | None
    ) -> LabelConfiguration:
        """Clear it, fill it, and return it; without `old`, nothing shows what it is now.

        Raises:
            LabelConfigError: It failed; the text says what the project has now.
        """
        try:
            await to_its_answer(self.clear(), within=ANSWER)
            return await to_its_answer(self._fill(wanted), within=ANSWER)
        except (Exception, asyncio.CancelledError) as error:
            wait = self._session.settle_after() if _may_still_run(error) else 0.0
            (left, view), again = await to_its_end(self._settle(old, wanted, wait))
            words = _words(left, backup)
            cancelled = error if isinstance(error, asyncio.CancelledError) else again
            if cancelled is not None:
                cancelled.add_note(f"Cancelled while a label configuration was replaced. {words}")
                _log.warning("cancelled while a label configuration was replaced. %s", words)
                raise cancelled from None
            if left == "new" and view is not None:
                return view  # an answer was lost, and the call was not
            lost = backup if left != "untouched" else None
            raise LabelConfigError(
                f"The label configuration was not replaced. {words} What happened: {error}",
                backup=lost.folder if lost is not None else None,
                left="old" if left == "untouched" else left,
            ) from error

    async def _settle(self, old: LabelConfig | None, wanted: LabelConfig, wait: float) -> _Settled:
        """See to it that the project has the old or the new configuration; return which."""
        try:
            async with asyncio.timeout(wait + PUTTING_BACK):
                await asyncio.sleep(wait)
                return await self._put_back(old, wanted)
        except Exception as error:
            _log.error("The label configuration could not be put back: %s", error)
            return "unknown", None

    async def _put_back(self, old: LabelConfig | None, wanted: LabelConfig) -> _Settled:
        for turn in range(_TURNS):
            task = await read_task(self._session, self._project_id)
            view = None if task is None else task.label_config
            if view is not None:
                if old is not None and diff(view, old).is_empty:
                    return "old" if turn else "untouched", view
                if diff(view, wanted).is_empty:
                    return "new", view
            if old is None:
                break
            if view is None or view.entries:
                # Filled by a call that was lost, or by two at once, which store entries twice.
                await self.clear()
            await self._fill(old)
            if view is None:
                return "old", None
        return "unknown", None

    async def _fill(self, wanted: LabelConfig) -> LabelConfiguration:
        """Fill it after it was cleared just now."""
        request = routes.upload_config(self._config_id, _as_taken(wanted.to_payload()))
        try:
            return await self._fetch_or_settle(request, LabelConfiguration)
        except RequestRefusedError as error:
            if error.key != NOT_CLEARED:
                raise
        # It was empty, so a lost attempt of ours has filled it. `attempts` may well say 1: aiohttp
        # sends a PUT once more by itself when the connection drops.
        await self.clear()
        return await self._fetch_or_settle(request, LabelConfiguration)


def _may_still_run(error: BaseException) -> bool:
    """Return whether the service may still be at work on the call that failed."""
    if not isinstance(error, APIStatusError) or error.attempts > 1:
        return True
    return error.status >= 500 and not isinstance(error, RequestRefusedError)


def _as_taken(payload: Sequence[Mapping[str, Any]]) -> list[Mapping[str, object]]:
    """Return entries that were stored once in a spelling that the service takes again.

    It looks for its own words with case, and stores keys in lower case: ``Line`` became ``line``,
    which it would refuse.
    """
    return [
        {
            **entry,
            "entryKey": _TAKEN.get(entry["entryKey"], entry["entryKey"]),
            "children": _as_taken(entry["children"]),
        }
        for entry in payload
    ]


def _words(left: Left, backup: ConfigBackup | None) -> str:
    """Say what the project has now, and where its labels are."""
    if left == "untouched":
        return "The old one and all labels are as they were."
    if backup is None:
        saved = "Nothing was saved before."
    else:
        saved = f"The labels, which are gone from the service, are in {backup.labels}."
    if left == "unknown":
        where = f" The old one is in {backup.config}." if backup is not None else ""
        return f"It is not known what the project has now, perhaps none.{where} {saved}"
    return f"The {left} one is in place. {saved}"
