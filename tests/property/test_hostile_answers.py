"""Recorded answers with something wrong in them: each call raises an error of ours, or has a value.

A recorded exchange is changed in one place of its JSON, in its status, in a head field or as a
whole, and a call is made that is answered with it. The transport is a fake, all above it is real.
"""

from __future__ import annotations

import copy
import itertools
import json
import os
import shutil
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datagym_async import DataGymClient, RetryPolicy
from datagym_async.exceptions import DataGymError
from tests.helpers.fake_transport import FakeTransport, answer
from tests.helpers.hostile import CALLS, JOBS, Recorded, recorded, route_of, touch
from tests.helpers.sentinel import TOKEN

if TYPE_CHECKING:
    from datagym_async._transport import StreamedResponse
    from datagym_async._wire import Request, Response

EXAMPLES = int(os.environ.get("DATAGYM_HOSTILE_EXAMPLES", "2400"))
"""More for a long run by hand; the environment is read before any test clears it."""

pytestmark = [pytest.mark.looptime, pytest.mark.timeout(max(120, EXAMPLES // 20))]


# --- what is wrong with an answer ----------------------------------------------------------------


@attrs.frozen
class Raw:
    """JSON text that no value of Python's is written as."""

    text: bytes


def nest(depth: int, kind: str) -> object:
    """Return lists or objects within each other."""
    value: object = 1
    for _ in range(depth):
        value = [value] if kind == "list" else {"children": value}
    return value


VALUES: dict[str, object] = {
    "null": None,
    "true": True,
    "minus one": -1,
    "half": 0.5,
    "2^53": 2**53,
    "2^62": 2**62,
    "-2^62": -(2**62),
    "2^63": 2**63,
    "2^64": 2**64,
    "thirty digits": Raw(b"9" * 30),
    "five thousand digits": Raw(b"9" * 5000),
    "1e308": 1e308,
    "1e999": Raw(b"1e999"),
    "NaN": Raw(b"NaN"),
    "invalid Unicode": "",
    "blank": " ",
    "a path": "../../etc/passwd",
    "dots": "..",
    "segments": "a/b?c#d;e%2f",
    "no url": "http://[::1",
    "a url of dots": "http://a..b/x.jpg",
    "a long label": f"http://{'a' * 70}.test/x.jpg",
    "a word": "UNHEARD_OF",
    "digits": "9" * 30,
    "nan as text": "nan",
    "inf as text": "inf",
    "controls": "\x1b[2J\x1b]0;x\x07\r\n\t\x00\x7f\x9b",
    "direction": "\u202etxt.exe\u2066",
    "high half": Raw(b'"\\ud800"'),
    "low half": Raw(b'"\\udc00 x"'),
    "no utf-8": Raw(b'"\xff\xfe"'),
    "half in utf-8": Raw(b'"\xed\xa0\x80"'),
    "long": "x" * 20_000,
    "long and wide": "\U0001f600" * 2_000,
    "percents": "%" * 300 + "%f",
    "empty list": [],
    "empty object": {},
    "list of nulls": [None, None],
    "lists": [[]],
    "nameless": {"": {"": ""}},
    "long name": {"x" * 20_000: 1},
    "halved name": Raw(b'{"\\ud800": {"\\udc00": 1}}'),
    "deep list": nest(300, "list"),
    "deep object": nest(300, "object"),
    "very deep": Raw(b"[" * 3_000 + b"]" * 3_000),
    "deeper and broken": Raw(b'{"a":' * 3_000),
    "number": 7,
    "text": "x",
}
"""What takes the place of a value, or becomes an unknown member beside it."""

HEADS: dict[str, list[str]] = {
    "retry-after": [
        "Fri, 31 Dec 10000 12:00:30 GMT",
        "Mon, 23 Nov 2026 12:00:30 +9999999999999",
        "1e400",
        "-1",
        "9" * 5000,
        "soon",
        "\udcff",
    ],
    "location": ["http://[::1", "http://a..b/", "//", "\udcff", "http://\udcff/", "x" * 10_000],
    "content-type": ["text/html", "image/jpeg", "video/mp4", "\udcff", ";;;=", "x" * 10_000],
    "content-length": ["-1", "9" * 5000, "1e5", "0", "\u0663", "1, 1"],
    "content-encoding": ["gzip", "\udcff", "identity, gzip"],
    "date": ["Fri, 31 Dec 10000 12:00:30 GMT", "", "\udcff"],
    "ratelimit": ['"x";r=0;t=1e400', "limit=1, remaining=0, reset=1e9999", '"' * 2000, "\udcff"],
    "ratelimit-remaining": ["0", "nan", "-inf", "9" * 5000],
    "x-ratelimit-remaining": ["0", "\udcff"],
    "x-ratelimit-reset": ["1e308", "-1", "9" * 400],
}
STATUSES = [200, 204, 206, 299, 300, 301, 304, 400, 401, 402, 403, 404, 412, 413, 418, 429]
STATUSES += [500, 502, 503, 504, 599, 999]
BODIES = [
    b"",
    b" ",
    b"null",
    b"[]",
    b"{}",
    b"[{}]",
    b"0",
    b'""',
    b"<html>",
    b"\xff\xfe[",
    b"\0" * 99,
]
BODIES += [b"[" * 5000, b'[{"internal_media_ID":' * 300, b'{"media":[{"id":"' + b"x" * 70_000]


@attrs.frozen
class Change:
    """What is wrong: a place of the JSON, and what else; None where the answer is as recorded."""

    place: int
    value: str | None
    beside: bool
    status: int | None
    head: tuple[str, str] | None
    body: bytes | None
    cut: int | None

    def apply(self, given: Recorded) -> tuple[int, dict[str, str], bytes]:
        """Return status, head fields and body."""
        body = given.body
        if self.value is not None and given.value is not None:
            body = changed(given.value, self.place, VALUES[self.value], beside=self.beside)
        body = body if self.body is None else self.body
        body = body if self.cut is None else body[: self.cut % (len(body) + 1)]
        headers = {"content-length": str(len(body)), **given.headers}
        headers.update([self.head] if self.head is not None else [])
        return self.status or given.status, headers, body


def places(value: Any) -> list[tuple[Any, Any]]:
    """Return where there is something in a JSON value: containers, with keys or indices."""
    if not isinstance(value, dict | list):
        return []
    pairs = list(value.items() if isinstance(value, dict) else enumerate(value))
    found = [(value, key) for key, _ in pairs]
    return found + [place for _, each in pairs for place in places(each)]


def changed(value: object, number: int, new: object, *, beside: bool) -> bytes:
    """Return JSON with something else in one place of it, or beside it as an unknown member."""
    root = [copy.deepcopy(value)]
    there = places(root)
    owner, key = there[number % len(there)]
    mark = "here-comes-the-raw-text"
    put = mark if isinstance(new, Raw) else new
    if beside and isinstance(owner[key], dict):
        owner[key]["unheard_of"] = put
    elif beside and isinstance(owner, dict):
        owner["unheard_of"] = put
    else:
        owner[key] = put
    text = json.dumps(root[0]).encode()
    return text.replace(f'"{mark}"'.encode(), new.text) if isinstance(new, Raw) else text


def _head_fields() -> list[tuple[str, str]]:
    return [(name, value) for name, values in HEADS.items() for value in values]


RARELY = st.integers(0, 9)


@st.composite
def changes(draw: st.DrawFn) -> Change:
    """Draw what is wrong: mostly one value, now and then a head field, a status, or the body."""
    kind = draw(RARELY)
    return Change(
        place=draw(st.integers(0, 400)),
        value=draw(st.sampled_from(sorted(VALUES))) if kind < 8 else None,
        beside=draw(st.booleans()),
        status=draw(st.sampled_from(STATUSES)) if draw(RARELY) > 7 else None,
        head=draw(st.sampled_from(_head_fields())) if kind > 8 or draw(RARELY) > 7 else None,
        body=draw(st.sampled_from(BODIES)) if kind == 8 else None,
        cut=draw(st.integers(0, 5000)) if draw(RARELY) > 8 else None,
    )


# --- a client whose service answers so -----------------------------------------------------------


@attrs.define
class HostileTransport(FakeTransport):
    """Answer with what was recorded of a request's route, but for one request."""

    nth: int = 0
    variant: int = 0
    change: Change | None = None
    seen: Counter[str] = attrs.field(factory=Counter)

    async def exchange(self, request: Request) -> Response:
        """Answer; the whole body at once."""
        self.script.append(self._answer(request))
        return await super().exchange(request)

    @asynccontextmanager
    async def send(self, request: Request) -> AsyncIterator[StreamedResponse]:
        """Answer."""
        if not self.script:
            self.script.append(self._answer(request))
        async with super().send(request) as opened:
            yield opened

    def _answer(self, request: Request) -> StreamedResponse:
        number = self.seen.total()
        if request.path == "foreign":
            return answer(200, b"a video", headers={"content-length": "7"})
        route = route_of(request)
        self.seen[route] += 1
        found = recorded(route)
        if number != self.nth or self.change is None:
            return answer(found[0].status, found[0].body, headers=found[0].headers)
        status, headers, body = self.change.apply(found[self.variant % len(found)])
        return answer(status, body, headers=headers)


def open_client() -> DataGymClient:
    """Return a client that asks once, without a pace: there is no service to spare."""
    return DataGymClient(TOKEN, retry=RetryPolicy.none(), rate_limit=None, dialect="media")


async def ask(
    call: str, transport: HostileTransport, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Make a call; anything but a value and an error of ours goes through."""
    folder.mkdir()
    with monkeypatch.context() as patched:
        patched.setattr("datagym_async._opened.AiohttpTransport", lambda **_: transport)
        try:
            async with open_client() as client:
                touch(await {**CALLS, **JOBS}[call](client, folder))
        except DataGymError as error:
            words = str(error)
            assert words.encode("utf-8", "replace").decode() == words
            assert len(words) < 40_000
    assert transport.open_now == 0
    shutil.rmtree(folder)


FOLDERS = itertools.count()


@settings(max_examples=EXAMPLES)
@given(
    call=st.sampled_from(sorted(CALLS)),
    nth=st.sampled_from([0, 0, 0, 1, 2, 3]),
    variant=st.sampled_from([0, 0, 0, *range(1, 30)]),
    change=changes(),
)
async def test_a_hostile_answer_is_a_value_or_an_error_of_ours(
    call: str,
    nth: int,
    variant: int,
    change: Change,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Whatever a service answers to a call, nothing but a `DataGymError` is raised."""
    folder = tmp_path_factory.getbasetemp() / f"hostile-{next(FOLDERS)}"
    transport = HostileTransport([], nth=nth, variant=variant, change=change)
    with pytest.MonkeyPatch.context() as monkeypatch:
        await ask(call, transport, folder, monkeypatch)


@settings(max_examples=EXAMPLES // 12)
@given(
    job=st.sampled_from(sorted(JOBS)),
    nth=st.integers(0, 5),
    variant=st.sampled_from([0, 0, 0, *range(1, 30)]),
    change=changes(),
)
async def test_a_hostile_answer_within_a_job_is_no_surprise(
    job: str, nth: int, variant: int, change: Change, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A job that meets such an answer has a report, or raises an error of ours."""
    folder = tmp_path_factory.getbasetemp() / f"hostile-{next(FOLDERS)}"
    transport = HostileTransport([], nth=nth, variant=variant, change=change)
    with pytest.MonkeyPatch.context() as monkeypatch:
        await ask(job, transport, folder, monkeypatch)


@pytest.mark.parametrize("call", sorted({**CALLS, **JOBS}))
async def test_the_recorded_answers_are_taken(
    call: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unchanged, what was recorded leads each call to where answers are read."""
    transport = HostileTransport([])
    await ask(call, transport, tmp_path / "out", monkeypatch)
    assert transport.seen
