"""`client.predict`: each image of a project is predicted once, whatever happens meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import io
import itertools
import json
import re
import sqlite3
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import pytest
from PIL import Image

from datagym_async import ConfigurationError, RetryPolicy, TransferError
from datagym_async._runs import lock_path
from datagym_async.labels import Annotation, Classification, LabelConfig, LabeledImage, Rectangle
from datagym_async.predict import PredictOutcome, PredictProgress, PredictReport
from datagym_async.predict._run import PredictJournal
from datagym_async.server import SeedMedia
from datagym_async.testing import CommitThenDrop, Drop, Status
from tests.helpers import models
from tests.helpers.photos import jpeg
from tests.helpers.world import World, world

if TYPE_CHECKING:
    from datagym_async.data import Sample

PHOTO = jpeg(2000)
IMAGES = 90


@attrs.frozen
class Bench:
    """A project of small images, whose labels are boxes named car and a note."""

    here: World

    async def predict(self, model: Any = models.boxes, **options: Any) -> PredictReport:
        """Predict the project; bytes do for the models of these tests."""
        client, project = self.here.client, self.here.project_id
        return await client.predict(project, model, **{"decode": "bytes", **options})

    async def held(self) -> dict[str, list[int]]:
        """Return the left edges of the boxes on each image, by name, faults taken away."""
        self.here.plan.clear()
        client, found = self.here.client, {}
        for name, task_id in self.here.project.task_ids.items():
            values = (await client.tasks.get(task_id)).label_iteration.values
            found[name] = [int(each.point.x or 0) for each in values if each.point is not None]
        return found

    @property
    def wanted(self) -> dict[str, list[int]]:
        """Return what is held once each image has its prediction."""
        return {name: [int(name[:2])] for name in self.here.project.task_ids}


@asynccontextmanager
async def bench(images: int = IMAGES) -> AsyncIterator[Bench]:
    media = (SeedMedia(f"{number:02}.jpg", content=PHOTO) for number in range(images))
    retry = RetryPolicy(initial_delay=0.001, settle_after=0.001)
    async with world(*media, retry=retry) as here:
        config = LabelConfig()
        config.add_rectangle("car", "Car")
        config.add_freetext("note", "Note", max_length=20)
        await here.client.label_configs.upload(here.project.label_configuration_id, config)
        yield Bench(here)


def report_of(error: TransferError) -> PredictReport:
    """Return the report that an error brings."""
    assert isinstance(error.report, PredictReport)
    return error.report


@pytest.mark.parametrize("batch_size", [1, 7, 50, 1000])
async def test_each_image_gets_its_own_prediction(batch_size: int) -> None:
    """Whatever the size of batches; the report counts all, and progress ends at all."""
    seen: list[PredictProgress] = []
    async with bench() as there:
        report = await there.predict(batch_size=batch_size, on_progress=seen.append)
        assert report.ok
        assert (report.planned, report.stored, report.problems) == (IMAGES, IMAGES, ())
        assert seen[-1] == PredictProgress(planned=IMAGES, settled=IMAGES, problems=0)
        assert await there.held() == there.wanted
        assert str(report) == "90 images: 90 stored."


async def test_what_a_model_may_answer() -> None:
    """A labelled image, a list, one annotation, or None, which leaves alone what is there."""

    def model(samples: Sequence[Sample]) -> list[object]:
        answers: list[object] = []
        for each in samples:
            found = models.box(each)
            own = LabeledImage(media_id=each.media.id.upper(), annotations=[found])
            note = Classification.freetext("note", each.media.name)
            kinds = (own, [found, note], found, None)
            answers.append(kinds[int(each.media.name[:2]) % 4])
        return answers

    async with bench(8) as there:
        report = await there.predict(model)
        assert report.ok
        assert report.counts == {PredictOutcome.STORED: 6, PredictOutcome.EMPTY: 2}
        held = await there.held()
        assert held == there.wanted | {"03.jpg": [], "07.jpg": []}
        here = there.here
        labels = await here.client.values.read(here.project.task_ids["05.jpg"])
        assert labels.classification("note") == Classification.freetext("note", "05.jpg")


@pytest.mark.parametrize("decode", ["numpy", "pillow"])
async def test_answers_for_images_that_are_shown_upright(decode: str) -> None:
    """A model that sees images rotated by EXIF labels them as people see them: as stored."""
    stored = Image.new("L", (64, 40))
    stored.paste(255, (40, 16, 56, 24))
    media = []
    for orientation in range(1, 9):
        exif, file = Image.Exif(), io.BytesIO()
        exif[0x0112] = orientation
        stored.save(file, "JPEG", exif=exif)
        media.append(SeedMedia(f"{orientation}.jpg", content=file.getvalue()))

    def model(samples: Sequence[Sample]) -> list[list[Annotation]]:
        """Find what is white."""
        found = []
        for each in samples:
            shown = each.data if decode == "pillow" else Image.fromarray(each.data)
            bright = shown.convert("L").point(lambda value: 255 * (value > 127))
            corners = bright.getbbox()
            assert corners is not None
            found.append([Annotation("car", Rectangle.from_corners(*corners))])
        return found

    async with world(*media) as here:
        config = LabelConfig()
        config.add_rectangle("car", "Car")
        await here.client.label_configs.upload(here.project.label_configuration_id, config)
        report = await here.client.predict(
            here.project_id,
            model,
            decode=decode,  # type: ignore[arg-type]
            orientation="apply",
            strict=True,
        )
        assert (report.ok, report.stored) == (True, 8)
        for task_id in here.project.task_ids.values():
            (found,) = (await here.client.values.read(task_id)).annotations
            assert found.shape == Rectangle(40, 16, 16, 8)


async def test_setup_runs_once_and_the_model_gets_what_it_gave() -> None:
    """However many batches there are."""
    loaded: list[str] = []

    def setup() -> str:
        loaded.append("once")
        return "weights"

    def model(samples: Sequence[Sample], given: str) -> list[object]:
        assert given == "weights"
        return [None] * len(samples)

    async with bench(20) as there:
        report = await there.predict(model, setup=setup, batch_size=2)
    assert (report.ok, loaded) == (True, ["once"])


async def test_the_model_sees_context_variables() -> None:
    """Those of the caller, and what `setup` has set, at each batch."""
    asked, loaded = ContextVar("asked", default=0), ContextVar("loaded", default=0)
    seen: list[tuple[int, int]] = []

    def model(samples: Sequence[Sample], _: object) -> list[object]:
        seen.append((asked.get(), loaded.get()))
        return [None] * len(samples)

    asked.set(1)
    async with bench(6) as there:
        report = await there.predict(model, setup=lambda: loaded.set(2), batch_size=2)
    assert report.ok
    assert set(seen) == {(1, 2)}


class UnspeakableError(Exception):
    """An error that cannot tell what it is."""

    def __str__(self) -> str:
        raise ValueError


async def test_an_image_at_which_the_model_fails_is_named_and_the_others_go_on() -> None:
    """It raises, or returns nonsense: the batch is shown again image by image."""

    def model(samples: Sequence[Sample]) -> list[object]:
        names = {each.media.name for each in samples}
        if "03.jpg" in names:
            raise RuntimeError("out of luck")
        if "07.jpg" in names:
            raise SystemExit("no more")
        if "09.jpg" in names:
            raise asyncio.CancelledError  # of a loop of its own
        if "11.jpg" in names:
            raise UnspeakableError
        nonsense: dict[str, Any] = {
            "05.jpg": ["a car"],
            "13.jpg": {},
            "15.jpg": [None, None],
            "17.jpg": [LabeledImage(media_id="another")],
        }
        if names & nonsense.keys():
            return nonsense[names.pop()] if len(samples) == 1 else []
        return list(models.boxes(samples))

    async with bench(40) as there:
        report = await there.predict(model)
        assert not report.ok
        assert report.complete
        assert report.counts == {PredictOutcome.STORED: 32, PredictOutcome.FAILED: 8}
        said = json.loads(json.dumps(report.to_dict()))
        assert (said["stored"], said["failed"], said["ok"], said["complete"]) == (
            32,
            8,
            False,
            True,
        )
        assert {each["name"] for each in said["problems"]} == {
            each.name for each in report.problems
        }
        reasons = {each.name: each.reason for each in report.problems}
        assert reasons["07.jpg"] == "the model raised SystemExit: no more"
        assert reasons["09.jpg"] == "the model raised CancelledError: CancelledError"
        assert reasons["11.jpg"] == "the model raised UnspeakableError: UnspeakableError"
        assert reasons["03.jpg"] == "the model raised RuntimeError: out of luck"
        assert reasons["05.jpg"].startswith("the model raised TypeError: an answer holds str")
        assert "it returned dict; give a list, one answer a sample" in reasons["13.jpg"]
        assert "it returned 2 answers for 1 samples" in reasons["15.jpg"]
        assert "an answer is for media another, not for " in reasons["17.jpg"]
        assert await there.held() == there.wanted | {name: [] for name in reasons}


async def test_images_that_cannot_be_loaded_or_do_not_fit_are_named() -> None:
    """An image that is gone, and a label that the configuration does not know."""

    def model(samples: Sequence[Sample]) -> list[object]:
        return [
            Annotation("boat", Rectangle(1, 1, 2, 2)) if each.media.name == "01.jpg" else found
            for each, (found,) in zip(samples, models.boxes(samples), strict=True)
        ]

    async with bench(6) as there:
        lost = there.here.project.datasets[0].media_ids["04.jpg"]
        there.here.plan.add(Status(404), path=f"/{lost}$")
        report = await there.predict(model, decode="numpy")
        assert {each.name: each.outcome for each in report.problems} == {
            "01.jpg": PredictOutcome.REJECTED,
            "04.jpg": PredictOutcome.FAILED,
        }
        assert "boat" in {each.name: each.reason for each in report.problems}["01.jpg"]
        assert await there.held() == there.wanted | {"01.jpg": [], "04.jpg": []}


@pytest.mark.parametrize(
    ("options", "more", "outcome"),
    [
        ({}, Annotation("boat", Rectangle(1, 1, 2, 2)), PredictOutcome.REJECTED),
        ({"partial": True}, Annotation("boat", Rectangle(1, 1, 2, 2)), PredictOutcome.STORED),
        ({}, Annotation("car", Rectangle(1, 1, 9999, 2)), PredictOutcome.STORED),
        *(
            (
                {"strict": True, "decode": decode},
                Annotation("car", Rectangle(1, 1, 9999, 2)),
                PredictOutcome.STORED if decode == "bytes" else PredictOutcome.REJECTED,
            )
            for decode in ("numpy", "pillow", "bytes")  # of bytes no size is known
        ),
    ],
)
async def test_what_does_not_fit_is_held_back_as_in_an_import(
    options: dict[str, Any], more: Annotation, outcome: PredictOutcome
) -> None:
    """Alone with `partial`, and also what would be stored but is odd with `strict`."""

    def model(samples: Sequence[Sample]) -> list[object]:
        return [[*found, more] for found in models.boxes(samples)]

    async with bench(2) as there:
        report = await there.predict(model, **{"decode": "numpy", **options})
    assert report.counts == {outcome: 2}


async def test_a_model_that_is_unfit_ends_the_run(caplog: pytest.LogCaptureFixture) -> None:
    """It fails at each of the first images, or cannot be loaded: the rest is not asked for."""

    def model(samples: Sequence[Sample]) -> list[object]:
        raise ValueError("no such layer")

    def setup() -> None:
        raise OSError("no weights")

    async with bench() as there:
        with pytest.raises(TransferError, match="no such layer") as unfit:
            await there.predict(model)
        report = report_of(unfit.value)
        assert report.counts[PredictOutcome.FAILED] < IMAGES
        assert not report.complete
        with pytest.raises(TransferError, match="setup raised OSError: no weights"):
            await there.predict(setup=setup)
        assert "import was cancelled" not in caplog.text  # nothing was stored or sent


async def test_a_model_with_one_answer_is_not_unfit() -> None:
    """However many images it fails at behind that."""
    asked = itertools.count()

    def model(samples: Sequence[Sample]) -> list[object]:
        if next(asked):
            raise ValueError("too dark")
        return list(models.boxes(samples))

    async with bench() as there:
        report = await there.predict(model, batch_size=1)
    assert report.counts == {PredictOutcome.STORED: 1, PredictOutcome.FAILED: IMAGES - 1}


async def test_images_that_failed_before_do_not_make_a_model_unfit(tmp_path: Path) -> None:
    """However many the next run begins with, it gets to the images behind them."""

    dark: set[str] = set()
    is_dark = True

    def model(samples: Sequence[Sample]) -> list[list[Annotation | Classification]]:
        names = {each.media.name for each in samples}
        if is_dark:
            dark.update(names)
        if dark & names:
            raise ValueError("too dark")
        return models.boxes(samples)

    journal, images = tmp_path / "predict.journal", 2 * IMAGES
    async with bench(images) as there:
        with pytest.raises(TransferError, match="too dark"):
            await there.predict(model, journal=journal)
        is_dark = False
        report = await there.predict(model, journal=journal)
        assert report.complete
        wanted = {PredictOutcome.STORED: images - len(dark), PredictOutcome.FAILED: len(dark)}
        assert report.counts == wanted
        assert 64 <= len(dark) < images


async def test_only_open_tasks_unless_told() -> None:
    """What people have finished is left alone; states choose."""
    async with bench(6) as there:
        ids = there.here.project.task_ids
        await there.here.client.tasks.complete(ids["02.jpg"])
        await there.here.client.tasks.skip(ids["03.jpg"])
        report = await there.predict(states=["completed"])
        assert (report.planned, report.stored) == (1, 1)
        report = await there.predict()
        assert (report.planned, report.stored) == (4, 4)
        assert await there.held() == there.wanted | {"03.jpg": []}
        assert (await there.predict(states="all")).planned == 6


@pytest.mark.parametrize("keep_data", [False, True])
async def test_stopped_anywhere_the_same_call_does_the_rest(
    tmp_path: Path, keep_data: bool
) -> None:
    """Cancelled again and again: nothing is lost, and what is replaced is not doubled.

    What is appended is not sent twice: where it is not known, the report says so.
    """
    journal, rounds = tmp_path / "predict.journal", 0
    async with bench() as there:
        report = PredictReport()
        for step in itertools.count(1):
            task = asyncio.create_task(
                there.predict(journal=journal, keep_data=keep_data, batch_size=4)
            )
            for _ in range(int(20 * 1.4**step)):
                await asyncio.sleep(0)
            task.cancel()
            try:
                report = await task
            except asyncio.CancelledError:
                rounds += 1
                continue
            break
        unknown = report.counts.get(PredictOutcome.UNKNOWN, 0)
        held = await there.held()
        assert rounds > 2
        assert report.complete
        assert all(len(each) <= 1 for each in held.values())
        assert sum(not each for each in held.values()) <= unknown
        assert keep_data or (held == there.wanted and report.ok)
        again = await there.predict(journal=journal, keep_data=keep_data)
        assert again.skipped + again.counts.get(PredictOutcome.UNKNOWN, 0) == IMAGES


async def test_faults_of_the_service_lose_and_double_nothing() -> None:
    """Answers are lost after they were carried out, requests dropped or refused for a while."""
    async with bench() as there:
        for nth in range(3, 60, 5):
            there.here.plan.add(Status(503), method="GET", nth=nth)
            there.here.plan.add(Drop(), method="GET", nth=nth + 2)
        there.here.plan.add(CommitThenDrop(), method="POST", path="/prediction$", nth=1)
        report = await there.predict()
        assert report.ok
        assert await there.held() == there.wanted


async def test_a_service_that_is_gone_ends_the_run_with_its_report(tmp_path: Path) -> None:
    """The error names the cause; later the same call does what is left."""
    journal = tmp_path / "predict.journal"
    async with bench() as there:
        there.here.plan.add(Status(403), method="POST", path="/prediction$", nth=2)
        with pytest.raises(TransferError) as stopped:
            await there.predict(journal=journal)
        assert report_of(stopped.value).stored == 50
        there.here.plan.clear()
        report = await there.predict(journal=journal)
        assert (report.skipped, report.stored, report.ok) == (50, 40, True)
        assert await there.held() == there.wanted


@pytest.mark.parametrize("after", [0, 1, 4], ids=["begin", "sending", "settled"])
async def test_a_full_disk_under_the_journal_ends_the_run_with_its_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    """The error names the journal and the way out; with room, the same call does what is left."""
    journal = tmp_path / "predict.journal"
    note, noted = PredictJournal.note, 0

    def full(self: PredictJournal, outcomes: Iterable[tuple[str, str]]) -> None:
        nonlocal noted
        noted += 1
        if noted > after:
            with self._database.using() as connection:
                connection.execute("PRAGMA max_page_count = 1")
                connection.execute("CREATE TABLE filler (x)")
        note(self, outcomes)

    async with bench() as there:
        with monkeypatch.context() as patch:
            patch.setattr(PredictJournal, "note", full)
            words = re.escape(
                f"{journal} cannot be written (database or disk is full); free some space"
            )
            with pytest.raises(TransferError, match=words) as stopped:
                await there.predict(journal=journal)
        assert not report_of(stopped.value).complete
        report = await there.predict(journal=journal)
        assert report.ok
        assert report.skipped + report.stored == IMAGES
        assert await there.held() == there.wanted


async def test_an_error_of_the_caller_comes_out_as_it_was_raised() -> None:
    """With its own cause, and a group of errors whole."""
    slip, group = KeyError("slip"), ExceptionGroup("mine", [LookupError("one"), LookupError("two")])
    slip.__cause__ = LookupError("why")
    async with bench(2) as there:
        for error in (slip, group):

            def tell(_: PredictProgress, error: Exception = error) -> None:
                raise error

            with pytest.raises(type(error)) as caught:
                await there.predict(on_progress=tell)
            assert caught.value is error
    assert str(slip.__cause__) == "why"


async def test_without_processes_the_environment_names_no_service(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A wrong address there was an error although nothing needed it."""
    monkeypatch.setenv("DATAGYM_BASE_URL", "no address")
    async with bench(2) as there:
        assert (await there.predict()).ok
        with pytest.raises(ConfigurationError, match="DATAGYM_BASE_URL"):
            await there.predict(processes=1)


async def test_a_journal_that_is_deleted_begins_anew(tmp_path: Path) -> None:
    """Whatever lies beside it still."""
    journal = tmp_path / "predict.journal"
    async with bench(4) as there:
        await there.predict(journal=journal)
        journal.unlink()
        assert (await there.predict(journal=journal)).stored == 4


@pytest.mark.parametrize("option", [{"shard": (0, 2)}, {"even": "drop"}, {"drop_last": True}])
async def test_no_option_of_a_loader_leaves_images_out(option: dict[str, Any]) -> None:
    """A loader has them for training; here the report would call a part of the images complete."""
    async with bench(3) as there:
        with pytest.raises(ConfigurationError, match=f"{next(iter(option))} drops images"):
            await there.predict(**option)
        assert await there.held() == {name: [] for name in there.wanted}


async def test_a_journal_is_of_one_job(tmp_path: Path) -> None:
    """Another project, a damaged file, or one in use is refused with a way out."""
    journal = tmp_path / "predict.journal"
    async with bench(3) as there:
        await there.predict(journal=journal)
        capitals = there.here.project_id.upper()  # the service ignores the case of ids
        again = await there.here.client.predict(
            capitals, models.boxes, decode="bytes", journal=journal
        )
        assert (again.skipped, again.stored) == (3, 0)
        with pytest.raises(ConfigurationError, match="to another prediction"):
            await there.predict(journal=journal, keep_data=True)
        text = tmp_path / "notes.txt"
        text.write_text("buy milk, and much more of it than fits on this one line of text")
        with pytest.raises(ConfigurationError, match="not the journal of a prediction"):
            await there.predict(journal=text)
        with pytest.raises(ConfigurationError, match="is a folder, and not a file; give another"):
            await there.predict(journal=tmp_path)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"batch_size": 0}, "batch_size is 0"),
        ({"model": "yolo"}, "model is 'yolo'"),
        ({"setup": 3}, "setup is 3"),
        ({"decode": "jpeg"}, "decode is 'jpeg'"),
        ({"processes": 2}, "DATAGYM_TOKEN do not name this service"),
        ({"processes": 2, "client": models.patient_client, "model": lambda _: []}, "be pickled"),
    ],
)
async def test_what_cannot_be_used_is_refused(options: dict[str, Any], words: str) -> None:
    """At the door, by name."""
    async with bench(2) as there:
        with pytest.raises(ConfigurationError, match=words):
            await there.predict(**options)


async def test_a_killed_journal_with_an_unknown_outcome_is_damaged(tmp_path: Path) -> None:
    """It would count as an image that was never predicted, and be added once more."""
    journal = tmp_path / "predict.journal"
    async with bench(2) as there:
        await there.predict(journal=journal, keep_data=True)
        for statement, words in (
            ("UPDATE media SET outcome = 'storeQ'", "is damaged"),
            ("PRAGMA user_version = 99", "it has another version"),
        ):
            with contextlib.closing(sqlite3.connect(journal)) as database, database:
                database.execute(statement)
            lock_path(journal).write_bytes(b"")
            with pytest.raises(ConfigurationError, match=words):
                await there.predict(journal=journal, keep_data=True)


@pytest.mark.parametrize("before", ["sending", "unknown"])
@pytest.mark.parametrize("keep_data", [True, False])
async def test_what_a_killed_run_may_have_stored(
    tmp_path: Path, before: str, keep_data: bool
) -> None:
    """It is sent again only where that replaces it; else it is told, and nothing is added."""
    journal = tmp_path / "predict.journal"
    async with bench(2) as there:
        await there.predict(journal=journal, keep_data=keep_data)
        with contextlib.closing(sqlite3.connect(journal)) as database, database:
            database.execute("UPDATE media SET outcome = ?", (before,))
        lock_path(journal).write_bytes(b"")
        report = await there.predict(journal=journal, keep_data=keep_data)
        outcome = PredictOutcome.UNKNOWN if keep_data else PredictOutcome.STORED
        assert report.counts == {outcome: 2}
        assert await there.held() == there.wanted
