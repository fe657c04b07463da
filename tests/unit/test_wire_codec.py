"""From answers to models: both generations, unknown things, wrong shapes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from datagym_async._wire import (
    ImportAnswer,
    Request,
    Response,
    check_empty,
    check_image,
    decode,
    decode_value,
)
from datagym_async.exceptions import APIResponseValidationError
from datagym_async.labels import LabelExport, VideoLabels
from datagym_async.models import (
    Dataset,
    DatasetMedia,
    EntryType,
    LabelConfiguration,
    Media,
    MediaInvalidReason,
    MediaSourceType,
    MediaType,
    Project,
    Task,
    TaskDetail,
    TaskState,
    UrlResult,
    UrlStatus,
)
from tests.helpers.examples import example
from tests.helpers.fake_session import answer

REQUEST = Request("GET", "some/path")
DATASET = {"id": "D", "name": "n", "timestamp": 0}
MEDIA = {"id": "M", "timestamp": 0, "mediaSourceType": "LOCAL", "mediaName": "a.jpg"}


def structured(value: object, kind: type[Any]) -> Any:
    return decode_value(REQUEST, value, kind)


@pytest.mark.parametrize("generation", ["current", "docs_hybrid", "old"])
def test_projects_of_all_generations(generation: str) -> None:
    """Counts and media types are read under their old and new names, and default."""
    project = structured(example("11_projects", generation), tuple[Project, ...])[0]
    assert (project.name, project.media_type) == ("Street scenes", MediaType.IMAGE)
    assert (project.datasets[0].media_count, project.datasets[0].short_description) == (2, None)
    assert project.created_at == datetime(2020, 2, 26, 12, 20, 39, 296000, tzinfo=UTC)


@pytest.mark.parametrize(
    ("generation", "source"),
    [("current", MediaSourceType.LOCAL), ("old", MediaSourceType.SHAREABLE_LINK)],
)
def test_datasets_of_both_generations(generation: str, source: MediaSourceType) -> None:
    """The media of a dataset are read under both names, with both names of their fields."""
    dataset = structured(example("12_datasets_media", f"dataset_{generation}"), Dataset)
    assert (dataset.media[0].name, dataset.media[0].source_type) == ("street_0001.jpg", source)


@pytest.mark.parametrize("generation", ["current", "hybrid_observed", "old"])
def test_url_results_of_all_generations(generation: str) -> None:
    """Answers that mix the generations are understood too."""
    document = example("12_datasets_media", f"url_response_{generation}")
    results = structured(document, tuple[UrlResult, ...])
    good = [result for result in results if result.status is UrlStatus.SUCCESS]
    assert good
    assert all(result.media_id and result.name for result in good)


def test_media_of_all_kinds() -> None:
    """What does not apply to a kind of media is None."""
    local, link, video = (
        structured(example("12_datasets_media", name), Media)
        for name in ("upload_file_response", "media_shareable_link", "media_s3_video")
    )
    assert (local.width, local.height, local.duration) == (1024, 640, None)
    assert (link.valid, link.reason) == (False, MediaInvalidReason.INVALID_URL)
    assert (video.duration, video.frame_rate, video.total_frames) == (8.2, "30/1", 246)
    assert "Signature" not in repr(video)


def test_tasks() -> None:
    """A task's list entry and detail, with label values of several types."""
    first, _ = structured(example("13_tasks", "list"), tuple[Task, ...])
    detail = structured(example("13_tasks", "detail"), TaskDetail)
    point, rectangle, segmentation, *_ = detail.label_iteration.values
    assert (first.state, first.media_name) == (TaskState.WAITING, "street_0001.jpg")
    assert (point.point.x, point.point.y) == (233.25, 471.5)
    assert (rectangle.width, rectangle.children[0].select_key) == (188.0, "bus")
    assert [len(ring.points) for ring in segmentation.rings] == [3]
    assert detail.last_changed_config == 1656000000123


def test_label_configuration() -> None:
    """Nested entries keep their tree."""
    config = structured(example("10_label_config_view"), LabelConfiguration)
    vehicle = next(entry for entry in config.entries if entry.key == "vehicle")
    assert vehicle.type is EntryType.RECTANGLE
    assert [child.key for child in vehicle.children[0].children] == ["damage"]


@pytest.mark.parametrize(
    ("name", "classes", "tasks"),
    [
        ("01_export_image", 16, 3),
        ("02_export_image_old_names", 5, 1),
        ("03_export_video_project", 6, 2),
    ],
)
def test_exports(name: str, classes: int, tasks: int) -> None:
    """Current, legacy and video exports: the overview and one entry a task."""
    export = structured(example(name), LabelExport)
    assert (len(export.label_classes), len(export.tasks)) == (classes, tasks)
    assert export.tasks[0].state is TaskState.COMPLETED


def test_an_empty_export() -> None:
    """A project without finished tasks gives an empty list."""
    assert structured([], LabelExport) == LabelExport()


def test_video_numbers_written_as_texts() -> None:
    """The service writes a video's numbers as texts."""
    task = structured(example("03_export_video_project"), LabelExport).tasks[0]
    assert (task.video_height, task.video_total_frames) == (1080, 1355)
    assert (task.video_duration, task.video_frame_rate) == (45.21183, "48633600/1622741")


def test_video_labels() -> None:
    """Frames and keyframes are counted by number."""
    labels = structured(example("04_export_video_task"), VideoLabels)
    first = "0e8f9a10-1111-4a4a-9b9b-000000000001"
    assert labels.frames[4] == (first, "0e8f9a10-1111-4a4a-9b9b-000000000002")
    assert [each.frame for each in labels.objects[first].keyframes] == [0, 4, 5, 6, 9, 11]


@pytest.mark.parametrize(
    ("name", "ok"),
    [
        ("success", True),
        ("schema_error", False),
        ("json_syntax_error", False),
        ("older_server_success", True),
        ("older_server_errors", False),
    ],
)
def test_import_answers(name: str, ok: bool) -> None:
    """Both forms of the answer: a text, and a list of errors."""
    found = structured(example("08_import_responses", name, "body"), ImportAnswer)
    assert (found.messages == "") is ok


def test_older_import_errors_say_where() -> None:
    """Each error of the old form names its media and entry."""
    found = structured(example("08_import_responses", "older_server_errors", "body"), ImportAnswer)
    assert "3c1d6f0a-5f0e-4c52-9a3b-0d6a1f2b7c01 vehicle: invalid value" in found.messages


def test_names_are_decoded_once() -> None:
    """People see the name, comparisons the stored form."""
    media = structured({**DATASET, "media": [{**MEDIA, "mediaName": "t%C3%A4st.jpg"}]}, Dataset)
    assert (media.media[0].name, media.media[0].stored_name) == ("täst.jpg", "t%C3%A4st.jpg")


def test_what_is_new_does_no_harm() -> None:
    """Unknown fields are passed over, unknown words become UNKNOWN, nulls the default."""
    newer = {**DATASET, "mediaType": "HOLOGRAM", "media": None, "colour": {"new": [1]}}
    dataset = structured(newer, Dataset)
    assert (dataset.media_type, dataset.media) == (MediaType.UNKNOWN, ())


WRONG = {
    "item": ([DATASET, DATASET, DATASET, 5], tuple[Dataset, ...], "[3]"),
    "nested item": (
        [DATASET] * 3 + [{**DATASET, "media": [{**MEDIA, "id": 7}]}],
        tuple[Dataset, ...],
        "[3].media[0].id",
    ),
    "missing": ({"name": "n", "timestamp": 0}, Dataset, "id"),
    "old name": ({**DATASET, "images": 5}, Dataset, "media"),
    "null where there is no default": ({**DATASET, "id": None}, Dataset, "id"),
    "float for whole": ({**DATASET, "timestamp": 1.5}, Dataset, "timestamp"),
    "truth for whole": ({**DATASET, "timestamp": True}, Dataset, "timestamp"),
    "number for text": ({**DATASET, "name": 5}, Dataset, "name"),
    "text for truth": ({**MEDIA, "valid": "yes"}, Media, "valid"),
    "list for number": ({**MEDIA, "duration": []}, Media, "duration"),
    "word for number": ({**MEDIA, "duration": "long"}, Media, "duration"),
    "number for word": ({**DATASET, "mediaType": 1}, Dataset, "mediaType"),
    "object for list": ({"id": "D"}, tuple[Dataset, ...], ""),
    "list for object": ([], Dataset, ""),
    "options": (
        {
            "id": "C",
            "projectId": "P",
            "entries": [
                {
                    "id": "E",
                    "entryKey": "k",
                    "entryValue": "v",
                    "type": "SELECT",
                    "options": {"a": 1},
                }
            ],
        },
        LabelConfiguration,
        "entries[0].options.a",
    ),
    "labels": (
        [{"internal_media_ID": "M", "external_media_ID": "a", "status": "x", "labels": {"k": [1]}}],
        LabelExport,
        "[0].labels.k[0]",
    ),
    "classes": ([{"label_classes": [{"class_name": 1}]}], LabelExport, "[0].label_classes[0]"),
    "frame": ({"frames": {"one": []}}, VideoLabels, "frames.one"),
    "visible": ({"frames": {"1": [{}]}}, VideoLabels, "frames.1[0].visibleObjectId"),
    "keyframe": ({"object": {"o": {"1": 5}}}, VideoLabels, "object.o.1"),
    "import": ({"messages": ""}, ImportAnswer, "errorMessages"),
}


@pytest.mark.parametrize(("value", "kind", "path"), WRONG.values(), ids=WRONG)
def test_a_wrong_shape_says_where(value: object, kind: type[Any], path: str) -> None:
    """An unexpected shape is one error that names the field as the service calls it."""
    with pytest.raises(APIResponseValidationError) as caught:
        structured(value, kind)
    assert caught.value.field_path.startswith(path)
    assert path in str(caught.value)
    assert caught.value.__cause__ is None


class _Odd(dict[str, object]):
    """Stands for whatever no line of ours has foreseen."""

    def items(self) -> Any:
        raise ArithmeticError("token=abcdefgh " + "x" * 10_000)


def test_whatever_reading_raises_is_the_answers_fault() -> None:
    """What is raised while an answer is read becomes one error: its words cut, without secrets."""
    with pytest.raises(APIResponseValidationError, match=r"ArithmeticError: token=") as caught:
        structured([_Odd(DATASET)], tuple[Dataset, ...])
    assert (caught.value.status, caught.value.field_path) == (200, "[0]")
    assert "abcdefgh" not in str(caught.value)
    assert len(str(caught.value)) < 500
    assert caught.value.__cause__ is caught.value.__context__ is None


@pytest.mark.parametrize("number", [2**53, -(2**62), 2**63, 2**64, 1e300])
@pytest.mark.parametrize("kind", [DatasetMedia, Media, Dataset])
def test_numbers_that_nobody_can_keep_are_refused(number: float, kind: type[Any]) -> None:
    """A whole number beyond what JSON keeps is no count and no moment, on the short way as well."""
    value = {**MEDIA, **DATASET, "timestamp": number}
    with pytest.raises(APIResponseValidationError, match="whole number was expected") as caught:
        structured(value, kind)
    assert caught.value.field_path == "timestamp"


@pytest.mark.parametrize(("timestamp", "year"), [(2**53 - 1, 9999), (1 - 2**53, 1)])
def test_a_moment_beyond_the_calendar_is_its_end(timestamp: int, year: int) -> None:
    """Whatever number an answer has for a moment, asking for the moment raises nothing."""
    media = structured({**MEDIA, "timestamp": timestamp}, DatasetMedia)
    assert media.created_at.year == year


@pytest.mark.parametrize("number", ["nan", "inf", "1e999", "x", 10**400])
def test_a_number_is_finite(number: object) -> None:
    """What is no finite number is refused, as a text and as a number."""
    with pytest.raises(APIResponseValidationError, match="a number was expected"):
        structured(number, float)


BODIES = {
    "web page": (answer(b"<html><body>hello", content_type="text/html"), "web page"),
    "web page in disguise": (answer(b" <!DOCTYPE html>..."), "web page"),
    "empty": (answer(None), "empty"),
    "no json": (answer(b"{'a': 1}"), "not JSON"),
    "cut short": (answer(b'[{"id": "D", '), "not JSON"),
    "half a character": (answer(b'["\\ud800"]'), "not JSON"),
    "the other half": (answer(b'["x\\udc00"]'), "not JSON"),
    "half in utf-8": (answer(b'["\xed\xa0\x80"]'), "not JSON"),
    "not utf-8": (answer(b'["\xff"]'), "not JSON"),
    "too deep": (answer(b"[" * 5000 + b"]" * 5000), "not JSON"),
}


@pytest.mark.parametrize(("response", "words"), BODIES.values(), ids=BODIES)
def test_a_body_that_is_no_json(response: Response, words: str) -> None:
    """A good status with a body of another kind is one error that says which."""
    with pytest.raises(APIResponseValidationError, match=words) as caught:
        decode(REQUEST, response, tuple[Dataset, ...])
    assert (caught.value.method, caught.value.path) == ("GET", "some/path")


def test_deep_trees_do_not_crash() -> None:
    """A tree deeper than Python recurses is an error of the answer, not of the interpreter."""
    entry: dict[str, Any] = {"id": "E", "entryKey": "k", "entryValue": "v", "type": "SELECT"}
    for _ in range(400):
        entry = {**entry, "children": [entry]}
    with pytest.raises(APIResponseValidationError, match="deep"):
        structured({"id": "C", "projectId": "P", "entries": [entry]}, LabelConfiguration)


def test_an_empty_answer_is_fine_where_none_is_due() -> None:
    """Calls that answer nothing accept anything but a web page."""
    check_empty(REQUEST, answer(None))
    with pytest.raises(APIResponseValidationError, match="base_url"):
        check_empty(REQUEST, answer(b"<html>", content_type="text/html;charset=utf-8"))


def test_an_image_is_an_image() -> None:
    """A bitmap's answer must not be a text."""
    check_image(REQUEST, answer(b"BM...", content_type="image/bmp"))
    with pytest.raises(APIResponseValidationError, match="image"):
        check_image(REQUEST, answer({"a": 1}))
