"""Sentences of the library, which speaks of the options of its functions, in words of a shell."""

import re
from collections.abc import Mapping
from typing import Final

# Nothing that a file is likely to be called: sentences name files, too.
_HINTS: Final[Mapping[str, str]] = {
    'name="relative"': "--name relative",
    'on_clash="rename"': "--on-clash rename",
    'check="structure"': "--check structure",
    'check="decode"': "--check decode",
    'symlinks="follow"': "--symlinks follow",
    "allow_private_links=True": "--allow-private-links",
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
