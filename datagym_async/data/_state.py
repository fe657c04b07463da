"""Where a loader stands: as a small value that survives as JSON, and through its epochs. Pure.

`LoaderState` is the value, `resumption` says what is left after one state or those of all shards,
and `Position` is a loader's own, from its first listing on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import attrs

from datagym_async.data._order import Order, Progress, Rest, remaining
from datagym_async.exceptions import ConfigurationError

if TYPE_CHECKING:
    from typing import TypeAlias

    from datagym_async.data._config import LoaderConfig
    from datagym_async.data._listing import Listing

VERSION = 1

State: TypeAlias = "Mapping[str, object]"
"""What `DatasetLoader.state_dict` returns."""


def _int(_: object, attribute: attrs.Attribute[int], value: object) -> None:
    if not isinstance(value, int) or value < 0:
        msg = f"{attribute.name} is {value!r}"
        raise ValueError(msg)


def _to_bits(value: object) -> int:
    return value if isinstance(value, int) else int(str(value), 16)


@attrs.frozen(kw_only=True)
class LoaderState:
    """Where one shard stands.

    Args:
        epoch: Number of the epoch.
        seed: Seed of the shuffle, or None.
        media: How many media the listing had.
        listing: Fingerprint of their ids.
        base: See `Rest`.
        done: See `Rest`.
        shard: See `Progress`.
        shards: See `Progress`.
        passed: See `Progress`.
        ahead: See `Progress`.
    """

    epoch: int = attrs.field(validator=_int)
    seed: int | None
    media: int = attrs.field(validator=_int)
    listing: str
    base: int = attrs.field(default=0, validator=_int)
    done: int = attrs.field(default=0, converter=_to_bits, validator=_int)
    shard: int = attrs.field(default=0, validator=_int)
    shards: int = attrs.field(default=1, validator=_int)
    passed: int = attrs.field(default=0, validator=_int)
    ahead: int = attrs.field(default=0, converter=_to_bits, validator=_int)

    @classmethod
    def of(cls, state: State) -> LoaderState:
        """Read what `as_dict` gave.

        Raises:
            ConfigurationError: It is something else.
        """
        members = dict(state)
        if members.pop("version", None) == VERSION:
            try:
                return cls(**members)  # type: ignore[arg-type]  # checked by the validators
            except (TypeError, ValueError):
                pass
        raise ConfigurationError(
            "The state is not one of this version's loaders; pass what state_dict() returned"
        )

    def as_dict(self) -> dict[str, object]:
        """Return it as numbers and texts, for JSON or pickle."""
        bits = {"done": f"{self.done:x}", "ahead": f"{self.ahead:x}"}
        return {"version": VERSION, **attrs.asdict(self), **bits}

    @property
    def progress(self) -> Progress:
        """Return how far the shard has got."""
        rest = Rest(self.media, self.base, self.done)
        return Progress(rest, self.shard, self.shards, self.passed, self.ahead)


@attrs.frozen
class Resumption:
    """Where to resume: what is left of an epoch, for all shards together.

    Args:
        state: One of the states that were loaded: its epoch, its seed and its listing.
        rest: What is left of the epoch.
        own: Whether `state` is of the shard that resumes; else the rest is dealt out again.
    """

    state: LoaderState
    rest: Rest
    own: bool = False

    def for_shard(self, shard: int, shards: int) -> Progress:
        """Return where a shard begins."""
        return self.state.progress if self.own else Progress(self.rest, shard, shards)


def resumption(given: State | Sequence[State], *, shard: int, shards: int) -> Resumption:
    """Return where a shard resumes.

    Args:
        given: The state of this very shard; or the state of any one shard, in order, where all
            have passed the same number; or the states of all shards.
        shard: Number of the shard that resumes.
        shards: How many there are now.

    Raises:
        ConfigurationError: The states do not belong together, or do not tell enough.
    """
    states = [LoaderState.of(each) for each in ([given] if isinstance(given, Mapping) else given)]
    if not states:
        raise ConfigurationError("There is no state to go on from; pass what state_dict() returned")
    first = states[0]
    if len(states) > 1:
        return _joined(states)
    if (first.shard, first.shards) == (shard, shards):
        return Resumption(first, first.progress.rest, own=True)
    if first.shards > 1 and first.ahead:
        raise ConfigurationError(
            f"One of {first.shards} shards' states does not say what the others have yielded with "
            "ordered=False; load the states of all shards"
        )
    alike = [attrs.evolve(first, shard=number) for number in range(first.shards)]
    return Resumption(first, _rest_of(alike))


def _joined(states: Sequence[LoaderState]) -> Resumption:
    """Return what is left after the states of all shards, in whatever order they come."""
    # A loader that has not begun knows no listing; it has that of the others.
    listed = next((state for state in states if state.listing), states[0])
    states = [
        state if state.listing else attrs.evolve(state, media=listed.media, listing=listed.listing)
        for state in states
    ]
    # Shards that have ended the epoch stand at the beginning of the next.
    epoch = min(state.epoch for state in states)
    current = [state for state in states if state.epoch == epoch]
    ended = [state for state in states if state.epoch != epoch]
    first = current[0]
    is_one_loader = (
        len(states) == first.shards
        and {state.shard for state in states} == set(range(first.shards))
        and len({(each.seed, each.media, each.listing, each.shards) for each in states}) == 1
        and len({(each.base, each.done) for each in current}) == 1
        and all(each.epoch == epoch + 1 and _is_at_beginning(each) for each in ended)
    )
    if not is_one_loader:
        raise ConfigurationError(
            "The states are not those of all shards of one loader; load one state_dict() of each"
        )
    shards = {state.shard: state for state in current}
    for state in ended:  # it has passed all that it had
        shards[state.shard] = attrs.evolve(first, shard=state.shard, passed=first.media, ahead=0)
    return Resumption(first, _rest_of([shards[number] for number in range(first.shards)]))


def _rest_of(states: Sequence[LoaderState]) -> Rest:
    return remaining([state.progress for state in states])


def _is_at_beginning(state: LoaderState) -> bool:
    return not (state.base or state.done or state.passed or state.ahead)


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
        media, fingerprint = 0, ""
        if listing is not None:
            media, fingerprint = len(listing), listing.fingerprint
        elif known is not None:
            media, fingerprint = known.media, known.listing
        progress = self._progress or self._beginning(media)
        return LoaderState(
            epoch=self.epoch,
            seed=self._seed,
            media=media,
            listing=fingerprint,
            base=progress.rest.base,
            done=progress.rest.done,
            shard=progress.shard,
            shards=progress.shards,
            passed=progress.passed,
            ahead=progress.ahead,
        )

    def load(self, given: State | Sequence[State]) -> None:
        """Resume where a state says.

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
        """Refuse to resume in a dataset that has changed: its positions mean other media.

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
