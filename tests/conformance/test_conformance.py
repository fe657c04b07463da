"""The embedded server answers as recorded; what it does not meet is listed, and is little."""

from collections.abc import Mapping

import pytest

from tests.conformance._recordings import COVERED, LATER, NOT_REPLAYED, WIRE, Case, load
from tests.conformance._replay import Outcome
from tests.conformance._standing import LARGEST_SHARE, SHAPE_ON_LIVE, listed

CASES = load(COVERED)
LATER_CASES = load(LATER)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_case(case: Case, outcomes: Mapping[str, Outcome]) -> None:
    """A recorded exchange holds, or is listed as not met and really does not hold."""
    _check(outcomes[case.id], listed("covered"))


@pytest.mark.parametrize("case", LATER_CASES, ids=lambda case: case.id)
def test_case_of_the_label_routes(case: Case, outcomes: Mapping[str, Outcome]) -> None:
    """What holds of the label routes already goes on holding."""
    _check(outcomes[case.id], listed("later"))


def _check(outcome: Outcome, unmet: Mapping[str, str]) -> None:
    if outcome.unprepared is not None:
        pytest.skip(outcome.unprepared)
    if outcome.case.id in unmet:
        assert outcome.differences, f"{outcome.case.id} holds now: take it out of not_met.toml"
    else:
        assert outcome.differences == []


def test_list_of_unmet_cases_is_short_and_true() -> None:
    """At most 5 % of the covered cases are listed as not met, each a covered one with a reason."""
    assert len(listed("covered")) <= LARGEST_SHARE * len(CASES)
    for table, cases in (("covered", CASES), ("later", LATER_CASES)):
        assert listed(table).keys() <= {case.id for case in cases}
        assert all(reason.strip() for reason in listed(table).values())


def test_every_recorded_file_is_accounted_for() -> None:
    """No recording is left out silently: each file is covered, kept for later, or has a reason."""
    accounted = [*COVERED, *LATER, *NOT_REPLAYED]
    assert sorted(accounted) == sorted(path.stem for path in WIRE.glob("*.json"))


def test_all_covered_cases_were_recorded() -> None:
    """The recordings hold 416 cases of the covered files; the ones told apart are among them."""
    assert len(CASES) == 416
    assert {case.key for case in CASES} >= SHAPE_ON_LIVE
