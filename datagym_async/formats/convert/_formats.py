"""The formats that labelformat reads and writes, by the names they have here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

import attrs

from datagym_async._extras import extra_module
from datagym_async.formats._errors import FormatError

FormatName: TypeAlias = Literal["yolo", "yolo-seg", "voc", "kitti", "cvat", "lightly", "labelbox"]
"""What a format is called here."""


@attrs.frozen(kw_only=True)
class ReadOptions:
    """What a reader may need besides a path.

    Args:
        path: The file or folder.
        classes: Names of the classes, joined by commas; empty where the files say them.
        split: Name of the split.
    """

    path: Path
    classes: str = ""
    split: str = "train"


@attrs.frozen(kw_only=True)
class FormatInfo:
    """A format besides COCO.

    Args:
        name: What it is called here.
        outlines: Whether it holds outlines; else boxes.
        reader: Class of labelformat that reads it; empty if none does.
        writer: Class of labelformat that writes it; empty if none does.
        needs_classes: Whether a reader must be told the names of the classes.
        suffix: Suffix of the file that each image has; empty if one file holds all.
        own_file: The file beside those of the images whose name none of them may have.
        label_folder: Where a reader that fails at images without such a file says its folder.
        arguments: Gives what a reader is made with.
        target: Gives what a writer is made with, for a folder.
    """

    name: FormatName
    outlines: bool = False
    reader: str = ""
    writer: str = ""
    needs_classes: bool = False
    suffix: str = ""
    own_file: str = ""
    label_folder: str = ""
    arguments: Callable[[ReadOptions], Mapping[str, Any]]
    target: Callable[[Path], Mapping[str, Any]]

    def open(self, options: ReadOptions) -> Any:
        """Return labelformat's reader of a file or folder.

        Raises:
            FormatError: Nothing reads it, the names of the classes are missing, or the extra
                ``formats`` is not installed.
        """
        if not self.reader:
            raise FormatError(f"The format {self.name} can be written, not read")
        if self.needs_classes and not options.classes:
            raise FormatError(
                f"Files of the format {self.name} do not list their classes; name them"
            )
        return _class(self.reader)(**self.arguments(options))

    def writing(self) -> Callable[[Path], Any]:
        """Return what makes labelformat's writer into a folder.

        Raises:
            FormatError: Nothing writes it, or the extra ``formats`` is not installed.
        """
        if not self.writer:
            raise FormatError(f"The format {self.name} can be read, not written")
        writer = _class(self.writer)
        return lambda folder: writer(**self.target(folder))


def format_info(name: str) -> FormatInfo:
    """Return what is known of a format.

    Raises:
        FormatError: Nothing is.
    """
    found = next((each for each in FORMATS if each.name == name), None)
    if found is None:
        known = ", ".join(each.name for each in FORMATS)
        raise FormatError(f"There is no format {name!r}; use one of {known}, or formats.coco")
    return found


def _class(name: str) -> Any:
    # Here, because labelformat takes a moment and is an extra.
    return getattr(extra_module("labelformat.formats", FormatError), name)


def _yolo(options: ReadOptions) -> Mapping[str, Any]:
    return {"input_file": options.path, "input_split": options.split}


def _folder(options: ReadOptions) -> Mapping[str, Any]:
    return {"input_folder": options.path}


def _folder_and_classes(options: ReadOptions) -> Mapping[str, Any]:
    return {"input_folder": options.path, "category_names": options.classes}


def _file(options: ReadOptions) -> Mapping[str, Any]:
    return {"input_file": options.path}


def _file_and_classes(options: ReadOptions) -> Mapping[str, Any]:
    return {"input_file": options.path, "category_names": options.classes}


def _yolo_target(folder: Path) -> Mapping[str, Any]:
    return {"output_file": folder / "data.yaml", "output_split": "train"}


def _folder_target(folder: Path) -> Mapping[str, Any]:
    return {"output_folder": folder}


FORMATS: Final = (
    FormatInfo(
        name="yolo",
        reader="YOLOv8ObjectDetectionInput",
        writer="YOLOv8ObjectDetectionOutput",
        suffix=".txt",
        label_folder="_labels_dir",
        arguments=_yolo,
        target=_yolo_target,
    ),
    FormatInfo(
        name="yolo-seg",
        outlines=True,
        reader="YOLOv8InstanceSegmentationInput",
        writer="YOLOv8InstanceSegmentationOutput",
        suffix=".txt",
        label_folder="_labels_dir",
        arguments=_yolo,
        target=_yolo_target,
    ),
    FormatInfo(
        name="voc",
        reader="PascalVOCObjectDetectionInput",
        writer="PascalVOCObjectDetectionOutput",
        needs_classes=True,
        suffix=".xml",
        arguments=_folder_and_classes,
        target=_folder_target,
    ),
    FormatInfo(
        name="kitti",
        reader="KittiObjectDetectionInput",
        writer="KittiObjectDetectionOutput",
        needs_classes=True,
        suffix=".txt",
        label_folder="_input_folder",
        arguments=_folder_and_classes,
        target=_folder_target,
    ),
    FormatInfo(
        name="cvat",
        reader="CVATObjectDetectionInput",
        writer="CVATObjectDetectionOutput",
        arguments=_file,
        target=_folder_target,
    ),
    FormatInfo(
        name="lightly",
        reader="LightlyObjectDetectionInput",
        writer="LightlyObjectDetectionOutput",
        suffix=".json",
        own_file="schema.json",
        arguments=_folder,
        target=_folder_target,
    ),
    FormatInfo(
        name="labelbox",
        reader="LabelboxObjectDetectionInput",
        needs_classes=True,
        arguments=_file_and_classes,
        target=_folder_target,
    ),
)
"""All formats besides COCO."""
