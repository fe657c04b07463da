"""Label configurations, whatever is in them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from datagym_async.labels import ConfigEntry, LabelConfig, diff
from datagym_async.models import EntryType
from datagym_async.server.routes import build_entries, read_entries

KINDS = [kind for kind in EntryType if kind not in (EntryType.UNKNOWN, EntryType.RADIO)]
KEYS = st.sampled_from([*"abcdef", "line", "Line", "", "x y", "a.b", "on", "no", "1", "null", "~"])
TEXTS = st.one_of(
    st.sampled_from(["A", "Text?", "yes", "true", "1.5", ": x", "- y", "&z", "ä ö"]), st.text()
)
OPTIONS = st.dictionaries(KEYS, TEXTS, max_size=3)

CHOICES = {EntryType.SELECT, EntryType.CHECKLIST}


def entry_of(
    key: str,
    value: str,
    kind: EntryType,
    shortcut: int | None,
    length: int | None,
    required: bool,
    options: dict[str, str],
    children: list[ConfigEntry],
) -> ConfigEntry:
    return ConfigEntry(
        key,
        value,
        kind,
        shortcut=shortcut,
        max_length=length,
        required=required,
        options=options,
        children=children,
    )


def entries(children: st.SearchStrategy[list[ConfigEntry]]) -> st.SearchStrategy[list[ConfigEntry]]:
    one = st.builds(
        entry_of,
        KEYS,
        TEXTS,
        st.sampled_from(KINDS),
        st.one_of(st.none(), st.integers(0, 11)),
        st.one_of(st.none(), st.integers(0, 300)),
        st.booleans(),
        OPTIONS,
        children,
    )
    return st.lists(one, max_size=3)


NOTHING: st.SearchStrategy[list[ConfigEntry]] = st.just([])
CONFIGS = st.recursive(NOTHING, entries, max_leaves=6).map(LabelConfig)


def mended(entry: ConfigEntry, number: int) -> ConfigEntry:
    """Return an entry made sound, but for its place."""
    kind = entry.type
    asks = kind in CHOICES or kind is EntryType.FREETEXT
    return ConfigEntry(
        f"k{number}",
        "Text",
        kind,
        max_length=9 if kind is EntryType.FREETEXT else None,
        required=entry.required and asks,
        options={"a": "A", "b": "B"} if kind in CHOICES else {},
        children=[mended(child, number * 10 + n) for n, child in enumerate(entry.children, 1)],
    )


def sound(config: LabelConfig) -> LabelConfig:
    """Return a configuration with entries of their own keys, made sound."""
    return LabelConfig([mended(entry, number) for number, entry in enumerate(config.entries, 1)])


def payload_is_taken(config: LabelConfig) -> bool:
    """Return whether the embedded service would store it."""
    try:
        build_entries(read_entries(config.to_payload()), timestamp=1)  # type: ignore[arg-type]
    except Exception:
        return False
    return True


@given(CONFIGS)
def test_json_and_back(config: LabelConfig) -> None:
    """Sound or not, nothing is lost and nothing is added."""
    assert LabelConfig.from_json(config.to_json()).entries == config.entries
    assert LabelConfig.from_payload({"entries": config.to_payload()}).entries == config.entries


@given(CONFIGS)
def test_yaml_and_back(config: LabelConfig) -> None:
    """Words that look like something else stay words."""
    assert LabelConfig.from_yaml(config.to_yaml()).entries == config.entries


@given(CONFIGS, CONFIGS)
def test_a_difference_is_a_difference(one: LabelConfig, two: LabelConfig) -> None:
    """Nothing differs from itself, and what goes one way comes the other way."""
    there, back = diff(one, two), diff(two, one)
    assert diff(one, one).is_empty
    assert {each.path for each in there.added} == {each.path for each in back.removed}
    assert {each.path for each in there.changed} == {each.path for each in back.changed}
    assert there.is_empty == back.is_empty == (one == two)


@given(CONFIGS)
def test_the_order_of_entries_is_no_difference(config: LabelConfig) -> None:
    """Where each key is there once, no order of them means anything."""
    config = sound(config)
    assert diff(config, LabelConfig(config.entries[::-1])).is_empty


@given(CONFIGS)
def test_what_has_no_problem_is_taken(config: LabelConfig) -> None:
    """Our rules are those of the embedded service, or stricter."""
    for each in (config, sound(config)):
        assert each.problems() or payload_is_taken(each)
