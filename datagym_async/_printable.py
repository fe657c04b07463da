r"""Foreign text in texts for people: one rule, for every floor.

Names of files, datasets and tasks, the service's words and texts out of files hold whatever
somebody put there: escape sequences that steer a terminal, overrides that turn a line's direction,
line breaks that forge a line of a log. **What Python does not call printable
(`str.isprintable`) is shown as its backslash escape**, ``\x1b`` or ``\u202e``, where such text
enters a text for people: the message of an error, a line or a cell on a screen, a log record.
Values keep the true text, and JSON escapes it in its own way (`printable_json`).

To escape twice changes nothing, since escapes are printable. Texts in brackets and colons are no
markup: the command line prints with rich's markup turned off.
"""

from __future__ import annotations

from collections.abc import Callable


def printable(text: str) -> str:
    r"""Return a text that is one line and steers nothing, whatever it held.

    File systems hold names that are not valid Unicode; their odd bytes show as ``\xe9`` here.
    """
    return _escaped(text, _backslash_escape)


def quoted(text: str) -> str:
    """Return a text in quotes, as a sentence names a thing by it; escaped once, unlike its repr."""
    mark = '"' if "'" in text and '"' not in text else "'"
    return f"{mark}{printable(text)}{mark}"


def printable_json(document: str) -> str:
    """Return a JSON document that says the same and steers nothing where it is printed."""
    return "\n".join(_escaped(line, _json_escape) for line in document.split("\n"))


def ascii_json(document: str) -> str:
    """Return a JSON document that says the same in ASCII, which every stream can hold."""
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
