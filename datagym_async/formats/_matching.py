"""Which image of a file is which media: by name, as the service compares names."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import attrs

from datagym_async._printable import printable
from datagym_async.labels import LabeledImage
from datagym_async.models._names import MediaIndex

if TYPE_CHECKING:
    from datagym_async.models._names import NamedMedia


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
        parts = [f"{len(self.images):,} images have a media"]
        for names, what in (
            (self.unmatched, "have none"),
            (self.ambiguous, "have several"),
            (self.doubled, "have the media of another image"),
            (self.unannotated, "have no labels and stay as they are"),
        ):
            if names:
                few = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
                parts.append(f"{len(names):,} {what} ({few})")
        return printable("; ".join(parts) + ".")


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
    matched: dict[str, LabeledImage] = {}
    unmatched, ambiguous, doubled, unannotated = [], [], [], []
    for image in images:
        name = image.media_name
        ids = [image.media_id] if image.media_id in index else index.ids_of(name)
        empty = not image.annotations and not image.classifications
        if not ids:
            unmatched.append(name)
        elif len(ids) > 1:
            ambiguous.append(name)
        elif empty and not include_unannotated:
            unannotated.append(name)
        elif ids[0] in matched:
            doubled.append(name)
        else:
            matched[ids[0]] = attrs.evolve(image, media_id=ids[0])
    return Matching(
        matched.values(), tuple(unmatched), tuple(ambiguous), tuple(doubled), tuple(unannotated)
    )
