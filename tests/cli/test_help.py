"""Help and documentation know every command and every option."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import pytest
import typer.main

from datagym_async import __version__
from datagym_async.cli import COMMANDS, app, load
from tests.helpers.option_tables import with_tables

if TYPE_CHECKING:
    from tests.cli.conftest import Cli

DOCUMENT = Path(__file__).parents[2] / "docs" / "cli.md"
SHARED = {
    *("--base-url", "--token-file", "--profile", "--retries"),
    *("--proxy", "--no-proxy", "--ca-file", "--timeout", "--auth"),
    *("--json", "--quiet", "--debug", "--log-file"),
}


@attrs.frozen
class Command:
    """One command: its words and its options."""

    words: tuple[str, ...]
    options: frozenset[str]
    found: Any = attrs.field(eq=False, repr=False)

    @property
    def is_leaf(self) -> bool:
        """Return whether it does something itself."""
        return not hasattr(self.found, "commands")


def commands(found: Any, words: tuple[str, ...] = ()) -> Iterator[Command]:  # typer's own classes
    """Yield all commands below one."""
    options = frozenset(
        name
        for parameter in found.params
        for name in (*parameter.opts, *parameter.secondary_opts)
        if name.startswith("-") and not parameter.hidden
    )
    yield Command(words, options, found)
    for name, below in getattr(found, "commands", {}).items():
        yield from commands(below if words else load(name), (*words, name))


ALL = list(commands(typer.main.get_command(app)))


def names(command: Command) -> str:
    """Name a command in the list of tests."""
    return " ".join(command.words) or "datagym-async"


def test_these_are_the_commands() -> None:
    """The commands of this release, by the names that are fixed."""
    assert {names(command) for command in ALL} >= {
        "upload",
        "download",
        "demo",
        "serve",
        "projects list",
        "projects attach",
        "projects detach",
        "datasets list",
        "datasets show",
        "datasets create",
        "jobs list",
        "jobs show",
        "jobs clean",
    }


@pytest.mark.parametrize("name", COMMANDS)
def test_the_line_of_a_command(name: str) -> None:
    """What the list of commands says of one is how its own help begins."""
    assert load(name).help.startswith(COMMANDS[name])


@pytest.mark.parametrize("command", ALL, ids=names)
def test_help(cli: Cli, command: Command) -> None:
    """--help ends well and mentions each option of the command."""
    ran = cli(*command.words, "--help")
    text = re.sub(r"\x1b\[[0-9;]*m", "", ran.out)
    assert ran.status == 0
    assert {option for option in command.options if option not in text} == set()


@pytest.mark.parametrize("command", ALL, ids=names)
def test_documentation(command: Command) -> None:
    """docs/cli.md has a section for each command that mentions each of its options."""
    section = _section(f"datagym-async {' '.join(command.words)}".strip())
    own = command.options - (SHARED if command.words != ("serve",) else SHARED - {"--token-file"})
    assert {option for option in own - {"-h", "--help"} if f"`{option}" not in section} == set()


SHORT = {
    "--project": ("-p", "NAME|ID"),
    "--dataset": ("-d", "NAME|ID"),
    "--output": ("-o", None),
    "--format": ("-f", None),
    "--dry-run": ("-n", None),
}


@pytest.mark.parametrize("command", ALL, ids=names)
def test_an_option_is_short_in_all_commands_or_in_none(command: Command) -> None:
    """The same option has the same short name and the same placeholder wherever it occurs."""
    for parameter in command.found.params:
        for name, (short, placeholder) in SHORT.items():
            if name in parameter.opts:
                assert short in parameter.opts
                assert placeholder in {None, parameter.metavar}


def test_the_documentation_of_bulk_jobs_is_that_of_help() -> None:
    """Each row of a table of options is a row of docs/cli.md, in the same words.

    `python -m tests.helpers.option_tables` writes them.
    """
    text = DOCUMENT.read_text()
    assert text == with_tables(text)


def test_shared_options_are_documented() -> None:
    """The options of all commands have a section of their own."""
    section = _section("Shared options")
    assert {option for option in SHARED if f"`{option}" not in section} == set()


def test_version(cli: Cli) -> None:
    """--version names the program and its version."""
    assert cli("--version").out == f"datagym-async {__version__}\n"


def test_no_arguments(cli: Cli) -> None:
    """With nothing to do, it says what it could do."""
    ran = cli()
    assert ran.status == 0
    assert "demo" in ran.out


def _section(title: str) -> str:
    text = DOCUMENT.read_text()
    parts = re.split(r"^#+ (.+)$", text, flags=re.MULTILINE)
    sections = dict(zip(parts[1::2], parts[2::2], strict=True))
    found = sections.get(title) or sections.get(f"`{title}`")
    assert found is not None, f"docs/cli.md has no section {title!r}"
    return found


@pytest.mark.parametrize("command", [each for each in ALL if each.is_leaf], ids=names)
def test_every_help_ends_with_examples_that_can_be_typed(command: Command, cli: Cli) -> None:
    """Each command has one at least; its words and options are ones that the command takes."""
    shown = cli(*command.words, "--help").out
    _, _, lines = shown.partition("Examples:")
    examples = re.findall(r"datagym-async (.+?)(?=\s*(?:datagym-async|$))", lines, re.DOTALL)
    assert examples
    for example in examples:
        words = shlex.split(example.partition(">")[0])
        assert tuple(words[: len(command.words)]) == command.words
        arguments = words[len(command.words) :]
        # Read, but not run: what is wrong with the words is an error here.
        command.found.make_context(names(command), arguments, parent=None)


@pytest.mark.parametrize("words", ["config from", "config diff", "import"])
def test_help_calls_a_path_a_path(words: str, cli: Cli) -> None:
    """Not by the name of a class of Python."""
    shown = cli(*words.split(), "--help").out
    assert "<path>" in shown
    assert "<Path>" not in shown
