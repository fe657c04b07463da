"""What a package exports says that it is of that package, not of a module that may move."""

from __future__ import annotations

from types import FunctionType
from typing import Any


def publish(namespace: dict[str, Any]) -> None:
    """Give the classes and functions that a package exports its name as their module.

    So they look in `help`, in tracebacks and in pickles as they are imported. Call it at the end
    of an ``__init__``. The annotations of a class are then looked up in the package: it imports
    what they name.

    Args:
        namespace: The package's ``globals()``, with ``__all__``.
    """
    package = namespace["__name__"]
    for name in namespace["__all__"]:
        thing = namespace[name]
        is_own = getattr(thing, "__module__", "").startswith(f"{package}._")
        if is_own and isinstance(thing, type | FunctionType):
            thing.__module__ = package
