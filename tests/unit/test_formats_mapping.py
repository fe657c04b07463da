"""What readers give as label values: which class is which entry, and what becomes of each part."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from datagym_async import formats
from datagym_async.formats import Category, FormatError, LabelMapping, LossKind, service_key
from datagym_async.formats._labelled import images_of
from datagym_async.formats._losses import Losses
from datagym_async.formats._mapping import config_of, keypoint_names
from datagym_async.formats._raw import RawDataset, RawImage, RawObject
from datagym_async.labels import (
    Annotation,
    LabelConfig,
    LabeledImage,
    Line,
    Point,
    Polygon,
    Rectangle,
    Segmentation,
)
from datagym_async.models import EntryType
from tests.helpers.label_files import picture

if TYPE_CHECKING:
    from collections.abc import Iterator

BOX = (1.0, 2.0, 3.0, 4.0)
RING = [(1.0, 1.0), (5.0, 1.0), (5.0, 4.0), (1.0, 4.0)]
CORNERS = Polygon([(1, 2), (4, 2), (4, 6), (1, 6)])
BY_CATEGORY = LabelMapping(by="category")


def named(name: str, group: str = "", **more: Any) -> Category:
    return Category(0, name, group, **more)


def found(category: Category, **members: Any) -> RawObject:
    return RawObject(category=category, where="line 1", **members)


def dataset(*objects: RawObject, classes: tuple[Category, ...] = (), **more: Any) -> RawDataset:
    """A file with one image; its classes are those of the objects, and others."""

    def images(_: Losses) -> Iterator[RawImage]:
        yield RawImage(name="a.jpg", objects=[*objects], **more)

    categories = {each.category.names: each.category for each in objects}
    categories |= {each.names: each for each in classes}
    return RawDataset(where="a file", categories=tuple(categories.values()), images=images)


def mapped(
    given: RawDataset, config: LabelConfig | None = None, mapping: LabelMapping | None = None
) -> tuple[LabeledImage, dict[str, int], str]:
    """Return the one image, how often what was lost, and the report."""
    losses = Losses()
    (image,) = images_of(given, mapping or LabelMapping(), losses, config)
    counts = {each.kind.value: each.count for each in losses.report().items}
    return image, counts, str(losses.report())


def keys(image: LabeledImage) -> list[object]:
    """Return the key of each annotation, with its answer if there is one."""
    answers = [[each.value for each in found.classifications] for found in image.annotations]
    return [
        (found.key, *values) if values else found.key
        for found, values in zip(image.annotations, answers, strict=True)
    ]


# --- Which class is which entry -------------------------------------------------------------------


@pytest.mark.parametrize(
    "names",
    [("кошка", "собака", "машина"), ("猫", "狗"), ("Car", "car"), ("C", "C++", "C#"), ("♂", "♀")],
)
def test_classes_keep_their_entries_in_any_company(names: tuple[str, ...]) -> None:
    """A class of a later file is the entry that it was, wherever it stands, and alone as well."""
    classes = [named(name) for name in names]
    config = config_of(dataset(classes=(*classes,)), LabelMapping())
    assert config.problems() == []
    own = {}
    for each in classes:
        image, lost, _ = mapped(dataset(found(each, box=BOX)), config)
        assert lost == {}
        own[each.name] = image.annotations[0].key
    assert len({*own.values()}) == len(names)
    image, _, _ = mapped(dataset(*(found(each, box=BOX) for each in reversed(classes))), config)
    assert keys(image) == [own[name] for name in reversed(names)]


def test_a_class_without_an_entry_is_left_out_by_name() -> None:
    """It is nothing that is near, and neither the first entry nor the only one."""
    config = LabelConfig()
    config.add_rectangle("dog", "Dog")
    config.add_point("cat", "Cat")
    given = dataset(*(found(named(name), box=BOX) for name in ("fox", "dog", "fox", "cat")))
    image, lost, text = mapped(given, config)
    assert keys(image) == ["dog"]
    assert lost == {"no_entry": 3}
    assert "'fox'" in text
    assert "'cat', of which 'cat' takes another shape" in text


def test_an_empty_configuration_takes_nothing() -> None:
    """A configuration without entries is one all the same."""
    image, lost, text = mapped(dataset(*[found(named("dog"), box=BOX)] * 2), LabelConfig())
    assert (image.annotations, lost) == ((), {"no_entry": 2})
    assert text.endswith("('dog')")  # without dots: there is no other class


@pytest.mark.parametrize("labels", [{}, {"captions": ["a street"]}])
def test_an_image_whose_labels_are_all_lost_is_not_one_without_labels(
    labels: dict[str, Any],
) -> None:
    """Imported like one without labels, it would empty its task."""
    given = (dataset(**labels, is_labelled=bool(labels)), LabelMapping(), Losses(), LabelConfig())
    assert len([*images_of(*given)]) == (not labels)


def test_entries_are_found_by_text_before_case_and_key() -> None:
    """The text as it is comes first, then the text in any case, then the key."""
    config = LabelConfig()
    for key, text in (("a", "Traffic Light"), ("b", "traffic light"), ("stop sign", "Halt")):
        config.add_rectangle(key, text)
    config.add_rectangle("auto", "Straße")
    names = ("traffic light", "Traffic Light", "Stop Sign", "STRASSE")
    image, lost, _ = mapped(dataset(*(found(named(each), box=BOX) for each in names)), config)
    assert (keys(image), lost) == (["b", "a", "stop sign", "auto"], {})
    image, lost, _ = mapped(dataset(found(named("TRAFFIC LIGHT"), box=BOX)), config)
    assert (keys(image), lost) == ([], {"no_entry": 1})  # which of the two, nothing says


def test_two_classes_for_one_entry() -> None:
    """Where one of them is sure to be meant, the others are left out by name; else all of them."""
    config = LabelConfig()
    config.add_rectangle("car", "Car")
    given = dataset(found(named("Car"), box=BOX), found(named("CAR"), box=BOX))
    image, lost, text = mapped(given, config)
    assert (keys(image), lost) == (["car"], {"shared_entry": 1})
    assert "'CAR' and 'Car' mean 'car'" in text
    given = dataset(found(named("cAR"), box=BOX), found(named("CAR"), box=BOX))
    assert mapped(given, config)[1] == {"shared_entry": 2}
    given = dataset(*(found(named("Car", group), box=BOX) for group in ("toy", "real")))
    image, lost, _ = mapped(given, config)
    assert (image.annotations, lost) == ((), {"shared_entry": 2})


def test_composed_and_decomposed_names_are_one() -> None:
    """Two forms of one name in Unicode are one class."""
    given = dataset(found(named("Caf\u00e9"), box=BOX), found(named("Cafe\u0301"), box=BOX))
    assert [each.key for each in config_of(given, LabelMapping()).entries] == ["cafe"]
    assert keys(mapped(given)[0]) == ["cafe", "cafe"]


def test_nested_and_flat_configurations() -> None:
    """Classes are found in a select below their group, below any one, or as entries themselves."""
    nested = LabelConfig()
    select = {"car": "Car", "bus": "Bus"}
    nested.add_rectangle("vehicle", "Vehicle").add_select("kind", "Kind", select)
    animal = nested.add_rectangle("animal", "Animal")
    animal.add_select("subcategory", "Kind", {"dog": "Dog"})
    animal.add_select("color", "Color", {"red": "Red"})
    car, dog = named("car", "vehicle"), named("dog")
    red = dataset(found(named("red"), box=BOX))
    assert mapped(red, nested)[1] == {"no_entry": 1}
    image, lost, _ = mapped(dataset(found(car, box=BOX), found(dog, box=BOX)), nested)
    assert (keys(image), lost) == ([("vehicle", "car"), ("animal", "dog")], {})
    flat = LabelConfig()
    flat.add_rectangle("car", "Car")
    flat.add_rectangle("animal_dog", "animal dog")
    given = dataset(found(car, box=BOX), found(named("dog", "animal"), box=BOX))
    image, lost, _ = mapped(given, flat)
    assert (keys(image), lost) == (["car", "animal_dog"], {"group": 2})


def test_names_with_their_group_before_them_are_found() -> None:
    """Files in which names alone tell classes have them like this, and come back."""
    config = LabelConfig()
    for group in ("vehicle", "animal"):
        root = config.add_rectangle(group, group.capitalize())
        root.add_select("subcategory", "Kind", {"other": "other", group[0]: f"a {group}"})
    names = ("Vehicle other", "animal other", "a vehicle")
    image, lost, _ = mapped(dataset(*(found(named(each), box=BOX) for each in names)), config)
    assert keys(image) == [("vehicle", "other"), ("animal", "other"), ("vehicle", "v")]
    assert lost == {}
    assert mapped(dataset(found(named("other"), box=BOX)), config)[1] == {"no_entry": 1}


def test_names_with_their_keys_behind_them_are_found() -> None:
    """Entries and options of one text are written like this, and come back."""
    config = LabelConfig()
    for key in ("car", "car_2"):
        config.add_rectangle(key, "Car").add_select("subcategory", "Kind", {"bus": "Bus"})
    names = [named("Car (car)"), named("Car (car_2)"), named("Bus (car_2/bus)", "Car")]
    image, lost, _ = mapped(dataset(*(found(each, box=BOX) for each in names)), config)
    assert (keys(image), lost) == (["car", "car_2", ("car_2", "bus")], {})
    by_category = LabelMapping(by="category", select="subcategory")
    one = dataset(found(named("Car (car/bus)", "Bus"), box=BOX))
    assert keys(mapped(one, config, by_category)[0]) == [("car", "bus")]


def test_a_group_and_a_name_are_not_another_name() -> None:
    """Where nothing can be nested, both classes have a text that is not taken for the other."""
    mapping = LabelMapping(shape="segmentation")
    classes = (named("car", "sports"), named("sports car"))
    config = config_of(dataset(classes=classes), mapping)
    assert [each.value for each in config.entries] == ["sports car de87932b", "sports car"]
    for each, entry in zip(classes, config.entries, strict=True):
        image, _, _ = mapped(dataset(found(each, parts=[[RING]])), config, mapping)
        assert keys(image) == [entry.key]


def test_names_in_other_letters_are_told() -> None:
    """A configuration says which names labellers will see in other letters, and which met."""
    losses = Losses()
    given = dataset(classes=(named("кошка"), named("Car"), named("car"), named("пёс", "zoo")))
    config = config_of(given, LabelMapping(), losses)
    assert [each.value for each in config.entries] == ["koshka", "Car", "car", "zoo"]
    assert config.entries[3].children[0].options == {"pes": "пёс"}
    assert str(losses.report()) == (
        "1 x names that result in the same key, now told apart ('Car' is car_a5cdf07d)\n"
        "1 x names in letters that an entry cannot have, now in other letters"
        " ('кошка' is 'koshka')"
    )
    # Keypoints as well, but nothing is told where no configuration is asked for.
    losses = Losses()
    cat = named("кошка", keypoints=("хвост",))
    config_of(dataset(classes=(cat,)), LabelMapping(), losses)
    assert losses.report().count(LossKind.SPELLED) == 2
    assert mapped(dataset(found(cat, box=BOX)))[1] == {"skeleton": 1}


@pytest.mark.parametrize(
    ("name", "key", "text"),
    [
        ("Käfer (100 %)", "kafer_100_987d579b", "Käfer (100 %)"),  # a text may have these signs
        ("C++", "c_f1deb75f", "C f1deb75f"),
        ("cpp_0123abcd", "cpp_0123abcd_5c3082e6", "cpp_0123abcd"),  # as if it had a hash
        ("+++", "unnamed_29f5099b", "unnamed 29f5099b"),
        ("caf\ue000", "caf_05f1527f", "caf 05f1527f"),  # a letter in no alphabet is lost
        ("ca\u200dr", "car", "car"),  # nobody sees this one
    ],
)
def test_keys_and_texts(name: str, key: str, text: str) -> None:
    """They have a hash if something is lost that may tell names apart, and only then."""
    (entry,) = config_of(dataset(classes=(named(name),)), LabelMapping()).entries
    assert (entry.key, entry.value) == (key, text)


def test_points_of_one_name_are_numbered() -> None:
    """However many there are: thousands took an hour."""
    names = keypoint_names(named("hand", keypoints=["tip 2", *["tip"] * 20_000, "tip 7"]))
    assert (names[:4], names[-2:]) == (("tip 2", "tip", "tip 3", "tip 4"), ("tip 20001", "tip 7 2"))


def test_keys_that_cannot_be_had() -> None:
    """A reserved key of full length gives way to a hash; two names may share even that."""
    long = "x" * 30
    config = config_of(dataset(classes=(named(long),)), LabelMapping(select=long))
    assert [each.key for each in config.entries] == ["x" * 21 + "_666a596d"]
    same = [named(f"{long}{number}") for number in (20969, 22322)]  # found by trying
    with pytest.raises(FormatError, match=r"x22322' and 'x+20969' cannot be told apart"):
        config_of(dataset(classes=(*same,)), LabelMapping())


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Latin letters need no extra; others name the one that they need."""
    monkeypatch.setitem(sys.modules, "anyascii", None)
    assert [service_key(name) for name in ("Äpfel", "Straße", "Ærø", "C++")] == [
        "apfel",
        "strasse",
        "aero",
        "c_f1deb75f",
    ]
    with pytest.raises(FormatError, match=r"install .*\[formats\]"):
        service_key("кошка")


def test_the_select_of_the_mapping_comes_first() -> None:
    """Where several selects have the option, the one that the mapping names takes it."""
    config = LabelConfig()
    vehicle = config.add_rectangle("vehicle", "Vehicle")
    vehicle.add_select("front", "In front", {"car": "car"})
    vehicle.add_select("kind", "Kind", {"car": "car"})
    mapping = LabelMapping(select="kind")
    image, _, _ = mapped(dataset(found(named("car", "vehicle"), box=BOX)), config, mapping)
    (answer,) = image.annotations[0].classifications
    assert (answer.key, answer.value) == ("kind", "car")


def test_what_is_sure_comes_before_what_is_likely() -> None:
    """An option with the very name is that of a class, though an entry has one like it."""
    config = LabelConfig()
    config.add_rectangle("car", "Car.")
    vehicle = config.add_rectangle("vehicle", "Vehicle")
    vehicle.add_select("subcategory", "Kind", {"auto": "Car"})
    image, lost, _ = mapped(dataset(found(named("Car"), box=BOX)), config)
    assert (keys(image), lost) == ([("vehicle", "auto")], {})
    image, lost, _ = mapped(dataset(found(named("CAR"), box=BOX)), config)
    assert (keys(image), lost) == (["car"], {})
    config.add_rectangle("dash", "-")  # nothing else is like a name of separators alone
    assert mapped(dataset(found(named("_"), box=BOX)), config)[1] == {"no_entry": 1}


def test_what_is_lacking_is_added() -> None:
    """A class that is found keeps its entry, another has one of its own, whose key is free."""
    present = LabelConfig()
    present.add_polygon("car", "Car", color="#112233")
    given = dataset(classes=(named("Car"), named("car"), PERSON))
    config = config_of(given, LabelMapping(), present=present)
    kept, added, person = config.entries
    assert (kept, added.value) == (present.entries[0], "car")
    assert added.key.startswith("car_")
    assert len(person.children) == 3
    more = attrs.evolve(PERSON, keypoints=(*PERSON.keypoints, "tail"))
    again = config_of(dataset(classes=(more,)), LabelMapping(), present=config)
    assert [each.key for each in again.entries[2].children] == [
        "nose",
        "left_eye",
        "right_eye",
        "tail",
    ]


def test_an_entry_that_is_there_takes_what_is_lacking() -> None:
    """A group by text or key, of any area; captions too. Its own texts and options stay."""
    present = LabelConfig()
    vehicle = present.add_polygon("vehicle", "Fahrzeug")
    vehicle.add_select("subcategory", "Art", {"car": "Car", "bus": "bus"})
    vehicle.add_point("wheel", "Rad")
    present.add_freetext("caption", "Satz", 50)
    present.add_rectangle("a", "ANIMAL")  # only similar
    van = named("van", "vehicle", keypoints=("wheel", "door"))
    others = (named("BUS", "vehicle"), named("bus", "vehicle"), named("cat", "animal"))
    given = dataset(
        found(van, box=BOX), *(found(each, box=BOX) for each in others), captions=["1", "2"]
    )
    config = config_of(given, LabelMapping(), present=present)
    assert [
        (each.key, each.value, each.type.value, each.max_length) for each in config.entries
    ] == [
        ("vehicle", "Fahrzeug", "POLYGON", None),
        ("caption", "Satz", "FREETEXT", 50),
        ("a", "ANIMAL", "RECTANGLE", None),
        ("animal", "animal", "RECTANGLE", None),
        ("caption_2", "caption_2", "FREETEXT", 255),
    ]
    options = {"car": "Car", "bus": "bus", "van": "van", "bus_39cd750a": "BUS"}
    assert [(each.key, each.value, each.options) for each in config.entries[0].children] == [
        ("subcategory", "Art", options),
        ("wheel", "Rad", {}),
        ("door", "door", {}),
    ]


def test_where_a_class_is_looked_for() -> None:
    """With its group in the order of the mapping; alone it is the surest answer, and no group."""
    config = LabelConfig()
    config.add_rectangle("vehicle", "Vehicle").add_select("subcategory", "Kind", {"car": "Car"})
    config.add_rectangle("car", "Car").add_select("supercategory", "Group", {"vehicle": "Vehicle"})
    both = dataset(found(named("Car", "Vehicle"), box=BOX))
    assert keys(mapped(both, config)[0]) == [("vehicle", "car")]
    assert keys(mapped(both, config, BY_CATEGORY)[0]) == [("car", "vehicle")]

    answers = LabelConfig()
    for key, texts in (("vehicle", {"car": "Car"}), ("toy", {"c": "CAR", "ship": "Ship"})):
        answers.add_rectangle(key, key).add_select("subcategory", "Kind", texts)
    answers.add_rectangle("dog", "Dog").add_select("supercategory", "Group", {"pet": "Pet"})
    for name, place in (("Car", ("vehicle", "car")), ("SHIP", ("toy", "ship"))):
        image, lost, _ = mapped(dataset(found(named(name), box=BOX)), answers)
        assert (keys(image), lost) == ([place], {})
    for each, mapping in (
        (named("cAR"), LabelMapping()),  # like two
        (named("Pet"), BY_CATEGORY),
        (named("toy Ship", "zoo"), LabelMapping()),
    ):
        assert mapped(dataset(found(each, box=BOX)), answers, mapping)[1] == {"no_entry": 1}


def test_what_an_entry_cannot_nest() -> None:
    """Nothing in a segmentation that is there, and keypoints only where an area is drawn."""
    present = LabelConfig()
    present.add_image_segmentation("person", "person")
    config = config_of(dataset(classes=(PERSON,)), LabelMapping(), present=present)
    assert (config.entries, config.problems()) == (present.entries, [])
    pole = named("pole", keypoints=("top",))
    given = dataset(found(pole, box=BOX), found(pole, point=(1.0, 1.0)), found(pole, line=RING))
    children = [
        (each.value, len(each.children)) for each in config_of(given, LabelMapping()).entries
    ]
    assert children == [("pole", 1), ("pole (line)", 0), ("pole (point)", 0)]


def test_what_the_sdk_needs() -> None:
    """Names stay as they are, there are no keypoints, and a group may be called none."""
    light = named("Traffic Light", "outdoor", keypoints=("top",))
    given = dataset(classes=(light, named("pole", "none"), named("C++", "outdoor")))
    config = config_of(given, LabelMapping(sdk=True, shape="segmentation"))
    (select,), (other,) = (each.children for each in config.entries)
    assert [each.key for each in config.entries] == ["outdoor", "none"]
    assert select.options == {"Traffic Light": "Traffic Light", "C++": "C++"}
    assert other.options == {"pole": "pole"}


def test_lines_and_points_without_a_configuration() -> None:
    """They are of the entry of their class, which files with them alone need."""
    lane = named("lane", "road")
    image, lost, _ = mapped(dataset(found(lane, line=RING), found(lane, point=(1.0, 2.0))))
    assert keys(image) == [("road", "lane")] * 2
    assert [each.shape for each in image.annotations] == [Line(RING), Point(1, 2)]
    assert lost == {}
    config = LabelConfig()
    config.add_point("road", "road")
    assert "'lane' of 'road'" in mapped(dataset(found(lane, box=BOX)), config)[2]


def test_names_that_are_not_unique_carry_their_group() -> None:
    """`other` of two groups is two classes where nothing can be nested, too."""
    given = dataset(
        *(found(named("other", group), parts=[[RING]]) for group in ("vehicle", "animal"))
    )
    mapping = LabelMapping(shape="segmentation")
    image, lost, _ = mapped(given, mapping=mapping)
    assert keys(image) == ["vehicle_other", "animal_other"]
    assert lost == {"group": 2}
    assert keys(mapped(given)[0]) == [("vehicle", "other"), ("animal", "other")]
    assert keys(mapped(given, mapping=BY_CATEGORY)[0]) == [
        ("other", "vehicle"),
        ("other", "animal"),
    ]


# --- What shape an object becomes -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("members", "kind", "shape", "lost"),
    [
        ({"box": BOX}, EntryType.RECTANGLE, Rectangle(*BOX), {}),
        ({"box": BOX}, EntryType.POLYGON, CORNERS, {"box": 1}),
        ({"parts": [[RING]]}, EntryType.POLYGON, Polygon(RING), {}),
        ({"parts": [[RING]]}, EntryType.RECTANGLE, Rectangle(1, 1, 4, 3), {"outline": 1}),
        ({"box": BOX, "parts": [[RING]]}, EntryType.RECTANGLE, Rectangle(*BOX), {"outline": 1}),
        ({"parts": [[RING]]}, EntryType.IMAGE_SEGMENTATION, Segmentation([RING]), {}),
        ({"line": RING}, EntryType.LINE, Line(RING), {}),
        ({"point": (7.0, 8.0)}, EntryType.POINT, Point(7, 8), {}),
    ],
)
def test_the_entry_says_the_shape(
    members: dict[str, Any], kind: EntryType, shape: object, lost: dict[str, int]
) -> None:
    """An entry takes the shape of its type, and what that changes is told."""
    config = LabelConfig.from_payload(
        [{"entryKey": "car", "entryValue": "Car", "type": kind.value}]
    )
    image, counts, _ = mapped(dataset(found(named("car"), **members)), config)
    assert ([each.shape for each in image.annotations], counts) == ([shape], lost)


def test_lines_and_points_have_entries_of_their_own() -> None:
    """A class that is drawn in several ways has an entry for each, found again by name."""
    lane, pole = named("lane"), named("pole")
    given = dataset(found(lane, line=RING), found(pole, point=(1.0, 1.0)), found(pole, box=BOX))
    config = config_of(given, LabelMapping())
    assert [(each.key, each.value, each.type) for each in config.entries] == [
        ("lane", "lane", EntryType.LINE),
        ("pole", "pole", EntryType.RECTANGLE),
        ("pole_point", "pole (point)", EntryType.POINT),
    ]
    image, lost, _ = mapped(given, config)
    assert (keys(image), lost) == (["lane", "pole_point", "pole"], {})


def test_each_part_stands_for_itself() -> None:
    """A mask that cannot be read does not cost the box; a box that is missing not the outline."""
    car = named("car")
    mask = {"size": [2, 2], "counts": [1, 1]}
    polygon = LabelMapping(shape="polygon")
    image, lost, _ = mapped(dataset(found(car, box=BOX, mask=mask)), mapping=polygon)
    assert ([each.shape for each in image.annotations], lost) == ([CORNERS], {"part": 1, "box": 1})
    image, lost, _ = mapped(dataset(found(car, parts=[[RING]])))
    assert image.annotations[0].shape == Rectangle(1, 1, 4, 3)
    _, lost, text = mapped(dataset(found(car, mask=mask), found(car)), mapping=polygon)
    assert lost == {"broken": 2}
    assert "a.jpg: line 1: it has no box, no outline and no keypoint" in text


def test_what_the_service_does_not_hold_is_told() -> None:
    """Scores, attributes, crowds and holes are counted, and carried on for the way back."""
    hole = [(2.0, 2.0), (3.0, 2.0), (3.0, 3.0)]
    given = dataset(
        found(
            named("car"), parts=[[RING, hole], [RING]], crowd=True, score=0.5, extra={"pose": "L"}
        )
    )
    image, lost, _ = mapped(given, mapping=LabelMapping(shape="polygon"))
    assert lost == {"extra": 1, "score": 1, "crowd": 1, "parts": 1, "holes": 1}
    assert not any(kind.is_loss for kind in LossKind if kind.value in lost)
    carried = {"pose": "L", "id": "a.jpg: line 1", "iscrowd": 1, "score": 0.5}
    assert [each.extra["coco"] for each in image.annotations] == [carried, carried]


# --- Keypoints ------------------------------------------------------------------------------------

PERSON = named("person", keypoints=("nose", "Left Eye", "right eye"), skeleton=((1, 2), (1, 3)))


def points(annotation: Annotation) -> list[tuple[str, object]]:
    return [(each.key, each.shape) for each in annotation.nested]


def test_the_order_of_keypoints_is_that_of_the_category() -> None:
    """Not that of their first appearance; and that the service keeps none is told."""
    given = dataset(found(PERSON, box=BOX, keypoints=[None, None, (5.0, 6.0, 1)]))
    config = config_of(given, LabelMapping())
    (person,) = config.entries
    assert [each.key for each in person.children] == ["nose", "left_eye", "right_eye"]
    image, lost, text = mapped(given, config)
    assert points(image.annotations[0]) == [("right_eye", Point(5, 6))]
    assert lost == {"skeleton": 1, "visibility": 1}
    assert "'person'" in text


def test_keypoints_are_found_by_name() -> None:
    """By text, then by key; one that the entry does not have is left out and named."""
    config = LabelConfig()
    person = config.add_polygon("person", "Person")
    person.add_point("p1", "right eye")
    person.add_point("nose", "N")
    keypoints = [(1.0, 1.0, 2), (2.0, 2.0, 2), (3.0, 3.0, 2)]
    given = dataset(found(PERSON, parts=[[RING]], keypoints=keypoints))
    image, lost, text = mapped(given, config)
    assert points(image.annotations[0]) == [("nose", Point(1, 1)), ("p1", Point(3, 3))]
    assert lost == {"skeleton": 1, "no_point": 1}
    assert "Left Eye" in text


def test_keypoints_alone_have_a_box_around_them() -> None:
    """An object of keypoints alone is one object all the same; that its box was made is told."""
    keypoints = [(1.0, 2.0, 2), (0.0, 0.0, 0), (4.0, 6.0, 2)]
    image, lost, _ = mapped(dataset(found(PERSON, keypoints=keypoints)))
    (person,) = image.annotations
    assert person.shape == Rectangle(1, 2, 3, 4)
    assert points(person) == [("nose", Point(1, 2)), ("right_eye", Point(4, 6))]
    assert lost == {"around": 1, "skeleton": 1}


def test_nothing_is_nested_in_a_segmentation() -> None:
    """Keypoints stand beside it, under keys that no class has, and that is told."""
    nose = named("nose")
    keypoints = [(1.0, 2.0, 2), None, None]
    given = dataset(found(PERSON, parts=[[RING]], keypoints=keypoints), found(nose, parts=[[RING]]))
    mapping = LabelMapping(shape="segmentation")
    config = config_of(given, mapping)
    assert config.problems() == []
    assert [each.key for each in config.entries] == [
        "person",
        "nose",
        "person_nose",
        "left_eye",
        "right_eye",
    ]
    image, lost, _ = mapped(given, config, mapping)
    assert keys(image) == ["person", "person_nose", "nose"]
    assert lost == {"skeleton": 1, "keypoints": 1}


def test_keypoints_of_one_name_are_told_apart() -> None:
    """By their place in the category, which is theirs."""
    twice = named("hand", keypoints=("tip", "tip"))
    given = dataset(found(twice, box=BOX, keypoints=[(1.0, 1.0, 2), (2.0, 2.0, 2)]))
    image, _, _ = mapped(given, config_of(given, LabelMapping()))
    assert points(image.annotations[0]) == [("tip", Point(1, 1)), ("tip_2", Point(2, 2))]


def test_two_categories_of_one_name_are_one_class() -> None:
    """Each object has the keypoints of its own category; that they are one class is told."""
    turned = named("person", keypoints=("nose", "right eye"))
    given = dataset(found(PERSON, box=BOX, keypoints=[None, None, (5.0, 6.0, 2)]))
    both = attrs.evolve(given, categories=(PERSON, turned))
    image, lost, _ = mapped(both, config_of(both, LabelMapping()))
    assert points(image.annotations[0]) == [("right_eye", Point(5, 6))]
    assert lost == {"doubled_class": 1, "skeleton": 1}


# --- Captions -------------------------------------------------------------------------------------


def test_captions_go_where_there_are_free_texts() -> None:
    """A caption that has no free text in the configuration, or a shorter one, is left out."""
    config = LabelConfig()
    for key in ("caption", "caption_2"):
        config.add_freetext(key, key, 5)
    image, lost, _ = mapped(dataset(captions=["A long one.", "Two.", "Three"]), config)
    assert [(each.key, each.value) for each in image.classifications] == [("caption_2", "Two.")]
    assert lost == {"long_text": 1, "caption": 1}
    config = LabelConfig()
    config.add_freetext("caption", "caption")
    for length, kept in ((255, 1), (256, 0)):
        image, lost, _ = mapped(dataset(captions=["x" * length]), config)
        assert (len(image.classifications), lost) == (kept, {} if kept else {"long_text": 1})


def test_each_caption_needs_a_free_text() -> None:
    """As many as an image has at most; the official SDK keeps one."""
    given = dataset(captions=["One.", "Two.", "Three."])
    for mapping, most in ((LabelMapping(caption="Text"), 3), (LabelMapping(sdk=True), 1)):
        config = config_of(given, mapping)
        found = [(each.key, each.type) for each in config.entries]
        names = [mapping.caption_key(number) for number in range(1, most + 1)]
        assert found == [(name, EntryType.FREETEXT) for name in names]


def test_a_class_has_the_key_of_no_caption_and_no_select() -> None:
    """Classes may be called what the mapping needs for itself."""
    given = dataset(
        found(named("caption"), box=BOX),
        found(named("subcategory", "subcategory"), box=BOX),
        captions=["One."],
    )
    config = config_of(given, LabelMapping())
    assert config.problems() == []
    assert [each.key for each in config.entries] == ["caption_", "subcategory_", "caption"]


def test_a_report_has_a_few_examples_and_all_classes() -> None:
    """Five places of a loss, each once, but every class that has no entry; two reports add up."""
    losses = Losses()
    for at in range(7):
        for _ in range(2):
            losses.add(LossKind.BOX, f"line {at}")
            losses.add(LossKind.NO_ENTRY, f"class {at}")
    losses.add(LossKind.TRACK)
    places = ", ".join(f"line {at}" for at in range(5))
    names = ", ".join(f"class {at}" for at in range(7))
    assert str(losses.report()).split("\n") == [
        f"14 x {LossKind.BOX.text} ({places}, ...)",
        f"14 x {LossKind.NO_ENTRY.text} ({names})",
        f"1 x {LossKind.TRACK.text}",
    ]
    both = losses.report() + losses.report()
    assert [(each.kind.value, each.count) for each in both.items] == [
        ("box", 28),
        ("no_entry", 28),
        ("track", 2),
    ]
    assert both.items[1].examples == losses.report().items[1].examples


def test_each_kind_of_loss_is_in_the_documentation() -> None:
    """The table of docs/formats.md has a row for it."""
    table = (Path(__file__).parents[2] / "docs/formats.md").read_text()
    assert [kind.value for kind in LossKind if f"`{kind.value}`" not in table] == []


def _voc(name: str, inside: str) -> str:
    size = "<size><width>9</width><height>9</height></size>"
    return f"<annotation><filename>{name}.jpg</filename>{size}{inside}</annotation>"


def _labelme(name: str, *shapes: object) -> str:
    size = {"imageWidth": 9, "imageHeight": 9}
    return json.dumps({"imagePath": f"{name}.jpg", "shapes": shapes, **size})


def _coco(*annotations: object) -> str:
    images = [{"id": n, "file_name": f"{name}.jpg"} for n, name in enumerate("ab")]
    listed = {"images": images, "categories": [{"id": 1, "name": "x"}]}
    return json.dumps({**listed, "annotations": annotations})


_CVAT = '<annotations><image name="a.jpg" width="9" height="9">{}</image><image name="b.jpg" {}/>'
_CUBOID = _CVAT.format('<cuboid label="x"/>', 'width="9" height="9"') + "</annotations>"
ALL_LOST: dict[str, dict[str, str]] = {
    "voc": {"a.xml": _voc("a", "<object><name>x</name></object>"), "b.xml": _voc("b", "")},
    "labelme": {"a.json": _labelme("a", {"label": "x"}), "b.json": _labelme("b")},
    "coco": {"a.json": _coco({"id": 1, "image_id": 0, "category_id": 2, "bbox": [1, 2, 3, 4]})},
    "cvat": {"annotations.xml": _CUBOID},
    "kitti": {"a.txt": "Car 0 0 0 q q", "b.txt": "DontCare -1 -1 -10 1 2 3 4 -1 -1 -1 0 0 0 0"},
    "yolo": {"a.txt": "1 0.5 0.5 0.1 0.1", "b.txt": "", "classes.txt": "x"},
}


@pytest.mark.parametrize("kind", ALL_LOST)
def test_an_image_whose_labels_are_all_lost_is_none_without_labels(
    tmp_path: Path, kind: Any
) -> None:
    """It is not given: a trainer would learn that nothing is on it, an import empty its media."""
    for name, content in ALL_LOST[kind].items():
        (tmp_path / name).write_text(content)
    for name in ("a", "b"):
        picture(tmp_path / f"{name}.jpg", 9, 9)
    read = formats.read(tmp_path, kind)
    assert [Path(each.media_name).stem for each in read.images] == ["b"]
    assert read.losses.is_loss


@pytest.mark.parametrize(("shape", "kind"), [("rectangle", "broken"), ("polygon", "outline")])
def test_the_sdk_has_no_lines_and_points(shape: Any, kind: str) -> None:
    """It reads COCO alone. In other files they are lost, and the boxes beside them are read."""
    lane = named("lane", "road")
    whole = found(lane, box=BOX, parts=[[RING]])
    given = dataset(found(lane, line=RING), found(lane, point=(1.0, 2.0)), whole)
    image, lost, _ = mapped(given, mapping=LabelMapping(sdk=True, shape=shape))
    assert (keys(image), lost) == ([("road", "lane")], {kind: 2})
