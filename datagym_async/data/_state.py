"""`LoaderState`: where a loader stands, as a small value that survives as JSON. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import attrs

from datagym_async.data._progress import Progress, Rest, remaining
from datagym_async.exceptions import ConfigurationError

if TYPE_CHECKING:
    from typing import TypeAlias

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
    """Where to go on: what is left of an epoch, for all shards together.

    Args:
        state: One of the states that were loaded: its epoch, its seed and its listing.
        rest: What is left of the epoch.
        own: Whether `state` is of the very shard that goes on; else the rest is dealt out anew.
    """

    state: LoaderState
    rest: Rest
    own: bool = False

    def for_shard(self, shard: int, shards: int) -> Progress:
        """Return where a shard begins."""
        return self.state.progress if self.own else Progress(self.rest, shard, shards)


def resumption(given: State | Sequence[State], *, shard: int, shards: int) -> Resumption:
    """Return where a shard goes on.

    Args:
        given: The state of this very shard; or the state of any one shard, in order, where all
            have passed the same number; or the states of all shards.
        shard: Number of the shard that goes on.
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
    listed = next((state for state in states if state.listing), states[0])
    states = [state if state.listing else _listed_as(state, listed) for state in states]
    epoch = min(state.epoch for state in states)
    current = [state for state in states if state.epoch == epoch]
    shards = {state.shard: state for state in current}
    ended = [state for state in states if state.epoch != epoch]
    first = current[0]
    whole = {state.shard for state in states} == set(range(first.shards))
    fresh = all(each.epoch == epoch + 1 and _is_fresh(each) for each in ended)
    if not whole or len(states) != first.shards or not fresh or not _same_rest(current, ended):
        raise ConfigurationError(
            "The states are not those of all shards of one loader; load one state_dict() of each"
        )
    for state in ended:  # it has passed all that it had
        shards[state.shard] = attrs.evolve(first, shard=state.shard, passed=first.media, ahead=0)
    return Resumption(first, _rest_of([shards[number] for number in range(first.shards)]))


def _listed_as(state: LoaderState, listed: LoaderState) -> LoaderState:
    """Return the state of a loader that has not begun as if it had."""
    return attrs.evolve(state, media=listed.media, listing=listed.listing)


def _rest_of(states: Sequence[LoaderState]) -> Rest:
    return remaining([state.progress for state in states])


def _is_fresh(state: LoaderState) -> bool:
    return not (state.base or state.done or state.passed or state.ahead)


def _same_rest(current: Sequence[LoaderState], ended: Sequence[LoaderState]) -> bool:
    rests = {(state.base, state.done) for state in current}
    jobs = {(each.seed, each.media, each.listing, each.shards) for each in (*current, *ended)}
    return len(rests) == len(jobs) == 1
