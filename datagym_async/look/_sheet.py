"""A contact sheet: some images with labels drawn on them, as one picture or as pages."""

from __future__ import annotations

import random
from collections.abc import Collection, Sequence
from functools import partial
from math import ceil, sqrt
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final

import attrs

from datagym_async._checks import by_annotation, within
from datagym_async._files import replaced_file
from datagym_async._printable import counted, printable
from datagym_async._runs._engine import Patience, check_reachable
from datagym_async._runs._images import in_turn
from datagym_async._threads import in_thread
from datagym_async.exceptions import APIError, ConfigurationError
from datagym_async.labels import LabeledImage
from datagym_async.look._marks import (
    Colors,
    colors_of,
    draw,
    font_of,
    in_colors,
    opened,
    require_look,
)
from datagym_async.look._subjects import ImageSet
from datagym_async.resources._base import for_each

if TYPE_CHECKING:
    from PIL.Image import Image


_CELL: Final = (320, 240)
_CAPTION: Final = 24
_GAP: Final = 10
_ON_A_PAGE: Final = 20
_NAMED: Final = 20  # classes in a message
FORMS: Final = {".png": "PNG", ".jpg": "JPEG", ".webp": "WEBP", ".pdf": "PDF"}
"""The format of a file, by its suffix."""
_GROUND, _INK, _BROKEN = "#ffffff", "#16181d", "#d3d7de"


@attrs.frozen(kw_only=True, field_transformer=by_annotation)
class Choice:
    """Which images to show.

    Args:
        count: Largest number of images, 1 to 400.
        seed: The same seed chooses the same images.
        classes: Keys of classes; an image must have an object of one of them. None given: any.
        state: State of the tasks, in upper or lower case; empty for any.
        query: Part of the names, in upper or lower case; empty for any.
    """

    count: int = attrs.field(default=24, validator=within(1, 400))
    seed: int = 0
    classes: Collection[str] = ()
    state: str = ""
    query: str = ""

    def of(self, looked: ImageSet) -> list[int]:
        """Return the numbers of the images, in order; `ConfigurationError` if there are none."""
        if not looked.subjects:
            raise ConfigurationError(f"There is no image in {looked.title}")
        found = []
        for index, subject in enumerate(looked.subjects):
            walk = (subject.labels or LabeledImage()).walk()
            is_named = self.query.lower() in subject.name.lower()
            is_in_state = self.state.lower() in {"", subject.state.lower()}
            has_class = not self.classes or any(each.key in self.classes for each in walk)
            if is_named and is_in_state and has_class:
                found.append(index)
        if not found:
            wanted, there = [], []
            if self.classes:
                labels = (each.labels or LabeledImage() for each in looked.subjects)
                keys = {each.key for one in labels for each in one.walk()}
                wanted.append(f"the class {' or '.join(map(repr, self.classes))}")
                there.append(f"classes: {', '.join(sorted(keys)[:_NAMED]) or 'none'}")
            if self.state:
                states = {each.state.lower() for each in looked.subjects}
                wanted.append(f"the state {self.state!r}")
                there.append(f"states: {', '.join(sorted(states - {''})) or 'none'}")
            if self.query:
                wanted.append(f"{self.query!r} in its name")
            raise ConfigurationError(
                f"None of {counted(len(looked.subjects), 'image')} of {looked.title} has "
                + " and ".join(wanted)
                + (f" (there are {'; '.join(there)})" if there else "")
            )
        return sorted(random.Random(self.seed).sample(found, min(self.count, len(found))))


async def build_sheet(
    looked: ImageSet, path: Path, choice: Choice, *, text: bool = True
) -> tuple[int, tuple[str, ...]]:
    """Write a contact sheet; return how many images are on it, and which could not be read.

    Args:
        looked: The images to choose from.
        path: The file: one picture, or pages of 20 images if it ends in ``.pdf``.
        choice: Which images to show.
        text: Whether to write class and answers beside each shape.

    Raises:
        ConfigurationError: There is no such image.
        APIError: The service cannot be reached.
        FileWriteError: The file cannot be written.
    """
    require_look("A contact sheet")
    chosen = await in_thread(choice.of, looked)
    cells: dict[int, Image] = {}
    broken: set[int] = set()
    patience = Patience()
    colors = colors_of(looked.config)

    async def load(index: int) -> None:
        subject = looked.subjects[index]
        content: bytes | Path | None = None
        try:
            content = await looked.load(subject)
        except APIError as error:
            check_reachable(error, patience)
        else:
            patience.in_a_row = 0
        cell = partial(_cell, content, subject.labels, subject.name, colors, text)
        cells[index], is_read = await in_thread(cell)
        if not is_read:
            broken.add(index)

    await for_each(chosen, load)
    async with replaced_file(path) as file:
        form = FORMS.get(path.suffix.lower(), "PNG")
        await in_thread(_save, [cells[index] for index in chosen], file, form)
    return len(chosen), tuple(printable(looked.subjects[index].name) for index in sorted(broken))


def _save(cells: Sequence[Image], file: BinaryIO, form: str) -> None:
    if form != "PDF":
        whole: dict[str, Any] = {"optimize": True} if form == "PNG" else {"quality": 88}
        _page(cells).save(file, form, **whole)
        return
    first, *others = [
        _page(cells[start : start + _ON_A_PAGE]) for start in range(0, len(cells), _ON_A_PAGE)
    ]
    first.save(file, form, save_all=True, append_images=others)


def _page(cells: Sequence[Image]) -> Image:
    from PIL import Image

    columns = ceil(sqrt(len(cells) * 1.2))
    rows = ceil(len(cells) / columns)
    wide, high = _CELL[0] + _GAP, _CELL[1] + _CAPTION + _GAP
    sheet = Image.new("RGB", (columns * wide + _GAP, rows * high + _GAP), _GROUND)
    for at, cell in enumerate(cells):
        sheet.paste(cell, (_GAP + at % columns * wide, _GAP + at // columns * high))
    return sheet


def _cell(
    content: bytes | Path | None, labels: LabeledImage | None, name: str, colors: Colors, text: bool
) -> tuple[Image, bool]:
    """Return an image with its labels and name, and whether it can be read; else a gray field."""
    from PIL import Image, ImageDraw

    cell = Image.new("RGB", (_CELL[0], _CELL[1] + _CAPTION), _GROUND)
    words = printable(name[: _CELL[0]])  # no more can fit
    try:
        image = opened(content) if content is not None else None
        if image is not None:
            width = image.width
            with in_turn(image):
                # Drawn at twice the size and then reduced, so that lines are smooth.
                image.draft("RGB", (2 * _CELL[0], 2 * _CELL[1]))
                image = in_colors(image)
                share = min(2 * _CELL[0] / image.width, 2 * _CELL[1] / image.height)
                size = (max(1, round(image.width * share)), max(1, round(image.height * share)))
                image = image.resize(size, reducing_gap=2.0)
            if labels is not None:
                image = draw(
                    image, labels, colors=colors, text=text, scale=image.width / width, pen=1.7
                )
            image = image.resize((max(1, size[0] // 2), max(1, size[1] // 2)))
            at = ((_CELL[0] - image.width) // 2, (_CELL[1] - image.height) // 2)
            cell.paste(image, at)
    except Exception:  # whatever a hostile file provokes
        image = None
    pen = ImageDraw.Draw(cell)
    if image is None:
        pen.rectangle((0, 0, _CELL[0], _CELL[1]), fill=_BROKEN)
        words = f"{words} (cannot be read)"
    font = font_of(14, words.isascii())
    while len(words) > 4 and pen.textlength(words, font=font) > _CELL[0]:
        words = words[: max(1, min(len(words) - 2, int(len(words) * 0.9)))].rstrip("…") + "…"
    pen.text((0, _CELL[1] + 4), words, fill=_INK, font=font)
    return cell, image is not None
