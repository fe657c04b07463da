"""Make a client from the shared options, the environment and the file of profiles.

Perhaps its work goes through the workers of a cluster. The token is never shown.
"""

import asyncio
import contextlib
import getpass
import json
import os
import sys
import time
import tomllib
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Final, TypeAlias, TypeVar

import attrs

from datagym_async._client import DataGymClient
from datagym_async._client_jobs import BASE_URL_VARIABLE, DEFAULT_BASE_URL, checked_address
from datagym_async._extras import extra_module
from datagym_async._files import (
    PRIVATE,
    private_folder,
    regular_only,
    telling,
    usual_folder,
    write_private,
)
from datagym_async._locks import LockFile, lock
from datagym_async._printable import for_shell, quoted
from datagym_async._retry import RetryPolicy
from datagym_async._runs._text import counted
from datagym_async._threads import in_thread
from datagym_async._transport import Timeout
from datagym_async.cli._command import TOKEN_VARIABLE, Invocation
from datagym_async.cli._errors import CommandError
from datagym_async.cli._signals import run_in_loop
from datagym_async.exceptions import ConfigurationError

T = TypeVar("T")
Profiles: TypeAlias = dict[str, dict[str, str]]  # address and token, by the names of profiles

PROFILE_VARIABLE: Final = "DATAGYM_PROFILE"
FIRST_WORD_AFTER: Final = 5.0
"""Seconds of silence before somebody is told that the service is waited for."""

_PROFILES_BYTES: Final = 1024 * 1024
_LOCK_SECONDS: Final = 5.0  # another login takes milliseconds; do not wait long for a stale lock
_TOKEN_FILE_BYTES: Final = 64 * 1024  # limit for files such as /dev/zero
# People at a screen want to know soon that the service does not answer.
_FIRST_RETRIES: Final = 2


def client_for(
    invocation: Invocation, *, settle_after: float | None = None, **options: Any
) -> DataGymClient:
    """Return an unopened client that is patient with a service that has answered once.

    Call this outside the event loop: it may ask for the token and wait for input.
    """
    most, first = invocation.shared.retries, _FIRST_RETRIES
    retry = RetryPolicy(max_first_retries=first, settle_after=settle_after)
    if most is not None:
        retry = attrs.evolve(retry, max_retries=most, max_first_retries=min(most, first))
    return _client(invocation, retry=retry, **options)


def with_client(invocation: Invocation, work: Callable[[DataGymClient], Awaitable[T]]) -> T:
    """Return the result of the work with an impatient client, opened and closed here."""
    most = invocation.shared.retries
    retry = RetryPolicy(max_retries=_FIRST_RETRIES if most is None else most)
    client = _client(invocation, retry=retry)

    async def run() -> T:
        async with client, waiting(invocation, client):
            return await work(client)

    return run_in_loop(run())


def _client(invocation: Invocation, **options: Any) -> DataGymClient:
    given = invocation.shared
    if given.proxy is not None and given.no_proxy:
        raise CommandError("Use --proxy or --no-proxy, not both.")
    if (limit := given.timeout) is not None:
        options["timeout"] = Timeout(connect=min(limit, 10.0), read=limit, upload=limit)
    return DataGymClient(
        find_token(invocation),
        address_of(invocation),
        proxy="" if given.no_proxy else given.proxy,
        ca_file=given.ca_file,
        auth=given.auth or "header",
        **options,
    )


@contextlib.asynccontextmanager
async def waiting(
    invocation: Invocation, client: DataGymClient, is_reading: Callable[[], bool] = bool
) -> AsyncIterator[None]:
    """While the block runs, say if the service is silent for long, unless a file is being read."""

    async def watch() -> None:
        bytes_before, begun_before, silent, said_at = 0, 1, 0.0, FIRST_WORD_AFTER
        while True:
            await asyncio.sleep(FIRST_WORD_AFTER)
            now = client.statistics()
            # Answers may be empty, but a new request begins only after an earlier one was answered.
            begun = now.requests - now.retries
            is_silent = now.bytes == bytes_before and begun <= begun_before
            is_waited_for = is_silent and (now.in_flight or not is_reading())
            silent = silent + FIRST_WORD_AFTER if is_waited_for else 0.0
            if silent == 0.0:
                bytes_before, begun_before = now.bytes, max(begun, begun_before)
                said_at = FIRST_WORD_AFTER
            elif silent >= said_at:
                said_at *= 2
                invocation.output.message(
                    f"Waiting for {client.base_url}: nothing has arrived for {silent:.0f} "
                    "seconds (--timeout TIME and --retries N give up sooner)."
                )

    watching = asyncio.ensure_future(watch())
    try:
        yield
    finally:
        watching.cancel()


def address_of(invocation: Invocation) -> str:
    """Return the address of the service: from the option, the environment or the profile."""
    given = invocation.shared.base_url
    if not given and (_is_profile_typed(invocation) or not os.environ.get(BASE_URL_VARIABLE)):
        given = _profile(invocation).get("base_url") or DEFAULT_BASE_URL
    return _spelled(given)


def _spelled(address: str | None) -> str:
    """Return an address in the form in which addresses are stored and compared."""
    return checked_address(address).rstrip("/")


def _is_profile_typed(invocation: Invocation) -> bool:
    """Return whether an option names a profile, which then goes before the environment."""
    return bool(invocation.shared.profile) and not invocation.is_login


def profile_name(invocation: Invocation) -> str:
    name = invocation.shared.profile or os.environ.get(PROFILE_VARIABLE) or "default"
    try:
        name.encode()
    except UnicodeEncodeError:  # bytes of an argument that are not UTF-8
        raise CommandError(
            f"The profile's name {name!r} is not valid text; choose another one."
        ) from None
    return name


def _profile(invocation: Invocation) -> dict[str, str]:
    """Return the profile in use; one that was named must exist."""
    if invocation.profile is not None:
        return invocation.profile
    name, profiles = profile_name(invocation), read_profiles()
    is_named = invocation.shared.profile or os.environ.get(PROFILE_VARIABLE)
    if name not in profiles and is_named and not invocation.is_login:
        raise CommandError(
            f"{no_profile(name, profiles)}; `datagym-async auth login --profile "
            f"{for_shell(name)}` creates it."
        )
    invocation.profile = profiles.get(name, {})
    return invocation.profile


def no_profile(name: str, profiles: Profiles) -> str:
    """Return that a profile does not exist, and which do, as the beginning of a sentence."""
    known = ", ".join(sorted(profiles))
    return f"There is no profile {name!r}" + (f", only {known}" if known else "")


def token_source(invocation: Invocation) -> str:
    """Return where the token comes from, in words; empty if it has to be typed."""
    if (file := invocation.shared.token_file) is not None:
        return f"the file {file}"
    has_variable = bool(os.environ.get(TOKEN_VARIABLE, "").strip())
    if not has_variable or _is_profile_typed(invocation):
        known = _profile(invocation)
        # A profile's token is sent to the profile's address and to no other.
        if known and _spelled(known["base_url"]) == address_of(invocation):
            return f"the profile {profile_name(invocation)!r}"
    return f"the variable {TOKEN_VARIABLE}" if has_variable else ""


def ways_to_a_token(address: str) -> str:
    """Return how to give a token for an address, for an error."""
    fitting = sorted(name for name, each in read_profiles().items() if each["base_url"] == address)
    profile = "".join(f"use --profile {for_shell(name)}, " for name in fitting[:1])
    return (
        f"{profile}run `datagym-async auth login` in a terminal, set {TOKEN_VARIABLE}, or name a "
        "file that contains the token with --token-file"
    )


def profiles_file() -> Path:
    """Return the file of profiles: ``$DATAGYM_CONFIG_DIR/profiles.toml``, or the usual one."""
    names = ("DATAGYM_CONFIG_DIR", "APPDATA", "XDG_CONFIG_HOME")
    return usual_folder(*names, usual="~/.config") / "profiles.toml"


def read_profiles() -> Profiles:
    """Return the stored profiles: address and token by name."""
    try:
        file = profiles_file()
    except ConfigurationError:
        if os.environ.get("DATAGYM_CONFIG_DIR"):
            raise
        return {}  # a user without a home has stored nothing there
    try:
        with open(file, "rb", opener=regular_only) as stream:
            content = stream.read(_PROFILES_BYTES + 1)
        if len(content) > _PROFILES_BYTES:
            raise CommandError(f"{file} is too large for a file of profiles; make it smaller.")
        found = tomllib.loads(content.decode("utf-8-sig"))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise CommandError(
            f"{file} cannot be read: {error.strerror or error}. Correct that, or keep profiles "
            "elsewhere: set DATAGYM_CONFIG_DIR."
        ) from None
    except (ValueError, RecursionError):  # never its content
        raise CommandError(f"{file} is not valid TOML; delete it and log in again.") from None
    if not all(
        isinstance(each, dict)
        and each.keys() == {"base_url", "token"}
        and all(isinstance(value, str) for value in each.values())
        for each in found.values()
    ):
        raise CommandError(f"{file} is not a file of profiles; delete it and log in again.")
    return found


def change_profiles(change: Callable[[Profiles], Profiles]) -> None:
    """Store the profiles changed by a function, in a private file, one command at a time."""
    file = profiles_file()
    with telling(file):
        private_folder(file.parent)
        with _alone(file.with_suffix(".lock")):
            profiles = change(read_profiles())
            content = "\n".join(_table(*each) for each in sorted(profiles.items())).encode()
            if file.is_file():  # if others could read it, that ends before a token is in it
                file.chmod(PRIVATE)
            write_private(file, content)


@contextlib.contextmanager
def _alone(file: Path) -> Iterator[None]:
    """Lock the file against other commands while the block runs."""
    with LockFile(file) as held:
        until = time.monotonic() + _LOCK_SECONDS
        while lock(held.fileno()) is False and time.monotonic() < until:
            time.sleep(0.01)
        yield


def _table(name: str, profile: dict[str, str]) -> str:
    lines = (f"{key} = {_quoted(profile[key])}\n" for key in ("base_url", "token"))
    return f"[{_quoted(name)}]\n{''.join(lines)}"


def _quoted(text: str) -> str:
    """Return a text for TOML: as in JSON, except surrogates and DEL."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def find_token(invocation: Invocation, *, is_new: bool = False) -> str:
    """Return the token, asked for once and never shown from here on.

    An option of this run (--token-file, --profile) goes before the environment, and that before the
    profile that is used without being named. With `is_new` neither environment nor profile is used,
    because a new token will be stored.
    """
    if not invocation.token:
        file, source = invocation.shared.token_file, "" if is_new else token_source(invocation)
        if file is not None:
            invocation.token = read_token(file)
        elif source.startswith("the variable"):
            invocation.token = os.environ[TOKEN_VARIABLE].strip()
        elif source:
            invocation.token = _profile(invocation)["token"]
        elif not sys.stdin.isatty() and is_new:
            raise CommandError(
                "Standard input is not a terminal, so the token cannot be asked for; give it with "
                "--token-file (- is standard input)."
            )
        elif not sys.stdin.isatty():
            known = _profile(invocation).get("base_url")
            address = address_of(invocation)
            other = f" for {address} (the profile's is for {known})" if known else ""
            what = f"No token{other}"
            if invocation.no_file:
                what = (
                    f"There is no file or folder {quoted(invocation.no_file)}, and a project or "
                    "dataset needs a token"
                )
            raise CommandError(f"{what}: {ways_to_a_token(address)}.")
        else:
            try:
                # Not typer's prompt, which asks before it hides what is typed.
                typed = getpass.getpass("DataGym token (not shown): ", stream=sys.stderr)
            except EOFError:
                typed = ""
            if not (given := typed.strip()):
                raise CommandError("No token was given.")
            invocation.token = given
        invocation.output.secrets.learn(invocation.token)
    return invocation.token


def read_token(file: Path) -> str:
    """Return the token in a file, which may be a pipe; ``-`` is standard input."""
    try:
        with sys.stdin.buffer if str(file) == "-" else file.open("rb") as stream:
            text = stream.read(_TOKEN_FILE_BYTES).decode("utf-8-sig").strip()
    except OSError as error:
        raise CommandError(f"The token file {file} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise CommandError(f"The token file {file} is not in UTF-8; save it as UTF-8.") from None
    if not text or len(text.splitlines()) > 1:
        raise CommandError(
            f"The token file {file} must hold the token on one line, and nothing else."
        )
    return text


@attrs.frozen
class Workers:
    """Where a job runs: in this process, on the workers of a scheduler, or in local processes."""

    scheduler: str | None = None
    count: int | None = None

    def __attrs_post_init__(self) -> None:
        """Refuse both options at once, or a missing extra, before a token is needed."""
        if self.scheduler is not None and self.count is not None:
            raise CommandError("Use --workers-local or --scheduler, not both.")
        if self.scheduler is not None or self.count is not None:
            extra_module("distributed")

    @asynccontextmanager
    async def through(
        self, invocation: Invocation, client: DataGymClient
    ) -> AsyncIterator[DataGymClient]:
        """Give a client whose jobs run on these workers."""
        if self.scheduler is None and self.count is None:
            yield client
            return
        from datagym_async.distributed import through

        # Dask shows a table of all differences; we have a sentence for those that matter. It also
        # has pages at a port, which nobody asked for, and warns that another cluster has that port.
        warnings.filterwarnings("ignore", "Mismatched versions|Port .* is already in use")
        async with AsyncExitStack() as stack:
            scheduler = self.scheduler or ""
            if self.count is not None:
                # The token goes only to processes of ours, in their environment.
                environment = {
                    TOKEN_VARIABLE: await in_thread(find_token, invocation),
                    BASE_URL_VARIABLE: address_of(invocation),
                }
                cluster: Any = extra_module("distributed").LocalCluster(
                    n_workers=self.count,
                    threads_per_worker=1,
                    asynchronous=True,
                    dashboard_address=None,
                    silence_logs=50,
                    env=environment,
                )
                await stack.enter_async_context(cluster)
                scheduler = cluster.scheduler_address
            there = await stack.enter_async_context(through(client, scheduler=scheduler))
            where = f"through the cluster of {scheduler}"
            if self.count is not None:
                where = f"in {counted(self.count, 'process', 'processes')} of this machine"
            invocation.output.message(f"Working {where}.")
            yield there
