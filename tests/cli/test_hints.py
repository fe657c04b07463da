"""Whoever types commands reads of flags, and whoever writes programs of arguments."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import datagym_async
from datagym_async.cli import hint_in_shell_words

HOME = Path(datagym_async.__file__).parent
OF_COMMANDS = ("cli", "__main__.py")
# What no command does: a loader, single calls of programs, the embedded server and its faults.
OF_PROGRAMS = (
    "data",
    "resources",
    "labels",
    "server",
    "testing",
    "_client.py",
    "_client_jobs.py",
    "_client_reading.py",
    *OF_COMMANDS,
)
FLAG = re.compile(r"(?<![\w-])--[a-z]")
ARGUMENT = re.compile(r"\b[a-z_]+=(?:True|False|None|\"|\.\.\.)|client\.[a-z]")
# What a caller of a single method alone can meet.
UNMET = (
    "use download_bitmaps(",
    "Open the stream first",
    "No API token: pass token=...",
    "Pass it as DataGymClient(token=...)",
    "client.projects.list() lists all",
    "a distributed.Client that is made with asynchronous=True",
)
MARKUP = re.compile(r"^<|\b[a-zA-Z-]+=\"(?:links|none|0 0)")


def texts(*without: str) -> Iterator[str]:
    """Yield the texts of the package but docstrings, with an option for what is filled in."""
    for file in sorted(HOME.rglob("*.py")):
        if file.relative_to(HOME).parts[0] in without:
            continue
        tree = ast.parse(file.read_text())
        seen: set[int] = set()
        for node in ast.walk(tree):
            if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
                seen.add(id(node.value))
            if isinstance(node, ast.JoinedStr):
                parts = [
                    each.value if isinstance(each, ast.Constant) else "links"
                    for each in node.values
                ]
                seen |= {id(each) for each in node.values}
                yield "".join(map(str, parts))
            elif isinstance(node, ast.Constant) and id(node) not in seen:
                yield str(node.value)


def test_no_text_of_the_library_names_a_flag() -> None:
    """It may be read in a notebook."""
    assert [
        each for each in texts("server", "_installed.py", *OF_COMMANDS) if FLAG.search(each)
    ] == []


def test_no_text_on_the_command_line_names_an_argument() -> None:
    """Every hint of what commands do has words of a shell."""
    found = [each for each in texts(*OF_PROGRAMS) if not MARKUP.search(each)]
    said = [hint_in_shell_words(each) for each in found if ARGUMENT.search(each)]
    assert len(said) > 10
    left = [each for each in said if ARGUMENT.search(each)]
    assert [each for each in left if not any(known in each for known in UNMET)] == []


@pytest.mark.parametrize(
    ("sentence", "words"),
    [
        ("start again with fresh=True: what is there", "start again with --fresh: what is there"),
        (
            "give the report that `UploadReport.to_json` wrote.",
            "give the report that `datagym-async upload --report FILE.json` wrote.",
        ),
        (
            "points are dropped; write it with `client.values.write`",
            "points are dropped; a program can write it (`client.values.write`)",
        ),
        ("name them with classes=...", "name them with --classes"),
        ("prepare holds 'x'; its steps are orientation", "--prepare holds 'x'; its steps"),
        ("max_upload_rate is 0; give bytes a second", "--bwlimit is 0; give bytes"),
        ("name it with format=...: yolo", "name it with --format: yolo"),
        ("3 sent. It stopped at max_files: 3 were sent.", "stopped at --max-files: 3 were"),
        ("or give the option skip_signature=true to", "or add --store-option skip_signature=true"),
        ("search='a*' holds characters", "--search 'a*' holds"),
        ("it has more than 5 bytes; max_bytes=... sets the limit", "more than this"),
    ],
)
def test_words_of_a_shell(sentence: str, words: str) -> None:
    """What the library says of its arguments is said of flags, or of programs."""
    assert words in hint_in_shell_words(sentence)
