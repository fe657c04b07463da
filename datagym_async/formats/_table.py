"""The table of formats, which of them a file or folder has, and the one way to read any of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final, Literal, TypeAlias

import attrs

from datagym_async.formats._losses import FormatError, Losses, LossKind
from datagym_async.formats._raw import RawDataset, RawImage
from datagym_async.formats._reading import Options
from datagym_async.formats._reading_lines import open_kitti, open_yolo

FormatName: TypeAlias = Literal["yolo", "yolo-seg", "yolo-pose", "yolo-obb", "kitti"]
"""What a format is called."""


@attrs.frozen(kw_only=True)
class FormatInfo:
    """A format.

    Args:
        name: What it is called.
        holds: What it holds, in a few words.
        path: What a reader is given: which file or folder.
        open: Opens it.
    """

    name: FormatName
    holds: str
    path: str
    open: Callable[[Path, Options], RawDataset] = attrs.field(repr=False)


_YOLO_PATH: Final = "data.yaml, obj.data, or the folder of images and labels"
FORMATS: Final = (
    FormatInfo(name="yolo", holds="boxes", path=_YOLO_PATH, open=open_yolo),
    FormatInfo(name="yolo-seg", holds="outlines", path=_YOLO_PATH, open=open_yolo),
    FormatInfo(name="yolo-pose", holds="boxes with keypoints", path=_YOLO_PATH, open=open_yolo),
    FormatInfo(name="yolo-obb", holds="turned boxes", path=_YOLO_PATH, open=open_yolo),
    FormatInfo(name="kitti", holds="boxes", path="the folder of label files", open=open_kitti),
)
"""All formats that are read here."""


def format_info(name: str) -> FormatInfo:
    """Return the row of a format, or raise `FormatError` where there is none."""
    found = next((each for each in FORMATS if each.name == name), None)
    if found is None:
        known = ", ".join(each.name for each in FORMATS)
        raise FormatError(f"There is no format {name!r}; use one of {known}")
    return found


def sniff(path: str | Path) -> FormatName:
    """Return the format of a file or folder, by what it holds.

    Raises:
        FormatError: It is of none of them; the text says what was looked for and what is there.
    """
    raise FormatError(f"{path} is of no format known here; name it with format")


def open_dataset(
    path: str | Path,
    format: str | None = None,  # noqa: A002 - the word people look for, as in `json.dumps(indent=...)`
    *,
    classes: Iterable[str] = (),
    split: str | None = None,
    min_score: float | None = None,
    zero_based: bool = False,
    images: str | Path | None = None,
) -> RawDataset:
    """Open a file or folder of any format; arguments and errors are those of `read`."""
    place = Path(path)
    info = format_info(format or sniff(place))
    options = Options(
        classes=tuple(classes),
        split=split,
        zero_based=zero_based,
        images=None if images is None else Path(images),
    )
    try:
        found = info.open(place, options)
    except OSError as error:
        text = f"{path} cannot be read as {info.name}: {error.strerror or error}"
        raise FormatError(text) from None
    return found if min_score is None else _scored(found, min_score)


def _scored(dataset: RawDataset, least: float) -> RawDataset:
    """Return a dataset without the objects of a lower score."""

    def images(losses: Losses) -> Iterator[RawImage]:
        for image in dataset.images(losses):
            kept = [each for each in image.objects if each.score is None or each.score >= least]
            if left_out := len(image.objects) - len(kept):
                losses.add(LossKind.LOW_SCORE, image.name, count=left_out)
                image.objects = kept
            yield image

    return attrs.evolve(dataset, images=images)
