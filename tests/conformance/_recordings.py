"""The recorded exchanges, read from ``wire/``: what was asked and what the service answered."""

import json
import re
from collections.abc import Iterator, Mapping
from email.utils import parsedate_to_datetime
from pathlib import Path

from attrs import field, frozen

WIRE = Path(__file__).parent / "wire"

COVERED = frozenset(
    {
        "auth",
        "HEAD_project",
        "GET_project",
        "GET_dataset",
        "GET_dataset_id",
        "POST_dataset",
        "POST_project_dataset",
        "DELETE_project_dataset",
        "GET_media",
        "DELETE_media",
        "POST_media_dataset_file",
        "POST_media_dataset_url",
        "GET_config",
        "PUT_config",
        "DELETE_config",
        "GET_task_list",
        "POST_prediction",
        "GET_export",
        "GET_exportVideoTask",
        "GET_export_bitmap",
        "GET_task",
        "PUT_task_completeTask",
        "PUT_task_skipTask",
        "POST_lcValue",
        "PUT_lcValue",
        "PUT_lcValue_changeType",
        "DELETE_lcValue",
        "aiseg",
    }
)
"""Files whose every case the suite answers for."""

LABEL_ROUTES = frozenset(
    name
    for name in COVERED
    if name.startswith(("PUT_", "DELETE_lcValue", "DELETE_config", "POST_lcValue", "GET_export"))
    or name in ("POST_prediction", "GET_task", "GET_task_list")
)
"""Those of them that are about labels, which are counted once more on their own."""

NOT_REPLAYED: Mapping[str, str] = {
    "stock_auth": "a build without any token filter, which the embedded server is not",
    "races": "observations of many requests at once; named tests of the client hold them",
    "transport": "observations of connections; named tests of the client hold them",
    "upload_transport": "observations of raw sockets; named tests of the client hold them",
    "limits": "a plan limiter that was switched on by hand for the recording",
}

# Within one second the files' order is not recorded: these are the seconds in which it matters,
# with files or single cases in the order that their answers imply.
_ORDER_WITHIN_SECOND: Mapping[str, str] = {
    "11:55:16": "POST_project_dataset DELETE_project_dataset",
    "11:57:08": "PUT_task_skipTask PUT_task_completeTask GET_export",
    "11:57:50": "POST_lcValue PUT_lcValue PUT_lcValue_changeType DELETE_lcValue",
    "11:58:34": "PUT_lcValue PUT_lcValue_changeType GET_export_bitmap/7 GET_export_bitmap/8"
    " GET_export_bitmap/9 GET_export/5 POST_media_dataset_file GET_task_list DELETE_media"
    " GET_export/6 GET_task PUT_task_skipTask POST_prediction GET_export_bitmap DELETE_config",
    "11:58:35": "GET_export/7 GET_task/7 POST_prediction/56 PUT_config/62 PUT_task_completeTask/20"
    " DELETE_project_dataset POST_project_dataset GET_task/8",
    "11:59:25": "POST_prediction/57 PUT_task_completeTask/21 POST_prediction/58 PUT_lcValue/25"
    " PUT_task_completeTask/22 GET_export/8 POST_prediction/59 PUT_task_completeTask/23"
    " GET_export/9 POST_prediction/60 PUT_task_completeTask/24 GET_export/10",
    "11:59:56": "GET_dataset_id POST_project_dataset PUT_config GET_task_list POST_prediction"
    " PUT_task_completeTask GET_export GET_exportVideoTask GET_task GET_media DELETE_media",
}


@frozen
class RecordedResponse:
    """What the service answered."""

    status: int
    headers: Mapping[str, str]
    body: object


@frozen
class Case:
    """One recorded exchange."""

    file: str
    index: int
    name: str
    method: str
    path: str
    headers: Mapping[str, str]
    body: str | None = field(repr=False)
    response: RecordedResponse = field(repr=False)

    @property
    def key(self) -> str:
        """``FILE/INDEX``: short and stable."""
        return f"{self.file}/{self.index}"

    @property
    def id(self) -> str:
        """The key with the recorded name, for people."""
        return f"{self.key} {self.name}"

    @property
    def time(self) -> str:
        """The second of the recording, ``HH:MM:SS``; empty where none was noted."""
        date = self.response.headers.get("Date")
        return f"{parsedate_to_datetime(date):%H:%M:%S}" if date else ""


def load(files: frozenset[str]) -> list[Case]:
    """Read the cases of `files` in the order in which they were recorded, all on one server."""
    cases = [case for name in sorted(files) for case in _cases_of(name)]
    times = {file: _filled_times([c for c in cases if c.file == file]) for file in files}
    return sorted(cases, key=lambda case: _position(case, times[case.file][case.index]))


def _cases_of(name: str) -> Iterator[Case]:
    entries = json.loads((WIRE / f"{name}.json").read_text(encoding="utf-8"))
    for index, entry in enumerate(entries):
        response = entry.get("response")
        if isinstance(response, dict) and response.get("status"):
            yield _case(name, index, entry, response)


def _case(name: str, index: int, entry: Mapping[str, object], response: dict[str, object]) -> Case:
    request = entry["request"]
    assert isinstance(request, dict)
    headers = response.get("headers")
    return Case(
        file=name,
        index=index,
        name=re.sub(r"\s+", " ", str(entry["case"])),
        method=request["method"],
        path=request["path"],
        headers=request.get("headers") or {},
        body=request.get("body"),
        response=RecordedResponse(
            status=int(str(response["status"])),
            headers=headers if isinstance(headers, dict) else {},
            body=response.get("body"),
        ),
    )


def _filled_times(cases: list[Case]) -> dict[int, str]:
    """Give each case the latest time seen up to it: a file was recorded in its own order."""
    latest, times = "", {}
    for case in cases:
        latest = max(latest, case.time)
        times[case.index] = latest
    return times


def _position(case: Case, time: str) -> tuple[str, int, str, int]:
    order = _ORDER_WITHIN_SECOND.get(time, "").split()
    named = next((name for name in (case.key, case.file) if name in order), None)
    rank = len(order) if named is None else order.index(named)
    return (time, rank, case.file, case.index)
