"""Labels beside downloaded media: an export, joined with the files by the ids of the media.

JSON and JSON Lines are written as the export arrives, in memory that does not grow with it. The
other formats (`_download_formats`) need all labels at once.

Labels beside downloaded media in the formats of others: all labels at once. It blocks.

Segmentation bitmaps beside downloaded media: those of the media in the manifest alone.

What follows a download once all media are settled: labels and bitmaps.
"""

from __future__ import annotations

import json
from contextlib import aclosing
from typing import TYPE_CHECKING, Final

import attrs

from datagym_async._extras import require_modules
from datagym_async._printable import printable
from datagym_async._runs._decode import require_pillow, size_of
from datagym_async._runs._disk import HashedPart, place_of
from datagym_async._runs._needs import DownloadSources
from datagym_async._threads import in_thread
from datagym_async.downloads._config import DownloadConfig
from datagym_async.downloads._listing import Listing
from datagym_async.downloads._manifest import STATE_FOLDER, Manifest
from datagym_async.downloads._report import DownloadTally
from datagym_async.exports._bitmaps import CONCURRENCY, BitmapSource, check_format, save_bitmaps
from datagym_async.formats import coco, convert
from datagym_async.labels import LabeledTask, to_payload
from datagym_async.resources._work import in_batches

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from pathlib import Path

    from datagym_async._runs._needs import LabelExports
    from datagym_async.exports._bitmaps import Bitmap, BitmapResult
    from datagym_async.models import Project


BATCH: Final = 200
"""Tasks that are joined and written in one go."""


@attrs.frozen
class Labelled:
    """A task and its media's file.

    Args:
        task: The labels.
        file: The file, relative to the folder; empty where it was not downloaded.
    """

    task: LabeledTask
    file: str


async def write_labels(
    exports: LabelExports,
    project: Project,
    manifest: Manifest,
    config: DownloadConfig,
    tally: DownloadTally,
) -> None:
    """Write the labels of a project in all formats that are asked for.

    Args:
        exports: Where the labels come from.
        project: Whose labels.
        manifest: Which file each media has; labels of other media are left out.
        config: Says which formats.
        tally: Told of what was written.

    Raises:
        APIError: They cannot be exported.
        OSError: They cannot be written.
    """
    kept: list[Labelled] = []
    is_kept = any(name in FORMATS for name in config.labels)
    texts = _Texts(manifest)
    try:
        await in_thread(texts.begin, project, config.labels)
        async with (
            aclosing(exports.iter_export(project.id)) as tasks,
            aclosing(in_batches(tasks, BATCH)) as batches,
        ):
            async for batch in batches:
                joined = await in_thread(_join, manifest, batch)
                await in_thread(texts.write, joined)
                tally.labelled += len(joined)
                kept += joined if is_kept else ()
        tally.written += await in_thread(texts.put)
    finally:
        await in_thread(texts.drop)
    for name in config.labels:
        if name in FORMATS:
            found = await in_thread(write_format, name, manifest.root, kept)
            tally.written += found.files
            tally.notes += found.notes


def _join(manifest: Manifest, tasks: Sequence[LabeledTask]) -> list[Labelled]:
    """Return the tasks whose media this download lists, with their files."""
    files = manifest.files_of([task.media_id for task in tasks])
    return [Labelled(task, files[task.media_id]) for task in tasks if task.media_id in files]


@attrs.define
class _Texts:
    """The label files that are written as the labels arrive."""

    manifest: Manifest
    parts: dict[str, HashedPart] = attrs.field(factory=dict)
    is_first: bool = True

    def begin(self, project: Project, formats: Sequence[str]) -> None:
        for name in ("json", "jsonl"):
            if name in formats:
                root = self.manifest.root
                place = root / f"labels.{name}"
                self.parts[name] = HashedPart.begin(root / STATE_FOLDER, place)
        if "json" in self.parts:
            about = json.dumps({"id": project.id, "name": project.name}, ensure_ascii=False)
            self.parts["json"].write([f'{{"project": {about},\n"tasks": ['.encode()])

    def write(self, joined: Sequence[Labelled]) -> None:
        lines = [_line(each) for each in joined]
        if "jsonl" in self.parts:
            self.parts["jsonl"].write([line + b"\n" for line in lines])
        for line in lines if "json" in self.parts else ():
            self.parts["json"].write([b"\n" if self.is_first else b",\n", line])
            self.is_first = False

    def put(self) -> list[str]:
        if "json" in self.parts:
            self.parts["json"].write([b"\n]}\n"])
        for part in self.parts.values():
            part.put()
        return [f"labels.{name}" for name in self.parts]

    def drop(self) -> None:
        for part in self.parts.values():
            part.drop()


def _line(each: Labelled) -> bytes:
    value = {"file": each.file or None, **to_payload(each.task)}
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "backslashreplace")


FORMATS: Final = ("coco", "yolo")


@attrs.frozen
class Written:
    """What a format has made of labels.

    Args:
        files: What was written, relative to the folder.
        notes: What the format cannot hold, in sentences.
    """

    files: list[str]
    notes: list[str]


def require_formats(names: Sequence[str]) -> None:
    """Refuse to begin what could not be ended.

    Raises:
        ConfigurationError: A format needs what is not installed.
    """
    if "yolo" in names:
        require_modules('labels="yolo"', "formats", "labelformat", instead="take another format")


def write_format(name: str, root: Path, labelled: Sequence[Labelled]) -> Written:
    """Write labels in a format; the images in it are the files of the download.

    Args:
        name: One of `FORMATS`.
        root: The folder of the download.
        labelled: The tasks; those whose media was not downloaded are left out.

    Raises:
        FormatError: Something that the format needs is not installed.
        OSError: It cannot be written.
    """
    images = [_of_file(root, each) for each in labelled if each.file]
    if name == "coco":
        file = "labels.coco.json"
        losses = coco.write(images, root / file)
    else:
        file = "labels.yolo"
        losses = convert.write(images, root / file, "yolo", overwrite=True, file_name=str)
    return Written([file], [f"{name}: {loss}" for loss in losses.items])


def _of_file(root: Path, labelled: Labelled) -> LabeledTask:
    """Return a task that is named, and as large, as its media's file is."""
    task, size = labelled.task, size_of(place_of(root, labelled.file))
    width, height = size or (task.width, task.height)
    return attrs.evolve(task, media_name=labelled.file, width=width, height=height)


_BATCH: Final = 500
_NAMED: Final = 20
"""So many failed bitmaps are named in the notes; the count is exact."""


def require_bitmaps() -> None:
    """Refuse to begin what could not be ended.

    Raises:
        ConfigurationError: Pillow is not installed.
    """
    check_format("png")


@attrs.frozen
class _OfThisDownload(BitmapSource):
    """The bitmaps of the media that a manifest lists, named after their files."""

    manifest: Manifest = attrs.field(kw_only=True)

    async def find(self) -> list[Bitmap]:
        """Return the bitmaps that there are."""
        found, kept = await super().find(), []
        for start in range(0, len(found), _BATCH):
            batch = found[start : start + _BATCH]
            ids = [each.media_id for each in batch]
            files = await in_thread(self.manifest.files_of, ids)
            kept += [
                attrs.evolve(each, media_name=files[each.media_id] or each.media_name)
                for each in batch
                if each.media_id in files
            ]
        return kept


async def write_bitmaps(
    sources: DownloadSources,
    project: Project,
    manifest: Manifest,
    config: DownloadConfig,
    tally: DownloadTally,
) -> None:
    """Fetch the bitmaps of a project's finished tasks into the folder ``bitmaps``.

    Args:
        sources: The client's resources.
        project: Whose bitmaps.
        manifest: Which file each media has; bitmaps of other media are left out.
        config: Says whether those that are there are fetched anew (``verify``).
        tally: Told of what became of them.

    Raises:
        APIError: They cannot be listed.
        TransferError: The folder cannot be written to.
    """

    def note(result: BitmapResult) -> None:
        tally.bitmaps += result.outcome != "failed"
        tally.bitmaps_failed += result.outcome == "failed"
        if result.error is not None and tally.bitmaps_failed <= _NAMED:
            name = printable(result.bitmap.media_name)
            tally.notes.append(f"The bitmap {result.bitmap.key!r} of {name!r}: {result.error}")

    await save_bitmaps(
        _OfThisDownload(sources.labels, sources.tasks, project.id, manifest=manifest),
        manifest.root / "bitmaps",
        wanted="png",
        resume=not config.verify,
        concurrency=config.concurrency or CONCURRENCY,
        on_result=note,
    )


def require_extras(config: DownloadConfig) -> None:
    """Refuse to begin what could not be ended for want of an extra.

    Raises:
        ConfigurationError: One is not installed.
    """
    if config.links != "skip":
        require_pillow(f'links="{config.links}"', 'download with links="skip"')
    if config.bitmaps:
        require_bitmaps()
    require_formats(config.labels)


@attrs.frozen
class Endings:
    """Write what was asked for besides the media.

    Args:
        sources: The client's resources.
        listing: Knows the project.
        config: The options.
        tally: Told of what was written.
    """

    _sources: DownloadSources
    _listing: Listing
    _config: DownloadConfig
    _tally: DownloadTally

    def asked(self, manifest: Manifest) -> list[Callable[[], Awaitable[None]]]:
        """Return what is to be done, in order.

        Args:
            manifest: Which file each media has.
        """

        async def labels() -> None:
            if (project := self._listing.project) is not None:
                exports, tally = self._sources.labels, self._tally
                await write_labels(exports, project, manifest, self._config, tally)

        async def bitmaps() -> None:
            if (project := self._listing.project) is not None:
                sources, tally = self._sources, self._tally
                await write_bitmaps(sources, project, manifest, self._config, tally)

        config = self._config
        return [*([labels] if config.labels else []), *([bitmaps] if config.bitmaps else [])]
