"""Medians, ratios, goals, and how they are shown."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from benchmarks.runner import Taken

_LARGE = 1_000_000  # from here on the line is what counts, not the work on each file
OURS, LOOP, THREADS, SDK = "datagym_async", "aiohttp loop", "requests threads", "official SDK"
OURS_UV, LOOP_UV = f"{OURS}, uvloop", f"{LOOP}, uvloop"
SEVERAL, IN_LOOP = f"{LOOP}, several a hop", f"{LOOP}, reads in the loop"
SEVERAL_UV, IN_LOOP_UV = f"{SEVERAL}, uvloop", f"{IN_LOOP}, uvloop"
GO = "Go's net/http"
LOOPS = frozenset({LOOP, SEVERAL, IN_LOOP})
LOOPS_UV = frozenset({LOOP_UV, SEVERAL_UV, IN_LOOP_UV})
PLAIN, PLAIN_UV = f"{OURS}, defaults", f"{OURS}, defaults, uvloop"
"""As a library's user has it who sets nothing: without a journal."""


@attrs.frozen
class Row:
    """The median of one contender's rounds with files of one size.

    Args:
        contender: Its name.
        size: Bytes a file.
        files: Files a round.
        rate: Files per second, the median.
        slowest: The slowest round's rate.
        fastest: The fastest round's rate.
        mb_per_s: Megabytes per second, the median.
        cpu_ms: Milliseconds of processor time per file, the median.
        peak_rss_mb: Megabytes of resident memory, the median of the peaks.
    """

    contender: str
    size: int
    files: int
    rate: float
    slowest: float
    fastest: float
    mb_per_s: float
    cpu_ms: float
    peak_rss_mb: float


@attrs.frozen
class Ratio:
    """How many times faster than another contender ours is, and what is aimed at.

    Args:
        size: Bytes a file.
        other: The other contender.
        ratio: Our rate by the other's, of the medians.
        goal: The least ratio aimed at, or None where none is set.
        ours: What of ours.
    """

    size: int
    other: str
    ratio: float
    goal: float | None
    ours: str = OURS

    @property
    def is_met(self) -> bool:
        """Whether the goal is met, or none is set."""
        return self.goal is None or self.ratio >= self.goal


def make_row(contender: str, size: int, rounds: Sequence[Taken]) -> Row:
    """Return the medians of rounds."""
    rates = [taken.rate for taken in rounds]
    rate = statistics.median(rates)
    return Row(
        contender=contender,
        size=size,
        files=rounds[0].files,
        rate=rate,
        slowest=min(rates),
        fastest=max(rates),
        mb_per_s=rate * size / 1e6,
        cpu_ms=statistics.median(taken.cpu_ms for taken in rounds),
        peak_rss_mb=statistics.median(taken.peak_rss for taken in rounds) / 1e6,
    )


def make_ratios(rows: Sequence[Row], *, small: int, is_pinned: bool = False) -> list[Ratio]:
    """Return our rate by each other contender's, for each size.

    Args:
        rows: What was measured.
        small: Bytes of a small file.
        is_pinned: Whether client and server had a core each; the goals are for the best loop then.
    """
    ours = {(row.contender, row.size): row.rate for row in rows if row.contender.startswith(OURS)}
    return [
        Ratio(
            row.size,
            row.contender,
            ours[us, row.size] / row.rate,
            _pinned_goal(us, row) if is_pinned else _goal(row, small=small),
            us,
        )
        for us in (OURS, PLAIN, OURS_UV, PLAIN_UV)
        for row in rows
        if not row.contender.startswith(OURS)
        and (us, row.size) in ours
        and _are_alike(us, row.contender)
    ]


def _are_alike(ours: str, other: str) -> bool:
    """Return whether both have the event loop that they would have: one kind, if any."""
    is_loop = other in LOOPS | LOOPS_UV
    return not is_loop or (ours in {OURS_UV, PLAIN_UV}) == (other in LOOPS_UV)


def _goal(row: Row, *, small: int) -> float | None:
    if row.contender in LOOPS | LOOPS_UV:
        return 0.85 if row.size < _LARGE else 0.95
    goals: Mapping[str, float] = {THREADS: 2.0, SDK: 4.0}
    return goals.get(row.contender) if row.size == small else None


def _pinned_goal(ours: str, row: Row) -> float | None:
    if row.contender not in LOOPS | LOOPS_UV:
        return None
    if row.size >= _LARGE:
        return 1.0
    return 1.4 if ours in {PLAIN, PLAIN_UV} else 1.2


def render(rows: Sequence[Row], ratios: Sequence[Ratio]) -> str:
    """Return the table that people read."""
    head = (
        f"{'size':>8} {'contender':<31} {'files':>6} {'files/s':>8} {'(slowest-fastest)':>18}"
        f" {'MB/s':>7} {'CPU ms/file':>12} {'peak RSS MB':>12}"
    )
    lines = [head, *(_line(row) for row in rows)]
    for ours in dict.fromkeys(ratio.ours for ratio in ratios):
        lines += ["", f"{'size':>8} {ours} is faster than"]
        lines += [_ratio_line(ratio) for ratio in ratios if ratio.ours == ours]
    return "\n".join(lines)


def _line(row: Row) -> str:
    spread = f"({row.slowest:.0f}-{row.fastest:.0f})"
    return (
        f"{row.size / 1000:>5.0f} kB {row.contender:<31} {row.files:>6} {row.rate:>8.0f}"
        f" {spread:>18} {row.mb_per_s:>7.1f} {row.cpu_ms:>12.3f} {row.peak_rss_mb:>12.1f}"
    )


def _ratio_line(ratio: Ratio) -> str:
    goal = (
        "" if ratio.goal is None else f"goal {ratio.goal:g}: {'met' if ratio.is_met else 'MISSED'}"
    )
    return (
        f"{ratio.size / 1000:>5.0f} kB {ratio.other:<31} {ratio.ratio:>6.2f} times  {goal}".rstrip()
    )
