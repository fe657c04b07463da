"""The entry point of ``datagym-async`` and of ``python -m datagym_async``.

Standard streams that are closed, full or have another encoding do not affect a job, and Ctrl-C
before a command has begun ends it without a traceback.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from importlib.machinery import PathFinder
from typing import Any, TextIO

from datagym_async._version import __version__


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status.

    It is 0 for success, 1 if some items failed, 2 for wrong usage or settings, and 130 if
    interrupted. `argv` are the arguments without the program's name; None takes those of the
    process.
    """
    arguments = sys.argv[1:] if argv is None else list(argv)
    with _left_quietly(for_good=argv is None), _steady_streams():
        if arguments in (["--version"], ["-V"]):  # answered before anything is loaded
            sys.stdout.write(f"datagym-async {__version__}\n")
            if any(PathFinder.find_spec(name) is None for name in ("typer", "rich")):
                from datagym_async._extras import how_to_install

                needed = how_to_install("cli")
                sys.stderr.write(f"Its commands need the extra 'cli', which is missing: {needed}\n")
            return 0
        try:
            from datagym_async.cli._app import run

            return run(arguments)
        except ModuleNotFoundError as error:
            from datagym_async._extras import missing_extra

            if (sentence := missing_extra(error)) is None:
                raise
            # Not through `Output`, which needs rich.
            sys.stderr.write(f"Error: {sentence}\n")
            return 2


@contextlib.contextmanager
def _left_quietly(*, for_good: bool) -> Iterator[None]:
    """Let Ctrl-C end the process at once, without a traceback, until a command handles it."""

    def leave(*_: object) -> None:
        with contextlib.suppress(OSError):
            os.write(2, b"Interrupted.\n")
        os._exit(130)

    before = signal.getsignal(signal.SIGINT)
    if before is not signal.default_int_handler:  # ignored in the background, or of another program
        yield
        return
    with contextlib.suppress(ValueError):  # in another thread than the main one
        signal.signal(signal.SIGINT, leave)
    try:
        yield
    finally:
        if not for_good:
            with contextlib.suppress(ValueError):
                signal.signal(signal.SIGINT, before)


@contextlib.contextmanager
def _steady_streams() -> Iterator[None]:
    """Make sure that there are three standard streams, and that writing never fails."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            # The next file or socket would get its number, and libuv aborts when it closes that.
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
        if os.name != "nt":  # a parent with an event loop may pass on what it does not wait for
            os.set_blocking(number, True)
    sys.stdin = sys.stdin or os.fdopen(0, closefd=False)
    before = sys.stdout, sys.stderr
    out, err = (SafeStream(_whole(stream, number)) for number, stream in enumerate(before, 1))
    sys.stdout, sys.stderr = out, err
    try:
        yield
    finally:
        out.flush()
        if out.lost is not None and not isinstance(out.lost, BrokenPipeError):
            err.write(f"Standard output could not be written completely: {out.lost.strerror}.\n")
        err.flush()
        sys.stdout, sys.stderr = before


def _whole(stream: TextIO | None, number: int) -> TextIO:
    """Return the stream, or another one if it is missing or unbuffered (PYTHONUNBUFFERED).

    An unbuffered one loses what a write leaves over, of a long text that a signal interrupts.
    """
    if stream is None or isinstance(getattr(stream, "buffer", None), io.RawIOBase):
        coding = None if stream is None else stream.encoding
        return os.fdopen(number, "w", buffering=1, encoding=coding, closefd=False)
    return stream


class SafeStream:
    """A stream for output that drops what cannot be written; `lost` is the first reason."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.lost: OSError | None = None
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write a text, or drop it."""
        self._try(lambda: self._stream.write(text))
        return len(text)

    def flush(self) -> None:
        """Write the buffer, or drop it."""
        self._try(self._stream.flush)

    def _try(self, write: Callable[[], object]) -> None:
        try:
            write()
        except OSError as error:
            # Windows has another number for a pipe whose reader has left.
            is_broken = sys.platform == "win32" and error.errno == errno.EINVAL
            self.lost = self.lost or (BrokenPipeError() if is_broken else error)
            # The buffer would fail again, also at the end of the process.
            with contextlib.suppress(OSError):
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, self._stream.fileno())
                os.close(nowhere)


if __name__ == "__main__":
    sys.exit(main())
