"""What one would write oneself to read exports with types: plain classes, structured by cattrs."""

from __future__ import annotations

from typing import Any

import attrs
import cattrs


@attrs.define
class Corner:
    """A corner."""

    x: float
    y: float


@attrs.define
class Box:
    """A rectangle."""

    x: float
    y: float
    w: float
    h: float


@attrs.define
class Nested:
    """A geometry in another one."""

    classifications: dict[str, Any]
    point: list[Corner] | None = None
    line: list[Corner] | None = None
    polygon: list[Corner] | None = None
    rectangle: list[Box] | None = None


@attrs.define
class Geometry:
    """A geometry."""

    classifications: dict[str, Any]
    nested_geometries: dict[str, list[Nested]]
    point: list[Corner] | None = None
    line: list[Corner] | None = None
    polygon: list[Corner] | None = None
    rectangle: list[Box] | None = None
    image_segmentation: list[list[Corner]] | None = None


@attrs.define
class Task:
    """A task."""

    internal_media_ID: str  # noqa: N815 - the service's name
    external_media_ID: str  # noqa: N815 - the service's name
    status: str
    global_classifications: dict[str, Any]
    labels: dict[str, list[Geometry]]
    labeler: str | None = None


def converter() -> cattrs.Converter:
    """Return the fastest converter that cattrs makes."""
    return cattrs.Converter(detailed_validation=False)


def tasks(using: cattrs.Converter, document: list[Any]) -> list[Task]:
    """Return the tasks of an export."""
    return using.structure(document[1:], list[Task])
