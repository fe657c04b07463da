"""Show how fast labels are counted, and galleries made and opened: ``python -m benchmarks.look``.

``stats`` streams a generated export, in turn with `labels.iter_export` alone, each in a fresh
process. ``gallery`` makes galleries of 500 JPEGs (a few pictures under many names) with
boxes, in turn with their thumbnails by Pillow alone; then one of ``--images``, whose memory it
tells, and which it opens in Chromium, where there is one.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import json
import os
import random
import resource
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from PIL import Image

from benchmarks.label_exports import write_export
from benchmarks.label_job import memory
from benchmarks.labels import read_in_process
from benchmarks.machine import machine_facts
from datagym_async import look

_SIDE, _FEW = 480, 500
GOAL_RATIO, GOAL_FIRST_PAGE = 0.8, 1.0


def main() -> None:
    """Measure as the command line asks."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.look", description=__doc__)
    parser.add_argument("what", choices=["stats", "gallery"])
    parser.add_argument("--size", type=float, default=540, help="MB of the export (540)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds; the medians count (3)")
    parser.add_argument("--images", type=int, default=20_000, help="images of the folder (20,000)")
    parser.add_argument(
        "--workers", type=int, default=os.cpu_count(), help="processes (one a core)"
    )
    parser.add_argument("--width", type=int, default=1600, help="pixels of the images (1600)")
    options = parser.parse_args()
    facts = machine_facts()
    with tempfile.TemporaryDirectory(prefix="datagym-benchmark-") as scratch:
        if options.what == "stats":
            _stats(Path(scratch), options.size, options.rounds)
        else:
            pictures = _pictures(Path(scratch), options.width)
            _gallery(Path(scratch), options.images, options.rounds, options.workers, pictures)
            _open(Path(scratch) / "site" / "index.html")
    print("\n".join(f"{name}: {value}" for name, value in facts.items()))


def _stats(scratch: Path, megabytes: float, rounds: int) -> None:
    file = scratch / "export.json"
    written = write_export(file, size=int(megabytes * 1e6))
    ratios, grown = [], []
    for _ in range(rounds):
        alone, counted = (
            read_in_process(way, file, written, sys.executable) for way in ("iterate", "stats")
        )
        ratios.append(alone.cpu_seconds / counted.cpu_seconds)
        grown.append(counted.grown_mb)
        print(
            f"{alone.rate:.1f} MB/s alone, {counted.rate:.1f} MB/s counted, "
            f"{alone.cpu_seconds:.1f} and {counted.cpu_seconds:.1f} s CPU, "
            f"{counted.grown_mb:.1f} MB more"
        )
    ratio = statistics.median(ratios)
    met = "met" if ratio >= GOAL_RATIO else "MISSED"
    print(
        f"{written.annotations:,} objects: {ratio:.2f} of the pace of iter_export by CPU "
        f"(goal {GOAL_RATIO:g}: {met}), {statistics.median(grown):.1f} MB more"
    )


def _pictures(folder: Path, width: int) -> list[Path]:
    pictures = [folder / f"picture{at}.jpg" for at in range(20)]
    for at, path in enumerate(pictures):
        noise = Image.effect_noise((400, 300), 60 + at).resize((width, width * 3 // 4))
        noise.convert("RGB").save(path, quality=85)
    return pictures


def _photos(folder: Path, count: int, pictures: list[Path]) -> None:
    """Make a folder of a few pictures under many names, with boxes on them."""
    folder.mkdir()
    chance, annotations = random.Random(1), list[dict[str, object]]()
    for at in range(count):
        os.link(pictures[at % len(pictures)], folder / f"street_{at:06}.jpg")
        for _ in range(chance.randint(0, 8)):
            box = [chance.randint(0, 1200), chance.randint(0, 900), 300, 200]
            whose = {"id": len(annotations), "image_id": at, "category_id": 1}
            annotations.append({**whose, "bbox": box})
    document = {
        "images": [{"id": at, "file_name": f"street_{at:06}.jpg"} for at in range(count)],
        "annotations": annotations,
        "categories": [{"id": 1, "name": "car"}],
    }
    (folder / "labels.json").write_text(json.dumps(document))


def _plainly(source: Path, target: Path) -> None:
    with Image.open(source) as image:
        image.draft("RGB", (_SIDE, _SIDE))
        share = min(1.0, _SIDE / max(image.size))
        small = image.resize((round(image.width * share), round(image.height * share)))
        small.save(target, "WEBP", quality=72, method=2)


def _alone(folder: Path, target: Path, workers: int) -> None:
    """Make thumbnails of a folder by Pillow alone, in as many processes."""
    target.mkdir(exist_ok=True)
    sources = sorted(folder.glob("*.jpg"))
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        targets = [target / f"{each.stem}.webp" for each in sources]
        list(pool.map(_plainly, sources, targets, chunksize=16))


def _made(folder: Path, target: Path, workers: int, memory_at: list[int]) -> look.Gallery:
    def note(done: int) -> None:
        if done % 1000 == 0:
            memory_at.append(memory("VmRSS"))

    options = look.GalleryOptions(workers=workers, on_progress=note)
    return asyncio.run(look.gallery(folder, target, options=options))


def _taken(work: Callable[[], object]) -> tuple[float, float]:
    """Return the seconds and the processor time that something takes, its processes included."""
    who = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)

    def processor() -> float:
        return sum(sum(resource.getrusage(each)[:2]) for each in who)

    began, before = time.perf_counter(), processor()
    work()
    return time.perf_counter() - began, processor() - before


def _gallery(scratch: Path, count: int, rounds: int, workers: int, pictures: list[Path]) -> None:
    few, many, site = scratch / "few", scratch / "many", scratch / "site"
    _photos(few, min(count, _FEW), pictures)
    shares = []
    for _ in range(rounds):
        alone = _taken(lambda: _alone(few, scratch / "alone", workers))
        made = _taken(lambda: _made(few, site, workers, []))
        shares.append((alone[0] / made[0], alone[1] / made[1]))
        print(
            f"{min(count, _FEW)} images: {alone[0]:.1f} s by Pillow alone ({alone[1]:.1f} s CPU), "
            f"{made[0]:.1f} s with the gallery ({made[1]:.1f} s CPU)"
        )
    pace, cpu = (statistics.median(each[at] for each in shares) for at in (0, 1))
    print(f"{pace:.2f} of the pace of Pillow alone in {workers} processes, {cpu:.2f} of its CPU")
    _photos(many, count, pictures)
    memory_at: list[int] = []
    found: list[look.Gallery] = []
    seconds, _ = _taken(lambda: found.append(_made(many, site, workers, memory_at)))
    told = ", ".join(f"{each / 1e6:.0f}" for each in memory_at[:: max(1, len(memory_at) // 5)])
    print(
        f"{found[0].images:,} images with {found[0].objects:,} objects: {seconds:.0f} s, "
        f"{count / seconds:.1f} images/s; memory on the way {told} MB"
    )


def _open(page: Path) -> None:
    found = filter(None, map(shutil.which, ("chromium-headless-shell", "chromium")))
    chromium = next(found, None)
    if chromium is None or importlib.util.find_spec("playwright") is None:
        print("SKIPPED opening it: there is no playwright or no Chromium")
        return
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        taken = []
        for _ in range(5):
            tab = browser.new_page(viewport={"width": 1280, "height": 900})
            began = time.perf_counter()
            tab.goto(page.as_uri(), wait_until="commit")
            tab.wait_for_function(
                "() => [...document.querySelectorAll('.card img')].filter((i) => i.complete)"
                ".length > 11"
            )
            taken.append(time.perf_counter() - began)
            tab.wait_for_selector("body[data-ready]")
            tab.close()
        browser.close()
    first = statistics.median(taken)
    met = "met" if first < GOAL_FIRST_PAGE else "MISSED"
    print(f"first page in Chromium: {first:.2f} s (goal {GOAL_FIRST_PAGE:g}: {met})")


if __name__ == "__main__":
    main()
