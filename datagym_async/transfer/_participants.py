"""What the options of an upload ask for besides uploading: its events and its stop limits."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import attrs

from datagym_async.transfer._advice import Advisor
from datagym_async.transfer._events import DatasetCreated, Events, ItemSettled
from datagym_async.transfer._items import Outcome
from datagym_async.transfer._stops import Stops

if TYPE_CHECKING:
    from datagym_async.transfer._config import UploadConfig
    from datagym_async.transfer._items import UploadItem, UploadResult
    from datagym_async.transfer._tally import Tally
    from datagym_async.transfer._target import Member


@attrs.define
class Participant:
    """Watch a run, tell of it, and say when it has to stop.

    Args:
        stops: The limits of the run.
        events: Where to tell of it.
        advisor: Knows the client's limiter.

    Attributes:
        stopped_by: Which limit was reached, in words; empty while none is.
    """

    _stops: Stops
    events: Events
    advisor: Advisor
    stopped_by: str = attrs.field(default="", init=False)
    _begun: int = attrs.field(default=0, init=False)
    _begun_bytes: int = attrs.field(default=0, init=False)
    _failed: int = attrs.field(default=0, init=False)
    _began: float = attrs.field(default=0.0, init=False)

    @classmethod
    def of(cls, config: UploadConfig, advisor: Advisor) -> Participant:
        """Return the one that the options ask for."""
        stops = Stops(
            max_files=config.max_files,
            max_bytes_total=config.max_bytes_total,
            max_failures=config.max_failures,
            max_duration=config.max_duration,
        )
        return cls(stops, Events(config.on_event), advisor)

    def begin(self) -> None:
        """Start the clock of the run."""
        self._began = asyncio.get_running_loop().time()
        self.advisor.begin()

    @property
    def room(self) -> int | None:
        """Return how many images and links may still be begun; None for any number."""
        most = self._stops.max_files
        return None if most is None else max(0, most - self._begun)

    def stop(self, tally: Tally) -> str:
        """Return why nothing new is begun, in words, or empty; asked before each item."""
        del tally  # counts what is settled, and this has to count what is begun
        self.stopped_by = self.stopped_by or self._stops.reason(
            begun=self._begun,
            begun_bytes=self._begun_bytes,
            failed=self._failed,
            seconds=asyncio.get_running_loop().time() - self._began,
        )
        return self.stopped_by

    # As a watcher.

    def began(self, item: UploadItem, size: int | None) -> None:
        """Count an item that is being sent."""
        del item
        self._begun += 1
        self._begun_bytes += size or 0

    def lost(self, item: UploadItem) -> None:
        """Say nothing: its outcome will be told."""

    def ended(self, result: UploadResult) -> None:
        """Tell of an outcome, and of the limit where it has changed."""
        self._failed += result.outcome is Outcome.FAILED
        self.events.tell(ItemSettled(result))
        limiter = self.advisor.limiter()
        if limiter is not None:
            self.events.watch(limiter)

    def created(self, member: Member) -> None:
        """Tell of a dataset that was added."""
        self.events.tell(DatasetCreated(member.dataset_id, member.name, member.number))
