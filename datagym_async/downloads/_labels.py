"""Write labels and bitmaps after a download, joined by media ids.

JSON and JSON Lines are written as the export arrives, in constant memory. The other formats need
all labels at once, and read exact coordinates from the details of each task. Only bitmaps of the
media in the manifest are fetched.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Final, TypeAlias, cast

import attrs

from datagym_async._printable import printable
from datagym_async._runs._disk import HashedPart, path_in
from datagym_async._runs._engine import DownloadSources
from datagym_async._runs._images import require_pillow, stored_size
from datagym_async._threads import in_thread
from datagym_async.downloads._manifest import Manifest
from datagym_async.downloads._plan import CAPTIONS
from datagym_async.downloads._values import DownloadConfig, DownloadTally
from datagym_async.exports._bitmaps import (
    CONCURRENCY,
    Bitmap,
    BitmapResult,
    BitmapSource,
    check_format,
    save_bitmaps,
)
from datagym_async.exports._tasks import TaskSource
from datagym_async.formats import LossReport, WrittenFormat, classes_from, write
from datagym_async.labels import LabelConfig, LabeledTask, to_payload
from datagym_async.labels._payload import OF_DOWNLOADS
from datagym_async.models import Project
from datagym_async.resources._base import in_batches

Labelled: TypeAlias = tuple[LabeledTask, str]
"""A task and its media's file, relative to the folder; empty where it was not downloaded."""

TEXTS: Final = ("json", "jsonl")  # written as the export arrives
_BATCH: Final = 200  # tasks or bitmaps that are joined with their files at once
_NAMED: Final = 20  # failed bitmaps named in the notes; the count is exact


def require_extras(config: DownloadConfig) -> None:
    """Refuse a download that could not be completed because an extra or a file is missing."""
    if config.links != "skip":
        require_pillow(f'links="{config.links}"', 'download with links="skip"')
    if config.bitmaps:
        check_format("png")
    if config.classes is not None:
        classes_from(config.classes)


async def write_labels(
    sources: DownloadSources,
    project: Project,
    manifest: Manifest,
    config: DownloadConfig,
    tally: DownloadTally,
) -> None:
    """Write the labels of a project in some formats, only for media in the manifest."""
    source = TaskSource(sources.labels, sources.tasks, sources.datasets, project.id)
    others = [name for name in config.labels if name not in TEXTS]
    kept: dict[str, str] = {}
    found: list[LabeledTask] = []
    texts = _Texts(manifest)
    try:
        await in_thread(texts.begin, project, config.labels)
        async with (
            aclosing(source.exported()) as tasks,
            aclosing(in_batches(tasks, _BATCH)) as batches,
        ):
            async for batch in batches:
                files = await in_thread(manifest.files_of, [task.media_id for task in batch])
                known = [(one, *files[one.media_id]) for one in batch if one.media_id in files]
                joined = [(one, file if is_there else "") for one, file, is_there in known]
                await in_thread(texts.write, joined)
                tally.labelled += len(joined)
                if others:
                    found += [task for task, file in joined if file]
                    kept |= {task.media_id: file for task, file in joined if file}
        await in_thread(texts.put)
        tally.written += [f"labels.{name}" for name in texts.parts]
    finally:
        await in_thread(texts.drop)
    if not others:
        return
    changed = LossReport()
    if config.exact:

        def note(done: int, total: int) -> None:
            tally.tasks_read = (done, total)

        changed = await source.read(found, note, exact=True)
    labelling = await source.config()
    for name in others:
        file, losses = await in_thread(
            _write_format, name, manifest.root, found, kept, labelling, config
        )
        losses = changed + losses
        tally.written.append(file)
        tally.notes += [f"{name}: {loss}" for loss in losses.items]
        tally.left_out += sum(each.count for each in losses.items if each.kind.is_loss)


@attrs.define
class _Texts:
    """The label files that are written as the labels arrive; blocking."""

    manifest: Manifest
    parts: dict[str, HashedPart] = attrs.field(factory=dict)
    is_first: bool = True

    def begin(self, project: Project, formats: Sequence[str]) -> None:
        for name in TEXTS:
            if name in formats:
                self.parts[name] = self.manifest.part(f"labels.{name}")
        if "json" in self.parts:
            about = json.dumps({"id": project.id, "name": project.name}, ensure_ascii=False)
            self.parts["json"].write([f'{{"project": {about},\n"tasks": ['.encode()])

    def write(self, joined: Sequence[Labelled]) -> None:
        for task, file in joined:
            value = {OF_DOWNLOADS: file or None, **to_payload(task)}
            line = json.dumps(value, ensure_ascii=False).encode("utf-8", "backslashreplace")
            if "jsonl" in self.parts:
                self.parts["jsonl"].write([line, b"\n"])
            if "json" in self.parts:
                self.parts["json"].write([b"\n" if self.is_first else b",\n", line])
            self.is_first = False

    def put(self) -> None:
        if "json" in self.parts:
            self.parts["json"].write([b"\n]}\n"])
        for part in self.parts.values():
            part.put()

    def drop(self) -> None:
        for part in self.parts.values():
            part.drop()


def _write_format(
    name: str,
    root: Path,
    found: Sequence[LabeledTask],
    files: Mapping[str, str],
    labelling: LabelConfig | None,
    config: DownloadConfig,
) -> tuple[str, LossReport]:
    """Write labels in a format, with the downloaded files as images; return file and losses."""
    images = []
    for task in found:
        file = files[task.media_id]
        width, height = stored_size(path_in(root, file)) or (task.width, task.height)
        images.append(attrs.evolve(task, media_name=file, width=width, height=height))
    is_file = name == "coco" and config.split is None
    if is_file:  # of an earlier run; it is written only if there are captions
        (root / CAPTIONS).unlink(missing_ok=True)
    target = f"labels.{name}{'.json' if is_file else ''}"
    losses = write(
        images,
        root / target,
        cast("WrittenFormat", name),
        config=labelling or (),
        classes=config.classes or (),
        clip=config.clip,
        zero_based=config.zero_based,
        # Linked into the folder of the labels, where trainers expect them.
        images_from=None if is_file else lambda one: path_in(root, one.media_name),
        split=config.split,
        group=config.group,
        overwrite=True,
        keep_others=True,
    )
    return target, losses


@attrs.frozen
class _OfThisDownload(BitmapSource):
    """The bitmaps of the media that a manifest lists, named after their files, there or not."""

    manifest: Manifest = attrs.field(kw_only=True)

    async def find(self) -> list[Bitmap]:
        found, kept = await super().find(), []
        for start in range(0, len(found), _BATCH):
            batch = found[start : start + _BATCH]
            files = await in_thread(self.manifest.files_of, [each.media_id for each in batch])
            kept += [
                attrs.evolve(each, media_name=files[each.media_id][0])
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
    """Fetch the bitmaps of a project's finished tasks into ``bitmaps``; with ``verify`` all again.

    Those of media that are not in the manifest are left out. A folder that cannot be written to
    raises a `TransferError`.
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
