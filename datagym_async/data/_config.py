"""`LoaderConfig`: the options of a loader, checked; `LoaderOptions`: the same as keywords."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, TypeAlias, TypedDict, get_args

import attrs

from datagym_async._checks import (
    by_annotation,
    is_coroutine_function,
    is_whole,
    one_of,
    one_or_more,
    shown,
)
from datagym_async._extras import require_modules
from datagym_async._files import to_path
from datagym_async._wire._messages import MAX_IN_MEMORY
from datagym_async.exceptions import ConfigurationError
from datagym_async.models import DatasetMedia

Decode: TypeAlias = Literal["bytes", "pillow", "numpy"]
DType: TypeAlias = Literal["uint8", "keep"]
Orientation: TypeAlias = Literal["keep", "apply"]
Even: TypeAlias = Literal["pad", "drop"]
Links: TypeAlias = Literal["refuse", "skip", "service"]
OnError: TypeAlias = Literal["raise", "skip"] | Callable[[DatasetMedia, Exception], object | None]

_MIB = 1 << 20
_MODULES = {"bytes": (), "pillow": ("PIL",), "numpy": ("PIL", "numpy")}


def _seed(_: object, __: object, value: Any) -> None:
    if value is not None and not is_whole(value):
        raise ConfigurationError(f"shuffle is {shown(value)}; give a seed, for example shuffle=0")


def _to_path(value: str | os.PathLike[str] | None) -> Path | None:
    path = to_path("cache", value)
    return None if path is None else path.absolute()


def refuse_coroutines(name: str, function: object) -> None:
    """Refuse a function whose results would have to be awaited."""
    if is_coroutine_function(function):
        raise ConfigurationError(f"{name} is a coroutine function; it must be a plain function")


@attrs.frozen(kw_only=True, field_transformer=by_annotation)
class LoaderConfig:
    """The options of a `DatasetLoader`.

    Args:
        prefetch: Maximum number of samples that are loading or loaded in advance.
        prefetch_bytes: Maximum of their bytes. A sample counts with its size in memory (decoded
            images are large); a sample that is still loading counts as much as the largest recent
            one. One sample is always allowed.
        max_bytes: Maximum size of one downloaded media; a larger one cannot be loaded.
        ordered: True to yield samples in the order of the epoch; False to yield each as soon as it
            is ready, so that a slow one does not delay the others.
        shuffle: Seed for shuffling each epoch, or None for the order of the media's ids.
        shard: The part to load: `(index, count)`.
        even: How to give all shards the same number of samples, which trainings that wait for each
            other need: ``"drop"`` leaves out the last samples of an epoch, less than one for each
            shard; ``"pad"`` repeats the first ones. None: they differ by at most one.
        decode: What `Sample.data` is: ``"bytes"``, ``"pillow"`` (an image as it is stored) or
            ``"numpy"`` (an array, see `dtype`).
        dtype: What arrays hold: ``"uint8"`` is RGB, height x width x 3 (the upper 8 of 16 bits,
            transparency on white, the colours of a palette); ``"keep"`` is what is stored: gray of
            8 or 16 bits as height x width, alpha as another channel.
        orientation: What to do with the EXIF orientation (`Sample.orientation` has its value):
            ``"keep"`` the image as it is stored, which is what the service shows, or ``"apply"`` it
            to the image and its labels.
        batch_size: Samples in a batch, or None for single ones.
        drop_last: Whether to leave out a last batch that is not full.
        on_error: What to do if a media cannot be loaded, decoded or transformed: ``"raise"``,
            ``"skip"``, or a function of the media and the error that returns a replacement, or None
            to skip it.
        cache: Folder that keeps downloaded media, or None. Any number of processes may share it.
        cache_bytes: Maximum size of the folder; files that were not used for the longest time are
            deleted first.
        links: What to do with link images: ``"refuse"`` a dataset that has some, ``"skip"`` them,
            or request them from the ``"service"``, which fetches each again, and skips the tasks of
            those that it cannot fetch.
        labels: Whether samples have their labels; this needs a project.
        concurrency: Fixed number of downloads in flight; None to adapt it.
    """

    prefetch: int = attrs.field(default=64, validator=one_or_more)
    prefetch_bytes: int = attrs.field(default=256 * _MIB, validator=one_or_more)
    max_bytes: int = attrs.field(default=MAX_IN_MEMORY, validator=one_or_more)
    ordered: bool = True
    shuffle: int | None = attrs.field(default=None, validator=_seed)
    shard: tuple[int, int] = (0, 1)
    even: Even | None = attrs.field(default=None, validator=one_of(*get_args(Even), None))
    decode: Decode = attrs.field(default="bytes", validator=one_of(*get_args(Decode)))
    dtype: DType = attrs.field(default="uint8", validator=one_of(*get_args(DType)))
    orientation: Orientation = attrs.field(default="keep", validator=one_of(*get_args(Orientation)))
    batch_size: int | None = attrs.field(default=None, validator=one_or_more)
    drop_last: bool = False
    on_error: OnError = "raise"
    cache: Path | None = attrs.field(default=None, converter=_to_path)
    cache_bytes: int = attrs.field(default=10 * 1024 * _MIB, validator=one_or_more)
    links: Links = attrs.field(default="refuse", validator=one_of(*get_args(Links)))
    labels: bool = True
    concurrency: int | None = attrs.field(default=None, validator=one_or_more)

    def __attrs_post_init__(self) -> None:
        shard = tuple(self.shard)
        if [*map(is_whole, shard)] != [True, True] or not 0 <= shard[0] < shard[1]:
            raise ConfigurationError(
                f"shard is {shown(self.shard)}; give (index, count) with an index from 0 to count "
                "- 1"
            )
        if self.decode != "numpy" and self.dtype != "uint8":
            raise ConfigurationError('dtype="keep" is for arrays; add decode="numpy"')
        if self.decode == "bytes" and self.orientation == "apply":
            raise ConfigurationError(
                'orientation="apply" needs an image; add decode="numpy" or decode="pillow"'
            )
        what, instead = f'decode="{self.decode}"', 'load with decode="bytes"'
        require_modules(what, "images,formats", *_MODULES[self.decode], instead=instead)
        if not callable(self.on_error) and self.on_error not in ("raise", "skip"):
            raise ConfigurationError(
                f'on_error is {shown(self.on_error)}; it can be "raise", "skip" or a function of '
                "media and error"
            )
        refuse_coroutines("on_error", self.on_error)
        if self.on_error == "skip" and self.even is not None:
            raise ConfigurationError(
                f'even="{self.even}" and on_error="skip": a shard that skips has fewer samples '
                "than the others; give a function that returns a replacement"
            )


class LoaderOptions(TypedDict, total=False):
    """The options of ``client.loader`` that `LoaderConfig` explains, except for `batch_size`."""

    prefetch: int
    prefetch_bytes: int
    ordered: bool
    shuffle: int | None
    shard: tuple[int, int]
    even: Even | None
    decode: Decode
    dtype: DType
    orientation: Orientation
    drop_last: bool
    on_error: OnError
    cache: str | os.PathLike[str] | None
    cache_bytes: int
    links: Links
    labels: bool
    max_bytes: int
    concurrency: int | None


def loader_parameters() -> list[inspect.Parameter]:
    """Return the options of `LoaderConfig` as parameters with their defaults."""
    kind = inspect.Parameter.KEYWORD_ONLY
    return [
        inspect.Parameter(field.name, kind, default=field.default, annotation=field.type)
        for field in attrs.fields(LoaderConfig)
    ]
