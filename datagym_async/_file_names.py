"""Names of the service turned into file names for any disk.

The result is one part of a path on every system: no separators, no control characters, none of
Windows' reserved names, at most 255 bytes. It depends on the name only; if two names give the same,
one is numbered (`numbered_file`).
"""

from __future__ import annotations

import re
import unicodedata
from pathlib import PurePosixPath
from typing import Final

MAX_BYTES: Final = 255  # bytes of a file's name in UTF-8, as most file systems bound them
_MAX_SUFFIX: Final = 32
_STAND_IN: Final = "_"
_UNSAFE: Final = re.compile(r'[<>:"/\\|?*]')
# Controls, invisible marks that change the direction of writing, surrogates, private and unassigned
# characters, line separators.
_UNSAFE_CATEGORIES: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_PLAIN: Final = re.compile(r"\w(?:[\w.-]*\w)?", re.ASCII)
"""Nearly all names; they stay unchanged unless they are reserved."""
_RESERVED: Final = re.compile(r"(?:con|prn|aux|nul|conin\$|conout\$|clock\$|(?:com|lpt)[0-9¹²³])")
# Characters of `Cf` that are allowed, because they join the parts of emoji and letters.
_JOINERS: Final = frozenset("\u200c\u200d")
# Some file systems ignore these, and what chooses between forms of a character.
_UNSEEN: Final = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200c\u200d\u3164\ufe00-\ufe0f\uffa0"
    "\U000e0100-\U000e01ef]"
)


def safe_name(name: str, *, suffix: str = "") -> str:
    """Return any text as a file's name on any system, ending with the whole suffix."""
    text = name + suffix
    if not _PLAIN.fullmatch(text):
        text = "".join(map(_safe_character, _UNSAFE.sub(_STAND_IN, text)))
        text = text.strip(" ").rstrip(". ")  # Windows drops blanks and dots at the end
    if suffix and len(text) <= len(suffix):
        text = _STAND_IN + text
    if text.startswith(".") or not text:  # hidden, or one of the two that are folders
        text = _STAND_IN + text[1:]
    if _RESERVED.fullmatch(text.partition(".")[0].rstrip(" ").casefold()):
        text = _STAND_IN + text
    if not suffix:
        return text if text.isascii() and len(text) <= MAX_BYTES else _cut(text, "")
    # Each character was replaced by one, so that the suffix is as long as before.
    return _cut_stem(text[: -len(suffix)], text[-len(suffix) :])


def with_room(name: str, suffix: str) -> str:
    """Return a safe name (with folders), cut so that its stem with another suffix fits as well."""
    path = PurePosixPath(name)
    if _length(path.stem) + _length(suffix) <= MAX_BYTES:
        return name
    stem = _cut_stem(path.stem, suffix).removesuffix(suffix)
    return str(path.with_name(stem + path.suffix))


def numbered_file(name: str, number: int) -> str:
    """Return a safe name with a number before its suffix, for example ``"photo (2).jpg"``."""
    return _cut(name, f" ({number})")


def folded_name(name: str) -> str:
    """Return the form in which file systems that fold names compare a safe name.

    Each of them folds in its own way. Here all names are equal that are equal on one of them: in
    another case, written out (``ﬁ`` and ``fi``), composed or not, with and without invisible marks.
    An unneeded number is harmless, but a file must not replace another one. The service has another
    rule (`datagym_async.models`).
    """
    if name.isascii():
        return name.lower()
    decomposed = unicodedata.normalize("NFD", name).casefold()
    return unicodedata.normalize("NFC", _UNSEEN.sub("", decomposed))


def _safe_character(one: str) -> str:
    if one.isascii() and one.isprintable():
        return one
    is_unsafe = unicodedata.category(one) in _UNSAFE_CATEGORIES and one not in _JOINERS
    return _STAND_IN if is_unsafe else one


def _cut(name: str, mark: str) -> str:
    """Return a name with a mark before its suffix, with a stem that is cut if it is too long."""
    stem, dot, ending = name.rpartition(".")
    is_split = stem and _length(dot + ending) <= _MAX_SUFFIX
    if not is_split or not (mark or _length(name) > MAX_BYTES):
        return _cut_stem(name, mark)
    return _cut_stem(stem, mark + dot + ending)


def _cut_stem(stem: str, ending: str) -> str:
    room = MAX_BYTES - _length(ending)
    if _length(stem) > room:
        stem = stem.encode()[:room].decode("utf-8", "ignore").rstrip(". ") or _STAND_IN
    return f"{stem}{ending}"


def _length(text: str) -> int:
    return len(text.encode())
