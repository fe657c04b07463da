"""What labelformat reads, and what is no such file."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from PIL import Image

from datagym_async import formats
from datagym_async.formats import FormatError, LossKind, convert
from datagym_async.labels import Annotation, LabeledImage, Rectangle

BOX = Rectangle(20, 10, 60, 40)


def test_boxes_come_back(tmp_path: Path) -> None:
    """What is written as YOLO, CVAT and Lightly is read by others as it was."""
    Image.new("L", (200, 100)).save(tmp_path / "a.png")
    photo = tmp_path / "a.png"
    given = LabeledImage(
        media_name="a.png", annotations=[Annotation("car", BOX)], width=200, height=100
    )
    for name, path in (
        ("yolo", "yolo/data.yaml"),
        ("cvat", "cvat/annotations.xml"),
        ("lightly", "lightly/labels"),
    ):
        folder = tmp_path / (path if name == "lightly" else name)
        formats.write([given], folder, name, images_from={"a.png": photo})  # type: ignore[arg-type]
        if name == "lightly":
            (folder / "images").rename(tmp_path / name / "images")
        read = convert.read(tmp_path / path, name)  # type: ignore[arg-type]
        assert [each.media_name for each in read.images] == ["a.png"]
        (found,) = read.images[0].annotations
        assert found.key == "car"
        assert found.shape.bounds == pytest.approx(BOX.bounds)  # type: ignore[union-attr]


def test_broken_lines(tmp_path: Path) -> None:
    """What labelformat leaves out with a word in the log is counted, and said."""
    for folder in ("images", "labels"):
        (tmp_path / folder).mkdir()
    (tmp_path / "data.yaml").write_text("path: .\ntrain: images\nnames: [car]\n")
    Image.new("L", (200, 100)).save(tmp_path / "images" / "a.png")
    (tmp_path / "labels" / "a.txt").write_text("0 0.5 0.5 0.1 0.1\n0 0.5\n7 0.1 0.1 0.1 0.1\n")
    read = convert.read(tmp_path / "data.yaml", "yolo")
    assert len(read.images[0].annotations) == 1
    assert read.losses.count(LossKind.BROKEN) == 2
    assert "a.txt" in str(read.losses)


def test_what_cannot_be_read(tmp_path: Path) -> None:
    """What is no such file is refused with its path; missing classes and unknown formats, too."""
    (tmp_path / "data.yaml").write_text("names: [a]\n")
    with pytest.raises(FormatError, match=r"data\.yaml cannot be read as yolo"):
        convert.read(tmp_path / "data.yaml", "yolo")
    (tmp_path / "a.xml").write_text("<annotation/>")
    with pytest.raises(FormatError, match="cannot be read as voc"):
        convert.read(tmp_path, "voc", classes=["car"])
    with pytest.raises(FormatError, match="do not list their classes"):
        convert.read(tmp_path, "voc")
    with pytest.raises(FormatError, match="holds a comma"):
        convert.read(tmp_path, "voc", classes=["a,b"])
    with pytest.raises(FormatError, match="use one of yolo"):
        convert.read(tmp_path, "tfrecord")  # type: ignore[arg-type]  # the mistake


@pytest.mark.parametrize("name", ["yolo", "cvat", "labelbox", "voc", "lightly"])
def test_a_pipe_is_not_waited_for(tmp_path: Path, name: convert.FormatName) -> None:
    """What is no regular file, or no folder, is refused and not opened."""
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(FormatError, match=f"cannot be read as {name}: it is no"):
        convert.read(tmp_path / "pipe", name, classes=["a"])
