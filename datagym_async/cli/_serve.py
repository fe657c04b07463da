"""`serve`: the embedded DataGym-compatible server, until Ctrl-C.

The embedded server as the commands start it; imported only where it is asked for.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import shlex
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal

import attrs
import typer

from datagym_async.cli._command import Invocation, command, group
from datagym_async.cli._connect import read_token
from datagym_async.cli._errors import WELL, CommandError
from datagym_async.cli._signals import on_stop_signals

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from datagym_async.cli._screen import Output
    from datagym_async.server import Server


_PORT_ERRORS: Final = {
    errno.EADDRINUSE: "is in use: take another with --port, or 0 for any free one",
    errno.EACCES: "is not for everybody: take one above 1023 with --port",
    errno.EADDRNOTAVAIL: "is not an address of this machine: leave --host out",
}

app = group("serve")


@attrs.frozen(kw_only=True)
class ServerOptions:
    """How the embedded server is to run."""

    data: Path | None = None
    host: str = "127.0.0.1"
    port: int = 0
    token: str | None = attrs.field(default=None, repr=False)
    dialect: Literal["current", "legacy"] = "current"
    fetch_links: Literal["public", "any", "local", "never"] = "public"


@contextlib.asynccontextmanager
async def running_server(options: ServerOptions) -> AsyncIterator[Server]:
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
        fetch_links=options.fetch_links,
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


@command(app, "serve", client=False)
def serve(
    invocation: Invocation,
    data: Annotated[
        Path | None,
        typer.Option(
            "--data",
            metavar="DIR",
            help="Folder for its data, made if needed; without it all is gone at the end.",
        ),
    ] = None,
    port: Annotated[
        int,
        typer.Option("--port", metavar="N", min=0, max=65535, help="Port; 0 takes any free one."),
    ] = 8080,
    host: Annotated[
        str, typer.Option("--host", metavar="ADDRESS", help="Address to listen on.")
    ] = "127.0.0.1",
    seed: Annotated[
        Literal["demo"] | None,
        typer.Option("--seed", help="Make two projects, which no request can make."),
    ] = None,
    token_file: Annotated[
        Path | None,
        typer.Option(
            "--token-file",
            metavar="FILE",
            help="File with the token to let in; else a random one, kept in DIR/token.",
        ),
    ] = None,
    dialect: Annotated[
        Literal["current", "legacy"],
        typer.Option("--dialect", help="Routes and field names of today, or the old ones."),
    ] = "current",
    fetch_links: Annotated[
        Literal["public", "any", "local", "never"],
        typer.Option(
            "--fetch-links",
            help="Fetch link images from public addresses and this machine, from any, from this"
            " machine and private networks, or never.",
        ),
    ] = "public",
) -> int:
    """Run a DataGym-compatible server on this machine, for trying out and for tests.

    It prints its address and token as export lines for a shell. Ctrl-C ends it, with status 0.
    """
    options = ServerOptions(
        data=data,
        host=host,
        port=port,
        token=None if token_file is None else read_token(token_file),
        dialect=dialect,
        fetch_links=fetch_links,
    )
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(invocation.output, options, seeded=seed is not None))
    invocation.output.message("Stopped.")
    return WELL


async def _serve(output: Output, options: ServerOptions, *, seeded: bool) -> None:
    async with running_server(options) as server:
        if seeded:
            await server.seed_demo()
        asked = asyncio.Event()
        with on_stop_signals(asked.set):
            if not server.loopback_only:
                output.warning(
                    f"Other machines can reach this server at {options.host}, over plain HTTP: the"
                    " token and all data cross the network readable. Leave --host out to keep it to"
                    " this machine."
                )
            _announce(output, options, server.base_url, server.token)
            await asked.wait()


def _announce(output: Output, options: ServerOptions, base_url: str, token: str) -> None:
    where = "a temporary folder" if options.data is None else str(options.data)
    if output.as_json:
        output.document(
            {
                "base_url": base_url,
                "token": token,
                "data": None if options.data is None else str(options.data),
                "dialect": options.dialect,
            }
        )
        return
    output.message(f"Serving {base_url} from {where}. In another terminal:")
    output.message("")
    output.secret_result(f"export DATAGYM_BASE_URL={shlex.quote(base_url)}")
    output.secret_result(f"export DATAGYM_TOKEN={shlex.quote(token)}")
    output.message("")
    output.message("Ctrl-C stops it.")
