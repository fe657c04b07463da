"""Upload images, download them while the downloading process is killed, and compare all bytes.

``python -m benchmarks.chaos_download --files 5000 --kills 10 --seed 7``: the process is killed
(SIGKILL) at moments that the seed chooses, in large bodies too, and started again. In the end the
folder must hold every image, byte for byte, and nothing else. The exit status is 1 if that is not
so. ``--job FOLDER BASE_URL DATASET_ID`` is the process that is killed; its token comes from
``DATAGYM_TOKEN``.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from benchmarks.chaos import digest
from benchmarks.files import TINY
from benchmarks.machine import machine_facts
from datagym_async import DataGymClient
from datagym_async.exceptions import DataGymError
from datagym_async.server import Server
from datagym_async.testing import FaultPlan

if TYPE_CHECKING:
    from aiohttp import web

_ROOT = Path(__file__).parents[1]
_MEDIA = r"/media/[0-9a-f-]{36}$"
_LARGE = 12_000_000
_EVERY = 200
"""One image in so many is a large one: its body is on its way for a while."""


@attrs.define
class Kill:
    """Kill a process a moment after a request has arrived, which is answered only then.

    The others go on meanwhile; without an answer to this one the process cannot end before.

    Args:
        delay: Seconds.
        process: The process, once it is known.
    """

    delay: float
    process: asyncio.subprocess.Process | None = None

    async def apply(
        self,
        request: web.Request,
        handler: Callable[[web.Request], Awaitable[web.StreamResponse]],
    ) -> web.StreamResponse:
        """Wait, kill, and answer to nobody."""
        assert self.process is not None, "whoever starts it tells its number at once"
        await asyncio.sleep(self.delay)
        self.process.kill()
        return await handler(request)


@attrs.frozen
class Found:
    """What came of it.

    Args:
        files: Images of the dataset.
        equal: Files in the folder that are one of them, byte for byte.
        lost: Images that no file holds.
        differing: Files whose bytes are those of no image of their name.
        left_over: Files that were on their way when a process was killed, and are still there.
        runs: How often the download was started.
        kills: How often it was killed.
        downloads: Downloads that the service saw.
        upload_seconds: Time that the upload took.
        seconds: From the first start to the end of the last run.
        last: Summary of the last run.
    """

    files: int
    equal: int
    lost: int
    differing: int
    left_over: int
    runs: int
    kills: int
    downloads: int
    upload_seconds: float
    seconds: float
    last: str

    @property
    def ok(self) -> bool:
        """Whether every image is there, as it is, and nothing else."""
        return self.equal == self.files and not (self.lost or self.differing or self.left_over)

    def shown(self) -> str:
        """Return it for people."""
        return (
            f"{self.files:,} images: {self.equal:,} equal, {self.lost} lost, {self.differing} "
            f"differ, {self.left_over} half-written files left\n"
            f"{self.runs} runs, {self.kills} kills, {self.downloads:,} downloads, "
            f"{self.seconds:.1f} s after an upload of {self.upload_seconds:.1f} s\n"
            f"last run: {self.last}"
        )


def _write(folder: Path, count: int, seed: int) -> dict[str, bytes]:
    """Write so many images of mixed sizes and return the hash of each by its name."""
    folder.mkdir()
    rng = random.Random(seed)
    hashes = {}
    for number in range(count):
        size = _LARGE if number % _EVERY == _EVERY // 4 else rng.choice((200, 2_000, 30_000))
        content = TINY + rng.randbytes(size)
        name = f"photo-{number:06}.jpg"
        (folder / name).write_bytes(content)
        hashes[name] = digest(content)
    return hashes


async def chaos(scratch: Path, *, files: int, kills: int, seed: int) -> Found:
    """Upload, download with kills, compare."""
    plan, rng = FaultPlan(), random.Random(seed)
    hashes = _write(scratch / "photos", files, seed)
    out = scratch / "out"
    async with Server(scratch / "service", middlewares=[plan.middleware]) as server:
        began = time.perf_counter()
        dataset_id = await _upload(server, scratch / "photos")
        uploaded = time.perf_counter()
        made = 0
        for left in range(kills, 0, -1):
            missing = files - len([*out.glob("*.jpg")])
            nth = rng.randint(1, max(1, missing // left))  # the later ones find some files too
            made += await _killed(plan, server, dataset_id, out, nth, rng.uniform(0, 0.1))
        plan.clear()
        last = await _to_its_end(server, dataset_id, out)
        ended = time.perf_counter()
    return Found(
        files=files,
        **_compared(out, hashes),
        runs=kills + 1,
        kills=made,
        downloads=plan.count("GET", _MEDIA),
        upload_seconds=uploaded - began,
        seconds=ended - uploaded,
        last=last,
    )


async def _upload(server: Server, folder: Path) -> str:
    async with DataGymClient(server.token, server.base_url, rate_limit=None) as client:
        dataset = await client.datasets.create("Chaos")
        report = await client.upload(dataset.id, folder)
    if not report.ok:
        raise SystemExit(f"the upload failed: {report.summary()}")
    return dataset.id


async def _killed(
    plan: FaultPlan, server: Server, dataset_id: str, out: Path, nth: int, delay: float
) -> bool:
    """Start the download and kill it at its n-th file; return whether it came to that."""
    plan.clear()
    kill = Kill(delay)
    plan.add(kill, method="GET", path=_MEDIA, nth=nth)
    kill.process = await _start(server, dataset_id, out)
    await kill.process.communicate()
    return kill.process.returncode == -9


async def _to_its_end(server: Server, dataset_id: str, out: Path) -> str:
    process = await _start(server, dataset_id, out)
    output, _ = await process.communicate()
    if process.returncode:
        raise SystemExit(f"the last run failed: {output.decode().strip()}")
    return str(json.loads(output)["summary"])


async def _start(server: Server, dataset_id: str, out: Path) -> asyncio.subprocess.Process:
    where = (str(out), server.base_url, dataset_id)
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.chaos_download", "--job", *where),
        cwd=_ROOT,
        env=os.environ | {"DATAGYM_TOKEN": server.token},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )


def _compared(out: Path, hashes: dict[str, bytes]) -> dict[str, int]:
    found = {path.name: digest(path.read_bytes()) for path in out.glob("*.jpg")}
    equal = sum(hashes.get(name) == value for name, value in found.items())
    return {
        "equal": equal,
        "lost": len(hashes.keys() - found.keys()),
        "differing": len(found) - equal,
        "left_over": len([*(out / ".datagym" / "parts").iterdir()]),
    }


async def _job(folder: str, base_url: str, dataset_id: str) -> str:
    async with DataGymClient(base_url=base_url, rate_limit=None) as client:
        return (await client.download_dataset(dataset_id, folder)).to_json()


def main() -> None:
    """Cause chaos as the command line asks."""
    options = _arguments()
    if options.job:
        try:
            print(asyncio.run(_job(*options.job)))
        except DataGymError as error:
            raise SystemExit(str(error)) from None
        return
    with tempfile.TemporaryDirectory(prefix="datagym-chaos-") as name:
        found = asyncio.run(
            chaos(Path(name), files=options.files, kills=options.kills, seed=options.seed)
        )
    facts = machine_facts()
    print(found.shown())
    print("\n".join(f"{name}: {value}" for name, value in facts.items()))
    if options.json:
        value = {"machine": facts, "ok": found.ok, **attrs.asdict(found)}
        options.json.write_text(json.dumps(value, indent=1), encoding="utf-8")
    raise SystemExit(0 if found.ok else 1)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.chaos_download", description=__doc__
    )
    parser.add_argument("--files", type=int, default=5_000)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    parser.add_argument("--job", nargs=3, metavar=("FOLDER", "BASE_URL", "DATASET_ID"))
    return parser.parse_args()


if __name__ == "__main__":
    main()
