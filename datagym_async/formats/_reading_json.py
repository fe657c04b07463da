"""Labels in JSON with a file or line for each image: LabelMe and Labelbox.

COCO, with all images in one document, is a separate package.
"""

from __future__ import annotations

import base64
import io
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import IO, Any, Final

from datagym_async._extras import extra_module
from datagym_async._files import regular_only
from datagym_async._json import BOM, check_depth, in_utf8, loads_of_python, why_no_json
from datagym_async._wire._cutting import BrokenTextError, ElementCutter
from datagym_async.formats._losses import BrokenError, FormatError, Losses, LossKind
from datagym_async.formats._masks import MOST_PIXELS, trace
from datagym_async.formats._raw import Category, Pair, RawDataset, RawImage, RawObject, Ring
from datagym_async.formats._reading import (
    Options,
    Pictures,
    ReadClasses,
    answers,
    below,
    bytes_of,
    ellipse_ring,
    files_below,
    gathered,
    measure,
    named_as_found,
    number_of,
    of_part,
    pixels_of,
    segments_at,
    stem_of,
)

_START: Final = 64  # bytes that show whether a file is a list
_PIECE: Final = 64 * 1024
_MOST_OF_A_LINE: Final = 16 * 2**20  # bytes


def _object_of(text: bytes) -> Mapping[str, Any]:
    """Return the object in a text, or raise `BrokenError`."""
    try:
        text = b"".join(in_utf8([text]))
        check_depth(text)
        found = loads_of_python(text)
    except ValueError as error:  # also of an encoding
        raise BrokenError(f"it is not JSON: {why_no_json(error)}") from None
    if not isinstance(found, dict):
        raise BrokenError("an object was expected at its root")
    return found


def _list(holder: Mapping[str, Any], member: str) -> list[Any]:
    found = holder.get(member)
    if not isinstance(found, list):
        raise BrokenError(f"the member {member} must be a list")
    return found


def _members(holder: object, *members: str) -> Mapping[str, Any]:
    """Return an object, or the one below these members; an empty one if there is none."""
    for member in members:
        holder = holder.get(member) if isinstance(holder, Mapping) else None
    return holder if isinstance(holder, Mapping) else {}


# --- LabelMe --------------------------------------------------------------------------------------

# A file an image, with imagePath, imageWidth, imageHeight, maybe the image itself, and shapes:
# label, points, shape_type, group_id, flags and mask (github.com/wkentaro/labelme).

_IMAGE_DATA: Final = re.compile(rb'(?<!\\)"imageData"\s*:\s*"[^"\\]*+"')


def open_labelme(path: Path, options: Options) -> RawDataset:
    """Open a folder of LabelMe's files, or one of them."""
    folder = path.parent if path.is_file() else path
    files = [path] if path.is_file() else files_below(path, {".json"})
    files = of_part(files, folder, folder / f"{options.split}.txt", options)
    pictures = Pictures.of_labels(folder, options, folder.parent)

    def read(file: Path, classes: ReadClasses, losses: Losses) -> Iterator[RawImage]:
        # The image is cut out before parsing: it may be most of the file.
        said = _object_of(_IMAGE_DATA.sub(b'"imageData":null', bytes_of(file)))
        shapes, stem = _list(said, "shapes"), stem_of(file, folder)
        picture = pictures.of(stem)
        name = said.get("imagePath") or (picture.name if picture else file.stem)
        if not isinstance(name, str):
            raise BrokenError("imagePath must be a text")
        name = named_as_found(name, stem, pictures, str(file), losses)
        image = RawImage(name=below(folder, file, name, pictures), where=str(file))
        image.width, image.height = (
            pixels_of(said.get(side)) for side in ("imageWidth", "imageHeight")
        )
        measure(image, picture or pictures.of(Path(name).stem), losses)
        given = [each for each in ("tags", "description") if said.get(each)]
        answers(file, [*_set(said.get("flags")), *given], losses)
        image.is_labelled = bool(shapes)
        image.objects = _labelme(shapes, str(file), classes, losses)
        yield image

    looked_for = ".json files with the member shapes"
    return gathered(path, files, read, looked_for, file_each=True)


def _set(flags: object) -> list[str]:
    return [name for name, is_set in flags.items() if is_set] if isinstance(flags, dict) else []


def _labelme(
    shapes: Sequence[object], file: str, classes: ReadClasses, losses: Losses
) -> list[RawObject]:
    """Return the objects; outlines with one label and group are parts of one object."""
    found: list[RawObject] = []
    groups: dict[object, RawObject] = {}
    for index, each in enumerate(shapes):
        where = f"{file}: shapes[{index}]"
        with losses.counting(where):
            if not isinstance(each, dict):
                raise BrokenError("an object was expected")
            category = classes.of(each.get("label"))
            made = _labelme_objects(each, category, where, losses)
            score = None if each.get("score") is None else number_of(each["score"], "a score")
            given = [*_set(each.get("attributes")), *_set(each.get("flags"))]
            answers(where, [*given, *(["description"] if each.get("description") else [])], losses)
            said = {name: each[name] for name in each if name not in _OF_SHAPES}
            extra = {name: value for name, value in said.items() if value and value != "false"}
            for one in made:
                one.score, one.extra = score, extra
            group = each.get("group_id")
            if group is not None and made[0].parts:
                first = groups.setdefault((category.name, str(group)), made[0])
                if first is not made[0]:
                    first.parts = [*first.parts, *made[0].parts]
                    first.extra = {**extra, **first.extra}
                    first.score = score if first.score is None else first.score
                    continue
            found += made
    return found


def _labelme_objects(
    shape: Mapping[str, Any], category: Category, where: str, losses: Losses
) -> list[RawObject]:
    kind = shape.get("shape_type") or "polygon"
    points: list[Pair] = []
    for each in _list(shape, "points"):
        if not isinstance(each, list) or len(each) != 2:
            raise BrokenError("each of its points must be x and y")
        points.append((number_of(each[0]), number_of(each[1])))
    found = RawObject(category=category, where=where)
    least = _LEAST.get(kind) if isinstance(kind, str) else None
    if least is None:
        raise BrokenError(f"{str(kind)[:40]!r} is not a known type of shape")
    if len(points) < least:
        raise BrokenError(f"a {kind} of {len(points)} points")
    xs, ys = [x for x, _ in points], [y for _, y in points]
    if kind == "mask":
        found.parts = _mask(shape.get("mask"), min(xs), min(ys))
    elif kind == "circle":
        losses.add(LossKind.CURVE, where)
        radius = math.dist(points[0], points[1])
        found.parts = [[ellipse_ring(points[0], radius, radius)]]
    elif kind == "rectangle" and len(points) in (2, 4) and max(len({*xs}), len({*ys})) <= 2:
        found.box = (min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys))
    elif kind in ("line", "linestrip"):
        found.line = points
    elif kind in ("point", "points"):
        if len(points) > 1:
            losses.add(LossKind.PARTS, where)
        return [RawObject(category=category, where=where, point=each) for each in points]
    else:
        found.parts = [[points]]
    return [found]


_OF_SHAPES: Final = frozenset((
    "label", "points", "shape_type", "group_id", "mask", "flags", "description", "attributes",
    "score", "line_color", "fill_color", "direction",
))  # fmt: skip
"""Members of a shape that are read, or say how it was drawn; X-AnyLabeling has some of them."""
_LEAST: Final = {
    "polygon": 3, "rectangle": 2, "circle": 2, "line": 2, "linestrip": 2, "point": 1, "points": 1,
    "mask": 1, "rotation": 3, "oriented_rectangle": 3, "quadrilateral": 3,
}  # fmt: skip
"""Points that a shape has at least; the last three are X-AnyLabeling's, and polygons."""


def _mask(text: object, left: float, top: float) -> list[list[Ring]]:
    """Return the outlines of a mask: a PNG in base64, whose upper left corner lies there."""
    numpy = extra_module("numpy", FormatError)
    plugin = extra_module("PIL.PngImagePlugin", FormatError, "formats")
    try:
        data = base64.b64decode(str(text), validate=True)
        with plugin.PngImageFile(io.BytesIO(data)) as image:
            if image.width * image.height > MOST_PIXELS:
                raise BrokenError(f"a mask of {image.width} by {image.height} pixels is too large")
            filled = numpy.asarray(image.convert("L"))
    except BrokenError:
        raise
    except Exception as error:  # whatever a hostile file provokes
        raise BrokenError(f"its mask is not a PNG in base64: {error}") from None
    return segments_at(trace(filled), left, top)


# --- Labelbox -------------------------------------------------------------------------------------

# A line an image: data_row, media_attributes, and for each project its labels, each of which has
# annotations with objects (docs.labelbox.com/reference/export-image-annotations).


def open_labelbox(path: Path, options: Options) -> RawDataset:
    """Open an export file of Labelbox, with a line for each image, or a list of them."""
    if options.split:
        raise FormatError(f"{path} is of a format without parts; leave out split")
    if path.is_dir():
        raise FormatError(f"{path} is a folder; name the file of Labelbox in it")

    def read(path: Path, classes: ReadClasses, losses: Losses) -> Iterator[RawImage]:
        with open(path, "rb", opener=regular_only) as file:
            if file.read(_START).removeprefix(BOM).lstrip().startswith(b"["):
                file.seek(0)
                yield from _labelbox_list(path, file, classes, losses)
                return
            file.seek(0)
            number = 0
            while line := file.readline(_MOST_OF_A_LINE):
                number += 1
                where = f"{path}, line {number}"
                with losses.counting(where):
                    if len(line) == _MOST_OF_A_LINE:
                        while line and not line.endswith(b"\n"):
                            line = file.readline(_MOST_OF_A_LINE)
                        raise BrokenError(f"it has more than {_MOST_OF_A_LINE >> 20} MB")
                    if line.strip():
                        yield _labelbox(_object_of(line), where, classes, losses)

    return gathered(path, [path], read, "lines with the member data_row")


def _labelbox_list(
    path: Path, file: IO[bytes], classes: ReadClasses, losses: Losses
) -> Iterator[RawImage]:
    pieces = in_utf8(iter(partial(file.read, _PIECE), b""))
    try:
        for number, row in enumerate(ElementCutter().elements(pieces)):
            where = f"{path}: [{number}]"
            with losses.counting(where):
                if not isinstance(row, dict):
                    raise BrokenError("an object was expected")
                yield _labelbox(row, where, classes, losses)
    except (BrokenTextError, UnicodeDecodeError) as error:
        raise BrokenError(f"it is not JSON: {why_no_json(error)}") from None


def _labelbox(row: Mapping[str, Any], where: str, classes: ReadClasses, losses: Losses) -> RawImage:
    known = [_members(row, "data_row").get(key) for key in ("external_id", "global_key", "id")]
    names = [each for each in known if isinstance(each, str) and each]
    if not names:
        raise BrokenError("it has no data_row with external_id, global_key or id")
    # The name of the file is one of them, which one is up to those who put it there.
    name = next((each for each in names if Path(each).suffix), names[0])
    width, height = (
        pixels_of(_members(row, "media_attributes").get(side)) for side in ("width", "height")
    )
    image = RawImage(name=name, where=where, width=width, height=height)
    measure(image, None, losses)
    for project in _members(row, "projects").values():
        labels = project.get("labels") if isinstance(project, dict) else None
        for index, label in enumerate(labels if isinstance(labels, list) else []):
            said = _members(label, "annotations")
            objects = said.get("objects")
            objects = objects if isinstance(objects, list) else []
            drawn = any(map(said.get, ("objects", "classifications", "frames")))
            image.is_labelled = image.is_labelled or drawn
            if "frames" in said:
                losses.add(LossKind.VIDEO, where)
            elif index:  # by another person, for the same image
                text = f"{where}: further labels of the same image"
                losses.add(LossKind.BROKEN, text, count=max(1, len(objects)))
            else:
                _classified(said, where, losses)
                if isinstance(links := said.get("relationships"), list) and links:
                    losses.add(LossKind.EXTRA, f"{where}: relationships", count=len(links))
                for each in objects:
                    with losses.counting(where):
                        image.objects.append(_labelbox_object(each, where, classes))
                        _classified(each, where, losses)
    return image


def _classified(holder: Mapping[str, Any], where: str, losses: Losses) -> None:
    """Count the answers about an image or an object, also those below an answer."""
    given = holder.get("classifications")
    found = [_members(each) for each in (given if isinstance(given, list) else [])]
    answers(where, (str(each.get("name")) for each in found), losses)
    for each in found:
        ticked = each.get("checklist_answers")
        ticked = ticked if isinstance(ticked, list) else []
        for answer in (_members(each, "radio_answer"), *ticked):
            _classified(_members(answer), where, losses)


def _labelbox_object(each: object, where: str, classes: ReadClasses) -> RawObject:
    if not isinstance(each, Mapping):
        raise BrokenError("an object was expected among its objects")
    found = RawObject(category=classes.of(each.get("name")), where=where)

    def pairs(member: str, least: int) -> list[Pair]:
        points = [_members(point) for point in _list(each, member)]
        if len(points) < least:
            raise BrokenError(f"a {member} of {len(points)} points")
        return [(number_of(point.get("x")), number_of(point.get("y"))) for point in points]

    if box := _members(each, "bounding_box"):
        sides = ("left", "top", "width", "height")
        left, top, width, height = (number_of(box.get(side)) for side in sides)
        if width < 0 or height < 0:
            raise BrokenError("its width or height is negative")
        found.box = (left, top, width, height)
    elif "polygon" in each:
        found.parts = [[pairs("polygon", 3)]]
    elif "line" in each:
        found.line = pairs("line", 2)
    elif point := _members(each, "point"):
        found.point = (number_of(point.get("x")), number_of(point.get("y")))
    else:
        kind = str(each.get("annotation_kind"))[:40]
        raise BrokenError(f"an object of the kind {kind}, of which the file holds no coordinates")
    return found
