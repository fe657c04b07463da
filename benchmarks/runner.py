"""Run contenders in fresh processes against the minimal server in another one."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import attrs

_ROOT = Path(__file__).parents[1]


@attrs.frozen
class Contender:
    """One way to upload a folder.

    Args:
        name: What the table calls it.
        module: Its module below `benchmarks.contenders`.
        python: The interpreter to run it with.
        workers: How many requests it has in flight at most.
        share: The share of the files it gets: less than 1 where it would take too long.
        options: What else its command line is given.
    """

    name: str
    module: str
    python: str = sys.executable
    workers: int = 8
    share: float = 1.0
    options: tuple[str, ...] = ()


@attrs.frozen
class Taken:
    """What one upload of a folder took.

    Args:
        files: How many files were uploaded.
        bytes: Their size together.
        seconds: From the listing of the folder to the last answer.
        cpu_seconds: User and system time of the contender's process for this.
        peak_rss: The most resident memory of the process, in bytes.
        versions: Of the packages that took part.
    """

    files: int
    bytes: int
    seconds: float
    cpu_seconds: float
    peak_rss: int
    versions: dict[str, str]

    @property
    def rate(self) -> float:
        """Files per second."""
        return self.files / self.seconds

    @property
    def cpu_ms(self) -> float:
        """Milliseconds of processor time per file."""
        return self.cpu_seconds / self.files * 1000


class ContenderError(RuntimeError):
    """A contender failed, or did not upload everything."""


@contextlib.contextmanager
def minimal_server(*options: str, module: str = "minimal_server") -> Iterator[str]:
    """Run the minimal server, or one like it, in a process of its own and give its address."""
    command = [sys.executable, "-m", f"benchmarks.{module}", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=_ROOT) as process:
        try:
            assert process.stdout is not None
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.terminate()


def run(contender: Contender, folder: Path, base_url: str) -> Taken:
    """Have a contender upload a folder, and check that the server got all of it.

    Raises:
        ContenderError: It failed, or the server counted less or more than the folder holds.
    """
    arguments = (str(folder.resolve()), base_url, str(contender.workers), *contender.options)
    sizes = [path.stat().st_size for path in folder.iterdir()]
    return _take(contender, arguments, base_url, files=len(sizes), size=sum(sizes))


def run_generated(count: int, base_url: str, *options: str) -> Taken:
    """Have this project's client upload images that it makes up as it goes.

    Args:
        count: How many.
        base_url: A fresh server that counts.
        options: Of `benchmarks.contenders.generated`.

    Raises:
        ContenderError: It failed, or the server counted less or more.
    """
    ours = Contender("generated images", "generated")
    return _take(ours, (str(count), base_url, *options), base_url, files=count, size=None)


def _take(
    contender: Contender, arguments: tuple[str, ...], base_url: str, *, files: int, size: int | None
) -> Taken:
    before = counts(base_url)
    command = [contender.python, "-m", f"benchmarks.contenders.{contender.module}", *arguments]
    done = subprocess.run(
        command, capture_output=True, check=False, text=True, cwd=_ROOT, errors="replace"
    )
    if done.returncode:
        raise ContenderError(f"{contender.name} failed: {done.stderr.strip() or 'without a word'}")
    after = counts(base_url)
    got, got_bytes = (int(after[key] - before[key]) for key in ("uploads", "bytes"))
    if got != files or size not in (None, got_bytes):
        raise ContenderError(f"{contender.name} uploaded {got} of {files} files")
    return Taken(files=got, bytes=got_bytes, **json.loads(done.stdout.splitlines()[-1]))


def counts(base_url: str) -> dict[str, float]:
    """Return what a server has counted so far."""
    with urllib.request.urlopen(f"{base_url}/counts", timeout=10) as response:
        counted: dict[str, float] = json.load(response)
        return counted
