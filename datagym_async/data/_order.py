"""The order of an epoch: a permutation that costs constant memory, whatever it permutes. Pure."""

from __future__ import annotations

import hashlib
import struct

import attrs

_ROUNDS = 8
_WORD = (1 << 64) - 1


@attrs.frozen
class Order:
    """Say which of `count` things comes at a position of an epoch.

    Without a seed the order is the things' own. With one, it is a Feistel network over the least
    power of two that holds `count`, walked until the result is below `count`: a permutation of
    which nothing is stored but eight keys. Any position is answered by itself, in a few
    microseconds.

    Args:
        count: How many things there are.
        seed: Seed of the shuffle, or None for none.
        epoch: Number of the epoch; each has a shuffle of its own.
    """

    count: int
    seed: int | None = None
    epoch: int = 0
    _keys: tuple[int, ...] = attrs.field(init=False, repr=False, eq=False)
    _bits: int = attrs.field(init=False, repr=False, eq=False)

    @_keys.default
    def _derive_keys(self) -> tuple[int, ...]:
        if self.seed is None:
            return ()
        text = f"{self.seed}/{self.epoch}".encode()
        return struct.unpack(f"<{_ROUNDS}Q", hashlib.blake2b(text, digest_size=64).digest())

    @_bits.default
    def _count_bits(self) -> int:
        return max(2, (self.count - 1).bit_length())

    def at(self, position: int) -> int:
        """Return the number of the thing at a position, both counted from 0."""
        if not self._keys:
            return position
        number = self._mixed(position)
        while number >= self.count:
            number = self._mixed(number)
        return number

    def _mixed(self, number: int) -> int:
        shift = self._bits // 2
        low_mask, high_mask = (1 << shift) - 1, (1 << (self._bits - shift)) - 1
        high, low = number >> shift, number & low_mask
        for first, second in zip(self._keys[::2], self._keys[1::2], strict=True):
            high ^= _scrambled(low ^ first) & high_mask
            low ^= _scrambled(high ^ second) & low_mask
        return high << shift | low


def _scrambled(word: int) -> int:
    """Return 64 bits of which each depends on all those of `word` (multiply and shift, twice)."""
    word = word * 0x9E3779B97F4A7C15 & _WORD
    word ^= word >> 32
    word = word * 0xD6E8FEB86659FD93 & _WORD
    return word ^ word >> 32
