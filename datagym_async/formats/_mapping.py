"""The mapping of a file to labels: the configuration that it needs, and the place of each class.

Classes are found by name in a label configuration: an existing one, or that of `config_of`.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, Iterator, Mapping
from functools import cache, lru_cache
from itertools import chain, count
from typing import Any, Final, Literal, TypeAlias, TypeVar, get_args

import attrs

from datagym_async._checks import by_annotation, one_of
from datagym_async.formats._classes import (
    Entries,
    Names,
    class_names,
    composed,
    entry_texts,
    group_of,
    hashed_key,
    keyed_name,
    keys_of,
    option_texts,
    texts_for,
)
from datagym_async.formats._losses import Losses, LossKind
from datagym_async.formats._raw import Category, RawDataset, RawObject
from datagym_async.labels import ConfigEntry, LabelConfig
from datagym_async.labels._config import LONGEST_TEXT, RESERVED, grouped
from datagym_async.models import EntryType

K = TypeVar("K", bound=Hashable)

Shape: TypeAlias = Literal["rectangle", "polygon", "segmentation"]
By: TypeAlias = Literal["supercategory", "category"]


@attrs.frozen(kw_only=True, field_transformer=by_annotation)
class LabelMapping:
    """How classes and shapes of a file are mapped to labels.

    Args:
        shape: What an object becomes, if no configuration decides it. ``"rectangle"``: its box.
            ``"polygon"``: each of its parts becomes a polygon. ``"segmentation"``: each of its
            parts becomes an outline with its holes, which the service stores but does not import.
            None: its box, but polygons for files with outlines without boxes, and for panoptic
            COCO.
        by: ``"supercategory"``: the supercategory is the entry, and the category the answer to a
            nested select, as in the official SDK. ``"category"``: the category is the entry, and
            the supercategory the answer. In the service nothing can be nested in a segmentation:
            there the category is the entry, and the supercategory is left out.
        select: Key of that select; None for the usual one (``subcategory``, ``supercategory``).
        caption: Key of the free text for captions; further captions of an image get ``caption_2``
            and so on.
        sdk: Whether to do as the official SDK does, including its mistakes: names are keys without
            changes, of several parts the first remains, of several captions the last, keypoints are
            left out, outlines of crowds are simplified, and holes become separate objects.
    """

    shape: Shape | None = attrs.field(default=None, validator=one_of(*get_args(Shape), None))
    by: By = attrs.field(default="supercategory", validator=one_of(*get_args(By)))
    select: str | None = None
    caption: str = "caption"
    sdk: bool = False

    @property
    def select_key(self) -> str:
        """Return the key of the nested select; those of the service are in lower case."""
        usual = "subcategory" if self.by == "supercategory" else "supercategory"
        return (self.select or usual).lower()

    def settled(self, dataset: RawDataset) -> LabelMapping:
        """Return it with the shape for the objects of a file."""
        shape: Shape = "polygon" if dataset.outlines else "rectangle"
        return self if self.shape else attrs.evolve(self, shape=shape)

    def caption_key(self, number: int) -> str:
        """Return the key of a caption, counted from 1."""
        return self.caption.lower() if number == 1 else f"{self.caption.lower()}_{number}"


# --- The label configuration that classes need ----------------------------------------------------

_TYPES: Final = {
    "rectangle": EntryType.RECTANGLE,
    "polygon": EntryType.POLYGON,
    "segmentation": EntryType.IMAGE_SEGMENTATION,
}
_AREAS: Final = frozenset(_TYPES.values())
_NESTING: Final = frozenset({EntryType.RECTANGLE, EntryType.POLYGON})
_DRAWN: Final = _AREAS | {EntryType.LINE}
_BESIDE: Final = {EntryType.LINE: " (line)", EntryType.POINT: " (point)"}
"""Suffixes of entries for lines and points, if one for areas has the same name."""
_ORDER: Final = (EntryType.RECTANGLE, *_BESIDE)
USUAL_CAPTIONS: Final = 10
"""Captions of an image whose keys no class may have."""


def config_of(
    dataset: RawDataset,
    mapping: LabelMapping,
    losses: Losses | None = None,
    present: LabelConfig | None = None,
) -> LabelConfig:
    """Return a label configuration for all labels of a file.

    Losses count unreadable parts, names with the same key, and names that labellers see in other
    letters. If a configuration is `present`, it is kept and completed.
    """
    losses = losses or Losses()
    drawn: dict[Names, set[EntryType]] = {}
    captions, mapping = 0, mapping.settled(dataset)
    for image in dataset.images(losses):
        captions = max(captions, len(image.captions))
        for each in image.objects:
            drawn.setdefault(each.category.names, set()).add(family_of(each))
    captions = min(captions, 1) if mapping.sdk else captions
    if present is None:
        return _config(dataset.categories, mapping, losses, drawn, captions)
    # Classes with a place there are kept as they are, except for missing keypoints.
    found = {each.key: each for each in present.entries}
    places, lacking = places_of(dataset.categories, mapping, present), []
    for category in dataset.categories:
        names = category.names
        own = [places[names, kind] for kind in drawn.get(names, [EntryType.RECTANGLE])]
        if any(isinstance(place, NoPlace) for place in own):
            lacking.append(category)
        for place in own:
            if isinstance(place, Place) and place.type in _NESTING:
                points = [one for one in keypoint_names(category) if one not in place.points]
                found[place.key] = _with_points(found[place.key], points)
    needed = _config(lacking, mapping, losses, drawn, captions, found.keys())
    # Entries of groups are shared if their keys are equal; those of classes only if their texts
    # are.
    return LabelConfig(_added(found, needed.entries, 1 if mapping.by == "supercategory" else 2))


def _with_points(entry: ConfigEntry, names: Collection[str]) -> ConfigEntry:
    taken = {each.key for each in entry.walk()} | {
        key for each in entry.children for key in each.options
    }
    keys, texts = keys_of(names, RESERVED | taken), entry_texts(names)
    points = (ConfigEntry(keys[each], texts[each], EntryType.POINT) for each in keys)
    return attrs.evolve(entry, children=(*entry.children, *points))


def _added(
    present: Mapping[str, ConfigEntry], needed: Iterable[ConfigEntry], least: int = 1
) -> list[ConfigEntry]:
    """Return the existing and the needed entries; options are added to an existing select.

    The entry of a needed class is new, even if there is a similar one.
    """
    found = dict(present)

    @cache
    def entries_of(types: frozenset[EntryType]) -> Entries:
        return Entries({key: one.value for key, one in present.items() if one.type in types})

    for each in needed:
        taken = _AREAS if each.type in _AREAS else frozenset({each.type})
        asks = any(one.options for one in each.children)
        is_class = each.type in _DRAWN and not asks
        hit = None if is_class else entries_of(taken).find(each.value)
        if hit is None or hit[1] < least:
            found[each.key] = each
            continue
        same = found[hit[0]]
        options = dict(same.options)
        for key, text in each.options.items():
            options[key if key not in options else hashed_key(text)] = text
        children = _added({one.key: one for one in same.children}, each.children)
        found[same.key] = attrs.evolve(same, options=options, children=children)
    return [*found.values()]


def family_of(found: RawObject) -> EntryType:
    """Return the type of an object's shape: RECTANGLE stands for all shapes with an area."""
    if found.line:
        return EntryType.LINE
    return EntryType.POINT if found.point is not None else EntryType.RECTANGLE


def _config(
    categories: Iterable[Category],
    mapping: LabelMapping,
    losses: Losses | None = None,
    drawn: Mapping[Names, Collection[EntryType]] | None = None,
    captions: int = 0,
    taken: Collection[str] = (),
) -> LabelConfig:
    nests = mapping.shape != "segmentation" or mapping.sdk
    classes: dict[Names, list[str]] = {}
    for category in categories:
        points = classes.setdefault(category.names, [])
        points += (name for name in keypoint_names(category) if name not in points)
    labels = class_names(classes)
    # For each entry its type, and its classes with the answers that distinguish them.
    types: dict[str, dict[EntryType, None]] = {}
    below: dict[str, list[tuple[Names, str]]] = {}
    for names in classes:
        name, group = names[0], names[1] if mapping.sdk else group_of(names)
        root, answer = (name, group) if nests else (labels[names], "")
        if nests and mapping.by == "supercategory" and group:
            root, answer = group, name
        below.setdefault(root, []).append((names, answer))
        for each in sorted((drawn or {}).get(names, [EntryType.RECTANGLE]), key=_ORDER.index):
            kind = each if each in _BESIDE else _TYPES[mapping.shape or "rectangle"]
            types.setdefault(root, {})[kind] = None
    texts = {
        (root, kind): root if kind in _AREAS or len(kinds) == 1 else root + _BESIDE[kind]
        for root, kinds in types.items()
        for kind in kinds
    }
    # Nothing can be nested in a segmentation: its keypoints are separate entries.
    apart = [] if nests else [(point, labels[each]) for each in classes for point in classes[each]]
    beside = class_names([*((text, "") for text in texts.values()), *apart])
    own = [*texts.values(), *(beside[names] for names in apart)]
    captioned = {mapping.caption_key(number) for number in range(1, USUAL_CAPTIONS + 1)}

    def _keys(names: Iterable[str], reserved: Collection[str]) -> dict[str, str]:
        return {name: name for name in names} if mapping.sdk else keys_of(names, reserved, losses)

    keys = _keys(own, RESERVED | {mapping.select_key} | captioned)
    keys = {name: hashed_key(name) if key in taken else key for name, key in keys.items()}
    shown = entry_texts(own)
    entries, spelled = [], {**shown}
    for (root, kind), text in texts.items():
        children = []
        key, select = keys[text], mapping.select_key
        if answers := [answer for _, answer in below[root] if answer]:
            options, said = _keys(answers, ()), option_texts(answers)
            given = {options[each]: said[each] for each in options}
            children.append(_entry(select, EntryType.SELECT, options=given))
        if kind in _AREAS and nests and not mapping.sdk:
            points = [point for names, _ in below[root] for point in classes[names]]
            inner, said = _keys(points, RESERVED | {key, select}), entry_texts(points)
            spelled |= said
            children += (ConfigEntry(inner[each], said[each], EntryType.POINT) for each in inner)
        entries.append(ConfigEntry(key, shown[text], kind, children=children))
    alone = (beside[names] for names in apart)
    entries += (ConfigEntry(keys[each], shown[each], EntryType.POINT) for each in alone)
    for name, text in spelled.items() if drawn is not None else ():
        if losses and name != text:
            losses.add(LossKind.SPELLED, f"{name!r} is {text!r}")
    asked = map(mapping.caption_key, range(1, captions + 1))
    entries += (_entry(each, EntryType.FREETEXT, max_length=LONGEST_TEXT) for each in asked)
    return LabelConfig(entries)


def _entry(key: str, kind: EntryType, **others: Any) -> ConfigEntry:
    return ConfigEntry(key, entry_texts([key])[composed(key)], kind, **others)


@lru_cache(maxsize=1024)
def keypoint_names(category: Category) -> tuple[str, ...]:
    """Return the names of a category's keypoints, each once: repeated names get numbers."""
    found = dict[str, None]()
    numbers = dict[str, Iterator[int]]()
    for name in map(composed, category.keypoints):
        own = numbers.setdefault(name, count(1))  # none is tried twice, however many there are
        tried = (name if number == 1 else f"{name} {number}" for number in own)
        found[next(each for each in tried if each not in found)] = None
    return tuple(found)


# --- The place of each class in a configuration ---------------------------------------------------


@attrs.frozen(kw_only=True)
class Place:
    """The entry for the objects of a class."""

    key: str
    type: EntryType
    select: str = ""  # key of the nested select whose answer is the class, if any
    option: str | None = None  # key of that answer
    points: Mapping[str, str] = attrs.field(factory=dict)  # their keys, by names of keypoints


@attrs.frozen
class NoPlace:
    """Why a class has no place."""

    kind: LossKind
    why: str


Places: TypeAlias = Mapping[tuple[Names, EntryType], "Place | NoPlace"]
"""By class and kind of shape: RECTANGLE (all shapes with an area), LINE or POINT."""


def places_of(
    categories: Iterable[Category],
    mapping: LabelMapping,
    config: LabelConfig | None = None,
    losses: Losses | None = None,
) -> Places:
    """Find each class in a label configuration, by default in the one that these classes need.

    A class is the option with its name in the entry of its supercategory, or the other way round
    (`LabelMapping.by` says which comes first); else the entry with its name; else the only option
    with its name in any select for classes; else the option whose entry and text are its name.
    If two classes match one place, neither gets it, unless one match is surer (`Entries.find`).
    """
    classes = grouped((each.names, each) for each in categories)
    for names, same in classes.items():
        if losses and len(same) > 1:
            losses.add(LossKind.DOUBLED_CLASS, said(names), count=len(same) - 1)
    if mapping.sdk:
        own = {names: _as_the_sdk(names, mapping) for names in classes}
        return {(names, family): own[names] for names in classes for family in _ORDER}
    every = chain(*classes.values())
    wanted = _config(every, mapping, losses) if config is None else config
    places: dict[tuple[Names, EntryType], Place | NoPlace] = {}
    for family in _ORDER:
        if family in _BESIDE and config is None:  # entries for these may be missing
            places |= {(names, family): places[names, EntryType.RECTANGLE] for names in classes}
            continue
        roots = _Roots(wanted.entries, mapping, family)
        hits = {names: hit for names in classes if (hit := roots.find(names))}
        shared = _shared(hits)
        for names, same in classes.items():
            if names in shared:
                both = f"{said(names)} and {said(shared[names])} mean {hits[names][0][0]!r}"
                places[names, family] = NoPlace(LossKind.SHARED_ENTRY, both)
            elif names in hits:
                places[names, family] = roots.place(names, same, *hits[names][0])
            else:
                others = roots.others.find(names[0])
                why = f"{said(names)}, of which {others[0]!r} takes another shape" if others else ""
                places[names, family] = NoPlace(LossKind.NO_ENTRY, why or said(names))
    return places


def said(names: Names) -> str:
    """Return the name of a class for people."""
    group = group_of(names)
    return f"{names[0]!r} of {group!r}" if group else repr(names[0])


def _as_the_sdk(names: Names, mapping: LabelMapping) -> Place:
    name, group = names
    root, answer = (group, name) if mapping.by == "supercategory" and group else (name, group)
    kind = _TYPES[mapping.shape or "rectangle"]
    return Place(key=root, type=kind, select=mapping.select_key, option=answer or None)


def _shared(hits: Mapping[K, tuple[Hashable, int]]) -> dict[K, K]:
    """Return names that share a place, each with another one of them; the surest one keeps it."""
    found: dict[K, K] = {}
    for names in grouped((target, name) for name, (target, _) in hits.items()).values():
        surest = max(hits[name][1] for name in names)
        sure = [name for name in names if hits[name][1] == surest > 0]
        for name in names:
            if len(names) > 1 and [name] != sure:
                found[name] = next(each for each in names if each != name)
    return found


Target: TypeAlias = tuple[str, str, str | None]
"""Key of an entry, of the select nested in it (or nothing), and of the option there (or None)."""


class _Roots:
    """The root entries of a configuration for one family of shapes, and their selects."""

    def __init__(
        self, entries: Iterable[ConfigEntry], mapping: LabelMapping, family: EntryType
    ) -> None:
        taken = _AREAS if family is EntryType.RECTANGLE else {family}
        every = {each.key: each for each in entries}
        self._entries = {key: each for key, each in every.items() if each.type in taken}
        self._index = Entries({key: each.value for key, each in self._entries.items()})
        self.others = Entries(
            {k: each.value for k, each in every.items() if k not in self._entries}
        )
        points = {k: each.value for k, each in every.items() if each.type is EntryType.POINT}
        self._points = Entries(points)
        self._by, self._behind = mapping.by, _BESIDE.get(family, "")
        self._selects: dict[str, list[tuple[str, Entries]]] = {}
        self._scoped, scopes = dict[str, Target](), dict[str, str]()
        self._keyed = dict[str, Target]()  # names as written where several entries have one text
        for key, entry in self._entries.items():
            own = composed(entry.value or key)
            self._keyed[keyed_name(own, key)] = key, "", None
            asked = [each for each in entry.children if each.type is EntryType.SELECT]
            asked.sort(key=lambda each: each.key != mapping.select_key)
            self._selects[key] = [(each.key, Entries(each.options)) for each in asked]
            for select in asked:
                for option, text in select.options.items():
                    place = f"{key} {select.key} {option}"
                    self._scoped[place] = key, select.key, option
                    scopes[place] = f"{entry.value} {text}"
                    name = own if mapping.by == "category" else composed(text or option)
                    self._keyed.setdefault(keyed_name(name, key, option), self._scoped[place])
        # A class alone is not an answer to another question (a colour), and not a group of others.
        self._asked = [
            (key, *each)
            for key, selects in self._selects.items()
            for each in selects
            if mapping.by == "supercategory" and each[0] == mapping.select_key
        ]
        self._scopes = Entries(scopes)

    def find(self, names: Names) -> tuple[Target, int] | None:
        """Return the place of a class, and how sure that is (`Entries.find`)."""
        name, group = names
        hits: list[tuple[Target, int]] = []
        ways = [(group, name), (name, group)] if group else []
        for root, answer in ways if self._by == "supercategory" else ways[::-1]:
            if entry := self._root(root):
                for select, options in self._selects[entry[0]]:
                    if option := options.find(answer):
                        hits.append(((entry[0], select, option[0]), min(entry[1], option[1])))
        if entry := self._root(*texts_for(names)):
            hits.append(((entry[0], "", None), entry[1]))
        answers = [
            ((key, select, option[0]), option[1])
            for key, select, options in self._asked
            if (option := options.find(name))
        ]
        answers = [each for each in answers if each[1]] or answers
        hits += answers if len(answers) == 1 else ()
        # As in files with names only (`class_names`): "vehicle other".
        if not group and (scoped := self._scopes.find(name)):
            hits.append((self._scoped[scoped[0]], scoped[1]))
        if keyed := self._keyed.get(name):
            hits.append((keyed, 2))
        return next((hit for hit in hits if hit[1]), hits[0] if hits else None)

    def _root(self, *texts: str) -> tuple[str, int] | None:
        behind = [text + self._behind for text in texts if self._behind]
        return self._index.find(*behind) or self._index.find(*texts)

    def place(
        self, names: Names, same: Iterable[Category], key: str, select: str, option: str | None
    ) -> Place:
        """Return a place with the points for the keypoints of a class."""
        entry, hits = self._entries[key], dict[str, tuple[str, int]]()
        points = Entries({e.key: e.value for e in entry.children if e.type is EntryType.POINT})
        for name in dict.fromkeys(name for each in same for name in keypoint_names(each)):
            if entry.type is EntryType.IMAGE_SEGMENTATION:
                groups = texts_for(names)
                scoped = [text for group in groups for text in texts_for((name, group))[:-1]]
                found = self._points.find(*scoped, name)
            else:
                found = points.find(name)
            hits |= {name: found} if found else {}
        shared = _shared(hits)
        own = {name: point for name, (point, _) in hits.items() if name not in shared}
        return Place(key=key, type=entry.type, select=select, option=option, points=own)
