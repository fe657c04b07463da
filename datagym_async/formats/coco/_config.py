"""The label configuration that the labels of COCO files need."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from datagym_async.formats._keys import bare_letters
from datagym_async.formats._losses import Losses
from datagym_async.formats.coco._mapping import CategoryKeys, CocoCategory, CocoMapping, EntryKeys
from datagym_async.formats.coco._reading import Source, gather
from datagym_async.labels import ConfigEntry, LabelConfig
from datagym_async.labels._config_rules import LONGEST_KEY, LONGEST_TEXT
from datagym_async.models import EntryType

_TYPES: Final = {
    "rectangle": EntryType.RECTANGLE,
    "polygon": EntryType.POLYGON,
    "segmentation": EntryType.IMAGE_SEGMENTATION,
}
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
    # An entry for each key, with options and points of all categories that share it.
    shared: dict[str, list[tuple[CocoCategory, EntryKeys]]] = {}
    for category, keys in table.items():
        shared.setdefault(keys.key, []).append((category, keys))
    entries = [_entry(key, members, mapping) for key, members in shared.items()]
    # Nothing can be nested in a segmentation: its keypoints are entries of their own.
    if mapping.shape == "segmentation" and not mapping.sdk:
        points: dict[str, str] = {}
        for category, keys in table.items():
            points |= dict(zip(keys.keypoints, category.keypoints, strict=True))
        entries += _points({key: name for key, name in points.items() if key not in shared})
    # As many free texts as an image has captions at most.
    most = max((len(each.captions) for each in gathered.images.values()), default=0)
    for number in range(1, (min(most, 1) if mapping.sdk else most) + 1):
        key = mapping.caption_key(number)
        text = ConfigEntry(key, _value(key), EntryType.FREETEXT, max_length=LONGEST_TEXT)
        entries.append(text)
    return LabelConfig(entries)


def _entry(
    key: str, members: Iterable[tuple[CocoCategory, EntryKeys]], mapping: CocoMapping
) -> ConfigEntry:
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
    children = _points(points)
    if options:
        asked = mapping.select_key
        children.insert(0, ConfigEntry(asked, _value(asked), EntryType.SELECT, options=options))
    return ConfigEntry(key, _value(name), _TYPES[mapping.shape], children=children)


def _points(points: dict[str, str]) -> list[ConfigEntry]:
    return [ConfigEntry(key, _value(name), EntryType.POINT) for key, name in points.items()]


def _value(name: str) -> str:
    """Return what people read, in letters that the service takes."""
    return _STRANGE.sub(" ", bare_letters(name)).strip()[:LONGEST_KEY] or "unnamed"
