"""The loader's cache on disk: bounded, shared, and never trusted blindly."""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from datagym_async.data import DatasetLoader, LoaderConfig, Sample
from datagym_async.data._cache import DiskCache
from tests.helpers.fake_library import DATASET, FakeLibrary

OVERHEAD = 20
"""Bytes that a file has beside its content."""


def files(folder: Path) -> list[Path]:
    """Return all files of a cache."""
    return [path for path in folder.rglob("*") if path.is_file()]


def held(folder: Path) -> int:
    """Return how many bytes a cache's files have."""
    return sum(path.stat().st_size for path in files(folder))


async def epoch(world: FakeLibrary, config: LoaderConfig) -> list[bytes]:
    """Return the data of an epoch."""
    loader = DatasetLoader[Sample](world.library, DATASET, config=config)
    return [sample.data async for sample in loader]


async def test_the_second_epoch_asks_for_nothing(tmp_path: Path) -> None:
    """What was loaded once comes from the disk, also in another loader."""
    world, config = FakeLibrary(30), LoaderConfig(cache=tmp_path / "new" / "cache")
    first = await epoch(world, config)
    asked = list(world.asked)
    second = await epoch(world, config)

    assert first == second
    assert sorted(asked) == list(range(30))
    assert world.asked == asked


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "foreign"])
async def test_a_damaged_file_is_fetched_again(
    tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    """What is not as it was written is said, fetched and written anew."""
    world, config = FakeLibrary(3, size=100), LoaderConfig(cache=tmp_path)
    first = await epoch(world, config)
    victim = files(tmp_path)[0]
    whole = victim.read_bytes()
    broken = {
        "cut": whole[:-1],
        "flipped": whole[:50] + bytes([whole[50] ^ 1]) + whole[51:],
        "empty": b"",
        "foreign": b"x" * 500,
    }
    victim.write_bytes(broken[damage])

    with caplog.at_level(logging.WARNING, "datagym_async"):
        assert await epoch(world, config) == first
    assert len(world.asked) == 4
    assert "damaged file" in caplog.text
    assert victim.read_bytes() == whole


async def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    """A device in place of a file has no end, and a pipe no beginning."""
    world, config = FakeLibrary(3, size=100), LoaderConfig(cache=tmp_path)
    first = await epoch(world, config)
    victim = files(tmp_path)[0]
    victim.unlink()
    victim.symlink_to("/dev/zero")

    assert await epoch(world, config) == first
    assert (len(world.asked), victim.is_symlink()) == (4, False)


def test_a_damaged_file_is_deleted(tmp_path: Path) -> None:
    """Also if nothing is fetched any more, and nothing can be left of what could not be written."""
    cache = DiskCache(tmp_path, max_bytes=1000)
    cache.put("a", b"x" * 100)
    (victim,) = files(tmp_path)
    victim.write_bytes(b"")
    assert (cache.get("a"), files(tmp_path)) == (None, [])

    victim.mkdir()
    cache.put("a", b"x" * 100)
    assert (cache.get("a"), files(tmp_path)) == (None, [])


def test_a_folder_that_was_deleted_meanwhile_is_made_again(tmp_path: Path) -> None:
    """As private as it was."""
    cache = DiskCache(tmp_path / "cache", max_bytes=10_000)
    for _ in range(2):
        cache.put("a", b"x" * 100)
        assert cache.get("a") == b"x" * 100
        if os.name == "posix":
            modes = [path.stat().st_mode & 0o777 for path in (cache.folder, *files(cache.folder))]
            assert modes == [0o700, 0o600]
        shutil.rmtree(cache.folder)


def test_many_small_files_are_within_the_limit_and_seldom_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder is read when it may be full, or after a sixteenth of it was written."""
    reads, listdir = list[Path](), os.listdir

    def counted(path: Path) -> list[str]:
        reads.append(path)
        return listdir(path)

    monkeypatch.setattr(os, "listdir", counted)
    cache = DiskCache(tmp_path, max_bytes=160 * (10 + OVERHEAD))
    most = 0
    for number in range(300):
        cache.put(str(number), bytes(10))
        if number % 5 == 4:
            most = max(most, held(tmp_path))

    assert cache.max_bytes * 7 / 8 < most <= cache.max_bytes
    assert 20 < len(reads) < 80


def test_what_was_not_used_for_longest_goes_first(tmp_path: Path) -> None:
    """A full cache is emptied to seven eighths, and what was read lately is kept."""
    cache = DiskCache(tmp_path, max_bytes=16 * (100 + OVERHEAD))
    counts = list[int]()
    for number in range(40):
        before = {*files(tmp_path)}
        cache.put(str(number), bytes([number]) * 100)
        for path in {*files(tmp_path)} - before:
            os.utime(path, (number, number))  # the clock of a file system goes in steps
        counts.append(len(files(tmp_path)))
        assert cache.get("0") == bytes(100), "it was read each time, so it is never the oldest"

    assert counts == [*range(1, 17), *(14, 15, 16) * 8]
    assert cache.get("39") is not None
    assert cache.get("1") is None


def test_a_file_larger_than_the_cache_is_not_kept(tmp_path: Path) -> None:
    """It would push out everything else, and itself; one that just fits is kept alone."""
    cache = DiskCache(tmp_path, max_bytes=500)
    for size, kept in ((100, [100]), (481, [100]), (480, [480])):
        cache.put(str(size), b"x" * size)
        assert [path.stat().st_size - OVERHEAD for path in files(tmp_path)] == kept


def test_what_a_killed_process_has_left_is_tidied_up(tmp_path: Path) -> None:
    """A half-written file of long ago goes when room is made; one of now may be somebody's."""
    cache = DiskCache(tmp_path, max_bytes=1000)
    cache.put("a", b"x" * 300)
    folder = files(tmp_path)[0].parent
    for name, age in (("old.part", 7200), ("new.part", 0)):
        part = folder / name
        part.write_bytes(b"x" * 300)
        then = part.stat().st_mtime - age
        os.utime(part, (then, then))
    cache = DiskCache(tmp_path, max_bytes=1000)
    for name in "bcd":
        cache.put(name, b"x" * 300)

    assert not (folder / "old.part").exists()
    assert (folder / "new.part").exists()


def test_files_of_others_stay(tmp_path: Path) -> None:
    """A cache deletes in its own folders alone, whatever the names of other files are."""
    (tmp_path / "films").mkdir()
    (tmp_path / "ab").mkdir()
    others = [tmp_path / "films" / name for name in ("film.part", "film.media")]
    others.append(tmp_path / "ab" / "notes.txt")
    for path in others:
        path.write_bytes(bytes(500))
        os.utime(path, (0, 0))
    cache = DiskCache(tmp_path, 1000)
    for number in range(8):
        cache.put(str(number), bytes(300))
    assert all(path.exists() for path in others)
    assert cache.get("7") is not None


async def test_a_folder_that_cannot_be_written_is_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The cache is a help, not a condition: samples come all the same."""
    (tmp_path / "file").write_text("in the way")
    world = FakeLibrary(5)
    with caplog.at_level(logging.WARNING, "datagym_async"):
        assert len(await epoch(world, LoaderConfig(cache=tmp_path / "file"))) == 5

    assert caplog.text.count("cannot be written") == 1
    assert "Error" not in caplog.text, "the system's words"


WRITER = """
import sys
from pathlib import Path
from datagym_async.data._cache import DiskCache
cache = DiskCache(Path(sys.argv[1]), max_bytes=100_000)
wrong = 0
for step in range(400):
    name = str((step * int(sys.argv[2])) % 97)
    found = cache.get(name)
    wrong += found not in (None, name.encode() * 1000)
    cache.put(name, name.encode() * 1000)
print(wrong)
"""


@pytest.mark.slow
def test_several_processes_share_a_folder(tmp_path: Path) -> None:
    """Nobody ever reads what is half written, and the bound is passed by a sixteenth each."""
    running = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path), str(step)],
            stdout=subprocess.PIPE,
            text=True,
        )
        for step in (1, 3, 5)
    ]
    said = [process.communicate(timeout=60)[0].strip() for process in running]

    assert said == ["0", "0", "0"]
    assert held(tmp_path) <= 100_000 * (1 + 3 / 16)
    assert not [path for path in files(tmp_path) if path.suffix == ".part"]
