"""Every error becomes one sentence and an exit status, in one place."""

import os
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import attrs

from datagym_async._extras import missing_extra
from datagym_async.cli._words import hint_in_shell_words
from datagym_async.exceptions import (
    AuthenticationError,
    DataGymError,
    PermissionDeniedError,
    TransferError,
)

WELL = 0
SOME_FAILED = 1
STOPPED = 2
INTERRUPTED = 130

# What the errors of the client say is meant for code; these two are put in the words of a shell.
_REFUSED: Final[Mapping[type[DataGymError], str]] = {
    AuthenticationError: "No token reached the service at the address given; set DATAGYM_TOKEN, or "
    "name a file that holds the token with --token-file.",
    PermissionDeniedError: "The service refused the token, or the object belongs to another "
    "organisation (it gives one answer for both); check DATAGYM_TOKEN or --token-file, and "
    "--base-url.",
}


@attrs.define(init=False)
class CommandError(Exception):
    """A command stops with a sentence that its user can act on."""

    sentence: str
    status: int

    def __init__(self, sentence: str, *, status: int = STOPPED) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.status = status


def sentence_of(error: BaseException) -> str:
    """Return what is to be said of an error: what happened, and the way out."""
    if isinstance(error, CommandError):
        return error.sentence
    if isinstance(error, DataGymError):
        return _REFUSED.get(type(error)) or _full_stop(hint_in_shell_words(str(error)))
    if isinstance(error, ModuleNotFoundError) and (sentence := missing_extra(error)):
        return sentence
    if isinstance(error, OSError) and error.strerror:
        return _about_file(error)
    kind = type(error).__name__
    return f"Something unexpected went wrong ({kind}: {error}); add --debug to see where."


def status_of(error: BaseException) -> int:
    """Return the exit status for an error that stopped a command."""
    if isinstance(error, CommandError):
        return error.status
    report = error.report if isinstance(error, TransferError) else None
    done = getattr(report, "uploaded", 0) or getattr(report, "downloaded", 0)
    return SOME_FAILED if done else STOPPED


def trace_of(error: BaseException) -> str:
    """Return the traceback, for people who debug."""
    return "".join(traceback.format_exception(error))


def _about_file(error: OSError) -> str:
    name = error.filename
    if not isinstance(name, str | bytes):
        return f"{error.strerror}."
    path = Path(os.fsdecode(name))
    if path.suffix == ".part":  # files are written beside their place, and then renamed
        return f"The folder {path.parent} cannot be written to ({error.strerror}); give another."
    return f"{path} cannot be used ({error.strerror}); give another path."


def _full_stop(text: str) -> str:
    text = text.rstrip()
    return text if text.endswith((".", "!", "?")) else f"{text}."
