"""What the command line loads before it knows what it is to do."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = {"aiohttp", "asyncio", "datagym_async._client", "datagym_async.cli._upload", "cattrs"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("argv", "left_out"),
    [(["--version"], HEAVY | {"typer", "rich"}), (["--help"], HEAVY)],
    ids=["version", "help"],
)
def test_what_needs_no_command_loads_none(argv: list[str], left_out: set[str]) -> None:
    """The version and the list of commands come without the client and what it stands on."""
    code = (
        "import sys\nfrom datagym_async.__main__ import main\n"
        f"status = main({argv!r})\nprint(status, *sys.modules, file=sys.stderr)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    status, *loaded = ran.stderr.split()
    assert (status, left_out & set(loaded)) == ("0", set())
    assert "datagym-async" in ran.stdout
