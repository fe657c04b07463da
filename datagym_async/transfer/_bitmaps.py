"""Segmentation bitmaps: which there are, where they go, and what became of each."""

from __future__ import annotations

from collections import Counter
from contextlib import aclosing
from pathlib import Path  # attrs may want it at run time
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias
from urllib.parse import unquote_plus, urlsplit

import attrs

from datagym_async.exceptions import APIError, APIResponseValidationError, ConfigurationError
from datagym_async.models import EntryType, TaskState
from datagym_async.transfer._download_names import folded_name, numbered, safe_name

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable, Iterator, Sequence

    from datagym_async.labels import LabeledTask
    from datagym_async.models import LabelEntry, Task, TaskDetail
    from datagym_async.resources._task_queries import States

BitmapFormat: TypeAlias = Literal["png", "bmp"]
BitmapOutcome: TypeAlias = Literal["saved", "skipped", "failed"]

FINISHED = (TaskState.COMPLETED, TaskState.SKIPPED, TaskState.REVIEWED)
"""The states of tasks that have bitmaps; the service refuses those of others."""


class BitmapLabels(Protocol):
    """Give exports and bitmaps; `LabelsResource` does."""

    def iter_export(self, project_id: str) -> AsyncGenerator[LabeledTask, None]:
        """Give the labels of each task."""
        ...

    async def bitmap(self, task_id: str, export_key: str) -> bytes:
        """Return one bitmap."""
        ...


class BitmapTasks(Protocol):
    """Give tasks; `TasksResource` does."""

    def iter(self, project_id: str, *, state: States = None) -> AsyncGenerator[Task, None]:
        """Give the tasks of a project."""
        ...

    async def get(self, task_id: str) -> TaskDetail:
        """Return one task."""
        ...


@attrs.frozen
class Bitmap:
    """A bitmap that the service can be asked for.

    Args:
        task_id: UUID of the task.
        key: Key of the segmentation's entry.
        media_id: UUID of the media.
        media_name: Name of the media, decoded; not unique.
    """

    task_id: str
    key: str
    media_id: str
    media_name: str


@attrs.frozen
class BitmapResult:
    """What became of one bitmap.

    Args:
        bitmap: Which one.
        outcome: ``"saved"``, ``"skipped"`` because its file was there, or ``"failed"``.
        path: Its file, whether it is there or not.
        error: Why it failed, or None.
    """

    bitmap: Bitmap
    outcome: BitmapOutcome
    path: Path
    error: APIError | None = attrs.field(default=None, eq=False)


@attrs.frozen(kw_only=True)
class BitmapReport:
    """What became of all bitmaps of a project.

    Args:
        folder: Where they are.
        results: One result a bitmap, in the order in which they were settled.
        complete: Whether each of them was settled.
    """

    folder: Path
    results: tuple[BitmapResult, ...] = attrs.field(default=(), repr=False)
    complete: bool = True

    @property
    def counts(self) -> Counter[BitmapOutcome]:
        """Return how many there are of each outcome."""
        return Counter(result.outcome for result in self.results)

    @property
    def failed(self) -> tuple[BitmapResult, ...]:
        """Return the results of those that could not be had."""
        return tuple(result for result in self.results if result.outcome == "failed")

    @property
    def ok(self) -> bool:
        """Return whether all of them are in the folder."""
        return self.complete and not self.failed


async def find_bitmaps(
    labels: BitmapLabels, tasks: BitmapTasks, project_id: str, keys: Sequence[str] | None
) -> AsyncGenerator[Bitmap, None]:
    """Give the bitmaps of a project's finished tasks.

    Without keys those in which something is segmented, as the export names them; with keys those of
    every task, black ones included.

    Raises:
        ConfigurationError: One of the keys is not of an image segmentation.
        APIError: The service cannot be asked, or refuses.
    """
    if keys is None:
        async with aclosing(labels.iter_export(project_id)) as exported:
            async for each in exported:
                for url in each.segmentations:
                    yield Bitmap(*_named_by(url), each.media_id, each.media_name)
        return
    wanted: Sequence[str] = ()
    async with aclosing(tasks.iter(project_id, state=FINISHED)) as finished:
        async for task in finished:
            wanted = wanted or _known_keys(keys, (await tasks.get(task.id)).label_config.entries)
            for key in wanted:
                yield Bitmap(task.id, key, task.media_id, task.media_name)


def _named_by(url: str) -> tuple[str, str]:
    """Return the task and the key that a bitmap's URL ends with.

    Raises:
        APIResponseValidationError: It is no such URL.
    """
    parts = urlsplit(url).path.split("/")
    if len(parts) < 2:
        raise APIResponseValidationError("The export names a bitmap by what is no URL of one.")
    return parts[-2], unquote_plus(parts[-1])


def _known_keys(keys: Iterable[str], entries: Iterable[LabelEntry]) -> list[str]:
    there = [each.key for each in entries if each.type is EntryType.IMAGE_SEGMENTATION]
    wanted = list(dict.fromkeys(key.lower() for key in keys))
    for key in wanted:
        if key not in there:
            named = ", ".join(map(repr, there)) or "none"
            raise ConfigurationError(
                f"The key {key!r} is not that of an image segmentation of the project; it has"
                f" {named}."
            )
    return wanted


def placed(bitmaps: Sequence[Bitmap], suffix: str) -> Iterator[tuple[Bitmap, Path]]:
    """Give each bitmap a file of its own, below a folder for its key, named like its media.

    The same media get the same names in any order; where two of one key would have the same, each
    has the beginning of its task's id in it.
    """
    bare = Counter(_folded(_path(each, suffix)) for each in bitmaps)
    taken: set[str] = set()
    for each in bitmaps:
        path = _path(each, suffix)
        if bare[_folded(path)] > 1:
            path = _path(each, suffix, mark=f"-{each.task_id[:8]}")
        first, number = path, 1
        while _folded(path) in taken:
            number += 1
            path = first.with_name(numbered(first.name, number))
        taken.add(_folded(path))
        yield each, path


def _path(bitmap: Bitmap, suffix: str, *, mark: str = "") -> Path:
    stem, _, _ = bitmap.media_name.rpartition(".")
    name = safe_name(f"{stem or bitmap.media_name}{mark}.{suffix}")
    return Path(safe_name(bitmap.key)) / name


def _folded(path: Path) -> str:
    return f"{folded_name(path.parent.name)}/{folded_name(path.name)}"
