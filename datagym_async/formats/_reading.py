"""What readers of label files share: texts, images beside labels, numbers, shapes and classes.

A record that cannot be read is a `BrokenError` or an `OSError`, which `Losses.counting` counts with
its file and line.
"""

from __future__ import annotations

import io
import math
import os
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import chain, islice
from json import detect_encoding
from pathlib import Path, PurePosixPath
from typing import Final, Self

import attrs

from datagym_async._extras import extra_module
from datagym_async._files import from_home, regular_only
from datagym_async._json import LARGEST
from datagym_async.formats._classes import composed
from datagym_async.formats._losses import BrokenError, FormatError, Losses, LossKind
from datagym_async.formats._masks import Segment
from datagym_async.formats._raw import Category, Pair, RawDataset, RawImage, RawObject, Ring
from datagym_async.formats._splits import usual_part
from datagym_async.models._names import IMAGE_SUFFIXES

MOST_BYTES: Final = 256 * 2**20
"""Of a label file of one image, or of a list of files: what is larger is none."""
_MOST_TEXT: Final = 16 * 2**20
_MOST_LINES: Final = 100_000
_MOST_WORDS: Final = 100_000
_FIRST_LINES: Final = 20
_NUMBERED: Final = re.compile(r"(\d{1,6})(?:\s*[:=,;]\s*|\s+)([^\d\s].*)", re.ASCII)


@attrs.frozen(kw_only=True)
class Options:
    """The options of a reader besides its path; `formats.read` describes them."""

    classes: tuple[str, ...] = attrs.field(default=(), converter=tuple[str, ...])
    split: str | None = attrs.field(default=None)
    zero_based: bool = False
    images: Path | None = attrs.field(default=None, converter=attrs.converters.optional(from_home))
    in_shares: bool = False
    """Whether images of unknown size are given in shares of it (`RawImage.in_shares`)."""

    @split.validator
    def _check(self, _: object, value: str | None) -> None:
        if value == "":  # a variable that is not set; all parts would be read
            raise FormatError("split is empty; name a part, such as train, or leave it out")


POINTER: Final = b"version https://git-lfs."
IS_POINTER: Final = "a pointer of Git LFS; `git lfs pull` fetches the file itself"


class _PointerError(BrokenError): ...


# --- Texts and numbers ----------------------------------------------------------------------------


def bytes_of(path: Path, most: int = MOST_BYTES) -> bytes:
    """Return the content of a regular file; `BrokenError` if it is larger than this, `OSError`."""
    with open(path, "rb", opener=regular_only) as file:
        if os.fstat(file.fileno()).st_size > most:
            raise BrokenError(f"it is larger than {most >> 20} MB, which no such file is")
        return checked_start(file.read(most))


def checked_start(data: bytes) -> bytes:
    """Return the beginning of a file; `BrokenError` if it stands for a file that is elsewhere."""
    if data.startswith(POINTER):
        raise _PointerError(f"it is {IS_POINTER}")
    return data


def text_of(path: Path, most: int = MOST_BYTES) -> str:
    """Return the text of a file in any encoding of Unicode; errors as for `bytes_of`."""
    data = bytes_of(path, most)
    try:
        return data.decode(detect_encoding(data))
    except UnicodeDecodeError as error:
        raise BrokenError(
            f"it is not UTF-8 text (byte {error.start:,}); save it as UTF-8"
        ) from None


def entries_of(path: Path) -> list[str]:
    """Return the lines of a list, without blanks around them; errors as for `text_of`.

    Only ends of lines separate them: a name may contain other characters at which `str.splitlines`
    splits, as U+2028.
    """
    return [*map(str.strip, io.StringIO(text_of(path), newline=None))]


def names_of(path: Path) -> dict[int, str]:
    """Return the names in a file by the numbers of their lines; errors as for `text_of`.

    Numbers in front of the names (``0: cat``) are no part of them if they are those of their lines,
    and the names differ without them (``0 cent``, ``1 cent``).
    """
    names = {number: name for number, name in enumerate(entries_of(path)) if name}
    parts = {number: _NUMBERED.fullmatch(name) for number, name in names.items()}
    bare = {n: found[2] for n, found in parts.items() if found and int(found[1]) == n}
    return bare if len({*bare.values()}) == len(names) else names


def lines_of(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield the words of each line that has any, with its number from 1; errors as for `text_of`.

    The file is for one image: one with more lines or words than any image has objects and corners
    is reported, and not kept in memory.
    """
    for number, line in enumerate(io.StringIO(text_of(path, _MOST_TEXT), newline=None), 1):
        words = line.split(maxsplit=_MOST_WORDS)
        if number > _MOST_LINES or len(words) > _MOST_WORDS:
            raise BrokenError(f"line {number:,}: more than {_MOST_LINES:,} lines, or words in one")
        if words:
            yield number, words


def number_in(value: object) -> float | None:
    """Return the number of a value (``640``, ``"640.0"``), or None; up to `LARGEST` only."""
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if -LARGEST <= value <= LARGEST else None


def number_of(value: object, what: str = "a coordinate") -> float:
    """Return the number of a value as `number_in`; raise a `BrokenError` if there is none."""
    if (number := number_in(value)) is None:
        raise BrokenError(f"{str(value)[:20]!r} is not a number for {what}")
    return float(number)


def is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def first_words(path: Path) -> list[str]:
    """Return the words of the first line of a file that has any; none if it cannot be read."""
    try:
        return next(lines_of(path), (0, []))[1]
    except _PointerError:
        return [IS_POINTER]
    except (BrokenError, OSError):
        return []


def may_be_labels(path: Path) -> bool:
    """Return whether a file beside labels may be one of them, even one that cannot be read.

    If none of its first lines has three numbers, it is a list or a note.
    """
    if path.stem.lower() in NO_LABELS:
        return False
    has_words = False
    with suppress(BrokenError, OSError):
        for _, words in islice(lines_of(path), _FIRST_LINES):
            has_words = True
            first = " ".join(words[:_FIRST_LINES]).replace(",", " ").split()
            if sum(map(is_number, first)) > 2:
                return True
        return not has_words
    return True


def pixels_of(value: object) -> int | None:
    """Return a width or height: a whole number above 0 (`number_in`), or None."""
    number = number_in(value)
    return int(number) if number and number > 0 and number == int(number) else None


# --- Files ----------------------------------------------------------------------------------------

NO_LABELS: Final = frozenset((
    "classes", "predefined_classes", "names", "labels", "train", "val", "valid", "test", "notes",
    "label_colors", "license", "requirements", "readme", "readme.dataset", "readme.roboflow",
))  # fmt: skip
"""Stems of files that lie beside labels and are none, unless their first line is a label."""


def is_there(path: Path, *, as_file: bool = False) -> bool:
    """Return whether a file or folder named in a label file exists, or only a file.

    `Path.exists` raises for a name that is too long for any file.
    """
    return (os.path.isfile if as_file else os.path.exists)(path)


def relative(image: str | Path | None, root: str | Path) -> str:
    """Return the path of a file below a folder, with slashes; empty if it is none, or elsewhere."""
    path = ""
    with suppress(ValueError):  # on Windows: of another drive
        path = Path(os.path.relpath(image, root)).as_posix() if image else ""  # without any ../
    return "" if path.startswith("../") else path


def files_below(folder: Path, suffixes: Collection[str]) -> list[Path]:
    """Return the files below a folder with one of these suffixes, in order of their names.

    Links are followed, also to folders, each of which is read once; hidden files are left out.
    """
    found: list[str] = []
    seen: set[str] = set()
    for place, folders, files in os.walk(folder, followlinks=True):
        # By its path, since some disks number no files, or anew each time.
        if (own := os.path.realpath(place)) in seen:  # a link back to a folder above
            folders.clear()
            continue
        seen.add(own)
        folders[:] = sorted(each for each in folders if not each.startswith("."))
        found.extend(
            f"{place}{os.sep}{name}"
            for name in files
            if not name.startswith(".") and os.path.splitext(name)[1].lower() in suffixes  # noqa: PTH122
        )
    return [Path(each) for each in sorted(found)]


_MARKS: Final = (" -1", " 0", " 1")
_SUFFIX: Final = re.compile(rf"(?i:{'|'.join(map(re.escape, sorted(IMAGE_SUFFIXES)))})$")


def of_part(files: list[Path], folder: Path, listed: Path | None, options: Options) -> list[Path]:
    """Return the label files of a part: by the list of its images, else by a folder of its name."""
    part = options.split
    if not part:
        return files
    found: list[Path] = []
    with suppress(BrokenError, OSError):
        names = {*map(composed, entries_of(listed))} if listed else set()
        # VOC has lists with a mark behind each name: whether the image shows a class.
        names |= {each.rpartition(" ")[0].strip() for each in names if each.endswith(_MARKS)}
        names |= {_SUFFIX.sub("", each) for each in names}
        stems = ((each, {composed(each.stem), composed(stem_of(each, folder))}) for each in files)
        found = [each for each, own in stems if own & names]
    if not found:
        inner = ((each, Path(os.path.relpath(each, folder)).parts[:-1]) for each in files)
        found = [each for each, way in inner if usual_part(part) in map(usual_part, way)]
    if not found:
        list_of_it = f"{listed}, and for " if listed else ""
        raise FormatError(f"{folder} has no part {part!r}; looked for {list_of_it}a folder {part}")
    return found


_PICTURES: Final = (
    (b"\xff\xd8\xff", "Jpeg"),
    (b"\x89PNG\r\n", "Png"),
    (b"BM", "Bmp"),
    (b"GIF8", "Gif"),
    (b"II*\0", "Tiff"),
    (b"MM\0*", "Tiff"),
    (b"RIFF", "WebP"),
)
_ORIENTATION: Final = 0x0112
ON_ITS_SIDE: Final = 5  # EXIF orientations from here on swap width and height


def upright_size(path: Path) -> tuple[int, int, int]:
    """Return width, height and EXIF orientation of an image from its header.

    Width and height are those of the upright image, as trainers load it: they rotate a JPEG by its
    EXIF orientation (Ultralytics, `exif_size`). Needs Pillow, whose classes are used directly:
    `PIL.Image.open` warns of large images through `warnings`. What is no image is a `BrokenError`
    or an `OSError`.
    """
    with open(path, "rb", opener=regular_only) as file:
        start = checked_start(file.read(len(POINTER)))
        file.seek(0)
        if not (kind := _kind_of(start)):
            raise BrokenError("it is not an image that can be read")
        module = extra_module(f"PIL.{kind}ImagePlugin", FormatError, "formats")
        try:
            with getattr(module, f"{kind}ImageFile")(file) as image:
                width, height = image.size
                turned = image.getexif().get(_ORIENTATION) if kind == "Jpeg" else None
        except Exception as error:  # any error of a hostile file
            raise BrokenError(f"it cannot be read as an image: {error}") from None
    orientation = turned if isinstance(turned, int) and 1 <= turned <= 8 else 1
    across, down = (height, width) if orientation >= ON_ITS_SIDE else (width, height)
    return across, down, orientation


def _kind_of(start: bytes) -> str:
    """Return the kind of an image by its first bytes; empty if it is none."""
    return next((name for magic, name in _PICTURES if start.startswith(magic)), "")


def image_suffix(path: Path) -> str:
    """Return the suffix for the file of an image: its own, else the one for what it contains."""
    if path.suffix.lower() in IMAGE_SUFFIXES:
        return path.suffix
    try:
        with open(path, "rb", opener=regular_only) as file:
            kind = _kind_of(file.read(8)).lower()
    except OSError:
        kind = ""
    return f".{kind}" if kind else ""


def measure(image: RawImage, picture: Path | None, losses: Losses) -> None:
    """Read the size of an image from its file if the labels do not have it; count it if none."""
    if image.width and image.height:
        return
    try:
        if picture is not None:
            image.width, image.height, _ = upright_size(picture)
    except (BrokenError, OSError):
        image.width = image.height = None
    if not image.width or not image.height:
        losses.add(LossKind.SIZE, image.where)


OF_IMAGES: Final = frozenset(("jpegimages", "images", "image", "imgs", "img", "image_2", "data"))
"""What folders of images are usually called."""
_OF_EITHER: Final = OF_IMAGES | {"annotations", "ann", "labels", "label_2"}


@attrs.define
class Pictures:
    """Finds images by the names of their label files, in the usual folders."""

    _folders: Sequence[Path]
    _is_asked_for: bool = False  # whether a caller named the folder
    _known: dict[str, Path] | None = None
    _alone: dict[str, Path] = attrs.field(factory=dict)

    @classmethod
    def of_labels(cls, folder: Path, options: Options, *around: Path) -> Self:
        """Return the requested images; otherwise those beside labels, and in usual folders."""
        if options.images:
            return cls([options.images], is_asked_for=True)
        named = [
            place / name
            for place in around
            for _, names, _ in islice(os.walk(place), 1)
            for name in sorted(names)
            if name.lower() in OF_IMAGES
        ]
        return cls([*named, folder])

    def of(self, stem: str) -> Path | None:
        """Return the image with a name without suffix, folders included; None if there is none.

        Both forms of Unicode, composed or not, are equal; so are folders of images and of labels
        (``train/images/a`` and ``train/labels/a``), if no image has the very name. In a folder that
        a caller named, it may lie in other folders, if only one image has its last part.
        """
        if self._known is None:
            self._known = {}
            for folder in self._folders:
                for path in files_below(folder, IMAGE_SUFFIXES):
                    self._known.setdefault(composed(stem_of(path, folder)), path)
            last = {name: name.rpartition("/")[2] for name in self._known}
            often = Counter(last.values() if self._is_asked_for else ())
            self._alone = {last[it]: self._known[it] for it in last if often[last[it]] == 1}
            for name, path in [*self._known.items()]:
                self._known.setdefault(_without_usual(name), path)
        name = composed(stem)
        found = self._known.get(name) or self._known.get(_without_usual(name))
        return found or self._alone.get(name.rpartition("/")[2])


def _without_usual(name: str) -> str:
    *folders, last = name.split("/")
    return "/".join([*(each for each in folders if each.lower() not in _OF_EITHER), last])


def named_as_found(name: str, stem: str, pictures: Pictures, where: str, losses: Losses) -> str:
    """Return the name of an image: the one in its label file, unless an image has the file's name.

    All tools name a label file like its image. The name inside is often out of date: images were
    renamed, converted, or copied with their labels, and the name inside is that of another image.
    """
    own, said = pictures.of(stem), PurePosixPath(name.replace("\\", "/"))
    if own is None:
        return name
    kinds = {each.suffix.lower() for each in (own, said)} & IMAGE_SUFFIXES
    was_converted = len(kinds) > 1 and str(said) == said.name and not is_there(own.with_name(name))
    if composed(said.stem) in map(composed, (own.stem, own.name)) and not was_converted:
        return name
    losses.add(LossKind.RENAMED, f"{where}: {own.name}, where the file says {name}")
    return own.name


def stem_of(path: Path, folder: Path) -> str:
    """Return the name of a file below a folder, without suffix, with slashes."""
    return path.relative_to(folder).with_suffix("").as_posix()


def below(folder: Path, path: Path, name: str, pictures: Pictures) -> str:
    """Return the image's name from a label file, with the folders of that file.

    Those of the image, if the file is in a folder of labels. A name that already has folders is
    kept unchanged.
    """
    stem, parent = stem_of(path, folder), path.parent.relative_to(folder)
    picture = pictures.of(stem) if _without_usual(stem) != stem else None
    if picture and picture.is_relative_to(folder):
        parent = picture.parent.relative_to(folder)
    return name if "/" in name or "\\" in name else str(PurePosixPath(parent.as_posix(), name))


# --- Shapes: noise at the edges, and outlines of those that the service does not have -------------

# In pixels: an image is the square from (0, 0) to (width, height).

TOLERANCE: Final = 0.01
"""Pixels beyond an edge that are noise of rounding where a file has pixels: two decimals."""


def snapped(value: float, size: float, tolerance: float = TOLERANCE) -> float:
    """Return a coordinate, moved to the edge of its image if it is hardly beyond it."""
    if -tolerance <= value < 0:
        return 0.0
    return float(size) if size < value <= size + tolerance else value


def digits_tolerance(numbers: Iterable[str], size: float) -> float:
    """Return the tolerance in pixels for shares of a width or height that were rounded to digits.

    If a middle and half a width are each rounded to the last digit, an edge is off by up to three
    quarters of that digit. So the tolerance is one unit of the last decimal of any of the numbers
    of an object, from a millionth to a thousandth of the size.
    """
    fractions = (each.lower().partition("e")[0].partition(".")[2] for each in numbers)
    decimals = max(map(len, fractions), default=0)
    return size * 10.0 ** -min(max(decimals, 3), 6)


def turned_box(left: float, top: float, right: float, bottom: float, degrees: float) -> list[Pair]:
    """Return the corners, the upper left one first, of a box rotated clockwise about its middle."""
    middle = ((left + right) / 2, (top + bottom) / 2)
    corners = ((left, top), (right, top), (right, bottom), (left, bottom))
    return [turned(each, middle, degrees) for each in corners] if degrees else list(corners)


def turned(point: Pair, about: Pair, degrees: float) -> Pair:
    """Return a point rotated clockwise (as seen on the screen, y down) about another."""
    sine, cosine = math.sin(math.radians(degrees)), math.cos(math.radians(degrees))
    x, y = point[0] - about[0], point[1] - about[1]
    return about[0] + x * cosine - y * sine, about[1] + x * sine + y * cosine


def ellipse_ring(middle: Pair, across: float, down: float, degrees: float = 0) -> list[Pair]:
    """Return an outline of an ellipse, by half its width and height, off by at most 0.1 pixels."""
    largest = max(across, down)
    # A chord over the angle a is off by r (1 - cos(a / 2)).
    angle = 2 * math.acos(max(1 - 0.1 / largest, 0.5)) if largest else math.pi / 4
    count = min(max(8, math.ceil(math.tau / angle)), 360)
    steps = (math.tau * each / count for each in range(count))
    flat = [(middle[0] + across * math.cos(a), middle[1] + down * math.sin(a)) for a in steps]
    return [turned(each, middle, degrees) for each in flat] if degrees else flat


# --- Classes and images that only the label files have --------------------------------------------


@attrs.define
class ReadClasses:
    """Makes a category of each name, numbered in order of appearance."""

    _found: dict[str, Category] = attrs.field(factory=dict, init=False)

    def of(self, name: object, keypoints: Iterable[str] = ()) -> Category:
        """Return the category of a name, or raise `BrokenError` if it is not a name."""
        name = str(name) if type(name) is int else name
        if not isinstance(name, str) or not (name := name.strip()):
            raise BrokenError("it has no class")
        found = self._found.setdefault(name, Category(len(self._found), name))
        if not found.keypoints and (points := tuple(keypoints)):
            found = self._found[name] = attrs.evolve(found, keypoints=points)
        return found

    def all(self) -> tuple[Category, ...]:
        return tuple(self._found.values())


def gathered(
    where: Path,
    files: Iterable[Path],
    read: Callable[[Path, ReadClasses, Losses], Iterator[RawImage]],
    looked_for: str,
    *,
    file_each: bool = False,
) -> RawDataset:
    """Return a dataset of files that are read once before, for their classes and images.

    `read` yields the images of one of them, with categories of the given classes. If there is no
    image, a `FormatError` says what was looked for. `file_each` says that each image has its own
    file, with its name.
    """

    def every(classes: ReadClasses, losses: Losses) -> Iterator[RawImage]:
        for file in files:
            with losses.counting(file):
                yield from read(file, classes, losses)

    found, names, owned = ReadClasses(), Counter[str](), set[str]()
    losses, outlines = Losses(), False
    for image in every(found, losses):
        names[image.name] += 1
        if file_each and PurePosixPath(image.name).stem == Path(image.where).stem:
            owned.add(image.name)
        outlines = outlines or any(each.parts and each.box is None for each in image.objects)
    if not names:
        lost = f": {losses.report()}" if losses.report() else ""
        raise FormatError(f"{where} holds no images; looked for {looked_for}{lost}")
    doubled = {name for name, times in names.items() if times > 1}

    def images(losses: Losses) -> Iterator[RawImage]:
        each_once = every(ReadClasses(), losses)
        if doubled & owned:
            each_once = _apart(each_once, names, owned, losses)
        return joined(each_once, doubled, losses)

    return RawDataset(where=str(where), categories=found.all(), images=images, outlines=outlines)


def _apart(
    images: Iterator[RawImage], names: Mapping[str, int], owned: Collection[str], losses: Losses
) -> Iterator[RawImage]:
    """Yield images; those that have the name of another one get the name of their own file."""
    for image in images:
        name, stem = PurePosixPath(image.name), Path(image.where).stem
        if image.name in owned and name.stem != stem:
            own = str(name.parent / f"{stem}{name.suffix}")
            if own in names:
                text = f"{image.where}: {own} and {image.name} have files of their own"
                losses.add(LossKind.CLASH, text, count=max(1, len(image.objects)))
                continue
            losses.add(LossKind.RENAMED, f"{image.where}: {own}, as {image.name} has its own file")
            image.name = own
        yield image


def joined(
    images: Iterator[RawImage], doubled: Collection[str], losses: Losses
) -> Iterator[RawImage]:
    """Yield images; those with one name and one size are joined, after all others.

    If the sizes differ, the first remains, and the objects on the others are lost. A repeated
    object counts once.
    """
    held: dict[str, RawImage] = {}
    for image in images:
        if image.name not in doubled:
            yield image
        elif (first := held.setdefault(image.name, image)) is not image:
            sizes = (image.width, image.height), (first.width, first.height)
            if None not in chain(*sizes) and sizes[0] != sizes[1]:
                text = f"{image.where}: another image of the name {image.name} has another size"
                losses.add(LossKind.BROKEN, text, count=max(1, len(image.objects)))
                continue
            losses.add(LossKind.DOUBLED, f"{image.name} ({image.where})")
            known = [_what(each) for each in first.objects]
            first.objects += [each for each in image.objects if _what(each) not in known]
            first.width, first.height = first.width or image.width, first.height or image.height
            first.is_labelled = first.is_labelled or image.is_labelled
    yield from held.values()


def _what(each: RawObject) -> tuple[object, ...]:
    shape = (each.box, each.parts, each.line, each.point, each.keypoints, each.mask)
    return (each.category.names, *shape)


def segments_at(segments: Iterable[Segment], left: float, top: float) -> list[list[Ring]]:
    """Return the outlines and holes of the segments of a mask at this upper left corner."""
    return [
        [[(x + left, y + top) for x, y in ring] for ring in (each.outline, *each.holes)]
        for each in segments
    ]


def answers(where: object, names: Iterable[str], losses: Losses) -> None:
    """Count the answers about an object or image in a file, which no entry takes."""
    for name in dict.fromkeys(names):
        losses.add(LossKind.CLASSIFICATION, f"{where}: {name}")
