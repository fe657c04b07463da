"""Tasks by the dozen: listed over several states, completed and skipped, each with its outcome."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import pytest

from datagym_async import AuthenticationError, ConfigurationError, PermissionDeniedError
from datagym_async.models import TaskState
from datagym_async.resources import TasksResource
from datagym_async.server import SeedMedia
from datagym_async.testing import CommitThenDrop, Delay, RefuseToken, Status
from tests.helpers.examples import example
from tests.helpers.fake_session import FakeSession, answer
from tests.helpers.photos import jpeg
from tests.helpers.world import World, world

if TYPE_CHECKING:
    from datagym_async import APIError
    from datagym_async.resources import TaskOutcome
    from datagym_async.server import TaskState as SeedState

STATES: tuple[SeedState, ...] = ("WAITING", "COMPLETED", "WAITING", "SKIPPED", "BACKLOG", "WAITING")
REQUIRED = {
    "entryKey": "kind",
    "entryValue": "Kind",
    "type": "SELECT",
    "required": True,
    "options": {"a": "A"},
}


@pytest.fixture
async def here() -> AsyncIterator[World]:
    """Six tasks in four states."""
    content = jpeg(2000)
    media = [SeedMedia(f"{n}.jpg", content, state=state) for n, state in enumerate(STATES)]
    async with world(*media) as made:
        yield made


def ids_of(here: World) -> list[str]:
    """Return the ids of all tasks."""
    return [*here.project.task_ids.values()]


async def states_of(here: World) -> list[str]:
    """Return the states of all tasks, by the names of their media, faults taken away."""
    here.plan.clear()
    tasks = await here.client.tasks.list(here.project_id, state="all")
    return [task.state.value for task in sorted(tasks, key=lambda task: task.media_name)]


@pytest.mark.parametrize(
    ("state", "requests", "names"),
    [
        (None, 1, ["0.jpg", "2.jpg", "5.jpg"]),
        (["COMPLETED", TaskState.SKIPPED, "completed"], 2, ["1.jpg", "3.jpg"]),
        ("all", 8, ["4.jpg", "0.jpg", "2.jpg", "5.jpg", "3.jpg", "1.jpg"]),
    ],
    ids=["default", "several", "all"],
)
async def test_tasks_of_several_states(
    here: World, state: list[TaskState | str] | str | None, requests: int, names: list[str]
) -> None:
    """Each state is asked for once and the tasks come state by state, listed or streamed."""
    listed = await here.client.tasks.list(here.project_id, state=state)
    assert [task.media_name for task in listed] == names
    assert here.plan.count("GET", "/list$") == requests
    streamed = [task async for task in here.client.tasks.iter(here.project_id, state=state)]
    assert streamed == listed


async def test_a_limit_is_of_all_states(here: World) -> None:
    """The limit counts the tasks, not those of each state."""
    listed = await here.client.tasks.list(here.project_id, state=["WAITING", "SKIPPED"], limit=2)
    assert [task.media_name for task in listed] == ["0.jpg", "2.jpg"]


async def test_no_state_at_all_is_refused() -> None:
    """An empty choice of states would quietly be the service's default."""
    with pytest.raises(ConfigurationError, match='"all"'):
        await TasksResource(FakeSession()).list("P", state=[])


async def test_a_task_is_completed_at_the_present_time(here: World) -> None:
    """Without a time the task's own is read first."""
    result = await here.client.tasks.complete(ids_of(here)[4])
    assert result.completed
    assert (await states_of(here))[4] == "COMPLETED"


async def test_many_tasks_are_completed_with_one_reading(here: World) -> None:
    """The tasks of a project share their configuration, whose time is read once."""
    report = await here.client.tasks.complete_many(ids_of(here), concurrency=3)
    assert (report.ok, report.done, len(report.outcomes)) == (True, 6, 6)
    assert here.plan.count("GET", "/task/[^/]*$") == 1
    assert here.plan.peak_in_flight <= 3
    assert await states_of(here) == ["COMPLETED"] * 6


async def test_a_refused_task_does_not_stop_the_others(here: World) -> None:
    """A task with a question left open is reported with what the service said."""
    client = here.client
    await client.label_configs.upload(here.project.label_configuration_id, [REQUIRED])
    good = ids_of(here)[0]
    media_id = here.project.datasets[0].media_ids["0.jpg"]
    predicted = {"internal_media_ID": media_id, "global_classifications": {"kind": ["a"]}}
    await client.labels.import_predictions(here.project_id, [predicted], keep_data=False)
    report = await client.tasks.complete_many([*ids_of(here)[:3], "nope"])
    assert {outcome.task_id: outcome.reason for outcome in report.outcomes if outcome.ok} == {
        good: ""
    }
    assert all(outcome.reason == str(outcome.error) for outcome in report.problems)
    keys = sorted(getattr(outcome.error, "key", "") for outcome in report.problems)
    assert keys == ["ex_gen_entry_value_validation"] * 2 + ["ex_notfound"]


async def test_a_task_that_somebody_works_on_is_at_stake(here: World) -> None:
    """It may have labels that no export has; one that waits has none."""
    await here.server.set_task_state(ids_of(here)[0], "IN_PROGRESS")
    stakes = await here.client.label_configs.at_stake(here.project_id)

    assert (stakes.tasks, stakes.finished, stakes.unfinished) == (6, 2, 1)


async def test_tasks_of_a_newer_configuration_are_left_alone(here: World) -> None:
    """With the time of the caller's view, what has changed since is reported and not touched."""
    known = (await here.client.tasks.get(ids_of(here)[0])).last_changed_config
    report = await here.client.tasks.complete_many(ids_of(here)[:2], last_changed_config=known - 1)
    assert [outcome.verdict for outcome in report.outcomes] == ["config_changed"] * 2
    assert {outcome.reason for outcome in report.problems} == {
        "The label configuration was being changed; try again."
    }
    assert (await states_of(here))[:2] == ["WAITING", "COMPLETED"]


@pytest.mark.parametrize(("changes", "verdict"), [(1, "completed"), (2, "config_changed")])
async def test_a_configuration_that_changes_meanwhile(changes: int, verdict: str) -> None:
    """It is read again from the task and the call repeated once; then it is reported."""
    detail, changed = (
        example("13_tasks", "detail"),
        example("13_tasks", "complete_response_config_changed"),
    )
    completed = {"hasLabelConfigChanged": False, "currentTaskId": "T"}
    replies = [answer(detail), answer(changed), answer(detail), answer(changed)]
    session = FakeSession([*replies[: 2 * changes], *([answer(detail)] if changes == 1 else [])])
    session.handler = lambda _: answer(completed)
    report = await TasksResource(session).complete_many(["T"])
    assert [outcome.verdict for outcome in report.outcomes] == [verdict]
    assert [method for method, _ in session.sent] == ["GET", "PUT", "GET", "PUT"]


async def test_tasks_are_skipped_from_a_stream(here: World) -> None:
    """The ids may come from anywhere, a stream of the service's own included."""

    async def waiting() -> AsyncIterator[str]:
        async for task in here.client.tasks.iter(here.project_id):
            yield task.id

    told: list[TaskOutcome] = []
    report = await here.client.tasks.skip_many(waiting(), on_outcome=told.append)
    assert [outcome.verdict for outcome in report.outcomes] == ["skipped"] * 3
    assert tuple(told) == report.outcomes
    assert (await states_of(here)).count("SKIPPED") == 4


@pytest.mark.parametrize(
    ("status", "error"), [(401, AuthenticationError), (403, PermissionDeniedError)]
)
async def test_a_bad_token_ends_it_all(here: World, status: int, error: type[APIError]) -> None:
    """What would be the same with every task is raised, on its own."""
    here.plan.add(RefuseToken(status))
    with pytest.raises(error):
        await here.client.tasks.skip_many(ids_of(here), concurrency=2)
    assert here.plan.count("PUT") <= 4


@pytest.mark.looptime
@pytest.mark.parametrize("check", [200, 500])
async def test_a_task_of_another_organisation_fails_alone(here: World, check: int) -> None:
    """The service answers as for a bad token, so it is asked whether it is that; it may not say."""
    here.plan.add(RefuseToken(), path="/skipTask$", nth=1)
    if check != 200:
        here.plan.add(Status(check), method="HEAD")
    report = await here.client.tasks.skip_many(ids_of(here), concurrency=1)
    assert [each.verdict for each in report.outcomes] == ["failed"] + ["skipped"] * 5


@pytest.mark.looptime
async def test_lost_answers_are_no_failures(here: World) -> None:
    """Completing and skipping may be repeated, so what was lost on the way is asked again."""
    for path in ("/completeTask$", "/skipTask$"):
        here.plan.add(CommitThenDrop(), path=path, nth=2)
    assert (await here.client.tasks.complete_many(ids_of(here)[:3], concurrency=1)).done == 3
    assert (await here.client.tasks.skip_many(ids_of(here)[3:], concurrency=1)).done == 3
    assert await states_of(here) == ["COMPLETED"] * 3 + ["SKIPPED"] * 3


@pytest.mark.looptime
async def test_a_cancelled_run_leaves_nothing_running(here: World) -> None:
    """What was told is done, and nothing is sent after the cancellation."""
    told: list[TaskOutcome] = []
    here.plan.add(Delay(5), path="/skipTask$", nth=4)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1):
            await here.client.tasks.skip_many(ids_of(here), concurrency=1, on_outcome=told.append)
    assert [outcome.task_id for outcome in told] == ids_of(here)[:3]
    sent = here.plan.count("PUT", "/skipTask$")
    await asyncio.sleep(10)
    assert (sent, here.plan.count("PUT", "/skipTask$")) == (4, 4)
    assert (await states_of(here))[:3] == ["SKIPPED"] * 3


async def test_ids_that_end_with_a_cancellation_of_something_else(here: World) -> None:
    """The report would say that all went well, but further ids would be missing."""

    async def ids() -> AsyncIterator[str]:
        yield ids_of(here)[0]
        raise asyncio.CancelledError

    with pytest.raises(RuntimeError, match="not cancelled") as caught:
        await here.client.tasks.skip_many(ids(), concurrency=1)
    assert isinstance(caught.value.__cause__, asyncio.CancelledError)
    assert (await states_of(here))[:2] == ["SKIPPED", "COMPLETED"]


async def test_ids_that_cancel_the_task_in_which_they_are_awaited(here: World) -> None:
    """As `asyncio.timeout` around a ``yield`` does: further ids would be missing in silence."""

    async def ids() -> AsyncIterator[str]:
        yield ids_of(here)[0]
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await asyncio.sleep(0)
        yield ids_of(here)[1]

    with pytest.raises(RuntimeError, match="cancelled by other code") as caught:
        await here.client.tasks.skip_many(ids(), concurrency=1)
    assert isinstance(caught.value.__cause__, asyncio.CancelledError)
    assert (await states_of(here))[:2] == ["SKIPPED", "COMPLETED"]


@pytest.mark.parametrize("concurrency", [0, 65])
async def test_concurrency_has_bounds(concurrency: int) -> None:
    """A number of tasks in flight that makes no sense is refused with a sentence."""
    with pytest.raises(ConfigurationError, match="between 1 and 64"):
        await TasksResource(FakeSession()).skip_many(["T"], concurrency=concurrency)


async def test_one_id_is_no_list() -> None:
    """A text would be taken for a list of letters."""
    with pytest.raises(ConfigurationError, match="task_ids is 'abc'; it must be a list"):
        await TasksResource(FakeSession()).complete_many("abc")
