"""The options of a bulk upload."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, cast

import attrs

from datagym_async._checks import (
    above_zero,
    by_annotation,
    is_whole,
    one_of,
    shown,
    within,
)
from datagym_async._runs._decode import require_pillow
from datagym_async._runs._disk import journal_files
from datagym_async._runs._options import check_on_event
from datagym_async._runs._prepare import Steps, steps_in
from datagym_async._runs._stores import Stores, check_store_options, store_options
from datagym_async.exceptions import ConfigurationError
from datagym_async.models._ids import id_of
from datagym_async.uploads._events import OnEvent
from datagym_async.uploads._screening import Check, Screening
from datagym_async.uploads._values import Dedupe
from datagym_async.uploads.sources._candidates import (
    Clashes,
    Filters,
    Name,
    Naming,
    Rules,
    Symlinks,
    check_name,
)

if TYPE_CHECKING:
    from datagym_async.models import ProjectId

MAX_CONCURRENCY = 256
MAX_BATCH_SIZE = 500


Identity: TypeAlias = Literal["size+mtime", "sha256"]


Verify: TypeAlias = Literal["sample", "all"] | None


MaxPerDataset: TypeAlias = int | Literal["auto"] | None

AUTO: Final = "auto"


def _separating(_: object, __: object, value: object) -> None:
    if not isinstance(value, str) or any(not one.isprintable() for one in value):
        msg = f"name_separator is {value!r}; it must be a printable text."
        raise ConfigurationError(msg)


def _patterns(value: str | Iterable[str] | None) -> tuple[str, ...]:
    if value is None:
        return ()
    # Of what is no collection, its validator says so.
    one = isinstance(value, str) or not isinstance(value, Iterable)
    return (cast("str", value),) if one else tuple(value)


def _projects(value: ProjectId | Iterable[ProjectId] | None) -> tuple[str, ...]:
    if value is None:
        return ()
    several = value if isinstance(value, Iterable) and not isinstance(value, str) else (value,)
    return tuple([id_of(each, "project id") for each in several])


def _globs(
    _: object, attribute: attrs.Attribute[tuple[str, ...]], value: tuple[object, ...]
) -> None:
    for pattern in value:
        if not isinstance(pattern, str) or not pattern.strip("/ "):
            msg = f"{attribute.name} holds {pattern!r}; a pattern is a text such as '*.jpg'."
            raise ConfigurationError(msg)


def _checking(instance: object, attribute: attrs.Attribute[str], value: str) -> None:
    one_of("none", "signature", "structure", "decode")(instance, attribute, value)
    if value == "decode":
        require_pillow()


def _positive(_: object, attribute: attrs.Attribute[int | None], value: Any) -> None:
    if value is not None and not is_whole(value, 1):
        msg = f"{attribute.name} is {shown(value)}; it must be at least 1, or None."
        raise ConfigurationError(msg)


def _spreading(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if isinstance(value, str) and value != AUTO:
        msg = f"max_per_dataset is {shown(value)}; give a number, {AUTO!r}, or None."
        raise ConfigurationError(msg)
    if not isinstance(value, str):
        _positive(instance, attribute, cast("int | None", value))


@attrs.frozen(kw_only=True, field_transformer=by_annotation)
class UploadConfig:
    """Hold the options of one bulk upload.

    Args:
        concurrency: Requests in flight at once, 1 to 256, pinned while the upload runs; None to
            have the best number found out, up to the client's ``max_uploads``.
        store_options: How object stores are opened (``s3://``, ``gs://``, ``az://``), as a mapping
            or texts ``key=value``: options of obstore, such as ``region``, ``endpoint``,
            ``skip_signature`` (no credentials), ``request_payer``. Credentials are better set in
            the environment. Those that may be secrets are kept nowhere. Needs
            ``datagym-async[cloud]``.
        batch_size: URLs in one request, 1 to 500.
        name: How files are named in the dataset: by their last part (``"basename"``), by their
            path below the folder, glob or list that named them (``"relative"``), by a
            template, or by a function of an `UploadItem` (its ``name`` is the relative path), which
            is called in a thread and whose errors reject the item alone. A template may hold
            ``{name}`` ``{stem}`` ``{suffix}`` (with its dot) ``{parent}`` (the folder's own name)
            ``{relative}`` ``{index:06}`` (number in this run's order, so that the same file gets
            another name once others come before it) and ``{sha256:.8}`` (each file is read once
            more for it).
        name_separator: What stands between the folders of a relative path in a name.
        on_clash: What becomes of a file whose name another one of the run has: it is ``rejected``,
            both named (``"skip"``); it is numbered, ``"photo (2).jpg"`` (``"rename"``: in the order
            of the run, hence the same names for the same files); or nothing is sent at all
            (``"error"``: `ConfigurationError`; what comes from a stream is rejected on arrival).
        skip_existing: Whether a name that the dataset holds is ``skipped``; otherwise it is sent,
            and ``failed`` when the service refuses it.
        include_hidden: Whether files and folders that begin with a dot count in folders and globs.
        symlinks: Which links count in folders and globs: those to files, while one to a folder is
            ``rejected`` by name (``"files"``); both, each folder once (``"follow"``); or none,
            silently (``"skip"``).
        include: Patterns of the files that count in folders and globs, for example ``"*.jpg"`` (at
            any depth, and ``IMG_1.JPG`` too: case does not matter) or ``"2026/**/*.png"``; none for
            all.
        exclude: Patterns of files and folders that do not count; exclusion wins.
        ignore_others: Whether files that are no JPEG or PNG by their first bytes are ``skipped``
            instead of ``rejected``; what else is wrong with a file is rejected all the same.
        check: How closely an image is looked at before it is sent: not at all (``"none"``), at
            its first bytes (``"signature"``), also at the structure of files up to 4 MiB
            (``"structure"``: finds what the service is sure to answer with 500), or decoded whole
            in a thread (``"decode"``: finds also cut JPEGs, which the service stores, and
            decompression bombs, and warns of EXIF orientation; needs ``datagym-async[images]``).
        prepare: What is done with images before they are sent, in processes of their own, as
            single words or joined by commas: ``"orientation"`` turns JPEG and PNG images as their
            EXIF orientation says, which the service ignores; ``"convert"`` makes a JPEG or PNG of
            WebP, HEIC (needs ``datagym-async[heic]``), AVIF, TIFF, BMP and GIF; ``"resize=4096"``
            makes images smaller whose longer side has more pixels. What needs none of it is sent
            byte for byte. Photographs (JPEG, HEIC, AVIF, lossy WebP) without transparency are
            encoded as JPEG, all else as PNG, upright, with their colour profile and without other
            metadata. The same release of Pillow gives the same bytes. Names stay as they are; links
            are left alone. Needs ``datagym-async[images]``.
        dedupe: What becomes of a file, or bytes, that another item of the run or of its journal is
            equal to byte for byte: it is sent with a warning (``"report"``), or ``skipped``
            (``"skip"``; also where its name clashes). Every file is read once more when it is
            listed. Links, open files, and what lies in stores and archives are left alone. None to
            not compare.
        check_links: Whether each URL is asked for, without credentials, before it is sent: the
            service never looks and takes dead links. A dead one is ``rejected``.
        allow_private_links: Whether `check_links` may ask hosts of private, loopback and other
            special addresses; otherwise URLs that lead there are ``rejected``.
        max_bytes: Images larger than this are ``rejected``; None for no limit. Above 15 MiB, which
            few services are set up to take, results carry a warning in any case.
        max_problems: How many rejected and failed results the report keeps in full; the counts
            are exact in any case.
        journal: Where the run keeps its journal, from which the same upload again resumes: True for
            a file of its own in the state folder (see `jobs_folder`), or the path of a file; None
            or False for no journal.
        fresh: Whether a journal of an earlier run is dropped instead of resumed.
        identity: What tells the journal that a file is the one it knows: its size and time of
            change (``"size+mtime"``), or also the hash of its bytes (``"sha256"``: every file is
            read once more when it is listed).
        remove_doubles: Whether extra copies of an image that a lost answer made are deleted at the
            end, where their bytes are equal; otherwise the report names them.
        max_per_dataset: Media that one dataset may hold. What does not fit goes into further
            datasets, ``"NAME 2"``, ``"NAME 3"`` and so on, which are created as needed; all of them
            count as one for skipping, clashes, resuming and the report. The service takes longer
            for an upload the more its dataset holds; 1,000 to 2,000 keep it fast. ``"auto"`` has
            the number found out, from how the time of an upload grows: there is one dataset while
            it does not, and the next run of the job goes on with the number that was found. None
            for one dataset without a bound.
        attach_to: Projects, or their ids, that the dataset is attached to before the run, and every
            dataset that is created; none are taken over from the first dataset.
        max_bytes_in_flight: Bytes of images on their way at once; a larger one goes alone. None for
            no bound.
        max_files: The run ends after this number of images and links sent, whatever became of them.
        max_bytes_total: The run ends with the image that brings the bytes sent to this number.
        max_failures: The run ends after this number of failed items; rejected ones do not count.
        max_duration: The run ends this number of seconds after its beginning. For these four: what
            is in flight ends in its own way, and the report says which it was (``stopped_by``);
            that is no error, and the same upload again resumes.
        on_event: Called with each `UploadEvent`, on the event loop: a plain function that returns
            at once. What it raises is logged once and otherwise ignored.
        verify: Whether uploaded images are downloaded at the end and compared byte for byte: some
            of them (``"sample"``), or all, the skipped ones too (``"all"``); None for none. Links
            are left out: the service re-encodes them.
        verify_sample: How many images a sample has.

    Raises:
        ConfigurationError: If an option is out of its range.
    """

    concurrency: int | None = attrs.field(default=None, validator=within(1, MAX_CONCURRENCY))
    store_options: tuple[str, ...] = attrs.field(
        default=(), converter=store_options, validator=check_store_options, repr=False
    )
    batch_size: int = attrs.field(default=50, validator=within(1, MAX_BATCH_SIZE))
    name: Name = attrs.field(default="basename", validator=lambda _, __, value: check_name(value))
    name_separator: str = attrs.field(default="/", validator=_separating)
    on_clash: Clashes = attrs.field(default="skip", validator=one_of("skip", "rename", "error"))
    skip_existing: bool = True
    include_hidden: bool = False
    symlinks: Symlinks = attrs.field(default="files", validator=one_of("files", "follow", "skip"))
    include: tuple[str, ...] = attrs.field(default=(), converter=_patterns, validator=_globs)
    exclude: tuple[str, ...] = attrs.field(default=(), converter=_patterns, validator=_globs)
    ignore_others: bool = False
    check: Check = attrs.field(default="structure", validator=_checking)
    prepare: tuple[str, ...] = attrs.field(
        default=(), converter=steps_in, validator=lambda _, __, value: Steps.of(value)
    )
    dedupe: Dedupe = attrs.field(default=None, validator=one_of("report", "skip", None))
    check_links: bool = False
    allow_private_links: bool = False
    max_bytes: int | None = attrs.field(default=None, validator=_positive)
    max_problems: int = attrs.field(default=10_000, validator=within(0, 10_000_000))
    journal: str | os.PathLike[str] | bool | None = None
    fresh: bool = False
    identity: Identity = attrs.field(default="size+mtime", validator=one_of("size+mtime", "sha256"))
    remove_doubles: bool = False
    max_per_dataset: MaxPerDataset = attrs.field(default=None, validator=_spreading)
    attach_to: tuple[str, ...] = attrs.field(default=(), converter=_projects)
    max_bytes_in_flight: int | None = attrs.field(default=64 << 20, validator=above_zero)
    max_files: int | None = attrs.field(default=None, validator=_positive)
    max_bytes_total: int | None = attrs.field(default=None, validator=_positive)
    max_failures: int | None = attrs.field(default=None, validator=_positive)
    max_duration: float | None = attrs.field(default=None, validator=above_zero)
    on_event: OnEvent | None = attrs.field(default=None, validator=check_on_event)
    verify: Verify = attrs.field(default=None, validator=one_of("sample", "all", None))
    verify_sample: int = attrs.field(default=100, validator=within(1, 1_000_000))


def steps_of(config: UploadConfig) -> Steps | None:
    """Return how the options of an upload want images prepared, or None if not at all."""
    return Steps.of(config.prepare) if config.prepare else None


def said_prepared(config: UploadConfig) -> str:
    """Return the steps in words, for the journal: what they reject is of them; empty for none."""
    return f", prepared by {', '.join(sorted(config.prepare))}" if config.prepare else ""


def rules_of(config: UploadConfig) -> Rules:
    """Return the rules for sources that the options of an upload ask for."""
    steps = steps_of(config)
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
        ),
        config.on_clash,
        steps,
        journal_files(config.journal),
        Stores(config.store_options),
    )
