"""The picture that the documentation shows: photographs of the demo with their labels.

``python -m tests.helpers.picture FILE.webp`` draws it.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from PIL import Image

from datagym_async.cli import LABELS, photographs
from datagym_async.labels import LabeledImage
from datagym_async.look import Choice, build_sheet
from datagym_async.look._subjects import ImageSet, Subject


async def draw(path: Path) -> None:
    """Draw the contact sheet."""
    subjects = [
        Subject(name=file.name, path=file, labels=LabeledImage(annotations=LABELS[file.name]))
        for file in photographs()
        if file.name in LABELS and file.name != "rocket.jpg"
    ]

    async def load(subject: Subject) -> bytes | Path:
        return subject.path or b""

    await build_sheet(ImageSet("photographs", subjects, load), path, Choice(count=6))


def made_light(path: Path) -> None:
    """Make it smaller, for a page."""
    with Image.open(path) as image:
        smaller = image.resize((image.width * 9 // 10, image.height * 9 // 10))
    smaller.save(path, quality=85)


if __name__ == "__main__":
    asyncio.run(draw(Path(sys.argv[1])))
    made_light(Path(sys.argv[1]))
