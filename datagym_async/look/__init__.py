"""To look at: labels drawn on images, statistics, galleries, contact sheets, reports as pages.

In reading order:

* `_marks`: what is drawn of labels: paths, colours, captions; labels as SVG
* `_drawing`: labels drawn on images by Pillow
* `_notebook`: what notebooks show of values

Drawing and pages need ``datagym-async[look]``; SVG needs nothing.
"""

from __future__ import annotations

from datagym_async._public import publish
from datagym_async.look._drawing import draw
from datagym_async.look._marks import colors_of, svg

__all__ = ["colors_of", "draw", "svg"]

publish(globals())
