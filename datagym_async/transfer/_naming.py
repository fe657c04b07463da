"""How files are named in the dataset: by a word, a template or a function of the caller's.

A policy is checked when it is given (`Naming.of`), long before the first file is met. It names
files and file-like items; what carries a name already (`UploadItem("a.jpg", ...)`, the name column
of a manifest) keeps it, and links are named by the service.
"""

from __future__ import annotations

import hashlib
import itertools
import string
from collections.abc import Callable, Iterator
from pathlib import PurePosixPath
from typing import TypeAlias

import attrs

from datagym_async._printable import printable
from datagym_async.exceptions import ConfigurationError
from datagym_async.transfer._items import UploadItem

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
        with open(path, "rb", buffering=0) as stream:  # noqa: PTH123 -- as in `_disk.look`
            while piece := stream.read(_PIECE):
                digest.update(piece)
    except (OSError, ValueError) as error:
        msg = f"{printable(path)} could not be read for its name: {error}."
        raise UnnamableError(msg) from error
    return digest.hexdigest()
