"""Points on their way to the service."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from datagym_async.labels import Point
from datagym_async.models import StoredPoint

if TYPE_CHECKING:
    from collections.abc import Iterable

AnyPoint: TypeAlias = Point | StoredPoint
"""A point of a shape, or one as the service has shown it."""


def points_body(points: Iterable[AnyPoint]) -> list[dict[str, float | None]]:
    """Return points as the service reads them."""
    return [{"x": point.x, "y": point.y} for point in points]
