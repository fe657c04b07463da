"""Labels in lines of numbers: YOLO in all its kinds.

Its rules are those of Ultralytics (docs.ultralytics.com/datasets: detect, segment, pose, obb),
with what darknet, CVAT, Label Studio and Roboflow write: a folder of label files and a list of
names. Numbers are fractions of the width and height of the image as trainers see it.
"""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import chain, islice
from pathlib import Path, PurePosixPath
from typing import Any, Final, Literal, TypeAlias

import attrs

from datagym_async._extras import extra_module
from datagym_async.formats._classes import composed
from datagym_async.formats._losses import BrokenError, FormatError, Losses, LossKind
from datagym_async.formats._raw import Category, Pair, RawDataset, RawImage, RawObject
from datagym_async.formats._reading import (
    NO_LABELS,
    Options,
    Pictures,
    digits_tolerance,
    entries_of,
    files_below,
    first_words,
    is_number,
    is_there,
    lines_of,
    may_be_labels,
    names_of,
    number_of,
    snapped,
    stem_of,
    text_of,
    upright_size,
)
from datagym_async.formats._splits import SPLITS
from datagym_async.models._names import IMAGE_SUFFIXES

YoloName: TypeAlias = Literal["yolo", "yolo-seg", "yolo-pose", "yolo-obb", "dota"]
_Size: TypeAlias = "tuple[int, int] | None"
_PART_NAMES: Final = (*SPLITS, "valid", "validation")
_NAMES_FILES: Final = ("classes.txt", "obj.names", "classes.names", "_darknet.labels", "names.txt")
_NAMES_SUFFIXES: Final = frozenset((".txt", ".names", ".labels"))
_DOTA: Final = "labelTxt"
"""Folder of turned boxes as DOTA and YOLOv5-OBB have them: in pixels, with the name of a class."""
_DOTA_HEADS: Final = ("imagesource:", "gsd:")  # lines before those of objects
_FIRST: Final = 20  # label files that show the kind of a dataset
_MOST_YAML: Final = 4 * 2**20  # bytes: PyYAML takes seconds for one million
_DEEPEST: Final = 8  # folders of a path that leads elsewhere
_FARTHEST: Final = 2  # larger numbers are pixels, not fractions


@attrs.frozen
class _Yolo:
    """The content of a data.yaml or a list of names."""

    categories: Mapping[int, Category]
    keypoints: int = 0
    dimensions: int = 3  # of a keypoint: x, y and maybe its visibility

    @property
    def pose(self) -> int:
        """Return how many numbers of a line are keypoints."""
        return self.keypoints * self.dimensions


@attrs.frozen
class _Labelled:
    """An image and its label file, as far as they exist."""

    name: str
    image: Path | None
    labels: Path


def open_yolo(path: Path, options: Options) -> RawDataset:
    """Open a data.yaml, a darknet data file, or a folder; errors as `formats.read` says."""
    data = yolo_file(path) if path.is_dir() else path
    if data is None:
        found, problems = _named_apart(_in_folder(path, options.images), path), list[str]()
        yolo = _Yolo(_listed(path, options.classes, found))
        looked_for = "images, and a .txt of labels for each"
    else:
        try:
            content = _content_of(data)
        except BrokenError as error:
            raise FormatError(f"{data} cannot be read as yolo: {error}") from None
        yolo, looked_for = _yolo_of(data, content, options.classes), "images"
        found, problems = _in_parts(data, content, options.split)
        if options.images:
            pictures = Pictures.of_labels(path, options)
            found = [_elsewhere(each, pictures) for each in found]
    if not found:
        why = f"; {'; '.join(problems)}" if problems else ""
        raise FormatError(f"{data or path} leads to no images; looked for {looked_for}{why}")
    if not any(is_there(each.labels) for each in found):
        where = f"none of its {len(found):,} images; looked for {found[0].labels}"
        raise FormatError(f"{data or path} leads to labels of {where}")
    if not problems and not any(map(_says_something, found)):
        raise FormatError(f"{path} holds empty files of labels, and none of their images")
    if not yolo.pose and (count := _marked_keypoints(found)):
        points = _point_names((), count)
        named = {n: attrs.evolve(each, keypoints=points) for n, each in yolo.categories.items()}
        yolo = _Yolo(named, count)

    def images(losses: Losses) -> Iterator[RawImage]:
        for problem in problems:
            losses.add(LossKind.BROKEN, f"{data}: {problem}")
        for number, category in yolo.categories.items():
            if (last := once[category.name].id) != number:
                losses.add(LossKind.DOUBLED_CLASS, f"{category.name} is {number} and {last}")
        for each in found:
            yield from _read(each, yolo, options.in_shares, losses)

    once = {each.name: each for each in yolo.categories.values()}  # two of one name are one
    return RawDataset(
        where=str(path),
        categories=tuple(once.values()),
        images=images,
        outlines=not yolo.pose and any(len(words) > 6 for words in _first_lines(found)),
    )


def yolo_kind(path: Path) -> YoloName:
    """Return the kind of YOLO of a file or folder, by its first label files."""
    data = yolo_file(path) if path.is_dir() else path
    try:
        content = _content_of(data) if data else {}
        if content.get("kpt_shape"):
            return "yolo-pose"
        found = _in_parts(data, content, None)[0] if data else _in_folder(path, None)
    except (BrokenError, FormatError):
        return "yolo"
    if any(map(_is_dota, _first_lines(found))):
        return "yolo-obb" if data else "dota"
    if _marked_keypoints(found):
        return "yolo-pose"
    columns = {len(words) for words in _first_lines(found) if len(words) > 6}
    return "yolo-obb" if columns and columns <= {9, 10} else "yolo-seg" if columns else "yolo"


def _first_lines(found: Sequence[_Labelled]) -> Iterator[list[str]]:
    """Yield the words of the lines of the first existing label files."""
    for each in islice((each for each in found if is_there(each.labels)), _FIRST):
        with suppress(BrokenError, OSError):
            yield from (words for _, words in lines_of(each.labels))


def _marked_keypoints(found: Sequence[_Labelled]) -> int:
    """Return the number of keypoints in lines by their visibility, if no file has `kpt_shape`.

    Each third number after a box is 0, 1 or 2. Corners of an outline are 0 or 1 only at the edges,
    and never 2.
    """
    columns, marks = set[int](), set[float]()
    for words in _first_lines(found):
        if len(words) > 6 and all(map(is_number, words)):
            columns.add(len(words))
            marks.update(map(float, words[7::3]))
    count, rest = divmod(min(columns, default=0) - 5, 3)
    has_marks = marks <= {0, 1, 2} and (2 in marks or count > 3)
    return count if len(columns) == 1 and not rest and has_marks else 0


def _point_names(known: Sequence[str], count: int) -> list[str]:
    return [*known, *(f"keypoint_{each + 1}" for each in range(len(known), count))]


def _in_parts(
    data: Path, content: Mapping[str, Any], split: str | None
) -> tuple[list[_Labelled], list[str]]:
    """Return the images of the parts of a dataset, and missing files."""
    root, given = data.parent, content.get("path")
    # A path is relative to the file, or to the folder above, as YOLOv5 has its files in data/.
    below = _tried([root, root.parent], given, 1) if isinstance(given, str) else []
    roots = [*islice(filter(os.path.isdir, below), 1), root]
    wanted = [split] if split else [each for each in SPLITS if content.get(each)]
    if not wanted or not content.get(wanted[0]):
        known = ", ".join(each for each in content if each not in ("names", "nc", "path"))
        text = f"{data} names no images under {split or 'train, val or test'}"
        raise FormatError(f"{text}; it has {known or 'nothing'}")
    found, problems = list[_Labelled](), list[str]()
    for part in wanted:
        values = content[part] if isinstance(content[part], list) else [content[part]]
        for value in values:
            if not isinstance(value, str):  # aliases of YAML can make it arbitrarily long
                problems.append(f"{part}: a list in the list is not a path")
                continue
            place = _place(roots, value)
            if place is None:
                tried = " and ".join(dict.fromkeys(str(each / value) for each in roots))
                problems.append(f"{part}: {value} is not there (looked for {tried})")
            elif place.suffix.lower() in IMAGE_SUFFIXES:
                name = _behind_images(value)
                found.append(_Labelled(name, place, _labels_of(place).with_suffix(".txt")))
            elif place.is_file():
                found += _in_list(place, roots)
            else:
                found += _in_folder(place, None)
    return _named_apart(found, roots[-1]), problems


def _elsewhere(each: _Labelled, pictures: Pictures) -> _Labelled:
    """Return an image with its file, looked for among others if it is not in its place."""
    parts = each.labels.with_suffix("").parts[-_DEEPEST:] if each.image is None else ()
    tried = ("/".join(parts[at:]) for at in range(len(parts)))
    image = next(filter(None, map(pictures.of, tried)), None)
    if image is None:
        return each
    is_whole = Path(each.name).suffix.lower() in IMAGE_SUFFIXES
    name = each.name if is_whole else f"{each.name}{image.suffix}"
    return attrs.evolve(each, image=image, name=name)


def yolo_file(folder: Path) -> Path | None:
    """Return the file in a folder that describes the dataset: data.yaml, or the only other one."""
    inside = sorted(each for each in folder.iterdir() if each.suffix.lower() in (".yaml", ".yml"))
    inside.sort(key=lambda each: each.stem != "data")
    found: dict[tuple[str, str], Path] = {}
    for each in (*inside, folder / "obj.data", folder / "data" / "obj.data"):
        try:
            content = _content_of(each) if each.is_file() else {}
        except (BrokenError, OSError):
            content = {"nc": each.stem == "data"}  # its error says more than that there is none
        if content.get("names") or content.get("nc"):
            part = next((content[name] for name in SPLITS if content.get(name)), "")
            found.setdefault((str(content.get("path", "")), str(part)), each)
    sets = [each for (_, part), each in found.items() if part and each.suffix != ".data"]
    if len(sets) > 1 and sets[0].stem != "data":
        raise FormatError(f"{folder} has several datasets: {sets[0]} and {sets[1]}; name one")
    return next(iter(sets or found.values()), None)


def _content_of(path: Path) -> Mapping[str, Any]:
    content = _data_file(path) if path.suffix == ".data" else _yaml(path)
    names = content.get("names")
    if isinstance(names, str):  # a file that lists them
        listed = [each for each in _tried([path.parent], names) if is_there(each, as_file=True)]
        content = {**content, "names": names_of(listed[0])} if listed else content
    valid = content.get("valid")  # the word of darknet and Roboflow
    return {**content, "val": valid} if valid and not content.get("val") else content


def _yaml(path: Path) -> Mapping[str, Any]:
    yaml = extra_module("yaml", FormatError)
    try:
        # All scalars are texts: a class may be called no, 12 or 1e3.
        content = yaml.load(text_of(path, _MOST_YAML), yaml.BaseLoader)
    except (yaml.YAMLError, RecursionError) as error:
        raise BrokenError(f"it is not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise BrokenError("it is not YAML with names, train and val")
    return content


def _data_file(path: Path) -> Mapping[str, Any]:
    """Return the content of darknet's ``obj.data``: ``names = data/obj.names``, ``train = ...``."""
    content: dict[str, Any] = {}
    for line in entries_of(path):
        key, sign, value = line.partition("=")
        if sign:
            content[key.strip()] = value.strip()
    return content


def _tried(roots: Sequence[Path], value: str, least: int = 2) -> list[Path]:
    """Return the possible places of a path: below the roots, as in Ultralytics and darknet.

    Of a path of another machine (``/content/set/train/images``) the last parts are tried, at least
    two, unless it is only the name of a part or of a list.
    """
    value = value.replace("\\", "/")
    values, parts = [value], value.split("/")
    if parts[0] in ("..", "data"):  # of Roboflow, which Ultralytics corrects, and of CVAT
        values.append(value.partition("/")[2])
    least = 1 if parts[-1] in _PART_NAMES or Path(value).suffix in _NAMES_SUFFIXES else least
    last = range(max(1, len(parts) - _DEEPEST), len(parts) + 1 - least)
    values += ("/".join(parts[at:]) for at in last)
    return [root / each for each in values for root in roots] if value else []


def _place(roots: Sequence[Path], value: str) -> Path | None:
    """Return the place of a path; without a folder of images, one of labels is enough."""
    tried = _tried(roots, value)
    labelled = (each for each in tried if _labels_of(each) != each and is_there(_labels_of(each)))
    return next(chain(filter(is_there, tried), labelled), None)


def classes_of_yaml(path: Path) -> Mapping[int, Category]:
    """Return the classes of a data.yaml by their numbers; `FormatError` if it lists none."""
    return _yolo_of(path, _content_of(path), ()).categories


def _yolo_of(path: Path, content: Mapping[str, Any], classes: Sequence[str]) -> _Yolo:
    names = content.get("names") or list(classes)
    try:
        if isinstance(names, str):  # of a darknet data file, which does not exist
            raise BrokenError(f"the list of names {names} is not there")
        pairs = names.items() if isinstance(names, dict) else enumerate(names)
        by_number = {int(number): name for number, name in pairs}
        if not by_number and content.get("nc"):
            by_number = {each: f"class_{each}" for each in range(min(int(content["nc"]), 100_000))}
        by_number = {number: name for number, name in by_number.items() if name}  # "" is no class
        bad = [each for each in by_number.values() if not isinstance(each, str) or not each.strip()]
        if bad or not by_number:
            raise BrokenError("names must be a list of names, or a name for each number")
        count, dimensions = map(int, content.get("kpt_shape") or (0, 3))
        if not 0 <= count <= 1000 or dimensions not in (2, 3):
            raise BrokenError("kpt_shape must be the number of keypoints, and 2 or 3")
    except (BrokenError, TypeError, ValueError) as error:
        raise FormatError(f"{path} cannot be read as yolo: {error}") from None
    named = content.get("kpt_names") or {}
    categories = {}
    for number, name in by_number.items():
        # Names of keypoints: a list for all classes, or a list for each by its number.
        own = named.get(str(number), ()) if isinstance(named, dict) else named
        points = [each for each in own if isinstance(each, str)] if isinstance(own, list) else []
        points = _point_names(points, count)[: count or None]
        categories[number] = Category(number, name.strip(), keypoints=points)
    return _Yolo(categories, count, dimensions)


def _listed(
    folder: Path, classes: Sequence[str], found: Sequence[_Labelled]
) -> Mapping[int, Category]:
    """Return the classes of a folder: as given, else of files of names; then those of DOTA."""
    names = dict(enumerate(classes))
    # Those beside labels (LabelImg) are of parts of the dataset, which all have the same classes.
    files = [each for each in files_below(folder, _NAMES_SUFFIXES) if each.name in _NAMES_FILES]
    above = (folder.parent / name for name in _NAMES_FILES)
    for file in () if classes else files or [*filter(Path.is_file, above)][:1]:
        try:
            listed = names_of(file)
        except BrokenError as error:
            raise FormatError(f"{file} cannot be read as a list of names: {error}") from None
        if any(names.get(number, name) != name for number, name in listed.items()):
            raise FormatError(
                f"{folder} lists several sets of classes: {files[0]} and {file}; name one "
                "(classes=...)"
            )
        names |= listed
    others = (name for name in _named_in_lines(found) if name not in names.values())
    names |= dict(enumerate([*others], max(names, default=-1) + 1))
    if not names:
        raise FormatError(
            f"{folder} does not list its classes: there is none of data.yaml with names, "
            f"{', '.join(_NAMES_FILES[:-1])}; name them with classes=..."
        )
    return {number: Category(number, name) for number, name in names.items()}


def _named_in_lines(found: Sequence[_Labelled]) -> Collection[str]:
    """Return the classes that lines of DOTA name; none if any line may be one of YOLO."""
    names: dict[str, None] = {}
    for each in found:
        with suppress(BrokenError, OSError):
            for _, words in lines_of(each.labels):
                if _is_dota(words):
                    names[_dota_marks(words)[0]] = None
                elif all(map(is_number, words)):
                    return ()
    return names


def _is_dota(words: Sequence[str]) -> bool:
    """Return whether a line has four corners and then the name of a class."""
    return len(words) > 8 and all(map(is_number, words[:8])) and not is_number(words[8])


def _dota_marks(words: Sequence[str]) -> tuple[str, str]:
    """Return the class of a line of DOTA, which may have blanks, and the mark behind it."""
    mark = words[-1] if is_number(words[-1]) else ""
    return " ".join(words[8 : -1 if mark else None]), mark


# --- YOLO: which images there are, and where their labels ----------------------------------------


def _labels_of(path: Path, one: str = "images", other: str = "labels") -> Path:
    """Return a path whose last ``images`` is ``labels``, as Ultralytics finds labels."""
    *before, after = f"{path}{os.sep}".rsplit(f"{os.sep}{one}{os.sep}", 1)
    return Path(f"{before[0]}{os.sep}{other}{os.sep}{after}") if before else path


def _has_both(folder: Path) -> bool:
    return (folder / "images").is_dir() and (folder / "labels").is_dir()


def _in_folder(folder: Path, images: Path | None) -> list[_Labelled]:
    """Return the images below a folder, and the label files that have none."""
    if images is None and _has_both(folder):
        parts = folder / "images", *filter(_has_both, sorted(folder.glob("[!.]*")))
        return [each for part in parts for each in _in_folder(part, None)]
    if images is None and (beside := _labels_of(folder, "labels", "images")).is_dir():
        folder = beside  # the same folder, unless it is one of labels
    root = folder / "labels" if images and (folder / "labels").is_dir() else _labels_of(folder)
    tried = dict.fromkeys((root, folder, root.with_name(_DOTA)))
    places = [each for each in tried if each.is_dir()]
    texts = [(place, file) for place in places for file in files_below(place, {".txt"})]
    by_name = {composed(str(file)): file for _, file in texts}
    found: list[_Labelled] = []
    for image in files_below(images or folder, IMAGE_SUFFIXES):
        own = root / image.relative_to(images) if images else _labels_of(image)
        own = own.with_suffix(".txt")
        name = image.relative_to(images or folder).as_posix()
        labels = by_name.get(composed(str(own)), own)
        found.append(_Labelled(_behind_images(name), image, labels))
    claimed = {each.labels for each in found}
    orphans = [
        _Labelled(stem_of(file, place), None, file)
        for place, file in texts
        if file not in claimed and (may_be_labels(file) or is_yolo(file))
    ]
    # Labels in another folder belong to the image with their name, if only one has none yet.
    there = {file for _, file in texts}
    bare = Counter(each.labels.stem for each in found if each.labels not in there)
    free = Counter(each.labels.stem for each in orphans)
    meant = {stem for stem in bare if bare[stem] == free[stem] == 1}
    by_stem = {each.labels.stem: each.labels for each in orphans}
    for at, each in enumerate(found):
        if each.labels not in there and (stem := each.labels.stem) in meant:
            found[at] = attrs.evolve(each, labels=by_stem[stem])
    return found + [each for each in orphans if each.labels.stem not in meant]


def _behind_images(name: str) -> str:
    """Return the part of a path after the last folder ``images``."""
    return f"/{name}".rpartition("/images/")[2].removeprefix("/")


def _in_list(path: Path, roots: Sequence[Path]) -> Iterator[_Labelled]:
    """Yield the images of a list, a path a line: below folders of the dataset, or beside it."""
    try:
        lines = entries_of(path)
    except BrokenError as error:
        raise FormatError(f"{path} cannot be read as a list of images: {error}") from None
    for line in lines:
        value = line.replace("\\", "/").removeprefix("./")
        if (last := PurePosixPath(value).name) in {"", ".."}:  # an empty line, or a folder
            continue
        tried = [*_tried([path.parent, *roots, path.parent.parent], value), path.parent / last]
        image = next((each for each in tried if is_there(each, as_file=True)), None)
        files = [_labels_of(each).with_suffix(".txt") for each in ([image] if image else tried)]
        labels = next((each for each in files if is_there(each, as_file=True)), files[0])
        behind = _behind_images(value)
        name = behind if behind != value else _relative(image, roots[-1]) or value
        yield _Labelled(name, image, labels)


def _relative(image: Path | None, root: Path) -> str:
    path = ""
    with suppress(ValueError):  # on Windows: of another drive
        path = Path(os.path.relpath(image, root)).as_posix() if image else ""  # without any ../
    return "" if path.startswith("../") else path


def _named_apart(found: list[_Labelled], root: Path) -> list[_Labelled]:
    """Return each image once; those with one name in several parts are named by their path."""
    once = {each.image or each.labels: each for each in reversed(found)}
    kept = list(reversed(once.values()))
    names = Counter(each.name for each in kept)
    for at, each in enumerate(kept):
        if names[each.name] > 1:
            whole = _relative(each.image or each.labels.with_suffix(""), root)
            kept[at] = attrs.evolve(each, name=whole or each.name)
    return kept


# --- YOLO: the content of label files -------------------------------------------------------------


def _says_something(each: _Labelled) -> bool:
    """Return whether there is an image, or at least its name or some of its labels."""
    is_named = each.image is not None or Path(each.name).suffix.lower() in IMAGE_SUFFIXES
    return is_named or (is_there(each.labels) and each.labels.stat().st_size > 0)


def _read(each: _Labelled, yolo: _Yolo, in_shares: bool, losses: Losses) -> Iterator[RawImage]:
    """Yield an image with its labels.

    Nothing, if its labels are lost because its size is not known, or if only its label file tells
    its name.
    """
    lines, is_lost = list[tuple[int, list[str]]](), True
    with losses.counting(each.labels):
        every = lines_of(each.labels) if is_there(each.labels) else ()
        lines = [line for line in every if not line[1][0].startswith(_DOTA_HEADS)]
        is_lost = False
    image = RawImage(name=each.name, where=str(each.labels), is_labelled=is_lost or bool(lines))
    reason = "there is no such image; name its folder with images=..."
    try:
        if each.image is not None:
            image.width, image.height, orientation = upright_size(each.image)
            if orientation > 1:
                losses.add(LossKind.TURNED, each.name)
    except (BrokenError, OSError) as error:
        reason = str(error)
    size = (image.width, image.height) if image.width and image.height else None
    in_pixels = any(_is_dota(words) for _, words in lines)
    image.in_shares = in_shares and size is None and not in_pixels
    if size is None and not lines and Path(each.name).suffix.lower() not in IMAGE_SUFFIXES:
        return
    if size is None and lines and not (in_shares or in_pixels):
        losses.add(LossKind.MISSING_IMAGE, f"{each.name}: {reason}", count=len(lines))
        return
    for number, words in lines:
        where = f"{each.labels}, line {number}"
        try:
            if size is None and in_pixels and not _is_dota(words):
                raise BrokenError("its numbers are shares, and its image is not there")
            image.objects.append(_object(words, yolo, size, where))
        except BrokenError as error:
            losses.add(LossKind.BROKEN, f"{where}: {error}")
        except LookupError as error:
            losses.add(LossKind.UNKNOWN_CATEGORY, f"{where}: class {error}")
    yield image


def _object(words: Sequence[str], yolo: _Yolo, size: _Size, where: str) -> RawObject:
    """Return the object of a line, by the number of its numbers; `LookupError` for its class.

    In pixels of an image of this size, or in shares of it if it is unknown.
    4: middle, width and height of a box. Those and the keypoints of ``kpt_shape``. 6 and more, an
    even number: the corners of an outline; 8 may also be a turned box. One more is a score.
    """
    if len(words) > 8 and not is_number(words[8]):
        return _of_dota(words, yolo, size, where)
    number = number_of(words[0], "a class")
    category = yolo.categories.get(int(number)) if number == int(number) else None
    if category is None:
        raise LookupError(words[0])
    rest, score = words[1:], None
    if len(rest) in (5, 5 + yolo.pose) or (len(rest) > 6 and len(rest) % 2 and not yolo.pose):
        score = number_of(rest[-1], "a score")
        rest = rest[:-1]
    shares = [number_of(each) for each in rest]
    is_box = len(shares) in (4, 4 + yolo.pose)
    if not is_box and (len(shares) < 6 or len(shares) % 2 or yolo.pose):
        wanted = f"4 or {4 + yolo.pose}" if yolo.pose else "4, 6 or more"
        raise BrokenError(f"{len(rest)} numbers behind the class, where {wanted} were expected")
    if any(abs(each) > _FARTHEST for each in (shares[:4] if is_box else shares)):
        raise BrokenError("its numbers are not shares of a width and height, from 0 to 1")
    across, down = size or (1, 1)
    noise = [digits_tolerance(rest, each) for each in (across, down)]

    def pixel(x: float, y: float) -> Pair:
        return snapped(x * across, across, noise[0]), snapped(y * down, down, noise[1])

    found = RawObject(category=category, where=where, score=score)
    if is_box:
        x, y, width, height = shares[:4]
        if width < 0 or height < 0:
            raise BrokenError("its width or height is negative")
        left, top = pixel(x - width / 2, y - height / 2)
        right, bottom = pixel(x + width / 2, y + height / 2)
        found.box = (left, top, right - left, bottom - top)
        starts, step = range(4, len(shares), yolo.dimensions), yolo.dimensions
        found.keypoints = [_keypoint(shares[at : at + step], pixel) for at in starts]
    else:
        ring = [pixel(x, y) for x, y in zip(shares[::2], shares[1::2], strict=True)]
        closed = len(ring) > 3 and ring[0] == ring[-1]
        found.parts = [[ring[:-1] if closed else ring]]
    return found


def _of_dota(words: Sequence[str], yolo: _Yolo, size: _Size, where: str) -> RawObject:
    """Return a turned box of DOTA: four corners in pixels; `LookupError` for its class."""
    name, mark = _dota_marks(words)
    category = {each.name: each for each in yolo.categories.values()}[name]
    numbers, (across, down) = [*map(number_of, words[:8])], size or (math.inf, math.inf)
    pairs = zip(numbers[::2], numbers[1::2], strict=True)
    ring = [(snapped(x, across), snapped(y, down)) for x, y in pairs]
    extra = {"difficult": mark} if mark not in ("", "0") else {}
    return RawObject(category=category, where=where, parts=[[ring]], extra=extra)


def _keypoint(
    numbers: Sequence[float], pixel: Callable[[float, float], Pair]
) -> tuple[float, float, int] | None:
    """Return a keypoint; one of two numbers exists unless it is 0 0, or negative."""
    x, y, *rest = numbers
    seen = rest[0] if rest else 2 * (x > 0 or y > 0) * (x >= 0 and y >= 0)
    seen = 2 if 0 < seen < 1 else min(int(seen), 2)  # a fraction is a score, as predictions have it
    return (*pixel(x, y), seen) if seen > 0 else None


def is_yolo(path: Path) -> bool:
    """Return whether the first line of a file is one of YOLO or DOTA, or there is none."""
    if not (words := first_words(path)):
        return path.stem.lower() not in NO_LABELS
    is_dota = words[0].startswith(_DOTA_HEADS) or _is_dota(words)
    return is_dota or (len(words) > 4 and all(map(is_number, words)))
