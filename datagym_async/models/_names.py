"""Media names as they travel: one reversible rule, and the service's idea of equal names.

The service reads the ``X-filename`` header as Latin-1 and decodes nothing, so that it would store a
name in UTF-8 as garbage and cannot take others at all (observed). So printable ASCII travels as it
is, while ``%``, outer blanks (HTTP strips them) and everything else travel as percent-encoded
UTF-8, composed (NFC). Systems write ``ü`` as one character or as two, and the service, which sees
other bytes, would store both.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from typing import Protocol
from urllib.parse import unquote, unquote_to_bytes

import attrs

from datagym_async._printable import quoted
from datagym_async.exceptions import ConfigurationError

MAX_NAME_LENGTH = 255
"""Characters of an encoded name; longer ones are answered with 500 ``ex_system`` (observed)."""

_UNSAFE = re.compile(r"^ ++|(?<! ) ++$|[^ -$&-~]++")
_PLAIN = re.compile(r"[!-$&-~]++(?: [!-$&-~]++)*+")
_BEYOND_ASCII = re.compile(r"[^\0-\x7f]++")
_ENDING = re.compile(r"(?i)\.(?:jpe?g?|jfif|mpo|png|bmp|dib|gif|tiff?|webp|hei[cf]|avif)$")
# With the character before it, which what follows may belong to.
_ESCAPED = re.compile(r"(?:(?<!%)(?<!%[0-9A-Fa-f])[^%])?(?:%[89A-Fa-f][0-9A-Fa-f])++")


def _percent(match: re.Match[str]) -> str:
    # Undecodable bytes of a file's name arrive as lone surrogates (PEP 383).
    return "".join(f"%{byte:02X}" for byte in match[0].encode("utf-8", "surrogateescape"))


def encode_name(name: str) -> str:
    """Return a media name in the form in which it travels and is stored: composed, and encoded.

    Raises:
        ConfigurationError: The name is empty, too long in its encoded form, or no text.
    """
    if not name:
        raise ConfigurationError("A media name is empty; give each media a name.")
    if not name.isascii():
        name = unicodedata.normalize("NFC", name)
    try:
        encoded = _UNSAFE.sub(_percent, name)
    except UnicodeEncodeError:
        raise ConfigurationError(
            f"The media name {quoted(name)} contains invalid Unicode; rename it."
        ) from None
    if len(encoded) > MAX_NAME_LENGTH:
        raise ConfigurationError(
            f"The media name {quoted(name[:40])}... has {len(encoded)} characters when encoded, "
            f"and the service stores at most {MAX_NAME_LENGTH}; give it a shorter name."
        )
    return encoded


def decode_name(stored: str) -> str:
    """Return the name behind a stored one, or the stored one itself if this rule did not make it.

    It may have been stored by another client or from a URL.
    """
    if "%" not in stored or not stored.isascii():
        return stored
    try:
        name = unquote_to_bytes(stored).decode("utf-8")
    except UnicodeDecodeError:
        return stored
    return name if name and _UNSAFE.sub(_percent, name) == stored else stored


def fold_name(encoded: str) -> str:
    """Return the form in which the service compares names, of one as it travels or is listed.

    Case, accents and trailing blanks do not count, letter by letter: it is the collation
    ``utf8mb4_general_ci`` of the service's database (observed). So ``ß`` is ``s`` and not ``ss``,
    ``ﬁ`` is not ``fi``, and all characters beyond the basic plane are one.
    """
    if encoded.isascii():
        return encoded.rstrip(" ").lower()
    letters = (c for c in unicodedata.normalize("NFD", encoded) if not unicodedata.combining(c))
    return "".join(map(_weight, letters)).rstrip(" ")


def _weight(letter: str) -> str:
    if letter > "\uffff":
        return "\ufffd"
    upper = "S" if letter == "ß" else letter.upper()
    if len(upper) > 1:  # no letter of the database is two
        return letter
    return upper.lower() if upper.isascii() else upper


def name_key(stored: str) -> str:
    """Return what a name is known by here: as `fold_name`, and one for both forms of ``ü``.

    To the service they are two names. But what an earlier run or another program has stored
    decomposed is the same image.
    """
    return fold_name(_ESCAPED.sub(_composed, stored) if "%" in stored else stored)


def _composed(match: re.Match[str]) -> str:
    try:
        text = unquote_to_bytes(match[0]).decode("utf-8")
    except UnicodeDecodeError:
        return match[0]
    return _BEYOND_ASCII.sub(_percent, unicodedata.normalize("NFC", text))


def fold_written(name: str) -> str:
    """Return what a name is known by as people write it; for errors see `encode_name`."""
    # As nearly all names are: it travels as it is.
    if 0 < len(name) <= MAX_NAME_LENGTH and _PLAIN.fullmatch(name):
        return name.lower()
    return fold_name(encode_name(name))


def fold_link(url: str) -> str:
    """Return the form in which the service compares links: letter by letter, without case alone.

    It compares them itself, as Java does (observed): ``Ü`` is ``ü`` and a dotless ``i`` is ``i``,
    but ``é`` is not ``e``.
    """
    if url.isascii():
        return url.lower()
    upper = (each.upper() if len(each.upper()) == 1 else each for each in url)
    return "".join(each.lower()[0] for each in upper)


class NamedMedia(Protocol):
    """A media, for example a `DatasetMedia`."""

    @property
    def id(self) -> str: ...
    @property
    def name(self) -> str: ...  # decoded


@attrs.define
class MediaIndex:
    """Media by id and by name, compared in the form in which names travel.

    Composed and decomposed letters (``ü`` as one character or as two) are the same.
    """

    _ids: set[str] = attrs.field(factory=set, init=False)
    # One id, or a tuple of several: there may be a million names.
    _by_name: dict[str, str | tuple[str, ...]] = attrs.field(factory=dict, init=False)
    _by_escaped: dict[str, str | tuple[str, ...]] = attrs.field(factory=dict, init=False)
    # The names without their ending, from when one is looked for by it.
    _by_stem: dict[str, list[str]] = attrs.field(factory=dict, init=False)

    def __contains__(self, media_id: str) -> bool:
        return media_id in self._ids

    def add(self, media: Iterable[NamedMedia]) -> None:
        """Take media in; one that is listed twice, in two datasets or projects, is one."""
        self._by_stem.clear()
        for each in media:
            if each.id in self._ids:
                continue
            self._ids.add(each.id)
            places = [(self._by_name, _folded(each.name))]
            if "%" in each.name:
                places.append((self._by_escaped, _folded(unquote(each.name))))
            for table, key in places:
                before = table.get(key, ())
                others = (before,) if isinstance(before, str) else before
                table[key] = (*others, each.id) if others else each.id

    def ids_of(self, name: str) -> list[str]:
        """Return the ids of the media of a name.

        It is looked for as it is, then by its last part. Other tools escape names (``a%20b.jpg`` is
        ``a b.jpg``), so that it is then tried decoded, and last among media whose names are
        escaped. A name without the ending of an image (``n01440764_10040``, as ImageNet has it) is
        that of the image that has it before its own.
        """
        plain = unquote(name)
        for table, written in (
            (self._by_name, name),
            (self._by_name, plain),
            (self._by_escaped, plain),
        ):
            for each in (written, written.replace("\\", "/").rpartition("/")[2]):
                if found := table.get(_folded(each)):
                    return [found] if isinstance(found, str) else [*found]
        last = plain.replace("\\", "/").rpartition("/")[2]
        if _ENDING.search(last):
            return []
        if not self._by_stem:
            for key, ids in self._by_name.items():
                own = key.rpartition("/")[2]
                stem = own.rpartition(".")[0] or own
                for each in {stem, key.removesuffix(own) + stem}:
                    self._by_stem.setdefault(each, []).extend(
                        [ids] if isinstance(ids, str) else ids
                    )
        return self._by_stem.get(_folded(plain)) or self._by_stem.get(_folded(last), [])


def _folded(name: str) -> str:
    try:
        return fold_written(name)
    except ConfigurationError:  # no media can have such a name
        return f"\0{name}"
