"""`DownloadConfig`: the options of a bulk download."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, TypeAlias, get_args

import attrs

from datagym_async._checks import above_zero, by_annotation, one_of, shown, to_path, within
from datagym_async._runs._options import Stops, check_on_event
from datagym_async._runs._stores import check_store_options, store_options
from datagym_async._wire._messages import MAX_IN_PIECES
from datagym_async.downloads._events import OnDownloadEvent
from datagym_async.exceptions import ConfigurationError
from datagym_async.formats import WrittenFormat, shares_of
from datagym_async.models._ids import id_or_none

if TYPE_CHECKING:
    from datagym_async.models import ProjectId

Links: TypeAlias = Literal["skip", "source", "service"]
LabelFormat: TypeAlias = Literal["json", "jsonl", WrittenFormat]
MAX_CONCURRENCY = 64


def _formats(value: object) -> tuple[object, ...]:
    if isinstance(value, str):
        return (value,)
    return tuple(value) if isinstance(value, Iterable) else (value,)


def _classes(value: str | os.PathLike[str] | None) -> Path | None:
    return to_path("classes", value)


def _split(_: object, __: object, value: str | None) -> None:
    if value is not None:
        shares_of(value)


def _project(value: ProjectId | None) -> str | None:
    return id_or_none(value, "project id")


_SIZE: Final = re.compile(r"(\d+(?:\.\d+)?)([kMGT])(i?)B?")


def bound_of(value: object) -> tuple[int, int]:
    """Return the most media and the most bytes of a shard, one of them 0 for no bound."""
    text = str(value).strip() if isinstance(value, int | str) else ""
    if text.isdecimal() and int(text):
        return int(text), 0
    if (found := _SIZE.fullmatch(text)) and float(found[1]):
        step = 1024 if found[3] else 1000
        return 0, int(float(found[1]) * step ** ("kMGT".index(found[2]) + 1))
    raise ConfigurationError(
        f"shards is {shown(value)}; give the media of one, such as 1000, or its size, such as "
        "'500M'."
    )


def _bounded(_: object, __: object, value: int | str | None) -> None:
    if value is not None:
        bound_of(value)


@attrs.frozen(kw_only=True, field_transformer=by_annotation)
class DownloadConfig:
    """Say how a bulk download is done.

    Args:
        links: What becomes of link images, which the service does not hold. They are left alone
            (``"skip"``, the default); fetched from their own address, without any credentials of
            ours (``"source"``); or fetched through the service, which decodes and encodes them
            anew and, where it cannot, marks them invalid and moves their tasks to SKIPPED
            (``"service"``). The latter two decode each image once it is here, and need
            ``datagym-async[images]``. ``"source"`` learns the addresses from the tasks of a
            project, whose details the service fills with empty values when they are first read.
        allow_private_links: Whether ``links="source"`` may ask private, loopback and other special
            addresses.
        labels: Labels that are written beside the media: ``"json"``, ``"jsonl"``, or formats of
            `formats.write`, one or several. Empty for none. All but the first
            two and ``"coco"`` are folders, with links to the images as trainers look for them.
        exact: Whether the formats but ``"json"`` and ``"jsonl"`` have coordinates with every digit,
            a request a task; else whole pixels, as the service exports them.
        classes: A file of classes that come first and keep their numbers, as `formats.classes_from`
            takes it.
        clip: Whether shapes are cut off at the edges of their image, in these formats.
        zero_based: Of ``"voc"``: whether the first pixel is 0, where the format has 1.
        split: Shares of the parts of these formats, such as ``"train=0.8,val=0.1,test=0.1"``; COCO
            is a folder then, too.
        group: What stays in one part: ``"folder"``, or a regular expression for names of files.
        bitmaps: Whether the segmentation bitmaps of finished tasks are fetched, too.
        shards: Write WebDataset shards instead of files: tars of so many media (``1000``), or of
            about so many bytes (``"500M"``). With ``labels="json"`` each image has its labels
            beside it; other labels and bitmaps are not for shards.
        store_options: How the object store is opened that the folder is in (``s3://bucket/out/``);
            as in `UploadConfig`.
        project_id: The project whose labels and tasks a dataset is joined with; None takes the
            only one that it is attached to.
        tree: Whether folders in the names of media become folders again, as an upload with
            ``name="relative"`` wrote them: ``cam 1/a.jpg`` and not ``cam 1_a.jpg``. What an earlier
            run gave a file keeps it.
        verify: Whether files that an earlier run has downloaded are hashed and compared with the
            manifest, and fetched again where they differ; otherwise their size has to do.
        concurrency: Downloads in flight, fixed; None to have the best number found out.
        max_bytes: Bytes of one media at most, by default 16 GiB; a longer one fails. For those that
            ``links="source"`` fetches it is 256 MiB.
        max_files: The run ends after this many media were asked for, whatever became of them.
        max_bytes_total: The run ends with the media that brings the bytes downloaded to this.
        max_failures: The run ends after this many media failed.
        max_duration: The run ends this many seconds after its beginning. For these four: what is
            in flight ends in its own way, the report says which limit it was (``stopped_by``),
            that is no error, and the same download again resumes.
        on_event: A plain function that is called with each `DownloadEvent`, in the event loop; it
            must return at once. Its errors are logged, and touch nothing.
        max_problems: How many failed results the report keeps in full; the counts are exact.

    Raises:
        ConfigurationError: If an option is out of its range.
    """

    links: Links = attrs.field(default="skip", validator=one_of(*get_args(Links)))
    allow_private_links: bool = False
    labels: tuple[str, ...] = attrs.field(
        default=(), converter=_formats, validator=one_of(*get_args(LabelFormat))
    )
    exact: bool = True
    classes: Path | None = attrs.field(default=None, converter=_classes)
    clip: bool = False
    zero_based: bool = False
    split: str | None = attrs.field(default=None, validator=_split)
    group: str | None = None
    bitmaps: bool = False
    shards: int | str | None = attrs.field(default=None, validator=_bounded)
    store_options: tuple[str, ...] = attrs.field(
        default=(), converter=store_options, validator=check_store_options, repr=False
    )
    project_id: str | None = attrs.field(default=None, converter=_project)
    tree: bool = False
    verify: bool = False
    concurrency: int | None = attrs.field(default=None, validator=within(1, MAX_CONCURRENCY))
    max_bytes: int = attrs.field(default=MAX_IN_PIECES, validator=within(1, 1 << 60))
    max_files: int | None = attrs.field(default=None, validator=above_zero)
    max_bytes_total: int | None = attrs.field(default=None, validator=above_zero)
    max_failures: int | None = attrs.field(default=None, validator=above_zero)
    max_duration: float | None = attrs.field(default=None, validator=above_zero)
    on_event: OnDownloadEvent | None = attrs.field(default=None, validator=check_on_event)
    max_problems: int = attrs.field(default=10_000, validator=within(0, 10_000_000))

    def __attrs_post_init__(self) -> None:
        if self.shards is not None and (self.bitmaps or set(self.labels) - {"json"}):
            raise ConfigurationError(
                'Shards hold images and labels="json"; download bitmaps and other labels into a '
                "folder."
            )

    @property
    def stops(self) -> Stops:
        """Return the limits of the run."""
        return Stops(
            max_files=self.max_files,
            max_bytes_total=self.max_bytes_total,
            max_failures=self.max_failures,
            max_duration=self.max_duration,
            verb="fetched",
        )

    @property
    def needs_project(self) -> bool:
        """Return whether the run has to know a project."""
        return bool(self.labels) or self.bitmaps or self.links == "source"
