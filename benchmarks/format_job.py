"""Read one COCO file in one way and print what it took: a process of `benchmarks.formats`."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import importlib
import io
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.label_job import memory


def ours(file: Path) -> int:
    """Give one image after the other, as readers of all formats do."""
    from datagym_async.formats._losses import Losses
    from datagym_async.formats.coco._reading import open_dataset

    return sum(len(image.objects) for image in open_dataset(file).images(Losses()))


def ours_as_values(file: Path) -> int:
    """Return all images as label values: `coco.read`."""
    from datagym_async.formats import coco

    return sum(len(image.annotations) for image in coco.read(file).images)


def pycocotools(file: Path) -> int:
    """Return what the usual reader keeps: the file as dictionaries, with indexes by image."""
    from pycocotools.coco import COCO

    with contextlib.redirect_stdout(io.StringIO()):
        return len(COCO(file).anns)


def labelformat(file: Path) -> int:
    """Give one image after the other, with its boxes."""
    from labelformat.formats import COCOObjectDetectionInput

    labels = COCOObjectDetectionInput(input_file=file).get_labels()
    return sum(len(image.objects) for image in labels)


def imported(file: Path, base_url: str, token: str, project: str) -> int:
    """Import a file into a project whose label configuration is empty."""
    from datagym_async import DataGymClient

    async def run() -> int:
        async with DataGymClient(token, base_url, rate_limit=None) as client:
            done = await client.import_labels(project, file, keep_data=True, create_config=True)
        return len(done.report.results)

    return asyncio.run(run())


WAYS: dict[str, tuple[Callable[..., int], tuple[str, ...]]] = {
    "ours": (ours, ("datagym_async.formats.coco",)),
    "ours-as-values": (ours_as_values, ("datagym_async.formats.coco",)),
    "pycocotools": (pycocotools, ("pycocotools.coco",)),
    "labelformat": (labelformat, ("labelformat.formats",)),
    "import": (imported, ("datagym_async.imports", "datagym_async._opened")),
}
"""Each way, and what is imported before the clock starts."""


def main() -> None:
    """Read as the command line asks."""
    parser = argparse.ArgumentParser()
    parser.add_argument("way", choices=WAYS)
    parser.add_argument("file", type=Path)
    parser.add_argument("others", nargs="*", help="of an import: address, token and project")
    options = parser.parse_args()
    read, modules = WAYS[options.way]
    for module in modules:
        importlib.import_module(module)
    before, cpu, start = memory("VmRSS"), time.process_time(), time.perf_counter()
    found = read(options.file, *options.others)
    seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - cpu
    taken = {"found": found, "seconds": seconds, "cpu_seconds": cpu_seconds}
    taken |= {"peak": memory("VmHWM"), "grown": memory("VmHWM") - before}
    sys.stdout.write(json.dumps(taken) + "\n")


if __name__ == "__main__":
    main()
