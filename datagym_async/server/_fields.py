"""The rules that the service puts on fields (bean validation), one function a rule.

Each returns the broken rule as a `Detail`, or nothing; a route collects them and raises
`InvalidFields` once.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Final

from ._errors import Detail, InvalidFields

__all__ = ["WORDS", "length", "not_empty", "not_null", "pattern", "require", "size"]

# What the service prints for "no flags": the address is noise, the same in all recordings.
_NO_FLAGS: Final = "[Ljavax.validation.constraints.Pattern$Flag;@27e58da7"

WORDS: Final = "^[a-zA-Z0-9_ -]*$"


def pattern(name: str, value: str | None, rule: str) -> Iterator[Detail]:
    """Demand that the whole value matches."""
    # A rule is written with ^ and $; fullmatch keeps $ from matching before a final line break.
    if value is not None and re.fullmatch(rule, value) is None:
        yield Detail(name, "ex_pattern", [name, _NO_FLAGS, rule])


def size(name: str, value: str | None, low: int, high: int) -> Iterator[Detail]:
    """Demand a length between the limits, as `@Size` words it."""
    if value is not None and not low <= len(value) <= high:
        yield Detail(name, "ex_size", [name, str(high), str(low)])


def length(name: str, value: str | None, high: int) -> Iterator[Detail]:
    """Demand a length up to a limit, as `@Length` words it."""
    if value is not None and len(value) > high:
        yield Detail(name, "ex_length", [name, str(high), "0"])


def not_null(name: str, value: object) -> Iterator[Detail]:
    """Demand a value."""
    if value is None:
        yield Detail(name, "ex_notnull", [name])


def not_empty(name: str, value: str | None) -> Iterator[Detail]:
    """Demand a value that is not empty."""
    if not value:
        yield Detail(name, "ex_notempty", [name])


def require(*rules: Iterable[Detail]) -> None:
    """Raise `InvalidFields` with everything that the rules found, or return."""
    details = [detail for rule in rules for detail in rule]
    if details:
        raise InvalidFields(details)
