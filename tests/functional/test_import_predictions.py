"""Predictions into a project: checked, sent in batches, split, and one result an item."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from typing import Any, cast

import pytest

from datagym_async import ImportOutcome
from datagym_async._wire import Replay, Request, Response
from datagym_async.exceptions import (
    APIConnectionError,
    APIError,
    ConfigurationError,
    InternalServerError,
    NotFoundError,
    PermissionDeniedError,
)
from datagym_async.labels import Annotation, Classification, LabeledImage, Point, Rectangle
from datagym_async.models import EntryType, LabelConfiguration, LabelEntry
from datagym_async.resources import LabelsResource
from tests.helpers.examples import example
from tests.helpers.fake_session import FakeSession, answer, json_of, refusal

STORED = answer({"errorMessages": ""})
REFUSED = answer(example("08_import_responses", "schema_error", "body"))
CONFIG = LabelConfiguration(
    id="C",
    project_id="P",
    entries=(
        LabelEntry(id="1", key="car", value="Car", type=EntryType.RECTANGLE),
        LabelEntry(id="2", key="time", value="T", type=EntryType.SELECT, options={"day": "D"}),
    ),
)


def predictions(count: int) -> list[dict[str, object]]:
    return [{"internal_media_ID": f"m{n}", "labels": {}} for n in range(count)]


def bodies(session: FakeSession) -> list[list[str]]:
    """The media of each request."""
    found: list[Any] = [json_of(request) for request in session.requests]
    return [[item["internal_media_ID"] for item in body] for body in found]


def refusing(*media_ids: str, key: str = "ex_gen_wrong_entry_id") -> FakeSession:
    """A service that refuses each request with one of some media in it."""

    def handle(request: Request) -> Response:
        sent: Any = json_of(request)
        bad = {item["internal_media_ID"] for item in sent} & {*media_ids}
        return refusal(500, key, "bus") if bad else STORED

    return FakeSession(handler=handle)


# --- batches -------------------------------------------------------------------------------------


async def test_predictions_go_in_batches_one_after_the_other() -> None:
    """Each batch says whether labels are kept; all are counted."""
    session = FakeSession([STORED, STORED, answer([])])
    report = await LabelsResource(session).import_predictions(
        "P", predictions(5), keep_data=False, config=None, batch_size=2
    )
    assert bodies(session) == [["m0", "m1"], ["m2", "m3"], ["m4"]]
    sent: list[Any] = [json_of(request) for request in session.requests]
    assert all(item["keepData"] is False for body in sent for item in body)
    assert (report.stored, report.ok, report.problems) == (5, True, ())
    assert repr(report) == "ImportReport(results=<5>)"  # there may be thousands
    assert [(each.index, each.media_id) for each in report.results] == [
        (n, f"m{n}") for n in range(5)
    ]


@pytest.mark.parametrize(("keep_data", "replay"), [(True, Replay.NEVER), (False, Replay.SAFE)])
async def test_appending_is_never_repeated(keep_data: bool, replay: Replay) -> None:
    """Imported twice, appended labels are doubled; replaced ones are not."""
    session = FakeSession([STORED])
    await LabelsResource(session).import_predictions(
        "P", predictions(1), keep_data=keep_data, config=None
    )
    assert session.requests[0].replay is replay


async def test_predictions_are_taken_as_they_are_needed() -> None:
    """A source is asked for one batch at a time, and for no more once nobody wants results."""
    asked: list[int] = []

    async def source() -> AsyncIterator[dict[str, object]]:
        for n, each in enumerate(predictions(10)):
            asked.append(n)
            yield each

    session = FakeSession([STORED, STORED])
    results = LabelsResource(session).iter_import_predictions(
        "P", source(), keep_data=False, config=None, batch_size=2
    )
    async with aclosing(results):
        first = await anext(results)
    assert (first.outcome, asked, bodies(session)) == ("stored", [0, 1], [["m0", "m1"]])


async def test_no_predictions_ask_nothing() -> None:
    """The service refuses an empty list; so none is sent."""
    session = FakeSession()
    report = await LabelsResource(session).import_predictions("P", [], keep_data=True, config=None)
    assert (report.ok, session.requests) == (True, [])


@pytest.mark.parametrize(
    "given", [{"internal_media_ID": "M"}, "M", b"M", LabeledImage(media_id="M"), 3]
)
async def test_one_prediction_is_not_many(given: Any) -> None:
    """A single object in place of a list would be taken apart; it is refused."""
    with pytest.raises(ConfigurationError, match="a list"):
        await LabelsResource(FakeSession()).import_predictions(
            "P", given, keep_data=True, config=None
        )


@pytest.mark.parametrize(("project", "size", "words"), [("P", 0, "batch_size"), ("P", 501, "500"),
                                                        ("a/b", 1, "project id")])  # fmt: skip
async def test_what_cannot_be_asked_is_said_before(project: str, size: int, words: str) -> None:
    """Before the first prediction is taken."""
    with pytest.raises(ConfigurationError, match=words):
        await LabelsResource(FakeSession()).import_predictions(
            project, predictions(1), keep_data=True, batch_size=size
        )


# --- splitting -----------------------------------------------------------------------------------


async def test_a_bad_prediction_is_found_and_all_others_are_stored() -> None:
    """A batch is stored as a whole or not at all: it is halved until the bad one is alone."""
    session = refusing("m37")
    report = await LabelsResource(session).import_predictions(
        "P", predictions(50), keep_data=True, config=None
    )
    (bad,) = report.problems
    assert (bad.index, bad.media_id, bad.outcome) == (37, "m37", ImportOutcome.FAILED)
    assert (bad.key, "bus" in bad.reasons[0]) == ("ex_gen_wrong_entry_id", True)
    assert report.stored == 49
    assert [each.index for each in report.results] == list(range(50))
    assert len(session.requests) <= 13


async def test_words_with_status_200_are_a_refusal_too() -> None:
    """Status 200 with a text means that nothing was stored."""
    session = FakeSession([REFUSED, STORED, REFUSED])
    report = await LabelsResource(session).import_predictions(
        "P", predictions(2), keep_data=False, config=None
    )
    assert bodies(session) == [["m0", "m1"], ["m0"], ["m1"]]
    assert [each.outcome for each in report.results] == ["stored", "failed"]
    assert "keepData" in report.results[1].reasons[0]


async def test_a_body_that_is_too_large_is_halved() -> None:
    """A proxy that takes no large body takes two smaller ones."""
    session = FakeSession([answer(b"", status=413), STORED, STORED])
    report = await LabelsResource(session).import_predictions(
        "P", predictions(2), keep_data=False, config=None
    )
    assert (report.stored, len(session.requests)) == (2, 3)


@pytest.mark.parametrize(("keep_data", "failed"), [(False, 1), (True, 4)])
async def test_ex_system_is_split_where_labels_are_replaced(keep_data: bool, failed: int) -> None:
    """It rolls everything back, by contract; what is appended is not sent twice all the same."""
    report = await LabelsResource(refusing("m2", key="ex_system")).import_predictions(
        "P", predictions(4), keep_data=keep_data, config=None
    )
    assert (report.failed, report.stored) == (failed, 4 - failed)


async def test_what_is_no_json_is_alone_to_blame() -> None:
    """A value that JSON cannot carry holds nothing else up."""
    bad = {"internal_media_ID": "bad", "labels": {"car": {1, 2}}}
    report = await LabelsResource(FakeSession([STORED])).import_predictions(
        "P", [*predictions(1), bad], keep_data=False, config=None, check=False
    )
    assert [each.outcome for each in report.results] == ["stored", "rejected"]
    assert "JSON" in report.results[1].reasons[0]


# --- stopping ------------------------------------------------------------------------------------


async def test_an_import_that_cannot_go_on_says_what_was_stored() -> None:
    """A refused token ends the import; the error carries a note."""
    session = FakeSession([STORED, refusal(403, "ex_forbidden")])
    with pytest.raises(PermissionDeniedError) as caught:
        await LabelsResource(session).import_predictions(
            "P", predictions(6), keep_data=True, config=None, batch_size=2
        )
    assert caught.value.__notes__ == ["2 predictions had been stored before"]


def lost(remark: str = "") -> APIConnectionError:
    """Whether it was carried out is not known."""
    error = APIConnectionError("gone", unknown=True)
    error.remark = remark
    return error


async def outcomes(
    session: FakeSession, sent: list[dict[str, object]], *, keep_data: bool, size: int
) -> tuple[list[str], APIError | None]:
    """Return how predictions ended before an error, and the error."""
    seen: list[str] = []
    note = seen.append
    results = LabelsResource(session).iter_import_predictions(
        "P", sent, keep_data=keep_data, config=None, batch_size=size
    )
    try:
        async for each in results:
            note(each.outcome.value)
    except APIError as error:
        return seen, error
    return seen, None


async def test_lost_answers_end_an_import_only_in_a_row() -> None:
    """Each answer begins the count anew; a service that seems down ends it at once."""
    session = FakeSession([lost(), lost(), STORED, lost(), lost(), STORED])
    seen = await outcomes(session, predictions(6), keep_data=True, size=1)
    assert seen == (["unknown", "unknown", "stored"] * 2, None)

    down = lost("It seems to be down.")
    session = FakeSession([STORED, down])
    seen = await outcomes(session, predictions(3), keep_data=True, size=1)
    assert seen == (["stored", "unknown"], down)


async def test_a_lost_answer_ends_an_import_that_replaces() -> None:
    """It was repeated by the table before; all the same can be imported once more."""
    gone = lost()
    seen = await outcomes(FakeSession([gone]), predictions(3), keep_data=False, size=1)
    assert seen == (["unknown"], gone)


@pytest.mark.parametrize(
    ("key", "remark"), [("", ""), ("ex_system", "It seems to be down.")], ids=["no key", "down"]
)
async def test_a_failure_of_the_service_divides_nothing(key: str, remark: str) -> None:
    """Half a batch would fail alike: it is no fault of a prediction."""
    failure = InternalServerError("failed", status=500, key=key)
    failure.remark = remark
    seen = await outcomes(FakeSession([failure]), predictions(4), keep_data=False, size=4)
    assert seen == (["failed"] * 4, failure)


async def test_nothing_more_is_sent_after_a_stop() -> None:
    """The other parts of a divided batch are not sent, either."""
    forbidden = refusal(403, "ex_forbidden")
    session = FakeSession([REFUSED, forbidden])
    seen, error = await outcomes(session, predictions(4), keep_data=False, size=4)
    assert seen == ["failed"] * 4
    assert isinstance(error, PermissionDeniedError)
    assert bodies(session) == [["m0", "m1", "m2", "m3"], ["m0", "m1"]]


async def test_a_source_that_breaks_off_says_what_was_stored() -> None:
    """The caller's own error comes as it is, with a note."""

    def source() -> Iterator[dict[str, object]]:
        yield from predictions(3)
        raise OSError("disk")

    with pytest.raises(OSError, match="disk") as caught:
        await LabelsResource(FakeSession([STORED])).import_predictions(
            "P", source(), keep_data=True, config=None, batch_size=2
        )
    assert caught.value.__notes__ == ["2 predictions had been stored before"]


class Odd(dict[str, object]):
    """Labels of a prediction that raise what means an end elsewhere."""

    def __getitem__(self, key: str) -> object:
        raise StopIteration

    def items(self) -> Any:
        raise StopIteration


async def test_no_prediction_is_left_out_for_a_stop_iteration() -> None:
    """It is no end of the batch: the others would be missing in silence."""
    whole, session = predictions(3), FakeSession([STORED])
    whole[1]["labels"] = Odd({"car": []})
    with pytest.raises(RuntimeError, match="StopIteration was raised in a thread"):
        await LabelsResource(session).import_predictions("P", whole, keep_data=False, config=CONFIG)
    assert not session.requests


async def test_a_source_that_was_cancelled_is_an_error() -> None:
    """Its caller is not cancelled, and would look so."""

    async def source() -> AsyncIterator[dict[str, object]]:
        yield predictions(1)[0]
        raise asyncio.CancelledError

    session = FakeSession([STORED])
    with pytest.raises(RuntimeError, match="CancelledError was raised") as caught:
        await LabelsResource(session).import_predictions(
            "P", source(), keep_data=False, config=None, batch_size=1
        )
    assert caught.value.__notes__ == ["1 prediction had been stored before"]


async def test_the_results_before_a_stop_are_given() -> None:
    """An iteration gives what is known of the batch it stopped at, and then the error."""
    session = FakeSession([STORED, REFUSED, STORED, refusal(403, "ex_forbidden")])
    seen, error = await outcomes(session, predictions(8), keep_data=False, size=4)
    assert isinstance(error, PermissionDeniedError)
    assert seen == ["stored"] * 6 + ["failed"] * 2


# --- checks --------------------------------------------------------------------------------------


HELD_BACK: dict[str, tuple[list[Any], bool, int, str]] = {
    "no media": ([{"labels": {}}], True, 0, "no internal_media_ID"),
    "number": ([{"internal_media_ID": 5}], True, 0, "internal_media_ID"),
    "blank value": ([LabeledImage(media_name="a.jpg")], True, 0, "no internal_media_ID"),
    "contradiction": ([{"internal_media_ID": "M", "keepData": True}], False, 0, "keep_data=False"),
    "twice": ([{"internal_media_ID": "M"}, {"internal_media_ID": "m"}], False, 1, "replace"),
    "no object": ([["M"]], True, 0, "an object was expected"),
    "null": ([None], True, 0, "null"),
    "classes": ([{"label_classes": []}], True, 0, "list of classes"),
}


@pytest.mark.parametrize("check", [True, False])
@pytest.mark.parametrize(("given", "keep", "index", "words"), HELD_BACK.values(), ids=HELD_BACK)
async def test_what_nobody_can_mean_is_held_back(
    given: list[Any], keep: bool, index: int, words: str, check: bool
) -> None:
    """What would vanish in silence is not sent, checked or not; its index and reason are told."""
    session = FakeSession([STORED] * index)
    report = await LabelsResource(session).import_predictions(
        "P", given, keep_data=keep, config=None, check=check
    )
    (bad,) = report.problems
    assert (bad.index, bad.outcome) == (index, ImportOutcome.REJECTED)
    assert words in bad.reasons[0]


async def test_a_media_may_come_again_where_labels_are_appended() -> None:
    """Two predictions for a media add up."""
    given = [{"internal_media_ID": "M"}, {"internal_media_ID": "M"}]
    report = await LabelsResource(FakeSession([STORED])).import_predictions(
        "P", given, keep_data=True, config=None
    )
    assert report.stored == 2


async def test_a_media_held_back_may_come_again() -> None:
    """Only what was sent can be replaced."""
    bad = {"internal_media_ID": "M", "labels": {"truck": []}}
    good = {"internal_media_ID": "M", "labels": {"car": []}}
    report = await LabelsResource(FakeSession([STORED])).import_predictions(
        "P", [bad, good], keep_data=False, config=CONFIG
    )
    assert [each.outcome for each in report.results] == ["rejected", "stored"]


async def test_values_are_checked_and_sent() -> None:
    """A value that fits goes as JSON in lower case; one that does not stays here."""
    good = LabeledImage(
        media_id="M1",
        annotations=[Annotation("Car", Rectangle(1, 2, 3, 4))],
        classifications=[Classification.select("Time", "day")],
    )
    bad = LabeledImage(media_id="M2", annotations=[Annotation("car", Point(1, 2))])
    session = FakeSession([STORED])
    report = await LabelsResource(session).import_predictions(
        "P", [good, bad], keep_data=False, config=CONFIG
    )
    (sent,) = cast("list[dict[str, Any]]", json_of(session.requests[0]))
    assert sent["global_classifications"] == {"time": ["day"]}
    assert sent["labels"]["car"][0]["rectangle"] == [{"x": 1, "y": 2, "w": 3, "h": 4}]
    (reason,) = report.results[1].reasons
    assert reason.startswith("labels.car[0].point: 'car' is a rectangle, not a point; ")


async def test_the_rest_of_a_prediction_goes_on_request() -> None:
    """Parts that cannot go are left out and told; of nothing but such parts nothing is sent."""
    shapes = {
        "car": [{"rectangle": [{"x": 1, "y": 2, "w": 3, "h": 4}]}, {"point": [{"x": 1, "y": 2}]}]
    }
    day = {"time": ["day"]}
    given: list[dict[str, Any]] = [
        {"internal_media_ID": "M1", "labels": shapes},
        {"internal_media_ID": "M2", "labels": {"truck": []}},
        {"internal_media_ID": "M3", "labels": {"truck": []}, "global_classifications": day},
        {"labels": {"truck": []}},
        {"internal_media_ID": "M5", "global_classifications": {"typo": ["day"]}},
    ]
    session = FakeSession([STORED])
    report = await LabelsResource(session).import_predictions(
        "P", given, keep_data=False, config=CONFIG, partial=True
    )
    sent: Any = json_of(session.requests[0])
    assert [item["labels"] for item in sent] == [{"car": shapes["car"][:1]}, {}]
    assert [each.outcome for each in report.results] == ["stored", "rejected"] * 2 + ["rejected"]
    assert report.results[0].left_out[0].startswith("labels.car[1].point: ")
    assert report.results[1].reasons[0] == "nothing in it can be imported"
    assert "no internal_media_ID" in report.results[3].reasons[0]
    assert (report.ok, report.problems) == (False, report.results)  # stored, but not whole


async def test_what_is_not_checked_is_sent_as_it_is() -> None:
    """Nothing is left out of it, also on request."""
    given = [{"internal_media_ID": "M", "labels": {"car": [{"cube": []}]}}]
    session = FakeSession([STORED])
    await LabelsResource(session).import_predictions(
        "P", given, keep_data=True, config=CONFIG, partial=True, check=False
    )
    assert json_of(session.requests[0]) == [{**given[0], "keepData": True}]


@pytest.mark.parametrize(("strict", "outcome"), [(False, "stored"), (True, "rejected")])
async def test_warnings_hold_back_on_request(strict: bool, outcome: str) -> None:
    """What reaches but the image ends is stored, with a warning."""
    far = LabeledImage(
        media_id="M", width=10, height=10, annotations=[Annotation("car", Rectangle(5, 5, 6, 2))]
    )
    report = await LabelsResource(FakeSession([STORED])).import_predictions(
        "P", [far], keep_data=True, config=CONFIG, strict=strict, sizes=False
    )
    (result,) = report.results
    assert result.outcome == outcome
    said, other = (result.reasons, result.warnings) if strict else (result.warnings, result.reasons)
    assert (len(said), "but the image ends" in said[0], other) == (1, True, ())
    (remark,) = report.remarks  # once, as what it was
    assert (remark.word, remark.count) == ("rejected" if strict else "warning", 1)


async def test_many_faults_are_not_all_listed() -> None:
    """Thousands of labels with one fault give a few sentences and a number."""
    labels: dict[str, object] = {"truck" + str(n): [] for n in range(30)}
    given = [{"internal_media_ID": each, "labels": labels} for each in ("M", "N")]
    report = await LabelsResource(FakeSession()).import_predictions(
        "P", given, keep_data=True, config=CONFIG
    )
    assert len(report.results[0].reasons) == 21
    assert report.results[0].reasons[-1] == "and 10 more"
    assert sum(each.count for each in report.remarks) == 60
    assert len(report.remarks) == len(report.results[0].remarks)


async def test_a_dry_run_sends_nothing() -> None:
    """What can be imported is `checked`, the rest rejected; the service is not asked."""
    given: list[dict[str, object]] = [*predictions(1), {"labels": {}}]
    report = await LabelsResource(FakeSession()).import_predictions(
        "P", given, keep_data=False, config=CONFIG, dry_run=True
    )
    assert [each.outcome for each in report.results] == ["checked", "rejected"]
    assert report.count(ImportOutcome.CHECKED) == 1
    assert not report.ok


# --- names ---------------------------------------------------------------------------------------


def listing(*names: str) -> list[Response]:
    """The answers that say what media a project has, the last twice."""
    dataset = {"id": "D", "name": "D", "timestamp": 0, "owner": "O", "mediaType": "IMAGE"}
    project = {
        "id": "p", "name": "P", "timestamp": 0, "labelConfigurationId": "C", "owner": "O",
        "labelIterationId": "I", "mediaType": "IMAGE",
        "datasets": [{**dataset, "mediaCount": 1, "projectCount": 1}],
    }  # fmt: skip
    media = [
        {"id": f"id{n}", "timestamp": 0, "mediaSourceType": "LOCAL", "mediaName": name}
        for n, name in enumerate(names)
    ]
    return [answer([project]), answer({**dataset, "projectCount": 1, "media": media})]


async def test_media_are_found_by_name() -> None:
    """As the service compares names; several of a name and none are told, not guessed.

    An id of the project counts before a name, one of another project behind it.
    """
    given: list[Any] = [
        LabeledImage(media_name="A.JPG"),
        {"external_media_ID": "T%C3%A4ST.jpg"},
        LabeledImage(media_name="b.jpg"),
        LabeledImage(media_name="nowhere.jpg", annotations=[Annotation("truck", Point(1, 2))]),
        LabeledImage(media_id="own", media_name="b.jpg"),
        LabeledImage(media_id="other", media_name="a.jpg"),
        LabeledImage(media_id="ID2", media_name="a.jpg"),
        LabeledImage(media_id="own"),
        {"labels": {}},
    ]
    session = FakeSession([*listing("a.jpg", "t%C3%A4st.jpg", "b.jpg", "B.jpg"), STORED])
    report = await LabelsResource(session).import_predictions(
        "P", given, keep_data=True, config=CONFIG, by_name=True, partial=True
    )
    sent: Any = json_of(session.requests[-1])
    assert [item["internal_media_ID"] for item in sent] == [
        "id0", "id1", "own", "id0", "ID2", "own"
    ]  # fmt: skip
    assert [each.index for each in report.problems] == [2, 3, 8]
    assert "id2, id3" in report.results[2].reasons[0]
    assert "no media of the project is named 'nowhere.jpg'" in report.results[3].reasons[0]
    assert "no internal_media_ID" in report.results[8].reasons[0]


@pytest.mark.parametrize("strict", [False, True])
async def test_names_with_the_prefix_of_label_studio(strict: bool) -> None:
    """One media is found without it, which is a warning; two names of one media are not guessed."""
    given = [LabeledImage(media_name=f"{'1a2b3c4' + end}.jpg") for end in ("d-a", "e-a", "d-b")]
    given.append(LabeledImage(media_name="b.jpg"))
    session = FakeSession([*listing("a.jpg", "b.jpg", "1a2b3c4d-b.jpg"), STORED])
    report = await LabelsResource(session).import_predictions(
        "P", given, keep_data=True, config=None, by_name=True, strict=strict
    )
    first, second, *others = report.results
    assert (first.media_id, first.outcome) == ("id0", "rejected" if strict else "stored")
    (said,) = first.reasons if strict else first.warnings
    assert "'1a2b3c4d-a.jpg' was found by its name without the prefix" in said
    assert second.outcome == "rejected"
    assert "'1a2b3c4d-a.jpg' has the only media" in second.reasons[0]
    assert [(each.media_id, each.outcome, each.warnings) for each in others] == [
        ("id2", "stored", ()), ("id1", "stored", ())
    ]  # fmt: skip


async def test_names_that_look_encoded() -> None:
    """Values have names as they are meant, exports as they are stored, whoever stored them."""
    given: list[Any] = [LabeledImage(media_name="a%20.jpg"), {"external_media_ID": "ß.jpg"}]
    session = FakeSession([*listing("a%2520.jpg", "ß.jpg"), STORED])
    report = await LabelsResource(session).import_predictions(
        "P", given, keep_data=True, config=None, by_name=True
    )
    assert [each.media_id for each in report.results] == ["id0", "id1"]


async def test_a_media_is_not_given_to_two_names() -> None:
    """Names with folders go by their last part; a second name for one media is told."""
    given = [
        LabeledImage(media_name=name) for name in ("x/ä.jpg", "X/ä.JPG", "x/a\u0308.jpg", "y/ä.jpg")
    ]
    report = await LabelsResource(FakeSession([*listing("%C3%A4.jpg"), STORED])).import_predictions(
        "P", given, keep_data=True, config=None, by_name=True
    )
    assert [each.outcome for each in report.results] == ["stored", "stored", "stored", "rejected"]
    assert "'x/ä.jpg' has the only media" in report.results[3].reasons[0]


async def test_names_of_an_unknown_project() -> None:
    """No project, no names."""
    session = FakeSession([answer([])])
    with pytest.raises(NotFoundError, match="no project"):
        await LabelsResource(session).import_predictions(
            "P", [], keep_data=True, config=None, by_name=True
        )
