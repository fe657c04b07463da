"""What our own check says of predictions, and how they are made ready."""

from __future__ import annotations

from typing import Any

import pytest

from datagym_async.labels import (
    Annotation,
    Classification,
    ConfigEntry,
    Finding,
    Incomplete,
    LabelConfig,
    LabeledImage,
    LabeledTask,
    Line,
    Point,
    Rectangle,
    Segmentation,
    Severity,
    check_prediction,
    parse_task,
    prepare_prediction,
)
from datagym_async.models import EntryType, TaskState
from tests.helpers.examples import example

CONFIG = LabelConfig.from_payload(example("10_label_config_view"))
ENTRIES = CONFIG.entries
BOX = [{"x": 1, "y": 2, "w": 3, "h": 4}]


def item(**members: Any) -> dict[str, Any]:
    return {"internal_media_ID": "M", **members}


def drawn(key: str, **members: Any) -> dict[str, Any]:
    return item(labels={key: [members]})


def answered(**answers: Any) -> dict[str, Any]:
    return item(global_classifications=answers)


def errors(prediction: Any, *, keep_data: bool | None = None) -> list[str]:
    """The errors about a prediction."""
    found = check_prediction(prediction, ENTRIES, keep_data=keep_data)
    return [str(each) for each in found if each.severity is Severity.ERROR]


def warnings(prediction: Any, *, keep_data: bool = True) -> list[str]:
    """The warnings about a prediction."""
    found = check_prediction(prediction, ENTRIES, keep_data=keep_data)
    return [str(each) for each in found if each.severity is Severity.WARNING]


WRONG: dict[str, tuple[Any, str, str]] = {
    "unknown geometry": (
        drawn("vehicel", rectangle=BOX), "labels.vehicel", "did you mean 'vehicle'?"
    ),
    "unknown question": (answered(daytme=["x"]), "global_classifications.daytme", "'daytime'"),
    "upper case question": (answered(Daytime=["day"]), "global_classifications.Daytime", "no cl"),
    "geometry as a question": (answered(vehicle=["x"]), "global_classifications.vehicle", "no cl"),
    "question as a geometry": (drawn("daytime", point=[]), "labels.daytime", "no geometry"),
    "wrong geometry": (
        drawn("vehicle", point=[{"x": 1, "y": 2}]), "labels.vehicle[0].point", "is a rectangle"
    ),
    "two shapes": (drawn("vehicle", rectangle=BOX, geometry=BOX), "labels.vehicle[0]", "one of"),
    "no shape": (drawn("vehicle"), "labels.vehicle[0]", "no coordinates"),
    "two boxes": (
        drawn("vehicle", geometry=BOX * 2), "labels.vehicle[0].geometry", "exactly 1 rectangle, not"
    ),
    "short line": (
        drawn("lane", line=[{"x": 1, "y": 2}]), "labels.lane[0].line", "at least 2 points, not 1;"
    ),
    "point for a box": (
        drawn("vehicle", geometry=[{"x": 1, "y": 2}]), "labels.vehicle[0].geometry[0]", "x, y, w, h"
    ),
    "negative": (
        drawn("hydrant", point=[{"x": -0.5, "y": 2}]), "labels.hydrant[0].point[0].x", "clip=True"
    ),
    "letters": (
        drawn("hydrant", point=[{"x": "a", "y": 2}]), "labels.hydrant[0].point[0].x", "not a number"
    ),
    "foreign digit": (
        drawn("hydrant", point=[{"x": 1, "y": "\u0661"}]), "labels.hydrant[0].point[0].y",
        "only digits",
    ),
    "member": (drawn("hydrant", point=[{"x": 1, "y": 2}], score=1), "labels.hydrant[0].score",
               "refuses the whole request"),
    "nested property": (
        drawn("vehicle", rectangle=BOX, nested_geometries={"plate": [
            {"rectangle": BOX, "additionalProperties": 1}
        ]}),
        "labels.vehicle[0].nested_geometries.plate[0].additionalProperties", "refuses the whole",
    ),
    "number": (answered(daytime=[3]), "global_classifications.daytime[0]", "not int"),
    "no answers": (answered(daytime=None), "global_classifications.daytime", "not null"),
    "long option": (answered(daytime=["x" * 300]), "global_classifications.daytime", "of the sel"),
    "two children": (
        answered(daytime=["night", {"lamp_state": ["on"]}, {"lamp_state": ["on"]}]),
        "global_classifications.daytime[2]", "on each level",
    ),
    "a child behind values": (
        answered(weather=["rain", "fog", {"lamp_state": ["on"]}]),
        "global_classifications.weather[2]", "several ticked options",
    ),
    "infinite": (
        drawn("hydrant", point=[{"x": float("inf"), "y": 2}]),
        "labels.hydrant[0].point[0].x", "finite",
    ),
    "not a list": (item(labels={"hydrant": {}}), "labels.hydrant", "array"),
    "not an object": (item(labels=[]), "labels", "object"),
    "points as text": (drawn("hydrant", point="1,2"), "labels.hydrant[0].point", "array"),
    "point as pair": (drawn("hydrant", point=[[1, 2]]), "labels.hydrant[0].point[0]", "x and y"),
    "segmentation": (
        drawn("road surface", image_segmentation=[[]]), "labels.road surface[0]",
        "cannot import segmentations",
    ),
    "polygon as segmentation": (
        drawn("road surface", polygon=[{"x": 1, "y": 2}] * 3), "labels.road surface[0]",
        "cannot import segment",
    ),
    "option": (answered(daytime=["noon"]), "global_classifications.daytime", "not an option"),
    "tick": (
        answered(weather=["rain", "hail"]), "global_classifications.weather[1]", "not an option"
    ),
    "two options": (answered(daytime=["day", "night"]), "global_classifications.daytime", "drops"),
    "long text": (answered(remark=["x" * 256]), "global_classifications.remark", "256 characters"),
    "unknown nested": (
        answered(daytime=["night", {"lampstate": ["on"]}]),
        "global_classifications.daytime[1].lampstate", "lamp_state",
    ),
    "unknown nested geometry": (
        drawn("vehicle", rectangle=BOX, nested_geometries={"plat": []}),
        "labels.vehicle[0].nested_geometries.plat", "'plate'",
    ),
    "question below": (
        drawn("vehicle", rectangle=BOX, classifications={"kind": ["ship"]}),
        "labels.vehicle[0].classifications.kind", "not an option",
    ),
    "video": (item(task_export_url="http://x"), "task_export_url", "video"),
    "number as id": ({"internal_media_ID": 5}, "internal_media_ID", "text"),
}  # fmt: skip


@pytest.mark.parametrize(("prediction", "place", "words"), WRONG.values(), ids=WRONG)
def test_faults(prediction: Any, place: str, words: str) -> None:
    """Each fault is one error that names its place."""
    (found,) = errors(prediction)
    assert found.startswith(f"{place}: ")
    assert words in found


def test_what_fits_has_no_faults() -> None:
    """The example of an import fits its configuration."""
    for prediction in example("05_import_image"):
        assert errors(prediction) == []


def test_flags_contradict() -> None:
    """What an item and the call say of keeping must agree."""
    assert errors(item(keepData=True), keep_data=True) == []
    assert errors(item(keepData=True), keep_data=False) == [
        "keepData: it is true, and the call says keep_data=False; make two calls, one for each"
    ]


def test_members_that_are_ignored() -> None:
    """Those of exports and downloads pass in silence, others with a warning."""
    known = item(external_media_ID="a.jpg", labeler=None, status="completed", segmentations=[])
    of_a_video = {"task_export_url": None, "video_duration": None}
    known |= of_a_video | {"label_classes": [], "keepData": True, "file": "a.jpg"}
    assert check_prediction(known, ENTRIES, keep_data=True) == ()
    assert check_prediction(LabeledTask(media_id="M", state=TaskState.COMPLETED)) == ()
    assert warnings(item(score=0.9)) == ["score: the service ignores it"]
    below = {"plate": [{"rectangle": BOX, "score": 1}]}
    ignored = "labels.vehicle[0].nested_geometries.plate[0].score: the service ignores it"
    assert ignored in warnings(drawn("vehicle", rectangle=BOX, nested_geometries=below))


@pytest.mark.parametrize(
    ("keep_data", "own", "told"),
    [
        (True, {}, False),
        (False, {}, True),
        (None, {}, True),
        (None, {"keepData": True}, False),
        (None, {"keepData": False}, True),
    ],
)
def test_required_answers(keep_data: bool | None, own: dict[str, Any], told: bool) -> None:
    """A missing one is a warning, but where it may be there already."""
    config = LabelConfig()
    config.add_freetext("note", "Note", max_length=9, required=True)
    config.add_freetext("more", "More", max_length=9)
    found = check_prediction(item(**own), config.entries, keep_data=keep_data)
    assert [(each.where, each.severity) for each in found] == (
        [("global_classifications.note", Severity.WARNING)] if told else []
    )


@pytest.mark.parametrize(
    ("answers", "told"),
    [
        (["x" * 9], 0),
        (["x" * 10], 1),
        ([None], 1),
        ([""], 1),
        ([], 1),
        ([None, {"more": ["a"]}], 2),
    ],
)
def test_what_is_an_answer(answers: object, told: int) -> None:
    """A text is one, if it is no longer than its own limit; null and an empty one are none."""
    config = LabelConfig()
    config.add_freetext("note", "Note", max_length=9, required=True)
    found = check_prediction(answered(note=answers), config.entries, keep_data=False)
    assert len(found) == told


@pytest.mark.parametrize(
    ("answers", "told"),
    [
        ({}, True),
        ({"note": ["a"]}, True),
        ({"note": ["a", {"more": [None]}]}, True),
        ({"note": ["a", {"more": ["b"]}]}, False),
        ({"note": [None, {"more": ["b"]}]}, False),
    ],
)
def test_required_answers_below_others(answers: dict[str, object], told: bool) -> None:
    """They are asked for whether the question above them has an answer or not."""
    config = LabelConfig()
    note = config.add_freetext("note", "Note", max_length=9)
    note.add_freetext("more", "More", max_length=9, required=True)
    found = check_prediction(answered(**answers), config.entries, keep_data=False)
    assert [each.where for each in found] == ["global_classifications.note.more"] * told


def test_of_no_configuration() -> None:
    """The rules of the format hold for any shape."""
    found = check_prediction(item(labels={"any": [{"geometry": []}]}), None)
    assert [str(each).partition(";")[0] for each in found] == [
        "labels.any[0].geometry: it has no coordinates"
    ]


@pytest.mark.parametrize("wrong", [{"x": 1, "y": 2, "w": -3, "h": 4}, {**BOX[0], "x": None}])
def test_only_what_clipping_heals_names_it(wrong: dict[str, object]) -> None:
    """A width below 0 or a missing coordinate stays wrong."""
    (found,) = errors(drawn("vehicle", rectangle=[wrong]))
    assert "clip" not in found


def test_required_answers_of_geometries() -> None:
    """Each geometry needs its own."""
    kind = ConfigEntry("kind", "Kind", EntryType.SELECT, options={"a": "A"}, required=True)
    config = LabelConfig([ConfigEntry("car", "Car", EntryType.RECTANGLE, children=[kind])])
    found = check_prediction(drawn("car", rectangle=BOX), config.entries, keep_data=True)
    assert [each.where for each in found] == ["labels.car[0].classifications.kind"]


def test_beyond_the_image() -> None:
    """Where the size is known, what reaches over an edge is a warning."""
    image = LabeledImage(
        media_id="M",
        width=10,
        height=8,
        annotations=[
            Annotation("vehicle", Rectangle(4, 4, 6, 4)),
            Annotation("vehicle", Rectangle(4, 4, 6.5, 4)),
            Annotation("vehicle", Rectangle(4, 4, 6 + 1e-14, 4)),  # rounding
            Annotation("lane", Line([(1, 1), (2, 9)])),
        ],
    )
    beyond = [each for each in warnings(image) if "but the image ends" in each]
    assert [each.partition(":")[0] for each in beyond] == [
        "labels.vehicle[1].rectangle",
        "labels.lane[0].line",
    ]


def test_values_that_cannot_be_written() -> None:
    """Two answers with one key are a fault, not an exception."""
    twice = [Classification.freetext("remark", "a"), Classification.freetext("remark", "b")]
    image = LabeledImage(media_id="M", classifications=twice)
    assert "remark" in str(check_prediction(image)[0])
    assert not prepare_prediction(image).ok


# --- making ready --------------------------------------------------------------------------------


def test_unset_nested_answers_say_nothing() -> None:
    """An export writes each nested answer; those that are unset are left out, and nothing is lost.

    What is left goes in: one nested answer a level, and none after several options.
    """
    given = answered(
        daytime=["night", {"lamp_state": [None]}, {"moon": [None, {"phase": [None]}]}],
        weather=["rain", "fog", {"how": [None]}],
        other=["x", {"a": [None]}, {"b": ["y"]}],
    )
    assert prepare_prediction(given).prediction == answered(
        daytime=["night"], weather=["rain", "fog"], other=["x", {"b": ["y"]}]
    )


def test_keys_become_lower_case() -> None:
    """As the service stores them; options and those that would clash stay as they are."""
    prepared = prepare_prediction(
        item(
            labels={"Car": [{"rectangle": BOX, "classifications": {"Kind": ["Bus"]}}]},
            global_classifications={"A": ["x"], "a": ["y"]},
        )
    )
    assert prepared.prediction == item(
        labels={"car": [{"rectangle": BOX, "classifications": {"kind": ["Bus"]}}]},
        global_classifications={"A": ["x"], "a": ["y"]},
    )


def test_old_names_and_ignored_members() -> None:
    """An export of an older service goes in, too."""
    old = {"internal_image_ID": "M", "external_image_ID": "a.jpg", "status": "completed"}
    assert prepare_prediction(old).prediction == {"internal_media_ID": "M"}
    both = {"internal_media_ID": "N", **old}
    assert prepare_prediction(both).prediction == {"internal_media_ID": "N"}


def test_what_lies_beyond_the_upper_or_left_edge_goes_alone() -> None:
    """The rest goes in without it, unless another fault holds all of it back, or it is to stay."""
    good, beyond = {"point": [{"x": 1, "y": 2}]}, {"point": [{"x": 1, "y": -2}]}
    given = item(labels={"hydrant": [good, beyond]})
    prepared = prepare_prediction(given, ENTRIES)
    assert (prepared.ok, prepared.prediction["labels"]) == (True, {"hydrant": [good]})
    assert [each.where for each in prepared.left_out] == ["labels.hydrant[1].point[0].y"]
    assert not prepare_prediction(given, ENTRIES, beyond=False).ok
    broken = prepare_prediction(item(labels={"hydrant": [{}, beyond]}), ENTRIES)
    assert (len(broken.errors), broken.left_out) == (2, ())


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ("it ends at 200, not at -0.5 or 1e-05", "it ends at ..., not at ... or ..."),
        ("no geometry 'class_1' here", "no geometry 'class_1' here"),
        ("for 6d3a5b1e-0000-4000-8000-0123456789ab.", "for ...."),
        ("12,345 characters, at least 3.", "... characters, at least ...."),
        ("base64 of x1", "base64 of x1"),
    ],
)
def test_findings_of_one_kind(message: str, kind: str) -> None:
    """They are the same but for numbers and ids; what stands in quotes is a name."""
    assert Finding((), message).kind == kind


def test_parts_are_left_out_on_request() -> None:
    """The smallest part that heals a fault goes; the rest stays."""
    given = item(
        labels={
            "vehicle": [
                {"rectangle": BOX, "classifications": {"kind": ["ship"]}},
                {"point": [{"x": 1, "y": 2}]},
                {"rectangle": BOX, "nested_geometries": {"plate": [{"rectangle": BOX}, {}]}},
            ],
            "road surface": [{"image_segmentation": [[]]}],
        },
        global_classifications={
            "weather": ["rain", "hail"],
            "daytime": ["night", {"lamp_state": ["on"], "b": ["y"]}],
        },
    )
    prepared = prepare_prediction(given, ENTRIES, partial=True)
    assert prepared.prediction == item(
        labels={
            "vehicle": [
                {"rectangle": BOX, "classifications": {}},
                {"rectangle": BOX, "nested_geometries": {"plate": [{"rectangle": BOX}]}},
            ],
            "road surface": [],
        },
        global_classifications={
            "weather": ["rain"],
            "daytime": ["night", {"lamp_state": ["on"]}],
        },
    )
    assert prepared.ok
    assert sorted(each.where for each in prepared.left_out) == [
        "global_classifications.daytime[1].b",
        "global_classifications.weather[1]",
        "labels.road surface[0]",
        "labels.vehicle[0].classifications.kind",
        "labels.vehicle[1].point",
        "labels.vehicle[2].nested_geometries.plate[1]",
    ]


def test_what_cannot_be_healed_stays() -> None:
    """Without a media there is nothing to leave out."""
    prepared = prepare_prediction({"labels": {"nope": []}}, ENTRIES, partial=True)
    assert (prepared.ok, prepared.left_out) == (False, ())


def test_an_export_tells_what_cannot_go() -> None:
    """Segmentations, incomplete shapes, an answer below two options, a second nested answer."""
    tasks = [parse_task(each) for each in example("01_export_image")[1:]]
    told = {
        task.media_name: sorted(
            str(each).partition(";")[0]
            for each in prepare_prediction(task, ENTRIES, partial=True).left_out
        )
        for task in tasks
    }
    assert told == {
        "street_0001.jpg": [
            (
                "labels.road surface[0]: the service cannot import segmentations: it drops the"
                " points or refuses the whole request"
            ),
            (
                "labels.vehicle[0].classifications.kind[1].damage[2]: an import accepts no nested"
                " answer after several ticked options, and the service refuses the whole request"
            ),
        ],
        "street_0002.jpg": [
            "labels.hydrant[0].point[0].x: it is null, which exports write for missing coordinates",
            "labels.lane[0].line: a line takes at least 2 points, not 0",
            (
                "labels.vehicle[0].rectangle[0].x: it is null, which exports write for missing "
                "coordinates"
            ),
        ],
        "street_0003.jpg": [],
    }


def test_videos_are_told() -> None:
    """The labels of a video cannot be imported."""
    task = LabeledTask(media_id="M", state=TaskState.COMPLETED, task_export_url="http://x")
    (found,) = prepare_prediction(task).errors
    assert "video" in found.message


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        (Segmentation([[(1, 1), (9, 1), (9, 9)]]), "cannot import segmentations"),
        (Incomplete(EntryType.POINT, [{"x": None, "y": None}]), "null"),
    ],
)
def test_shapes_that_cannot_go(shape: Any, words: str) -> None:
    """They are named, with the other ones still there."""
    image = LabeledImage(
        media_id="M", annotations=[Annotation("a", shape), Annotation("b", Point(1, 2))]
    )
    prepared = prepare_prediction(image, partial=True)
    labels: Any = prepared.prediction["labels"]
    assert [len(labels[key]) for key in ("a", "b")] == [0, 1]
    assert words in " ".join(each.message for each in prepared.left_out)
