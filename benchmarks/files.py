"""Folders of files that are JPEGs as far as their header goes; nothing here decodes them."""

from __future__ import annotations

import random
from pathlib import Path

_END = bytes.fromhex("ffd9")
TINY = bytes.fromhex("ffd8 ffc0000b080001000101011100 ffda0008010100003f00")
"""A JPEG's header and no picture: the least that is sent; anything may follow it."""


def write_files(folder: Path, *, count: int, size: int) -> Path:
    """Write so many files of a size in bytes, all different, and return the folder."""
    folder.mkdir(parents=True)
    rng = random.Random(size)
    for number in range(count):
        body = rng.randbytes(size - len(TINY) - len(_END))
        (folder / f"photo-{number:06}.jpg").write_bytes(TINY + body + _END)
    return folder


def link_files(folder: Path, *, count: int, size: int) -> Path:
    """Make one file of a size in bytes with so many names, and return the folder."""
    first = write_files(folder, count=1, size=size) / "photo-000000.jpg"
    for number in range(1, count):  # file systems bound the links to one file, ext4 at 65,000
        (folder / f"photo-{number:06}.jpg").hardlink_to(first)
    return folder


def link_some(folder: Path, part: Path, *, count: int) -> Path:
    """Give the first so many files of a folder a second name in another, and return that."""
    part.mkdir()
    for path in sorted(folder.iterdir())[:count]:
        (part / path.name).hardlink_to(path)
    return part
