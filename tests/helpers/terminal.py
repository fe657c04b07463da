"""A command under a terminal of its own, or with its streams as pipes, watched while it runs."""

from __future__ import annotations

import contextlib
import io
import os
import re
import select
import subprocess
import sys
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Self

from rich.console import Console

if TYPE_CHECKING:
    from rich.console import RenderableType

_BACK = re.compile(r"(\r|\x1b\[\d*A)+(?!\n)")  # to the start of what is drawn anew
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]|\r")


def printed(drawing: RenderableType, columns: int = 80) -> list[str]:
    """Return the lines that a terminal of so many columns would show."""
    console = Console(file=io.StringIO(), width=columns, force_terminal=False)
    with console.capture() as capture:
        console.print(drawing)
    return capture.get().splitlines()


def on_screen(shown: str) -> list[str]:
    """Return the lines that a terminal shows of some output: written, gone back to and erased."""
    lines, row, column = [""], 0, 0
    for part in re.findall(r"\x1b\[[0-9;?]*[a-zA-Z]|[\r\n]|[^\x1b\r\n]+|.", shown):
        if part == "\r":
            column = 0
        elif part == "\n":
            row += 1
            lines += [""] * (row + 1 - len(lines))
        elif moved := re.fullmatch(r"\x1b\[(\d*)A", part):
            row = max(0, row - int(moved[1] or 1))
        elif part == "\x1b[2K":
            lines[row] = ""
        elif not part.startswith("\x1b"):
            line = lines[row].ljust(column)
            lines[row] = line[:column] + part + line[column + len(part) :]
            column += len(part)
    return [line.rstrip() for line in lines]


class Terminal:
    """Run ``python -m datagym_async`` under a pseudo-terminal; a context manager."""

    def __init__(self, *argv: str, environment: Mapping[str, str], columns: int = 80) -> None:
        import fcntl
        import pty
        import struct
        import termios

        self._shown = b""
        self._ours, theirs = pty.openpty()
        size = struct.pack("HHHH", 24, columns, 0, 0)
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, size)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "datagym_async", *argv],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env=clean_environment() | {"TERM": "xterm-256color"} | dict(environment),
            start_new_session=True,
        )
        os.close(theirs)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._ours)

    @property
    def text(self) -> str:
        """What it showed so far, without control sequences; each drawing on lines of its own."""
        return _CONTROL.sub("", _BACK.sub("\n", self._shown.decode("utf-8", "replace")))

    @property
    def screen(self) -> list[str]:
        """What stands on it now, line by line, what has gone up included."""
        return on_screen(self._shown.decode("utf-8", "replace"))

    def wait_for_screen(self, *words: str, seconds: float = 100) -> list[str]:
        """Read until all words stand on the screen at once, and return it."""
        limit = time.monotonic() + seconds
        while not all(each in "\n".join(self.screen) for each in words):
            assert self._read(limit), f"{words!r} was not shown, but:\n{self.text}"
        return self.screen

    @property
    def cursor_is_shown(self) -> bool:
        """Whether the cursor was last shown and not hidden."""
        return self._shown.rfind(b"\x1b[?25h") > self._shown.rfind(b"\x1b[?25l")

    def type(self, text: str) -> None:
        """Type a line."""
        os.write(self._ours, f"{text}\n".encode())

    def wait_for(self, words: str, *, seconds: float = 100) -> None:
        """Read until the words were shown."""
        limit = time.monotonic() + seconds
        while words not in self.text:
            assert self._read(limit), f"{words!r} was not shown, but:\n{self.text}"

    def wait(self, *, seconds: float = 100) -> int:
        """Read to the end and return the exit status."""
        limit = time.monotonic() + seconds
        while self._read(limit):
            pass
        return self.process.wait(timeout=seconds)

    def _read(self, limit: float) -> bool:
        ready, _, _ = select.select([self._ours], [], [], max(0, limit - time.monotonic()))
        if not ready:
            return False
        with contextlib.suppress(OSError):  # how Linux says that the other end is closed
            if data := os.read(self._ours, 65536):
                self._shown += data
                return True
        return False


def start(
    *argv: str, environment: Mapping[str, str], stdin: int = subprocess.DEVNULL
) -> subprocess.Popen[str]:
    """Start ``python -m datagym_async`` with pipes for its output."""
    return subprocess.Popen(
        [sys.executable, "-m", "datagym_async", *argv],
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=clean_environment() | dict(environment),
    )


def said_until(process: subprocess.Popen[str], words: str) -> str:
    """Return what a process says on stderr up to the line with these words."""
    assert process.stderr is not None
    said = ""
    while words not in said:
        line = process.stderr.readline()
        assert line, f"{words!r} was not said, but:\n{said}"
        said += line
    return said


def clean_environment() -> dict[str, str]:
    """Return the environment without settings of ours and of terminals."""
    ours = ("DATAGYM_", "COLUMNS", "NO_COLOR", "FORCE_COLOR", "TTY_")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)}
