"""Media names: how they are encoded in requests, and which names the service holds for equal.

The service reads the ``X-filename`` header as Latin-1 and decodes nothing, so it would store a name
in UTF-8 as garbage (observed). So printable ASCII is sent unchanged; ``%``, outer blanks (which
HTTP strips) and everything else are sent as percent-encoded UTF-8, composed (NFC): systems write
``ü`` as one character or as two, and the service would store both.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left
from collections.abc import Iterable, Iterator
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
IMAGE_SUFFIXES = frozenset((
    ".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".bmp", ".dib", ".gif", ".tif", ".tiff",
    ".webp", ".heic", ".heif", ".avif",
))  # fmt: skip
_UP = re.compile(r"^(?:\.{0,2}/)++")
_UPLOAD_PREFIX = re.compile(r"(?:^|(?<=[/\\]))[0-9a-f]{8}-(?=[^/\\]+$)")
# With the character before it, which what follows may belong to.
_ESCAPED = re.compile(r"(?:(?<!%)(?<!%[0-9A-Fa-f])[^%])?(?:%[89A-Fa-f][0-9A-Fa-f])++")


def _percent(match: re.Match[str]) -> str:
    # Undecodable bytes of a file's name arrive as lone surrogates (PEP 383).
    return "".join(f"%{byte:02X}" for byte in match[0].encode("utf-8", "surrogateescape"))


def encode_name(name: str) -> str:
    """Return a media name in its stored form: composed and encoded.

    Raises:
        ConfigurationError: The name is empty, too long in its encoded form, or not valid Unicode.
    """
    if len(name) <= MAX_NAME_LENGTH and _PLAIN.fullmatch(name):
        return name  # as nearly all are
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
    """Return the decoded name of a stored one, or the stored one itself if it was not encoded here.

    Other clients and URLs store names without this rule.
    """
    if "%" not in stored or not stored.isascii():
        return stored
    try:
        name = unquote_to_bytes(stored).decode("utf-8")
    except UnicodeDecodeError:
        return stored
    return name if name and _UNSAFE.sub(_percent, name) == stored else stored


def fold_name(encoded: str) -> str:
    """Return the form of an encoded name in which the service compares names.

    Case, accents and trailing blanks are ignored, letter by letter: it is the collation
    ``utf8mb4_general_ci`` of the service's database (observed). So ``ß`` equals ``s`` and not
    ``ss``, ``ﬁ`` is not ``fi``, and all characters beyond the basic plane are equal.
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
    """Return a stored name for comparison: as `fold_name`, but equal for both forms of ``ü``.

    For the service they are two names. But a name that an earlier run or another program stored
    decomposed is that of the same image.
    """
    return fold_name(_ESCAPED.sub(_composed, stored) if "%" in stored else stored)


def _composed(match: re.Match[str]) -> str:
    try:
        text = unquote_to_bytes(match[0]).decode("utf-8")
    except UnicodeDecodeError:
        return match[0]
    return _BEYOND_ASCII.sub(_percent, unicodedata.normalize("NFC", text))


def fold_written(name: str) -> str:
    """Return a written name for comparison; errors as for `encode_name`."""
    return fold_name(encode_name(name))


def fold_link(url: str) -> str:
    """Return the form in which the service compares links: letter by letter, ignoring case.

    It compares them like Java (observed): ``Ü`` is ``ü`` and a dotless ``i`` is ``i``, but ``é`` is
    not ``e``.
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
    """Media by id and by name, compared in encoded form.

    Composed and decomposed letters (``ü`` as one character or as two) are equal.
    """

    _ids: set[str] = attrs.field(factory=set, init=False)
    # One id, or a tuple of several: there may be a million names.
    _by_name: dict[str, str | tuple[str, ...]] = attrs.field(factory=dict, init=False)
    _by_escaped: dict[str, str | tuple[str, ...]] = attrs.field(factory=dict, init=False)
    # Paths from their ends, without their suffixes or with them, sorted: a table of all endings
    # takes kilobytes for a name in many folders. Made when the first is looked for.
    _from_end: dict[bool, list[tuple[str, str]]] = attrs.field(factory=dict, init=False)

    def __contains__(self, media_id: str) -> bool:
        return media_id in self._ids

    def add(self, media: Iterable[NamedMedia]) -> None:
        """Add media; one that is listed in two datasets or projects counts once."""
        self._from_end.clear()
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
        """Return the ids of the media with a name, or else without the prefix of Label Studio.

        That puts eight hexadecimal digits and a hyphen before the names of uploaded images.
        """
        return self.named(name) or self.named(_UPLOAD_PREFIX.sub("", name))

    def named(self, name: str) -> list[str]:
        """Return the ids of the media with this very name.

        The name is looked for unchanged, then with fewer and fewer of its folders (`_endings`).
        Other tools escape names (``a%20b.jpg`` for ``a b.jpg``), so then it is tried decoded, and
        then among media with escaped names. Last come media that have more folders than the name. A
        name without the suffix of an image (``n01440764_10040`` in ImageNet) matches the image with
        any suffix.
        """
        plain = unquote(name)
        for table, written in (
            (self._by_name, name),
            (self._by_name, plain),
            (self._by_escaped, plain),
        ):
            for each in _endings(written):
                if found := table.get(_folded(each)):
                    return [found] if isinstance(found, str) else [*found]
        path = _path_of(plain)
        has_suffix = path.lower().endswith((*IMAGE_SUFFIXES,))
        tried = [_UP.sub("", path)] if has_suffix else _endings(plain)
        ended = (self._ending_in(_folded(each), is_stem=not has_suffix) for each in tried)
        return next(filter(None, ended), [])

    def _ending_in(self, path: str, *, is_stem: bool) -> list[str]:
        """Return the ids of media whose paths, or those without their suffixes, end in this one."""
        if (table := self._from_end.get(is_stem)) is None:
            pairs = ((_from_end(_path_of(key), is_stem=is_stem), key) for key in self._by_name)
            table = self._from_end[is_stem] = sorted(pairs)
        wanted, found = _from_end(path), list[str]()
        start, end = (bisect_left(table, (each,)) for each in (wanted, f"{wanted}\U0010ffff"))
        for _, key in table[start:end]:
            ids = self._by_name[key]
            found += [ids] if isinstance(ids, str) else ids
        return found


def _from_end(path: str, *, is_stem: bool = False) -> str:
    folders, _, own = f"/{path}".rpartition("/")
    stem = own.rpartition(".")[0] if is_stem else ""
    return f"{folders}/{stem or own}"[::-1]


def _path_of(name: str) -> str:
    """Return a name as a path, a URL without its query; no longer than any media name."""
    path = (name.partition("?")[0] if "://" in name else name).replace("\\", "/")
    if len(path) > MAX_NAME_LENGTH:
        path = path[-MAX_NAME_LENGTH - 1 :].partition("/")[2]
    return path


def _endings(name: str) -> Iterator[str]:
    """Yield a name unchanged, then as a path with fewer and fewer folders."""
    yield name
    path = _path_of(name)
    while path:
        yield path
        path = path.partition("/")[2]


def _folded(name: str) -> str:
    try:
        return fold_written(name)
    except ConfigurationError:  # no media can have such a name
        return f"\0{name}"
