"""`serve`: the embedded DataGym-compatible server, until Ctrl-C."""

import asyncio
import contextlib
import shlex
from pathlib import Path
from typing import Annotated, Literal

import typer

from datagym_async.cli._connect import read_token
from datagym_async.cli._embedded import ServerOptions, running_server
from datagym_async.cli._errors import WELL
from datagym_async.cli._options import Invocation, command
from datagym_async.cli._output import Output
from datagym_async.cli._signals import on_stop_signals


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
    )
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(invocation.output, options, seeded=seed is not None))
    invocation.output.message("Stopped.")
    return WELL


def register(app: typer.Typer) -> None:
    """Add the command."""
    command(app, "serve", client=False)(serve)


async def _serve(output: Output, options: ServerOptions, *, seeded: bool) -> None:
    async with running_server(options) as server:
        if seeded:
            await server.seed_demo()
        asked = asyncio.Event()
        with on_stop_signals(asked.set):
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
    output.message(f"Serving {base_url} from {where}. In another terminal:\n")
    output.secret_result(f"export DATAGYM_BASE_URL={shlex.quote(base_url)}")
    output.secret_result(f"export DATAGYM_TOKEN={shlex.quote(token)}")
    output.message("\nCtrl-C stops it.")
