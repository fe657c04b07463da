"""The token of every test: a word that must never be seen where a token does not belong."""

from __future__ import annotations

import logging

TOKEN = "sentinel-7c0f1d2e9b8a4356"


class SentinelHandler(logging.Handler):
    """Watch all log records, exceptions and their causes included, for the sentinel token."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.leaks: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if TOKEN in self.format(record):
            self.leaks.append(f"{record.name}:{record.lineno} logged the token: {record.msg!r}")


def contains_sentinel(error: BaseException) -> bool:
    """Return whether the token stands in an exception, its causes, contexts or groups."""
    seen: set[int] = set()
    stack: list[BaseException | None] = [error]
    while stack:
        found = stack.pop()
        if found is None or id(found) in seen:
            continue
        seen.add(id(found))
        if TOKEN in f"{found!s} {found!r} {vars(found)!r}":
            return True
        stack += [found.__cause__, found.__context__]
        stack += found.exceptions if isinstance(found, BaseExceptionGroup) else ()
    return False
