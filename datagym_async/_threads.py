"""Threads and tasks that end with their caller, and errors out of groups of tasks.

Blocking work in a thread does not go on after its caller was cancelled.
`asyncio.to_thread` is enough for work that has nothing open and changes nothing, such as decoding a
large answer: it ends by itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
from collections.abc import AsyncGenerator, Callable, Collection, Coroutine, Generator
from concurrent.futures import CancelledError, Executor, Future
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from threading import Thread
from typing import Any, ParamSpec, TypeVar

import attrs

P = ParamSpec("P")
T = TypeVar("T")

_NO_ERRORS = StopIteration, StopAsyncIteration, asyncio.CancelledError, CancelledError
"""Exceptions that would mean something else to the caller: an end, or a cancellation."""
PATIENCE = 1.0  # seconds that a cancelled caller waits for a thread that it may leave behind


async def in_thread(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call a function in a thread; a cancellation waits for its end.

    `asyncio.to_thread` would leave the thread running, with everything that is open there. So pass
    work in small portions.
    """
    return await _awaited(_started(partial(function, *args, **kwargs)), patience=None)


async def in_thread_left_behind(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Do the same for a function that may never return: a cancellation waits for a second only.

    Neither the event loop nor the program waits for its end.
    """
    call = partial(function, *args, **kwargs)
    return await _awaited(_started(call, _DaemonThreads()), patience=PATIENCE)


class _DaemonThreads(Executor):
    """A thread for each call."""

    def submit(self, call: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        future: Future[T] = Future()

        def work() -> None:
            try:
                future.set_result(call(*args, **kwargs))
            except BaseException as error:
                future.set_exception(error)

        Thread(target=work, daemon=True).start()
        return future


def _started(function: Callable[[], T], executor: Executor | None = None) -> asyncio.Future[T]:
    context = contextvars.copy_context()
    loop = asyncio.get_running_loop()

    def call() -> T:
        try:
            return context.run(function)
        except _NO_ERRORS as error:
            raise RuntimeError(f"{type(error).__name__} was raised in a thread") from error

    return loop.run_in_executor(executor, call)


async def _awaited(future: asyncio.Future[T], *, patience: float | None) -> T:
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        # An error of the function counts as seen.
        future.add_done_callback(lambda done: done.cancelled() or done.exception())
        loop = asyncio.get_running_loop()
        until = None if patience is None else loop.time() + patience
        while not future.done() and (until is None or loop.time() < until):
            # Also after another cancellation the function has to end first.
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait((future,), timeout=until and until - loop.time())
        raise


async def all_ended(tasks: Collection[asyncio.Task[Any]]) -> None:
    """Wait for the end of tasks; a cancellation waits for it, too."""
    await _awaited(asyncio.ensure_future(asyncio.wait(tasks)), patience=None)


@asynccontextmanager
async def opened_in_thread(
    begin: Callable[[], T], end: Callable[[T], Any]
) -> AsyncGenerator[T, None]:
    """Give what `begin` opens and `end` closes, each in a thread, even if it is cancelled there."""
    begun: list[T] = []  # `in_thread` returns nothing to a caller that was cancelled
    try:
        await in_thread(lambda: begun.append(begin()))
        yield begun[0]
    finally:
        for each in begun:
            await in_thread(end, each)


_BY_OTHERS = (
    "A task of this work was cancelled by other code, such as a function or an iterable that was "
    "passed."
)


class OnlyCancelledByUs:
    """Turn a `CancelledError` of something awaited, but not of this task, into an error.

    A group takes a task that ends with one as done, and the rest of its work would be missing. A
    `StopAsyncIteration` would end an iteration of the caller. A class, since it is entered for each
    sample of a loader, and a generator costs more.
    """

    def __enter__(self) -> None:
        return None

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if isinstance(error, StopAsyncIteration):
            raise RuntimeError("StopAsyncIteration was raised in a task") from error
        if isinstance(error, asyncio.CancelledError):
            task = asyncio.current_task()
            if task is not None and not task.cancelling():
                raise RuntimeError(
                    "CancelledError was raised in a task that is not cancelled"
                ) from error


class _EndError(Exception):
    """Carries a `KeyboardInterrupt` or `SystemExit` out of a task to who waits for the group.

    In a task they stop the event loop at once, and all that is open stays so.
    """


@attrs.define
class TaskGroup:
    """Tasks of which none ends early without an error.

    A function of the caller that runs in one may cancel it: `asyncio.timeout` around the ``yield``
    of a generator, for example, cancels the task in which the generator began.
    """

    _group: asyncio.TaskGroup
    _waiting: asyncio.Task[Any] | None
    is_ending: bool = False  # whether we cancel the tasks, so that a cancellation is no error

    def create_task(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        async def done() -> T:
            try:
                with OnlyCancelledByUs():
                    return await work
            except asyncio.CancelledError as error:
                waiting = self._waiting
                if self.is_ending or (waiting and (waiting.done() or waiting.cancelling())):
                    raise
                raise RuntimeError(_BY_OTHERS) from error
            except (KeyboardInterrupt, SystemExit) as end:
                self.is_ending = True
                raise _EndError(end) from None
            except BaseException:
                self.is_ending = True
                raise

        doing = done()
        try:
            task = self._group.create_task(doing)
        except RuntimeError:  # the group has failed already: at once, if its tasks are eager
            doing.close()
            work.close()
            raise
        task.add_done_callback(lambda _: work.close())  # if it was cancelled before it began
        return task


@contextmanager
def ungrouped() -> Generator[None, None, None]:
    """Raise the first error of a group of tasks as it was raised, and not in a group."""
    try:
        yield
    except BaseExceptionGroup as errors:
        first = errors.exceptions[0]
        for each in errors.exceptions:
            if isinstance(each, _EndError):
                first = each.args[0]
    else:
        return
    context = first.__context__
    try:
        raise first  # here, or its own cause would be lost
    finally:
        first.__context__ = context  # not the cancellation of who waited for the tasks
        del first, context  # their tracebacks have this frame


@asynccontextmanager
async def together() -> AsyncGenerator[TaskGroup, None]:
    """Give a group of tasks whose first error comes out as it was raised, and not in a group.

    An `ExceptionGroup` that a task raises itself comes out whole.
    """
    with ungrouped():
        async with asyncio.TaskGroup() as group:
            tasks = TaskGroup(group, asyncio.current_task())
            try:
                yield tasks
            except BaseException:
                tasks.is_ending = True
                raise


def first_of(error: Exception) -> Exception:
    """Return the first single error of an exception group, however deep; others as they are."""
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return error
