"""Exports and imports as label values, and back again."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import attrs
import pytest

from datagym_async.exceptions import ConfigurationError
from datagym_async.labels import (
    Annotation,
    Classification,
    Incomplete,
    LabelClass,
    LabeledImage,
    LabeledTask,
    LabelExport,
    Line,
    Point,
    Polygon,
    Rectangle,
    Segmentation,
    class_types,
    parse_export,
    parse_image,
    parse_task,
    to_payload,
    to_prediction,
)
from datagym_async.models import EntryType, TaskState
from tests.helpers.examples import example

_WIRE = Path(__file__).parent.parent / "conformance" / "wire"
EXPORTS = ["01_export_image", "02_export_image_old_names", "03_export_video_project"]


def recorded(name: str) -> dict[str, Any]:
    """Return the good JSON answers of a route, by their cases."""
    entries = json.loads((_WIRE / f"{name}.json").read_bytes())
    answers = {each["case"]: (each.get("response") or {}).get("body") for each in entries}
    return {case: body for case, body in answers.items() if isinstance(body, list)}


RECORDED = recorded("GET_export")


def task_with(**members: Any) -> dict[str, Any]:
    """Return an exported task with these members."""
    head = {"internal_media_ID": "M", "external_media_ID": "a.jpg", "labeler": None}
    return {**head, "status": "completed", "global_classifications": {}, "labels": {}, **members}


def only(payload: dict[str, Any], *classes: LabelClass, key: str = "k") -> Annotation:
    """Return the one annotation of a task with one payload."""
    (found,) = parse_task(task_with(labels={key: [payload]}), classes).annotations
    return found


# --- there and back ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", EXPORTS)
def test_an_export_written_again_is_the_same(name: str) -> None:
    """Current, older and video exports come out member by member as they came in."""
    document = example(name)
    assert json.dumps(parse_export(document).to_payload()) == json.dumps(document)


@pytest.mark.parametrize("case", RECORDED)
def test_recorded_exports_written_again_are_the_same(case: str) -> None:
    """What a real server was seen to write comes out as it came in."""
    assert parse_export(RECORDED[case]).to_payload() == RECORDED[case]


ODD: dict[str, dict[str, Any]] = {
    "empty keys": task_with(labels={"car": [], "bus": []}),
    "no labels": {k: v for k, v in task_with().items() if not k.startswith(("lab", "glob"))},
    "empty nested keys": task_with(
        labels={"car": [{"point": [{"x": 1, "y": 1}], "nested_geometries": {"plate": []}}]}
    ),
    "unknown members": task_with(
        reviewer={"id": 7},
        labels={"car": [{"line": [{"x": 1, "y": 2}, {"x": 3, "y": 4}], "score": 0.5}]},
    ),
    "unknown members of corners": task_with(
        labels={"car": [{"polygon": [{"x": n, "y": n, "id": f"p{n}"} for n in range(3)]}]}
    ),
    "digits as text": task_with(
        labels={"car": [{"rectangle": [{"x": "1", "y": "2", "w": "3", "h": "4"}]}]}
    ),
    "no shape": task_with(labels={"car": [{"classifications": {"kind": [None]}}]}),
    "empty classification": task_with(global_classifications={"weather": [], "time": [None]}),
    "no segmentations": task_with(segmentations=[]),
    "a newer state": task_with(status="approved"),
    "null for nothing": task_with(video_width=None),
    "numbers of a video": task_with(video_width=1920, video_duration="8.20"),
    "point list": task_with(labels={"car": [{"point": []}, {"point": [{"x": 1, "y": 1}] * 2}]}),
    "both members": task_with(
        labels={"car": [{"point": [{"x": 1, "y": 1}], "geometry": [{"x": 1, "y": 1}]}]}
    ),
}


@pytest.mark.parametrize("element", ODD.values(), ids=ODD)
def test_odd_tasks_written_again_are_the_same(element: dict[str, Any]) -> None:
    """Whatever is unusual in a file is kept for the way back."""
    before = copy.deepcopy(element)
    assert to_payload(parse_task(element)) == before
    assert element == before


@pytest.mark.parametrize(
    "document",
    [[], [{"label_classes": []}], [{"label_classes": [{"class_name": "a", "new": 1}], "v": 2}]],
    ids=["nothing", "no classes", "unknown members"],
)
def test_odd_exports_written_again_are_the_same(document: list[dict[str, Any]]) -> None:
    """An overview without classes is told from none."""
    assert parse_export(document).to_payload() == document


def test_what_was_changed_is_written_as_it_is_now() -> None:
    """The file's own form serves only what still means the same."""
    task = parse_task(ODD["digits as text"])
    moved = attrs.evolve(task.annotations[0], shape=Rectangle(9, 2, 3, 4))
    written = to_payload(attrs.evolve(task, annotations=[moved], state=TaskState.REVIEWED))
    assert written["labels"] == {"car": [{"rectangle": [{"x": 9, "y": 2, "w": 3, "h": 4}]}]}
    assert written["status"] == "reviewed"
    odd = parse_task(task_with(video_width="0640", video_height="0480", note="x"))
    written = to_payload(attrs.evolve(odd, video_width=641, extra={}))
    assert written == task_with(video_width="641", video_height="0480")


def test_values_made_by_hand_are_written_as_the_service_does() -> None:
    """Without a file, every member is there that the service writes."""
    plate = Annotation("plate", Rectangle(1, 2, 3, 4))
    car = Annotation("car", Polygon([(1, 1), (5, 1), (5, 5)]), nested=[plate])
    task = LabeledTask(
        media_id="M", media_name="a.jpg", state=TaskState.COMPLETED, annotations=[car]
    )
    assert to_payload(task) == task_with(
        labels={
            "car": [
                {
                    "polygon": [{"x": 1, "y": 1}, {"x": 5, "y": 1}, {"x": 5, "y": 5}],
                    "classifications": {},
                    "nested_geometries": {
                        "plate": [
                            {"rectangle": [{"x": 1, "y": 2, "w": 3, "h": 4}], "classifications": {}}
                        ]
                    },
                }
            ]
        }
    )
    assert LabelExport(tasks=[task]).to_payload() == [{"label_classes": []}, to_payload(task)]
    video = LabeledTask(
        media_id="M", state=TaskState.COMPLETED, task_export_url="http://x", video_width=640
    )
    assert {*to_payload(video).items()} == {
        ("internal_media_ID", "M"), ("external_media_ID", ""), ("labeler", None),
        ("status", "completed"), ("task_export_url", "http://x"), ("video_width", "640"),
    }  # fmt: skip


# --- what is read --------------------------------------------------------------------------------


def test_a_task_in_values() -> None:
    """Shapes, answers about them, what is nested in them, answers about the image."""
    export = parse_export(example("01_export_image"))
    task = export.tasks[0]
    car, parked = task.annotations_of("vehicle")
    assert car.shape == Rectangle(412, 305, 188, 96)
    assert car.nested[0].classifications == (Classification.freetext("plate_text", "AB 123"),)
    damage = Classification.checklist(
        "damage", ["scratch", "dent"], Classification.freetext("remark", "left door")
    )
    assert car.classifications == (Classification.select("kind", "bus", damage),)
    assert [car.classification("kind"), car.classification("no")] == [*car.classifications, None]
    assert [each.is_set for each in parked.classifications] == [False]
    assert [type(each.shape) for each in task.walk()] == [
        *(Rectangle, Rectangle, Rectangle, Polygon, Polygon, Polygon, Line, Point, Segmentation)
    ]
    weather = task.classification("weather")
    assert weather is not None
    assert (weather.options, weather.type) == (("rain", "fog"), EntryType.CHECKLIST)


def test_names_are_decoded() -> None:
    """People see the name, comparisons the stored form."""
    task = parse_task(task_with(external_media_ID="t%C3%A4st.jpg"))
    assert (task.media_name, task.stored_media_name) == ("täst.jpg", "t%C3%A4st.jpg")


TASK_IDS: dict[str, tuple[dict[str, Any], str | None]] = {
    "bitmap": ({"segmentations": ["http://localhost:8080/api/v1/export/bitmap/T1/a+b"]}, "T1"),
    "video": ({"task_export_url": "https://x.example/api/v1/exportVideoTask/T2/"}, "T2"),
    "nothing": ({}, None),
    "another address": ({"segmentations": ["https://x.example/b.bmp"]}, None),
}


@pytest.mark.parametrize(("members", "task_id"), TASK_IDS.values(), ids=TASK_IDS)
def test_the_task_id_is_in_addresses(members: dict[str, Any], task_id: str | None) -> None:
    """An export names tasks nowhere but in the addresses of bitmaps and videos."""
    assert parse_task(task_with(**members)).task_id == task_id


def test_numbers_of_videos() -> None:
    """A video's numbers are texts in the file and numbers here."""
    task = parse_export(example("03_export_video_project")).tasks[0]
    assert (task.video_height, task.video_total_frames, task.video_duration) == (
        *(1080, 1355, 45.21183),
    )


def test_unset_is_told_from_empty_and_from_absent() -> None:
    """``[null]`` is unset, ``[]`` says nothing, and what is absent has no value."""
    task = parse_task(task_with(global_classifications={"a": [None], "b": []}))
    values = [(each.key, each.values, each.is_set) for each in task.classifications]
    assert values == [("a", (None,), False), ("b", (), False)]
    assert task.classification("c") is None


CLASSES = {
    "agreed": ([LabelClass("k", classification_type=EntryType.FREETEXT)] * 2, EntryType.FREETEXT),
    "ambiguous": (
        [
            LabelClass("k", classification_type=EntryType.FREETEXT),
            LabelClass("k", classification_type=EntryType.SELECT),
            LabelClass("k", classification_type=EntryType.FREETEXT),
        ],
        None,
    ),
    "radio": ([LabelClass("k", classification_type=EntryType.RADIO)], EntryType.RADIO),
    "none": ([], None),
}


@pytest.mark.parametrize(("classes", "kind"), CLASSES.values(), ids=CLASSES)
def test_types_of_classifications(classes: list[LabelClass], kind: EntryType | None) -> None:
    """A type is known where all classes of a key agree, and does not count when comparing."""
    (found,) = parse_task(task_with(global_classifications={"k": ["v"]}), classes).classifications
    assert found.type is kind
    assert found == Classification("k", ("v",))


def test_a_prepared_index_of_classes_serves_many_tasks() -> None:
    """`class_types` gives what `parse_task` would find out each time."""
    classes = [LabelClass("k", classification_type=EntryType.SELECT)]
    element = task_with(global_classifications={"k": ["v"]})
    assert parse_task(element, class_types(classes)).classifications[0].type is EntryType.SELECT


# --- shapes --------------------------------------------------------------------------------------

TRIANGLE = [{"x": 1, "y": 1}, {"x": 5, "y": 1}, {"x": 5, "y": 5}]
BOX = [{"x": 1, "y": 2, "w": 3, "h": 4}]
POLYGON = LabelClass("k", geometry_type=EntryType.POLYGON)
POINT = LabelClass("k", geometry_type=EntryType.POINT)

GEOMETRY: dict[str, tuple[list[Any], tuple[LabelClass, ...], object]] = {
    "polygon": (TRIANGLE, (POLYGON,), Polygon([(1, 1), (5, 1), (5, 5)])),
    "point": (TRIANGLE[:1], (POINT,), Point(1, 1)),
    "rectangle by its look": (BOX, (), Rectangle(1, 2, 3, 4)),
    "unknown": (TRIANGLE, (), Incomplete(None, TRIANGLE)),
    "empty": ([], (POLYGON,), Incomplete(EntryType.POLYGON, [])),
}


@pytest.mark.parametrize(("payload", "classes", "shape"), GEOMETRY.values(), ids=GEOMETRY)
def test_older_geometries(
    payload: list[Any], classes: tuple[LabelClass, ...], shape: object
) -> None:
    """The member ``geometry`` says no type; the classes do, or its look if that leaves no doubt."""
    assert only({"geometry": payload, "classifications": {}}, *classes).shape == shape


NULL, MINUS = {"x": None, "y": None}, {"x": -1, "y": 2}
INCOMPLETE: dict[str, tuple[str, list[Any]]] = {
    "null point": ("point", [NULL]),
    "two points": ("point", [{"x": 1, "y": 1}, {"x": 1, "y": 1}]),
    "negative point": ("point", [MINUS]),
    "no line": ("line", []),
    "short line": ("line", [{"x": 1, "y": 1}]),
    "null in a polygon": ("polygon", [*TRIANGLE, NULL]),
    "negative polygon": ("polygon", [*TRIANGLE, MINUS]),
    "text null": ("polygon", [*TRIANGLE, {"x": "null", "y": "null"}]),
    "null rectangle": ("rectangle", [{"x": None, "y": None, "w": None, "h": None}]),
    "negative rectangle": ("rectangle", [{"x": 1, "y": 2, "w": 3, "h": -4}]),
    "no segmentation": ("image_segmentation", []),
    "null in a ring": ("image_segmentation", [TRIANGLE, [NULL]]),
}


@pytest.mark.parametrize(("member", "payload"), INCOMPLETE.values(), ids=INCOMPLETE)
def test_what_lacks_coordinates_is_incomplete(member: str, payload: list[Any]) -> None:
    """No coordinate is made up, and what the file has is kept."""
    found = only({member: payload})
    assert found.shape == Incomplete(EntryType(member), payload)
    assert to_prediction(LabeledImage(annotations=[found]))["labels"]["k"][0][member] == payload


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "truth": ({"labels": {"c": [{"polygon": [*TRIANGLE, {"x": True, "y": 1}]}]}},
              "labels.c[0].polygon[3].x"),
    "word": ({"labels": {"c": [{"point": [{"x": 1, "y": "far"}]}]}}, "labels.c[0].point[0].y"),
    "no ordinate": ({"labels": {"c": [{"line": [{"x": 1}]}]}}, "labels.c[0].line[0].y"),
    "no width": ({"labels": {"c": [{"rectangle": [{"x": 1, "y": 1, "h": 1}]}]}},
                 "labels.c[0].rectangle[0].w"),
    "corner": ({"labels": {"c": [{"polygon": [5]}]}}, "labels.c[0].polygon[0]"),
    "point": ({"labels": {"c": [{"point": [5]}]}}, "labels.c[0].point[0]"),
    "ring": ({"labels": {"c": [{"image_segmentation": [5]}]}}, "labels.c[0].image_segmentation[0]"),
    "corner of a ring": ({"labels": {"c": [{"image_segmentation": [[{"x": []}]]}]}},
                         "labels.c[0].image_segmentation[0][0].x"),
    "shape": ({"labels": {"c": [{"polygon": {}}]}}, "labels.c[0].polygon"),
    "geometry": ({"labels": {"c": [7]}}, "labels.c[0]"),
    "geometries": ({"labels": {"c": 7}}, "labels.c"),
    "labels": ({"labels": []}, "labels"),
    "nested": ({"labels": {"c": [{"nested_geometries": {"d": [{"point": [{}]}]}}]}},
               "labels.c[0].nested_geometries.d[0].point[0].x"),
    "answer": ({"global_classifications": {"c": [1]}}, "global_classifications.c[0]"),
    "answers": ({"global_classifications": {"c": "x"}}, "global_classifications.c"),
    "no tree": ({"global_classifications": []}, "global_classifications"),
    "answer after nested": ({"global_classifications": {"c": [{"d": []}, "x"]}},
                            "global_classifications.c[1]"),
    "nothing nested": ({"global_classifications": {"c": ["x", {}]}}, "global_classifications.c[1]"),
    "deep": ({"labels": {"c": [{"classifications": {"d": ["x", {"e": [0]}]}}]}},
             "labels.c[0].classifications.d[1].e[0]"),
    "status": ({"status": None}, "status"),
    "media": ({"internal_media_ID": 5}, "internal_media_ID"),
    "address": ({"segmentations": [5]}, "segmentations[0]"),
    "video": ({"task_export_url": "x", "video_width": "wide"}, "video_width"),
}  # fmt: skip


@pytest.mark.parametrize(("members", "path"), WRONG.values(), ids=WRONG)
def test_what_does_not_fit_is_named(members: dict[str, Any], path: str) -> None:
    """The error names the path from the whole export on."""
    document = [{"label_classes": []}, task_with(), task_with(**members)]
    with pytest.raises(ConfigurationError) as caught:
        parse_export(document)
    assert str(caught.value).startswith(f"at [2].{path}, ")


@pytest.mark.parametrize("missing", ["internal_media_ID", "external_media_ID", "status"])
def test_what_a_task_cannot_do_without(missing: str) -> None:
    """A task names its media and its state."""
    element = task_with()
    del element[missing]
    with pytest.raises(ConfigurationError, match=f"at {missing}, "):
        parse_task(element)


# --- imports -------------------------------------------------------------------------------------


def test_an_import_is_read_and_written() -> None:
    """Items of an import are images; written again they are in the current form, as numbers."""
    given = example("05_import_image")[0]
    image = parse_image(given)
    written = to_prediction(image, keep_data=False)
    assert image.annotations_of("vehicle")[0].nested[0].shape == Rectangle(488, 372, 41, 12)
    assert written["global_classifications"] == given["global_classifications"]
    assert written["labels"]["building"][0]["polygon"] == given["labels"]["building"][0]["polygon"]
    assert (written["internal_media_ID"], written["keepData"]) == (image.media_id, False)


def test_a_prediction_has_no_old_or_unknown_members() -> None:
    """An older export goes in as a current import: typed members, nothing that is ignored."""
    export = parse_export(example("02_export_image_old_names"))
    prediction = to_prediction(export.tasks[0])
    assert prediction.keys() == {"internal_media_ID", "global_classifications", "labels"}
    (bus,) = prediction["labels"]["bus"]
    assert bus["rectangle"] == [{"x": 75, "y": 20, "w": 455, "h": 437}]


def test_two_answers_to_one_question_cannot_be_written() -> None:
    """One of them would be lost in silence."""
    twice = [Classification.select("k", "a"), Classification.select("k", "b")]
    with pytest.raises(ConfigurationError, match="two answers to 'k'"):
        to_payload(LabeledImage(media_id="M", classifications=twice))
