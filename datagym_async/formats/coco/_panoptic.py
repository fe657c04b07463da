"""Panoptic COCO: for each image a PNG whose colours say to which segment a pixel belongs.

The number of a segment is ``R + 256 G + 256² B``, and 0 is none
(https://cocodataset.org/#format-data, panoptic segmentation).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from datagym_async._extras import extra_module
from datagym_async.formats._losses import BrokenError, FormatError
from datagym_async.formats._masks import MOST_PIXELS, compress
from datagym_async.formats._reading import OF_IMAGES, is_there

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@attrs.frozen
class Segments:
    """Reads the PNGs of one file.

    Args:
        folder: Where they are.
    """

    folder: Path

    @classmethod
    def beside(cls, path: Path, example: str) -> Segments:
        """Find the folder of PNGs beside a file, by the name of one of them.

        Raises:
            FormatError: There is none where they are looked for.
        """
        tried = [path.with_suffix(""), path.parent, path.parent.parent / path.stem]
        others = sorted(
            each for each in path.parent.iterdir() if each.name.lower() not in OF_IMAGES
        )
        folders = [each for each in (*tried, *others) if is_there(each / example, as_file=True)]
        folders += [each for each in (tried[0], tried[2]) if each.is_dir()]
        if not folders:
            places = ", ".join(map(str, (*tried, path.parent / "*")))
            msg = f"{path} is panoptic, and {example} was found in none of {places}"
            raise FormatError(msg)
        return cls(folders[0])

    def of(
        self, raw: Mapping[str, Any], width: int | None, height: int | None
    ) -> Iterator[tuple[dict[str, Any], str]]:
        """Give each segment of an image as an annotation of instances with a mask, and its fault.

        What is not listed comes as an annotation of no category.

        Raises:
            BrokenError: The PNG cannot be read, or nothing says what is on it.
        """
        listed, name = raw["segments_info"], raw.get("file_name")
        if not isinstance(listed, list) or not all(isinstance(each, dict) for each in listed):
            raise BrokenError("segments_info must be a list of objects")
        if not isinstance(name, str) or not name:
            raise BrokenError("it names no PNG (file_name)")
        numbers = self._numbers(name, width, height)
        left = numbers != 0
        for each in listed:
            mask = numbers == each.get("id")
            left &= ~mask
            fault = "" if mask.any() else f"its segment {each.get('id')} has no pixel in {name}"
            yield ({**each, "segmentation": None if fault else compress(mask)}, fault)
        import numpy as np

        for number in np.unique(numbers[left]).tolist():
            yield {"id": number}, ""

    def _numbers(self, name: str, width: int | None, height: int | None) -> NDArray[np.uint32]:
        pillow = extra_module("PIL.Image", FormatError)
        extra_module("numpy", FormatError)
        import numpy as np

        try:
            with pillow.open(self.folder / name) as image:
                wide, high = image.size
                if (wide, high) != (width or wide, height or high) or wide * high > MOST_PIXELS:
                    raise BrokenError(f"{name} has {wide} by {high} pixels, and not those it is of")
                colours = np.asarray(image.convert("RGB"), np.uint32)
        except (OSError, ValueError, SyntaxError) as error:
            raise BrokenError(f"{name} cannot be read: {error}") from None
        return colours[..., 0] + 256 * colours[..., 1] + 65536 * colours[..., 2]
