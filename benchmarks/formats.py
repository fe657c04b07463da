"""Show how COCO files are read and imported: ``python -m benchmarks.formats``.

Files are generated (seeded; annotations before the images, as some tools write them) and read in
several ways, each in a fresh process: by this project, by pycocotools and by labelformat. One of
ten times as many annotations shows what memory grows by. The smaller one is imported into the
embedded server, which runs in a process of its own: the client's share is its processor time in
that of the clock.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import random
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

import attrs
import orjson
from PIL import Image

from benchmarks.machine import machine_facts
from datagym_async.server import SeedDataset, SeedMedia, SeedProject, Server

_ROOT = Path(__file__).parents[1]
_WIDTH, _HEIGHT = 640, 480
_A_FILE = 4  # annotations an image
GOAL_GROWTH_MB = 40.0


@attrs.frozen
class Reading:
    """What one way took.

    Args:
        way: Of `benchmarks.format_job`.
        found: Objects, or of an import images stored.
        seconds: On the clock.
        cpu_seconds: User and system time.
        peak: Of resident memory, in bytes.
        grown: The same above that before the reading.
    """

    way: str
    found: int
    seconds: float
    cpu_seconds: float
    peak: int
    grown: int


def write_coco(path: Path, annotations: int, *, seed: int = 0) -> None:
    """Write a COCO file of boxes with outlines, four an image, in an order by chance."""
    chance = random.Random(seed)
    images = annotations // _A_FILE

    def annotation(number: int) -> dict[str, Any]:
        width, height = round(chance.uniform(5, 100), 2), round(chance.uniform(5, 80), 2)
        left = round(chance.uniform(0, _WIDTH - width), 2)
        top = round(chance.uniform(0, _HEIGHT - height), 2)
        outline = [left, top, left + width, top, left + width, top + height, left, top + height]
        return {
            "segmentation": [[round(each, 2) for each in outline]],
            "area": round(width * height, 2),
            "iscrowd": 0,
            "image_id": chance.randrange(images),
            "bbox": [left, top, width, height],
            "category_id": 1 + number % 80,
            "id": number + 1,
        }

    listed = [
        {"id": n, "file_name": f"{n:06}.jpg", "width": _WIDTH, "height": _HEIGHT}
        for n in range(images)
    ]
    categories = [
        {"id": n + 1, "name": f"class {n}", "supercategory": f"group {n // 10}"} for n in range(80)
    ]
    document = {
        "info": {"description": "made"},
        "annotations": [*map(annotation, range(annotations))],
        "images": listed,
        "categories": categories,
    }
    path.write_bytes(orjson.dumps(document))


async def take(way: str, file: Path, *others: str) -> Reading:
    """Run one way in a fresh process."""
    command = (sys.executable, "-m", "benchmarks.format_job", way, str(file), *others)
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, stdout=pipe, stderr=pipe, cwd=_ROOT)
    out, errors = await process.communicate()
    if process.returncode:
        raise SystemExit(f"{way} failed: {errors.decode()}")
    return Reading(way, **json.loads(out.splitlines()[-1]))


async def take_import(file: Path, images: int, scratch: Path) -> Reading:
    """Import a file into an embedded server that has its images."""
    content = io.BytesIO()
    Image.new("RGB", (_WIDTH, _HEIGHT)).save(content, "JPEG")
    media = [SeedMedia(f"{n:06}.jpg", content=content.getvalue()) for n in range(images)]
    async with Server(scratch / "service") as server:
        (project,) = await server.seed(SeedProject("Made", [SeedDataset("Made", media)]))
        return await take("import", file, server.base_url, server.token, project.id)


async def measure(options: argparse.Namespace, scratch: Path) -> dict[str, Reading]:
    """Measure all ways, each as the median of its rounds."""
    few, many = scratch / "few.json", scratch / "many.json"
    write_coco(few, options.annotations)
    write_coco(many, 10 * options.annotations)
    ways = [("ours", few), ("ours-as-values", few), ("pycocotools", few), ("labelformat", few)]
    ways += [("ours", many), ("pycocotools", many)]
    rounds = [[await take(*way) for way in ways] for _ in range(options.rounds)]
    names = [*(way for way, _ in ways[:4]), "ours, 10 times", "pycocotools, 10 times"]
    found = dict(zip(names, map(_median, zip(*rounds, strict=True)), strict=True))
    found["import"] = await take_import(few, options.annotations // _A_FILE, scratch)
    return found


def _median(readings: tuple[Reading, ...]) -> Reading:
    middle = statistics.median_low(each.seconds for each in readings)
    return next(each for each in readings if each.seconds == middle)


def verdicts(found: dict[str, Reading]) -> list[str]:
    """Return what the figures say."""
    mine = found["ours"]
    lines = [
        f"{way}: {mine.cpu_seconds / found[way].cpu_seconds:.2f} times its processor time"
        for way in ("pycocotools", "labelformat")
    ]
    growth = (found["ours, 10 times"].peak - mine.peak) / 1e6
    verdict = "met" if growth <= GOAL_GROWTH_MB else "MISSED"
    lines.append(f"peak beside 10 times the file: {growth:.1f} MB more (goal 40: {verdict})")
    done = found["import"]
    share = done.cpu_seconds / done.seconds
    lines.append(f"import: the client takes {share:.0%} of {done.seconds:.1f} s, the rest waits")
    return lines


def main() -> None:
    """Measure as the command line asks."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.formats", description=__doc__)
    parser.add_argument("--annotations", type=int, default=20_000, help="of the file (20,000)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds; the median counts (3)")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    options = parser.parse_args()
    facts = machine_facts()
    with tempfile.TemporaryDirectory(prefix="datagym-benchmark-") as scratch:
        found = asyncio.run(measure(options, Path(scratch)))
    for name, each in found.items():
        memory = f"peak {each.peak / 1e6:7.1f} MB, {each.grown / 1e6:7.1f} MB more than before"
        print(f"{name:24} {each.seconds:7.2f} s {each.cpu_seconds:7.2f} s CPU  {memory}")
    print("\n".join(verdicts(found)))
    print("\n".join(f"{name}: {value}" for name, value in facts.items()))
    if options.json:
        readings = {name: attrs.asdict(each) for name, each in found.items()}
        value = {"machine": facts, "readings": readings}
        options.json.write_text(json.dumps(value, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
