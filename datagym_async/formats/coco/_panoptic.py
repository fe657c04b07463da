"""Panoptic COCO: for each image a PNG whose colours are the numbers of segments.

The number of a segment is ``R + 256 G + 256² B``; 0 is no segment
(https://cocodataset.org/#format-data, panoptic segmentation).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from datagym_async._extras import extra_module
from datagym_async.formats._losses import BrokenError, FormatError
from datagym_async.formats._masks import MOST_PIXELS, compress
from datagym_async.formats._reading import OF_IMAGES, is_there


def folder_of_pngs(path: Path, example: str) -> Path:
    """Return the folder of PNGs beside a file, found by the name of one of them.

    Raises:
        FormatError: There is none.
    """
    tried = [path.with_suffix(""), path.parent, path.parent.parent / path.stem]
    others = sorted(each for each in path.parent.iterdir() if each.name.lower() not in OF_IMAGES)
    folders = [each for each in (*tried, *others) if is_there(each / example, as_file=True)]
    folders += [each for each in (tried[0], tried[2]) if each.is_dir()]
    if not folders:
        places = ", ".join(map(str, (*tried, path.parent / "*")))
        raise FormatError(f"{path} is panoptic, and {example} was found in none of {places}")
    return folders[0]


def segments_of(
    folder: Path, raw: Mapping[str, Any], width: int | None, height: int | None
) -> Iterator[tuple[dict[str, Any], str]]:
    """Yield each segment of an image as an annotation with a mask, and its fault.

    Segments that are not listed have no category.

    Raises:
        BrokenError: The PNG cannot be read, or has no list of segments.
    """
    listed, name = raw["segments_info"], raw.get("file_name")
    if not isinstance(listed, list) or not all(isinstance(each, dict) for each in listed):
        raise BrokenError("segments_info must be a list of objects")
    if not isinstance(name, str) or not name:
        raise BrokenError("it names no PNG (file_name)")
    pillow = extra_module("PIL.Image", FormatError)
    extra_module("numpy", FormatError)
    import numpy as np

    try:
        with pillow.open(folder / name) as image:
            wide, high = image.size
            if (wide, high) != (width or wide, height or high) or wide * high > MOST_PIXELS:
                raise BrokenError(f"{name} has {wide} by {high} pixels, and not those it is of")
            colours = np.asarray(image.convert("RGB"), np.uint32)
    except (OSError, ValueError, SyntaxError) as error:
        raise BrokenError(f"{name} cannot be read: {error}") from None
    numbers = colours[..., 0] + 256 * colours[..., 1] + 65536 * colours[..., 2]
    left = numbers != 0
    for each in listed:
        mask = numbers == each.get("id")
        left &= ~mask
        fault = "" if mask.any() else f"its segment {each.get('id')} has no pixel in {name}"
        yield {**each, "segmentation": None if fault else compress(mask)}, fault
    for number in np.unique(numbers[left]).tolist():
        yield {"id": number}, ""
