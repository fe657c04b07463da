"""How packages export names.

`publish` is for packages that load all of their modules: it lists what they export, and sets its
module to the package. `when_asked` is for packages of which most users need a part: it loads a
name's module when the name is used (PEP 562). `NotCopied` is for objects that belong to one
process.
"""

from __future__ import annotations

import importlib
import inspect
import re
import sys
from collections.abc import Callable
from types import FunctionType, MappingProxyType, ModuleType
from typing import Any, NoReturn, SupportsIndex, TypeVar

F = TypeVar("F", bound="Callable[..., object]")

_WORD = re.compile(r"[A-Za-z_]\w*")


def publish(namespace: dict[str, Any], *foreign: str) -> None:
    """Set ``__all__`` of a package, and the module of the classes and functions there to it.

    Then `help`, tracebacks and pickles show them as they are imported. Call it at the end of an
    ``__init__`` with the package's ``globals()``. Exported is what the package defines, or imports
    from its own modules, which it does under the same name (``X as X``), so that type checkers see
    it too; and `foreign`. Exports of inner packages stay theirs.
    """
    package = namespace["__name__"]

    def is_exported(name: str, thing: object) -> bool:
        if name.startswith("_") or isinstance(thing, ModuleType) or name == "annotations":
            return False
        home = f"{thing.__module__}." if isinstance(thing, type | FunctionType) else f"{package}."
        return home.startswith(f"{package}.")

    found = [name for name, thing in namespace.items() if is_exported(name, thing)]
    namespace["__all__"] = sorted([*found, *foreign])
    for name in found:
        thing = namespace[name]
        module = getattr(thing, "__module__", None) or ""
        is_own = module.startswith(f"{package}.") and "._" in module
        if not is_own or not isinstance(thing, type | FunctionType):
            continue
        thing.__module__ = package
        # Annotations of a class are looked up in its module.
        home = vars(sys.modules[module])
        for annotation in vars(thing).get("__annotations__", {}).values():
            for word in _WORD.findall(annotation if isinstance(annotation, str) else ""):
                if word in home:
                    namespace.setdefault(word, home[word])


def when_asked(
    package: str, **owners: str
) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """Return ``__getattr__``, ``__dir__`` and ``__all__`` of a package that loads names late.

    The names are given with blanks between, by the module of the package that has them; a module
    that is public itself can be asked for as well. Type checkers do not see them: the package
    imports the same names under ``TYPE_CHECKING``, as themselves (``X as X``) if it is public.
    """
    where = {name: module for module, names in owners.items() for name in names.split()}

    def load(name: str) -> Any:
        if name in where:
            value = getattr(importlib.import_module(f"{package}.{where[name]}"), name)
            # From now on it is found without this function.
            setattr(sys.modules[package], name, value)
            return value
        if name in owners and not name.startswith("_"):
            return importlib.import_module(f"{package}.{name}")
        text = f"module {package!r} has no attribute {name!r}"
        raise AttributeError(text, name=name, obj=sys.modules[package])

    def names() -> list[str]:
        public = (module for module in owners if not module.startswith("_"))
        return sorted({*vars(sys.modules[package]), *where, *public})

    return load, names, sorted(where)


def showing(module: str, options: str) -> Callable[[F], F]:
    """Make `help` show ``**options`` as the parameters that a function of a module returns."""

    def decorate(function: F) -> F:
        function.__signature__ = _Shown(function, module, options)  # type: ignore[attr-defined]
        return function

    return decorate


class _Shown(inspect.Signature):
    """The signature of a function, whose last parameters are looked up when it is shown."""

    __slots__ = ("_options", "_own")

    def __init__(self, function: Callable[..., object], *options: str) -> None:
        self._own = inspect.signature(function)
        self._options = options
        super().__init__(return_annotation=self._own.return_annotation)

    @property
    def parameters(self) -> MappingProxyType[str, inspect.Parameter]:
        kept = [each for each in self._own.parameters.values() if each.kind is not each.VAR_KEYWORD]
        module, name = self._options
        options = getattr(importlib.import_module(module), name)()
        more = [each for each in options if each.name not in self._own.parameters]
        return MappingProxyType({each.name: each for each in (*kept, *more)})

    def replace(self, **changes: Any) -> inspect.Signature:  # type: ignore[override]
        """Return a plain signature with changes; `inspect` removes ``self`` in this way."""
        plain = inspect.Signature(
            list(self.parameters.values()), return_annotation=self.return_annotation
        )
        return plain.replace(**changes)


class NotCopied:
    """Refuse to be copied or pickled: connections belong to one process, and secrets to no file."""

    __slots__ = ()

    def __reduce_ex__(self, _: SupportsIndex) -> NoReturn:
        kind = type(self).__name__
        raise TypeError(f"{kind} cannot be copied or pickled; create one where it is needed")
