"""Predictions as plain dictionaries and lists, typed, and what became of them."""

from __future__ import annotations

from typing import NotRequired, TypeAlias, TypedDict

Coordinate: TypeAlias = float | str | None
"""Pixels; None or the text "null" where the service has no value; digits as text in imports."""

ClassificationItem: TypeAlias = "str | dict[str, list[ClassificationItem]] | None"
"""A value of a classification (None: unset), or one nested classification under its key."""

Classifications: TypeAlias = dict[str, list[ClassificationItem]]
"""Entry key to its values, followed by one dictionary for each nested classification."""


class PointPayload(TypedDict):
    """A point in pixels, origin top left."""

    x: Coordinate
    y: Coordinate


class RectanglePayload(TypedDict):
    """A rectangle in pixels: its upper left corner, width and height."""

    x: Coordinate
    y: Coordinate
    w: Coordinate
    h: Coordinate


class GeometryPayload(TypedDict, total=False):
    """One labelled geometry: exactly one of the geometry members, and what hangs on it."""

    point: list[PointPayload]
    line: list[PointPayload]
    polygon: list[PointPayload]
    rectangle: list[RectanglePayload]
    image_segmentation: list[list[PointPayload]]
    geometry: list[PointPayload | RectanglePayload]
    classifications: Classifications
    nested_geometries: dict[str, list[GeometryPayload]]


Geometries: TypeAlias = dict[str, list[GeometryPayload]]
"""Entry key to the geometries of that entry."""


class Prediction(TypedDict):
    """Labels of one media, to be imported."""

    internal_media_ID: str
    keepData: NotRequired[bool]
    global_classifications: NotRequired[Classifications]
    labels: NotRequired[Geometries]
