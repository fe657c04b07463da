"""The public surface: true, sorted, documented, importable piece by piece."""

from __future__ import annotations

import inspect
import pickle
import subprocess
import sys

import pytest

import datagym_async
from datagym_async import exceptions
from datagym_async.exceptions import APIConnectionError, APIError, APIStatusError, DataGymError


def test_all_is_sorted_and_true() -> None:
    """Every name of __all__ exists, once, in order."""
    assert datagym_async.__all__ == sorted(set(datagym_async.__all__))
    assert all(hasattr(datagym_async, name) for name in datagym_async.__all__)


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
    """Importing the package loads nothing that only an extra installs."""
    script = (
        "import sys, datagym_async\n"
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
        "The service may have carried the request out; it was not repeated."
    )
    assert isinstance(error, APIError)
    assert isinstance(error, ConnectionError)
