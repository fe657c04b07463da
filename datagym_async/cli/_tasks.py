"""`tasks`: list them, complete them, skip them."""

import asyncio
from collections.abc import Sequence
from typing import Annotated, Final, Literal

from datagym_async._client import DataGymClient
from datagym_async._runs._text import counted
from datagym_async.cli._command import Invocation, command, group
from datagym_async.cli._connect import client_for, waiting, with_client
from datagym_async.cli._errors import INTERRUPTED, SOME_FAILED, WELL, CommandError, sentence_of
from datagym_async.cli._lookup import project_of
from datagym_async.cli._options import ProjectArgument, Yes, argument, flag
from datagym_async.cli._progress import ProblemLines, Step, showing
from datagym_async.cli._screen import Output, plain
from datagym_async.cli._signals import run_in_loop
from datagym_async.exceptions import APIError
from datagym_async.models import Task
from datagym_async.models._ids import is_id
from datagym_async.resources import TaskOutcome, TasksReport
from datagym_async.resources._tasks import queries

app = group("tasks")

Verb = Literal["complete", "skip"]

_DONE: Final = {"complete": "completed", "skip": "skipped"}
_SETTLING: Final = {"complete": "Completing", "skip": "Skipping"}

States = Annotated[
    list[str] | None,
    flag("--state STATE", "Only tasks in this state, for example waiting. May be repeated."),
]
Search = Annotated[
    str | None,
    flag(
        "--search WORDS",
        "Only tasks with these words in the name of the image or of the labeller. Letters, "
        "digits, blanks, _ and -; the service ignores words that are only digits.",
    ),
]


Subjects = Annotated[
    list[str] | None,
    argument(
        "PROJECT|TASK",
        "With --state, name or id of the project: all its tasks in these states. Without, ids of "
        "tasks.",
    ),
]
OfProject = Annotated[str | None, flag("--project -p NAME|ID", "", hidden=True)]


@command(app, "list")
def list_tasks(
    invocation: Invocation,
    project: ProjectArgument,
    state: States = None,
    search: Search = None,
    limit: Annotated[int, flag("--limit N", "Tasks to list; 0 lists all.", min=0)] = 0,
) -> int:
    """List the tasks of a project, in all states by default."""

    async def work(client: DataGymClient) -> list[Task]:
        found = await project_of(client, project)
        return await client.tasks.list(found.id, state=state or "all", search=search, limit=limit)

    tasks = with_client(invocation, work)
    invocation.output.listing(
        [plain(each) for each in tasks],
        ("Id!", "State", "Image", "Labeller"),
        [
            (each.id, each.state.value.lower(), each.media_name, each.labeler or "")
            for each in tasks
        ],
        empty="No tasks match.",
    )
    return WELL


@command(app, "complete")
def complete(
    invocation: Invocation,
    subjects: Subjects = None,
    project: OfProject = None,
    state: States = None,
    search: Search = None,
    yes: Yes = False,
) -> int:
    """Complete single tasks, or all of a project in some states, if their labels are complete.

    It asks first, unless tasks are named; --yes skips the question.
    """
    return _settle(invocation, "complete", subjects, project, state, search, yes=yes)


@command(app, "skip")
def skip(
    invocation: Invocation,
    subjects: Subjects = None,
    project: OfProject = None,
    state: States = None,
    search: Search = None,
    yes: Yes = False,
) -> int:
    """Skip single tasks, or all of a project in some states; their labels stay.

    It asks first, unless tasks are named; --yes skips the question.
    """
    return _settle(invocation, "skip", subjects, project, state, search, yes=yes)


def _settle(
    invocation: Invocation,
    verb: Verb,
    subjects: list[str] | None,
    project: str | None,
    state: list[str] | None,
    search: str | None,
    *,
    yes: bool,
) -> int:
    output, named = invocation.output, [*(subjects or ()), *filter(None, [project])]
    of_project = bool(project or state or search)
    if not named or (of_project and not (state and len(named) == 1)):
        raise CommandError(
            f"Say which tasks to {verb}: name one project and give --state, or give only ids of "
            "tasks."
        )
    if len(named) == 1 and not (of_project or is_id(named[0])):
        raise CommandError(
            f"{named[0]!r} is not the id of a task, which `datagym-async tasks list` shows. To "
            f"{verb} the tasks of a project, say which with --state."
        )
    task_ids: Sequence[str] = named
    if of_project:
        queries(state, search=search, limit=0)  # what is wrong is said before anything is asked
        invocation.require_consent(yes=yes)

        async def find(client: DataGymClient) -> list[str]:
            found = await project_of(client, named[0])
            return [
                task.id async for task in client.tasks.iter(found.id, state=state, search=search)
            ]

        task_ids = with_client(invocation, find)
    if not task_ids:
        output.message(
            "No tasks are in the given states; nothing was changed. `datagym-async tasks list` "
            "shows all."
        )
        return _say(output, TasksReport(), verb)
    if of_project and not yes:
        how_many = counted(len(task_ids), "task")
        if not output.ask(f"{verb.capitalize()} {how_many}?"):
            return WELL
    client, lines = client_for(invocation), ProblemLines(output, kept_by="--json names them all")
    outcomes: list[TaskOutcome] = []

    def note(outcome: TaskOutcome) -> None:
        outcomes.append(outcome)
        if not outcome.ok:
            lines.say("failed", outcome.task_id, _reason(outcome))

    def look() -> Step:
        done, total = len(outcomes), len(task_ids)
        return Step(_SETTLING[verb], done, total, f"{done:,}/{total:,} tasks")

    async def work() -> TasksReport:
        async with client, waiting(invocation, client), showing(output, look):
            settle = {"complete": client.tasks.complete_many, "skip": client.tasks.skip_many}[verb]
            return await settle(task_ids, on_outcome=note)

    # Or each task would report a dead service.
    with_client(invocation, lambda asked: asked.ping())
    try:
        report, interrupted = run_in_loop(work()), False
    except (KeyboardInterrupt, asyncio.CancelledError):
        report, interrupted = TasksReport(tuple(outcomes)), True
    except APIError as error:
        _say(output, TasksReport(tuple(outcomes)), verb)
        raise CommandError(sentence_of(error), status=SOME_FAILED) from error
    lines.say_rest()
    status = _say(output, report, verb)
    if interrupted:
        output.warning("Interrupted. The same command continues with the remaining tasks.")
    return INTERRUPTED if interrupted else status


def _reason(outcome: TaskOutcome) -> str:
    return outcome.reason if outcome.error is None else sentence_of(outcome.error)


def _say(output: Output, report: TasksReport, verb: Verb) -> int:
    done, failed = report.done, report.problems
    if output.as_json:
        problems = [
            {"task_id": each.task_id, "verdict": each.verdict, "reason": _reason(each)}
            for each in failed
        ]
        output.document({_DONE[verb]: done, "problems": problems})
    elif report.outcomes and not (output.quiet and report.ok):
        output.result(str(report))
    return WELL if report.ok else SOME_FAILED
