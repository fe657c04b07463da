"""A project of somebody else's that has this package installed, and its tests."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "testing.md"


def settings() -> str:
    """Return the settings of pytest that docs/testing.md gives to a fresh project."""
    (found,) = re.findall(
        r"^```toml\n(.*?)^```$", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL
    )
    return str(found)


def run_tests(
    folder: Path, tests: str, *options: str, conftest: str = "", autoload: bool = True
) -> subprocess.CompletedProcess[str]:
    """Run a file of tests as pytest does where the wheel is installed.

    The entry points are those of pyproject.toml, whatever is installed here.

    Args:
        folder: An empty folder.
        tests: The file of tests.
        *options: More for the command line of pytest.
        conftest: The file of that name.
        autoload: Whether pytest loads the plugins that it finds.
    """
    project, installed = folder / "project", folder / "installed" / "found-0.dist-info"
    project.mkdir(parents=True)
    installed.mkdir(parents=True)
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    lines = [f"{k} = {v}\n" for k, v in declared["entry-points"]["pytest11"].items()]
    (installed / "entry_points.txt").write_text("".join(["[pytest11]\n", *lines]))
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: found\nVersion: 0\n")
    (project / "pyproject.toml").write_text(settings())
    (project / "test_it.py").write_text(tests, encoding="utf-8")
    if conftest:
        (project / "conftest.py").write_text(conftest)
    path = os.pathsep.join([str(installed.parent), str(ROOT)])
    names = [name for name in os.environ if name.startswith(("PYTEST_", "DATAGYM_", "COV_"))]
    kept = {name: value for name, value in os.environ.items() if name not in names}
    switch = {} if autoload else {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "error", *options],
        cwd=project,
        env=kept | {"PYTHONPATH": path} | switch,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
