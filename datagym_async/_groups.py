"""Errors out of exception groups."""

from __future__ import annotations

from typing import overload


@overload
def first_of(error: Exception) -> Exception: ...
@overload
def first_of(error: BaseException) -> BaseException: ...
def first_of(error: BaseException) -> BaseException:
    """Return the first single error of an exception group, however deep; others as they are."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
