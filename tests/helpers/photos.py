"""Seeded JPEG and PNG files of wanted sizes, and folders of them with every oddity in it.

As a command: ``python -m tests.helpers.photos FOLDER --count 2000 --seed 7 --expect expect.json``.
"""

from __future__ import annotations

import argparse
import functools
import hashlib
import io
import json
import math
import random
import struct
import sys
import zlib
from collections.abc import (
    Callable,  # attrs may want it at run time
    Iterator,
)
from pathlib import Path
from typing import Literal

import attrs
from PIL import Image

Outcome = Literal["stored", "rejected", "failed"]

SOUND_JPEG = bytes.fromhex("ffd8 ffc0000b080001000101011100 ffda0008010100003f00")
"""A JPEG's header and no picture: the least that is sent; anything may follow it."""
SMALLEST = 1500
"""Bytes below which no photo is made: the tables of a JPEG alone take about 700."""
_STEP = 1.25  # photos share the picture of their size class; a comment makes up the difference
_COMMENT = 65533  # what one JPEG segment holds


def jpeg(size: int, *, seed: int = 0) -> bytes:
    """Return a JPEG of exactly `size` bytes; another seed gives other bytes."""
    picture = _picture("JPEG", _size_class(size))
    missing = size - len(picture)
    padding = random.Random(seed).randbytes(missing)
    return picture[:20] + b"".join(_comments(padding)) + picture[20:]  # behind SOI and APP0


def png(size: int, *, seed: int = 0) -> bytes:
    """Return a PNG of exactly `size` bytes; another seed gives other bytes."""
    picture = _picture("PNG", _size_class(size))
    padding = random.Random(seed).randbytes(size - len(picture) - 12)
    return picture[:-12] + _png_chunk(b"npXd", padding) + picture[-12:]


def gif() -> bytes:
    """Return a small GIF, which the service refuses."""
    stream = io.BytesIO()
    Image.new("P", (8, 8)).save(stream, "GIF")
    return stream.getvalue()


def broken_jpeg(size: int, *, seed: int = 0) -> bytes:
    """Return what begins as a JPEG and goes on as noise: the service answers 500 `ex_system`."""
    return b"\xff\xd8\xff\xe0" + b"\x00" + random.Random(seed).randbytes(size - 5)


def half_jpeg(size: int, *, seed: int = 0) -> bytes:
    """Return a JPEG that stops in the middle of its picture: the service stores it."""
    picture = _picture("JPEG", _size_class(size))
    half = picture[: len(picture) // 2]  # cut in its scan, not in the comments that fill it up
    padding = random.Random(seed).randbytes(size - len(half))
    return half[:20] + b"".join(_comments(padding)) + half[20:]


def broken_png(size: int, *, seed: int = 0) -> bytes:
    """Return a PNG whose header fails its check sum: the service answers 500 `ex_system`."""
    whole = bytearray(png(size, seed=seed))
    whole[29] ^= 0xFF  # first byte of the check sum of IHDR
    return bytes(whole)


def _size_class(size: int) -> int:
    if size < SMALLEST:
        raise ValueError(f"A photo has {SMALLEST} bytes at least, not {size}.")
    steps = math.floor(math.log((size - 32) / SMALLEST * _STEP, _STEP))
    return min(int(SMALLEST * _STEP ** (steps - 1)), size - 32)


@functools.lru_cache(maxsize=64)
def _picture(kind: Literal["JPEG", "PNG"], size: int) -> bytes:
    """Return noise encoded to a little less than `size` bytes."""
    # Noise takes nearly a byte a pixel as JPEG, and three as PNG; begun a little too large.
    side = max(8, round(math.sqrt(size / (0.9 if kind == "JPEG" else 2.9))))
    while len(encoded := _encode(kind, side)) > size:
        side = min(side - 1, int(side * math.sqrt(size / len(encoded))))
        if side < 1:
            raise ValueError(f"No {kind} is as small as {size} bytes.")
    return encoded


def _encode(kind: Literal["JPEG", "PNG"], side: int) -> bytes:
    noise = random.Random(side).randbytes(side * side * 3)
    stream = io.BytesIO()
    options = {"quality": 90} if kind == "JPEG" else {"compress_level": 1}
    Image.frombytes("RGB", (side, side), noise).save(stream, kind, **options)
    return stream.getvalue()


def _comments(padding: bytes) -> Iterator[bytes]:
    """Yield comment segments that take len(padding) bytes in all, their headers included."""
    rest = len(padding)
    while rest:
        taken = min(rest, _COMMENT + 4)
        if 0 < rest - taken < 4:  # too little for the header of the last one
            taken -= 4
        yield b"\xff\xfe" + struct.pack(">H", taken - 2) + padding[rest - taken + 4 : rest]
        rest -= taken


def _png_chunk(name: bytes, data: bytes) -> bytes:
    check = zlib.crc32(name + data)
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", check)


@attrs.frozen
class PhotoFolder:
    """What was written, and what a service must make of it when names are basenames.

    Args:
        root: The folder.
        files: How many files lie in it.
        bytes: Their size together.
        stored: SHA-1 of each image that must be in the dataset at the end, by its name.
        rejected: Files that no request is worth, by path below `root`, with the reason: `empty`,
            `type`, `corrupt` or `clash`.
        failed: Files that look sound to us and that the service refuses.
    """

    root: Path
    files: int
    bytes: int
    stored: dict[str, str]
    rejected: dict[str, str]
    failed: dict[str, str]

    def to_json(self) -> str:
        """Return all of it as a JSON object."""
        return json.dumps({**attrs.asdict(self), "root": str(self.root)}, indent=1)


@attrs.frozen
class _Odd:
    path: str  # below the root, with {n} for the number of the set
    content: Callable[[int], bytes]  # by seed
    outcome: Outcome = "stored"
    reason: str = ""


def _text(seed: int) -> bytes:
    return f"Not a picture, but line {seed} of a text.\n".encode() * 40


def _nothing(seed: int) -> bytes:
    del seed
    return b""


def _gif(seed: int) -> bytes:
    return gif() + struct.pack(">Q", seed)


def _jpeg(seed: int) -> bytes:
    return jpeg(9_000, seed=seed)


def _png(seed: int) -> bytes:
    return png(11_000, seed=seed)


# The first of two clashing names lies in set-a, which comes first in every order of walking.
ODDITIES = (
    _Odd("empty-{n}.jpg", _nothing, "rejected", "empty"),
    _Odd("sub/empty-{n}.png", _nothing, "rejected", "empty"),
    _Odd("gif-{n}.jpg", _gif, "rejected", "type"),
    _Odd("text-{n}.png", _text, "rejected", "type"),
    _Odd("png-{n}.jpg", _png),
    _Odd("jpeg-{n}.png", _jpeg),
    _Odd("half-{n}.jpg", lambda seed: half_jpeg(8_000, seed=seed)),
    _Odd("broken-{n}.jpg", lambda seed: broken_jpeg(6_000, seed=seed), "rejected", "corrupt"),
    _Odd("broken-{n}.png", lambda seed: broken_png(6_000, seed=seed), "rejected", "corrupt"),
    _Odd("unicode/Zürich {n} - Größe.jpg", _jpeg),
    _Odd("unicode/写真 {n} ☃.png", _png),
    _Odd("unicode/фото-{n} 🐈.jpg", _jpeg),
    _Odd("percent/{n}00%.jpg", _jpeg),
    _Odd("percent/%41-{n}%2F%zz.png", _png),
    _Odd("set-a/twin-{n}.jpg", _jpeg),
    _Odd("set-b/twin-{n}.jpg", _jpeg, "rejected", "clash"),
    _Odd("set-a/SHOUT-{n}.JPG", _jpeg),
    _Odd("set-b/shout-{n}.jpg", _jpeg, "rejected", "clash"),
    _Odd("set-a/tast-{n}.jpg", _jpeg),
    _Odd("set-b/täst-{n}.jpg", _jpeg),
)


def write_photos(
    root: Path, *, count: int = 60, seed: int = 7, largest: int = 5_000_000
) -> PhotoFolder:
    """Write a folder of mixed files and say what is to become of each.

    Args:
        root: The folder; it is made and must be empty.
        count: How many files; one in ten is odd, and each oddity comes once at least.
        seed: The same seed writes the same bytes.
        largest: Bytes of the largest file; one in twenty is above 300 kB if this allows it.
    """
    sets = max(1, count // (10 * len(ODDITIES)))
    plain = count - sets * len(ODDITIES)
    if plain < 0:
        raise ValueError(f"A folder needs {len(ODDITIES)} files at least, not {count}.")
    folder = PhotoFolder(root=root, files=count, bytes=0, stored={}, rejected={}, failed={})
    size = sum(_write_odd(folder, odd, number, seed) for number in range(sets) for odd in ODDITIES)
    size += _write_plain(folder, plain, random.Random(seed), largest)
    return attrs.evolve(folder, bytes=size)


def _write_odd(folder: PhotoFolder, odd: _Odd, number: int, seed: int) -> int:
    path = odd.path.format(n=number)
    content = odd.content(zlib.crc32(f"{seed} {path}".encode()))
    if odd.outcome == "rejected":
        folder.rejected[path] = odd.reason
    elif odd.outcome == "failed":
        folder.failed[path] = odd.reason
    else:
        _note_stored(folder, path, content)
    return _write(folder.root / path, content)


def _write_plain(folder: PhotoFolder, count: int, rng: random.Random, largest: int) -> int:
    written = 0
    for number in range(count):
        is_png = rng.random() < 0.25
        path = f"day-{number % 7}/photo-{number:05}.{'png' if is_png else 'jpg'}"
        make = png if is_png else jpeg
        content = make(_pick_size(rng, largest), seed=rng.getrandbits(64))
        _note_stored(folder, path, content)
        written += _write(folder.root / path, content)
    return written


def _pick_size(rng: random.Random, largest: int) -> int:
    low, high = (5_000, 300_000) if rng.random() < 0.95 else (300_000, 5_000_000)
    return min(largest, int(low * (high / low) ** rng.random()))


def _note_stored(folder: PhotoFolder, path: str, content: bytes) -> None:
    folder.stored[Path(path).name] = hashlib.sha1(content).hexdigest()


def _write(path: Path, content: bytes) -> int:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.write_bytes(content)


def main() -> None:
    """Write a folder as the command line asks, and what is expected of it."""
    parser = argparse.ArgumentParser(prog="python -m tests.helpers.photos", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--expect", type=Path, help="write what is expected to this JSON file")
    options = parser.parse_args()
    folder = write_photos(options.folder, count=options.count, seed=options.seed)
    if options.expect:
        options.expect.write_text(folder.to_json(), encoding="utf-8")
    sys.stdout.write(
        f"{folder.files} files, {folder.bytes / 1e6:.0f} MB: {len(folder.stored)} to be stored, "
        f"{len(folder.rejected)} to be rejected, {len(folder.failed)} to fail\n"
    )


if __name__ == "__main__":
    main()
