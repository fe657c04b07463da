"""Pages of files in pipes: each file's own bytes, once, and nothing left open."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from datagym_async._wire import _pages
from datagym_async._wire._pages import MOST, Pages, Pipes
from tests.helpers.leaks import new_descriptors, open_descriptors

pytestmark = pytest.mark.skipif(not hasattr(os, "splice"), reason="pages are moved on Linux alone")


@pytest.fixture
def pipes() -> Iterator[Pipes]:
    """Return pipes that are closed at the end."""
    made = Pipes()
    yield made
    made.close()


def filled(pipes: Pipes, path: Path, content: bytes, size: int | None = None) -> Pages | None:
    """Return the pages of a file that was just written."""
    path.write_bytes(content)
    known = len(content) if size is None else size
    with path.open("rb") as file:
        return pipes.filled(file.fileno(), known, str(path), path.stat().st_mtime_ns)


@pytest.mark.parametrize("size", [1, 4095, 4096, 70_000, MOST])
def test_the_bytes_are_those_of_the_file(pipes: Pipes, tmp_path: Path, size: int) -> None:
    """They are given once; after that there are none."""
    content = os.urandom(size)

    pages = filled(pipes, tmp_path / "a", content)

    assert pages is not None
    assert (pages.left, pages.rest()) == (size, content)
    assert (pages.left, pages.rest()) == (0, b"")


@pytest.mark.parametrize("difference", [-5000, -1, 1, 5000])
def test_a_file_of_another_size_has_to_be_read(
    pipes: Pipes, tmp_path: Path, difference: int
) -> None:
    """It has changed since it was listed; the next one is not mixed up with it in its pipe."""
    content = os.urandom(10_000)

    assert filled(pipes, tmp_path / "a", content, 10_000 + difference) is None
    before = open_descriptors()
    pages = filled(pipes, tmp_path / "a", content)

    assert pages is not None
    assert pages.rest() == content
    assert not new_descriptors(before)


def test_a_pipe_is_used_again_for_another_file(pipes: Pipes, tmp_path: Path) -> None:
    """What asks the first file's pages once more gets nothing of the second file."""
    first = filled(pipes, tmp_path / "a", b"a" * 10_000)
    assert first is not None
    first.rest()
    before = open_descriptors()

    second = filled(pipes, tmp_path / "b", b"b" * 10_000)

    assert second is not None
    assert not new_descriptors(before)
    assert (first.left, first.rest(), second.left) == (0, b"", 10_000)
    assert second.rest() == b"b" * 10_000


def test_a_file_that_is_replaced_or_truncated_is_sent_as_it_was(
    pipes: Pipes, tmp_path: Path
) -> None:
    """As after reading it."""
    content = os.urandom(3 * 4096)
    first, second = (filled(pipes, tmp_path / name, content) for name in "ab")
    (tmp_path / "new").write_bytes(b"x" * len(content))
    (tmp_path / "new").replace(tmp_path / "a")
    (tmp_path / "b").write_bytes(b"x" * len(content))

    assert first is not None
    assert second is not None
    assert (first.rest(), second.rest()) == (content, content)


@pytest.mark.parametrize(
    ("change", "is_kept"),
    [("none", True), ("deleted", True), ("in place", False), ("grown", False), ("gone up", False)],
)
async def test_pages_that_have_waited_are_looked_at_again(
    pipes: Pipes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str, is_kept: bool
) -> None:
    """What was written to the file meanwhile may be in them; then it has to be read as it is."""
    now = 1000.0
    monkeypatch.setattr(_pages, "monotonic", lambda: now)
    path, content = tmp_path / "a", b"x" * 10_000
    pages = filled(pipes, path, content)
    assert pages is not None
    if change == "deleted":
        path.unlink()
    elif change == "gone up":
        path.unlink()
        path.symlink_to(path)  # it cannot be looked at
    elif change != "none":
        with path.open("r+b") as file:
            file.write(b"y" * (20_000 if change == "grown" else 100))
        os.utime(path, ns=(1, 1))

    await pages.check()
    assert pages.left == 10_000  # not yet
    now += 1
    await pages.check()

    assert (pages.left, pages.rest()) == ((10_000, content) if is_kept else (0, b""))
    again = filled(pipes, tmp_path / "b", content)
    assert again is not None
    assert again.rest() == content


def test_a_socket_that_is_full_leaves_the_rest(pipes: Pipes, tmp_path: Path) -> None:
    """Whatever it has taken, the two parts are the file."""
    content = os.urandom(900_000)
    here, there = socket.socketpair()
    with here, there:
        here.setblocking(False)
        pages = filled(pipes, tmp_path / "a", content)
        assert pages is not None
        with pytest.raises(BlockingIOError):
            pages.move(here.fileno())
        taken, rest = len(content) - pages.left, pages.rest()
        arrived = b""
        while len(arrived) < taken:
            arrived += there.recv(taken - len(arrived))

    assert 0 < taken < len(content)
    assert arrived + rest == content


@pytest.mark.parametrize(("size", "most"), [(5000, 64), (400_000, 16)])
def test_files_in_flight_are_bounded(pipes: Pipes, tmp_path: Path, size: int, most: int) -> None:
    """More than a quarter of what a user may have is read; what is given back is used again."""
    held = [filled(pipes, tmp_path / "a", b"x" * size) for _ in range(most)]
    assert None not in held
    assert filled(pipes, tmp_path / "a", b"x" * size) is None

    assert held[7] is not None
    held[7].rest()

    assert filled(pipes, tmp_path / "a", b"x" * size) is not None


def test_pipes_grow_with_the_files(pipes: Pipes, tmp_path: Path) -> None:
    """One that is too small for a file waits for a smaller one, if it cannot grow any more."""
    contents = [os.urandom(size) for size in (5000, 190_000, 200_000, MOST, 5000)]
    for content in contents:
        pages = filled(pipes, tmp_path / "a", content)
        assert pages is not None
        assert pages.rest() == content
    large = [filled(pipes, tmp_path / "a", b"x" * MOST) for _ in range(15)]
    small = [filled(pipes, tmp_path / "a", b"x" * 5000) for _ in range(4)]
    assert None not in [*large, *small]
    for pages in small:
        assert pages is not None
        pages.rest()

    assert large[0] is not None
    large[0].rest()
    small[0], small[1] = (filled(pipes, tmp_path / "a", b"x" * 5000) for _ in range(2))
    for pages in small[:2]:
        assert pages is not None
        pages.rest()
    tried = [filled(pipes, tmp_path / "a", b"x" * MOST) for _ in range(6)]
    assert len([each for each in tried if each is not None]) == 1
    assert None not in [filled(pipes, tmp_path / "a", b"x" * 5000) for _ in range(4)]


@pytest.mark.parametrize("step", ["pipe2", "F_SETPIPE_SZ", "splice"])
def test_a_system_that_does_not_allow_it_is_asked_once(
    pipes: Pipes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """A sandbox, no descriptors left, too many pages in pipes: files are read from then on."""
    asked = 0

    def refuse(*_: object, **__: object) -> int:
        nonlocal asked
        asked += 1
        raise OSError(errno.EPERM, "not here")

    if step == "F_SETPIPE_SZ":
        monkeypatch.setattr("fcntl.fcntl", refuse)
    else:
        monkeypatch.setattr(os, step, refuse)

    for _ in range(3):
        assert not pipes.are_possible or filled(pipes, tmp_path / "a", b"x" * 5000) is None
    assert asked == 1


def test_bytes_that_the_system_has_lost_are_an_error(
    pipes: Pipes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are never taken for fewer; the pipe is not used again. Dropped, they are no error."""
    pages, others = (filled(pipes, tmp_path / "a", b"x" * 5000) for _ in range(2))
    assert pages is not None
    assert others is not None

    monkeypatch.setattr(os, "read", lambda _, size: b"x" * (size - 1))
    with pytest.raises(OSError, match="Input/output"):
        pages.rest()
    others.drop()
    monkeypatch.undo()

    assert (pages.left, pages.rest()) == (0, b"")
    again = filled(pipes, tmp_path / "a", b"y" * 5000)
    assert again is not None
    assert again.rest() == b"y" * 5000


def test_what_is_closed_has_nothing_open(tmp_path: Path) -> None:
    """Also with files that nobody has taken; who asks for them then reads nothing else."""
    before, pipes = open_descriptors(), Pipes()
    pages = [filled(pipes, tmp_path / "a", b"x" * 5000) for _ in range(3)]
    assert pages[0] is not None
    assert pages[1] is not None
    pages[0].rest()

    pipes.close()

    assert not new_descriptors(before)
    with pytest.raises(OSError, match="Bad file descriptor"):
        pages[1].rest()
