"""How images are prepared: which are sent as they are, what becomes of the others, and where."""

from __future__ import annotations

import io
import os
import pickle
import sys
import threading
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image, PngImagePlugin

from datagym_async import ConfigurationError, UploadConfig, UploadItem
from datagym_async._runs._images import Prepared, Steps, prepare, serve_on
from datagym_async.uploads import Outcome, _reading
from datagym_async.uploads._reading import Preparer, Workers
from datagym_async.uploads._screening import Screening
from datagym_async.uploads.plan import Planned
from tests.helpers.photos import gif, half_jpeg, jpeg

if TYPE_CHECKING:
    from collections.abc import Iterator

ALL = Steps(orientation=True, convert=True, resize=64)
TURN, CONVERT, SHRINK = Steps(orientation=True), Steps(convert=True), Steps(resize=64)
SIZE = (100, 60)


def picture(mode: str = "RGB", size: tuple[int, int] = SIZE) -> Image.Image:
    """Return a picture whose upper left corner is dark."""
    if mode in {"F", "I", "I;16", "LAB"}:
        return Image.new(mode, size)
    image = Image.linear_gradient("L").resize(size)
    return image.convert("RGB").convert(mode)


def encoded(image: Image.Image, kind: str, orientation: int = 0, **options: Any) -> bytes:
    """Return a file of a picture."""
    if orientation:
        exif = Image.Exif()
        exif[0x0112] = orientation
        exif[0x010F] = "a camera"
        options["exif"] = exif.tobytes()
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def opened(found: Prepared) -> Image.Image:
    """Return the picture that was made."""
    assert found.data is not None, found
    return Image.open(io.BytesIO(found.data))


@pytest.mark.parametrize(
    ("data", "steps"),
    [
        pytest.param(encoded(picture(), "JPEG"), TURN, id="upright"),
        pytest.param(encoded(picture(), "JPEG", 1), TURN, id="said-to-be-upright"),
        pytest.param(encoded(picture(), "PNG"), TURN, id="png"),
        pytest.param(encoded(picture(), "JPEG", 6), CONVERT, id="turned-and-not-asked-for"),
        pytest.param(encoded(picture(), "PNG"), CONVERT, id="png-is-taken"),
        pytest.param(encoded(picture(size=(64, 64)), "JPEG"), SHRINK, id="just-so-large"),
        pytest.param(encoded(picture(), "WEBP"), SHRINK, id="kind-not-asked-for"),
        pytest.param(b"hello", ALL, id="no-image"),
        pytest.param(encoded(picture(size=(40, 30)), "JPEG"), ALL, id="nothing-to-do"),
    ],
)
def test_what_needs_no_step_is_sent_as_it_is(data: bytes, steps: Steps) -> None:
    """Byte for byte."""
    assert prepare(data, steps) == Prepared()


@pytest.mark.parametrize(
    ("data", "steps", "kind", "mode"),
    [
        pytest.param(encoded(picture(), "JPEG", 6), TURN, "JPEG", "RGB", id="jpeg"),
        pytest.param(encoded(picture("L"), "JPEG", 8), TURN, "JPEG", "L", id="grey"),
        pytest.param(encoded(picture("CMYK"), "JPEG", 5), TURN, "JPEG", "CMYK", id="cmyk"),
        pytest.param(encoded(picture("P"), "PNG", 6), TURN, "PNG", "P", id="png-palette"),
        pytest.param(encoded(picture("I;16"), "PNG", 6), TURN, "PNG", "I;16", id="png-16-bit"),
        pytest.param(encoded(picture(), "WEBP", 6), CONVERT, "JPEG", "RGB", id="webp"),
        pytest.param(encoded(picture(), "TIFF", 6), CONVERT, "PNG", "RGB", id="tiff"),
    ],
)
def test_what_is_encoded_anew_is_upright(data: bytes, steps: Steps, kind: str, mode: str) -> None:
    """It has no EXIF that could turn it once more."""
    image = opened(prepare(data, steps))

    assert (image.format, image.mode, image.size) == (kind, mode, SIZE[::-1])
    assert not dict(image.getexif())


@pytest.mark.parametrize("orientation", range(2, 9))
def test_each_orientation_shows_what_a_viewer_shows(orientation: int) -> None:
    """Pillow's own word on it is what the pixels are compared with."""
    from PIL import ImageOps

    data = encoded(picture().rotate(30), "PNG", orientation)

    expected = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))

    assert opened(prepare(data, TURN)).tobytes() == expected.tobytes()


@pytest.mark.parametrize(
    ("data", "kind", "mode", "warning"),
    [
        pytest.param(encoded(picture(), "BMP"), "PNG", "RGB", "", id="bmp"),
        pytest.param(gif(), "PNG", "P", "", id="gif"),
        pytest.param(
            encoded(picture("P"), "GIF", save_all=True, append_images=[picture("L").convert("P")]),
            *("PNG", "P", "Only the first of its 2 pictures is used."),
            id="animation",
        ),
        pytest.param(encoded(picture(), "WEBP"), "JPEG", "RGB", "", id="lossy-webp"),
        pytest.param(
            encoded(picture(), "WEBP", lossless=True), "PNG", "RGB", "", id="lossless-webp"
        ),
        pytest.param(
            encoded(Image.new("RGBA", SIZE, (1, 2, 3, 4)), "WEBP"),
            *("PNG", "RGBA", ""),
            id="clear-webp",
        ),
        pytest.param(encoded(picture("1"), "TIFF"), "PNG", "1", "", id="tiff-black-and-white"),
        pytest.param(encoded(picture("RGBA"), "TIFF"), "PNG", "RGBA", "", id="tiff-clear"),
        pytest.param(encoded(picture("I;16"), "TIFF"), "PNG", "I;16", "", id="tiff-16-bit"),
        pytest.param(
            encoded(picture("CMYK"), "TIFF"),
            *("PNG", "RGB", "Its colours were converted from CMYK to RGB."),
            id="tiff-cmyk",
        ),
    ],
)
def test_what_other_kinds_become(data: bytes, kind: str, mode: str, warning: str) -> None:
    """A photograph becomes a JPEG, all else a PNG; what that cannot hold is told."""
    found = prepare(data, CONVERT)

    image = opened(found)
    assert (image.format, image.mode) == (kind, mode)
    assert found.warnings == ((warning,) if warning else ())
    assert prepare(data, CONVERT) == found


def test_pixels_of_what_becomes_a_png_are_kept() -> None:
    """Each of them."""
    image = picture().rotate(30)

    assert opened(prepare(encoded(image, "BMP"), CONVERT)).tobytes() == image.tobytes()


@pytest.mark.parametrize("order", ["I;16", "I;16B"])
def test_values_of_16_bits_are_kept(order: str) -> None:
    """Whatever the order of their bytes in a TIFF."""
    values = [0, 1, 255, 256, 40_000, 65_535]
    stored = b"".join(each.to_bytes(2, "big" if order == "I;16B" else "little") for each in values)
    image = opened(prepare(encoded(Image.frombytes(order, (3, 2), stored), "TIFF"), CONVERT))

    assert image.format == "PNG"
    assert [image.getpixel((at % 3, at // 3)) for at in range(6)] == values


def test_colours_of_16_bits_are_said_to_become_8() -> None:
    """A PNG that is sent as it is keeps them; one that is made smaller does not."""
    file, pixels = io.BytesIO(b""), b"\0" + bytes([1, 0] * 3 * 100)
    file.write(b"\x89PNG\r\n\x1a\n")
    head = (100).to_bytes(4, "big"), (1).to_bytes(4, "big"), bytes([16, 2, 0, 0, 0])
    PngImagePlugin.putchunk(file, b"IHDR", *head)
    PngImagePlugin.putchunk(file, b"IDAT", zlib.compress(pixels))
    PngImagePlugin.putchunk(file, b"IEND")

    assert prepare(file.getvalue(), TURN) == Prepared()
    found = prepare(file.getvalue(), SHRINK)
    assert opened(found).size == (64, 1)
    assert found.warnings == ("Its 16 bits a channel became 8.",)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF"])
@pytest.mark.parametrize("mode", ["RGB", "L", "P", "1", "I;16"])
def test_larger_ones_are_made_smaller(kind: str, mode: str) -> None:
    """To the pixels of the longer side, in proportion; an index of colours becomes colours."""
    if kind == "JPEG" and mode not in {"RGB", "L"}:
        return
    image = opened(prepare(encoded(picture(mode), kind), Steps(convert=True, resize=50)))

    assert (image.size, image.mode) == ((50, 30), {"P": "RGB", "1": "L"}.get(mode, mode))


def test_the_colour_profile_stays() -> None:
    """Without it the colours would be others."""
    data = encoded(picture(), "JPEG", 6, icc_profile=b"a profile of colours")

    assert opened(prepare(data, TURN)).info["icc_profile"] == b"a profile of colours"


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")  # said in a process of its own
def test_broken_exif_is_none() -> None:
    """The picture itself may be sound."""
    data = encoded(picture(), "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\x01nonsense")

    assert prepare(data, TURN) == Prepared()


DNG = encoded(picture(), "TIFF", tiffinfo={50706: b"\1\4\0\0"})
SMALL_FIRST = encoded(picture(), "TIFF", tiffinfo={254: 1})


@pytest.mark.parametrize(
    ("data", "words"),
    [
        pytest.param(half_jpeg(20_000), "The image cannot be prepared: ", id="cut"),
        pytest.param(b"GIF8" + bytes(60), "but is none that can be read", id="no-gif"),
        pytest.param(encoded(picture(), "WEBP")[:60], "cannot be prepared", id="cut-webp"),
        pytest.param(encoded(picture("F"), "TIFF"), "numbers of 32 bits (mode F)", id="floats"),
        pytest.param(DNG, "A camera raw file cannot be converted", id="dng"),
        pytest.param(SMALL_FIRST, "A camera raw file cannot be converted", id="nef"),
    ],
)
def test_what_cannot_be_prepared_is_rejected(data: bytes, words: str) -> None:
    """With the reason; a preview is never taken for the image."""
    assert words in prepare(data, ALL).reason


def test_a_file_that_is_gone_is_rejected(tmp_path: Path) -> None:
    """Between its screening and its turn."""
    assert "cannot be prepared" in prepare(str(tmp_path / "gone.jpg"), ALL).reason


@pytest.mark.parametrize(("name", "value"), [("frozen", True), ("executable", "")])
def test_a_frozen_program_cannot_start_processes(
    monkeypatch: pytest.MonkeyPatch, name: str, value: object
) -> None:
    """It would start itself instead, which would do the same."""
    monkeypatch.setattr(sys, name, value, raising=False)

    with pytest.raises(ConfigurationError, match="frozen or embedded"):
        UploadConfig(prepare="convert")

    assert UploadConfig().prepare == ()


def test_heic_needs_a_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """The reason names the extra."""
    monkeypatch.setitem(sys.modules, "pillow_heif", None)

    found = prepare(b"\0\0\0\x18ftypheic" + bytes(60), CONVERT)

    assert "This needs the extra 'heic' (no module pillow_heif here)" in found.reason


def test_heic_becomes_a_jpeg() -> None:
    """Upright, whichever way the camera was held."""
    heif = pytest.importorskip("pillow_heif")
    heif.register_heif_opener()

    image = opened(prepare(encoded(picture(), "HEIF", 6), CONVERT))

    assert (image.format, image.mode, image.size) == ("JPEG", "RGB", SIZE[::-1])


# The options.


@pytest.mark.parametrize("value", ["orientation, resize=9", ["resize=9", "orientation"]])
def test_steps_are_words(value: Any) -> None:
    """Joined by commas, or one by one."""
    config = UploadConfig(prepare=value)

    assert Steps.of(config.prepare) == Steps(orientation=True, resize=9)
    assert set(config.prepare) == {"orientation", "resize=9"}


@pytest.mark.parametrize("value", ["rotate", "resize", "resize=0", "resize=x", "convert=1", [3]])
def test_other_words_are_refused(value: Any) -> None:
    """With the words that there are."""
    with pytest.raises(ConfigurationError, match="its steps are orientation, convert and resize=N"):
        UploadConfig(prepare=value)


@pytest.mark.parametrize("value", [None, "", (), " , "])
def test_no_steps(value: Any) -> None:
    """Nothing is prepared."""
    assert UploadConfig(prepare=value).prepare == ()


# The processes.


@pytest.fixture
def workers() -> Iterator[Workers]:
    """Return workers that are closed at the end."""
    found = Workers(ALL)
    yield found
    found.close()


def test_a_process_gives_what_the_function_gives(workers: Workers, tmp_path: Path) -> None:
    """One is begun when it is needed, and used again; a path is read there."""
    data = encoded(picture(), "WEBP")
    (tmp_path / "a.webp").write_bytes(data)

    found = [workers.prepare(data), workers.prepare(str(tmp_path / "a.webp"))]

    assert found == [prepare(data, ALL)] * 2
    assert len(workers._all) == 1


def test_a_process_has_no_token(monkeypatch: pytest.MonkeyPatch, workers: Workers) -> None:
    """What decodes foreign images needs none."""
    monkeypatch.setenv("DATAGYM_TOKEN", "t" * 32)
    workers.prepare(b"")

    environment = Path(f"/proc/{workers._all[0].pid}/environ")
    if environment.exists():
        assert b"DATAGYM_TOKEN" not in environment.read_bytes()


def test_an_image_whose_process_is_ended_goes_to_another_one(workers: Workers) -> None:
    """The system may have ended it for want of memory."""
    workers.prepare(b"")
    workers._all[0].kill()
    workers._all[0].wait()

    assert workers.prepare(b"hello") == Prepared()


@pytest.mark.parametrize("how", ["crashes", "cannot be begun"])
def test_an_image_that_no_process_has_looked_at_has_failed(
    monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """That is no verdict on the image: the next run tries it again."""
    if how == "crashes":
        monkeypatch.setattr(_reading, "_COMMAND", "pass")
        words = "two processes that decoded it crashed"
    else:
        monkeypatch.setattr(sys, "executable", "/nowhere/python")
        words = "No process could be started"
    item = planned(gif())
    prepared(item, CONVERT)

    assert item.verdict is not None
    assert item.verdict.outcome is Outcome.FAILED
    assert words in item.verdict.reason


def test_closing_ends_processes_and_begins_none() -> None:
    """Those that are busy, too; closing twice is fine."""
    workers = Workers(ALL)
    workers.prepare(b"")
    (process,) = workers._all

    workers.close()
    workers.close()

    assert process.returncode is not None
    assert "ended before" in workers.prepare(b"").reason


def test_a_process_ends_with_its_standard_input() -> None:
    """However the run has ended."""
    questions = io.BytesIO(pickle.dumps((b"hello", ALL)) + pickle.dumps((gif(), CONVERT)))
    answers = io.BytesIO()

    serve_on(questions, answers)

    answers.seek(0)
    assert [pickle.load(answers), pickle.load(answers)] == [Prepared(), prepare(gif(), CONVERT)]


# The items of a run.


def planned(data: bytes) -> Planned:
    """Return an item in memory that was read."""
    from datagym_async.uploads._reading import read

    return read(Planned(UploadItem("a.jpg", data), seq=1), Screening(converts=True))


def prepared(item: Planned, steps: Steps = ALL, **screening: Any) -> list[tuple[int, bytes]]:
    """Prepare an item and return the hashes of what is sent."""
    preparer = Preparer(steps, Screening(converts=True, **screening))
    try:
        return preparer.prepare([item])
    finally:
        preparer.workers.close()


def test_limits_are_of_what_is_sent() -> None:
    """An image that is too large may be small enough once it is smaller."""
    large = encoded(picture(size=(600, 400)).rotate(3), "BMP")
    item, other = planned(large), planned(large)

    (sent,) = prepared(item, max_bytes=20_000)
    prepared(other, CONVERT, max_bytes=1000)

    assert item.body is not None
    assert item.size == item.body.size < 20_000
    assert sent[0] == 1
    assert other.verdict is not None
    assert "more than max_bytes (1,000)" in other.verdict.reason


def test_what_was_turned_is_not_told_to_be() -> None:
    """And what was not still is."""
    item, other = (planned(encoded(picture(size=(60, 40)), "JPEG", 6)) for _ in range(2))
    assert item.is_turned

    prepared(item)
    prepared(other, CONVERT)

    assert (item.is_turned, other.is_turned) == (False, True)


def test_decoding_is_of_what_is_sent() -> None:
    """Where that is wanted as well: a cut JPEG that needs no step is found."""
    item = planned(half_jpeg(20_000))

    prepared(item, Steps(resize=10_000), check="decode")

    assert item.verdict is not None
    assert "cannot be decoded" in item.verdict.reason


def test_what_becomes_large_waits_in_a_file() -> None:
    """Not in memory, where many of them would lie."""
    noise = Image.frombytes("RGB", (1300, 1300), os.urandom(1300 * 1300 * 3))
    item = planned(jpeg(2000))
    item.body = planned(encoded(noise, "BMP")).body
    threads = {*threading.enumerate()}

    prepared(item, CONVERT)

    assert item.body is not None
    assert item.body.data is None
    assert item.source is not None
    head = item.source.read_at(0, 8)
    assert head == b"\x89PNG\r\n\x1a\n"
    assert {*threading.enumerate()} <= threads
