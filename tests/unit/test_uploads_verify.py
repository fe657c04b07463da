"""Comparing what the service holds with what was sent."""

from __future__ import annotations

import contextlib
import hashlib
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import attrs
import pytest

from datagym_async.exceptions import APIConnectionError, APIError, NotFoundError
from datagym_async.uploads import _settling
from datagym_async.uploads._settling import WORKERS, Stored, images_of, verify
from datagym_async.uploads._tally import Tally
from datagym_async.uploads.plan import OF_ONE_RUN, SCHEMA, State


@attrs.define
class FakeDownloads:
    """Media in memory, in chunks of a few bytes."""

    media: dict[str, bytes | APIError] = attrs.Factory(dict)
    open: int = 0
    peak: int = 0

    @contextlib.asynccontextmanager
    async def stream(self, media_id: str) -> AsyncIterator[AsyncIterator[bytes]]:
        """Give the bytes of one media."""
        found = self.media[media_id]
        if not isinstance(found, bytes):
            raise found
        self.open += 1
        self.peak = max(self.peak, self.open)
        try:
            yield _chunks(found)
        finally:
            self.open -= 1


async def _chunks(data: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(data), 5):
        yield data[start : start + 5]


async def _each(images: list[Stored]) -> AsyncIterator[Stored]:
    for image in images:
        yield image


def stored(name: str, path: Path | None = None, sha256: bytes | None = None) -> Stored:
    """Return an image whose media has its name."""
    file = None if path is None else str(path)
    return Stored(name=name, dataset_id="d", media_id=name, path=file, sha256=sha256)


async def verified(downloads: FakeDownloads, *images: Stored, keep: int = 100) -> Tally:
    """Return what a comparison found."""
    found = Tally(keep)
    await verify(downloads.stream, _each([*images]), found)
    return found


async def test_equal_bytes_are_no_mismatch(tmp_path: Path) -> None:
    """Files are read again, items that were in memory are known by their hash."""
    (tmp_path / "a.jpg").write_bytes(b"some bytes")
    downloads = FakeDownloads({"a.jpg": b"some bytes", "m.jpg": b"other bytes"})
    sha256 = hashlib.sha256(b"other bytes").digest()

    found = await verified(
        downloads, stored("a.jpg", tmp_path / "a.jpg"), stored("m.jpg", sha256=sha256)
    )

    assert (found.compared, found.mismatch_count, found.mismatches) == (2, 0, [])


@pytest.mark.parametrize(
    ("held", "reason"),
    [
        (b"some bytez", "The dataset holds other bytes than the file."),
        (b"some", "The dataset holds other bytes than the file (4 bytes against 10)."),
        (NotFoundError("Gone.", status=404), "It could not be downloaded for the comparison: Gone"),
        (APIConnectionError("No answer."), "It could not be downloaded for the comparison: No ans"),
    ],
)
async def test_a_mismatch_says_what_was_found(
    tmp_path: Path, held: bytes | APIError, reason: str
) -> None:
    """Whatever else is there: each has its sentence, and nothing comes out as an error."""
    path = tmp_path / "a.jpg"
    path.write_bytes(b"some bytes")

    found = await verified(FakeDownloads({"a.jpg": held}), stored("a.jpg", path))

    (mismatch,) = found.mismatches
    assert mismatch.reason.startswith(reason)
    assert (mismatch.name, mismatch.source, mismatch.media_id) == ("a.jpg", str(path), "a.jpg")


async def test_what_cannot_be_compared_is_a_mismatch(tmp_path: Path) -> None:
    """A file that is gone, bytes that are gone, an image that is not listed."""
    downloads = FakeDownloads({"a": b"", "b": b""})

    found = await verified(
        downloads,
        stored("a", tmp_path / "gone.jpg"),
        stored("b"),
        attrs.evolve(stored("c", tmp_path), media_id=""),
    )

    reasons = {each.name: each.reason for each in found.mismatches}
    assert reasons == {
        "a": f"{tmp_path}/gone.jpg does not exist.",
        "b": "Its bytes were in memory and are no longer available for the comparison.",
        "c": "The dataset does not list it.",
    }


async def test_many_are_compared_a_few_at_a_time() -> None:
    """The report keeps so many mismatches and counts all; downloads are bounded."""
    downloads = FakeDownloads({str(n): b"x" * 50 for n in range(60)})
    sha256 = hashlib.sha256(b"y").digest()

    found = await verified(downloads, *(stored(str(n), sha256=sha256) for n in range(60)), keep=7)

    assert (found.compared, found.mismatch_count, len(found.mismatches)) == (60, 60, 7)
    assert found.mismatches[0].reason == "The dataset holds other bytes than what was sent."
    assert (downloads.open, downloads.peak <= WORKERS) == (0, True)


@pytest.fixture
def database() -> Iterator[sqlite3.Connection]:
    """Return a plan with 30 items: links, and every state in turn."""
    connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    connection.executescript(SCHEMA + OF_ONE_RUN)
    for seq in range(1, 31):
        state = State(seq % len(State))
        media = f"m-{seq}" if state is State.UPLOADED else None
        connection.execute(
            "INSERT INTO item (seq, name, content, name_key, link_key, state, media_id, sha)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                seq,
                f"{seq}.jpg".encode(),
                None if seq == 8 else f"/photos/{seq}.jpg".encode(),
                f"n{seq}.jpg".encode(),
                b"ulink" if seq > 20 else None,
                state,
                media,
                b"hash" if seq == 8 else None,
            ),
        )
        connection.execute(
            "INSERT INTO listed VALUES (?, ?, 'd', 0, 0)", (f"n{seq}.jpg".encode(), f"l-{seq}")
        )
    connection.execute("INSERT INTO listed VALUES (?, 'url', 'd', 0, 1)", (b"n3.jpg",))
    yield connection
    connection.close()


async def chosen(database: sqlite3.Connection, sample: int | None, seed: str = "") -> list[Stored]:
    """Return the images of a choice."""
    images = images_of(lambda: contextlib.nullcontext(database), sample, seed)
    return [image async for image in images]


async def test_all_are_those_uploaded_and_skipped(
    database: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Links are left out; a skipped one is found by its name, and never as a link."""
    monkeypatch.setattr(_settling, "PAGE", 3)

    images = await chosen(database, None)

    ids = [image.media_id for image in images]
    assert ids == ["m-2", "l-3", "m-8", "l-9", "m-14", "l-15", "m-20"]
    assert images[0].path == "/photos/2.jpg"
    assert (images[2].path, images[2].sha256) == (None, b"hash")


async def test_a_sample_is_of_those_uploaded(database: sqlite3.Connection) -> None:
    """The same seed chooses the same ones; a large sample is all of them."""
    some = await chosen(database, 2, "seed")

    assert len(some) == 2
    assert some == await chosen(database, 2, "seed")
    everything = await chosen(database, 99)
    assert [image.media_id for image in everything] == ["m-2", "m-8", "m-14", "m-20"]


async def test_a_sample_is_fair(database: sqlite3.Connection) -> None:
    """Each image is as likely as any other, first and last alike."""
    counts = Counter[str]()
    for seed in range(600):
        counts.update(each.media_id for each in await chosen(database, 2, str(seed)))

    assert set(counts) == {"m-2", "m-8", "m-14", "m-20"}
    assert all(260 < count < 340 for count in counts.values())
