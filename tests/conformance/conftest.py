"""One replay a session, and its counts at the end of the output."""

import asyncio
import os
from collections.abc import Mapping

import pytest
from tests.conformance._embedded import embedded

from tests.conformance._live import live
from tests.conformance._recordings import COVERED, load
from tests.conformance._replay import Outcome, replay
from tests.conformance._standing import SET_ASIDE, SHAPE_ONLY, not_met

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
    async with live(url) if url else embedded() as subject:
        return await replay(cases, subject, shape_only=frozenset(SHAPE_ONLY))


def _counts(outcomes: Mapping[str, Outcome]) -> str:
    counted = [outcome for key, outcome in outcomes.items() if outcome.case.key not in SET_ASIDE]
    held = sum(outcome.holds for outcome in counted)
    return (
        f"conformance: {len(outcomes)} recorded, {held} held, {len(counted) - held} not met"
        f" ({len(not_met())} listed), {len(outcomes) - len(counted)} set aside"
    )


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Say how many recorded cases hold."""
    if counts := config.stash.get(_COUNTS, None):
        terminalreporter.write_line(counts)
