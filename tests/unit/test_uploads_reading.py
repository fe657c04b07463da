"""Reading what is to be sent: small files whole and several at once, large ones streamed."""

from __future__ import annotations

import errno
import itertools
import os
from itertools import chain
from pathlib import Path
from typing import Literal

import pytest

from datagym_async._wire import Pipes
from datagym_async.uploads import Outcome, UploadItem
from datagym_async.uploads import _reading as reading
from datagym_async.uploads.plan import Planned, Verdict
from datagym_async.uploads.sources import Candidate, Screening
from tests.helpers.fake_service import open_plan
from tests.helpers.leaks import new_descriptors, open_descriptors
from tests.helpers.photos import SOUND_JPEG, png

SMALL = Screening().small

JPEG = SOUND_JPEG
needs_pages = pytest.mark.skipif(not hasattr(os, "splice"), reason="only Linux moves pages")


def planned(path: Path, verdict: Verdict | None = None) -> Planned:
    """Return a file as the plan gives it."""
    return Planned(UploadItem(None, path), 7, verdict)


def test_a_small_file_is_in_memory(tmp_path: Path) -> None:
    """Up to 4 MiB the body is there before its request begins."""
    path = tmp_path / "a.jpg"
    path.write_bytes(JPEG + b"x" * (SMALL - len(JPEG)))

    ready = reading.read(planned(path))

    assert ready.body is not None
    assert ready.body.data == path.read_bytes()
    assert ready.size == SMALL


@pytest.mark.parametrize("check", ["none", "structure", "decode"])
def test_a_file_that_became_a_pipe_is_rejected(
    tmp_path: Path, check: Literal["none", "structure", "decode"]
) -> None:
    """Opening it does not wait for somebody who writes; it was a file when it was planned."""
    os.mkfifo(tmp_path / "a.jpg")

    ready = reading.read(planned(tmp_path / "a.jpg"), Screening(check))

    assert ready.body is None
    assert ready.verdict is not None
    assert ready.verdict.reason == f"{tmp_path}/a.jpg is a pipe, not a regular file."


def test_a_large_file_is_a_recipe(tmp_path: Path) -> None:
    """Beyond that it is opened when it is sent."""
    path = tmp_path / "a.jpg"
    path.write_bytes(JPEG + b"x" * SMALL)

    ready = reading.read(planned(path))

    assert ready.body is not None
    assert (ready.body.data, ready.body.size) == (None, SMALL + len(JPEG))


def test_of_what_is_no_image_only_the_head_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder's other files cost one small read each."""
    path = tmp_path / "a.mp4"
    path.write_bytes(b"\x00\x00\x00\x18ftypisom" + b"x" * 5000)

    def no_rest(file: int, count: int) -> bytes:
        raise AssertionError(count)

    monkeypatch.setattr(reading, "_read_whole", no_rest)
    ready = reading.read(planned(path))

    assert ready.verdict == Verdict(
        Outcome.REJECTED,
        "Not a JPEG or PNG image: it looks like a video (MP4 or QuickTime).",
    )
    assert ready.size == 5012


def test_a_file_for_which_no_descriptor_is_left_is_not_at_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has failed, so that the next run tries it again, and the way out is said."""
    path = tmp_path / "a.jpg"
    path.write_bytes(JPEG)

    def none_left(file: int, size: int) -> bytes:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(reading, "_read_whole", none_left)
    verdict = reading.read(planned(path)).verdict

    assert verdict is not None
    assert verdict.outcome is Outcome.FAILED
    assert "too many files are open (raise the limit with `ulimit -n`" in verdict.reason


@pytest.mark.parametrize(
    ("change", "words"), [(b"more", "grew while it was read"), (b"", "shrank while it was read")]
)
def test_a_file_that_changes_while_it_is_read_is_rejected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: bytes, words: str
) -> None:
    """Half a file is never sent."""
    path = tmp_path / "a.jpg"
    path.write_bytes(JPEG + b"x" * 100)

    read_whole = reading._read_whole

    def change_and_read(file: int, size: int) -> bytes:
        path.write_bytes((JPEG + b"x" * 100 + change) if change else JPEG)
        return read_whole(file, size)

    monkeypatch.setattr(reading, "_read_whole", change_and_read)
    ready = reading.read(planned(path))

    assert ready.body is None
    assert ready.verdict
    assert ready.verdict.outcome is Outcome.REJECTED
    assert words in ready.verdict.reason


@pytest.mark.parametrize(
    ("now", "reason"),
    [
        (JPEG + b"y" * 100, ""),
        (JPEG + b"y" * 101, ""),
        (JPEG, ""),
        (JPEG + b"y" * SMALL, ""),
        (b"", "The file is empty."),
        ("pipe", " is a pipe, not a regular file."),
        ("folder", " is a folder."),
    ],
)
@pytest.mark.parametrize("keeps_times", [True, False])
@pytest.mark.parametrize("added", [100, 40_000])
def test_a_file_is_read_as_it_is_now(
    tmp_path: Path, now: bytes | str, reason: str, keeps_times: bool, added: int
) -> None:
    """Where no journal keeps times, the listed size is enough only as long as it is right."""
    path = tmp_path / "a.jpg"
    if now == "pipe":
        os.mkfifo(path)
    elif now == "folder":
        path.mkdir()
    else:
        assert isinstance(now, bytes)
        path.write_bytes(now)
    listed = Planned(UploadItem(None, path), len(JPEG) + added, mtime=1)
    pipes = Pipes()
    try:
        ready = reading.read(listed, Screening(keeps_times=keeps_times, pipes=pipes))
    finally:
        pipes.close()

    if reason:
        assert ready.verdict is not None
        assert ready.verdict.reason.endswith(reason)
        assert ready.body is None
        return
    assert ready.verdict is None
    assert ready.body is not None
    assert ready.body.data == (now if len(now) <= SMALL else None)
    assert (ready.body.size, ready.size) == (len(now), len(now))


PICTURE = b"x" * 40_000


def commented(*sizes: int) -> bytes:
    """Return a JPEG with comments of so many bytes in its header."""
    comments = (b"\xff\xfe" + (size + 2).to_bytes(2, "big") + b"c" * size for size in sizes)
    return JPEG[:2] + b"".join(comments) + JPEG[2:] + PICTURE


@needs_pages
@pytest.mark.parametrize(
    ("name", "content", "way"),
    [
        ("a.jpg", JPEG + PICTURE, "pages"),
        ("A.JPEG", commented(100), "pages"),
        ("a.jpg", commented(60_000), "pages"),
        ("a.png", JPEG + PICTURE, "pages"),  # the bytes decide, not the suffix
        ("a.jpg", commented(60_000, 60_000), "memory"),
        ("a.jpg", JPEG + b"x" * 10_000, "memory"),
        ("a.jpg", JPEG + b"x" * (1 << 20), "memory"),
        ("a.jpg", JPEG + b"x" * SMALL, "stream"),
        ("a.png", png(50_000), "memory"),
        ("a", JPEG + PICTURE, "memory"),
    ],
)
@pytest.mark.parametrize("listed", ["", "size", "another size"])
@pytest.mark.parametrize("keeps_times", [True, False])
def test_a_jpeg_is_sent_without_being_read(
    tmp_path: Path, name: str, content: bytes, way: str, listed: str, keeps_times: bool
) -> None:
    """From 32 kB to about 1 MB, once its header is known to be good, in any state of the plan."""
    path, size = tmp_path / name, len(content)
    path.write_bytes(content)
    known = size if listed != "another size" else size - 1
    asked = Planned(UploadItem(None, path), known, mtime=1 if listed else None)
    pipes = Pipes()
    try:
        found = reading.read(asked, Screening(keeps_times=keeps_times, pipes=pipes))
        assert (found.verdict, found.size) == (None, size)
        assert found.body is not None
        assert found.body.size == size
        if way == "pages":
            assert found.body.pages is not None
            assert found.body.pages.rest() == content
        else:
            assert (found.body.pages, found.body.is_at_hand) == (None, way == "memory")
            assert found.body.data == (content if way == "memory" else None)
        assert found.body.data is None or way == "memory"
        assert found.is_changed is (known != size or found.mtime != 1)
    finally:
        pipes.close()


@needs_pages
@pytest.mark.parametrize(
    ("content", "options", "reason"),
    [
        (JPEG + PICTURE, {"max_bytes": 40_000}, "more than max_bytes (40,000)"),
        (JPEG[:2] + b"\xff\xd9" + PICTURE, {}, "it is cut off in its header"),
        (b"text " * 10_000, {}, "it looks like text"),
    ],
)
def test_what_would_be_refused_has_no_pages(
    tmp_path: Path, content: bytes, options: dict[str, int], reason: str
) -> None:
    """No pipe is held for what is not sent; nor for an image that clashes."""
    path, clash = tmp_path / "a.jpg", Verdict(Outcome.REJECTED, "It clashes.", is_clash=True)
    path.write_bytes(content)
    pipes = Pipes()
    before = open_descriptors()

    found = reading.read(planned(path), Screening(pipes=pipes, max_bytes=options.get("max_bytes")))
    clashing = reading.read(planned(path, clash), Screening(pipes=pipes))

    assert found.verdict is not None
    assert reason in found.verdict.reason
    assert (found.body, clashing.body) == (None, None)
    assert not new_descriptors(before)


def test_a_file_that_vanished_is_rejected(tmp_path: Path) -> None:
    """The path and what is wrong with it make the sentence; the planned size is kept."""
    ready = reading.read(planned(tmp_path / "gone.jpg"))

    assert ready.verdict == Verdict(Outcome.REJECTED, f"{tmp_path}/gone.jpg does not exist.")
    assert ready.size == 7


def test_a_clash_that_is_no_image_is_told_so(tmp_path: Path) -> None:
    """The second README.txt of a folder needs no better name."""
    clash = Verdict(Outcome.REJECTED, "It clashes.", is_clash=True)
    (tmp_path / "a.txt").write_bytes(b"text")
    (tmp_path / "a.jpg").write_bytes(JPEG)

    text = reading.read(planned(tmp_path / "a.txt", clash))
    image = reading.read(planned(tmp_path / "a.jpg", clash))

    assert text.verdict == Verdict(Outcome.REJECTED, "Not a JPEG or PNG image: it looks like text.")
    assert (image.verdict, image.body) == (clash, None)


def portions_of(folder: Path, count: int) -> list[list[str]]:
    """Return the names in each portion of a plan of so many files, ``0.jpg`` and so on."""
    portions = []
    with open_plan() as plan:
        plan.add((0, Candidate(UploadItem(None, folder / f"{n}.jpg"))) for n in range(count))
        plan.settle()
        waiting = plan.take(count)
        while portion := reading.next_portion(waiting):
            portions.append([ready.item.name for ready in portion])
    return portions


def test_portions_are_bounded_by_count_and_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However large the plan, no more than about 2 MiB of bodies is read at once."""
    monkeypatch.setattr(reading, "PORTION_SECONDS", 1e6)
    for number in range(200):
        (tmp_path / f"{number}.jpg").write_bytes(JPEG + b"x" * (600_000 if number < 20 else 10))

    portions = portions_of(tmp_path, 200)

    assert [len(portion) for portion in portions] == [4, 4, 4, 4, 4, 128, 52]
    assert list(chain.from_iterable(portions)) == [f"{number}.jpg" for number in range(200)]


def test_the_portions_of_a_slow_disk_are_bounded_by_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What has been read goes on before others are waited for."""
    ticks = itertools.count(step=0.008)  # a second look at the clock is 8 ms later
    monkeypatch.setattr(reading, "monotonic", lambda: next(ticks))
    for number in range(7):
        (tmp_path / f"{number}.jpg").write_bytes(JPEG)

    assert [len(portion) for portion in portions_of(tmp_path, 7)] == [3, 3, 1]


def test_bytes_are_screened_like_files() -> None:
    """An item in memory is sent as it is, if it is an image."""
    good = reading.read(Planned(UploadItem("a", JPEG), 4))
    bad = reading.read(Planned(UploadItem("b", b""), 0))

    assert good.body is not None
    assert good.body.data == JPEG
    assert bad.verdict == Verdict(Outcome.REJECTED, "The file is empty.")
