"""Checks of arguments; the error names the argument and the rule.

Most annotations say what an argument may be. `checked` makes a function, or the public methods of a
class, check that in every call; `by_annotation` makes a class of options check its fields.
"""

from __future__ import annotations

import operator
import os
import re
import sys
from collections.abc import AsyncIterable, Callable, Iterable, Mapping, Sequence
from functools import wraps
from inspect import iscoroutinefunction
from math import isfinite
from numbers import Real
from pathlib import Path
from types import FunctionType, NoneType
from typing import (
    TYPE_CHECKING,
    Any,
    Final,
    Literal,
    NamedTuple,
    SupportsIndex,
    TypeVar,
    cast,
    get_args,
    get_origin,
)

from datagym_async._printable import printable
from datagym_async.exceptions import ConfigurationError

if TYPE_CHECKING:
    import attrs

T = TypeVar("T", bound=Callable[..., object])
V = TypeVar("V")

_LONGEST = 80  # characters of a value that an error shows
# Python writes no number of more than 4,300 digits, so it could be in no text, file or message.
_LARGEST: Final = 10**100
MAX_NAME: Final = 255  # bytes of a file's name in UTF-8, as most file systems bound them
_PATH_END: Final = 4096  # bytes of the longest path of Linux, with a NUL at its end


class Kind(NamedTuple):
    """A kind of argument: its description, and whether a value is one."""

    words: str
    fits: Callable[[object], bool]
    usual: frozenset[type] = frozenset()
    """Classes of which all values fit, so that they need no closer look."""


def is_whole(value: object, least: float = -_LARGEST, most: float = _LARGEST) -> bool:
    """Return whether a value is a whole number within bounds; numbers of numpy are."""
    if type(value) is int:  # at once: calls for each image of a loader ask this
        return least <= value <= most
    # An array has the method as well; of one number, it could not be a key.
    if isinstance(value, bool) or not isinstance(value, SupportsIndex) or hasattr(value, "__len__"):
        return False
    try:
        return least <= operator.index(value) <= most
    except TypeError:  # a class of numbers
        return False


def is_number(value: object, least: float = float("-inf")) -> bool:
    """Return whether a value is a number, not NaN and not below a bound."""
    if isinstance(value, bool) or not isinstance(value, Real):
        return False
    try:
        return float(value) >= least
    except OverflowError:
        return False


def _is_flag(value: object) -> bool:
    if isinstance(value, int):
        return value in (0, 1)
    # The text "false" would be true; an array is both.
    return hasattr(type(value), "__bool__") and value is not None and not hasattr(value, "__len__")


def _is_path(value: object) -> bool:
    try:
        path = os.fspath(value) if isinstance(value, str | os.PathLike) else b""
        if not isinstance(path, str) or b"\0" in (os.fsencode(path) or b"\0"):
            return False
    except (TypeError, UnicodeEncodeError):  # the first one is of a class that is no path after all
        return False
    longest = max(map(_size, Path(path).parts), default=0)
    return longest <= MAX_NAME and _size(path) < _PATH_END


def _size(path: str) -> int:
    # Other systems count characters.
    return len(os.fsencode(path) if sys.platform == "linux" else path)


def above_zero_in(text: str, digits: int = 18) -> int:
    """Return the whole number above 0 that a text is; 0 if it is none, or has more digits.

    Python reads no number of more than 4,300 digits, leading zeros included.
    """
    found = re.fullmatch(rf"0*([1-9]\d{{0,{digits - 1}}})", text, re.ASCII)
    return int(found[1]) if found else 0


def is_coroutine_function(function: object) -> bool:
    """Return whether a call of a function, or of an object like one, has to be awaited."""
    return any(map(iscoroutinefunction, (function, type(function).__call__)))


def _is_function(value: object) -> bool:
    return callable(value) and not is_coroutine_function(value)


def _is_several(value: object) -> bool:
    if isinstance(value, str | bytes):
        return False
    try:
        iter(cast("Iterable[object]", value))
    except TypeError:  # also of an array of numpy that holds one number
        return False
    return True


def _of(kind: type, words: str) -> Kind:
    return Kind(words, lambda value: isinstance(value, kind), frozenset({kind}))


def _is_finite(value: Any) -> bool:
    return is_number(value) and isfinite(value)


FLAG: Final = Kind("True or False", _is_flag, frozenset({bool}))
WHOLE: Final = Kind("a whole number", is_whole)
TEXT: Final = _of(str, "a text")
SEVERAL: Final = Kind("a list", _is_several)
ABOVE_ZERO: Final = Kind(
    "a number above 0, not infinite", lambda value: _is_finite(value) and cast("float", value) > 0
)
PATH: Final = Kind(
    f"a path, not empty, without NUL characters, and with names of at most {MAX_NAME} bytes",
    _is_path,
)
FUNCTION: Final = Kind("a plain (not a coroutine) function", _is_function)

_KINDS: Final[Mapping[str, Kind]] = {
    "None": _of(NoneType, "None"),
    "bool": FLAG,
    "int": WHOLE,
    "float": Kind("a number, not infinite", _is_finite),
    "str": TEXT,
    "bytes": _of(bytes, "bytes"),
    "Path": PATH,
    "os.PathLike": PATH,
    "Callable": FUNCTION,
    "Mapping": _of(Mapping, "a mapping"),
    **dict.fromkeys(("Iterable", "Sequence", "Collection", "list", "tuple"), SEVERAL),
    "AsyncIterable": _of(AsyncIterable, "an async iterable"),
}


def check(kind: Kind, **given: object) -> None:
    """Raise `ConfigurationError` for the first of the arguments that is not of a kind."""
    for name, value in given.items():
        if not kind.fits(value):
            raise ConfigurationError(f"{name} is {shown(value)}; it must be {kind.words}.")


def check_is(what: str, value: object, *kinds: type) -> None:
    """Raise `ConfigurationError` for a value of none of the classes."""
    if not isinstance(value, kinds):
        named = _either([kind.__name__ for kind in kinds if kind is not NoneType])
        raise ConfigurationError(f"{what} is {shown(value)}; it must be of the type {named}.")


def _either(words: Sequence[str]) -> str:
    *before, last = words
    return f"{', '.join(before)} or {last}" if before else last


def check_one_or_more(what: str, value: object) -> None:
    """Raise `ConfigurationError` for anything but a whole number above 0."""
    if not is_whole(value, 1):
        kind = "" if is_whole(value) else "a whole number, "
        raise ConfigurationError(f"{what} is {shown(value)}; it must be {kind}1 or more")


def check_word(what: str, value: object, *words: str | None) -> None:
    """Raise `ConfigurationError` for anything but one of the words."""
    if not isinstance(value, str | None) or value not in words:
        known = ", ".join(map(repr, words))
        raise ConfigurationError(f"{what} is {shown(value)}; it must be one of {known}.")


def listed(what: str, given: Iterable[V], *kinds: type) -> tuple[V, ...]:
    """Return given values as a tuple, all of the given classes; a text is no list."""
    if type(given) is not tuple:
        check(SEVERAL, **{what: given})
        given = tuple(given)
    # Classes first, which is fast: a file of labels has millions.
    if kinds and not {*map(type, given)} <= {*kinds}:
        for each in given:
            check_is(f"one of the {what}", each, *kinds)
    return given


def pairs_of(what: str, given: Iterable[Iterable[int]]) -> tuple[tuple[int, int], ...]:
    found = []
    for each in listed(what, given):
        pair = listed(f"one of the {what}", each)
        if len(pair) != 2 or not all(map(is_whole, pair)):
            rule = "it must be a pair of whole numbers"
            raise ConfigurationError(f"one of the {what} is {shown(each)}; {rule}.")
        found.append((pair[0], pair[1]))
    return tuple(found)


def shown(value: object) -> str:
    """Return the beginning of a value's repr, for an error."""
    try:
        text = printable(repr(value))
    except Exception:  # raised by a caller's class, or by a number with too many digits
        is_number = isinstance(value, int)
        text = "a number too large to show" if is_number else f"of the type {type(value).__name__}"
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


# --- By annotations -------------------------------------------------------------------------------


def checked(thing: T) -> T:
    """Make a function, or the public methods of a class, check their arguments.

    Annotations of built-in types, paths, functions, collections, and classes that the module has
    loaded are checked; others need a rule of their own. A method that is `of_each_file` is not.
    """
    if isinstance(thing, FunctionType):
        return cast("T", _checking(thing))
    for name, each in [*vars(thing).items()]:
        if name.startswith("_"):
            continue
        if isinstance(each, FunctionType) and each not in _OF_EACH_FILE:
            setattr(thing, name, _checking(each))
        elif isinstance(each, classmethod):
            setattr(thing, name, classmethod(_checking(each.__func__)))
    return thing


_OF_EACH_FILE: set[object] = set()


def of_each_file(method: T) -> T:
    """Make `checked` leave out a method that our jobs call for each of millions of files."""
    _OF_EACH_FILE.add(method)
    return method


def _checking(function: Any) -> Any:
    names = function.__code__.co_varnames[: function.__code__.co_argcount]
    kinds: dict[str, Kind] | None = None

    def look(args: tuple[object, ...], named: dict[str, object]) -> None:
        nonlocal kinds
        if kinds is None:  # at the first call, when all modules are loaded
            kinds = {}
            for name, annotation in function.__annotations__.items():
                if kind := _kind_of(str(annotation), function.__globals__):
                    kinds[name] = kind
        for name, value in (*zip(names, args, strict=False), *named.items()):
            kind = kinds.get(name)
            if kind and type(value) not in kind.usual and not kind.fits(value):
                check(kind, **{name: value})

    if iscoroutinefunction(function):

        @wraps(function)
        async def awaited(*args: Any, **named: Any) -> Any:
            look(args, named)
            return await function(*args, **named)

        return awaited

    @wraps(function)
    def called(*args: Any, **named: Any) -> Any:
        look(args, named)
        return function(*args, **named)

    return called


_USUAL: Final = frozenset({int, float, str, NoneType})


def by_annotation(cls: type, fields: list[attrs.Attribute[Any]]) -> list[attrs.Attribute[Any]]:
    """Make a class check its fields as `checked` does, unless they have a rule of their own.

    Numbers of other libraries become Python's: those of numpy overflow, and are no JSON.
    """
    here = vars(sys.modules[cls.__module__])

    def with_rule(field: attrs.Attribute[Any]) -> attrs.Attribute[Any]:
        if field.converter is not None:
            return field
        if re.search(r"\b(int|float)\b", str(here.get(str(field.type), field.type))):

            def plainly(value: Any) -> Any:
                return value if type(value) in _USUAL else plain(value)  # of each class in a file

            plainly.__annotations__["value"] = field.type  # what signatures show
            field = field.evolve(converter=plainly)
        kind = _kind_of(str(field.type), here)
        if kind is None or field.validator is not None:
            return field
        return field.evolve(validator=lambda _, own, value: check(kind, **{own.name: value}))

    return [with_rule(field) for field in fields]


def plain(value: object) -> Any:
    """Return a number as one of Python's, and anything else as it is."""
    if is_whole(value):
        return operator.index(cast("SupportsIndex", value))
    return float(cast("float", value)) if is_number(value) else value


_BRACKETS: Final = re.compile(r"\[[^\[\]]*\]")


def _kind_of(annotation: str, here: Mapping[str, Any]) -> Kind | None:
    """Return the kind of an annotation, or None if it contains another name."""
    if "Awaitable" in annotation:  # coroutine functions are fine
        return None
    while annotation != (bare := _BRACKETS.sub("", annotation)):
        annotation = bare
    kinds = dict.fromkeys(_kind_by_name(each, here) for each in annotation.split(" | "))
    if PATH in kinds:
        kinds.pop(TEXT, None)
    known = [kind for kind in kinds if kind is not None]
    if len(known) < len(kinds):
        return None
    words = _either([kind.words for kind in known])
    usual = frozenset().union(*(kind.usual for kind in known))
    if len(known) == 1:
        return Kind(words, known[0].fits, usual)
    return Kind(words, lambda value: any(kind.fits(value) for kind in known), usual)


def _kind_by_name(name: str, here: Mapping[str, Any]) -> Kind | None:
    kind = _KINDS.get(name) or here.get(name)
    if get_origin(kind) is Literal and all(isinstance(word, str) for word in get_args(kind)):
        return TEXT  # which one, is a rule of its own
    if kind is not Any and isinstance(kind, type) and not getattr(kind, "_is_protocol", False):
        return _of(kind, f"of the type {kind.__name__}")
    return kind if isinstance(kind, Kind) else None


# --- Rules of single fields -----------------------------------------------------------------------


def to_tuple(value: object) -> tuple[Any, ...]:
    """Convert what a field of several values is given: one, a collection of them, or None."""
    if value is None:
        return ()
    # If it is not a collection, its validator says so.
    return tuple(cast("Iterable[Any]", value)) if SEVERAL.fits(value) else (value,)


def one_of(*words: str | None) -> Any:  # attrs' own type of a validator is not generic enough
    """Return a validator of words; a field whose default is a tuple may have several."""

    def rule(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
        for each in value if isinstance(value, tuple) and attribute.default == () else (value,):
            check_word(attribute.name, each, *words)

    return rule


def within(least: int, most: int, *, or_none: bool = False) -> Any:
    """Return a validator of numbers in a range; None is allowed with `or_none` or as default."""

    def rule(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
        is_none = value is None and (or_none or attribute.default is None)
        if is_none or is_whole(value, least, most):
            return
        kind = "" if is_whole(value) else "a whole number "
        raise ConfigurationError(
            f"{attribute.name} is {shown(value)}; it must be {kind}from {least} to {most}."
        )

    return rule


def one_or_more(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    """Refuse anything but a whole number above 0; None is fine where it is the default."""
    if value is not None or attribute.default is not None:
        check_one_or_more(attribute.name, value)


def above_zero(_: object, attribute: attrs.Attribute[Any], value: Any) -> None:
    if value is not None and not (is_number(value) and value > 0):
        raise ConfigurationError(
            f"{attribute.name} is {shown(value)}; it must be a number above 0, or None for no "
            "limit."
        )
