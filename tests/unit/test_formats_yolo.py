"""YOLO in all its kinds, and KITTI: every layout that people have, and every line that is wrong."""

from __future__ import annotations

import json
import ntpath
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from PIL import Image

from datagym_async import formats
from datagym_async.formats import FormatError, LossKind, sniff
from datagym_async.formats._losses import Losses
from datagym_async.formats._table import open_dataset
from tests.helpers.label_files import box, picture, read, rings, text, told

if TYPE_CHECKING:
    from datagym_async.formats._raw import RawObject


def only(path: Path, line: str, yaml: str = "names: [car, dog]", **size: int) -> RawObject:
    """The one object of a dataset with one image and one line."""
    text(path / "data.yaml", f"train: images\n{yaml}\n")
    picture(path / "images" / "a.png", **size)
    text(path / "labels" / "a.txt", line)
    (image,), lost = read(open_dataset(path / "data.yaml", "yolo"))
    assert not lost
    (found,) = image.objects
    return found


YAML = "path: {path}\ntrain: {train}\nval: images/val\nnames:\n  0: car\n  3: Traffic Light\n"
LAYOUTS = [
    ("", "images/train"),
    (".", "images/train"),
    ("./", "images/train/"),
    ("/nowhere/datasets/mine", "images/train"),  # the machine that it was made on
    ("", "../images/train"),  # as Roboflow writes it
    ("", "[images/train]"),
    ("", "train.txt"),
    ("", "[train.txt]"),
    ("", "{root}/images/train"),
    ("", "[images/train/a.png]"),
]


@pytest.mark.parametrize(("path", "train"), LAYOUTS)
@pytest.mark.parametrize(
    "lines", ["./images/train/a.png\n", "images/train/a.png", "{root}/images/train/a.png"]
)
def test_every_way_to_say_where_the_images_are(
    tmp_path: Path, path: str, train: str, lines: str
) -> None:
    """A folder, a list, a list of these; a path that is empty, absent or of another machine."""
    train = train.replace("{root}", str(tmp_path))
    text(tmp_path / "data.yaml", YAML.format(path=path, train=train))
    text(tmp_path / "train.txt", lines.format("images/train/a.png", root=tmp_path))
    for part, name in (("train", "a"), ("val", "b")):
        picture(tmp_path / "images" / part / f"{name}.png")
        text(tmp_path / "labels" / part / f"{name}.txt", "3 0.5 0.5 0.5 0.5\n")
    for where in (tmp_path, tmp_path / "data.yaml"):
        images, lost = read(dataset := open_dataset(where, "yolo"))
        names = [each.name.rpartition("/")[2] for each in images]
        assert names == ["a.png", "b.png"]
        assert [box(each.objects[0]) for each in images] == [(50, 25, 100, 50)] * 2
        assert [each.name for each in dataset.categories] == ["car", "Traffic Light"]
        assert (dataset.outlines, lost) == (False, {})
    (image,), _ = read(open_dataset(tmp_path, "yolo", split="val"))
    assert (image.name, image.width, image.height) == ("b.png", 200, 100)


def test_one_name_in_two_parts_is_told_apart(tmp_path: Path) -> None:
    """Images of one name in train and val go by their paths in the dataset; others by their own."""
    val = f"../{tmp_path.name}/images/val"  # a way around to the same folder
    text(tmp_path / "data.yaml", f"train: images/train\nval: {val}\nnames: [car]\n")
    for name in ("train/a", "val/a", "val/b"):
        picture(tmp_path / "images" / f"{name}.png")
    text(tmp_path / "labels" / "val" / "b.txt", "")
    images, _ = read(open_dataset(tmp_path, "yolo"))
    assert [each.name for each in images] == ["images/train/a.png", "images/val/a.png", "b.png"]


@pytest.mark.parametrize(
    "yaml",
    [
        "path: ../set\ntrain: images/train\nval: images/val\n",
        "path: {set}\ntrain: images/train\nval: images/val\n",
        "train: ../set/images/train\nval: [../set/images/val, ../set/images/val/../val]\n",
    ],
)
def test_one_name_in_two_parts_elsewhere_is_told_apart(tmp_path: Path, yaml: str) -> None:
    """So it is if the file lies beside its dataset (YOLOv5's data/); no image is there twice."""
    text(tmp_path / "data" / "own.yaml", yaml.format(set=tmp_path / "set") + "names: [car]\n")
    for name in ("train/a", "val/a", "val/b"):
        picture(tmp_path / "set" / "images" / f"{name}.png")
        text(tmp_path / "set" / "labels" / f"{name}.txt", "0 0.5 0.5 0.5 0.5\n")
    images, lost = read(open_dataset(tmp_path / "data" / "own.yaml", "yolo"))
    assert [each.name for each in images] == ["train/a.png", "val/a.png", "b.png"]
    assert not lost


NAMED = [
    ("names: [car, dog]", ["car", "dog"]),
    ("names: {1: car, 2: dog}", ["car", "dog"]),
    ("names: {'5': no, 7: 1e3}", ["no", "1e3"]),
    ("nc: 2", ["class_0", "class_1"]),
    ("names: [' car ', car]", ["car"]),  # two of one name are one
    ("names: ['', car]", ["car"]),
    ("names: lists/my.names", ["car", "dog"]),
]


@pytest.mark.parametrize(("yaml", "names"), NAMED)
def test_names(tmp_path: Path, yaml: str, names: list[str]) -> None:
    """A list, a dict from any number and with gaps, a count alone; each the text it is."""
    text(tmp_path / "data.yaml", f"train: images\n{yaml}\n")
    text(tmp_path / "lists" / "my.names", "car\ndog\n")
    picture(tmp_path / "images" / "a.png")
    text(tmp_path / "labels" / "a.txt", "")
    dataset = open_dataset(tmp_path, "yolo")
    assert [each.name for each in dataset.categories] == names
    assert read(dataset)[1] == ({"doubled_class": 1} if "' car '" in yaml else {})


LINES = [
    "0 0.5 0.5 0.5 0.5",
    "  0\t0.5  0.5   0.5 0.5  ",
    "\n\n0 0.5 0.5 0.5 0.5\r\n\r\n",
    "\ufeff0 0.5 0.5 0.5 0.5",
    "0.0 .5 5e-1 0.5 0.500000000",
    "+0 0.5 0.5 0.5 0.5\r",
]


@pytest.mark.parametrize("line", LINES)
def test_every_way_to_write_a_box(tmp_path: Path, line: str) -> None:
    """Blank lines, tabs, double blanks, a mark in front, 0.0 as a class: all mean one box."""
    assert box(only(tmp_path, line)) == (50, 25, 100, 50)


def test_noise_of_rounding_stays_within_the_image(tmp_path: Path) -> None:
    """Six digits put a box off its edge by some millionths: it is on the edge then."""
    found = only(tmp_path, "1 0.133333 0.5 0.266667 1.0", width=15, height=8)
    left, top, width, height = box(found)
    assert (left, top, height) == (0, 0, 8)
    assert width == pytest.approx(4, abs=1e-4)


def test_what_is_beyond_the_image_stays_beyond(tmp_path: Path) -> None:
    """More than noise is not changed here."""
    found = only(tmp_path, "1 1.2 0.7 0.5 0.4")
    assert box(found) == pytest.approx((190, 50, 100, 40))


def test_shapes_by_the_number_of_columns(tmp_path: Path) -> None:
    """A score behind a box or an outline, an outline, and a turned box, which is one of four."""
    assert only(tmp_path / "0", "0 0.5 0.5 0.5 0.5 0.9").score == 0.9
    sure = only(tmp_path / "0", "0 0.5 0.5 0.5 0.5 1")
    assert (sure.score, sure.extra) == (1, {})
    outline = only(tmp_path / "1", "1 0 0 1 0 1 1")
    assert [[*ring] for part in outline.parts for ring in part] == [[(0, 0), (200, 0), (200, 100)]]
    assert (box(outline), outline.category.name) == (None, "dog")
    turned = only(tmp_path / "2", "1 0.5 0 1 0.5 0.5 1 0 0.5")
    assert [*turned.parts[0][0]] == [(100, 0), (200, 50), (100, 100), (0, 50)]
    scored = only(tmp_path / "3", "1 0.5 0 1 0.5 0.5 1 0 0.5 0.25")
    assert (scored.score, scored.parts) == (0.25, turned.parts)


@pytest.mark.parametrize(
    ("lines", "kind", "extra"),
    [
        ("0 .1 .1 .9 .1 .5 .9\n0 .1 .1 .8 .1 .5 .8", "yolo-seg", {}),  # no score and track
        ("0 .1 .1 .9 .1 .9 .9 .5 .9 .1 .5 7", "yolo-seg", {"track": "7"}),
        ("0 .5 .5 1 1 .9 7", "yolo", {"track": "7"}),  # a box as large as its image
        ("0 .5 .5 1 1 .9 1\n0 .1 .1 .9 .1 .5 .9", "yolo-seg", {}),
    ],
)
def test_tracks_and_corners(tmp_path: Path, lines: str, kind: str, extra: dict[str, str]) -> None:
    """All lines tell whether seven columns are three corners; so do those behind empty files."""
    text(tmp_path / "data.yaml", "train: images\nnames: [car]\n")
    for number in range(30):  # images without objects
        picture(tmp_path / "images" / f"{number:02}.png")
        text(tmp_path / "labels" / f"{number:02}.txt", lines if number == 29 else "")
    (*_, image), lost = read(dataset := open_dataset(tmp_path))
    assert (sniff(tmp_path), sniff(tmp_path / "data.yaml")) == (kind, kind)
    found = image.objects[-1]
    assert (dataset.outlines, bool(found.parts)) == (kind == "yolo-seg", kind == "yolo-seg")
    assert (found.extra, lost) == (extra, {})
    if "\n" in lines:
        (ring,) = rings(found)[0]
        assert len(ring) == 3
    if kind == "yolo":  # a box without a score or a track, farther down
        for number in range(29):
            text(tmp_path / "labels" / f"{number:02}.txt", lines)
        text(tmp_path / "labels" / "29.txt", "0 .5 .5 .5 .2")
        (*_, image), lost = read(open_dataset(tmp_path))
        assert (box(image.objects[0]), lost) == ((50, 40, 100, 20), {})


POSE = "names: [person]\nkpt_shape: [2, {d}]\n"


@pytest.mark.parametrize(("d", "numbers"), [(3, "0.1 0.2 2 0 0 0"), (2, "0.1 0.2 0 0")])
@pytest.mark.parametrize("score", ["", " 0.5"])
def test_keypoints(tmp_path: Path, d: int, numbers: str, score: str) -> None:
    """They are of the category in the order of the file; what is not labelled is not there."""
    found = only(tmp_path, f"0 0.5 0.5 0.5 0.5 {numbers}{score}", POSE.format(d=d))
    assert box(found) == (50, 25, 100, 50)
    assert found.keypoints == [(20, 20, 2), None]
    assert found.category.keypoints == ("keypoint_1", "keypoint_2")
    assert found.score == (0.5 if score else None)


def test_keypoints_of_predictions(tmp_path: Path) -> None:
    """They have a score in place of the visibility, as Ultralytics writes them; none is lost."""
    found = only(tmp_path, "0 0.5 0.5 0.5 0.5 0.1 0.2 0.97 0.3 0.4 0.02", POSE.format(d=3))
    assert found.keypoints == [(20, 20, 2), (60, 40, 2)]


def test_keypoints_of_two_numbers(tmp_path: Path) -> None:
    """They are there, unless they are 0 0 or negative; one at an edge is, too."""
    numbers = "0 0.2 0.1 0 0 0 -0.1 0.2 0.1 -0.2"
    yaml = "names: [person]\nkpt_shape: [5, 2]\n"
    found = only(tmp_path, f"0 0.5 0.5 0.5 0.5 {numbers}", yaml)
    assert found.keypoints == [(0, 20, 2), (20, 0, 2), None, None, None]


def test_lines_of_another_length_among_keypoints(tmp_path: Path) -> None:
    """They are no outlines: each is one loss, and says how many numbers were expected."""
    text(tmp_path / "data.yaml", f"train: images\n{POSE.format(d=3)}")
    picture(tmp_path / "images" / "a.png")
    lines = ["0 .1 .1 .5 .1 .5 .5 .1 .5", "0 .5 .5 .2 .2 .1 .1 2 .3 .3 2"]
    text(tmp_path / "labels" / "a.txt", "\n".join(lines))
    (image,), losses = told(open_dataset(tmp_path))
    assert [len(each.keypoints) for each in image.objects] == [2]
    words = "line 1: 8 numbers behind the class, where 4 or 10 were expected"
    assert words in str(losses.report())


def test_keypoints_have_their_names(tmp_path: Path) -> None:
    """As Ultralytics has them, a list for each class."""
    yaml = POSE.format(d=3) + "kpt_names:\n  0: [nose, tail]\n"
    found = only(tmp_path, "0 0.5 0.5 0.5 0.5 0.1 0.2 1 0.3 0.4 2.0", yaml)
    assert found.category.keypoints == ("nose", "tail")
    assert found.keypoints == [(20, 20, 1), (60, 40, 2)]
    # Or one list for all; those that are missing have numbers, and those beyond are left out.
    for given, names in (
        ("[nose, tail, wing]", ("nose", "tail")), ("{0: [nose]}", ("nose", "keypoint_2")),
        ("{0: nose}", ("keypoint_1", "keypoint_2")),
    ):  # fmt: skip
        yaml = POSE.format(d=3) + f"kpt_names: {given}\n"
        found = only(tmp_path, "0 0.5 0.5 0.5 0.5 0.1 0.2 1 0.3 0.4 2.0", yaml)
        assert found.category.keypoints == names
    # One at the edge is not the number of a track.
    yaml = "names: [person]\nkpt_shape: [1, 2]\nkpt_names: {0: [nose]}\n"
    found = only(tmp_path, "0 0.5 0.5 0.5 0.5 0.1 1", yaml)
    assert (found.category.keypoints, found.keypoints) == (("nose",), [(20, 100, 2)])


WRONG = [
    ("7 0.5 0.5 0.5 0.5", "unknown_category", "class 7"),
    ("0.5 0.5 0.5 0.5 0.5", "unknown_category", "class 0.5"),
    ("-1 0.5 0.5 0.5 0.5", "unknown_category", "class -1"),
    ("car 0.5 0.5 0.5 0.5", "broken", "'car' is not a number"),
    ("0 0.5 0.5 0.5", "broken", "3 numbers behind the class"),
    ("0", "broken", "0 numbers"),
    ("0 nan 0.5 0.5 0.5", "broken", "'nan' is not a number"),
    ("0 0.5 0.5 inf 0.5", "broken", "'inf' is not a number"),
    ("0 0.5 0.5 -0.5 0.5", "broken", "negative"),
    ("0 0.5 0.5 0.5 -0.5", "broken", "negative"),
    ("0 0.5 0.5 0.5 0.5 1.5", "broken", "its last number, 1.5, is not a score from 0 to 1"),
    ("0 .1 .1 .5 .5 100 200", "broken", "not shares"),
    ("0 120 50 64 48", "broken", "not shares"),
    ("0 0.5 0.5 0.5 0,5", "broken", "'0,5' is not a number"),
    ("9" * 400 + " 0.5 0.5 0.5 0.5", "broken", "is not a number"),
    ("0 0.1 0.1 0.2 0.2 0.3 0.3 0.4", "", ""),  # three corners and a score
]


@pytest.mark.parametrize(("line", "kind", "words"), WRONG)
def test_a_wrong_line_is_one_loss(tmp_path: Path, line: str, kind: str, words: str) -> None:
    """It is named by file and line, and the rest of the file goes on."""
    text(tmp_path / "data.yaml", "train: images\nnames: [car, dog]\n")
    picture(tmp_path / "images" / "a.png")
    good = "0 0.5 0.5 0.5 0.5\n"
    text(tmp_path / "labels" / "a.txt", f"{good}\n{line}\n{good}")
    losses = Losses()
    (image,) = open_dataset(tmp_path, "yolo").images(losses)
    assert len(image.objects) == (2 if kind else 3)
    assert {each.kind.value: each.count for each in losses.report().items} == (
        {kind: 1} if kind else {}
    )
    if kind:
        (lost,) = losses.report().items
        assert (lost.kind, lost.count) == (kind, 1)
        assert f"{tmp_path}/labels/a.txt, line 3: " in lost.examples[0]
        assert words in lost.examples[0]


def test_labels_without_an_image_are_told_by_name(tmp_path: Path) -> None:
    """A share of an unknown width is no coordinate; labels of an image that is not there count."""
    text(tmp_path / "data.yaml", "train: images\nnames: [car]\n")
    picture(tmp_path / "images" / "a.png")
    text(tmp_path / "images" / "bad.jpg", b"\xff\xd8\xff no picture")
    for name, count in (("a", 1), ("gone", 3), ("bad", 2)):
        text(tmp_path / "labels" / f"{name}.txt", "0 0.5 0.5 0.5 0.5\n" * count)
    losses = Losses()
    images = list(open_dataset(tmp_path, "yolo").images(losses))
    assert [(each.name, len(each.objects)) for each in images] == [("a.png", 1)]
    (lost,) = losses.report().items
    assert (lost.kind, lost.count) == (LossKind.MISSING_IMAGE, 5)
    assert "gone: there is no such image" in str(lost)
    assert "bad.jpg: it cannot be read as an image" in str(lost)


def test_labels_of_one_name_in_two_parts(tmp_path: Path) -> None:
    """Without their images, too, they are of two images, told apart by the folders they lie in."""
    text(tmp_path / "data.yaml", "train: train/images\nval: val/images\nnames: [car]\n")
    for part in ("train", "val"):
        text(tmp_path / part / "labels" / "a.txt", "0 0.5 0.5 0.5 0.5\n")
    text(tmp_path / "val" / "labels" / "b.txt", "0 0.5 0.5 0.5 0.5\n")
    images, lost = read(open_dataset(tmp_path, in_shares=True))
    assert [each.name for each in images] == ["train/labels/a", "val/labels/a", "b"]
    assert not lost


def test_shares_of_an_unknown_size(tmp_path: Path) -> None:
    """Asked for, they are given as they are: an edge that noise put beyond 1 is 1."""
    text(tmp_path / "data.yaml", "train: images\nnames: [car, road]\n")
    picture(tmp_path / "images" / "a.png")
    lines = "0 0.5 0.25 0.5 0.5\n0 0.9 0.5 0.200001 1.000001\n1 0 0 1 0 1 1\n0 1 1 1 x\n"
    for name in ("a", "b.c"):
        text(tmp_path / "labels" / f"{name}.txt", lines)
    text(tmp_path / "labels" / "empty.txt", "")
    (there, gone), lost = read(open_dataset(tmp_path, "yolo", in_shares=True))
    assert (there.name, there.in_shares, box(there.objects[0])) == (
        "a.png",
        False,
        (50, 0, 100, 50),
    )
    assert (gone.name, gone.in_shares, gone.width, gone.is_labelled) == ("b.c", True, None, True)
    assert [box(each) for each in gone.objects] == [
        (0.25, 0, 0.5, 0.5), pytest.approx((0.7999995, 0, 0.2000005, 1)), None
    ]  # fmt: skip
    assert box(gone.objects[1])[1:] == (0, 1 - box(gone.objects[1])[0], 1)
    assert rings(gone.objects[2]) == [[[(0, 0), (1, 0), (1, 1)]]]
    assert lost == {"broken": 2}


def test_labels_without_images_at_all(tmp_path: Path) -> None:
    """They are all counted, whether the folder of images is there or not."""
    text(tmp_path / "data.yaml", "train: images\nnames: [car]\n")
    text(tmp_path / "labels" / "a.txt", "0 0.5 0.5 0.5 0.5\n" * 30)
    assert read(open_dataset(tmp_path, "yolo")) == ([], {"missing_image": 30})


def test_a_list_of_images_that_are_not_there(tmp_path: Path) -> None:
    """They are given if they lose no labels; what has neither images nor labels is an error."""
    text(tmp_path / "data.yaml", "train: l.txt\nnames: [car]\n")
    text(tmp_path / "l.txt", "a.png\nb.png\n")
    text(tmp_path / "b.txt", "0 0.5 0.5 0.5 0.5\n")
    images, lost = read(open_dataset(tmp_path, "yolo"))
    assert [(each.name, each.width, each.in_shares) for each in images] == [("a.png", None, False)]
    assert lost == {"missing_image": 1}
    text(tmp_path / "b.txt", "")
    images, lost = read(open_dataset(tmp_path, "yolo"))
    assert ([each.name for each in images], lost) == (["a.png", "b.png"], {})
    text(tmp_path / "data.yaml", "train: images\nnames: [car]\n")
    text(tmp_path / "labels" / "a.txt", "")
    with pytest.raises(FormatError, match="empty files of labels, and none of their images"):
        read(open_dataset(tmp_path, "yolo"))


def test_a_list_with_lines_that_name_no_file(tmp_path: Path) -> None:
    """Those are left out, as empty ones are; a list of nothing else has no images."""
    text(tmp_path / "data.yaml", "train: l.txt\nnames: [car]\n")
    picture(tmp_path / "images" / "a.png")
    text(tmp_path / "labels" / "a.txt", "0 0.5 0.5 0.5 0.5\n")
    text(tmp_path / "l.txt", "/\n./\n./images/a.png\n..\n \n//\n.\n")
    images, lost = read(open_dataset(tmp_path, "yolo"))
    assert ([each.name for each in images], lost) == (["a.png"], {})
    text(tmp_path / "l.txt", "/\n./\n")
    (tmp_path / "labels" / "a.txt").unlink()
    with pytest.raises(FormatError, match="leads to no images"):
        read(open_dataset(tmp_path, "yolo"))


def test_the_upright_image_is_measured(tmp_path: Path) -> None:
    """Trainers turn a JPEG by its EXIF orientation, so its labels are of the turned image: told."""
    exif = Image.Exif()
    exif[0x0112] = 6
    text(tmp_path / "data.yaml", "train: images\nnames: [car]\n")
    picture(tmp_path / "images" / "a.jpg", exif=exif)
    text(tmp_path / "labels" / "a.txt", "0 0.5 0.5 0.5 0.5")
    (image,), lost = read(open_dataset(tmp_path, "yolo"))
    assert (image.width, image.height) == (100, 200)
    assert box(image.objects[0]) == (25, 50, 50, 100)
    assert lost == {"turned": 1}
    # What is no orientation is none; trainers do not turn other images.
    (tmp_path / "images" / "a.jpg").rename(tmp_path / "images" / "a.png")
    picture(tmp_path / "images" / "a.png", exif=exif)
    exif[0x0112] = 9
    picture(tmp_path / "images" / "b.jpg", exif=exif)
    images, lost = read(open_dataset(tmp_path, "yolo"))
    assert ([(each.width, each.height) for each in images], lost) == ([(200, 100)] * 2, {})


@pytest.mark.parametrize("suffix", ["png", "jpg", "bmp", "webp", "tif", "gif"])
def test_sizes_of_pictures(tmp_path: Path, suffix: str) -> None:
    """The header of each kind tells width and height."""
    text(tmp_path / "data.yaml", "train: images\nnames: [car]\n")
    picture(tmp_path / "images" / f"a.{suffix}")
    text(tmp_path / "labels" / "a.txt", "")
    (image,), lost = read(open_dataset(tmp_path, "yolo"))
    assert (image.width, image.height, lost) == (200, 100, {})


def bare(root: Path, names: str, images: str, labels: str) -> None:
    text(root / names, "car\nTraffic Light\n")
    picture(root / images / "a.png")
    text(root / labels / "a.txt", "1 0.5 0.5 0.5 0.5\n")


FOLDERS = [
    ("classes.txt", ".", ".", "."),  # LabelImg
    ("classes.txt", "images", "labels", "."),  # Label Studio
    ("classes.txt", "images", "labels", "labels"),
    ("classes.txt", "Images/train", "Labels/train", "Labels/train"),
    ("labels/classes.txt", "images", "labels", "."),
    ("labels/classes.txt", "images/train", "labels/train", "labels/train"),
    ("obj.names", "obj_train_data", "obj_train_data", "."),  # darknet, without obj.data
    ("my.names", ".", ".", "."),
    ("train/_darknet.labels", "train", "train", "train"),  # Roboflow
    ("classes.txt", "train/images", "train/labels", "."),
    ("train/labels/classes.txt", "train/images", "train/labels", "."),
]


@pytest.mark.parametrize(("names", "images", "labels", "given"), FOLDERS)
def test_a_folder_without_data_yaml(
    tmp_path: Path, names: str, images: str, labels: str, given: str
) -> None:
    """Labels lie beside images, or in labels; names in a file, or in what the call says."""
    bare(tmp_path, names, images, labels)
    (image,), lost = read(dataset := open_dataset(tmp_path / given, "yolo"))
    assert image.name.endswith("a.png")
    assert box(image.objects[0]) == (50, 25, 100, 50)
    assert [each.name for each in dataset.categories] == ["car", "Traffic Light"]
    assert not lost
    (tmp_path / names).unlink()
    with pytest.raises(FormatError, match="does not list its classes"):
        open_dataset(tmp_path / given, "yolo")
    (image,), _ = read(open_dataset(tmp_path / given, "yolo", classes=["a", "b"]))
    assert image.objects[0].category.name == "b"


def test_images_elsewhere(tmp_path: Path) -> None:
    """The folder of images may be told, and is searched by name."""
    bare(tmp_path, "labels/classes.txt", "photos", "labels")
    (image,), lost = read(open_dataset(tmp_path / "labels", "yolo", images=tmp_path / "photos"))
    assert (box(image.objects[0]), lost) == ((50, 25, 100, 50), {})
    # Of one name they go by their folders, as their labels do.
    for folder in ("set/labels", "bare"):
        for number, part in enumerate(("x", "y")):
            text(tmp_path / folder / part / "a.txt", f"{number} 0.5 0.5 0.5 0.5")
            picture(tmp_path / "originals" / part / "a.png")
        home = tmp_path / folder.removesuffix("/labels")
        text(home / "classes.txt", "x\ny")
        images, lost = read(open_dataset(home, "yolo", images=tmp_path / "originals"))
        assert [(each.name, each.objects[0].category.name) for each in images] == [
            ("x/a.png", "x"), ("y/a.png", "y")
        ]  # fmt: skip
        assert not lost


def test_images_in_the_folder_of_the_dataset(tmp_path: Path) -> None:
    """It may be named for its images, too, as a gallery does."""
    bare(tmp_path, "classes.txt", "images", "labels")
    for given in (tmp_path, tmp_path / "images"):
        (image,), lost = read(open_dataset(tmp_path, "yolo", images=given))
        assert (box(image.objects[0]), lost) == ((50, 25, 100, 50), {})


@pytest.mark.parametrize("place", ["photos/a.png", "photos/train/a.png", "photos/x/train/a.png"])
@pytest.mark.parametrize("part", ["train.txt", "images/train"])
def test_labels_without_their_images(tmp_path: Path, place: str, part: str) -> None:
    """CVAT leaves images out of its archives: they may lie anywhere in the folder that is named."""
    text(tmp_path / "cvat" / "data.yaml", f"train: {part}\nnames: [a, b]")
    text(tmp_path / "cvat" / "train.txt", "data/images/train/a.png")
    text(tmp_path / "cvat" / "labels" / "train" / "a.txt", "1 0.5 0.5 0.5 0.5")
    picture(tmp_path / place)
    folder = place.removesuffix("/train/a.png").removesuffix("/a.png")
    dataset = open_dataset(tmp_path / "cvat", images=tmp_path / folder)
    (image,), lost = read(dataset)
    assert (Path(image.name).name, image.width, image.height) == ("a.png", 200, 100)
    assert (box(image.objects[0]), lost) == ((50, 25, 100, 50), {})


def test_images_in_other_folders_than_their_labels(tmp_path: Path) -> None:
    """In a folder that is named, an image is found by its name alone, if only one has it."""
    text(tmp_path / "set" / "data.yaml", "train: images/train\nnames: [a]")
    for name in ("a", "b"):
        text(tmp_path / "set" / "labels" / "train" / f"{name}.txt", "0 0.5 0.5 0.5 0.5")
        text(tmp_path / "kitti" / "label_2" / f"{name}.txt", TRUCK)
    for place in ("x/a", "x/b", "y/b"):
        picture(tmp_path / "photos" / f"{place}.png")
    (image,), lost = read(open_dataset(tmp_path / "set", images=tmp_path / "photos"))
    assert (image.name, image.width, lost) == ("a.png", 200, {"missing_image": 1})
    (first, _), lost = read(open_dataset(tmp_path / "kitti", images=tmp_path / "photos"))
    assert (first.name, first.width, lost) == ("a.png", 200, {"size": 1})


def test_parts_that_list_other_classes(tmp_path: Path) -> None:
    """Each has a file of names beside its labels; where these differ, none is taken."""
    for part in ("train", "val"):
        bare(tmp_path, f"{part}/labels/classes.txt", f"{part}/images", f"{part}/labels")
    images, lost = read(dataset := open_dataset(tmp_path, "yolo"))
    assert [each.name for each in dataset.categories] == ["car", "Traffic Light"]
    assert (len(images), lost) == (2, {})
    text(tmp_path / "val" / "labels" / "classes.txt", "Traffic Light\ncar\n")
    with pytest.raises(FormatError, match=r"several sets of classes: .*train.* and .*val"):
        open_dataset(tmp_path, "yolo")
    given = open_dataset(tmp_path, "yolo", classes=["a", "b"])
    assert [each.name for each in given.categories] == ["a", "b"]


@pytest.mark.parametrize("ids", [(1, 1), (7, 12)])
def test_tracks_of_predictions(tmp_path: Path, ids: tuple[int, int]) -> None:
    """Ultralytics writes the track behind the score, or alone; it is no corner of an outline."""
    text(tmp_path / "data.yaml", "train: images\nnames: [car]\n")
    picture(tmp_path / "images" / "a.png")
    lines = [f"0 0.5 0.5 0.5 0.5 0.87 {number}\n" for number in ids]
    text(tmp_path / "labels" / "a.txt", "".join(lines))
    assert sniff(tmp_path) == "yolo"
    dataset = open_dataset(tmp_path)
    (image,), lost = read(dataset)
    assert (dataset.outlines, lost) == (False, {})
    assert [(box(each), each.score, each.extra) for each in image.objects] == [
        ((50, 25, 100, 50), 0.87, {"track": str(number)}) for number in ids
    ]
    text(tmp_path / "labels" / "a.txt", "0 0.5 0.5 0.5 0.5 12\n0 0.5 0.5 0.5 0.5 -1.57\n")
    (image,), lost = read(open_dataset(tmp_path))
    assert [(each.score, each.extra) for each in image.objects] == [(None, {"track": "12"})]
    assert lost == {"broken": 1}  # an angle


@pytest.mark.parametrize(
    ("lines", "kind"),
    [
        ("0 .5 .5 .2 .2 .4 .4 2 .6 .6 0", "yolo-pose"),
        ("0 .5 .5 .2 .2 .4 .4 1 .6 .6 0 .5 .5 1.0 .6 .4 1", "yolo-pose"),
        ("0 .5 .5 .2 .2 .4 .4 2 .6 .6 0\n0 .5 .5 .2 .2", "yolo-pose"),
        ("0 .5 .5 .2 .2 .4 .4 1 .6 .6 0", "yolo-seg"),  # an outline with corners at the edges
        ("0 .5 .5 .2 .2 .4 .4 2 .6 .6 .3", "yolo-seg"),
        ("0 .5 .5 .2 .2 .4 .4 2 .6 .6 0\n0 .5 .5 .2 .2 .4 .4", "yolo-seg"),
    ],
)
def test_keypoints_of_which_no_file_tells(tmp_path: Path, lines: str, kind: str) -> None:
    """Labels without their data.yaml: marks of visibility tell keypoints from outlines."""
    bare(tmp_path, "classes.txt", "images", "labels")
    text(tmp_path / "labels" / "a.txt", lines)
    (image,), _ = read(dataset := open_dataset(tmp_path))
    assert (sniff(tmp_path), dataset.outlines) == (kind, kind == "yolo-seg")
    if kind == "yolo-pose":
        first = image.objects[0]
        assert (box(first), first.parts) == ((80, 40, 40, 20), ())
        assert first.category.keypoints[:2] == ("keypoint_1", "keypoint_2")
        assert first.keypoints[:2] == [(80, 40, int(float(lines.split()[7]))), None]


def test_a_list_above_parts_that_list_other_classes(tmp_path: Path) -> None:
    """What stands beside labels tells their numbers; a shorter list of the same names agrees."""
    bare(tmp_path, "labels/classes.txt", "images", "labels")
    text(tmp_path / "classes.txt", "car\nTraffic Light\ndog\n")
    assert [each.name for each in open_dataset(tmp_path, "yolo").categories][-1] == "dog"
    text(tmp_path / "classes.txt", "dog\ncar\nTraffic Light\n")
    with pytest.raises(FormatError, match=r"several sets .*classes\.txt and .*labels.classes\.txt"):
        open_dataset(tmp_path, "yolo")


@pytest.mark.parametrize("names", ["classes.txt", "obj.names"])
def test_a_line_without_a_name_is_the_number_of_no_class(tmp_path: Path, names: str) -> None:
    """Those who write lists count all of their lines."""
    bare(tmp_path, "classes.txt", ".", ".")
    text(tmp_path / "classes.txt", "car\n \nTraffic Light\n\n")
    if names == "obj.names":
        (tmp_path / "classes.txt").rename(tmp_path / "obj.names")
        text(tmp_path / "obj.data", "names = obj.names\ntrain = train.txt")
        text(tmp_path / "train.txt", "a.png")
    dataset = open_dataset(tmp_path, "yolo")
    assert [(each.id, each.name) for each in dataset.categories] == [
        (0, "car"),
        (2, "Traffic Light"),
    ]
    assert read(dataset)[1] == {"unknown_category": 1}  # class 1
    formats.write([], tmp_path / "out", "yolo", classes=tmp_path / names)
    assert '1: "unused 1"\n  2: "Traffic Light"' in (tmp_path / "out" / "data.yaml").read_text()


def test_a_part_of_another_machine(tmp_path: Path) -> None:
    """The name of a part is enough of its path; that of any other folder is not."""
    yaml = "train: /home/me/set/train\nval: /home/me/set/other\ntest: ../more\nnames: [a]"
    text(tmp_path / "data.yaml", yaml)
    for part in ("train", "other", "more"):
        picture(tmp_path / part / "images" / f"{part}.png")
        text(tmp_path / part / "labels" / f"{part}.txt", "0 0.5 0.5 0.5 0.5")
    images, lost = read(open_dataset(tmp_path))
    assert [(each.name, len(each.objects)) for each in images] == [
        ("train.png", 1),
        ("more.png", 1),
    ]
    assert lost == {"broken": 1}


@pytest.mark.parametrize("folder", [
    "/content/set/train/images", "C:\\data\\train\\images", "set-1/train/images", "../train/images",
])  # fmt: skip
def test_paths_of_another_machine(tmp_path: Path, folder: str) -> None:
    """They go by their last parts: of folders, and of the lines of a list."""
    text(tmp_path / "data.yaml", f"train: {folder}\nval: list.txt\nnames: [a]")
    text(tmp_path / "list.txt", f"{folder}/b.png")
    for name in ("a", "b"):
        picture(tmp_path / "train" / "images" / f"{name}.png")
        text(tmp_path / "train" / "labels" / f"{name}.txt", "0 0.5 0.5 0.5 0.5")
    images, lost = read(open_dataset(tmp_path))
    assert [each.name for each in images] == ["a.png", "b.png"]
    assert [box(each.objects[0]) for each in images] == [(50, 25, 100, 50)] * 2
    assert not lost


@pytest.mark.parametrize(("file", "path"), [
    ("data.yaml", "/home/me/sets/cars/"), ("data.yaml", "D:\\sets\\cars"),
    ("yolov5/data/my.yaml", "../cars"), ("configs/my.yaml", "cars"),
])  # fmt: skip
def test_a_path_that_leads_elsewhere(tmp_path: Path, file: str, path: str) -> None:
    """That of another machine goes by its last parts; YOLOv5 counts from above its files."""
    text(tmp_path / file, f"path: {path}\ntrain: images/train\nnames: [a]")
    picture(tmp_path / "cars" / "images" / "train" / "a.png")
    text(tmp_path / "cars" / "labels" / "train" / "a.txt", "0 0.5 0.5 0.5 0.5")
    (image,), lost = read(open_dataset(tmp_path / file))
    assert (image.name, len(image.objects), lost) == ("a.png", 1, {})


def test_images_on_another_drive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On Windows no path leads there from the dataset: they keep the name that a list has."""
    text(tmp_path / "data.yaml", "train: train.txt\nnames: [a]")
    picture(tmp_path / "drive" / "a.png")
    text(tmp_path / "train.txt", listed := (tmp_path / "drive" / "a.png").as_posix())
    text(tmp_path / "drive" / "a.txt", "0 0.5 0.5 0.5 0.5")
    monkeypatch.setattr(os.path, "relpath", lambda *_: ntpath.relpath("D:\\a.png", "C:\\set"))
    (image,), lost = read(open_dataset(tmp_path))
    assert (image.name, len(image.objects), lost) == (listed, 1, {})


def test_files_of_several_datasets(tmp_path: Path) -> None:
    """None of them is chosen in silence; those of models, and copies, are no datasets."""
    bare(tmp_path, "classes.txt", "images", "labels")
    for name, train in (("a", "images"), ("b", "images"), ("model", "")):
        text(tmp_path / f"{name}.yaml", f"names: [a, b]\ntrain: {train}")
    assert len(read(open_dataset(tmp_path))[0]) == 1
    text(tmp_path / "c.yaml", "names: [a]\ntrain: other")
    with pytest.raises(FormatError, match=r"several datasets: .*a\.yaml and .*c\.yaml; name one"):
        open_dataset(tmp_path)
    (tmp_path / "b.yaml").rename(tmp_path / "data.yaml")
    assert len(read(open_dataset(tmp_path))[0]) == 1
    text(tmp_path / "data.yaml", "names: [of_data, b]\nval: images")
    assert open_dataset(tmp_path).categories[0].name == "of_data"


def test_files_beside_a_dataset(tmp_path: Path) -> None:
    """Settings, and files that cannot be read, are no datasets; nor is what archives add."""
    home = tmp_path / "archive" / "cars"
    bare(home, "classes.txt", "images", "labels")
    for folder in ("__MACOSX", ".cache"):
        picture(home.parent / folder / "images" / "._b.png")
    text(home / "compose.yaml", "a: [")
    text(home / "args.yaml", "train: elsewhere\nepochs: 3")

    def classes() -> list[str]:
        (image,), lost = read(open_dataset(home.parent))
        assert (Path(image.name).name, lost) == ("a.png", {})
        return [each.category.name for each in image.objects]

    assert classes() == ["Traffic Light"]
    picture(home / "images" / "b.png")
    text(home / "list.txt", "images/a.png\n")
    text(home / "any.data", "names = classes.txt\ntrain = list.txt\n")
    assert classes() == ["Traffic Light"]
    text(home / "own.yaml", "names: [a, b]\ntrain: list.txt")
    text(home / "more.yaml", "names: [c, d]")  # it says of no image whose classes these are
    assert classes() == ["b"]
    # With an image or a list of classes a folder is a dataset, whatever its only folder is.
    for outer, names, place in (
        (tmp_path / "x", "more/a.names", "."),
        (tmp_path / "y", "", "more"),
    ):
        bare(outer, names or "classes.txt", place, "more")
        text(outer / "more" / "data.yaml", "names: [c, d]\ntrain: nowhere")
        (image,), _ = read(open_dataset(outer, "yolo"))
        assert [each.category.name for each in image.objects] == ["Traffic Light"]


@pytest.mark.parametrize(
    ("train", "val", "other"),
    [
        ("../train/images", "../valid/images", "test/images"),  # older exports of Roboflow
        ("images/train", "", "images/val"),
        ("train", "train", "valid"),
        ("../train/images", "", "validate/images"),
    ],
)
def test_parts_that_the_file_leaves_out(tmp_path: Path, train: str, val: str, other: str) -> None:
    """A folder beside a part that is named like one, and has labels, is a part."""
    text(tmp_path / "data.yaml", f"train: {train}\nval: {val}\nnames: [car]\n")
    given = {each.removeprefix("../") for each in (train, val) if each}
    for number, part in enumerate(sorted({*given, other})):
        picture(tmp_path / part / f"{number}.png")
        labels = tmp_path / part.replace("images", "labels")
        text(labels / f"{number}.txt", "0 0.5 0.5 0.5 0.5\n")
    picture(tmp_path / train.removeprefix("../").replace("train", "test0") / "a.png")
    images, lost = read(open_dataset(tmp_path))
    names = sorted(str(number) for number in range(len({*given, other})))
    assert (sorted(Path(each.name).stem for each in images), lost) == (names, {})
    part = "test" if "test" in other else "val"
    found = {each.name for each in read(open_dataset(tmp_path, split=part))[0]}
    assert f"{sorted({*given, other}).index(other)}.png" in found


def test_what_is_no_part_of_a_dataset(tmp_path: Path) -> None:
    """Folders above a dataset, or elsewhere, may be called anything; a part has labels."""
    home = tmp_path / "train" / "set"
    for place in ("train/set", "far/off/train"):
        for folder in (tmp_path / place, tmp_path / place.replace("train", "val")):
            for name in ("a", "b"):
                picture(folder / "images" / f"{name}.png")
                text(folder / "labels" / f"{name}.txt", "0 0.5 0.5 0.5 0.5\n")
        text(home / "data.yaml", f"train: {tmp_path / place / 'images'}\nnames: [a]")
        images, lost = read(open_dataset(home / "data.yaml"))
        assert ([each.name for each in images], lost) == (["a.png", "b.png"], {})
    # One image may be all of a part; images that nobody has labelled are none.
    (home / "images").rename(home / "train")
    (home / "labels").rename(tmp_path / "labels")
    text(home / "train" / "b.txt", "0 0.5 0.5 0.5 0.5\n")
    picture(home / "test" / "c.png")
    text(home / "data.yaml", "train: train/b.png\nval: train/b.png\nnames: [a]")
    images, lost = read(open_dataset(home))
    assert ([each.name for each in images], lost) == (["train/b.png"], {})
    text(home / "data.yaml", "train: train\nnames: [a]")
    images, lost = read(open_dataset(home))
    assert ([each.name for each in images], lost) == (["a.png", "b.png"], {})


@pytest.mark.parametrize("yaml", ["path: cars\ntrain: images\n", "train: ../cars/images\n"])
def test_the_folder_in_which_ultralytics_keeps_datasets(tmp_path: Path, yaml: str) -> None:
    """A folder `datasets` beside the file; what lies beside the file itself comes first."""
    text(tmp_path / "data.yaml", f"{yaml}names: [car]\n")
    for place in (tmp_path / "datasets", tmp_path):
        picture(place / "cars" / "images" / f"{place.name[:4]}.png")
        text(place / "cars" / "labels" / f"{place.name[:4]}.txt", "0 0.5 0.5 0.5 0.5\n")
        for path in (tmp_path, tmp_path / "data.yaml"):
            images, lost = read(open_dataset(path))
            assert ([each.name for each in images], lost) == ([f"{place.name[:4]}.png"], {})


def test_a_broken_list_in_the_folder_datasets(tmp_path: Path) -> None:
    """It is passed over where the folders beside the file have labels: nobody has named it."""
    text(tmp_path / "data.yaml", "train: train.txt\nnames: [car]\n")
    text(tmp_path / "datasets" / "train.txt", b"\xff.png\n")
    picture(tmp_path / "images" / "a.png")
    text(tmp_path / "labels" / "a.txt", "0 0.5 0.5 0.5 0.5\n")
    images, lost = read(open_dataset(tmp_path))
    assert ([each.name for each in images], lost) == (["a.png"], {"broken": 1})


def test_lists_that_the_file_leaves_out(tmp_path: Path) -> None:
    """A list beside that of a part, named like one and with labels, is a part."""
    text(
        tmp_path / "obj.data", "train = data/train.txt\nvalid = data/train.txt\nnames = obj.names\n"
    )
    text(tmp_path / "obj.names", "car\n")
    for part, name in (("train", "a"), ("valid", "b"), ("test", "gone"), ("more", "c")):
        text(tmp_path / f"{part}.txt", f"data/obj_train_data/{name}.png\n")
        if name != "gone":
            picture(tmp_path / "obj_train_data" / f"{name}.png")
            text(tmp_path / "obj_train_data" / f"{name}.txt", "0 0.5 0.5 0.5 0.5\n")
    images, lost = read(open_dataset(tmp_path))
    assert ([each.name for each in images], lost) == (
        ["obj_train_data/a.png", "obj_train_data/b.png"],
        {},
    )
    images, _ = read(open_dataset(tmp_path, split="val"))
    assert sorted(each.name for each in images) == ["obj_train_data/a.png", "obj_train_data/b.png"]


@pytest.mark.parametrize("listed", ["", "data/obj_train_data/a.png\n"])
@pytest.mark.parametrize(
    ("file", "labels"),
    [
        ("obj.data", "labels/train"),
        ("obj.data", "train"),
        ("data.yaml", "labels/train"),
        ("data.yaml", "export/labels"),  # of Roboflow, for images without a part
    ],
)
def test_a_file_that_leads_to_no_labels(
    tmp_path: Path, file: str, labels: str, listed: str
) -> None:
    """Labels were moved, and their file stayed: the folder is read, and that is told."""
    lines = {"train": "data/train.txt", "names": "obj.names"}
    sign = ":" if file == "data.yaml" else " ="
    text(tmp_path / file, "".join(f"{key}{sign} {value}\n" for key, value in lines.items()))
    text(tmp_path / "obj.names", "car\ndog\n")
    if listed:
        text(tmp_path / "train.txt", listed)
    picture(tmp_path / labels.replace("labels", "images") / "a.png")
    text(tmp_path / labels / "a.txt", "1 0.5 0.5 0.5 0.5\n")
    name = "train/a.png" if "train" in labels else "a.png"
    for path in (tmp_path, tmp_path / file):
        assert sniff(path) == "yolo"
        images, lost = read(open_dataset(path))
        assert [(each.name, each.objects[0].category.name) for each in images] == [(name, "dog")]
        assert lost == {"broken": 1}
    with pytest.raises(FormatError, match=r"leads to|names no images under val"):
        open_dataset(tmp_path, split="val")


@pytest.mark.parametrize("file", ["data.yaml", "obj.data"])
def test_subsets_of_cvat(tmp_path: Path, file: str) -> None:
    """CVAT writes a list for each subset, whatever people call it; other lists are none."""
    names = ("Train", "Validation", "night")
    lines = [("path", "."), ("names", "obj.names"), ("difficult", "hard.txt")]
    lines += [(name, f"{name}.txt") for name in names]
    sign = ":" if file == "data.yaml" else " ="
    text(tmp_path / file, "".join(f"{key}{sign} {value}\n" for key, value in lines))
    text(tmp_path / "obj.names", "car\n")
    for name in names:
        text(tmp_path / f"{name}.txt", f"data/images/{name}/{name}.png\n")
        text(tmp_path / "labels" / name / f"{name}.txt", "0 0.5 0.5 0.5 0.5\n")
        picture(tmp_path / "images" / name / f"{name}.png")
    images, lost = read(open_dataset(tmp_path))
    assert [each.name for each in images] == [f"{name}/{name}.png" for name in names]
    assert not lost
    for split, name in (("val", "Validation"), ("night", "night")):
        (image,), lost = read(open_dataset(tmp_path, split=split))
        assert (image.name, lost) == (f"{name}/{name}.png", {})


def test_a_file_of_names_without_parts(tmp_path: Path) -> None:
    """It is for the folder that it lies in; a file that describes a model is none."""
    text(tmp_path / "data.yaml", "nc: 2\nnames: [car, bus]\n")
    text(tmp_path / "yolov5s.yaml", "nc: 80\nbackbone: [[-1, 1, Conv, [64]]]\nhead: []\n")
    bare(tmp_path, "notes.txt", "images", "labels")
    (image,), lost = read(open_dataset(tmp_path))
    assert ([each.category.name for each in image.objects], lost) == (["bus"], {})
    with pytest.raises(FormatError, match="names no images under val"):
        open_dataset(tmp_path, split="val")
    (tmp_path / "data.yaml").unlink()
    text(tmp_path / "classes.txt", "car\nbus\n")
    (image,), lost = read(open_dataset(tmp_path))
    assert ([each.category.name for each in image.objects], lost) == (["bus"], {})


def test_a_folder_is_listed_once_for_its_kind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may have 100,000 images; each of its first label files listed them anew."""
    asked = list[Path]()

    def counted(path: Path) -> str:
        asked.append(path)
        return "yolo"

    monkeypatch.setattr("datagym_async.formats._table.yolo_kind", counted)
    for name in "abcdef":
        text(tmp_path / "labels" / f"{name}.txt", "0 0.5 0.5 0.5 0.5\n")
    assert (sniff(tmp_path), asked) == ("yolo", [tmp_path])


def test_files_are_not_asked_one_by_one_whether_they_are_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder may have 100,000 label files on a disk far away; its listing says what is one."""
    asked, is_folder = list[Path](), Path.is_dir

    def counted(path: Path) -> bool:
        asked.append(path)
        return is_folder(path)

    for name in "abcdef":
        text(tmp_path / f"{name}.json", '{"shapes": [], "imagePath": "a.png"}')
    monkeypatch.setattr(Path, "is_dir", counted)
    assert sniff(tmp_path) == "labelme"
    assert not [each for each in asked if each.suffix == ".json"]


def test_the_only_folder_may_be_a_link(tmp_path: Path) -> None:
    """A link to a folder counts as one; a link in a circle does not."""
    text(tmp_path / "far" / "data.yaml", "train: images\nnames: [car]\n")
    picture(tmp_path / "far" / "images" / "a.png")
    text(tmp_path / "far" / "labels" / "a.txt", "0 0.5 0.5 0.5 0.5\n")
    (outer := tmp_path / "outer").mkdir()
    (outer / "inner").symlink_to(tmp_path / "far")
    (outer / "circle").symlink_to(outer / "circle")
    (image,), lost = read(open_dataset(outer, "yolo"))
    assert (image.name, len(image.objects), lost) == ("a.png", 1, {})
    (tmp_path / "circle").mkdir()
    (tmp_path / "circle" / "again").symlink_to(tmp_path / "circle")
    with pytest.raises(FormatError, match="does not list its classes"):
        open_dataset(tmp_path / "circle", "yolo")


def test_labels_behind_notes(tmp_path: Path) -> None:
    """Lists and notes are no labels, whatever their number."""
    for number in range(9):
        text(tmp_path / "a" / f"note {number}.txt", "some words, and 2 numbers: 1\n")
    text(tmp_path / "a" / "blank.txt", "\n")
    bare(tmp_path, "classes.txt", "images", "labels")
    assert sniff(tmp_path) == "yolo"
    (tmp_path / "labels").rename(tmp_path / "b")
    (tmp_path / "b" / "a.txt").write_text(f"{TRUCK}\n")
    assert sniff(tmp_path) == "kitti"


def test_a_dataset_in_the_only_folder(tmp_path: Path) -> None:
    """An archive often has one; otherwise the error says where a data.yaml is, below or above."""
    inner = tmp_path / "My set"
    text(inner / "data.yaml", "train: ../train/images\nnames: [car, bus]\n")
    bare(inner, "notes.txt", "train/images", "train/labels")
    text(tmp_path / "README.md", "")
    (tmp_path / "__MACOSX").mkdir()
    (image,), lost = read(open_dataset(tmp_path))
    assert (image.name, len(image.objects), lost) == ("a.png", 1, {})
    text(tmp_path / "runs" / "args.yaml", "task: detect\n")
    (inner / "data.yaml").rename(inner / "my.yaml")
    with pytest.raises(FormatError, match=r"or give .*My set.my\.yaml in place of the folder"):
        open_dataset(tmp_path)
    with pytest.raises(FormatError, match=r"or give .*My set.my\.yaml in place of the folder"):
        open_dataset(inner / "train" / "labels")


def test_parts_beside_images_and_labels(tmp_path: Path) -> None:
    """Parts that somebody added later are read, too, and images of one name told apart."""
    bare(tmp_path, "classes.names", "images", "labels")
    bare(tmp_path, "classes.txt", "train/images", "train/labels")
    bare(tmp_path, "classes.txt", ".trash/images", ".trash/labels")
    picture(tmp_path / "plots" / "curve.png")  # nor are other folders parts, with one of both
    picture(tmp_path / "old" / "images" / "b.png")
    text(tmp_path / "older" / "labels" / "c.txt", "0 0.5 0.5 0.5 0.5")
    images, lost = read(open_dataset(tmp_path, "yolo"))
    assert [each.name for each in images] == ["images/a.png", "train/images/a.png"]
    assert ([len(each.objects) for each in images], lost) == ([1, 1], {})
    (image,), lost = read(open_dataset(tmp_path, "yolo", split="train"))
    assert (image.name, len(image.objects), lost) == ("train/images/a.png", 1, {})
    with pytest.raises(FormatError, match=r"has no part 'val'; looked for a folder val"):
        open_dataset(tmp_path, "yolo", split="val")


def test_labels_of_the_name_of_two_images(tmp_path: Path) -> None:
    """Labels elsewhere are for the image that has none; those beside an image are its own."""
    bare(tmp_path, "classes.txt", "images/x", "labels/x")
    picture(tmp_path / "images" / "y" / "a.png")
    text(tmp_path / "labels" / "z" / "a.txt", "0 0.5 0.5 0.5 0.5\n")
    images, lost = read(open_dataset(tmp_path))
    assert [(each.name, each.objects[0].category.name) for each in images] == [
        ("x/a.png", "Traffic Light"), ("y/a.png", "car")
    ]  # fmt: skip
    assert not lost
    # A list beside other labels of the name: those of the image count.
    text(tmp_path / "lists" / "train.txt", "images/x/a.png\n")
    text(tmp_path / "lists" / "labels" / "x" / "a.txt", "0 0.5 0.5 0.5 0.5\n")
    text(tmp_path / "data.yaml", "names: [car, bus]\ntrain: lists/train.txt\n")
    (image,), lost = read(open_dataset(tmp_path))
    assert ([each.category.name for each in image.objects], lost) == (["bus"], {})


def test_lists_of_another_machine(tmp_path: Path) -> None:
    """Darknet's file names both lists where they were when it was trained."""
    bare(tmp_path, "obj.names", "obj", "obj")
    text(tmp_path / "obj.data", "names = /content/obj.names\ntrain = /content/darknet/train.txt")
    text(tmp_path / "train.txt", "/content/darknet/obj/a.png")
    (image,), lost = read(open_dataset(tmp_path))
    assert (image.name, len(image.objects), lost) == ("obj/a.png", 1, {})
    text(tmp_path / "train.txt", f"/home/me/{tmp_path.name}/obj/a.png")
    assert len(read(open_dataset(tmp_path))[0]) == 1
    (tmp_path / "obj.data").rename(tmp_path / "obj" / "obj.data")
    text(tmp_path / "obj" / "train.txt", "/home/me/obj/a.png")  # all in one folder
    text(tmp_path / "obj" / "obj.names", "car\nbus\n")
    (image,), lost = read(open_dataset(tmp_path / "obj"))
    assert (image.name, len(image.objects), lost) == ("a.png", 1, {})


def test_labels_beside_the_list_of_their_images(tmp_path: Path) -> None:
    """An archive of CVAT that was unpacked without its folders, and without images."""
    text(tmp_path / "obj.data", "classes = 1\ntrain = data/train.txt\nnames = data/obj.names\n")
    text(tmp_path / "obj.names", "car\n")
    text(tmp_path / "train.txt", "data/obj_train_data/a.png\n")
    text(tmp_path / "a.txt", "0 0.5 0.5 0.5 0.5\n")
    (image,), lost = read(open_dataset(tmp_path, in_shares=True))
    assert (Path(image.name).name, len(image.objects), lost) == ("a.png", 1, {})
    picture(tmp_path / "a.png")
    (image,), lost = read(open_dataset(tmp_path))
    assert (box(image.objects[0]), lost) == ((50, 25, 100, 50), {})


def test_a_list_of_many_images_of_another_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where they may lie is found once for each folder, not for each image."""
    text(tmp_path / "data.yaml", "train: train.txt\nnames: [car]\n")
    count = 200
    lines = (f"/home/me/a/deep/way/to/images/train/{number}.jpg\n" for number in range(count))
    text(tmp_path / "train.txt", "".join(lines))
    for number in range(count):
        text(tmp_path / "labels" / "train" / f"{number}.txt", "0 0.5 0.5 0.5 0.5")
    asked, isfile = list[Path](), os.path.isfile

    def counted(path: Path) -> bool:
        asked.append(path)
        return isfile(path)

    monkeypatch.setattr(os.path, "isfile", counted)
    images, lost = read(open_dataset(tmp_path, "yolo", in_shares=True))
    assert (len(images), lost) == (count, {})
    assert [each.name for each in images[:2]] == ["train/0.jpg", "train/1.jpg"]
    assert len(asked) < 4 * count


@pytest.mark.parametrize("given", ["voc.data", ".", "VOCdevkit/VOC2007/labels"])
def test_darknet_beside_pascal_voc(tmp_path: Path, given: str) -> None:
    """Its script makes labels for the images of VOC, and a list of these."""
    text(tmp_path / "voc.data", "classes=1\ntrain = /home/pj/train.txt\nnames = data/voc.names\n")
    text(tmp_path / "voc.names", "car\n")
    folder = tmp_path / "VOCdevkit" / "VOC2007"
    text(tmp_path / "train.txt", "/home/pj/VOCdevkit/VOC2007/JPEGImages/000012.jpg\n")
    picture(folder / "JPEGImages" / "000012.jpg")
    text(folder / "labels" / "000012.txt", "0 0.5 0.5 0.5 0.5\n")
    (image,), lost = read(open_dataset(tmp_path / given, classes=["car"]))
    assert (Path(image.name).name, box(image.objects[0]), lost) == (
        "000012.jpg", (50, 25, 100, 50), {}
    )  # fmt: skip
    (folder / "labels" / "000012.txt").rename(folder / "JPEGImages" / "000012.txt")  # LabelImg
    place = tmp_path / given if given != "VOCdevkit/VOC2007/labels" else folder / "JPEGImages"
    (image,), lost = read(open_dataset(place, classes=["car"]))
    assert (len(image.objects), lost) == (1, {})


def test_a_template_of_darknet(tmp_path: Path) -> None:
    """It leads nowhere, and hides no labels of others."""
    text(tmp_path / "template.data", "train = data/train.txt\nnames = data/voc.names\n")
    text(tmp_path / "a.xml", "<annotation><filename>a.png</filename></annotation>")
    assert sniff(tmp_path) == "voc"


def test_darknet(tmp_path: Path) -> None:
    """CVAT writes obj.data, with paths below a folder data that its archive has not."""
    text(tmp_path / "obj.data", "classes = 2\ntrain = data/train.txt\nnames = data/obj.names\n")
    text(tmp_path / "obj.names", "car\ndog\n")
    text(tmp_path / "train.txt", "data/obj_train_data/a.png\ndata/obj_train_data/gone.png\n")
    for name in ("a", "gone"):
        text(tmp_path / "obj_train_data" / f"{name}.txt", "1 0.5 0.5 0.5 0.5\n")
    picture(tmp_path / "obj_train_data" / "a.png")
    images, lost = read(open_dataset(tmp_path, "yolo"))
    assert [each.name for each in images] == ["obj_train_data/a.png"]
    assert images[0].objects[0].category.name == "dog"
    assert lost == {"missing_image": 1}
    (tmp_path / "whole").mkdir()  # what darknet itself has, whose paths begin with data
    for each in [*tmp_path.iterdir()]:
        if each.name != "whole":
            (tmp_path / "whole" / "data").mkdir(exist_ok=True)
            each.rename(tmp_path / "whole" / "data" / each.name)
    images, _ = read(open_dataset(tmp_path / "whole"))
    assert [each.name for each in images] == ["obj_train_data/a.png"]


NOTHING = [
    ("train: images\nnames: [a]", "leads to no images; looked for images; train: images is not"),
    ("names: [a]", "leads to no images"),
    ("nc: 1\npath: .", "names no images under train, val or test; it has nothing"),
    ("train: images", "names must be a list"),
    ("names: {a: b}\ntrain: images", "cannot be read as yolo"),
    ("names: [[a]]\ntrain: images", "names must be a list"),
    ("names: [' ']\ntrain: images", "names must be a list"),
    ("kpt_shape: [-1, 3]\nnames: [a]\ntrain: images", "number of keypoints, and 2 or 3"),
    ("kpt_shape: [1001, 3]\nnames: [a]\ntrain: images", "number of keypoints, and 2 or 3"),
    ("kpt_shape: [3]\nnames: [a]\ntrain: images", "cannot be read as yolo"),
    ("kpt_shape: [3, 4]\nnames: [a]\ntrain: images", "number of keypoints, and 2 or 3"),
    ("train: [[images]]\nnames: [a]", "leads to no images.*a list in the list is not a path"),
    ("- a", "not YAML with names"),
    ("a: [", "is not YAML"),
    (b"\xff\xfe\x00", "not UTF-8 text"),
    (b"\x80", "not UTF-8 text"),
    ("a: " + "[" * 500, "is not YAML"),
]  # fmt: skip


@pytest.mark.parametrize(("yaml", "words"), NOTHING)
def test_what_is_no_dataset(tmp_path: Path, yaml: str | bytes, words: str) -> None:
    """Zero images is an error that says what was looked for, and where."""
    text(tmp_path / "data.yaml", yaml)
    with pytest.raises(FormatError, match=words):
        open_dataset(tmp_path / "data.yaml", "yolo")
    if "YAML" in words or "UTF-8" in words:  # said of a folder, too
        with pytest.raises(FormatError, match=words):
            open_dataset(tmp_path, "yolo")


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        ("train.txt", "list of images: it is not UTF-8 text"),
        ("classes.txt", "list of names: it is not UTF-8 text"),
    ],
)
def test_a_list_that_cannot_be_read_is_no_empty_one(
    tmp_path: Path, broken: str, words: str
) -> None:
    """Its dataset would be another one, or have other classes."""
    picture(tmp_path / "images" / "a.png")
    text(tmp_path / "labels" / "a.txt", "0 0.5 0.5 0.5 0.5\n")
    text(tmp_path / broken, b"images/a.png \xff\n")
    if broken == "train.txt":
        text(tmp_path / "data.yaml", "train: train.txt\nnames: [car]\n")
    with pytest.raises(FormatError, match=f"{broken} cannot be read as a {words}"):
        open_dataset(tmp_path, "yolo")


def test_a_part_that_is_not_there_is_a_loss(tmp_path: Path) -> None:
    """Where another is; asked for by name, it is an error."""
    text(tmp_path / "data.yaml", "train: images\nval: other\nnames: [car]\n")
    picture(tmp_path / "images" / "a.png")
    text(tmp_path / "labels" / "a.txt", "")
    images, lost = read(open_dataset(tmp_path, "yolo"))
    assert (len(images), lost) == (1, {"broken": 1})
    with pytest.raises(FormatError, match="other is not there"):
        open_dataset(tmp_path, "yolo", split="val")
    with pytest.raises(FormatError, match="no images under test; it has train, val"):
        open_dataset(tmp_path, "yolo", split="test")


def test_images_without_any_label_file(tmp_path: Path) -> None:
    """Labels that lie where nobody looks are not said to be none."""
    text(tmp_path / "data.yaml", "train: images\nnames: [car]\n")
    picture(tmp_path / "images" / "a.png")
    text(tmp_path / "elsewhere" / "a.txt", "0 0.5 0.5 0.5 0.5")
    with pytest.raises(FormatError, match=r"labels of none of its 1 images; .*labels/a\.txt"):
        open_dataset(tmp_path, "yolo")


def test_turned_boxes_of_dota(tmp_path: Path) -> None:
    """YOLOv5-OBB has them in pixels, with the name of the class, in a folder of their own."""
    text(tmp_path / "data.yaml", "train: train/images\nnames: [plane, large vehicle, ship]\n")
    picture(tmp_path / "train" / "images" / "a.png")
    lines = ["gsd:0.1", "10 20 110.5 20 110.5 60 10 60 ship 0"]
    lines += [f"0 0 9 0 9 9 0 {end}" for end in ("9 plane 1", "9 car 0", "x plane 0", "9 ship")]
    text(tmp_path / "train" / "labelTxt" / "a.txt", "\n".join(lines))
    text(tmp_path / "train" / "labelTxt" / "gone.txt", lines[1])
    assert sniff(tmp_path) == "yolo-obb"
    (image, gone), lost = read(open_dataset(tmp_path))
    assert [(each.category.name, dict(each.extra)) for each in image.objects] == [
        ("ship", {}), ("plane", {"difficult": "1"}), ("ship", {})
    ]  # fmt: skip
    assert rings(image.objects[0]) == [[[(10, 20), (110.5, 20), (110.5, 60), (10, 60)]]]
    assert lost == {"unknown_category": 1, "broken": 1}
    assert (gone.width, gone.name, rings(gone.objects[0])) == (
        None,
        "gone",
        rings(image.objects[0]),
    )
    near = "-0.005 0 200.005 0 200.005 100.005 0 100.005 ship\n0 0.5 0.5 0.5 0.5"
    text(tmp_path / "train" / "labelTxt" / "a.txt", near)
    (image, _), lost = read(open_dataset(tmp_path))
    assert rings(image.objects[0]) == [[[(0, 0), (200, 0), (200, 100), (0, 100)]]]
    assert (box(image.objects[1]), lost) == ((50, 25, 100, 50), {})
    text(tmp_path / "train" / "labelTxt" / "gone.txt", f"{lines[1]}\n0 0.5 0.5 0.5 0.5")
    (_, gone), lost = read(open_dataset(tmp_path, in_shares=True))
    assert (gone.in_shares, len(gone.objects), lost["broken"]) == (False, 1, 1)


@pytest.mark.parametrize(
    "head", ["", "imagesource:GoogleEarth\ngsd:0.1\n", "'imagesource':GoogleEarth\n'gsd':0.1\n"]
)
def test_dota_needs_no_list_of_classes(tmp_path: Path, head: str) -> None:
    """Its lines name them, in all parts; a line that may be one of YOLO leaves a doubt."""
    for part, names in (("train", "ship plane"), ("val", "ship tank")):
        picture(tmp_path / part / "images" / f"P{part}.png")
        lines = [f"10 20 110.5 20 110.5 60 10 60 {name} 0" for name in names.split()]
        text(tmp_path / part / "labelTxt" / f"P{part}.txt", head + "\n".join([*lines, "x"]))
    assert sniff(tmp_path) == sniff(tmp_path / "val") == "dota"
    dataset = open_dataset(tmp_path)
    assert [(each.id, each.name) for each in dataset.categories] == [
        (0, "ship"), (1, "plane"), (2, "tank")
    ]  # fmt: skip
    images, lost = read(dataset)
    assert [(each.name, [one.category.name for one in each.objects]) for each in images] == [
        ("Ptrain.png", ["ship", "plane"]), ("Pval.png", ["ship", "tank"])
    ]  # fmt: skip
    assert lost == {"broken": 2}
    text(tmp_path / "classes.txt", "tank\ncar\n")  # those that are listed come first
    for dataset in (open_dataset(tmp_path), open_dataset(tmp_path, classes=["tank", "car"])):
        known = ["tank", "car", "ship", "plane"]
        assert [(each.id, each.name) for each in dataset.categories] == [*enumerate(known)]
    (tmp_path / "classes.txt").unlink()
    text(tmp_path / "val" / "labelTxt" / "other.txt", "0 0.1 0.1 0.3 0.1 0.3 0.4 0.1 0.4\n")
    with pytest.raises(FormatError, match="does not list its classes"):
        open_dataset(tmp_path, "dota")


def test_classes_of_dota_with_blanks(tmp_path: Path) -> None:
    """A class is all between the corners and the mark, with or without a list of classes."""
    corners = "10 20 110.5 20 110.5 60 10 60"
    lines = [f"{corners} {each}" for each in ("large vehicle 1", "large vehicle", "ship 0")]
    text(tmp_path / "labelTxt" / "a.txt", "\n".join(lines))
    picture(tmp_path / "images" / "a.png")
    assert sniff(tmp_path) == "dota"
    for _ in range(2):
        (image,), lost = read(open_dataset(tmp_path))
        assert [(each.category.name, dict(each.extra)) for each in image.objects] == [
            ("large vehicle", {"difficult": "1"}), ("large vehicle", {}), ("ship", {})
        ]  # fmt: skip
        assert not lost
        text(tmp_path / "classes.txt", "ship\nlarge vehicle\n")


def test_images_of_dota_without_objects(tmp_path: Path) -> None:
    """Their files have only the lines at the head, and they are images without labels."""
    for name, line in (("a", ""), ("b", "10 20 110.5 20 110.5 60 10 60 ship 0")):
        picture(tmp_path / "images" / f"{name}.png")
        text(tmp_path / "labelTxt" / f"{name}.txt", f"imagesource:X\ngsd:0.1\n{line}")
    text(tmp_path / "labelTxt" / "gone.txt", "imagesource:X\ngsd:null\n")  # without its image
    found = formats.read(tmp_path, "dota")
    assert [(each.media_name, len(each.annotations)) for each in found.images] == [
        ("a.png", 0), ("b.png", 1)
    ]  # fmt: skip
    assert not found.losses


@pytest.mark.parametrize("folder", ["labelTxt", "labels"])
def test_labels_of_missing_images_have_no_folder_of_labels_in_their_names(
    tmp_path: Path, folder: str
) -> None:
    """They are named as if the images were there."""
    text(tmp_path / folder / "below" / "a.txt", "10 20 110.5 20 110.5 60 10 60 ship 0")
    (image,), _ = read(open_dataset(tmp_path, "dota"))
    assert image.name == "below/a"


NOTES = {
    "trainval.txt": "0\n1\n",
    "about.txt": "these are labels that we have drawn by hand in 2024\n",
    "obj.data.txt": "classes = 13\ntrain = data/train.txt\n",
    "how to start.txt": "set SIZE=10000000\nlabel-studio start\n",
}


@pytest.mark.parametrize("name", NOTES)
@pytest.mark.parametrize(
    ("line", "format_name"),
    [
        ("0 0.5 0.5 0.5 0.5", "yolo"),
        ("1 1 9 1 9 9 1 9 car 0", "dota"),
        ("car 0 0 0 1 1 9 9 1 1 1 1 1 1 0", "kitti"),
    ],
)
def test_notes_beside_labels(tmp_path: Path, name: str, line: str, format_name: str) -> None:
    """A text without a line of numbers is no label file; one with wrong lines of them is."""
    folder = tmp_path / ("labelTxt" if format_name == "dota" else "labels")
    text(folder / "a.txt", f"{line}\n")
    text(folder / name, NOTES[name])
    text(folder / "b.txt", "car,0.5,0.5,0.5\n")
    (image, *more), lost = read(open_dataset(folder, classes=["car"], in_shares=True))
    assert (Path(image.name).name, len(image.objects), lost["broken"]) == ("a", 1, 1)
    assert [each.objects for each in more] == [[]]


@pytest.mark.parametrize("stem", ["train", "test", "readme"])
def test_images_named_like_lists(tmp_path: Path, stem: str) -> None:
    """A file is one of labels by its first line, whatever its name; a list beside it is none."""
    text(tmp_path / "data.yaml", "train: images\nnames: [car]\n")
    (tmp_path / "images").mkdir()
    text(tmp_path / "labels" / f"{stem}.txt", "0 0.5 0.5 0.5 0.5\n")
    text(tmp_path / "labels" / "names.txt", "car\n")
    (image,), lost = read(open_dataset(tmp_path, in_shares=True))
    assert (image.name, len(image.objects), lost) == (stem, 1, {})
    folder = tmp_path / "kitti"
    text(folder / f"{stem}.txt", "Car 0.00 0 -1.58 587 173 614 200 1.65 1.67 3.64 -0.65 1.71 46 -1")
    text(folder / "names.txt", "car\n")
    (image,), _ = read(open_dataset(folder, "kitti"))
    assert (image.name, len(image.objects)) == (stem, 1)
    picture(folder / "labels.png")  # an image without labels
    text(folder / "labels.txt", "")
    images, _ = read(open_dataset(folder, "kitti"))
    assert {each.name for each in images} == {stem, "labels.png"}


@pytest.mark.parametrize("sign", ["\u2028", "\x85", "\x0b", "\x0c", "\x1c"])
def test_only_ends_of_lines_separate_names(tmp_path: Path, sign: str) -> None:
    """A name with another separator is one name, and those behind it keep their numbers."""
    text(tmp_path / "classes.txt", f"big{sign}car\r\ndog\n")
    text(tmp_path / "data.yaml", "names: classes.txt\ntrain: train.txt\n")
    text(tmp_path / "train.txt", f"images/a{sign}b.png\nimages/c.png")
    for name in (f"a{sign}b", "c"):
        picture(tmp_path / "images" / f"{name}.png")
        text(tmp_path / "labels" / f"{name}.txt", "1 0.5 0.5 0.5 0.5\n")
    dataset = open_dataset(tmp_path)
    assert [each.name for each in dataset.categories] == [f"big{sign}car", "dog"]
    images, lost = read(dataset)
    assert [(each.name, each.objects[0].category.name) for each in images] == [
        (f"a{sign}b.png", "dog"), ("c.png", "dog")
    ]  # fmt: skip
    assert not lost


def test_names_too_long_for_any_file(tmp_path: Path) -> None:
    """They end no reading: in a list of images, in data.yaml, in a folder or alone."""
    long = "x" * 300
    text(tmp_path / "data.yaml", f"train: [l.txt, {long}, {long}/a]\nnames: [car]\n")
    text(tmp_path / "l.txt", f"{long}.png\n{long}/b.png\nimages/a.png\n{'y/' * 3000}c.png\n")
    picture(tmp_path / "images" / "a.png")
    text(tmp_path / "labels" / "a.txt", "0 0.5 0.5 0.5 0.5\n")
    images, lost = read(open_dataset(tmp_path, "yolo"))
    assert {each.name[-5:]: len(each.objects) for each in images} == {
        "x.png": 0, "a.png": 1, "b.png": 0, "c.png": 0
    } | {images[0].name[-5:]: 0}  # fmt: skip
    assert lost == {"broken": 2}


def test_labels_in_a_folder_of_another_name(tmp_path: Path) -> None:
    """They are of the image of their name, if there is but one."""
    text(tmp_path / "obj.names", "car\n")
    for name in ("a", "b"):
        text(tmp_path / "Annotations" / f"{name}.txt", "0 0.5 0.5 0.5 0.5\n")
    for place in ("Images/a.png", "Images/b.png", "others/b.png", "Images/c.png"):
        picture(tmp_path / place)
    text(tmp_path / "Images" / "c.txt", "")
    for place in ("Annotations/c.txt", "x/d.txt", "y/d.txt"):
        text(tmp_path / place, "0 0.5 0.5 0.5 0.5\n")
    images, lost = read(open_dataset(tmp_path))
    assert [(each.name, len(each.objects)) for each in images] == [
        ("Images/a.png", 1), ("Images/b.png", 0), ("Images/c.png", 0), ("others/b.png", 0)
    ]  # fmt: skip
    assert lost == {"missing_image": 4}


@pytest.mark.parametrize("content", ["1 " * 200_000, "0 0 0 0 0\n" * 100_001])
def test_more_than_an_image_holds(tmp_path: Path, content: str) -> None:
    """A line of any length, and any number of lines, are one loss, and do not fill the memory."""
    text(tmp_path / "data.yaml", "train: images\nnames: [car]\n")
    for name in ("a", "b"):
        picture(tmp_path / "images" / f"{name}.png")
    text(tmp_path / "labels" / "a.txt", content)
    images, lost = read(open_dataset(tmp_path, "yolo"))
    assert [(each.name, each.is_labelled) for each in images] == [("a.png", True), ("b.png", False)]
    assert lost == {"broken": 1}
    assert [each.media_name for each in formats.read(tmp_path, "yolo").images] == ["b.png"]


@pytest.mark.parametrize("kind", ["coco", "yolo"])
def test_given_classes_come_first(tmp_path: Path, kind: str) -> None:
    """So they do in a label configuration, also those of no file; numbers keep their meaning."""
    picture(tmp_path / "images" / "a.png")
    text(tmp_path / "data.yaml", "train: images\nnames: [car, bus, cat]\n")
    text(tmp_path / "labels" / "a.txt", "1 0.5 0.5 0.5 0.5\n")
    path = tmp_path / ("data.yaml" if kind == "yolo" else "coco.json")
    if kind == "coco":
        names = [{"id": number, "name": each} for number, each in enumerate(("car", "bus", "cat"))]
        images = [{"id": 1, "file_name": "a.png", "width": 200, "height": 100}]
        found = [{"image_id": 1, "category_id": 1, "bbox": [50, 25, 100, 50]}]
        whole = {"images": images, "annotations": found, "categories": names}
        text(path, json.dumps(whole))
    config = formats.label_config(path, classes=["cat", "dog", "bus"])
    assert [each.key for each in config.entries] == ["cat", "dog", "bus", "car"]
    (image,) = formats.read(path, classes=["cat", "dog", "bus"]).images
    assert [each.key for each in image.annotations] == ["bus"]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-32-be"])
def test_files_in_any_encoding(tmp_path: Path, encoding: str) -> None:
    """Label files, YAML and lists of names may be in any encoding of Unicode."""
    text(tmp_path / "data.yaml", "train: images\nnames: classes.txt\n".encode(encoding))
    text(tmp_path / "classes.txt", "car\n猫\n".encode(encoding))
    text(tmp_path / "labels" / "a.txt", "1 0.5 0.5 0.5 0.5\n".encode(encoding))
    picture(tmp_path / "images" / "a.png")
    (image,), lost = read(open_dataset(tmp_path))
    assert ([each.category.name for each in image.objects], lost) == (["猫"], {})


def test_what_a_folder_may_hold_besides(tmp_path: Path) -> None:
    """A pipe, a circle of links, and a file that is no text end nothing."""
    text(tmp_path / "data.yaml", "train: images\nnames: [car]\n")
    for name in ("a", "b", "c"):
        picture(tmp_path / "images" / f"{name}.png")
    (tmp_path / "labels").mkdir()
    os.mkfifo(tmp_path / "labels" / "a.txt")
    os.mkfifo(tmp_path / "images" / "pipe.png")
    (tmp_path / "images" / "again").symlink_to(tmp_path / "images")
    text(tmp_path / "labels" / "b.txt", b"0 0.5 0.5 0.5 0.5\n\xff\xff")
    text(tmp_path / "labels" / "c.txt", "0 0.5 0.5 0.5 0.5\n".encode("utf-16"))
    images, lost = read(open_dataset(tmp_path, "yolo"))
    assert [(each.name, len(each.objects), each.is_labelled) for each in images] == [
        ("a.png", 0, True), ("b.png", 0, True), ("c.png", 1, True), ("pipe.png", 0, False)
    ]  # fmt: skip
    assert lost == {"broken": 2}


# --- KITTI ----------------------------------------------------------------------------------------

TRUCK = "Truck 0.00 0 -1.57 599.41 156.40 629.75 189.25 2.85 2.63 12.34 0.47 1.49 69.44 -1.56"
OWN = "traffic light -1 -1 -10 1 2 11.5 22 -1 -1 -1 -1000 -1000 -1000 -10"


def test_kitti_as_it_is_published(tmp_path: Path) -> None:
    """label_2 beside image_2, 15 or 16 columns, names with blanks, and DontCare, which is told."""
    care = "DontCare -1 -1 -10 503.89 169.71 590.61 190.13 -1 -1 -1 -1000 -1000 -1000 -10"
    text(tmp_path / "label_2" / "000000.txt", f"{TRUCK}\n{care}\n\n{TRUCK} 0.75\n")
    text(tmp_path / "label_2" / "000001.txt", f"{OWN}\n")
    picture(tmp_path / "image_2" / "000000.png", 1224, 370)
    for where in (tmp_path, tmp_path / "label_2"):
        images, lost = read(dataset := open_dataset(where, "kitti"))
        assert [each.name for each in images] == ["000000.png", "000001"]
        assert (images[0].width, images[0].height, images[1].width) == (1224, 370, None)
        assert lost == {"ignored": 1, "size": 1}
        assert [each.name for each in dataset.categories] == ["Truck", "traffic light"]
        assert box(images[0].objects[0]) == pytest.approx((599.41, 156.40, 30.34, 32.85))
        assert [each.score for each in images[0].objects] == [None, 0.75]
        assert images[0].objects[0].extra["length"] == 12.34
        assert (box(images[1].objects[0]), images[1].objects[0].extra) == ((1, 2, 10.5, 20), {})


@pytest.mark.parametrize(
    "line", ["Van", "Van 1 2 3", TRUCK.replace("629.75", "nan"), TRUCK.replace("629.75", "1"),
             TRUCK.replace("189.25", "1"), "0 0 0 0 10 20 30 40 50 60 0 0 0 0",
             TRUCK.split(" ", 1)[1], f"{TRUCK}{TRUCK}"]
)  # fmt: skip
def test_a_wrong_line_of_kitti_is_one_loss(tmp_path: Path, line: str) -> None:
    """It is named by file and line, and the rest of the file goes on."""
    picture(tmp_path / "a.png")
    text(tmp_path / "a.txt", f"{TRUCK}\n{line}\n{TRUCK}\n")
    losses = Losses()
    (image,) = open_dataset(tmp_path, "kitti").images(losses)
    assert len(image.objects) == 2
    (lost,) = losses.report().items
    assert (lost.kind, lost.count) == (LossKind.BROKEN, 1)
    assert "a.txt, line 2: " in lost.examples[0]


def test_tracks_of_kitti_are_no_classes(tmp_path: Path) -> None:
    """Its tracking has a frame and a track before the class, and many images in a file."""
    line = "Car 0 0 0 1 2 3 4 0 0 0 0 0 0 0"
    text(tmp_path / "a.txt", f"0 2 {line}\n1 2 {line}\n3 {line}\n")
    (image,), lost = read(open_dataset(tmp_path, "kitti"))
    assert [each.category.name for each in image.objects] == ["3 Car"]
    assert lost == {"broken": 2, "size": 1}
    text(tmp_path / "a.txt", line.replace("Car", "big red traffic light"))
    (image,), lost = read(open_dataset(tmp_path, "kitti"))
    assert [each.category.name for each in image.objects] == ["big red traffic light"]


def test_images_of_kitti_whose_labels_are_lost(tmp_path: Path) -> None:
    """They are left out, unlike those on which there is nothing that anybody cares for."""
    lines = {"a": TRUCK.replace("189.25", "1"), "b": "", "c": TRUCK.replace("Truck", "DontCare")}
    for name, line in lines.items():
        text(tmp_path / f"{name}.txt", line)
        picture(tmp_path / f"{name}.png")
    text(tmp_path / "remarks.txt", "of " * 20)
    found = formats.read(tmp_path, "kitti")
    assert [each.media_name for each in found.images] == ["b.png", "c.png"]
    assert {each.kind.value: each.count for each in found.losses.items} == {
        "broken": 1, "ignored": 1
    }  # fmt: skip


@pytest.mark.parametrize(
    ("labels", "images"), [("default/label_2", "default/image_2"), ("labels", "data")]
)
def test_kitti_as_tools_write_it(tmp_path: Path, labels: str, images: str) -> None:
    """CVAT and FiftyOne have an empty file for each image without labels, which is of no format."""
    for name in "abcdefg":
        text(tmp_path / labels / f"{name}.txt", f"{TRUCK}\n" if name == "g" else "")
        picture(tmp_path / images / f"{name}.png", 1224, 370)
    text(tmp_path / "label_colors.txt", "0 0 0 Truck\n")
    found, lost = read(open_dataset(tmp_path))
    assert [each.name for each in found] == [f"{name}.png" for name in "abcdefg"]
    assert {each.width for each in found} == {1224}
    assert [len(each.objects) for each in found] == [0, 0, 0, 0, 0, 0, 1]
    assert not lost


def test_kitti_as_it_is_unpacked(tmp_path: Path) -> None:
    """In folders of its archives, with calibrations, which are no labels."""
    for part in ("a", "b"):
        text(tmp_path / part / "label_2" / f"{part}.txt", TRUCK)
        text(tmp_path / part / "calib" / f"{part}.txt", "P0: " + "7.2e+02 " * 12)
        picture(tmp_path / part / "image_2" / f"{part}.png", 1224, 370)
    images, lost = read(open_dataset(tmp_path))
    assert [each.name for each in images] == ["a/image_2/a.png", "b/image_2/b.png"]
    assert ([each.width for each in images], lost) == ([1224, 1224], {})


def test_kitti_in_several_parts(tmp_path: Path) -> None:
    """Labels for testing, which KITTI keeps to itself, are read beside those for training."""
    for part in ("testing", "training"):
        text(tmp_path / part / "label_2" / "000000.txt", TRUCK)
        picture(tmp_path / part / "image_2" / "000000.png", 1224, 370)
    images, lost = read(open_dataset(tmp_path))
    names = [f"{part}/image_2/000000.png" for part in ("testing", "training")]
    assert ([(each.name, len(each.objects)) for each in images], lost) == (
        [(name, 1) for name in names], {}
    )  # fmt: skip
    (image,), _ = read(open_dataset(tmp_path, split="testing"))
    assert image.name == names[0]
    text(tmp_path / "ImageSets" / "val.txt", "000000\n")
    assert len(read(open_dataset(tmp_path, split="val"))[0]) == 2


def test_kitti_with_images_for_testing(tmp_path: Path) -> None:
    """They have the names of those for training, so names have the folders."""
    text(tmp_path / "training" / "label_2" / "000000.txt", TRUCK)
    for part in ("testing", "training"):
        picture(tmp_path / part / "image_2" / "000000.png", 1224, 370)
    text(tmp_path / "ImageSets" / "train.txt", "000000\n")
    for split in (None, "train"):
        (image,), lost = read(open_dataset(tmp_path, split=split))
        assert (image.name, image.width, lost) == ("training/image_2/000000.png", 1224, {})


def test_kitti_as_it_is_written_here(tmp_path: Path) -> None:
    """training/label_2 beside training/image_2, with lists of the images of each part."""
    for name in ("a", "b"):
        text(tmp_path / "training" / "label_2" / "s" / f"{name}.txt", f"{TRUCK}\n")
    picture(tmp_path / "training" / "image_2" / "s" / "a.jpg")
    text(tmp_path / "ImageSets" / "val.txt", "s/b\n")
    images, lost = read(open_dataset(tmp_path))
    assert [each.name for each in images] == ["s/a.jpg", "s/b"]
    for path in (tmp_path, tmp_path / "training" / "label_2"):
        (image,), lost = read(open_dataset(path, split="val"))
        assert (image.name, lost) == ("s/b", {"size": 1})
    with pytest.raises(FormatError, match="has no part 'test'"):
        open_dataset(tmp_path, split="test")


def test_an_empty_folder_is_no_kitti(tmp_path: Path) -> None:
    """Nor is a file."""
    with pytest.raises(FormatError, match=r"holds no images; looked for a \.txt of labels"):
        open_dataset(tmp_path, "kitti")
    text(tmp_path / "a.txt", TRUCK)
    with pytest.raises(FormatError, match="holds no images"):
        open_dataset(tmp_path / "a.txt", "kitti")


def test_scores_are_a_threshold(tmp_path: Path) -> None:
    """Objects below the score that was asked for are left out and counted; those of none stay."""
    text(tmp_path / "a.txt", f"{TRUCK} 0.25\n{TRUCK} 0.75\n{TRUCK}\n")
    (image,), lost = read(open_dataset(tmp_path, "kitti", min_score=0.75))
    assert [each.score for each in image.objects] == [0.75, None]
    assert lost == {"low_score": 1, "size": 1}


LISTS = [
    ("labels.txt", "cat\ndog\n", "cat dog"),
    ("labels/class_names.txt", "cat\r\ndog  \r\n", "cat dog"),
    ("Classes.txt", "cat\ndog\n", "cat dog"),
    ("label.txt", "cat\ndog\n", "cat dog"),
    ("obj_names.txt", "cat\ndog\n", "cat dog"),
    ("labels/labelmap.txt", "cat\ndog\n", "cat dog"),
    ("classes.txt", "0: cat\n1: dog\n", "cat dog"),
    ("labels.txt", "0 cat\n1 dog\n", "cat dog"),
    ("classes.txt", "0,cat\n\n2,dog\n", "cat dog"),
    ("classes.txt", "1 cat\n2 dog\n", "1 cat,2 dog"),  # it may be counted from 1: nothing is said
    ("classes.txt", "0 cent\n1 cent\n", "0 cent,1 cent"),
]


@pytest.mark.parametrize(("name", "listed", "names"), LISTS)
def test_lists_of_classes_by_other_names_and_with_numbers(
    tmp_path: Path, name: str, listed: str, names: str
) -> None:
    """A list of names is found, and numbers in front that repeat those of the lines are dropped."""
    picture(tmp_path / "images" / "a.png")
    last = 2 if "2,dog" in listed else 1
    text(tmp_path / "labels" / "a.txt", f"0 0.5 0.5 0.5 0.5\n{last} 0.5 0.5 0.2 0.2\n")
    text(tmp_path / name, listed)
    for other in ("one.names", "two.names"):  # one of them would be the list
        text(tmp_path / other, f"{other}\n")
    (image,), lost = read(open_dataset(tmp_path))
    expected = names.split("," if "," in names else None)
    assert [each.category.name for each in image.objects] == expected
    assert not lost


def test_labels_of_an_image_called_labels_are_no_list_of_classes(tmp_path: Path) -> None:
    """``labels.txt`` is a label file if it holds labels; other lists do not name classes."""
    picture(tmp_path / "labels.png")
    text(tmp_path / "labels.txt", "0 0.5 0.5 0.5 0.5\n")
    text(tmp_path / "labelmap.txt", "# label:color_rgb:parts:actions\ncat:255,0,0::\n")
    text(tmp_path / "list.txt", "labels.png\n")
    with pytest.raises(FormatError, match=r"does not list its classes.*labels\.txt"):
        open_dataset(tmp_path, "yolo")


def test_a_folder_of_images_below_the_home_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may begin with ~, as the path of the labels may."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    picture(tmp_path / "pictures" / "a.png")
    text(tmp_path / "texts" / "a.txt", "0 0.5 0.5 0.5 0.5\n")
    found = formats.read("~/texts", "yolo", classes=["car"], images="~/pictures")
    (image,) = found.images
    assert (image.width, image.height, len(image.annotations)) == (200, 100, 1)
    assert not found.losses
