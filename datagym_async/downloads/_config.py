"""`DownloadConfig`: the options of a bulk download."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Final, Literal, TypeAlias, get_args

import attrs

from datagym_async._checks import (
    above_zero_in,
    by_annotation,
    is_whole,
    one_of,
    shown,
    to_path,
    to_tuple,
    within,
)
from datagym_async._runs._options import Stops
from datagym_async._runs._stores import check_store_options, store_options
from datagym_async._wire._messages import MAX_IN_PIECES
from datagym_async.downloads._report import DownloadEvent
from datagym_async.exceptions import ConfigurationError
from datagym_async.formats import WrittenFormat, shares_of
from datagym_async.models import ProjectId
from datagym_async.models._ids import id_or_none

Links: TypeAlias = Literal["skip", "source", "service"]
LabelFormat: TypeAlias = Literal["json", "jsonl", WrittenFormat]
MAX_CONCURRENCY = 64


def _classes(value: str | os.PathLike[str] | None) -> Path | None:
    return to_path("classes", value)


def _project(value: ProjectId | None) -> str | None:
    return id_or_none(value, "project id")


_SIZE: Final = re.compile(r"(\d+(?:\.\d+)?)([kMGT])(i?)B?")


def bound_of(value: object) -> tuple[int, int]:
    """Return the maximum media and bytes of a shard, one of them 0 for no limit."""
    text = str(value).strip() if isinstance(value, str) or is_whole(value) else ""
    if count := above_zero_in(text):
        return count, 0
    if found := _SIZE.fullmatch(text):
        step = 1024 if found[3] else 1000
        size = float(found[1]) * step ** ("kMGT".index(found[2]) + 1)
        if 0 < size < math.inf:
            return 0, int(size)
    raise ConfigurationError(
        f"shards is {shown(value)}; give the number of media in a shard, such as "
        "1000, or its size, such as '500M'."
    )


@attrs.frozen(kw_only=True, field_transformer=by_annotation)
class DownloadConfig(Stops):
    """The options of a bulk download.

    Args:
        links: What to do with link images, whose bytes the service does not store: leave them out
            (``"skip"``, the default); download them from their own address, without credentials
            (``"source"``); or through the service (``"service"``), which encodes them again, and,
            if it cannot fetch one, marks it invalid and moves its tasks to SKIPPED. The last two
            decode each downloaded image and need ``datagym-async[images]``. ``"source"`` gets the
            addresses from the tasks of a project; the service fills their details with empty values
            when they are first read.
        allow_private_links: Whether ``links="source"`` may request private, loopback and other
            special addresses.
        labels: Labels to write beside the media: ``"json"``, ``"jsonl"``, or formats of
            `formats.write`, one or several. Empty for none. All except the first two and ``"coco"``
            are folders for training, with links to the images.
        exact: Whether these formats have exact coordinates, with one request for each task;
            otherwise whole pixels, as the service exports them.
        classes: A file of classes that come first and keep their numbers, as in
            `formats.classes_from`.
        clip: Whether to cut shapes off at the edges of their image, in these formats.
        zero_based: For ``"voc"``: whether the first pixel is 0, not 1 as in the format.
        split: Shares of the parts of these formats, such as ``"train=0.8,val=0.1,test=0.1"``; COCO
            is then a folder.
        group: What to keep in one part: ``"folder"``, or a regular expression for names of files.
        bitmaps: Whether to download the segmentation bitmaps of finished tasks too.
        shards: Write WebDataset shards instead of files: tar files with so many media (``1000``),
            or of about so many bytes (``"500M"``). With ``labels="json"`` each image has its labels
            beside it; other labels and bitmaps are not possible.
        store_options: Options for the object store of the folder (``s3://bucket/out/``), as in
            `UploadConfig`.
        project_id: The project whose labels and tasks belong to the dataset; None takes the only
            project to which it is attached.
        tree: Whether to turn folders in names into folders again, as an upload with
            ``name="relative"`` wrote them. Files of an earlier run keep their names.
        verify: Whether to hash the files of an earlier run, and download them again if they differ
            from the manifest; otherwise only their sizes are compared.
        concurrency: Fixed number of downloads in flight; None to adapt it during the run.
        max_bytes: Maximum size of one media, by default 16 GiB; a larger one fails. For
            ``links="source"`` it is 256 MiB.
        max_files: Stop after this many media were requested, whatever their outcome.
        max_bytes_total: Stop with the media that brings the downloaded bytes to this number.
        max_failures: Stop after this many media failed.
        max_duration: Stop after this number of seconds. After any of these four limits, downloads
            in flight finish; ``report.stopped_by`` names it, and the same download resumes.
        on_event: A plain function that is called with each `DownloadEvent` in the event loop and
            returns quickly. Its errors are logged and do not affect the download.
        max_problems: How many failed results the report keeps in full; the counts are exact.

    Raises:
        ConfigurationError: If an option is out of its range.
    """

    verb = "fetched"

    links: Links = attrs.field(default="skip", validator=one_of(*get_args(Links)))
    allow_private_links: bool = False
    labels: tuple[str, ...] = attrs.field(
        default=(), converter=to_tuple, validator=one_of(*get_args(LabelFormat))
    )
    exact: bool = True
    classes: Path | None = attrs.field(default=None, converter=_classes)
    clip: bool = False
    zero_based: bool = False
    split: str | None = None
    group: str | None = None
    bitmaps: bool = False
    shards: int | str | None = None
    store_options: tuple[str, ...] = attrs.field(
        default=(), converter=store_options, validator=check_store_options, repr=False
    )
    project_id: str | None = attrs.field(default=None, converter=_project)
    tree: bool = False
    verify: bool = False
    concurrency: int | None = attrs.field(default=None, validator=within(1, MAX_CONCURRENCY))
    max_bytes: int = attrs.field(default=MAX_IN_PIECES, validator=within(1, 1 << 60))
    on_event: Callable[[DownloadEvent], object] | None = None
    max_problems: int = attrs.field(default=10_000, validator=within(0, 10_000_000))

    def __attrs_post_init__(self) -> None:
        if self.split is not None:
            shares_of(self.split)
        if self.shards is not None:
            bound_of(self.shards)
        if self.shards is not None and (self.bitmaps or set(self.labels) - {"json"}):
            raise ConfigurationError(
                'Shards hold images and labels="json"; download bitmaps and other labels into a '
                "folder."
            )

    @property
    def needs_project(self) -> bool:
        """Return whether the run needs a project."""
        return bool(self.labels) or self.bitmaps or self.links == "source"
