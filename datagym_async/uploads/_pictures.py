"""Arrays and PIL images as items: which are accepted, and which bytes are sent for them.

The rule: a name that ends in ``.jpg`` or ``.jpeg`` gives a JPEG of quality 95 without subsampling
of its colours, any other name a PNG, which keeps each pixel. What the format cannot express, such
as transparency in a JPEG, is refused rather than dropped. Colour profiles stay, other metadata does
not. numpy and Pillow are used only if the caller's value comes from them.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterable, Mapping
from typing import Any, Final, Literal

import attrs

from datagym_async._extras import extra_module
from datagym_async._printable import quoted
from datagym_async._runs._images import MODES, encoded, require_pillow
from datagym_async.exceptions import ConfigurationError

_SHAPES: Final = "height x width, or height x width x 3 (RGB) or 4 (RGBA)"


def kind_of(value: object) -> Literal["array", "image", ""]:
    """Return whether a value is a numpy array, a Pillow image, or neither."""
    for each in type(value).__mro__:
        known = (each.__module__.partition(".")[0], each.__name__)
        if known == ("numpy", "ndarray"):
            return "array"
        if known == ("PIL", "Image"):
            return "image"
    return ""


@attrs.frozen(eq=False)
class Picture:
    """An array or image that becomes the bytes of an item."""

    pixels: Any
    format: str

    @classmethod
    def of(cls, value: Any, name: str) -> Picture:
        """Return an array (copied) or an image as a picture; refuse what its format cannot hold."""
        is_jpeg = name.lower().endswith((".jpg", ".jpeg"))
        picture = cls(value, "JPEG" if is_jpeg else "PNG")
        if kind_of(value) == "image":
            picture._check_mode(value.mode, name)
            return picture
        require_pillow("An array as an image", "give the bytes of a JPEG or PNG file")
        shape, kind = value.shape, str(value.dtype)
        if kind != "uint8" or len(shape) not in {2, 3} or shape[2:] not in {(), (3,), (4,)}:
            raise ConfigurationError(
                f"An image as an array is of uint8, {_SHAPES}; this one is of {kind}, "
                f"{' x '.join(map(str, shape)) or 'a single number'}."
            )
        if not value.size:
            raise ConfigurationError("The array of an image is empty.")
        picture._check_mode({(): "L", (3,): "RGB", (4,): "RGBA"}[shape[2:]], name)
        # The buffer of a camera is often overwritten before the item is sent.
        return attrs.evolve(picture, pixels=value.copy())

    def _check_mode(self, mode: str, name: str) -> None:
        if mode not in MODES[self.format]:
            known = ", ".join(sorted(MODES[self.format]))
            hint = ", or name it .png" if mode in MODES["PNG"] else ""
            raise ConfigurationError(
                f"An image of the mode {mode} cannot be sent as a {self.format}, which holds "
                f"{known}; convert it{hint} ({quoted(name)})."
            )

    def encoded(self) -> bytes:
        """Return the bytes of the file; blocks, and raises what Pillow does."""
        image = self.pixels
        if kind_of(image) == "array":
            image = extra_module("PIL.Image").fromarray(image)
        return encoded(image, self.format)


def why_no_source(value: object) -> str:
    """Return why an iterable is no source, or an empty text; not for texts, paths, items, files."""
    name = type(value).__name__
    if isinstance(value, bytes | bytearray | memoryview):
        return f"A source cannot be of the type {name} (bytes need a name: UploadItem(name, data))."
    if isinstance(value, Mapping):
        way_out = "[UploadItem(name, image) for name, image in images.items()]"
        return f"A source cannot be of the type {name}; of names and images, make items: {way_out}."
    if kind_of(value) == "image":
        way_out = 'an image without a file needs a name: UploadItem("a.png", image)'
        known = getattr(value, "filename", None)
        return "" if known else f"A source cannot be of the type {name}; {way_out}."
    # Arrays, tensors and tables; a one-dimensional one of texts is a collection of paths.
    if hasattr(type(value), "__array__"):
        kind = getattr(getattr(value, "dtype", None), "kind", "")
        if getattr(value, "ndim", 1) != 1 or kind in set("biufc"):
            way_out = 'an array of pixels needs a name: UploadItem("a.png", array)'
            return f"A source cannot be of the type {name}; {way_out}."
    if isinstance(value, Iterable | AsyncIterable):
        return ""
    return f"A source cannot be of the type {name}."
