"""The replay: every case in the order of its recording, on one subject, with an outcome each."""

import asyncio
from collections.abc import Sequence

import attrs
from attrs import field, frozen

from tests.conformance._bodies import binary_note, request_body
from tests.conformance._compare import differences
from tests.conformance._http import Reply, exchange
from tests.conformance._ids import Ids
from tests.conformance._links import RECORDED, link_host
from tests.conformance._recordings import Case
from tests.conformance._subject import CannotPrepareError, Subject
from tests.conformance._world import Stage, known_projects, steps_before


@frozen
class Outcome:
    """What became of one case."""

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
        here = [_moved(case, authority) for case in cases]
        return [await _outcome(case, stage, case.key in shape_only) for case in here]


def _moved(case: Case, authority: str) -> Case:
    """Point the case's link images to our own host; ``null`` bodies and binary ones have none."""
    response = attrs.evolve(case.response, body=_replaced(case.response.body, authority))
    return attrs.evolve(case, body=_text(_replaced(case.body, authority)), response=response)


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _replaced(value: object, authority: str) -> object:
    if isinstance(value, str):
        return value.replace(RECORDED, authority)
    if isinstance(value, list):
        return [_replaced(item, authority) for item in value]
    if isinstance(value, dict):
        return {key: _replaced(item, authority) for key, item in value.items()}
    return value


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
