"""Where a loader stands, from its first listing on and through its epochs. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from datagym_async.data._order import Order
from datagym_async.data._progress import Progress, Rest
from datagym_async.data._state import LoaderState, Resumption, resumption
from datagym_async.exceptions import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from datagym_async.data._config import LoaderConfig
    from datagym_async.data._listing import Listing
    from datagym_async.data._state import State


class Position:
    """The epoch of a shard, and how far it has got in it.

    Args:
        config: Says which shard, and how it is shuffled.
    """

    def __init__(self, config: LoaderConfig) -> None:
        self._shard, self._shards = config.shard
        self._seed = config.shuffle
        self._resumption: Resumption | None = None
        self._progress: Progress | None = None
        self.epoch = 0

    def __str__(self) -> str:
        passed = self._progress.passed if self._progress else 0
        return f"epoch {self.epoch}, {passed} passed, shard {self._shard} of {self._shards}"

    def order(self, listing: Listing) -> Order:
        """Return the order of all shards' samples in this epoch."""
        return Order(len(listing), self._seed, self.epoch)

    def length(self, listing: Listing) -> int:
        """Return how many samples the shard has in a whole epoch."""
        return len(Progress(Rest(len(listing)), self._shard, self._shards))

    def begin(self, listing: Listing) -> Progress:
        """Return the shard's progress in this epoch; further marks go there."""
        if self._progress is None:
            self._progress = self._beginning(len(listing))
        return self._progress

    def mark(self, number: int) -> None:
        """Note that a sample of the shard is done."""
        if self._progress is not None:
            self._progress.mark(number)

    def go_to(self, epoch: int) -> None:
        """Go to the beginning of an epoch."""
        self.epoch, self._progress, self._resumption = epoch, None, None

    def state(self, listing: Listing | None) -> LoaderState:
        """Return the state; without a listing it can only be the one that was begun with."""
        known = self._resumption.state if self._resumption else None
        if listing is None and known is None:
            return LoaderState(
                epoch=self.epoch,
                seed=self._seed,
                media=0,
                listing="",
                shard=self._shard,
                shards=self._shards,
            )
        media = len(listing) if listing is not None else known.media if known else 0
        progress = self._progress or self._beginning(media)
        return LoaderState(
            epoch=self.epoch,
            seed=self._seed,
            media=media,
            listing=listing.fingerprint if listing is not None else known.listing if known else "",
            base=progress.rest.base,
            done=progress.rest.done,
            shard=progress.shard,
            shards=progress.shards,
            passed=progress.passed,
            ahead=progress.ahead,
        )

    def load(self, given: State | Sequence[State]) -> None:
        """Go on where a state says.

        Raises:
            ConfigurationError: It does not fit, or does not tell enough.
        """
        found = resumption(given, shard=self._shard, shards=self._shards)
        state = found.state
        if state.seed != self._seed:
            raise ConfigurationError(
                f"The state is of a loader with shuffle={state.seed!r}, and this one has "
                f"shuffle={self._seed!r}; pass the same"
            )
        self.go_to(state.epoch)
        if state.listing:  # else nothing had been listed, nor yielded
            self._resumption = found

    def check(self, listing: Listing) -> None:
        """Refuse to go on in a dataset that has changed: its positions mean other media.

        Raises:
            ConfigurationError: It has changed.
        """
        known = self._resumption.state if self._resumption else None
        if known is None or (known.media, known.listing) == (len(listing), listing.fingerprint):
            return
        raise ConfigurationError(
            f"The state is of a listing of {known.media} media, and there are {len(listing)} now, "
            "not all the same; begin the epoch anew with set_epoch(...)"
        )

    def _beginning(self, media: int) -> Progress:
        if self._resumption is not None:
            return self._resumption.for_shard(self._shard, self._shards)
        return Progress(Rest(media), self._shard, self._shards)
