"""The replay: every case in the order of its recording, on one subject, with an outcome each."""

import asyncio
from collections.abc import Mapping, Sequence

import attrs
from attrs import field, frozen

from tests.conformance._bodies import binary_note, request_body, text_of
from tests.conformance._compare import differences
from tests.conformance._http import Reply, exchange
from tests.conformance._ids import Ids
from tests.conformance._links import RECORDED, link_host
from tests.conformance._recordings import Case
from tests.conformance._steps import Stage, known_projects
from tests.conformance._subject import CannotPrepareError, Subject
from tests.conformance._world import steps_before


@frozen
class Outcome:
    """What happened to one case."""

    case: Case
    differences: Sequence[str] = field(factory=list)
    unprepared: str | None = None

    @property
    def holds(self) -> bool:
        """Whether the subject answered as recorded."""
        return not self.differences and self.unprepared is None


async def replay(
    cases: Sequence[Case], subject: Subject, *, shape_only: frozenset[str] = frozenset()
) -> list[Outcome]:
    """Replay `cases` in order against `subject`.

    Args:
        cases: The cases, in the order of their recording.
        subject: A fresh service.
        shape_only: Keys of the cases whose lists show a state that the recordings do not carry.

    Returns:
        One outcome for each case, in order.
    """
    stage = Stage(subject, Ids())
    await known_projects(stage)
    async with link_host() as authority:
        own = "{}:{}".format(*subject.address)
        here = [_moved(case, {RECORDED: authority, "localhost:8080": own}) for case in cases]
        return [await _outcome(case, stage, case.key in shape_only) for case in here]


def _moved(case: Case, authorities: Mapping[str, str]) -> Case:
    """Point the case's URLs to our own hosts."""
    body = text_of(case.body)
    return attrs.evolve(
        case,
        body=None if body is None else _replaced_text(body, authorities),
        response=attrs.evolve(case.response, body=_replaced(case.response.body, authorities)),
    )


def _replaced(value: object, authorities: Mapping[str, str]) -> object:
    if isinstance(value, str):
        return _replaced_text(value, authorities)
    if isinstance(value, list):
        return [_replaced(item, authorities) for item in value]
    if isinstance(value, dict):
        return {key: _replaced(item, authorities) for key, item in value.items()}
    return value


def _replaced_text(text: str, authorities: Mapping[str, str]) -> str:
    for recorded, real in authorities.items():
        text = text.replace(recorded, real)
    return text


async def _outcome(case: Case, stage: Stage, shape_only: bool) -> Outcome:
    try:
        for step in steps_before(case):
            await step(stage, case)
        reply = await _send(case, stage)
    except CannotPrepareError as error:
        return Outcome(case, unprepared=str(error))
    except (OSError, AssertionError, TimeoutError, asyncio.IncompleteReadError) as error:
        return Outcome(case, [f"no answer: {error!r}"[:400]])
    return Outcome(case, differences(case, reply, stage.ids, shape_only=shape_only))


async def _send(case: Case, stage: Stage) -> Reply:
    body = _body(case, stage)
    headers = [
        (name, str(len(body)) if name == "Content-Length" else _with_token(value, stage.subject))
        for name, value in case.headers.items()
    ]
    return await exchange(
        stage.subject.address,
        method=case.method,
        path=stage.ids.translate(_with_token(case.path, stage.subject)),
        headers=headers,
        body=body,
    )


def _with_token(text: str, subject: Subject) -> str:
    return text.replace("TOKEN", subject.token)


def _body(case: Case, stage: Stage) -> bytes:
    if note := binary_note(case.body):
        return request_body(case, note)
    return stage.ids.translate(case.body or "").encode()
