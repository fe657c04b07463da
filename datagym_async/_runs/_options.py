"""Options that jobs have in common: what a value may be, and the limits at which a run ends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs

from datagym_async._logs import logger
from datagym_async._threads import is_coroutine_function
from datagym_async.exceptions import ConfigurationError

_log = logger(__name__)


def within(least: int, most: int) -> Any:  # attrs' own type of a validator is not generic enough
    """Return a validator of numbers from one to another; None is fine where it is the default."""

    def check(_: object, attribute: attrs.Attribute[Any], value: Any) -> None:
        if value is None and attribute.default is None:
            return
        is_number = hasattr(value, "__index__")
        if not is_number or not least <= value <= most:
            kind = "" if is_number else "a whole number "
            raise ConfigurationError(
                f"{attribute.name} is {value!r}; it must be {kind}from {least} to {most}."
            )

    return check


def one_of(*words: str | None) -> Any:
    """Return a validator of words, and of tuples of them."""

    def check(_: object, attribute: attrs.Attribute[Any], value: str | tuple[str, ...]) -> None:
        for each in value if isinstance(value, tuple) else (value,):
            if each not in words:
                known = ", ".join(map(repr, words))
                raise ConfigurationError(
                    f"{attribute.name} is {each!r}; it must be one of {known}."
                )

    return check


def above_zero(_: object, attribute: attrs.Attribute[Any], value: Any) -> None:
    """Refuse a limit that no run could keep."""
    if value is not None and (not hasattr(value, "__float__") or not value > 0):
        raise ConfigurationError(
            f"{attribute.name} is {value!r}; it must be a number above 0, or None for no limit."
        )


def flags(_: type, fields: list[attrs.Attribute[Any]]) -> list[attrs.Attribute[Any]]:
    """Have a class check its options that are True or False: as a text, "false" would be true."""
    return [each.evolve(validator=_flag) if str(each.type) == "bool" else each for each in fields]


def _flag(_: object, attribute: attrs.Attribute[Any], value: Any) -> None:
    if value is None or not hasattr(value, "__bool__"):
        raise ConfigurationError(f"{attribute.name} is {value!r}; it must be True or False.")


@attrs.frozen(kw_only=True)
class Stops:
    """The limits at which a run ends of its own accord, as it was asked to.

    Reaching one is no error: what is in flight ends in its own way, the report says which limit it
    was, and the same job again resumes. The options are those of `UploadConfig`.
    """

    max_files: int | None = attrs.field(default=None, validator=above_zero)
    max_bytes_total: int | None = attrs.field(default=None, validator=above_zero)
    max_failures: int | None = attrs.field(default=None, validator=above_zero)
    max_duration: float | None = attrs.field(default=None, validator=above_zero)
    verb: str = "sent"  # what is done with the images, for the words of a reason

    @property
    def is_set(self) -> bool:
        """Return whether there is any limit."""
        limits = (self.max_files, self.max_bytes_total, self.max_failures, self.max_duration)
        return any(each is not None for each in limits)

    def reason(self, *, begun: int, begun_bytes: int, failed: int, seconds: float) -> str:
        """Return why nothing new is begun, in words, or empty; `seconds` have passed."""
        if self.max_files is not None and begun >= self.max_files:
            return f"max_files: {begun:,} were {self.verb}"
        if self.max_bytes_total is not None and begun_bytes >= self.max_bytes_total:
            return f"max_bytes_total: {begun_bytes:,} bytes were {self.verb}"
        if self.max_failures is not None and failed >= self.max_failures:
            return f"max_failures: {failed:,} failed"
        if self.max_duration is not None and seconds >= self.max_duration:
            return f"max_duration: {self.max_duration:,g} s have passed"
        return ""


def check_on_event(_: object, __: object, value: Any) -> None:
    """Refuse what cannot be called with an event on the event loop."""
    if value is None:
        return
    if not callable(value):
        raise ConfigurationError(f"on_event is {value!r}; it must be a function of one event.")
    if is_coroutine_function(value):
        raise ConfigurationError(
            "on_event is a coroutine function; it must be a plain one that returns at once."
        )


class Listener:
    """Hand events to a callable of the user's, whose errors do not touch the run.

    Args:
        on_event: The callable, or None where nobody listens.
        job: What goes on, for the log: ``"upload"``.
        option: The name that the callable was passed by.

    Attributes:
        is_wanted: Whether anybody listens.
    """

    def __init__(
        self, on_event: Callable[[Any], object] | None, job: str, option: str = "on_event"
    ) -> None:
        self._names = option, job
        self.is_wanted = on_event is not None
        self._on_event = on_event
        self._has_failed = False

    def tell(self, event: object) -> None:
        """Call the callable; its first error is logged."""
        if self._on_event is None:
            return
        try:
            self._on_event(event)
        except Exception:
            if not self._has_failed:
                self._has_failed = True
                _log.exception("%s failed, and the %s goes on; this is logged once", *self._names)
