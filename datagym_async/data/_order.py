"""The order of an epoch, its division into shards, and the position of a loader in it. Pure.

The global order of an epoch comes first (`Order`). Positions in it that are not done when a
sharding begins are its *rest* (`Rest`); shard `i` of `c` takes every c-th of them, from the i-th on
(`Progress`). So the shards never overlap and cover everything. After each has passed k samples, the
rest of the rest begins at k * c and can be divided again among any number of shards (`remaining`).

`LoaderState` is a position as a small value for JSON, `resumption` computes what remains after one
state or those of all shards, and `Position` is that of a loader, from its first listing on and
through its epochs.
"""

from __future__ import annotations

import hashlib
import itertools
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import islice
from operator import attrgetter
from typing import TypeAlias

import attrs

from datagym_async._checks import SEVERAL, is_whole, shown
from datagym_async.data._config import Even, LoaderConfig
from datagym_async.data._listing import Listing
from datagym_async.exceptions import ConfigurationError

_ROUNDS = 8
_WORD = (1 << 64) - 1


@attrs.frozen
class Order:
    """Compute which of `count` elements is at a position of an epoch.

    Without a seed they keep their order. With one, it is a Feistel network over the smallest power
    of two that is not below `count`, applied until the result is below `count`: a permutation that
    stores only eight keys. Any position is computed by itself, in a few microseconds.
    """

    count: int
    seed: int | None = None
    epoch: int = 0  # each is shuffled differently
    _keys: tuple[int, ...] = attrs.field(init=False, repr=False, eq=False)

    @_keys.default
    def _derive_keys(self) -> tuple[int, ...]:
        if self.seed is None:
            return ()
        text = f"{self.seed}/{self.epoch}".encode()
        return struct.unpack(f"<{_ROUNDS}Q", hashlib.blake2b(text, digest_size=64).digest())

    def at(self, position: int) -> int:
        if not self._keys:
            return position
        number = self._mixed(position)
        while number >= self.count:
            number = self._mixed(number)
        return number

    def _mixed(self, number: int) -> int:
        bits = max(2, (self.count - 1).bit_length())
        shift = bits // 2
        low_mask, high_mask = (1 << shift) - 1, (1 << (bits - shift)) - 1
        high, low = number >> shift, number & low_mask
        for first, second in zip(self._keys[::2], self._keys[1::2], strict=True):
            high ^= _scrambled(low ^ first) & high_mask
            low ^= _scrambled(high ^ second) & low_mask
        return high << shift | low


def _scrambled(word: int) -> int:
    """Return 64 bits, each of which depends on all bits of `word` (multiply and shift, twice)."""
    word = word * 0x9E3779B97F4A7C15 & _WORD
    word ^= word >> 32
    word = word * 0xD6E8FEB86659FD93 & _WORD
    return word ^ word >> 32


@attrs.frozen(slots=False)
class Rest:
    """The positions of an epoch that were not done when a sharding began."""

    count: int  # of the whole epoch
    base: int = 0  # those below it are done
    # Bits, the lowest for `base`: 1 for other finished positions. Only after samples out of order,
    # or with shards of different progress.
    done: int = 0

    def __len__(self) -> int:
        return max(0, self.count - self.base - self.done.bit_count())

    def at(self, number: int) -> int:
        """Return the position of the n-th that is not done, counted from 0."""
        if not self.done:
            return self.base + number
        holes = self._holes
        if number < len(holes):
            return self.base + holes[number]
        return self.base + self.done.bit_length() + number - len(holes)

    @cached_property
    def _holes(self) -> tuple[int, ...]:
        return tuple(_places(self.done, "0"))


@attrs.define
class Progress:
    """The progress of one shard in the rest."""

    rest: Rest  # the rest when the sharding began
    shard: int = 0
    shards: int = 1
    passed: int = 0  # how many samples in a row are done, from the first
    ahead: int = 0  # bits, the lowest for the sample after those: 1 for samples out of order
    even: Even | None = None  # how all shards get the same number; None: they differ by at most one

    def __len__(self) -> int:
        if self.even == "drop":
            return len(self.rest) // self.shards
        begins_at = 0 if self.even == "pad" else self.shard
        return max(0, -(-(len(self.rest) - begins_at) // self.shards))

    def position(self, number: int) -> int:
        """Return the position of the shard's n-th sample; padding starts again with the first."""
        return self.rest.at((self.shard + number * self.shards) % len(self.rest))

    @property
    def left(self) -> int:
        return max(0, len(self) - self.passed - self.ahead.bit_count())

    def pending(self) -> Iterator[int]:
        """Yield the numbers of the samples that are not done now, in order."""
        passed, ahead = self.passed, self.ahead
        for number in range(passed, len(self)):
            if not ahead >> (number - passed) & 1:
                yield number

    def mark(self, number: int) -> None:
        self.ahead |= 1 << (number - self.passed)
        row = (~self.ahead & (self.ahead + 1)).bit_length() - 1  # ones at the low end
        self.passed += row
        self.ahead >>= row

    def advance(self, samples: int) -> None:
        for number in list(islice(self.pending(), samples if self.ahead else 0)):
            self.mark(number)
            samples -= 1
        self.passed += samples

    def is_done(self, number: int) -> bool:
        return number < self.passed or bool(self.ahead >> (number - self.passed) & 1)


def remaining(shards: Sequence[Progress]) -> Rest:
    """Return what remains of one rest after all shards, in the order of their numbers."""
    rest, count = shards[0].rest, len(shards)
    # Numbers in the rest: the first sample that is not done, and the first after all done ones.
    pending = (each.shard + each.passed * count for each in shards if each.passed < len(each))
    first = min(pending, default=len(rest))
    last = min(len(rest), count * max(each.passed + each.ahead.bit_length() for each in shards))
    base = rest.at(first)
    done = {
        rest.at(number)
        for number in range(first, last)
        if shards[number % count].is_done(number // count)
    }
    done |= {rest.base + bit for bit in _places(rest.done, "1") if rest.base + bit > base}
    return Rest(rest.count, base=base, done=_bits(position - base for position in done))


def _places(bits: int, digit: str) -> Iterator[int]:
    """Yield the places of ones, or of zeros below the highest one, the lowest first."""
    return (place for place, each in enumerate(f"{bits:b}"[::-1]) if each == digit)


def _bits(ones: Iterable[int]) -> int:
    packed = bytearray()
    for bit in ones:
        packed.extend(bytes(max(0, bit // 8 + 1 - len(packed))))
        packed[bit // 8] |= 1 << bit % 8
    return int.from_bytes(packed, "little")


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
        try:
            members = dict(state)
            if members.pop("version", None) == VERSION:
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
    if not SEVERAL.fits(given):
        given = {}  # which is no state either
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
        self._shard, self._shards = map(int, config.shard)  # those of numpy overflow
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


def to_number(what: str, value: int) -> int:
    if not is_whole(value, 0):
        raise ConfigurationError(f"{what} is {shown(value)}; it must be a whole number, 0 or more")
    return int(value)  # one of numpy is not JSON


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
            break
        if given[number] < left[number]:
            given[number], values = given[number] + 1, values - 1
    return given
