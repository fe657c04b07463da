"""The position of a loader, as a small value for JSON, and through its epochs. Pure.

`LoaderState` is the value, `resumption` computes what remains after one state or those of all
shards, and `Position` is that of a loader, from its first listing on.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from operator import attrgetter
from typing import TypeAlias

import attrs

from datagym_async.data._config import LoaderConfig
from datagym_async.data._listing import Listing
from datagym_async.data._order import Progress, Rest, remaining
from datagym_async.exceptions import ConfigurationError

VERSION = 1

State: TypeAlias = "Mapping[str, object]"
"""What `DatasetLoader.state_dict` returns."""


@attrs.frozen
class Known:
    """What a position needs of a `Listing`."""

    media: int
    fingerprint: str

    def __len__(self) -> int:
        return self.media


_MOST = 1 << 40  # maximum media or shards
_COUNT = (attrs.validators.instance_of(int), attrs.validators.ge(0))


def _to_bits(value: object) -> int:
    return value if isinstance(value, int) else int(str(value), 16)


@attrs.frozen(kw_only=True)
class LoaderState:
    """The position of one shard in an epoch, with the seed of its shuffle.

    `media` and `listing` are the number of media and the fingerprint of their ids; the others are
    those of `Rest` and `Progress`.
    """

    epoch: int = attrs.field(validator=_COUNT)
    seed: int | None
    media: int = attrs.field(validator=_COUNT)
    listing: str
    base: int = attrs.field(default=0, validator=_COUNT)
    done: int = attrs.field(default=0, converter=_to_bits, validator=_COUNT)
    shard: int = attrs.field(default=0, validator=_COUNT)
    shards: int = attrs.field(default=1, validator=_COUNT)
    passed: int = attrs.field(default=0, validator=_COUNT)
    ahead: int = attrs.field(default=0, converter=_to_bits, validator=_COUNT)

    def __attrs_post_init__(self) -> None:
        ends = self.base + self.done.bit_length(), self.passed + self.ahead.bit_length()
        if not (self.shard < self.shards <= _MOST and max(ends) <= self.media <= _MOST):
            raise ValueError

    @classmethod
    def of(cls, state: State) -> LoaderState:
        """Read the result of `as_dict`; anything else raises a `ConfigurationError`."""
        members = dict(state)
        if members.pop("version", None) == VERSION:
            try:
                return cls(**members)  # type: ignore[arg-type]  # checked by the validators
            except (TypeError, ValueError):
                pass
        raise ConfigurationError(
            "The state is not from a loader of this version; pass what state_dict() returned"
        )

    def as_dict(self) -> dict[str, object]:
        """Return it as numbers and texts, for JSON or pickle."""
        bits = {"done": f"{self.done:x}", "ahead": f"{self.ahead:x}"}
        return {"version": VERSION, **attrs.asdict(self), **bits}

    @property
    def progress(self) -> Progress:
        rest = Rest(self.media, self.base, self.done)
        return Progress(rest, self.shard, self.shards, self.passed, self.ahead)


def states_in(given: State | Sequence[State]) -> list[LoaderState]:
    states = [LoaderState.of(each) for each in ([given] if isinstance(given, Mapping) else given)]
    if not states:
        raise ConfigurationError("The list of states is empty; pass what state_dict() returned")
    return states


def resumption(
    given: State | Sequence[State], *, shard: int, shards: int
) -> tuple[LoaderState, Progress]:
    """Return where a shard resumes: a state with the epoch and the listing, and its progress.

    The argument is the state of this shard, alone or among others; or the state of any shard, if
    all have passed the same number in order; or the states of all shards. States that do not belong
    together, or are not enough, raise a `ConfigurationError`.
    """
    states = states_in(given)
    first = states[0]
    own = [each for each in states if (each.shard, each.shards) == (shard, shards)]
    if len(own) == 1 and 1 < len(states) < shards:  # of one of several trainings
        return own[0], own[0].progress
    if len(states) > 1:
        states = _of_one_loader(states)
    elif (first.shard, first.shards) == (shard, shards):
        return first, first.progress
    elif first.shards > 1 and first.ahead:
        raise ConfigurationError(
            f"One of {first.shards} shards' states does not say what the others have yielded with "
            "ordered=False; load the states of all shards"
        )
    else:
        states = [attrs.evolve(first, shard=number) for number in range(first.shards)]
    # The rest of the epoch is divided again.
    return states[0], Progress(remaining([each.progress for each in states]), shard, shards)


def _of_one_loader(states: Sequence[LoaderState]) -> list[LoaderState]:
    """Return the states of all shards in order, all of one epoch."""
    # A loader that has not begun has no listing; it uses that of the others.
    listed = next((state for state in states if state.listing), states[0])
    states = [
        state if state.listing else attrs.evolve(state, media=listed.media, listing=listed.listing)
        for state in states
    ]
    # Shards that have finished the epoch are at the beginning of the next.
    epoch = min(state.epoch for state in states)
    current = [state for state in states if state.epoch == epoch]
    ended = [state for state in states if state.epoch != epoch]
    first = current[0]
    is_one_loader = (
        len(states) == first.shards
        and {state.shard for state in states} == set(range(first.shards))
        and len({(each.seed, each.media, each.listing, each.shards) for each in states}) == 1
        and len({(each.base, each.done) for each in current}) == 1
        and all(
            each.epoch == epoch + 1 and not (each.base or each.done or each.passed or each.ahead)
            for each in ended
        )
    )
    if not is_one_loader:
        raise ConfigurationError(
            "The states are not those of all shards of one loader; load one state_dict() of each"
        )
    # One that has finished the epoch has passed all its samples.
    passed = [attrs.evolve(first, shard=each.shard, passed=first.media, ahead=0) for each in ended]
    return sorted([*current, *passed], key=attrgetter("shard"))


class Position:
    """The epoch of a shard, and its progress in it."""

    def __init__(self, config: LoaderConfig) -> None:
        self._shard, self._shards = config.shard
        self._seed, self._even = config.shuffle, config.even
        self._loaded: LoaderState | None = None
        self._progress: Progress | None = None
        self.epoch = 0

    def __str__(self) -> str:
        passed = self._progress.passed if self._progress is not None else 0
        return f"epoch {self.epoch}, {passed} passed, shard {self._shard} of {self._shards}"

    def length(self, listing: Listing | Known) -> int:
        return len(self._whole(len(listing)))

    def begin(self, listing: Listing | Known) -> Progress:
        """Return the shard's progress in this epoch, for further marks."""
        if self._progress is None:
            self._progress = self._whole(len(listing))
        return self._progress

    def mark(self, number: int) -> None:
        if self._progress is not None:
            self._progress.mark(number)

    def go_to(self, epoch: int) -> None:
        self.epoch, self._progress, self._loaded = epoch, None, None

    def state(self, listing: Listing | Known | None) -> LoaderState:
        """Return the state; without a listing it is the one given at the beginning."""
        known, media, fingerprint = self._loaded, 0, ""
        if listing is not None:
            media, fingerprint = len(listing), listing.fingerprint
        elif known is not None:
            media, fingerprint = known.media, known.listing
        progress = self._whole(media) if self._progress is None else self._progress
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
        """Resume at a state; one that does not fit raises a `ConfigurationError`."""
        state, progress = resumption(given, shard=self._shard, shards=self._shards)
        if state.seed != self._seed:
            raise ConfigurationError(
                f"The state is of a loader with shuffle={state.seed!r}, and this one has "
                f"shuffle={self._seed!r}; pass the same"
            )
        self.go_to(state.epoch)
        if state.listing:  # otherwise nothing was listed or yielded
            self._loaded, self._progress = state, attrs.evolve(progress, even=self._even)

    def check(self, listing: Listing | Known) -> None:
        """Refuse to resume in a changed dataset: its positions mean other media."""
        known = self._loaded
        if known and (known.media, known.listing) != (len(listing), listing.fingerprint):
            raise ConfigurationError(
                f"The state is of a listing of {known.media} media, and there are {len(listing)} "
                "now, not all the same; start the epoch again with set_epoch(...)"
            )

    def _whole(self, media: int) -> Progress:
        return Progress(Rest(media), self._shard, self._shards, even=self._even)


def rounds(left: Sequence[int], values: int) -> list[int]:
    """Return how many of `values` each worker yielded, in turn; workers with none left are skipped.

    `left` is how many each of them still has; a ``DataLoader`` takes them in this order.
    """
    if values > sum(left):
        more = f"{values - sum(left)} batches more than there are in the epoch were given"
        raise ConfigurationError(f"{more}; count one epoch")
    given = [0] * len(left)
    for number in itertools.cycle(range(len(left))):
        if not values:
            return given
        if given[number] < left[number]:
            given[number], values = given[number] + 1, values - 1
    return given
