"""What reading a file of another format gives."""

from __future__ import annotations

from typing import Final

import attrs

from datagym_async.formats._losses import LossReport
from datagym_async.labels import LabeledImage

CARRIED: Final = "coco"
"""Member of `Annotation.extra` for what COCO knows and the service does not."""


def _few(images: tuple[LabeledImage, ...]) -> str:
    return f"<{len(images)} images>"


@attrs.frozen
class Conversion:
    """Label values made of a file, and what got lost.

    Args:
        images: The images in the order of the file, also those without labels.
        losses: What the service cannot hold, even where the values still carry it for the way back
            (`Annotation.extra`).
    """

    images: tuple[LabeledImage, ...] = attrs.field(converter=tuple[LabeledImage, ...], repr=_few)
    losses: LossReport
