"""The table of formats, their detection, and reading any of them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from functools import cache, partial
from itertools import chain, islice
from json import detect_encoding
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

import attrs

from datagym_async._checks import checked
from datagym_async._files import NotRegularError, from_home, regular_only
from datagym_async.formats._labelled import images_of
from datagym_async.formats._losses import Conversion, FormatError, Losses, LossKind
from datagym_async.formats._mapping import LabelMapping, config_of
from datagym_async.formats._raw import Category, RawDataset, RawImage
from datagym_async.formats._reading import (
    IS_POINTER,
    POINTER,
    Options,
    files_below,
    first_words,
    may_be_labels,
)
from datagym_async.formats._reading_json import open_labelbox, open_labelme
from datagym_async.formats._reading_lines import is_kitti, is_yolo, open_kitti
from datagym_async.formats._reading_xml import open_cvat, open_voc
from datagym_async.formats._reading_yolo import YoloName, open_yolo, yolo_file, yolo_kind
from datagym_async.formats._splits import usual_part
from datagym_async.formats.coco._reading import open_dataset as open_files_of_coco
from datagym_async.labels import LabelConfig

FormatName: TypeAlias = Literal[YoloName, "coco", "voc", "cvat", "kitti", "labelme", "labelbox"]
"""What a format is called that can be read."""


@attrs.frozen(kw_only=True)
class FormatInfo:
    """A format that can be read.

    Args:
        name: What it is called.
        path: What its reader is given: which file or folder.
        open: Opens it.
    """

    name: FormatName
    path: str
    open: Callable[[Path, Options], RawDataset] = attrs.field(repr=False)


def _open_coco(path: Path, options: Options) -> RawDataset:
    """Open a file of COCO, or all those in a folder together, of a part those that name it."""
    listed = options.images
    files = [path]
    if options.split and path.is_file():
        raise FormatError(f"{path} is one file, which has no parts; leave out split")
    if path.is_dir():
        found = [each for each in files_below(path, {".json"}) if _of_file(each) == "coco"]
        part, names = options.split or "", [each.relative_to(path).as_posix() for each in found]
        words = [map(usual_part, re.findall("[A-Za-z]+", name)) for name in names]
        named = [file for file, own in zip(found, words, strict=True) if usual_part(part) in own]
        files = named or [each for each, name in zip(found, names, strict=True) if part in name]
        if not files:
            text = f"{path} holds no images; looked for .json files of COCO"
            raise FormatError(f"{text} with {part!r} in their names" if part else text)
    if listed and (listed.is_dir() or not any(head_of(each)[1][:1] == "[" for each in files)):
        listed = None  # none of them is a list of results
    return open_files_of_coco(*files, images=listed, folder=path if path.is_dir() else None)


_COCO: Final = "the .json of annotations or of results, or a folder of such files"
_YOLO: Final = "data.yaml, obj.data, or the folder of images and labels"
FORMATS: Final = (
    FormatInfo(name="yolo", path=_YOLO, open=open_yolo),
    FormatInfo(name="yolo-seg", path=_YOLO, open=open_yolo),
    FormatInfo(name="yolo-pose", path=_YOLO, open=open_yolo),
    FormatInfo(name="yolo-obb", path=_YOLO, open=open_yolo),
    FormatInfo(name="dota", path="the folder of images and labelTxt", open=open_yolo),
    FormatInfo(name="coco", path=_COCO, open=_open_coco),
    FormatInfo(name="voc", path="the folder of Annotations, or one .xml", open=open_voc),
    FormatInfo(name="cvat", path="annotations.xml, or its folder", open=open_cvat),
    FormatInfo(name="kitti", path="the folder of label files, or of label_2", open=open_kitti),
    FormatInfo(name="labelme", path="the folder of .json files, or one", open=open_labelme),
    FormatInfo(name="labelbox", path="the file of lines, or of a list", open=open_labelbox),
)
"""All formats that are read."""


def format_info(name: str) -> FormatInfo:
    """Return the row of a format, or raise `FormatError` where there is none."""
    found = next((each for each in FORMATS if each.name == name), None)
    if found is None:
        known = ", ".join(each.name for each in FORMATS)
        raise FormatError(f"There is no format {name!r} to read; use one of {known}")
    return found


# --- Detection ------------------------------------------------------------------------------------

_HEAD: Final = 64 * 1024
_ARCHIVES: Final = (b"PK\x03\x04", b"\x1f\x8b", b"7z\xbc\xaf", b"Rar!")
_FOREIGN: Final = 20  # files of a folder that may show their tool
_MOST_TEXTS: Final = 1000  # lists and notes that may lie before labels
_TRIED: Final = 5  # files of a suffix, before others in a folder are taken for something else
_COMMENT: Final = re.compile(r"<!--.*?(?:-->|\Z)", re.DOTALL)
_ROOT: Final = re.compile(r"<\s*([A-Za-z_][\w.:-]*)")
_ROOTS: Final[dict[str, FormatName]] = {"annotation": "voc", "annotations": "cvat"}
_MEMBER: Final = re.compile(r'"(\w+)"\s*:')
_RESULTS: Final = ("image_id", "category_id")  # members of a list of results of COCO
_MEMBERS: Final[dict[str, FormatName]] = {
    "shapes": "labelme",
    "imagePath": "labelme",
    "imageData": "labelme",
    "data_row": "labelbox",
    **dict.fromkeys(("images", "annotations", "categories", *_RESULTS), "coco"),
}
_MARKERS: Final[dict[str, FormatName]] = {
    **dict.fromkeys(("label_2", "training/label_2"), "kitti"),
    "annotations.xml": "cvat",
}
LINES: Final = frozenset({".jsonl", ".ndjson"})
_IS_NOT_COCO: Final = re.compile(
    r'"(?:annotations|categories|image)"\s*:\s*\{|"(?:(?:schema_|source-)ref|label_classes)"\s*:'
)
_NOT_READ: Final = {
    "Label Studio": r'"(?:from_name|lead_time|original_width)"\s*:',
    "VGG Image Annotator": r'"(?:_via_\w+|shape_attributes|file_attributes)"\s*:|"__VIA_',
    "Supervisely": r'"classTitle"\s*:',
    "VoTT": r'"(?:securityToken|lastVisitedAssetId)"\s*:|"asset"\s*:\s*\{\s*"format"',
    "Datumaro": r'"dm_format_version"\s*:|"categories"\s*:\s*\{',
    "CVAT's own JSON": r'"(?:z_order|data_meta)"\s*:',
    "Dataloop": r'"(?:itemMetadata|itemId|annotationsCount)"\s*:',  # has "coordinates", too
    "Create ML": r'"coordinates"\s*:\s*\{',
    "Labelbox before 2023": r'"Labeled Data"\s*:',
    "BDD100K": r'"(?:box2d|poly2d)"\s*:',
    "Cityscapes": r'"imgHeight"\s*:',
    "V7 (Darwin)": r'"schema_ref"\s*:',
    "SageMaker": r'"source-ref"\s*:',
    "FiftyOne": r'"_cls"\s*:',
    "dlib": "<image file=",
    "ISAT": r'"description"\s*:\s*"ISAT"',
    "KITTI's tracklets": "<boost_serialization",
    "PaliGemma": r'"suffix"\s*:\s*"[^"]*<loc\d',
    "Hugging Face (metadata)": r'"file_name"\s*:[^{}]*"objects"\s*:\s*\{',
    "KITTI's tracking": r"\A\d+ -?\d+ [A-Z]\w+ (?:-?[\d.]+ ){13}",
    "MOT or VisDrone": r"\A\d+,-?\d+(?:,-?[\d.]+){4,8},?\s",
    "Segment Anything": r'"(?:stability_score|predicted_iou)"\s*:',
    "nuImages": r'"category_token"\s*:',
    "SuperAnnotate": r'"className"\s*:',
    "Ultralytics' platform": r'"type"\s*:\s*"dataset"',
    "OIDv4 ToolKit": r"\A[A-Z][A-Za-z ]*(?: \d+\.\d+){4}\s",
    "Hasty": r'\A\{[^{\[]*"label_classes"\s*:',  # lists of the service have them, too
    "OpenPose": r'"pose_keypoints_2d"\s*:',
    "CrowdHuman": r'"gtboxes"\s*:',
    "PaddleOCR": r'"transcription"\s*:',
    "Kili": r'"jsonResponse"\s*:',
    "Encord": r'"label_hash"\s*:',
    "WIDER FACE": r"\A\S+\.jpg\s+\d+\s+(?:\d+ ){9}\d",
    "YOLO for Keras": r"\A\S.*\.(?:jpe?g|png) \d+,\d+,\d+,\d+,\d+",
}
"""Whose own files are not read, and what stands in these alone."""
_NEVER_READ: Final = {
    ".csv": "a table (CSV)",
    ".tsv": "a table (TSV)",
    ".tfrecord": "a TFRecord of TensorFlow",
    ".record": "a TFRecord of TensorFlow",
    ".parquet": "a table (Parquet)",
    ".odgt": "a file of CrowdHuman",
    ".mat": "a file of MATLAB",
}
"""What files are whose suffix tells it."""
_LOOKED_FOR: Final = (
    "data.yaml or obj.data (yolo), label_2 (kitti), annotations.xml (cvat), "
    "and .xml, .json and .txt files that voc, cvat, labelme, yolo, dota or kitti have"
)


@checked
def sniff(path: str | Path) -> FormatName:
    """Return the format of a file or folder, detected by its content.

    Raises:
        FormatError: It has no known format, or several; the text says what was looked for and what
            was found.
        OSError: It cannot be read.
    """
    place = from_home(path).absolute()
    found = _of_folder(place) if place.is_dir() else _of_file(place)
    if found is None:
        if not place.stat().st_size:
            raise FormatError(f"{path} is empty")
        raise FormatError(
            not_read(place)
            or f"{path} has no known format; use format=...: "
            f"{', '.join(each.name for each in FORMATS)}"
        )
    return found


_READ: Final = tuple(
    f"labels.{name}" for name in ("json", "jsonl", "coco.json", *(each.name for each in FORMATS))
)
MANIFEST: Final = "manifest.jsonl"  # in the folder of a download: a line a media


def is_download(folder: Path) -> bool:
    """Return whether a download has written into a folder."""
    return (folder / MANIFEST).is_file() and (folder / ".datagym").is_dir()


def labels_of_download(folder: Path) -> Path:
    """Return the labels that the last download wrote into a folder; else the folder itself."""
    if not is_download(folder):
        return folder
    found = [path for name in _READ if (path := folder / name).exists()]
    return max(found, key=lambda path: path.stat().st_mtime_ns, default=folder)


def not_read(path: Path) -> str:
    """Return what to do with a file of a tool that is not supported; empty for other files."""
    what = _NEVER_READ.get(path.suffix.lower(), "")
    if not what:
        _, head = head_of(path)
        if head.startswith(POINTER.decode()):
            return f"{path} is {IS_POINTER}"
        tools = (f"a file of {tool}" for tool, mark in _NOT_READ.items() if re.search(mark, head))
        what = next(tools, "")
    return what and (
        f"{path} is {what}, which is not supported; export or convert its labels to COCO, YOLO, "
        "Pascal VOC or CVAT"
    )


def head_of(path: Path) -> tuple[bytes, str]:
    """Return the beginning of a file, and its text in any encoding of Unicode."""
    with open(path, "rb", opener=regular_only) as file:
        head = file.read(_HEAD)
    return head, head.decode(detect_encoding(head), "replace").lstrip()


def _of_file(path: Path) -> FormatName | None:
    if path.suffix.lower() in (".yaml", ".yml", ".data"):
        return yolo_kind(path)
    head, text = head_of(path)
    if head.startswith(_ARCHIVES) or head[257:262] == b"ustar":
        raise FormatError(f"{path} is an archive; unpack it and use the folder or file in it")
    if text.startswith("<"):
        root = _ROOT.search(_COMMENT.sub("", text))
        return _ROOTS.get(root[1]) if root else None
    if not text.startswith(("{", "[")):
        return None
    of_lists = {each: _MEMBERS[each] for each in (*_RESULTS, "data_row")}
    known = _MEMBERS if text.startswith("{") else of_lists
    members = [each[1] for each in _MEMBER.finditer(text) if each[1] in known]
    if "data_row" in members:  # whose annotations may stand before it
        return "labelbox"
    if not members or path.suffix.lower() in LINES or _IS_NOT_COCO.search(text):
        return None
    # One member alone is none: names of classes (notes.json of Label Studio), or of one image.
    is_alone = {*members} in ({"annotations"}, {"categories"})
    return None if is_alone and len(head) < _HEAD else known[members[0]]


def _is_filled(file: Path) -> bool:
    """Return whether there is something in a file that may tell its format."""
    is_list = file.suffix.lower() == ".txt" and not (first_words(file) and may_be_labels(file))
    return file.is_file() and file.stat().st_size > 0 and not is_list


def _of_one(file: Path, kind: Callable[[], YoloName]) -> FormatName | None:
    """Return the format of a file in a folder, which would have this kind of YOLO."""
    if file.suffix.lower() != ".txt":
        return _of_file(file)
    return "kitti" if is_kitti(file) else kind() if is_yolo(file) else None


def _of_folder(path: Path) -> FormatName:
    found: dict[FormatName, Path] = {}
    if told := yolo_file(path):
        found[yolo_kind(path)] = told
    for marker, marked in _MARKERS.items():
        if (path / marker).exists():
            found.setdefault(marked, path / marker)
    suffixes = [".xml", ".json", ".txt"]
    every = files_below(path, suffixes)
    files = [each for each in every if "ImageSets" not in each.relative_to(path).parts]
    kind = cache(partial(yolo_kind, path))  # it lists all images and labels
    if "kitti" in found:  # its files look like those of YOLO
        suffixes.remove(".txt")
    for of_each in (False, True):  # labels may lie behind other files, in a folder of their own
        for suffix in () if found and of_each else suffixes:
            of_it = [each for each in files if each.suffix.lower() == suffix]
            if of_each:
                of_it = [*{each.parent: each for each in reversed(of_it)}.values()]
            # An empty file, of an image without labels, may be of any format; notes are none.
            filled = (each for each in of_it[:_MOST_TEXTS] if _is_filled(each))
            first = [*islice(filled, None if of_each else _TRIED)]
            for file in first or (() if found or of_each else of_it[:_TRIED]):
                if name := _of_one(file, kind):
                    found.setdefault(name, file)
    if len(found) == 1:
        return next(iter(found))
    if found:
        both = " and ".join(f"{file} ({name})" for name, file in found.items())
        raise FormatError(
            f"{path} contains files of several formats: {both}; name one of them, or choose with "
            "format=..."
        )
    of_others = chain(files, files_below(path, {*_NEVER_READ, *LINES}))
    if why := next(filter(None, map(not_read, islice(of_others, _FOREIGN))), ""):
        raise FormatError(f"{path} contains no known labels: {why}")
    there = Counter(each.suffix.lower() or each.name for each in path.iterdir() if each.is_file())
    folders = [f"{each.name}/" for each in sorted(path.iterdir()) if each.is_dir()]
    kinds = [f"{count} {suffix}" for suffix, count in there.most_common(5)]
    listed = ", ".join([*kinds, *folders[:5]]) or "nothing"
    raise FormatError(f"{path} contains no known labels; looked for {_LOOKED_FOR}; found {listed}")


# --- Reading --------------------------------------------------------------------------------------


def open_dataset(
    path: str | Path,
    format: str | None = None,  # noqa: A002 - the word people look for, as in `json.dumps(indent=...)`
    *,
    min_score: float | None = None,
    **options: Any,
) -> RawDataset:
    """Open a file or folder of any format by `Options`, without objects below `min_score`."""
    place = from_home(path).absolute()  # readers look at names of folders, which "." does not have
    given = Options(**options)
    try:
        found = format_info(format or sniff(place)).open(place, given)
    except NotRegularError as error:
        raise FormatError(str(error)) from None
    except OSError as error:
        is_other = error.filename is not None and Path(error.filename) != place
        raise FormatError(
            f"{error.filename if is_other else path} cannot be read: {error.strerror or error}"
        ) from None
    found = _classes_first(found, given.classes)
    return found if min_score is None else _scored(found, min_score)


def _classes_first(dataset: RawDataset, names: Iterable[str]) -> RawDataset:
    """Return a dataset whose categories of these names come first, also those that it lacks."""
    every, place = dataset.categories, {name: at for at, name in enumerate(dict.fromkeys(names))}
    lacking = place.keys() - {each.name for each in every}
    free = max((each.id for each in every), default=0) + 1
    found = [*every, *(Category(free + place[each], each) for each in lacking)]
    found.sort(key=lambda each: place.get(each.name, len(place)))
    return attrs.evolve(dataset, categories=tuple(found))


def _scored(dataset: RawDataset, least: float) -> RawDataset:
    """Return a dataset without the objects of a lower score."""

    def images(losses: Losses) -> Iterator[RawImage]:
        for image in dataset.images(losses):
            kept = [each for each in image.objects if each.score is None or each.score >= least]
            if left_out := len(image.objects) - len(kept):
                losses.add(LossKind.LOW_SCORE, image.name, count=left_out)
                image.objects, image.is_labelled = kept, bool(kept)
            yield image

    return attrs.evolve(dataset, images=images)


@checked
def read(
    path: str | Path,
    format: FormatName | None = None,  # noqa: A002 - as above
    *,
    mapping: LabelMapping | None = None,
    config: LabelConfig | None = None,
    classes: Iterable[str] = (),
    split: str | None = None,
    min_score: float | None = None,
    zero_based: bool = False,
    images: str | Path | None = None,
) -> Conversion:
    """Return the labels of a file or folder in any format.

    It blocks: in an event loop, call it with `asyncio.to_thread`. It needs the extra ``formats``.

    Args:
        path: The file or folder; `FORMATS` says what it is for each format.
        format: Its format; None to detect it.
        mapping: How classes and shapes are mapped.
        config: An existing label configuration, in which classes are found by name.
        classes: Names of the classes. YOLO needs them if no file lists them; for other formats they
            come first, in this order.
        split: The part of a dataset to read (``train``, ``val``, ``test``); None for all.
        min_score: Leave out objects with a lower score.
        zero_based: For Pascal VOC: whether the first pixel is 0, not 1 as in the format.
        images: The folder of the images, if it is not beside the labels: YOLO needs their sizes.
            For results of COCO, the file that lists their images and categories.

    Returns:
        All images, also those without labels, without ids of media (`formats.match` finds them),
        and the losses.

    Raises:
        FormatError: The file does not have this format, or no image was found; the text says what
            was looked for. Or the extra ``formats`` is not installed.
    """
    dataset = open_dataset(
        path,
        format,
        classes=classes,
        split=split,
        min_score=min_score,
        zero_based=zero_based,
        images=images,
    )
    losses = Losses()
    found = tuple(images_of(dataset, mapping or LabelMapping(), losses, config))
    return Conversion(found, losses.report())


@checked
def label_config(
    path: str | Path,
    format: FormatName | None = None,  # noqa: A002 - as above
    *,
    mapping: LabelMapping | None = None,
    classes: Iterable[str] = (),
    split: str | None = None,
    images: str | Path | None = None,
) -> LabelConfig:
    """Return the label configuration that the labels of a file or folder need.

    Args:
        path: As for `read`, also the errors.
        format: As for `read`.
        mapping: As for `read`.
        classes: As for `read`.
        split: As for `read`.
        images: As for `read`.
    """
    dataset = open_dataset(
        path, format, classes=classes, split=split, images=images, in_shares=True
    )
    return config_of(dataset, mapping or LabelMapping())
