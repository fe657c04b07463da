"""COCO files, joined by image in constant memory, and converted to label values.

Annotations may come before the images, and in any order. So one pass stores the content of the
files in a temporary database, and then images are yielded one by one (docs/decisions/0035). The
database is a file without a name, which disappears when the process ends.

The same objects may be in several files: those of keypoints repeat the instances with their
numbers. They are merged. Entries that a file lists twice are merged if that is safe, and otherwise
left out and counted: the last one never wins.
"""

from __future__ import annotations

import io
import json
import sqlite3
import weakref
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import chain, groupby
from operator import itemgetter
from pathlib import Path, PurePosixPath
from typing import IO, Any, Final, TypeAlias, cast

import attrs
import orjson

from datagym_async._checks import checked, listed
from datagym_async._files import from_home, regular_only
from datagym_async._json import in_utf8, loads_of_python, why_no_json
from datagym_async._wire._cutting import BrokenTextError, MemberCutter
from datagym_async.formats._classes import NO_GROUP
from datagym_async.formats._labelled import images_of
from datagym_async.formats._losses import BrokenError, Conversion, FormatError, Losses, LossKind
from datagym_async.formats._mapping import LabelMapping, config_of
from datagym_async.formats._raw import Category, RawDataset, RawImage, room_on_disk
from datagym_async.formats._reading import is_there, pixels_of, relative
from datagym_async.formats.coco._objects import (
    category_of,
    folder_of_pngs,
    identifier,
    numbers,
    object_of,
    segments_of,
    text,
)
from datagym_async.labels import LabelConfig

Source: TypeAlias = str | Path | Mapping[str, Any] | Sequence[Mapping[str, Any]]
"""A COCO file, or its parsed content; a list contains results of a model."""

_MEMBERS: Final = ("categories", "images", "annotations")
_RESULTS: Final = ""  # the member of results, whose file is a list
_ROUNDED: Final = 1
"""Pixels by which the boxes of one object differ at most, if one file rounds them."""
_PIECE: Final = 16 * 1024  # bytes whose values fit into the processor's cache
_TABLES: Final = """
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
PRAGMA cache_size = -2048;
CREATE TABLE images (
    row INTEGER PRIMARY KEY, name, media_id, width, height, file, place, latest, fault,
    UNIQUE (name, media_id)
);
-- The image of each number (or name) in a file; -1 if it could be two.
CREATE TABLE numbers (space, number, image, PRIMARY KEY (space, number)) WITHOUT ROWID;
CREATE TABLE objects (row INTEGER PRIMARY KEY, file, place, space, image, number, text);
BEGIN;
"""
_INDEXES: Final = """
CREATE INDEX numbers_of_images ON numbers (image, space, number);
CREATE INDEX objects_of_images ON objects (space, image);
"""
_BY_IMAGE: Final = """
SELECT images.row, images.name, images.media_id, images.width, images.height,
    images.file, images.place, objects.file, objects.place, objects.text
FROM numbers JOIN images ON images.row = numbers.image
    LEFT JOIN objects ON objects.space = numbers.space AND objects.image = numbers.number
WHERE images.fault IS NULL
ORDER BY numbers.image, numbers.space, numbers.number
"""  # objects in their own order, as in the index
_WITHOUT_IMAGE: Final = """
SELECT objects.file, objects.place, objects.image, lost.is_unknown FROM (
    SELECT named.space, named.image, numbers.number IS NULL AS is_unknown
    FROM (SELECT DISTINCT space, image FROM objects) AS named
        LEFT JOIN numbers ON numbers.space = named.space AND numbers.number = named.image
        LEFT JOIN images ON images.row = numbers.image
    WHERE images.row IS NULL OR images.fault IS NOT NULL
) AS lost CROSS JOIN objects ON objects.space = lost.space AND objects.image IS lost.image
ORDER BY objects.row
"""
_CLASHES: Final = "SELECT fault, COUNT(*) FROM images WHERE fault IS NOT NULL GROUP BY fault"
_INSERT_IMAGE: Final = """
INSERT INTO images (name, media_id, width, height, file, latest, place) VALUES (?, ?, ?, ?, ?, ?, ?)
"""
_INSERT_OBJECT: Final = (
    "INSERT INTO objects (file, place, space, image, number, text) VALUES (?, ?, ?, ?, ?, ?)"
)
_DOUBLED: Final = """
SELECT file, number, COUNT(*) - 1 FROM objects
WHERE number IS NOT NULL GROUP BY file, number HAVING COUNT(*) > 1
"""


@checked
def read(
    *sources: Source, mapping: LabelMapping | None = None, images: Source | None = None
) -> Conversion:
    """Return the labels of COCO files: instances, captions, keypoints, panoptic segments, results.

    Boxes and polygons need only this package; masks need the extra ``formats``. It blocks: in an
    event loop, call it with `asyncio.to_thread`.

    Args:
        sources: Paths of files, or their parsed content, in any order. Objects and images that are
            in several of them are merged by number and by name.
        mapping: How classes and shapes are mapped.
        images: The file that lists the images and categories of results; its annotations are not
            read.

    Returns:
        All images, also those without labels, without ids of media (`formats.match` finds them),
        and the losses.

    Raises:
        FormatError: One of them is not a COCO file, there is no image, or the extra ``formats`` is
            needed and not installed.
        OSError: One of them cannot be read.
    """
    losses, dataset = Losses(), open_dataset(*sources, images=images)
    return Conversion([*images_of(dataset, mapping or LabelMapping(), losses)], losses.report())


@checked
def label_config(*sources: Source, mapping: LabelMapping | None = None) -> LabelConfig:
    """Return a label configuration for all labels of COCO files.

    It has an entry for each supercategory or category (`LabelMapping.by`) with a select for the
    other, points for keypoints, and free texts for captions.

    Args:
        sources: As for `read`.
        mapping: As for `read`.

    Raises:
        FormatError: One of them is not a COCO file, or there is no image.
        OSError: One of them cannot be read.
    """
    return config_of(open_dataset(*sources), mapping or LabelMapping())


def open_dataset(
    *sources: Source, images: Source | None = None, folder: Path | None = None
) -> RawDataset:
    """Return the content of COCO files, joined by image, in the order of the images.

    They are read once; their content stays on the disk as long as the dataset is kept. Arguments
    and errors are those of `read`. If one of several files of a folder cannot be read, this is a
    loss, and the others are read.
    """
    several, readable, broken = len(sources) > 1, list[Source](), Losses()
    folder = folder if several else None
    with room_on_disk():
        opened = _Opened(several, folder, images, Losses())
        for source in sources:
            try:
                opened.add(source)
                readable.append(source)
            except (FormatError, OSError) as error:
                if folder is None:
                    raise
                broken.add(LossKind.BROKEN, str(error))
        if len(readable) < len(sources):  # once more: broken ones may say wrong sizes, too
            opened = _Opened(several, folder, images, broken)
            for source in readable:
                opened.add(source)
        return opened.dataset()


def categories_of(given: Source | Iterable[Category]) -> list[Category]:
    """Return categories, those of a file in its order; errors as for `open_dataset`."""
    if not isinstance(given, str | Path | Mapping):
        return [*listed("categories", cast("Iterable[Category]", given), Category)]
    file, found = _File(given), list[Category]()
    for index, raw in enumerate(chain.from_iterable(part for _, part in file.parts(_MEMBERS[:1]))):
        try:
            found.append(category_of(raw if isinstance(raw, Mapping) else {}, index, []))
        except BrokenError as error:
            raise FormatError(f"{file.where}: categories[{index}]: {error}") from None
    return found


@attrs.define(eq=False)
class _File:
    """One of the files, or a document."""

    source: Source
    prefix: str = ""  # its name, before places in it if there are several files
    categories: dict[int | str | None, Category | str] = attrs.field(factory=dict)
    """By id; a text if an id has two, which it names."""
    names: set[tuple[str, str]] = attrs.field(factory=set)
    """Names of its categories, each with its supercategory."""
    lengths: dict[int | str | None, set[int]] = attrs.field(factory=dict)
    """The lengths of the lists of keypoints in its annotations, by category."""
    used: set[int | str | None] = attrs.field(factory=set)
    """The ids of categories of its annotations."""
    has_results: bool = False
    pngs: Path | None = None  # the folder of its panoptic segments

    @property
    def where(self) -> str:
        return str(self.source) if isinstance(self.source, str | Path) else "the COCO document"

    def place(self, index: int, member: str = "") -> str:
        """Return the place of an entry, by default of an annotation or a result."""
        member = member or ("results" if self.has_results else "annotations")
        return f"{self.prefix}{member}[{index}]"

    def parts(self, wanted: Sequence[str]) -> Iterator[tuple[str, Sequence[Any]]]:
        """Yield the wanted lists, in parts."""
        with self._opened() as file:
            pieces = iter(partial(file.read, _PIECE), b"")
            try:
                members = MemberCutter(in_utf8(pieces), loads_of_python).members(wanted)
                for member, part in members:
                    if isinstance(part, list):
                        yield member, part
                    elif part is not None or member == "images":
                        text = f"the member {member} must be a list of objects"
                        raise FormatError(f"{self.where}: {text}")
            except (BrokenTextError, UnicodeDecodeError) as error:
                raise FormatError(f"{self.where} is not JSON: {why_no_json(error)}") from None

    def _opened(self) -> IO[bytes]:
        """Open the file; a document is made JSON, and read like one."""
        if isinstance(self.source, str | Path):
            return open(from_home(self.source, what="source"), "rb", opener=regular_only)

        def plain(value: Any) -> object:
            if isinstance(value, bytes):  # of masks, as pycocotools has them
                return value.decode()
            if isinstance(value, Mapping):
                return dict(value)
            if hasattr(value, "tolist"):  # arrays and numbers of numpy
                return value.tolist()
            raise TypeError(f"it has a value of {type(value).__name__}")

        try:
            return io.BytesIO(json.dumps(self.source, default=plain).encode())
        except (RecursionError, TypeError, ValueError) as error:
            raise FormatError(f"{self.where} is not JSON: {error}") from None


@attrs.define
class _Found:
    """An object of an image, merged from the files so far."""

    category: Category
    fields: Mapping[str, Any]
    at: str
    latest: _File
    number: int | str


class _Opened:
    """Stores the content of files in the database, and yields it by image."""

    def __init__(
        self, several: bool, folder: Path | None, images: Source | None, losses: Losses
    ) -> None:
        self._several = several  # whether places need the names of files
        self._folder = folder  # that holds them all, if one was given, and several are in it
        self._repeated: set[str] = set()  # names that images in several folders have
        self.files: list[_File] = []
        self._losses = losses
        self._known: dict[tuple[str, str], Category] = {}
        self._lists_images = False  # whether the first file lists the images of results
        self._boxes = self._outlines = 0  # objects with a box, and with only an outline
        self._database = sqlite3.connect("", check_same_thread=False, isolation_level=None)
        weakref.finalize(self, self._database.close)
        self._database.executescript(_TABLES)
        if images is not None:
            self._add_images(images)

    @property
    def where(self) -> str:
        return str(self._folder or ", ".join(each.where for each in self.files))

    def _add_images(self, source: Source) -> None:
        """Read the images of results: by number, or by name, also without folder or suffix."""
        self.add(source, _MEMBERS[:2])
        self._lists_images = True
        for row, name in self._database.execute("SELECT row, name FROM images"):
            last = PurePosixPath(name)
            for alias in dict.fromkeys((name, last.name, last.stem)):
                self._assign(0, alias, row)

    def add(self, source: Source, wanted: Sequence[str] = _MEMBERS) -> None:
        file, space = _File(source), len(self.files)
        has_prefix = self._several or wanted is not _MEMBERS
        file.prefix = f"{Path(file.where).name}: " if has_prefix else ""
        self.files.append(file)
        counts: dict[str, int] = {}
        for member, part in file.parts(wanted):
            if member == _RESULTS:
                if not self._lists_images:
                    raise FormatError(
                        f"{file.where} has results, which name images and categories by their "
                        "numbers: name the COCO file that lists both with images=..."
                    )
                file.has_results, file.categories = True, self.files[0].categories
            rows = []
            for index, raw in enumerate(part, counts.get(member, 0)):
                if not isinstance(raw, Mapping):
                    is_listed = member in {"images", "categories"}
                    at = file.place(index, member)
                    kind = LossKind.RECORD if is_listed else LossKind.BROKEN
                    self._losses.add(kind, f"{at}: it is not an object")
                elif member == "images":
                    self._add_image(space, raw, index)
                elif member == "categories":
                    self._add_category(space, raw, index)
                else:
                    image, number = identifier(raw.get("image_id")), identifier(raw.get("id"))
                    if file.has_results:
                        image, number = text(raw.get("file_name")) or image, None
                    elif file.pngs is None and "segments_info" in raw:
                        if not isinstance(source, str | Path):
                            raise FormatError(
                                "a panoptic document must be a file, since its PNGs stand beside it"
                            )
                        example = str(raw.get("file_name") or "")
                        file.pngs = folder_of_pngs(from_home(source, what="source"), example)
                    if raw.get("bbox"):
                        self._boxes += 1
                    elif raw.get("segmentation"):
                        self._outlines += 1
                    category = identifier(raw.get("category_id"))
                    file.used.add(category)
                    if isinstance(points := raw.get("keypoints"), list | tuple) and any(points):
                        file.lengths.setdefault(category, set()).add(len(points))
                    of = 0 if file.has_results else space
                    rows.append((space, index, of, image, number, orjson.dumps(raw)))
            counts[member] = counts.get(member, 0) + len(part)
            self._database.executemany(_INSERT_OBJECT, rows)
        if not file.has_results and "images" not in counts:
            raise FormatError(f"{file.where} is not a COCO file: it has no member images")

    def _add_image(self, space: int, raw: Mapping[str, Any], index: int) -> None:
        name, number = text(raw.get("file_name")), identifier(raw.get("id"))
        if name is None and (url := text(raw.get("coco_url"))):  # LVIS has only this
            name = url.rpartition("/")[2]
        if not name or number is None:
            at = self.files[space].place(index, "images")
            self._losses.add(LossKind.RECORD, f"{at}: it needs id and file_name")
            return
        size = [pixels_of(raw.get(each)) for each in ("width", "height")]
        name = self._told_apart(space, name) if self._folder else name
        names, execute = (name, text(raw.get("media_id")) or ""), self._database.execute
        found = execute(
            "SELECT row, latest, width, height FROM images WHERE name = ? AND media_id = ?", names
        ).fetchone()
        if found is None:
            row = execute(_INSERT_IMAGE, (*names, *size, space, space, index)).lastrowid
        else:
            row, latest, *known = found
            if latest == space:
                self._losses.add(LossKind.DOUBLED, name)
            if None in known:
                execute("UPDATE images SET width = ?, height = ? WHERE row = ?", (*size, row))
            elif None not in size and known != size:
                both = " and ".join(f"{width} by {height}" for width, height in (known, size))
                self._refuse(f"{name} is listed with two sizes, {both}", row)
            execute("UPDATE images SET latest = ? WHERE row = ?", (space, row))
        if other := self._assign(space, number, row):
            called = execute("SELECT name FROM images WHERE row = ?", (other,)).fetchone()
            fault = f"id {number} is that of {name} and of {called[0] if called else 'others'}"
            self._refuse(fault, row, other)

    def _told_apart(self, space: int, name: str) -> str:
        """Return the name of an image, with its folder if images in several folders have the name.

        That is so if the files of parts lie beside their images: each part may have a ``1.jpg``.
        """
        execute = self._database.execute
        first = execute("SELECT row, file FROM images WHERE name = ?", (name,)).fetchone()
        if first:
            own, other = (self._beside(each, name) for each in (space, first[1]))
            if own and other and own != other:
                self._repeated.add(name)
                execute("UPDATE images SET name = ? WHERE row = ?", (other, first[0]))
        return (self._beside(space, name) or name) if name in self._repeated else name

    def _beside(self, space: int, name: str) -> str:
        """Return the path of an image below the folder if it lies beside its file, else nothing."""
        place = Path(self.files[space].where).parent / name
        there = place if is_there(place, as_file=True) else None
        return relative(there, self._folder) if self._folder else ""

    def _assign(self, space: int, number: int | str, row: int | None) -> int | None:
        """Assign a number to an image; if another image has it, to none, and return that one."""
        execute, key = self._database.execute, (space, number)
        if execute("INSERT OR IGNORE INTO numbers VALUES (?, ?, ?)", (*key, row)).rowcount:
            return None
        (known,) = execute(
            "SELECT image FROM numbers WHERE (space, number) = (?, ?)", key
        ).fetchone()
        if known == row:
            return None
        execute("UPDATE numbers SET image = -1 WHERE (space, number) = (?, ?)", key)
        return cast("int", known)

    def _refuse(self, fault: str, *rows: int | None) -> None:
        refuse = "UPDATE images SET fault = ? WHERE row = ?"
        self._database.executemany(refuse, [(fault, row) for row in rows])

    def _add_category(self, space: int, raw: Mapping[str, Any], index: int) -> None:
        file = self.files[space]
        at, categories = file.place(index, "categories"), file.categories
        faults: list[str] = []
        try:
            category = category_of(raw, index, faults)
        except BrokenError as error:
            self._losses.add(LossKind.RECORD, f"{at}: {error}")
            return
        number = identifier(raw["id"])
        for fault in faults:
            self._losses.add(LossKind.CLASS_PART, f"{at}: {fault}")
        if category.names in file.names:
            self._losses.add(LossKind.DOUBLED_CLASS, f"{at}: {category.name}")
        file.names.add(category.names)
        other = categories.setdefault(number, category)
        if isinstance(other, str) or other.names != category.names:
            both = other if isinstance(other, str) else f"id {number} is that of {other.name}"
            categories[number] = f"{both} and of {category.name}"
        elif not other.keypoints:
            categories[number] = category
        self._know(category)

    def _know(self, category: Category) -> None:
        """Give a category all keypoints that any file names."""
        known = self._known.setdefault(category.names, category)
        if not known.keypoints:
            self._known[category.names] = attrs.evolve(category, id=known.id)  # with its skeleton
        elif new := [each for each in category.keypoints if each not in known.keypoints]:
            every = (*known.keypoints, *new)
            self._known[category.names] = attrs.evolve(known, keypoints=every)

    def _name_keypoints(self, file: _File) -> None:
        """Name keypoints as another file does, or by their numbers if none names them."""
        for number, lengths in file.lengths.items():
            category, length = file.categories.get(number), min(lengths)
            if not isinstance(category, Category) or category.keypoints or len(lengths) > 1:
                continue
            known = self._known[category.names].keypoints
            names = known or [f"keypoint {each}" for each in range(1, length // 3 + 1)]
            if length == 3 * len(names):
                named = attrs.evolve(category, keypoints=names)
                file.categories[number] = named
                self._know(named)
                if not known:
                    text = f"{file.prefix}{category.name}: {len(names)}"
                    self._losses.add(LossKind.UNNAMED, text)

    def dataset(self) -> RawDataset:
        """Return all that was added, and count what belongs to no image."""
        for each in self.files:
            self._name_keypoints(each)
        execute = self._database.execute
        self._database.executescript(_INDEXES)
        for fault, count in execute(_CLASHES):
            self._losses.add(LossKind.CLASH, fault, count=count)
        (images,) = execute("SELECT COUNT(*) FROM images WHERE fault IS NULL").fetchone()
        if not images:
            of_images = (LossKind.RECORD, LossKind.CLASH, LossKind.BROKEN)
            faults = [each for each in self._losses.report().items if each.kind in of_images]
            why = f": {'; '.join(map(str, faults))}" if faults else ""
            raise FormatError(f"{self.where} has no image in its list images{why}")
        for file, index, image, is_unknown in execute(_WITHOUT_IMAGE):
            at = self.files[file].place(index)
            kind = LossKind.UNKNOWN_IMAGE if is_unknown else LossKind.AMBIGUOUS
            self._losses.add(kind, f"{at}: image {image}")
        for file, number, count in execute(_DOUBLED):
            at = f"{self.files[file].prefix}id {number}"
            self._losses.add(LossKind.SAME_NUMBER, at, count=count)
        has_outlines = any(each.pngs for each in self.files) or self._outlines > self._boxes
        categories = tuple(self._classes())
        return RawDataset(
            where=self.where, categories=categories, images=self.images, outlines=has_outlines
        )

    def _classes(self) -> Iterator[Category]:
        """Yield all categories but those that only group others.

        Roboflow lists the group of all classes as a category of "none", without an object. If that
        were a class, a class with the name of its group would not have a name of its own.
        """
        found = {file.categories.get(each) for file in self.files for each in file.used}
        used = {each.names for each in found if isinstance(each, Category)}
        groups = {group for _, group in self._known}
        for names, category in self._known.items():
            is_group = names[1] == NO_GROUP and names[0] in groups and names not in used
            if not is_group or any(each.pngs for each in self.files):
                yield category

    def images(self, losses: Losses) -> Iterator[RawImage]:
        for each in self._losses.report().items:
            losses.add(each.kind, *each.examples, count=each.count)
        for _, rows in groupby(self._database.execute(_BY_IMAGE), itemgetter(0)):
            yield self._image([*rows], losses)

    def _image(self, rows: Sequence[Sequence[Any]], losses: Losses) -> RawImage:
        _, name, media_id, width, height, file, index, *_ = rows[0]
        at = self.files[file].place(index, "images")
        image = RawImage(name=name, where=at, width=width, height=height, media_id=media_id)
        found: dict[object, _Found] = {}
        begun = set[str]()  # files with objects of the image that no file before has
        image.is_labelled = any(row[-3] is not None for row in rows)
        for file, raw, number, at in self._records(image, rows, losses):
            if isinstance(caption := raw.get("caption"), str):
                image.captions.append(caption)
                if not any(map(raw.get, ("bbox", "segmentation", "keypoints"))):
                    continue
            category = file.categories.get(identifier(raw.get("category_id")))
            if not isinstance(category, Category):
                kind = LossKind.AMBIGUOUS if category else LossKind.UNKNOWN_CATEGORY
                losses.add(kind, f"{name}: {at}: {category or raw.get('category_id')}")
                continue
            # An object has its number in all files, unless one file has the number twice.
            key = (category.names, at if number is None else number)
            known = found.get(key)
            begun |= set() if known else {file.where}
            if known is None:
                found[key] = _Found(category, raw, at, file, key[1])
            elif known.latest is file:
                found[at] = _Found(category, raw, at, file, at)
            elif _contradict(known.fields, raw):  # another object: both files count from 1
                losses.add(LossKind.SAME_NUMBER, f"{at}: id {number}")
                begun.add(file.where)
                known.number, found[known.at] = known.at, known
                found[key] = _Found(category, raw, at, file, key[1])
            else:
                said = {one: raw[one] for one in raw if raw[one] not in (None, "", [], {})}
                known.fields, known.latest = {**known.fields, **said}, file
                if raw.get("keypoints"):
                    known.category = category
        if len(begun) > 1:
            losses.add(LossKind.DOUBLED, f"{name}: {' and '.join(sorted(begun))}")
        for each in found.values():
            is_result, faults = each.latest.has_results, list[str]()
            try:
                made = object_of(each.fields, each.category, each.at, faults, is_result=is_result)
            except BrokenError as error:
                losses.add(LossKind.BROKEN, f"{name}: {each.at}: {error}")
                continue
            for fault in faults:
                losses.add(LossKind.PART, f"{name}: {each.at}: {fault}")
            made.number, made.category = each.number, self._known[each.category.names]
            if made.keypoints and made.category.keypoints != each.category.keypoints:
                by_name = dict(zip(each.category.keypoints, made.keypoints, strict=False))
                made.keypoints = [by_name.get(one) for one in made.category.keypoints]
            image.objects.append(made)
        return image

    def _records(
        self, image: RawImage, rows: Sequence[Sequence[Any]], losses: Losses
    ) -> Iterator[tuple[_File, Mapping[str, Any], int | str | None, str]]:
        """Yield the file, the members, the number and the place of all annotations of an image."""
        objects = [row for row in rows if row[-1] is not None]
        parsed = orjson.loads(b"[%b]" % b",".join(row[-1] for row in objects))
        for (*_, number, index, _), raw in zip(objects, parsed, strict=True):
            file = self.files[number]
            at = file.place(index)
            if file.pngs is None or "segments_info" not in raw:
                yield file, raw, None if file.has_results else identifier(raw.get("id")), at
                continue
            segments = raw["segments_info"]
            count = len(segments) if isinstance(segments, list) and segments else 1
            with losses.counting(f"{image.name}: {at}", count=count):
                for segment, fault in segments_of(file.pngs, raw, image.width, image.height):
                    if fault:
                        has_box = bool(segment.get("bbox"))
                        kind = LossKind.PART if has_box else LossKind.BROKEN
                        losses.add(kind, f"{image.name}: {at}: {fault}")
                        if not has_box:
                            continue
                    yield file, segment, None, f"{at}, segment {segment.get('id')}"


def _contradict(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Return whether annotations with one number are two objects, by their boxes or outlines."""
    boxes = [numbers(each.get("bbox")) for each in (one, other)]
    if boxes[0] and boxes[1]:
        return any(abs(a - b) > _ROUNDED for a, b in zip(*boxes, strict=False))
    outlines = [each.get("segmentation") for each in (one, other)]
    return all(outlines) and outlines[0] != outlines[1]
