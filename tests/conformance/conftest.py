"""One replay a session, and its counts at the end of the output."""

import asyncio
import os
from collections.abc import Mapping

import pytest

from tests.conformance._embedded import embedded
from tests.conformance._live import live
from tests.conformance._recordings import COVERED, load
from tests.conformance._replay import Outcome, replay
from tests.conformance._standing import SHAPE_ON_LIVE, not_met

_COUNTS = pytest.StashKey[str]()


@pytest.fixture(scope="session")
def outcomes(request: pytest.FixtureRequest) -> Mapping[str, Outcome]:
    """Replay the covered files once and hand out the outcomes by the cases' ids."""
    found = {outcome.case.id: outcome for outcome in asyncio.run(_replay_covered())}
    request.config.stash[_COUNTS] = _counts(found)
    return found


async def _replay_covered() -> list[Outcome]:
    cases = load(COVERED)
    url = os.environ.get("DATAGYM_LIVE_URL")
    if url:
        async with live(url) as subject:
            return await replay(cases, subject, shape_only=SHAPE_ON_LIVE)
    async with embedded() as server:
        return await replay(cases, server)


def _counts(outcomes: Mapping[str, Outcome]) -> str:
    held = sum(outcome.holds for outcome in outcomes.values())
    skipped = sum(outcome.unprepared is not None for outcome in outcomes.values())
    unmet = len(outcomes) - held - skipped
    return (
        f"conformance: {len(outcomes)} recorded, {held} held, {unmet} not met"
        f" ({len(not_met())} listed), {skipped} skipped"
    )


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Say how many recorded cases hold."""
    if counts := config.stash.get(_COUNTS, None):
        terminalreporter.write_line(counts)
