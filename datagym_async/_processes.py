"""Worker processes of which none is left behind, whatever became of the others.

A module by itself because it is loaded late, in a thread: multiprocessing looks at the disk as it
loads, and few jobs need it.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing.context import SpawnContext, SpawnProcess
from typing import Any


class _Remembering(SpawnContext):
    """Starts processes and knows them all."""

    def __init__(self) -> None:
        self.started: list[SpawnProcess] = []

    def Process(self, *args: Any, **options: Any) -> SpawnProcess:  # type: ignore[override]  # noqa: N802
        self.started.append(process := SpawnProcess(*args, **options))
        return process


class WorkerProcesses(ProcessPoolExecutor):
    """Spawned processes: forked, they would inherit locks that threads hold, and the loop."""

    def __init__(self, count: int, initializer: Callable[[], None]) -> None:
        self.context = _Remembering()
        super().__init__(count, self.context, initializer=initializer)

    def end(self) -> None:
        """End all processes, pending work undone; blocks, and is not called beside `submit`.

        Where one was killed, `shutdown` alone leaves what Python 3.11 keeps of the others to the
        garbage collector, and a process that was being started meanwhile alive: a program would
        wait for it at its end, for ever.
        """
        started = [process for process in self.context.started if process.pid is not None]
        if self._broken:  # or Python's own thread might wait for one that it has not ended
            for process in started:
                process.kill()
        self.shutdown(cancel_futures=True)
        for process in started:
            process.kill()  # all have ended by now but one that came late
            process.join()
            process.close()
