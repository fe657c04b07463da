"""From the command line to the options of client and uploader: a table."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import pytest
import typer

from datagym_async import ConfigurationError, DataGymClient, UploadConfig
from datagym_async.cli import (
    DOWNLOAD,
    UPLOAD,
    arguments_of,
    load,
    parse_bytes,
    parse_seconds,
    upload,
)
from datagym_async.downloads import DownloadConfig

if TYPE_CHECKING:
    from datagym_async.cli import OptionTable
    from tests.cli.conftest import Cli


def arguments(*argv: str) -> dict[str, Any]:
    """Return what the command gets of its arguments."""
    context = load("upload").make_context("upload", ["photos", "-d", "Photos", *argv])
    return arguments_of(upload, dict(context.params), UPLOAD)


def upload_config(*argv: str) -> UploadConfig:
    """Return the options of the uploader that the command line makes of its arguments."""
    return UploadConfig(**arguments(*argv)["given"].config)


DEFAULT = UploadConfig(journal=True)
CLIENT = {
    "max_uploads": 8,
    "rate_limit": 200.0,
    "max_upload_rate": None,
    "allow_private_store": False,
}


def test_without_options() -> None:
    """Only the journal differs from the library: the command line keeps one."""
    assert upload_config() == DEFAULT
    assert arguments()["given"].client == CLIENT


@pytest.mark.parametrize(
    ("argv", "name", "value"),
    [
        ("--max-per-dataset 2000", "max_per_dataset", 2000),
        ("--max-per-dataset auto", "max_per_dataset", "auto"),
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
        ("--prepare orientation,resize=4096", "prepare", ("orientation", "resize=4096")),
        ("--prepare convert --prepare resize=99", "prepare", ("convert", "resize=99")),
        ("--dedupe skip", "dedupe", "skip"),
        ("--check-links", "check_links", True),
        ("--check-links --allow-private-links", "allow_private_links", True),
        ("--verify all", "verify", "all"),
        ("--remove-doubles", "remove_doubles", True),
        ("--concurrency 3", "concurrency", 3),
        ("--max-concurrency 64", "concurrency", None),
        ("--journal my.journal", "journal", Path("my.journal")),
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
    assert getattr(upload_config(*argv.split()), name) == value


def test_no_journal() -> None:
    """It is the command that refuses the journal; the uploader then gets False."""
    assert arguments("--no-journal")["no_journal"] is True


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        ("--max-concurrency 64", {"max_uploads": 64}),
        ("--rate 0", {"rate_limit": None}),
        ("--rate 12.5", {"rate_limit": 12.5}),
        ("--bwlimit 500k", {"max_upload_rate": 500_000}),
        ("--max-upload-rate 1.5MiB/s", {"max_upload_rate": 1_572_864}),
        ("--verify all --allow-private-store", {"allow_private_store": True}),
    ],
)
def test_options_of_the_client(argv: str, expected: dict[str, object]) -> None:
    """Speed is the client's business."""
    given = arguments(*argv.split())["given"].client
    assert given == CLIENT | expected
    DataGymClient("t" * 32, **given)  # which takes them by these names


def test_the_time_before_a_lost_answer_is_looked_up() -> None:
    """It is for tests, and hidden; a length of time as all are."""
    assert arguments("--settle-after", "0.1")["settle_after"] == 0.1
    with pytest.raises(typer.BadParameter, match="not a length of time"):
        arguments("--settle-after", "100ms")


def test_projects_are_named() -> None:
    """Projects are looked up by name by the command, and handed on by id."""
    given = arguments("--project", "Streets", "--project", "Parks")
    assert given["project"] == ["Streets", "Parks"]
    assert given["given"].config.get("attach_to") is None


PROGRAMS_ONLY = {"batch_size", "max_bytes_in_flight", "max_problems", "on_event", "verify_sample"}
"""What nobody sets from a shell."""


@pytest.mark.parametrize(
    ("table", "left_out"),
    [(UPLOAD, PROGRAMS_ONLY), (DOWNLOAD, {"max_bytes", "max_problems", "on_event"})],
    ids=["upload", "download"],
)
def test_every_option_of_the_library_has_a_flag(table: OptionTable, left_out: set[str]) -> None:
    """A new field of a configuration gets a row, or is said to be for programs alone."""
    fields = {each.name for each in attrs.fields(table.config)}
    assert fields - {row.library_name for row in table.rows} == left_out


def test_download_without_options() -> None:
    """Nothing differs from the library."""
    context = load("download").make_context("download", ["out", "-d", "Photos"])
    given = DOWNLOAD.take(dict(context.params), dict.fromkeys(_OF_DOWNLOAD))  # type: ignore[arg-type]
    assert DownloadConfig(**given.config) == DownloadConfig()


_OF_DOWNLOAD = (
    *("dataset", "project", "stats", "report"),
    *("lossy_ok", "scheduler", "workers_local"),
)


@pytest.mark.parametrize(
    "argv",
    [
        "--name nope",
        "--name {nope}",
        "--include /",
        "--max-duration 0",
        "--max-bytes 0",
        "--prepare turn",
    ],
)
def test_what_the_library_refuses(argv: str) -> None:
    """What the command line does not know to be wrong the library does."""
    with pytest.raises(ConfigurationError):
        upload_config(*argv.split())


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["-d", "d"], "SOURCE"),
        (["--retry-failed", "report.json", "photos"], "--retry-failed"),
        (["--retry-failed", "report.json"], "The token file"),
    ],
)
def test_what_goes_together(cli: Cli, argv: list[str], words: str) -> None:
    """Sources and a dataset are needed, unless a report stands for both."""
    ran = cli("upload", *argv, "--token-file", "nowhere")
    assert ran.status == 2
    assert words in ran.err


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


@pytest.mark.parametrize("text", ["", "M", "-1", "1.2.3", "1X", "nan", "ten", "9" * 300 + "T"])
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


@pytest.mark.parametrize(
    "text", ["", "m", "-1", "1h 30", "1.2.3h", "inf", "soon", "9" * 15, "9999999d"]
)
def test_no_lengths_of_time(text: str) -> None:
    """What is not a length of time is refused with examples."""
    with pytest.raises(typer.BadParameter, match="1h30m"):
        parse_seconds(text)


@pytest.mark.parametrize(
    "words", [("upload", "photos", "-d", "Photos"), ("download", "out", "-d", "Photos")]
)
def test_one_cluster_at_a_time(cli: Cli, words: tuple[str, ...]) -> None:
    """Processes of this machine or the workers of a scheduler: said before a token is asked for."""
    ran = cli(*words, "--scheduler", "tcp://127.0.0.1:9", "--workers-local", "2")
    assert ran.status == 2
    assert "Use --workers-local or --scheduler, not both." in ran.err
