"""The pytest plugin is there in a fresh project, and in nobody's way."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.helpers.fresh_project import run_tests

pytestmark = pytest.mark.slow

USES = """
async def test_it(datagym_client, datagym_project):
    assert [each.id for each in await datagym_client.projects.list()] == [datagym_project.id]
"""
SEES = """
import sys

HEAVY = ("aiohttp", "aiosqlite", "PIL", "sqlite3", "cattrs", "orjson", "numpy", "rich", "typer")

def test_it(request):
    assert [name for name in HEAVY if name in sys.modules] == []
    assert {name for name in sys.modules if name.startswith("datagym_async")} == {
        "datagym_async", "datagym_async._public", "datagym_async._pytest_plugin"
    }
    assert [name for name in request.fixturenames if "datagym" in name] == []
"""
OLD = 'pytest_plugins = ["datagym_async.testing.plugin"]\n'
UNSET = ("-W", "ignore::pytest.PytestConfigWarning")
"""The settings are pytest-asyncio's, which is not loaded then."""
ONLY_ASYNCIO = ("-p", "pytest_asyncio.plugin")


@pytest.mark.parametrize("conftest", ["", OLD], ids=["nothing", "named in conftest.py"])
def test_a_fresh_project_has_the_fixtures(tmp_path: Path, conftest: str) -> None:
    """Nothing needs to be written for them; what earlier versions asked for does no harm."""
    ran = run_tests(tmp_path, USES, conftest=conftest)
    assert (ran.returncode, ran.stderr) == (0, ""), ran.stdout


def test_where_no_plugin_is_looked_for_a_conftest_names_it(tmp_path: Path) -> None:
    """With PYTEST_DISABLE_PLUGIN_AUTOLOAD the line in conftest.py still serves."""
    ran = run_tests(tmp_path, USES, *ONLY_ASYNCIO, conftest=OLD, autoload=False)
    assert (ran.returncode, ran.stderr) == (0, ""), ran.stdout


def test_those_who_ask_for_nothing_pay_nothing(tmp_path: Path) -> None:
    """Loading the plugin loads no other package, and no fixture of it is used by itself."""
    plugins = (*ONLY_ASYNCIO, "-p", "datagym_async._pytest_plugin")
    ran = run_tests(tmp_path, SEES, *plugins, autoload=False)
    assert (ran.returncode, ran.stderr) == (0, ""), ran.stdout


def test_it_can_be_left_out(tmp_path: Path) -> None:
    """The name of the entry point is what ``-p no:`` takes."""
    ran = run_tests(tmp_path, USES, "-p", "no:datagym")
    assert "fixture 'datagym_client' not found" in ran.stdout


def test_it_loads_without_pytest_asyncio(tmp_path: Path) -> None:
    """A project whose tests are all plain functions, or anyio's, does not have it."""
    tests = """
import sys
sys.modules["pytest_asyncio"] = None

def test_it():
    import datagym_async._pytest_plugin as plugin
    assert plugin.async_fixture is __import__("pytest").fixture
"""
    ran = run_tests(tmp_path, tests, *UNSET, autoload=False)
    assert (ran.returncode, ran.stderr) == (0, ""), ran.stdout
