"""How images become arrays, and how labels turn with them."""

from __future__ import annotations

import io
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from datagym_async.data import LoaderConfig, Sample
from datagym_async.data._samples import decoded, turned, weigh
from datagym_async.exceptions import ConfigurationError
from datagym_async.labels import (
    Annotation,
    Incomplete,
    LabeledTask,
    Line,
    Point,
    Polygon,
    Rectangle,
    Segmentation,
)
from datagym_async.models import DatasetMedia, MediaSourceType, TaskState

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from datagym_async.data._config import Decode, DType


def stored(image: Image.Image, form: str = "PNG", **options: object) -> bytes:
    """Return an image as a file."""
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def wide_colours(kind: int, values: tuple[int, ...]) -> bytes:
    """Return a PNG of one pixel with 16 bits a value, which Pillow cannot write."""
    buffer = io.BytesIO()
    buffer.write(b"\x89PNG\r\n\x1a\n")
    size = (1).to_bytes(4, "big")
    PngImagePlugin.putchunk(buffer, b"IHDR", size, size, bytes([16, kind, 0, 0, 0]))
    pixels = b"\0" + b"".join(value.to_bytes(2, "big") for value in values)
    PngImagePlugin.putchunk(buffer, b"IDAT", zlib.compress(pixels))
    PngImagePlugin.putchunk(buffer, b"IEND")
    return buffer.getvalue()


def array_of(content: bytes, dtype: DType = "uint8") -> NDArray[Any]:
    """Return the array of a file."""
    data = decoded(content, LoaderConfig(decode="numpy", dtype=dtype)).data
    assert isinstance(data, np.ndarray)
    return data


RAMP = np.arange(0, 65536, 257, dtype=np.uint16).reshape(16, 16)
GRAY = stored(Image.fromarray(RAMP))
HALF = stored(Image.new("RGBA", (2, 1), (200, 100, 0, 51)))
PALETTE = Image.new("P", (2, 1))
PALETTE.putpalette([10, 20, 30, 40, 50, 60])
PALETTE.putdata([0, 1])
JPEG = stored(Image.new("RGB", (64, 64)), "JPEG")
# Its 25th byte, where a PNG has its depth, is 16.
COMMENTED = JPEG[:2] + b"\xff\xfe\0\x20" + bytes([16] * 30) + JPEG[2:]


def test_gray_of_16_bits_keeps_its_middle() -> None:
    """The upper 8 bits count, or all 16 are kept: a mean of 32,767 is 127 and not white."""
    array = array_of(GRAY)

    assert array.dtype == np.uint8
    assert (array.shape, int(array.mean())) == ((16, 16, 3), 127)
    assert (array[..., 0] == RAMP >> 8).all()
    assert (array[..., 0] == array[..., 2]).all()
    kept = array_of(GRAY, "keep")
    assert kept.dtype == np.uint16
    assert (kept == RAMP).all()


@pytest.mark.parametrize(
    ("content", "pixels"),
    [
        (HALF, [[[244, 224, 204]] * 2]),
        (stored(Image.new("LA", (1, 1), (100, 51))), [[[224] * 3]]),
        (stored(PALETTE), [[[10, 20, 30], [40, 50, 60]]]),
        (stored(PALETTE, transparency=0), [[[255] * 3, [40, 50, 60]]]),
        (stored(Image.new("L", (1, 1), 7), transparency=7), [[[255] * 3]]),
        (stored(Image.new("1", (1, 1), 1)), [[[255] * 3]]),
        (wide_colours(2, (0x01FF, 0x80FF, 0xFF00)), [[[1, 0x80, 0xFF]]]),
        (wide_colours(6, (0, 0, 0, 0)), [[[255] * 3]]),
    ],
)
def test_arrays_of_bytes_are_rgb(content: bytes, pixels: list[object]) -> None:
    """A palette gives its colours, transparency lies on white, 16 bits give their upper 8."""
    array = array_of(content)

    assert array.dtype == np.uint8
    assert array.tolist() == pixels


@pytest.mark.parametrize(
    ("content", "pixels"),
    [
        (HALF, [[[200, 100, 0, 51]] * 2]),
        (stored(Image.new("LA", (1, 1), (100, 51))), [[[100, 51]]]),
        (stored(PALETTE), [[[10, 20, 30], [40, 50, 60]]]),
        (stored(PALETTE, transparency=0), [[[10, 20, 30, 0], [40, 50, 60, 255]]]),
        (stored(Image.new("L", (1, 1), 7), transparency=7), [[[7, 0]]]),
        (stored(Image.new("L", (1, 1), 7)), [[7]]),
        (stored(Image.new("1", (1, 1), 1)), [[255]]),
    ],
)
def test_arrays_that_keep_have_the_channels_that_are_stored(
    content: bytes, pixels: list[object]
) -> None:
    """Gray stays gray, and alpha is a channel."""
    array = array_of(content, "keep")

    assert array.dtype == np.uint8
    assert array.tolist() == pixels


def test_what_pillow_cannot_keep_is_an_error() -> None:
    """Colours of 16 bits are not called kept when 8 of them are."""
    for kind, values in ((2, (1, 2, 3)), (4, (1, 2)), (6, (1, 2, 3, 4))):
        with pytest.raises(ValueError, match="Pillow keeps 8"):
            array_of(wide_colours(kind, values), "keep")


@pytest.mark.parametrize(
    ("content", "mode", "loss"),
    [
        (GRAY, "I;16", "upper 8 of the 16 bits"),
        (wide_colours(2, (1, 2, 3)), "RGB;16", "upper 8 of the 16 bits"),
        (wide_colours(6, (1, 2, 3, 4)), "RGBA;16", "upper 8 of the 16 bits"),
        (COMMENTED, "RGB", ""),
        (HALF, "RGBA", "on white"),
        (stored(Image.new("RGBA", (2, 1))), "RGBA", "on white"),
        (stored(Image.new("RGBA", (2, 1), "red")), "RGBA", ""),
        (stored(PALETTE), "P", ""),
        (stored(Image.new("CMYK", (2, 1)), "JPEG"), "CMYK", ""),
    ],
)
def test_how_an_image_is_stored_is_told(content: bytes, mode: str, loss: str) -> None:
    """The mode has its bits, and what an array does not hold is said."""
    image = decoded(content, LoaderConfig(decode="numpy"))

    assert (image.mode, image.orientation) == (mode, 1)
    assert loss in image.loss
    assert bool(loss) == bool(image.loss)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("form", ["JPEG", "PNG"])
def test_labels_turn_with_their_image(orientation: int, form: str) -> None:
    """What was outlined is outlined in the turned image: the bright block of a dark one."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = Image.new("L", (64, 32), 0)
    image.paste(255, (8, 16, 24, 24))  # the edges of the block are those of JPEG's blocks
    content = stored(image, form, exif=exif)
    corners = [(8, 16), (24, 16), (24, 24), (8, 24)]
    box = Annotation("inner", Rectangle(8, 16, 16, 8))
    task = LabeledTask(
        state=TaskState.COMPLETED,
        width=64,
        height=32,
        annotations=(
            Annotation("box", Rectangle(8, 16, 16, 8), nested=(box,)),
            Annotation("outline", Polygon(corners)),
            Annotation("segment", Segmentation([corners])),
            Annotation("line", Line([(8, 16), (24, 24)])),
            Annotation("point", Point(16, 20)),
            Annotation("gap", Incomplete(None, {"x": None})),
        ),
    )

    found = decoded(content, LoaderConfig(decode="numpy", orientation="apply"))
    labels = turned(task, found.orientation, found.size)

    assert found.orientation == orientation
    assert isinstance(found.data, np.ndarray)
    assert (labels.height, labels.width) == found.data.shape[:2]
    rows, columns = np.nonzero(found.data[..., 0] > 128)
    bright = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
    *shapes, point, gap = [each.shape for each in labels.walk()]
    for shape in shapes:
        assert not isinstance(shape, Incomplete)
        assert shape.bounds == bright
    assert point == Point((bright[0] + bright[2]) / 2, (bright[1] + bright[3]) / 2)
    assert gap == task.annotations[-1].shape


def test_the_orientation_is_kept_unless_asked() -> None:
    """By default it is told, and the image is as the service shows and labels it."""
    exif = Image.Exif()
    exif[0x0112] = 6
    content = stored(Image.new("RGB", (8, 4)), "JPEG", exif=exif)
    kept = decoded(content, LoaderConfig(decode="pillow"))
    shown = decoded(content, LoaderConfig(decode="pillow", orientation="apply"))

    assert (kept.orientation, shown.orientation) == (6, 6)
    assert [getattr(each.data, "size", None) for each in (kept, shown)] == [(8, 4), (4, 8)]


@pytest.mark.parametrize("decode", ["pillow", "numpy"])
def test_an_image_that_is_cut_off_is_an_error_here(decode: Decode) -> None:
    """And not where its pixels are first looked at, which nothing handles."""
    with pytest.raises(OSError, match="truncated"):
        decoded(JPEG[:-20], LoaderConfig(decode=decode))


@pytest.mark.parametrize(
    ("value", "weight", "shown"),
    [
        (b"12345", 5, "<bytes 5>"),
        (bytearray(5), 5, "<bytearray 5>"),
        (np.zeros((2, 3)).data, 48, "<memoryview (2, 3)>"),
        (np.zeros((4, 5, 3), np.uint8), 60, "<ndarray (4, 5, 3)>"),
        (Image.new("RGB", (5, 4)), 60, "<Image (5, 4)>"),
        (Image.new("L", (5, 4)), 20, "<Image (5, 4)>"),
        ([b"12", (b"345",)], 5, "<list 5>"),
        ({"a": b"12", "b": [b"345"]}, 5, "<dict 5>"),
    ],
)
def test_a_value_weighs_what_its_data_do(value: object, weight: int, shown: str) -> None:
    """Whatever a transform makes of them; and what is shown of a sample is short."""
    sample = Sample(0, 0, DatasetMedia("a", 0, MediaSourceType.LOCAL, "a.jpg"), value)

    assert weigh(value) == weigh(sample) == weigh([sample]) == weight
    assert f"data={shown}, " in repr(sample)


def test_a_broken_exif_does_not_lose_an_image() -> None:
    """Nobody can read its orientation, and the pixels are fine."""
    content = stored(Image.new("RGB", (8, 4)), exif=b"Exif\0\0nonsense")

    assert decoded(content, LoaderConfig(decode="numpy")).orientation == 1


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"dtype": "float"}, "dtype is 'float'"),
        ({"orientation": "turn"}, "orientation is 'turn'"),
        ({"decode": "pillow", "dtype": "keep"}, 'add decode="numpy"'),
        ({"orientation": "apply"}, 'decode="numpy" or decode="pillow"'),
    ],
)
def test_options_that_mean_nothing_are_refused(options: dict[str, str], words: str) -> None:
    """An option that would not count is an error, with what to add."""
    with pytest.raises(ConfigurationError, match=words):
        LoaderConfig(**options)  # type: ignore[arg-type]
