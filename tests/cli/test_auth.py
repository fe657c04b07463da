"""`auth` and profiles, and the shared options beside them: what is kept, used, and never shown."""

from __future__ import annotations

import os
import stat
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from datagym_async.cli._connect import change_profiles, read_profiles
from tests.helpers.full_device import NEEDS_FULL_DEVICE
from tests.helpers.sentinel import TOKEN

if TYPE_CHECKING:
    from tests.cli.conftest import Cli
    from tests.helpers.server_thread import ServerThread


@pytest.fixture
def profiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of profiles, none so far, and no token in the environment."""
    monkeypatch.setenv("DATAGYM_CONFIG_DIR", str(tmp_path / "config"))
    for name in ("DATAGYM_TOKEN", "DATAGYM_BASE_URL", "DATAGYM_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "config" / "profiles.toml"


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    """A file with the service's token, and a BOM as some editors write it."""
    file = tmp_path / "token"
    file.write_text(f"\ufeff{TOKEN}\n", encoding="utf-8")
    return file


def test_a_token_is_kept_and_used(
    service: ServerThread, cli: Cli, profiles: Path, token_file: Path
) -> None:
    """Once it is good; readable by nobody else; commands need nothing more then."""
    login = cli("auth", "login", "--base-url", service.base_url, "--token-file", token_file)
    assert (login.status, str(profiles) in login.err.replace("\n", "")) == (0, True)
    if sys.platform != "win32":
        assert stat.S_IMODE(profiles.stat().st_mode) == 0o600
        assert stat.S_IMODE(profiles.parent.stat().st_mode) == 0o700

    assert cli("datasets", "list").status == 0
    # However the address is spelled.
    assert cli("datasets", "list", "--base-url", f"{service.base_url}/api/v1/").status == 0
    again = cli(
        "auth", "login", "--base-url", f"{service.base_url}/api/v1", "--token-file", token_file
    )
    assert again.status == 0
    status = cli("auth", "status", "--json")
    assert status.document == {
        "base_url": service.base_url,
        "token_from": "the profile 'default'",
        "profiles": ["default"],
        "accepted": True,
    }
    assert cli("auth", "logout", "--yes", "--json").document == {"deleted": ["default"]}
    assert TOKEN not in profiles.read_text(encoding="utf-8")
    assert cli("auth", "status").status == 2
    gone = cli("auth", "logout", "--yes").err.replace("\n", "")
    assert f"There is no profile 'default' (in {profiles})." in gone


def test_a_token_that_is_refused_is_not_kept(
    service: ServerThread, cli: Cli, profiles: Path, tmp_path: Path
) -> None:
    """Exit 2 with the service's word, and no file."""
    (tmp_path / "wrong").write_text("another-token", encoding="utf-8")
    wrong = cli("auth", "login", "--base-url", service.base_url, "--token-file", tmp_path / "wrong")

    assert (wrong.status, profiles.exists()) == (2, False)


def test_a_profile_s_token_goes_to_its_own_address_alone(
    service: ServerThread, cli: Cli, profiles: Path, token_file: Path
) -> None:
    """With another address there is no token, and it says so."""
    cli("auth", "login", "--base-url", service.base_url, "--token-file", token_file)
    elsewhere = cli("datasets", "list", "--base-url", "http://127.0.0.1:1")

    assert elsewhere.status == 2
    assert "No token for http://127.0.0.1:1 (the profile's is for http" in elsewhere.err


def test_the_environment_wins(
    service: ServerThread,
    cli: Cli,
    profiles: Path,
    token_file: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Over a profile that it names itself; and a profile that is named must be there."""
    login = ("auth", "login", "--base-url", service.base_url, "--token-file", token_file)
    assert cli(*login, "--profile", "work").status == 0
    assert cli("datasets", "list", "--profile", "work").status == 0
    missing = cli("datasets", "list", "--profile", "home")
    said = " ".join(missing.err.split())
    assert "no profile 'home', only work; `datagym-async auth login --profile home`" in said
    missing = cli("datasets", "list", "--profile", "at home")
    assert "login --profile 'at home'`" in missing.err.replace("\n", " ")
    assert missing.status == 2
    unnamed = cli("datasets", "list", "--base-url", service.base_url)
    assert (unnamed.status, "No token: use --profile work, run" in unnamed.err) == (2, True)
    unnamed = cli("auth", "status", "--base-url", service.base_url)
    assert (unnamed.status, "use --profile work, run" in unnamed.err) == (2, True)
    forgotten = cli("auth", "logout", "--yes")
    assert (forgotten.status, "'default', only work (in " in forgotten.err) == (2, True)
    monkeypatch.setenv("DATAGYM_PROFILE", "work")
    monkeypatch.setenv("DATAGYM_TOKEN", "another-token")
    refused = cli("auth", "status", "--offline", "--json")
    assert refused.document["token_from"] == "the variable DATAGYM_TOKEN"
    assert cli("datasets", "list").status == 2


def test_a_profile_that_is_named_goes_before_the_environment(
    service: ServerThread,
    cli: Cli,
    profiles: Path,
    token_file: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its address and its token; images must not go to another account than was typed."""
    login = ("auth", "login", "--base-url", service.base_url, "--token-file", token_file)
    assert cli(*login, "--profile", "work").status == 0
    monkeypatch.setenv("DATAGYM_TOKEN", "another-token")
    monkeypatch.setenv("DATAGYM_BASE_URL", "http://127.0.0.1:1")
    status = cli("auth", "status", "--json", "--profile", "work")
    assert (status.document["base_url"], status.document["token_from"]) == (
        service.base_url,
        "the profile 'work'",
    )
    assert cli("datasets", "list", "--profile", "home").status == 2
    elsewhere = cli(
        *("auth", "status", "--offline", "--json"),
        *("--profile", "work", "--base-url", "http://127.0.0.1:2"),
    )
    assert elsewhere.document["token_from"] == "the variable DATAGYM_TOKEN"


@pytest.mark.parametrize("name", ["w\U0001f600", "a\x7fb", 'a"]\n[b\\', "a.b"])
def test_a_profile_may_have_any_name(
    service: ServerThread, cli: Cli, profiles: Path, token_file: Path, name: str
) -> None:
    """What was kept can be read again, with what was kept before."""
    login = ("auth", "login", "--base-url", service.base_url, "--token-file", token_file)
    assert cli(*login).status == 0
    assert cli(*login, "--profile", name).status == 0
    status = cli("auth", "status", "--offline", "--json", "--profile", name)

    assert (status.status, status.document["profiles"]) == (0, sorted(["default", name]))


def test_a_name_that_is_no_text_is_refused(
    service: ServerThread, cli: Cli, profiles: Path, token_file: Path
) -> None:
    """It could not be written; what is kept stays as it is."""
    login = ("auth", "login", "--base-url", service.base_url, "--token-file", token_file)
    cli(*login)
    refused = cli(*login, "--profile", "a\udcff")

    assert (refused.status, "is not valid text" in refused.err.replace("\n", " ")) == (2, True)
    assert cli("auth", "status", "--offline").status == 0


@pytest.mark.skipif(sys.platform == "win32", reason="modes are POSIX's")
def test_a_file_that_others_can_read_is_closed_to_them(
    service: ServerThread, cli: Cli, profiles: Path, token_file: Path, tmp_path: Path
) -> None:
    """Also where it is a link to one; the link stays."""
    profiles.parent.mkdir()
    (tmp_path / "real").touch(mode=0o644)
    profiles.symlink_to(tmp_path / "real")
    cli("auth", "login", "--base-url", service.base_url, "--token-file", token_file)

    assert (profiles.is_symlink(), TOKEN in profiles.read_text("utf-8")) == (True, True)
    assert stat.S_IMODE((tmp_path / "real").stat().st_mode) == 0o600


def test_a_folder_that_cannot_be_written_is_named(
    service: ServerThread,
    cli: Cli,
    profiles: Path,
    token_file: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In one sentence; and one of a user who is none likewise."""
    profiles.parent.symlink_to("nowhere/at/all")
    login = ("auth", "login", "--base-url", service.base_url, "--token-file", token_file)
    for folder, word in (("", "profiles.toml"), ("~no-such-user/x", "DATAGYM_CONFIG_DIR")):
        if folder:
            monkeypatch.setenv("DATAGYM_CONFIG_DIR", folder)
        failed = cli(*login)
        assert (failed.status, word in failed.err.replace("\n", "")) == (2, True)
        assert "unexpected" not in failed.err


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes")
def test_profiles_that_are_no_file_of_profiles(cli: Cli, profiles: Path) -> None:
    """Each is one sentence, also a pipe, which is not waited for."""
    profiles.parent.mkdir()
    for content, words in (
        (b"[a]\nb = " + b"[" * 100_000, "is not valid TOML"),
        (b"#" * 2_000_000, "is too large"),
        (None, "is a pipe"),
    ):
        profiles.unlink(missing_ok=True)
        if content is None:
            os.mkfifo(profiles)
        else:
            profiles.write_bytes(content)
        refused = cli("auth", "status", "--offline")
        assert refused.status == 2
        assert words in refused.err.replace("\n", " ")


def test_two_logins_at_once_are_both_kept(cli: Cli, profiles: Path) -> None:
    """Each reads what the other one has written."""
    profile = {"base_url": "http://127.0.0.1:1/", "token": TOKEN}

    def keep(name: str) -> None:
        change_profiles(lambda known: known | {name: profile})

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(keep, map(str, range(40))))

    assert len(read_profiles()) == 40


def test_a_profile_that_the_environment_names_must_be_there(
    cli: Cli, profiles: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A token of the environment is not sent to another address than was meant."""
    monkeypatch.setenv("DATAGYM_PROFILE", "wrok")
    monkeypatch.setenv("DATAGYM_TOKEN", TOKEN)
    missing = cli("auth", "status", "--offline")

    assert (missing.status, "no profile 'wrok'" in missing.err.replace("\n", " ")) == (2, True)


@pytest.mark.parametrize(
    "content",
    ["[", "x = 1", '[a]\nbase_url = "b"\n', '[default]\nbase_url = "http://b"\ntoken = 6\n'],
)
def test_a_file_that_is_none_is_not_repeated(cli: Cli, profiles: Path, content: str) -> None:
    """One sentence that names it, for it may hold tokens."""
    profiles.parent.mkdir()
    profiles.write_text(content, encoding="utf-8")
    broken = cli("auth", "status")

    assert (broken.status, "log in again" in broken.err.replace("\n", " ")) == (2, True)


def test_a_log_file_has_each_request_and_no_token(
    at_service: Cli, service: ServerThread, tmp_path: Path
) -> None:
    """Appended, whatever the screen says."""
    log = tmp_path / "log.txt"
    for _ in range(2):
        listed = at_service("datasets", "list", "--log-file", log)
        assert (listed.status, "GET dataset" in listed.err) == (0, False)
    text = log.read_text(encoding="utf-8")

    assert text.count("GET dataset -> 200") == 2
    assert TOKEN not in text
    assert at_service("datasets", "list", "--log-file", tmp_path / "no" / "x").status == 2


@NEEDS_FULL_DEVICE
def test_a_log_that_cannot_be_written_decides_nothing(at_service: Cli) -> None:
    """It is said once that it is not whole."""
    listed = at_service("datasets", "list", "--log-file", "/dev/full")

    assert listed.status == 0
    assert listed.err.count("The log file /dev/full is not complete: No space left on device.") == 1
    assert "Error" not in listed.err


def test_retries_are_counted(cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """0 tries once, also with a service that is not there."""
    monkeypatch.setenv("DATAGYM_TOKEN", TOKEN)
    log = tmp_path / "log.txt"
    gone = cli(
        "--retries", "0", "--log-file", log, "auth", "status", "--base-url", "http://127.0.0.1:1"
    )

    assert gone.status == 2
    assert "trying again" not in log.read_text(encoding="utf-8")


def test_completion_is_offered(cli: Cli) -> None:
    """For the shell it is asked for."""
    shown = cli("--help").out
    assert "--install-completion" in shown
    assert "--show-completion" in shown
