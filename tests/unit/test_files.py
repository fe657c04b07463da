"""Files of ours: written aside, put in place whole, swept after a kill, and their modes."""

from __future__ import annotations

import asyncio
import errno
import os
import pickle
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from datagym_async import FileWriteError, _files
from datagym_async._files import (
    PRIVATE,
    FolderPart,
    NotRegularError,
    Part,
    placed,
    placed_beside_the_loop,
    private_folder,
    regular_only,
    replaced_file,
    sweep,
    telling,
    write_file,
    write_private,
)
from datagym_async._locks import lock
from tests.helpers.cancelling import cancelled_at
from tests.helpers.full_device import NEEDS_FULL_DEVICE

posix = pytest.mark.skipif(os.name == "nt", reason="modes and signals are of another kind there")


def names(folder: Path) -> list[str]:
    """Return what is in a folder, also what is hidden."""
    return sorted(each.name for each in folder.iterdir())


def mode(path: Path) -> int:
    """Return who may do what with a file."""
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture(params=[0o022, 0o077, 0o007])
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    """Set the umask of the process for a test."""
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


async def test_a_file_cancelled_at_any_step_is_old_or_new_and_nothing_lies_beside_it(
    tmp_path: Path,
) -> None:
    """Opening and removal are one hop each, which nothing splits: 600 cancels, no file left."""
    place, seen = tmp_path / "labels.json", set()

    async def write() -> None:
        async with replaced_file(place) as file:
            await asyncio.to_thread(file.write, b"new")

    for number in range(600):
        place.write_bytes(b"old")
        task = asyncio.create_task(write())
        for _ in range(number % 12):
            await asyncio.sleep(0)
        if number % 3 == 0:  # at a moment at which a thread has begun, too
            await asyncio.to_thread(bool)
        task.cancel()
        await asyncio.wait([task])

        assert names(tmp_path) == ["labels.json"]
        seen.add(place.read_bytes())
    for at in range(1, 4):  # and at each await: that on a busy machine threads end late is chance
        place.write_bytes(b"old")
        assert await cancelled_at(write(), at)
        assert names(tmp_path) == ["labels.json"]
        assert place.read_bytes() == (b"old" if at < 3 else b"new")
        seen.add(place.read_bytes())

    await asyncio.get_running_loop().shutdown_default_executor()
    assert names(tmp_path) == ["labels.json"]
    assert seen == {b"old", b"new"}


async def test_a_folder_cancelled_at_any_step_leaves_nothing(tmp_path: Path) -> None:
    """The same holds of folders."""
    place = tmp_path / "out" / "labels"
    place.parent.mkdir()

    async def write() -> None:
        begin = partial(FolderPart.beside, place)
        async with placed_beside_the_loop(begin, place) as part:
            await asyncio.to_thread((part.filled / "a.txt").write_bytes, b"new")

    for number in range(200):
        task = asyncio.create_task(write())
        for _ in range(number % 12):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        assert set(names(place.parent)) <= {"labels"}


def test_a_dead_part_of_the_same_place_is_swept_and_no_other(tmp_path: Path) -> None:
    """A part is known by its name, and dead when nobody holds its lock."""
    live = Part.beside(tmp_path / "a.json")
    other = killed_in(tmp_path, "Part.beside(place / 'b.json')")
    dead = killed_in(tmp_path, "[Part.beside(place / 'a.json') for _ in range(3)]")
    assert len(dead) == 3

    with placed(partial(Part.beside, tmp_path / "a.json"), tmp_path / "a.json") as part:
        part.file.write(b"second")
        assert names(tmp_path) == sorted([live.path.name, *other, part.path.name])

    assert names(tmp_path) == sorted([live.path.name, *other, "a.json"])
    live.file.write(b"first")
    live.put()
    assert (tmp_path / "a.json").read_bytes() == b"first"
    sweep(tmp_path)
    assert names(tmp_path) == ["a.json"]


def test_a_part_that_was_put_is_not_deleted_any_more(tmp_path: Path) -> None:
    """Its name may be that of the next part, which another run has begun."""
    first = Part.beside(tmp_path / "a.json")
    first.put()
    second = Part.beside(tmp_path / "a.json")
    assert second.path == first.path

    first.drop()
    second.file.write(b"second")
    second.put()

    assert (tmp_path / "a.json").read_bytes() == b"second"


@posix
@pytest.mark.parametrize("is_put", [True, False])
def test_a_part_that_others_began_or_deleted_meanwhile_is_theirs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_put: bool
) -> None:
    """Between the opening and the lock: its name leads to the part of another run, or nowhere."""
    target = tmp_path / "a.json"
    first = Part.beside(target)
    if not is_put:
        first.drop()
    others: list[Part] = []

    def lock_late(descriptor: int) -> bool | None:
        monkeypatch.undo()
        if is_put:  # the other run ends, and another one begins
            first.put()
        else:  # it has found our part without a lock
            first.path.unlink()
        others.append(Part.beside(target))
        return lock(descriptor)

    monkeypatch.setattr(_files, "lock", lock_late)
    ours = Part.beside(target)

    assert ours.path != others[0].path
    for part in (ours, *others):
        part.file.write(part.path.name.encode())
        part.put()
        assert target.read_bytes() == part.path.name.encode()
    assert names(tmp_path) == ["a.json"]


def test_a_dead_folder_is_swept_by_its_mark(tmp_path: Path) -> None:
    """As a backup, which has another name each time."""
    script = "part = FolderPart.beside(place / 'old', mark=place / 'backup of 7')"
    assert len(killed_in(tmp_path, script)) == 2

    with placed(
        partial(FolderPart.beside, tmp_path / "new", mark=tmp_path / "backup of 7"),
        tmp_path / "new",
    ) as part:
        (part.filled / "a.json").touch()

    assert (names(tmp_path), names(tmp_path / "new")) == (["new"], ["a.json"])


def test_a_file_of_ours_is_replaced_and_not_written_through(tmp_path: Path) -> None:
    """Who has it open reads the old one to its end; folders above a user's file are made."""
    write_private(tmp_path / "state", b"old")
    with (tmp_path / "state").open("rb") as old:
        write_private(tmp_path / "state", b"new")
        assert old.read() == b"old"
    write_file(tmp_path / "far" / "away" / "labels", b"new")

    assert (tmp_path / "state").read_bytes() == b"new"
    assert (tmp_path / "far" / "away" / "labels").read_bytes() == b"new"


def test_a_dead_folder_is_swept_and_what_it_was_about_to_replace_comes_back(
    tmp_path: Path,
) -> None:
    """A kill between the two renames loses neither."""
    target = tmp_path / "yolo"
    target.mkdir()
    (target / "old.txt").touch()
    script = "part = FolderPart.beside(place / 'yolo'); (place / 'yolo').rename("
    script += "part.filled.parents[1] / 'old' / 'yolo')"
    assert len(killed_in(tmp_path, script)) == 2
    assert not target.exists()

    part = FolderPart.beside(target)

    assert names(target) == ["old.txt"]
    (part.filled / "new.txt").touch()
    part.put()
    part.drop()
    assert (names(tmp_path), names(target)) == (["yolo"], ["new.txt"])


@pytest.mark.parametrize("renamed", [0, 1, 2])
def test_what_is_kept_of_a_folder_that_is_replaced_comes_back_after_a_kill(
    tmp_path: Path, renamed: int
) -> None:
    """It is in the old folder or the new one, whichever of the two renames the kill came before."""
    (tmp_path / "yolo" / "runs").mkdir(parents=True)
    (tmp_path / "yolo" / "runs" / "best.pt").write_bytes(b"mine")
    (tmp_path / "yolo" / "old.txt").touch()
    script = f"""
renames, rename = [], Path.rename
def counted(path, target):
    if path.name == "yolo" and len(renames) == {renamed}:
        os.kill(os.getpid(), signal.SIGKILL)
    renames.append(path) if path.name == "yolo" else None
    return rename(path, target)
part = FolderPart.beside(place / "yolo", keeps=lambda path: path.name == "runs")
(part.filled / "new.txt").touch()
Path.rename = counted
part.put()"""
    killed_in(tmp_path, script)
    sweep(tmp_path)

    assert names(tmp_path) == ["yolo"]
    left = ["old.txt", "runs"] if renamed < 2 else ["new.txt", "runs"]
    assert names(tmp_path / "yolo") == left
    assert (tmp_path / "yolo" / "runs" / "best.pt").read_bytes() == b"mine"


def killed_in(folder: Path, script: str) -> list[str]:
    """Return what a process leaves that is killed after a script."""
    before = set(names(folder))
    head = (
        "import os, signal, sys; from pathlib import Path;"
        "from datagym_async._files import FolderPart, Part; place = Path(sys.argv[1]);"
    )
    code = f"{head} kept = {script}" if script.startswith(("[", "Part")) else f"{head} {script}"
    code += "\nos.kill(os.getpid(), signal.SIGKILL)"
    done = subprocess.run([sys.executable, "-c", code, str(folder)], check=False)
    assert done.returncode == -signal.SIGKILL
    return sorted(set(names(folder)) - before)


@posix
def test_what_somebody_else_has_laid_is_neither_followed_nor_deleted(tmp_path: Path) -> None:
    """In a folder that others can write to, our names can be guessed."""
    first = Part.beside(tmp_path / "a.json")
    first.drop()
    victim = tmp_path / "victim"
    victim.write_bytes(b"mine")
    first.path.symlink_to(victim)
    os.mkfifo(pipe := Path(str(first.path).replace("-0.", "-1.")))

    part = Part.beside(tmp_path / "a.json")
    part.file.write(b"labels")
    part.put()

    assert victim.read_bytes() == b"mine"
    assert (first.path.is_symlink(), pipe.is_fifo()) == (True, True)
    assert (tmp_path / "a.json").read_bytes() == b"labels"


@posix
def test_what_was_asked_for_has_the_usual_mode_and_what_is_ours_is_private(
    tmp_path: Path, umask: int
) -> None:
    """On its way a file is private in any case; one that is replaced keeps its mode."""
    asked, kept, lost = tmp_path / "a", tmp_path / "kept", tmp_path / "lost"
    for place in (kept, lost):
        place.touch()
        place.chmod(0o640)
    for place in (asked, kept, lost):
        part = Part.beside(place)
        assert mode(part.path) == 0o600
        if place == lost:  # it had less than the usual mode, and so has the new one
            lost.unlink()
        part.put()
    write_private(tmp_path / "ours", b"")
    private_folder(tmp_path / "folder")
    inner = Part.within(tmp_path / "folder", tmp_path / "cached", mode=PRIVATE)
    inner.put()

    found = [mode(tmp_path / name) for name in ("a", "kept", "lost", "ours", "cached", "folder")]
    assert found == [0o666 & ~umask, 0o640, 0o640 & ~umask, 0o600, 0o600, 0o700]


@posix
def test_a_link_stays_and_what_it_leads_to_is_replaced(tmp_path: Path) -> None:
    """As /dev/stdout, which leads to the file of a shell; also if nothing is there yet."""
    far = tmp_path / "far"
    far.mkdir()
    (far / "a").write_bytes(b"old")
    for name in "abc":
        (tmp_path / name).symlink_to(far / name)
    (tmp_path / "round").symlink_to("round")

    for name in ("a", "b", "round"):
        write_file(tmp_path / name, b"labels")
    with placed(partial(FolderPart.beside, tmp_path / "c"), tmp_path / "c") as part:
        (part.filled / "x").touch()

    assert {name for name in names(tmp_path) if (tmp_path / name).is_symlink()} == {*"abc"}
    assert [(tmp_path / name).read_bytes() for name in ("a", "b", "round")] == [b"labels"] * 3
    assert (names(far), names(far / "c")) == (["a", "b", "c"], ["x"])


@posix
def test_a_folder_that_was_asked_for_has_the_usual_mode(tmp_path: Path, umask: int) -> None:
    """While it is filled, nobody else can look into it."""
    part = FolderPart.beside(tmp_path / "yolo")
    assert mode(part.filled.parents[1]) == 0o700
    part.put()
    part.drop()

    assert mode(tmp_path / "yolo") == 0o777 & ~umask


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "free some space"),
        (errno.EACCES, "use another path"),
        (errno.EMFILE, r"raise the limit of open files \(`ulimit -n`\)"),
        (errno.EFBIG, r"raise the limit of file sizes \(`ulimit -f`\), or use another disk"),
    ],
)
def test_what_cannot_be_written_is_said_with_its_place(
    tmp_path: Path, number: int, words: str
) -> None:
    """Also where the system's own error names no file: a full disk does not."""
    with pytest.raises(FileWriteError, match=words) as caught, telling(tmp_path / "a.json"):
        raise OSError(number, os.strerror(number))

    assert str(tmp_path / "a.json") in str(caught.value)
    assert (caught.value.errno, caught.value.filename) == (number, str(tmp_path / "a.json"))
    assert isinstance(caught.value, OSError)
    copy = pickle.loads(pickle.dumps(caught.value))
    assert (str(copy), copy.errno) == (str(caught.value), number)


def test_what_lies_aside_is_named_by_its_target(tmp_path: Path) -> None:
    """Nobody knows the folder in which a new one is filled."""
    target = tmp_path / "backup"
    with (
        pytest.raises(FileWriteError) as caught,
        placed(partial(FolderPart.beside, target), target) as part,
    ):
        write_private(part.filled / "no folder" / "a.json", b"{}")

    assert str(caught.value).startswith(f"{target} cannot be written (No such file or directory)")


@pytest.mark.skipif(sys.platform != "linux", reason="paths may be longer there, or shorter")
def test_a_folder_that_cannot_be_begun_leaves_nothing(tmp_path: Path) -> None:
    """What was made of it before is deleted: here its path became too long for the system."""
    folder = tmp_path
    while (left := 4040 - len(str(folder))) > 0:  # of the 4095 bytes that a path may have
        folder /= "d" * min(200, left)
    folder.mkdir(parents=True)
    target = folder / ("g" * 20)

    with pytest.raises(FileWriteError, match="File name too long"), telling(target):
        FolderPart.beside(target)

    assert names(folder) == []


@NEEDS_FULL_DEVICE
async def test_a_full_device_is_told(tmp_path: Path) -> None:
    """What does not fit when the file is flushed at its end is told as well."""

    def begin() -> Part:
        part = Part.beside(tmp_path / "a.json")
        part.file.close()
        return Part(part.path, Path("/dev/full").open("wb"), part.target)

    with pytest.raises(FileWriteError, match=r"a\.json cannot be written \(No space left"):
        async with placed_beside_the_loop(begin, tmp_path / "a.json") as part:
            await asyncio.to_thread(part.file.write, b"labels")

    assert names(tmp_path) == []


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes")
@pytest.mark.parametrize("place", ["pipe", "link"])
async def test_a_pipe_is_not_replaced(tmp_path: Path, place: str) -> None:
    """Neither is a device: for root, a file in place of `/dev/null` breaks the machine."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("pipe")
    with pytest.raises(FileWriteError, match=rf"{place} cannot be written \(it is a pipe\)"):
        await asyncio.to_thread(write_file, tmp_path / place, b"{}")
    with pytest.raises(FileWriteError, match=r"use another path"):
        async with replaced_file(tmp_path / place):
            pytest.fail("it has begun")
    assert (tmp_path / "pipe").is_fifo()
    assert names(tmp_path) == ["link", "pipe"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes")
def test_a_pipe_that_takes_the_place_of_a_file_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the look at its path and its opening; it does not stay open."""
    os.mkfifo(tmp_path / "a.jpg")
    free = os.dup(0)
    os.close(free)
    monkeypatch.setattr(_files, "check_regular", lambda *_: monkeypatch.undo())

    with pytest.raises(NotRegularError, match=r"a\.jpg is a pipe, and only regular files"):
        regular_only(str(tmp_path / "a.jpg"), os.O_RDONLY)

    os.close(again := os.dup(0))
    assert again == free


@pytest.mark.parametrize("error", [RuntimeError, asyncio.CancelledError])
async def test_a_failure_leaves_the_old_file(tmp_path: Path, error: type[BaseException]) -> None:
    """Neither an error nor a cancellation leaves a part of a file behind."""
    path = tmp_path / "a.jpg"
    path.write_bytes(b"old")

    async def fail() -> None:
        async with replaced_file(path) as file:
            await asyncio.to_thread(file.write, b"new")
            raise error

    with pytest.raises(error):
        await fail()
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == {"a.jpg": b"old"}
