"""The comparison itself: it must let ids, times and order pass, and nothing else."""

import json

import pytest

from tests.conformance._compare import Json, differences, json_differences, shape_differences
from tests.conformance._http import Reply
from tests.conformance._ids import Ids
from tests.conformance._recordings import Case, RecordedResponse

A, B, C, D = (f"{digit * 8}-0000-4000-8000-000000000000" for digit in "abcd")


def _case(*, method: str = "GET", headers: dict[str, str] | None = None, body: object) -> Case:
    response = RecordedResponse(status=200, headers=headers or {}, body=body)
    return Case("FILE", 0, "case", method, "/", {}, None, response)


def _reply(body: object, *headers: tuple[str, str], status: int = 200) -> Reply:
    data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    return Reply(status, headers, data)


@pytest.mark.parametrize(
    ("recorded", "actual"),
    [
        ({"id": A}, {"id": B}),
        ({"timestamp": 1}, {"timestamp": 2}),
        ([{"n": 1}, {"n": 2}], [{"n": 2}, {"n": 1}]),
        ({"path": f"/x/{A}", "id": A}, {"path": f"/x/{A}", "id": A}),
        ({"msg": "SHIM bad token"}, {"msg": "anything"}),
        (["Name", "Pattern$Flag;@27e58da7"], ["Name", "Pattern$Flag;@1234abcd"]),
    ],
)
def test_lets_pass(recorded: Json, actual: Json) -> None:
    """Ids that map one to one, times, the order of objects and the stand-ins' own text may vary."""
    assert json_differences(recorded, actual, Ids()) == []


@pytest.mark.parametrize(
    ("recorded", "actual"),
    [
        ({"a": 1}, {"a": 2}),
        ({"a": 1}, {"a": 1.0}),
        ({"a": 1}, {"a": True}),
        ({"a": 1}, {"a": 1, "b": 1}),
        ({"a": None}, {"a": ""}),
        ({"timestamp": 1}, {"timestamp": "1"}),
        ({"id": A}, {"id": "no id"}),
        ([{"id": A}, {"id": A}], [{"id": B}, {"id": C}]),
        ([{"id": A}, {"id": B}], [{"id": C}, {"id": C}]),
        ([{"n": 1}], [{"n": 1}, {"n": 1}]),
        ([{"n": 1}], []),
        (["x", "y"], ["y", "x"]),
        ({"points": [{"x": 1}, {"x": 2}]}, {"points": [{"x": 2}, {"x": 1}]}),
        ({"polygon": [{"x": 1}, {"x": 2}]}, {"polygon": [{"x": 2}, {"x": 1}]}),
        ({"image_segmentation": [[{"x": 1}, {"x": 2}]]}, {"image_segmentation": [[{"x": 2}]]}),
        (["a", "b", {"c": []}], ["b", "a", {"c": []}]),
        ({"msg": "No msg"}, {"msg": "other"}),
    ],
)
def test_catches(recorded: Json, actual: Json) -> None:
    """A value, type, key, count or id that does not fit is a difference."""
    assert json_differences(recorded, actual, Ids()) != []


def test_ids_are_remembered() -> None:
    """What one answer revealed about an id binds the next."""
    ids = Ids()
    assert json_differences({"id": A}, {"id": C}, ids) == []
    assert json_differences({"id": A}, {"id": C}, ids) == []
    assert json_differences({"id": A}, {"id": D}, ids) != []
    assert json_differences({"id": B}, {"id": C}, ids) != []
    assert ids.translate(f"/dataset/{A}") == f"/dataset/{C}"
    assert ids.translate(f"/dataset/{A.upper()}") == f"/dataset/{C.upper()}"


def test_a_failed_item_teaches_nothing() -> None:
    """An item that turns out not to match leaves no pair of ids behind."""
    ids = Ids()
    assert json_differences([{"id": A, "n": 1}], [{"id": C, "n": 2}, {"id": D, "n": 1}], ids) != []
    assert ids.real(A) == D


@pytest.mark.parametrize(
    ("recorded", "actual", "holds"),
    [
        ([{"a": 1}], [{"a": 2}, {"a": 3}], True),
        ([{"a": 1}], [], True),
        ([{"a": 1}], [{"a": "1"}], False),
        ([{"a": 1}], [{"b": 1}], False),
        ({"a": [1]}, {"a": {}}, False),
    ],
)
def test_shape(recorded: Json, actual: Json, *, holds: bool) -> None:
    """The shape of an item counts where the recordings do not carry the set."""
    assert (shape_differences(recorded, actual) == []) is holds


@pytest.mark.parametrize(
    ("recorded", "actual"),
    [
        ({"Content-Type": "application/json"}, ("Content-Type", "text/html")),
        ({}, ("Connection", "close")),
        ({"Allow": "GET,POST"}, ("Allow", "GET")),
        ({"Content-Disposition": 'attachment; filename="a"'}, ("X", "")),
        ({"Transfer-Encoding": "chunked"}, ("Content-Length", "2")),
    ],
)
def test_headers(recorded: dict[str, str], actual: tuple[str, str]) -> None:
    """The headers that a client acts on are compared."""
    found = differences(_case(headers=recorded, body=[]), _reply([], actual), Ids())
    assert [line.split()[0] for line in found] == ["header"]


def test_status_and_void_bodies() -> None:
    """A status differs alone; a void answer must be empty."""
    case = _case(body="")
    assert differences(case, _reply(""), Ids()) == []
    assert len(differences(case, _reply("", status=201), Ids())) == 1
    assert len(differences(case, _reply({}), Ids())) == 1


def test_trimmed_bodies() -> None:
    """Of a body that was cut off in the recording, the whole items must be there."""
    kept = json.dumps([{"id": A, "n": 1}, {"id": B, "n": 2}])[:-6] + " ...<trimmed, 99 bytes total>"
    held = [{"id": C, "n": 2}, {"id": D, "n": 1}, {"id": B, "n": 3}]
    assert differences(_case(body=kept), _reply(held), Ids()) == []
    assert differences(_case(body=kept), _reply(held[:1]), Ids()) != []
