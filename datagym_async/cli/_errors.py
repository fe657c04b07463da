"""Turn every error into one sentence and an exit status, in one place.

Sentences of the library name the options of its functions; here they get the flags of the command
line, from the tables of options.
"""

from __future__ import annotations

import errno
import functools
import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from datagym_async._extras import missing_extra
from datagym_async._files import TOO_MANY_OPEN
from datagym_async.exceptions import (
    RAISE_OPEN_FILES,
    AuthenticationError,
    DataGymError,
    PermissionDeniedError,
    TransferError,
)

WELL = 0
SOME_FAILED = 1
STOPPED = 2
INTERRUPTED = 130

# Options that are not in the tables: the address, and those of other commands.
_OTHERS: Final[Mapping[str, str]] = {
    "check base_url": "check --base-url",
    "set base_url": "set --base-url",
    "base_url is": "--base-url is",
    "Timeout connect is": "--timeout is",
    "above 0, or None for no limit": "above 0",
    "name one of them yourself with UploadItem(name, path)": "with --on-clash rename",
    "base_url '": "--base-url '",
    'give proxy=""': "give --no-proxy",
    "that `UploadReport.to_json` wrote": "that `datagym-async upload --report FILE.json` wrote",
    "write it with `client.values.write`": "a program can write it (`client.values.write`)",
    "set it with `client.values.write`": "a program can set it (`client.values.write`)",
    "set the others with `client.values.write`": "a program can set the others "
    "(`client.values.write`)",
    "max_bytes=... sets the limit": "that is more than this program takes",
    "Timeout(read_rate=...) sets the limit": "try again on another line",
    "proxy '": "--proxy '",
    "ca_file ": "--ca-file ",
    'format="bmp"': "`datagym-async bitmaps --format bmp`",
    "backup=None": "--no-backup",
    "overwrite=True": "--overwrite",
    "clip=True": "--clip",
    "rescale=True": "--rescale",
    "create_config=True": "--create-config",
    "give a file of classes, or create_config=False": "give no --create-config",
    "images_from=...": "--images-from",
    "format=...": "--format",
    'images="download"': "--images download",
    'images=..., "link", "copy" or "download"': "--images link, copy or download",
    "images=...": "--images",
    "exact=False": "--no-exact",
    "search='": "--search '",
    "give the option skip_signature=true": "add --store-option skip_signature=true",
}
# What the errors of the client say is meant for code; these two are put in the words of a shell.
_REFUSED: Final[Mapping[type[DataGymError], str]] = {
    AuthenticationError: "No token reached the service at the address given; set DATAGYM_TOKEN, or "
    "name a file that contains the token with --token-file. If a gateway removes the header, "
    "add --auth parameter.",
    PermissionDeniedError: "The service refused the token, or the object belongs to another "
    "organisation (it gives one answer for both); check DATAGYM_TOKEN or --token-file, and "
    "--base-url.",
}


class CommandError(Exception):
    """Stops a command with a sentence that says what to do, and perhaps further lines."""

    def __init__(self, sentence: str, *further: str, status: int = STOPPED) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.further = further
        self.status = status


def sentence_of(error: BaseException) -> str:
    """Return the message for an error: what happened, and what to do."""
    if isinstance(error, CommandError):
        return error.sentence
    if isinstance(error, DataGymError):
        said = hint_in_shell_words(str(error)).rstrip()
        said = said if said.endswith((".", "!", "?")) else f"{said}."
        if (refused := _REFUSED.get(type(error))) is None:
            return said
        page = said.find("A web page answered")
        return refused if page < 0 else f"{refused} {said[page:]}"
    if isinstance(error, ModuleNotFoundError) and (sentence := missing_extra(error)):
        return sentence
    if isinstance(error, OSError) and error.errno in TOO_MANY_OPEN:
        return f"{error.strerror}; {RAISE_OPEN_FILES}."
    if isinstance(error, MemoryError | BlockingIOError) or "start new thread" in str(error):
        return (
            "Too little memory, or too many threads, for the limits of this shell or container; "
            "raise them, or do less at once."
        )
    if isinstance(error, OSError) and error.strerror:
        name = error.filename
        if not isinstance(name, str | bytes):
            is_gone = error.strerror == os.strerror(errno.ENOENT)  # of `os.getcwd`
            return f"{'The current folder was deleted' if is_gone else error.strerror}."
        path = Path(os.fsdecode(name))
        if path.suffix == ".part":  # files are written under a temporary name, and then renamed
            return (
                f"The folder {path.parent} cannot be written to ({error.strerror}); choose another."
            )
        return f"{path} cannot be used ({error.strerror}); choose another path."
    if isinstance(error, UnicodeEncodeError) and sys.getfilesystemencoding() != "utf-8":
        return (
            f"The locale of this system has no bytes for a name ({error.encoding}); set the "
            "variable PYTHONUTF8 to 1."
        )
    kind = type(error).__name__
    return f"Unexpected error ({kind}: {error}); add --debug for details."


def status_of(error: BaseException) -> int:
    if isinstance(error, CommandError):
        return error.status
    has_begun = isinstance(error, TransferError) and error.report is not None
    return SOME_FAILED if has_begun else STOPPED


def hint_in_shell_words(sentence: str) -> str:
    """Return a sentence with its hints at options replaced by flags.

    A hint is written as an argument (``name="relative"``, ``fresh=True``), begins a message about
    a wrong value (``labels is 'x'; it must be ...``), or names a limit at which a run stopped;
    other words may be names of files.
    """
    flags, pattern = _hints()

    def said(found: re.Match[str]) -> str:
        if (other := _OTHERS.get(found[0])) is not None:
            return other
        if (alone := found["wrong"] or found["limit"]) is not None:
            return flags[alone]
        value = found["value"]
        return f"{flags[found['name']]} {value}" if value else flags[found["name"]]

    return pattern.sub(said, sentence)


def advice_in_shell_words(sentence: str) -> str:
    """Return a sentence of advice, which never names files, with flags for options."""
    flags, _ = _hints()
    sentence = sentence.replace("rate_limit, or None", f"{flags['rate_limit']}, or 0")
    # A name without an underscore may be an English word.
    names = "|".join(sorted((each for each in flags if "_" in each), key=len, reverse=True))

    def said(found: re.Match[str]) -> str:
        return flags[found["name"]] + (" " if found["is"] else "")

    return re.sub(rf"\b(?P<name>{names})(?:(?P<is>=)|(?!\w))", said, sentence)


def in_shell_words(value: Any, name: str = "") -> Any:
    """Return a JSON value with flags for options in its sentences."""
    if isinstance(value, dict):
        return {key: in_shell_words(each, key) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [in_shell_words(each, name) for each in value]
    if not isinstance(value, str) or name not in _SENTENCES:
        return value
    return advice_in_shell_words(value) if name == "advice" else hint_in_shell_words(value)


_SENTENCES: Final = frozenset(
    ("advice", "left_out", "notes", "reason", "reasons", "summary", "text", "warnings")
)
"""Members of our JSON documents that are said to people."""


@functools.cache
def _hints() -> tuple[Mapping[str, str], re.Pattern[str]]:
    """Return the flags by their names in the library, and the pattern of an argument."""
    from datagym_async.cli._job_options import DOWNLOAD, UPLOAD  # which import from here

    flags = {row.library_name: row.flags[0] for row in (*DOWNLOAD.rows, *UPLOAD.rows)}
    names = "|".join(flags)
    argument = rf'(?P<name>{names})=(?:"(?P<value>[\w+]+)"|True(?: \(--\w+\))?|\.\.\.)'
    said = " is .*; (?:it must be|give) | (?:is the template|has no effect) "
    said += "| holds .*; (?:a pattern|its steps) "
    wrong = rf"^(?P<wrong>{names})(?={said})"
    limit = rf"(?<=It stopped at )(?P<limit>{names})(?=: )"
    others = "|".join(map(re.escape, _OTHERS))
    return flags, re.compile(rf"\b(?:{others}|{argument}|{wrong}|{limit})", re.DOTALL)
