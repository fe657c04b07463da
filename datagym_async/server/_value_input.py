"""What a PUT of a label value says, by the type of its entry. Pure.

The members are flat in the request: `x`, `y`, `width`, `height`, `points`, `pointsCollection`,
`selectKey`, `checkedValues`, `text`. Nothing is checked but the shape: a polygon of two points and
negative coordinates are stored as they come.
"""

from collections.abc import Mapping, Sequence

from ._entries import SEGMENTATION
from ._errors import Bare
from ._render import Json
from ._store import new_id
from ._value_tree import points_view

__all__ = ["read_payload"]


def read_payload(kind: str, body: Mapping[str, Json]) -> Mapping[str, Json]:
    """Return the payload of a value of the type `kind`.

    Raises:
        Bare: 400 for a member of the wrong shape.
    """
    if kind == "POINT":
        return _numbers(body, "x", "y")
    if kind == "RECTANGLE":
        return _numbers(body, "x", "y", "width", "height")
    if kind in ("LINE", "POLYGON"):
        return {"points": _points(body.get("points"))}
    if kind == SEGMENTATION:
        return {"pointsCollection": [_ring(ring) for ring in _objects(body, "pointsCollection")]}
    return _answer(kind, body)


def _answer(kind: str, body: Mapping[str, Json]) -> Mapping[str, Json]:
    if kind == "CHECKLIST":
        return {"checkedValues": [_text(key) for key in _list(body.get("checkedValues"))]}
    name = "selectKey" if kind == "SELECT" else "text"
    return {name: _text(body.get(name))}


def _numbers(body: Mapping[str, Json], *names: str) -> dict[str, Json]:
    return {name: _number(body.get(name)) for name in names}


def _number(value: Json) -> float | None:
    if value is None:
        return None
    if isinstance(value, int | float | str) and not isinstance(value, bool):
        try:
            return float(value)
        except ValueError:
            pass
    raise Bare(400)


def _text(value: Json) -> str | None:
    if value is None or isinstance(value, str):
        return value
    raise Bare(400)


def _list(value: Json) -> Sequence[Json]:
    if value is None:
        return []
    if isinstance(value, Sequence) and not isinstance(value, str):
        return value
    raise Bare(400)


def _objects(body: Mapping[str, Json], name: str) -> list[Mapping[str, Json]]:
    members = _list(body.get(name))
    if not all(isinstance(member, Mapping) for member in members):
        raise Bare(400)
    return [member for member in members if isinstance(member, Mapping)]


def _points(value: Json) -> list[Json]:
    points = _objects({"points": value}, "points")
    return points_view((_number(point.get("x")), _number(point.get("y"))) for point in points)


def _ring(ring: Mapping[str, Json]) -> Json:
    return {"id": new_id(), "points": _points(ring.get("points"))}
