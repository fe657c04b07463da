"""The options of a bulk upload."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import Final, Literal, TypeAlias, get_args

import attrs

from datagym_async._checks import (
    above_zero,
    by_annotation,
    check_one_or_more,
    one_of,
    one_or_more,
    shown,
    to_tuple,
    within,
)
from datagym_async._runs._disk import journal_files
from datagym_async._runs._images import Steps, require_pillow, steps_in
from datagym_async._runs._options import Stops
from datagym_async._runs._stores import Stores, check_store_options, store_options
from datagym_async.exceptions import ConfigurationError
from datagym_async.models import ProjectId
from datagym_async.models._ids import id_of
from datagym_async.uploads._screening import Check, Screening
from datagym_async.uploads._values import Dedupe, UploadEvent
from datagym_async.uploads.sources._candidates import (
    Clashes,
    Filters,
    Name,
    Naming,
    Rules,
    Symlinks,
    check_name,
)

MAX_CONCURRENCY = 256
MAX_BATCH_SIZE = 500


Identity: TypeAlias = Literal["size+mtime", "sha256"]
Verify: TypeAlias = Literal["sample", "all"] | None
MaxPerDataset: TypeAlias = int | Literal["auto"] | None

AUTO: Final = "auto"


def _projects(value: ProjectId | Iterable[ProjectId] | None) -> tuple[str, ...]:
    return tuple([id_of(each, "project id") for each in to_tuple(value)])


def _globs(
    _: object, attribute: attrs.Attribute[tuple[str, ...]], value: tuple[object, ...]
) -> None:
    for pattern in value:
        if not isinstance(pattern, str) or not pattern.strip("/ "):
            msg = f"{attribute.name} holds {shown(pattern)}; a pattern is a text such as '*.jpg'."
            raise ConfigurationError(msg)


@attrs.frozen(kw_only=True, field_transformer=by_annotation)
class UploadConfig(Stops):
    """The options of a bulk upload.

    Args:
        concurrency: Fixed number of requests in flight, 1 to 256; None to adapt it during the run,
            up to the client's ``max_uploads``.
        store_options: Options for object stores (``s3://``, ``gs://``, ``az://``), as a mapping or
            texts ``key=value``: those of obstore, such as ``region``, ``endpoint``,
            ``skip_signature`` (no credentials). Credentials are better set in the environment;
            possible secrets are never saved. Needs ``datagym-async[cloud]``.
        batch_size: URLs in one request, 1 to 500.
        name: How files are named in the dataset: by their last part (``"basename"``), by their path
            below the folder, glob or list (``"relative"``), by a template with ``{name}``,
            ``{stem}``, ``{suffix}`` (with its dot), ``{parent}`` (name of the folder) and
            ``{relative}``, or by a function of an `UploadItem` (its ``name`` is the relative path).
            The function is called in a thread; an error in it rejects only that item.
        name_separator: Text between the folders of a relative path in a name.
        on_clash: What to do with a file whose name another file of the run has: reject it
            (``"skip"``), number it as ``"photo (2).jpg"`` (``"rename"``: in the order of the run,
            so the same files get the same names), or send nothing at all (``"error"``:
            `ConfigurationError`; items of a stream are rejected when they arrive).
        skip_existing: Whether names that the dataset already holds are ``skipped``. Otherwise they
            are sent, and ``failed`` when the service refuses them.
        include_hidden: Whether to include files and folders whose names begin with a dot.
        symlinks: Which symbolic links in folders and globs are used: those to files, while those to
            folders are ``rejected`` (``"files"``); both, each folder once (``"follow"``); or none
            (``"skip"``).
        include: Patterns of the files to take from folders and globs, for example ``"*.jpg"`` (in
            any subfolder, in any case) or ``"2026/**/*.png"``; empty for all.
        exclude: Patterns of files and folders to leave out, even if `include` matches them.
        ignore_others: Whether files that are not JPEG or PNG by their first bytes are ``skipped``
            instead of ``rejected``.
        check: How closely an image is checked before it is sent: not at all (``"none"``), its first
            bytes (``"signature"``), also the structure of files up to 4 MiB (``"structure"``: finds
            what the service would certainly answer with 500), or by decoding it (``"decode"``: also
            finds truncated JPEGs, which the service would store, and decompression bombs, and warns
            of EXIF orientation; needs ``datagym-async[images]``).
        prepare: Steps to apply to images before sending, as words or joined by commas:
            ``"orientation"`` rotates JPEG and PNG images by their EXIF orientation, which the
            service ignores; ``"convert"`` converts WebP, HEIC (needs ``datagym-async[heic]``),
            AVIF, TIFF, BMP and GIF to JPEG (photographs without transparency) or PNG, upright and
            without metadata except the colour profile; ``"resize=4096"`` scales down images whose
            longer side has more pixels. Other images are sent byte for byte. Names do not change;
            links are not touched. Runs in separate processes. Needs ``datagym-async[images]``.
        dedupe: What to do with a file, or bytes, that equal another item of the run or of its
            journal byte for byte: send it with a warning (``"report"``), or skip it (``"skip"``,
            also if its name clashes). Each file is read once more for this. Links, open files, and
            objects in stores and archives are not compared. None to compare nothing.
        check_links: Whether to request each URL, without credentials, and reject dead links, which
            the service accepts.
        allow_private_links: Whether `check_links` may request private, loopback and other special
            addresses; otherwise URLs that lead there are ``rejected``.
        max_bytes: Images larger than this are ``rejected``; None for no limit. Images above 15 MiB,
            which few services accept, always give a warning.
        max_problems: How many rejected and failed results the report keeps in full; the counts are
            always exact.
        journal: Where to keep the journal, from which the same upload resumes: True for a file in
            the state folder (see `jobs_folder`), or the path of a file; None or False for none.
        fresh: Whether to delete the journal of an earlier run instead of resuming.
        identity: How the journal recognises a file: by its size and time of change
            (``"size+mtime"``), or also by the hash of its bytes (``"sha256"``: each file is read
            once more).
        remove_doubles: Whether to delete extra copies of an image that a lost answer made, if their
            bytes are equal; otherwise the report lists them.
        max_per_dataset: Maximum number of media in one dataset; 1,000 to 2,000 keep uploads fast.
            Further images go into datasets ``"NAME 2"``, ``"NAME 3"`` and so on, which are created
            as needed and count as one dataset for skipping, clashes, resuming and the report. With
            ``"auto"`` one dataset is used until uploads slow down, and the next run of the job
            continues with the number that was found. None for one dataset without a limit.
        attach_to: Projects, or their ids, to which the dataset is attached before the run, and each
            dataset that is created. Projects of the first dataset are not copied.
        max_bytes_in_flight: Maximum of bytes in flight; a larger image is sent alone. None for no
            limit.
        max_files: Stop after this number of images and links were sent, whatever their outcome.
        max_bytes_total: Stop with the image that brings the sent bytes to this number.
        max_failures: Stop after this number of failed items; rejected ones are not counted.
        max_duration: Stop after this number of seconds. After any of these four limits, uploads in
            flight finish; ``report.stopped_by`` names it, and the same upload resumes.
        on_event: A plain function that is called with each `UploadEvent` in the event loop and
            returns quickly. Its first error is logged; errors do not affect the upload.
        verify: Whether to download uploaded images at the end and compare their bytes: some of them
            (``"sample"``), or all, also the skipped ones (``"all"``); None for none. Links are not
            compared, because the service encodes them again.
        verify_sample: Number of images in a sample.

    Raises:
        ConfigurationError: If an option is out of its range.
    """

    concurrency: int | None = attrs.field(default=None, validator=within(1, MAX_CONCURRENCY))
    store_options: tuple[str, ...] = attrs.field(
        default=(), converter=store_options, validator=check_store_options, repr=False
    )
    batch_size: int = attrs.field(default=50, validator=within(1, MAX_BATCH_SIZE))
    name: Name = "basename"
    name_separator: str = "/"
    on_clash: Clashes = attrs.field(default="skip", validator=one_of(*get_args(Clashes)))
    skip_existing: bool = True
    include_hidden: bool = False
    symlinks: Symlinks = attrs.field(default="files", validator=one_of(*get_args(Symlinks)))
    include: tuple[str, ...] = attrs.field(default=(), converter=to_tuple, validator=_globs)
    exclude: tuple[str, ...] = attrs.field(default=(), converter=to_tuple, validator=_globs)
    ignore_others: bool = False
    check: Check = attrs.field(default="structure", validator=one_of(*get_args(Check)))
    prepare: tuple[str, ...] = attrs.field(default=(), converter=steps_in)
    dedupe: Dedupe = attrs.field(default=None, validator=one_of("report", "skip", None))
    check_links: bool = False
    allow_private_links: bool = False
    max_bytes: int | None = attrs.field(default=None, validator=one_or_more)
    max_problems: int = attrs.field(default=10_000, validator=within(0, 10_000_000))
    journal: str | os.PathLike[str] | bool | None = None
    fresh: bool = False
    identity: Identity = attrs.field(default="size+mtime", validator=one_of(*get_args(Identity)))
    remove_doubles: bool = False
    max_per_dataset: MaxPerDataset = None
    attach_to: tuple[str, ...] = attrs.field(default=(), converter=_projects)
    max_bytes_in_flight: int | None = attrs.field(default=64 << 20, validator=above_zero)
    on_event: Callable[[UploadEvent], object] | None = None
    verify: Verify = attrs.field(default=None, validator=one_of("sample", "all", None))
    verify_sample: int = attrs.field(default=100, validator=within(1, 1_000_000))

    def __attrs_post_init__(self) -> None:
        check_name(self.name)
        if not all(map(str.isprintable, self.name_separator)):
            raise ConfigurationError(
                f"name_separator is {self.name_separator!r}; it must be a printable text."
            )
        if self.check == "decode":
            require_pillow()
        Steps.of(self.prepare)
        most: object = self.max_per_dataset
        if isinstance(most, str) and most != AUTO:
            raise ConfigurationError(
                f"max_per_dataset is {shown(most)}; give a number, {AUTO!r}, or None."
            )
        if most is not None and not isinstance(most, str):
            check_one_or_more("max_per_dataset", most)


def rules_of(config: UploadConfig) -> Rules:
    """Return the rules for sources, from the options of an upload."""
    steps = Steps.of(config.prepare) if config.prepare else None
    return Rules(
        Naming(config.name, config.name_separator),
        config.include_hidden,
        config.symlinks,
        Filters(config.include, config.exclude),
        Screening(
            config.check,
            config.max_bytes,
            config.ignore_others,
            steps is not None and steps.convert,
            keeps_times=bool(config.journal),
        ),
        config.on_clash,
        steps,
        journal_files(config.journal),
        Stores(config.store_options),
    )
