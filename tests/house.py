"""What the house measures: ``python -m tests.house [--circles] [--json]``.

Counts the modules of `datagym_async`, their lines, their lines of code, the modules that are in
import circles, and the tests that import a private module past its package. An import counts
wherever it stands, in a function or under ``TYPE_CHECKING`` as well: who reads a module has to know
what it names. With ``--circles`` the exit status is 1 where there is one; ``python -m tests.check
circles`` runs that. What tests may import is in `tests/unit/test_private_modules.py`.
"""

from __future__ import annotations

import argparse
import ast
import json
import sys
import tokenize
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = "datagym_async"
SLIVER = 80


def modules(root: Path = ROOT) -> dict[str, Path]:
    """Return the modules of the package by their names; a package is named as its folder."""
    found: dict[str, Path] = {}
    for path in sorted((root / PACKAGE).rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(path: Path, known: dict[str, Path], *, typing_only: bool = True) -> set[str]:
    """Return which of the known modules a module imports.

    Args:
        path: The module's file.
        known: All modules.
        typing_only: Whether imports count that only type checkers see.
    """
    tree = ast.parse(path.read_bytes())
    skipped: set[ast.AST] = set()
    if not typing_only:
        for node in ast.walk(tree):
            if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
                skipped.update(each for one in node.body for each in ast.walk(one))
    named: set[str] = set()
    for node in ast.walk(tree):
        if node in skipped:
            continue
        if isinstance(node, ast.Import):
            named.update(each.name for each in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            # `from package import name` names a module where there is one of that name.
            for each in node.names:
                inner = f"{node.module}.{each.name}"
                named.add(inner if inner in known else node.module)
    return {each for each in named if each in known}


def private_imports(root: Path = ROOT) -> dict[str, set[str]]:
    """Return which private modules each test imports, by its file; private packages do not count.

    A private module has a name that begins with one underscore: `uploads/_target.py` is one, the
    package `_wire` is none.
    """
    known = {
        name: path
        for name, path in modules(root).items()
        if path.stem.startswith("_") and not path.stem.startswith("__")
    }
    found = {
        path.relative_to(root).as_posix(): imports(path, known)
        for path in sorted((root / "tests").rglob("*.py"))
    }
    return {path: named for path, named in found.items() if named}


def circles(*, typing_only: bool = True, root: Path = ROOT) -> list[list[str]]:
    """Return the groups of modules that import one another, the largest first.

    A package's own ``__init__`` gathers its modules, which may name the package: it is left out.
    """
    known = modules(root)
    plain = {name: path for name, path in known.items() if path.name != "__init__.py"}
    edges = {
        name: imports(path, plain, typing_only=typing_only) - {name} for name, path in plain.items()
    }
    return sorted((group for group in _strong(edges) if len(group) > 1), key=len, reverse=True)


def _strong(edges: dict[str, set[str]]) -> Iterator[list[str]]:
    """Give the strongly connected groups of a graph (Tarjan's algorithm)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    for start in edges:
        if start in index:
            continue
        work = [(start, iter(sorted(edges[start])))]
        index[start] = low[start] = len(index)
        stack.append(start)
        while work:
            name, rest = work[-1]
            following = next(rest, None)
            if following is None:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[name])
                if low[name] == index[name]:
                    group = stack[stack.index(name) :]
                    del stack[stack.index(name) :]
                    yield sorted(group)
            elif following not in index:
                index[following] = low[following] = len(index)
                stack.append(following)
                work.append((following, iter(sorted(edges[following]))))
            elif following in stack:
                low[name] = min(low[name], index[following])


def lines_of_code(path: Path) -> int:
    """Return the lines that are neither blank, nor a comment, nor a docstring."""
    tree = ast.parse(path.read_bytes())
    texts: set[int] = set()
    for node in ast.walk(tree):
        if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if ast.get_docstring(node) is not None:
            text = node.body[0]
            texts.update(range(text.lineno, (text.end_lineno or text.lineno) + 1))
    code: set[int] = set()
    quiet = {
        tokenize.COMMENT,
        tokenize.NL,
        tokenize.NEWLINE,
        tokenize.INDENT,
        tokenize.DEDENT,
        tokenize.ENDMARKER,
        tokenize.ENCODING,
    }
    with path.open("rb") as file:
        for token in tokenize.tokenize(file.readline):
            if token.type not in quiet:
                code.update(range(token.start[0], token.end[0] + 1))
    return len(code - texts)


def figures(root: Path = ROOT) -> dict[str, object]:
    """Return all that is counted."""
    known = modules(root)
    lines = {
        name: len(path.read_text(encoding="utf-8").splitlines()) for name, path in known.items()
    }
    chapters = {name: lines[name] for name, path in known.items() if path.name != "__init__.py"}
    return {
        "modules": len(known),
        "lines": sum(lines.values()),
        "lines of code": sum(map(lines_of_code, known.values())),
        f"modules under {SLIVER} lines": sum(count < SLIVER for count in chapters.values()),
        "modules in circles": sum(map(len, circles(typing_only=False, root=root))),
        "modules in circles, types counted": sum(map(len, circles(root=root))),
        "test files that import a private module": len(private_imports(root)),
        "fullest folders": Counter(path.parent.name for path in known.values()).most_common(5),
        "longest modules": Counter(chapters).most_common(5),
    }


def main(arguments: list[str]) -> int:
    """Print the figures, or the circles."""
    parser = argparse.ArgumentParser(prog="python -m tests.house", description=__doc__)
    parser.add_argument("--circles", action="store_true", help="fail where there is one")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    parser.add_argument("--root", type=Path, default=ROOT, help="another checkout")
    options = parser.parse_args(arguments)
    if options.circles:
        found = circles(root=options.root)
        for group in found:
            print(f"circle of {len(group)}: {', '.join(group)}")
        print(f"{len(found)} import circles in {len(modules(options.root))} modules")
        return bool(found)
    counted = figures(options.root)
    if options.json:
        print(json.dumps(counted, indent=1))
    else:
        print("\n".join(f"{name}: {value}" for name, value in counted.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
