"""What holds for every test: a clean environment, no leaks, no blocking call, no spoken token."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator, Generator, Iterator

import hypothesis
import pytest
from blockbuster import BlockBuster
from coverage.collector import Collector

from tests.helpers.leaks import new_descriptors, new_tasks, open_descriptors
from tests.helpers.sentinel import TOKEN, SentinelHandler
from tests.helpers.virtual_time import hold_for_sqlite

# `too_slow` is about this machine, and about who else is at work on it.
hypothesis.settings.register_profile(
    "ci",
    derandomize=True,
    max_examples=50,
    deadline=None,
    database=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.register_profile("explore", max_examples=500, deadline=None)
hypothesis.settings.load_profile("ci")


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, object, object]:
    """Run what is marked as uncounted without the tracer of coverage.

    It is put back and not started anew, as by `no_cover` of pytest-cov.
    """
    if not pyfuncitem.get_closest_marker("uncounted"):
        return (yield)
    tracer = sys.gettrace()
    sys.settrace(None)
    try:
        return (yield)
    finally:
        sys.settrace(tracer)


@pytest.fixture(scope="session", autouse=True)
def usual_ctrl_c() -> None:
    """Take Ctrl-C also as a job in the background, for which a shell has it ignored."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def token() -> str:
    """Return the sentinel token: use it wherever a test needs one that is accepted."""
    return TOKEN


@pytest.fixture(scope="session", autouse=True)
def idle_event_loop() -> Iterator[None]:
    """Have a loop at hand: looptime asks for one in sync tests, which would look like a leak."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    yield
    loop.close()


@pytest.fixture(scope="session", autouse=True)
def opened_uvloop() -> None:
    """Open uvloop once: its library keeps a pipe for signals until the process ends."""
    with contextlib.suppress(ImportError):
        import uvloop

        uvloop.new_event_loop().close()


@pytest.fixture(scope="session", autouse=True)
def opened_obstore() -> None:
    """Open the threads of obstore once: they keep what wakes them until the process ends."""
    with contextlib.suppress(ImportError):
        from obstore.store import MemoryStore

        MemoryStore().put("x", b"")


@pytest.fixture(scope="session", autouse=True)
def opened_tracker() -> None:
    """Start what multiprocessing starts beside the first process: it stays until this one ends."""
    with contextlib.suppress(ImportError):  # Windows has none
        from multiprocessing.resource_tracker import ensure_running

        ensure_running()


# What aiohttp, obstore and urllib read from the environment.
_OF_NETWORKS = (
    *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"),
    *("AWS_", "AZURE_", "GOOGLE_"),
)


@pytest.fixture(autouse=True)
def clean_environment(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unset the settings of whoever runs the tests, but for the way to a live server."""
    is_live = request.node.get_closest_marker("live") is not None
    settings = ("DATAGYM_",) if is_live else ("DATAGYM_", *_OF_NETWORKS)
    for name in [name for name in os.environ if name.upper().startswith(settings)]:
        if not name.startswith("DATAGYM_LIVE_"):
            monkeypatch.delenv(name)


@pytest.fixture(params=["direct", "plain"])
def both_ways(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run a test by the short way through aiohttp and by its session (see `Direct`)."""
    way: str = request.param
    monkeypatch.setenv("DATAGYM_TRANSPORT", "" if way == "direct" else way)
    return way


@pytest.fixture(autouse=True)
def no_open_descriptors() -> Iterator[None]:
    """Fail a test that leaves a file or a socket open."""
    before = open_descriptors()
    yield
    leaked = new_descriptors(before)
    assert not leaked, f"left open: {leaked}"


@pytest.fixture
async def no_unfinished_tasks() -> AsyncIterator[None]:
    """Fail a test that leaves a task running when its fixtures have been torn down."""
    before = asyncio.all_tasks()
    yield
    leaked = await new_tasks(before)
    assert not leaked, f"still running: {leaked}"


@pytest.fixture(autouse=True)
def no_leaks(request: pytest.FixtureRequest, no_open_descriptors: None) -> None:
    """Watch the tasks of async tests; sync tests are spared an event loop."""
    del no_open_descriptors  # asked for, so that it looks after the loop is closed
    if inspect.iscoroutinefunction(inspect.unwrap(getattr(request, "function", no_leaks))):
        request.getfixturevalue("no_unfinished_tasks")


@pytest.fixture(autouse=True)
def steady_virtual_time(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hold virtual time while the embedded server's database works, or timeouts fire falsely."""
    if request.node.get_closest_marker("looptime"):
        hold_for_sqlite(monkeypatch)


@pytest.fixture(autouse=True)
def no_blocking_calls() -> Iterator[BlockBuster]:
    """Fail a test in which code of the package blocks the event loop."""
    blockbuster = BlockBuster("datagym_async")
    # Read once a process, as a module loads, for the text of an error: as imports read the disk.
    for name, each in blockbuster.functions.items():
        left = "_wrap_blocking" in getattr(each.original_func, "__qualname__", "")
        assert not left, f"an earlier test put the watch over {name} back after its end"
        each.can_block_in("datagym_async/_installed.py", "_command")
        # An iterator for plain code that was left half-way ends wherever the collector meets it.
        each.can_block_in("datagym_async/data/torch.py", {"run", "__exit__"})
    # Coverage locks where a thread first enters a file; in C, so it looks like a call of that file.
    acquire = blockbuster.functions["threading.Lock.acquire"]
    # uvloop joins the thread that has ended its others; that of asyncio's own loops may block, too.
    acquire.can_block_in("asyncio/runners.py", {"close"})
    may_block = acquire.can_block_predicate

    def is_of_coverage(lock: object, *args: object, **options: object) -> bool:
        held = (each.data_lock for each in Collector._collectors)
        return any(each is lock for each in held) or may_block(lock, *args, **options)

    acquire.can_block_predicate = is_of_coverage
    blockbuster.activate()
    yield blockbuster
    blockbuster.deactivate()


@pytest.fixture
def monkeypatch(
    no_blocking_calls: BlockBuster, monkeypatch: pytest.MonkeyPatch
) -> pytest.MonkeyPatch:
    """Undo the patches of a test first: what they put back is watched only while it runs."""
    return monkeypatch


@pytest.fixture(autouse=True)
def no_spoken_token() -> Iterator[None]:
    """Fail a test in which any logger, at any level, says the sentinel token."""
    handler, root, ours = SentinelHandler(), logging.getLogger(), logging.getLogger("datagym_async")
    level = ours.level
    ours.setLevel(logging.DEBUG)
    root.addHandler(handler)
    yield
    root.removeHandler(handler)
    ours.setLevel(level)
    assert not handler.leaks, handler.leaks
