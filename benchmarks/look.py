"""Show how fast labels are counted, and galleries made and opened: ``python -m benchmarks.look``.

``stats`` streams a generated export, in turn with `labels.iter_export` alone, each in a fresh
process. ``gallery`` makes a gallery of a folder of JPEGs (1600 x 1200 pixels, a few pictures under
many names) with boxes, beside the thumbnails alone, and opens it in Chromium, where there is one.
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
from pathlib import Path

from PIL import Image

from benchmarks.label_exports import write_export
from benchmarks.labels import read_in_process
from benchmarks.machine import machine_facts
from datagym_async import look
from datagym_async.look._thumbnails import Thumbnails

GOAL_RATIO, GOAL_FIRST_PAGE = 0.8, 1.0


def main() -> None:
    """Measure as the command line asks."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.look", description=__doc__)
    parser.add_argument("what", choices=["stats", "gallery"])
    parser.add_argument("--size", type=float, default=540, help="MB of the export (540)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds; the medians count (3)")
    parser.add_argument("--images", type=int, default=20_000, help="images of the folder (20,000)")
    parser.add_argument("--workers", type=int, help="processes for thumbnails (one a core)")
    options = parser.parse_args()
    facts = machine_facts()
    with tempfile.TemporaryDirectory(prefix="datagym-benchmark-") as scratch:
        if options.what == "stats":
            _stats(Path(scratch), options.size, options.rounds)
        else:
            asyncio.run(_gallery(Path(scratch), options.images, options.workers))
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


async def _gallery(scratch: Path, count: int, workers: int | None) -> None:
    chance, pictures = random.Random(1), []
    for at in range(20):
        noise = Image.effect_noise((400, 300), 60 + at).resize((1600, 1200))
        pictures.append(scratch / f"picture{at}.jpg")
        noise.convert("RGB").save(pictures[-1], quality=85)
    folder = scratch / "photos"
    folder.mkdir()
    annotations: list[dict[str, object]] = []
    for at in range(count):
        os.link(pictures[at % 20], folder / f"street_{at:06}.jpg")
        for _ in range(chance.randint(0, 8)):
            box = [chance.randint(0, 1200), chance.randint(0, 900), 300, 200]
            whose = {"id": len(annotations), "image_id": at, "category_id": 1}
            annotations.append({**whose, "bbox": box})
    images = [{"id": at, "file_name": f"street_{at:06}.jpg"} for at in range(count)]
    document = {
        "images": images,
        "annotations": annotations,
        "categories": [{"id": 1, "name": "car"}],
    }
    (folder / "labels.json").write_text(json.dumps(document))
    few = min(count, 1000)
    async with Thumbnails.within(480, workers) as thumbnails:
        await thumbnails.make(pictures[0], scratch / "warm.webp")
        began = time.perf_counter()
        sources = [folder / f"street_{at:06}.jpg" for at in range(few)]
        for first in range(0, few, 16):
            part = sources[first : first + 16]
            await asyncio.gather(
                *(thumbnails.make(each, scratch / f"{each.stem}.webp") for each in part)
            )
        pace = few / (time.perf_counter() - began)
    before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
    options = look.GalleryOptions(workers=workers)
    made = await look.gallery(folder, scratch / "site", options=options)
    seconds = time.perf_counter() - began
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1000
    print(
        f"{made.images:,} images with {made.objects:,} objects: {seconds:.1f} s, "
        f"{made.images / seconds:.1f} images/s ({pace:.1f} thumbnails/s alone), {grown:.0f} MB more"
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
