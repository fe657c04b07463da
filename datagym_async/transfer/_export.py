"""Labels of a project into a file: the formats there are, how far it is, what came of it."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal, TypeAlias

import attrs

from datagym_async.formats import LossKind, LossReport

ExportFormat: TypeAlias = Literal[
    "json", "jsonl", "coco", "yolo", "yolo-seg", "voc", "kitti", "cvat"
]
"""What an export is written as."""

EXPORT_FORMATS: Final[tuple[ExportFormat, ...]] = (
    "json",
    "jsonl",
    "coco",
    "yolo",
    "yolo-seg",
    "voc",
    "kitti",
    "cvat",
)


@attrs.frozen(kw_only=True)
class ExportProgress:
    """How far an export is.

    Args:
        phase: ``"export"`` while labels arrive, ``"sizes"`` while widths and heights of images are
            read, ``"write"`` while the format is written.
        done: How much is done, in `unit`.
        total: Of how much; None where nobody knows.
        unit: ``"bytes"`` for ``"json"``, which is not read, else ``"tasks"``.
    """

    phase: Literal["export", "sizes", "write"]
    done: int = 0
    total: int | None = None
    unit: Literal["bytes", "tasks"] = "tasks"


@attrs.frozen(kw_only=True)
class ExportedLabels:
    """What came of an export.

    Args:
        path: The file or folder that was written.
        format: Its format.
        size: Bytes, of ``"json"`` and ``"jsonl"``; None for others.
        tasks: Number of tasks; None for ``"json"``, which is written as it arrives.
        annotations: Number of shapes, the nested ones too; None for ``"json"``.
        losses: What the format cannot hold.
    """

    path: Path
    format: ExportFormat
    size: int | None = None
    tasks: int | None = None
    annotations: int | None = None
    losses: LossReport = attrs.field(factory=LossReport)

    @property
    def left_out(self) -> int:
        """Return the number of tasks of which nothing was written."""
        kinds = {LossKind.VIDEO, LossKind.SAME_FILE}
        if self.format != "coco":  # which has images of unknown size
            kinds.add(LossKind.SIZE)
        return sum(self.losses.count(kind) for kind in kinds)
