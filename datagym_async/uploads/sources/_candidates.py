"""What a source yields, an item or the reason against it; how files are named, and which count.

**Names.** A policy is a word, a template or a function of the caller's. It is checked when it is
given (`check_name`), long before the first file is met. It names files and file-like items; what
carries a name already (`UploadItem("a.jpg", ...)`, the name column of a list) keeps it, and
links are named by the service.

**Patterns.** `include` and `exclude` are held against relative paths, whatever their case, on every
system (`Filters`). A glob that is a source means what it means in a shell.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
import re
import string
from collections.abc import Callable, Iterator
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

Symlinks: TypeAlias = Literal["files", "follow", "skip"]
Clashes: TypeAlias = Literal["skip", "rename", "error"]

_SAMPLE: dict[str, str | int] = {**dict.fromkeys(FIELDS, "0" * 64), "index": 1}


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
    try:
        wrong = next((field for field in _fields(value) if field not in FIELDS), None)
        if wrong is None:
            value.format(**_SAMPLE)
    except (ValueError, IndexError, KeyError, AttributeError) as error:
        msg = f"name is the template {value!r}, which cannot be filled in: {error}."
        raise ConfigurationError(msg) from None
    if wrong is not None:
        known = ", ".join(f"{{{field}}}" for field in FIELDS)
        msg = f"name is the template {value!r}; {{{wrong}}} is unknown, it may hold {known}."
        raise ConfigurationError(msg)


@functools.lru_cache(maxsize=16)
def _fields(template: str) -> tuple[str, ...]:
    parts = string.Formatter().parse(template)
    return tuple(field for _, field, _, _ in parts if field is not None)


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
        return isinstance(self.policy, str) and "index" in _fields(self.policy)

    def of(self, path: str, relative: str) -> str:
        """Return the name of a file, whose relative path has its parts joined by ``/``.

        Raises:
            UnnamableError: The policy has no name for it.
        """
        basename = relative.rpartition("/")[2]
        if self.policy == "basename":
            return basename
        shown = relative.replace("/", self.separator)
        if self.policy == "relative":
            return shown
        if not isinstance(self.policy, str):
            return _asked(self.policy, UploadItem(shown, path))
        pure, fields = PurePosixPath(basename), _fields(self.policy)
        values: dict[str, str | int] = {
            "name": basename,
            "stem": pure.stem,
            "suffix": pure.suffix,
            "relative": shown,
            "parent": PurePosixPath(path.replace("\\", "/")).parent.name,
        }
        if "index" in fields:
            values["index"] = next(self._numbers)
        if "sha256" in fields:
            try:
                with open(path, "rb", buffering=0, opener=regular_only) as stream:
                    values["sha256"] = hashlib.file_digest(stream, "sha256").hexdigest()
            except (OSError, ValueError) as error:
                msg = f"{printable(path)} could not be read for its name: {error}."
                raise UnnamableError(msg) from error
        return self.policy.format(**values)


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


@functools.lru_cache(maxsize=256)
def matcher(patterns: tuple[str, ...], *, any_case: bool) -> Callable[[str], object]:
    """Return what tells whether a path, its parts joined by ``/``, matches one of some patterns.

    ``*``, ``?`` and ``[...]`` stay within a part, and ``**`` stands for any number of them.
    """
    from wcmatch import glob

    flags = glob.GLOBSTAR | glob.DOTGLOB | glob.FORCEUNIX
    flags |= glob.IGNORECASE if any_case else glob.CASE
    found, _ = glob.translate(patterns, flags=flags, limit=0)  # any number of patterns
    return re.compile("|".join(found)).match


@attrs.define
class Filters:
    """Decide by its relative path whether a file counts, whatever the case of its letters.

    A pattern without ``/`` is held against each part of the path, so that ``*.jpg`` means files of
    any depth, ``IMG_1.JPG`` too, and ``thumbs`` everything below a folder of this name; one with
    ``/`` is held against the path from its beginning, and against the folders on the way to it.
    ``**`` stands for any number of folders. Exclusion wins. No pattern of inclusion includes
    everything.

    Args:
        include: Patterns of what counts.
        exclude: Patterns of what does not.

    Attributes:
        left_out: Files that did not count so far; a folder that was not read for it counts as one.
    """

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    left_out: int = attrs.field(default=0, init=False, eq=False)

    def takes(self, relative: str) -> bool:
        """Return whether a file counts."""
        if self.prunes(relative):
            return False
        return not self.include or bool(_covering(self.include)(relative))

    def prunes(self, relative: str) -> bool:
        """Return whether nothing below a folder can count, so that it need not be read."""
        return bool(self.exclude) and bool(_covering(self.exclude)(relative))


@functools.lru_cache(maxsize=64)
def _covering(patterns: tuple[str, ...]) -> Callable[[str], object]:
    """Return what tells whether a path, or a folder above it, matches one of some patterns."""
    bare = [pattern.strip("/") for pattern in patterns]
    rooted = [one if "/" in one else f"**/{one}" for one in bare]
    return matcher((*rooted, *(f"{one}/**" for one in rooted)), any_case=True)


@attrs.frozen
class Candidate:
    """One thing that a source names.

    Args:
        item: The item; where there is none (a bad line), an empty one with the line as origin.
        size: Bytes, where they are known without reading.
        refusal: Why it cannot be uploaded; empty if nothing is known against it.
        whole_source: Whether the refusal is about a source as a whole (no such folder).
        place: What sorts it among the others of its source: its relative path.
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
        refusal: str = "",
        mtime: int | None = None,
    ) -> Candidate:
        """Return a file as a candidate, named; with a reason against it where it has no name.

        One that cannot be uploaded in any case is named by its last part.
        """
        name = relative.rpartition("/")[2]
        if not refusal and self.naming.policy != "basename":
            try:
                name = self.naming.of(path, relative)
            except UnnamableError as error:
                refusal = str(error)
        # For each file: without the constructor's looks at what a caller gives.
        item = UploadItem.__new__(UploadItem)
        item.__attrs_init__(name, path)
        return Candidate(item, size, refusal, False, relative, mtime)


def refused_source(name: str, reason: str) -> Candidate:
    """Return the candidate that stands for a source which names no image at all."""
    return Candidate(UploadItem(name, b"", origin=name), refusal=reason, whole_source=True)
