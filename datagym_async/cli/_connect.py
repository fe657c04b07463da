"""From the shared options to a client; the token on its way is never shown."""

import getpass
import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final, TypeVar

import attrs

from datagym_async._client import BASE_URL_VARIABLE, DEFAULT_BASE_URL, TOKEN_VARIABLE, DataGymClient
from datagym_async._retry import RetryPolicy
from datagym_async.cli._errors import CommandError
from datagym_async.cli._options import Invocation
from datagym_async.cli._signals import run_in_loop

T = TypeVar("T")

_TOKEN_FILE_BYTES: Final = 64 * 1024  # of /dev/zero, for one, no more is read

# Whoever waits at a screen would rather know soon that nobody answers.
_IMPATIENT: Final = RetryPolicy(max_retries=2)


@attrs.frozen(kw_only=True)
class ClientOptions:
    """What a client is made with besides address and token.

    Args:
        concurrency: Uploads in flight, fixed; None to have the best number found out.
        max_uploads: The most that may be found out.
        max_downloads: Likewise, for downloads.
        rate: Requests a second; None for no limit.
        max_upload_rate: Bytes a second; None for no limit.
        settle_after: Seconds before a lost answer is looked up; None to go by what was measured.
        allow_private_store: Whether pre-signed URLs may lead to private addresses.
    """

    concurrency: int | None = None
    max_uploads: int = 8
    max_downloads: int = 16
    rate: float | None = 200.0
    max_upload_rate: float | None = None
    settle_after: float | None = None
    allow_private_store: bool = False


def client_for(invocation: Invocation, options: ClientOptions) -> DataGymClient:
    """Return an unopened client for the service and with the token that the options name.

    Call it outside the event loop: it may ask for the token and wait for the answer. A patient
    client follows when the service has answered once.
    """
    with_client(invocation, lambda client: client.ping())
    return DataGymClient(
        find_token(invocation),
        address_of(invocation),
        concurrency=options.concurrency,
        max_uploads=options.max_uploads,
        max_downloads=options.max_downloads,
        rate_limit=options.rate,
        max_upload_rate=options.max_upload_rate,
        retry=RetryPolicy(settle_after=options.settle_after),
        allow_private_store=options.allow_private_store,
    )


def with_client(invocation: Invocation, work: Callable[[DataGymClient], Awaitable[T]]) -> T:
    """Return what the work gives, done with an impatient client that is opened and closed here."""
    client = DataGymClient(find_token(invocation), address_of(invocation), retry=_IMPATIENT)

    async def run() -> T:
        async with client:
            return await work(client)

    return run_in_loop(run())


def address_of(invocation: Invocation) -> str:
    """Return the address of the service as its user gave it."""
    given = invocation.shared.base_url or os.environ.get(BASE_URL_VARIABLE)
    return given or DEFAULT_BASE_URL


def find_token(invocation: Invocation) -> str:
    """Return the token, asked for once and never said from here on."""
    if not invocation.token:
        invocation.token = _given_token(invocation)
        invocation.output.keep_secret(invocation.token)
    return invocation.token


def _given_token(invocation: Invocation) -> str:
    # What was typed for this run goes before what lies in the environment for all of them.
    file = invocation.shared.token_file
    if file is not None:
        return read_token(file)
    if kept := os.environ.get(TOKEN_VARIABLE, "").strip():
        return kept
    if sys.stdin is None or not sys.stdin.isatty():
        raise CommandError(
            f"No token: set {TOKEN_VARIABLE}, or name a file that holds it with --token-file."
        )
    try:
        # Not typer's prompt, which asks before it hides what is typed.
        return getpass.getpass("DataGym token (not shown): ", stream=sys.stderr).strip()
    except EOFError:
        raise CommandError("No token was given.") from None


def read_token(file: Path) -> str:
    """Return the token that a file holds; it may be a pipe, such as ``<(pass show datagym)``.

    Raises:
        CommandError: The file cannot be read, or holds no token.
    """
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
