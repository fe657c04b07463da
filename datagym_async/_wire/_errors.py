"""Turns an error answer into an exception.

There are five shapes: the service's own error body, bean validation (the same with ``code`` 0), the
framework's body without a key, nothing at all, and a proxy's HTML. The class depends on the key,
because the service answers 500 for plain rules, and then on the status. The sentences are ours: the
service's own ``msg`` says nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress

import orjson

from datagym_async._json import loads
from datagym_async._wire._messages import Request, Response
from datagym_async._wire._redact import redact
from datagym_async.exceptions import (
    AlreadyExistsError,
    APIStatusError,
    AuthenticationError,
    BadRequestError,
    ConflictError,
    ErrorDetail,
    InternalServerError,
    LimitReachedError,
    NotFoundError,
    PayloadTooLargeError,
    PermissionDeniedError,
    RateLimitError,
    RequestRefusedError,
    ServiceUnavailableError,
)
from datagym_async.models._ids import is_id

_BY_KEY: Mapping[str, type[APIStatusError]] = {
    "ex_unauthorized": AuthenticationError,
    "ex_forbidden": PermissionDeniedError,
    "ex_notfound": NotFoundError,
    "ex_alreadyexists": AlreadyExistsError,
    "ex_already_contains": ConflictError,
    "ex_limit": LimitReachedError,
    "ex_validation": BadRequestError,
    "ex_service_unavailable": ServiceUnavailableError,
    "ex_feature_not_for_open_core": ServiceUnavailableError,
}

_BY_STATUS: Mapping[int, type[APIStatusError]] = {
    401: AuthenticationError,
    402: LimitReachedError,
    403: PermissionDeniedError,
    404: NotFoundError,
    409: ConflictError,
    412: ConflictError,
    413: PayloadTooLargeError,
    429: RateLimitError,
    503: ServiceUnavailableError,
}

_MAX_TEXT = 300  # characters of one parameter that an error text shows
_LONGEST_MESSAGE = 3_000  # characters of a whole error text, however many fields are at fault
_LONGEST_KEPT = 10_000  # characters of one text of the service that an error keeps, at most
_MOST_KEPT = 100  # parameters of a key, and details of an answer, that an error keeps
WEB_PAGE = (
    "A web page answered instead of the service's API; check that base_url is the service's own"
    " address and that no login page or proxy stands before it."
)


def decode_error(request: Request, response: Response) -> APIStatusError:
    """Return the exception for any answer but 2xx; the caller sets its `retry_after`."""
    said = None
    with suppress(orjson.JSONDecodeError):
        said = loads(response.body)
    said = said if isinstance(said, dict) else {}
    key = said.get("key")
    key = _cut(redact(key[:_LONGEST_KEPT])) if isinstance(key, str) else ""
    params, details = _texts(said.get("params")), _details(said.get("details"))
    status = response.status
    usual = _BY_STATUS.get(status, InternalServerError if status >= 500 else BadRequestError)
    is_rule = status == 500 and key.startswith("ex_gen_")
    return (RequestRefusedError if is_rule else _BY_KEY.get(key, usual))(
        # APIError adds its own text, and the full stop before it.
        _cut(_message(response, key, params, details), _LONGEST_MESSAGE).removesuffix("."),
        status=status,
        key=key,
        params=params,
        details=details,
        method=request.method,
        path=request.path,
    )


def looks_like_html(response: Response) -> bool:
    """Return whether a web page answered: a proxy, a login page, or a wrong address."""
    if response.content_type in {"text/html", "application/xhtml+xml"}:
        return True
    return response.body[:256].lstrip().lower().startswith((b"<!doctype html", b"<html"))


def _texts(value: object) -> tuple[str, ...]:
    return tuple(map(_text, value[:_MOST_KEPT])) if isinstance(value, list) else ()


def _text(value: object) -> str:
    if not isinstance(value, str):
        value = "" if value is None else orjson.dumps(value).decode()
    return redact(value[:_LONGEST_KEPT])


def _details(value: object) -> tuple[ErrorDetail, ...]:
    return tuple(
        ErrorDetail(_text(item.get("name")), _text(item.get("key")), _texts(item.get("params")))
        for item in (value[:_MOST_KEPT] if isinstance(value, list) else ())
        if isinstance(item, dict)
    )


def _message(
    response: Response, key: str, params: Sequence[str], details: Sequence[ErrorDetail]
) -> str:
    status = response.status
    if not key:
        other = f"failed ({status})" if status >= 500 else f"answered with status {status}"
        text = STATUSES.get(status, f"The service {other}.")
        return f"{text} {WEB_PAGE}" if looks_like_html(response) else text
    short = [_cut(param) for param in params]
    if template := SENTENCES.get(key):
        text = _filled(template, short)
        text = f"An{text[1:]}" if text[:2] == "A " and text[2:3] in "AEIOU" else text
        if key == "ex_notfound" and short[1:2] == ["id"] and any(params[2:3]):
            text = no_such(short[0], params[2])
    else:
        said = f" ({', '.join(short)})" if short else ""
        text = f"The service answered {status} with the error {key}{said}."
    if not details:
        return text
    return f"{text.removesuffix('.')}: {'; '.join(map(_phrase, details))}."


def no_such(kind: str, wanted: str) -> str:
    """Return the sentence on an id that nothing of a kind has."""
    text = _filled(SENTENCES["ex_notfound"], (kind, "id", _cut(wanted)))
    return text if is_id(wanted) else f"{text} An id is a UUID, not a name."


def _filled(template: str, params: Sequence[str]) -> str:
    return template.format(*(param or UNSAID for param in params), *3 * (UNSAID,))


def _phrase(detail: ErrorDetail) -> str:
    params, key = [_cut(param) for param in detail.params], _cut(detail.key)
    if key == "ex_pattern" and (words := _PATTERNS.get(params[-1] if params else "")):
        rule = f"must have {words}"
    elif template := DETAILS.get(key):
        rule = _filled(template, params)
    else:
        said = f" ({', '.join(params)})" if params else ""
        rule = f"breaks the rule {key}{said}"
    # The service leaves out the names of fields of more than two words (observed).
    return f"{_cut(detail.name) or 'a field that the service does not name'} {rule}"


def _cut(text: str, longest: int = _MAX_TEXT) -> str:
    return text if len(text) <= longest else f"{text[:longest]}..."


# --- sentences ----------------------------------------------------------------------------------

UNSAID = "(not said)"  # stands for a parameter that the service left out

HOW_TO_LOG_IN = (
    "Pass it as DataGymClient(token=...) or in the variable DATAGYM_TOKEN; it is sent in the header"
    ' Authorization; auth="parameter" is for gateways that remove it.'
)

# The parameters' meaning was observed or read from the service's source (0.29-SNAPSHOT).
SENTENCES: Mapping[str, str] = {
    "ex_unauthorized": f"No token reached the service. {HOW_TO_LOG_IN}",
    "ex_forbidden": (
        "The service refused access: either the token is wrong or was deleted, or the object"
        " belongs to another organisation (it gives one answer for both)."
        f" {HOW_TO_LOG_IN}"
    ),
    "ex_notfound": "The service knows no {0} with {1} {2}; it may have been deleted.",
    "ex_alreadyexists": "A {0} with {1} {2} already exists (names are compared without case).",
    "ex_already_contains": "The {0} already contains this {1}.",
    "ex_limit": "A limit of the organisation's plan is reached ({0}): {1} of {2} allowed.",
    "ex_validation": "The service did not accept the request.",
    "ex_json_parse": "The service could not read the request's JSON.",
    "ex_system": (
        "The service failed without saying why; corrupt images, names that are too long and"
        " bodies beyond its database's limit (16 MiB by default) are answered like this."
    ),
    "ex_service_unavailable": "The part of the service that this call needs is not installed: {0}.",
    "ex_feature_not_for_open_core": "This edition of the service does not offer this call.",
    "ex_no_content": "The service has no more content.",
    "ex_gen_forbidden": "The service does not allow this call.",
    "ex_gen_contains": "The {0} already contains this {1}.",
    "ex_gen_does_not_contain": "The {0} does not contain this {1}.",
    "ex_gen_mediatype_missmatch": (
        "An image project takes only image datasets, and a video project only video datasets."
    ),
    "ex_gen_dummy_project_limit": "The demonstration project cannot be changed like this.",
    "ex_gen_dummy_dataset_limit": "Nothing can be uploaded into the demonstration datasets.",
    "ex_gen_forbidden_keyword": "The word {0} is reserved by the service; choose another name.",
    "ex_gen_public_urls_upload_not_allowed": (
        "The organisation's plan does not allow images by URL; upload the files instead."
    ),
    "ex_gen_url_not_allowed_mediatype": "A video dataset does not accept images by URL.",
    "ex_gen_image_delete": "The media {0} is already deleted.",
    "ex_gen_file_stream": "The service could not fetch the bytes of this media.",
    "ex_gen_file_export": "The service could not write the export.",
    "ex_gen_image_type_not_found": "The service does not know where this media's bytes are.",
    "ex_gen_config_not_cleared": (
        "The label configuration {0} is not empty. Clear it first; that deletes every label of the"
        " project."
    ),
    "ex_gen_config_depth": "The label configuration is nested deeper than 4 levels.",
    "ex_gen_entry_type_not_found": "The service does not know the entry type {0} here.",
    "ex_gen_entry_classification_incorrect": (
        "An entry of type {0} is not complete: a free text needs a maxLength of 1 to 255."
    ),
    "ex_gen_geometry_definition_incorrect": (
        "A geometry of type {0} is only allowed at the root or directly below another geometry."
    ),
    "ex_gen_entry_definition_incorrect": (
        "The ids in the request do not belong together ({0}): value, entry and task must match."
    ),
    "ex_gen_wrong_entry_id": "The label configuration has no entry {0} at this place.",
    "ex_gen_json_upload_not_found_task": (
        "A prediction names a media that has no task in this project; attach its dataset first."
    ),
    "ex_gen_upload_illegal_value": "The value {0} is not allowed for {1}.",
    "ex_gen_json_upload_illegal_value": "The value {0} is not allowed for {1}.",
    "ex_gen_error_messages": "The service could not read the predictions: {0}",
    "ex_gen_entry_value_validation": (
        "A label of type {0} is missing or does not fit the label configuration (value {1})."
    ),
    "ex_gen_entry_value_create": "The service could not create a value of this entry: {0}.",
    "ex_gen_entry_value_delete": "Only geometries can be deleted, not the value {0}.",
    "ex_gen_entry_types_not_the_same": (
        "A value can move only to an entry of the same geometry type."
    ),
    "ex_gen_entry_types_are_the_same": "The value already belongs to this entry.",
    "ex_gen_entry_not_geometry": "Only geometries can move to another entry ({0}).",
    "ex_gen_wrong_label_task_state": (
        "The task {0} must be completed, skipped or reviewed before it has a bitmap."
    ),
    "ex_gen_invalid_project_mediatype": "This call needs a task of a video project.",
    "ex_gen_limit_for_organisation_not_found": "The service knows no plan of this organisation.",
    "ex_gen_aiseg_communication_error": "Assisted segmentation did not answer the service.",
    "ex_gen_aiseg_gpu_busy": "Assisted segmentation is busy; try again in a moment.",
}

DETAILS: Mapping[str, str] = {
    "ex_notnull": "is missing",
    "ex_notempty": "is empty",
    "ex_notblank": "is empty",
    "ex_size": "must have {2} to {1} characters",
    "ex_length": "must have {2} to {1} characters",
    "ex_pattern": "holds characters that are not allowed (allowed: {2})",
    "ex_min": "must be at least {1}",
    "ex_max": "must be at most {1}",
    "ex_val_empty": "is empty",
    "ex_val_bin_mime": "is of type {0}; the service accepts {1}",
    "ex_val_bin_analyse": "could not be recognised",
    "Invalid image url": "is a link that the service cannot fetch: {0}",
    "Amazon S3 Service Exception": "could not be fetched from S3",
    "Amazon Client Exception": "could not be fetched from S3",
}

# Names of datasets, the pattern that people meet.
_PATTERNS = {
    "^[a-zA-Z0-9_ ]{1,128}$": "1 to 128 characters: letters from a to z, digits, blanks and _"
}

STATUSES: Mapping[int, str] = {
    400: "The service could not read the request (400).",
    401: f"The service asks for a token (401). {HOW_TO_LOG_IN}",
    402: "A limit of the organisation's plan is reached (402).",
    403: SENTENCES["ex_forbidden"],
    404: "The service does not know this address (404); check base_url and the service's version.",
    405: "The service does not allow this method here (405).",
    406: "The service cannot answer in the requested format (406).",
    407: "The proxy refused the request (407); check its user and password.",
    409: "The request contradicts what the service holds (409).",
    412: "The request contradicts what the service holds (412).",
    413: "The body is larger than the service, or a proxy before it, takes (413).",
    415: "The service does not accept this type of body (415).",
    429: "The service asks for fewer requests (429).",
    502: "A proxy got no valid answer from the service (502).",
    503: "The service is not available (503).",
    504: "A proxy waited too long for the service (504).",
}
