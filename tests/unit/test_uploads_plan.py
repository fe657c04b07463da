"""The plan: a lasting order, one owner a name, and the reason for everybody else."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, nullcontext
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from datagym_async.exceptions import ClientClosedError, ConfigurationError
from datagym_async.models import Dataset, DatasetMedia, MediaSourceType
from datagym_async.uploads import Double, Outcome, UploadItem, UploadResult
from datagym_async.uploads.plan import Claim, Job, Plan, Verdict, journal, judge, show_job
from datagym_async.uploads.sources import Candidate, Rules
from tests.helpers.fake_service import DATASET_ID, list_held, open_plan

if TYPE_CHECKING:
    from datagym_async.uploads.plan import Planned


@pytest.fixture
def plan() -> Iterator[Plan]:
    with open_plan() as plan:
        yield plan


def planned(plan: Plan, *items: UploadItem, part: int = 0) -> list[Planned]:
    """Return what becomes of some items that arrive together."""
    plan.add((part, Candidate(item)) for item in items)
    plan.settle()
    return plan.take(1000)


def outcomes(found: list[Planned]) -> list[str]:
    """Return the verdicts in short, with `send` where there is none."""
    return [each.verdict.outcome.value if each.verdict else "send" for each in found]


def test_the_first_of_a_clash_is_sent_and_the_later_ones_name_both(plan: Plan) -> None:
    """Case does not make a name another one; a trailing blank does, since it travels encoded."""
    items = [UploadItem(None, path) for path in ("x/Cat.jpg", "y/cat.JPG", "z/cat.jpg ", "dog.jpg")]

    found = planned(plan, *items)

    assert outcomes(found) == ["send", "rejected", "send", "send"]
    assert found[1].verdict == Verdict(
        Outcome.REJECTED,
        "y/cat.JPG clashes with x/Cat.jpg: both would be named 'cat.JPG', which the service takes "
        "for 'Cat.jpg', and only the first is sent. Upload with name=\"relative\", or name one of "
        "them yourself with UploadItem(name, path).",
        is_clash=True,
    )


def test_what_is_named_twice_is_one_item(plan: Plan) -> None:
    """The same path or address again is no clash, and in no count but one."""
    url = "http://h/a.png"
    items = [UploadItem(None, each) for each in ("a.jpg", url, "a.jpg", "a.jpg", url)]
    added = [plan.add([(0, Candidate(item, 10))]) for item in items]
    settled = plan.settle()

    assert outcomes(plan.take(10)) == ["send", "send"]
    assert sum(each.count for each in (*added, settled)) == 2
    assert sum(each.bytes for each in (*added, settled)) == 20
    assert settled.repeated == 3


def test_what_is_named_twice_and_has_no_known_size_takes_none_away(plan: Plan) -> None:
    """The bytes that are counted are those of sizes that are known."""
    added = plan.add([(0, Candidate(UploadItem(None, "a.jpg"))) for _ in range(2)])
    settled = plan.settle()

    assert (added.count + settled.count, added.bytes, settled.bytes) == (1, 0, 0)


@pytest.mark.parametrize(
    ("outcome", "size", "mtime", "then"),
    [
        (Outcome.UPLOADED, 10, 1, "nothing"),
        (Outcome.UPLOADED, 10, None, "nothing"),
        (Outcome.UPLOADED, 10, 2, "told"),
        (Outcome.UPLOADED, 11, 1, "told"),
        (Outcome.SKIPPED, 10, 2, "nothing"),
        (Outcome.REJECTED, 10, 1, "nothing"),
        (Outcome.REJECTED, 10, 2, "send"),
        (Outcome.FAILED, 11, 1, "send"),
    ],
)
def test_what_is_named_again_counts_by_its_change(
    plan: Plan, outcome: Outcome, size: int, mtime: int | None, then: str
) -> None:
    """A changed file is told of where it was sent, and tried again where it was refused."""
    item = UploadItem(None, "a.jpg")
    plan.add([(0, Candidate(item, 10, mtime=1))])
    plan.settle()
    (first,) = plan.take(10)
    plan.outcomes.note(first.seq, UploadResult(item=item, outcome=outcome, dataset_id="d"))
    plan.outcomes.flush()

    plan.add([(0, Candidate(item, size, mtime=mtime))])
    settled = plan.settle()

    found = plan.take(10)
    assert outcomes(found) == {"nothing": [], "told": ["skipped"], "send": ["send"]}[then]
    if then == "send":
        assert [(each.seq, each.size, each.mtime) for each in found] == [(first.seq, size, mtime)]
    assert (settled.count, settled.repeated) == (-1 if then == "nothing" else 0, then == "nothing")


def test_an_outcome_is_written_once(plan: Plan) -> None:
    """What is planned again is not taken for rejected once more."""
    item, then = UploadItem(None, "a.jpg"), []
    for mtime in (1, 2, 3):
        plan.add([(0, Candidate(item, 10, mtime=mtime))])
        plan.settle()
        found = plan.take(10)
        then.append(outcomes(found))
        if mtime == 1:
            result = UploadResult(item=item, outcome=Outcome.REJECTED, dataset_id="d")
            plan.outcomes.note(found[0].seq, result)
            plan.outcomes.flush()

    assert then == [["send"], ["send"], []]


@pytest.mark.parametrize(("status", "attempts"), [(503, 2), (None, 1)])
def test_a_lost_answer_comes_back_as_it_was(plan: Plan, status: int | None, attempts: int) -> None:
    """Once, and as uploaded if the target lists it."""
    arrived: dict[str, Any] = {"outcome": Outcome.UPLOADED, "reason": "", "status": None, "key": ""}
    items = [UploadItem(None, each) for each in ("a.jpg", "b.jpg")]
    list_held(plan, [])
    found = planned(plan, *items)
    lost = [
        UploadResult(
            item=item,
            outcome=Outcome.FAILED,
            dataset_id="d",
            seconds=1.234,
            attempts=attempts,
            reason="No answer came.",
            status=status,
            key="ex_lost",
        )
        for item in items
    ]
    for each, result in zip(found, lost, strict=True):
        plan.outcomes.note(each.seq, result, lost=True)
    plan.outcomes.flush()
    list_held(plan, ["B.jpg"])

    assert plan.outcomes.lost_count() == 2
    here = attrs.evolve(lost[1], dataset_id=DATASET_ID, media_id="", **arrived)
    for is_listed, left in ((True, (found[1].seq, here)), (False, (found[0].seq, lost[0]))):
        assert plan.outcomes.settle_lost(9, listed=is_listed) == [left]
        plan.outcomes.note(*left)
    assert plan.outcomes.settle_lost(9, listed=False) == []
    assert plan.outcomes.lost_count() == 0


def test_attempts_that_were_noted_one_after_the_other_are_added(plan: Plan) -> None:
    """Also where both are written at once; the rest is what the last one says."""
    item = UploadItem(None, "a.jpg")
    (first,) = planned(plan, item)
    once = UploadResult(
        item=item, outcome=Outcome.FAILED, dataset_id="d", attempts=1, reason="No answer came."
    )
    plan.outcomes.note(first.seq, once, lost=True)
    plan.outcomes.note(first.seq, attrs.evolve(once, attempts=2, reason="Again."), lost=True)
    plan.outcomes.flush()

    (left,) = plan.outcomes.settle_lost(9, listed=False)
    assert left[1] == attrs.evolve(once, attempts=3, reason="Again.")


def test_what_was_cut_off_comes_back_with_one_attempt(tmp_path: Path) -> None:
    """The run before has noted nothing of it."""
    item = UploadItem(None, "a.jpg")
    path, job = tmp_path / "a.journal", Job("https://a.example", "d", "p", "x")
    plan = Plan()
    plan.open(journal(path, job, fresh=False))
    (first,) = planned(plan, item)
    plan.close(doubtful=[first.seq])
    plan.open(journal(path, job, fresh=False))
    plan.resume()

    (left,) = plan.outcomes.settle_lost(9, listed=False, earlier=True)
    plan.close()

    assert left[1] == UploadResult(item=item, outcome=Outcome.FAILED, dataset_id="", attempts=1)


@contextmanager
def resumed(path: Path) -> Iterator[Plan]:
    """Give the plan of one more run of a job."""
    plan = Plan()
    plan.open(journal(path, Job("https://a.example", "d", "p", "x"), fresh=False))
    with closing(plan):
        yield plan


def test_a_journal_has_the_name_that_its_dataset_has_now(tmp_path: Path) -> None:
    """It may be renamed between two runs; what was there before the first one stays known."""
    path = tmp_path / "a.journal"
    items = [UploadItem(None, name) for name in ("a.jpg", "b.jpg")]
    with resumed(path) as plan:
        list_held(plan, ["a.jpg"])
        planned(plan, items[0])
    with resumed(path) as plan:
        list_held(plan, ["a.jpg", "b.jpg"], "Photos 2026")
        found = planned(plan, *items)

    assert show_job(path).dataset_name == "Photos 2026"
    assert [each.is_held for each in found] == [True, False]


@pytest.mark.parametrize("judged", [None, Outcome.REJECTED, Outcome.SKIPPED])
def test_what_has_no_name_is_judged_again_and_kept_once(
    tmp_path: Path, judged: Outcome | None
) -> None:
    """The first of a clash may be another one this time; no run adds to what the journal has."""
    path = tmp_path / "a.journal"
    for _ in range(2):
        with resumed(path) as plan:
            count = plan.resume().count
            items = [UploadItem(None, name) for name in ("x/a.jpg", "y/a.jpg")]
            count += plan.add((0, Candidate(item)) for item in items).count
            count += plan.settle().count
            for each in plan.take(9) if judged else ():
                outcome = judged if each.verdict and judged else Outcome.FAILED
                result = UploadResult(item=each.item, outcome=outcome, dataset_id="d")
                plan.outcomes.note(each.seq, result)

        assert (count, sum(show_job(path).counts.values())) == (2, 2)


@pytest.mark.parametrize("is_sent", [False, True])
def test_what_is_left_comes_in_the_order_of_the_run(tmp_path: Path, *, is_sent: bool) -> None:
    """Whether it was begun or not."""
    path = tmp_path / "a.journal"
    with resumed(path) as plan:
        plan.add((part, Candidate(UploadItem(None, f"{part}.jpg"), 100)) for part in (2, 0, 1))
        plan.settle()
        sent = plan.take(9) if is_sent else []
        plan.close(doubtful=[each.seq for each in sent])
    with resumed(path) as plan:
        added = plan.resume()
        plan.outcomes.send_again()
        left = plan.take(9)

    assert [each.item.name for each in left] == ["0.jpg", "1.jpg", "2.jpg"]
    assert [each.doubt for each in left] == [is_sent] * 3
    assert (added.count, added.bytes, added.unsettled) == (3, 300, len(sent))


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("old/a.jpg", ["x/a.jpg", "y/a.jpg", "z/a.jpg"], "clashes with x/a.jpg"),
        ("http://h/a.jpg", ["http://h/A.jpg", "http://H/a.jpg"], "is http://h/A.jpg to the"),
    ],
)
def test_the_first_gets_the_name_of_what_the_sources_no_longer_have(
    tmp_path: Path, old: str, new: list[str], reason: str
) -> None:
    """Or its address; others that want it clash with that one."""
    path = tmp_path / "a.journal"
    with resumed(path) as plan:
        (first,) = planned(plan, UploadItem(None, old))
        done = UploadResult(item=first.item, outcome=Outcome.UPLOADED, dataset_id="d", media_id="m")
        plan.outcomes.note(first.seq, done)
    with resumed(path) as plan:
        plan.resume()
        found = planned(plan, *(UploadItem(None, each) for each in new))

    assert outcomes(found) == ["send"] + ["rejected"] * (len(new) - 1)
    assert all(each.verdict and reason in each.verdict.reason for each in found[1:])


@pytest.mark.parametrize(("mine", "kept"), [("m2", "m2"), ("gone", "m1")])
def test_of_copies_the_own_one_is_kept_or_the_oldest(plan: Plan, mine: str, kept: str) -> None:
    """Whatever the order in which they are listed; links, and what was there before, are none."""
    list_held(plan, ["held.jpg"])
    for each in planned(plan, *(UploadItem(None, f"{name}.jpg") for name in ("a", "b", "held"))):
        done = UploadResult(
            item=each.item, outcome=Outcome.UPLOADED, dataset_id=DATASET_ID, media_id=mine
        )
        plan.outcomes.note(each.seq, done)
    plan.outcomes.flush()
    local, link = MediaSourceType.LOCAL, MediaSourceType.SHAREABLE_LINK
    media = [DatasetMedia(f"m{at}", at, local, "a.jpg") for at in (3, 1, 2)]
    media += [DatasetMedia(f"l{name}", 0, link, f"{name}.jpg") for name in ("a", "b")]
    media += [DatasetMedia(f"o{at}", at, local, name) for at, name in enumerate(("b.jpg", "c.jpg"))]
    media += [DatasetMedia(f"h{at}", at, local, "held.jpg") for at in range(2)]
    plan.listed.begin()
    plan.listed.add(Dataset(DATASET_ID, "Photos", 0, media=tuple(media)))
    plan.listed.end("Photos")

    extras = tuple(each for each in ("m1", "m2", "m3") if each != kept)
    assert plan.outcomes.doubles() == [Double(name="a.jpg", kept=kept, extras=extras)]


def test_only_images_are_found_by_their_names(plan: Plan) -> None:
    """What the dataset lists under the name of a link is not that link."""
    list_held(plan, [])
    for each in planned(plan, UploadItem(None, "a.jpg"), UploadItem(None, "http://h/b.jpg")):
        lost = UploadResult(item=each.item, outcome=Outcome.FAILED, dataset_id="d")
        plan.outcomes.note(each.seq, lost, lost=True)
    plan.outcomes.flush()
    list_held(plan, ["A.jpg", "b.jpg"])

    found = plan.outcomes.settle_lost(9, listed=True)
    for left in found:
        plan.outcomes.note(*left)
    others = plan.outcomes.settle_lost(9, listed=False)

    assert [result.item.name for _, result in found] == ["a.jpg"]
    assert [result.item.name for _, result in others] == ["b.jpg"]


def test_a_skipped_one_is_told_by_the_oldest_image_of_its_name(plan: Plan) -> None:
    """Not by a link, or by an image of another name."""
    media = [
        DatasetMedia("other", 0, MediaSourceType.LOCAL, "b.jpg"),
        DatasetMedia("link", 1, MediaSourceType.SHAREABLE_LINK, "a.jpg"),
        DatasetMedia("late", 3, MediaSourceType.LOCAL, "A.jpg"),
        DatasetMedia("early", 2, MediaSourceType.LOCAL, "a.JPG"),
    ]
    plan.listed.begin()
    plan.listed.add(Dataset(DATASET_ID, "Photos", 0, media=tuple(media)))
    plan.listed.end("Photos")

    (found,) = planned(plan, UploadItem(None, "a.jpg"))

    assert (outcomes([found]), found.there) == (["skipped"], (DATASET_ID, "early"))


@pytest.mark.parametrize(
    ("now", "ours", "wait"),
    [
        pytest.param(1_010.0, 10.0, 20.0, id="theirs"),
        pytest.param(1_010.0, 60.0, 50.0, id="ours"),
        pytest.param(1_031.0, 10.0, 0.0, id="over"),
        pytest.param(500.0, 10.0, 30.0, id="the clock was set back"),
    ],
)
def test_the_uploads_of_the_last_run_are_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, now: float, ours: float, wait: float
) -> None:
    """From its last heartbeat on, for as long as it or this run thinks that the service takes."""
    clock = SimpleNamespace(time=lambda: 1_000.0)
    monkeypatch.setattr("datagym_async.uploads.plan._rows.time", clock)
    waits = []
    for at, theirs in ((1_000.0, 30.0), (now, 0.0)):
        clock.time = lambda at=at: at
        plan = Plan()
        plan.open(
            journal(tmp_path / "a.journal", Job("https://a.example", "d", "p", "x"), fresh=False)
        )
        waits.append(plan.outcomes.seconds_to_settle(ours))
        planned(plan, UploadItem(None, "a.jpg"))  # a journal of nothing is not kept
        plan.outcomes.settle_after = theirs
        plan.outcomes.flush()
        waits.append(plan.outcomes.seconds_to_settle(ours))
        plan.close()

    assert waits == [0.0, 0.0, wait, wait], "a heartbeat of ours is not one of theirs"


@pytest.mark.parametrize("is_file", [False, True])
def test_the_copy_of_another_names_it(tmp_path: Path, *, is_file: bool) -> None:
    """By its source, or by its name if it was in memory."""
    path = tmp_path / "a.jpg"
    path.write_bytes(b"same")
    first = UploadItem(None, path) if is_file else UploadItem("a.jpg", b"same")
    plan = Plan(dedupe="skip")
    plan.open()
    with closing(plan):
        found = planned(plan, first, UploadItem("b.jpg", b"same"))

    assert found[1].verdict == Verdict(
        Outcome.SKIPPED,
        f"It is equal to {path if is_file else 'a.jpg'}, byte for byte, so it was skipped "
        '(dedupe="skip").',
    )
    assert plan.duplicates == 1


def test_an_address_in_other_case_is_said_to_be_one(plan: Plan) -> None:
    """They may be two files elsewhere, but the service stores one of them."""
    found = planned(plan, UploadItem(None, "http://h/a.jpg"), UploadItem(None, "http://h/A.jpg"))

    assert outcomes(found) == ["send", "rejected"]
    assert found[1].verdict
    assert found[1].verdict.reason == (
        "http://h/A.jpg is http://h/a.jpg to the service, which ignores case."
    )
    assert not found[1].verdict.is_clash


def test_what_the_dataset_holds_is_skipped(plan: Plan) -> None:
    """Names are compared as the service stores and folds them."""
    list_held(plan, ["OLD.jpg", "%C3%A4.jpg", "http-name.png"])

    found = planned(
        plan,
        UploadItem(None, "old.JPG"),
        UploadItem(None, "ä.jpg"),
        UploadItem(None, "new.jpg"),
        UploadItem(None, "http://h/http-name.png"),
    )

    assert outcomes(found) == ["skipped", "skipped", "send", "send"]


def test_a_clash_stays_one_when_the_dataset_holds_the_name(plan: Plan) -> None:
    """A second run does not take the later file of a clash for the one that is stored."""
    list_held(plan, ["a.jpg"])

    found = planned(plan, UploadItem(None, "x/a.jpg"), UploadItem(None, "y/A.jpg"))

    assert outcomes(found) == ["skipped", "rejected"]


def test_links_share_names_but_no_address(plan: Plan) -> None:
    """The service keeps links of one name, and takes an address once, without case."""
    found = planned(
        plan,
        UploadItem(None, "http://one/a.jpg"),
        UploadItem(None, "http://two/a.jpg"),
        UploadItem(None, "HTTP://ONE/A.jpg"),
    )

    assert outcomes(found) == ["send", "send", "rejected"]


@pytest.mark.parametrize("first", ["file", "link"])
def test_a_file_and_a_link_of_one_name_clash(plan: Plan, first: str) -> None:
    """The service would refuse the file, and which came first is a matter of luck there."""
    file, link = UploadItem(None, "p/a.jpg"), UploadItem(None, "http://h/A.jpg")

    found = planned(plan, *((file, link) if first == "file" else (link, file)))

    assert outcomes(found) == ["send", "rejected"]


@pytest.mark.parametrize(
    ("contents", "refused"),
    [
        (("p/a.jpg", "http://h/a.jpg"), True),
        ((BytesIO(b"not looked at"), BytesIO(b"before its turn")), True),
        ((b"\xff\xd8\xff\xe0" + b"x" * 60, b"\x89PNG\r\n\x1a\n" + b"x" * 60), True),
        ((b"text", b"more text"), False),
        (("s3://b/1/a.jpg", "s3://b/2/A.JPG"), True),
        (("s3://b/1/a.jpeg", "s3://b/2/a.jpeg"), True),
        (("s3://b/1/a.png", "s3://b/2/a.png"), True),
        (("s3://b/1/a.txt", "s3://b/2/a.txt"), False),
        (("gone/1/a.jpg", "gone/2/a.jpg"), False),
    ],
)
def test_a_clash_is_an_error_where_it_may_be_one_of_images(
    plan: Plan, contents: tuple[Any, Any], *, refused: bool
) -> None:
    """Objects are judged by their names, links and open files are taken for images."""
    name = None if isinstance(contents[0], str) else "a.jpg"
    plan.add((0, Candidate(UploadItem(name, each))) for each in contents)
    plan.settle()

    with pytest.raises(ConfigurationError) if refused else nullcontext():
        plan.refuse_clashes(Rules().screening)


def test_items_come_in_the_order_of_their_parts_and_places(plan: Plan) -> None:
    """However the disk lists a folder, the plan's order is that of the paths."""
    entries = [(1, "b"), (0, "z"), (1, "a/c"), (2, ""), (0, "y")]
    plan.add(
        (part, Candidate(UploadItem(f"{part}{place}", "p"), place=place)) for part, place in entries
    )
    plan.settle()

    assert [each.item.name for each in plan.take(9)] == ["0y", "0z", "1a/c", "1b", "2"]


def test_later_arrivals_meet_earlier_ones(plan: Plan) -> None:
    """A stream's portions claim names against all that came before, and are taken once."""
    first = planned(plan, UploadItem(None, "a.jpg"))
    second = planned(plan, UploadItem("A.JPG", b"data"), UploadItem("b.jpg", b"data"))

    assert outcomes(first) == ["send"]
    assert outcomes(second) == ["rejected", "send"]
    assert second[1].item.data == b"data"
    assert plan.take(9) == []


def test_refused_candidates_claim_nothing(plan: Plan) -> None:
    """A file that cannot be sent does not stand in the way of one that can."""
    plan.add(
        [(0, Candidate(UploadItem("a.jpg", "gone/a.jpg"), refusal="gone/a.jpg does not exist."))]
    )

    found = planned(plan, UploadItem("a.jpg", "x/a.jpg"), UploadItem("a\n.jpg", "y"))

    assert outcomes(found) == ["rejected", "send", "rejected"]
    assert found[0].verdict == Verdict(Outcome.REJECTED, "gone/a.jpg does not exist.")


def test_odd_text_comes_back_as_it_went_in(plan: Plan) -> None:
    """Paths hold bytes that are no text, and JSON may hold lone surrogates."""
    items = [UploadItem("caf\udce9.jpg", "d/caf\udce9.jpg"), UploadItem("\ud800", "d/\ud800")]

    found = planned(plan, *items)

    assert [each.item for each in found] == items
    assert outcomes(found) == ["send", "rejected"]


def test_empty_bytes_come_back_empty(plan: Plan) -> None:
    """Items without bytes (bad lines) cost no memory, and are rebuilt."""
    assert planned(plan, UploadItem("x", b"", origin="l.csv, line 2"))[0].item == UploadItem(
        "x", b"", origin="l.csv, line 2"
    )


def test_a_closed_plan_says_so(plan: Plan) -> None:
    """Closing twice is fine; using it afterwards is not."""
    plan.close()
    plan.close()

    with pytest.raises(ClientClosedError):
        plan.settle()


def no_holder(seq: int) -> UploadItem:
    """Fail where nobody should be looked up."""
    raise AssertionError(seq)


@pytest.mark.parametrize(
    ("claim", "expected"),
    [
        pytest.param(Claim(3, name_holder=3), None, id="its-own"),
        pytest.param(Claim(3, "Broken.", name_holder=3), Outcome.REJECTED, id="refused"),
        pytest.param(Claim(3, name_holder=3, is_held=True), Outcome.SKIPPED, id="held"),
        pytest.param(Claim(3, is_link=True, name_holder=3, link_holder=3), None, id="link"),
        pytest.param(
            Claim(3, is_link=True, name_holder=3, link_holder=3, is_held=True), None, id="held-link"
        ),
        pytest.param(
            Claim(3, is_link=True, name_holder=1, name_holder_is_link=True, link_holder=3),
            None,
            id="links-share-a-name",
        ),
    ],
)
def test_verdicts_that_need_no_look_at_another_item(claim: Claim, expected: Outcome | None) -> None:
    """Only a clash asks who the other one is."""
    verdict = judge(UploadItem("a", "a"), claim, no_holder)

    assert (verdict.outcome if verdict else None) == expected


def test_lost_answers_arrive_while_others_are_written(plan: Plan) -> None:
    """A thread writes what the loop adds to; many at once, as in an outage, ended the upload."""
    found = planned(plan, *(UploadItem(f"{number}.jpg", b"x") for number in range(900)))
    gone = UploadResult(item=found[0].item, outcome=Outcome.FAILED, dataset_id="d")
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(1) as thread:
            for _ in range(10):
                writing = thread.submit(plan.outcomes.flush)
                for each in found * 10:
                    plan.outcomes.note(each.seq, gone, lost=True)
                    if writing.done():
                        break
                writing.result()
    finally:
        sys.setswitchinterval(interval)
    plan.outcomes.flush()

    assert plan.outcomes.lost_count() == 900
