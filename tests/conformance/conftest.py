"""One replay a session, and its counts at the end of the output."""

import asyncio
import os
from collections.abc import Mapping, Sequence

import pytest

from tests.conformance._embedded import embedded
from tests.conformance._live import live
from tests.conformance._recordings import COVERED, LABEL_ROUTES, load
from tests.conformance._replay import Outcome, replay
from tests.conformance._standing import SHAPE_ON_LIVE, listed

_COUNTS = pytest.StashKey[str]()


@pytest.fixture(scope="session")
def outcomes(request: pytest.FixtureRequest) -> Mapping[str, Outcome]:
    """Replay all files once and hand out the outcomes by the cases' ids."""
    found = asyncio.run(_replay_all())
    labels = [outcome for outcome in found if outcome.case.file in LABEL_ROUTES]
    request.config.stash[_COUNTS] = (
        f"conformance: {_counts(found)} ({len(listed())} listed); of them label routes:"
        f" {_counts(labels)}"
    )
    return {outcome.case.id: outcome for outcome in found}


async def _replay_all() -> list[Outcome]:
    cases = load(COVERED)
    url = os.environ.get("DATAGYM_LIVE_URL")
    if url:
        async with live(url) as subject:
            return await replay(cases, subject, shape_only=SHAPE_ON_LIVE)
    async with embedded() as server:
        return await replay(cases, server)


def _counts(outcomes: Sequence[Outcome]) -> str:
    held = sum(outcome.holds for outcome in outcomes)
    skipped = sum(outcome.unprepared is not None for outcome in outcomes)
    return (
        f"{len(outcomes)} recorded, {held} held, {len(outcomes) - held - skipped} not met,"
        f" {skipped} skipped"
    )


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Say how many recorded cases hold."""
    if counts := config.stash.get(_COUNTS, None):
        terminalreporter.write_line(counts)
