"""JSON as the service writes it.

Compact until the first export after a start, from then on pretty-printed in the manner of its
serialiser (` : ` between key and value, arrays on one line, `[ ]` and `{ }` when empty); errors are
always pretty-printed.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, TypeAlias

import orjson

__all__ = ["Json", "compact", "parse", "pretty"]

# Levels of a JSON body; no route needs ten.
_DEEPEST: Final = 64

Json: TypeAlias = "Mapping[str, Json] | Sequence[Json] | str | int | float | bool | None"


def parse(body: bytes) -> Json:
    """Return the value of a JSON text.

    Raises:
        JSONDecodeError: It is none, or nested deeper than anything that walks over it later could
            bear.
    """
    value: Json = orjson.loads(body)
    if body.count(b"[") + body.count(b"{") > _DEEPEST:
        level: list[Json] = [value]
        for _ in range(_DEEPEST + 1):
            level = [member for item in level for member in _members(item)]
        if level:
            raise orjson.JSONDecodeError("nested too deep", "", 0)
    return value


def _members(value: Json) -> Iterable[Json]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def compact(value: Json) -> bytes:
    """Return the JSON text without any blank."""
    return orjson.dumps(value)


def pretty(value: Json) -> bytes:
    """Return the JSON text in the service's pretty form."""
    pieces: list[str] = []
    _write(value, 0, pieces)
    return "".join(pieces).encode()


def _write(value: Json, depth: int, pieces: list[str]) -> None:
    if isinstance(value, Mapping):
        _write_object(value, depth, pieces)
    elif isinstance(value, Sequence) and not isinstance(value, str):
        _write_array(value, depth, pieces)
    else:
        pieces.append(json.dumps(value, ensure_ascii=False))


def _write_object(value: Mapping[str, Json], depth: int, pieces: list[str]) -> None:
    if not value:
        pieces.append("{ }")
        return
    inside = "\n" + "  " * (depth + 1)
    separator = "{"
    for key, member in value.items():
        pieces.append(f"{separator}{inside}{json.dumps(key, ensure_ascii=False)} : ")
        _write(member, depth + 1, pieces)
        separator = ","
    pieces.append("\n" + "  " * depth + "}")


def _write_array(value: Sequence[Json], depth: int, pieces: list[str]) -> None:
    if not value:
        pieces.append("[ ]")
        return
    separator = "[ "
    for member in value:
        pieces.append(separator)
        # Arrays do not indent: their elements stand at the depth of the array itself.
        _write(member, depth, pieces)
        separator = ", "
    pieces.append(" ]")
