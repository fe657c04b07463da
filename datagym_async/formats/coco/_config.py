"""The label configuration that the labels of COCO files need."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING, Final

from datagym_async.formats._losses import Losses
from datagym_async.formats.coco._mapping import CategoryKeys, CocoCategory, CocoMapping, EntryKeys
from datagym_async.formats.coco._reading import Gathered, Source, gather
from datagym_async.labels import ConfigEntry, LabelConfig
from datagym_async.models import EntryType

if TYPE_CHECKING:
    from collections.abc import Iterable

_TYPES: Final = {
    "rectangle": EntryType.RECTANGLE,
    "polygon": EntryType.POLYGON,
    "segmentation": EntryType.IMAGE_SEGMENTATION,
}
_LONGEST_TEXT: Final = 255
_LONGEST_VALUE: Final = 56
_STRANGE: Final = re.compile(r"[^a-zA-Z0-9_ !@#$%^&*()?-]+")


def label_config(*sources: Source, mapping: CocoMapping | None = None) -> LabelConfig:
    """Return a label configuration that takes all labels of COCO files.

    It has an entry for each supercategory or category (`CocoMapping.by`) with a select of what is
    below, points for keypoints, and a free text for each caption that an image has at most.

    Args:
        sources: COCO files, or what they hold, as for `read`.
        mapping: What becomes what, as for `read`.

    Raises:
        FormatError: One of them is no COCO file.
        OSError: One cannot be read.
    """
    losses = Losses()
    mapping = mapping or CocoMapping()
    gathered = gather(sources, losses)
    table = CategoryKeys(gathered.categories.values(), mapping, losses)
    below: dict[str, list[tuple[CocoCategory, EntryKeys]]] = {}
    for category, keys in table.items():
        below.setdefault(keys.key, []).append((category, keys))
    shapes = [_entry(key, members, mapping) for key, members in below.items()]
    return LabelConfig([*shapes, *_loose_points(table, mapping), *_captions(gathered, mapping)])


def _entry(
    key: str, members: Iterable[tuple[CocoCategory, EntryKeys]], mapping: CocoMapping
) -> ConfigEntry:
    """Return the entry of the categories that share it."""
    options: dict[str, str] = {}
    points: dict[str, str] = {}
    name = key
    for category, keys in members:
        grouped = mapping.by == "supercategory" and keys.option is not None
        name = category.supercategory if grouped else category.name
        if keys.option is not None:
            options[keys.option] = category.name if grouped else category.supercategory
        if not mapping.sdk and mapping.shape != "segmentation":
            points |= dict(zip(keys.keypoints, category.keypoints, strict=True))
    return ConfigEntry(
        key,
        _value(name),
        _TYPES[mapping.shape],
        children=[*_select(options, mapping), *_points(points)],
    )


def _select(options: dict[str, str], mapping: CocoMapping) -> list[ConfigEntry]:
    if not options:
        return []
    key = mapping.select_key
    return [ConfigEntry(key, _value(key), EntryType.SELECT, options=options)]


def _points(points: dict[str, str]) -> list[ConfigEntry]:
    return [ConfigEntry(key, _value(name), EntryType.POINT) for key, name in points.items()]


def _loose_points(table: CategoryKeys, mapping: CocoMapping) -> list[ConfigEntry]:
    """Return points of their own: no shape can be nested in a segmentation."""
    if mapping.sdk or mapping.shape != "segmentation":
        return []
    roots = {keys.key for _, keys in table.items()}
    named: dict[str, str] = {}
    for category, keys in table.items():
        named |= dict(zip(keys.keypoints, category.keypoints, strict=True))
    return _points({key: name for key, name in named.items() if key not in roots})


def _captions(gathered: Gathered, mapping: CocoMapping) -> list[ConfigEntry]:
    most = max((len(each.captions) for each in gathered.images.values()), default=0)
    keys = [mapping.caption_key(number) for number in range(1, most + 1)]
    return [
        ConfigEntry(key, _value(key), EntryType.FREETEXT, max_length=_LONGEST_TEXT)
        for key in (keys[:1] if mapping.sdk else keys)
    ]


def _value(name: str) -> str:
    """Return what people read, in letters that the service takes."""
    plain = unicodedata.normalize("NFKD", name)
    letters = "".join(each for each in plain if not unicodedata.combining(each))
    return _STRANGE.sub(" ", letters).strip()[:_LONGEST_VALUE] or "unnamed"
