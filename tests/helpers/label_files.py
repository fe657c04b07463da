"""Files of labels made by tests, and what a reader gives of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from datagym_async.formats._losses import Losses

if TYPE_CHECKING:
    from datagym_async.formats._raw import RawDataset, RawImage, RawObject


def picture(path: Path, width: int = 200, height: int = 100, **more: Any) -> None:
    """Write an image, with the folders it lies in."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", (width, height)).save(path, **more)


def text(path: Path, content: str | bytes) -> Path:
    """Write a file, with the folders it lies in."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def read(dataset: RawDataset) -> tuple[list[RawImage], dict[str, int]]:
    """Return all images, and the counts of losses."""
    images, losses = told(dataset)
    return images, {each.kind.value: each.count for each in losses.report().items}


def told(dataset: RawDataset) -> tuple[list[RawImage], Losses]:
    """Return all images, and the losses."""
    losses = Losses()
    return list(dataset.images(losses)), losses


def box(found: RawObject) -> Any:
    """Return its box, which a type checker does not compare with whole numbers."""
    return found.box


def rings(found: RawObject) -> Any:
    """Return its outlines and holes as lists."""
    return [[[*ring] for ring in part] for part in found.parts]
