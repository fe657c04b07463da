"""To look at: labels drawn on images, statistics, galleries, contact sheets, reports as pages.

In reading order:

* `_marks`: what is drawn of labels: paths, colours, captions; labels as SVG
* `_drawing`: labels drawn on images by Pillow
* `_notebook`: what notebooks show of values
* `_overlap`: how much shapes overlap, and what two sets of labels agree on
* `_stats`: statistics of labels, counted as they come
* `_subjects`: what is looked at: the images of a project, a dataset or a folder; files of labels
* `_pages`, with `templates/`: pages that need nothing besides themselves

Drawing and pages need ``datagym-async[look]``; SVG needs nothing.
"""

from __future__ import annotations

import os
from pathlib import Path

from datagym_async._public import publish
from datagym_async.look._drawing import draw, require_look
from datagym_async.look._marks import colors_of, svg
from datagym_async.look._overlap import Comparison, compare
from datagym_async.look._stats import AnswerCount, ClassCount, FindingCount, LabelStatistics
from datagym_async.look._subjects import file_statistics

__all__ = [
    "AnswerCount",
    "ClassCount",
    "Comparison",
    "FindingCount",
    "LabelStatistics",
    "colors_of",
    "compare",
    "draw",
    "stats",
    "svg",
]


async def stats(path: str | os.PathLike[str], *, tiny: float = 4.0) -> LabelStatistics:
    """Return what the labels of a file hold.

    Args:
        path: An export of the service or predictions (``.json``, ``.jsonl``), which are read as
            they come; COCO (``.json``); YOLO (``data.yaml``).
        tiny: Pixels that a side of a tiny object is shorter than.

    Raises:
        FormatError: It holds labels in no way that is known here.
        ConfigurationError: An extra is not installed.
        OSError: It cannot be read.
    """
    require_look("look.stats")
    return await file_statistics(Path(path), tiny=tiny)


publish(globals())
