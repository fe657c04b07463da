"""Loggers whose records foreign text cannot forge or colour.

Every module that logs takes its logger from here. The arguments of a message are made printable
before any handler sees them, so that a name with a line break stays within its record. The lines of
a traceback are indented, unlike the first line of a record.
"""

from __future__ import annotations

import logging
import traceback

from datagym_async._printable import printable


def logger(name: str) -> logging.Logger:
    """Return the logger of a ``__name__``; write ``%s`` in its texts, as ``%r`` escapes twice."""
    found = logging.getLogger(name)
    found.addFilter(_with_printable_texts)
    return found


def _with_printable_texts(record: logging.LogRecord) -> bool:
    if isinstance(record.args, tuple):
        record.args = tuple(map(_shown, record.args))
    if record.exc_info and record.exc_info[1] and not record.exc_text:
        # A formatter takes this text instead of making its own.
        record.exc_text = indented_trace(record.exc_info[1])
    return True


def indented_trace(error: BaseException) -> str:
    text = "".join(traceback.format_exception(error)).rstrip("\n")
    return "\n".join(f"  {printable(line)}" for line in text.split("\n"))


def _shown(value: object) -> object:
    return value if isinstance(value, int | float) else printable(str(value))
