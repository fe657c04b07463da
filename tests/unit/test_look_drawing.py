"""Labels drawn on images: golden images, colours and edges, and what notebooks show."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest
from PIL import Image, ImageChops, ImageColor, ImageDraw, ImageFont, ImageStat

from datagym_async import (
    ConfigurationError,
    DatasetMedia,
    LabeledTask,
    MediaSourceType,
    Sample,
    TaskState,
    look,
)
from datagym_async.downloads import DownloadOutcome, DownloadReport, DownloadResult
from datagym_async.labels import (
    Annotation,
    Classification,
    LabeledImage,
    Line,
    Point,
    Polygon,
    Rectangle,
    Segmentation,
)
from datagym_async.models import Dataset

GOLDEN = Path(__file__).parents[1] / "data" / "look"
SCENE = LabeledImage(
    media_name="scene.png",
    annotations=[
        Annotation(
            "road",
            Segmentation(
                [
                    [(0, 90), (199, 90), (199, 149), (0, 149)],
                    [(80, 105), (120, 105), (120, 135), (80, 135)],
                ]
            ),
        ),
        Annotation("roof", Polygon([(20, 60), (60, 20), (100, 60)])),
        Annotation("car", Rectangle(120.5, 60, 60, 40), [Classification.select("kind", "bus")]),
        Annotation("lane", Line([(5, 140), (60, 110), (195, 140)])),
        Annotation("mast", Point(150, 30)),
    ],
)


def ground(kind: str, size: tuple[int, int] = (200, 150)) -> Image.Image:
    """Return a light, a dark or a shaded image."""
    image = Image.new("RGB", size, "white" if kind == "light" else "black")
    if kind == "shaded":
        pen = ImageDraw.Draw(image)
        for x in range(size[0]):
            pen.line((x, 0, x, size[1]), fill=(x, 255 - x, 128))
    return image


@pytest.mark.parametrize("kind", ["light", "dark", "shaded"])
def test_golden_images(kind: str) -> None:
    """Drawings look as they were looked at, but for what versions of Pillow do to edges."""
    drawn, file = look.draw(ground(kind), SCENE), GOLDEN / f"{kind}.png"
    if os.environ.get("REWRITE_GOLDEN"):
        drawn.save(file, optimize=True)

    with Image.open(file) as golden:
        differing = ImageChops.difference(drawn, golden.convert("RGB"))

    assert max(ImageStat.Stat(differing).mean) < 2.0


def test_holes_are_left_open() -> None:
    """What a hole of a mask is over keeps its colour; the mask covers half of what is below."""
    rings = [[(10, 10), (90, 10), (90, 90), (10, 90)], [(40, 40), (60, 40), (60, 60), (40, 60)]]
    labels = LabeledImage(annotations=[Annotation("road", Segmentation(rings))])

    drawn = look.draw(ground("light", (100, 100)), labels, colors={"road": "#000000"}, text=False)

    assert drawn.getpixel((50, 50)) == (255, 255, 255)
    assert drawn.getpixel((25, 25)) == (127, 127, 127)


def test_lines_are_wider_on_larger_images() -> None:
    """A line of an image of 4,000 pixels can be seen when all of it is looked at."""
    wide = []
    for size in (200, 4000):
        box = Annotation("car", Rectangle(size / 4, size / 4, size / 2, size / 2))
        image = look.draw(
            ground("light", (size, size)), LabeledImage(annotations=[box]), text=False
        )
        column = [image.getpixel((x, size // 2)) for x in range(size // 8, size * 3 // 8)]
        wide.append(sum(pixel not in {(255, 255, 255), column[-1]} for pixel in column))

    assert wide[0] <= 4
    assert wide[1] >= 16


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGBA", "CMYK", "I;16", "I"])
def test_every_kind_of_image_is_drawn_on(mode: str) -> None:
    """The result is RGB, and the image that was given stays as it is."""
    given = Image.new("RGB" if mode in {"P", "CMYK"} else mode, (40, 30))
    given = given.convert(mode) if given.mode != mode else given
    before = given.tobytes()

    drawn = look.draw(given, SCENE)

    assert (drawn.mode, drawn.size) == ("RGB", (40, 30))
    assert given.tobytes() == before


def test_what_images_are_as_rgb() -> None:
    """The upper 8 of 16 bits, and white where nothing is."""
    deep = Image.fromarray(np.full((30, 40), 0x80FF, np.uint16))
    clear = Image.new("RGBA", (40, 30), (255, 0, 0, 0))

    drawn = [look.draw(each, LabeledImage()) for each in (deep, clear)]

    assert [each.getpixel((9, 9)) for each in drawn] == [(128, 128, 128), (255, 255, 255)]


@pytest.mark.parametrize("color", ["#000080", "#ffff00"])
def test_a_point_is_a_dot_with_an_edge_and_a_readable_caption(color: str) -> None:
    """Its class is written in white on dark colours and in black on light ones."""
    labels = LabeledImage(annotations=[Annotation("car", Point(100, 100))])
    grey = Image.new("RGB", (200, 150), "#808080")

    plain = look.draw(grey, labels, colors={"car": color}, text=False)
    written = look.draw(grey, labels, colors={"car": color}, pen=4)
    plain_too = look.draw(grey, labels, colors={"car": color}, pen=4, text=False)

    across = [plain.getpixel((x, 100)) for x in range(100, 110)]
    dot, edge = ImageColor.getrgb(color), (0, 0, 0)
    assert across[0] == dot
    assert list(dict.fromkeys(across)) == [dot, edge, (128, 128, 128)]
    x, y, right, bottom = ImageChops.difference(plain_too, written).getbbox() or (0, 0, 0, 0)
    inks = {written.getpixel((at, row)) for at in range(x, right) for row in range(y, bottom)}
    assert {(0, 0, 0), (255, 255, 255)} & inks == {edge if color == "#ffff00" else (255,) * 3}


def test_what_cannot_be_drawn_is_refused() -> None:
    """Things that are no image and no labels, and numbers that are not above 0."""
    image, labels = ground("light"), LabeledImage()
    wrong: list[tuple[Any, Any, dict[str, Any], str]] = [
        (42, labels, {}, "image is 42; give a path"),
        (image, [], {}, "labels is"),
        (image, labels, {"scale": 0}, "scale is 0"),
        (image, labels, {"pen": -1}, "pen is -1"),
    ]
    for given, drawn, options, words in wrong:
        with pytest.raises(ConfigurationError, match=words):
            look.draw(given, drawn, **options)


def test_an_image_may_be_a_path_bytes_or_an_array(tmp_path: Path) -> None:
    """All of them give the same drawing."""
    image, buffer = ground("shaded"), io.BytesIO()
    image.save(buffer, "PNG")
    (tmp_path / "a.png").write_bytes(buffer.getvalue())

    given: list[Any] = [image, tmp_path / "a.png", buffer.getvalue(), np.asarray(image)]

    assert len({look.draw(each, SCENE).tobytes() for each in given}) == 1


def test_names_that_are_not_ascii_are_written_as_far_as_a_font_has_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A font of the system is taken for them where there is one, and Pillow's own for all else."""
    asked, real = list[str](), ImageFont.truetype

    def missing(font: Any, *size: Any, **options: Any) -> Any:
        if not isinstance(font, str):
            return real(font, *size, **options)
        asked.append(font)
        raise OSError(font)

    monkeypatch.setattr("PIL.ImageFont.truetype", missing)
    labels = LabeledImage(annotations=[Annotation("größe" + "x" * 99, Rectangle(20, 40, 60, 40))])

    plain = look.draw(ground("dark"), labels, text=False, pen=3.25)
    written = look.draw(ground("dark"), labels, pen=3.25)

    assert "DejaVuSans.ttf" in asked
    assert written.tobytes() != plain.tobytes()


@pytest.mark.parametrize("at", [(-90, 50), (250, 50), (50, -90), (50, 250)])
def test_what_lies_beside_an_image_is_not_seen(at: tuple[int, int]) -> None:
    """On whichever side it is."""
    shapes = Rectangle(*at, 40, 40), Polygon([(x + at[0], y) for x, y in ((0, at[1]), (9, at[1]))])
    labels = LabeledImage(annotations=[Annotation("car", each) for each in shapes])

    drawn = look.draw(ground("light"), labels, text=False)

    assert drawn.tobytes() == ground("light").tobytes()


@pytest.mark.parametrize("far", [1e9, -1e9, 1e300])
def test_shapes_far_outside_take_no_time(far: float) -> None:
    """Coordinates of files may be anything; what lies far outside is not walked to."""
    shapes = (
        Line([(1, 1), (far, far)]),
        Rectangle(far, far, 5, 5),
        Point(far, 1),
        Polygon([(1, 1), (far, 2), (3, far)]),
    )
    labels = LabeledImage(annotations=[Annotation("car", each) for each in shapes])

    assert look.draw(ground("light"), labels).size == (200, 150)


# --- Notebooks ------------------------------------------------------------------------------------

MEDIA = DatasetMedia("m1", 0, MediaSourceType.LOCAL, "<script>x</script>.png")


def html(value: Any) -> str:
    """Return what a notebook shows."""
    shown = value._repr_html_()
    assert isinstance(shown, str)
    assert "<script" not in shown
    return shown


def test_labels_show_themselves_as_a_picture_and_a_table() -> None:
    """An image and a task are shown as SVG, with their answers."""
    answer = Classification.freetext("<script>", "<script>")
    image = attrs.evolve(SCENE, classifications=[answer], media_name="<script>")
    task = LabeledTask(
        media_id="m", media_name="a", state=TaskState.COMPLETED, annotations=SCENE.annotations
    )

    for value in (image, task):
        shown = html(value)
        assert "<svg" in shown
        assert "car: kind bus" in shown


def test_what_has_nothing_to_draw_is_shown_in_words() -> None:
    """Without a shape and a size there is no picture; one of a pixel is more than its own lines."""
    unseen = LabeledImage(media_name="a", annotations=[Annotation("car", Line([]))])
    pixel = LabeledImage(media_name="a", annotations=[Annotation("car", Rectangle(0, 0, 1, 1))])

    assert "a: 1 object<" in html(unseen)
    assert "<svg" not in html(unseen)
    assert 'stroke-width="0.01"' in html(pixel)


def test_what_is_shown_is_bounded() -> None:
    """A notebook keeps what it shows: thousands of objects, media or pixels are cut down."""
    many = LabeledImage(annotations=[Annotation("car", Rectangle(n, n, 5, 5)) for n in range(9000)])
    dataset = Dataset("d", "Photos", 0, media=(MEDIA,) * 9000)
    sample = Sample(0, 0, MEDIA, Image.new("RGB", (5000, 3000)))
    png = sample._repr_png_()

    assert "9,000 objects, of which 500 are drawn" in html(many)
    assert "... and 8,980 more" in html(dataset)
    assert max(len(html(each)) for each in (many, dataset, sample)) < 400_000
    assert png is not None
    assert Image.open(io.BytesIO(png)).size == (640, 384)


def test_a_sample_shows_its_labels_on_its_image() -> None:
    """Labels are drawn where they lie in the shrunken picture; what is no image has its labels."""
    task = LabeledTask(
        media_id="m1",
        media_name="a",
        state=TaskState.COMPLETED,
        annotations=[Annotation("car", Rectangle(640, 0, 639, 1279))],
    )
    sample = Sample(0, 0, MEDIA, Image.new("RGB", (1280, 1280)), task)
    png = sample._repr_png_()

    assert png is not None
    drawn = Image.open(io.BytesIO(png))
    assert drawn.getpixel((100, 300)) == (0, 0, 0)
    assert drawn.getpixel((500, 300)) != (0, 0, 0)
    assert Sample(0, 0, MEDIA, b"no image")._repr_html_() is None
    assert "<svg" in html(Sample(0, 0, MEDIA, b"no image", task))


def test_reports_show_counts_and_problems() -> None:
    """A report shows its sentence, what it counts, and its first problems."""
    failed = [
        DownloadResult(
            media_id=str(n),
            name="<script>.png",
            path="x.png",
            outcome=DownloadOutcome.FAILED,
            reason="It is gone.",
        )
        for n in range(30)
    ]
    report = DownloadReport(
        name="Photos",
        folder="f",
        planned=30,
        downloaded=0,
        present=0,
        skipped=0,
        failed=30,
        bytes=0,
        seconds=1.0,
        complete=True,
        problems=tuple(failed),
    )

    shown = html(report)

    assert "30 media of" in shown
    assert "... and 10 more" in shown
    assert report._repr_png_() is None
