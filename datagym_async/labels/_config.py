"""`LabelConfig`, read and written, its rules, and the differences between two of them.

The rules are those of the service, and those that avoid surprises. The service finds one fault at a
time, some of them only when a task is completed, and silently drops members that do not apply to a
type (observed). Each problem is a sentence that begins with the path of its entry: the keys from
the root, joined by slashes.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import Any, ClassVar, TypeAlias, TypeVar

import attrs

from datagym_async._checks import SEVERAL, check, checked, listed
from datagym_async._extras import extra_module
from datagym_async._printable import printable
from datagym_async.exceptions import LabelConfigError
from datagym_async.labels._config_entries import (
    CHOICES,
    CLASSIFICATIONS,
    GEOMETRIES,
    TYPES,
    TYPES_IN_WORDS,
    ConfigEntry,
    EntryLike,
    EntryList,
    read_entries,
    read_json,
)
from datagym_async.models import EntryType, LabelConfiguration

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

Entries: TypeAlias = EntryList | LabelConfiguration | Iterable[EntryLike]

_NAMED = 10


@checked
class LabelConfig(EntryList):
    """A label configuration that can be changed: what labellers draw and answer in a project.

    ::

        config = LabelConfig()
        car = config.add_rectangle("car", "Car", color="#3333FF", shortcut=1)
        car.add_select("kind", "Kind", {"bus": "Bus", "van": "Van"}, required=True)
        config.validate()

    Args:
        entries: Root entries to begin with.
    """

    def __repr__(self) -> str:
        return f"<LabelConfig {', '.join(each.key for each in self.entries) or 'without entries'}>"

    def __eq__(self, other: object) -> bool:
        """Return whether nothing differs; the order of entries and options does not matter."""
        return diff(self, other).is_empty if isinstance(other, LabelConfig) else NotImplemented

    __hash__: ClassVar[None] = None  # type: ignore[assignment]  # it can change

    def problems(self) -> list[str]:
        """Return what the service would refuse or drop, each as a sentence."""
        roots = self.entries
        found = [*_duplicates("", roots)]
        for root in roots:
            found += _problems_below(root, (), ())
            # Keys in several places of one tree; for neighbours see `_duplicates`.
            keys = grouped((each.key.rstrip(), path) for path, each in _walk([root]))
            for key, at in keys.items():
                if len(set(at)) > 1:
                    where = ", ".join(dict.fromkeys(at))
                    text = f"the key {key!r} is used in several places ({where}); use it once."
                    found.append(f"{root.key}: {text}")
        given = ((each.shortcut, path) for path, each in _walk(roots) if each.shortcut is not None)
        for shortcut, at in grouped(given).items():
            text = f"the shortcut {shortcut} is taken by {at[0]}; give another one."
            found += [f"{path}: {text}" for path in at[1:]]
        return [*map(printable, found)]

    def warnings(self) -> list[str]:
        """Return what the service accepts but its editor does not, each as a sentence."""
        found = (f"{at}: {text}." for at, each in _walk(self.entries) for text in _doubts(at, each))
        return [*map(printable, found)]

    def validate(self) -> None:
        """Check that there are no problems.

        Raises:
            LabelConfigError: There are; its `problems` lists them all.
        """
        if problems := self.problems():
            named = " ".join(problems[:_NAMED])
            more = f" ... and {len(problems) - _NAMED} more" if len(problems) > _NAMED else ""
            text = f"The label configuration breaks rules. {named}{more}"
            raise LabelConfigError(text, problems=problems)

    def to_payload(self) -> list[dict[str, object]]:
        """Return the entries as the service takes them."""
        return [entry.to_payload() for entry in self.entries]

    def to_json(self, *, indent: int | None = 2) -> str:
        """Return the entries as JSON, as the service and its editor take them.

        Args:
            indent: Blanks for each level; None for one line.
        """
        return json.dumps(self.to_payload(), indent=indent, ensure_ascii=False)

    def to_yaml(self) -> str:
        """Return the entries as YAML, with the names that JSON has for them.

        Raises:
            ConfigurationError: PyYAML is not installed.
        """
        return str(_yaml().write_yaml(self.to_payload()))

    @classmethod
    def from_entries(cls, entries: Entries | Iterable[Mapping[str, object]]) -> LabelConfig:
        """Return the configuration of entries, of a configuration or a view, or of a body.

        Raises:
            LabelConfigError: It is a body that is wrong; the text says where.
        """
        given: Any = entries
        if not hasattr(given, "entries"):
            given = [*listed("entries", given)]
            if given and all(isinstance(each, Mapping) for each in given):
                return cls.from_payload(given)
        return cls(entries_of(given))

    @classmethod
    def from_payload(cls, document: object) -> LabelConfig:
        """Return the configuration of a JSON value, already read.

        Args:
            document: A list of entries (the body of an upload, or the export file of the service's
                editor), or an object with ``entries`` (the service's view of a configuration) or
                ``labelConfig`` (its view of a task). Ids and times are left out.

        Raises:
            LabelConfigError: It is something else (or broken text); the error says where.
        """
        return cls(read_entries(document))

    @classmethod
    def from_json(cls, text: str | bytes) -> LabelConfig:
        """Return the configuration of a JSON text; for its form and errors see `from_payload`."""
        return cls.from_payload(read_json(text))

    @classmethod
    def from_yaml(cls, text: str | bytes) -> LabelConfig:
        """Return the configuration of a YAML text; ``on``, ``no`` or ``12:30`` are texts there.

        Raises:
            LabelConfigError: As for `from_payload`.
            ConfigurationError: PyYAML is not installed.
        """
        return cls.from_payload(_yaml().read_yaml(text))


def _yaml() -> Any:
    return extra_module("datagym_async.labels._config_yaml")


# --- the rules ------------------------------------------------------------------------------------

MAX_DEPTH = 4  # levels, the root included (observed)

LONGEST_KEY = 56
LONGEST_TEXT = 255
"""Characters that the service takes for keys and texts of entries, and for free texts."""
_KEY = re.compile(r"[a-zA-Z0-9_ -]+")
TAKEN_IN_TEXTS = "_ !@#$%^&*()?-àâçéèêëîïôûùüÿñæœäöüß"
"""What the text of an entry may hold besides ASCII letters and digits."""
_VALUE = re.compile(rf"[a-zA-Z0-9{re.escape(TAKEN_IN_TEXTS)}]+")
_OPTION = re.compile(r"[a-zA-Z0-9_ .-]+")
_DIGIT = re.compile(r"[0-9]")
# What people can type in the service's own editor, and the colours that it writes.
_EDITOR_KEY = re.compile(r"[0-9a-z_-]{1,30}")
_EDITOR_OPTION = re.compile(r"[0-9a-z_.-]{1,30}")
_COLOR = re.compile(r"#[0-9a-fA-F]{6}")

_DRAWN = ("point", "line", "polygon", "rectangle")
_ASKED = ("checklist", "radio", "select")
RESERVED = frozenset(
    {
        *("geometry", "geometry_type", "class_name", "classification", "classifications"),
        *("global_classifications", "classification_type", "tag", "status", "label", "labeler"),
        *("label_classes", "reviewer", "image", "imageid", "media", "mediaid"),
        *("external_image_id", "internal_image_id", "external_media_id", "internal_media_id"),
        *(*_DRAWN, *_ASKED),
        *(f"lcentry{word}" for word in (*_DRAWN, *_ASKED)),
        *(f"lcentry{word}value" for word in (*_DRAWN, *_ASKED)),
        *("dummy_project", "dummy_dataset_one", "dummy_dataset_two", "intersections"),
    }
)
"""Words that no key may be, in lower case; the service compares with case, before it lowers."""


def _doubts(path: str, entry: ConfigEntry) -> Iterator[str]:
    if _KEY.fullmatch(entry.key) and not _EDITOR_KEY.fullmatch(entry.key):
        yield f"the editor does not accept a key like {entry.key!r}; use at most 30 of a-z 0-9 _-"
    odd = [key for key in entry.options if not _EDITOR_OPTION.fullmatch(key)]
    if entry.type in CHOICES and odd:
        yield f"the editor does not take options like {_quoted(odd)}; use at most 30 of a-z 0-9 _.-"
    if entry.type is EntryType.SELECT and len(entry.options) == 1:
        yield "a select with one option offers no choice"
    if entry.color is not None and not _COLOR.fullmatch(entry.color):
        yield f"the color {entry.color!r} is not a color of the editor, such as '#3333FF'"
    if entry.shortcut is not None and "/" in path:
        yield "the editor gives shortcuts only to geometries at the root"


def _walk(
    entries: Iterable[ConfigEntry], above: tuple[str, ...] = ()
) -> Iterator[tuple[str, ConfigEntry]]:
    for entry in entries:
        here = (*above, entry.key or "(no key)")
        yield "/".join(here), entry
        yield from _walk(entry.children, here)


def _problems_below(
    entry: ConfigEntry, path: tuple[str, ...], above: tuple[ConfigEntry, ...]
) -> Iterator[str]:
    here = (*path, entry.key or "(no key)")
    for text in (
        *_text("key", entry.key, _KEY, "only letters a to z, digits, blanks, _ and -"),
        *_text(
            "text", entry.value, _VALUE, "only letters, digits, blanks and the signs _-!@#$%^&*()?"
        ),
        *_kind(entry),
        *_place(entry, above),
    ):
        yield f"{'/'.join(here)}: {text}."
    yield from _duplicates(f"{'/'.join(here)}: ", entry.children)
    for child in entry.children:
        yield from _problems_below(child, here, (*above, entry))


def _text(what: str, text: str, allowed: re.Pattern[str], words: str) -> Iterator[str]:
    if not text.strip():
        yield f"the {what} is empty; it needs 1 to {LONGEST_KEY} characters"
    elif len(text) > LONGEST_KEY:
        yield f"the {what} has {len(text)} characters, {LONGEST_KEY} are allowed"
    if bad := sorted({each for each in text if not allowed.fullmatch(each)}):
        yield f"the {what} {text!r} holds {_quoted(bad)}; the service takes {words}"


def _kind(entry: ConfigEntry) -> Iterator[str]:
    if entry.key.strip() in RESERVED:
        yield f"the key {entry.key!r} is a reserved word of the service; use another one"
    if entry.type not in TYPES:
        yield f"its type is unknown; use one of {TYPES_IN_WORDS}"
    if entry.type is EntryType.FREETEXT and entry.max_length is None:
        yield f"a free text needs a maximum length, 1 to {LONGEST_TEXT}"
    if entry.max_length is not None and not 1 <= entry.max_length <= LONGEST_TEXT:
        yield f"the maximum length is {entry.max_length}; 1 to {LONGEST_TEXT} are allowed"
    if entry.shortcut is not None and not _DIGIT.fullmatch(entry.shortcut):
        yield f"the shortcut is {entry.shortcut!r}; it must be one digit, 0 to 9"
    yield from _options(entry)
    # Members that the service would silently drop.
    drawn = entry.type not in CLASSIFICATIONS
    for name, given, applies in (
        ("a color", entry.color is not None, drawn),
        ("a shortcut", entry.shortcut is not None, drawn),
        ("required", entry.required, not drawn),
        ("a maximum length", entry.max_length is not None, entry.type is EntryType.FREETEXT),
        ("options", bool(entry.options), entry.type in CHOICES),
    ):
        if given and not applies:
            yield f"{name} has no meaning for the type {entry.type.value}; leave it out"


def _options(entry: ConfigEntry) -> Iterator[str]:
    if entry.type in CHOICES and not entry.options:
        yield f"a {entry.type.value.lower()} needs options; without them nobody can answer it"
    for key, text in entry.options.items():
        if not key or not text:
            yield f"the option {key!r} needs a key and a text, and has {text!r}"
        elif len(key) > LONGEST_KEY or len(text) > LONGEST_TEXT:
            yield (
                f"the option {key[:20]!r} is too long: {LONGEST_KEY} characters for the key and "
                f"{LONGEST_TEXT} for the text are allowed"
            )
        if bad := sorted({each for each in key if not _OPTION.fullmatch(each)}):
            yield f"the key of the option {key!r} holds {_quoted(bad)}, which labels cannot contain"
    # Options that differ only in case or outer blanks, or look the same.
    keys = grouped((key.strip().lower(), key) for key in entry.options)
    texts = grouped((text.strip(), key) for key, text in entry.options.items())
    for same in dict.fromkeys(tuple(each) for each in (*keys.values(), *texts.values())):
        if len(same) > 1:
            yield f"the options {' and '.join(map(repr, same))} cannot be told apart"


def _place(entry: ConfigEntry, above: tuple[ConfigEntry, ...]) -> Iterator[str]:
    if len(above) >= MAX_DEPTH:
        yield f"it is on level {len(above) + 1}; {MAX_DEPTH} levels are allowed"
    kinds = [each.type for each in above]
    if entry.type in GEOMETRIES and kinds and not (len(kinds) == 1 and kinds[0] in GEOMETRIES):
        yield (
            "a geometry must be at the root, or directly in a point, line, polygon or rectangle at "
            "the root"
        )
    if entry.type is EntryType.IMAGE_SEGMENTATION and above:
        yield "an image segmentation must be at the root; exports contain it nowhere else"
    if entry.type is EntryType.IMAGE_SEGMENTATION and entry.children:
        yield "nothing can be nested in an image segmentation; exports would lose it"


def _duplicates(prefix: str, entries: Iterable[ConfigEntry]) -> Iterator[str]:
    for key, count in Counter(entry.key.rstrip() for entry in entries).items():
        if count > 1:
            where = prefix or "the configuration: "
            yield f"{where}{count} entries have the key {key!r} (case is ignored)."


def grouped(pairs: Iterable[tuple[K, V]]) -> dict[K, list[V]]:
    """Return all second members of each first one, in order."""
    found: dict[K, list[V]] = {}
    for first, second in pairs:
        found.setdefault(first, []).append(second)
    return found


def _quoted(texts: Sequence[str]) -> str:
    return ", ".join(map(repr, texts[:5]))


# --- differences between two; the order of entries and options does not matter -------------------

_COMPARED = ("value", "type", "color", "shortcut", "max_length", "required", "options")


@attrs.frozen
class EntryChange:
    """An entry that is in one configuration only, or differs.

    Args:
        path: Its key, after the keys of the entries it is nested in, joined by slashes.
        before: The current entry, or None if it is new.
        after: The wanted entry, or None if it is removed.
    """

    path: str
    before: ConfigEntry | None
    after: ConfigEntry | None

    @property
    def fields(self) -> tuple[str, ...]:
        """Return the attributes that differ; none for a new or a removed entry."""
        before, after = self.before, self.after
        if before is None or after is None:
            return ()
        return tuple(name for name in _COMPARED if getattr(before, name) != getattr(after, name))

    def __str__(self) -> str:
        before, after = self.before, self.after
        entry = after or before
        if before is None or after is None:
            words = f"{entry.type.value.lower()} {entry.value!r}" if entry is not None else ""
            return printable(f"{'-' if after is None else '+'} {self.path} ({words})")
        parts = []
        for name in self.fields:
            old, new = getattr(before, name), getattr(after, name)
            if name != "options":
                parts.append(f"{name} {_plain(old)} -> {_plain(new)}")
                continue
            for key in dict.fromkeys((*old, *new)):
                if key not in old or key not in new:
                    parts.append(f"option {'+' if key not in old else '-'}{key}")
                elif old[key] != new[key]:
                    parts.append(f"option {key} {old[key]!r} -> {new[key]!r}")
        return printable(f"~ {self.path}: {', '.join(parts)}")


@attrs.frozen
class ConfigDiff:
    """The differences between two label configurations; false if there are none.

    Args:
        added: The new entries, each before those nested in it.
        removed: The entries that are removed.
        changed: The entries that stay and differ.
    """

    added: tuple[EntryChange, ...] = ()
    removed: tuple[EntryChange, ...] = ()
    changed: tuple[EntryChange, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Return whether nothing differs."""
        return not (self.added or self.removed or self.changed)

    def __bool__(self) -> bool:
        return not self.is_empty

    def __str__(self) -> str:
        """Return a line for each difference: ``+`` new, ``-`` removed, ``~`` changed."""
        return "\n".join(map(str, (*self.removed, *self.changed, *self.added)))


@checked
def diff(current: Entries, wanted: Entries) -> ConfigDiff:
    """Return the changes that make one configuration equal to another.

    Args:
        current: The current configuration: a `LabelConfig`, a view of the service, or entries.
        wanted: The wanted configuration.
    """
    changes = [*_compared(entries_of(current), entries_of(wanted), "")]
    return ConfigDiff(
        added=tuple(each for each in changes if each.before is None),
        removed=tuple(each for each in changes if each.after is None),
        changed=tuple(each for each in changes if each.fields),
    )


def entries_of(given: Entries) -> tuple[ConfigEntry, ...]:
    """Return the root entries of a configuration, a view or entries."""
    found: Iterable[EntryLike] = given if not hasattr(given, "entries") else given.entries
    check(SEVERAL, entries=found)
    return tuple(map(ConfigEntry.of, found))


def _compared(
    current: Iterable[ConfigEntry], wanted: Iterable[ConfigEntry], above: str
) -> Iterator[EntryChange]:
    before, after = (grouped((each.key, each) for each in given) for given in (current, wanted))
    for key in dict.fromkeys((*before, *after)):
        # Races store entries twice (observed): neighbours with one key are compared in pairs.
        for old, new in zip_longest(before.get(key, ()), after.get(key, ())):
            path = f"{above}{key}"
            yield EntryChange(path, old, new)
            olds, news = (each.children if each is not None else () for each in (old, new))
            yield from _compared(olds, news, f"{path}/")


def _plain(value: object) -> str:
    if value is None:
        return "none"
    return f"{value!r}" if type(value) is str else f"{value}"
