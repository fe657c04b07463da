"""The entry point of ``datagym-async`` and of ``python -m datagym_async``, and a process's edges.

Standard streams that are closed, full or of another encoding decide nothing about a job, and Ctrl-C
before a command has begun ends it without a traceback.
"""

from __future__ import annotations

import contextlib
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

    Args:
        argv: The arguments without the program's name; None takes those of the process.

    Returns:
        0 all well, 1 some items failed, 2 usage or settings, 130 interrupted.
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
            # Not through `Output`, which needs rich: the very thing that may be missing.
            sys.stderr.write(f"Error: {sentence}\n")
            return 2


@contextlib.contextmanager
def _left_quietly(*, for_good: bool) -> Iterator[None]:
    """Let Ctrl-C end the process at once until a command has begun, which handles it itself.

    An exception would come out of the imports, and of callbacks that Python prints tracebacks of.
    """

    def leave(*_: object) -> None:
        with contextlib.suppress(OSError):
            os.write(2, b"Interrupted.\n")
        os._exit(130)

    before = signal.getsignal(signal.SIGINT)
    if before is not signal.default_int_handler:  # ignored, as in the background, or another's
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
    """Have three standard streams, of which those for output take everything."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            # Its number would go to the next file or socket, and libuv aborts where it closes one.
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    sys.stdin = sys.stdin or os.fdopen(0, closefd=False)
    before = sys.stdout, sys.stderr
    out, err = (
        SafeStream(stream or os.fdopen(number, "w", closefd=False))
        for number, stream in enumerate(before, 1)
    )
    sys.stdout, sys.stderr = out, err
    try:
        yield
    finally:
        out.flush()
        if out.lost is not None and not isinstance(out.lost, BrokenPipeError):
            err.write(f"Standard output took not all of the output: {out.lost.strerror}.\n")
        err.flush()
        sys.stdout, sys.stderr = before


class SafeStream:
    """A stream for output that drops what it cannot take.

    Attributes:
        lost: Why something was dropped; None if all was taken.
    """

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
        """Write what is kept back, or drop it."""
        self._try(self._stream.flush)

    def _try(self, write: Callable[[], object]) -> None:
        try:
            write()
        except OSError as error:
            self.lost = self.lost or error
            # What is kept back would fail again and again, at the end of the process too.
            with contextlib.suppress(OSError):
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, self._stream.fileno())
                os.close(nowhere)


if __name__ == "__main__":
    sys.exit(main())
