"""The embedded server as the commands start it; imported only where it is asked for."""

import contextlib
import errno
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

import attrs

from datagym_async.cli._errors import CommandError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from datagym_async.server import Server

_PORT_ERRORS: Final = {
    errno.EADDRINUSE: "is in use: take another with --port, or 0 for any free one",
    errno.EACCES: "is not for everybody: take one above 1023 with --port",
    errno.EADDRNOTAVAIL: "is not an address of this machine: leave --host out",
}


@attrs.frozen(kw_only=True)
class ServerOptions:
    """How the embedded server is to run."""

    data: Path | None = None
    host: str = "127.0.0.1"
    port: int = 0
    token: str | None = attrs.field(default=None, repr=False)
    dialect: Literal["current", "legacy"] = "current"


@contextlib.asynccontextmanager
async def running_server(options: ServerOptions) -> "AsyncIterator[Server]":
    """Run the embedded server until the block ends.

    Raises:
        CommandError: The folder or the port is taken or cannot be used.
        ModuleNotFoundError: The `server` extra is not installed.
    """
    from datagym_async.server import Server, StoreError

    server = Server(
        options.data,
        host=options.host,
        port=options.port,
        token=options.token,
        dialect=options.dialect,
    )
    try:
        await server.start()
    except StoreError as error:
        raise CommandError(str(error)) from None
    except (OSError, OverflowError) as error:
        raise CommandError(_cannot_listen(options, error)) from None
    try:
        yield server
    finally:
        await server.aclose()


def _cannot_listen(options: ServerOptions, error: Exception) -> str:
    if isinstance(error, socket.gaierror):
        return f"The host {options.host!r} is unknown; leave --host out, or give an address."
    number = error.errno if isinstance(error, OSError) else None
    words = _PORT_ERRORS.get(number or 0)
    if words is None:
        return f"The server cannot start: {error}."
    what = options.host if number == errno.EADDRNOTAVAIL else f"Port {options.port}"
    return f"{what} {words}."
