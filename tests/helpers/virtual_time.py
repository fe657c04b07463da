"""Virtual time that waits for the database: looptime knows executors, and aiosqlite uses none."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
from collections.abc import Awaitable, Callable, Iterator
from typing import TYPE_CHECKING, ParamSpec, TypeVar

import aiosqlite

if TYPE_CHECKING:
    import pytest

    P = ParamSpec("P")
T = TypeVar("T")


class _Lent(concurrent.futures.Executor):
    """An executor whose work is done elsewhere, to show the loop that there is some."""

    def __init__(self, work: concurrent.futures.Future[None]) -> None:
        self._work = work

    def submit(self, *_args: object, **_kwargs: object) -> concurrent.futures.Future[None]:  # type: ignore[override]  # nothing is called
        return self._work


@contextlib.contextmanager
def real_time() -> Iterator[None]:
    """Hold looptime's clock for the length of the block, while another thread works."""
    work: concurrent.futures.Future[None] = concurrent.futures.Future()
    shown = asyncio.get_running_loop().run_in_executor(_Lent(work), int)
    try:
        yield
    finally:
        work.set_result(None)
        shown.cancel()


def _holding(method: Callable[P, Awaitable[T]]) -> Callable[P, Awaitable[T]]:
    async def held(*args: P.args, **kwargs: P.kwargs) -> T:
        with real_time():
            return await method(*args, **kwargs)

    return held


def hold_for_sqlite(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no virtual second pass while aiosqlite's own thread works or ends."""
    for name in ("_connect", "_execute", "close"):
        method = getattr(aiosqlite.Connection, name)
        monkeypatch.setattr(aiosqlite.Connection, name, _holding(method))
