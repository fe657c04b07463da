"""Pages from templates: everything that comes into one is escaped, and nothing is fetched."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, Final

from datagym_async._extras import extra_module
from datagym_async._printable import printable

if TYPE_CHECKING:
    from jinja2 import Environment

    from datagym_async.look._stats import Histogram, LabelStatistics

_BARS: Final = 24
"""Bars of a chart at most; the others are one more."""


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
    """Return a page of a template; texts are fit for any screen and escaped."""
    return _environment().get_template(template).render(**values)


def statistics_page(statistics: LabelStatistics) -> str:
    """Return statistics as a page that needs nothing besides itself."""
    cards = [
        ("images", statistics.images),
        ("labelled", statistics.labelled),
        ("objects", statistics.objects),
        ("classes", len(statistics.classes)),
    ]
    return page("stats.html", s=statistics, cards=cards, charts=_charts(statistics))


def statistics_svg(statistics: LabelStatistics) -> str:
    """Return the charts of statistics as one SVG document."""
    placed, y = [], 16
    for title, rows in _charts(statistics):
        placed.append((y, title, rows))
        y += 46 + 22 * len(rows)
    return page("stats.svg", placed=placed, height=y)


def _charts(statistics: LabelStatistics) -> list[tuple[str, Histogram]]:
    classes = tuple((each.key, each.objects) for each in statistics.classes)
    found = (
        ("Objects by class", classes),
        ("Images by state", tuple(statistics.states.items())),
        ("Objects by size", statistics.sizes),
        ("Images by number of objects", statistics.per_image),
        ("Images by size", statistics.image_sizes),
        ("Media by kind", statistics.kinds),
    )
    return [(title, few(rows)) for title, rows in found if rows]


def few(rows: Histogram) -> Histogram:
    """Return the first rows, and what the others sum up to."""
    rest = sum(count for _, count in rows[_BARS:])
    return (*rows[:_BARS], *([("others", rest)] if rest else []))
