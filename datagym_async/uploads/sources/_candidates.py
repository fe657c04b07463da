"""What a source yields: an item or the reason against it; names of files, and filters.

**Names.** A policy is a word, a template or a function of the caller, checked by `check_name`. An
item with a name (`UploadItem("a.jpg", ...)`, the name column of a list) keeps it, and the service
names links.

**Paths.** A file is identified by its full path (`Rules.full`), however it is given.

**Patterns.** `include` and `exclude` are matched with relative paths, ignoring case, on every
system (`Filters`). A glob as a source works as in a shell.
"""

from __future__ import annotations

import functools
import os
import re
import string
from collections.abc import Callable
from pathlib import PurePath, PurePosixPath
from typing import Literal, TypeAlias

import attrs

from datagym_async._checks import shown
from datagym_async._printable import printable, words_of
from datagym_async._runs._disk import full_path
from datagym_async._runs._images import Steps
from datagym_async._runs._stores import Stores
from datagym_async.exceptions import ConfigurationError
from datagym_async.uploads._screening import Screening
from datagym_async.uploads._values import UploadItem

Name: TypeAlias = str | Callable[[UploadItem], str]
"""``"basename"``, ``"relative"``, a template such as ``"{parent}_{name}"``, or a function."""

FIELDS = ("name", "stem", "suffix", "parent", "relative")

Symlinks: TypeAlias = Literal["files", "follow", "skip"]
Clashes: TypeAlias = Literal["skip", "rename", "error"]


class UnnamableError(ValueError):
    """The reason why a policy has no name for a file."""


def check_name(value: object) -> None:
    """Refuse a value that is neither a known word, nor a valid template, nor a function."""
    if callable(value):
        return
    if isinstance(value, str) and value in {"basename", "relative"}:
        return
    if not isinstance(value, str) or "{" not in value:
        raise ConfigurationError(
            f'name is {shown(value)}; it must be "basename", "relative", a template such as '
            '"{parent}_{name}", or in a program a function of an UploadItem.'
        )
    template = f"name is the template {value!r}"
    try:
        fields = [field for _, field, _, _ in string.Formatter().parse(value) if field is not None]
        wrong = next((field for field in fields if field not in FIELDS), None)
        if wrong is None:
            value.format(**dict.fromkeys(FIELDS, "0"))
    except (ValueError, IndexError, KeyError, AttributeError) as error:
        raise ConfigurationError(f"{template}, which cannot be filled in: {error}.") from None
    if wrong is not None:
        known = ", ".join(f"{{{field}}}" for field in FIELDS)
        raise ConfigurationError(f"{template}; {{{wrong}}} is unknown, it may hold {known}.")


@attrs.frozen
class Naming:
    policy: Name = "basename"  # a checked one (`check_name`)
    separator: str = "/"  # between the folders of a relative path

    def of(self, path: str, relative: str) -> str:
        """Return the name of a file; if the policy has none, that is an `UnnamableError`."""
        basename = relative.rpartition("/")[2]
        if self.policy == "basename":
            return basename
        shown = relative.replace("/", self.separator)
        if self.policy == "relative":
            return shown
        if not isinstance(self.policy, str):
            try:
                name: object = self.policy(UploadItem(shown, path))
            except Exception as error:
                raise UnnamableError(
                    f"The name function failed for {printable(path)}: "
                    f"{type(error).__name__}: {words_of(error)}"
                ) from error
            if isinstance(name, str):
                return name
            raise UnnamableError(
                f"The name function returned {type(name).__name__} for {printable(path)}; it "
                "must return a text."
            )
        pure, below = PurePosixPath(basename), PurePosixPath(relative).parent.name
        return self.policy.format(
            name=basename,
            stem=pure.stem,
            suffix=pure.suffix,
            relative=shown,
            parent=below if below not in {"", ".."} else PurePath(path).parent.name,
        )


@functools.lru_cache(maxsize=256)
def matcher(patterns: tuple[str, ...], *, any_case: bool) -> Callable[[str], object]:
    """Return a function that matches paths: ``**`` any number of parts, other signs within one."""
    from wcmatch import glob

    flags = glob.GLOBSTAR | glob.DOTGLOB | glob.FORCEUNIX
    flags |= glob.IGNORECASE if any_case else glob.CASE
    found, _ = glob.translate(patterns, flags=flags, limit=0)  # any number of patterns
    return re.compile("|".join(found)).match


@attrs.define
class Filters:
    """Decide by its relative path whether a file counts; case is ignored.

    A pattern without ``/`` is matched with each part of the path: ``*.jpg`` means files at any
    depth, ``IMG_1.JPG`` too, and ``thumbs`` everything below a folder of this name. One with ``/``
    is matched with the path from its beginning, and with the folders above it. ``**`` matches any
    number of folders. Exclusion wins. Without patterns of inclusion everything is included.
    """

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    # Files left out so far; a folder that was not read for that reason counts as one.
    left_out: int = attrs.field(default=0, init=False, eq=False)

    def takes(self, relative: str) -> bool:
        is_included = not self.include or _covering(self.include)(relative)
        return bool(is_included) and not self.prunes(relative)

    def prunes(self, relative: str) -> bool:
        """Return whether nothing below a folder can count, so it need not be read."""
        return bool(self.exclude) and bool(_covering(self.exclude)(relative))


@functools.lru_cache(maxsize=64)
def _covering(patterns: tuple[str, ...]) -> Callable[[str], object]:
    """Return a function that says whether a path, or a folder above it, matches a pattern."""
    bare = [pattern.strip("/") for pattern in patterns]
    rooted = [one if "/" in one else f"**/{one}" for one in bare]
    return matcher((*rooted, *(f"{one}/**" for one in rooted)), any_case=True)


@attrs.define  # made for each file: see `Request`
class Candidate:
    """One element of a source; never changed after it is made."""

    item: UploadItem  # for a bad line, an empty item with the line as origin
    size: int | None = None  # bytes, if they are known without reading
    refusal: str = ""  # why it cannot be uploaded, if that is known
    whole_source: bool = False  # the reason concerns a source as a whole (no such folder)
    place: str = ""  # what sorts it among the others of its source: its relative path
    # In nanoseconds, if it is known without another look; for objects and members what identifies
    # the bytes, such as an ETag.
    mtime: int | None = None
    depends: bool = False  # its name depends on its source, and may differ next time


@attrs.frozen
class Rules:
    """How sources are read (see `UploadConfig`)."""

    naming: Naming = attrs.field(factory=Naming)
    include_hidden: bool = False
    symlinks: Symlinks = "files"
    filters: Filters = attrs.field(factory=Filters)
    screening: Screening = attrs.field(factory=Screening)
    on_clash: Clashes = "skip"
    steps: Steps | None = None  # how images are prepared, if they are
    left_out: frozenset[str] = frozenset()  # absolute paths of the run's own files
    stores: Stores = attrs.field(factory=Stores, eq=False)
    _resolved: Callable[[str], str] = attrs.field(
        factory=lambda: functools.lru_cache(1024)(os.path.realpath), eq=False, repr=False
    )

    def hides(self, relative: str) -> bool:
        """Return whether a part of a path is hidden, and hidden ones do not count."""
        parts = () if self.include_hidden else relative.split("/")
        return any(one[:1] == "." and one != ".." for one in parts)

    def full(self, path: str) -> str:
        """Return the identity of a file: its absolute path, with its folder resolved."""
        return full_path(path, self._resolved)

    def file(
        self,
        path: str,
        relative: str,
        size: int | None = None,
        refusal: str = "",
        mtime: int | None = None,
        place: str | None = None,
        name: str | None = None,
        origin: str = "",
    ) -> Candidate:
        """Return a file, by its full path, as a candidate; with a reason if it gets no name."""
        depends = not name and self.naming.policy != "basename"
        name = name or relative.rpartition("/")[2]
        if depends and not refusal:
            try:
                name = self.naming.of(path, relative)
            except UnnamableError as error:
                refusal = str(error)
        # Called for each file, so without the checks of the constructor.
        item = UploadItem.__new__(UploadItem)
        item.__attrs_init__(name, path, origin=origin)
        place = relative if place is None else place
        return Candidate(item, size, refusal, False, place, mtime, depends)


def refused_source(name: str, reason: str, *, whole: bool = True) -> Candidate:
    """Return the candidate for a source, or one element of it, that has no image at all."""
    return Candidate(UploadItem(name, b"", origin=name), refusal=reason, whole_source=whole)
