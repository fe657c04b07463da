"""Labels in XML: Pascal VOC, and CVAT for images and for video.

XML is read by expat, an element at a time, with the number of its line. Entities are refused: no
label file needs them, and a few lines can fill any memory (defusedxml).
"""

from __future__ import annotations

import math
import os
import sqlite3
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import closing
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, Final
from xml.sax import SAXParseException
from xml.sax.handler import ContentHandler

import attrs
import orjson

from datagym_async._extras import extra_module
from datagym_async._files import regular_only
from datagym_async.formats._losses import BrokenError, FormatError, Losses, LossKind
from datagym_async.formats._masks import MOST_PIXELS, trace
from datagym_async.formats._raw import (
    Category,
    Pair,
    RawDataset,
    RawImage,
    RawObject,
    Ring,
    room_on_disk,
)
from datagym_async.formats._reading import (
    Options,
    Pictures,
    ReadClasses,
    answers,
    below,
    checked_start,
    ellipse_ring,
    files_below,
    gathered,
    measure,
    named_as_found,
    number_of,
    of_part,
    pixels_of,
    segments_at,
    snapped,
    stem_of,
    turned_box,
)
from datagym_async.formats._splits import usual_part

_PIECE: Final = 256 * 1024
_MOST_OF_ONE: Final = 8 * 2**20  # bytes of one tag or text
_MOST_LEVELS: Final = 64
_MOST_INSIDE: Final = 500_000  # tags of one image, shape or skeleton
_JOINED: Final = ("track", "skeleton")
"""Tags in a track that belong together: points of a skeleton are tracks in its own."""


# --- Elements -------------------------------------------------------------------------------------


@attrs.define
class Element:
    tag: str
    line: int
    given: dict[str, str]  # its attributes
    text: str = ""
    children: list[Element] = attrs.field(factory=list)
    around: Element | None = attrs.field(default=None, repr=False)
    """The unfinished track of a shape, which is not among its children."""
    shapes: int = 0  # of a track so far

    def all(self, *tags: str) -> list[Element]:
        """Return all elements at the end of a way down."""
        outer = self.find(*tags[:-1])
        return [each for each in outer.children if each.tag == tags[-1]] if outer else []

    def find(self, *tags: str) -> Element | None:
        """Return the first element on a way down, or None."""
        found: Element | None = self
        for tag in tags:
            found = next((it for it in found.children if it.tag == tag), None) if found else None
        return found

    def said(self, *tags: str) -> str:
        """Return the text of the first element on a way down, without blanks around it."""
        found = self.find(*tags)
        return found.text.strip() if found else ""

    def is_strange(self, read: Collection[str]) -> bool:
        """Return whether it has content that is not read."""
        is_text = bool(self.text.strip())
        inside = is_text or any(each.text.strip() or each.children for each in self.children)
        return is_text if self.tag == "attributes" else inside and self.tag not in read


class _Builder(ContentHandler):
    """Builds the wanted elements at any depth; shapes of a track one by one: it may have many."""

    def __init__(self, wanted: Collection[str], line: Callable[[], int]) -> None:
        super().__init__()
        self._wanted, self._line = wanted, line
        self._open: list[Element] = []
        self._texts: list[list[str]] = []
        self._levels = self._inside = self._kept = 0
        self.root = ""
        self.tags = 0
        self.blank = 0  # lines before the declaration, which expat does not take
        self.done: list[Element] = []

    def startElement(self, name: str, attrs: Any) -> None:  # noqa: N802 -- the names of SAX
        self.root = self.root or name
        self.tags += 1
        self._levels += 1
        if self._levels > _MOST_LEVELS:
            raise BrokenError(f"it is nested deeper than {_MOST_LEVELS} levels")
        if self._open or name in self._wanted:
            self._inside = self._inside + 1 if self._open else 1
            self._kept = self._kept if self._open else 1
            if self._inside > _MOST_INSIDE:
                raise BrokenError(f"more than {_MOST_INSIDE:,} tags in one <{self._open[0].tag}>")
            self._open.append(Element(name, self._line() + self.blank, dict(attrs.items())))
            self._texts.append([])

    def characters(self, content: str) -> None:
        if self._texts:
            self._texts[-1].append(content)

    def endElement(self, name: str) -> None:  # noqa: N802
        self.tags += 1
        self._levels -= 1
        if self._open:
            element = self._open.pop()
            element.text = "".join(self._texts.pop())
            outer = self._open[-1] if self._open else None
            if outer and outer.tag == "track" and element.tag not in _JOINED and not self._open[1:]:
                element.around = outer
                self._texts[-1].clear()
                self._inside = self._kept
            elif outer:
                outer.children.append(element)
                self._kept = self._inside if len(self._open) == 1 else self._kept
            if element.around or not outer:
                self.done.append(element)


def elements(path: Path, root: str, wanted: Collection[str]) -> Iterator[Element]:
    """Yield the elements with the wanted tags when they end, each with its content.

    The shapes of a ``<track>`` are separate elements, before it. What is not XML, or has another
    root, is a `BrokenError` whose text says the line.
    """
    refused = extra_module("defusedxml", FormatError).DefusedXmlException
    parser = extra_module("defusedxml.sax", FormatError).make_parser()
    builder = _Builder(wanted, parser.getLineNumber)
    parser.setContentHandler(builder)

    tags, since = 0, 0
    try:
        with open(path, "rb", opener=regular_only) as file:
            while not (line := file.readline(_PIECE)).strip() and line:
                builder.blank += 1
            file.seek(-len(checked_start(line.lstrip())), os.SEEK_CUR)
            while piece := file.read(_PIECE):
                parser.feed(piece)
                if builder.root and builder.root != root:
                    begins = f"it begins with <{builder.root[:40]}>"
                    raise BrokenError(f"{begins}, where <{root}> was expected")
                tags, since = builder.tags, (0 if builder.tags != tags else since + len(piece))
                if since > _MOST_OF_ONE:
                    raise BrokenError(f"a tag or text has more than {_MOST_OF_ONE >> 20} MB")
                yield from builder.done
                builder.done.clear()
        if not builder.root:
            raise BrokenError("it is not XML: there is nothing in it")
        parser.close()
        yield from builder.done
    except SAXParseException as error:
        yield from builder.done
        number = (error.getLineNumber() or 1) + builder.blank
        text = f"line {number}: it is not XML: {error.getMessage()}"
        raise BrokenError(text) from None
    except refused as error:
        text = f"it declares entities, which are not read ({type(error).__name__})"
        raise BrokenError(text) from None
    except (LookupError, ValueError) as error:  # as expat says it of encodings
        raise BrokenError(f"its encoding is not read; write it in UTF-8: {error}") from None


# --- Pascal VOC -----------------------------------------------------------------------------------

VOC_MARKS: Final = {"pose": "Unspecified", "truncated": "0", "difficult": "0", "occluded": "0"}
"""What VOC says of objects besides, and what it says where there is nothing to say."""
FIRST_PIXEL: Final = 1
"""VOC counts pixels from 1, and the last one belongs to the box: a box over a whole image is 1 1
WIDTH HEIGHT (VOC2012 development kit, section 3). So the left edge is one less than ``xmin``, and
the right edge is ``xmax``. Tools that write them 0-based mean the edges."""
_OF_CVAT: Final = ("track_id", "keyframe", "occluded", "outside")
"""Attributes that CVAT gives each object, and nobody's answers."""
_NOTHING: Final = ("", "0", "false")
_SIDES: Final = ("xmin", "ymin", "xmax", "ymax")
_OF_OBJECTS: Final = frozenset((
    *VOC_MARKS, "name", "bndbox", "robndbox", "polygon", "type", "part", "attributes", "object",
    "possibleresult", "coordinate",
))  # fmt: skip
"""Tags in an object that are read, or say how it was drawn."""
_CORNERS: Final = ("left_top", "right_top", "right_bottom", "left_bottom")
_OF_FILES: Final = frozenset(("source", "owner", "size", "imagesize", "object", "objects"))
"""Tags in a file with others in them that are read, or say where the image is from."""
_OF_WEB_TOOL: Final = _OF_OBJECTS | {"deleted", "verified", "date", "id"}
"""Those that LabelMe's web tool writes in each object; it has attributes as one text."""


def open_voc(path: Path, options: Options) -> RawDataset:
    """Open a folder of VOC's files, one that holds ``Annotations``, or one such file."""
    inside = path.parent if path.is_file() else path / "Annotations", path / "annotations"
    folder = next(filter(Path.is_dir, inside), path)
    root = folder.parent if folder.name.lower() == "annotations" else folder
    files = [path] if path.is_file() else files_below(folder, {".xml"})
    files = of_part(files, folder, root / "ImageSets" / "Main" / f"{options.split}.txt", options)
    pictures = Pictures.of_labels(folder, options, root, root.parent)

    def read(file: Path, classes: ReadClasses, losses: Losses) -> Iterator[RawImage]:
        voc = _Voc(folder, pictures, options.zero_based, classes, losses)
        yield voc.image(file, next(elements(file, "annotation", {"annotation"})))

    looked_for = ".xml files that begin with <annotation>"
    return gathered(path, files, read, looked_for, file_each=True)


@attrs.define
class _Voc:
    _folder: Path
    _pictures: Pictures
    _zero_based: bool
    _classes: ReadClasses
    _losses: Losses

    def image(self, file: Path, whole: Element) -> RawImage:
        name = whole.said("filename") or whole.said("source", "filename")  # the latter in FAIR1M
        stem = stem_of(file, self._folder)
        image = RawImage(name=name, where=str(file))
        image.width, image.height = (
            pixels_of(whole.said("size", side) or whole.said("imagesize", lines))
            for side, lines in (("width", "ncols"), ("height", "nrows"))
        )
        if not (name and image.width and image.height):
            picture = self._pictures.of(stem) or self._pictures.of(Path(name).stem)
            image.name = picture.name if picture else file.stem
            measure(image, picture, self._losses)
        if name:
            image.name = named_as_found(name, stem, self._pictures, str(file), self._losses)
        image.name = below(self._folder, file, image.name, self._pictures)
        objects = whole.all("object") or whole.all("objects", "object")
        image.is_labelled = bool(objects)
        for one in whole.children:
            if one.children and one.is_strange(_OF_FILES):
                self._losses.add(LossKind.EXTRA, f"{file}, line {one.line}: {one.tag[:40]}")
        for each in objects:
            if each.said("deleted") != "1":  # LabelMe's web tool keeps deleted objects
                self._add(each, image, file)
        return image

    def _add(self, each: Element, image: RawImage, file: Path) -> None:
        where = f"{file}, line {each.line}"
        named = each.all("attributes", "attribute")  # as CVAT writes them
        given = {one.said("name"): one.said("value") for one in named}
        if tags := each.find("attributes"):  # of BDD100K: a tag for each answer
            every = ((one.tag, one.text.strip()) for one in tags.children if one.tag != "attribute")
            given |= {tag: text for tag, text in every if text.lower() not in _NOTHING}
        with self._losses.counting(where):
            name = each.said("name") or each.said("possibleresult", "name")
            found = RawObject(category=self._classes.of(name), where=where)
            self._outline(each, found, image, number_of(given.pop("rotation", "") or 0, "a turn"))
            found.extra = {
                mark: said
                for mark, usual in VOC_MARKS.items()
                if (said := each.said(mark)) not in ("", "no", usual)
            }
            own = {mark: given.pop(mark, "") for mark in _OF_CVAT}
            found.extra |= {mark: own[mark] for mark in own if own[mark].lower() not in _NOTHING}
            read = _OF_WEB_TOOL if each.find("deleted") else _OF_OBJECTS
            read = read if each.find("bndbox") else read | {"points"}
            strange = next((one.tag for one in each.children if one.is_strange(read)), None)
            if strange and not found.extra:
                self._losses.add(LossKind.EXTRA, f"{where}: {strange[:40]}")
            answers(where, (name for name, value in given.items() if value), self._losses)
            image.objects.append(found)
        # Of a person: a head, hands and feet, each with its box; others nest objects.
        for part in (*each.all("part"), *each.all("object")):
            self._losses.add(LossKind.NESTING, where)
            self._add(part, image, file)

    def _outline(self, each: Element, found: RawObject, image: RawImage, turn: float) -> None:
        width, height = image.width or math.inf, image.height or math.inf
        box, boxes = each.find("bndbox"), each.all("bndbox")
        if len(boxes) > 1:
            text = f"{found.where}: the first of {len(boxes)} <bndbox> is read"
            self._losses.add(LossKind.PART, text, count=len(boxes) - 1)
        for polygon in each.all("polygon") or ([] if box else each.all("points")):
            # x1, y1, x2, ... or pt with x and y, or points as in FAIR1M: not part of VOC, and used
            # unchanged.
            numbers = [one.text for one in polygon.children if one.tag[:1] in "xy"]
            numbers += [point.said(axis) for point in polygon.all("pt") for axis in "xy"]
            numbers += [it for point in polygon.all("point") for it in point.text.split(",")]
            try:
                ring = _ring([*map(number_of, numbers)], width, height)
                found.parts = [*found.parts, [ring]]
            except BrokenError as error:
                if box is None:
                    raise
                self._losses.add(LossKind.PART, f"{found.where}: {error}")
        if box:
            sides = [number_of(box.said(side), f"<{side}>") for side in _SIDES]
            left, top, *ends = sides
            if not self._zero_based:
                left, top = left - FIRST_PIXEL, top - FIRST_PIXEL
            is_upright = not turn % 360
            if is_upright and not self._zero_based and min(sides[:2]) < 1 and min(left, top) >= -1:
                # If the first pixel is 1, there is no pixel 0.
                self._losses.add(LossKind.ZERO_BASED, found.where)
                left, top = max(left, 0), max(top, 0)
            _place(found, (left, top, *ends), (width, height), turn)
        elif (box := each.find("robndbox")) and box.find(f"x_{_CORNERS[0]}"):  # of DIOR-R
            corners = (box.said(f"{axis}_{corner}") for corner in _CORNERS for axis in "xy")
            found.parts = [[_ring([*map(number_of, corners)], width, height)]]
        elif box:  # as roLabelImg writes it, the angle in radians
            x, y, across, down, angle = (
                number_of(box.said(it)) for it in ("cx", "cy", "w", "h", "angle")
            )
            edges = (x - across / 2, y - down / 2, x + across / 2, y + down / 2)
            found.parts = [[turned_box(*edges, math.degrees(angle))]]
        elif not found.parts:
            raise BrokenError("it has no <bndbox>")


def _place(found: RawObject, edges: Sequence[float], size: Pair, turn: float) -> None:
    """Give an object its box, or the outline of the box if it is turned."""
    left, top, right, bottom = map(snapped, edges, (*size, *size))
    if right < left or bottom < top:
        raise BrokenError("its box ends before it begins")
    if turn % 360:
        found.parts = found.parts or [[turned_box(left, top, right, bottom, turn)]]
    else:
        found.box = (left, top, right - left, bottom - top)


def _ring(numbers: Sequence[float], width: float, height: float, least: int = 3) -> list[Pair]:
    """Return the points of an outline, a line or points: x and y in turn."""
    if len(numbers) % 2 or len(numbers) < 2 * least:
        raise BrokenError(f"{len(numbers)} numbers are not x and y of {least} points or more")
    pairs = zip(numbers[::2], numbers[1::2], strict=True)
    return [(snapped(x, width), snapped(y, height)) for x, y in pairs]


# --- CVAT -----------------------------------------------------------------------------------------

# docs.cvat.ai/docs/other/xml_format, version 1.1: <image> with shapes and tags for images, <track>
# with a shape for each frame for videos. Coordinates are in pixels, fractions allowed.


def open_cvat(path: Path, options: Options) -> RawDataset:
    """Open CVAT's ``annotations.xml``, or a folder that holds it, or files of other names."""
    files, is_usual = [path], (path / "annotations.xml").is_file()
    if path.is_dir():
        found = files_below(path, {".xml"})
        files = [each for each in found if each.parent == path or not is_usual]

    def read(file: Path, classes: ReadClasses, losses: Losses) -> Iterator[RawImage]:
        pictures = Pictures.of_labels(file.parent / "images", options, file.parent)
        apart = f"{stem_of(file, path)}/" if len(files) > 1 else ""
        cvat = _Cvat(str(file), classes, losses, apart)
        # Tracks are stored on disk until all are read: any of them can mention a frame. A file
        # without a name is temporary, and disappears when it is closed.
        with room_on_disk(), closing(sqlite3.connect("", check_same_thread=False)) as frames:
            frames.execute("CREATE TABLE shapes (task TEXT, frame INTEGER, label TEXT, body BLOB)")
            with losses.counting(file):
                for each in elements(file, "annotations", {"meta", "image", "track"}):
                    around = each.around or each
                    part = usual_part(around.given.get("subset", ""))
                    if each.tag == "meta":
                        cvat.learn(each)
                    elif options.split and part != usual_part(options.split):
                        continue
                    elif each.tag == "image":
                        yield from cvat.image(each)
                    else:
                        rows = cvat.track(around, each)
                        frames.executemany("INSERT INTO shapes VALUES (?, ?, ?, ?)", rows)
            yield from cvat.frames(frames, pictures)

    of_part = f" with the subset {options.split}" if options.split else ""
    return gathered(path, files, read, f"<image> or <track> in <annotations>{of_part}")


@attrs.define
class _Cvat:
    _file: str
    _classes: ReadClasses
    _losses: Losses
    _apart: str  # folder in the names of frames if there are several files
    _sizes: dict[str, tuple[int | None, int | None]] = attrs.field(factory=dict)
    """The sizes of frames by the number of their task, which is empty outside projects."""
    _is_project: bool = False  # whether names need the folder of their subset

    def learn(self, meta: Element) -> None:
        """Read the labels, and the size of frames, of a task, a project or a job."""
        for whole in meta.children:
            self._is_project = self._is_project or whole.tag == "project"
            tasks = ((each.said("id"), each) for each in whole.all("tasks", "task"))
            for number, task in (("", whole), *tasks):
                if task.find("original_size"):
                    sides = (task.said("original_size", side) for side in ("width", "height"))
                    width, height = map(pixels_of, sides)
                    self._sizes[number] = width, height
            for label in (labels := whole.all("labels", "label")):
                name, parent = label.said("name"), label.said("parent")
                if name and not parent:
                    parts = (it.said("name") for it in labels if it.said("parent") == name)
                    self._classes.of(name, keypoints=parts)

    def image(self, whole: Element) -> Iterator[RawImage]:
        where = f"{self._file}, line {whole.line}"
        name = whole.given.get("name", "").strip()
        if not name:
            lost = max(1, len(whole.children))
            self._losses.add(LossKind.BROKEN, f"{where}: an image without a name", count=lost)
            return
        if self._is_project and (subset := whole.given.get("subset")):
            name = f"{subset}/{name}"
        width, height = (pixels_of(whole.given.get(side)) for side in ("width", "height"))
        image = RawImage(name=name, where=where, width=width, height=height)
        measure(image, None, self._losses)
        image.is_labelled = bool(whole.children)
        for each in whole.children:
            image.objects += self._objects(each, each.given.get("label"), image)
        yield image

    def track(self, whole: Element, part: Element) -> Iterator[tuple[str, int, str, bytes]]:
        """Yield the frames of the visible shapes of a track, or of one shape of it."""
        label = whole.given.get("label", "")
        task = whole.given.get("task_id", "") if self._is_project else ""
        points: dict[str | None, list[Element]] = {}
        for inner in whole.all("track"):  # of a point of a skeleton
            for each in inner.children:
                each.given["label"] = inner.given.get("label", "")
                points.setdefault(each.given.get("frame"), []).append(each)
        for each in whole.children if part is whole else [part]:
            if each.tag == "track" or each.given.get("outside") == "1":
                continue
            each.children += points.get(each.given.get("frame"), [])
            with self._losses.counting(f"{self._file}, line {each.line}"):
                frame = int(number_of(each.given.get("frame"), "a frame"))
                whole.shapes += 1
                yield task, frame, label, orjson.dumps(_packed(each))
        if part is whole and whole.shapes > 1:
            number = whole.given.get("id", "")
            self._losses.add(LossKind.TRACK, f"{self._file}, line {whole.line}: track {number}")

    def frames(self, rows: sqlite3.Connection, pictures: Pictures) -> Iterator[RawImage]:
        """Yield frames, named as by CVAT; of a project in a folder per task: numbers repeat."""
        ordered = rows.execute("SELECT * FROM shapes ORDER BY task, frame, rowid")
        for (task, frame), shapes in groupby(ordered, itemgetter(0, 1)):
            stem = f"frame_{frame:06}"
            picture = pictures.of(stem)
            name = picture.name if picture else stem
            width, height = self._sizes.get(task) or (None, None)
            image = RawImage(name=name, where=self._file, width=width, height=height)
            image.name = f"{self._apart}{f'task_{task}/' if task else ''}{name}"
            image.is_labelled = True
            for *_, label, body in shapes:
                image.objects += self._objects(_unpacked(orjson.loads(body)), label, image)
            yield image

    def _objects(self, each: Element, label: str | None, image: RawImage) -> list[RawObject]:
        """Return the objects of a shape: one for each point of points, otherwise one or none."""
        where = f"{self._file}, line {each.line}"
        named = _named(each)
        for part in each.all("points"):  # of a skeleton, which have answers of their own
            named += [f"{part.given.get('label')}.{name}" for name in _named(part)]
        found: list[RawObject] = []
        if each.tag == "tag":
            answers(where, [f"tag {label}", *named], self._losses)
        elif each.tag == "cuboid":
            self._losses.add(LossKind.CUBOID, where)
        else:
            with self._losses.counting(where):
                found = self._shaped(each, self._classes.of(label), image, where)
                answers(where, named, self._losses)
        return found

    def _shaped(
        self, each: Element, category: Category, image: RawImage, where: str
    ) -> list[RawObject]:
        width, height = image.width or math.inf, image.height or math.inf

        def numbers(*names: str) -> list[float]:
            return [number_of(each.given.get(name), f"{name!r}") for name in names]

        def points(of: Element, least: int) -> list[Pair]:
            flat = of.given.get("points", "").replace(";", ",").strip(",").split(",")
            return _ring([*map(number_of, filter(None, flat))], width, height, least)

        marks = {
            it: each.given[it] for it in ("occluded", "group_id") if each.given.get(it, "0") != "0"
        }
        found = RawObject(category=category, where=where, extra=marks)
        match each.tag:
            case "box":
                turn = number_of(each.given.get("rotation", 0), "'rotation'")
                _place(found, numbers("xtl", "ytl", "xbr", "ybr"), (width, height), turn)
            case "polygon":
                found.parts = [[points(each, 3)]]
            case "polyline":
                found.line = points(each, 2)
            case "points":
                every = points(each, 1)
                if len(every) > 1:
                    self._losses.add(LossKind.PARTS, where)
                return [attrs.evolve(found, point=point) for point in every]
            case "ellipse":
                x, y, across, down = numbers("cx", "cy", "rx", "ry")
                turn = number_of(each.given.get("rotation", 0), "'rotation'")
                found.parts = [[ellipse_ring((x, y), across, down, turn)]]
                self._losses.add(LossKind.CURVE, where)
            case "mask":
                found.parts = _mask(each, *map(int, numbers("left", "top", "width", "height")))
            case "skeleton":
                drawn = {one.given.get("label", ""): one for one in each.all("points")}
                if strange := drawn.keys() - set(category.keypoints):
                    text = f"{where}: {', '.join(sorted(strange))} are not points of it"
                    self._losses.add(LossKind.PART, text, count=len(strange))
                found.keypoints = [
                    self._keypoint(drawn.get(name), points, where) for name in category.keypoints
                ]
                if not any(found.keypoints):
                    raise BrokenError("none of its points is visible")
            case _:
                raise BrokenError(f"<{each.tag[:40]}> is not a shape")
        return [found]

    def _keypoint(
        self, drawn: Element | None, points: Callable[[Element, int], list[Pair]], where: str
    ) -> tuple[float, float, int] | None:
        found = None
        if drawn is not None and drawn.given.get("outside") != "1":
            with self._losses.counting(where, LossKind.PART):
                found = (*points(drawn, 1)[0], 1 if drawn.given.get("occluded") == "1" else 2)
        return found


def _named(each: Element) -> list[str]:
    """Return the names of the attributes of a shape that have a value."""
    return [one.given.get("name", "") for one in each.all("attribute") if one.text.strip()]


def _packed(each: Element) -> list[Any]:
    return [each.tag, each.line, each.given, each.text, [*map(_packed, each.children)]]


def _unpacked(packed: list[Any]) -> Element:
    tag, line, given, text, children = packed
    return Element(tag, line, given, text, [*map(_unpacked, children)])


def _mask(each: Element, left: int, top: int, width: int, height: int) -> list[list[Ring]]:
    """Return the outlines of a mask: runs along the rows of its box, the first is background."""
    numpy = extra_module("numpy", FormatError)
    runs = [int(number_of(run)) for run in each.given.get("rle", "").split(",") if run.strip()]
    if min(width, height) < 1 or width * height > MOST_PIXELS:
        raise BrokenError(f"a mask of {width} by {height} pixels is not read")
    if min(runs, default=-1) < 0 or sum(runs) != width * height:
        raise BrokenError(f"'rle' covers {sum(runs):,} pixels of {width * height:,}")
    # A byte for each pixel: as numbers of 64 bits, a line of a file could take gigabytes.
    colours = (numpy.arange(len(runs)) & 1).astype(numpy.uint8)
    filled = numpy.repeat(colours, runs).reshape(height, width)
    return segments_at(trace(filled), left, top)
