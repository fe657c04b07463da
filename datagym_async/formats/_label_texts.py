"""The texts of label files: one image in each format, and the parts for all images."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Final
from xml.etree.ElementTree import Element, SubElement, indent, tostring  # only to write

import attrs
import orjson

from datagym_async.formats._losses import (
    Losses,
    LossKind,
    answers_set,
    class_answer,
    outlines_of,
    writable,
)
from datagym_async.formats._mapping import LabelMapping
from datagym_async.formats._reading import snapped
from datagym_async.formats._reading_lines import KITTI_MARKS
from datagym_async.formats._reading_xml import FIRST_PIXEL, VOC_MARKS
from datagym_async.formats._written import Classes, Shown, carried, count_answers, shown_on
from datagym_async.labels import (
    Annotation,
    Bounds,
    Classification,
    LabeledImage,
    Line,
    Point,
    Polygon,
    Rectangle,
)
from datagym_async.labels._geometry import sticks_out


@attrs.define(kw_only=True)
class Run:
    """One call of `write`: its options, and what all images share."""

    format: str
    mapping: LabelMapping
    zero_based: bool
    clip: bool
    captions: bool  # whether captions of COCO get a file
    losses: Losses = attrs.field(factory=Losses)
    classes: Classes = attrs.field(init=False)
    joints: tuple[str, ...] = ()  # keypoints of all classes, if a format has one list
    captioned: bool = False  # whether any image has a caption


@attrs.frozen(kw_only=True)
class Sheet:
    image: LabeledImage
    name: str  # the name of its file below the folder of images
    source: Path | None  # its file, which is put there
    part: str  # of the dataset; empty if there is only one
    number: int  # its number in the dataset, from 0
    run: Run

    def size(self) -> tuple[int, int]:
        """Return width and height, 0 if unknown."""
        if not self.image.width or not self.image.height:
            self.run.losses.add(LossKind.SIZE, self.image.media_name)
        return self.image.width or 0, self.image.height or 0

    def shown(self, *, kept: Collection[str] = (), with_joints: bool = False) -> list[Shown]:
        """Return the objects; losses of the format are counted."""
        count_answers(self.image, self.run.mapping.select_key, self.run.losses, kept)
        shown = shown_on(self.image, self.run.classes, self.run.losses)
        for each in shown:
            if carried(each.parts[0]).get("iscrowd"):
                self.run.losses.add(LossKind.CROWD, each.where)
        for each in () if with_joints else shown:
            for name in each.joints(self.run.losses):
                self.run.losses.add(LossKind.POINT, f"{each.where}.{name}")
        return shown

    def boxes(
        self, *, kept: Collection[str] = (), with_joints: bool = False
    ) -> Iterator[tuple[Shown, Bounds]]:
        for each in self.shown(kept=kept, with_joints=with_joints):
            box = each.bounds
            if not each.is_box:
                self.run.losses.add(LossKind.OUTLINE, each.where)
            if box.width <= 0 or box.height <= 0:
                self.run.losses.add(LossKind.FLAT, each.where)
            yield each, box


def number(value: float) -> str:
    """Return a number with up to ten decimals and without an exponent."""
    text = f"{value:.10f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


# --- YOLO: https://docs.ultralytics.com/datasets --------------------------------------------------

# One line for each object: the number of its class, and fractions of the image's width and height.
# Ten decimals keep pixels exact to a millionth, up to a width of 10,000 pixels.


def _line(sheet: Sheet, shown: Shown, pairs: Iterable[Sequence[float]]) -> str:
    """Return a line from pairs in pixels; further numbers of a pair stay unchanged."""
    width, height = sheet.image.width or 1, sheet.image.height or 1
    shares = ((x / width, y / height, *rest) for x, y, *rest in pairs)
    return " ".join([str(shown.kind.at), *(number(each) for share in shares for each in share)])


def _middle_and_size(box: Bounds) -> list[tuple[float, float]]:
    middle = ((box.left + box.right) / 2, (box.top + box.bottom) / 2)
    return [middle, (box.width, box.height)]


def yolo(sheet: Sheet) -> str:
    """Boxes: middle, width and height."""
    return _lines(_line(sheet, each, _middle_and_size(box)) for each, box in sheet.boxes())


def yolo_seg(sheet: Sheet) -> str:
    """Outlines, one for each part: the format has no holes and no objects of several parts."""
    lines = []
    for each in sheet.shown():
        if len(each.parts) > 1:
            sheet.run.losses.add(LossKind.PARTS, each.where)
        for outline, *holes in each.rings:
            if holes:
                sheet.run.losses.add(LossKind.HOLES, each.where)
            lines.append(_line(sheet, each, [(point.x, point.y) for point in outline]))
    return _lines(lines)


def yolo_pose(sheet: Sheet) -> str:
    """Boxes, each followed by x, y and visibility of every keypoint; 0 0 0 for a missing one."""
    lines = []
    for each, box in sheet.boxes(with_joints=True):
        drawn = each.joints(sheet.run.losses)
        joints = [drawn.get(name, (0, 0, 0)) for name in sheet.run.joints]
        lines.append(_line(sheet, each, [*_middle_and_size(box), *joints]))
    return _lines(lines)


def yolo_obb(sheet: Sheet) -> str:
    """Rotated boxes by their four corners: for an outline the smallest box around it.

    If that extends beyond the image and shapes are clipped, the upright box.
    """
    lines = []
    width, height = sheet.image.width or math.inf, sheet.image.height or math.inf
    for each in sheet.shown():
        ring = [(point.x, point.y) for outline, *_ in each.rings for point in outline]
        if not each.is_box:
            box = Polygon([(snapped(x, width), snapped(y, height)) for x, y in smallest_box(ring)])
            fits = len(each.parts) == 1 and math.isclose(box.area, Polygon(ring).area, rel_tol=1e-6)
            if not fits:
                sheet.run.losses.add(LossKind.OUTLINE, each.where)
            if not (fits and len(ring) == 4):
                if sticks_out(box, width, height):
                    if sheet.run.clip:
                        box = Polygon(each.bounds.corners)
                    else:
                        sheet.run.losses.add(LossKind.OUTSIDE, each.where)
                ring = [(point.x, point.y) for point in box.points]
        lines.append(_line(sheet, each, ring))
    return _lines(lines)


def smallest_box(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return the corners of the smallest box at any angle: one of its sides is on the hull."""
    hull: list[tuple[float, float]] = []
    ordered = sorted(set(points))
    for way in (ordered, ordered[::-1]):  # the lower half, and then the upper one
        half: list[tuple[float, float]] = []
        for x, y in way:
            while len(half) > 1 and _turn(half[-2], half[-1], (x, y)) <= 0:
                half.pop()
            half.append((x, y))
        hull += half[:-1]
    best: list[tuple[float, float]] = []
    smallest = math.inf
    for (x, y), (to_x, to_y) in pairwise([*hull, *hull[:1]]):
        length = math.hypot(to_x - x, to_y - y)
        a, b = (to_x - x) / length, (to_y - y) / length
        along = [a * x + b * y for x, y in hull]
        across = [a * y - b * x for x, y in hull]
        edges = [(u, v) for v in (min(across), max(across)) for u in (min(along), max(along))]
        area = (edges[1][0] - edges[0][0]) * (edges[2][1] - edges[0][1])
        if area < smallest:
            smallest = area
            first, second, fourth, third = edges
            best = [(a * u - b * v, b * u + a * v) for u, v in (first, second, third, fourth)]
    return best or [*points[:1]] * 4


def _turn(a: tuple[float, float], b: tuple[float, float], c: tuple[float, float]) -> float:
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])


def _lines(lines: Iterable[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


_SIDES: Final = {"left": "right", "right": "left", "l": "r", "r": "l"}
_WORD: Final = re.compile(r"left|right|(?<![a-z])[lr](?![a-z])", re.IGNORECASE)


def flipped(names: Sequence[str]) -> list[int] | None:
    """Return the place of each keypoint in a mirrored image; None if names do not show it."""

    def other(found: re.Match[str]) -> str:
        word = _SIDES[found[0].lower()]
        return word.upper() if found[0].isupper() else word.title() if found[0].istitle() else word

    places = {name: place for place, name in enumerate(names)}
    mirrored = [_WORD.sub(other, name) for name in names]
    if mirrored == [*names] or not set(mirrored) <= places.keys():
        return None
    return [places[name] for name in mirrored]


def data_yaml(classes: Classes, folders: Mapping[str, str], joints: Sequence[str]) -> str:
    """Return the ``data.yaml`` of a dataset.

    For Ultralytics an empty `path` is the folder of this file, even after it was moved. Other
    relative paths, also ``.``, are first looked for below the working directory.
    """
    lines = ["# An empty path is the folder of this file.", "path: ''"]
    lines += (f"{part}: {folder}" for part, folder in folders.items())
    if joints:
        lines.append(f"kpt_shape: [{len(joints)}, 3]")
        if places := flipped(joints):
            lines.append(f"flip_idx: {places}")
    lines.append("names:" if classes.all else "names: {}")
    lines += (f"  {each.at}: {_quoted(each.text)}" for each in classes.all)
    if joints:
        lines.append("kpt_names:")
        for each in classes.all:
            lines += [f"  {each.at}:", *(f"    - {_quoted(name)}" for name in joints)]
    return _lines(lines)


def _quoted(text: str) -> str:
    # JSON is YAML, and a number or `no` must be read as text.
    return orjson.dumps(writable(text)).decode()


# --- Pascal VOC: the development kit of VOC2012, section 3 ----------------------------------------


def voc(sheet: Sheet) -> str:
    """Boxes. Edges that are not whole numbers have decimals, as in some files of VOC."""
    root = Element("annotation")
    _add(root, "folder", "JPEGImages")
    _add(root, "filename", sheet.name)
    size = _add(root, "size")
    for name, pixels in zip(("width", "height", "depth"), (*sheet.size(), 3), strict=True):
        _add(size, name, str(pixels))
    _add(root, "segmented", "0")
    for each, box in sheet.boxes():
        first = 0 if sheet.run.zero_based else FIRST_PIXEL
        edges = (box.left + first, box.top + first, box.right, box.bottom)
        left, top, right, bottom = map(int, edges)
        if box.width > 0 and box.height > 0 and (left >= right or top >= bottom):
            sheet.run.losses.add(LossKind.FLAT, each.where)
        found = _add(root, "object")
        _add(found, "name", each.kind.text)
        own = carried(each.parts[0])
        for name, usual in VOC_MARKS.items():
            _add(found, name, mark if isinstance(mark := own.get(name), str) else usual)
        around = _add(found, "bndbox")
        for name, edge in zip(("xmin", "ymin", "xmax", "ymax"), edges, strict=True):
            _add(around, name, number(edge))
    indent(root)
    return tostring(root, "unicode") + "\n"


def _add(parent: Element, tag: str, text: str = "", **about: str) -> Element:
    element = SubElement(parent, tag, {key: writable(v) for key, v in about.items()})
    element.text = writable(text) or None
    return element


# --- KITTI: the readme of its object development kit ----------------------------------------------


def kitti_word(text: str) -> str:
    """Return the name of a class for KITTI: one word."""
    return "_".join(writable(text).split()) or "_"


def kitti(sheet: Sheet) -> str:
    """Boxes. Values that did not come from KITTI are those of ``DontCare``."""
    lines = []
    for each, box in sheet.boxes():
        edges = dict(zip(("left", "top", "right", "bottom"), box, strict=True))
        marks = {**KITTI_MARKS, **carried(each.parts[0]), **edges}
        every = (marks[name] for name in KITTI_MARKS if name != "score")
        numbers = (number(mark) if isinstance(mark, int | float) else "-1" for mark in every)
        lines.append(" ".join([each.kind.text, *numbers]))
    return _lines(lines)


# --- CVAT for images 1.1: https://docs.cvat.ai/docs/manual/advanced/formats/format-cvat/ ----------


def cvat(sheet: Sheet) -> str:
    """Shapes with their answers as attributes, nested ones in a group; tags for the image."""
    image, losses, classes = sheet.image, sheet.run.losses, sheet.run.classes
    width, height = map(str, sheet.size())
    about = {"width": width, "height": height} | ({"subset": sheet.part} if sheet.part else {})
    root = Element("image", {"id": str(sheet.number), "name": sheet.name, **about})
    groups = 0

    def add_answers(
        element: Element, answers: Iterable[Classification], but: Classification | None = None
    ) -> None:
        for path, answer in answers_set("", answers, but=but):
            _add(element, "attribute", ", ".join(answer.options), name=path)

    for outer in image.annotations:
        groups += bool(outer.nested)
        for each in (outer, *outer.nested):
            if each is not outer:
                losses.add(LossKind.NESTING, f"{image.media_name}: {each.key}")
            if drawn := _cvat_shape(each, sheet):
                tag, place = drawn
                if each is not outer and isinstance(each.shape, Point):
                    label = classes.of(outer, None).point(each.key)
                else:
                    label = classes.of(each, None if each is outer else outer).text
                marks = carried(each)
                is_hidden = marks.get("v") == 1 or marks.get("occluded") == "1"
                own = {"label": label, "source": "manual"}
                own |= {"occluded": str(int(is_hidden)), **place, "z_order": "0"}
                own |= {"group_id": str(groups)} if outer.nested else {}
                found = _add(root, tag, **own)
                but = class_answer(each, sheet.run.mapping.select_key)
                add_answers(found, each.classifications, but)
    for one in image.classifications:
        if [*answers_set("", [one])]:
            add_answers(_add(root, "tag", label=one.key, source="manual"), [one])
    indent(root)
    return tostring(root, "unicode") + "\n"


def _cvat_shape(annotation: Annotation, sheet: Sheet) -> tuple[str, dict[str, str]] | None:
    """Return the tag and the position of a shape, or None if it has none."""
    shape, rings = annotation.shape, outlines_of(annotation)
    if isinstance(shape, Rectangle):
        edges = zip(("xtl", "ytl", "xbr", "ybr"), shape.bounds, strict=True)
        return "box", {name: number(edge) for name, edge in edges}
    where = f"{sheet.image.media_name}: {annotation.key}"
    points: Sequence[Point] = ()
    if isinstance(shape, Point):
        tag, points = "points", [shape]
    elif isinstance(shape, Line):
        tag, points = "polyline", shape.points
    else:
        tag, points = "polygon", rings[0] if rings else ()
        if len(rings) > 1:
            sheet.run.losses.add(LossKind.HOLES, where)
    if not points:
        sheet.run.losses.add(LossKind.INCOMPLETE, where)
        return None
    return tag, {"points": ";".join(f"{number(each.x)},{number(each.y)}" for each in points)}


def cvat_head(classes: Classes) -> str:
    """Return the part before the images: the labels, keypoints after classes."""
    root = Element("annotations")
    _add(root, "version", "1.1")
    labels = _add(_add(_add(root, "meta"), "task"), "labels")
    points = (name for each in classes.all for name in each.keypoints)
    for name in dict.fromkeys([*(each.text for each in classes.all), *points]):
        _add(_add(labels, "label"), "name", name)
    indent(root)
    text = tostring(root, "unicode").removesuffix("</annotations>")
    return f'<?xml version="1.0" encoding="utf-8"?>\n{text}'


CVAT_TAIL: Final = "</annotations>\n"


# --- Formats of JSON ------------------------------------------------------------------------------


def imagefolder(sheet: Sheet) -> str:
    """A line of ``metadata.jsonl``: https://huggingface.co/docs/datasets/image_dataset."""
    image = sheet.image
    found: dict[str, list[Any]] = {"bbox": [], "categories": [], "names": []}
    caption = image.classification(sheet.run.mapping.caption_key(1))
    kept = [caption.key] if caption and caption.is_set else []
    for each, box in sheet.boxes(kept=kept):
        # All of one type: readers guess it from the first ones.
        found["bbox"].append([*map(float, (box.left, box.top, box.width, box.height))])
        found["categories"].append(each.kind.at)
        found["names"].append(each.kind.text)
    line: dict[str, Any] = {"file_name": sheet.name}
    line |= {"width": image.width, "height": image.height, "objects": found}
    if sheet.run.captioned:  # in every line, or the parts have different columns
        line["text"] = writable(caption.value or "") if caption and caption.is_set else None
    return orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE).decode()
