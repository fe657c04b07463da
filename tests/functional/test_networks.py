"""Networks of companies: proxies, authorities of their own, large heads, hasty connections."""

from __future__ import annotations

import asyncio
import copy
import pickle
import re
import socket
import ssl
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import attrs
import pytest
import trustme

from datagym_async import DataGymClient, RetryPolicy
from datagym_async._transport import proxy_for
from datagym_async.exceptions import (
    APIConnectionError,
    APIError,
    ClientClosedError,
    ConfigurationError,
)
from tests.helpers.raw_server import OK, Talk, raw_server, read_head, read_request
from tests.helpers.sentinel import TOKEN
from tests.helpers.service import until

LIST = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Type: application/json\r\n\r\n[]"
MEDIA = "11111111-2222-3333-4444-555555555555"


def answering(heads: list[bytes], text: bytes = LIST) -> Talk:
    """Return a service or a proxy that keeps the heads of requests, and answers all alike."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            heads.append((await read_request(reader))[0])
            writer.write(text)

    return talk


@attrs.frozen
class Company:
    """An authority that only its company knows: its file, and what a server of the company has."""

    file: Path
    context: ssl.SSLContext


@pytest.fixture
def company(tmp_path: Path) -> Company:
    """Make the authority, and a certificate for this machine."""
    authority, context = trustme.CA(), ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(context)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    return Company(tmp_path / "ca.pem", context)


def no_retries(base_url: str, **options: object) -> DataGymClient:
    """Return a client that tries once."""
    return DataGymClient(TOKEN, base_url, retry=RetryPolicy.none(), **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("variable", ["http_proxy", "all_proxy"])
async def test_the_proxy_of_the_environment_is_asked(
    variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By default, with its credentials in a header of their own, and the whole URL."""
    heads: list[bytes] = []
    async with raw_server(answering(heads)) as proxy:
        monkeypatch.setenv(variable, proxy.replace("http://", "http://some%40one:pass%2Fword@"))
        async with no_retries("http://service.test") as client:
            assert await client.projects.list() == []

    credentials = b64encode(b"some@one:pass/word").decode()
    assert heads[0].startswith(b"GET http://service.test/api/v1/project")
    assert f"Proxy-Authorization: Basic {credentials}".encode() in heads[0]


@pytest.mark.parametrize(
    ("options", "environment"),
    [
        ({"proxy": ""}, {}),
        ({"trust_env": False}, {}),
        ({}, {"no_proxy": "localhost,127.0.0.1"}),
        ({}, {}),  # a service on this machine
    ],
    ids=["proxy=''", "trust_env", "no_proxy", "loopback"],
)
async def test_a_proxy_is_left_out(
    options: dict[str, object], environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where it was said so, and for a service on this machine."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    heads: list[bytes] = []
    async with raw_server(answering(heads)) as base_url, no_retries(base_url, **options) as client:
        assert await client.projects.list() == []

    assert heads[0].startswith(b"GET /api/v1/project")


@pytest.mark.parametrize(
    ("host", "names", "is_left_out"),
    [
        ("10.1.2.3:8080", "localhost, 10.0.0.0/8", True),
        ("10.1.2.3", "10.1.2.9/8", True),
        ("11.1.2.3", "10.0.0.0/8,::/0", False),
        ("[fd00::1]:8080", "fd00::1", True),
        ("[fd00::1]", "[FD00:0::1]", True),
        ("[fd00::1]", "fd00::/16", True),
        ("[fd00::1]", "fe80::/10,0.0.0.0/0,10.0.0.0/99", False),
        ("service.test", ".test", True),
        ("service.test", "0.0.0.0/0", False),
    ],
)
def test_addresses_and_networks_without_a_proxy(
    host: str, names: str, is_left_out: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """NO_PROXY may hold addresses of both kinds, and networks, besides names."""
    monkeypatch.setenv("http_proxy", "http://proxy.test")
    monkeypatch.setenv("no_proxy", names)
    found = proxy_for(f"http://{host}/", None, trust_env=True)
    assert found.reveal() == ("" if is_left_out else "http://proxy.test")


async def test_a_proxy_that_is_given_counts_for_this_machine_too() -> None:
    """Whoever names a proxy means it."""
    heads: list[bytes] = []
    async with (
        raw_server(answering(heads)) as proxy,
        no_retries("http://127.0.0.1:1", proxy=proxy.removeprefix("http://")) as client,
    ):
        assert await client.projects.list() == []

    assert heads[0].startswith(b"GET http://127.0.0.1:1/api/v1/project")


@pytest.mark.parametrize(
    "proxy",
    [
        "socks5://127.0.0.1:1080",
        "http://",
        "http://a:b@c:port",
        "a:b@::1:3128",
        "http://a:b@c\nd:1",
        "http://a:b@c d:1",
        "http://a:b@c..d:1",
    ],
)
def test_a_proxy_that_cannot_be_used_is_refused(proxy: str) -> None:
    """At once, with the way out, and without its credentials."""
    with pytest.raises(ConfigurationError, match=r'proxy .*give proxy="" for none') as raised:
        DataGymClient(TOKEN, "https://service.test", proxy=proxy)

    assert "a:b" not in str(raised.value)


@pytest.mark.parametrize("wrong", [{"proxy": b"http://a:b@c"}, {"proxy": 3}])
def test_options_of_another_type_are_named(wrong: dict[str, object]) -> None:
    """As those of the token are, without what they hold."""
    with pytest.raises(ConfigurationError, match=r"is of the type (bytes|int); pass") as raised:
        no_retries("https://service.test", **wrong)

    assert "a:b" not in str(raised.value)


async def test_a_session_has_its_own_proxy_and_certificates(tmp_path: Path) -> None:
    """Options that would have no effect on it are refused; the credentials are not repeated."""
    async with aiohttp.ClientSession() as http:
        for wrong in ({"proxy": "http://a:b@c"}, {"ca_file": tmp_path / "ca.pem"}):
            with pytest.raises(ConfigurationError, match="session comes with") as raised:
                no_retries("https://service.test", session=http, **wrong)
            assert "a:b" not in str(raised.value)


async def test_a_client_that_is_never_closed_is_warned_of() -> None:
    """Once it is gone, as aiohttp does of its sessions; a view of it says nothing."""
    async with raw_server(answering([])) as base_url:
        clients = [await no_retries(base_url).open()]
        clients.append(clients[0].with_options(retry=RetryPolicy()))
        opened = clients[0]._open
        with pytest.warns(ResourceWarning) as warned:
            clients.clear()
        assert opened is not None
        await opened.session.aclose()

    assert [str(each.message).partition("; ")[0] for each in warned] == [
        f"Unclosed <DataGymClient {base_url} open>"
    ]


async def test_a_dead_proxy_is_named_as_one() -> None:
    """Not the service is out of reach."""
    async with no_retries("https://service.test", proxy="http://127.0.0.1:1") as client:
        with pytest.raises(APIConnectionError, match=r"The proxy 127\.0\.0\.1:1 in front of"):
            await client.projects.list()


@pytest.mark.parametrize(
    ("proxy", "words"),
    [
        (None, "The host of http://xn--hst-hoa.test is not known"),
        (
            "pröxy.test",
            "The host of the proxy xn--prxy-6qa.test:80 in front of http://xn--hst-hoa.test is",
        ),
    ],
)
async def test_a_host_that_nobody_knows_is_named(
    monkeypatch: pytest.MonkeyPatch, proxy: str | None, words: str
) -> None:
    """As it was asked for: the proxy's, where there is one, and not the service's."""

    def resolve(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "not known")

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    async with no_retries("http://hüst.test", proxy=proxy) as client:
        with pytest.raises(APIConnectionError, match=re.escape(words)) as raised:
            await client.projects.list()

    assert not raised.value.request_sent


async def test_a_service_that_moves_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its addresses are asked for again while a call is still retried."""
    addresses, clock = iter(["::1", "127.0.0.1"]), [0.0]
    of_name = socket.getaddrinfo

    def resolve(host: str, *rest: Any, **named: Any) -> Any:
        return of_name(next(addresses) if host == "service.test" else host, *rest, **named)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    monkeypatch.setattr("aiohttp.connector.monotonic", lambda: clock[0])
    async with raw_server(answering([], LIST)) as base_url:
        port = urlsplit(base_url).port
        async with no_retries(f"http://service.test:{port}") as client:
            for clock[0] in (0.0, 1.0):
                with pytest.raises(APIConnectionError):
                    await client.projects.list()
            clock[0] = 6.0
            assert await client.projects.list() == []


async def test_what_a_proxy_wants_is_named_as_the_proxys() -> None:
    """407 to the request for a tunnel: nothing was sent to the service."""
    heads: list[bytes] = []
    refusal = b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n"
    async with (
        raw_server(answering(heads, refusal)) as proxy,
        DataGymClient(TOKEN, "https://service.test", proxy=proxy) as client,
    ):
        with pytest.raises(APIConnectionError, match=r"The proxy of .* \(407\)") as raised:
            await client.projects.list()

    assert (raised.value.attempts, raised.value.request_sent) == (1, False)
    assert TOKEN.encode() not in b"".join(heads)


async def test_a_company_s_own_authority_is_trusted(company: Company) -> None:
    """With ca_file, and not without it."""
    async with raw_server(answering([]), company.context) as base_url:
        async with no_retries(base_url, ca_file=company.file) as client:
            assert await client.projects.list() == []
        async with DataGymClient(TOKEN, base_url) as client:
            with pytest.raises(APIConnectionError, match="certificate; check base_url") as raised:
                await client.projects.list()
    assert (raised.value.attempts, raised.value.request_sent) == (1, False)


async def test_credentials_of_a_proxy_are_for_the_tunnel_alone(company: Company) -> None:
    """The proxy gets them and no token, the service the token and nothing of the proxy."""
    asked: list[bytes] = []
    heads: list[bytes] = []

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1 << 16):
            writer.write(data)
        writer.close()

    async def tunnel(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await read_head(reader))
        theirs = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        async with asyncio.TaskGroup() as group:
            group.create_task(copy(reader, theirs[1]))
            group.create_task(copy(theirs[0], writer))

    service = raw_server(answering(heads), company.context)
    async with service as base_url, raw_server(tunnel) as proxy:
        port = urlsplit(base_url).port
        given = proxy.replace("http://", "http://somebody:pass%20word@")
        async with no_retries(base_url, proxy=given, ca_file=company.file) as client:
            assert await client.projects.list() == []
            assert "word" not in repr(client)

    assert asked[0].startswith(f"CONNECT localhost:{port} HTTP/1.1\r\n".encode())
    field = b"Proxy-Authorization: Basic " + b64encode(b"somebody:pass word")
    assert (asked[0].count(field), TOKEN.encode() in asked[0]) == (1, False)
    assert heads[0].startswith(b"GET /api/v1/project")
    assert (TOKEN.encode() in heads[0], b"proxy-" in heads[0].lower()) == (True, False)


@pytest.mark.parametrize(("content", "words"), [(None, "No such file"), (b"x", "no certificate")])
def test_an_authority_that_cannot_be_read_is_refused(
    content: bytes | None, words: str, tmp_path: Path
) -> None:
    """At once, with the file and the reason."""
    if content is not None:
        (tmp_path / "ca.pem").write_bytes(content)
    with pytest.raises(ConfigurationError, match=rf"ca_file .*ca\.pem cannot be used: .*{words}"):
        DataGymClient(TOKEN, ca_file=tmp_path / "ca.pem")


@pytest.mark.usefixtures("both_ways")
async def test_a_head_of_a_gateway_is_taken() -> None:
    """One field of 20 kB, as of a single sign-on."""
    text = LIST.replace(b"\r\n\r\n", b"\r\nSet-Cookie: sso=%b\r\n\r\n" % (b"x" * 20_000))
    async with raw_server(answering([], text)) as base_url, no_retries(base_url) as client:
        assert await client.projects.list() == []


async def test_the_port_of_a_redirect_is_named() -> None:
    """What is wrong is often nothing but the port."""
    text = (
        b"HTTP/1.1 302 Found\r\nLocation: https://service.test:8443/x\r\nContent-Length: 0\r\n\r\n"
    )
    async with raw_server(answering([], text)) as base_url, no_retries(base_url) as client:
        with pytest.raises(APIError, match=r"redirected to https://service\.test:8443,"):
            await client.projects.list()


async def test_a_service_that_hangs_up_after_each_answer_loses_nothing() -> None:
    """A connection that was closed a moment ago is not taken for what may not be sent twice."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(OK)  # and it is closed, without a word of that in the head

    async with raw_server(talk) as base_url, no_retries(base_url) as client:
        for _ in range(50):
            await client.request("POST", "dataset", json={})
        assert client.statistics().requests == 50


async def test_connections_are_kept_no_longer_than_the_other_side_bears(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """After three that were closed within 10 ms, none is used again after more than 5 ms."""
    now, hangs_up, connections = 0.0, True, 0
    monkeypatch.setattr("datagym_async._transport._connections.monotonic", lambda: now)

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        while True:
            await read_request(reader)
            writer.write(OK)
            if hangs_up:
                return

    async with raw_server(talk) as base_url, no_retries(base_url) as client:
        for _ in range(3):
            await client.request("GET", "x")
            for _ in range(20):  # until the event loop knows that it is closed
                await asyncio.sleep(0)
            now += 0.010
        hangs_up = False
        for idle in (0.006, 0.004, 0.0):
            await client.request("GET", "x")
            now += idle
        assert connections == 5
        now += 31.0  # it is forgotten, and the kept connection is too old
        await client.request("GET", "x")
        now += 0.010
        await client.request("GET", "x")
        assert connections == 6


@pytest.mark.usefixtures("both_ways")
async def test_a_connection_that_nobody_uses_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """By itself, after a while, though the client stays open; the next call has another one."""
    monkeypatch.setattr("datagym_async._transport._aiohttp._KEEPALIVE_SECONDS", 0.05)
    ended: asyncio.Queue[bytes] = asyncio.Queue()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(OK)
        ended.put_nowait(await reader.read())

    async with raw_server(talk) as base_url, no_retries(base_url) as client:
        for _ in range(2):
            await client.request("GET", "x")
            async with asyncio.timeout(30):
                assert await ended.get() == b""


# --- who asks ------------------------------------------------------------------------------------


@pytest.mark.usefixtures("both_ways")
async def test_the_token_as_a_parameter() -> None:
    """In each request's query, and in no header."""
    heads: list[bytes] = []
    async with (
        raw_server(answering(heads)) as base_url,
        no_retries(base_url, auth="parameter") as client,
    ):
        await client.projects.list()
        await client.request("GET", "task/P/list", query={"state": "A B"})
        await client.request("POST", "x", json=1)

    lines = [head.partition(b"\r\n")[0].decode() for head in heads]
    assert lines == [
        f"GET /api/v1/project?token={TOKEN} HTTP/1.1",
        f"GET /api/v1/task/P/list?state=A%20B&token={TOKEN} HTTP/1.1",
        f"POST /api/v1/x?token={TOKEN} HTTP/1.1",
    ]
    assert not re.search(rb"(?i)authorization", b"".join(heads))


def test_a_way_to_say_the_token_that_is_none() -> None:
    """One sentence with both."""
    with pytest.raises(
        ConfigurationError, match="auth is 'cookie'; it must be one of 'header', 'p"
    ):
        DataGymClient(TOKEN, auth="cookie")  # type: ignore[arg-type]


def refusing(known: Callable[[], str], heads: list[bytes]) -> Talk:
    """Return a service that takes one token, and refuses others as the real one does."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            heads.append((await read_request(reader))[0])
            if f"Token {known()}".encode() in heads[-1]:
                writer.write(LIST)
            else:
                body = b'{"key":"ex_forbidden","params":[],"msg":"","code":403,"details":[]}'
                writer.write(b"HTTP/1.1 403 No\r\nContent-Length: %d\r\n\r\n" % len(body) + body)

    return talk


@pytest.mark.parametrize("is_coroutine", [False, True], ids=["plain", "coroutine"])
@pytest.mark.usefixtures("both_ways")
async def test_a_token_is_asked_for_again_when_it_is_refused(is_coroutine: bool) -> None:
    """Once for all requests that met the refusal, each of which is sent once more."""
    tokens, asked = ["token-number-1", "token-number-2"], 0
    heads: list[bytes] = []
    now = tokens[0]

    def token() -> str:
        nonlocal asked
        asked += 1
        return now

    async def coroutine() -> str:
        return token()

    async with raw_server(refusing(lambda: now, heads)) as base_url:
        source = coroutine if is_coroutine else token
        async with DataGymClient(source, base_url) as client:
            await client.projects.list()
            now = tokens[1]
            async with asyncio.TaskGroup() as group:
                for _ in range(5):
                    group.create_task(client.projects.list())
            assert asked == 2
            await client.projects.list()

    assert asked == 2
    assert client.__repr__().count("token-number") == 0
    assert len(heads) <= 1 + 10 + 1


@pytest.mark.parametrize("kind", [StopIteration, asyncio.CancelledError])
@pytest.mark.parametrize("is_coroutine", [False, True], ids=["plain", "coroutine"])
async def test_a_token_function_that_ends_oddly(
    is_coroutine: bool, kind: type[BaseException]
) -> None:
    """Such as ``iter(tokens).__next__`` that is used up: an error, when opened and when renewed."""
    heads: list[bytes] = []
    tokens = iter(["token-number-1"])

    def token() -> str:
        for one in tokens:
            return one
        raise kind

    async def coroutine() -> str:
        return token()

    source = coroutine if is_coroutine else token
    async with raw_server(refusing(lambda: "another-token", heads)) as base_url:
        async with DataGymClient(source, base_url) as client:
            for _ in range(2):
                with pytest.raises(APIError, match="function that gives the token raised Runtime"):
                    await client.projects.list()
        with pytest.raises(RuntimeError):
            await DataGymClient(source, base_url).open()

    assert len(heads) == 2


async def test_a_token_that_stays_the_same_is_refused_as_ever() -> None:
    """It is asked for, and nothing is sent again."""
    heads: list[bytes] = []
    async with (
        raw_server(refusing(lambda: "another-token", heads)) as base_url,
        DataGymClient(lambda: TOKEN, base_url) as client,
    ):
        with pytest.raises(APIError, match="refused access"):
            await client.projects.list()

    assert len(heads) == 1


@pytest.mark.parametrize("fails", [False, True], ids=["the same", "an error"])
async def test_a_refusal_that_many_meet_is_asked_about_once(fails: bool) -> None:
    """Also where no other token comes of it; the first one who asks may be cancelled."""
    asked, met, go_on = 0, asyncio.Event(), asyncio.Event()

    async def token() -> str:
        nonlocal asked
        asked += 1
        if asked > 1:
            met.set()
            await go_on.wait()
            if fails:
                raise OSError(f"the vault is closed to {TOKEN}")
        return TOKEN

    heads: list[bytes] = []
    async with (
        raw_server(refusing(lambda: "another-token", heads)) as base_url,
        DataGymClient(token, base_url, max_calls=100) as client,
    ):
        calls = [asyncio.create_task(client.projects.list()) for _ in range(100)]
        await met.wait()
        met.clear()
        await until(lambda: len(heads) == 100 and not client.statistics().in_flight)
        calls[0].cancel()
        go_on.set()
        await asyncio.wait(calls)
        failures = [str(each.exception()) for each in calls if not each.cancelled()]

    assert len(failures) >= 99
    assert asked <= 3
    assert all(("the vault is closed" in each) is fails for each in failures)
    assert not any(TOKEN in each for each in failures)


@pytest.mark.looptime
@pytest.mark.parametrize("order", ["BNL", "NBL", "BNBL"])
async def test_a_token_may_run_out_between_repetitions(order: str) -> None:
    """It is asked for in any of them, and what meets the next one is repeated like any other."""
    answers = {
        "B": b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n",
        "N": b"HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n",
        "L": LIST,
    }
    script, heads, number = list(order), list[bytes](), 0

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            heads.append((await read_request(reader))[0])
            writer.write(answers[script.pop(0)])

    async def token() -> str:
        nonlocal number
        number += 1
        return f"token-number-{number}"

    async with raw_server(talk) as base_url, DataGymClient(token, base_url) as client:
        assert await client.projects.list() == []

    assert number == 2
    assert b"token-number-2" in heads[-1]


async def test_a_function_that_fails_says_so() -> None:
    """At the opening with its own error; later the refusal is raised, with that as its cause."""
    works = True

    def token() -> str:
        if not works:
            raise OSError("the vault is closed")
        return TOKEN

    async with (
        raw_server(refusing(lambda: "another-token", [])) as base_url,
        DataGymClient(token, base_url) as client,
    ):
        works = False
        with pytest.raises(APIError, match="the vault is closed") as raised:
            await client.projects.list()
    assert isinstance(raised.value.__cause__, OSError)

    with pytest.raises(OSError, match="the vault is closed"):
        await DataGymClient(token, base_url).open()
    with pytest.raises(ConfigurationError, match="token returned int"):
        await DataGymClient(lambda: 1, base_url).open()  # type: ignore[arg-type, return-value]


# --- single calls --------------------------------------------------------------------------------


async def test_other_options_for_single_calls() -> None:
    """They share connections and counts, and raw answers are told as they came."""
    heads: list[bytes] = []
    seen: list[tuple[str, int, object]] = []
    async with raw_server(answering(heads)) as base_url, no_retries(base_url) as client:
        other = client.with_options(
            retry=RetryPolicy(),
            on_answer=lambda raw: seen.append((raw.path, raw.status, raw.json())),
        )
        assert await other.projects.list() == []
        assert await client.projects.list() == []
        assert client.statistics().requests == other.statistics().requests == 2
        await other.aclose()
        assert await client.projects.list() == []

    assert seen == [("project", 200, [])]


async def test_whoever_listens_touches_no_call(caplog: pytest.LogCaptureFixture) -> None:
    """What on_answer raises is logged once; what cannot be called is refused at once."""

    def fail(_: object) -> None:
        raise ZeroDivisionError

    async def later(_: object) -> None:
        """Nobody would await this."""

    async with raw_server(answering([])) as base_url, no_retries(base_url) as client:
        other = client.with_options(on_answer=fail)
        assert [await other.projects.list() for _ in range(3)] == [[], [], []]
        for wrong in (3, later):
            with pytest.raises(ConfigurationError, match="on_answer is"):
                client.with_options(on_answer=wrong)  # type: ignore[arg-type]

    assert caplog.text.count("on_answer failed") == 1


@pytest.mark.usefixtures("both_ways")
@pytest.mark.parametrize("is_secure", [False, True])
@pytest.mark.parametrize(
    "begin",
    [
        b"Content-Length: 9000\r\n\r\nabc",
        b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
        b"\r\nabc",
    ],
    ids=["length", "chunked", "until the end"],
)
async def test_closing_a_client_ends_the_answers_it_reads(
    begin: bytes, is_secure: bool, company: Company
) -> None:
    """Who waits for the rest is told, and who asks for it later: half an answer is none."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_head(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\n" + begin)
        await reader.read()

    async def read(client: DataGymClient, go_on: asyncio.Event) -> None:
        async with client.media.stream(MEDIA) as chunks:
            async for _ in chunks:
                has_begun.release()
                await go_on.wait()

    has_begun, now, later = asyncio.Semaphore(0), asyncio.Event(), asyncio.Event()
    now.set()
    async with (
        raw_server(talk, company.context if is_secure else None) as base_url,
        no_retries(base_url, ca_file=company.file, dialect="media") as client,
    ):
        reading = [asyncio.create_task(read(client, go_on)) for go_on in (now, later)]
        for _ in reading:
            await has_begun.acquire()
        await client.aclose()
        later.set()
        async with asyncio.timeout(30):
            ended = await asyncio.gather(*reading, return_exceptions=True)

    assert [type(each) for each in ended] == [ClientClosedError] * 2


async def test_a_view_ends_with_its_client() -> None:
    """It says so, calls nothing and has no views of its own."""
    async with raw_server(answering([])) as base_url:
        async with no_retries(base_url) as client:
            view, unused = client.with_options(), client.with_options()
            await unused.aclose()
            await unused.aclose()
            assert ("closed" in repr(unused), await view.projects.list()) == (True, [])
        assert "closed" in repr(view)
        with pytest.raises(ClientClosedError):
            await view.projects.list()
        with pytest.raises(ClientClosedError):
            await view.open()
        for use in (view.with_options, view.statistics, lambda: view.limiter):
            with pytest.raises(ClientClosedError):
                use()


@pytest.mark.parametrize("is_closed", [False, True])
async def test_a_client_is_opened_once_while_its_token_is_asked_for(is_closed: bool) -> None:
    """The second call is refused, and one that was closed meanwhile stays closed."""
    go_on, asked = asyncio.Event(), asyncio.Event()

    async def token() -> str:
        asked.set()
        await go_on.wait()
        return TOKEN

    client = DataGymClient(token, "http://127.0.0.1:1")
    opening = asyncio.create_task(client.open())
    await asked.wait()
    with pytest.raises(ClientClosedError, match="opened once"):
        await client.open()
    if is_closed:
        await client.aclose()
    go_on.set()
    await asyncio.wait([opening])

    assert isinstance(opening.exception(), ClientClosedError) is is_closed
    assert ("closed" in repr(client)) is is_closed
    await client.aclose()


async def test_any_other_route_goes_through_the_same_rings() -> None:
    """Limited, counted and checked; what its answer says is the caller's to read."""
    heads: list[bytes] = []
    async with raw_server(answering(heads, OK)) as base_url, no_retries(base_url) as client:
        raw = await client.request("get", "/api/v1/project/P 1/statistics", query={"a": "b c"})
        assert (raw.status, raw.json(), raw.headers["content-type"]) == (
            200,
            {},
            "application/json",
        )
        assert [*raw.headers] == [name.lower() for name in raw.headers]
        assert pickle.loads(pickle.dumps(raw)) == copy.deepcopy(raw) == raw
        assert client.statistics().requests == 1
        for method, path in (("GET", "../admin"), ("GET", "a//b"), ("G T", "a"), ("GET", "a?b=c")):
            with pytest.raises(ConfigurationError):
                await client.request(method, path)

    assert heads[0].startswith(b"GET /api/v1/project/P%201/statistics?a=b%20c HTTP/1.1")


@pytest.mark.parametrize(
    ("method", "path", "query"),
    [
        (None, "a", {}),
        (b"GET", "a", {}),
        ("GET", None, {}),
        ("GET", b"a", {}),
        ("GET", "a", {"b": None}),
        ("GET", "a", {"b": 1}),
        ("GET", "a", {"b": ["1", "2"]}),
        ("GET", "a", {"b": "\ud800"}),
        ("GET", "a", {1: "b"}),
        ("GET", "a", "b=c"),
        ("GET", "a", [("b", "c")]),
    ],
)
async def test_what_cannot_stand_in_a_request_is_refused(
    method: object, path: object, query: object
) -> None:
    """Before anything is sent, as a fault of the call: not the service is out of reach."""
    async with no_retries("http://127.0.0.1:1") as client:
        with pytest.raises(ConfigurationError, match=r"(method|path|query) "):
            await client.request(method, path, query=query)  # type: ignore[arg-type]
        assert client.statistics().requests == 0
