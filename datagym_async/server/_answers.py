"""How the service answers: its JSON, its errors, and its rules for fields.

**JSON** is compact until the first export after a start, and then pretty-printed like its
serialiser does (` : ` between key and value, arrays on one line, `[ ]` and `{ }` when empty);
errors are always pretty-printed. The legacy dialect has the field names of the older service in the
public documentation.

**Errors.** Each answer is an exception; raise it anywhere in a handler:

Answer
├─ Refusal            shape A: an application error, `refuse("ex_notfound", "dataset", "id", x)`
├─ InvalidFields      shape B: bean validation, 400 with `code` 0
├─ EmptyAnswer        shape C: the framework's own answer without a body: 400, 405, 406, 415
├─ UnknownRoute       shape D: the container's JSON, 404
└─ BadRequestPage     shape D: the container's HTML page, 400

**Fields.** A route passes all fields with their rules (`pattern`, `size`, ...) to `require`, which
raises `InvalidFields` with a `Detail` for each broken rule.
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from itertools import islice
from typing import Any, Final, Literal, TypeAlias, TypeVar

import attrs
import orjson
from aiohttp import web

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


N = TypeVar("N", int, float)

# All other keys are 500: `ex_system` and all `ex_gen_…`.
_STATUS_OF_KEY: Final = {
    "ex_validation": 400,
    "ex_unauthorized": 401,
    "ex_limit": 402,
    "ex_forbidden": 403,
    "ex_notfound": 404,
    "ex_alreadyexists": 412,
    "ex_already_contains": 412,
    "ex_service_unavailable": 503,
}

_PAGE: Final = (
    '<!doctype html><html lang="en"><head><title>HTTP Status 400 \u2013 Bad Request</title><style'
    ' type="text/css">body {font-family:Tahoma,Arial,sans-serif;} h1, h2, h3, b'
    " {color:white;background-color:#525D76;} h1 {font-size:22px;} h2 {font-size:16px;} h3"
    " {font-size:14px;} p {font-size:12px;} a {color:black;} .line"
    " {height:1px;background-color:#525D76;border:none;}</style></head><body>"
    "<h1>HTTP Status 400 \u2013 Bad Request</h1></body></html>"
)

# The service prints this for "no flags", with the same address in all recordings.
_NO_FLAGS: Final = "[Ljavax.validation.constraints.Pattern$Flag;@27e58da7"

WORDS: Final = "^[a-zA-Z0-9_ -]*$"

_GEOMETRIES: Final = ("point", "line", "polygon", "rectangle")
_CLASSIFICATIONS: Final = ("checklist", "radio", "select")
# Names that datasets and label entries may not have, compared with case. Three of the words have a
# stray comma, so the plain word is allowed.
_RESERVED: Final = frozenset(
    {
        *("geometry", "geometry_type", "class_name", "classification", "classifications"),
        *("global_classifications", "classification_type", "tag", "status", "label", "labeler"),
        *("label_classes", "reviewer"),
        *("image", "imageId", "external_image_ID", "internal_image_ID"),
        *("media", "mediaId", "external_media_ID", "internal_media_ID"),
        *_GEOMETRIES,
        *_CLASSIFICATIONS,
        *(f"lcentry{word}" for word in (*_GEOMETRIES, *_CLASSIFICATIONS)),
        *(f"lcentry{word}value" for word in (*_GEOMETRIES, *_CLASSIFICATIONS)),
        *("freetext,", "lcentryfreetext,", "lcentrytextvalue,"),
        *("Dummy_Project", "Dummy_Dataset_One", "Dummy_Dataset_Two", "Intersections"),
    }
)


@attrs.frozen
class Detail:
    name: str
    key: str
    params: Sequence[str] = ()


def _body(key: str, params: Sequence[str], msg: str, code: int, details: Sequence[Detail]) -> Json:
    shown = [{"name": each.name, "key": each.key, "params": [*each.params]} for each in details]
    return {"key": key, "params": [*params], "msg": msg, "code": code, "details": shown}


class Answer(Exception):  # noqa: N818 -- what is raised is the answer itself
    """Ends a request with an error answer."""

    chunked = False

    def response(self, render: Callable[[Json], bytes]) -> web.Response:
        """Return the answer without the Connection header; `render` writes JSON."""
        raise NotImplementedError


@attrs.define
class Refusal(Answer):
    """Shape A: an application error, always pretty-printed, with the status of its key."""

    key: str
    params: tuple[str, ...] = ()
    details: Sequence[Detail] = ()

    def response(self, render: Callable[[Json], bytes]) -> web.Response:
        status = _STATUS_OF_KEY.get(self.key, 500)
        msg = f"No msg available for key: {self.key}"
        body = _body(self.key, self.params, msg, status, self.details)
        headers = {"Content-Type": "application/json;charset=utf-8"}
        return web.Response(status=status, body=pretty(body), headers=headers)


@attrs.define
class InvalidFields(Answer):
    """Shape B: fields of a readable JSON body, or query parameters, that break a rule."""

    chunked = True
    details: Sequence[Detail]

    def response(self, render: Callable[[Json], bytes]) -> web.Response:
        body = _body("ex_validation", (), "Validation error.", 0, self.details)
        headers = {"Content-Type": "application/json"}
        return web.Response(status=400, body=render(body), headers=headers)


@attrs.define
class EmptyAnswer(Answer):
    """Shape C: a status, no body, no Content-Type."""

    status: int
    headers: Mapping[str, str] = attrs.field(factory=dict)

    def response(self, render: Callable[[Json], bytes]) -> web.Response:
        return web.Response(status=self.status, headers=self.headers)


@attrs.define
class UnknownRoute(Answer):
    """Shape D: there is no such route; the body has no `key`."""

    chunked = True
    path: str
    timestamp: int

    def response(self, render: Callable[[Json], bytes]) -> web.Response:
        head: dict[str, Json] = {"timestamp": self.timestamp, "status": 404, "error": "Not Found"}
        headers = {"Vary": "Access-Control-Request-Headers", "Content-Type": "application/json"}
        return web.Response(status=404, body=render({**head, "path": self.path}), headers=headers)


class BadRequestPage(Answer):
    """Shape D: the container could not read the request line or the headers."""

    def response(self, render: Callable[[Json], bytes]) -> web.Response:
        headers = {"Content-Type": "text/html;charset=utf-8", "Content-Language": "en"}
        return web.Response(status=400, body=_PAGE.encode(), headers=headers)


def refuse(key: str, *params: str) -> Refusal:
    """Return an application error: `raise refuse("ex_notfound", "Project", "id", x)`."""
    return Refusal(key, params)


def refuse_data(key: str, *params: str, name: str = "data") -> Refusal:
    """Return a 400 with one detail about the bytes or a header."""
    return Refusal("ex_validation", (), [Detail(name, key, params)])


@attrs.frozen
class Rule:
    holds: Callable[[Any], object]
    key: str
    params: Sequence[str] = ()


NOT_NULL: Final = Rule(lambda value: value is not None, "ex_notnull")
NOT_EMPTY: Final = Rule(bool, "ex_notempty")


def pattern(rule: str) -> Rule:
    # Rules have ^ and $; with fullmatch, $ does not match before a final line break.
    return Rule(
        lambda text: text is None or re.fullmatch(rule, text), "ex_pattern", (_NO_FLAGS, rule)
    )


def size(low: int, high: int, *, key: str = "ex_size") -> Rule:
    """Require a length between the limits, like `@Size`, or with "ex_length" like `@Length`."""
    limits = str(high), str(low)
    return Rule(lambda text: text is None or low <= len(text) <= high, key, limits)


Field: TypeAlias = tuple[str, object, *tuple[Rule, ...]]  # name, value and rules of a field

# A body of a few hundred kilobytes can break rules a million times, and each would take hundreds of
# bytes in the answer.
_MOST_DETAILS: Final = 1_000


def require(fields: Iterable[Field]) -> None:
    """Raise `InvalidFields` with the first `_MOST_DETAILS` broken rules, if there are any."""
    broken = (
        Detail(name, rule.key, (name, *rule.params))
        for name, value, *rules in fields
        for rule in rules
        if not rule.holds(value)
    )
    details = list(islice(broken, _MOST_DETAILS))
    if details:
        raise InvalidFields(details)


def read_text(value: Json) -> str | None:
    """Return a text field; numbers and flags become texts, other values are 400."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return str(value)
    raise EmptyAnswer(400)


def read_number(value: Json, kind: Callable[[Any], N]) -> N | None:
    """Return a number; its text is one, an empty text is none, and other values are 400."""
    if value is None or value == "":
        return None
    if isinstance(value, int | float | str) and not isinstance(value, bool):
        with suppress(ValueError, OverflowError):
            return kind(value)
    raise EmptyAnswer(400)


def is_reserved(word: str) -> bool:
    return word in _RESERVED
