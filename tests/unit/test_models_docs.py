"""The models as a public surface."""

from __future__ import annotations

import enum
import inspect

import attrs
import pytest

from datagym_async import models

EXPORTED: list[str] = vars(models)["__all__"]

CLASSES = [getattr(models, name) for name in EXPORTED if inspect.isclass(getattr(models, name))]


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_every_model_says_what_it_is(cls: type) -> None:
    """Each model has a docstring of its own, which explains each of its fields."""
    assert cls.__doc__
    if attrs.has(cls):
        names = [field.name for field in attrs.fields(cls)]
        assert [name for name in names if f"{name}: " not in cls.__doc__] == []


@pytest.mark.parametrize("cls", [c for c in CLASSES if attrs.has(c)], ids=lambda cls: cls.__name__)
def test_models_are_frozen(cls: type) -> None:
    """No model can be changed, and none has room for more fields."""
    with pytest.raises(AttributeError):
        setattr(object.__new__(cls), attrs.fields(cls)[0].name, "changed")
    assert not hasattr(object.__new__(cls), "__dict__")


OPEN = [c for c in CLASSES if issubclass(c, enum.Enum) and c is not models.OpenEnum]


@pytest.mark.parametrize("cls", OPEN, ids=lambda cls: cls.__name__)
def test_enums_take_new_words(cls: type[models.OpenEnum]) -> None:
    """A word of a newer service is UNKNOWN, and words are compared without case."""
    assert cls("SOMETHING_NEW") is cls("UNKNOWN")
    assert [cls(member.value.lower()) for member in cls] == list(cls)
    with pytest.raises(ValueError, match="5"):
        cls(5)  # type: ignore[arg-type]  # as JSON may


def test_all_is_sorted() -> None:
    """The public names stand in order."""
    assert list(EXPORTED) == sorted(EXPORTED)
