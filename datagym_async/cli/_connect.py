"""From the shared options to a client; the token on its way is never shown."""

import getpass
import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final, TypeVar

from datagym_async._client import BASE_URL_VARIABLE, DEFAULT_BASE_URL, DataGymClient
from datagym_async._retry import RetryPolicy
from datagym_async.cli._command import TOKEN_VARIABLE, Invocation
from datagym_async.cli._errors import CommandError
from datagym_async.cli._signals import run_in_loop

T = TypeVar("T")

_TOKEN_FILE_BYTES: Final = 64 * 1024  # of /dev/zero, for one, no more is read
# Whoever waits at a screen would rather know soon that nobody answers.
_FIRST_RETRIES: Final = 2


def client_for(
    invocation: Invocation, *, settle_after: float | None = None, **options: Any
) -> DataGymClient:
    """Return an unopened client for the service and with the token that the options name.

    It is patient with a service that has answered once. Call this outside the event loop: it may
    ask for the token and wait for the answer. `options` are further ones of the client.
    """
    retry = RetryPolicy(max_first_retries=_FIRST_RETRIES, settle_after=settle_after)
    return DataGymClient(find_token(invocation), address_of(invocation), retry=retry, **options)


def with_client(invocation: Invocation, work: Callable[[DataGymClient], Awaitable[T]]) -> T:
    """Return what the work gives, done with an impatient client that is opened and closed here."""
    retry = RetryPolicy(max_retries=_FIRST_RETRIES)
    client = DataGymClient(find_token(invocation), address_of(invocation), retry=retry)

    async def run() -> T:
        async with client:
            return await work(client)

    return run_in_loop(run())


def address_of(invocation: Invocation) -> str:
    """Return the address of the service as its user gave it."""
    given = invocation.shared.base_url or os.environ.get(BASE_URL_VARIABLE)
    return given or DEFAULT_BASE_URL


def find_token(invocation: Invocation) -> str:
    """Return the token, asked for once and never said from here on.

    What was typed for this run goes before what lies in the environment for all of them.
    """
    if not invocation.token:
        file = invocation.shared.token_file
        kept = os.environ.get(TOKEN_VARIABLE, "").strip()
        if file is not None:
            invocation.token = read_token(file)
        elif kept:
            invocation.token = kept
        elif sys.stdin is None or not sys.stdin.isatty():
            raise CommandError(
                f"No token: set {TOKEN_VARIABLE}, or name a file that holds it with --token-file."
            )
        else:
            try:
                # Not typer's prompt, which asks before it hides what is typed.
                typed = getpass.getpass("DataGym token (not shown): ", stream=sys.stderr)
            except EOFError:
                raise CommandError("No token was given.") from None
            invocation.token = typed.strip()
        invocation.output.keep_secret(invocation.token)
    return invocation.token


def read_token(file: Path) -> str:
    """Return the token that a file holds; it may be a pipe, such as ``<(pass show datagym)``."""
    try:
        with file.open("rb") as stream:
            text = stream.read(_TOKEN_FILE_BYTES).decode().strip()
    except OSError as error:
        raise CommandError(f"The token file {file} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise CommandError(f"The token file {file} holds no text.") from None
    if not text or len(text.splitlines()) > 1:
        raise CommandError(
            f"The token file {file} must hold the token on one line, and nothing else."
        )
    return text
