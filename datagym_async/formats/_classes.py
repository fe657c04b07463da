"""Keys and texts of classes, which are identified by name, never by place or number.

Names are compared in Unicode's composed form (NFC) and otherwise unchanged: ``Car`` and ``car`` are
two classes. The service allows few characters in keys and texts, so names are converted:

* `service_key` depends only on the name: ASCII letters, lower case, ``_`` for the rest, 30 at most.
  If that loses something that distinguishes names, it gets a short hash of the name.
* In a set of names (`keys_of`, `entry_texts`, `option_texts`) those with the same key or text get
  their hash, except one that is itself that key or text.
* `Entries` finds the entry of a name in an existing configuration, by text and by key.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Final, TypeAlias

from datagym_async._checks import checked
from datagym_async._extras import extra_module
from datagym_async.formats._losses import FormatError, Losses, LossKind, writable
from datagym_async.labels._config import LONGEST_KEY, LONGEST_TEXT, TAKEN_IN_TEXTS, grouped

Names: TypeAlias = tuple[str, str]
"""Name and supercategory of a class; the latter is empty where it has none."""
NO_GROUP: Final = "none"
"""The supercategory that Roboflow and converters of Pascal VOC write where there is none."""

MAX_KEY_LENGTH: Final = 30  # allowed by both the service and its editor
_HASH_LENGTH: Final = 8
_NOTHING_LEFT: Final = "unnamed"
_STRANGE: Final = re.compile(r"[^a-z0-9_-]+")
_HASHED: Final = re.compile(rf"_[0-9a-f]{{{_HASH_LENGTH}}}$")
# Separators of words, which never distinguish names for people; `C` and `C++` are two.
_SEPARATORS: Final = re.compile(r"[\s_./\\,:;|()\[\]{}'\"`-]+")
_UNKNOWN: Final = "="
"""For a letter that cannot be transliterated: it counts as a lost sign."""
# Latin letters that are not a letter with an accent.
_LATIN: Final = str.maketrans(
    {"ß": "ss", "æ": "ae", "Æ": "AE", "œ": "oe", "Œ": "OE", "ø": "o", "Ø": "O", "ł": "l", "Ł": "L"}
)


def group_of(names: Names) -> str:
    """Return the supercategory of a class; empty if it has none."""
    return "" if names[1] == NO_GROUP else names[1]


def composed(name: str) -> str:
    """Return a name in the form in which names are compared."""
    return unicodedata.normalize("NFC", name)


@checked
def service_key(name: str) -> str:
    """Return the key of a name, which depends on nothing else.

    ``"Traffic Light"`` gives ``"traffic_light"``, ``"Äpfel (grün)"`` gives ``"apfel_grun"``,
    ``"кошка"`` gives ``"koshka"``. A hash of the name is appended if nothing is left of it, if it
    was cut, if a sign was lost that may distinguish names (``"C++"``), and if the name itself looks
    like a key with a hash. A word that the service reserves stays; `label_config` adds a ``_``.

    Args:
        name: Any text.

    Raises:
        FormatError: It is not in Latin letters, and the extra ``formats`` is not installed.
    """
    letters = _in_ascii(name)
    key = _STRANGE.sub("_", letters.lower()).strip("_")
    is_whole = key and len(key) <= MAX_KEY_LENGTH and not _signs(letters, "")
    return key if is_whole and not _HASHED.search(key) else hashed_key(name)


def hashed_key(name: str) -> str:
    """Return the key of a name with its hash, which is unique."""
    key = _STRANGE.sub("_", _in_ascii(name).lower()).strip("_") or _NOTHING_LEFT
    return f"{key[: MAX_KEY_LENGTH - _HASH_LENGTH - 1]}_{_hash(name)}"


def _hash(name: str) -> str:
    whole = composed(name).encode("utf-8", "surrogatepass")
    return hashlib.sha256(whole).hexdigest()[:_HASH_LENGTH]


def _in_ascii(name: str) -> str:
    """Return a name in ASCII: without accents if that is enough, else transliterated."""
    plain = unicodedata.normalize("NFKD", name.translate(_LATIN))
    bare = "".join(each for each in plain if not unicodedata.combining(each))
    if bare.isascii():
        return bare
    # Not without accents: in Cyrillic and kana they make other letters.
    write = extra_module("anyascii", FormatError).anyascii
    silent = ("Mn", "Me", "Cf")  # marks, and invisible characters
    return "".join(
        write(each) or ("" if unicodedata.category(each) in silent else _UNKNOWN)
        for each in composed(name)
    )


def _signs(text: str, taken: str) -> str:
    """Return the signs of a text: no letters, digits, separators or allowed characters."""
    rest = _SEPARATORS.sub("", text)
    return "".join(each for each in rest if not each.isalnum() and each not in taken)


# --- The names of a set, each with its own key or text --------------------------------------------


def _told_apart(
    names: Iterable[str], short: Callable[[str], str], carrying: Callable[[str], str]
) -> dict[str, str]:
    """Return each name's result; equal ones get their hash, except a name that is the result."""
    found = {name: short(name) for name in dict.fromkeys(map(composed, names))}
    often = Counter(found.values())
    made = {
        name: each if often[each] == 1 or name == each else carrying(name)
        for name, each in found.items()
    }
    by_text: dict[str, str] = {}
    for name, each in made.items():
        if (other := by_text.setdefault(each, name)) != name:  # they share a hash of 32 bits
            raise FormatError(f"The names {name!r} and {other!r} cannot be told apart; rename one")
    return made


def keys_of(
    names: Iterable[str], reserved: Collection[str] = (), losses: Losses | None = None
) -> dict[str, str]:
    """Return the key of each name (`composed`) of a set, whatever their order.

    ``_`` is appended to a reserved key. Names that get a hash because of others are counted.
    """
    found = _told_apart(names, service_key, hashed_key)
    for name, key in found.items():
        if losses and key != service_key(name):
            losses.add(LossKind.COLLISION, f"{name!r} is {key}")
        if key in reserved:
            found[name] = f"{key}_" if len(key) < MAX_KEY_LENGTH else hashed_key(name)
    return found


def entry_texts(names: Iterable[str]) -> dict[str, str]:
    """Return the text of each entry for labellers: the name, in characters the service allows."""
    return _told_apart(names, _entry_text, lambda name: _with_hash(_shown(name), name, LONGEST_KEY))


def option_texts(names: Iterable[str]) -> dict[str, str]:
    """Return the text of each option for labellers; the service allows all characters there."""

    def carrying(name: str) -> str:
        return _with_hash(writable(name).strip(), name, LONGEST_TEXT)

    def short(name: str) -> str:
        text = writable(name).strip()
        return text if 0 < len(text) <= LONGEST_TEXT else carrying(name)

    return _told_apart(names, short, carrying)


def _entry_text(name: str) -> str:
    text = _shown(name)
    lost = _signs(_in_ascii(name), TAKEN_IN_TEXTS)
    is_whole = text and not lost and len(text) <= LONGEST_KEY
    return text if is_whole else _with_hash(text, name, LONGEST_KEY)


def _shown(name: str) -> str:
    """Return a name in the few characters that the service allows for an entry."""

    def cleared(text: str) -> str:
        kept = (" " if c.isascii() and not _is_taken(c) else c for c in text)
        return " ".join("".join(kept).split())

    text = cleared(composed(name))
    return text if all(map(_is_taken, text)) else cleared(_in_ascii(name))


def _is_taken(letter: str) -> bool:
    return (letter.isascii() and letter.isalnum()) or letter in TAKEN_IN_TEXTS


def _with_hash(text: str, name: str, longest: int) -> str:
    kept = text[: longest - _HASH_LENGTH - 1].rstrip() or _NOTHING_LEFT
    return f"{kept} {_hash(name)}"


def class_names(classes: Iterable[Names]) -> dict[Names, str]:
    """Return one text for each class: its name, with its supercategory before it if necessary.

    That is if two classes have one name (``vehicle other`` and ``animal other``), or if name and
    supercategory of a class could be mistaken for those of another. Texts that are still equal get
    the hash of both.
    """
    every = dict.fromkeys((composed(name), composed(group)) for name, group in classes)
    often = Counter(name for name, _ in every)
    scoped = {(name, group): f"{group} {name}" for name, group in every if group}
    keys = Counter(service_key(name) for name, _ in every) if scoped else Counter[str]()
    keys += Counter(map(service_key, scoped.values()))
    found: dict[Names, str] = {}
    for names in every:
        text = scoped.get(names, names[0])
        is_scoped = often[names[0]] > 1 or (names[1] and keys[service_key(text)] > 1)
        found[names] = text if is_scoped else names[0]
    often = Counter(found.values())
    return {
        names: text if often[text] == 1 or names == (text, "") else texts_for(names)[0]
        for names, text in found.items()
    }


def keyed_name(name: str, *keys: str) -> str:
    """Return the name of one of several entries or options with this name: it has their keys."""
    return f"{name} ({'/'.join(filter(None, keys))})"


def texts_for(names: Names) -> tuple[str, ...]:
    """Return the possible results of `class_names` for a class, the longest forms first."""
    name, group = map(composed, names)
    if not group:
        return (name,)
    scoped = f"{group} {name}"
    both = "\0".join((name, group))
    return f"{scoped} {_hash(both)}", scoped, name


def _caseless(name: str) -> str:
    """Return a name in lower case, ignoring separators of words."""
    return composed((_SEPARATORS.sub(" ", name).strip() or name).casefold())


# --- The entry of a name in an existing configuration --------------------------------------------


class Entries:
    """Entries, options or nested points, by key, in whose texts a name is looked for."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        self._texts = texts
        self._hashed = {key[-_HASH_LENGTH:]: key for key in texts if _HASHED.search(key)}
        self._exact = grouped((composed(text), key) for key, text in texts.items())
        self._folded = grouped((_caseless(text), key) for key, text in texts.items())
        self._keys = grouped((service_key(key), key) for key in texts)

    def find(self, *names: str) -> tuple[str, int] | None:
        """Return the key of the first name with a sure entry, else of the first one found.

        Also how sure it is: 2 by its text or its hash, 1 by its key, 0 if it is only similar.
        """
        hits = [hit for name in names if (hit := self._find(name))]
        return next((hit for hit in hits if hit[1]), hits[0] if hits else None)

    def _find(self, name: str) -> tuple[str, int] | None:
        """Return the key of a name's entry and how sure it is, or None.

        By the exact text, by the key with the name's hash, by the key itself, by the key and text
        that the name would get; then, less surely, by the text in any case and with any separators,
        and by the key that the name would have, if only one entry has these.
        """
        name = composed(name)
        if len(exact := self._exact.get(name, [])) == 1:
            return exact[0], 2
        if hashed := self._hashed.get(_hash(name)):
            return hashed, 2
        if name in self._texts:
            return name, 1
        by_key = self._keys.get(service_key(name), [])
        for key in by_key:
            if composed(self._texts[key]) == _entry_text(name):
                return key, 1
        for keys in (self._folded.get(_caseless(name), []), by_key):
            if len(keys) == 1:
                return keys[0], 0
        return None
