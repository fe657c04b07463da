"""The options of `download`, in the groups in which its help shows them.

Each class is a group: `_options.command` makes an option of every attribute.
"""

from pathlib import Path
from typing import Annotated, Final, Literal

import attrs
import typer

from datagym_async.cli import _run_options as shared
from datagym_async.cli._connect import ClientOptions
from datagym_async.downloads import DownloadConfig

_WHAT: Final = "What to download"


@attrs.frozen(kw_only=True)
class What:
    """What is downloaded."""

    dataset: Annotated[
        str | None,
        typer.Option(
            "--dataset", "-d", metavar="NAME|ID", help="A dataset.", rich_help_panel=_WHAT
        ),
    ] = None
    project: Annotated[
        str | None,
        typer.Option(
            "--project",
            metavar="NAME|ID",
            help="All datasets of a project, each into a folder of its own; with --dataset the "
            "project whose labels and tasks count.",
            rich_help_panel=_WHAT,
        ),
    ] = None
    labels: Annotated[
        list[str] | None,
        typer.Option(
            "--labels",
            metavar="FORMAT",
            help="Write the labels beside the media: json, jsonl, coco or yolo (may be repeated).",
            rich_help_panel=_WHAT,
        ),
    ] = None
    bitmaps: Annotated[
        bool,
        typer.Option(
            "--bitmaps",
            help="Fetch the segmentation bitmaps of finished tasks, too.",
            rich_help_panel=_WHAT,
        ),
    ] = False
    links: Annotated[
        Literal["skip", "source", "service"],
        typer.Option(
            "--links",
            help="What becomes of link images: left alone, fetched from their own address without "
            "any credentials, or through the service, which encodes them anew and skips the tasks "
            "of those that it cannot fetch.",
            rich_help_panel=_WHAT,
        ),
    ] = "skip"
    allow_private_links: Annotated[
        bool,
        typer.Option(
            "--allow-private-links",
            help="Let --links source ask private and loopback addresses, too.",
            rich_help_panel=_WHAT,
        ),
    ] = False
    allow_private_store: Annotated[bool, shared.allow_private_store(_WHAT)] = False
    verify: Annotated[
        bool,
        typer.Option(
            "--verify",
            help="Hash what an earlier run has downloaded, and fetch again what has changed.",
            rich_help_panel=_WHAT,
        ),
    ] = False


@attrs.frozen(kw_only=True)
class Speed:
    """How fast."""

    concurrency: Annotated[int | None, shared.concurrency("Downloads", 64)] = None
    max_concurrency: Annotated[int, shared.max_concurrency("downloads", 64)] = 16
    rate: shared.Rate = shared.DEFAULT_RATE


@attrs.frozen(kw_only=True)
class Stops:
    """What ends a run before its end."""

    max_files: Annotated[
        int | None, shared.stop_at_count("--max-files", "so many media were asked for")
    ] = None
    max_bytes_total: Annotated[int | None, shared.max_bytes_total("so many bytes have arrived")] = (
        None
    )
    max_failures: Annotated[
        int | None, shared.stop_at_count("--max-failures", "so many media failed")
    ] = None
    max_duration: shared.MaxDuration = None


@attrs.frozen(kw_only=True)
class Telling:
    """What is said of a run."""

    stats: shared.Stats = 5.0
    report: Annotated[Path | None, shared.report("what failed")] = None


@attrs.frozen(kw_only=True)
class DownloadOptions:
    """All groups of options of `download`."""

    what: What = attrs.field(factory=What)
    speed: Speed = attrs.field(factory=Speed)
    stops: Stops = attrs.field(factory=Stops)
    telling: Telling = attrs.field(factory=Telling)


def client_options(options: DownloadOptions) -> ClientOptions:
    """Return what the client is made with."""
    speed = options.speed
    return ClientOptions(
        max_downloads=speed.max_concurrency,
        rate=speed.rate or None,
        allow_private_store=options.what.allow_private_store,
    )


def download_config(options: DownloadOptions, *, project_id: str | None = None) -> DownloadConfig:
    """Return the options of the downloader.

    Args:
        options: The options of the command.
        project_id: The project that they name.

    Raises:
        ConfigurationError: One is out of its range.
    """
    what, stops = options.what, options.stops
    return DownloadConfig(
        links=what.links,
        allow_private_links=what.allow_private_links,
        labels=tuple(what.labels or ()),
        bitmaps=what.bitmaps,
        project_id=project_id,
        verify=what.verify,
        concurrency=options.speed.concurrency,
        max_files=stops.max_files,
        max_bytes_total=stops.max_bytes_total,
        max_failures=stops.max_failures,
        max_duration=stops.max_duration,
    )
