"""Views of labels: drawings on images, statistics, galleries, contact sheets, reports as pages.

In reading order:

* `_marks`: labels as paths, colours and captions; labels as SVG, and drawn on images with Pillow
* `_notebook`: how notebooks show values
* `_overlap`: the overlap of shapes, and the comparison of two sets of labels
* `_stats`: statistics of labels, counted image by image
* `_subjects`: the images of a project, a dataset or a folder; files of labels
* `_thumbnails`: made in processes; `_gallery`: a folder that a browser opens from the disk
* `_sheet`: a contact sheet
* `_pages`, with `templates/`: self-contained pages of statistics and of runs

Drawings and pages need ``datagym-async[look]``; SVG needs no extra.
"""

from __future__ import annotations

import os

from datagym_async._checks import checked
from datagym_async._files import from_home as _from_home
from datagym_async._files import to_path as _to_path
from datagym_async._public import publish
from datagym_async.look._marks import colors_of as colors_of, draw as draw, svg as svg
from datagym_async.look._gallery import (
    Gallery as Gallery,
    GalleryOptions as GalleryOptions,
    build_gallery as build_gallery,
)
from datagym_async.look._overlap import Comparison as Comparison, compare as compare
from datagym_async.look._sheet import Choice as Choice, build_sheet as build_sheet
from datagym_async.look._stats import (
    AnswerCount as AnswerCount,
    ClassCount as ClassCount,
    FindingCount as FindingCount,
    LabelStatistics as LabelStatistics,
)
from datagym_async.look._subjects import of_folder as _of_folder, stats as stats


@checked
async def gallery(
    folder: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    labels: str | os.PathLike[str] | None = None,
    options: GalleryOptions = GalleryOptions(),  # noqa: B008 -- a frozen value
) -> Gallery:
    """Make a gallery of the images in a folder: a page that a browser opens from the disk.

    Args:
        folder: The folder of the images, with its subfolders. The page links to them.
        output: Folder to write to: a new or empty one, or that of an earlier gallery.
        labels: A file or folder of labels in any format that an import takes; None for the labels
            in the folder of the images, if there are some.
        options: How the gallery is made.

    Raises:
        ConfigurationError: There is no image, the output cannot be used, or an extra is missing.
        FormatError: The labels have no known format.
        OSError: Something cannot be read, or the output cannot be written.
    """
    given = _to_path("labels", labels)
    place, images = _from_home(output, what="output"), _from_home(folder, what="folder")
    looked = await _of_folder(images, given, options.images, options.classes)
    return await build_gallery(looked, place, options)


publish(globals())
