"""Prepare the images of a run (`_prepare`), several at once, in separate processes.

Foreign images are decoded in separate processes, because each decoding takes a core, and because an
image that crashes two of them fails without harm to the run. They are plain subprocesses, not
`multiprocessing`, which would run a script without a main guard again in each of them. They end
with their standard input, however the run has ended.
"""

from __future__ import annotations

import hashlib
import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Final

import attrs

from datagym_async._runs._images import Prepared, Steps
from datagym_async._wire._messages import Body
from datagym_async.uploads._reading import DECODERS, decoded
from datagym_async.uploads._screening import Screening, warnings_of
from datagym_async.uploads._values import Outcome
from datagym_async.uploads.plan._plan import Planned
from datagym_async.uploads.sources._open_files import Spool, as_stream, body_of

PORTION: Final = (4 * DECODERS, 32 << 20)
"""Items and bytes prepared at a time: the more, the less often all wait for the slowest."""
_COMMAND: Final = "from datagym_async._runs._images import serve; serve()"


class Workers:
    """Processes that prepare images, one for each calling thread; started when they are needed."""

    def __init__(self, steps: Steps) -> None:
        self._steps = steps
        self._lock = threading.Lock()
        self._all: list[subprocess.Popen[bytes]] = []
        self._idle: list[subprocess.Popen[bytes]] = []
        self._is_open = True

    def prepare(self, source: bytes | str) -> Prepared:
        """Return what `prepare` does, from another process; blocks."""
        for _ in range(2):  # a process may be ended by somebody else
            try:
                worker = self._take()
            except OSError as error:
                reason = f"No process could be started to prepare the image: {error}."
                return Prepared(reason=reason, may_pass=True)
            if worker is None or worker.stdin is None or worker.stdout is None:
                reason = "The upload ended before the image was prepared."
                return Prepared(reason=reason, may_pass=True)
            try:
                pickle.dump((source, self._steps), worker.stdin)
                worker.stdin.flush()
                found: Prepared = pickle.load(worker.stdout)  # noqa: S301 -- our own process answers
            except (OSError, ValueError, EOFError, pickle.UnpicklingError):
                with self._lock:
                    if worker in self._all:
                        self._all.remove(worker)
                _end(worker)
                continue
            with self._lock:
                self._idle.append(worker)
            return found
        # Too little memory is not a fault of the image.
        reason = "The image cannot be prepared: two processes that decoded it crashed."
        return Prepared(reason=reason, may_pass=True)

    def _take(self) -> subprocess.Popen[bytes] | None:
        with self._lock:
            if not self._is_open:
                return None
            if self._idle:
                return self._idle.pop()
            # In a separate session: Ctrl-C is for the run.
            worker = subprocess.Popen(  # noqa: S603 -- our own interpreter
                [sys.executable, "-P", "-c", _COMMAND],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=_environment(),
                start_new_session=True,
            )
            self._all.append(worker)
            return worker

    def close(self) -> None:
        """End the processes at once, busy or not; closing twice is fine."""
        with self._lock:
            self._is_open = False
            ending, self._all = self._all, []
        for worker in ending:
            worker.kill()
        for worker in ending:
            _end(worker)


def _environment() -> dict[str, str]:
    """Return the environment of a worker: the same import path, and no token."""
    found = {name: value for name, value in os.environ.items() if name != "DATAGYM_TOKEN"}
    return found | {"PYTHONPATH": os.pathsep.join(each or os.getcwd() for each in sys.path)}  # noqa: PTH109 -- a text is wanted


def _end(worker: subprocess.Popen[bytes]) -> None:
    worker.kill()
    worker.wait()
    for pipe in (worker.stdin, worker.stdout):
        if pipe is not None:
            with suppress(OSError):  # data that was not written yet is dropped
                pipe.close()


class Preparer:
    """Prepare the images of a run; `rough` checks them before, because their sizes will change."""

    def __init__(self, steps: Steps, screening: Screening) -> None:
        self.workers = Workers(steps)
        self._screening = screening
        check = "structure" if screening.check == "decode" else screening.check
        self.rough: Screening = attrs.evolve(screening, max_bytes=None, check=check)

    def prepare(self, portion: Iterable[Planned]) -> list[tuple[int, bytes]]:
        """Prepare items that have a body; return number and new hash of those in memory; blocks."""
        ready = [each for each in portion if each.body is not None]
        if not ready:
            return []
        with ThreadPoolExecutor(DECODERS) as threads:
            found = list(threads.map(self._prepare, ready))
        return [
            (each.seq, sha)
            for each, sha in zip(ready, found, strict=True)
            if sha is not None and not isinstance(each.item.content, str)
        ]

    def _prepare(self, planned: Planned) -> bytes | None:
        body, source = planned.body, planned.source
        if body is None:
            return None
        if body.data is None and source is not None:
            given: bytes | str = as_stream(source, body.size).read()
        else:
            given = str(planned.item.content) if body.data is None else body.data
        found = self.workers.prepare(given)
        if found.reason:
            outcome = Outcome.FAILED if found.may_pass else Outcome.REJECTED
            planned.reject(found.reason, outcome)
            return None
        data, size = found.data, body.size
        if data is not None:
            size, planned.is_turned = len(data), False
            if size <= self._screening.small:
                planned.body, planned.source = Body.of_bytes(data), None
            else:
                spool = Spool()
                spool.write(data)
                planned.body, planned.source = body_of(spool, spool.size), spool
        if reason := self._screening.of_size(size):
            planned.reject(reason)
            return None
        if self._screening.check == "decode":
            decoded(planned)
        before = warnings_of(body.size)
        planned.warnings = tuple(each for each in planned.warnings if each not in before)
        planned.warnings += (*found.warnings, *warnings_of(size))
        planned.size = size
        sent = given if data is None else data
        return hashlib.sha256(sent).digest() if isinstance(sent, bytes) else None
