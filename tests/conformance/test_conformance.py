"""The embedded server answers as recorded; what it does not meet is listed, and is little."""

from collections.abc import Mapping

import pytest

from tests.conformance._recordings import COVERED, NOT_REPLAYED, WIRE, Case, load
from tests.conformance._replay import Outcome
from tests.conformance._standing import LARGEST_SHARE, SHAPE_ON_LIVE, listed

CASES = load(COVERED)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_case(case: Case, outcomes: Mapping[str, Outcome]) -> None:
    """A recorded exchange holds, or is listed as not met and really does not hold."""
    outcome = outcomes[case.id]
    if outcome.unprepared is not None:
        pytest.skip(outcome.unprepared)
    if case.id in listed():
        assert outcome.differences, f"{case.id} holds now: take it out of not_met.toml"
    else:
        assert outcome.differences == []


def test_list_of_unmet_cases_is_short_and_true() -> None:
    """At most 5 % of the covered cases are listed as not met, each a covered one with a reason."""
    assert len(listed()) <= LARGEST_SHARE * len(CASES)
    assert listed().keys() <= {case.id for case in CASES}
    assert all(reason.strip() for reason in listed().values())


def test_every_recorded_file_is_accounted_for() -> None:
    """No recording is left out silently: each file is covered or has a reason."""
    accounted = [*COVERED, *NOT_REPLAYED]
    assert sorted(accounted) == sorted(path.stem for path in WIRE.glob("*.json"))


def test_all_covered_cases_were_recorded() -> None:
    """The recordings hold 597 cases of the covered files; the ones told apart are among them."""
    assert len(CASES) == 597
    assert {case.key for case in CASES} >= SHAPE_ON_LIVE
