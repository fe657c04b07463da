"""A service that means harm: whatever it says, a call ends in time, with a value or our error.

Every answer of the table meets one call of each kind of reading, and every call meets the answers
that stand for the others. What a test leaves open fails it (see `tests/conftest.py`).
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from datagym_async import DataGymClient, RetryPolicy
from datagym_async.exceptions import DataGymError
from tests.helpers.hostile import CALLS, JOBS, touch
from tests.helpers.hostile_rows import ANSWERS, answering, floods
from tests.helpers.raw_server import raw_server
from tests.helpers.sentinel import TOKEN

if TYPE_CHECKING:
    from tests.helpers.hostile_rows import Say

pytestmark = pytest.mark.usefixtures("both_ways")

KINDS = (
    *("ping", "projects.list", "tasks.skip", "datasets.get", "datasets.iter_parts"),
    *("datasets.ensure", "labels.export", "labels.iter_export", "labels.export_to", "tasks.iter"),
    *("media.download", "media.stream", "media.download_to", "media.upload_file", "labels.bitmap"),
    "values.create",
)
"""One call of each kind: what is sent, and how an answer is read."""

REPRESENTATIVES = (
    *(
        "first line 'hello'",
        "only 101 Switching Protocols",
        "status 204 No Content",
        "status 304 Same",
    ),
    *("head: a huge field", "head: a pause beyond", "503 Busy, later Fri, 31 D"),
    *("redirect to 'http://[::1'", "nothing", "half a body", "chunks: no size", "body: null"),
    *("body: a list of nulls", "body: half a character", "body: deep lists", "error: other types"),
    *("packed and cut", "drip: a body of 200 OK", "drip: a head", "stall: in a body"),
)

MOST_SECONDS = 300.0
"""Of one request, on virtual time: 120 of a pause that is asked for, 60 without a byte, or 120 with
too few of them."""
NEVER = 86_400.0

FLOODED = (
    "projects.list",
    "datasets.iter_parts",
    "labels.iter_export",
    "tasks.iter",
)
"""What reads answers without a bound of its own: media and bitmaps have one, of 1 GB."""

MOST_MEMORY = 400
"""Megabytes that a flood may make a process grow by; a value that is read whole has at most 64."""


def open_client(base_url: str) -> DataGymClient:
    """Return a client that asks once, without a pace."""
    return DataGymClient(
        TOKEN, base_url, retry=RetryPolicy.none(), rate_limit=None, dialect="media"
    )


def check_words(text: str) -> None:
    """Check that an error's words can be shown to people."""
    assert len(text) < 10_000
    assert text.isprintable(), ascii(text)


async def meet(say: Say, call: str, folder: Path) -> None:
    """Make a call that is answered so; anything but a value and an error of ours goes through."""
    folder.mkdir(exist_ok=True)
    async with raw_server(answering(say)) as base_url, open_client(base_url) as client:
        clock = asyncio.get_running_loop().time
        began = clock()
        try:
            async with asyncio.timeout(NEVER):
                touch(await {**CALLS, **JOBS}[call](client, folder))
        except DataGymError as error:
            check_words(str(error))
        done = client.statistics()
        assert done.in_flight == 0
        assert clock() - began <= MOST_SECONDS * max(1, done.requests)


@pytest.mark.looptime
@pytest.mark.parametrize("name", ANSWERS)
async def test_each_answer_is_read_in_each_way(name: str, tmp_path: Path) -> None:
    """No answer makes a call raise anything of another kind, hang, or leave something open."""
    for number, call in enumerate(KINDS):
        await meet(ANSWERS[name], call, tmp_path / str(number))


@pytest.mark.looptime
@pytest.mark.parametrize("call", sorted({**CALLS, **JOBS}))
async def test_each_call_meets_each_sort_of_answer(call: str, tmp_path: Path) -> None:
    """No call, and no job, is without the guard."""
    for number, name in enumerate(REPRESENTATIVES):
        await meet(ANSWERS[name], call, tmp_path / str(number))


def test_the_table_is_long_enough() -> None:
    """There are at least a hundred answers, and the representatives are among them."""
    assert len(ANSWERS) >= 100
    assert set(REPRESENTATIVES) <= ANSWERS.keys()
    assert set(KINDS) <= CALLS.keys()


def test_no_flood_fills_the_memory(tmp_path: Path) -> None:
    """Endless answers and bombs end with an error of ours, in bounded memory."""
    command = [sys.executable, "-m", "tests.faults.test_hostile_service", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    grown = json.loads(done.stdout)
    assert {name: grown[name] for name in grown if grown[name] > MOST_MEMORY} == {}
    assert len(grown) == len(floods())


async def _flooded(folder: Path) -> dict[str, float]:
    """Return by how many megabytes the process has grown at its largest, after each flood."""
    import resource

    def largest() -> float:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

    said = floods()
    before, grown = largest(), {}
    for name, say in said.items():
        for call in FLOODED:
            await meet(say, call, folder)
        grown[name] = largest() - before
    return grown


if __name__ == "__main__":
    from pathlib import Path

    sys.stdout.write(json.dumps(asyncio.run(_flooded(Path(sys.argv[1])))))
