"""How files are named in the dataset: by a word, a template or a function of the caller's.

A policy is checked when it is given (`Naming.of`), long before the first file is met. It names
files and file-like items; what carries a name already (`UploadItem("a.jpg", ...)`, the name column
of a manifest) keeps it, and links are named by the service.

Which files of a folder or glob count: patterns over their relative paths, pure.

What a source yields: an item that may be uploaded, or the reason against it.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
import os
import re
import string
from collections.abc import Callable, Iterator
from fnmatch import translate
from pathlib import PurePosixPath
from typing import Literal, TypeAlias

import attrs

from datagym_async._printable import printable
from datagym_async._regular_files import regular_only
from datagym_async.exceptions import ConfigurationError
from datagym_async.uploads._screening import Screening
from datagym_async.uploads._values import UploadItem

Name: TypeAlias = str | Callable[[UploadItem], str]
"""``"basename"``, ``"relative"``, a template such as ``"{parent}_{name}"``, or a function."""

FIELDS = ("name", "stem", "suffix", "parent", "relative", "index", "sha256")

_PIECE = 1 << 20
_FORMATTER = string.Formatter()


class UnnamableError(ValueError):
    """Says why a policy has no name for one file."""


def check_name(value: object) -> None:
    """Refuse what is no naming policy.

    Raises:
        ConfigurationError: It is neither a known word, nor a sound template, nor a function.
    """
    if callable(value) or value in {"basename", "relative"}:
        return
    if not isinstance(value, str) or "{" not in value:
        msg = (
            f'name is {value!r}; it must be "basename", "relative", a template such as '
            '"{parent}_{name}", or a function of an UploadItem.'
        )
        raise ConfigurationError(msg)
    _check_template(value)


def _check_template(template: str) -> None:
    try:
        parts = list(_FORMATTER.parse(template))
        wrong = next((one for _, one, _, _ in parts if one is not None and one not in FIELDS), None)
        if wrong is None:
            template.format(**_SAMPLE)
    except (ValueError, IndexError, KeyError, AttributeError) as error:
        msg = f"name is the template {template!r}, which cannot be filled in: {error}."
        raise ConfigurationError(msg) from None
    if wrong is not None:
        known = ", ".join(f"{{{field}}}" for field in FIELDS)
        msg = f"name is the template {template!r}; {{{wrong}}} is unknown, it may hold {known}."
        raise ConfigurationError(msg)


_SAMPLE: dict[str, str | int] = {**dict.fromkeys(FIELDS, "0" * 64), "index": 1}


@attrs.frozen
class Naming:
    """Name the files of one run.

    Args:
        policy: A checked policy (`check_name`).
        separator: What stands between the folders of a relative path.
    """

    policy: Name = "basename"
    separator: str = "/"
    _numbers: Iterator[int] = attrs.field(factory=lambda: itertools.count(1), eq=False, repr=False)

    @property
    def needs_order(self) -> bool:
        """Return whether a file's name depends on how many came before it."""
        return isinstance(self.policy, str) and "index" in self._fields

    @property
    def _fields(self) -> frozenset[str]:
        if not isinstance(self.policy, str):
            return frozenset()
        return frozenset(field for _, field, _, _ in _FORMATTER.parse(self.policy) if field)

    def of(self, path: str, relative: str) -> str:
        """Return the name of a file.

        Args:
            path: Where it lies.
            relative: Its path below the source that named it, parts joined by ``/``.

        Raises:
            UnnamableError: The policy has no name for it.
        """
        basename = relative.rpartition("/")[2]
        if self.policy == "basename":
            return basename
        shown = relative.replace("/", self.separator)
        if self.policy == "relative":
            return shown
        if isinstance(self.policy, str):
            return self._filled_in(self.policy, path, basename, shown)
        return _asked(self.policy, UploadItem(shown, path))

    def _filled_in(self, template: str, path: str, basename: str, relative: str) -> str:
        pure = PurePosixPath(basename)
        fields = self._fields
        values: dict[str, str | int] = {
            "name": basename,
            "stem": pure.stem,
            "suffix": pure.suffix,
            "relative": relative,
            "parent": parent_of(path),
        }
        if "index" in fields:
            values["index"] = next(self._numbers)
        if "sha256" in fields:
            values["sha256"] = _hash(path)
        return template.format(**values)


def parent_of(path: str) -> str:
    """Return the name of the folder that a file lies in."""
    return PurePosixPath(path.replace("\\", "/")).parent.name


def _asked(function: Callable[[UploadItem], object], item: UploadItem) -> str:
    shown = printable(str(item.content))
    try:
        name = function(item)
    except Exception as error:
        msg = f"The name function failed for {shown}: {type(error).__name__}: {error}"
        raise UnnamableError(msg) from error
    if isinstance(name, str):
        return name
    msg = f"The name function gave {type(name).__name__} for {shown}; it must give a text."
    raise UnnamableError(msg)


def _hash(path: str) -> str:
    digest = hashlib.sha256()
    try:
        with open(path, "rb", buffering=0, opener=regular_only) as stream:
            while piece := stream.read(_PIECE):
                digest.update(piece)
    except (OSError, ValueError) as error:
        msg = f"{printable(path)} could not be read for its name: {error}."
        raise UnnamableError(msg) from error
    return digest.hexdigest()


Matcher: TypeAlias = tuple[re.Pattern[str] | None, ...]
"""A pattern, folder by folder; None stands for ``**``: any number of folders, none included."""


@functools.lru_cache(maxsize=256)
def compiled(pattern: str) -> Matcher:
    """Return a pattern with ``/`` between its folders, ready to match."""
    return tuple(map(_segment, pattern.split("/")))


def _segment(text: str) -> re.Pattern[str] | None:
    if text == "**":
        return None
    return re.compile(translate(text), re.IGNORECASE if os.name == "nt" else 0)


def matches(parts: tuple[str, ...], pattern: Matcher) -> bool:
    """Return whether a path, folder by folder, matches."""
    if not pattern:
        return not parts
    first, rest = pattern[0], pattern[1:]
    if first is None:
        if not rest:
            return True
        return any(matches(parts[at:], rest) for at in range(len(parts)))
    return bool(parts) and bool(first.match(parts[0])) and matches(parts[1:], rest)


@attrs.frozen
class Filters:
    """Decide by its relative path whether a file counts.

    A pattern without ``/`` is held against each part of the path, so that ``*.jpg`` means files of
    any depth and ``thumbs`` everything below a folder of this name; one with ``/`` is held against
    the path from its beginning, and against the folders on the way to it. ``**`` stands for any
    number of folders. Exclusion wins. No pattern of inclusion includes everything.

    Args:
        include: Patterns of what counts.
        exclude: Patterns of what does not.
    """

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()

    def takes(self, relative: str) -> bool:
        """Return whether a file counts.

        Args:
            relative: Its path below the source, parts joined by ``/``.
        """
        if not self.include and not self.exclude:
            return True
        parts = tuple(relative.split("/"))
        if any(_covers(pattern, parts) for pattern in self.exclude):
            return False
        return not self.include or any(_covers(pattern, parts) for pattern in self.include)

    def prunes(self, relative: str) -> bool:
        """Return whether nothing below a folder can count, so that it need not be read."""
        parts = tuple(relative.split("/"))
        return any(_covers(pattern, parts) for pattern in self.exclude)


def _covers(pattern: str, parts: tuple[str, ...]) -> bool:
    """Return whether a pattern matches a path or a folder above it."""
    matcher = compiled(pattern.strip("/"))
    if "/" not in pattern.strip("/"):
        return any(matches((part,), matcher) for part in parts)
    return any(matches(parts[:end], matcher) for end in range(1, len(parts) + 1))


Symlinks: TypeAlias = Literal["files", "follow", "skip"]


Clashes: TypeAlias = Literal["skip", "rename", "error"]


@attrs.frozen
class Candidate:
    """One thing that a source names.

    Args:
        item: The item; where there is none (a bad line), an empty one with the line as origin.
        size: Bytes, where they are known without reading.
        refusal: Why it cannot be uploaded; empty if nothing is known against it.
        whole_source: Whether the refusal is about a source as a whole (no such folder).
        place: Its place among the others of its source where these come in no order of their own.
        mtime: When its file was changed, in nanoseconds, where that is known without another look.
    """

    item: UploadItem
    size: int | None = None
    refusal: str = ""
    whole_source: bool = False
    place: str = ""
    mtime: int | None = None


@attrs.frozen
class Rules:
    """How sources are read.

    Args:
        naming: How files are named.
        include_hidden: Whether names that begin with a dot count in folders and globs.
        symlinks: Which links count there (see `UploadConfig`).
        filters: Which files count there.
        screening: How closely images are looked at.
        on_clash: What becomes of a file whose name another one has.
        left_out: Absolute paths of files that never count: those that the run itself keeps.
    """

    naming: Naming = attrs.field(factory=Naming)
    include_hidden: bool = False
    symlinks: Symlinks = "files"
    filters: Filters = attrs.field(factory=Filters)
    screening: Screening = attrs.field(factory=Screening)
    on_clash: Clashes = "skip"
    left_out: frozenset[str] = frozenset()

    def file(
        self,
        path: str,
        relative: str,
        size: int | None = None,
        *,
        refusal: str = "",
        mtime: int | None = None,
    ) -> Candidate:
        """Return a file as a candidate, named; with a reason against it where it has no name.

        Args:
            path: Where it lies.
            relative: Its path below the source that named it, parts joined by ``/``.
            size: Its bytes.
            refusal: Why it cannot be uploaded in any case; then it is named by its last part.
            mtime: When it was changed, in nanoseconds, where that is known.
        """
        name = relative.rpartition("/")[2]
        if not refusal:
            try:
                name = self.naming.of(path, relative)
            except UnnamableError as error:
                refusal = str(error)
        return Candidate(UploadItem(name, path), size, refusal, place=relative, mtime=mtime)


def refused_source(name: str, reason: str) -> Candidate:
    """Return the candidate that stands for a source which names no image at all."""
    return Candidate(UploadItem(name, b"", origin=name), refusal=reason, whole_source=True)
