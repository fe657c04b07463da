"""The formats that labelformat reads and writes, by the names they have here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

import attrs

from datagym_async._extras import extra_module
from datagym_async.formats._losses import FormatError

FormatName: TypeAlias = Literal["yolo", "yolo-seg", "voc", "kitti", "cvat", "lightly", "labelbox"]
"""What a format is called here."""


@attrs.frozen(kw_only=True)
class FormatInfo:
    """A format besides COCO.

    Args:
        name: What it is called here.
        outlines: Whether it holds outlines; else boxes.
        reader: Class of labelformat that reads it; empty if none does.
        writer: Class of labelformat that writes it; empty if none does.
        reads: What a reader calls its path: a file or a folder.
        splits: Whether a dataset has several parts, of which one is read.
        needs_classes: Whether a reader must be told the names of the classes.
        writes: Name of the file that a writer is given; empty if it takes the folder.
        suffix: Suffix of the file that each image has; empty if one file holds all.
        own_file: The file beside those of the images whose name none of them may have.
        label_folder: Where a reader that fails at images without such a file says its folder.
    """

    name: FormatName
    outlines: bool = False
    reader: str = ""
    writer: str = ""
    reads: Literal["input_file", "input_folder"] = "input_folder"
    splits: bool = False
    needs_classes: bool = False
    writes: str = ""
    suffix: str = ""
    own_file: str = ""
    label_folder: str = ""

    def open(self, path: Path, classes: Sequence[str], split: str) -> Any:
        """Return labelformat's reader of a file or folder.

        Raises:
            FormatError: Nothing reads it, the path is no such file or folder, the names of the
                classes are missing, or the extra ``formats`` is not installed.
        """
        if not self.reader:
            raise FormatError(f"The format {self.name} can be written, not read")
        arguments: dict[str, object] = {self.reads: path}
        if self.needs_classes:
            if not classes:
                raise FormatError(
                    f"Files of the format {self.name} do not list their classes; name them"
                )
            arguments["category_names"] = ",".join(classes)
        if self.splits:
            arguments["input_split"] = split
        reader = _class(self.reader)
        # A pipe or a device would keep labelformat waiting.
        is_file = self.reads == "input_file"
        if not (path.is_file() if is_file else path.is_dir()):
            what = "regular file" if is_file else "folder"
            raise FormatError(f"{path} cannot be read as {self.name}: it is no {what}")
        return reader(**arguments)

    def writing(self) -> Callable[[Path], Any]:
        """Return what makes labelformat's writer into a folder.

        Raises:
            FormatError: Nothing writes it, or the extra ``formats`` is not installed.
        """
        if not self.writer:
            raise FormatError(f"The format {self.name} can be read, not written")
        writer = _class(self.writer)
        if self.writes:
            return lambda folder: writer(output_file=folder / self.writes, output_split="train")
        return lambda folder: writer(output_folder=folder)


def format_info(name: str) -> FormatInfo:
    """Return what is known of a format.

    Raises:
        FormatError: There is no such format.
    """
    found = next((each for each in FORMATS if each.name == name), None)
    if found is None:
        known = ", ".join(each.name for each in FORMATS)
        raise FormatError(f"There is no format {name!r}; use one of {known}, or formats.coco")
    return found


def _class(name: str) -> Any:
    # Here, because labelformat takes a moment and is an extra.
    return getattr(extra_module("labelformat.formats", FormatError), name)


def _yolo(name: FormatName, task: str, *, outlines: bool) -> FormatInfo:
    return FormatInfo(
        name=name,
        outlines=outlines,
        reader=f"YOLOv8{task}Input",
        writer=f"YOLOv8{task}Output",
        reads="input_file",
        splits=True,
        writes="data.yaml",
        suffix=".txt",
        label_folder="_labels_dir",
    )


FORMATS: Final = (
    _yolo("yolo", "ObjectDetection", outlines=False),
    _yolo("yolo-seg", "InstanceSegmentation", outlines=True),
    FormatInfo(
        name="voc",
        reader="PascalVOCObjectDetectionInput",
        writer="PascalVOCObjectDetectionOutput",
        needs_classes=True,
        suffix=".xml",
    ),
    FormatInfo(
        name="kitti",
        reader="KittiObjectDetectionInput",
        writer="KittiObjectDetectionOutput",
        needs_classes=True,
        suffix=".txt",
        label_folder="_input_folder",
    ),
    FormatInfo(
        name="cvat",
        reader="CVATObjectDetectionInput",
        writer="CVATObjectDetectionOutput",
        reads="input_file",
    ),
    FormatInfo(
        name="lightly",
        reader="LightlyObjectDetectionInput",
        writer="LightlyObjectDetectionOutput",
        suffix=".json",
        own_file="schema.json",
    ),
    FormatInfo(
        name="labelbox",
        reader="LabelboxObjectDetectionInput",
        reads="input_file",
        needs_classes=True,
    ),
)
"""All formats besides COCO."""
