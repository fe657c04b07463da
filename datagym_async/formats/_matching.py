"""Which image of a file is which media: by name, as the service compares names."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from datagym_async._printable import printable
from datagym_async._wire._media_index import MediaIndex
from datagym_async.labels import LabeledImage

if TYPE_CHECKING:
    from collections.abc import Iterable

    from datagym_async._wire._media_index import NamedMedia


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
        return printable("; ".join(said) + ".")


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
    index = MediaIndex()
    index.add(media)
    found = _Found()
    for image in images:
        ids = _ids_of(image, index)
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


def _ids_of(image: LabeledImage, index: MediaIndex) -> list[str]:
    return [image.media_id] if image.media_id in index else index.ids_of(image.media_name)


def _said(names: tuple[str, ...], what: str) -> list[str]:
    if not names:
        return []
    few = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
    return [f"{len(names):,} {what} ({few})"]
