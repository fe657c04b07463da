"""What the embedded server takes for a label configuration."""

from collections.abc import Mapping
from typing import Any

import pytest

from datagym_async.server._answers import EmptyAnswer, InvalidFields, Refusal
from datagym_async.server.routes import build_entries, read_entries


def _entry(**fields: Any) -> dict[str, Any]:
    return {"entryKey": "a", "entryValue": "A", "type": "POLYGON", **fields}


def _refusal(body: Any) -> tuple[str, tuple[str, ...]]:
    with pytest.raises(Refusal) as caught:
        build_entries(read_entries(body), timestamp=1)
    return caught.value.key, caught.value.params


def test_an_entry_is_stored_in_lower_case_with_what_its_type_knows() -> None:
    """Keys become lower case; colour, options and duty stay with the types that have them."""
    given = _entry(entryKey="Street", color="#fff", shortcut=3, options={"x": "X"}, required=True)
    (entry,) = build_entries(read_entries([given]), timestamp=7)
    assert (entry.key, entry.color, entry.shortcut) == ("street", "#fff", "3")
    assert (entry.options, entry.max_length, entry.required) == ({}, None, False)
    assert entry.view()["timestamp"] == 7


def test_children_know_their_parent() -> None:
    """Every entry gets an id, and children carry their parent's."""
    child = _entry(entryKey="b", type="freetext", maxLength="12", required=True)
    (entry,) = build_entries(read_entries([_entry(children=[child])]), timestamp=1)
    (below,) = entry.children
    assert below.parent_id == entry.id
    assert (below.type, below.max_length, below.required) == ("FREETEXT", 12, True)


@pytest.mark.parametrize(
    "body",
    [
        {},
        "x",
        [5],
        [_entry(unknown=1)],
        [_entry(options=["a"])],
        [_entry(maxLength="many")],
        [_entry(required="perhaps")],
        [_entry(entryKey={})],
        [_entry(children={})],
    ],
)
def test_a_wrong_shape_is_the_frameworks_matter(body: Any) -> None:
    """A body that does not fit is 400 without a word."""
    with pytest.raises(EmptyAnswer) as caught:
        read_entries(body)
    assert caught.value.status == 400


@pytest.mark.parametrize("body", [[None], [_entry(children=None)], [_entry(children=[None])]])
def test_null_in_place_of_an_entry_breaks_the_service(body: Any) -> None:
    """Null where an entry belongs is the service's own failure."""
    with pytest.raises(Refusal) as caught:
        read_entries(body)
    assert caught.value.key == "ex_system"


@pytest.mark.parametrize(
    ("change", "broken"),
    [
        ({"entryKey": None}, {"ex_notnull", "ex_notempty"}),
        ({"entryKey": ""}, {"ex_notempty", "ex_size"}),
        ({"entryKey": "a.b"}, {"ex_pattern"}),
        ({"entryKey": "k" * 57}, {"ex_size"}),
        ({"entryValue": "a,b"}, {"ex_pattern"}),
        ({"type": None}, {"ex_notnull", "ex_notempty"}),
        ({"shortcut": "12"}, {"ex_pattern"}),
        ({"maxLength": 0}, {"ex_min"}),
        ({"maxLength": 256}, {"ex_max"}),
    ],
)
def test_field_rules(change: Mapping[str, Any], broken: set[str]) -> None:
    """Each field has its rules, and all that are broken are told at once."""
    with pytest.raises(InvalidFields) as caught:
        read_entries([_entry(**change)])
    assert {detail.key for detail in caught.value.details} == broken


def test_field_rules_hold_for_children() -> None:
    """A child is checked as its parent is."""
    with pytest.raises(InvalidFields):
        read_entries([_entry(children=[_entry(entryKey="b.c")])])


@pytest.mark.parametrize(
    ("body", "refusal"),
    [
        ([_entry(type="CIRCLE")], ("ex_gen_entry_type_not_found", ("entry type",))),
        ([_entry(entryKey="image")], ("ex_gen_forbidden_keyword", ("image",))),
        ([_entry(id="nope")], ("ex_notfound", ("Entry", "id", "nope"))),
        ([_entry(type="FREETEXT")], ("ex_gen_entry_classification_incorrect", ("FREETEXT",))),
        ([_entry(), _entry()], ("ex_alreadyexists", ("Label entry", "entryKey:", "a"))),
        (
            [_entry(children=[_entry()])],
            ("ex_alreadyexists", ("Label entry", "entryKey:", "a")),
        ),
        (
            [_entry(shortcut="1"), _entry(entryKey="b", shortcut="1")],
            ("ex_alreadyexists", ("Shortcut", "value:", "1")),
        ),
        (
            [_entry(type="SELECT", children=[_entry(entryKey="b")])],
            ("ex_gen_geometry_definition_incorrect", ("polygon",)),
        ),
    ],
)
def test_meaning(body: Any, refusal: tuple[str, tuple[str, ...]]) -> None:
    """What the entries mean together is refused with its own key."""
    assert _refusal(body) == refusal


@pytest.mark.parametrize(("levels", "allowed"), [(4, True), (5, False)])
def test_depth(levels: int, *, allowed: bool) -> None:
    """Four levels are allowed, five are not."""
    entry = _entry(entryKey="k0", type="SELECT")
    for level in range(1, levels):
        entry = _entry(entryKey=f"k{level}", type="SELECT", children=[entry])
    if allowed:
        assert len(build_entries(read_entries([entry]), timestamp=1)) == 1
    else:
        assert _refusal([entry]) == ("ex_gen_config_depth", ())


def test_a_root_key_may_recur_below_another_root() -> None:
    """Keys are unique among roots and within a tree, not across trees."""
    child = _entry(entryKey="b", type="SELECT")
    body: Any = [_entry(children=[child]), _entry(entryKey="b")]
    assert [entry.key for entry in build_entries(read_entries(body), timestamp=1)] == ["a", "b"]


def test_what_is_wrong_is_told_of_the_first_fields_alone() -> None:
    """A small body of entries that break every rule gets an answer of bounded size."""
    with pytest.raises(InvalidFields) as caught:
        read_entries([{}] * 10_000)
    assert len(caught.value.details) == 1_000
