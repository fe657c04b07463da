"""Reading what is to be sent: small files whole and several at once, large ones streamed."""

from __future__ import annotations

import errno
import itertools
import os
from itertools import chain
from pathlib import Path
from typing import Literal

import pytest

from datagym_async.uploads import Outcome, UploadItem
from datagym_async.uploads import _reading as reading
from datagym_async.uploads.plan import Planned, Verdict
from datagym_async.uploads.sources import Candidate, Screening
from tests.helpers.fake_service import open_plan
from tests.helpers.photos import SOUND_JPEG

SMALL = Screening().small

JPEG = SOUND_JPEG


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
def test_a_file_is_read_as_it_is_now(
    tmp_path: Path, now: bytes | str, reason: str, keeps_times: bool
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
    listed = Planned(UploadItem(None, path), len(JPEG) + 100, mtime=1)

    ready = reading.read(listed, Screening(keeps_times=keeps_times))

    if reason:
        assert ready.verdict is not None
        assert ready.verdict.reason.endswith(reason)
        assert ready.body is None
        return
    assert ready.verdict is None
    assert ready.body is not None
    assert ready.body.data == (now if len(now) <= SMALL else None)
    assert (ready.body.size, ready.size) == (len(now), len(now))


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
