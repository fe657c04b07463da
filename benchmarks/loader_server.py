"""A service with one dataset of images, which answers after a while and never gets tired.

``python -m benchmarks.loader_server MEDIA SIZE SECONDS [CORE]`` prints its port and serves until it
is ended, on one processor core if it is named. The dataset lists so many media; each is the same
image of so many bytes, and each answer comes after so many seconds, however many are asked for at
once.
"""

from __future__ import annotations

import asyncio
import random
import sys

from benchmarks.files import TINY
from benchmarks.limiter_server import Places, SlowConnection
from benchmarks.measure import stay_on
from benchmarks.minimal_server import OK, dataset, held_name, listing, response, serve

DATASET_ID = "00000000-0000-4000-8000-000000000001"
_ENOUGH = 1_000_000
_LISTED = b"00000000-0000-4000-9000-"


def image(size: int) -> bytes:
    """Return the image that the service has, so many bytes of it."""
    return TINY + random.Random(size).randbytes(size - len(TINY))


class Shelf:
    """The dataset, and the answers about it.

    Args:
        count: How many media it has.
        size: Bytes of each.
    """

    def __init__(self, count: int, size: int) -> None:
        media = listing(map(held_name, range(count)))
        self.listing = response(OK, dataset(DATASET_ID.encode(), b"Benchmark", media))
        head = b"HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % size
        self.media = head + image(size)


class ShelfConnection(SlowConnection):
    """A connection to the service."""

    def __init__(self, shelf: Shelf, places: Places) -> None:
        super().__init__(places)
        self._shelf = shelf

    def answer(self, method: bytes, parts: list[bytes], body: bytes) -> bytes:
        """Return the listing, an image, or what the minimal server says."""
        if parts[2:3] == [b"dataset"]:
            return self._shelf.listing
        if parts[2:3] == [b"media"] and parts[3].startswith(_LISTED):
            return self._shelf.media
        return super().answer(method, parts, body)


def main() -> None:
    """Serve as the command line asks."""
    count, size, seconds = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    stay_on(int(sys.argv[4]) if len(sys.argv) > 4 else None)
    shelf, places = Shelf(count, size), Places(seconds, _ENOUGH)
    asyncio.run(serve(lambda: ShelfConnection(shelf, places)))


if __name__ == "__main__":
    main()
