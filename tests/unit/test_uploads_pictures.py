"""Arrays and PIL images as items: which bytes are sent, and what is refused at once."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from datagym_async.exceptions import ConfigurationError
from datagym_async.uploads import UploadItem
from datagym_async.uploads.plan import Job
from datagym_async.uploads.sources import Candidate, Rules, Stream, check_sources, leaves

GREY = np.arange(48, dtype=np.uint8).reshape(6, 8)
RGB = np.stack([GREY, GREY * 2, GREY * 3], axis=-1)
RGBA = np.dstack([RGB, GREY * 5])


def planned(source: object) -> Candidate:
    """Return the one candidate of a source."""
    ((candidate,),) = [leaf for leaf in leaves(source, Rules()) if not isinstance(leaf, Stream)]
    return candidate


def opened(item: UploadItem) -> Image.Image:
    """Return the picture that is sent for an item."""
    candidate = planned(item)
    assert (candidate.refusal, candidate.item.name) == ("", item.name)
    assert candidate.item.data is not None
    assert candidate.size == len(candidate.item.data)
    return Image.open(io.BytesIO(candidate.item.data))


@pytest.mark.parametrize("array", [GREY, RGB, RGBA, RGB[::-1, ::2], np.asfortranarray(RGB)])
def test_an_array_becomes_a_png_pixel_by_pixel(array: np.ndarray[Any, np.dtype[np.uint8]]) -> None:
    """Whatever its order in memory; a PNG loses nothing."""
    image = opened(UploadItem("a.png", array))

    assert image.format == "PNG"
    assert np.array_equal(np.asarray(image), array)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("a.jpg", "JPEG"), ("A.JPEG", "JPEG"), ("a.png", "PNG"), ("frame 7", "PNG"), ("a.bmp", "PNG")],
)
@pytest.mark.parametrize("image", [RGB, Image.fromarray(RGB)], ids=["array", "image"])
def test_the_name_says_which_format(name: str, expected: str, image: Any) -> None:
    """The names of JPEG files give a JPEG, of good quality and of the same size; others a PNG."""
    found = opened(UploadItem(name, image))

    assert (found.format, found.size) == (expected, (8, 6))
    assert np.abs(np.asarray(found).astype(int) - RGB).max() < 12


def test_the_same_pixels_give_the_same_bytes() -> None:
    """So that a run that resumes knows what it has sent."""
    one, two = (planned(UploadItem("a.jpg", each)).item.data for each in (RGB, RGB.copy()))

    assert one == two


def test_an_array_is_copied() -> None:
    """The buffer of a camera is filled again before its frame is sent."""
    buffer = RGB.copy()
    item = UploadItem("a.png", buffer)
    buffer[:] = 0

    assert np.array_equal(np.asarray(opened(item)), RGB)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_modes_of_images_stay_in_a_png(mode: str) -> None:
    """None is turned into another in silence."""
    image = Image.new(mode, (5, 4))

    assert opened(UploadItem("a.png", image)).mode == mode


def test_a_colour_profile_stays_and_other_metadata_does_not() -> None:
    """Colours look as they did; a turn that the service ignores is not claimed."""
    image = Image.new("RGB", (5, 4))
    image.info["icc_profile"] = b"profile"
    image.getexif()[0x0112] = 6

    found = opened(UploadItem("a.jpg", image))

    assert found.info.get("icc_profile") == b"profile"
    assert dict(found.getexif()) == {}


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.png", RGB.astype(np.float32), "is of uint8, height x width.*this one is of float32"),
        ("a.png", RGB.astype(np.uint16), "this one is of uint16, 6 x 8 x 3"),
        ("a.png", np.moveaxis(RGB, -1, 0), "this one is of uint8, 3 x 6 x 8"),
        ("a.png", GREY[0], "this one is of uint8, 8"),
        ("a.png", np.uint8(7) + np.zeros((), np.uint8), "not uint8"),
        ("a.png", GREY[:0], "array of an image is empty"),
        ("a.jpg", RGBA, "mode RGBA cannot be sent as a JPEG.*or name it .png"),
        ("a.jpg", Image.new("P", (2, 2)), "mode P cannot be sent as a JPEG"),
        ("a.png", Image.new("CMYK", (2, 2)), "mode CMYK cannot be sent as a PNG"),
        ("a.png", Image.new("F", (2, 2)), "mode F cannot be sent as a PNG"),
        ("a.png", Image.new("I", (2, 2)), "mode I cannot be sent as a PNG"),
        (None, RGB, "needs a name"),
        (None, Image.new("L", (2, 2)), "needs a name"),
        (Path("p.jpg"), b"x", "The name of an UploadItem is a text.*not [A-Za-z]*Path"),
        (b"p.jpg", b"x", "not bytes"),
        ("a.png", {"a": 1}, "takes a path, bytes, an open file, a numpy array.*not dict"),
        ("a.png", None, "not NoneType"),
    ],
)
def test_what_cannot_be_an_item_is_refused_when_it_is_made(
    name: Any, content: Any, words: str
) -> None:
    """A slip shows where it was made, and not in the report of a run."""
    with pytest.raises(ConfigurationError, match=words):
        UploadItem(name, content)


def test_an_image_of_a_file_has_its_name(tmp_path: Path) -> None:
    """An image that was opened from a file is a source by itself, as an open file is."""
    Image.fromarray(RGB).save(tmp_path / "photo.png")
    with Image.open(tmp_path / "photo.png") as image:
        check_sources(image)
        candidate = planned(image)

    assert candidate.item.name == "photo.png"
    assert candidate.item.origin == "an image"
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(candidate.item.data or b""))), RGB)


def test_an_image_that_cannot_be_read_is_a_refused_item(tmp_path: Path) -> None:
    """A file that is cut off is its own item's fault."""
    path = tmp_path / "cut.png"
    Image.fromarray(np.random.default_rng(7).integers(0, 255, (90, 90), np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[:500])
    with Image.open(path) as image:
        candidate = planned(UploadItem("cut.png", image))

    assert candidate.refusal.startswith("cut.png cannot be encoded: ")
    assert candidate.item.file is None


def test_a_report_keeps_no_pixels() -> None:
    """Nor is a picture taken for bytes or for a path."""
    item = UploadItem("a.png", RGB, origin="camera 1")

    assert (item.data, item.path, item.url, item.source) == (None, None, None, "camera 1")
    assert item.without_data().file is None
    assert repr(item) == "UploadItem(name='a.png', content=<0 bytes>, origin='camera 1')"


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (RGB, 'an array of pixels needs a name: UploadItem("a.png", array)'),
        (GREY[0], "an array of pixels needs a name"),
        (Image.new("L", (2, 2)), 'an image without a file needs a name: UploadItem("a.png", image'),
        (b"x", "(bytes need a name: UploadItem(name, data))"),
        (bytearray(b"x"), "(bytes need a name: UploadItem(name, data))"),
        ({"a.jpg": b"x"}, "[UploadItem(name, image) for name, image in images.items()]"),
        (None, "A source cannot be of the type NoneType."),
        (7, "A source cannot be of the type int."),
    ],
)
def test_what_names_no_image_is_refused_at_once(source: object, words: str) -> None:
    """Nothing is iterated over; in a collection it is one refused item, and the others count."""
    with pytest.raises(ConfigurationError) as caught:
        check_sources(source)
    candidate = planned([source])

    assert words in str(caught.value)
    assert candidate.refusal
    assert candidate.whole_source


class Table:
    """What looks like an array of another library: a tensor, or a table of columns."""

    ndim = 2

    def __array__(self) -> Any:
        raise AssertionError("it is not looked into")

    def __iter__(self) -> Any:
        raise AssertionError("it is not iterated over")


def test_a_journal_does_not_look_into_arrays() -> None:
    """What is refused in a collection is named by its kind: pixel by pixel it took minutes."""
    large = np.zeros((2000, 2000, 3), np.uint8)

    job = Job.of("http://127.0.0.1:9", "d", [large, {"a.jpg": b"x"}, "b.jpg"])

    assert job.sources.startswith("<ndarray>, <dict>, ")
    assert job.count == 3


def test_tensors_and_tables_are_refused_and_columns_of_paths_are_not() -> None:
    """A row is no source; an array of texts is a collection of paths."""
    paths = np.array(["a.jpg", "b.jpg"])

    with pytest.raises(ConfigurationError, match="of the type Table; an array of pixels needs"):
        check_sources(Table())
    check_sources(paths)
    check_sources(paths.astype(object))
    assert len([*leaves(paths, Rules())]) == 2
