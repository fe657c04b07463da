"""Names of the service made fit for a disk, any disk: pure.

Whatever a name holds, what comes out is one part of a path that every system can hold: no
separators, no control characters, none of Windows' reserved names, at most 255 bytes. It is the
same for the same name; two names may give the same, and then one is numbered (`numbered_file`).
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
# Controls, invisible marks that turn the direction of writing, surrogates, private and unassigned
# characters, line separators: nothing that a name needs in order to be read.
_UNSAFE_CATEGORIES: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_PLAIN: Final = re.compile(r"\w(?:[\w.-]*\w)?", re.ASCII)
"""Names that are fit as they are, but for the reserved ones: nearly all of them."""
_RESERVED: Final = re.compile(r"(?:con|prn|aux|nul|conin\$|conout\$|clock\$|(?:com|lpt)[0-9¹²³])")
# Characters that are fit for a name and belong to `Cf`: they join the parts of emoji and letters.
_JOINERS: Final = frozenset("\u200c\u200d")
# Of these, and of what chooses between forms of a character, some file systems take no notice.
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
    """Return a safe name, cut so that the name of a file beside it fits: its stem and a suffix.

    Folders may stand before it.
    """
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

    Each of them folds in its own way. This takes all names for the same that one of them may: in
    another case, written out (``ﬁ`` and ``fi``), composed or not, with and without marks that
    nobody sees. A number too many does no harm, and a file that replaces another does. What the
    service takes for the same is another rule (`datagym_async.models`).
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
    """Return a name with a mark before its suffix, cut in its stem to what a file may have."""
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
