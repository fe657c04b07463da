"""Write label values as files for trainers: a table of formats, and one path through it."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import ExitStack
from functools import cache, partial
from itertools import count
from pathlib import Path, PurePosixPath
from types import NoneType
from typing import Final, Literal, TextIO, TypeAlias, get_args

import attrs

from datagym_async._checks import check_is, checked, listed
from datagym_async._files import (
    FolderPart,
    folded_name,
    from_home,
    numbered_file,
    placed,
    safe_name,
    telling,
    with_room,
)
from datagym_async.formats import _label_texts as texts
from datagym_async.formats._label_texts import Run, Sheet
from datagym_async.formats._losses import (
    BrokenError,
    FormatError,
    Losses,
    LossKind,
    LossReport,
    writable,
)
from datagym_async.formats._mapping import LabelMapping
from datagym_async.formats._reading import ON_ITS_SIDE, image_suffix, is_there, upright_size
from datagym_async.formats._splits import part_of, parts_of
from datagym_async.formats._written import COVERING, Fixed, classes_of, finite, within_edges
from datagym_async.formats.coco._writing import document_of, save
from datagym_async.labels import LabeledImage, LabeledTask
from datagym_async.labels._config import Entries
from datagym_async.models import EntryType
from datagym_async.models._names import IMAGE_SUFFIXES

WrittenFormat: TypeAlias = Literal[
    "coco", "yolo", "yolo-seg", "yolo-pose", "yolo-obb", "voc", "kitti", "cvat", "imagefolder"
]
"""What `write` writes."""

Placing: TypeAlias = Literal["link", "copy"]
"""How images are put beside their labels: as a link if possible, or as a copy."""

ImagesFrom: TypeAlias = Mapping[str, Path] | Callable[[LabeledImage], Path | None]
"""Where the files of images are: by the id or the name of the media, or a function."""

# --- The table of formats -------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class _Layout:
    """The places and the content of a format's files; ``{part}`` is the part of the dataset."""

    text: Callable[[Sheet], str] | None  # for an image; None for COCO, which is written as a whole
    labels: str  # the folder of label files, or the one file for all
    images: str
    suffix: str = ""  # of label files; empty if there is one file for all
    only_part: str = ""  # the value of ``{part}`` if there is only one
    sets: str = ""  # the file that lists the images of a part
    own_file: str = ""  # a file beside the images, whose name none of them may have
    has_list: bool = True  # whether it lists all classes, also unused ones
    needs_size: bool = False
    types: frozenset[EntryType] = COVERING
    word: Callable[[str], str] | None = writable  # a class in the format's characters


def _yolo(text: Callable[[Sheet], str]) -> _Layout:
    # Trainers look for labels in place of the last `images` in the path of an image.
    return _Layout(
        text=text,
        labels="labels/{part}",
        images="images/{part}",
        suffix=".txt",
        only_part="train",
        needs_size=True,
    )


_LAYOUTS: Final[Mapping[str, _Layout]] = {
    "coco": _Layout(text=None, labels="annotations", images="images/{part}", word=None),
    "yolo": _yolo(texts.yolo),
    "yolo-seg": _yolo(texts.yolo_seg),
    "yolo-pose": _yolo(texts.yolo_pose),
    "yolo-obb": _yolo(texts.yolo_obb),
    "voc": _Layout(
        text=texts.voc,
        labels="Annotations",
        images="JPEGImages",
        suffix=".xml",
        sets="ImageSets/Main/{part}.txt",
        has_list=False,
    ),
    "kitti": _Layout(
        text=texts.kitti,
        labels="training/label_2",
        images="training/image_2",
        suffix=".txt",
        sets="ImageSets/{part}.txt",
        has_list=False,
        word=texts.kitti_word,
    ),
    "cvat": _Layout(
        text=texts.cvat,
        labels="annotations.xml",
        images="images",
        types=COVERING | {EntryType.LINE, EntryType.POINT},
    ),
    "imagefolder": _Layout(
        text=texts.imagefolder,
        labels="{part}/metadata.jsonl",
        images="{part}",
        only_part="train",
        own_file="metadata.jsonl",
        has_list=False,
    ),
}


def check_target(path: Path, *, overwrite: bool) -> None:
    """Check that a folder can be written, before anything is downloaded; errors as in `write`."""
    if path.name in {"", ".."}:  # which cannot be replaced
        raise FormatError(f"The folder {path} cannot be replaced as a whole; use a folder in it")
    if path.exists() and not path.is_dir():
        raise FormatError(f"{path} is a file, but the format is a folder; use another path")
    if not overwrite and path.is_dir() and any(path.iterdir()):
        raise FormatError(f"The folder {path} is not empty; use another one, or add overwrite=True")


def _is_other(format: str, path: Path) -> bool:  # noqa: A002 - as for `write`
    """Return whether a file or folder in the folder of a format is not of the format."""
    layout = _LAYOUTS[format]
    own = {each.partition("/")[0] for each in (layout.labels, layout.images, layout.sets)}
    return path.name not in own and not (layout.own_file and (path / layout.own_file).exists())


# --- From label values to files -------------------------------------------------------------------


@checked
def write(
    images: Iterable[LabeledImage],
    path: str | Path,
    format: WrittenFormat,  # noqa: A002 - the word people look for, as in `json.dumps(indent=...)`
    *,
    mapping: LabelMapping | None = None,
    config: Entries = (),
    classes: Fixed = (),
    clip: bool = False,
    zero_based: bool = False,
    images_from: ImagesFrom | None = None,
    placing: Placing = "link",
    split: Mapping[str, float] | str | None = None,
    group: str | None = None,
    captions: bool = True,
    overwrite: bool = False,
    keep_others: bool = False,
) -> LossReport:
    """Write label values as files of a format, and return what these cannot hold.

    The folder is complete or absent. Images without labels also get files. Control characters and
    half characters in names are written as ``_`` in all formats except COCO. It blocks: in an event
    loop, call it with `asyncio.to_thread`.

    Args:
        images: Images, or tasks of an export.
        path: A new or empty folder; for ``"coco"`` without `images_from` and `split` a file, with
            captions in a file ``….captions.json`` beside it.
        format: ``"yolo"`` (boxes), ``"yolo-seg"`` (outlines), ``"yolo-pose"`` (boxes and
            keypoints), ``"yolo-obb"`` (turned boxes), ``"voc"`` (Pascal VOC), ``"kitti"``,
            ``"cvat"`` (CVAT for images), ``"coco"``, or ``"imagefolder"`` (Hugging
            Face's ``metadata.jsonl``).
        mapping: How classes were mapped when the labels were read: which select is the class.
        config: The label configuration. Classes and keypoints have its order and texts, also those
            that are not used. Without it classes are those of the images, sorted by name.
        classes: Classes that come first and keep their numbers, as for `classes_from`.
        clip: Whether to cut shapes off at the edges of their image. Shapes beyond it are counted in
            any case.
        zero_based: For ``"voc"``: whether the first pixel is 0, not 1 as in the format.
        images_from: Where the files of the images are, to be put beside their labels.
        placing: ``"link"``: a hard link, else a symbolic one, else a copy; or ``"copy"``.
        split: Shares of ``train``, ``val`` and ``test`` as ``{"train": 0.8, "val": 0.2}`` or
            ``"train=0.8,val=0.2"``; None for one part. See `split_of`.
        group: Images that stay in one part: ``"folder"`` for those of one folder, or a regular
            expression for names: its first group, or its whole match, is the same.
        captions: For ``"coco"``: whether captions get a file; otherwise they are left out.
        overwrite: Whether to replace a folder that is not empty, once the new one is complete.
        keep_others: Whether files and folders that are not of the format then stay in it.

    Raises:
        FormatError: The folder is not empty or is a file, there is no such format, classes or
            shares cannot be read, or there are no keypoints for ``"yolo-pose"``.
        FileWriteError: It cannot be written.
    """
    if not callable(images_from):
        check_is("images_from", images_from, Mapping, NoneType)
    if format not in _LAYOUTS:
        known = ", ".join(get_args(WrittenFormat))
        raise FormatError(f"Nothing writes a format {format!r}; use one of {known}")
    path, every, layout = from_home(path), listed("images", images, LabeledImage), _LAYOUTS[format]
    is_file = format == "coco" and images_from is None and split is None
    if not is_file:
        check_target(path, overwrite=overwrite)
    shares, key_of = parts_of(split, group)
    run = Run(
        format=format,
        mapping=mapping or LabelMapping(),
        zero_based=zero_based,
        clip=clip,
        captions=captions,
    )
    losses, taken = run.losses, {layout.own_file: count(2)}
    ready: list[tuple[LabeledImage, Path | None, tuple[str, str]]] = []
    for image in every:
        if isinstance(image, LabeledTask) and image.task_export_url is not None:
            losses.add(LossKind.VIDEO, image.media_name)
            continue
        source = None if images_from is None else _source(image, images_from, losses)
        sized = finite(image if source is None else _measured(image, source, losses))
        if layout.needs_size and not (sized.width and sized.height):
            losses.add(LossKind.NO_SIZE, image.media_name)
            continue
        ready.append((sized, source, ("", "") if is_file else _own_name(sized, source, layout)))
    # No image gets a number that makes its name that of another one: an import would mix them up.
    own = {folded_name(_label_file(name, layout.suffix)) for *_, (_, name) in ready}
    sheets: list[Sheet] = []
    for image, source, names in ready:
        name: str | None = image.media_name
        if not is_file:
            numbered = source is not None
            name = _named(image.media_name, names, layout, taken, own, losses, numbered=numbered)
        if name is None:
            continue
        # COCO keeps shapes beyond an image unchanged, and counts them itself.
        inside = within_edges(image, losses, clip=clip) if clip or layout.text else image
        part = part_of(key_of(image), shares) if split else ""
        sheets.append(
            Sheet(image=inside, name=name, source=source, part=part, number=len(sheets), run=run)
        )
        types = {each.shape.type for each in image.annotations}
        if isinstance(image, LabeledTask) and EntryType.IMAGE_SEGMENTATION not in types:
            for _ in image.segmentations:
                losses.add(LossKind.BITMAP, image.media_name)
    drawn = [each.image for each in sheets]
    run.classes = classes_of(
        drawn,
        run.mapping,
        config,
        classes,
        losses,
        layout.types,
        layout.word,
        has_list=layout.has_list,
    )
    if is_file:
        _write_coco(run, sheets, path, path.with_name(f"{path.stem}.captions.json"))
        return losses.report()
    with telling(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    # Filled in a temporary folder, and moved to its place when it is complete.
    keeps = partial(_is_other, format) if keep_others else lambda _: False
    with placed(partial(FolderPart.beside, path, keeps=keeps), path) as whole:
        for each in sheets:
            if each.source is not None:
                folder = whole.filled / layout.images.format(part=each.part or layout.only_part)
                _put(each.source, folder / each.name, placing, path)
        _fill(run, whole.filled, sheets, [*shares] if split else [""])
        check_target(path, overwrite=overwrite)  # somebody may have filled it meanwhile
    return losses.report()


def _write_coco(run: Run, sheets: Iterable[Sheet], instances: Path, captions: Path) -> None:
    """Write COCO files, that of captions only if there are any."""
    images = [attrs.evolve(each.image, media_name=each.name) for each in sheets]
    document = document_of(images, run.classes, run.mapping, run.losses)
    save(document.instances, instances)
    if found := document.captions["annotations"]:
        if run.captions:
            save(document.captions, captions)
        else:
            run.losses.add(LossKind.CAPTION, count=len(found))


def _fill(run: Run, root: Path, sheets: Sequence[Sheet], parts: Sequence[str]) -> None:
    layout = _LAYOUTS[run.format]
    folders = {part: part or layout.only_part for part in parts}
    files = {part: root / layout.labels.format(part=folders[part]) for part in parts}
    caption = run.mapping.caption_key(1)
    run.captioned = any(each.image.classification(caption) for each in sheets)
    if run.format == "yolo-pose":  # which has one list of keypoints for all classes
        every = (name for each in run.classes.all for name in each.keypoints)
        run.joints = tuple(dict.fromkeys(every))
        if not run.joints:
            raise FormatError("There are no keypoints for yolo-pose; use yolo instead")
        if texts.flipped(run.joints) is None:
            run.losses.add(LossKind.FLIP, ", ".join(run.joints[:3]))
    with ExitStack() as stack:
        # A file for all images of a part, or of the dataset, stays open.
        opened = cache(lambda path: stack.enter_context(_new(path)))
        if run.format == "cvat":
            opened(files[parts[0]]).write(texts.cvat_head(run.classes))
        for sheet, text in ((each, layout.text(each)) for each in sheets if layout.text):
            at = files[sheet.part]
            if layout.suffix:
                with _new(at / _label_file(sheet.name, layout.suffix)) as file:
                    file.write(text)
            else:
                opened(at).write(text)
        if run.format == "cvat":
            opened(files[parts[0]]).write(texts.CVAT_TAIL)
    if run.format.startswith("yolo"):
        images = {name: layout.images.format(part=name) for name in folders.values()}
        for folder in (*files.values(), *(root / each for each in images.values())):
            folder.mkdir(parents=True, exist_ok=True)
        images.setdefault("val", images["train"])  # which trainers insist on
        with _new(root / "data.yaml") as file:
            file.write(texts.data_yaml(run.classes, images, run.joints))
    for part in parts:
        inside = [each for each in sheets if each.part == part]
        if part and not inside:
            run.losses.add(LossKind.EMPTY_PART, part)
        if layout.text is None:
            mark = f"_{part}.json" if part else ".json"
            _write_coco(
                run, inside, files[part] / f"instances{mark}", files[part] / f"captions{mark}"
            )
        if layout.sets and part:
            names = (_label_file(each.name, ".txt").removesuffix(".txt") for each in inside)
            with _new(root / layout.sets.format(part=part)) as file:
                file.write("".join(f"{name}\n" for name in names))


def _new(path: Path) -> TextIO:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.open("w", encoding="utf-8", newline="\n")


def _source(image: LabeledImage, images_from: ImagesFrom, losses: Losses) -> Path | None:
    if callable(images_from):
        found = images_from(image)
    else:
        found = images_from.get(image.media_id) or images_from.get(image.media_name)
    if found is None or not is_there(Path(found), as_file=True):
        losses.add(LossKind.NO_FILE, image.media_name)
        return None
    return Path(found)


def _measured(image: LabeledImage, source: Path, losses: Losses) -> LabeledImage:
    """Return an image, if possible with the size from its file; count what does not fit.

    Labels belong to the stored image. Trainers rotate it by EXIF, which the service ignores.
    """
    try:
        across, down, orientation = upright_size(source)
    except (BrokenError, OSError):
        return image
    except FormatError:  # no images are read here
        if image.width and image.height:
            return image
        raise
    if orientation > 1:
        losses.add(LossKind.EXIF, image.media_name)
    width, height = (down, across) if orientation >= ON_ITS_SIDE else (across, down)
    if not image.width or not image.height:
        return attrs.evolve(image, width=width, height=height)
    if (image.width, image.height) != (width, height):
        losses.add(LossKind.RESIZED, f"{image.media_name}: {width} by {height}")
    return image


def _is_image(name: str | PurePosixPath) -> bool:
    """Return whether a name has the suffix of an image; another one (``scan.1``) is part of it."""
    return PurePosixPath(name).suffix.lower() in IMAGE_SUFFIXES


def _label_file(name: str | PurePosixPath, suffix: str) -> str:
    """Return the name of the label file of an image, with its folders; without a suffix its own."""
    path = PurePosixPath(name)
    return str(path.with_suffix(suffix) if suffix and _is_image(path) else f"{path}{suffix}")


def _own_name(image: LabeledImage, source: Path | None, layout: _Layout) -> tuple[str, str]:
    """Return the name of an image's file, and with room for the suffix of its label file.

    It is that of the media with its folders.
    """
    parts = [part for part in re.split(r"[/\\]", image.media_name) if part not in {"", ".", ".."}]
    whole = writable("/".join(map(safe_name, parts)) or safe_name(image.media_name))
    if layout.suffix == ".txt" and layout.only_part:  # trainers replace the last `images` of a path
        whole = re.sub(r"(?<![^/])images_*(?=/)", r"\g<0>_", whole)
    if source is not None and not _is_image(whole):
        suffix = image_suffix(source)
        whole = with_room(whole + suffix, suffix)
    if not layout.suffix:
        return whole, whole
    spare = "" if _is_image(whole) else layout.suffix
    return whole, with_room(whole + spare, layout.suffix).removesuffix(spare)


def _named(
    media_name: str,
    names: tuple[str, str],  # of `_own_name`
    layout: _Layout,
    taken: dict[str, count[int]],
    own: Collection[str],
    losses: Losses,
    *,
    numbered: bool,
) -> str | None:
    """Return the name of an image's file, or None if another image has its label file.

    The label file has the same stem. `taken` has the names of label files, each with the next
    numbers for it, and `own` those that all images have without a number.
    """
    whole, name = names
    path = PurePosixPath(name)
    # If the image is put beside its label (`numbered`), another name for both does no harm.
    label = first = folded_name(_label_file(path, layout.suffix))
    while label in taken or (label != first and label in own):
        if not numbered:
            losses.add(LossKind.SAME_FILE, media_name)
            return None
        path = path.with_name(numbered_file(PurePosixPath(name).name, next(taken[first])))
        label = folded_name(_label_file(path, layout.suffix))
    taken[label] = count(2)
    if name != whole:
        losses.add(LossKind.LONG_NAME, f"{media_name[:40]!r}...")
    if writable(media_name) != media_name:
        losses.add(LossKind.CHARACTERS, f"the image {media_name!r}")
    elif str(path) not in {media_name, name} or whole != media_name:
        losses.add(LossKind.RENAMED, f"{media_name!r} is {str(path)!r}")
    return str(path)


def _put(source: Path, target: Path, placing: Placing, replaced: Path) -> None:
    """Put an image at its place; one in the folder that is `replaced` gets no symbolic link."""
    target.parent.mkdir(parents=True, exist_ok=True)
    source = source.resolve()
    ways: list[Callable[[Path, Path], None]] = [os.link, os.symlink]
    if source.is_relative_to(replaced.resolve()):
        ways.pop()
    for put in ways if placing == "link" else ():
        try:
            put(source, target)
        except FileNotFoundError:  # a link would lead nowhere
            raise
        except OSError:  # another disk, or one without links
            continue
        return
    shutil.copyfile(source, target)
