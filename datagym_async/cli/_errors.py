"""Every error becomes one sentence and an exit status, in one place.

Sentences of the library, which speaks of the options of its functions, in words of a shell.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

import attrs

from datagym_async._extras import missing_extra
from datagym_async.exceptions import (
    AuthenticationError,
    DataGymError,
    PermissionDeniedError,
    TransferError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

# Nothing that a file is likely to be called: sentences name files, too.
_HINTS: Final[Mapping[str, str]] = {
    'name="relative"': "--name relative",
    'on_clash="rename"': "--on-clash rename",
    'check="structure"': "--check structure",
    'check="decode"': "--check decode",
    'symlinks="follow"': "--symlinks follow",
    "allow_private_links=True": "--allow-private-links",
    "allow_private_store=True": "--allow-private-store",
    "check base_url": "check --base-url",
    "and base_url": "and --base-url",
    "base_url '": "--base-url '",
    'labels="coco"': "--labels coco",
    'labels="yolo"': "--labels yolo",
    'links="skip"': "--links skip",
    'links="source"': "--links source",
    'links="service"': "--links service",
    'format="bmp"': "`datagym-async bitmaps --format bmp`",
    "links=...": "--links",
    "project_id=...": "--project",
    "fresh=True (--fresh)": "--fresh",
    "fresh=True": "--fresh",
    "backup=None": "--no-backup",
    "overwrite=True": "--overwrite",
}
# Advice names no files.
_OPTIONS: Final[Mapping[str, str]] = {
    "max_per_dataset=": "--max-per-dataset ",
    "max_per_dataset": "--max-per-dataset",
    "max_upload_rate": "--bwlimit",
    "max_uploads": "--max-concurrency",
    "rate_limit, or None": "--rate, or 0",
    "rate_limit": "--rate",
}


def hint_in_shell_words(sentence: str) -> str:
    """Return a sentence with the options that it hints at as they are called here."""
    return _replaced(sentence, _HINTS)


def advice_in_shell_words(sentence: str) -> str:
    """Return a sentence of advice with the options as they are called here."""
    return _replaced(sentence, _OPTIONS)


def _replaced(text: str, words: Mapping[str, str]) -> str:
    names = "|".join(map(re.escape, words))
    return re.sub(rf"\b(?:{names})", lambda found: words[found[0]], text)


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
    """A command stops with a sentence that its user can act on, and perhaps further lines."""

    sentence: str
    further: tuple[str, ...]
    status: int

    def __init__(self, sentence: str, *further: str, status: int = STOPPED) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.further = further
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
