"""Labels of other tools into a project on the command line; label configurations out of them."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
import pytest
from PIL import Image

from datagym_async import DataGymClient
from datagym_async.labels import LabelConfig
from datagym_async.models import EntryType
from datagym_async.server import SeedDataset, SeededProject, SeedMedia, SeedProject
from datagym_async.testing import FaultPlan, RefuseToken
from tests.cli.conftest import Cli
from tests.helpers.sentinel import TOKEN
from tests.helpers.server_thread import ServerThread


def picture(width: int = 200, height: int = 100) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (width, height)).save(stream, "PNG")
    return stream.getvalue()


def coco(
    boxes: Mapping[str, list[float]], *, size: Any = (200, 100), names: tuple[str, ...] = ()
) -> dict[str, Any]:
    """A file with a box of each class, by name, on `a.png`."""
    classes = names or tuple(boxes)
    return {
        "images": [{"id": 1, "file_name": "a.png", "width": size[0], "height": size[1]}],
        "categories": [{"id": n, "name": each} for n, each in enumerate(classes, 1)],
        "annotations": [
            {"id": n, "image_id": 1, "category_id": classes.index(each) + 1, "bbox": box}
            for n, (each, box) in enumerate(boxes.items(), 1)
        ],
    }


@attrs.frozen
class Bench:
    """The command line, a project whose label configuration is empty, and a folder for files."""

    cli: Cli
    service: ServerThread
    project: SeededProject
    folder: Path

    def file(self, name: str, value: Any) -> Path:
        """A file with some text or a JSON value."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(value if isinstance(value, str) else json.dumps(value))
        return path

    def run(self, file: Path, *options: str) -> Any:
        """Import a file in place of what is there."""
        return self.cli("import", file, "--project", "streets", "--replace", *options)

    def config(self) -> LabelConfig:
        """The label configuration."""

        async def ask() -> LabelConfig:
            async with DataGymClient(TOKEN, self.service.base_url) as client:
                view = await client.label_configs.read(self.project.id)
            assert view is not None
            return LabelConfig.from_entries(view)

        return self.service.call(ask())

    def boxes(self, name: str = "a.png") -> dict[str, list[tuple[Any, ...]]]:
        """The boxes of an image with every digit, by the text of their entries."""

        async def ask() -> dict[str, list[tuple[Any, ...]]]:
            async with DataGymClient(TOKEN, self.service.base_url) as client:
                task = await client.tasks.get(self.project.task_ids[name])
            found: dict[str, list[tuple[Any, ...]]] = {}
            for each in task.label_iteration.values:
                if each.entry_type is EntryType.FREETEXT:
                    continue
                assert each.point is not None
                box = (each.point.x, each.point.y, each.width, each.height)
                found.setdefault(each.entry_value, []).append(box)
            return found

        return self.service.call(ask())


@pytest.fixture
def bench(at_service: Cli, service: ServerThread, tmp_path: Path) -> Bench:
    names = ("a.png", "M\u00fcller 1.png")
    media = [SeedMedia(name, content=picture()) for name in names]
    (project,) = service.call(
        service.server.seed(SeedProject("Streets", [SeedDataset("Day", media)]))
    )
    return Bench(at_service, service, project, tmp_path)


def test_a_file_into_a_fresh_project_is_one_command(bench: Bench) -> None:
    """Its label configuration is made of the file, and its labels are stored with every digit."""
    file = bench.file(
        "coco.json", coco({"Car": [1.25, 2.5, 3, 4.75], "Traffic Light": [5, 6, 7, 8]})
    )
    ran = bench.run(file)
    assert (ran.status, "is empty" in ran.err, "--create-config" in ran.err) == (2, True, True)
    ran = bench.run(bench.file("none.json", coco({})), "--create-config")
    assert (ran.status, "made of the file" in ran.err, len(bench.config())) == (1, False, 0)
    ran = bench.run(file, "--check", "--create-config")
    assert (ran.status, len(bench.config())) == (0, 0)
    assert "configuration of 2 entries would be made of the file (car, traffic_light)." in ran.err
    ran = bench.run(file, "--create-config")
    assert "configuration of 2 entries was made of the file (car, traffic_light)." in ran.err
    assert (ran.status, ran.out) == (0, "1 prediction: 1 stored.\n")
    assert bench.boxes() == {"Car": [(1.25, 2.5, 3, 4.75)], "Traffic Light": [(5, 6, 7, 8)]}
    assert [each.key for each in bench.config().entries] == ["car", "traffic_light"]
    # Again, nothing is made, whatever the file has.
    ran = bench.run(file, "--create-config", "--json")
    assert (ran.status, ran.document["ok"], ran.document["losses"]) == (0, True, [])
    assert ran.document["created"] is None


@pytest.mark.parametrize(
    ("method", "path", "nth", "stored"),
    [("GET", r"/dataset/", 1, 0), ("POST", r"/prediction$", 2, 1)],
)
def test_an_import_that_stops_says_what_was_made(
    bench: Bench, faults: FaultPlan, method: str, path: str, nth: int, stored: int
) -> None:
    """The configuration is there, as after an import that ends, also if nothing else was done."""
    given = coco({"Car": [1, 2, 3, 4]})
    given["images"].append(given["images"][0] | {"id": 2, "file_name": "M\u00fcller 1.png"})
    given["annotations"].append(given["annotations"][0] | {"id": 2, "image_id": 2})
    faults.add(RefuseToken(), method=method, path=path, nth=nth)
    file = bench.file("coco.json", given)
    ran = bench.run(file, "--create-config", "--batch-size", "1", "--json")
    assert (ran.status, ran.document["stored"]) == (1, stored)
    assert "has no labels" not in ran.err
    assert [each["entryKey"] for each in ran.document["created"]] == ["car"]
    assert [each.key for each in bench.config().entries] == ["car"]


def test_labels_are_not_replaced_by_their_classes(bench: Bench) -> None:
    """What is read stays as it was."""
    file = bench.file("coco.json", coco({"Car": [1, 2, 3, 4]}))
    before = file.read_bytes()
    for what in (file, file.parent):
        ran = bench.cli("config", "from", what, "-o", file)
        assert (ran.status, "is what is read here" in ran.err) == (2, True)
        assert file.read_bytes() == before


def test_a_file_without_labels_imports_nothing(bench: Bench) -> None:
    """That is no error of the program, and not well either; the configuration has no entries."""
    bare = {"images": [{"id": 1, "file_name": "a.png"}], "categories": [], "annotations": []}
    ran = bench.run(bench.file("a.json", bare), "--create-config", "--json")
    assert (ran.status, ran.document["ok"], ran.document["created"]) == (1, False, [])
    assert ran.document["unannotated"] == 1


def test_a_caption_that_is_too_long_costs_only_itself(bench: Bench) -> None:
    """The service would refuse all labels of its image; they are stored, and it is told."""
    given = coco({"Car": [1, 2, 3, 4]})
    given["annotations"].append({"image_id": 1, "caption": "x" * 256})
    ran = bench.run(bench.file("coco.json", given), "--create-config", "--json")
    assert (ran.status, ran.document["stored"], ran.document["ok"]) == (1, 1, False)
    assert [(each["kind"], each["count"]) for each in ran.document["losses"]] == [("long_text", 1)]
    assert bench.boxes() == {"Car": [(1, 2, 3, 4)]}


def test_a_class_is_known_by_its_name(bench: Bench) -> None:
    """Not by its place or number: another file has others of the same classes."""
    first = coco({"кошка": [1, 1, 1, 1], "собака": [2, 2, 2, 2], "машина": [3, 3, 3, 3]})
    assert bench.run(bench.file("a.json", first), "--create-config").status == 0
    second = coco({"машина": [6, 6, 6, 6], "собака": [4, 4, 4, 4]})
    assert bench.run(bench.file("b.json", second)).status == 0
    made = {each.key: each.value for each in bench.config().entries}
    found = bench.boxes()
    assert len(found) == 2
    by_key = {key: found[value] for key, value in made.items() if value in found}
    assert {key.partition("_")[0]: boxes for key, boxes in by_key.items()} == {
        "mashina": [(6, 6, 6, 6)],
        "sobaka": [(4, 4, 4, 4)],
    }


def test_a_class_that_is_not_there_is_named(bench: Bench) -> None:
    """With the command that makes a configuration that has it; the others are imported."""
    assert (
        bench.run(bench.file("a.json", coco({"car": [1, 1, 1, 1]})), "--create-config").status == 0
    )
    file = bench.file("b.json", coco({"lorry": [2, 2, 2, 2], "car": [3, 3, 3, 3]}))
    ran = bench.run(file)
    assert ran.status == 1
    assert "lorry" in ran.err
    assert f"datagym-async config from {file} --add --upload" in ran.err
    assert bench.boxes() == {"car": [(3, 3, 3, 3)]}
    ran = bench.run(file, "--json")
    assert (ran.status, ran.document["ok"]) == (1, False)
    assert [(each["kind"], each["count"], each["is_loss"]) for each in ran.document["losses"]] == [
        ("no_entry", 1, True)
    ]
    ran = bench.run(file, "--lossy-ok", "--json")
    assert (ran.status, ran.document["ok"], len(ran.document["losses"])) == (0, True, 1)


@pytest.mark.parametrize(
    ("size", "option", "said"),
    [
        ((2000, 1000), "--clip", "2000 x 1000 pixels, the image has 200 x 100, of the same ratio"),
        ((100, 200), "--rescale", "EXIF orientation"),
        ((640, 480), "--rescale", "another image"),
    ],
)
def test_labels_of_another_image(bench: Bench, size: Any, option: str, said: str) -> None:
    """They are held back with both sizes, and --no-sizes asks nobody."""
    file = bench.file("a.json", coco({"car": [10, 20, 30, 40]}, size=size))
    ran = bench.run(file, "--create-config", option)
    assert (ran.status, said in ran.err, bench.boxes()) == (1, True, {})
    assert bench.run(file, "--no-sizes").status == 0
    assert bench.boxes() == {"car": [(10, 20, 30, 40)]}


def test_a_scale_of_the_same_ratio(bench: Bench) -> None:
    """On request, and told; a size may be a float or a text."""
    file = bench.file("a.json", coco({"car": [10, 20, 30, 45]}, size=(2000.0, "1000")))
    ran = bench.run(file, "--create-config", "--rescale")
    assert (ran.status, bench.boxes()) == (0, {"car": [(1, 2, 3, 4.5)]})
    assert "scaled from 2000 x 1000 to 200 x 100 pixels" in ran.err


def test_shapes_beyond_the_edge(bench: Bench) -> None:
    """One below zero costs no other; --clip cuts both off, and says how many."""
    boxes: dict[str, list[float]] = {
        "car": [-0.5, 2, 3, 4],
        "bus": [190, 50, 100, 40],
        "van": [1, 1, 1, 1],
    }
    file = bench.file("a.json", coco(boxes))
    ran = bench.run(file, "--create-config")
    assert (ran.status, {*bench.boxes()}) == (1, {"bus", "van"})
    assert "left out: predictions[0] a.png: labels.car[0].rectangle[0].x: -0.5" in ran.err
    assert "warning: predictions[0] a.png: labels.bus[0]" in ran.err
    ran = bench.run(file, "--clip")
    assert (ran.status, "warning: 2 x cut off at the edge of the image (a.png" in ran.err) == (
        0,
        True,
    )
    assert bench.boxes() == {
        "car": [(0, 2, 2.5, 4)],
        "bus": [(190, 50, 10, 40)],
        "van": [(1, 1, 1, 1)],
    }


@pytest.mark.parametrize(
    "name", ["Mu\u0308ller 1.png", "val/M%C3%BCller%201.png", "x\\m\u00fcller 1.PNG"]
)
def test_names_of_images_as_others_write_them(bench: Bench, name: str) -> None:
    """In either form of Unicode, escaped, and with folders."""
    document = coco({"car": [1, 2, 3, 4]})
    document["images"][0]["file_name"] = name
    ran = bench.run(bench.file("a.json", document), "--create-config")
    assert (ran.status, bench.boxes("M\u00fcller 1.png")) == (0, {"car": [(1, 2, 3, 4)]}), ran.err


def test_images_that_no_media_is(bench: Bench) -> None:
    """They are one line, with a count and a few names."""
    document = coco({"car": [1, 2, 3, 4]})
    images = [{"id": n, "file_name": f"gone {n}.png"} for n in range(2, 32)]
    marks = [{"id": n, "image_id": n, "category_id": 1, "bbox": [1, 1, 1, 1]} for n in range(2, 32)]
    document["images"] += images
    document["annotations"] += marks
    ran = bench.run(bench.file("a.json", document), "--create-config")
    said, summary = ran.err.splitlines()[-2:]
    words = "no media of the project has this name; is its dataset attached? (gone 2.png, gone"
    assert said.startswith(f"rejected: 30 x {words}")
    assert (ran.status, summary) == (1, "31 predictions: 1 stored, 30 rejected.")


VOC = """<annotation><filename>a.png</filename>
<size><width>200</width><height>100</height><depth>3</depth></size>
<object><name>car</name>
<bndbox><xmin>11</xmin><ymin>21</ymin><xmax>40</xmax><ymax>60</ymax></bndbox></object>
</annotation>"""
CVAT = """<annotations><version>1.1</version>
<image id="0" name="a.png" width="200" height="100">
<box label="car" xtl="10" ytl="20" xbr="40" ybr="60" occluded="0"/></image></annotations>"""
LABELME = {
    "imagePath": "a.png",
    "imageWidth": 200,
    "imageHeight": 100,
    "shapes": [{"label": "car", "shape_type": "rectangle", "points": [[10, 20], [40, 60]]}],
}
KITTI = "car 0.00 0 0.00 10.00 20.00 40.00 60.00 0 0 0 0 0 0 0\n"
YOLO = "0 0.125 0.4 0.15 0.4\n"
OTHERS: dict[str, tuple[dict[str, Any], str, tuple[str, ...]]] = {
    "yolo": (
        {
            "set/data.yaml": "path: .\ntrain: images\nnames: [car]\n",
            "set/images/a.png": None,
            "set/labels/a.txt": YOLO,
        },
        "set",
        (),
    ),
    "voc": ({"set/Annotations/a.xml": VOC}, "set", ()),
    "voc of 0": (
        {"set/a.xml": VOC.replace("11", "10").replace("21", "20")},
        "set",
        ("--format", "voc", "--zero-based"),
    ),
    "cvat": ({"annotations.xml": CVAT}, "annotations.xml", ()),
    "labelme": ({"set/a.json": LABELME}, "set", ()),
    "kitti": (
        {"set/label_2/a.txt": KITTI, "set/image_2/a.png": None},
        "set",
        (),
    ),
}


@pytest.mark.parametrize(("files", "path", "options"), OTHERS.values(), ids=OTHERS)
def test_formats_are_known_by_what_is_there(
    bench: Bench, files: dict[str, Any], path: str, options: tuple[str, ...]
) -> None:
    """Into a fresh project in one command, and the same label whatever it was written in."""
    for name, value in files.items():
        if value is None:
            place = bench.folder / name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(picture())
        else:
            bench.file(name, value)
    ran = bench.run(bench.folder / path, "--create-config", *options)
    assert ran.status == 0, ran.err
    ((label, (box,)),) = bench.boxes().items()
    assert label == "car"
    assert box == pytest.approx((10, 20, 30, 40))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("names.txt", "bus\ncar\n"),
        ("data.yaml", "names: {1: car, 0: bus}"),
        ("coco.json", json.dumps(coco({}, names=("bus", "car")))),
    ],
)
def test_labels_beside_images_and_classes_in_a_file_of_their_own(
    bench: Bench, name: str, text: str
) -> None:
    """A label file may write the letters of its image's name in the other form of Unicode."""
    for form, folder, suffix in (
        ("M\u00fcller 1", "images", "png"),
        ("Mu\u0308ller 1", "labels", "txt"),
    ):
        (bench.folder / "set" / folder).mkdir(parents=True)
        content = picture() if suffix == "png" else YOLO.replace("0 0.125", "1 0.125").encode()
        (bench.folder / "set" / folder / f"{form}.{suffix}").write_bytes(content)
    classes = bench.file(name, text)
    ran = bench.run(bench.folder / "set", "--create-config", "--classes", str(classes))
    assert ran.status == 0, ran.err
    ((label, (box,)),) = bench.boxes("M\u00fcller 1.png").items()
    assert label == "car"
    assert box == pytest.approx((10, 20, 30, 40))
    assert [each.value for each in bench.config().entries] == ["bus", "car"]


def test_results_of_a_model(bench: Bench) -> None:
    """A list of boxes with scores; those that it was less sure of are left out, and counted."""
    truth = bench.file("truth.json", coco({"car": [1, 2, 3, 4]}))
    assert bench.run(truth, "--create-config").status == 0
    results = [
        {"image_id": 1, "category_id": 1, "bbox": [n, n, 5, 5], "score": n / 10} for n in (2, 9)
    ]
    file = bench.file("results.json", results)
    assert "lists both with --images" in bench.run(file).err
    ran = bench.run(file, "--images", str(truth), "--min-score", "0.5", "--json")
    assert bench.boxes() == {"car": [(9, 9, 5, 5)]}
    assert {each["kind"]: each["count"] for each in ran.document["losses"]}["low_score"] == 1


def test_a_configuration_out_of_a_file(bench: Bench) -> None:
    """Printed as JSON or YAML that `config upload` takes, and saved; no service is asked."""
    file = bench.file("a.json", coco({"Car": [1, 2, 3, 4]}))
    printed = bench.cli("config", "from", file)
    config = LabelConfig.from_json(printed.out)
    assert [(each.key, each.value, each.type) for each in config.entries] == [
        ("car", "Car", "RECTANGLE")
    ]
    assert LabelConfig.from_yaml(bench.cli("config", "from", file, "--yaml").out) == config
    for name in ("made/config.yaml", "config.json"):
        ran = bench.cli("config", "from", file, "-o", bench.folder / name)
        assert (ran.status, "Wrote 1 entry" in ran.out) == (0, True)
    text = (bench.folder / "made/config.yaml").read_text()
    assert LabelConfig.from_yaml(text) == config
    assert LabelConfig.from_json((bench.folder / "config.json").read_text()) == config
    polygon = LabelConfig.from_json(bench.cli("config", "from", file, "--shape", "polygon").out)
    assert [each.type for each in polygon.entries] == ["POLYGON"]


def test_images_with_broken_exif(bench: Bench) -> None:
    """Half a list of EXIF is common, and no concern of labels: Pillow's warning is not shown."""
    stream = io.BytesIO()
    Image.new("RGB", (20, 10)).save(stream, "JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0\x09\0\x12")
    labels = bench.file("labels/a.txt", "0 0.5 0.5 0.5 0.5").parent
    bench.file("labels/classes.txt", "car")
    (labels / "a.jpg").write_bytes(stream.getvalue())
    for command in (("stats", labels), ("config", "from", labels)):
        ran = bench.cli(*command)
        assert (ran.status, ran.err, "car" in ran.out) == (0, "", True)


def test_a_configuration_out_of_a_file_into_a_project(bench: Bench) -> None:
    """As `config upload` does it: with what changes and what is at stake, and not without a yes."""
    first = bench.file("a.json", coco({"car": [1, 2, 3, 4]}))
    ran = bench.cli("config", "from", first, "--upload", "streets")
    assert (ran.status, ran.out) == (0, "The label configuration of 'Streets' is replaced.\n")
    assert bench.run(first).status == 0
    second = bench.file("b.json", coco({"car": [1, 2, 3, 4], "bus": [1, 2, 3, 4]}))
    ran = bench.cli("config", "from", second, "--upload", "streets", "--no-backup")
    assert (ran.status, "+ bus" in ran.err, "This affects" in ran.err) == (2, True, True)
    assert bench.boxes() == {"car": [(1, 2, 3, 4)]}
    ran = bench.cli("config", "from", second, "--upload", "streets", "--no-backup", "--yes")
    assert (ran.status, bench.boxes(), len(bench.config())) == (0, {}, 2)
    ran = bench.cli("config", "from", second, "--upload", "streets")
    assert (ran.status, "Nothing differs" in ran.err) == (0, True)


def test_what_a_configuration_lacks_is_added(bench: Bench) -> None:
    """What is there stays as it is, with its colours; entries, options and keypoints are added."""
    present = [
        {"entryKey": "auto", "entryValue": "Car", "type": "POLYGON", "color": "#112233"},
        {"entryKey": "animal", "entryValue": "Animal", "type": "RECTANGLE", "children": [
            {"entryKey": "subcategory", "entryValue": "Which", "type": "SELECT",
             "options": {"hund": "dog"}, "required": True}]},
        {"entryKey": "note", "entryValue": "Note", "type": "FREETEXT", "maxLength": 20},
    ]  # fmt: skip
    bench.cli("config", "upload", "streets", bench.file("config.json", present), "--yes")
    document = coco({"Car": [1, 1, 1, 1], "Bus": [2, 2, 2, 2], "dog": [3, 3, 3, 3]})
    document["categories"][2]["supercategory"] = "animal"
    cat = {"id": 9, "name": "cat", "supercategory": "animal", "keypoints": ["nose"]}
    document["categories"].append(cat)
    file = bench.file("a.json", document)
    ran = bench.cli("config", "from", file, "--add")
    assert (ran.status, "--upload" in ran.err) == (2, True)
    how = ("--add", "--upload", "streets", "--yes", "--no-backup")
    assert bench.cli("config", "from", file, *how).status == 0
    entries = {each.key: each for each in bench.config().entries}
    assert entries.keys() == {"auto", "animal", "note", "bus"}
    assert (entries["auto"].type, entries["auto"].color) == ("POLYGON", "#112233")
    children = {each.key: each for each in entries["animal"].children}
    assert children.keys() == {"subcategory", "nose"}
    assert children["subcategory"].options == {"hund": "dog", "cat": "cat"}
    assert children["subcategory"].required
    ran = bench.cli("config", "from", file, *how)
    assert (ran.status, "Nothing differs" in ran.err) == (0, True)
    assert bench.run(file, "--lossy-ok").status == 0


def test_what_makes_no_configuration(bench: Bench) -> None:
    """Items of an import have keys and no classes; a file that is not there is named."""
    for name, words in (("items.json", "no classes"), ("gone.json", "gone.json")):
        if name == "items.json":
            bench.file(name, [{"internal_media_ID": "x"}])
        ran = bench.cli("config", "from", bench.folder / name)
        assert (ran.status, words in ran.err) == (2, True)
