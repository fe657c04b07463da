"""The public surface: true, sorted, documented, importable piece by piece."""

from __future__ import annotations

import ast
import importlib
import inspect
import pickle
import pydoc
import re
import subprocess
import sys
import textwrap

import pytest

import datagym_async
from datagym_async import exceptions
from datagym_async.exceptions import APIConnectionError, APIError, APIStatusError, DataGymError


def test_all_is_sorted_and_true() -> None:
    """Every name of __all__ exists, once, in order."""
    assert datagym_async.__all__ == sorted(set(datagym_async.__all__))
    assert all(hasattr(datagym_async, name) for name in datagym_async.__all__)


def test_what_is_loaded_late_is_what_type_checkers_see() -> None:
    """The names that are loaded when asked for are those of __all__; dir() shows them all."""
    source = inspect.getsource(datagym_async)
    imports = source.partition("if TYPE_CHECKING:")[2].partition("else:")[0]
    tree = ast.parse(textwrap.dedent(imports))
    seen = [
        name
        for each in ast.walk(tree)
        if isinstance(each, ast.ImportFrom)
        for alias in each.names
        for name in (
            importlib.import_module(str(each.module)).__all__ if alias.name == "*" else [alias.name]
        )
    ]

    assert sorted(seen) == datagym_async.__all__
    assert {*datagym_async.__all__, "formats", "models", "server"} <= {*dir(datagym_async)}
    with pytest.raises(AttributeError, match="no attribute 'Nonesuch'"):
        datagym_async.Nonesuch  # type: ignore[attr-defined]  # noqa: B018


def test_packages_are_attributes_as_they_always_were() -> None:
    """`import datagym_async` is enough to reach its public packages and a star takes all names."""
    script = (
        "import datagym_async\n"
        "print(datagym_async.formats.coco.CocoDocument.__module__)\n"
        "from datagym_async import *\n"
        "print([name for name in datagym_async.__all__ if name not in globals()])"
    )

    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )

    assert done.stdout.split("\n") == ["datagym_async.formats.coco", "[]", ""]


@pytest.mark.parametrize("name", [n for n in datagym_async.__all__ if not n.startswith("__")])
def test_what_is_exported_can_be_pickled_by_its_name(name: str) -> None:
    """A class or function goes through a pickle as the very one that is imported."""
    thing = getattr(datagym_async, name)
    if not (inspect.isclass(thing) or inspect.isfunction(thing)):
        return

    assert pickle.loads(pickle.dumps(thing)) is thing


def test_help_shows_the_options_of_a_loader() -> None:
    """What `loader` takes as ``**options`` stands in `help`, of the class and of a client."""
    client = datagym_async.DataGymClient("a-token-of-a-test")

    for loader in (datagym_async.DataGymClient.loader, client.loader):
        shown = pydoc.plain(pydoc.render_doc(loader))
        assert re.search(r"prefetch: '?int'? = 64,", shown)  # in quotes before 3.14
        assert "**options: " not in shown.partition("Return a loader")[0]


@pytest.mark.parametrize("name", [n for n in datagym_async.__all__ if not n.startswith("__")])
def test_every_public_name_is_documented(name: str) -> None:
    """A public class has a docstring of its own, and so has each of its public methods."""
    thing = getattr(datagym_async, name)
    if not inspect.isclass(thing):
        return

    undocumented = [
        f"{name}.{member}"
        for member, value in vars(thing).items()
        if not member.startswith("_")
        and (inspect.isfunction(value) or isinstance(value, property))
        and not inspect.getdoc(value)
    ]

    assert inspect.getdoc(thing)
    assert undocumented == []


def test_the_client_does_without_the_extras() -> None:
    """Importing all that the package exports loads nothing that only an extra installs."""
    script = (
        "import sys\nfrom datagym_async import *\nassert DataGymClient and UploadItem\n"
        "print([name for name in ('typer', 'rich', 'aiosqlite', 'PIL', 'numpy', 'skimage',"
        " 'watchfiles', 'uvloop', 'pytest') if name in sys.modules])"
    )

    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )

    assert done.stdout.strip() == "[]"


def _sample(kind: type[DataGymError]) -> DataGymError:
    if issubclass(kind, APIStatusError):
        return kind("It is refused", status=400, key="ex_x", method="GET", path="dataset")
    return kind("It is refused")


@pytest.mark.parametrize("name", [name for name in exceptions.__all__ if name.endswith("Error")])
def test_every_error_pickles_and_reads_well(name: str) -> None:
    """An error of ours survives a process border with its text and its facts."""
    error = _sample(getattr(exceptions, name))

    copy = pickle.loads(pickle.dumps(error))

    assert isinstance(error, DataGymError)
    assert str(error) == "It is refused"
    assert (type(copy), str(copy), vars(copy)) == (type(error), str(error), vars(error))


def test_an_error_says_how_often_it_was_tried_and_what_is_unknown() -> None:
    """Attempts, remark and doubt stand behind the sentence."""
    error = APIConnectionError("The connection broke", attempts=3, unknown=True)
    error.remark = "Try later."

    assert str(error) == (
        "The connection broke (tried 3 times). Try later. "
        "The service may have carried out the request, so it was not retried."
    )
    assert isinstance(error, APIError)
    assert isinstance(error, ConnectionError)
