"""Media by name: the one place that says which media a name means."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Protocol

import attrs

from datagym_async.exceptions import ConfigurationError
from datagym_async.models._names import fold_written

if TYPE_CHECKING:
    from collections.abc import Iterable


class NamedMedia(Protocol):
    """A media, for example a `DatasetMedia`."""

    @property
    def id(self) -> str:
        """Return its UUID."""
        ...

    @property
    def name(self) -> str:
        """Return its name, decoded."""
        ...


@attrs.define
class MediaIndex:
    """Media by id and by name, compared in the form in which names travel."""

    _ids: set[str] = attrs.field(factory=set, init=False)
    _by_name: defaultdict[str, list[str]] = attrs.field(
        factory=lambda: defaultdict(list), init=False
    )

    def __contains__(self, media_id: str) -> bool:
        return media_id in self._ids

    def add(self, media: Iterable[NamedMedia]) -> None:
        """Take media in; one that is listed twice, in two datasets or projects, is one."""
        for each in media:
            if each.id not in self._ids:
                self._ids.add(each.id)
                self._by_name[_folded(each.name)].append(each.id)

    def ids_of(self, name: str) -> list[str]:
        """Return the ids of the media of a name, decoded; if there are none, of its last part."""
        last = name.replace("\\", "/").rpartition("/")[2]
        return self._by_name.get(_folded(name)) or self._by_name.get(_folded(last)) or []


def _folded(name: str) -> str:
    try:
        return fold_written(name)
    except ConfigurationError:  # no media can have such a name
        return f"\0{name}"
