"""Classes are known by their names, whatever these are, and in whatever company and order."""

from __future__ import annotations

import string
import unicodedata
from typing import TYPE_CHECKING, Literal

import attrs
from hypothesis import given
from hypothesis import strategies as st

from datagym_async.formats import Category, LabelMapping
from datagym_async.formats._classes import class_names, entry_texts, keys_of, option_texts
from datagym_async.formats._mapping import Place, config_of, keypoint_names, places_of
from datagym_async.formats._raw import RawDataset, RawImage
from datagym_async.models import EntryType

if TYPE_CHECKING:
    from collections.abc import Iterator

    from datagym_async.formats._losses import Losses

# Few letters, so that many names meet: in case, accents, separators, signs, scripts and lengths.
NAMES = st.one_of(
    st.text("aAbäÄ ._-/+#", min_size=1, max_size=4),
    st.text("кК猫が\u0301é1", min_size=1, max_size=4),
    st.sampled_from(["car", "Car", "CAR", "car.", "sports car", "image", "Image", "subcategory"]),
    st.sampled_from(["x" * 30, "x" * 31, "x" * 60 + "a", "x" * 60 + "b", "x" * 300]),
    st.text(min_size=1, max_size=20),
)
GROUPS = st.sampled_from(["", "", "car", "sports", "Sports", "кот"])
KEYPOINTS = st.lists(st.sampled_from(["nose", "Nose", "left eye", "left_eye", "нос"]), max_size=3)
CATEGORIES = st.lists(
    st.builds(Category, st.just(1), NAMES, GROUPS, KEYPOINTS), min_size=1, max_size=8
)


def two_files(groups: st.SearchStrategy[str]) -> st.SearchStrategy[list[list[Category]]]:
    """The classes of two files."""
    classes = st.lists(
        st.builds(Category, st.just(1), NAMES, groups, KEYPOINTS), min_size=1, max_size=6
    )
    return st.lists(classes, min_size=2, max_size=2)


# All with a supercategory, or all without; no two of these differ in case alone.
FILES = st.one_of(two_files(st.just("")), two_files(st.sampled_from(["car", "sports", "кот"])))
MAPPINGS = st.builds(
    LabelMapping,
    shape=st.sampled_from(["rectangle", "polygon", "segmentation"]),
    by=st.sampled_from(["supercategory", "category"]),
)
KEY_LETTERS = frozenset(string.ascii_lowercase + string.digits + "_-")


def dataset(categories: list[Category]) -> RawDataset:
    """A file with an image and nothing on it."""

    def images(_: Losses) -> Iterator[RawImage]:
        yield RawImage(name="a.jpg")

    return RawDataset(where="a file", categories=tuple(categories), images=images)


@given(st.lists(NAMES, max_size=12), st.randoms(use_true_random=False))
def test_a_key_depends_on_no_order(names: list[str], random: object) -> None:
    """Any order of names gives each the same key; keys are valid, and no two names have one."""
    shuffled = sorted(names, key=lambda name: hash((name, str(random))))
    keys = keys_of(names, {"image"})
    assert keys_of(shuffled, {"image"}) == keys
    assert set(keys) == {unicodedata.normalize("NFC", name) for name in names}
    assert len(set(keys.values())) == len(keys)
    for key in keys.values():
        assert 1 <= len(key) <= 30
        assert set(key) <= KEY_LETTERS
        assert key != "image"


@given(st.lists(NAMES, min_size=1, max_size=12), st.data())
def test_a_key_depends_on_those_alone_that_meet_it(names: list[str], data: st.DataObject) -> None:
    """A further name changes the keys of those alone that would have its own."""
    more = data.draw(NAMES)
    before, after = keys_of(names), keys_of([*names, more])
    alone = keys_of([more])[unicodedata.normalize("NFC", more)]
    assert {name for name in before if before[name] != after[name]} <= {
        name for name, key in before.items() if key == alone
    }


@given(st.lists(NAMES, max_size=12))
def test_texts_are_distinct(names: list[str]) -> None:
    """No two entries, and no two options, have one text, or texts that differ in blanks alone."""
    for texts in (entry_texts(names), option_texts(names)):
        shown = [text.strip() for text in texts.values()]
        assert len({*shown}) == len(shown)
        assert all(shown)
    assert max(map(len, entry_texts(names).values()), default=0) <= 56


@given(CATEGORIES)
def test_each_class_has_a_name_of_its_own(categories: list[Category]) -> None:
    """With the supercategory before it where it must be, no two classes have one name."""
    names = class_names(each.names for each in categories)
    assert len({*names.values()}) == len(names)
    for (name, _), text in names.items():
        assert name in text


@given(CATEGORIES, MAPPINGS, st.data())
def test_a_configuration_knows_the_classes_it_was_made_of(
    categories: list[Category], mapping: LabelMapping, data: st.DataObject
) -> None:
    """Any part of the classes, in any order, finds the entries that all of them have there."""
    config = config_of(dataset(categories), mapping)
    assert config.problems() == []
    whole = places_of(categories, mapping, config)
    areas = {names: place for (names, kind), place in whole.items() if kind is EntryType.RECTANGLE}
    targets = []
    for names, place in areas.items():
        assert isinstance(place, Place)
        targets.append((place.key, place.option))
        own = [each for each in categories if composed_names(each) == names]
        points = {name for each in own for name in keypoint_names(each)}
        assert place.points.keys() == points
        assert len({*place.points.values()}) == len(points)
    assert len(set(targets)) == len(targets)
    part = data.draw(st.permutations(categories).map(_half))
    for (names, kind), place in places_of(part, mapping, config).items():
        if kind is EntryType.RECTANGLE:
            assert _without_points(place) == _without_points(areas[names])


@given(FILES, st.sampled_from(["rectangle", "polygon"]))
def test_a_configuration_gets_what_it_lacks(
    files: list[list[Category]], shape: Literal["rectangle", "polygon"]
) -> None:
    """A class that has no place gets one, and what is there stays as it is."""
    (first, second), mapping = files, LabelMapping(shape=shape)
    before = config = config_of(dataset(first), mapping)
    for each in second:
        config = config_of(dataset([each]), mapping, present=config)
        after = places_of([each], mapping, config)
        assert isinstance(after[composed_names(each), EntryType.RECTANGLE], Place)
    kept = {each.key: each for each in config.entries}
    for entry in before.entries:
        assert (kept[entry.key].value, kept[entry.key].type) == (entry.value, entry.type)
        for child, same in zip(entry.children, kept[entry.key].children, strict=False):
            assert child.options.items() <= same.options.items()


def composed_names(category: Category) -> tuple[str, str]:
    name, group = (unicodedata.normalize("NFC", each) for each in category.names)
    return name, group


def _half(categories: list[Category]) -> list[Category]:
    return categories[: len(categories) // 2 + 1]


def _without_points(place: object) -> object:
    return attrs.evolve(place, points={}) if isinstance(place, Place) else place
