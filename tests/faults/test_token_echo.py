"""A service that says the token wherever it can: no text, value, log, file or traceback has it."""

from __future__ import annotations

import asyncio
import json
import logging
import pickle
import re
import traceback
import warnings
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import aiohttp
import attrs
import pytest
from aiohttp import web

from datagym_async import (
    ConfigurationError,
    DataGymClient,
    DownloadConfig,
    RetryPolicy,
    UploadConfig,
    UploadItem,
)
from datagym_async.exceptions import DataGymError
from datagym_async.labels import Annotation, LabeledImage, Rectangle
from datagym_async.server import SeedMedia
from tests.helpers.photos import jpeg
from tests.helpers.raw_server import raw_server, read_head
from tests.helpers.sentinel import TOKEN
from tests.helpers.world import World, world

if TYPE_CHECKING:
    from aiohttp.typedefs import Handler

pytestmark = pytest.mark.usefixtures("both_ways")

FORMS: Final = {
    "raw": TOKEN,
    "escaped": "".join(f"\\u{ord(letter):04x}" for letter in TOKEN),
    "one escaped": f"{TOKEN[:-1]}\\u{ord(TOKEN[-1]):04X}",
    "in a URL": "".join(f"%{ord(letter):02X}" for letter in TOKEN),
    "Basic": b64encode(f":{TOKEN}".encode()).decode(),
}
# What has to be as it is for an answer to be understood at all.
_NEEDED: Final = re.compile(
    r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|[A-Z_]+|token_user|image/.*|car", re.IGNORECASE
)


def echoed(value: Any, *, all_texts: bool) -> Any:
    """Return JSON that says the token in its names, or in each of its texts."""
    if isinstance(value, dict):
        return {name: echoed(each, all_texts=all_texts) for name, each in value.items()}
    if isinstance(value, list):
        return [echoed(each, all_texts=all_texts) for each in value]
    if not isinstance(value, str) or (not all_texts and _NEEDED.fullmatch(value)):
        return value
    return f"{value} {TOKEN}"


@attrs.define
class Echo:
    """Say the token in the header fields, the reason and the body of an answer.

    Args:
        form: How it is written.
        all_texts: Whether also where an answer is then not understood.
        status: Of an error or a redirect that takes the place of the answer, or 0.
    """

    form: str
    all_texts: bool = False
    status: int = 0
    echoes: int = 0

    async def apply(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        response = await self._answer(request, handler)
        if response.prepared:  # an image, on its way
            return response
        self.echoes += 1
        response.headers["X-Echo"] = f"Authorization: Token {self.form}"
        response.headers[f"X-{TOKEN}"] = "1"
        response.headers["RateLimit"] = f'"{self.form}";r=9;t=1'
        response.headers["Location"] = f"https://{self.form}.test/{self.form}?token={self.form}"
        response.set_status(response.status, f"said {TOKEN}")
        return response

    async def _answer(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if self.status:
            await request.read()
            error = {"key": f"ex_{TOKEN}", "msg": TOKEN, "params": [TOKEN, {TOKEN: [TOKEN]}]}
            detail = {"name": TOKEN, "key": TOKEN, "params": [TOKEN]}
            return self._json(self.status, {**error, "code": 1, "details": [detail]})
        response = await handler(request)
        if isinstance(response, web.Response) and isinstance(response.body, bytes):
            try:
                said = json.loads(response.body)
            except ValueError:
                return response
            return self._json(response.status, echoed(said, all_texts=self.all_texts))
        assert isinstance(response, web.StreamResponse)
        return response

    def _json(self, status: int, value: Any) -> web.Response:
        body = json.dumps(value).replace(TOKEN, self.form).encode()
        return web.Response(status=status, body=body, content_type="application/json")


ECHOES: Final = {
    "names": Echo,
    "each text": lambda form: Echo(form, all_texts=True),
    "refusal": lambda form: Echo(form, status=400),
    "failure": lambda form: Echo(form, status=500),
    "redirect": lambda form: Echo(form, status=302),
}


def leaks(text: str) -> list[str]:
    """Return how the token stands in a text, in any form."""
    lower = text.lower()
    return [name for name, form in FORMS.items() if form.lower() in lower or form in text]


def frames(error: BaseException) -> Iterator[str]:
    """Give the lines of all tracebacks of an error with the names of its frames, but for tests."""
    stack = [traceback.TracebackException.from_exception(error, capture_locals=True)]
    while stack:
        shown = stack.pop()
        yield from shown.format_exception_only()
        for frame in shown.stack:
            if "/tests/" not in frame.filename:
                yield f"{frame.filename}:{frame.lineno} {frame.locals}"
        stack += [each for each in (shown.__cause__, shown.__context__) if each is not None]
        stack += shown.exceptions or ()


def found_in(value: object) -> Iterator[str]:
    """Give where a result or an error holds the token."""
    texts = {"repr": repr(value), "str": str(value)}
    if isinstance(value, BaseException):
        texts["frames"] = "\n".join(frames(value))
        texts["attributes"] = repr(vars(value))
    # What cannot be pickled cannot be found in a pickle.
    with suppress(TypeError, AttributeError, pickle.PicklingError):
        texts["pickle"] = pickle.dumps(value).decode("latin-1")
    for name, text in texts.items():
        for form in leaks(text):
            yield f"{name} of {type(value).__name__} holds the token ({form})"


async def everything(here: World, folder: Path) -> AsyncIterator[Callable[[], Awaitable[object]]]:
    """Give calls and jobs of all kinds, each to be awaited."""
    client, project, dataset = here.client, here.project_id, here.dataset_id
    media = next(iter(here.project.datasets[0].media_ids.values()))
    task = next(iter(here.project.task_ids.values()))
    photos = [UploadItem(f"{n}.jpg", jpeg(1_500, seed=n)) for n in range(3)]
    config = UploadConfig(journal=folder / "jobs" / "upload.db", max_per_dataset=2)
    image = LabeledImage(media_id=media, annotations=[Annotation("car", Rectangle(1, 2, 3, 4))])

    async def uploaded() -> list[object]:
        report = await client.upload(dataset, photos, config=config)
        report.to_json(folder / "upload.json")
        report.to_csv(folder / "upload.csv")
        return [report, report.to_dict()]

    async def downloaded() -> list[object]:
        wanted = DownloadConfig(labels=("json", "jsonl"))
        report = await client.download_project(project, folder / "photos", config=wanted)
        report.to_json(folder / "download.json")
        return [report]

    async def loaded() -> list[object]:
        loader = client.loader(dataset, project_id=project, cache=folder / "cache")
        samples = [sample async for sample in loader]
        return [loader.state_dict(), loader, *samples]

    async def iterated() -> list[object]:
        return [each async for each in client.labels.iter_export(project)]

    yield client.ping
    yield client.projects.list
    yield client.datasets.list
    yield lambda: client.datasets.get(dataset)
    yield lambda: client.datasets.create("Winter", exist_ok=True)
    yield lambda: client.projects.find("Street scenes")
    yield lambda: client.media.upload_file(dataset, jpeg(1_800), name="single.jpg")
    yield lambda: client.media.upload_urls(dataset, ["https://photos.test/a.jpg"])
    yield lambda: client.media.download(media)
    yield lambda: client.media.download_to(media, folder / "one.jpg")
    yield lambda: client.labels.export(project)
    yield iterated
    yield lambda: client.labels.bitmap(task, "car")
    yield lambda: client.labels.export_video(task)
    yield lambda: client.tasks.list(project)
    yield lambda: client.tasks.get(task)
    yield lambda: client.tasks.complete(task)
    yield lambda: client.values.read(task)
    yield lambda: client.label_configs.read(project)
    yield lambda: client.labels.import_predictions(project, [image], keep_data=False)
    yield lambda: client.export_labels(project, folder / "labels.json")
    yield lambda: client.export_labels(project, folder / "labels.jsonl", "jsonl")
    yield lambda: client.download_bitmaps(project, folder / "bitmaps")
    yield uploaded
    yield downloaded
    yield loaded


@asynccontextmanager
async def labelled() -> AsyncIterator[World]:
    media = [SeedMedia(f"{n}.jpg", jpeg(2_000, seed=9 + n), state="COMPLETED") for n in range(2)]
    async with world(*media, retry=RetryPolicy.none()) as here:
        entries = [{"entryKey": "car", "entryValue": "car", "type": "RECTANGLE"}]
        await here.client.label_configs.upload(here.project.label_configuration_id, entries)
        yield here


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("echo", ECHOES.values(), ids=ECHOES)
async def test_what_the_service_echoes_is_nowhere(
    echo: Callable[[str], Echo], form: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever says the token, in any form: no result, error, log, report or file has it."""
    caplog.set_level(logging.DEBUG)
    action, seen = echo(form), 0
    found: list[str] = []
    async with labelled() as here:
        here.plan.add(action)
        async for call in everything(here, tmp_path):
            try:
                result = await call()
            except Exception as error:
                result = error
            for each in result if isinstance(result, list) else [result]:
                seen += "[redacted]" in repr(each)
                found += found_in(each)

    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    for path in files:
        found += [
            f"{path} holds it ({kind})" for kind in leaks(path.read_bytes().decode("latin-1"))
        ]
        found += leaks(str(path))
    assert found + leaks(caplog.text) == []
    # Where a redirect leads is no address any more.
    assert seen >= 5 or action.status == 302
    assert action.echoes >= 15


@pytest.mark.parametrize("stage", ["before the answer", "within the answer"])
async def test_who_cancels_sees_no_token(stage: str) -> None:
    """A caller's own time limit leaves frames in a traceback; none of their names has the token."""
    arrived = asyncio.Event()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_head(reader)
        if stage == "within the answer":
            head = f"HTTP/1.1 200 {TOKEN}\r\nX-Echo: {TOKEN}\r\nContent-Length: 999\r\n\r\n"
            writer.write(f'{head}["{TOKEN}", "'.encode())
            await writer.drain()
        arrived.set()
        await asyncio.Event().wait()

    async with raw_server(talk) as address, DataGymClient(TOKEN, address) as client:
        for call in (client.projects.list, lambda: client.labels.export("p"), client.ping):
            arrived.clear()
            task = asyncio.ensure_future(call())
            await arrived.wait()
            for _ in range(20):
                await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError) as raised:
                await task

            assert list(found_in(raised.value)) == []


def test_a_client_that_cannot_be_made_shows_no_token() -> None:
    """The names of our frames hide the token where an option is refused, and repr works."""
    for token, address in ((TOKEN, "no address"), (f"{TOKEN} {TOKEN}", "https://a.test")):
        with pytest.raises(ConfigurationError) as raised:
            DataGymClient(token, address)

        assert list(found_in(raised.value)) == []
    assert repr(DataGymClient.__new__(DataGymClient)).startswith("<DataGymClient")


async def test_images_stay_as_they_are() -> None:
    """The bytes of an image that holds the token are given as they lie there."""
    content = jpeg(2_000) + TOKEN.encode()
    async with world(SeedMedia("a.jpg", content)) as here:
        media = here.project.datasets[0].media_ids["a.jpg"]

        assert await here.client.media.download(media) == content
        async with here.client.media.stream(media) as chunks:
            assert b"".join([chunk async for chunk in chunks]) == content


@pytest.mark.parametrize("of", ["environment", "session in it", "session"])
async def test_credentials_of_a_proxy_are_secrets_too(
    monkeypatch: pytest.MonkeyPatch, of: str
) -> None:
    """User and password of a proxy are hidden as the token is, and in their Basic header too."""
    user, password = "proxy-user", "proxy-pass/word"
    basic = b64encode(f"{user}:{password}".encode()).decode()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_head(reader)
        params = f'"{user}", "{password}", "Basic {basic}"'
        body = f'{{"key": "ex_proxy", "params": [{params}]}}'.encode()
        writer.write(b"HTTP/1.1 407 No\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))

    async with raw_server(talk) as address:
        host = address.removeprefix("http://").removesuffix("/")
        options: dict[str, Any] = {"trust_env": True}
        async with AsyncExitStack() as stack:
            if of == "session":
                with warnings.catch_warnings(action="ignore"):  # its days are counted
                    auth = aiohttp.BasicAuth(user, password)
                    http = aiohttp.ClientSession(proxy=f"http://{host}", proxy_auth=auth)
                options = {"session": await stack.enter_async_context(http)}
            else:
                monkeypatch.setenv("http_proxy", f"http://{user}:proxy-pass%2Fword@{host}")
            if of == "session in it":
                http = aiohttp.ClientSession(trust_env=True)
                options = {"session": await stack.enter_async_context(http)}
            client = await stack.enter_async_context(
                DataGymClient(TOKEN, "http://service.test", retry=RetryPolicy.none(), **options)
            )
            with pytest.raises(DataGymError) as raised:
                await client.projects.list()

    shown = f"{raised.value} {vars(raised.value)}"
    assert "[redacted]" in shown
    assert not any(secret in shown for secret in (user, password, basic[:-4]))
