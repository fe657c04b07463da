"""A service whose uploads cost more the more their dataset holds, as was observed of a real one.

``python -m benchmarks.growing_server SCALE`` prints its port and serves until it is ended; all
times are divided by SCALE. Observed, with 40 kB images: one upload at a time takes 14, 39, 168 and
723 ms at 0, 1,000, 5,000 and 20,000 media; 8 at once reach 97, 43, 7.8 and 2.0 images/s. Both
figures are met by one line of work that takes 1/97 s and so on an upload, whichever dataset it is
for, and a wait beside it for the rest of the time that a single upload takes. Between the points
the cost runs straight. Listing and creating datasets cost nothing here.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
import time
import uuid
from collections import deque

import attrs

from benchmarks.minimal_server import OK, Connection, Counts, dataset, listing, response, serve

OBSERVED = ((0, 0.014, 97.0), (1_000, 0.039, 43.0), (5_000, 0.168, 7.8), (20_000, 0.723, 2.0))
"""Media in the dataset, seconds of a single upload, uploads a second with 8 at once."""
FIRST = "00000000-0000-4000-8000-000000000001"


def cost(held: int) -> tuple[float, float]:
    """Return the seconds that an upload works, and those that it takes when it is alone."""
    for (low, *begin), (high, *end) in itertools.pairwise(OBSERVED):
        if held <= high:
            part = (held - low) / (high - low)
            work = 1 / begin[1] + part * (1 / end[1] - 1 / begin[1])
            return work, begin[0] + part * (end[0] - begin[0])
    return 1 / OBSERVED[-1][2], OBSERVED[-1][1]


@attrs.define
class Store:
    """The datasets, and the one line of work.

    Args:
        scale: What all times are divided by.
        names: Names of the datasets by id.
        media: Names of their media.
    """

    scale: float
    names: dict[str, str] = attrs.field(factory=lambda: {FIRST: "Benchmark"})
    media: dict[str, list[str]] = attrs.field(factory=lambda: {FIRST: []})
    _free_at: float = 0.0

    def add(self, dataset_id: str, name: str) -> float:
        """Store an image and return the moment of its answer, on the loop's clock."""
        held = self.media[dataset_id]
        work, alone = cost(len(held))
        held.append(name)
        now = asyncio.get_running_loop().time()
        self._free_at = max(now, self._free_at) + work / self.scale
        return self._free_at + (alone - work) / self.scale

    def create(self, name: str) -> str:
        """Make a dataset and return its id."""
        dataset_id = str(uuid.uuid4())
        self.names[dataset_id], self.media[dataset_id] = name, []
        return dataset_id

    def shown(self, dataset_id: str) -> bytes:
        """Return a dataset with its media."""
        media = listing(self.media[dataset_id])
        return dataset(dataset_id.encode(), self.names[dataset_id].encode(), media)


@attrs.define
class Flow(Counts):
    """What has come, how much of it at once and in one second at most."""

    in_flight: int = 0
    peak: int = 0
    busiest: int = 0
    _begun: deque[float] = attrs.field(factory=deque)

    def __attrs_pre_init__(self) -> None:
        super().__init__()

    def of_upload(self, size: int) -> None:
        """Count an upload, whose answer comes later."""
        super().of_upload(size)
        self.in_flight += 1
        self.peak = max(self.peak, self.in_flight)
        now = time.monotonic()
        self._begun.append(now)
        while self._begun[0] <= now - 1:
            self._begun.popleft()
        self.busiest = max(self.busiest, len(self._begun))

    def shown(self) -> bytes:
        """Return the counts as JSON."""
        own = {"peak": self.peak, "busiest": self.busiest}
        return json.dumps(json.loads(super().shown()) | own).encode()


class _Later:
    """The way back of a connection, for answers at their moment."""

    def __init__(self, transport: asyncio.Transport, flow: Flow) -> None:
        self._transport, self._flow = transport, flow
        self.at = 0.0
        self.owes = 0  # uploads that are not answered

    def write(self, answer: bytes) -> None:
        """Send it when its moment has come."""
        asyncio.get_running_loop().call_at(self.at, self._write, answer)

    def _write(self, answer: bytes) -> None:
        self.forget()
        if not self._transport.is_closing():
            self._transport.write(answer)

    def forget(self) -> None:
        """Count the upload no more: it is answered, or its connection is gone."""
        self._flow.in_flight -= self.owes
        self.owes = 0


class GrowingConnection(Connection):
    """A connection to the datasets."""

    def __init__(self, counts: Flow, store: Store) -> None:
        super().__init__(counts)
        self._flow, self._store = counts, store

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way back."""
        assert isinstance(transport, asyncio.Transport)
        self._later = _Later(transport, self._flow)
        self._transport = self._later  # type: ignore[assignment]  # it writes

    def connection_lost(self, exc: Exception | None) -> None:
        """Owe nothing more."""
        del exc
        self._later.forget()

    def answer_upload(self, parts: list[bytes], name: str, size: int) -> bytes:
        """Store it; the answer comes when its work is done."""
        self._later.owes += 1
        self._later.at = self._store.add(parts[3].decode(), name)
        return super().answer_upload(parts, name, size)

    def answer(self, method: bytes, parts: list[bytes], body: bytes) -> bytes:
        """List and make datasets."""
        self._later.at = 0.0
        if parts[2:3] != [b"dataset"]:
            return super().answer(method, parts, body)
        if method == b"POST":
            made = self._store.create(json.loads(body)["name"])
            return response(OK, self._store.shown(made))
        if len(parts) > 3:
            return response(OK, self._store.shown(parts[3].decode()))
        shown = b",".join(map(self._store.shown, self._store.names))
        return response(OK, b"[" + shown + b"]")


def main() -> None:
    """Serve as the command line asks."""
    counts, store = Flow(), Store(float(sys.argv[1]))
    asyncio.run(serve(lambda: GrowingConnection(counts, store)))


if __name__ == "__main__":
    main()
