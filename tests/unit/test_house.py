"""What CONTRIBUTING and the packages say of the house is true of it."""

from __future__ import annotations

import ast
import re

import pytest

from tests.house import PACKAGE, ROOT, SLIVER, modules

CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
MODULES = modules()
PACKAGES = [name for name, path in MODULES.items() if path.name == "__init__.py"]


def own(package: str) -> set[str]:
    """Return the modules and packages that lie in a package, without what is in those."""
    names = {each.removeprefix(f"{package}.") for each in MODULES if each.startswith(f"{package}.")}
    return {each for each in names if "." not in each}


@pytest.mark.parametrize("package", [each for each in PACKAGES if each != PACKAGE])
def test_a_package_says_what_each_of_its_modules_is_for(package: str) -> None:
    said = ast.get_docstring(ast.parse(MODULES[package].read_text(encoding="utf-8"))) or ""

    assert {each for each in own(package) if not re.search(rf"\b{each}\b", said)} == set()


def test_contributing_says_what_lies_at_the_top() -> None:
    said = CONTRIBUTING.partition("## Where things are")[2].partition("\n## ")[0]

    missing = {each for each in own(PACKAGE) if not re.search(rf"\b{each}\b", said)}
    assert missing == {"__main__"}


def test_modules_that_are_short_have_a_reason() -> None:
    said = CONTRIBUTING.partition("Modules under 80 lines, and why:")[2].partition("\n\n")[0]
    short = {
        name.rpartition(".")[2]
        for name, path in MODULES.items()
        if path.name not in {"__init__.py", "__main__.py"}
        and len(path.read_text(encoding="utf-8").splitlines()) < SLIVER
    }

    assert {each for each in short if not re.search(rf"\b{each}\b", said)} == set()


def test_the_files_that_answer_the_twelve_questions_exist() -> None:
    table = CONTRIBUTING.partition("## Twelve questions")[2].partition("\n## ")[0]
    rows = [line.split("|")[2] for line in table.splitlines() if line.startswith("| W")]

    paths = [row.partition("`")[2].partition("`")[0] for row in rows]
    assert len(paths) == 12
    assert [path for path in paths if not (ROOT / PACKAGE / path).is_file()] == []


def test_no_statement_of_sql_numbers_its_parameters() -> None:
    """Python 3.12.0 to 3.12.3 warn of `?1` with a sequence, as of an error to come."""
    texts = {name: path.read_text(encoding="utf-8") for name, path in MODULES.items()}

    assert [name for name, text in texts.items() if re.search(r"\?\d", text)] == []
