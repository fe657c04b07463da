"""From the command line to the options of client and uploader: a table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import typer
import typer.main

from datagym_async import ConfigurationError, UploadConfig
from datagym_async.cli._app import app
from datagym_async.cli._connect import ClientOptions
from datagym_async.cli._errors import CommandError
from datagym_async.cli._options import gathered, own_parameters
from datagym_async.cli._screen import parse_bytes, parse_seconds
from datagym_async.cli._upload import (
    Options,
    check_together,
    client_options,
    upload,
    upload_config,
)


def options_of(*argv: str) -> Options:
    """Return what the command line makes of its arguments."""
    command: Any = typer.main.get_command(app)  # typer's own classes
    command = command.commands["upload"]
    context = command.make_context("upload", ["photos", "-d", "Photos", *argv])
    found = gathered(own_parameters(upload), context.params)["options"]
    assert isinstance(found, Options)
    return found


DEFAULT = UploadConfig(journal=True)


def test_without_options() -> None:
    """Only the journal differs from the library: the command line keeps one."""
    assert upload_config(options_of()) == DEFAULT
    assert client_options(options_of()) == ClientOptions()


@pytest.mark.parametrize(
    ("argv", "name", "value"),
    [
        ("--max-per-dataset 2000", "max_per_dataset", 2000),
        ("--no-skip", "skip_existing", False),
        ("--include *.jpg --include *.png", "include", ("*.jpg", "*.png")),
        ("--exclude thumbs", "exclude", ("thumbs",)),
        ("--hidden", "include_hidden", True),
        ("--symlinks follow", "symlinks", "follow"),
        ("--name relative", "name", "relative"),
        ("--name {parent}_{name}", "name", "{parent}_{name}"),
        ("--name-separator __", "name_separator", "__"),
        ("--on-clash rename", "on_clash", "rename"),
        ("--check decode", "check", "decode"),
        ("--max-bytes 15M", "max_bytes", 15_000_000),
        ("--check-links", "check_links", True),
        ("--check-links --allow-private-links", "allow_private_links", True),
        ("--verify all", "verify", "all"),
        ("--remove-doubles", "remove_doubles", True),
        ("--concurrency 3", "concurrency", 3),
        ("--max-concurrency 64", "concurrency", None),
        ("--journal my.journal", "journal", Path("my.journal")),
        ("--no-journal", "journal", False),
        ("--fresh", "fresh", True),
        ("--identity sha256", "identity", "sha256"),
        ("--max-files 20", "max_files", 20),
        ("--max-bytes-total 50G", "max_bytes_total", 50_000_000_000),
        ("--max-failures 5", "max_failures", 5),
        ("--max-duration 1h30m", "max_duration", 5400.0),
    ],
)
def test_options_of_the_uploader(argv: str, name: str, value: object) -> None:
    """Each option reaches the option of the library that has its name."""
    assert getattr(upload_config(options_of(*argv.split())), name) == value


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        ("--concurrency 3", ClientOptions(concurrency=3)),
        ("--max-concurrency 64", ClientOptions(max_uploads=64)),
        ("--rate 0", ClientOptions(rate=None)),
        ("--rate 12.5", ClientOptions(rate=12.5)),
        ("--bwlimit 500k", ClientOptions(max_upload_rate=500_000)),
        ("--max-upload-rate 1.5MiB/s", ClientOptions(max_upload_rate=1_572_864)),
        ("--settle-after 100ms", None),
        ("--settle-after 0.1", ClientOptions(settle_after=0.1)),
        ("--verify all --allow-private-store", ClientOptions(allow_private_store=True)),
    ],
)
def test_options_of_the_client(argv: str, expected: ClientOptions | None) -> None:
    """Speed is the client's business."""
    if expected is None:
        with pytest.raises(typer.BadParameter, match="no length of time"):
            options_of(*argv.split())
    else:
        assert client_options(options_of(*argv.split())) == expected


def test_projects_come_as_ids() -> None:
    """Projects are looked up by name, and handed on by id."""
    options = options_of("--project", "Streets", "--project", "Parks")
    assert options.where.project == ["Streets", "Parks"]
    assert upload_config(options, attach_to=["id"]).attach_to == ("id",)


@pytest.mark.parametrize(
    "argv", ["--name nope", "--name {nope}", "--include /", "--max-duration 0", "--max-bytes 0"]
)
def test_what_the_library_refuses(argv: str) -> None:
    """What the command line does not know to be wrong the library does."""
    with pytest.raises(ConfigurationError):
        upload_config(options_of(*argv.split()))


def test_what_goes_together() -> None:
    """Sources and a dataset are needed, unless a report stands for both."""
    check_together(options_of(), ["photos"])
    with pytest.raises(CommandError, match="SOURCE"):
        check_together(options_of(), [])
    check_together(options_of("--retry-failed", "report.json"), [])
    with pytest.raises(CommandError, match="--retry-failed"):
        check_together(options_of("--retry-failed", "report.json"), ["photos"])


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("0", 0),
        ("7", 7),
        ("500k", 500_000),
        ("1.5 GB", 1_500_000_000),
        ("64Mi", 67_108_864),
        ("10MB/s", 10_000_000),
        ("2 TiB", 2_199_023_255_552),
    ],
)
def test_sizes(text: str, count: int) -> None:
    """Sizes have decimal units, or binary ones with an i."""
    assert parse_bytes(text) == count


@pytest.mark.parametrize("text", ["", "M", "-1", "1.2.3", "1X", "nan", "ten"])
def test_no_sizes(text: str) -> None:
    """What is no size is refused with examples."""
    with pytest.raises(typer.BadParameter, match="500k"):
        parse_bytes(text)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0", 0), ("90", 90), ("1.5s", 1.5), ("30m", 1800), ("1h30m", 5400), ("2D", 172_800)],
)
def test_lengths_of_time(text: str, seconds: float) -> None:
    """Times are seconds, or have units."""
    assert parse_seconds(text) == seconds


@pytest.mark.parametrize("text", ["", "m", "-1", "1h 30", "1.2.3h", "inf", "soon"])
def test_no_lengths_of_time(text: str) -> None:
    """What is no length of time is refused with examples."""
    with pytest.raises(typer.BadParameter, match="1h30m"):
        parse_seconds(text)
