"""What a real server answered: every recorded answer is a model, or an error with words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from datagym_async._wire import (
    DETAILS,
    SENTENCES,
    ClearedConfig,
    ImportAnswer,
    Request,
    Response,
    decode,
    decode_error,
)
from datagym_async.labels import LabelExport, VideoLabels
from datagym_async.models import (
    CompleteResult,
    Dataset,
    LabelConfiguration,
    LabelValue,
    Media,
    Project,
    Task,
    TaskDetail,
    UrlResult,
)

_FOLDER = Path(__file__).parent.parent / "conformance" / "wire"

KINDS: dict[str, type[Any]] = {
    "GET_project": tuple[Project, ...],
    "GET_dataset": tuple[Dataset, ...],
    "GET_dataset_id": Dataset,
    "POST_dataset": Dataset,
    "POST_media_dataset_file": Media,
    "POST_media_dataset_url": tuple[UrlResult, ...],
    "GET_task_list": tuple[Task, ...],
    "GET_task": TaskDetail,
    "PUT_task_completeTask": CompleteResult,
    "GET_export": LabelExport,
    "GET_exportVideoTask": VideoLabels,
    "POST_prediction": ImportAnswer,
    "DELETE_config": ClearedConfig,
    "PUT_config": LabelConfiguration,
    "POST_lcValue": LabelValue,
    "PUT_lcValue": LabelValue,
}


def _recordings(name: str) -> list[dict[str, Any]]:
    entries = json.loads((_FOLDER / f"{name}.json").read_bytes())
    return [entry for entry in entries if (entry.get("response") or {}).get("status")]


def _response(entry: dict[str, Any]) -> Response:
    recorded = entry["response"]
    body = recorded["body"]
    data = (
        body.encode()
        if isinstance(body, str)
        else b""
        if body is None
        else json.dumps(body).encode()
    )
    headers = {name.lower(): value for name, value in recorded.get("headers", {}).items()}
    return Response(recorded["status"], headers, data)


def _is_whole(response: Response) -> bool:
    """Return whether a body was recorded whole: long ones were cut, binary ones described."""
    return b"<trimmed" not in response.body and not response.body.startswith(b"<")


@pytest.mark.parametrize(("name", "kind"), KINDS.items(), ids=KINDS)
def test_recorded_answers_are_models(name: str, kind: type[Any]) -> None:
    """Every good answer of a route that was recorded whole is understood."""
    responses = [_response(entry) for entry in _recordings(name)]
    good = [response for response in responses if response.status == 200 and _is_whole(response)]
    json_answers = [r for r in good if r.body and r.content_type == "application/json"]
    found = [decode(Request("GET", name), response, kind) for response in json_answers]
    assert found


@pytest.mark.parametrize("path", sorted(_FOLDER.glob("*.json")), ids=lambda path: path.stem)
def test_recorded_errors_are_known(path: Path) -> None:
    """Every recorded error has a sentence of its own, and every broken rule a phrase."""
    errors = [
        decode_error(Request("GET", "path"), _response(entry))
        for entry in _recordings(path.stem)
        if entry["response"]["status"] >= 400
    ]
    assert {error.key for error in errors} <= SENTENCES.keys() | {""}
    assert {detail.key for error in errors for detail in error.details} <= DETAILS.keys()
