"""Which image of a file is which media: by name, as the service compares names."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Protocol

import attrs

from datagym_async._wire._names import encode_name, fold_name
from datagym_async.exceptions import ConfigurationError
from datagym_async.labels import LabeledImage

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


@attrs.frozen
class Matching:
    """What came of looking for the media of images.

    Args:
        images: The images whose media is known, with its id, ready to be imported.
        unmatched: Names of images that no media has.
        ambiguous: Names of images that several media have (in different datasets).
        doubled: Names of images whose media another image has taken already.
        unannotated: Names of images without any label. They are not among `images`, unless asked
            for, because importing them would take labels away.
    """

    images: tuple[LabeledImage, ...] = attrs.field(default=(), converter=tuple[LabeledImage, ...])
    unmatched: tuple[str, ...] = ()
    ambiguous: tuple[str, ...] = ()
    doubled: tuple[str, ...] = ()
    unannotated: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Return what was found in a sentence or two."""
        said = [f"{len(self.images):,} images have a media"]
        said += _said(self.unmatched, "have none")
        said += _said(self.ambiguous, "have several")
        said += _said(self.doubled, "have the media of another image")
        said += _said(self.unannotated, "have no labels and stay as they are")
        return "; ".join(said) + "."


def match(
    images: Iterable[LabeledImage],
    media: Iterable[NamedMedia],
    *,
    include_unannotated: bool = False,
) -> Matching:
    """Return images with the ids of their media, found by name.

    Names are compared as the service does, in the form in which they travel: the case of the
    letters A to Z does not count. A name with folders that no media has as it is goes by its last
    part. An image that has an id keeps it if a media has it.

    Args:
        images: Images as a reader gives them.
        media: The media there are, for example of all datasets of a project.
        include_unannotated: Whether images without any label are taken, too. Importing them with
            ``keep_data=False`` deletes the labels that their media have.
    """
    there = _Index(media)
    found = _Found()
    for image in images:
        ids = there.ids_of(image)
        empty = not image.annotations and not image.classifications
        if not ids:
            found.unmatched.append(image.media_name)
        elif len(ids) > 1:
            found.ambiguous.append(image.media_name)
        elif empty and not include_unannotated:
            found.unannotated.append(image.media_name)
        elif ids[0] in found.images:
            found.doubled.append(image.media_name)
        else:
            found.images[ids[0]] = attrs.evolve(image, media_id=ids[0])
    return found.matching()


@attrs.define
class _Found:
    images: dict[str, LabeledImage] = attrs.field(factory=dict)
    unmatched: list[str] = attrs.field(factory=list)
    ambiguous: list[str] = attrs.field(factory=list)
    doubled: list[str] = attrs.field(factory=list)
    unannotated: list[str] = attrs.field(factory=list)

    def matching(self) -> Matching:
        return Matching(
            tuple(self.images.values()),
            tuple(self.unmatched),
            tuple(self.ambiguous),
            tuple(self.doubled),
            tuple(self.unannotated),
        )


class _Index:
    """Media by id and by folded name."""

    def __init__(self, media: Iterable[NamedMedia]) -> None:
        self._by_name: defaultdict[str, list[str]] = defaultdict(list)
        self._ids: set[str] = set()
        for each in media:
            # One media may be listed twice, in two projects or datasets.
            if each.id not in self._ids:
                self._ids.add(each.id)
                self._by_name[_folded(each.name)].append(each.id)

    def ids_of(self, image: LabeledImage) -> list[str]:
        if image.media_id in self._ids:
            return [image.media_id]
        name = image.media_name
        last = name.replace("\\", "/").rpartition("/")[2]
        return self._by_name.get(_folded(name)) or self._by_name.get(_folded(last)) or []


def _folded(name: str) -> str:
    try:
        return fold_name(encode_name(name))
    except ConfigurationError:  # no media can have such a name
        return f"\0{name}"


def _said(names: tuple[str, ...], what: str) -> list[str]:
    if not names:
        return []
    few = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
    return [f"{len(names):,} {what} ({few})"]
