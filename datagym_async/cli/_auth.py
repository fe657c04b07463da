"""`auth`: store a token for later commands, show which one is used, and delete it."""

from typing import Annotated

from datagym_async.cli._command import Invocation, command, group
from datagym_async.cli._connect import (
    address_of,
    change_profiles,
    find_token,
    no_profile,
    profile_name,
    profiles_file,
    read_profiles,
    token_source,
    ways_to_a_token,
    with_client,
)
from datagym_async.cli._errors import WELL, CommandError
from datagym_async.cli._options import Profile, Yes, flag

app = group("auth")


@command(app, "login")
def login(invocation: Invocation) -> int:
    """Check a token with the service, and keep it with the address as a profile.

    The token is asked for, or read from --token-file (`-` reads standard input). Only you can read
    the file of profiles. --profile NAME keeps it under another name than `default`.
    """
    invocation.is_login = True
    address, name = address_of(invocation), profile_name(invocation)
    token = find_token(invocation, is_new=True)
    with_client(invocation, lambda client: client.ping())
    change_profiles(lambda known: known | {name: {"base_url": address, "token": token}})
    if invocation.output.as_json:
        invocation.output.document({"profile": name, "base_url": address})
    else:
        invocation.output.message(f"Logged in at {address}; kept as {name!r} in {profiles_file()}.")
    return WELL


@command(app, "status")
def status(
    invocation: Invocation,
    offline: Annotated[bool, flag("--offline", "Do not ask the service.")] = False,
) -> int:
    """Show which token a command would send to which address, and whether it is accepted."""
    address, source = address_of(invocation), token_source(invocation)
    if not source:
        raise CommandError(f"There is no token for {address}: {ways_to_a_token(address)}.")
    if not offline:
        with_client(invocation, lambda client: client.ping())
    if invocation.output.as_json:
        known = {"base_url": address, "token_from": source, "profiles": sorted(read_profiles())}
        invocation.output.document(known | {"accepted": None if offline else True})
    else:
        taken = "not asked" if offline else "accepted"
        invocation.output.result(f"{address}: the token of {source} ({taken}).")
    return WELL


@command(app, "logout", client=False)
def logout(
    invocation: Invocation,
    profile: Profile = None,
    everything: Annotated[bool, flag("--all", "Delete all profiles.")] = False,
    yes: Yes = False,
) -> int:
    """Delete a profile. The token stays valid until you delete it in DataGym."""
    profiles, name = read_profiles(), profile or profile_name(invocation)
    gone = sorted(profiles) if everything else [name]
    if not everything and name not in profiles:
        raise CommandError(f"{no_profile(name, profiles)} (in {profiles_file()}).")
    invocation.require_consent(yes=yes)
    if not yes and not invocation.output.ask(f"Delete the profile {', '.join(gone) or 'nothing'}?"):
        return WELL
    change_profiles(lambda known: {each: known[each] for each in known if each not in gone})
    invocation.output.outcome({"deleted": gone}, f"Deleted: {', '.join(gone) or 'nothing'}.")
    return WELL
