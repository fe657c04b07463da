"""What a package exports looks as if it was made there."""

from __future__ import annotations

import importlib
import importlib.resources
import inspect
import re
import sys
import typing

import attrs
import pytest

from tests.helpers.reference import pages

PACKAGES = [
    "datagym_async.data",
    "datagym_async.formats",
    "datagym_async.formats.coco",
    "datagym_async.labels",
    "datagym_async.models",
    "datagym_async.resources",
    "datagym_async.server",
    "datagym_async.testing",
]
EXPORTING = [
    *PACKAGES,
    "datagym_async",
    "datagym_async.distributed",
    "datagym_async.downloads",
    "datagym_async.exceptions",
    "datagym_async.exports",
    "datagym_async.imports",
    "datagym_async.look",
    "datagym_async.predict",
    "datagym_async.uploads",
]


@pytest.mark.parametrize("name", EXPORTING)
def test_what_is_exported_is_of_its_package(name: str) -> None:
    """Nobody who prints, pickles or asks for help sees a private module; annotations resolve."""
    package = importlib.import_module(name)
    things = [getattr(package, each) for each in package.__all__]
    made = [each for each in things if inspect.isclass(each) or inspect.isfunction(each)]
    assert made
    assert [each for each in made if "._" in each.__module__] == []
    for each in made:
        if inspect.isclass(each) and attrs.has(each):
            assert typing.get_type_hints(each).keys() >= attrs.fields_dict(each).keys()


@pytest.mark.parametrize("name", EXPORTING)
def test_annotations_mean_in_the_package_what_they_mean_where_they_stand(name: str) -> None:
    """No name of a package stands in for another one of the module that a class is written in."""
    package = importlib.import_module(name)
    things = [getattr(package, each) for each in package.__all__]
    for each in (each for each in things if inspect.isclass(each) and attrs.has(each)):
        pattern = re.compile(rf"^class {each.__name__}\b", re.MULTILINE)
        written = [
            vars(module)
            for module in [*sys.modules.values()]
            if module.__name__.startswith("datagym_async")
            and vars(module).get(each.__name__) is each
            and pattern.search(inspect.getsource(module))
        ]
        assert len(written) == 1
        assert typing.get_type_hints(each) == typing.get_type_hints(each, written[0])


def test_the_reference_has_every_public_name() -> None:
    """The site has a page for each package that exports, with exactly what that exports."""
    found = {each.path: set(each.names) for each in pages()}
    del found["datagym_async.data.torch"]  # torch is not everywhere
    assert found.keys() >= {*EXPORTING, "datagym_async.look", "datagym_async.predict"}
    for path, names in found.items():
        package = importlib.import_module(path)
        assert names == set(getattr(package, "__all__", names))


@pytest.mark.parametrize("name", PACKAGES)
def test_a_package_says_what_is_in_it(name: str) -> None:
    """The docstring of a package names each of its modules."""
    package = importlib.import_module(name)
    folder = importlib.resources.files(package)
    modules = [each.name.removesuffix(".py") for each in folder.iterdir()]
    own = [each for each in modules if not each.startswith("__") and each.strip(".") == each]
    assert package.__doc__ is not None
    assert [each for each in own if f"`{each}" not in package.__doc__] == []
