"""Upload while everything goes wrong, and count what the service holds at the end.

``python -m benchmarks.chaos --files 10000 --faults 0.05 --seed 7``: 5 % of all exchanges with the
embedded service fail, in mixed ways. ``python -m benchmarks.chaos --kills 25``: the uploading
process is killed (SIGKILL) 25 times, at requests chosen by the seed, and started again. Either way
every file must be held once, byte for byte. The exit status is 1 if that is not so.

With ``--mixed`` the job is one of real images with decomposed names, of which some are turned or
converted on their way, and of a link for each five of them. What it should hold is what a service
holds that nothing happened to.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import os
import random
import sys
import tempfile
import time
import unicodedata
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping  # attrs may want them at run time
from pathlib import Path
from typing import TypeAlias

import attrs
from aiohttp import web
from PIL import Image

from benchmarks.chaos_job import RETRY, job
from benchmarks.files import TINY
from benchmarks.machine import machine_facts
from datagym_async import DataGymClient, Timeout
from datagym_async.exceptions import APIError, TransferError
from datagym_async.models import DatasetMedia, MediaSourceType
from datagym_async.server import SeedDataset, Server
from datagym_async.testing import (
    Action,
    CommitThenDelay,
    CommitThenDrop,
    Drop,
    DropMidBody,
    FaultPlan,
    Hang,
    Html,
    RetryAfter,
    ServiceError,
    Status,
    Truncate,
    chance,
)

_ROOT = Path(__file__).parents[1]
_TIMEOUT = Timeout(connect=5, read=5, upload=2)
_MOST_RUNS = 25
_LARGE = 15_000_000  # more than the buffers of two sockets: a kill cuts it off in its midst
_READS: dict[str, Action] = {
    "dropped": Drop(),
    "dropped in mid-answer": DropMidBody(100),
    "page of a proxy": Html(502),
    "500": Status(500),
    "429": RetryAfter(429, 0.2),
    "503, nonsense": RetryAfter(503, "soon"),
}
_WRITES: dict[str, Action] = _READS | {
    "dropped in mid-body": Drop(after_bytes=500),
    "stored, dropped": CommitThenDrop(),
    "stored, too late": CommitThenDelay(3),
    "truncated answer": Truncate(),
    "early answer": Status(503, early=True),
    "ex_system": ServiceError(500, "ex_system"),
    "no answer": Hang(),
}
_Handler: TypeAlias = Callable[[web.Request], Awaitable[web.StreamResponse]]


@attrs.define
class Mixed:
    """A fault that is another one each time.

    Args:
        rng: Chooses.
        counts: How often each was chosen.
    """

    rng: random.Random
    counts: Counter[str] = attrs.field(factory=Counter)

    async def apply(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        """Go wrong in some way."""
        actions = _WRITES if request.method == "POST" else _READS
        name = self.rng.choice(sorted(actions))
        self.counts[name] += 1
        return await actions[name].apply(request, handler)


@attrs.define
class Kill:
    """Kill a process when a request arrives, or when the service has carried it out.

    Args:
        late: Whether it is carried out first.
        process: The process, once it is known.
    """

    late: bool
    process: asyncio.subprocess.Process | None = None

    async def apply(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        """Kill, before or after."""
        assert self.process is not None, "whoever starts it tells its number at once"
        if not self.late:
            self.process.kill()
        response = await handler(request)
        if self.late:
            self.process.kill()
        return response


@attrs.frozen
class Found:
    """What came of it.

    Args:
        files: Images of the job.
        held: Those that the service holds, once or more.
        lost: Those it does not hold.
        doubled: Those it holds more than once.
        differing: Those whose bytes are not those of the file.
        runs: How often the upload was started.
        kills: How often it was killed.
        requests: Requests that the service saw.
        uploads: Uploads among them.
        retries: Repeated requests of the client; 0 where the processes were killed.
        faults: What went wrong how often.
        seconds: From the first start to the end of the last run.
    """

    files: int
    held: int
    lost: int
    doubled: int
    differing: int
    runs: int
    kills: int
    requests: int
    uploads: int
    retries: int
    faults: dict[str, int]
    seconds: float

    @property
    def ok(self) -> bool:
        """Whether every file is held once, as it is."""
        return self.held == self.files and not (self.lost or self.doubled or self.differing)

    def shown(self) -> str:
        """Return it for people."""
        faults = ", ".join(f"{count} {name}" for name, count in sorted(self.faults.items()))
        return (
            f"{self.files:,} files: {self.held:,} held, {self.lost} lost, {self.doubled} doubled,"
            f" {self.differing} differ\n"
            f"{self.runs} runs, {self.kills} kills, {self.requests:,} requests,"
            f" {self.uploads:,} uploads, {self.retries:,} retries, {self.seconds:.1f} s\n"
            f"{sum(self.faults.values()):,} exchanges went wrong: {faults or 'none'}"
        )


@attrs.frozen
class _Scene:
    """The folder, the service and its plan."""

    folder: Path
    server: Server
    plan: FaultPlan
    dataset_id: str
    files: dict[str, bytes]

    @property
    def journal(self) -> Path:
        return self.folder.with_name("upload.journal")

    async def found(
        self, *, runs: int, kills: int, retries: int, faults: Counter[str], seconds: float
    ) -> Found:
        """Count what the service holds, faults taken away."""
        requests, uploads = self.plan.count(), self.plan.count("POST", r"/(?:file|url)$")
        self.plan.clear()
        held = await look(self.server, self.dataset_id, self.files)
        return Found(
            files=len(self.files),
            **attrs.asdict(held),
            runs=runs,
            kills=kills,
            requests=requests,
            uploads=uploads,
            retries=retries,
            faults=dict(faults),
            seconds=seconds,
        )


@attrs.frozen
class Held:
    """What a dataset holds of some files.

    Args:
        held: Those that it holds, once or more.
        lost: Those it does not hold.
        doubled: Those it holds more than once.
        differing: Images whose bytes are not those of their file.
    """

    held: int
    lost: int
    doubled: int
    differing: int


async def look(server: Server, dataset_id: str, files: Mapping[str, bytes]) -> Held:
    """Download all that a dataset holds and compare it with files.

    Args:
        server: The service.
        dataset_id: The dataset.
        files: The hash of each file by its name.
    """
    names: Counter[str] = Counter()
    differing = 0
    async with DataGymClient(server.token, server.base_url, rate_limit=None) as client:
        for media in (await client.datasets.get(dataset_id)).media:
            names[media.name] += 1
            differing += await _held_by(client, media) != files.get(media.name)
    return Held(
        held=len(names),
        lost=len(files.keys() - names.keys()),
        doubled=sum(count > 1 for count in names.values()),
        differing=differing,
    )


async def _held_by(client: DataGymClient, media: DatasetMedia) -> bytes:
    """Return the hash of an image; nothing for a link, whose address is not there to be asked."""
    if media.source_type is MediaSourceType.SHAREABLE_LINK:
        return b""
    return digest(await client.media.download(media.id))


def digest(content: bytes) -> bytes:
    """Return the hash that bytes are compared by."""
    return hashlib.sha256(content).digest()


def _write(folder: Path, count: int, seed: int) -> dict[str, bytes]:
    """Write so many images of mixed sizes and return the hash of each by its name."""
    folder.mkdir()
    rng = random.Random(seed)
    hashes = {}
    for number in range(count):
        size = _LARGE if number % 400 == 50 else rng.choice((200, 2_000, 2_000, 30_000))
        content = TINY + rng.randbytes(size)
        (folder / f"photo-{number:06}.jpg").write_bytes(content)
        hashes[f"photo-{number:06}.jpg"] = digest(content)
    return hashes


def _write_mixed(folder: Path, count: int, seed: int) -> None:
    """Write images of all kinds, and a list of links beside them."""
    folder.mkdir()
    rng = random.Random(seed)
    for number in range(count):
        image = Image.effect_noise((rng.randint(20, 90), rng.randint(20, 90)), 50).convert("RGB")
        kind, exif = ("JPEG", "jpg") if number % 3 else ("WEBP", "webp"), Image.Exif()
        if number % 4 == 0:
            exif[0x0112] = 6  # to be turned by a quarter
        name = unicodedata.normalize("NFD", f"Böö {number:05}.{kind[1]}")
        image.save(folder / name, kind[0], exif=exif)
    links = [f"http://photos.example/f%C3%B6to%20{number}.jpg\n" for number in range(count // 5)]
    folder.with_name("links.txt").write_text("".join(links), encoding="utf-8")


async def _made(folder: Path, count: int, seed: int, *, is_mixed: bool) -> dict[str, bytes]:
    """Make the sources of a job, and return what a service should hold of them, by name."""
    if not is_mixed:
        return await asyncio.to_thread(_write, folder, count, seed)
    await asyncio.to_thread(_write_mixed, folder, count, seed)
    sources, config = job(folder, None)
    async with (
        Server(folder.with_name("calm")) as server,
        DataGymClient(server.token, server.base_url, rate_limit=None) as client,
    ):
        dataset = await client.datasets.create("Calm")
        report = await client.upload(dataset.id, sources, config=config)
        if report.uploaded != count + count // 5:
            raise SystemExit(f"nothing happened, and yet: {report.summary()}")
        media = (await client.datasets.get(dataset.id)).media
        return {each.name: await _held_by(client, each) for each in media}


async def chaos(scratch: Path, *, files: int, rate: float, seed: int, is_mixed: bool) -> Found:
    """Upload while a share of all exchanges goes wrong, as often as it takes."""
    plan, mixed = FaultPlan(), Mixed(random.Random(seed))
    hashes = await _made(scratch / "photos", files, seed, is_mixed=is_mixed)
    async with Server(scratch / "service", middlewares=[plan.middleware]) as server:
        (dataset,) = await server.seed_datasets(SeedDataset("Chaos"))
        scene = _Scene(scratch / "photos", server, plan, dataset.id, hashes)
        plan.add(mixed, when=chance(rate, seed=seed))
        began = time.perf_counter()
        runs, retries = await _upload_until_done(scene)
        seconds = time.perf_counter() - began
        return await scene.found(
            runs=runs, kills=0, retries=retries, faults=mixed.counts, seconds=seconds
        )


async def _upload_until_done(scene: _Scene) -> tuple[int, int]:
    """Start the same upload until nothing is left of it; return runs and retries."""
    sources, config = job(scene.folder, scene.journal)
    token, base_url = scene.server.token, scene.server.base_url
    async with DataGymClient(
        token, base_url, rate_limit=None, retry=RETRY, timeout=_TIMEOUT
    ) as client:
        for run in range(1, _MOST_RUNS + 1):
            try:
                report = await client.upload(scene.dataset_id, sources, config=config)
            except (APIError, TransferError) as error:
                print(f"run {run}: {error}", flush=True)
                continue
            print(f"run {run}: {report.summary()}", flush=True)
            if report.ok:
                break
        return run, client.statistics().retries


async def kills(scratch: Path, *, files: int, count: int, seed: int, is_mixed: bool) -> Found:
    """Start the upload and kill it, so many times, and then let it come to its end."""
    plan, rng = FaultPlan(), random.Random(seed)
    hashes = await _made(scratch / "photos", files, seed, is_mixed=is_mixed)
    async with Server(scratch / "service", middlewares=[plan.middleware]) as server:
        (dataset,) = await server.seed_datasets(SeedDataset("Chaos"))
        scene = _Scene(scratch / "photos", server, plan, dataset.id, hashes)
        began = time.perf_counter()
        made = 0
        share = max(3, files // count)  # all moments together come before the end of the files
        for number in range(count):
            in_body = number % 3 == 1
            nth = share * 3 // 2 if in_body else rng.randint(1, 3 if number % 5 == 4 else share)
            made += await _killed(scene, Kill(late=rng.random() < 0.5), nth, in_body=in_body)
        shown = await _to_its_end(scene)
        seconds = time.perf_counter() - began
        print(shown, flush=True)
        return await scene.found(
            runs=count + 1, kills=made, retries=0, faults=Counter(), seconds=seconds
        )


async def _killed(scene: _Scene, kill: Kill, nth: int, *, in_body: bool) -> bool:
    """Start the upload and kill it; return whether it came to that.

    Args:
        scene: The scene.
        kill: Kills the process.
        nth: At which of its requests, at the latest.
        in_body: Whether the first large body is a reason, too.
    """
    scene.plan.clear()
    if in_body:
        kill = attrs.evolve(kill, late=False)
        scene.plan.add(kill, method="POST", when=_is_large, nth=1)
    scene.plan.add(kill, nth=nth)
    kill.process = await _start(scene)
    await kill.process.communicate()
    return kill.process.returncode == -9


def _is_large(request: web.Request) -> bool:
    return (request.content_length or 0) > _LARGE


async def _to_its_end(scene: _Scene) -> str:
    scene.plan.clear()
    process = await _start(scene)
    output, _ = await process.communicate()
    if process.returncode:
        raise SystemExit(f"the last run failed: {output.decode().strip()}")
    return str(json.loads(output)["summary"])


async def _start(scene: _Scene) -> asyncio.subprocess.Process:
    where = (scene.folder, scene.server.base_url, scene.dataset_id, scene.journal)
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.chaos_job", *map(str, where)),
        cwd=_ROOT,
        env=os.environ | {"DATAGYM_TOKEN": scene.server.token},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )


def main() -> None:
    """Cause chaos as the command line asks."""
    options = _arguments()
    facts = machine_facts()
    with tempfile.TemporaryDirectory(prefix="datagym-chaos-") as name:
        folder, files, seed = Path(name), options.files, options.seed
        if options.kills:
            work = kills(
                folder, files=files, count=options.kills, seed=seed, is_mixed=options.mixed
            )
        else:
            work = chaos(
                folder, files=files, rate=options.faults, seed=seed, is_mixed=options.mixed
            )
        found = asyncio.run(work)
    print(found.shown())
    print("\n".join(f"{name}: {value}" for name, value in facts.items()))
    if options.json:
        value = {"machine": facts, "ok": found.ok, **attrs.asdict(found)}
        options.json.write_text(json.dumps(value, indent=1), encoding="utf-8")
    raise SystemExit(0 if found.ok else 1)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.chaos", description=__doc__)
    parser.add_argument("--files", type=int, help="images (10,000; with --kills 3,000)")
    parser.add_argument("--faults", type=float, default=0.05, help="share of exchanges that fail")
    parser.add_argument("--kills", type=int, default=0, help="kill the upload so often instead")
    parser.add_argument("--mixed", action="store_true", help="all kinds of images, and links")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    options = parser.parse_args()
    options.files = options.files or (3_000 if options.kills else 10_000)
    return options


if __name__ == "__main__":
    main()
