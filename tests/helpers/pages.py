"""The Python of the documentation as it stands there: found, looked through, and run.

A page is read from top to bottom, as people read it: what a block defines holds in those after it.
`await` needs no function around it, as in a notebook. Beside that a block may use the few names of
`GIVEN`, which README and guide name, and which are set anew for each block.
"""

from __future__ import annotations

import ast
import asyncio
import inspect
import re
import textwrap
from pathlib import Path
from types import CodeType

import attrs

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
GIVEN = frozenset({"client", "dataset_id", "project_id", "media_id", "task_id"})
"""What blocks use without defining it: an open client, and ids of one's own."""

_BLOCK = re.compile(
    r"^(?P<indent>[ >]*)(?P<fence>`{3,}|~{3,}) *(?:python|py)\b.*?\n(?P<text>.*?)^[ >]*(?P=fence)",
    re.MULTILINE | re.DOTALL | re.IGNORECASE,
)


@attrs.frozen
class Block:
    """One fenced block of Python.

    Args:
        page: Where it stands.
        line: Number of its first line of code, from 1.
        text: The code.
    """

    page: Path
    line: int
    text: str = attrs.field(repr=False)

    @property
    def name(self) -> str:
        """Return page and line, as in a traceback."""
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    @property
    def is_program(self) -> bool:
        """Say whether it starts an event loop of its own, or changes the process that runs it."""
        return any(each in self.text for each in ("asyncio.run(", "opentelemetry"))

    @property
    def is_tests(self) -> bool:
        """Say whether it is a file of tests, which pytest runs."""
        return re.search(r"^(async )?def test_", self.text, re.MULTILINE) is not None

    def compiled(self) -> CodeType:
        """Return its code, whose lines are those of the page."""
        tree = ast.parse(self.text, filename=str(self.page))
        ast.increment_lineno(tree, self.line - 1)
        flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
        code: CodeType = compile(tree, str(self.page), "exec", flags=flags, dont_inherit=True)
        return code

    async def run(self, names: dict[str, object]) -> None:
        """Run it with the names there are; it adds its own to them.

        What awaits nothing runs in a thread, where it may block as it would in a script.
        """
        code = self.compiled()
        if not code.co_flags & inspect.CO_COROUTINE:
            await asyncio.to_thread(exec, code, names)
        elif (running := eval(code, names)) is not None:
            await running


def blocks(page: Path) -> list[Block]:
    """Return the blocks of a page, in order."""
    text = page.read_text(encoding="utf-8")
    return [
        Block(page, text.count("\n", 0, found.start("text")) + 1, textwrap.dedent(found["text"]))
        for found in _BLOCK.finditer(text)
    ]


def as_module(page: Path) -> str:
    """Return the blocks of a page and nothing else, each on the lines where it stands."""
    lines: list[str] = []
    for block in blocks(page):
        lines += [""] * (block.line - 1 - len(lines)) + block.text.splitlines()
    return "\n".join(lines) + "\n"
