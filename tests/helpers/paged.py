"""Bodies as the uploader makes them of files: their pages first, then the file once more."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

from datagym_async._wire import Body, Pipes


@contextmanager
def paged_bodies() -> Iterator[Callable[[bytes], Body]]:
    """Give a function that returns bytes as a body in pages; they are gone at the end."""
    pipes = Pipes()

    def body_of(data: bytes) -> Body:
        @asynccontextmanager
        async def opened() -> AsyncIterator[AsyncIterator[bytes]]:
            async def pieces() -> AsyncIterator[bytes]:
                yield data

            yield pieces()

        with tempfile.TemporaryFile() as file:
            file.write(data)
            file.flush()
            return Body(len(data), open=opened, pages=pipes.filled(file.fileno(), len(data), "", 0))

    try:
        yield body_of
    finally:
        pipes.close()
