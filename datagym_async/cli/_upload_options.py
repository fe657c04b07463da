"""The options of `upload`, in the groups in which its help shows them.

Each class is a group: `_options.command` makes an option of every attribute. What the options mean
for the upload is decided in `_upload_settings`.
"""

from pathlib import Path
from typing import Annotated, Final, Literal

import attrs
import typer

from datagym_async.cli import _run_options as shared
from datagym_async.cli._screen import parse_bytes, parse_seconds

_WHERE: Final = "Where to"
_FILES: Final = "Which files, and their names"
_CHECKS: Final = "Checks"
_GOING_ON: Final = "Going on where a run stopped"


@attrs.frozen(kw_only=True)
class Where:
    """Where the images go."""

    dataset: Annotated[
        str | None,
        typer.Option(
            "--dataset",
            "-d",
            metavar="NAME|ID",
            help="The dataset to upload into; with --retry-failed that of the report by default.",
            show_default=False,
            rich_help_panel=_WHERE,
        ),
    ] = None
    create: Annotated[
        bool,
        typer.Option(
            "--create", help="Create the dataset unless it is there.", rich_help_panel=_WHERE
        ),
    ] = False
    project: Annotated[
        list[str] | None,
        typer.Option(
            "--project",
            metavar="NAME|ID",
            help="Attach the dataset to this project (may be repeated).",
            rich_help_panel=_WHERE,
        ),
    ] = None
    max_per_dataset: Annotated[
        int | None,
        typer.Option(
            "--max-per-dataset",
            metavar="N",
            min=1,
            help="Spread over datasets NAME, NAME 2, NAME 3 and so on of at most so many images "
            "each, because a full dataset is slow; by default all go into one.",
            rich_help_panel=_WHERE,
        ),
    ] = None
    no_skip: Annotated[
        bool,
        typer.Option(
            "--no-skip",
            help="Send also what the dataset holds by name (the service will refuse it).",
            rich_help_panel=_WHERE,
        ),
    ] = False


@attrs.frozen(kw_only=True)
class Files:
    """Which files count, and what they are called in the dataset."""

    include: Annotated[
        list[str] | None,
        typer.Option(
            "--include",
            metavar="GLOB",
            help="Take only such files of folders and globs, for example '*.jpg' (may be "
            "repeated); all by default.",
            rich_help_panel=_FILES,
        ),
    ] = None
    exclude: Annotated[
        list[str] | None,
        typer.Option(
            "--exclude",
            metavar="GLOB",
            help="Leave such files and folders out; wins over --include (may be repeated).",
            rich_help_panel=_FILES,
        ),
    ] = None
    hidden: Annotated[
        bool,
        typer.Option(
            "--hidden",
            help="Take also files and folders that begin with a dot.",
            rich_help_panel=_FILES,
        ),
    ] = False
    symlinks: Annotated[
        Literal["files", "follow", "skip"],
        typer.Option(
            "--symlinks",
            help="Take links to files and name those to folders as rejected, follow both, or skip "
            "both.",
            rich_help_panel=_FILES,
        ),
    ] = "files"
    name: Annotated[
        str,
        typer.Option(
            "--name",
            metavar="POLICY",
            help="Name images by their last part (basename), by their path below the source "
            "(relative), or by a template of {name} {stem} {suffix} {parent} {relative} "
            "{index:06} {sha256:.8}.",
            rich_help_panel=_FILES,
        ),
    ] = "basename"
    name_separator: Annotated[
        str,
        typer.Option(
            "--name-separator",
            metavar="TEXT",
            help="What stands between the folders of a relative path in a name.",
            rich_help_panel=_FILES,
        ),
    ] = "/"
    on_clash: Annotated[
        Literal["skip", "rename", "error"],
        typer.Option(
            "--on-clash",
            help="Of several files of one name: reject all but the first, number them, or stop "
            "before anything is sent.",
            rich_help_panel=_FILES,
        ),
    ] = "skip"


@attrs.frozen(kw_only=True)
class Checks:
    """How closely images are looked at, before they are sent and afterwards."""

    check: Annotated[
        Literal["none", "signature", "structure", "decode"],
        typer.Option(
            "--check",
            help="Look at nothing, the first bytes, the structure, or decode each image whole, "
            "which finds cut JPEGs (needs the extra images).",
            rich_help_panel=_CHECKS,
        ),
    ] = "structure"
    max_bytes: Annotated[
        int | None,
        typer.Option(
            "--max-bytes",
            metavar="SIZE",
            parser=parse_bytes,
            help="Reject images larger than this, for example 15M; no limit by default.",
            rich_help_panel=_CHECKS,
        ),
    ] = None
    check_links: Annotated[
        bool,
        typer.Option(
            "--check-links",
            help="Ask for each URL, without credentials, and reject dead ones, which the service "
            "would take.",
            rich_help_panel=_CHECKS,
        ),
    ] = False
    allow_private_links: Annotated[
        bool,
        typer.Option(
            "--allow-private-links",
            help="Let --check-links ask hosts of private networks too.",
            rich_help_panel=_CHECKS,
        ),
    ] = False
    verify: Annotated[
        Literal["sample", "all"] | None,
        typer.Option(
            "--verify",
            help="Download a sample of the uploaded images, or all, and compare their bytes; none "
            "by default.",
            rich_help_panel=_CHECKS,
        ),
    ] = None
    allow_private_store: Annotated[bool, shared.allow_private_store(_CHECKS)] = False
    remove_doubles: Annotated[
        bool,
        typer.Option(
            "--remove-doubles",
            help="Delete extra copies that lost answers have made; else they are named.",
            rich_help_panel=_CHECKS,
        ),
    ] = False


@attrs.frozen(kw_only=True)
class Speed:
    """How much at once and how fast."""

    concurrency: Annotated[int | None, shared.concurrency("Uploads", 256)] = None
    max_concurrency: Annotated[int, shared.max_concurrency("uploads", 256)] = 8
    rate: shared.Rate = shared.DEFAULT_RATE
    max_upload_rate: Annotated[
        int | None,
        typer.Option(
            "--bwlimit",
            "--max-upload-rate",
            metavar="SIZE",
            parser=parse_bytes,
            help="Bytes a second for file uploads, for example 500k or 10M; no limit by default.",
            rich_help_panel=shared.SPEED,
        ),
    ] = None


@attrs.frozen(kw_only=True)
class GoingOn:
    """What is kept of a run for the next one."""

    journal: Annotated[
        Path | None,
        typer.Option(
            "--journal",
            metavar="PATH",
            help="Keep the journal in this file; by default it has a file of its own in the state "
            "folder (see `jobs list`).",
            show_default=False,
            rich_help_panel=_GOING_ON,
        ),
    ] = None
    no_journal: Annotated[
        bool,
        typer.Option(
            "--no-journal",
            help="Keep no journal: the next run goes by what the dataset holds alone.",
            rich_help_panel=_GOING_ON,
        ),
    ] = False
    fresh: Annotated[
        bool,
        typer.Option(
            "--fresh",
            help="Drop the journal of an earlier run and begin anew.",
            rich_help_panel=_GOING_ON,
        ),
    ] = False
    identity: Annotated[
        Literal["size+mtime", "sha256"],
        typer.Option(
            "--identity",
            help="What tells that a file is the one in the journal: size and time of change, or "
            "also the hash of its bytes, for which each is read once more.",
            rich_help_panel=_GOING_ON,
        ),
    ] = "size+mtime"
    retry_failed: Annotated[
        Path | None,
        typer.Option(
            "--retry-failed",
            metavar="REPORT",
            help="Upload what failed in an earlier run, from its report (--report FILE.json), "
            "instead of sources.",
            rich_help_panel=_GOING_ON,
        ),
    ] = None
    watch: Annotated[
        bool,
        typer.Option(
            "--watch",
            help="Keep uploading what arrives in the folders until Ctrl-C (needs the extra watch).",
            rich_help_panel=_GOING_ON,
        ),
    ] = False
    settle_after: Annotated[
        float | None,
        typer.Option("--settle-after", metavar="TIME", parser=parse_seconds, hidden=True),
    ] = None


@attrs.frozen(kw_only=True)
class Stops:
    """What ends a run before its end."""

    max_files: Annotated[
        int | None, shared.stop_at_count("--max-files", "so many images and links were sent")
    ] = None
    max_bytes_total: Annotated[int | None, shared.max_bytes_total("so many bytes were sent")] = None
    max_failures: Annotated[
        int | None, shared.stop_at_count("--max-failures", "so many items failed")
    ] = None
    max_duration: shared.MaxDuration = None


@attrs.frozen(kw_only=True)
class Telling:
    """What is said of a run."""

    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            "-n",
            help="Print what would be done, a line an item (JSON lines with --json), and send "
            "nothing.",
            rich_help_panel=shared.ACCOUNT,
        ),
    ] = False
    stats: shared.Stats = 5.0
    report: Annotated[Path | None, shared.report("the problems")] = None
