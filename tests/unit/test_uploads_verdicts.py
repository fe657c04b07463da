"""What each answer of the service means for its item, and which end the run."""

from __future__ import annotations

import errno

import pytest

from datagym_async._runs import is_fatal
from datagym_async._wire import Body
from datagym_async.exceptions import (
    AlreadyExistsError,
    APIConnectionError,
    APIResponseValidationError,
    APITimeoutError,
    AuthenticationError,
    BadRequestError,
    ClientClosedError,
    ConfigurationError,
    ErrorDetail,
    FileChangedError,
    InternalServerError,
    LimitReachedError,
    NotFoundError,
    PermissionDeniedError,
    RequestRefusedError,
    StoreError,
    Trouble,
)
from datagym_async.models import UrlResult, UrlStatus
from datagym_async.uploads import Outcome, UploadItem, UploadResult
from datagym_async.uploads._verdicts import of_error, of_url
from datagym_async.uploads.plan import Planned

ITEM = UploadItem("a.jpg", "d/a.jpg")
DETAIL = ErrorDetail("data", "ex_val_bin_mime", ("image/gif",))


def result(error: Exception, *, skip_existing: bool = True) -> UploadResult:
    """Return what an error means for the item."""
    work = Planned(ITEM, body=Body.of_bytes(bytes(9)))
    return of_error(work, error, "d", seconds=1.5, skip_existing=skip_existing)


TAKEN = AlreadyExistsError("Taken.", status=412, key="ex_alreadyexists")


@pytest.mark.parametrize(
    ("error", "outcome", "fatal"),
    [
        pytest.param(BadRequestError("x", status=400), Outcome.FAILED, False, id="400"),
        pytest.param(AuthenticationError("x", status=401), Outcome.FAILED, True, id="401"),
        pytest.param(LimitReachedError("x", status=402), Outcome.FAILED, True, id="402"),
        pytest.param(PermissionDeniedError("x", status=403), Outcome.FAILED, True, id="403"),
        pytest.param(NotFoundError("x", status=404), Outcome.FAILED, True, id="404"),
        pytest.param(TAKEN, Outcome.SKIPPED, False, id="412"),
        pytest.param(InternalServerError("x", status=500), Outcome.FAILED, False, id="500"),
        pytest.param(RequestRefusedError("x", status=500), Outcome.FAILED, False, id="ex_gen"),
        pytest.param(APIConnectionError("x"), Outcome.FAILED, False, id="connection"),
        pytest.param(APITimeoutError("x"), Outcome.FAILED, False, id="timeout"),
        pytest.param(APIResponseValidationError("x"), Outcome.FAILED, False, id="shape"),
        pytest.param(FileChangedError("x"), Outcome.REJECTED, False, id="file-changed"),
        pytest.param(PermissionError(13, "x"), Outcome.REJECTED, False, id="file-unreadable"),
        pytest.param(OSError(errno.EMFILE, "x"), Outcome.FAILED, False, id="open-files"),
        pytest.param(ConfigurationError("x"), Outcome.REJECTED, False, id="name"),
        pytest.param(ClientClosedError("x"), Outcome.FAILED, True, id="closed"),
    ],
)
def test_errors(error: Exception, outcome: Outcome, fatal: bool) -> None:
    """An error that every item would meet ends the run; the others are the item's own."""
    assert (result(error).outcome, is_fatal(error)) == (outcome, fatal)


@pytest.mark.parametrize(
    ("trouble", "outcome"),
    [
        ("passing", Outcome.FAILED),
        ("gone", Outcome.REJECTED),
        ("denied", Outcome.REJECTED),
        ("changed", Outcome.REJECTED),
        ("wrong", Outcome.REJECTED),
    ],
)
def test_trouble_of_a_store(trouble: Trouble, outcome: Outcome) -> None:
    """What passes is tried again by the next run; all else is a matter of the object."""
    found = result(StoreError("x", trouble=trouble))

    assert (found.outcome, found.attempts) == (outcome, 0)


def test_a_failure_carries_the_services_word() -> None:
    """Status, key, details and attempts are kept for the report."""
    error = BadRequestError("No.", status=400, key="ex_validation", details=[DETAIL], attempts=3)

    expected = UploadResult(
        item=ITEM,
        outcome=Outcome.FAILED,
        dataset_id="d",
        size=9,
        seconds=1.5,
        attempts=3,
        reason="No. (tried 3 times)",
        status=400,
        key="ex_validation",
        details=(DETAIL,),
    )
    assert result(error) == expected


def test_a_taken_name_fails_where_it_is_not_to_be_skipped() -> None:
    """With `skip_existing` off, somebody counts on every file being sent."""
    found, skipped = result(TAKEN, skip_existing=False), result(TAKEN)

    assert (found.outcome, found.status, found.key) == (Outcome.FAILED, 412, "ex_alreadyexists")
    assert (skipped.outcome, skipped.status, skipped.key) == (Outcome.SKIPPED, None, "")


@pytest.mark.parametrize(
    ("status", "outcome", "words"),
    [
        (UrlStatus.SUCCESS, Outcome.UPLOADED, ""),
        (UrlStatus.DUPLICATE, Outcome.SKIPPED, "holds this URL already"),
        (UrlStatus.UNSUPPORTED_MIME_TYPE, Outcome.FAILED, "does not end in .jpg"),
        (UrlStatus.FAILED, Outcome.FAILED, "did not understand"),
        (UrlStatus.DELETED, Outcome.FAILED, "says DELETED"),
        (UrlStatus.UNKNOWN, Outcome.FAILED, "says UNKNOWN"),
    ],
)
def test_url_statuses(status: UrlStatus, outcome: Outcome, words: str) -> None:
    """Every word that the service has for a link, and those it may get, is one outcome."""
    found = of_url(ITEM, UrlResult("http://h/a.jpg", status), dataset_id="d", seconds=0)

    assert (found.outcome, found.attempts) == (outcome, 1)
    assert words in found.reason


def test_the_resources_own_reason_wins() -> None:
    """What was not sent at all says why."""
    answer = UrlResult("http://h/a.jpg", UrlStatus.FAILED, reason="It is too long.")

    assert of_url(ITEM, answer, dataset_id="d", seconds=0).reason == "It is too long."
