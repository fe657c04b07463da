"""How a real answer is held against a recorded one.

The rules: statuses are equal; so are the headers that a client acts on; a JSON body has the same
keys and JSON types all the way down and the same values, but for ids (which map one to one onto
recorded ids) and times. Objects in a list come in any order, as they do from the service; but the
points of a geometry do not, and what stands before the objects of an answer's list does not. Each
function returns the differences, one line each; none means that the case holds.
"""

import hashlib
import io
import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import TypeAlias

from PIL import Image

from tests.conformance._bodies import BinaryNote, binary_note, bytes_of, ok_jpeg
from tests.conformance._http import Reply
from tests.conformance._ids import Ids, is_id
from tests.conformance._recordings import Case

TIMES = frozenset({"timestamp", "lastChangedConfig", "lastErrorTimeStamp"})
ORDERED = frozenset({"points", "pointsCollection", "line", "polygon", "image_segmentation"})
"""Members whose lists are drawn in their order."""

_TRIMMED = re.compile(r" ?\.\.\.<trimmed, \d+ bytes total>$")
_ITEM = re.compile(r"\s*[\[,]\s*")
_JVM_HASH = re.compile(r"(Pattern\$Flag;@)[0-9a-f]+")
_EPOCH_MS = re.compile(r"(?<!\d)\d{13}(?!\d)")
_TITLE = re.compile(r"<title>(.*?)</title>", re.DOTALL)

_READERS: Mapping[str, Callable[[str], object]] = {
    "Content-Type": lambda value: value.lower().replace(" ", ""),
    "Connection": lambda value: value.lower() == "close",
    "Transfer-Encoding": lambda value: value.lower() == "chunked",
    "Content-Disposition": lambda value: _EPOCH_MS.sub("MS", value),
    "Allow": lambda value: {part.strip() for part in value.split(",")},
    "Accept": lambda value: {part.strip() for part in value.split(",")},
}

Json: TypeAlias = 'bool | int | float | str | list["Json"] | dict[str, "Json"] | None'


def differences(case: Case, reply: Reply, ids: Ids, *, shape_only: bool = False) -> list[str]:
    """Return how `reply` differs from what was recorded, and learn ids where it does not.

    Args:
        case: The recorded exchange, its authorities already those of the replay.
        reply: What the subject answered.
        ids: The map of ids so far; extended by a body that holds.
        shape_only: Compare the shape of a list's items, not the set: the recording does not carry
            the state that the list shows.
    """
    found = [] if reply.status == case.response.status else [_not("status", case, reply)]
    found += _header_differences(case, reply, ids)
    if not _asks_for_head(case):
        found += _body_differences(case, reply, ids, shape_only=shape_only)
    return found


def _not(what: str, case: Case, reply: Reply) -> str:
    return f"{what} {reply.status}, recorded {case.response.status}: {reply.body[:200]!r}"


def _asks_for_head(case: Case) -> bool:
    return case.method.upper() == "HEAD"


def _header_differences(case: Case, reply: Reply, ids: Ids) -> list[str]:
    """Compare the headers that a client acts on; the framing of a body that is not sent is none."""
    recorded = {name: ids.translate(value) for name, value in case.response.headers.items()}
    readers = dict(_READERS)
    if _asks_for_head(case):
        del readers["Transfer-Encoding"]
    return [
        f"header {name}: {reply.header(name)!r}, recorded {recorded.get(name)!r}"
        for name, read in readers.items()
        if read(reply.header(name) or "") != read(recorded.get(name, ""))
    ]


def _body_differences(case: Case, reply: Reply, ids: Ids, *, shape_only: bool) -> list[str]:
    recorded = case.response.body
    if recorded in ("", None):
        return [] if not reply.body else [f"body {reply.body[:80]!r}, recorded empty"]
    if note := binary_note(recorded):
        return _binary_differences(case, reply, note)
    if isinstance(recorded, str) and recorded.startswith("<!doctype"):
        return _page_differences(recorded, reply)
    try:
        actual: Json = json.loads(reply.body)
    except ValueError:
        return [f"body is not JSON: {reply.body[:120]!r}"]
    if isinstance(recorded, str):
        return _trimmed_differences(recorded, actual, ids)
    if shape_only:
        return shape_differences(_json(recorded), actual)
    return json_differences(_json(recorded), actual, ids)


def _json(value: object) -> Json:
    return value  # type: ignore[return-value]  # a recording is JSON through and through


def _binary_differences(case: Case, reply: Reply, note: BinaryNote) -> list[str]:
    if note.kept or "Content-Disposition" in case.response.headers:
        return _byte_differences(reply, bytes_of(note))
    if case.file == "GET_media":
        return _image_differences(reply)
    sha1 = hashlib.sha1(reply.body).hexdigest()
    return [] if sha1 == note.sha1 else [f"body of sha1 {sha1}, recorded {note.sha1}"]


def _byte_differences(reply: Reply, recorded: bytes) -> list[str]:
    if reply.body == recorded:
        return []
    return [f"body of {len(reply.body)} bytes differs from the {len(recorded)} bytes stored"]


def _image_differences(reply: Reply) -> list[str]:
    """Compare a re-encoded link image by its decoded size: its bytes depend on the encoder."""
    expected = Image.open(io.BytesIO(ok_jpeg())).size
    try:
        actual = Image.open(io.BytesIO(reply.body)).size
    except OSError:
        return [f"body is no image: {reply.body[:40]!r}"]
    return [] if actual == expected else [f"image of {actual} pixels, recorded {expected}"]


def _page_differences(recorded: str, reply: Reply) -> list[str]:
    """Compare HTML pages by their titles."""
    expected, actual = _TITLE.search(recorded), _TITLE.search(reply.body.decode("utf-8", "replace"))
    if expected and actual and expected[1] == actual[1]:
        return []
    return [f"page {reply.body[:120]!r}, recorded one titled {expected and expected[1]!r}"]


def _trimmed_differences(recorded: str, actual: Json, ids: Ids) -> list[str]:
    """Compare a body of which only the beginning was kept: every whole item must be there."""
    if not recorded.startswith("["):
        return [] if isinstance(actual, dict) else ["body is not JSON object"]
    if not isinstance(actual, list):
        return ["body is not JSON array"]
    whole = list(_whole_items(_TRIMMED.sub("", recorded)))
    return _unordered_differences(whole, actual, ids, "$", exact=False)


def _whole_items(text: str) -> Iterator[Json]:
    """Yield the items of a JSON array up to where its text was cut off."""
    decoder, at = json.JSONDecoder(), 0
    while start := _ITEM.match(text, at):
        try:
            item, at = decoder.raw_decode(text, start.end())
        except ValueError:
            return
        yield item


def json_differences(recorded: Json, actual: Json, ids: Ids, path: str = "$") -> list[str]:
    """Compare two JSON values: same keys, same types, same values but for ids and times."""
    if isinstance(recorded, dict) and isinstance(actual, dict):
        return _object_differences(recorded, actual, ids, path)
    if isinstance(recorded, list) and isinstance(actual, list):
        return _list_differences(recorded, actual, ids, path)
    if isinstance(recorded, str) and isinstance(actual, str):
        return [] if _same_text(recorded, actual, ids) else [_unequal(path, recorded, actual)]
    same = type(recorded) is type(actual) and recorded == actual
    return [] if same else [_unequal(path, recorded, actual)]


def _list_differences(recorded: list[Json], actual: list[Json], ids: Ids, path: str) -> list[str]:
    drawn = path.rpartition(".")[2].partition("[")[0] in ORDERED
    if drawn or not any(isinstance(item, dict) for item in recorded):
        return _ordered_differences(recorded, actual, ids, path)
    return [
        *_ordered_differences(_plain(recorded), _plain(actual), ids, path),
        *_unordered_differences(recorded, actual, ids, path, exact=True),
    ]


def _plain(items: list[Json]) -> list[Json]:
    return [item for item in items if not isinstance(item, dict)]


def _unequal(path: str, recorded: Json, actual: Json) -> str:
    return f"{path}: {json.dumps(actual)[:200]}, recorded {json.dumps(recorded)[:200]}"


def _same_text(recorded: str, actual: str, ids: Ids) -> bool:
    if is_id(recorded) and is_id(actual):
        return ids.learn(recorded, actual)
    plain = [_JVM_HASH.sub(r"\1", text) for text in (ids.translate(recorded), actual)]
    return plain[0] == plain[1]


def _object_differences(
    recorded: dict[str, Json], actual: dict[str, Json], ids: Ids, path: str
) -> list[str]:
    if recorded and all(map(is_id, recorded)):
        return _unordered_differences(_members(recorded), _members(actual), ids, path, exact=True)
    if recorded.keys() != actual.keys():
        return [f"{path}: keys {sorted(actual)}, recorded {sorted(recorded)}"]
    found: list[str] = []
    for key, value in recorded.items():
        where = f"{path}.{key}"
        if key in TIMES:
            same = type(value) is type(actual[key])
            found += [] if same else [_unequal(where, value, actual[key])]
        elif not _stand_in(key, value):
            found += json_differences(value, actual[key], ids, where)
    return found


def _members(value: dict[str, Json]) -> list[Json]:
    """Write an object whose keys are ids as a list, so that the ids map."""
    return [{"id": key, "member": member} for key, member in value.items()]


def _stand_in(key: str, value: Json) -> bool:
    """Tell the text of the stand-in for the login filter: it was never the service's own."""
    return key == "msg" and isinstance(value, str) and value.startswith("SHIM")


def _ordered_differences(
    recorded: list[Json], actual: list[Json], ids: Ids, path: str
) -> list[str]:
    if len(recorded) != len(actual):
        return [_unequal(path, recorded, actual)]
    return [
        difference
        for index, (one, other) in enumerate(zip(recorded, actual, strict=True))
        for difference in json_differences(one, other, ids, f"{path}[{index}]")
    ]


def _unordered_differences(
    recorded: list[Json], actual: list[Json], ids: Ids, path: str, *, exact: bool
) -> list[str]:
    """Find an item of its own in `actual` for every recorded one."""
    left = list(actual)
    found: list[str] = []
    for item in recorded:
        if not _take(item, left, ids):
            nearest = json_differences(item, left[0], ids.trial(), f"{path}[]") if left else []
            found.append(f"{path}: none is like {json.dumps(item)[:200]}; first left: {nearest}")
    if exact and len(recorded) != len(actual):
        found.append(f"{path}: {len(actual)} items, recorded {len(recorded)}")
    return found


def _take(item: Json, left: list[Json], ids: Ids) -> bool:
    """Remove the first that equals `item` from `left`; False where none does."""
    for index, other in enumerate(left):
        trial = ids.trial()
        if not json_differences(item, other, trial):
            ids.keep(trial)
            del left[index]
            return True
    return False


def shape_differences(recorded: Json, actual: Json, path: str = "$") -> list[str]:
    """Compare keys and JSON types only; every item of a list with the recorded list's first."""
    if isinstance(recorded, dict) and isinstance(actual, dict):
        if recorded.keys() != actual.keys():
            return [f"{path}: keys {sorted(actual)}, recorded {sorted(recorded)}"]
        pairs = [(recorded[key], actual[key], f"{path}.{key}") for key in recorded]
    elif isinstance(recorded, list) and isinstance(actual, list):
        pairs = [(recorded[0], item, f"{path}[]") for item in actual if recorded]
    else:
        same = type(recorded) is type(actual) or None in (recorded, actual)
        return [] if same else [_unequal(path, recorded, actual)]
    return [line for one, other, where in pairs for line in shape_differences(one, other, where)]
