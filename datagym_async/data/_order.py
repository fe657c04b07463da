"""The order of an epoch, its finished positions, and their division into shards. Pure.

The global order of an epoch comes first (`Order`). Positions in it that are not done when a
sharding begins are its *rest* (`Rest`); shard `i` of `c` takes every c-th of them, from the i-th on
(`Progress`). So the shards never overlap and cover everything. After each has passed k samples, the
rest of the rest begins at k * c and can be divided again among any number of shards (`remaining`).
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from itertools import islice
from typing import Literal, TypeAlias

import attrs

Even: TypeAlias = Literal["pad", "drop"]

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
    if first >= len(rest):
        return Rest(rest.count, base=rest.count)
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
    return (place for place, each in enumerate(f"{bits:b}"[::-1]) if bits and each == digit)


def _bits(ones: Iterable[int]) -> int:
    packed = bytearray()
    for bit in ones:
        packed.extend(bytes(max(0, bit // 8 + 1 - len(packed))))
        packed[bit // 8] |= 1 << bit % 8
    return int.from_bytes(packed, "little")
