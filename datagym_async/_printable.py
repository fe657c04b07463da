r"""Texts for people: foreign text in them and in logs, counts, values that show themselves.

**Foreign text**, one rule for all modules. Names of files, datasets and tasks, and texts of the
service and of files can contain anything: escape sequences that control a terminal, marks that
change the direction of a line, line breaks that forge a line of a log. **A character that is not
printable (`str.isprintable`) is shown as its backslash escape**, ``\x1b`` or ``\u202e``, in
messages of errors, on the screen and in logs. Values keep the original text, and JSON escapes it in
its own way (`printable_json`).

Escaping twice changes nothing, because escapes are printable. The command line prints with rich's
markup turned off.

**Loggers** are made here for every module that logs (`logger`). The arguments of a message are made
printable before any handler sees them, so that a name with a line break stays within its record.
The lines of a traceback are indented, unlike the first line of a record.

**Values that show themselves** (`Shown`) do so as a sentence when they are printed, and in a
notebook. `look`, which draws them, is a higher layer, so it is loaded by its name when a notebook
asks. If it cannot draw, the notebook shows the ``repr``.
"""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Callable, Iterable
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import logging


def printable(text: str) -> str:
    r"""Return a text as one line that controls nothing; undecoded bytes show as ``\xe9``."""
    return _escaped(text, _backslash_escape)


_ERRNO = re.compile(r"\[(?:Errno|WinError) -?\d+\] ")  # as Python begins the text of an OSError


def words_of(error: BaseException) -> str:
    """Return the text of an error of foreign code; its kind if it has none, or cannot tell it."""
    try:
        text = str(error)
    except Exception:
        text = ""
    return printable(_ERRNO.sub("", text) or type(error).__name__)


def quoted(text: str) -> str:
    """Return a text in quotes, for a sentence; it is escaped once, unlike its repr."""
    mark = '"' if "'" in text and '"' not in text else "'"
    return f"{mark}{printable(text)}{mark}"


def for_shell(word: str) -> str:
    """Return one word of a command that is pasted into a shell of this system.

    On Windows, cmd and PowerShell have double quotes in common, and take a word that needs none as
    a program, too. Backslashes before a double quote count double there.
    """
    if sys.platform == "win32":
        doubled = re.sub(r'(?<!\\)(\\++)(?="|\Z)', r"\1\1", word).replace('"', '\\"')
        return word if _BARE.fullmatch(word) else f'"{doubled}"'
    return shlex.quote(word)


_BARE = re.compile(r"[\w.:/\\+=-]+")


def without_secrets(url: str) -> str:
    """Return a URL without its query, which may have a signature, and without user and password."""
    without_query = re.split(r"[?#]", url, maxsplit=1)[0]
    scheme, mark, rest = without_query.partition("//")
    # A password may contain a slash, which ends the host.
    return f"{scheme}{mark}…@{rest.rpartition('@')[2]}" if "@" in rest else without_query


def printable_json(document: str) -> str:
    """Return an equivalent JSON document that controls nothing when it is printed."""
    return "\n".join(_escaped(line, _json_escape) for line in document.split("\n"))


def ascii_json(document: str) -> str:
    """Return an equivalent JSON document in ASCII, which every stream can encode."""
    return "".join(one if one.isascii() else _json_escape(one) for one in document)


def _escaped(text: str, escape: Callable[[str], str]) -> str:
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else escape(one) for one in text)


def _backslash_escape(one: str) -> str:
    if "\udc80" <= one <= "\udcff":  # PEP 383: a byte that is not UTF-8
        return f"\\x{ord(one) - 0xDC00:02x}"
    return one.encode("unicode_escape").decode("ascii")


def _json_escape(one: str) -> str:
    units = one.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))


_DRAWS = "datagym_async.look._notebook"


def counted(count: int, one: str, many: str = "") -> str:
    """Return a number with its word, for example ``"1 retry"`` or ``"1,200 files"``."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def tally(one: str, counts: Iterable[tuple[str, int]], total: int) -> str:
    """Return a total and its parts that are not 0: ``"3 tasks: 2 completed, 1 failed."``."""
    parts = ", ".join(f"{count:,} {word}" for word, count in counts if count)
    return f"{counted(total, one)}: {parts or 'none'}."


def told(outcome: str, name: str, *reasons: str) -> str:
    """Return the outcome of one item: ``"failed: a.jpg: The name is taken."``."""
    return printable(": ".join(filter(None, (outcome, name, " ".join(reasons)))))


class Shown:
    """A value that a notebook shows as a picture or a table, bounded in size."""

    __slots__ = ()

    def _repr_html_(self) -> str | None:
        drawn: Any = import_module(_DRAWS)
        found: str | None = drawn.html_of(self)
        return found

    def _repr_png_(self) -> bytes | None:
        drawn: Any = import_module(_DRAWS)
        found: bytes | None = drawn.png_of(self)
        return found


def logger(name: str) -> logging.Logger:
    """Return the logger of a ``__name__``; write ``%s`` in its texts, as ``%r`` escapes twice."""
    import logging  # here, because a start that logs nothing is short

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
    import traceback

    text = "".join(traceback.format_exception(error)).rstrip("\n")
    return "\n".join(f"  {printable(line)}" for line in text.split("\n"))


def _shown(value: object) -> object:
    return value if isinstance(value, int | float) else printable(str(value))
