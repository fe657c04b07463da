"""Labels of videos: objects, runs of frames, interpolation, and the service's mistakes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from datagym_async.exceptions import ConfigurationError
from datagym_async.labels import (
    Classification,
    FrameRange,
    Incomplete,
    Keyframe,
    Line,
    Point,
    Polygon,
    Rectangle,
    VideoLabels,
    VideoObject,
    parse_video,
    to_video_payload,
    with_keys,
)
from datagym_async.models import EntryType, LabelValue
from tests.helpers.examples import example

_WIRE = Path(__file__).parent.parent / "conformance" / "wire"
CUP = "0e8f9a10-1111-4a4a-9b9b-000000000001"
TAGGED = "0e8f9a10-1111-4a4a-9b9b-000000000002"
GOAL = "0e8f9a10-1111-4a4a-9b9b-000000000003"


@pytest.fixture(scope="module")
def film() -> VideoLabels:
    """The example of a video."""
    return parse_video(example("04_export_video_task"))


def test_runs_of_frames(film: VideoLabels) -> None:
    """What is seen, vanishes and is seen again has two runs."""
    cup = film.objects[CUP]
    assert cup.visible == (FrameRange(0, 6), FrameRange(9, 11))
    assert [frame for frame in range(13) if any(frame in each for each in cup.visible)] == [
        0,
        1,
        2,
        3,
        4,
        5,
        6,
        9,
        10,
        11,
    ]
    assert film.frames[4] == (CUP, TAGGED)
    assert 12 not in film.frames


RECTANGLES: dict[int, Rectangle | None] = {
    0: Rectangle(386, 0, 627, 714),
    1: Rectangle(389.5, 2.5, 625.25, 710.5),
    5: Rectangle(405, 13, 616, 695),
    6: Rectangle(410, 16, 612, 690),
    7: None,
    9: Rectangle(450, 30, 600, 680),
    10: None,
    11: None,
    12: None,
}


@pytest.mark.parametrize(("frame", "rectangle"), RECTANGLES.items())
def test_rectangles_move_evenly_between_keyframes(
    film: VideoLabels, frame: int, rectangle: Rectangle | None
) -> None:
    """In a gap, beyond the keyframes and beside an incomplete one there is none."""
    assert film.objects[CUP].rectangle_at(frame) == rectangle
    found: Any = np.int64(frame)  # as counted with numpy
    assert film.objects[CUP].rectangle_at(found) == rectangle


def test_nothing_moves_across_a_gap() -> None:
    """A run whose first keyframe has no shape borrows none from the run before it."""
    keyframes = [Keyframe(0, Rectangle(0, 0, 1, 1)), Keyframe(9, Rectangle(9, 9, 1, 1))]
    each = VideoObject("o", "cup", keyframes[::-1], [(0, 2), (6, 9)])
    assert [k.frame for k in each.keyframes] == [0, 9]
    assert [each.rectangle_at(frame) for frame in (0, 1, 6, 9)] == [
        *(Rectangle(0, 0, 1, 1), None, None, Rectangle(9, 9, 1, 1))
    ]


def test_each_frame_of_a_long_video() -> None:
    """A rectangle is found among thousands of keyframes without a look at each of them."""
    keyframes = [Keyframe(10 * each, Rectangle(each, 0, 1, 1)) for each in range(2000)]
    each = VideoObject("o", "cup", keyframes, [(0, 19_990)])
    found = [each.rectangle_at(frame) for frame in range(19_991)]
    assert found[::10] == [key.shape for key in keyframes]
    assert found[15] == Rectangle(1.5, 0, 1, 1)


def test_other_shapes_do_not_move() -> None:
    """The editor moves rectangles alone."""
    line = VideoObject("o", "l", [Keyframe(0, Line([(1, 1), (2, 2)]))], [(0, 0)])
    assert (line.rectangle_at(0), line.type) == (None, EntryType.LINE)


def test_answers_hold_until_they_change(film: VideoLabels) -> None:
    """A keyframe has only the answers that changed; the others go on."""
    cup = film.objects[CUP]
    mug = Classification("object_name", ("mug",))
    assert cup.classifications_at(4) == (Classification("material", ("glass",), [mug]),)
    assert cup.classifications_at(5) == (Classification("material", ("paper",), [mug]),)
    assert film.objects[GOAL].classifications_at(99) == ()


def test_a_nested_answer_changes_alone() -> None:
    """The text "null" before a nested answer says that the outer one did not change."""
    labels = parse_video(
        {
            "object": {
                "o": {
                    "0": {"classifications": {"kind": ["bus", {"note": ["new"]}]}},
                    "3": {"classifications": {"kind": ["null", {"note": ["old"]}]}},
                }
            }
        }
    )
    now = labels.objects["o"].classifications_at(3)
    assert now == (Classification("kind", ("bus",), [Classification("note", ("old",))]),)


def test_known_mistakes_are_repaired_or_told(film: VideoLabels) -> None:
    """A capital Y is read, a lost outline is not made up, and "null" is no answer."""
    goal, tagged = film.objects[GOAL], film.objects[TAGGED]
    assert goal.keyframes[0].shape == Incomplete(EntryType.POLYGON, [{"x": 310.25, "Y": 200.5}])
    assert [each.values for each in tagged.keyframes[0].classifications] == [(None,), (None,)]
    unset, cut = film.notes
    assert unset.startswith(f'object {TAGGED}: the text "null" was read as an unset answer')
    assert cut.startswith(f"object {GOAL}: the service exports only the last point of a polygon")
    assert cut.endswith("(2 keyframes, at frame 5, 8)")


DRAWN: dict[str, tuple[dict[str, Any], object, int]] = {
    "point": ({"point": [{"x": 1.5, "Y": 2.0}]}, Point(1.5, 2.0), 1),
    "point as it should be": ({"point": [{"x": 1.5, "y": 2.0}]}, Point(1.5, 2.0), 0),
    "empty point": ({"point": [{}]}, Incomplete(EntryType.POINT, [{}]), 0),
    "whole polygon": (
        {"polygon": [{"x": n, "Y": n} for n in range(3)]},
        Polygon([(0, 0), (1, 1), (2, 2)]),
        1,
    ),
    "line": ({"line": [{"x": 1, "Y": 2}]}, Incomplete(EntryType.LINE, [{"x": 1, "Y": 2}]), 1),
    "answers": ({"classifications": {}}, None, 0),
}


@pytest.mark.parametrize(("keyframe", "shape", "notes"), DRAWN.values(), ids=DRAWN)
def test_shapes_of_keyframes(keyframe: dict[str, Any], shape: object, notes: int) -> None:
    """Every form that the service writes is read, noted and written again."""
    document = {"frames": {}, "object": {"o": {"7": keyframe}}}
    labels = parse_video(document)
    assert labels.objects["o"].keyframes[0].shape == shape
    assert len(labels.notes) == notes
    assert to_video_payload(labels) == document


def test_many_keyframes_are_one_note() -> None:
    """A note names a few frames of many."""
    keyframes = {str(n): {"point": [{"x": 1, "Y": 1}]} for n in range(9)}
    (note,) = parse_video({"object": {"o": keyframes}}).notes
    assert (
        note == "object o: an upper-case Y was read as y (9 keyframes, at frame 0, 1, 2, 3, 4, ...)"
    )


def test_a_video_written_again_is_the_same() -> None:
    """What the service wrote comes out as it came in, mistakes and unknown members included."""
    document = {**example("04_export_video_task"), "fps": "30/1"}
    document["object"][CUP]["0"]["drawnBy"] = "U"
    assert to_video_payload(parse_video(document)) == document


def test_recorded_videos_written_again_are_the_same() -> None:
    """What a real server was seen to write comes out as it came in."""
    entries = json.loads((_WIRE / "GET_exportVideoTask.json").read_bytes())
    bodies = [e["response"]["body"] for e in entries if e["response"]["status"] == 200]
    assert [to_video_payload(parse_video(body)) for body in bodies] == bodies
    assert len(bodies) >= 3


def test_a_video_made_by_hand_is_written() -> None:
    """Without a file, frames and objects are there, and answers where there are some."""
    kind = Classification.select("kind", "bus")
    car = VideoObject("o", "car", [Keyframe(2, Rectangle(1, 2, 3, 4)), Keyframe(3, None, [kind])])
    assert to_video_payload(VideoLabels({2: ("o",)}, {"o": car})) == {
        "frames": {"2": [{"visibleObjectId": "o"}]},
        "object": {
            "o": {
                "2": {"rectangle": [{"x": 1, "y": 2, "w": 3, "h": 4}]},
                "3": {"classifications": {"kind": ["bus"]}},
            }
        },
    }


def test_the_task_knows_the_keys(film: VideoLabels) -> None:
    """An object has the id of its value, which knows its entry; so do the answers below it."""
    note = LabelValue(id="n", entry_id="E2", entry_type=EntryType.FREETEXT, entry_key="object_name")
    material = LabelValue(
        id="m", entry_id="E1", entry_type=EntryType.SELECT, entry_key="material", children=(note,)
    )
    cup = LabelValue(
        id=CUP, entry_id="E", entry_type=EntryType.RECTANGLE, entry_key="cup", children=(material,)
    )
    named = with_keys(film, [cup])
    (answer,) = named.objects[CUP].keyframes[0].classifications
    assert (named.objects[CUP].key, named.objects[GOAL].key) == ("cup", None)
    assert (answer.type, answer.children[0].type) == (EntryType.SELECT, EntryType.FREETEXT)
    assert named.notes == film.notes


WRONG: dict[str, tuple[object, str]] = {
    "list": ([], "an object"),
    "frame": ({"frames": {"one": []}}, "at frames.one,"),
    "seen": ({"frames": {"1": [{}]}}, r"at frames.1\[0\].visibleObjectId,"),
    "keyframe": ({"object": {"o": {"1": 5}}}, "at object.o.1,"),
    "number of a keyframe": ({"object": {"o": {"x": {}}}}, "at object.o.x,"),
    "corner": ({"object": {"o": {"1": {"point": [{"x": 1, "Y": "far"}]}}}},
               r"at object.o.1.point\[0\].y,"),
    "shape": ({"object": {"o": {"1": {"line": 5}}}}, "at object.o.1.line,"),
    "answer": ({"object": {"o": {"1": {"classifications": {"k": [5]}}}}},
               r"at object.o.1.classifications.k\[0\],"),
}  # fmt: skip


@pytest.mark.parametrize(("document", "words"), WRONG.values(), ids=WRONG)
def test_what_does_not_fit_is_named(document: object, words: str) -> None:
    """The error names the path."""
    with pytest.raises(ConfigurationError, match=words):
        parse_video(document)
