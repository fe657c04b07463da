"""Worker processes that always end.

The module is loaded late, in a thread, because multiprocessing reads the disk when it loads, and
few jobs need it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import parent_process
from multiprocessing.context import SpawnContext, SpawnProcess
from threading import Thread
from typing import Any, Final

from datagym_async._files import TOO_MANY_OPEN
from datagym_async.exceptions import ConfigurationError

GUARD: Final = 'A program that starts some runs its own code below `if __name__ == "__main__":`'
"""For the error if worker processes end as they start: each of them runs the program's file."""


class _Remembering(SpawnContext):
    def __init__(self) -> None:
        self.started: list[SpawnProcess] = []

    def Process(self, *args: Any, **options: Any) -> SpawnProcess:  # type: ignore[override]  # noqa: N802
        self.started.append(process := SpawnProcess(*args, **options))
        return process


def _begin(also: Callable[[], None] | None) -> None:
    """Prepare a worker process, which without this would wait for work of a killed parent."""

    def watch() -> None:
        if (parent := parent_process()) is not None:
            parent.join()
            os._exit(1)

    Thread(target=watch, daemon=True).start()
    if also is not None:
        also()


class WorkerProcesses(ProcessPoolExecutor):
    """Spawned processes, because forked ones would inherit locks of threads, and the loop."""

    def __init__(self, count: int, also: Callable[[], None] | None = None) -> None:
        self.context = _Remembering()
        try:
            super().__init__(count, self.context, initializer=_begin, initargs=(also,))
        except (OSError, NotImplementedError) as error:
            if isinstance(error, OSError) and error.errno in TOO_MANY_OPEN:
                raise
            reason = getattr(error, "strerror", None) or error
            raise ConfigurationError(
                f"No worker processes can be started here ({reason}): they need shared memory "
                "(/dev/shm), which some containers lack; ask for 0 processes"
            ) from error

    def end(self) -> None:
        """End all processes without finishing pending work; blocks, and not beside `submit`.

        If one was killed, `shutdown` of Python 3.11 leaves a process alive that was being started
        meanwhile, and a program would wait for it for ever.
        """
        started = [process for process in self.context.started if process.pid is not None]
        if self._broken:  # or Python's own thread might wait for one of them
            for process in started:
                process.kill()
        self.shutdown(cancel_futures=True)
        for process in started:
            process.kill()  # all have ended by now except a late one
            process.join()
            process.close()
