"""`tasks` and `bitmaps`: what they list, change and fetch, for people and as JSON."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from datagym_async import DataGymClient
from datagym_async.labels import Annotation, Segmentation
from datagym_async.server import SeedDataset, SeedMedia, SeedProject
from datagym_async.testing import Hang, RefuseToken, Status
from tests.helpers.photos import jpeg
from tests.helpers.sentinel import TOKEN
from tests.helpers.terminal import Terminal, clean_environment

if TYPE_CHECKING:
    from datagym_async.server import SeededProject
    from datagym_async.testing import FaultPlan
    from tests.cli.conftest import Cli
    from tests.helpers.server_thread import ServerThread

SEG = {"entryKey": "seg", "entryValue": "Seg", "type": "IMAGE_SEGMENTATION"}
SEGMENT = Annotation("seg", Segmentation([[(1, 1), (9, 1), (9, 9)]]))


@pytest.fixture
def project(service: ServerThread) -> SeededProject:
    """A project with two waiting tasks and one in the backlog; one has a segment."""
    content = jpeg(2000)
    media = [SeedMedia(f"{name}.jpg", content, state="WAITING") for name in "ab"]
    datasets = [SeedDataset("Streets", [*media, SeedMedia("c.jpg", content)])]

    async def prepare() -> SeededProject:
        (made,) = await service.server.seed(SeedProject("Street scenes", datasets))
        async with DataGymClient(TOKEN, service.base_url) as client:
            await client.label_configs.upload(made.label_configuration_id, [SEG])
            await client.values.write(made.task_ids["a.jpg"], [SEGMENT])
        return made

    return service.call(prepare())


def test_tasks_are_listed(at_service: Cli, project: SeededProject) -> None:
    """All states unless told; the table and --json name the same tasks."""
    table = at_service("tasks", "list", "street scenes")
    assert table.status == 0
    assert [line.split()[1:3] for line in table.out.splitlines()[1:]] == [
        ["backlog", "c.jpg"],
        ["waiting", "a.jpg"],
        ["waiting", "b.jpg"],
    ]
    some = at_service("tasks", "list", project.id, "--state", "waiting", "--limit", "1", "--json")
    assert [each["id"] for each in some.documents] == [project.task_ids["a.jpg"]]
    none = at_service("tasks", "list", project.id, "--search", "nobody")
    assert (none.status, none.err) == (0, "No tasks match.\n")
    wrong = at_service("tasks", "list", project.id, "--state", "done")
    assert (wrong.status, "waiting_changed" in wrong.err) == (2, True)


@pytest.mark.parametrize(("verb", "done"), [("complete", "completed"), ("skip", "skipped")])
def test_tasks_of_states_are_moved(
    at_service: Cli, project: SeededProject, verb: str, done: str
) -> None:
    """All tasks of the states named, after a yes; again there are none."""
    asked = ("street scenes", "--state", "waiting")
    refused = at_service("tasks", verb, *asked)
    assert (refused.status, "--yes" in refused.err) == (2, True)
    ran = at_service("tasks", verb, *asked, "--yes")
    assert (ran.status, ran.out) == (0, f"2 tasks: 2 {done}.\n")
    again = at_service("tasks", verb, *asked, "--yes", "--json")
    assert (again.status, again.document) == (0, {done: 0, "problems": []})
    listed = at_service("tasks", "list", project.id, "--state", done, "--json")
    assert len(listed.documents) == 2


def test_named_tasks_are_moved_without_a_question(at_service: Cli, project: SeededProject) -> None:
    """What fails is said with its reason, and the status is 1."""
    ran = at_service("tasks", "skip", project.task_ids["c.jpg"], "nope", "--json")
    assert (ran.status, ran.document["skipped"]) == (1, 1)
    (problem,) = (item for item in [ran.document["problems"]] if isinstance(item, list))
    assert [(each["task_id"], each["verdict"]) for each in problem] == [("nope", "failed")]
    said = at_service("tasks", "complete", project.task_ids["c.jpg"], "nope")
    assert (said.status, said.out) == (1, "2 tasks: 1 completed, 1 failed.\n")
    assert said.err.startswith("failed: nope: ")


def test_a_project_is_taken_for_no_task(at_service: Cli, project: SeededProject) -> None:
    """A name without a state is wrong usage, said with the way out; no task is changed."""
    before = at_service("tasks", "list", project.id, "--json").documents
    for verb in ("complete", "skip"):
        ran = at_service("tasks", verb, "Street scenes")
        assert (ran.status, ran.out) == (2, "")
        assert "'Street scenes' is not the id of a task" in ran.err
        assert "--state" in ran.err
    assert at_service("tasks", "list", project.id, "--json").documents == before


def test_a_refused_token_is_no_matter_of_tasks(
    at_service: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It stops the command, and is not told of each task."""
    monkeypatch.setenv("DATAGYM_TOKEN", "wrong-4711-wrong")
    ran = at_service("tasks", "skip", "one", "two")
    assert (ran.status, ran.out, ran.err.count("\n")) == (2, "", 1)
    assert "--token-file" in ran.err


def test_a_token_that_is_revoked_in_mid_run_ends_it(
    at_service: Cli, project: SeededProject, faults: FaultPlan
) -> None:
    """It is no matter of tasks either: one sentence, what was done, and the status of a job."""
    faults.add(RefuseToken(), path="/skipTask$")
    faults.add(RefuseToken(), method="HEAD", when=lambda _: faults.count("PUT", "/skipTask$") > 0)
    ran = at_service("tasks", "skip", *project.task_ids.values(), "--json")
    assert (ran.status, ran.document) == (1, {"skipped": 0, "problems": []})
    assert "refused the token" in ran.err
    assert ran.err.count("Error: ") == 1


def test_of_many_problems_the_first_are_told(at_service: Cli, project: SeededProject) -> None:
    """A screen of them is enough; --json names all."""
    del project
    unknown = [f"unknown-{number}" for number in range(25)]
    told = at_service("tasks", "skip", *unknown)
    assert told.status == 1
    assert told.err.count("failed: unknown-") == 5
    assert "(further ones of a kind are counted; --json names them all)\n" in told.err
    assert "and 20 more failed: " in told.err.splitlines()[-1]
    problems = at_service("tasks", "skip", *unknown, "--json").document["problems"]
    assert isinstance(problems, list)
    assert len(problems) == 25


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="needs a pty and POSIX signals")
def test_an_interruption_says_what_is_done(
    at_service: Cli, project: SeededProject, service: ServerThread, faults: FaultPlan
) -> None:
    """How far it is is seen while it runs; the same command goes on with the rest."""
    faults.add(Hang(), path=r"/skip", nth=2)
    words = ("tasks", "skip", "-p", project.id, "--state", "waiting", "--state", "backlog", "--yes")
    environment = clean_environment() | {
        "DATAGYM_BASE_URL": service.base_url,
        "DATAGYM_TOKEN": TOKEN,
    }
    with Terminal(*words, environment=environment) as terminal:
        terminal.wait_for_screen("Skipping", "2/3 tasks")
        terminal.process.send_signal(signal.SIGINT)
        assert terminal.wait() == 130
        shown = terminal.screen

    assert [line.split()[0] for line in shown if " " in line] == [
        "Skipping",
        "2",
        "Interrupted.",
    ]
    assert at_service(*words).out == "1 task: 1 skipped.\n"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([], "name one project and give --state, or give only ids"),
        (["-p", "Street scenes"], "name one project and give --state, or give only ids"),
        (["Street scenes", "--search", "a"], "name one project and give --state"),
        (["T", "-p", "Street scenes", "--state", "waiting"], "name one project and"),
        (["T", "--state", "waiting"], "There is no project named 'T'."),
        (
            ["streets", "--state", "waiting"],
            "There is no project named 'streets'. It is a dataset.",
        ),
    ],
)
def test_which_tasks_must_be_said(
    at_service: Cli, project: SeededProject, options: list[str], words: str
) -> None:
    """Nothing is guessed about what is to be moved."""
    ran = at_service("tasks", "skip", *options, "--yes")
    assert (ran.status, words in ran.err) == (2, True)
    waiting = at_service("tasks", "list", project.id, "--state", "waiting", "--json").documents
    assert len(waiting) == 2


def test_an_unknown_state_is_said_before_a_question(
    at_service: Cli, project: SeededProject
) -> None:
    """Nobody is told to give --yes for what cannot be done."""
    ran = at_service("tasks", "complete", project.id, "--state", "finished")
    assert ran.status == 2
    assert "The task state 'finished' is unknown; use one of" in ran.err
    assert "--yes" not in ran.err


def test_bitmaps_are_downloaded(at_service: Cli, project: SeededProject, tmp_path: Path) -> None:
    """What is segmented goes to a folder; a second run fetches nothing."""
    none = at_service("bitmaps", "Street scenes", tmp_path)
    assert (none.status, none.out) == (0, "")
    assert none.err == "Nothing to download: no finished task has a segmentation.\n"
    at_service("tasks", "complete", *project.task_ids.values())
    ran = at_service("bitmaps", "Street scenes", tmp_path)
    assert (ran.status, ran.err) == (0, "")
    assert ran.out == f"1 bitmap: 1 saved; the folder is {tmp_path}.\n"
    again = at_service("bitmaps", project.id, tmp_path, "--json")
    assert again.document == {"folder": str(tmp_path), "saved": 0, "skipped": 1, "failed": []}
    anew = at_service("bitmaps", project.id, tmp_path, "--again", "--json")
    assert anew.document["saved"] == 1
    black = at_service("bitmaps", project.id, tmp_path, "--key", "seg", "--format", "BMP")
    assert black.out.startswith("3 bitmaps: 3 saved")
    assert sorted(path.name for path in (tmp_path / "seg").iterdir()) == [
        *("a.bmp", "a.png", "b.bmp", "c.bmp")
    ]


def test_bitmaps_that_fail(
    at_service: Cli, project: SeededProject, tmp_path: Path, faults: FaultPlan
) -> None:
    """What cannot be had is named with its reason, and the status is 1."""
    at_service("tasks", "complete", *project.task_ids.values())
    refusal = Status.of_json(500, {"key": "ex_gen_wrong_label_task_state", "params": ["T"]})
    faults.add(refusal, path="/export/bitmap/")
    ran = at_service("bitmaps", project.id, tmp_path)
    assert (ran.status, ran.out) == (1, f"1 bitmap: 1 failed; the folder is {tmp_path}.\n")
    assert "must be completed, skipped or reviewed" in ran.err
    as_json = at_service("bitmaps", project.id, tmp_path, "--json")
    assert (as_json.status, "must be completed" in as_json.out) == (1, True)
    wrong = at_service("bitmaps", project.id, tmp_path, "--format", "gif")
    assert (wrong.status, "is not one of 'png', 'bmp'" in wrong.err) == (2, True)
