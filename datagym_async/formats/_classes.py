"""Which class is which: a class is known by its name, never by its place or its number.

Names are compared in Unicode's composed form (NFC) and otherwise as they are: ``Car`` and ``car``
are two classes. The service keeps keys and texts of few characters, so that names become such:

* `service_key` is a function of the name alone: ASCII letters, lower case, ``_`` for the rest, 30
  at most. Where something was lost that tells names apart, a short hash of the name is part of it.
* In a set of names (`keys_of`, `entry_texts`, `option_texts`) those that meet in one key or text
  carry their hash, but for the one that is itself that key or text.
* `Entries` finds the entry of a name in a configuration that is there, by text and by key.
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
from datagym_async.labels._config_rules import LONGEST_KEY, LONGEST_TEXT, TAKEN_IN_TEXTS

Names: TypeAlias = tuple[str, str]
"""Name and supercategory of a class; the latter is empty where it has none."""

MAX_KEY_LENGTH: Final = 30  # what both the service and its editor take
_HASH_LENGTH: Final = 8
_NOTHING_LEFT: Final = "unnamed"
_STRANGE: Final = re.compile(r"[^a-z0-9_-]+")
_HASHED: Final = re.compile(rf"_[0-9a-f]{{{_HASH_LENGTH}}}$")
# What parts words, and tells no two names apart that people mean; `C` and `C++` are two.
_SEPARATORS: Final = re.compile(r"[\s_./\\,:;|()\[\]{}'\"`-]+")
_UNKNOWN: Final = "="
"""For a letter that cannot be transliterated: a sign that is lost."""
# Latin letters that are no letter with an accent.
_LATIN: Final = str.maketrans(
    {"ß": "ss", "æ": "ae", "Æ": "AE", "œ": "oe", "Œ": "OE", "ø": "o", "Ø": "O", "ł": "l", "Ł": "L"}
)


def composed(name: str) -> str:
    """Return a name in the form in which names are compared."""
    return unicodedata.normalize("NFC", name)


@checked
def service_key(name: str, reserved: Collection[str] = ()) -> str:
    """Return a key for a name, the same for the same name, whatever else there is.

    ``"Traffic Light"`` gives ``"traffic_light"``, ``"Äpfel (grün)"`` gives ``"apfel_grun"``,
    ``"кошка"`` gives ``"koshka"``. A hash of the name is behind it where nothing is left of it,
    where it was cut, where a sign was lost that may tell two names apart (``"C++"``), and where the
    name itself looks like a key with a hash.

    Args:
        name: Any text.
        reserved: Keys that must not come out; such a key has ``_`` behind it.

    Raises:
        FormatError: It is not in Latin letters, and the extra ``formats`` is not installed.
    """
    return _free(name, _plain_key(name), reserved)


def _free(name: str, key: str, reserved: Collection[str]) -> str:
    if key not in reserved:
        return key
    return f"{key}_" if len(key) < MAX_KEY_LENGTH else hashed_key(name)


def _plain_key(name: str) -> str:
    letters = _in_ascii(name)
    key = _STRANGE.sub("_", letters.lower()).strip("_")
    is_whole = key and len(key) <= MAX_KEY_LENGTH and not _signs(letters, "")
    return key if is_whole and not _HASHED.search(key) else hashed_key(name)


def hashed_key(name: str) -> str:
    """Return the key of a name with its hash, which no other name has."""
    key = _STRANGE.sub("_", _in_ascii(name).lower()).strip("_") or _NOTHING_LEFT
    return f"{key[: MAX_KEY_LENGTH - _HASH_LENGTH - 1]}_{_hash(name)}"


def _hash(name: str) -> str:
    whole = composed(name).encode("utf-8", "surrogatepass")
    return hashlib.sha256(whole).hexdigest()[:_HASH_LENGTH]


def _in_ascii(name: str) -> str:
    """Return a name in ASCII: without accents where that is enough, else transliterated."""
    plain = unicodedata.normalize("NFKD", name.translate(_LATIN))
    bare = "".join(each for each in plain if not unicodedata.combining(each))
    if bare.isascii():
        return bare
    # Not of the letters without accents: those of Cyrillic and of kana are others with them.
    write = extra_module("anyascii", FormatError).anyascii
    silent = ("Mn", "Me", "Cf")  # marks, and what is not seen
    return "".join(
        write(each) or ("" if unicodedata.category(each) in silent else _UNKNOWN)
        for each in composed(name)
    )


def _signs(text: str, taken: str) -> str:
    """Return what a text has besides letters, digits, separators and what is taken."""
    rest = _SEPARATORS.sub("", text)
    return "".join(each for each in rest if not each.isalnum() and each not in taken)


# --- The names of a set, each with one of its own -------------------------------------------------


def _told_apart(
    names: Iterable[str], short: Callable[[str], str], carrying: Callable[[str], str]
) -> dict[str, str]:
    """Return what each name becomes; those that meet carry their hash, but the one that is it."""
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

    Args:
        names: Any texts.
        reserved: As for `service_key`.
        losses: Counts names that carry a hash because they meet others.
    """
    found = _told_apart(names, _plain_key, hashed_key)
    for name, key in found.items() if losses else ():
        if losses and key != _plain_key(name):
            losses.add(LossKind.COLLISION, f"{name!r} is {key}")
    return {name: _free(name, key, reserved) for name, key in found.items()}


def entry_texts(names: Iterable[str]) -> dict[str, str]:
    """Return the text that labellers see of each entry: the name, in letters the service takes."""
    return _told_apart(names, _entry_text, lambda name: _with_hash(_shown(name), name, LONGEST_KEY))


def option_texts(names: Iterable[str]) -> dict[str, str]:
    """Return the text that labellers see of each option, of which the service takes any letters."""

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
    """Return a name in the letters that the service takes for an entry, which are few."""

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
    """Return one text for each class: its name, and its supercategory before it where it must be.

    It must be where two classes have one name (``vehicle other`` and ``animal other``), or where
    name and supercategory of a class would be taken for those of another. What is still one text
    carries the hash of both.
    """
    every = dict.fromkeys((composed(name), composed(group)) for name, group in classes)
    often = Counter(name for name, _ in every)
    scoped = {(name, group): f"{group} {name}" for name, group in every if group}
    keys = Counter(_plain_key(name) for name, _ in every) if scoped else Counter[str]()
    keys += Counter(map(_plain_key, scoped.values()))
    found: dict[Names, str] = {}
    for names in every:
        text = scoped.get(names, names[0])
        is_scoped = often[names[0]] > 1 or (names[1] and keys[_plain_key(text)] > 1)
        found[names] = text if is_scoped else names[0]
    often = Counter(found.values())
    return {
        names: text if often[text] == 1 or names == (text, "") else texts_for(names)[0]
        for names, text in found.items()
    }


def texts_for(names: Names) -> tuple[str, ...]:
    """Return the texts that `class_names` may give a class in some set, those with most first."""
    name, group = map(composed, names)
    if not group:
        return (name,)
    scoped = f"{group} {name}"
    return f"{scoped} {_hash(_both((name, group)))}", scoped, name


def _caseless(name: str) -> str:
    """Return a name in lower case, whatever parts its words."""
    return composed((_SEPARATORS.sub(" ", name).strip() or name).casefold())


def _both(names: Names) -> str:
    return "\0".join(names)


# --- The entry of a name in a configuration that is there ----------------------------------------


class Entries:
    """Entries, options or nested points among which a name may have its own.

    Args:
        texts: The text of each, by its key.
    """

    def __init__(self, texts: Mapping[str, str]) -> None:
        self._texts = texts
        self._hashed = {key[-_HASH_LENGTH:]: key for key in texts if _HASHED.search(key)}
        self._exact, self._folded, self._keys = (dict[str, list[str]]() for _ in range(3))
        for key, text in texts.items():
            self._exact.setdefault(composed(text), []).append(key)
            self._folded.setdefault(_caseless(text), []).append(key)
            self._keys.setdefault(service_key(key), []).append(key)

    def find(self, *names: str) -> tuple[str, int] | None:
        """Return the key of the first name whose entry is sure, else of the first one.

        With it goes how sure it is: 2 by its text or its hash, 1 by its key, 0 where it is like it.
        """
        hits = [hit for name in names if (hit := self._find(name))]
        return next((hit for hit in hits if hit[1]), hits[0] if hits else None)

    def _find(self, name: str) -> tuple[str, int] | None:
        """Return the key of a name's entry and how sure it is, or None.

        By the text as it is, by the key with the name's hash, by the key itself, by key and text
        that the name would be given; then, less surely, by the text in any case and with any
        separators, and by the key that the name would have, where one alone has these.
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
