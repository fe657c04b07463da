"""One label configuration in the place of another, and what is done when that fails.

The service can only clear a configuration, with every label, and fill it again: two calls, between
which the project has none. Whatever ends the exchange in that time, a cancellation included, the
service is asked what holds now, and the old configuration is put back where neither holds.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import attrs

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
from datagym_async.resources._base import Resource, nothing_to_look_at, read
from datagym_async.resources._tasks import read_task
from datagym_async.resources._work import to_its_answer, to_its_end

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from datagym_async._wire._messages import Request
    from datagym_async.resources._base import Door


_log = logger(__name__)

Left: TypeAlias = Literal["untouched", "old", "new", "unknown"]

ANSWER = 30.0
"""Seconds for the answer to a call when its sender is cancelled: it is carried out all the same."""
PUTTING_BACK = 60.0
"""Seconds for putting the old configuration back, on top of the wait for lost requests."""

_TURNS = 3


@attrs.frozen
class _Outcome:
    """How an exchange that failed has ended, and the configuration as it was seen last."""

    left: Left
    view: LabelConfiguration | None = None


@attrs.frozen
class Replacement:
    """The exchange of one label configuration.

    Args:
        calls: The calls it is made of.
        old: The configuration as it is, or None if nothing shows it.
        wanted: The configuration as it is to be, checked.
        backup: What was saved before, or None.
        within: Seconds for putting the old configuration back.
    """

    calls: ConfigCalls
    old: LabelConfig | None
    wanted: LabelConfig
    backup: ConfigBackup | None
    within: float = PUTTING_BACK

    async def run(self) -> LabelConfiguration:
        """Clear, fill, and return the new configuration.

        Raises:
            LabelConfigError: It failed; the text says what the project has now.
        """
        try:
            await to_its_answer(self.calls.clear(), within=ANSWER)
            filling = self.calls.fill(_as_taken(self.wanted.to_payload()))
            return await to_its_answer(filling, within=ANSWER)
        except (Exception, asyncio.CancelledError) as error:
            end, again = await to_its_end(self._settle(wait=_may_still_run(error)))
            cancelled = error if isinstance(error, asyncio.CancelledError) else again
            if cancelled is not None:
                self._note(cancelled, end.left)
                raise cancelled from None
            if end.left == "new" and end.view is not None:
                return end.view  # an answer was lost, and the call was not
            raise self._failure(error, end.left) from error

    async def _settle(self, *, wait: bool) -> _Outcome:
        """See to it that the project has the old or the new configuration; return which."""
        pause = self.calls.settle_after() if wait else 0.0
        try:
            async with asyncio.timeout(pause + self.within):
                await asyncio.sleep(pause)
                return await self._put_back()
        except Exception as error:
            _log.error("The label configuration could not be put back: %s", error)
            return _Outcome("unknown")

    async def _put_back(self) -> _Outcome:
        for turn in range(_TURNS):
            view = await self.calls.read()
            if (found := self._which(view)) is not None:
                return _Outcome("untouched" if (found, turn) == ("old", 0) else found, view)
            if self.old is None:
                break
            if view is None or view.entries:
                # Filled by a call that was lost, or by two at once, which store entries twice.
                await self.calls.clear()
            await self.calls.fill(_as_taken(self.old.to_payload()))
            if view is None:
                return _Outcome("old")
        return _Outcome("unknown")

    def _which(self, view: LabelConfiguration | None) -> Literal["old", "new"] | None:
        if view is None:
            return None
        if self.old is not None and diff(view, self.old).is_empty:
            return "old"
        return "new" if diff(view, self.wanted).is_empty else None

    def _failure(self, error: BaseException, left: Left) -> LabelConfigError:
        lost = self.backup if left != "untouched" else None
        return LabelConfigError(
            f"The label configuration was not replaced. {self._words(left)} What happened: {error}",
            backup=lost.folder if lost is not None else None,
            left="old" if left == "untouched" else left,
        )

    def _note(self, error: asyncio.CancelledError, left: Left) -> None:
        words = self._words(left)
        error.add_note(f"Cancelled while a label configuration was replaced. {words}")
        _log.warning("cancelled while a label configuration was replaced. %s", words)

    def _words(self, left: Left) -> str:
        if left == "untouched":
            return "The old one and all labels are as they were."
        if self.backup is None:
            saved = "Nothing was saved before."
        else:
            saved = f"The labels, which are gone from the service, are in {self.backup.labels}."
        if left == "unknown":
            where = f" The old one is in {self.backup.config}." if self.backup is not None else ""
            return f"It is not known what the project has now, perhaps none.{where} {saved}"
        return f"The {left} one is in place. {saved}"


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
        {**entry, "entryKey": _spelled(entry["entryKey"]), "children": _as_taken(entry["children"])}
        for entry in payload
    ]


def _spelled(key: str) -> str:
    return key.upper() if key in RESERVED else key


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
        task = await read_task(self._session, self._project_id)
        return None if task is None else task.label_config

    async def fill_empty(self, wanted: LabelConfig) -> LabelConfiguration:
        """Fill it if it is empty."""
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
