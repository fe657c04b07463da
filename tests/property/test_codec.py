"""Answers, whatever a server says."""

from __future__ import annotations

import contextlib
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datagym_async._wire import ImportAnswer, Request, Response, decode, decode_error, wire_names
from datagym_async.exceptions import APIResponseValidationError, APIStatusError
from datagym_async.labels import LabelExport, VideoLabels
from datagym_async.models import (
    AiSegResult,
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

REQUEST = Request("GET", "path")
KINDS: list[type[Any]] = [
    tuple[Project, ...],
    tuple[Dataset, ...],
    tuple[UrlResult, ...],
    tuple[Task, ...],
    Dataset,
    Media,
    TaskDetail,
    LabelValue,
    LabelConfiguration,
    LabelExport,
    VideoLabels,
    ImportAnswer,
    CompleteResult,
    AiSegResult,
]
WORDS = st.sampled_from(
    [
        "id", "name", "timestamp", "media", "images", "mediaName", "label_classes", "labels",
        "frames", "object", "errorMessages", "entries", "status", "params", "details", "key",
    ]
)  # fmt: skip
SCALARS = (
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats() | st.text(max_size=8)
)


def _containers(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    keys = WORDS | st.text(max_size=4)
    return st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=5)


JSON = st.recursive(SCALARS, _containers, max_leaves=20)


@pytest.mark.parametrize("kind", KINDS, ids=str)
@given(value=JSON)
def test_any_json_is_a_model_or_one_error(kind: type[Any], value: object) -> None:
    """Decoding raises nothing but the one error for answers of another shape."""
    response = Response(200, {"content-type": "application/json"}, orjson.dumps(value))
    with contextlib.suppress(APIResponseValidationError):
        assert decode(REQUEST, response, kind) is not None


@given(body=st.binary(max_size=40), status=st.integers(400, 599), value=JSON)
def test_any_error_body_is_one_error(body: bytes, status: int, value: object) -> None:
    """Whatever comes with an error status, an error with words and the status comes out."""
    for data in (body, orjson.dumps(value)):
        error = decode_error(REQUEST, Response(status, {}, data))
        assert isinstance(error, APIStatusError)
        assert (error.status, bool(str(error))) == (status, True)


def test_fields_have_one_current_name() -> None:
    """No model reads two of its fields from one name, but for the decoded names."""
    for kind in (Dataset, Media, Task, LabelValue, TaskDetail):
        names = [wire_names(kind, field.name)[0] for field in kind.__attrs_attrs__]
        decoded = {"mediaName"}
        rest = [name for name in names if name not in decoded]
        assert len(rest) == len(set(rest))
