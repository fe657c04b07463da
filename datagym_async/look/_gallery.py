"""A gallery: a folder that a browser opens from the disk, without a server or a network.

A page from ``file://`` may not fetch, so the data are scripts that call one function with JSON:
``index-N.js`` has a short row for each image (for filters and sorting), ``page-N.js`` all data of
200 images, loaded when somebody scrolls there.
"""

from __future__ import annotations

import asyncio
import errno
import json
import os
import shutil
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import partial
from importlib.resources import files
from math import sqrt
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import attrs

from datagym_async._checks import by_annotation, check, within
from datagym_async._files import USUAL, is_open_at, telling, to_path, write_file
from datagym_async._locks import LockFile, lock
from datagym_async._printable import Shown, counted, printable
from datagym_async._runs._engine import Patience, check_reachable
from datagym_async._threads import in_thread, opened_in_thread
from datagym_async.exceptions import APIError, ConfigurationError, FileWriteError
from datagym_async.formats._written import Fixed, given_classes
from datagym_async.labels import Classification, LabeledImage
from datagym_async.labels._geometry import InShares, fitted
from datagym_async.look._marks import (
    FILLED,
    answers_of,
    color_of,
    colors_of,
    marks_of,
    require_look,
    undrawn,
)
from datagym_async.look._overlap import SHARE, compare
from datagym_async.look._pages import page
from datagym_async.look._subjects import MARKER, ImageSet, Subject, labels_by_id
from datagym_async.look._thumbnails import Maker, Thumbnail, thumbnails
from datagym_async.resources._base import for_each

PAGE: Final = 200  # images in one file of data
_CHUNK: Final = 5000  # images in one file of the index
_AT_ONCE: Final = 16
_COPIED: Final = ("gallery.js", "gallery.css", "style.css")


def _compare(value: str | os.PathLike[str] | None) -> Path | None:
    return to_path("compare", value)


def _images(value: str | os.PathLike[str] | None) -> Path | None:
    return to_path("images", value)


@attrs.frozen(kw_only=True, field_transformer=by_annotation)
class GalleryOptions:
    """How a gallery is made.

    Args:
        size: Pixels of the longer side of thumbnails.
        compare: A file or folder of other labels of the images, to compare; None for none.
        least: IoU from which two objects match, above 0 to 1.
        workers: Processes that make thumbnails; None for one on each core, 0 for threads. Each
            process begins with the code of your program that is not below
            ``if __name__ == "__main__":``.
        on_progress: Called with the number of finished images; must not raise.
        images: For results of COCO: the file that lists their images and categories. None for the
            labels, if they are a file of COCO.
        classes: Names of the classes, or a file of them, if labels have only numbers.
    """

    size: int = attrs.field(default=480, validator=within(32, 4096))
    compare: Path | None = attrs.field(default=None, converter=_compare)
    least: float = 0.5
    workers: int | None = attrs.field(default=0, validator=within(0, 256, or_none=True))
    on_progress: Callable[[int], None] = lambda _: None
    images: Path | None = attrs.field(default=None, converter=_images)
    classes: Fixed = attrs.field(default=(), converter=given_classes)

    def __attrs_post_init__(self) -> None:
        check(SHARE, least=self.least)


@attrs.frozen(kw_only=True)
class Gallery(Shown):
    """The result of making a gallery.

    Attributes:
        path: The page to open.
        images: Number of images in it.
        objects: Number of objects drawn on them.
        problems: Images that could not be read or decoded, at most a hundred, one line each.
        failed: Number of such images.
        missed: Objects of the labels without a match in the compared labels, or None.
        false: Objects of the compared labels without a match, or None.
        notes: Remarks, as sentences.
    """

    path: Path
    images: int
    objects: int
    problems: tuple[str, ...] = ()
    failed: int = 0
    missed: int | None = None
    false: int | None = None
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        images, objects = counted(self.images, "image"), counted(self.objects, "object")
        said = f"{images} with {objects}: open {self.path}."
        if self.missed is not None:
            said += f" Without a partner: {self.missed:,} here, {self.false:,} in the other labels."
        return printable(said)


async def build_gallery(looked: ImageSet, folder: Path, options: GalleryOptions) -> Gallery:
    """Make a gallery in a folder: a new or empty one, or that of an earlier gallery.

    It needs memory for the images in work, a short row for each image, and incomplete pages.

    Raises:
        ConfigurationError: The folder or an option cannot be used.
        FormatError: The labels to compare have no known format.
        APIError: The service cannot be reached any more, or refuses the token.
        FileWriteError: The folder cannot be written to.
    """
    require_look("A gallery")
    async with opened_in_thread(partial(_prepared, folder), lambda file: file.close()) as marker:
        others: dict[str, LabeledImage] = {}
        notes, subjects = looked.notes, looked.subjects
        if options.compare is not None:
            given = attrs.evolve(
                looked, listing=options.images or looked.listing, classes=options.classes
            )
            others, more = await labels_by_id(options.compare, given, in_shares=True)
            notes += more
        made = _Making(looked, folder, options, others)
        try:
            async with thumbnails(options.size, options.workers) as maker:
                images = range(len(subjects))
                await for_each(images, lambda index: made.add(index, maker), concurrency=_AT_ONCE)
            return await in_thread(made.finish, notes, marker)
        except FileWriteError:
            await in_thread(_check_place, folder, marker)
            raise


def _prepared(folder: Path) -> LockFile:
    """Make the folder, delete the files of an earlier gallery, and return the locked marker."""
    if folder.exists() and not folder.is_dir():
        raise ConfigurationError(f"{folder} is not a folder; name a new one")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / MARKER).is_file():
        raise ConfigurationError(
            f"The folder {folder} contains something other than a gallery; use a new or empty one"
        )
    with telling(folder), ExitStack() as opened:
        folder.mkdir(parents=True, exist_ok=True)
        marker = opened.enter_context(LockFile(folder / MARKER, USUAL))
        if lock(marker.fileno()) is False:
            raise ConfigurationError(
                f"Another run is making a gallery in {folder}; wait for its end, or name another "
                "folder"
            )
        for name in ("data", "thumbs"):
            shutil.rmtree(folder / name, ignore_errors=True)
        (folder / "index.html").unlink(missing_ok=True)
        opened.pop_all()
    return marker


def _check_place(folder: Path, marker: LockFile) -> None:
    """Refuse to go on in another folder than the one that was prepared, or in none."""
    if not is_open_at(marker.fileno(), folder / MARKER):
        words = "it was deleted or replaced while the gallery was made"
        raise FileWriteError.of(folder, FileNotFoundError(errno.ENOENT, words))


class _Making:
    """Collects the data of each image, and writes it page by page."""

    def __init__(
        self,
        looked: ImageSet,
        folder: Path,
        options: GalleryOptions,
        others: dict[str, LabeledImage],
    ) -> None:
        self._looked, self._folder, self._options = looked, folder, options
        self._others = others
        self._index: list[bytes | None] = [None] * len(looked.subjects)
        self._pages: dict[int, dict[int, Any]] = {}
        self._classes: dict[str, list[int]] = {}  # number, objects
        self._states: dict[str, int] = {}
        self._done = self._objects = self._failed = self._missed = self._false = 0
        self._problems: list[str] = []
        self._patience = Patience()
        self._turn = asyncio.Lock()

    async def add(self, index: int, maker: Maker) -> None:
        """Add an image: load it, make its thumbnail, and keep its data."""
        subject = self._looked.subjects[index]
        thumb = f"thumbs/{index // 1000:03}/{index:06}.webp"
        target, original = self._folder / thumb, ""
        try:
            content = await self._looked.load(subject)
        except APIError as error:
            check_reachable(error, self._patience)
            made = Thumbnail(problem=printable(str(error)))
        else:
            self._patience.in_a_row = 0
            made = await maker(content, target)
            if isinstance(content, Path) and made.is_upright and not made.problem:
                original = await in_thread(lambda: content.resolve().as_uri())
        async with self._turn:
            await in_thread(self._keep, index, subject, made, thumb, original)
        self._done += 1
        self._options.on_progress(self._done)

    def _keep(
        self, index: int, subject: Subject, made: Thumbnail, thumb: str, original: str
    ) -> None:
        ours = subject.labels or LabeledImage()
        width, height = made.width or ours.width or 0, made.height or ours.height or 0
        ours = attrs.evolve(ours, width=width or None, height=height or None)
        theirs = self._others.get(subject.id, LabeledImage())
        if isinstance(theirs, InShares):
            has_size = width and height
            theirs = fitted(theirs, (width, height)).image if has_size else LabeledImage()
        found = compare(ours, theirs, least=self._options.least) if self._options.compare else None
        marks = self._marks(ours, found.ours if found else None)
        row: dict[str, Any] = {
            "n": printable(subject.name),
            "i": subject.media_id,
            "w": width,
            "h": height,
            "t": "" if made.problem else thumb,
            "o": original,
            "m": marks,
            "a": _answers(ours.classifications),
        }
        if subject.task_id and self._looked.editor:
            row["e"] = self._looked.editor + quote(subject.task_id)
        if left_out := undrawn(ours):
            row["u"] = left_out
        if made.problem:
            row["x"] = made.problem
            self._failed += 1
            if len(self._problems) < 100:
                self._problems.append(f"{printable(subject.name)}: {made.problem}")
        if found is not None:
            row["p"] = self._marks(theirs, found.theirs, others=True)
            row["b"] = _answers(theirs.classifications)
            self._missed += found.missed
            self._false += found.false
        self._objects += len(marks)
        # The short row, for filters and sorting.
        state = self._states.setdefault(subject.state, len(self._states))
        every = [*marks, *row.get("p", ())]
        sides = [mark[4] for mark in every if mark[1] not in {"point", "line"}]
        short = [
            row["n"],
            state,
            sorted({mark[0] for mark in every}),
            len(marks),
            min(sides, default=0),
            max(sides, default=0),
            round(found.disagreement, 3) if found else 0,
        ]
        self._index[index] = _dumped(short).encode()
        number = index // PAGE
        rows = self._pages.setdefault(number, {})
        rows[index] = row
        if len(rows) == min(PAGE, len(self._index) - number * PAGE):
            del self._pages[number]
            self._write("page", number, _dumped([rows[at] for at in sorted(rows)]))

    def _marks(
        self, labels: LabeledImage, partners: Sequence[int | None] | None, *, others: bool = False
    ) -> list[Any]:
        """Return marks for the page: class, kind, path, answers, side, partner."""
        rows = []
        for at, mark in enumerate(marks_of(labels)):
            known = self._classes.setdefault(mark.key, [len(self._classes), 0])
            known[1] += not others
            side = sqrt(mark.bounds.width * mark.bounds.height)
            said = (" ".join(each) for each in _answers(mark.annotation.classifications))
            row = [known[0], mark.kind, mark.path, ", ".join(said), round(side, 1)]
            if partners is not None:
                partner = partners[at]
                row.append(-1 if partner is None else partner)
            rows.append(row)
        return rows

    def finish(self, notes: tuple[str, ...], marker: LockFile) -> Gallery:
        """Write the index and then the page, so that it shows complete galleries."""
        is_compared = self._options.compare is not None
        for first in range(0, len(self._index), _CHUNK):
            rows = b",".join(row or b"[]" for row in self._index[first : first + _CHUNK])
            self._write("index", first // _CHUNK, f"[{rows.decode()}]")
        colors = colors_of(self._looked.config)
        meta = {
            "title": printable(self._looked.title),
            "images": len(self._index),
            "page": PAGE,
            "chunk": _CHUNK,
            "classes": [
                [printable(key), color_of(key, colors), count]
                for key, (_, count) in self._classes.items()
            ],
            "states": [printable(state) for state in self._states],
            "cover": dict(FILLED),
            "compared": is_compared,
            "notes": [printable(note) for note in notes],
            "made": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        }
        self._write("meta", 0, _dumped(meta))
        templates = files("datagym_async.look") / "templates"
        for name in _COPIED:
            write_file(self._folder / name, (templates / name).read_bytes())
        _check_place(self._folder, marker)
        path = self._folder / "index.html"
        write_file(path, page("gallery.html", title=self._looked.title).encode())
        return Gallery(
            path=path,
            images=len(self._index),
            objects=self._objects,
            problems=tuple(sorted(self._problems)),  # whichever was ready first
            failed=self._failed,
            missed=self._missed if is_compared else None,
            false=self._false if is_compared else None,
            notes=notes,
        )

    def _write(self, kind: str, number: int, data: str) -> None:
        script = f'datagymLook("{kind}",{number},{data});\n'
        write_file(self._folder / "data" / f"{kind}-{number}.js", script.encode())


def _dumped(value: object) -> str:
    # Escaped to ASCII: a script from a disk has no declared encoding.
    return json.dumps(value, separators=(",", ":"))


def _answers(roots: Sequence[Classification]) -> list[tuple[str, str]]:
    return [(printable(key), printable(answer)) for key, answer in answers_of(roots)]
