"""Exports of any size for the benchmarks: seeded, in the form in which the service writes them."""

from __future__ import annotations

import json
import random
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs

_POOL = 200
"""Tasks made one by one; larger exports repeat them under other ids."""

_CLASSES = [
    {"class_name": "hydrant", "geometry_type": "point"},
    {"class_name": "lane", "geometry_type": "line"},
    {"class_name": "building", "geometry_type": "polygon"},
    {"class_name": "window", "geometry_type": "polygon"},
    {"class_name": "road", "classification_type": "image_segmentation"},
    {"class_name": "vehicle", "geometry_type": "rectangle"},
    {"class_name": "daytime", "classification_type": "select"},
    {"class_name": "lamp_state", "classification_type": "select"},
    {"class_name": "kind", "classification_type": "select"},
    {"class_name": "damage", "classification_type": "checklist"},
    {"class_name": "remark", "classification_type": "freetext"},
]


@attrs.frozen
class Written:
    """What an export holds.

    Args:
        size: Bytes.
        tasks: Number of tasks.
        annotations: Number of annotations, those nested in others included.
        points: Number of corners, four values of a rectangle being one.
    """

    size: int
    tasks: int
    annotations: int
    points: int


def write_export(path: Path, *, size: int, pretty: bool = True, seed: int = 7) -> Written:
    """Write an export of at least so many bytes.

    Args:
        path: Where to.
        size: Bytes.
        pretty: Whether it is written over many lines, as the service writes every export.
        seed: Of the random numbers.
    """
    chance = random.Random(seed)
    pool = [_task(chance) for _ in range(_POOL)]
    texts = [_text(task, pretty=pretty) for task in pool]
    counts = [(_annotations(task), json.dumps(task).count('"x"')) for task in pool]
    tasks = annotations = points = 0
    with path.open("wb") as file:
        file.write(f"[{_gap(pretty)}{_text({'label_classes': _CLASSES}, pretty=pretty)}".encode())
        while file.tell() < size:
            index = tasks % _POOL
            media = uuid.UUID(int=chance.getrandbits(128), version=4)
            name = f"street_{tasks:07}.jpg"
            text = texts[index].replace("MEDIA", str(media)).replace("NAME", name)
            file.write(f",{_gap(pretty)}{text}".encode())
            tasks += 1
            annotations += counts[index][0]
            points += counts[index][1]
        file.write(f"{_gap(pretty)}]".encode())
        return Written(file.tell(), tasks, annotations, points)


def _gap(pretty: bool) -> str:
    return " " if pretty else ""


def _annotations(task: dict[str, Any]) -> int:
    roots = [item for items in task["labels"].values() for item in items]
    return len(roots) + sum(len(n) for item in roots for n in item["nested_geometries"].values())


# --- tasks ---------------------------------------------------------------------------------------


def _task(chance: random.Random) -> dict[str, Any]:
    labels = {
        "vehicle": [_item("rectangle", [_box(chance)], _kind(chance)) for _ in _some(chance, 12)],
        "building": [_building(chance) for _ in _some(chance, 4)],
        "lane": [_item("line", _points(chance, 2, 12), {}) for _ in _some(chance, 3)],
        "hydrant": [_item("point", _points(chance, 1, 1), {}) for _ in _some(chance, 2)],
        "road": [_item("image_segmentation", _rings(chance), {}) for _ in _some(chance, 1)],
    }
    return {
        "internal_media_ID": "MEDIA",
        "external_media_ID": "NAME",
        "labeler": None,
        "status": chance.choice(["completed", "reviewed"]),
        "global_classifications": {
            "daytime": [chance.choice(["day", "night", None]), {"lamp_state": [None]}],
            "remark": [chance.choice([None, "überbelichtet", 'a "quoted", {odd} [remark] \\'])],
        },
        "labels": {key: items for key, items in labels.items() if items},
    }


def _some(chance: random.Random, most: int) -> range:
    return range(chance.randint(0, most))


def _building(chance: random.Random) -> dict[str, Any]:
    windows = [{"polygon": _points(chance, 3, 6), "classifications": {}} for _ in _some(chance, 3)]
    nested = {"window": windows} if windows else {}
    return {**_item("polygon", _points(chance, 4, 40), {}), "nested_geometries": nested}


def _item(member: str, payload: list[Any], answers: dict[str, Any]) -> dict[str, Any]:
    return {member: payload, "classifications": answers, "nested_geometries": {}}


def _kind(chance: random.Random) -> dict[str, Any]:
    damage = {"damage": chance.choice([[None], ["scratch"], ["scratch", "dent"]])}
    return {"kind": [chance.choice(["bus", "car", "van", None]), damage]}


def _points(chance: random.Random, fewest: int, most: int) -> list[dict[str, int]]:
    count = chance.randint(fewest, most)
    return [{"x": chance.randrange(1920), "y": chance.randrange(1080)} for _ in range(count)]


def _rings(chance: random.Random) -> list[list[dict[str, int]]]:
    return [_points(chance, 20, 80), *(_points(chance, 3, 9) for _ in _some(chance, 2))]


def _box(chance: random.Random) -> dict[str, int]:
    width, height = chance.randint(8, 300), chance.randint(8, 200)
    return {"x": chance.randrange(1600), "y": chance.randrange(800), "w": width, "h": height}


# --- the service's way to write JSON -------------------------------------------------------------


def _text(value: object, *, pretty: bool) -> str:
    if pretty:
        return "".join(_lines(value, ""))
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _lines(value: object, margin: str) -> Iterator[str]:
    """Write objects over many lines and lists on one, as the service's library does."""
    match value:
        case {} if not value:
            yield "{ }"
        case []:
            yield "[ ]"
        case dict():
            deeper = f"{margin}  "
            before = "{\n"
            for key, item in value.items():
                yield f"{before}{deeper}{json.dumps(key)} : "
                yield from _lines(item, deeper)
                before = ",\n"
            yield f"\n{margin}}}"
        case list():
            before = "[ "
            for item in value:
                yield before
                yield from _lines(item, margin)
                before = ", "
            yield " ]"
        case _:
            yield json.dumps(value, ensure_ascii=False)
