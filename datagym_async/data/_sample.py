"""`Sample`, and how the bytes of a media become what it holds. Blocking; run in a thread."""

from __future__ import annotations

import io
import sys
from typing import TYPE_CHECKING, Any

import attrs

from datagym_async.labels import LabeledTask
from datagym_async.models import DatasetMedia

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image

    from datagym_async.data._config import Decode


def _shown(data: object) -> str:
    size = getattr(data, "shape", None) or getattr(data, "size", None)
    return f"<{type(data).__name__} {size if size is not None else weigh(data)}>"


@attrs.frozen
class Sample:
    """One media with its labels.

    Args:
        index: Its number in the dataset, whatever the shuffle: media are counted from 0 in the
            order of their ids.
        epoch: Number of the epoch, from 0.
        media: The media.
        data: Its bytes, a PIL image or an array, as `decode` says.
        labels: Its labels as exported; None where there are none, or no project was given.
    """

    index: int
    epoch: int
    media: DatasetMedia
    data: Any = attrs.field(repr=_shown, eq=False)
    labels: LabeledTask | None = None


def decoded(data: bytes, decode: Decode) -> bytes | Image | NDArray[np.uint8]:
    """Return the bytes of an image as what was asked for.

    Raises:
        Exception: Whatever Pillow says of an image that it cannot read.
    """
    if decode == "bytes":
        return data
    from PIL import Image

    with Image.open(io.BytesIO(data), formats=("JPEG", "PNG")) as image:
        image.load()
        if decode == "pillow":
            return image
        import numpy as np

        return np.array(image.convert("RGB"), dtype=np.uint8)


def weigh(value: object) -> int:
    """Return about how many bytes a value holds in memory."""
    if isinstance(value, bytes):
        return len(value)
    if isinstance(value, Sample):
        return weigh(value.data)
    if isinstance(value, bytearray | memoryview):
        return len(value)
    nbytes = getattr(value, "nbytes", None)  # arrays and tensors
    if isinstance(nbytes, int):
        return nbytes
    if isinstance(value, list | tuple):
        return sum(map(weigh, value))
    if isinstance(value, dict):
        return sum(map(weigh, value.values()))
    return _weigh_image(value)


def _weigh_image(value: object) -> int:
    bands = getattr(value, "getbands", None)
    size = getattr(value, "size", None)
    if bands is None or not isinstance(size, tuple):
        return sys.getsizeof(value)
    width, height = size
    return int(width) * int(height) * len(bands())
