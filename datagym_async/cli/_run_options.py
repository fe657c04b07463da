"""Options that `upload` and `download` share, and the groups in which their help shows them.

An option that means the same in both is a type here; one whose limits or words differ is made by a
function.
"""

from typing import Annotated, Any, Final, TypeAlias

import typer

from datagym_async.cli._screen import parse_bytes, parse_seconds

SPEED: Final = "Speed"
STOPS: Final = "When to stop before the end (no limits by default; the same command goes on)"
ACCOUNT: Final = "Display and report"

Rate: TypeAlias = Annotated[
    float,
    typer.Option(
        "--rate",
        metavar="N",
        min=0,
        help="Requests a second; 0 for no limit.",
        show_default="200",
        rich_help_panel=SPEED,
    ),
]
DEFAULT_RATE: Final = 200.0

MaxDuration: TypeAlias = Annotated[
    float | None,
    typer.Option(
        "--max-duration",
        metavar="TIME",
        parser=parse_seconds,
        help="Stop after so long, for example 30m or 2h; a plain number is seconds.",
        rich_help_panel=STOPS,
    ),
]

Stats: TypeAlias = Annotated[
    float,
    typer.Option(
        "--stats",
        metavar="SECONDS",
        parser=parse_seconds,
        show_default="5",
        help="Seconds between two lines of progress where no terminal is; 0 for none.",
        rich_help_panel=ACCOUNT,
    ),
]


# typer.Option() returns Any, so that it can stand as a default.


def allow_private_store(panel: str) -> Any:
    """Return ``--allow-private-store``.

    Args:
        panel: Its group.
    """
    return typer.Option(
        "--allow-private-store",
        help="Fetch media from where the service says even if that is a private or loopback "
        "address: for installations whose store is private.",
        rich_help_panel=panel,
    )


def concurrency(what: str, most: int) -> Any:
    """Return ``--concurrency``.

    Args:
        what: What is in flight, with a capital.
        most: The highest number.
    """
    return typer.Option(
        "--concurrency",
        metavar="N",
        min=1,
        max=most,
        help=f"{what} in flight at once, 1 to {most}, fixed; by default the best number is found "
        "out as it goes.",
        rich_help_panel=SPEED,
    )


def max_concurrency(what: str, most: int) -> Any:
    """Return ``--max-concurrency``.

    Args:
        what: What is in flight.
        most: The highest number.
    """
    return typer.Option(
        "--max-concurrency",
        metavar="N",
        min=1,
        max=most,
        help=f"The most {what} in flight that may be found out.",
        rich_help_panel=SPEED,
    )


def stop_at_count(flag: str, when: str) -> Any:
    """Return an option that ends a run at a count.

    Args:
        flag: Its name.
        when: When that is, for example ``"so many items failed"``.
    """
    return typer.Option(flag, metavar="N", min=1, help=f"Stop after {when}.", rich_help_panel=STOPS)


def max_bytes_total(when: str) -> Any:
    """Return ``--max-bytes-total``.

    Args:
        when: When the run ends.
    """
    return typer.Option(
        "--max-bytes-total",
        metavar="SIZE",
        parser=parse_bytes,
        help=f"Stop after {when}, for example 50G.",
        rich_help_panel=STOPS,
    )


def report(rows: str) -> Any:
    """Return ``--report``.

    Args:
        rows: What the rows of a CSV file are.
    """
    return typer.Option(
        "--report",
        metavar="FILE",
        help=f"Write the report: FILE.json with everything, FILE.csv with {rows}.",
        rich_help_panel=ACCOUNT,
    )
