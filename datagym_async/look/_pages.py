"""Pages of statistics and of runs, from templates. All values are escaped, nothing is fetched."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import attrs

from datagym_async._extras import extra_module
from datagym_async._printable import printable
from datagym_async._runs._text import size
from datagym_async.look._stats import binned

if TYPE_CHECKING:
    from jinja2 import Environment

    from datagym_async._limits import LimiterState, SessionStatistics
    from datagym_async._runs._text import BulkReport
    from datagym_async.downloads import DownloadProgress
    from datagym_async.look._stats import Histogram, LabelStatistics
    from datagym_async.uploads import UploadProgress

_BARS: Final = 24  # bars of a chart; the rest is one more


@cache
def _environment() -> Environment:
    jinja2: Any = extra_module("jinja2")
    made: Environment = jinja2.Environment(
        loader=jinja2.PackageLoader("datagym_async.look", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: printable(value) if type(value) is str else value,
    )
    loader: Any = made.loader
    made.globals["style"] = loader.get_source(made, "style.css")[0]
    return made


def page(template: str, **values: object) -> str:
    """Return a page from a template; texts are escaped and printable."""
    return _environment().get_template(template).render(**values)


def statistics_page(statistics: LabelStatistics) -> str:
    """Return statistics as a self-contained page."""
    return page("stats.html", s=statistics, charts=_charts_of(statistics))


def statistics_svg(statistics: LabelStatistics) -> str:
    """Return the charts of statistics as one SVG document."""
    placed, y = [], 16
    for title, rows in _charts_of(statistics):
        placed.append((y, title, rows))
        y += 46 + 22 * len(rows)
    return page("stats.svg", placed=placed, height=y)


def _charts_of(statistics: LabelStatistics) -> list[tuple[str, Histogram]]:
    classes = tuple((each.key, each.objects) for each in statistics.classes)
    found = (
        ("Objects by class", classes),
        ("Images by state", tuple((each.lower(), n) for each, n in statistics.states.items())),
        ("Objects by size", statistics.sizes),
        ("Images by number of objects", statistics.per_image),
        ("Images by size", statistics.image_sizes),
    )
    return [(title, few(rows)) for title, rows in found if rows]


def few(rows: Histogram) -> Histogram:
    """Return the first rows, and the sum of the others."""
    rest = sum(count for _, count in rows[_BARS:])
    return (*rows[:_BARS], *([("others", rest)] if rest else []))


# --- The report of an upload or download, and how it went over time ------------------------------

_MOMENTS: Final = 400
_WIDE, _HIGH = 400.0, 130.0  # of the field of a chart, in its units
_COUNTS: Final = frozenset(
    ("uploaded", "downloaded", "present", "skipped", "rejected", "failed", "pending", "unsettled")
)


class Moment(NamedTuple):
    seconds: float
    items: int
    bytes: int
    in_flight: int
    limit: int
    p50: float
    p95: float


@attrs.define
class RunRecord:
    """A run over time: at most 400 moments, at even distances that grow with its length."""

    moments: list[Moment] = attrs.field(factory=list)
    seconds: Counter[int] = attrs.field(factory=Counter)  # items by bits of their milliseconds
    _every: float = 0.25

    def note(
        self,
        progress: UploadProgress | DownloadProgress,
        limiter: LimiterState,
        statistics: SessionStatistics,
    ) -> None:
        if self.moments and progress.seconds < self.moments[-1].seconds + self._every:
            return
        done = progress.seconds, progress.items_done, progress.bytes_done, progress.in_flight
        self.moments.append(Moment(*done, limiter.limit, statistics.p50, statistics.p95))
        if len(self.moments) > _MOMENTS:
            self.moments, self._every = self.moments[::2], self._every * 2

    def took(self, seconds: float) -> None:
        self.seconds[int(seconds * 1000).bit_length()] += 1


def run_page(report: BulkReport, record: RunRecord | None = None) -> str:
    """Return the report of a run as a self-contained page."""
    whole = report.to_dict()
    cards = [(name, f"{whole[name]:,}") for name in sorted(_COUNTS & whole.keys()) if whole[name]]
    cards = [("planned", f"{whole['planned']:,}"), *cards, ("of data", size(whole["bytes"]))]
    columns = [name for name in report.COLUMNS if any(row[name] for row in whole["problems"])]
    hidden = {"problems", "problems_omitted", "summary", "advice", "schema", "notes"}
    facts = [
        (name.replace("_", " "), value)
        for name, value in whole.items()
        if name not in hidden and isinstance(value, str | int | float) and value not in ("", 0)
    ]
    return page(
        "run.html",
        report=whole,
        advice=whole.get("advice", ""),
        notes=whole.get("notes", ()),
        cards=cards,
        facts=facts,
        columns=columns,
        charts=_charts(record.moments) if record else [],
        took=binned(record.seconds, " ms") if record else (),
    )


def _charts(moments: Sequence[Moment]) -> list[dict[str, Any]]:
    if len(moments) < 2:
        return []
    seconds, items, sizes, in_flight, limit, p50, p95 = zip(*moments, strict=True)

    def rate(values: Sequence[float]) -> list[float]:
        steps = zip(pairwise(values), pairwise(seconds), strict=True)
        return [max(0.0, (b - a) / (end - start)) for (a, b), (start, end) in steps]

    return [
        _chart("Items a second", "{:,.1f}/s", seconds[1:], rate(items)),
        _chart("Bytes a second", "", seconds[1:], rate(sizes)),
        _chart("Limit, and in flight (dashed)", "{:,.0f}", seconds, limit, in_flight),
        _chart("Latency of requests: median, 95 % (dashed)", "{:,.2f} s", seconds, p50, p95),
    ]


def _chart(
    title: str, unit: str, seconds: Sequence[float], *lines: Sequence[float]
) -> dict[str, Any]:
    """Return a chart of lines over time: their paths, and the texts at its corners."""
    most, end = max(map(max, lines)) or 1.0, seconds[-1]
    across = [f"{_WIDE * at / end:.1f}" for at in seconds]
    down = [[f"{_HIGH * (1 - value / most):.1f}" for value in line] for line in lines]
    paths = ["M" + "L".join(map(" ".join, zip(across, line, strict=True))) for line in down]
    text = unit.format(most) if unit else f"{size(most)}/s"
    return {"title": title, "most": text, "end": f"{end:,.1f} s", "paths": paths}
