"""Whether the tests notice: small faults put into the code, one at a time.

``python -m tests.mutation [PART ...]`` changes the modules of `PARTS` in memory, one comparison,
operator, number, condition or statement at a time, runs the tests of that part, and prints what
they did not notice, with the share that they did. Each change is tried in a process that is forked
from one in which all libraries are loaded: about a second each. Texts, annotations and what is
logged are left alone.
"""

from __future__ import annotations

import argparse
import ast
import copy
import importlib
import importlib.abc
import importlib.machinery
import os
import random
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import attrs

ROOT: Final = Path(__file__).resolve().parent.parent
PATIENCE: Final = 90
"""Seconds after which a change counts as noticed: something waits that did not."""


@attrs.frozen
class Part:
    """Modules, and the tests that are to notice changes of them."""

    modules: Sequence[str]
    tests: Sequence[str]


PARTS: Final = {
    "retry": Part(
        ["_retry/_table.py", "_retry/_delays.py", "_retry/_loop.py"],
        [f"unit/test_{each}.py" for each in ("retry_table", "retry_loop", "session")],
    ),
    "verdicts": Part(["uploads/_verdicts.py"], ["unit/test_uploads_verdicts.py"]),
    "settling": Part(
        ["uploads/_settling.py"],
        [f"unit/test_uploads_{each}.py" for each in ("settling", "resuming", "verify")],
    ),
    "limits": Part(
        ["_limits/_limits.py"],
        ["unit/test_limits_lanes.py", "unit/test_limits_pause.py", "unit/test_limits_session.py"],
    ),
    "adaptive": Part(["_limits/_adaptive.py"], ["unit/test_adaptive.py"]),
    "plan": Part(
        ["uploads/plan/_names.py", "uploads/plan/_rows.py"],
        [
            f"unit/test_uploads_{each}.py"
            for each in ("plan", "naming", "on_clash", "resuming", "settling")
        ],
    ),
}  # fmt: skip
_LIBRARIES: Final = [
    "aiohttp.web",
    "aiosqlite",
    "attrs",
    "blockbuster",
    "cattrs",
    "hypothesis.stateful",
    "looptime",
    "numpy",
    "obstore",
    "orjson",
    "PIL.Image",
    "pytest",
    "pytest_asyncio.plugin",
    "pytest_cov.plugin",
    "pytest_timeout",
    "tenacity",
    "trustme",
    "uvloop",
    "wcmatch.glob",
    "xdist.plugin",
]

_SWAPPED: Final[dict[type[ast.AST], type[Any]]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq, ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
    ast.And: ast.Or, ast.Or: ast.And, ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div,
    ast.Div: ast.Mult, ast.FloorDiv: ast.Mult,
}  # fmt: skip


def _changed(node: ast.AST) -> Iterator[ast.AST]:
    """Yield what may stand in the place of a node."""
    new: Any = copy.deepcopy(node)
    match new:
        case ast.Compare() if type(new.ops[0]) in _SWAPPED:
            new.ops[0] = _SWAPPED[type(new.ops[0])]()
            yield new
        case ast.BoolOp() | ast.BinOp() | ast.AugAssign() if type(new.op) in _SWAPPED:
            new.op = _SWAPPED[type(new.op)]()
            yield new
        case ast.UnaryOp(op=ast.Not()):
            yield new.operand
        case ast.If() | ast.IfExp() | ast.While():
            new.test = ast.UnaryOp(ast.Not(), new.test)
            yield new
        case ast.Constant() if isinstance(new.value, bool):
            yield ast.Constant(not new.value)
        case ast.Constant() if isinstance(new.value, int | float):
            yield ast.Constant(new.value + 1)
        case ast.Return() if new.value is not None and not isinstance(new.value, ast.Constant):
            yield ast.Return(ast.Constant(None))
        case ast.Expr() if not isinstance(new.value, ast.Constant | ast.Yield):
            yield ast.Pass()
        case ast.Tuple() if isinstance(new.ctx, ast.Load) and len({*map(ast.dump, new.elts)}) > 1:
            new.elts = [*new.elts[1:], new.elts[0]]
            yield new
        case ast.Break():
            yield ast.Continue()


def _places(node: ast.AST) -> Iterator[tuple[ast.AST, str, int | None, ast.AST]]:
    """Yield each node that may be changed, with where it hangs."""
    for field, value in ast.iter_fields(node):
        if field in {"annotation", "returns", "type_params", "decorator_list"}:
            continue
        for index, each in enumerate(value) if isinstance(value, list) else ((None, value),):
            if not isinstance(each, ast.AST) or _is_left_alone(each):
                continue
            yield node, field, index, each
            yield from _places(each)


def _is_left_alone(node: ast.AST) -> bool:
    """Return whether it is text for people, or for a type checker, or of a field that none sets."""
    if isinstance(node, ast.keyword) and node.arg == "init":
        return True
    text = ast.unparse(node) if isinstance(node, ast.Expr | ast.If) else ""
    return isinstance(node, ast.Raise | ast.JoinedStr | ast.Import | ast.ImportFrom) or (
        text.startswith(("_log.", "if TYPE_CHECKING", "del "))
    )


def mutants(source: str) -> Iterator[tuple[str, str]]:
    """Yield each change in words, and the whole text with it."""
    tree = ast.parse(source)
    for owner, field, index, node in [*_places(tree)]:
        for new in _changed(node):
            _put(owner, field, index, new)
            try:
                line = getattr(node, "lineno", 0)
                words = [ast.unparse(each).splitlines()[0][:90] for each in (node, new)]
                yield (
                    f"line {line}: {words[0]}  ->  {words[1]}",
                    ast.unparse(ast.fix_missing_locations(tree)),
                )
            finally:
                _put(owner, field, index, node)


def _put(owner: ast.AST, field: str, index: int | None, node: ast.AST) -> None:
    if index is None:
        setattr(owner, field, node)
    else:
        getattr(owner, field)[index] = node


class _Mutated(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Loads one module from a changed text."""

    def __init__(self, name: str, path: Path, text: str) -> None:
        self.name, self.path, self.text = name, path, text

    def find_spec(
        self, fullname: str, path: object, target: object = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Find the one module."""
        if fullname != self.name:
            return None
        return importlib.machinery.ModuleSpec(fullname, self, origin=str(self.path))

    def exec_module(self, module: ModuleType) -> None:
        """Run its text."""
        exec(compile(self.text, str(self.path), "exec"), module.__dict__)


def is_noticed(module: str, text: str, tests: Sequence[str]) -> bool:
    """Return whether the tests fail with this text in the place of a module."""
    pid = os.fork()
    if not pid:
        silent = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silent, 1)
        os.dup2(silent, 2)
        os.setsid()
        name = "datagym_async." + module.removesuffix(".py").replace("/", ".")
        sys.meta_path.insert(0, _Mutated(name, ROOT / "datagym_async" / module, text))
        import pytest

        paths = [str(ROOT / "tests" / each) for each in tests]
        status = pytest.main(
            ["-x", "-q", "-n", "0", "-p", "no:cacheprovider", "--assert=plain", *paths]
        )
        os._exit(min(int(status), 100))
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return status != 0
        time.sleep(0.02)
    os.killpg(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return True


def main() -> int:
    """Try the changes that the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--sample", type=int, help="so many changes of each part, at random")
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args()
    for library in _LIBRARIES:
        importlib.import_module(library)
    for name in options.parts or PARTS:
        part = PARTS[name]
        every = [
            (module, words, text)
            for module in part.modules
            for words, text in mutants((ROOT / "datagym_async" / module).read_text("utf-8"))
        ]
        if is_noticed(
            part.modules[0], (ROOT / "datagym_async" / part.modules[0]).read_text(), part.tests
        ):
            parser.error(f"the tests of {name} fail without any change")
        if options.sample and options.sample < len(every):
            every = random.Random(options.seed).sample(every, options.sample)
        left = []
        for module, words, text in every:
            if not is_noticed(module, text, part.tests):
                left.append(f"{module}, {words}")
                print(f"  not noticed: {left[-1]}", flush=True)
        share = 1 - len(left) / len(every)
        count = len(every)
        print(f"{name}: {count - len(left)} of {count} noticed ({share:.1%})", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
