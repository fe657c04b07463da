"""Networks of companies on the command line: proxy, certificates, time limits, the token's way."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from datagym_async import SessionStatistics
from datagym_async.cli._connect import waiting
from datagym_async.testing import Hang
from tests.helpers.sentinel import TOKEN

if TYPE_CHECKING:
    from datagym_async.testing import FaultPlan
    from tests.cli.conftest import Cli
    from tests.helpers.server_thread import ServerThread

ELSEWHERE = "http://service.test"


@pytest.fixture(autouse=True)
def own_token(monkeypatch: pytest.MonkeyPatch) -> None:
    """The token of the service, and a dead proxy of the environment."""
    monkeypatch.setenv("DATAGYM_TOKEN", TOKEN)
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")


def test_a_proxy(cli: Cli, service: ServerThread) -> None:
    """The one that is given counts; that of the environment where none is; none if so said.

    The embedded server stands for a proxy: it has no route for an address with a host.
    """
    ran = cli("datasets", "list", "--base-url", ELSEWHERE, "--proxy", service.base_url)
    dead = cli("datasets", "list", "--base-url", ELSEWHERE)
    none = cli("datasets", "list", "--base-url", ELSEWHERE, "--no-proxy")

    assert (ran.status, dead.status, none.status) == (2, 2, 2)
    assert "(404)" in ran.err
    assert "The proxy 127.0.0.1:9 in front of http://service.test cannot be reached" in dead.err
    assert "proxy" not in none.err


def test_options_before_the_command(cli: Cli, service: ServerThread) -> None:
    """As all shared options, these may stand there; what stands after the command wins."""
    ran = cli(
        *("--base-url", ELSEWHERE, "--proxy", "http://127.0.0.1:9", "datasets", "list"),
        *("--proxy", service.base_url),
    )
    assert "(404)" in ran.err  # as above


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--proxy", "http://p.test", "--no-proxy"), "Use --proxy or --no-proxy, not both"),
        (("--proxy", "socks5://me:secret@p.test"), "--proxy 'socks5://…@p.test' is not an http"),
        (("--proxy", "socks5://p.test"), "or give --no-proxy for none"),
        (("--ca-file", "no.pem"), "--ca-file no.pem cannot be used"),
        (("--timeout", "soon"), "--timeout"),
        (("--timeout", "0"), "--timeout is 0.0; it must be a number of seconds above 0"),
        (("--auth", "cookie"), "--auth"),
    ],
)
def test_usage(cli: Cli, options: tuple[str, ...], words: str) -> None:
    """One sentence that names the option, and no password of a proxy."""
    ran = cli("datasets", "list", *options)

    assert (ran.status, ran.out) == (2, "")
    assert words in ran.err
    assert "secret" not in ran.err


def test_certificates_of_a_company(cli: Cli, service: ServerThread, tmp_path: Path) -> None:
    """A file that holds none is named."""
    file = tmp_path / "ca.pem"
    file.write_text("no certificate")
    ran = cli("datasets", "list", "--base-url", service.base_url, "--ca-file", file)

    assert ran.status == 2
    assert f"--ca-file {file} cannot be used: it holds no certificate in PEM" in ran.err


def test_the_token_as_a_parameter(cli: Cli, service: ServerThread) -> None:
    """The service takes both ways; the `cli` fixture looks for the token in what is said."""
    ran = cli("datasets", "list", "--base-url", service.base_url, "--auth", "parameter", "--debug")
    assert ran.status == 0


def test_a_service_that_never_answers(
    at_service: Cli, faults: FaultPlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is said that the service is waited for, and --timeout ends that, with a sentence."""
    monkeypatch.setattr("datagym_async.cli._connect.FIRST_WORD_AFTER", 0.05)
    faults.add(Hang(), path="/dataset$")
    ran = at_service("datasets", "list", "--timeout", "0.2")

    assert ran.status == 2
    assert "Waiting for http://127.0.0.1:" in ran.err
    assert "--timeout TIME and --retries N give up sooner" in ran.err
    assert 1 <= ran.err.count("Waiting for") <= 6  # ever less often
    assert "Error: " in ran.err.splitlines()[-1]


@pytest.mark.looptime
@pytest.mark.parametrize(("in_flight", "said"), [(0, 0), (1, 2)])
async def test_a_file_that_is_read_for_long(in_flight: int, said: int) -> None:
    """Nobody is told to wait for the service, unless a request is on its way."""
    texts: list[str] = []
    invocation: Any = SimpleNamespace(output=SimpleNamespace(message=texts.append))
    now = SessionStatistics(in_flight=in_flight)
    client: Any = SimpleNamespace(base_url="http://x/", statistics=lambda: now)
    async with waiting(invocation, client, lambda: True):
        await asyncio.sleep(11)
    assert len(texts) == said


@pytest.mark.looptime
@pytest.mark.parametrize(("retried", "said"), [(False, 0), (True, 2)])
async def test_answers_without_a_body(retried: bool, said: int) -> None:
    """Requests that go on are answered; those that are only tried again are not."""
    texts: list[str] = []
    invocation: Any = SimpleNamespace(output=SimpleNamespace(message=texts.append))
    began = asyncio.get_running_loop().time()

    def statistics() -> SessionStatistics:
        requests = 1 + int(asyncio.get_running_loop().time() - began)
        return SessionStatistics(
            requests=requests, retries=requests - 1 if retried else 0, in_flight=1
        )

    client: Any = SimpleNamespace(base_url="http://x/", statistics=statistics)
    async with waiting(invocation, client):
        await asyncio.sleep(11)
    assert len(texts) == said


def test_nothing_is_said_of_a_service_that_answers(at_service: Cli) -> None:
    """Who answers in time is not told about."""
    assert at_service("datasets", "list").err.count("Waiting") == 0
