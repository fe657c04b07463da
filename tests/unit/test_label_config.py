"""Label configurations: built, checked, compared, read and written."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from datagym_async.exceptions import ConfigurationError, LabelConfigError
from datagym_async.labels import ConfigEntry, LabelConfig, diff
from datagym_async.models import EntryType, LabelConfiguration, LabelEntry
from tests.helpers.examples import example

RECORDED = Path(__file__).parent.parent / "conformance" / "wire" / "PUT_config.json"


# --- building ------------------------------------------------------------------------------------


def test_every_type_has_its_method() -> None:
    """What is added to a configuration stands at the root, what is added to an entry in it."""
    config = LabelConfig()
    car = config.add_rectangle("car", "Car", color="#3333FF", shortcut=0)
    kind = car.add_select("kind", "Kind", {"bus": "Bus", "van": "Van"}, required=True)
    kind.add_freetext("remark", "Remark", 20)
    car.add_polygon("window", "Window")
    config.add_point("hydrant", "Hydrant", shortcut="1")
    config.add_line("lane", "Lane")
    config.add_image_segmentation("road", "Road")
    config.add_checklist("weather", "Weather", {"rain": "Rain"})
    assert config.problems() == []
    assert [entry.type.value for root in config.entries for entry in root.walk()] == [
        *("RECTANGLE", "SELECT", "FREETEXT", "POLYGON", "POINT", "LINE"),
        *("IMAGE_SEGMENTATION", "CHECKLIST"),
    ]
    assert config.entries[0].shortcut == "0"
    assert config.entry("car", "kind", "remark").to_entry().max_length == 20


def test_children_may_be_given_at_once() -> None:
    """Entries of any kind can be nested: values, handles, and those of the service."""
    handle = LabelConfig().add_freetext("text", "Text")
    seen = LabelEntry(id="1", key="seen", value="Seen", type=EntryType.FREETEXT, max_length=9)
    plate = ConfigEntry("plate", "Plate", "rectangle")
    config = LabelConfig()
    config.add_rectangle("car", "Car", children=[plate, handle, seen])
    assert [each.key for each in config.entries[0].children] == ["plate", "text", "seen"]
    assert config.problems() == []


def test_a_key_that_is_there_is_an_error() -> None:
    """A duplicate is never hidden, whatever its case or type; it can be replaced on request."""
    config = LabelConfig()
    config.add_rectangle("car", "Car")
    with pytest.raises(LabelConfigError, match="'car' is there already"):
        config.add_polygon("CAR", "Car")
    config.entry("car").add_line("a", "A")
    with pytest.raises(LabelConfigError):
        config.entry("car").append_entry(ConfigEntry("a", "A", "line"))
    wrong: Any = {"entryKey": "x"}
    with pytest.raises(ConfigurationError, match="of the type ConfigEntry or LabelEntry"):
        config.append_entry(wrong)
    config.append_entry(ConfigEntry("car", "Car", "polygon"), overwrite_duplicate=True)
    assert [each.type for each in config.entries] == [EntryType.POLYGON]


def test_an_entry_that_is_not_there() -> None:
    """The error names those that are."""
    config = LabelConfig()
    config.add_point("a", "A")
    with pytest.raises(LabelConfigError, match=r"'b' here, only 'a'"):
        config.entry("b")
    with pytest.raises(ConfigurationError, match="key is 5; it must be a text"):
        config.entry(5)  # type: ignore[arg-type]


def test_what_it_prints() -> None:
    """Keys, in order."""
    config = LabelConfig()
    handle = config.add_point("a", "A")
    assert repr(config) == "<LabelConfig a>"
    assert repr(handle) == "<POINT 'a', 0 nested>"
    assert repr(LabelConfig()) == "<LabelConfig without entries>"


# --- rules ---------------------------------------------------------------------------------------


def entry(key: str = "a", value: str = "A", kind: str = "point", **more: Any) -> ConfigEntry:
    return ConfigEntry(key, value, kind, **more)


def select(key: str = "s", **more: Any) -> ConfigEntry:
    return entry(key, "S", "select", options={"a": "A", "b": "B"}, **more)


@pytest.mark.parametrize(
    ("entries", "problems"),
    [
        ([entry("")], ["(no key): the key is empty"]),
        ([entry("  ")], ["the key is empty"]),
        ([entry("a.b")], ["a.b: the key 'a.b' holds '.'"]),
        ([entry("k" * 57)], ["the key has 57 characters, 56 are allowed"]),
        ([entry("Line")], ["line: the key 'line' is a reserved word of the service"]),
        ([entry("ImageId")], ["is a reserved word of the service"]),
        ([entry(value="")], ["a: the text is empty"]),
        ([entry(value="v" * 57)], ["the text has 57 characters"]),
        ([entry(value="Ä.")], ["holds '.', 'Ä'"]),
        ([entry(kind="circle")], ["its type is unknown"]),
        ([entry(kind="radio")], ["its type is unknown"]),
        ([entry(shortcut=12)], ["the shortcut is '12'; it must be one digit"]),
        ([entry(kind="freetext")], ["a free text needs a maximum length"]),
        ([entry(kind="freetext", max_length=0)], ["the maximum length is 0"]),
        ([entry(kind="freetext", max_length=256)], ["the maximum length is 256"]),
        ([entry(kind="select")], ["a select needs options"]),
        ([entry(kind="checklist", options={"": "x"})], ["needs a key and a text"]),
        ([entry(kind="checklist", options={"ä": "x"})], ["holds 'ä', which labels cannot contain"]),
        ([entry(kind="checklist", options={"k" * 57: "x"})], ["is too long"]),
        (
            [entry(kind="checklist", options={"a": "x", "A": "y", "c": "x"})],
            ["'a' and 'A' cannot be told apart", "'a' and 'c' cannot be told apart"],
        ),
        ([select(color="#3333FF")], ["s: a color has no meaning for the type SELECT"]),
        ([entry(required=True)], ["a: required has no meaning for the type POINT"]),
        ([entry(max_length=3)], ["a maximum length has no meaning"]),
        ([entry(options={"a": "A"})], ["options has no meaning"]),
        (
            [select(children=[entry("g")])],
            ["s/g: a geometry must be at the root, or directly in"],
        ),
        (
            [entry(children=[entry("b", children=[entry("c")])])],
            ["a/b/c: a geometry must be at the root"],
        ),
        ([entry(children=[entry("b", kind="image_segmentation")])], ["a/b: an image segmentation"]),
        (
            [entry(kind="image_segmentation", children=[select()])],
            ["nothing can be nested in an image segmentation"],
        ),
        (
            [
                select("a", children=[select("b", children=[select("c", children=[select("d")])])]),
            ],
            [],
        ),
        (
            [
                select(
                    "a",
                    children=[
                        select(
                            "b",
                            children=[select("c", children=[select("d", children=[select("e")])])],
                        )
                    ],
                ),
            ],
            ["a/b/c/d/e: it is on level 5; 4 levels are allowed"],
        ),
        ([entry(), entry("A")], ["the configuration: 2 entries have the key 'a'"]),
        ([entry(children=[select("a")])], ["a: the key 'a' is used in several places (a, a/a)"]),
        ([entry(children=[select(), select()])], ["a: 2 entries have the key 's'"]),
        ([entry("a", children=[select()]), entry("b", children=[select()])], []),
        (
            [entry("a", shortcut=1), entry("b", shortcut=1), entry("c", shortcut=1)],
            ["b: the shortcut 1 is taken by a", "c: the shortcut 1 is taken by a"],
        ),
    ],
)
def test_each_rule_is_said(entries: list[ConfigEntry], problems: list[str]) -> None:
    """Each problem is a sentence with the path of its entry, and all are found at once."""
    found = LabelConfig(entries).problems()
    assert len(found) == len(problems), found
    for sentence, words in zip(found, problems, strict=True):
        assert words in sentence
        assert sentence.endswith(".")


def test_all_problems_come_with_the_error() -> None:
    """The text names the first ones, the attribute has them all."""
    config = LabelConfig([entry(f"a.{number}") for number in range(12)])
    with pytest.raises(LabelConfigError, match="and 2 more") as caught:
        config.validate()
    assert len(caught.value.problems) == 12


def test_what_the_editor_would_not_take_is_a_warning() -> None:
    """The service takes it, so that it is no problem."""
    config = LabelConfig(
        [
            entry("two words", color="red"),
            entry("b", kind="select", options={"Ö o": "x"}),
            entry("c", children=[entry("d", shortcut=3)]),
        ]
    )
    assert len(config.warnings()) == 5
    assert config.problems() == [
        "b: the key of the option 'Ö o' holds 'Ö', which labels cannot contain."
    ]


# Equal or stricter than the service, and why: a question without answers cannot be answered, what
# means nothing is dropped, no label can name the option, the export loses a segmentation's nest.
STRICTER = {
    "select without options",
    "select empty options",
    "checklist without options",
    "geometry with options",
    "option key odd chars",
    "segmentation with child",
    "segmentation as child",
}
# Not about what is in the body, or mended on the way: ids, times and nulls are left out.
OTHERWISE = {
    "PUT again without clear (populated)",
    "text/plain",
    "unknown config",
    "no token",
    "wrong method POST",
    "id given that does not exist",
    "children null",
    "read-back shape resubmitted (extra fields timestamp)",
}


def test_the_verdict_is_that_of_the_service() -> None:
    """For each recorded upload: refused there, refused here; taken there, taken here."""
    for case in json.loads(RECORDED.read_bytes()):
        try:
            refused = bool(LabelConfig.from_json(case["request"]["body"] or "").problems())
        except LabelConfigError:
            refused = True
        name, there = case["case"], case["response"]["status"] != 200
        assert refused == (there or name in STRICTER) or name in OTHERWISE, name


# --- documents -----------------------------------------------------------------------------------


def test_the_three_spellings_of_the_service_are_one() -> None:
    """Body, view and editor's file are read alike; the file leaves `required` out."""
    body = LabelConfig.from_payload(example("09_label_config_put"))
    view = LabelConfig.from_payload(example("10_label_config_view"))
    assert body == view
    task = LabelConfig.from_payload({"labelConfig": example("10_label_config_view")})
    assert task == view
    file = LabelConfig.from_payload(example("15_label_config_variants", "ui_export_file"))
    (change,) = diff([*body.entries][:2], file).changed
    assert (change.path, change.fields) == ("vehicle/kind", ("required",))


def test_what_the_official_builder_made_is_built_by_the_same_calls() -> None:
    """The calls give what they gave there, but for what was lost: a duplicate, shortcut 0."""
    config = LabelConfig()
    config.add_freetext("caption", "caption")
    plate = ConfigEntry("plate", "Plate", "rectangle")
    vehicle = config.add_rectangle("vehicle", "Vehicle", [plate], "#FB110D", 1)
    vehicle.add_select("subcategory", "subcategory", {"car": "car", "bus": "bus"}, required=True)
    config.add_checklist("weather", "Weather", {"rain": "Rain"})
    lane = config.add_line("lane", "Lane")
    config.add_point("hydrant", "Hydrant")
    made = LabelConfig.from_payload(example("15_label_config_variants", "sdk_0_7_2_builder_output"))
    assert config == made
    assert lane.to_entry().to_payload() == made.entries[3].to_payload()


def test_an_example_round_trips() -> None:
    """Through JSON, YAML and what the service shows, nothing changes."""
    config = LabelConfig.from_payload(example("09_label_config_put"))
    assert LabelConfig.from_json(config.to_json(indent=None)) == config
    assert LabelConfig.from_yaml(config.to_yaml()) == config
    marked = f"\ufeff{config.to_json()}"
    assert LabelConfig.from_json(marked) == LabelConfig.from_json(marked.encode()) == config
    assert LabelConfig.from_yaml(f"\ufeff{config.to_yaml()}") == config
    assert LabelConfig.from_entries(config.to_payload()) == config


def test_a_view_is_read() -> None:
    """A configuration that the service shows loses its ids and times."""
    shown = LabelEntry(id="1", key="a", value="A", type=EntryType.POINT, timestamp=5)
    view = LabelConfiguration(id="C", project_id="P", entries=(shown,))
    assert LabelConfig.from_entries(view).entries == (entry(),)
    assert LabelConfig.from_entries([shown]).entries == (entry(),)


@pytest.mark.parametrize("length", [-1, 0, 255, 2147483648, 9223372036854775807])
def test_yaml_keeps_a_number_whole(length: int) -> None:
    """Also where it breaks a rule: then that is said of the number that stands there."""
    payload = [{"entryKey": "t", "entryValue": "T", "type": "freetext", "maxLength": length}]
    config = LabelConfig.from_payload(payload)

    assert LabelConfig.from_yaml(config.to_yaml()) == config
    assert config.entries[0].max_length == length


def test_yaml_means_what_is_written() -> None:
    """`on`, `no`, `1e3` and dates are words; true and null are not."""
    text = """
    - entryKey: lamp
      entryValue: Lamp
      type: select
      required: true
      color: null
      options: {on: On, no: Off, 2020-01-01: x, 1e3: y}
    - {entryKey: t, entryValue: T, type: freetext, maxLength: 12}
    """
    config = LabelConfig.from_yaml(text)
    lamp, free = config.entries
    assert list(lamp.options) == ["on", "no", "2020-01-01", "1e3"]
    assert (lamp.required, lamp.color, free.max_length) == (True, None, 12)


ONE = '[{"entryKey": "a", "entryValue": "A", "type": "point"%s}]'


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ('"a"', "the document of the label configuration is str; it must be a list"),
        ('{"a": 1}', "is not a label configuration: it holds no list of entries"),
        ('{"entries": null}', "null; it must be a list of entries"),
        ("[1]", r"\[0\] of the label configuration is int"),
        ('[{"entryKey": "a"}]', r"\[0\] has no entryValue"),
        (ONE % ', "icon": 1', "'icon' that no entry has; use children, color"),
        (ONE % ', "color": true', r"\[0\].color of the label configuration is bool"),
        (ONE % ', "maxLength": "x"', "maxLength of the label configuration is str"),
        (ONE % ', "required": "yes"', "required of the label configuration is str"),
        (ONE % ', "options": ["a"]', "options of the label configuration is list"),
        (ONE % ', "options": {"a": "x", "a": "y"}', "gives 'a' twice"),
        (ONE % ', "children": [{}]', r"\[0\].children\[0\] has no entryKey"),
        (ONE.replace("point", "circle") % "", "'circle', which is not a type; use one of POINT"),
        (ONE.replace("point", "circle") % "", "CHECKLIST, FREETEXT$"),
    ],
)
def test_a_document_that_is_none(text: str, words: str) -> None:
    """The text says where, and what is due."""
    with pytest.raises(LabelConfigError, match=words):
        LabelConfig.from_json(text)


def test_entries_nested_too_deep() -> None:
    """It ends in a sentence, not in the interpreter's limit."""
    nested: list[dict[str, object]] = []
    for _ in range(200):
        nested = [{"entryKey": "a", "entryValue": "A", "type": "select", "children": nested}]
    with pytest.raises(LabelConfigError, match="nested too deep"):
        LabelConfig.from_payload(nested)


@pytest.mark.parametrize("text", ["a: [", "- &a [*a]", "{a: 1, a: 2}", "\0", "- !!python/name:os"])
def test_yaml_that_is_none(text: str) -> None:
    """Wrong, endless or dangerous YAML is an error of the tree."""
    with pytest.raises(LabelConfigError):
        LabelConfig.from_yaml(text)


@pytest.mark.parametrize(
    "value", ["!!int abc", f"!!int {'1' * 5000}", "!!float x", "!!timestamp x", "!!bool maybe"]
)
def test_yaml_with_a_tag_that_its_value_is_not(value: str) -> None:
    """It is a text, as without the tag; it was PyYAML's own error."""
    text = f"- {{entryKey: t, entryValue: T, type: freetext, maxLength: {value}}}"
    with pytest.raises(LabelConfigError, match=r"maxLength.* a whole number"):
        LabelConfig.from_yaml(text)


def test_yaml_in_another_encoding() -> None:
    """What to do is said, not what the parser met."""
    with pytest.raises(LabelConfigError, match="is not YAML: it is not in UTF-8; save it as UTF-8"):
        LabelConfig.from_yaml("- entryKey: ß".encode("cp1252"))
    with pytest.raises(LabelConfigError, match="is not JSON: it is not in UTF-8; save it as UTF-8"):
        LabelConfig.from_json(b'[{"entryKey": "\xfc"}]')


def test_a_few_lines_that_stand_for_millions() -> None:
    """References of YAML multiply: what would not end in an hour ends at a bound."""
    entry_ = "{entryKey: k, entryValue: K, type: POINT, children: %s}"
    text, inner = "", "[]"
    for level in range(12):
        text += f"- &a{level} {entry_ % inner}\n"
        inner = f"[{', '.join([f'*a{level}'] * 10)}]"
    with pytest.raises(LabelConfigError, match="more than 10,000 entries"):
        LabelConfig.from_yaml(text)
    words = "\n".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12))
    with pytest.raises(LabelConfigError, match="found unhashable key"):
        LabelConfig.from_yaml(f"a0: &a0 [x]\n{words}\n? *a11\n: x")


def test_yaml_without_pyyaml(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sentence says which extra brings it."""
    monkeypatch.setitem(sys.modules, "yaml", None)
    monkeypatch.delitem(sys.modules, "datagym_async.labels._config_yaml", raising=False)
    import datagym_async.labels

    monkeypatch.delattr(datagym_async.labels, "_config_yaml", raising=False)
    with pytest.raises(ConfigurationError, match="formats"):
        LabelConfig().to_yaml()


# --- differences ---------------------------------------------------------------------------------


def test_differences_are_told_by_path() -> None:
    """A line for each: gone, changed, new; a type that changes is a change."""
    before = LabelConfig([entry("a", children=[select()]), entry("gone")])
    after = LabelConfig(
        [
            entry("new", "New", "line"),
            entry("a", kind="line", color="#3333FF", children=[
                entry("s", "S", "select", options={"b": "Bee", "c": "C"}, required=True)
            ]),
        ]
    )  # fmt: skip
    assert str(diff(before, after)).splitlines() == [
        "- gone (point 'A')",
        "~ a: type POINT -> LINE, color none -> '#3333FF'",
        "~ a/s: required False -> True, option -a, option b 'B' -> 'Bee', option +c",
        "+ new (line 'New')",
    ]


def test_order_is_no_difference() -> None:
    """Neither of entries nor of options: the service keeps neither."""
    one = select(children=[select("x"), select("y")])
    two = entry(
        "s", "S", "select", options={"b": "B", "a": "A"}, children=[select("y"), select("x")]
    )
    assert diff([one, entry()], [entry(), two]).is_empty
    assert not diff([one], [two])
    assert LabelConfig([one]) == LabelConfig([two])


def test_what_is_stored_twice_differs() -> None:
    """Uploads at the same time store entries twice; that is seen, and so can be mended."""
    (change,) = diff([entry(), entry()], [entry()]).removed
    assert (change.path, change.after) == ("a", None)
