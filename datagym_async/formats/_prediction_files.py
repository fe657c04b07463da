"""Files in all formats of an import, read piece by piece, and the media of their images."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Generator, Iterable, Mapping
from contextlib import closing
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import attrs
import orjson

from datagym_async._checks import by_annotation, checked, listed, shown
from datagym_async._files import regular_only
from datagym_async._json import BOM, in_utf8, loads, why_no_json
from datagym_async._printable import counted, printable
from datagym_async._wire import _routes as routes
from datagym_async._wire._codec import decode_value
from datagym_async._wire._cutting import BrokenTextError, ElementCutter, MemberCutter
from datagym_async.exceptions import APIResponseValidationError, ConfigurationError
from datagym_async.formats._labelled import images_of
from datagym_async.formats._losses import FormatError, Losses, LossKind, LossReport
from datagym_async.formats._mapping import LabelMapping, config_of
from datagym_async.formats._raw import RawDataset
from datagym_async.formats._table import (
    LINES,
    format_info,
    head_of,
    labels_of_download,
    open_dataset,
    sniff,
)
from datagym_async.formats._written import Fixed, classes_from
from datagym_async.labels import LabelConfig, LabeledImage
from datagym_async.models import TaskDetail
from datagym_async.models._names import MediaIndex, NamedMedia
from datagym_async.resources._values import labels_of

if TYPE_CHECKING:
    Item: TypeAlias = LabeledImage | Mapping[str, Any]

OWN_FORMATS: Final = ("json", "jsonl")
"""The formats of the service, whose labels have keys of entries instead of classes."""
_PIECE = 64 * 1024
_KEYS = re.compile(r'"(?:(?:in|ex)ternal_(?:media|image)_ID|label_classes|labelIteration)"')
_MEMBER = re.compile(r'"\s*:')
_OWN = re.compile(r'^\{[^{\[]*"internal_(?:media|image)_ID"')
_OF_DOWNLOAD = re.compile(
    rb'\{\s*"project":\s*\{"id": "[^"]*", "name": "(?:[^"\\]|\\.)*"\},\s*"tasks":\s*(?=\[)'
)
"""What ``labels.json`` of a download has before its tasks, which are those of an export."""
_AT_ONCE = 50
"""Items read in one thread call: as many as go into one request."""


@attrs.define(field_transformer=by_annotation)
class PredictionFile:
    """A file of labels in any format of an import; it can be iterated several times.

    It yields label values, or JSON items if the format is one of the service.

    Args:
        path: The file or folder.
        format: ``"json"``: an array of items of an import or export of the service. ``"jsonl"``:
            one such item a line, or a task as the service shows it (the unfinished ones of a
            backup). Or one of `FORMATS`. None to detect it.
        mapping: How classes and shapes are mapped; not used for formats of the service.
        config: The label configuration in which classes are found by name; None for the one that
            `label_config` returns.
        classes: Names of the classes by their numbers, or a file of them (see `classes_from`), if
            labels have only numbers.
        split: See `read`.
        min_score: See `read`.
        zero_based: See `read`.
        images: See `read`.
        unannotated: Whether to yield images without labels. If labels are replaced, those images
            lose theirs.
        emptied: Whether to yield images whose labels are all lost, without labels.
        in_shares: Whether to yield labels of YOLO without their images. Their coordinates are
            shares of a width and height that an import gets from the service.

    Attributes:
        skipped: The number of images that `unannotated` left out; known after an iteration.
    """

    path: Path = attrs.field(converter=Path)
    format: str | None = None
    mapping: LabelMapping = attrs.field(factory=LabelMapping)
    config: LabelConfig | None = None
    classes: Fixed = ()
    split: str | None = None
    min_score: float | None = None
    zero_based: bool = False
    images: Path | None = None
    unannotated: bool = False
    emptied: bool = False
    in_shares: bool = False
    skipped: int = attrs.field(default=0, init=False)
    _losses: Losses = attrs.field(factory=Losses, init=False)
    _opened: RawDataset | None = attrs.field(default=None, init=False)
    """The dataset of the last `label_config`, for the next iteration."""

    @property
    def losses(self) -> LossReport:
        """Return what was lost or changed so far in the current iteration."""
        return self._losses.report()

    @property
    def found_format(self) -> str:
        """Return the format, detected if it was not given. Blocks for a moment.

        Raises:
            OSError: The file cannot be read.
            FormatError: It has no known format.
        """
        if self.format is None:
            self.format = self._by_content()
        elif self.format not in OWN_FORMATS:
            format_info(self.format)
        return self.format

    def _by_content(self) -> str:
        if self.path.is_dir():
            self.path = labels_of_download(self.path)
        if not self.path.is_dir():
            _, start = head_of(self.path)
            is_own = _KEYS.search(start) or not _MEMBER.search(start)  # empty, or broken
            if self.path.suffix.lower() in LINES and is_own:
                return "jsonl"
            is_array = start.startswith("[") and is_own
            if is_array or _OWN.search(start) or _OF_DOWNLOAD.match(start.encode()):
                return "json"
        return sniff(self.path)

    @property
    def has_classes(self) -> bool:
        """Return whether it names classes; the formats of the service have keys of entries."""
        return self.found_format not in OWN_FORMATS

    def label_config(self, present: LabelConfig | None = None) -> LabelConfig:
        """Return a label configuration for all of its labels. Blocks.

        Args:
            present: An existing one to complete; None for a new one.

        Raises:
            FormatError: It is broken, or in a format of the service, which names no classes.
            OSError: It cannot be read.
        """
        self._losses = Losses()
        dataset = self._dataset(in_shares=True)
        self._opened = dataset if self.in_shares else None
        return config_of(dataset, self.mapping, self._losses, present)

    def _dataset(self, *, in_shares: bool) -> RawDataset:
        if not self.has_classes:
            raise FormatError(
                f"{self.path} has keys of a label configuration that is there, and no classes"
            )
        return open_dataset(
            self.path,
            self.found_format,
            classes=(each.name for each in classes_from(self.classes)),
            split=self.split,
            min_score=self.min_score,
            zero_based=self.zero_based,
            images=self.images,
            in_shares=in_shares,
        )

    async def __aiter__(self) -> AsyncGenerator[Item, None]:
        """Yield the items, read in a thread.

        Raises:
            FormatError: The file is broken; the text says where.
            OSError: It cannot be read.
        """
        items, is_read = self._items(), True
        try:
            while batch := await asyncio.to_thread(list, islice(items, _AT_ONCE)):
                is_read = False
                for item in batch:
                    yield item
                is_read = True
        finally:
            # After a cancellation its thread may still be in the generator, and closes it when it
            # ends: CPython 3.11 may crash if a generator is closed while another thread is in it.
            if not is_read:
                items.close()

    def _items(self) -> Generator[Item, None, None]:
        # Losses of names in the configuration that was just made stay; they are not counted again.
        counted = self._losses.report().items if self._opened else ()
        self._losses, self.skipped = Losses(), 0
        for each in counted:
            if each.kind in (LossKind.SPELLED, LossKind.COLLISION):
                self._losses.add(each.kind, *each.examples, count=each.count)
        if self.has_classes:
            dataset = self._opened or self._dataset(in_shares=self.in_shares)
            self._opened = None
            for image in images_of(
                dataset, self.mapping, self._losses, self.config, emptied=self.emptied
            ):
                if self.unannotated or image.annotations or image.classifications:
                    yield image
                else:
                    self.skipped += 1
        elif self.split is not None:
            raise FormatError(f"{self.path} is of a format without parts; leave out split")
        elif self.min_score is not None:
            raise FormatError(f"{self.path} is of a format without scores; leave out min_score")
        else:
            parts = _lines if self.found_format == "jsonl" else _elements
            with closing(parts(self.path)) as found:
                for each in found:
                    if isinstance(each, dict) and each.keys() == {"label_classes"}:
                        continue  # the first element of an export, which has no labels
                    if not isinstance(each, dict) or "labelIteration" not in each:
                        yield each
                        continue
                    try:  # a task as the service shows it
                        yield labels_of(decode_value(routes.get_task("-"), each, TaskDetail))
                    except APIResponseValidationError as error:
                        raise FormatError(
                            f"{self.path} holds a task that the service does not show like this"
                            f" ({error.field_path})"
                        ) from None


def _elements(path: Path) -> Generator[Any, None, None]:
    try:
        with open(path, "rb", opener=regular_only) as file:
            pieces = in_utf8(iter(partial(file.read, _PIECE), b""))
            first = next(pieces, b"")
            pieces = chain([first], pieces)
            if _OF_DOWNLOAD.match(first):
                members = MemberCutter(pieces).members({"tasks"})
                yield from chain.from_iterable(part for _, part in members)
                return
            if first.lstrip()[:1] not in (b"[", b""):
                raise FormatError(f"{path} holds no JSON array; an import is an array of items")
            yield from ElementCutter().elements(pieces)
    except (BrokenTextError, UnicodeDecodeError) as error:
        raise FormatError(f"{path} is not JSON: {why_no_json(error)}") from None


def _lines(path: Path) -> Generator[Any, None, None]:
    with open(path, "rb", opener=regular_only) as file:
        for number, raw in enumerate(file, 1):
            try:
                if line := raw.removeprefix(BOM).strip():
                    yield loads(line)
            except orjson.JSONDecodeError as error:
                raise FormatError(f"{path}, line {number}, is not JSON: {error.msg}") from None


# --- Which image is which media: by name, as the service compares names ---------------------------


@attrs.frozen
class Matching:
    """The result of looking for the media of images.

    Args:
        images: The images whose media is known, with its id, ready for an import.
        unmatched: Names of images that no media has.
        ambiguous: Names of images that several media have (in different datasets).
        doubled: Names of images whose media another image has already taken.
        unannotated: Names of images without labels. They are not in `images` unless requested,
            because importing them would delete labels.
    """

    images: tuple[LabeledImage, ...] = attrs.field(default=(), converter=tuple[LabeledImage, ...])
    unmatched: tuple[str, ...] = ()
    ambiguous: tuple[str, ...] = ()
    doubled: tuple[str, ...] = ()
    unannotated: tuple[str, ...] = ()

    def __str__(self) -> str:
        parts = [counted(len(self.images), "image has a media", "images have a media")]
        for names, one, many in (
            (self.unmatched, "has none", "have none"),
            (self.ambiguous, "has several", "have several"),
            (self.doubled, "has the media of another image", "have the media of other images"),
            (self.unannotated, "has no labels and stays", "have no labels and stay"),
        ):
            if names:
                few = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
                parts.append(f"{counted(len(names), one, many)} ({few})")
        return printable("; ".join(parts) + ".")


def _named(media: NamedMedia) -> NamedMedia:
    for name in ("id", "name"):
        if not isinstance(getattr(media, name, None), str):
            raise ConfigurationError(
                f"one of the media is {shown(media)}; it must have the id and the name of a media."
            )
    return media


@checked
def match(
    images: Iterable[LabeledImage],
    media: Iterable[NamedMedia],
    *,
    include_unannotated: bool = False,
) -> Matching:
    """Return images with the ids of their media, found by name.

    Names are compared as the service does it, in their encoded form: the case of the letters A to Z
    is ignored. If no media has the whole name, fewer of its folders are tried. An image that has an
    id keeps it if a media has this id.

    Args:
        images: Images as a reader returns them.
        media: The media, for example of all datasets of a project.
        include_unannotated: Whether to include images without labels. Importing them with
            ``keep_data=False`` deletes the labels that their media have.
    """
    index = MediaIndex()
    index.add(map(_named, media))
    matched: dict[str, LabeledImage] = {}
    unmatched, ambiguous, doubled, unannotated = [], [], [], []
    for image in listed("images", images, LabeledImage):
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
    return Matching(matched.values(), *map(tuple, (unmatched, ambiguous, doubled, unannotated)))
