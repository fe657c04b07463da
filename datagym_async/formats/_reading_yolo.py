"""Datasets of YOLO in all its kinds, and of DOTA: their classes, their images and label files.

The rules are those of Ultralytics (docs.ultralytics.com/datasets: detect, segment, pose, obb),
with what darknet, CVAT, Label Studio and Roboflow write: a folder of label files and a list of
names.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import chain, islice
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

import attrs

from datagym_async._extras import extra_module
from datagym_async.formats._classes import composed
from datagym_async.formats._losses import BrokenError, FormatError, Losses, LossKind
from datagym_async.formats._raw import Category, RawDataset, RawImage
from datagym_async.formats._reading import (
    Options,
    Pictures,
    entries_of,
    files_below,
    first_words,
    is_number,
    is_there,
    lines_of,
    may_be_labels,
    names_of,
    of_part,
    relative,
    stem_of,
    text_of,
)
from datagym_async.formats._reading_lines import (
    Labelled,
    Yolo,
    dota_marks,
    has_labels,
    is_dota,
    is_yolo,
    read_labels,
    says_something,
)
from datagym_async.formats._splits import PART_NAMES, SPLITS, usual_part
from datagym_async.models._names import IMAGE_SUFFIXES

YoloName: TypeAlias = Literal["yolo", "yolo-seg", "yolo-pose", "yolo-obb", "dota"]
_LISTS: Final = ("names", "labels", "difficult", "map", "tree", "download")
"""What else may be a text file in a data file, those of darknet included."""
_NAMES_FILES: Final = ("classes.txt", "obj.names", "classes.names", "_darknet.labels", "names.txt")
"""What lists of classes are called, in any case."""
_LIKE_NAMES: Final = re.compile(
    r"(class(es)?|labels?)[ _-]?(names?|map)?|class[ _-]?list|obj(ect)?s?[ _-]?names?|names?",
    re.IGNORECASE,
)
"""Stems of those that are read if there is none of the others, and their first line is no label."""
_NAMES_SUFFIXES: Final = frozenset((".txt", ".names", ".labels"))
_IMAGES: Final = {"images": "labels", "JPEGImages": "labels", "Images": "Labels"}
"""Folders of images, and those of labels beside them; the second is darknet's."""
_WRITTEN_IMAGES: Final = re.compile(r"(?<![^/])(images_*)_(?=/)")
"""A folder ``images`` in the name of a media, as we write it."""
_DOTA: Final = "labelTxt"
"""Folder of turned boxes as DOTA and YOLOv5-OBB have them: in pixels, with the name of a class."""
_FIRST: Final = 20  # label files that show the kind of a dataset
_MOST_YAML: Final = 4 * 2**20  # bytes: PyYAML takes seconds for one million
_DEEPEST: Final = 8  # folders of a path that leads elsewhere


def open_yolo(path: Path, options: Options) -> RawDataset:
    """Open a data.yaml, a darknet data file, or a folder; errors as `formats.read` says."""
    data = yolo_file(path) if path.is_dir() else path
    if data is None:
        found, problems = _named_apart(_in_folder(path, options.images), path), list[str]()
        labels = [each.labels for each in found]
        kept = {*of_part(labels, path, None, options)}
        found = [each for each in found if each.labels in kept]
        yolo = Yolo(_listed(path, options.classes, found))
        looked_for = "images, and a .txt of labels for each"
    else:
        try:
            content = _content_of(data)
        except BrokenError as error:
            raise FormatError(f"{data} cannot be read as yolo: {error}") from None
        yolo, looked_for = _yolo_of(data, content, options.classes), "images"
        found, problems = _in_dataset(data, content, options.split)
        if options.images:
            pictures = Pictures.of_labels(path, options)
            found = [_elsewhere(each, pictures) for each in found]
    if not found:
        why = f"; {'; '.join(problems)}" if problems else ""
        raise FormatError(f"{data or path} leads to no images; looked for {looked_for}{why}")
    if not any(is_there(each.labels) for each in found):
        where = f"none of its {len(found):,} images; looked for {found[0].labels}"
        raise FormatError(f"{data or path} leads to labels of {where}")
    if not problems and not any(map(says_something, found)):
        raise FormatError(f"{path} holds empty files of labels, and none of their images")
    lines = [*_first_lines(found)]
    if is_tracked := not yolo.pose and _is_tracked(lines):
        yolo = attrs.evolve(yolo, is_tracked=True)
    if not yolo.pose and (count := _marked_keypoints(lines)):
        points = _point_names((), count)
        named = {n: attrs.evolve(each, keypoints=points) for n, each in yolo.categories.items()}
        yolo = Yolo(named, count)

    def images(losses: Losses) -> Iterator[RawImage]:
        for problem in problems:
            losses.add(LossKind.BROKEN, f"{data}: {problem}")
        for number, category in yolo.categories.items():
            if (last := once[category.name].id) != number:
                losses.add(LossKind.DOUBLED_CLASS, f"{category.name} is {number} and {last}")
        for each in found:
            named = attrs.evolve(each, name=_WRITTEN_IMAGES.sub(r"\1", each.name))
            yield from read_labels(named, yolo, options.in_shares, losses)

    once = {each.name: each for each in yolo.categories.values()}  # two of one name are one
    return RawDataset(
        where=str(path),
        categories=tuple(once.values()),
        images=images,
        outlines=not (yolo.pose or is_tracked) and any(len(words) > 6 for words in lines),
    )


def yolo_kind(path: Path) -> YoloName:
    """Return the kind of YOLO of a file or folder, by its first label files."""
    data = yolo_file(path) if path.is_dir() else path
    try:
        content = _content_of(data) if data else {}
        if content.get("kpt_shape"):
            return "yolo-pose"
        found = _in_dataset(data, content, None)[0] if data else _in_folder(path, None)
    except (BrokenError, FormatError):
        return "yolo"
    lines = [*_first_lines(found)]
    if any(map(is_dota, lines)):
        return "yolo-obb" if data else "dota"
    if _marked_keypoints(lines):
        return "yolo-pose"
    columns = set() if _is_tracked(lines) else {len(each) for each in lines if len(each) > 6}
    return "yolo-obb" if columns and columns <= {9, 10} else "yolo-seg" if columns else "yolo"


def _first_lines(found: Sequence[Labelled]) -> Iterator[list[str]]:
    """Yield the words of the lines of the first label files that are not empty."""
    for each in islice(filter(has_labels, found), _FIRST):
        with suppress(BrokenError, OSError):
            yield from (words for _, words in lines_of(each.labels))


def _is_tracked(lines: Sequence[Sequence[str]]) -> bool:
    """Return whether each line has a box, its score and the number of its track, as Ultralytics."""
    # Corners of an outline are no whole numbers, except 0 and 1 at the edges.
    is_sure = any(int(each[-1]) > 1 for each in lines if each[-1].isdigit())
    is_sure = is_sure or all("." in word for each in lines for word in each[1:-1])
    return is_sure and all(len(each) == 7 and each[-1].isdigit() for each in lines) and bool(lines)


def _marked_keypoints(lines: Iterable[Sequence[str]]) -> int:
    """Return the number of keypoints in lines by their visibility, if no file has `kpt_shape`.

    Each third number after a box is 0, 1 or 2. Corners of an outline are 0 or 1 only at the edges,
    and never 2.
    """
    columns, marks = set[int](), set[float]()
    for words in lines:
        if len(words) > 6 and all(map(is_number, words)):
            columns.add(len(words))
            marks.update(map(float, words[7::3]))
    count, rest = divmod(min(columns, default=0) - 5, 3)
    has_marks = marks <= {0, 1, 2} and (2 in marks or count > 3)
    return count if len(columns) == 1 and not rest and has_marks else 0


def _point_names(known: Sequence[str], count: int) -> list[str]:
    return [*known, *(f"keypoint_{each + 1}" for each in range(len(known), count))]


def _in_dataset(
    data: Path, content: Mapping[str, Any], split: str | None
) -> tuple[list[Labelled], list[str]]:
    """Return the images of a dataset, and missing files.

    If the parts of the data file lead to no labels, the folders beside it are read: labels are
    often moved, lists of darknet left behind, and Roboflow has had a folder ``export`` for all.
    """
    home = data.parent
    found, problems = _in_parts(data, content, split, home)
    if any(is_there(each.labels) for each in found):
        return found, problems
    with suppress(FormatError):  # a folder beside the file, in which Ultralytics keeps datasets
        others, missing = _in_parts(data, content, split, home / "datasets")
        if any(is_there(each.labels) for each in others):
            return others, missing
    is_whole = data.suffix == ".data" or _has_both(home)
    homes = [home] if is_whole else filter(_has_both, sorted(home.glob("[!.]*")))
    inside = _named_apart([one for each in homes for one in _in_folder(each, None)], home)
    if split or not any(is_there(each.labels) for each in inside):
        return found, problems
    return inside, problems or [f"it leads to labels of none of its {len(found):,} images"]


def _in_parts(
    data: Path, content: Mapping[str, Any], split: str | None, root: Path
) -> tuple[list[Labelled], list[str]]:
    """Return the images of the parts of a dataset below a folder, and missing files."""
    given = content.get("path")
    # A path is relative to the file, or to the folder above, as YOLOv5 has its files in data/.
    below = _tried([root, root.parent], given, 1) if isinstance(given, str) else []
    roots = [*islice(filter(os.path.isdir, below), 1), root]
    parts = _all_parts(content, roots)
    wanted = [usual_part(split)] if split else [*parts]
    if not wanted or not parts.get(wanted[0]):
        known = ", ".join(each for each in content if each not in ("names", "nc", "path"))
        text = f"{data} names no images under {split or 'train, val or test'}"
        raise FormatError(f"{text}; it has {known or 'nothing'}")
    found, problems = list[Labelled](), list[str]()
    for part in wanted:
        for value in parts[part]:
            if not isinstance(value, str):  # aliases of YAML can make it arbitrarily long
                problems.append(f"{part}: a list in the list is not a path")
                continue
            place = _place(roots, value)
            if place is None:
                tried = " and ".join(dict.fromkeys(str(each / value) for each in roots))
                problems.append(f"{part}: {value} is not there (looked for {tried})")
            elif place.suffix.lower() in IMAGE_SUFFIXES:
                name = _behind_images(value)
                found.append(Labelled(name, place, _labels_of(place).with_suffix(".txt")))
            elif place.is_file():
                found += _in_list(place, roots)
            else:
                found += _in_folder(place, None)
    return _named_apart(found, roots[-1]), problems


def _named_parts(content: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Return what a data file names for each part, in any spelling, and the lists of CVAT."""
    parts = dict[str, list[Any]]()
    for key, value in content.items():
        is_list = key not in _LISTS and isinstance(value, str) and value.endswith(".txt")
        if value and (key.lower() in PART_NAMES or is_list):
            every = value if isinstance(value, list) else [value]
            parts.setdefault(usual_part(key), []).extend(every)
    return {each: parts[each] for each in sorted(parts, key=(*SPLITS, *parts).index)}


def _all_parts(content: Mapping[str, Any], roots: Sequence[Path]) -> dict[str, list[Any]]:
    """Return the parts of a data file, with folders of parts that it does not name.

    Older exports of Roboflow have a folder ``test`` beside ``train``, which their file leaves out.
    A file of names without any part is for the folder that it lies in.
    """
    parts = _named_parts(content)
    places = [
        _place(roots, it) for values in parts.values() for it in values if isinstance(it, str)
    ]
    seen = {each.resolve() for each in places if each}
    for place in filter(None, places):
        lists = [(name, place.with_stem(name)) for name in PART_NAMES if place.stem in PART_NAMES]
        tried = [each for each in lists if each[1].is_file()]
        at = max((n for n, each in enumerate(place.parts) if each in PART_NAMES), default=0)
        # A part is only what the dataset calls one.
        if any(place.is_relative_to(root) and at >= len(root.parts) for root in roots):
            before, after = place.parts[:at], place.parts[at + 1 :]
            folders = ((name, Path(*before, name, *after)) for name in PART_NAMES)
            tried += (each for each in folders if each[1].is_dir())
        for name, beside in tried:
            if beside.resolve() not in seen and _has_labels(beside, roots):
                seen.add(beside.resolve())
                parts.setdefault(usual_part(name), []).append(str(beside))
    return parts or ({SPLITS[0]: ["."]} if content.get("names") else {})


def _has_labels(place: Path, roots: Sequence[Path]) -> bool:
    found = _in_list(place, roots) if place.is_file() else _in_folder(place, None)
    return any(is_there(each.labels) for each in found)


def _elsewhere(each: Labelled, pictures: Pictures) -> Labelled:
    """Return an image with its file, looked for among others if it is not in its place."""
    parts = each.labels.with_suffix("").parts[-_DEEPEST:] if each.image is None else ()
    tried = ("/".join(parts[at:]) for at in range(len(parts)))
    image = next(filter(None, map(pictures.of, tried)), None)
    if image is None:
        return each
    is_whole = Path(each.name).suffix.lower() in IMAGE_SUFFIXES
    name = each.name if is_whole else f"{each.name}{image.suffix}"
    return attrs.evolve(each, image=image, name=name)


def yolo_file(folder: Path, *, is_inner: bool = False) -> Path | None:
    """Return the file in a folder that describes the dataset: data.yaml, or the only other one.

    Or that in the only folder there, as archives have it, if there is nothing else of a dataset.
    """
    with os.scandir(folder) as entries:  # its entries know what is a folder; it may have many
        there = sorted(entries, key=lambda each: each.name)
    inside = [Path(each) for each in there if each.name.lower().endswith((".yaml", ".yml"))]
    inside.sort(key=lambda each: each.stem != "data")
    found: dict[tuple[str, str], Path] = {}
    of_darknet = [Path(each) for each in there if each.name.endswith(".data")]
    only = [each for each in of_darknet if len(of_darknet) == 1 and each.stem != "obj"]
    for each in (*inside, folder / "obj.data", folder / "data" / "obj.data", *only):
        try:
            content = _content_of(each) if each.is_file() else {}
        except (BrokenError, OSError):  # its error says more than that there is none
            content = dict.fromkeys(("nc", "train"), "?" if each.stem == "data" else "")
        part = next(iter(_named_parts(content).values()), [""])[0]
        is_empty = each in only and _place([folder], str(part)) is None  # as templates are
        is_of_model = not (content.get("names") or (content.get("nc") and part))
        if not is_of_model and not is_empty:
            found.setdefault((str(content.get("path", "")), str(part)), each)
    sets = [each for (_, part), each in found.items() if part and each.suffix != ".data"]
    if len(sets) > 1 and sets[0].stem != "data":
        raise FormatError(f"{folder} has several datasets: {sets[0]} and {sets[1]}; name one")
    inner = [
        Path(each)
        for each in there
        if not each.name.startswith((".", "_"))
        and (each.is_dir(follow_symlinks=False) or (each.is_symlink() and Path(each).is_dir()))
    ]
    images = tuple(IMAGE_SUFFIXES)
    names = [each.name.lower() for each in there]
    has_own = any(each.endswith(images) or each in _NAMES_FILES for each in names)
    if len(inner) == 1 and not (found or is_inner or has_own):
        return yolo_file(inner[0], is_inner=True)
    return next(iter(sets or found.values()), None)


def _content_of(path: Path) -> Mapping[str, Any]:
    content = _data_file(path) if path.suffix == ".data" else _yaml(path)
    names = content.get("names")
    if isinstance(names, str):  # a file that lists them
        listed = [each for each in _tried([path.parent], names) if is_there(each, as_file=True)]
        content = {**content, "names": names_of(listed[0])} if listed else content
    return content


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
    parts = (line.partition("=") for line in entries_of(path))
    return {key.strip(): value.strip() for key, sign, value in parts if sign}


def _tried(roots: Sequence[Path], value: str, least: int = 2) -> list[Path]:
    """Return the possible places of a path: below the roots, as in Ultralytics and darknet.

    Of a path of another machine (``/content/set/train/images``) the last parts are tried, at least
    two, unless it is only the name of a part or of a list.
    """
    value = value.replace("\\", "/")
    values, parts = [value], value.split("/")
    if parts[0] in ("..", "data"):  # of Roboflow, which Ultralytics corrects, and of CVAT
        values.append(value.partition("/")[2])
    least = 1 if parts[-1] in PART_NAMES or Path(value).suffix in _NAMES_SUFFIXES else least
    last = range(max(1, len(parts) - _DEEPEST), len(parts) + 1 - least)
    values += ("/".join(parts[at:]) for at in last)
    return [root / each for each in values for root in roots] if value else []


def _place(roots: Sequence[Path], value: str) -> Path | None:
    """Return the place of a path; without a folder of images, one of labels is enough."""
    tried = _tried(roots, value)
    labelled = (each for each in tried if is_there(_labels_of(each)))
    return next(chain(filter(is_there, tried), labelled), None)


def classes_of_yaml(path: Path) -> Mapping[int, Category]:
    """Return the classes of a data.yaml by their numbers; `FormatError` if it lists none."""
    return _yolo_of(path, _content_of(path), ()).categories


def _yolo_of(path: Path, content: Mapping[str, Any], classes: Sequence[str]) -> Yolo:
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
    named = content.get("kpt_names")
    categories = {}
    for number, name in by_number.items():
        # Names of keypoints: a list for all classes, or a list for each by its number.
        own = named.get(str(number), ()) if isinstance(named, dict) else named
        points = [each for each in own if isinstance(each, str)] if isinstance(own, list) else []
        points = _point_names(points, count)[:count]
        categories[number] = Category(number, name.strip(), keypoints=points)
    return Yolo(categories, count, dimensions)


def _listed(
    folder: Path, classes: Sequence[str], found: Sequence[Labelled]
) -> Mapping[int, Category]:
    """Return the classes of a folder: as given, else of files of names; then those of DOTA."""
    names = dict(enumerate(classes))
    # Those beside labels (LabelImg) are of parts of the dataset, which all have the same classes.
    texts = files_below(folder, _NAMES_SUFFIXES)
    others = [each for each in texts if each.suffix == ".names"]  # of darknet, by any name
    files = [each for each in texts if each.name.lower() in _NAMES_FILES]
    files = files or (others if len(others) == 1 else [])
    more = (each for each in texts if _LIKE_NAMES.fullmatch(each.stem))
    more = (each for each in more if not is_yolo(each))  # the one of CVAT's masks has a comment
    files = files or [each for each in more if first_words(each)[:1] not in ([], ["#"])]
    beside = (outer / name for outer in folder.parents[:2] for name in _NAMES_FILES)
    for file in () if classes else files or [*filter(Path.is_file, beside)][:1]:
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
    in_lines = (name for name in _named_in_lines(found) if name not in names.values())
    names |= dict(enumerate([*in_lines], max(names, default=-1) + 1))
    if not names:
        below = islice(files_below(folder, {".yaml", ".yml"}), _FIRST)
        above = (each for outer in folder.parents[:2] for each in sorted(outer.glob("*.y*ml")))
        far = (each for each in (*below, *above) if each.parent != folder and _has_names(each))
        raise FormatError(
            f"{folder} does not list its classes: it has no data.yaml with names, and none of "
            f"{', '.join(_NAMES_FILES)}, labels.txt and the like; name them with classes=..."
            + "".join(f", or give {each} in place of the folder" for each in islice(far, 1))
        )
    return {number: Category(number, name) for number, name in names.items()}


def _has_names(file: Path) -> bool:
    with suppress(BrokenError, OSError):
        return bool(_content_of(file).get("names"))
    return False


def _named_in_lines(found: Sequence[Labelled]) -> Collection[str]:
    """Return the classes that lines of DOTA name; none if any line may be one of YOLO."""
    names: dict[str, None] = {}
    for each in found:
        with suppress(BrokenError, OSError):
            for _, words in lines_of(each.labels):
                if is_dota(words):
                    names[dota_marks(words)[0]] = None
                elif all(map(is_number, words)):
                    return ()
    return names


# --- YOLO: which images there are, and where their labels ----------------------------------------


def _labels_of(path: Path) -> Path:
    """Return a path whose last ``images`` is ``labels``, as Ultralytics and darknet find labels."""
    return next(
        (found for each in _IMAGES.items() if (found := _swapped(path, *each)) != path), path
    )


def _swapped(path: Path, one: str, other: str) -> Path:
    *before, after = f"{path}{os.sep}".rsplit(f"{os.sep}{one}{os.sep}", 1)
    return Path(f"{before[0]}{os.sep}{other}{os.sep}{after}") if before else path


def _has_both(folder: Path) -> bool:
    return (folder / "images").is_dir() and (folder / "labels").is_dir()


def _in_folder(folder: Path, images: Path | None) -> list[Labelled]:
    """Return the images below a folder, and the label files that have none."""
    if images is None and _has_both(folder):
        parts = folder / "images", *filter(_has_both, sorted(folder.glob("[!.]*")))
        return [each for part in parts for each in _in_folder(part, None)]
    if images is None:  # the same folder, unless it is one of labels
        beside = (_swapped(folder, labels, images) for images, labels in _IMAGES.items())
        folder = next((each for each in beside if each != folder and each.is_dir()), folder)
    root = folder / "labels" if images and (folder / "labels").is_dir() else _labels_of(folder)
    within = (folder / each for each in (_DOTA, *_IMAGES.values()))
    tried = dict.fromkeys((*within, root, folder, root.with_name(_DOTA)))  # names are below these
    places = [each for each in tried if each.is_dir()]
    texts = {file: place for place in reversed(places) for file in files_below(place, {".txt"})}
    by_name = {composed(str(file)): file for file in texts}
    found: list[Labelled] = []
    for image in files_below(images or folder, IMAGE_SUFFIXES):
        own = root / image.relative_to(images) if images else _labels_of(image)
        own = own.with_suffix(".txt")
        name = image.relative_to(images or folder).as_posix()
        labels = by_name.get(composed(str(own)), own)
        found.append(Labelled(_behind_images(name), image, labels))
    claimed = {each.labels for each in found}
    orphans = [
        Labelled(stem_of(file, place), None, file)
        for file, place in texts.items()
        if file not in claimed and (may_be_labels(file) or is_yolo(file))
    ]
    # Labels in another folder belong to the image with their name, if only one has none yet.
    bare = Counter(each.labels.stem for each in found if each.labels not in texts)
    free = Counter(each.labels.stem for each in orphans)
    meant = {stem for stem in bare if bare[stem] == free[stem] == 1}
    by_stem = {each.labels.stem: each.labels for each in orphans}
    for at, each in enumerate(found):
        if each.labels not in texts and (stem := each.labels.stem) in meant:
            found[at] = attrs.evolve(each, labels=by_stem[stem])
    return found + [each for each in orphans if each.labels.stem not in meant]


def _behind_images(name: str) -> str:
    """Return the part of a path after the last folder ``images``."""
    return f"/{name}".rpartition("/images/")[2].removeprefix("/")


def _in_list(path: Path, roots: Sequence[Path]) -> Iterator[Labelled]:
    """Yield the images of a list, a path a line: below folders of the dataset, or beside it."""
    try:
        lines = entries_of(path)
    except BrokenError as error:
        raise FormatError(f"{path} cannot be read as a list of images: {error}") from None
    folders: dict[str, list[Path]] = {}  # a list has many images of few folders
    for line in lines:
        value = line.replace("\\", "/").removeprefix("./")
        last = value.rpartition("/")[2]
        before = value.removesuffix(last)
        if last in {"", ".", ".."}:  # an empty line, or a folder
            continue
        if before not in folders:
            tried = _tried([path.parent, *roots, path.parent.parent], value)
            every = [*dict.fromkeys(each.parent for each in tried), path.parent]
            pairs = ((each, _labels_of(each / last).parent) for each in every)
            folders[before] = [pair[0] for pair in pairs if any(map(os.path.isdir, pair))]
        tried = [each / last for each in folders[before]]
        image = next((each for each in tried if is_there(each, as_file=True)), None)
        both = (way for each in ([image] if image else tried) for way in (_labels_of(each), each))
        files = [each.with_suffix(".txt") for each in both]
        labels = next((each for each in files if is_there(each, as_file=True)), files[0])
        behind = _behind_images(value)
        name = behind if behind != value else relative(image, roots[-1]) or value
        yield Labelled(name, image, labels)


def _named_apart(found: list[Labelled], root: Path) -> list[Labelled]:
    """Return each image once; those with one name in several parts are named by their path.

    That is the path below the root, or below the folder of them all if any lies elsewhere.
    """
    ways = [os.path.abspath(each.image or each.labels) for each in found]  # noqa: PTH100 -- without any ../
    once = dict(zip(reversed(ways), reversed(found), strict=True))
    names = Counter(each.name for each in once.values())
    whole: str | Path = root
    same = [way for way, each in once.items() if names[each.name] > 1]
    if not all(relative(way, root) for way in same):
        with suppress(ValueError):
            whole = os.path.commonpath(same)
    for way in same:
        name = relative(way.removesuffix(".txt"), whole) or once[way].name
        once[way] = attrs.evolve(once[way], name=name)
    return [*reversed(once.values())]
