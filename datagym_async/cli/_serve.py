"""`serve`: the embedded DataGym-compatible server, until Ctrl-C; imported only to be started."""

import asyncio
import contextlib
import errno
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from datagym_async._files import to_path
from datagym_async._printable import for_shell
from datagym_async.cli._command import Invocation, command, group
from datagym_async.cli._connect import read_token
from datagym_async.cli._errors import WELL, CommandError
from datagym_async.cli._options import flag
from datagym_async.cli._signals import on_stop_signals

if TYPE_CHECKING:
    from datagym_async.server import Server

_PORT_ERRORS: Final = {
    errno.EADDRINUSE: "Port {port} is in use: choose another with --port, or 0 for any free one.",
    errno.EACCES: "Port {port} needs special rights: choose one above 1023 with --port.",
    errno.EADDRNOTAVAIL: "{host} is not an address of this machine: leave --host out.",
}

app = group("serve")


@contextlib.asynccontextmanager
async def running_server(
    data: Path | None, *, host: str = "127.0.0.1", port: int = 0, **options: Any
) -> AsyncIterator["Server"]:
    """Run the embedded server until the block ends; a folder or port that fails: `CommandError`."""
    from datagym_async.server import Server, StoreError

    folder = to_path("--data", data)
    try:
        server = Server(folder, host=host, port=port, **options)
        await server.start()
    except StoreError as error:
        raise CommandError(str(error)) from None
    except (socket.gaierror, ValueError):  # ValueError: it is empty, or has an empty part
        raise CommandError(
            f"The host {host!r} is unknown; leave --host out, or give an address."
        ) from None
    except (OSError, OverflowError) as error:
        words = _PORT_ERRORS.get(getattr(error, "errno", None) or 0)
        sentence = words.format(host=host, port=port) if words else None
        raise CommandError(sentence or f"The server cannot start: {error}.") from None
    try:
        yield server
    finally:
        await server.aclose()


@command(app, "serve", client=False)
def serve(
    invocation: Invocation,
    data: Annotated[
        Path | None,
        flag(
            "--data DIR",
            "Folder for its data, created if needed. Without it all data is deleted at the end.",
        ),
    ] = None,
    port: Annotated[int, flag("--port N", "Port; 0 takes any free one.", min=0, max=65535)] = 8080,
    host: Annotated[str, flag("--host ADDRESS", "Address to listen on.")] = "127.0.0.1",
    seed: Annotated[
        Literal["demo"] | None,
        flag("--seed", "Create two projects; requests cannot create projects."),
    ] = None,
    token_file: Annotated[
        Path | None,
        flag(
            "--token-file FILE",
            "File with the token that clients must use. Default: a random one, kept in DIR/token.",
        ),
    ] = None,
    dialect: Annotated[
        Literal["current", "legacy"],
        flag("--dialect", "Routes and field names of today, or the old ones."),
    ] = "current",
    fetch_links: Annotated[
        Literal["public", "any", "local", "never"],
        flag(
            "--fetch-links",
            "Fetch link images from public addresses and this machine, from any, from this"
            " machine and private networks, or never.",
        ),
    ] = "public",
) -> int:
    """Run a DataGym-compatible server on this machine, for tests.

    It prints its address and token as shell commands. Ctrl-C ends it, with status 0.
    """
    output = invocation.output
    token = None if token_file is None else read_token(token_file)

    async def run() -> None:
        options = {"token": token, "dialect": dialect, "fetch_links": fetch_links}
        async with running_server(data, host=host, port=port, **options) as server:
            if seed is not None:
                await server.seed_demo()
            asked = asyncio.Event()
            with on_stop_signals(asked.set):
                if not server.loopback_only:
                    output.warning(
                        f"Other machines can reach this server at {host}, over plain HTTP: the"
                        " token and all data cross the network readable. Without --host"
                        " only this machine can reach it."
                    )
                address, secret = server.base_url, server.token
                if output.as_json:
                    place = None if data is None else str(data)
                    document = {"base_url": address, "token": secret, "data": place}
                    output.document(document | {"dialect": dialect})
                else:
                    where = data or "a temporary folder"
                    output.message(f"Serving {address} from {where}. In another terminal:")
                    output.message("")
                    output.secret_result(command_to_set("DATAGYM_BASE_URL", address))
                    output.secret_result(command_to_set("DATAGYM_TOKEN", secret))
                    output.message("")
                    output.message("Ctrl-C stops it.")
                await asked.wait()

    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(run())
    output.message("Stopped.")
    return WELL


def command_to_set(variable: str, value: str) -> str:
    """Return the command that sets a variable: of a POSIX shell, on Windows of PowerShell."""
    if sys.platform == "win32":
        doubled = value.replace("'", "''")
        return f"$env:{variable} = '{doubled}'"
    return f"export {variable}={for_shell(value)}"
