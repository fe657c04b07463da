"""JSON as the service reads and writes it.

It is compact until the first export after a start, and then pretty-printed like its serialiser does
(` : ` between key and value, arrays on one line, `[ ]` and `{ }` when empty); errors are always
pretty-printed. The legacy dialect has the field names of the older service in the public
documentation.
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Final, Literal, TypeAlias

import orjson

Json: TypeAlias = "Mapping[str, Json] | Sequence[Json] | str | int | float | bool | None"
Dialect = Literal["current", "legacy"]

# Levels of a JSON body; no route needs ten.
_DEEPEST: Final = 64

_OLD_NAMES: Final = {
    "internal_media_ID": "internal_image_ID",
    "external_media_ID": "external_image_ID",
    "mediaUploadStatus": "imageUploadStatus",
    "mediaName": "imageName",
    "mediaSourceType": "imageType",
    "mediaCount": "imagesCount",
    "mediaId": "imageId",
}
# The older service did not have these.
_UNKNOWN_THEN: Final = frozenset({"mediaType", "projectType"})

_VALUES: Final = "(JSON String, Number, Array, Object or token 'null', 'true' or 'false')"


def parse(body: bytes) -> Json:
    """Return the value of a JSON text; one that is nested too deep is a `JSONDecodeError`, too."""
    value: Json = orjson.loads(body)
    if body.count(b"[") + body.count(b"{") > _DEEPEST:
        level: list[Json] = [value]
        for _ in range(_DEEPEST + 1):
            level = [
                member for each in level for member in (*members_of(each).values(), *items_of(each))
            ]
        if level:
            raise orjson.JSONDecodeError("nested too deep", "", 0)
    return value


def syntax_error(body: bytes) -> str:
    """Return the service's words for a text that is not JSON, and the place.

    Three sentences were recorded; whatever is none of these cases gets the nearest of them. The
    column is that of the character after the last one read, counted from 1.
    """
    text = body.decode("utf-8", "replace")
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        at, kind = error.pos, error.msg
    except RecursionError:
        at, kind = len(text), ""
    else:  # Python's parser accepts NaN and any depth
        return "line: 1, column: 1\nThe document is not JSON"
    if kind.startswith("Illegal trailing comma"):  # Python 3.13 names its place; before, the next
        at += 1 + len(text[at + 1 :]) - len(text[at + 1 :].lstrip())
    word = re.match(r"[A-Za-z_$][\w$]*", text[at:])
    if kind.startswith("Unterminated string") or at >= len(text):
        at, words = len(text), "Unexpected end-of-input in field name"
    elif word is not None:
        words = f"Unrecognized token '{word[0]}': was expecting {_VALUES}"
        at += word.end()
    else:
        wanted = "was expecting double-quote to start field name"
        words = f"Unexpected character ('{text[at]}' (code {ord(text[at])})): {wanted}"
        at += 1
    line, column = text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at)
    return f"line: {line}, column: {column}\n{words}"


def pretty(value: Json) -> bytes:
    pieces: list[str] = []
    _write(value, 0, pieces)
    return "".join(pieces).encode()


def _write(value: Json, depth: int, pieces: list[str]) -> None:
    if isinstance(value, Mapping):
        inside = "\n" + "  " * (depth + 1)
        separator = "{"
        for key, member in value.items():
            pieces.append(f"{separator}{inside}{json.dumps(key, ensure_ascii=False)} : ")
            _write(member, depth + 1, pieces)
            separator = ","
        pieces.append("\n" + "  " * depth + "}" if value else "{ }")
    elif isinstance(value, Sequence) and not isinstance(value, str):
        separator = "[ "
        for member in value:
            pieces.append(separator)
            # Arrays do not indent their elements.
            _write(member, depth, pieces)
            separator = ", "
        pieces.append(" ]" if value else "[ ]")
    else:
        pieces.append(json.dumps(value, ensure_ascii=False))


def to_legacy(value: Json) -> Json:
    if isinstance(value, Mapping):
        old = {}
        for key, member in value.items():
            if key not in _UNKNOWN_THEN:
                # A list in a dataset, one object in a task.
                media = "image" if isinstance(member, Mapping) else "images"
                name = media if key == "media" else _OLD_NAMES.get(key, key)
                old[name] = to_legacy(member)
        return old
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [to_legacy(member) for member in value]
    return value


# For JSON of unknown shape: a value of another type counts as empty.


def as_list(value: Json) -> Sequence[Json] | None:
    """Return an array, or None for anything else."""
    return value if isinstance(value, Sequence) and not isinstance(value, str) else None


def items_of(value: Json) -> Sequence[Json]:
    return as_list(value) or []


def objects_of(value: Json) -> list[Mapping[str, Json]]:
    return [item for item in items_of(value) if isinstance(item, Mapping)]


def members_of(value: Json) -> Mapping[str, Json]:
    return value if isinstance(value, Mapping) else {}
