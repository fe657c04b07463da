"""`jobs`: the journals of uploads; list them, look at one, clean up, and how to resume a job."""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Final

import attrs

from datagym_async._runs._text import counted, size
from datagym_async.cli._command import Invocation, command, group
from datagym_async.cli._errors import WELL, CommandError
from datagym_async.cli._job_options import upload_flags
from datagym_async.cli._options import Yes, argument, flag, parse_seconds
from datagym_async.cli._screen import Column
from datagym_async.uploads import JobSummary, clean_jobs, jobs_folder, list_jobs, show_job

SHOWN: Final = 20
"""Sources of a command that is for eyes; the one for programs has all that are known."""

_MORE: Final = re.compile(r"and [\d,]+ more")


def command_of(
    job: JobSummary, *, most: int | None = None, quote: Callable[[str], str] = shlex.quote
) -> str | None:
    """Return the command that resumes a job; None if only the program that began it can.

    Sources that are left out have dots in their place.

    Args:
        job: The job.
        most: How many sources to name at most; None for all that the journal keeps.
        quote: Makes one word for a shell of any text.
    """
    sources = _sources(job, most, quote)
    if sources is None:
        return None
    words = ["datagym-async", "upload", *sources, "--dataset", quote(job.dataset_id)]
    if job.base_url:
        words += ["--base-url", quote(job.base_url)]
    words += map(quote, _option_words(job.options))
    if job.path.parent != jobs_folder():
        words += ["--journal", quote(str(job.path))]
    return " ".join(words)


def how_to_resume(job: JobSummary) -> str:
    """Return the command for somebody to read, or what there is in place of it."""
    if (command := command_of(job, most=SHOWN, quote=quoted_for_eyes)) is None:
        return "the program that began it: its sources or options are none of a command"
    known = len(job.words or ())
    if job.count > known > 0:
        return f"{command}  (all {job.count:,} sources; the journal keeps the first {known:,})"
    if known > SHOWN:
        return f"{command}  (and {known - SHOWN:,} more sources, which --json names)"
    return command


def quoted_for_eyes(word: str) -> str:
    r"""Return a word for a shell that steers no terminal, and is still the word when it is pasted.

    Where it is not printable it becomes ``$'a\x1b.jpg'``, which bash, zsh and ksh read.
    """

    def escaped(one: str) -> str:
        if one.isprintable() and one not in "'\\":
            return one
        return "".join(f"\\x{byte:02x}" for byte in os.fsencode(one))

    return shlex.quote(word) if word.isprintable() else f"$'{''.join(map(escaped, word))}'"


def _sources(job: JobSummary, most: int | None, quote: Callable[[str], str]) -> list[str] | None:
    if not job.count:  # an older journal
        named = job.sources.split(", ")
        left_out = bool(_MORE.fullmatch(named[-1]))
        return [*map(quote, named[:-1] if left_out else named), *["..."] * left_out]
    if job.words is None:
        return None
    named = list(job.words[:most])
    return [*map(quote, named), *["..."] * (len(named) < job.count)]


def _option_words(options: Mapping[str, object]) -> Iterator[str]:
    """Yield the options that the command line has; others are of programs, and change no item."""
    flags = upload_flags()
    for name, value in options.items():
        if name not in flags:
            continue
        if isinstance(value, bool):
            yield flags[name]
            continue
        for each in value if isinstance(value, list | tuple) else (value,):
            yield from (flags[name], str(each))


app = group("jobs")

_TIME: Final = "%Y-%m-%d %H:%M"
_LEFT: Final = ("planned", "sending", "failed")
_DONE: Final = ("uploaded", "skipped", "rejected")


@command(app, "list", client=False)
def list_(invocation: Invocation) -> int:
    """List the jobs whose journals lie in the state folder, the one written last first."""
    jobs = list_jobs()
    columns = (
        Column("Job", whole=True),
        Column("Dataset"),
        Column("Sources"),
        Column("Done", "right"),
        Column("Left", "right"),
        Column("Last active", whole=True),
        Column("State", whole=True),
    )
    invocation.output.listing(
        [job_document(each) for each in jobs],
        columns,
        [_row(each) for each in jobs],
        empty=f"There are no journals in {jobs_folder()}.",
    )
    return WELL


@command(app, "show", client=False)
def show(
    invocation: Invocation,
    job: Annotated[
        str,
        argument(
            "JOB",
            "The job, as `jobs list` names it (its beginning is enough), or a journal's path.",
        ),
    ],
) -> int:
    """Show a job: what is done and what is left, and the command that resumes it."""
    found = show_job(_path_of(job))
    if invocation.output.as_json:
        invocation.output.document(job_document(found))
        return WELL
    if found.problem:
        raise CommandError(f"{found.path} cannot be read as a journal: {found.problem}")
    for title, text in _facts(found):
        invocation.output.result(f"{title:<14}{text}")
    return WELL


@command(app, "clean", client=False)
def clean(
    invocation: Invocation,
    older_than: Annotated[
        float | None,
        flag(
            "--older-than TIME",
            "Spare journals written less than this ago, for example 30d; none by default.",
            parser=parse_seconds,
        ),
    ] = None,
    unfinished: Annotated[
        bool, flag("--unfinished", "Delete also those of jobs that have not come to their end.")
    ] = False,
    yes: Yes = False,
) -> int:
    """Delete journals of complete jobs from the state folder, never one in use.

    It asks first, and needs --yes where nobody can answer. Images are not touched; a job whose
    journal is gone goes by what the dataset holds.
    """
    output = invocation.output
    if not yes and not sys.stdin.isatty():
        raise CommandError("Nobody is here to ask whether to delete journals; add --yes.")
    age = None if older_than is None else timedelta(seconds=older_than)
    which = "all jobs, also of unfinished ones," if unfinished else "complete jobs"
    unwritten = "" if age is None else f" not written for {age}"
    question = f"Delete the journals of {which}{unwritten} in {jobs_folder()}?"
    if not yes and not output.ask(question):
        output.message("Nothing was deleted.")
        return WELL
    deleted = clean_jobs(older_than=age, unfinished=unfinished)
    if output.as_json:
        output.document([job_document(each) for each in deleted])
    elif not output.quiet:
        freed = size(sum(each.size for each in deleted))
        output.result(f"Deleted {counted(len(deleted), 'journal')} ({freed}).")
    return WELL


def job_document(job: JobSummary) -> dict[str, Any]:
    """Return a job as JSON takes it."""
    document = attrs.asdict(job, recurse=False)
    return {name: _plain(value) for name, value in document.items()} | {
        "job": job.path.stem,
        "command": command_of(job),
    }


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Mapping):
        return dict(value)
    return str(value) if isinstance(value, Path) else value


def _facts(job: JobSummary) -> list[tuple[str, str]]:
    """Return what is known of a job, as lines of two parts."""
    counts = [f"{job.counts.get(each, 0):,} {each}" for each in (*_DONE, *_LEFT)]
    return [
        ("Job", job.path.stem),
        ("Journal", f"{job.path} ({size(job.size)})"),
        ("Service", job.base_url),
        ("Dataset", f"{job.dataset_name} ({job.dataset_id})"),
        ("Sources", job.sources),
        ("Started", _when(job.started)),
        ("Last active", f"{_when(job.last_active)}, {counted(job.runs, 'run')}"),
        ("State", _state(job)),
        ("Items", ", ".join(counts)),
        ("Resume with", how_to_resume(job)),
    ]


def _row(job: JobSummary) -> tuple[str, ...]:
    name, when = job.path.stem, _when(job.last_active)
    if job.problem:
        return name, "", job.problem, "", "", when, "unreadable"
    done, left = (sum(job.counts.get(each, 0) for each in some) for some in (_DONE, _LEFT))
    return name, job.dataset_name, job.sources, f"{done:,}", f"{left:,}", when, _state(job)


def _state(job: JobSummary) -> str:
    return "running" if job.in_use else "complete" if job.complete else "unfinished"


def _when(moment: datetime | None) -> str:
    return "" if moment is None else moment.astimezone().strftime(_TIME)


def _path_of(job: str) -> Path:
    """Return the journal that is meant."""
    if (path := Path(job)).is_file():
        return path
    found = [each.path for each in list_jobs() if each.path.stem.startswith(job)]
    if not found:
        raise CommandError(
            f"There is no job {job!r} in {jobs_folder()}; `datagym-async jobs list` shows them."
        )
    if len(found) > 1:
        names = ", ".join(path.stem for path in found)
        raise CommandError(f"{len(found)} jobs begin with {job!r}: {names}; give more of the name.")
    return found[0]
