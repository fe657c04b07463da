"""Turn the result of a call into an outcome, and say which errors end a run; pure."""

from __future__ import annotations

from datagym_async._files import TOO_MANY_OPEN
from datagym_async.exceptions import (
    AlreadyExistsError,
    APIError,
    APIStatusError,
    ConfigurationError,
    StoreError,
)
from datagym_async.models import UrlResult, UrlStatus
from datagym_async.uploads._values import Outcome, UploadItem, UploadResult
from datagym_async.uploads.plan._plan import Planned

_URL_OUTCOMES: dict[UrlStatus, tuple[Outcome, str]] = {
    UrlStatus.SUCCESS: (Outcome.UPLOADED, ""),
    UrlStatus.DUPLICATE: (Outcome.SKIPPED, "The dataset holds this URL already."),
    UrlStatus.UNSUPPORTED_MIME_TYPE: (
        Outcome.FAILED,
        "The URL does not end in .jpg, .jpeg or .png, which is all that the service accepts.",
    ),
    UrlStatus.FAILED: (Outcome.FAILED, "The service did not understand the URL."),
}


def of_error(
    work: Planned, error: Exception, dataset_id: str, *, seconds: float, skip_existing: bool
) -> UploadResult:
    """Return what an error means for its item: an `APIError`, or an OSError of the file being sent.

    With `skip_existing` a name that exists by now counts as skipped.
    """
    outcome, reason = Outcome.FAILED, str(error)
    if isinstance(error, AlreadyExistsError) and skip_existing:
        # Not in the listing at the start: somebody else stored it since.
        outcome = Outcome.SKIPPED
        reason = "The dataset holds this name already; it was stored in the meantime."
    elif isinstance(error, StoreError) and error.trouble == "passing":
        pass  # the next run tries again
    elif isinstance(error, OSError) and error.errno in TOO_MANY_OPEN:
        pass  # likewise
    elif isinstance(error, OSError | ConfigurationError) and not isinstance(error, APIError):
        outcome = Outcome.REJECTED  # a missing answer is a ConnectionError, too, and failed
    answer = error if isinstance(error, APIStatusError) and outcome is Outcome.FAILED else None
    return UploadResult(
        item=work.item,
        outcome=outcome,
        dataset_id=dataset_id,
        size=None if work.body is None else work.body.size,
        seconds=seconds,
        attempts=error.attempts if isinstance(error, APIError) else 0,
        reason=reason,
        status=answer.status if answer else None,
        key=answer.key if answer else "",
        details=answer.details if answer else (),
        warnings=work.warnings,
    )


def of_url(
    item: UploadItem, url_result: UrlResult, *, dataset_id: str, seconds: float
) -> UploadResult:
    """Return what the service's answer for one link means; the call took `seconds`."""
    unknown = (Outcome.FAILED, f"The service says {url_result.status.value} of the URL.")
    outcome, reason = _URL_OUTCOMES.get(url_result.status, unknown)
    return UploadResult(
        item=item,
        outcome=outcome,
        dataset_id=dataset_id,
        media_id=url_result.media_id,
        seconds=seconds,
        attempts=1,
        reason=url_result.reason or reason,
    )
