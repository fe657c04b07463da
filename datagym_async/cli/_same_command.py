"""The command that goes on with a job, from what its journal keeps: pure functions."""

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from datagym_async.transfer import JobSummary, jobs_folder

SHOWN: Final = 20
"""Sources of a command that is for eyes; the one for programs has all that are known."""

_MORE: Final = re.compile(r"and [\d,]+ more")
_WITH_VALUE: Final[Mapping[str, str]] = {
    "attach_to": "--project",
    "max_per_dataset": "--max-per-dataset",
    "include": "--include",
    "exclude": "--exclude",
    "symlinks": "--symlinks",
    "name": "--name",
    "name_separator": "--name-separator",
    "on_clash": "--on-clash",
    "check": "--check",
    "max_bytes": "--max-bytes",
    "verify": "--verify",
    "concurrency": "--concurrency",
    "identity": "--identity",
}
_PLAIN: Final[Mapping[str, str]] = {
    "skip_existing": "--no-skip",
    "include_hidden": "--hidden",
    "check_links": "--check-links",
    "allow_private_links": "--allow-private-links",
    "remove_doubles": "--remove-doubles",
    "watch": "--watch",
}


def command_of(job: JobSummary, *, most: int | None = None) -> str | None:
    """Return the command that goes on with a job; None if only the program that began it can.

    Sources that are left out have dots in their place.

    Args:
        job: The job.
        most: How many sources to name at most; None for all that the journal keeps.
    """
    sources = _sources(job, most)
    if sources is None:
        return None
    words = ["datagym-async", "upload", *sources, "--dataset", shlex.quote(job.dataset_id)]
    if job.base_url:
        words += ["--base-url", shlex.quote(job.base_url)]
    words += map(shlex.quote, _option_words(job.options))
    if job.path.parent != jobs_folder():
        words += ["--journal", shlex.quote(str(job.path))]
    return " ".join(words)


def how_to_go_on(job: JobSummary) -> str:
    """Return the command for somebody to read, or what there is in place of it."""
    if (command := command_of(job, most=SHOWN)) is None:
        return "the program that began it: its sources or options are none of a command"
    known = len(job.words or ())
    if job.count > known > 0:
        return f"{command}  (all {job.count:,} sources; the journal keeps the first {known:,})"
    if known > SHOWN:
        return f"{command}  (and {known - SHOWN:,} more sources, which --json names)"
    return command


def _sources(job: JobSummary, most: int | None) -> list[str] | None:
    if not job.count:  # an older journal
        named = job.sources.split(", ")
        left_out = bool(_MORE.fullmatch(named[-1]))
        return [*_quoted(named[:-1] if left_out else named), *["..."] * left_out]
    if job.words is None:
        return None
    named = list(job.words[:most])
    return [*_quoted(named), *["..."] * (len(named) < job.count)]


def _quoted(words: Sequence[str]) -> Iterator[str]:
    return map(shlex.quote, words)


def _option_words(options: Mapping[str, object]) -> Iterator[str]:
    """Yield the options that the command line has; others are of programs, and change no item."""
    for name, value in options.items():
        if name in _PLAIN:
            yield _PLAIN[name]
        elif name in _WITH_VALUE:
            for each in value if isinstance(value, list | tuple) else (value,):
                yield from (_WITH_VALUE[name], str(each))
