"""Labels beside downloaded media: an export, joined with the files by the ids of the media.

JSON and JSON Lines are written as the export arrives, in memory that does not grow with it. The
other formats (`_download_formats`) need all labels at once.
"""

from __future__ import annotations

import json
from contextlib import aclosing
from typing import TYPE_CHECKING, Final

import attrs

from datagym_async.labels import LabeledTask, to_payload
from datagym_async.resources._batches import in_batches
from datagym_async.transfer._download_files import Part
from datagym_async.transfer._download_formats import FORMATS, write_format
from datagym_async.transfer._download_manifest import Manifest
from datagym_async.transfer._download_state import STATE_FOLDER
from datagym_async.transfer._threads import in_thread

if TYPE_CHECKING:
    from collections.abc import Sequence

    from datagym_async.models import Project
    from datagym_async.transfer._download_config import DownloadConfig
    from datagym_async.transfer._download_needs import LabelExports
    from datagym_async.transfer._download_tally import DownloadTally

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
    parts: dict[str, Part] = attrs.field(factory=dict)
    is_first: bool = True

    def begin(self, project: Project, formats: Sequence[str]) -> None:
        for name in ("json", "jsonl"):
            if name in formats:
                self.parts[name] = Part.begin(self.manifest.root / STATE_FOLDER)
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
        for name, part in self.parts.items():
            part.put(self.manifest.root / f"labels.{name}")
        return [f"labels.{name}" for name in self.parts]

    def drop(self) -> None:
        for part in self.parts.values():
            part.drop()


def _line(each: Labelled) -> bytes:
    value = {"file": each.file or None, **to_payload(each.task)}
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "backslashreplace")
