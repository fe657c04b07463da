"""The README is true: its commands are those that CI runs, and its code runs."""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from datagym_async.server import Server
from tests.check import STEPS
from tests.helpers.photos import jpeg

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    found = re.findall(r"^```(\w*)\n(.*?)^```$", README, flags=re.MULTILINE | re.DOTALL)
    return [text for name, text in found if name == language]


def test_ci_runs_the_readmes_second_command() -> None:
    """The CI script holds the README's test command word for word."""
    commands = [block.strip() for block in blocks("") if block.startswith("python3 -m venv")]
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()

    assert len(commands) == 2
    assert commands[0].endswith("datagym-async demo")
    assert commands[1] in script


def test_ci_goes_on_without_a_browser(tmp_path: Path) -> None:
    """Chromium is asked for where it is missing, and nothing fails where it cannot be had."""
    lines = (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    bash, *found = (shutil.which(name) for name in ("bash", "sh", "timeout", "dirname"))
    if bash is None or None in found:
        pytest.skip("the script needs bash and GNU's tools")
    for tool in filter(None, found):
        (tmp_path / Path(tool).name).symlink_to(tool)
    for name, does in (("id", "echo 0"), ("apt-get", f'echo "$@" >> "{tmp_path}/asked"; exit 100')):
        (tmp_path / name).write_text(f"#!{bash}\n{does}\n")
        (tmp_path / name).chmod(0o755)

    done = subprocess.run(
        [bash, "-c", "\n".join([*lines[:-1], "wait"]), str(ROOT / ".ci" / "run")],
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert (tmp_path / "asked").read_text() == "-qq update\n"


def test_every_linked_page_exists() -> None:
    """A link into the repository leads somewhere."""
    targets = re.findall(r"\]\((?!http)([^)#]+)", README)

    assert targets
    assert [target for target in targets if not (ROOT / target).exists()] == []


def test_what_the_second_command_runs_is_installed_by_it() -> None:
    """Each tool of a step is in the extras that the command names."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    names = [re.match(r"[\w-]+", each) for each in (*extras["test"], *extras["docs"])]
    installed = {each[0].lower() for each in names if each}
    wheel = (ROOT / "tests" / "wheel.py").read_text(encoding="utf-8")
    tools = {words[1] for words in STEPS.values() if words[0] == "-m"}
    tools |= set(re.findall(r'sys\.executable, "-m", "(\w+)"', wheel))

    assert {"mypy", "build", "twine"} < tools
    assert {"datagym-async[docs]", "import-linter"} < {*extras["test"], *installed}
    tools = {each for each in tools if not each.startswith("tests")}
    assert {each.replace("_", "-") for each in tools} <= installed


@pytest.mark.slow
async def test_the_first_program_runs(tmp_path: Path) -> None:
    """The README's program uploads a folder and downloads it again."""
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").write_bytes(jpeg(5000))
    program = next(block for block in blocks("python") if "asyncio.run" in block)
    async with Server() as server:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            program,
            cwd=tmp_path,
            env={"DATAGYM_TOKEN": server.token, "DATAGYM_BASE_URL": server.base_url},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        output, errors = await process.communicate()

    copies = [path.read_bytes() for path in (tmp_path / "copy").glob("*.jpg")]
    assert (process.returncode, errors.decode()) == (0, "")
    assert b"1 uploaded" in output
    assert copies == [jpeg(5000)]
