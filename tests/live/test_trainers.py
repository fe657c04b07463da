"""Datasets as trainers read them, by the trainers' own readers.

Runs only where these are installed, which is done by hand: they bring gigabytes.
`python -m pytest -W ignore tests/live/test_trainers.py` in an environment with this package, its
extra `test`, Ultralytics and Hugging Face's datasets.
"""

from __future__ import annotations

import importlib
import shutil
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from datagym_async import formats
from datagym_async.labels import Annotation, LabelConfig, LabeledImage, Point, Polygon, Rectangle

pytestmark = pytest.mark.live


def dataset(folder: Path, name: Any) -> Path:
    """A dataset of 20 images in two parts, moved after it was written."""
    config = LabelConfig()
    person = config.add_rectangle("person", "Person")
    for joint in ("nose", "left_eye", "right_eye"):
        person.add_point(joint, joint)
    config.add_polygon("roof", "Roof")
    eye = Annotation("left_eye", Point(22, 18.5))
    found = [
        Annotation("person", Rectangle(10.25, 10.5, 30, 40.125), nested=[eye]),
        Annotation("roof", Polygon([(50, 50), (80, 50), (85, 80), (55, 82)])),
    ]
    images, files = [], {}
    for number in range(20):
        files[str(number)] = folder / f"{number}.png"
        Image.effect_noise((200, 100), 50).save(files[str(number)])
        image = LabeledImage(media_name=str(number), annotations=found, width=200, height=100)
        images.append(image)
    split = "train=0.6,val=0.4"
    formats.write(images, folder / "new", name, config=config, images_from=files, split=split)
    return Path(shutil.move(folder / "new", folder / "moved"))


@pytest.mark.parametrize(
    ("name", "task"),
    [("yolo", "detect"), ("yolo-seg", "segment"), ("yolo-pose", "pose"), ("yolo-obb", "obb")],
)
def test_ultralytics(tmp_path: Path, name: str, task: str) -> None:
    """Its dataset has every image and every object of both parts, none of them left out."""
    pytest.importorskip("ultralytics")
    utils = importlib.import_module("ultralytics.data.utils")
    kind = importlib.import_module("ultralytics.data.dataset").YOLODataset
    said = utils.check_det_dataset(dataset(tmp_path, name) / "data.yaml", autodownload=False)
    assert said["names"] == {0: "Person", 1: "Roof"}
    every = [
        kind(img_path=said[part], data=said, task=task, augment=False) for part in ("train", "val")
    ]
    assert sum(map(len, every)) == 20
    labels = [each for part in every for each in part.labels]
    assert all([*each["cls"].ravel()] == [0, 1] for each in labels)
    assert every[0][0]["bboxes"].shape[0] == 2


def test_hugging_face(tmp_path: Path) -> None:
    """Its imagefolder has both parts, with the objects of each image."""
    pytest.importorskip("datasets")
    load = importlib.import_module("datasets").load_dataset
    found = load("imagefolder", data_dir=str(dataset(tmp_path, "imagefolder")), cache_dir=tmp_path)
    assert sum(len(found[part]) for part in ("train", "validation")) == 20
    assert found["train"][0]["objects"]["names"] == ["Person", "Roof"]
