"""The limits at which a run ends of its own accord, as it was asked to: pure.

Reaching one is no error: nothing new is begun, what is in flight ends in its own way, the report
says which limit it was, and the same upload again goes on.
"""

from __future__ import annotations

from typing import Any

import attrs

from datagym_async.exceptions import ConfigurationError


def above_zero(_: object, attribute: attrs.Attribute[Any], value: float | None) -> None:
    """Refuse a limit that no run could keep."""
    if value is not None and not value > 0:
        msg = f"{attribute.name} is {value}; it must be above 0, or None for no limit."
        raise ConfigurationError(msg)


@attrs.frozen(kw_only=True)
class Stops:
    """Say when a run has reached one of its limits.

    Args:
        max_files: Images and links that are sent, whatever becomes of them.
        max_bytes_total: Bytes of the images that are sent: the one that reaches it is the last.
        max_failures: Failed items; the rejected ones do not count.
        max_duration: Seconds from the run's beginning, after which nothing new is begun.
        verb: What is done with the images, for the words of a reason.
    """

    max_files: int | None = attrs.field(default=None, validator=above_zero)
    max_bytes_total: int | None = attrs.field(default=None, validator=above_zero)
    max_failures: int | None = attrs.field(default=None, validator=above_zero)
    max_duration: float | None = attrs.field(default=None, validator=above_zero)
    verb: str = "sent"

    def reason(self, *, begun: int, begun_bytes: int, failed: int, seconds: float) -> str:
        """Return why nothing new is begun, in words, or empty.

        Args:
            begun: Images and links that were sent, or are being sent.
            begun_bytes: Bytes of the images among them.
            failed: Items that failed.
            seconds: Time since the run began.
        """
        if self.max_files is not None and begun >= self.max_files:
            return f"max_files: {begun:,} were {self.verb}"
        if self.max_bytes_total is not None and begun_bytes >= self.max_bytes_total:
            return f"max_bytes_total: {begun_bytes:,} bytes were {self.verb}"
        if self.max_failures is not None and failed >= self.max_failures:
            return f"max_failures: {failed:,} failed"
        if self.max_duration is not None and seconds >= self.max_duration:
            return f"max_duration: {self.max_duration:,g} s have passed"
        return ""
