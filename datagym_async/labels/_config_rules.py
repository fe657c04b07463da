"""The rules for label configurations: those of the service, and those that avoid surprises.

The service finds one fault at a time, some of them only when a task is completed, and silently
drops members that do not apply to a type (observed). Each problem here is a sentence that begins
with the path of its entry: the keys from the root, joined by slashes.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Sequence
from typing import TypeVar

from datagym_async._printable import printable
from datagym_async.labels._config_entries import CHOICES, CLASSIFICATIONS, GEOMETRIES, ConfigEntry
from datagym_async.models import EntryType

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

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


def problems_of(roots: Sequence[ConfigEntry]) -> list[str]:
    """Return what is wrong with the entries of a configuration, each as a sentence."""
    found = [*_duplicates("", roots)]
    for root in roots:
        found += _problems_below(root, (), ())
        # Keys in several places of one tree; for neighbours see `_duplicates`.
        for key, at in grouped((each.key.rstrip(), path) for path, each in _walk([root])).items():
            if len(set(at)) > 1:
                where = ", ".join(dict.fromkeys(at))
                text = f"the key {key!r} is used in several places ({where}); use it once."
                found.append(f"{root.key}: {text}")
    given = ((each.shortcut, path) for path, each in _walk(roots) if each.shortcut is not None)
    for shortcut, at in grouped(given).items():
        if len(at) > 1:
            text = f"the shortcut {shortcut} is taken by {at[0]}; give another one."
            found.append(f"{at[1]}: {text}")
    return [*map(printable, found)]


def warnings_of(roots: Sequence[ConfigEntry]) -> list[str]:
    """Return what the service accepts but may surprise people, each as a sentence."""
    found = ((path, text) for path, entry in _walk(roots) for text in _doubts(path, entry))
    return [printable(f"{path}: {text}.") for path, text in found]


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
        *_text("key", entry.key, _KEY, "letters a to z, digits, blanks, _ and -"),
        *_text("text", entry.value, _VALUE, "letters, digits, blanks and _-!@#$%^&*()?"),
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
        yield f"the {what} {text!r} holds {_quoted(bad)}, which the service refuses; use {words}"


def _kind(entry: ConfigEntry) -> Iterator[str]:
    if entry.key.strip() in RESERVED:
        yield f"the key {entry.key!r} is a reserved word of the service; use another one"
    if entry.type not in (*GEOMETRIES, *CLASSIFICATIONS, EntryType.IMAGE_SEGMENTATION):
        known = (each for each in EntryType if each not in {EntryType.UNKNOWN, EntryType.RADIO})
        yield f"its type is unknown; use one of {', '.join(known)}"
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
